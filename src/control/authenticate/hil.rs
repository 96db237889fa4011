//! Asks HIL, the Hardware Isolation Layer, as M2 does: who may see the nodes of a project with a user
//! name and a password is of that project.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ask::Endpoint;
use super::cache::Cache;
use super::{Answer, Authenticator, Credentials, Delegation, Identity, Refusal};
use crate::catalog::{Name, Role};

/// Users of HIL.
pub struct Hil {
    endpoint: Endpoint,
    cache: Cache,
    role: Role,
}

impl Hil {
    /// Everybody whom HIL lets into a project has `role` in it.
    ///
    /// # Errors
    /// One line: what is wrong with the URL or the authorities.
    pub fn new(delegation: &Delegation, role: Role) -> Result<Self, String> {
        let endpoint = Endpoint::new(delegation)?;
        Ok(Self { endpoint, cache: Cache::new(delegation.cache)?, role })
    }

    async fn ask(
        &self,
        user: &str,
        password: &str,
        project: &Name,
    ) -> Result<Option<Identity>, Refusal> {
        let key = self.cache.key(&[user, password, project.as_str()]);
        if let Some(known) = self.cache.get(&key) {
            return Ok(Some(known));
        }
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let mut basic = HeaderValue::try_from(basic)
            .map_err(|_| Refusal::Forbidden("such a password cannot be passed on".to_owned()))?;
        basic.set_sensitive(true);
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, basic)]);
        let path = format!("/v0/project/{project}/nodes");
        let (status, _) =
            self.endpoint.get(&path, headers).await.map_err(|why| unavailable(&why))?;
        match status {
            status if status.is_success() => {
                let (who, project) = (format!("hil {user}"), Some(project.clone()));
                let identity = Identity { who, role: self.role, project };
                self.cache.put(key, &identity, Duration::from_secs(u64::from(u32::MAX)));
                Ok(Some(identity))
            }
            StatusCode::UNAUTHORIZED => Ok(None),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let why = format!("HIL does not let {user} into project '{project}'");
                Err(Refusal::Forbidden(why))
            }
            other => Err(unavailable(&format!("it answers with status {}", other.as_u16()))),
        }
    }
}

fn unavailable(why: &str) -> Refusal {
    Refusal::Unavailable(format!("HIL at {why}"))
}

impl Authenticator for Hil {
    fn takes(&self, credentials: &Credentials) -> bool {
        matches!(credentials, Credentials::Basic(..))
    }

    fn identify<'a>(
        &'a self,
        credentials: &'a Credentials,
        project: Option<&'a Name>,
    ) -> Answer<'a> {
        Box::pin(async move {
            let Credentials::Basic(user, password) = credentials else { return Ok(None) };
            let Some(project) = project else {
                let why = "users of HIL are known in a project only, and this names none";
                return Err(Refusal::Forbidden(why.to_owned()));
            };
            self.ask(user, password.expose(), project).await
        })
    }
}
