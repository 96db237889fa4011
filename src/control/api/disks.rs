//! Disks: a node's clone of an image, and the target that exports it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a disk is made of. The same call again gives the same answer; with other values 409.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskCreate {
    /// The image (of the same project) to clone.
    pub image: String,
    /// Logical unit number, 0 to 255; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lun: Option<u8>,
    /// Initiator names that may log in besides the bound node's; a trailing `*` matches any end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initiators: Vec<String>,
    /// Addresses or networks (`10.0.0.0/8`) that may log in; any when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// CHAP is required when present; `{}` has the secret generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chap: Option<ChapRequest>,
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
    /// The image it is a clone of.
    pub image: String,
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
    /// `withdrawn`.
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
    /// How to boot from it.
    pub boot: Boot,
    /// Answer to a PUT only: it was there before.
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
    pub lun: u8,
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
