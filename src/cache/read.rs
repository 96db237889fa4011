//! Reads: what is there is copied, what is coming is waited for, what is absent is fetched.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::CachedVolume;
use super::fill::{Fill, Reason, Waiter};
use super::geometry::{BLOCK_BYTES, EXTENT_BYTES, Mask, Piece, bits, pieces};
use super::hash::Key;
use super::parent::Parent;
use super::store::{Block, Shard, Store};
use crate::block::{Buffer, Completion, CompletionQueue, Volume};

/// Where an extent of a volume is read from.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Nobody has anything there.
    Zeros,
    /// The volume itself; it is not cached.
    Inner,
    /// What golden images are kept in, which is filled from this snapshot.
    Golden(&'a Arc<Store>, &'a Arc<Parent>),
    /// What is kept of the disk itself.
    Own(&'a Arc<Store>),
}

impl Place<'_> {
    /// Of a place that is cached: the store, and the key of the extent there.
    fn kept(&self, extent: u64) -> Option<(&Arc<Store>, Key)> {
        match self {
            Place::Golden(store, parent) => Some((store, Key::new(parent.id, extent))),
            Place::Own(store) => Some((store, Key::own(extent))),
            Place::Zeros | Place::Inner => None,
        }
    }

    /// Of a place that is cached: what fills it. `None`: a source that has failed, another client's
    /// it may be, brings nothing.
    fn source(&self, volume: &CachedVolume) -> Option<Arc<dyn Volume>> {
        match self {
            Place::Golden(_, parent) => {
                let source = parent.volume();
                if source.has_failed() {
                    volume.reopen(parent);
                    return None;
                }
                Some(source)
            }
            Place::Own(_) => Some(Arc::clone(volume.inner())),
            Place::Zeros | Place::Inner => None,
        }
    }
}

/// What reads have found, to be counted once for many.
#[derive(Default)]
pub(super) struct Found {
    golden: Tally,
    own: Tally,
}

#[derive(Default)]
struct Tally {
    hits: u64,
    misses: u64,
}

impl Found {
    fn count(&mut self, place: Place<'_>, hit: bool) {
        let tally = match place {
            Place::Golden(..) => &mut self.golden,
            _ => &mut self.own,
        };
        *(if hit { &mut tally.hits } else { &mut tally.misses }) += 1;
    }

    /// Counts it where it was found.
    pub(super) fn settle(self, golden: Option<&Arc<Store>>, own: Option<&Arc<Store>>) {
        for (store, tally) in [(golden, self.golden), (own, self.own)] {
            store.iter().for_each(|store| store.count(tally.hits, tally.misses));
        }
    }
}

/// A request of its own: tag, offset and buffer.
type Read = (u64, u64, Buffer);

/// Longer reads are copied: each block of one that is not is a part of what is sent.
const LENT_BYTES_MAX: usize = 256 << 10;

/// Fills `buf` if everything is there; otherwise false, with anything in `buf`. What is not too long
/// is not copied: the buffer has a share in the blocks.
pub(super) fn now(volume: &CachedVolume, offset: u64, buf: &mut Buffer, found: &mut Found) -> bool {
    let lends = buf.len() <= LENT_BYTES_MAX;
    let mut lent = Buffer::unfilled(0);
    let all = pieces(offset, buf.len() as u64).all(|piece| {
        let place = volume.place(piece.extent);
        let Some((store, key)) = place.kept(piece.extent) else {
            if let Place::Zeros = place {
                zero(piece, if lends { &mut lent } else { buf });
            }
            return matches!(place, Place::Zeros);
        };
        let want = piece.touched();
        let shard = store.look(key);
        let taken = shard.get(key, want).and_then(|blocks| {
            bits(want).try_for_each(|at| {
                let block = blocks[at].as_ref()?;
                match lends {
                    true => lent.append(Arc::clone(block), part(piece, at)),
                    false => copy(piece, at, block, buf),
                }
                Some(())
            })
        });
        drop(shard);
        found.count(place, taken.is_some());
        taken.is_some()
    });
    if all && lends {
        *buf = lent;
    }
    all
}

/// The part of a block that falls into a piece.
fn part(piece: Piece, at: usize) -> Range<usize> {
    let base = at * BLOCK_BYTES as usize;
    let start = piece.within.max(base);
    let end = (piece.within + piece.len).min(base + BLOCK_BYTES as usize);
    start - base..end - base
}

/// Copies what of a block falls into a piece.
fn copy(piece: Piece, at: usize, block: &Block, buf: &mut Buffer) {
    let part = part(piece, at);
    let to = piece.at + at * BLOCK_BYTES as usize + part.start - piece.within;
    buf.copy_from(to, &block[part]);
}

/// Puts zeros where a piece is, in a buffer that may end there.
fn zero(piece: Piece, buf: &mut Buffer) {
    buf.grow(piece.at + piece.len);
    buf.range_mut(piece.at, piece.len).for_each(|slice| slice.fill(0));
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
    let is_cached = |piece: Piece| {
        let place = volume.place(piece.extent);
        matches!(place, Place::Zeros) || place.source(volume).is_some()
    };
    if !in_blocks || !pieces(offset, len).all(is_cached) {
        return Err(buf);
    }
    let atomics = (volume.atomics(), since);
    let waiter = Waiter::new((tag, offset, buf), queue, volume.inner(), atomics);
    let mut fills = Fills::new(volume, changes, false);
    let complete = pieces(offset, len).all(|piece| {
        let at = piece.extent * EXTENT_BYTES;
        let place = volume.place(piece.extent);
        if let Place::Zeros = place {
            waiter.zero(at + piece.within as u64, piece.len);
            return true;
        }
        let Some((store, key)) = place.kept(piece.extent) else { return false };
        let Some(source) = place.source(volume) else { return false };
        let mut shard = store.lock(key);
        let found = shard.find(
            key,
            piece.touched(),
            |block, bytes| waiter.put(at + block as u64 * BLOCK_BYTES, &bytes[..]),
            |blocks, fill| fill.join(&waiter, piece.extent, blocks),
        );
        let Some(absent) = found else { return false };
        fills.add(&mut shard, (store, &source), key, absent, |blocks, fill| {
            fill.join(&waiter, piece.extent, blocks);
        });
        true
    });
    // What was begun is finished, whether this read waits for it or not.
    let given_up = if complete { None } else { waiter.give_up() };
    fills.submit(complete.then_some(&waiter));
    match given_up {
        Some(buf) => Err(buf),
        None => Ok(waiter.planned()),
    }
}

/// Fetches what is absent of a range, which nobody waits for yet; how many bytes that are. Of
/// golden images only, or of the disk itself, too.
pub(super) fn ahead(
    volume: &CachedVolume,
    (offset, len): (u64, u64),
    golden_only: bool,
    changes: u64,
) -> u64 {
    let mut fills = Fills::new(volume, changes, true);
    for piece in pieces(offset, len) {
        let place = volume.place(piece.extent);
        let Some((store, key)) = place.kept(piece.extent) else { continue };
        let is_wanted = !golden_only || matches!(place, Place::Golden(..));
        // Most of it may be there: that is found out beside those who read it.
        if !is_wanted || !store.look(key).lacks(key, piece.touched()) {
            continue;
        }
        let Some(source) = place.source(volume) else { continue };
        let mut shard = store.lock(key);
        if let Some(absent) = shard.find(key, piece.touched(), |_, _| {}, |_, _| {}) {
            fills.add(&mut shard, (store, &source), key, absent, |_, _| {});
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
            let at = key.extent() * EXTENT_BYTES + first * BLOCK_BYTES;
            let last = self.list.last().filter(|fill| fill.ends_at(source, at));
            let fill = match last {
                Some(fill) => Arc::clone(fill),
                None => {
                    let footing = self.volume.footing(self.changes);
                    let reason = match self.is_ahead {
                        true => {
                            let charges = Arc::clone(self.volume.cache().prefetching());
                            Reason::Ahead(self.volume.downgrade(), charges)
                        }
                        false => Reason::Read,
                    };
                    let fill = Fill::new(store, source, at, (footing, reason));
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
