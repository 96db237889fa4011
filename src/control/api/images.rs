//! Golden images.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::jobs::{self, Job};
use super::{Answer, Filter};
use crate::catalog::{
    self, CopySpec, Destination, Error, ImageName, ImageState, ImageView, ImportSpec, Name,
    PoolImportSpec, Tagged,
};
use crate::control::Control;
use crate::control::Peer;
use crate::control::access::Caller;
use crate::control::body::Fields;
use crate::control::respond::Failure;

/// A file on the gateway, or an image in a pool, that becomes a golden image.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageImport {
    /// 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit.
    pub name: String,
    /// Absolute path of a regular file that the daemon can read. Unless the caller is root or the
    /// daemon's own user, it must be the caller's file, and no symbolic link. For who is bound to no
    /// project only. Either this or `rbd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// An image, or a snapshot, of a pool of the Ceph cluster: `POOL[/NAMESPACE]/IMAGE[@SNAPSHOT]`. It
    /// is only read. For who is bound to no project only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbd: Option<String>,
    /// SHA-256 of the file, in hexadecimal: the image is made only if that is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
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
    /// `uploading`, `importing`, `ready`, `removing` or `broken`.
    pub state: String,
    /// Size of the disk in it, in bytes.
    pub size_bytes: u64,
    /// Bytes that it takes in its store, its tags included on the local store; told when one image is
    /// shown, if the store knows that without looking at all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// What it was imported from: `raw` or `qcow2`.
    pub format: String,
    /// The store that keeps it.
    pub store: String,
    /// Its name in the store; absent to other projects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backing: String,
    /// The snapshot that disks are cloned from, unless there is a default tag; absent to other
    /// projects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub snapshot: String,
    /// The tag that disks are cloned from when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_tag: Option<String>,
    /// It cannot be removed.
    #[serde(default)]
    pub protected: bool,
    /// Every project sees it, and can clone, copy and download it.
    #[serde(default)]
    pub public: bool,
    /// SHA-256 of the file that it was made of, in hexadecimal, if that was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Names of its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The file it was imported from, the image or disk that it is a copy of, what is attached, or
    /// `upload`; absent to other projects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// It was there before, and is served as it is; removing it here does not remove it there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attached: bool,
    /// Of an image made of a disk: the image that the disk was cloned from; absent to other projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it was made (RFC 3339).
    pub created: String,
    /// What import noticed.
    pub warnings: Vec<Warning>,
    /// Names of the disks cloned from it; of those of other projects `PROJECT/DISK`.
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

/// Whether other projects can use an image.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Visibility {
    /// They can.
    pub public: bool,
}

/// Where an image is copied out to: either `file` or `rbd`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageExport {
    /// Absolute path of a file on the gateway that is not there yet; it becomes a raw disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// An image that is not there yet, in a pool of the Ceph cluster: `POOL[/NAMESPACE]/IMAGE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbd: Option<String>,
    /// As it was at this tag; as disks are cloned from it by default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// The store that reaches the pools of the Ceph cluster.
const CLUSTER: &str = "rbd";
/// How long a store may take to say what an image takes.
const USED_WAIT: Duration = Duration::from_secs(3);

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
        let spec = CopySpec { project, of, tag, store: self.store, asking: None };
        Ok((to, ImageName::new(&self.name)?, spec))
    }
}

/// Something that may surprise whoever boots from the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// Stable: `no-boot-signature`, `no-partition-table`, `no-boot-code`, `no-boot-loader`, `no-gpt`,
    /// `gpt-boot-chs`, `gpt-beyond-end`, `gpt-4k-sectors`, `raw-is-qcow2`, `compressed`.
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

pub(super) fn state(state: ImageState) -> &'static str {
    match state {
        ImageState::Uploading => "uploading",
        ImageState::Importing => "importing",
        ImageState::Ready => "ready",
        ImageState::Removing => "removing",
        ImageState::Broken => "broken",
    }
}

pub(super) fn format(format: catalog::Format) -> &'static str {
    match format {
        catalog::Format::Raw => "raw",
        catalog::Format::Qcow2 => "qcow2",
    }
}

pub(in crate::control) fn render(ImageView { image, users, tags }: ImageView) -> Image {
    Image {
        project: image.project.to_string(),
        name: image.name.to_string(),
        state: state(image.state).to_owned(),
        size_bytes: image.size_bytes,
        used_bytes: None,
        format: format(image.format).to_owned(),
        store: image.store,
        backing: image.backing,
        snapshot: image.snapshot,
        default_tag: image.default_tag.map(|tag| tag.to_string()),
        protected: image.protected,
        public: image.public,
        sha256: image.sha256.map(|sum| sum.to_string()),
        tags,
        source: image.source,
        attached: image.attached,
        parent: image.parent.map(|name| name.to_string()),
        created: image.created.to_string(),
        warnings: image.warnings.into_iter().map(Into::into).collect(),
        disks: users,
    }
}

/// An image as a caller sees it, if it does: of another project's, which must be public, what one
/// needs to use it, and not where it came from and lies, nor who else uses it.
pub(in crate::control) fn seen(view: ImageView, caller: &Caller) -> Option<Image> {
    let mut image = render(view);
    if caller.sees(&image.project) {
        return Some(image);
    }
    if !image.public {
        return None;
    }
    let own = |disk: &String| disk.split_once('/').is_some_and(|(of, _)| caller.sees(of));
    image.disks.retain(own);
    for place in [&mut image.source, &mut image.backing, &mut image.snapshot] {
        place.clear();
    }
    image.parent = None;
    Some(image)
}

/// What was asked for of an image by its name. One that the caller does not see is refused as if its
/// project were not there, be it there or not.
pub(super) fn found<T>(caller: &Caller, project: &str, result: Result<T, Error>) -> Answer<T> {
    let is_hidden = |error: &Error| error.code() == "image-not-found";
    if result.as_ref().is_err_and(is_hidden) {
        caller.check(project)?;
    }
    Ok(result?)
}

pub(super) fn names((project, image): &(String, String)) -> Result<(Name, ImageName), Error> {
    Ok((Name::project(project)?, ImageName::new(image)?))
}

/// Lists images: those of the caller's projects, and public ones of others.
#[utoipa::path(
    get,
    path = "/v1/images",
    tag = "images",
    params(Filter),
    responses(
        (status = 200, description = "The images", body = ImageList),
    )
)]
pub(super) async fn list(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Query(filter): Query<Filter>,
) -> Answer<Json<ImageList>> {
    let wanted = filter.wanted()?;
    let images = control.catalog.images(wanted.clone()).await?;
    let items: Vec<Image> = images.into_iter().filter_map(|view| seen(view, &caller)).collect();
    // A project that shares nothing is not there for others.
    if let Some(project) = wanted.filter(|_| items.is_empty()) {
        caller.check(project.as_str())?;
    }
    Ok(Json(ImageList { items }))
}

fn either(more: &str) -> Failure {
    let detail = format!("either `file` or `rbd` must be given; {more}");
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", detail)
}

/// Imports a file on the gateway, or an image in a pool of the Ceph cluster, as an image.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/images",
    tag = "images",
    request_body = ImageImport,
    responses(
        (status = 202, description = "The import has begun", body = Job),
    )
)]
pub(super) async fn import(
    State(control): State<Control>,
    Path(project): Path<String>,
    Extension(peer): Extension<Peer>,
    Extension(caller): Extension<Caller>,
    Fields(request): Fields<ImageImport>,
) -> Answer<(StatusCode, Json<Job>)> {
    let (project, name) = names(&(project, request.name))?;
    let fix_boot_chs = request.fix_boot_chs;
    let job = match (request.file, request.rbd) {
        (Some(file), None) => {
            let spec = ImportSpec {
                file: file.into(),
                format: request.format.as_deref().map(str::parse).transpose()?,
                store: request.store,
                fix_boot_chs,
                owner: caller.files_of(&peer)?,
                sha256: request.sha256.as_deref().map(str::parse).transpose()?,
            };
            control.catalog.import(project, name, spec).await?
        }
        (None, Some(image)) if request.format.is_none() && request.sha256.is_none() => {
            // Whatever is in the cluster, disks of other projects too.
            caller.check_global()?;
            let (image, store) = (image.parse()?, request.store);
            let spec =
                PoolImportSpec { image, from: Some(CLUSTER.to_owned()), store, fix_boot_chs };
            control.catalog.import_from_pool(project, name, spec).await?
        }
        _ => return Err(either("`format` and `sha256` are of a file")),
    };
    Ok((StatusCode::ACCEPTED, Json(jobs::render(job))))
}

/// Shows an image.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/images/{image}",
    tag = "images",
    responses(
        (status = 200, description = "The image", body = Image),
    )
)]
pub(super) async fn show(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
) -> Answer<Json<Image>> {
    let (project, name) = names(&path)?;
    let view = control.catalog.image(project.clone(), name.clone()).await;
    let view = found(&caller, project.as_str(), view)?;
    let Some(image) = seen(view, &caller) else { return Err(caller.elsewhere()) };
    let used_bytes = control.catalog.image_used(project, name, USED_WAIT).await?;
    Ok(Json(Image { used_bytes, ..image }))
}

/// Removes an image that no disk uses.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/images/{image}",
    tag = "images",
    responses(
        (status = 204, description = "It is gone"),
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
    request_body = ImageCopy,
    responses(
        (status = 202, description = "The copy has begun", body = Job),
    )
)]
pub(super) async fn copy(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
    Fields(request): Fields<ImageCopy>,
) -> Answer<(StatusCode, Json<Job>)> {
    let (project, name) = names(&path)?;
    caller.check(request.project.as_deref().unwrap_or(project.as_str()))?;
    let (to_project, to_name, mut spec) = request.spec(project, Tagged::Image(name))?;
    spec.asking = caller.project.clone();
    let job = control.catalog.copy_image(to_project, to_name, spec).await;
    let job = found(&caller, &path.0, job)?;
    Ok((StatusCode::ACCEPTED, Json(jobs::render(job))))
}

/// Gives an image another name. Its disks stay its clones. It can be moved to another project, too, when
/// it has none.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/images/{image}/rename",
    tag = "images",
    request_body = ImageRename,
    responses(
        (status = 200, description = "The image", body = Image),
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
    request_body = Protection,
    responses(
        (status = 200, description = "The image", body = Image),
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

/// Has all projects see and use an image, or does so no more. Disks that were cloned from it stay.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/images/{image}/visibility",
    tag = "images",
    request_body = Visibility,
    responses(
        (status = 200, description = "The image", body = Image),
    )
)]
pub(super) async fn publish(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<Visibility>,
) -> Answer<Json<Image>> {
    let (project, name) = names(&path)?;
    Ok(Json(render(control.catalog.publish_image(project, name, request.public).await?)))
}

/// Copies an image out, to a file on the gateway or to a pool of the Ceph cluster. Nothing is
/// overwritten. To a file: only root and the daemon's own user; in any case only who is bound to no
/// project.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/images/{image}/export",
    tag = "images",
    request_body = ImageExport,
    responses(
        (status = 202, description = "The export has begun", body = Job),
    )
)]
pub(super) async fn export(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Extension(peer): Extension<Peer>,
    Extension(caller): Extension<Caller>,
    Fields(request): Fields<ImageExport>,
) -> Answer<(StatusCode, Json<Job>)> {
    caller.check_global()?;
    let (project, name) = names(&path)?;
    let tag = request.tag.as_deref().map(ImageName::tag).transpose()?;
    let to = match (request.file, request.rbd) {
        (Some(file), None) => {
            // The daemon may write where the caller may not.
            if caller.files_of(&peer)?.is_some() {
                let detail = "only root and the user that stirrupd runs as may have it write files; \
                              download the image instead";
                return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", detail));
            }
            Destination::File(file.into())
        }
        (None, Some(image)) => {
            Destination::Pool { store: CLUSTER.to_owned(), image: image.parse()? }
        }
        _ => return Err(either("not both")),
    };
    let job = control.catalog.export_image(project, name, tag, to).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs::render(job))))
}

/// Sets the tag that disks are cloned from when none is named.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/images/{image}/default-tag",
    tag = "images",
    request_body = DefaultTag,
    responses(
        (status = 200, description = "The image", body = Image),
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
    responses(
        (status = 200, description = "The boot profile", body = BootProfile),
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
    responses(
        (status = 204, description = "It is forgotten"),
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
