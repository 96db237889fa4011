//! What takes memory beside the blocks, and its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are charged to somebody, up to a bound.
pub(super) struct Charges {
    bytes: AtomicU64,
    bytes_max: u64,
}

/// A charge, until it is dropped.
pub(super) struct Charge {
    to: Arc<Charges>,
    bytes: u64,
}

impl Charges {
    /// At most `bytes_max`.
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicU64::new(0), bytes_max })
    }

    /// What is charged now.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What more may be charged.
    pub(super) fn room(&self) -> u64 {
        self.bytes_max.saturating_sub(self.bytes())
    }

    /// Charges so much, if there is room for it.
    pub(super) fn try_take(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        let charge = self.take(bytes);
        // Given back, if it was too much.
        (self.bytes() <= self.bytes_max).then_some(charge)
    }

    /// Charges so much, whatever the bound is: for what could not be left out any more.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Charge {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Charge { to: Arc::clone(self), bytes }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.to.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_charged_is_bounded_and_comes_back() {
        let charges = Charges::new(10);
        let first = charges.try_take(6).unwrap();
        assert!(charges.try_take(5).is_none());
        assert_eq!((charges.bytes(), charges.room()), (6, 4));
        let second = charges.try_take(4).unwrap();
        let third = charges.take(3);
        assert_eq!((charges.bytes(), charges.room()), (13, 0));
        drop((first, second, third));
        assert_eq!(charges.bytes(), 0);
    }
}
