//! How much a volume may be asked for: operations and bytes a second, with bursts.
//!
//! What goes beyond waits, in the order it came, reads apart from writes if these have limits of
//! their own. Nobody else waits for it: neither a thread, nor other volumes, nor what is in the way
//! of neither limit. A volume without limits pays one atomic load for each batch, and nothing for a
//! request.
//!
//! `docs/decisions/0031` has the argument.

mod bucket;
mod pace;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

pub use pace::{Due, Pace, Timer};

use super::{CompletionQueue, Op, Request};
use bucket::Bucket;

/// Waiting requests are looked at no more often than this: of a high limit several pass at a time.
const TICK_NS: u64 = 1_000_000;

/// What may be done in a second; `None`: as much as there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Operations.
    pub operations: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
}

/// What a volume may be asked for. All limits hold at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Everything together.
    pub total: Rates,
    /// What only looks at it.
    pub reads: Rates,
    /// What changes it, flushes included.
    pub writes: Rates,
    /// How long nothing is asked for until as much may be asked for at once as otherwise in that
    /// time.
    pub burst: Duration,
}

impl Limits {
    /// There are none.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        [self.total, self.reads, self.writes].iter().all(|rates| *rates == Rates::default())
    }

    /// In the order of [`State::buckets`].
    fn rates(&self) -> [Option<u64>; BUCKETS] {
        let Self { total, reads, writes, .. } = self;
        let all = [total, reads, writes].map(|rates| [rates.operations, rates.bytes]);
        std::array::from_fn(|i| all[i / 2][i % 2])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

use Direction::{Read, Write};

impl Direction {
    fn other(self) -> Self {
        match self {
            Read => Write,
            Write => Read,
        }
    }
}

/// What an operation counts for: one, and how many bytes are moved for it. `None`: it is not to
/// be held up.
fn cost(op: &Op) -> Option<(Direction, u64)> {
    Some(match op {
        Op::Read { buf, .. } => (Read, buf.len() as u64),
        Op::Extents { .. } => (Read, 0),
        Op::Write { buf, .. } | Op::WriteAtomic { buf, .. } => (Write, buf.len() as u64),
        Op::CompareAndWrite { compare, write, .. } => (Write, (compare.len() + write.len()) as u64),
        // The store writes it all.
        Op::WriteSame { len, .. } => (Write, *len),
        Op::Flush | Op::Discard { .. } | Op::WriteZeroes { .. } => (Write, 0),
        // Reservations: what keeps the nodes of a cluster apart.
        Op::SaveState(_) => return None,
    })
}

/// Operations and bytes, of all, of reads and of writes.
const BUCKETS: usize = 6;

struct Waiting {
    serial: u64,
    request: Request,
    queue: Arc<CompletionQueue>,
}

#[derive(Default)]
struct State {
    limits: Limits,
    buckets: [Option<Bucket>; BUCKETS],
    burst_ns: u64,
    reads: VecDeque<Waiting>,
    writes: VecDeque<Waiting>,
    next_serial: u64,
    /// When it will be looked at what waits: times that were asked for and have not come, the latest
    /// first. One is asked for only if it is earlier than all the others.
    calls: Vec<u64>,
    /// Empty: room for what passes.
    passing: Vec<Request>,
}

impl State {
    fn queue(&mut self, direction: Direction) -> &mut VecDeque<Waiting> {
        match direction {
            Read => &mut self.reads,
            Write => &mut self.writes,
        }
    }

    fn head(&self, direction: Direction) -> Option<&Waiting> {
        match direction {
            Read => self.reads.front(),
            Write => self.writes.front(),
        }
    }

    /// When the buckets of one direction alone are open, and when those of all are.
    fn opens_at(&self, direction: Direction) -> (u64, u64) {
        let latest = |buckets: &[Option<Bucket>]| {
            let opens = buckets.iter().flatten().map(|bucket| bucket.opens_at(self.burst_ns));
            opens.max().unwrap_or(0)
        };
        let own = if direction == Read { 2..4 } else { 4..6 };
        (latest(&self.buckets[own]), latest(&self.buckets[..2]))
    }

    fn is_open(&self, direction: Direction, now: u64) -> bool {
        let (own, all) = self.opens_at(direction);
        own.max(all) <= now
    }

    /// True if a request that comes now is to wait for nobody.
    fn is_free(&self, direction: Direction, now: u64) -> bool {
        // Of what waits in the other direction only for what all have to share, it would take
        // that away, over and over again.
        let other = direction.other();
        let is_waited_for = self.head(other).is_some() && self.opens_at(other).0 <= now;
        self.head(direction).is_none() && !is_waited_for && self.is_open(direction, now)
    }

    fn pay(&mut self, direction: Direction, bytes: u64, now: u64) {
        let own = if direction == Read { 2 } else { 4 };
        for at in [0, own] {
            for (bucket, units) in [(at, 1), (at + 1, bytes)] {
                if let Some(bucket) = &mut self.buckets[bucket] {
                    bucket.take(now, units);
                }
            }
        }
    }

    /// The one that has waited longest of those that may go on.
    fn next_due(&mut self, now: u64) -> Option<Waiting> {
        let serial = |direction| {
            let head = self.head(direction).filter(|_| self.is_open(direction, now))?;
            Some((head.serial, direction))
        };
        let (_, direction) =
            [serial(Read), serial(Write)].into_iter().flatten().min_by_key(|it| it.0)?;
        let waiting = self.queue(direction).pop_front()?;
        if let Some((_, bytes)) = cost(&waiting.request.op) {
            self.pay(direction, bytes, now);
        }
        Some(waiting)
    }

    /// When it is to be looked at what waits.
    fn next_look(&self, now: u64) -> Option<u64> {
        let opens = [Read, Write].into_iter().filter(|direction| self.head(*direction).is_some());
        let opens = opens.map(|direction| {
            let (own, all) = self.opens_at(direction);
            own.max(all)
        });
        opens.min().map(|at| at.max(now + TICK_NS))
    }
}

/// Requests that may go on, each batch with the queue that it came with.
pub(super) type Batches = Vec<(Vec<Request>, Arc<CompletionQueue>)>;

/// Holds back what goes beyond the limits of a volume.
pub(super) struct Throttle {
    /// The only thing that is looked at while there are no limits.
    limited: AtomicBool,
    pace: Arc<dyn Pace>,
    state: Mutex<State>,
}

impl Throttle {
    pub(super) fn new(pace: Arc<dyn Pace>) -> Self {
        Self { limited: AtomicBool::new(false), pace, state: Mutex::default() }
    }

    /// True if [`Throttle::hold_back`] is to be asked.
    pub(super) fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Acquire)
    }

    /// From now on these limits hold; what waits then is let go by [`Throttle::take_due`]. False: they
    /// held before.
    ///
    /// # Errors
    /// When nobody could be had who would look after what waits; then nothing has changed.
    pub(super) fn set(&self, limits: Limits) -> io::Result<bool> {
        let mut state = self.state.lock();
        if state.limits == limits {
            return Ok(false);
        }
        if !limits.is_unlimited() {
            self.pace.begin()?;
        }
        let rates = limits.rates();
        let before = state.buckets;
        state.buckets = std::array::from_fn(|i| {
            let bucket = |rate| before[i].map_or_else(|| Bucket::new(rate), |it| it.at_rate(rate));
            rates[i].map(bucket)
        });
        state.burst_ns = u64::try_from(limits.burst.as_nanos()).unwrap_or(u64::MAX);
        state.limits = limits;
        self.limited.store(!limits.is_unlimited(), Ordering::Release);
        Ok(true)
    }

    /// Takes out of `requests` what has to wait; `whom` is called when it is to be looked at.
    pub(super) fn hold_back(
        &self,
        requests: &mut Vec<Request>,
        queue: &Arc<CompletionQueue>,
        whom: &Weak<dyn Due>,
    ) {
        let mut state = self.state.lock();
        let now = self.pace.now_ns();
        let mut passing = std::mem::take(&mut state.passing);
        for request in requests.drain(..) {
            match cost(&request.op) {
                Some((direction, bytes)) if state.is_free(direction, now) => {
                    state.pay(direction, bytes, now);
                    passing.push(request);
                }
                Some((direction, _)) => {
                    let serial = state.next_serial;
                    state.next_serial += 1;
                    let queue = Arc::clone(queue);
                    state.queue(direction).push_back(Waiting { serial, request, queue });
                }
                None => passing.push(request),
            }
        }
        state.passing = std::mem::replace(requests, passing);
        self.look_later(&mut state, now, whom);
    }

    /// Takes what may go on now. `admit` sees each batch while it can still not be taken back by
    /// [`Throttle::cancel`], and may keep requests.
    pub(super) fn take_due(
        &self,
        whom: &Weak<dyn Due>,
        mut admit: impl FnMut(&mut Vec<Request>, &Arc<CompletionQueue>),
    ) -> Batches {
        let mut state = self.state.lock();
        let now = self.pace.now_ns();
        while state.calls.pop_if(|at| *at <= now).is_some() {}
        let mut batches = Batches::new();
        while let Some(Waiting { request, queue, .. }) = state.next_due(now) {
            match batches.last_mut().filter(|(_, last)| Arc::ptr_eq(last, &queue)) {
                Some((requests, _)) => requests.push(request),
                None => batches.push((vec![request], queue)),
            }
        }
        for (requests, queue) in &mut batches {
            admit(requests, queue);
        }
        self.look_later(&mut state, now, whom);
        batches
    }

    fn look_later(&self, state: &mut State, now: u64, whom: &Weak<dyn Due>) {
        if let Some(at) = state.next_look(now)
            && state.calls.last().is_none_or(|next| at < *next)
        {
            state.calls.push(at);
            self.pace.call(at, whom);
        }
    }

    /// Takes back the requests with this tag and queue that wait. Returns how many there were.
    pub(super) fn cancel(&self, queue: &Arc<CompletionQueue>, tag: u64) -> usize {
        let mut state = self.state.lock();
        let mut count = 0;
        for direction in [Read, Write] {
            let waiting = state.queue(direction);
            let before = waiting.len();
            waiting.retain(|it| it.request.tag != tag || !Arc::ptr_eq(&it.queue, queue));
            count += before - waiting.len();
        }
        count
    }
}

#[cfg(test)]
mod tests;
