//! The full feature phase: one task for each session that receives, executes and sends, in turns.
//!
//! A turn takes in what has arrived (PDUs, completions, orders), executes what is ready, submits
//! one batch to each volume and sends everything in one vectored write. The task sleeps when a
//! turn has moved nothing.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::commands::{Attached, Commands, DriverSession};
use super::link::{Link, PingTimer};
use super::login::{Connected, SessionEnds};
use super::pause::{Moment, Pause, Pauses};
use crate::block::CompletionQueue;
use crate::iscsi::login::{Established, SessionType};
use crate::iscsi::session::{ConnectionId, DiscoveryScope, Event, Notice, Session};
use crate::scsi::NexusSpec;
use crate::target::backing::{Backing, Removal};
use crate::target::session::{Lease, Order, SessionEntry, Signal};
use crate::target::shard::{self, ShardState, Turns};

/// Turns of one session before the others on the shard have theirs.
const TURNS_MAX: usize = 8;

/// The task of one session.
pub(super) struct Driver {
    /// Its connections; mostly one.
    pub(super) links: Vec<Link>,
    pub(super) session: DriverSession,
    pub(super) commands: Commands,
    queue: Arc<CompletionQueue>,
    completions: Vec<crate::block::Completion>,
    local: std::net::SocketAddr,
    /// Aborts that others have asked for, until this turn's events are taken.
    pub(super) done: Vec<Arc<Signal>>,
    /// Logical units that were taken away, while commands to them are left.
    removals: Vec<Arc<Removal>>,
    /// Why the last connection ended that did so.
    pub(super) why: Option<String>,
    pauses: Pauses,
    turns: Rc<Turns>,
    /// The last to be dropped: who waits for the end of the session relies on its volumes having
    /// been let go.
    pub(super) ends: SessionEnds,
}

/// Ends the process if it is dropped by a panic: what a session that cannot be wound up has in the
/// store is not known any more, and a start finds out.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a session could not be wound up: the daemon has to start anew");
            std::process::abort();
        }
    }
}

/// Drives a session until it ends, and then on until nothing of it is left in the store.
pub(super) async fn serve(connected: Connected, shard: &ShardState) {
    let Connected { stream, local, established, ends, place, backing } = connected;
    let names = established.names.clone();
    let entry = Arc::clone(&ends.entry);
    let peer = entry.peer;
    let params = &established.params;
    let queue = Arc::new(CompletionQueue::new());
    let attached = backing.and_then(|backing| attach(backing, &established, &entry, shard));
    let options = &shard.shared.options;
    let commands = Commands::new(attached, &shard.budget, Arc::clone(&queue), options.data_timeout);
    let ping = PingTimer::of(options, names.session_type);
    let link = Link::new(ConnectionId::first(), stream, params, ping, place);
    let mut driver = Driver {
        links: vec![link],
        session: Session::new(established, options.session, options.login.clone()),
        commands,
        queue,
        completions: Vec::new(),
        local,
        done: Vec::new(),
        removals: Vec::new(),
        why: None,
        pauses: Pauses::new(options.look_max, options.nap_max),
        turns: Rc::clone(&shard.turns),
        ends,
    };
    let session_id = entry.id;
    let target = names.target_name.as_deref().unwrap_or("(discovery)");
    let initiator = &names.initiator_name;
    if names.session_type == SessionType::Normal {
        tracing::info!(session_id, %peer, initiator, target, "logged in");
        if let Some(watcher) = &shard.shared.watcher {
            watcher.began(&entry.status());
        }
    }
    let over = std::future::poll_fn(|cx| driver.poll_contained(cx));
    let why = match names.session_type {
        SessionType::Normal => over.await,
        // Any byte would keep one open, an answer that is not fetched too, and who opens them has
        // shown nothing where discovery is open to all.
        SessionType::Discovery => tokio::time::timeout(options.discovery_lifetime, over)
            .await
            .unwrap_or_else(|_elapsed| "a discovery session has had its time".to_owned()),
    };
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
        if let Some(watcher) = &shard.shared.watcher {
            watcher.ended(&status, &why);
        }
    }
    driver.wind_up().await;
}

/// A nexus for the session, or that of the session which goes on with a new connection.
fn attach(
    backing: Arc<Backing>,
    established: &Established,
    entry: &Arc<SessionEntry>,
    shard: &ShardState,
) -> Option<Rc<Attached>> {
    let service = backing.service.as_ref()?;
    let nexus = match entry.lease() {
        Some(lease) => Arc::clone(&lease.nexus),
        None => {
            let nexus = service.device.attach(nexus_spec(established, entry, shard));
            let lease = Lease::new(&backing, Arc::clone(&nexus));
            entry.set_lease(Some(Arc::new(lease)));
            nexus
        }
    };
    service.task_sets.join(entry);
    Some(Rc::new(Attached { backing, nexus, entry: Arc::clone(entry) }))
}

fn nexus_spec(established: &Established, entry: &SessionEntry, shard: &ShardState) -> NexusSpec {
    let (names, initiator) = (&established.names, &established.names.initiator_name);
    let isid = names.isid.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let shared = &shard.shared;
    let target = entry.key.target.as_deref().and_then(|name| shared.registry.target(name));
    NexusSpec {
        initiator_name: initiator.clone(),
        initiator_port: format!("{initiator},i,0x{isid:012x}"),
        target_port: entry.key.portal_group,
        target_ports: target.map_or_else(Vec::new, |target| shared.target_ports(&target)),
        protocol_level: established.params.protocol_level,
    }
}

impl Driver {
    /// As [`Self::poll`]. A panic ends the session in the way of any failure, so that nothing of it
    /// stays behind; the others go on.
    fn poll_contained(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        catch_unwind(AssertUnwindSafe(|| self.poll(cx))).unwrap_or_else(|_panic| {
            // Where and why is said by the panic itself.
            let session_id = self.ends.entry.id;
            tracing::error!(session_id, "a defect in this program has ended a session");
            Poll::Ready("a defect in this program".to_owned())
        })
    }

    /// Turns until nothing moves; ready when the session is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        for _ in 0..TURNS_MAX {
            match self.turn(cx) {
                Err(error) => return Poll::Ready(error.to_string()),
                Ok(progress) => {
                    if progress && self.pauses.is_paused() {
                        let moment = self.moment();
                        self.pauses.ended(&moment);
                    }
                    let links = self.links.len();
                    if let Some(reason) = self.reap() {
                        return Poll::Ready(reason);
                    }
                    if !progress && self.links.len() == links {
                        self.pause(cx);
                        return Poll::Pending;
                    }
                }
            }
        }
        // What another session wanted was meant for a shard that has nothing to do.
        shard::nap(Duration::ZERO);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Nothing moves: the task is polled when something does, or again at once.
    fn pause(&mut self, cx: &mut Context<'_>) {
        let begins = !self.pauses.is_paused();
        let moment = self.moment();
        if begins {
            self.turns.note(self.ends.entry.id, moment.now);
        }
        let mut nap = Duration::ZERO;
        match self.pauses.next(&moment) {
            Pause::Look => {
                // Not by its waker, which would leave the runtime no time to ask the kernel.
                let again = pin!(tokio::task::yield_now());
                let _pending = again.poll(cx);
            }
            Pause::Nap(length) => nap = length,
            Pause::Sleep => {}
        }
        shard::nap(nap);
    }

    fn moment(&self) -> Moment {
        let (now, id) = (Instant::now(), self.ends.entry.id);
        Moment {
            now,
            commands: self.ends.entry.counters.commands.load(Ordering::Relaxed),
            unseen: self.session.unseen_answers(),
            is_waiting: self.commands.are_waiting(),
            alone: self.turns.was_last(id),
            long_alone: self.turns.was_alone(id, now),
        }
    }

    /// One turn; true if anything has moved.
    fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = self.take_orders(cx)?;
        progress |= self.take_completions(cx);
        progress |= self.receive(cx)?;
        if !progress {
            progress = self.ping(cx);
        }
        self.take_events();
        // What others wanted to be aborted is out of the way now.
        self.done.clear();
        progress |= self.commands.end_overdue(cx, &mut self.session);
        progress |= self.commands.wake_dormant(&mut self.session);
        self.commands.serve_waiting(&mut self.session);
        progress |= self.commands.submit(&mut self.session);
        // What was answered at once may have let others go on.
        self.take_events();
        self.preempt();
        self.removals.retain(|removal| self.commands.use_any(&removal.units));
        progress |= self.send(cx)?;
        progress |= self.commands.give_back_spare(&mut self.session, cx);
        Ok(progress)
    }

    fn take_orders(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Poll::Ready(orders) = self.ends.entry.poll_orders(cx) else { return Ok(false) };
        let mut close = None;
        for order in orders {
            match order {
                Order::Close(why) => close = Some(why),
                Order::Abort(abort) => self.abort(abort),
                Order::Managed { itt, effect } => self.managed(itt, effect),
                Order::Preempted(number) => self.commands.preempted(number, &mut self.session),
                Order::Barrier { unit, position, done } => {
                    self.commands.barrier(unit, position, done);
                }
                Order::BarrierReached(position) => self.commands.others_done(position),
                Order::Notify(notice) => self.session.notify(notice),
                Order::LunsChanged(removal) => self.luns_changed(removal),
                Order::Join(joining) => self.join(*joining),
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
        // One by one: what a panic leaves is still there for the end of the session.
        self.completions.reverse();
        while let Some(completion) = self.completions.pop() {
            self.commands.completed(completion, &mut self.session);
        }
        true
    }

    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.session.next_event() {
            match event {
                Event::Close(id, reason) => self.close(id, reason),
                Event::SendTargets(scope) => {
                    let targets = self.visible_targets(&scope);
                    self.session.send_targets(&targets);
                }
                Event::Management { itt, function, lun } => self.manage(itt, function, lun),
                Event::Command(id) => {
                    if let Some(command) = self.session.command(id) {
                        Commands::count(command, &self.ends.entry.counters);
                    }
                    self.commands.arrive(id, &mut self.session);
                }
                Event::Cleared { lun } => self.tasks_cleared(lun),
                Event::Ready(id) => self.commands.start(id, &mut self.session),
                Event::Dropped(id) => {
                    self.forget_data_of(id);
                    self.commands.forget(id);
                }
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

    /// After the connection: what has not been executed is dropped, what a volume has is fenced,
    /// and with that the session is quiet: another one may take its place. Then waits until the
    /// last operation in the store has ended, and only then is it over.
    async fn wind_up(mut self) {
        let _last_resort = AbortOnPanic;
        // The reservation has changed hands already: whose tasks are to end for it is owed that.
        self.preempt();
        self.session.abort(None);
        while let Some(event) = self.session.next_event() {
            if let Event::Dropped(id) = event {
                self.commands.forget(id);
            }
        }
        // Last, so that who sees the end of the connection can rely on it.
        self.shut_down();
        let Self { session, done, .. } = self;
        let Self { mut commands, mut completions, queue, removals, ends, .. } = self;
        // While it drains, only what the store still has is kept.
        drop((session, done));
        if let Some(attached) = commands.attached()
            && let Some(service) = attached.service()
        {
            service.task_sets.leave(&ends.entry);
        }
        ends.shared.registry.fell_quiet(&ends.entry);
        commands.drained(&mut completions);
        completions = commands.take_unseen();
        commands.drained(&mut completions);
        while commands.is_draining() {
            std::future::poll_fn(|cx| queue.poll_drain(cx, &mut completions)).await;
            commands.drained(&mut completions);
        }
        // In this order: who waits for the end finds the volumes let go.
        drop((commands, removals));
        drop(ends);
    }
}
