//! HTTP and JSON on the control socket, and over TLS.
//!
//! [`listener`] says where connections come from ([`socket`] makes the Unix socket) and who is at
//! their other ends ([`Peer`]), [`server`] reads requests within bounds, [`api`] is what can be asked
//! for. [`DataPath`] is what control wants to know of the targets that are served.

mod access;
pub mod api;
mod audit;
pub mod authenticate;
mod body;
pub mod boot;
pub mod compat;
mod events;
mod limit;
pub mod listener;
mod pace;
mod peer;
mod respond;
pub mod server;
pub mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod unread;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use api::system::CacheCounts;

use crate::catalog::Catalog;
use authenticate::Authenticator;

pub use access::LocalRoles;
pub use audit::AuditLog;
pub use boot::{BootCounts, BootOptions, BootScripts};
pub use events::Events;
pub use pace::Pacing;
pub use peer::{ClientCertificate, Local, Peer};

/// What control sees of the data path. Calls return at once.
pub trait DataPath: Send + Sync + 'static {
    /// Where nodes reach the targets, in the order of preference: advertised addresses, never a
    /// wildcard.
    fn portals(&self) -> Vec<PortalInfo>;

    /// All targets, sorted by name.
    fn targets(&self) -> Vec<TargetInfo>;

    /// All sessions, in the order of their ids.
    fn sessions(&self) -> Vec<SessionInfo>;

    /// Ends a session; whether there was one of that id.
    fn kill_session(&self, id: u64) -> bool;

    /// Asks the initiator of a session to log out, and ends the session after `patience` in any
    /// case; whether there was one of that id.
    fn request_logout(&self, id: u64, patience: Duration) -> bool;

    /// As [`DataPath::request_logout`] for all sessions of a target: how many there are; `None` if
    /// there is no such target.
    fn drain(&self, target: &str, patience: Duration) -> Option<u64>;

    /// What the cache of the stores counted; `None` if there is none.
    fn cache(&self) -> Option<CacheCounts>;

    /// The WWID (VPD page 83h, as Linux shows it) of a logical unit with this identity.
    fn wwid(&self, identity: &str) -> String;
}

/// A portal (RFC 7143 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortalInfo {
    /// Address and port.
    pub address: SocketAddr,
    /// Portal group tag.
    pub tpgt: u16,
}

/// A target that is served.
#[derive(Debug, Clone)]
pub struct TargetInfo {
    /// Its name.
    pub name: String,
    /// Its logical units.
    pub luns: Vec<LunInfo>,
    /// Sessions that are logged in.
    pub sessions: u64,
    /// Tags of the portal groups in which it is offered; empty: all.
    pub portal_groups: Vec<u16>,
    /// Where initiators that log in are sent to, and whether for good.
    pub moved: Option<(String, bool)>,
}

/// A logical unit that is served.
#[derive(Debug, Clone)]
pub struct LunInfo {
    /// Its number.
    pub number: u16,
    /// What its WWID is made from.
    pub identity: String,
    /// Size in bytes; `None` while the volume is not open.
    pub size_bytes: Option<u64>,
    /// Writes are refused.
    pub read_only: bool,
}

/// A session that is logged in.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// Never used twice while the daemon runs.
    pub id: u64,
    /// Target name; `None` in a discovery session.
    pub target: Option<String>,
    /// Initiator name.
    pub initiator: String,
    /// ISID (RFC 7143 11.12.5).
    pub isid: [u8; 6],
    /// Tag of the portal group that it came in by.
    pub tpgt: u16,
    /// Address and port of the initiator.
    pub address: SocketAddr,
    /// When it logged in.
    pub since: Timestamp,
    /// Bytes sent to the initiator by READs.
    pub bytes_read: u64,
    /// Bytes received from the initiator by WRITEs.
    pub bytes_written: u64,
    /// SCSI commands so far.
    pub commands: u64,
    /// SCSI commands a second, of late.
    pub commands_per_second: f64,
    /// Bytes a second to the initiator, of late.
    pub read_per_second: f64,
    /// Bytes a second from the initiator, of late.
    pub written_per_second: f64,
    /// How long commands take; `None`: there were none of late.
    pub latency: Option<LatencyInfo>,
}

/// How long commands take, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyInfo {
    /// On average.
    pub mean_us: u64,
    /// Half of them.
    pub median_us: u64,
    /// 99 of a hundred.
    pub p99_us: u64,
}

/// What all calls share.
#[derive(Clone)]
pub struct Control {
    /// The catalog.
    pub catalog: Catalog,
    /// The targets that are served.
    pub data_path: Arc<dyn DataPath>,
    /// Which users of this machine may do what.
    pub local_roles: LocalRoles,
    /// Who else may be asked who a caller is, besides the catalog for its tokens.
    pub delegate: Option<Arc<dyn Authenticator>>,
    /// Who did what.
    pub audit: AuditLog,
    /// What happens.
    pub events: Events,
    /// What machines boot by.
    pub boot: boot::BootScripts,
    /// The bounds of a request.
    pub limits: Limits,
}

/// All calls of the API, and how they answer.
pub fn router(control: Control) -> axum::Router {
    api::router(control)
}

/// The bounds of a request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body_max_bytes: usize,
    /// Largest request line and headers together, in bytes; at least 8192.
    pub head_max_bytes: usize,
    /// How long a client may take for the TLS handshake, where there is one.
    pub handshake_timeout: Duration,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// How long a connection over TLS goes on; then it ends with the call that runs, and who comes back
    /// has to show again who it is.
    pub connection_lifetime: Duration,
    /// How long a call may take, its body included. What was begun is carried through.
    pub call_timeout: Duration,
    /// Connections at once; further ones wait. One address has a quarter of them at most.
    pub connections_max: usize,
    /// How long a call may go on after the daemon was told to stop.
    pub stop_timeout: Duration,
    /// How fast images have to be sent, and taken.
    pub pacing: Pacing,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_max_bytes: 64 << 10,
            head_max_bytes: 16 << 10,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            connection_lifetime: Duration::from_secs(3600),
            call_timeout: Duration::from_secs(60),
            connections_max: 256,
            stop_timeout: Duration::from_secs(10),
            pacing: Pacing::default(),
        }
    }
}
