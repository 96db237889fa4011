//! `stirrup-loadgen`: a pipelined iSCSI load generator that is never the limit.
//!
//! One thread a session, blocking sockets, two system calls for each batch of commands: at queue
//! depth 32 it costs less CPU per I/O than any target it measures. It speaks just enough of
//! RFC 7143 to move blocks and checks what it is given: order, lengths, digests and, with
//! `--verify`, the data.

mod bare;
mod connection;
mod crc;
mod engine;
mod histogram;
mod incoming;
mod job;
mod outgoing;
mod pattern;
mod pdu;
mod replay;
mod sessions;
mod skim;
mod trace;
mod url;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::{Args, Parser, Subcommand};

use connection::{Capacity, Connection, Digests};
use engine::{Plan, Stats, Work};
use job::{Job, Kind};
use url::Url;

/// Loads an iSCSI target and says what it did.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a logical unit.
    Run(Run),
    /// Replay a recorded trace on every unit at once, as fast as they go.
    Replay(replay::Options),
    /// Serve the bare reference: 48 bytes in, 48 bytes and a payload out, over tokio.
    BareServer {
        /// Where to listen; the address is printed.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Payload of an answer, in bytes.
        #[arg(long, default_value_t = 4096)]
        payload: usize,
        /// Threads, each with its share of the connections.
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Take each payload from somewhere else in so many MiB of memory, as a disk's data are;
        /// 0: always the same bytes, which the processor has in its cache.
        #[arg(long, default_value_t = 0)]
        spread: usize,
    },
    /// Load a bare server.
    BareClient(bare::Client),
    /// Load a logical unit with reads whose data nobody looks at: the client hardly needs CPU.
    Skim(skim::Skim),
    /// Log in to many targets at once, and hold the sessions.
    Sessions(sessions::Sessions),
}

#[derive(Debug, Args)]
struct Run {
    /// The logical unit, as `iscsi://HOST:PORT/IQN/LUN` (port 3260 if there is none).
    url: Url,
    /// Kind of load.
    #[arg(long, default_value = "randread")]
    rw: Kind,
    /// Percent of reads in a mixed load.
    #[arg(long, default_value_t = 70, value_parser = clap::value_parser!(u8).range(0..=100))]
    read_percent: u8,
    /// Bytes an operation moves; a K or M suffix counts in KiB or MiB.
    #[arg(long, default_value = "4K", value_parser = parse_size)]
    block_size: u64,
    /// Operations in flight in each session.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    queue_depth: u32,
    /// Sessions, each with its own thread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    sessions: u16,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Stop after so many operations (in all sessions together).
    #[arg(long)]
    operations: Option<u64>,
    /// Use only so many bytes from the start of the unit (K, M or G suffix).
    #[arg(long, value_parser = parse_size)]
    size: Option<u64>,
    /// Write the whole used range before measuring.
    #[arg(long)]
    fill: bool,
    /// Write data that is a function of its place and check it on reading (reads imply --fill).
    #[arg(long)]
    verify: bool,
    /// Ask for CRC32C header digests.
    #[arg(long)]
    header_digest: bool,
    /// Ask for CRC32C data digests.
    #[arg(long)]
    data_digest: bool,
    /// The initiator's name.
    #[arg(long, default_value = "iqn.2026-01.org.example:loadgen")]
    initiator: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads `4096`, `4K`, `1M` or `2G`.
fn parse_size(text: &str) -> Result<u64> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().with_context(|| format!("{text:?} is no size"))?;
    number.checked_mul(1 << shift).with_context(|| format!("{text:?} is too large"))
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(run) => run.execute(),
        Command::Replay(options) => options.execute(),
        Command::BareServer { listen, payload, threads, spread } => {
            bare::serve(listen, payload, threads, spread << 20).map(|()| true)
        }
        Command::BareClient(client) => client.execute(),
        Command::Skim(skim) => skim.execute(),
        Command::Sessions(sessions) => sessions.execute(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("stirrup-loadgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Run {
    /// True if nothing went wrong.
    fn execute(&self) -> Result<bool> {
        let mut first = self.login(0)?;
        let capacity = first.capacity()?;
        let slots = self.slots(capacity)?;
        if self.fill || self.verify && self.rw.reads() {
            let filled = engine::run(first, self.fill_plan(capacity, slots)?)?;
            ensure!(filled.errors == 0, "fill: {}", filled.first_error.unwrap_or_default());
            first = self.login(0)?;
        }
        let mut sessions = vec![(first, self.plan(capacity, slots, 0)?)];
        for index in 1..self.sessions {
            sessions.push((self.login(index)?, self.plan(capacity, slots, index)?));
        }
        for (session, _) in &mut sessions {
            // Each new I_T nexus has its unit attention, which is no part of the measurement.
            session.capacity()?;
        }
        let started = Instant::now();
        let stats = run_all(sessions)?;
        let report = Report { run: self, stats, seconds: started.elapsed().as_secs_f64() };
        if self.json {
            println!("{:#}", report.json());
        } else {
            report.print();
        }
        if let Some(error) = &report.stats.first_error {
            eprintln!("stirrup-loadgen: {} errors, the first: {error}", report.stats.errors);
        }
        Ok(report.stats.errors == 0)
    }

    fn login(&self, index: u16) -> Result<Connection> {
        let digests = Digests { header: self.header_digest, data: self.data_digest };
        Connection::login(&self.url, &self.initiator, digests, index)
    }

    /// How many operations' worth of disk there is to use.
    fn slots(&self, capacity: Capacity) -> Result<u64> {
        let block_len = u64::from(capacity.block_len);
        let whole = capacity.blocks.saturating_mul(block_len);
        let used = self.size.unwrap_or(whole);
        ensure!(used <= whole, "the unit has only {whole} bytes");
        ensure!(
            (block_len..=16 << 20).contains(&self.block_size)
                && self.block_size.is_multiple_of(block_len),
            "--block-size: a multiple of the unit's {block_len} bytes, up to 16M"
        );
        let slots = used / self.block_size;
        ensure!(slots > 0, "the unit is smaller than one operation");
        Ok(slots)
    }

    fn plan(&self, capacity: Capacity, slots: u64, index: u16) -> Result<Plan> {
        let job = Job::new(self.rw, self.read_percent, slots, index, self.sessions);
        let operations = self.operations.map_or(u64::MAX, |all| {
            let sessions = u64::from(self.sessions);
            all / sessions + u64::from(u64::from(index) < all % sessions)
        });
        Ok(Plan {
            work: Work::Made(job),
            queue_depth: self.queue_depth,
            io_len: self.block_size as usize,
            block_len: capacity.block_len,
            verify: self.verify,
            image: None,
            operations,
            duration: Duration::try_from_secs_f64(self.seconds).context("--seconds")?,
        })
    }

    /// One pass of sequential writes over the used range, in pieces of up to 256 KiB.
    fn fill_plan(&self, capacity: Capacity, slots: u64) -> Result<Plan> {
        let mut joined = 1;
        while slots.is_multiple_of(joined * 2) && self.block_size * joined * 2 <= 256 << 10 {
            joined *= 2;
        }
        Ok(Plan {
            work: Work::Made(Job::new(Kind::Write, 0, slots / joined, 0, 1)),
            queue_depth: 16,
            io_len: (self.block_size * joined) as usize,
            operations: slots / joined,
            duration: Duration::from_secs(3600),
            ..self.plan(capacity, slots, 0)?
        })
    }
}

/// Runs every session on its own thread and sums up.
fn run_all(sessions: Vec<(Connection, Plan)>) -> Result<Stats> {
    let threads: Vec<_> = sessions
        .into_iter()
        .map(|(session, plan)| std::thread::spawn(move || engine::run(session, plan)))
        .collect();
    let mut total = Stats::default();
    let mut failed = None;
    for thread in threads {
        match thread.join().map_err(|_| anyhow!("a session's thread panicked"))? {
            Ok(stats) => total.add(stats),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(total), Err)
}

/// The outcome of a run, to be shown.
struct Report<'a> {
    run: &'a Run,
    stats: Stats,
    seconds: f64,
}

impl Report<'_> {
    fn iops(&self) -> f64 {
        (self.stats.reads + self.stats.writes) as f64 / self.seconds
    }

    fn mb_per_second(&self) -> f64 {
        self.iops() * self.run.block_size as f64 / 1e6
    }

    fn cpu_us_per_io(&self) -> f64 {
        self.stats.cpu.as_secs_f64() * 1e6 / self.stats.latency.count().max(1) as f64
    }

    fn print(&self) {
        let latency = &self.stats.latency;
        println!(
            "{:.0} IOPS, {:.1} MB/s, latency us p50 {:.0} p99 {:.0} p99.9 {:.0} max {:.0}, \
             {} reads, {} writes, {} errors, {:.2} us of own CPU per I/O",
            self.iops(),
            self.mb_per_second(),
            latency.quantile_us(0.5),
            latency.quantile_us(0.99),
            latency.quantile_us(0.999),
            latency.max_us(),
            self.stats.reads,
            self.stats.writes,
            self.stats.errors,
            self.cpu_us_per_io(),
        );
    }

    fn json(&self) -> serde_json::Value {
        let (stats, latency) = (&self.stats, &self.stats.latency);
        serde_json::json!({
            "rw": format!("{:?}", self.run.rw).to_lowercase(),
            "block_size": self.run.block_size,
            "queue_depth": self.run.queue_depth,
            "sessions": self.run.sessions,
            "seconds": self.seconds,
            "operations": stats.reads + stats.writes,
            "reads": stats.reads,
            "writes": stats.writes,
            "errors": stats.errors,
            "iops": self.iops(),
            "mb_per_second": self.mb_per_second(),
            "mean_us": latency.mean_us(),
            "p50_us": latency.quantile_us(0.5),
            "p99_us": latency.quantile_us(0.99),
            "p999_us": latency.quantile_us(0.999),
            "max_us": latency.max_us(),
            "cpu_us_per_io": self.cpu_us_per_io(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes_and_limits() {
        assert_eq!(parse_size("4K").unwrap(), 4096);
        assert_eq!(parse_size("512").unwrap(), 512);
        assert_eq!(parse_size("2G").unwrap(), 2 << 30);
        assert!(parse_size("").is_err() && parse_size("K").is_err() && parse_size("-1").is_err());
        assert!(parse_size("99999999999G").is_err());
    }

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
