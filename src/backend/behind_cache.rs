//! The cache in front of any store, for tests: what a clone has of its own is found by comparing it
//! with its parent.

use std::ops::Range;
use std::sync::Arc;

use super::conformance::{self, Disk};
use super::local::{LocalStore, Options};
use super::pool::Pool;
use super::{ImageStat, ImageWriter, OpenMode, Store, StoreError, StoreKind};
use crate::block::Volume;
use crate::cache::{self, Cache, EXTENT_BYTES, Mine, Origin, Parent, Snapshot};

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

impl Behind {
    /// What an image or snapshot is a clone of, how much of it that covers, and its differences.
    fn above(
        &self,
        image: &str,
        volume: &Arc<dyn Volume>,
    ) -> Result<Option<(Arc<Parent>, u64, Vec<Range<u64>>)>, StoreError> {
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
        Ok(Arc::new(self.cache.wrap(volume, origin, Mine)))
    }
}

#[test]
fn a_store_behind_the_cache_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::start(4).unwrap();
    // Room for a whole image of the suite, or for little of it.
    for (golden_bytes, with_file) in [(12 << 20, false), (2 << 20, true)] {
        let bounds = cache::Options { golden_bytes, disk_bytes: 2 << 20 };
        let dir = dir.path().join(with_file.to_string());
        std::fs::create_dir(&dir).unwrap();
        let threads = Arc::clone(&pool) as _;
        let cache = match with_file {
            false => Cache::new(bounds),
            true => Cache::with_file(bounds, &dir, 64 << 20, threads).unwrap(),
        };
        let store = LocalStore::open(&dir.join("store"), Options { write_cache: false }, &pool);
        let behind = Behind { store: store.unwrap(), cache };
        conformance::run(&behind);
        let stats = behind.cache.stats();
        assert!(stats.golden.bytes > 0 && (with_file || stats.golden.hits > 0), "{stats:?}");
    }
}
