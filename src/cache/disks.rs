//! What disks have of their own shares one bound: who has most gives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::store::{Counts, Store};

/// The disks that have a cache, and their common bound.
pub(super) struct Disks {
    bytes_max: u64,
    bytes: AtomicU64,
    all: Mutex<Vec<Weak<Store>>>,
}

impl Disks {
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes: AtomicU64::new(0), all: Mutex::default() })
    }

    pub(super) fn add(&self, store: &Arc<Store>) {
        let mut all = self.all.lock();
        all.retain(|store| store.strong_count() > 0);
        all.push(Arc::downgrade(store));
    }

    /// A disk that had `before` bytes has `after`.
    pub(super) fn moved(&self, before: u64, after: u64) {
        if after >= before {
            self.bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// As [`Self::moved`]; then the disk that has most gives back, until the bound is kept. No
    /// disk may be locked by the caller.
    pub(super) fn changed(&self, before: u64, after: u64) {
        self.moved(before, after);
        while self.bytes.load(Ordering::Relaxed) > self.bytes_max {
            // Whoever holds the list makes room for all: it is not waited for.
            let Some(all) = self.all.try_lock() else { return };
            let stores = all.iter().filter_map(Weak::upgrade);
            let largest =
                stores.map(|store| (store.bytes(), store)).max_by_key(|(bytes, _)| *bytes);
            drop(all);
            let Some((_, store)) = largest else { return };
            let freed = store.give_back(self.bytes_max);
            self.moved(freed, 0);
            if freed == 0 {
                return;
            }
        }
    }

    /// What all of them count together, of those that are open.
    pub(super) fn counts(&self) -> Counts {
        let stores: Vec<_> = self.all.lock().iter().filter_map(Weak::upgrade).collect();
        let mut sum = Counts::default();
        for counts in stores.iter().map(|store| store.counts()) {
            sum.hits += counts.hits;
            sum.misses += counts.misses;
            sum.bytes += counts.bytes;
        }
        sum
    }
}
