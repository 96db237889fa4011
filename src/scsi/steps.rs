//! What commands of several steps have in common.

use super::ops::Ops;
use super::outcome::Outcome;
use super::sense::{self, Access};
use super::task::Steps;
use crate::block::{Done, Error, Op};

/// One operation that changes the medium was handed out: ends with it, or with a flush after it.
pub(super) struct Then {
    flush: bool,
}

impl Then {
    /// Nothing after it.
    pub(super) fn done() -> Self {
        Self { flush: false }
    }

    /// A flush after it, if `flush`.
    pub(super) fn flush(flush: bool) -> Self {
        Self { flush }
    }
}

impl Steps for Then {
    fn resume(&mut self, result: Result<Done, Error>, ops: &mut Ops) -> Option<Outcome> {
        if let Err(error) = result {
            return Some(sense::of_block_error(&error, Access::Write).into());
        }
        if std::mem::take(&mut self.flush) {
            ops.push(Op::Flush);
            return None;
        }
        Some(Outcome::good())
    }
}
