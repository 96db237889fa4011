//! Protocol data units (RFC 7143 section 11): wire header segments as types.
//!
//! Each PDU is a struct that is parsed from and encoded into the 48 bytes of a Basic Header
//! Segment ([`Pdu`]). Lengths of the additional header and data segments are not part of these
//! structs; they are the framing's ([`frame`]). Reserved fields are ignored when parsed and zero
//! when encoded.

mod ahs;
mod control;
pub mod digest;
pub mod frame;
mod scsi;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

pub use ahs::{Ahs, AhsError, parse_ahs};
pub use control::{
    AsyncMessage, NopIn, NopOut, Reject, RejectReason, Snack, TaskManagementRequest,
    TaskManagementResponse,
};
pub use scsi::{DataIn, DataOut, Overflow, R2t, ScsiCommand, ScsiResponse};
pub use text::{
    LoginRequest, LoginResponse, LogoutRequest, LogoutResponse, TextRequest, TextResponse,
};

/// Length of the Basic Header Segment in bytes (RFC 7143 11.2.1).
pub const BHS_BYTES: usize = 48;

/// The Basic Header Segment as it is on the wire.
pub type Bhs = [u8; BHS_BYTES];

/// The reserved value of task and transfer tags (RFC 7143 11.2.1.8).
pub const RESERVED_TAG: u32 = 0xffff_ffff;

/// Opcodes (RFC 7143 11.2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// NOP-Out.
    NopOut = 0x00,
    /// SCSI Command.
    ScsiCommand = 0x01,
    /// SCSI Task Management Function Request.
    TaskManagementRequest = 0x02,
    /// Login Request.
    LoginRequest = 0x03,
    /// Text Request.
    TextRequest = 0x04,
    /// SCSI Data-Out.
    DataOut = 0x05,
    /// Logout Request.
    LogoutRequest = 0x06,
    /// SNACK Request.
    Snack = 0x10,
    /// NOP-In.
    NopIn = 0x20,
    /// SCSI Response.
    ScsiResponse = 0x21,
    /// SCSI Task Management Function Response.
    TaskManagementResponse = 0x22,
    /// Login Response.
    LoginResponse = 0x23,
    /// Text Response.
    TextResponse = 0x24,
    /// SCSI Data-In.
    DataIn = 0x25,
    /// Logout Response.
    LogoutResponse = 0x26,
    /// Ready To Transfer.
    R2t = 0x31,
    /// Asynchronous Message.
    AsyncMessage = 0x32,
    /// Reject.
    Reject = 0x3f,
}

impl Opcode {
    /// Every opcode that RFC 7143 assigns.
    pub const ALL: [Self; 18] = [
        Self::NopOut,
        Self::ScsiCommand,
        Self::TaskManagementRequest,
        Self::LoginRequest,
        Self::TextRequest,
        Self::DataOut,
        Self::LogoutRequest,
        Self::Snack,
        Self::NopIn,
        Self::ScsiResponse,
        Self::TaskManagementResponse,
        Self::LoginResponse,
        Self::TextResponse,
        Self::DataIn,
        Self::LogoutResponse,
        Self::R2t,
        Self::AsyncMessage,
        Self::Reject,
    ];

    /// The opcode in a header, `None` if it is not assigned.
    #[must_use]
    pub fn of(bhs: &Bhs) -> Option<Self> {
        let code = bhs[0] & 0x3f;
        Self::ALL.into_iter().find(|op| *op as u8 == code)
    }
}

/// A PDU type: its header segment as a struct.
pub trait Pdu: Sized {
    /// Its opcode.
    const OPCODE: Opcode;

    /// Reads the fields; the opcode has been looked at before.
    ///
    /// # Errors
    /// When a field has a value that no sender may use.
    fn parse(bhs: &Bhs) -> Result<Self, ParseError>;

    /// Writes the fields into a zeroed header. Use [`Pdu::encode`].
    fn put(&self, bhs: &mut Bhs);

    /// The header segment, with both lengths zero.
    fn encode(&self) -> Bhs {
        let mut bhs = [0; BHS_BYTES];
        bhs[0] = Self::OPCODE as u8;
        self.put(&mut bhs);
        bhs
    }
}

/// The sequence numbers that every PDU of a target carries, at the same place (RFC 7143 4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Status sequence number: this PDU's own, or the next one of the connection.
    pub stat_sn: u32,
    /// Next command expected.
    pub exp_cmd_sn: u32,
    /// Last command that may be sent.
    pub max_cmd_sn: u32,
}

impl Numbers {
    fn parse(bhs: &Bhs) -> Self {
        Self { stat_sn: u32_at(bhs, 24), exp_cmd_sn: u32_at(bhs, 28), max_cmd_sn: u32_at(bhs, 32) }
    }

    /// Writes them into a header.
    pub fn put(self, bhs: &mut Bhs) {
        put(bhs, 24, self.stat_sn.to_be_bytes());
        put(bhs, 28, self.exp_cmd_sn.to_be_bytes());
        put(bhs, 32, self.max_cmd_sn.to_be_bytes());
    }
}

/// What an initiator sends, after login or in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A ping, or the answer to one.
    NopOut(NopOut),
    /// A SCSI command.
    ScsiCommand(ScsiCommand),
    /// A task management function.
    TaskManagement(TaskManagementRequest),
    /// A login request.
    Login(LoginRequest),
    /// A text request.
    Text(TextRequest),
    /// Data of a write.
    DataOut(DataOut),
    /// A logout request.
    Logout(LogoutRequest),
    /// A selective acknowledgement.
    Snack(Snack),
}

impl Request {
    /// Parses the header of a PDU that a target may receive.
    ///
    /// # Errors
    /// [`ParseError::Opcode`] for one that only targets send or nobody does; a bad field.
    pub fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(match Opcode::of(bhs) {
            Some(Opcode::NopOut) => Self::NopOut(NopOut::parse(bhs)?),
            Some(Opcode::ScsiCommand) => Self::ScsiCommand(ScsiCommand::parse(bhs)?),
            Some(Opcode::TaskManagementRequest) => {
                Self::TaskManagement(TaskManagementRequest::parse(bhs)?)
            }
            Some(Opcode::LoginRequest) => Self::Login(LoginRequest::parse(bhs)?),
            Some(Opcode::TextRequest) => Self::Text(TextRequest::parse(bhs)?),
            Some(Opcode::DataOut) => Self::DataOut(DataOut::parse(bhs)?),
            Some(Opcode::LogoutRequest) => Self::Logout(LogoutRequest::parse(bhs)?),
            Some(Opcode::Snack) => Self::Snack(Snack::parse(bhs)?),
            _ => return Err(ParseError::Opcode(bhs[0] & 0x3f)),
        })
    }
}

/// Why a header segment is not a PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// Not an opcode that may come from this side.
    Opcode(u8),
    /// A field, named, has a value that no sender may use.
    Field(&'static str),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opcode(code) => write!(f, "opcode {code:#04x} is not one to receive"),
            Self::Field(name) => write!(f, "bad value in field {name}"),
        }
    }
}

impl std::error::Error for ParseError {}

/// The Immediate bit (RFC 7143 11.2.1.1).
const IMMEDIATE: u8 = 0x40;
/// The Final bit, Transit in login (RFC 7143 11.2.1.3).
const FINAL: u8 = 0x80;
/// The Continue bit of login and text PDUs.
const CONTINUE: u8 = 0x40;

fn bit(byte: u8, mask: u8) -> bool {
    byte & mask != 0
}

fn flag(on: bool, mask: u8) -> u8 {
    if on { mask } else { 0 }
}

fn u16_at(bhs: &Bhs, at: usize) -> u16 {
    u16::from_be_bytes([bhs[at], bhs[at + 1]])
}

fn u32_at(bhs: &Bhs, at: usize) -> u32 {
    u32::from_be_bytes([bhs[at], bhs[at + 1], bhs[at + 2], bhs[at + 3]])
}

fn u64_at(bhs: &Bhs, at: usize) -> u64 {
    u64::from(u32_at(bhs, at)) << 32 | u64::from(u32_at(bhs, at + 4))
}

fn array_at<const N: usize>(bhs: &Bhs, at: usize) -> [u8; N] {
    std::array::from_fn(|i| bhs[at + i])
}

fn put<const N: usize>(bhs: &mut Bhs, at: usize, bytes: [u8; N]) {
    bhs[at..at + N].copy_from_slice(&bytes);
}
