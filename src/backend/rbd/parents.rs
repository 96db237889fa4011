//! The snapshots behind a clone, as volumes.

use std::sync::Arc;

use super::super::StoreError;
use super::volume::RbdVolume;
use crate::block::Volume;
use crate::rbd::{Image, Parent};

/// The snapshot that a clone was made from, open for reading.
pub struct OpenParent {
    /// Which snapshot it is, and how much of the clone it is behind.
    pub parent: Parent,
    /// The image, open at that snapshot: it tells its own parent and its own objects.
    pub image: Arc<Image>,
    /// What the snapshot holds, read through all that is behind it.
    pub volume: Arc<dyn Volume>,
}

impl OpenParent {
    /// Opens what `image` is a clone of; `None` if it is none. Blocks.
    ///
    /// An encrypted image has none to show: the parent's bytes are not the clone's.
    ///
    /// For a chain of clones: once more, with [`Self::image`].
    ///
    /// # Errors
    /// When the clone or the parent cannot be read, or the parent is not there.
    pub fn of(image: &Image) -> Result<Option<Self>, StoreError> {
        if image.is_decrypted() {
            return Ok(None);
        }
        let Some(parent) = image.parent()? else { return Ok(None) };
        Self::open(image, &parent).map(Some)
    }

    /// Opens `parent`, which `image` named: that one, whatever it is a clone of by now. Blocks.
    ///
    /// # Errors
    /// When the parent is not there or cannot be read.
    pub fn open(image: &Image, parent: &Parent) -> Result<Self, StoreError> {
        let image = image.open_parent(parent)?;
        let volume = Arc::new(RbdVolume::of_snapshot(Arc::clone(&image)));
        Ok(Self { parent: parent.clone(), image, volume })
    }
}
