//! Block operations on their way from a command to the volumes.

use super::background::Background;
use super::lun::UnitId;
use crate::block::Op;

/// The block operations that a step of a command asks for. Almost all go to the volume of the
/// logical unit that the command addresses; a copy has some for others.
#[derive(Debug, Default)]
pub struct Ops {
    own: Vec<Op>,
    others: Vec<(UnitId, Op)>,
    background: Option<Box<Background>>,
}

impl Ops {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True if nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.others.is_empty() && self.background.is_none()
    }

    /// Takes out those for the volume of [`super::Prepared::unit`].
    pub fn drain_own(&mut self) -> impl Iterator<Item = Op> {
        self.own.drain(..)
    }

    /// Takes out those for the volumes of other logical units of the device. One that is there
    /// no more is to be answered with [`crate::block::ErrorKind::Gone`].
    pub fn drain_others(&mut self) -> impl Iterator<Item = (UnitId, Op)> {
        self.others.drain(..)
    }

    /// Takes out work that goes on whatever becomes of the command. The task that asked for it has
    /// nothing else outstanding; it waits for one completion, of success, which the transport
    /// owes it: see [`Background::is_immediate`].
    pub fn take_background(&mut self) -> Option<Box<Background>> {
        self.background.take()
    }

    /// Asks for one on the volume of the command's logical unit.
    pub(super) fn push(&mut self, op: Op) {
        self.own.push(op);
    }

    /// Asks for one on the volume of another logical unit of the same device.
    pub(super) fn push_to(&mut self, unit: UnitId, op: Op) {
        self.others.push((unit, op));
    }

    /// Asks for work in the background.
    pub(super) fn go_on_with(&mut self, background: Background) {
        self.background = Some(Box::new(background));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_operation_is_one() {
        let mut ops = Ops::new();
        assert!(ops.is_empty());
        ops.push(Op::Flush);
        assert!(!ops.is_empty());
        assert_eq!((ops.drain_own().count(), ops.is_empty()), (1, true));
        ops.push_to(UnitId(1), Op::Flush);
        assert!(!ops.is_empty());
        assert_eq!((ops.drain_others().count(), ops.is_empty()), (1, true));
    }
}
