//! Keys of the cache and how they are hashed: initiators choose what they read, so the hash is
//! seeded.

use std::hash::{BuildHasher, Hasher, RandomState};

/// One extent of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Number of the parent snapshot; 0 for what a disk has of its own.
    pub(super) source: u64,
    /// Number of the extent.
    pub(super) extent: u64,
}

/// A hash of a few integers that differs in every process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeded {
    seed: u64,
}

impl Seeded {
    pub(super) fn new() -> Self {
        Self { seed: RandomState::new().build_hasher().finish() }
    }

    /// What differs.
    pub(super) fn seed(self) -> u64 {
        self.seed
    }

    /// 64 bits of a key.
    pub(super) fn fingerprint(self, key: Key) -> u64 {
        self.hash_one(key)
    }
}

impl BuildHasher for Seeded {
    type Hasher = Mix;

    fn build_hasher(&self) -> Mix {
        Mix(self.seed)
    }
}

/// The state of a hash.
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // The two halves of a full product, with an odd constant (2^64 / golden ratio).
        let product = u128::from(self.0 ^ value) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ self.0.rotate_left(23);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
