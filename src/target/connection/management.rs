//! Task management beyond the session that asks for it: the other sessions, the logical unit's
//! state, and the tasks that PREEMPT AND ABORT takes from others.

use std::sync::Arc;

use super::driver::Driver;
use crate::iscsi::session::{TmfFunction, tmf_response};
use crate::target::registry::Service;
use crate::target::session::{Abort, Order, SessionEntry, Signal};

/// Which tasks of other sessions a function is about.
enum Others {
    None,
    Lun,
    All,
}

impl Driver {
    /// Has the other sessions do their part of a function. This session's tasks are out of the
    /// way already.
    pub(super) fn manage(&mut self, itt: u32, function: TmfFunction, lun: u64) {
        let Some(attached) = self.commands.attached().cloned() else { return };
        let Some(service) = attached.service() else { return };
        let others = match function {
            TmfFunction::AbortTask | TmfFunction::AbortTaskSet => Others::None,
            TmfFunction::ClearTaskSet | TmfFunction::LogicalUnitReset => Others::Lun,
            TmfFunction::TargetWarmReset | TmfFunction::TargetColdReset => Others::All,
        };
        if !matches!(others, Others::All) && service.device.resolve(lun).is_err() {
            return self.session.management_done(itt, tmf_response::NO_LUN);
        }
        let done = Signal::new(&self.ends.entry, Order::Managed { itt, function, lun });
        let lun = match others {
            Others::None => return,
            Others::Lun => Some(lun),
            Others::All => None,
        };
        let clears = function == TmfFunction::ClearTaskSet;
        for session in self.other_sessions() {
            let cleared_by = clears.then(|| Arc::clone(&attached.nexus));
            session.order(Order::Abort(Abort { lun, cleared_by, done: Arc::clone(&done) }));
        }
    }

    fn other_sessions(&self) -> impl Iterator<Item = Arc<SessionEntry>> + use<> {
        let own = self.ends.entry.id;
        let target = self.ends.entry.key.target.as_deref();
        let sessions = target.map(|target| self.ends.shared.registry.sessions_of(target));
        sessions.into_iter().flatten().filter(move |session| session.id != own)
    }

    /// No session has tasks any more that a function is about: its effect on the logical unit,
    /// and its response. What is reported to a nexus comes after the end of its tasks, so that
    /// none of them ends without a word.
    pub(super) fn managed(&mut self, itt: u32, function: TmfFunction, lun: u64) {
        let Some(attached) = self.commands.attached() else { return };
        let Some(Service { device, .. }) = attached.service() else { return };
        let response = match function {
            // Who lost tasks has told itself.
            TmfFunction::AbortTask | TmfFunction::AbortTaskSet | TmfFunction::ClearTaskSet => {
                tmf_response::COMPLETE
            }
            TmfFunction::LogicalUnitReset => match device.reset_lun(lun) {
                Ok(_) => tmf_response::COMPLETE,
                Err(_) => tmf_response::NO_LUN,
            },
            TmfFunction::TargetWarmReset | TmfFunction::TargetColdReset => {
                device.reset_target();
                tmf_response::COMPLETE
            }
        };
        self.session.management_done(itt, response);
        if function == TmfFunction::TargetColdReset {
            const WHY: &str = "the target was reset";
            self.other_sessions().for_each(|session| session.order(Order::Close(WHY)));
            self.last_words = Some(WHY);
        }
    }

    /// Another session has this one's tasks aborted.
    pub(super) fn abort(&mut self, order: Abort) {
        let lost = self.session.abort(order.lun);
        if lost > 0
            && let (Some(by), Some(lun)) = (order.cleared_by, order.lun)
            && let Some(attached) = self.commands.attached()
            && let Some(service) = attached.service()
        {
            let own = attached.nexus.id();
            // An error means that the logical unit has gone, and nobody hears of it any more.
            let _gone = service.device.task_set_cleared(&by, lun, |nexus| nexus.id() == own);
        }
        self.done.push(order.done);
    }

    /// Has the tasks that a PREEMPT AND ABORT is about aborted; its own status waits for that.
    pub(super) fn preempt(&mut self) {
        while let Some((number, preempted)) = self.commands.next_preemption() {
            let Some(attached) = self.commands.attached().cloned() else { return };
            let done = Signal::new(&self.ends.entry, Order::Preempted(number));
            for session in self.other_sessions() {
                let nexus = session.nexus.get().map(|nexus| nexus.id());
                if nexus.is_some_and(|nexus| preempted.nexuses.contains(&nexus)) {
                    let cleared_by = Some(Arc::clone(&attached.nexus));
                    let lun = Some(u64::from(preempted.lun) << 48);
                    session.order(Order::Abort(Abort { lun, cleared_by, done: Arc::clone(&done) }));
                }
            }
        }
    }
}
