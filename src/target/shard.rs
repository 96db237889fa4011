//! The threads that serve connections: each one a single-threaded runtime, each connection one
//! task on it that never moves. Nothing on a shard may block.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::budget::Budget;
use super::connection::{self, Incoming};
use super::server::Shared;

/// A connection on its way to a shard, with the permission to be half open.
pub(super) struct Handoff {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) half_open: HalfOpen,
}

/// The connections that are logging in, by address: none may have more than its part of them, so
/// that one machine's silent connections do not shut the others out.
#[derive(Debug, Default)]
pub(super) struct HalfOpenCount(Mutex<HashMap<IpAddr, usize>>);

/// Counts a connection as half open until it is dropped.
pub(super) struct HalfOpen {
    count: Arc<HalfOpenCount>,
    address: IpAddr,
}

impl HalfOpen {
    /// Permission for one more, unless there are `max` already, or a quarter of it from this
    /// address.
    pub(super) fn take(count: &Arc<HalfOpenCount>, address: IpAddr, max: usize) -> Option<Self> {
        let mut counts = count.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = counts.values().sum();
        let of_address = counts.entry(address).or_default();
        if total >= max || *of_address >= max.div_ceil(4) {
            return None;
        }
        *of_address += 1;
        Some(Self { count: Arc::clone(count), address })
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let mut counts = self.count.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut held) = counts.entry(self.address) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

/// One thread's worth of connections.
pub(super) struct Shard {
    connections: mpsc::UnboundedSender<Handoff>,
    load: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Shard {
    /// Starts the thread.
    pub(super) fn start(index: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        // Unbounded, but each connection in it holds one of a limited number of permissions.
        let (connections, incoming) = mpsc::unbounded_channel();
        let load = Arc::new(AtomicUsize::new(0));
        let thread_load = Arc::clone(&load);
        let thread =
            std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                let serve = serve(incoming, shared, thread_load);
                LocalSet::new().block_on(&runtime, serve);
            })?;
        Ok(Self { connections, load, thread: Some(thread) })
    }

    /// Connections it has.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Gives it another one.
    pub(super) fn give(&self, handoff: Handoff) {
        self.load.fetch_add(1, Ordering::Relaxed);
        if self.connections.send(handoff).is_err() {
            // Only when the shard has ended: the daemon is stopping.
            self.load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Shard {
    /// Waits until its connections have ended; the registry has told them to.
    fn drop(&mut self) {
        let (closed, _) = mpsc::unbounded_channel();
        self.connections = closed;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a shard's thread panicked");
        }
    }
}

/// What the connections of a shard share.
pub(super) struct ShardState {
    pub(super) shared: Arc<Shared>,
    pub(super) budget: Rc<Budget>,
}

async fn serve(
    mut incoming: mpsc::UnboundedReceiver<Handoff>,
    shared: Arc<Shared>,
    load: Arc<AtomicUsize>,
) {
    let budget = Budget::new(shared.options.shard_buffer_bytes);
    let state = Rc::new(ShardState { shared, budget });
    let mut connections = tokio::task::JoinSet::new();
    while let Some(Handoff { stream, peer, half_open }) = incoming.recv().await {
        let (state, load) = (Rc::clone(&state), Arc::clone(&load));
        connections.spawn_local(async move {
            match Incoming::adopt(stream, peer, half_open) {
                Ok(incoming) => connection::run(incoming, &state).await,
                Err(error) => tracing::debug!(%peer, %error, "connection lost at once"),
            }
            load.fetch_sub(1, Ordering::Relaxed);
        });
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place() {
        let count = Arc::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held: Vec<_> = std::iter::from_fn(|| HalfOpen::take(&count, one, 8)).collect();
        assert_eq!(held.len(), 2);
        assert!(HalfOpen::take(&count, other, 8).is_some());
        held.pop();
        assert!(HalfOpen::take(&count, one, 8).is_some());
        drop(held);
        assert!(count.0.lock().unwrap().is_empty(), "nothing is kept of who has gone");
        let many: Vec<_> = (0..=255u8)
            .map_while(|i| HalfOpen::take(&count, IpAddr::from([10, 0, 1, i]), 8))
            .collect();
        assert_eq!(many.len(), 8);
    }
}
