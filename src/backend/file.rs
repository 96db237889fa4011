//! A raw file or a block device as a volume.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::fileio::{self, WriteVec};
use super::pool::Pool;
use super::pooled::{BLOCK_BYTES, COMPARE_AND_WRITE_BYTES_MAX, Core, Engine, Pooled};
use super::{StoreError, StoreErrorKind};
use crate::block::{
    Buffer, Completion, CompletionQueue, Error, Extent, Request, Volume, VolumeInfo,
};

/// Sectors are the smallest logical blocks there are; a size must be a multiple, in bytes.
const SECTOR_BYTES: u64 = 512;

/// How a [`FileVolume`] is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// Refuse writes; any number of readers may share the file.
    pub read_only: bool,
    /// Complete writes when they are in the page cache, and report a volatile write cache. When
    /// false, a write completes when it is on stable storage.
    pub write_cache: bool,
}

/// A raw file or a block device. While it is open an advisory lock (`flock`) on it keeps other
/// daemons away: shared for reading, exclusive for writing.
pub struct FileVolume {
    volume: Pooled<RawFile>,
}

struct RawFile {
    file: File,
    name: String,
    info: VolumeInfo,
}

impl FileVolume {
    /// Opens the file at `path`; its size must be a multiple of 512 bytes, and not zero.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::InUse`] when it is locked by another
    /// process or mounted; [`StoreErrorKind::Invalid`] when it cannot be a disk;
    /// [`StoreErrorKind::Io`].
    pub fn open(path: &Path, options: FileOptions, pool: &Arc<Pool>) -> Result<Self, StoreError> {
        Self::of(&Found::at(path)?, options, pool)
    }

    /// As [`Self::open`], of what was found before.
    pub(super) fn of(
        found: &Found,
        options: FileOptions,
        pool: &Arc<Pool>,
    ) -> Result<Self, StoreError> {
        let name = found.name.clone();
        let file = open_exclusively(found, options.read_only)?;
        let size_bytes = size_of(&file, &name)?;
        let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
        let can_punch = !is_file || fileio::can_punch(&file, size_bytes);
        let info = VolumeInfo {
            size_bytes,
            read_only: options.read_only,
            write_cache: options.write_cache && !options.read_only,
            physical_block_bytes: BLOCK_BYTES as u32,
            optimal_io_bytes: 0,
            discard_granularity_bytes: if can_punch { BLOCK_BYTES as u32 } else { 0 },
            max_compare_and_write_bytes: COMPARE_AND_WRITE_BYTES_MAX,
            // Written in place: a loss of power may leave any part of it.
            max_atomic_write_bytes: 0,
            atomic_write_boundary_bytes: 0,
            has_write_same: false,
        };
        let core = Core::new(RawFile { file, name, info }, Arc::clone(pool));
        Ok(Self { volume: Pooled::new(core, options.read_only) })
    }
}

/// A regular file or a block device that was found, and not opened: nothing happens to a device, and
/// nobody waits for the other end of a FIFO. What it is opened as is this very one, whatever has its
/// name by then.
pub(super) struct Found {
    /// Opened with `O_PATH`.
    handle: File,
    name: String,
    metadata: Metadata,
}

impl Found {
    /// Follows links.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; [`StoreErrorKind::Invalid`] for what is neither a regular file
    /// nor a block device; [`StoreErrorKind::Io`].
    pub(super) fn at(path: &Path) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let handle = File::from(handle.map_err(|error| cannot_open(&name, &error.into()))?);
        let metadata = handle.metadata().map_err(|error| cannot_open(&name, &error))?;
        if !metadata.is_file() && !metadata.file_type().is_block_device() {
            let message = format!("{name} is neither a file nor a block device");
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        Ok(Self { handle, name, metadata })
    }

    /// What the kernel knows it by.
    fn link(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.handle.as_raw_fd()).into()
    }

    /// Where it is, without links.
    pub(super) fn path(&self) -> Result<PathBuf, StoreError> {
        std::fs::read_link(self.link()).map_err(|error| cannot_open(&self.name, &error))
    }

    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Its size in bytes. Of a device the metadata tells none.
    pub(super) fn size_bytes(&self) -> Result<u64, StoreError> {
        match self.metadata.is_file() {
            true => Ok(self.metadata.len()),
            false => end_of(&self.open(OFlags::RDONLY)?, &self.name),
        }
    }

    fn open(&self, flags: OFlags) -> Result<File, StoreError> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(self.link(), flags, Mode::empty());
        Ok(file.map_err(|error| cannot_open(&self.name, &error.into()))?.into())
    }
}

fn cannot_open(name: &str, error: &io::Error) -> StoreError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => StoreErrorKind::NotFound,
        io::ErrorKind::ResourceBusy => StoreErrorKind::InUse,
        _ => StoreErrorKind::Io,
    };
    StoreError::new(kind, format!("cannot open {name}: {error}"))
}

/// Opens and locks.
fn open_exclusively(found: &Found, read_only: bool) -> Result<File, StoreError> {
    let (flags, lock) = match read_only {
        true => (OFlags::RDONLY, FlockOperation::NonBlockingLockShared),
        // The kernel refuses to open a mounted block device so (O_EXCL without O_CREAT).
        false if !found.metadata.is_file() => {
            (OFlags::RDWR | OFlags::EXCL, FlockOperation::NonBlockingLockExclusive)
        }
        false => (OFlags::RDWR, FlockOperation::NonBlockingLockExclusive),
    };
    let file = found.open(flags)?;
    match rustix::fs::flock(&file, lock) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(StoreError::new(
            StoreErrorKind::InUse,
            format!(
                "{} is in use by another process (lslocks shows it); stop that one first",
                found.name
            ),
        )),
        Err(error) => Err(cannot_open(&found.name, &error.into())),
    }
}

fn end_of(file: &File, name: &str) -> Result<u64, StoreError> {
    rustix::fs::seek(file, SeekFrom::End(0)).map_err(|error| {
        StoreError::new(StoreErrorKind::Io, format!("cannot tell the size of {name}: {error}"))
    })
}

fn size_of(file: &File, name: &str) -> Result<u64, StoreError> {
    let size_bytes = end_of(file, name)?;
    if size_bytes == 0 || !size_bytes.is_multiple_of(SECTOR_BYTES) {
        let message = format!(
            "{name} cannot be a disk: its size ({size_bytes} bytes) must be a multiple of \
             {SECTOR_BYTES}, and not zero (truncate -s changes it)"
        );
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    Ok(size_bytes)
}

impl RawFile {
    fn failed(&self, what: &str, error: &io::Error) -> Error {
        Error::from_io(error, &format!("{what} of {}", self.name))
    }
}

impl Engine for RawFile {
    fn info(&self) -> VolumeInfo {
        self.info
    }

    fn read_now(&self, offset: u64, buf: &mut Buffer) -> bool {
        let len = buf.len();
        fileio::read_now(&self.file, offset, buf, 0, len)
    }

    fn read(&self, offset: u64, buf: &mut Buffer) -> Result<(), Error> {
        let len = buf.len();
        fileio::read(&self.file, offset, buf, 0, len).map_err(|error| self.failed("read", &error))
    }

    fn write(&self, offset: u64, buf: &Buffer) -> Result<(), Error> {
        let mut slices: WriteVec<'_> = buf.io_slices();
        fileio::write(&self.file, offset, &mut slices).map_err(|error| self.failed("write", &error))
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), Error> {
        fileio::zero(&self.file, offset, len).map_err(|error| self.failed("zeroing", &error))
    }

    fn extents(&self, offset: u64, len: u64, max: u32) -> Result<Vec<Extent>, Error> {
        let end = offset + len;
        let mut found = Vec::new();
        let mut at = offset;
        while at < end && found.len() < max as usize {
            let (next, mapped) = fileio::run_end(&self.file, at, end)
                .map_err(|error| self.failed("search for holes", &error))?;
            found.push(Extent { offset: at, len: next - at, mapped });
            at = next;
        }
        Ok(found)
    }

    fn sync(&self) -> Result<(), Error> {
        fileio::sync(&self.file).map_err(|error| self.failed("sync", &error))
    }
}

impl Volume for FileVolume {
    fn info(&self) -> VolumeInfo {
        self.volume.info()
    }

    fn has_failed(&self) -> bool {
        self.volume.has_failed()
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        self.volume.submit(requests, done, queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::conformance::{Disk, pattern};
    use crate::backend::power_loss::Power;
    use crate::block::{Done, ErrorKind, Op};

    const SIZE: u64 = 4 << 20;
    const WRITABLE: FileOptions = FileOptions { read_only: false, write_cache: false };

    fn scratch() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        file
    }

    fn pool() -> Arc<Pool> {
        Pool::start(4).unwrap()
    }

    #[test]
    fn bytes_go_to_the_file_and_come_from_it() {
        for write_cache in [false, true] {
            let file = scratch();
            let options = FileOptions { write_cache, ..WRITABLE };
            let volume = FileVolume::open(file.path(), options, &pool()).unwrap();
            assert_eq!((volume.info().size_bytes, volume.info().write_cache), (SIZE, write_cache));
            let disk = Disk::new(Arc::new(volume));
            let mut wanted = vec![0; SIZE as usize];
            for i in 0..40_usize {
                let (at, len) = (i * 99_840, 512 * (i + 1));
                let bytes = pattern(i as u64, len);
                disk.write(at as u64, &bytes);
                wanted[at..at + len].copy_from_slice(&bytes);
            }
            disk.run(Op::Discard { offset: 99_840, len: 4608 }).unwrap();
            disk.run(Op::WriteZeroes { offset: 512, len: 8192, fua: true }).unwrap();
            wanted[99_840..][..4608].fill(0);
            wanted[512..][..8192].fill(0);
            disk.run(Op::Flush).unwrap();
            assert!(disk.read(0, SIZE as usize) == wanted);
            assert!(std::fs::read(file.path()).unwrap() == wanted);
        }
    }

    #[test]
    fn reads_in_the_page_cache_are_answered_in_submit() {
        let file = scratch();
        std::fs::write(file.path(), pattern(1, SIZE as usize)).unwrap();
        let mut byte = [0];
        let mut slices = [io::IoSliceMut::new(&mut byte)];
        let nowait = rustix::io::ReadWriteFlags::NOWAIT;
        if rustix::io::preadv2(file.as_file(), &mut slices, 0, nowait) == Err(Errno::OPNOTSUPP) {
            return; // Such a file system (tmpfs, some of FUSE) always takes a thread.
        }
        let volume = FileVolume::open(file.path(), WRITABLE, &pool()).unwrap();
        let op = Op::Read { offset: 4096, buf: Buffer::unfilled(8192) };
        let (mut requests, mut done) = (vec![Request { tag: 1, op }], Vec::new());
        volume.submit(&mut requests, &mut done, &Arc::new(CompletionQueue::new()));
        assert!(matches!(&done[0].result, Ok(Done::Data(buf)) if buf.len() == 8192));
    }

    #[test]
    fn a_discard_gives_space_back_and_shows_in_the_extents() {
        let file = scratch();
        let volume = FileVolume::open(file.path(), WRITABLE, &pool()).unwrap();
        let can_punch = volume.info().discard_granularity_bytes > 0;
        let disk = Disk::new(Arc::new(volume));
        disk.write(0, &pattern(1, 1 << 20));
        disk.run(Op::Discard { offset: 65_536, len: 65_536 }).unwrap();
        let Done::Extents(extents) =
            disk.run(Op::Extents { offset: 512, len: SIZE - 512, max: 3 }).unwrap()
        else {
            panic!("no extents");
        };
        if can_punch {
            assert_eq!(
                extents,
                [
                    Extent { offset: 512, len: 65_536 - 512, mapped: true },
                    Extent { offset: 65_536, len: 65_536, mapped: false },
                    Extent { offset: 131_072, len: (1 << 20) - 131_072, mapped: true },
                ]
            );
        }
    }

    #[test]
    fn zeros_are_written_where_no_hole_can_be() {
        let file = scratch();
        let raw = File::options().write(true).read(true).open(file.path()).unwrap();
        fileio::write(&raw, 0, &mut [io::IoSlice::new(&vec![7; 3_000_000])]).unwrap();
        fileio::write_zeros(&raw, 1000, 2_000_000).unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(bytes[..1000].iter().all(|byte| *byte == 7));
        assert!(bytes[1000..2_001_000].iter().all(|byte| *byte == 0));
        assert!(bytes[2_001_000..3_000_000].iter().all(|byte| *byte == 7));
    }

    #[test]
    fn one_writer_or_many_readers() {
        let file = scratch();
        let pool = pool();
        let read_only = FileOptions { read_only: true, ..WRITABLE };
        let kind = |options| FileVolume::open(file.path(), options, &pool).err().map(|e| e.kind());
        let writer = FileVolume::open(file.path(), WRITABLE, &pool).unwrap();
        assert_eq!(kind(WRITABLE), Some(StoreErrorKind::InUse));
        assert_eq!(kind(read_only), Some(StoreErrorKind::InUse));
        drop(writer);
        let reader = FileVolume::open(file.path(), read_only, &pool).unwrap();
        assert_eq!(kind(read_only), None);
        assert_eq!(kind(WRITABLE), Some(StoreErrorKind::InUse));
        let disk = Disk::new(Arc::new(reader));
        let write = Op::Write { offset: 0, buf: Buffer::zeroed(512), fua: false };
        assert_eq!(disk.run(write).unwrap_err().kind(), ErrorKind::ReadOnly);
    }

    #[test]
    fn a_failed_sync_is_final() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        File::create(&path).unwrap().set_len(SIZE).unwrap();
        let volume = Arc::new(FileVolume::open(&path, WRITABLE, &pool()).unwrap());
        let disk = Disk::new(Arc::clone(&volume) as _);
        let write = || Op::Write { offset: 0, buf: Buffer::zeroed(512), fua: false };
        // The write is done; its sync is not.
        let broken = Power::watch(dir.path(), 1, io::ErrorKind::Other);
        assert!(!volume.has_failed());
        disk.run(write()).unwrap_err();
        broken.restore();
        assert!(volume.has_failed());
        disk.run(write()).unwrap_err();
    }

    #[test]
    fn what_cannot_be_a_disk_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pool = pool();
        let kind = |path: &Path| FileVolume::open(path, WRITABLE, &pool).err().map(|e| e.kind());
        assert_eq!(kind(&dir.path().join("none")), Some(StoreErrorKind::NotFound));
        let odd = dir.path().join("odd");
        std::fs::write(&odd, [0; 1000]).unwrap();
        assert_eq!(kind(&odd), Some(StoreErrorKind::Invalid));
        std::fs::write(&odd, []).unwrap();
        assert_eq!(kind(&odd), Some(StoreErrorKind::Invalid));
        let fifo = dir.path().join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
        assert_eq!(kind(&fifo), Some(StoreErrorKind::Invalid));
        assert!(FileVolume::open(dir.path(), WRITABLE, &pool).is_err());
    }

    #[test]
    fn a_file_cut_behind_our_back_is_an_error_and_no_zeros() {
        let file = scratch();
        let volume = FileVolume::open(file.path(), WRITABLE, &pool()).unwrap();
        file.as_file().set_len(SIZE / 2).unwrap();
        let disk = Disk::new(Arc::new(volume));
        let read = Op::Read { offset: SIZE - 4096, buf: Buffer::unfilled(4096) };
        assert_eq!(disk.run(read).unwrap_err().kind(), ErrorKind::Medium);
    }
}
