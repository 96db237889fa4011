//! What commands of several steps have in common.

use super::ops::Ops;
use super::outcome::{Outcome, Refusal};
use super::sense::{self, Access};
use super::task::Steps;
use crate::block::{Done, Error};

/// Operations of which none depends on another: the command ends with the last of them, with the
/// first failure if there was one.
pub(super) struct AllOf {
    outstanding: usize,
    failure: Option<Refusal>,
}

impl AllOf {
    /// `count` operations, at least one, were handed out.
    pub(super) fn new(count: usize) -> Self {
        Self { outstanding: count, failure: None }
    }
}

impl Steps for AllOf {
    fn resume(&mut self, result: Result<Done, Error>, _: &mut Ops) -> Option<Outcome> {
        self.outstanding = self.outstanding.saturating_sub(1);
        if let (Err(error), None) = (&result, &self.failure) {
            self.failure = Some(sense::of_block_error(error, Access::Write));
        }
        (self.outstanding == 0)
            .then(|| self.failure.take().map_or_else(Outcome::good, Outcome::from))
    }
}
