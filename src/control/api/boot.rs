//! How a node boots, besides its iPXE script.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use super::nodes;
use crate::boot::uri;
use crate::catalog::{DiskView, Name};
use crate::control::respond::Failure;
use crate::control::{Control, boot};

/// What to boot a node by that has a boot loader of its own: URIs, and what to add to the command
/// line of its kernel. No secrets: with CHAP only the ways by the iBFT go without more.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BootArguments {
    /// For `sanboot`, one for each portal.
    pub uris: Vec<String>,
    /// The disk demands CHAP.
    pub chap: bool,
    /// dracut (Fedora, RHEL, SUSE), by what iPXE has left in memory (iBFT).
    pub dracut_ibft: String,
    /// dracut without firmware: one `netroot` for each portal.
    pub dracut: String,
    /// initramfs-tools with open-iscsi (Debian, Ubuntu), by the iBFT.
    pub initramfs_tools_ibft: String,
    /// initramfs-tools without firmware: the first portal.
    pub initramfs_tools: String,
}

/// What to boot a node by that has a boot loader of its own.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/nodes/{node}/boot-arguments",
    tag = "nodes",
    responses(
        (status = 200, description = "What to boot by", body = BootArguments),
    )
)]
pub(super) async fn arguments(
    State(control): State<Control>,
    Path((project, node)): Path<(String, String)>,
) -> Answer<Json<BootArguments>> {
    let (project, name) = (Name::project(&project)?, Name::node(&node)?);
    let (node, disk) = control.catalog.node(project, name).await?;
    let Some(DiskView { disk, .. }) = disk else { return Err(nodes::no_disk(&node)) };
    let kernel = boot::kernel_arguments(&control, &node, &disk).map_err(|error| {
        let detail = error.to_string();
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "no-boot-script", detail)
    })?;
    let portals = super::portals(&control, &disk.portal_groups);
    Ok(Json(BootArguments {
        uris: portals.iter().map(|it| uri(it.address, disk.lun, &disk.target)).collect(),
        chap: disk.chap.is_some(),
        dracut_ibft: kernel.dracut_ibft,
        dracut: kernel.dracut,
        initramfs_tools_ibft: kernel.initramfs_tools_ibft,
        initramfs_tools: kernel.initramfs_tools,
    }))
}
