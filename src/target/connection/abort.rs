//! Aborted tasks: nothing more of them is submitted, and what a volume already has is fenced.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::commands::Commands;
use super::record::Record;
use crate::block::{Completion, Ghost, Spans};
use crate::iscsi::session::TaskId;
use crate::scsi::UnitId;
use crate::target::backing::Service;
use crate::target::budget::Lease;

/// Aborted tasks of one session that may be in the store; more commands are not begun meanwhile.
/// A command window can be filled and aborted some times over before that.
const DEPARTED_MAX: usize = 1024;

/// What is left of an aborted task: operations that a volume has.
struct Departed {
    outstanding: usize,
    /// With whose volume they are.
    unit: Option<UnitId>,
    /// And with these.
    others: SmallVec<[UnitId; 1]>,
    ghosts: SmallVec<[Ghost; 1]>,
    /// The volume still has its data.
    lease: Option<Lease>,
}

/// The aborted tasks of a session that still have operations in a volume.
#[derive(Default)]
pub(super) struct Afterlife {
    /// By the tag of the operations.
    departed: HashMap<u64, Departed>,
    /// Tags of aborted tasks that waited for work in the background, which goes on and will say
    /// that it has ended: at most one for each logical unit. Nothing waits for that.
    unawaited: Vec<u64>,
    /// Goes into tags: grows with each task that departs, so that no later task has its tag.
    epoch: u32,
}

impl Afterlife {
    /// The tag for the operations of a task that begins now.
    pub(super) fn tag(&self, id: TaskId) -> u64 {
        u64::from(self.epoch) << 32 | u64::from(id.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.departed.is_empty()
    }

    /// No more commands are to be begun.
    pub(super) fn is_full(&self) -> bool {
        self.departed.len() >= DEPARTED_MAX
    }

    /// Leases that do not come back while the store hangs.
    pub(super) fn leases(&self) -> usize {
        self.departed.values().filter(|departed| departed.lease.is_some()).count()
    }

    fn depart(&mut self, record: Record, outstanding: usize, service: &Service) {
        let mut by_unit: SmallVec<[(UnitId, Spans); 1]> = SmallVec::new();
        for (unit, span) in record.flight.written() {
            match by_unit.iter_mut().find(|(other, _)| other == unit) {
                Some((_, spans)) => spans.push(*span),
                None => by_unit.push((*unit, SmallVec::from_elem(*span, 1))),
            }
        }
        let volumes = service.volumes();
        let haunt = |(unit, spans): (UnitId, Spans)| {
            let at = volumes.binary_search_by_key(&unit, |(unit, _)| *unit).ok()?;
            Some(volumes[at].1.haunt(spans))
        };
        let departed = Departed {
            outstanding,
            unit: record.unit,
            others: record.others,
            ghosts: by_unit.into_iter().filter_map(haunt).collect(),
            lease: record.lease,
        };
        self.departed.insert(record.tag, departed);
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Only the waiting of a task has ended, not what it waited for.
    fn wait_no_more(&mut self, tag: u64) {
        self.unawaited.push(tag);
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// True while a volume of these logical units may have something of them to do.
    pub(super) fn uses_any(&self, units: &[UnitId]) -> bool {
        self.departed.values().any(|departed| {
            departed.unit.iter().chain(&departed.others).any(|unit| units.contains(unit))
        })
    }

    /// An operation of an aborted task has ended, or what it waited for. False: there is no such
    /// task.
    pub(super) fn end_one(&mut self, tag: u64) -> bool {
        if let Some(at) = self.unawaited.iter().position(|unawaited| *unawaited == tag) {
            self.unawaited.swap_remove(at);
            return true;
        }
        let Some(departed) = self.departed.get_mut(&tag) else { return false };
        departed.outstanding -= 1;
        if departed.outstanding == 0
            && let Some(departed) = self.departed.remove(&tag)
        {
            departed.ghosts.into_iter().for_each(Ghost::ended);
        }
        true
    }
}

impl Commands {
    /// The session has dropped a task: nothing of it reaches the disk from now on, as far as
    /// anyone can see.
    pub(super) fn forget(&mut self, id: TaskId) {
        self.waiting.retain(|waiting| *waiting != id);
        let Some(record) = self.take_record(id) else { return };
        let Some(attached) = self.attached.clone() else { return };
        let Some(service) = attached.service() else { return };
        if record.flight.waits() {
            return self.afterlife.wait_no_more(record.tag);
        }
        if record.flight.outstanding() == 0 {
            return;
        }
        let taken_back = self.take_back(record.tag, service);
        let outstanding = record.flight.outstanding().saturating_sub(taken_back);
        if outstanding > 0 {
            self.afterlife.depart(record, outstanding, service);
        }
    }

    /// Takes back the operations of a task that no volume has yet. Returns how many there were.
    fn take_back(&mut self, tag: u64, service: &Service) -> usize {
        let mut count = 0;
        for (_, requests) in &mut self.requests {
            let before = requests.len();
            requests.retain(|request| request.tag != tag);
            count += before - requests.len();
        }
        let volumes = service.volumes();
        let held = volumes.iter().map(|(_, volume)| volume.cancel(&self.queue, tag));
        let held: usize = held.sum();
        // No completion will come for these.
        self.out = self.out.saturating_sub(held);
        count + held
    }

    /// True while a volume works on tasks that were aborted.
    pub(super) fn is_draining(&self) -> bool {
        !self.afterlife.is_empty()
    }

    /// After the end of the session: operations that have ended.
    pub(super) fn drained(&mut self, completions: &mut Vec<Completion>) {
        for Completion { tag, .. } in completions.drain(..) {
            self.completed_late(tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::backend::memory::MemoryVolume;
    use crate::block::{Buffer, CompletionQueue, Limits, Op, Rates, Request, Volume};
    use crate::target::backing::{Backing, Fences};
    use crate::target::budget::Budget;
    use crate::target::spec::Lun;

    #[test]
    fn who_was_taken_back_is_not_waited_for() {
        // One byte a second: what comes after the first waits.
        let total = Rates { operations: None, bytes: Some(1) };
        let limits = Limits { total, burst: Duration::from_secs(1), ..Limits::default() };
        let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(1 << 20, false));
        let lun = Lun {
            number: 0,
            volume: Some(volume),
            identity: "d".into(),
            block_bytes: 512,
            read_only: false,
            limits,
        };
        let fences = Fences::default();
        let backing = Backing::new("iqn.2026-11.test:d", std::slice::from_ref(&lun), &fences);
        drop(fences.limit(&[lun]));
        let service = backing.service.as_ref().unwrap();
        let (queue, budget) = (Arc::new(CompletionQueue::new()), Budget::new(1 << 20));
        let mut commands = Commands::new(None, &budget, Arc::clone(&queue), Duration::MAX);
        let volumes = service.volumes();
        let ask = |commands: &mut Commands, tag| {
            let op = Op::Read { offset: 0, buf: Buffer::unfilled(512) };
            let (mut requests, mut done) = (vec![Request { tag, op }], Vec::new());
            volumes[0].1.submit(&mut requests, &mut done, &queue);
            commands.out += 1 - done.len();
        };
        ask(&mut commands, 1);
        assert!(!commands.are_waiting(), "the first one passes");
        (2..5).for_each(|tag| ask(&mut commands, tag));
        assert!(commands.are_waiting());
        for tag in 2..5 {
            assert_eq!(commands.take_back(tag, service), 1);
        }
        assert!(!commands.are_waiting(), "nothing will come of them");
    }
}
