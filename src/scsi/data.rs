//! Work on the data of commands.

use super::sense::{Asc, Sense};
use crate::block::Buffer;

/// What came of the data that a command asked for, in whole blocks.
///
/// It is less than was asked for if the transport's expected length was. The blocks that came are
/// then processed; part of a block is refused, and nothing is done (FCP-4 9.4.2 has the rules,
/// iSCSI has none of its own).
pub(super) fn whole_blocks(
    mut data: Buffer,
    len: usize,
    block_bytes: u32,
) -> Result<Buffer, Sense> {
    data.truncate(len);
    if data.len().is_multiple_of(block_bytes as usize) {
        Ok(data)
    } else {
        Err(Sense::illegal(Asc::INVALID_FIELD_IN_INFORMATION_UNIT))
    }
}

/// A copy of a part of a buffer. The range is inside it.
pub(super) fn part(buffer: &Buffer, offset: usize, len: usize) -> Buffer {
    let mut out = Buffer::unfilled(len);
    let mut at = 0;
    for slice in buffer.range(offset, len) {
        out.copy_from(at, slice);
        at += slice.len();
    }
    out
}

/// As [`Buffer::first_difference`], against one block over and over. Chunks hold whole blocks, those of
/// a store's memory too: a read begins and ends with a block.
pub(super) fn first_difference_to_block(data: &Buffer, block: &[u8]) -> Option<u64> {
    let blocks = data.slices().flat_map(|slice| slice.chunks_exact(block.len()));
    blocks.enumerate().find_map(|(i, is)| {
        let within = is.iter().zip(block).position(|(is, want)| is != want)?;
        Some((i * block.len() + within) as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than one chunk.
    const LEN: usize = 600 << 10;

    fn numbered() -> Vec<u8> {
        (0..LEN as u32 / 4).flat_map(u32::to_be_bytes).collect()
    }

    #[test]
    fn a_part_may_lie_in_several_chunks() {
        let bytes = numbered();
        let copy = part(&Buffer::from_slice(&bytes), 512, LEN - 512);
        assert!(copy.to_vec() == bytes[512..]);
    }

    #[test]
    fn differences_are_found_in_any_chunk() {
        let bytes = numbered();
        let buffer = Buffer::from_slice(&bytes);
        for at in [0, 513, 300 << 10, LEN - 1] {
            let mut other = bytes.clone();
            other[at] ^= 0x80;
            let other = Buffer::from_slice(&other);
            assert_eq!(buffer.first_difference(&other), Some(at));
            let mut blocks = vec![7; LEN];
            blocks[at] = 8;
            let found = first_difference_to_block(&Buffer::from_slice(&blocks), &[7; 512]);
            assert_eq!(found, Some(at as u64));
        }
        assert_eq!(buffer.first_difference(&buffer), None);
    }
}
