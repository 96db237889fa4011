//! Asks HIL, the Hardware Isolation Layer, as M2 does: who may see the nodes of a project with a user
//! name and a password is of that project.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use parking_lot::Mutex;

use super::ask::{Asker, Endpoint, Shows};
use super::cache::Cache;
use super::{Answer, Authenticator, Credentials, Delegation, Identity, Refusal};
use crate::catalog::{Name, Role};

/// How long it holds that HIL was seen to refuse credentials.
const REFUSES: Duration = Duration::from_secs(3600);

/// Users of HIL.
pub struct Hil {
    endpoint: Endpoint,
    cache: Cache<Identity>,
    role: Role,
    /// When it was seen to refuse credentials that nobody has.
    refused: Mutex<Option<Instant>>,
}

impl Hil {
    /// Everybody whom HIL lets into a project has `role` in it.
    ///
    /// # Errors
    /// One line: what is wrong with the URL or the authorities.
    pub fn new(delegation: &Delegation, role: Role) -> Result<Self, String> {
        let endpoint = Endpoint::new("HIL", delegation)?;
        let (cache, refused) = (Cache::new(delegation.cache)?, Mutex::default());
        Ok(Self { endpoint, cache, role, refused })
    }

    async fn ask(
        &self,
        user: &str,
        password: &str,
        project: &Name,
        from: Option<IpAddr>,
    ) -> Result<Option<Identity>, Refusal> {
        let key = self.cache.key(&[user, password, project.as_str()]);
        if let Some(known) = self.cache.get(&key) {
            return Ok(Some(known));
        }
        let asker = Asker::new(from, Shows::User(user));
        let (path, headers) = question(user, password, project)?;
        let answer = self.endpoint.get(&path, headers, &asker).await?;
        if !self.lets_in(user, project, answer, &asker)? {
            self.endpoint.was_wrong(&asker);
            return Ok(None);
        }
        self.check(project, &asker).await?;
        self.endpoint.was_right(&asker);
        let (who, project) = (format!("hil {user}"), Some(project.clone()));
        let identity = Identity { who, role: self.role, project };
        self.cache.put(key, &identity, Duration::from_secs(u64::from(u32::MAX)));
        Ok(Some(identity))
    }

    /// Whether it shows somebody the nodes of a project; `false`: it does not know them.
    fn lets_in(
        &self,
        user: &str,
        project: &Name,
        (status, body): (StatusCode, Bytes),
        asker: &Asker<'_>,
    ) -> Result<bool, Refusal> {
        match status {
            // HIL calls it text/html, as what stands in its place might: what is in it counts.
            StatusCode::OK => match serde_json::from_slice::<Vec<String>>(&body) {
                Ok(_) => Ok(true),
                Err(_) => {
                    let why = "its answer is no list of nodes: is this the URL of HIL?";
                    Err(self.endpoint.unavailable(asker, why))
                }
            },
            StatusCode::UNAUTHORIZED => Ok(false),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let why = format!("HIL does not let {user} into project '{project}'");
                Err(Refusal::Forbidden(why))
            }
            other => {
                let why = format!("it answers with status {}", other.as_u16());
                Err(self.endpoint.unavailable(asker, &why))
            }
        }
    }

    /// Whether its yes means anything: credentials that were made up must be refused. One that does not
    /// authenticate lets everybody into every project.
    async fn check(&self, project: &Name, asker: &Asker<'_>) -> Result<(), Refusal> {
        if self.refused.lock().is_some_and(|when| when.elapsed() < REFUSES) {
            return Ok(());
        }
        let mut random = [[0; 16]; 2];
        getrandom::fill(random.as_flattened_mut())
            .map_err(|error| self.endpoint.unavailable(asker, &error.to_string()))?;
        let [name, password] = random.map(u128::from_ne_bytes);
        // Made up anew each time: nobody can have been wrong about it.
        let (nobody, password) = (format!("nobody-{name:032x}"), format!("{password:032x}"));
        let (path, headers) = question(&nobody, &password, project)?;
        let answer = self.endpoint.probe(&path, headers, asker).await?;
        match self.lets_in(&nobody, project, answer, asker) {
            Ok(false) | Err(Refusal::Forbidden(_)) => {
                *self.refused.lock() = Some(Instant::now());
                Ok(())
            }
            Ok(true) => {
                let why =
                    "it lets in whoever there is, also who was made up: it does not authenticate";
                Err(self.endpoint.unavailable(asker, why))
            }
            Err(other) => Err(other),
        }
    }
}

/// The path and the headers to ask with.
fn question(user: &str, password: &str, project: &Name) -> Result<(String, HeaderMap), Refusal> {
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut basic = HeaderValue::try_from(basic)
        .map_err(|_| Refusal::Forbidden("such a password cannot be passed on".to_owned()))?;
    basic.set_sensitive(true);
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, basic)]);
    Ok((format!("/v0/project/{project}/nodes"), headers))
}

impl Authenticator for Hil {
    fn takes(&self, credentials: &Credentials) -> bool {
        matches!(credentials, Credentials::Basic(..))
    }

    fn identify<'a>(
        &'a self,
        credentials: &'a Credentials,
        project: Option<&'a Name>,
        from: Option<IpAddr>,
    ) -> Answer<'a> {
        Box::pin(async move {
            let Credentials::Basic(user, password) = credentials else { return Ok(None) };
            let Some(project) = project else {
                let why = "users of HIL are known in a project only, and this names none";
                return Err(Refusal::Forbidden(why.to_owned()));
            };
            self.ask(user, password.expose(), project, from).await
        })
    }
}
