//! A session as the rest of the process sees it: its name, its counters, and what others may ask
//! of the task that drives it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use atomic_waker::AtomicWaker;
use tokio::sync::watch;

use super::backing::{Backing, Removal, Service};
use super::connection::Joining;
use super::meter::{Meter, Stopwatch, Totals};
use super::server::SessionStatus;
use crate::iscsi::login::SessionParams;
use crate::iscsi::session::{Notice, TmfFunction, tmf_response};
use crate::scsi::{Nexus, UnitId};

/// Identifies a session for reinstatement (RFC 7143 6.3.5): one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    /// Normalised target name; `None` for discovery.
    pub(super) target: Option<String>,
    pub(super) initiator: String,
    pub(super) isid: [u8; 6],
    /// Tag of the portal group: the same ISID in another one is another session (RFC 7143 4.4.3).
    pub(super) portal_group: u16,
    /// What a discovery session is about; it takes the place of no other kind (RFC 7143 7.4.2).
    pub(super) discovery: Option<Discovery>,
}

/// The last part of a discovery session's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Discovery {
    /// It names no target: the address that it came to.
    At(SocketAddr),
    /// It names a target, normalised.
    Of(String),
}

/// A session about to be made.
pub(super) struct NewSession {
    pub(super) key: SessionKey,
    /// That of the session whose connection is reinstated; 0 for a session that is new.
    pub(super) tsih: u16,
    pub(super) params: SessionParams,
    pub(super) peer: SocketAddr,
}

/// What others may ask of the task that drives a session.
pub(super) enum Order {
    /// Close the connection.
    Close(&'static str),
    /// Abort tasks.
    Abort(Abort),
    /// Tell the initiator something (RFC 7143 11.9).
    Notify(Notice),
    /// LUNs were added or taken away. To be held until no command to the latter is left.
    LunsChanged(Arc<Removal>),
    /// All sessions have done their part of a task management function.
    Managed { itt: u32, effect: Effect },
    /// The tasks of the nexuses that a PREEMPT AND ABORT has preempted are out of the way.
    Preempted(u64),
    /// An ORDERED task has taken this position in the task set of a logical unit.
    Barrier {
        unit: UnitId,
        position: u64,
        /// To be dropped when all tasks before it have ended.
        done: Arc<Signal>,
    },
    /// A connection joins the session, or takes the place of one of several.
    Join(Box<Joining>),
    /// The other sessions have ended the tasks before the ORDERED one at this position.
    BarrierReached(u64),
}

/// Which tasks to abort.
pub(super) struct Abort {
    /// All on this logical unit; `None`: on all.
    pub(super) lun: Option<u64>,
    /// To be dropped when they are out of the way.
    pub(super) done: Arc<Signal>,
}

/// What a task management function does to the logical unit when all sessions have done their part.
/// It is done when this is dropped, if not before: also if who asked for it has gone.
pub(super) struct Effect {
    pub(super) function: TmfFunction,
    pub(super) lun: u64,
    backing: Option<Arc<Backing>>,
    /// The other sessions there are.
    others: Vec<Arc<SessionEntry>>,
}

impl Effect {
    pub(super) fn new(
        function: TmfFunction,
        lun: u64,
        backing: &Arc<Backing>,
        others: Vec<Arc<SessionEntry>>,
    ) -> Self {
        Self { function, lun, backing: Some(Arc::clone(backing)), others }
    }

    /// Has it take place. Returns the response of the function.
    pub(super) fn take_place(&mut self) -> u8 {
        let Some(backing) = self.backing.take() else { return tmf_response::COMPLETE };
        let Some(Service { device, .. }) = &backing.service else { return tmf_response::COMPLETE };
        match self.function {
            TmfFunction::LogicalUnitReset if device.reset_lun(self.lun).is_err() => {
                return tmf_response::NO_LUN;
            }
            TmfFunction::TargetWarmReset | TmfFunction::TargetColdReset => device.reset_target(),
            // The session has not found it.
            TmfFunction::AbortTask => return tmf_response::NO_TASK,
            // Queries have found nothing. Who lost tasks in a cleared task set has been told. A nexus
            // is lost when its session is gone, which follows its reset.
            _ => {}
        }
        if self.function == TmfFunction::TargetColdReset {
            for session in self.others.drain(..) {
                session.order(Order::Close("the target was reset"));
            }
        }
        tmf_response::COMPLETE
    }
}

impl Drop for Effect {
    fn drop(&mut self) {
        self.take_place();
    }
}

/// Gives a session an order when the last of those who were asked for something has dropped it: has
/// done it, or has ended.
pub(super) struct Signal {
    to: Arc<SessionEntry>,
    order: Option<Order>,
}

impl Signal {
    pub(super) fn new(to: &Arc<SessionEntry>, order: Order) -> Arc<Self> {
        Arc::new(Self { to: Arc::clone(to), order: Some(order) })
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if let Some(order) = self.order.take() {
            self.to.order(order);
        }
    }
}

/// An I_T nexus of a session. It outlives a connection that is reinstated, and is lost with the
/// last session entry that holds it.
pub(super) struct Lease {
    pub(super) backing: Arc<Backing>,
    pub(super) nexus: Arc<Nexus>,
}

impl Lease {
    pub(super) fn new(backing: &Arc<Backing>, nexus: Arc<Nexus>) -> Self {
        backing.begin_use();
        Self { backing: Arc::clone(backing), nexus }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.backing.end_use();
        if let Some(service) = &self.backing.service {
            service.device.detach(&self.nexus);
        }
    }
}

/// A connection's place in its session; given back when dropped.
pub(super) struct Place {
    session: Arc<SessionEntry>,
    connection: (u16, SocketAddr),
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.session.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(i) = held.iter().position(|connection| *connection == self.connection) {
            held.swap_remove(i);
        }
    }
}

/// What a login with the TSIH of a session means to it.
pub(super) enum Entry {
    /// It takes the place of the one connection, and so of all that the session has.
    Whole,
    /// It goes on with other connections.
    Joins(Place),
    /// It has as many connections as were agreed on.
    Full,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    /// It is logged in, or on its way out.
    Live,
    /// Nothing more comes of it; what it has in the store is fenced.
    Quiet,
    /// Nothing of it is left, in the store neither.
    Ended,
}

/// A session as the rest of the process sees it.
pub(super) struct SessionEntry {
    pub(super) id: u64,
    pub(super) tsih: u16,
    pub(super) key: SessionKey,
    /// What its login settled.
    pub(super) params: SessionParams,
    pub(super) peer: SocketAddr,
    pub(super) since: SystemTime,
    pub(super) counters: Counters,
    /// How long commands take.
    pub(super) stopwatch: Stopwatch,
    meter: Mutex<Meter>,
    /// CIDs and addresses of its connections, those that are about to join included.
    connections: Mutex<Vec<(u16, SocketAddr)>>,
    lease: Mutex<Option<Arc<Lease>>>,
    /// `None` when nobody takes them any more.
    orders: Mutex<Option<Vec<Order>>>,
    waker: AtomicWaker,
    life: watch::Sender<Life>,
}

/// What a session has done so far. Only its own shard writes them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commands: AtomicU64,
    pub(super) read_commands: AtomicU64,
    pub(super) write_commands: AtomicU64,
    pub(super) read_bytes: AtomicU64,
    pub(super) written_bytes: AtomicU64,
}

impl Counters {
    fn totals(&self) -> Totals {
        Totals {
            commands: self.commands.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
        }
    }

    /// Adds without a locked instruction: there is one writer.
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }
}

impl SessionEntry {
    pub(super) fn new(id: u64, tsih: u16, new: NewSession) -> Arc<Self> {
        Arc::new(Self {
            id,
            tsih,
            key: new.key,
            params: new.params,
            peer: new.peer,
            since: SystemTime::now(),
            counters: Counters::default(),
            stopwatch: Stopwatch::default(),
            meter: Mutex::new(Meter::begin(Instant::now())),
            connections: Mutex::default(),
            lease: Mutex::default(),
            orders: Mutex::new(Some(Vec::new())),
            waker: AtomicWaker::new(),
            life: watch::Sender::new(Life::Live),
        })
    }

    /// Lets a connection have a place in a session: MaxConnections of them, and beyond that one that takes the
    /// place of another.
    pub(super) fn enter(self: &Arc<Self>, cid: u16, peer: SocketAddr) -> Entry {
        let mut held = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = held.iter().any(|(other, _)| *other == cid);
        if is_there && held.iter().all(|(other, _)| *other == cid) {
            return Entry::Whole;
        }
        if !is_there && held.len() >= usize::from(self.params.max_connections) {
            return Entry::Full;
        }
        held.push((cid, peer));
        drop(held);
        Entry::Joins(Place { session: Arc::clone(self), connection: (cid, peer) })
    }

    /// The place of the connection that makes the session.
    pub(super) fn first_place(self: &Arc<Self>, cid: u16) -> Place {
        let connection = (cid, self.peer);
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Place { session: Arc::clone(self), connection }
    }

    /// The addresses that its connections come from.
    pub(super) fn peers(&self) -> Vec<SocketAddr> {
        let held = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(self.peer).chain(held.iter().map(|(_, peer)| *peer)).collect()
    }

    /// Gives the session's task something to do.
    pub(super) fn order(&self, order: Order) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(list) = &mut *orders else {
            // It has no tasks any more. Dropping the order may give one to another session.
            drop(orders);
            return drop(order);
        };
        list.push(order);
        drop(orders);
        self.waker.wake();
    }

    /// Has the session's task look at what it has waiting.
    pub(super) fn nudge(&self) {
        self.waker.wake();
    }

    /// For the session's own task: what was ordered since.
    pub(super) fn poll_orders(&self, cx: &mut Context<'_>) -> Poll<Vec<Order>> {
        self.waker.register(cx.waker());
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *orders {
            Some(list) if !list.is_empty() => Poll::Ready(std::mem::take(list)),
            _ => Poll::Pending,
        }
    }

    /// Takes a session further on its way; with [`Life::Quiet`] nobody takes its orders any more.
    pub(super) fn advance(&self, life: Life) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(orders);
        self.life.send_if_modified(|now| std::mem::replace(now, life.max(*now)) < life);
    }

    /// Its nexus, until it ends; in no discovery session.
    pub(super) fn lease(&self) -> Option<Arc<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_lease(&self, lease: Option<Arc<Lease>>) {
        let before = {
            let mut held = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, lease)
        };
        drop(before);
    }

    /// In a discovery session nothing is sent but answers (RFC 7143 7.4.3).
    pub(super) fn is_discovery(&self) -> bool {
        self.key.discovery.is_some()
    }

    /// Whether a command that begins now is timed: one of some, so that a clock costs nothing.
    pub(super) fn start_timing(&self) -> Option<Instant> {
        Stopwatch::start(self.counters.commands.load(Ordering::Relaxed))
    }

    /// Looks at what was done since this was called last.
    pub(super) fn read_meter(&self, now: Instant) {
        let totals = self.counters.totals();
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.read(now, totals, &self.stopwatch);
    }

    /// What the control plane shows of it.
    pub(super) fn status(&self) -> SessionStatus {
        let counter = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SessionStatus {
            id: self.id,
            tsih: self.tsih,
            target: self.key.target.clone(),
            initiator: self.key.initiator.clone(),
            isid: self.key.isid,
            portal_group_tag: self.key.portal_group,
            peer: self.peer,
            since: self.since,
            commands: counter(&self.counters.commands),
            read_commands: counter(&self.counters.read_commands),
            write_commands: counter(&self.counters.write_commands),
            read_bytes: counter(&self.counters.read_bytes),
            written_bytes: counter(&self.counters.written_bytes),
            pace: self.meter.lock().unwrap_or_else(PoisonError::into_inner).pace(),
        }
    }

    /// Waits until nothing of the session can be seen to happen any more.
    pub(super) async fn has_fallen_quiet(&self) {
        self.has_reached(Life::Quiet).await;
    }

    /// Waits until nothing of the session is left, in the store neither.
    pub(super) async fn has_ended(&self) {
        self.has_reached(Life::Ended).await;
    }

    async fn has_reached(&self, life: Life) {
        let mut now = self.life.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _reached = now.wait_for(|now| *now >= life).await;
    }
}
