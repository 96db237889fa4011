//! One command, as the initiator and the driver know it.

use std::collections::VecDeque;

use super::super::*;
use super::steps::Plan;
use crate::iscsi::pdu::Overflow;

/// How far a command is, as the initiator and the driver know together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Lost,
    Sent,
    /// The driver has taken it, and waits for data.
    Gathering(TaskId),
    Running(TaskId),
    /// Completed by the driver.
    Ended,
    Aborted,
}

/// Data that was asked for.
#[derive(Debug)]
pub(super) struct Burst {
    pub(super) ttt: u32,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) data_sn: u32,
    /// Where the first broken PDU was: what comes from there on is asked for again.
    pub(super) lost_from: Option<u32>,
}

pub(super) struct Job {
    pub(super) pdu: ScsiCommand,
    pub(super) immediate_data: u32,
    pub(super) plan: Plan,
    pub(super) stage: Stage,
    /// The unsolicited data that is not sent yet, then what R2Ts asked for.
    pub(super) unsolicited: Option<Burst>,
    pub(super) bursts: VecDeque<Burst>,
    /// End of the data that was sent without being asked for, or was asked for.
    pub(super) asked: u32,
    /// What has to be asked for again.
    pub(super) recoveries: VecDeque<(u32, u32)>,
    /// The Data-In PDUs that came for it.
    pub(super) received: Vec<OutPdu<&'static str>>,
    pub(super) r2ts: u32,
    pub(super) data_in: u32,
    pub(super) data_ins: u32,
    /// Status and transferred bytes of the completion.
    pub(super) end: Option<(u8, u64)>,
    pub(super) answers: u32,
    /// Of the answer.
    pub(super) stat_sn: u32,
}

impl Job {
    /// What goes over the wire at most for it.
    pub(super) fn bytes(&self) -> u32 {
        self.plan.wanted.min(self.plan.expected)
    }

    pub(super) fn has_all_data(&self) -> bool {
        !self.plan.write
            || (self.unsolicited.is_none()
                && self.bursts.is_empty()
                && self.recoveries.is_empty()
                && self.asked >= self.bytes())
    }
}

impl Job {
    /// The session must not let anything of it be heard any more; the driver goes on for a while.
    pub(super) fn abort(&mut self, peer: &mut Peer) {
        if let Stage::Running(id) = self.stage {
            peer.session.complete(id, good(Transferred::In { data: "d", len: 512 }));
        }
        self.stage = Stage::Aborted;
    }

    pub(super) fn check_answer(&mut self, status: u8, overflow: Overflow) {
        let (expected_status, transferred) = self.end.expect("completed by the driver");
        assert_eq!(status, expected_status);
        let difference = transferred as i64 - i64::from(self.plan.expected);
        let count = u32::try_from(difference.unsigned_abs()).unwrap();
        let expected = match difference.signum() {
            0 => Overflow::None,
            1 => Overflow::Over(count),
            _ => Overflow::Under(count),
        };
        assert_eq!(overflow, expected, "residual");
        if status == 0 && !self.plan.write {
            assert_eq!(self.data_in, self.bytes(), "all the data comes before the status");
        }
        self.answers += 1;
    }
}
