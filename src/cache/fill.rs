//! Fetching: one read of a source, for as many as wait for it.

use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Wake, Waker};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::bounds::{Charge, Charges};
use super::coherence::Footing;
use super::geometry::{BLOCK_BYTES, EXTENT_BYTES, Mask, bits};
use super::hash::Key;
use super::store::{Block, Store};
use super::volume::WeakVolume;
use super::write::Atomics;
use crate::block::buffer::Memory;
use crate::block::{
    Buffer, Completion, CompletionQueue, Done, Error, ErrorKind, Op, Request, Volume,
};

/// Submits one request whose completion, on whatever thread it comes, wakes `waker`; the answer,
/// if it is there at once. `waker` finds a later one with [`taken`].
pub(super) fn submit(
    volume: &dyn Volume,
    op: Op,
    queue: &OnceLock<Weak<CompletionQueue>>,
    waker: &Waker,
) -> Option<Result<Done, Error>> {
    let own = Arc::new(CompletionQueue::new());
    // Set once: a fill or a write is submitted once.
    let _ = queue.set(Arc::downgrade(&own));
    let mut done = Vec::new();
    // Registers; nothing can be there yet.
    let _pending = own.poll_drain(&mut Context::from_waker(waker), &mut done);
    volume.submit(&mut vec![Request { tag: 0, op }], &mut done, &own);
    done.pop().map(|completion| completion.result)
}

/// The answer that `queue` woke for. It is being pushed, so the queue is still there.
pub(super) fn taken(queue: &OnceLock<Weak<CompletionQueue>>) -> Option<Result<Done, Error>> {
    let queue = queue.get()?.upgrade()?;
    let mut done = Vec::new();
    let _ready = queue.poll_drain(&mut Context::from_waker(Waker::noop()), &mut done);
    done.pop().map(|completion| completion.result)
}

/// Memory that is not the thread's to be used again: of a store's thread, of which there are many.
fn unpooled(len: usize) -> Buffer {
    let mut buf = Buffer::unfilled(0);
    buf.append(Memory::zeros(len), 0..len);
    buf
}

/// A read that could not be answered at once.
pub(super) struct Waiter {
    tag: u64,
    offset: u64,
    queue: Arc<CompletionQueue>,
    /// Asked itself if the cache cannot help.
    inner: Weak<dyn Volume>,
    atomics: Arc<Atomics>,
    since: u64,
    state: Mutex<Waiting>,
}

struct Waiting {
    /// `None`: the request went another way, or a fill reads right into it.
    buf: Option<Buffer>,
    /// Fills to come, and whoever still plans.
    left: usize,
    failed: bool,
}

impl Waiter {
    /// Waits for nothing but [`Self::planned`] yet.
    pub(super) fn new(
        (tag, offset, buf): (u64, u64, Buffer),
        queue: &Arc<CompletionQueue>,
        inner: &Arc<dyn Volume>,
        (atomics, since): (&Arc<Atomics>, u64),
    ) -> Arc<Self> {
        Arc::new(Self {
            tag,
            offset,
            queue: Arc::clone(queue),
            inner: Arc::downgrade(inner),
            atomics: Arc::clone(atomics),
            since,
            state: Mutex::new(Waiting { buf: Some(buf), left: 1, failed: false }),
        })
    }

    /// Puts in a part that is there already: `bytes`, which are those from `at` of the source on.
    pub(super) fn put(&self, at: u64, bytes: &[u8]) {
        if let Some(buf) = &mut self.state.lock().buf {
            put(buf, self.offset, at, bytes);
        }
    }

    /// Puts in zeros, `len` bytes from `at` of the source on, which are the request's.
    pub(super) fn zero(&self, at: u64, len: usize) {
        if let Some(buf) = &mut self.state.lock().buf {
            buf.range_mut((at - self.offset) as usize, len).for_each(|slice| slice.fill(0));
        }
    }

    /// One more fill to wait for.
    fn expect(&self) {
        self.state.lock().left += 1;
    }

    /// The buffer, for a read right into it; only if no other fill is waited for.
    fn lend(&self) -> Option<Buffer> {
        let mut state = self.state.lock();
        if state.left == 2 { state.buf.take() } else { None }
    }

    /// The buffer, for another way to the data: this waits for nothing any more.
    pub(super) fn give_up(&self) -> Option<Buffer> {
        self.state.lock().buf.take()
    }

    /// All fills that it waits for have been named; the answer, if there is one already.
    pub(super) fn planned(&self) -> Option<Completion> {
        let mut state = self.state.lock();
        state.left -= 1;
        if state.left > 0 {
            return None;
        }
        if self.is_spoilt(&state) {
            drop(state);
            self.ask_inner();
            return None;
        }
        let buf = state.buf.take()?;
        Some(Completion { tag: self.tag, result: Ok(Done::Data(buf)) })
    }

    /// Takes blocks of an extent out of `from`, which holds those from `start` of the source on.
    fn take(&self, extent: u64, blocks: Mask, start: u64, from: &Buffer) {
        let mut state = self.state.lock();
        let Some(buf) = &mut state.buf else { return };
        for block in bits(blocks) {
            let mut at = extent * EXTENT_BYTES + block as u64 * BLOCK_BYTES;
            for slice in from.range((at - start) as usize, BLOCK_BYTES as usize) {
                put(buf, self.offset, at, slice);
                at += slice.len() as u64;
            }
        }
    }

    /// A fill has ended: what it had was taken, or it had nothing.
    fn arrived(&self, failed: bool) {
        let mut state = self.state.lock();
        state.failed |= failed;
        state.left -= 1;
        if state.left > 0 {
            return;
        }
        if self.is_spoilt(&state) {
            drop(state);
            return self.ask_inner();
        }
        if let Some(buf) = state.buf.take() {
            drop(state);
            self.queue.push(Completion { tag: self.tag, result: Ok(Done::Data(buf)) });
        }
    }

    /// A fill has failed, or what was put together may show an atomic write half done.
    fn is_spoilt(&self, state: &Waiting) -> bool {
        state.failed || !self.atomics.none_since(self.since)
    }

    /// The fill that had the buffer has ended: one read.
    fn returned(&self, buf: Buffer, failed: bool) {
        {
            let mut state = self.state.lock();
            state.buf = Some(buf);
            state.failed |= failed;
            state.left -= 1;
            if state.left > 0 {
                return;
            }
        }
        if failed {
            return self.ask_inner();
        }
        if let Some(buf) = self.give_up() {
            self.queue.push(Completion { tag: self.tag, result: Ok(Done::Data(buf)) });
        }
    }

    /// A fill has failed, which may have read more than was asked for, and elsewhere: the volume
    /// itself says what this read gets.
    fn ask_inner(&self) {
        let Some(buf) = self.give_up() else { return };
        let mut requests =
            vec![Request { tag: self.tag, op: Op::Read { offset: self.offset, buf } }];
        let mut done = Vec::new();
        match self.inner.upgrade() {
            Some(inner) => inner.submit(&mut requests, &mut done, &self.queue),
            None => {
                let error = Error::new(ErrorKind::Unavailable, "the volume was closed");
                done.push(Completion { tag: self.tag, result: Err(error) });
            }
        }
        if !done.is_empty() {
            self.queue.push_all(done);
        }
    }
}

/// Copies what of `bytes` (from `at` on) falls into `buf` (from `offset` on).
fn put(buf: &mut Buffer, offset: u64, at: u64, bytes: &[u8]) {
    let start = at.max(offset);
    let end = (at + bytes.len() as u64).min(offset + buf.len() as u64);
    if start < end {
        let part = &bytes[(start - at) as usize..(end - at) as usize];
        buf.copy_from((start - offset) as usize, part);
    }
}

/// The blocks of one extent that a fill is to bring.
struct Claim {
    key: Key,
    number: u64,
    blocks: Mask,
}

/// A read of one source that brings blocks into a store.
pub(super) struct Fill {
    store: Arc<Store>,
    /// What its starter relied on: without that, what it brings is nobody's.
    footing: Footing,
    /// What is under way keeps no volume open.
    source: Weak<dyn Volume>,
    /// First byte that is read.
    start: u64,
    queue: OnceLock<Weak<CompletionQueue>>,
    state: Mutex<Filling>,
    /// Nobody waits for it: this volume asked for it ahead.
    ahead: Option<WeakVolume>,
}

/// Why something is fetched.
pub(super) enum Reason {
    /// A read waits for it.
    Read,
    /// This volume asked for it ahead; what is under way counts there.
    Ahead(WeakVolume, Arc<Charges>),
}

/// Who waits for which blocks of an extent.
struct Joined {
    waiter: Arc<Waiter>,
    extent: u64,
    blocks: Mask,
    /// Of several entries of one waiter the first.
    is_first: bool,
}

#[derive(Default)]
struct Filling {
    claims: SmallVec<[Claim; 2]>,
    waiters: SmallVec<[Joined; 1]>,
    /// Whose buffer is read into.
    lender: Option<Arc<Waiter>>,
    len: u64,
    /// Of what was asked for ahead.
    charges: Option<Arc<Charges>>,
    charge: Option<Charge>,
}

impl Fill {
    /// A fill from `start` on, of nothing yet.
    pub(super) fn new(
        store: &Arc<Store>,
        source: &Arc<dyn Volume>,
        start: u64,
        (footing, reason): (Footing, Reason),
    ) -> Arc<Self> {
        let (ahead, charges) = match reason {
            Reason::Read => (None, None),
            Reason::Ahead(volume, charges) => (Some(volume), Some(charges)),
        };
        Arc::new(Self {
            store: Arc::clone(store),
            footing,
            source: Arc::downgrade(source),
            start,
            queue: OnceLock::new(),
            state: Mutex::new(Filling { charges, ..Filling::default() }),
            ahead,
        })
    }

    /// Whether the byte at `at` of `source` comes right behind what this reads.
    pub(super) fn ends_at(&self, source: &Arc<dyn Volume>, at: u64) -> bool {
        self.start + self.state.lock().len == at
            && Weak::ptr_eq(&self.source, &Arc::downgrade(source))
    }

    /// Adds blocks of an extent, which follow those before without a gap.
    pub(super) fn claim(&self, key: Key, number: u64, blocks: Mask) {
        let mut state = self.state.lock();
        state.len += u64::from(blocks.count_ones()) * BLOCK_BYTES;
        state.claims.push(Claim { key, number, blocks });
    }

    /// Bytes that are read.
    pub(super) fn len(&self) -> u64 {
        self.state.lock().len
    }

    /// `waiter` waits for these blocks, too; for no others, which may have been written since they
    /// were read. Called under the lock of the shard in which the fill was found: it has not ended
    /// there.
    pub(super) fn join(&self, waiter: &Arc<Waiter>, extent: u64, blocks: Mask) {
        let mut state = self.state.lock();
        let is_first = !state.waiters.iter().any(|known| Arc::ptr_eq(&known.waiter, waiter));
        if is_first {
            waiter.expect();
        }
        state.waiters.push(Joined { waiter: Arc::clone(waiter), extent, blocks, is_first });
    }

    /// Submits the read; into the buffer of `waiter`, who began this fill, if it is for that alone.
    pub(super) fn submit(self: &Arc<Self>, waiter: Option<&Arc<Waiter>>) {
        let (buf, len) = {
            let mut state = self.state.lock();
            let len = state.len as usize;
            state.charge = state.charges.take().map(|charges| charges.take(len as u64));
            let lender = waiter.filter(|waiter| waiter.offset == self.start);
            let exact = lender.filter(|lender| {
                lender.state.lock().buf.as_ref().is_some_and(|buf| buf.len() == len)
            });
            let lent = exact.and_then(|lender| Some((lender, lender.lend()?)));
            let buf = lent.map(|(lender, buf)| {
                state.waiters.retain(|known| !Arc::ptr_eq(&known.waiter, lender));
                state.lender = Some(Arc::clone(lender));
                buf
            });
            (buf, len)
        };
        let buf = buf.unwrap_or_else(|| Buffer::unfilled(len));
        let waker = Waker::from(Arc::clone(self));
        let op = Op::Read { offset: self.start, buf };
        let result = match self.source.upgrade() {
            Some(source) => submit(&*source, op, &self.queue, &waker),
            None => Some(Err(ErrorKind::Unavailable.into())),
        };
        if let Some(result) = result {
            self.end(result);
        }
    }

    fn end(&self, result: Result<Done, Error>) {
        let buf = match result {
            // A parent that the starter has left may have gone, and reads as zeros then.
            Ok(Done::Data(buf)) if self.footing.holds() => Some(buf),
            _ => None,
        };
        let claims = std::mem::take(&mut self.state.lock().claims);
        for Claim { key, number, blocks } in claims {
            // Copied before the shard is locked.
            let blocks: SmallVec<[(usize, Block); 16]> = buf
                .iter()
                .flat_map(|buf| bits(blocks).map(|at| (at, self.block(key, at, buf))))
                .collect();
            let read = self.ahead.is_none();
            self.store.put(key, |shard| shard.end_fill(key, number, blocks, read));
        }
        // No shard names this fill any more: nobody joins from here on.
        let (waiters, lender, len) = {
            let mut state = self.state.lock();
            state.charge = None;
            (std::mem::take(&mut state.waiters), state.lender.take(), state.len)
        };
        if let Some(buf) = &buf {
            for Joined { waiter, extent, blocks, .. } in &waiters {
                waiter.take(*extent, *blocks, self.start, buf);
            }
        }
        for Joined { waiter, .. } in waiters.into_iter().filter(|joined| joined.is_first) {
            waiter.arrived(buf.is_none());
        }
        if let Some(lender) = lender {
            let failed = buf.is_none();
            lender.returned(buf.unwrap_or_else(|| unpooled(len as usize)), failed);
        }
        if let Some(volume) = self.ahead.as_ref().and_then(WeakVolume::upgrade) {
            volume.prefetched(len);
        }
    }

    fn block(&self, key: Key, at: usize, buf: &Buffer) -> Block {
        let mut block: Block = Memory::zeros(BLOCK_BYTES as usize);
        let offset = key.extent() * EXTENT_BYTES + at as u64 * BLOCK_BYTES - self.start;
        buf.copy_to(offset as usize, &mut Arc::make_mut(&mut block)[..]);
        block
    }
}

impl Wake for Fill {
    fn wake(self: Arc<Self>) {
        if let Some(result) = taken(&self.queue) {
            self.end(result);
        }
    }
}
