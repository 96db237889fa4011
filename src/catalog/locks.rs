//! One lock for each object, made when asked for.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::error::Noun;

/// Locks are taken in the order node, disk, image, and one of each at most, but for two images
/// or two nodes, which are taken in the order of their names: no circle.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<Key, Weak<AsyncMutex<()>>>>);

/// Noun and `project/name`.
type Key = (Noun, String);

/// Holds an object until dropped.
pub(super) type Guard = OwnedMutexGuard<()>;

/// Above this many entries, those that no one holds are swept out.
const SWEEP_ABOVE: usize = 1024;

impl Locks {
    /// Waits for an object.
    pub(super) async fn lock(&self, noun: Noun, project: &str, name: &str) -> Guard {
        let lock = {
            let mut locks = self.0.lock();
            if locks.len() > SWEEP_ABOVE {
                locks.retain(|_, lock| lock.strong_count() > 0);
            }
            let entry = locks.entry((noun, format!("{project}/{name}"))).or_default();
            entry.upgrade().unwrap_or_else(|| {
                let lock = Arc::default();
                *entry = Arc::downgrade(&lock);
                lock
            })
        };
        lock.lock_owned().await
    }
}
