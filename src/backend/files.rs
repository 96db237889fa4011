//! Files and block devices, each where it is, as images of a store: for disks that somebody else has
//! made and looks after. Nothing can be made here, nor removed.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::file::{FileOptions, FileVolume};
use super::pool::Pool;
use super::{ImageStat, ImageWriter, OpenMode, Store, StoreError, StoreErrorKind, StoreKind};
use crate::block::Volume;

/// Files below some directories. An image's name is its absolute path.
pub struct Files {
    directories: Vec<PathBuf>,
    pool: Arc<Pool>,
}

impl Files {
    /// The files below `directories`; `pool` does the I/O.
    #[must_use]
    pub fn new(directories: Vec<PathBuf>, pool: &Arc<Pool>) -> Self {
        Self { directories, pool: Arc::clone(pool) }
    }

    /// The file that a path leads to, if it is below one of the directories: links and `..` are
    /// followed first, so that they lead nowhere else.
    fn file(&self, path: &str) -> Result<PathBuf, StoreError> {
        let invalid =
            |why: &str| StoreError::new(StoreErrorKind::Invalid, format!("{path}: {why}"));
        if !Path::new(path).is_absolute() {
            return Err(invalid("no absolute path"));
        }
        let file = fs::canonicalize(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                StoreError::new(StoreErrorKind::NotFound, format!("there is no {path}"))
            }
            _ => invalid(&error.to_string()),
        })?;
        let below = |directory: &PathBuf| {
            fs::canonicalize(directory).is_ok_and(|directory| file.starts_with(directory))
        };
        if self.directories.iter().any(below) {
            return Ok(file);
        }
        Err(invalid("not below one of the directories that the configuration allows"))
    }

    fn unable(what: &str) -> StoreError {
        let message = format!("{what}: this is a file or device of somebody else's");
        StoreError::new(StoreErrorKind::Invalid, message)
    }
}

impl Store for Files {
    fn kind(&self) -> StoreKind {
        StoreKind::Files
    }

    fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn create(&self, _: &str, _: u64) -> Result<(), StoreError> {
        Err(Self::unable("no image can be made here"))
    }

    fn writer(&self, _: &str) -> Result<Box<dyn ImageWriter>, StoreError> {
        Err(Self::unable("it cannot be filled"))
    }

    fn snapshot(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Err(Self::unable("it has no snapshots"))
    }

    fn remove_snapshot(&self, image: &str, snapshot: &str) -> Result<(), StoreError> {
        let message = format!("{image} has no snapshot {snapshot}");
        Err(StoreError::new(StoreErrorKind::NotFound, message))
    }

    fn clone_image(&self, _: &str, _: &str, _: &str) -> Result<(), StoreError> {
        Err(Self::unable("it cannot be cloned"))
    }

    fn remove(&self, _: &str) -> Result<(), StoreError> {
        Err(Self::unable("it is not removed"))
    }

    fn resize(&self, _: &str, _: u64) -> Result<(), StoreError> {
        Err(Self::unable("it cannot be resized"))
    }

    fn rollback(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Err(Self::unable("it cannot be rolled back"))
    }

    fn flatten(&self, _: &str, _: &(dyn Fn(u64, u64) -> bool + Sync)) -> Result<(), StoreError> {
        Ok(())
    }

    /// None is this product's own.
    fn list(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    fn stat(&self, image: &str) -> Result<ImageStat, StoreError> {
        let file = self.file(image)?;
        let failed = |error: std::io::Error| {
            StoreError::new(StoreErrorKind::Io, format!("{image}: {error}"))
        };
        let metadata = fs::metadata(&file).map_err(failed)?;
        // What is behind a device's name is the administrator's; a file that is put in the place of
        // another is another disk.
        let device = metadata.file_type().is_block_device();
        let inode = if device { 0 } else { metadata.ino() };
        // Of a device the metadata tells none. It may be open already, and locked.
        let size_bytes = File::open(&file).and_then(|mut it| it.seek(SeekFrom::End(0)));
        let size_bytes = size_bytes.map_err(failed)?;
        let digest = Sha256::digest(format!("{image}\0{inode}").as_bytes());
        Ok(ImageStat {
            id: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            size_bytes,
            used_bytes: (!device).then(|| metadata.blocks() * 512),
            parent: None,
            snapshots: Vec::new(),
        })
    }

    fn keep(&self, _: &str, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Err(Self::unable("nothing is kept with it"))
    }

    fn kept(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn open(
        &self,
        image: &str,
        snapshot: Option<&str>,
        mode: OpenMode,
    ) -> Result<Arc<dyn Volume>, StoreError> {
        if let Some(snapshot) = snapshot {
            self.remove_snapshot(image, snapshot)?;
        }
        let options =
            FileOptions { read_only: mode == OpenMode::ReadOnly, ..FileOptions::default() };
        Ok(Arc::new(FileVolume::open(&self.file(image)?, options, &self.pool)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_the_directories_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
        for directory in [&inside, &outside] {
            fs::create_dir(directory).unwrap();
            fs::File::create(directory.join("disk")).unwrap().set_len(1 << 20).unwrap();
        }
        std::os::unix::fs::symlink(outside.join("disk"), inside.join("link")).unwrap();
        let files = Files::new(vec![inside.clone()], &Pool::start(1).unwrap());
        let path = |name: &str| inside.join(name).to_str().unwrap().to_owned();
        let stat = files.stat(&path("disk")).unwrap();
        assert_eq!(stat.size_bytes, 1 << 20);
        let kind = |name: &str| files.stat(&path(name)).unwrap_err().kind();
        assert_eq!(kind("../out/disk"), StoreErrorKind::Invalid);
        assert_eq!(kind("link"), StoreErrorKind::Invalid);
        assert_eq!(kind("none"), StoreErrorKind::NotFound);
        assert_eq!(files.stat("disk").unwrap_err().kind(), StoreErrorKind::Invalid);
        // Another file under the same name is another disk.
        fs::rename(inside.join("disk"), inside.join("old")).unwrap();
        fs::copy(inside.join("old"), inside.join("disk")).unwrap();
        assert_ne!(files.stat(&path("disk")).unwrap().id, stat.id);
        let volume = files.open(&path("disk"), None, OpenMode::ReadWrite).unwrap();
        let again = files.open(&path("disk"), None, OpenMode::ReadWrite);
        assert_eq!(again.err().unwrap().kind(), StoreErrorKind::InUse);
        drop(volume);
        assert!(files.remove(&path("disk")).is_err() && inside.join("disk").exists());
    }
}
