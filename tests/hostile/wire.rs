//! A daemon to attack, and just enough of an initiator to attack it and to be its honest client.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::raw::{Digests, Lies, NO_TAG, Pdu, Wire};

/// Logical blocks of the daemon's LUN are this long.
pub(crate) const BLOCK_LEN: usize = 512;

/// A `stirrupd quick` serving 64 MiB of memory, killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    portal: String,
    target: String,
    lun: u8,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stirrupd"))
            .args(["quick", "--memory", "64MiB", "--block-size", "512", "--listen", "127.0.0.1:0"])
            // One shard: everybody shares its memory.
            .args(["--shards", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let parts: Vec<_> = url.trim().strip_prefix("iscsi://").unwrap().split('/').collect();
        let [portal, target, lun] = parts[..] else { panic!("no URL: {url:?}") };
        let lun = lun.parse().unwrap();
        Self { child, portal: portal.into(), target: target.into(), lun }
    }

    /// A connection that has said nothing.
    pub(crate) fn connect(&self) -> Peer {
        Peer { wire: Wire::connect(&self.portal), lun: self.lun, cmd_sn: 1, exp_stat_sn: 0 }
    }

    /// A session in full feature phase; `index` makes its ISID unlike the others'.
    pub(crate) fn log_in(&self, index: u16) -> Peer {
        self.try_log_in(index).expect("the daemon ended a proper login")
    }

    /// [`Self::log_in`], or `None` if the daemon closes the connection instead.
    pub(crate) fn try_log_in(&self, index: u16) -> Option<Peer> {
        let mut peer = self.connect();
        peer.send(&self.login(index, 0x87), &self.login_text());
        for _ in 0..5 {
            let header = peer.receive()?;
            assert_eq!((header.bhs[0], header.bhs[36]), (0x23, 0), "login refused: {header:02x?}");
            peer.exp_stat_sn = header.word(24).wrapping_add(1);
            if header.bhs[1] & 0x83 == 0x83 {
                return Some(peer);
            }
            peer.send(&self.login(index, 0x87), b"");
        }
        panic!("the login does not end");
    }

    /// A Login Request with these flags (T 0x80, C 0x40, CSG 0x0c, NSG 0x03).
    pub(crate) fn login(&self, index: u16, flags: u8) -> Pdu {
        let mut header = Pdu::new(0x43, flags);
        header.bhs[8] = 0x80;
        header.bhs[12..14].copy_from_slice(&index.to_be_bytes());
        header.set(24, 1)
    }

    pub(crate) fn login_text(&self) -> Vec<u8> {
        let target = &self.target;
        format!(
            "InitiatorName=iqn.2026-01.org.example:hostile\0TargetName={target}\0\
             SessionType=Normal\0"
        )
        .into_bytes()
    }

    /// The most resident memory the daemon ever had, in KiB; a panic if it is no more.
    pub(crate) fn peak_rss_kib(&mut self) -> u64 {
        assert_eq!(self.child.try_wait().unwrap(), None, "the daemon is dead");
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection to the daemon.
pub(crate) struct Peer {
    pub(crate) wire: Wire,
    lun: u8,
    pub(crate) cmd_sn: u32,
    exp_stat_sn: u32,
}

impl Peer {
    /// Sends a PDU with this data.
    pub(crate) fn send(&mut self, header: &Pdu, data: &[u8]) {
        self.wire.send(&header.clone().with(data));
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.wire.send_bytes(bytes);
    }

    /// The next PDU, or `None` if the daemon has closed the connection.
    pub(crate) fn receive(&mut self) -> Option<Pdu> {
        self.wire.receive()
    }

    /// A SCSI Command with this CDB: its flags R 0x40, W 0x20, and the length it expects.
    pub(crate) fn command(&self, flags: u8, expected_len: u32, cdb: &[u8]) -> Pdu {
        let mut header = Pdu::new(0x01, 0x81 | flags)
            .set(16, self.cmd_sn)
            .set(20, expected_len)
            .set(24, self.cmd_sn)
            .set(28, self.exp_stat_sn);
        header.bhs[9] = self.lun;
        header.bhs[32..32 + cdb.len()].copy_from_slice(cdb);
        header
    }

    /// Runs a command with immediate data to its end: its status and what it read.
    fn execute(&mut self, flags: u8, expected_len: u32, cdb: &[u8], data: &[u8]) -> (u8, Vec<u8>) {
        let command = self.command(flags, expected_len, cdb);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        self.send(&command, data);
        let mut all = Vec::new();
        loop {
            let header = self.receive().expect("the daemon ended an honest session");
            match header.bhs[0] {
                0x25 | 0x21 => all.extend(&header.data),
                0x20 => continue,
                other => panic!("opcode {other:#x} for an honest command"),
            }
            if header.bhs[0] == 0x21 || header.bhs[1] & 1 != 0 {
                self.exp_stat_sn = header.word(24).wrapping_add(1);
                return (header.bhs[3], all);
            }
        }
    }

    /// Waits until the unit has told of its unit attentions.
    pub(crate) fn get_ready(&mut self) {
        while self.execute(0, 0, &[0; 6], &[]).0 != 0 {}
    }

    /// Writes a block and reads it back, as any client would.
    pub(crate) fn work(&mut self, block: u8, filling: u8) {
        let data = [filling; BLOCK_LEN];
        let cdb = |opcode| [opcode, 0, 0, 0, 0, block, 0, 0, 1, 0];
        let len = BLOCK_LEN as u32;
        assert_eq!(self.execute(0x20, len, &cdb(0x2a), &data).0, 0, "WRITE(10)");
        assert_eq!(self.execute(0x40, len, &cdb(0x28), &[]), (0, data.to_vec()), "READ(10)");
    }

    /// An immediate NOP-Out that wants an answer.
    pub(crate) fn ping(&self) -> Pdu {
        Pdu::new(0x40, 0x80)
            .set(16, 0x7000_0000)
            .set(20, NO_TAG)
            .set(24, self.cmd_sn)
            .set(28, self.exp_stat_sn)
    }

    /// Reads to the answer of a [`Self::ping`] or to the end of the connection.
    pub(crate) fn answered_or_closed(&mut self) {
        while let Some(header) = self.receive() {
            if header.bhs[0] == 0x20 && header.word(16) == 0x7000_0000 {
                return;
            }
        }
    }
}

/// The header of a PDU with this DataSegmentLength, which may be a lie.
pub(crate) fn claiming(header: &Pdu, data_len: u32) -> Vec<u8> {
    header.frame(Digests::default(), Lies { data_length: Some(data_len), ..Lies::default() })
}
