//! The limit to measure against: a server with no protocol behind it. For each 48 bytes it is
//! sent it answers 48 bytes and a payload, as a READ would, and does nothing else.

use std::io::{IoSlice, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::connection::SILENCE;
use crate::pattern::mix;
use crate::pdu::BHS_LEN;
use crate::skim::SKIM_LEN;

/// Requests that one receive can bring.
const MAX_BATCH: usize = 256;
/// Bytes that one send is given: a batch of 4 KiB answers, or some of 128 KiB.
const SEND_LEN: usize = 1 << 20;

/// Bytes that one receive takes, as in a session.
const RECEIVE_LEN: usize = 256 << 10;

/// A load on a bare server.
#[derive(Debug, Args)]
pub(crate) struct Client {
    /// The address it printed.
    server: String,
    /// Payload of an answer, in bytes, as the server was told.
    #[arg(long, default_value_t = 4096)]
    payload: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256))]
    queue_depth: u32,
    /// Connections, each with its own thread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    sessions: u16,
    /// How long, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Have the kernel throw the answers away, as `skim` does.
    #[arg(long)]
    skim: bool,
}

/// Where the payloads come from.
struct Payloads {
    len: usize,
    /// Several of them; or, if there is only this one batch, headers in front of them, too.
    bytes: Vec<u8>,
    is_spread: bool,
}

impl Payloads {
    /// One batch of answers, or payloads all over `spread` bytes.
    fn new(len: usize, spread: usize) -> Self {
        let is_spread = spread > 0;
        let batch = (SEND_LEN / (BHS_LEN + len)).clamp(1, MAX_BATCH) * (BHS_LEN + len);
        // Not zeros: those the kernel would back with one page, which no disk's data is.
        let bytes = vec![0x5a; if is_spread { spread.max(len) } else { batch }];
        Self { len, bytes, is_spread }
    }

    /// Answers for one send: as many of `wanted` as it takes. `seed` says which payloads.
    fn answers(&self, wanted: usize, seed: u64) -> (usize, Vec<IoSlice<'_>>) {
        let answer_len = BHS_LEN + self.len;
        let at_once = wanted.min((SEND_LEN / answer_len).clamp(1, MAX_BATCH));
        if !self.is_spread {
            return (at_once, vec![IoSlice::new(&self.bytes[..at_once * answer_len])]);
        }
        let payload = |n: usize| {
            let places = (self.bytes.len() / self.len) as u64;
            let start = (mix(seed + n as u64) % places) as usize * self.len;
            &self.bytes[start..start + self.len]
        };
        let slices = (0..at_once).flat_map(|n| [&[0x5a; BHS_LEN][..], payload(n)]);
        (at_once, slices.map(IoSlice::new).collect())
    }
}

/// Serves until killed; each of `threads` has connections of its own and a tokio runtime, as a
/// shard of Stirrup does.
pub(crate) fn serve(
    listen: SocketAddr,
    payload_len: usize,
    threads: usize,
    spread: usize,
) -> Result<()> {
    ensure!(payload_len > 0, "--payload: an answer has one");
    let payloads = Arc::new(Payloads::new(payload_len, spread));
    let listener = TcpListener::bind(listen)?;
    println!("{}", listener.local_addr()?);
    let shards: Vec<_> = (0..threads)
        .map(|_| {
            let (give, take) = unbounded_channel();
            let payloads = Arc::clone(&payloads);
            std::thread::spawn(move || shard(take, payloads));
            give
        })
        .collect();
    for (stream, shard) in listener.incoming().zip(shards.iter().cycle()) {
        shard.send(stream?)?;
    }
    Ok(())
}

/// One thread of the server.
fn shard(mut connections: UnboundedReceiver<TcpStream>, payloads: Arc<Payloads>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        while let Some(stream) = connections.recv().await {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let stream = tokio::net::TcpStream::from_std(stream)?;
            let payloads = Arc::clone(&payloads);
            tokio::task::spawn_local(async move {
                // A client that goes away ends its connection, and that is all there is to say.
                let _ = answer(stream, &payloads).await;
            });
        }
        Ok(())
    })
}

async fn answer(mut stream: tokio::net::TcpStream, payloads: &Payloads) -> std::io::Result<()> {
    let mut requests = vec![0; MAX_BATCH * BHS_LEN];
    let (mut pending, mut seed) = (0, 0);
    loop {
        let len = stream.read(&mut requests[pending..]).await?;
        if len == 0 {
            return Ok(());
        }
        let mut whole = (pending + len) / BHS_LEN;
        pending = (pending + len) % BHS_LEN;
        while whole > 0 {
            let (now, mut slices) = payloads.answers(whole, seed);
            let mut unsent = &mut slices[..];
            while !unsent.is_empty() {
                let sent = stream.write_vectored(unsent).await?;
                IoSlice::advance_slices(&mut unsent, sent);
            }
            whole -= now;
            seed += now as u64;
        }
    }
}

impl Client {
    /// Drives the server and prints, as JSON, how many answers came and how fast.
    pub(crate) fn execute(&self) -> Result<bool> {
        let duration = Duration::try_from_secs_f64(self.seconds).context("--seconds")?;
        let started = Instant::now();
        let mut operations = 0;
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.sessions).map(|_| scope.spawn(|| self.drive(duration))).collect();
            for thread in threads {
                operations += thread.join().map_err(|_| anyhow!("a thread panicked"))??;
            }
            anyhow::Ok(())
        })?;
        let seconds = started.elapsed().as_secs_f64();
        let iops = operations as f64 / seconds;
        let report = serde_json::json!({
            "operations": operations,
            "seconds": seconds,
            "iops": iops,
            "mb_per_second": iops * self.payload as f64 / 1e6,
        });
        println!("{report:#}");
        Ok(true)
    }

    /// Keeps one connection busy; returns how many answers came.
    fn drive(&self, duration: Duration) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let flags = if self.skim { RecvFlags::TRUNC } else { RecvFlags::empty() };
        let mut answers = vec![0; if self.skim { SKIM_LEN } else { RECEIVE_LEN }];
        let requests = vec![0; self.queue_depth as usize * BHS_LEN];
        let (started, answer_len) = (Instant::now(), BHS_LEN + self.payload);
        let (mut done, mut pending) = (0, 0);
        stream.write_all(&requests)?;
        while started.elapsed() < duration {
            let (_, len) = rustix::net::recv(&stream, &mut answers[..], flags)?;
            ensure!(len > 0, "the server closed the connection");
            let whole = (pending + len) / answer_len;
            pending = (pending + len) % answer_len;
            done += whole as u64;
            stream.write_all(&requests[..whole * BHS_LEN])?;
        }
        Ok(done)
    }
}
