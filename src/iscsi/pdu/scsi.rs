//! SCSI commands and their data: RFC 7143 11.3, 11.4, 11.7, 11.8.

use super::{
    Bhs, FINAL, IMMEDIATE, Numbers, Opcode, ParseError, Pdu, array_at, bit, flag, put, u16_at,
    u32_at, u64_at,
};

/// SCSI Command (RFC 7143 11.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScsiCommand {
    /// To be delivered at once, not in CmdSN order.
    pub immediate: bool,
    /// No unsolicited Data-Out PDUs follow.
    pub is_final: bool,
    /// Data is expected from the target.
    pub read: bool,
    /// Data is sent to the target.
    pub write: bool,
    /// Task attribute (0 untagged, 1 simple, 2 ordered, 3 head of queue, 4 ACA).
    pub attribute: u8,
    /// Command priority (RFC 7144 4.1), 0 to 15.
    pub priority: u8,
    /// Logical unit number as SAM has it.
    pub lun: u64,
    /// Initiator task tag.
    pub itt: u32,
    /// Expected data transfer length in bytes.
    pub expected_length: u32,
    /// Command sequence number.
    pub cmd_sn: u32,
    /// Status expected next.
    pub exp_stat_sn: u32,
    /// The first 16 bytes of the CDB.
    pub cdb: [u8; 16],
}

impl Pdu for ScsiCommand {
    const OPCODE: Opcode = Opcode::ScsiCommand;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            immediate: bit(bhs[0], IMMEDIATE),
            is_final: bit(bhs[1], FINAL),
            read: bit(bhs[1], 0x40),
            write: bit(bhs[1], 0x20),
            attribute: bhs[1] & 0x07,
            priority: bhs[2] & 0x0f,
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            expected_length: u32_at(bhs, 20),
            cmd_sn: u32_at(bhs, 24),
            exp_stat_sn: u32_at(bhs, 28),
            cdb: array_at(bhs, 32),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[0] |= flag(self.immediate, IMMEDIATE);
        bhs[1] = flag(self.is_final, FINAL)
            | flag(self.read, 0x40)
            | flag(self.write, 0x20)
            | self.attribute & 0x07;
        bhs[2] = self.priority & 0x0f;
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.expected_length.to_be_bytes());
        put(bhs, 24, self.cmd_sn.to_be_bytes());
        put(bhs, 28, self.exp_stat_sn.to_be_bytes());
        put(bhs, 32, self.cdb);
    }
}

/// How the transfer differed from what was expected (RFC 7143 11.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It did not.
    #[default]
    None,
    /// That many bytes more than expected would have been transferred.
    Over(u32),
    /// That many bytes fewer than expected were transferred.
    Under(u32),
}

impl Overflow {
    fn from_bits(over: bool, under: bool, count: u32) -> Result<Self, ParseError> {
        match (over, under) {
            (false, false) => Ok(Self::None),
            (true, false) => Ok(Self::Over(count)),
            (false, true) => Ok(Self::Under(count)),
            (true, true) => Err(ParseError::Field("residual flags")),
        }
    }

    /// The O and U bits and the residual count.
    fn bits(self) -> (u8, u32) {
        match self {
            Self::None => (0, 0),
            Self::Over(count) => (0x04, count),
            Self::Under(count) => (0x02, count),
        }
    }
}

/// SCSI Response (RFC 7143 11.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScsiResponse {
    /// iSCSI service response: 0 command completed at target, 1 target failure.
    pub response: u8,
    /// SCSI status.
    pub status: u8,
    /// Status qualifier (RFC 7144 5.2.1).
    pub qualifier: u16,
    /// Residual; that of the write of a bidirectional command.
    pub overflow: Overflow,
    /// Residual of the read of a bidirectional command.
    pub read_overflow: Overflow,
    /// Initiator task tag.
    pub itt: u32,
    /// SNACK tag or 0.
    pub snack_tag: u32,
    /// Sequence numbers.
    pub numbers: Numbers,
    /// Number of Data-In PDUs that were sent for the command.
    pub exp_data_sn: u32,
}

impl ScsiResponse {
    /// The answer to a command that was completed at the target.
    #[must_use]
    pub fn of(itt: u32, status: u8, overflow: Overflow) -> Self {
        Self {
            response: 0,
            status,
            qualifier: 0,
            overflow,
            read_overflow: Overflow::None,
            itt,
            snack_tag: 0,
            numbers: Numbers::default(),
            exp_data_sn: 0,
        }
    }
}

impl Pdu for ScsiResponse {
    const OPCODE: Opcode = Opcode::ScsiResponse;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            response: bhs[2],
            status: bhs[3],
            qualifier: u16_at(bhs, 8),
            overflow: Overflow::from_bits(bit(bhs[1], 4), bit(bhs[1], 2), u32_at(bhs, 44))?,
            read_overflow: Overflow::from_bits(bit(bhs[1], 0x10), bit(bhs[1], 8), u32_at(bhs, 40))?,
            itt: u32_at(bhs, 16),
            snack_tag: u32_at(bhs, 20),
            numbers: Numbers::parse(bhs),
            exp_data_sn: u32_at(bhs, 36),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        let (bits, residual) = self.overflow.bits();
        let (read_bits, read_residual) = self.read_overflow.bits();
        bhs[1] = FINAL | bits | read_bits << 2;
        bhs[2] = self.response;
        bhs[3] = self.status;
        put(bhs, 8, self.qualifier.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.snack_tag.to_be_bytes());
        self.numbers.put(bhs);
        put(bhs, 36, self.exp_data_sn.to_be_bytes());
        put(bhs, 40, read_residual.to_be_bytes());
        put(bhs, 44, residual.to_be_bytes());
    }
}

/// SCSI Data-Out (RFC 7143 11.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataOut {
    /// Last PDU of the sequence.
    pub is_final: bool,
    /// LUN, when it answers an R2T.
    pub lun: u64,
    /// Initiator task tag.
    pub itt: u32,
    /// Target transfer tag of the R2T, or the reserved one for unsolicited data.
    pub ttt: u32,
    /// Status expected next.
    pub exp_stat_sn: u32,
    /// Number of this PDU in its sequence, from 0.
    pub data_sn: u32,
    /// Offset of the data in the command's transfer, in bytes.
    pub buffer_offset: u32,
}

impl Pdu for DataOut {
    const OPCODE: Opcode = Opcode::DataOut;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            is_final: bit(bhs[1], FINAL),
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            ttt: u32_at(bhs, 20),
            exp_stat_sn: u32_at(bhs, 28),
            data_sn: u32_at(bhs, 36),
            buffer_offset: u32_at(bhs, 40),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = flag(self.is_final, FINAL);
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.ttt.to_be_bytes());
        put(bhs, 28, self.exp_stat_sn.to_be_bytes());
        put(bhs, 36, self.data_sn.to_be_bytes());
        put(bhs, 40, self.buffer_offset.to_be_bytes());
    }
}

/// SCSI Data-In (RFC 7143 11.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataIn {
    /// Last PDU of the sequence.
    pub is_final: bool,
    /// An acknowledgement is asked for (ERL above 0 only).
    pub acknowledge: bool,
    /// The status with which the command ends, if this PDU carries it: then the status and
    /// residual fields have meaning and `stat_sn` counts (RFC 7143 11.7.3).
    pub status: Option<(u8, Overflow)>,
    /// LUN, if `acknowledge`.
    pub lun: u64,
    /// Initiator task tag.
    pub itt: u32,
    /// Target transfer tag if `acknowledge`, else the reserved one.
    pub ttt: u32,
    /// Sequence numbers; StatSN counts only with a status.
    pub numbers: Numbers,
    /// Number of this PDU among the command's Data-In and R2T PDUs, from 0.
    pub data_sn: u32,
    /// Offset of the data in the command's transfer, in bytes.
    pub buffer_offset: u32,
}

impl Pdu for DataIn {
    const OPCODE: Opcode = Opcode::DataIn;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        let status = if bit(bhs[1], 1) {
            let overflow = Overflow::from_bits(bit(bhs[1], 4), bit(bhs[1], 2), u32_at(bhs, 44))?;
            Some((bhs[3], overflow))
        } else {
            None
        };
        Ok(Self {
            is_final: bit(bhs[1], FINAL),
            acknowledge: bit(bhs[1], 0x40),
            status,
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            ttt: u32_at(bhs, 20),
            numbers: Numbers::parse(bhs),
            data_sn: u32_at(bhs, 36),
            buffer_offset: u32_at(bhs, 40),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = flag(self.is_final, FINAL) | flag(self.acknowledge, 0x40);
        if let Some((status, overflow)) = self.status {
            let (bits, residual) = overflow.bits();
            bhs[1] |= bits | 1;
            bhs[3] = status;
            put(bhs, 44, residual.to_be_bytes());
        }
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.ttt.to_be_bytes());
        self.numbers.put(bhs);
        put(bhs, 36, self.data_sn.to_be_bytes());
        put(bhs, 40, self.buffer_offset.to_be_bytes());
    }
}

/// Ready To Transfer (RFC 7143 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct R2t {
    /// LUN of the command.
    pub lun: u64,
    /// Initiator task tag.
    pub itt: u32,
    /// Target transfer tag: comes back in the Data-Out PDUs.
    pub ttt: u32,
    /// Sequence numbers; StatSN is the next one, and is not advanced.
    pub numbers: Numbers,
    /// Number of this R2T, from 0.
    pub r2t_sn: u32,
    /// Offset of the data asked for, in bytes.
    pub buffer_offset: u32,
    /// Bytes asked for; never 0.
    pub desired_length: u32,
}

impl Pdu for R2t {
    const OPCODE: Opcode = Opcode::R2t;

    fn parse(bhs: &Bhs) -> Result<Self, ParseError> {
        Ok(Self {
            lun: u64_at(bhs, 8),
            itt: u32_at(bhs, 16),
            ttt: u32_at(bhs, 20),
            numbers: Numbers::parse(bhs),
            r2t_sn: u32_at(bhs, 36),
            buffer_offset: u32_at(bhs, 40),
            desired_length: u32_at(bhs, 44),
        })
    }

    fn put(&self, bhs: &mut Bhs) {
        bhs[1] = FINAL;
        put(bhs, 8, self.lun.to_be_bytes());
        put(bhs, 16, self.itt.to_be_bytes());
        put(bhs, 20, self.ttt.to_be_bytes());
        self.numbers.put(bhs);
        put(bhs, 36, self.r2t_sn.to_be_bytes());
        put(bhs, 40, self.buffer_offset.to_be_bytes());
        put(bhs, 44, self.desired_length.to_be_bytes());
    }
}
