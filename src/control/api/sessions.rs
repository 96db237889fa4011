//! Sessions that are logged in.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use super::targets::SeenTargets;
use crate::control::access::Caller;
use crate::control::body::Fields;
use crate::control::respond::Failure;
use crate::control::{Control, LatencyInfo, SessionInfo};

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// For `DELETE /v1/sessions/{id}`; never used twice while the daemon runs.
    pub id: u64,
    /// The target; absent in a discovery session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Initiator name.
    pub initiator: String,
    /// ISID, 12 hexadecimal digits.
    pub isid: String,
    /// Tag of the portal group that it came in by.
    #[serde(default)]
    pub tpgt: u16,
    /// Address and port of the initiator.
    pub address: String,
    /// When it logged in (RFC 3339).
    pub since: String,
    /// Bytes sent to the initiator by READs.
    pub bytes_read: u64,
    /// Bytes received from the initiator by WRITEs.
    pub bytes_written: u64,
    /// SCSI commands so far.
    pub commands: u64,
    /// SCSI commands a second, over about ten seconds.
    #[serde(default)]
    pub iops: u64,
    /// Bytes a second sent to the initiator, likewise.
    #[serde(default)]
    pub read_bytes_per_second: u64,
    /// Bytes a second received from the initiator, likewise.
    #[serde(default)]
    pub written_bytes_per_second: u64,
    /// How long commands take; absent: there were none of late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// How long commands take that read or write, from when they are here to when they have been executed,
/// in microseconds, over about ten seconds. One command of 32 is timed, to a quarter of an octave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Latency {
    /// On average.
    pub mean_us: u64,
    /// Half of them.
    pub median_us: u64,
    /// 99 of a hundred.
    pub p99_us: u64,
}

/// How initiators are asked to log out (RFC 7143 11.9).
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// Time they have, in seconds; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u16>,
}

impl LogoutRequest {
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(10).into())
    }
}

/// Sessions, in the order of their ids.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// The sessions.
    pub items: Vec<Session>,
}

/// Narrows the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ByTarget {
    /// Sessions with this target only.
    target: Option<String>,
}

pub(in crate::control) fn render(session: SessionInfo) -> Session {
    Session {
        id: session.id,
        target: session.target,
        initiator: session.initiator,
        isid: session.isid.iter().map(|byte| format!("{byte:02x}")).collect(),
        tpgt: session.tpgt,
        address: session.address.to_string(),
        since: session.since.to_string(),
        bytes_read: session.bytes_read,
        bytes_written: session.bytes_written,
        commands: session.commands,
        iops: session.commands_per_second.round() as u64,
        read_bytes_per_second: session.read_per_second.round() as u64,
        written_bytes_per_second: session.written_per_second.round() as u64,
        latency: session.latency.map(|LatencyInfo { mean_us, median_us, p99_us }| Latency {
            mean_us,
            median_us,
            p99_us,
        }),
    }
}

/// Lists the sessions that are logged in.
#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "sessions",
    params(ByTarget),
    responses(
        (status = 200, description = "The sessions", body = SessionList),
    )
)]
pub(super) async fn list(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Query(filter): Query<ByTarget>,
) -> Answer<Json<SessionList>> {
    let mut sessions = control.data_path.sessions();
    let seen = SeenTargets::of(&control, &caller).await?;
    sessions.retain(|session| seen.has(session.target.as_deref()));
    if let Some(name) = &filter.target {
        let is_of = |target: &String| target.eq_ignore_ascii_case(name);
        sessions.retain(|session| session.target.as_ref().is_some_and(is_of));
    }
    Ok(Json(SessionList { items: sessions.into_iter().map(render).collect() }))
}

/// Refuses a session that does not exist for the caller.
async fn check_seen(control: &Control, caller: &Caller, id: u64) -> Answer<()> {
    let seen = SeenTargets::of(control, caller).await?;
    let sessions = control.data_path.sessions();
    let found = sessions.iter().find(|session| session.id == id);
    match found {
        Some(session) if !seen.has(session.target.as_deref()) => Err(not_found(id)),
        _ => Ok(()),
    }
}

/// Ends a session. The initiator may log in again.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    params(("id" = u64, Path, description = "Number of the session")),
    responses(
        (status = 204, description = "It ends"),
    )
)]
pub(super) async fn kill(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Answer<StatusCode> {
    check_seen(&control, &caller, id).await?;
    if control.data_path.kill_session(id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(not_found(id))
}

fn not_found(id: u64) -> Failure {
    let detail = format!("no session {id}; it may have ended");
    Failure::new(StatusCode::NOT_FOUND, "session-not-found", detail)
}

/// Asks the initiator of a session to log out, and ends the session if it is still there when the
/// time is over. The initiator may log in again.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/logout",
    tag = "sessions",
    params(("id" = u64, Path, description = "Number of the session")),
    request_body = Option<LogoutRequest>,
    responses(
        (status = 202, description = "It is asked"),
    )
)]
pub(super) async fn logout(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
    request: Option<Fields<Option<LogoutRequest>>>,
) -> Answer<StatusCode> {
    check_seen(&control, &caller, id).await?;
    let request = request.and_then(|Fields(request)| request).unwrap_or_default();
    match control.data_path.request_logout(id, request.patience()) {
        true => Ok(StatusCode::ACCEPTED),
        false => Err(not_found(id)),
    }
}
