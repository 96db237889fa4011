//! Projects: tenants, what they have and what they may have.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::disks::{check_groups, sorted};
use super::settings::Qos;
use super::{Answer, made};
use crate::catalog::{Amounts, Name, ProjectSettings, ProjectView, Quota};
use crate::control::Control;
use crate::control::access::Caller;
use crate::control::body::Fields;

/// What a project may have. What is absent has no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectQuota {
    /// Disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disks: Option<u64>,
    /// Bytes of images and disks together, as large as they look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Nodes that have a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u64>,
}

/// What is decided about a project. What is absent has no limit, or is as everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectPut {
    /// Most disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disks: Option<u64>,
    /// Most bytes of images and disks together, as large as they look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Most nodes that have a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u64>,
    /// Tags of the portal groups in which new disks may be offered, and are when they name none; all
    /// when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub portal_groups: Vec<u16>,
    /// Store of images that are imported without naming one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Image of disks that are made without naming one, as in `PUT` of a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Bytes of new disks that name no size, if their image has fewer; a multiple of 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// What new disks may be asked for that do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<Qos>,
}

/// What a project has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectUsage {
    /// Disks.
    pub disks: u64,
    /// Bytes of images and disks together, as large as they look.
    pub bytes: u64,
    /// Nodes that have a disk.
    pub nodes: u64,
}

/// A project. It is there as soon as something is in it; making it gives it limits.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Name.
    pub name: String,
    /// What it may have.
    pub quota: ProjectQuota,
    /// What it has.
    pub usage: ProjectUsage,
    /// Tags of the portal groups in which new disks may be offered, and are when they name none; all
    /// when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub portal_groups: Vec<u16>,
    /// Store of images that are imported without naming one, if it is another than everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Image of disks that are made without naming one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Bytes of new disks that name no size, if their image has fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// What new disks may be asked for that do not say it; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<Qos>,
    /// When it was made (RFC 3339); absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Answer to a PUT only: it had been made before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existed: Option<bool>,
}

/// Projects, sorted by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProjectList {
    /// The projects.
    pub items: Vec<Project>,
}

fn render(view: &ProjectView) -> Project {
    let settings = view.row.as_ref().map(|row| row.settings.clone()).unwrap_or_default();
    let Amounts { disks, bytes, nodes } = settings.quota;
    let usage = view.usage;
    Project {
        name: view.name.to_string(),
        quota: ProjectQuota { disks, bytes, nodes },
        usage: ProjectUsage { disks: usage.disks, bytes: usage.bytes, nodes: usage.nodes },
        portal_groups: settings.portal_groups,
        store: settings.store,
        image: settings.image,
        disk_bytes: settings.disk_bytes,
        qos: Some(settings.qos).filter(|qos| !qos.is_unlimited()).map(Into::into),
        created: view.row.as_ref().map(|row| row.created.to_string()),
        existed: None,
    }
}

/// Lists projects.
#[utoipa::path(
    get,
    path = "/v1/projects",
    tag = "projects",
    responses(
        (status = 200, description = "The projects", body = ProjectList),
    )
)]
pub(super) async fn list(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
) -> Answer<Json<ProjectList>> {
    let projects = control.catalog.projects(caller.project).await?;
    Ok(Json(ProjectList { items: projects.iter().map(render).collect() }))
}

/// Shows a project.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}",
    tag = "projects",
    responses(
        (status = 200, description = "The project", body = Project),
    )
)]
pub(super) async fn show(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Answer<Json<Project>> {
    Ok(Json(render(&control.catalog.project(Name::project(&name)?).await?)))
}

/// Decides what a project may have, and how what is new in it is made. What it has already stays as
/// it is.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}",
    tag = "projects",
    request_body = ProjectPut,
    responses(
        (status = 201, description = "It was made", body = Project),
        (status = 200, description = "It was there", body = Project),
    )
)]
pub(super) async fn put(
    State(control): State<Control>,
    Path(name): Path<String>,
    Fields(request): Fields<ProjectPut>,
) -> Answer<(StatusCode, Json<Project>)> {
    let ProjectPut { disks, bytes, nodes, portal_groups, store, image, disk_bytes, qos } = request;
    check_groups(&control, &portal_groups)?;
    let portal_groups = sorted(portal_groups);
    let quota = Quota { disks, bytes, nodes };
    let qos = qos.map(Into::into).unwrap_or_default();
    let settings = ProjectSettings { quota, portal_groups, store, image, disk_bytes, qos };
    let (project, existed) = control.catalog.put_project(Name::project(&name)?, settings).await?;
    Ok((made(existed), Json(Project { existed: Some(existed), ..render(&project) })))
}

/// Removes a project in which nothing is.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}",
    tag = "projects",
    responses(
        (status = 204, description = "It is gone"),
    )
)]
pub(super) async fn remove(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    control.catalog.remove_project(Name::project(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
