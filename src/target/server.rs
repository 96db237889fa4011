//! Portals, the acceptor and the handle by which the control plane drives the target.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::options::Options;
use super::registry::Registry;
use super::session::{Order, SessionEntry};
use super::shard::{HalfOpen, HalfOpenCount, Handoff, Shard};
use super::spec::TargetSpec;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Time between keepalive probes, and how many may stay unanswered.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// What every connection needs to know.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) registry: Registry,
    pub(super) half_open: Arc<HalfOpenCount>,
    /// Where the portals really are, once they are open.
    pub(super) portals: OnceLock<Vec<SocketAddr>>,
    /// True once the target is shutting down.
    pub(super) stopping: watch::Sender<bool>,
}

/// The running target: shards and portals. Ends with [`Server::stop`].
pub struct Server {
    shared: Arc<Shared>,
    acceptors: Vec<tokio::task::JoinHandle<()>>,
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
        let shard_count = match options.shards {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            count => count,
        };
        let shared = Arc::new(Shared {
            registry: Registry::new(options.sessions_max),
            half_open: Arc::new(HalfOpenCount::new(options.half_open_max)),
            portals: OnceLock::new(),
            stopping: watch::Sender::new(false),
            options,
        });
        let shards = (0..shard_count)
            .map(|index| Shard::start(index, Arc::clone(&shared)))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self { shared, acceptors: Vec::new(), shards: Arc::new(shards) })
    }

    /// Binds the portals, all or none, and begins to accept. Returns where they are: a port of 0
    /// is replaced by a free one. To be called once, within a tokio runtime.
    ///
    /// # Errors
    /// The first portal that cannot be opened.
    pub fn listen(&mut self, portals: &[SocketAddr]) -> Result<Vec<SocketAddr>, PortalError> {
        let open = |address| {
            let listener = bind(address)?;
            let bound = listener.local_addr()?;
            Ok((listener, bound))
        };
        let bound = portals
            .iter()
            .map(|&address| open(address).map_err(|source| PortalError { address, source }))
            .collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<_> = bound.iter().map(|(_, address)| *address).collect();
        let addresses = self.shared.portals.get_or_init(|| addresses).clone();
        self.acceptors.extend(bound.into_iter().map(|(listener, _)| {
            tokio::spawn(accept(listener, Arc::clone(&self.shared), Arc::clone(&self.shards)))
        }));
        Ok(addresses)
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
        for acceptor in self.acceptors {
            acceptor.abort();
            let _aborted = acceptor.await;
        }
        let sessions = self.shared.registry.sessions_to_the_end();
        let closed = close_all(sessions, "the target is shutting down");
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

async fn accept(listener: TcpListener, shared: Arc<Shared>, shards: Arc<Vec<Shard>>) {
    loop {
        // Beyond the limit nothing is accepted: who comes then waits, and is not turned away.
        let Ok(place) = Arc::clone(&shared.half_open.places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely; accepting at once again would spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(half_open) = HalfOpen::take(&shared.half_open, peer.ip(), place) else {
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
            shard.give(Handoff { stream, peer, half_open });
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
}

/// A logical unit as the control plane shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LunStatus {
    /// Its number.
    pub number: u8,
    /// What its WWID is made from.
    pub identity: String,
    /// Size in bytes; `None` while the volume is not open: logins are answered with "service
    /// unavailable".
    pub size_bytes: Option<u64>,
    /// Writes are refused.
    pub read_only: bool,
}

/// A session as the control plane shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

impl Handle {
    /// Adds a target, or replaces the one of that name. Sessions that the new access rules do not
    /// admit, and all of them if the LUNs or the CHAP secrets changed, lose their connection.
    pub fn publish(&self, spec: TargetSpec) {
        let registry = &self.shared.registry;
        let before = registry.target(&spec.name);
        let name = spec.name.clone();
        registry.publish(spec);
        let (Some(before), Some(after)) = (before, registry.target(&name)) else { return };
        let replaced = !Arc::ptr_eq(&before.backing, &after.backing)
            || before.access.chap != after.access.chap;
        for session in registry.sessions_of(&name) {
            if replaced {
                session.order(Order::Close("the target has changed"));
            } else if !after.access.admits(&session.key.initiator, session.peer.ip()) {
                session.order(Order::Close("the target's access rules admit it no more"));
            }
        }
    }

    /// Takes a target away, closes its sessions, and waits until nothing of theirs is on its way
    /// to the store. False if there was no such target.
    pub async fn withdraw(&self, name: &str) -> bool {
        let was_there = self.shared.registry.withdraw(name);
        close_all(self.shared.registry.sessions_of_to_the_end(name), "the target was removed")
            .await;
        was_there
    }

    /// All targets, by name.
    #[must_use]
    pub fn targets(&self) -> Vec<TargetStatus> {
        let sessions = self.shared.registry.sessions();
        let status = |target: Arc<super::registry::Target>| {
            let name = super::registry::normalised(&target.name);
            TargetStatus {
                luns: target.backing.lun_status(),
                sessions: sessions
                    .iter()
                    .filter(|session| session.key.target.as_deref() == Some(&name))
                    .count(),
                name: target.name.clone(),
            }
        };
        self.shared.registry.targets().into_iter().map(status).collect()
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

    /// `ADDRESS:PORT`s under which initiators reach the target, as seen from `local` (the address
    /// that an initiator has connected to) where the portal is bound to all addresses.
    #[must_use]
    pub fn portals(&self, local: Option<IpAddr>) -> Vec<SocketAddr> {
        self.shared.advertised(local)
    }
}

impl Shared {
    pub(super) fn advertised(&self, local: Option<IpAddr>) -> Vec<SocketAddr> {
        if !self.options.advertise.is_empty() {
            return self.options.advertise.clone();
        }
        let local = local.map(|ip| ip.to_canonical());
        self.portals
            .get()
            .into_iter()
            .flatten()
            .filter_map(|portal| match (portal.ip().is_unspecified(), local) {
                (false, _) => Some(*portal),
                (true, Some(local)) if local.is_ipv4() == portal.is_ipv4() => {
                    Some(SocketAddr::new(local, portal.port()))
                }
                (true, _) => None,
            })
            .collect()
    }
}
