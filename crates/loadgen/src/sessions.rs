//! Many sessions at once: how fast a gateway takes logins, and what it costs to hold sessions
//! that do nothing.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};

use crate::connection::{Connection, Digests};
use crate::histogram::Histogram;
use crate::url::Url;

/// Hosts of one /24 that sessions come from.
const HOSTS: usize = 250;
/// A login keeps little on its stack.
const STACK_LEN: usize = 128 << 10;

/// Logs in once for each URL.
#[derive(Debug, Args)]
pub(crate) struct Sessions {
    /// File with one URL a line, as `iscsi://HOST:PORT/IQN/LUN`.
    urls: PathBuf,
    /// Logins under way at a time [default: all].
    #[arg(long)]
    concurrency: Option<usize>,
    /// Give each session a source address of its own in 127.1.0.0/16, as a node of its own has
    /// one: the target's limits for one address are not what is measured.
    #[arg(long)]
    own_addresses: bool,
    /// Read 4 KiB in each session after the logins, so that no disk is left unopened.
    #[arg(long)]
    read: bool,
    /// Keep the sessions, answering pings, until standard input ends.
    #[arg(long)]
    hold: bool,
}

/// What a storm of logins came to.
#[derive(Debug, Default)]
struct Storm {
    sessions: Vec<Connection>,
    /// Time of each login, from connecting to full feature phase.
    latency: Histogram,
    errors: Vec<anyhow::Error>,
    /// From the first connection to the last login.
    seconds: f64,
}

impl Sessions {
    /// Prints, as JSON in one line, how the logins went; with `--hold`, before it waits.
    pub(crate) fn execute(&self) -> Result<bool> {
        let text = std::fs::read_to_string(&self.urls)
            .with_context(|| format!("{}", self.urls.display()))?;
        let urls = text.lines().map(str::parse).collect::<Result<Vec<Url>>>()?;
        ensure!((1..=65535).contains(&urls.len()), "{} URLs", urls.len());
        let Storm { mut sessions, latency, errors, seconds } = self.storm(&urls);
        let first_error = errors.first().map(|error| format!("{error:#}"));
        for session in &mut sessions {
            self.use_once(session)?;
        }
        let report = serde_json::json!({
            "sessions": sessions.len(),
            "errors": errors.len(),
            "first_error": first_error,
            "seconds": seconds,
            "logins_per_second": sessions.len() as f64 / seconds,
            "p50_ms": latency.quantile_us(0.5) / 1e3,
            "p99_ms": latency.quantile_us(0.99) / 1e3,
            "max_ms": latency.max_us() / 1e3,
        });
        println!("{report}");
        std::io::stdout().flush()?;
        if self.hold {
            hold(&mut sessions)?;
        }
        for session in sessions {
            session.logout();
        }
        Ok(errors.is_empty())
    }

    /// All logins, begun at once when every thread is there.
    fn storm(&self, urls: &[Url]) -> Storm {
        let workers = self.concurrency.unwrap_or(urls.len()).clamp(1, urls.len());
        let (next, start) = (AtomicUsize::new(0), Barrier::new(workers + 1));
        let outcome = Mutex::new(Storm::default());
        let started = std::thread::scope(|scope| {
            for _ in 0..workers {
                let work = || {
                    start.wait();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(url) = urls.get(index) else { return };
                        let began = Instant::now();
                        let session = self.login(url, index);
                        let took = began.elapsed();
                        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                        match session {
                            Ok(session) => {
                                outcome.sessions.push(session);
                                outcome.latency.record(took);
                            }
                            Err(error) => outcome.errors.push(error),
                        }
                    }
                };
                let thread = std::thread::Builder::new().stack_size(STACK_LEN);
                // Those that wait at the barrier cannot go on without this one.
                thread.spawn_scoped(scope, work).expect("the system has a thread left");
            }
            start.wait();
            Instant::now()
        });
        let outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        Storm { seconds: started.elapsed().as_secs_f64(), ..outcome }
    }

    fn login(&self, url: &Url, index: usize) -> Result<Connection> {
        let source = self.own_addresses.then(|| address(index));
        let initiator = format!("iqn.2026-01.org.example:node{index}");
        Connection::login_from(source, url, &initiator, Digests::default(), index as u16)
    }

    /// What a node does with its disk at least once.
    fn use_once(&self, session: &mut Connection) -> Result<()> {
        let capacity = session.capacity()?;
        if self.read {
            let blocks = 4096 / capacity.block_len;
            let mut cdb = [0; 16];
            cdb[0] = 0x88;
            cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
            let status = session.execute(&cdb, 4096)?.status;
            ensure!(status == 0, "a read fails with status {status:#x}");
        }
        Ok(())
    }
}

/// The source address of session `index`.
fn address(index: usize) -> IpAddr {
    Ipv4Addr::new(127, 1, (index / HOSTS) as u8, (index % HOSTS + 1) as u8).into()
}

/// Answers pings until standard input ends.
fn hold(sessions: &mut [Connection]) -> Result<()> {
    let mut stdin = std::io::stdin().lock();
    loop {
        let ready: Vec<usize> = {
            let mut fds: Vec<_> = sessions
                .iter()
                .map(|session| PollFd::new(&session.stream, PollFlags::IN))
                .collect();
            fds.push(PollFd::new(&stdin, PollFlags::IN));
            poll(&mut fds, None)?;
            let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
            (0..fds.len()).filter(|&index| ready(&fds[index])).collect()
        };
        for index in ready {
            match sessions.get_mut(index) {
                Some(session) => session.idle()?,
                None if stdin.read(&mut [0; 64])? == 0 => return Ok(()),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_has_an_address_of_its_own() {
        let all: std::collections::HashSet<_> = (0..10_000).map(address).collect();
        assert_eq!(all.len(), 10_000);
        assert!(!all.contains(&Ipv4Addr::LOCALHOST.into()));
    }
}
