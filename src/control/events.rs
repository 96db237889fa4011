//! What happens, for whoever wants to hear of it: a ring of events that streams read at their own
//! pace. A stream has a place in the ring and no queue: a client that reads slowly costs nothing,
//! and is told what it has missed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::SessionInfo;
use super::access::Caller;
use super::api::events::Event;
use super::api::{jobs, sessions};
use crate::catalog::{Catalog, Job, Name, Noun, Role, RowChange, Watched, Watcher, What};

/// Events that are kept for those who come back.
const KEPT_MAX: usize = 4096;
/// Bytes of them, as JSON.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Streams at once, and those of one caller.
const STREAMS_MAX: usize = 64;
const STREAMS_OF_ONE_MAX: usize = 16;
/// What is sent in one piece, about.
const CHUNK_BYTES: usize = 64 << 10;
/// A client that takes nothing for so long is cut off.
const STALL_MAX: Duration = Duration::from_secs(60);
/// So often a stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this time, and whoever comes back has to show again who it is.
const LIFETIME: Duration = Duration::from_secs(3600);
/// Time between two looks at the jobs that run.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Every kind of event there is.
pub(super) const KINDS: &[&str] = &[
    "image.made",
    "image.changed",
    "image.removed",
    "disk.made",
    "disk.changed",
    "disk.removed",
    "node.made",
    "node.changed",
    "node.removed",
    "tag.made",
    "tag.changed",
    "tag.removed",
    "project.made",
    "project.changed",
    "project.removed",
    "token.made",
    "token.changed",
    "token.removed",
    "certificate.made",
    "certificate.changed",
    "certificate.removed",
    "job.made",
    "job.progress",
    "job.ended",
    "target.opening",
    "target.serving",
    "target.failed",
    "target.withdrawn",
    "session.began",
    "session.ended",
    "boot.delivered",
    "boot.refused",
];

/// Whether a kind is the one that is wanted, or one of those.
pub(super) fn is_of(kind: &str, wanted: &str) -> bool {
    kind.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The events. Clones are handles of the same ones.
#[derive(Clone)]
pub struct Events(Arc<Inner>);

struct Inner {
    /// Marks the ids of this run of the daemon.
    run: String,
    ring: Mutex<Ring>,
    /// Wakes the streams.
    news: watch::Sender<()>,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Ring {
    kept: VecDeque<Arc<Kept>>,
    bytes: usize,
    /// The number of the last event; the first one has 1.
    last: u64,
    /// Numbers up to this one are not kept any more.
    forgotten: u64,
    /// How the targets stand, by their names.
    targets: HashMap<String, Standing>,
    /// Jobs that run, and the number of the event that says how far each is.
    progress: HashMap<u64, u64>,
    closed: bool,
}

struct Standing {
    project: String,
    disk: String,
    kind: &'static str,
    reason: Option<String>,
}

/// An event in the ring.
struct Kept {
    number: u64,
    kind: &'static str,
    audience: Audience,
    /// Who has lost what they could show: `token NAME`.
    revoked: Option<String>,
    json: Bytes,
}

/// Who may hear of an event.
enum Audience {
    /// Who sees this project.
    Project(String),
    /// Who sees all projects.
    All,
    /// Who may see credentials.
    Admins,
}

#[derive(Default)]
struct Streams {
    /// By caller.
    open: BTreeMap<String, usize>,
    /// Somebody looks at the jobs.
    watched: bool,
}

/// A stream's place among those that may be open; given back when dropped.
pub(super) struct Place {
    events: Events,
    who: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.events.0.streams.lock();
        if let Some(count) = streams.open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                streams.open.remove(&self.who);
            }
        }
    }
}

/// What a stream wants, and may have.
pub(super) struct Wanted {
    /// The only project that exists for the caller.
    own: Option<String>,
    /// The project that was asked for.
    project: Option<String>,
    admin: bool,
    /// Empty: all.
    types: Vec<String>,
    /// Who the caller is.
    who: String,
}

impl Wanted {
    pub(super) fn new(caller: &Caller, project: Option<&Name>, types: Vec<String>) -> Self {
        Self {
            own: caller.project.as_ref().map(Name::to_string),
            project: project.map(Name::to_string),
            admin: caller.role == Role::Admin && caller.project.is_none(),
            types,
            who: caller.who.clone(),
        }
    }

    fn takes(&self, event: &Kept) -> bool {
        let asked = match (&event.audience, &self.project) {
            (_, None) => true,
            (Audience::Project(of), Some(project)) => of == project,
            _ => false,
        };
        let may = match &event.audience {
            Audience::Project(of) => self.own.as_ref().is_none_or(|own| own == of),
            Audience::All => self.own.is_none(),
            Audience::Admins => self.admin,
        };
        let types = &self.types;
        asked && may && (types.is_empty() || types.iter().any(|of| is_of(event.kind, of)))
    }

    /// Whether the event says that the caller's credential is worth nothing any more.
    fn ends_with(&self, event: &Kept) -> bool {
        event.revoked.as_ref().is_some_and(|who| self.who == *who)
    }
}

/// What a stream gets from the ring.
struct Read {
    frames: Vec<u8>,
    /// There is no more at the moment.
    is_all: bool,
    /// Why it ends, after the frames.
    end: Option<&'static str>,
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// No events yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            run: format!("{:x}", Timestamp::now().as_microsecond()),
            ring: Mutex::default(),
            news: watch::Sender::new(()),
            streams: Mutex::default(),
        }))
    }

    /// Ends all streams, for good.
    pub fn close(&self) {
        self.0.ring.lock().closed = true;
        self.0.news.send_replace(());
    }

    /// A session has logged in.
    pub fn session_began(&self, session: SessionInfo) {
        self.session("session.began", session, None);
    }

    /// A session has ended.
    pub fn session_ended(&self, session: SessionInfo, why: &str) {
        self.session("session.ended", session, Some(why.to_owned()));
    }

    fn session(&self, kind: &'static str, session: SessionInfo, reason: Option<String>) {
        let mut ring = self.0.ring.lock();
        let standing = session.target.as_ref().and_then(|target| ring.targets.get(target));
        let (project, disk) = standing.map(|of| (of.project.clone(), of.disk.clone())).unzip();
        let target = session.target.clone();
        let session = Some(sessions::render(session));
        let audience = project.clone().map_or(Audience::All, Audience::Project);
        let event = Event { project, disk, target, session, reason, ..Event::default() };
        self.push(&mut ring, kind, audience, event);
    }

    /// A target is served, or will be as soon as its volume is open.
    pub fn target_published(&self, target: &str, project: &str, disk: &str, serving: bool) {
        let kind = if serving { "target.serving" } else { "target.opening" };
        let (project, disk) = (project.to_owned(), disk.to_owned());
        self.target(target, Standing { project, disk, kind, reason: None });
    }

    /// The volume of a target could not be opened.
    pub fn target_failed(&self, target: &str, why: &str) {
        let known = {
            let ring = self.0.ring.lock();
            let of = ring.targets.get(&target.to_ascii_lowercase());
            of.map(|of| (of.project.clone(), of.disk.clone()))
        };
        let Some((project, disk)) = known else { return };
        let (kind, reason) = ("target.failed", Some(why.to_owned()));
        self.target(target, Standing { project, disk, kind, reason });
    }

    /// A target is there no more.
    pub fn target_withdrawn(&self, target: &str) {
        let mut ring = self.0.ring.lock();
        if let Some(before) = ring.targets.remove(&target.to_ascii_lowercase()) {
            self.tell_target(&mut ring, target, "target.withdrawn", &before, None);
        }
    }

    /// Told if it is news.
    fn target(&self, target: &str, standing: Standing) {
        let mut ring = self.0.ring.lock();
        let before = ring.targets.get(&target.to_ascii_lowercase());
        if before.is_some_and(|it| (it.kind, &it.reason) == (standing.kind, &standing.reason)) {
            return;
        }
        self.tell_target(&mut ring, target, standing.kind, &standing, standing.reason.clone());
        ring.targets.insert(target.to_ascii_lowercase(), standing);
    }

    fn tell_target(
        &self,
        ring: &mut Ring,
        target: &str,
        kind: &'static str,
        of: &Standing,
        reason: Option<String>,
    ) {
        let event = Event {
            project: Some(of.project.clone()),
            disk: Some(of.disk.clone()),
            target: Some(target.to_owned()),
            reason,
            ..Event::default()
        };
        self.push(ring, kind, Audience::Project(of.project.clone()), event);
    }

    /// A machine has its boot script, or has none.
    pub(super) fn boot(&self, kind: &'static str, event: Event) {
        let audience = event.project.clone().map_or(Audience::All, Audience::Project);
        self.push(&mut self.0.ring.lock(), kind, audience, event);
    }

    /// How far a job is; takes the place of what was said of it before.
    fn job_progress(&self, job: Job) {
        let id = job.id;
        let mut ring = self.0.ring.lock();
        if let Some(before) = ring.progress.remove(&id) {
            ring.drop_superseded(before);
        }
        self.tell_job(&mut ring, "job.progress", job);
        let number = ring.last;
        ring.progress.insert(id, number);
    }

    fn tell_job(&self, ring: &mut Ring, kind: &'static str, job: Job) {
        let job = jobs::render(job);
        let audience = Audience::Project(job.project.clone());
        let event = Event {
            project: Some(job.project.clone()),
            object: Some(job.object.clone()),
            state: Some(job.state.clone()),
            reason: job.error.clone(),
            job: Some(job),
            ..Event::default()
        };
        self.push(ring, kind, audience, event);
    }

    /// Gives an event its number, and keeps it.
    fn push(&self, ring: &mut Ring, kind: &'static str, audience: Audience, event: Event) {
        let number = ring.last + 1;
        let revoked = match kind.split_once('.') {
            Some((noun @ ("token" | "certificate"), "changed" | "removed")) => {
                event.object.as_ref().map(|name| format!("{noun} {name}"))
            }
            _ => None,
        };
        let event = Event {
            id: self.id(number),
            time: Timestamp::now().to_string(),
            kind: kind.to_owned(),
            ..event
        };
        // An event is a struct of texts: this cannot fail.
        let json = Bytes::from(serde_json::to_vec(&event).unwrap_or_default());
        ring.last = number;
        ring.bytes += json.len();
        ring.kept.push_back(Arc::new(Kept { number, kind, audience, revoked, json }));
        while ring.kept.len() > KEPT_MAX || ring.bytes > KEPT_BYTES_MAX {
            let Some(old) = ring.kept.pop_front() else { break };
            ring.bytes -= old.json.len();
            ring.forgotten = old.number;
        }
        self.0.news.send_replace(());
    }

    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.0.run)
    }

    /// A place for one more stream; `None` if there are too many. While there are any, somebody looks
    /// at the jobs.
    pub(super) fn place(&self, who: &str, catalog: &Catalog) -> Option<Place> {
        let mut streams = self.0.streams.lock();
        let of_one = streams.open.get(who).copied().unwrap_or(0);
        if of_one >= STREAMS_OF_ONE_MAX || streams.open.values().sum::<usize>() >= STREAMS_MAX {
            return None;
        }
        streams.open.insert(who.to_owned(), of_one + 1);
        if !std::mem::replace(&mut streams.watched, true) {
            tokio::spawn(watch_jobs(self.clone(), catalog.clone()));
        }
        Some(Place { events: self.clone(), who: who.to_owned() })
    }

    /// Where a stream begins: after the event of this id, or with the next one.
    pub(super) fn cursor(&self, since: Option<&str>) -> Cursor {
        let ring = self.0.ring.lock();
        let Some(since) = since else { return Cursor { next: ring.last + 1, gap: false } };
        if since == "start" {
            return Cursor { next: ring.forgotten + 1, gap: false };
        }
        let number = since.strip_prefix(&self.0.run).and_then(|rest| rest.strip_prefix('-'));
        match number.and_then(|number| number.parse::<u64>().ok()) {
            Some(number) if number <= ring.last => Cursor { next: number + 1, gap: false },
            // Of another run: all of this one comes after it, and what was before is lost.
            _ => Cursor { next: ring.forgotten + 1, gap: true },
        }
    }

    /// The next frames for a stream.
    fn read(&self, cursor: &mut Cursor, wanted: &Wanted) -> Read {
        let mut found = Vec::new();
        let mut frames = Vec::new();
        let (mut is_all, mut end) = (true, None);
        {
            let ring = self.0.ring.lock();
            let lost = (ring.forgotten + 1).saturating_sub(cursor.next);
            if lost > 0 || std::mem::take(&mut cursor.gap) {
                cursor.next = cursor.next.max(ring.forgotten + 1);
                let event = Event { lost: (lost > 0).then_some(lost), ..Event::default() };
                frames = self.frame("lost", cursor.next - 1, event);
            }
            let first = ring.kept.partition_point(|event| event.number < cursor.next);
            let mut bytes = 0;
            for event in ring.kept.range(first..) {
                if bytes >= CHUNK_BYTES {
                    is_all = false;
                    break;
                }
                cursor.next = event.number + 1;
                if wanted.ends_with(event) {
                    end = Some("the credential is worth nothing any more");
                    break;
                }
                if wanted.takes(event) {
                    bytes += event.json.len();
                    found.push(Arc::clone(event));
                }
            }
            if is_all && end.is_none() {
                cursor.next = ring.last + 1;
                end = ring.closed.then_some("stirrupd is stopping");
            }
        }
        for event in found {
            self.write_frame(&mut frames, event.kind, event.number, &event.json);
        }
        Read { frames, is_all, end }
    }

    /// A frame that is for one stream only.
    fn frame(&self, kind: &str, number: u64, event: Event) -> Vec<u8> {
        let time = Timestamp::now().to_string();
        let event = Event { id: self.id(number), time, kind: kind.to_owned(), ..event };
        let mut frame = Vec::new();
        let json = serde_json::to_vec(&event).unwrap_or_default();
        self.write_frame(&mut frame, kind, number, &json);
        frame
    }

    /// JSON has no line ends, so it is one `data` line.
    fn write_frame(&self, out: &mut Vec<u8>, kind: &str, number: u64, json: &[u8]) {
        let head = format!("id: {}\nevent: {kind}\ndata: ", self.id(number));
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(json);
        out.extend_from_slice(b"\n\n");
    }

    /// Shows that a stream lives; who comes back after it misses nothing.
    fn heartbeat(&self, cursor: &Cursor) -> Vec<u8> {
        format!(":\nid: {}\n\n", self.id(cursor.next - 1)).into_bytes()
    }
}

impl Ring {
    /// Drops an event that a later one makes needless. It is not lost: who comes to its number has
    /// the later one before them.
    fn drop_superseded(&mut self, number: u64) {
        if let Ok(at) = self.kept.binary_search_by_key(&number, |event| event.number)
            && let Some(event) = self.kept.remove(at)
        {
            self.bytes -= event.json.len();
        }
    }
}

/// Where a stream is in the ring.
pub(super) struct Cursor {
    /// The number of the event that it wants next.
    next: u64,
    /// Something is missing before that.
    gap: bool,
}

impl Watcher for Events {
    fn changed(&self, change: RowChange) {
        let RowChange { what, noun, project, name, of, row } = change;
        if noun == Noun::Job {
            return self.job_row(row);
        }
        let Some(kind) = kind(noun, what) else { return };
        let mut event = Event { object: Some(name.clone()), ..Event::default() };
        event.of = of.map(|(kind, name)| format!("{kind} {name}"));
        let audience = match noun {
            Noun::Token | Noun::Certificate => Audience::Admins,
            Noun::Project => Audience::Project(name),
            _ => Audience::Project(project),
        };
        if let Audience::Project(project) = &audience {
            event.project = Some(project.clone());
        }
        if let Some(row) = row {
            describe(&mut event, row);
        }
        self.push(&mut self.0.ring.lock(), kind, audience, event);
    }
}

impl Events {
    fn job_row(&self, row: Option<Watched>) {
        let Some(Watched::Job(job)) = row else { return };
        let mut ring = self.0.ring.lock();
        if !job.state.is_final() {
            return self.tell_job(&mut ring, "job.made", *job);
        }
        if let Some(before) = ring.progress.remove(&job.id) {
            ring.drop_superseded(before);
        }
        self.tell_job(&mut ring, "job.ended", *job);
    }
}

/// The kind of event of a change; one of [`KINDS`].
fn kind(noun: Noun, what: What) -> Option<&'static str> {
    let verb = match what {
        What::Made => "made",
        What::Changed => "changed",
        What::Removed => "removed",
    };
    let noun = noun.to_string();
    let is_it = |kind: &&&str| kind.split_once('.') == Some((noun.as_str(), verb));
    KINDS.iter().find(is_it).copied()
}

/// What an event says of a row. Nothing that is secret.
fn describe(event: &mut Event, row: Watched) {
    match row {
        Watched::Image(image) => event.state = word(image.state),
        Watched::Disk(disk) => {
            event.state = word(disk.state);
            event.image = Some(disk.image.to_string());
            event.node = disk.node.map(|node| node.to_string());
            event.target = Some(disk.target);
        }
        Watched::Node(node) => event.disk = node.disk.map(|disk| disk.to_string()),
        Watched::Tag(tag) => event.state = word(tag.state),
        Watched::Token(token) => event.project = token.project.map(|it| it.to_string()),
        Watched::Certificate(it) => event.project = it.project.map(|it| it.to_string()),
        Watched::Job(_) | Watched::Project(_) => {}
    }
}

/// The name of a state, as it is kept and as the API has it.
fn word(state: impl Serialize) -> Option<String> {
    Some(serde_json::to_value(state).ok()?.as_str()?.to_owned())
}

/// Tells how far jobs are, as long as anybody listens.
async fn watch_jobs(events: Events, catalog: Catalog) {
    let mut told = BTreeMap::new();
    loop {
        tokio::time::sleep(PROGRESS_EVERY).await;
        {
            let mut streams = events.0.streams.lock();
            if streams.open.is_empty() {
                streams.watched = false;
                return;
            }
        }
        let running = catalog.running_jobs();
        told.retain(|id, _| running.iter().any(|job| job.id == *id));
        for job in running {
            let is_news = told.insert(job.id, job.done_bytes) != Some(job.done_bytes);
            if is_news {
                events.job_progress(job);
            }
        }
    }
}

/// Sends to one client until it goes, or the stream ends.
pub(super) async fn send(
    place: Place,
    mut cursor: Cursor,
    wanted: Wanted,
    follow: bool,
    client: mpsc::Sender<io::Result<Bytes>>,
) {
    let events = &place.events;
    let mut news = events.0.news.subscribe();
    let until = Instant::now() + LIFETIME;
    let mut frames = events.heartbeat(&cursor);
    loop {
        news.borrow_and_update();
        let read = events.read(&mut cursor, &wanted);
        frames.extend(read.frames);
        let end = read.end.or_else(|| {
            (Instant::now() >= until).then_some("the stream has had its time; come back")
        });
        if let Some(reason) = end {
            let event = Event { reason: Some(reason.to_owned()), ..Event::default() };
            frames.extend(events.frame("end", cursor.next - 1, event));
        }
        if !frames.is_empty() {
            let chunk = Ok(Bytes::from(std::mem::take(&mut frames)));
            let sent = tokio::time::timeout(STALL_MAX, client.send(chunk)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
        if end.is_some() || (read.is_all && !follow) {
            return;
        }
        if !read.is_all {
            continue;
        }
        tokio::select! {
            _ = news.changed() => {}
            () = tokio::time::sleep(HEARTBEAT) => frames = events.heartbeat(&cursor),
            () = tokio::time::sleep_until(until) => {}
            () = client.closed() => return,
        }
    }
}
