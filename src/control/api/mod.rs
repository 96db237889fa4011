//! The calls of the control socket, one file per noun.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `GET /v1/health` | | [`system::Health`] |
//! | `GET /v1/version` | | [`system::Version`] |
//! | `GET /v1/whoami` | | [`access::WhoAmI`] |
//! | `GET /v1/tokens` | | [`access::TokenList`] |
//! | `PUT`, `DELETE /v1/tokens/{token}` | [`access::TokenCreate`] | 201 [`access::Token`]; 204 |
//! | `GET /v1/certificates` | | [`certificates::CertificateList`] |
//! | `PUT`, `DELETE /v1/certificates/{certificate}` | [`certificates::CertificatePut`] | 201, or 200 if it existed, [`certificates::Certificate`]; 204 |
//! | `GET /v1/audit[?limit=]` | | [`access::AuditList`] |
//! | `GET /v1/openapi.json` | | OpenAPI 3.1 |
//! | `GET /v1/projects` | | [`projects::ProjectList`] |
//! | `PUT /v1/projects/{project}` | [`projects::ProjectPut`] | 201 or 200 [`projects::Project`] |
//! | `GET`, `DELETE /v1/projects/{project}` | | [`projects::Project`]; 204 |
//! | `GET /v1/images[?project=]` | | [`images::ImageList`] |
//! | `POST /v1/projects/{project}/images` | [`images::ImageImport`] | 202 [`jobs::Job`] |
//! | `GET`, `DELETE /v1/projects/{project}/images/{image}` | | [`images::Image`]; 204 |
//! | `POST /v1/projects/{project}/images/{image}/copy` | [`images::ImageCopy`] | 202 [`jobs::Job`] |
//! | `POST /v1/projects/{project}/images/{image}/rename` | [`images::ImageRename`] | 200 [`images::Image`] |
//! | `PUT /v1/projects/{project}/images/{image}/protection` | [`images::Protection`] | 200 [`images::Image`] |
//! | `PUT /v1/projects/{project}/images/{image}/default-tag` | [`images::DefaultTag`] | 200 [`images::Image`] |
//! | `PUT /v1/projects/{project}/images/{image}/visibility` | [`images::Visibility`] | 200 [`images::Image`] |
//! | `POST /v1/projects/{project}/images/{image}/export` | [`images::ImageExport`] | 202 [`jobs::Job`] |
//! | `PUT /v1/projects/{project}/images/{image}/upload` | [`uploads::UploadCreate`] | 201 or 200 [`uploads::Upload`] |
//! | `GET`, `DELETE /v1/projects/{project}/images/{image}/upload` | | [`uploads::Upload`]; 204 |
//! | `PATCH /v1/projects/{project}/images/{image}/upload` | the bytes | 200 or 202 [`uploads::Upload`] |
//! | `GET /v1/projects/{project}/images/{image}/raw[?tag=]` | | `application/octet-stream`, the bytes |
//! | `GET .../images/{image}/tags`, `.../disks/{disk}/tags` | | [`tags::TagList`] |
//! | `PUT .../images/{image}/tags/{tag}`, `.../disks/{disk}/tags/{tag}` | [`tags::TagPut`] | 201, or 200 if it existed, [`tags::Tag`] |
//! | `GET`, `DELETE .../images/{image}/tags/{tag}`, `.../disks/{disk}/tags/{tag}` | | [`tags::Tag`]; 204 |
//! | `GET`, `DELETE /v1/projects/{project}/images/{image}/boot-profile` | | [`images::BootProfile`]; 204 |
//! | `GET /v1/disks[?project=]` | | [`disks::DiskList`] |
//! | `PUT /v1/projects/{project}/disks/{disk}` | [`disks::DiskCreate`] | 201, or 200 if it existed, [`disks::Disk`]; 202 [`jobs::Job`] |
//! | `GET`, `DELETE /v1/projects/{project}/disks/{disk}` | | [`disks::Disk`]; 204 |
//! | `PATCH /v1/projects/{project}/disks/{disk}` | [`settings::DiskChange`] | 200 [`disks::Disk`] |
//! | `POST /v1/projects/{project}/disks/{disk}/migrate` | [`nodes::Migrate`] | 200 [`nodes::Node`] |
//! | `PUT`, `DELETE /v1/projects/{project}/disks/{disk}/redirect` | [`disks::Redirect`] | 200 [`disks::Disk`] |
//! | `POST /v1/projects/{project}/disks/{disk}/rollback` | [`disks::DiskRollback`] | 202 [`jobs::Job`] |
//! | `POST /v1/projects/{project}/disks/{disk}/flatten` | | 202 [`jobs::Job`] |
//! | `POST /v1/projects/{project}/disks/{disk}/image` | [`images::ImageCopy`] | 202 [`jobs::Job`] |
//! | `GET /v1/nodes[?project=][&mac=]` | | [`nodes::NodeList`] |
//! | `PUT /v1/projects/{project}/nodes/{node}` | [`nodes::NodePut`] | 201 or 200 [`nodes::Node`] |
//! | `GET`, `DELETE /v1/projects/{project}/nodes/{node}` | | [`nodes::Node`]; 204 |
//! | `PUT /v1/projects/{project}/nodes/{node}/disk` | [`nodes::Bind`] | 200 [`nodes::Node`] |
//! | `DELETE /v1/projects/{project}/nodes/{node}/disk` | | 200 [`nodes::Node`] |
//! | `PUT /v1/projects/{project}/nodes/{node}/provision` | [`nodes::Provision`] | 201 or 200 [`nodes::Node`]; 202 [`jobs::Job`] |
//! | `DELETE /v1/projects/{project}/nodes/{node}/provision` | | 200 [`nodes::Node`] |
//! | `POST /v1/projects/{project}/nodes/{node}/rearm` | [`nodes::Rearm`] | 200 [`nodes::Node`] |
//! | `GET /v1/projects/{project}/nodes/{node}/ipxe` | | `text/plain`, an iPXE script |
//! | `GET /v1/projects/{project}/nodes/{node}/boot-arguments` | | [`boot::BootArguments`] |
//! | `GET /v1/targets`, `/v1/targets/{name}` | | [`targets::TargetList`], [`targets::Target`] |
//! | `GET /v1/sessions[?target=]`, `DELETE /v1/sessions/{id}` | | [`sessions::SessionList`]; 204 |
//! | `POST /v1/targets/{name}/drain` | [`sessions::LogoutRequest`] | 202 [`targets::Drained`] |
//! | `POST /v1/sessions/{id}/logout` | [`sessions::LogoutRequest`] | 202 |
//! | `GET /v1/jobs`, `GET /v1/jobs/{id}` | | [`jobs::JobList`], [`jobs::Job`] |
//! | `DELETE /v1/jobs/{id}` | | 202 [`jobs::Job`]: cancellation is asked for |
//! | `GET /v1/events[?types=][&project=][&since=][&follow=]` | | `text/event-stream`, [`events::Event`] each |
//!
//! Every error is a [`problem::Problem`] (`application/problem+json`, RFC 9457). Unknown fields
//! in a request are refused.

pub mod access;
pub mod boot;
pub mod certificates;
pub mod disks;
pub mod events;
pub mod images;
pub mod jobs;
pub mod nodes;
pub mod problem;
pub mod projects;
mod raw;
pub(crate) mod runs;
mod schema;
pub mod sessions;
pub mod settings;
pub mod system;
pub mod tags;
pub mod targets;
pub mod uploads;

use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Caller, guard};
use super::respond::{Failure, finish};
use super::{Control, PortalInfo};
use crate::catalog::{Made, Name};

/// What every handler answers.
type Answer<T> = Result<T, Failure>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Stirrup control API",
        description = "Images, disks, nodes, targets and sessions of a Stirrup gateway, on a Unix \
                       socket and over TLS. Errors are application/problem+json (RFC 9457) with a stable code.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    components(schemas(problem::Problem))
)]
struct Description;

/// Narrows a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Objects of this project only.
    project: Option<String>,
}

impl Filter {
    /// The project that is asked for.
    fn wanted(&self) -> Answer<Option<Name>> {
        Ok(self.project.as_deref().map(Name::project).transpose()?)
    }

    /// The project that is asked for, or the only one that exists for the caller.
    fn project(&self, caller: &Caller) -> Answer<Option<Name>> {
        match &self.project {
            Some(project) => {
                caller.check(project)?;
                Ok(Some(Name::project(project)?))
            }
            None => Ok(caller.project.clone()),
        }
    }
}

fn calls() -> OpenApiRouter<Control> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(system::health))
        .routes(routes!(system::version))
        .routes(routes!(access::whoami))
        .routes(routes!(access::tokens))
        .routes(routes!(access::make_token, access::remove_token))
        .routes(routes!(certificates::certificates))
        .routes(routes!(certificates::put_certificate, certificates::remove_certificate))
        .routes(routes!(access::log))
        .routes(routes!(projects::list))
        .routes(routes!(projects::show, projects::put, projects::remove))
        .routes(routes!(images::list))
        .routes(routes!(images::import))
        .routes(routes!(images::show, images::remove))
        .routes(routes!(images::copy))
        .routes(routes!(images::rename))
        .routes(routes!(images::protect))
        .routes(routes!(images::default_tag))
        .routes(routes!(images::publish))
        .routes(routes!(images::export))
        .routes(routes!(uploads::begin, uploads::show, uploads::append, uploads::abandon))
        .routes(routes!(raw::download))
        .routes(routes!(tags::image_tags))
        .routes(routes!(tags::image_tag, tags::put_image_tag, tags::remove_image_tag))
        .routes(routes!(images::boot_profile, images::forget_boot_profile))
        .routes(routes!(disks::list))
        .routes(routes!(disks::show, disks::create, disks::remove, settings::change))
        .routes(routes!(nodes::migrate))
        .routes(routes!(disks::redirect, disks::recall))
        .routes(routes!(disks::resize))
        .routes(routes!(disks::rollback))
        .routes(routes!(disks::flatten))
        .routes(routes!(disks::image))
        .routes(routes!(tags::disk_tags))
        .routes(routes!(tags::disk_tag, tags::put_disk_tag, tags::remove_disk_tag))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::show, nodes::put, nodes::remove))
        .routes(routes!(nodes::bind, nodes::unbind))
        .routes(routes!(nodes::provision, nodes::deprovision))
        .routes(routes!(nodes::rearm))
        .routes(routes!(nodes::ipxe))
        .routes(routes!(boot::arguments))
        .routes(routes!(targets::list))
        .routes(routes!(targets::show))
        .routes(routes!(targets::drain))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::kill))
        .routes(routes!(sessions::logout))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show, jobs::cancel))
        .routes(routes!(events::follow))
}

/// The description of the API (OpenAPI 3.1), as it is served and as `docs/openapi.json` has it.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    schema::complete(calls().into_openapi())
}

/// All calls, and how they answer.
pub(super) fn router(control: Control) -> Router {
    let (router, description) = calls().split_for_parts();
    let description = schema::complete(description).to_pretty_json().unwrap_or_default();
    let body_max = control.limits.body_max_bytes;
    router
        .route(
            "/v1/openapi.json",
            axum::routing::get(async move || {
                ([(header::CONTENT_TYPE, "application/json")], description)
            }),
        )
        .route_layer(axum::middleware::from_fn_with_state(control.clone(), guard))
        .fallback(async || StatusCode::NOT_FOUND.into_response())
        .layer(DefaultBodyLimit::max(body_max))
        .layer(axum::middleware::from_fn_with_state(control.clone(), finish))
        .with_state(control)
}

/// 200 if it was there, 201 if it was made.
fn made(existed: bool) -> StatusCode {
    if existed { StatusCode::OK } else { StatusCode::CREATED }
}

/// What a call has made, or the job that makes it: as `show` has it, whether it was there.
fn made_or_begun<T, U: Serialize>(
    made: Made<(T, bool)>,
    show: impl FnOnce(T, bool) -> U,
) -> Response {
    match made {
        Made::Now((object, existed)) => {
            (self::made(existed), Json(show(object, existed))).into_response()
        }
        Made::Later(job) => (StatusCode::ACCEPTED, Json(jobs::render(*job))).into_response(),
    }
}

/// The portals of these groups (none: of all).
pub(super) fn portals(control: &Control, groups: &[u16]) -> Vec<PortalInfo> {
    let mut portals = control.data_path.portals();
    portals.retain(|portal| groups.is_empty() || groups.contains(&portal.tpgt));
    portals
}

fn portal(info: PortalInfo) -> disks::Portal {
    let (address, port) = (info.address.ip().to_string(), info.address.port());
    disks::Portal { address, port, tpgt: info.tpgt }
}
