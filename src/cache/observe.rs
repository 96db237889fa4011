//! Who looks on: readahead and boot profiles.

use std::sync::Arc;

use super::CachedVolume;

/// One read that was submitted to a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// First byte, from the start of the volume.
    pub offset: u64,
    /// Length in bytes; never 0.
    pub len: u64,
    /// It was answered from memory, at once.
    pub hit: bool,
    /// Size of the volume.
    pub size_bytes: u64,
}

/// Looks on at the reads of one volume, and may have data fetched ahead of them
/// ([`CachedVolume::prefetch`]).
///
/// It must not keep a [`CachedVolume`] that it is attached to: each would keep the other.
pub trait Observer: Send + Sync + 'static {
    /// A read was submitted; its data may not be there yet. Called on the shard, within
    /// [`crate::block::Volume::submit`], for every read: it must be quick and never wait. It may
    /// call [`CachedVolume::prefetch`].
    fn read(&self, volume: &CachedVolume, seen: Seen);

    /// `bytes` of what was asked for by [`CachedVolume::prefetch`] are no longer under way: they
    /// are in the cache, or could not be had. Called on the thread on which the store completes.
    /// It may call [`CachedVolume::prefetch`] again.
    fn prefetched(&self, volume: &CachedVolume, bytes: u64);

    /// The first session of the volume has begun, or (false) the last one has ended
    /// ([`crate::block::Volume::hold`]). Never waits.
    fn attended(&self, volume: &CachedVolume, attended: bool) {
        let _ = (volume, attended);
    }
}

/// Where an observer is attached: at most one, for good.
pub(super) type Attached = std::sync::OnceLock<Arc<dyn Observer>>;
