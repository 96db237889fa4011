//! A logged-in iSCSI connection, driven one exchange at a time: login, the few commands that
//! learn what the unit is, logout. The measured part is in [`crate::engine`].

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::crc::crc32c;
use crate::pdu::{self, BHS_LEN, DIGEST_LEN, Header, Numbers, op};
use crate::url::Url;

/// The largest data segment this initiator takes.
const MAX_RECV_DATA: usize = 256 << 10;
/// A target that says nothing for so long hangs.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// What the two sides agreed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Params {
    pub(crate) header_digest: bool,
    pub(crate) data_digest: bool,
    pub(crate) initial_r2t: bool,
    pub(crate) immediate_data: bool,
    pub(crate) first_burst: usize,
    /// The target's MaxRecvDataSegmentLength.
    pub(crate) max_send: usize,
}

/// Which digests to ask for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Digests {
    pub(crate) header: bool,
    pub(crate) data: bool,
}

/// A connection in full feature phase.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) params: Params,
    pub(crate) lun: [u8; 8],
    /// CmdSN of the next command.
    pub(crate) cmd_sn: u32,
    pub(crate) exp_stat_sn: u32,
    pub(crate) max_cmd_sn: u32,
}

/// Size of a logical unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    pub(crate) blocks: u64,
    pub(crate) block_len: u32,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Answer {
    /// SCSI status.
    pub(crate) status: u8,
    /// Data, or sense data.
    pub(crate) data: Vec<u8>,
    /// PDUs it came in.
    pub(crate) pdus: u32,
}

/// A TCP connection to `portal`, from an address of the caller's choice.
fn connected(portal: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream> {
    let Some(source) = source else { return Ok(TcpStream::connect(portal)?) };
    let family = if source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::new(source, 0))?;
    connect(&socket, &portal)?;
    Ok(TcpStream::from(socket))
}

impl Connection {
    /// Connects and logs in; `index` tells this session's ISID from its siblings'.
    pub(crate) fn login(url: &Url, initiator: &str, digests: Digests, index: u16) -> Result<Self> {
        Self::login_from(None, url, initiator, digests, index)
    }

    /// The same from an address of the caller's choice.
    pub(crate) fn login_from(
        source: Option<IpAddr>,
        url: &Url,
        initiator: &str,
        digests: Digests,
        index: u16,
    ) -> Result<Self> {
        let portal = url.portal.to_socket_addrs()?.next();
        let portal = portal.with_context(|| format!("{} has no address", url.portal))?;
        let stream = connected(portal, source).with_context(|| format!("connect to {portal}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let params = Params {
            header_digest: false,
            data_digest: false,
            initial_r2t: true,
            immediate_data: true,
            first_burst: 65536,
            max_send: 8192,
        };
        let (lun, max_cmd_sn) = (url.lun_field(), 1);
        let mut this = Self { stream, params, lun, cmd_sn: 1, exp_stat_sn: 0, max_cmd_sn };
        this.negotiate(url, initiator, digests, index)?;
        Ok(this)
    }

    fn negotiate(
        &mut self,
        url: &Url,
        initiator: &str,
        digests: Digests,
        index: u16,
    ) -> Result<()> {
        let offer = |wanted| if wanted { "CRC32C" } else { "None" };
        let security = format!(
            "InitiatorName={initiator}\0TargetName={}\0SessionType=Normal\0AuthMethod=None\0",
            url.target
        );
        let operational = format!(
            "HeaderDigest={}\0DataDigest={}\0InitialR2T=No\0ImmediateData=Yes\0\
             MaxRecvDataSegmentLength={MAX_RECV_DATA}\0MaxBurstLength=1048576\0\
             FirstBurstLength=262144\0MaxConnections=1\0MaxOutstandingR2T=16\0\
             DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0ErrorRecoveryLevel=0\0\
             DefaultTime2Wait=0\0DefaultTime2Retain=0\0",
            offer(digests.header),
            offer(digests.data)
        );
        // A random-format ISID (11.12.5): the process and the session in it.
        let [_, _, pid @ ..] = std::process::id().to_be_bytes();
        let [high, low] = index.to_be_bytes();
        let isid = [0x80, 0, pid[0], pid[1], high, low];
        let mut agreed = self.params;
        for (csg, nsg, text) in [(0, 1, security), (1, 3, operational)] {
            let request = pdu::login(isid, csg, nsg, self.numbers(), text.len());
            self.send(&request, text.as_bytes())?;
            let (response, data) = self.receive()?;
            ensure!(response.opcode() == op::LOGIN_RESPONSE, "no login response: {response:?}");
            let (class, detail) = (response.0[36], response.0[37]);
            ensure!(class == 0, "login refused: status class {class}, detail {detail}");
            ensure!(
                response.flags() & (pdu::FINAL | 3) == pdu::FINAL | nsg,
                "the target does not go on to stage {nsg}: this client answers no questions"
            );
            self.exp_stat_sn = response.word(24).wrapping_add(1);
            self.max_cmd_sn = response.word(32);
            agree(&mut agreed, &data)?;
        }
        let digests_agreed = (agreed.header_digest, agreed.data_digest);
        ensure!(
            digests_agreed == (digests.header, digests.data),
            "the target declines the digests"
        );
        // Digests hold from the first PDU after the login on.
        self.params = agreed;
        Ok(())
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers { cmd_sn: self.cmd_sn, exp_stat_sn: self.exp_stat_sn }
    }

    fn send(&mut self, header: &Header, data: &[u8]) -> Result<()> {
        let mut bytes = header.0.to_vec();
        if self.params.header_digest {
            bytes.extend(crc32c(&header.0).to_le_bytes());
        }
        bytes.extend(data);
        bytes.resize(bytes.len() + pdu::padded(data.len()) - data.len(), 0);
        self.stream.write_all(&bytes)?;
        Ok(())
    }

    fn receive(&mut self) -> Result<(Header, Vec<u8>)> {
        let mut header = Header([0; BHS_LEN]);
        self.stream.read_exact(&mut header.0)?;
        ensure!(header.data_len() <= MAX_RECV_DATA, "a data segment beyond what was declared");
        let before = header.ahs_len() + usize::from(self.params.header_digest) * DIGEST_LEN;
        let after = usize::from(self.params.data_digest && header.data_len() > 0) * DIGEST_LEN;
        let padded = pdu::padded(header.data_len());
        let mut rest = vec![0; before + padded + after];
        self.stream.read_exact(&mut rest)?;
        Ok((header, rest[before..before + header.data_len()].to_vec()))
    }

    /// Runs one command that reads at most `len` bytes.
    pub(crate) fn execute(&mut self, cdb: &[u8; 16], len: u32) -> Result<Answer> {
        let flags = pdu::FINAL | if len > 0 { pdu::READ } else { 0 };
        let command = pdu::scsi_command(self.lun, 0, flags, len, self.numbers(), cdb, 0);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        self.send(&command, &[])?;
        let (mut data, mut pdus) = (Vec::new(), 0);
        loop {
            let (header, segment) = self.receive()?;
            match header.opcode() {
                op::NOP_IN => self.send(&pdu::nop_answer(&header, self.numbers()), &[])?,
                op::DATA_IN | op::SCSI_RESPONSE => {
                    data.extend(segment);
                    pdus += 1;
                    self.max_cmd_sn = header.word(32);
                    let last =
                        header.opcode() == op::SCSI_RESPONSE || header.flags() & pdu::STATUS != 0;
                    if last {
                        self.exp_stat_sn = header.word(24).wrapping_add(1);
                        return Ok(Answer { status: header.scsi_status(), data, pdus });
                    }
                }
                other => bail!("unexpected PDU of opcode {other:#x}"),
            }
        }
    }

    /// Waits out unit attentions and asks for the capacity (READ CAPACITY(16), SBC-4 5.21).
    pub(crate) fn capacity(&mut self) -> Result<Capacity> {
        let mut status = 0;
        for _ in 0..10 {
            status = self.execute(&[0; 16], 0)?.status;
            if status == 0 {
                break;
            }
        }
        ensure!(status == 0, "TEST UNIT READY keeps failing with status {status:#x}");
        let mut cdb = [0; 16];
        cdb[..2].copy_from_slice(&[0x9e, 0x10]);
        cdb[13] = 32;
        let Answer { status, data, .. } = self.execute(&cdb, 32)?;
        ensure!(status == 0 && data.len() >= 12, "READ CAPACITY(16): status {status:#x}");
        let (last, rest) = data.split_first_chunk().context("short capacity")?;
        let blocks = u64::from_be_bytes(*last).saturating_add(1);
        let block_len = u32::from_be_bytes(*rest.first_chunk().context("short capacity")?);
        ensure!(block_len.is_power_of_two() && block_len >= 512, "block length {block_len}");
        Ok(Capacity { blocks, block_len })
    }

    /// Takes in that the target has answered `count` commands, which nobody parsed.
    pub(crate) fn answered(&mut self, count: u32) {
        self.exp_stat_sn = self.exp_stat_sn.wrapping_add(count);
        self.max_cmd_sn = self.max_cmd_sn.wrapping_add(count);
    }

    /// Receives a PDU of a target that was asked nothing, and answers it if it is a ping.
    pub(crate) fn idle(&mut self) -> Result<()> {
        let (header, _) = self.receive()?;
        ensure!(header.opcode() == op::NOP_IN, "unexpected PDU of opcode {:#x}", header.opcode());
        self.max_cmd_sn = header.word(32);
        if header.word(20) != pdu::NO_TAG {
            self.send(&pdu::nop_answer(&header, self.numbers()), &[])?;
        }
        Ok(())
    }

    /// Ends the session; a target that does not care to answer is no error.
    pub(crate) fn logout(mut self) {
        let request = pdu::logout(self.numbers());
        if self.send(&request, &[]).is_ok() {
            let _ = self.receive();
        }
    }
}

/// Takes the target's answers into what was agreed.
fn agree(params: &mut Params, text: &[u8]) -> Result<()> {
    for pair in text.split(|&byte| byte == 0).filter(|pair| !pair.is_empty()) {
        let pair = std::str::from_utf8(pair).context("login text is not UTF-8")?;
        let (key, value) = pair.split_once('=').context("login text without =")?;
        match key {
            "HeaderDigest" => params.header_digest = value == "CRC32C",
            "DataDigest" => params.data_digest = value == "CRC32C",
            "InitialR2T" => params.initial_r2t = value == "Yes",
            "ImmediateData" => params.immediate_data = value == "Yes",
            "FirstBurstLength" => params.first_burst = value.parse().context("FirstBurstLength")?,
            "MaxRecvDataSegmentLength" => {
                let len: usize = value.parse().context("MaxRecvDataSegmentLength")?;
                ensure!((512..1 << 24).contains(&len), "MaxRecvDataSegmentLength={len}");
                params.max_send = len;
            }
            _ => {}
        }
    }
    Ok(())
}
