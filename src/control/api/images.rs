//! Golden images.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::jobs::{self, Job};
use super::problem::Problem;
use super::{Answer, Filter};
use crate::catalog::{self, Error, ImageName, ImageState, ImportSpec, Name};
use crate::control::Control;
use crate::control::socket::Peer;

/// A file on the gateway that becomes a golden image.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageImport {
    /// 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit.
    pub name: String,
    /// Absolute path of a regular file that the daemon can read. Unless the caller is root or the
    /// daemon's own user, it must be the caller's file, and no symbolic link.
    pub file: String,
    /// `raw` or `qcow2`; found out by itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The store to put it in; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Mend, in the copy, the end CHS of a protective MBR that slows BIOS GRUB down under iPXE
    /// (warning `gpt-boot-chs`).
    #[serde(default)]
    pub fix_boot_chs: bool,
}

/// A golden image: immutable, parent of disks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Project.
    pub project: String,
    /// Name, unique in the project.
    pub name: String,
    /// `importing`, `ready`, `removing` or `broken`.
    pub state: String,
    /// Size of the disk in it, in bytes.
    pub size_bytes: u64,
    /// What it was imported from: `raw` or `qcow2`.
    pub format: String,
    /// The store that keeps it.
    pub store: String,
    /// Its name in the store.
    pub backing: String,
    /// The snapshot that disks are cloned from.
    pub snapshot: String,
    /// The file it was imported from.
    pub source: String,
    /// When it was made (RFC 3339).
    pub created: String,
    /// What import noticed.
    pub warnings: Vec<Warning>,
    /// Names of the disks cloned from it.
    pub disks: Vec<String>,
}

/// Something that may surprise whoever boots from the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// Stable: `no-boot-signature`, `no-partition-table`, `no-boot-code`, `gpt-boot-chs`.
    pub code: String,
    /// One line.
    pub message: String,
}

/// Images, sorted by project and name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImageList {
    /// The images.
    pub items: Vec<Image>,
}

/// What is known of how an image boots: what nodes read while they booted it, which is fetched
/// into the gateway's cache when the next one logs in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BootProfile {
    /// Boots that it was learnt from, at most the last eight. 0: nothing is known.
    pub boots: u32,
    /// Ranges of the image that are fetched.
    pub ranges: u64,
    /// Bytes of these.
    pub bytes: u64,
}

impl From<catalog::Warning> for Warning {
    fn from(warning: catalog::Warning) -> Self {
        Self { code: warning.code, message: warning.message }
    }
}

pub(in crate::control) fn render((image, disks): (catalog::Image, Vec<String>)) -> Image {
    let state = match image.state {
        ImageState::Importing => "importing",
        ImageState::Ready => "ready",
        ImageState::Removing => "removing",
        ImageState::Broken => "broken",
    };
    let format = match image.format {
        catalog::Format::Raw => "raw",
        catalog::Format::Qcow2 => "qcow2",
    };
    Image {
        project: image.project.to_string(),
        name: image.name.to_string(),
        state: state.to_owned(),
        size_bytes: image.size_bytes,
        format: format.to_owned(),
        store: image.store,
        backing: image.backing,
        snapshot: image.snapshot,
        source: image.source,
        created: image.created.to_string(),
        warnings: image.warnings.into_iter().map(Into::into).collect(),
        disks,
    }
}

fn names((project, image): &(String, String)) -> Result<(Name, ImageName), Error> {
    Ok((Name::project(project)?, ImageName::new(image)?))
}

/// Lists images.
#[utoipa::path(
    get,
    path = "/v1/images",
    tag = "images",
    params(Filter),
    responses(
        (status = 200, description = "The images", body = ImageList),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(control): State<Control>,
    Query(filter): Query<Filter>,
) -> Answer<Json<ImageList>> {
    let images = control.catalog.images(filter.project()?).await?;
    Ok(Json(ImageList { items: images.into_iter().map(render).collect() }))
}

/// Imports a file on the gateway as an image.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/images",
    tag = "images",
    params(("project" = String, Path, description = "Project")),
    request_body = ImageImport,
    responses(
        (status = 202, description = "The import has begun", body = Job),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn import(
    State(control): State<Control>,
    Path(project): Path<String>,
    Extension(peer): Extension<Peer>,
    Json(request): Json<ImageImport>,
) -> Answer<(StatusCode, Json<Job>)> {
    let (project, name) = names(&(project, request.name))?;
    let spec = ImportSpec {
        file: request.file.into(),
        format: request.format.as_deref().map(str::parse).transpose()?,
        store: request.store,
        fix_boot_chs: request.fix_boot_chs,
        owner: peer.bound_to_own_files(),
    };
    let job = control.catalog.import(project, name, spec).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs::render(job))))
}

/// Shows an image.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/images/{image}",
    tag = "images",
    params(("project" = String, Path, description = "Project"), ("image" = String, Path, description = "Name")),
    responses(
        (status = 200, description = "The image", body = Image),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<Json<Image>> {
    let (project, name) = names(&path)?;
    Ok(Json(render(control.catalog.image(project, name).await?)))
}

/// Removes an image that no disk uses.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/images/{image}",
    tag = "images",
    params(("project" = String, Path, description = "Project"), ("image" = String, Path, description = "Name")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<StatusCode> {
    let (project, name) = names(&path)?;
    control.catalog.remove_image(project, name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows what is known of how an image boots.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/images/{image}/boot-profile",
    tag = "images",
    params(("project" = String, Path, description = "Project"), ("image" = String, Path, description = "Name")),
    responses(
        (status = 200, description = "The boot profile", body = BootProfile),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn boot_profile(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<Json<BootProfile>> {
    let (project, name) = names(&path)?;
    let profile = control.catalog.boot_profile(project, name).await?;
    let (boots, ranges, bytes) = (profile.boots, profile.ranges, profile.bytes);
    Ok(Json(BootProfile { boots, ranges, bytes }))
}

/// Forgets what is known of how an image boots.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/images/{image}/boot-profile",
    tag = "images",
    params(("project" = String, Path, description = "Project"), ("image" = String, Path, description = "Name")),
    responses(
        (status = 204, description = "It is forgotten"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn forget_boot_profile(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<StatusCode> {
    let (project, name) = names(&path)?;
    control.catalog.forget_boot_profile(project, name).await?;
    Ok(StatusCode::NO_CONTENT)
}
