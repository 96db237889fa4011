//! What commands have done with a logical unit, counted for LOG SENSE.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    Reads,
    Writes,
    BytesRead,
    BytesWritten,
    /// Commands that ended because of the medium.
    ReadErrors,
    WriteErrors,
}

const COUNTERS: usize = 6;

/// The values of all counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals([u64; COUNTERS]);

impl Totals {
    pub(super) fn of(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a = a.wrapping_add(b));
    }

    /// What has been counted since `earlier`.
    pub(super) fn since(mut self, earlier: Self) -> Self {
        self.0.iter_mut().zip(earlier.0).for_each(|(a, b)| *a = a.wrapping_sub(b));
        self
    }
}

/// What one I_T nexus has done with one logical unit.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; COUNTERS]);

impl Counters {
    /// Adds without a locked instruction: the task that drives the session is the only writer.
    pub(super) fn add(&self, counter: Counter, n: u64) {
        let cell = &self.0[counter as usize];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub(super) fn totals(&self) -> Totals {
        Totals(std::array::from_fn(|i| self.0[i].load(Ordering::Relaxed)))
    }
}

/// What is kept with the logical unit itself.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Of the nexuses that are gone.
    pub(super) gone: Totals,
    /// Everything up to the last reset, by log page.
    pub(super) at_reset: [Totals; LOG_PAGES],
}

/// Log pages with counters, each of which is reset by itself.
pub(super) const LOG_PAGES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_told_apart_and_summed() {
        let counters = Counters::default();
        counters.add(Counter::Reads, 1);
        counters.add(Counter::WriteErrors, 5);
        let first = counters.totals();
        counters.add(Counter::Reads, u64::MAX);
        counters.add(Counter::Reads, 3);
        let since = counters.totals().since(first);
        assert_eq!((since.of(Counter::Reads), since.of(Counter::WriteErrors)), (2, 0));
        let mut sum = first;
        sum.add(since);
        assert_eq!(sum, counters.totals());
    }
}
