//! The whole medium made empty or filled with a pattern, in the background.

use std::sync::Arc;

use super::background;
use super::exclusive::{Exclusive, Kind};
use super::lun::LogicalUnit;
use super::ops::Ops;
use super::outcome::{Outcome, Refusal};
use super::sense::{Asc, Sense, SenseKey};
use super::task::{Begun, Steps};
use crate::block::{Buffer, Done, Error, Op};

/// Bytes that are given back or zeroed by one operation: others have their turn in between.
const STEP_BYTES: u64 = 256 << 20;
/// Bytes of a pattern that one operation writes; all the memory that this takes.
const PATTERN_BYTES: u64 = 4 << 20;

/// What the blocks read as afterwards.
pub(super) enum Fill {
    /// Zeros, as they are given back to the store.
    Nothing,
    /// Zeros, on a store that takes nothing back.
    Zeros,
    /// One block over and over.
    Pattern {
        block: Vec<u8>,
        passes: u8,
        /// Every pass but the last one of each pair is the complement of the one before.
        invert: bool,
    },
}

/// What to do, and to whom.
pub(super) struct Erase {
    pub(super) unit: Arc<LogicalUnit>,
    pub(super) kind: Kind,
    pub(super) fill: Fill,
    /// AUSE.
    pub(super) may_exit: bool,
    pub(super) immediate: bool,
}

impl Erase {
    /// From here on the logical unit is for this alone.
    pub(super) fn begin(self, ops: &mut Ops) -> Result<Begun, Refusal> {
        let Self { unit, kind, fill, may_exit, immediate } = self;
        unit.with_exclusive(|state| match state {
            Exclusive::Running { .. } => Err(state.sense()),
            _ => {
                *state = Exclusive::Running { kind, progress: 0 };
                Ok(())
            }
        })
        .map_err(|sense| sense.unwrap_or(Sense::illegal(Asc::INVALID_FIELD_IN_CDB)))?;
        let passes = match &fill {
            Fill::Nothing | Fill::Zeros => 1,
            Fill::Pattern { passes, .. } => *passes,
        };
        let id = unit.id;
        let mut erasing = Erasing {
            held: Held { unit, failed: Exclusive::Failed { kind, may_exit }, ended: false },
            kind,
            fill,
            pass: 0,
            passes,
            at: 0,
            outstanding: 0,
            flushing: false,
        };
        let mut first = Ops::new();
        erasing.next(&mut first);
        Ok(background::begin(id, immediate, Box::new(erasing), first, ops))
    }
}

/// The logical unit; left as failed if the work is dropped before its end.
struct Held {
    unit: Arc<LogicalUnit>,
    failed: Exclusive,
    ended: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.ended {
            self.unit.with_exclusive(|state| *state = self.failed);
        }
    }
}

struct Erasing {
    held: Held,
    kind: Kind,
    fill: Fill,
    pass: u8,
    passes: u8,
    /// Bytes done in this pass.
    at: u64,
    /// Bytes that the outstanding operation does.
    outstanding: u64,
    flushing: bool,
}

impl Steps for Erasing {
    fn resume(&mut self, result: Result<Done, Error>, ops: &mut Ops) -> Option<Outcome> {
        if result.is_err() {
            return Some(self.failed());
        }
        if self.flushing {
            self.held.ended = true;
            self.held.unit.with_exclusive(|state| *state = Exclusive::Free);
            return Some(Outcome::good());
        }
        self.at += self.outstanding;
        self.next(ops);
        None
    }
}

impl Erasing {
    fn failed(&self) -> Outcome {
        let asc = match self.kind {
            Kind::Sanitize => Asc::SANITIZE_COMMAND_FAILED,
            Kind::Format => Asc::FORMAT_COMMAND_FAILED,
        };
        Outcome::check(Sense::new(SenseKey::MediumError, asc))
    }

    /// Asks for the next operation, at the end of it all for a flush.
    fn next(&mut self, ops: &mut Ops) {
        // As large as it is now: it may have grown meanwhile.
        let size = self.held.unit.bytes();
        if self.at >= size {
            self.pass += 1;
            self.at = 0;
        }
        self.note_progress(size);
        if self.pass >= self.passes {
            self.flushing = true;
            return ops.push(Op::Flush);
        }
        let (offset, left) = (self.at, size - self.at);
        let (op, len) = match &self.fill {
            Fill::Nothing => {
                let len = left.min(STEP_BYTES);
                (Op::Discard { offset, len }, len)
            }
            Fill::Zeros => {
                let len = left.min(STEP_BYTES);
                (Op::WriteZeroes { offset, len, fua: false }, len)
            }
            Fill::Pattern { block, invert, .. } => {
                let len = left.min(PATTERN_BYTES);
                // So that the last pass has the pattern itself.
                let inverted = *invert && (self.passes - self.pass).is_multiple_of(2);
                (Op::Write { offset, buf: repeated(block, inverted, len), fua: false }, len)
            }
        };
        self.outstanding = len;
        ops.push(op);
    }

    fn note_progress(&self, size: u64) {
        let pass = u128::from(self.at) * 0x1_0000 / u128::from(size.max(1));
        let all = (u128::from(self.pass) * 0x1_0000 + pass) / u128::from(self.passes.max(1));
        let progress = all.min(0xffff) as u16;
        self.held.unit.with_exclusive(|state| {
            *state = Exclusive::Running { kind: self.kind, progress };
        });
    }
}

/// `len` bytes of a block over and over. Chunks of buffers hold whole blocks.
fn repeated(block: &[u8], inverted: bool, len: u64) -> Buffer {
    let block: Vec<u8> = block.iter().map(|byte| if inverted { !byte } else { *byte }).collect();
    let mut buf = Buffer::unfilled(usize::try_from(len).unwrap_or(0));
    for slice in buf.slices_mut() {
        slice.chunks_exact_mut(block.len()).for_each(|to| to.copy_from_slice(&block));
    }
    buf
}
