//! The event stream: what happens, as it happens.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use super::jobs::Job;
use super::sessions::Session;
use crate::catalog::Name;
use crate::control::access::Caller;
use crate::control::events::{self, KINDS, Moment, Wanted};
use crate::control::respond::Failure;
use crate::control::{Control, stream};

/// What an `EventSource` sends when it comes back (HTML, "Server-sent events").
const LAST_EVENT_ID: &str = "last-event-id";
/// Most kinds that can be asked for by name.
const TYPES_MAX: usize = 32;

/// Something that has happened. What has no meaning for its kind is absent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// For `Last-Event-ID`; never the same again, in another run of the daemon neither.
    pub id: String,
    /// When (RFC 3339).
    pub time: String,
    /// `image.made`, `disk.changed`, `job.ended` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Name of the image, disk, node, tag, project, token or certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What has the tag: `image NAME` or `disk NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Where the object stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The image that a disk is a clone of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The node that a disk is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The disk of a node or a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// The target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// MAC address of a machine that asked for its boot script, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// From where it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether the script held the CHAP secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<bool>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Events that were dropped before they could be sent, at most; absent when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Kinds, separated by commas: `disk.changed`, or `disk` for all that begin so.
    types: Option<String>,
    /// Of this project only.
    project: Option<String>,
    /// Those after the event of this id; `start`: all that are kept. The header `Last-Event-ID`
    /// goes before. Only new ones when absent.
    since: Option<String>,
    /// With `false` the stream ends when there are no more.
    follow: Option<bool>,
}

/// Streams what happens (`text/event-stream`): each event has its id, its kind as `event` and an
/// Event as `data`. A gap is an event `lost`; the last one of a stream that the daemon ends is
/// `end`, with the reason. A comment every 15 s shows that the stream lives.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    params(Which),
    responses(
        (status = 200, description = "The events", body = Event, content_type = "text/event-stream"),
    )
)]
pub(super) async fn follow(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Extension(known): Extension<Moment>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Answer<Response> {
    let project = match &which.project {
        Some(project) => {
            caller.check(project)?;
            Some(Name::project(project)?)
        }
        None => None,
    };
    let wanted = Wanted::new(&caller, known, project.as_ref(), types(which.types.as_deref())?);
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let since = last.or(which.since.as_deref()).filter(|id| !id.is_empty());
    let place = control.events.place(&caller.who, &control.catalog).ok_or_else(|| {
        let detail = "too many event streams are open; close some, or try again later";
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", detail)
    })?;
    let (sender, chunks) = mpsc::channel(1);
    let cursor = control.events.cursor(since);
    tokio::spawn(events::send(place, cursor, wanted, which.follow.unwrap_or(true), sender));
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, stream::body(chunks, None)).into_response())
}

/// The kinds that are asked for; empty: all.
fn types(text: Option<&str>) -> Answer<Vec<String>> {
    let invalid =
        |detail: String| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-type", detail);
    let types: Vec<String> =
        text.into_iter().flat_map(|t| t.split(',')).map(str::to_owned).collect();
    if types.len() > TYPES_MAX {
        return Err(invalid(format!("at most {TYPES_MAX} types can be named")));
    }
    let is_known = |wanted: &String| KINDS.iter().any(|kind| events::is_of(kind, wanted));
    match types.iter().find(|wanted| !is_known(wanted)) {
        Some(_) => Err(invalid(format!("no such type of event; there is {}", KINDS.join(", ")))),
        None => Ok(types),
    }
}
