//! Ceph RBD as a store.
//!
//! One connection per store; images are cloned with format 2 (nothing to protect), and opened for
//! writing with RBD's exclusive lock held for good. `docs/rbd.md` tells the rules of ownership.
//!
//! But for [`Store::probe`] and connecting, calls wait for the cluster as long as it takes: an
//! operation that was given up half-way would have happened or not, nobody knew.

mod extents;
mod owner;
mod state;
mod volume;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;

use self::volume::RbdVolume;
use self::writer::RbdWriter;
use super::{
    ImageStat, ImageWriter, OpenMode, Store, StoreError, StoreErrorKind, StoreKind, check_growth,
    check_name,
};
use crate::block::Volume;
use crate::rbd::{self, Access, Cluster, Image, Pool};

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
        }
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
    link: Mutex<Link>,
}

/// The connection to the cluster.
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
        let pool = options.connect().map_err(unavailable)?;
        Ok(Self::new(options, Some(pool)))
    }

    /// As [`Self::open`], but a cluster that does not answer within the limit (it may be starting,
    /// too) is no failure: a warning says so, and each use of the store tries again.
    ///
    /// # Errors
    /// As [`Self::open`], but for the time-out.
    pub fn open_patiently(options: Options) -> Result<Self, StoreError> {
        let pool = match options.connect() {
            Err(error) if error.errno() == Errno::TIMEDOUT => {
                tracing::warn!(%error, "store rbd: Ceph does not answer; going on without it");
                None
            }
            result => Some(result.map_err(unavailable)?),
        };
        Ok(Self::new(options, pool))
    }

    fn new(options: Options, pool: Option<Arc<Pool>>) -> Self {
        Self { options, link: Mutex::new(Link { pool, connecting: false }) }
    }

    /// The pool. A client on the blocklist stays there: it is replaced by a new one, so that what
    /// is opened from now on works again. One caller connects; the others do not wait for it.
    fn pool(&self) -> Result<Arc<Pool>, StoreError> {
        let mut link = self.link.lock();
        if let Some(pool) = link.pool.as_ref().filter(|pool| !pool.cluster().is_blocklisted()) {
            return Ok(Arc::clone(pool));
        }
        if std::mem::replace(&mut link.connecting, true) {
            let message =
                format!("pool {}: connecting to the cluster, try again", self.options.pool);
            return Err(StoreError::new(StoreErrorKind::Unavailable, message));
        }
        drop(link);
        let _until_then = Connecting(&self.link);
        let pool = self.options.connect().map_err(unavailable)?;
        let _old = self.link.lock().pool.replace(Arc::clone(&pool));
        Ok(pool)
    }

    fn open_writable(&self, image: &str) -> Result<Arc<Image>, StoreError> {
        open_writable(&self.pool()?, image)
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
        Ok(self.pool()?.create(image, size_bytes)?)
    }

    fn writer(&self, image: &str) -> Result<Box<dyn ImageWriter>, StoreError> {
        check_name(image)?;
        Ok(Box::new(RbdWriter::new(self.open_writable(image)?)))
    }

    fn snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        check_name(image)?;
        check_name(snapshot)?;
        let pool = self.pool()?;
        pool.wait_closed(image);
        owner::evict_if_dead(&pool, image)?;
        // A live owner makes the snapshot for us.
        Ok(Image::open(&pool, image, None, Access::ReadWrite)?.snapshot(snapshot)?)
    }

    fn remove_snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        check_name(image)?;
        check_name(snapshot)?;
        let pool = self.pool()?;
        pool.wait_closed(image);
        let children = Image::open(&pool, image, Some(snapshot), Access::ReadOnly)?.children()?;
        if children > 0 {
            let message = format!("{image}@{snapshot} has {children} clones");
            return Err(StoreError::new(StoreErrorKind::HasChildren, message));
        }
        owner::evict_if_dead(&pool, image)?;
        // A clone made at this very moment keeps the data: RBD removes the name only.
        Ok(Image::open(&pool, image, None, Access::ReadWrite)?.remove_snapshot(snapshot)?)
    }

    fn clone_image(&self, parent: &str, snapshot: &str, child: &str) -> Result<(), StoreError> {
        check_name(parent)?;
        check_name(snapshot)?;
        check_name(child)?;
        Ok(self.pool()?.clone_image(parent, snapshot, child)?)
    }

    fn remove(&self, image: &str) -> Result<(), StoreError> {
        check_name(image)?;
        let pool = self.pool()?;
        pool.wait_closed(image);
        match owner::evict_if_dead(&pool, image) {
            // Not there, or only in the trash: what a removal that was cut short has left is
            // finished by another.
            Err(error) if error.errno() == Errno::NOENT => {}
            result => result?,
        }
        Ok(pool.remove(image)?)
    }

    fn resize(&self, image: &str, size_bytes: u64) -> Result<(), StoreError> {
        check_name(image)?;
        check_size(image, size_bytes)?;
        let pool = self.pool()?;
        pool.wait_closed(image);
        owner::evict_if_dead(&pool, image)?;
        // A live owner does it for us.
        let open = Image::open(&pool, image, None, Access::ReadWrite)?;
        check_growth(image, open.size_bytes(), size_bytes)?;
        if size_bytes == open.size_bytes() {
            return Ok(());
        }
        Ok(open.resize(size_bytes)?)
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
        let pool = self.pool()?;
        pool.wait_closed(image);
        owner::evict_if_dead(&pool, image)?;
        let open = Image::open(&pool, image, None, Access::ReadWrite)?;
        let stat = open.stat()?;
        if !stat.snapshots.is_empty() {
            let message =
                format!("{image} has {} snapshots; remove these first", stat.snapshots.len());
            return Err(StoreError::new(StoreErrorKind::HasChildren, message));
        }
        if stat.parent.is_none() {
            return Ok(());
        }
        // A live owner does it for us. librbd cannot be asked to stop.
        let bytes = |objects: u64, total: u64| {
            let share = u128::from(objects) * u128::from(stat.size_bytes);
            let done = share / u128::from(total.max(1));
            let _goes_on = progress(u64::try_from(done).unwrap_or(u64::MAX), stat.size_bytes);
        };
        Ok(open.flatten(&bytes)?)
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        let mut names = self.pool()?.list()?;
        names.sort_unstable();
        Ok(names)
    }

    fn stat(&self, image: &str) -> Result<ImageStat, StoreError> {
        check_name(image)?;
        let pool = self.pool()?;
        let stat = Image::open(&pool, image, None, Access::ReadOnly)?.stat()?;
        Ok(ImageStat {
            id: format!("{}/{}/{}", pool.cluster().fsid(), pool.id(), stat.id),
            size_bytes: stat.size_bytes,
            used_bytes: stat.used_bytes,
            parent: stat.parent,
            snapshots: stat.snapshots,
        })
    }

    fn open(
        &self,
        image: &str,
        snapshot: Option<&str>,
        mode: OpenMode,
    ) -> Result<Arc<dyn Volume>, StoreError> {
        check_name(image)?;
        snapshot.map_or(Ok(()), check_name)?;
        let image = match (snapshot, mode) {
            (Some(snapshot), OpenMode::ReadWrite) => {
                let message = format!("{image}@{snapshot} is a snapshot: it can only be read");
                return Err(StoreError::new(StoreErrorKind::Invalid, message));
            }
            (None, OpenMode::ReadWrite) => self.open_writable(image)?,
            (snapshot, OpenMode::ReadOnly) => {
                Image::open(&self.pool()?, image, snapshot, Access::ReadOnly)?
            }
        };
        match snapshot {
            Some(_) => Ok(Arc::new(RbdVolume::of_snapshot(image))),
            None => Ok(Arc::new(RbdVolume::of_image(image)?)),
        }
    }
}

fn check_size(image: &str, size_bytes: u64) -> Result<(), StoreError> {
    if (1..=SIZE_BYTES_MAX).contains(&size_bytes) {
        return Ok(());
    }
    let message = format!("{image}: a size of {size_bytes} bytes");
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}

/// Opens one image, for serving it without a catalog. `spec` is `POOL[/NAMESPACE]/IMAGE`.
///
/// # Errors
/// [`StoreErrorKind::Invalid`] for a bad `spec`; otherwise as [`RbdStore::open`] and
/// [`Store::open`].
pub fn open_image(
    spec: &str,
    conf: Option<&Path>,
    user: &str,
    read_only: bool,
) -> Result<Arc<dyn Volume>, StoreError> {
    let (pool, namespace, image) = parse_spec(spec)?;
    let options = Options {
        namespace: namespace.into(),
        conf: conf.map(Path::to_owned),
        user: user.into(),
        ..Options::new(pool)
    };
    let pool = options.connect().map_err(unavailable)?;
    let image = if read_only {
        Image::open(&pool, image, None, Access::ReadOnly)?
    } else {
        open_writable(&pool, image)?
    };
    Ok(Arc::new(RbdVolume::of_image(image)?))
}

fn open_writable(pool: &Arc<Pool>, image: &str) -> Result<Arc<Image>, StoreError> {
    pool.wait_closed(image);
    let image = Image::open(pool, image, None, Access::ReadWrite)?;
    owner::claim(&image)?;
    volume::check_options(&image)?;
    Ok(image)
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
