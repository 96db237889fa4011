//! What others change about a disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use parking_lot::Mutex;

use super::gated::Gated;
use crate::block::{Buffer, CompletionQueue, Done, Op, Request, Volume};
use crate::cache::{
    Cache, CachedVolume, Coherence, EXTENT_BYTES, Options, Origin, Settled, Snapshot,
};

const E: u64 = EXTENT_BYTES;
const SIZE: usize = 8 * E as usize;

/// Tells what the test says.
struct Told {
    changes: AtomicU64,
    settled: Mutex<Settled>,
    lost: Mutex<bool>,
    /// It tells what it knew last, whatever has changed since.
    is_late: Mutex<bool>,
    /// What the parent is opened anew as.
    reopened: Mutex<Option<Arc<Gated>>>,
}

impl Told {
    fn change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn settle(&self, shared_bytes: u64) {
        let changes = self.changes.load(Ordering::SeqCst);
        *self.settled.lock() = Settled { changes, shared_bytes };
    }
}

impl Coherence for Arc<Told> {
    fn changes(&self) -> Option<u64> {
        (!*self.lost.lock()).then(|| self.changes.load(Ordering::SeqCst))
    }

    fn settled(&self) -> Option<Settled> {
        let settled = *self.settled.lock();
        let is_known = settled.changes == self.changes.load(Ordering::SeqCst);
        (is_known || *self.is_late.lock()).then_some(settled)
    }

    fn reopen(&self, identity: &str) -> Option<Arc<dyn Volume>> {
        assert_eq!(identity, "golden");
        self.reopened.lock().take().map(|volume| volume as _)
    }
}

struct Clone {
    volume: CachedVolume,
    disk: Arc<Gated>,
    told: Arc<Told>,
    queue: Arc<CompletionQueue>,
}

/// The parent has 1 everywhere, its clones 2 where they are asked themselves.
struct World {
    cache: Arc<Cache>,
    parent: Arc<Gated>,
}

impl World {
    fn new() -> Self {
        let bounds = Options { golden_bytes: 8 << 20, disk_bytes: 8 << 20 };
        Self { cache: Cache::new(bounds), parent: Gated::new(vec![1; SIZE]) }
    }

    /// All but its first extent is its parent's.
    fn open(&self) -> Clone {
        let volume = Arc::clone(&self.parent) as _;
        let above = self.cache.add_parent("golden", Snapshot { volume, own: None, above: None });
        let origin = Origin::new(above, SIZE as u64, std::slice::from_ref(&(0..1)));
        let settled = Mutex::new(Settled { changes: 0, shared_bytes: SIZE as u64 });
        let (lost, is_late, reopened) = Default::default();
        let told = Arc::new(Told { changes: AtomicU64::new(0), settled, lost, is_late, reopened });
        let disk = Gated::new(vec![2; SIZE]);
        let volume = self.cache.wrap(Arc::clone(&disk) as _, Some(origin), Arc::clone(&told));
        Clone { volume, disk, told, queue: Arc::new(CompletionQueue::new()) }
    }
}

impl World {
    /// A disk without a parent.
    fn alone(&self) -> Clone {
        let settled = Mutex::new(Settled { changes: 0, shared_bytes: 0 });
        let (lost, is_late, reopened) = Default::default();
        let told = Arc::new(Told { changes: AtomicU64::new(0), settled, lost, is_late, reopened });
        let disk = Gated::new(vec![2; SIZE]);
        let volume = self.cache.wrap(Arc::clone(&disk) as _, None, Arc::clone(&told));
        Clone { volume, disk, told, queue: Arc::new(CompletionQueue::new()) }
    }
}

impl Clone {
    fn submit(&self, op: Op) -> Vec<crate::block::Completion> {
        let mut done = Vec::new();
        self.volume.submit(&mut vec![Request { tag: 0, op }], &mut done, &self.queue);
        done
    }

    fn ask(&self, extent: u64) -> Option<u8> {
        let op = Op::Read { offset: extent * E, buf: Buffer::unfilled(512) };
        self.submit(op).pop().map(first)
    }

    fn arrived(&self) -> Vec<u8> {
        let mut done = Vec::new();
        let _ready = self.queue.poll_drain(&mut Context::from_waker(Waker::noop()), &mut done);
        done.into_iter().map(first).collect()
    }

    /// Reads, wherever the data come from.
    fn read(&self, world: &World, extent: u64) -> u8 {
        self.ask(extent).unwrap_or_else(|| {
            world.parent.finish();
            self.disk.finish();
            self.arrived()[0]
        })
    }

    fn write(&self, offset: u64, value: u8) {
        let buf = Buffer::from_slice(&[value; 4096]);
        assert!(self.submit(Op::Write { offset, buf, fua: false }).is_empty());
    }
}

fn first(completion: crate::block::Completion) -> u8 {
    match completion.result {
        Ok(Done::Data(buf)) => buf.to_vec()[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_a_change_nothing_is_answered_until_it_is_known() {
    let world = World::new();
    let clone = world.open();
    assert_eq!((clone.read(&world, 0), clone.read(&world, 1)), (2, 1));
    assert_eq!((clone.ask(0), clone.ask(1)), (Some(2), Some(1)), "from memory");
    clone.told.change();
    assert_eq!((clone.ask(0), clone.ask(1)), (None, None));
    assert_eq!(clone.disk.reads().len(), 3, "it is asked itself");
    clone.disk.finish();
    assert_eq!(clone.arrived(), [2, 2]);
    // Shrunk to two extents and grown again before anybody saw the small size.
    clone.told.settle(2 * E);
    assert_eq!(clone.ask(1), Some(1), "still the parent's");
    assert_eq!(clone.ask(0), None, "what it had itself was dropped");
    assert_eq!(clone.read(&world, 3), 2, "its own now, for good");
    clone.told.change();
    clone.told.settle(SIZE as u64);
    assert_eq!(clone.read(&world, 3), 2);
}

#[test]
fn what_a_clone_fetched_of_a_parent_that_it_left_is_nobodys() {
    let world = World::new();
    let (clone, other) = (world.open(), world.open());
    assert!(clone.ask(1).is_none() && other.ask(1).is_none());
    // Flattened while it is coming: the parent may have gone, and reads as zeros.
    clone.told.change();
    world.parent.finish();
    assert_eq!((clone.arrived(), other.arrived()), (vec![], vec![]));
    clone.disk.finish();
    other.disk.finish();
    assert_eq!((clone.arrived(), other.arrived()), (vec![2], vec![2]), "they asked their disks");
    clone.told.settle(0);
    assert_eq!(clone.read(&world, 1), 2);
    assert_eq!(world.parent.reads().len(), 1);
    // Nothing was kept of it: the other one has it fetched.
    assert!(other.ask(1).is_none());
    assert_eq!(world.parent.reads().len(), 1);
}

#[test]
fn a_write_during_a_change_is_not_undone_by_it() {
    let world = World::new();
    let clone = world.open();
    clone.read(&world, 0);
    clone.told.change();
    clone.write(0, 7);
    clone.write(E, 8);
    clone.told.settle(SIZE as u64);
    // They have not happened, and are not done: nothing older is put into the cache meanwhile.
    assert!(clone.ask(0).is_none() && clone.ask(1).is_none());
    clone.disk.finish();
    clone.arrived_units();
    assert_eq!((clone.read(&world, 0), clone.read(&world, 1)), (7, 8));
}

#[test]
fn a_disk_that_may_be_anothers_is_not_served_from_memory() {
    let world = World::new();
    let clone = world.open();
    clone.read(&world, 0);
    clone.read(&world, 1);
    *clone.told.lost.lock() = true;
    assert!(clone.ask(0).is_none() && clone.ask(1).is_none());
    clone.disk.finish();
    assert_eq!(clone.arrived(), [2, 2]);
    *clone.told.lost.lock() = false;
    assert_eq!((clone.ask(0), clone.ask(1)), (Some(2), Some(1)));
}

#[test]
fn what_was_known_before_a_change_is_not_taken_for_its_outcome() {
    let world = World::new();
    let clone = world.open();
    assert_eq!((clone.read(&world, 0), clone.read(&world, 1)), (2, 1));
    *clone.told.is_late.lock() = true;
    clone.told.change();
    assert_eq!((clone.ask(0), clone.ask(1)), (None, None));
}

#[test]
fn what_changed_before_the_first_request_counts() {
    let world = World::new();
    let clone = world.open();
    // Flattened after it was asked what it shares: no change was heard of.
    clone.told.settle(0);
    assert_eq!(clone.read(&world, 1), 2);
    assert_eq!(world.parent.reads(), []);
}

#[test]
fn a_disk_that_has_failed_keeps_no_memory() {
    let world = World::new();
    let clone = world.open();
    clone.read(&world, 0);
    let before = world.cache.stats().disks.bytes;
    clone.disk.fence();
    assert!(clone.ask(0).is_none());
    assert!(before >= 4096 && world.cache.stats().disks.bytes == 0);
}

#[test]
fn a_write_beyond_the_size_that_was_seen_is_registered() {
    let world = World::new();
    let clone = world.open();
    clone.read(&world, 0);
    // Grown between the look at the size and the write: as if it had been in front of its end.
    let end = SIZE as u64;
    clone.disk.set_len(SIZE + E as usize);
    let op = Op::WriteZeroes { offset: 0, len: end + E, fua: false };
    assert!(clone.submit(op).is_empty());
    clone.disk.finish();
    clone.arrived_units();
    assert_eq!((clone.read(&world, 0), clone.read(&world, 1)), (0, 0));
}

#[test]
fn a_parent_of_which_nothing_can_be_had_is_not_asked() {
    let world = World::new();
    let clone = world.open();
    clone.read(&world, 1);
    world.parent.reads();
    world.parent.fence();
    assert_eq!(clone.ask(1), Some(1), "what is in memory is right nevertheless");
    assert_eq!(clone.read(&world, 2), 2);
    assert_eq!(world.parent.reads(), []);
}

#[test]
fn a_parent_whose_handle_has_failed_is_opened_anew_for_all_clones() {
    let world = World::new();
    let (clone, other) = (world.open(), world.open());
    world.parent.fence();
    // The first one's client was blocklisted, too: it can open nothing.
    clone.disk.fence();
    let anew = Gated::new(vec![1; SIZE]);
    *other.told.reopened.lock() = Some(Arc::clone(&anew));
    assert_eq!(other.read(&world, 1), 2, "it is asked itself meanwhile");
    let begun = std::time::Instant::now();
    while other.told.reopened.lock().is_some() {
        assert!(begun.elapsed().as_secs() < 60, "nobody has opened it");
        std::thread::yield_now();
    }
    // The handle is taken a moment after it was given.
    let third = world.open();
    while anew.reads().is_empty() {
        assert!(begun.elapsed().as_secs() < 60, "it is not asked");
        let _waits = third.ask(2);
    }
    anew.finish();
    assert_eq!((other.ask(2), third.ask(2)), (Some(1), Some(1)), "kept for all");
    assert_eq!(world.parent.reads(), []);
}

#[test]
fn a_handle_that_was_opened_for_another_clone_replaces_one_that_has_failed() {
    let world = World::new();
    let clone = world.open();
    world.parent.fence();
    let anew = Gated::new(vec![1; SIZE]);
    let volume = Arc::clone(&anew) as _;
    assert!(world.cache.parent("golden").is_none(), "whoever wants it is to open it");
    world.cache.add_parent("golden", Snapshot { volume, own: None, above: None });
    assert!(world.cache.parent("golden").is_some());
    assert!(clone.ask(1).is_none());
    assert_eq!((anew.reads().len(), clone.disk.reads().len()), (1, 0));
}

/// Three blocks but for a sector.
const THREE: (u64, usize) = (512, 12288 - 512);

fn read_three() -> Op {
    Op::Read { offset: THREE.0, buf: Buffer::unfilled(THREE.1) }
}

fn write_three(value: u8) -> Op {
    Op::WriteAtomic { offset: 0, buf: Buffer::from_slice(&[value; 12288]), fua: false }
}

#[test]
fn a_read_during_which_an_atomic_write_began_is_repeated() {
    let world = World::new();
    let clone = world.alone();
    let middle = Op::Read { offset: 4096, buf: Buffer::unfilled(4096) };
    assert!(clone.submit(middle).is_empty());
    clone.disk.finish();
    assert_eq!((clone.arrived(), clone.disk.reads()), (vec![2], vec![(4096, 4096)]));
    assert!(clone.submit(read_three()).is_empty());
    assert_eq!(clone.disk.reads(), [(0, 4096), (8192, 4096)], "what is not in the cache");
    // The first block is read before the write, the last one after it.
    clone.disk.step(0, false, true);
    assert!(clone.submit(write_three(3)).is_empty());
    clone.disk.step(2, false, true);
    clone.disk.step(2, false, true);
    let mut done = Vec::new();
    while !done.iter().any(|it: &crate::block::Completion| matches!(it.result, Ok(Done::Data(_)))) {
        clone.disk.finish();
        let _ready = clone.queue.poll_drain(&mut Context::from_waker(Waker::noop()), &mut done);
    }
    let read = done.into_iter().find_map(|it| match it.result {
        Ok(Done::Data(buf)) => Some(buf.to_vec()),
        _ => None,
    });
    assert!(read.unwrap() == [3; THREE.1]);
    assert_eq!(clone.disk.reads(), [(THREE.0, THREE.1 as u64)], "at once");
}

#[test]
fn a_read_while_an_atomic_write_is_under_way_is_the_disks_own() {
    let world = World::new();
    let clone = world.alone();
    assert!(clone.submit(write_three(3)).is_empty());
    assert!(clone.submit(read_three()).is_empty());
    assert_eq!(clone.disk.reads(), [(THREE.0, THREE.1 as u64)], "no more, no less");
    clone.disk.finish();
}

#[test]
fn what_a_failed_write_was_to_write_is_not_kept() {
    let world = World::new();
    let clone = world.alone();
    assert_eq!(clone.read(&world, 0), 2);
    assert_eq!(clone.ask(0), Some(2), "from memory");
    clone.write(0, 9);
    clone.disk.step(0, true, false);
    clone.disk.step(0, false, true);
    let mut done = Vec::new();
    let _ready = clone.queue.poll_drain(&mut Context::from_waker(Waker::noop()), &mut done);
    assert!(done.pop().unwrap().result.is_err());
    assert_eq!(clone.read(&world, 0), 2);
}

#[test]
fn the_volume_is_let_go_before_its_last_completion_is_seen() {
    let world = World::new();
    let clone = world.open();
    assert!(clone.ask(0).is_none() && clone.ask(1).is_none());
    clone.volume.prefetch(std::slice::from_ref(&(4 * E..5 * E)), false, u64::MAX);
    let Clone { volume, disk, queue, .. } = clone;
    drop(volume);
    world.parent.finish();
    disk.finish();
    assert_eq!(Arc::strong_count(&disk), 1);
    drop(queue);
}

impl Clone {
    /// Takes the ends of writes, and of reads before them.
    fn arrived_units(&self) {
        let mut done = Vec::new();
        let _ready = self.queue.poll_drain(&mut Context::from_waker(Waker::noop()), &mut done);
        assert!(done.iter().all(|completion| completion.result.is_ok()));
    }
}
