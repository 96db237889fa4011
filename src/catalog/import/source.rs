//! The file that is imported, whatever its format. Files are hostile.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, SeekFrom};

use super::Progress;
use super::qcow2::Qcow2Source;
use crate::backend::{StoreError, VolumeReader};
use crate::catalog::checksum::{Checksum, Hasher};
use crate::catalog::error::{Error, ErrorKind};
use crate::catalog::model::Format;

/// An image's size is a multiple of this.
pub(in crate::catalog) const SECTOR_BYTES: u64 = 512;
/// How much of a file is read at once for its checksum.
const HASH_BYTES: usize = 1 << 20;

/// An open source.
pub(in crate::catalog) struct Source {
    path: String,
    size_bytes: u64,
    format: Format,
    reader: Reader,
    /// Of a file: the file, and what would show that it was changed.
    file: Option<(File, Version)>,
}

/// Length, and the times of the last change of contents and inode, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version(u64, [i64; 4]);

impl Version {
    fn of(metadata: &std::fs::Metadata) -> Self {
        let times =
            [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
        Self(metadata.len(), times)
    }
}

enum Reader {
    /// What is in a store.
    Volume(VolumeReader),
    Raw {
        file: File,
        file_bytes: u64,
    },
    Qcow2(Qcow2Source),
}

impl Source {
    /// Opens a regular file, which must belong to `owner` if that is given. Nothing that it may
    /// refer to is opened.
    ///
    /// # Errors
    /// `source-unreadable`, `source-not-owned`, `source-not-a-file`, `source-empty`, `source-too-large`, and what
    /// `qcow2` says.
    pub(in crate::catalog) fn open(
        path: &Path,
        format: Option<Format>,
        size_max_bytes: u64,
        owner: Option<u32>,
    ) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let unreadable = |error: &std::io::Error| {
            Error::invalid("source-unreadable", format!("{shown}: {error}"))
        };
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        let mut flags = OFlags::NONBLOCK;
        if owner.is_some() {
            flags |= OFlags::NOFOLLOW;
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(|error| unreadable(&error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        // Before anything is said of what is there.
        if owner.is_some_and(|owner| owner != metadata.uid()) {
            let message = format!(
                "{shown}: not a file of the user who asks; root and the user that stirrupd runs \
                 as may import files of others"
            );
            return Err(Error::invalid("source-not-owned", message));
        }
        if !metadata.is_file() {
            let message = format!("{shown}: not a regular file");
            return Err(Error::invalid("source-not-a-file", message));
        }
        let file_bytes = metadata.len();
        let format = match format {
            Some(format) => format,
            None if Qcow2Source::probe(&file).map_err(|error| unreadable(&error))? => Format::Qcow2,
            None => Format::Raw,
        };
        let kept = file.try_clone().map_err(|error| unreadable(&error))?;
        let (raw_bytes, reader) = match format {
            Format::Raw => (file_bytes, Reader::Raw { file, file_bytes }),
            Format::Qcow2 => {
                let source = Qcow2Source::open(file, path, size_max_bytes)?;
                (source.size_bytes(), Reader::Qcow2(source))
            }
        };
        if raw_bytes == 0 {
            return Err(Error::invalid("source-empty", format!("{shown}: has no bytes")));
        }
        if raw_bytes > size_max_bytes {
            return Err(Error::invalid(
                "source-too-large",
                format!("{shown}: a disk of {raw_bytes} bytes; the limit is {size_max_bytes}"),
            ));
        }
        let size_bytes = raw_bytes.next_multiple_of(SECTOR_BYTES);
        let file = Some((kept, Version::of(&metadata)));
        Ok(Self { path: shown, size_bytes, format, reader, file })
    }

    /// Looks at the beginning of a qcow2 file, of which no more need be there.
    ///
    /// # Errors
    /// What `qcow2` says.
    pub(in crate::catalog) fn check_qcow2(
        file: &File,
        path: &Path,
        size_max_bytes: u64,
    ) -> Result<(), Error> {
        Qcow2Source::check(file, path, size_max_bytes)
    }

    /// What is in a store; `label` says what that is.
    pub(in crate::catalog) fn of_volume(label: String, reader: VolumeReader) -> Self {
        let size_bytes = reader.size_bytes().next_multiple_of(SECTOR_BYTES);
        let reader = Reader::Volume(reader);
        Self { path: label, size_bytes, format: Format::Raw, reader, file: None }
    }

    /// The checksum of the file as it is; `None` if it is no file.
    ///
    /// # Errors
    /// `source-unreadable`, `cancelled`.
    pub(in crate::catalog) fn checksum(
        &self,
        progress: &Progress,
    ) -> Result<Option<Checksum>, Error> {
        let Some((file, Version(file_bytes, _))) = &self.file else { return Ok(None) };
        let (mut hasher, mut at) = (Hasher::default(), 0);
        let mut buf = vec![0; HASH_BYTES];
        while at < *file_bytes {
            progress.check()?;
            let len = usize::try_from(file_bytes - at).unwrap_or(HASH_BYTES).min(HASH_BYTES);
            file.read_exact_at(&mut buf[..len], at).map_err(|error| self.failed(&error))?;
            hasher.update(&buf[..len]);
            at += len as u64;
        }
        Ok(Some(hasher.finish()))
    }

    /// Refuses a file that was changed since it was opened: what was read of it may be anything.
    ///
    /// # Errors
    /// `source-changed`.
    pub(in crate::catalog) fn check_unchanged(&self) -> Result<(), Error> {
        let Some((file, version)) = &self.file else { return Ok(()) };
        let metadata = file.metadata().map_err(|error| self.failed(&error))?;
        if Version::of(&metadata) == *version {
            return Ok(());
        }
        let message = format!("{}: was changed while it was read; import it again", self.path);
        Err(Error::invalid("source-changed", message))
    }

    /// Whether what was read was compressed.
    pub(super) fn is_compressed(&self) -> bool {
        matches!(&self.reader, Reader::Qcow2(source) if source.is_compressed())
    }

    /// Size of the disk in it, rounded up to sectors.
    pub(in crate::catalog) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Its format.
    pub(in crate::catalog) fn format(&self) -> Format {
        self.format
    }

    /// The next run at or after `from` that may hold data, at most `max` bytes of it, beginning
    /// at a sector; `None` at the end.
    pub(super) fn next_data(&self, from: u64, max: usize) -> Result<Option<(u64, usize)>, Error> {
        if from >= self.size_bytes {
            return Ok(None);
        }
        let found = match &self.reader {
            Reader::Volume(reader) => reader
                .next_data(from)
                .map_err(StoreError::from)?
                .map(|offset| offset / SECTOR_BYTES * SECTOR_BYTES),
            Reader::Raw { file, .. } => match rustix::fs::seek(file, SeekFrom::Data(from)) {
                Ok(offset) => Some(offset / SECTOR_BYTES * SECTOR_BYTES),
                Err(rustix::io::Errno::NXIO) => None,
                // A file system without holes.
                Err(_) => Some(from),
            },
            Reader::Qcow2(source) => source.next_data(from).map_err(|e| self.failed(&e))?,
        };
        Ok(found.filter(|&offset| offset < self.size_bytes).map(|offset| {
            let offset = offset.max(from);
            let left = self.size_bytes - offset;
            (offset, usize::try_from(left).unwrap_or(max).min(max))
        }))
    }

    /// Fills `buf` from `offset` on; what is beyond the end of the source reads as zeros.
    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Error> {
        match &self.reader {
            Reader::Volume(reader) => {
                let data = up_to(buf, offset, reader.size_bytes());
                return match data.is_empty() {
                    true => Ok(()),
                    false => Ok(reader.read_at(offset, data).map_err(StoreError::from)?),
                };
            }
            Reader::Raw { file, file_bytes } => {
                file.read_exact_at(up_to(buf, offset, *file_bytes), offset)
            }
            Reader::Qcow2(source) => source.read_at(offset, buf),
        }
        .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        let message = format!("{}: {error}", self.path);
        Error::new(ErrorKind::Invalid, "source-unreadable", message)
    }
}

/// The part of `buf`, which is to be filled from `offset` on, that is before `end`; the rest is zeros
/// from now on.
fn up_to(buf: &mut [u8], offset: u64, end: u64) -> &mut [u8] {
    let there = end.saturating_sub(offset);
    let len = usize::try_from(there).unwrap_or(buf.len()).min(buf.len());
    let (data, rest) = buf.split_at_mut(len);
    rest.fill(0);
    data
}
