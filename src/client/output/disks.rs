//! Disks and nodes.

use std::io::Write;

use super::{
    Console, NONE, Result, details, joined, redirect, size, state, table, text, time, yes,
};
use crate::control::api::disks::Disk;
use crate::control::api::images::Image;
use crate::control::api::nodes::Node;
use crate::control::api::settings::Qos;

pub(in crate::client) fn disks(console: &mut Console<'_>, disks: &[Disk]) -> Result {
    let rows = disks.iter().map(|disk| {
        vec![
            text(&disk.project),
            text(&disk.name),
            text(disk.node.as_deref().unwrap_or(NONE)),
            text(&disk.image),
            text(size(disk.size_bytes)),
            text(disk.used_bytes.map_or_else(|| NONE.to_owned(), size)),
            state(&disk.state),
            state(&disk.export),
            text(&disk.boot.iqn),
        ]
    });
    let header = ["PROJECT", "DISK", "NODE", "IMAGE", "SIZE", "USED", "STATE", "EXPORT", "TARGET"];
    table(console, "disks", &header, rows)
}

pub(in crate::client) fn disk(console: &mut Console<'_>, disk: &Disk) -> Result {
    details(console, &disk_lines(disk))
}

/// What a disk is made of.
fn origin(disk: &Disk) -> String {
    let mut origin = disk.image.clone();
    if let Some(tag) = &disk.tag {
        origin = format!("{origin}@{tag}");
    }
    match (disk.edits, disk.flattened) {
        (true, _) => format!("{origin} itself"),
        (false, true) => format!("{origin}, which it does not need any more"),
        (false, false) => origin,
    }
}

fn disk_lines(disk: &Disk) -> Vec<(&'static str, String)> {
    let mut export = disk.export.clone();
    if disk.rolling_back {
        export = format!("{export}: it is being rolled back");
    }
    if let Some(error) = &disk.export_error {
        export = format!("{export}: {error}");
    }
    let initiators = match (disk.open, disk.initiators.is_empty()) {
        (true, _) => "any".to_owned(),
        (false, true) => "none".to_owned(),
        (false, false) => disk.initiators.join(", "),
    };
    let addresses =
        if disk.addresses.is_empty() { "any".to_owned() } else { disk.addresses.join(", ") };
    let groups: Vec<_> = disk.portal_groups.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        ("project", disk.project.clone()),
        ("disk", disk.name.clone()),
        ("node", disk.node.clone().unwrap_or_else(|| NONE.to_owned())),
        ("image", origin(disk)),
        ("state", disk.state.clone()),
        ("export", export),
        ("size", size(disk.size_bytes)),
        ("store", disk.store.clone()),
        ("backing", disk.backing.clone()),
        ("created", time(&disk.created)),
        ("initiators", initiators),
        ("addresses", addresses),
        ("CHAP", chap(disk)),
        ("access", if disk.read_only { "read-only" } else { "read-write" }.to_owned()),
        ("limits", limits(disk.qos.as_ref())),
        ("used", disk.used_bytes.map_or_else(|| NONE.to_owned(), size)),
        ("target", disk.boot.iqn.clone()),
        ("LUN", disk.boot.lun.to_string()),
        ("WWID", disk.boot.wwid.clone()),
    ];
    if !groups.is_empty() {
        lines.push(("portal groups", groups.join(", ")));
    }
    lines.extend(redirect(disk.redirect.as_ref()));
    lines.extend(disk.boot.uris.iter().map(|uri| ("boot", uri.clone())));
    lines
}

fn chap(disk: &Disk) -> String {
    let when = disk.chap_delivered.as_deref().map(time);
    match (disk.chap, disk.chap_per_node.as_deref(), when) {
        (false, ..) => "no".to_owned(),
        (true, None, _) => "required".to_owned(),
        (true, Some("once"), None) => "the node's own, to be handed out once".to_owned(),
        (true, Some(_), None) => "the node's own".to_owned(),
        (true, Some(_), Some(when)) => format!("the node's own, handed out {when}"),
    }
}

/// What a disk may be asked for, on a line.
fn limits(qos: Option<&Qos>) -> String {
    let Some(qos) = qos else { return "none".to_owned() };
    let rate = |operations: (Option<u64>, &str), bytes: (Option<u64>, &str)| {
        let count = operations.0.map(|n| format!("{n} {}", operations.1));
        let data = bytes.0.map(|n| format!("{}/s{}", size(n), bytes.1));
        [count, data].into_iter().flatten()
    };
    let parts: Vec<_> = rate((qos.iops, "I/O/s"), (qos.bytes_per_second, ""))
        .chain(rate((qos.read_iops, "reads/s"), (qos.read_bytes_per_second, " read")))
        .chain(rate((qos.write_iops, "writes/s"), (qos.write_bytes_per_second, " written")))
        .collect();
    format!("{}, bursts of {} s", parts.join(", "), qos.burst_seconds.unwrap_or(1))
}

pub(in crate::client) fn qos(console: &mut Console<'_>, disk: &Disk) -> Result {
    let lines = [("disk", disk.name.clone()), ("limits", limits(disk.qos.as_ref()))];
    details(console, &lines)
}

/// M2's `db ls`.
pub(in crate::client) fn rows(
    console: &mut Console<'_>,
    images: &[Image],
    disks: &[Disk],
) -> Result {
    let images = images.iter().map(|image| {
        let snapshot = yes(image.source.starts_with("disk "));
        vec![
            text(&image.name),
            text(&image.project),
            text(&image.backing),
            text(snapshot),
            text(NONE),
        ]
    });
    let disks = disks.iter().map(|disk| {
        vec![
            text(&disk.name),
            text(&disk.project),
            text(&disk.backing),
            text(NONE),
            text(&disk.image),
        ]
    });
    let header = ["NAME", "PROJECT", "IN STORE", "SNAPSHOT", "PARENT"];
    table(console, "images and disks", &header, images.chain(disks))
}

pub(in crate::client) fn nodes(console: &mut Console<'_>, nodes: &[Node]) -> Result {
    let rows = nodes.iter().map(|node| {
        let disk = node.disk.as_ref();
        vec![
            text(&node.project),
            text(&node.name),
            text(disk.map_or(NONE, |disk| &disk.name)),
            text(disk.map_or(NONE, |disk| &disk.image)),
            state(disk.map_or(NONE, |disk| &disk.export)),
            text(joined(&node.macs)),
            text(node.initiator.as_deref().unwrap_or(NONE)),
        ]
    });
    let header = ["PROJECT", "NODE", "DISK", "IMAGE", "EXPORT", "MAC", "INITIATOR"];
    table(console, "nodes", &header, rows)
}

pub(in crate::client) fn node(console: &mut Console<'_>, node: &Node) -> Result {
    let lines = [
        ("project", node.project.clone()),
        ("node", node.name.clone()),
        ("MAC", joined(&node.macs)),
        ("initiator", node.initiator.clone().unwrap_or_else(|| NONE.to_owned())),
        ("created", time(&node.created)),
        ("disk", node.disk.as_ref().map_or(NONE, |disk| &disk.name).to_owned()),
    ];
    details(console, &lines)?;
    match &node.disk {
        Some(disk) => {
            writeln!(console.out)?;
            details(console, &disk_lines(disk))
        }
        None => Ok(()),
    }
}

/// M2's `showpro`: which node has a clone of what.
pub(in crate::client) fn provisioned(console: &mut Console<'_>, disks: &[Disk]) -> Result {
    let rows = disks.iter().filter_map(|disk| {
        let node = disk.node.as_deref()?;
        Some(vec![text(node), text(&disk.image), state(&disk.export), text(&disk.boot.uri)])
    });
    table(console, "provisioned nodes", &["NODE", "IMAGE", "EXPORT", "BOOT"], rows)
}
