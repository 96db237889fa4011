//! What has a logical unit for itself: SANITIZE (SBC-3 4.11) and FORMAT UNIT (SBC-3 5.3).

use super::sense::{Asc, Sense, SenseKey};

/// FORMAT UNIT and SANITIZE: what a logical unit takes whose medium was left half done.
const REPAIRS: [u8; 2] = [0x04, 0x48];

/// Whether a command is one that takes the logical unit for itself. It begins when all older
/// tasks have ended, whatever its task attribute, as if it were ORDERED: none of their writes must
/// land on what was erased.
#[must_use]
pub fn begins_alone(cdb: &[u8]) -> bool {
    cdb.first().is_some_and(|opcode| REPAIRS.contains(opcode))
}

/// Which command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sanitize,
    Format,
}

/// Whether a logical unit is at the disposal of all commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Exclusive {
    #[default]
    Free,
    Running {
        kind: Kind,
        /// In units of 1/65536.
        progress: u16,
    },
    /// It did not get to its end.
    Failed {
        kind: Kind,
        /// AUSE: EXIT FAILURE MODE gives the medium back as it is.
        may_exit: bool,
    },
}

impl Exclusive {
    /// What commands hear that need the medium.
    pub(super) fn sense(self) -> Option<Sense> {
        let (key, asc, progress) = match self {
            Self::Free => return None,
            Self::Running { kind, progress } => {
                let asc = match kind {
                    Kind::Sanitize => Asc::SANITIZE_IN_PROGRESS,
                    Kind::Format => Asc::FORMAT_IN_PROGRESS,
                };
                (SenseKey::NotReady, asc, Some(progress))
            }
            Self::Failed { kind: Kind::Sanitize, .. } => {
                (SenseKey::MediumError, Asc::SANITIZE_COMMAND_FAILED, None)
            }
            Self::Failed { kind: Kind::Format, .. } => {
                (SenseKey::MediumError, Asc::MEDIUM_FORMAT_CORRUPTED, None)
            }
        };
        Some(Sense { progress, ..Sense::new(key, asc) })
    }

    /// What a command of this operation code hears before it is looked at.
    pub(super) fn refusal(self, opcode: u8) -> Option<Sense> {
        match self {
            Self::Failed { .. } if REPAIRS.contains(&opcode) => None,
            _ => self.sense(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_half_done_is_open_to_its_repair_only() {
        assert!(begins_alone(&[0x04]) && begins_alone(&[0x48, 1]));
        assert!(!begins_alone(&[0x2a]) && !begins_alone(&[]));
        let failed = Exclusive::Failed { kind: Kind::Format, may_exit: false };
        assert_eq!(failed.refusal(0x04), None);
        assert_eq!(failed.refusal(0x48), None);
        assert_eq!(failed.refusal(0x28).map(|sense| sense.asc), Some(Asc::MEDIUM_FORMAT_CORRUPTED));
        let running = Exclusive::Running { kind: Kind::Format, progress: 9 };
        assert_eq!(running.refusal(0x04).and_then(|sense| sense.progress), Some(9));
    }
}
