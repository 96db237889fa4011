//! Reads: what is there is copied, what is coming is waited for, what is absent is fetched.

use std::sync::Arc;

use smallvec::SmallVec;

use super::CachedVolume;
use super::fill::{Fill, Waiter};
use super::geometry::{BLOCK_BYTES, EXTENT_BYTES, Mask, Piece, bits, pieces};
use super::hash::Key;
use super::store::{Block, Shard, Store};
use crate::block::{Buffer, Completion, CompletionQueue, Volume};

/// Where an extent of a volume is read from.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Nobody has anything there.
    Zeros,
    /// The volume itself; it is not cached.
    Inner,
    /// A store, which is filled from `source`.
    In { store: &'a Arc<Store>, id: u64, source: &'a Arc<dyn Volume> },
}

impl Place<'_> {
    /// For a fetch: a source that has failed (another client's, it may be) brings nothing.
    fn to_fetch(self) -> Self {
        match self {
            Place::In { source, .. } if source.has_failed() => Place::Inner,
            place => place,
        }
    }
}

/// A request of its own: tag, offset and buffer.
type Read = (u64, u64, Buffer);

/// Fills `buf` if everything is there; otherwise false, with anything in `buf`.
pub(super) fn now(volume: &CachedVolume, offset: u64, buf: &mut Buffer) -> bool {
    pieces(offset, buf.len() as u64).all(|piece| match volume.place(piece.extent) {
        Place::Inner => false,
        Place::Zeros => {
            buf.range_mut(piece.at, piece.len).for_each(|slice| slice.fill(0));
            true
        }
        Place::In { store, id, .. } => {
            let key = Key { source: id, extent: piece.extent };
            let want = piece.touched();
            let copied = store.look(key, |shard| {
                let blocks = shard.get(key, want)?;
                bits(want).try_for_each(|at| {
                    copy(piece, at, blocks[at].as_ref()?, buf);
                    Some(())
                })
            });
            copied.is_some()
        }
    })
}

/// Copies what of a block falls into a piece.
fn copy(piece: Piece, at: usize, block: &Block, buf: &mut Buffer) {
    let base = at * BLOCK_BYTES as usize;
    let start = piece.within.max(base);
    let end = (piece.within + piece.len).min(base + BLOCK_BYTES as usize);
    buf.copy_from(piece.at + start - piece.within, &block[start - base..end - base]);
}

/// Reads what is not all there. The answer may be there at once nevertheless; otherwise it comes
/// to `queue`. An error is the buffer: the volume itself has to read this. `since`: what [`Atomics`]
/// said when it began; and how many changes there had been.
///
/// [`Atomics`]: super::write::Atomics
pub(super) fn later(
    volume: &CachedVolume,
    (tag, offset, buf): Read,
    (size_bytes, since, changes): (u64, u64, u64),
    queue: &Arc<CompletionQueue>,
) -> Result<Option<Completion>, Buffer> {
    let len = buf.len() as u64;
    let in_blocks = (offset + len).next_multiple_of(BLOCK_BYTES) <= size_bytes;
    let is_cached = |piece: Piece| !matches!(volume.place(piece.extent).to_fetch(), Place::Inner);
    if !in_blocks || !pieces(offset, len).all(is_cached) {
        return Err(buf);
    }
    let atomics = (volume.atomics(), since);
    let waiter = Waiter::new((tag, offset, buf), queue, volume.inner(), atomics);
    let mut fills = Fills::new(volume, changes, false);
    let complete = pieces(offset, len).all(|piece| {
        let at = piece.extent * EXTENT_BYTES;
        match volume.place(piece.extent).to_fetch() {
            Place::Inner => false,
            Place::Zeros => {
                waiter.zero(at + piece.within as u64, piece.len);
                true
            }
            Place::In { store, id, source } => {
                let key = Key { source: id, extent: piece.extent };
                let mut shard = store.lock(key);
                let found = shard.find(
                    key,
                    piece.touched(),
                    |block, bytes| waiter.put(at + block as u64 * BLOCK_BYTES, &bytes[..]),
                    |blocks, fill| fill.join(&waiter, piece.extent, blocks),
                );
                let Some(absent) = found else { return false };
                fills.add(&mut shard, (store, source), key, absent, |blocks, fill| {
                    fill.join(&waiter, piece.extent, blocks);
                });
                true
            }
        }
    });
    // What was begun is finished, whether this read waits for it or not.
    let given_up = if complete { None } else { waiter.give_up() };
    fills.submit(complete.then_some(&waiter));
    match given_up {
        Some(buf) => Err(buf),
        None => Ok(waiter.planned()),
    }
}

/// Fetches what is absent of a range, which nobody waits for yet; how many bytes that are.
pub(super) fn ahead(volume: &CachedVolume, (offset, len): (u64, u64), changes: u64) -> u64 {
    let mut fills = Fills::new(volume, changes, true);
    for piece in pieces(offset, len) {
        let Place::In { store, id, source } = volume.place(piece.extent).to_fetch() else {
            continue;
        };
        let key = Key { source: id, extent: piece.extent };
        let mut shard = store.lock(key);
        if let Some(absent) = shard.find(key, piece.touched(), |_, _| {}, |_, _| {}) {
            fills.add(&mut shard, (store, source), key, absent, |_, _| {});
        }
    }
    let bytes = fills.list.iter().map(|fill| fill.len()).sum();
    fills.submit(None);
    bytes
}

/// The fills of one request: each is as long as what is absent hangs together.
struct Fills<'a> {
    list: SmallVec<[Arc<Fill>; 2]>,
    /// Who asks for them, and after how many changes.
    volume: &'a CachedVolume,
    changes: u64,
    is_ahead: bool,
}

impl<'a> Fills<'a> {
    fn new(volume: &'a CachedVolume, changes: u64, is_ahead: bool) -> Self {
        Self { list: SmallVec::new(), volume, changes, is_ahead }
    }

    /// Registers fills for the blocks `absent` of an extent, under the lock under which they were
    /// found absent.
    fn add(
        &mut self,
        shard: &mut Shard,
        (store, source): (&Arc<Store>, &Arc<dyn Volume>),
        key: Key,
        absent: Mask,
        mut begun: impl FnMut(Mask, &Arc<Fill>),
    ) {
        for blocks in runs(absent) {
            let first = u64::from(blocks.trailing_zeros());
            let at = key.extent * EXTENT_BYTES + first * BLOCK_BYTES;
            let last = self.list.last().filter(|fill| fill.ends_at(source, at));
            let fill = match last {
                Some(fill) => Arc::clone(fill),
                None => {
                    let footing = self.volume.footing(self.changes);
                    let ahead = self.is_ahead.then(|| self.volume.downgrade());
                    let fill = Fill::new(store, source, at, (footing, ahead));
                    self.list.push(Arc::clone(&fill));
                    fill
                }
            };
            let number = shard.begin_fill(key, blocks, Arc::clone(&fill));
            fill.claim(key, number, blocks);
            begun(blocks, &fill);
        }
    }

    fn submit(self, waiter: Option<&Arc<Waiter>>) {
        self.list.iter().for_each(|fill| fill.submit(waiter));
    }
}

/// The runs of neighbouring blocks in a mask.
fn runs(mut mask: Mask) -> impl Iterator<Item = Mask> {
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let first = mask.trailing_zeros();
            let len = (mask >> first).trailing_ones();
            let run = ((1_u32 << len) - 1) as Mask;
            let run = run << first;
            mask &= !run;
            run
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_together_is_read_at_once() {
        let of = |mask| runs(mask).collect::<Vec<_>>();
        assert!(of(0).is_empty());
        assert_eq!(of(0b1011_0110), [0b110, 0b11_0000, 0b1000_0000]);
        assert_eq!(of(Mask::MAX), [Mask::MAX]);
    }
}
