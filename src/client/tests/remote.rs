//! Daemons on other machines: by TLS, and by ssh.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::{Answers, Server};
use super::{Environment, Outcome, stirrup_in};
use crate::client::error::ClientError;
use crate::tls::tests::{Authority, Issued};
use crate::tls::{self, ClientCertificates, ServerFiles, Trouble};

/// A server that speaks TLS and answers all with the name that its client has shown.
struct Gateway {
    authority: Authority,
    port: u16,
    _directory: tempfile::TempDir,
}

async fn gateway(certificate: impl FnOnce(&Authority) -> Issued) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path(), "Lab CA");
    let issued = certificate(&authority);
    let files = ServerFiles {
        certificate: issued.certificate,
        key: issued.key,
        client_ca: Some(authority.certificate()),
        crl: None,
    };
    let server = Arc::new(tls::Server::load(files, ClientCertificates::Required).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = TlsAcceptor::from(server.current());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let name = stream.get_ref().1.peer_certificates().map(|it| tls::name_of(&it[0]));
                let who = name.flatten().unwrap_or_default();
                let answer = move |headers: HeaderMap| async move {
                    let token = headers.get("authorization").map_or("none", |_| "one");
                    format!("{{\"who\": \"{who}, token: {token}\", \"role\": \"admin\"}}")
                };
                let router = Router::new().fallback(answer);
                let service = hyper_util::service::TowerToHyperService::new(router);
                let http = hyper::server::conn::http1::Builder::new();
                let io = hyper_util::rt::TokioIo::new(stream);
                let _ = http.serve_connection(io, service).await;
            });
        }
    });
    Gateway { authority, port, _directory: directory }
}

fn by_tls(gateway: &Gateway, identity: Option<&Issued>) -> Environment {
    Environment {
        host: Some(format!("https://127.0.0.1:{}", gateway.port)),
        tls_cert: identity.map(|it| it.certificate.clone()),
        tls_key: identity.map(|it| it.key.clone()),
        tls_ca: Some(gateway.authority.certificate()),
        ..Environment::default()
    }
}

fn trouble(outcome: &Outcome) -> Option<Trouble> {
    match &outcome.result {
        Err(ClientError::Tls { trouble, .. }) => Some(*trouble),
        _ => None,
    }
}

#[tokio::test]
async fn a_gateway_is_reached_over_tls() {
    let gateway = gateway(|it| it.server(&["127.0.0.1", "gw.example"])).await;
    let ci = gateway.authority.client("ci");
    let environment = by_tls(&gateway, Some(&ci));
    let outcome = stirrup_in(&environment, "whoami", None).await;
    assert!(outcome.out.contains("ci, token: none"), "{}", outcome.shown());
    // The arguments count before the environment.
    let directory = tempfile::tempdir().unwrap();
    let both = directory.path().join("both.pem");
    let jane = gateway.authority.client("jane");
    let text = [&jane.certificate, &jane.key].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&both, text.concat()).unwrap();
    let line = format!(
        "whoami --host https://127.0.0.1:{} --tls-cert {both} --tls-key {both}",
        gateway.port,
        both = both.display()
    );
    let with_token = Environment {
        host: Some("https://nowhere.invalid".into()),
        token: Some("x".into()),
        ..by_tls(&gateway, Some(&ci))
    };
    let outcome = stirrup_in(&with_token, &line, None).await;
    assert!(outcome.out.contains("jane, token: one"), "{}", outcome.shown());
    let one_file = Environment { tls_cert: Some(both), tls_key: None, ..by_tls(&gateway, None) };
    let outcome = stirrup_in(&one_file, "whoami", None).await;
    assert!(outcome.out.contains("jane"), "{}", outcome.shown());
}

#[tokio::test]
async fn what_is_wrong_with_tls_is_said_and_what_to_try() {
    let good = gateway(|it| it.server(&["127.0.0.1"])).await;
    let ci = good.authority.client("ci");
    let old = gateway(|it| it.server_until(&["127.0.0.1"], 2020)).await;
    let other = gateway(|it| it.server(&["gw.example"])).await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_port = plain.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(plain, Router::new()).await });
    let stranger = tempfile::tempdir().unwrap();
    let stranger = Authority::new(stranger.path(), "Other CA").client("ci");
    let no_tls = Environment {
        host: Some(format!("https://127.0.0.1:{plain_port}")),
        ..by_tls(&good, Some(&ci))
    };
    let distrust =
        Environment { tls_ca: Some(old.authority.certificate()), ..by_tls(&good, Some(&ci)) };
    for (environment, expected, hint) in [
        (by_tls(&old, None), Trouble::Expired, "renew it"),
        (by_tls(&other, None), Trouble::OtherName, "gw.example"),
        (distrust, Trouble::UnknownAuthority, "--tls-ca"),
        (by_tls(&good, None), Trouble::CertificateWanted, "--tls-cert"),
        (by_tls(&good, Some(&stranger)), Trouble::CertificateRefused, "client_ca"),
        (no_tls, Trouble::NotTls, "[control.tls]"),
    ] {
        let outcome = stirrup_in(&environment, "whoami", None).await;
        let shown = outcome.shown();
        assert_eq!(trouble(&outcome), Some(expected), "{shown}");
        assert!(shown.contains(hint) && shown.contains("exit code 1"), "{shown}");
        assert!(shown.contains("https://127.0.0.1:"), "{shown}");
    }
}

#[tokio::test]
async fn gateways_that_are_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let host = |host: String| Environment { host: Some(host), ..Environment::default() };
    let dead = host(format!("https://127.0.0.1:{port}"));
    let shown = stirrup_in(&dead, "whoami", None).await.shown();
    assert!(shown.contains("nobody listens") && shown.contains("[control.tls]"), "{shown}");
    let unknown = host("https://gateway.invalid".into());
    let outcome = stirrup_in(&unknown, "whoami", None).await;
    assert!(matches!(outcome.result, Err(ClientError::Unreachable { .. })), "{}", outcome.shown());
    for (environment, line) in [
        (host("http://gw".into()), "whoami"),
        (host("https://gw".into()), "whoami --tls-ca /nonexistent"),
        (host("https://gw".into()), "whoami --tls-key /k"),
        (Environment::default(), "whoami --host gw --socket /s"),
        (host("gw".into()), "dial-stdio"),
    ] {
        let outcome = stirrup_in(&environment, line, None).await;
        assert!(matches!(outcome.result, Err(ClientError::Usage(_))), "{}", outcome.shown());
        assert!(outcome.shown().contains("exit code 2"), "{}", outcome.shown());
    }
}

/// A command that does what ssh would, and writes down how it was called.
fn fake_ssh(directory: &Path, then: &str) -> PathBuf {
    let path = directory.join("ssh");
    let log = directory.join("log");
    let script = format!("#!/bin/sh\necho \"$@\" >> {}\n{then}\n", log.display());
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What connects its standard input and output with a socket.
fn relay(socket: &Path) -> String {
    let socket = socket.display();
    format!(
        "exec python3 -c 'import os, socket, threading\n\
         s = socket.socket(socket.AF_UNIX); s.connect(\"{socket}\")\n\
         def up():\n\
         \x20   while (data := os.read(0, 65536)): s.sendall(data)\n\
         \x20   s.shutdown(socket.SHUT_WR)\n\
         threading.Thread(target=up, daemon=True).start()\n\
         while (data := s.recv(65536)): os.write(1, data)\n'"
    )
}

fn by_ssh(host: &str, ssh: &Path) -> Environment {
    Environment {
        host: Some(host.to_owned()),
        ssh: Some(ssh.into()),
        project: Some("demo".to_owned()),
        ..Environment::default()
    }
}

#[tokio::test]
async fn a_gateway_is_reached_by_ssh() {
    let mut answers = Answers::new();
    for (state, bytes) in [("running", 0), ("succeeded", 100)] {
        answers.extend(super::answers::imports(&[(state, bytes)]));
    }
    answers.extend(super::answers::imports(&[("running", 35), ("succeeded", 100)]));
    let me = r#"{"who": "uid 0", "role": "admin"}"#.to_owned();
    answers.insert(("GET", "/v1/whoami".into()), VecDeque::from([(200, me)]));
    let server = Server::start(answers);
    let directory = tempfile::tempdir().unwrap();
    let ssh = fake_ssh(directory.path(), &relay(server.socket()));
    let log = || std::fs::read_to_string(directory.path().join("log")).unwrap();

    let outcome = stirrup_in(&by_ssh("root@gw", &ssh), "whoami", None).await;
    assert!(outcome.out.contains("uid 0"), "{}", outcome.shown());
    assert_eq!(log(), "-T -o ConnectTimeout=30 -l root -- gw stirrup dial-stdio\n");
    std::fs::write(directory.path().join("log"), "").unwrap();
    let host = "ssh://gw:2222/run/it's here";
    let outcome = stirrup_in(&by_ssh(host, &ssh), "import demo debian /x", None).await;
    assert!(outcome.result.is_ok(), "{}", outcome.shown());
    // Many calls, and one ssh.
    assert!(server.requests().len() > 3);
    let socket = r"'/run/it'\''s here'";
    let expected =
        format!("-T -o ConnectTimeout=30 -p 2222 -- gw stirrup --socket {socket} dial-stdio\n");
    assert_eq!(log(), expected);
}

#[tokio::test]
async fn what_ssh_says_is_said_and_what_to_try() {
    let directory = tempfile::tempdir().unwrap();
    for (then, said, hint) in [
        (
            "echo 'ssh: connect to host gw port 22: No route to host' >&2; exit 255",
            "No route",
            "ssh root@gw true",
        ),
        ("echo 'bash: stirrup: command not found' >&2; exit 127", "not found", "must be installed"),
        (
            "echo 'stirrup: cannot reach stirrupd' >&2; exit 1",
            "cannot reach stirrupd",
            "said on root@gw",
        ),
        ("exit 3", "exit code 3", "said on root@gw"),
        (
            "exec sh -c 'yes 123456789012345 | head -c 5000000 >&2; exit 4'",
            "123456789012345",
            "root@gw",
        ),
    ] {
        let ssh = fake_ssh(directory.path(), then);
        let outcome = stirrup_in(&by_ssh("root@gw", &ssh), "whoami", None).await;
        let shown = outcome.shown();
        assert!(matches!(outcome.result, Err(ClientError::Ssh { .. })), "{shown}");
        assert!(shown.contains(said) && shown.contains(hint), "{shown}");
        assert!(shown.len() < 10_000);
    }
    let outcome = stirrup_in(&by_ssh("gw", Path::new("/nonexistent/ssh")), "whoami", None).await;
    assert!(outcome.shown().contains("openssh-client"), "{}", outcome.shown());
    let ssh = fake_ssh(directory.path(), "echo Welcome to gw; cat >&2");
    let outcome = stirrup_in(&by_ssh("gw", &ssh), "whoami", None).await;
    assert!(matches!(outcome.result, Err(ClientError::Answer { .. })), "{}", outcome.shown());
}
