//! Images of the store behind the cache: what a clone shares with which snapshots.

use std::sync::Arc;

use super::super::{StoreError, StoreErrorKind};
use super::parents::OpenParent;
use super::volume::RbdVolume;
use crate::block::Volume;
use crate::cache::{Cache, CachedVolume, Coherence, Origin, Parent, Settled, Snapshot};
use crate::rbd::{self, Access, Image, SnapshotKey};

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
    if let Err(error) = image.keep_lease() {
        tracing::warn!(image = image.label(), %error, "nothing of it is served from memory yet");
    }
    let parent = origin.as_ref().map(|(_, key)| key.clone());
    let origin = origin.map(|(origin, _)| origin);
    cache.wrap(Arc::new(volume), origin, Watched { image: Arc::clone(image), parent })
}

/// An open image that tells of its changes.
struct Watched {
    image: Arc<Image>,
    /// The parent that its origin is about.
    parent: Option<SnapshotKey>,
}

impl Coherence for Watched {
    fn changes(&self) -> Option<u64> {
        self.image.has_lease().then(|| self.image.changes())
    }

    fn settled(&self) -> Option<Settled> {
        let rbd::Settled { changes, parent } = self.image.settled()?;
        let parent = parent.filter(|parent| self.parent.as_ref() == Some(&parent.key));
        Some(Settled { changes, shared_bytes: parent.map_or(0, |parent| parent.overlap_bytes) })
    }

    fn reopen(&self, wanted: &str) -> Option<Arc<dyn Volume>> {
        let mut image = Arc::clone(&self.image);
        for _ in 0..CHAIN_MAX {
            let opened = match OpenParent::of(&image) {
                Ok(opened) => opened?,
                Err(error) => {
                    tracing::warn!(%error, "a golden image that was lost cannot be opened anew");
                    return None;
                }
            };
            if identity(&opened.parent.key) == wanted {
                tracing::info!(image = opened.image.label(), "a golden image was opened anew");
                return Some(opened.volume);
            }
            image = opened.image;
        }
        None
    }
}

/// What the image shares with its parent. `None`: nothing, or it is not known.
fn origin(cache: &Cache, image: &Image) -> Result<Option<(Origin, SnapshotKey)>, StoreError> {
    if cache.options().golden_bytes == 0 {
        return Ok(None);
    }
    let Some(own) = own(image)? else { return Ok(None) };
    let Some(found) = image.parent()? else { return Ok(None) };
    let parent = above(cache, image, &found, CHAIN_MAX)?;
    Ok(Some((Origin::new(parent, found.overlap_bytes, &own), found.key)))
}

/// The ranges that an image has itself, if they are known. Its objects are no ranges of what is read
/// if it is striped or encrypted.
fn own(image: &Image) -> Result<Option<Vec<std::ops::Range<u64>>>, StoreError> {
    if image.is_striped() || image.is_decrypted() {
        return Ok(None);
    }
    Ok(image.own_objects()?)
}

/// The snapshot `parent` behind an image; all that is behind that one is opened, too.
fn above(
    cache: &Cache,
    image: &Image,
    parent: &rbd::Parent,
    chain_max: usize,
) -> Result<Arc<Parent>, StoreError> {
    if chain_max == 0 {
        let message = format!("{}: a chain of more than {CHAIN_MAX} clones", image.label());
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    let identity = identity(&parent.key);
    let known = cache.parent(&identity);
    // Whoever opened it may have done so before its own parents' data were copied into it: a handle
    // goes on to read these, which need not be there any more. So it is asked anew, but for an
    // image that never had any.
    if let Some(known) = known.as_ref().filter(|known| known.above().is_none()) {
        return Ok(Arc::clone(known));
    }
    let open = OpenParent::open(image, parent)?;
    let above = match open.image.parent()? {
        Some(found) => {
            let above = above(cache, &open.image, &found, chain_max - 1)?;
            Some((above, found.overlap_bytes))
        }
        None => None,
    };
    if let Some(known) = known
        && known.has_above(above.as_ref().map(|(above, _)| above))
    {
        return Ok(known);
    }
    let own = own(&open.image)?;
    let snapshot = Snapshot { volume: open.volume, own, above };
    Ok(cache.add_parent(&identity, snapshot))
}

/// One name for a snapshot, whoever asks.
fn identity(key: &SnapshotKey) -> String {
    let SnapshotKey { fsid, pool_id, namespace, image_id, snapshot_id } = key;
    // No part but the namespace can hold a slash, and that one cannot, either.
    format!("{fsid}/{pool_id}/{namespace}/{image_id}@{snapshot_id}")
}
