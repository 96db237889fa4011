//! Images of the store behind the cache: what a clone shares with which snapshots.

use std::sync::Arc;

use super::super::{StoreError, StoreErrorKind};
use super::parents::OpenParent;
use super::volume::RbdVolume;
use crate::cache::{Cache, CachedVolume, Mine, Origin, Parent, Snapshot};
use crate::rbd::{Access, Image, SnapshotKey};

/// Longest chain of clones that is followed. librbd itself warns of more than 16.
const CHAIN_MAX: usize = 64;

/// The volume of an image that is open for writing, which has the exclusive lock. Without knowing
/// its parents it is cached as well, by itself. Blocks.
pub(super) fn wrap(cache: &Arc<Cache>, image: &Arc<Image>, volume: RbdVolume) -> CachedVolume {
    debug_assert!(image.access() == Access::ReadWrite, "others may write to what is read only");
    let origin = origin(cache, image).unwrap_or_else(|error| {
        tracing::warn!(image = image.label(), %error, "its golden image is not served from memory");
        None
    });
    cache.wrap(Arc::new(volume), origin, Mine)
}

/// What the image shares with its parent. `None`: nothing, or it is not known.
fn origin(cache: &Cache, image: &Image) -> Result<Option<Origin>, StoreError> {
    if cache.options().golden_bytes == 0 {
        return Ok(None);
    }
    let Some(own) = own(image)? else { return Ok(None) };
    let above = above(cache, image, CHAIN_MAX)?;
    Ok(above.map(|(parent, overlap)| Origin::new(parent, overlap, &own)))
}

/// The ranges that an image has itself, if they are known. Its objects are no ranges if it is
/// striped.
fn own(image: &Image) -> Result<Option<Vec<std::ops::Range<u64>>>, StoreError> {
    if image.is_striped() {
        return Ok(None);
    }
    Ok(image.own_objects()?)
}

/// The snapshot behind an image, and how much of the image it covers; all that is behind that one
/// is opened, too.
fn above(
    cache: &Cache,
    image: &Image,
    chain_max: usize,
) -> Result<Option<(Arc<Parent>, u64)>, StoreError> {
    let Some(parent) = image.parent()? else { return Ok(None) };
    let identity = identity(&parent.key);
    if let Some(known) = cache.parent(&identity) {
        return Ok(Some((known, parent.overlap_bytes)));
    }
    if chain_max == 0 {
        let message = format!("{}: a chain of more than {CHAIN_MAX} clones", image.label());
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    let Some(open) = OpenParent::of(image)? else { return Ok(None) };
    let own = own(&open.image)?;
    let above = above(cache, &open.image, chain_max - 1)?;
    let snapshot = Snapshot { volume: open.volume, own, above };
    Ok(Some((cache.add_parent(&identity, snapshot), parent.overlap_bytes)))
}

/// One name for a snapshot, whoever asks.
fn identity(key: &SnapshotKey) -> String {
    let SnapshotKey { fsid, pool_id, namespace, image_id, snapshot_id } = key;
    // No part but the namespace can hold a slash, and that one cannot, either.
    format!("{fsid}/{pool_id}/{namespace}/{image_id}@{snapshot_id}")
}
