//! Targets as the data path sees them.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::disks::{Portal, Redirect};
use super::sessions::LogoutRequest;
use super::{Answer, portal, portals};
use crate::control::access::Caller;
use crate::control::body::Fields;
use crate::control::respond::Failure;
use crate::control::{Control, TargetInfo};

/// A target.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Its name (RFC 7143 4.2.7).
    pub name: String,
    /// Where it can be reached.
    pub portals: Vec<Portal>,
    /// Its logical units.
    pub luns: Vec<TargetLun>,
    /// Sessions that are logged in.
    pub sessions: u64,
    /// Where initiators that log in are sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
}

/// What draining a target has begun.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Drained {
    /// Sessions that were asked to log out.
    pub sessions: u64,
}

/// A logical unit of a target.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TargetLun {
    /// Its number.
    pub lun: u16,
    /// World wide identifier (VPD page 83h), as Linux shows it.
    pub wwid: String,
    /// Size in bytes; absent while the volume is not open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Writes are refused.
    pub read_only: bool,
    /// The volume is open.
    pub serving: bool,
}

/// Targets, sorted by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TargetList {
    /// The targets.
    pub items: Vec<Target>,
}

/// The targets that exist for a caller.
pub(super) enum SeenTargets {
    All,
    /// By their names.
    Of(BTreeSet<String>),
}

impl SeenTargets {
    pub(super) async fn of(control: &Control, caller: &Caller) -> Answer<Self> {
        let Some(project) = &caller.project else { return Ok(Self::All) };
        let disks = control.catalog.disks(Some(project.clone())).await?;
        Ok(Self::Of(disks.into_iter().map(|view| view.disk.target).collect()))
    }

    /// `None`: a discovery session's, which belongs to no project.
    pub(super) fn has(&self, target: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Of(names) => target.is_some_and(|name| names.contains(name)),
        }
    }
}

fn not_found() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "target-not-found", "no target of that name is served")
}

fn render(control: &Control, target: TargetInfo) -> Target {
    let luns = target.luns.into_iter().map(|lun| TargetLun {
        lun: lun.number,
        wwid: control.data_path.wwid(&lun.identity),
        size_bytes: lun.size_bytes,
        read_only: lun.read_only,
        serving: lun.size_bytes.is_some(),
    });
    Target {
        name: target.name,
        portals: portals(control, &target.portal_groups).into_iter().map(portal).collect(),
        luns: luns.collect(),
        sessions: target.sessions,
        redirect: target.moved.map(|(address, permanently)| Redirect { address, permanently }),
    }
}

/// Lists the targets that are served.
#[utoipa::path(
    get,
    path = "/v1/targets",
    tag = "targets",
    responses(
        (status = 200, description = "The targets", body = TargetList),
    )
)]
pub(super) async fn list(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
) -> Answer<Json<TargetList>> {
    let seen = SeenTargets::of(&control, &caller).await?;
    let targets = control.data_path.targets().into_iter();
    let targets = targets.filter(|target| seen.has(Some(&target.name)));
    Ok(Json(TargetList { items: targets.map(|target| render(&control, target)).collect() }))
}

/// Shows a target.
#[utoipa::path(
    get,
    path = "/v1/targets/{name}",
    tag = "targets",
    responses(
        (status = 200, description = "The target", body = Target),
    )
)]
pub(super) async fn show(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<Json<Target>> {
    let seen = SeenTargets::of(&control, &caller).await?;
    // As iSCSI names compare (RFC 7143 4.2.7.1).
    let is_it = |target: &TargetInfo| {
        target.name.eq_ignore_ascii_case(&name) && seen.has(Some(&target.name))
    };
    let target = control.data_path.targets().into_iter().find(is_it).ok_or_else(not_found)?;
    Ok(Json(render(&control, target)))
}

/// Asks every initiator that is logged in to a target to log out, and ends the sessions that are
/// left when the time is over. Initiators may log in again; redirect the disk first to have them
/// go elsewhere.
#[utoipa::path(
    post,
    path = "/v1/targets/{name}/drain",
    tag = "targets",
    request_body = Option<LogoutRequest>,
    responses(
        (status = 202, description = "They are asked", body = Drained),
    )
)]
pub(super) async fn drain(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    request: Option<Fields<Option<LogoutRequest>>>,
) -> Answer<(StatusCode, Json<Drained>)> {
    let request = request.and_then(|Fields(request)| request).unwrap_or_default();
    if !SeenTargets::of(&control, &caller).await?.has(Some(&name.to_ascii_lowercase())) {
        return Err(not_found());
    }
    let sessions = control.data_path.drain(&name, request.patience()).ok_or_else(not_found)?;
    Ok((StatusCode::ACCEPTED, Json(Drained { sessions })))
}
