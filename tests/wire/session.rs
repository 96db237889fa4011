//! The full feature phase as the test's initiator sees it. Every PDU that comes is checked against
//! the rules that hold for all of them: sequence numbers, windows, lengths, reserved bits.

use crate::lab::BLOCK;
use crate::login::{self, Login, value};
use crate::support::raw::{Digests, FINAL, NO_TAG, Pdu, READ, WRITE, Wire, op};

/// Reasons of Reject (RFC 7143 11.17.1).
pub(crate) mod reason {
    pub(crate) const DATA_DIGEST: u8 = 0x02;
    pub(crate) const SNACK: u8 = 0x03;
    pub(crate) const PROTOCOL: u8 = 0x04;
    pub(crate) const NOT_SUPPORTED: u8 = 0x05;
    pub(crate) const IMMEDIATE: u8 = 0x06;
    pub(crate) const IN_PROGRESS: u8 = 0x07;
    pub(crate) const INVALID_FIELD: u8 = 0x09;
    pub(crate) const LONG_OPERATION: u8 = 0x0a;
}

/// SCSI status codes.
pub(crate) const GOOD: u8 = 0x00;
pub(crate) const CHECK_CONDITION: u8 = 0x02;
pub(crate) const RESERVATION_CONFLICT: u8 = 0x18;
pub(crate) const TASK_SET_FULL: u8 = 0x28;

/// Sense data: key, additional code, qualifier.
pub(crate) type Codes = (u8, u8, u8);
/// What RFC 7143 11.4.7.2 has for the initiator's faults in the data phase.
pub(crate) const UNEXPECTED_DATA: Codes = (0x0b, 0x0c, 0x0c);
pub(crate) const INCORRECT_AMOUNT: Codes = (0x0b, 0x0c, 0x0d);
pub(crate) const CRC_ERROR: Codes = (0x0b, 0x47, 0x05);
pub(crate) const DATA_PHASE_ERROR: Codes = (0x0b, 0x4b, 0x00);
/// INVALID FIELD IN COMMAND INFORMATION UNIT.
pub(crate) const INVALID_INFORMATION_UNIT: Codes = (0x05, 0x0e, 0x03);
pub(crate) const INVALID_OPCODE: Codes = (0x05, 0x20, 0x00);
pub(crate) const LBA_OUT_OF_RANGE: Codes = (0x05, 0x21, 0x00);
pub(crate) const INVALID_FIELD_IN_CDB: Codes = (0x05, 0x24, 0x00);
pub(crate) const LUN_NOT_SUPPORTED: Codes = (0x05, 0x25, 0x00);
pub(crate) const INVALID_FIELD_IN_LIST: Codes = (0x05, 0x26, 0x00);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Residual {
    None,
    Over(u32),
    Under(u32),
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: u8,
    pub(crate) sense: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) residual: Residual,
    /// Everything that came for it, in order.
    pub(crate) pdus: Vec<Pdu>,
}

impl End {
    /// GOOD, with nothing left over; its data.
    pub(crate) fn good(self) -> Vec<u8> {
        assert_eq!((self.status, self.residual), (GOOD, Residual::None), "{self:02x?}");
        self.data
    }

    /// Sense key, code and qualifier of the CHECK CONDITION that it must be.
    pub(crate) fn codes(&self) -> Codes {
        assert_eq!(self.status, CHECK_CONDITION, "{self:02x?}");
        codes(&self.sense)
    }

    /// The R2Ts that came for it.
    pub(crate) fn r2ts(&self) -> Vec<&Pdu> {
        self.pdus.iter().filter(|pdu| pdu.opcode() == op::R2T).collect()
    }
}

/// Sense key, code and qualifier of sense data in either format.
pub(crate) fn codes(sense: &[u8]) -> Codes {
    match sense[0] & 0x7f {
        0x70 => (sense[2] & 0x0f, sense[12], sense[13]),
        0x72 => (sense[1] & 0x0f, sense[2], sense[3]),
        other => panic!("sense data of response code {other:#x}"),
    }
}

/// `a` comes before `b` in serial arithmetic (RFC 1982).
pub(crate) fn before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

pub(crate) struct Session {
    pub(crate) wire: Wire,
    pub(crate) login: Login,
    /// Of the next numbered command.
    pub(crate) cmd_sn: u32,
    /// StatSN that must come next.
    pub(crate) stat_sn: u32,
    /// The window, as last heard.
    pub(crate) exp_cmd_sn: u32,
    pub(crate) max_cmd_sn: u32,
    pub(crate) tsih: u16,
    /// What the target said in its last login response.
    pub(crate) answers: Vec<(String, String)>,
    /// MaxRecvDataSegmentLength that we have declared.
    pub(crate) own_segment_max: usize,
    pub(crate) max_burst: u32,
    /// Bytes of a Data-Out PDU.
    pub(crate) segment: usize,
    pub(crate) lun: u64,
    itt: u32,
}

impl Session {
    pub(crate) fn begin(login: Login, mut wire: Wire, response: &Pdu) -> Self {
        assert_eq!(response.flags() & 0x83, 0x83, "to the full feature phase: {response:?}");
        let answers = login::decode(&response.data);
        let asked = login::decode(&login.text());
        let crc = |key| value(&answers, key) == Some("CRC32C");
        wire.digests = Digests { header: crc("HeaderDigest"), data: crc("DataDigest") };
        let number =
            |text: Option<&str>, default| text.and_then(|t| t.parse().ok()).unwrap_or(default);
        let own_segment_max = number(value(&asked, "MaxRecvDataSegmentLength"), 8192);
        let max_burst = number(value(&answers, "MaxBurstLength"), 262_144);
        Self {
            wire,
            cmd_sn: login.cmd_sn,
            stat_sn: response.stat_sn().wrapping_add(1),
            exp_cmd_sn: response.exp_cmd_sn(),
            max_cmd_sn: response.max_cmd_sn(),
            tsih: response.half(14),
            answers,
            own_segment_max,
            max_burst: u32::try_from(max_burst).unwrap(),
            segment: 4096,
            lun: 0,
            itt: 0x0200_0000,
            login,
        }
    }

    /// Hears the unit attentions of LUN 0 and LUN 1.
    pub(crate) fn ready(mut self) -> Self {
        for lun in [1, 0] {
            self.lun = lun_field(lun);
            while self.none(&[0; 6]).status != GOOD {}
        }
        self
    }

    pub(crate) fn answer(&self, key: &str) -> Option<&str> {
        value(&self.answers, key)
    }

    pub(crate) fn take_itt(&mut self) -> u32 {
        self.itt += 1;
        self.itt
    }

    pub(crate) fn send(&mut self, pdu: &Pdu) {
        self.wire.send(pdu);
    }

    /// The next PDU, checked; `None` if the target has closed the connection. A NOP-In that only
    /// tells of the window (11.4.11) has been heard with that.
    pub(crate) fn try_receive(&mut self) -> Option<Pdu> {
        loop {
            let pdu = self.checked()?;
            if pdu.opcode() != op::NOP_IN || (pdu.itt(), pdu.ttt()) != (NO_TAG, NO_TAG) {
                return Some(pdu);
            }
        }
    }

    fn checked(&mut self) -> Option<Pdu> {
        let pdu = self.wire.receive()?;
        assert_eq!(pdu.bhs[0] & 0xc0, 0, "reserved bits: {pdu:?}");
        assert_eq!(pdu.ahs, b"", "a target has no additional headers to send");
        assert!(pdu.data.len() <= self.own_segment_max, "MaxRecvDataSegmentLength: {pdu:?}");
        let (exp, max) = (pdu.exp_cmd_sn(), pdu.max_cmd_sn());
        assert!(!before(exp, self.exp_cmd_sn), "ExpCmdSN went back: {pdu:?}");
        assert!(!before(max, self.max_cmd_sn), "MaxCmdSN went back: {pdu:?}");
        assert!(!before(max, exp.wrapping_sub(1)), "MaxCmdSN below ExpCmdSN - 1: {pdu:?}");
        (self.exp_cmd_sn, self.max_cmd_sn) = (exp, max);
        let numbered = match pdu.opcode() {
            op::DATA_IN => pdu.flags() & 1 != 0,
            op::NOP_IN => pdu.itt() != NO_TAG,
            op::R2T => false,
            _ => true,
        };
        if numbered || pdu.opcode() != op::DATA_IN {
            assert_eq!(pdu.stat_sn(), self.stat_sn, "StatSN: {pdu:?}");
        }
        if numbered {
            self.stat_sn = self.stat_sn.wrapping_add(1);
        }
        Some(pdu)
    }

    pub(crate) fn receive(&mut self) -> Pdu {
        self.try_receive().expect("the session goes on")
    }

    /// The next PDU, which must be of this kind.
    pub(crate) fn expect(&mut self, opcode: u8) -> Pdu {
        let pdu = self.receive();
        assert_eq!(pdu.opcode(), opcode, "{pdu:?}");
        pdu
    }

    /// Nothing more comes but the end of the connection.
    pub(crate) fn expect_closed(&mut self) {
        if let Some(pdu) = self.try_receive() {
            panic!("{pdu:?} on a connection to be closed");
        }
    }

    /// An immediate NOP-Out that wants an answer.
    pub(crate) fn nop(&mut self, data: &[u8]) -> Pdu {
        let itt = self.take_itt();
        Pdu::new(op::NOP_OUT, FINAL)
            .immediate()
            .set(16, itt)
            .set(20, NO_TAG)
            .set(24, self.cmd_sn)
            .set(28, self.stat_sn)
            .with(data)
    }

    /// Pings; the answer must be the next to come: nothing else was on its way.
    pub(crate) fn ping(&mut self) -> Pdu {
        let ping = self.nop(b"ping");
        self.send(&ping);
        let answer = self.expect(op::NOP_IN);
        assert_eq!((answer.itt(), answer.data.as_slice()), (ping.itt(), &b"ping"[..]));
        answer
    }

    /// A SCSI command that is not sent yet; it has taken its CmdSN.
    pub(crate) fn command(&mut self, flags: u8, expected: u32, cdb: &[u8]) -> Pdu {
        let itt = self.take_itt();
        let mut padded = [0; 16];
        padded[..cdb.len()].copy_from_slice(cdb);
        let pdu = Pdu::new(op::SCSI, FINAL | flags | 1)
            .set_lun(self.lun)
            .set(16, itt)
            .set(20, expected)
            .set(24, self.cmd_sn)
            .set(28, self.stat_sn)
            .bytes_at(32, &padded);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        pdu
    }

    pub(crate) fn read_command(&mut self, lba: u32, len: usize) -> Pdu {
        self.command(READ, u32::try_from(len).unwrap(), &read10(lba, len))
    }

    pub(crate) fn write_command(&mut self, lba: u32, len: usize) -> Pdu {
        self.command(WRITE, u32::try_from(len).unwrap(), &write10(lba, len))
    }

    /// A Data-Out PDU of a command.
    pub(crate) fn data_out(
        &self,
        command: &Pdu,
        ttt: u32,
        data_sn: u32,
        offset: u32,
        data: &[u8],
    ) -> Pdu {
        let lun = if ttt == NO_TAG { 0 } else { command.lun() };
        Pdu::new(op::DATA_OUT, 0)
            .set_lun(lun)
            .set(16, command.itt())
            .set(20, ttt)
            .set(28, self.stat_sn)
            .set(36, data_sn)
            .set(40, offset)
            .with(data)
    }

    /// Answers an R2T in PDUs of [`Self::segment`] bytes.
    pub(crate) fn answer_r2t(&mut self, command: &Pdu, r2t: &Pdu, data: &[u8]) {
        let (offset, len) = (r2t.word(40) as usize, r2t.word(44) as usize);
        self.send_burst(command, r2t.ttt(), offset, &data[offset..offset + len]);
    }

    /// Sends one sequence of Data-Out PDUs; F on the last.
    pub(crate) fn send_burst(&mut self, command: &Pdu, ttt: u32, offset: usize, data: &[u8]) {
        let count = data.len().div_ceil(self.segment);
        for (i, part) in data.chunks(self.segment).enumerate() {
            let at = u32::try_from(offset + i * self.segment).unwrap();
            let mut pdu = self.data_out(command, ttt, u32::try_from(i).unwrap(), at, part);
            if i + 1 == count {
                pdu.bhs[1] = FINAL;
            }
            self.send(&pdu);
        }
    }

    /// Runs a command without data.
    pub(crate) fn none(&mut self, cdb: &[u8]) -> End {
        let command = self.command(0, 0, cdb);
        self.send(&command);
        self.finish(&command, &[])
    }

    /// Runs a command that reads.
    pub(crate) fn read(&mut self, cdb: &[u8], expected: usize) -> End {
        let command = self.command(READ, u32::try_from(expected).unwrap(), cdb);
        self.send(&command);
        self.finish(&command, &[])
    }

    /// Runs a command that writes, as the target asks for the data.
    pub(crate) fn write(&mut self, cdb: &[u8], data: &[u8]) -> End {
        let command = self.command(WRITE, u32::try_from(data.len()).unwrap(), cdb);
        self.send(&command);
        self.finish(&command, data)
    }

    /// Writes blocks, which must succeed.
    pub(crate) fn put(&mut self, lba: u32, data: &[u8]) {
        assert_eq!(self.write(&write10(lba, data.len()), data).good(), b"");
    }

    /// Reads blocks, which must succeed.
    pub(crate) fn get(&mut self, lba: u32, len: usize) -> Vec<u8> {
        self.read(&read10(lba, len), len).good()
    }

    /// Takes everything of a command that was sent, to its end, and checks it as a whole.
    pub(crate) fn finish(&mut self, command: &Pdu, data_out: &[u8]) -> End {
        self.finish_from(command, data_out, 0)
    }

    /// The same after so many bytes of unsolicited data.
    pub(crate) fn finish_from(&mut self, command: &Pdu, data_out: &[u8], sent: u32) -> End {
        let mut end = End {
            status: 0,
            sense: Vec::new(),
            data: Vec::new(),
            residual: Residual::None,
            pdus: Vec::new(),
        };
        let (mut data_sn, mut r2t_sn, mut asked) = (0, 0, sent);
        let mut burst = 0;
        loop {
            let pdu = self.receive();
            assert_eq!(pdu.itt(), command.itt(), "{pdu:?}");
            end.pdus.push(pdu.clone());
            match pdu.opcode() {
                op::DATA_IN => {
                    check_data_in(&pdu, data_sn, end.data.len());
                    data_sn += 1;
                    burst += u32::try_from(pdu.data.len()).unwrap();
                    assert!(burst <= self.max_burst, "MaxBurstLength: {pdu:?}");
                    end.data.extend(&pdu.data);
                    if pdu.flags() & FINAL != 0 {
                        burst = 0;
                    }
                    if pdu.flags() & 1 != 0 {
                        end.residual = residual(&pdu, 44);
                        end.status = pdu.bhs[3];
                        return end;
                    }
                }
                op::R2T => {
                    let (offset, len) = (pdu.word(40), pdu.word(44));
                    assert_eq!(pdu.flags(), FINAL, "{pdu:?}");
                    assert_ne!(pdu.ttt(), NO_TAG, "{pdu:?}");
                    assert_eq!(pdu.lun(), command.lun(), "{pdu:?}");
                    assert_eq!((pdu.word(36), offset), (r2t_sn, asked), "{pdu:?}");
                    assert!((1..=self.max_burst).contains(&len), "{pdu:?}");
                    (r2t_sn, asked) = (r2t_sn + 1, asked + len);
                    self.answer_r2t(command, &pdu, data_out);
                }
                op::SCSI_RESPONSE => {
                    assert_eq!(pdu.bhs[2], 0, "command completed at target: {pdu:?}");
                    assert_eq!(pdu.word(36), data_sn, "ExpDataSN: {pdu:?}");
                    assert_eq!(burst, 0, "a sequence of data without F: {:?}", end.pdus);
                    end.status = pdu.bhs[3];
                    end.residual = residual(&pdu, 44);
                    if !pdu.data.is_empty() {
                        let len = usize::from(u16::from_be_bytes([pdu.data[0], pdu.data[1]]));
                        end.sense = pdu.data[2..2 + len].to_vec();
                    }
                    return end;
                }
                _ => panic!("{pdu:?} for a command"),
            }
        }
    }

    /// Takes the Reject that must come next: it has this reason and the header of that PDU.
    pub(crate) fn expect_reject(&mut self, reason: u8, rejected: &Pdu) -> Pdu {
        let reject = self.expect(op::REJECT);
        assert_eq!(reject.bhs[2], reason, "{reject:?}");
        assert_eq!(reject.itt(), NO_TAG, "{reject:?}");
        assert_eq!(reject.flags(), FINAL, "{reject:?}");
        let whole = [&rejected.header()[..], &rejected.ahs].concat();
        assert_eq!(reject.data, whole, "the header of the bad PDU");
        let takes_a_number = [op::SCSI, op::TMF, op::NOP_OUT, op::TEXT, op::LOGOUT];
        if takes_a_number.contains(&rejected.bhs[0]) {
            // 7.3: a command that was rejected was not received. Its number has to be used again.
            assert_ne!(self.exp_cmd_sn, rejected.word(24).wrapping_add(1), "{reject:?}");
            self.cmd_sn = rejected.word(24);
        }
        reject
    }

    /// Sends a command again that was rejected.
    pub(crate) fn retry(&mut self, command: &Pdu) {
        self.cmd_sn = command.word(24).wrapping_add(1);
        self.send(command);
    }

    /// Sends what is to be rejected for this reason.
    pub(crate) fn rejected(&mut self, pdu: &Pdu, reason: u8) -> Pdu {
        self.send(pdu);
        self.expect_reject(reason, pdu)
    }

    /// An immediate task management request.
    pub(crate) fn tmf(&mut self, function: u8, referenced: u32, ref_cmd_sn: u32) -> Pdu {
        let itt = self.take_itt();
        Pdu::new(op::TMF, FINAL | function)
            .immediate()
            .set_lun(self.lun)
            .set(16, itt)
            .set(20, referenced)
            .set(24, self.cmd_sn)
            .set(28, self.stat_sn)
            .set(32, ref_cmd_sn)
    }

    /// ABORT TASK for a command.
    pub(crate) fn abort(&mut self, command: &Pdu) -> Pdu {
        self.tmf(1, command.itt(), command.word(24))
    }

    /// The response to a task management request, which must come next: its code.
    pub(crate) fn tmf_response(&mut self, request: &Pdu) -> u8 {
        let response = self.expect(op::TMF_RESPONSE);
        assert_eq!((response.itt(), response.flags()), (request.itt(), FINAL), "{response:?}");
        response.bhs[2]
    }

    /// Sends a task management request and takes its response.
    pub(crate) fn manage(&mut self, request: &Pdu) -> u8 {
        self.send(request);
        self.tmf_response(request)
    }

    /// An immediate Text Request.
    pub(crate) fn text(&mut self, flags: u8, ttt: u32, text: &[u8]) -> Pdu {
        let itt = self.take_itt();
        Pdu::new(op::TEXT, flags)
            .immediate()
            .set(16, itt)
            .set(20, ttt)
            .set(24, self.cmd_sn)
            .set(28, self.stat_sn)
            .with(text)
    }

    /// A whole text exchange of one request and one response.
    pub(crate) fn negotiate(&mut self, pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let request = self.text(FINAL, NO_TAG, &login::text(pairs));
        self.send(&request);
        let response = self.expect(op::TEXT_RESPONSE);
        assert_eq!(
            (response.itt(), response.ttt(), response.flags()),
            (request.itt(), NO_TAG, FINAL),
            "{response:?}"
        );
        login::decode(&response.data)
    }

    /// A text exchange that is to be rejected.
    pub(crate) fn negotiate_in_vain(&mut self, pairs: &[(&str, &str)], reason: u8) {
        let request = self.text(FINAL, NO_TAG, &login::text(pairs));
        self.rejected(&request, reason);
    }

    /// An immediate Logout Request.
    pub(crate) fn logout(&mut self, reason: u8, cid: u16) -> Pdu {
        let itt = self.take_itt();
        Pdu::new(op::LOGOUT, FINAL | reason)
            .immediate()
            .set(16, itt)
            .set_half(20, cid)
            .set(24, self.cmd_sn)
            .set(28, self.stat_sn)
    }

    /// Logs out: the response code.
    pub(crate) fn log_out(&mut self, reason: u8, cid: u16) -> u8 {
        let request = self.logout(reason, cid);
        self.send(&request);
        let response = self.expect(op::LOGOUT_RESPONSE);
        assert_eq!((response.itt(), response.flags()), (request.itt(), FINAL), "{response:?}");
        response.bhs[2]
    }
}

fn check_data_in(pdu: &Pdu, data_sn: u32, offset: usize) {
    assert_eq!(pdu.word(36), data_sn, "DataSN: {pdu:?}");
    assert_eq!(pdu.word(40) as usize, offset, "Buffer Offset: {pdu:?}");
    let is_final = pdu.flags() & FINAL != 0;
    if pdu.flags() & 0x40 == 0 {
        assert_eq!((pdu.ttt(), pdu.lun()), (NO_TAG, 0), "no A bit: {pdu:?}");
    }
    if pdu.flags() & 1 != 0 {
        assert!(is_final, "S without F: {pdu:?}");
        assert!(matches!(pdu.bhs[3], GOOD | 0x04 | 0x10 | 0x14), "status with data: {pdu:?}");
    } else {
        assert_eq!(pdu.flags() & 0x06, 0, "residual without S: {pdu:?}");
    }
    assert!(is_final || pdu.data.len().is_multiple_of(4), "a length that needs padding: {pdu:?}");
    assert!(!pdu.data.is_empty(), "{pdu:?}");
}

/// The U and O bits, and the residual count at `at`.
fn residual(pdu: &Pdu, at: usize) -> Residual {
    match (pdu.flags() & 0x06, pdu.word(at)) {
        (0, 0) => Residual::None,
        (4, count) => Residual::Over(count),
        (2, count) => Residual::Under(count),
        other => panic!("residual {other:?} in {pdu:?}"),
    }
}

/// The LUN field in peripheral device addressing.
pub(crate) fn lun_field(number: u8) -> u64 {
    u64::from(number) << 48
}

pub(crate) fn read10(lba: u32, len: usize) -> [u8; 10] {
    rw10(0x28, lba, len)
}

pub(crate) fn write10(lba: u32, len: usize) -> [u8; 10] {
    rw10(0x2a, lba, len)
}

fn rw10(opcode: u8, lba: u32, len: usize) -> [u8; 10] {
    let blocks = u16::try_from(len / BLOCK).unwrap().to_be_bytes();
    let [a, b, c, d] = lba.to_be_bytes();
    [opcode, 0, a, b, c, d, 0, blocks[0], blocks[1], 0]
}
