//! Who holds the credentials that a call came with.
//!
//! An [`Authenticator`] answers that. One is built in, for the tokens of the catalog (`tokens`);
//! another may be configured that asks elsewhere: `hil` or `keystone`. Credentials are for one of
//! them, by their kind; no other is asked.

mod ask;
mod cache;
mod hil;
mod keystone;
mod tokens;

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::respond::Failure;
use crate::catalog::{Name, Role, Secret};

pub use hil::Hil;
pub use keystone::Keystone;
pub(super) use tokens::Tokens;

/// The header of Keystone's tokens.
const AUTH_TOKEN: &str = "x-auth-token";
/// Longest user name.
const USER_BYTES_MAX: usize = 128;

/// What a caller shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `Authorization: Bearer` (RFC 6750 2.1).
    Bearer(Secret),
    /// `Authorization: Basic` (RFC 7617).
    Basic(String, Secret),
    /// `X-Auth-Token`, as OpenStack has it.
    AuthToken(Secret),
}

impl Credentials {
    /// What is in a request, if there is something.
    ///
    /// # Errors
    /// `not-authorized`, when it cannot be read.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Failure> {
        let secret = |text: &str| Secret::new(text.trim().to_owned());
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
            return match parts {
                Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => {
                    Ok(Some(Self::Bearer(secret(text))))
                }
                Some((scheme, text)) if scheme.eq_ignore_ascii_case("basic") => {
                    let unreadable =
                        || unknown("the Authorization header is not 'Basic', RFC 7617");
                    basic(text.trim()).map(Some).ok_or_else(unreadable)
                }
                _ => Err(unknown("the Authorization header must be 'Bearer TOKEN'")),
            };
        }
        let Some(value) = headers.get(AUTH_TOKEN) else { return Ok(None) };
        let unreadable = || unknown("the X-Auth-Token header is no text");
        value.to_str().map(|text| Some(Self::AuthToken(secret(text)))).map_err(|_| unreadable())
    }
}

/// A user and a password (RFC 7617 2).
fn basic(text: &str) -> Option<Credentials> {
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    let good = (1..=USER_BYTES_MAX).contains(&user.len()) && !user.contains(char::is_control);
    good.then(|| Credentials::Basic(user.to_owned(), Secret::new(password.to_owned())))
}

/// Who somebody is, and may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// For the audit log: `token ci`.
    pub who: String,
    /// What they may do.
    pub role: Role,
    /// The only project that exists for them.
    pub project: Option<Name>,
}

/// Why nobody was found to be behind credentials that may be good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// They are somebody's who may not do this here.
    Forbidden(String),
    /// It cannot be found out now.
    Unavailable(String),
    /// Whoever shows them has shown too many.
    TooOften(String),
}

/// An answer under way; `None`: the credentials are nobody's.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Option<Identity>, Refusal>> + Send + 'a>>;

/// Finds out who holds credentials.
pub trait Authenticator: Send + Sync + 'static {
    /// Whether credentials of this kind are for this one.
    fn takes(&self, credentials: &Credentials) -> bool;

    /// Who holds them, and wants to do something in `project` (`None`: in none, or it is not known).
    /// They come from an address on the network (`None`: from this machine). It takes no longer than
    /// a caller can wait.
    fn identify<'a>(
        &'a self,
        credentials: &'a Credentials,
        project: Option<&'a Name>,
        from: Option<IpAddr>,
    ) -> Answer<'a>;
}

/// How somebody else is asked.
#[derive(Debug, Clone)]
pub struct Delegation {
    /// Where: `http://` or `https://`, host, port, and what paths begin with.
    pub url: String,
    /// Authorities that its certificate may be from; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How long its yes holds. Its no holds for one call.
    pub cache: Duration,
}

/// Who holds the credentials of a call.
///
/// # Errors
/// `not-authorized`: nobody; `forbidden`: not here; `authenticator-unavailable`: it cannot be found
/// out now; `too-many-tries`: they were wrong too often, or too many came at once.
pub(super) async fn identify(
    authenticators: &[Arc<dyn Authenticator>],
    credentials: &Credentials,
    project: Option<&Name>,
    from: Option<IpAddr>,
) -> Result<Identity, Failure> {
    let Some(one) = authenticators.iter().find(|one| one.takes(credentials)) else {
        return Err(unknown("credentials of this kind are not taken; use 'Bearer TOKEN'"));
    };
    match one.identify(credentials, project, from).await {
        Ok(Some(identity)) => Ok(identity),
        Ok(None) => Err(unknown(match credentials {
            Credentials::Bearer(_) => {
                "the token is unknown, revoked or has expired; ask an admin for another"
            }
            Credentials::Basic(..) => "wrong user or password",
            Credentials::AuthToken(_) => "the token is unknown or has expired",
        })),
        Err(Refusal::Forbidden(why)) => Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", why)),
        Err(Refusal::TooOften(why)) => {
            Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "too-many-tries", why))
        }
        Err(Refusal::Unavailable(why)) => {
            let detail = format!("who you are cannot be found out: {why}; try again");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(Failure::new(status, "authenticator-unavailable", detail))
        }
    }
}

pub(super) fn unknown(detail: &str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "not-authorized", detail)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(name: &'static str, value: &str) -> Result<Option<Credentials>, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        Credentials::of(&headers)
    }

    #[test]
    fn what_callers_show() {
        let basic = |text: &str| of("authorization", &format!("Basic {}", STANDARD.encode(text)));
        let secret = |text: &str| Secret::new(text.to_owned());
        let jane = Credentials::Basic("jane".to_owned(), secret("pa:ss"));
        assert_eq!(basic("jane:pa:ss").unwrap(), Some(jane));
        let empty = Credentials::Basic("jane".to_owned(), secret(""));
        assert_eq!(basic("jane:").unwrap(), Some(empty));
        let long = format!("{}:x", "a".repeat(129));
        for bad in ["", "jane", ":x", "ja\nne:x", "j\0:x", &long] {
            assert!(basic(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "Basic", "Basic ?", "Digest x", "Bearer", "x"] {
            assert!(of("authorization", bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            of("authorization", "bearer  x").unwrap(),
            Some(Credentials::Bearer(secret("x")))
        );
        assert_eq!(of("x-auth-token", "x").unwrap(), Some(Credentials::AuthToken(secret("x"))));
        assert_eq!(of("cookie", "x").unwrap(), None);
    }
}
