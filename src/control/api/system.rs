//! Health and version.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the daemon can do its work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or `degraded` when a store does not answer or a disk cannot be served.
    pub status: String,
    /// Every configured store.
    pub stores: Vec<StoreHealth>,
    /// Disks that should be served.
    pub disks: u64,
    /// Disks that are not served at the moment (being opened, failed, broken).
    pub disks_not_serving: u64,
    /// Sessions that are logged in.
    pub sessions: u64,
}

/// Whether a store answers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StoreHealth {
    /// Its name in the configuration.
    pub name: String,
    /// `local` or `rbd`.
    pub kind: String,
    /// It answered.
    pub ok: bool,
    /// What is wrong and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Who answers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// `stirrup`.
    pub product: String,
    /// Semantic version of the daemon.
    pub version: String,
    /// Version of this API.
    pub api: String,
}
