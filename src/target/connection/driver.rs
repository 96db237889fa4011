//! The full feature phase: one task that receives, executes and sends, in turns.
//!
//! A turn takes in what has arrived (PDUs, completions, orders), executes what is ready, submits
//! one batch to each volume and sends everything in one vectored write. The task sleeps when a
//! turn has moved nothing.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::commands::{Attached, Commands, DriverSession};
use super::login::{Connected, SessionEnds};
use super::receive::{Received, Receiver};
use super::transmit::Transmitter;
use crate::block::CompletionQueue;
use crate::iscsi::login::{Names, SessionType};
use crate::iscsi::session::{
    CloseReason, DiscoveryScope, Event, Notice, Session, TaskId, TmfFunction, tmf_response,
};
use crate::scsi::{Device, Nexus, NexusSpec};
use crate::target::backing::{Backing, Removal};
use crate::target::options::Options;
use crate::target::registry::{Lease, Order, SessionEntry};
use crate::target::shard::ShardState;

/// How long a discovery session may be silent: there is nothing to stay for.
const DISCOVERY_IDLE_MAX: Duration = Duration::from_secs(60);

/// Turns of one connection before the others on the shard have theirs.
const TURNS_MAX: usize = 8;

/// An abort that another session has asked for and that waits for tasks to end.
struct PendingAbort {
    waits_for: Vec<TaskId>,
    done: oneshot::Sender<()>,
}

/// The task of one logged-in connection.
struct Driver {
    stream: TcpStream,
    receiver: Receiver,
    transmitter: Transmitter,
    session: DriverSession,
    commands: Commands,
    queue: Arc<CompletionQueue>,
    completions: Vec<crate::block::Completion>,
    ends: SessionEnds,
    local: std::net::SocketAddr,
    aborts: Vec<PendingAbort>,
    /// Logical units that were taken away, while commands to them are left.
    removals: Vec<Arc<Removal>>,
    ping: Option<PingTimer>,
    close: Option<CloseReason>,
}

/// Drives a connection until it ends, and then on until nothing of it is left in the store.
pub(super) async fn serve(connected: Connected, shard: &ShardState) {
    let Connected { stream, local, established, ends, backing } = connected;
    let names = established.names.clone();
    let entry = Arc::clone(&ends.entry);
    let peer = entry.peer;
    let params = &established.params;
    let queue = Arc::new(CompletionQueue::new());
    let attached = backing.and_then(|backing| attach(backing, &names, &entry));
    let commands = Commands::new(attached, &shard.budget, Arc::clone(&queue));
    let options = &shard.shared.options;
    let mut driver = Driver {
        stream,
        receiver: Receiver::new(params.header_digest, params.data_digest),
        transmitter: Transmitter::new(params.header_digest, params.data_digest),
        session: Session::new(established, options.session, options.login.clone()),
        commands,
        queue,
        completions: Vec::new(),
        ends,
        local,
        aborts: Vec::new(),
        removals: Vec::new(),
        ping: PingTimer::of(options, names.session_type),
        close: None,
    };
    let session_id = entry.id;
    let target = names.target_name.as_deref().unwrap_or("(discovery)");
    let initiator = &names.initiator_name;
    if names.session_type == SessionType::Normal {
        tracing::info!(session_id, %peer, initiator, target, "logged in");
    }
    let why = std::future::poll_fn(|cx| driver.poll(cx)).await;
    let status = entry.status();
    if names.session_type == SessionType::Normal {
        tracing::info!(
            session_id,
            %peer,
            initiator,
            target,
            commands = status.commands,
            read_commands = status.read_commands,
            write_commands = status.write_commands,
            read_bytes = status.read_bytes,
            written_bytes = status.written_bytes,
            "session ended: {why}"
        );
    }
    driver.drain().await;
}

/// A nexus for the session, or that of the session which goes on with a new connection.
fn attach(backing: Arc<Backing>, names: &Names, entry: &SessionEntry) -> Option<Rc<Attached>> {
    if let Some(lease) = entry.lease() {
        return Some(Rc::new(Attached { backing, nexus: Arc::clone(&lease.nexus) }));
    }
    let initiator = &names.initiator_name;
    let isid = names.isid.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let nexus = backing.service.as_ref()?.device.attach(NexusSpec {
        initiator_name: initiator.clone(),
        initiator_port: format!("{initiator},i,0x{isid:012x}"),
        target_port: entry.key.portal_group,
    });
    let lease = Lease { backing: Arc::clone(&backing), nexus: Arc::clone(&nexus) };
    entry.set_lease(Some(Arc::new(lease)));
    Some(Rc::new(Attached { backing, nexus }))
}

/// When to ping a silent initiator, and when to give it up.
struct PingTimer {
    interval: Duration,
    timeout: Duration,
    heard: bool,
    sleep: Pin<Box<Sleep>>,
}

impl PingTimer {
    fn of(options: &Options, session_type: SessionType) -> Option<Self> {
        let interval = match session_type {
            SessionType::Normal => options.ping_interval?,
            SessionType::Discovery => DISCOVERY_IDLE_MAX,
        };
        Some(Self::new(interval, options.ping_timeout))
    }

    fn new(interval: Duration, timeout: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(interval));
        Self { interval, timeout, heard: false, sleep }
    }

    /// To be polled when there is nothing else to do.
    fn poll(&mut self, cx: &mut Context<'_>, session: &mut DriverSession) -> bool {
        let mut silent = false;
        while self.sleep.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.heard) {
                session.idle();
                silent = true;
            }
            let next = if session.awaits_ping() { self.timeout } else { self.interval };
            self.sleep.as_mut().reset(Instant::now() + next);
        }
        silent
    }
}

impl Driver {
    /// Turns until nothing moves; ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        for _ in 0..TURNS_MAX {
            match self.turn(cx) {
                Err(error) => return Poll::Ready(error.to_string()),
                Ok(progress) => {
                    if let Some(reason) = self.close.filter(|reason| self.may_close(*reason)) {
                        return Poll::Ready(reason.to_string());
                    }
                    if !progress {
                        return Poll::Pending;
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Who has asked for the end gets the answer; otherwise nobody may be there to read what is
    /// left.
    fn may_close(&self, reason: CloseReason) -> bool {
        !reason.is_answered() || self.transmitter.is_empty()
    }

    /// One turn; true if anything has moved.
    fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = self.take_orders(cx)?;
        progress |= self.take_completions(cx);
        progress |= self.receive(cx)?;
        if !progress && let Some(ping) = &mut self.ping {
            progress = ping.poll(cx, &mut self.session);
        }
        self.take_events();
        self.commands.serve_waiting(&mut self.session);
        progress |= self.commands.submit(&mut self.session);
        // What was answered at once may have let others go on.
        self.take_events();
        self.answer_aborts();
        self.removals.retain(|removal| self.commands.use_any(&removal.units));
        progress |= self.send(cx)?;
        Ok(progress)
    }

    /// Sends what there is, as far as the socket takes it; true if anything has moved.
    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while let Some(pdu) = self.session.next_pdu() {
            self.transmitter.queue(pdu);
        }
        self.transmitter.flush(&mut self.stream, cx)
    }

    fn take_orders(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Poll::Ready(orders) = self.ends.entry.poll_orders(cx) else { return Ok(false) };
        let mut close = None;
        for order in orders {
            match order {
                Order::Close(why) => close = Some(why),
                Order::Abort { lun, done } => {
                    let waits_for = self.session.abort(lun);
                    self.aborts.push(PendingAbort { waits_for, done });
                }
                Order::ManagementDone { itt, response } => {
                    self.session.management_done(itt, response);
                }
                Order::Notify(notice) => self.session.notify(notice),
                Order::LunsChanged(removal) => self.luns_changed(removal),
            }
        }
        let Some(why) = close else { return Ok(true) };
        // What was to be said before is said if the socket takes it.
        self.send(cx)?;
        Err(io::Error::other(why))
    }

    fn luns_changed(&mut self, removal: Arc<Removal>) {
        let attached = self.commands.attached();
        if let Some(service) = attached.and_then(|attached| attached.service()) {
            let (lun, sense) = service.device.luns_changed_event();
            self.session.notify(Notice::Scsi { lun, sense });
        }
        self.commands.refuse(&removal.units, &mut self.session);
        self.removals.push(removal);
    }

    fn take_completions(&mut self, cx: &mut Context<'_>) -> bool {
        if self.queue.poll_drain(cx, &mut self.completions).is_pending() {
            return false;
        }
        self.commands.completed(&mut self.completions, &mut self.session);
        true
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.session.is_closing() || self.transmitter.is_full() {
            return Ok(false);
        }
        let (stream, session) = (&mut self.stream, &mut self.session);
        let received = self.receiver.receive(stream, cx, session, &mut self.commands)?;
        match received {
            Received::Progress => {
                if let Some(ping) = &mut self.ping {
                    ping.heard = true;
                }
                Ok(true)
            }
            Received::Nothing => Ok(false),
            Received::Closed => Err(io::Error::other("closed by the initiator")),
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.session.next_event() {
            match event {
                Event::Close(reason) => self.close = Some(reason),
                Event::SendTargets(scope) => {
                    let targets = self.visible_targets(&scope);
                    self.session.send_targets(&targets);
                }
                Event::Management { itt, function, lun } => self.manage(itt, function, lun),
                Event::Command(id) => {
                    if let Some(command) = self.session.command(id) {
                        Commands::count(command, &self.ends.entry.counters);
                    }
                    self.commands.admit(id, &mut self.session);
                }
                Event::Ready(id) => self.commands.start(id, &mut self.session),
                Event::Dropped(id) => self.commands.forget(id),
            }
        }
    }

    /// The targets of a SendTargets answer: those that this initiator may log in to.
    fn visible_targets(&self, scope: &DiscoveryScope) -> Vec<(String, Vec<String>)> {
        let shared = &self.ends.shared;
        let targets = match scope {
            DiscoveryScope::All => shared.registry.targets(),
            DiscoveryScope::Named(name) => shared.registry.target(name).into_iter().collect(),
        };
        let key = &self.ends.entry.key;
        shared.visible(targets, &key.initiator, self.ends.entry.peer.ip(), self.local.ip())
    }

    /// The part of a task management function that goes beyond this session.
    fn manage(&mut self, itt: u32, function: TmfFunction, lun: u64) {
        let Some(attached) = self.commands.attached() else { return };
        let Some(service) = attached.service() else { return };
        if function == TmfFunction::QueryAsynchronousEvent
            && let Ok(Some(event)) = service.device.asynchronous_event(&attached.nexus, lun)
        {
            return self.session.management_succeeded(itt, event);
        }
        let (others, response) = effect(&service.device, &attached.nexus, function, lun);
        let sessions = match (others, &self.ends.entry.key.target) {
            (Others::None, _) | (_, None) => Vec::new(),
            (_, Some(target)) => self.ends.shared.registry.sessions_of(target),
        };
        let entry = Arc::clone(&self.ends.entry);
        let lun = matches!(others, Others::Lun).then_some(lun);
        let cold = function == TmfFunction::TargetColdReset;
        let waits = abort_others(&entry, sessions, lun, cold);
        if waits.is_empty() {
            return self.session.management_done(itt, response);
        }
        tokio::task::spawn_local(async move {
            for ended in waits {
                // An error means that the session itself has ended, and its tasks with it.
                let _ended = ended.await;
            }
            entry.order(Order::ManagementDone { itt, response });
        });
    }

    fn answer_aborts(&mut self) {
        let session = &self.session;
        let mut i = 0;
        while let Some(abort) = self.aborts.get_mut(i) {
            abort.waits_for.retain(|id| session.is_aborted(*id));
            if abort.waits_for.is_empty() {
                let abort = self.aborts.swap_remove(i);
                let _asker_gone = abort.done.send(());
            } else {
                i += 1;
            }
        }
    }

    /// After the connection: waits until the last operation in the store has ended. Only then may
    /// another session take this one's place.
    async fn drain(mut self) {
        // Fails if the initiator is gone already.
        let _gone = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
        self.session.abort(None);
        self.answer_aborts();
        loop {
            while let Some(event) = self.session.next_event() {
                if let Event::Dropped(id) = event {
                    self.commands.forget(id);
                }
            }
            self.commands.serve_waiting(&mut self.session);
            self.commands.submit(&mut self.session);
            self.answer_aborts();
            if self.session.is_idle() {
                break;
            }
            std::future::poll_fn(|cx| self.queue.poll_drain(cx, &mut self.completions)).await;
            self.commands.completed(&mut self.completions, &mut self.session);
        }
    }
}

/// Which tasks of other sessions a function is about.
#[derive(Clone, Copy)]
enum Others {
    None,
    Lun,
    All,
}

/// The logical unit's side of a function: its state, and the response to give at the end.
fn effect(device: &Device, nexus: &Arc<Nexus>, function: TmfFunction, lun: u64) -> (Others, u8) {
    let (others, found) = match function {
        TmfFunction::AbortTask
        | TmfFunction::AbortTaskSet
        | TmfFunction::QueryTask
        | TmfFunction::QueryTaskSet
        | TmfFunction::QueryAsynchronousEvent => (Others::None, device.resolve(lun)),
        // The nexus is lost when the session is gone, which follows.
        TmfFunction::ItNexusReset => return (Others::None, tmf_response::COMPLETE),
        TmfFunction::ClearTaskSet => (Others::Lun, device.task_set_cleared(nexus, lun, |_| true)),
        TmfFunction::LogicalUnitReset => (Others::Lun, device.reset_lun(lun)),
        TmfFunction::TargetWarmReset | TmfFunction::TargetColdReset => {
            device.reset_target();
            return (Others::All, tmf_response::COMPLETE);
        }
    };
    match found {
        Ok(_) => (others, tmf_response::COMPLETE),
        Err(_) => (Others::None, tmf_response::NO_LUN),
    }
}

/// Has the other sessions of the target abort; what comes back says when each has.
fn abort_others(
    own: &Arc<SessionEntry>,
    sessions: Vec<Arc<SessionEntry>>,
    lun: Option<u64>,
    cold: bool,
) -> Vec<oneshot::Receiver<()>> {
    let mut waits = Vec::new();
    for session in sessions.into_iter().filter(|session| session.id != own.id) {
        let (done, ended) = oneshot::channel();
        session.order(Order::Abort { lun, done });
        if cold {
            session.order(Order::Close("the target was reset"));
        }
        waits.push(ended);
    }
    waits
}
