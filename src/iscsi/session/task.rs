//! What the session knows of one SCSI command on its way.

use smallvec::SmallVec;

use super::{Completion, ConnectionId};

/// Handle of a task: valid from [`super::Event::Command`] until the driver completes it or
/// [`super::Event::Dropped`] is handed out; then it may be used again for another task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId(pub u32);

/// What the initiator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Logical unit number as SAM has it.
    pub lun: u64,
    /// Initiator task tag.
    pub itt: u32,
    /// Command sequence number.
    pub cmd_sn: u32,
    /// The CDB, with what an additional header segment added.
    pub cdb: SmallVec<[u8; 16]>,
    /// Task attribute as on the wire (RFC 7143 11.3.1).
    pub attribute: u8,
    /// Command priority (RFC 7144 5.1.1), 0 if it is not in use.
    pub priority: u8,
    /// It did not wait for its turn, and holds no credit of the command window.
    pub immediate: bool,
    /// Data is expected from the target.
    pub read: bool,
    /// Data is sent to the target.
    pub write: bool,
    /// Expected data transfer length in bytes.
    pub expected_length: u32,
}

/// A fault of the initiator, and the sense data it gets for it: the codes of RFC 7143 11.4.7.2
/// and SPC-4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Unsolicited data that was not allowed, or too much of it.
    UnexpectedUnsolicitedData,
    /// Less unsolicited data than has to come, or not what an R2T asked for.
    WrongAmount,
    /// Data outside what was asked for, or out of order.
    DataPhase,
    /// A data digest was wrong, or a PDU is missing, which means the same (RFC 7143 7.9).
    DataDigest,
    /// A bidirectional command: no logical unit here has any.
    Bidirectional {
        /// Bytes that were expected from the target.
        read_length: u32,
    },
}

impl Fault {
    /// Sense key, additional sense code and qualifier.
    pub(super) fn sense(self) -> (u8, u8, u8) {
        const ILLEGAL_REQUEST: u8 = 0x05;
        const ABORTED_COMMAND: u8 = 0x0b;
        match self {
            Self::UnexpectedUnsolicitedData => (ABORTED_COMMAND, 0x0c, 0x0c),
            Self::WrongAmount => (ABORTED_COMMAND, 0x0c, 0x0d),
            Self::DataPhase => (ABORTED_COMMAND, 0x4b, 0x00),
            Self::DataDigest => (ABORTED_COMMAND, 0x47, 0x05),
            // Invalid field in command information unit.
            Self::Bidirectional { .. } => (ILLEGAL_REQUEST, 0x0e, 0x03),
        }
    }

    /// Bytes that a bidirectional command expected from the target, and did not get.
    pub(super) fn unread(self) -> u32 {
        match self {
            Self::Bidirectional { read_length } => read_length,
            _ => 0,
        }
    }
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not given to the driver yet: its header or immediate data is on the way, or an earlier
    /// CmdSN is missing.
    Arriving,
    /// The driver has it and decides.
    Offered,
    /// Data is on the way from the initiator.
    Gathering,
    /// All data is there, and [`super::Event::Ready`] has not been handed out yet.
    Ready,
    /// The driver executes it.
    Running,
    /// It is gone, and [`super::Event::Dropped`] has not been handed out yet: until then its
    /// number is not given to another task.
    Dropped,
}

/// An R2T whose data is not all there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Solicited {
    pub(super) ttt: u32,
    pub(super) r2t_sn: u32,
    pub(super) offset: u32,
    pub(super) len: u32,
    /// Bytes that are there, from `offset` on without a gap.
    pub(super) received: u32,
    pub(super) data_sn: u32,
    /// A PDU of the sequence is lost; what comes after it is asked for again.
    pub(super) lost: bool,
}

/// One SCSI task.
#[derive(Debug)]
pub(super) struct Task<D> {
    pub(super) command: Command,
    /// By which it came: all that belongs to it goes that way (RFC 7143 4.2.5.1).
    pub(super) connection: ConnectionId,
    pub(super) phase: Phase,
    /// Bytes of unsolicited data that have arrived, all at the beginning of the transfer.
    pub(super) unsolicited: u32,
    /// The initiator has not said F yet in its unsolicited data.
    pub(super) unsolicited_open: bool,
    pub(super) unsolicited_data_sn: u32,
    /// A PDU of the unsolicited data is lost; it and what comes after it is asked for.
    pub(super) unsolicited_lost: bool,
    /// Bytes that the command needs from the initiator.
    pub(super) wanted: u32,
    /// End of what has arrived or was asked for.
    pub(super) solicited_end: u32,
    pub(super) r2ts: SmallVec<[Solicited; 1]>,
    /// R2Ts sent so far.
    pub(super) r2t_sn: u32,
    /// The tag of the last R-Data SNACK, for the response.
    pub(super) snack_tag: u32,
    pub(super) fault: Option<Fault>,
    /// The end, while data is still on the way that has to be waited for.
    pub(super) completion: Option<Completion<D>>,
}

/// The logical unit that a LUN field addresses, whichever of the two single-level methods it uses
/// (peripheral device or flat space addressing, SAM-5 4.7.5); any other field stands for itself.
pub(super) fn unit_of(lun: u64) -> u64 {
    let single_level = lun << 16 == 0 && lun >> 62 < 2;
    if single_level { lun >> 48 & 0x3fff } else { lun }
}

impl<D> Task<D> {
    pub(super) fn new(command: Command, connection: ConnectionId) -> Self {
        Self {
            command,
            connection,
            phase: Phase::Arriving,
            unsolicited: 0,
            unsolicited_open: false,
            unsolicited_data_sn: 0,
            unsolicited_lost: false,
            wanted: 0,
            solicited_end: 0,
            r2ts: SmallVec::new(),
            r2t_sn: 0,
            snack_tag: 0,
            fault: None,
            completion: None,
        }
    }

    /// Data is still on the way from the initiator.
    pub(super) fn is_receiving(&self) -> bool {
        self.unsolicited_open || !self.r2ts.is_empty()
    }
}
