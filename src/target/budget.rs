//! The data memory of a shard, and what of it is lent out.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::Waker;

/// How much data memory the commands on one shard may hold.
#[derive(Debug)]
pub(super) struct Budget {
    free: Cell<usize>,
    shares: RefCell<Vec<Weak<Share>>>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Rc<Self> {
        Rc::new(Self { free: Cell::new(bytes), shares: RefCell::default() })
    }

    /// One connection's share.
    pub(super) fn share(self: &Rc<Self>) -> Rc<Share> {
        let share = Rc::new(Share {
            budget: Rc::clone(self),
            held: Cell::new(0),
            leases: Cell::new(0),
            spare: RefCell::default(),
        });
        let mut shares = self.shares.borrow_mut();
        shares.retain(|share| share.strong_count() > 0);
        shares.push(Rc::downgrade(&share));
        share
    }

    /// Memory is short: whoever holds some that it can do without is to give it back.
    pub(super) fn call_in(&self) {
        for share in self.shares.borrow().iter().filter_map(Weak::upgrade) {
            let mut spare = share.spare.borrow_mut();
            if matches!(*spare, Spare::Held(_))
                && let Spare::Held(waker) = std::mem::replace(&mut *spare, Spare::CalledIn)
            {
                waker.wake();
            }
        }
    }
}

/// Memory that a connection holds and could do without.
#[derive(Debug, Default)]
enum Spare {
    /// None.
    #[default]
    None,
    /// Some, and this is how to tell it that memory is short.
    Held(Waker),
    /// It has been told.
    CalledIn,
}

/// What one connection may hold: never more than it leaves free to all others, so that initiators
/// who do not fetch what they asked for cannot keep the shard's memory to themselves. (Dynamic
/// thresholds; Choudhury and Hahne, 1998.)
#[derive(Debug)]
pub(super) struct Share {
    budget: Rc<Budget>,
    held: Cell<usize>,
    leases: Cell<usize>,
    spare: RefCell<Spare>,
}

/// Whether a connection may go beyond its fair part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// No.
    Fair,
    /// Up to all that is free: for the one command that a connection has, when nothing that it
    /// waits for would ever come back.
    All,
}

impl Share {
    /// Lends `bytes`, if there is as much.
    pub(super) fn lend(self: &Rc<Self>, bytes: usize, claim: Claim) -> Option<Lease> {
        if !self.take(bytes, claim) {
            return None;
        }
        self.leases.set(self.leases.get() + 1);
        Some(Lease { share: Rc::clone(self), bytes })
    }

    /// The connection holds memory that it can do without, and is woken when that is called in.
    /// True if it has been: then it is to be given back now.
    pub(super) fn holds_spare(&self, waker: &Waker) -> bool {
        let mut spare = self.spare.borrow_mut();
        match &*spare {
            Spare::CalledIn => {
                *spare = Spare::None;
                return true;
            }
            Spare::Held(known) if known.will_wake(waker) => {}
            Spare::Held(_) | Spare::None => *spare = Spare::Held(waker.clone()),
        }
        false
    }

    /// Has the other connections give back what they can do without. It will be there for a
    /// command that is tried again.
    pub(super) fn call_in(&self) {
        self.budget.call_in();
    }

    /// Leases that are out.
    pub(super) fn leases(&self) -> usize {
        self.leases.get()
    }

    fn take(&self, bytes: usize, claim: Claim) -> bool {
        let (free, held) = (self.budget.free.get(), self.held.get());
        let Some(rest) = free.checked_sub(bytes) else { return false };
        if claim == Claim::Fair && held > 0 && held + bytes > rest {
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
    pub(super) fn extend_to(&mut self, bytes: usize, claim: Claim) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else { return true };
        if !self.share.take(more, claim) {
            return false;
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Share { budget, held, leases, spare: _ } = &*self.share;
        budget.free.set(budget.free.get() + self.bytes);
        held.set(held.get() - self.bytes);
        leases.set(leases.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_back() {
        let budget = Budget::new(100);
        let (one, other) = (budget.share(), budget.share());
        let mut lease = one.lend(60, Claim::Fair).unwrap();
        assert!(other.lend(41, Claim::All).is_none());
        assert_eq!((one.leases(), other.leases()), (1, 0));
        assert!(!lease.extend_to(101, Claim::All));
        assert!(lease.extend_to(100, Claim::All) && lease.extend_to(10, Claim::Fair));
        assert!(other.lend(1, Claim::Fair).is_none());
        drop(lease);
        assert_eq!(one.leases(), 0);
        assert!(other.lend(100, Claim::Fair).is_some(), "the first may take all that is free");
    }

    #[test]
    fn what_others_can_do_without_is_called_in() {
        let budget = Budget::new(100);
        let (keeper, other, asker) = (budget.share(), budget.share(), budget.share());
        let waker = Waker::noop();
        asker.call_in();
        assert!(!keeper.holds_spare(waker), "there was nothing when it was called in");
        assert!(!keeper.holds_spare(waker));
        drop(other);
        asker.call_in();
        asker.call_in();
        assert!(keeper.holds_spare(waker));
        assert!(!keeper.holds_spare(waker), "only once");
        assert_eq!(budget.shares.borrow().len(), 3);
        let _next = budget.share();
        assert_eq!(budget.shares.borrow().len(), 3, "those that are gone are forgotten");
    }

    #[test]
    fn no_share_is_larger_than_what_it_leaves_free() {
        let budget = Budget::new(100);
        let (greedy, modest) = (budget.share(), budget.share());
        let leases: Vec<_> =
            std::iter::from_fn(|| greedy.lend(10, Claim::Fair)).take(100).collect();
        assert_eq!(leases.len(), 5);
        assert!(greedy.lend(10, Claim::All).is_some(), "but it is not stuck");
        assert!(modest.lend(20, Claim::Fair).is_some());
    }
}
