//! Extents, their blocks, and what is under way on them: the rules of the cache, without locks, I/O
//! or buffers of their own. `crates/loom-model` tries them in every interleaving.
//!
//! The rules, for the blocks of one extent:
//!
//! - A **fill** is registered before its read is submitted. What finds a block coming joins the
//!   fill in place of reading again.
//! - A **write** is registered before it is submitted, and ends before it is acknowledged. It takes
//!   its blocks out of the cache and out of every fill under way: nobody joins that fill for these
//!   blocks any more, and it will not put them in.
//! - While a write is under way on a block, no fill begins for it: reads go past the cache.
//! - A write that was alone on a block that was in the cache puts the new one there when it ends.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

use smallvec::SmallVec;

use super::fifo::{Fifo, Place};
use super::geometry::{BLOCK_BYTES, BLOCKS, Mask, bits};
use super::hash::{Hashed, Key};

/// Uses that are counted for an extent at most: rounds that it survives in the main queue.
const USES_MAX: u8 = 3;

/// What a block takes beside its bytes: its count of shares, and what the allocator needs.
const BLOCK_OVERHEAD: u64 = 64;
/// Extents that are looked at for one sweep at most, under the lock.
const STEPS_MAX: u64 = 4096;

/// Blocks, and which of their extent they are.
pub(super) type Taken<D> = SmallVec<[(usize, D); 1]>;

/// A fill under way on an extent.
struct Flight<F> {
    number: u64,
    /// The blocks that it will still put in.
    blocks: Mask,
    fill: F,
}

/// A write under way on an extent.
struct Writer {
    number: u64,
    /// The blocks that it may change.
    touched: Mask,
    /// The blocks that no other write was on at any time since this began.
    alone: Mask,
}

/// An extent that is in the cache.
struct Slot<D> {
    blocks: [Option<D>; BLOCKS],
    /// The blocks that are there.
    held: Mask,
    /// The blocks that were read since they came.
    touched: AtomicU16,
    /// Reads of blocks that had been read before.
    uses: AtomicU8,
    place: Place,
}

impl<D> Slot<D> {
    /// What it takes beside its blocks.
    const OVERHEAD: u64 = (size_of::<Self>() + 3 * size_of::<Key>()) as u64;

    fn new(place: Place) -> Self {
        Self {
            blocks: [const { None }; BLOCKS],
            held: 0,
            touched: AtomicU16::new(0),
            uses: AtomicU8::new(0),
            place,
        }
    }

    fn bytes(&self) -> u64 {
        Self::OVERHEAD + u64::from(self.held.count_ones()) * (BLOCK_BYTES + BLOCK_OVERHEAD)
    }

    /// Counts a use: the first read of a block tells nothing, as a scan does that, too.
    fn used(&self, blocks: Mask) {
        let touched = self.touched.load(Ordering::Relaxed);
        if touched & blocks != blocks {
            self.touched.store(touched | blocks, Ordering::Relaxed);
        }
        if touched & blocks != 0 {
            let uses = self.uses.load(Ordering::Relaxed);
            if uses < USES_MAX {
                self.uses.store(uses + 1, Ordering::Relaxed);
            }
        }
    }

    fn take(&mut self, blocks: Mask) -> Taken<D> {
        let blocks = blocks & self.held;
        self.held &= !blocks;
        *self.touched.get_mut() &= !blocks;
        bits(blocks).filter_map(|at| Some((at, self.blocks[at].take()?))).collect()
    }
}

/// What is under way on an extent, in the cache or not.
struct Busy<F> {
    flights: SmallVec<[Flight<F>; 1]>,
    writers: SmallVec<[Writer; 1]>,
}

impl<F> Default for Busy<F> {
    fn default() -> Self {
        Self { flights: SmallVec::new(), writers: SmallVec::new() }
    }
}

impl<F> Busy<F> {
    fn under_write(&self) -> Mask {
        self.writers.iter().fold(0, |mask, writer| mask | writer.touched)
    }

    fn is_over(&self) -> bool {
        self.flights.is_empty() && self.writers.is_empty()
    }

    /// Nothing of it may put anything in any more.
    fn forget(&mut self) {
        self.flights.iter_mut().for_each(|flight| flight.blocks = 0);
        self.writers.iter_mut().for_each(|writer| writer.alone = 0);
    }
}

/// What was dropped. To give its memory back takes a time: not under the lock.
#[must_use]
pub(super) struct Gone<D> {
    slots: HashMap<Key, Slot<D>, Hashed>,
    blocks: Vec<Taken<D>>,
}

impl<D> Default for Gone<D> {
    fn default() -> Self {
        Self { slots: HashMap::default(), blocks: Vec::new() }
    }
}

impl<D> Gone<D> {
    /// Extents of which something was dropped.
    pub(super) fn extents(&self) -> usize {
        self.slots.len() + self.blocks.len()
    }
}

/// A known bug, for the models to find.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A fill that was under way when a write began still puts in what it read.
    FillOutlivesWrite,
}

/// A write of so many extents that they are not told apart.
struct Sweep {
    number: u64,
    extents: Range<u64>,
}

/// Extents behind one lock. `D` is the data of one block, `F` is what one waits for.
pub(super) struct Shard<D, F> {
    slots: HashMap<Key, Slot<D>, Hashed>,
    busy: HashMap<Key, Busy<F>, Hashed>,
    fifo: Fifo,
    bytes: u64,
    /// Of the small queue.
    small_bytes: u64,
    next: u64,
    sweeps: Vec<Sweep>,
    #[cfg(test)]
    pub(super) bug: Option<Bug>,
    /// Extents that were looked at because of sweeps.
    #[cfg(test)]
    pub(super) swept: u64,
}

impl<D, F> Default for Shard<D, F> {
    fn default() -> Self {
        Self {
            slots: HashMap::default(),
            busy: HashMap::default(),
            fifo: Fifo::default(),
            bytes: 0,
            small_bytes: 0,
            next: 0,
            sweeps: Vec::new(),
            #[cfg(test)]
            bug: None,
            #[cfg(test)]
            swept: 0,
        }
    }
}

impl<D, F> Shard<D, F> {
    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The extent's blocks, if all of `want` are there; counts as a use.
    pub(super) fn get(&self, key: Key, want: Mask) -> Option<&[Option<D>; BLOCKS]> {
        let slot = self.slots.get(&key)?;
        (slot.held & want == want).then(|| {
            slot.used(want);
            &slot.blocks
        })
    }

    /// Whether some of `want` are not there, nobody brings them, and they may be fetched.
    pub(super) fn lacks(&self, key: Key, want: Mask) -> bool {
        self.find(key, want, |_, _| {}, |_, _| {}).is_some_and(|absent| absent != 0)
    }

    /// Looks for `want`: hands each block that is there to `held`, and each fill that brings some,
    /// with these, to `coming`: of all else that it reads, nothing may be taken from it. Left are
    /// those that nobody brings yet. `None`: a write is under way on some; go past the cache.
    pub(super) fn find(
        &self,
        key: Key,
        want: Mask,
        mut held: impl FnMut(usize, &D),
        mut coming: impl FnMut(Mask, &F),
    ) -> Option<Mask> {
        let busy = self.busy.get(&key);
        if self.is_swept(key) || busy.is_some_and(|busy| busy.under_write() & want != 0) {
            return None;
        }
        let mut absent = want;
        if let Some(slot) = self.slots.get(&key) {
            slot.used(slot.held & want);
            for at in bits(slot.held & want) {
                if let Some(block) = &slot.blocks[at] {
                    held(at, block);
                }
            }
            absent &= !slot.held;
        }
        for flight in busy.iter().flat_map(|busy| &busy.flights) {
            let brings = flight.blocks & absent;
            if brings != 0 {
                absent &= !brings;
                coming(brings, &flight.fill);
            }
        }
        Some(absent)
    }

    /// Registers a fill of `blocks`, which [`Self::find`] has found absent under the same lock.
    pub(super) fn begin_fill(&mut self, key: Key, blocks: Mask, fill: F) -> u64 {
        let number = self.number();
        self.busy.entry(key).or_default().flights.push(Flight { number, blocks, fill });
        number
    }

    /// The end of a fill: puts in what of `blocks` it may still put in. Those that were read
    /// already count as such.
    pub(super) fn end_fill(
        &mut self,
        key: Key,
        number: u64,
        blocks: impl IntoIterator<Item = (usize, D)>,
        read: bool,
    ) {
        let Some(busy) = self.busy.get_mut(&key) else { return };
        let Some(at) = busy.flights.iter().position(|flight| flight.number == number) else {
            return;
        };
        let may = busy.flights.swap_remove(at).blocks;
        self.put(key, may, blocks, read);
    }

    /// Registers a write of the blocks `touched`. Those that are in the cache leave it; of these,
    /// the ones in `covered`, which the write replaces wholly, are handed out to be filled anew.
    pub(super) fn begin_write(
        &mut self,
        key: Key,
        touched: Mask,
        covered: Mask,
    ) -> (u64, Taken<D>) {
        let number = self.number();
        let cuts = self.cuts_fills();
        let mut alone = if self.is_swept(key) { 0 } else { touched };
        let busy = self.busy.entry(key).or_default();
        if cuts {
            for flight in &mut busy.flights {
                flight.blocks &= !touched;
            }
        }
        for other in &mut busy.writers {
            other.alone &= !touched;
            alone &= !other.touched;
        }
        busy.writers.push(Writer { number, touched, alone });
        let Some(slot) = self.slots.get_mut(&key) else { return (number, Taken::new()) };
        let before = slot.bytes();
        let _partly = slot.take(touched & !covered);
        let taken = slot.take(covered);
        let (after, place) = (slot.bytes(), slot.place);
        self.account(place, before, after);
        (number, taken)
    }

    /// The end of a write: puts in those of `blocks` on which it was alone. None, after a failure.
    pub(super) fn end_write(
        &mut self,
        key: Key,
        number: u64,
        blocks: impl IntoIterator<Item = (usize, D)>,
    ) {
        let Some(busy) = self.busy.get_mut(&key) else { return };
        let Some(at) = busy.writers.iter().position(|writer| writer.number == number) else {
            return;
        };
        let alone = busy.writers.swap_remove(at).alone;
        self.put(key, alone, blocks, true);
    }

    /// Registers a write of many whole extents of a disk, which leave the cache.
    pub(super) fn begin_sweep(&mut self, extents: Range<u64>) -> (u64, Gone<D>) {
        let number = self.number();
        let gone = self.forget(&extents);
        self.sweeps.push(Sweep { number, extents });
        (number, gone)
    }

    /// The end of such a write.
    pub(super) fn end_sweep(&mut self, number: u64) {
        self.sweeps.retain(|sweep| sweep.number != number);
    }

    fn is_swept(&self, key: Key) -> bool {
        self.sweeps.iter().any(|sweep| sweep.extents.contains(&key.extent()))
    }

    /// Puts blocks in if they are in `may`, when something that was under way has ended.
    fn put(
        &mut self,
        key: Key,
        may: Mask,
        blocks: impl IntoIterator<Item = (usize, D)>,
        read: bool,
    ) {
        if self.busy.get(&key).is_some_and(Busy::is_over) {
            self.busy.remove(&key);
        }
        for (at, block) in blocks.into_iter().filter(|(at, _)| may & 1 << at != 0) {
            let slot = self.slots.entry(key).or_insert_with(|| {
                let slot = Slot::new(self.fifo.admit(key));
                self.bytes += slot.bytes();
                if slot.place == Place::Small {
                    self.small_bytes += slot.bytes();
                }
                slot
            });
            let (before, bit) = (slot.bytes(), 1 << at);
            slot.blocks[at] = Some(block);
            slot.held |= bit;
            if read {
                *slot.touched.get_mut() |= bit;
            }
            let (after, place) = (slot.bytes(), slot.place);
            self.account(place, before, after);
        }
    }

    fn account(&mut self, place: Place, before: u64, after: u64) {
        self.bytes = self.bytes + after - before;
        if place == Place::Small {
            self.small_bytes = self.small_bytes + after - before;
        }
    }

    /// Drops every block of these extents of a disk, also those that fills and writes under way
    /// bring; everything, if that is less work.
    fn forget(&mut self, extents: &Range<u64>) -> Gone<D> {
        let (count, held) = (extents.end - extents.start, self.slots.len() as u64);
        if count.min(held) > STEPS_MAX {
            return self.forget_all();
        }
        let inside = |key: &Key| extents.contains(&key.extent());
        #[cfg(test)]
        {
            self.swept += count.min(held);
        }
        let mut gone = Gone::default();
        let (bytes, small_bytes) = (&mut self.bytes, &mut self.small_bytes);
        let mut empty = |slot: &mut Slot<D>| {
            let before = slot.bytes();
            gone.blocks.push(slot.take(Mask::MAX));
            let freed = before - slot.bytes();
            *bytes -= freed;
            if slot.place == Place::Small {
                *small_bytes -= freed;
            }
        };
        if count <= held {
            for key in extents.clone().map(Key::own) {
                self.slots.get_mut(&key).into_iter().for_each(&mut empty);
            }
        } else {
            let slots = self.slots.iter_mut().filter(|(key, _)| inside(key));
            slots.for_each(|(_, slot)| empty(slot));
        }
        // No more than there are requests under way.
        self.busy.iter_mut().filter(|(key, _)| inside(key)).for_each(|(_, busy)| busy.forget());
        gone
    }

    /// Drops all blocks, also those that fills and writes under way bring.
    pub(super) fn forget_all(&mut self) -> Gone<D> {
        self.busy.values_mut().for_each(Busy::forget);
        self.fifo = Fifo::default();
        (self.bytes, self.small_bytes) = (0, 0);
        Gone { slots: std::mem::take(&mut self.slots), blocks: Vec::new() }
    }

    /// Lets extents go, into `gone`, until no more than `bytes_max` are taken; `share` is what the
    /// small queue is measured against.
    pub(super) fn shrink(&mut self, bytes_max: u64, share: u64, gone: &mut Vec<(Key, Taken<D>)>) {
        while self.bytes > bytes_max {
            let Some((key, place)) = self.fifo.pop(self.small_bytes, share) else { return };
            gone.extend(self.step(key, place).map(|blocks| (key, blocks)));
        }
    }

    /// Looks at an extent that was taken out of its queue: it goes on in one, or is let go.
    fn step(&mut self, key: Key, place: Place) -> Option<Taken<D>> {
        let slot = self.slots.get_mut(&key)?;
        let bytes = slot.bytes();
        if place == Place::Small {
            self.small_bytes -= bytes;
        }
        let uses = slot.uses.get_mut();
        if slot.held != 0 && *uses > 0 {
            *uses = if place == Place::Small { 0 } else { *uses - 1 };
            slot.place = Place::Main;
            self.fifo.push(key, Place::Main);
            return None;
        }
        self.bytes -= bytes;
        let mut slot = self.slots.remove(&key)?;
        if place == Place::Small && slot.held != 0 {
            self.fifo.remember(key);
        }
        Some(slot.take(Mask::MAX))
    }

    #[cfg(test)]
    fn cuts_fills(&self) -> bool {
        self.bug != Some(Bug::FillOutlivesWrite)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the models can switch it")]
    fn cuts_fills(&self) -> bool {
        true
    }
}
