//! `[store.local]` and `[store.rbd]`.

use std::time::Duration;

use super::super::{RbdEncryption, RbdStore, parse};
use super::Sample::Default as Def;
use super::{Draft, Key, Kind, key, some_seconds, to_usize};

pub(super) const LOCAL: &[Key] = &[
    key(
        "directory",
        Def("\"/var/lib/stirrup/local\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| d.config.local.directory = v),
        },
        "Directory of the images. It is made if it is not there.",
    ),
    key(
        "write_cache",
        Def("false"),
        Kind::Bool(|d, v| d.config.local.write_cache = v),
        "Acknowledge writes before they are on stable storage, and tell initiators so (WCE), as a \
         disk with a write cache does. What was written since the last flush can be lost in a \
         power failure.",
    ),
    key(
        "io_threads",
        Def("0"),
        Kind::Integer { min: 0, max: 256, set: |d, v| d.config.local.io_threads = to_usize(v) },
        "Threads that do the file I/O; 0: chosen by the number of cores.",
    ),
];

pub(super) const RBD: &[Key] = &[
    key(
        "pool",
        Def("\"rbd\""),
        Kind::Text { what: "a name", set: |d, v| parse::ceph_name(v).map(|v| rbd(d).pool = v) },
        "The pool.",
    ),
    key(
        "namespace",
        Def("\"\""),
        Kind::Text {
            what: "a name, or empty",
            set: |d, v| {
                let v = if v.is_empty() { String::new() } else { parse::ceph_name(v)? };
                rbd(d).namespace = v;
                Ok(())
            },
        },
        "RBD namespace in the pool; empty: the default one.",
    ),
    key(
        "ceph_conf",
        Def("\"/etc/ceph/ceph.conf\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| rbd(d).ceph_conf = v),
        },
        "The cluster's configuration file; it names the keyring, too.",
    ),
    key(
        "ceph_user",
        Def("\"admin\""),
        Kind::Text {
            what: "a name",
            set: |d, v| parse::ceph_user(v).map(|v| rbd(d).ceph_user = v),
        },
        "Ceph user, without `client.`. `profile rbd` on the monitors and on the pool is enough.",
    ),
    key(
        "clients",
        Def("1"),
        Kind::Integer { min: 1, max: 64, set: |d, v| rbd(d).clients = to_usize(v) },
        "Clients of the cluster that the disks are spread over. Each has threads and connections \
         of its own; a client that is blocklisted takes only its own disks with it. \
         [docs/rbd.md](rbd.md) has what each costs.",
    ),
    key(
        "encryption",
        Def("\"none\""),
        Kind::Choice {
            of: &["none", "luks1", "luks2"],
            set: |d, v| {
                let formats = [RbdEncryption::None, RbdEncryption::Luks1, RbdEncryption::Luks2];
                rbd(d).encryption = formats[v];
            },
        },
        "How images are encrypted in the cluster that are imported from now on. Their disks are \
         encrypted, too, and copies of them, not clones. Needs `passphrase_file`.",
    ),
    key(
        "passphrase_file",
        Def("\"\""),
        Kind::Text {
            what: "an absolute path, or empty",
            set: |d, v| {
                rbd(d).passphrase_file = if v.is_empty() { None } else { Some(parse::path(v)?) };
                Ok(())
            },
        },
        "File with the passphrase of encrypted images, one line; nobody but its owner may read it. \
         Read at the start.",
    ),
    key(
        "idle_close_seconds",
        Def("60"),
        Kind::Integer { min: 0, max: 86_400, set: |d, v| rbd(d).idle_close = some_seconds(v) },
        "A disk that has had no session for so long is closed, and opened again when one begins; \
         0: all are opened at the start, and stay open.",
    ),
];

pub(super) fn rbd(draft: &mut Draft) -> &mut RbdStore {
    draft.config.rbd.get_or_insert_with(|| RbdStore {
        pool: "rbd".into(),
        namespace: String::new(),
        ceph_conf: "/etc/ceph/ceph.conf".into(),
        ceph_user: "admin".into(),
        clients: 1,
        encryption: RbdEncryption::None,
        passphrase_file: None,
        idle_close: Some(Duration::from_secs(60)),
    })
}
