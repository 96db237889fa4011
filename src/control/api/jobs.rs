//! Jobs: what takes longer than a call may.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::images::Warning;

/// A job. Its end is kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// For `/v1/jobs/{id}`.
    pub id: u64,
    /// `image-import`.
    pub kind: String,
    /// Project of the object.
    pub project: String,
    /// Name of the object that is being made.
    pub object: String,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Bytes of the source dealt with so far (holes count).
    pub done_bytes: u64,
    /// Bytes of the source.
    pub total_bytes: u64,
    /// When it was asked for (RFC 3339).
    pub created: String,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it noticed.
    pub warnings: Vec<Warning>,
}

/// Jobs, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// The jobs.
    pub items: Vec<Job>,
}
