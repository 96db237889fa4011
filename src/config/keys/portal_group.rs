//! The keys of `[[portal_group]]`.

use std::net::SocketAddr;

use super::Sample::{Default as Def, Example as Ex};
use super::{Draft, Key, Kind, key, secret_file, to_u16};
use crate::config::{Chap, PortalGroup, parse};

pub(super) const PORTAL_GROUP: &[Key] = &[
    key(
        "tag",
        Ex("2"),
        Kind::Integer { min: 1, max: 65535, set: |d, v| group(d).tag = to_u16(v) },
        "Portal group tag, different in each group. It is also the number of the SCSI target port.",
    ),
    key(
        "portals",
        Ex("[\"192.0.2.1:3260\", \"[2001:db8::1]:3260\"]"),
        Kind::List {
            what: "like ADDR:PORT",
            clear: |d| group(d).portals.clear(),
            push: |d, v| parse::portal(v).map(|v| group(d).portals.push(v)),
            empty_allowed: false,
        },
        "Addresses to listen on. IPv6 addresses stand in brackets and take IPv6 only.",
    ),
    key(
        "advertise",
        Def("[]"),
        Kind::List {
            what: "like ADDR or ADDR:PORT",
            clear: |d| group(d).advertise.clear(),
            push: |d, v| parse::advertised(v).map(|v| group(d).advertise.push(v)),
            empty_allowed: true,
        },
        "Addresses told to initiators for this group; empty: the portals themselves.",
    ),
    key(
        "initiators",
        Def("[]"),
        Kind::List {
            what: "an initiator name, or the beginning of some and `*`",
            clear: |d| group(d).initiators.clear(),
            push: |d, v| parse::initiator(v).map(|v| group(d).initiators.push(v)),
            empty_allowed: true,
        },
        "Who may log in here, for discovery too; empty: everyone. Rules of disks come on top.",
    ),
    key(
        "addresses",
        Def("[]"),
        Kind::List {
            what: "like ADDR or ADDR/PREFIX",
            clear: |d| group(d).addresses.clear(),
            push: |d, v| parse::network(v).map(|v| group(d).addresses.push(v)),
            empty_allowed: true,
        },
        "Networks from which one may log in here; empty: any.",
    ),
    key(
        "discovery_chap_user",
        Ex("\"discovery\""),
        Kind::Text {
            what: "1 to 255 bytes",
            set: |d, v| parse::chap_user(v).map(|v| group_chap(d).user = v),
        },
        "As `chap_user` in [discovery], for this group.",
    ),
    key(
        "discovery_chap_secret",
        Ex("\"at least 12 bytes\""),
        Kind::Text {
            what: "12 to 255 bytes",
            set: |d, v| {
                d.holds_secret = true;
                once(group_chap(d))?;
                parse::secret(v).map(|v| group_chap(d).secret = v)
            },
        },
        "As `chap_secret` in [discovery], for this group.",
    ),
    key(
        "discovery_chap_secret_file",
        Ex("\"/etc/stirrup/discovery.secret\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| {
                once(group_chap(d))?;
                let v = secret_file(d, v)?;
                group_chap(d).secret = v;
                Ok(())
            },
        },
        "As `chap_secret_file` in [discovery], for this group.",
    ),
];

/// The portal group that is being read.
fn group(draft: &mut Draft) -> &mut PortalGroup {
    if draft.config.portal_groups.is_empty() {
        draft.config.portal_groups.push(PortalGroup::default());
    }
    let last = draft.config.portal_groups.len() - 1;
    &mut draft.config.portal_groups[last]
}

fn group_chap(draft: &mut Draft) -> &mut Chap {
    group(draft).discovery.get_or_insert_default()
}

fn once(chap: &Chap) -> Result<(), String> {
    match chap.secret.is_empty() {
        true => Ok(()),
        false => Err("the secret is given already, and must be given once".to_owned()),
    }
}

/// What can be wrong with the portal group that was read last.
pub(super) fn check_group(draft: &Draft) -> Result<(), String> {
    let Some((group, before)) = draft.config.portal_groups.split_last() else { return Ok(()) };
    let missing = |key: &str| Err(format!("`{key}` is missing in [[portal_group]]"));
    if group.tag == 0 {
        return missing("tag");
    }
    if group.portals.is_empty() {
        return missing("portals");
    }
    if before.iter().any(|other| other.tag == group.tag) {
        return Err(format!("there is a portal group of tag {} already", group.tag));
    }
    let elsewhere = |portal: &&SocketAddr| {
        portal.port() != 0 && before.iter().any(|other| other.portals.contains(portal))
    };
    if let Some(portal) = group.portals.iter().find(elsewhere) {
        return Err(format!("portal {portal} is in another portal group already"));
    }
    match &group.discovery {
        Some(chap) if chap.user.is_empty() => missing("discovery_chap_user"),
        Some(chap) if chap.secret.is_empty() => missing("discovery_chap_secret"),
        _ => Ok(()),
    }
}
