//! `[compat.*]`: doors for clients of other software.

use super::super::{Compat, SmartProxy, Tgt, parse};
use super::Sample::{Default as Def, Example as Ex};
use super::control::optional_path;
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

pub(super) const SMART_PROXY: &[Key] = &[
    key(
        "listen",
        Ex("\"192.0.2.1:8443\""),
        Kind::Text {
            what: "like ADDR:PORT",
            set: |d, v| parse::portal(v).map(|v| smart_proxy(d).listen = v),
        },
        "Address to listen on, with TLS.",
    ),
    key(
        "certificate",
        Ex("\"/etc/stirrup/tls/proxy.pem\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| smart_proxy(d).certificate = v),
        },
        "File with the certificate that is shown to Foreman, and those between it and its authority \
         (PEM). Its name must be the host name in the proxy's URL.",
    ),
    key(
        "key",
        Ex("\"/etc/stirrup/tls/proxy.key\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| smart_proxy(d).key = v),
        },
        "File with its private key (PEM, not encrypted).",
    ),
    key(
        "client_ca",
        Ex("\"/etc/stirrup/tls/foreman-ca.pem\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| smart_proxy(d).client_ca = v),
        },
        "File with the authority that Foreman has its certificate from (PEM). What a certificate may \
         do is set by its name (`stirrup certificate`).",
    ),
    key(
        "client_crl",
        Def("\"\""),
        Kind::Text {
            what: "an absolute path, or empty",
            set: |d, v| optional_path(v).map(|v| smart_proxy(d).client_crl = v),
        },
        "File with the list of revoked certificates of that authority (PEM).",
    ),
];

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

/// The table, which is there.
pub(super) fn smart_proxy(draft: &mut Draft) -> &mut SmartProxy {
    compat(draft).smart_proxy.get_or_insert_default()
}

/// What is missing in the tables: table and key.
pub(in crate::config) fn missing(draft: &Draft) -> Option<(&'static str, &'static str)> {
    let proxy = draft.config.compat.smart_proxy.as_ref()?;
    let files =
        [("certificate", &proxy.certificate), ("key", &proxy.key), ("client_ca", &proxy.client_ca)];
    let file = files.iter().find(|(_, path)| path.as_os_str().is_empty()).map(|it| it.0);
    let listen = (proxy.listen.port() == 0).then_some("listen");
    Some(("compat.smart_proxy", listen.or(file)?))
}

fn compat(draft: &mut Draft) -> &mut Compat {
    &mut draft.config.compat
}

/// The table, which is there.
pub(super) fn tgt(draft: &mut Draft) -> &mut Tgt {
    draft.config.compat.tgt.get_or_insert_default()
}
