//! PDUs byte by byte, as RFC 7143 section 11 draws them, and a socket to send them over. Nothing
//! here uses the product's own PDU code: what that gets wrong must show.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};

use super::HANG;

pub(crate) const BHS_LEN: usize = 48;
/// The reserved value of tags.
pub(crate) const NO_TAG: u32 = 0xffff_ffff;

/// Opcodes (11.2.1.2).
pub(crate) mod op {
    pub(crate) const NOP_OUT: u8 = 0x00;
    pub(crate) const SCSI: u8 = 0x01;
    pub(crate) const TMF: u8 = 0x02;
    pub(crate) const LOGIN: u8 = 0x03;
    pub(crate) const TEXT: u8 = 0x04;
    pub(crate) const DATA_OUT: u8 = 0x05;
    pub(crate) const LOGOUT: u8 = 0x06;
    pub(crate) const SNACK: u8 = 0x10;
    pub(crate) const NOP_IN: u8 = 0x20;
    pub(crate) const SCSI_RESPONSE: u8 = 0x21;
    pub(crate) const TMF_RESPONSE: u8 = 0x22;
    pub(crate) const LOGIN_RESPONSE: u8 = 0x23;
    pub(crate) const TEXT_RESPONSE: u8 = 0x24;
    pub(crate) const DATA_IN: u8 = 0x25;
    pub(crate) const LOGOUT_RESPONSE: u8 = 0x26;
    pub(crate) const R2T: u8 = 0x31;
    pub(crate) const ASYNC: u8 = 0x32;
    pub(crate) const REJECT: u8 = 0x3f;
}

/// The Immediate bit of byte 0.
pub(crate) const IMMEDIATE: u8 = 0x40;
/// F, or T in login, of byte 1.
pub(crate) const FINAL: u8 = 0x80;
/// C of login and text PDUs; R of SCSI commands.
pub(crate) const CONT: u8 = 0x40;
pub(crate) const READ: u8 = 0x40;
pub(crate) const WRITE: u8 = 0x20;

/// A PDU, right or wrong. Lengths are put in when it is sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pdu {
    pub(crate) bhs: [u8; BHS_LEN],
    pub(crate) ahs: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

impl Pdu {
    pub(crate) fn new(byte0: u8, byte1: u8) -> Self {
        let mut bhs = [0; BHS_LEN];
        (bhs[0], bhs[1]) = (byte0, byte1);
        Self { bhs, ahs: Vec::new(), data: Vec::new() }
    }

    pub(crate) fn opcode(&self) -> u8 {
        self.bhs[0] & 0x3f
    }

    pub(crate) fn flags(&self) -> u8 {
        self.bhs[1]
    }

    pub(crate) fn half(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bhs[at], self.bhs[at + 1]])
    }

    pub(crate) fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.bhs[at..at + 4].try_into().unwrap())
    }

    /// Bytes 8 to 15: the LUN where there is one.
    pub(crate) fn lun(&self) -> u64 {
        u64::from_be_bytes(self.bhs[8..16].try_into().unwrap())
    }

    pub(crate) fn itt(&self) -> u32 {
        self.word(16)
    }

    pub(crate) fn ttt(&self) -> u32 {
        self.word(20)
    }

    pub(crate) fn stat_sn(&self) -> u32 {
        self.word(24)
    }

    pub(crate) fn exp_cmd_sn(&self) -> u32 {
        self.word(28)
    }

    pub(crate) fn max_cmd_sn(&self) -> u32 {
        self.word(32)
    }

    pub(crate) fn byte(mut self, at: usize, value: u8) -> Self {
        self.bhs[at] = value;
        self
    }

    pub(crate) fn set_half(mut self, at: usize, value: u16) -> Self {
        self.bhs[at..at + 2].copy_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn set(mut self, at: usize, value: u32) -> Self {
        self.bhs[at..at + 4].copy_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn set_lun(mut self, lun: u64) -> Self {
        self.bhs[8..16].copy_from_slice(&lun.to_be_bytes());
        self
    }

    pub(crate) fn bytes_at(mut self, at: usize, bytes: &[u8]) -> Self {
        self.bhs[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn immediate(mut self) -> Self {
        self.bhs[0] |= IMMEDIATE;
        self
    }

    pub(crate) fn with(mut self, data: &[u8]) -> Self {
        self.data = data.to_vec();
        self
    }

    pub(crate) fn with_ahs(mut self, ahs: &[u8]) -> Self {
        self.ahs = ahs.to_vec();
        self
    }

    /// The header with the lengths that are true.
    pub(crate) fn header(&self) -> [u8; BHS_LEN] {
        let mut bhs = self.bhs;
        let length = u32::try_from(self.data.len()).unwrap().to_be_bytes();
        assert_eq!(length[0], 0, "a data segment length has 24 bits");
        bhs[4] = u8::try_from(self.ahs.len() / 4).unwrap();
        bhs[5..8].copy_from_slice(&length[1..]);
        bhs
    }

    /// The PDU as it goes over the wire.
    pub(crate) fn frame(&self, digests: Digests, lies: Lies) -> Vec<u8> {
        let mut bhs = self.header();
        if let Some(length) = lies.data_length {
            bhs[5..8].copy_from_slice(&length.to_be_bytes()[1..]);
        }
        if let Some(words) = lies.ahs_words {
            bhs[4] = words;
        }
        let mut bytes = bhs.to_vec();
        bytes.extend(&self.ahs);
        if digests.header {
            let digest = crc32c(&bytes) ^ u32::from(lies.header_digest);
            bytes.extend(digest.to_le_bytes());
        }
        let mut segment = self.data.clone();
        segment.resize(segment.len().next_multiple_of(4), lies.padding);
        bytes.extend(&segment);
        if digests.data && !segment.is_empty() {
            let digest = crc32c(&segment) ^ u32::from(lies.data_digest);
            bytes.extend(digest.to_le_bytes());
        }
        bytes
    }
}

impl fmt::Debug for Pdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?} + {} bytes {:02x?}", self.bhs, self.data.len(), {
            &self.data[..self.data.len().min(48)]
        })
    }
}

/// Which digests a connection has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) header: bool,
    pub(crate) data: bool,
}

/// What to get wrong on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lies {
    pub(crate) header_digest: bool,
    pub(crate) data_digest: bool,
    pub(crate) data_length: Option<u32>,
    pub(crate) ahs_words: Option<u8>,
    /// The value of padding bytes.
    pub(crate) padding: u8,
}

/// CRC-32C (RFC 7143 13.1), bit by bit; its four bytes go out in little-endian order.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

/// A connection that sends anything, and believes only what the digests confirm.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) digests: Digests,
}

impl Wire {
    pub(crate) fn connect(portal: impl ToSocketAddrs) -> Self {
        let stream = TcpStream::connect(portal).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        Self { stream, digests: Digests::default() }
    }

    pub(crate) fn send(&mut self, pdu: &Pdu) {
        self.send_lying(pdu, Lies::default());
    }

    pub(crate) fn send_lying(&mut self, pdu: &Pdu, lies: Lies) {
        let bytes = pdu.frame(self.digests, lies);
        self.send_bytes(&bytes);
    }

    /// A connection that the target has closed is no error here: whoever then receives will see
    /// it.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if is_hang(&error) => panic!("the target reads no more, nor closes"),
            _ => {}
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&mut self) {
        // Fails if the target has closed the connection already.
        let _closed = self.stream.shutdown(Shutdown::Write);
    }

    /// The next PDU; `None` if the target has closed the connection.
    pub(crate) fn receive(&mut self) -> Option<Pdu> {
        let mut bhs = [0; BHS_LEN];
        self.read(&mut bhs)?;
        let mut ahs = vec![0; usize::from(bhs[4]) * 4];
        self.read(&mut ahs)?;
        if self.digests.header {
            let mut digest = [0; 4];
            self.read(&mut digest)?;
            let covered = [&bhs[..], &ahs].concat();
            assert_eq!(u32::from_le_bytes(digest), crc32c(&covered), "header digest");
        }
        let length = u32::from_be_bytes([0, bhs[5], bhs[6], bhs[7]]) as usize;
        let mut data = vec![0; length.next_multiple_of(4)];
        self.read(&mut data)?;
        assert!(data[length..].iter().all(|byte| *byte == 0), "padding is not zero");
        if self.digests.data && length > 0 {
            let mut digest = [0; 4];
            self.read(&mut digest)?;
            assert_eq!(u32::from_le_bytes(digest), crc32c(&data), "data digest");
        }
        data.truncate(length);
        Some(Pdu { bhs, ahs, data })
    }

    fn read(&mut self, into: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(into) {
            Ok(()) => Some(()),
            Err(error) if is_hang(&error) => panic!("the target neither answers nor closes"),
            Err(_) => None,
        }
    }
}

fn is_hang(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
