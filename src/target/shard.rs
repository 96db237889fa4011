//! The threads that serve connections: each one a single-threaded runtime, each connection one
//! task on it that never moves. Nothing on a shard may block.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::budget::Budget;
use super::connection::{self, Incoming};
use super::places::Place;
use super::portal::PortalGroup;
use super::server::Shared;

/// A connection on its way to a shard, with the permission to be half open.
pub(super) struct Handoff {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// That of the portal it came in by.
    pub(super) group: Arc<PortalGroup>,
    pub(super) half_open: Place,
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

/// A connection of the shard's load, however its task ends.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
        let (state, counted) = (Rc::clone(&state), Counted(Arc::clone(&load)));
        connections.spawn_local(async move {
            let _counted = counted;
            match Incoming::adopt(stream, peer, group, half_open) {
                Ok(incoming) => connection::run(incoming, &state).await,
                Err(error) => tracing::debug!(%peer, %error, "connection lost at once"),
            }
        });
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}
