//! Asks Keystone, OpenStack's identity service (API v3), who holds one of its tokens, in which project
//! and with which roles. A token is shown to Keystone as its own proof, which its default policy
//! allows, so that no account of ours is needed there.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;

use super::ask::{Asker, Endpoint, Shows};
use super::cache::Cache;
use super::{Answer, Authenticator, Credentials, Delegation, Identity, Refusal};
use crate::catalog::{Name, Role};

/// Without the catalog of all services, which can be larger than anything that is read here.
const PATH: &str = "/v3/auth/tokens?nocatalog";
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
/// Keystone's roles, from its bootstrap, and what they are here. The greatest counts.
const ROLES: [(&str, Role); 3] =
    [("admin", Role::Admin), ("member", Role::Operator), ("reader", Role::Reader)];

/// Holders of tokens of Keystone.
pub struct Keystone {
    endpoint: Endpoint,
    cache: Cache<Identity>,
    domain: String,
}

/// What of the answer matters ("Validate and show information for token").
#[derive(Deserialize)]
struct Validated {
    token: ShownToken,
}

#[derive(Deserialize)]
struct ShownToken {
    user: Named,
    project: Option<ShownProject>,
    #[serde(default)]
    roles: Vec<Named>,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct ShownProject {
    name: String,
    domain: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Keystone {
    /// Takes tokens for projects of one domain, by the names of the projects: those of other domains
    /// may be called the same.
    ///
    /// # Errors
    /// One line: what is wrong with the URL or the authorities.
    pub fn new(delegation: &Delegation, domain: String) -> Result<Self, String> {
        let endpoint = Endpoint::new("Keystone", delegation)?;
        Ok(Self { endpoint, cache: Cache::new(delegation.cache)?, domain })
    }

    async fn ask(&self, token: &str, from: Option<IpAddr>) -> Result<Option<Identity>, Refusal> {
        let key = self.cache.key(&[token]);
        if let Some(known) = self.cache.get(&key) {
            return Ok(Some(known));
        }
        let Ok(mut value) = HeaderValue::from_str(token) else { return Ok(None) };
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTH_TOKEN, value.clone()), (SUBJECT_TOKEN, value)]);
        let asker = Asker::new(from, Shows::Token(token));
        let unavailable = |why: &str| self.endpoint.unavailable(&asker, why);
        let (status, body) = self.endpoint.get(PATH, headers, &asker).await?;
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => {
                self.endpoint.was_wrong(&asker);
                return Ok(None);
            }
            other => {
                return Err(unavailable(&format!("it answers with status {}", other.as_u16())));
            }
        }
        let Validated { token } = serde_json::from_slice(&body)
            .map_err(|error| unavailable(&format!("its answer makes no sense: {error}")))?;
        let left = Timestamp::now().duration_until(token.expires_at);
        let Ok(left) = Duration::try_from(left) else { return Ok(None) };
        self.endpoint.was_right(&asker);
        let identity = self.identity(&token)?;
        self.cache.put(key, &identity, left);
        Ok(Some(identity))
    }

    fn identity(&self, token: &ShownToken) -> Result<Identity, Refusal> {
        let user: String = token.user.name.chars().filter(|it| !it.is_control()).take(64).collect();
        let forbidden = |why: String| Refusal::Forbidden(format!("keystone {user}: {why}"));
        let Some(project) = &token.project else {
            return Err(forbidden("the token is not for a project".to_owned()));
        };
        if project.domain.name != self.domain {
            return Err(forbidden(format!("the project is not of domain '{}'", self.domain)));
        }
        let name = Name::project(&project.name).map_err(|error| forbidden(error.to_string()))?;
        let has = |wanted: &str| token.roles.iter().any(|role| role.name == wanted);
        let role = ROLES.iter().find(|(name, _)| has(name)).map(|(_, role)| *role);
        let none = || forbidden("it has none of the roles admin, member and reader".to_owned());
        let who = format!("keystone {user}");
        Ok(Identity { who, role: role.ok_or_else(none)?, project: Some(name) })
    }
}

impl Authenticator for Keystone {
    fn takes(&self, credentials: &Credentials) -> bool {
        matches!(credentials, Credentials::AuthToken(_))
    }

    fn identify<'a>(
        &'a self,
        credentials: &'a Credentials,
        _: Option<&'a Name>,
        from: Option<IpAddr>,
    ) -> Answer<'a> {
        Box::pin(async move {
            match credentials {
                Credentials::AuthToken(token) => self.ask(token.expose(), from).await,
                Credentials::Bearer(_) | Credentials::Basic(..) => Ok(None),
            }
        })
    }
}
