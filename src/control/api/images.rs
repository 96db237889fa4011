//! Golden images.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::jobs::{self, Job};
use super::problem::Problem;
use super::{Answer, Filter};
use crate::catalog::{
    self, CopySpec, Error, ImageName, ImageState, ImageView, ImportSpec, Name, Tagged,
};
use crate::control::Control;
use crate::control::Peer;
use crate::control::access::Caller;
use crate::control::body::Fields;

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
    /// The snapshot that disks are cloned from, unless there is a default tag.
    pub snapshot: String,
    /// The tag that disks are cloned from when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_tag: Option<String>,
    /// It cannot be removed.
    #[serde(default)]
    pub protected: bool,
    /// Names of its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The file it was imported from, the image or disk that it is a copy of, or what is attached.
    pub source: String,
    /// It was there before, and is served as it is; removing it here does not remove it there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attached: bool,
    /// Of an image made of a disk: the image that the disk was cloned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it was made (RFC 3339).
    pub created: String,
    /// What import noticed.
    pub warnings: Vec<Warning>,
    /// Names of the disks cloned from it.
    pub disks: Vec<String>,
}

/// A copy of an image.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageCopy {
    /// Name of the copy.
    pub name: String,
    /// Project of the copy; the same one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The tag to copy; what disks are cloned from by default when absent (of a disk: as it is now).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The store to put it in; the same one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// Another name, or project, for an image.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRename {
    /// Its new name; the same one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its new project; the same one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// Whether an image can be removed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    /// It cannot.
    pub protected: bool,
}

/// What disks are cloned from when no tag is named.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultTag {
    /// A tag of the image; the image as it was imported when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl ImageCopy {
    /// Project and name of the copy, and what is to be copied.
    pub(super) fn spec(
        self,
        project: Name,
        of: Tagged,
    ) -> Result<(Name, ImageName, CopySpec), Error> {
        let to = self.project.as_deref().map_or_else(|| Ok(project.clone()), Name::project)?;
        let tag = self.tag.as_deref().map(ImageName::tag).transpose()?;
        let spec = CopySpec { project, of, tag, store: self.store };
        Ok((to, ImageName::new(&self.name)?, spec))
    }
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

pub(in crate::control) fn render(ImageView { image, users, tags }: ImageView) -> Image {
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
        default_tag: image.default_tag.map(|tag| tag.to_string()),
        protected: image.protected,
        tags,
        source: image.source,
        attached: image.attached,
        parent: image.parent.map(|name| name.to_string()),
        created: image.created.to_string(),
        warnings: image.warnings.into_iter().map(Into::into).collect(),
        disks: users,
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
    Extension(caller): Extension<Caller>,
    Query(filter): Query<Filter>,
) -> Answer<Json<ImageList>> {
    let images = control.catalog.images(filter.project(&caller)?).await?;
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
    Fields(request): Fields<ImageImport>,
) -> Answer<(StatusCode, Json<Job>)> {
    let (project, name) = names(&(project, request.name))?;
    let spec = ImportSpec {
        file: request.file.into(),
        format: request.format.as_deref().map(str::parse).transpose()?,
        store: request.store,
        fix_boot_chs: request.fix_boot_chs,
        owner: peer.bound_to_own_files()?,
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

/// Copies an image, or one of its tags, into a new image that does not need it.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/images/{image}/copy",
    tag = "images",
    params(("project" = String, Path, description = "Project"), ("image" = String, Path, description = "Name")),
    request_body = ImageCopy,
    responses(
        (status = 202, description = "The copy has begun", body = Job),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn copy(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
    Fields(request): Fields<ImageCopy>,
) -> Answer<(StatusCode, Json<Job>)> {
    let (project, name) = names(&path)?;
    request.project.as_deref().map_or(Ok(()), |project| caller.check(project))?;
    let (to_project, to_name, spec) = request.spec(project, Tagged::Image(name))?;
    let job = control.catalog.copy_image(to_project, to_name, spec).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs::render(job))))
}

/// Gives an image another name. Its disks stay its clones. It can be moved to another project, too, when
/// it has none.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/images/{image}/rename",
    tag = "images",
    params(("project" = String, Path, description = "Project"), ("image" = String, Path, description = "Name")),
    request_body = ImageRename,
    responses(
        (status = 200, description = "The image", body = Image),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn rename(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
    Fields(request): Fields<ImageRename>,
) -> Answer<Json<Image>> {
    request.project.as_deref().map_or(Ok(()), |project| caller.check(project))?;
    let from = names(&path)?;
    let to = (request.project.unwrap_or(path.0), request.name.unwrap_or(path.1));
    Ok(Json(render(control.catalog.rename_image(from, names(&to)?).await?)))
}

/// Protects an image from removal, or does so no more.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/images/{image}/protection",
    tag = "images",
    params(("project" = String, Path, description = "Project"), ("image" = String, Path, description = "Name")),
    request_body = Protection,
    responses(
        (status = 200, description = "The image", body = Image),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn protect(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<Protection>,
) -> Answer<Json<Image>> {
    let (project, name) = names(&path)?;
    Ok(Json(render(control.catalog.protect_image(project, name, request.protected).await?)))
}

/// Sets the tag that disks are cloned from when none is named.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/images/{image}/default-tag",
    tag = "images",
    params(("project" = String, Path, description = "Project"), ("image" = String, Path, description = "Name")),
    request_body = DefaultTag,
    responses(
        (status = 200, description = "The image", body = Image),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn default_tag(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<DefaultTag>,
) -> Answer<Json<Image>> {
    let (project, name) = names(&path)?;
    let tag = request.tag.as_deref().map(ImageName::tag).transpose()?;
    Ok(Json(render(control.catalog.set_default_tag(project, name, tag).await?)))
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
