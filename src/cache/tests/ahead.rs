//! Readahead and boot profiles, on the cache.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::gated::Gated;
use crate::block::{Buffer, CompletionQueue, Hold, Op, Request, Volume};
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
    /// What all clones are read from where they are not the parent's any more.
    disk: Arc<Gated>,
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
        Self::with_memory(kept, prefetch_bytes, 2 * SIZE)
    }

    fn with_memory(kept: &Arc<Kept>, prefetch_bytes: u64, golden_bytes: u64) -> Self {
        let learn_for = Duration::from_secs(3600);
        let options = profile::Options { learn_for, prefetch_bytes };
        Self {
            cache: Cache::new(Options { golden_bytes, disk_bytes: SIZE }),
            parent: Gated::new(bytes()),
            disk: Gated::new(bytes()),
            profiles: Profiles::start(options).unwrap(),
            kept: Arc::clone(kept),
        }
    }

    /// A clone of the image, with readahead or with a boot profile.
    fn clone(&self, readahead: bool) -> CachedVolume {
        let volume = Arc::clone(&self.parent) as _;
        let above = self.cache.add_parent("golden", Snapshot { volume, own: None, above: None });
        let origin = Origin::new(above, SIZE, &[]);
        let volume = self.cache.wrap(Arc::clone(&self.disk) as _, Some(origin), Mine);
        let image = (!readahead).then(|| self.profiles.image("golden", Arc::clone(&self.kept)));
        assert!(volume.attach(Ahead::new(readahead, image)));
        volume
    }
}

impl Gateway {
    /// A machine logs in; what that brings about has begun.
    fn login(&self, disk: &CachedVolume) -> Option<Hold> {
        let session = disk.hold();
        self.profiles.wait();
        session
    }

    /// Everything that is under way ends, and what comes of that.
    fn finish(&self) {
        while self.parent.pending() > 0 {
            self.parent.finish();
            self.profiles.wait();
        }
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
    let session = gateway.login(&disk);
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
    let _sessions = (gateway.login(&disk), gateway.login(&other));
    let first = gateway.parent.reads();
    assert_eq!(first[0].0, 9 * MIB, "in the order in which it was read");
    assert_eq!(sum(&first), MIB, "and only so much at a time, for all disks together");
    assert!(!read(&other, 12 * MIB, 4096), "what is not known is not there");
    assert_eq!(gateway.parent.reads(), [(12 * MIB, 4096)], "and does not wait for the rest");
    gateway.finish();
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
    drop(gateway.login(&disk));
    gateway.finish();
    assert_eq!(sum(&gateway.parent.reads()), MIB);
    let first = gateway.login(&disk);
    let second = disk.hold();
    drop(first);
    gateway.parent.step(0, false, true);
    gateway.parent.step(0, false, true);
    gateway.profiles.wait();
    // The disk is closed meanwhile: another one goes on.
    drop((disk, second));
    let other = gateway.clone(false);
    let _session = gateway.login(&other);
    gateway.finish();
    assert_eq!(sum(&gateway.parent.reads()), 3 * MIB, "and nothing is fetched twice");
}

#[test]
fn who_logs_in_again_and_again_has_no_more_fetched() {
    let (kept, heard) = kept();
    learn(&kept, &heard, &[0, 1, 2, 3]);
    let gateway = Gateway::with_memory(&kept, 2 * MIB, MIB);
    let disk = gateway.clone(false);
    for _ in 0..10 {
        drop(gateway.login(&disk));
        gateway.finish();
        let session = gateway.login(&disk);
        gateway.finish();
        drop(session);
    }
    // Half of it found no room to stay.
    assert_eq!(sum(&gateway.parent.reads()), 2 * MIB);
}

#[test]
fn a_login_fetches_no_more_than_its_budget() {
    let (kept, heard) = kept();
    learn(&kept, &heard, &[0, 1, 2, 3]);
    for (budget, fetched) in [(0, 0), (256 * KIB, 256 * KIB), (2 * MIB, 2 * MIB)] {
        let gateway = Gateway::new(&kept, budget);
        let disk = gateway.clone(false);
        let _session = gateway.login(&disk);
        gateway.finish();
        assert_eq!(sum(&gateway.parent.reads()), fetched);
    }
}

#[test]
fn what_disks_have_of_their_own_is_not_fetched_by_a_profile() {
    let (kept, heard) = kept();
    learn(&kept, &heard, &[0, 1, 2, 3]);
    let gateway = Gateway::with_memory(&kept, SIZE, 2 * SIZE);
    let disk = gateway.clone(false);
    for megabyte in [1, 2] {
        let zeros = Op::WriteZeroes { offset: megabyte * MIB, len: MIB, fua: false };
        let queue = Arc::new(CompletionQueue::new());
        disk.submit(&mut vec![Request { tag: 0, op: zeros }], &mut Vec::new(), &queue);
    }
    let _session = gateway.login(&disk);
    gateway.finish();
    let reads = gateway.parent.reads();
    assert_eq!(sum(&reads), 2 * MIB);
    assert!(reads.iter().all(|(at, _)| [0, 3].contains(&(at / MIB))), "{reads:?}");
    assert_eq!(sum(&gateway.disk.reads()), 0);
}

#[test]
fn all_disks_together_have_a_bound_for_what_is_fetched_ahead() {
    let (kept, _heard) = kept();
    let gateway = Gateway::new(&kept, 0);
    let max = gateway.cache.prefetching().room();
    let mut disks = Vec::new();
    // Each would have two megabytes under way of a disk of its own.
    for number in 0..2 * max / MIB {
        let gated = Gated::sparse(SIZE);
        let disk = gateway.cache.wrap(Arc::clone(&gated) as _, None, Mine);
        assert!(disk.attach(Ahead::new(true, None)));
        for i in 0..64 {
            read(&disk, i * 32 * KIB, 32 * KIB);
        }
        disks.push((disk, gated));
        let under_way = gateway.cache.prefetching().bytes();
        assert!(under_way <= max + MIB, "{under_way} for {number}");
    }
    assert!(gateway.cache.prefetching().room() < MIB, "the bound was met");
    disks.iter().for_each(|(_, gated)| gated.finish());
    assert_eq!(gateway.cache.prefetching().bytes(), 0);
}

#[test]
fn an_image_is_fetched_however_much_is_under_way() {
    let (kept, heard) = kept();
    learn(&kept, &heard, &[0, 1]);
    let gateway = Gateway::new(&kept, SIZE);
    let _all = gateway.cache.prefetching().take(1 << 40);
    let disk = gateway.clone(false);
    let _session = gateway.login(&disk);
    assert_eq!(sum(&gateway.parent.reads()), 128 * KIB, "piece by piece");
    gateway.finish();
    assert_eq!(sum(&gateway.parent.reads()), 2 * MIB - 128 * KIB);
}

#[test]
fn a_store_that_fails_ends_the_fetching() {
    let (kept, heard) = kept();
    learn(&kept, &heard, &[0, 1, 2, 3]);
    let gateway = Gateway::new(&kept, SIZE);
    let disk = gateway.clone(false);
    let _session = gateway.login(&disk);
    while gateway.parent.pending() > 0 {
        gateway.parent.step(0, true, false);
        gateway.profiles.wait();
    }
    assert_eq!(sum(&gateway.parent.reads()), 4 * MIB, "each piece was tried once");
    assert!(!read(&disk, 0, 4096));
}
