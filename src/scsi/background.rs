//! Work that goes on without the command that began it: SANITIZE and FORMAT UNIT, which the
//! initiator need not wait for (IMMED), and which no abort, reset or loss of the nexus stops.

use std::sync::Arc;

use parking_lot::Mutex;

use super::lun::UnitId;
use super::ops::Ops;
use super::outcome::Outcome;
use super::task::{Begun, Steps, confused};
use crate::block::{Done, Error};

/// How the work came out, for a command that waits for it.
type Slot = Arc<Mutex<Option<Outcome>>>;

/// Work that the transport drives beside its commands: submit what [`Self::ops`] gives, hand each
/// completion to [`Self::resume`], until it has ended. If it is dropped before, the logical unit
/// is left as after a failure.
pub struct Background {
    unit: UnitId,
    immediate: bool,
    steps: Box<dyn Steps>,
    ops: Ops,
    slot: Slot,
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Background").field("unit", &self.unit).finish_non_exhaustive()
    }
}

impl Background {
    /// The logical unit whose volume gets the operations.
    #[must_use]
    pub fn unit(&self) -> UnitId {
        self.unit
    }

    /// Whether the task that asked for it is to be resumed as soon as this has begun, and not
    /// only when it has ended; in both cases with success.
    #[must_use]
    pub fn is_immediate(&self) -> bool {
        self.immediate
    }

    /// What is to be submitted now.
    pub fn ops(&mut self) -> &mut Ops {
        &mut self.ops
    }

    /// Takes the completion of one operation. True: it has ended, nothing is outstanding.
    pub fn resume(&mut self, result: Result<Done, Error>) -> bool {
        let Some(outcome) = self.steps.resume(result, &mut self.ops) else { return false };
        *self.slot.lock() = Some(outcome);
        true
    }
}

/// Hands `steps`, which has asked for `first`, to the transport; the command waits for it.
pub(super) fn begin(
    unit: UnitId,
    immediate: bool,
    steps: Box<dyn Steps>,
    first: Ops,
    ops: &mut Ops,
) -> Begun {
    let slot = Slot::default();
    let waiting = Waiting { immediate, slot: Arc::clone(&slot) };
    ops.go_on_with(Background { unit, immediate, steps, ops: first, slot });
    Begun::Steps(Box::new(waiting))
}

struct Waiting {
    immediate: bool,
    slot: Slot,
}

impl Steps for Waiting {
    fn resume(&mut self, _: Result<Done, Error>, _: &mut Ops) -> Option<Outcome> {
        if self.immediate {
            return Some(Outcome::good());
        }
        // None if it was given up: the logical unit was taken away.
        Some(self.slot.lock().take().unwrap_or_else(confused))
    }
}
