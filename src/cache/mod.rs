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
mod bounds;
mod coherence;
mod disks;
mod fifo;
mod fill;
mod geometry;
mod hash;
mod observe;
mod parent;
pub mod profile;
mod read;
mod readahead;
mod shard;
mod store;
mod tier;
mod volume;
mod write;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::block::Volume;

pub use ahead::Ahead;
pub use coherence::{Coherence, Mine, Settled};
pub use geometry::{BLOCK_BYTES, EXTENT_BYTES};
pub use observe::{Observer, Seen};
pub use parent::{Origin, Parent, Snapshot};
pub use store::Counts;
pub use volume::{CachedVolume, PREFETCH_BYTES_MAX, Prefetched};

use bounds::Charges;
use disks::Disks;
use parent::Parents;
use store::Store;
use tier::Tier;

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

/// Bytes that are fetched ahead at the same time, at most, for all disks together.
const PREFETCHING_BYTES_MAX: u64 = 64 << 20;
/// The part of the memory for golden images that may be taken by what is known of open clones and
/// their parents: 1 / this.
const MAPS_SHARE: u64 = 8;

/// The cache of one store. See the [module](self) docs.
pub struct Cache {
    options: Options,
    golden: Option<Arc<Store>>,
    tier: Option<Arc<Tier>>,
    disks: Option<Arc<Disks>>,
    parents: Parents,
    /// What is known of open clones and their parents.
    maps: Arc<Charges>,
    prefetching: Arc<Charges>,
}

/// What a cache counted since it was made, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Of golden images.
    pub golden: Counts,
    /// Of golden images, reads that the file on a local disk has answered, and its bytes in use.
    pub file_hits: u64,
    /// See above.
    pub file_bytes: u64,
    /// Of what disks have of their own; of the disks that are open.
    pub disks: Counts,
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(options: Options) -> Arc<Self> {
        Self::over(options, None)
    }

    /// An empty cache with a file of up to `bytes_max` bytes in `directory` for what of golden
    /// images finds no room in memory. The file has no name, and nothing of it outlasts this
    /// process.
    ///
    /// # Errors
    /// When no file can be made there, or there can be no threads.
    pub fn with_file(options: Options, directory: &Path, bytes_max: u64) -> io::Result<Arc<Self>> {
        let tier = Tier::create(directory, bytes_max)?;
        Ok(Self::over(options, Some(&tier)))
    }

    fn over(options: Options, tier: Option<&Arc<Tier>>) -> Arc<Self> {
        let maps = Charges::new(options.golden_bytes / MAPS_SHARE);
        let golden = || Store::golden(options.golden_bytes, &maps, tier.cloned());
        Arc::new(Self {
            options,
            golden: (options.golden_bytes > 0).then(golden),
            tier: tier.cloned(),
            disks: (options.disk_bytes > 0).then(|| Disks::new(options.disk_bytes)),
            parents: Parents::default(),
            maps,
            prefetching: Charges::new(PREFETCHING_BYTES_MAX),
        })
    }

    /// Its bounds.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    /// What it counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let golden = self.golden.as_ref().map(|golden| golden.counts()).unwrap_or_default();
        Stats {
            golden: Counts { bytes: golden.bytes + self.maps.bytes(), ..golden },
            file_hits: self.tier.as_ref().map_or(0, |tier| tier.hits()),
            file_bytes: self.tier.as_ref().map_or(0, |tier| tier.bytes()),
            disks: self.disks.as_ref().map(|disks| disks.counts()).unwrap_or_default(),
        }
    }

    /// The parent snapshot of this identity, if a clone of it is open.
    #[must_use]
    pub fn parent(&self, identity: &str) -> Option<Arc<Parent>> {
        self.parents.get(identity)
    }

    /// Makes a parent snapshot known under its identity: whatever else is ever called by it holds
    /// the same bytes. What the cache still holds of it from an earlier time is found again.
    pub fn add_parent(&self, identity: &str, snapshot: Snapshot) -> Arc<Parent> {
        self.parents.open(identity, snapshot, self.tier.as_ref(), &self.maps)
    }

    /// What is fetched ahead counts there while it is under way.
    fn prefetching(&self) -> &Arc<Charges> {
        &self.prefetching
    }

    /// Puts `inner` behind the cache. With an `origin` it is served from its parent's blocks
    /// where it still has nothing of its own.
    ///
    /// From the time on at which the origin was determined until `inner` has failed, nobody but this
    /// handle may change the volume, except as `coherence` tells.
    pub fn wrap(
        self: &Arc<Self>,
        inner: Arc<dyn Volume>,
        origin: Option<Origin>,
        coherence: impl Coherence,
    ) -> CachedVolume {
        let own = self.disks.as_ref().map(Store::disk);
        let origin = origin.and_then(|origin| {
            let charged = origin.charged(&self.maps);
            if charged.is_none() && self.golden.is_some() {
                tracing::warn!("no memory to know what a clone shares: it is cached by itself");
            }
            charged
        });
        CachedVolume::new(self, inner, origin, (own, Arc::new(coherence)))
    }
}
