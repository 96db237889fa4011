//! Files and block devices, each where it is, as images of a store: for disks that somebody else has
//! made and looks after. Nothing can be made here, nor removed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::file::{FileOptions, FileVolume, Found};
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
    /// followed first, so that they lead nowhere else. It is asked of the file that was found, not of
    /// the path, which may lead elsewhere a moment later.
    fn find(&self, path: &str) -> Result<Found, StoreError> {
        let invalid =
            |why: &str| StoreError::new(StoreErrorKind::Invalid, format!("{path}: {why}"));
        if !Path::new(path).is_absolute() {
            return Err(invalid("no absolute path"));
        }
        let found = Found::at(Path::new(path))?;
        let is_at = found.path()?;
        let below = |directory: &PathBuf| {
            fs::canonicalize(directory).is_ok_and(|directory| is_at.starts_with(directory))
        };
        if self.directories.iter().any(below) {
            return Ok(found);
        }
        Err(invalid("not below one of the directories that the configuration allows"))
    }

    fn stat_of(image: &str, found: &Found) -> Result<ImageStat, StoreError> {
        let metadata = found.metadata();
        // What is behind a device's name is the administrator's; a file that is put in the place of
        // another is another disk.
        let inode = if metadata.is_file() { metadata.ino() } else { 0 };
        let digest = Sha256::digest(format!("{image}\0{inode}").as_bytes());
        Ok(ImageStat {
            id: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            size_bytes: found.size_bytes()?,
            used_bytes: metadata.is_file().then(|| metadata.blocks() * 512),
            parent: None,
            snapshots: Vec::new(),
        })
    }

    fn volume_of(&self, found: &Found, mode: OpenMode) -> Result<Arc<dyn Volume>, StoreError> {
        let options =
            FileOptions { read_only: mode == OpenMode::ReadOnly, ..FileOptions::default() };
        Ok(Arc::new(FileVolume::of(found, options, &self.pool)?))
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
        Self::stat_of(image, &self.find(image)?)
    }

    fn open_new(&self, image: &str) -> Result<(String, Arc<dyn Volume>), StoreError> {
        let found = self.find(image)?;
        let volume = self.volume_of(&found, OpenMode::ReadWrite)?;
        Ok((Self::stat_of(image, &found)?.id, volume))
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
        self.volume_of(&self.find(image)?, mode)
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

    #[test]
    fn what_is_no_disk_is_refused_unopened() {
        let directory = tempfile::tempdir().unwrap();
        let (fifo, mode) = (directory.path().join("fifo"), rustix::fs::Mode::from_raw_mode(0o600));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
        let files =
            Files::new(vec![directory.path().to_owned(), "/dev".into()], &Pool::start(1).unwrap());
        // Opening a FIFO without O_NONBLOCK waits for its other end; opening this device is refused
        // (ENXIO) where there is no terminal, and must not be tried where there is one.
        for path in [fifo.to_str().unwrap(), "/dev/tty", "/dev/null", "/dev"] {
            for failed in [
                files.stat(path).err(),
                files.open(path, None, OpenMode::ReadWrite).err(),
                files.open_new(path).err(),
            ] {
                assert_eq!(failed.unwrap().kind(), StoreErrorKind::Invalid, "{path}");
            }
        }
    }

    #[test]
    fn the_file_that_was_found_is_the_one_that_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
        for directory in [&inside, &outside] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("disk"), vec![7; 1 << 20]).unwrap();
        }
        fs::write(outside.join("disk"), vec![9; 2 << 20]).unwrap();
        let files = Files::new(vec![inside.clone()], &Pool::start(1).unwrap());
        let path = inside.join("disk").to_str().unwrap().to_owned();
        let found = files.find(&path).unwrap();
        // Now the owner of the directory has the path lead elsewhere.
        fs::rename(&inside, directory.path().join("was")).unwrap();
        std::os::unix::fs::symlink(&outside, &inside).unwrap();
        assert_eq!(Files::stat_of(&path, &found).unwrap().size_bytes, 1 << 20);
        let volume = files.volume_of(&found, OpenMode::ReadWrite).unwrap();
        assert_eq!(volume.info().size_bytes, 1 << 20);
        drop(volume);
        // And one component that is swapped all the time never lets anything else through.
        let (inside, stop) =
            (directory.path().join("was"), std::sync::atomic::AtomicBool::new(false));
        let files = Files::new(vec![inside.clone()], &Pool::start(1).unwrap());
        fs::create_dir(inside.join("sub")).unwrap();
        fs::rename(inside.join("disk"), inside.join("sub/disk")).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        let path = inside.join("sub/disk").to_str().unwrap().to_owned();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let (a, b) = (inside.join("sub"), inside.join("link"));
                    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
                }
            });
            for _ in 0..2000 {
                if let Ok((_, volume)) = files.open_new(&path) {
                    assert_eq!(volume.info().size_bytes, 1 << 20);
                }
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
