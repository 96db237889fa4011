//! Filling an image from a file on the gateway, or from another image.

pub(super) mod look;
mod qcow2;
mod source;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::backend::{ImageWriter, StoreError, VolumeReader};

use super::error::{Error, ErrorKind};
use super::model::Warning;
use look::{HEAD_BYTES, LOOK_BYTES};
pub(super) use qcow2::HEADER_V3_BYTES as QCOW2_HEADER_BYTES;
pub(super) use source::{SECTOR_BYTES, Source};

/// How much is read and written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Zeros are looked for in pieces of this size: what a file system's block usually is.
const ZERO_BYTES: usize = 4096;

/// How far an import has come, shared with whoever watches it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes of the source dealt with; holes count.
    pub(super) done_bytes: AtomicU64,
    cancel: AtomicBool,
    cancelled: Notify,
}

impl Progress {
    /// Asks the import to stop.
    pub(super) fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.cancelled.notify_waiters();
    }

    /// Until it is asked to stop.
    pub(super) async fn cancelled(&self) {
        // Told of what comes from here on, so nothing is missed after the look.
        let told = self.cancelled.notified();
        if !self.cancel.load(Ordering::Relaxed) {
            told.await;
        }
    }

    /// # Errors
    /// `cancelled`, once that was asked for.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled", "the import was cancelled"));
        }
        Ok(())
    }
}

/// Copies `source` into `writer`: holes and zeros stay holes. The answer is what there is to say of
/// the source.
pub(super) fn copy(
    source: &Source,
    writer: &mut dyn ImageWriter,
    fix_boot_chs: bool,
    progress: &Progress,
) -> Result<Vec<Warning>, Error> {
    let mut head = vec![0; look_bytes(source.size_bytes())];
    source.read_at(0, &mut head)?;
    if fix_boot_chs {
        look::fix_boot_chs(&mut head);
    }
    let mut warnings = look::examine(&head, source.size_bytes());

    let mut buf = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while let Some((offset, len)) = source.next_data(at, CHUNK_BYTES)? {
        progress.check()?;
        let chunk = &mut buf[..len];
        source.read_at(offset, chunk)?;
        if offset < HEAD_BYTES as u64 {
            // Runs begin and end at sectors, so the head is in one piece.
            chunk[..HEAD_BYTES].copy_from_slice(&head[..HEAD_BYTES]);
        }
        write_nonzero(writer, offset, chunk)?;
        at = offset + len as u64;
        progress.done_bytes.store(at, Ordering::Relaxed);
    }
    progress.done_bytes.store(source.size_bytes(), Ordering::Relaxed);
    if source.is_compressed() {
        warnings.push(Warning {
            code: "compressed".to_owned(),
            message: "the qcow2 file is compressed; the image is not, and takes more space"
                .to_owned(),
        });
    }
    Ok(warnings)
}

fn look_bytes(size_bytes: u64) -> usize {
    usize::try_from(size_bytes).unwrap_or(LOOK_BYTES).min(LOOK_BYTES)
}

/// Looks at an image that is there already, and mends it if asked.
pub(super) fn look_at(
    image: &VolumeReader,
    writer: &mut dyn ImageWriter,
    fix_boot_chs: bool,
) -> Result<Vec<Warning>, Error> {
    let size_bytes = image.size_bytes();
    let mut head = vec![0; look_bytes(size_bytes)];
    image.read_at(0, &mut head).map_err(StoreError::from)?;
    if fix_boot_chs && look::fix_boot_chs(&mut head) {
        writer.write_at(0, &head[..HEAD_BYTES])?;
    }
    Ok(look::examine(&head, size_bytes))
}

/// Writes the runs of `bytes` that are not zero.
pub(super) fn write_nonzero(
    writer: &mut dyn ImageWriter,
    offset: u64,
    bytes: &[u8],
) -> Result<(), Error> {
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
