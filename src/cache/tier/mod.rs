//! The second tier of the golden-image cache: what leaves memory goes to a file on a local disk, and
//! is read from there in place of the store.
//!
//! The file has no name and ends with the daemon. Nothing in it is believed: which slot holds which
//! blocks, and a hash of each block under a key that only this process knows, are in memory; what
//! does not match is read from the store. Threads of its own do all I/O, as its disk may hang.

mod index;
mod threads;

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::index::{Index, Slot};
use self::threads::{Queue, Read, Worker};
use super::geometry::{BLOCK_BYTES, BLOCKS, EXTENT_BYTES, bits, pieces};
use super::hash::Key;
use super::shard::Taken;
use super::store::Block;
use crate::block::{Completion, CompletionQueue, Done, Op, Request, Volume, VolumeInfo};

/// An extent that left memory.
type Evicted = (Key, Taken<Block>);

/// Bytes that wait to be written at most; what comes beyond is not kept.
const WRITING_BYTES_MAX: u64 = 8 << 20;

/// What the file is kept on.
trait Disk: Send + Sync + 'static {
    /// Fills `buf`.
    fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `buf`.
    fn write(&self, buf: &[u8], offset: u64) -> io::Result<()>;
}

impl Disk for File {
    fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buf, offset)
    }

    fn write(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(buf, offset)
    }
}

/// The file and what is known of it.
struct Contents {
    disk: Box<dyn Disk>,
    index: Index,
    secret: RandomState,
    writing_bytes: AtomicU64,
    hits: AtomicU64,
}

/// The file and its threads, which end with it.
pub(super) struct Tier {
    contents: Arc<Contents>,
    queue: Arc<Queue>,
}

impl Tier {
    /// A new file in `directory` that takes up to `bytes_max` bytes.
    pub(super) fn create(directory: &Path, bytes_max: u64) -> io::Result<Arc<Self>> {
        let random = RandomState::new().build_hasher().finish();
        let path = directory.join(format!(".stirrup-cache-{}-{random:016x}", std::process::id()));
        let open =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = open?;
        // Only this process has it from here on, and it is gone when that ends.
        std::fs::remove_file(&path)?;
        Self::on(Box::new(file), bytes_max)
    }

    fn on(disk: Box<dyn Disk>, bytes_max: u64) -> io::Result<Arc<Self>> {
        let contents = Arc::new(Contents {
            disk,
            index: Index::new((bytes_max / EXTENT_BYTES).max(1)),
            secret: RandomState::new(),
            writing_bytes: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        });
        let this = Self { contents, queue: Arc::default() };
        this.queue.start(&this.contents)?;
        Ok(Arc::new(this))
    }

    /// `volume`, which is source number `id`, with the file before it.
    pub(super) fn before(self: &Arc<Self>, id: u64, volume: Arc<dyn Volume>) -> Arc<dyn Volume> {
        Arc::new(Tiered { tier: Arc::clone(self), id, volume })
    }

    /// Reads that it answered.
    pub(super) fn hits(&self) -> u64 {
        self.contents.hits.load(Ordering::Relaxed)
    }

    /// Bytes of blocks that are in the file.
    pub(super) fn bytes(&self) -> u64 {
        self.contents.index.blocks() * BLOCK_BYTES
    }

    /// Keeps what left memory, unless there is more than can be written.
    pub(super) fn keep(&self, evicted: Vec<Evicted>) {
        let contents = &self.contents;
        let is_news = |(key, blocks): &Evicted| {
            let held = contents.index.held(*key);
            blocks.iter().any(|(at, _)| held & (1 << at) == 0)
        };
        let evicted: Vec<Evicted> = evicted.into_iter().filter(is_news).collect();
        let bytes = bytes_of(&evicted);
        if bytes == 0 {
            return;
        }
        if contents.writing_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > WRITING_BYTES_MAX {
            contents.writing_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return;
        }
        self.queue.write(evicted);
    }

    /// Whether all of it is there, and may be asked for.
    fn has(&self, id: u64, offset: u64, len: u64) -> bool {
        let held = |piece: super::geometry::Piece| {
            let key = Key::new(id, piece.extent);
            self.contents.index.find(key, piece.touched()).is_some()
        };
        self.queue.takes_reads() && pieces(offset, len).all(held)
    }
}

impl Drop for Tier {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn bytes_of(evicted: &[Evicted]) -> u64 {
    evicted.iter().map(|(_, blocks)| blocks.len() as u64 * BLOCK_BYTES).sum()
}

impl Contents {
    fn sum(&self, key: Key, at: usize, bytes: &[u8]) -> u64 {
        self.secret.hash_one((key, at, bytes))
    }

    /// Writes blocks to a slot that nobody knows meanwhile. Two that write the same slot leave
    /// what does not match, which is not believed.
    fn write_extent(&self, key: Key, blocks: &[(usize, Block)]) {
        let number = self.index.free(key);
        let mut slot = Slot { key, blocks: 0, sums: [0; BLOCKS], used: false };
        for (block, bytes) in blocks {
            let offset = number * EXTENT_BYTES + *block as u64 * BLOCK_BYTES;
            if self.disk.write(&bytes[..], offset).is_err() {
                // The disk is full, or worse: it goes without.
                return;
            }
            slot.blocks |= 1 << block;
            slot.sums[*block] = self.sum(key, *block, &bytes[..]);
        }
        self.index.put(number, slot);
    }

    /// The blocks of source `id` from `offset` on; `None`: not all of them are there, or one is not
    /// what was written.
    fn read_blocks(&self, id: u64, offset: u64, len: usize) -> Option<Vec<u8>> {
        let mut all = vec![0; len];
        for piece in pieces(offset, len as u64) {
            let key = Key::new(id, piece.extent);
            let (number, sums) = self.index.find(key, piece.touched())?;
            let bytes = &mut all[piece.at..piece.at + piece.len];
            let read = self.disk.read(bytes, number * EXTENT_BYTES + piece.within as u64);
            let mut blocks = bits(piece.touched()).zip(bytes.chunks(BLOCK_BYTES as usize));
            if read.is_err() || blocks.any(|(at, bytes)| self.sum(key, at, bytes) != sums[at]) {
                self.index.forget(key);
                return None;
            }
        }
        Some(all)
    }
}

impl Worker for Contents {
    fn read(&self, read: &Read) {
        let Some(bytes) = self.read_blocks(read.id, read.offset, read.len) else {
            read.ask_store();
            return;
        };
        // It took so long that the store was asked.
        let Some((Request { tag, op }, queue)) = read.take() else { return };
        let Op::Read { mut buf, .. } = op else { return };
        buf.copy_from(0, &bytes);
        self.hits.fetch_add(1, Ordering::Relaxed);
        queue.push(Completion { tag, result: Ok(Done::Data(buf)) });
    }

    fn write(&self, evicted: Vec<Evicted>) {
        let bytes = bytes_of(&evicted);
        evicted.iter().for_each(|(key, blocks)| self.write_extent(*key, blocks));
        self.writing_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A parent snapshot that is read from the tier where that has it. Reads are whole blocks.
struct Tiered {
    tier: Arc<Tier>,
    id: u64,
    volume: Arc<dyn Volume>,
}

impl Volume for Tiered {
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
        for request in requests.drain(..) {
            let range = match &request.op {
                Op::Read { offset, buf } => Some((self.id, *offset, buf.len())),
                _ => None,
            };
            let range = range.filter(|(id, at, len)| self.tier.has(*id, *at, *len as u64));
            let Some(range) = range else {
                self.volume.submit(&mut vec![request], done, queue);
                continue;
            };
            let read = Read::new(range, &self.volume, request, queue);
            if !self.tier.queue.read(&read) {
                read.ask_store();
            }
        }
    }
}

#[cfg(test)]
mod tests;
