//! Nodes: bare-metal machines and what they boot from.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::disks::{ChapRequest, Disk};

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

/// A disk named after the node, cloned from `image`, and bound to it. The node is made if it is
/// not known.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// The image to clone.
    pub image: String,
    /// As in `PUT` of a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chap: Option<ChapRequest>,
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
