//! One question over HTTP, within bounds.

use std::time::Duration;

use axum::http::uri::Scheme;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::Delegation;
use crate::control::listener::Stream;
use crate::tls;

/// Largest body of an answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Questions at once; further ones wait.
const QUESTIONS_MAX: usize = 16;

/// Somebody who can be asked.
pub(super) struct Endpoint {
    host: String,
    port: u16,
    /// What paths begin with, without a slash at the end.
    base: String,
    tls: Option<tls::Client>,
    timeout: Duration,
    places: Semaphore,
}

impl Endpoint {
    /// # Errors
    /// One line: what is wrong with the URL or the authorities.
    pub(super) fn new(delegation: &Delegation) -> Result<Self, String> {
        let url = &delegation.url;
        let uri: Uri = url.parse().map_err(|error| format!("'{url}' is no URL: {error}"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(format!("'{url}' is no URL: it must begin with https://HOST"));
        };
        let (host, port) = (authority.host(), authority.port_u16());
        if port.is_none() && authority.as_str() != host {
            return Err(format!("'{url}' is no URL: behind the host is no port"));
        }
        let tls = if *scheme == Scheme::HTTPS {
            let files = tls::ClientFiles { ca: delegation.ca.clone(), identity: None };
            Some(tls::Client::load(&files)?)
        } else if *scheme == Scheme::HTTP {
            None
        } else {
            return Err(format!(
                "'{url}' is no URL to ask: it must begin with https:// or http://"
            ));
        };
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: port.unwrap_or(if tls.is_some() { 443 } else { 80 }),
            base: uri.path().trim_end_matches('/').to_owned(),
            tls,
            timeout: delegation.timeout,
            places: Semaphore::new(QUESTIONS_MAX),
        })
    }

    /// Asks with GET; the status and the body of the answer. Redirections are not followed.
    ///
    /// # Errors
    /// One line: there is no good answer in time.
    pub(super) async fn get(
        &self,
        path: &str,
        headers: HeaderMap,
    ) -> Result<(StatusCode, Bytes), String> {
        let answer = async {
            let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
            self.get_unbounded(path, headers).await
        };
        let (host, port) = (&self.host, self.port);
        let late = || Err(format!("no answer within {} s", self.timeout.as_secs()));
        let answer = tokio::time::timeout(self.timeout, answer).await;
        answer.unwrap_or_else(|_| late()).map_err(|why| format!("{host}:{port}: {why}"))
    }

    async fn get_unbounded(
        &self,
        path: &str,
        headers: HeaderMap,
    ) -> Result<(StatusCode, Bytes), String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let stream: std::pin::Pin<Box<dyn Stream>> = match &self.tls {
            Some(tls) => {
                let stream = tls.connect(&self.host, stream).await;
                Box::pin(stream.map_err(|error| error.to_string())?)
            }
            None => Box::pin(stream),
        };
        let text = |error: hyper::Error| error.to_string();
        let client = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).clone();
        let (mut sender, connection) =
            client.handshake(TokioIo::new(stream)).await.map_err(text)?;
        let mut request = Request::get(format!("{}{path}", self.base))
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        let host = self.authority().parse().map_err(|_| "no host name".to_owned())?;
        request.headers_mut().insert(header::HOST, host);
        let answer = async {
            let answer = sender.send_request(request).await.map_err(text)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        // The connection does the work; it ends with the answer.
        let mut connection = std::pin::pin!(connection);
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let endpoint = |url: &str| {
            let (url, ca, time) = (url.to_owned(), None, Duration::from_secs(1));
            Endpoint::new(&Delegation { url, ca, timeout: time, cache: time })
        };
        let good = endpoint("http://hil.example/api/").unwrap();
        assert_eq!((good.authority().as_str(), good.base.as_str()), ("hil.example:80", "/api"));
        assert_eq!(endpoint("http://[::1]:5000").unwrap().authority(), "[::1]:5000");
        for bad in ["", "hil", "/x", "ftp://hil", "http://hil:x", "http://hil:99999", "http://a b"]
        {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
