//! The files of a store: names, creation, the lock, and what crashes leave behind.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::backend::{StoreError, StoreErrorKind};

const LOCK: &str = "lock";
const METADATA: &str = "store.redb";
const LAYERS: &str = "layers";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Free space, in bytes, without which nothing is created: room for the metadata to grow, so that
/// they are never what hits a full file system.
const FREE_BYTES_MIN: u64 = 8 << 20;
/// Endings of the files of a layer.
const ENDINGS: [&str; 5] = ["data", "map", "live", "live.new", "atomic"];

/// Identity of a run of the kernel.
pub(super) type BootId = [u8; 16];

/// 128 random bits as text: the name of a layer, the identity of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct LayerId([u8; 16]);

impl LayerId {
    /// A new one.
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Display for LayerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for LayerId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let id = u128::from_str_radix(&text, 16).map(|id| Self(id.to_be_bytes()));
        id.ok().filter(|id| id.to_string() == text).ok_or("not an id of 32 hexadecimal digits")
    }
}

/// The boot id of the running kernel.
pub(super) fn boot_id() -> io::Result<BootId> {
    let text = fs::read_to_string(BOOT_ID)?;
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16)
        .map(u128::to_be_bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{BOOT_ID} has no UUID")))
}

/// Creates a file that is not there, for the owner only.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Removes a file; that it is not there is fine.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The directory of a store, which this process owns as long as the value lives.
pub(super) struct StoreDir {
    path: PathBuf,
    _lock: File,
}

impl StoreDir {
    /// Makes or opens the directory, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: io::Error| {
            let message = format!("cannot use {} as a store: {error}", path.display());
            StoreError::new(kind_of(&error), message)
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        check_contents(path, failed)?;
        let lock = lock(path, failed)?;
        let layers = path.join(LAYERS);
        if !layers.exists() {
            DirBuilder::new().mode(0o700).create(&layers).map_err(failed)?;
        }
        let lost = !path.join(METADATA).exists()
            && fs::read_dir(&layers).map_err(failed)?.next().is_some();
        if lost {
            let message = format!(
                "{} holds layers but no {METADATA}: its metadata are lost; bring that file back \
                 from a backup, or move the directory away",
                path.display()
            );
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn metadata(&self) -> PathBuf {
        self.path.join(METADATA)
    }

    /// Refuses when less than [`FREE_BYTES_MIN`] is free.
    pub(super) fn check_space(&self) -> Result<(), StoreError> {
        let path = self.path.display();
        let found = rustix::fs::statvfs(&self.path).map_err(|error| {
            StoreError::new(StoreErrorKind::Io, format!("the free space in {path}: {error}"))
        })?;
        if found.f_bavail.saturating_mul(found.f_frsize) >= FREE_BYTES_MIN {
            return Ok(());
        }
        let message = format!("the file system of {path} is full; remove images, or give it space");
        Err(StoreError::new(StoreErrorKind::NoSpace, message))
    }

    /// A file of a layer.
    pub(super) fn layer(&self, id: &LayerId, ending: &str) -> PathBuf {
        self.path.join(LAYERS).join(format!("{id}.{ending}"))
    }

    /// Puts the names of the files of layers on stable storage.
    pub(super) fn sync_layers(&self) -> io::Result<()> {
        File::open(self.path.join(LAYERS))?.sync_all()
    }

    /// Puts the names of everything else on stable storage.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        self.sync_layers()?;
        File::open(&self.path)?.sync_all()
    }

    /// Removes all files of a layer.
    pub(super) fn remove_layer(&self, id: &LayerId) {
        for ending in ENDINGS {
            if let Err(error) = remove_if_there(&self.layer(id, ending)) {
                // The next start tries again.
                tracing::warn!(%error, layer = %id, "cannot remove a file of a layer");
            }
        }
    }

    /// Removes files of layers that are not in `known`.
    pub(super) fn remove_unknown(&self, known: &HashSet<LayerId>) -> io::Result<()> {
        for entry in fs::read_dir(self.path.join(LAYERS))? {
            let name = entry?.file_name();
            let layer = name.to_str().and_then(|name| {
                let (id, ending) = name.split_once('.')?;
                ENDINGS.contains(&ending).then(|| LayerId::try_from(id.to_owned()).ok())?
            });
            match layer {
                Some(id) if !known.contains(&id) => {
                    tracing::info!(layer = %id, "removing what an interrupted change left behind");
                    self.remove_layer(&id);
                }
                Some(_) => {}
                None => tracing::warn!(?name, "a file in the store that is none of its own"),
            }
        }
        Ok(())
    }
}

/// The kind under which an I/O error of the store is reported.
pub(super) fn kind_of(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::NoSpace,
        io::ErrorKind::FileTooLarge => StoreErrorKind::Invalid,
        _ => StoreErrorKind::Io,
    }
}

/// Refuses a directory that holds things and is not a store.
fn check_contents(path: &Path, failed: impl Fn(io::Error) -> StoreError) -> Result<(), StoreError> {
    let ours = [LOCK, METADATA, LAYERS, "lost+found"];
    for entry in fs::read_dir(path).map_err(&failed)? {
        let name = entry.map_err(&failed)?.file_name();
        if !ours.iter().any(|our| name == *our) {
            let message = format!(
                "{} is not a store: it holds {name:?}; give an empty or a new directory",
                path.display()
            );
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
    }
    Ok(())
}

fn lock(path: &Path, failed: impl Fn(io::Error) -> StoreError) -> Result<File, StoreError> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join(LOCK))
        .map_err(&failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let _unreadable = (&mut file).take(20).read_to_string(&mut pid);
            let message = format!(
                "the store {} is in use by process {}; stop that one, or use another directory",
                path.display(),
                if pid.trim().is_empty() { "?" } else { pid.trim() }
            );
            return Err(StoreError::new(StoreErrorKind::InUse, message));
        }
        Err(error) => return Err(failed(error.into())),
    }
    file.set_len(0).map_err(&failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}
