//! A CDB with bounds: fields are read by offset, beyond the end there are zeros.

use super::sense::Sense;

/// Longest CDB that any supported operation code has.
const CDB_BYTES_MAX: usize = 16;

/// A command descriptor block, padded with zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cdb([u8; CDB_BYTES_MAX]);

impl Cdb {
    /// Takes what the transport delivered; bytes beyond the 16th belong to no supported command.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut cdb = [0; CDB_BYTES_MAX];
        let len = bytes.len().min(CDB_BYTES_MAX);
        cdb[..len].copy_from_slice(&bytes[..len]);
        Self(cdb)
    }

    pub(super) fn opcode(&self) -> u8 {
        self.0[0]
    }

    /// The SERVICE ACTION field of most commands that have one (byte 1, bits 4-0).
    pub(super) fn service_action(&self) -> u8 {
        self.0[1] & 0x1f
    }

    pub(super) fn u8(&self, at: usize) -> u8 {
        self.0[at]
    }

    pub(super) fn bit(&self, at: usize, bit: u8) -> bool {
        self.0[at] & (1 << bit) != 0
    }

    pub(super) fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    pub(super) fn u24(&self, at: usize) -> u32 {
        u32::from_be_bytes([0, self.0[at], self.0[at + 1], self.0[at + 2]])
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        (u32::from(self.u16(at)) << 16) | u32::from(self.u16(at + 2))
    }

    pub(super) fn u64(&self, at: usize) -> u64 {
        (u64::from(self.u32(at)) << 32) | u64::from(self.u32(at + 4))
    }

    /// Every bit that `usage` (as in REPORT SUPPORTED OPERATION CODES) does not name is zero.
    pub(super) fn check_usage(&self, usage: &[u8]) -> Result<(), Sense> {
        let wrong = self.0.iter().zip(usage).enumerate().skip(1).find_map(|(at, (byte, mask))| {
            let bits = byte & !mask;
            (bits != 0).then(|| (at, 7 - bits.leading_zeros()))
        });
        match wrong {
            None => Ok(()),
            Some((at, bit)) => Err(Sense::cdb_field(at as u16, Some(bit as u8))),
        }
    }
}

/// The blocks a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocks {
    /// First logical block.
    pub(super) lba: u64,
    /// Number of logical blocks.
    pub(super) count: u64,
    /// Byte of the CDB in which the count is, for the field pointer.
    pub(super) count_at: u16,
}

impl Blocks {
    /// The layout shared by almost all block commands, by the length of the CDB that the group
    /// code of the operation code stands for (SPC-4 4.2.5.1).
    pub(super) fn of(cdb: &Cdb) -> Self {
        match cdb.opcode() >> 5 {
            0 => {
                // 6-byte commands: 0 means 256 blocks (SBC-3 5.11).
                let count = match cdb.u8(4) {
                    0 => 256,
                    n => u64::from(n),
                };
                Self { lba: u64::from(cdb.u24(1) & 0x1f_ffff), count, count_at: 4 }
            }
            1 | 2 => Self { lba: cdb.u32(2).into(), count: cdb.u16(7).into(), count_at: 7 },
            5 => Self { lba: cdb.u32(2).into(), count: cdb.u32(6).into(), count_at: 6 },
            _ => Self { lba: cdb.u64(2), count: cdb.u32(10).into(), count_at: 10 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_bit_is_named_by_byte_and_bit() {
        let cdb = Cdb::new(&[0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0]);
        let usage = [0x28, 0x18, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0];
        let sense = cdb.check_usage(&usage).unwrap_err();
        assert_eq!(sense, Sense::cdb_field(1, Some(5)));
        assert!(Cdb::new(&[0x28, 0x18]).check_usage(&usage).is_ok());
    }

    #[test]
    fn block_fields_of_every_cdb_length() {
        let of = |bytes: &[u8]| {
            let blocks = Blocks::of(&Cdb::new(bytes));
            (blocks.lba, blocks.count)
        };
        assert_eq!(of(&[0x08, 0xff, 2, 3, 0]), (0x1f_0203, 256));
        assert_eq!(of(&[0x28, 0, 1, 2, 3, 4, 0, 0xff, 0xfe]), (0x0102_0304, 0xfffe));
        assert_eq!(of(&[0xa8, 0, 1, 2, 3, 4, 9, 8, 7, 6]), (0x0102_0304, 0x0908_0706));
        assert_eq!(
            of(&[0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6]),
            (0x0102_0304_0506_0708, 0x0908_0706)
        );
    }
}
