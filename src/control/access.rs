//! Who may make which call: one table, asked before every call.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Control;
use super::audit::Record;
use super::authenticate::{self, Authenticator, Credentials, Identity, Tokens, unknown};
use super::peer::{ClientCertificate, Local, Peer};
use super::respond::Failure;
use crate::catalog::{CertificateName, Name, Role};

/// Which users of this machine may do what, besides root and the daemon's own user, who may do
/// everything.
#[derive(Debug, Clone, Default)]
pub struct LocalRoles {
    /// By user.
    pub users: BTreeMap<u32, Role>,
    /// By primary group, of users that are not named.
    pub groups: BTreeMap<u32, Role>,
}

impl LocalRoles {
    pub(super) fn of(&self, local: Local) -> Option<Role> {
        if local.is_trusted() {
            return Some(Role::Admin);
        }
        self.users.get(&local.uid).or_else(|| self.groups.get(&local.gid)).copied()
    }
}

/// Who makes a call.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// For the audit log: `uid 0`, `token ci`, `certificate ci.example`.
    pub(super) who: String,
    pub(super) role: Role,
    /// The only project that exists for this caller.
    pub(super) project: Option<Name>,
}

impl Caller {
    /// Whether objects of a project exist for this caller.
    pub(super) fn sees(&self, project: &str) -> bool {
        self.project.as_ref().is_none_or(|own| own.as_str() == project)
    }

    /// Refuses a project that is not the caller's.
    pub(super) fn check(&self, project: &str) -> Result<(), Failure> {
        if self.sees(project) { Ok(()) } else { Err(self.elsewhere()) }
    }

    /// Refuses what reaches beyond all projects.
    pub(super) fn check_global(&self) -> Result<(), Failure> {
        if self.project.is_none() { Ok(()) } else { Err(self.elsewhere()) }
    }

    /// Refuses what takes more than the call as a whole.
    pub(super) fn check_role(&self, role: Role, what: &str) -> Result<(), Failure> {
        if self.role >= role {
            return Ok(());
        }
        let detail = format!("{} is {}; {what} takes {role}", self.who, self.role);
        Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", detail))
    }

    /// The user whose files the daemon may read for a call; `None`: anyone's. A credential that is
    /// bound to a project is not made more by the user that sends it.
    pub(super) fn files_of(&self, peer: &Peer) -> Result<Option<u32>, Failure> {
        if self.project.is_some() {
            let detail = format!(
                "{} is bound to a project, and files of the gateway are of none: upload the file",
                self.who
            );
            return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
        peer.bound_to_own_files()
    }

    /// What is said of a project that is not the caller's.
    pub(super) fn elsewhere(&self) -> Failure {
        let project = self.project.as_ref().map_or("", Name::as_str);
        let detail = format!("{} may do this in project '{project}' only", self.who);
        Failure::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }
}

impl From<Identity> for Caller {
    fn from(Identity { who, role, project }: Identity) -> Self {
        Self { who, role, project }
    }
}

/// Where a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// In the project that its path names.
    Project,
    /// By who may do so in all projects.
    Global,
    /// The same, or in any, of an image that is public: the call looks whether it is.
    Shared,
    /// Anywhere: what the caller may not see is left out of the answer.
    Seen,
}

/// A call, and what it takes to make it.
type Rule = (Method, &'static str, Role, Scope);

use Role::{Admin, Operator, Reader};
use Scope::{Global, Project, Seen, Shared};

/// Every call there is. What is not here cannot be called. Of a disk that edits its image some take
/// more, which the catalog knows.
const RULES: &[Rule] = &[
    (Method::GET, "/v1/openapi.json", Reader, Seen),
    (Method::GET, "/v1/health", Reader, Seen),
    (Method::GET, "/v1/version", Reader, Seen),
    (Method::GET, "/v1/whoami", Reader, Seen),
    (Method::GET, "/v1/audit", Admin, Global),
    (Method::GET, "/v1/tokens", Admin, Global),
    (Method::PUT, "/v1/tokens/{token}", Admin, Global),
    (Method::DELETE, "/v1/tokens/{token}", Admin, Global),
    (Method::GET, "/v1/certificates", Admin, Global),
    (Method::PUT, "/v1/certificates/{certificate}", Admin, Global),
    (Method::DELETE, "/v1/certificates/{certificate}", Admin, Global),
    (Method::GET, "/v1/projects", Reader, Seen),
    (Method::GET, "/v1/projects/{project}", Reader, Project),
    (Method::PUT, "/v1/projects/{project}", Admin, Global),
    (Method::DELETE, "/v1/projects/{project}", Admin, Global),
    (Method::GET, "/v1/images", Reader, Seen),
    (Method::POST, "/v1/projects/{project}/images", Admin, Project),
    (Method::GET, "/v1/projects/{project}/images/{image}", Reader, Shared),
    (Method::DELETE, "/v1/projects/{project}/images/{image}", Admin, Project),
    (Method::POST, "/v1/projects/{project}/images/{image}/copy", Operator, Shared),
    (Method::POST, "/v1/projects/{project}/images/{image}/rename", Admin, Project),
    (Method::PUT, "/v1/projects/{project}/images/{image}/protection", Admin, Project),
    (Method::PUT, "/v1/projects/{project}/images/{image}/default-tag", Admin, Project),
    (Method::PUT, "/v1/projects/{project}/images/{image}/visibility", Admin, Project),
    (Method::POST, "/v1/projects/{project}/images/{image}/export", Admin, Project),
    (Method::PUT, "/v1/projects/{project}/images/{image}/upload", Admin, Project),
    (Method::GET, "/v1/projects/{project}/images/{image}/upload", Reader, Project),
    (Method::PATCH, "/v1/projects/{project}/images/{image}/upload", Admin, Project),
    (Method::DELETE, "/v1/projects/{project}/images/{image}/upload", Admin, Project),
    (Method::GET, "/v1/projects/{project}/images/{image}/boot-profile", Reader, Project),
    (Method::DELETE, "/v1/projects/{project}/images/{image}/boot-profile", Operator, Project),
    (Method::GET, "/v1/projects/{project}/images/{image}/raw", Operator, Shared),
    (Method::GET, "/v1/projects/{project}/images/{image}/tags", Reader, Project),
    (Method::GET, "/v1/projects/{project}/images/{image}/tags/{tag}", Reader, Project),
    (Method::PUT, "/v1/projects/{project}/images/{image}/tags/{tag}", Admin, Project),
    (Method::DELETE, "/v1/projects/{project}/images/{image}/tags/{tag}", Admin, Project),
    (Method::GET, "/v1/disks", Reader, Seen),
    (Method::GET, "/v1/projects/{project}/disks/{disk}", Reader, Project),
    (Method::PUT, "/v1/projects/{project}/disks/{disk}", Operator, Project),
    (Method::DELETE, "/v1/projects/{project}/disks/{disk}", Operator, Project),
    (Method::PATCH, "/v1/projects/{project}/disks/{disk}", Operator, Project),
    (Method::POST, "/v1/projects/{project}/disks/{disk}/migrate", Operator, Project),
    (Method::PUT, "/v1/projects/{project}/disks/{disk}/redirect", Operator, Project),
    (Method::DELETE, "/v1/projects/{project}/disks/{disk}/redirect", Operator, Project),
    (Method::POST, "/v1/projects/{project}/disks/{disk}/resize", Operator, Project),
    (Method::POST, "/v1/projects/{project}/disks/{disk}/rollback", Operator, Project),
    (Method::POST, "/v1/projects/{project}/disks/{disk}/flatten", Operator, Project),
    (Method::POST, "/v1/projects/{project}/disks/{disk}/image", Operator, Project),
    (Method::GET, "/v1/projects/{project}/disks/{disk}/tags", Reader, Project),
    (Method::GET, "/v1/projects/{project}/disks/{disk}/tags/{tag}", Reader, Project),
    (Method::PUT, "/v1/projects/{project}/disks/{disk}/tags/{tag}", Operator, Project),
    (Method::DELETE, "/v1/projects/{project}/disks/{disk}/tags/{tag}", Operator, Project),
    (Method::GET, "/v1/nodes", Reader, Seen),
    (Method::GET, "/v1/projects/{project}/nodes/{node}", Reader, Project),
    (Method::PUT, "/v1/projects/{project}/nodes/{node}", Operator, Project),
    (Method::DELETE, "/v1/projects/{project}/nodes/{node}", Operator, Project),
    (Method::PUT, "/v1/projects/{project}/nodes/{node}/disk", Operator, Project),
    (Method::DELETE, "/v1/projects/{project}/nodes/{node}/disk", Operator, Project),
    (Method::PUT, "/v1/projects/{project}/nodes/{node}/provision", Operator, Project),
    (Method::DELETE, "/v1/projects/{project}/nodes/{node}/provision", Operator, Project),
    (Method::POST, "/v1/projects/{project}/nodes/{node}/rearm", Operator, Project),
    // It holds the CHAP secret.
    (Method::GET, "/v1/projects/{project}/nodes/{node}/ipxe", Operator, Project),
    (Method::GET, "/v1/projects/{project}/nodes/{node}/boot-arguments", Reader, Project),
    (Method::GET, "/v1/targets", Reader, Seen),
    (Method::GET, "/v1/targets/{name}", Reader, Seen),
    (Method::POST, "/v1/targets/{name}/drain", Operator, Seen),
    (Method::GET, "/v1/sessions", Reader, Seen),
    (Method::DELETE, "/v1/sessions/{id}", Operator, Seen),
    (Method::POST, "/v1/sessions/{id}/logout", Operator, Seen),
    (Method::GET, "/v1/jobs", Reader, Seen),
    (Method::GET, "/v1/jobs/{id}", Reader, Seen),
    (Method::DELETE, "/v1/jobs/{id}", Operator, Seen),
    (Method::GET, "/v1/events", Reader, Seen),
];

/// Runs a call if its caller may make it, and keeps a record of it.
pub(super) async fn guard(
    State(control): State<Control>,
    matched: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer = request.extensions().get::<Peer>().cloned();
    let project = project_of(request.uri());
    // Before it is looked who the caller is: what is taken away from them later, they are told.
    request.extensions_mut().insert(control.events.now());
    let changes = method != Method::GET && method != Method::HEAD;
    let caller = match refuse_browsers(changes, request.headers()) {
        Ok(()) => identify(&control, peer.as_ref(), request.headers(), project.as_ref()).await,
        Err(refused) => Err(refused),
    };
    let who = caller.as_ref().map_or("nobody", |caller| &caller.who);
    let mut record = Record::new(&control.audit, who, peer.as_ref(), &method, &path);
    let admitted = caller.and_then(|caller| {
        admit(&caller, &method, matched.as_str(), &path)?;
        Ok(caller)
    });
    let is_admitted = admitted.is_ok();
    let mut response = match admitted {
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            let mut response = next.run(request).await;
            // For what a problem shows of the object in the way.
            response.extensions_mut().insert(caller);
            response
        }
        Err(refused) => refused.into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Ok(allow) = HeaderValue::from_str(&allowed(matched.as_str()))
    {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    let status = response.status();
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
    if refused || (changes && !is_admitted) {
        record.refused(status);
    } else {
        record.end(changes.then_some(status));
    }
    response
}

/// Refuses what a page of somebody else's has the browser do of who is known here, by a client
/// certificate or a password that the browser shows of its own accord. All pages are somebody else's:
/// there are none here. What only reads is not refused, since browsers show no answer to such a page.
///
/// # Errors
/// `foreign-origin`.
fn refuse_browsers(changes: bool, headers: &HeaderMap) -> Result<(), Failure> {
    if !changes || !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let detail = "this call changes something and comes from a page in a browser (it has an Origin \
                  header), which may be anybody's: use a client that sends no Origin";
    Err(Failure::new(StatusCode::FORBIDDEN, "foreign-origin", detail))
}

/// Who makes a call: by its credentials, if it has some; otherwise by what its connection tells.
///
/// # Errors
/// `not-authorized`, and what [`authenticate::identify`] has.
async fn identify(
    control: &Control,
    peer: Option<&Peer>,
    headers: &HeaderMap,
    project: Option<&Name>,
) -> Result<Caller, Failure> {
    if let Some(credentials) = Credentials::of(headers)? {
        let tokens: Arc<dyn Authenticator> = Arc::new(Tokens(control.catalog.clone()));
        let all: Vec<_> = std::iter::once(tokens).chain(control.delegate.clone()).collect();
        let from = peer.and_then(Peer::address).map(|address| address.ip());
        let found = authenticate::identify(&all, &credentials, project, from).await;
        return found.map(Caller::from);
    }
    match peer {
        Some(Peer::Local(local)) => {
            let role = control.local_roles.of(*local).ok_or_else(|| {
                unknown(
                    "this user has no role: use a token, or have an admin name the user in \
                     [control] of stirrup.toml",
                )
            })?;
            Ok(Caller { who: format!("uid {}", local.uid), role, project: None })
        }
        Some(Peer::Tls(_, ClientCertificate::Named(name))) => of_certificate(control, name).await,
        Some(Peer::Tls(_, ClientCertificate::Unnamed)) => Err(unknown(
            "this certificate does not say who holds it: it needs one common name (CN), which is \
             one of the DNS names and URIs among the alternative names if there are some, or else \
             one of those",
        )),
        Some(Peer::Tls(_, ClientCertificate::None) | Peer::Network(_)) | None => {
            Err(unknown("use a client certificate or a token"))
        }
    }
}

async fn of_certificate(control: &Control, name: &str) -> Result<Caller, Failure> {
    let named = match CertificateName::new(name) {
        Ok(name) => control.catalog.certificate(name).await?,
        Err(_) => None,
    };
    let named = named.ok_or_else(|| {
        unknown(&format!(
            "the certificate of {name:?} has no role: have an admin name it (stirrup certificate \
             create), or use a token"
        ))
    })?;
    let who = format!("certificate {}", named.name);
    Ok(Caller { who, role: named.role, project: named.project })
}

/// The project that a call is about, by its path or its query.
fn project_of(uri: &Uri) -> Option<Name> {
    let in_path = uri.path().strip_prefix("/v1/projects/").and_then(|rest| rest.split('/').next());
    let in_query = || {
        let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.rev().find(|(name, _)| *name == "project").map(|(_, value)| value)
    };
    Name::project(in_path.or_else(in_query)?).ok()
}

/// The methods of a path.
fn allowed(template: &str) -> String {
    let methods = RULES.iter().filter(|rule| rule.1 == template).map(|rule| rule.0.as_str());
    methods.collect::<Vec<_>>().join(",")
}

fn admit(caller: &Caller, method: &Method, template: &str, path: &str) -> Result<(), Failure> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let rule = RULES.iter().find(|rule| rule.0 == *method && rule.1 == template);
    let forbidden = |detail| Failure::new(StatusCode::FORBIDDEN, "forbidden", detail);
    let Some(&(_, _, role, scope)) = rule else {
        if allowed(template).is_empty() {
            return Err(forbidden("nobody may make this call".to_owned()));
        }
        let (status, code) = (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed");
        return Err(Failure::new(status, code, "not with this method"));
    };
    caller.check_role(role, "this")?;
    match scope {
        Scope::Seen | Scope::Shared => Ok(()),
        Scope::Global if caller.project.is_none() => Ok(()),
        Scope::Global => Err(caller.elsewhere()),
        // As it came: a name that is written otherwise than it is can only be refused.
        Scope::Project => caller.check(path.split('/').nth(3).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_rule_and_every_rule_a_call() {
        let description = serde_json::to_value(super::super::api::openapi()).unwrap();
        let mut calls = vec!["GET /v1/openapi.json".to_owned()];
        for (path, item) in description["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys();
            let methods = methods.filter(|key| !["parameters", "summary"].contains(&key.as_str()));
            calls.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
        }
        let mut rules: Vec<_> = RULES.iter().map(|rule| format!("{} {}", rule.0, rule.1)).collect();
        calls.sort();
        rules.sort();
        assert_eq!(calls, rules);
    }

    #[test]
    fn rules_are_as_strict_as_their_paths() {
        for (method, path, role, scope) in RULES {
            // One who is bound to a project may not say what it may have.
            let in_project = path.starts_with("/v1/projects/{project}") && *scope != Scope::Global;
            let own = matches!(scope, Scope::Project | Scope::Shared);
            assert_eq!(in_project, own, "{path}");
            assert!(in_project || !path.starts_with("/v1/projects/{project}/"), "{path}");
            if *method != Method::GET {
                assert!(*role > Role::Reader, "{method} {path}: a reader changes nothing");
            }
        }
    }

    #[test]
    fn a_caller_stays_in_its_project() {
        let caller = |role, project: Option<&str>| {
            let project = project.map(|name| Name::project(name).unwrap());
            Caller { who: "token t".to_owned(), role, project }
        };
        let delete = |caller: &Caller, project: &str| {
            let template = "/v1/projects/{project}/disks/{disk}";
            let path = format!("/v1/projects/{project}/disks/d");
            admit(caller, &Method::DELETE, template, &path).is_ok()
        };
        let lab = caller(Role::Operator, Some("lab"));
        assert!(delete(&lab, "lab"));
        for other in ["default", "lab2", "%6cab", "", "LAB", "lab%2f..%2fdefault"] {
            assert!(!delete(&lab, other), "{other}");
        }
        assert!(!delete(&caller(Role::Reader, Some("lab")), "lab"));
        assert!(delete(&caller(Role::Operator, None), "default"));
        let tokens = |caller| admit(&caller, &Method::GET, "/v1/tokens", "/v1/tokens").is_ok();
        assert!(tokens(caller(Role::Admin, None)));
        assert!(!tokens(caller(Role::Admin, Some("lab"))));
        assert!(!tokens(caller(Role::Operator, None)));
        let admin = caller(Role::Admin, None);
        assert!(admit(&admin, &Method::PATCH, "/v1/tokens", "/v1/tokens").is_err(), "no rule");
        assert!(admit(&admin, &Method::HEAD, "/v1/disks", "/v1/disks").is_ok());
    }
}
