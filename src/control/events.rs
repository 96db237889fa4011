//! What happens, for whoever wants to hear of it: a ring of events that streams read at their own
//! pace. A stream has a place in the ring and no queue: a client that reads slowly costs nothing,
//! and is told what it has missed.

mod sources;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::SessionInfo;
use super::access::Caller;
use super::api::events::Event;
use crate::catalog::{Catalog, Name, Role};

/// Events that are kept for those who come back.
const KEPT_MAX: usize = 4096;
/// Of those that anybody can cause, which push out one another before anything else.
const OF_ANYBODY_MAX: usize = 1024;
/// Jobs of which it is known that they have ended.
const ENDED_MAX: usize = 256;
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
    "target.waiting",
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
    /// The numbers of events that anybody can cause.
    of_anybody: VecDeque<u64>,
    /// How the targets stand, by their names.
    targets: HashMap<String, Standing>,
    /// Project and disk of the sessions, by their ids. A session can outlive its target.
    sessions: HashMap<u64, (String, String)>,
    /// Jobs that run, and the number of the event that says how far each is.
    progress: HashMap<u64, u64>,
    /// Jobs that have ended, the last ones.
    ended: VecDeque<u64>,
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

/// A moment: everything after it is news.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

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
    /// When that was found out.
    known: Moment,
}

impl Wanted {
    pub(super) fn new(
        caller: &Caller,
        known: Moment,
        project: Option<&Name>,
        types: Vec<String>,
    ) -> Self {
        Self {
            own: caller.project.as_ref().map(Name::to_string),
            project: project.map(Name::to_string),
            admin: caller.role == Role::Admin && caller.project.is_none(),
            types,
            who: caller.who.clone(),
            known,
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

    /// Whether the event says that the caller's credential is worth nothing any more. One that was of
    /// that name before may have ended as well.
    fn ends_with(&self, event: &Kept) -> bool {
        event.number > self.known.0 && event.revoked.as_ref().is_some_and(|who| self.who == *who)
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

    /// This moment.
    pub(super) fn now(&self) -> Moment {
        Moment(self.0.ring.lock().last)
    }

    /// Ends all streams, for good.
    pub fn close(&self) {
        self.0.ring.lock().closed = true;
        self.0.news.send_replace(());
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
    /// Project and disk of a session, if it is of a target that is known.
    fn project_and_disk(
        &mut self,
        session: &SessionInfo,
        begins: bool,
    ) -> Option<(String, String)> {
        if !begins && let Some(of) = self.sessions.remove(&session.id) {
            return Some(of);
        }
        let of = self.targets.get(&session.target.as_ref()?.to_ascii_lowercase())?;
        let of = (of.project.clone(), of.disk.clone());
        if begins {
            self.sessions.insert(session.id, of.clone());
        }
        Some(of)
    }

    /// Drops an event before its time: one that a later one makes needless, or of which there are too
    /// many. Nobody is told that it is lost.
    fn drop_one(&mut self, number: u64) {
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
