//! Which extents stay: S3-FIFO (Yang and others, "FIFO queues are all you need for cache eviction",
//! SOSP 2023).
//!
//! What is new goes into a small queue and leaves it soon, unless it was used again: a scan passes
//! through a tenth of the memory. What left that way is remembered for a while; if it comes again,
//! it goes into the main queue, where use gives it another round.

use std::collections::{HashSet, VecDeque};

use super::hash::{Hashed, Key};

/// Where an extent stands in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Came a short time ago.
    Small,
    /// Was used more than once.
    Main,
}

/// The part of the memory that the small queue may take before it is looked at first: 1 / this.
const SMALL_SHARE: u64 = 10;
/// Fewest keys that are remembered.
const GHOSTS_MIN: usize = 64;

/// The queues. An extent is in at most one of them, once.
#[derive(Default)]
pub(super) struct Fifo {
    small: VecDeque<Key>,
    main: VecDeque<Key>,
    /// What the small queue let go lately, by hash.
    ghosts: VecDeque<u64>,
    known: HashSet<u64, Hashed>,
}

impl Fifo {
    /// Adds a key that is in no queue.
    pub(super) fn admit(&mut self, key: Key) -> Place {
        if self.known.remove(&key.hash()) {
            self.push(key, Place::Main);
            Place::Main
        } else {
            self.push(key, Place::Small);
            Place::Small
        }
    }

    /// Puts a key that was taken out with [`Self::pop`] at the end of a queue.
    pub(super) fn push(&mut self, key: Key, place: Place) {
        match place {
            Place::Small => self.small.push_back(key),
            Place::Main => self.main.push_back(key),
        }
    }

    /// Takes out the key that is to be looked at next, when the small queue has `small_bytes` of
    /// at most `bytes_max` in all.
    pub(super) fn pop(&mut self, small_bytes: u64, bytes_max: u64) -> Option<(Key, Place)> {
        let small_first = small_bytes > bytes_max / SMALL_SHARE || self.main.is_empty();
        let small = |fifo: &mut Self| fifo.small.pop_front().map(|key| (key, Place::Small));
        let main = |fifo: &mut Self| fifo.main.pop_front().map(|key| (key, Place::Main));
        if small_first {
            small(self).or_else(|| main(self))
        } else {
            main(self).or_else(|| small(self))
        }
    }

    /// Remembers a key that the small queue let go; at most as many as there are keys.
    pub(super) fn remember(&mut self, key: Key) {
        if self.known.insert(key.hash()) {
            self.ghosts.push_back(key.hash());
        }
        let most = (self.small.len() + self.main.len()).max(GHOSTS_MIN);
        while self.ghosts.len() > most {
            if let Some(oldest) = self.ghosts.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}
