//! The way through a boot profile: one for an image, whichever of its disks goes it.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::ImageProfile;

/// What is being fetched of a plan, and what was.
struct Walk {
    plan: Arc<[Range<u64>]>,
    next: usize,
    /// What may still be fetched.
    budget: u64,
    begun: Instant,
    /// Some disk goes it.
    taken: bool,
}

/// The walk of an image. Who logs in again and again has no more fetched than one who logs in once:
/// a new one begins when the time of a boot is over.
#[derive(Default)]
pub(super) struct Walks(Mutex<Option<Walk>>);

/// What is left of a walk.
pub(in crate::cache) struct Rest {
    pub(in crate::cache) plan: Arc<[Range<u64>]>,
    /// The next piece of the plan.
    pub(in crate::cache) next: usize,
    pub(in crate::cache) budget: u64,
}

/// The right to go on with the walk, until it is dropped.
pub(in crate::cache) struct Turn(Arc<ImageProfile>);

impl Walks {
    /// Whether the caller is to go on, from now on; of `plan` if that is a new walk.
    pub(super) fn take(
        &self,
        plan: impl FnOnce() -> Arc<[Range<u64>]>,
        budget: u64,
        each: Duration,
    ) -> bool {
        let mut held = self.0.lock();
        let is_old = held.as_ref().is_none_or(|walk| !walk.taken && walk.begun.elapsed() >= each);
        if is_old {
            let begun = Instant::now();
            let plan = plan();
            // What is not known yet will be tried again.
            *held =
                (!plan.is_empty()).then_some(Walk { plan, next: 0, budget, begun, taken: false });
        }
        let open = held.as_mut().filter(|walk| !walk.taken && walk.is_open());
        open.map(|walk| walk.taken = true).is_some()
    }
}

impl Walk {
    fn is_open(&self) -> bool {
        self.next < self.plan.len() && self.budget > 0
    }
}

impl Turn {
    /// For who has [taken](Walks::take) it.
    pub(super) fn new(image: &Arc<ImageProfile>) -> Self {
        Self(Arc::clone(image))
    }

    /// What is left; `None`: nothing.
    pub(in crate::cache) fn rest(&self) -> Option<Rest> {
        let held = self.0.walks.0.lock();
        let walk = held.as_ref().filter(|walk| walk.is_open())?;
        Some(Rest { plan: Arc::clone(&walk.plan), next: walk.next, budget: walk.budget })
    }

    /// So many pieces were dealt with, for which so many bytes are fetched.
    pub(in crate::cache) fn went(&self, pieces: usize, bytes: u64) {
        if let Some(walk) = &mut *self.0.walks.0.lock() {
            walk.next += pieces;
            walk.budget = walk.budget.saturating_sub(bytes);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(walk) = &mut *self.0.walks.0.lock() {
            walk.taken = false;
        }
    }
}
