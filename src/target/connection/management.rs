//! Task management beyond the session that asks for it: the other sessions, the logical unit's
//! state, and the tasks that PREEMPT AND ABORT takes from others.

use std::sync::Arc;

use super::driver::Driver;
use crate::iscsi::session::{TmfFunction, tmf_response};
use crate::target::session::{Abort, Effect, Order, SessionEntry, Signal};

/// Whose tasks, beside this session's, a function is about.
enum Others {
    /// Nobody's.
    None,
    /// All on its logical unit.
    Lun,
    /// All on all logical units.
    All,
}

fn others(function: TmfFunction) -> Others {
    match function {
        TmfFunction::AbortTask
        | TmfFunction::AbortTaskSet
        | TmfFunction::QueryTask
        | TmfFunction::QueryTaskSet
        | TmfFunction::QueryAsynchronousEvent
        | TmfFunction::ItNexusReset => Others::None,
        TmfFunction::ClearTaskSet | TmfFunction::LogicalUnitReset => Others::Lun,
        TmfFunction::TargetWarmReset | TmfFunction::TargetColdReset => Others::All,
    }
}

/// A function that is for a logical unit, which has to be there.
fn is_for_unit(function: TmfFunction) -> bool {
    !matches!(
        function,
        TmfFunction::TargetWarmReset | TmfFunction::TargetColdReset | TmfFunction::ItNexusReset
    )
}

impl Driver {
    /// Has the other sessions do their part of a function. This session's tasks are out of the
    /// way already.
    pub(super) fn manage(&mut self, itt: u32, function: TmfFunction, lun: u64) {
        let Some(attached) = self.commands.attached().cloned() else { return };
        let Some(service) = attached.service() else { return };
        if function == TmfFunction::QueryAsynchronousEvent
            && let Ok(Some(event)) = service.device.asynchronous_event(&attached.nexus, lun)
        {
            return self.session.management_succeeded(itt, event);
        }
        if is_for_unit(function) && service.device.resolve(lun).is_err() {
            return self.session.management_done(itt, tmf_response::NO_LUN);
        }
        let lun_of_others = match others(function) {
            Others::None => None,
            Others::Lun => Some(lun),
            Others::All => None,
        };
        if let Some(lun) = lun_of_others {
            self.cut_off(lun);
        }
        let others: Vec<_> = match others(function) {
            Others::None => Vec::new(),
            Others::Lun | Others::All => service.task_sets.others(&self.ends.entry),
        };
        let all = self.other_sessions().collect();
        let effect = Effect::new(function, lun, &attached.backing, all);
        if others.is_empty() {
            return self.managed(itt, effect);
        }
        let done = Signal::new(&self.ends.entry, Order::Managed { itt, effect });
        for session in others {
            let (lun, done) = (lun_of_others, Arc::clone(&done));
            session.order(Order::Abort(Abort { lun, done }));
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
    pub(super) fn managed(&mut self, itt: u32, mut effect: Effect) {
        self.session.management_done(itt, effect.take_place());
    }

    /// Tasks that were sent elsewhere and have operations on a logical unit whose own are aborted.
    fn cut_off(&mut self, lun: u64) {
        let Some(attached) = self.commands.attached() else { return };
        if let Some(unit) = attached.service().and_then(|service| service.device.unit(lun).ok()) {
            self.commands.cut_off(unit, &mut self.session);
        }
    }

    /// Another session has this one's tasks aborted: they end with TASK ABORTED (TAS=1, SPC-4
    /// 7.5.8). What the initiator still has to send of their data it may send first. Commands that
    /// have not come to their turn are in no task set yet.
    pub(super) fn abort(&mut self, order: Abort) {
        // What these events are about must not have ended before them.
        self.take_events();
        for id in self.session.tasks_in_set(order.lun) {
            self.commands.abort_for_another(id, &mut self.session);
        }
        if let Some(lun) = order.lun {
            self.cut_off(lun);
        }
        self.done.push(order.done);
    }

    /// Tasks have ended with their connection, and the nexus goes on with others.
    pub(super) fn tasks_cleared(&self, lun: u64) {
        if let Some(attached) = self.commands.attached()
            && let Some(service) = attached.service()
        {
            // An error means that the logical unit has gone, and nobody hears of it any more.
            let _gone = service.device.cleared_by_protocol(&attached.nexus, lun);
        }
    }

    /// Has the tasks that a PREEMPT AND ABORT is about aborted; its own status waits for that.
    pub(super) fn preempt(&mut self) {
        while let Some((number, preempted)) = self.commands.next_preemption() {
            let Some(attached) = self.commands.attached().cloned() else { return };
            let Some(service) = attached.service() else { return };
            let done = Signal::new(&self.ends.entry, Order::Preempted(number));
            for session in service.task_sets.others(&self.ends.entry) {
                let nexus = session.lease().map(|lease| lease.nexus.id());
                if nexus.is_some_and(|nexus| preempted.nexuses.contains(&nexus)) {
                    let lun = Some(preempted.lun_field());
                    session.order(Order::Abort(Abort { lun, done: Arc::clone(&done) }));
                }
            }
        }
    }
}
