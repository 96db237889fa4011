//! A small initiator.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use stirrup::iscsi::pdu::digest::crc32c;
use stirrup::iscsi::pdu::frame::{Lengths, padding_of, set_data_length};
use stirrup::iscsi::pdu::{
    Bhs, DataIn, DataOut, LoginRequest, LoginResponse, LogoutRequest, NopOut, Opcode, Pdu, R2t,
    RESERVED_TAG, ScsiCommand, ScsiResponse, TaskManagementRequest, TaskManagementResponse,
    TextRequest,
};

pub(crate) use crate::support::HANG;

/// What an initiator asks for at login.
#[derive(Clone)]
pub(crate) struct Wishes {
    pub(crate) initiator: String,
    pub(crate) isid: u8,
    pub(crate) discovery: bool,
    pub(crate) digests: bool,
    pub(crate) keys: &'static str,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            initiator: "iqn.2026-11.test:node".into(),
            isid: 1,
            discovery: false,
            digests: false,
            keys: "",
        }
    }
}

/// A logged-in connection.
pub(crate) struct Initiator {
    stream: TcpStream,
    digests: bool,
    cmd_sn: u32,
    itt: u32,
    lun: u64,
    /// The ExpStatSN of its commands; 0: it does not care for what it was answered.
    exp_stat_sn: u32,
    acknowledges: bool,
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: u8,
    pub(crate) sense: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

impl Ended {
    /// Sense key, code and qualifier of fixed-format sense data.
    pub(crate) fn sense_codes(&self) -> (u8, u8, u8) {
        (self.sense[2] & 0x0f, self.sense[12], self.sense[13])
    }
}

impl Initiator {
    /// Logs in straight to the operational stage, as Linux does; the status if that is refused.
    pub(crate) fn log_in(portal: SocketAddr, target: &str, wishes: &Wishes) -> Result<Self, u16> {
        let stream = TcpStream::connect(portal).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut peer = Self {
            stream,
            digests: false,
            cmd_sn: 1,
            itt: 0,
            lun: 1 << 48,
            exp_stat_sn: 0,
            acknowledges: false,
        };
        let request = LoginRequest {
            transit: true,
            cont: false,
            csg: 1,
            nsg: 3,
            version_max: 0,
            version_min: 0,
            isid: [0x80, 0, 0, 0, 0, wishes.isid],
            tsih: 0,
            itt: 77,
            cid: 0,
            cmd_sn: 1,
            exp_stat_sn: 0,
        };
        let session = if wishes.discovery {
            "SessionType=Discovery\0".to_owned()
        } else {
            format!("SessionType=Normal\0TargetName={target}\0")
        };
        let digest = if wishes.digests { "CRC32C" } else { "None" };
        let text = format!(
            "InitiatorName={}\0{session}HeaderDigest={digest}\0DataDigest={digest}\0\
             InitialR2T=No\0ImmediateData=Yes\0MaxRecvDataSegmentLength=16384\0{}",
            wishes.initiator, wishes.keys
        );
        peer.send(&request, text.as_bytes());
        let (bhs, _) = peer.receive().expect("an answer to the login");
        let response = LoginResponse::parse(&bhs).unwrap();
        match (response.status_class, response.status_detail) {
            (0, 0) => {
                assert!(response.transit && response.tsih != 0);
                peer.digests = wishes.digests;
                Ok(peer)
            }
            (class, detail) => Err(u16::from_be_bytes([class, detail])),
        }
    }

    pub(crate) fn send(&mut self, pdu: &impl Pdu, data: &[u8]) {
        let mut bhs = pdu.encode();
        set_data_length(&mut bhs, data.len());
        let mut bytes = bhs.to_vec();
        if self.digests {
            bytes.extend(crc32c([&bhs[..]]));
        }
        let mut padded = data.to_vec();
        padded.resize(data.len() + padding_of(data.len()), 0);
        bytes.extend(&padded);
        if self.digests && !data.is_empty() {
            bytes.extend(crc32c([&padded[..]]));
        }
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next PDU, its digests checked; `None` if the target has closed the connection.
    pub(crate) fn receive(&mut self) -> Option<(Bhs, Vec<u8>)> {
        let mut bhs: Bhs = [0; 48];
        self.read(&mut bhs)?;
        let lengths = Lengths::of(&bhs, self.digests, self.digests);
        let mut digest = [0; 4];
        if self.digests {
            self.read(&mut digest)?;
            assert_eq!(digest, crc32c([&bhs[..]]), "header digest");
        }
        let mut data = vec![0; lengths.data + lengths.padding];
        self.read(&mut data)?;
        if lengths.data_digest > 0 {
            self.read(&mut digest)?;
            assert_eq!(digest, crc32c([&data[..]]), "data digest");
        }
        data.truncate(lengths.data);
        let has_status = match Opcode::of(&bhs) {
            Some(Opcode::ScsiResponse) => true,
            Some(Opcode::DataIn) => bhs[1] & 1 != 0,
            _ => false,
        };
        if self.acknowledges && has_status {
            let stat_sn = u32::from_be_bytes([bhs[24], bhs[25], bhs[26], bhs[27]]);
            self.exp_stat_sn = stat_sn.wrapping_add(1);
        }
        Some((bhs, data))
    }

    fn read(&mut self, into: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(into) {
            Ok(()) => Some(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("a hang"),
            Err(_) => None,
        }
    }

    /// True once the target has closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        while self.receive().is_some() {}
        true
    }

    /// From now on commands go to this LUN field.
    pub(crate) fn at(&mut self, lun: u64) -> &mut Self {
        self.lun = lun;
        self
    }

    /// Says from now on which answers it has.
    pub(crate) fn acknowledge(&mut self) {
        self.acknowledges = true;
    }

    /// A command that is not sent yet.
    pub(crate) fn command(&mut self, cdb: &[u8], read: u32, write: u32) -> ScsiCommand {
        self.itt += 1;
        let mut padded = [0; 16];
        padded[..cdb.len()].copy_from_slice(cdb);
        let command = ScsiCommand {
            immediate: false,
            is_final: true,
            read: read > 0,
            write: write > 0,
            attribute: 1,
            priority: 0,
            lun: self.lun,
            itt: self.itt,
            expected_length: read.max(write),
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.exp_stat_sn,
            cdb: padded,
        };
        self.cmd_sn += 1;
        command
    }

    /// Runs a command to its end, with R2Ts where the target wants them.
    pub(crate) fn run(&mut self, cdb: &[u8], read: u32, write: &[u8]) -> Ended {
        let command = self.command(cdb, read, u32::try_from(write.len()).unwrap());
        self.send(&command, &[]);
        self.finish(&command, write)
    }

    /// The rest of a command that was sent.
    pub(crate) fn finish(&mut self, command: &ScsiCommand, write: &[u8]) -> Ended {
        let mut data = Vec::new();
        loop {
            let (bhs, segment) = self.receive().expect("the session goes on");
            if Opcode::of(&bhs) == Some(Opcode::NopIn) {
                // How the command window stands.
                continue;
            }
            assert_eq!(bhs[16..20], command.itt.to_be_bytes(), "of another task: {bhs:02x?}");
            match Opcode::of(&bhs) {
                Some(Opcode::R2t) => {
                    let r2t = R2t::parse(&bhs).unwrap();
                    self.send_data(command, &r2t, write);
                }
                Some(Opcode::DataIn) => {
                    let data_in = DataIn::parse(&bhs).unwrap();
                    assert_eq!(data_in.buffer_offset as usize, data.len());
                    data.extend(segment);
                    if let Some((status, _)) = data_in.status {
                        return Ended { status, sense: Vec::new(), data };
                    }
                }
                Some(Opcode::ScsiResponse) => {
                    let status = ScsiResponse::parse(&bhs).unwrap().status;
                    return Ended { status, sense: segment.into_iter().skip(2).collect(), data };
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Answers an R2T with PDUs of an odd size.
    pub(crate) fn send_data(&mut self, command: &ScsiCommand, r2t: &R2t, data: &[u8]) {
        let end = r2t.buffer_offset + r2t.desired_length;
        let mut offset = r2t.buffer_offset;
        for data_sn in 0.. {
            let len = (end - offset).min(7777);
            let pdu = DataOut {
                is_final: offset + len == end,
                lun: command.lun,
                itt: command.itt,
                ttt: r2t.ttt,
                exp_stat_sn: 0,
                data_sn,
                buffer_offset: offset,
            };
            self.send(&pdu, &data[offset as usize..(offset + len) as usize]);
            offset += len;
            if offset == end {
                break;
            }
        }
    }

    /// Sends the rest of a write's unsolicited data.
    pub(crate) fn send_unsolicited(&mut self, command: &ScsiCommand, offset: u32, data: &[u8]) {
        let pdu = DataOut {
            is_final: true,
            lun: 0,
            itt: command.itt,
            ttt: RESERVED_TAG,
            exp_stat_sn: 0,
            data_sn: 0,
            buffer_offset: offset,
        };
        self.send(&pdu, data);
    }

    /// Pings, and waits for the answer: all that was sent before has been looked at by then.
    pub(crate) fn ping(&mut self) {
        let nop = NopOut {
            immediate: true,
            lun: 0,
            itt: 0x7000_0000,
            ttt: RESERVED_TAG,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: 0,
        };
        self.send(&nop, &[]);
        let (bhs, _) = self.receive().expect("an answer to the ping");
        assert_eq!(Opcode::of(&bhs), Some(Opcode::NopIn));
    }

    /// The rest of whichever of some writes ends first, and its task tag; serves R2Ts meanwhile.
    pub(crate) fn finish_any(&mut self, open: &[&ScsiCommand], write: &[u8]) -> (u32, Ended) {
        loop {
            let (bhs, segment) = self.receive().expect("the session goes on");
            let itt = u32::from_be_bytes(bhs[16..20].try_into().unwrap());
            let command = open.iter().find(|command| command.itt == itt).expect("an open task");
            if Opcode::of(&bhs) == Some(Opcode::R2t) {
                self.send_data(command, &R2t::parse(&bhs).unwrap(), write);
                continue;
            }
            let status = ScsiResponse::parse(&bhs).unwrap().status;
            let sense = segment.into_iter().skip(2).collect();
            return (itt, Ended { status, sense, data: Vec::new() });
        }
    }

    /// Sends a task management function; `about` is the task it refers to, if it does.
    pub(crate) fn send_tmf(&mut self, function: u8, about: Option<&ScsiCommand>) {
        let request = TaskManagementRequest {
            immediate: true,
            function,
            lun: self.lun,
            itt: 0x6000_0000,
            referenced_tag: about.map_or(RESERVED_TAG, |command| command.itt),
            cmd_sn: self.cmd_sn,
            exp_stat_sn: 0,
            ref_cmd_sn: about.map_or(0, |command| command.cmd_sn),
            exp_data_sn: 0,
        };
        self.send(&request, &[]);
    }

    /// The response to a task management function, which is the next PDU.
    pub(crate) fn tmf_response(&mut self) -> u8 {
        let (bhs, _) = self.receive().expect("a response");
        assert_eq!(Opcode::of(&bhs), Some(Opcode::TaskManagementResponse), "{bhs:02x?}");
        TaskManagementResponse::parse(&bhs).unwrap().response
    }

    /// Sends a write with its data; its end is for [`Self::finish`].
    pub(crate) fn send_write(&mut self, lba: u32, data: &[u8]) -> ScsiCommand {
        let command = self.command(&rw10(0x2a, lba, data.len()), 0, data.len() as u32);
        self.send(&command, data);
        command
    }

    /// Sends a read; its end is for [`Self::finish`].
    pub(crate) fn send_read(&mut self, lba: u32, len: usize) -> ScsiCommand {
        let command = self.command(&rw10(0x28, lba, len), len as u32, 0);
        self.send(&command, &[]);
        command
    }

    /// Logs out; true if the target says that it is done, and closes.
    pub(crate) fn log_out(&mut self) -> bool {
        let request = LogoutRequest {
            immediate: true,
            reason: 0,
            itt: 0x5000_0000,
            cid: 0,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: 0,
        };
        self.send(&request, &[]);
        let (bhs, _) = self.receive().expect("an answer to the logout");
        assert_eq!(Opcode::of(&bhs), Some(Opcode::LogoutResponse), "{bhs:02x?}");
        bhs[2] == 0 && self.is_closed()
    }

    /// Hears the unit attentions of a new session.
    pub(crate) fn get_ready(&mut self) {
        while self.run(&[0; 6], 0, &[]).status != 0 {}
    }

    pub(crate) fn write_blocks(&mut self, lba: u32, data: &[u8]) -> Ended {
        self.run(&rw10(0x2a, lba, data.len()), 0, data)
    }

    pub(crate) fn read_blocks(&mut self, lba: u32, len: usize) -> Vec<u8> {
        let ended = self.run(&rw10(0x28, lba, len), u32::try_from(len).unwrap(), &[]);
        assert_eq!(ended.status, 0, "{:02x?}", ended.sense);
        ended.data
    }

    /// The answer to SendTargets=All.
    pub(crate) fn send_targets(&mut self) -> String {
        self.ask_for_targets().unwrap()
    }

    /// `None` if the target has closed the connection.
    pub(crate) fn ask_for_targets(&mut self) -> Option<String> {
        let request = TextRequest {
            immediate: true,
            is_final: true,
            cont: false,
            lun: 0,
            itt: 1,
            ttt: RESERVED_TAG,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: 0,
        };
        self.send(&request, b"SendTargets=All\0");
        let (_, data) = self.receive()?;
        Some(String::from_utf8(data).unwrap())
    }
}

/// READ(10) or WRITE(10) of 512-byte blocks.
pub(crate) fn rw10(opcode: u8, lba: u32, len: usize) -> [u8; 10] {
    let blocks = u16::try_from(len / 512).unwrap().to_be_bytes();
    let [a, b, c, d] = lba.to_be_bytes();
    [opcode, 0, a, b, c, d, 0, blocks[0], blocks[1], 0]
}
