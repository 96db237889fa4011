//! The keys of `[boot]`.

use super::Sample::{Default as Def, Example as Ex};
use super::{Key, Kind, key};
use crate::config::{BootSecrets, parse};

pub(super) const BOOT: &[Key] = &[
    key(
        "listen",
        Def("[]"),
        Kind::List {
            what: "like ADDR:PORT",
            clear: |d| d.config.boot.listen.clear(),
            push: |d, v| parse::portal(v).map(|v| d.config.boot.listen.push(v)),
            empty_allowed: true,
        },
        "Addresses to serve boot scripts on, over plain HTTP, as `http://ADDR:PORT/boot.ipxe`; none \
         unless some are given. Anybody who reaches them can ask: choose those of the network that \
         nodes boot in.",
    ),
    key(
        "addresses",
        Def("[]"),
        Kind::List {
            what: "like ADDR or ADDR/PREFIX",
            clear: |d| d.config.boot.addresses.clear(),
            push: |d, v| parse::network(v).map(|v| d.config.boot.addresses.push(v)),
            empty_allowed: true,
        },
        "Networks from which boot scripts may be asked for; empty: any.",
    ),
    key(
        "identify_by",
        Def("[\"mac\"]"),
        Kind::List {
            what: "\"mac\", \"uuid\", \"serial\" or \"hostname\"",
            clear: |d| d.config.boot.identify_by.clear(),
            push: |d, v| parse::boot_identity(v).map(|v| d.config.boot.identify_by.push(v)),
            empty_allowed: false,
        },
        "By what a machine is found to be a node, in this order: a MAC address of the node; or the \
         node's name is the machine's UUID, its serial number, or its host name (by DHCP).",
    ),
    key(
        "chap_secrets",
        Def("\"per-node\""),
        Kind::Choice {
            of: &["per-node", "all", "never"],
            set: |d, v| {
                let all = [BootSecrets::PerNode, BootSecrets::All, BootSecrets::Never];
                d.config.boot.chap_secrets = all[v];
            },
        },
        "Whether scripts hold CHAP secrets: with `per-node` those that are the node's own \
         (`stirrup pro --chap-per-node`), which are handed out once, to the first who asks; with \
         `all` also secrets that are given with a disk, to whoever can reach `listen`.",
    ),
    key(
        "unknown_machines",
        Def("\"exit\""),
        Kind::Choice { of: &["exit", "retry"], set: |d, v| d.config.boot.retry_unknown = v == 1 },
        "What a machine does for which there is no script: go on with its next boot device, or ask \
         again every 30 seconds.",
    ),
    key(
        "templates",
        Ex("\"/etc/stirrup/boot\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| d.config.boot.templates = Some(v)),
        },
        "Directory of templates for scripts: `docs/boot.md`. They are read and tried when the daemon \
         starts, and by `stirrupd check-config`.",
    ),
];
