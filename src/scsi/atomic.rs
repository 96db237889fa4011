//! What happens as one: COMPARE AND WRITE (SBC-3 5.2), ORWRITE(16) (SBC-3 5.6) and WRITE
//! ATOMIC(16) (SBC-4 5.46).

use super::cdb::Blocks;
use super::command::Call;
use super::data::{part, whole_blocks};
use super::lun::{LogicalUnit, Range};
use super::ops::Ops;
use super::outcome::{Outcome, Refusal, Status, Transfer};
use super::sense::{self, Access, Asc, Sense};
use super::steps::Then;
use super::task::{Begun, Plan, Steps, Work, confused};
use crate::block::{Buffer, Done, Error, ErrorKind, Op};

/// How often ORWRITE begins again because another write came between; then BUSY.
const RETRIES_MAX: u32 = 100;

/// Whether the volume can compare and write.
pub(super) fn supported(unit: &LogicalUnit) -> bool {
    unit.compare_and_write_blocks_max() > 0
}

struct CompareAndWrite {
    range: Range,
    flush: bool,
}

pub(super) fn compare_and_write(call: &Call<'_>) -> Result<Plan, Refusal> {
    let blocks = Blocks { lba: call.cdb.u64(2), count: call.cdb.u8(13).into(), count_at: 13 };
    if blocks.count > call.unit.compare_and_write_blocks_max().into() {
        return Err(Sense::cdb_field(blocks.count_at, None).into());
    }
    let range = call.unit.byte_range(blocks)?;
    call.unit.check_writable()?;
    Ok(Plan::Other(Box::new(CompareAndWrite { range, flush: wants_flush(call) })))
}

/// FUA, where the volume's operation has none of its own.
fn wants_flush(call: &Call<'_>) -> bool {
    call.cdb.bit(1, 3) && call.unit.info().write_cache
}

impl Work for CompareAndWrite {
    fn transfer(&self) -> Transfer {
        Transfer::Out { bytes: 2 * self.range.len }
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn start(self: Box<Self>, data: Buffer, ops: &mut Ops) -> Begun {
        let len = self.range.buffer_len();
        if data.len() != 2 * len {
            return Begun::Done(Outcome::check(Sense::illegal(Asc::INVALID_FIELD_IN_CDB)));
        }
        if len == 0 {
            return Begun::Done(Outcome::good());
        }
        let (compare, write) = (part(&data, 0, len), part(&data, len, len));
        ops.push(Op::CompareAndWrite { offset: self.range.offset, compare, write });
        Begun::Steps(Box::new(Then::flush(self.flush)))
    }
}

struct OrWrite {
    range: Range,
    block_bytes: u32,
    /// Bytes that the volume can compare and write at once.
    piece: usize,
    flush: bool,
}

pub(super) fn or_write(call: &Call<'_>) -> Result<Plan, Refusal> {
    let range = call.unit.transfer_range(Blocks::of(&call.cdb))?;
    call.unit.check_writable()?;
    if range.len == 0 {
        return Ok(Plan::good());
    }
    let block_bytes = call.unit.block_bytes;
    let piece = usize::from(call.unit.compare_and_write_blocks_max()) * block_bytes as usize;
    Ok(Plan::Other(Box::new(OrWrite { range, block_bytes, piece, flush: wants_flush(call) })))
}

impl Work for OrWrite {
    fn transfer(&self) -> Transfer {
        Transfer::Out { bytes: self.range.len }
    }

    fn start(self: Box<Self>, data: Buffer, ops: &mut Ops) -> Begun {
        let data = match whole_blocks(data, self.range.buffer_len(), self.block_bytes) {
            Ok(data) if data.is_empty() || self.piece == 0 => {
                return Begun::Done(Outcome::good());
            }
            Ok(data) => data,
            Err(sense) => return Begun::Done(Outcome::check(sense)),
        };
        let mut steps = OrWriteSteps {
            offset: self.range.offset,
            data,
            done: 0,
            piece: self.piece,
            retries: 0,
            phase: Phase::Read,
            flush: self.flush,
        };
        steps.read(ops);
        Begun::Steps(Box::new(steps))
    }
}

/// What is outstanding.
enum Phase {
    Read,
    CompareAndWrite,
    Flush,
}

/// Piece by piece: read, OR, and write if nothing came between; otherwise read again.
struct OrWriteSteps {
    offset: u64,
    data: Buffer,
    done: usize,
    piece: usize,
    retries: u32,
    phase: Phase,
    flush: bool,
}

impl OrWriteSteps {
    fn read(&mut self, ops: &mut Ops) {
        let len = self.piece.min(self.data.len() - self.done);
        self.phase = Phase::Read;
        let offset = self.offset + self.done as u64;
        ops.push(Op::Read { offset, buf: Buffer::unfilled(len) });
    }

    fn merge(&mut self, old: Buffer, ops: &mut Ops) {
        let mut new = part(&old, 0, old.len());
        let mine = part(&self.data, self.done, old.len());
        for (new, mine) in new.slices_mut().zip(mine.slices()) {
            new.iter_mut().zip(mine).for_each(|(new, mine)| *new |= mine);
        }
        self.phase = Phase::CompareAndWrite;
        let offset = self.offset + self.done as u64;
        ops.push(Op::CompareAndWrite { offset, compare: old, write: new });
    }

    fn advance(&mut self, ops: &mut Ops) -> Option<Outcome> {
        self.done += self.piece.min(self.data.len() - self.done);
        if self.done < self.data.len() {
            self.read(ops);
            None
        } else if self.flush {
            self.phase = Phase::Flush;
            ops.push(Op::Flush);
            None
        } else {
            Some(Outcome::good())
        }
    }
}

impl Steps for OrWriteSteps {
    fn resume(&mut self, result: Result<Done, Error>, ops: &mut Ops) -> Option<Outcome> {
        match (&self.phase, result) {
            (Phase::Read, Ok(Done::Data(old))) => {
                self.merge(old, ops);
                None
            }
            (Phase::Read, Ok(_)) => Some(confused()),
            (Phase::Read, Err(error)) => Some(sense::of_block_error(&error, Access::Read).into()),
            (Phase::CompareAndWrite, Err(error))
                if matches!(error.kind(), ErrorKind::Miscompare { .. }) =>
            {
                self.retries += 1;
                if self.retries > RETRIES_MAX {
                    return Some(Outcome::status(Status::Busy));
                }
                self.read(ops);
                None
            }
            (_, Err(error)) => Some(sense::of_block_error(&error, Access::Write).into()),
            (Phase::CompareAndWrite, Ok(_)) => self.advance(ops),
            (Phase::Flush, Ok(_)) => Some(Outcome::good()),
        }
    }
}

/// Whether the volume promises it.
pub(super) fn write_atomic_supported(unit: &LogicalUnit) -> bool {
    unit.atomic_write_blocks_max() > 0
}

struct WriteAtomic {
    range: Range,
    fua: bool,
}

/// Beside the limits of VPD page B0h there is one that the page has no field for: the command may
/// not cross the volume's boundaries. Aligned ones of a power of two never do.
pub(super) fn write_atomic(call: &Call<'_>) -> Result<Plan, Refusal> {
    let blocks = Blocks { lba: call.cdb.u64(2), count: call.cdb.u16(12).into(), count_at: 12 };
    let range = call.unit.byte_range(blocks)?;
    if blocks.count > call.unit.atomic_write_blocks_max().into() {
        return Err(Sense::cdb_field(blocks.count_at, None).into());
    }
    call.unit.check_writable()?;
    let boundary = u64::from(call.unit.info().atomic_write_boundary_bytes);
    if range.len == 0 {
        return Ok(Plan::good());
    }
    if boundary > 0 && range.offset / boundary != (range.offset + range.len - 1) / boundary {
        return Err(Sense::cdb_field(2, None).into());
    }
    Ok(Plan::Other(Box::new(WriteAtomic { range, fua: call.cdb.bit(1, 3) })))
}

impl Work for WriteAtomic {
    fn transfer(&self) -> Transfer {
        Transfer::Out { bytes: self.range.len }
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn start(self: Box<Self>, buf: Buffer, ops: &mut Ops) -> Begun {
        if buf.len() != self.range.buffer_len() {
            return Begun::Done(Outcome::check(Sense::illegal(Asc::INVALID_FIELD_IN_CDB)));
        }
        ops.push(Op::WriteAtomic { offset: self.range.offset, buf, fua: self.fua });
        Begun::Steps(Box::new(Then::done()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn or_write_gives_up_after_so_many_disturbances() {
        let mut ops = Ops::new();
        let mut steps = OrWriteSteps {
            offset: 0,
            data: Buffer::from_slice(&[1; 512]),
            done: 0,
            piece: 512,
            retries: 0,
            phase: Phase::Read,
            flush: false,
        };
        for _ in 0..=RETRIES_MAX {
            let read = Ok(Done::Data(Buffer::from_slice(&[0; 512])));
            assert!(steps.resume(read, &mut ops).is_none());
            if steps.retries == RETRIES_MAX {
                break;
            }
            let disturbed = Err(ErrorKind::Miscompare { offset: 0 }.into());
            assert!(steps.resume(disturbed, &mut ops).is_none());
        }
        assert_eq!(steps.retries, RETRIES_MAX);
        let disturbed = Err(ErrorKind::Miscompare { offset: 0 }.into());
        let outcome = steps.resume(disturbed, &mut ops).unwrap();
        assert_eq!(outcome.status, Status::Busy);
    }
}
