//! Limits, in a time that only the test lets pass.

use std::collections::BTreeMap;
use std::task::{Context, Waker};

use proptest::prelude::*;

use super::*;
use crate::block::{Buffer, Completion, Done, Fenced, Span, Volume, VolumeInfo};

const SECOND: u64 = 1_000_000_000;

/// A clock that stands still until it is told not to.
#[derive(Default)]
struct Clock {
    now: Mutex<u64>,
    /// How often somebody looked.
    looks: Mutex<u64>,
    calls: Mutex<BTreeMap<u64, Vec<Weak<dyn Due>>>>,
    has_no_thread: AtomicBool,
}

impl Pace for Clock {
    fn now_ns(&self) -> u64 {
        *self.looks.lock() += 1;
        *self.now.lock()
    }

    fn begin(&self) -> io::Result<()> {
        if self.has_no_thread.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }

    fn call(&self, at_ns: u64, whom: &Weak<dyn Due>) {
        self.calls.lock().entry(at_ns).or_default().push(Weak::clone(whom));
    }
}

impl Clock {
    /// Lets time pass, and calls whoever is to be called meanwhile; `then` after each call.
    fn pass(&self, ns: u64, mut then: impl FnMut()) {
        let end = self.now_ns() + ns;
        loop {
            let next = self.calls.lock().first_key_value().map(|(at, _)| *at);
            let Some(at) = next.filter(|at| *at <= end) else { break };
            let due = self.calls.lock().remove(&at).unwrap();
            *self.now.lock() = at.max(self.now_ns());
            due.iter().filter_map(Weak::upgrade).for_each(|due| due.is_due());
            then();
        }
        *self.now.lock() = end;
    }

    fn is_idle(&self) -> bool {
        self.calls() == 0
    }

    /// How many are to come.
    fn calls(&self) -> usize {
        self.calls.lock().values().map(Vec::len).sum()
    }
}

/// A disk that does everything at once, and counts.
#[derive(Default)]
struct Counts {
    reads: Mutex<u64>,
    writes: Mutex<u64>,
    bytes: Mutex<u64>,
    flushes: Mutex<u64>,
    order: Mutex<Vec<u64>>,
    /// It keeps writes until it is told to let them go.
    holds: AtomicBool,
    held: Mutex<Vec<u64>>,
}

impl Volume for Counts {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            size_bytes: 1 << 30,
            read_only: false,
            write_cache: false,
            physical_block_bytes: 512,
            optimal_io_bytes: 0,
            discard_granularity_bytes: 0,
            max_compare_and_write_bytes: 0,
            max_atomic_write_bytes: 0,
            atomic_write_boundary_bytes: 0,
            has_write_same: true,
        }
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        _queue: &Arc<CompletionQueue>,
    ) {
        for Request { tag, op } in requests.drain(..) {
            self.order.lock().push(tag);
            let result = match op {
                Op::Read { buf, .. } => {
                    *self.reads.lock() += 1;
                    *self.bytes.lock() += buf.len() as u64;
                    Ok(Done::Data(buf))
                }
                Op::Write { buf, .. } => {
                    *self.writes.lock() += 1;
                    *self.bytes.lock() += buf.len() as u64;
                    if self.holds.load(Ordering::SeqCst) {
                        self.held.lock().push(tag);
                        continue;
                    }
                    Ok(Done::Unit)
                }
                _ => {
                    *self.flushes.lock() += 1;
                    Ok(Done::Unit)
                }
            };
            done.push(Completion { tag, result });
        }
    }
}

/// A disk behind limits, and one who uses it.
struct Disk {
    clock: Arc<Clock>,
    counts: Arc<Counts>,
    fenced: Arc<Fenced>,
    queue: Arc<CompletionQueue>,
    next_tag: u64,
}

impl Disk {
    fn new(limits: Limits) -> Self {
        Self::at(&Arc::default(), limits)
    }

    fn at(clock: &Arc<Clock>, limits: Limits) -> Self {
        *clock.now.lock() = 1000 * SECOND;
        let counts = Arc::<Counts>::default();
        let pace = Arc::clone(clock) as Arc<dyn Pace>;
        let fenced = Fenced::new(Arc::clone(&counts) as Arc<dyn Volume>, pace);
        fenced.set_limits(limits).unwrap();
        let clock = Arc::clone(clock);
        Self { clock, counts, fenced, queue: Arc::default(), next_tag: 0 }
    }

    /// Asks for something; its tag, and whether it was done at once.
    fn ask(&mut self, op: Op) -> (u64, bool) {
        self.next_tag += 1;
        let tag = self.next_tag;
        let (mut requests, mut done) = (vec![Request { tag, op }], Vec::new());
        self.fenced.submit(&mut requests, &mut done, &self.queue);
        assert!(requests.is_empty());
        (tag, !done.is_empty())
    }

    fn read(&mut self, bytes: usize) -> (u64, bool) {
        self.ask(Op::Read { offset: 0, buf: Buffer::zeroed(bytes) })
    }

    fn write(&mut self, bytes: usize) -> (u64, bool) {
        self.ask(Op::Write { offset: 0, buf: Buffer::zeroed(bytes), fua: false })
    }

    /// The tags of what was done late, since this was asked last.
    fn late(&self) -> Vec<u64> {
        let mut done = Vec::new();
        let _ = self.queue.poll_drain(&mut Context::from_waker(Waker::noop()), &mut done);
        done.into_iter().map(|completion| completion.tag).collect()
    }

    fn reads(&self) -> u64 {
        *self.counts.reads.lock()
    }

    fn writes(&self) -> u64 {
        *self.counts.writes.lock()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn operations(total: u64, burst: u64) -> Limits {
    let total = Rates { operations: Some(total), bytes: None };
    Limits { total, burst: seconds(burst), ..Limits::default() }
}

#[test]
fn without_limits_nothing_waits_and_no_time_is_asked_for() {
    let mut disk = Disk::new(Limits::default());
    for _ in 0..1000 {
        assert!(disk.read(1 << 20).1 && disk.write(512).1);
    }
    assert!(disk.clock.is_idle() && *disk.clock.looks.lock() == 0);
    disk.fenced.set_limits(operations(10, 1)).unwrap();
    disk.fenced.set_limits(Limits::default()).unwrap();
    let looks = *disk.clock.looks.lock();
    assert!((0..100).all(|_| disk.read(512).1));
    assert_eq!(*disk.clock.looks.lock(), looks, "nor when there were some");
}

#[test]
fn operations_are_limited_over_time_and_a_burst_is_not() {
    let mut disk = Disk::new(operations(100, 2));
    for _ in 0..1000 {
        disk.read(4096);
    }
    assert_eq!(disk.reads(), 200, "two seconds' worth at once");
    for _ in 0..4 {
        let before = disk.reads();
        disk.clock.pass(SECOND, || ());
        assert!((99..=101).contains(&(disk.reads() - before)));
    }
    disk.clock.pass(20 * SECOND, || ());
    assert_eq!(disk.reads(), 1000);
    assert!(disk.clock.is_idle(), "nobody is called when nothing waits");
    assert_eq!(disk.late().len(), 800);
    // After a pause there is a burst again, and no more than one.
    disk.clock.pass(1000 * SECOND, || ());
    let done = (0..1000).filter(|_| disk.write(4096).1).count();
    assert_eq!(done, 200);
}

#[test]
fn bytes_are_limited_whatever_the_size_of_an_operation() {
    for bytes in [4096, 65536, 4 << 20] {
        let total = Rates { operations: None, bytes: Some(10 << 20) };
        let mut disk = Disk::new(Limits { total, burst: seconds(1), ..Limits::default() });
        for _ in 0..(200 << 20) / bytes {
            disk.read(bytes);
        }
        disk.clock.pass(9 * SECOND, || ());
        let moved = *disk.counts.bytes.lock();
        let (least, most) = ((100 << 20) - (1 << 20), (100 << 20) + bytes as u64 + (1 << 20));
        assert!((least..=most).contains(&moved), "{bytes}: {moved}");
    }
}

#[test]
fn what_waits_goes_on_in_its_order() {
    let mut disk = Disk::new(operations(10, 1));
    let tags: Vec<u64> =
        (0..40).map(|i| if i % 3 == 0 { disk.write(512) } else { disk.read(512) }.0).collect();
    disk.clock.pass(10 * SECOND, || ());
    assert_eq!(*disk.counts.order.lock(), tags);
}

#[test]
fn reads_and_writes_may_have_limits_of_their_own() {
    let writes = Rates { operations: Some(10), bytes: None };
    let mut disk = Disk::new(Limits { writes, burst: seconds(1), ..Limits::default() });
    for _ in 0..100 {
        disk.write(512);
        assert!(disk.read(512).1, "reads do not wait for writes");
    }
    assert_eq!((disk.reads(), disk.writes()), (100, 10));
    disk.clock.pass(SECOND, || ());
    assert_eq!(disk.writes(), 20);
}

#[test]
fn who_may_go_on_soon_does_not_wait_for_who_may_later() {
    let reads = Rates { operations: None, bytes: Some(1 << 20) };
    let writes = Rates { operations: Some(50), bytes: None };
    let mut disk = Disk::new(Limits { reads, writes, burst: seconds(1), ..Limits::default() });
    disk.read(16 << 20);
    assert!(!disk.read(512).1, "for 15 s");
    (0..50).for_each(|_| assert!(disk.write(512).1));
    assert!(!disk.write(512).1);
    disk.clock.pass(SECOND / 10, || ());
    assert_eq!((disk.reads(), disk.writes()), (1, 51));
    // The other way round, and again and again: the one who waits for long is looked at once.
    for _ in 0..1000 {
        disk.write(512);
        disk.clock.pass(SECOND / 100, || ());
    }
    assert!(disk.clock.calls() <= 2, "{}", disk.clock.calls());
    disk.clock.pass(20 * SECOND, || ());
    assert_eq!((disk.reads(), disk.writes()), (2, 1051));
    assert!(disk.clock.is_idle());
}

#[test]
fn limits_that_change_over_and_over_add_no_calls() {
    let mut disk = Disk::new(operations(10, 1));
    for _ in 0..100 {
        disk.read(512);
    }
    for i in 0..1000 {
        disk.fenced.set_limits(operations(10 + i % 2, 1)).unwrap();
    }
    assert!(disk.clock.calls() <= 2, "{}", disk.clock.calls());
    let looks = *disk.clock.looks.lock();
    disk.clock.pass(SECOND, || ());
    assert!(*disk.clock.looks.lock() - looks < 100);
}

#[test]
fn what_waited_goes_on_when_who_changed_the_limits_lets_it() {
    let mut disk = Disk::new(operations(1, 1));
    let waits: Vec<_> = (0..3).map(|_| disk.read(512)).skip(1).map(|(tag, _)| tag).collect();
    let limited = disk.fenced.set_limits(Limits::default()).unwrap();
    assert_eq!(disk.late(), [0; 0], "who sets them may have something locked");
    drop(limited);
    assert_eq!(disk.late(), waits);
    let same = disk.fenced.set_limits(Limits::default()).unwrap();
    drop(same);
    assert_eq!(disk.late(), [0; 0]);
}

#[test]
fn a_pattern_is_not_written_in_one_go_where_bytes_count() {
    let disk = Disk::new(Limits::default());
    assert!(disk.fenced.info().has_write_same);
    disk.fenced.set_limits(operations(10, 1)).unwrap();
    assert!(!disk.fenced.info().has_write_same, "one would be paid for by all others");
    disk.fenced.set_limits(Limits::default()).unwrap();
    assert!(disk.fenced.info().has_write_same);
}

#[test]
fn nobody_takes_what_all_share_away_from_those_who_wait() {
    let mut disk = Disk::new(operations(1000, 1));
    for _ in 0..1000 {
        disk.read(512);
    }
    let (write, done) = disk.write(512);
    assert!(!done);
    // A reader who comes back again and again finds the write before it.
    disk.clock.pass(SECOND / 1000, || ());
    *disk.clock.now.lock() += SECOND / 100;
    for _ in 0..100 {
        disk.read(512);
    }
    disk.clock.pass(SECOND, || ());
    let order = disk.counts.order.lock().clone();
    assert_eq!(order[1000], write);
}

#[test]
fn flushes_count_and_reservations_never_wait() {
    let mut disk = Disk::new(operations(10, 1));
    let done = (0..20).filter(|_| disk.ask(Op::Flush).1).count();
    assert_eq!(done, 10);
    let record = crate::block::StateRecord::new(vec![1]).unwrap();
    assert!(disk.ask(Op::SaveState(record)).1);
}

#[test]
fn limits_change_under_what_waits() {
    let mut disk = Disk::new(operations(10, 1));
    for _ in 0..500 {
        disk.read(512);
    }
    assert_eq!(disk.reads(), 10);
    disk.fenced.set_limits(operations(100, 1)).unwrap();
    disk.clock.pass(SECOND, || ());
    let reads = disk.reads();
    assert!((100..=201).contains(&reads), "{reads}");
    disk.fenced.set_limits(Limits::default()).unwrap();
    assert_eq!(disk.reads(), 500, "all that waited, at once");
    assert!(disk.read(512).1);
    disk.clock.pass(SECOND, || ());
    assert!(disk.clock.is_idle());
}

#[test]
fn what_is_aborted_while_it_waits_never_happens_and_leaves_no_ghost() {
    let mut disk = Disk::new(operations(10, 1));
    for _ in 0..10 {
        disk.write(512);
    }
    let (first, (second, _)) = (disk.write(512).0, disk.write(512));
    let other: Arc<CompletionQueue> = Arc::default();
    assert_eq!(disk.fenced.cancel(&other, first), 0, "another session's");
    assert_eq!(disk.fenced.cancel(&disk.queue, first), 1);
    assert_eq!(disk.fenced.cancel(&disk.queue, first), 0);
    disk.clock.pass(SECOND, || ());
    let order = disk.counts.order.lock().clone();
    assert!(!order.contains(&first) && order.contains(&second));
    assert_eq!(disk.late(), [second]);
}

#[test]
fn what_is_let_go_still_waits_for_the_ghosts_on_its_way() {
    let mut disk = Disk::new(operations(10, 1));
    disk.counts.holds.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        disk.write(512);
    }
    let (read, done) = disk.read(512);
    assert!(!done);
    // The writes are aborted while the disk has them.
    let ghost = disk.fenced.haunt([Span { start: 0, end: 512 }].into_iter().collect());
    disk.clock.pass(SECOND, || ());
    assert_eq!(disk.reads(), 0);
    assert!(disk.late().is_empty());
    ghost.ended();
    assert_eq!(disk.late(), [read]);
}

#[test]
fn a_disk_that_waits_holds_no_other_up() {
    let clock = Arc::<Clock>::default();
    let (mut slow, mut fast) =
        (Disk::at(&clock, operations(10, 1)), Disk::at(&clock, operations(1000, 1)));
    let mut free = Disk::at(&clock, Limits::default());
    for _ in 0..5000 {
        slow.read(512);
        fast.read(512);
        assert!(free.read(512).1);
    }
    clock.pass(3 * SECOND, || ());
    assert!((39..=41).contains(&slow.reads()), "{}", slow.reads());
    assert!((3990..=4010).contains(&fast.reads()), "{}", fast.reads());
}

#[test]
fn a_disk_that_is_gone_is_not_called() {
    let mut disk = Disk::new(operations(10, 1));
    for _ in 0..20 {
        disk.read(512);
    }
    let (clock, counts) = (Arc::clone(&disk.clock), Arc::clone(&disk.counts));
    drop(disk);
    clock.pass(SECOND, || ());
    assert_eq!(*counts.reads.lock(), 10);
}

#[test]
fn without_a_thread_there_are_no_limits() {
    let mut disk = Disk::new(Limits::default());
    disk.clock.has_no_thread.store(true, Ordering::SeqCst);
    assert!(disk.fenced.set_limits(operations(10, 1)).is_err());
    assert!((0..100).all(|_| disk.read(512).1));
}

/// A step of who uses the disk, or of time.
#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    Write(usize),
    Pass(u64),
    Cancel(usize),
    Limits(Limits),
}

fn rates() -> impl Strategy<Value = Rates> {
    let operations = proptest::option::of(10_u64..1000);
    let bytes = proptest::option::of(100_000_u64..10_000_000);
    (operations, bytes).prop_map(|(operations, bytes)| Rates { operations, bytes })
}

fn limits() -> impl Strategy<Value = Limits> {
    (rates(), rates(), rates(), 1_u64..5).prop_map(|(total, reads, writes, burst)| Limits {
        total,
        reads,
        writes,
        burst: seconds(burst),
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..65536).prop_map(Step::Read),
        4 => (1_usize..65536).prop_map(Step::Write),
        3 => (0..SECOND).prop_map(Step::Pass),
        2 => (0_usize..100).prop_map(Step::Cancel),
        1 => limits().prop_map(Step::Limits),
    ]
}

proptest! {
    /// Whatever happens, everything that was asked for is either done once or taken back.
    #[test]
    fn nothing_is_lost_and_nothing_done_twice(
        first in limits(),
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut disk = Disk::new(first);
        let (mut open, mut done) = (Vec::new(), Vec::new());
        for step in steps {
            let (tag, at_once) = match step {
                Step::Read(bytes) => disk.read(bytes),
                Step::Write(bytes) => disk.write(bytes),
                Step::Pass(ns) => {
                    disk.clock.pass(ns, || ());
                    let late = disk.late();
                    open.retain(|tag| !late.contains(tag));
                    done.extend(late);
                    continue;
                }
                Step::Cancel(at) => {
                    if let Some(tag) = open.get(at).copied()
                        && disk.fenced.cancel(&disk.queue, tag) == 1
                    {
                        open.retain(|other| *other != tag);
                    }
                    continue;
                }
                Step::Limits(limits) => {
                    disk.fenced.set_limits(limits).unwrap();
                    continue;
                }
            };
            if at_once { done.push(tag) } else { open.push(tag) }
        }
        disk.clock.pass(100_000 * SECOND, || ());
        let late = disk.late();
        open.retain(|tag| !late.contains(tag));
        done.extend(late);
        prop_assert!(open.is_empty(), "{open:?} wait for ever");
        prop_assert!(disk.clock.is_idle());
        let mut order = disk.counts.order.lock().clone();
        order.sort_unstable();
        done.sort_unstable();
        prop_assert_eq!(&order, &done);
        done.dedup();
        prop_assert_eq!(order, done);
    }
}
