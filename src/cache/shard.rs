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
use super::hash::{Key, Seeded};

/// Uses that are counted for an extent at most: rounds that it survives in the main queue.
const USES_MAX: u8 = 3;

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

/// An extent that is in the cache, or on which something is under way.
struct Slot<D, F> {
    blocks: [Option<D>; BLOCKS],
    /// The blocks that are there.
    held: Mask,
    /// The blocks that were read since they came.
    touched: AtomicU16,
    /// Reads of blocks that had been read before.
    uses: AtomicU8,
    place: Place,
    flights: SmallVec<[Flight<F>; 1]>,
    writers: SmallVec<[Writer; 1]>,
}

impl<D, F> Slot<D, F> {
    /// What it takes beside its blocks.
    const OVERHEAD: u64 = (size_of::<Self>() + 4 * size_of::<Key>()) as u64;

    fn new() -> Self {
        Self {
            blocks: [const { None }; BLOCKS],
            held: 0,
            touched: AtomicU16::new(0),
            uses: AtomicU8::new(0),
            place: Place::Out,
            flights: SmallVec::new(),
            writers: SmallVec::new(),
        }
    }

    fn bytes(&self) -> u64 {
        match self.place {
            Place::Out => 0,
            _ => Self::OVERHEAD + u64::from(self.held.count_ones()) * BLOCK_BYTES,
        }
    }

    fn is_idle(&self) -> bool {
        self.place == Place::Out && self.flights.is_empty() && self.writers.is_empty()
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

    fn under_write(&self) -> Mask {
        self.writers.iter().fold(0, |mask, writer| mask | writer.touched)
    }

    fn take(&mut self, blocks: Mask) -> Taken<D> {
        self.held &= !blocks;
        *self.touched.get_mut() &= !blocks;
        bits(blocks).filter_map(|at| Some((at, self.blocks[at].take()?))).collect()
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
    slots: HashMap<Key, Slot<D, F>, Seeded>,
    fifo: Fifo,
    bytes: u64,
    /// Of the small queue.
    small_bytes: u64,
    next: u64,
    sweeps: Vec<Sweep>,
    #[cfg(test)]
    pub(super) bug: Option<Bug>,
}

impl<D, F> Shard<D, F> {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self {
            slots: HashMap::with_hasher(seeded),
            fifo: Fifo::new(seeded),
            bytes: 0,
            small_bytes: 0,
            next: 0,
            sweeps: Vec::new(),
            #[cfg(test)]
            bug: None,
        }
    }

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

    /// Looks for `want`: hands each block that is there to `held`, and each fill that brings some,
    /// with these, to `coming`: of all else that it reads, nothing may be taken from it. Left are those that nobody brings yet. `None`: a write is under way on some; go
    /// past the cache.
    pub(super) fn find(
        &self,
        key: Key,
        want: Mask,
        mut held: impl FnMut(usize, &D),
        mut coming: impl FnMut(Mask, &F),
    ) -> Option<Mask> {
        if self.is_swept(key) {
            return None;
        }
        let Some(slot) = self.slots.get(&key) else { return Some(want) };
        if slot.under_write() & want != 0 {
            return None;
        }
        slot.used(slot.held & want);
        for at in bits(slot.held & want) {
            if let Some(block) = &slot.blocks[at] {
                held(at, block);
            }
        }
        let mut absent = want & !slot.held;
        for flight in &slot.flights {
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
        let slot = self.slots.entry(key).or_insert_with(Slot::new);
        slot.flights.push(Flight { number, blocks, fill });
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
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let Some(at) = slot.flights.iter().position(|flight| flight.number == number) else {
            return;
        };
        let may = slot.flights.swap_remove(at).blocks;
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
        let is_swept = self.is_swept(key);
        let slot = self.slots.entry(key).or_insert_with(Slot::new);
        let before = slot.bytes();
        if cuts {
            for flight in &mut slot.flights {
                flight.blocks &= !touched;
            }
        }
        let mut alone = if is_swept { 0 } else { touched };
        for other in &mut slot.writers {
            other.alone &= !touched;
            alone &= !other.touched;
        }
        slot.writers.push(Writer { number, touched, alone });
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
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let Some(at) = slot.writers.iter().position(|writer| writer.number == number) else {
            return;
        };
        let alone = slot.writers.swap_remove(at).alone;
        self.put(key, alone, blocks, true);
    }

    /// Registers a write of many whole extents, which leave the cache.
    pub(super) fn begin_sweep(&mut self, extents: Range<u64>) -> u64 {
        let number = self.number();
        self.forget(|key| extents.contains(&key.extent));
        self.sweeps.push(Sweep { number, extents });
        number
    }

    /// The end of such a write.
    pub(super) fn end_sweep(&mut self, number: u64) {
        self.sweeps.retain(|sweep| sweep.number != number);
    }

    fn is_swept(&self, key: Key) -> bool {
        self.sweeps.iter().any(|sweep| sweep.extents.contains(&key.extent))
    }

    /// Puts blocks in if they are in `may`; removes the extent if nothing is left of it.
    fn put(
        &mut self,
        key: Key,
        may: Mask,
        blocks: impl IntoIterator<Item = (usize, D)>,
        read: bool,
    ) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let before = slot.bytes();
        for (at, block) in blocks {
            let bit = 1 << at;
            if may & bit == 0 {
                continue;
            }
            slot.blocks[at] = Some(block);
            slot.held |= bit;
            if read {
                *slot.touched.get_mut() |= bit;
            }
        }
        if slot.held != 0 && slot.place == Place::Out {
            slot.place = self.fifo.admit(key);
        }
        let (after, place) = (slot.bytes(), slot.place);
        if slot.is_idle() {
            self.slots.remove(&key);
        }
        self.account(place, before, after);
    }

    fn account(&mut self, place: Place, before: u64, after: u64) {
        self.bytes = self.bytes + after - before;
        if place == Place::Small {
            self.small_bytes = self.small_bytes + after - before;
        }
    }

    /// Drops every block of the extents that `which` names, also those that fills under way bring.
    pub(super) fn forget(&mut self, which: impl Fn(Key) -> bool) {
        let mut gone = Vec::new();
        for (_, slot) in self.slots.iter_mut().filter(|(key, _)| which(**key)) {
            let before = slot.bytes();
            slot.flights.iter_mut().for_each(|flight| flight.blocks = 0);
            // A write that ends later must not put in what it brought, either.
            slot.writers.iter_mut().for_each(|writer| writer.alone = 0);
            let _dropped = slot.take(Mask::MAX);
            gone.push((slot.place, before, slot.bytes()));
        }
        for (place, before, after) in gone {
            self.account(place, before, after);
        }
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
        let uses = slot.uses.get_mut();
        let next = match place {
            _ if slot.held == 0 => Place::Out,
            Place::Small | Place::Main if *uses > 0 => Place::Main,
            _ => Place::Out,
        };
        let mut gone = None;
        if next == Place::Main {
            *uses = if place == Place::Small { 0 } else { *uses - 1 };
        } else {
            *uses = 0;
            if place == Place::Small && slot.held != 0 {
                self.fifo.remember(key);
            }
            gone = Some(slot.take(Mask::MAX));
        }
        slot.place = next;
        if slot.is_idle() {
            self.slots.remove(&key);
        }
        if place == Place::Small {
            self.small_bytes -= bytes;
        }
        if next == Place::Out {
            self.bytes -= bytes;
        }
        self.fifo.push(key, next);
        gone
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
