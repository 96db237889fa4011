//! Errors as RFC 9457 says them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong (`application/problem+json`, RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:stirrup:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One line: what is wrong and what to do.
    pub detail: String,
    /// Stable, for programs; for example `disk-exists`.
    pub code: String,
    /// The path that was asked for.
    pub instance: String,
    /// The object that stands in the way (409), as its GET shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub existing: Option<serde_json::Value>,
    /// The names of what uses the object (409 `image-in-use`: disks).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<String>,
}
