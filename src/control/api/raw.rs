//! The bytes of an image.

use std::io;
use std::time::Instant;

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
use crate::catalog::{ImageName, ImageReader, Name};
use crate::control::Control;
use crate::control::access::Caller;
use crate::control::pace::{Pace, Pacing};
use crate::control::stream;

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that wait to be sent.
const CHUNKS_MAX: usize = 2;

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
    params(AtTag),
    responses(
        (status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
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
    let (runtime, pacing) = (Handle::current(), control.limits.pacing);
    tokio::task::spawn_blocking(move || send(&runtime, &reader, &sender, pacing));
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, stream::body(chunks, Some(size_bytes))).into_response())
}

/// Reads on as fast as the client takes it.
fn send(
    runtime: &Handle,
    reader: &ImageReader,
    chunks: &mpsc::Sender<io::Result<Bytes>>,
    pacing: Pacing,
) {
    let size_bytes = reader.size_bytes();
    let (mut at, mut pace) = (0, Pace::new(pacing));
    while at < size_bytes {
        let left = usize::try_from(size_bytes - at).unwrap_or(CHUNK_BYTES);
        let mut chunk = vec![0; left.min(CHUNK_BYTES)];
        let len = chunk.len() as u64;
        let read = reader.read_at(at, &mut chunk);
        at += len;
        let failed = read.is_err();
        let chunk = read.map(|()| Bytes::from(chunk)).map_err(|error| {
            tracing::error!(%error, "a download breaks off");
            io::Error::other(error)
        });
        let since = Instant::now();
        let sent = runtime.block_on(async {
            tokio::select! {
                sent = chunks.send(chunk) => sent.is_ok(),
                () = tokio::time::sleep(pacing.stall) => false,
                () = reader.revoked() => {
                    tracing::info!("a download ends: the image is not public any more, or gone");
                    false
                }
            }
        });
        if failed || !sent || !pace.keeps_up(since.elapsed(), len) {
            return;
        }
    }
}
