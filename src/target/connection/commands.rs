//! The commands of one connection between the session and the volumes: their data, their
//! execution, their memory.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use super::abort::Afterlife;
use super::ordering::{Line, attribute};
use super::read_data::ReadData;
use super::record::Record;
use crate::block::{Buffer, Completion as BlockCompletion, CompletionQueue, ErrorKind, Request};
use crate::iscsi::session::{self, Completion, Session, TaskId, Transferred};
use crate::scsi::{
    Admission, Asc, Command, DataIn, Nexus, Ops, Outcome, Preempted, Sense, SenseKey, Status, Step,
    Transfer, UnitId,
};
use crate::target::background;
use crate::target::backing::{Backing, Service};
use crate::target::budget::{Budget, Claim, Share};
use crate::target::session::{Counters, SessionEntry};

/// Status qualifier of a command that is to be tried again: in how many units of 100 ms, for this
/// logical unit (SAM-5 5.3.2).
const RETRY_DELAY: u16 = 1;

/// A session whose reads carry the driver's data.
pub(super) type DriverSession = Session<ReadData>;

/// What the commands of a normal session run against.
pub(super) struct Attached {
    pub(super) backing: Arc<Backing>,
    pub(super) nexus: Arc<Nexus>,
    pub(super) entry: Arc<SessionEntry>,
}

impl Attached {
    /// The device and its volumes; a session is only made while they are there.
    pub(super) fn service(&self) -> Option<&Service> {
        self.backing.service.as_ref()
    }
}

/// The commands of one connection.
pub(super) struct Commands {
    /// `None` in a discovery session, which has no commands.
    pub(super) attached: Option<Rc<Attached>>,
    memory: Rc<Share>,
    pub(super) queue: Arc<CompletionQueue>,
    /// By the task's number.
    pub(super) records: Vec<Option<Record>>,
    /// Commands that wait for their turn.
    pub(super) line: Line,
    /// Commands that wait for memory, oldest first.
    pub(super) waiting: VecDeque<TaskId>,
    /// What goes to the volume of each logical unit at the end of the turn; ascending.
    pub(super) requests: Vec<(UnitId, Vec<Request>)>,
    /// Aborted tasks that a volume still works on.
    pub(super) afterlife: Afterlife,
    /// Tasks to be aborted before commands can be answered, with the numbers of these.
    preemptions: Vec<(u64, Box<Preempted>)>,
    preemption_count: u64,
    ops: Ops,
    done: Vec<BlockCompletion>,
    /// Completions that are to come.
    pub(super) out: usize,
    /// How long a task may have others wait for data of the initiator.
    pub(super) data_timeout: Duration,
}

impl Commands {
    pub(super) fn new(
        attached: Option<Rc<Attached>>,
        budget: &Rc<Budget>,
        queue: Arc<CompletionQueue>,
        data_timeout: Duration,
    ) -> Self {
        Self {
            attached,
            memory: budget.share(),
            queue,
            records: Vec::new(),
            line: Line::default(),
            waiting: VecDeque::new(),
            requests: Vec::new(),
            afterlife: Afterlife::default(),
            preemptions: Vec::new(),
            preemption_count: 0,
            ops: Ops::new(),
            done: Vec::new(),
            out: 0,
            data_timeout,
        }
    }

    pub(super) fn record(&mut self, id: TaskId) -> &mut Record {
        let index = id.0 as usize;
        if self.records.len() <= index {
            self.records.resize_with(index + 1, || None);
        }
        self.records[index].get_or_insert_default()
    }

    /// A task has ended, whichever way: what was kept for it.
    pub(super) fn take_record(&mut self, id: TaskId) -> Option<Record> {
        let record = self.records.get_mut(id.0 as usize)?.take()?;
        self.line.left(id);
        if let Some(position) = record.position
            && let Some(service) = self.attached.as_ref().and_then(|attached| attached.service())
        {
            service.task_sets.end(position);
        }
        Some(record)
    }

    /// The data of a task that is on its way.
    pub(super) fn buffer(&mut self, id: TaskId) -> Option<&mut Buffer> {
        self.records.get_mut(id.0 as usize)?.as_mut()?.buffer.as_mut()
    }

    /// Makes sure that `len` bytes at `offset` of a task's data have a place. False: there is no
    /// memory, and the command will be answered with TASK SET FULL.
    pub(super) fn make_room(
        &mut self,
        id: TaskId,
        offset: u32,
        len: usize,
        session: &mut DriverSession,
    ) -> bool {
        let end = offset as usize + len;
        let Some(command) = session.command(id) else { return false };
        let expected = command.expected_length;
        let record = self.record(id);
        if record.buffer.as_ref().is_some_and(|buffer| buffer.len() >= end) {
            return true;
        }
        // All at once, where it is known how much it will be.
        let whole = match record.transfer {
            Some(Transfer::Out { bytes }) => bytes.min(expected.into()),
            _ => session.params().first_burst_length.min(expected).into(),
        };
        let bytes = usize::try_from(whole).unwrap_or(usize::MAX).max(end);
        // What is only kept to be sent again goes first.
        let lent = self.lend(id, bytes, Claim::Fair)
            || (session.forget_data() && self.lend(id, bytes, Claim::Fair));
        if !lent {
            self.memory.call_in();
            self.record(id).refused = true;
            return false;
        }
        self.record(id).buffer.get_or_insert_with(|| Buffer::unfilled(0)).grow(bytes);
        true
    }

    /// Gives a task `bytes` of memory in all.
    fn lend(&mut self, id: TaskId, bytes: usize, claim: Claim) -> bool {
        let bytes = Buffer::footprint(bytes);
        if let Some(lease) = &mut self.record(id).lease {
            return lease.extend_to(bytes, claim);
        }
        let lease = self.memory.lend(bytes, claim);
        let lent = lease.is_some();
        self.record(id).lease = lease;
        lent
    }

    /// Decides on a command whose turn has come.
    pub(super) fn admit(&mut self, id: TaskId, session: &mut DriverSession) {
        let Some(command) = session.command(id) else { return };
        let Some(attached) = self.attached.clone() else { return };
        let Some(service) = attached.service() else { return };
        let scsi_command = Command {
            lun: command.lun,
            cdb: &command.cdb,
            attribute: attribute(command.attribute),
            data_out_bytes: if command.write { command.expected_length.into() } else { 0 },
        };
        match service.device.admit(&attached.nexus, &scsi_command) {
            Admission::Done(outcome) => self.finish(id, outcome, session),
            Admission::Run(_) if self.afterlife.is_full() => {
                self.finish(id, Outcome::status(Status::TaskSetFull), session);
            }
            Admission::Run(prepared) => {
                let record = self.record(id);
                record.transfer = Some(prepared.transfer());
                record.memory = usize::try_from(prepared.memory_bytes()).unwrap_or(usize::MAX);
                record.unit = Some(prepared.unit());
                record.timed_since = attached.entry.start_timing();
                record.prepared = Some(prepared);
                self.waiting.push_back(id);
                self.serve_waiting(session);
            }
        }
    }

    /// Lets commands go on in the order they came, as far as there is memory for their data. To
    /// be called when some may have come back.
    pub(super) fn serve_waiting(&mut self, session: &mut DriverSession) {
        while let Some(&id) = self.waiting.front() {
            if session.command(id).is_none() {
                self.waiting.pop_front();
                continue;
            }
            let record = self.record(id);
            let size = record.memory;
            let out = match record.transfer {
                Some(Transfer::Out { bytes }) => bytes,
                _ => 0,
            };
            let refused = record.refused;
            let lent = size == 0 || (!refused && self.lend(id, size, Claim::Fair));
            if !lent && !refused {
                // What is only kept to be sent again goes first.
                if session.forget_data() {
                    continue;
                }
                self.memory.call_in();
                if self.will_come_back() {
                    return;
                }
            }
            self.waiting.pop_front();
            if refused || (!lent && !self.lend(id, size, Claim::All)) {
                self.finish(id, Outcome::status(Status::TaskSetFull), session);
                continue;
            }
            self.record(id).admitted = true;
            if session.admitted(id, out) {
                self.start(id, session);
            }
        }
    }

    /// Gives up what is only kept to be sent again, if another connection is short of memory. True
    /// if there was any.
    pub(super) fn give_back_spare(
        &self,
        session: &mut DriverSession,
        cx: &mut Context<'_>,
    ) -> bool {
        session.keeps_data() && self.memory.holds_spare(cx.waker()) && session.forget_data()
    }

    /// True if memory that this connection holds comes back without any more being lent: that of
    /// commands which go on, and of data on its way to the initiator. (That of aborted ones may be
    /// long in coming.)
    fn will_come_back(&self) -> bool {
        let records = self.records.iter().flatten();
        let waiting = records.filter(|record| record.lease.is_some() && !record.admitted).count();
        self.memory.leases() > waiting + self.afterlife.leases()
    }

    /// Executes a command whose data is there.
    pub(super) fn start(&mut self, id: TaskId, session: &mut DriverSession) {
        let Some(command) = session.command(id) else { return };
        let expected = if command.write { command.expected_length } else { 0 };
        let record = self.record(id);
        let (Some(prepared), transfer) = (record.prepared.take(), record.transfer) else { return };
        let wanted = match transfer {
            Some(Transfer::Out { bytes }) => {
                usize::try_from(bytes.min(expected.into())).unwrap_or(usize::MAX)
            }
            _ => 0,
        };
        let data = record.buffer.take().filter(|_| wanted > 0).map(|mut buffer| {
            buffer.truncate(wanted);
            buffer
        });
        // What was discarded for want of memory must never be taken for written.
        if record.refused || data.as_ref().map_or(0, Buffer::len) < wanted {
            return self.finish(id, Outcome::status(Status::TaskSetFull), session);
        }
        match prepared.start(data, &mut self.ops) {
            Step::Done(outcome) => self.finish(id, outcome, session),
            Step::Wait(task) => {
                let tag = self.afterlife.tag(id);
                let record = self.record(id);
                (record.running, record.tag) = (Some(task), tag);
                self.request(id);
            }
        }
    }

    /// Queues what a step of a task has asked for.
    fn request(&mut self, id: TaskId) {
        let Some(record) = self.records.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        let Some(unit) = record.unit else { return };
        let (tag, flight) = (record.tag, &mut record.flight);
        let mut request = |unit, op| {
            flight.add(unit, &op);
            Request { tag, op }
        };
        let own = requests_to(&mut self.requests, unit);
        own.extend(self.ops.drain_own().map(|op| request(unit, op)));
        for (unit, op) in self.ops.drain_others() {
            requests_to(&mut self.requests, unit).push(request(unit, op));
            if !record.others.contains(&unit) {
                record.others.push(unit);
            }
        }
        if let Some(work) = self.ops.take_background()
            && let Some(attached) = &self.attached
        {
            record.flight.wait();
            self.out += 1;
            // Those behind it are not to wait: they are told that it is under way.
            if let (Some(position), Some(service)) = (record.position.take(), attached.service()) {
                service.task_sets.end(position);
                self.line.hold_back_no_more(id);
            }
            let backing = Arc::clone(&attached.backing);
            background::spawn(work, backing, &self.queue, tag);
        }
    }

    /// Hands the turn's requests to the volumes, and goes on with what they answer at once.
    /// True if there was anything.
    pub(super) fn submit(&mut self, session: &mut DriverSession) -> bool {
        let mut progress = false;
        let Some(attached) = self.attached.clone() else { return false };
        let Some(service) = attached.service() else { return false };
        loop {
            let volumes = service.volumes();
            for (unit, requests) in &mut self.requests {
                if requests.is_empty() {
                    continue;
                }
                progress = true;
                self.out += requests.len();
                match volumes.binary_search_by_key(unit, |(unit, _)| *unit) {
                    Ok(at) => volumes[at].1.submit(requests, &mut self.done, &self.queue),
                    Err(_) => {
                        let gone = |Request { tag, .. }| {
                            let result = Err(ErrorKind::Gone.into());
                            BlockCompletion { tag, result }
                        };
                        self.done.extend(requests.drain(..).map(gone));
                    }
                }
            }
            if self.done.is_empty() {
                return progress;
            }
            self.done.reverse();
            while let Some(completion) = self.done.pop() {
                self.completed(completion, session);
            }
        }
    }

    /// Logical units were taken away: their commands that the volume has not got yet end at once.
    pub(super) fn refuse(&mut self, units: &[UnitId], session: &mut DriverSession) {
        self.requests.retain(|(unit, requests)| !requests.is_empty() || !units.contains(unit));
        let waits = |record: &Record| {
            record.running.is_none() && record.unit.is_some_and(|unit| units.contains(&unit))
        };
        for index in 0..self.records.len() {
            if self.records[index].as_ref().is_some_and(waits) {
                let id = TaskId(index as u32);
                self.waiting.retain(|waiting| *waiting != id);
                let sense = Sense::illegal(Asc::LUN_NOT_SUPPORTED);
                self.finish(id, Outcome::check(sense), session);
            }
        }
    }

    /// True while a volume of these logical units may have something of this connection to do.
    pub(super) fn use_any(&self, units: &[UnitId]) -> bool {
        let uses = |record: &Record| units.iter().any(|unit| record.touches(*unit));
        self.records.iter().flatten().any(uses) || self.afterlife.uses_any(units)
    }

    /// Goes on with a task of which an operation has ended. Requests that come of it wait for
    /// [`Self::submit`].
    pub(super) fn completed(&mut self, completion: BlockCompletion, session: &mut DriverSession) {
        self.out = self.out.saturating_sub(1);
        let BlockCompletion { tag, result } = completion;
        // The low half of a tag; the other half tells it from tasks that had the number before.
        let id = TaskId(tag as u32);
        let record = self.records.get_mut(id.0 as usize).and_then(Option::as_mut);
        let Some(record) = record.filter(|record| record.tag == tag) else {
            return self.completed_late(tag);
        };
        let Some(task) = &mut record.running else { return self.completed_late(tag) };
        record.flight.end_one();
        match task.resume(result, &mut self.ops) {
            Some(outcome) => self.finish(id, outcome, session),
            None => self.request(id),
        }
    }

    /// True while a volume has something of this connection to do, of aborted tasks too.
    pub(super) fn are_waiting(&self) -> bool {
        self.out > 0
    }

    /// What was answered in a turn that did not get to its end, and is not looked at.
    pub(super) fn take_unseen(&mut self) -> Vec<BlockCompletion> {
        std::mem::take(&mut self.done)
    }

    /// An operation has ended that no task waits for any more.
    pub(super) fn completed_late(&mut self, tag: u64) {
        if !self.afterlife.end_one(tag) {
            tracing::error!(tag, "a volume has completed what was not asked of it");
        }
    }

    /// Ends a task; if others are to be aborted first, when that is done.
    pub(super) fn finish(&mut self, id: TaskId, mut outcome: Outcome, session: &mut DriverSession) {
        if let Some(preempted) = outcome.preempted.take()
            && !preempted.nexuses.is_empty()
        {
            self.preemption_count += 1;
            let number = self.preemption_count;
            self.record(id).preempting = Some(Box::new((number, outcome)));
            return self.preemptions.push((number, preempted));
        }
        // None if it was refused before there was anything to keep.
        let record = self.take_record(id).unwrap_or_default();
        if let (Some(since), Some(attached)) = (record.timed_since, &self.attached) {
            attached.entry.stopwatch.stop(since);
        }
        let Outcome { status, data_in, sense, preempted: _ } = outcome;
        if let (Some(sense), Some(unit), Some(attached)) = (&sense, record.unit, &self.attached)
            && let Some(service) = attached.service()
        {
            service.device.failed(&attached.nexus, unit, sense);
        }
        let transferred = match (data_in, record.transfer) {
            (DataIn::Bytes(bytes), _) => {
                let len = bytes.len() as u64;
                Transferred::In { data: ReadData::of_bytes(bytes), len }
            }
            (DataIn::Buffer(mut buffer), _) => {
                let len = buffer.len() as u64;
                let mut lease = record.lease;
                // Memory that it shares with the store counts as long as the initiator lets it.
                let held = buffer.held_bytes();
                if !lease.as_mut().is_some_and(|lease| lease.extend_to(held, Claim::Fair)) {
                    buffer.detach();
                }
                Transferred::In { data: ReadData::of_blocks(buffer, lease), len }
            }
            (DataIn::None, Some(Transfer::Out { bytes })) => Transferred::Out(bytes),
            (DataIn::None, _) => Transferred::Nothing,
        };
        let sense = sense.map(|sense| sense.encode()).unwrap_or_default();
        let qualifier = match status {
            Status::Busy | Status::TaskSetFull => RETRY_DELAY,
            _ => 0,
        };
        session.complete(id, Completion { status: status as u8, qualifier, sense, transferred });
    }

    /// Ends a task for another nexus; what it has in the store is fenced.
    pub(super) fn abort_for_another(&mut self, id: TaskId, session: &mut DriverSession) {
        self.forget(id);
        self.finish(id, Outcome::status(Status::TaskAborted), session);
    }

    /// Ends the tasks that were sent to other logical units and have operations on this one, as
    /// its own are aborted; what they have there is fenced.
    pub(super) fn cut_off(&mut self, unit: UnitId, session: &mut DriverSession) {
        for index in 0..self.records.len() {
            let is_from_elsewhere =
                |record: &Record| record.unit != Some(unit) && record.others.contains(&unit);
            let id = TaskId(index as u32);
            if self.records[index].as_ref().is_some_and(is_from_elsewhere)
                && session.command(id).is_some()
            {
                self.forget(id);
                let sense = Sense::new(SenseKey::CopyAborted, Asc::THIRD_PARTY_DEVICE_FAILURE);
                self.finish(id, Outcome::check(sense), session);
            }
        }
    }

    /// Tasks to be aborted for a command that has a number.
    pub(super) fn next_preemption(&mut self) -> Option<(u64, Box<Preempted>)> {
        self.preemptions.pop()
    }

    /// The tasks that a command has preempted are out of the way: its answer, unless it has been
    /// aborted itself meanwhile.
    pub(super) fn preempted(&mut self, number: u64, session: &mut DriverSession) {
        let waiting = self.records.iter_mut().enumerate().find_map(|(i, record)| {
            let ended = record.as_mut()?.preempting.take_if(|ended| ended.0 == number)?;
            Some((TaskId(u32::try_from(i).ok()?), ended.1))
        });
        if let Some((id, outcome)) = waiting {
            self.finish(id, outcome, session);
        }
    }

    /// Counts a command and its data.
    pub(super) fn count(command: &session::Command, counters: &Counters) {
        Counters::add(&counters.commands, 1);
        let expected = u64::from(command.expected_length);
        if command.read {
            Counters::add(&counters.read_commands, 1);
            Counters::add(&counters.read_bytes, expected);
        } else if command.write {
            Counters::add(&counters.write_commands, 1);
            Counters::add(&counters.written_bytes, expected);
        }
    }

    pub(super) fn attached(&self) -> Option<&Rc<Attached>> {
        self.attached.as_ref()
    }
}

/// Where the requests to the volume of a logical unit are collected.
fn requests_to(all: &mut Vec<(UnitId, Vec<Request>)>, unit: UnitId) -> &mut Vec<Request> {
    let at = match all.binary_search_by_key(&unit, |(unit, _)| *unit) {
        Ok(at) => at,
        Err(at) => {
            all.insert(at, (unit, Vec::new()));
            at
        }
    };
    &mut all[at].1
}
