//! An open image or snapshot: copy-on-write on a chain of layers.

use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::files::{self, StoreDir};
use super::journal::{ATOMIC_WRITE_BYTES_MAX, Record};
use super::layer::{Chain, Layer, Map};
use super::state::ImageState;
use crate::backend::fileio::{self, WriteVec};
use crate::backend::pooled::{
    AtomicFailure, BLOCK_BYTES, COMPARE_AND_WRITE_BYTES_MAX, Core, Engine, Pooled,
};
use crate::backend::{ImageWriter, StoreError, StoreErrorKind};
use crate::block::{
    Buffer, Completion, CompletionQueue, Error, ErrorKind, Extent, Request, SavedState,
    StateRecord, Usage, Volume, VolumeInfo,
};

/// Most pieces of files that one question for extents looks at; the answer ends there.
const EXTENT_STEPS_MAX: usize = 4096;
/// Bytes an import writes at a time.
const IMPORT_BYTES: usize = 1 << 20;

/// What all openers of an image share.
pub(super) struct Layered {
    /// For messages: the image, and the snapshot.
    pub(super) name: String,
    /// Changed, with the chain, by a resize.
    pub(super) size_bytes: AtomicU64,
    pub(super) write_cache: bool,
    /// Swapped for one with a new head by a snapshot or a resize, while no request is at work.
    pub(super) chain: ArcSwap<Chain>,
    /// The record kept beside the data; snapshots have none.
    pub(super) state: Option<ImageState>,
    /// How many layers below the head are there for this image alone: what is left of snapshots
    /// that were removed.
    pub(super) own_below: AtomicUsize,
    /// Somebody has it open for writing.
    pub(super) writer: AtomicBool,
    /// The store stays locked as long as anything, a queued sync too, may still write.
    pub(super) _locked: Arc<StoreDir>,
}

impl Layered {
    /// Size in bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Acquire)
    }

    fn failed(&self, what: &str, error: &io::Error) -> Error {
        Error::from_io(error, &format!("{what} of {}", self.name))
    }

    /// Writes `buf`, and what is needed around it to make the blocks at its ends whole: what
    /// those that the top layer does not hold have below.
    fn write_blocks(&self, offset: u64, buf: &Buffer) -> io::Result<()> {
        let chain = self.chain.load();
        let top = chain.top();
        if matches!(top.map, Map::All) {
            return fileio::write(&top.data, offset, &mut buf.io_slices());
        }
        let end = offset + buf.len() as u64;
        let (first, last) = (offset / BLOCK_BYTES, (end - 1) / BLOCK_BYTES);
        let Range { start, end: stop } = self.with_copied(top, offset, end);

        let mut before = Buffer::unfilled((offset - start) as usize);
        let mut after = Buffer::unfilled((stop - end) as usize);
        chain.read(start, &mut before)?;
        chain.read(end, &mut after)?;
        let mut slices: WriteVec<'_> = before
            .slices()
            .chain(buf.slices())
            .chain(after.slices())
            .map(io::IoSlice::new)
            .collect();
        fileio::write(&top.data, start, &mut slices)?;
        top.mark(first, last + 1)
    }

    /// The bytes that a write of `offset..end` writes: with the rest of a block at its ends that
    /// the top layer does not hold.
    fn with_copied(&self, top: &Layer, offset: u64, end: u64) -> Range<u64> {
        let (first, last) = (offset / BLOCK_BYTES, (end - 1) / BLOCK_BYTES);
        let start = if top.holds(first) { offset } else { first * BLOCK_BYTES };
        let whole = ((last + 1) * BLOCK_BYTES).min(self.size_bytes());
        start..if top.holds(last) { end } else { whole }
    }

    /// Once the record is on stable storage there is no way back: whoever opens the image next
    /// finds it and puts it in its place.
    fn write_recorded(
        &self,
        offset: u64,
        buf: &Buffer,
        sync: &dyn Fn() -> Result<(), Error>,
    ) -> Result<(), AtomicFailure> {
        let failed = |error: io::Error| self.failed("atomic write", &error);
        let unchanged = |error| AtomicFailure::Unchanged(failed(error));
        let unknown = |error| AtomicFailure::Unknown(failed(error));
        let chain = self.chain.load();
        let top = chain.top();
        let Range { start, end } = self.with_copied(top, offset, offset + buf.len() as u64);
        // So that it can be put in its place even on a full file system.
        fileio::reserve(&top.data, start, end - start).map_err(unchanged)?;
        top.with_journal(
            |error| Err(unchanged(error)),
            |journal| {
                journal.write(offset, buf).map_err(unknown)?;
                self.write_blocks(offset, buf).map_err(unknown)?;
                sync().map_err(AtomicFailure::Unknown)?;
                journal.clear().map_err(unknown)
            },
        )
    }

    /// Puts an atomic write in its place that was begun before the image was closed, by a crash
    /// most likely.
    pub(super) fn replay(&self) -> Result<(), StoreError> {
        let chain = self.chain.load();
        let top = chain.top();
        let replayed = (|| {
            let Some((journal, record)) = top.open_journal()? else { return Ok(()) };
            if let Some(Record { offset, data }) = record {
                let end = offset.checked_add(data.len() as u64);
                if end.is_none_or(|end| end > self.size_bytes()) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "its journal has a write beyond its end",
                    ));
                }
                self.write_blocks(offset, &data)?;
                top.sync()?;
                journal.clear()?;
                tracing::info!(image = self.name, offset, "an interrupted atomic write is done");
            }
            *top.journal.lock() = Some(journal);
            Ok(())
        })();
        replayed.map_err(|error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::InvalidData => StoreErrorKind::Corrupt,
                _ => files::kind_of(&error),
            };
            StoreError::new(kind, format!("{}: {error}", self.name))
        })
    }

    fn zero_blocks(&self, offset: u64, len: u64) -> io::Result<()> {
        let chain = self.chain.load();
        let top = chain.top();
        if matches!(top.map, Map::All) {
            return fileio::zero(&top.data, offset, len);
        }
        let end = offset + len;
        let from = offset.next_multiple_of(BLOCK_BYTES);
        let to = if end == self.size_bytes() { end } else { end / BLOCK_BYTES * BLOCK_BYTES };
        if from >= to {
            return self.write_blocks(offset, &Buffer::zeroed(len as usize));
        }
        if offset < from {
            self.write_blocks(offset, &Buffer::zeroed((from - offset) as usize))?;
        }
        if to < end {
            self.write_blocks(to, &Buffer::zeroed((end - to) as usize))?;
        }
        fileio::zero(&top.data, from, to - from)?;
        top.mark(from / BLOCK_BYTES, to.div_ceil(BLOCK_BYTES))?;
        // What nobody else has below goes, too. After a loss of power the range reads as it was or
        // as zeros, whichever of the files were written back.
        let own = self.own_below.load(Ordering::Acquire);
        chain.layers[1..].iter().take(own).try_for_each(|layer| layer.punch(from, to))
    }

    /// Has the top layer hold what a range of whole blocks has in those below. What is nowhere reads as
    /// zeros, with those or without.
    pub(super) fn fill(&self, offset: u64, len: u64) -> Result<(), Error> {
        self.fill_blocks(offset, len).map_err(|error| self.failed("flattening", &error))
    }

    fn fill_blocks(&self, offset: u64, len: u64) -> io::Result<()> {
        let chain = self.chain.load();
        let top = chain.top();
        for run in chain.runs(offset, len) {
            if std::ptr::eq(run.layer, top) {
                continue;
            }
            let end = run.offset + run.len;
            let mut at = run.offset;
            while at < end {
                let (next, mapped) = fileio::run_end(&run.layer.data, at, end)?;
                let from = at / BLOCK_BYTES * BLOCK_BYTES;
                let to = next.next_multiple_of(BLOCK_BYTES).min(end);
                if mapped {
                    let mut buf = Buffer::unfilled((to - from) as usize);
                    chain.read(from, &mut buf)?;
                    fileio::write(&top.data, from, &mut buf.io_slices())?;
                    top.mark(from / BLOCK_BYTES, to.div_ceil(BLOCK_BYTES))?;
                } else {
                    // A write that a crash cut short may have left something there.
                    fileio::zero(&top.data, at, next - at)?;
                }
                at = if mapped { to } else { next };
            }
        }
        Ok(())
    }

    fn find_extents(&self, offset: u64, len: u64, max: usize) -> io::Result<Vec<Extent>> {
        let chain = self.chain.load();
        let mut found: Vec<Extent> = Vec::new();
        let mut steps = 0;
        for run in chain.runs(offset, len) {
            let end = run.offset + run.len;
            let mut at = run.offset;
            while at < end {
                let (next, mapped) = fileio::run_end(&run.layer.data, at, end)?;
                let full = found.len() == max;
                match found.last_mut() {
                    Some(last) if last.mapped == mapped => last.len += next - at,
                    _ if full => return Ok(found),
                    _ => found.push(Extent { offset: at, len: next - at, mapped }),
                }
                at = next;
                steps += 1;
                if steps == EXTENT_STEPS_MAX {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }
}

impl Engine for Layered {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            size_bytes: self.size_bytes(),
            read_only: false,
            write_cache: self.write_cache,
            physical_block_bytes: BLOCK_BYTES as u32,
            optimal_io_bytes: 0,
            discard_granularity_bytes: BLOCK_BYTES as u32,
            max_compare_and_write_bytes: COMPARE_AND_WRITE_BYTES_MAX,
            max_atomic_write_bytes: ATOMIC_WRITE_BYTES_MAX,
            atomic_write_boundary_bytes: 0,
            has_write_same: false,
        }
    }

    fn read_now(&self, offset: u64, buf: &mut Buffer) -> bool {
        self.chain.load().read_now(offset, buf)
    }

    fn read(&self, offset: u64, buf: &mut Buffer) -> Result<(), Error> {
        self.chain.load().read(offset, buf).map_err(|error| self.failed("read", &error))
    }

    fn write(&self, offset: u64, buf: &Buffer) -> Result<(), Error> {
        self.write_blocks(offset, buf).map_err(|error| self.failed("write", &error))
    }

    fn write_atomic(
        &self,
        offset: u64,
        buf: &Buffer,
        sync: &dyn Fn() -> Result<(), Error>,
    ) -> Result<(), AtomicFailure> {
        if buf.len() > ATOMIC_WRITE_BYTES_MAX as usize {
            return Err(AtomicFailure::Unchanged(ErrorKind::Unsupported.into()));
        }
        self.write_recorded(offset, buf, sync)
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), Error> {
        self.zero_blocks(offset, len).map_err(|error| self.failed("zeroing", &error))
    }

    fn extents(&self, offset: u64, len: u64, max: u32) -> Result<Vec<Extent>, Error> {
        self.find_extents(offset, len, max as usize)
            .map_err(|error| self.failed("search for extents", &error))
    }

    fn saved_state(&self) -> SavedState {
        self.state.as_ref().map_or(SavedState::Unsupported, ImageState::get)
    }

    fn save_state(&self, record: &StateRecord) -> Result<(), Error> {
        match &self.state {
            Some(state) => state.save(record),
            None => Err(ErrorKind::Unsupported.into()),
        }
    }

    fn sync(&self) -> Result<(), Error> {
        let chain = self.chain.load();
        let top = chain.top();
        top.sync().map_err(|error| {
            // Pages that the live map vouches for may be gone from the page cache.
            if let Err(error) = files::remove_if_there(&top.live) {
                tracing::error!(%error, path = %top.live.display(), "cannot remove a live map");
            }
            self.failed("sync", &error)
        })
    }

    fn writer_gone(&self) {
        self.writer.store(false, Ordering::Release);
    }
}

/// An open image or snapshot.
pub(super) struct LayeredVolume {
    volume: Pooled<Layered>,
}

impl LayeredVolume {
    /// Opens for reading.
    pub(super) fn read_only(core: Arc<Core<Layered>>) -> Self {
        Self { volume: Pooled::new(core, true) }
    }

    /// Opens for writing, as the only one.
    pub(super) fn writable(core: Arc<Core<Layered>>) -> Result<Self, StoreError> {
        if core.engine().writer.swap(true, Ordering::AcqRel) {
            let message = format!("{} is open for writing already", core.engine().name);
            return Err(StoreError::new(StoreErrorKind::InUse, message));
        }
        Ok(Self { volume: Pooled::new(core, false) })
    }
}

impl Volume for LayeredVolume {
    fn info(&self) -> VolumeInfo {
        self.volume.info()
    }

    /// What the top layer's file takes, and what its file system has left.
    fn usage(&self) -> Usage {
        let chain = self.volume.core().engine().chain.load();
        let data = &chain.top().data;
        let free =
            rustix::fs::fstatvfs(data).ok().map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
        // st_blocks counts in 512 bytes, whatever the file system's blocks are (stat(2)).
        let used = data.metadata().ok().map(|meta| meta.blocks() * 512);
        Usage { used_bytes: used, available_bytes: free }
    }

    fn has_failed(&self) -> bool {
        self.volume.has_failed()
    }

    fn saved_state(&self) -> SavedState {
        self.volume.saved_state()
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

impl ImageWriter for LayeredVolume {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let core = self.volume.core();
        let size = core.engine().size_bytes();
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > size) {
            let message = format!(
                "{} bytes at {offset} are beyond the end of {} ({size} bytes)",
                bytes.len(),
                core.engine().name
            );
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        for (piece, at) in bytes.chunks(IMPORT_BYTES).zip((offset..).step_by(IMPORT_BYTES)) {
            core.write(at, &Buffer::from_slice(piece))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), StoreError> {
        Ok(self.volume.core().sync()?)
    }
}
