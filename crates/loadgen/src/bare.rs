//! The limit to measure against: a server with no protocol behind it. For each 48 bytes it is
//! sent it answers 48 bytes and a payload, as a READ would, and does nothing else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::pdu::BHS_LEN;

/// Answers fit in one buffer of so many requests.
const MAX_BATCH: usize = 256;

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
    let mut requests = vec![0; MAX_BATCH * BHS_LEN];
    let answers = vec![0; MAX_BATCH * (BHS_LEN + payload_len)];
    let mut pending = 0;
    loop {
        let len = stream.read(&mut requests[pending..]).await?;
        if len == 0 {
            return Ok(());
        }
        let whole = (pending + len) / BHS_LEN;
        pending = (pending + len) % BHS_LEN;
        stream.write_all(&answers[..whole * (BHS_LEN + payload_len)]).await?;
    }
}

/// Drives a bare server; returns how many answers came and in what time.
pub(crate) fn drive(
    server: &str,
    payload_len: usize,
    queue_depth: u32,
    duration: Duration,
) -> Result<(u64, Duration)> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
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
    Ok((done, started.elapsed()))
}
