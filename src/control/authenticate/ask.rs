//! One question over HTTP, within bounds. What is asked about is what anybody shows who reaches a
//! listener: nobody keeps the others from being asked about, and nobody tries passwords by the thousand.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::uri::Scheme;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::cache::{Cache, Key};
use super::{Delegation, Refusal};
use crate::control::limit::{Few, Rate, network};
use crate::control::listener::Stream;
use crate::target::places::Places;
use crate::tls;

/// Largest body of an answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Questions at once; further ones wait. One address has a quarter of them.
const QUESTIONS_MAX: usize = 64;
/// Times in a row that an address may be wrong about a user, and the time after which it may be once
/// more.
const OF_USER: (u32, Duration) = (10, Duration::from_secs(10));
/// The same about anybody: many may share an address.
const OF_ADDRESS: (u32, Duration) = (100, Duration::from_secs(1));
/// How long whoever was right is asked about, whatever others have done at their address.
const RIGHT: Duration = Duration::from_secs(3600);

/// Somebody who can be asked.
pub(super) struct Endpoint {
    /// What it is called.
    name: &'static str,
    host: String,
    port: u16,
    /// What paths begin with, without a slash at the end.
    base: String,
    tls: Option<tls::Client>,
    timeout: Duration,
    places: Arc<Places>,
    wrong_of_user: Rate<(IpAddr, String)>,
    wrong_of_address: Rate<IpAddr>,
    right: Cache<()>,
    complaints: Few<IpAddr>,
}

/// For whom something is asked.
pub(super) struct Asker<'a> {
    /// Where they are.
    address: IpAddr,
    shows: Shows<'a>,
}

/// What is asked about.
#[derive(Clone, Copy)]
pub(super) enum Shows<'a> {
    /// Whether this user is who they say.
    User(&'a str),
    /// Whose this is.
    Token(&'a str),
}

impl<'a> Asker<'a> {
    /// `from`: an address on the network; `None`: on this machine.
    pub(super) fn new(from: Option<IpAddr>, shows: Shows<'a>) -> Self {
        Self { address: network(from.unwrap_or(Ipv4Addr::LOCALHOST.into())), shows }
    }
}

impl Endpoint {
    /// # Errors
    /// One line: what is wrong with the URL or the authorities.
    pub(super) fn new(name: &'static str, delegation: &Delegation) -> Result<Self, String> {
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
            name,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: port.unwrap_or(if tls.is_some() { 443 } else { 80 }),
            base: uri.path().trim_end_matches('/').to_owned(),
            tls,
            timeout: delegation.timeout,
            places: Places::new(QUESTIONS_MAX),
            wrong_of_user: Rate::new(OF_USER.0, OF_USER.1),
            wrong_of_address: Rate::new(OF_ADDRESS.0, OF_ADDRESS.1),
            right: Cache::new(RIGHT)?,
            complaints: Few::lines(),
        })
    }

    /// Asks with GET; the status and the body of the answer. Redirections are not followed. Whether
    /// the asker was right or wrong is then to be said by [`Self::was_right`] or [`Self::was_wrong`].
    ///
    /// # Errors
    /// There is no good answer in time, or the asker was wrong too often.
    pub(super) async fn get(
        &self,
        path: &str,
        headers: HeaderMap,
        asker: &Asker<'_>,
    ) -> Result<(StatusCode, Bytes), Refusal> {
        self.check_wrong(asker)?;
        self.ask(path, headers, asker, |asker| self.check_wrong(asker)).await
    }

    /// The same for a question of our own, that nobody's credentials are in: nobody is right or wrong.
    ///
    /// # Errors
    /// There is no good answer in time.
    pub(super) async fn probe(
        &self,
        path: &str,
        headers: HeaderMap,
        asker: &Asker<'_>,
    ) -> Result<(StatusCode, Bytes), Refusal> {
        self.ask(path, headers, asker, |_| Ok(())).await
    }

    /// Asks when there is a place, and it then may.
    async fn ask(
        &self,
        path: &str,
        headers: HeaderMap,
        asker: &Asker<'_>,
        may: impl Fn(&Asker<'_>) -> Result<(), Refusal>,
    ) -> Result<(StatusCode, Bytes), Refusal> {
        let end = tokio::time::Instant::now() + self.timeout;
        let place = tokio::time::timeout_at(end, self.places.wait_turn(asker.address)).await;
        let Ok(Some(_place)) = place else {
            let why = "too much is asked at once from this address; try again";
            return Err(Refusal::TooOften(why.to_owned()));
        };
        may(asker)?;
        let answer = tokio::time::timeout_at(end, self.get_unbounded(path, headers)).await;
        let late = |_| Err(format!("no answer within {} s", self.timeout.as_secs()));
        answer.unwrap_or_else(late).map_err(|why| self.unavailable(asker, &why))
    }

    /// Refuses who was wrong too often, about one user or in all. Who was right a while ago does not
    /// suffer from what others do at their address.
    fn check_wrong(&self, asker: &Asker<'_>) -> Result<(), Refusal> {
        let now = Instant::now();
        let user_may = match asker.shows {
            Shows::User(user) => {
                self.wrong_of_user.would_admit(&(asker.address, user.to_owned()), now)
            }
            Shows::Token(_) => true,
        };
        let may = user_may
            && (self.right.get(&self.key(asker)).is_some()
                || self.wrong_of_address.would_admit(&asker.address, now));
        if may {
            return Ok(());
        }
        let why = "credentials from this address were wrong too often; wait a while";
        Err(Refusal::TooOften(why.to_owned()))
    }

    /// The credentials are good.
    pub(super) fn was_right(&self, asker: &Asker<'_>) {
        self.right.put(self.key(asker), &(), RIGHT);
    }

    /// The credentials are nobody's.
    pub(super) fn was_wrong(&self, asker: &Asker<'_>) {
        let now = Instant::now();
        self.wrong_of_address.admits(asker.address, now);
        match asker.shows {
            // Who guesses at a password takes nothing away from who knows it.
            Shows::User(user) => {
                self.wrong_of_user.admits((asker.address, user.to_owned()), now);
            }
            Shows::Token(_) => self.right.forget(&self.key(asker)),
        }
    }

    /// For what is known of who is right.
    fn key(&self, asker: &Asker<'_>) -> Key {
        let (Shows::User(shown) | Shows::Token(shown)) = asker.shows;
        self.right.key(&[&asker.address.to_string(), shown])
    }

    /// It cannot be found out: said in the log, too, but not each time.
    pub(super) fn unavailable(&self, asker: &Asker<'_>, why: &str) -> Refusal {
        let why = format!("{} at {}: {why}", self.name, self.authority());
        if let Some(left_out) = self.complaints.take(asker.address) {
            tracing::error!("who a caller is cannot be found out: {why}{left_out}");
        }
        Refusal::Unavailable(why)
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
            Endpoint::new("HIL", &Delegation { url, ca, timeout: time, cache: time })
        };
        let good = endpoint("http://hil.example/api/").unwrap();
        assert_eq!((good.authority().as_str(), good.base.as_str()), ("hil.example:80", "/api"));
        assert_eq!(endpoint("http://[::1]:5000").unwrap().authority(), "[::1]:5000");
        for bad in ["", "hil", "/x", "ftp://hil", "http://hil:x", "http://hil:99999", "http://a b"]
        {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn who_is_wrong_too_often_is_not_asked_about_for_a_while() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let count = stream.read(&mut request).await.unwrap();
                let status = if request[..count].starts_with(b"GET /good") { 200 } else { 401 };
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let (timeout, cache) = (Duration::from_secs(60), Duration::ZERO);
        let endpoint = Endpoint::new("HIL", &Delegation { url, ca: None, timeout, cache }).unwrap();
        let ask = async |user: &str, address: [u8; 4], path: &str| {
            let asker = Asker::new(Some(address.into()), Shows::User(user));
            let (status, _) = endpoint.get(path, HeaderMap::new(), &asker).await?;
            match status {
                StatusCode::OK => endpoint.was_right(&asker),
                _ => endpoint.was_wrong(&asker),
            }
            Ok(())
        };
        let mut asked = 0;
        while ask("jane", [192, 0, 2, 1], "/bad").await.is_ok() {
            asked += 1;
            assert!(asked < 1000, "passwords can be tried for ever");
        }
        assert!(asked >= 10, "a user may be wrong a few times");
        assert!(matches!(ask("jane", [192, 0, 2, 1], "/good").await, Err(Refusal::TooOften(_))));
        // Elsewhere, and as somebody else, it goes on; what is right does not count.
        ask("jane", [192, 0, 2, 2], "/bad").await.unwrap();
        for _ in 0..200 {
            ask("john", [192, 0, 2, 1], "/good").await.unwrap();
        }
        // Nor are many users tried.
        let mut users = 0;
        while ask(&format!("user{users}"), [192, 0, 2, 1], "/bad").await.is_ok() {
            users += 1;
            assert!(users < 1000, "users can be tried for ever");
        }
        // Who was right goes on meanwhile, and is stopped when they are wrong themselves.
        ask("john", [192, 0, 2, 1], "/good").await.unwrap();
        asked = 0;
        while ask("john", [192, 0, 2, 1], "/bad").await.is_ok() {
            asked += 1;
            assert!(asked < 1000, "passwords can be tried for ever of who was right once");
        }
        // A question of our own is none of theirs.
        let john = Asker::new(Some([192, 0, 2, 1].into()), Shows::User("john"));
        endpoint.probe("/bad", HeaderMap::new(), &john).await.unwrap();
        // A token is right until it is not.
        let shows = |token| Asker::new(Some([192, 0, 2, 1].into()), Shows::Token(token));
        endpoint.was_right(&shows("good"));
        endpoint.check_wrong(&shows("good")).unwrap();
        endpoint.check_wrong(&shows("other")).unwrap_err();
        endpoint.was_wrong(&shows("good"));
        endpoint.check_wrong(&shows("good")).unwrap_err();
    }

    #[tokio::test]
    async fn one_address_does_not_take_all_places() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (timeout, cache) = (Duration::from_secs(60), Duration::ZERO);
        let delegation = Delegation { url, ca: None, timeout, cache };
        let endpoint = Arc::new(Endpoint::new("HIL", &delegation).unwrap());
        let mut asking = tokio::task::JoinSet::new();
        let mut ask = |address: [u8; 4]| {
            let endpoint = Arc::clone(&endpoint);
            asking.spawn(async move {
                let asker = Asker::new(Some(address.into()), Shows::User("jane"));
                endpoint.get("/", HeaderMap::new(), &asker).await
            });
        };
        // Nobody answers, at first.
        (0..QUESTIONS_MAX).for_each(|_| ask([192, 0, 2, 1]));
        ask([192, 0, 2, 2]);
        let mut held = Vec::new();
        while held.len() < QUESTIONS_MAX / 4 + 1 {
            held.push(tokio::time::timeout(timeout, listener.accept()).await.unwrap().unwrap());
        }
        let place = |address: [u8; 4]| endpoint.places.take(address.into());
        assert!(place([192, 0, 2, 1]).is_none(), "the others wait");
        assert!(place([192, 0, 2, 2]).is_some() && place([192, 0, 2, 3]).is_some());
        let answer = async |(mut stream, _): (TcpStream, _)| {
            use tokio::io::AsyncWriteExt;
            let answer = b"HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            stream
        };
        let mut answered = Vec::new();
        for connection in held {
            answered.push(answer(connection).await);
        }
        while answered.len() < QUESTIONS_MAX + 1 {
            let connection = tokio::time::timeout(timeout, listener.accept()).await.unwrap();
            answered.push(answer(connection.unwrap()).await);
        }
        while let Some(answer) = asking.join_next().await {
            assert_eq!(answer.unwrap().unwrap().0, StatusCode::OK, "each had its turn");
        }
    }

    #[tokio::test]
    async fn who_waits_for_too_long_is_told_to_try_again() {
        let (url, timeout) = ("http://127.0.0.1:1".to_owned(), Duration::from_millis(100));
        let delegation = Delegation { url, ca: None, timeout, cache: Duration::ZERO };
        let endpoint = Endpoint::new("HIL", &delegation).unwrap();
        let address = IpAddr::from([192, 0, 2, 1]);
        let held: Vec<_> = std::iter::from_fn(|| endpoint.places.take(address)).collect();
        assert_eq!(held.len(), QUESTIONS_MAX / 4);
        let asker = Asker::new(Some(address), Shows::User("jane"));
        let refused = endpoint.get("/", HeaderMap::new(), &asker).await.unwrap_err();
        assert!(matches!(refused, Refusal::TooOften(_)), "{refused:?}");
    }
}
