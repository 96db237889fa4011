//! Daemons that say no, that make no sense, and that are not there.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::server::{Answers, Server};
use super::{stirrup, stirrup_at};
use crate::client::error::ClientError;

fn canned(status: u16, body: &str) -> Server {
    let mut answers = Answers::new();
    answers.insert(("GET", "/v1/targets".into()), VecDeque::from([(status, body.to_owned())]));
    Server::start(answers)
}

fn problem(code: &str) -> String {
    json!({
        "type": format!("urn:stirrup:problem:{code}"), "title": "Conflict", "status": 409,
        "detail": "what is wrong", "code": code, "instance": "/v1/targets"
    })
    .to_string()
}

#[tokio::test]
async fn every_problem_comes_with_what_to_try() {
    let mut transcript = String::new();
    for code in crate::client::error::advised_codes().chain(["something-new"]) {
        let server = canned(409, &problem(&code.replace('*', "-x")));
        let outcome = stirrup(&server, "target list").await;
        assert_eq!(outcome.out, "");
        let _ = writeln!(transcript, "{}", outcome.shown());
    }
    insta::assert_snapshot!(transcript);
}

/// Advice for a code that the daemon does not have would be dead.
#[test]
fn advised_codes_exist() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut text = String::new();
    for room in ["catalog", "control"] {
        read_all(&source.join(room), &mut text);
    }
    for code in crate::client::error::advised_codes() {
        let literal = format!("\"{}", code.replace('*', ""));
        assert!(text.contains(&literal), "no problem has the code {code}");
    }
}

fn read_all(directory: &Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.extension().is_some_and(|e| e == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn answers_that_make_no_sense() {
    for (status, body) in [
        (500, ""),
        (502, "<html>Bad Gateway</html>"),
        (404, "{}"),
        (200, ""),
        (200, "{\"items\": 3}"),
        (200, "[]"),
        (302, ""),
    ] {
        let server = canned(status, body);
        let outcome = stirrup(&server, "target list").await;
        assert!(matches!(outcome.result, Err(ClientError::Answer { .. })), "{status} {body}");
        let outcome = stirrup(&server, "target list --json").await;
        assert!(outcome.result.is_err() && outcome.out.is_empty(), "{status} {body}");
    }
}

/// A listener that answers any request with these bytes and hangs up.
fn speaks(directory: &Path, bytes: &'static [u8]) -> std::path::PathBuf {
    let socket = directory.join("raw");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    socket
}

#[tokio::test]
async fn peers_that_do_not_speak_http() {
    let directory = tempfile::tempdir().unwrap();
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"items\": [",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let socket = speaks(directory.path(), bytes);
        let outcome = stirrup_at(&socket, "target list", None).await;
        assert!(matches!(outcome.result, Err(ClientError::Answer { .. })), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_daemon_that_hangs_up() {
    let directory = tempfile::tempdir().unwrap();
    for bytes in [&b""[..], b"HTTP/1.1 200"] {
        let outcome = stirrup_at(&speaks(directory.path(), bytes), "target list", None).await;
        let shown = outcome.shown();
        assert!(matches!(outcome.result, Err(ClientError::HungUp { .. })), "{shown}");
        assert!(shown.contains("journalctl"), "{shown}");
    }
}

#[tokio::test]
async fn a_daemon_that_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let dead = directory.path().join("dead");
    drop(UnixListener::bind(&dead).unwrap());
    for (socket, why) in [(&missing, "no such file"), (&dead, "nobody listens")] {
        let outcome = stirrup_at(socket, "target list", None).await;
        let shown = outcome.shown();
        assert!(matches!(outcome.result, Err(ClientError::Unreachable { .. })), "{shown}");
        assert!(shown.contains(socket.to_str().unwrap()), "{shown}");
        assert!(shown.contains(why) && shown.contains("systemctl status stirrupd"), "{shown}");
        assert!(shown.contains("exit code 1"), "{shown}");
    }
}

#[tokio::test]
async fn a_daemon_that_does_not_answer() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("mute");
    let _listener = UnixListener::bind(&socket).unwrap();
    let outcome = stirrup_at(&socket, "target list --timeout 1", None).await;
    assert!(matches!(outcome.result, Err(ClientError::TimedOut { .. })), "{}", outcome.shown());
}

#[tokio::test]
async fn a_project_must_be_named_somewhere() {
    use clap::Parser;
    let cli = super::Cli::try_parse_from(["stirrup", "image", "show", "x"]).unwrap();
    let mut console = super::Console {
        out: Box::new(std::io::sink()),
        notes: Box::new(std::io::sink()),
        answers: None,
        colour: false,
        bar: false,
    };
    let result = super::run(cli, &super::Environment::default(), &mut console).await;
    assert_eq!(result.unwrap_err().exit_code(), 2);
}
