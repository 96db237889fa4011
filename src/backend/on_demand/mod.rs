//! A store whose images are open only while somebody uses them.
//!
//! An open RBD image costs memory, a watch and a lock; most disks have no session most of the
//! time. What is opened for writing through this store is looked at only, until a session begins
//! or a request comes: then it is opened, on a thread that may wait, and requests wait for that.
//! When it has had no session and no request for a time it is closed, and whoever else wants the
//! image may have it.

mod opener;
mod volume;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::opener::Opener;
use self::volume::OnDemandVolume;
use super::{
    BootProfile, ImageStat, ImageWriter, LuksFormat, OpenMode, Seen, Store, StoreError, StoreKind,
};
use crate::block::Volume;

/// See the [module](self) docs. All but [`Store::open`] for writing is the inner store's.
pub struct OnDemand {
    store: Arc<dyn Store>,
    opener: Arc<Opener>,
}

impl OnDemand {
    /// Images of `store`, each closed after `idle` without a session and a request; `None`: never.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, idle: Option<Duration>) -> Self {
        Self { store, opener: Opener::new(idle) }
    }
}

impl Store for OnDemand {
    fn kind(&self) -> StoreKind {
        self.store.kind()
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.store.probe()
    }

    fn create(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        self.store.create(image, size_bytes)
    }

    fn can_encrypt(&self) -> Result<(), StoreError> {
        self.store.can_encrypt()
    }

    fn create_encrypted(
        &self,
        image: &str,
        size_bytes: u64,
        format: LuksFormat,
    ) -> Result<(), StoreError> {
        self.store.create_encrypted(image, size_bytes, format)
    }

    fn is_encrypted(&self, image: &str) -> Result<bool, StoreError> {
        self.store.is_encrypted(image)
    }

    fn writer(&self, image: &str) -> Result<Box<dyn ImageWriter>, StoreError> {
        self.store.writer(image)
    }

    fn snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        self.store.snapshot(image, snapshot)
    }

    fn remove_snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        self.store.remove_snapshot(image, snapshot)
    }

    fn clone_image(&self, parent: &str, snapshot: &str, child: &str) -> Result<(), StoreError> {
        self.store.clone_image(parent, snapshot, child)
    }

    fn remove(&self, image: &str) -> Result<(), StoreError> {
        // A volume that was dropped while it was opened is closed after that.
        self.opener.wait_opened(image);
        self.store.remove(image)
    }

    fn resize(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        self.store.resize(image, size_bytes)?;
        self.opener.has_grown(image, size_bytes);
        Ok(())
    }

    fn rollback(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        // A volume that was dropped while it was opened is closed after that.
        self.opener.wait_opened(image);
        self.store.rollback(image, snapshot)
    }

    fn flatten(
        &self,
        image: &str,
        progress: &(dyn Fn(u64, u64) -> bool + Sync),
    ) -> Result<(), StoreError> {
        self.store.flatten(image, progress)
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        self.store.list()
    }

    fn stat(&self, image: &str) -> Result<ImageStat, StoreError> {
        self.store.stat(image)
    }

    fn keep(&self, image: &str, name: &str, record: &[u8]) -> Result<(), StoreError> {
        self.store.keep(image, name, record)
    }

    fn kept(&self, image: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.kept(image, name)
    }

    fn elsewhere(&self, place: &str) -> Result<Arc<dyn Store>, StoreError> {
        self.store.elsewhere(place)
    }

    fn rename(&self, image: &str, name: &str) -> Result<(), StoreError> {
        self.store.rename(image, name)
    }

    fn in_use(&self, image: &str) -> Result<bool, StoreError> {
        self.store.in_use(image)
    }

    fn adopt(&self, image: &str) -> Result<(), StoreError> {
        self.store.adopt(image)
    }

    fn release(&self, image: &str) -> Result<(), StoreError> {
        // A volume that was dropped while it was opened is closed after that.
        self.opener.wait_opened(image);
        self.store.release(image)
    }

    fn boot_profile(&self, image: &str) -> Result<BootProfile, StoreError> {
        self.store.boot_profile(image)
    }

    fn forget_boot_profile(&self, image: &str) -> Result<(), StoreError> {
        self.store.forget_boot_profile(image)
    }

    /// For writing: succeeds if the image is there; that another has it open for writing shows
    /// when it is used.
    fn open(
        &self,
        image: &str,
        snapshot: Option<&str>,
        mode: OpenMode,
    ) -> Result<Arc<dyn Volume>, StoreError> {
        if mode == OpenMode::ReadOnly || snapshot.is_some() {
            return self.store.open(image, snapshot, mode);
        }
        Ok(self.open_new(image)?.1)
    }

    fn open_new(&self, image: &str) -> Result<(String, Arc<dyn Volume>), StoreError> {
        let Seen { id, info, saved } = self.store.look(image)?;
        let volume = OnDemandVolume::new(&self.store, &self.opener, image, (info, saved));
        Ok((id, Arc::new(volume)))
    }
}
