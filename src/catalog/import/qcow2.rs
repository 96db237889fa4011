//! qcow2, read through the crate `imago`. The header is checked here first, so that nothing the
//! file refers to is opened and nothing is allocated by a number in it.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use imago::file::File as ImagoFile;
use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, Mapping, StorageOpenOptions};

use crate::catalog::error::{Error, ErrorKind};

const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Header of version 2; version 3 goes on.
const HEADER_V2_BYTES: usize = 72;
pub(in crate::catalog) const HEADER_V3_BYTES: usize = 104;
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// 32 MiB of L1 table, as QEMU has it.
const L1_ENTRIES_MAX: u32 = 4 << 20;
/// 8 MiB of refcount table, as QEMU has it.
const REFCOUNT_TABLE_MAX_BYTES: u64 = 8 << 20;

/// Incompatible features (docs/interop/qcow2 of QEMU).
const FEATURE_CORRUPT: u64 = 1 << 1;
const FEATURE_DATA_FILE: u64 = 1 << 2;
/// Dirty refcounts (they are not needed for reading), another compression type, extended L2
/// entries: the reader knows them or says so.
const FEATURES_READER: u64 = 1 | 1 << 3 | 1 << 4;

/// An open qcow2 file.
pub(super) struct Qcow2Source {
    access: FormatAccess<ImagoFile>,
    runtime: tokio::runtime::Runtime,
    /// Compressed clusters were seen.
    compressed: Cell<bool>,
}

impl Qcow2Source {
    /// Whether the file begins like one.
    pub(super) fn probe(file: &File) -> io::Result<bool> {
        let mut magic = [0; 4];
        match file.read_exact_at(&mut magic, 0) {
            Ok(()) => Ok(magic == MAGIC),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens one that stands alone.
    pub(super) fn open(file: File, path: &Path, size_max_bytes: u64) -> Result<Self, Error> {
        Self::check(&file, path, size_max_bytes)?;
        let unreadable = |error: io::Error| refused(path, "source-invalid", &error.to_string());
        // imago is async but waits for nothing: files are read in place.
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| {
            Error::new(ErrorKind::Internal, "no-runtime", format!("cannot read qcow2: {error}"))
        })?;
        let storage =
            ImagoFile::from_open_file(file, StorageOpenOptions::new()).map_err(unreadable)?;
        let builder = Qcow2::<ImagoFile>::builder(storage).backing(None).data_file(None);
        let image =
            runtime.block_on(builder.open(DenyImplicitOpenGate::default())).map_err(unreadable)?;
        Ok(Self { access: FormatAccess::new(image), runtime, compressed: Cell::new(false) })
    }

    /// Looks at the header of one: it must stand alone, and not be encrypted.
    pub(super) fn check(file: &File, path: &Path, size_max_bytes: u64) -> Result<(), Error> {
        let refused = |code, message: &str| refused(path, code, message);
        let mut header = [0; HEADER_V3_BYTES];
        file.read_exact_at(&mut header[..HEADER_V2_BYTES], 0)
            .map_err(|error| refused("source-invalid", &format!("no qcow2 header: {error}")))?;
        if header[4..8] == 3_u32.to_be_bytes() {
            file.read_exact_at(&mut header[HEADER_V2_BYTES..], HEADER_V2_BYTES as u64)
                .map_err(|error| refused("source-invalid", &format!("no qcow2 header: {error}")))?;
        }
        check_header(&header, size_max_bytes).map_err(|(code, message)| refused(code, &message))
    }

    /// Size of the disk in it.
    pub(super) fn size_bytes(&self) -> u64 {
        self.access.size()
    }

    /// Whether [`Self::next_data`] came by data that are compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.compressed.get()
    }

    /// The next byte at or after `from` that is mapped.
    pub(super) fn next_data(&self, from: u64) -> io::Result<Option<u64>> {
        let size_bytes = self.size_bytes();
        let mut at = from;
        while at < size_bytes {
            let (mapping, len) =
                self.runtime.block_on(self.access.get_mapping(at, size_bytes - at))?;
            match mapping {
                Mapping::Zero { .. } if len > 0 => at += len,
                Mapping::Zero { .. } | Mapping::Eof { .. } => return Ok(None),
                mapping => {
                    // Encrypted ones are refused before.
                    let special = matches!(mapping, Mapping::Special { .. });
                    self.compressed.set(self.compressed.get() || special);
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }

    /// Fills `buf`; what is beyond the end reads as zeros.
    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let there = self.size_bytes().saturating_sub(offset);
        let len = usize::try_from(there).unwrap_or(buf.len()).min(buf.len());
        let (data, rest) = buf.split_at_mut(len);
        rest.fill(0);
        if data.is_empty() {
            return Ok(());
        }
        self.runtime.block_on(self.access.read(data, offset))
    }
}

fn refused(path: &Path, code: &'static str, message: &str) -> Error {
    Error::invalid(code, format!("{}: {message}", path.display()))
}

fn check_header(
    header: &[u8; HEADER_V3_BYTES],
    size_max_bytes: u64,
) -> Result<(), (&'static str, String)> {
    let u32_at = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| header[at + i]));
    let u64_at = |at: usize| (u64::from(u32_at(at)) << 32) | u64::from(u32_at(at + 4));
    let fail = |code, message: &str| Err((code, message.to_owned()));
    if header[..4] != MAGIC {
        return fail("source-invalid", "not a qcow2 file");
    }
    let version = u32_at(4);
    let features = if version == 3 { u64_at(72) } else { 0 };
    let (cluster_bits, size_bytes, l1_entries) = (u32_at(20), u64_at(24), u32_at(36));
    if !matches!(version, 2 | 3) {
        return fail("source-unsupported", &format!("qcow2 version {version} is not known"));
    }
    if u64_at(8) != 0 {
        return fail(
            "source-has-backing-file",
            "names a backing file, which is not opened; make it stand alone first: \
             qemu-img convert -O qcow2 FILE NEW",
        );
    }
    if features & FEATURE_DATA_FILE != 0 {
        return fail(
            "source-has-data-file",
            "keeps its data in another file, which is not opened; make it stand alone first: \
             qemu-img convert -O qcow2 FILE NEW",
        );
    }
    if u32_at(32) != 0 {
        return fail("source-encrypted", "is encrypted; decrypt it first with qemu-img convert");
    }
    if features & FEATURE_CORRUPT != 0 {
        return fail("source-invalid", "is marked corrupt; try qemu-img check -r all");
    }
    if features & !FEATURES_READER != 0 {
        let message = format!("has unknown incompatible features {features:#x}");
        return fail("source-unsupported", &message);
    }
    if !CLUSTER_BITS.contains(&cluster_bits) {
        return fail("source-invalid", &format!("has clusters of 2^{cluster_bits} bytes"));
    }
    if size_bytes > size_max_bytes {
        let message = format!("a disk of {size_bytes} bytes; the limit is {size_max_bytes}");
        return fail("source-too-large", &message);
    }
    let refcount_table_bytes = u64::from(u32_at(56)) << cluster_bits;
    if l1_entries > L1_ENTRIES_MAX || refcount_table_bytes > REFCOUNT_TABLE_MAX_BYTES {
        return fail("source-invalid", "has tables larger than any disk needs");
    }
    Ok(())
}
