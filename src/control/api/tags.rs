//! Tags: what an image or a disk held at one moment, under a name.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, made};
use crate::catalog::{Error, ImageName, Name, TagState, TagView, Tagged};
use crate::control::Control;
use crate::control::body::Fields;

/// How a tag is to be. A tag that is not there is made of what its image or disk holds now.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TagPut {
    /// It cannot be removed, nor what has it; left as it is when absent, `false` in a new tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
}

/// A tag.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Tag {
    /// Project.
    pub project: String,
    /// The image that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The disk that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// Name: 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit.
    pub name: String,
    /// `creating`, `ready` or `removing`.
    pub state: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// The snapshot's name in the store.
    pub snapshot: String,
    /// It cannot be removed.
    pub protected: bool,
    /// When it was made (RFC 3339).
    pub created: String,
    /// Names of the disks cloned from it.
    pub disks: Vec<String>,
    /// Answer to a PUT only: it was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existed: Option<bool>,
}

/// Tags, sorted by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TagList {
    /// The tags.
    pub items: Vec<Tag>,
}

fn render(TagView { tag, users }: TagView) -> Tag {
    let state = match tag.state {
        TagState::Creating => "creating",
        TagState::Ready => "ready",
        TagState::Removing => "removing",
    };
    let (image, disk) = match tag.of {
        Tagged::Image(name) => (Some(name.to_string()), None),
        Tagged::Disk(name) => (None, Some(name.to_string())),
    };
    Tag {
        project: tag.project.to_string(),
        image,
        disk,
        name: tag.name.to_string(),
        state: state.to_owned(),
        size_bytes: tag.size_bytes,
        snapshot: tag.snapshot,
        protected: tag.protected,
        created: tag.created.to_string(),
        disks: users,
        existed: None,
    }
}

fn image(name: &str) -> Result<Tagged, Error> {
    ImageName::new(name).map(Tagged::Image)
}

fn disk(name: &str) -> Result<Tagged, Error> {
    Name::disk(name).map(Tagged::Disk)
}

async fn list(control: &Control, project: &str, of: Tagged) -> Answer<Json<TagList>> {
    let tags = control.catalog.tags(Name::project(project)?, of).await?;
    Ok(Json(TagList { items: tags.into_iter().map(render).collect() }))
}

async fn show(control: &Control, project: &str, of: Tagged, tag: &str) -> Answer<Json<Tag>> {
    let tag = control.catalog.tag(Name::project(project)?, of, ImageName::tag(tag)?).await?;
    Ok(Json(render(tag)))
}

async fn put(
    control: &Control,
    project: &str,
    of: Tagged,
    tag: &str,
    request: &TagPut,
) -> Answer<(StatusCode, Json<Tag>)> {
    let (project, tag) = (Name::project(project)?, ImageName::tag(tag)?);
    let (tag, existed) = control.catalog.put_tag(project, of, tag, request.protected).await?;
    Ok((made(existed), Json(Tag { existed: Some(existed), ..render(tag) })))
}

async fn remove(control: &Control, project: &str, of: Tagged, tag: &str) -> Answer<StatusCode> {
    control.catalog.remove_tag(Name::project(project)?, of, ImageName::tag(tag)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the tags of an image.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/images/{image}/tags",
    tag = "images",
    responses(
        (status = 200, description = "The tags", body = TagList),
    )
)]
pub(super) async fn image_tags(
    State(control): State<Control>,
    Path((project, name)): Path<(String, String)>,
) -> Answer<Json<TagList>> {
    list(&control, &project, image(&name)?).await
}

/// Shows a tag of an image.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/images/{image}/tags/{tag}",
    tag = "images",
    responses(
        (status = 200, description = "The tag", body = Tag),
    )
)]
pub(super) async fn image_tag(
    State(control): State<Control>,
    Path((project, name, tag)): Path<(String, String, String)>,
) -> Answer<Json<Tag>> {
    show(&control, &project, image(&name)?, &tag).await
}

/// Makes a tag of what an image holds now, in no time, or protects one. An image changes only by a
/// disk that edits it.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/images/{image}/tags/{tag}",
    tag = "images",
    request_body = TagPut,
    responses(
        (status = 201, description = "It was made", body = Tag),
        (status = 200, description = "It was there", body = Tag),
    )
)]
pub(super) async fn put_image_tag(
    State(control): State<Control>,
    Path((project, name, tag)): Path<(String, String, String)>,
    Fields(request): Fields<TagPut>,
) -> Answer<(StatusCode, Json<Tag>)> {
    put(&control, &project, image(&name)?, &tag, &request).await
}

/// Removes a tag of an image, which no disk may need.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/images/{image}/tags/{tag}",
    tag = "images",
    responses(
        (status = 204, description = "It is gone"),
    )
)]
pub(super) async fn remove_image_tag(
    State(control): State<Control>,
    Path((project, name, tag)): Path<(String, String, String)>,
) -> Answer<StatusCode> {
    remove(&control, &project, image(&name)?, &tag).await
}

/// Lists the tags of a disk.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/disks/{disk}/tags",
    tag = "disks",
    responses(
        (status = 200, description = "The tags", body = TagList),
    )
)]
pub(super) async fn disk_tags(
    State(control): State<Control>,
    Path((project, name)): Path<(String, String)>,
) -> Answer<Json<TagList>> {
    list(&control, &project, disk(&name)?).await
}

/// Shows a tag of a disk.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/disks/{disk}/tags/{tag}",
    tag = "disks",
    responses(
        (status = 200, description = "The tag", body = Tag),
    )
)]
pub(super) async fn disk_tag(
    State(control): State<Control>,
    Path((project, name, tag)): Path<(String, String, String)>,
) -> Answer<Json<Tag>> {
    show(&control, &project, disk(&name)?, &tag).await
}

/// Makes a tag of what a disk holds now, in no time, or protects one. Its machine goes on: what it was
/// told to be written is in the tag, as after a loss of power.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/disks/{disk}/tags/{tag}",
    tag = "disks",
    request_body = TagPut,
    responses(
        (status = 201, description = "It was made", body = Tag),
        (status = 200, description = "It was there", body = Tag),
    )
)]
pub(super) async fn put_disk_tag(
    State(control): State<Control>,
    Path((project, name, tag)): Path<(String, String, String)>,
    Fields(request): Fields<TagPut>,
) -> Answer<(StatusCode, Json<Tag>)> {
    put(&control, &project, disk(&name)?, &tag, &request).await
}

/// Removes a tag of a disk; the disk stays as it is.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/disks/{disk}/tags/{tag}",
    tag = "disks",
    responses(
        (status = 204, description = "It is gone"),
    )
)]
pub(super) async fn remove_disk_tag(
    State(control): State<Control>,
    Path((project, name, tag)): Path<(String, String, String)>,
) -> Answer<StatusCode> {
    remove(&control, &project, disk(&name)?, &tag).await
}
