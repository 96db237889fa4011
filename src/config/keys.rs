//! The one table of keys. The loader, `docs/configuration.md` and the sample file are made from
//! it, so a key cannot exist without its text.

mod boot;
mod cache;
mod compat;
mod control;
mod portal_group;
mod prefetch;
mod store;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Chap, Config, DefaultStore, LogFormat, PortalGroup, parse};
use boot::BOOT;
use cache::CACHE;
use compat::{PICASSO, SMART_PROXY, TGT, smart_proxy, tgt};
use portal_group::{PORTAL_GROUP, check_group};
use prefetch::PREFETCH;
use store::{LOCAL, RBD, rbd};

/// A configuration being read.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) warnings: Vec<String>,
    /// The file itself holds a secret.
    pub(super) holds_secret: bool,
}

/// Says what is wrong with the table that was read last.
pub(super) type Check = fn(&Draft) -> Result<(), String>;

/// A TOML table of the file.
pub(super) struct Section {
    /// Dotted name; empty for the top of the file.
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    /// Nothing of it holds unless the table is there.
    pub(super) optional: bool,
    /// It may be there many times (`[[name]]`); what can be wrong with one of them as a whole.
    pub(super) repeated: Option<Check>,
    /// What the mere presence of the table does.
    pub(super) enter: fn(&mut Draft),
    pub(super) keys: &'static [Key],
}

/// A key of a table.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) default: Sample,
    pub(super) kind: Kind,
}

/// The value shown in the reference and the sample file, as TOML.
pub(super) enum Sample {
    /// What holds when the key is not given.
    Default(&'static str),
    /// There is no default; this is what a value looks like.
    Example(&'static str),
}

/// What a key takes, and where it goes.
pub(super) enum Kind {
    Bool(fn(&mut Draft, bool)),
    Integer { min: u64, max: u64, set: fn(&mut Draft, u64) },
    Size { min: u64, max: u64, set: fn(&mut Draft, u64) },
    Choice { of: &'static [&'static str], set: fn(&mut Draft, usize) },
    Text { what: &'static str, set: fn(&mut Draft, &str) -> Result<(), String> },
    List { what: &'static str, clear: fn(&mut Draft), push: Push, empty_allowed: bool },
    Integers { max: u64, set: fn(&mut Draft, &[u64]) },
}

/// What is missing in a table that is there: table and key.
pub(super) fn missing(draft: &Draft) -> Option<(&'static str, &'static str)> {
    control::missing(draft).or_else(|| compat::missing(draft))
}

type Push = fn(&mut Draft, &str) -> Result<(), String>;

use Sample::{Default as Def, Example as Ex};

const fn key(name: &'static str, default: Sample, kind: Kind, doc: &'static str) -> Key {
    Key { name, doc, default, kind }
}

const fn section(name: &'static str, doc: &'static str, keys: &'static [Key]) -> Section {
    Section { name, doc, optional: false, repeated: None, enter: |_| {}, keys }
}

pub(super) const SECTIONS: &[Section] = &[
    section("", "The top of the file, before any table.", TOP),
    section("control", "The Unix socket of the control API.", CONTROL),
    Section {
        optional: true,
        enter: control::enter_tls,
        ..section(
            "control.tls",
            "The control API over TCP with mutual TLS (1.2 and 1.3). When this table is there, clients \
             need a certificate; what its holder may do is said through the API (`stirrup certificate \
             create`), and a token counts alone. The files are looked at again when they change, without a \
             restart.",
            control::TLS,
        )
    },
    Section {
        optional: true,
        enter: |draft| {
            control::delegate(draft);
        },
        ..section(
            "control.delegate",
            "Somebody who knows users that Stirrup does not: they make calls with their own \
             credentials, and see one project only. Tokens of Stirrup are never passed on.",
            control::DELEGATE,
        )
    },
    section("log", "What is logged to standard error, and how.", LOG),
    section("target", "Where and under which names targets are served.", TARGET),
    Section {
        optional: true,
        repeated: Some(check_group),
        enter: |draft| draft.config.portal_groups.push(PortalGroup::default()),
        ..section(
            "portal_group",
            "A portal group: portals that belong together, and who may log in there; as many of \
             these tables as there are groups. They stand in place of `portals`, `advertise` and \
             `portal_group_tag` in [target]. A disk is offered in all groups unless it names some. \
             An initiator has a session of its own in each group, on a target port of its own.",
            PORTAL_GROUP,
        )
    },
    section(
        "limits",
        "What one daemon takes on at most. A limit that is reached slows initiators down or makes \
         them try again; it never drops what was accepted.",
        LIMITS,
    ),
    section("iscsi", "What is offered in login negotiation (RFC 7143, section 13).", ISCSI),
    Section {
        optional: true,
        ..section(
            "discovery",
            "CHAP for discovery sessions, in portal groups that have none of their own. Without \
             this table every initiator may ask for the list of targets; logging in to a target has \
             its own rules either way.",
            DISCOVERY,
        )
    },
    section("store.local", "The embedded store: images and clones in a directory.", LOCAL),
    Section {
        optional: true,
        enter: |draft| {
            rbd(draft);
        },
        ..section(
            "store.rbd",
            "The Ceph store: images and clones in an RBD pool. Used when this table is there; needs \
             librados and librbd on this machine (Debian: `apt install librbd1`).",
            RBD,
        )
    },
    section(
        "cache",
        "What is kept in memory of the disks in Ceph. Writes always go to Ceph before they are \
         acknowledged; `docs/cache.md` tells what is kept when.",
        CACHE,
    ),
    section("prefetch", "What is fetched from Ceph before an initiator asks for it.", PREFETCH),
    section(
        "boot",
        "Boot scripts for iPXE over plain HTTP. `docs/boot.md` tells how machines get there.",
        BOOT,
    ),
    Section {
        optional: true,
        ..section(
            "compat.picasso",
            "M2's REST API, for M2's clients. [docs/doors.md](doors.md#picasso) has what they need.",
            PICASSO,
        )
    },
    Section {
        optional: true,
        enter: |draft| {
            smart_proxy(draft);
        },
        ..section(
            "compat.smart_proxy",
            "A Foreman smart proxy with the feature M2; see [docs/doors.md](doors.md#smart-proxy).",
            SMART_PROXY,
        )
    },
    Section {
        optional: true,
        enter: |draft| {
            tgt(draft);
        },
        ..section(
            "compat.tgt",
            "The management socket of tgtd, for `tgtadm` and `tgt-admin`; see \
             [docs/doors.md](doors.md#tgt).",
            TGT,
        )
    },
];

const TOP: &[Key] = &[
    key(
        "state_dir",
        Def("\"/var/lib/stirrup\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| d.config.state_dir = v),
        },
        "Directory of the catalog: what is provisioned, for whom. Keep it on a disk that survives.",
    ),
    key(
        "default_store",
        Def("\"local\""),
        Kind::Choice {
            of: &["local", "rbd"],
            set: |d, v| {
                d.config.default_store = [DefaultStore::Local, DefaultStore::Rbd][v];
            },
        },
        "Store of images that are imported without naming one. `rbd` needs `[store.rbd]`.",
    ),
];

const CONTROL: &[Key] = &[
    key(
        "socket",
        Def("\"/run/stirrup/stirrup.sock\""),
        Kind::Text {
            what: "an absolute path, at most 107 bytes",
            set: |d, v| parse::socket_path(v).map(|v| d.config.control.socket = v),
        },
        "Path of the socket. It is created with mode 0600.",
    ),
    key(
        "allowed_uids",
        Def("[]"),
        Kind::Integers {
            max: u32::MAX as u64 - 1,
            set: |d, v| d.config.control.allowed_uids = v.iter().map(|v| to_u32(*v)).collect(),
        },
        "Users (by number) that may do everything over the socket, besides root and the daemon's own \
         user. Users need the right to open its file, too (setfacl).",
    ),
    key(
        "operator_uids",
        Def("[]"),
        Kind::Integers {
            max: u32::MAX as u64 - 1,
            set: |d, v| d.config.control.operator_uids = v.iter().map(|v| to_u32(*v)).collect(),
        },
        "Users that may work with disks, nodes, tags and sessions, and see everything else.",
    ),
    key(
        "operator_gids",
        Def("[]"),
        Kind::Integers {
            max: u32::MAX as u64 - 1,
            set: |d, v| d.config.control.operator_gids = v.iter().map(|v| to_u32(*v)).collect(),
        },
        "Primary groups (by number) of users that may do so.",
    ),
    key(
        "reader_uids",
        Def("[]"),
        Kind::Integers {
            max: u32::MAX as u64 - 1,
            set: |d, v| d.config.control.reader_uids = v.iter().map(|v| to_u32(*v)).collect(),
        },
        "Users that may see everything but secrets.",
    ),
    key(
        "reader_gids",
        Def("[]"),
        Kind::Integers {
            max: u32::MAX as u64 - 1,
            set: |d, v| d.config.control.reader_gids = v.iter().map(|v| to_u32(*v)).collect(),
        },
        "Primary groups of users that may do so.",
    ),
];

const LOG: &[Key] = &[
    key(
        "format",
        Def("\"human\""),
        Kind::Choice {
            of: &["human", "json"],
            set: |d, v| d.config.log.format = [LogFormat::Human, LogFormat::Json][v],
        },
        "Shape of the lines: for people, or one JSON object a line.",
    ),
    key(
        "level",
        Def("\"info\""),
        Kind::Text {
            what: "a level, or a list of MODULE=LEVEL",
            set: |d, v| parse::log_filter(v).map(|v| d.config.log.level = v),
        },
        "Least level that is logged: `error`, `warn`, `info`, `debug` or `trace`, also by module: \
         `\"info,stirrup::target=debug\"`. The environment variable `STIRRUP_LOG` goes before it.",
    ),
];

const TARGET: &[Key] = &[
    key(
        "portals",
        Def("[\"0.0.0.0:3260\", \"[::]:3260\"]"),
        Kind::List {
            what: "like ADDR:PORT",
            clear: |d| d.config.target.portals.clear(),
            push: |d, v| parse::portal(v).map(|v| d.config.target.portals.push(v)),
            empty_allowed: false,
        },
        "Addresses to listen on. IPv6 addresses stand in brackets and take IPv6 only.",
    ),
    key(
        "advertise",
        Def("[]"),
        Kind::List {
            what: "like ADDR or ADDR:PORT",
            clear: |d| d.config.target.advertise.clear(),
            push: |d, v| parse::advertised(v).map(|v| d.config.target.advertise.push(v)),
            empty_allowed: true,
        },
        "Addresses told to initiators, by SendTargets and in boot URIs; port 3260 if none is \
         given. Empty: the portals themselves; give addresses here when these are wildcards.",
    ),
    key(
        "iqn_prefix",
        Def("\"iqn.2026-01.io.stirrup\""),
        Kind::Text {
            what: "`iqn.YYYY-MM.` and a reversed domain name, at most 90 bytes",
            set: |d, v| parse::iqn_prefix(v).map(|v| d.config.target.iqn_prefix = v),
        },
        "What target names start with. Use a domain of your own and a month in which you owned \
         it. Targets that exist keep their names.",
    ),
    key(
        "portal_group_tag",
        Def("1"),
        Kind::Integer {
            min: 1,
            max: 65535,
            set: |d, v| d.config.target.portal_group_tag = to_u16(v),
        },
        "Tag of the portal group that all portals form. It is also the number of the SCSI target \
         port, of which 0 is none.",
    ),
    key(
        "unnamed_access",
        Def("\"open\""),
        Kind::Choice {
            of: &["open", "closed"],
            set: |d, v| d.config.target.unnamed_access_open = v == 0,
        },
        "Who may log in to a disk for which no initiator name is known: with `open` anyone that \
         passes the disk's address and CHAP rules, with `closed` no one.",
    ),
    key(
        "shards",
        Def("0"),
        Kind::Integer { min: 0, max: 1024, set: |d, v| d.config.target.shards = to_usize(v) },
        "Number of threads that serve connections; 0: one per core.",
    ),
    key(
        "look_max_microseconds",
        Def("100"),
        Kind::Integer {
            min: 0,
            max: 1000,
            set: |d, v| d.config.target.look_max = Duration::from_micros(v),
        },
        "How long such a thread looks for the next command of an initiator that sends one at a time \
         before it sleeps, at most; 0: not at all. It looks for twice the time that the initiator \
         usually takes, and only if that is within this bound, so an idle session costs nothing. \
         This shortens what a command takes and costs CPU time while such commands come.",
    ),
    key(
        "nap_max_microseconds",
        Def("100"),
        Kind::Integer {
            min: 0,
            max: 1000,
            set: |d, v| d.config.target.nap_max = Duration::from_micros(v),
        },
        "How long such a thread sleeps, at most, to let commands gather when an initiator goes on \
         sending them without looking at the answers to the first ones, and no other has had \
         anything to do lately; 0: not at all. This saves CPU time on both sides.",
    ),
];

const LIMITS: &[Key] = &[
    key(
        "max_sessions",
        Def("4096"),
        Kind::Integer {
            min: 1,
            max: 65_534,
            set: |d, v| d.config.limits.sessions_max = to_usize(v),
        },
        "Normal sessions at a time. A login beyond it is answered \"out of resources\". Discovery \
         sessions are not counted: of these there may be 256, and a quarter of them for one address, \
         for 60 seconds each.",
    ),
    key(
        "max_half_open_connections",
        Def("256"),
        Kind::Integer {
            min: 1,
            max: 65536,
            set: |d, v| d.config.limits.half_open_connections_max = to_usize(v),
        },
        "Connections at a time that have not finished login. More wait; beyond a quarter of it, \
         those of one address (of IPv6: one /64 network) are closed.",
    ),
    key(
        "login_timeout_seconds",
        Def("15"),
        Kind::Integer { min: 1, max: 600, set: |d, v| d.config.limits.login_timeout = seconds(v) },
        "Time for a login. A connection that takes longer is closed.",
    ),
    key(
        "command_window",
        Def("128"),
        Kind::Integer { min: 1, max: 2048, set: |d, v| d.config.limits.command_window = to_u32(v) },
        "Commands that an initiator may have under way in one session.",
    ),
    key(
        "buffer_memory",
        Def("\"512MiB\""),
        Kind::Size {
            min: 16 << 20,
            max: 1 << 44,
            set: |d, v| d.config.limits.buffer_memory_bytes = v,
        },
        "Memory for the data of all sessions together. When it is used up, command windows close \
         until some of it is free.",
    ),
    key(
        "nop_in_interval_seconds",
        Def("30"),
        Kind::Integer {
            min: 0,
            max: 3600,
            set: |d, v| d.config.limits.nop_in_interval = some_seconds(v),
        },
        "Silence after which an initiator is pinged (NOP-In); 0: never.",
    ),
    key(
        "nop_in_timeout_seconds",
        Def("30"),
        Kind::Integer {
            min: 1,
            max: 3600,
            set: |d, v| d.config.limits.nop_in_timeout = seconds(v),
        },
        "Time for the answer to a ping. Without one the connection is closed.",
    ),
    key(
        "data_out_timeout_seconds",
        Def("30"),
        Kind::Integer {
            min: 1,
            max: 3600,
            set: |d, v| d.config.limits.data_out_timeout = seconds(v),
        },
        "Time for the data of a command that others wait for by its task attribute (ORDERED, HEAD \
         OF QUEUE). Then it fails with INITIATOR RESPONSE TIMEOUT, and the others go on.",
    ),
    key(
        "tcp_keepalive_seconds",
        Def("60"),
        Kind::Integer {
            min: 0,
            max: 7200,
            set: |d, v| d.config.limits.tcp_keepalive = some_seconds(v),
        },
        "Idle time after which TCP keepalive probes are sent; 0: none.",
    ),
];

const ISCSI: &[Key] = &[
    key(
        "max_recv_data_segment_length",
        Def("\"256KiB\""),
        Kind::Size {
            min: 512,
            max: (1 << 24) - 1,
            set: |d, v| d.config.iscsi.max_recv_data_segment_bytes = to_u32(v),
        },
        "Largest data segment that initiators may send in one PDU.",
    ),
    key(
        "max_burst_length",
        Def("\"1MiB\""),
        Kind::Size {
            min: 512,
            max: (1 << 24) - 1,
            set: |d, v| d.config.iscsi.max_burst_bytes = to_u32(v),
        },
        "Most data in one Data-In sequence, or in answer to one R2T.",
    ),
    key(
        "first_burst_length",
        Def("\"256KiB\""),
        Kind::Size {
            min: 512,
            max: (1 << 24) - 1,
            set: |d, v| d.config.iscsi.first_burst_bytes = to_u32(v),
        },
        "Most data that an initiator may send unasked with one command; not more than \
         `max_burst_length`.",
    ),
    key(
        "max_outstanding_r2t",
        Def("4"),
        Kind::Integer {
            min: 1,
            max: 64,
            set: |d, v| d.config.iscsi.max_outstanding_r2t = to_u32(v),
        },
        "Requests for data (R2T) that one command may have open.",
    ),
    key(
        "max_connections",
        Def("1"),
        Kind::Integer { min: 1, max: 32, set: |d, v| d.config.iscsi.max_connections = to_u32(v) },
        "Connections of one session (MaxConnections). All of them are served by one thread: they \
         are for initiators that use several network paths this way, as Windows can; \
         multipath with several sessions needs no setting.",
    ),
    key(
        "error_recovery_level",
        Def("0"),
        Kind::Integer {
            min: 0,
            max: 1,
            set: |d, v| d.config.iscsi.error_recovery_level = to_u32(v),
        },
        "Highest ErrorRecoveryLevel. At 1, an initiator that asks for it, too, can have lost PDUs \
         sent again, and data that arrives broken is asked for again; up to 16 MiB a session are \
         kept for it. Linux asks for 0 unless it is told otherwise.",
    ),
    key(
        "header_digest",
        Def("[\"None\", \"CRC32C\"]"),
        Kind::List {
            what: "\"None\" or \"CRC32C\"",
            clear: |d| d.config.iscsi.header_digest.clear(),
            push: |d, v| parse::digest(v).map(|v| d.config.iscsi.header_digest.push(v)),
            empty_allowed: false,
        },
        "Digests accepted for headers; the initiator's order of preference decides. \
         `[\"CRC32C\"]` makes them a must.",
    ),
    key(
        "data_digest",
        Def("[\"None\", \"CRC32C\"]"),
        Kind::List {
            what: "\"None\" or \"CRC32C\"",
            clear: |d| d.config.iscsi.data_digest.clear(),
            push: |d, v| parse::digest(v).map(|v| d.config.iscsi.data_digest.push(v)),
            empty_allowed: false,
        },
        "Digests accepted for data.",
    ),
    key(
        "chap_algorithms",
        Def("[\"MD5\", \"SHA1\", \"SHA-256\", \"SHA3-256\"]"),
        Kind::List {
            what: "\"MD5\", \"SHA1\", \"SHA-256\" or \"SHA3-256\"",
            clear: |d| d.config.iscsi.chap_algorithms.clear(),
            push: |d, v| parse::chap_algorithm(v).map(|v| d.config.iscsi.chap_algorithms.push(v)),
            empty_allowed: false,
        },
        "Algorithms accepted for CHAP; the initiator's order of preference decides. MD5 is among \
         them because boot firmware knows no other, and what CHAP asks of it (no one finds the \
         secret from the answer) is not what MD5 is broken in; an initiator that knows better \
         ones names them first. Take it out when every initiator does.",
    ),
];

const DISCOVERY: &[Key] = &[
    key(
        "chap_user",
        Ex("\"discovery\""),
        Kind::Text {
            what: "1 to 255 bytes",
            set: |d, v| parse::chap_user(v).map(|v| chap(d).user = v),
        },
        "Name that the initiator gives.",
    ),
    key(
        "chap_secret",
        Ex("\"at least 12 bytes\""),
        Kind::Text {
            what: "12 to 255 bytes",
            set: |d, v| {
                d.holds_secret = true;
                parse::secret(v).map(|v| chap(d).secret = v)
            },
        },
        "Secret that the initiator proves. Keep this file unreadable for others, or use \
         `chap_secret_file`.",
    ),
    key(
        "chap_secret_file",
        Ex("\"/etc/stirrup/discovery.secret\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| {
                let v = secret_file(d, v)?;
                chap(d).secret = v;
                Ok(())
            },
        },
        "File that holds the secret in place of `chap_secret`; one newline at its end is not part \
         of it.",
    ),
];

impl Kind {
    /// What the key takes, for people.
    pub(super) fn allowed(&self) -> String {
        let size = super::format_size;
        match self {
            Kind::Bool(_) => "true or false".into(),
            Kind::Integer { min, max, .. } => format!("a whole number from {min} to {max}"),
            Kind::Size { min, max, .. } => {
                format!("a size like \"64MiB\" (or bytes) from {} to {}", size(*min), size(*max))
            }
            Kind::Choice { of, .. } => {
                of.iter().map(|v| format!("\"{v}\"")).collect::<Vec<_>>().join(" or ")
            }
            Kind::Text { what, .. } => format!("a text: {what}"),
            Kind::List { what, .. } => format!("a list of texts, each {what}"),
            Kind::Integers { max, .. } => format!("a list of whole numbers, each from 0 to {max}"),
        }
    }
}

fn to_u32(v: u64) -> u32 {
    u32::try_from(v).unwrap_or(u32::MAX)
}

fn to_usize(v: u64) -> usize {
    usize::try_from(v).unwrap_or(usize::MAX)
}

fn to_u16(v: u64) -> u16 {
    u16::try_from(v).unwrap_or(u16::MAX)
}

fn seconds(v: u64) -> Duration {
    Duration::from_secs(v)
}

fn some_seconds(v: u64) -> Option<Duration> {
    (v > 0).then(|| Duration::from_secs(v))
}

fn chap(draft: &mut Draft) -> &mut Chap {
    draft.config.discovery.get_or_insert_default()
}

fn secret_file(draft: &mut Draft, text: &str) -> Result<Zeroizing<String>, String> {
    let path = parse::path(text)?;
    let unreadable = |e: std::io::Error| format!("cannot read `{text}`: {e}");
    let file = File::open(&path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    let mut content = Zeroizing::new(String::new());
    file.take(1024).read_to_string(&mut content).map_err(unreadable)?;
    if mode & 0o007 != 0 {
        draft
            .warnings
            .push(format!("{text} holds a secret and others may read it: chmod o-rwx {text}"));
    }
    parse::secret(content.strip_suffix('\n').unwrap_or(&content))
        .map_err(|e| format!("{text}: {e}"))
}
