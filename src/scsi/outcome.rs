//! How a command ends: status, data and sense; and what it asks of the transport.

use super::lun::Address;
use super::sense::{Sense, SenseFormat};
use crate::block::Buffer;

/// SCSI status codes (SAM-5 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Done.
    Good = 0x00,
    /// See the sense data.
    CheckCondition = 0x02,
    /// Try again later.
    Busy = 0x08,
    /// Another I_T nexus has reserved the logical unit.
    ReservationConflict = 0x18,
    /// No room for another task.
    TaskSetFull = 0x28,
    /// Aborted by another I_T nexus (with TAS=1).
    TaskAborted = 0x40,
}

/// Task attributes (SAM-5 8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TaskAttribute {
    /// No order of its own.
    #[default]
    Simple,
    /// After all older tasks and before all younger ones.
    Ordered,
    /// At once.
    HeadOfQueue,
    /// Auto contingent allegiance; refused, as NORMACA is 0.
    Aca,
}

/// The data a CDB asks for, whatever the transport was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// None.
    None,
    /// At most this many bytes to the initiator.
    In {
        /// Length in bytes.
        bytes: u64,
    },
    /// This many bytes from the initiator.
    Out {
        /// Length in bytes.
        bytes: u64,
    },
}

impl Transfer {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::None => 0,
            Self::In { bytes } | Self::Out { bytes } => bytes,
        }
    }
}

/// Data for the initiator.
#[derive(Debug)]
pub enum DataIn {
    /// None.
    None,
    /// A short answer; cut to the allocation length already.
    Bytes(Vec<u8>),
    /// Blocks of the medium.
    Buffer(Buffer),
}

impl DataIn {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Buffer(buffer) => buffer.len(),
        }
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The end of a command.
#[derive(Debug)]
pub struct Outcome {
    /// The status.
    pub status: Status,
    /// Data for the initiator; the transport cuts it to what the initiator expects.
    pub data_in: DataIn,
    /// Sense data, with [`Status::CheckCondition`].
    pub sense: Option<Sense>,
    /// What the transport has to do before it sends the status; nothing almost always.
    pub preempted: Option<Box<Preempted>>,
}

/// The I_T nexuses that PREEMPT AND ABORT has preempted (SPC-4 5.12.11.2.7). Their tasks on the
/// logical unit are to be aborted, with TASK ABORTED, and must have ended before the status of the
/// command goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preempted {
    /// Number of the logical unit.
    pub lun: u16,
    /// By [`super::Nexus::id`]; never that of the nexus that sent the command. Empty if none of
    /// those preempted has a session.
    pub nexuses: Vec<u64>,
}

impl Preempted {
    /// The logical unit as a LUN field names it.
    #[must_use]
    pub fn lun_field(&self) -> u64 {
        u64::from_be_bytes(Address::encode(self.lun))
    }
}

impl Outcome {
    /// GOOD without data.
    #[must_use]
    pub fn good() -> Self {
        Self::data(DataIn::None)
    }

    /// GOOD with data.
    #[must_use]
    pub fn data(data_in: DataIn) -> Self {
        Self { status: Status::Good, data_in, sense: None, preempted: None }
    }

    /// A status without sense data.
    #[must_use]
    pub fn status(status: Status) -> Self {
        Self { status, data_in: DataIn::None, sense: None, preempted: None }
    }

    /// CHECK CONDITION.
    #[must_use]
    pub fn check(sense: Sense) -> Self {
        Self {
            status: Status::CheckCondition,
            data_in: DataIn::None,
            sense: Some(sense),
            preempted: None,
        }
    }

    pub(super) fn in_format(mut self, format: SenseFormat) -> Self {
        if let Some(sense) = &mut self.sense {
            sense.format = format;
        }
        self
    }
}

/// Why a command does not run, or failed: short enough to be the `Err` of every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// CHECK CONDITION with this sense data.
    Check(Sense),
    /// A status without sense data.
    Status(Status),
}

impl From<Sense> for Refusal {
    fn from(sense: Sense) -> Self {
        Self::Check(sense)
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Check(sense) => Self::check(sense),
            Refusal::Status(status) => Self::status(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_preempted_is_so_on_the_logical_unit_as_luns_name_it() {
        let field = |lun| Preempted { lun, nexuses: vec![1] }.lun_field();
        assert_eq!((field(0), field(5), field(300)), (0, 5 << 48, 0x412c << 48));
    }

    #[test]
    fn data_know_their_length() {
        assert!(DataIn::None.is_empty() && !DataIn::Bytes(vec![0; 3]).is_empty());
        assert_eq!(DataIn::Bytes(vec![0; 3]).len(), 3);
        assert_eq!(DataIn::Buffer(Buffer::unfilled(512)).len(), 512);
        assert_eq!(Transfer::In { bytes: 5 }.bytes() + Transfer::None.bytes(), 5);
    }
}
