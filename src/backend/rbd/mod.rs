//! Ceph RBD as a store.
//!
//! A store has one connection or several, over which images are spread; these are cloned with format 2 (nothing to protect), and opened for
//! writing with RBD's exclusive lock held for good. `docs/rbd.md` tells the rules of ownership.
//!
//! But for [`Store::probe`] and connecting, calls wait for the cluster as long as it takes: an
//! operation that was given up half-way would have happened or not, nobody knew.

mod cached;
mod encryption;
mod extents;
mod first_write;
mod moment;
mod owner;
mod parents;
mod prefetch;
mod state;
mod volume;
mod writer;

#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;

pub use self::encryption::{Encryption, Passphrase};
use self::moment::Moment;
pub use self::parents::OpenParent;
pub use self::prefetch::Prefetch;
use self::volume::RbdVolume;
use self::writer::RbdWriter;
use super::on_demand::OnDemand;
use super::{
    BootProfile, ImageStat, ImageWriter, OpenMode, RECORD_BYTES_MAX, Seen, Store, StoreError,
    StoreErrorKind, StoreKind, check_growth, check_name, check_record,
};
use crate::block::{self, ErrorKind, Volume, VolumeInfo};
use crate::cache::Cache;
use crate::cache::profile::RECORD_NAME;
use crate::rbd::{self, Access, Cluster, Image, LuksFormat, Pool};

/// How long connecting and [`Store::probe`] wait, if nobody says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

/// Largest image: beyond this RBD's own object numbers overflow.
const SIZE_BYTES_MAX: u64 = 1 << 60;

/// Which pool of which cluster, and how to get there.
#[derive(Debug, Clone)]
pub struct Options {
    /// The pool; it must be there (`rbd pool init`).
    pub pool: String,
    /// The namespace in the pool; empty: the default one.
    pub namespace: String,
    /// Path of ceph.conf; `None`: where Ceph looks (`$CEPH_CONF`, `/etc/ceph/ceph.conf`).
    pub conf: Option<PathBuf>,
    /// Ceph user, without `client.`. `profile rbd` is all it needs.
    pub user: String,
    /// Limit for connecting and for [`Store::probe`].
    pub timeout: Duration,
    /// Clients of the cluster that the images are spread over, by name; at least 1. Each has
    /// threads and connections of its own (`docs/rbd.md` has what it costs).
    pub clients: usize,
    /// How new images are encrypted, and what opens those that are.
    pub encryption: Encryption,
}

impl Options {
    /// The pool `pool` as Ceph's own tools would reach it.
    #[must_use]
    pub fn new(pool: impl Into<String>) -> Self {
        Self {
            pool: pool.into(),
            namespace: String::new(),
            conf: None,
            user: "admin".into(),
            timeout: TIMEOUT_DEFAULT,
            clients: 1,
            encryption: Encryption::default(),
        }
    }

    /// The pool, as each client reaches it.
    fn connect_all(&self) -> Result<Vec<Arc<Pool>>, rbd::Error> {
        (0..self.clients.max(1)).map(|_| self.connect()).collect()
    }

    fn connect(&self) -> Result<Arc<Pool>, rbd::Error> {
        let begun = Instant::now();
        let cluster = Cluster::connect(self.conf.as_deref(), &self.user, self.timeout)?;
        let left = self.timeout.saturating_sub(begun.elapsed());
        Pool::open(&cluster, &self.pool, &self.namespace, left)
    }
}

/// Whatever it was, there is no store.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: rbd::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, error.to_string())
}

/// A pool (or a namespace of one) as a store.
pub struct RbdStore {
    options: Options,
    /// What disks that are open for writing are behind.
    cache: Option<Arc<Cache>>,
    /// What is fetched into it before it is asked for.
    prefetch: Option<Arc<Prefetch>>,
    links: Vec<Mutex<Link>>,
}

/// A connection to the cluster.
struct Link {
    pool: Option<Arc<Pool>>,
    /// Somebody is about to replace `pool`.
    connecting: bool,
}

/// The end of an attempt to connect, however it ends.
struct Connecting<'a>(&'a Mutex<Link>);

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.lock().connecting = false;
    }
}

impl RbdStore {
    /// Connects to the cluster.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`], with what to do, when Ceph's libraries are missing, no
    /// monitor answers within the limit, or the pool or namespace is not there.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let pools = options.connect_all().map_err(unavailable)?;
        Ok(Self::new(options, pools))
    }

    /// As [`Self::open`], but a cluster that does not answer within the limit (it may be starting,
    /// too) is no failure: a warning says so, and each use of the store tries again.
    ///
    /// # Errors
    /// As [`Self::open`], but for the time-out.
    pub fn open_patiently(options: Options) -> Result<Self, StoreError> {
        let pools = match options.connect_all() {
            Err(error) if error.errno() == Errno::TIMEDOUT => {
                tracing::warn!(%error, "store rbd: Ceph does not answer; going on without it");
                Vec::new()
            }
            result => result.map_err(unavailable)?,
        };
        Ok(Self::new(options, pools))
    }

    fn new(options: Options, pools: Vec<Arc<Pool>>) -> Self {
        let mut pools = pools.into_iter();
        let link = || Mutex::new(Link { pool: pools.next(), connecting: false });
        let links = std::iter::repeat_with(link).take(options.clients.max(1)).collect();
        Self { links, options, cache: None, prefetch: None }
    }

    /// The same with a cache in front of disks that are opened for writing. What is opened to be
    /// read only is not cached: others may write to it.
    #[must_use]
    pub fn with_cache(self, cache: Arc<Cache>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// The same, and disks behind the cache have data fetched into it ahead.
    #[must_use]
    pub fn with_prefetch(self, prefetch: Arc<Prefetch>) -> Self {
        Self { prefetch: Some(prefetch), ..self }
    }

    /// The pool, for what is about no single image.
    fn pool(&self) -> Result<Arc<Pool>, StoreError> {
        self.linked(&self.links[0])
    }

    /// The pool as the client reaches it that all is done through which is about that image.
    fn pool_of(&self, image: &str) -> Result<Arc<Pool>, StoreError> {
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        let number = hasher.finish() % self.links.len() as u64;
        self.linked(&self.links[number as usize])
    }

    /// The pool by a connection. A client on the blocklist stays there: it is replaced by a new one, so that what
    /// is opened from now on works again. One caller connects; the others do not wait for it.
    fn linked(&self, held: &Mutex<Link>) -> Result<Arc<Pool>, StoreError> {
        let mut link = held.lock();
        if let Some(pool) = link.pool.as_ref().filter(|pool| !pool.cluster().is_blocklisted()) {
            return Ok(Arc::clone(pool));
        }
        if std::mem::replace(&mut link.connecting, true) {
            let message =
                format!("pool {}: connecting to the cluster, try again", self.options.pool);
            return Err(StoreError::new(StoreErrorKind::Unavailable, message));
        }
        drop(link);
        let _until_then = Connecting(held);
        let pool = self.options.connect().map_err(unavailable)?;
        let _old = held.lock().pool.replace(Arc::clone(&pool));
        Ok(pool)
    }

    fn open_writable(&self, image: &str) -> Result<Arc<Image>, StoreError> {
        open_writable(&self.pool_of(image)?, image, &self.options.encryption, LockAt::Open)
    }
}

impl Store for RbdStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Rbd
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.pool()?.probe(self.options.timeout).map_err(unavailable)
    }

    fn create(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        check_name(image)?;
        check_size(image, size_bytes)?;
        self.options.encryption.create(&self.pool_of(image)?, image, size_bytes)
    }

    fn can_encrypt(&self) -> Result<(), StoreError> {
        self.options.encryption.passphrase().map(drop)
    }

    fn create_encrypted(
        &self,
        image: &str,
        size_bytes: u64,
        format: LuksFormat,
    ) -> Result<(), StoreError> {
        check_name(image)?;
        check_size(image, size_bytes)?;
        self.options.encryption.create_own(&self.pool_of(image)?, image, size_bytes, format)
    }

    fn is_encrypted(&self, image: &str) -> Result<bool, StoreError> {
        check_name(image)?;
        let open = Image::open(&self.pool_of(image)?, image, None, Access::ReadOnly)?;
        encryption::is_encrypted(&open)
    }

    fn writer(&self, image: &str) -> Result<Box<dyn ImageWriter>, StoreError> {
        check_name(image)?;
        Ok(Box::new(RbdWriter::new(self.open_writable(image)?)))
    }

    fn snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        check_name(image)?;
        check_name(snapshot)?;
        let pool = self.pool_of(image)?;
        pool.wait_closed(image);
        owner::evict_if_dead(&pool, image)?;
        // A live owner makes the snapshot for us.
        Ok(Moment::open(&pool, image)?.snapshot(snapshot)?)
    }

    fn remove_snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        check_name(image)?;
        check_name(snapshot)?;
        let pool = self.pool_of(image)?;
        pool.wait_closed(image);
        let children = Image::open(&pool, image, Some(snapshot), Access::ReadOnly)?.children()?;
        if children > 0 {
            let message = format!("{image}@{snapshot} has {children} clones");
            return Err(StoreError::new(StoreErrorKind::HasChildren, message));
        }
        owner::evict_if_dead(&pool, image)?;
        // A clone made at this very moment keeps the data: RBD removes the name only.
        Ok(Moment::open(&pool, image)?.remove_snapshot(snapshot)?)
    }

    fn clone_image(&self, parent: &str, snapshot: &str, child: &str) -> Result<(), StoreError> {
        check_name(parent)?;
        check_name(snapshot)?;
        check_name(child)?;
        let pool = self.pool_of(child)?;
        pool.clone_image(parent, snapshot, child)?;
        self.options.encryption.settle(&pool, child)
    }

    fn remove(&self, image: &str) -> Result<(), StoreError> {
        check_name(image)?;
        let pool = self.pool_of(image)?;
        pool.wait_closed(image);
        // Not there, or only in the trash: what a removal that was cut short has left is finished
        // by another.
        let gone = |error: &rbd::Error| error.errno() == Errno::NOENT;
        let id = match owner::evict_if_dead(&pool, image).and_then(|()| id_of(&pool, image)) {
            Err(error) if gone(&error) => None,
            result => Some(result?),
        };
        match (pool.remove(image), &id) {
            // What is watched here because it was behind an open disk is in nobody's use.
            (Err(error), Some(id)) if error.errno() == Errno::BUSY && pool.wait_unwatched(id) => {
                pool.remove(image)?;
            }
            (result, _) => result?,
        }
        if let Some(id) = id {
            pool.remove_object(&records_of(&id))?;
        }
        Ok(())
    }

    fn resize(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        check_name(image)?;
        check_size(image, size_bytes)?;
        let pool = self.pool_of(image)?;
        pool.wait_closed(image);
        owner::evict_if_dead(&pool, image)?;
        // A live owner does it for us.
        let open = Moment::open(&pool, image)?;
        let old = encryption::data_bytes(&open)?;
        check_growth(image, old, size_bytes)?;
        if size_bytes == old {
            return Ok(());
        }
        Ok(open.resize(size_bytes + (open.size_bytes() - old))?)
    }

    fn rollback(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        check_name(image)?;
        check_name(snapshot)?;
        Ok(self.open_writable(image)?.rollback(snapshot)?)
    }

    fn flatten(
        &self,
        image: &str,
        progress: &(dyn Fn(u64, u64) -> bool + Sync),
    ) -> Result<(), StoreError> {
        check_name(image)?;
        let pool = self.pool_of(image)?;
        pool.wait_closed(image);
        owner::evict_if_dead(&pool, image)?;
        let open = Moment::of(Image::open_watched(&pool, image, None, Access::ReadWrite)?);
        let stat = open.stat()?;
        if !stat.snapshots.is_empty() {
            let message =
                format!("{image} has {} snapshots; remove these first", stat.snapshots.len());
            return Err(StoreError::new(StoreErrorKind::HasChildren, message));
        }
        if stat.parent.is_none() {
            return Ok(());
        }
        // A live owner does it for us, and cannot be asked to stop.
        let _goes_on = progress(0, stat.size_bytes);
        open.flatten()?;
        let _done = progress(stat.size_bytes, stat.size_bytes);
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        let mut names = self.pool()?.list()?;
        names.sort_unstable();
        Ok(names)
    }

    fn stat(&self, image: &str) -> Result<ImageStat, StoreError> {
        check_name(image)?;
        let pool = self.pool_of(image)?;
        let open = Image::open(&pool, image, None, Access::ReadOnly)?;
        let (stat, size_bytes) = (open.stat()?, encryption::data_bytes(&open)?);
        Ok(ImageStat {
            id: identity(&pool, &stat.id),
            size_bytes,
            used_bytes: stat.used_bytes,
            parent: stat.parent,
            snapshots: stat.snapshots,
        })
    }

    fn keep(&self, image: &str, name: &str, record: &[u8]) -> Result<(), StoreError> {
        check_name(image)?;
        check_record(name, record)?;
        let pool = self.pool_of(image)?;
        let id = id_of(&pool, image)?;
        Ok(pool.set_attribute(&records_of(&id), name, record)?)
    }

    fn kept(&self, image: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        check_name(image)?;
        check_name(name)?;
        let pool = self.pool_of(image)?;
        let id = id_of(&pool, image)?;
        Ok(pool.attribute(&records_of(&id), name, RECORD_BYTES_MAX)?)
    }

    fn elsewhere(&self, place: &str) -> Result<Arc<dyn Store>, StoreError> {
        let (pool, namespace) = place.split_once('/').unwrap_or((place, ""));
        if pool.is_empty() || namespace.contains('/') || place.ends_with('/') {
            let message = format!("{place:?} is no place for images: POOL or POOL/NAMESPACE is");
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        let options = Options {
            pool: pool.into(),
            namespace: namespace.into(),
            clients: 1,
            // What others made is read by the same passphrase; what is made for them, they can read.
            encryption: Encryption { format: None, ..self.options.encryption.clone() },
            ..self.options.clone()
        };
        let cluster = Arc::clone(self.pool()?.cluster());
        let pool = Pool::open(&cluster, pool, namespace, options.timeout)?;
        Ok(Arc::new(Self::new(options, vec![pool])))
    }

    fn rename(&self, image: &str, name: &str) -> Result<(), StoreError> {
        check_name(image)?;
        check_name(name)?;
        let pool = self.pool_of(image)?;
        pool.wait_closed(image);
        Ok(pool.rename(image, name)?)
    }

    fn in_use(&self, image: &str) -> Result<bool, StoreError> {
        check_name(image)?;
        let pool = self.pool_of(image)?;
        pool.wait_closed(image);
        Ok(!Image::open(&pool, image, None, Access::ReadOnly)?.watchers()?.is_empty())
    }

    fn look(&self, image: &str) -> Result<Seen, StoreError> {
        check_name(image)?;
        let pool = self.pool_of(image)?;
        let open = Image::open(&pool, image, None, Access::ReadOnly)?;
        let (size_bytes, id) = (encryption::data_bytes(&open)?, identity(&pool, &open.id()?));
        let seen = RbdVolume::of_image(open)?;
        let info = VolumeInfo { size_bytes, read_only: false, ..seen.info() };
        Ok(Seen { id, info, saved: seen.saved_state() })
    }

    /// M2 made its disks without an exclusive lock, for an iSCSI target that wanted none.
    fn adopt(&self, image: &str) -> Result<(), StoreError> {
        check_name(image)?;
        let pool = self.pool_of(image)?;
        pool.wait_closed(image);
        // Not a watcher itself.
        let seen = Image::open(&pool, image, None, Access::ReadOnly)?;
        if seen.has_exclusive_lock() {
            return Ok(());
        }
        if let Some(other) = seen.watchers()?.first() {
            let message = format!(
                "{} is open on {other}, without an exclusive lock; stop that one first",
                seen.label()
            );
            return Err(StoreError::new(StoreErrorKind::InUse, message));
        }
        drop(seen);
        pool.wait_closed(image);
        let open = Image::open(&pool, image, None, Access::ReadWrite)?;
        open.enable_exclusive_lock()?;
        tracing::info!(image = open.label(), "given an exclusive lock, to be served");
        Ok(())
    }

    fn release(&self, image: &str) -> Result<(), StoreError> {
        check_name(image)?;
        self.pool_of(image)?.wait_closed(image);
        Ok(())
    }

    fn boot_profile(&self, image: &str) -> Result<BootProfile, StoreError> {
        prefetch::boot_profile(self.kept(image, RECORD_NAME)?.as_deref())
    }

    fn forget_boot_profile(&self, image: &str) -> Result<(), StoreError> {
        self.keep(image, RECORD_NAME, &[])?;
        let pool = self.pool_of(image)?;
        let id = id_of(&pool, image)?;
        self.prefetch.iter().for_each(|prefetch| prefetch.forget(&pool, &id));
        Ok(())
    }

    fn open(
        &self,
        image: &str,
        snapshot: Option<&str>,
        mode: OpenMode,
    ) -> Result<Arc<dyn Volume>, StoreError> {
        check_name(image)?;
        snapshot.map_or(Ok(()), check_name)?;
        match (snapshot, mode) {
            (Some(snapshot), OpenMode::ReadWrite) => {
                let message = format!("{image}@{snapshot} is a snapshot: it can only be read");
                Err(StoreError::new(StoreErrorKind::Invalid, message))
            }
            (None, OpenMode::ReadWrite) => {
                let lock_at = LockAt::of(self.cache.as_ref());
                let encryption = &self.options.encryption;
                let image = open_writable(&self.pool_of(image)?, image, encryption, lock_at)?;
                writable_volume(&image, self.cache.as_ref(), self.prefetch.as_deref())
            }
            (snapshot, OpenMode::ReadOnly) => {
                let pool = self.pool_of(image)?;
                let image = Image::open_watched(&pool, image, snapshot, Access::ReadOnly)?;
                self.options.encryption.unlock(&image)?;
                Ok(match snapshot {
                    Some(_) => Arc::new(RbdVolume::of_snapshot(image)),
                    None => Arc::new(RbdVolume::of_image(image)?),
                })
            }
        }
    }
}

/// The volume of an image that is open for writing.
fn writable_volume(
    image: &Arc<Image>,
    cache: Option<&Arc<Cache>>,
    prefetch: Option<&Prefetch>,
) -> Result<Arc<dyn Volume>, StoreError> {
    let volume = RbdVolume::of_image(Arc::clone(image))?;
    let Some(cache) = cache else { return Ok(Arc::new(volume)) };
    let volume = cached::wrap(cache, image, volume);
    if let Some(prefetch) = prefetch {
        prefetch.attach(image, &volume);
    }
    Ok(Arc::new(volume))
}

/// librbd's identifier of an image: no other will ever have it.
fn id_of(pool: &Arc<Pool>, image: &str) -> Result<String, rbd::Error> {
    Image::open(pool, image, None, Access::ReadOnly)?.id()
}

/// What is an image's alone, whatever it is called.
fn identity(pool: &Pool, id: &str) -> String {
    format!("{}/{}/{id}", pool.cluster().fsid(), pool.id())
}

/// The object whose attributes are the records kept with an image. Not the image's metadata:
/// librbd copies these into every clone.
fn records_of(id: &str) -> String {
    format!("stirrup_records.{id}")
}

/// A panic is an error as any other: somebody waits to be told. (Where and why is said by the panic.)
fn contained<T>(work: impl FnOnce() -> Result<T, block::Error>) -> Result<T, block::Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_panic| {
        Err(block::Error::new(ErrorKind::Medium, "a defect in this program"))
    })
}

fn check_size(image: &str, size_bytes: u64) -> Result<(), StoreError> {
    if (1..=SIZE_BYTES_MAX).contains(&size_bytes) {
        return Ok(());
    }
    let message = format!("{image}: a size of {size_bytes} bytes");
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}

/// Opens one image, for serving it without a catalog. `spec` is `POOL[/NAMESPACE]/IMAGE`. What is
/// read only is not cached.
///
/// # Errors
/// [`StoreErrorKind::Invalid`] for a bad `spec`; otherwise as [`RbdStore::open`] and
/// [`Store::open`].
pub fn open_image(
    spec: &str,
    conf: Option<&Path>,
    user: &str,
    read_only: bool,
    cache: Option<&Arc<Cache>>,
) -> Result<Arc<dyn Volume>, StoreError> {
    let (pool, namespace, image) = parse_spec(spec)?;
    let options = Options {
        namespace: namespace.into(),
        conf: conf.map(Path::to_owned),
        user: user.into(),
        ..Options::new(pool)
    };
    let pool = options.connect().map_err(unavailable)?;
    if read_only {
        let image = Image::open_watched(&pool, image, None, Access::ReadOnly)?;
        options.encryption.unlock(&image)?;
        return Ok(Arc::new(RbdVolume::of_image(image)?));
    }
    let store = RbdStore::new(options, vec![pool]);
    let store = Arc::new(RbdStore { cache: cache.cloned(), ..store });
    // What is wrong with it is told at once; and it is opened anew when that puts it right.
    drop(store.open(image, None, OpenMode::ReadWrite)?);
    OnDemand::new(store, None).open(image, None, OpenMode::ReadWrite)
}

/// When the exclusive lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LockAt {
    Open,
    FirstWrite,
}

impl LockAt {
    /// What is answered from memory must be nobody else's to write.
    fn of(cache: Option<&Arc<Cache>>) -> Self {
        if cache.is_some() { Self::Open } else { Self::FirstWrite }
    }
}

fn open_writable(
    pool: &Arc<Pool>,
    image: &str,
    encryption: &Encryption,
    lock_at: LockAt,
) -> Result<Arc<Image>, StoreError> {
    pool.wait_closed(image);
    let image = Image::open_watched(pool, image, None, Access::ReadWrite)?;
    let opened = owner::begin(&image)
        .and_then(|()| claim(&image, lock_at))
        .and_then(|()| volume::check_options(&image))
        .and_then(|()| encryption.unlock_writable(&image));
    match opened {
        Ok(()) => Ok(image),
        Err(error) => {
            drop(Moment::of(image));
            Err(error)
        }
    }
}

/// Opening an encrypted image may write to it.
fn claim(image: &Arc<Image>, lock_at: LockAt) -> Result<(), StoreError> {
    if lock_at == LockAt::Open || encryption::is_encrypted(image)? {
        return owner::claim(image);
    }
    // In this order: who takes the lock after that leaves another note.
    let note = image.metadata(owner::KEY)?;
    owner::check(image)?;
    image.await_lock(owner::KEY, note);
    Ok(())
}

fn parse_spec(spec: &str) -> Result<(&str, &str, &str), StoreError> {
    let parts: Vec<&str> = spec.split('/').collect();
    match parts[..] {
        _ if parts.iter().any(|part| part.is_empty()) => {}
        [pool, image] => return Ok((pool, "", image)),
        [pool, namespace, image] => return Ok((pool, namespace, image)),
        _ => {}
    }
    let message =
        format!("{spec:?} is no image of Ceph: expected POOL/IMAGE or POOL/NAMESPACE/IMAGE");
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}

/// What librbd's error numbers mean for a store operation; the rest is [`StoreErrorKind::Io`].
const KINDS: [(Errno, StoreErrorKind); 16] = [
    (Errno::NOENT, StoreErrorKind::NotFound),
    (Errno::EXIST, StoreErrorKind::Exists),
    (Errno::NOTEMPTY, StoreErrorKind::HasChildren),
    (Errno::BUSY, StoreErrorKind::InUse),
    (Errno::ROFS, StoreErrorKind::InUse),
    (Errno::INVAL, StoreErrorKind::Invalid),
    (Errno::NOSPC, StoreErrorKind::NoSpace),
    (Errno::DQUOT, StoreErrorKind::NoSpace),
    (Errno::LIBACC, StoreErrorKind::Unavailable),
    (Errno::TIMEDOUT, StoreErrorKind::Unavailable),
    (Errno::SHUTDOWN, StoreErrorKind::Unavailable),
    (Errno::NOTCONN, StoreErrorKind::Unavailable),
    (Errno::PERM, StoreErrorKind::Unavailable),
    (Errno::ACCESS, StoreErrorKind::Unavailable),
    (Errno::BADMSG, StoreErrorKind::Corrupt),
    (Errno::IO, StoreErrorKind::Io),
];

impl From<rbd::Error> for StoreError {
    fn from(error: rbd::Error) -> Self {
        let found = KINDS.iter().find(|(errno, _)| *errno == error.errno());
        Self::new(found.map_or(StoreErrorKind::Io, |(_, kind)| *kind), error.to_string())
    }
}
