//! Nodes: bare-metal machines and what they boot from.

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::disks::{self, ChapRequest, Disk, DiskCreate};
use super::jobs::Job;
use super::settings::Qos;
use super::{Answer, Filter, made, made_or_begun};
use crate::catalog::{self, DiskView, Error, Migration, Name, NodeSpec};
use crate::control::access::Caller;
use crate::control::body::Fields;
use crate::control::respond::Failure;
use crate::control::{Control, boot};

/// What is known of a node; replaces what was known.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NodePut {
    /// MAC addresses of its network interfaces, as `52:54:00:12:34:56`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<String>,
    /// The initiator name it logs in with; then no other may use its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
}

/// Which disk to bind.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// A disk of the same project.
    pub disk: String,
}

/// Which node gets a disk.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Migrate {
    /// A node of the same project that has no disk.
    pub node: String,
    /// Only if this node has the disk now; whoever has it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Even if the disk would admit who has it now next to the new node: by its initiator name, or
    /// because the new node has none and the disk no credentials of each node's own. Who has it must
    /// be off then, and stay off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// How a secret is handed out once more.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rearm {
    /// Another one than before; the node's sessions end.
    #[serde(default)]
    pub renew: bool,
}

/// A disk named after the node, cloned from `image`, and bound to it. The node is made if it is
/// not known.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// The image to clone, as in `PUT` of a disk; the project's default image when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// As in `PUT` of a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// As in `PUT` of a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<Qos>,
    /// As in `PUT` of a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chap: Option<ChapRequest>,
    /// As in `PUT` of a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
}

/// A node.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Project.
    pub project: String,
    /// Name, unique in the project.
    pub name: String,
    /// MAC addresses.
    pub macs: Vec<String>,
    /// The initiator name it logs in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
    /// When it was made (RFC 3339).
    pub created: String,
    /// The disk bound to it, with all there is to know to boot (`disk.boot.uri`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// Answer to a PUT only: nothing had to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existed: Option<bool>,
}

/// Nodes, sorted by project and name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NodeList {
    /// The nodes.
    pub items: Vec<Node>,
}

pub(in crate::control) fn render(
    control: &Control,
    (node, disk): (catalog::Node, Option<DiskView>),
) -> Node {
    Node {
        project: node.project.to_string(),
        name: node.name.to_string(),
        macs: node.macs,
        initiator: node.initiator,
        created: node.created.to_string(),
        disk: disk.map(|disk| disks::render(control, &disk)),
        existed: None,
    }
}

fn names((project, node): &(String, String)) -> Result<(Name, Name), Error> {
    Ok((Name::project(project)?, Name::node(node)?))
}

/// Narrows the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NodeFilter {
    /// Nodes of this project only.
    project: Option<String>,
    /// The node with this MAC address only, however it is written.
    mac: Option<String>,
}

/// Lists nodes.
#[utoipa::path(
    get,
    path = "/v1/nodes",
    tag = "nodes",
    params(NodeFilter),
    responses(
        (status = 200, description = "The nodes", body = NodeList),
    )
)]
pub(super) async fn list(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Query(NodeFilter { project, mac }): Query<NodeFilter>,
) -> Answer<Json<NodeList>> {
    let project = Filter { project }.project(&caller)?;
    let nodes = match mac {
        None => control.catalog.nodes(project).await?,
        Some(mac) => {
            let found = control.catalog.node_by_mac(mac).await?.into_iter();
            let is_of =
                |node: &catalog::Node| project.as_ref().is_none_or(|it| *it == node.project);
            found.filter(|(node, _)| is_of(node)).collect()
        }
    };
    Ok(Json(NodeList { items: nodes.into_iter().map(|node| render(&control, node)).collect() }))
}

/// Makes a node, or replaces what is known of it.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/nodes/{node}",
    tag = "nodes",
    request_body = NodePut,
    responses(
        (status = 201, description = "It was made", body = Node),
        (status = 200, description = "It was there", body = Node),
    )
)]
pub(super) async fn put(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<NodePut>,
) -> Answer<(StatusCode, Json<Node>)> {
    let (project, name) = names(&path)?;
    let known = control.catalog.node(project.clone(), name.clone()).await.is_ok();
    let spec = NodeSpec { macs: request.macs, initiator: request.initiator };
    let (node, existed) = control.catalog.put_node(caller.role, project, name, spec).await?;
    let node = Node { existed: Some(existed), ..render(&control, node) };
    Ok((made(known), Json(node)))
}

/// Shows a node and how to boot it.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/nodes/{node}",
    tag = "nodes",
    responses(
        (status = 200, description = "The node", body = Node),
    )
)]
pub(super) async fn show(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<Json<Node>> {
    let (project, name) = names(&path)?;
    let node = control.catalog.node(project, name).await?;
    Ok(Json(render(&control, node)))
}

/// Forgets a node that has no disk.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/nodes/{node}",
    tag = "nodes",
    responses(
        (status = 204, description = "It is gone"),
    )
)]
pub(super) async fn remove(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
) -> Answer<StatusCode> {
    let (project, name) = names(&path)?;
    control.catalog.remove_node(project, name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Binds a disk to a node.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/nodes/{node}/disk",
    tag = "nodes",
    request_body = Bind,
    responses(
        (status = 200, description = "The node", body = Node),
    )
)]
pub(super) async fn bind(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<Bind>,
) -> Answer<Json<Node>> {
    let (project, name) = names(&path)?;
    let disk = Name::disk(&request.disk)?;
    let (node, existed) = control.catalog.bind(caller.role, project, name, disk).await?;
    Ok(Json(Node { existed: Some(existed), ..render(&control, node) }))
}

/// Takes the disk off a node; sessions with the disk end, the disk stays.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/nodes/{node}/disk",
    tag = "nodes",
    responses(
        (status = 200, description = "The node", body = Node),
    )
)]
pub(super) async fn unbind(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
) -> Answer<Json<Node>> {
    let (project, name) = names(&path)?;
    let (node, _) = control.catalog.unbind(caller.role, project, name).await?;
    Ok(Json(render(&control, node)))
}

/// Gives a node a disk of its own, cloned from an image. One that is to be encrypted by a key of its
/// own is a copy: the node has it when the job has ended.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/nodes/{node}/provision",
    tag = "nodes",
    request_body = Provision,
    responses(
        (status = 201, description = "It was provisioned", body = Node),
        (status = 200, description = "It had that disk", body = Node),
        (status = 202, description = "A job makes the disk", body = Job),
    )
)]
pub(super) async fn provision(
    State(control): State<Control>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<Provision>,
) -> Answer<Response> {
    let (project, name) = names(&path)?;
    let Provision { image, size_bytes, qos, chap, encryption } = request;
    let disk = DiskCreate { image, size_bytes, qos, chap, encryption, ..DiskCreate::default() };
    let spec = disks::spec(&control, &project, &name, disk).await?;
    let made = control.catalog.provision(project, name, spec).await?;
    Ok(made_or_begun(made, |node, existed| Node {
        existed: Some(existed),
        ..render(&control, node)
    }))
}

/// Takes the disk off a node and removes it, and what it holds.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/nodes/{node}/provision",
    tag = "nodes",
    responses(
        (status = 200, description = "The node", body = Node),
    )
)]
pub(super) async fn deprovision(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
) -> Answer<Json<Node>> {
    let (project, name) = names(&path)?;
    let (node, _) = control.catalog.deprovision(caller.role, project, name).await?;
    Ok(Json(render(&control, node)))
}

/// Gives a disk to another node, whoever has it: the sessions of that one have ended before the
/// other one is admitted. It is refused if that one would be admitted, too.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/disks/{disk}/migrate",
    tag = "nodes",
    request_body = Migrate,
    responses(
        (status = 200, description = "The node that has it now", body = Node),
    )
)]
pub(super) async fn migrate(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<Migrate>,
) -> Answer<Json<Node>> {
    let (project, disk) = disks::names(&path)?;
    let migration = Migration {
        to: Name::node(&request.node)?,
        from: request.from.as_deref().map(Name::node).transpose()?,
        force: request.force,
    };
    let (node, existed) = control.catalog.migrate(caller.role, project, disk, migration).await?;
    Ok(Json(Node { existed: Some(existed), ..render(&control, node) }))
}

/// Has the node's own CHAP secret handed out once more in its boot script.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/nodes/{node}/rearm",
    tag = "nodes",
    request_body = Rearm,
    responses(
        (status = 200, description = "The node", body = Node),
    )
)]
pub(super) async fn rearm(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<Rearm>,
) -> Answer<Json<Node>> {
    let (project, name) = names(&path)?;
    let (node, existed) = control.catalog.rearm(caller.role, project, name, request.renew).await?;
    Ok(Json(Node { existed: Some(existed), ..render(&control, node) }))
}

pub(super) fn no_disk(node: &catalog::Node) -> Failure {
    let detail = format!("node '{}' has no disk to boot from; provision it first", node.name);
    Failure::new(StatusCode::CONFLICT, "node-unbound", detail)
}

/// The iPXE script that boots a node from its disk. It holds the disk's CHAP secret; one that is handed
/// out once has been handed out then.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/nodes/{node}/ipxe",
    tag = "nodes",
    responses(
        (status = 200, description = "The script", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn ipxe(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    method: Method,
) -> Answer<Response> {
    let (project, name) = names(&path)?;
    // To ask whether there is a script is not to take the secret.
    let (node, disk) = match method {
        Method::HEAD => control.catalog.node(project, name).await?,
        _ => {
            let patience = control.limits.call_timeout;
            control.catalog.hand_out_chap(caller.role, project, name, patience).await?
        }
    };
    let Some(DiskView { disk, .. }) = disk else { return Err(no_disk(&node)) };
    let script = boot::script(&control, &node, &disk, true).map_err(|error| {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "no-boot-script", error.to_string())
    })?;
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, script).into_response())
}
