//! CRC32C digests (RFC 7143 11.2.3, 13.1).

/// The digest of what the slices hold, as it goes on the wire: the CRC's bytes in reverse order
/// (RFC 7143 13.1), which is the little-endian form of the value.
#[must_use]
pub fn crc32c<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> [u8; 4] {
    slices.into_iter().fold(0, crc32c::crc32c_append).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

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
