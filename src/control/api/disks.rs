//! Disks: a node's clone of an image, and the target that exports it.

use std::net::SocketAddr;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::images::ImageCopy;
use super::jobs::{self, Job};
use super::settings::Qos;
use super::{Answer, Filter, made_or_begun, portal, portals};
use crate::catalog::{
    Allowed, ChapSpec, DiskSpec, DiskState, DiskView, Error, ExportState, ImageName, Moved, Name,
    Role, Secret, Tagged,
};
use crate::control::Control;
use crate::control::access::Caller;
use crate::control::body::Fields;
use crate::control::respond::Failure;

/// What a disk is made of. The same call again gives the same answer; with other values 409.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskCreate {
    /// The image to clone, as `IMAGE` or `IMAGE@TAG`; a public one of another project as
    /// `PROJECT/IMAGE` or `PROJECT/IMAGE@TAG`. Without a tag: the image's
    /// default tag, or as it was imported. The project's default image when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Size in bytes, a multiple of 4096, not below the image's; the image's, or the project's
    /// default if that is larger, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Do not clone the image, but export it itself, to be edited. Disks that were cloned from it do
    /// not change; make a tag of the image when it is as it shall be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edit: bool,
    /// Logical unit number, 0 to 16383; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lun: Option<u16>,
    /// Initiator names that may log in besides the bound node's; a trailing `*` matches any end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initiators: Vec<String>,
    /// Addresses or networks (`10.0.0.0/8`) that may log in; any when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// CHAP is required when present; `{}` has the secret generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chap: Option<ChapRequest>,
    /// Tags of the portal groups in which it is offered; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub portal_groups: Vec<u16>,
    /// Writes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// What it may be asked for; as the project has it when absent, `{}`: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<Qos>,
    /// How the store encrypts what it keeps of the disk: `luks1` or `luks2`, then a job copies the
    /// image into one with a key of its own (Ceph RBD with a passphrase only), `none`, or as the image is
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
}

/// Where initiators that log in to a disk's target are sent to (RFC 7143 11.13.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// `HOST` or `HOST:PORT`: an IPv4 address, an IPv6 address in brackets or a name. iPXE follows
    /// IPv4 addresses only.
    pub address: String,
    /// For good: initiators may forget this gateway. Otherwise they ask here first the next time.
    #[serde(default)]
    pub permanently: bool,
}

/// To which tag a disk is rolled back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskRollback {
    /// A tag of the disk.
    pub tag: String,
    /// Even if somebody is logged in. A machine that runs from the disk would write what it remembers
    /// over what is brought back.
    #[serde(default)]
    pub force: bool,
}

/// How large a disk is to be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskResize {
    /// Size in bytes, a multiple of 4096, not below what it has.
    pub size_bytes: u64,
}

/// CHAP credentials; what is absent is generated. Secrets are never shown again, but in the boot
/// script of the node that the disk is bound to.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChapRequest {
    /// Name that the initiator proves; the disk's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its secret, 12 to 64 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The target proves itself too (mutual CHAP).
    #[serde(default)]
    pub mutual: bool,
    /// Name that the target proves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutual_user: Option<String>,
    /// Its secret, 12 to 64 printable characters, not the initiator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutual_secret: Option<String>,
    /// Credentials are generated anew for each node that the disk is bound to, and gone when it is
    /// unbound; while it is bound to none, nobody may log in. They are handed out in the node's boot
    /// script: `once` (then not before the node is rearmed), or `always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_node: Option<String>,
    /// What was generated before is generated anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renew: bool,
}

/// A disk.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    /// Project.
    pub project: String,
    /// Name, unique in the project.
    pub name: String,
    /// `creating`, `ready`, `removing` or `broken` (its image is missing in the store).
    pub state: String,
    /// The image it is a clone of; of another project `PROJECT/IMAGE`.
    pub image: String,
    /// The tag of the image that it was cloned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// It is no clone, but the image itself, to be edited.
    #[serde(default)]
    pub edits: bool,
    /// It does not need its image any more.
    #[serde(default)]
    pub flattened: bool,
    /// It is being rolled back; nobody can use it until that is done.
    #[serde(default)]
    pub rolling_back: bool,
    /// Size in bytes.
    pub size_bytes: u64,
    /// The store that keeps it.
    pub store: String,
    /// Its name in the store.
    pub backing: String,
    /// The node it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When it was made (RFC 3339).
    pub created: String,
    /// Whether the target serves it: `opening`, `serving`, `failed` (tried again by itself),
    /// `disabled` (initiators are told to try again), `withdrawn` (there is no target).
    pub export: String,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_error: Option<String>,
    /// CHAP is required.
    pub chap: bool,
    /// Who may log in: initiator names; empty with `open`: anyone; empty without: no one.
    pub initiators: Vec<String>,
    /// Anyone may log in (from the `addresses`, with CHAP if required).
    pub open: bool,
    /// Networks one must come from; empty: any.
    pub addresses: Vec<String>,
    /// Tags of the portal groups in which it is offered; empty: all.
    #[serde(default)]
    pub portal_groups: Vec<u16>,
    /// Where initiators that log in are sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// How to boot from it.
    pub boot: Boot,
    /// How often the node's own CHAP secret is handed out in its boot script: `once` or `always`;
    /// absent: it is not the node's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chap_per_node: Option<String>,
    /// When that secret was handed out (RFC 3339); absent: not yet, or always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chap_delivered: Option<String>,
    /// Writes are refused.
    #[serde(default)]
    pub read_only: bool,
    /// What it may be asked for; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<Qos>,
    /// How the store encrypts what it keeps of the disk, as was asked: `luks1` or `luks2` with a key of
    /// its own, or `none`; absent: as its image is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Bytes that it takes in its store, what it shares with its image not counted, as they were a
    /// while ago; absent while they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Answer to a PUT, PATCH or a resize only: it was there, so, or as large, before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existed: Option<bool>,
}

/// How to reach a disk.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Boot {
    /// For the first portal, as iPXE's `sanboot` and dracut's `netroot` take it:
    /// `iscsi:ADDRESS:tcp:PORT:LUN:IQN`, LUN in hexadecimal.
    pub uri: String,
    /// One for each portal.
    pub uris: Vec<String>,
    /// Where the target listens.
    pub portals: Vec<Portal>,
    /// The target's name.
    pub iqn: String,
    /// Logical unit number.
    pub lun: u16,
    /// World wide identifier of the logical unit (VPD page 83h), as Linux shows it.
    pub wwid: String,
}

/// A portal (RFC 7143 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Portal {
    /// IP address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// Portal group tag.
    pub tpgt: u16,
}

/// Disks, sorted by project and name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiskList {
    /// The disks.
    pub items: Vec<Disk>,
}

impl TryFrom<ChapRequest> for ChapSpec {
    type Error = Error;

    fn try_from(request: ChapRequest) -> Result<Self, Error> {
        Ok(Self {
            per_node: request.per_node.as_deref().map(str::parse).transpose()?,
            renew: request.renew,
            user: request.user,
            secret: request.secret.map(Secret::new),
            mutual: request.mutual,
            mutual_user: request.mutual_user,
            mutual_secret: request.mutual_secret.map(Secret::new),
        })
    }
}

/// What a disk is to be made of.
pub(super) async fn spec(
    control: &Control,
    project: &Name,
    disk: &Name,
    request: DiskCreate,
) -> Result<DiskSpec, Error> {
    let mut spec = match &request.image {
        Some(image) => DiskSpec::of_image(image)?,
        None if request.edit => {
            return Err(Error::invalid("image-not-named", "name the image that is to be edited"));
        }
        None => control.catalog.default_image(project.clone(), disk.clone()).await?,
    };
    spec.edit = request.edit;
    spec.lun = request.lun.unwrap_or(spec.lun);
    spec.initiators = request.initiators;
    spec.networks = request.addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    spec.chap = request.chap.map(TryInto::try_into).transpose()?;
    spec.portal_groups = sorted(request.portal_groups);
    spec.read_only = request.read_only;
    spec.qos = request.qos.map(Into::into);
    spec.size_bytes = request.size_bytes;
    spec.encryption = request.encryption.as_deref().map(str::parse).transpose()?;
    Ok(spec)
}

pub(super) fn sorted(mut tags: Vec<u16>) -> Vec<u16> {
    tags.sort_unstable();
    tags.dedup();
    tags
}

pub(in crate::control) fn render(control: &Control, view: &DiskView) -> Disk {
    let DiskView { disk, serving, allowed, used_bytes } = view;
    let state = match disk.state {
        DiskState::Creating => "creating",
        DiskState::Ready => "ready",
        DiskState::Removing => "removing",
        DiskState::Broken => "broken",
    };
    let export = match serving.state {
        ExportState::Opening => "opening",
        ExportState::Serving => "serving",
        ExportState::Failed => "failed",
        ExportState::Disabled => "disabled",
        ExportState::Withdrawn => "withdrawn",
    };
    let initiators = match allowed {
        Allowed::Initiators(names) => names.clone(),
        Allowed::Anyone | Allowed::Nobody => Vec::new(),
    };
    Disk {
        project: disk.project.to_string(),
        name: disk.name.to_string(),
        state: state.to_owned(),
        image: match &disk.image_project {
            Some(project) => format!("{project}/{}", disk.image),
            None => disk.image.to_string(),
        },
        tag: disk.tag.as_ref().map(ToString::to_string),
        edits: disk.edits,
        flattened: disk.flattened,
        rolling_back: disk.rollback.is_some(),
        size_bytes: disk.size_bytes,
        store: disk.store.clone(),
        backing: disk.backing.clone(),
        node: disk.node.as_ref().map(ToString::to_string),
        created: disk.created.to_string(),
        export: export.to_owned(),
        export_error: serving.error.clone(),
        chap: disk.chap.is_some() || disk.chap_per_node.is_some(),
        initiators,
        open: *allowed == Allowed::Anyone,
        addresses: disk.networks.iter().map(ToString::to_string).collect(),
        portal_groups: disk.portal_groups.clone(),
        redirect: disk
            .moved
            .clone()
            .map(|Moved { address, permanently }| Redirect { address, permanently }),
        boot: boot(control, view),
        chap_per_node: disk.chap_per_node.as_ref().map(|chap| chap.delivery.to_string()),
        chap_delivered: disk
            .chap_per_node
            .as_ref()
            .and_then(|chap| chap.delivered.map(|when| when.to_string())),
        read_only: disk.read_only,
        qos: Some(disk.qos).filter(|qos| !qos.is_unlimited()).map(Into::into),
        encryption: disk.encryption.map(|encryption| encryption.to_string()),
        used_bytes: *used_bytes,
        existed: None,
    }
}

fn boot(control: &Control, DiskView { disk, .. }: &DiskView) -> Boot {
    let portals = portals(control, &disk.portal_groups);
    let uris: Vec<String> = portals
        .iter()
        .map(|portal| crate::boot::uri(portal.address, disk.lun, &disk.target))
        .collect();
    Boot {
        uri: uris.first().cloned().unwrap_or_default(),
        uris,
        portals: portals.into_iter().map(portal).collect(),
        iqn: disk.target.clone(),
        lun: disk.lun,
        wwid: control.data_path.wwid(&disk.identity),
    }
}

/// A disk in a portal group that is not there could not be reached.
pub(super) fn check_groups(control: &Control, groups: &[u16]) -> Result<(), Error> {
    let mut known: Vec<u16> = control.data_path.portals().iter().map(|p| p.tpgt).collect();
    known.sort_unstable();
    known.dedup();
    let Some(unknown) = groups.iter().find(|tag| !known.contains(tag)) else { return Ok(()) };
    let known: Vec<_> = known.iter().map(ToString::to_string).collect();
    let message = format!("no portal group {unknown} is configured; there is {}", known.join(", "));
    Err(Error::invalid("portal-group-unknown", message))
}

/// A redirection to a portal of this gateway would send initiators round and round.
fn check_elsewhere(control: &Control, moved: &Moved) -> Answer<()> {
    // A name is not resolved: what it means here may not be what it means to an initiator.
    let Ok(address) = moved.address.parse::<SocketAddr>() else { return Ok(()) };
    let same = |portal: SocketAddr| {
        portal.port() == address.port() && portal.ip().to_canonical() == address.ip().to_canonical()
    };
    if !control.data_path.portals().iter().any(|portal| same(portal.address)) {
        return Ok(());
    }
    let detail = format!("{address} is a portal of this gateway; name one of another");
    Err(Failure::new(StatusCode::BAD_REQUEST, "redirect-to-self", detail))
}

pub(super) fn names((project, disk): &(String, String)) -> Result<(Name, Name), Error> {
    Ok((Name::project(project)?, Name::disk(disk)?))
}

/// Lists disks.
#[utoipa::path(
    get,
    path = "/v1/disks",
    tag = "disks",
    params(Filter),
    responses(
        (status = 200, description = "The disks", body = DiskList),
    )
)]
pub(super) async fn list(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Query(filter): Query<Filter>,
) -> Answer<Json<DiskList>> {
    let disks = control.catalog.disks(filter.project(&caller)?).await?;
    Ok(Json(DiskList { items: disks.iter().map(|disk| render(&control, disk)).collect() }))
}

/// Clones an image and exports the clone. A disk that is to be encrypted by a key of its own is no clone
/// but a copy: it is exported when the job has ended.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/disks/{disk}",
    tag = "disks",
    request_body = DiskCreate,
    responses(
        (status = 201, description = "It was made", body = Disk),
        (status = 200, description = "It was there", body = Disk),
        (status = 202, description = "A job makes it", body = Job),
    )
)]
pub(super) async fn create(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<DiskCreate>,
) -> Answer<Response> {
    let (project, name) = names(&path)?;
    if request.edit {
        caller.check_role(Role::Admin, "editing an image")?;
    }
    check_groups(&control, &request.portal_groups)?;
    let spec = spec(&control, &project, &name, request).await?;
    let made = control.catalog.create_disk(project, name, spec).await?;
    Ok(made_or_begun(made, |disk, existed| Disk {
        existed: Some(existed),
        ..render(&control, &disk)
    }))
}

/// Shows a disk.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/disks/{disk}",
    tag = "disks",
    responses(
        (status = 200, description = "The disk", body = Disk),
    )
)]
pub(super) async fn show(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<Json<Disk>> {
    let (project, name) = names(&path)?;
    let disk = control.catalog.disk(project, name).await?;
    Ok(Json(render(&control, &disk)))
}

/// Ends a disk's sessions and removes it, and what it holds.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/disks/{disk}",
    tag = "disks",
    responses(
        (status = 204, description = "It is gone"),
    )
)]
pub(super) async fn remove(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
) -> Answer<StatusCode> {
    let (project, name) = names(&path)?;
    control.catalog.remove_disk(caller.role, project, name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has initiators that log in to the disk's target sent elsewhere, after restarts too. Sessions go
/// on; drain the target to end them.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/disks/{disk}/redirect",
    tag = "disks",
    request_body = Redirect,
    responses(
        (status = 200, description = "The disk", body = Disk),
    )
)]
pub(super) async fn redirect(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<Redirect>,
) -> Answer<Json<Disk>> {
    let (project, name) = names(&path)?;
    let moved = Moved::to(&request.address, request.permanently)?;
    check_elsewhere(&control, &moved)?;
    let disk = control.catalog.move_disk(caller.role, project, name, Some(moved)).await?;
    Ok(Json(render(&control, &disk)))
}

/// Has initiators log in to the disk's target here again.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/disks/{disk}/redirect",
    tag = "disks",
    responses(
        (status = 200, description = "The disk", body = Disk),
    )
)]
pub(super) async fn recall(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
) -> Answer<Json<Disk>> {
    let (project, name) = names(&path)?;
    let disk = control.catalog.move_disk(caller.role, project, name, None).await?;
    Ok(Json(render(&control, &disk)))
}

/// Makes a disk larger, under its sessions: its machine sees the new size. The same size again
/// does nothing; a disk does not shrink.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/disks/{disk}/resize",
    tag = "disks",
    request_body = DiskResize,
    responses(
        (status = 200, description = "It has the size", body = Disk),
    )
)]
pub(super) async fn resize(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<DiskResize>,
) -> Answer<Json<Disk>> {
    let (project, name) = names(&path)?;
    let (disk, existed) = control.catalog.resize_disk(project, name, request.size_bytes).await?;
    Ok(Json(Disk { existed: Some(existed), ..render(&control, &disk) }))
}

/// Has a disk hold again what it held at a tag; what was written since is lost. Its sessions end; it is
/// served again when the job has ended. Tags stay.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/disks/{disk}/rollback",
    tag = "disks",
    request_body = DiskRollback,
    responses(
        (status = 202, description = "It has begun", body = Job),
    )
)]
pub(super) async fn rollback(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<DiskRollback>,
) -> Answer<(StatusCode, Json<Job>)> {
    let (project, name) = names(&path)?;
    let tag = ImageName::tag(&request.tag)?;
    let job = control.catalog.rollback_disk(project, name, tag, request.force).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs::render(job))))
}

/// Makes a disk independent of its image, under its sessions. It must have no tags.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/disks/{disk}/flatten",
    tag = "disks",
    responses(
        (status = 202, description = "It has begun", body = Job),
    )
)]
pub(super) async fn flatten(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<(StatusCode, Json<Job>)> {
    let (project, name) = names(&path)?;
    let job = control.catalog.flatten_disk(project, name).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs::render(job))))
}

/// Copies a disk, as it is now or at one of its tags, into a new image. Its machine goes on.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/disks/{disk}/image",
    tag = "disks",
    request_body = ImageCopy,
    responses(
        (status = 202, description = "The copy has begun", body = Job),
    )
)]
pub(super) async fn image(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
    Fields(request): Fields<ImageCopy>,
) -> Answer<(StatusCode, Json<Job>)> {
    let (project, name) = names(&path)?;
    request.project.as_deref().map_or(Ok(()), |project| caller.check(project))?;
    let (to_project, to_name, spec) = request.spec(project, Tagged::Disk(name))?;
    let job = control.catalog.copy_image(to_project, to_name, spec).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs::render(job))))
}
