//! What is in which slot of the file, in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::super::geometry::{BLOCKS, Mask};
use super::super::hash::{Hashed, Key};

/// Parts behind locks of their own, for files that are large enough.
const PARTS: u64 = 16;
const PART_SLOTS_MIN: u64 = 64;
/// Slots that are passed over for having been read, at most, when one is needed.
const STEPS_MAX: usize = 32;

/// What is in one slot of the file: room for one extent.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) blocks: Mask,
    pub(super) sums: [u64; BLOCKS],
    /// It was read since the hand came by.
    pub(super) used: bool,
}

#[derive(Default)]
struct Part {
    slots: Vec<Option<Slot>>,
    /// Slots that hold something. One that is being written is not yet in here.
    known: HashMap<Key, usize, Hashed>,
    /// The next slot that is looked at when one is needed.
    hand: usize,
}

/// See the [module](self) docs.
pub(super) struct Index {
    parts: Box<[Mutex<Part>]>,
    part_slots: usize,
    /// Blocks in all slots.
    blocks: AtomicU64,
}

impl Part {
    /// A slot to write to: the first from the hand on that was not read since it came by, or the
    /// one at which the hand has got tired; and what it held.
    fn free(&mut self, slots_max: usize) -> (usize, Option<Slot>) {
        if self.slots.len() < slots_max {
            self.slots.push(None);
            return (self.slots.len() - 1, None);
        }
        let mut steps = 0;
        loop {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            match &mut self.slots[at] {
                Some(slot) if slot.used && steps < STEPS_MAX => slot.used = false,
                other => {
                    let old = other.take();
                    if let Some(old) = &old {
                        self.known.remove(&old.key);
                    }
                    return (at, old);
                }
            }
            steps += 1;
        }
    }

    fn take(&mut self, key: Key) -> Option<Slot> {
        let at = self.known.remove(&key)?;
        self.slots[at].take()
    }
}

impl Index {
    /// Of a file of so many slots.
    pub(super) fn new(slots: u64) -> Self {
        let parts = if slots >= PARTS * PART_SLOTS_MIN { PARTS } else { 1 };
        Self {
            parts: (0..parts).map(|_| Mutex::default()).collect(),
            part_slots: usize::try_from(slots / parts).unwrap_or(usize::MAX).max(1),
            blocks: AtomicU64::new(0),
        }
    }

    /// Blocks that are in the file.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Relaxed)
    }

    fn part(&self, key: Key) -> (usize, &Mutex<Part>) {
        let at = (key.hash() >> 32) as usize % self.parts.len();
        (at, &self.parts[at])
    }

    fn lost(&self, slot: Option<Slot>) {
        let blocks = slot.map_or(0, |slot| u64::from(slot.blocks.count_ones()));
        self.blocks.fetch_sub(blocks, Ordering::Relaxed);
    }

    /// The blocks that are there of an extent.
    pub(super) fn held(&self, key: Key) -> Mask {
        let part = self.part(key).1.lock();
        let slot = part.known.get(&key).and_then(|at| part.slots[*at].as_ref());
        slot.map_or(0, |slot| slot.blocks)
    }

    /// Number and sums of the slot that holds all of `want`; counts as a use.
    pub(super) fn find(&self, key: Key, want: Mask) -> Option<(u64, [u64; BLOCKS])> {
        let (number, part) = self.part(key);
        let mut part = part.lock();
        let at = *part.known.get(&key)?;
        let slot = part.slots[at].as_mut().filter(|slot| slot.blocks & want == want)?;
        slot.used = true;
        Some(((number * self.part_slots + at) as u64, slot.sums))
    }

    /// A slot to write an extent to, which nobody knows until it is [put](Self::put).
    pub(super) fn free(&self, key: Key) -> u64 {
        let (number, part) = self.part(key);
        let (at, before, old) = {
            let mut part = part.lock();
            let before = part.take(key);
            let (at, old) = part.free(self.part_slots);
            (at, before, old)
        };
        self.lost(before);
        self.lost(old);
        (number * self.part_slots + at) as u64
    }

    /// Slot `number`, got for it by [`Self::free`], holds an extent now.
    pub(super) fn put(&self, number: u64, slot: Slot) {
        let (_, part) = self.part(slot.key);
        let at = number as usize % self.part_slots;
        self.blocks.fetch_add(u64::from(slot.blocks.count_ones()), Ordering::Relaxed);
        let mut part = part.lock();
        // Another may have written the same extent, or got the same slot, meanwhile.
        let key = slot.key;
        let before = part.take(key);
        let other = part.slots[at].replace(slot);
        if let Some(other) = &other {
            part.known.remove(&other.key);
        }
        part.known.insert(key, at);
        drop(part);
        self.lost(before);
        self.lost(other);
    }

    /// What is there of an extent is not what was written.
    pub(super) fn forget(&self, key: Key) {
        let old = self.part(key).1.lock().take(key);
        self.lost(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(key: Key, blocks: Mask) -> Slot {
        Slot { key, blocks, sums: [0; BLOCKS], used: false }
    }

    fn put(index: &Index, extent: u64, blocks: Mask) -> u64 {
        let key = Key::new(1, extent);
        let at = index.free(key);
        index.put(at, slot(key, blocks));
        at
    }

    /// Blocks that are found, one extent after the other.
    fn found(index: &Index, extents: u64) -> u64 {
        let held = |extent| u64::from(index.held(Key::new(1, extent)).count_ones());
        (0..extents).map(held).sum()
    }

    #[test]
    fn no_slot_is_given_to_two_and_what_is_counted_is_there() {
        let slots = PARTS * PART_SLOTS_MIN;
        let index = Index::new(slots);
        for extent in 0..4 * slots {
            assert!(put(&index, extent, 0b11) < slots);
        }
        assert_eq!(index.blocks(), found(&index, 4 * slots));
        let mut taken: Vec<u64> = (0..4 * slots)
            .filter_map(|extent| Some(index.find(Key::new(1, extent), 0b1)?.0))
            .collect();
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len() as u64 * 2, index.blocks());
        (0..4 * slots).for_each(|extent| _ = put(&index, extent % 10, 0b1));
        (0..4 * slots).for_each(|extent| index.forget(Key::new(1, extent)));
        assert_eq!((index.blocks(), found(&index, 4 * slots)), (0, 0));
    }

    #[test]
    fn two_that_write_the_same_leave_one() {
        let index = Index::new(4);
        let key = Key::new(1, 7);
        let (first, second) = (index.free(key), index.free(key));
        assert_ne!(first, second);
        index.put(first, slot(key, 0b111));
        index.put(second, slot(key, 0b1));
        assert_eq!((index.held(key), index.blocks()), (0b1, 1));
    }

    #[test]
    fn the_hand_stops_though_everything_was_read() {
        let index = Index::new(2 * STEPS_MAX as u64);
        (0..2 * STEPS_MAX as u64).for_each(|extent| _ = put(&index, extent, 0b1));
        let read = |extent| index.find(Key::new(1, extent), 0b1).is_some();
        assert!((0..2 * STEPS_MAX as u64).all(read));
        put(&index, 1000, 0b1);
        assert_eq!(index.parts[0].lock().hand, STEPS_MAX + 1);
        assert!(read(0) && !read(STEPS_MAX as u64), "it has taken the slot where it stood");
    }
}
