//! Uploads of images, piece by piece.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::images::names;
use super::jobs::{self, Job};
use super::runs::{Framing, RUNS, Runs};
use super::{Answer, made};
use crate::catalog::{Format, ImageState, Piece, UploadReceiver, UploadSpec, UploadView};
use crate::control::Control;
use crate::control::body::Fields;
use crate::control::pace::{Pace, Pacing};
use crate::control::respond::Failure;
use crate::control::server::Stopping;

/// What else comes is thrown away for so long after a failure, so that the client gets to read why.
const DRAIN_MAX: Duration = Duration::from_secs(2);
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const COMPLETE: HeaderName = HeaderName::from_static("upload-complete");

/// A file that is going to be uploaded.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadCreate {
    /// Length of the file in bytes. When absent, the last `PATCH` says `Upload-Complete: ?1`, and the
    /// file lies in the directory for uploads until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// `raw` or `qcow2`.
    pub format: String,
    /// The store to put the image in; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// SHA-256 of the file, in hexadecimal: the image is made only if that is what came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What the uploader knows the file by, 1 to 128 printable ASCII characters without space. Who
    /// repeats this call with the same one (or the same `sha256`) goes on with the upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Mend the end CHS of a protective MBR that slows BIOS GRUB down under iPXE (warning
    /// `gpt-boot-chs`).
    #[serde(default)]
    pub fix_boot_chs: bool,
}

/// An upload.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    /// Project of the image.
    pub project: String,
    /// Name of the image.
    pub image: String,
    /// `uploading`; then that of the image.
    pub state: String,
    /// Format of the file.
    pub format: String,
    /// Length of the file in bytes; absent as long as that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Bytes from its beginning that are there.
    pub offset_bytes: u64,
    /// What its SHA-256 must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// When it is given up if nothing comes (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The job that makes an image of it, once all is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Whether it existed before the call; absent in other answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existed: Option<bool>,
}

fn render(view: UploadView) -> Upload {
    let UploadView { image, offset, expires, job } = view;
    let upload = image.upload.as_ref();
    Upload {
        project: image.project.to_string(),
        image: image.name.to_string(),
        state: super::images::state(image.state).to_owned(),
        format: super::images::format(image.format).to_owned(),
        size_bytes: upload.and_then(|upload| upload.file_bytes),
        offset_bytes: offset,
        sha256: upload.and_then(|upload| upload.sha256.as_ref()).map(ToString::to_string),
        expires: expires.map(|time| time.to_string()),
        job: job.map(jobs::render),
        existed: None,
    }
}

/// The answer, with the headers of resumable uploads.
fn answer(status: StatusCode, upload: Upload) -> Response {
    let complete = if upload.size_bytes == Some(upload.offset_bytes) { "?1" } else { "?0" };
    let headers = [
        (OFFSET, HeaderValue::from(upload.offset_bytes)),
        (COMPLETE, HeaderValue::from_static(complete)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let length = upload.size_bytes.map(|bytes| [(LENGTH, HeaderValue::from(bytes))]);
    match length {
        Some(length) => (status, headers, length, Json(upload)).into_response(),
        None => (status, headers, Json(upload)).into_response(),
    }
}

/// Begins an upload. Its bytes are sent with `PATCH`.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/images/{image}/upload",
    tag = "uploads",
    request_body = UploadCreate,
    responses(
        (status = 201, description = "It has begun", body = Upload),
        (status = 200, description = "It was there", body = Upload),
    )
)]
pub(super) async fn begin(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<UploadCreate>,
) -> Answer<Response> {
    let (project, name) = names(&path)?;
    let spec = UploadSpec {
        file_bytes: request.size_bytes,
        format: request.format.parse::<Format>()?,
        store: request.store,
        sha256: request.sha256.as_deref().map(str::parse).transpose()?,
        key: request.key,
        fix_boot_chs: request.fix_boot_chs,
    };
    let (view, existed) = control.catalog.begin_upload(project, name, spec).await?;
    Ok(answer(made(existed), Upload { existed: Some(existed), ..render(view) }))
}

/// Shows how far an upload is; the header `Upload-Offset` has that, too.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/images/{image}/upload",
    tag = "uploads",
    responses(
        (status = 200, description = "The upload", body = Upload),
    )
)]
pub(super) async fn show(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<Response> {
    let (project, name) = names(&path)?;
    Ok(answer(StatusCode::OK, render(control.catalog.upload(project, name).await?)))
}

/// Adds bytes to an upload: the next ones of the file, as many as come. The header `Upload-Offset`
/// says how many are there before. What came is kept, however the call ends. When all are there, a job
/// begins that makes an image of them.
///
/// Zeros need not be sent: a body of the type `application/vnd.stirrup.runs` consists of runs. Each begins
/// with eight bytes, the most significant first: bit 63 says that it is a run of zeros, the other bits how
/// many bytes of the file it is. Only of a run that is none of zeros do these bytes follow.
#[utoipa::path(
    patch,
    path = "/v1/projects/{project}/images/{image}/upload",
    tag = "uploads",
    params(
        ("Upload-Offset" = u64, Header, description = "Bytes that are there before these"),
        ("Upload-Complete" = Option<String>, Header, description = "`?1`: the file ends with these; anything else: more may come"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "They are there", body = Upload),
        (status = 202, description = "All are there, and the job has begun", body = Upload),
    )
)]
pub(super) async fn append(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    stopping: Extension<Stopping>,
    request: Request,
) -> Answer<Response> {
    let (project, name) = names(&path)?;
    let offset = number(request.headers(), &OFFSET)?.ok_or_else(|| {
        bad("the header Upload-Offset must say how many bytes are there: see GET or HEAD")
    })?;
    let length = number(request.headers(), &header::CONTENT_LENGTH)?;
    let is_last = is_last(request.headers());
    let framing = match request.headers().get(header::CONTENT_TYPE) {
        Some(kind) if kind == RUNS => Framing::Runs(Runs::default()),
        _ => Framing::Plain,
    };
    let view = control.catalog.upload(project.clone(), name.clone()).await?;
    let ends_there = view.image.upload.as_ref().is_some_and(|it| it.file_bytes == Some(offset));
    if !(ends_there && length == Some(0)) {
        let announced = length.filter(|_| matches!(framing, Framing::Plain));
        let receiver =
            control.catalog.receive(project.clone(), name.clone(), offset, announced).await?;
        let mut taking = Taking {
            receiver,
            framing,
            is_last,
            pace: Pace::new(control.limits.pacing),
            pacing: control.limits.pacing,
        };
        let mut body = request.into_body();
        let taken = taking.take(&mut body, &stopping.0).await;
        // What was taken is kept in any case; what failed in the store is the first that did.
        let kept = taking.receiver.end().await;
        if let Err(failure) = kept.map_err(Failure::from).and(taken) {
            drain(body).await;
            return Err(failure);
        }
    }
    let view = control.catalog.upload(project.clone(), name.clone()).await?;
    if view.image.state != ImageState::Uploading || !is_complete(&view) {
        return Ok(answer(StatusCode::OK, render(view)));
    }
    let job = control.catalog.finish_upload(project, name).await?;
    let status = if job.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(answer(status, render(UploadView { job, ..view })))
}

/// Gives an upload up; nothing of it stays.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/images/{image}/upload",
    tag = "uploads",
    responses(
        (status = 204, description = "It is gone"),
    )
)]
pub(super) async fn abandon(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<StatusCode> {
    let (project, name) = names(&path)?;
    control.catalog.abandon_upload(project, name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn is_complete(view: &UploadView) -> bool {
    view.image.upload.as_ref().is_some_and(|upload| upload.file_bytes == Some(upload.offset))
}

fn bad(detail: &str) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "bad-request", detail)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Answer<Option<u64>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse().ok().filter(|_| digits) {
        Some(number) => Ok(Some(number)),
        None => Err(bad(&format!("the header {name} is no number"))),
    }
}

/// The structured field `Upload-Complete`; one that is none counts for nothing (RFC 9651 2.2).
fn is_last(headers: &HeaderMap) -> bool {
    headers.get(&COMPLETE).is_some_and(|value| value == "?1")
}

/// A body that is taken.
struct Taking {
    receiver: UploadReceiver,
    framing: Framing,
    /// The file ends with it.
    is_last: bool,
    pace: Pace,
    pacing: Pacing,
}

impl Taking {
    /// Takes what comes until it ends.
    async fn take(&mut self, body: &mut Body, stopping: &Stopping) -> Answer<()> {
        loop {
            let since = Instant::now();
            let next = tokio::time::timeout(self.pacing.stall, body.frame());
            let frame = tokio::select! {
                frame = next => frame,
                () = self.receiver.interrupted() => return Err(interrupted()),
                () = stopping.begun() => {
                    let detail = "stirrupd is stopping; go on when it is back";
                    return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail));
                }
            };
            let waited = since.elapsed();
            let Ok(frame) = frame else {
                let stall = self.pacing.stall.as_secs();
                return Err(stalled(&format!("nothing came for {stall} s")));
            };
            let Some(frame) = frame else { return self.end().await };
            let frame = frame.map_err(|error| bad(&format!("the body broke off: {error}")))?;
            // Anything else is a trailer.
            let Ok(came) = frame.into_data() else { continue };
            let bytes = self.hand_on(came).await?;
            if !self.pace.keeps_up(waited, bytes) {
                return Err(stalled(&self.pace.too_slow()));
            }
        }
    }

    /// Hands on what came; how much of the file that is.
    async fn hand_on(&mut self, mut came: Bytes) -> Answer<u64> {
        let mut bytes = 0;
        while let Some(piece) = self.framing.next(&mut came).map_err(bad)? {
            if self.receiver.is_interrupted() {
                return Err(interrupted());
            }
            bytes += piece.len_bytes();
            self.receiver.take(piece).await?;
        }
        Ok(bytes)
    }

    async fn end(&mut self) -> Answer<()> {
        if !self.framing.is_whole() {
            return Err(bad("the body ends within a run"));
        }
        if self.is_last {
            self.receiver.take(Piece::End).await?;
        }
        Ok(())
    }
}

fn interrupted() -> Failure {
    let detail = "another call goes on with this upload";
    Failure::new(StatusCode::CONFLICT, "upload-interrupted", detail)
}

fn stalled(detail: &str) -> Failure {
    Failure::new(StatusCode::REQUEST_TIMEOUT, "upload-stalled", detail)
}

/// Throws away what comes, for a moment.
async fn drain(mut body: Body) {
    let drained = async { while let Some(Ok(_)) = body.frame().await {} };
    let _in_time = tokio::time::timeout(DRAIN_MAX, drained).await;
}
