//! Volumes and the stores they come from.
//!
//! A [`Store`] keeps images, snapshots and copy-on-write clones and opens them as
//! [`Volume`]s. Its calls block (they run on the blocking pool, never on a shard); each one is
//! atomic (after a crash it has happened or it has not) and fails with an error that says what it
//! is about. `local` is the embedded store, `rbd` is Ceph. `memory`, `null` and `file` are single
//! volumes without a store, for `stirrupd quick`, tests and benchmarks.

#[cfg(test)]
mod behind_cache;
mod check;
#[cfg(test)]
pub(crate) mod conformance;
pub mod file;
mod fileio;
pub mod files;
mod kept;
pub mod local;
pub mod memory;
pub mod null;
pub mod on_demand;
pub mod pool;
mod pooled;
#[cfg(test)]
mod power_loss;
mod range_lock;
pub mod rbd;
mod reader;

use std::fmt;
use std::sync::Arc;

use crate::block::{self, SavedState, Volume, VolumeInfo};
pub use crate::rbd::LuksFormat;

pub use reader::VolumeReader;

/// Which kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// A directory on this machine.
    Local,
    /// Ceph RBD.
    Rbd,
    /// Files and block devices, each where it is.
    Files,
}

/// How a volume is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Reads only; any number of openers.
    ReadOnly,
    /// One owner. A second opener is refused with [`StoreErrorKind::InUse`]; who died without
    /// closing is no owner.
    ReadWrite,
}

/// What [`Store::look`] sees of an image.
#[derive(Debug, Clone)]
pub struct Seen {
    /// As [`ImageStat::id`].
    pub id: String,
    /// What its volume would be like.
    pub info: VolumeInfo,
    /// What is kept beside its data.
    pub saved: SavedState,
}

/// What a store knows of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageStat {
    /// The store's own lasting identity of the image; survives renames, differs for every clone.
    /// WWIDs are made from it.
    pub id: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Bytes that the image itself occupies, its parent's not counted; `None`: not known cheaply.
    pub used_bytes: Option<u64>,
    /// The parent (image, snapshot), if this is a clone.
    pub parent: Option<(String, String)>,
    /// Snapshots, oldest first.
    pub snapshots: Vec<String>,
}

/// What a store knows of how an image boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BootProfile {
    /// Boots that it was learnt from; at most eight are remembered. 0: nothing is known.
    pub boots: u32,
    /// Ranges of the image that are fetched when a node logs in.
    pub ranges: u64,
    /// Bytes of these.
    pub bytes: u64,
}

/// Fills a new image. Writes may come in any order and leave holes, which read as zeros.
pub trait ImageWriter: Send {
    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// When the store cannot take them.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// Has a range read as zeros again; its space is given back where that is possible.
    ///
    /// # Errors
    /// When the store cannot do it.
    fn zero_at(&mut self, offset: u64, len: u64) -> Result<(), StoreError>;

    /// Everything written is on stable storage when this returns. After a failure of this or of a
    /// write, what was written since it last succeeded may be lost in part.
    ///
    /// # Errors
    /// When the store cannot make it so.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// [`Self::sync`], for the last time.
    ///
    /// # Errors
    /// As [`Self::sync`].
    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        self.sync()
    }
}

/// A place that keeps images, their snapshots and copy-on-write clones of these.
///
/// Names of images and snapshots are 1 to 128 characters out of `A-Z a-z 0-9 . _ -`, not starting
/// with a dot or a dash; a store refuses others with [`StoreErrorKind::Invalid`].
pub trait Store: Send + Sync + 'static {
    /// Which kind it is.
    fn kind(&self) -> StoreKind;

    /// Checks within a bounded time that the store answers.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] with what is wrong and what to do.
    fn probe(&self) -> Result<(), StoreError>;

    /// Makes an empty image that reads as zeros.
    ///
    /// # Errors
    /// [`StoreErrorKind::Exists`] when there is one of that name.
    fn create(&self, image: &str, size_bytes: u64) -> Result<(), StoreError>;

    /// Whether [`Self::create_encrypted`] can be called; by default it cannot.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] with what is missing.
    fn can_encrypt(&self) -> Result<(), StoreError> {
        let message = "this store cannot encrypt: only one of Ceph RBD can";
        Err(StoreError::new(StoreErrorKind::Invalid, message))
    }

    /// As [`Self::create`], but what is stored of the image is encrypted, with a key of its own.
    ///
    /// # Errors
    /// As [`Self::create`] and [`Self::can_encrypt`].
    fn create_encrypted(
        &self,
        image: &str,
        size_bytes: u64,
        format: LuksFormat,
    ) -> Result<(), StoreError> {
        let _ = (image, size_bytes, format);
        self.can_encrypt()
    }

    /// Whether what is stored of an image is encrypted.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`].
    fn is_encrypted(&self, image: &str) -> Result<bool, StoreError> {
        let _ = image;
        Ok(false)
    }

    /// Opens an image for filling it (import).
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`], [`StoreErrorKind::InUse`].
    fn writer(&self, image: &str) -> Result<Box<dyn ImageWriter>, StoreError>;

    /// Freezes what the image holds now under a name.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`], [`StoreErrorKind::Exists`].
    fn snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError>;

    /// Removes a snapshot.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::HasChildren`] while clones need it.
    fn remove_snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError>;

    /// Makes `child` a copy-on-write clone of a snapshot: milliseconds, no copy.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`], [`StoreErrorKind::Exists`].
    fn clone_image(&self, parent: &str, snapshot: &str, child: &str) -> Result<(), StoreError>;

    /// Removes an image without snapshots.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::HasChildren`] while it has snapshots;
    /// [`StoreErrorKind::InUse`] while it is open for writing.
    fn remove(&self, image: &str) -> Result<(), StoreError>;

    /// Makes an image larger; what is new reads as zeros. An open volume of it has the new size
    /// when this returns, or soon after. The same size again does nothing; snapshots and clones
    /// keep theirs.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::Invalid`] for a smaller size: what is beyond
    /// it would be lost.
    fn resize(&self, image: &str, size_bytes: u64) -> Result<(), StoreError>;

    /// Has an image hold again what it held when the snapshot was made, at the size that it had
    /// then; the snapshot stays. What was written since is lost. Nobody has the image open. If this
    /// is cut short, the image may hold some of both: the same call again ends it.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`], [`StoreErrorKind::InUse`].
    fn rollback(&self, image: &str, snapshot: &str) -> Result<(), StoreError>;

    /// Makes a clone independent: everything that it reads of its parent becomes its own. It may be
    /// open meanwhile. An image without a parent is left as it is. `progress` is told the bytes dealt
    /// with and all there are, from any thread; once it answers `false`, a store that can gives up.
    /// The same call again goes on where one was cut short.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::HasChildren`] while it has snapshots, which
    /// would need the parent still.
    fn flatten(
        &self,
        image: &str,
        progress: &(dyn Fn(u64, u64) -> bool + Sync),
    ) -> Result<(), StoreError>;

    /// The names of all images, sorted.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn list(&self) -> Result<Vec<String>, StoreError>;

    /// What there is to know of an image.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`].
    fn stat(&self, image: &str) -> Result<ImageStat, StoreError>;

    /// Keeps a small record with an image under a name, in the place of the one before: at most
    /// [`RECORD_BYTES_MAX`] bytes. It is on stable
    /// storage when this returns, whether or not the image is open, goes with the image, and no
    /// clone inherits it. Of two that race, one is kept.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::Invalid`] for a bad name or too many bytes.
    fn keep(&self, image: &str, name: &str, record: &[u8]) -> Result<(), StoreError>;

    /// The record that [`Self::keep`] kept last; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if there is no such image.
    fn kept(&self, image: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// What a volume of an image would tell if it were opened for writing, without opening it.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`].
    fn look(&self, image: &str) -> Result<Seen, StoreError> {
        let seen = self.open(image, None, OpenMode::ReadOnly)?;
        Ok(Seen {
            id: self.stat(image)?.id,
            info: VolumeInfo { read_only: false, ..seen.info() },
            saved: seen.saved_state(),
        })
    }

    /// As [`Self::open`] for writing, with the identity ([`ImageStat::id`]) of what was opened.
    ///
    /// # Errors
    /// As [`Self::open`].
    fn open_new(&self, image: &str) -> Result<(String, Arc<dyn Volume>), StoreError> {
        let id = self.stat(image)?.id;
        Ok((id, self.open(image, None, OpenMode::ReadWrite)?))
    }

    /// Makes an image that somebody else has made fit to be opened for writing; what is in it stays
    /// as it is. By default there is nothing to be done.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`], [`StoreErrorKind::InUse`].
    fn adopt(&self, image: &str) -> Result<(), StoreError> {
        let _ = image;
        Ok(())
    }

    /// Returns when an image, whose last volume was dropped, is closed, so that somebody else can
    /// open or remove it. By default it is with that.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn release(&self, image: &str) -> Result<(), StoreError> {
        let _ = image;
        Ok(())
    }

    /// What is known of how the clones of an image boot, so that it is fetched ahead; by default
    /// nothing ever is.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::Corrupt`] if the record cannot be used.
    fn boot_profile(&self, image: &str) -> Result<BootProfile, StoreError> {
        let _ = image;
        Ok(BootProfile::default())
    }

    /// Forgets that; the next boot is the first one again.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`].
    fn forget_boot_profile(&self, image: &str) -> Result<(), StoreError> {
        let _ = image;
        Ok(())
    }

    /// The images of another pool of the same cluster; `place` is `POOL` or `POOL/NAMESPACE`.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if there is nothing but this store; [`StoreErrorKind::NotFound`]
    /// if the pool is not there.
    fn elsewhere(&self, place: &str) -> Result<Arc<dyn Store>, StoreError> {
        let message = format!("{place:?}: this store is in no cluster that has other pools");
        Err(StoreError::new(StoreErrorKind::Invalid, message))
    }

    /// Gives an image of another pool (see [`Self::elsewhere`]) another name, unless that is taken.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`], [`StoreErrorKind::Exists`]; [`StoreErrorKind::Invalid`] where
    /// images have one name for ever.
    fn rename(&self, image: &str, name: &str) -> Result<(), StoreError> {
        let message = format!("image {image} cannot become {name} in this store");
        Err(StoreError::new(StoreErrorKind::Invalid, message))
    }

    /// Whether any client has an image open for writing.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`].
    fn in_use(&self, image: &str) -> Result<bool, StoreError> {
        self.stat(image).map(|_| false)
    }

    /// Opens an image, or (read-only) one of its snapshots. It is closed when the last reference
    /// is dropped.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`], [`StoreErrorKind::InUse`].
    fn open(
        &self,
        image: &str,
        snapshot: Option<&str>,
        mode: OpenMode,
    ) -> Result<Arc<dyn Volume>, StoreError>;
}

/// The kinds of store failure that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No such image or snapshot.
    NotFound,
    /// The name is taken.
    Exists,
    /// Snapshots or clones hang on it.
    HasChildren,
    /// It is open elsewhere.
    InUse,
    /// A bad name or size.
    Invalid,
    /// The store is full, or a quota is used up.
    NoSpace,
    /// The store does not answer, or its library is missing on this machine.
    Unavailable,
    /// What is stored makes no sense (and was not touched).
    Corrupt,
    /// Anything else that the operating system or the cluster said.
    Io,
}

/// A failed store operation: one line for a person, a kind for a program.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
}

impl StoreError {
    /// A failure of `kind`; `message` says what it is about, and what to do if that is known.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The matchable kind.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

/// A volume's failure as one of the store that it was filled through.
impl From<block::Error> for StoreError {
    fn from(error: block::Error) -> Self {
        let kind = match error.kind() {
            block::ErrorKind::NoSpace => StoreErrorKind::NoSpace,
            block::ErrorKind::OutOfRange => StoreErrorKind::Invalid,
            block::ErrorKind::Fenced => StoreErrorKind::InUse,
            block::ErrorKind::TimedOut | block::ErrorKind::Unavailable => {
                StoreErrorKind::Unavailable
            }
            block::ErrorKind::Gone => StoreErrorKind::NotFound,
            _ => StoreErrorKind::Io,
        };
        Self::new(kind, error.to_string())
    }
}

/// Images only grow.
fn check_growth(image: &str, old: u64, new: u64) -> Result<(), StoreError> {
    if new >= old {
        return Ok(());
    }
    let message = format!(
        "image {image} has {old} bytes and cannot shrink to {new}: what is beyond would be lost"
    );
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}

/// Longest record that [`Store::keep`] takes, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 << 10;

fn check_record(name: &str, record: &[u8]) -> Result<(), StoreError> {
    check_name(name)?;
    if record.len() <= RECORD_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "a record {name} of {} bytes: at most {RECORD_BYTES_MAX} are kept with an image",
        record.len()
    );
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}

const NAME_BYTES_MAX: usize = 128;

/// The rule for names: see [`Store`].
fn check_name(name: &str) -> Result<(), StoreError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let starts_well = !name.starts_with(['.', '-']);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal) && starts_well {
        return Ok(());
    }
    let message = format!(
        "{name:?} is no name for an image or snapshot: 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ - \
         are, not starting with a dot or a dash"
    );
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}
