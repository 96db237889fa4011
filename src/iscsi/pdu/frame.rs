//! Where a PDU begins and ends in a byte stream (RFC 7143 11.2).

use super::{BHS_BYTES, Bhs};

/// Length of a digest in bytes.
pub const DIGEST_BYTES: usize = 4;

/// The lengths of one PDU's parts, as its header says and the negotiated digests add to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// Additional header segments, padded (TotalAHSLength x 4).
    pub ahs: usize,
    /// Header digest, 0 or 4.
    pub header_digest: usize,
    /// Data segment without padding (DataSegmentLength).
    pub data: usize,
    /// Padding after the data segment, 0 to 3.
    pub padding: usize,
    /// Data digest, 0 or 4; 0 without data.
    pub data_digest: usize,
}

impl Lengths {
    /// What the header says.
    #[must_use]
    pub fn of(bhs: &Bhs, header_digest: bool, data_digest: bool) -> Self {
        let data = usize::from(bhs[5]) << 16 | usize::from(bhs[6]) << 8 | usize::from(bhs[7]);
        let digest = |on| if on { DIGEST_BYTES } else { 0 };
        Self {
            ahs: usize::from(bhs[4]) * 4,
            header_digest: digest(header_digest),
            data,
            padding: padding_of(data),
            data_digest: digest(data_digest && data > 0),
        }
    }

    /// Header segments and their digest.
    #[must_use]
    pub fn header_bytes(&self) -> usize {
        BHS_BYTES + self.ahs + self.header_digest
    }

    /// What follows the data segment.
    #[must_use]
    pub fn trailer_bytes(&self) -> usize {
        self.padding + self.data_digest
    }
}

/// Bytes that pad `len` to a multiple of four.
#[must_use]
pub fn padding_of(len: usize) -> usize {
    len.wrapping_neg() & 3
}

/// Sets DataSegmentLength.
///
/// # Panics
/// Above 2^24 - 1: a sender's own mistake.
pub fn set_data_length(bhs: &mut Bhs, len: usize) {
    let len = u32::try_from(len).ok().filter(|len| *len < 1 << 24).expect("a 24-bit length");
    bhs[5..8].copy_from_slice(&len.to_be_bytes()[1..]);
}

/// Sets TotalAHSLength from a length in bytes, a multiple of four.
///
/// # Panics
/// Above 1020: a sender's own mistake.
pub fn set_ahs_length(bhs: &mut Bhs, len: usize) {
    bhs[4] = u8::try_from(len / 4).expect("an 8-bit length");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_the_header_and_the_digests() {
        let mut bhs = [0; BHS_BYTES];
        set_data_length(&mut bhs, 0x01_0203);
        set_ahs_length(&mut bhs, 28);
        let lengths = Lengths::of(&bhs, true, true);
        assert_eq!(
            lengths,
            Lengths { ahs: 28, header_digest: 4, data: 0x01_0203, padding: 1, data_digest: 4 }
        );
        assert_eq!(lengths.header_bytes(), 80);
        assert_eq!(lengths.trailer_bytes(), 5);
    }

    #[test]
    fn no_data_no_data_digest() {
        let lengths = Lengths::of(&[0; BHS_BYTES], false, true);
        assert_eq!(lengths.trailer_bytes(), 0);
        assert_eq!([0, 1, 2, 3, 4].map(padding_of), [0, 3, 2, 1, 0]);
    }
}
