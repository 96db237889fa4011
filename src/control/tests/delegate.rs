//! Users that only somebody else knows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Answer, Daemon};
use crate::catalog::{Name, Role, Secret};
use crate::control::Limits;
use crate::control::authenticate::{Authenticator, Credentials, Delegation, Hil, Keystone};
use crate::control::listener::Listener;
use crate::control::server::{Service, serve};
use crate::tls::tests::Authority;
use crate::tls::{ClientCertificates, Server, ServerFiles};

/// How often it was asked.
type Count = Arc<AtomicUsize>;

/// Serves until the test's runtime ends.
fn start(listener: Listener, router: Router) -> SocketAddr {
    let address = listener.address().unwrap();
    let service = Service { listener, router, limits: Limits::default() };
    tokio::spawn(serve(vec![service], std::future::pending()));
    address
}

fn listener() -> Listener {
    Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// HIL as far as M2 uses it: jane is of project lab, and her password is `pa:ss`.
fn hil(count: Count) -> Router {
    let nodes = async |State(count): State<Count>, Path(project): Path<String>, head: HeaderMap| {
        count.fetch_add(1, Ordering::SeqCst);
        let jane = format!("Basic {}", STANDARD.encode("jane:pa:ss"));
        match (head["authorization"].to_str().unwrap() == jane, project.as_str()) {
            (false, _) => StatusCode::UNAUTHORIZED.into_response(),
            (true, "lab") => "[\"node1\"]".into_response(),
            (true, "broken") => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            (true, "moved") => (StatusCode::FOUND, [("location", "/")]).into_response(),
            (true, "other") => StatusCode::FORBIDDEN.into_response(),
            (true, _) => StatusCode::NOT_FOUND.into_response(),
        }
    };
    Router::new().route("/api/v0/project/{project}/nodes", get(nodes)).with_state(count)
}

fn delegation(url: String) -> Delegation {
    let (timeout, cache) = (Duration::from_secs(30), Duration::from_secs(600));
    Delegation { url, ca: None, timeout, cache }
}

fn asks(delegation: &Delegation) -> Option<Arc<dyn Authenticator>> {
    Some(Arc::new(Hil::new(delegation, Role::Operator).unwrap()))
}

async fn get_as(daemon: &Daemon, credential: &str, path: &str) -> Answer {
    daemon.send_as(credential, Method::GET, path, "", Vec::new()).await
}

fn basic(user_and_password: &str) -> String {
    format!("Basic {}", STANDARD.encode(user_and_password))
}

#[tokio::test]
async fn hil_says_who_is_of_a_project() {
    let count = Count::default();
    let address = start(listener(), hil(count.clone()));
    let url = format!("http://{address}/api/");
    let daemon = Daemon::serving(&Limits::default(), Vec::new(), asks(&delegation(url)));
    let asked = || count.swap(0, Ordering::SeqCst);
    let jane = basic("jane:pa:ss");

    let path = "/v1/projects/lab/nodes/n1";
    let put = daemon.send_as(&jane, Method::PUT, path, "application/json", b"{}".to_vec()).await;
    put.ok(StatusCode::CREATED);
    let me = get_as(&daemon, &jane, "/v1/whoami?project=lab").await.ok(StatusCode::OK);
    assert_eq!(me, json!({"who": "hil jane", "role": "operator", "project": "lab"}));
    assert_eq!(asked(), 2, "a yes holds for a while, once it was seen that there is a no");
    // It is one project's, as a token could be.
    let nodes = get_as(&daemon, &jane, "/v1/nodes?project=lab").await.ok(StatusCode::OK);
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1);
    get_as(&daemon, &jane, "/v1/projects/lab/images/x").await.problem(404, "image-not-found");
    get_as(&daemon, &jane, "/v1/tokens?project=lab").await.problem(403, "forbidden");
    let delete = daemon.send_as(&jane, Method::DELETE, "/v1/projects/lab", "", Vec::new()).await;
    delete.problem(403, "forbidden");
    asked();
    for project in ["other", "unknown"] {
        let path = format!("/v1/projects/{project}/nodes/n1");
        get_as(&daemon, &jane, &path).await.problem(403, "forbidden");
        let path = format!("/v1/projects/{project}/nodes/n1?project=lab");
        get_as(&daemon, &jane, &path).await.problem(403, "forbidden");
    }
    assert_eq!(asked(), 4, "a no is asked again");
    for unnamed in ["/v1/nodes", "/v1/whoami", "/v1/nodes?project=", "/v1/nodes?project=%6cab"] {
        get_as(&daemon, &jane, unnamed).await.problem(403, "forbidden");
    }
    assert_eq!(asked(), 0);
    for wrong in ["jane:", "jane:pa:s", "john:pa:ss", "jane:pa:ss\n"] {
        get_as(&daemon, &basic(wrong), path).await.problem(401, "not-authorized");
    }
    asked();
    // What it cannot tell is not let in, and said to be so.
    for project in ["broken", "moved"] {
        let path = format!("/v1/projects/{project}/nodes/n1");
        get_as(&daemon, &jane, &path).await.problem(503, "authenticator-unavailable");
    }
    let log = daemon.get("/v1/audit?limit=1000").await;
    let log = log["items"].as_array().unwrap();
    assert!(log.iter().any(|entry| entry["who"] == "hil jane" && entry["status"] == 201));
    daemon.stop().await;
}

#[tokio::test]
async fn tokens_are_taken_as_passwords_and_never_passed_on() {
    let count = Count::default();
    let address = start(listener(), hil(count.clone()));
    let url = format!("http://{address}/api");
    let daemon = Daemon::serving(&Limits::default(), Vec::new(), asks(&delegation(url)));
    let made = daemon.put("/v1/tokens/ci", json!({"role": "reader", "project": "lab"})).await;
    let token = made.ok(StatusCode::CREATED)["token"].as_str().unwrap().to_owned();
    let me = get_as(&daemon, &basic(&format!("any:{token}")), "/v1/whoami").await;
    assert_eq!(me.ok(StatusCode::OK)["who"], "token ci");
    let bad = basic(&format!("jane:{token}x"));
    get_as(&daemon, &bad, "/v1/projects/lab/nodes/n").await.problem(401, "not-authorized");
    assert_eq!(count.load(Ordering::SeqCst), 0);
    daemon.stop().await;
}

#[tokio::test]
async fn who_does_not_answer_as_it_should_lets_nobody_in() {
    for speech in [
        None,
        Some(&b""[..]),
        Some(b"SSH-2.0-OpenSSH_9.2\r\n"),
        Some(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"),
        Some(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        // What answers in the place of HIL, or is something else.
        Some(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n<h1>Log in</h1>"),
        Some(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"nodes\": [1]} "),
        Some(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n[1]"),
        Some(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        Some(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n[]"),
        Some(b"HTTP/1.1 204 No Content\r\n\r\n"),
        // HIL without authentication, and everybody is somebody.
        Some(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n[]"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                match speech {
                    Some(bytes) => {
                        let mut request = [0; 4096];
                        let _ = stream.read(&mut request).await;
                        let _ = stream.write_all(bytes).await;
                    }
                    None => held.push(stream),
                }
            }
        });
        let timeout = if speech.is_none() { 1 } else { 60 };
        let timeout = Duration::from_secs(timeout);
        let delegation = Delegation { timeout, ..delegation(format!("http://{address}")) };
        let daemon = Daemon::serving(&Limits::default(), Vec::new(), asks(&delegation));
        let answer = get_as(&daemon, &basic("jane:x"), "/v1/projects/lab/nodes/n1").await;
        let problem = answer.problem(503, "authenticator-unavailable");
        assert!(problem["detail"].as_str().unwrap().contains("HIL at 127.0.0.1"), "{problem}");
        daemon.stop().await;
    }
    // An answer without an end.
    let endless = async || {
        let (sender, chunks) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let chunk = || Ok(bytes::Bytes::from_static(&[b' '; 65_536]));
            while sender.send(chunk()).await.is_ok() {}
        });
        crate::control::stream::body(chunks, None)
    };
    let address = start(listener(), Router::new().fallback(endless));
    let delegation = delegation(format!("http://{address}"));
    let daemon = Daemon::serving(&Limits::default(), Vec::new(), asks(&delegation));
    let answer = get_as(&daemon, &basic("jane:x"), "/v1/projects/lab/nodes/n1").await;
    answer.problem(503, "authenticator-unavailable");
    daemon.stop().await;
}

#[tokio::test]
async fn who_tries_passwords_is_stopped_and_nobody_else() {
    let count = Count::default();
    let address = start(listener(), hil(count.clone()));
    let url = format!("http://{address}/api");
    let daemon = Daemon::serving(&Limits::default(), Vec::new(), asks(&delegation(url)));
    let path = "/v1/whoami?project=lab";
    let mut stopped = 0;
    for number in 0..40 {
        let answer = get_as(&daemon, &basic(&format!("jane:{number}")), path).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            answer.problem(429, "too-many-tries");
            stopped += 1;
        } else {
            answer.problem(401, "not-authorized");
        }
    }
    assert!(stopped > 0, "40 in a row are too many");
    assert_eq!(count.load(Ordering::SeqCst), 40 - stopped, "HIL is left alone meanwhile");
    let john = get_as(&daemon, &basic("john:x"), path).await;
    john.problem(401, "not-authorized");
    daemon.stop().await;
}

#[tokio::test]
async fn whom_hil_must_refuse_is_made_up_anew_each_time() {
    type Shown = Arc<std::sync::Mutex<Vec<String>>>;
    let shown = Shown::default();
    let nodes = async |State(shown): State<Shown>, head: HeaderMap| {
        let basic = head["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
        let shows = String::from_utf8(STANDARD.decode(basic).unwrap()).unwrap();
        let status = match shows.starts_with("jane:") {
            true => return "[]".into_response(),
            false => StatusCode::UNAUTHORIZED,
        };
        shown.lock().unwrap().push(shows.split(':').next().unwrap().to_owned());
        status.into_response()
    };
    let router = Router::new().fallback(nodes).with_state(Arc::clone(&shown));
    let url = format!("http://{}", start(listener(), router));
    for _ in 0..2 {
        let hil = asks(&delegation(url.clone())).unwrap();
        let jane = Credentials::Basic("jane".to_owned(), Secret::new("x".to_owned()));
        let lab = Name::project("lab").unwrap();
        assert!(hil.identify(&jane, Some(&lab), None).await.unwrap().is_some());
    }
    let shown = shown.lock().unwrap();
    assert!(shown.len() == 2 && shown[0] != shown[1], "{shown:?}");
}

#[tokio::test]
async fn what_says_nothing_of_credentials_stops_nobody() {
    let count = Count::default();
    let address = start(listener(), hil(count.clone()));
    let url = format!("http://{address}/api/");
    let daemon = Daemon::serving(&Limits::default(), Vec::new(), asks(&delegation(url)));
    let jane = basic("jane:pa:ss");
    for project in ["other", "unknown"] {
        for _ in 0..20 {
            let path = format!("/v1/whoami?project={project}");
            get_as(&daemon, &jane, &path).await.problem(403, "forbidden");
        }
    }
    get_as(&daemon, &jane, "/v1/whoami?project=lab").await.ok(StatusCode::OK);
    daemon.stop().await;
}

#[tokio::test]
async fn it_is_asked_over_tls_and_must_be_who_it_should_be() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path(), "Lab CA");
    let issued = authority.server(&["localhost"]);
    let (certificate, key) = (issued.certificate, issued.key);
    let files = ServerFiles { certificate, key, client_ca: None, crl: None };
    let server = Server::load(files, ClientCertificates::Ignored).unwrap();
    let listener = Listener::tls("127.0.0.1:0".parse().unwrap(), Arc::new(server)).unwrap();
    let port = start(listener, hil(Count::default())).port();
    let (jane, path) = (basic("jane:pa:ss"), "/v1/whoami?project=lab");
    for (host, good) in [("localhost", true), ("127.0.0.1", false)] {
        let delegation = Delegation {
            ca: Some(authority.certificate()),
            ..delegation(format!("https://{host}:{port}/api"))
        };
        let daemon = Daemon::serving(&Limits::default(), Vec::new(), asks(&delegation));
        let answer = get_as(&daemon, &jane, path).await;
        if good {
            answer.ok(StatusCode::OK);
        } else {
            answer.problem(503, "authenticator-unavailable");
        }
        daemon.stop().await;
    }
}

/// Keystone's answers, by token.
fn keystone(count: Count) -> Router {
    let validate = async |State(count): State<Count>,
                          RawQuery(query): RawQuery,
                          head: HeaderMap| {
        count.fetch_add(1, Ordering::SeqCst);
        assert_eq!(head["x-auth-token"], head["x-subject-token"]);
        if query.as_deref() != Some("nocatalog") {
            return "x".repeat(1 << 20).into_response();
        }
        let project = |name: &str, domain: &str| json!({"name": name, "domain": {"name": domain}});
        let token = |project: Value, roles: &[&str], expires: &str| {
            let roles: Vec<_> = roles.iter().map(|name| json!({"name": name, "id": "1"})).collect();
            let body = json!({"token": {"user": {"name": "jane", "id": "2"}, "project": project,
                "roles": roles, "expires_at": expires, "methods": ["password"]}});
            axum::Json(body).into_response()
        };
        let (lab, later) = (project("lab", "Default"), "2999-01-01T00:00:00.000000Z");
        match head["x-subject-token"].to_str().unwrap() {
            "member" => token(lab, &["reader", "member"], later),
            "admin" => token(lab, &["member", "admin"], later),
            "reader" => token(lab, &["reader"], later),
            "no-role" => token(lab, &["swiftoperator"], later),
            "expired" => token(lab, &["member"], "2020-01-01T00:00:00.000000Z"),
            "elsewhere" => token(project("lab", "Other"), &["member"], later),
            "unscoped" => token(Value::Null, &["member"], later),
            "strange" => token(project("Lab One", "Default"), &["member"], later),
            "garbage" => "{\"token\": 1}".into_response(),
            "denied" => StatusCode::FORBIDDEN.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    };
    Router::new().route("/v3/auth/tokens", get(validate)).with_state(count)
}

#[tokio::test]
async fn keystone_says_who_holds_a_token() {
    let count = Count::default();
    let url = format!("http://{}", start(listener(), keystone(count.clone())));
    let keystone = Keystone::new(&delegation(url), "Default".to_owned()).unwrap();
    let listener = listener();
    let address = listener.address().unwrap();
    let daemon = Daemon::serving(&Limits::default(), vec![listener], Some(Arc::new(keystone)));
    let whoami = async |token: &str| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /v1/whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\nX-Auth-Token: {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status: u16 = answer[9..12].parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    for (token, role) in [("member", "operator"), ("admin", "admin"), ("reader", "reader")] {
        let expected = json!({"who": "keystone jane", "role": role, "project": "lab"});
        assert_eq!(whoami(token).await, (200, expected.clone()));
        assert_eq!(whoami(token).await, (200, expected));
    }
    assert_eq!(count.load(Ordering::SeqCst), 3, "a yes holds for a while");
    for (token, status, code) in [
        ("unknown", 401, "not-authorized"),
        ("expired", 401, "not-authorized"),
        ("no-role", 403, "forbidden"),
        ("elsewhere", 403, "forbidden"),
        ("unscoped", 403, "forbidden"),
        ("strange", 403, "forbidden"),
        ("garbage", 503, "authenticator-unavailable"),
        ("denied", 503, "authenticator-unavailable"),
    ] {
        let (got, problem) = whoami(token).await;
        assert_eq!((got, problem["code"].as_str().unwrap()), (status, code), "{token}: {problem}");
    }
    // Nobody asks Keystone about users and passwords.
    get_as(&daemon, &basic("jane:x"), "/v1/whoami").await.problem(401, "not-authorized");
    daemon.stop().await;
}
