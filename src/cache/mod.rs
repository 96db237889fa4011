//! The cache between the target and a store that is far away.
//!
//! - The **golden-image cache** is shared by all clones on this gateway. It holds blocks of parent
//!   snapshots, which never change, under the snapshot's identity; a clone is served from it
//!   wherever it still reads as its parent does.
//! - The **disk cache** holds what disks have of their own. It is write-through, and only while
//!   nobody else can write to the disk.
//!
//! A [`Cache`] is made once for a store; [`Cache::wrap`] puts a volume behind it. Bytes are fetched
//! in blocks of [`BLOCK_BYTES`], by one request however many wait for them. `docs/cache.md` has the
//! rules of coherence.

mod ahead;
mod geometry;
mod observe;
pub mod profile;
mod readahead;
mod volume;

use std::sync::Arc;

use crate::block::Volume;

pub use ahead::Ahead;
pub use geometry::{BLOCK_BYTES, EXTENT_BYTES};
pub use observe::{Observer, Seen};
pub use volume::{CachedVolume, Prefetched};

/// Bounds of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Memory for blocks of golden images, shared by all clones; 0: none are kept.
    pub golden_bytes: u64,
    /// Memory for what disks have of their own, shared by all disks; 0: none is kept.
    pub disk_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { golden_bytes: 256 << 20, disk_bytes: 64 << 20 }
    }
}

/// The cache of one store. See the [module](self) docs.
pub struct Cache {
    options: Options,
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self { options })
    }

    /// Its bounds.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    /// Puts `inner` behind the cache.
    pub fn wrap(self: &Arc<Self>, inner: Arc<dyn Volume>) -> CachedVolume {
        CachedVolume::new(inner, Arc::clone(self))
    }
}
