//! Tasks that have others wait for their turn, and do not get their data from their initiator.
//!
//! An ORDERED or HEAD OF QUEUE task, and each task before an ORDERED one, holds up the other
//! sessions of a logical unit. An initiator that does not send the data that it was asked for must
//! not do so for good: after a while such a task ends, with INITIATOR RESPONSE TIMEOUT. Whom nobody
//! waits for may take as long as it likes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::{Instant, Sleep};

use super::commands::{Commands, DriverSession};
use crate::iscsi::session::TaskId;
use crate::scsi::{Asc, Outcome, Sense, SenseKey};

/// The tasks that have others wait for the data of their initiator.
#[derive(Default)]
pub(super) struct Overdue {
    /// With the end of their time, which is never put off.
    tasks: Vec<(TaskId, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Overdue {
    /// A task has ended.
    pub(super) fn forget(&mut self, id: TaskId) {
        self.tasks.retain(|(task, _)| *task != id);
    }

    /// Takes note of which tasks there are now; those that are new have `limit` from `now` on.
    fn note(&mut self, waiting: &[TaskId], now: Instant, limit: Duration) {
        self.tasks.retain(|(task, _)| waiting.contains(task));
        for id in waiting {
            if self.tasks.iter().all(|(task, _)| task != id) {
                self.tasks.push((*id, now + limit));
            }
        }
    }

    /// Those whose time is over.
    fn due(&self, now: Instant) -> SmallVec<[TaskId; 4]> {
        self.tasks.iter().filter(|(_, end)| *end <= now).map(|(id, _)| *id).collect()
    }

    /// Has the session looked at again when the first time is over. True if it is already.
    fn set_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(end) = self.tasks.iter().map(|(_, end)| *end).min() else {
            self.timer = None;
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if timer.deadline() != end {
            timer.as_mut().reset(end);
        }
        timer.as_mut().poll(cx) == Poll::Ready(())
    }
}

impl Commands {
    /// Ends tasks that have had others wait for their data for too long. True if there were any.
    pub(super) fn end_overdue(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut DriverSession,
    ) -> bool {
        if self.line.is_empty() {
            self.line.overdue.timer = None;
            return false;
        }
        let (now, limit) = (Instant::now(), self.data_timeout);
        let waiting = self.wanting_data();
        self.line.overdue.note(&waiting, now, limit);
        for id in self.line.overdue.due(now) {
            let asc = Asc::INITIATOR_RESPONSE_TIMEOUT;
            let sense = Sense::new(SenseKey::AbortedCommand, asc);
            self.finish(id, Outcome::check(sense), session);
        }
        self.line.overdue.set_timer(cx)
    }

    /// The tasks that wait for data of the initiator, and that others wait for.
    fn wanting_data(&self) -> SmallVec<[TaskId; 4]> {
        let records = self.records.iter().enumerate();
        let wanting = records.filter_map(|(i, record)| {
            let record = record.as_ref()?;
            // What has all its data begins as soon as it is admitted.
            let wants_data = record.admitted && record.prepared.is_some();
            wants_data.then_some(TaskId(u32::try_from(i).ok()?))
        });
        wanting.filter(|id| self.line.waits_for(*id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn the_time_of_a_task_runs_from_when_others_wait_for_it_on() {
        let (mut overdue, start) = (Overdue::default(), Instant::now());
        let (one, two) = (TaskId(1), TaskId(2));
        overdue.note(&[one], start, LIMIT);
        overdue.note(&[one, two], start + LIMIT / 2, LIMIT);
        assert!(overdue.due(start + LIMIT * 9 / 10).is_empty());
        assert_eq!(overdue.due(start + LIMIT)[..], [one]);
        assert_eq!(overdue.due(start + LIMIT * 3 / 2)[..], [one, two]);
    }

    #[test]
    fn who_has_its_data_and_a_task_of_the_same_number_begin_anew() {
        let (mut overdue, start) = (Overdue::default(), Instant::now());
        let one = TaskId(1);
        overdue.note(&[one], start, LIMIT);
        overdue.note(&[], start + LIMIT / 2, LIMIT);
        overdue.note(&[one], start + LIMIT / 2, LIMIT);
        assert!(overdue.due(start + LIMIT).is_empty());
        overdue.forget(one);
        overdue.note(&[one], start + LIMIT, LIMIT);
        assert!(overdue.due(start + LIMIT * 3 / 2).is_empty());
        assert_eq!(overdue.due(start + LIMIT * 2)[..], [one]);
    }
}
