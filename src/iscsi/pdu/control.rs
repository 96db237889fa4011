//! Task management, pings, asynchronous messages, SNACK and Reject: RFC 7143 11.5, 11.6, 11.9,
//! 11.16 to 11.19.

use super::{
    Bhs, FINAL, IMMEDIATE, Numbers, Opcode, ParseError, Pdu, bit, flag, put, u16_at, u32_at, u64_at,
};

/// Task Management Function Request (RFC 7143 11.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskManagementRequest {
    /// To be delivered at once, not in CmdSN order.
    pub immediate: bool,
    /// Function code (1 ABORT TASK to 8 TASK REASSIGN; 9 to 12 RFC 7144).
    pub function: u8,
    /// Logical unit number.
    pub lun: u64,
    /// Initiator task tag.
    pub itt: u32,
    /// Initiator task tag of the task it is about.
    pub referenced_tag: u32,
    /// Command sequence number.
    pub cmd_sn: u32,
    /// Status expected next.
    pub exp_stat_sn: u32,
    /// Command sequence number of the task it is about.
    pub ref_cmd_sn: u32,
    /// Next data expected (TASK REASSIGN).
    pub exp_data_sn: u32,
}

impl Pdu for TaskManagementRequest {
    const OPCODE: Opcode = Opcode::TaskManagementRequest;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            immediate: bit(bhs[0], IMMEDIATE),
            function: bhs[1] & 0x7f,
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            referenced_tag: u32_at(bhs, 20),
            cmd_sn: u32_at(bhs, 24),
            exp_stat_sn: u32_at(bhs, 28),
            ref_cmd_sn: u32_at(bhs, 32),
            exp_data_sn: u32_at(bhs, 36),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[0] |= flag(self.immediate, IMMEDIATE);
        bhs[1] = FINAL | self.function & 0x7f;
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.referenced_tag.to_be_bytes());
        put(bhs, 24, self.cmd_sn.to_be_bytes());
        put(bhs, 28, self.exp_stat_sn.to_be_bytes());
        put(bhs, 32, self.ref_cmd_sn.to_be_bytes());
        put(bhs, 36, self.exp_data_sn.to_be_bytes());
    }
}

/// Task Management Function Response (RFC 7143 11.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskManagementResponse {
    /// 0 complete, 1 task does not exist, 2 LUN does not exist, 5 not supported, 255 rejected.
    pub response: u8,
    /// Additional response information (RFC 7144 6.4.1).
    pub information: [u8; 3],
    /// Initiator task tag.
    pub itt: u32,
    /// Sequence numbers.
    pub numbers: Numbers,
}

impl Pdu for TaskManagementResponse {
    const OPCODE: Opcode = Opcode::TaskManagementResponse;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            response: bhs[2],
            information: [bhs[8], bhs[9], bhs[10]],
            itt: u32_at(bhs, 16),
            numbers: Numbers::parse(bhs),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = FINAL;
        bhs[2] = self.response;
        put(bhs, 8, self.information);
        put(bhs, 16, self.itt.to_be_bytes());
        self.numbers.put(bhs);
    }
}

/// NOP-Out (RFC 7143 11.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NopOut {
    /// To be delivered at once, not in CmdSN order.
    pub immediate: bool,
    /// LUN, as given in the NOP-In that it answers.
    pub lun: u64,
    /// Initiator task tag; the reserved one if no answer is wanted.
    pub itt: u32,
    /// Target transfer tag of the NOP-In that it answers, or the reserved one.
    pub ttt: u32,
    /// Command sequence number.
    pub cmd_sn: u32,
    /// Status expected next.
    pub exp_stat_sn: u32,
}

impl Pdu for NopOut {
    const OPCODE: Opcode = Opcode::NopOut;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            immediate: bit(bhs[0], IMMEDIATE),
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            ttt: u32_at(bhs, 20),
            cmd_sn: u32_at(bhs, 24),
            exp_stat_sn: u32_at(bhs, 28),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[0] |= flag(self.immediate, IMMEDIATE);
        bhs[1] = FINAL;
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.ttt.to_be_bytes());
        put(bhs, 24, self.cmd_sn.to_be_bytes());
        put(bhs, 28, self.exp_stat_sn.to_be_bytes());
    }
}

/// NOP-In (RFC 7143 11.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NopIn {
    /// LUN to come back with the answer.
    pub lun: u64,
    /// Initiator task tag of the NOP-Out that it answers, or the reserved one.
    pub itt: u32,
    /// Transfer tag to come back with the answer; the reserved one if none is wanted.
    pub ttt: u32,
    /// Sequence numbers; StatSN counts only in an answer.
    pub numbers: Numbers,
}

impl Pdu for NopIn {
    const OPCODE: Opcode = Opcode::NopIn;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            ttt: u32_at(bhs, 20),
            numbers: Numbers::parse(bhs),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = FINAL;
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.ttt.to_be_bytes());
        self.numbers.put(bhs);
    }
}

/// Asynchronous Message (RFC 7143 11.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncMessage {
    /// LUN, for a SCSI event.
    pub lun: u64,
    /// Sequence numbers.
    pub numbers: Numbers,
    /// 0 SCSI event, 1 logout request, 2 connection drop, 3 session drop, 4 negotiation request.
    pub event: u8,
    /// Vendor code.
    pub vendor_code: u8,
    /// Depends on the event.
    pub parameters: [u16; 3],
}

impl Pdu for AsyncMessage {
    const OPCODE: Opcode = Opcode::AsyncMessage;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            lun: u64_at(bhs, 8),
            numbers: Numbers::parse(bhs),
            event: bhs[36],
            vendor_code: bhs[37],
            parameters: [u16_at(bhs, 38), u16_at(bhs, 40), u16_at(bhs, 42)],
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = FINAL;
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, super::RESERVED_TAG.to_be_bytes());
        self.numbers.put(bhs);
        bhs[36] = self.event;
        bhs[37] = self.vendor_code;
        for (i, parameter) in self.parameters.iter().enumerate() {
            put(bhs, 38 + 2 * i, parameter.to_be_bytes());
        }
    }
}

/// SNACK Request (RFC 7143 11.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snack {
    /// 0 Data/R2T, 1 Status, 2 DataACK, 3 R-Data.
    pub kind: u8,
    /// Logical unit number.
    pub lun: u64,
    /// Initiator task tag.
    pub itt: u32,
    /// Target transfer tag or SNACK tag.
    pub ttt: u32,
    /// Status expected next.
    pub exp_stat_sn: u32,
    /// First missing number.
    pub begin_run: u32,
    /// How many are missing.
    pub run_length: u32,
}

impl Pdu for Snack {
    const OPCODE: Opcode = Opcode::Snack;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            kind: bhs[1] & 0x0f,
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            ttt: u32_at(bhs, 20),
            exp_stat_sn: u32_at(bhs, 28),
            begin_run: u32_at(bhs, 40),
            run_length: u32_at(bhs, 44),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = FINAL | self.kind & 0x0f;
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.ttt.to_be_bytes());
        put(bhs, 28, self.exp_stat_sn.to_be_bytes());
        put(bhs, 40, self.begin_run.to_be_bytes());
        put(bhs, 44, self.run_length.to_be_bytes());
    }
}

/// Why a PDU was rejected (RFC 7143 11.17.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RejectReason {
    /// Its data digest is wrong; it may be sent again.
    DataDigest = 0x02,
    /// The SNACK cannot be answered.
    SnackReject = 0x03,
    /// It breaks the protocol.
    ProtocolError = 0x04,
    /// The opcode or function is not supported.
    NotSupported = 0x05,
    /// Too many immediate commands.
    ImmediateCommand = 0x06,
    /// The task is in progress.
    TaskInProgress = 0x07,
    /// A data acknowledgement is not valid.
    InvalidDataAck = 0x08,
    /// A field has a bad value.
    InvalidField = 0x09,
    /// The operation has too many PDUs.
    LongOperation = 0x0a,
    /// Only a logout is accepted.
    WaitingForLogout = 0x0c,
}

impl RejectReason {
    const ALL: [Self; 10] = [
        Self::DataDigest,
        Self::SnackReject,
        Self::ProtocolError,
        Self::NotSupported,
        Self::ImmediateCommand,
        Self::TaskInProgress,
        Self::InvalidDataAck,
        Self::InvalidField,
        Self::LongOperation,
        Self::WaitingForLogout,
    ];
}

/// Reject (RFC 7143 11.17); its data segment is the header of the rejected PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// Why.
    pub reason: RejectReason,
    /// Sequence numbers.
    pub numbers: Numbers,
    /// The next valid DataSN or R2TSN, for a rejected data acknowledgement.
    pub data_sn: u32,
}

impl Pdu for Reject {
    const OPCODE: Opcode = Opcode::Reject;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        let reason = RejectReason::ALL
            .into_iter()
            .find(|reason| *reason as u8 == bhs[2])
            .ok_or(ParseError::Field("reject reason"))?;
        Ok(Self { reason, numbers: Numbers::parse(bhs), data_sn: u32_at(bhs, 36) })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = FINAL;
        bhs[2] = self.reason as u8;
        put(bhs, 16, super::RESERVED_TAG.to_be_bytes());
        self.numbers.put(bhs);
        put(bhs, 36, self.data_sn.to_be_bytes());
    }
}
