//! Places that projects share, so that none of them can have all.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::catalog::name::Name;

/// So many places, and of these so many for each project.
pub(super) struct Shares {
    all: Arc<Semaphore>,
    max: u32,
    each: usize,
    /// Who is bound to no project has a share, too.
    taken: Arc<Mutex<BTreeMap<Option<Name>, usize>>>,
}

/// A place, until it is dropped.
pub(in crate::catalog) struct Place {
    of: Option<Name>,
    taken: Arc<Mutex<BTreeMap<Option<Name>, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Shares {
    pub(super) fn new(max: u32, each: usize) -> Self {
        let all = Arc::new(Semaphore::new(max as usize));
        Self { all, max, each, taken: Arc::default() }
    }

    /// A place, if one is left, of them all and of the project's.
    pub(super) fn take(&self, of: Option<&Name>) -> Option<Place> {
        let of = of.cloned();
        let mut taken = self.taken.lock();
        if taken.get(&of).is_some_and(|count| *count >= self.each) {
            return None;
        }
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        *taken.entry(of.clone()).or_default() += 1;
        Some(Place { of, taken: Arc::clone(&self.taken), _permit: permit })
    }

    /// Until nobody has a place.
    pub(super) async fn drained(&self) {
        // Only a closed semaphore is an error, and this is never closed.
        let _ = self.all.acquire_many(self.max).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_project_has_all() {
        let shares = Shares::new(5, 2);
        let (a, b) = (Name::project("a").unwrap(), Name::project("b").unwrap());
        let first = shares.take(Some(&a)).unwrap();
        let _second = shares.take(Some(&a)).unwrap();
        assert!(shares.take(Some(&a)).is_none());
        let _of_others = [shares.take(Some(&b)).unwrap(), shares.take(None).unwrap()];
        drop(first);
        let _again = shares.take(Some(&a)).unwrap();
        let _last = shares.take(None).unwrap();
        assert!(shares.take(Some(&b)).is_none(), "there are five in all");
        drop(_again);
        assert!(shares.take(Some(&b)).is_some());
    }
}
