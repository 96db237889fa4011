//! The limit to measure against: a server with no protocol behind it. For each 48 bytes it is
//! sent it answers 48 bytes and a payload, as a READ would, and does nothing else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::connection::SILENCE;
use crate::pdu::BHS_LEN;

/// Requests that one receive can bring.
const MAX_BATCH: usize = 256;
/// Bytes that one send is given: a batch of 4 KiB answers, or some of 128 KiB.
const SEND_LEN: usize = 1 << 20;

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
}

/// Serves until killed, on one thread with tokio, as a shard of Stirrup does.
pub(crate) fn serve(listen: SocketAddr, payload_len: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind(listen).await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                // A client that goes away ends its connection, and that is all there is to say.
                let _ = answer(stream, payload_len).await;
            });
        }
    })
}

async fn answer(mut stream: tokio::net::TcpStream, payload_len: usize) -> std::io::Result<()> {
    let answer_len = BHS_LEN + payload_len;
    let at_once = (SEND_LEN / answer_len).clamp(1, MAX_BATCH);
    let mut requests = vec![0; MAX_BATCH * BHS_LEN];
    // Not zeros: those the kernel would back with one page, which no disk's data is.
    let answers = vec![0x5a; at_once * answer_len];
    let mut pending = 0;
    loop {
        let len = stream.read(&mut requests[pending..]).await?;
        if len == 0 {
            return Ok(());
        }
        let mut whole = (pending + len) / BHS_LEN;
        pending = (pending + len) % BHS_LEN;
        while whole > 0 {
            let now = whole.min(at_once);
            stream.write_all(&answers[..now * answer_len]).await?;
            whole -= now;
        }
    }
}

impl Client {
    /// Drives the server and prints, as JSON, how many answers came and how fast.
    pub(crate) fn execute(&self) -> Result<bool> {
        let duration = Duration::try_from_secs_f64(self.seconds).context("--seconds")?;
        let started = Instant::now();
        let threads: Vec<_> = (0..self.sessions)
            .map(|_| {
                let (server, payload, depth) =
                    (self.server.clone(), self.payload, self.queue_depth);
                std::thread::spawn(move || drive(&server, payload, depth, duration))
            })
            .collect();
        let mut operations = 0;
        for thread in threads {
            operations += thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
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
}

/// Keeps one connection busy; returns how many answers came.
fn drive(server: &str, payload_len: usize, queue_depth: u32, duration: Duration) -> Result<u64> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let requests = vec![0; queue_depth as usize * BHS_LEN];
    let mut answers = vec![0; 256 << 10];
    let (started, answer_len) = (Instant::now(), BHS_LEN + payload_len);
    let (mut done, mut pending) = (0, 0);
    stream.write_all(&requests)?;
    while started.elapsed() < duration {
        let len = stream.read(&mut answers)?;
        ensure!(len > 0, "the server closed the connection");
        let whole = (pending + len) / answer_len;
        pending = (pending + len) % answer_len;
        done += whole as u64;
        stream.write_all(&requests[..whole * BHS_LEN])?;
    }
    Ok(done)
}
