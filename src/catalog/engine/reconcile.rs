//! After a start: what was begun is taken back, what the store has of ours without a row is
//! removed, what the store has no more is marked.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rows::{self, Batch, Versioned};
use super::{Engine, Installation, backing_prefix, key, new_uid};
use crate::backend::{Store, StoreErrorKind};
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::{Disk, DiskState, Image, ImageState};
use crate::catalog::state::Table;

/// What reconciliation did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::catalog) struct Report {
    /// Disks whose creation or removal was ended by removing them.
    pub(in crate::catalog) disks_erased: u64,
    /// Images likewise.
    pub(in crate::catalog) images_erased: u64,
    /// Images of ours in a store without a row, removed.
    pub(in crate::catalog) orphans_removed: u64,
    /// Golden images that the store has no more.
    pub(in crate::catalog) images_broken: u64,
}

impl Engine {
    /// Ends an unfinished change of a disk by removing it.
    pub(in crate::catalog) fn end_unfinished_disk(&self, disk: &Disk) -> Result<bool, Error> {
        let row: Option<Versioned<Disk>> =
            rows::load(self.state.as_ref(), Table::Disks, &key(&disk.project, &disk.name))?;
        match row {
            Some(Versioned { value, .. })
                if matches!(value.state, DiskState::Creating | DiskState::Removing) =>
            {
                self.erase_disk(&value)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Ends an unfinished change of an image by removing it; looks whether a finished one is
    /// still in its store.
    pub(in crate::catalog) fn check_image(
        &self,
        image: &Image,
        report: &mut Report,
    ) -> Result<(), Error> {
        let key = key(&image.project, &image.name);
        let row: Option<Versioned<Image>> = rows::load(self.state.as_ref(), Table::Images, &key)?;
        let Some(Versioned { value: mut image, revision }) = row else { return Ok(()) };
        if self.at_work.is(Noun::Image, &image.project, image.name.as_str()) {
            return Ok(());
        }
        if matches!(image.state, ImageState::Importing | ImageState::Removing) {
            self.erase_image(&image)?;
            report.images_erased += 1;
            return Ok(());
        }
        let state = match self.store(&image.store)?.stat(&image.backing) {
            Ok(stat) if image.attached || stat.snapshots.contains(&image.snapshot) => {
                ImageState::Ready
            }
            Ok(_) => ImageState::Broken,
            Err(error) if error.kind() == StoreErrorKind::NotFound => ImageState::Broken,
            Err(error) => return Err(error.into()),
        };
        if state == ImageState::Broken {
            report.images_broken += 1;
            tracing::error!(image = key, backing = image.backing, "the store has it no more");
        }
        if state != image.state {
            image.state = state;
            self.put_image(&image, revision)?;
        }
        Ok(())
    }

    /// Removes what carries our mark in a store but has no row.
    pub(in crate::catalog) fn remove_orphans(
        &self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), Error> {
        let store = self.store(name)?;
        self.check_store(name)?;
        // The store is listed before the rows: a row is written before its image is made and
        // deleted after its image is removed, so nothing that is alive can seem an orphan.
        let images = store.list()?;
        let known = self.known_backings()?;
        let prefix = self.backing_prefix();
        let orphans: Vec<String> = images
            .into_iter()
            .filter(|image| image.starts_with(&prefix) && !known.contains(image))
            .collect();
        report.orphans_removed += self.remove_each(store, &orphans);
        Ok(())
    }

    fn remove_each(&self, store: &Arc<dyn Store>, orphans: &[String]) -> u64 {
        let mut removed = 0;
        for image in orphans {
            match self.remove_backing(store.as_ref(), image) {
                Ok(()) => {
                    removed += 1;
                    tracing::info!(image, "removed: nothing in the catalog belongs to it");
                }
                Err(error) => tracing::warn!(image, %error, "an orphan could not be removed"),
            }
        }
        removed
    }

    fn known_backings(&self) -> Result<BTreeSet<String>, Error> {
        let images = self.images(None)?.into_iter().map(|image| image.backing);
        let disks = self.disks(None)?.into_iter().map(|disk| disk.backing);
        Ok(images.chain(disks).collect())
    }

    /// Before the first image is made in a store: if the store has an image of ours whose number
    /// has not been given out yet, this catalog was put back to an older copy, and the image is
    /// somebody's disk. From then on another mark is used, so that what is there is neither taken
    /// for an orphan nor shared.
    pub(super) fn check_store(&self, name: &str) -> Result<(), Error> {
        let store = self.store(name)?;
        let Some(checked) = self.checked.get(name) else { return Ok(()) };
        // Held meanwhile: no image of this process's making is in the store yet, so whatever is
        // beyond the numbers that were given out before it is another's.
        let mut checked = checked.lock();
        if *checked {
            return Ok(());
        }
        let Installation { uid, next_id } = &self.loaded;
        let prefix = backing_prefix(uid);
        let images = store.list()?;
        let newer = images.iter().filter(|image| image.starts_with(&prefix));
        let newer = newer.filter(|image| number(image).is_none_or(|id| id >= *next_id)).count();
        if newer > 0 {
            tracing::error!(
                store = name,
                images = newer,
                "the store has images newer than this catalog: is it an old copy? They are left \
                 alone, and this catalog goes on under a new mark"
            );
            self.leave_mark(uid)?;
        }
        *checked = true;
        Ok(())
    }

    /// Goes on under a new mark, unless that was done already.
    fn leave_mark(&self, old: &str) -> Result<(), Error> {
        let mut ids = self.ids.lock();
        ids.refresh(self.state.as_ref())?;
        if ids.installation.uid == old {
            let installation = Installation { uid: new_uid()?, ..ids.installation.clone() };
            ids.replace(self.state.as_ref(), Batch::default(), installation)?;
        }
        Ok(())
    }
}

/// The number at the end of one of our names.
fn number(backing: &str) -> Option<u64> {
    backing.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
