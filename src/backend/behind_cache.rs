//! The cache in front of any store, for tests: what a clone has of its own is found by comparing it
//! with its parent.

use std::ops::Range;
use std::sync::Arc;

use super::conformance::{self, Disk};
use super::local::{LocalStore, Options};
use super::pool::Pool;
use super::{ImageStat, ImageWriter, OpenMode, Store, StoreError, StoreKind};
use crate::block::Volume;
use crate::cache::{self, BLOCK_BYTES, Cache, EXTENT_BYTES, Mine, Origin, Parent, Snapshot};

struct Behind {
    store: LocalStore,
    cache: Arc<Cache>,
}

/// The ranges of `child` that differ from what `parent` has there.
fn differences(child: &Arc<dyn Volume>, parent: &Arc<dyn Volume>) -> Vec<Range<u64>> {
    let all = |volume: &Arc<dyn Volume>| {
        let len = usize::try_from(volume.info().size_bytes).unwrap();
        Disk::new(Arc::clone(volume)).read(0, len)
    };
    let (child, parent) = (all(child), all(parent));
    let extents = child.chunks(EXTENT_BYTES as usize).zip((0..).step_by(EXTENT_BYTES as usize));
    extents
        .filter(|(bytes, at)| parent.get(*at..at + bytes.len()) != Some(bytes))
        .map(|(bytes, at)| at as u64..(at + bytes.len()) as u64)
        .collect()
}

/// A parent, how much of a clone it covers, and where the clone differs.
type Above = (Arc<Parent>, u64, Vec<Range<u64>>);

impl Behind {
    /// What an image or snapshot is a clone of.
    fn above(&self, image: &str, volume: &Arc<dyn Volume>) -> Result<Option<Above>, StoreError> {
        let Some((parent, snapshot)) = self.store.stat(image)?.parent else { return Ok(None) };
        let opened = self.store.open(&parent, Some(&snapshot), OpenMode::ReadOnly)?;
        let own = differences(volume, &opened);
        let identity = format!("{}@{snapshot}", self.store.stat(&parent)?.id);
        let covers = opened.info().size_bytes;
        if let Some(known) = self.cache.parent(&identity) {
            return Ok(Some((known, covers, own)));
        }
        let (above, its_own) = match self.above(&parent, &opened)? {
            Some((above, covers, own)) => (Some((above, covers)), Some(own)),
            None => (None, None),
        };
        let snapshot = Snapshot { volume: opened, own: its_own, above };
        Ok(Some((self.cache.add_parent(&identity, snapshot), covers, own)))
    }
}

impl Store for Behind {
    fn kind(&self) -> StoreKind {
        self.store.kind()
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.store.probe()
    }

    fn create(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        self.store.create(image, size_bytes)
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
        self.store.remove(image)
    }

    fn resize(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        self.store.resize(image, size_bytes)
    }

    fn rollback(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
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

    fn open(
        &self,
        image: &str,
        snapshot: Option<&str>,
        mode: OpenMode,
    ) -> Result<Arc<dyn Volume>, StoreError> {
        let volume = self.store.open(image, snapshot, mode)?;
        if snapshot.is_some() || mode == OpenMode::ReadOnly {
            return Ok(volume);
        }
        let above = self.above(image, &volume)?;
        let origin = above.map(|(parent, covers, own)| Origin::new(parent, covers, &own));
        let volume: Arc<dyn Volume> = Arc::new(self.cache.wrap(volume, origin, Mine));
        // All of it into the cache, twice, so that the suite meets old data wherever there are any.
        let len = usize::try_from(volume.info().size_bytes / BLOCK_BYTES * BLOCK_BYTES).unwrap();
        let disk = Disk::new(Arc::clone(&volume));
        (0..2).for_each(|_| drop(disk.read(0, len)));
        Ok(volume)
    }
}

#[test]
fn a_store_behind_the_cache_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::start(4).unwrap();
    // Room for a whole image of the suite, or for little of it.
    for (golden_bytes, with_file) in [(12 << 20, false), (2 << 20, true)] {
        let bounds = cache::Options { golden_bytes, disk_bytes: golden_bytes };
        let dir = dir.path().join(with_file.to_string());
        std::fs::create_dir(&dir).unwrap();
        let cache = match with_file {
            false => Cache::new(bounds),
            true => Cache::with_file(bounds, &dir, 64 << 20).unwrap(),
        };
        let store = LocalStore::open(&dir.join("store"), Options { write_cache: false }, &pool);
        let behind = Behind { store: store.unwrap(), cache };
        conformance::run(&behind);
        behind.store.create("golden", 1 << 20).unwrap();
        behind.store.snapshot("golden", "s").unwrap();
        behind.store.clone_image("golden", "s", "clone").unwrap();
        let clone = Disk::new(behind.open("clone", None, OpenMode::ReadWrite).unwrap());
        for _ in 0..2 {
            assert_eq!(clone.read(0, 4096), [0; 4096]);
        }
        let stats = behind.cache.stats();
        assert!(stats.golden.bytes > 0 && (with_file || stats.golden.hits > 0), "{stats:?}");
    }
}
