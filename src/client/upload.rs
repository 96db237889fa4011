//! `stirrup image upload`: a file from here, over as many connections as it takes.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use crate::control::api::uploads::{Upload, UploadCreate};

use super::api::{Answer, Api};
use super::args::UploadArgs;
use super::console::Console;
use super::error::ClientError;
use super::import::{self, Progress};

/// How much of the file is read at once.
const PIECE_BYTES: usize = 256 << 10;
/// Time before the first attempt to go on, and before the last ones.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LAST: Duration = Duration::from_secs(5);
/// Problems that pass.
const PASSING: [&str; 10] = [
    "busy",
    "changed-meanwhile",
    "stopping",
    "store-unavailable",
    "timeout",
    "too-many-imports",
    "too-many-uploads",
    "upload-interrupted",
    "upload-offset",
    "upload-stalled",
];

/// Uploads a file, and waits for the image unless told not to.
pub(super) async fn run(
    api: &Api,
    json: bool,
    project: &str,
    args: &UploadArgs,
    console: &mut Console<'_>,
) -> Result<(), ClientError> {
    let source = Source::open(&args.file)?;
    let create = UploadCreate {
        size_bytes: source.metadata.len(),
        format: match &args.format {
            Some(format) => format.clone(),
            None => source.format()?.to_owned(),
        },
        store: args.store.clone(),
        sha256: args.sha256.clone(),
        key: Some(source.key()),
        fix_boot_chs: args.fix_boot_chs,
    };
    let mut progress = Progress::start(console.bar, &args.image, create.size_bytes);
    let sent = send(api, project, args, &source, &create, &mut progress, console).await;
    progress.end();
    let upload = sent?;
    match api.upload_job(&upload.value).await? {
        Some(job) => import::follow(api, json, job, &args.wait, console).await,
        None if json => console.verbatim(&upload.json),
        None => console.note(&format!("image {} in project {project} is there", args.image)),
    }
}

/// Sends what is not there yet, until all is.
async fn send(
    api: &Api,
    project: &str,
    args: &UploadArgs,
    source: &Source,
    create: &UploadCreate,
    progress: &mut Progress,
    console: &mut Console<'_>,
) -> Result<Answer<Upload>, ClientError> {
    let mut patience = Patience::new(Duration::from_secs(args.retry));
    let mut begun = false;
    loop {
        let failed = match api.begin_upload(project, &args.image, create).await {
            Err(error) if begun => error,
            Err(error) => return Err(error),
            Ok(upload) if upload.value.state != "uploading" => return Ok(upload),
            Ok(upload) => {
                let offset = upload.value.offset_bytes;
                if offset > 0 && !begun {
                    console.note(&format!("going on behind {offset} bytes that are there"))?;
                }
                begun = true;
                patience.has_come_to(offset);
                progress.begin_at(offset);
                let body = source.body(offset);
                let sent = Arc::clone(&body.at);
                let mut show = || {
                    let at = sent.load(Ordering::Relaxed);
                    progress.show(console, &args.image, at, create.size_bytes)?;
                    Ok(at)
                };
                let added =
                    api.add_to_upload((project, &args.image), offset, body, &mut show).await;
                if let Some(error) = source.failed.lock().take() {
                    return Err(ClientError::Output(error));
                }
                match added {
                    Ok(upload) if upload.value.offset_bytes == create.size_bytes => {
                        return Ok(upload);
                    }
                    Ok(upload) => {
                        patience.has_come_to(upload.value.offset_bytes);
                        continue;
                    }
                    Err(error) => error,
                }
            }
        };
        if !passes(&failed) {
            return Err(failed);
        }
        let Some(pause) = patience.pause() else { return Err(failed) };
        tokio::time::sleep(pause).await;
    }
}

/// Whether the same call may succeed later.
fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Problem(problem) => PASSING.contains(&problem.code.as_str()),
        // What was there, and is not: a daemon that is started again, most likely.
        ClientError::Unreachable { .. }
        | ClientError::TimedOut { .. }
        | ClientError::HungUp { .. }
        | ClientError::Answer { .. } => true,
        _ => false,
    }
}

/// How long it is tried again while nothing gets on.
struct Patience {
    limit: Duration,
    offset: u64,
    since: Instant,
    pause: Duration,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Self { limit, offset: 0, since: Instant::now(), pause: PAUSE_FIRST }
    }

    fn has_come_to(&mut self, offset: u64) {
        if offset > self.offset {
            *self = Self { offset, ..Self::new(self.limit) };
        }
    }

    /// How long to wait before the next attempt; `None`: there is none.
    fn pause(&mut self) -> Option<Duration> {
        let pause = self.pause;
        self.pause = PAUSE_LAST.min(pause * 2);
        (self.since.elapsed() + pause <= self.limit).then_some(pause)
    }
}

/// The file.
struct Source {
    file: Arc<File>,
    path: PathBuf,
    metadata: Metadata,
    /// Why it could not be read.
    failed: Arc<Mutex<Option<io::Error>>>,
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl Source {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).map_err(|error| at(path, &error))?;
        let metadata = file.metadata().map_err(|error| at(path, &error))?;
        if !metadata.is_file() {
            return Err(at(path, &io::Error::other("not a regular file")));
        }
        let (file, path) = (Arc::new(file), path.to_owned());
        Ok(Self { file, path, metadata, failed: Arc::default() })
    }

    fn format(&self) -> io::Result<&'static str> {
        let mut magic = [0; 4];
        match self.file.read_exact_at(&mut magic, 0) {
            Ok(()) if magic == *b"QFI\xfb" => Ok("qcow2"),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Err(at(&self.path, &error))
            }
            _ => Ok("raw"),
        }
    }

    /// What this very file, as it is, is known by.
    fn key(&self) -> String {
        let of = &self.metadata;
        format!(
            "{:x}.{:x}.{:x}.{:x}.{:x}",
            of.dev(),
            of.ino(),
            of.len(),
            of.mtime(),
            of.mtime_nsec()
        )
    }

    /// The file from `offset` on.
    fn body(&self, offset: u64) -> FileBody {
        FileBody {
            file: Arc::clone(&self.file),
            path: self.path.clone(),
            end: self.metadata.len(),
            changed: (self.metadata.mtime(), self.metadata.mtime_nsec()),
            at: Arc::new(AtomicU64::new(offset)),
            failed: Arc::clone(&self.failed),
        }
    }
}

/// A file as it is read, while it is sent.
pub(super) struct FileBody {
    file: Arc<File>,
    path: PathBuf,
    end: u64,
    changed: (i64, i64),
    at: Arc<AtomicU64>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl FileBody {
    fn piece(&self) -> io::Result<Bytes> {
        let offset = self.at.load(Ordering::Relaxed);
        let left = usize::try_from(self.end - offset).unwrap_or(PIECE_BYTES);
        let mut piece = vec![0; left.min(PIECE_BYTES)];
        self.file.read_exact_at(&mut piece, offset)?;
        let end = offset + piece.len() as u64;
        if end == self.end {
            let metadata = self.file.metadata()?;
            if (metadata.mtime(), metadata.mtime_nsec()) != self.changed {
                return Err(io::Error::other(
                    "was changed while it was uploaded; give the same command again",
                ));
            }
        }
        self.at.store(end, Ordering::Relaxed);
        Ok(piece.into())
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.piece().map(Frame::data).inspect_err(|error| {
            *self.failed.lock() = Some(at(&self.path, error));
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.at.load(Ordering::Relaxed) >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at.load(Ordering::Relaxed).min(self.end))
    }
}
