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

    /// One connection's share.
    pub(super) fn share(self: &Rc<Self>) -> Rc<Share> {
        Rc::new(Share { budget: Rc::clone(self), held: Cell::new(0) })
    }
}

/// What one connection may hold: never more than it leaves free to all others, so that initiators
/// who do not fetch what they asked for cannot keep the shard's memory to themselves. (Dynamic
/// thresholds; Choudhury and Hahne, 1998.) Its first lease may take all that is free.
#[derive(Debug)]
pub(super) struct Share {
    budget: Rc<Budget>,
    held: Cell<usize>,
}

impl Share {
    /// Lends `bytes`, if there is as much.
    pub(super) fn lend(self: &Rc<Self>, bytes: usize) -> Option<Lease> {
        self.take(bytes).then(|| Lease { share: Rc::clone(self), bytes })
    }

    /// True while anything is lent: it will come back.
    pub(super) fn is_in_use(&self) -> bool {
        self.held.get() > 0
    }

    fn take(&self, bytes: usize) -> bool {
        let (free, held) = (self.budget.free.get(), self.held.get());
        let Some(rest) = free.checked_sub(bytes) else { return false };
        if held > 0 && held + bytes > rest {
            return false;
        }
        self.budget.free.set(rest);
        self.held.set(held + bytes);
        true
    }
}

/// Memory that a command may hold; given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    share: Rc<Share>,
    bytes: usize,
}

impl Lease {
    /// Makes the lease as large as `bytes`, if there is as much.
    pub(super) fn extend_to(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else { return true };
        if !self.share.take(more) {
            return false;
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Share { budget, held } = &*self.share;
        budget.free.set(budget.free.get() + self.bytes);
        held.set(held.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_back() {
        let share = Budget::new(100).share();
        let mut first = share.lend(30).unwrap();
        assert!(share.lend(71).is_none());
        assert!(!first.extend_to(101));
        assert!(first.extend_to(50) && first.extend_to(10));
        assert!(share.lend(1).is_none());
        drop(first);
        assert!(share.lend(100).is_some());
    }

    #[test]
    fn a_hoarder_leaves_as_much_as_it_holds() {
        let budget = Budget::new(120);
        let hoards: Vec<_> = (0..3)
            .map(|_| {
                let share = budget.share();
                std::iter::from_fn(|| share.lend(1)).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(hoards.iter().map(Vec::len).collect::<Vec<_>>(), [60, 30, 15]);
        let honest = budget.share();
        let first = honest.lend(15).unwrap();
        assert!(honest.lend(1).is_none(), "nothing is left");
        drop(hoards);
        assert!(honest.lend(40).is_some());
        drop(first);
        assert!(honest.lend(120).is_some());
    }
}
