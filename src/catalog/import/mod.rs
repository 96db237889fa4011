//! Filling an image from a file on the gateway.

pub(super) mod look;
mod qcow2;
mod source;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::backend::ImageWriter;

use super::error::{Error, ErrorKind};
use super::model::Warning;
use look::HEAD_BYTES;
pub(super) use source::Source;

/// How much is read and written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Zeros are looked for in pieces of this size: what a file system's block usually is.
const ZERO_BYTES: usize = 4096;

/// How far an import has come, shared with whoever watches it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes of the source dealt with; holes count.
    pub(super) done_bytes: AtomicU64,
    /// Ask the import to stop.
    pub(super) cancel: AtomicBool,
}

impl Progress {
    /// # Errors
    /// `cancelled`, once that was asked for.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled", "the import was cancelled"));
        }
        Ok(())
    }
}

/// Copies `source` into `writer`: holes and zeros stay holes, the first sector is looked at.
pub(super) fn copy(
    source: &Source,
    writer: &mut dyn ImageWriter,
    fix_boot_chs: bool,
    progress: &Progress,
) -> Result<Vec<Warning>, Error> {
    let mut head = [0; HEAD_BYTES];
    source.read_at(0, &mut head)?;
    if fix_boot_chs {
        look::fix_boot_chs(&mut head);
    }
    let warnings = look::examine(&head);

    let mut buf = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while let Some((offset, len)) = source.next_data(at, CHUNK_BYTES)? {
        progress.check()?;
        let chunk = &mut buf[..len];
        source.read_at(offset, chunk)?;
        if offset < HEAD_BYTES as u64 {
            // Runs begin and end at sectors, so the head is in one piece.
            chunk[..HEAD_BYTES].copy_from_slice(&head);
        }
        write_nonzero(writer, offset, chunk)?;
        at = offset + len as u64;
        progress.done_bytes.store(at, Ordering::Relaxed);
    }
    progress.done_bytes.store(source.size_bytes(), Ordering::Relaxed);
    Ok(warnings)
}

/// Writes the runs of `bytes` that are not zero.
fn write_nonzero(writer: &mut dyn ImageWriter, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    let is_zero = |start: usize| {
        bytes[start..bytes.len().min(start + ZERO_BYTES)].iter().all(|&byte| byte == 0)
    };
    let mut start = 0;
    while start < bytes.len() {
        if is_zero(start) {
            start += ZERO_BYTES;
            continue;
        }
        let mut end = start + ZERO_BYTES;
        while end < bytes.len() && !is_zero(end) {
            end += ZERO_BYTES;
        }
        writer.write_at(offset + start as u64, &bytes[start..end.min(bytes.len())])?;
        start = end;
    }
    Ok(())
}
