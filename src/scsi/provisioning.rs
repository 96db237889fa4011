//! UNMAP (SBC-3 5.28) and GET LBA STATUS (SBC-3 5.4).

use super::cdb::Blocks;
use super::command::Call;
use super::lun::{LogicalUnit, Range};
use super::ops::Ops;
use super::outcome::{DataIn, Outcome, Refusal, Transfer};
use super::parameters::{ListCall, with_list};
use super::sense::{self, Access, Asc, Sense};
use super::task::{Begun, Plan, Steps, Work, confused};
use super::vpd::UNMAP_DESCRIPTORS_MAX;
use crate::block::{Buffer, Done, Error, Extent, Op};

/// Most descriptors in one answer to GET LBA STATUS.
const STATUS_DESCRIPTORS_MAX: u32 = 256;
/// How far one GET LBA STATUS looks, in bytes: a volume takes bounded time to answer.
const STATUS_BYTES_MAX: u64 = 4 << 30;

/// Bytes that one operation of UNMAP gives back, and operations at a time.
const DISCARD_BYTES_MAX: u64 = 1 << 30;
const DISCARDS_MAX: usize = 4;

/// Whether the volume can give blocks back.
pub(super) fn unmap_supported(unit: &LogicalUnit) -> bool {
    unit.has_unmap()
}

pub(super) fn unmap(call: &Call<'_>) -> Result<Plan, Refusal> {
    call.unit.check_ready()?;
    call.unit.check_writable()?;
    match u32::from(call.cdb.u16(7)) {
        0 => Ok(Plan::good()),
        len => with_list(call, len, apply_unmap),
    }
}

/// Checks every descriptor before anything is unmapped.
fn apply_unmap(call: &ListCall, list: &[u8], ops: &mut Ops) -> Result<Begun, Refusal> {
    let [_, _, high, low, _, _, _, _, rest @ ..] = list else {
        return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into());
    };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let descriptors = rest.get(..len).ok_or_else(|| Sense::parameter(2, None))?;
    if len / 16 > UNMAP_DESCRIPTORS_MAX as usize {
        return Err(Sense::parameter(2, None).into());
    }
    let ranges = descriptors
        .chunks_exact(16)
        .map(|descriptor| unmap_range(&call.unit, descriptor))
        .collect::<Result<Vec<Range>, Sense>>()?;
    let mut discards =
        Discards { ranges: ranges.into_iter(), rest: EMPTY, outstanding: 0, failure: None };
    Ok(match discards.ask(ops) {
        Some(outcome) => Begun::Done(outcome),
        None => Begun::Steps(Box::new(discards)),
    })
}

const EMPTY: Range = Range { offset: 0, len: 0 };

/// Gives ranges back, a few pieces at a time: one command may name the whole medium 256 times.
struct Discards {
    ranges: std::vec::IntoIter<Range>,
    /// What is left of the range that was begun.
    rest: Range,
    outstanding: usize,
    failure: Option<Refusal>,
}

impl Discards {
    /// Asks for more, as far as it may; the outcome if there is nothing more to wait for.
    fn ask(&mut self, ops: &mut Ops) -> Option<Outcome> {
        while self.outstanding < DISCARDS_MAX && self.failure.is_none() {
            if self.rest.len == 0 {
                match self.ranges.next() {
                    Some(range) => self.rest = range,
                    None => break,
                }
                continue;
            }
            let (offset, len) = (self.rest.offset, self.rest.len.min(DISCARD_BYTES_MAX));
            self.rest = Range { offset: offset + len, len: self.rest.len - len };
            ops.push(Op::Discard { offset, len });
            self.outstanding += 1;
        }
        (self.outstanding == 0)
            .then(|| self.failure.take().map_or_else(Outcome::good, Outcome::from))
    }
}

impl Steps for Discards {
    fn resume(&mut self, result: Result<Done, Error>, ops: &mut Ops) -> Option<Outcome> {
        self.outstanding = self.outstanding.saturating_sub(1);
        if let (Err(error), None) = (&result, &self.failure) {
            self.failure = Some(sense::of_block_error(error, Access::Write));
        }
        self.ask(ops)
    }
}

/// The bytes of an UNMAP block descriptor; none at the very end of the medium is allowed.
fn unmap_range(unit: &LogicalUnit, descriptor: &[u8]) -> Result<Range, Sense> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte));
    let (lba, count) = (number(&descriptor[..8]), number(&descriptor[8..12]));
    if count == 0 && lba <= unit.blocks() {
        return Ok(EMPTY);
    }
    unit.byte_range(Blocks { lba, count, count_at: 8 })
}

struct LbaStatus {
    range: Range,
    block_bytes: u32,
    allocation_length: u32,
}

pub(super) fn get_lba_status(call: &Call<'_>) -> Result<Plan, Refusal> {
    let lba = call.cdb.u64(2);
    let start = call.unit.byte_range(Blocks { lba, count: 0, count_at: 2 })?;
    let block_bytes = call.unit.block_bytes;
    let left = (call.unit.blocks() - lba).saturating_mul(block_bytes.into());
    let range = Range { len: left.min(STATUS_BYTES_MAX), ..start };
    let allocation_length = call.cdb.u32(10);
    Ok(Plan::Other(Box::new(LbaStatus { range, block_bytes, allocation_length })))
}

impl Work for LbaStatus {
    fn transfer(&self) -> Transfer {
        Transfer::In { bytes: self.allocation_length.into() }
    }

    /// However much the initiator leaves room for.
    fn memory_bytes(&self) -> u64 {
        u64::from(self.allocation_length.min(8 + 16 * STATUS_DESCRIPTORS_MAX))
    }

    fn start(self: Box<Self>, _: Buffer, ops: &mut Ops) -> Begun {
        let Range { offset, len } = self.range;
        let max = (self.allocation_length.saturating_sub(8) / 16).clamp(1, STATUS_DESCRIPTORS_MAX);
        ops.push(Op::Extents { offset, len, max });
        Begun::Steps(self)
    }
}

impl Steps for LbaStatus {
    fn resume(&mut self, result: Result<Done, Error>, _: &mut Ops) -> Option<Outcome> {
        let extents = match result {
            Ok(Done::Extents(extents)) => extents,
            Ok(_) => return Some(confused()),
            Err(error) => return Some(sense::of_block_error(&error, Access::Read).into()),
        };
        let mut data = vec![0; 8];
        for run in runs_of_blocks(&extents, self.range, self.block_bytes) {
            data.extend_from_slice(&run.lba.to_be_bytes());
            data.extend_from_slice(&run.count.to_be_bytes());
            data.extend_from_slice(&[u8::from(!run.mapped), 0, 0, 0]);
        }
        let len = (data.len() - 4) as u32;
        data[..4].copy_from_slice(&len.to_be_bytes());
        data.truncate(usize::try_from(self.allocation_length).unwrap_or(usize::MAX));
        Some(Outcome::data(DataIn::Bytes(data)))
    }
}

/// A run of blocks of one provisioning status.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    lba: u64,
    count: u32,
    mapped: bool,
}

/// Extents in blocks: a block that is mapped in part is mapped.
fn runs_of_blocks(extents: &[Extent], range: Range, block_bytes: u32) -> Vec<Run> {
    let block = u64::from(block_bytes);
    let (mut next, end) = (range.offset / block, (range.offset + range.len) / block);
    let mut runs: Vec<Run> = Vec::new();
    for extent in extents {
        let extent_end = extent.offset.saturating_add(extent.len);
        let until = if extent.mapped { extent_end.div_ceil(block) } else { extent_end / block };
        let until = until.min(end);
        let Some(count) = until.checked_sub(next).and_then(|n| u32::try_from(n).ok()) else {
            continue;
        };
        match runs.last_mut() {
            _ if count == 0 => continue,
            Some(last) if last.mapped == extent.mapped => last.count += count,
            _ => runs.push(Run { lba: next, count, mapped: extent.mapped }),
        }
        next = until;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_mapped_in_part_is_mapped() {
        let extents = [
            Extent { offset: 4096, len: 1000, mapped: false },
            Extent { offset: 5096, len: 10, mapped: true },
            Extent { offset: 5106, len: 4096 + 3072 - 5106, mapped: false },
        ];
        let runs = runs_of_blocks(&extents, Range { offset: 4096, len: 3072 }, 512);
        let run = |lba, count, mapped| Run { lba, count, mapped };
        assert_eq!(runs, [run(8, 1, false), run(9, 1, true), run(10, 4, false)]);
    }

    #[test]
    fn runs_are_joined_and_end_with_the_range() {
        let extents = [
            Extent { offset: 0, len: 100, mapped: false },
            Extent { offset: 100, len: 412, mapped: true },
            Extent { offset: 512, len: 512, mapped: true },
            Extent { offset: 1024, len: 1 << 20, mapped: false },
        ];
        let runs = runs_of_blocks(&extents, Range { offset: 0, len: 2048 }, 512);
        let run = |lba, count, mapped| Run { lba, count, mapped };
        assert_eq!(runs, [run(0, 2, true), run(2, 2, false)]);
    }
}
