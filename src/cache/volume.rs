//! A volume behind the cache.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Cache;
use super::coherence::{Coherence, Footing};
use super::geometry::BLOCK_BYTES;
use super::observe::{Attached, Observer, Seen};
use super::parent::{Holder, Origin, Parent};
use super::read::{self, Found, Place};
use super::store::Store;
use super::write::{Atomics, Write};
use crate::block::{
    Buffer, Completion, CompletionQueue, Done, Hold, LastState, Op, Request, SavedState, Span,
    Usage, Volume, VolumeInfo,
};

/// A volume that answers from the cache what it can, and passes everything else on to the volume
/// inside. A clone of it is the same volume.
#[derive(Clone)]
pub struct CachedVolume {
    shared: Arc<Shared>,
}

/// A [`CachedVolume`] that what is under way knows, and does not keep open.
pub(super) struct WeakVolume(Weak<Shared>);

impl WeakVolume {
    pub(super) fn upgrade(&self) -> Option<CachedVolume> {
        self.0.upgrade().map(|shared| CachedVolume { shared })
    }
}

struct Shared {
    inner: Arc<dyn Volume>,
    cache: Arc<Cache>,
    origin: Option<Origin>,
    own: Option<Arc<Store>>,
    atomics: Arc<Atomics>,
    coherence: Arc<dyn Coherence>,
    /// What the cache holds of it is from after that many changes; [`UNSETTLED`]: not known.
    seen: AtomicU64,
    /// The size that was seen last: what is cut off from it reads as zeros when it grows again.
    size_bytes: AtomicU64,
    /// Held by who brings the cache up to a change.
    settling: Mutex<()>,
    /// The volume has failed, and what the cache holds of it was dropped.
    failed: AtomicBool,
    observer: Attached,
    /// Who holds it.
    holds: AtomicUsize,
}

/// No number of changes.
const UNSETTLED: u64 = u64::MAX;

/// A session of the volume. It does not keep the volume open.
struct Attendance {
    volume: Weak<Shared>,
    _inner: Option<Hold>,
}

impl Attendance {
    fn begin(volume: &CachedVolume) -> Self {
        let shared = &volume.shared;
        let inner = shared.inner.hold();
        if shared.holds.fetch_add(1, Ordering::AcqRel) == 0 {
            volume.attended(true);
        }
        Self { volume: Arc::downgrade(shared), _inner: inner }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let Some(shared) = self.volume.upgrade() else { return };
        if shared.holds.fetch_sub(1, Ordering::AcqRel) == 1 {
            CachedVolume { shared }.attended(false);
        }
    }
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

/// A range that is to be prefetched is cut to this length.
pub const PREFETCH_BYTES_MAX: u64 = 4 << 20;

impl CachedVolume {
    pub(super) fn new(
        cache: &Arc<Cache>,
        inner: Arc<dyn Volume>,
        origin: Option<Origin>,
        (own, coherence): (Option<Arc<Store>>, Arc<dyn Coherence>),
    ) -> Self {
        let size_bytes = AtomicU64::new(inner.info().size_bytes);
        let shared = Shared {
            inner,
            cache: Arc::clone(cache),
            origin,
            own,
            atomics: Arc::default(),
            coherence,
            seen: AtomicU64::new(UNSETTLED),
            settling: Mutex::default(),
            size_bytes,
            failed: AtomicBool::new(false),
            observer: Attached::new(),
            holds: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn downgrade(&self) -> WeakVolume {
        WeakVolume(Arc::downgrade(&self.shared))
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
    /// could be in the cache and is not (`golden_only`: of golden images); stops once `budget_bytes` are under way because of this
    /// call (a range that was begun is finished, of which no more than [`PREFETCH_BYTES_MAX`]
    /// count). Never waits. May be called on a shard.
    pub fn prefetch(
        &self,
        ranges: &[Range<u64>],
        golden_only: bool,
        budget_bytes: u64,
    ) -> Prefetched {
        let mut sum = Prefetched::default();
        let Some((size_bytes, changes)) = self.usable() else {
            return Prefetched { bytes: 0, ranges: ranges.len() };
        };
        for range in ranges {
            if sum.bytes >= budget_bytes {
                break;
            }
            let end = range.end.min(range.start.saturating_add(PREFETCH_BYTES_MAX));
            // Whole blocks: the last one of a volume may be none.
            let end = end.min(size_bytes / BLOCK_BYTES * BLOCK_BYTES);
            if range.start < end {
                let range = (range.start, end - range.start);
                sum.bytes += read::ahead(self, range, golden_only, changes);
            }
            sum.ranges += 1;
        }
        sum
    }

    /// Where the extent is read from.
    pub(super) fn place(&self, extent: u64) -> Place<'_> {
        let shared = &*self.shared;
        match shared.origin.as_ref().and_then(|origin| origin.holder(extent)) {
            Some(Holder::Zeros) => Place::Zeros,
            Some(Holder::Parent(parent)) => match &shared.cache.golden {
                Some(store) => Place::Golden(store, parent),
                None => Place::Inner,
            },
            None => shared.own.as_ref().map_or(Place::Inner, Place::Own),
        }
    }

    /// Has the handle of a parent, which has failed, replaced in the background.
    pub(super) fn reopen(&self, parent: &Arc<Parent>) {
        if !self.has_failed() {
            parent.reopen(&self.shared.coherence);
        }
    }

    #[cfg(test)]
    pub(super) fn swept(&self) -> u64 {
        self.shared.own.as_ref().map_or(0, |own| own.swept())
    }

    #[cfg(test)]
    pub(super) fn seed_bug(&self, bug: super::shard::Bug) {
        self.shared.own.iter().for_each(|own| own.seed_bug(bug));
    }

    pub(super) fn atomics(&self) -> &Arc<Atomics> {
        &self.shared.atomics
    }

    pub(super) fn inner(&self) -> &Arc<dyn Volume> {
        &self.shared.inner
    }

    /// Tells who looks on that somebody, or nobody, is there to read.
    fn attended(&self, attended: bool) {
        if let Some(observer) = self.shared.observer.get() {
            observer.attended(self, attended);
        }
    }

    /// Tells who looks on that a prefetch has ended.
    pub(super) fn prefetched(&self, bytes: u64) {
        if let Some(observer) = self.shared.observer.get() {
            observer.prefetched(self, bytes);
        }
    }

    /// What a request relies on that found so many changes.
    pub(super) fn footing(&self, changes: u64) -> Footing {
        Footing { coherence: Arc::clone(&self.shared.coherence), changes }
    }

    /// The size, and after how many changes, if anything may be answered from the cache.
    fn usable(&self) -> Option<(u64, u64)> {
        let shared = &*self.shared;
        if shared.inner.has_failed() {
            if !shared.failed.swap(true, Ordering::AcqRel)
                && let Some(own) = &shared.own
            {
                own.forget();
            }
            return None;
        }
        let changes = shared.coherence.changes()?;
        let size_bytes = shared.inner.info().size_bytes;
        if changes != shared.seen.load(Ordering::Acquire)
            || size_bytes != shared.size_bytes.load(Ordering::Acquire)
        {
            self.settle(size_bytes, changes)?;
        }
        Some((size_bytes, changes))
    }

    /// Brings the cache up to a change, once it is known what that was; nobody waits for it.
    fn settle(&self, size_bytes: u64, changes: u64) -> Option<()> {
        let shared = &*self.shared;
        let _settling = shared.settling.try_lock()?;
        let settled = shared.coherence.settled().filter(|settled| settled.changes == changes)?;
        // From here on nobody is answered from the cache until all of this is done.
        shared.seen.store(UNSETTLED, Ordering::Release);
        if let Some(origin) = &shared.origin {
            origin.leave(settled.shared_bytes.min(size_bytes)..u64::MAX);
        }
        // It may have been smaller for a moment: what was cut off reads as zeros.
        if let Some(own) = &shared.own {
            own.forget();
        }
        shared.size_bytes.store(size_bytes, Ordering::Release);
        shared.seen.store(changes, Ordering::Release);
        Some(())
    }

    /// Deals with a request, if the cache has a part in it; reads only on a `usable` one. True: it
    /// is done, or under way.
    fn take(
        &self,
        request: &mut Request,
        usable: Option<(u64, u64)>,
        found: &mut Found,
        (done, queue): (&mut Vec<Completion>, &Arc<CompletionQueue>),
    ) -> bool {
        let tag = request.tag;
        match &mut request.op {
            Op::Read { offset, buf } => {
                let Some((size_bytes, changes)) = usable else { return false };
                let offset = *offset;
                let len = buf.len() as u64;
                if len == 0 || offset.checked_add(len).is_none_or(|end| end > size_bytes) {
                    return false;
                }
                let Some(since) = self.shared.atomics.now() else { return false };
                let hit =
                    read::now(self, offset, buf, found) && self.shared.atomics.none_since(since);
                let buf = std::mem::replace(buf, Buffer::unfilled(0));
                let answer = match hit {
                    true => Ok(Some(Completion { tag, result: Ok(Done::Data(buf)) })),
                    false => {
                        read::later(self, (tag, offset, buf), (size_bytes, since, changes), queue)
                    }
                };
                // After that: what is fetched ahead comes behind what is wanted now.
                if let Some(observer) = self.shared.observer.get() {
                    observer.read(self, Seen { offset, len, hit, size_bytes });
                }
                match answer {
                    Ok(answer) => {
                        done.extend(answer);
                        true
                    }
                    Err(buf) => {
                        request.op = Op::Read { offset, buf };
                        false
                    }
                }
            }
            op => {
                let Some(span) = Span::written_by(op) else { return false };
                // Whatever the size is: it may be larger by the time at which the store looks.
                let own = self.shared.own.as_ref().filter(|_| span.start < span.end);
                let is_atomic = own.is_some() && matches!(op, Op::WriteAtomic { .. });
                let atomics = is_atomic.then(|| Arc::clone(&self.shared.atomics));
                if let Some(atomics) = &atomics {
                    atomics.begin();
                }
                if let Some(origin) = &self.shared.origin {
                    origin.leave(span.start..span.end);
                }
                let Some(own) = own else { return false };
                let op = std::mem::replace(op, Op::Flush);
                let request = Request { tag, op };
                done.extend(Write::submit(
                    own,
                    &*self.shared.inner,
                    request,
                    span,
                    (queue, atomics),
                ));
                true
            }
        }
    }
}

impl Volume for CachedVolume {
    fn info(&self) -> VolumeInfo {
        // The target asks once a second: a moment at which the volume was smaller is not missed
        // because nobody read or wrote.
        let _size = self.usable();
        self.shared.inner.info()
    }

    fn usage(&self) -> Usage {
        self.shared.inner.usage()
    }

    fn has_failed(&self) -> bool {
        self.shared.inner.has_failed()
    }

    fn is_outdated(&self) -> bool {
        self.shared.inner.is_outdated()
    }

    fn saved_state(&self) -> SavedState {
        self.shared.inner.saved_state()
    }

    fn last_state(&self) -> LastState {
        self.shared.inner.last_state()
    }

    fn hold(&self) -> Option<Hold> {
        Some(Box::new(Attendance::begin(self)))
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        let usable = self.usable();
        // Changes are registered also while nothing is answered from the cache: what is put into it
        // afterwards must not be older than they are.
        if usable.is_some() || !self.has_failed() {
            let mut found = Found::default();
            requests.retain_mut(|request| !self.take(request, usable, &mut found, (done, queue)));
            found.settle(self.shared.cache.golden.as_ref(), self.shared.own.as_ref());
        }
        if !requests.is_empty() {
            self.shared.inner.submit(requests, done, queue);
        }
    }
}
