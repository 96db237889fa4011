//! Changing a disk that is there.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::Answer;
use super::disks::{self, ChapRequest, Disk, check_groups, names, sorted};
use crate::catalog::{self, Error, Exposure};
use crate::control::Control;
use crate::control::access::Caller;
use crate::control::body::Fields;

/// What becomes of a disk: what is absent stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskChange {
    /// Initiator names that may log in besides the bound node's; a trailing `*` matches any end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiators: Option<Vec<String>>,
    /// Addresses or networks (`10.0.0.0/8`) that may log in; any when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// CHAP is required, `{}` has the secret generated if there is none; `null`: it is not.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ChapRequest>)]
    pub chap: Option<Option<ChapRequest>>,
    /// Tags of the portal groups in which it is offered; all when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal_groups: Option<Vec<u16>>,
    /// Writes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// `enabled`: its target serves it. `disabled`: initiators are told to try again. `unexposed`: it
    /// has no target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<String>,
    /// What it may be asked for, in place of what was set before; `null`: everything.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Qos>)]
    pub qos: Option<Option<Qos>>,
}

/// What a disk may be asked for, by all of its sessions together. All limits hold at a time; what is
/// absent has none. What goes beyond waits, and is done in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Qos {
    /// Operations a second, at least 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<u64>,
    /// Bytes a second, at least 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Operations a second that only look at the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_iops: Option<u64>,
    /// Bytes a second that are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes_per_second: Option<u64>,
    /// Operations a second that change the disk, or flush it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_iops: Option<u64>,
    /// Bytes a second that are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_bytes_per_second: Option<u64>,
    /// A disk that was not used for so long may be asked for as much at once as otherwise in that
    /// time: 1 to 3600, 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_seconds: Option<u64>,
}

/// Tells `null` from what is absent.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<Qos> for catalog::Qos {
    fn from(qos: Qos) -> Self {
        let rates = |operations, bytes| catalog::Rates { operations, bytes };
        Self {
            total: rates(qos.iops, qos.bytes_per_second),
            reads: rates(qos.read_iops, qos.read_bytes_per_second),
            writes: rates(qos.write_iops, qos.write_bytes_per_second),
            burst_seconds: qos.burst_seconds.unwrap_or(Self::default().burst_seconds),
        }
    }
}

impl From<catalog::Qos> for Qos {
    fn from(catalog::Qos { total, reads, writes, burst_seconds }: catalog::Qos) -> Self {
        Self {
            iops: total.operations,
            bytes_per_second: total.bytes,
            read_iops: reads.operations,
            read_bytes_per_second: reads.bytes,
            write_iops: writes.operations,
            write_bytes_per_second: writes.bytes,
            burst_seconds: Some(burst_seconds),
        }
    }
}

impl TryFrom<DiskChange> for catalog::DiskChange {
    type Error = Error;

    fn try_from(request: DiskChange) -> Result<Self, Error> {
        let networks = |texts: Vec<String>| texts.iter().map(|text| text.parse()).collect();
        let chap = |chap: Option<ChapRequest>| chap.map(TryInto::try_into).transpose();
        Ok(Self {
            initiators: request.initiators,
            networks: request.addresses.map(networks).transpose()?,
            chap: request.chap.map(chap).transpose()?,
            portal_groups: request.portal_groups.map(sorted),
            read_only: request.read_only,
            exposure: request.exposure.as_deref().map(exposure).transpose()?,
            qos: request.qos.map(|qos| qos.map(Into::into).unwrap_or_default()),
            ..Self::default()
        })
    }
}

fn exposure(text: &str) -> Result<Exposure, Error> {
    match text {
        "enabled" => Ok(Exposure::Enabled),
        "disabled" => Ok(Exposure::Disabled),
        "unexposed" => Ok(Exposure::Unexposed),
        _ => {
            let message = "a disk's exposure is enabled, disabled or unexposed";
            Err(Error::invalid("invalid-exposure", message))
        }
    }
}

/// Changes who may log in to a disk, whether it is served, and what it may be asked for. Sessions go
/// on if only `qos` changes; otherwise they have ended before the call returns, and who is still
/// admitted logs in again by itself.
#[utoipa::path(
    patch,
    path = "/v1/projects/{project}/disks/{disk}",
    tag = "disks",
    request_body = DiskChange,
    responses(
        (status = 200, description = "The disk", body = Disk),
    )
)]
pub(super) async fn change(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    Fields(request): Fields<DiskChange>,
) -> Answer<Json<Disk>> {
    let (project, name) = names(&path)?;
    check_groups(&control, request.portal_groups.as_deref().unwrap_or_default())?;
    let change = request.try_into()?;
    let (disk, existed) = control.catalog.change_disk(caller.role, project, name, change).await?;
    Ok(Json(Disk { existed: Some(existed), ..disks::render(&control, &disk) }))
}
