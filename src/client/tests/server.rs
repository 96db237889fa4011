//! A server that gives canned answers and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use tokio::net::UnixListener;

use crate::control::api::runs::RUNS;

/// Answers by method and path; the last of several is given again and again.
pub(super) type Answers = HashMap<(&'static str, String), VecDeque<(u16, String)>>;

pub(super) struct Server {
    socket: PathBuf,
    _directory: tempfile::TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Mutex<Answers>,
    requests: Mutex<Vec<String>>,
    credentials: Mutex<Vec<Option<String>>>,
}

impl Server {
    /// Serves until the test's runtime ends.
    pub(super) fn start(answers: Answers) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers),
            requests: Mutex::default(),
            credentials: Mutex::default(),
        });
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { socket, _directory: directory, shared }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The requests since the last call.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }

    /// The Authorization headers of the requests since the last call.
    pub(super) fn credentials(&self) -> Vec<Option<String>> {
        std::mem::take(&mut *self.shared.credentials.lock().unwrap())
    }

    /// The body that a request is answered with.
    pub(super) fn canned(&self, method: &'static str, path: &str) -> String {
        self.shared.answers.lock().unwrap()[&(method, path.to_owned())][0].1.clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let method = parts.method.as_str();
    let path = parts.uri.to_string();
    let mut line = format!("{method} {path}");
    if let Some(offset) = parts.headers.get("upload-offset") {
        assert_eq!(parts.headers[CONTENT_TYPE], RUNS);
        line = format!("{line} {} bytes at {}", file_bytes(&body), offset.to_str().unwrap());
    } else if !body.is_empty() {
        assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
        line = format!("{line} {}", str::from_utf8(&body).unwrap());
    }
    shared.requests.lock().unwrap().push(line);
    let credential = parts.headers.get("authorization").map(|it| it.to_str().unwrap().to_owned());
    shared.credentials.lock().unwrap().push(credential);
    let mut answers = shared.answers.lock().unwrap();
    let found = answers.iter_mut().find(|((m, p), _)| *m == method && *p == path);
    let (status, body) = match found {
        Some((_, queue)) if queue.len() > 1 => queue.pop_front().unwrap(),
        Some((_, queue)) => queue[0].clone(),
        None => (404, format!("nothing is canned for {method} {path}")),
    };
    (StatusCode::from_u16(status).unwrap(), [(CONTENT_TYPE, "application/json")], body)
        .into_response()
}

/// How much of a file is in runs.
fn file_bytes(mut runs: &[u8]) -> u64 {
    let mut bytes = 0;
    while let Some((head, rest)) = runs.split_first_chunk() {
        let head = u64::from_be_bytes(*head);
        let (len, is_zeros) = (head & !(1 << 63), head >> 63 == 1);
        bytes += len;
        runs = if is_zeros { rest } else { &rest[usize::try_from(len).unwrap()..] };
    }
    bytes
}
