//! The journal of a head: an atomic write, kept until it is in its place
//! (`docs/local-store.md`, "Atomic writes").

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::files::{self, LayerId};
use crate::backend::fileio::{self, WriteVec};
use crate::block::Buffer;

/// Largest atomic write, in bytes.
pub(super) const ATOMIC_WRITE_BYTES_MAX: u32 = 1 << 20;
const HEADER_BYTES: usize = 512;
const FILE_BYTES: u64 = HEADER_BYTES as u64 + ATOMIC_WRITE_BYTES_MAX as u64;
const MAGIC: &[u8; 8] = b"STIRRATM";
const VERSION: u32 = 1;
const CHECKSUM_AT: usize = 508;

type Header = [u8; HEADER_BYTES];

/// A journal that is open. There is at most one record in it.
pub(super) struct Journal {
    file: File,
    layer: LayerId,
}

/// A write that was begun and has to be put in its place (again).
pub(super) struct Record {
    pub(super) offset: u64,
    pub(super) data: Buffer,
}

impl Journal {
    /// Where a layer has it; `live` is the path of its live map.
    pub(super) fn path(live: &Path) -> PathBuf {
        live.with_extension("atomic")
    }

    /// Makes an empty one. It is on stable storage afterwards, with its name.
    pub(super) fn create(path: &Path, layer: LayerId) -> io::Result<Self> {
        let made = (|| {
            let file = files::create_new(path)?;
            file.set_len(FILE_BYTES)?;
            fileio::reserve(&file, 0, FILE_BYTES)?;
            file.sync_all()?;
            let directory = path.parent().ok_or(io::ErrorKind::NotFound)?;
            File::open(directory)?.sync_all()?;
            Ok(Self { file, layer })
        })();
        made.inspect_err(|_| drop(files::remove_if_there(path)))
    }

    /// Opens the one that is there, and takes the record out that it holds. `Ok(None)`: there is
    /// no journal.
    pub(super) fn open(path: &Path, layer: LayerId) -> io::Result<Option<(Self, Option<Record>)>> {
        let file = match File::options().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if file.metadata()?.len() < FILE_BYTES {
            // Making it was interrupted.
            file.set_len(FILE_BYTES)?;
            fileio::reserve(&file, 0, FILE_BYTES)?;
        }
        let journal = Self { file, layer };
        let record = journal.record()?;
        if record.is_none() {
            // One that was torn. It must not become whole, by the data of the next one, later.
            journal.clear()?;
        }
        Ok(Some((journal, record)))
    }

    /// Puts the record on stable storage that `data` are to be at `offset`.
    pub(super) fn write(&self, offset: u64, data: &Buffer) -> io::Result<()> {
        let checksum = data.slices().fold(0, crc32c::crc32c_append);
        let header = self.header(offset, data.len() as u32, checksum);
        let mut slices: WriteVec<'_> =
            std::iter::once(&header[..]).chain(data.slices()).map(IoSlice::new).collect();
        fileio::write(&self.file, 0, &mut slices)?;
        fileio::sync(&self.file)
    }

    /// Takes the record back: the write is in its place. On stable storage afterwards.
    pub(super) fn clear(&self) -> io::Result<()> {
        fileio::write(&self.file, 0, &mut [IoSlice::new(&[0; HEADER_BYTES])])?;
        fileio::sync(&self.file)
    }

    /// The record, if there is a whole one. A record that is not was never on stable storage, so
    /// its write had not begun.
    fn record(&self) -> io::Result<Option<Record>> {
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut header, 0)?;
        let number = |at| u32::from_le_bytes(std::array::from_fn(|i| header[at + i]));
        let (len, checksum) = (number(12), number(40));
        let offset = u64::from_le_bytes(std::array::from_fn(|i| header[32 + i]));
        let sound = header == self.header(offset, len, checksum);
        if !sound || !(1..=ATOMIC_WRITE_BYTES_MAX).contains(&len) {
            return Ok(None);
        }
        let mut data = Buffer::unfilled(len as usize);
        fileio::read(&self.file, HEADER_BYTES as u64, &mut data, 0, len as usize)?;
        let whole = data.slices().fold(0, crc32c::crc32c_append) == checksum;
        Ok(whole.then_some(Record { offset, data }))
    }

    fn header(&self, offset: u64, len: u32, data_checksum: u32) -> Header {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&len.to_le_bytes());
        header[16..32].copy_from_slice(self.layer.as_bytes());
        header[32..40].copy_from_slice(&offset.to_le_bytes());
        header[40..44].copy_from_slice(&data_checksum.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..CHECKSUM_AT]);
        header[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_record_of_this_layer_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.atomic");
        let layer = LayerId::random().unwrap();
        let open = |layer| Journal::open(&path, layer).unwrap().unwrap().1;
        assert!(Journal::open(&path, layer).unwrap().is_none());
        let journal = Journal::create(&path, layer).unwrap();
        assert!(open(layer).is_none());
        let data: Vec<u8> = (0..3000_u32).map(|i| i as u8).collect();
        let data = &[&data[..], &[7; 72]].concat();
        journal.write(1536, &Buffer::from_slice(data)).unwrap();
        let good = std::fs::read(&path).unwrap();
        let record = open(layer).unwrap();
        assert_eq!((record.offset, record.data.to_vec()), (1536, data.clone()));
        for at in (0..HEADER_BYTES + data.len()).step_by(5) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(open(layer).is_none(), "byte {at}");
            // And it is gone for good, whatever comes behind the header.
            assert!(std::fs::read(&path).unwrap()[..HEADER_BYTES].iter().all(|byte| *byte == 0));
        }
        std::fs::write(&path, &good).unwrap();
        assert!(open(LayerId::random().unwrap()).is_none(), "another layer's");
        std::fs::write(&path, &good).unwrap();
        let (journal, record) = Journal::open(&path, layer).unwrap().unwrap();
        assert!(record.is_some());
        journal.clear().unwrap();
        assert!(open(layer).is_none());
    }
}
