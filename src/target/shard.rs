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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::LocalSet;

use super::budget::Budget;
use super::connection::{self, Incoming};
use super::portal::PortalGroup;
use super::server::Shared;

/// A connection on its way to a shard, with the permission to be half open.
pub(super) struct Handoff {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// That of the portal it came in by.
    pub(super) group: Arc<PortalGroup>,
    pub(super) half_open: HalfOpen,
}

/// The connections that are logging in. No address may have more than a quarter of the places, so
/// that one machine's silent connections do not shut the others out.
#[derive(Debug)]
pub(super) struct HalfOpenCount {
    pub(super) places: Arc<Semaphore>,
    address_max: usize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

impl HalfOpenCount {
    pub(super) fn new(max: usize) -> Self {
        let places = Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
        Self { places, address_max: max.div_ceil(4), by_address: Mutex::default() }
    }
}

/// A connection that is logging in; gives its place back when dropped.
pub(super) struct HalfOpen {
    count: Arc<HalfOpenCount>,
    address: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl HalfOpen {
    /// Lets a connection have its place, unless its address has its part already.
    pub(super) fn take(
        count: &Arc<HalfOpenCount>,
        address: IpAddr,
        place: OwnedSemaphorePermit,
    ) -> Option<Self> {
        let mut by_address = count.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = by_address.entry(address).or_default();
        if *of_address >= count.address_max {
            return None;
        }
        *of_address += 1;
        Some(Self { count: Arc::clone(count), address, _place: place })
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let mut by_address = self.count.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut held) = by_address.entry(self.address) {
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
    while let Some(Handoff { stream, peer, group, half_open }) = incoming.recv().await {
        let (state, load) = (Rc::clone(&state), Arc::clone(&load));
        connections.spawn_local(async move {
            match Incoming::adopt(stream, peer, group, half_open) {
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
        let count = Arc::new(HalfOpenCount::new(8));
        let take = |address: IpAddr| {
            let place = Arc::clone(&count.places).try_acquire_owned().ok()?;
            HalfOpen::take(&count, address, place)
        };
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held: Vec<_> = std::iter::from_fn(|| take(one)).collect();
        assert_eq!(held.len(), 2);
        assert!(take(other).is_some());
        held.pop();
        assert!(take(one).is_some());
        drop(held);
        assert!(count.by_address.lock().unwrap().is_empty(), "nothing is kept of who has gone");
        let many = (0..=255u8).map_while(|i| take(IpAddr::from([10, 0, 1, i])));
        assert_eq!(many.collect::<Vec<_>>().len(), 8);
    }
}
