//! The same API over TCP, with TLS and without.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Daemon, HANG};
use crate::control::Limits;
use crate::control::listener::Listener;
use crate::tls::tests::{Authority, Issued};
use crate::tls::{Client, ClientCertificates, ClientFiles, Server, ServerFiles, Trouble};

/// A daemon that is reached over TLS, and who issues its certificates.
struct Lab {
    daemon: Daemon,
    authority: Authority,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

fn lab(limits: &Limits) -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path(), "Lab CA");
    let issued = authority.server(&["127.0.0.1"]);
    let files = ServerFiles {
        certificate: issued.certificate,
        key: issued.key,
        client_ca: Some(authority.certificate()),
        crl: None,
    };
    let server = Arc::new(Server::load(files, ClientCertificates::Required).unwrap());
    let listener = Listener::tls("127.0.0.1:0".parse().unwrap(), server).unwrap();
    let address = listener.address().unwrap();
    let daemon = Daemon::serving(limits, vec![listener], None);
    Lab { daemon, authority, address, _directory: directory }
}

impl Lab {
    /// A call with a certificate, and with `credential` if that is not empty; `Err`: what TLS says.
    async fn call(
        &self,
        who: Option<&Issued>,
        credential: &str,
        method: Method,
        path: &str,
    ) -> Result<Answer, Option<Trouble>> {
        let identity = who.and_then(Issued::identity);
        let ca = Some(self.authority.certificate());
        let client = Client::load(&ClientFiles { ca, identity }).unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let call = async {
            let stream = client.connect("127.0.0.1", stream).await.map_err(|e| trouble(&e))?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|e| trouble(&e))?;
            tokio::spawn(connection);
            let mut request = Request::builder().method(method).uri(path).header("host", "stirrup");
            if !credential.is_empty() {
                request = request.header("authorization", credential);
            }
            let request = request.body(Full::new(Bytes::new())).unwrap();
            let answer = sender.send_request(request).await.map_err(|e| trouble(&e))?;
            let (head, body) = answer.into_parts();
            let kind = head.headers.get("content-type").map(|it| it.to_str().unwrap().to_owned());
            let bytes = body.collect().await.unwrap().to_bytes().to_vec();
            Ok(Answer { status: head.status, kind: kind.unwrap_or_default(), bytes })
        };
        tokio::time::timeout(HANG, call).await.unwrap()
    }

    async fn get(&self, who: &Issued, path: &str) -> Answer {
        self.call(Some(who), "", Method::GET, path).await.unwrap()
    }

    async fn name(&self, certificate: &str, rights: Value) -> Answer {
        self.daemon.put(&format!("/v1/certificates/{certificate}"), rights).await
    }
}

fn trouble(error: &(dyn std::error::Error + 'static)) -> Option<Trouble> {
    Trouble::behind(error)
}

#[tokio::test]
async fn a_certificate_may_do_what_was_said_of_its_name() {
    let lab = lab(&Limits::default());
    lab.daemon.import("golden").await;
    let ci = lab.authority.client("ci.example");
    let unnamed = lab.get(&ci, "/v1/whoami").await.problem(401, "not-authorized");
    assert!(unnamed["detail"].as_str().unwrap().contains("ci.example"), "{unnamed}");

    let rights = json!({"role": "operator", "project": "lab"});
    let made = lab.name("ci.example", rights.clone()).await.ok(StatusCode::CREATED);
    assert_eq!((&made["name"], &made["existed"]), (&json!("ci.example"), &json!(false)));
    assert_eq!(lab.name("ci.example", rights).await.ok(StatusCode::OK)["existed"], true);
    let other = lab.name("ci.example", json!({"role": "admin"})).await;
    other.problem(409, "certificate-exists");
    let me = lab.get(&ci, "/v1/whoami").await.ok(StatusCode::OK);
    assert_eq!(me, json!({"who": "certificate ci.example", "role": "operator", "project": "lab"}));
    lab.get(&ci, "/v1/projects/default/images/golden").await.problem(403, "forbidden");
    lab.get(&ci, "/v1/certificates").await.problem(403, "forbidden");
    assert_eq!(lab.get(&ci, "/v1/images").await.ok(StatusCode::OK)["items"], json!([]));

    // Somebody of the same authority is somebody else.
    let jane = lab.authority.client_with("Jane Doe", |_| {});
    lab.get(&jane, "/v1/whoami").await.problem(401, "not-authorized");
    lab.name("Jane%20Doe", json!({"role": "admin"})).await.ok(StatusCode::CREATED);
    assert_eq!(lab.get(&jane, "/v1/whoami").await.ok(StatusCode::OK)["role"], "admin");
    let uri = "spiffe:%2F%2Fexample%2Fns";
    lab.name(uri, json!({"role": "reader"})).await.ok(StatusCode::CREATED);
    let names = lab.daemon.get("/v1/certificates").await;
    let names: Vec<_> = names["items"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["Jane Doe", "ci.example", "spiffe://example/ns"]);

    // At once.
    lab.daemon.delete("/v1/certificates/ci.example").await.gone();
    lab.daemon.delete("/v1/certificates/ci.example").await.problem(404, "certificate-not-found");
    lab.get(&ci, "/v1/whoami").await.problem(401, "not-authorized");
    lab.name("ci", json!({"role": "root"})).await.problem(422, "invalid-role");
    lab.name("%C3%A9", json!({"role": "admin"})).await.problem(422, "invalid-name");
    lab.daemon.stop().await;
}

#[tokio::test]
async fn a_token_counts_alone_and_the_log_has_all_of_it() {
    let lab = lab(&Limits::default());
    let boss = lab.authority.client("boss");
    lab.name("boss", json!({"role": "admin"})).await.ok(StatusCode::CREATED);
    let made = lab.daemon.put("/v1/tokens/see", json!({"role": "reader"})).await;
    let token = format!("Bearer {}", made.ok(StatusCode::CREATED)["token"].as_str().unwrap());
    let me = lab.call(Some(&boss), &token, Method::GET, "/v1/whoami").await.unwrap();
    assert_eq!(me.ok(StatusCode::OK)["who"], "token see");
    let delete = lab.call(Some(&boss), &token, Method::DELETE, "/v1/tokens/see").await.unwrap();
    delete.problem(403, "forbidden");
    let bad = lab.call(Some(&boss), "Bearer x", Method::GET, "/v1/whoami").await.unwrap();
    bad.problem(401, "not-authorized");
    lab.call(Some(&boss), "", Method::DELETE, "/v1/tokens/see").await.unwrap().gone();

    let log = lab.daemon.get("/v1/audit?limit=3").await;
    let whos: Vec<_> = log["items"].as_array().unwrap().iter().map(|it| &it["who"]).collect();
    assert_eq!(whos, ["certificate boss", "nobody", "token see"]);
    for entry in log["items"].as_array().unwrap() {
        assert_eq!(entry["certificate"], "boss", "{entry}");
        assert!(entry["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{entry}");
        assert!(entry.get("uid").is_none(), "{entry}");
    }
    // Files of the gateway are not for who is not there, whatever their role.
    let body = json!({"name": "x", "file": "/etc/passwd"});
    let identity = boss.identity();
    let client = ClientFiles { ca: Some(lab.authority.certificate()), identity };
    let stream = TcpStream::connect(lab.address).await.unwrap();
    let stream = Client::load(&client).unwrap().connect("127.0.0.1", stream).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/v1/projects/default/images")
        .header("host", "x")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())));
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    lab.daemon.stop().await;
}

#[tokio::test]
async fn who_shows_no_good_certificate_does_not_get_in() {
    let lab = lab(&Limits::default());
    let path = "/v1/version";
    let none = lab.call(None, "", Method::GET, path).await;
    assert_eq!(none.err(), Some(Some(Trouble::CertificateWanted)));
    let directory = tempfile::tempdir().unwrap();
    let stranger = Authority::new(directory.path(), "Other CA").client("ci");
    let foreign = lab.call(Some(&stranger), "", Method::GET, path).await;
    assert_eq!(foreign.err(), Some(Some(Trouble::CertificateRefused)));
    // Two common names: it is not said who that is.
    let double = lab.authority.client_with("a", |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names = ["a.example", "b.example"]
            .map(|name| rcgen::SanType::DnsName(name.try_into().unwrap()))
            .to_vec();
    });
    let problem = lab.get(&double, path).await.problem(401, "not-authorized");
    assert!(problem["detail"].as_str().unwrap().contains("does not say who"), "{problem}");
    lab.daemon.stop().await;
}

/// What comes back for these bytes, until the other end closes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(HANG, stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn plain_http_and_handshakes_that_do_not_end_are_turned_away() {
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let lab = lab(&limits);
    let ci = lab.authority.client("ci");
    lab.name("ci", json!({"role": "reader"})).await.ok(StatusCode::CREATED);
    let plain = raw(lab.address, b"GET /v1/version HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let plain = String::from_utf8(plain).unwrap();
    assert!(plain.starts_with("HTTP/1.1 400") && plain.ends_with("https:// URLs\n"), "{plain}");
    let body = plain.split("\r\n\r\n").nth(1).unwrap();
    assert!(plain.contains(&format!("content-length: {}\r\n", body.len())), "{plain}");
    // Nothing; one byte; the head of a record that never comes; records that are none.
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x40\x00\x01", &[0x16; 20_000]] {
        let answer = raw(lab.address, bytes).await;
        assert!(answer.len() < 100, "{answer:?}");
    }
    lab.get(&ci, "/v1/version").await.ok(StatusCode::OK);
    lab.daemon.stop().await;
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let lab = lab(&Limits { connections_max: 8, ..Limits::default() });
    let held = [TcpStream::connect(lab.address).await, TcpStream::connect(lab.address).await];
    // They were accepted in order, so the third is over the bound.
    assert_eq!(raw(lab.address, b"").await, b"");
    drop(held);
    let ci = lab.authority.client("ci");
    lab.name("ci", json!({"role": "reader"})).await.ok(StatusCode::CREATED);
    let served = async {
        while lab.call(Some(&ci), "", Method::GET, "/v1/version").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, served).await.unwrap();
    lab.daemon.stop().await;
}

#[tokio::test]
async fn a_connection_ends_and_who_comes_back_shows_again_who_it_is() {
    let lifetime = Duration::from_millis(500);
    let lab = lab(&Limits { connection_lifetime: lifetime, ..Limits::default() });
    let ci = lab.authority.client("ci");
    lab.name("ci", json!({"role": "reader"})).await.ok(StatusCode::CREATED);
    let files = ClientFiles { ca: Some(lab.authority.certificate()), identity: ci.identity() };
    let stream = TcpStream::connect(lab.address).await.unwrap();
    let stream = Client::load(&files).unwrap().connect("127.0.0.1", stream).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    // Call after call: it is never idle for long.
    let kept_busy = async {
        while sender.ready().await.is_ok() {
            let request = Request::get("/v1/version").header("host", "x");
            let request = request.body(Full::<Bytes>::default()).unwrap();
            let Ok(answer) = sender.send_request(request).await else { break };
            answer.into_body().collect().await.unwrap();
        }
    };
    tokio::time::timeout(HANG, kept_busy).await.expect("it goes on for ever");
    lab.get(&ci, "/v1/version").await.ok(StatusCode::OK);
    lab.daemon.stop().await;
}

#[tokio::test]
async fn without_tls_only_a_token_says_who_one_is() {
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let daemon = Daemon::serving(&Limits::default(), vec![listener], None);
    let made = daemon.put("/v1/tokens/see", json!({"role": "reader"})).await;
    let token = made.ok(StatusCode::CREATED)["token"].as_str().unwrap().to_owned();
    let ask = async |head: &str| {
        let request =
            format!("GET /v1/whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n");
        String::from_utf8(raw(address, request.as_bytes()).await).unwrap()
    };
    let nobody = ask("").await;
    assert!(nobody.starts_with("HTTP/1.1 401"), "{nobody}");
    let see = ask(&format!("authorization: Bearer {token}\r\n")).await;
    assert!(see.starts_with("HTTP/1.1 200") && see.contains("token see"), "{see}");
    daemon.stop().await;
}
