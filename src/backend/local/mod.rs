//! The embedded store: a directory of layered, copy-on-write images.
//!
//! The format on disk, and what a crash can and cannot do to it: `docs/local-store.md`.

mod files;
mod journal;
mod layer;
mod map;
mod meta;
mod resize;
mod state;
mod versions;
mod volume;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use self::files::{LayerId, StoreDir};
use self::layer::{Chain, Layer, Opening};
use self::meta::{Image, Meta, Snapshot};
use self::state::ImageState;
use self::volume::{Layered, LayeredVolume};
use super::pool::Pool;
use super::pooled::Core;
use super::{
    ImageStat, ImageWriter, OpenMode, Store, StoreError, StoreErrorKind, StoreKind, check_growth,
    check_name, check_record,
};
use crate::block::Volume;

/// Most layers of an image: a read looks at all of them at worst.
pub const LAYERS_MAX: usize = 64;
/// Largest image, in bytes.
pub const IMAGE_BYTES_MAX: u64 = 16 << 40;
/// Sizes are multiples of this, in bytes.
const SECTOR_BYTES: u64 = 512;
/// Most snapshots of an image.
const SNAPSHOTS_MAX: usize = LAYERS_MAX;

/// How a [`LocalStore`] works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Complete writes when they are in the page cache, and report a volatile write cache to the
    /// initiators. When false, a write completes when it is on stable storage.
    pub write_cache: bool,
}

/// A store in a directory, which is locked until the store and its volumes are dropped.
pub struct LocalStore {
    dir: Arc<StoreDir>,
    meta: Arc<Meta>,
    pool: Arc<Pool>,
    options: Options,
    /// Held for the whole of each change, so that changes come one after the other.
    open: Mutex<OpenThings>,
}

/// What is open, so that all openers share it.
#[derive(Default)]
struct OpenThings {
    /// By identity of the image.
    images: HashMap<LayerId, Weak<Core<Layered>>>,
    /// Frozen layers.
    layers: HashMap<LayerId, Weak<Layer>>,
}

impl OpenThings {
    fn image(&self, id: &LayerId) -> Option<Arc<Core<Layered>>> {
        self.images.get(id).and_then(Weak::upgrade)
    }

    fn forget_closed(&mut self) {
        self.images.retain(|_, image| image.strong_count() > 0);
        self.layers.retain(|_, layer| layer.strong_count() > 0);
    }
}

impl LocalStore {
    /// Opens the store in `dir`; a missing or empty directory becomes a new store. Files that an
    /// interrupted change left behind are removed.
    ///
    /// # Errors
    /// [`StoreErrorKind::InUse`] when another process has it, [`StoreErrorKind::Invalid`] when the
    /// directory holds other things, [`StoreErrorKind::Corrupt`], [`StoreErrorKind::NoSpace`],
    /// [`StoreErrorKind::Io`].
    pub fn open(dir: &Path, options: Options, pool: &Arc<Pool>) -> Result<Self, StoreError> {
        let dir = StoreDir::open(dir)?;
        let meta = Arc::new(Meta::open(&dir.metadata())?);
        let known = meta.layers()?;
        dir.sync_names().and_then(|()| dir.remove_unknown(&known)).map_err(|error| {
            let message = format!("cannot use {} as a store: {error}", dir.path().display());
            StoreError::new(files::kind_of(&error), message)
        })?;
        let (dir, pool) = (Arc::new(dir), Arc::clone(pool));
        Ok(Self { dir, meta, pool, options, open: Mutex::default() })
    }

    fn new_id() -> Result<LayerId, StoreError> {
        LayerId::random().map_err(|error| {
            StoreError::new(StoreErrorKind::Io, format!("the system gives no randomness: {error}"))
        })
    }

    /// Makes a new layer and runs `change`, which makes it known. If `change` refuses, the layer
    /// goes again; if it fails otherwise, the metadata may know the layer, so the files stay (the
    /// next start removes them if they are not known).
    fn with_new_layer(
        &self,
        size_bytes: u64,
        has_parent: bool,
        change: impl FnOnce(&LayerId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.dir.check_space()?;
        let id = Self::new_id()?;
        layer::create(&self.dir, &id, size_bytes, has_parent)?;
        change(&id).inspect_err(|error| {
            if matches!(error.kind(), StoreErrorKind::Exists | StoreErrorKind::NotFound) {
                self.dir.remove_layer(&id);
            }
        })
    }

    /// The layers from `top` down; the topmost as one that is written if `head` says so.
    fn chain(&self, open: &mut OpenThings, top: &LayerId, head: bool) -> Result<Chain, StoreError> {
        open.forget_closed();
        let mut layers = Vec::new();
        let records = self.meta.chain(top)?;
        let below = records.iter().skip(1).map(|(_, record)| Some(record.size_bytes)).chain([None]);
        for ((id, record), parent_bytes) in records.iter().zip(below) {
            let opening =
                Opening { dir: &self.dir, id, size_bytes: record.size_bytes, parent_bytes };
            let layer = match open.layers.get(id).and_then(Weak::upgrade) {
                Some(layer) => layer,
                None if head && layers.is_empty() => {
                    Arc::new(opening.head(self.options.write_cache)?)
                }
                None => {
                    let layer = Arc::new(opening.frozen()?);
                    open.layers.insert(*id, Arc::downgrade(&layer));
                    layer
                }
            };
            layers.push(layer);
        }
        Ok(Chain { layers })
    }

    fn core(
        &self,
        name: String,
        size_bytes: u64,
        write_cache: bool,
        chain: Chain,
        state: Option<ImageState>,
    ) -> Arc<Core<Layered>> {
        let layered = Layered {
            name,
            size_bytes: AtomicU64::new(size_bytes),
            write_cache,
            chain: ArcSwap::from_pointee(chain),
            state,
            own_below: AtomicUsize::new(0),
            writer: AtomicBool::new(false),
            _locked: Arc::clone(&self.dir),
        };
        Core::new(layered, Arc::clone(&self.pool))
    }

    /// The open image, opened if it is not.
    fn open_image(
        &self,
        open: &mut OpenThings,
        name: &str,
        image: &Image,
    ) -> Result<Arc<Core<Layered>>, StoreError> {
        if let Some(core) = open.image(&image.id) {
            let is_written = core.engine().writer.load(Ordering::Acquire);
            if is_written || !core.has_failed() {
                return Ok(core);
            }
            // Readers and queued requests may keep what has failed alive. Once nothing of it is at
            // work it changes no file any more.
            drop(core.quiesce());
        }
        let chain = self.chain(open, &image.head, true)?;
        let state = ImageState::load(&self.meta, name, image.id)?;
        let label = format!("image {name}");
        let core = self.core(label, image.size_bytes, self.options.write_cache, chain, Some(state));
        core.engine().replay()?;
        core.engine().own_below.store(self.own_below(open, &image.head)?, Ordering::Release);
        open.images.insert(image.id, Arc::downgrade(&core));
        Ok(core)
    }

    /// How many layers directly below a head only the layer above them needs, and nobody reads who
    /// has opened them before.
    fn own_below(&self, open: &OpenThings, head: &LayerId) -> Result<usize, StoreError> {
        let readers = |id: &LayerId| open.layers.get(id).map_or(0, Weak::strong_count);
        let below = self.meta.chain(head)?.into_iter().skip(1);
        Ok(below.take_while(|(id, layer)| layer.needed_by == 1 && readers(id) <= 1).count())
    }

    fn open_for_writing(&self, name: &str) -> Result<LayeredVolume, StoreError> {
        check_name(name)?;
        let mut open = self.open.lock();
        let image = self.meta.image(name)?;
        LayeredVolume::writable(self.open_image(&mut open, name, &image)?)
    }

    /// Refuses to put another layer on `top` when there are too many.
    fn check_depth(&self, top: &LayerId) -> Result<(), StoreError> {
        if self.meta.chain(top)?.len() < LAYERS_MAX {
            return Ok(());
        }
        Err(StoreError::new(
            StoreErrorKind::Invalid,
            format!("an image cannot have more than {LAYERS_MAX} layers; import it anew"),
        ))
    }

    fn remove_layers(&self, layers: &[LayerId]) {
        layers.iter().for_each(|id| self.dir.remove_layer(id));
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        // Images that were closed a moment ago may have their last changes on the way to the disk;
        // whoever opens the store next must find them there.
        let images = std::mem::take(&mut self.open.get_mut().images);
        for core in images.values().filter_map(Weak::upgrade) {
            let _logged = core.sync();
        }
    }
}

fn check_size(size_bytes: u64) -> Result<(), StoreError> {
    let fits = (1..=IMAGE_BYTES_MAX).contains(&size_bytes);
    if fits && size_bytes.is_multiple_of(SECTOR_BYTES) {
        return Ok(());
    }
    let message = format!(
        "{size_bytes} bytes is no size for an image: a multiple of {SECTOR_BYTES} up to \
         {IMAGE_BYTES_MAX} is"
    );
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}

fn no_snapshot(image: &str, snapshot: &str) -> StoreError {
    let message = format!("there is no snapshot {snapshot} of image {image}");
    StoreError::new(StoreErrorKind::NotFound, message)
}

impl Store for LocalStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Local
    }

    fn probe(&self) -> Result<(), StoreError> {
        rustix::fs::statvfs(self.dir.path()).map(drop).map_err(|error| {
            let message = format!("the store {} is gone: {error}", self.dir.path().display());
            StoreError::new(StoreErrorKind::Unavailable, message)
        })?;
        self.meta.image("").map(drop).or_else(|error| match error.kind() {
            StoreErrorKind::NotFound => Ok(()),
            _ => Err(StoreError::new(StoreErrorKind::Unavailable, error.to_string())),
        })
    }

    fn create(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        check_name(image)?;
        check_size(size_bytes)?;
        let _one_at_a_time = self.open.lock();
        self.with_new_layer(size_bytes, false, |head| {
            let record = Image {
                id: Self::new_id()?,
                size_bytes,
                head: *head,
                parent: None,
                snapshots: Vec::new(),
            };
            self.meta.change(|tables| {
                tables.add_image(image, &record)?;
                tables.add_layer(head, None, size_bytes)
            })
        })
    }

    fn writer(&self, image: &str) -> Result<Box<dyn ImageWriter>, StoreError> {
        Ok(Box::new(self.open_for_writing(image)?))
    }

    fn snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        check_name(image)?;
        check_name(snapshot)?;
        let mut open = self.open.lock();
        let mut record = self.meta.image(image)?;
        if record.snapshot(snapshot).is_some() {
            let message = format!("there is a snapshot {snapshot} of image {image} already");
            return Err(StoreError::new(StoreErrorKind::Exists, message));
        }
        if record.snapshots.len() == SNAPSHOTS_MAX {
            let message = format!("an image cannot have more than {SNAPSHOTS_MAX} snapshots");
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        self.check_depth(&record.head)?;
        let core = self.open_image(&mut open, image, &record)?;
        let _nobody_writes = core.quiesce();
        core.sync()?;

        self.with_new_layer(record.size_bytes, true, |head| {
            let size_bytes = record.size_bytes;
            let opening =
                Opening { dir: &self.dir, id: head, size_bytes, parent_bytes: Some(size_bytes) };
            let new_head = Arc::new(opening.head(self.options.write_cache)?);
            let frozen = std::mem::replace(&mut record.head, *head);
            self.meta.change(|tables| {
                tables.add_layer(head, Some(frozen), record.size_bytes)?;
                // The snapshot needs the old head in the place of the image.
                record.snapshots.push(Snapshot {
                    name: snapshot.to_owned(),
                    layer: frozen,
                    clones: 0,
                });
                tables.put_image(image, &record)
            })?;
            let chain = core.engine().chain.load();
            let layers = std::iter::once(new_head).chain(chain.layers.iter().cloned()).collect();
            chain.top().remove_journal();
            open.layers.insert(frozen, Arc::downgrade(&chain.layers[0]));
            core.engine().own_below.store(0, Ordering::Release);
            core.engine().chain.store(Arc::new(Chain { layers }));
            Ok(())
        })
    }

    fn remove_snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        check_name(image)?;
        check_name(snapshot)?;
        let open = self.open.lock();
        let free = self.meta.change(|tables| {
            let mut record = tables.image(image)?;
            let at = record.snapshots.iter().position(|s| s.name == snapshot);
            let Snapshot { layer, clones, .. } =
                record.snapshots.remove(at.ok_or_else(|| no_snapshot(image, snapshot))?);
            if clones > 0 {
                let message = format!(
                    "snapshot {snapshot} of image {image} has {clones} clones; remove these first"
                );
                return Err(StoreError::new(StoreErrorKind::HasChildren, message));
            }
            tables.put_image(image, &record)?;
            tables.release_layer(&layer)
        })?;
        self.remove_layers(&free);
        let record = self.meta.image(image)?;
        if let Some(core) = open.image(&record.id) {
            core.engine().own_below.store(self.own_below(&open, &record.head)?, Ordering::Release);
        }
        Ok(())
    }

    fn clone_image(&self, parent: &str, snapshot: &str, child: &str) -> Result<(), StoreError> {
        check_name(parent)?;
        check_name(snapshot)?;
        check_name(child)?;
        let _one_at_a_time = self.open.lock();
        let record = self.meta.image(parent)?;
        let below = record.snapshot(snapshot).ok_or_else(|| no_snapshot(parent, snapshot))?;
        self.check_depth(&below.layer)?;
        let size_bytes = self.meta.layer(&below.layer)?.size_bytes;
        self.with_new_layer(size_bytes, true, |head| {
            let image = Image {
                id: Self::new_id()?,
                size_bytes,
                head: *head,
                parent: Some((parent.to_owned(), snapshot.to_owned())),
                snapshots: Vec::new(),
            };
            self.meta.change(|tables| {
                tables.add_image(child, &image)?;
                tables.add_layer(head, Some(below.layer), size_bytes)?;
                tables.count_clone(parent, snapshot, true)
            })
        })
    }

    fn remove(&self, image: &str) -> Result<(), StoreError> {
        check_name(image)?;
        let open = self.open.lock();
        let free = self.meta.change(|tables| {
            let record = tables.image(image)?;
            if !record.snapshots.is_empty() {
                let message = format!(
                    "image {image} has {} snapshots; remove these first",
                    record.snapshots.len()
                );
                return Err(StoreError::new(StoreErrorKind::HasChildren, message));
            }
            let writer = |core: Arc<Core<Layered>>| core.engine().writer.load(Ordering::Acquire);
            if open.image(&record.id).is_some_and(writer) {
                let message = format!("image {image} is open for writing");
                return Err(StoreError::new(StoreErrorKind::InUse, message));
            }
            tables.remove_image(image, &record.id)?;
            if let Some((parent, snapshot)) = &record.parent {
                tables.count_clone(parent, snapshot, false)?;
            }
            tables.release_layer(&record.head)
        })?;
        self.remove_layers(&free);
        Ok(())
    }

    fn resize(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        check_name(image)?;
        check_size(size_bytes)?;
        // What waits to be written goes to the disk before the store is locked.
        let record = self.meta.image(image)?;
        let opened = self.open.lock().image(&record.id);
        if let Some(core) = opened {
            core.sync()?;
        }
        let mut open = self.open.lock();
        let record = self.meta.image(image)?;
        check_growth(image, record.size_bytes, size_bytes)?;
        if size_bytes == record.size_bytes {
            return Ok(());
        }
        self.grow(&mut open, image, record, size_bytes)
    }

    fn rollback(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        check_name(image)?;
        check_name(snapshot)?;
        self.roll_back(image, snapshot)
    }

    fn flatten(
        &self,
        image: &str,
        progress: &(dyn Fn(u64, u64) -> bool + Sync),
    ) -> Result<(), StoreError> {
        check_name(image)?;
        self.flatten_image(image, progress)
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        self.meta.names()
    }

    fn stat(&self, image: &str) -> Result<ImageStat, StoreError> {
        check_name(image)?;
        let record = self.meta.image(image)?;
        let own = std::iter::once(&record.head).chain(record.snapshots.iter().map(|s| &s.layer));
        let used = own.map(|id| {
            // st_blocks counts in 512 bytes, whatever the file system's blocks are (stat(2)).
            std::fs::metadata(self.dir.layer(id, "data")).map(|meta| meta.blocks() * 512)
        });
        Ok(ImageStat {
            id: record.id.to_string(),
            size_bytes: record.size_bytes,
            used_bytes: used.sum::<std::io::Result<u64>>().ok(),
            parent: record.parent.clone(),
            snapshots: record.snapshots.iter().map(|snapshot| snapshot.name.clone()).collect(),
        })
    }

    fn keep(&self, image: &str, name: &str, record: &[u8]) -> Result<(), StoreError> {
        check_name(image)?;
        check_record(name, record)?;
        self.dir.check_space()?;
        self.meta.change(|tables| tables.put_record(image, name, record))
    }

    fn kept(&self, image: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        check_name(image)?;
        check_name(name)?;
        self.meta.record(&self.meta.image(image)?.id, name)
    }

    fn open(
        &self,
        image: &str,
        snapshot: Option<&str>,
        mode: OpenMode,
    ) -> Result<Arc<dyn Volume>, StoreError> {
        let Some(snapshot) = snapshot else {
            if mode == OpenMode::ReadWrite {
                return Ok(Arc::new(self.open_for_writing(image)?));
            }
            check_name(image)?;
            let mut open = self.open.lock();
            let record = self.meta.image(image)?;
            let core = self.open_image(&mut open, image, &record)?;
            return Ok(Arc::new(LayeredVolume::read_only(core)));
        };
        check_name(image)?;
        check_name(snapshot)?;
        if mode == OpenMode::ReadWrite {
            let message =
                format!("snapshot {snapshot} of image {image} cannot be written; clone it");
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        let mut open = self.open.lock();
        let record = self.meta.image(image)?;
        let found = record.snapshot(snapshot).ok_or_else(|| no_snapshot(image, snapshot))?;
        let chain = self.chain(&mut open, &found.layer, false)?;
        let name = format!("snapshot {snapshot} of image {image}");
        let size_bytes = self.meta.layer(&found.layer)?.size_bytes;
        let core = self.core(name, size_bytes, false, chain, None);
        Ok(Arc::new(LayeredVolume::read_only(core)))
    }
}
