//! Shards behind locks, and their bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::disks::Disks;
use super::fill::Fill;
use super::geometry::BLOCK_BYTES;
use super::hash::{Key, Seeded};
use super::shard::{self, Taken};
use super::tier::Tier;

/// The bytes of one block.
pub(super) type Block = Box<[u8; BLOCK_BYTES as usize]>;
pub(super) type Shard = shard::Shard<Block, Arc<Fill>>;

/// Memory that is worth a lock of its own, and most of these.
const SHARD_BYTES: u64 = 8 << 20;
const SHARDS_MAX: u64 = 64;

/// A shard with its counters. Aligned, so that two never share a cache line.
#[repr(align(128))]
struct Locked {
    shard: RwLock<Shard>,
    /// Bytes of reads that were answered, and of reads that had to wait.
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What bounds a store.
enum Bound {
    /// So many bytes for each shard.
    Each(u64),
    /// Disks share theirs.
    Shared(Arc<Disks>),
}

/// Extents of one kind.
pub(super) struct Store {
    shards: Box<[Locked]>,
    seeded: Seeded,
    bound: Bound,
    /// Where that goes which finds no room.
    tier: Option<Arc<Tier>>,
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
    /// For golden images: at most `bytes_max` bytes.
    pub(super) fn golden(bytes_max: u64, tier: Option<Arc<Tier>>) -> Arc<Self> {
        let count = (bytes_max / SHARD_BYTES).clamp(1, SHARDS_MAX).next_power_of_two();
        Arc::new(Self::new(count, Bound::Each(bytes_max / count), tier))
    }

    /// For what one disk has of its own.
    pub(super) fn disk(disks: &Arc<Disks>) -> Arc<Self> {
        let store = Arc::new(Self::new(1, Bound::Shared(Arc::clone(disks)), None));
        disks.add(&store);
        store
    }

    fn new(count: u64, bound: Bound, tier: Option<Arc<Tier>>) -> Self {
        let seeded = Seeded::new();
        let shards = (0..count).map(|_| Locked {
            shard: RwLock::new(Shard::new(seeded)),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        });
        Self { shards: shards.collect(), seeded, bound, tier }
    }

    fn locked(&self, key: Key) -> &Locked {
        if self.shards.len() == 1 {
            return &self.shards[0];
        }
        // The table inside uses the low bits and the topmost.
        let at = (self.seeded.fingerprint(key) >> 32) as usize & (self.shards.len() - 1);
        &self.shards[at]
    }

    /// The shard of a key, for looking; counts whether the caller found there what it wanted.
    pub(super) fn look<R>(
        &self,
        key: Key,
        look: impl FnOnce(RwLockReadGuard<'_, Shard>) -> Option<R>,
    ) -> Option<R> {
        let locked = self.locked(key);
        let found = look(locked.shard.read());
        let counter = if found.is_some() { &locked.hits } else { &locked.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// The shard of a key.
    pub(super) fn lock(&self, key: Key) -> RwLockWriteGuard<'_, Shard> {
        self.locked(key).shard.write()
    }

    /// Changes the shard of a key in a way that may put something in, and keeps the bound.
    pub(super) fn put(&self, key: Key, put: impl FnOnce(&mut Shard)) {
        let mut shard = self.lock(key);
        let before = shard.bytes();
        put(&mut shard);
        match &self.bound {
            Bound::Each(bytes_max) => {
                let mut gone: Vec<(Key, Taken<Block>)> = Vec::new();
                shard.shrink(*bytes_max, *bytes_max, &mut gone);
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

    fn cut_in<R>(&self, locked: &Locked, cut: impl FnOnce(&mut Shard) -> R) -> R {
        let mut shard = locked.shard.write();
        let before = shard.bytes();
        let result = cut(&mut shard);
        let after = shard.bytes();
        drop(shard);
        self.moved(before, after);
        result
    }

    /// Drops the extents from number `first` on.
    pub(super) fn forget_from(&self, first: u64) {
        for locked in &self.shards {
            self.cut_in(locked, |shard| shard.forget(|key| key.extent >= first));
        }
    }

    fn moved(&self, before: u64, after: u64) {
        if let Bound::Shared(disks) = &self.bound {
            disks.moved(before, after);
        }
    }

    /// Lets go of about an eighth of what it has; how many bytes that was.
    pub(super) fn give_back(&self, share: u64) -> u64 {
        let mut freed = 0;
        for locked in &self.shards {
            let mut shard = locked.shard.write();
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
        self.shards.iter().map(|locked| locked.shard.read().bytes()).sum()
    }

    /// What it counted.
    pub(super) fn counts(&self) -> Counts {
        let sum = |of: fn(&Locked) -> &AtomicU64| {
            self.shards.iter().map(|locked| of(locked).load(Ordering::Relaxed)).sum()
        };
        Counts { hits: sum(|l| &l.hits), misses: sum(|l| &l.misses), bytes: self.bytes() }
    }

    #[cfg(test)]
    pub(super) fn seed_bug(&self, bug: shard::Bug) {
        self.shards.iter().for_each(|locked| locked.shard.write().bug = Some(bug));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Bound::Shared(disks) = &self.bound {
            let bytes = self.shards.iter_mut().map(|l| l.shard.get_mut().bytes()).sum();
            disks.moved(bytes, 0);
        }
    }
}
