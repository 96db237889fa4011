//! The data memory of a shard, and what of it is lent out.

use std::cell::Cell;
use std::rc::Rc;

/// How much data memory the commands on one shard may hold.
#[derive(Debug)]
pub(super) struct Budget {
    free: Cell<usize>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Rc<Self> {
        Rc::new(Self { free: Cell::new(bytes) })
    }

    /// Lends `bytes`, if there is as much.
    pub(super) fn lend(self: &Rc<Self>, bytes: usize) -> Option<Lease> {
        let rest = self.free.get().checked_sub(bytes)?;
        self.free.set(rest);
        Some(Lease { budget: Rc::clone(self), bytes })
    }
}

/// Memory that a command may hold; given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Rc<Budget>,
    bytes: usize,
}

impl Lease {
    /// Makes the lease as large as `bytes`, if there is as much.
    pub(super) fn extend_to(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else { return true };
        let Some(rest) = self.budget.free.get().checked_sub(more) else { return false };
        self.budget.free.set(rest);
        self.bytes = bytes;
        true
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.free.set(self.budget.free.get() + self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_back() {
        let budget = Budget::new(100);
        let mut first = budget.lend(60).unwrap();
        assert!(budget.lend(41).is_none());
        assert!(!first.extend_to(101));
        assert!(first.extend_to(100) && first.extend_to(10));
        assert!(budget.lend(1).is_none());
        drop(first);
        assert!(budget.lend(100).is_some());
    }
}
