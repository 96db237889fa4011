//! HTTP/1.1 with stirrupd, wherever it is.

use std::ffi::OsString;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;

use super::error::ClientError;
use super::place::Place;
use super::ssh::Ssh;
use crate::control::api::runs::RUNS;
use crate::tls::{self, Trouble};

/// No answer is larger: 100 000 disks fit.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// A connection that was idle for longer is not used again: stirrupd may be about to close it.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// How often it is shown how far an upload is.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// What is needed to get to another machine.
pub(super) struct Means {
    /// The command that is run as ssh.
    pub(super) ssh: OsString,
    /// Where its files for TLS are.
    pub(super) tls: tls::ClientFiles,
}

/// stirrupd, and who asks it.
pub(super) struct Http {
    place: Place,
    means: Means,
    timeout: Duration,
    token: Option<String>,
    /// A connection to another machine that was used a moment ago.
    kept: Mutex<Option<(Instant, Connection)>>,
}

/// A connection, and what carries it; it ends with this.
struct Connection {
    sender: SendRequest<UnsyncBoxBody<Bytes, io::Error>>,
    driver: AbortHandle,
    ssh: Option<Ssh>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// What is added to an upload.
pub(super) struct Sending {
    /// How much is there before.
    pub(super) offset: u64,
    /// In runs.
    pub(super) body: UnsyncBoxBody<Bytes, io::Error>,
    /// The file ends with it.
    pub(super) is_last: bool,
}

/// An answer, as it came.
pub(super) struct RawAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Http {
    /// With a token it is its holder who asks; otherwise the user of this process, or the one on the
    /// other machine, or the holder of the certificate.
    pub(super) fn new(
        place: Place,
        means: Means,
        timeout: Duration,
        token: Option<String>,
    ) -> Self {
        Self { place, means, timeout, token, kept: Mutex::default() }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Sends a request and takes the whole answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<RawAnswer, ClientError> {
        let call = self.call_unbounded(method, path, json);
        tokio::time::timeout(self.timeout, call).await.unwrap_or_else(|_| Err(self.late()))
    }

    async fn call_unbounded(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<RawAnswer, ClientError> {
        let (answer, connection) = self.send(method, path, json).await?;
        let answer = self.whole(answer).await?;
        if !matches!(self.place, Place::Socket(_)) {
            *self.kept() = Some((Instant::now(), connection));
        }
        Ok(answer)
    }

    /// Sends a request and hands the body of a successful answer on as it comes, with its full length
    /// (0: not told). Any other answer is given back. Nothing may take longer than the time-out to come.
    pub(super) async fn download(
        &self,
        path: &str,
        take: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> Result<Option<RawAnswer>, ClientError> {
        let sent = tokio::time::timeout(self.timeout, self.send(Method::GET, path, None)).await;
        let (answer, _connection) = sent.map_err(|_| self.late())??;
        if !answer.status().is_success() {
            let answer = tokio::time::timeout(self.timeout, self.whole(answer)).await;
            return answer.map_err(|_| self.late())?.map(Some);
        }
        let mut body = answer.into_body();
        let total = body.size_hint().exact().unwrap_or(0);
        loop {
            let frame = tokio::time::timeout(self.timeout, body.frame()).await;
            let Some(frame) = frame.map_err(|_| self.late())? else { return Ok(None) };
            if let Ok(data) = frame.map_err(|e| self.broken(&e))?.into_data() {
                take(total, &data)?;
            }
        }
    }

    /// Sends what is uploaded. `show` is told now and then to show how far that is, and says it; if that
    /// is nowhere further after the time-out, there is no use in waiting.
    pub(super) async fn upload(
        &self,
        path: &str,
        Sending { offset, body, is_last }: Sending,
        show: &mut dyn FnMut() -> Result<u64, ClientError>,
    ) -> Result<RawAnswer, ClientError> {
        let complete = if is_last { "?1" } else { "?0" };
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(RUNS)),
            (HeaderName::from_static("upload-offset"), HeaderValue::from(offset)),
            (HeaderName::from_static("upload-complete"), HeaderValue::from_static(complete)),
        ];
        let call = async {
            let sent = self.send_body(Method::PATCH, path, &headers, body).await;
            let (answer, _connection) = sent?;
            self.whole(answer).await
        };
        let mut call = std::pin::pin!(call);
        let (mut last, mut since) = (offset, tokio::time::Instant::now());
        loop {
            tokio::select! {
                answer = &mut call => return answer,
                () = tokio::time::sleep(SHOW_EVERY) => {}
            }
            let at = show()?;
            if at != last {
                (last, since) = (at, tokio::time::Instant::now());
            } else if since.elapsed() > self.timeout {
                return Err(self.late());
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<(Response<Incoming>, Connection), ClientError> {
        let kind = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let kind = json.is_some().then_some(kind);
        let body = Full::new(Bytes::from(json.unwrap_or_default())).map_err(|never| match never {});
        self.send_body(method, path, kind.as_slice(), body.boxed_unsync()).await
    }

    async fn send_body(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: UnsyncBoxBody<Bytes, io::Error>,
    ) -> Result<(Response<Incoming>, Connection), ClientError> {
        let mut connection = match self.take_kept() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let host = match &self.place {
            Place::Https(..) => self.place.to_string().replace("https://", ""),
            Place::Socket(_) | Place::Ssh(_) => "localhost".to_owned(),
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|e| self.strange(e))?;
        match connection.sender.send_request(request).await {
            Ok(answer) => Ok((answer, connection)),
            Err(error) => Err(self.why(connection, &error).await),
        }
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        let (stream, ssh) = self.dial().await?;
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.strange(e))?;
        // What it has to say is in the answer's result.
        let driver = tokio::spawn(async { drop(driver.await) }).abort_handle();
        Ok(Connection { sender, driver, ssh })
    }

    async fn dial(&self) -> Result<(Pin<Box<dyn Stream>>, Option<Ssh>), ClientError> {
        let unreachable = |cause| ClientError::Unreachable { place: self.place.clone(), cause };
        match &self.place {
            Place::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(unreachable)?;
                Ok((Box::pin(stream), None))
            }
            Place::Https(host, port) => {
                let client = tls::Client::load(&self.means.tls).map_err(ClientError::Usage)?;
                let stream = TcpStream::connect((host.as_str(), *port));
                let stream = stream.await.map_err(unreachable)?;
                let stream = client.connect(host, stream).await;
                let stream = stream.map_err(|error| match Trouble::behind(&error) {
                    Some(trouble) => self.insecure(trouble, &error),
                    None => ClientError::HungUp { place: self.place.clone() },
                })?;
                Ok((Box::pin(stream), None))
            }
            Place::Ssh(host) => {
                let started = Ssh::start(&self.means.ssh, host);
                let (ssh, stream) = started.map_err(|cause| ClientError::NoSsh { cause })?;
                Ok((Box::pin(stream), Some(ssh)))
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Connection)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_kept(&self) -> Option<Connection> {
        let (used, connection) = self.kept().take()?;
        (used.elapsed() < IDLE_MAX && !connection.sender.is_closed()).then_some(connection)
    }

    async fn whole(&self, answer: Response<Incoming>) -> Result<RawAnswer, ClientError> {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|e| self.strange(e))?.to_bytes();
        Ok(RawAnswer { status, body })
    }

    /// Why there is no answer on a connection: ssh may know better than HTTP.
    async fn why(&self, mut connection: Connection, error: &hyper::Error) -> ClientError {
        let broken = self.broken(error);
        if let (ClientError::HungUp { .. }, Some(ssh)) = (&broken, connection.ssh.take()) {
            // So that ssh's standard input ends, and with it ssh.
            drop(connection);
            if let Some(end) = ssh.end().await {
                return ClientError::Ssh { place: self.place.clone(), end };
            }
        }
        broken
    }

    fn broken(&self, error: &hyper::Error) -> ClientError {
        // Who refuses a certificate says so when the handshake is over (RFC 8446 4.4.2).
        if let Some(trouble) = Trouble::behind(error) {
            return self.insecure(trouble, error);
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return ClientError::HungUp { place: self.place.clone() };
        }
        self.strange(error)
    }

    fn insecure(&self, trouble: Trouble, error: &dyn std::error::Error) -> ClientError {
        let mut what = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            what = error.to_string();
            cause = error.source();
        }
        ClientError::Tls { place: self.place.clone(), trouble, what }
    }

    fn late(&self) -> ClientError {
        ClientError::TimedOut { place: self.place.clone(), after: self.timeout }
    }

    fn strange(&self, what: impl std::fmt::Display) -> ClientError {
        ClientError::Answer { place: self.place.clone(), what: what.to_string() }
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
