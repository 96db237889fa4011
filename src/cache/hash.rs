//! Keys of the cache and how they are hashed: initiators choose what they read, so the hash is
//! seeded.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::LazyLock;

/// Differs in every process.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());

/// One extent of one source, with its hash: a key is looked up several times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    source: u64,
    extent: u64,
    hash: u64,
}

impl Key {
    /// An extent of parent snapshot number `source`.
    pub(super) fn new(source: u64, extent: u64) -> Self {
        Self { source, extent, hash: mix(mix(*SEED, source), extent) }
    }

    /// An extent that a disk has of its own.
    pub(super) fn own(extent: u64) -> Self {
        Self::new(0, extent)
    }

    /// Number of the extent.
    pub(super) fn extent(self) -> u64 {
        self.extent
    }

    /// 64 bits that nobody can foresee.
    pub(super) fn hash(self) -> u64 {
        self.hash
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (self.source, self.extent) == (other.source, other.extent)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// The two halves of a full product, with an odd constant (2^64 / golden ratio).
fn mix(state: u64, value: u64) -> u64 {
    let product = u128::from(state ^ value) * 0x9e37_79b9_7f4a_7c15_u128;
    (product as u64) ^ ((product >> 64) as u64) ^ state.rotate_left(23)
}

/// For tables of what is a hash, or brings its own.
pub(super) type Hashed = BuildHasherDefault<Given>;

/// The hash that was given.
#[derive(Default)]
pub(super) struct Given(u64);

impl Hasher for Given {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = mix(self.0, u64::from(byte));
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
