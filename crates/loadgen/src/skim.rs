//! A client that costs next to nothing: the kernel throws the data away (MSG_TRUNC) and only bytes
//! are counted. With it two cores are nearly the target's alone, which is what a measurement of
//! the target's scaling wants where client and target share the machine. Reads only.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use rustix::net::RecvFlags;

use crate::connection::{Connection, Digests, SILENCE};
use crate::job::{Job, Kind};
use crate::parse_size;
use crate::pdu::{self, BHS_LEN};
use crate::url::Url;

/// Most bytes that one receive throws away.
pub(crate) const SKIM_LEN: usize = 4 << 20;

/// Random reads whose data nobody looks at.
#[derive(Debug, Args)]
pub(crate) struct Skim {
    /// The logical unit, as `iscsi://HOST:PORT/IQN/LUN`.
    url: Url,
    /// Bytes of a read; they must come in one Data-In.
    #[arg(long, default_value = "4K", value_parser = parse_size)]
    block_size: u64,
    /// Reads in flight in each session; the target's window must have room for them.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    queue_depth: u32,
    /// Sessions, each with its own thread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    sessions: u16,
    /// How long, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Use only so many bytes from the start of the unit (K, M or G suffix).
    #[arg(long, value_parser = parse_size)]
    size: Option<u64>,
}

impl Skim {
    /// Runs the load and prints, as JSON, how many reads there were and how fast.
    pub(crate) fn execute(&self) -> Result<bool> {
        let duration = Duration::try_from_secs_f64(self.seconds).context("--seconds")?;
        let mut sessions = Vec::new();
        for index in 0..self.sessions {
            let initiator = "iqn.2026-01.org.example:loadgen";
            let mut connection =
                Connection::login(&self.url, initiator, Digests::default(), index)?;
            let capacity = connection.capacity()?;
            let blocks = self.block_size / u64::from(capacity.block_len);
            let whole = capacity.blocks * u64::from(capacity.block_len);
            let slots = self.size.unwrap_or(whole).min(whole) / self.block_size.max(1);
            ensure!(blocks > 0 && slots > 0, "--block-size does not fit the unit");
            let window = connection.max_cmd_sn.wrapping_sub(connection.cmd_sn).wrapping_add(1);
            ensure!(window >= self.queue_depth, "the window has room for {window} commands only");
            let job = Job::new(Kind::Randread, 100, slots, index, self.sessions);
            let plan = Plan { job, blocks, io_len: self.block_size, depth: self.queue_depth };
            sessions.push((connection, plan));
        }
        let started = Instant::now();
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|(connection, plan)| std::thread::spawn(move || plan.run(connection, duration)))
            .collect();
        let mut operations = 0;
        for thread in threads {
            operations += thread.join().map_err(|_| anyhow!("a session's thread panicked"))??;
        }
        let seconds = started.elapsed().as_secs_f64();
        let iops = operations as f64 / seconds;
        let report = serde_json::json!({
            "operations": operations,
            "seconds": seconds,
            "iops": iops,
            "mb_per_second": iops * self.block_size as f64 / 1e6,
        });
        println!("{report:#}");
        Ok(true)
    }
}

/// What one session does.
struct Plan {
    job: Job,
    blocks: u64,
    io_len: u64,
    depth: u32,
}

impl Plan {
    fn run(mut self, mut connection: Connection, duration: Duration) -> Result<u64> {
        let first = connection.execute(&self.cdb(), self.io_len as u32)?;
        ensure!(first.status == 0, "a read fails with status {:#x}", first.status);
        let alone = first.pdus == 1 && first.data.len() as u64 == self.io_len;
        ensure!(alone, "the target does not answer a read with one Data-In that has the status");
        let answer_len = BHS_LEN + pdu::padded(self.io_len as usize);
        let mut skimmed = vec![0; SKIM_LEN];
        let (mut done, mut pending, mut in_flight) = (0, 0, 0);
        let started = Instant::now();
        loop {
            if started.elapsed() < duration {
                let commands = self.commands(&mut connection, self.depth - in_flight);
                connection.stream.write_all(&commands)?;
                in_flight = self.depth;
            } else if in_flight == 0 {
                break;
            }
            let len =
                match rustix::net::recv(&connection.stream, &mut skimmed[..], RecvFlags::TRUNC) {
                    Ok((_, 0)) => bail!("the target closed the connection"),
                    Ok((_, len)) => len,
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(rustix::io::Errno::AGAIN) => {
                        bail!("no answer for {} s", SILENCE.as_secs())
                    }
                    Err(error) => return Err(error.into()),
                };
            let whole = ((pending + len) / answer_len) as u32;
            pending = (pending + len) % answer_len;
            in_flight = in_flight.checked_sub(whole).context("more answers than questions")?;
            done += u64::from(whole);
            connection.answered(whole);
        }
        // That every answer was a whole read is seen by the stream still being in step.
        ensure!(pending == 0, "{pending} bytes that belong to no read");
        connection.capacity().context("after the load the stream is out of step")?;
        connection.logout();
        Ok(done)
    }

    fn commands(&mut self, connection: &mut Connection, count: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count as usize * BHS_LEN);
        for _ in 0..count {
            let (cdb, numbers) = (self.cdb(), connection.numbers());
            let (lun, len) = (connection.lun, self.io_len as u32);
            // A tag must not be used again while it is in flight: the command's number is not.
            let tag = numbers.cmd_sn & 0x7fff_ffff;
            let flags = pdu::FINAL | pdu::READ;
            bytes.extend(pdu::scsi_command(lun, tag, flags, len, numbers, &cdb, 0).0);
            connection.cmd_sn = numbers.cmd_sn.wrapping_add(1);
        }
        bytes
    }

    /// READ(16) of the next place (SBC-4 5.18).
    fn cdb(&mut self) -> [u8; 16] {
        let (_, slot) = self.job.next();
        let mut cdb = [0; 16];
        cdb[0] = 0x88;
        cdb[2..10].copy_from_slice(&(slot * self.blocks).to_be_bytes());
        cdb[10..14].copy_from_slice(&(self.blocks as u32).to_be_bytes());
        cdb
    }
}
