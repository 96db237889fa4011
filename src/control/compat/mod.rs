//! Doors for clients that exist: each speaks as its clients expect, and does what they ask by calls
//! of the control API, as whoever they are. Nothing is decided here: what may be done, and what it
//! does, is the API's, and so is the audit log.
//!
//! - [`picasso`]: M2's REST API.
//! - [`smart_proxy`]: a Foreman smart proxy with M2's feature.
//! - [`tgt`]: the management socket of tgtd, for `tgtadm` and `tgt-admin`.

mod form;
mod m2;
pub mod picasso;
pub mod smart_proxy;
pub mod tgt;

use std::fmt;

use axum::Router;
use axum::body::Body;
use axum::http::{Extensions, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Peer;
use super::api::problem::Problem;

/// Largest answer of the API that is read; lists are the longest.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A door on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// M2's REST API.
    Picasso,
    /// A Foreman smart proxy.
    SmartProxy,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Picasso => "M2's REST API",
            Self::SmartProxy => "a Foreman smart proxy",
        })
    }
}

/// The control API, called from inside.
#[derive(Clone)]
struct Api(TowerToHyperService<Router>);

/// What proves who it is that a door calls the API for.
#[derive(Clone, Default)]
struct Credential {
    /// The Authorization header.
    authorization: Option<HeaderValue>,
    /// What is known of the connection.
    connection: Extensions,
}

impl Credential {
    /// Whoever is at the other end of a connection.
    fn of_connection(extensions: &Extensions) -> Self {
        let mut connection = Extensions::new();
        // One by one: what else there is belongs to the door's own request.
        if let Some(peer) = extensions.get::<Peer>() {
            connection.insert(peer.clone());
        }
        Self { authorization: None, connection }
    }
}

impl Api {
    fn new(router: Router) -> Self {
        Self(TowerToHyperService::new(router))
    }

    /// Makes a call. `path` consists of [`segment`]s and what needs no escaping.
    async fn call<T: DeserializeOwned>(
        &self,
        credential: &Credential,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, Problem> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(authorization) = &credential.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request =
            request.body(body).map_err(|error| internal(path, &format!("no call: {error}")))?;
        request.extensions_mut().extend(credential.connection.clone());
        // A router has no error of its own.
        let Ok(response) = self.0.call(request).await;
        read(path, response).await
    }
}

async fn read<T: DeserializeOwned>(path: &str, response: Response<Body>) -> Result<T, Problem> {
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), ANSWER_BYTES_MAX)
        .await
        .map_err(|error| internal(path, &format!("no answer: {error}")))?;
    if status.is_success() {
        // What answers without a body answers nothing.
        let json: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        return serde_json::from_slice(json)
            .map_err(|error| internal(path, &format!("an answer makes no sense: {error}")));
    }
    let problem = serde_json::from_slice(&bytes);
    Err(problem.unwrap_or_else(|_| internal(path, &String::from_utf8_lossy(&bytes))))
}

fn internal(path: &str, detail: &str) -> Problem {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Problem {
        kind: "urn:stirrup:problem:internal".to_owned(),
        title: status.canonical_reason().unwrap_or_default().to_owned(),
        status: status.as_u16(),
        detail: detail.to_owned(),
        code: "internal".to_owned(),
        instance: path.to_owned(),
        existing: None,
        used_by: Vec::new(),
    }
}

/// A name as a segment of a path, or a value in a query (RFC 3986 2.1): all but the unreserved is
/// escaped, so that no name reaches beyond its place.
fn segment(name: &str) -> String {
    // These two are read as steps through the path, escaped or not.
    if name == "." || name == ".." {
        return "%20".to_owned();
    }
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    // An empty segment would be another path.
    if escaped.is_empty() { "%20".to_owned() } else { escaped }
}
