//! Changes of a disk whose own data are cached: out of the cache before the store has them, in
//! again when it said that it has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Wake, Waker};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::fill::{submit, taken};
use super::geometry::{BLOCK_BYTES, EXTENT_BYTES, Piece, pieces};
use super::hash::Key;
use super::store::{Block, Store, let_go};
use crate::block::buffer::Memory;
use crate::block::{Completion, CompletionQueue, Done, Error, Op, Request, Span, Volume};

/// The part of a change that lies in one extent.
struct Claim {
    key: Key,
    number: u64,
    /// Blocks that were in the cache, with what is written to them.
    blocks: SmallVec<[(usize, Block); 1]>,
}

/// Atomic writes of one volume. What a read puts together out of memory and several fills could
/// show one half done: it is read again, from the volume itself, if one began meanwhile.
#[derive(Default)]
pub(super) struct Atomics {
    under_way: AtomicU64,
    begun: AtomicU64,
}

impl Atomics {
    /// One begins: before anything of it can be seen.
    pub(super) fn begin(&self) {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    fn end(&self) {
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }

    /// For a read that begins: what to ask [`Self::none_since`] when it ends; `None` while one is
    /// under way.
    pub(super) fn now(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::SeqCst);
        (self.under_way.load(Ordering::SeqCst) == 0).then_some(begun)
    }

    /// Whether none has begun since.
    pub(super) fn none_since(&self, begun: u64) -> bool {
        self.begun.load(Ordering::SeqCst) == begun
    }
}

/// What a change has registered.
enum Claims {
    /// Extent by extent.
    Few(SmallVec<[Claim; 1]>),
    /// A run of them as a whole, in the store of one disk, which is one shard.
    Sweep(Key, u64),
}

/// A change of more extents than this is a sweep.
const FEW: u64 = 32;

/// A change under way.
pub(super) struct Write {
    store: Arc<Store>,
    claims: Mutex<Option<Claims>>,
    /// Of an atomic write, where it counts.
    atomics: Option<Arc<Atomics>>,
    tag: u64,
    /// Where its submitter waits.
    home: Arc<CompletionQueue>,
    queue: OnceLock<Weak<CompletionQueue>>,
}

impl Write {
    /// Registers `request`, which changes the bytes of `span` (some), and submits it to `volume`. The
    /// answer, if it is there at once; otherwise it comes to `home`. `atomics`: where it has begun, if
    /// it is atomic.
    pub(super) fn submit(
        store: &Arc<Store>,
        volume: &dyn Volume,
        request: Request,
        span: Span,
        (home, atomics): (&Arc<CompletionQueue>, Option<Arc<Atomics>>),
    ) -> Option<Completion> {
        let Request { tag, op } = request;
        let write = Arc::new(Self {
            store: Arc::clone(store),
            claims: Mutex::new(Some(claim(store, &op, span))),
            atomics,
            tag,
            home: Arc::clone(home),
            queue: OnceLock::new(),
        });
        let waker = Waker::from(Arc::clone(&write));
        let result = submit(volume, op, &write.queue, &waker)?;
        Some(write.end(result))
    }

    /// Ends it in the cache; only then may it be acknowledged.
    fn end(&self, result: Result<Done, Error>) -> Completion {
        let written = result.is_ok();
        match self.claims.lock().take() {
            Some(Claims::Few(claims)) => {
                for Claim { key, number, blocks } in claims {
                    // After a failure nobody knows what is there.
                    let blocks = blocks.into_iter().filter(|_| written);
                    self.store.put(key, |shard| shard.end_write(key, number, blocks));
                }
            }
            Some(Claims::Sweep(key, number)) => {
                self.store.cut(key, |shard| shard.end_sweep(number));
            }
            None => {}
        }
        if let Some(atomics) = &self.atomics {
            atomics.end();
        }
        Completion { tag: self.tag, result }
    }
}

impl Wake for Write {
    fn wake(self: Arc<Self>) {
        if let Some(result) = taken(&self.queue) {
            self.home.push(self.end(result));
        }
    }
}

fn claim(store: &Store, op: &Op, span: Span) -> Claims {
    let (first, last) = (span.start / EXTENT_BYTES, (span.end - 1) / EXTENT_BYTES);
    if last - first >= FEW {
        let key = Key::own(first);
        let (number, gone) = store.cut(key, |shard| shard.begin_sweep(first..last + 1));
        let_go(gone);
        return Claims::Sweep(key, number);
    }
    // What another operation than a plain write leaves there is read again when it is wanted.
    let data = match op {
        Op::Write { buf, .. } | Op::WriteAtomic { buf, .. } => Some(buf),
        _ => None,
    };
    let of_one = |piece: Piece| {
        let key = Key::own(piece.extent);
        let covered = if data.is_some() { piece.covered() } else { 0 };
        let (number, mut blocks) =
            store.cut(key, |shard| shard.begin_write(key, piece.touched(), covered));
        if let Some(buf) = data {
            for (at, block) in &mut blocks {
                let offset = piece.at + (*at * BLOCK_BYTES as usize - piece.within);
                // Reads may still have a share in what it was.
                if Arc::get_mut(block).is_none() {
                    *block = Memory::zeros(BLOCK_BYTES as usize);
                }
                buf.copy_to(offset, &mut Arc::make_mut(block)[..]);
            }
        }
        Claim { key, number, blocks }
    };
    Claims::Few(pieces(span.start, span.end - span.start).map(of_one).collect())
}
