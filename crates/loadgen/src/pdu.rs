//! The few PDUs an initiator needs to move blocks (RFC 7143 section 11), written and read by field.

/// Length of a basic header segment (11.2.1).
pub(crate) const BHS_LEN: usize = 48;
/// Length of a header or data digest (11.2.3).
pub(crate) const DIGEST_LEN: usize = 4;
/// The tag that stands for "no task" (11.2.1.8).
pub(crate) const NO_TAG: u32 = 0xffff_ffff;

/// The immediate-delivery bit of byte 0.
const IMMEDIATE: u8 = 0x40;
/// The F (final) or T (transit) bit of byte 1.
pub(crate) const FINAL: u8 = 0x80;
/// R bit of a SCSI command: it expects data.
pub(crate) const READ: u8 = 0x40;
/// W bit of a SCSI command: it sends data.
pub(crate) const WRITE: u8 = 0x20;
/// S bit of a Data-In: it carries the status.
pub(crate) const STATUS: u8 = 0x01;
/// Task attribute SIMPLE of a SCSI command.
const SIMPLE: u8 = 0x01;

/// Opcodes of the target's PDUs (11.2.1.2).
pub(crate) mod op {
    pub(crate) const NOP_IN: u8 = 0x20;
    pub(crate) const SCSI_RESPONSE: u8 = 0x21;
    pub(crate) const LOGIN_RESPONSE: u8 = 0x23;
    pub(crate) const DATA_IN: u8 = 0x25;
    pub(crate) const R2T: u8 = 0x31;
}

/// A header segment with accessors for the fields that several PDUs share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header(pub(crate) [u8; BHS_LEN]);

impl Header {
    pub(crate) fn opcode(&self) -> u8 {
        self.0[0] & 0x3f
    }

    pub(crate) fn flags(&self) -> u8 {
        self.0[1]
    }

    /// SCSI status of a SCSI Response or of a Data-In with [`STATUS`].
    pub(crate) fn scsi_status(&self) -> u8 {
        self.0[3]
    }

    /// iSCSI response code of a SCSI Response (11.4.3).
    pub(crate) fn response(&self) -> u8 {
        self.0[2]
    }

    pub(crate) fn ahs_len(&self) -> usize {
        usize::from(self.0[4]) * 4
    }

    pub(crate) fn data_len(&self) -> usize {
        self.word(4) as usize & 0x00ff_ffff
    }

    /// The big-endian word at `offset`: 16 ITT, 20 TTT, 24 StatSN, 28 ExpCmdSN, 32 MaxCmdSN,
    /// 36 DataSN, 40 Buffer Offset, 44 Desired Data Transfer Length.
    pub(crate) fn word(&self, offset: usize) -> u32 {
        let word = &self.0[offset..offset + 4];
        u32::from_be_bytes([word[0], word[1], word[2], word[3]])
    }

    fn set_word(&mut self, offset: usize, value: u32) {
        self.0[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// Sets DataSegmentLength.
    fn with_data_len(mut self, len: usize) -> Self {
        debug_assert!(len < 1 << 24);
        self.set_word(4, len as u32);
        self
    }

    fn new(opcode: u8, flags: u8, words: &[(usize, u32)]) -> Self {
        let mut header = Self([0; BHS_LEN]);
        header.0[0] = opcode;
        header.0[1] = flags;
        for &(offset, value) in words {
            header.set_word(offset, value);
        }
        header
    }
}

/// What every request carries of the connection's state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) cmd_sn: u32,
    pub(crate) exp_stat_sn: u32,
}

/// A Login Request (11.12) that asks to go from stage `csg` to `nsg`.
pub(crate) fn login(isid: [u8; 6], csg: u8, nsg: u8, numbers: Numbers, text_len: usize) -> Header {
    let words = [(24, numbers.cmd_sn), (28, numbers.exp_stat_sn)];
    let mut header = Header::new(0x03 | IMMEDIATE, FINAL | csg << 2 | nsg, &words);
    header.0[8..14].copy_from_slice(&isid);
    header.with_data_len(text_len)
}

/// A SCSI Command (11.3) of the SIMPLE attribute; `flags` are [`FINAL`], [`READ`] and [`WRITE`].
pub(crate) fn scsi_command(
    lun: [u8; 8],
    itt: u32,
    flags: u8,
    expected_len: u32,
    numbers: Numbers,
    cdb: &[u8; 16],
    immediate_len: usize,
) -> Header {
    let words = [(16, itt), (20, expected_len), (24, numbers.cmd_sn), (28, numbers.exp_stat_sn)];
    let mut header = Header::new(0x01, flags | SIMPLE, &words);
    header.0[8..16].copy_from_slice(&lun);
    header.0[32..48].copy_from_slice(cdb);
    header.with_data_len(immediate_len)
}

/// A SCSI Data-Out (11.7) of `len` bytes at `offset` of task `itt`'s data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataOut {
    pub(crate) lun: [u8; 8],
    pub(crate) itt: u32,
    pub(crate) ttt: u32,
    pub(crate) exp_stat_sn: u32,
    pub(crate) data_sn: u32,
    pub(crate) offset: u32,
    pub(crate) len: usize,
    pub(crate) last: bool,
}

impl DataOut {
    pub(crate) fn header(&self) -> Header {
        let flags = if self.last { FINAL } else { 0 };
        let words = [
            (16, self.itt),
            (20, self.ttt),
            (28, self.exp_stat_sn),
            (36, self.data_sn),
            (40, self.offset),
        ];
        let mut header = Header::new(0x05, flags, &words);
        header.0[8..16].copy_from_slice(&self.lun);
        header.with_data_len(self.len)
    }
}

/// The NOP-Out (11.18) that answers a target's ping.
pub(crate) fn nop_answer(ping: &Header, numbers: Numbers) -> Header {
    let words =
        [(16, NO_TAG), (20, ping.word(20)), (24, numbers.cmd_sn), (28, numbers.exp_stat_sn)];
    let mut header = Header::new(IMMEDIATE, FINAL, &words);
    header.0[8..16].copy_from_slice(&ping.0[8..16]);
    header
}

/// A Logout Request (11.14) that closes the session.
pub(crate) fn logout(numbers: Numbers) -> Header {
    let words = [(16, 0), (24, numbers.cmd_sn), (28, numbers.exp_stat_sn)];
    Header::new(0x06 | IMMEDIATE, FINAL, &words)
}

/// Serial number comparison (RFC 1982) of CmdSN: whether `a` is at most `b`.
pub(crate) fn serial_le(a: u32, b: u32) -> bool {
    b.wrapping_sub(a) < 1 << 31
}

/// `len` with the padding to a whole word (11.2.4).
pub(crate) fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_its_fields_where_the_rfc_puts_them() {
        let numbers = Numbers { cmd_sn: 0x0102_0304, exp_stat_sn: 0x0506_0708 };
        let lun = [0, 5, 0, 0, 0, 0, 0, 0];
        let header = scsi_command(lun, 9, FINAL | WRITE, 4096, numbers, &[0x2a; 16], 512);
        assert_eq!(header.0[..8], [0x01, 0xa1, 0, 0, 0, 0, 2, 0]);
        assert_eq!(header.0[8..16], lun);
        assert_eq!(header.word(20), 4096);
        assert_eq!(header.word(24), 0x0102_0304);
        assert_eq!(header.word(28), 0x0506_0708);
        assert_eq!(header.data_len(), 512);
        assert_eq!(header.0[32..], [0x2a; 16]);
    }

    #[test]
    fn serial_numbers_wrap() {
        assert!(serial_le(5, 5) && serial_le(0xffff_fffe, 3));
        assert!(!serial_le(6, 5) && !serial_le(3, 0xffff_fffe));
    }
}
