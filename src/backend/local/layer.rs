//! Layers: the file of one, and a chain of them as what an image reads as.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::files::{self, LayerId, StoreDir};
use super::journal::{Journal, Record};
use super::map::{self, Bits, HeadMap, MapError, Sizes};
use crate::backend::fileio;
use crate::backend::pooled::BLOCK_BYTES;
use crate::backend::{StoreError, StoreErrorKind};
use crate::block::Buffer;

/// An open layer.
pub(super) struct Layer {
    pub(super) data: File,
    pub(super) map: Map,
    /// Where its live map is, if it has one.
    pub(super) live: PathBuf,
    id: LayerId,
    /// Size of the layer below in bytes.
    parent_bytes: Option<u64>,
    /// From this block on the layer holds all, as what is below ends there; changed by growth.
    all_from: AtomicU64,
    /// Of a head to which atomic writes go.
    pub(super) journal: Mutex<Option<Journal>>,
}

/// The first block that a layer below does not have as a whole, if the layer is longer than that.
fn all_from(parent_bytes: Option<u64>, size_bytes: u64) -> u64 {
    parent_bytes.filter(|below| *below < size_bytes).map_or(u64::MAX, |below| below / BLOCK_BYTES)
}

/// Which blocks a layer holds.
pub(super) enum Map {
    /// All: there is nothing below.
    All,
    /// These, and that never changes.
    Frozen(Bits),
    /// Those of the layer that is written.
    Head(HeadMap),
}

impl Layer {
    /// Whether the layer holds `block`, and up to where (before `end`) that surely is so.
    fn run(&self, block: u64, end: u64) -> (u64, bool) {
        let bits = match &self.map {
            Map::All => return (end, true),
            Map::Frozen(bits) => bits,
            Map::Head(map) => map.bits(),
        };
        let all_from = self.all_from.load(Ordering::Acquire);
        if block >= all_from { (end, true) } else { bits.run(block, end.min(all_from)) }
    }

    /// Whether the layer holds `block`.
    pub(super) fn holds(&self, block: u64) -> bool {
        self.run(block, block + 1).1
    }

    /// The layer, a head, holds the blocks `from..end` from now on: their data are written already.
    pub(super) fn mark(&self, from: u64, end: u64) -> io::Result<()> {
        let end = end.min(self.all_from.load(Ordering::Acquire));
        match &self.map {
            Map::Head(map) if from < end => map.mark(from, end),
            _ => Ok(()),
        }
    }

    /// Its file is as long as that now.
    pub(super) fn lengthened(&self, size_bytes: u64) {
        self.all_from.store(all_from(self.parent_bytes, size_bytes), Ordering::Release);
    }

    /// Puts what was written on stable storage, data before the bits that vouch for them.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.map {
            Map::Head(map) => map.sync(|| fileio::sync(&self.data)),
            Map::All => fileio::sync(&self.data),
            Map::Frozen(_) => Ok(()),
        }
    }

    /// Gives back what the file has of the bytes `from..to`, for good. Only of a layer that is no head, and
    /// that nobody reads there.
    pub(super) fn punch(&self, from: u64, to: u64) -> io::Result<()> {
        let file = File::options().write(true).open(self.live.with_extension("data"))?;
        let to = to.min(file.metadata()?.len());
        if from >= to {
            return Ok(());
        }
        fileio::zero(&file, from, to - from)?;
        fileio::sync(&file)
    }

    /// The journal that there is, and what is in it.
    pub(super) fn open_journal(&self) -> io::Result<Option<(Journal, Option<Record>)>> {
        Journal::open(&Journal::path(&self.live), self.id)
    }

    /// Nothing is written to the layer any more.
    pub(super) fn remove_journal(&self) {
        *self.journal.lock() = None;
        let path = Journal::path(&self.live);
        if let Err(error) = files::remove_if_there(&path) {
            // Empty, it does no harm.
            tracing::warn!(%error, path = %path.display(), "cannot remove a journal");
        }
    }

    /// The journal, made if there is none.
    pub(super) fn with_journal<T>(
        &self,
        no_journal: impl FnOnce(io::Error) -> T,
        act: impl FnOnce(&Journal) -> T,
    ) -> T {
        let mut journal = self.journal.lock();
        match &*journal {
            Some(journal) => act(journal),
            None => match Journal::create(&Journal::path(&self.live), self.id) {
                Ok(new) => act(journal.insert(new)),
                Err(error) => no_journal(error),
            },
        }
    }
}

/// Makes the files of a new layer. They are on stable storage afterwards, with their names.
pub(super) fn create(
    dir: &StoreDir,
    id: &LayerId,
    size_bytes: u64,
    has_parent: bool,
) -> Result<(), StoreError> {
    let made = (|| {
        let data = files::create_new(&dir.layer(id, "data"))?;
        data.set_len(size_bytes)?;
        // The map first: on a journaling file system its sync commits the data file's length and
        // both names as well, and the syncs after it have nothing left to do.
        if has_parent {
            map::create(&dir.layer(id, "map"), id, size_bytes)?;
        }
        data.sync_all()?;
        dir.sync_layers()
    })();
    made.map_err(|error: io::Error| {
        dir.remove_layer(id);
        let message = format!("cannot make a layer in {}: {error}", dir.path().display());
        StoreError::new(files::kind_of(&error), message)
    })
}

/// What is needed to open a layer.
pub(super) struct Opening<'a> {
    pub(super) dir: &'a StoreDir,
    pub(super) id: &'a LayerId,
    pub(super) size_bytes: u64,
    /// Size of the layer below in bytes.
    pub(super) parent_bytes: Option<u64>,
}

impl Opening<'_> {
    /// Opens the layer as one that never changes.
    pub(super) fn frozen(&self) -> Result<Layer, StoreError> {
        let data = self.data(false)?;
        let map = if let Some(sizes) = self.map_sizes() {
            let bits = map::load(&self.dir.layer(self.id, "map"), self.id, &sizes);
            Map::Frozen(bits.map_err(|error| self.map_failed(error))?)
        } else {
            Map::All
        };
        Ok(self.layer(data, map))
    }

    fn layer(&self, data: File, map: Map) -> Layer {
        Layer {
            data,
            map,
            live: self.dir.layer(self.id, "live"),
            id: *self.id,
            parent_bytes: self.parent_bytes,
            all_from: AtomicU64::new(all_from(self.parent_bytes, self.size_bytes)),
            journal: Mutex::default(),
        }
    }

    /// A layer's map has at least the blocks that the layer below has.
    fn map_sizes(&self) -> Option<Sizes> {
        self.parent_bytes.map(|below| below..=self.size_bytes)
    }

    /// Opens the layer as one that is written.
    pub(super) fn head(&self, write_cache: bool) -> Result<Layer, StoreError> {
        let data = self.data(true)?;
        let map = if let Some(sizes) = self.map_sizes() {
            let map = self.head_map(&data, &sizes, write_cache);
            Map::Head(map.map_err(|error| self.map_failed(error))?)
        } else {
            Map::All
        };
        Ok(self.layer(data, map))
    }

    fn head_map(&self, data: &File, sizes: &Sizes, write_cache: bool) -> Result<HeadMap, MapError> {
        let live = self.dir.layer(self.id, "live");
        let map = HeadMap::load(
            &self.dir.layer(self.id, "map"),
            &live,
            self.id,
            sizes,
            files::boot_id()?,
            write_cache,
        )?;
        if !write_cache {
            // What only the live map knew becomes durable before the live map goes.
            map.sync(|| fileio::sync(data))?;
            files::remove_if_there(&live)?;
        }
        Ok(map)
    }

    fn data(&self, write: bool) -> Result<File, StoreError> {
        let path = self.dir.layer(self.id, "data");
        let file = File::options().read(true).write(write).open(&path);
        let file = file.map_err(|error| self.failed("data", &error))?;
        let len = file.metadata().map_err(|error| self.failed("data", &error))?.len();
        // Longer is fine: growing the image was interrupted, and there are zeros.
        if len < self.size_bytes {
            let message =
                format!("{} is only {len} bytes long, not {}", path.display(), self.size_bytes);
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        Ok(file)
    }

    fn failed(&self, ending: &str, error: &io::Error) -> StoreError {
        let kind = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => StoreErrorKind::Corrupt,
            _ => files::kind_of(error),
        };
        let path = self.dir.layer(self.id, ending);
        StoreError::new(kind, format!("{}: {error}", path.display()))
    }

    fn map_failed(&self, error: MapError) -> StoreError {
        match error {
            MapError::Io(error) => self.failed("map", &error),
            MapError::Corrupt(what) => {
                let path = self.dir.layer(self.id, "map");
                let message = format!("{} or its live map is damaged: {what}", path.display());
                StoreError::new(StoreErrorKind::Corrupt, message)
            }
        }
    }
}

/// The layers of an image or snapshot, topmost first; the last one holds all blocks.
pub(super) struct Chain {
    pub(super) layers: Vec<Arc<Layer>>,
}

/// A run of bytes that one layer holds.
pub(super) struct Run<'a> {
    pub(super) layer: &'a Layer,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Chain {
    /// The layer on top.
    pub(super) fn top(&self) -> &Layer {
        &self.layers[0]
    }

    /// Which layer holds what of the bytes `offset..offset + len`, in ascending order.
    pub(super) fn runs(&self, offset: u64, len: u64) -> impl Iterator<Item = Run<'_>> {
        let end = offset + len;
        let mut at = offset;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (layer, run_end) = self.owner(at / BLOCK_BYTES, end.div_ceil(BLOCK_BYTES))?;
            let next = (run_end * BLOCK_BYTES).min(end);
            let run = Run { layer, offset: at, len: next - at };
            at = next;
            Some(run)
        })
    }

    /// The layer that holds `block`, and up to where (before `end`) it surely is the one.
    fn owner(&self, block: u64, end: u64) -> Option<(&Layer, u64)> {
        let mut end = end;
        // What is behind the end of a layer is never asked of it: the one above holds that.
        for layer in &self.layers {
            let (run_end, held) = layer.run(block, end);
            end = run_end;
            if held {
                return Some((layer, end));
            }
        }
        None
    }

    /// Fills `buf`.
    pub(super) fn read(&self, offset: u64, buf: &mut Buffer) -> io::Result<()> {
        for run in self.runs(offset, buf.len() as u64) {
            let (at, len) = ((run.offset - offset) as usize, run.len as usize);
            fileio::read(&run.layer.data, run.offset, buf, at, len)?;
        }
        Ok(())
    }

    /// Fills `buf` if the page cache has all of it.
    pub(super) fn read_now(&self, offset: u64, buf: &mut Buffer) -> bool {
        self.runs(offset, buf.len() as u64).all(|run| {
            let (at, len) = ((run.offset - offset) as usize, run.len as usize);
            fileio::read_now(&run.layer.data, run.offset, buf, at, len)
        })
    }
}
