//! The bytes of an image.

use std::io;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::Answer;
use super::images::found;
use super::problem::Problem;
use crate::catalog::{ImageName, ImageReader, Name};
use crate::control::Control;
use crate::control::access::Caller;
use crate::control::stream;

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that wait to be sent.
const CHUNKS_MAX: usize = 2;
/// A client that takes nothing for so long is cut off.
const STALL_MAX: Duration = Duration::from_secs(60);

/// What of an image.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AtTag {
    /// As it was at this tag; as disks are cloned from it by default when absent.
    tag: Option<String>,
}

/// Downloads an image as a raw disk: all of its bytes, zeros too.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/images/{image}/raw",
    tag = "images",
    params(AtTag, ("project" = String, Path, description = "Project"), ("image" = String, Path, description = "Name")),
    responses(
        (status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn download(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path((project, image)): Path<(String, String)>,
    Query(query): Query<AtTag>,
) -> Answer<Response> {
    let (project, name) = (Name::project(&project)?, ImageName::new(&image)?);
    let tag = query.tag.as_deref().map(ImageName::tag).transpose()?;
    let asker = caller.project.clone();
    let reader = control.catalog.read_image(project.clone(), name, tag, asker).await;
    let reader = found(&caller, project.as_str(), reader)?;
    let size_bytes = reader.size_bytes();
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || send(&runtime, &reader, &sender));
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, stream::body(chunks, Some(size_bytes))).into_response())
}

/// Reads on as fast as the client takes it.
fn send(runtime: &Handle, reader: &ImageReader, chunks: &mpsc::Sender<io::Result<Bytes>>) {
    let size_bytes = reader.size_bytes();
    let mut at = 0;
    while at < size_bytes {
        let left = usize::try_from(size_bytes - at).unwrap_or(CHUNK_BYTES);
        let mut chunk = vec![0; left.min(CHUNK_BYTES)];
        at += chunk.len() as u64;
        let read = reader.read_at(at - chunk.len() as u64, &mut chunk);
        let failed = read.is_err();
        let chunk = read.map(|()| Bytes::from(chunk)).map_err(|error| {
            tracing::error!(%error, "a download breaks off");
            io::Error::other(error)
        });
        let sent = runtime.block_on(tokio::time::timeout(STALL_MAX, chunks.send(chunk)));
        if failed || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}
