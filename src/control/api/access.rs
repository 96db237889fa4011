//! Tokens, who one is, and who did what.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::catalog::{self, Error, Name, TokenSpec};
use crate::control::Control;
use crate::control::access::Caller;
use crate::control::audit;
use crate::control::body::Fields;
use crate::control::respond::Failure;

/// Entries of the audit log in an answer, unless asked for otherwise.
const ENTRIES_DEFAULT: u64 = 100;
/// Most of them.
const ENTRIES_MAX: u64 = 10_000;
/// Longest life of a token that has an end: a hundred years.
const LIFE_SECONDS_MAX: u64 = 100 * 366 * 86_400;

/// What a token is to be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// `reader`, `operator` or `admin`.
    pub role: String,
    /// The only project that exists for its holder; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Seconds until it is worth nothing; until it is revoked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// A bearer token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Name.
    pub name: String,
    /// `reader`, `operator` or `admin`.
    pub role: String,
    /// The only project that exists for its holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// When it was made (RFC 3339).
    pub created: String,
    /// From when on it is worth nothing (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Answer to its making only: what to send as `Authorization: Bearer TOKEN`. It is not shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Tokens, sorted by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// The tokens.
    pub items: Vec<Token>,
}

/// Who makes this call.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// `uid N`, `token NAME`, `certificate NAME`, `hil NAME` or `keystone NAME`.
    pub who: String,
    /// `reader`, `operator` or `admin`.
    pub role: String,
    /// The only project that exists for this caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// A call that somebody made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// When (RFC 3339).
    pub time: String,
    /// As `who` of the answer to `whoami`, or `nobody`.
    pub who: String,
    /// User of this machine who was at the other end of the socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Address and port at the other end, of a call over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The name in the client certificate that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// HTTP status; absent when the caller went away before the end, or the time was over. The call was
    /// carried through then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// Calls, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    /// The calls.
    pub items: Vec<AuditEntry>,
}

/// How much of the audit log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Last {
    /// Most entries of the answer, up to 10000; 100 when absent.
    limit: Option<u64>,
}

fn render(token: &catalog::Token) -> Token {
    Token {
        name: token.name.to_string(),
        role: token.role.to_string(),
        project: token.project.as_ref().map(ToString::to_string),
        created: token.created.to_string(),
        expires: token.expires.map(|at| at.to_string()),
        token: None,
    }
}

impl TryFrom<TokenCreate> for TokenSpec {
    type Error = Error;

    fn try_from(request: TokenCreate) -> Result<Self, Error> {
        let expires = request.expires_in_seconds.map(|seconds| {
            let life = std::time::Duration::from_secs(seconds.min(LIFE_SECONDS_MAX));
            Timestamp::now().checked_add(life).map_err(|_| {
                Error::invalid("invalid-time", format!("{seconds} seconds are too many"))
            })
        });
        Ok(Self {
            role: request.role.parse()?,
            project: request.project.as_deref().map(Name::project).transpose()?,
            expires: expires.transpose()?,
        })
    }
}

/// Who makes this call, and what they may do.
#[utoipa::path(
    get,
    path = "/v1/whoami",
    tag = "access",
    responses(
        (status = 200, description = "The caller", body = WhoAmI),
    )
)]
pub(super) async fn whoami(Extension(caller): Extension<Caller>) -> Json<WhoAmI> {
    Json(WhoAmI {
        who: caller.who,
        role: caller.role.to_string(),
        project: caller.project.map(|name| name.to_string()),
    })
}

/// Lists tokens.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    tag = "access",
    responses(
        (status = 200, description = "The tokens", body = TokenList),
    )
)]
pub(super) async fn tokens(State(control): State<Control>) -> Answer<Json<TokenList>> {
    let tokens = control.catalog.tokens().await?;
    Ok(Json(TokenList { items: tokens.iter().map(render).collect() }))
}

/// Makes a token. What proves it is shown this one time; when the answer is lost, remove it and make
/// another.
#[utoipa::path(
    put,
    path = "/v1/tokens/{token}",
    tag = "access",
    request_body = TokenCreate,
    responses(
        (status = 201, description = "It was made", body = Token),
    )
)]
pub(super) async fn make_token(
    State(control): State<Control>,
    Path(name): Path<String>,
    Fields(request): Fields<TokenCreate>,
) -> Answer<(StatusCode, Json<Token>)> {
    let name = Name::token(&name)?;
    let (token, text) = control.catalog.make_token(name, request.try_into()?).await?;
    let made = Token { token: Some(text.expose().to_owned()), ..render(&token) };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes a token, at once.
#[utoipa::path(
    delete,
    path = "/v1/tokens/{token}",
    tag = "access",
    responses(
        (status = 204, description = "It is worth nothing"),
    )
)]
pub(super) async fn remove_token(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    control.catalog.remove_token(Name::token(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who did what: calls that change something, and calls that were refused for want of a right.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "access",
    params(Last),
    responses(
        (status = 200, description = "The calls, newest first", body = AuditList),
    )
)]
pub(super) async fn log(
    State(control): State<Control>,
    Query(query): Query<Last>,
) -> Answer<Json<AuditList>> {
    let limit = query.limit.unwrap_or(ENTRIES_DEFAULT).min(ENTRIES_MAX);
    let entries = control.audit.last(usize::try_from(limit).unwrap_or(usize::MAX)).await.map_err(
        |error| {
            let detail = format!("the audit log cannot be read: {error}");
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "audit-failed", detail)
        },
    )?;
    let render = |entry: audit::Entry| AuditEntry {
        time: entry.time.to_string(),
        who: entry.who,
        uid: entry.uid,
        address: entry.address.map(|address| address.to_string()),
        certificate: entry.certificate,
        method: entry.method,
        path: entry.path,
        status: entry.status,
    };
    Ok(Json(AuditList { items: entries.into_iter().map(render).collect() }))
}
