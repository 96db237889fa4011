//! Login, text and logout: RFC 7143 11.10 to 11.15.

use super::{
    Bhs, CONTINUE, FINAL, IMMEDIATE, Numbers, Opcode, ParseError, Pdu, array_at, bit, flag, put,
    u16_at, u32_at, u64_at,
};

/// Login Request (RFC 7143 11.12). Always immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginRequest {
    /// Ready to go to the next stage.
    pub transit: bool,
    /// The text goes on in the next PDU.
    pub cont: bool,
    /// Current stage, 0 to 3.
    pub csg: u8,
    /// Next stage, 0 to 3.
    pub nsg: u8,
    /// Highest version the initiator speaks.
    pub version_max: u8,
    /// Lowest version the initiator speaks.
    pub version_min: u8,
    /// Initiator's part of the session identifier.
    pub isid: [u8; 6],
    /// Target's part of the session identifier, 0 for a new session.
    pub tsih: u16,
    /// Initiator task tag.
    pub itt: u32,
    /// Connection identifier.
    pub cid: u16,
    /// Command sequence number.
    pub cmd_sn: u32,
    /// Status expected next.
    pub exp_stat_sn: u32,
}

impl Pdu for LoginRequest {
    const OPCODE: Opcode = Opcode::LoginRequest;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            transit: bit(bhs[1], FINAL),
            cont: bit(bhs[1], CONTINUE),
            csg: bhs[1] >> 2 & 3,
            nsg: bhs[1] & 3,
            version_max: bhs[2],
            version_min: bhs[3],
            isid: array_at(bhs, 8),
            tsih: u16_at(bhs, 14),
            itt: u32_at(bhs, 16),
            cid: u16_at(bhs, 20),
            cmd_sn: u32_at(bhs, 24),
            exp_stat_sn: u32_at(bhs, 28),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[0] |= IMMEDIATE;
        bhs[1] = flag(self.transit, FINAL)
            | flag(self.cont, CONTINUE)
            | (self.csg & 3) << 2
            | self.nsg & 3;
        bhs[2] = self.version_max;
        bhs[3] = self.version_min;
        put(bhs, 8, self.isid);
        put(bhs, 14, self.tsih.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.cid.to_be_bytes());
        put(bhs, 24, self.cmd_sn.to_be_bytes());
        put(bhs, 28, self.exp_stat_sn.to_be_bytes());
    }
}

/// Login Response (RFC 7143 11.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginResponse {
    /// The next stage begins.
    pub transit: bool,
    /// The text goes on in the next PDU.
    pub cont: bool,
    /// Current stage, 0 to 3.
    pub csg: u8,
    /// Next stage, 0 to 3.
    pub nsg: u8,
    /// Highest version the target speaks.
    pub version_max: u8,
    /// Version in use.
    pub version_active: u8,
    /// Initiator's part of the session identifier.
    pub isid: [u8; 6],
    /// Target's part of the session identifier.
    pub tsih: u16,
    /// Initiator task tag.
    pub itt: u32,
    /// Status sequence number.
    pub stat_sn: u32,
    /// Next command expected.
    pub exp_cmd_sn: u32,
    /// Last command that may be sent.
    pub max_cmd_sn: u32,
    /// Status class (0 success, 1 redirection, 2 initiator error, 3 target error).
    pub status_class: u8,
    /// Status detail.
    pub status_detail: u8,
}

impl Pdu for LoginResponse {
    const OPCODE: Opcode = Opcode::LoginResponse;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            transit: bit(bhs[1], FINAL),
            cont: bit(bhs[1], CONTINUE),
            csg: bhs[1] >> 2 & 3,
            nsg: bhs[1] & 3,
            version_max: bhs[2],
            version_active: bhs[3],
            isid: array_at(bhs, 8),
            tsih: u16_at(bhs, 14),
            itt: u32_at(bhs, 16),
            stat_sn: u32_at(bhs, 24),
            exp_cmd_sn: u32_at(bhs, 28),
            max_cmd_sn: u32_at(bhs, 32),
            status_class: bhs[36],
            status_detail: bhs[37],
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = flag(self.transit, FINAL)
            | flag(self.cont, CONTINUE)
            | (self.csg & 3) << 2
            | self.nsg & 3;
        bhs[2] = self.version_max;
        bhs[3] = self.version_active;
        put(bhs, 8, self.isid);
        put(bhs, 14, self.tsih.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 24, self.stat_sn.to_be_bytes());
        put(bhs, 28, self.exp_cmd_sn.to_be_bytes());
        put(bhs, 32, self.max_cmd_sn.to_be_bytes());
        bhs[36] = self.status_class;
        bhs[37] = self.status_detail;
    }
}

/// Text Request (RFC 7143 11.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextRequest {
    /// To be delivered at once, not in CmdSN order.
    pub immediate: bool,
    /// The initiator has nothing more to say.
    pub is_final: bool,
    /// The text goes on in the next PDU.
    pub cont: bool,
    /// LUN, as given by the target with a transfer tag.
    pub lun: u64,
    /// Initiator task tag.
    pub itt: u32,
    /// Target transfer tag of the exchange that goes on, or the reserved one.
    pub ttt: u32,
    /// Command sequence number.
    pub cmd_sn: u32,
    /// Status expected next.
    pub exp_stat_sn: u32,
}

impl Pdu for TextRequest {
    const OPCODE: Opcode = Opcode::TextRequest;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            immediate: bit(bhs[0], IMMEDIATE),
            is_final: bit(bhs[1], FINAL),
            cont: bit(bhs[1], CONTINUE),
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            ttt: u32_at(bhs, 20),
            cmd_sn: u32_at(bhs, 24),
            exp_stat_sn: u32_at(bhs, 28),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[0] |= flag(self.immediate, IMMEDIATE);
        bhs[1] = flag(self.is_final, FINAL) | flag(self.cont, CONTINUE);
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.ttt.to_be_bytes());
        put(bhs, 24, self.cmd_sn.to_be_bytes());
        put(bhs, 28, self.exp_stat_sn.to_be_bytes());
    }
}

/// Text Response (RFC 7143 11.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextResponse {
    /// The target has nothing more to say.
    pub is_final: bool,
    /// The text goes on in the next PDU.
    pub cont: bool,
    /// LUN, or 0.
    pub lun: u64,
    /// Initiator task tag.
    pub itt: u32,
    /// Transfer tag to go on with, or the reserved one.
    pub ttt: u32,
    /// Sequence numbers.
    pub numbers: Numbers,
}

impl Pdu for TextResponse {
    const OPCODE: Opcode = Opcode::TextResponse;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            is_final: bit(bhs[1], FINAL),
            cont: bit(bhs[1], CONTINUE),
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            ttt: u32_at(bhs, 20),
            numbers: Numbers::parse(bhs),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = flag(self.is_final, FINAL) | flag(self.cont, CONTINUE);
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.ttt.to_be_bytes());
        self.numbers.put(bhs);
    }
}

/// Logout Request (RFC 7143 11.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogoutRequest {
    /// To be delivered at once, not in CmdSN order.
    pub immediate: bool,
    /// 0 close the session, 1 close the connection, 2 remove the connection for recovery.
    pub reason: u8,
    /// Initiator task tag.
    pub itt: u32,
    /// The connection it is about.
    pub cid: u16,
    /// Command sequence number.
    pub cmd_sn: u32,
    /// Status expected next.
    pub exp_stat_sn: u32,
}

impl Pdu for LogoutRequest {
    const OPCODE: Opcode = Opcode::LogoutRequest;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            immediate: bit(bhs[0], IMMEDIATE),
            reason: bhs[1] & 0x7f,
            itt: u32_at(bhs, 16),
            cid: u16_at(bhs, 20),
            cmd_sn: u32_at(bhs, 24),
            exp_stat_sn: u32_at(bhs, 28),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[0] |= flag(self.immediate, IMMEDIATE);
        bhs[1] = FINAL | self.reason & 0x7f;
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.cid.to_be_bytes());
        put(bhs, 24, self.cmd_sn.to_be_bytes());
        put(bhs, 28, self.exp_stat_sn.to_be_bytes());
    }
}

/// Logout Response (RFC 7143 11.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogoutResponse {
    /// 0 closed, 1 no such CID, 2 recovery not supported, 3 cleanup failed.
    pub response: u8,
    /// Initiator task tag.
    pub itt: u32,
    /// Sequence numbers.
    pub numbers: Numbers,
    /// Seconds to wait before a reconnect.
    pub time2wait: u16,
    /// Seconds that tasks are kept after that.
    pub time2retain: u16,
}

impl Pdu for LogoutResponse {
    const OPCODE: Opcode = Opcode::LogoutResponse;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            response: bhs[2],
            itt: u32_at(bhs, 16),
            numbers: Numbers::parse(bhs),
            time2wait: u16_at(bhs, 40),
            time2retain: u16_at(bhs, 42),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = FINAL;
        bhs[2] = self.response;
        put(bhs, 16, self.itt.to_be_bytes());
        self.numbers.put(bhs);
        put(bhs, 40, self.time2wait.to_be_bytes());
        put(bhs, 42, self.time2retain.to_be_bytes());
    }
}
