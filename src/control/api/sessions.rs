//! Sessions that are logged in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// For `DELETE /v1/sessions/{id}`; never used twice while the daemon runs.
    pub id: u64,
    /// The target; absent in a discovery session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Initiator name.
    pub initiator: String,
    /// ISID, 12 hexadecimal digits.
    pub isid: String,
    /// Address and port of the initiator.
    pub address: String,
    /// When it logged in (RFC 3339).
    pub since: String,
    /// Bytes sent to the initiator by READs.
    pub bytes_read: u64,
    /// Bytes received from the initiator by WRITEs.
    pub bytes_written: u64,
    /// SCSI commands so far.
    pub commands: u64,
}

/// Sessions, in the order of their ids.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// The sessions.
    pub items: Vec<Session>,
}
