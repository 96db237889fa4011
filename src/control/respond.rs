//! How every answer leaves: errors as problems, calls within their time.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Control;
use super::access::Caller;
use super::api::problem::Problem;
use super::api::{disks, images, nodes};
use crate::catalog::{Error, ErrorKind, ImageName, Name, Noun};

/// Text of a refusal by the HTTP layer that is passed on.
const DETAIL_MAX_BYTES: usize = 1024;

/// A failed call on its way out; [`finish`] makes a problem of it.
#[derive(Debug, Clone)]
pub(super) struct Failure(Box<Content>);

#[derive(Debug, Clone)]
struct Content {
    status: StatusCode,
    code: &'static str,
    detail: String,
    existing: Option<(Noun, String, String)>,
    used_by: Vec<String>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self(Box::new(Content { status, code, detail, existing: None, used_by: Vec::new() }))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict | ErrorKind::Cancelled => StatusCode::CONFLICT,
            ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(code = error.code(), %error, "a call failed");
        }
        Self(Box::new(Content {
            status,
            code: error.code(),
            detail: error.to_string(),
            existing: error.existing().cloned(),
            used_by: error.used_by().to_vec(),
        }))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Runs a call within its time and gives its failure the form of RFC 9457.
pub(super) async fn finish(
    State(control): State<Control>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let limit = control.limits.call_timeout;
    // An upload takes as long as it takes; it has bounds of its own.
    let parts: Vec<&str> = path.split('/').collect();
    let is_upload = request.method() == Method::PATCH
        && matches!(parts[..], ["", "v1", "projects", _, "images", _, "upload"]);
    let call = next.run(request);
    let response = match is_upload {
        true => call.await,
        false => tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            let detail = format!("no end after {} s; what was begun goes on", limit.as_secs());
            Failure::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).into_response()
        }),
    };
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response;
    }
    problem(&control, &path, response).await
}

async fn problem(control: &Control, path: &str, mut response: Response) -> Response {
    let status = response.status();
    let caller = response.extensions_mut().remove::<Caller>();
    let Failure(failure) = match response.extensions_mut().remove::<Failure>() {
        Some(failure) => failure,
        None => {
            let allow = response.headers().get(header::ALLOW).cloned();
            let refused = refused(status, response.into_body()).await;
            response = Response::new(Body::empty());
            if let Some(allow) = allow {
                response.headers_mut().insert(header::ALLOW, allow);
            }
            refused
        }
    };
    let existing = match (&failure.existing, &caller) {
        (Some(object), Some(caller)) => existing(control, caller, object).await,
        _ => None,
    };
    let problem = Problem {
        kind: format!("urn:stirrup:problem:{}", failure.code),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: failure.detail,
        code: failure.code.to_owned(),
        instance: path.to_owned(),
        existing,
        used_by: failure.used_by,
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    *response.status_mut() = status;
    *response.body_mut() = Body::from(body);
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

/// What the HTTP layer refused by itself.
async fn refused(status: StatusCode, body: Body) -> Failure {
    let (code, default) = match status {
        StatusCode::NOT_FOUND => ("route-not-found", "there is no such call"),
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "not with this method"),
        StatusCode::PAYLOAD_TOO_LARGE => ("body-too-large", "the body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("not-json", "the body must have Content-Type: application/json")
        }
        StatusCode::UNPROCESSABLE_ENTITY => ("invalid-body", "the body has not the right fields"),
        StatusCode::BAD_REQUEST => ("bad-request", "the request makes no sense"),
        _ => ("http-error", "the request failed"),
    };
    let text = axum::body::to_bytes(body, DETAIL_MAX_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    Failure::new(status, code, if text.is_empty() { default.to_owned() } else { text })
}

/// The object that stands in the way, as its GET shows it to the caller, if it does.
async fn existing(
    control: &Control,
    caller: &Caller,
    (noun, project, name): &(Noun, String, String),
) -> Option<serde_json::Value> {
    let project = Name::project(project).ok()?;
    if *noun != Noun::Image && !caller.sees(project.as_str()) {
        return None;
    }
    match noun {
        Noun::Image => {
            let found = control.catalog.image(project, ImageName::new(name).ok()?).await.ok()?;
            serde_json::to_value(images::seen(found, caller)?).ok()
        }
        Noun::Disk => {
            let found = control.catalog.disk(project, Name::disk(name).ok()?).await.ok()?;
            serde_json::to_value(disks::render(control, &found)).ok()
        }
        Noun::Node => {
            let found = control.catalog.node(project, Name::node(name).ok()?).await.ok()?;
            serde_json::to_value(nodes::render(control, found)).ok()
        }
        Noun::Tag | Noun::Job | Noun::Token | Noun::Certificate | Noun::Project => None,
    }
}
