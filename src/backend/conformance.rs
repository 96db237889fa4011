//! What every [`Store`] must do, as named cases that run against any of them.
//!
//! A store's tests call [`run`]; each case makes images of its own (the names start with a prefix
//! nobody else uses) and removes them when it succeeds, so a store that already holds things, such
//! as a Ceph pool, will do.

mod atomic;
mod growth;
mod records;
mod state;
mod versions;

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::{OpenMode, Store, StoreErrorKind};
use crate::block::{
    Buffer, Completion, CompletionQueue, Done, Error, ErrorKind, Extent, Op, Request, Volume,
};

/// Size of the images in bytes: two objects of a default RBD image.
const SIZE: u64 = 8 << 20;
/// A volume that has not answered by then hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

type Case = fn(&dyn Store, &str);

const CASES: &[(&str, Case)] = &[
    ("an image is made, listed, described and removed", made_listed_removed),
    ("bad names and sizes are refused", bad_names_are_refused),
    ("what is not there is not found", not_found),
    ("an import is read back", an_import_is_read_back),
    ("a snapshot keeps what the image held", a_snapshot_freezes),
    ("a snapshot of an open image freezes it at that moment", a_snapshot_of_an_open_image),
    ("a clone sees its parent's snapshot and not later writes", a_clone_sees_the_snapshot),
    ("two clones do not see each other", clones_are_isolated),
    ("a chain of clones reads through", a_chain_of_clones),
    ("what has children stays", what_has_children_stays),
    ("one writer at a time", one_writer),
    ("data are there after closing and opening", data_survive_reopening),
    ("writes of every alignment over a parent", writes_of_every_alignment),
    ("zeroed ranges hide the parent's data", zeroes_hide_the_parent),
    ("a long request is not cut", a_long_request),
    ("a flush and a write with FUA succeed", flush_and_fua),
    ("compare-and-write is all or nothing", compare_and_write),
    ("compare-and-writes that race make no lost update", compare_and_write_races),
    ("a read-only volume refuses writes", read_only_refuses),
    ("a request beyond the end is refused", beyond_the_end),
    ("an empty request is done", empty_requests),
    ("writers of neighbouring sectors keep out of each other's way", neighbouring_sectors),
    ("extents cover what was written", extents_cover_what_was_written),
    ("an atomic write is seen as a whole or not at all", atomic::seen_whole),
    ("an open image grows", growth::grown_while_open),
    ("snapshots and clones have sizes of their own", growth::clones_have_sizes_of_their_own),
    ("an image goes back to a snapshot", versions::back_to_a_snapshot),
    ("a clone becomes independent of its parent", versions::a_clone_becomes_independent),
    ("a record kept beside the data survives reopening", state::a_record_survives_reopening),
    ("a clone does not inherit its parent's record", state::a_record_is_not_inherited),
    ("a record goes with its image", state::a_record_goes_with_its_image),
    ("of records that race the last is kept", state::the_last_record_is_kept),
    ("a record is kept with an image", records::a_record_is_kept_with_an_image),
    ("a kept record is the image's own", records::a_kept_record_is_the_images_own),
];

/// Runs every case; panics, naming the case, at the first that fails.
pub(crate) fn run(store: &dyn Store) {
    let mut random = [0; 6];
    getrandom::fill(&mut random).unwrap();
    let unique: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    for (number, (name, case)) in CASES.iter().enumerate() {
        eprintln!("conformance: {name}");
        case(store, &format!("conf-{unique}-{number}"));
    }
}

/// A volume with calls that wait for the answer.
pub(crate) struct Disk {
    pub(crate) volume: Arc<dyn Volume>,
    queue: Arc<CompletionQueue>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Disk {
    /// Drives `volume`.
    pub(crate) fn new(volume: Arc<dyn Volume>) -> Self {
        Self { volume, queue: Arc::new(CompletionQueue::new()) }
    }

    /// What is driven.
    pub(crate) fn volume(&self) -> &Arc<dyn Volume> {
        &self.volume
    }

    /// Does all of `ops` at once; the results in the order of `ops`.
    pub(crate) fn run_all(&self, ops: impl IntoIterator<Item = Op>) -> Vec<Result<Done, Error>> {
        let mut requests: Vec<Request> =
            ops.into_iter().zip(0..).map(|(op, tag)| Request { tag, op }).collect();
        let mut results: Vec<Option<Result<Done, Error>>> = Vec::new();
        results.resize_with(requests.len(), || None);
        let mut done = Vec::new();
        self.volume.submit(&mut requests, &mut done, &self.queue);
        assert!(requests.is_empty(), "submit takes every request");
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            for Completion { tag, result } in done.drain(..) {
                let slot = &mut results[usize::try_from(tag).unwrap()];
                assert!(slot.replace(result).is_none(), "request {tag} was completed twice");
            }
            if results.iter().all(Option::is_some) {
                return results.into_iter().flatten().collect();
            }
            let mut cx = Context::from_waker(&waker);
            if self.queue.poll_drain(&mut cx, &mut done).is_pending() {
                let left = deadline.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "the volume does not answer");
                std::thread::park_timeout(left);
            }
        }
    }

    /// Does one operation.
    pub(crate) fn run(&self, op: Op) -> Result<Done, Error> {
        self.run_all([op]).pop().unwrap()
    }

    /// Reads; the buffer is dirty before, so that a byte nobody fills shows.
    pub(crate) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let buf = Buffer::from_slice(&vec![0xa5; len]);
        match self.run(Op::Read { offset, buf }) {
            Ok(Done::Data(buf)) => buf.to_vec(),
            other => panic!("read of {len} bytes at {offset}: {other:?}"),
        }
    }

    /// Writes.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) {
        self.run(Op::Write { offset, buf: Buffer::from_slice(bytes), fua: false }).unwrap();
    }

    fn compare_and_write(&self, offset: u64, compare: &[u8], write: &[u8]) -> Result<Done, Error> {
        let (compare, write) = (Buffer::from_slice(compare), Buffer::from_slice(write));
        self.run(Op::CompareAndWrite { offset, compare, write })
    }
}

fn open(store: &dyn Store, image: &str) -> Disk {
    Disk::new(store.open(image, None, OpenMode::ReadWrite).unwrap())
}

fn open_snapshot(store: &dyn Store, image: &str, snapshot: &str) -> Disk {
    Disk::new(store.open(image, Some(snapshot), OpenMode::ReadOnly).unwrap())
}

fn kind_of<T>(result: Result<T, super::StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind())
}

/// Bytes that differ from sector to sector and from `seed` to `seed`, never zero.
pub(crate) fn pattern(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| {
            let mixed = (i / 512 + seed * 0x9e37).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            ((mixed + i) % 251 + 1) as u8
        })
        .collect()
}

/// An image filled with `pattern(1)`, and a snapshot of it, "golden".
fn golden(store: &dyn Store, image: &str) -> Vec<u8> {
    let bytes = pattern(1, SIZE as usize);
    store.create(image, SIZE).unwrap();
    let mut writer = store.writer(image).unwrap();
    for (chunk, offset) in bytes.chunks(1 << 20).zip((0..).step_by(1 << 20)) {
        writer.write_at(offset, chunk).unwrap();
    }
    writer.finish().unwrap();
    store.snapshot(image, "golden").unwrap();
    bytes
}

fn remove_golden(store: &dyn Store, image: &str) {
    store.remove_snapshot(image, "golden").unwrap();
    store.remove(image).unwrap();
}

/// Runs `check` on a clone of a golden image, with what the clone must read as.
fn with_clone(store: &dyn Store, name: &str, check: impl FnOnce(&Disk, Vec<u8>)) {
    let child = format!("{name}.clone");
    let bytes = golden(store, name);
    store.clone_image(name, "golden", &child).unwrap();
    check(&open(store, &child), bytes);
    store.remove(&child).unwrap();
    remove_golden(store, name);
}

fn made_listed_removed(store: &dyn Store, name: &str) {
    store.probe().unwrap();
    let other = format!("{name}.other");
    store.create(name, SIZE).unwrap();
    store.create(&other, SIZE + 512).unwrap();
    assert_eq!(kind_of(store.create(name, SIZE)), Some(StoreErrorKind::Exists));
    let listed = store.list().unwrap();
    assert!(listed.is_sorted());
    assert!(listed.contains(&name.to_owned()) && listed.contains(&other));

    let stat = store.stat(name).unwrap();
    assert_eq!((stat.size_bytes, stat.parent, stat.snapshots), (SIZE, None, vec![]));
    assert_eq!(store.stat(name).unwrap().id, stat.id);
    assert_ne!(store.stat(&other).unwrap().id, stat.id);
    let disk = open(store, &other);
    assert_eq!(disk.volume.info().size_bytes, SIZE + 512);
    assert_eq!(disk.read(0, (SIZE + 512) as usize), vec![0; (SIZE + 512) as usize]);
    drop(disk);

    store.remove(name).unwrap();
    store.remove(&other).unwrap();
    assert!(!store.list().unwrap().contains(&name.to_owned()));
    store.create(name, SIZE).unwrap();
    assert_ne!(store.stat(name).unwrap().id, stat.id, "an identity is never used again");
    store.remove(name).unwrap();
}

fn bad_names_are_refused(store: &dyn Store, name: &str) {
    let long = "x".repeat(129);
    store.create(name, SIZE).unwrap();
    store.snapshot(name, "golden").unwrap();
    for bad in ["", ".hidden", "-option", "a/b", "..", "a b", "a@b", "ä", "a\0b", long.as_str()] {
        let invalid = Some(StoreErrorKind::Invalid);
        assert_eq!(kind_of(store.create(bad, SIZE)), invalid, "create {bad:?}");
        assert_eq!(kind_of(store.snapshot(name, bad)), invalid, "snapshot {bad:?}");
        assert_eq!(kind_of(store.clone_image(name, "golden", bad)), invalid, "clone {bad:?}");
        assert_eq!(kind_of(store.open(bad, None, OpenMode::ReadOnly)), invalid, "open {bad:?}");
    }
    let zero = format!("{name}.zero");
    assert_eq!(kind_of(store.create(&zero, 0)), Some(StoreErrorKind::Invalid));
    assert_eq!(kind_of(store.create(&zero, u64::MAX)), Some(StoreErrorKind::Invalid));
    remove_golden(store, name);
}

fn not_found(store: &dyn Store, name: &str) {
    let none = Some(StoreErrorKind::NotFound);
    assert_eq!(kind_of(store.stat(name)), none);
    assert_eq!(kind_of(store.remove(name)), none);
    assert_eq!(kind_of(store.writer(name)), none);
    assert_eq!(kind_of(store.snapshot(name, "s")), none);
    assert_eq!(kind_of(store.open(name, None, OpenMode::ReadWrite)), none);
    store.create(name, SIZE).unwrap();
    assert_eq!(kind_of(store.remove_snapshot(name, "s")), none);
    assert_eq!(kind_of(store.clone_image(name, "s", &format!("{name}.clone"))), none);
    assert_eq!(kind_of(store.open(name, Some("s"), OpenMode::ReadOnly)), none);
    store.remove(name).unwrap();
}

fn an_import_is_read_back(store: &dyn Store, name: &str) {
    store.create(name, SIZE).unwrap();
    let mut writer = store.writer(name).unwrap();
    let tail = pattern(2, 100_000);
    writer.write_at(SIZE - 100_000, &tail).unwrap();
    writer.write_at(4096 * 3, b"in the middle of nowhere").unwrap();
    assert!(writer.write_at(SIZE - 10, &[1; 11]).is_err(), "beyond the end");
    writer.finish().unwrap();
    let mut wanted = vec![0; SIZE as usize];
    wanted[SIZE as usize - 100_000..].copy_from_slice(&tail);
    wanted[4096 * 3..][..24].copy_from_slice(b"in the middle of nowhere");
    assert!(open(store, name).read(0, SIZE as usize) == wanted);
    store.remove(name).unwrap();
}

fn a_snapshot_freezes(store: &dyn Store, name: &str) {
    let bytes = golden(store, name);
    let disk = open(store, name);
    disk.write(1000 * 512, &[9; 512]);
    drop(disk);
    store.snapshot(name, "later").unwrap();
    assert_eq!(kind_of(store.snapshot(name, "later")), Some(StoreErrorKind::Exists));
    assert_eq!(store.stat(name).unwrap().snapshots, ["golden", "later"]);
    let disk = open(store, name);
    disk.write(0, &[7; 8192]);
    assert!(open_snapshot(store, name, "golden").read(0, SIZE as usize) == bytes);
    let mut later = bytes.clone();
    later[1000 * 512..][..512].fill(9);
    assert!(open_snapshot(store, name, "later").read(0, SIZE as usize) == later);
    later[..8192].fill(7);
    assert!(disk.read(0, SIZE as usize) == later);
    drop(disk);
    store.remove_snapshot(name, "golden").unwrap();
    assert!(open(store, name).read(0, SIZE as usize) == later);
    store.remove_snapshot(name, "later").unwrap();
    assert!(open(store, name).read(0, SIZE as usize) == later);
    store.remove(name).unwrap();
}

fn a_snapshot_of_an_open_image(store: &dyn Store, name: &str) {
    store.create(name, SIZE).unwrap();
    let disk = open(store, name);
    disk.write(512, &[1; 512]);
    store.snapshot(name, "now").unwrap();
    disk.write(512, &[2; 512]);
    let frozen = open_snapshot(store, name, "now");
    assert_eq!(frozen.read(512, 512), [1; 512]);
    assert_eq!(disk.read(512, 512), [2; 512]);
    assert_eq!(disk.read(0, 512), [0; 512]);
    drop((frozen, disk));
    store.remove_snapshot(name, "now").unwrap();
    store.remove(name).unwrap();
}

fn a_clone_sees_the_snapshot(store: &dyn Store, name: &str) {
    let child = format!("{name}.clone");
    let bytes = golden(store, name);
    store.clone_image(name, "golden", &child).unwrap();
    open(store, name).write(4096, &[3; 4096]);
    let stat = store.stat(&child).unwrap();
    assert_eq!(stat.parent, Some((name.to_owned(), "golden".to_owned())));
    assert_eq!(stat.size_bytes, SIZE);
    assert_ne!(stat.id, store.stat(name).unwrap().id);
    assert!(open(store, &child).read(0, SIZE as usize) == bytes);
    let taken = store.clone_image(name, "golden", &child);
    assert_eq!(kind_of(taken), Some(StoreErrorKind::Exists));
    store.remove(&child).unwrap();
    remove_golden(store, name);
}

fn clones_are_isolated(store: &dyn Store, name: &str) {
    let (a, b) = (format!("{name}.a"), format!("{name}.b"));
    let bytes = golden(store, name);
    store.clone_image(name, "golden", &a).unwrap();
    store.clone_image(name, "golden", &b).unwrap();
    let (disk_a, disk_b) = (open(store, &a), open(store, &b));
    disk_a.write(512, &[0xaa; 1024]);
    disk_b.write(1024, &[0xbb; 1024]);
    let (mut want_a, mut want_b) = (bytes.clone(), bytes.clone());
    want_a[512..1536].fill(0xaa);
    want_b[1024..2048].fill(0xbb);
    assert!(disk_a.read(0, SIZE as usize) == want_a);
    assert!(disk_b.read(0, SIZE as usize) == want_b);
    assert!(open_snapshot(store, name, "golden").read(0, SIZE as usize) == bytes);
    drop((disk_a, disk_b));
    store.remove(&a).unwrap();
    assert!(open(store, &b).read(0, SIZE as usize) == want_b);
    store.remove(&b).unwrap();
    remove_golden(store, name);
}

fn a_chain_of_clones(store: &dyn Store, name: &str) {
    let mut wanted = golden(store, name);
    let mut parent = (name.to_owned(), "golden");
    let mut chain = Vec::new();
    for level in 0..5_u8 {
        let child = format!("{name}.{level}");
        store.clone_image(&parent.0, parent.1, &child).unwrap();
        let disk = open(store, &child);
        let at = usize::from(level) * 3000;
        disk.write(at as u64, &[level + 1; 4096]);
        wanted[at..at + 4096].fill(level + 1);
        assert!(disk.read(0, SIZE as usize) == wanted);
        drop(disk);
        store.snapshot(&child, "s").unwrap();
        chain.push(child.clone());
        parent = (child, "s");
    }
    assert!(open_snapshot(store, &parent.0, "s").read(0, SIZE as usize) == wanted);
    for child in chain.iter().rev() {
        store.remove_snapshot(child, "s").unwrap();
        store.remove(child).unwrap();
    }
    remove_golden(store, name);
}

fn what_has_children_stays(store: &dyn Store, name: &str) {
    let child = format!("{name}.clone");
    let has_children = Some(StoreErrorKind::HasChildren);
    let bytes = golden(store, name);
    assert_eq!(kind_of(store.remove(name)), has_children);
    store.clone_image(name, "golden", &child).unwrap();
    assert_eq!(kind_of(store.remove_snapshot(name, "golden")), has_children);
    assert_eq!(kind_of(store.remove(name)), has_children);
    assert!(open(store, &child).read(0, SIZE as usize) == bytes, "refused, so untouched");
    store.remove(&child).unwrap();
    remove_golden(store, name);
}

fn one_writer(store: &dyn Store, name: &str) {
    let in_use = Some(StoreErrorKind::InUse);
    store.create(name, SIZE).unwrap();
    let disk = open(store, name);
    assert_eq!(kind_of(store.open(name, None, OpenMode::ReadWrite)), in_use);
    assert_eq!(kind_of(store.writer(name)), in_use);
    assert_eq!(kind_of(store.remove(name)), in_use);
    let reader = Disk::new(store.open(name, None, OpenMode::ReadOnly).unwrap());
    disk.write(0, &[1; 512]);
    assert_eq!(reader.read(0, 512), [1; 512]);
    drop((disk, reader));
    let writer = store.writer(name).unwrap();
    assert_eq!(kind_of(store.open(name, None, OpenMode::ReadWrite)), in_use);
    drop(writer);
    drop(open(store, name));
    store.remove(name).unwrap();
}

fn data_survive_reopening(store: &dyn Store, name: &str) {
    let child = format!("{name}.clone");
    let mut wanted = golden(store, name);
    store.clone_image(name, "golden", &child).unwrap();
    for round in 0..5_u8 {
        let disk = open(store, &child);
        let at = usize::from(round) * 700_000 / 512 * 512;
        disk.write(at as u64, &[round + 1; 1536]);
        wanted[at..at + 1536].fill(round + 1);
        drop(disk);
        assert!(open(store, &child).read(0, SIZE as usize) == wanted);
    }
    store.remove(&child).unwrap();
    remove_golden(store, name);
}

fn writes_of_every_alignment(store: &dyn Store, name: &str) {
    with_clone(store, name, |disk, mut wanted| {
        // Each pair of a start and a length gets 64 KiB of its own, nothing copied up there before.
        let starts = [0, 512, 1024, 3584, 4096, 4608, 7680];
        let lens = [512, 1024, 3584, 4096, 4608, 8192, 12_800, 16_896];
        for (i, (start, len)) in
            starts.iter().flat_map(|start| lens.iter().map(move |len| (start, *len))).enumerate()
        {
            let at = i * (64 << 10) + start;
            let bytes = pattern(100 + i as u64, len);
            disk.write(at as u64, &bytes);
            wanted[at..at + len].copy_from_slice(&bytes);
            let around = i * (64 << 10)..(i + 1) * (64 << 10);
            let read = disk.read(around.start as u64, around.len());
            assert!(read == wanted[around], "write of {len} bytes at {start}");
        }
        assert!(disk.read(0, SIZE as usize) == wanted);
        // The last bytes, and the first.
        disk.write(SIZE - 512, &[5; 512]);
        disk.write(0, &[6; 512]);
        assert_eq!(disk.read(SIZE - 1024, 1024)[512..], [5; 512]);
        assert_eq!(disk.read(0, 512), [6; 512]);
    });
}

fn zeroes_hide_the_parent(store: &dyn Store, name: &str) {
    with_clone(store, name, |disk, mut wanted| {
        let ranges =
            [(0, 512), (8192, 4096), (20_480 + 512, 1024), (40_960 + 1536, 70_000 / 512 * 512)];
        for (i, (offset, len)) in ranges.into_iter().enumerate() {
            let (a, b) = (offset, offset + (2 << 20));
            disk.run(Op::Discard { offset: a, len }).unwrap();
            disk.run(Op::WriteZeroes { offset: b, len, fua: i % 2 == 0 }).unwrap();
            wanted[a as usize..][..len as usize].fill(0);
            wanted[b as usize..][..len as usize].fill(0);
            assert!(disk.read(0, SIZE as usize) == wanted, "{len} bytes at {offset}");
        }
        // Written again after that, in part.
        disk.write(8192 + 512, &[4; 512]);
        wanted[8192 + 512..][..512].fill(4);
        assert!(disk.read(0, SIZE as usize) == wanted);
        disk.run(Op::WriteZeroes { offset: 0, len: SIZE, fua: false }).unwrap();
        assert!(disk.read(0, SIZE as usize) == vec![0; SIZE as usize]);
    });
}

fn a_long_request(store: &dyn Store, name: &str) {
    with_clone(store, name, |disk, mut wanted| {
        let bytes = pattern(3, 5_000_192);
        disk.write(1_000_448, &bytes);
        wanted[1_000_448..][..bytes.len()].copy_from_slice(&bytes);
        assert!(disk.read(0, SIZE as usize) == wanted);
        let reads = (0..64).map(|i| Op::Read { offset: i << 16, buf: Buffer::unfilled(1 << 16) });
        for (result, wanted) in disk.run_all(reads).into_iter().zip(wanted.chunks(1 << 16)) {
            assert!(matches!(result, Ok(Done::Data(buf)) if buf.to_vec() == wanted));
        }
    });
}

fn flush_and_fua(store: &dyn Store, name: &str) {
    with_clone(store, name, |disk, _| {
        disk.run(Op::Flush).unwrap();
        disk.write(512, &[1; 512]);
        disk.run(Op::Flush).unwrap();
        let buf = Buffer::from_slice(&[2; 1024]);
        disk.run(Op::Write { offset: 1024, buf, fua: true }).unwrap();
        disk.run(Op::Flush).unwrap();
        assert_eq!(disk.read(512, 512), [1; 512]);
        assert_eq!(disk.read(1024, 1024), [2; 1024]);
    });
}

fn compare_and_write(store: &dyn Store, name: &str) {
    with_clone(store, name, |disk, wanted| {
        if disk.volume.info().max_compare_and_write_bytes == 0 {
            return;
        }
        let old = &wanted[512..1024];
        let mut wrong = old.to_vec();
        wrong[100] ^= 1;
        let error = disk.compare_and_write(512, &wrong, &[1; 512]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Miscompare { offset: 100 });
        assert!(disk.read(0, 8192) == wanted[..8192]);
        disk.compare_and_write(512, old, &[1; 512]).unwrap();
        assert_eq!(disk.read(512, 512), [1; 512]);
        assert!(disk.read(0, 512) == wanted[..512]);
        assert!(disk.read(1024, 8192) == wanted[1024..][..8192]);
    });
}

fn compare_and_write_races(store: &dyn Store, name: &str) {
    with_clone(store, name, |disk, _| {
        if disk.volume.info().max_compare_and_write_bytes == 0 {
            return;
        }
        disk.write(0, &[0; 512]);
        let add_one = |disk: &Disk| loop {
            let old = disk.read(0, 512);
            let mut new = old.clone();
            new[0] += 1;
            match disk.compare_and_write(0, &old, &new) {
                Ok(_) => return,
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Miscompare { .. })),
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let disk = Disk::new(Arc::clone(&disk.volume));
                scope.spawn(move || (0..25).for_each(|_| add_one(&disk)));
            }
        });
        assert_eq!(disk.read(0, 512)[0], 100);
    });
}

fn read_only_refuses(store: &dyn Store, name: &str) {
    let bytes = golden(store, name);
    for volume in [
        store.open(name, None, OpenMode::ReadOnly).unwrap(),
        store.open(name, Some("golden"), OpenMode::ReadOnly).unwrap(),
    ] {
        let disk = Disk::new(volume);
        assert!(disk.volume.info().read_only);
        let buf = || Buffer::zeroed(512);
        for op in [
            Op::Write { offset: 0, buf: buf(), fua: false },
            Op::WriteAtomic { offset: 0, buf: buf(), fua: false },
            Op::Discard { offset: 0, len: 4096 },
            Op::WriteZeroes { offset: 0, len: 4096, fua: false },
            Op::WriteSame { offset: 0, len: 4096, pattern: buf() },
            Op::CompareAndWrite { offset: 0, compare: buf(), write: buf() },
        ] {
            let what = format!("{op:?}");
            assert_eq!(disk.run(op).unwrap_err().kind(), ErrorKind::ReadOnly, "{what}");
        }
        assert!(disk.read(0, SIZE as usize) == bytes);
    }
    let snapshot = store.open(name, Some("golden"), OpenMode::ReadWrite);
    assert_eq!(kind_of(snapshot), Some(StoreErrorKind::Invalid), "a snapshot has no writer");
    remove_golden(store, name);
}

fn empty_requests(store: &dyn Store, name: &str) {
    store.create(name, SIZE).unwrap();
    store.snapshot(name, "s").unwrap();
    let clone = format!("{name}.clone");
    store.clone_image(name, "s", &clone).unwrap();
    let disk = open(store, &clone);
    for offset in [0, 512, SIZE] {
        assert!(disk.read(offset, 0).is_empty());
        let empty = || Buffer::unfilled(0);
        for op in [
            Op::Write { offset, buf: empty(), fua: true },
            Op::Discard { offset, len: 0 },
            Op::WriteZeroes { offset, len: 0, fua: false },
            Op::CompareAndWrite { offset, compare: empty(), write: empty() },
        ] {
            assert!(matches!(disk.run(op), Ok(Done::Unit)));
        }
    }
    drop(disk);
    store.remove(&clone).unwrap();
    store.remove_snapshot(name, "s").unwrap();
    store.remove(name).unwrap();
}

fn beyond_the_end(store: &dyn Store, name: &str) {
    store.create(name, SIZE).unwrap();
    let disk = open(store, name);
    for op in [
        Op::Read { offset: SIZE - 512, buf: Buffer::unfilled(1024) },
        Op::Write { offset: SIZE, buf: Buffer::zeroed(512), fua: false },
        Op::Discard { offset: SIZE - 512, len: 1024 },
        Op::Read { offset: u64::MAX - 511, buf: Buffer::unfilled(512) },
    ] {
        let what = format!("{op:?}");
        assert_eq!(disk.run(op).unwrap_err().kind(), ErrorKind::OutOfRange, "{what}");
    }
    drop(disk);
    store.remove(name).unwrap();
}

fn neighbouring_sectors(store: &dyn Store, name: &str) {
    with_clone(store, name, |disk, _| {
        let rounds = 30_u64;
        std::thread::scope(|scope| {
            for writer in 0..8_u64 {
                let disk = Disk::new(Arc::clone(&disk.volume));
                scope.spawn(move || {
                    // Every round is a 4 KiB block that nobody has touched: eight copy-ups race.
                    for round in 0..rounds {
                        disk.write(
                            round * 4096 + writer * 512,
                            &pattern(writer * 1000 + round, 512),
                        );
                    }
                });
            }
        });
        for round in 0..rounds {
            for writer in 0..8 {
                let read = disk.read(round * 4096 + writer * 512, 512);
                assert!(read == pattern(writer * 1000 + round, 512), "{round} {writer}");
            }
        }
    });
}

fn extents_cover_what_was_written(store: &dyn Store, name: &str) {
    store.create(name, SIZE).unwrap();
    let disk = open(store, name);
    disk.write(4 << 20, &pattern(1, 1 << 20));
    drop(disk);
    store.snapshot(name, "golden").unwrap();
    let child = format!("{name}.clone");
    store.clone_image(name, "golden", &child).unwrap();
    let disk = open(store, &child);
    disk.write(6 << 20, &pattern(1, 1 << 20));
    let extents = |offset, len, max| match disk.run(Op::Extents { offset, len, max }) {
        Ok(Done::Extents(extents)) => extents,
        other => panic!("{other:?}"),
    };
    let mapped_at = |at: u64| -> bool {
        let Extent { offset, len, mapped } = extents(at, SIZE - at, 1)[0];
        assert!(offset == at && len > 0);
        mapped
    };
    assert!(mapped_at(4 << 20) && mapped_at((5 << 20) - 512), "the parent's data");
    assert!(mapped_at(6 << 20) && mapped_at((7 << 20) - 512), "its own");
    let mut at = 512;
    for extent in extents(512, SIZE - 512, 100) {
        assert_eq!(extent.offset, at);
        at += extent.len;
    }
    assert!(at <= SIZE);
    assert_eq!(extents(512, 1024, 100).iter().map(|extent| extent.len).sum::<u64>(), 1024);
    assert!(!mapped_at(0) && extents(0, SIZE, 1)[0].len == 4 << 20, "nobody wrote there");
    drop(disk);
    store.remove(&child).unwrap();
    remove_golden(store, name);
}
