//! What was answered a moment ago: that somebody is who they say. A no is never kept.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// Most that is kept. When it is full, all of it is forgotten, and asked for again.
const ENTRIES_MAX: usize = 4096;

/// What stands for credentials: they cannot be found out from it.
pub(super) type Key = [u8; 32];

pub(super) struct Cache<T> {
    holds: Duration,
    /// Makes keys of this process worth nothing elsewhere.
    salt: [u8; 32],
    entries: Mutex<HashMap<Key, (Instant, T)>>,
}

impl<T: Clone> Cache<T> {
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn new(holds: Duration) -> Result<Self, String> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
        Ok(Self { holds, salt, entries: Mutex::default() })
    }

    /// The key of these parts in this order.
    pub(super) fn key(&self, parts: &[&str]) -> Key {
        let mut hash = Sha256::new_with_prefix(self.salt);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }

    pub(super) fn get(&self, key: &Key) -> Option<T> {
        let entries = self.entries.lock();
        let (until, answer) = entries.get(key)?;
        (Instant::now() < *until).then(|| answer.clone())
    }

    /// Keeps an answer, but not for longer than `at_most`.
    pub(super) fn put(&self, key: Key, answer: &T, at_most: Duration) {
        let mut entries = self.entries.lock();
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        entries.insert(key, (Instant::now() + self.holds.min(at_most), answer.clone()));
    }

    pub(super) fn forget(&self, key: &Key) {
        self.entries.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Identity;
    use super::*;
    use crate::catalog::Role;

    #[test]
    fn it_is_bounded_in_time_and_size() {
        let identity = Identity { who: "hil jane".to_owned(), role: Role::Reader, project: None };
        let cache = Cache::new(Duration::from_secs(3600)).unwrap();
        let key = cache.key(&["jane", "secret"]);
        assert_eq!(cache.get(&key), None);
        cache.put(key, &identity, Duration::MAX.min(Duration::from_secs(9999)));
        assert_eq!(cache.get(&key), Some(identity.clone()));
        assert_eq!(cache.get(&cache.key(&["janes", "ecret"])), None);
        assert_ne!(Cache::<Identity>::new(Duration::ZERO).unwrap().key(&["jane", "secret"]), key);
        cache.put(key, &identity, Duration::ZERO);
        assert_eq!(cache.get(&key), None, "what ends earlier is not kept longer");
        for number in 0..2 * ENTRIES_MAX {
            cache.put(cache.key(&[&number.to_string()]), &identity, Duration::from_secs(60));
        }
        assert!(cache.entries.lock().len() <= ENTRIES_MAX);
    }
}
