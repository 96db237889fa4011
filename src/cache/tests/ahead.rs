//! Readahead and boot profiles, on the cache.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::gated::Gated;
use crate::block::{Buffer, CompletionQueue, Op, Request, Volume};
use crate::cache::profile::{self, Keeper, Profiles};
use crate::cache::{Ahead, Cache, CachedVolume, Mine, Options, Origin, Snapshot};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SIZE: u64 = 16 * MIB;
const PATIENCE: Duration = Duration::from_secs(60);

fn bytes() -> Vec<u8> {
    (0..SIZE as usize).map(|at| (at / 512 * 7 + at) as u8).collect()
}

/// An image, and a gateway's cache of it.
struct Gateway {
    cache: Arc<Cache>,
    parent: Arc<Gated>,
    profiles: Profiles,
    kept: Arc<Kept>,
}

struct Kept(Mutex<Option<Vec<u8>>>, Sender<()>);

impl Keeper for Arc<Kept> {
    fn kept(&self) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().clone())
    }

    fn keep(&self, record: &[u8]) -> Result<(), String> {
        *self.0.lock() = Some(record.to_vec());
        self.1.send(()).map_err(|error| error.to_string())
    }
}

impl Gateway {
    fn new(kept: &Arc<Kept>, prefetch_bytes: u64) -> Self {
        let learn_for = Duration::from_secs(3600);
        let options = profile::Options { learn_for, prefetch_bytes };
        Self {
            cache: Cache::new(Options { golden_bytes: 2 * SIZE, disk_bytes: 0 }),
            parent: Gated::new(bytes()),
            profiles: Profiles::start(options).unwrap(),
            kept: Arc::clone(kept),
        }
    }

    /// A clone of the image, with readahead or with a boot profile.
    fn clone(&self, readahead: bool) -> CachedVolume {
        let volume = Arc::clone(&self.parent) as _;
        let above = self.cache.add_parent("golden", Snapshot { volume, own: None, above: None });
        let origin = Origin::new(above, SIZE, &[]);
        let volume = self.cache.wrap(Gated::new(bytes()) as _, Some(origin), Mine);
        let image = (!readahead).then(|| self.profiles.image("golden", Arc::clone(&self.kept)));
        assert!(volume.attach(Ahead::new(readahead, image)));
        volume
    }
}

fn kept() -> (Arc<Kept>, Receiver<()>) {
    let (told, heard) = mpsc::channel();
    (Arc::new(Kept(Mutex::new(None), told)), heard)
}

/// Reads; true if the data were there at once. What is fetched stays under way.
fn read(volume: &CachedVolume, offset: u64, len: u64) -> bool {
    let queue = Arc::new(CompletionQueue::new());
    let mut done = Vec::new();
    let op = Op::Read { offset, buf: Buffer::unfilled(len as usize) };
    let _pending = queue.poll_drain(&mut Context::from_waker(Waker::noop()), &mut done);
    volume.submit(&mut vec![Request { tag: 0, op }], &mut done, &queue);
    done.pop().is_some_and(|completion| completion.result.is_ok())
}

fn sum(reads: &[(u64, u64)]) -> u64 {
    reads.iter().map(|(_, len)| len).sum()
}

/// A node boots from a clone: it reads these megabytes, in this order. Returns when it was learnt.
fn learn(kept: &Arc<Kept>, heard: &Receiver<()>, megabytes: &[u64]) {
    let gateway = Gateway::new(kept, SIZE);
    let disk = gateway.clone(false);
    let session = disk.hold();
    for megabyte in megabytes {
        read(&disk, megabyte * MIB, MIB);
        gateway.parent.finish();
    }
    drop((disk, session));
    heard.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn one_deep_sequential_reads_are_hits_soon() {
    let (kept, _heard) = kept();
    let gateway = Gateway::new(&kept, 0);
    let disk = gateway.clone(true);
    let missed = (0..256).filter(|i| {
        let hit = read(&disk, i * 16 * KIB, 16 * KIB);
        gateway.parent.finish();
        !hit
    });
    assert!(missed.count() <= 2);
    let fetched = sum(&gateway.parent.reads());
    assert!((4 * MIB..=5 * MIB).contains(&fetched), "{fetched}: everything once, a window ahead");
}

#[test]
fn a_read_goes_to_the_store_before_what_is_fetched_ahead_of_it() {
    let (kept, _heard) = kept();
    let gateway = Gateway::new(&kept, 0);
    let disk = gateway.clone(true);
    read(&disk, 0, 4 * KIB);
    read(&disk, 4 * KIB, 4 * KIB);
    let reads = gateway.parent.reads();
    assert_eq!(reads[..3], [(0, 4 * KIB), (4 * KIB, 4 * KIB), (8 * KIB, 64 * KIB)]);
}

#[test]
fn readahead_has_a_bound_and_never_leaves_the_disk() {
    let (kept, _heard) = kept();
    let gateway = Gateway::new(&kept, 0);
    let disk = gateway.clone(true);
    let mut asked = 0;
    for i in 0..SIZE / (32 * KIB) {
        // Nothing is answered: what was fetched ahead waits, and so does each read.
        read(&disk, i * 32 * KIB, 32 * KIB);
        asked += sum(&gateway.parent.reads());
        assert!(asked <= (i + 1) * 32 * KIB + 2 * MIB);
    }
    assert_eq!(asked, SIZE, "nothing is fetched twice or beyond the end");
    gateway.parent.finish();
    assert!(read(&disk, SIZE - 512, 512));
}

#[test]
fn what_one_boot_reads_is_there_for_the_next_node() {
    let (kept, heard) = kept();
    learn(&kept, &heard, &[9, 2, 5, 6]);
    let gateway = Gateway::new(&kept, SIZE);
    let (disk, other) = (gateway.clone(false), gateway.clone(false));
    assert!(gateway.parent.reads().is_empty(), "nobody is there yet");
    let _sessions = (disk.hold(), other.hold());
    let first = gateway.parent.reads();
    assert_eq!(first[0].0, 9 * MIB, "in the order in which it was read");
    assert_eq!(sum(&first), MIB, "and only so much at a time, for all disks together");
    assert!(!read(&other, 12 * MIB, 4096), "what is not known is not there");
    assert_eq!(gateway.parent.reads(), [(12 * MIB, 4096)], "and does not wait for the rest");
    gateway.parent.finish();
    let rest = gateway.parent.reads();
    assert_eq!((rest[0].0, sum(&rest)), (2 * MIB, 3 * MIB));
    for megabyte in [9, 2, 5, 6] {
        assert!(read(&disk, megabyte * MIB, MIB) && read(&other, megabyte * MIB, MIB));
    }
    assert!(gateway.parent.reads().is_empty());
}

#[test]
fn when_the_node_is_gone_nothing_more_is_fetched() {
    let (kept, heard) = kept();
    learn(&kept, &heard, &[0, 1, 2, 3]);
    let gateway = Gateway::new(&kept, SIZE);
    let disk = gateway.clone(false);
    drop(disk.hold());
    gateway.parent.finish();
    assert_eq!(sum(&gateway.parent.reads()), MIB);
    let first = disk.hold();
    let second = disk.hold();
    drop(first);
    gateway.parent.finish();
    assert_eq!(sum(&gateway.parent.reads()), 3 * MIB, "it goes on with the next login");
    drop(second);
    let closed = gateway.clone(false);
    let session = closed.hold();
    drop(closed);
    drop(session);
    assert!(gateway.profiles.image("golden", Arc::clone(&kept)).fetch().is_some());
}

#[test]
fn a_login_fetches_no_more_than_its_budget() {
    let (kept, heard) = kept();
    learn(&kept, &heard, &[0, 1, 2, 3]);
    for (budget, fetched) in [(0, 0), (256 * KIB, 256 * KIB), (2 * MIB, 2 * MIB)] {
        let gateway = Gateway::new(&kept, budget);
        let disk = gateway.clone(false);
        let _session = disk.hold();
        gateway.parent.finish();
        assert_eq!(sum(&gateway.parent.reads()), fetched);
    }
}

#[test]
fn a_store_that_fails_ends_the_fetching() {
    let (kept, heard) = kept();
    learn(&kept, &heard, &[0, 1, 2, 3]);
    let gateway = Gateway::new(&kept, SIZE);
    let disk = gateway.clone(false);
    let _session = disk.hold();
    while gateway.parent.pending() > 0 {
        gateway.parent.step(0, true, false);
    }
    assert_eq!(sum(&gateway.parent.reads()), 4 * MIB, "each piece was tried once");
    assert!(!read(&disk, 0, 4096));
}
