//! Portals, the acceptor and the handle by which the control plane drives the target.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::background::{Look, Works};
use super::meter::SessionPace;
use super::options::Options;
use super::places::Places;
use super::portal::PortalGroup;
use super::registry::{Published, Registry, Target, normalised};
use super::session::{Order, SessionEntry};
use super::shard::{Handoff, Shard};
use super::spec::{Redirect, TargetSpec};
use crate::iscsi::session::Notice;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Time between keepalive probes, and how many may stay unanswered.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// What initiators are told when the daemon ends: a daemon that is only restarted is there again
/// within a second, and what open-iscsi waits by itself is two.
const GOING_DOWN: Notice = Notice::DropAll { time2wait: 1, time2retain: 0 };
/// How often volumes are looked at: a resize is heard of within this time, whoever made it.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// What every connection needs to know.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) registry: Registry,
    /// For connections that are logging in.
    pub(super) half_open: Arc<Places>,
    /// For discovery sessions, which anyone may have where discovery is open to all.
    pub(super) discovery: Arc<Places>,
    /// The portal groups, once they are open; their portals are where they really are.
    groups: OnceLock<Vec<Arc<PortalGroup>>>,
    /// True once the target is shutting down.
    pub(super) stopping: watch::Sender<bool>,
    pub(super) watcher: Option<Arc<dyn SessionWatcher>>,
}

/// Hears of normal sessions as they come and go. Called by the thread that serves the session, which
/// has others to serve: must return at once.
pub trait SessionWatcher: Send + Sync + 'static {
    /// A session is logged in.
    fn began(&self, session: &SessionStatus);

    /// A session is over; `why` is for people.
    fn ended(&self, session: &SessionStatus, why: &str);
}

/// The running target: shards and portals. Ends with [`Server::stop`].
pub struct Server {
    shared: Arc<Shared>,
    acceptors: Vec<tokio::task::JoinHandle<()>>,
    refresher: Option<tokio::task::JoinHandle<()>>,
    shards: Arc<Vec<Shard>>,
}

/// A cheap handle to the running target, for the control plane.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// A portal could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", hint(source))]
pub struct PortalError {
    /// The address that was configured.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program (tgtd, LIO, another stirrupd?) has this port: see `ss -ltnp`"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address: see `ip address`",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // So that [::]:3260 can stand beside 0.0.0.0:3260.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Server {
    /// Starts the shards. Nothing listens yet: targets are published through [`Server::handle`]
    /// first, so that no initiator is turned away while they are being loaded.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn start(options: Options) -> io::Result<Self> {
        Self::start_watched(options, None)
    }

    /// As [`Server::start`], with somebody who hears of sessions.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_watched(
        options: Options,
        watcher: Option<Arc<dyn SessionWatcher>>,
    ) -> io::Result<Self> {
        let shard_count = match options.shards {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            count => count,
        };
        let shared = Arc::new(Shared {
            registry: Registry::new(options.sessions_max),
            half_open: Places::new(options.half_open_max),
            discovery: Places::new(options.discovery_max),
            groups: OnceLock::new(),
            stopping: watch::Sender::new(false),
            watcher,
            options,
        });
        let shards = (0..shard_count)
            .map(|index| Shard::start(index, Arc::clone(&shared)))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self { shared, acceptors: Vec::new(), refresher: None, shards: Arc::new(shards) })
    }

    /// As [`Server::listen_in`], with one portal group of tag 1 that is open to all; where its
    /// portals are.
    ///
    /// # Errors
    /// The first portal that cannot be opened.
    pub fn listen(&mut self, portals: &[SocketAddr]) -> Result<Vec<SocketAddr>, PortalError> {
        let groups = self.listen_in(vec![PortalGroup::open(1, portals)])?;
        Ok(groups.iter().flat_map(|group| group.portals.clone()).collect())
    }

    /// Binds the portals of all groups, all or none, and begins to accept. Returns the groups with
    /// their portals where they are: a port of 0 is replaced by a free one. To be called once,
    /// within a tokio runtime.
    ///
    /// # Errors
    /// The first portal that cannot be opened.
    pub fn listen_in(
        &mut self,
        groups: Vec<PortalGroup>,
    ) -> Result<Vec<Arc<PortalGroup>>, PortalError> {
        let open = |&address: &SocketAddr| {
            let bound = bind(address).and_then(|listener| {
                let address = listener.local_addr()?;
                Ok((listener, address))
            });
            bound.map_err(|source| PortalError { address, source })
        };
        let mut listeners = Vec::new();
        let mut opened = Vec::new();
        for mut group in groups {
            if let Some(chap) = &group.discovery_chap {
                chap.warn_if_short();
            }
            let bound = group.portals.iter().map(open).collect::<Result<Vec<_>, _>>()?;
            group.portals = bound.iter().map(|(_, address)| *address).collect();
            let group = Arc::new(group);
            listeners.extend(bound.into_iter().map(|(l, _)| (l, Arc::clone(&group))));
            opened.push(group);
        }
        let opened = self.shared.groups.get_or_init(|| opened).clone();
        self.refresher = Some(tokio::spawn(refresh(Arc::clone(&self.shared))));
        self.acceptors.extend(listeners.into_iter().map(|(listener, group)| {
            let (shared, shards) = (Arc::clone(&self.shared), Arc::clone(&self.shards));
            tokio::spawn(accept(listener, group, shared, shards))
        }));
        Ok(opened)
    }

    /// A handle for the control plane.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Stops accepting, closes every session and waits until what they had in the stores is
    /// done. False if that took longer than `patience` (a store hangs): then the shards go on
    /// until the process ends.
    #[must_use]
    pub async fn stop(self, patience: Duration) -> bool {
        self.shared.stopping.send_replace(true);
        for task in self.acceptors.into_iter().chain(self.refresher) {
            task.abort();
            let _aborted = task.await;
        }
        let sessions = self.shared.registry.sessions_to_the_end();
        for session in sessions.iter().filter(|session| !session.is_discovery()) {
            session.order(Order::Notify(GOING_DOWN));
        }
        let works = self.shared.registry.close_works();
        let closed = async {
            close_all(sessions, "the target is shutting down").await;
            all_ended(works).await;
        };
        if tokio::time::timeout(patience, closed).await.is_err() {
            // To drop a shard is to wait for its connections.
            std::mem::forget(self.shards);
            return false;
        }
        // Joining the threads blocks, for as long as half-open logins take to notice.
        if let Some(shards) = Arc::into_inner(self.shards) {
            let _joined = tokio::task::spawn_blocking(move || drop(shards)).await;
        }
        true
    }
}

/// Closes sessions and waits until nothing is left of them.
async fn close_all(sessions: Vec<Arc<SessionEntry>>, why: &'static str) {
    for session in &sessions {
        session.order(Order::Close(why));
    }
    for session in &sessions {
        session.has_ended().await;
    }
}

/// Waits until nothing goes on in the background any more.
async fn all_ended(works: Vec<Arc<Works>>) {
    for works in works {
        works.ended().await;
    }
}

/// Looks at what goes on, once a second: at the sessions' meters, and at the volumes.
///
/// Asks volumes what they are like, rather than have them tell: that would be a callback through
/// everything that wraps a volume, and a thousand answers a second are nothing.
async fn refresh(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(REFRESH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let shared = Arc::clone(&shared);
        // A file system may hang; and one target after the other is enough.
        let looks = tokio::task::spawn_blocking(move || {
            let registry = &shared.registry;
            registry.read_meters(Instant::now());
            registry
                .names()
                .iter()
                .filter_map(|name| registry.look_at(name))
                .for_each(Look::refresh);
        });
        let _cancelled_at_the_end = looks.await;
    }
}

async fn accept(
    listener: TcpListener,
    group: Arc<PortalGroup>,
    shared: Arc<Shared>,
    shards: Arc<Vec<Shard>>,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely; accepting at once again would spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Beyond the limit no more are accepted: who comes then waits, and is not turned away.
        let Some(half_open) = shared.half_open.wait(peer.ip()).await else {
            tracing::debug!(%peer, "too many connections of this address are logging in: closed");
            continue;
        };
        let stream = match stream.into_std().and_then(|stream| {
            prepare(&stream, shared.options.keepalive_idle)?;
            Ok(stream)
        }) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%peer, %error, "connection lost at once");
                continue;
            }
        };
        if let Some(shard) = shards.iter().min_by_key(|shard| shard.load()) {
            shard.give(Handoff { stream, peer, group: Arc::clone(&group), half_open });
        }
    }
}

fn prepare(stream: &std::net::TcpStream, idle: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    // Data that nobody acknowledges ends a connection, with keepalive probes or without.
    let patience = idle.unwrap_or(KEEPALIVE_INTERVAL) + KEEPALIVE_INTERVAL * KEEPALIVE_RETRIES;
    socket.set_tcp_user_timeout(Some(patience))?;
    let Some(idle) = idle else { return Ok(()) };
    let keepalive = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)
}

/// A target as the control plane shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// Its logical units.
    pub luns: Vec<LunStatus>,
    /// Sessions that are logged in to it.
    pub sessions: usize,
    /// Tags of the portal groups in which it is offered; empty: all.
    pub portal_groups: Vec<u16>,
    /// Where new logins are sent to.
    pub moved: Option<Redirect>,
}

/// A logical unit as the control plane shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LunStatus {
    /// Its number.
    pub number: u16,
    /// What its WWID is made from.
    pub identity: String,
    /// Size in bytes; `None` while the volume is not open: logins are answered with "service
    /// unavailable".
    pub size_bytes: Option<u64>,
    /// Writes are refused.
    pub read_only: bool,
}

/// A session as the control plane shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStatus {
    /// Unique in the life of the daemon.
    pub id: u64,
    /// Target session identifying handle.
    pub tsih: u16,
    /// The target's name; `None` for a discovery session.
    pub target: Option<String>,
    /// The initiator's name.
    pub initiator: String,
    /// Initiator session identifier.
    pub isid: [u8; 6],
    /// Tag of the portal group that it came in by.
    pub portal_group_tag: u16,
    /// Where the initiator is.
    pub peer: SocketAddr,
    /// When it logged in.
    pub since: SystemTime,
    /// SCSI commands so far.
    pub commands: u64,
    /// Of these, commands that brought data to the initiator.
    pub read_commands: u64,
    /// Of these, commands that took data from the initiator.
    pub write_commands: u64,
    /// Bytes sent to the initiator.
    pub read_bytes: u64,
    /// Bytes taken from the initiator.
    pub written_bytes: u64,
    /// What it does at the moment.
    pub pace: SessionPace,
}

impl Handle {
    /// Adds a target, or replaces the one of that name.
    ///
    /// Its sessions go on, and hear of LUNs that were added or taken away (REPORTED LUNS DATA HAS
    /// CHANGED); the volume of one taken away is let go when the last command to it has ended.
    /// They lose their connection if the new access rules do not admit them, and all of them if
    /// the CHAP secrets changed, if there is another volume, identity, block length or write
    /// protection under the number of a LUN, or if the LUNs changed and a volume is `None`.
    pub fn publish(&self, spec: TargetSpec) {
        if let Some(chap) = &spec.access.chap {
            chap.warn_if_short();
        }
        let registry = &self.shared.registry;
        let Published { target, replaced, removal } = registry.publish(spec);
        for session in registry.sessions_of(&target.name) {
            if let Some(removal) = &removal {
                session.order(Order::LunsChanged(Arc::clone(removal)));
            }
            if replaced {
                session.order(Order::Close("the target has changed"));
            } else if !target.admits(&session) {
                session.order(Order::Close("the target's access rules admit it no more"));
            }
        }
    }

    /// Takes a target away, closes its sessions, and waits until nothing of theirs is on its way
    /// to the store. False if there was no such target.
    pub async fn withdraw(&self, name: &str) -> bool {
        let registry = &self.shared.registry;
        let was_there = registry.withdraw(name);
        // That of an earlier call, too, which may still wait.
        let works = registry.closed_works(Some(name));
        close_all(registry.sessions_of_to_the_end(name), "the target was removed").await;
        all_ended(works).await;
        was_there
    }

    /// Looks at the volumes of a target: initiators hear of what has changed (CAPACITY DATA HAS
    /// CHANGED). It happens by itself within a second; this is for who has just resized one.
    /// False if there is no such target.
    pub async fn refresh(&self, name: &str) -> bool {
        let Some(look) = self.shared.registry.look_at(name) else { return false };
        tokio::task::spawn_blocking(|| look.refresh()).await.is_ok()
    }

    /// All targets, by name.
    #[must_use]
    pub fn targets(&self) -> Vec<TargetStatus> {
        let sessions = self.shared.registry.session_counts();
        let status = |target: Arc<Target>| {
            let name = normalised(&target.name);
            TargetStatus {
                luns: target.backing.lun_status(),
                sessions: sessions.get(&name).copied().unwrap_or(0),
                name: target.name.clone(),
                portal_groups: target.access.portal_groups.clone(),
                moved: target.access.moved.clone(),
            }
        };
        self.shared.registry.targets().into_iter().map(status).collect()
    }

    /// How many sessions a target has.
    #[must_use]
    pub fn session_count(&self, name: &str) -> usize {
        self.shared.registry.sessions_of(name).len()
    }

    /// All sessions, oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionStatus> {
        self.shared.registry.sessions().iter().map(|session| session.status()).collect()
    }

    /// Has a session closed; it goes on until the last of its commands has left the store. False
    /// if there is none of that id.
    #[must_use]
    pub fn kill_session(&self, id: u64) -> bool {
        let sessions = self.shared.registry.sessions();
        let Some(session) = sessions.into_iter().find(|session| session.id == id) else {
            return false;
        };
        session.order(Order::Close("closed by the operator"));
        true
    }

    /// Closes all sessions of a target and waits for their end; they may log in again.
    pub async fn disconnect(&self, name: &str) {
        close_all(self.shared.registry.sessions_of_to_the_end(name), "closed by the control plane")
            .await;
    }

    /// Asks the initiator of a session to log out, and closes the session if it is still there
    /// after `patience` (whole seconds, at most 65535). False if there is none of that id. To be
    /// called within a tokio runtime.
    #[must_use]
    pub fn request_logout(&self, id: u64, patience: Duration) -> bool {
        let mut sessions = self.shared.registry.sessions();
        sessions.retain(|session| session.id == id);
        request_logout(sessions, patience) > 0
    }

    /// As [`Handle::request_logout`] for all sessions of a target: how many those are; `None` if
    /// there is no such target. Initiators that come back are admitted, unless the target has
    /// moved or its rules say otherwise.
    #[must_use]
    pub fn drain(&self, name: &str, patience: Duration) -> Option<usize> {
        self.shared.registry.target(name)?;
        Some(request_logout(self.shared.registry.sessions_of(name), patience))
    }

    /// Where initiators reach the targets, with the tag of the portal group, as seen from `local`
    /// (the address that an initiator has connected to) where a portal is bound to all addresses.
    #[must_use]
    pub fn portals(&self, local: Option<IpAddr>) -> Vec<(SocketAddr, u16)> {
        let reached = |group: &Arc<PortalGroup>| {
            let tag = group.tag;
            group.reached_at(local).into_iter().map(move |address| (address, tag))
        };
        self.shared.groups().iter().flat_map(reached).collect()
    }
}

fn request_logout(sessions: Vec<Arc<SessionEntry>>, patience: Duration) -> usize {
    let count = sessions.len();
    let seconds = u16::try_from(patience.as_secs()).unwrap_or(u16::MAX);
    for session in sessions {
        if session.is_discovery() {
            // RFC 7143 7.4.3.
            session.order(Order::Close("closed by the operator"));
            continue;
        }
        session.order(Order::Notify(Notice::LogoutRequest { seconds }));
        tokio::spawn(async move {
            let patience = Duration::from_secs(seconds.into());
            if tokio::time::timeout(patience, session.has_ended()).await.is_err() {
                session.order(Order::Close("the initiator did not log out as it was asked to"));
            }
        });
    }
    count
}

impl Shared {
    /// The SCSI target ports of a target: the tags of the portal groups in which it is offered.
    pub(super) fn target_ports(&self, target: &Target) -> Vec<u16> {
        let tags = self.groups().iter().map(|group| group.tag);
        tags.filter(|tag| target.access.is_offered_in(*tag)).collect()
    }

    fn groups(&self) -> &[Arc<PortalGroup>] {
        self.groups.get().map_or(&[], Vec::as_slice)
    }

    /// Those of `targets` that an initiator may log in to, each with the addresses of the portal
    /// groups where it may (`address:port,portal-group-tag`). `local` is the address that the
    /// initiator has connected to.
    pub(super) fn visible(
        &self,
        targets: Vec<Arc<Target>>,
        initiator: &str,
        peer: IpAddr,
        local: IpAddr,
    ) -> Vec<(String, Vec<String>)> {
        let groups: Vec<(u16, Vec<String>)> = self
            .groups()
            .iter()
            .filter(|group| group.admits(initiator, peer))
            .map(|group| {
                let reached = group.reached_at(Some(local)).into_iter();
                (group.tag, reached.map(|portal| format!("{portal},{}", group.tag)).collect())
            })
            .collect();
        let mut visible = Vec::new();
        for target in targets {
            let offered = groups.iter().filter(|(tag, _)| target.access.is_offered_in(*tag));
            let addresses: Vec<_> = offered.flat_map(|(_, portals)| portals.clone()).collect();
            if !addresses.is_empty() && target.access.admits(initiator, peer) {
                visible.push((target.name.clone(), addresses));
            }
        }
        visible
    }
}
