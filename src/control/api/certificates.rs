//! Client certificates, and what their holders may do.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, made};
use crate::catalog::{self, CertificateName, Name};
use crate::control::Control;
use crate::control::body::Fields;

/// What the holder of a certificate may do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificatePut {
    /// `reader`, `operator` or `admin`.
    pub role: String,
    /// The only project that exists for its holder; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// A client certificate whose holder may do something.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// The name in it: the common name of its subject, or else its only DNS name or URI.
    pub name: String,
    /// `reader`, `operator` or `admin`.
    pub role: String,
    /// The only project that exists for its holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// When it was named (RFC 3339).
    pub created: String,
    /// Answer to a PUT only: it had been named before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existed: Option<bool>,
}

/// Certificates, sorted by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CertificateList {
    /// The certificates.
    pub items: Vec<Certificate>,
}

fn render(certificate: &catalog::Certificate) -> Certificate {
    Certificate {
        name: certificate.name.to_string(),
        role: certificate.role.to_string(),
        project: certificate.project.as_ref().map(ToString::to_string),
        created: certificate.created.to_string(),
        existed: None,
    }
}

/// Lists the client certificates that are named.
#[utoipa::path(
    get,
    path = "/v1/certificates",
    tag = "access",
    responses(
        (status = 200, description = "The certificates", body = CertificateList),
    )
)]
pub(super) async fn certificates(State(control): State<Control>) -> Answer<Json<CertificateList>> {
    let certificates = control.catalog.certificates().await?;
    Ok(Json(CertificateList { items: certificates.iter().map(render).collect() }))
}

/// Says what the holder of a client certificate may do. One that nobody has named may do nothing.
#[utoipa::path(
    put,
    path = "/v1/certificates/{certificate}",
    tag = "access",
    request_body = CertificatePut,
    responses(
        (status = 201, description = "It is named", body = Certificate),
        (status = 200, description = "It was named so before", body = Certificate),
    )
)]
pub(super) async fn put_certificate(
    State(control): State<Control>,
    Path(name): Path<String>,
    Fields(request): Fields<CertificatePut>,
) -> Answer<(StatusCode, Json<Certificate>)> {
    let name = CertificateName::new(&name)?;
    let role = request.role.parse()?;
    let project = request.project.as_deref().map(Name::project).transpose()?;
    let (named, existed) = control.catalog.put_certificate(name, role, project).await?;
    Ok((made(existed), Json(Certificate { existed: Some(existed), ..render(&named) })))
}

/// Takes the rights of a client certificate away, at once.
#[utoipa::path(
    delete,
    path = "/v1/certificates/{certificate}",
    tag = "access",
    responses(
        (status = 204, description = "Its holder may do nothing"),
    )
)]
pub(super) async fn remove_certificate(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    control.catalog.remove_certificate(CertificateName::new(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
