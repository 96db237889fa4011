//! What the target tells the initiator of its own accord (RFC 7143 11.9).

use super::Session;
use crate::iscsi::login::SessionType;
use crate::iscsi::pdu::AsyncMessage;

/// Longest sense data of a SCSI event: what SPC-5 has at most (4.4.1).
const SENSE_BYTES_MAX: usize = 252;

/// Something for the initiator to know; times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A SCSI asynchronous event of a logical unit. Not sent in a discovery session.
    Scsi {
        /// Which unit, as SAM has it.
        lun: u64,
        /// What happened, as sense data.
        sense: Vec<u8>,
    },
    /// The initiator is to log out.
    LogoutRequest {
        /// By when.
        seconds: u16,
    },
    /// The driver is about to drop this connection.
    DropConnection {
        /// How long not to come back.
        time2wait: u16,
        /// How long after that the tasks are kept.
        time2retain: u16,
    },
    /// The driver is about to drop all connections of the session.
    DropAll {
        /// How long not to come back.
        time2wait: u16,
        /// How long after that the tasks are kept.
        time2retain: u16,
    },
    /// The initiator is to negotiate anew with a Text Request.
    Renegotiate {
        /// By when.
        seconds: u16,
    },
}

impl<D: Clone> Session<D> {
    /// Tells the initiator something. It is only sent: to close the connection afterwards, or
    /// when the time is over, is the driver's to do. No effect on a session that is closing, nor
    /// where the initiator has not pinged yet: it may be boot firmware, and iPXE gives the session
    /// up at any PDU of the target's own accord.
    pub fn notify(&mut self, notice: Notice) {
        // Each connection is asked for its own logout; of all else one tells it.
        if matches!(notice, Notice::LogoutRequest { .. }) {
            self.on_others(|session| session.tell(notice.clone()));
        } else if !self.connection.is_told()
            && let Some(other) = self.others.iter().find(|other| other.is_told()).map(|it| it.id)
        {
            return self.on(other, |session| session.tell(notice));
        }
        self.tell(notice);
    }

    fn tell(&mut self, notice: Notice) {
        let is_discovery = self.session_type == SessionType::Discovery;
        if !self.connection.is_told() || (is_discovery && matches!(notice, Notice::Scsi { .. })) {
            return;
        }
        let mut segment = Vec::new();
        let (lun, event, parameters) = match notice {
            Notice::Scsi { lun, mut sense } => {
                sense.truncate(SENSE_BYTES_MAX);
                segment = with_length(&sense);
                (lun, 0, [0; 3])
            }
            Notice::LogoutRequest { seconds } => (0, 1, [0, 0, seconds]),
            Notice::DropConnection { time2wait, time2retain } => {
                (0, 2, [self.connection.cid, time2wait, time2retain])
            }
            Notice::DropAll { time2wait, time2retain } => (0, 3, [0, time2wait, time2retain]),
            Notice::Renegotiate { seconds } => (0, 4, [0, 0, seconds]),
        };
        let pdu =
            AsyncMessage { lun, numbers: self.take_numbers(), event, vendor_code: 0, parameters };
        self.send_counted(&pdu, segment);
    }
}

/// Sense data as a data segment has it, its length before it (RFC 7143 11.4.7, 11.9.4); nothing
/// if there is none.
pub(super) fn with_length(sense: &[u8]) -> Vec<u8> {
    match u16::try_from(sense.len()) {
        Ok(len) if len > 0 => [&len.to_be_bytes(), sense].concat(),
        _ => Vec::new(),
    }
}
