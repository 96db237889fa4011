//! Jobs, from asking for them to their end; `stirrup import`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use crate::control::api::images::ImageImport;
use crate::control::api::jobs::Job;

use super::api::{Answer, Api};
use super::args::{ImportArgs, Wait};
use super::console::Console;
use super::error::ClientError;
use super::output;

/// Time between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A plain progress line is written every so many percent.
const LINE_EVERY_PERCENT: u64 = 10;

/// What an image in a pool is told from a file by.
pub(super) const POOL_IMAGE: &str = "rbd:";

/// Imports an image; waits for the end unless told not to.
pub(super) async fn run(
    api: &Api,
    json: bool,
    project: &str,
    args: &ImportArgs,
    console: &mut Console<'_>,
) -> Result<(), ClientError> {
    let text = args.file.to_string_lossy();
    let (file, rbd) = match text.strip_prefix(POOL_IMAGE) {
        Some(image) => (None, Some(image.to_owned())),
        None => {
            let file = std::path::absolute(&args.file)?;
            (Some(file.to_string_lossy().into_owned()), None)
        }
    };
    let import = ImageImport {
        name: args.image.clone(),
        file,
        rbd,
        sha256: args.sha256.clone(),
        format: args.format.clone(),
        store: args.store.clone(),
        fix_boot_chs: args.fix_boot_chs,
    };
    let asked = api.import(project, &import).await?;
    follow(api, json, asked, &args.wait, console).await
}

/// What a job does, and what there is when it has ended.
const KINDS: [(&str, &str, &str); 8] = [
    ("image-import", "import", "image {} is there"),
    ("image-upload", "upload", "image {} is there"),
    ("image-export", "export", "image {} is exported"),
    ("image-copy", "copy", "image {} is there"),
    ("disk-image", "copy", "image {} is there"),
    ("disk-rollback", "rollback", "disk {} is rolled back"),
    ("disk-flatten", "flattening", "disk {} is independent"),
    ("disk-encrypt", "encryption", "disk {} is there"),
];

/// Waits for the end of a job, unless told not to.
pub(super) async fn follow(
    api: &Api,
    json: bool,
    asked: Answer<Job>,
    wait: &Wait,
    console: &mut Console<'_>,
) -> Result<(), ClientError> {
    let ended = if wait.no_wait { asked } else { watch(api, asked, console).await? };
    tell(json, ended, console)
}

/// Waits for the end of a job that somebody else has begun: an interrupt ends the waiting only.
pub(super) async fn wait(
    api: &Api,
    json: bool,
    job: Answer<Job>,
    console: &mut Console<'_>,
) -> Result<(), ClientError> {
    let mut progress = Progress::start(console.bar, &job.value.object, job.value.total_bytes);
    let mut answer = job;
    while !is_ended(&answer.value) {
        let job = &answer.value;
        progress.show(console, &job.object, job.done_bytes, job.total_bytes)?;
        tokio::time::sleep(LOOK_EVERY).await;
        answer = api.job(answer.value.id).await?;
    }
    progress.end();
    tell(json, answer, console)
}

/// Says what has become of a job.
fn tell(json: bool, ended: Answer<Job>, console: &mut Console<'_>) -> Result<(), ClientError> {
    let id = ended.value.id;
    if json {
        console.verbatim(&ended.json)?;
    } else {
        output::warnings(console, &ended.value.warnings)?;
    }
    let job = ended.value;
    let known = KINDS.iter().find(|(kind, ..)| *kind == job.kind);
    let (_, doing, done) = known.unwrap_or(&("", "job", "{} is done"));
    match job.state.as_str() {
        "failed" | "cancelled" => Err(ClientError::Job {
            id,
            what: match job.error {
                Some(error) => format!("{doing} of {}: {error}", job.object),
                None => format!("{doing} of {} {}", job.object, job.state),
            },
        }),
        "succeeded" if !json => {
            console.note(&format!("{} in project {}", done.replace("{}", &job.object), job.project))
        }
        _ if !json => console.note(&format!("job {id} is {}: stirrup job show {id}", job.state)),
        _ => Ok(()),
    }
}

/// Waits for a job's end. An interrupt asks the daemon to cancel it, a second one gives up waiting.
async fn watch(
    api: &Api,
    asked: Answer<Job>,
    console: &mut Console<'_>,
) -> Result<Answer<Job>, ClientError> {
    let id = asked.value.id;
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut progress = Progress::start(console.bar, &asked.value.object, asked.value.total_bytes);
    let mut answer = asked;
    let mut cancelled = false;
    while !is_ended(&answer.value) {
        let job = &answer.value;
        progress.show(console, &job.object, job.done_bytes, job.total_bytes)?;
        let look = async {
            tokio::time::sleep(LOOK_EVERY).await;
            api.job(id).await
        };
        tokio::select! {
            next = look => answer = next?,
            _ = interrupts.recv() => {
                progress.end();
                if cancelled {
                    return Err(ClientError::Job { id, what: format!("job {id} is left alone") });
                }
                cancelled = true;
                api.cancel_job(id).await?;
            }
        }
    }
    progress.end();
    Ok(answer)
}

fn is_ended(job: &Job) -> bool {
    matches!(job.state.as_str(), "succeeded" | "failed" | "cancelled")
}

/// A bar on a terminal, now and then a line elsewhere.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { next_percent: u64 },
}

impl Progress {
    pub(super) fn start(bar: bool, name: &str, total_bytes: u64) -> Self {
        if !bar {
            return Self::Lines { next_percent: LINE_EVERY_PERCENT };
        }
        Self::Bar(new_bar(total_bytes, name))
    }

    pub(super) fn show(
        &mut self,
        console: &mut Console<'_>,
        name: &str,
        done_bytes: u64,
        total_bytes: u64,
    ) -> Result<(), ClientError> {
        match self {
            Self::Bar(bar) => {
                bar.set_length(total_bytes);
                bar.set_position(done_bytes);
                Ok(())
            }
            Self::Lines { next_percent } => {
                let done = u128::from(done_bytes) * 100;
                if total_bytes == 0 || done < u128::from(*next_percent) * u128::from(total_bytes) {
                    return Ok(());
                }
                let percent = u64::try_from(done / u128::from(total_bytes)).unwrap_or(100);
                *next_percent = percent - percent % LINE_EVERY_PERCENT + LINE_EVERY_PERCENT;
                console.note(&format!("{name}: {}", output::progress(done_bytes, total_bytes)))
            }
        }
    }

    /// What was done before is no part of the rate.
    pub(super) fn begin_at(&self, done_bytes: u64) {
        if let Self::Bar(bar) = self {
            bar.set_position(done_bytes);
            bar.reset_eta();
        }
    }

    pub(super) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A bar of bytes, with their rate and the time that is left.
pub(super) fn new_bar(total_bytes: u64, name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix} [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta} left",
    );
    let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_prefix(output::plain(name).into_owned());
    bar
}
