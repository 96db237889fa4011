//! Units of the cache, and how a range of bytes falls into them.

use std::ops::Range;

/// Unit in which bytes are fetched and kept. What is asked for is rounded to it, and to nothing
/// larger, so no byte is fetched that nobody reads.
pub const BLOCK_BYTES: u64 = 4096;
/// Blocks of an extent.
pub(super) const BLOCKS: usize = 16;
/// Unit of looking up, of eviction, and of what a clone knows to be still its parent's.
pub const EXTENT_BYTES: u64 = BLOCK_BYTES * BLOCKS as u64;

/// Blocks of one extent, the first in bit 0.
pub(super) type Mask = u16;

/// The part of a range that lies in one extent. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Number of the extent.
    pub(super) extent: u64,
    /// First byte, from the start of the extent.
    pub(super) within: usize,
    /// Length in bytes.
    pub(super) len: usize,
    /// First byte, from the start of the range.
    pub(super) at: usize,
}

impl Piece {
    /// The blocks that it touches.
    pub(super) fn touched(self) -> Mask {
        let first = self.within / BLOCK_BYTES as usize;
        let last = (self.within + self.len - 1) / BLOCK_BYTES as usize;
        span(first, last + 1)
    }

    /// The blocks that it covers wholly.
    pub(super) fn covered(self) -> Mask {
        let first = self.within.div_ceil(BLOCK_BYTES as usize);
        let end = (self.within + self.len) / BLOCK_BYTES as usize;
        if first < end { span(first, end) } else { 0 }
    }
}

/// Blocks `first` to before `end`.
fn span(first: usize, end: usize) -> Mask {
    let below = |n: usize| if n >= BLOCKS { Mask::MAX } else { (1 << n) - 1 };
    below(end) & !below(first)
}

/// The pieces of `len` bytes from `offset` on.
pub(super) fn pieces(offset: u64, len: u64) -> impl Iterator<Item = Piece> {
    let end = offset.saturating_add(len);
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let extent = at / EXTENT_BYTES;
            let within = at % EXTENT_BYTES;
            let part = (EXTENT_BYTES - within).min(end - at);
            // The first two are below the extent's size; a request is smaller than memory.
            let piece = Piece {
                extent,
                within: within as usize,
                len: part as usize,
                at: (at - offset) as usize,
            };
            at += part;
            piece
        })
    })
}

/// What is fetched ahead is fetched in pieces of this length: who wants the first byte does not wait
/// for the last one.
const FETCH_BYTES: u64 = 128 << 10;

/// A range in pieces to be fetched.
pub(super) fn cut(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let starts = range.clone().step_by(FETCH_BYTES as usize);
    starts.map(move |start| start..range.end.min(start.saturating_add(FETCH_BYTES)))
}

/// The numbers of the blocks of a mask, ascending.
pub(super) fn bits(mask: Mask) -> impl Iterator<Item = usize> {
    (0..BLOCKS).filter(move |bit| mask & (1 << bit) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_falls_into_pieces_and_blocks() {
        let all: Vec<_> = pieces(EXTENT_BYTES - 512, EXTENT_BYTES + 1024).collect();
        let of = |extent, within, len, at| Piece { extent, within, len, at };
        let extent = EXTENT_BYTES as usize;
        assert_eq!(
            all,
            [of(0, extent - 512, 512, 0), of(1, 0, extent, 512), of(2, 0, 512, extent + 512)]
        );
        assert_eq!(all.iter().map(|p| p.touched()).collect::<Vec<_>>(), [1 << 15, !0, 1]);
        assert_eq!(all.iter().map(|p| p.covered()).collect::<Vec<_>>(), [0, !0, 0]);
        let one = of(0, 4096 - 512, 4096 + 1024, 0);
        assert_eq!((one.touched(), one.covered()), (0b111, 0b010));
        assert_eq!(bits(0b1010).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(pieces(5, 0).count(), 0);
    }
}
