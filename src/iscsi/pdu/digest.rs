//! CRC32C digests (RFC 7143 11.2.3, 13.1).

use crc_fast::{CrcAlgorithm, Digest};

/// The digest of what the slices hold, as it goes on the wire: the CRC's bytes in reverse order
/// (RFC 7143 13.1), which is the little-endian form of the value.
#[must_use]
pub fn crc32c<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> [u8; 4] {
    slices.into_iter().fold(0, crc32c_append).to_le_bytes()
}

/// The CRC of some bytes that follow others, whose CRC is `crc` (0 if there are none).
#[must_use]
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, (!crc).into());
    digest.update(bytes);
    // It has 32 bits.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_in_whatever_parts() {
        let bytes: Vec<u8> = (0..70_000_u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        for len in [1, 7, 8, 48, 255, 256, 4096, 65_536, 70_000] {
            let whole = ::crc32c::crc32c(&bytes[..len]);
            for cut in [0, 1, 3, 47, 300, 4095, len / 2, len].into_iter().filter(|cut| *cut <= len)
            {
                let (first, rest) = bytes[..len].split_at(cut);
                let both = crc32c_append(crc32c_append(0, first), rest);
                assert_eq!(both, whole, "{len} bytes, cut at {cut}");
            }
        }
    }

    #[test]
    fn it_is_the_same_at_any_length_and_wherever_it_lies() {
        let bytes: Vec<u8> = (0..1200_u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        // One of 16 bytes' alignment is among them, whatever the vector's is.
        for from in 0..16 {
            for len in 0..=1100 {
                let part = &bytes[from..from + len];
                assert_eq!(crc32c_append(0, part), ::crc32c::crc32c(part), "{len} from {from}");
            }
        }
    }

    /// The examples of RFC 7143 appendix A.4.
    #[test]
    fn the_rfcs_examples() {
        assert_eq!(crc32c([&[0u8; 32][..]]), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(crc32c([&[0xffu8; 32][..]]), [0x43, 0xab, 0xa8, 0x62]);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c([&ascending[..7], &ascending[7..]]), [0x4e, 0x79, 0xdd, 0x46]);
        let descending: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c([&descending[..]]), [0x5c, 0xdb, 0x3f, 0x11]);
    }
}
