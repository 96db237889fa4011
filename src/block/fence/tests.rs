//! The fence before a disk whose operations take effect when the test says so.

use std::task::{Context, Waker};

use proptest::prelude::*;

use super::*;
use crate::block::qos::Timer;
use crate::block::{Buffer, Done, VolumeInfo};

/// One byte for each logical block.
const BLOCKS: usize = 8;

/// A disk whose operations take effect when the test says so.
#[derive(Default)]
struct Slow {
    disk: Mutex<[u8; BLOCKS]>,
    under_way: Mutex<Vec<(Request, Arc<CompletionQueue>)>>,
}

impl Slow {
    /// Executes one of the operations under way.
    fn finish(&self, i: usize) {
        let (Request { tag, mut op }, queue) = self.under_way.lock().remove(i);
        let mut disk = self.disk.lock();
        match &mut op {
            Op::Read { offset, buf } => buf.copy_from(0, &disk[range(*offset, buf.len())]),
            Op::Write { offset, buf, .. } => {
                disk[range(*offset, buf.len())].copy_from_slice(&buf.to_vec());
            }
            Op::Discard { offset, len } => {
                disk[range(*offset, usize::try_from(*len).unwrap())].fill(0);
            }
            _ => {}
        }
        let result = match op {
            Op::Read { buf, .. } => Ok(Done::Data(buf)),
            _ => Ok(Done::Unit),
        };
        queue.push(Completion { tag, result });
    }

    fn tags(&self) -> Vec<u64> {
        self.under_way.lock().iter().map(|(request, _)| request.tag).collect()
    }

    fn index_of(&self, tag: u64) -> Option<usize> {
        self.tags().iter().position(|other| *other == tag)
    }
}

fn range(offset: u64, len: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).unwrap();
    start..start + len
}

impl Volume for Slow {
    fn info(&self) -> VolumeInfo {
        unreachable!("nobody asks")
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        _done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        let mut under_way = self.under_way.lock();
        under_way.extend(requests.drain(..).map(|request| (request, Arc::clone(queue))));
    }
}

struct Lab {
    slow: Arc<Slow>,
    fenced: Arc<Fenced>,
    queues: [Arc<CompletionQueue>; 2],
}

impl Lab {
    fn new() -> Self {
        let slow = Arc::new(Slow::default());
        let fenced = Fenced::new(Arc::clone(&slow) as Arc<dyn Volume>, Arc::new(Timer::default()));
        Self { slow, fenced, queues: Default::default() }
    }

    fn submit(&self, owner: usize, tag: u64, op: Op) {
        self.fenced.submit(&mut vec![Request { tag, op }], &mut Vec::new(), &self.queues[owner]);
    }

    fn completions(&self, owner: usize) -> Vec<Completion> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut out = Vec::new();
        let _nothing = self.queues[owner].poll_drain(&mut cx, &mut out);
        out
    }
}

fn write(offset: u64, bytes: &[u8]) -> Op {
    Op::Write { offset, buf: Buffer::from_slice(bytes), fua: false }
}

fn read(offset: u64, len: usize) -> Op {
    Op::Read { offset, buf: Buffer::unfilled(len) }
}

fn spans(offset: u64, len: u64) -> Spans {
    SmallVec::from_elem(Span::new(offset, len), 1)
}

#[test]
fn what_touches_a_ghost_waits_and_the_rest_does_not() {
    let lab = Lab::new();
    lab.submit(0, 1, write(2, &[1, 1]));
    let ghost = lab.fenced.haunt(spans(2, 2));
    lab.submit(1, 2, write(3, &[2, 2]));
    lab.submit(1, 3, read(0, 3));
    lab.submit(1, 4, Op::Flush);
    lab.submit(1, 5, write(0, &[3, 3]));
    lab.submit(1, 6, read(4, 4));
    lab.submit(1, 7, Op::Extents { offset: 3, len: 1, max: 1 });
    assert_eq!(lab.slow.tags(), [1, 5, 6]);
    lab.slow.finish(0);
    assert_eq!(lab.slow.tags(), [5, 6], "until the fence hears of it");
    ghost.ended();
    assert_eq!(lab.slow.tags(), [5, 6, 2, 3, 4, 7], "in the order they came");
    while !lab.slow.tags().is_empty() {
        lab.slow.finish(0);
    }
    assert_eq!(lab.slow.disk.lock()[..5], [3, 3, 1, 2, 2], "the later write is what stays");
    assert_eq!((lab.completions(0).len(), lab.completions(1).len()), (1, 6));
    lab.submit(1, 8, write(2, &[4, 4]));
    assert_eq!(lab.slow.tags(), [8], "nothing is left of the ghost");
}

#[test]
fn what_is_taken_back_never_gets_to_the_volume() {
    let lab = Lab::new();
    let ghost = lab.fenced.haunt(spans(0, 2));
    for (owner, tag) in [(0, 1), (0, 2), (1, 1), (0, 1)] {
        lab.submit(owner, tag, write(1, &[1]));
    }
    assert_eq!(lab.fenced.cancel(&lab.queues[0], 1), 2);
    assert_eq!(lab.fenced.cancel(&lab.queues[0], 1), 0);
    ghost.ended();
    assert_eq!(lab.slow.tags(), [2, 1], "those of another tag, and of another queue");
    assert_eq!(lab.fenced.cancel(&lab.queues[0], 2), 0, "it is under way");
}

#[test]
fn an_operation_waits_for_all_ghosts_that_it_touches() {
    let lab = Lab::new();
    let (one, other) = (lab.fenced.haunt(spans(0, 2)), lab.fenced.haunt(spans(4, 2)));
    lab.submit(0, 1, read(1, 4));
    other.ended();
    assert!(lab.slow.tags().is_empty());
    one.ended();
    assert_eq!(lab.slow.tags(), [1]);
}

#[test]
fn with_too_many_ranges_everything_waits_for_every_ghost() {
    let lab = Lab::new();
    let many: Spans = (0..SPANS_MAX as u64).map(|i| Span::new(1000 + 2 * i, 1)).collect();
    let crowd = lab.fenced.haunt(many);
    lab.submit(0, 1, read(0, 1));
    let one_more = lab.fenced.haunt(spans(4, 1));
    lab.submit(0, 2, read(0, 1));
    assert_eq!(lab.slow.tags(), [1]);
    one_more.ended();
    assert_eq!(lab.slow.tags(), [1], "it waits for the first of them");
    lab.submit(0, 3, read(0, 1));
    crowd.ended();
    assert_eq!(lab.slow.tags(), [1, 3, 2]);
}

#[derive(Debug, Clone)]
enum Move {
    Submit {
        owner: usize,
        kind: u8,
        offset: u64,
        len: u64,
    },
    /// An operation under way ends.
    Finish(prop::sample::Index),
    /// A task that has not been answered is aborted.
    Abort(prop::sample::Index),
}

fn moves() -> impl Strategy<Value = Move> {
    let span = (0..BLOCKS as u64).prop_flat_map(|at| (Just(at), 1..=(BLOCKS as u64 - at)));
    prop_oneof![
        4 => (0..2usize, 0..4u8, span)
            .prop_map(|(owner, kind, (offset, len))| Move::Submit { owner, kind, offset, len }),
        3 => any::<prop::sample::Index>().prop_map(Move::Finish),
        2 => any::<prop::sample::Index>().prop_map(Move::Abort),
    ]
}

/// What an initiator may hold against a block: the values of the writes that were answered or
/// aborted, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Open,
    Answered(usize),
    Aborted(usize),
}

struct Task {
    owner: usize,
    begun: usize,
    span: Span,
    /// The byte that a write leaves behind.
    value: Option<u8>,
    is_flush: bool,
    fate: Fate,
    ghost: Option<Ghost>,
    is_ghost: bool,
    dropped: bool,
}

impl Task {
    fn touches(&self, other: &Self) -> bool {
        self.is_flush || self.span.overlaps(other.span)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Random operations of two sessions, ended and aborted at random.
    #[test]
    fn nothing_that_began_after_an_abort_sees_the_disk_before_its_effect(
        moves in prop::collection::vec(moves(), 1..60)
    ) {
        let lab = Lab::new();
        let mut tasks: Vec<Task> = Vec::new();
        for (now, step) in moves.into_iter().enumerate() {
            match step {
                Move::Submit { owner, kind, offset, len } => {
                    let tag = tasks.len() as u64;
                    let value = u8::try_from(now + 1).unwrap();
                    let (op, value) = match kind {
                        0 => (read(offset, usize::try_from(len).unwrap()), None),
                        1 => (Op::Flush, None),
                        2 => (Op::Discard { offset, len }, Some(0)),
                        _ => (write(offset, &vec![value; usize::try_from(len).unwrap()]), Some(value)),
                    };
                    let is_flush = kind == 1;
                    tasks.push(Task {
                        owner, begun: now, span: Span::new(offset, len), value, is_flush,
                        fate: Fate::Open, ghost: None, is_ghost: false, dropped: false,
                    });
                    lab.submit(owner, tag, op);
                }
                Move::Finish(which) => {
                    let count = lab.slow.tags().len();
                    if count > 0 {
                        lab.slow.finish(which.index(count));
                    }
                }
                Move::Abort(which) => {
                    let open: Vec<usize> = (0..tasks.len())
                        .filter(|i| tasks[*i].fate == Fate::Open).collect();
                    if open.is_empty() { continue; }
                    let i = open[which.index(open.len())];
                    let task = &mut tasks[i];
                    task.fate = Fate::Aborted(now);
                    task.dropped = lab.fenced.cancel(&lab.queues[task.owner], i as u64) > 0;
                    if !task.dropped && task.value.is_some() {
                        let spans = SmallVec::from_elem(task.span, 1);
                        task.ghost = Some(lab.fenced.haunt(spans));
                        task.is_ghost = true;
                    }
                }
            }
            settle(&lab, &mut tasks, now);
            check(&lab, &tasks)?;
        }
        // All that is under way ends; nothing stays behind.
        let mut now = 1000;
        while !lab.slow.tags().is_empty() {
            lab.slow.finish(0);
            settle(&lab, &mut tasks, now);
            check(&lab, &tasks)?;
            now += 1;
        }
        prop_assert!(tasks.iter().all(|task| task.fate != Fate::Open), "a task got no answer");
        prop_assert!(tasks.iter().all(|task| task.ghost.is_none()), "a ghost did not end");
        prop_assert_eq!(lab.fenced.ghosts.load(Ordering::Acquire), 0);
        prop_assert!(lab.fenced.state.lock().held.is_empty());
        // A flat model: whatever a block holds was written by a task after which no other one
        // began, wrote that block, and was answered.
        for block in 0..BLOCKS {
            let found = lab.slow.disk.lock()[block];
            let wrote = |task: &&Task| {
                task.value.is_some() && !task.dropped
                    && task.span.overlaps(Span::new(block as u64, 1))
            };
            let over = |task: &Task| match task.fate {
                Fate::Open => usize::MAX,
                Fate::Answered(at) | Fate::Aborted(at) => at,
            };
            let last_begin = tasks.iter().filter(wrote).map(|task| task.begun).max();
            let Some(last_begin) = last_begin else {
                prop_assert_eq!(found, 0);
                continue;
            };
            let fine = tasks.iter().filter(wrote)
                .any(|task| task.value == Some(found) && over(task) >= last_begin);
            prop_assert!(fine, "block {block} holds {found}, which a later write has replaced");
        }
    }
}

/// The sessions hear of completions; ghosts that have ended are laid.
fn settle(lab: &Lab, tasks: &mut [Task], now: usize) {
    for owner in 0..2 {
        for completion in lab.completions(owner) {
            let task = &mut tasks[usize::try_from(completion.tag).unwrap()];
            assert!(task.owner == owner && !task.dropped);
            if task.fate == Fate::Open {
                task.fate = Fate::Answered(now);
            }
            if let Some(ghost) = task.ghost.take() {
                ghost.ended();
            }
        }
    }
}

/// At no time are a ghost and something that began after the abort, and touches it, in the
/// volume at once.
fn check(lab: &Lab, tasks: &[Task]) -> Result<(), TestCaseError> {
    let inside = |i: &usize| lab.slow.index_of(*i as u64).is_some();
    for ghost in tasks.iter().filter(|task| task.ghost.is_some()) {
        let Fate::Aborted(at) = ghost.fate else { continue };
        for i in (0..tasks.len()).filter(inside) {
            let late = tasks[i].begun > at && tasks[i].touches(ghost);
            prop_assert!(!late, "task {i} runs beside a ghost");
        }
    }
    let dropped = (0..tasks.len()).filter(|i| tasks[*i].dropped).find(inside);
    prop_assert_eq!(dropped, None, "a dropped task runs");
    Ok(())
}
