//! The event stream, over the socket.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::{Daemon, HANG};
use crate::control::api::events::Event;
use crate::control::{Events, Limits, SessionInfo};

/// A client of the stream.
struct Listener {
    body: Incoming,
    pending: String,
    /// The id that was told last, by whatever frame.
    last: String,
    connection: tokio::task::AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Listener {
    async fn open(daemon: &Daemon, query: &str) -> Self {
        Self::open_as(daemon, "", query, "").await.unwrap()
    }

    /// `Err`: the status and the code of the refusal.
    async fn open_as(
        daemon: &Daemon,
        credential: &str,
        query: &str,
        last: &str,
    ) -> Result<Self, (u16, String)> {
        let stream = UnixStream::connect(daemon.path()).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async { drop(connection.await) }).abort_handle();
        let uri = format!("/v1/events{query}");
        let mut request = Request::builder().uri(uri).header("host", "stirrup");
        for (name, value) in [("authorization", credential), ("last-event-id", last)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = tokio::time::timeout(HANG, sender.send_request(request)).await.unwrap();
        let answer = answer.unwrap();
        let status = answer.status();
        if status != StatusCode::OK {
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            let problem: Value = serde_json::from_slice(&bytes).unwrap();
            return Err((status.as_u16(), problem["code"].as_str().unwrap().to_owned()));
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let (body, pending, last) = (answer.into_body(), String::new(), String::new());
        let mut this = Self { body, pending, last, connection };
        // The first frame tells only where the stream begins: from then on nothing is missed.
        assert_eq!(this.frame().await, Some(None));
        Ok(this)
    }

    /// The data of the next frame, if it has some; `None` at the end of the stream.
    async fn frame(&mut self) -> Option<Option<Value>> {
        loop {
            if let Some((frame, rest)) = self.pending.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.pending = rest;
                let field = |name: &str| {
                    let mut lines = frame.lines().filter_map(|line| line.split_once(": "));
                    lines.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
                };
                self.last = field("id").unwrap();
                let Some(data) = field("data") else { return Some(None) };
                let data: Value = serde_json::from_str(&data).unwrap();
                assert_eq!(data["type"].as_str(), field("event").as_deref());
                assert_eq!(data["id"], self.last.as_str());
                return Some(Some(data));
            }
            let frame = tokio::time::timeout(HANG, self.body.frame()).await.unwrap()?;
            let bytes = frame.unwrap().into_data().unwrap();
            self.pending.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.frame().await? {
                return Some(event);
            }
        }
    }

    /// The next events: type and name of the object.
    async fn expect(&mut self, expected: &[(&str, &str)]) {
        for (kind, object) in expected {
            let event = self.next().await.unwrap();
            let seen = (event["type"].as_str().unwrap(), event["object"].as_str().unwrap_or("-"));
            assert_eq!(seen, (*kind, *object), "{event}");
        }
    }
}

fn session(id: u64, target: &str) -> SessionInfo {
    SessionInfo {
        id,
        target: Some(target.to_owned()),
        initiator: "iqn.2004-10.org.example:n1".to_owned(),
        isid: [0; 6],
        tpgt: 1,
        address: "10.0.0.9:40000".parse().unwrap(),
        since: jiff::Timestamp::UNIX_EPOCH,
        bytes_read: 1,
        bytes_written: 2,
        commands: 3,
        commands_per_second: 0.0,
        read_per_second: 0.0,
        written_per_second: 0.0,
        latency: None,
    }
}

/// Something that happens in a project.
fn happens(events: &Events, project: &str, object: &str) {
    let event = Event {
        project: Some(project.to_owned()),
        object: Some(object.to_owned()),
        ..Event::default()
    };
    events.boot("boot.refused", event);
}

#[tokio::test]
async fn everything_that_happens_is_told() {
    let daemon = Daemon::start();
    let mut all = Listener::open(&daemon, "").await;
    daemon.import("golden").await;
    all.expect(&[("image.made", "golden"), ("job.made", "golden")]).await;
    // The import goes on beside its call.
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = all.next().await.unwrap();
        let kind = event["type"].as_str().unwrap().to_owned();
        match kind.as_str() {
            "job.progress" => continue,
            "job.ended" => {
                assert_eq!(event["job"]["total_bytes"], 8192);
                assert_eq!(
                    (&event["state"], &event["project"]),
                    (&json!("succeeded"), &json!("default"))
                );
            }
            _ => assert_eq!((kind.as_str(), &event["state"]), ("image.changed", &json!("ready"))),
        }
        seen.push(kind);
    }
    assert_ne!(seen[0], seen[1]);
    let node = "/v1/projects/default/nodes/n1";
    let chap = json!({"image": "golden", "chap": {"secret": "very-secret-it-is"}});
    daemon.put(&format!("{node}/provision"), chap).await.ok(StatusCode::CREATED);
    let made = all.next().await.unwrap();
    assert_eq!((&made["type"], &made["state"]), (&json!("disk.made"), &json!("creating")));
    let mut there = [all.next().await.unwrap(), all.next().await.unwrap()];
    there.sort_by_key(|event| event["type"].to_string());
    let [disk, made] = there;
    assert_eq!((&disk["type"], &disk["state"]), (&json!("disk.changed"), &json!("ready")));
    assert_eq!((&disk["node"], &disk["image"]), (&json!("n1"), &json!("golden")));
    assert_eq!((&made["type"], &made["disk"]), (&json!("node.made"), &json!("n1")));
    assert!(!format!("{disk}{made}").contains("very-secret"));
    let tag = "/v1/projects/default/disks/n1/tags/t1";
    daemon.put(tag, json!({})).await.ok(StatusCode::CREATED);
    let made = all.next().await.unwrap();
    assert_eq!((&made["type"], &made["of"]), (&json!("tag.made"), &json!("disk n1")));
    all.expect(&[("tag.changed", "t1")]).await;
    daemon.delete(tag).await.gone();
    all.expect(&[("tag.changed", "t1"), ("tag.removed", "t1")]).await;
    daemon.put("/v1/tokens/ci", json!({"role": "reader"})).await.ok(StatusCode::CREATED);
    daemon.put("/v1/projects/lab", json!({"disks": 1})).await.ok(StatusCode::CREATED);
    all.expect(&[("token.made", "ci"), ("project.made", "lab")]).await;

    let target = "iqn.2026-01.io.stirrup:default.n1";
    let events = &daemon.control.events;
    events.target_published(target, "default", "n1", false);
    events.target_published(target, "default", "n1", true);
    events.target_published(target, "default", "n1", true);
    events.target_failed(target, "the pool is gone");
    events.target_failed(target, "the pool is gone");
    for (kind, reason) in [
        ("target.waiting", Value::Null),
        ("target.serving", Value::Null),
        ("target.failed", json!("the pool is gone")),
    ] {
        let event = all.next().await.unwrap();
        assert_eq!((&event["type"], &event["reason"]), (&json!(kind), &reason), "once each");
        assert_eq!((&event["target"], &event["disk"]), (&json!(target), &json!("n1")));
    }
    events.session_began(session(7, target));
    events.session_ended(session(7, target), "the initiator logged out");
    events.session_began(session(10, target));
    events.target_withdrawn(target);
    events.target_withdrawn(target);
    events.session_began(session(8, target));
    let began = all.next().await.unwrap();
    assert_eq!((&began["type"], &began["session"]["id"]), (&json!("session.began"), &json!(7)));
    assert_eq!((&began["project"], &began["disk"]), (&json!("default"), &json!("n1")));
    let ended = all.next().await.unwrap();
    assert_eq!(ended["reason"], "the initiator logged out");
    all.expect(&[("session.began", "-"), ("target.withdrawn", "-")]).await;
    let stranger = all.next().await.unwrap();
    assert_eq!((&stranger["session"]["id"], &stranger["project"]), (&json!(8), &Value::Null));
    // The last sessions of a target end after it has gone.
    events.session_ended(session(10, target), "the target was withdrawn");
    let ended = all.next().await.unwrap();
    assert_eq!((&ended["project"], &ended["disk"]), (&json!("default"), &json!("n1")));
    daemon.stop().await;
}

#[tokio::test]
async fn a_stream_has_what_was_asked_for_and_may_be_seen() {
    let daemon = Daemon::start();
    let token = async |name: &str, body: Value| {
        let path = format!("/v1/tokens/{name}");
        let made = daemon.put(&path, body).await.ok(StatusCode::CREATED);
        format!("Bearer {}", made["token"].as_str().unwrap())
    };
    let lab = token("lab", json!({"role": "reader", "project": "lab"})).await;
    let global = token("see", json!({"role": "reader"})).await;
    let open = async |who: &str, query: &str| Listener::open_as(&daemon, who, query, "").await;
    let mut of_lab = open(&lab, "").await.unwrap();
    let mut of_all = open(&global, "").await.unwrap();
    let mut disks = open("", "?types=disk,boot.delivered").await.unwrap();
    let mut asked = open("", "?project=lab").await.unwrap();

    let events = &daemon.control.events;
    happens(events, "default", "n1");
    events.session_began(session(9, "iqn.of.nobody"));
    token("more", json!({"role": "reader"})).await;
    happens(events, "lab", "n2");
    events.boot("boot.delivered", Event { object: Some("n3".into()), ..Event::default() });
    of_lab.expect(&[("boot.refused", "n2")]).await;
    asked.expect(&[("boot.refused", "n2")]).await;
    of_all.expect(&[("boot.refused", "n1"), ("session.began", "-")]).await;
    of_all.expect(&[("boot.refused", "n2"), ("boot.delivered", "n3")]).await;
    disks.expect(&[("boot.delivered", "n3")]).await;

    let refused = async |who: &str, query: &str| open(who, query).await.err().unwrap();
    assert_eq!(refused(&lab, "?project=default").await, (403, "forbidden".to_owned()));
    for query in ["?types=disk,nonsense", "?types=", "?types=disk.", "?types=dis"] {
        assert_eq!(refused("", query).await, (422, "invalid-type".to_owned()), "{query}");
    }
    assert_eq!(refused("", "?project=UPPER").await, (422, "invalid-name".to_owned()));
    assert_eq!(refused("", "?nonsense=1").await, (400, "bad-request".to_owned()));
    assert_eq!(refused("Bearer no", "").await, (401, "not-authorized".to_owned()));
    daemon.stop().await;
}

#[tokio::test]
async fn who_comes_back_misses_nothing_or_is_told() {
    let daemon = Daemon::start();
    let events = &daemon.control.events;
    let mut first = Listener::open(&daemon, "").await;
    for object in ["a", "b", "c"] {
        happens(events, "default", object);
    }
    first.expect(&[("boot.refused", "a")]).await;
    let after_a = first.last.clone();
    drop(first);
    let mut again = Listener::open_as(&daemon, "", "?since=start", &after_a).await.unwrap();
    again.expect(&[("boot.refused", "b"), ("boot.refused", "c")]).await;
    let ended = format!("?since={after_a}&follow=false");
    let mut by_query = Listener::open(&daemon, &ended).await;
    by_query.expect(&[("boot.refused", "b"), ("boot.refused", "c")]).await;
    assert_eq!(by_query.next().await, None, "it ends when there is no more");
    let mut new_only = Listener::open(&daemon, "?follow=false").await;
    assert_eq!(new_only.next().await, None);

    // Ids of another run, of the future, or of nobody: all that is kept, after a gap.
    let future = after_a.split_once('-').unwrap().0.to_owned() + "-1000";
    for strange in ["0-1", "x", &future, "-"] {
        let query = format!("?since={strange}&follow=false");
        let mut stream = Listener::open(&daemon, &query).await;
        stream.expect(&[("lost", "-"), ("boot.refused", "a")]).await;
    }
    // More than is kept.
    for n in 0..5000 {
        happens(events, "default", &format!("n{n}"));
    }
    let mut late = Listener::open_as(&daemon, "", "?follow=false", &after_a).await.unwrap();
    let lost = late.next().await.unwrap();
    assert_eq!((&lost["type"], lost["lost"].as_u64()), (&json!("lost"), Some(5003 - 1 - 4096)));
    late.expect(&[("boot.refused", "n904")]).await;
    let mut last = None;
    while let Some(event) = late.next().await {
        last = event["object"].as_str().map(str::to_owned);
    }
    assert_eq!(last.as_deref(), Some("n4999"));
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_nothing_and_is_told() {
    let daemon = Daemon::start();
    let events = &daemon.control.events;
    let mut idle = Listener::open(&daemon, "").await;
    let reason = "x".repeat(1000);
    for n in 0..20_000 {
        let event =
            Event { object: Some(n.to_string()), reason: Some(reason.clone()), ..Event::default() };
        events.boot("boot.refused", event);
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (mut next, mut lost) = (0, 0);
    while next < 20_000 {
        let event = idle.next().await.unwrap();
        match event["type"].as_str().unwrap() {
            "lost" => {
                lost += event["lost"].as_u64().unwrap();
            }
            _ => {
                let n: u64 = event["object"].as_str().unwrap().parse().unwrap();
                assert!(n >= next, "in order");
                assert!(n == next || lost > 0, "no gap that is not told");
                next = n + 1;
            }
        }
    }
    assert!(lost > 0, "20 MB were not kept for it");
    daemon.stop().await;
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let daemon = Daemon::start();
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Listener::open(&daemon, "").await);
    }
    let (status, code) = Listener::open_as(&daemon, "", "", "").await.err().unwrap();
    assert_eq!((status, code.as_str()), (503, "too-many-streams"));
    daemon.get("/v1/version").await;
    open.pop();
    let again = async {
        while Listener::open_as(&daemon, "", "", "").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, again).await.unwrap();
    daemon.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_with_the_daemon() {
    let daemon = Daemon::start();
    let made = daemon.put("/v1/tokens/ci", json!({"role": "reader"})).await.ok(StatusCode::CREATED);
    let ci = format!("Bearer {}", made["token"].as_str().unwrap());
    let mut by_token = Listener::open_as(&daemon, &ci, "", "").await.unwrap();
    let mut own = Listener::open(&daemon, "?types=disk").await;
    daemon.put("/v1/tokens/other", json!({"role": "reader"})).await.ok(StatusCode::CREATED);
    daemon.delete("/v1/tokens/other").await.gone();
    happens(&daemon.control.events, "default", "n1");
    by_token.expect(&[("boot.refused", "n1")]).await;
    daemon.delete("/v1/tokens/ci").await.gone();
    happens(&daemon.control.events, "default", "n2");
    let end = by_token.next().await.unwrap();
    assert_eq!(end["type"], "end");
    assert!(end["reason"].as_str().unwrap().contains("credential"), "{end}");
    assert_eq!(by_token.next().await, None);

    daemon.control.events.close();
    let end = own.next().await.unwrap();
    assert_eq!((&end["type"], &end["reason"]), (&json!("end"), &json!("stirrupd is stopping")));
    assert_eq!(own.next().await, None);
    daemon.stop().await;
}

#[tokio::test]
async fn a_token_does_not_end_with_the_one_before_of_its_name() {
    let daemon = Daemon::start();
    let make = async || {
        let made = daemon.put("/v1/tokens/ci", json!({"role": "reader"})).await;
        let made = made.ok(StatusCode::CREATED);
        format!("Bearer {}", made["token"].as_str().unwrap())
    };
    make().await;
    happens(&daemon.control.events, "default", "n1");
    daemon.delete("/v1/tokens/ci").await.gone();
    let new = make().await;
    happens(&daemon.control.events, "default", "n2");
    let open = async |query: &str| Listener::open_as(&daemon, &new, query, "").await.unwrap();
    let mut kept = open("?since=start&follow=false").await;
    kept.expect(&[("boot.refused", "n1"), ("boot.refused", "n2")]).await;
    assert_eq!(kept.next().await, None);
    let mut stream = open("?since=start").await;
    daemon.delete("/v1/tokens/ci").await.gone();
    stream.expect(&[("boot.refused", "n1"), ("boot.refused", "n2"), ("end", "-")]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_stream_outlives_the_time_of_a_call() {
    let daemon = Daemon::with(&Limits { call_timeout: Duration::ZERO, ..Limits::default() });
    let mut stream = Listener::open(&daemon, "").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    happens(&daemon.control.events, "default", "n1");
    stream.expect(&[("boot.refused", "n1")]).await;
    daemon.stop().await;
}
