//! Parent snapshots, and what of a clone is still its parent's.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::bounds::{Charge, Charges};
use super::coherence::Coherence;
use super::geometry::EXTENT_BYTES;
use super::tier::Tier;
use crate::block::Volume;

/// Extents that are told apart: what is beyond (16 TiB) is not cached.
const EXTENTS_MAX: u64 = 1 << 28;

/// A set of extents, one bit for each.
struct Extents {
    words: Box<[AtomicU64]>,
}

impl Extents {
    /// All extents that lie wholly below `end`, but for those that one of `holes` (bytes) touches.
    fn wholly_below(end: u64, holes: &[Range<u64>]) -> Self {
        let count = (end / EXTENT_BYTES).min(EXTENTS_MAX);
        let set = Self::empty(count);
        set.words.iter().for_each(|word| word.store(u64::MAX, Ordering::Relaxed));
        if let Some(last) = set.words.last().filter(|_| !count.is_multiple_of(64)) {
            last.store((1 << (count % 64)) - 1, Ordering::Relaxed);
        }
        holes.iter().for_each(|hole| set.remove_touched(hole.clone()));
        set
    }

    fn empty(count: u64) -> Self {
        Self { words: (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Memory that [`Self::wholly_below`] takes for it.
    fn bytes(end: u64) -> u64 {
        (end / EXTENT_BYTES).min(EXTENTS_MAX).div_ceil(64) * 8
    }

    fn contains(&self, extent: u64) -> bool {
        let word = usize::try_from(extent / 64).ok().and_then(|at| self.words.get(at));
        word.is_some_and(|word| word.load(Ordering::Acquire) & (1 << (extent % 64)) != 0)
    }

    fn remove_touched(&self, bytes: Range<u64>) {
        if bytes.is_empty() {
            return;
        }
        let (first, last) = (bytes.start / EXTENT_BYTES, (bytes.end - 1) / EXTENT_BYTES);
        let from = |word: u64| if word == first / 64 { u64::MAX << (first % 64) } else { u64::MAX };
        let to = |word: u64| {
            if word == last / 64 { u64::MAX >> (63 - last % 64) } else { u64::MAX }
        };
        let words = self.words.iter().zip(0_u64..).skip((first / 64) as usize);
        for (word, number) in words.take_while(|(_, number)| *number <= last / 64) {
            let gone = from(number) & to(number);
            // Most writes find the bits clear: no shared cache line is written then.
            if word.load(Ordering::Relaxed) & gone != 0 {
                word.fetch_and(!gone, Ordering::AcqRel);
            }
        }
    }
}

/// A snapshot that clones were made from. What it holds never changes.
pub struct Parent {
    /// Its number in the cache; no other ever has it.
    pub(super) id: u64,
    identity: String,
    /// How it is read now: its handle may fail, and be replaced.
    volume: RwLock<Arc<dyn Volume>>,
    reopening: Mutex<Reopening>,
    /// Extents in which it has nothing of its own and that its own parent covers wholly.
    inherited: Extents,
    above: Option<Arc<Parent>>,
    /// Extents of which nobody in the chain has anything: they read as zeros.
    zeros: Extents,
    tier: Option<Arc<Tier>>,
    _charge: Option<Charge>,
}

/// When a handle that has failed may be replaced.
#[derive(Default)]
struct Reopening {
    under_way: bool,
    not_before: Option<Instant>,
}

/// Between two attempts to replace a handle.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// What the store knows of a snapshot, for [`Cache::add_parent`](super::Cache::add_parent).
pub struct Snapshot {
    /// The snapshot, open for reading. It is read through its own parents where it has nothing of
    /// its own.
    pub volume: Arc<dyn Volume>,
    /// Ranges, in bytes, in which it has something of its own; outside of them it reads as its
    /// parent does, or as zeros. `None`: not known, so all of it counts as its own.
    pub own: Option<Vec<Range<u64>>>,
    /// What it is a clone of itself, and how many bytes from its start that covers.
    pub above: Option<(Arc<Parent>, u64)>,
}

/// Where an extent of a clone is read from.
pub(super) enum Holder<'a> {
    /// This snapshot.
    Parent(&'a Arc<Parent>),
    /// It reads as zeros.
    Zeros,
}

impl Parent {
    fn new(
        (id, identity): (u64, &str),
        snapshot: Snapshot,
        tier: Option<&Arc<Tier>>,
        charges: &Arc<Charges>,
    ) -> Self {
        let Snapshot { volume, own, above } = snapshot;
        let size = volume.info().size_bytes;
        let bytes = Extents::bytes(size) * if above.is_some() { 2 } else { 1 };
        let charge = own.as_ref().and_then(|_| charges.try_take(bytes));
        // Without room for that, all of it counts as its own.
        let own = own.filter(|_| charge.is_some());
        let none = || Extents::empty(0);
        let (inherited, zeros) = match (&own, &above) {
            (None, _) => (none(), none()),
            (Some(own), None) => (none(), Extents::wholly_below(size, own)),
            (Some(own), Some((_, covered))) => {
                let zeros = Extents::wholly_below(size, own);
                zeros.remove_touched(0..*covered);
                (Extents::wholly_below(size.min(*covered), own), zeros)
            }
        };
        let this = Self {
            id,
            identity: identity.to_owned(),
            volume: RwLock::new(Arc::clone(&volume)),
            reopening: Mutex::default(),
            inherited,
            above: above.map(|(parent, _)| parent),
            zeros,
            tier: tier.cloned(),
            _charge: charge,
        };
        this.replace(volume);
        this
    }

    /// How it is read now.
    pub(super) fn volume(&self) -> Arc<dyn Volume> {
        Arc::clone(&self.volume.read())
    }

    /// From now on it is read through this handle.
    fn replace(&self, volume: Arc<dyn Volume>) {
        let volume = match &self.tier {
            Some(tier) => tier.before(self.id, volume),
            None => volume,
        };
        let _failed = std::mem::replace(&mut *self.volume.write(), volume);
    }

    /// Has the handle, which has failed, replaced by a thread, as `coherence` of a clone can.
    pub(super) fn reopen(self: &Arc<Self>, coherence: &Arc<dyn Coherence>) {
        {
            let Some(mut state) = self.reopening.try_lock() else { return };
            let early = state.not_before.is_some_and(|at| Instant::now() < at);
            if state.under_way || early {
                return;
            }
            state.under_way = true;
        }
        let (this, coherence) = (Arc::clone(self), Arc::clone(coherence));
        let thread = std::thread::Builder::new().name("golden-reopen".to_owned());
        let started = thread.spawn(move || {
            if let Some(volume) = coherence.reopen(&this.identity) {
                this.replace(volume);
            }
            this.has_reopened();
        });
        if started.is_err() {
            self.has_reopened();
        }
    }

    fn has_reopened(&self) {
        let not_before = Some(Instant::now() + REOPEN_AFTER);
        *self.reopening.lock() = Reopening { under_way: false, not_before };
    }

    /// What it was a clone of itself when it was opened.
    #[must_use]
    pub fn above(&self) -> Option<&Arc<Self>> {
        self.above.as_ref()
    }

    /// Whether it is a clone of `above` itself, and not of another or one opened another time.
    #[must_use]
    pub fn has_above(&self, above: Option<&Arc<Self>>) -> bool {
        match (&self.above, above) {
            (Some(own), Some(above)) => Arc::ptr_eq(own, above),
            (own, above) => own.is_none() && above.is_none(),
        }
    }

    /// The nearest in the chain that has the extent.
    fn holder(self: &Arc<Self>, extent: u64) -> Holder<'_> {
        let mut parent = self;
        while let Some(above) = parent.above.as_ref().filter(|_| parent.inherited.contains(extent))
        {
            parent = above;
        }
        if parent.zeros.contains(extent) { Holder::Zeros } else { Holder::Parent(parent) }
    }
}

/// What an open clone still shares with its parent.
pub struct Origin {
    parent: Arc<Parent>,
    shared: Extents,
    _charge: Option<Charge>,
}

impl Origin {
    /// A clone of `parent`, which covers its first `overlap_bytes`. `own`: the ranges, in bytes, in
    /// which the clone has something of its own, whatever it is; a range too many costs speed, a
    /// missing one data.
    #[must_use]
    pub fn new(parent: Arc<Parent>, overlap_bytes: u64, own: &[Range<u64>]) -> Self {
        let covered = overlap_bytes.min(parent.volume().info().size_bytes);
        Self { parent, shared: Extents::wholly_below(covered, own), _charge: None }
    }

    /// The same, if there is room for what it takes.
    pub(super) fn charged(self, charges: &Arc<Charges>) -> Option<Self> {
        let charge = charges.try_take(size_of_val(&*self.shared.words) as u64)?;
        Some(Self { _charge: Some(charge), ..self })
    }

    /// Who has the extent; `None`: it is the clone's own.
    pub(super) fn holder(&self, extent: u64) -> Option<Holder<'_>> {
        self.shared.contains(extent).then(|| self.parent.holder(extent))
    }

    /// From now on these bytes are the clone's own, for good.
    pub(super) fn leave(&self, bytes: Range<u64>) {
        self.shared.remove_touched(bytes);
    }
}

/// Snapshots by the identity that the store gives them.
#[derive(Default)]
pub(super) struct Parents {
    known: Mutex<HashMap<String, Known>>,
    next: AtomicU64,
}

struct Known {
    id: u64,
    open: Weak<Parent>,
}

impl Known {
    /// The snapshot, unless its handle has failed: then it has to be opened anew, and keeps its
    /// number.
    fn usable(&self) -> Option<Arc<Parent>> {
        self.open.upgrade().filter(|parent| !parent.volume().has_failed())
    }
}

/// Identities that are remembered while none of their clones is open.
const KNOWN_MAX: usize = 16 << 10;

impl Parents {
    /// The snapshot, if one of its clones is open and it can be read.
    pub(super) fn get(&self, identity: &str) -> Option<Arc<Parent>> {
        self.known.lock().get(identity)?.usable()
    }

    /// The snapshot, now open. Of two callers at the same time the first one's is taken. Where it is
    /// open with a handle that has failed, this one takes its place, for all clones.
    pub(super) fn open(
        &self,
        identity: &str,
        snapshot: Snapshot,
        tier: Option<&Arc<Tier>>,
        charges: &Arc<Charges>,
    ) -> Arc<Parent> {
        // 0 is what disks have of their own.
        let fresh = || self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            // What the cache holds of them is not found again, and leaves it in time.
            known.retain(|_, known| known.open.strong_count() > 0);
        }
        let entry = known
            .entry(identity.to_owned())
            .or_insert_with(|| Known { id: fresh(), open: Weak::new() });
        let above = snapshot.above.as_ref().map(|(above, _)| above);
        if let Some(parent) = entry.open.upgrade().filter(|parent| parent.has_above(above)) {
            if parent.volume().has_failed() {
                parent.replace(snapshot.volume);
            }
            return parent;
        }
        let parent = Arc::new(Parent::new((entry.id, identity), snapshot, tier, charges));
        entry.open = Arc::downgrade(&parent);
        parent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(set: &Extents) -> Vec<u64> {
        (0..300).filter(|extent| set.contains(*extent)).collect()
    }

    #[test]
    fn an_extent_that_is_touched_or_cut_is_no_parents() {
        let e = EXTENT_BYTES;
        let set = Extents::wholly_below(130 * e + 5, &[0..1, 64 * e - 1..64 * e + 1]);
        let mut wanted: Vec<u64> = (1..130).filter(|n| ![63, 64].contains(n)).collect();
        assert_eq!(members(&set), wanted);
        set.remove_touched(2 * e..129 * e);
        wanted.retain(|n| [1, 129].contains(n));
        assert_eq!(members(&set), wanted);
        set.remove_touched(0..u64::MAX);
        assert!(members(&set).is_empty());
        assert!(members(&Extents::wholly_below(e - 1, &[])).is_empty());
        assert_eq!(members(&Extents::wholly_below(64 * e, &[])).len(), 64);
    }
}
