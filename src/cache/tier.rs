//! The second tier of the golden-image cache: what leaves memory goes to a file on a local disk, and
//! is read from there in place of the store.
//!
//! The file has no name and ends with the daemon. Nothing in it is believed: which slot holds which
//! blocks, and a hash of each block under a key that only this process knows, are in memory; what
//! does not match is read from the store. All I/O is done by [`Threads`].

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::geometry::{BLOCK_BYTES, BLOCKS, EXTENT_BYTES, Mask, bits, pieces};
use super::hash::{Key, Seeded};
use super::shard::Taken;
use super::store::Block;
use crate::block::{Buffer, Completion, CompletionQueue, Done, Op, Request, Volume, VolumeInfo};
use parking_lot::Mutex;

/// Something to be done on a thread that may wait.
pub type Job = Box<dyn FnOnce() + Send>;

/// Threads that may wait for a disk.
pub trait Threads: Send + Sync + 'static {
    /// Has `job` done soon. Never waits.
    fn run(&self, job: Job);
}

/// An extent that left memory.
type Evicted = (Key, Taken<Block>);

/// Bytes that wait to be written at most; what comes beyond is not kept.
const WRITING_BYTES_MAX: u64 = 8 << 20;

/// What is in one slot of the file.
struct Slot {
    key: Key,
    blocks: Mask,
    sums: [u64; BLOCKS],
    /// It was read since the hand came by.
    used: bool,
}

#[derive(Default)]
struct Index {
    slots: Vec<Option<Slot>>,
    /// Slots that hold what was asked for, or are being written (not yet in here).
    known: HashMap<Key, usize>,
    /// The next slot that is looked at when one is needed.
    hand: usize,
    /// Most slots.
    slots_max: usize,
}

impl Index {
    /// A slot to write to: the first from the hand on that was not read since it came by.
    fn free(&mut self) -> usize {
        if self.slots.len() < self.slots_max {
            self.slots.push(None);
            return self.slots.len() - 1;
        }
        loop {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            match &mut self.slots[at] {
                Some(slot) if slot.used => slot.used = false,
                other => {
                    if let Some(old) = other.take() {
                        self.known.remove(&old.key);
                    }
                    return at;
                }
            }
        }
    }
}

/// The file and what is known of it.
pub(super) struct Tier {
    file: File,
    threads: Arc<dyn Threads>,
    index: Mutex<Index>,
    secret: RandomState,
    writing_bytes: AtomicU64,
    hits: AtomicU64,
}

impl Tier {
    /// A new file in `directory` that takes up to `bytes_max` bytes.
    pub(super) fn create(
        directory: &Path,
        bytes_max: u64,
        threads: Arc<dyn Threads>,
    ) -> io::Result<Arc<Self>> {
        let name = format!(".stirrup-cache-{}-{:016x}", std::process::id(), Seeded::new().seed());
        let path = directory.join(name);
        let open =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = open?;
        // Only this process has it from here on, and it is gone when that ends.
        std::fs::remove_file(&path)?;
        let slots = usize::try_from(bytes_max / EXTENT_BYTES).unwrap_or(usize::MAX);
        let index = Index { slots_max: slots.max(1), ..Index::default() };
        Ok(Arc::new(Self {
            file,
            threads,
            index: Mutex::new(index),
            secret: RandomState::new(),
            writing_bytes: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }))
    }

    /// `volume`, which is source number `id`, with the file before it.
    pub(super) fn before(self: &Arc<Self>, id: u64, volume: Arc<dyn Volume>) -> Arc<dyn Volume> {
        Arc::new(Tiered { tier: Arc::clone(self), id, volume })
    }

    /// Reads that it answered.
    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Bytes of blocks that are in the file.
    pub(super) fn bytes(&self) -> u64 {
        let index = self.index.lock();
        let blocks: u64 =
            index.slots.iter().flatten().map(|slot| u64::from(slot.blocks.count_ones())).sum();
        blocks * BLOCK_BYTES
    }

    fn sum(&self, key: Key, at: usize, bytes: &[u8]) -> u64 {
        self.secret.hash_one((key, at, bytes))
    }

    /// Keeps what left memory, unless there is more than can be written.
    pub(super) fn keep(self: &Arc<Self>, evicted: Vec<Evicted>) {
        let evicted: Vec<Evicted> =
            evicted.into_iter().filter(|(key, blocks)| self.is_news(*key, blocks)).collect();
        let blocks: usize = evicted.iter().map(|(_, blocks)| blocks.len()).sum();
        let bytes = blocks as u64 * BLOCK_BYTES;
        if bytes == 0 {
            return;
        }
        if self.writing_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > WRITING_BYTES_MAX {
            self.writing_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return;
        }
        let tier = Arc::clone(self);
        self.threads.run(Box::new(move || {
            evicted.into_iter().for_each(|(key, blocks)| tier.write(key, &blocks));
            tier.writing_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }));
    }

    fn is_news(&self, key: Key, blocks: &[(usize, Block)]) -> bool {
        let index = self.index.lock();
        let slot = index.known.get(&key).and_then(|at| index.slots[*at].as_ref());
        let held = slot.map_or(0, |slot| slot.blocks);
        blocks.iter().any(|(at, _)| held & (1 << at) == 0)
    }

    /// Writes blocks to a slot that nobody knows meanwhile. Two that write the same slot leave
    /// what does not match, which is not believed.
    fn write(&self, key: Key, blocks: &[(usize, Block)]) {
        let at = {
            let mut index = self.index.lock();
            if let Some(old) = index.known.remove(&key) {
                index.slots[old] = None;
            }
            index.free()
        };
        let mut slot = Slot { key, blocks: 0, sums: [0; BLOCKS], used: false };
        for (block, bytes) in blocks {
            let offset = at as u64 * EXTENT_BYTES + *block as u64 * BLOCK_BYTES;
            if self.file.write_all_at(&bytes[..], offset).is_err() {
                // The disk is full, or worse: it goes without.
                return;
            }
            slot.blocks |= 1 << block;
            slot.sums[*block] = self.sum(key, *block, &bytes[..]);
        }
        let mut index = self.index.lock();
        index.known.insert(key, at);
        if let Some(other) = index.slots[at].replace(slot)
            && other.key != key
        {
            index.known.remove(&other.key);
        }
    }

    /// Fills `buf` with the blocks of source `id` from `offset` on; false: not all of them are
    /// there, or one is not what was written. Waits for the disk.
    fn read(&self, id: u64, offset: u64, buf: &mut Buffer) -> bool {
        pieces(offset, buf.len() as u64).all(|piece| {
            let key = Key { source: id, extent: piece.extent };
            let Some((at, sums)) = self.find(key, piece.touched()) else { return false };
            bits(piece.touched()).all(|block| {
                let mut bytes = [0; BLOCK_BYTES as usize];
                let within = block as u64 * BLOCK_BYTES;
                let read = self.file.read_exact_at(&mut bytes, at as u64 * EXTENT_BYTES + within);
                let fine = read.is_ok() && self.sum(key, block, &bytes) == sums[block];
                if fine {
                    let place = piece.at + (within as usize - piece.within);
                    buf.copy_from(place, &bytes);
                } else {
                    self.forget(key);
                }
                fine
            })
        })
    }

    fn find(&self, key: Key, want: Mask) -> Option<(usize, [u64; BLOCKS])> {
        let mut index = self.index.lock();
        let at = *index.known.get(&key)?;
        let slot = index.slots[at].as_mut().filter(|slot| slot.blocks & want == want)?;
        slot.used = true;
        Some((at, slot.sums))
    }

    fn forget(&self, key: Key) {
        let mut index = self.index.lock();
        if let Some(at) = index.known.remove(&key) {
            index.slots[at] = None;
        }
    }

    fn has(&self, id: u64, offset: u64, len: u64) -> bool {
        pieces(offset, len).all(|piece| {
            self.find(Key { source: id, extent: piece.extent }, piece.touched()).is_some()
        })
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
            let found = match &request.op {
                Op::Read { offset, buf } => self.tier.has(self.id, *offset, buf.len() as u64),
                _ => false,
            };
            if !found {
                self.volume.submit(&mut vec![request], done, queue);
                continue;
            }
            let (tier, id, volume) = (Arc::clone(&self.tier), self.id, Arc::clone(&self.volume));
            let queue = Arc::clone(queue);
            self.tier.threads.run(Box::new(move || {
                let Request { tag, op: Op::Read { offset, mut buf } } = request else { return };
                if tier.read(id, offset, &mut buf) {
                    tier.hits.fetch_add(1, Ordering::Relaxed);
                    return queue.push(Completion { tag, result: Ok(Done::Data(buf)) });
                }
                let mut done = Vec::new();
                let op = Op::Read { offset, buf };
                volume.submit(&mut vec![Request { tag, op }], &mut done, &queue);
                if !done.is_empty() {
                    queue.push_all(done);
                }
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;

    /// Does what it is given at once, or keeps it.
    struct Here;

    impl Threads for Here {
        fn run(&self, job: Job) {
            job();
        }
    }

    fn tier(slots: u64) -> Arc<Tier> {
        Tier::create(&std::env::temp_dir(), slots * EXTENT_BYTES, Arc::new(Here)).unwrap()
    }

    fn key(extent: u64) -> Key {
        Key { source: 1, extent }
    }

    fn block(value: u8) -> Block {
        Box::new([value; BLOCK_BYTES as usize])
    }

    fn read(tier: &Tier, extent: u64, at: u64, blocks: usize) -> Option<Vec<u8>> {
        let mut buf = Buffer::unfilled(blocks * BLOCK_BYTES as usize);
        let offset = extent * EXTENT_BYTES + at * BLOCK_BYTES;
        tier.read(1, offset, &mut buf).then(|| buf.to_vec())
    }

    #[test]
    fn what_was_kept_is_read_and_the_oldest_makes_room() {
        let tier = tier(2);
        tier.keep(vec![(key(0), SmallVec::from_iter([(3, block(3)), (4, block(4))]))]);
        tier.keep(vec![(key(1), SmallVec::from_iter([(0, block(9))]))]);
        assert_eq!(read(&tier, 0, 3, 2).map(|bytes| (bytes[0], bytes[4096])), Some((3, 4)));
        assert_eq!(read(&tier, 0, 2, 2), None, "not all of it is there");
        assert_eq!(tier.bytes(), 3 * BLOCK_BYTES);
        tier.keep(vec![(key(2), SmallVec::from_iter([(0, block(5))]))]);
        assert!(read(&tier, 1, 0, 1).is_none(), "it was not read");
        assert!(read(&tier, 0, 3, 1).is_some() && read(&tier, 2, 0, 1).is_some());
    }

    #[test]
    fn what_somebody_else_wrote_is_not_believed() {
        let tier = tier(4);
        let all = |value| SmallVec::from_iter((0..BLOCKS).map(|at| (at, block(value))));
        tier.keep(vec![(key(0), all(1)), (key(1), all(2))]);
        assert!(read(&tier, 0, 0, 16).is_some());
        // One bit; another slot's data; another block's of the same slot; nothing at all.
        tier.file.write_all_at(&[3], 5000).unwrap();
        assert!(read(&tier, 0, 0, 1).is_some() && read(&tier, 0, 1, 1).is_none());
        assert!(read(&tier, 0, 0, 1).is_none(), "nor is anything else of it");
        tier.keep(vec![(key(0), all(1))]);
        let mut other = vec![0; EXTENT_BYTES as usize];
        let slot = tier.index.lock().known[&key(1)] as u64;
        tier.file.read_exact_at(&mut other, slot * EXTENT_BYTES).unwrap();
        let slot = tier.index.lock().known[&key(0)] as u64;
        tier.file.write_all_at(&other, slot * EXTENT_BYTES).unwrap();
        assert!(read(&tier, 0, 7, 1).is_none());
        tier.file.set_len(0).unwrap();
        assert!(read(&tier, 1, 0, 1).is_none());
    }
}
