//! Who did what: a line of JSON for every call that changes something, and for every one that was
//! refused for want of a right. Refusals, which anybody can cause, have files of their own, so that
//! they take nothing away of what was done.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::limit::{Few, Rate, network};
use super::peer::Peer;

/// Of calls that do something: file name inside the state directory, and the size from which on it
/// becomes the old one, with `.1` added to its name.
const CHANGES: (&str, u64) = ("audit.jsonl", 8 << 20);
/// Of calls that were refused.
const REFUSALS: (&str, u64) = ("audit-refused.jsonl", 4 << 20);
/// Lines that may wait to be written.
const WAITING_MAX: usize = 4096;
/// Characters of a path or a name that are kept.
const TEXT_MAX: usize = 512;

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) time: Timestamp,
    pub(super) who: String,
    pub(super) uid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<String>,
    pub(super) method: String,
    pub(super) path: String,
    /// `None`: the caller went away, or the time was over. The call was carried through.
    pub(super) status: Option<u16>,
}

enum Order {
    Change(Box<Entry>),
    Refusal(Box<Entry>),
    /// Everything before this is in the file.
    Flush(oneshot::Sender<()>),
}

/// The log. Clones are handles of the same one.
#[derive(Clone)]
pub struct AuditLog {
    directory: Arc<PathBuf>,
    orders: SyncSender<Order>,
    refusals: Arc<Few<Refused>>,
}

/// Who is refused: by name, user and network.
type Refused = (String, Option<u32>, Option<IpAddr>);

impl AuditLog {
    /// Writes to the log in `directory`, on a thread of its own.
    ///
    /// # Errors
    /// One line with the path, when the file cannot be opened.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let context = |error: io::Error| {
            io::Error::new(error.kind(), format!("audit log in {}: {error}", directory.display()))
        };
        let mut logs = Logs {
            changes: Log::open(directory, CHANGES).map_err(context)?,
            refusals: Log::open(directory, REFUSALS).map_err(context)?,
        };
        let (orders, received) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        thread.spawn(move || logs.run(&received)).map_err(context)?;
        let second = Duration::from_secs(1);
        let refusals = Few::new(Rate::new(100, second), Rate::new(1000, second / 10));
        let (directory, refusals) = (Arc::new(directory.to_owned()), Arc::new(refusals));
        Ok(Self { directory, orders, refusals })
    }

    fn write_change(&self, entry: Entry) {
        self.send(Order::Change(Box::new(entry)));
    }

    fn write_refusal(&self, entry: Entry) {
        let address = entry.address.map(|address| network(address.ip()));
        match self.refusals.take((entry.who.clone(), entry.uid, address)) {
            None => return,
            Some(left_out) if left_out.0 > 0 => {
                tracing::warn!("calls were refused that are not in the audit log{left_out}");
            }
            Some(_) => {}
        }
        self.send(Order::Refusal(Box::new(entry)));
    }

    fn send(&self, order: Order) {
        match self.orders.try_send(order) {
            Ok(()) => {}
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => {
                let (Order::Change(entry) | Order::Refusal(entry)) = order else { return };
                tracing::error!(?entry, "the audit log does not keep up; this is not in it");
            }
        }
    }

    /// The last entries, newest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) async fn last(&self, count: usize) -> io::Result<Vec<Entry>> {
        let (flushed, done) = oneshot::channel();
        let this = self.clone();
        let sent = tokio::task::spawn_blocking(move || {
            this.orders
                .send(Order::Flush(flushed))
                .map_err(|_| io::Error::other("the log has ended"))
        });
        sent.await??;
        // The thread ends with the process.
        let _ = done.await;
        let directory = Arc::clone(&self.directory);
        tokio::task::spawn_blocking(move || read(&directory, count)).await?
    }
}

/// The last of both kinds.
fn read(directory: &Path, count: usize) -> io::Result<Vec<Entry>> {
    let mut changes = read_one(directory, CHANGES.0, count)?.into_iter().peekable();
    let mut refusals = read_one(directory, REFUSALS.0, count)?.into_iter().peekable();
    let newest = std::iter::from_fn(|| match (changes.peek(), refusals.peek()) {
        (Some(change), Some(refusal)) if change.time < refusal.time => refusals.next(),
        (Some(_), _) => changes.next(),
        (None, _) => refusals.next(),
    });
    Ok(newest.take(count).collect())
}

fn read_one(directory: &Path, name: &str, count: usize) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for name in [name.to_owned(), format!("{name}.1")] {
        let text = match fs::read_to_string(directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let left = count - found.len();
        // A line that a crash cut short is none.
        let entries = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        found.extend(entries.take(left));
    }
    Ok(found)
}

/// The files that are written.
struct Logs {
    changes: Log,
    refusals: Log,
}

impl Logs {
    fn run(&mut self, orders: &Receiver<Order>) {
        for order in orders {
            let (log, entry) = match order {
                Order::Change(entry) => (&mut self.changes, entry),
                Order::Refusal(entry) => (&mut self.refusals, entry),
                Order::Flush(done) => {
                    // Who asked may have gone.
                    let _ = done.send(());
                    continue;
                }
            };
            if let Err(error) = log.write(&entry) {
                tracing::error!(%error, ?entry, "the audit log cannot be written");
            }
        }
    }
}

/// A file that is written.
struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
    /// It may end within a line: of a crash, or of a write that failed.
    is_cut_short: bool,
}

impl Log {
    fn open(directory: &Path, (name, bytes_max): (&str, u64)) -> io::Result<Self> {
        Self::at(directory.join(name), bytes_max)
    }

    fn at(path: PathBuf, bytes_max: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, bytes_max, is_cut_short: bytes > 0 })
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if self.bytes >= self.bytes_max {
            let mut old = self.path.as_os_str().to_owned();
            old.push(".1");
            match fs::rename(&self.path, old) {
                // Done before, when the new file could not be opened.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
            *self = Self::at(self.path.clone(), self.bytes_max)?;
        }
        let mut line = if self.is_cut_short { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, entry)?;
        line.push(b'\n');
        let written = self.file.write_all(&line);
        self.is_cut_short = written.is_err();
        match written {
            Ok(()) => self.bytes += line.len() as u64,
            // A part of it may be there.
            Err(_) => self.bytes = self.file.metadata()?.len(),
        }
        written
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// The record of a call under way. One that is dropped before its end is kept as well: the call may
/// have done its work.
pub(super) struct Record {
    log: AuditLog,
    entry: Option<Entry>,
}

impl Record {
    pub(super) fn new(
        log: &AuditLog,
        who: &str,
        peer: Option<&Peer>,
        method: &Method,
        path: &str,
    ) -> Self {
        let entry = Entry {
            time: Timestamp::now(),
            who: who.to_owned(),
            uid: peer.and_then(Peer::uid),
            address: peer.and_then(Peer::address),
            certificate: peer.and_then(Peer::certificate).map(shortened),
            method: method.to_string(),
            path: shortened(path),
            status: None,
        };
        Self { log: log.clone(), entry: Some(entry) }
    }

    /// The call has ended; with `None` there is nothing to be kept.
    pub(super) fn end(&mut self, status: Option<StatusCode>) {
        let Some(entry) = self.entry.take() else { return };
        if let Some(status) = status {
            self.log.write_change(Entry { status: Some(status.as_u16()), ..entry });
        }
    }

    /// The call was refused: nothing was done.
    pub(super) fn refused(&mut self, status: StatusCode) {
        if let Some(entry) = self.entry.take() {
            self.log.write_refusal(Entry { status: Some(status.as_u16()), ..entry });
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let is_change = |entry: &Entry| !["GET", "HEAD"].contains(&entry.method.as_str());
        if let Some(entry) = self.entry.take().filter(is_change) {
            self.log.write_change(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u16) -> Entry {
        Entry {
            time: Timestamp::UNIX_EPOCH,
            who: "uid 0".to_owned(),
            uid: Some(0),
            address: None,
            certificate: None,
            method: "PUT".to_owned(),
            path: "/v1/x".to_owned(),
            status: Some(number),
        }
    }

    #[test]
    fn it_is_bounded_private_and_read_from_its_end() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(CHANGES.0);
        let mut log = Log::at(path.clone(), 1000).unwrap();
        for number in 0..100 {
            log.write(&entry(number)).unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let bytes: u64 = fs::read_dir(directory.path())
            .unwrap()
            .map(|f| f.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes < 2400, "{bytes}");
        let last = read(directory.path(), 8).unwrap();
        assert_eq!(last, (92..100).rev().map(entry).collect::<Vec<_>>());
        assert!(read(directory.path(), 1000).unwrap().len() < 30);
    }

    #[tokio::test]
    async fn a_line_that_was_cut_short_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(CHANGES.0), "{\"time\": \"19").unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        log.write_change(entry(7));
        assert_eq!(log.last(10).await.unwrap(), [entry(7)]);
    }

    #[test]
    fn a_write_that_failed_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(CHANGES.0);
        let mut log = Log::at(path.clone(), 1 << 20).unwrap();
        log.write(&entry(1)).unwrap();
        let good = std::mem::replace(&mut log.file, File::open(&path).unwrap());
        log.write(&entry(2)).unwrap_err();
        // As far as it got on a full disk.
        log.file = good;
        log.file.write_all(b"{\"time\": \"19").unwrap();
        log.write(&entry(3)).unwrap();
        log.write(&entry(4)).unwrap();
        let entries = [entry(4), entry(3), entry(1)];
        assert_eq!(read(directory.path(), 10).unwrap(), entries);
        assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 4, "each in a line");
    }

    #[test]
    fn it_goes_on_when_it_was_renamed_and_no_new_file_could_be_made() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        fs::create_dir(&state).unwrap();
        let mut log = Log::at(state.join(CHANGES.0), 1).unwrap();
        log.write(&entry(1)).unwrap();
        fs::rename(state.join(CHANGES.0), state.join(format!("{}.1", CHANGES.0))).unwrap();
        let elsewhere = directory.path().join("elsewhere");
        fs::rename(&state, &elsewhere).unwrap();
        log.write(&entry(2)).unwrap_err();
        fs::rename(&elsewhere, &state).unwrap();
        log.write(&entry(3)).unwrap();
        assert_eq!(read(&state, 10).unwrap(), [entry(3), entry(1)]);
    }

    #[tokio::test]
    async fn a_call_that_was_given_up_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        drop(Record::new(&log, "uid 0", None, &Method::PUT, "/v1/a"));
        drop(Record::new(&log, "uid 0", None, &Method::GET, "/v1/b"));
        Record::new(&log, "uid 0", None, &Method::GET, "/v1/c").end(None);
        Record::new(&log, "uid 0", None, &Method::GET, "/v1/d").refused(StatusCode::FORBIDDEN);
        let kept = log.last(10).await.unwrap();
        let kept: Vec<_> = kept.iter().map(|e| (e.path.as_str(), e.status)).collect();
        assert_eq!(kept, [("/v1/d", Some(403)), ("/v1/a", None)]);
    }

    #[tokio::test]
    async fn refusals_push_nothing_out_that_was_done() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        let ends = |who: &str| Record::new(&log, who, None, &Method::PUT, "/v1/x");
        ends("uid 0").end(Some(StatusCode::OK));
        for _ in 0..5000 {
            ends("nobody").refused(StatusCode::UNAUTHORIZED);
        }
        ends("token ci").refused(StatusCode::FORBIDDEN);
        ends("uid 0").end(Some(StatusCode::CREATED));
        let kept = log.last(1_000_000).await.unwrap();
        let statuses: Vec<_> = kept.iter().filter_map(|it| it.status).collect();
        assert_eq!((statuses[0], statuses[1]), (201, 403), "newest first, and others are heard");
        assert_eq!(statuses.last(), Some(&200));
        assert!(kept.len() < 1000, "of one who is refused {} times in a row", kept.len());
        let lines = fs::read_to_string(directory.path().join(CHANGES.0)).unwrap();
        assert_eq!(lines.lines().count(), 2, "{lines}");
    }
}
