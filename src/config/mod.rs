//! The configuration of `stirrupd`: one TOML file, and the command's arguments.
//!
//! Everything is checked when the file is loaded; whoever holds a [`Config`] can rely on it. Every
//! complaint names the file, the line and what is allowed. The keys are one table (`keys`): the
//! loader, `docs/configuration.md` and the sample in `packaging/` all come from it.

pub mod args;
mod error;
mod keys;
mod load;
mod parse;
mod reference;
mod sizes;
mod spelling;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

pub use error::ConfigError;
pub use load::Loaded;
pub use reference::sample;
pub use sizes::{format_size, parse_size};
pub use spelling::nearest;

/// Where the file is looked for when `--config` is not given.
pub const DEFAULT_PATH: &str = "/etc/stirrup/stirrup.toml";

/// What the configuration file says, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Directory of the catalog.
    pub state_dir: PathBuf,
    /// Store of images imported without naming one.
    pub default_store: DefaultStore,
    /// The control socket.
    pub control: Control,
    /// Logging.
    pub log: Log,
    /// Where and under which names targets are served.
    pub target: Target,
    /// The portal groups; empty: the one of [`Target`].
    pub portal_groups: Vec<PortalGroup>,
    /// What one daemon takes on at most.
    pub limits: Limits,
    /// What is offered in login negotiation.
    pub iscsi: Iscsi,
    /// CHAP for discovery sessions in portal groups without one of their own; `None`: discovery
    /// is open to everyone.
    pub discovery: Option<Chap>,
    /// The local store.
    pub local: LocalStore,
    /// The Ceph store; `None`: not used.
    pub rbd: Option<RbdStore>,
    /// The cache in front of the Ceph store.
    pub cache: Cache,
    /// What is fetched from Ceph ahead.
    pub prefetch: Prefetch,
    /// Boot scripts over HTTP.
    pub boot: Boot,
    /// Doors for clients of other software.
    pub compat: Compat,
}

/// `[boot]`: boot scripts over plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Addresses to listen on; empty: none are served.
    pub listen: Vec<SocketAddr>,
    /// Networks, with their prefix lengths, from which scripts may be asked for; empty: any.
    pub addresses: Vec<(IpAddr, u8)>,
    /// By what machines are known, in this order; never empty.
    pub identify_by: Vec<BootIdentity>,
    /// When scripts hold CHAP secrets.
    pub chap_secrets: BootSecrets,
    /// Machines without a script ask again.
    pub retry_unknown: bool,
    /// Directory of templates.
    pub templates: Option<PathBuf>,
}

/// By what a machine is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootIdentity {
    /// Its MAC addresses.
    Mac,
    /// Its UUID (SMBIOS).
    Uuid,
    /// Its serial number (SMBIOS).
    Serial,
    /// Its host name, by DHCP.
    Hostname,
}

/// When a boot script holds a CHAP secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootSecrets {
    /// If it is the node's own, as often as was said when it was asked for.
    PerNode,
    /// Others too, whoever asks.
    All,
    /// Never.
    Never,
}

/// `[compat.*]`: doors for clients of other software.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compat {
    /// Where M2's REST API is served.
    pub picasso: Option<SocketAddr>,
    /// Where a Foreman smart proxy is served.
    pub smart_proxy: Option<SmartProxy>,
    /// The management socket of tgtd.
    pub tgt: Option<Tgt>,
}

/// `[compat.smart_proxy]`: a Foreman smart proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmartProxy {
    /// Where.
    pub listen: SocketAddr,
    /// Its certificate.
    pub certificate: PathBuf,
    /// The private key of that.
    pub key: PathBuf,
    /// The authority of Foreman's certificate.
    pub client_ca: PathBuf,
    /// What that authority has revoked.
    pub client_crl: Option<PathBuf>,
}

impl Default for SmartProxy {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0; 4], 0)),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_ca: PathBuf::new(),
            client_crl: None,
        }
    }
}

/// `[compat.tgt]`: the management socket of tgtd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tgt {
    /// Path of the socket.
    pub socket: PathBuf,
    /// Project of the disks that are made through it.
    pub project: String,
    /// Where files and devices may be backing stores.
    pub directories: Vec<PathBuf>,
}

impl Default for Tgt {
    fn default() -> Self {
        Self {
            socket: "/var/run/tgtd/socket.0".into(),
            project: "tgt".to_owned(),
            directories: Vec::new(),
        }
    }
}

/// `[cache]`: what is kept near of the disks in Ceph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Memory for golden images; 0: none.
    pub golden_memory_bytes: u64,
    /// Room for golden images in a file, for what finds none in memory; 0: no file.
    pub golden_file_bytes: u64,
    /// The directory of that file.
    pub golden_file_directory: PathBuf,
    /// Memory for what disks have of their own; 0: none.
    pub disk_memory_bytes: u64,
}

/// The two stores, as the file names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultStore {
    /// The directory of `[store.local]`.
    Local,
    /// The pool of `[store.rbd]`.
    Rbd,
}

/// `[control]`: the Unix socket of the control API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Path of the socket (created with mode 0600).
    pub socket: PathBuf,
    /// Users that may do everything, besides root and the daemon's own user.
    pub allowed_uids: Vec<u32>,
    /// Users that may work with disks and nodes.
    pub operator_uids: Vec<u32>,
    /// Primary groups of users that may.
    pub operator_gids: Vec<u32>,
    /// Users that may look.
    pub reader_uids: Vec<u32>,
    /// Primary groups of users that may.
    pub reader_gids: Vec<u32>,
    /// The API over TLS; `None`: on the socket only.
    pub tls: Option<ControlTls>,
    /// Who else knows users; `None`: nobody.
    pub delegate: Option<Delegate>,
}

/// `[control.tls]`: the control API over TCP with mutual TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlTls {
    /// Addresses to listen on; never empty.
    pub listen: Vec<SocketAddr>,
    /// File with the certificate (PEM).
    pub certificate: PathBuf,
    /// File with its private key.
    pub key: PathBuf,
    /// File with the authorities of clients.
    pub client_ca: PathBuf,
    /// File with lists of revoked certificates of clients.
    pub client_crl: Option<PathBuf>,
}

/// `[control.delegate]`: who is asked about users that Stirrup does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegate {
    /// Whom to ask; never `None` once the file is checked.
    pub kind: Option<DelegateKind>,
    /// Where.
    pub url: String,
    /// File with the authorities of its certificate; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// What users of HIL may do.
    pub role: DelegateRole,
    /// The domain of Keystone.
    pub domain: String,
    /// Time for an answer.
    pub timeout: Duration,
    /// How long a yes holds.
    pub cache: Duration,
}

impl Default for Delegate {
    fn default() -> Self {
        Self {
            kind: None,
            url: String::new(),
            ca: None,
            role: DelegateRole::Operator,
            domain: "Default".into(),
            timeout: Duration::from_secs(5),
            cache: Duration::from_secs(30),
        }
    }
}

/// Who can be asked about users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelegateKind {
    /// The Hardware Isolation Layer.
    Hil,
    /// OpenStack's identity service.
    Keystone,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelegateRole {
    /// See.
    Reader,
    /// Work with disks and nodes.
    Operator,
    /// Everything in the project.
    Admin,
}

/// `[log]`: what is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Shape of the lines.
    pub format: LogFormat,
    /// Filter, as `tracing_subscriber::EnvFilter` reads it.
    pub level: String,
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// `[target]`: where and under which names targets are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Addresses to listen on.
    pub portals: Vec<SocketAddr>,
    /// Addresses told to initiators (SendTargets, boot URIs); empty: the portals that are not
    /// bound to a wildcard address.
    pub advertise: Vec<SocketAddr>,
    /// What target names start with (RFC 7143 4.2.7.4).
    pub iqn_prefix: String,
    /// Tag of the portal group that `portals` form (RFC 7143 13.9).
    pub portal_group_tag: u16,
    /// Disks for which no initiator name is known are open to anyone that passes their other
    /// rules, and not closed to all.
    pub unnamed_access_open: bool,
    /// Number of shards (threads that serve connections); 0: one per core.
    pub shards: usize,
    /// How long a shard looks for the next command before it sleeps, at most.
    pub look_max: Duration,
    /// How long a shard sleeps to let commands gather, at most.
    pub nap_max: Duration,
}

/// `[[portal_group]]`: portals that belong together, and who may log in there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortalGroup {
    /// Its tag, not 0 and different in each group (RFC 7143 13.9).
    pub tag: u16,
    /// Addresses to listen on; never empty.
    pub portals: Vec<SocketAddr>,
    /// Addresses told to initiators; empty: the portals.
    pub advertise: Vec<SocketAddr>,
    /// Initiator names that may log in here, a trailing `*` matching any end; empty: all.
    pub initiators: Vec<String>,
    /// Networks, with their prefix lengths, that may log in here; empty: all.
    pub addresses: Vec<(IpAddr, u8)>,
    /// CHAP for discovery sessions here; `None`: as everywhere.
    pub discovery: Option<Chap>,
}

/// `[limits]`: what one daemon takes on at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Normal sessions at a time.
    pub sessions_max: usize,
    /// Connections at a time that have not finished login.
    pub half_open_connections_max: usize,
    /// Time for a login, from accept to full feature phase.
    pub login_timeout: Duration,
    /// Commands an initiator may have under way in one session (MaxCmdSN - ExpCmdSN + 1).
    pub command_window: u32,
    /// Bytes of data buffers of all sessions together.
    pub buffer_memory_bytes: u64,
    /// Silence after which an initiator is pinged; `None`: never.
    pub nop_in_interval: Option<Duration>,
    /// Time for an answer to a ping before the connection is dropped.
    pub nop_in_timeout: Duration,
    /// Time for data of a command that others wait for.
    pub data_out_timeout: Duration,
    /// Idle time before TCP keepalive probes; `None`: no probes.
    pub tcp_keepalive: Option<Duration>,
}

/// `[iscsi]`: what is offered in login negotiation (RFC 7143 13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iscsi {
    /// `MaxRecvDataSegmentLength` declared to initiators, bytes.
    pub max_recv_data_segment_bytes: u32,
    /// `MaxBurstLength`, bytes.
    pub max_burst_bytes: u32,
    /// `FirstBurstLength`, bytes; not above `max_burst_bytes`.
    pub first_burst_bytes: u32,
    /// `MaxOutstandingR2T`.
    pub max_outstanding_r2t: u32,
    /// `MaxConnections`.
    pub max_connections: u32,
    /// `ErrorRecoveryLevel`, 0 or 1.
    pub error_recovery_level: u32,
    /// Digests accepted for headers; never empty.
    pub header_digest: Vec<Digest>,
    /// Digests accepted for data; never empty.
    pub data_digest: Vec<Digest>,
    /// Algorithms accepted for CHAP; never empty.
    pub chap_algorithms: Vec<ChapAlgorithm>,
}

/// An algorithm of CHAP, by the names of IANA's registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChapAlgorithm {
    /// 5, MD5.
    Md5,
    /// 6, SHA1.
    Sha1,
    /// 7, SHA-256.
    Sha256,
    /// 8, SHA3-256.
    Sha3_256,
}

/// A digest (RFC 7143 13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// No digest.
    None,
    /// CRC32C.
    Crc32c,
}

/// CHAP credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Chap {
    /// Name.
    pub user: String,
    /// Secret; wiped from memory when dropped, never printed.
    pub secret: Zeroizing<String>,
}

impl fmt::Debug for Chap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chap").field("user", &self.user).finish_non_exhaustive()
    }
}

/// `[store.local]`: the store in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalStore {
    /// The directory.
    pub directory: PathBuf,
    /// Report a volatile write cache, and acknowledge writes before they are on stable storage.
    pub write_cache: bool,
    /// Threads that do the file I/O; 0: chosen by the number of cores.
    pub io_threads: usize,
}

/// How new images of a Ceph pool are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RbdEncryption {
    /// Not at all.
    None,
    /// LUKS, version 1.
    Luks1,
    /// LUKS, version 2.
    Luks2,
}

/// `[store.rbd]`: the store in a Ceph pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RbdStore {
    /// The pool.
    pub pool: String,
    /// The RBD namespace in it; empty: the default one.
    pub namespace: String,
    /// The cluster's configuration file.
    pub ceph_conf: PathBuf,
    /// The Ceph user, without `client.`.
    pub ceph_user: String,
    /// Clients of the cluster that the images are spread over.
    pub clients: usize,
    /// How new images are encrypted.
    pub encryption: RbdEncryption,
    /// File with the passphrase of encrypted images.
    pub passphrase_file: Option<PathBuf>,
    /// A disk without sessions is closed after this; `None`: never, and all are open from the
    /// start.
    pub idle_close: Option<Duration>,
}

/// `[prefetch]`: what is fetched before it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefetch {
    /// Ahead of sequential readers.
    pub readahead: bool,
    /// What boots read is learnt, and fetched for the next one.
    pub boot_profiles: bool,
    /// How long a boot takes, from the first login on.
    pub boot: Duration,
    /// Most that is fetched for one login, in bytes.
    pub boot_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/stirrup".into(),
            default_store: DefaultStore::Local,
            control: Control {
                socket: "/run/stirrup/stirrup.sock".into(),
                allowed_uids: Vec::new(),
                operator_uids: Vec::new(),
                operator_gids: Vec::new(),
                reader_uids: Vec::new(),
                reader_gids: Vec::new(),
                tls: None,
                delegate: None,
            },
            log: Log { format: LogFormat::Human, level: "info".into() },
            target: Target {
                portals: vec![
                    SocketAddr::from(([0, 0, 0, 0], 3260)),
                    SocketAddr::from(([0u16; 8], 3260)),
                ],
                advertise: Vec::new(),
                iqn_prefix: "iqn.2026-01.io.stirrup".into(),
                portal_group_tag: 1,
                unnamed_access_open: true,
                shards: 0,
                look_max: Duration::from_micros(100),
                nap_max: Duration::from_micros(100),
            },
            portal_groups: Vec::new(),
            limits: Limits {
                sessions_max: 4096,
                half_open_connections_max: 256,
                login_timeout: Duration::from_secs(15),
                command_window: 128,
                buffer_memory_bytes: 512 << 20,
                nop_in_interval: Some(Duration::from_secs(30)),
                nop_in_timeout: Duration::from_secs(30),
                data_out_timeout: Duration::from_secs(30),
                tcp_keepalive: Some(Duration::from_secs(60)),
            },
            iscsi: Iscsi {
                max_recv_data_segment_bytes: 256 << 10,
                max_burst_bytes: 1 << 20,
                first_burst_bytes: 256 << 10,
                max_outstanding_r2t: 4,
                max_connections: 1,
                error_recovery_level: 0,
                header_digest: vec![Digest::None, Digest::Crc32c],
                data_digest: vec![Digest::None, Digest::Crc32c],
                chap_algorithms: vec![
                    ChapAlgorithm::Md5,
                    ChapAlgorithm::Sha1,
                    ChapAlgorithm::Sha256,
                    ChapAlgorithm::Sha3_256,
                ],
            },
            discovery: None,
            local: LocalStore {
                directory: "/var/lib/stirrup/local".into(),
                write_cache: false,
                io_threads: 0,
            },
            rbd: None,
            cache: Cache {
                golden_memory_bytes: 256 << 20,
                golden_file_bytes: 0,
                golden_file_directory: "/var/tmp".into(),
                disk_memory_bytes: 64 << 20,
            },
            prefetch: Prefetch {
                readahead: true,
                boot_profiles: true,
                boot: Duration::from_secs(180),
                boot_bytes: 128 << 20,
            },
            boot: Boot {
                listen: Vec::new(),
                addresses: Vec::new(),
                identify_by: vec![BootIdentity::Mac],
                chap_secrets: BootSecrets::PerNode,
                retry_unknown: false,
                templates: None,
            },
            compat: Compat::default(),
        }
    }
}
