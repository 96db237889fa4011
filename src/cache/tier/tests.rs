//! The file, on disks that fail, forget and hang.

use std::sync::Condvar;
use std::sync::Mutex as StdMutex;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::super::tests::gated::Gated;
use super::*;
use crate::block::Buffer;
use crate::block::buffer::Memory;

const SIZE: usize = 8 * EXTENT_BYTES as usize;
const PATIENCE: Duration = Duration::from_secs(60);

fn tier(slots: u64) -> Arc<Tier> {
    Tier::create(&std::env::temp_dir(), slots * EXTENT_BYTES).unwrap()
}

fn key(extent: u64) -> Key {
    Key::new(1, extent)
}

fn block(value: u8) -> Block {
    let mut block = Memory::zeros(BLOCK_BYTES as usize);
    Arc::make_mut(&mut block).fill(value);
    block
}

fn all(value: u8) -> Taken<Block> {
    (0..BLOCKS).map(|at| (at, block(value))).collect()
}

/// As the thread that writes does.
fn keep(tier: &Tier, evicted: Vec<Evicted>) {
    let bytes = bytes_of(&evicted);
    tier.contents.writing_bytes.fetch_add(bytes, Ordering::Relaxed);
    Worker::write(&*tier.contents, evicted);
}

fn read(tier: &Tier, extent: u64, at: u64, blocks: usize) -> Option<Vec<u8>> {
    let offset = extent * EXTENT_BYTES + at * BLOCK_BYTES;
    tier.contents.read_blocks(1, offset, blocks * BLOCK_BYTES as usize)
}

#[test]
fn what_was_kept_is_read_and_the_oldest_makes_room() {
    let tier = tier(2);
    keep(&tier, vec![(key(0), SmallVec::from_iter([(3, block(3)), (4, block(4))]))]);
    keep(&tier, vec![(key(1), SmallVec::from_iter([(0, block(9))]))]);
    assert_eq!(read(&tier, 0, 3, 2).map(|bytes| (bytes[0], bytes[4096])), Some((3, 4)));
    assert_eq!(read(&tier, 0, 2, 2), None, "not all of it is there");
    assert_eq!(tier.bytes(), 3 * BLOCK_BYTES);
    keep(&tier, vec![(key(2), SmallVec::from_iter([(0, block(5))]))]);
    assert!(read(&tier, 1, 0, 1).is_none(), "it was not read");
    assert!(read(&tier, 0, 3, 1).is_some() && read(&tier, 2, 0, 1).is_some());
    assert_eq!(tier.bytes(), 3 * BLOCK_BYTES);
}

/// A disk in memory that may hang, and be written to by others.
#[derive(Default)]
struct Platter {
    bytes: StdMutex<Vec<u8>>,
    hangs: StdMutex<bool>,
    freed: Condvar,
}

impl Platter {
    fn hang(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.freed.notify_all();
    }

    fn wait(&self) {
        let hangs = self.hangs.lock().unwrap();
        drop(self.freed.wait_timeout_while(hangs, PATIENCE, |hangs| *hangs).unwrap());
    }
}

impl Disk for Arc<Platter> {
    fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.wait();
        let bytes = self.bytes.lock().unwrap();
        let held = bytes.get(offset as usize..offset as usize + buf.len());
        buf.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.wait();
        let mut bytes = self.bytes.lock().unwrap();
        let end = offset as usize + buf.len();
        let len = bytes.len().max(end);
        bytes.resize(len, 0);
        bytes[offset as usize..end].copy_from_slice(buf);
        Ok(())
    }
}

#[test]
fn what_somebody_else_wrote_is_not_believed() {
    let platter = Arc::new(Platter::default());
    let tier = Tier::on(Box::new(Arc::clone(&platter)), 4 * EXTENT_BYTES).unwrap();
    keep(&tier, vec![(key(0), all(1)), (key(1), all(2))]);
    assert!(read(&tier, 0, 0, 16).is_some());
    // One bit; another slot's data; another block's of the same slot; nothing at all.
    platter.bytes.lock().unwrap()[5000] = 3;
    assert!(read(&tier, 0, 0, 1).is_some() && read(&tier, 0, 1, 1).is_none());
    assert!(read(&tier, 0, 0, 1).is_none(), "nor is anything else of it");
    keep(&tier, vec![(key(0), all(1))]);
    let slot = |extent| tier.contents.index.find(key(extent), 1).unwrap().0 * EXTENT_BYTES;
    let [zero, one] = [0, 1].map(|extent| slot(extent) as usize);
    platter.bytes.lock().unwrap().copy_within(one..one + EXTENT_BYTES as usize, zero);
    assert!(read(&tier, 0, 7, 1).is_none());
    platter.bytes.lock().unwrap().clear();
    assert!(read(&tier, 1, 0, 1).is_none());
    assert_eq!(tier.bytes(), 0);
}

/// A volume of ones before which there is a file of twos.
struct World {
    platter: Arc<Platter>,
    tier: Arc<Tier>,
    store: Arc<Gated>,
    volume: Arc<dyn Volume>,
    queue: Arc<CompletionQueue>,
}

impl World {
    fn new() -> Self {
        let platter = Arc::new(Platter::default());
        let tier = Tier::on(Box::new(Arc::clone(&platter)), SIZE as u64).unwrap();
        keep(&tier, (0..8).map(|extent| (key(extent), all(2))).collect());
        let store = Gated::new(vec![1; SIZE]);
        let volume = tier.before(1, Arc::clone(&store) as _);
        Self { platter, tier, store, volume, queue: Arc::default() }
    }

    fn submit(&self) {
        let mut done = Vec::new();
        let op = Op::Read { offset: 0, buf: Buffer::unfilled(4096) };
        self.volume.submit(&mut vec![Request { tag: 0, op }], &mut done, &self.queue);
        assert!(done.is_empty());
    }

    /// The first bytes of the next answers, of which there is one at least.
    fn arrived(&self) -> Vec<u8> {
        let (mut done, begun) = (Vec::new(), Instant::now());
        while done.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "nothing has come");
            let _ready = self.queue.poll_drain(&mut Context::from_waker(Waker::noop()), &mut done);
            self.store.finish();
            std::thread::yield_now();
        }
        let first = |completion: Completion| match completion.result {
            Ok(Done::Data(buf)) => buf.to_vec()[0],
            other => panic!("{other:?}"),
        };
        done.into_iter().map(first).collect()
    }
}

#[test]
fn nobody_waits_for_a_disk_that_hangs() {
    let world = World::new();
    world.submit();
    assert_eq!(world.arrived(), [2], "from the file");
    assert!(world.store.reads().is_empty());
    world.platter.hang(true);
    world.submit();
    assert_eq!(world.arrived(), [1], "from the store, after a time");
    // From now on the file is not even asked.
    world.store.reads();
    world.submit();
    assert_eq!(world.store.reads().len(), 1, "at once");
    assert_eq!(world.arrived(), [1]);
    // It answers again: what comes late is nobody's, and it is asked again.
    world.platter.hang(false);
    let begun = Instant::now();
    while !world.tier.queue.takes_reads() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    world.submit();
    assert_eq!(world.arrived(), [2]);
    assert!(world.store.reads().is_empty());
}

#[test]
fn a_disk_that_hangs_holds_few_requests() {
    let world = World::new();
    world.platter.hang(true);
    (0..threads::READS_MAX + 10).for_each(|_| world.submit());
    assert_eq!(world.store.reads().len(), 10, "the store is asked for the others");
    world.platter.hang(false);
    let mut found = 0;
    while found < threads::READS_MAX + 10 {
        found += world.arrived().len();
    }
}

#[test]
fn what_the_disk_is_too_slow_to_take_is_not_kept() {
    let world = World::new();
    world.platter.hang(true);
    let extents = 2 * WRITING_BYTES_MAX / EXTENT_BYTES;
    for extent in 100..100 + extents {
        world.tier.keep(vec![(key(extent), all(3))]);
    }
    assert!(world.tier.contents.writing_bytes.load(Ordering::Relaxed) <= WRITING_BYTES_MAX);
    world.platter.hang(false);
}
