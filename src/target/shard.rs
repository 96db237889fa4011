//! The threads that serve connections: each one a single-threaded runtime, each connection one
//! task on it that never moves. Nothing on a shard may block.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
        let runtime =
            runtime::Builder::new_current_thread().enable_all().on_thread_park(take_nap).build()?;
        // Unbounded, but each connection in it holds one of a limited number of permissions.
        let (connections, incoming) = mpsc::unbounded_channel();
        let load = Arc::new(AtomicUsize::new(0));
        let thread_load = Arc::clone(&load);
        let thread =
            std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                // Naps last as long as was asked for. Where that cannot be had, a little longer.
                let _refused = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
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
    pub(super) turns: Rc<Turns>,
}

/// Which of a shard's sessions had something to do last.
#[derive(Default)]
pub(super) struct Turns {
    last: Cell<u64>,
    /// When it was another one's turn.
    changed: Cell<Option<Instant>>,
}

/// For so long a session may have more to do that had something to do.
const LATELY: Duration = Duration::from_millis(1);

impl Turns {
    /// This session had something to do.
    pub(super) fn note(&self, session: u64, now: Instant) {
        if self.last.replace(session) != session {
            self.changed.set(Some(now));
        }
    }

    /// True if no other session had anything to do since this one.
    pub(super) fn was_last(&self, session: u64) -> bool {
        self.last.get() == session
    }

    /// True if no other session had anything to do lately.
    pub(super) fn was_alone(&self, session: u64, now: Instant) -> bool {
        let lately = |then| now.saturating_duration_since(then) < LATELY;
        self.was_last(session) && !self.changed.get().is_some_and(lately)
    }
}

thread_local! {
    static NAP: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Has the shard of this thread sleep so long before it asks the kernel what there is to do. What the
/// last session to ask wants counts, and one that has more to do wants none. (It may have been woken
/// from elsewhere in this very moment: that waits for a nap at most.)
pub(super) fn nap(length: Duration) {
    NAP.set(length);
}

/// The one exception from the rule that nothing blocks a shard.
fn take_nap() {
    let length = NAP.take();
    if !length.is_zero() {
        std::thread::sleep(length);
    }
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
    let state = Rc::new(ShardState { shared, budget, turns: Rc::default() });
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
