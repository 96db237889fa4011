//! A volume behind a fence that keeps the effects of aborted writes from being seen late.
//!
//! What was handed to a store cannot be taken back: a thread is in `pwritev`, an OSD has the
//! message. A write whose command is aborted while it is there becomes a **ghost**: its effect has
//! to lie before the answer to the abort, whenever it really happens. So from then on every
//! operation that touches the ghost's bytes is held back until the ghost has ended; nobody can
//! look at those bytes, or write them, in between. What does not touch them goes on.
//!
//! Flushes touch everything, as they promise something about every write before them. Ghosts that
//! only read need no fence. `docs/decisions` has the argument in full.
//!
//! Before the fence stand the limits of the volume ([`super::qos`]): what waits there was not
//! handed to anybody, and leaves no ghost when it is aborted.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::qos::{Due, Limits, Pace, Throttle};
use super::{Completion, CompletionQueue, Op, Request, Volume, VolumeInfo};

/// A range of bytes, from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
}

impl Span {
    /// `len` bytes from `start` on.
    fn new(start: u64, len: u64) -> Self {
        Self { start, end: start.saturating_add(len) }
    }

    fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The bytes that an operation may change; `None` if it changes nothing.
    #[must_use]
    pub fn written_by(op: &Op) -> Option<Self> {
        match op {
            Op::Read { .. } | Op::Extents { .. } | Op::Flush => None,
            // It changes no bytes, and of two records the later one stays.
            Op::SaveState(_) => None,
            Op::Write { .. }
            | Op::WriteAtomic { .. }
            | Op::Discard { .. }
            | Op::WriteZeroes { .. }
            | Op::WriteSame { .. }
            | Op::CompareAndWrite { .. } => Some(Self::touched_by(op)),
        }
    }

    /// The bytes that an operation looks at, changes or promises something about.
    fn touched_by(op: &Op) -> Self {
        match op {
            Op::Read { offset, buf }
            | Op::Write { offset, buf, .. }
            | Op::WriteAtomic { offset, buf, .. } => Self::new(*offset, buf.len() as u64),
            Op::CompareAndWrite { offset, compare, .. } => Self::new(*offset, compare.len() as u64),
            Op::Discard { offset, len }
            | Op::WriteZeroes { offset, len, .. }
            | Op::WriteSame { offset, len, .. }
            | Op::Extents { offset, len, .. } => Self::new(*offset, *len),
            Op::Flush => Self { start: 0, end: u64::MAX },
            Op::SaveState(_) => Self { start: 0, end: 0 },
        }
    }
}

/// The bytes that operations of one task under way may change.
pub type Spans = SmallVec<[Span; 1]>;

/// With more ranges than this, nobody looks at them any more: everything waits for every ghost.
const SPANS_MAX: usize = 16 << 10;

/// A request that waits for ghosts to end.
struct Held {
    request: Request,
    queue: Arc<CompletionQueue>,
    /// The number of the first one that it touches.
    ghost: u64,
}

#[derive(Default)]
struct State {
    next: u64,
    /// By their numbers, ascending.
    ghosts: Vec<(u64, Spans)>,
    /// Ranges of all of them.
    span_count: usize,
    /// In the order they came.
    held: VecDeque<Held>,
}

impl State {
    /// The first ghost from a number on that an operation touches. Who waits goes on from there,
    /// so the list is gone through once for each request.
    fn touched(&self, op: &Op, from: u64) -> Option<u64> {
        let touched = Span::touched_by(op);
        let rest = &self.ghosts[self.ghosts.partition_point(|(number, _)| *number < from)..];
        let is_crowded = self.span_count > SPANS_MAX;
        rest.iter()
            .find(|(_, spans)| is_crowded || spans.iter().any(|span| span.overlaps(touched)))
            .map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) {
        if let Ok(at) = self.ghosts.binary_search_by_key(&number, |(number, _)| *number) {
            let (_, spans) = self.ghosts.remove(at);
            self.span_count -= spans.len();
        }
    }
}

/// A volume with its limits and its fence. See the [module](self) docs.
pub struct Fenced {
    /// Itself, for who calls when waiting requests may go on.
    this: Weak<dyn Due>,
    throttle: Throttle,
    volume: Arc<dyn Volume>,
    /// Ghosts there are: the only thing that is looked at while there are none.
    ghosts: AtomicUsize,
    state: Mutex<State>,
}

/// Aborted writes that are still in the volume. Whoever made it must call [`Ghost::ended`] when
/// the last of their completions has come; if it is dropped before, what it kept back is kept back
/// for good, since nobody knows what the store still does.
#[must_use]
pub struct Ghost {
    fenced: Arc<Fenced>,
    number: u64,
}

/// Limits that were set: see [`Fenced::set_limits`].
pub struct Limited {
    fenced: Arc<Fenced>,
    is_changed: bool,
}

impl Drop for Limited {
    fn drop(&mut self) {
        if self.is_changed {
            self.fenced.is_due();
        }
    }
}

impl Fenced {
    /// A fence around `volume`. There must be one only: everything that is to be held back goes
    /// through it.
    /// It has no limits; `pace` is for when it gets some.
    #[must_use]
    pub fn new(volume: Arc<dyn Volume>, pace: Arc<dyn Pace>) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            this: Weak::clone(this) as Weak<dyn Due>,
            throttle: Throttle::new(pace),
            volume,
            ghosts: AtomicUsize::new(0),
            state: Mutex::default(),
        })
    }

    /// From now on the volume is asked for no more than this. What waits for the limits that were
    /// there goes by the new ones once what this gives is dropped: all of it may be handed to the
    /// volume then, so nobody should have to wait for that.
    ///
    /// # Errors
    /// When the system has no thread for it; then nothing has changed.
    pub fn set_limits(self: &Arc<Self>, limits: Limits) -> io::Result<Limited> {
        let is_changed = self.throttle.set(limits)?;
        Ok(Limited { fenced: Arc::clone(self), is_changed })
    }

    /// The volume itself.
    #[must_use]
    pub fn volume(&self) -> &Arc<dyn Volume> {
        &self.volume
    }

    /// As [`Volume::info`]. A volume with limits repeats no pattern: that is one request, however much
    /// it writes, and everybody else would wait until it is paid for.
    #[must_use]
    pub fn info(&self) -> VolumeInfo {
        let info = self.volume.info();
        VolumeInfo { has_write_same: info.has_write_same && !self.throttle.is_limited(), ..info }
    }

    /// As [`Volume::submit`]; what goes beyond the limits waits, and what touches a ghost waits
    /// until it has ended. Costs an atomic load each if there are none.
    pub fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        if self.throttle.is_limited() {
            self.throttle.hold_back(requests, queue, &self.this);
        }
        if self.ghosts.load(Ordering::Acquire) > 0 {
            self.hold_back(requests, queue);
        }
        if !requests.is_empty() {
            self.volume.submit(requests, done, queue);
        }
    }

    fn hold_back(&self, requests: &mut Vec<Request>, queue: &Arc<CompletionQueue>) {
        let mut state = self.state.lock();
        let mut passing = Vec::with_capacity(requests.len());
        for request in requests.drain(..) {
            match state.touched(&request.op, 0) {
                None => passing.push(request),
                Some(ghost) => {
                    let queue = Arc::clone(queue);
                    state.held.push_back(Held { request, queue, ghost });
                }
            }
        }
        *requests = passing;
    }

    /// Takes back the requests with this tag and queue that are held back: they are never
    /// submitted. Returns how many there were.
    pub fn cancel(&self, queue: &Arc<CompletionQueue>, tag: u64) -> usize {
        // In this order: a request goes from the limits to the fence, never back.
        let throttled = self.throttle.cancel(queue, tag);
        if self.ghosts.load(Ordering::Acquire) == 0 {
            return throttled;
        }
        let mut state = self.state.lock();
        let before = state.held.len();
        state.held.retain(|held| held.request.tag != tag || !Arc::ptr_eq(&held.queue, queue));
        throttled + before - state.held.len()
    }

    /// From now on nothing that touches `spans` gets to the volume until the ghost has ended.
    pub fn haunt(self: &Arc<Self>, spans: Spans) -> Ghost {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.span_count += spans.len();
        state.ghosts.push((number, spans));
        self.ghosts.store(state.ghosts.len(), Ordering::Release);
        Ghost { fenced: Arc::clone(self), number }
    }

    /// Removes a ghost and hands on what no ghost keeps back any more.
    fn lay(&self, number: u64) {
        let mut freed = VecDeque::new();
        {
            let mut state = self.state.lock();
            state.remove(number);
            for mut held in std::mem::take(&mut state.held) {
                if held.ghost == number {
                    match state.touched(&held.request.op, number) {
                        Some(next) => held.ghost = next,
                        None => {
                            freed.push_back(held);
                            continue;
                        }
                    }
                }
                state.held.push_back(held);
            }
            self.ghosts.store(state.ghosts.len(), Ordering::Release);
        }
        // Outside the lock: a volume may answer at once, and take its time for it.
        let mut requests = Vec::new();
        while let Some(Held { request, queue, .. }) = freed.pop_front() {
            requests.push(request);
            while let Some(next) = freed.pop_front_if(|next| Arc::ptr_eq(&next.queue, &queue)) {
                requests.push(next.request);
            }
            self.hand_on(&mut requests, &queue);
        }
    }

    /// Gives the volume what had waited; its answers go the way of late ones.
    fn hand_on(&self, requests: &mut Vec<Request>, queue: &Arc<CompletionQueue>) {
        if requests.is_empty() {
            return;
        }
        let mut done = Vec::new();
        self.volume.submit(requests, &mut done, queue);
        if !done.is_empty() {
            queue.push_all(done);
        }
    }
}

impl Due for Fenced {
    fn is_due(&self) {
        let due = self.throttle.take_due(&self.this, |requests, queue| {
            // Before anybody could look for them in vain: what is neither with the limits nor at
            // the fence is with the volume, and leaves a ghost when it is aborted.
            if self.ghosts.load(Ordering::Acquire) > 0 {
                self.hold_back(requests, queue);
            }
        });
        for (mut requests, queue) in due {
            self.hand_on(&mut requests, &queue);
        }
    }
}

impl Ghost {
    /// Its last operation has ended.
    pub fn ended(self) {
        self.fenced.lay(self.number);
    }
}

#[cfg(test)]
mod tests;
