//! A Foreman smart proxy with the feature M2: what Foreman asks any proxy for, and the routes of
//! the plugin smart_proxy_m2 0.0.1, as foreman_m2 0.0.4 calls them.

use std::net::IpAddr;

use axum::Json;
use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::{Extensions, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::form::Form;
use super::m2::User;
use super::{Api, Credential};
use crate::control::Control;
use crate::control::api::access::WhoAmI;
use crate::control::api::disks::{Disk, Portal};
use crate::control::api::problem::Problem;

/// The version of the plugin whose routes these are.
const PLUGIN_VERSION: &str = "0.0.1";
/// Port registered for iSCSI (RFC 7143 15); iPXE assumes it.
const ISCSI_PORT: u16 = 3260;

/// The door, over the API of `control`. Who calls is told by the client's certificate.
pub fn router(control: Control) -> Router {
    let api = Api::new(super::super::api::router(control));
    Router::new()
        .route("/features", get(async || Json(json!(["m2"]))))
        .route("/version", get(version))
        .route("/v2/features", get(features))
        .route("/m2/test", get(test))
        .route("/m2/image_list", get(image_list))
        .route("/m2/snapshot_list", get(snapshot_list))
        .route("/m2/iscsi_target", get(iscsi_target).delete(delete_target))
        .fallback(async || (StatusCode::NOT_FOUND, "Not Found"))
        .with_state(api)
}

async fn version() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({"version": version, "modules": {"m2": PLUGIN_VERSION}})).into_response()
}

/// A caller, and what it asks for.
struct Call {
    api: Api,
    credential: Credential,
    query: Form,
}

impl Call {
    fn new(api: Api, query: Option<&str>, connection: &Extensions) -> Self {
        let credential = Credential::of_connection(connection);
        Self { api, credential, query: Form::parse(query.unwrap_or_default().as_bytes()) }
    }

    fn field(&self, name: &str) -> Result<&str, Refusal> {
        let value = self.query.get(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| Refusal(StatusCode::BAD_REQUEST, format!("the query has no '{name}'")))
    }

    async fn caller(&self) -> Result<WhoAmI, Refusal> {
        let get = axum::http::Method::GET;
        Ok(self.api.call(&self.credential, get, "/v1/whoami", None).await?)
    }

    /// The project of the certificate, or the one in the query for who may work in all.
    async fn user(&self) -> Result<User<'_>, Refusal> {
        let asked = self.query.get("project");
        let own = self.caller().await?.project;
        let project = asked.or(own.as_deref()).ok_or_else(|| {
            let text = "the certificate stands for no project: name one in 'project', or give the \
                        certificate's name a project";
            Refusal(StatusCode::BAD_REQUEST, text.to_owned())
        })?;
        Ok(User::new(&self.api, &self.credential, project))
    }
}

/// Why a call failed: a status, so that Foreman shows an error where the plugin that this stands
/// for answered 200 and Foreman booted from a text.
struct Refusal(StatusCode, String);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if problem.code == "not-authorized" {
            // As a smart proxy says it.
            return Self(StatusCode::FORBIDDEN, problem.detail);
        }
        Self(status, problem.detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

type Answer = Result<Response, Refusal>;

async fn features(State(api): State<Api>, request: Request) -> Answer {
    Call::new(api, None, request.extensions()).caller().await?;
    let m2 = json!({
        "http_enabled": false,
        "https_enabled": true,
        "settings": {},
        "state": "running",
        "capabilities": [],
    });
    Ok(Json(json!({"m2": m2})).into_response())
}

async fn test(State(api): State<Api>, request: Request) -> Answer {
    Call::new(api, None, request.extensions()).caller().await?;
    Ok("running!".into_response())
}

async fn image_list(State(api): State<Api>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let call = Call::new(api, query.as_deref(), request.extensions());
    Ok(Json(call.user().await?.images().await?).into_response())
}

async fn snapshot_list(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let call = Call::new(api, query.as_deref(), request.extensions());
    Ok(Json(call.user().await?.snapshots().await?).into_response())
}

/// Makes the disk if it is not there. Foreman asks at every rendering of a template, and its plugin
/// takes what follows `Disk exists. Endpoint:`; without these words it renders nothing, which is
/// what M2 itself gave it the first time. So they are always there.
async fn iscsi_target(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let call = Call::new(api, query.as_deref(), request.extensions());
    let (disk, image) = (call.field("disk")?, call.field("image")?);
    let disk = call.user().await?.create_disk(disk, image).await?;
    let Some(portal) = reachable(&disk) else {
        let text = "this gateway has no portal that a node could reach".to_owned();
        return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, text));
    };
    Ok(uri(portal, &disk).into_response())
}

async fn delete_target(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let call = Call::new(api, query.as_deref(), request.extensions());
    let disk = call.field("disk")?;
    call.user().await?.delete_disk(disk).await?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "Success").into_response())
}

/// iPXE takes no IPv6 address here.
fn reachable(disk: &Disk) -> Option<&Portal> {
    let is_v4 = |portal: &&Portal| portal.address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4());
    disk.boot.portals.iter().find(is_v4)
}

/// `iscsi:<server>:<protocol>:<port>:<LUN, hexadecimal>:<target>` (RFC 4173), and in it what
/// foreman_m2 looks for and cuts out.
fn uri(portal: &Portal, disk: &Disk) -> String {
    let port = match portal.port {
        ISCSI_PORT => String::new(),
        port => port.to_string(),
    };
    let (address, lun, target) = (&portal.address, disk.boot.lun, &disk.boot.iqn);
    format!("iscsi:{address}::{port}:{lun:x}:Disk exists. Endpoint:{target}")
}
