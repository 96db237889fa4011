//! WRITE SAME(10) and (16) (SBC-3 5.43, 5.44).

use super::cdb::Blocks;
use super::command::Call;
use super::lun::{Range, WRITE_SAME_BLOCKS_MAX};
use super::ops::Ops;
use super::outcome::{Outcome, Refusal, Transfer};
use super::sense::{self, Access, Asc, Sense};
use super::steps::Then;
use super::task::{Begun, Plan, Steps, Work};
use crate::block::{Buffer, Done, Error, Op};

/// Bytes of one write of a pattern.
const PATTERN_BYTES_MAX: u64 = 1 << 20;

struct WriteSame {
    range: Range,
    block_bytes: u32,
    unmap: bool,
    /// The volume repeats a block by itself.
    by_volume: bool,
    /// NDOB: zeros, without a block from the initiator.
    no_data: bool,
}

pub(super) fn write_same_10(call: &Call<'_>) -> Result<Plan, Refusal> {
    write_same(call, false)
}

pub(super) fn write_same_16(call: &Call<'_>) -> Result<Plan, Refusal> {
    write_same(call, call.cdb.bit(1, 0))
}

fn write_same(call: &Call<'_>, no_data: bool) -> Result<Plan, Refusal> {
    let unit = call.unit;
    let unmap = call.cdb.bit(1, 3);
    if unmap && !unit.has_unmap() {
        return Err(Sense::cdb_field(1, Some(3)).into());
    }
    let mut blocks = Blocks::of(&call.cdb);
    unit.check_range(Blocks { count: 0, ..blocks })?;
    if blocks.count == 0 {
        // WSNZ is 0: up to the end of the medium.
        blocks.count = unit.blocks() - blocks.lba;
    }
    if blocks.count > WRITE_SAME_BLOCKS_MAX.into() {
        return Err(Sense::cdb_field(blocks.count_at, None).into());
    }
    let range = unit.byte_range(blocks)?;
    unit.check_writable()?;
    let block_bytes = unit.block_bytes;
    let by_volume = unit.info().has_write_same;
    Ok(Plan::Other(Box::new(WriteSame { range, block_bytes, unmap, by_volume, no_data })))
}

impl Work for WriteSame {
    fn transfer(&self) -> Transfer {
        match self.no_data {
            true => Transfer::None,
            false => Transfer::Out { bytes: self.block_bytes.into() },
        }
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn start(self: Box<Self>, data: Buffer, ops: &mut Ops) -> Begun {
        let Range { offset, len } = self.range;
        let block = data.to_vec();
        if !self.no_data && block.len() != self.block_bytes as usize {
            let sense = Sense::illegal(Asc::INVALID_FIELD_IN_CDB);
            return Begun::Done(Outcome::check(sense));
        }
        let zeros = self.no_data || block.iter().all(|byte| *byte == 0);
        match (zeros, self.unmap) {
            (true, true) => ops.push(Op::Discard { offset, len }),
            (true, false) => ops.push(Op::WriteZeroes { offset, len, fua: false }),
            // Unmapped blocks read as zeros, so other data are written, with UNMAP, too (SBC-3
            // 5.43).
            (false, _) if self.by_volume => {
                ops.push(Op::WriteSame { offset, len, pattern: Buffer::from_slice(&block) });
            }
            (false, _) => {
                let mut pattern = Pattern { block, next: offset, end: offset + len };
                pattern.write(ops);
                return Begun::Steps(Box::new(pattern));
            }
        }
        Begun::Steps(Box::new(Then::done()))
    }
}

/// Writes one block over and over, one window after the other.
struct Pattern {
    block: Vec<u8>,
    next: u64,
    end: u64,
}

impl Pattern {
    fn write(&mut self, ops: &mut Ops) {
        let len = (self.end - self.next).min(PATTERN_BYTES_MAX);
        let mut buf = Buffer::unfilled(usize::try_from(len).unwrap_or(0));
        for slice in buf.slices_mut() {
            slice.chunks_exact_mut(self.block.len()).for_each(|to| to.copy_from_slice(&self.block));
        }
        ops.push(Op::Write { offset: self.next, buf, fua: false });
        self.next += len;
    }
}

impl Steps for Pattern {
    fn resume(&mut self, result: Result<Done, Error>, ops: &mut Ops) -> Option<Outcome> {
        if let Err(error) = result {
            return Some(sense::of_block_error(&error, Access::Write).into());
        }
        if self.next < self.end {
            self.write(ops);
            return None;
        }
        Some(Outcome::good())
    }
}
