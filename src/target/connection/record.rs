//! What is kept for a task of the session.

use std::time::Instant;

use smallvec::SmallVec;

use crate::block::{Buffer, Op, Span};
use crate::scsi::{Outcome, Prepared, Task, Transfer, UnitId};
use crate::target::budget::Lease;

/// Ranges kept apart for one task; a longer list becomes one range for each volume.
const SPANS_MAX: usize = 512;

/// What is kept for a task of the session.
#[derive(Default)]
pub(super) struct Record {
    /// Admitted, and waiting for its data.
    pub(super) prepared: Option<Prepared>,
    /// Data from the initiator.
    pub(super) buffer: Option<Buffer>,
    pub(super) lease: Option<Lease>,
    /// There was no memory for some of its data, which is lost.
    pub(super) refused: bool,
    /// It goes on without any more memory, and gives back what it has.
    pub(super) admitted: bool,
    pub(super) transfer: Option<Transfer>,
    /// The most bytes of data that it holds at a time.
    pub(super) memory: usize,
    pub(super) running: Option<Task>,
    /// In the task set of this logical unit, whose volume gets its operations.
    pub(super) unit: Option<UnitId>,
    /// It has, or has had, operations on the volumes of these logical units, too.
    pub(super) others: SmallVec<[UnitId; 1]>,
    /// The position in the task set at which others wait for it.
    pub(super) position: Option<u64>,
    /// By which its operations are known.
    pub(super) tag: u64,
    pub(super) flight: Flight,
    /// When it began, of one that is timed.
    pub(super) timed_since: Option<Instant>,
    /// It has ended, and waits for the tasks that it has preempted to be out of the way; with the
    /// number by which it is told.
    pub(super) preempting: Option<Box<(u64, Outcome)>>,
}

impl Record {
    /// It is in the task set of a logical unit, or has operations there.
    pub(super) fn touches(&self, unit: UnitId) -> bool {
        self.unit == Some(unit) || self.others.contains(&unit)
    }
}

/// The operations of a task that are with the volumes, or on their way there.
#[derive(Default)]
pub(super) struct Flight {
    outstanding: usize,
    /// What they may change, by the logical unit; with what those have changed that
    /// have ended, as long as there are others.
    written: SmallVec<[(UnitId, Span); 1]>,
    /// It waits for work that goes on beside it, and has no operations meanwhile.
    waits: bool,
}

impl Flight {
    /// One more.
    pub(super) fn add(&mut self, unit: UnitId, op: &Op) {
        self.outstanding += 1;
        if let Some(span) = Span::written_by(op) {
            if self.written.len() >= SPANS_MAX {
                self.coarsen();
            }
            self.written.push((unit, span));
        }
    }

    /// One completion will come of work that is no part of the task.
    pub(super) fn wait(&mut self) {
        self.waits = true;
    }

    /// It is still to come.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// One has ended.
    pub(super) fn end_one(&mut self) {
        if std::mem::take(&mut self.waits) {
            return;
        }
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.outstanding == 0 {
            self.written.clear();
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    pub(super) fn written(&self) -> &[(UnitId, Span)] {
        &self.written
    }

    /// One range for each volume instead of many.
    fn coarsen(&mut self) {
        let mut hulls: SmallVec<[(UnitId, Span); 1]> = SmallVec::new();
        for (unit, span) in self.written.drain(..) {
            match hulls.iter_mut().find(|(other, _)| *other == unit) {
                Some((_, hull)) => {
                    hull.start = hull.start.min(span.start);
                    hull.end = hull.end.max(span.end);
                }
                None => hulls.push((unit, span)),
            }
        }
        self.written = hulls;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_may_change_is_known_until_its_last_operation_has_ended() {
        let mut flight = Flight::default();
        flight.add(UnitId(0), &Op::Discard { offset: 8, len: 8 });
        flight.add(UnitId(1), &Op::Flush);
        flight.end_one();
        assert_eq!(flight.written(), [(UnitId(0), Span { start: 8, end: 16 })]);
        flight.end_one();
        assert_eq!((flight.outstanding(), flight.written()), (0, &[][..]));
    }

    #[test]
    fn a_long_list_stays_short_and_covers_all() {
        let mut flight = Flight::default();
        for i in 0..10_000u64 {
            let unit = UnitId(i % 2);
            flight.add(unit, &Op::Discard { offset: i * 100, len: 10 });
        }
        assert!(flight.written().len() <= SPANS_MAX + 1);
        for unit in 0..2u64 {
            let of_unit = flight.written().iter().filter(|(of, _)| *of == UnitId(unit));
            let ends = of_unit.map(|(_, span)| (span.start, span.end));
            let (first, last) = ends.fold((u64::MAX, 0), |(a, b), (s, e)| (a.min(s), b.max(e)));
            assert_eq!((first, last), (unit * 100, (9_998 + unit) * 100 + 10));
        }
    }
}
