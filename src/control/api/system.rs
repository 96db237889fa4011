//! Health and version.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use crate::catalog::StoreKind;
use crate::control::{BootCounts, Control};

/// How long a store may take to show that it is well.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

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
    /// What the cache has done since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheCounts>,
    /// Boot scripts that machines have asked for over HTTP since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootCounts>,
}

/// What a cache counted, and the bytes that it takes. Reads are counted in parts of 64 KiB.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
pub struct CacheCounts {
    /// Reads of golden images that were answered from memory.
    pub golden_hits: u64,
    /// Reads of golden images that were not.
    pub golden_misses: u64,
    /// Memory for golden images, in bytes.
    pub golden_bytes: u64,
    /// Reads of golden images that were answered from the file on a local disk.
    pub file_hits: u64,
    /// Golden images in that file, in bytes.
    pub file_bytes: u64,
    /// Reads of what open disks have of their own that were answered from memory.
    pub disk_hits: u64,
    /// Reads of what open disks have of their own that were not.
    pub disk_misses: u64,
    /// Memory for what disks have of their own, in bytes.
    pub disk_bytes: u64,
}

/// Whether a store answers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StoreHealth {
    /// Its name in the configuration.
    pub name: String,
    /// `local`, `rbd` or `files`.
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

/// Whether stores, disks and targets are well.
#[utoipa::path(
    get,
    path = "/v1/health",
    tag = "system",
    responses(
        (status = 200, description = "Well or not so well", body = Health),
    )
)]
pub(super) async fn health(State(control): State<Control>) -> Answer<Json<Health>> {
    let stores: Vec<StoreHealth> = control
        .catalog
        .store_health(PROBE_PATIENCE)
        .await
        .into_iter()
        .map(|store| {
            let error = match store.result {
                Some(Ok(())) => None,
                Some(Err(error)) => Some(error.to_string()),
                None => Some(format!("no answer within {} s", PROBE_PATIENCE.as_secs())),
            };
            let kind = match store.kind {
                StoreKind::Local => "local",
                StoreKind::Rbd => "rbd",
                StoreKind::Files => "files",
            };
            StoreHealth { name: store.name, kind: kind.to_owned(), ok: error.is_none(), error }
        })
        .collect();
    let (disks, serving) = control.catalog.served();
    let well = stores.iter().all(|store| store.ok) && serving >= disks;
    Ok(Json(Health {
        status: if well { "ok" } else { "degraded" }.to_owned(),
        stores,
        disks: disks as u64,
        disks_not_serving: disks.saturating_sub(serving) as u64,
        sessions: control.data_path.sessions().len() as u64,
        cache: control.data_path.cache(),
        boot: Some(control.boot.counts()),
    }))
}

/// Which daemon this is.
#[utoipa::path(
    get,
    path = "/v1/version",
    tag = "system",
    responses(
        (status = 200, description = "The version", body = Version),
    )
)]
pub(super) async fn version() -> Json<Version> {
    Json(Version {
        product: "stirrup".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: "v1".to_owned(),
    })
}
