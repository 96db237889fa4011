//! The life of a command after admission: [`Prepared`], then [`Task`].
//!
//! Reads, writes and flushes, each one block operation, are plain data; whatever takes several
//! steps is a [`Work`] and then [`Steps`] behind a box.

use super::data::whole_blocks;
use super::lun::{Range, UnitId};
use super::ops::Ops;
use super::outcome::{DataIn, Outcome, Refusal, Transfer};
use super::sense::{self, Access, Asc, Sense, SenseFormat};
use crate::block::{Buffer, Done, Error, Op};

/// What a handler makes of a CDB.
pub(super) enum Plan {
    /// The command has ended already.
    Done(Outcome),
    Read(Range),
    Write {
        range: Range,
        fua: bool,
        block_bytes: u32,
    },
    Flush,
    Other(Box<dyn Work>),
}

impl Plan {
    /// GOOD.
    pub(super) fn good() -> Self {
        Self::Done(Outcome::good())
    }

    /// GOOD with data, cut to the allocation length (SPC-4 4.2.5.6).
    pub(super) fn answer(mut bytes: Vec<u8>, allocation_length: u32) -> Self {
        bytes.truncate(usize::try_from(allocation_length).unwrap_or(usize::MAX));
        Self::Done(Outcome::data(DataIn::Bytes(bytes)))
    }
}

impl Plan {
    /// False if the initiator will send another length than the CDB means, and the command has no
    /// meaning for a part of it.
    pub(super) fn agrees_with(&self, data_out_bytes: u64) -> bool {
        match self {
            Self::Other(work) if work.is_exact() => match work.transfer() {
                Transfer::Out { bytes } => bytes == data_out_bytes,
                Transfer::In { .. } | Transfer::None => true,
            },
            _ => true,
        }
    }
}

/// A command of several steps, or with a parameter list, before it starts.
pub(super) trait Work: Send {
    /// What the CDB asks for.
    fn transfer(&self) -> Transfer;
    /// The most bytes of data that the command holds at a time.
    fn memory_bytes(&self) -> u64 {
        self.transfer().bytes()
    }
    /// Part of the data makes no sense, nor does more of them.
    fn is_exact(&self) -> bool {
        false
    }
    /// Begins. `data` is what the initiator sent, empty if nothing.
    fn start(self: Box<Self>, data: Buffer, ops: &mut Ops) -> Begun;
}

/// What [`Work::start`] comes to.
pub(super) enum Begun {
    Done(Outcome),
    Steps(Box<dyn Steps>),
}

impl From<Result<Begun, Refusal>> for Begun {
    fn from(result: Result<Begun, Refusal>) -> Self {
        result.unwrap_or_else(|refusal| Self::Done(refusal.into()))
    }
}

/// The rest of a command of several steps.
pub(super) trait Steps: Send {
    /// Takes one completion; may ask for more operations. Must answer `Some` once nothing is
    /// outstanding any more.
    fn resume(&mut self, result: Result<Done, Error>, ops: &mut Ops) -> Option<Outcome>;
}

/// An admitted command that waits for its data.
pub struct Prepared {
    pub(super) unit: UnitId,
    pub(super) lun: u16,
    pub(super) format: SenseFormat,
    pub(super) plan: Plan,
}

/// How a command stands after [`Prepared::start`].
pub enum Step {
    /// Block operations are to be submitted; hand each completion to the task.
    Wait(Task),
    /// It has ended.
    Done(Outcome),
}

impl Prepared {
    /// The logical unit whose volume gets the operations.
    #[must_use]
    pub fn unit(&self) -> UnitId {
        self.unit
    }

    /// Its number.
    #[must_use]
    pub fn lun(&self) -> u16 {
        self.lun
    }

    /// What the CDB asks for. The transport may expect less or more: it moves the smaller of
    /// both and reports the difference as the residual.
    #[must_use]
    pub fn transfer(&self) -> Transfer {
        match &self.plan {
            Plan::Done(_) | Plan::Flush => Transfer::None,
            Plan::Read(range) => Transfer::In { bytes: range.len },
            Plan::Write { range, .. } => Transfer::Out { bytes: range.len },
            Plan::Other(work) => work.transfer(),
        }
    }

    /// The most bytes of data that the command holds at a time, for the transport to reserve.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        match &self.plan {
            Plan::Other(work) => work.memory_bytes(),
            _ => self.transfer().bytes(),
        }
    }

    /// Starts the command with the data of the initiator: `None` or as much as came, at most what
    /// [`Self::transfer`] asks for. Operations to submit are appended to `ops`.
    #[must_use]
    pub fn start(self, data_out: Option<Buffer>, ops: &mut Ops) -> Step {
        let format = self.format;
        let done = |outcome: Outcome| Step::Done(outcome.in_format(format));
        let wait = |kind| Step::Wait(Task { format, kind });
        let data = data_out.unwrap_or_else(|| Buffer::unfilled(0));
        match self.plan {
            Plan::Done(outcome) => done(outcome),
            Plan::Read(range) => {
                let buf = Buffer::unfilled(range.buffer_len());
                ops.push(Op::Read { offset: range.offset, buf });
                wait(Kind::Read)
            }
            Plan::Write { range, fua, block_bytes } => {
                match whole_blocks(data, range.buffer_len(), block_bytes) {
                    Ok(buf) if buf.is_empty() => done(Outcome::good()),
                    Ok(buf) => {
                        ops.push(Op::Write { offset: range.offset, buf, fua });
                        wait(Kind::Write)
                    }
                    Err(sense) => done(Outcome::check(sense)),
                }
            }
            Plan::Flush => {
                ops.push(Op::Flush);
                wait(Kind::Write)
            }
            Plan::Other(work) => match work.start(data, ops) {
                Begun::Done(outcome) => done(outcome),
                Begun::Steps(steps) => wait(Kind::Steps(steps)),
            },
        }
    }
}

/// A command whose block operations are under way.
pub struct Task {
    format: SenseFormat,
    kind: Kind,
}

enum Kind {
    Read,
    Write,
    Steps(Box<dyn Steps>),
}

impl Task {
    /// Takes the completion of one of the task's operations. More operations may be appended to
    /// `ops`; with `Some` the command has ended and nothing of it is outstanding.
    pub fn resume(&mut self, result: Result<Done, Error>, ops: &mut Ops) -> Option<Outcome> {
        let outcome = match &mut self.kind {
            Kind::Read => match result {
                Ok(Done::Data(buf)) => Outcome::data(DataIn::Buffer(buf)),
                Ok(_) => return Some(confused().in_format(self.format)),
                Err(error) => sense::of_block_error(&error, Access::Read).into(),
            },
            Kind::Write => match result {
                Ok(_) => Outcome::good(),
                Err(error) => sense::of_block_error(&error, Access::Write).into(),
            },
            Kind::Steps(steps) => steps.resume(result, ops)?,
        };
        Some(outcome.in_format(self.format))
    }
}

/// A volume answered with what was not asked for.
pub(super) fn confused() -> Outcome {
    let (key, asc) = (sense::SenseKey::HardwareError, Asc::INTERNAL_TARGET_FAILURE);
    Outcome::check(Sense::new(key, asc))
}
