//! A cached clone against a flat disk: random requests, each of which happens and is answered at a
//! random later time, in any order; at the end every read must have seen what a disk could have
//! shown it, and whenever nothing is under way, what the disk holds.
//!
//! A read may see a write that began before the read ended, unless another write of that sector
//! began after the first had ended and ended before the read began.

use std::sync::Arc;
use std::task::{Context, Waker};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::gated::Gated;
use crate::block::{Buffer, CompletionQueue, Done, ErrorKind, Op, Request, Volume};
use crate::cache::shard::Bug;
use crate::cache::{Cache, CachedVolume, EXTENT_BYTES, Mine, Options, Origin, Snapshot};

const SECTOR: usize = 512;
/// Ten extents, and an end that is no whole block.
const SECTORS: usize = 10 * SECTORS_IN_EXTENT + 9;
const SECTORS_IN_EXTENT: usize = EXTENT_BYTES as usize / SECTOR;

#[derive(Debug, Clone)]
enum Step {
    Read(usize, usize),
    Write(usize, usize),
    WriteAtomic(usize, usize),
    Zeroes(usize, usize),
    CompareAndWrite(usize),
    Prefetch(usize, usize),
    /// Everything ends, and a read shows what the disk holds.
    Compare(usize, usize),
    /// One step of a request: of the parent's or the disk's, which one, whether it fails, and
    /// whether it happened nevertheless.
    Go(bool, usize, bool, bool),
    /// Cut to so many sectors and made as long as before, when nothing is under way.
    Shrink(usize),
    Fence,
}

/// Where requests begin: most on few sectors, so that they meet.
fn start() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..40_usize, 1 => 0..SECTORS - 300]
}

/// Begin and length of requests: half of them whole blocks.
fn range() -> impl Strategy<Value = (usize, usize)> {
    let blocks = (0..5_usize, 1..4_usize).prop_map(|(at, len)| (at * 8, len * 8));
    let len = prop_oneof![6 => 1..24_usize, 1 => 1..300_usize];
    prop_oneof![blocks, (start(), len)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let go = (any::<bool>(), 0..64_usize, prop::bool::weighted(0.05), any::<bool>());
    let step = prop_oneof![
        60 => range().prop_map(|(at, len)| Step::Read(at, len)),
        30 => range().prop_map(|(at, len)| Step::Write(at, len)),
        15 => range().prop_map(|(at, len)| Step::WriteAtomic(at, len)),
        8 => range().prop_map(|(at, len)| Step::Zeroes(at, len)),
        8 => start().prop_map(Step::CompareAndWrite),
        8 => range().prop_map(|(at, len)| Step::Prefetch(at, len)),
        12 => range().prop_map(|(at, len)| Step::Compare(at, len)),
        200 => go.prop_map(|(parent, at, fails, happens)| Step::Go(parent, at, fails, happens)),
        3 => (0..SECTORS).prop_map(Step::Shrink),
        1 => Just(Step::Fence),
    ];
    prop::collection::vec(step, 1..400)
}

/// What was done to a range of sectors, and when.
#[derive(Debug)]
struct Record {
    at: usize,
    len: usize,
    begun: usize,
    ended: Option<usize>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The values of the sectors as they were read.
    Read(Option<Vec<u64>>),
    /// It happened, if that is known.
    Write { value: u64, happened: Option<bool>, is_atomic: bool },
}

/// A sector full of one value.
fn sector(value: u64) -> impl Iterator<Item = u8> {
    std::iter::repeat_n(value.to_le_bytes(), SECTOR / 8).flatten()
}

fn values(bytes: &[u8]) -> Result<Vec<u64>, TestCaseError> {
    let of = |sector: &[u8]| {
        let value = u64::from_le_bytes(sector[..8].try_into().unwrap());
        prop_assert!(sector.chunks(8).all(|word| word == &sector[..8]), "a torn sector");
        Ok(value)
    };
    bytes.chunks(SECTOR).map(of).collect()
}

struct World {
    parent: Arc<Gated>,
    disk: Arc<Gated>,
    volume: CachedVolume,
    queue: Arc<CompletionQueue>,
    records: Vec<Record>,
    now: usize,
    fenced_at: Option<usize>,
}

impl World {
    fn new(own: &[bool], bug: Option<Bug>) -> Self {
        let parent_bytes: Vec<u8> = (0..SECTORS as u64).flat_map(|n| sector(1 << 32 | n)).collect();
        let mut bytes = parent_bytes.clone();
        let mut ranges = Vec::new();
        for extent in own.iter().zip(0..).filter_map(|(own, extent)| own.then_some(extent)) {
            // One sector of it is enough to make it the clone's own.
            let at = extent * EXTENT_BYTES as usize + 3 * SECTOR;
            bytes.splice(at..at + SECTOR, sector(2 << 32 | extent as u64));
            ranges.push(at as u64..(at + SECTOR) as u64);
        }
        let records = bytes.chunks(SECTOR).enumerate().map(|(at, bytes)| {
            let value = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            let what = What::Write { value, happened: Some(true), is_atomic: false };
            Record { at, len: 1, begun: 0, ended: Some(0), what }
        });
        let records = records.collect();
        let (parent, disk) = (Gated::new(parent_bytes), Gated::new(bytes));
        // Room for a few extents only.
        let cache = Cache::new(Options { golden_bytes: 100_000, disk_bytes: 100_000 });
        let snapshot = Snapshot { volume: Arc::clone(&parent) as _, own: None, above: None };
        let above = cache.add_parent("golden", snapshot);
        let origin = Origin::new(above, u64::MAX, &ranges);
        let volume = cache.wrap(Arc::clone(&disk) as _, Some(origin), Mine);
        bug.into_iter().for_each(|bug| volume.seed_bug(bug));
        let queue = Arc::new(CompletionQueue::new());
        Self { parent, disk, volume, queue, records, now: 1, fenced_at: None }
    }

    fn submit(&mut self, at: usize, len: usize, what: What, op: Op) -> Result<(), TestCaseError> {
        self.now += 1;
        let tag = self.records.len() as u64;
        self.records.push(Record { at, len, begun: self.now, ended: None, what });
        let mut done = Vec::new();
        self.volume.submit(&mut vec![Request { tag, op }], &mut done, &self.queue);
        self.now += 1;
        self.take(done)
    }

    fn take(&mut self, mut done: Vec<crate::block::Completion>) -> Result<(), TestCaseError> {
        let mut cx = Context::from_waker(Waker::noop());
        while self.queue.poll_drain(&mut cx, &mut done).is_ready() {}
        for completion in done {
            let record = &mut self.records[completion.tag as usize];
            prop_assert!(record.ended.replace(self.now).is_none(), "completed twice");
            let fenced = self.fenced_at.is_some_and(|at| at < record.begun);
            prop_assert!(!fenced || completion.result.is_err(), "served after the fence");
            match (&mut record.what, completion.result) {
                (What::Read(seen), Ok(Done::Data(buf))) => {
                    prop_assert_eq!(buf.len(), record.len * SECTOR);
                    *seen = Some(values(&buf.to_vec())?);
                }
                (What::Write { happened, .. }, Ok(Done::Unit)) => *happened = Some(true),
                (What::Write { happened, .. }, Err(error)) => {
                    let no = matches!(error.kind(), ErrorKind::Miscompare { .. });
                    *happened = no.then_some(false);
                }
                (What::Read(_), Err(_)) => {}
                (what, result) => prop_assert!(false, "{:?} for {:?}", result, what),
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), TestCaseError> {
        while self.parent.pending() + self.disk.pending() > 0 {
            self.parent.finish();
            self.disk.finish();
        }
        self.now += 1;
        self.take(Vec::new())
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let value = self.now as u64;
        let write = What::Write { value, happened: None, is_atomic: false };
        let offset = |at: usize| (at * SECTOR) as u64;
        match *step {
            Step::Read(at, len) => {
                let buf = Buffer::from_slice(&vec![0xa5; len * SECTOR]);
                self.submit(at, len, What::Read(None), Op::Read { offset: offset(at), buf })
            }
            Step::Write(at, len) => {
                let bytes: Vec<u8> = (0..len).flat_map(|_| sector(value)).collect();
                let buf = Buffer::from_slice(&bytes);
                self.submit(at, len, write, Op::Write { offset: offset(at), buf, fua: false })
            }
            Step::WriteAtomic(at, len) => {
                let bytes: Vec<u8> = (0..len).flat_map(|_| sector(value)).collect();
                let op = Op::WriteAtomic {
                    offset: offset(at),
                    buf: Buffer::from_slice(&bytes),
                    fua: false,
                };
                self.submit(at, len, What::Write { value, happened: None, is_atomic: true }, op)
            }
            Step::Zeroes(at, len) => {
                let op = match value % 2 {
                    0 => Op::Discard { offset: offset(at), len: offset(len) },
                    _ => Op::WriteZeroes { offset: offset(at), len: offset(len), fua: false },
                };
                self.submit(at, len, What::Write { value: 0, happened: None, is_atomic: false }, op)
            }
            Step::CompareAndWrite(at) => {
                // With what was written there last, so that it often succeeds.
                let touches = |record: &&Record| (record.at..record.at + record.len).contains(&at);
                let old = self.records.iter().rev().filter(touches).find_map(|r| match r.what {
                    What::Write { value, .. } => Some(value),
                    What::Read(_) => None,
                });
                let buf = |value| Buffer::from_slice(&sector(value).collect::<Vec<_>>());
                let (compare, new) = (buf(old.unwrap_or(0)), buf(value));
                let op = Op::CompareAndWrite { offset: offset(at), compare, write: new };
                self.submit(at, 1, write, op)
            }
            Step::Prefetch(at, len) => {
                let range = offset(at)..offset(at + len);
                let _ = self.volume.prefetch(std::slice::from_ref(&range), false, u64::MAX);
                Ok(())
            }
            Step::Compare(at, len) => {
                self.drain()?;
                let read = self.records.len();
                self.run(&Step::Read(at, len))?;
                self.drain()?;
                let What::Read(seen) = &self.records[read].what else { unreachable!() };
                let held = values(&self.disk.bytes(offset(at), len * SECTOR))?;
                let fenced = self.fenced_at.is_some();
                prop_assert!(fenced || seen.as_ref() == Some(&held), "{:?} of {:?}", seen, held);
                Ok(())
            }
            Step::Go(parent, at, fails, happens) => {
                let gated = if parent { &self.parent } else { &self.disk };
                let count = gated.pending();
                if count > 0 {
                    gated.step(at % count, fails, happens);
                    self.now += 1;
                }
                self.take(Vec::new())
            }
            Step::Shrink(sectors) => {
                self.drain()?;
                self.now += 1;
                let (at, len) = (sectors, SECTORS - sectors);
                let what = What::Write { value: 0, happened: Some(true), is_atomic: false };
                self.records.push(Record { at, len, begun: self.now, ended: Some(self.now), what });
                self.disk.set_len(sectors * SECTOR);
                let _asked = self.volume.info();
                self.disk.set_len(SECTORS * SECTOR);
                Ok(())
            }
            Step::Fence => {
                self.now += 1;
                self.fenced_at.get_or_insert(self.now);
                self.disk.fence();
                Ok(())
            }
        }
    }

    /// Whether each read has seen what it may.
    fn check(&self) -> Result<(), TestCaseError> {
        let mut writes: Vec<Vec<&Record>> = vec![Vec::new(); SECTORS];
        for write in self.records.iter().filter(|record| matches!(record.what, What::Write { .. }))
        {
            (write.at..write.at + write.len).for_each(|at| writes[at].push(write));
        }
        for read in &self.records {
            prop_assert!(read.ended.is_some(), "never completed: {:?}", read);
            let What::Read(Some(values)) = &read.what else { continue };
            for (value, at) in values.iter().zip(read.at..) {
                let fine =
                    writes[at].iter().any(|write| may_show(write, *value, read, &writes[at]));
                prop_assert!(fine, "sector {} read as {:#x} by {:?}", at, value, read);
            }
            self.check_atomic(read, values, &writes)?;
        }
        Ok(())
    }

    /// Who has seen a part of an atomic write has seen nothing that was there before it.
    fn check_atomic(
        &self,
        read: &Record,
        values: &[u64],
        writes: &[Vec<&Record>],
    ) -> Result<(), TestCaseError> {
        let seen = |at: usize| read.at.le(&at).then(|| values.get(at - read.at)).flatten();
        for write in &self.records {
            let What::Write { value, is_atomic: true, .. } = write.what else { continue };
            let range = write.at..write.at + write.len;
            if !range.clone().any(|at| seen(at) == Some(&value)) {
                continue;
            }
            for at in range {
                let Some(seen) = seen(at) else { continue };
                let source = writes[at].iter().filter(
                    |other| matches!(other.what, What::Write { value, .. } if value == *seen),
                );
                let older = source.clone().all(|other| other.ended < Some(write.begun));
                prop_assert!(!older, "half of {:?} at {} seen by {:?}", write, at, read);
            }
        }
        Ok(())
    }
}

/// Whether `read` may have seen `value` as written by `write`, one of `all` of that sector.
fn may_show(write: &Record, value: u64, read: &Record, all: &[&Record]) -> bool {
    let What::Write { value: written, happened, .. } = write.what else { return false };
    let is_overwritten = || {
        all.iter().any(|later| {
            matches!(later.what, What::Write { happened: Some(true), .. })
                && write.ended < Some(later.begun)
                && later.ended < Some(read.begun)
        })
    };
    written == value
        && happened != Some(false)
        && Some(write.begun) <= read.ended
        && !is_overwritten()
}

fn history(own: &[bool], steps: &[Step], bug: Option<Bug>) -> Result<(), TestCaseError> {
    let mut world = World::new(own, bug);
    steps.iter().try_for_each(|step| world.run(step))?;
    world.drain()?;
    // And what is left there at last.
    for at in (0..SECTORS).step_by(100) {
        world.run(&Step::Compare(at, 100.min(SECTORS - at)))?;
    }
    world.check()
}

fn run(cases: u32, bug: Option<Bug>) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = match bug {
        None => TestRunner::new(config),
        Some(_) => {
            let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            TestRunner::new_with_rng(Config { max_shrink_iters: 0, ..config }, rng)
        }
    };
    let own = prop::collection::vec(any::<bool>(), SECTORS / SECTORS_IN_EXTENT);
    runner
        .run(&(own, steps()), |(own, steps)| history(&own, &steps, bug))
        .map_err(|error| error.to_string())
}

#[test]
fn a_cached_disk_is_a_disk() {
    run(100, None).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_model_finds_the_seeded_bug() {
    let error = run(300, Some(Bug::FillOutlivesWrite)).unwrap_err();
    assert!(error.contains("read as") || error.contains(" of ["), "{error}");
}
