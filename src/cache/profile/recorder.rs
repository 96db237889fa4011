//! What one disk reads while its machine boots, in the order of the first reads.
//!
//! A table of a fixed size that any number of threads write to: no lock, no allocation, and for a
//! place that was read before one load of one word.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::UNIT_BYTES;

/// Bits of an entry that hold the rank; the others hold the unit, plus one.
const RANK_BITS: u32 = 16;
/// Places that are looked at for a unit; a table is at most half full, so that is plenty.
const PROBES_MAX: usize = 32;

/// See the [module](self) docs.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// 0: free.
    table: Box<[AtomicU64]>,
    /// Units seen, which is the rank of the next one.
    seen: AtomicU32,
    units_max: u32,
}

impl Recorder {
    /// Room for `units_max` units (at most 65535, more are taken as that).
    pub(crate) fn new(units_max: u32) -> Self {
        let units_max = units_max.min((1 << RANK_BITS) - 1);
        let places = (units_max as usize * 2).next_power_of_two().max(2);
        let table = (0..places).map(|_| AtomicU64::new(0)).collect();
        Self { table, seen: AtomicU32::new(0), units_max }
    }

    /// Takes a read of `len` bytes at `offset`. False once the table is full: nothing more is taken.
    pub(crate) fn read(&self, offset: u64, len: u64) -> bool {
        if len == 0 {
            return true;
        }
        let last = offset.saturating_add(len - 1) / UNIT_BYTES;
        for unit in offset / UNIT_BYTES..=last {
            if !self.note(unit) {
                return false;
            }
        }
        true
    }

    fn note(&self, unit: u64) -> bool {
        let key = unit + 1;
        let mask = self.table.len() - 1;
        // Fibonacci hashing: neighbours, which is what a disk is read in, land far from each other.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let mut at = (hash as usize) & mask;
        for _ in 0..PROBES_MAX {
            let Some(place) = self.table.get(at) else { return false };
            let mut held = place.load(Ordering::Relaxed);
            if held == 0 {
                let rank = self.seen.fetch_add(1, Ordering::Relaxed);
                if rank >= self.units_max {
                    self.seen.store(self.units_max, Ordering::Relaxed);
                    return false;
                }
                let entry = key << RANK_BITS | u64::from(rank);
                match place.compare_exchange(0, entry, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return true,
                    // Another thread was here first; the rank stays unused.
                    Err(now) => held = now,
                }
            }
            if held >> RANK_BITS == key {
                return true;
            }
            at = (at + 1) & mask;
        }
        // No place near: the unit is not recorded, others may be.
        true
    }

    /// The units that were read, in the order of their first reads.
    pub(crate) fn units(&self) -> Vec<u64> {
        let entry = |place: &AtomicU64| place.load(Ordering::Relaxed);
        let mut entries: Vec<u64> =
            self.table.iter().map(entry).filter(|&held| held != 0).collect();
        entries.sort_unstable_by_key(|held| held & ((1 << RANK_BITS) - 1));
        entries.into_iter().map(|held| (held >> RANK_BITS) - 1).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_come_in_the_order_of_their_first_reads() {
        let recorder = Recorder::new(100);
        for (offset, len) in [(5 * UNIT_BYTES + 7, 1), (0, UNIT_BYTES), (5 * UNIT_BYTES, 512)] {
            assert!(recorder.read(offset, len));
        }
        assert!(recorder.read(2 * UNIT_BYTES - 1, 2), "across a border");
        assert_eq!(recorder.units(), [5, 0, 1, 2]);
    }

    #[test]
    fn a_full_table_takes_nothing_more() {
        let recorder = Recorder::new(10);
        assert!(recorder.read(0, 10 * UNIT_BYTES));
        assert!(recorder.read(0, 1), "what is known goes on");
        assert!(!recorder.read(10 * UNIT_BYTES, 1));
        assert!(!recorder.read(0, u64::MAX), "ends at the first that finds no place");
        assert_eq!(recorder.units(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn threads_that_read_the_same_record_it_once() {
        let recorder = Recorder::new(4096);
        std::thread::scope(|scope| {
            for start in 0..4 {
                let recorder = &recorder;
                scope.spawn(move || {
                    for i in 0..2000 {
                        recorder.read((i + start * 500) % 2000 * UNIT_BYTES, 1);
                    }
                });
            }
        });
        let units = recorder.units();
        let distinct: HashSet<u64> = units.iter().copied().collect();
        assert_eq!(distinct.len(), units.len());
        assert!(distinct.iter().all(|&unit| unit < 2000));
        assert!(distinct.len() >= 1900, "{} of 2000", distinct.len());
    }

    proptest! {
        #[test]
        fn any_reads_give_what_a_set_would(
            reads in prop::collection::vec((any::<u64>(), 1..4 * UNIT_BYTES), 1..100),
        ) {
            let recorder = Recorder::new(1000);
            let mut expected = Vec::new();
            for (offset, len) in reads {
                let offset = offset >> 4;
                prop_assert!(recorder.read(offset, len));
                for unit in offset / UNIT_BYTES..=(offset + len - 1) / UNIT_BYTES {
                    if !expected.contains(&unit) {
                        expected.push(unit);
                    }
                }
            }
            prop_assert_eq!(recorder.units(), expected);
        }
    }
}
