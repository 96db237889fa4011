//! An image on another footing: back on one of its snapshots, or on nothing but itself.

use std::sync::Arc;

use super::layer::{Chain, Opening};
use super::volume::Layered;
use super::{LocalStore, OpenThings, files, no_snapshot};
use crate::backend::pooled::Core;
use crate::backend::{StoreError, StoreErrorKind, fileio};

/// Bytes that are made an image's own at a time; writes to them wait so long.
const FILL_BYTES: u64 = 1 << 20;

impl LocalStore {
    /// Puts a new, empty head on the snapshot's layer; the old head goes. A crash leaves the one or
    /// the other.
    pub(super) fn roll_back(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        let mut open = self.open.lock();
        let mut record = self.meta.image(image)?;
        let below = record.snapshot(snapshot).ok_or_else(|| no_snapshot(image, snapshot))?.layer;
        if open.image(&record.id).is_some() {
            let message = format!("image {image} is open, and cannot be rolled back");
            return Err(StoreError::new(StoreErrorKind::InUse, message));
        }
        self.check_depth(&below)?;
        let size_bytes = self.meta.layer(&below)?.size_bytes;
        let mut free = Vec::new();
        self.with_new_layer(size_bytes, true, |head| {
            let old = std::mem::replace(&mut record.head, *head);
            record.size_bytes = size_bytes;
            free = self.meta.change(|tables| {
                tables.add_layer(head, Some(below), size_bytes)?;
                tables.put_image(image, &record)?;
                tables.release_layer(&old)
            })?;
            Ok(())
        })?;
        open.forget_closed();
        self.remove_layers(&free);
        Ok(())
    }

    /// Copies up what the head does not hold, then lets go of the layers below.
    pub(super) fn flatten_image(
        &self,
        image: &str,
        progress: &(dyn Fn(u64, u64) -> bool + Sync),
    ) -> Result<(), StoreError> {
        let (core, head) = {
            let mut open = self.open.lock();
            let record = self.meta.image(image)?;
            check_flat(image, record.snapshots.len())?;
            if self.meta.layer(&record.head)?.parent.is_none() {
                return Ok(());
            }
            (self.open_image(&mut open, image, &record)?, record.head)
        };
        let size_bytes = core.engine().size_bytes();
        let mut at = 0;
        while at < size_bytes {
            let len = FILL_BYTES.min(size_bytes - at);
            core.fill(at, len)?;
            at += len;
            if !progress(at, size_bytes) {
                let message = format!("flattening of image {image} was given up");
                return Err(StoreError::new(StoreErrorKind::Io, message));
            }
        }
        core.sync()?;
        let mut open = self.open.lock();
        let record = self.meta.image(image)?;
        check_flat(image, record.snapshots.len())?;
        if record.head != head || record.size_bytes != size_bytes {
            let message = format!("image {image} was changed while it was flattened; try again");
            return Err(StoreError::new(StoreErrorKind::InUse, message));
        }
        self.let_go(&mut open, image, &core)
    }

    /// Makes the head, which holds all there is, the only layer of the image.
    fn let_go(
        &self,
        open: &mut OpenThings,
        image: &str,
        core: &Core<Layered>,
    ) -> Result<(), StoreError> {
        let _nobody_works = core.quiesce();
        core.sync()?;
        // Holes that were made are no change of the map.
        fileio::sync(&core.engine().chain.load().top().data).map_err(|error| {
            let message = format!("cannot flatten image {image}: {error}");
            StoreError::new(files::kind_of(&error), message)
        })?;
        let mut record = self.meta.image(image)?;
        let (id, size_bytes) = (record.head, record.size_bytes);
        let opening = Opening { dir: &self.dir, id: &id, size_bytes, parent_bytes: None };
        let whole = Arc::new(opening.head(self.options.write_cache)?);
        let free = self.meta.change(|tables| {
            let parent = tables.detach_layer(&id)?;
            if let Some((parent, snapshot)) = record.parent.take() {
                tables.count_clone(&parent, &snapshot, false)?;
            }
            tables.put_image(image, &record)?;
            parent.map_or(Ok(Vec::new()), |parent| tables.release_layer(&parent))
        })?;
        *whole.journal.lock() = core.engine().chain.load().top().journal.lock().take();
        core.engine().chain.store(Arc::new(Chain { layers: vec![whole] }));
        open.forget_closed();
        self.remove_layers(&free);
        // Nobody looks at them any more.
        for ending in ["map", "live"] {
            if let Err(error) = files::remove_if_there(&self.dir.layer(&id, ending)) {
                tracing::warn!(%error, image, "a map that is of no use stays");
            }
        }
        Ok(())
    }
}

fn check_flat(image: &str, snapshots: usize) -> Result<(), StoreError> {
    if snapshots == 0 {
        return Ok(());
    }
    let message = format!("image {image} has {snapshots} snapshots; remove these first");
    Err(StoreError::new(StoreErrorKind::HasChildren, message))
}

impl Core<Layered> {
    /// Makes the head hold what a range has below it.
    fn fill(&self, offset: u64, len: u64) -> Result<(), StoreError> {
        self.work_in(offset, len, |layered| layered.fill(offset, len)).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;
    use crate::backend::conformance::Disk;
    use crate::backend::pool::Pool;
    use crate::backend::{OpenMode, Store};

    const SIZE: u64 = 4 << 20;

    fn store(dir: &std::path::Path, write_cache: bool) -> LocalStore {
        LocalStore::open(dir, Options { write_cache }, &Pool::start(2).unwrap()).unwrap()
    }

    #[test]
    fn a_flattened_image_outlives_its_parent_and_a_restart() {
        for write_cache in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let local = store(dir.path(), write_cache);
            local.create("golden", SIZE).unwrap();
            let mut writer = local.writer("golden").unwrap();
            writer.write_at(1 << 20, &[7; 9000]).unwrap();
            writer.finish().unwrap();
            local.snapshot("golden", "s").unwrap();
            local.clone_image("golden", "s", "disk").unwrap();
            let disk = Disk::new(local.open("disk", None, OpenMode::ReadWrite).unwrap());
            disk.write((1 << 20) + 4096, &[9; 100]);
            local.flatten("disk", &|_, _| true).unwrap();
            disk.write(0, &[5; 512]);
            drop(disk);
            assert_eq!(local.stat("disk").unwrap().parent, None);
            local.remove_snapshot("golden", "s").unwrap();
            local.remove("golden").unwrap();
            let files = std::fs::read_dir(dir.path().join("layers")).unwrap().count();
            assert_eq!(files, 1, "one file of data and no map");
            drop(local);
            let local = store(dir.path(), write_cache);
            let disk = Disk::new(local.open("disk", None, OpenMode::ReadWrite).unwrap());
            assert_eq!(disk.read(0, 512), [5; 512]);
            assert_eq!(disk.read((1 << 20) + 4096, 100), [9; 100]);
            assert_eq!(disk.read((1 << 20) + 4196, 4804), [7; 4804]);
            assert_eq!(disk.read(1 << 20, 4096), [7; 4096]);
            assert_eq!(disk.read(2 << 20, 4096), [0; 4096]);
        }
    }
}
