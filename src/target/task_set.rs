//! The order of the tasks of a target's logical units (SAM-5 8): one task set for each logical
//! unit, shared by all its sessions (TST=0).
//!
//! SIMPLE tasks pay one atomic load while no task with an order of its own is about. An ORDERED
//! one takes a position, from which on all other tasks are held back, each by its own session, and
//! asks the other sessions to say when what they have before that position has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::session::SessionEntry;
use crate::scsi::UnitId;

/// Tasks that have others wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Younger tasks wait for it.
    Ordered,
    /// As an ORDERED one; once it has begun, those at the head of the queue wait, too.
    Alone,
    /// All tasks that have not begun wait for it.
    HeadOfQueue,
}

struct Blocker {
    unit: UnitId,
    position: u64,
    kind: Kind,
    /// Of one that is alone: it has the logical unit for itself now.
    is_alone: bool,
}

#[derive(Default)]
struct State {
    /// Positions are given in the order of arrival.
    next: u64,
    blockers: Vec<Blocker>,
    members: Vec<Arc<SessionEntry>>,
}

/// The task sets of one target.
#[derive(Default)]
pub(super) struct TaskSets {
    /// How many blockers there are.
    blockers: AtomicUsize,
    state: Mutex<State>,
}

impl TaskSets {
    /// A session whose tasks are in these sets.
    pub(super) fn join(&self, session: &Arc<SessionEntry>) {
        self.state.lock().members.push(Arc::clone(session));
    }

    /// The other sessions that have tasks in these sets, or may have. One that is still logging in
    /// is none of them: nobody takes its orders before it joins, and it has no tasks.
    pub(super) fn others(&self, session: &SessionEntry) -> Vec<Arc<SessionEntry>> {
        let mut others = self.state.lock().members.clone();
        others.retain(|member| member.id != session.id);
        others
    }

    /// It has none any more.
    pub(super) fn leave(&self, session: &Arc<SessionEntry>) {
        self.state.lock().members.retain(|member| member.id != session.id);
    }

    /// True if no task has an order of its own: the others may go on.
    pub(super) fn is_plain(&self) -> bool {
        self.blockers.load(Ordering::Acquire) == 0
    }

    /// The position of a SIMPLE task; `None` if there is nothing to wait for.
    pub(super) fn line_up(&self, unit: UnitId) -> Option<u64> {
        let state = self.state.lock();
        state.blockers.iter().any(|blocker| blocker.unit == unit).then_some(state.next)
    }

    /// Enters a task that others have to wait for. Returns its position and the sessions there
    /// are: they see it from now on.
    pub(super) fn enter(&self, unit: UnitId, kind: Kind) -> (u64, Vec<Arc<SessionEntry>>) {
        let mut state = self.state.lock();
        let position = state.next;
        state.next += 1;
        state.blockers.push(Blocker { unit, position, kind, is_alone: false });
        self.blockers.store(state.blockers.len(), Ordering::SeqCst);
        (position, state.members.clone())
    }

    /// Such a task has ended: everyone looks at what has waited.
    pub(super) fn end(&self, position: u64) {
        let members = {
            let mut state = self.state.lock();
            state.blockers.retain(|blocker| blocker.position != position);
            self.blockers.store(state.blockers.len(), Ordering::SeqCst);
            state.members.clone()
        };
        for member in members {
            member.nudge();
        }
    }

    /// True while the task at `position` has others wait for it.
    pub(super) fn stands(&self, position: u64) -> bool {
        // Ascending, as positions are given under the lock.
        let state = self.state.lock();
        state.blockers.binary_search_by_key(&position, |blocker| blocker.position).is_ok()
    }

    /// True if nothing in the set stands before a task at `position` that has not begun: it
    /// begins now. `kind` is that with which it was entered.
    pub(super) fn may_begin(&self, unit: UnitId, position: u64, kind: Option<Kind>) -> bool {
        let mut state = self.state.lock();
        let is_before = |blocker: &Blocker| match kind {
            Some(Kind::HeadOfQueue) => blocker.is_alone,
            _ => blocker.kind == Kind::HeadOfQueue || blocker.position < position,
        };
        if state.blockers.iter().any(|blocker| blocker.unit == unit && is_before(blocker)) {
            return false;
        }
        // Under the same lock as the question: a task at the head of the queue comes before this
        // one, or finds it alone.
        if kind == Some(Kind::Alone)
            && let Ok(at) = state.blockers.binary_search_by_key(&position, |own| own.position)
        {
            state.blockers[at].is_alone = true;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::registry::Registry;
    use crate::target::session::{NewSession, SessionKey};

    fn entry(registry: &Registry, isid: u8) -> Arc<SessionEntry> {
        let key = SessionKey {
            target: Some("iqn.t".to_owned()),
            initiator: "iqn.i".to_owned(),
            isid: [isid; 6],
            portal_group: 1,
            discovery: None,
        };
        let peer = ([10, 0, 0, 1], 1).into();
        let new = NewSession { key, tsih: 0, params: Default::default(), peer };
        registry.begin(new).ok().unwrap()
    }

    #[test]
    fn who_is_logging_in_has_no_tasks_to_be_asked_for() {
        let (registry, sets) = (Registry::new(2), TaskSets::default());
        let (one, two) = (entry(&registry, 1), entry(&registry, 2));
        sets.join(&one);
        assert_eq!(registry.sessions_of("iqn.t").len(), 2);
        assert!(sets.others(&one).is_empty());
        sets.join(&two);
        assert!(sets.others(&one).iter().map(|other| other.id).eq([two.id]));
        sets.leave(&two);
        assert!(sets.others(&one).is_empty());
    }

    #[test]
    fn an_ordered_task_stands_between_older_and_younger_ones() {
        let sets = TaskSets::default();
        assert!(sets.is_plain());
        assert_eq!(sets.line_up(UnitId(0)), None);
        let (first, _) = sets.enter(UnitId(0), Kind::Ordered);
        let between = sets.line_up(UnitId(0)).unwrap();
        let (second, _) = sets.enter(UnitId(0), Kind::Ordered);
        let last = sets.line_up(UnitId(0)).unwrap();
        assert!(!sets.is_plain());
        assert_eq!(sets.line_up(UnitId(1)), None, "another logical unit");
        let (ordered, simple) = (Some(Kind::Ordered), None);
        let may_begin = |position, kind| sets.may_begin(UnitId(0), position, kind);
        assert!(may_begin(first, ordered) && !may_begin(between, simple));
        assert!(!may_begin(second, ordered) && !may_begin(last, simple));
        assert!(sets.stands(first) && sets.stands(second));
        sets.end(first);
        assert!(!sets.stands(first) && sets.stands(second));
        assert!(may_begin(between, simple) && may_begin(second, ordered));
        assert!(!may_begin(last, simple));
        sets.end(second);
        assert!(may_begin(last, simple) && sets.is_plain());
    }

    #[test]
    fn all_that_has_not_begun_waits_for_the_head_of_the_queue() {
        let sets = TaskSets::default();
        let (ordered, _) = sets.enter(UnitId(0), Kind::Ordered);
        let (head, _) = sets.enter(UnitId(0), Kind::HeadOfQueue);
        assert!(!sets.may_begin(UnitId(0), ordered, Some(Kind::Ordered)));
        assert!(sets.may_begin(UnitId(1), 9, None));
        sets.end(head);
        assert!(sets.may_begin(UnitId(0), ordered, Some(Kind::Ordered)));
    }

    #[test]
    fn what_is_alone_keeps_the_head_of_the_queue_waiting_from_its_beginning_on() {
        let sets = TaskSets::default();
        let (alone, head) = (Some(Kind::Alone), Some(Kind::HeadOfQueue));
        let (first, _) = sets.enter(UnitId(0), Kind::HeadOfQueue);
        let (erase, _) = sets.enter(UnitId(0), Kind::Alone);
        assert!(sets.may_begin(UnitId(0), first, head));
        assert!(!sets.may_begin(UnitId(0), erase, alone), "not beside it");
        let (second, _) = sets.enter(UnitId(0), Kind::HeadOfQueue);
        assert!(sets.may_begin(UnitId(0), second, head), "nothing is alone yet");
        sets.end(first);
        sets.end(second);
        assert!(sets.may_begin(UnitId(0), erase, alone));
        let (third, _) = sets.enter(UnitId(0), Kind::HeadOfQueue);
        assert!(!sets.may_begin(UnitId(0), third, head));
        assert!(sets.may_begin(UnitId(1), third, head), "another logical unit");
        sets.end(erase);
        assert!(sets.may_begin(UnitId(0), third, head));
    }
}
