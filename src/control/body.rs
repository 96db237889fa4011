//! The body of a call.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::respond::Failure;

/// A JSON object, as what the call takes. An array of the same values in their order is none, though
/// serde would take it for one.
pub(super) struct Fields<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let bytes =
            Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            let detail = "the body must be a JSON object";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(Failure::new(status, "invalid-body", detail).into_response());
        }
        let request = Request::from_parts(parts, bytes.into());
        let Json(fields) = <Json<T> as FromRequest<S>>::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)?;
        Ok(Self(fields))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Fields<T> {
    type Rejection = Response;

    /// `None` without a Content-Type.
    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Response> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}
