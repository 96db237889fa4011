//! HTTP/1.1 over the control socket: one connection a call.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;

use super::error::ClientError;

/// No answer is larger: 100 000 disks fit.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A control socket.
pub(super) struct Http {
    socket: PathBuf,
    timeout: Duration,
    token: Option<String>,
}

/// The connection of a call; it ends with this.
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer, as it came.
pub(super) struct RawAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Http {
    /// With a token it is its holder who asks, otherwise the user of this process.
    pub(super) fn new(socket: PathBuf, timeout: Duration, token: Option<String>) -> Self {
        Self { socket, timeout, token }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends a request and takes the whole answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<RawAnswer, ClientError> {
        let call = self.call_unbounded(method, path, json);
        tokio::time::timeout(self.timeout, call).await.unwrap_or_else(|_| {
            Err(ClientError::TimedOut { socket: self.socket.clone(), after: self.timeout })
        })
    }

    async fn call_unbounded(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<RawAnswer, ClientError> {
        let (answer, _connection) = self.send(method, path, json).await?;
        self.whole(answer).await
    }

    /// Sends a request and hands the body of a successful answer on as it comes, with its full length
    /// (0: not told). Any other answer is given back. Nothing may take longer than the time-out to come.
    pub(super) async fn download(
        &self,
        path: &str,
        take: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> Result<Option<RawAnswer>, ClientError> {
        let late = || ClientError::TimedOut { socket: self.socket.clone(), after: self.timeout };
        let sent = tokio::time::timeout(self.timeout, self.send(Method::GET, path, None)).await;
        let (answer, _connection) = sent.map_err(|_| late())??;
        if !answer.status().is_success() {
            let answer = tokio::time::timeout(self.timeout, self.whole(answer)).await;
            return answer.map_err(|_| late())?.map(Some);
        }
        let mut body = answer.into_body();
        let total = body.size_hint().exact().unwrap_or(0);
        loop {
            let frame = tokio::time::timeout(self.timeout, body.frame()).await;
            let Some(frame) = frame.map_err(|_| late())? else { return Ok(None) };
            if let Ok(data) = frame.map_err(|e| self.broken(e))?.into_data() {
                take(total, &data)?;
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<(Response<Incoming>, Connection), ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|cause| ClientError::Unreachable { socket: self.socket.clone(), cause })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.strange(e))?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(json.unwrap_or_default())))
            .map_err(|e| self.strange(e))?;
        // What it has to say is in the answer's result.
        let connection = Connection(tokio::spawn(async { drop(connection.await) }).abort_handle());
        let answer = sender.send_request(request).await.map_err(|e| self.broken(e))?;
        Ok((answer, connection))
    }

    async fn whole(&self, answer: Response<Incoming>) -> Result<RawAnswer, ClientError> {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|e| self.strange(e))?.to_bytes();
        Ok(RawAnswer { status, body })
    }

    fn broken(&self, error: hyper::Error) -> ClientError {
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return ClientError::HungUp { socket: self.socket.clone() };
        }
        self.strange(error)
    }

    fn strange(&self, what: impl std::fmt::Display) -> ClientError {
        ClientError::Answer { socket: self.socket.clone(), what: what.to_string() }
    }
}

/// Appends segments to a path, each percent-encoded (RFC 3986 2.3).
pub(super) fn path(segments: &[&str]) -> String {
    let mut path = String::from("/v1");
    for segment in segments {
        path.push('/');
        encode(&mut path, segment);
    }
    path
}

/// Appends a query parameter, if there is a value.
pub(super) fn with_query(mut path: String, name: &str, value: Option<&str>) -> String {
    if let Some(value) = value {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(name);
        path.push('=');
        encode(&mut path, value);
    }
    path
}

fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(path(&["health"]), "/v1/health");
        assert_eq!(
            path(&["projects", "a/b", "images", "?#é"]),
            "/v1/projects/a%2Fb/images/%3F%23%C3%A9"
        );
        assert_eq!(with_query(path(&["disks"]), "project", Some("a&b")), "/v1/disks?project=a%26b");
        assert_eq!(with_query(path(&["disks"]), "project", None), "/v1/disks");
        let two = with_query(with_query(path(&["x"]), "a", Some("?")), "b", Some("c"));
        assert_eq!(two, "/v1/x?a=%3F&b=c");
    }
}
