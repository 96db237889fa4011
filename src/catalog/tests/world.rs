//! The world around a catalog, for tests: what lasts (rows, store) and what a crash takes away
//! (targets, open volumes), with a fault at any step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use crate::backend::memory::MemoryVolume;
use crate::backend::{
    ImageStat, ImageWriter, LuksFormat, OpenMode, Store, StoreError, StoreErrorKind, StoreKind,
};
use crate::block::{Buffer, Completion, CompletionQueue, Op, Request, Volume, VolumeInfo};
use crate::catalog::state::{ABSENT, Change, Row, State, StateError, Table, Write};
use crate::catalog::{Allowed, Export, ExportError, Exporter, Options, Stores, UploadOptions};

/// What goes wrong at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails and has done nothing.
    Refused,
    /// It is done, and said to have failed.
    Unsure,
    /// Nothing works from this step on.
    Outage,
    /// It is done, and nothing works after it.
    OutageAfter,
}

/// Counts the steps that a call takes outside, and lets one fail.
#[derive(Default)]
pub(crate) struct Faults {
    left: AtomicI64,
    fault: Mutex<Option<Fault>>,
    down: AtomicBool,
}

impl Faults {
    /// The step after `steps` others fails.
    pub(crate) fn arm(&self, steps: i64, fault: Fault) {
        self.left.store(steps, Ordering::SeqCst);
        *self.fault.lock() = Some(fault);
    }

    /// How many steps `call` takes.
    pub(crate) fn count<T>(&self, call: impl FnOnce() -> T) -> (T, i64) {
        const MANY: i64 = 1 << 40;
        self.arm(MANY, Fault::Refused);
        let result = call();
        *self.fault.lock() = None;
        (result, MANY - self.left.load(Ordering::SeqCst))
    }

    /// Everything works again; whether the fault had struck.
    pub(crate) fn disarm(&self) -> bool {
        *self.fault.lock() = None;
        self.down.store(false, Ordering::SeqCst);
        self.left.load(Ordering::SeqCst) < 0
    }

    pub(crate) fn step<T, E>(
        &self,
        effect: impl FnOnce() -> Result<T, E>,
        failure: impl Fn() -> E,
    ) -> Result<T, E> {
        if self.down.load(Ordering::SeqCst) {
            return Err(failure());
        }
        let Some(fault) = *self.fault.lock() else { return effect() };
        if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return effect();
        }
        if matches!(fault, Fault::Unsure | Fault::OutageAfter) {
            let _ = effect();
        }
        self.down.store(matches!(fault, Fault::Outage | Fault::OutageAfter), Ordering::SeqCst);
        Err(failure())
    }
}

/// An image in the fake store.
#[derive(Default)]
pub(crate) struct FakeImage {
    id: u64,
    pub(crate) size_bytes: u64,
    pub(crate) parent: Option<(String, String)>,
    pub(crate) luks: Option<LuksFormat>,
    pub(crate) snapshots: Vec<String>,
    /// The snapshot that it was rolled back to last.
    pub(crate) rolled_back: Option<String>,
    /// What was written, in that order.
    pub(crate) data: Vec<(u64, Vec<u8>)>,
    /// A removal broke off: what is left is not seen, but has its name.
    pub(crate) half_removed: bool,
    open: Option<Weak<FakeVolume>>,
}

impl FakeImage {
    /// A volume with what was written.
    fn contents(&self) -> Arc<dyn Volume> {
        let volume = MemoryVolume::new(self.size_bytes, false);
        let op = |(offset, bytes): &(u64, Vec<u8>)| Request {
            tag: 0,
            op: Op::Write { offset: *offset, buf: Buffer::from_slice(bytes), fua: false },
        };
        let mut requests: Vec<Request> = self.data.iter().map(op).collect();
        volume.submit(&mut requests, &mut Vec::new(), &Arc::new(CompletionQueue::new()));
        Arc::new(volume)
    }
}

/// A store that keeps its images in memory.
#[derive(Default)]
pub(crate) struct FakeStore {
    pub(crate) images: Arc<Mutex<Images>>,
    next: AtomicI64,
    faults: Arc<Faults>,
    /// It says that it is not well.
    pub(crate) ill: AtomicBool,
    /// It does not answer: clones and probes wait.
    pub(crate) stuck: AtomicBool,
    /// Probes so far.
    pub(crate) probes: AtomicI64,
    /// It cannot encrypt.
    pub(crate) keyless: AtomicBool,
    /// Its writers panic.
    pub(crate) panics: AtomicBool,
    /// It has no room for more data.
    pub(crate) full: Arc<AtomicBool>,
    /// How often a writer has zeroed something.
    pub(crate) zeroed: Arc<AtomicUsize>,
    /// The volume that was opened last.
    pub(crate) opened: Mutex<Weak<FakeVolume>>,
    /// The pool `other` of the same cluster.
    other: OnceLock<Arc<FakeStore>>,
}

/// A volume that can fail.
pub(crate) struct FakeVolume {
    inner: MemoryVolume,
    pub(crate) failed: AtomicBool,
}

impl Volume for FakeVolume {
    fn info(&self) -> VolumeInfo {
        self.inner.info()
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        self.inner.submit(requests, done, queue);
    }
}

fn io_error() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the store is on fire; extinguish it")
}

fn error(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, format!("{kind:?}"))
}

type Images = BTreeMap<String, FakeImage>;

impl FakeStore {
    /// The pool `other`.
    pub(crate) fn other(&self) -> &Arc<FakeStore> {
        let faults = Arc::clone(&self.faults);
        self.other.get_or_init(|| Arc::new(FakeStore { faults, ..FakeStore::default() }))
    }

    fn wait(&self) {
        while self.stuck.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn step<T>(
        &self,
        effect: impl FnOnce(&mut Images) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.faults.step(|| effect(&mut self.images.lock()), io_error)
    }

    fn add(&self, images: &mut Images, name: &str, image: FakeImage) -> Result<(), StoreError> {
        if images.contains_key(name) {
            return Err(error(StoreErrorKind::Exists));
        }
        let id = self.next.fetch_add(1, Ordering::SeqCst).cast_unsigned();
        images.insert(name.to_owned(), FakeImage { id, ..image });
        Ok(())
    }
}

fn find<'a>(images: &'a mut Images, name: &str) -> Result<&'a mut FakeImage, StoreError> {
    images.get_mut(name).ok_or_else(|| error(StoreErrorKind::NotFound))
}

impl Store for FakeStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Local
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        self.wait();
        if self.ill.load(Ordering::SeqCst) { Err(io_error()) } else { Ok(()) }
    }

    fn create(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        let new = FakeImage { size_bytes, ..FakeImage::default() };
        self.step(|images| self.add(images, image, new))
    }

    fn can_encrypt(&self) -> Result<(), StoreError> {
        if self.keyless.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Invalid, "there is no passphrase"));
        }
        Ok(())
    }

    fn create_encrypted(
        &self,
        image: &str,
        size_bytes: u64,
        format: LuksFormat,
    ) -> Result<(), StoreError> {
        self.wait();
        let luks = Some(format);
        let new = FakeImage { size_bytes, luks, ..FakeImage::default() };
        self.step(|images| self.add(images, image, new))
    }

    fn is_encrypted(&self, image: &str) -> Result<bool, StoreError> {
        self.step(|images| Ok(find(images, image)?.luks.is_some()))
    }

    fn writer(&self, image: &str) -> Result<Box<dyn ImageWriter>, StoreError> {
        self.step(|images| find(images, image).map(|_| ()))?;
        assert!(!self.panics.load(Ordering::SeqCst), "this test wants a panic");
        let (image, faults) = (image.to_owned(), Arc::clone(&self.faults));
        let images = Arc::clone(&self.images);
        let (full, zeroed) = (Arc::clone(&self.full), Arc::clone(&self.zeroed));
        Ok(Box::new(FakeWriter { image, data: Vec::new(), faults, full, zeroed, images }))
    }

    fn snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        self.wait();
        self.step(|images| {
            let image = find(images, image)?;
            if image.snapshots.iter().any(|name| name == snapshot) {
                return Err(error(StoreErrorKind::Exists));
            }
            image.snapshots.push(snapshot.to_owned());
            Ok(())
        })
    }

    fn remove_snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        self.step(|images| {
            let it = Some((image.to_owned(), snapshot.to_owned()));
            if images.values().any(|child| child.parent == it) {
                return Err(error(StoreErrorKind::HasChildren));
            }
            let image = find(images, image)?;
            let at = image.snapshots.iter().position(|name| name == snapshot);
            image.snapshots.remove(at.ok_or_else(|| error(StoreErrorKind::NotFound))?);
            Ok(())
        })
    }

    fn clone_image(&self, parent: &str, snapshot: &str, child: &str) -> Result<(), StoreError> {
        self.wait();
        self.step(|images| {
            let source = find(images, parent)?;
            if !source.snapshots.iter().any(|name| name == snapshot) {
                return Err(error(StoreErrorKind::NotFound));
            }
            let size_bytes = source.size_bytes;
            let parent = Some((parent.to_owned(), snapshot.to_owned()));
            self.add(images, child, FakeImage { size_bytes, parent, ..FakeImage::default() })
        })
    }

    fn remove(&self, image: &str) -> Result<(), StoreError> {
        self.step(|images| {
            let found = find(images, image)?;
            if !found.snapshots.is_empty() {
                return Err(error(StoreErrorKind::HasChildren));
            }
            if found.open.as_ref().is_some_and(|open| open.strong_count() > 0) {
                return Err(error(StoreErrorKind::InUse));
            }
            images.remove(image);
            Ok(())
        })
    }

    fn resize(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        self.step(|images| {
            let image = find(images, image)?;
            if size_bytes < image.size_bytes {
                return Err(error(StoreErrorKind::Invalid));
            }
            image.size_bytes = size_bytes;
            Ok(())
        })
    }

    fn rollback(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        self.step(|images| {
            let image = find(images, image)?;
            if !image.snapshots.iter().any(|name| name == snapshot) {
                return Err(error(StoreErrorKind::NotFound));
            }
            if image.open.as_ref().is_some_and(|open| open.strong_count() > 0) {
                return Err(error(StoreErrorKind::InUse));
            }
            image.rolled_back = Some(snapshot.to_owned());
            Ok(())
        })
    }

    fn flatten(
        &self,
        image: &str,
        progress: &(dyn Fn(u64, u64) -> bool + Sync),
    ) -> Result<(), StoreError> {
        self.step(|images| {
            let image = find(images, image)?;
            if !progress(image.size_bytes, image.size_bytes) {
                return Err(error(StoreErrorKind::Io));
            }
            image.parent = None;
            Ok(())
        })
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        self.step(|images| Ok(images.keys().cloned().collect()))
    }

    fn stat(&self, image: &str) -> Result<ImageStat, StoreError> {
        self.step(|images| {
            let image = find(images, image)?;
            if image.half_removed {
                return Err(error(StoreErrorKind::NotFound));
            }
            Ok(ImageStat {
                id: format!("id{}", image.id),
                size_bytes: image.size_bytes,
                used_bytes: None,
                parent: image.parent.clone(),
                snapshots: image.snapshots.clone(),
            })
        })
    }

    fn elsewhere(&self, place: &str) -> Result<Arc<dyn Store>, StoreError> {
        self.step(
            |_| if place == "other" { Ok(()) } else { Err(error(StoreErrorKind::NotFound)) },
        )?;
        Ok(Arc::clone(self.other()) as Arc<dyn Store>)
    }

    fn rename(&self, image: &str, name: &str) -> Result<(), StoreError> {
        self.step(|images| {
            if images.contains_key(name) {
                return Err(error(StoreErrorKind::Exists));
            }
            let found = images.remove(image).ok_or_else(|| error(StoreErrorKind::NotFound))?;
            images.insert(name.to_owned(), found);
            Ok(())
        })
    }

    fn in_use(&self, image: &str) -> Result<bool, StoreError> {
        self.step(|images| {
            let open = find(images, image)?.open.as_ref();
            Ok(open.is_some_and(|open| open.strong_count() > 0))
        })
    }

    fn keep(&self, _image: &str, _name: &str, _record: &[u8]) -> Result<(), StoreError> {
        Err(error(StoreErrorKind::Io))
    }

    fn kept(&self, _image: &str, _name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn open(
        &self,
        image: &str,
        snapshot: Option<&str>,
        mode: OpenMode,
    ) -> Result<Arc<dyn Volume>, StoreError> {
        if self.ill.load(Ordering::SeqCst) {
            return Err(io_error());
        }
        self.step(|images| {
            let image = find(images, image)?;
            if let Some(snapshot) = snapshot {
                if !image.snapshots.iter().any(|name| name == snapshot) {
                    return Err(error(StoreErrorKind::NotFound));
                }
                return Ok(image.contents());
            }
            if mode == OpenMode::ReadOnly {
                return Ok(image.contents());
            }
            if image.open.as_ref().is_some_and(|open| open.strong_count() > 0) {
                return Err(error(StoreErrorKind::InUse));
            }
            let read_only = mode == OpenMode::ReadOnly;
            let inner = MemoryVolume::new(image.size_bytes, read_only);
            let volume = Arc::new(FakeVolume { inner, failed: AtomicBool::new(false) });
            image.open = Some(Arc::downgrade(&volume));
            *self.opened.lock() = Arc::downgrade(&volume);
            Ok(volume as Arc<dyn Volume>)
        })
    }
}

struct FakeWriter {
    image: String,
    /// What is written since the last sync.
    data: Vec<(u64, Vec<u8>)>,
    faults: Arc<Faults>,
    full: Arc<AtomicBool>,
    zeroed: Arc<AtomicUsize>,
    images: Arc<Mutex<Images>>,
}

impl ImageWriter for FakeWriter {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::NoSpace, "the store is full"));
        }
        let faults = Arc::clone(&self.faults);
        faults.step(
            || {
                self.data.push((offset, bytes.to_vec()));
                Ok(())
            },
            io_error,
        )
    }

    fn zero_at(&mut self, offset: u64, len: u64) -> Result<(), StoreError> {
        self.zeroed.fetch_add(1, Ordering::SeqCst);
        let faults = Arc::clone(&self.faults);
        faults.step(
            || {
                let mut images = self.images.lock();
                for (at, bytes) in &mut find(&mut images, &self.image)?.data {
                    let inside = |i: usize| (offset..offset + len).contains(&(*at + i as u64));
                    (0..bytes.len()).filter(|&i| inside(i)).for_each(|i| bytes[i] = 0);
                }
                Ok(())
            },
            io_error,
        )
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let faults = Arc::clone(&self.faults);
        faults.step(
            || {
                find(&mut self.images.lock(), &self.image)?.data.append(&mut self.data);
                Ok(())
            },
            io_error,
        )
    }
}

/// What a writer that is not closed properly has written may be there, or not.
impl Drop for FakeWriter {
    fn drop(&mut self) {
        if let Some(image) = self.images.lock().get_mut(&self.image) {
            image.data.append(&mut self.data);
        }
    }
}

/// A state in memory.
#[derive(Default)]
pub(crate) struct MemoryState(Mutex<(u64, Rows)>);

type Rows = BTreeMap<(u8, String), Row>;

fn row_key(table: Table, key: &str) -> (u8, String) {
    (table as u8, key.to_owned())
}

impl State for MemoryState {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StateError> {
        Ok(self.0.lock().1.get(&row_key(table, key)).cloned())
    }

    fn list(&self, table: Table, prefix: &str) -> Result<Vec<(String, Row)>, StateError> {
        let rows = &self.0.lock().1;
        let of_prefix = rows.range(row_key(table, prefix)..);
        let of_prefix = of_prefix
            .take_while(|((other, key), _)| *other == table as u8 && key.starts_with(prefix));
        Ok(of_prefix.map(|((_, key), row)| (key.clone(), row.clone())).collect())
    }

    fn apply(&self, changes: &[Change]) -> Result<u64, StateError> {
        let (last, rows) = &mut *self.0.lock();
        for change in changes {
            let found = rows.get(&row_key(change.table, &change.key));
            if found.map_or(ABSENT, |row| row.revision) != change.expected {
                return Err(StateError::Conflict);
            }
        }
        *last += 1;
        for change in changes {
            let key = row_key(change.table, &change.key);
            match &change.write {
                Write::Keep => {}
                Write::Put(value) => {
                    rows.insert(key, Row { revision: *last, value: value.clone() });
                }
                Write::Delete => {
                    rows.remove(&key);
                }
            }
        }
        Ok(*last)
    }
}

/// A state that fails when told to.
struct FaultyState {
    inner: Arc<MemoryState>,
    faults: Arc<Faults>,
}

impl FaultyState {
    fn step<T>(&self, effect: impl FnOnce() -> Result<T, StateError>) -> Result<T, StateError> {
        self.faults.step(effect, || StateError::Failed("the disk is on fire".to_owned()))
    }
}

impl State for FaultyState {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StateError> {
        self.step(|| self.inner.get(table, key))
    }

    fn list(&self, table: Table, prefix: &str) -> Result<Vec<(String, Row)>, StateError> {
        self.step(|| self.inner.list(table, prefix))
    }

    fn apply(&self, changes: &[Change]) -> Result<u64, StateError> {
        self.step(|| self.inner.apply(changes))
    }
}

/// An exporter that keeps what is exported.
#[derive(Default)]
pub(crate) struct FakeExporter {
    pub(crate) targets: Mutex<BTreeMap<String, Export>>,
    /// Who was admitted to a target when its sessions were ended.
    pub(crate) disconnected: Mutex<Vec<(String, Allowed)>>,
    /// How often sessions were ended while others could log in.
    pub(crate) open_when_disconnected: AtomicUsize,
    /// It refuses to publish.
    pub(crate) ill: AtomicBool,
    /// Sessions of every target.
    pub(crate) sessions: AtomicUsize,
    faults: Arc<Faults>,
}

impl FakeExporter {
    fn step(&self, effect: impl FnOnce()) -> Result<(), ExportError> {
        let effect = || {
            effect();
            Ok(())
        };
        self.faults.step(effect, || ExportError("the target is on fire".to_owned()))
    }
}

impl Exporter for FakeExporter {
    fn publish(&self, export: Export) -> Result<(), ExportError> {
        if self.ill.load(Ordering::SeqCst) {
            return Err(ExportError("the target is ill".to_owned()));
        }
        self.step(|| drop(self.targets.lock().insert(export.target.clone(), export)))
    }

    fn withdraw(&self, target: &str) -> Result<(), ExportError> {
        self.step(|| drop(self.targets.lock().remove(target)))
    }

    fn sessions(&self, _target: &str) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }

    fn disconnect(&self, target: &str) -> Result<(), ExportError> {
        self.step(|| {
            let export = self.targets.lock().get(target).cloned();
            let is_open = export.as_ref().is_some_and(|it| !it.paused && it.volume.is_some());
            self.open_when_disconnected.fetch_add(usize::from(is_open), Ordering::SeqCst);
            let allowed = export.map_or(Allowed::Nobody, |export| export.allowed);
            self.disconnected.lock().push((target.to_owned(), allowed));
        })
    }
}

/// Everything around a catalog.
pub(crate) struct World {
    pub(crate) faults: Arc<Faults>,
    pub(crate) rows: Arc<MemoryState>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) exporter: Arc<FakeExporter>,
    pub(crate) uploads: Arc<Uploads>,
}

/// Where uploads are staged: there as soon as one is, gone with the world.
pub(crate) struct Uploads(pub(crate) PathBuf);

impl Drop for Uploads {
    fn drop(&mut self) {
        let _never_made = std::fs::remove_dir_all(&self.0);
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let faults = Arc::<Faults>::default();
        let store = Arc::new(FakeStore { faults: Arc::clone(&faults), ..FakeStore::default() });
        let rows = Arc::default();
        let exporter = Arc::new(FakeExporter { faults: Arc::clone(&faults), ..Default::default() });
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("stirrup-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let uploads = Arc::new(Uploads(std::env::temp_dir().join(name)));
        Self { faults, rows, store, exporter, uploads }
    }

    pub(crate) fn options(&self) -> Options {
        let directory = Some(self.uploads.0.clone());
        let uploads = UploadOptions { directory, ..UploadOptions::default() };
        Options { uploads, ..Options::default() }
    }

    /// The rows, behind the faults.
    pub(crate) fn state(&self) -> Arc<dyn State> {
        Arc::new(FaultyState { inner: Arc::clone(&self.rows), faults: Arc::clone(&self.faults) })
    }

    pub(crate) fn stores(&self) -> Stores {
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        [("local".to_owned(), store)].into()
    }

    /// What a crash leaves: rows and store. Targets are gone, volumes closed.
    pub(crate) fn crash(&self) {
        self.faults.disarm();
        self.exporter.targets.lock().clear();
        for image in self.store.images.lock().values_mut() {
            image.open = None;
        }
    }
}

/// A state that counts the rows that it gives and takes.
pub(crate) struct Counting {
    inner: Arc<dyn State>,
    rows: AtomicUsize,
}

impl Counting {
    pub(crate) fn new(inner: Arc<dyn State>) -> Self {
        Self { inner, rows: AtomicUsize::new(0) }
    }

    /// So far.
    pub(crate) fn rows(&self) -> usize {
        self.rows.load(Ordering::SeqCst)
    }
}

impl State for Counting {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StateError> {
        self.rows.fetch_add(1, Ordering::SeqCst);
        self.inner.get(table, key)
    }

    fn list(&self, table: Table, prefix: &str) -> Result<Vec<(String, Row)>, StateError> {
        let found = self.inner.list(table, prefix)?;
        self.rows.fetch_add(found.len(), Ordering::SeqCst);
        Ok(found)
    }

    fn apply(&self, changes: &[Change]) -> Result<u64, StateError> {
        self.rows.fetch_add(changes.len(), Ordering::SeqCst);
        self.inner.apply(changes)
    }
}
