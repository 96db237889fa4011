//! Targets as the data path sees them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::disks::Portal;

/// A target.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Its name (RFC 7143 4.2.7).
    pub name: String,
    /// Where it can be reached.
    pub portals: Vec<Portal>,
    /// Its logical units.
    pub luns: Vec<TargetLun>,
    /// Sessions that are logged in.
    pub sessions: u64,
}

/// A logical unit of a target.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TargetLun {
    /// Its number.
    pub lun: u8,
    /// World wide identifier (VPD page 83h), as Linux shows it.
    pub wwid: String,
    /// Size in bytes; absent while the volume is not open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Writes are refused.
    pub read_only: bool,
    /// The volume is open.
    pub serving: bool,
}

/// Targets, sorted by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TargetList {
    /// The targets.
    pub items: Vec<Target>,
}
