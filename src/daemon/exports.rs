//! The data path as the catalog and the control socket know it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use zeroize::Zeroizing;

use crate::cache::Cache;
use crate::catalog::{self, Allowed, Export, ExportError, Exporter};
use crate::control::{
    CacheCounts, DataPath, Events, LatencyInfo, LunInfo, PortalInfo, SessionInfo, TargetInfo,
};
use crate::scsi;
use crate::target::{
    Access, Chap, Handle, Initiators, Lun, LunStatus, Redirect, SessionStatus, SessionWatcher,
    TargetSpec, TargetStatus,
};

/// How long the sessions of a target may take to end. What they have in the store has to end
/// first, and a store may hang.
const SESSIONS_END_WAIT: Duration = Duration::from_secs(30);
/// Logical block length of exported disks: what boot firmware expects.
const BLOCK_BYTES: u32 = 512;

/// Joins the rooms.
pub(super) struct Exports {
    handle: Handle,
    runtime: runtime::Handle,
    cache: Option<Arc<Cache>>,
    events: Events,
}

/// Tells of sessions.
pub(super) struct Sessions(pub(super) Events);

impl SessionWatcher for Sessions {
    fn began(&self, session: &SessionStatus) {
        self.0.session_began(session_info(session.clone()));
    }

    fn ended(&self, session: &SessionStatus, why: &str) {
        self.0.session_ended(session_info(session.clone()), why);
    }
}

impl Exports {
    pub(super) fn new(handle: Handle, cache: Option<Arc<Cache>>, events: Events) -> Self {
        Self { handle, runtime: runtime::Handle::current(), cache, events }
    }

    /// Waits for the end of sessions, for a bounded time. Called from blocking threads.
    fn wait(&self, what: &str, sessions_end: impl Future) -> Result<(), ExportError> {
        let timeout = async { tokio::time::timeout(SESSIONS_END_WAIT, sessions_end).await };
        self.runtime.block_on(timeout).map(|_| ()).map_err(|_elapsed| {
            ExportError(format!(
                "sessions of {what} have commands in the store that do not end; try again later"
            ))
        })
    }
}

impl Exporter for Exports {
    fn publish(&self, export: Export) -> Result<(), ExportError> {
        let target = export.target.clone();
        let (project, disk) = (export.project.clone(), export.disk.clone());
        let serving = export.volume.is_some();
        self.handle.publish(spec(export));
        self.events.target_published(&target, project.as_str(), disk.as_str(), serving);
        Ok(())
    }

    fn withdraw(&self, target: &str) -> Result<(), ExportError> {
        self.wait(target, self.handle.withdraw(target))?;
        self.events.target_withdrawn(target);
        Ok(())
    }

    fn failed(&self, target: &str, why: &str) {
        self.events.target_failed(target, why);
    }

    fn sessions(&self, target: &str) -> usize {
        self.handle.session_count(target)
    }

    fn disconnect(&self, target: &str) -> Result<(), ExportError> {
        self.wait(target, self.handle.disconnect(target))
    }
}

fn spec(export: Export) -> TargetSpec {
    let initiators = match export.allowed {
        Allowed::Anyone => Initiators::Any,
        Allowed::Initiators(names) => Initiators::Listed(names),
        Allowed::Nobody => Initiators::Listed(Vec::new()),
    };
    let networks = export.networks.iter().map(|network| (network.address, network.prefix));
    TargetSpec {
        name: export.target,
        luns: vec![Lun {
            number: export.lun,
            volume: export.volume,
            identity: export.identity,
            block_bytes: BLOCK_BYTES,
            read_only: export.read_only,
            limits: export.limits,
        }],
        access: Access {
            initiators,
            addresses: networks.collect(),
            chap: export.chap.as_ref().map(chap),
            portal_groups: export.portal_groups,
            moved: export
                .moved
                .map(|moved| Redirect { address: moved.address, permanently: moved.permanently }),
            paused: export.paused,
        },
    }
}

fn chap(chap: &catalog::Chap) -> Chap {
    let secret = |secret: &catalog::Secret| Zeroizing::new(secret.expose().to_owned());
    Chap {
        user: chap.user.clone(),
        secret: secret(&chap.secret),
        mutual: chap.mutual.as_ref().map(|(user, other)| (user.clone(), secret(other))),
    }
}

impl DataPath for Exports {
    fn cache(&self) -> Option<CacheCounts> {
        let stats = self.cache.as_ref()?.stats();
        Some(CacheCounts {
            golden_hits: stats.golden.hits,
            golden_misses: stats.golden.misses,
            golden_bytes: stats.golden.bytes,
            file_hits: stats.file_hits,
            file_bytes: stats.file_bytes,
            disk_hits: stats.disks.hits,
            disk_misses: stats.disks.misses,
            disk_bytes: stats.disks.bytes,
        })
    }

    fn portals(&self) -> Vec<PortalInfo> {
        let families = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let mut found: Vec<(SocketAddr, u16)> = Vec::new();
        for family in families {
            for portal in self.handle.portals(outward_address(family)) {
                if !found.contains(&portal) {
                    found.push(portal);
                }
            }
        }
        found.into_iter().map(|(address, tpgt)| PortalInfo { address, tpgt }).collect()
    }

    fn targets(&self) -> Vec<TargetInfo> {
        let lun = |lun: LunStatus| LunInfo {
            number: lun.number,
            identity: lun.identity,
            size_bytes: lun.size_bytes,
            read_only: lun.read_only,
        };
        let info = |target: TargetStatus| TargetInfo {
            name: target.name,
            luns: target.luns.into_iter().map(lun).collect(),
            sessions: target.sessions as u64,
            portal_groups: target.portal_groups,
            moved: target.moved.map(|moved| (moved.address, moved.permanently)),
        };
        self.handle.targets().into_iter().map(info).collect()
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        self.handle.sessions().into_iter().map(session_info).collect()
    }

    fn kill_session(&self, id: u64) -> bool {
        self.handle.kill_session(id)
    }

    fn request_logout(&self, id: u64, patience: Duration) -> bool {
        self.handle.request_logout(id, patience)
    }

    fn drain(&self, target: &str, patience: Duration) -> Option<u64> {
        self.handle.drain(target, patience).map(|sessions| sessions as u64)
    }

    fn wwid(&self, identity: &str) -> String {
        scsi::wwid(identity)
    }
}

fn session_info(session: SessionStatus) -> SessionInfo {
    SessionInfo {
        id: session.id,
        target: session.target,
        initiator: session.initiator,
        isid: session.isid,
        tpgt: session.portal_group_tag,
        address: session.peer,
        since: jiff::Timestamp::try_from(session.since).unwrap_or_default(),
        bytes_read: session.read_bytes,
        bytes_written: session.written_bytes,
        commands: session.commands,
        commands_per_second: session.pace.commands_per_second,
        read_per_second: session.pace.read_bytes_per_second,
        written_per_second: session.pace.written_bytes_per_second,
        latency: session.pace.latency.map(|latency| LatencyInfo {
            mean_us: latency.mean_us,
            median_us: latency.median_us,
            p99_us: latency.p99_us,
        }),
    }
}

/// The address of this machine that the rest of the world sees, for portals that listen on all
/// of them; the loopback address where there is no way out. Connecting a UDP socket sends
/// nothing: it only asks the routing table.
fn outward_address(family: IpAddr) -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): routed as any other, and nobody there.
    let (outside, loopback): (IpAddr, IpAddr) = match family {
        IpAddr::V4(_) => (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(_) => {
            (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::LOCALHOST.into())
        }
    };
    let ask = || {
        let socket = UdpSocket::bind((family, 0))?;
        socket.connect((outside, 9))?;
        socket.local_addr()
    };
    Some(ask().map_or(loopback, |address: SocketAddr| address.ip()))
}
