//! What clones share.

use std::sync::Arc;
use std::task::{Context, Waker};

use parking_lot::Mutex;

use super::gated::Gated;
use crate::block::{Buffer, Completion, CompletionQueue, Done, Op, Request, Volume};
use crate::cache::{
    BLOCK_BYTES, Cache, CachedVolume, EXTENT_BYTES, Mine, Observer, Options, Origin, Prefetched,
    Seen, Snapshot,
};

const SIZE: usize = 8 * EXTENT_BYTES as usize;

fn bytes(seed: usize) -> Vec<u8> {
    (0..SIZE).map(|at| ((at / 512) * 7 + at + seed) as u8).collect()
}

struct Reader {
    volume: CachedVolume,
    queue: Arc<CompletionQueue>,
}

impl Reader {
    fn new(volume: CachedVolume) -> Self {
        Self { volume, queue: Arc::new(CompletionQueue::new()) }
    }

    fn submit(&self, op: Op) -> Option<Completion> {
        let mut done = Vec::new();
        self.volume.submit(&mut vec![Request { tag: 7, op }], &mut done, &self.queue);
        done.pop()
    }

    /// The data, if they are there at once.
    fn read(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let completion = self.submit(Op::Read { offset, buf: Buffer::unfilled(len) })?;
        Some(data(completion))
    }

    /// The data that have come since.
    fn arrived(&self) -> Vec<Vec<u8>> {
        let mut done = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        let _ready = self.queue.poll_drain(&mut cx, &mut done);
        done.into_iter().map(data).collect()
    }
}

fn data(completion: Completion) -> Vec<u8> {
    match completion.result {
        Ok(Done::Data(buf)) => buf.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn cache() -> Arc<Cache> {
    Cache::new(Options { golden_bytes: 8 << 20, disk_bytes: 0 })
}

fn clones(cache: &Arc<Cache>, parent: &Arc<Gated>, count: usize) -> Vec<(Reader, Arc<Gated>)> {
    let snapshot = Snapshot { volume: Arc::clone(parent) as _, own: None, above: None };
    let above = cache.add_parent("golden", snapshot);
    (0..count)
        .map(|_| {
            let disk = Gated::new(bytes(0));
            let origin = Origin::new(Arc::clone(&above), SIZE as u64, &[]);
            (Reader::new(cache.wrap(Arc::clone(&disk) as _, Some(origin), Mine)), disk)
        })
        .collect()
}

#[test]
fn one_fetch_serves_all_who_wait_and_all_who_come() {
    let (cache, parent) = (cache(), Gated::new(bytes(0)));
    let clones = clones(&cache, &parent, 3);
    let want = &bytes(0);
    assert!(clones[0].0.read(4096, 8192).is_none());
    assert!(clones[1].0.read(4608, 512).is_none());
    assert!(clones[2].0.read(8192, 8192).is_none(), "half of it is coming");
    assert_eq!(parent.reads(), [(4096, 8192), (12_288, 4096)]);
    parent.finish();
    assert_eq!(clones[0].0.arrived(), [want[4096..12_288].to_vec()]);
    assert_eq!(clones[1].0.arrived(), [want[4608..5120].to_vec()]);
    assert_eq!(clones[2].0.arrived(), [want[8192..16_384].to_vec()]);
    for (reader, disk) in &clones {
        assert_eq!(reader.read(4096 + 100, 12_000), Some(want[4196..16_196].to_vec()));
        assert_eq!((disk.reads(), parent.reads()), (vec![], vec![]));
    }
    assert_eq!(cache.stats().golden.hits, 3);
}

#[test]
fn a_disk_is_asked_for_what_was_written() {
    let (cache, parent) = (cache(), Gated::new(bytes(0)));
    let clones = clones(&cache, &parent, 2);
    let (writer, disk) = &clones[0];
    let buf = Buffer::from_slice(&[9; 512]);
    assert!(writer.submit(Op::Write { offset: EXTENT_BYTES, buf, fua: false }).is_none());
    // Even before the write has happened.
    assert!(writer.read(EXTENT_BYTES + 4096, 512).is_none());
    assert_eq!((disk.reads(), parent.reads()), (vec![(EXTENT_BYTES + 4096, 512)], vec![]));
    // The neighbours, and the other clone, still share.
    assert!(writer.read(EXTENT_BYTES - 512, 512).is_none());
    assert!(clones[1].0.read(EXTENT_BYTES, 512).is_none());
    assert_eq!(disk.reads(), []);
    assert_eq!(parent.reads(), [(EXTENT_BYTES - BLOCK_BYTES, BLOCK_BYTES), (EXTENT_BYTES, 4096)]);
}

#[test]
fn a_chain_shares_what_the_nearest_has() {
    let cache = cache();
    let [base, middle] = [1, 2].map(|seed| Gated::new(bytes(seed)));
    let e = EXTENT_BYTES;
    let at = |volume: &Arc<Gated>, own: std::ops::Range<u64>, above| Snapshot {
        volume: Arc::clone(volume) as _,
        own: Some(vec![own]),
        above,
    };
    let lowest = cache.add_parent("base", at(&base, 0..3 * e, None));
    // It covers no more than five extents and a bit of its child.
    let above = Some((Arc::clone(&lowest), 5 * e + 512));
    let upper = cache.add_parent("middle", at(&middle, 2 * e..2 * e + 512, above));
    let wrap = |parent, own: &[std::ops::Range<u64>]| {
        let disk = Gated::new(bytes(3));
        let origin = Origin::new(parent, SIZE as u64, own);
        (Reader::new(cache.wrap(Arc::clone(&disk) as _, Some(origin), Mine)), disk)
    };
    let (clone, disk) = wrap(upper, std::slice::from_ref(&(7 * e..7 * e + 1)));
    let read_from = |extent: u64| {
        let found = clone.read(extent * e, 512);
        let asked = [&base, &middle, &disk].map(|volume| volume.reads().len());
        [&base, &middle, &disk].iter().for_each(|volume| volume.finish());
        (found, asked)
    };
    assert_eq!(read_from(0), (None, [1, 0, 0]), "the base has it");
    assert_eq!(read_from(2), (None, [0, 1, 0]), "the middle has overwritten it");
    assert_eq!(read_from(3), (Some(vec![0; 512]), [0; 3]), "nobody has it");
    assert_eq!(read_from(5), (None, [0, 1, 0]), "cut by the overlap");
    assert_eq!(read_from(6), (Some(vec![0; 512]), [0; 3]), "beyond the base, not in the middle");
    assert_eq!(read_from(7), (None, [0, 0, 1]), "its own");
    // A clone of the base finds what the other brought.
    let (other, _) = wrap(lowest, &[]);
    assert_eq!(other.read(0, 512), Some(bytes(1)[..512].to_vec()));
}

#[test]
fn a_parent_that_cannot_be_read_is_gone_around() {
    let (cache, parent) = (cache(), Gated::new(bytes(0)));
    let clones = clones(&cache, &parent, 2);
    parent.fence();
    clones.iter().for_each(|(reader, _)| assert!(reader.read(0, 4096).is_none()));
    parent.finish();
    for (reader, disk) in &clones {
        assert_eq!(disk.reads(), [(0, 4096)]);
        disk.finish();
        assert_eq!(reader.arrived(), [bytes(0)[..4096].to_vec()]);
    }
}

#[test]
fn a_parent_that_was_closed_is_found_again_in_memory() {
    let (cache, parent) = (cache(), Gated::new(bytes(0)));
    let first = clones(&cache, &parent, 1);
    assert!(first[0].0.read(0, 4096).is_none());
    parent.finish();
    drop(first);
    assert!(cache.parent("golden").is_none());
    let second = clones(&cache, &parent, 1);
    assert_eq!(second[0].0.read(0, 4096), Some(bytes(0)[..4096].to_vec()));
}

#[test]
fn memory_is_bounded_and_a_scan_leaves_what_is_used() {
    const BOUND: u64 = 1 << 20;
    let size = 64 * EXTENT_BYTES as usize;
    let parent = Gated::new(vec![5; size]);
    let cache = Cache::new(Options { golden_bytes: BOUND, disk_bytes: 0 });
    let snapshot = Snapshot { volume: Arc::clone(&parent) as _, own: None, above: None };
    let origin = Origin::new(cache.add_parent("golden", snapshot), size as u64, &[]);
    let reader = Reader::new(cache.wrap(Gated::new(vec![5; size]), Some(origin), Mine));
    let read = |extent: u64| {
        let hit = reader.read(extent * EXTENT_BYTES, EXTENT_BYTES as usize).is_some();
        parent.finish();
        assert!(cache.stats().golden.bytes <= BOUND, "{:?}", cache.stats());
        hit
    };
    // Used several times.
    (0..3).for_each(|_| (0..4).for_each(|extent| _ = read(extent)));
    (4..64).for_each(|extent| assert!(!read(extent)));
    assert!((0..4).all(read), "a scan of all the rest has not driven them out");
    assert!(cache.stats().golden.bytes > BOUND / 2);
}

/// Waits for what comes next.
fn next(reader: &Reader) -> Vec<u8> {
    for _ in 0..60_000 {
        if let Some(data) = reader.arrived().pop() {
            return data;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("nothing has come for a minute");
}

#[test]
fn what_finds_no_room_in_memory_is_read_from_the_file() {
    let parent = Gated::new(bytes(0));
    let dir = std::env::temp_dir();
    // Room for one extent in memory, and for all in the file.
    let bounds = Options { golden_bytes: 100_000, disk_bytes: 0 };
    let cache = Cache::with_file(bounds, &dir, SIZE as u64).unwrap();
    let (reader, disk) = &clones(&cache, &parent, 1)[0];
    for extent in 0..8 {
        assert!(reader.read(extent * EXTENT_BYTES, EXTENT_BYTES as usize).is_none());
        parent.finish();
        assert_eq!(reader.arrived().len(), 1);
    }
    let _all = parent.reads();
    let written = || cache.stats().file_bytes == 7 * EXTENT_BYTES;
    while !written() {
        std::thread::yield_now();
    }
    for at in (0..SIZE).step_by(EXTENT_BYTES as usize) {
        let found = reader.read(at as u64 + 512, 8192).unwrap_or_else(|| next(reader));
        assert!(found == bytes(0)[at + 512..at + 512 + 8192], "{at}");
    }
    assert_eq!((parent.reads(), disk.reads()), (vec![], vec![]));
    assert!(cache.stats().file_hits >= 7, "{:?}", cache.stats());
}

#[test]
fn disks_share_their_memory_and_who_has_most_gives() {
    const BOUND: u64 = 2 << 20;
    let cache = Cache::new(Options { golden_bytes: 0, disk_bytes: BOUND });
    let size = 128 * EXTENT_BYTES as usize;
    let disks = [1, 2].map(|value| {
        let disk = Gated::new(vec![value; size]);
        (Reader::new(cache.wrap(Arc::clone(&disk) as _, None, Mine)), disk)
    });
    let read = |at: usize, extent: u64| {
        let (reader, disk) = &disks[at];
        let hit = reader.read(extent * EXTENT_BYTES, EXTENT_BYTES as usize).is_some();
        disk.finish();
        assert!(cache.stats().disks.bytes <= BOUND, "{:?}", cache.stats());
        hit
    };
    (0..64).for_each(|extent| assert!(!read(0, extent)));
    (0..8).for_each(|extent| assert!(!read(1, extent)));
    (64..128).for_each(|extent| assert!(!read(0, extent)));
    assert!((0..8).all(|extent| read(1, extent)), "what the other had less of is still there");
    // A disk that is closed gives everything back.
    let [first, second] = disks;
    drop(first);
    let left = cache.stats().disks.bytes;
    assert!((8 * EXTENT_BYTES..BOUND / 2).contains(&left), "{left}");
    drop(second);
    assert_eq!(cache.stats().disks.bytes, 0);
}

#[test]
fn what_was_written_is_read_back_from_memory_if_it_was_there() {
    let cache = Cache::new(Options { golden_bytes: 0, disk_bytes: 1 << 20 });
    let disk = Gated::new(bytes(0));
    let reader = Reader::new(cache.wrap(Arc::clone(&disk) as _, None, Mine));
    let write = |offset, value: u8, len| {
        let buf = Buffer::from_slice(&vec![value; len]);
        assert!(reader.submit(Op::Write { offset, buf, fua: false }).is_none());
    };
    assert!(reader.read(0, 16_384).is_none());
    disk.finish();
    assert_eq!(reader.arrived().len(), 1);
    let _before = disk.reads();
    // Two whole blocks, the second half of one, and one that was not there.
    write(4096, 7, 8192);
    write(14_336, 8, 2048);
    write(20_480, 9, 4096);
    assert!(reader.read(4096, 512).is_none(), "not while the write is under way");
    disk.finish();
    assert_eq!(disk.reads(), [(4096, 512)]);
    let mut done = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    while reader.queue.poll_drain(&mut cx, &mut done).is_ready() {}
    assert_eq!(done.len(), 4);
    assert_eq!(reader.read(4096, 8192), Some(vec![7; 8192]));
    assert!(reader.read(12_288, 4096).is_none() && reader.read(20_480, 512).is_none());
    assert_eq!(disk.reads(), [(12_288, 4096), (20_480, 4096)]);
}

#[derive(Default)]
struct Watcher(Mutex<(Vec<Seen>, Vec<u64>)>);

impl Observer for Watcher {
    fn read(&self, _: &CachedVolume, seen: Seen) {
        self.0.lock().0.push(seen);
    }

    fn prefetched(&self, _: &CachedVolume, bytes: u64) {
        self.0.lock().1.push(bytes);
    }
}

#[test]
fn what_is_fetched_ahead_is_a_hit_and_the_observer_sees_it() {
    let (cache, parent) = (cache(), Gated::new(bytes(0)));
    let clones = clones(&cache, &parent, 1);
    let reader = &clones[0].0;
    let watcher = Arc::new(Watcher::default());
    assert!(reader.volume.attach(Arc::clone(&watcher) as _));
    assert!(!reader.volume.attach(Arc::clone(&watcher) as _), "there is one already");
    let k = 1024;
    let ranges =
        [0..8 * k, 60 * k..100 * k, 0..8 * k, SIZE as u64 - 512..u64::MAX, 200 * k..201 * k];
    let Prefetched { bytes: asked, ranges: done } = reader.volume.prefetch(&ranges, false, 50 * k);
    assert_eq!((asked, done), (52 * k, 4), "rounded to blocks, and each block once");
    assert_eq!(parent.reads(), [(0, 8 * k), (60 * k, 40 * k), (SIZE as u64 - 4 * k, 4 * k)]);
    parent.finish();
    assert_eq!(watcher.0.lock().1, [8 * k, 40 * k, 4 * k]);
    assert!(reader.read(62 * k, 30 * k as usize).is_some());
    assert!(reader.read(200 * k, 512).is_none());
    let seen = |offset, len, hit| Seen { offset, len, hit, size_bytes: SIZE as u64 };
    assert_eq!(watcher.0.lock().0, [seen(62 * k, 30 * k, true), seen(200 * k, 512, false)]);
}

/// A fill that was cut by a write brings old data for the blocks that were written.
#[test]
fn from_a_fill_under_way_only_what_was_not_written_is_taken() {
    let cache = Cache::new(Options { golden_bytes: 0, disk_bytes: 1 << 20 });
    let disk = Gated::new(bytes(0));
    let reader = Reader::new(cache.wrap(Arc::clone(&disk) as _, None, Mine));
    assert!(reader.read(0, 8192).is_none());
    disk.step(0, false, true);
    // The first fill has read both blocks and is not answered; the second block is written.
    let buf = Buffer::from_slice(&[7; 4096]);
    assert!(reader.submit(Op::Write { offset: 4096, buf, fua: false }).is_none());
    disk.step(1, false, true);
    disk.step(1, false, true);
    // Whoever asks now waits for the first block, and reads the second anew, which comes first.
    assert!(reader.read(0, 8192).is_none());
    assert_eq!(disk.reads(), [(0, 8192), (4096, 4096)]);
    disk.step(1, false, true);
    disk.step(1, false, true);
    disk.finish();
    let mut done = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    while reader.queue.poll_drain(&mut cx, &mut done).is_ready() {}
    let is_new = |read: Vec<u8>| read[..4096] == bytes(0)[..4096] && read[4096..] == [7; 4096];
    let reads = done.into_iter().filter(|done| matches!(done.result, Ok(Done::Data(_))));
    // The first read began before the write, and may see what was there then.
    assert_eq!(reads.map(data).map(is_new).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_long_write_looks_at_no_more_than_it_touches() {
    let size = 200 * EXTENT_BYTES as usize;
    let cache = Cache::new(Options { golden_bytes: 0, disk_bytes: 64 << 20 });
    let disk = Gated::new(vec![1; size]);
    let reader = Reader::new(cache.wrap(Arc::clone(&disk) as _, None, Mine));
    let is_kept = |extent: u64| {
        let hit = reader.read(extent * EXTENT_BYTES, 512).is_some();
        disk.finish();
        let _all = reader.arrived();
        hit
    };
    (0..200).for_each(|extent| assert!(!is_kept(extent)));
    let zeroes = |first: u64, extents: u64| {
        let (offset, len) = (first * EXTENT_BYTES, extents * EXTENT_BYTES);
        assert!(reader.submit(Op::WriteZeroes { offset, len, fua: false }).is_none());
        disk.finish();
        let mut done = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while reader.queue.poll_drain(&mut cx, &mut done).is_ready() {}
        assert_eq!(done.len(), 1);
    };
    zeroes(10, 40);
    assert_eq!(reader.volume.swept(), 40);
    assert!(is_kept(9) && is_kept(50), "the others stay");
    assert!(!(10..50).any(is_kept));
    zeroes(0, 200);
    assert_eq!(reader.volume.swept(), 240);
    assert!(!(0..200).any(is_kept));
}

#[test]
fn what_is_known_of_clones_takes_its_part_of_the_memory() {
    const GOLDEN: u64 = 1 << 20;
    let parent = Gated::new(vec![5; SIZE]);
    let cache = Cache::new(Options { golden_bytes: GOLDEN, disk_bytes: 0 });
    let volume = Arc::clone(&parent) as _;
    let above = cache.add_parent("golden", Snapshot { volume, own: None, above: None });
    // Each of a terabyte, of which 2 MiB would have to be known.
    let large = Gated::sparse(1 << 40);
    let huge = cache.add_parent(
        "huge",
        Snapshot { volume: Arc::clone(&large) as _, own: Some(Vec::new()), above: None },
    );
    assert!(cache.stats().golden.bytes <= GOLDEN / 8, "{:?}", cache.stats());
    let open = |parent: &_| {
        let disk = Gated::sparse(1 << 40);
        let origin = Origin::new(Arc::clone(parent), 1 << 40, &[]);
        (Reader::new(cache.wrap(Arc::clone(&disk) as _, Some(origin), Mine)), disk)
    };
    let (reader, disk) = open(&huge);
    assert!(reader.read(0, 4096).is_none());
    assert_eq!((disk.reads().len(), large.reads().len()), (1, 0), "it is asked itself");
    // Small ones, as many as there is room for.
    let small = clones(&cache, &parent, 3);
    assert!(small[0].0.read(0, 4096).is_none() && small[2].0.read(0, 4096).is_none());
    assert_eq!(parent.reads().len(), 1);
    assert_eq!(cache.stats().golden.bytes, 3 * 8);
    drop((small, above));
    assert_eq!(cache.stats().golden.bytes, 0);
}

#[test]
fn what_an_answer_has_a_share_in_stays_as_it_was() {
    let cache = Cache::new(Options { golden_bytes: 0, disk_bytes: 1 << 20 });
    let disk = Gated::new(bytes(0));
    let reader = Reader::new(cache.wrap(Arc::clone(&disk) as _, None, Mine));
    let read = || {
        let done = reader.submit(Op::Read { offset: 0, buf: Buffer::unfilled(8192) });
        match done.map(|completion| completion.result) {
            Some(Ok(Done::Data(buf))) => Some(buf),
            None => None,
            other => panic!("{other:?}"),
        }
    };
    assert!(read().is_none());
    disk.finish();
    let _first = reader.arrived();
    let lent = read().expect("it is there");
    for value in [7, 8] {
        let buf = Buffer::from_slice(&[value; 4096]);
        assert!(reader.submit(Op::Write { offset: 4096, buf, fua: false }).is_none());
        disk.finish();
        let mut done = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        let _ready = reader.queue.poll_drain(&mut cx, &mut done);
        let now = read().expect("what was written is there").to_vec();
        assert!(now[..4096] == bytes(0)[..4096] && now[4096..] == [value; 4096]);
    }
    assert!(lent.to_vec() == bytes(0)[..8192]);
}
