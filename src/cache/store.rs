//! Shards behind locks, and their bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::bounds::Charges;
use super::disks::Disks;
use super::fill::Fill;
use super::hash::Key;
use super::shard::{self, Gone, Taken};
use super::tier::Tier;
use crate::block::buffer::Memory;

/// The bytes of one block, of which reads may have a share: they are never changed.
pub(super) type Block = Arc<Memory>;
pub(super) type Shard = shard::Shard<Block, Arc<Fill>>;

/// Memory that is worth a lock of its own, and most of these.
const SHARD_BYTES: u64 = 8 << 20;
const SHARDS_MAX: u64 = 64;
/// So many extents are given back where they were dropped; more of them by a thread.
const GONE_MAX: usize = 512;

/// A shard. Aligned, so that two never share a cache line.
#[repr(align(128))]
#[derive(Default)]
struct Locked(RwLock<Shard>);

/// What bounds a store.
enum Bound {
    /// So many bytes, what is charged included.
    Own(u64, Arc<Charges>),
    /// Disks share theirs.
    Shared(Arc<Disks>),
}

/// Extents of one kind.
pub(super) struct Store {
    shards: Box<[Locked]>,
    bound: Bound,
    tally: Tally,
    /// Where that goes which finds no room.
    tier: Option<Arc<Tier>>,
}

/// Parts of extents that were answered, and that had to wait. Apart from what is read only.
#[derive(Default)]
#[repr(align(128))]
struct Tally {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a store counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Extents' parts that were read and were there.
    pub hits: u64,
    /// Extents' parts that were read and had to be fetched or waited for.
    pub misses: u64,
    /// Bytes of memory that are in use.
    pub bytes: u64,
}

impl Store {
    /// For golden images: at most `bytes_max` bytes, what is charged included.
    pub(super) fn golden(
        bytes_max: u64,
        charges: &Arc<Charges>,
        tier: Option<Arc<Tier>>,
    ) -> Arc<Self> {
        let count = (bytes_max / SHARD_BYTES).clamp(1, SHARDS_MAX).next_power_of_two();
        Arc::new(Self::new(count, Bound::Own(bytes_max, Arc::clone(charges)), tier))
    }

    /// For what one disk has of its own.
    pub(super) fn disk(disks: &Arc<Disks>) -> Arc<Self> {
        let store = Arc::new(Self::new(1, Bound::Shared(Arc::clone(disks)), None));
        disks.add(&store);
        store
    }

    fn new(count: u64, bound: Bound, tier: Option<Arc<Tier>>) -> Self {
        let shards = (0..count).map(|_| Locked::default()).collect();
        Self { shards, bound, tally: Tally::default(), tier }
    }

    fn locked(&self, key: Key) -> &RwLock<Shard> {
        // The table inside uses the low bits and the topmost.
        let at = (key.hash() >> 32) as usize & (self.shards.len() - 1);
        &self.shards[at].0
    }

    /// The shard of a key, for looking.
    pub(super) fn look(&self, key: Key) -> RwLockReadGuard<'_, Shard> {
        self.locked(key).read()
    }

    /// The shard of a key.
    pub(super) fn lock(&self, key: Key) -> RwLockWriteGuard<'_, Shard> {
        self.locked(key).write()
    }

    /// Counts what was found, and what was not.
    pub(super) fn count(&self, hits: u64, misses: u64) {
        for (counter, count) in [(&self.tally.hits, hits), (&self.tally.misses, misses)] {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Changes the shard of a key in a way that may put something in, and keeps the bound.
    pub(super) fn put(&self, key: Key, put: impl FnOnce(&mut Shard)) {
        let mut shard = self.lock(key);
        let before = shard.bytes();
        put(&mut shard);
        match &self.bound {
            Bound::Own(bytes_max, charges) => {
                let bytes_max =
                    bytes_max.saturating_sub(charges.bytes()) / self.shards.len() as u64;
                let mut gone: Vec<(Key, Taken<Block>)> = Vec::new();
                shard.shrink(bytes_max, bytes_max, &mut gone);
                // What is let go is given back, or handed on, when nobody waits for it.
                drop(shard);
                if let Some(tier) = self.tier.as_ref().filter(|_| !gone.is_empty()) {
                    tier.keep(gone);
                }
            }
            Bound::Shared(disks) => {
                let after = shard.bytes();
                drop(shard);
                disks.changed(before, after);
            }
        }
    }

    /// Changes the shard of a key in a way that puts nothing in.
    pub(super) fn cut<R>(&self, key: Key, cut: impl FnOnce(&mut Shard) -> R) -> R {
        self.cut_in(self.locked(key), cut)
    }

    fn cut_in<R>(&self, locked: &RwLock<Shard>, cut: impl FnOnce(&mut Shard) -> R) -> R {
        let mut shard = locked.write();
        let before = shard.bytes();
        let result = cut(&mut shard);
        let after = shard.bytes();
        drop(shard);
        if let Bound::Shared(disks) = &self.bound {
            disks.moved(before, after);
        }
        result
    }

    /// Drops everything.
    pub(super) fn forget(&self) {
        for locked in &self.shards {
            let_go(self.cut_in(&locked.0, Shard::forget_all));
        }
    }

    /// Lets go of about an eighth of what it has; how many bytes that was.
    pub(super) fn give_back(&self, share: u64) -> u64 {
        let mut freed = 0;
        for locked in &self.shards {
            let mut shard = locked.0.write();
            let before = shard.bytes();
            let mut gone = Vec::new();
            shard.shrink(before - before / 8, share, &mut gone);
            freed += before - shard.bytes();
            drop(shard);
        }
        freed
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> u64 {
        self.shards.iter().map(|locked| locked.0.read().bytes()).sum()
    }

    /// What it counted.
    pub(super) fn counts(&self) -> Counts {
        let Tally { hits, misses } = &self.tally;
        Counts {
            hits: hits.load(Ordering::Relaxed),
            misses: misses.load(Ordering::Relaxed),
            bytes: self.bytes(),
        }
    }

    #[cfg(test)]
    pub(super) fn seed_bug(&self, bug: shard::Bug) {
        self.shards.iter().for_each(|locked| locked.0.write().bug = Some(bug));
    }

    /// Extents that were looked at because of sweeps.
    #[cfg(test)]
    pub(super) fn swept(&self) -> u64 {
        self.shards.iter().map(|locked| locked.0.read().swept).sum()
    }
}

/// Gives memory back; much of it on a thread, as the caller may be a shard of the target.
pub(super) fn let_go(gone: Gone<Block>) {
    if gone.extents() > GONE_MAX {
        // Without a thread it is given back here.
        let _ = std::thread::Builder::new().name("cache-free".into()).spawn(move || drop(gone));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Bound::Shared(disks) = &self.bound {
            let bytes = self.shards.iter_mut().map(|locked| locked.0.get_mut().bytes()).sum();
            disks.moved(bytes, 0);
        }
    }
}
