//! Task attributes (SAM-5 8): which new command begins when.
//!
//! A command is held back before it is looked at, so that what it is checked against (reservations,
//! unit attentions) is what it finds at its turn.

use std::sync::Arc;

use super::commands::{Commands, DriverSession};
use super::overdue::Overdue;
use crate::iscsi::session::TaskId;
use crate::scsi::{TaskAttribute, UnitId, begins_alone};
use crate::target::backing::Service;
use crate::target::session::{Order, SessionEntry, Signal};
use crate::target::task_set::{Kind, TaskSets};

/// A command that has not begun.
struct Dormant {
    id: TaskId,
    unit: UnitId,
    /// Its place among the tasks of all sessions.
    position: u64,
    /// What it is to others; `None`: one that nobody waits for.
    kind: Option<Kind>,
    /// For an ORDERED one: tasks of this session before it that have not ended.
    older: Vec<TaskId>,
    /// For an ORDERED one: other sessions have tasks before it.
    others: bool,
}

/// An ORDERED task of another session waits for tasks of this one.
struct Barrier {
    /// Of the ORDERED task.
    position: u64,
    older: Vec<TaskId>,
    _done: Arc<Signal>,
}

/// What the order of the task sets makes wait.
#[derive(Default)]
pub(super) struct Line {
    dormant: Vec<Dormant>,
    barriers: Vec<Barrier>,
    /// Tasks of this session that have a position at which others wait for them.
    waited_for: Vec<TaskId>,
    pub(super) overdue: Overdue,
}

impl Line {
    /// A task has ended, whichever way.
    pub(super) fn left(&mut self, id: TaskId) {
        if self.is_empty() {
            return;
        }
        self.overdue.forget(id);
        self.hold_back_no_more(id);
        self.dormant.retain(|dormant| dormant.id != id);
        for dormant in &mut self.dormant {
            dormant.older.retain(|older| *older != id);
        }
        for barrier in &mut self.barriers {
            barrier.older.retain(|older| *older != id);
        }
        self.barriers.retain(|barrier| !barrier.older.is_empty());
    }

    /// True if no task has another wait for its turn, as far as this session knows.
    pub(super) fn is_empty(&self) -> bool {
        self.dormant.is_empty() && self.barriers.is_empty() && self.waited_for.is_empty()
    }

    /// True if others wait, or may wait, for a task to end.
    pub(super) fn waits_for(&self, id: TaskId) -> bool {
        let mut older = self.dormant.iter().map(|dormant| &dormant.older);
        self.waited_for.contains(&id)
            || older.any(|older| older.contains(&id))
            || self.barriers.iter().any(|barrier| barrier.older.contains(&id))
    }

    /// A task goes on without its position.
    pub(super) fn hold_back_no_more(&mut self, id: TaskId) {
        self.waited_for.retain(|waited_for| *waited_for != id);
    }

    /// Keeps a barrier until its tasks have ended. Those of ORDERED tasks that were aborted go:
    /// there are never more than such tasks, and one.
    fn put_up(&mut self, barrier: Barrier, sets: &TaskSets) {
        self.barriers.retain(|barrier| sets.stands(barrier.position));
        self.barriers.push(barrier);
    }
}

impl Commands {
    /// A new command: looked at now, or when the order of the task set has it.
    pub(super) fn arrive(&mut self, id: TaskId, session: &mut DriverSession) {
        let Some(command) = session.command(id) else { return };
        let Some(attached) = self.attached.clone() else { return };
        let Some(service) = attached.service() else { return };
        let kind = match attribute(command.attribute) {
            _ if begins_alone(&command.cdb) => Some(Kind::Alone),
            TaskAttribute::Simple | TaskAttribute::Aca => None,
            TaskAttribute::Ordered => Some(Kind::Ordered),
            TaskAttribute::HeadOfQueue => Some(Kind::HeadOfQueue),
        };
        let is_plain = kind.is_none() && service.task_sets.is_plain();
        let unit = if is_plain { None } else { service.device.unit(command.lun).ok() };
        if unit.is_none_or(|unit| self.may_begin_now(id, kind, unit, service)) {
            self.admit(id, session);
        }
    }

    /// Takes a command into the task set. False: it has to wait.
    fn may_begin_now(
        &mut self,
        id: TaskId,
        kind: Option<Kind>,
        unit: UnitId,
        service: &Service,
    ) -> bool {
        let sets = &service.task_sets;
        let Some(waited_for) = kind else {
            let Some(position) = sets.line_up(unit) else { return true };
            self.record(id).unit = Some(unit);
            let dormant = Dormant { id, unit, position, kind, older: Vec::new(), others: false };
            self.line.dormant.push(dormant);
            return false;
        };
        let is_first = waited_for == Kind::HeadOfQueue;
        let older = if is_first { Vec::new() } else { self.tasks_before(unit, u64::MAX) };
        let (position, members) = sets.enter(unit, waited_for);
        let record = self.record(id);
        (record.unit, record.position) = (Some(unit), Some(position));
        self.line.waited_for.push(id);
        if is_first && sets.may_begin(unit, position, kind) {
            return true;
        }
        let others = !is_first && self.ask_others(&members, unit, position);
        self.line.dormant.push(Dormant { id, unit, position, kind, older, others });
        false
    }

    /// Asks the other sessions to say when what they have before `position` has ended. False if
    /// there are none.
    fn ask_others(&self, members: &[Arc<SessionEntry>], unit: UnitId, position: u64) -> bool {
        let Some(attached) = &self.attached else { return false };
        let mut others = members.iter().filter(|member| member.id != attached.entry.id).peekable();
        if others.peek().is_none() {
            return false;
        }
        let signal = Signal::new(&attached.entry, Order::BarrierReached(position));
        for other in others {
            other.order(Order::Barrier { unit, position, done: Arc::clone(&signal) });
        }
        true
    }

    /// The tasks of this session in a task set that are before a position.
    fn tasks_before(&self, unit: UnitId, position: u64) -> Vec<TaskId> {
        let in_set = self.records.iter().enumerate().filter_map(|(i, record)| {
            let record = record.as_ref().filter(|record| record.touches(unit))?;
            Some((TaskId(u32::try_from(i).ok()?), record.position))
        });
        in_set
            .filter(|(id, own)| {
                let dormant = self.line.dormant.iter().find(|dormant| dormant.id == *id);
                let is_after = match (own, dormant) {
                    (Some(own), _) => *own > position,
                    // It waits for all that are before its place.
                    (None, Some(dormant)) => dormant.position > position,
                    (None, None) => false,
                };
                !is_after
            })
            .map(|(id, _)| id)
            .collect()
    }

    /// An ORDERED task of another session has taken a position.
    pub(super) fn barrier(&mut self, unit: UnitId, position: u64, done: Arc<Signal>) {
        let Some(service) = self.attached.as_ref().and_then(|attached| attached.service()) else {
            return;
        };
        let older = self.tasks_before(unit, position);
        if !older.is_empty() {
            let barrier = Barrier { position, older, _done: done };
            self.line.put_up(barrier, &service.task_sets);
        }
    }

    /// The other sessions are done with what is before an ORDERED task of this one.
    pub(super) fn others_done(&mut self, position: u64) {
        for dormant in &mut self.line.dormant {
            if dormant.position == position {
                dormant.others = false;
            }
        }
    }

    /// Begins what has nothing to wait for any more. True if there was anything.
    pub(super) fn wake_dormant(&mut self, session: &mut DriverSession) -> bool {
        if self.line.dormant.is_empty() {
            return false;
        }
        let Some(attached) = self.attached.clone() else { return false };
        let Some(service) = attached.service() else { return false };
        let (mut woken, mut i) = (false, 0);
        while let Some(dormant) = self.line.dormant.get(i) {
            let Dormant { id, unit, position, kind, ref older, others } = *dormant;
            if older.is_empty() && !others && service.task_sets.may_begin(unit, position, kind) {
                self.line.dormant.remove(i);
                self.admit(id, session);
                woken = true;
            } else {
                i += 1;
            }
        }
        woken
    }
}

/// The task attribute of the wire (RFC 7143 11.3.1); untagged counts as simple.
pub(super) fn attribute(wire: u8) -> TaskAttribute {
    match wire {
        2 => TaskAttribute::Ordered,
        3 => TaskAttribute::HeadOfQueue,
        4 => TaskAttribute::Aca,
        _ => TaskAttribute::Simple,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iscsi::login::SessionParams;
    use crate::target::session::{NewSession, SessionKey};

    #[test]
    fn ordered_tasks_of_others_that_were_aborted_leave_nothing_behind() {
        let (sets, mut line) = (TaskSets::default(), Line::default());
        let entry = SessionEntry::new(
            1,
            1,
            NewSession {
                key: SessionKey {
                    target: None,
                    initiator: "iqn.2026-07.example:host".into(),
                    isid: [0; 6],
                    portal_group: 1,
                    discovery: None,
                },
                tsih: 0,
                params: SessionParams::default(),
                peer: ([127, 0, 0, 1], 1).into(),
            },
        );
        let (stays, _) = sets.enter(UnitId(0), Kind::Ordered);
        for i in 0..1000 {
            let position = if i == 0 { stays } else { sets.enter(UnitId(0), Kind::Ordered).0 };
            let _done = Signal::new(&entry, Order::BarrierReached(position));
            line.put_up(Barrier { position, older: vec![TaskId(7)], _done }, &sets);
            if i > 0 {
                sets.end(position);
            }
        }
        assert!(line.barriers.len() <= 2 && line.barriers[0].position == stays);
        line.left(TaskId(7));
        assert!(line.barriers.is_empty());
    }
}
