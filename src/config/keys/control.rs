//! `[control.tls]` and `[control.delegate]`.

use std::path::PathBuf;

use super::Sample::{Default as Def, Example as Ex};
use super::{Draft, Key, Kind, key, seconds};
use crate::config::{ControlTls, Delegate, DelegateKind, DelegateRole, parse};

pub(super) const TLS: &[Key] = &[
    key(
        "listen",
        Ex("[\"192.0.2.1:8443\", \"[2001:db8::1]:8443\"]"),
        Kind::List {
            what: "like ADDR:PORT",
            clear: |d| tls(d).listen.clear(),
            push: |d, v| parse::portal(v).map(|v| tls(d).listen.push(v)),
            empty_allowed: false,
        },
        "Addresses to listen on. IPv6 addresses stand in brackets and take IPv6 only.",
    ),
    key(
        "certificate",
        Ex("\"/etc/stirrup/tls/server.pem\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| tls(d).certificate = v),
        },
        "File with the certificate that is shown to clients, and those between it and its \
         authority (PEM).",
    ),
    key(
        "key",
        Ex("\"/etc/stirrup/tls/server.key\""),
        Kind::Text { what: "an absolute path", set: |d, v| parse::path(v).map(|v| tls(d).key = v) },
        "File with the private key of the certificate (PEM, not encrypted); nobody but its owner \
         should read it.",
    ),
    key(
        "client_ca",
        Ex("\"/etc/stirrup/tls/clients-ca.pem\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| tls(d).client_ca = v),
        },
        "File with the authorities that clients have their certificates from (PEM). Use an \
         authority of your own: whatever name it puts into a certificate is believed.",
    ),
    key(
        "client_crl",
        Def("\"\""),
        Kind::Text {
            what: "an absolute path, or empty",
            set: |d, v| optional_path(v).map(|v| tls(d).client_crl = v),
        },
        "File with lists of revoked certificates (PEM), one of every authority that issues \
         certificates for clients. A list that is out of date refuses all of its authority.",
    ),
];

pub(super) const DELEGATE: &[Key] = &[
    key(
        "kind",
        Ex("\"hil\""),
        Kind::Choice {
            of: &["hil", "keystone"],
            set: |d, v| delegate(d).kind = Some([DelegateKind::Hil, DelegateKind::Keystone][v]),
        },
        "Whom to ask: HIL, for a user name and a password (HTTP Basic), or Keystone, for a token \
         (`X-Auth-Token`).",
    ),
    key(
        "url",
        Ex("\"https://hil.example:5000\""),
        Kind::Text {
            what: "a URL, https:// or http://, up to where the paths of its API begin",
            set: |d, v| parse::url(v).map(|v| delegate(d).url = v),
        },
        "Where. Over `http://`, who listens on the way learns the credentials.",
    ),
    key(
        "ca",
        Def("\"\""),
        Kind::Text {
            what: "an absolute path, or empty",
            set: |d, v| optional_path(v).map(|v| delegate(d).ca = v),
        },
        "File with the authorities that its certificate may be from (PEM); empty: those that this \
         system trusts.",
    ),
    key(
        "role",
        Def("\"operator\""),
        Kind::Choice {
            of: &["reader", "operator", "admin"],
            set: |d, v| {
                let roles = [DelegateRole::Reader, DelegateRole::Operator, DelegateRole::Admin];
                delegate(d).role = roles[v];
            },
        },
        "What whom HIL lets into a project may do in it. Keystone tells roles itself: `reader`, \
         `member` (operator) and `admin`.",
    ),
    key(
        "domain",
        Def("\"Default\""),
        Kind::Text { what: "a name", set: |d, v| parse::text(v).map(|v| delegate(d).domain = v) },
        "Name of the Keystone domain whose projects are meant; tokens for those of others are \
         refused.",
    ),
    key(
        "timeout_seconds",
        Def("5"),
        Kind::Integer { min: 1, max: 30, set: |d, v| delegate(d).timeout = seconds(v) },
        "Time for an answer. Without one the call is refused (503).",
    ),
    key(
        "cache_seconds",
        Def("30"),
        Kind::Integer { min: 0, max: 3600, set: |d, v| delegate(d).cache = seconds(v) },
        "How long a yes holds before it is asked again; a no is asked again each time.",
    ),
];

fn tls(draft: &mut Draft) -> &mut ControlTls {
    draft.config.control.tls.get_or_insert_default()
}

pub(super) fn delegate(draft: &mut Draft) -> &mut Delegate {
    draft.config.control.delegate.get_or_insert_default()
}

pub(super) fn enter_tls(draft: &mut Draft) {
    tls(draft);
}

pub(super) fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    if text.is_empty() { Ok(None) } else { parse::path(text).map(Some) }
}

/// What is missing in the two tables: table and key.
pub(in crate::config) fn missing(draft: &Draft) -> Option<(&'static str, &'static str)> {
    let control = &draft.config.control;
    let tls = control.tls.as_ref().and_then(|tls| {
        let files =
            [("certificate", &tls.certificate), ("key", &tls.key), ("client_ca", &tls.client_ca)];
        let file = files.iter().find(|(_, path)| path.as_os_str().is_empty()).map(|it| it.0);
        let key = if tls.listen.is_empty() { Some("listen") } else { file };
        key.map(|key| ("control.tls", key))
    });
    let delegate = control.delegate.as_ref().and_then(|delegate| {
        let key = if delegate.kind.is_none() { Some("kind") } else { None };
        let key = key.or(if delegate.url.is_empty() { Some("url") } else { None });
        key.map(|key| ("control.delegate", key))
    });
    tls.or(delegate)
}
