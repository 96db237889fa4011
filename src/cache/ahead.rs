//! Fetches ahead of the reads of one disk: what its streams will want next, and what earlier boots
//! of its image read.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::geometry::cut;
use super::profile::{ImageProfile, Slot};
use super::readahead::{Readahead, WINDOW_MAX};
use super::{CachedVolume, Observer, Seen};

/// Bytes that readahead has under way for one disk, at most: two streams' windows.
const READAHEAD_BYTES_MAX: i64 = 2 * WINDOW_MAX as i64;
/// Bytes of a boot profile under way, at most. Few: a node that waits comes first, and the store
/// serves what it is asked for in order.
const PROFILE_BYTES_MAX: i64 = 1 << 20;
/// Pieces of a profile that are looked up in one go.
const PIECES_PER_CALL: usize = 64;

/// What looks on at one disk.
pub struct Ahead {
    readahead: Option<Mutex<Readahead>>,
    profile: Option<Arc<ImageProfile>>,
    /// An initiator is logged in.
    attended: AtomicBool,
    /// Bytes that are on their way for it.
    under_way: AtomicI64,
    slot: Arc<Slot>,
    walk: Mutex<Option<Walk>>,
    /// Calls for the walk to go on that are not answered yet; who makes the first answers all.
    calls: AtomicUsize,
}

/// A way through a boot profile.
struct Walk {
    plan: Arc<[Range<u64>]>,
    next: usize,
    /// What it may still have fetched.
    budget: u64,
}

/// The way is the image's, and this disk's only for a while.
impl Drop for Ahead {
    fn drop(&mut self) {
        let Some(profile) = &self.profile else { return };
        profile.closed(&self.slot);
        if self.walk.get_mut().is_some() {
            profile.fetched();
        }
    }
}

impl Ahead {
    /// For a disk with readahead or without, of an image with a boot profile or without.
    #[must_use]
    pub fn new(readahead: bool, profile: Option<Arc<ImageProfile>>) -> Arc<Self> {
        Arc::new(Self {
            readahead: readahead.then(|| Mutex::new(Readahead::new())),
            profile,
            attended: AtomicBool::new(false),
            under_way: AtomicI64::new(0),
            slot: Arc::default(),
            walk: Mutex::new(None),
            calls: AtomicUsize::new(0),
        })
    }

    /// How much more may be under way.
    fn room(&self, max: i64) -> u64 {
        u64::try_from(max - self.under_way.load(Ordering::Acquire)).unwrap_or(0)
    }

    fn fetch(&self, volume: &CachedVolume, ranges: &[Range<u64>], bytes: u64) -> (usize, u64) {
        let got = volume.prefetch(ranges, bytes);
        // Some of it may have come already, and made this negative for a moment.
        let under_way = i64::try_from(got.bytes).unwrap_or(i64::MAX);
        self.under_way.fetch_add(under_way, Ordering::AcqRel);
        (got.ranges, got.bytes)
    }

    fn read_ahead(&self, volume: &CachedVolume, seen: Seen) {
        let Some(readahead) = &self.readahead else { return };
        // Another shard is at it: one read more or less makes no difference.
        let Some(mut readahead) = readahead.try_lock() else { return };
        let room = self.room(READAHEAD_BYTES_MAX);
        let range = readahead.read(seen.offset, seen.len, seen.size_bytes, room);
        drop(readahead);
        if let Some(range) = range {
            let pieces: SmallVec<[Range<u64>; 8]> = cut(range).collect();
            self.fetch(volume, &pieces, u64::MAX);
        }
    }

    /// Goes on with the walk as far as there is room.
    fn go_on(&self, volume: &CachedVolume) {
        let mut answered = 1;
        if self.calls.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        loop {
            self.step(volume);
            match self.calls.compare_exchange(answered, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(called) => answered = called,
            }
        }
    }

    fn step(&self, volume: &CachedVolume) {
        let mut held = self.walk.lock();
        while let Some(walk) = held.as_mut() {
            let left = walk.plan.get(walk.next..).unwrap_or_default();
            if left.is_empty() || walk.budget == 0 || !self.attended.load(Ordering::Acquire) {
                *held = None;
                self.profile.iter().for_each(|profile| profile.fetched());
                return;
            }
            let room = self.room(PROFILE_BYTES_MAX).min(walk.budget);
            if room == 0 {
                // Whatever ends calls again.
                return;
            }
            let pieces = &left[..left.len().min(PIECES_PER_CALL)];
            let (done, bytes) = self.fetch(volume, pieces, room);
            walk.next += if bytes == 0 { pieces.len() } else { done };
            walk.budget = walk.budget.saturating_sub(bytes);
        }
    }
}

impl Observer for Ahead {
    fn read(&self, volume: &CachedVolume, seen: Seen) {
        self.slot.read(seen.offset, seen.len);
        self.read_ahead(volume, seen);
    }

    fn prefetched(&self, volume: &CachedVolume, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.under_way.fetch_sub(bytes, Ordering::AcqRel);
        self.go_on(volume);
    }

    fn attended(&self, volume: &CachedVolume, attended: bool) {
        let was = self.attended.swap(attended, Ordering::AcqRel);
        let Some(profile) = self.profile.as_ref().filter(|_| attended && !was) else { return };
        profile.record(&self.slot);
        let budget = profile.options().prefetch_bytes;
        if budget > 0
            && let Some(plan) = profile.fetch()
        {
            *self.walk.lock() = Some(Walk { plan, next: 0, budget });
            self.go_on(volume);
        }
    }
}
