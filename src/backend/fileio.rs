//! Reads, writes, holes: what volumes do to files, whole or with an error.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags};
use smallvec::SmallVec;

#[cfg(test)]
use super::power_loss;
use crate::block::Buffer;

/// Most pieces of memory that one call of the kernel takes (`UIO_MAXIOV`).
const IOV_MAX: usize = 1024;
/// A piece of zeros, and how many of it one write takes: 1 MiB.
const ZEROS: &[u8] = &[0; 64 << 10];
const ZEROS_PER_WRITE: usize = 16;

/// An iovec for writing.
pub(super) type WriteVec<'a> = SmallVec<[IoSlice<'a>; 8]>;

/// The part `at..at + len` of `buf` as an iovec for reading into.
fn read_vec(buf: &mut Buffer, at: usize, len: usize) -> SmallVec<[IoSliceMut<'_>; 8]> {
    buf.range_mut(at, len).map(IoSliceMut::new).collect()
}

/// Fills `buf[at..at + len]` from `offset` of the file if the page cache has all of it.
pub(super) fn read_now(file: &File, offset: u64, buf: &mut Buffer, at: usize, len: usize) -> bool {
    let mut slices = read_vec(buf, at, len);
    let count = slices.len().min(IOV_MAX);
    let read = rustix::io::preadv2(file, &mut slices[..count], offset, ReadWriteFlags::NOWAIT);
    read == Ok(len)
}

/// Fills `buf[at..at + len]` from `offset` of the file.
pub(super) fn read(
    file: &File,
    mut offset: u64,
    buf: &mut Buffer,
    at: usize,
    len: usize,
) -> io::Result<()> {
    let mut slices = read_vec(buf, at, len);
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let count = rest.len().min(IOV_MAX);
        match rustix::io::preadv(file, &mut rest[..count], offset) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is cut")),
            Ok(read) => {
                IoSliceMut::advance_slices(&mut rest, read);
                offset += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Writes all of `slices` at `offset` of the file.
pub(super) fn write(
    file: &File,
    mut offset: u64,
    mut slices: &mut [IoSlice<'_>],
) -> io::Result<()> {
    #[cfg(test)]
    let _step = power_loss::begin_write(file, offset, slices.iter().map(|s| s.len() as u64).sum())?;
    while !slices.is_empty() {
        let count = slices.len().min(IOV_MAX);
        match rustix::io::pwritev(file, &slices[..count], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut slices, written);
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes the range read as zeros: by a hole, else by zeroing in the file system, else by writing.
pub(super) fn zero(file: &File, offset: u64, len: u64) -> io::Result<()> {
    #[cfg(test)]
    let _step = power_loss::begin_write(file, offset, len)?;
    let ways = [FallocateFlags::PUNCH_HOLE, FallocateFlags::ZERO_RANGE];
    for way in ways {
        match fallocate(file, way | FallocateFlags::KEEP_SIZE, offset, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV) => {}
            other => return other.map_err(Into::into),
        }
    }
    write_zeros(file, offset, len)
}

/// Writes zeros, 1 MiB at a time.
pub(super) fn write_zeros(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let end = offset + len;
    let mut at = offset;
    while at < end {
        let mut left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let mut slices = WriteVec::new();
        while left > 0 && slices.len() < ZEROS_PER_WRITE {
            let piece = &ZEROS[..left.min(ZEROS.len())];
            slices.push(IoSlice::new(piece));
            left -= piece.len();
        }
        let written: usize = slices.iter().map(|slice| slice.len()).sum();
        write(file, at, &mut slices)?;
        at += written as u64;
    }
    Ok(())
}

fn fallocate(file: &File, flags: FallocateFlags, offset: u64, len: u64) -> Result<(), Errno> {
    loop {
        match rustix::fs::fallocate(file, flags, offset, len) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Whether holes can be punched into this file: tried beyond its end, where it changes nothing.
pub(super) fn can_punch(file: &File, size_bytes: u64) -> bool {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(file, flags, size_bytes.next_multiple_of(4096), 4096).is_ok()
}

/// Takes space for the range, so that writing into it cannot fail for want of it; a file system
/// that knows no such thing is forgiven. The file's length stays.
pub(super) fn reserve(file: &File, offset: u64, len: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, offset, len) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        other => other.map_err(Into::into),
    }
}

/// Puts the file's data, and what is needed to read them, on stable storage.
pub(super) fn sync(file: &File) -> io::Result<()> {
    #[cfg(test)]
    let _step = power_loss::begin_sync(file)?;
    loop {
        match rustix::fs::fdatasync(file) {
            Err(Errno::INTR) => {}
            other => return other.map_err(Into::into),
        }
    }
}

/// The end of the run (of data: true, or a hole: false) that starts at `offset`, at most `end`.
pub(super) fn run_end(file: &File, offset: u64, end: u64) -> io::Result<(u64, bool)> {
    let data = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(data) => data,
        Err(Errno::NXIO) => return Ok((end, false)),
        // A block device, or a file system that cannot tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok((end, true)),
        Err(error) => return Err(error.into()),
    };
    if data > offset {
        return Ok((data.min(end), false));
    }
    let hole = rustix::fs::seek(file, SeekFrom::Hole(offset))?;
    Ok((hole.clamp(offset + 1, end), true))
}
