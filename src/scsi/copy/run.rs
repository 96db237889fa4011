//! A copy under way: segment by segment, chunk by chunk, read and then written.

use std::sync::Arc;

use super::super::copies::{Refused, State};
use super::super::copy_limits::{OWN_UNIT, SEGMENT_BYTES_MAX};
use super::super::lun::{LogicalUnit, UnitId};
use super::super::nexus::Nexus;
use super::super::ops::Ops;
use super::super::outcome::{Outcome, Refusal, Status};
use super::super::reservation::Guard;
use super::super::sense::{Asc, Sense, SenseKey};
use super::super::task::{Begun, Steps};
use super::super::vpd;
use super::ExtendedCopy;
use super::parameters::{Amount, End, List, Segment, Target};
use crate::block::{Buffer, Done, Error, ErrorKind, Op};

/// Bytes that a copy holds at a time.
pub(super) const CHUNK_BYTES: u64 = 4 << 20;

/// Processes the list until something is to be waited for, or to its end.
pub(super) fn begin(call: ExtendedCopy, list: List, ops: &mut Ops) -> Result<Begun, Refusal> {
    let ExtendedCopy { nexus, unit, .. } = call;
    let entry = list.list_id.map(|id| Entry::new(&nexus, unit.id, id)).transpose()?;
    let List { targets, segments, .. } = list;
    let mut copying =
        Copying { nexus, unit, targets, segments, at: 0, span: None, reading: false, entry };
    Ok(match copying.next(ops) {
        Some(outcome) => Begun::Done(outcome),
        None => Begun::Steps(Box::new(copying)),
    })
}

/// What RECEIVE COPY RESULTS finds of this copy; nothing if it was aborted.
struct Entry {
    nexus: Arc<Nexus>,
    unit: UnitId,
    list_id: u8,
}

impl Entry {
    fn new(nexus: &Arc<Nexus>, unit: UnitId, list_id: u8) -> Result<Self, Refusal> {
        nexus.copies.begin(unit, list_id).map_err(|refused| match refused {
            Refused::InProgress => Sense::illegal(Asc::OPERATION_IN_PROGRESS).into(),
            Refused::TooMany => Refusal::Status(Status::Busy),
        })?;
        Ok(Self { nexus: Arc::clone(nexus), unit, list_id })
    }

    fn progress(&self, segments: u16, bytes: u64) {
        self.nexus.copies.update(self.unit, self.list_id, |copy| {
            copy.segments = segments;
            copy.bytes += bytes;
        });
    }

    fn end(self, state: State) {
        self.nexus.copies.update(self.unit, self.list_id, |copy| copy.state = state);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let copy = self.nexus.copies.get(self.unit, self.list_id);
        if copy.is_some_and(|copy| copy.state == State::Running) {
            self.nexus.copies.forget(self.unit, self.list_id);
        }
    }
}

/// The segment that is being copied, in bytes.
struct Span {
    source: Arc<LogicalUnit>,
    destination: Arc<LogicalUnit>,
    from: u64,
    to: u64,
    len: u64,
    done: u64,
    /// From the end to the beginning, so that what is still to be read is not overwritten.
    backwards: bool,
}

impl Span {
    /// Offset in the span, and length, of the chunk that is next.
    fn chunk(&self) -> (u64, u64) {
        let len = (self.len - self.done).min(CHUNK_BYTES);
        (if self.backwards { self.len - self.done - len } else { self.done }, len)
    }
}

struct Copying {
    nexus: Arc<Nexus>,
    /// The logical unit that got the command.
    unit: Arc<LogicalUnit>,
    targets: Vec<Target>,
    segments: Vec<Segment>,
    /// The segment being processed.
    at: u16,
    span: Option<Span>,
    /// A read is outstanding, otherwise a write.
    reading: bool,
    entry: Option<Entry>,
}

impl Steps for Copying {
    fn resume(&mut self, result: Result<Done, Error>, ops: &mut Ops) -> Option<Outcome> {
        match (result, self.reading) {
            (Ok(Done::Data(data)), true) => self.write(data, ops),
            (Ok(_), true) => self.fail(Asc::INTERNAL_TARGET_FAILURE),
            (Err(error), _) => self.fail(match error.kind() {
                ErrorKind::Fenced => Asc::COPY_TARGET_NOT_REACHABLE,
                _ => Asc::THIRD_PARTY_DEVICE_FAILURE,
            }),
            (Ok(_), false) => self.written(ops),
        }
    }
}

impl Copying {
    /// COPY ABORTED at the current segment (SPC-4 5.17.7.4).
    fn fail(&mut self, asc: Asc) -> Option<Outcome> {
        let sense = Sense {
            command_specific: Some(self.at.into()),
            ..Sense::new(SenseKey::CopyAborted, asc)
        };
        self.finish(State::Failed(sense), Outcome::check(sense))
    }

    fn finish(&mut self, state: State, outcome: Outcome) -> Option<Outcome> {
        if let Some(entry) = self.entry.take() {
            entry.end(state);
        }
        Some(outcome)
    }

    /// Reads the next chunk; segments that need none are passed over.
    fn next(&mut self, ops: &mut Ops) -> Option<Outcome> {
        loop {
            let span = match self.span.take() {
                Some(span) => span,
                None => {
                    let Some(segment) = self.segments.get(usize::from(self.at)).copied() else {
                        return self.finish(State::Done, Outcome::good());
                    };
                    match self.span(segment) {
                        Ok(span) => span,
                        Err(asc) => return self.fail(asc),
                    }
                }
            };
            if span.done == span.len {
                self.at += 1;
                if let Some(entry) = &self.entry {
                    entry.progress(self.at, 0);
                }
                continue;
            }
            if let Err(asc) = self.check(&span) {
                return self.fail(asc);
            }
            let (at, len) = span.chunk();
            let buf = Buffer::unfilled(usize::try_from(len).unwrap_or(0));
            self.push(&span.source, Op::Read { offset: span.from + at, buf }, ops);
            self.reading = true;
            self.span = Some(span);
            return None;
        }
    }

    fn write(&mut self, data: Buffer, ops: &mut Ops) -> Option<Outcome> {
        let Some(span) = self.span.take() else { return self.fail(Asc::INTERNAL_TARGET_FAILURE) };
        if let Err(asc) = self.check(&span) {
            return self.fail(asc);
        }
        let (at, len) = span.chunk();
        let offset = span.to + at;
        // What takes no space in the source takes none in the copy.
        let zeros = data.slices().all(|slice| slice.iter().all(|byte| *byte == 0));
        let op = match zeros {
            true => Op::WriteZeroes { offset, len, fua: false },
            false => Op::Write { offset, buf: data, fua: false },
        };
        self.push(&span.destination, op, ops);
        self.reading = false;
        self.span = Some(span);
        None
    }

    fn written(&mut self, ops: &mut Ops) -> Option<Outcome> {
        if let Some(span) = &mut self.span {
            let (_, len) = span.chunk();
            span.done += len;
            if let Some(entry) = &self.entry {
                entry.progress(self.at, len);
            }
        }
        self.next(ops)
    }

    fn push(&self, unit: &LogicalUnit, op: Op, ops: &mut Ops) {
        if unit.id == self.unit.id {
            ops.push(op);
        } else {
            ops.push_to(unit.id, op);
        }
    }

    /// Whether the nexus may still do by itself what is done for it here: a reservation or a
    /// change of the medium may have come since the last chunk.
    fn check(&self, span: &Span) -> Result<(), Asc> {
        let allowed = |unit: &LogicalUnit, guard| {
            unit.with_reservations(|all| all.allow(&self.nexus, guard))
                && unit.check_ready().is_ok()
        };
        if !allowed(&span.source, Guard::Read) || !allowed(&span.destination, Guard::Write) {
            return Err(Asc::COPY_TARGET_NOT_REACHABLE);
        }
        if span.destination.check_writable().is_err() {
            return Err(Asc::THIRD_PARTY_DEVICE_FAILURE);
        }
        let inside = |unit: &LogicalUnit, at: u64| {
            at.checked_add(span.len).is_some_and(|end| end <= unit.bytes())
        };
        if inside(&span.source, span.from) && inside(&span.destination, span.to) {
            Ok(())
        } else {
            Err(Asc::NONE)
        }
    }

    /// A segment in bytes, if its targets are there and its fields make sense for them. Whether it
    /// is inside both shows in [`Self::check`].
    fn span(&self, segment: Segment) -> Result<Span, Asc> {
        let source = self.target(segment.source)?;
        let destination = self.target(segment.destination)?;
        let blocks =
            |count: u16, unit: &LogicalUnit| u64::from(count) * u64::from(unit.block_bytes);
        let len = match segment.amount {
            Amount::SourceBlocks(count) => blocks(count, &source),
            Amount::DestinationBlocks(count) => blocks(count, &destination),
            Amount::Bytes(bytes) => bytes.into(),
        };
        if len > SEGMENT_BYTES_MAX.into() {
            return Err(Asc::INVALID_FIELD_IN_PARAMETER_LIST);
        }
        let from = first_byte(segment.source, &source)?;
        let to = first_byte(segment.destination, &destination)?;
        for (unit, at) in [(&source, from), (&destination, to)] {
            let block = u64::from(unit.block_bytes);
            if !at.is_multiple_of(block) {
                return Err(Asc::COPY_SEGMENT_GRANULARITY_VIOLATION);
            }
            if !len.is_multiple_of(block) {
                return Err(Asc::UNEXPECTED_INEXACT_SEGMENT);
            }
        }
        let same = Arc::ptr_eq(&source, &destination);
        // Onto itself: it is there already, and a write that comes meanwhile must not be undone.
        let done = if same && from == to { len } else { 0 };
        let backwards = same && from < to;
        Ok(Span { source, destination, from, to, len, done, backwards })
    }

    fn target(&self, end: End) -> Result<Arc<LogicalUnit>, Asc> {
        if end.target == OWN_UNIT {
            return Ok(Arc::clone(&self.unit));
        }
        let target =
            self.targets.get(usize::from(end.target)).ok_or(Asc::UNREACHABLE_COPY_TARGET)?;
        let named = |unit: &&Arc<LogicalUnit>| {
            vpd::unit_designators(unit).iter().any(|name| name[..] == target.designator)
        };
        let view = self.nexus.view();
        let mut units = view.seen.iter().map(|seen| &seen.unit);
        let unit = units.find(named).ok_or(Asc::COPY_TARGET_NOT_REACHABLE)?;
        if target.device_type != 0 {
            return Err(Asc::INCORRECT_COPY_TARGET_TYPE);
        }
        // What it takes for a block here is something else there.
        if target.block_bytes != unit.block_bytes {
            return Err(Asc::INVALID_FIELD_IN_PARAMETER_LIST);
        }
        Ok(Arc::clone(unit))
    }
}

/// Where a segment begins, in bytes.
fn first_byte(end: End, unit: &LogicalUnit) -> Result<u64, Asc> {
    let at = end.lba.checked_mul(unit.block_bytes.into());
    at.and_then(|at| at.checked_add(end.offset.into())).ok_or(Asc::NONE)
}
