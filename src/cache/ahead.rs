//! Fetches ahead of the reads of one disk: what its streams will want next, and what earlier boots
//! of its image read.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::geometry::cut;
use super::profile::{ImageProfile, Rest, Slot, Turn};
use super::readahead::{Readahead, WINDOW_MAX};
use super::volume::WeakVolume;
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
    me: Weak<Self>,
    readahead: Option<Mutex<Readahead>>,
    profile: Option<Arc<ImageProfile>>,
    /// An initiator is logged in.
    attended: AtomicBool,
    /// Bytes that are on their way for it.
    under_way: AtomicI64,
    slot: Arc<Slot>,
    /// While it goes the way through the image's boot profile.
    turn: Mutex<Option<Turn>>,
    /// The thread was told to go on, and has not begun to.
    called: AtomicBool,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(profile) = &self.profile {
            profile.closed(&self.slot);
        }
    }
}

impl Ahead {
    /// For a disk with readahead or without, of an image with a boot profile or without.
    #[must_use]
    pub fn new(readahead: bool, profile: Option<Arc<ImageProfile>>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            readahead: readahead.then(|| Mutex::new(Readahead::new())),
            profile,
            attended: AtomicBool::new(false),
            under_way: AtomicI64::new(0),
            slot: Arc::default(),
            turn: Mutex::new(None),
            called: AtomicBool::new(false),
        })
    }

    /// How much more may be under way.
    fn room(&self, volume: &CachedVolume, max: i64) -> u64 {
        let own = u64::try_from(max - self.under_way.load(Ordering::Acquire)).unwrap_or(0);
        own.min(volume.cache().prefetching().room())
    }

    fn fetch(
        &self,
        volume: &CachedVolume,
        ranges: &[Range<u64>],
        golden_only: bool,
        bytes: u64,
    ) -> (usize, u64) {
        let got = volume.prefetch(ranges, golden_only, bytes);
        // Some of it may have come already, and made this negative for a moment.
        let under_way = i64::try_from(got.bytes).unwrap_or(i64::MAX);
        self.under_way.fetch_add(under_way, Ordering::AcqRel);
        (got.ranges, got.bytes)
    }

    fn read_ahead(&self, volume: &CachedVolume, seen: Seen) {
        let Some(readahead) = &self.readahead else { return };
        // Another shard is at it: one read more or less makes no difference.
        let Some(mut readahead) = readahead.try_lock() else { return };
        let room = self.room(volume, READAHEAD_BYTES_MAX);
        let range = readahead.read(seen.offset, seen.len, seen.size_bytes, room);
        drop(readahead);
        if let Some(range) = range {
            let pieces: SmallVec<[Range<u64>; 8]> = cut(range).collect();
            self.fetch(volume, &pieces, false, u64::MAX);
        }
    }

    /// Has the thread do `job`, if the disk is still there then.
    fn later(&self, volume: WeakVolume, job: impl FnOnce(&Self, &CachedVolume) + Send + 'static) {
        let Some(profile) = &self.profile else { return };
        let me = Weak::clone(&self.me);
        profile.later(move || {
            if let (Some(this), Some(volume)) = (me.upgrade(), volume.upgrade()) {
                job(&this, &volume);
            }
        });
    }

    /// Goes on with the way through the profile, as far as there is room.
    fn go_on(&self, volume: &CachedVolume) {
        self.called.store(false, Ordering::Release);
        let mut held = self.turn.lock();
        while let Some(turn) = &*held {
            let rest = turn.rest().filter(|_| self.attended.load(Ordering::Acquire));
            let Some(Rest { plan, next, budget }) = rest else {
                *held = None;
                return;
            };
            // However much the others have under way, one piece is for each image.
            let alone = self.under_way.load(Ordering::Acquire) <= 0;
            let room = self.room(volume, PROFILE_BYTES_MAX).max(alone.into()).min(budget);
            if room == 0 {
                // Whatever ends calls again.
                return;
            }
            let pieces = &plan[next..plan.len().min(next + PIECES_PER_CALL)];
            let (done, bytes) = self.fetch(volume, pieces, true, room);
            turn.went(done, bytes);
        }
    }

    fn begin(&self, volume: &CachedVolume) {
        let Some(profile) = &self.profile else { return };
        if !self.attended.load(Ordering::Acquire) {
            return;
        }
        profile.record(&self.slot);
        {
            let mut held = self.turn.lock();
            if held.is_none() {
                *held = profile.fetch();
            }
        }
        self.go_on(volume);
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
        // One call answers all that come before it begins.
        if self.turn.lock().is_some() && !self.called.swap(true, Ordering::AcqRel) {
            self.later(volume.downgrade(), Self::go_on);
        }
    }

    fn attended(&self, volume: &CachedVolume, attended: bool) {
        self.attended.store(attended, Ordering::Release);
        if attended {
            self.later(volume.downgrade(), Self::begin);
        }
    }
}
