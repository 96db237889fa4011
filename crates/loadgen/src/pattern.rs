//! What a verified run writes: every eight bytes are a function of their place on the disk, so
//! that data at a wrong place, torn or never written is seen when it is read.

/// SplitMix64's finalizer: a good hash of a counter (Steele, Lea, Flood 2014).
pub(crate) fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Fills `buffer` with what belongs at byte `position` (a multiple of 8).
pub(crate) fn fill(buffer: &mut [u8], position: u64) {
    for (word, index) in buffer.chunks_exact_mut(8).zip(position / 8..) {
        word.copy_from_slice(&mix(index).to_le_bytes());
    }
}

/// Whether `data` is what belongs at byte `position`; neither need be aligned.
pub(crate) fn matches(data: &[u8], position: u64) -> bool {
    let head = (position.next_multiple_of(8) - position).min(data.len() as u64) as usize;
    let (head, rest) = data.split_at(head);
    let first_word = position.div_ceil(8);
    let whole = rest.len() / 8 * 8;
    bytes_match(head, position)
        && rest.chunks_exact(8).zip(first_word..).all(|(word, at)| *word == mix(at).to_le_bytes())
        && bytes_match(&rest[whole..], first_word * 8 + whole as u64)
}

/// [`matches()`] for a few bytes inside one word.
fn bytes_match(data: &[u8], position: u64) -> bool {
    let word = mix(position / 8).to_le_bytes();
    let start = (position % 8) as usize;
    data.is_empty() || *data == word[start..start + data.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_matches_at_its_place_and_only_there() {
        let mut disk = vec![0; 256];
        fill(&mut disk, 4096);
        for start in 0..20 {
            for end in start..60 {
                let position = 4096 + start as u64;
                assert!(matches(&disk[start..end], position));
                if end > start {
                    assert!(!matches(&disk[start..end.max(start + 8)], position + 8));
                }
            }
        }
        disk[77] ^= 1;
        assert!(!matches(&disk, 4096));
    }
}
