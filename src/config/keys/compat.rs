//! `[compat.*]`: doors for clients of other software.

use super::super::{Compat, Tgt, parse};
use super::Sample::{Default as Def, Example as Ex};
use super::{Draft, Key, Kind, key};

pub(super) const PICASSO: &[Key] = &[key(
    "listen",
    Ex("\"192.0.2.1:8000\""),
    Kind::Text {
        what: "like ADDR:PORT",
        set: |d, v| parse::portal(v).map(|v| compat(d).picasso = Some(v)),
    },
    "Address to listen on. There is no TLS, as there was none: use a network of its own.",
)];

pub(super) const SMART_PROXY: &[Key] = &[key(
    "listen",
    Ex("\"192.0.2.1:8443\""),
    Kind::Text {
        what: "like ADDR:PORT",
        set: |d, v| parse::portal(v).map(|v| compat(d).smart_proxy = Some(v)),
    },
    "Address to listen on, with TLS.",
)];

pub(super) const TGT: &[Key] = &[
    key(
        "socket",
        Def("\"/var/run/tgtd/socket.0\""),
        Kind::Text {
            what: "an absolute path, at most 107 bytes",
            set: |d, v| parse::socket_path(v).map(|v| tgt(d).socket = v),
        },
        "Path of the socket. `tgtadm -C N` connects to that with the number N at its end.",
    ),
    key(
        "project",
        Def("\"tgt\""),
        Kind::Text {
            what: "the name of a project",
            set: |d, v| {
                tgt(d).project = v.to_owned();
                Ok(())
            },
        },
        "Project of the disks that are made through it.",
    ),
    key(
        "directories",
        Def("[]"),
        Kind::List {
            what: "an absolute path",
            clear: |d| tgt(d).directories.clear(),
            push: |d, v| parse::path(v).map(|v| tgt(d).directories.push(v)),
            empty_allowed: true,
        },
        "Directories below which files and block devices (`/dev`) may be backing stores. Images in \
         the pool of `[store.rbd]` may always.",
    ),
];

fn compat(draft: &mut Draft) -> &mut Compat {
    &mut draft.config.compat
}

/// The table, which is there.
pub(super) fn tgt(draft: &mut Draft) -> &mut Tgt {
    draft.config.compat.tgt.get_or_insert_default()
}
