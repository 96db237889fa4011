//! Layers: the file of one, and a chain of them as what an image reads as.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::{self, LayerId, StoreDir};
use super::map::{self, Bits, HeadMap, MapError};
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
    /// Whether the layer holds `block`, and where before `end` that changes.
    fn run(&self, block: u64, end: u64) -> (u64, bool) {
        match &self.map {
            Map::All => (end, true),
            Map::Frozen(bits) => bits.run(block, end),
            Map::Head(map) => map.bits().run(block, end),
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
    pub(super) has_parent: bool,
}

impl Opening<'_> {
    /// Opens the layer as one that never changes.
    pub(super) fn frozen(&self) -> Result<Layer, StoreError> {
        let data = self.data(false)?;
        let map = if self.has_parent {
            let bits = map::load(&self.dir.layer(self.id, "map"), self.id, self.size_bytes);
            Map::Frozen(bits.map_err(|error| self.map_failed(error))?)
        } else {
            Map::All
        };
        Ok(Layer { data, map, live: self.dir.layer(self.id, "live") })
    }

    /// Opens the layer as one that is written.
    pub(super) fn head(&self, write_cache: bool) -> Result<Layer, StoreError> {
        let data = self.data(true)?;
        let map = if self.has_parent {
            Map::Head(self.head_map(&data, write_cache).map_err(|error| self.map_failed(error))?)
        } else {
            Map::All
        };
        Ok(Layer { data, map, live: self.dir.layer(self.id, "live") })
    }

    fn head_map(&self, data: &File, write_cache: bool) -> Result<HeadMap, MapError> {
        let live = self.dir.layer(self.id, "live");
        let map = HeadMap::load(
            &self.dir.layer(self.id, "map"),
            &live,
            self.id,
            self.size_bytes,
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
        if len != self.size_bytes {
            let message =
                format!("{} is {len} bytes long, not {}", path.display(), self.size_bytes);
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

    /// The layer on top, to be kept.
    pub(super) fn top_layer(&self) -> &Arc<Layer> {
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
