//! Files that images are exported to. Nobody knows whose directory they are in, and everything in it may
//! be something else a moment later, the directory's own name too: what counts is what was opened.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, linkat, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::backend::{ImageWriter, StoreError, StoreErrorKind};
use crate::catalog::error::{Error, ErrorKind};
use crate::catalog::spec::random;
use crate::catalog::step::step;

/// What is appended to the name of a part to see whether it can have another one.
const TRIAL: &str = ".try";

/// A place for a file: its directory, and its name there, which is free.
pub(super) struct Place {
    directory: File,
    name: OsString,
    path: PathBuf,
}

impl Place {
    /// # Errors
    /// `invalid-path`, `target-exists`, `target-unwritable`.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        // What cannot be written as text cannot be kept.
        let (Some(parent), Some(name), Some(_), true) =
            (path.parent(), path.file_name(), path.to_str(), path.is_absolute())
        else {
            let message = format!("{}: no absolute path of a file", path.display());
            return Err(Error::invalid("invalid-path", message));
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(parent, flags, Mode::empty())
            .map_err(|error| unwritable(path, &error.into()))?;
        match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(taken(&path.display().to_string())),
            Err(Errno::NOENT) => Ok(Self {
                directory: directory.into(),
                name: name.to_owned(),
                path: path.to_owned(),
            }),
            Err(error) => Err(unwritable(path, &error.into())),
        }
    }

    /// A name beside the file for what is not complete, which nothing else has, had or will have.
    pub(super) fn part(&self) -> Result<PathBuf, Error> {
        let number = u128::from_be_bytes(random::<16>()?);
        Ok(self.path.with_file_name(format!("export-{number:032x}.part")))
    }

    /// Begins the file under the name of its part. After a failure that may be there.
    ///
    /// # Errors
    /// `target-unwritable`, `target-full`.
    pub(super) fn create(self, part: &Path, size_bytes: u64) -> Result<OutFile, Error> {
        let name = part.file_name().unwrap_or_default();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = step(|| Ok(openat(&self.directory, name, flags, mode)?))
            .map_err(|error| unwritable(&self.path, &error))?;
        let out = OutFile { part: name.to_owned(), file: file.into(), place: self };
        out.prepare(size_bytes).map_err(|error| unwritable(&out.place.path, &error))?;
        Ok(out)
    }
}

/// A file that is filled like an image, and has its name only when it is whole.
pub(super) struct OutFile {
    place: Place,
    part: OsString,
    file: File,
}

impl OutFile {
    /// Learns now whether the file can get its name in the end.
    fn prepare(&self, size_bytes: u64) -> io::Result<()> {
        let trial = trial_of(&self.part);
        self.link(&trial).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => io::Error::other(
                "its file system has no hard links, by which an export gets its name without \
                 replacing anything; export it to another one, or download it",
            ),
            _ => error,
        })?;
        self.unlink(&trial)?;
        step(|| self.file.set_len(size_bytes))
    }

    /// Gives this very file a name, unless it is taken.
    fn link(&self, name: &OsStr) -> io::Result<()> {
        let file = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let directory = &self.place.directory;
        step(|| Ok(linkat(CWD, file.as_str(), directory, name, AtFlags::SYMLINK_FOLLOW)?))
    }

    /// Takes a name away from this very file.
    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        let directory = &self.place.directory;
        let identity = |stat: &Stat| (stat.st_dev, stat.st_ino);
        let ours = rustix::fs::fstat(&self.file)?;
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if identity(&found) == identity(&ours) => {
                step(|| Ok(unlinkat(directory, name, AtFlags::empty())?))
            }
            // Somebody has taken it away, or has put something else there.
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the file its name: all of it is there. After a failure it does not have it.
    ///
    /// # Errors
    /// `target-exists`; what was written may not be on stable storage.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.sync()?;
        let path = &self.place.path;
        let named = self.link(&self.place.name);
        let named = named.and_then(|()| step(|| self.place.directory.sync_all()));
        named.map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return taken(&path.display().to_string());
            }
            // Else the export would have failed and be there, in the way of its repetition.
            if let Err(error) = self.unlink(&self.place.name) {
                tracing::warn!(path = %path.display(), %error, "a file of a failed export stays");
            }
            unwritable(path, &error)
        })
    }

    /// Takes the name of the part away, and with it what has no other name.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.unlink(&trial_of(&self.part))?;
        self.unlink(&self.part)?;
        step(|| self.place.directory.sync_all())
    }

    fn result(&self, result: io::Result<()>) -> Result<(), StoreError> {
        result.map_err(|error| {
            let kind = match is_full(&error) {
                true => StoreErrorKind::NoSpace,
                false => StoreErrorKind::Io,
            };
            StoreError::new(kind, format!("{}: {error}", self.place.path.display()))
        })
    }
}

impl ImageWriter for OutFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.result(step(|| self.file.write_all_at(bytes, offset)))
    }

    fn zero_at(&mut self, offset: u64, len: u64) -> Result<(), StoreError> {
        let zeros = [0; 4096];
        let mut at = offset;
        while at < offset + len {
            let piece = usize::try_from(offset + len - at).unwrap_or(zeros.len()).min(zeros.len());
            self.write_at(at, &zeros[..piece])?;
            at += piece as u64;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.result(step(|| self.file.sync_all()))
    }
}

/// Removes the part of an export of which no more than its name is known any more. No other file has
/// had that name.
pub(super) fn remove_part(part: &Path) -> io::Result<()> {
    for name in [trial_of(part.as_os_str()).as_os_str(), part.as_os_str()] {
        match step(|| fs::remove_file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
            Ok(()) => {
                let directory = part.parent().unwrap_or(Path::new("/"));
                step(|| File::open(directory)?.sync_all())?;
            }
        }
    }
    Ok(())
}

fn trial_of(part: &OsStr) -> OsString {
    let mut name = part.to_owned();
    name.push(TRIAL);
    name
}

pub(super) fn taken(what: &str) -> Error {
    let message = format!("{what} exists already, and is not overwritten");
    Error::new(ErrorKind::Conflict, "target-exists", message)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> Error {
    let message = format!("{}: {error}", path.display());
    match is_full(error) {
        true => Error::new(ErrorKind::NoSpace, "target-full", message),
        false => Error::invalid("target-unwritable", message),
    }
}
