//! VERIFY (SBC-3 5.24 to 5.26) and WRITE AND VERIFY (SBC-3 5.36 to 5.38).

use super::cdb::Blocks;
use super::command::Call;
use super::data::{first_difference_to_block, part, whole_blocks};
use super::lun::Range;
use super::ops::Ops;
use super::outcome::{Outcome, Refusal, Transfer};
use super::sense::{self, Access, Sense};
use super::task::{Begun, Plan, Steps, Work, confused};
use crate::block::{Buffer, Done, Error, Op};

/// BYTCHK (SBC-3 table 103).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteCheck {
    /// Only that the medium can be read.
    Medium,
    /// Byte by byte with the data of the initiator.
    Data,
    /// Each block with the one block of the initiator.
    Block,
}

struct Verify {
    range: Range,
    block_bytes: u32,
    check: ByteCheck,
}

pub(super) fn verify(call: &Call<'_>) -> Result<Plan, Refusal> {
    let check = match (call.cdb.u8(1) >> 1) & 0x03 {
        0 => ByteCheck::Medium,
        1 => ByteCheck::Data,
        3 => ByteCheck::Block,
        _ => return Err(Sense::cdb_field(1, Some(2)).into()),
    };
    let range = call.unit.transfer_range(Blocks::of(&call.cdb))?;
    if range.len == 0 {
        return Ok(Plan::good());
    }
    Ok(Plan::Other(Box::new(Verify { range, block_bytes: call.unit.block_bytes, check })))
}

impl Work for Verify {
    fn transfer(&self) -> Transfer {
        match self.check {
            ByteCheck::Medium => Transfer::None,
            ByteCheck::Data => Transfer::Out { bytes: self.range.len },
            ByteCheck::Block => Transfer::Out { bytes: self.block_bytes.into() },
        }
    }

    /// What is read back, beside what the initiator sent.
    fn memory_bytes(&self) -> u64 {
        self.transfer().bytes() + self.range.len
    }

    fn start(self: Box<Self>, data: Buffer, ops: &mut Ops) -> Begun {
        let mut len = self.range.buffer_len();
        let wanted = match self.check {
            ByteCheck::Medium => Wanted::Anything,
            ByteCheck::Data => match whole_blocks(data, len, self.block_bytes) {
                Ok(data) => {
                    len = data.len();
                    Wanted::Data(data)
                }
                Err(sense) => return Begun::Done(Outcome::check(sense)),
            },
            ByteCheck::Block => {
                let block = self.block_bytes as usize;
                match whole_blocks(data, block, self.block_bytes) {
                    Ok(data) if data.len() == block => Wanted::Block(data.to_vec()),
                    Ok(_) => return Begun::Done(Outcome::good()),
                    Err(sense) => return Begun::Done(Outcome::check(sense)),
                }
            }
        };
        if len == 0 {
            return Begun::Done(Outcome::good());
        }
        ops.push(Op::Read { offset: self.range.offset, buf: Buffer::unfilled(len) });
        Begun::Steps(Box::new(Compare(wanted)))
    }
}

/// What must be on the medium.
enum Wanted {
    Anything,
    Data(Buffer),
    Block(Vec<u8>),
}

/// Waits for a read and looks at what it brought.
struct Compare(Wanted);

impl Compare {
    fn outcome(&self, result: Result<Done, Error>) -> Outcome {
        let data = match result {
            Ok(Done::Data(data)) => data,
            Ok(_) => return confused(),
            Err(error) => return sense::of_block_error(&error, Access::Read).into(),
        };
        let difference = match &self.0 {
            Wanted::Anything => None,
            Wanted::Data(wanted) => data.first_difference(wanted).map(|at| at as u64),
            Wanted::Block(block) => first_difference_to_block(&data, block),
        };
        match difference {
            None => Outcome::good(),
            Some(offset) => Outcome::check(Sense::miscompare(offset)),
        }
    }
}

impl Steps for Compare {
    fn resume(&mut self, result: Result<Done, Error>, _: &mut Ops) -> Option<Outcome> {
        Some(self.outcome(result))
    }
}

struct WriteAndVerify {
    range: Range,
    block_bytes: u32,
    compare: bool,
}

pub(super) fn write_and_verify(call: &Call<'_>) -> Result<Plan, Refusal> {
    let compare = match (call.cdb.u8(1) >> 1) & 0x03 {
        0 => false,
        1 => true,
        _ => return Err(Sense::cdb_field(1, Some(2)).into()),
    };
    let range = call.unit.transfer_range(Blocks::of(&call.cdb))?;
    call.unit.check_writable()?;
    if range.len == 0 {
        return Ok(Plan::good());
    }
    Ok(Plan::Other(Box::new(WriteAndVerify { range, block_bytes: call.unit.block_bytes, compare })))
}

impl Work for WriteAndVerify {
    fn transfer(&self) -> Transfer {
        Transfer::Out { bytes: self.range.len }
    }

    /// What is read back, beside what the initiator sent.
    fn memory_bytes(&self) -> u64 {
        2 * self.range.len
    }

    fn start(self: Box<Self>, data: Buffer, ops: &mut Ops) -> Begun {
        let buf = match whole_blocks(data, self.range.buffer_len(), self.block_bytes) {
            Ok(buf) if buf.is_empty() => return Begun::Done(Outcome::good()),
            Ok(buf) => buf,
            Err(sense) => return Begun::Done(Outcome::check(sense)),
        };
        let len = buf.len();
        let wanted = if self.compare { Wanted::Data(part(&buf, 0, len)) } else { Wanted::Anything };
        let offset = self.range.offset;
        // What is verified must be on the medium, so: FUA.
        ops.push(Op::Write { offset, buf, fua: true });
        Begun::Steps(Box::new(WriteThenCompare {
            read_back: Some((offset, len)),
            compare: Compare(wanted),
        }))
    }
}

struct WriteThenCompare {
    /// What to read once the write is done.
    read_back: Option<(u64, usize)>,
    compare: Compare,
}

impl Steps for WriteThenCompare {
    fn resume(&mut self, result: Result<Done, Error>, ops: &mut Ops) -> Option<Outcome> {
        let Some((offset, len)) = self.read_back.take() else {
            return Some(self.compare.outcome(result));
        };
        if let Err(error) = result {
            return Some(sense::of_block_error(&error, Access::Write).into());
        }
        ops.push(Op::Read { offset, buf: Buffer::unfilled(len) });
        None
    }
}
