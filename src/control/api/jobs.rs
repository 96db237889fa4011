//! Jobs: what takes longer than a call may.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use super::images::Warning;
use crate::catalog::{self, Error, JobState, Noun};
use crate::control::Control;
use crate::control::access::Caller;
use crate::control::respond::Failure;

/// A job. Its end is kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// For `/v1/jobs/{id}`.
    pub id: u64,
    /// `image-import`, `image-upload`, `image-copy`, `image-export`, `disk-image`, `disk-rollback`,
    /// `disk-flatten` or `disk-encrypt`.
    pub kind: String,
    /// Project of the object.
    pub project: String,
    /// Name of the object that is being made or changed.
    pub object: String,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Bytes of the source dealt with so far (holes count).
    pub done_bytes: u64,
    /// Bytes of the source.
    pub total_bytes: u64,
    /// When it was asked for (RFC 3339).
    pub created: String,
    /// When its turn came (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// How fast it goes, over some seconds; when it has succeeded, how fast it went in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// How long the rest takes at this rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it noticed.
    pub warnings: Vec<Warning>,
}

/// Jobs, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// The jobs.
    pub items: Vec<Job>,
}

/// Bytes per second of a job that has succeeded.
fn mean_rate(job: &catalog::Job) -> Option<u64> {
    if job.state != JobState::Succeeded {
        return None;
    }
    let millis = job.finished?.duration_since(job.started?).as_millis();
    let millis = u128::try_from(millis).ok().filter(|millis| *millis > 0)?;
    u64::try_from(u128::from(job.total_bytes) * 1000 / millis).ok()
}

pub(in crate::control) fn render(job: catalog::Job) -> Job {
    let left_bytes = job.total_bytes.saturating_sub(job.done_bytes);
    let seconds_left = job.rate.filter(|rate| *rate > 0).map(|rate| left_bytes.div_ceil(rate));
    let bytes_per_second = job.rate.or_else(|| mean_rate(&job));
    let state = match job.state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    };
    Job {
        id: job.id,
        kind: job.kind,
        project: job.project,
        object: job.object,
        state: state.to_owned(),
        done_bytes: job.done_bytes,
        total_bytes: job.total_bytes,
        created: job.created.to_string(),
        started: job.started.map(|at| at.to_string()),
        bytes_per_second,
        seconds_left,
        finished: job.finished.map(|at| at.to_string()),
        error: job.error,
        warnings: job.warnings.into_iter().map(Into::into).collect(),
    }
}

/// Lists jobs, newest first.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    tag = "jobs",
    responses(
        (status = 200, description = "The jobs", body = JobList),
    )
)]
pub(super) async fn list(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
) -> Json<JobList> {
    let jobs = control.catalog.jobs().into_iter().filter(|job| caller.sees(&job.project));
    Json(JobList { items: jobs.map(render).collect() })
}

/// A job that exists for the caller.
fn seen(control: &Control, caller: &Caller, id: u64) -> Answer<catalog::Job> {
    let job = control.catalog.job(id)?;
    if caller.sees(&job.project) {
        return Ok(job);
    }
    let code = Error::not_found(Noun::Job, "", "").code();
    Err(Failure::new(StatusCode::NOT_FOUND, code, format!("no job {id} of your project")))
}

/// Shows a job.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the job")),
    responses(
        (status = 200, description = "The job", body = Job),
    )
)]
pub(super) async fn show(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Answer<Json<Job>> {
    Ok(Json(render(seen(&control, &caller, id)?)))
}

/// Asks a job to stop; it does so soon after, and takes back what it made.
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the job")),
    responses(
        (status = 202, description = "It was asked", body = Job),
    )
)]
pub(super) async fn cancel(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Answer<(StatusCode, Json<Job>)> {
    seen(&control, &caller, id)?;
    Ok((StatusCode::ACCEPTED, Json(render(control.catalog.cancel_job(id)?))))
}
