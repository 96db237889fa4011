//! Answers for people: tables of many things, one thing line by line.

mod access;
mod disks;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, Table};
use indicatif::{BinaryBytes, HumanDuration};

use crate::control::api::boot::BootArguments;
use crate::control::api::disks::{Portal, Redirect};
use crate::control::api::images::{BootProfile, Image, Warning};
use crate::control::api::jobs::Job;
use crate::control::api::projects::Project;
use crate::control::api::sessions::Session;
use crate::control::api::system::Health;
use crate::control::api::tags::Tag;
use crate::control::api::targets::Target;
use crate::control::api::uploads::Upload;

use super::console::Console;
use super::error::ClientError;

pub(super) use access::{audit, certificates, tokens, whoami};
pub(super) use disks::{disk, disks, node, nodes, provisioned, qos, rows};

type Result = std::result::Result<(), ClientError>;

/// What stands for nothing.
const NONE: &str = "-";

/// States that ask for attention, and those in between; all others are as they should be.
const BAD: [&str; 5] = ["broken", "failed", "degraded", "no", "cancelled"];
const UNDER_WAY: [&str; 9] = [
    "uploading",
    "importing",
    "creating",
    "removing",
    "opening",
    "queued",
    "running",
    "disabled",
    "withdrawn",
];

pub(super) fn images(console: &mut Console<'_>, images: &[Image]) -> Result {
    let rows = images.iter().map(|image| {
        vec![
            text(&image.project),
            text(&image.name),
            text(size(image.size_bytes)),
            state(&image.state),
            text(&image.store),
            text(image.disks.len().to_string()),
            text(time(&image.created)),
        ]
    });
    table(
        console,
        "images",
        &["PROJECT", "IMAGE", "SIZE", "STATE", "STORE", "DISKS", "CREATED"],
        rows,
    )
}

pub(super) fn image(console: &mut Console<'_>, image: &Image) -> Result {
    // Nobody is told where another project's image lies.
    let backing = match image.backing.as_str() {
        "" => NONE.to_owned(),
        backing => format!("{backing}@{}", image.snapshot),
    };
    let lines = [
        ("project", image.project.clone()),
        ("image", image.name.clone()),
        ("state", image.state.clone()),
        ("size", size(image.size_bytes)),
        ("used", image.used_bytes.map_or(NONE.to_owned(), size)),
        ("format", image.format.clone()),
        ("source", or_none(&image.source)),
        ("store", image.store.clone()),
        ("backing", backing),
        ("created", time(&image.created)),
        ("disks", joined(&image.disks)),
        ("tags", joined(&image.tags)),
        ("cloned from", or_none(image.default_tag.as_ref().unwrap_or(&image.snapshot))),
        ("protected", yes(image.protected)),
        ("public", yes(image.public)),
        ("sha256", image.sha256.clone().unwrap_or_else(|| NONE.to_owned())),
    ];
    details(console, &lines)?;
    warnings(console, &image.warnings)
}

/// Images that were made of disks, and of which.
/// How far an upload is.
pub(super) fn upload(console: &mut Console<'_>, upload: &Upload) -> Result {
    let uploaded = match upload.size_bytes {
        Some(all) => progress(upload.offset_bytes, all),
        None => size(upload.offset_bytes),
    };
    let lines = [
        ("uploaded", uploaded),
        ("expires", upload.expires.as_deref().map_or(NONE.to_owned(), time)),
    ];
    details(console, &lines)
}

pub(super) fn snaps(console: &mut Console<'_>, images: &[Image]) -> Result {
    let rows = images.iter().filter_map(|image| {
        let disk = image.source.strip_prefix("disk ")?;
        Some(vec![text(&image.name), text(disk), state(&image.state), text(time(&image.created))])
    });
    table(console, "snapshots", &["SNAPSHOT", "DISK", "STATE", "CREATED"], rows)
}

pub(super) fn tags(console: &mut Console<'_>, tags: &[Tag]) -> Result {
    let rows = tags.iter().map(|tag| {
        vec![
            text(&tag.project),
            text(of(tag)),
            text(&tag.name),
            text(size(tag.size_bytes)),
            state(&tag.state),
            text(yes(tag.protected)),
            text(tag.disks.len().to_string()),
            text(time(&tag.created)),
        ]
    });
    let header = ["PROJECT", "OF", "TAG", "SIZE", "STATE", "PROTECTED", "DISKS", "CREATED"];
    table(console, "tags", &header, rows)
}

pub(super) fn tag(console: &mut Console<'_>, tag: &Tag) -> Result {
    let lines = [
        ("project", tag.project.clone()),
        ("of", of(tag)),
        ("tag", tag.name.clone()),
        ("state", tag.state.clone()),
        ("size", size(tag.size_bytes)),
        ("snapshot", tag.snapshot.clone()),
        ("protected", yes(tag.protected)),
        ("created", time(&tag.created)),
        ("disks", joined(&tag.disks)),
    ];
    details(console, &lines)
}

pub(super) fn projects(console: &mut Console<'_>, projects: &[Project]) -> Result {
    let rows = projects.iter().map(|project| {
        let mut cells = vec![text(&project.name)];
        cells.extend(amounts(project).map(|(_, amount)| text(amount)));
        cells
    });
    table(console, "projects", &["PROJECT", "DISKS", "SIZE", "NODES"], rows)
}

pub(super) fn project(console: &mut Console<'_>, project: &Project) -> Result {
    let mut lines = vec![("project", project.name.clone())];
    lines.extend(amounts(project));
    if !project.portal_groups.is_empty() {
        let tags: Vec<_> = project.portal_groups.iter().map(ToString::to_string).collect();
        lines.push(("portal groups", tags.join(", ")));
    }
    lines.extend(project.store.clone().map(|store| ("store", store)));
    lines.extend(project.image.clone().map(|image| ("image", image)));
    lines.extend(project.disk_bytes.map(|bytes| ("disk size", size(bytes))));
    lines.extend(project.qos.as_ref().map(|qos| ("disk limits", disks::limits(Some(qos)))));
    details(console, &lines)
}

/// What a project has, and of what it may have.
fn amounts(project: &Project) -> [(&'static str, String); 3] {
    let of = |has: String, limit: Option<String>| match limit {
        Some(limit) => format!("{has} of {limit}"),
        None => has,
    };
    let (usage, quota) = (&project.usage, &project.quota);
    [
        ("disks", of(usage.disks.to_string(), quota.disks.map(|limit| limit.to_string()))),
        ("size", of(size(usage.bytes), quota.bytes.map(size))),
        ("nodes", of(usage.nodes.to_string(), quota.nodes.map(|limit| limit.to_string()))),
    ]
}

fn of(tag: &Tag) -> String {
    match (&tag.image, &tag.disk) {
        (Some(image), _) => format!("image {image}"),
        (None, Some(disk)) => format!("disk {disk}"),
        (None, None) => NONE.to_owned(),
    }
}

fn or_none(text: &str) -> String {
    if text.is_empty() { NONE } else { text }.to_owned()
}

/// Without a colour: neither is wrong.
fn yes(is: bool) -> String {
    if is { "yes" } else { "-" }.to_owned()
}

pub(super) fn boot_profile(console: &mut Console<'_>, profile: &BootProfile) -> Result {
    if profile.boots == 0 {
        return Ok(writeln!(console.out, "No boot was learnt from yet.")?);
    }
    let lines = [
        ("boots", profile.boots.to_string()),
        ("ranges", profile.ranges.to_string()),
        ("bytes", size(profile.bytes)),
    ];
    details(console, &lines)
}

pub(super) fn targets(console: &mut Console<'_>, targets: &[Target]) -> Result {
    let rows = targets.iter().map(|target| {
        let serving = target.luns.iter().all(|lun| lun.serving);
        let luns: Vec<_> = target.luns.iter().map(|lun| lun.lun.to_string()).collect();
        let bytes: u64 =
            target.luns.iter().filter_map(|lun| lun.size_bytes).fold(0, u64::saturating_add);
        vec![
            text(&target.name),
            text(joined(&luns)),
            text(size(bytes)),
            state(if serving { "yes" } else { "no" }),
            text(target.sessions.to_string()),
            text(portals(&target.portals)),
        ]
    });
    table(console, "targets", &["TARGET", "LUN", "SIZE", "SERVING", "SESSIONS", "PORTALS"], rows)
}

pub(super) fn target(console: &mut Console<'_>, target: &Target) -> Result {
    let mut lines = vec![
        ("target", target.name.clone()),
        ("portals", portals(&target.portals)),
        ("sessions", target.sessions.to_string()),
    ];
    lines.extend(redirect(target.redirect.as_ref()));
    for lun in &target.luns {
        let bytes = lun.size_bytes.map_or_else(|| "not open".to_owned(), size);
        let access = if lun.read_only { "read-only" } else { "read-write" };
        lines.push(("LUN", format!("{}: {bytes}, {access}, WWID {}", lun.lun, lun.wwid)));
    }
    details(console, &lines)
}

/// Where initiators are sent to, if they are.
fn redirect(redirect: Option<&Redirect>) -> Option<(&'static str, String)> {
    let Redirect { address, permanently } = redirect?;
    let how = if *permanently { "for good" } else { "for now" };
    Some(("sent to", format!("{address}, {how}")))
}

pub(super) fn sessions(console: &mut Console<'_>, sessions: &[Session]) -> Result {
    let rows = sessions.iter().map(|session| {
        vec![
            text(session.id.to_string()),
            text(&session.initiator),
            text(session.target.as_deref().unwrap_or("(discovery)")),
            text(&session.address),
            text(time(&session.since)),
            text(size(session.bytes_read)),
            text(size(session.bytes_written)),
            text(session.commands.to_string()),
            text(session.iops.to_string()),
            text(session.latency.map_or_else(|| NONE.to_owned(), |it| micros(it.mean_us))),
            text(session.latency.map_or_else(|| NONE.to_owned(), |it| micros(it.p99_us))),
        ]
    });
    let header = [
        "ID",
        "INITIATOR",
        "TARGET",
        "ADDRESS",
        "SINCE",
        "READ",
        "WRITTEN",
        "COMMANDS",
        "IOPS",
        "LATENCY",
        "P99",
    ];
    table(console, "sessions", &header, rows)
}

pub(super) fn jobs(console: &mut Console<'_>, jobs: &[Job]) -> Result {
    let rows = jobs.iter().map(|job| {
        vec![
            text(job.id.to_string()),
            text(&job.kind),
            text(&job.project),
            text(&job.object),
            state(&job.state),
            text(job_progress(job)),
            text(time(&job.created)),
        ]
    });
    table(console, "jobs", &["ID", "KIND", "PROJECT", "OBJECT", "STATE", "DONE", "CREATED"], rows)
}

pub(super) fn job(console: &mut Console<'_>, job: &Job) -> Result {
    let lines = [
        ("job", job.id.to_string()),
        ("kind", job.kind.clone()),
        ("project", job.project.clone()),
        ("object", job.object.clone()),
        ("state", job.state.clone()),
        ("done", job_progress(job)),
        ("created", time(&job.created)),
        ("finished", job.finished.as_deref().map_or_else(|| NONE.to_owned(), time)),
        ("error", job.error.clone().unwrap_or_else(|| NONE.to_owned())),
    ];
    details(console, &lines)?;
    warnings(console, &job.warnings)
}

pub(super) fn health(console: &mut Console<'_>, health: &Health) -> Result {
    let mut lines = vec![("status", health.status.clone())];
    for store in &health.stores {
        let how = match (&store.error, store.ok) {
            (Some(error), false) => error.clone(),
            (_, ok) => if ok { "ok" } else { "does not answer" }.to_owned(),
        };
        lines.push(("store", format!("{} ({}): {how}", store.name, store.kind)));
    }
    let serving = health.disks.saturating_sub(health.disks_not_serving);
    lines.push(("disks", format!("{serving} of {} served", health.disks)));
    lines.push(("sessions", health.sessions.to_string()));
    for (what, hits, misses, bytes) in health.cache.iter().flat_map(|cache| {
        [
            ("golden images", cache.golden_hits, cache.golden_misses, cache.golden_bytes),
            ("disks", cache.disk_hits, cache.disk_misses, cache.disk_bytes),
        ]
    }) {
        let reads = u128::from(hits) + u128::from(misses);
        let share = (u128::from(hits) * 100).checked_div(reads);
        let share = share.map_or(NONE.to_owned(), |share| format!("{share} %"));
        let size = BinaryBytes(bytes);
        lines.push(("cache", format!("{what}: {share} of {reads} reads, {size}")));
    }
    if let Some(cache) = health.cache.filter(|cache| cache.file_bytes > 0) {
        let (hits, size) = (cache.file_hits, BinaryBytes(cache.file_bytes));
        lines.push(("cache", format!("file: {hits} reads, {size}")));
    }
    if let Some(boot) = health.boot.filter(|boot| boot.delivered + boot.refused > 0) {
        let (delivered, secrets, refused) = (boot.delivered, boot.secrets, boot.refused);
        let how = format!("{delivered} delivered ({secrets} with a secret), {refused} refused");
        lines.push(("boot scripts", how));
    }
    details(console, &lines)
}

/// What import noticed.
pub(super) fn warnings(console: &mut Console<'_>, warnings: &[Warning]) -> Result {
    warnings.iter().try_for_each(|warning| {
        console.note(&format!("warning: {} ({})", warning.message, warning.code))
    })
}

/// How far a job is: `45 % of 10.00 GiB`.
pub(super) fn progress(done_bytes: u64, total_bytes: u64) -> String {
    if total_bytes == 0 {
        return NONE.to_owned();
    }
    let percent = u128::from(done_bytes) * 100 / u128::from(total_bytes);
    format!("{percent} % of {}", size(total_bytes))
}

/// The same with the job's rate and the time that is left: `45 % of 10.00 GiB, 1.00 GiB/s, 5 seconds left`.
pub(super) fn job_progress(job: &Job) -> String {
    let mut text = progress(job.done_bytes, job.total_bytes);
    if let Some(rate) = job.bytes_per_second {
        let _infallible = write!(text, ", {}/s", size(rate));
    }
    if let Some(seconds) = job.seconds_left {
        let _infallible = write!(text, ", {} left", HumanDuration(Duration::from_secs(seconds)));
    }
    text
}

pub(super) fn boot_arguments(console: &mut Console<'_>, boot: &BootArguments) -> Result {
    let mut lines: Vec<(&str, String)> =
        boot.uris.iter().map(|uri| ("sanboot", uri.clone())).collect();
    lines.extend([
        ("CHAP", yes(boot.chap)),
        ("dracut, by iBFT", boot.dracut_ibft.clone()),
        ("dracut", boot.dracut.clone()),
        ("Debian, by iBFT", boot.initramfs_tools_ibft.clone()),
        ("Debian", boot.initramfs_tools.clone()),
    ]);
    details(console, &lines)
}

/// A text as it may go to a terminal: names can come from initiators, so control characters are
/// shown, not sent.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Microseconds, for a person.
fn micros(us: u64) -> String {
    match us {
        0..1000 => format!("{us} µs"),
        1000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

/// A time of RFC 3339 without fractions of a second.
pub(super) fn time(text: &str) -> String {
    match text.split_once('.') {
        Some((seconds, rest)) => {
            format!("{seconds}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => text.to_owned(),
    }
}

fn joined(items: &[String]) -> String {
    if items.is_empty() { NONE.to_owned() } else { items.join(", ") }
}

fn portals(portals: &[Portal]) -> String {
    let shown: Vec<_> = portals
        .iter()
        .map(|Portal { address, port, tpgt }| {
            if address.contains(':') && !address.starts_with('[') {
                format!("[{address}]:{port},{tpgt}")
            } else {
                format!("{address}:{port},{tpgt}")
            }
        })
        .collect();
    joined(&shown)
}

fn text(content: impl AsRef<str>) -> Cell {
    Cell::new(plain(content.as_ref()))
}

fn state(content: &str) -> Cell {
    let cell = text(content);
    if BAD.contains(&content) {
        cell.fg(Color::Red)
    } else if UNDER_WAY.contains(&content) {
        cell.fg(Color::Yellow)
    } else if content == NONE {
        cell
    } else {
        cell.fg(Color::Green)
    }
}

fn table(
    console: &mut Console<'_>,
    what: &str,
    header: &[&str],
    rows: impl Iterator<Item = Vec<Cell>>,
) -> Result {
    let mut table = new_table(console);
    table.set_header(header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    table.add_rows(rows);
    if table.is_empty() {
        return console.note(&format!("no {what}"));
    }
    write_table(console, &table)
}

fn details(console: &mut Console<'_>, lines: &[(&str, String)]) -> Result {
    let mut table = new_table(console);
    for (name, value) in lines {
        let known = BAD.contains(&value.as_str()) || UNDER_WAY.contains(&value.as_str());
        let value = if known { state(value) } else { text(value) };
        table.add_row([Cell::new(format!("{name}:")), value]);
    }
    write_table(console, &table)
}

fn new_table(console: &Console<'_>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if console.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

fn write_table(console: &mut Console<'_>, table: &Table) -> Result {
    // The first column stands at the very left.
    for line in table.lines() {
        let line = line.trim_end();
        writeln!(console.out, "{}", line.strip_prefix(' ').unwrap_or(line))?;
    }
    Ok(())
}
