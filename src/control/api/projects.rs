//! Projects: tenants, what they have and what they may have.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;
use super::{Answer, made};
use crate::catalog::{Amounts, Name, ProjectView, Quota};
use crate::control::Control;
use crate::control::access::Caller;
use crate::control::body::Fields;

/// What a project may have. What is absent has no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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
    let quota = view.row.as_ref().map(|row| row.quota).unwrap_or_default();
    let Amounts { disks, bytes, nodes } = quota;
    let usage = view.usage;
    Project {
        name: view.name.to_string(),
        quota: ProjectQuota { disks, bytes, nodes },
        usage: ProjectUsage { disks: usage.disks, bytes: usage.bytes, nodes: usage.nodes },
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
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
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
    params(("project" = String, Path, description = "Name")),
    responses(
        (status = 200, description = "The project", body = Project),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Answer<Json<Project>> {
    Ok(Json(render(&control.catalog.project(Name::project(&name)?).await?)))
}

/// Sets what a project may have. What it has already, it keeps.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}",
    tag = "projects",
    params(("project" = String, Path, description = "Name")),
    request_body = ProjectQuota,
    responses(
        (status = 201, description = "It was made", body = Project),
        (status = 200, description = "It was there", body = Project),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(control): State<Control>,
    Path(name): Path<String>,
    Fields(request): Fields<ProjectQuota>,
) -> Answer<(StatusCode, Json<Project>)> {
    let ProjectQuota { disks, bytes, nodes } = request;
    let quota = Quota { disks, bytes, nodes };
    let (project, existed) = control.catalog.put_project(Name::project(&name)?, quota).await?;
    Ok((made(existed), Json(Project { existed: Some(existed), ..render(&project) })))
}

/// Removes a project in which nothing is.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}",
    tag = "projects",
    params(("project" = String, Path, description = "Name")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    control.catalog.remove_project(Name::project(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
