//! `stirrup image upload`: a file from here, over as many connections as it takes; or a pipe.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;

use crate::control::api::uploads::{Upload, UploadCreate};

use super::api::{Answer, Api};
use super::args::UploadArgs;
use super::console::Console;
use super::error::ClientError;
use super::http::Sending;
use super::import::{self, Progress};
use super::runs::{Failed, FileBody, Pipe};

/// What stands for standard input.
const STDIN: &str = "-";
const QCOW2_MAGIC: &[u8] = b"QFI\xfb";
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
    let upload = if args.file == Path::new(STDIN) {
        let pipe = Pipe::open(io::stdin()).await.map_err(|error| at(&args.file, &error))?;
        send_pipe(api, project, args, pipe, console).await?
    } else {
        let source = Source::open(&args.file)?;
        let mut beginning = [0; 4];
        let read =
            source.file.read_at(&mut beginning, 0).map_err(|error| at(&args.file, &error))?;
        let create = UploadCreate {
            size_bytes: Some(source.metadata.len()),
            key: Some(source.key()),
            ..described(args, &beginning[..read])
        };
        let mut progress = Progress::start(console.bar, &args.image, source.metadata.len());
        let sent = send(api, project, args, &source, &create, &mut progress, console).await;
        progress.end();
        sent?
    };
    match api.upload_job(&upload.value).await? {
        Some(job) => import::follow(api, json, job, &args.wait, console).await,
        None if json => console.verbatim(&upload.json),
        None => console.note(&format!("image {} in project {project} is there", args.image)),
    }
}

/// What is uploaded, as far as the arguments and its first bytes say.
fn described(args: &UploadArgs, beginning: &[u8]) -> UploadCreate {
    let found = if beginning.starts_with(QCOW2_MAGIC) { "qcow2" } else { "raw" };
    UploadCreate {
        size_bytes: None,
        format: args.format.clone().unwrap_or_else(|| found.to_owned()),
        store: args.store.clone(),
        sha256: args.sha256.clone(),
        key: None,
        fix_boot_chs: args.fix_boot_chs,
    }
}

/// Sends what comes out of a pipe. As that comes once, there is one attempt.
async fn send_pipe(
    api: &Api,
    project: &str,
    args: &UploadArgs,
    pipe: Pipe,
    console: &mut Console<'_>,
) -> Result<Answer<Upload>, ClientError> {
    let begun = api.begin_upload(project, &args.image, &described(args, pipe.beginning())).await?;
    if begun.value.offset_bytes > 0 || begun.value.state != "uploading" {
        let message = format!(
            "image {} is there, or being uploaded; remove it first (stirrup image abandon)",
            args.image
        );
        return Err(ClientError::Usage(message));
    }
    let mut progress = Progress::start(console.bar, &args.image, 0);
    let (sent, failed) = (pipe.at(), pipe.failed());
    let mut show = || {
        let at = sent.load(Ordering::Relaxed);
        progress.show(console, &args.image, at, at)?;
        Ok(at)
    };
    let sending = Sending { offset: 0, body: pipe.boxed_unsync(), is_last: true };
    let added = api.add_to_upload((project, &args.image), sending, &mut show).await;
    progress.end();
    let added = match failed.lock().take() {
        Some(error) => Err(ClientError::Output(at(&args.file, &error))),
        None => added,
    };
    if added.is_err() {
        // What is missing comes no more. That it stays until it expires is no second failure.
        let _ = api.abandon_upload(project, &args.image).await;
    }
    added
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
                let all = source.metadata.len();
                let mut show = || {
                    let at = sent.load(Ordering::Relaxed);
                    progress.show(console, &args.image, at, all)?;
                    Ok(at)
                };
                let sending = Sending { offset, body: body.boxed_unsync(), is_last: false };
                let added = api.add_to_upload((project, &args.image), sending, &mut show).await;
                if let Some(error) = source.failed.lock().take() {
                    return Err(ClientError::Output(error));
                }
                match added {
                    Ok(upload) if upload.value.offset_bytes == all => {
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
    failed: Failed,
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
            metadata: self.metadata.clone(),
            at: Arc::new(AtomicU64::new(offset)),
            failed: Arc::clone(&self.failed),
        }
    }
}
