//! Replays a trace on many units at once: what a rack does when its power comes back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::connection::{Connection, Digests};
use crate::engine::{self, Plan, Stats, Work};
use crate::trace::{self, Replay};
use crate::url::Url;

/// Commands of one session in flight, at most; a boot has far fewer.
const QUEUE_DEPTH: u32 = 64;
/// A replay that takes longer has something wrong with it.
const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The units, each as `iscsi://HOST:PORT/IQN/LUN`; each is replayed on by one session.
    #[arg(required = true)]
    urls: Vec<Url>,
    /// The trace, as scripts/lab/boot-trace records them. The pauses in it are left out, its order
    /// and how many commands are in flight are kept.
    #[arg(long)]
    trace: PathBuf,
    /// Leave the trace's writes out.
    #[arg(long)]
    reads_only: bool,
    /// A raw image that every unit is a copy of: what is read must be the same.
    #[arg(long, requires = "reads_only")]
    image: Option<PathBuf>,
    /// The initiators' names, with a number behind.
    #[arg(long, default_value = "iqn.2026-01.org.example:loadgen")]
    initiator: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Options {
    /// True if nothing went wrong.
    pub(crate) fn execute(&self) -> Result<bool> {
        let operations = trace::load(&self.trace, self.reads_only)?;
        let image = self.image.as_ref().map(|path| {
            let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
            anyhow::Ok(bytes.into())
        });
        let image = image.transpose()?;
        let end = operations.iter().map(|o| o.position.saturating_add(o.len as u64)).max();
        // A boot begins with its login, and so does what a target does for it.
        let started = Instant::now();
        let mut sessions = Vec::new();
        for (index, url) in (0..).zip(&self.urls) {
            let initiator = format!("{}-{index}", self.initiator);
            let mut session = Connection::login(url, &initiator, Digests::default(), index)?;
            let capacity = session.capacity()?;
            let block_len = u64::from(capacity.block_len);
            let bytes = capacity.blocks.saturating_mul(block_len);
            ensure!(end.is_some_and(|end| end <= bytes), "the trace is of a larger disk");
            let aligned =
                |o: &trace::Operation| (o.position | o.len as u64).is_multiple_of(block_len);
            ensure!(operations.iter().all(aligned), "the trace is of a disk of smaller blocks");
            let plan = Plan {
                work: Work::Recorded(Replay::new(&operations)),
                queue_depth: QUEUE_DEPTH,
                io_len: operations.iter().map(|operation| operation.len).max().unwrap_or(0),
                block_len: capacity.block_len,
                verify: false,
                image: image.clone(),
                operations: u64::MAX,
                duration: PATIENCE,
            };
            sessions.push((session, plan));
        }
        let mut stats = Stats::default();
        engine::run_together(sessions)?.into_iter().for_each(|of_one| stats.add(of_one));
        let seconds = started.elapsed().as_secs_f64();
        let whole = (operations.len() * self.urls.len()) as u64;
        self.show(&stats, seconds);
        if let Some(error) = &stats.first_error {
            eprintln!("stirrup-loadgen: {} errors, the first: {error}", stats.errors);
        }
        ensure!(stats.errors > 0 || stats.reads + stats.writes == whole, "cut short");
        Ok(stats.errors == 0)
    }

    fn show(&self, stats: &Stats, seconds: f64) {
        let latency = &stats.latency;
        if self.json {
            let report = serde_json::json!({
                "sessions": self.urls.len(),
                "seconds": seconds,
                "reads": stats.reads,
                "writes": stats.writes,
                "read_bytes": stats.read_bytes,
                "errors": stats.errors,
                "mean_us": latency.mean_us(),
                "p50_us": latency.quantile_us(0.5),
                "p99_us": latency.quantile_us(0.99),
                "max_us": latency.max_us(),
                "cpu_seconds": stats.cpu.as_secs_f64(),
            });
            println!("{report:#}");
            return;
        }
        println!(
            "{} sessions in {seconds:.2} s: {} reads, {:.1} MB, {} writes, {} errors, latency us p50 \
             {:.0} p99 {:.0} max {:.0}",
            self.urls.len(),
            stats.reads,
            stats.read_bytes as f64 / 1e6,
            stats.writes,
            stats.errors,
            latency.quantile_us(0.5),
            latency.quantile_us(0.99),
            latency.max_us(),
        );
    }
}
