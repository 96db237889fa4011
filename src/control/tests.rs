//! Every call over a real socket, with a fake store and a fake data path.

mod access;
mod boot;
mod delegate;
mod doors;
mod events;
mod places;
mod sessions;
mod settings;
mod tls;
mod uploads;
mod versions;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::authenticate::Authenticator;
use super::listener::Listener;
use super::server::Service;
use super::socket::ControlSocket;
use super::{
    AuditLog, BootScripts, CacheCounts, Control, DataPath, Events, Limits, LocalRoles, LunInfo,
    PortalInfo, SessionInfo, TargetInfo, server,
};
use crate::catalog::tests::world::{FakeExporter, Fault, World};
use crate::catalog::{Catalog, WatchedState};

/// No test takes so long; one that hangs ends.
const HANG: Duration = Duration::from_secs(120);

struct FakeDataPath {
    exporter: Arc<FakeExporter>,
    sessions: Mutex<Vec<SessionInfo>>,
    /// The times that initiators were given to log out.
    asked: Mutex<Vec<Duration>>,
}

impl DataPath for FakeDataPath {
    fn cache(&self) -> Option<CacheCounts> {
        Some(CacheCounts { golden_hits: 7, ..CacheCounts::default() })
    }

    fn portals(&self) -> Vec<PortalInfo> {
        ["10.0.0.1:3260", "[fd00::1]:3260"]
            .map(|address| PortalInfo { address: address.parse().unwrap(), tpgt: 1 })
            .into_iter()
            .chain([PortalInfo { address: "10.0.1.1:3260".parse().unwrap(), tpgt: 2 }])
            .collect()
    }

    fn targets(&self) -> Vec<TargetInfo> {
        let targets = self.exporter.targets.lock();
        let info = |export: &crate::catalog::Export| TargetInfo {
            name: export.target.clone(),
            luns: vec![LunInfo {
                number: export.lun,
                identity: export.identity.clone(),
                size_bytes: export.volume.as_ref().map(|volume| volume.info().size_bytes),
                read_only: false,
            }],
            sessions: 0,
            portal_groups: export.portal_groups.clone(),
            moved: export.moved.clone().map(|moved| (moved.address, moved.permanently)),
        };
        targets.values().map(info).collect()
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        self.sessions.lock().clone()
    }

    fn kill_session(&self, id: u64) -> bool {
        let mut sessions = self.sessions.lock();
        let before = sessions.len();
        sessions.retain(|session| session.id != id);
        sessions.len() < before
    }

    fn request_logout(&self, id: u64, patience: Duration) -> bool {
        self.asked.lock().push(patience);
        self.sessions.lock().iter().any(|session| session.id == id)
    }

    fn drain(&self, target: &str, patience: Duration) -> Option<u64> {
        self.asked.lock().push(patience);
        let sessions = self.sessions.lock();
        let of_target = sessions.iter().filter(|session| session.target.as_deref() == Some(target));
        Some(of_target.count() as u64).filter(|count| *count > 0)
    }

    fn wwid(&self, identity: &str) -> String {
        format!("naa.{identity}")
    }
}

/// A daemon's control plane, and a client of it.
struct Daemon {
    world: World,
    data_path: Arc<FakeDataPath>,
    directory: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    server: Option<tokio::task::JoinHandle<()>>,
    catalog: Catalog,
    control: Control,
}

impl Daemon {
    fn start() -> Self {
        Self::with(&Limits::default())
    }

    fn with(limits: &Limits) -> Self {
        Self::serving(limits, Vec::new(), None)
    }

    /// On these listeners as well as on its socket.
    fn serving(
        limits: &Limits,
        mut listeners: Vec<Listener>,
        delegate: Option<Arc<dyn Authenticator>>,
    ) -> Self {
        let world = World::new();
        let exporter = world.exporter.clone();
        let events = Events::new();
        let state = Arc::new(WatchedState::new(world.state(), Arc::new(events.clone())));
        let catalog = Catalog::over(state, world.stores(), exporter.clone(), world.options());
        let catalog = catalog.unwrap();
        catalog.start().unwrap();
        let data_path = Arc::new(FakeDataPath {
            exporter,
            sessions: Mutex::default(),
            asked: Mutex::default(),
        });
        let directory = tempfile::tempdir().unwrap();
        let socket = ControlSocket::bind(&directory.path().join("s")).unwrap();
        let control = Control {
            catalog: catalog.clone(),
            data_path: data_path.clone(),
            local_roles: LocalRoles::default(),
            delegate,
            audit: AuditLog::open(directory.path()).unwrap(),
            events: events.clone(),
            boot: BootScripts::default(),
            limits: limits.clone(),
        };
        let router = super::router(control.clone());
        listeners.push(Listener::Unix(socket));
        let service =
            |listener| Service { listener, router: router.clone(), limits: limits.clone() };
        let services = listeners.into_iter().map(service).collect();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server::serve(services, async {
            let _ = stopped.await;
        }));
        let (stop, server) = (Some(stop), Some(server));
        Self { world, data_path, directory, stop, server, catalog, control }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(method, path, "application/json", body.into_bytes()).await
    }

    /// `kind`: of the body; empty: none is told.
    async fn send(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        self.send_as("", method, path, kind, body).await
    }

    /// `credential`: the Authorization header; empty: none.
    async fn send_as(
        &self,
        credential: &str,
        method: Method,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Answer {
        let stream = UnixStream::connect(self.path()).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "stirrup");
        if !credential.is_empty() {
            request = request.header("authorization", credential);
        }
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let answer = tokio::time::timeout(HANG, sender.send_request(request)).await.unwrap();
        let (head, body) = answer.unwrap().into_parts();
        let kind = head.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, kind: kind.unwrap_or_default(), bytes: bytes.to_vec() }
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await.ok(StatusCode::OK)
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Imports a small file and waits for the end.
    async fn import(&self, name: &str) -> Value {
        let file = self.directory.path().join(name);
        std::fs::write(&file, vec![7; 8192]).unwrap();
        let body = json!({"name": name, "file": file});
        let answer = self.call(Method::POST, "/v1/projects/default/images", Some(body)).await;
        let job = answer.ok(StatusCode::ACCEPTED);
        self.end_of(&job).await
    }

    async fn end_of(&self, job: &Value) -> Value {
        let path = format!("/v1/jobs/{}", job["id"]);
        let end = async {
            loop {
                let job = self.get(&path).await;
                if !matches!(job["state"].as_str(), Some("queued" | "running")) {
                    return job;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANG, end).await.unwrap()
    }

    async fn stop(mut self) -> World {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(HANG, self.server.take().unwrap()).await.unwrap().unwrap();
        tokio::time::timeout(HANG, self.catalog.stop()).await.unwrap();
        assert!(!self.path().exists(), "the socket goes with the daemon");
        self.world
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    kind: String,
    bytes: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn ok(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.kind, "application/json");
        serde_json::from_slice(&self.bytes).unwrap()
    }

    fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.kind, "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.bytes).unwrap();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:stirrup:problem:{code}"));
        assert!(problem["instance"].as_str().unwrap().starts_with('/'), "{problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty() && problem["title"].is_string());
        problem
    }

    fn gone(&self) {
        assert_eq!(self.status, StatusCode::NO_CONTENT, "{}", self.text());
    }
}

#[tokio::test]
async fn the_life_of_an_image() {
    let daemon = Daemon::start();
    let job = daemon.import("golden").await;
    assert_eq!((&job["state"], &job["kind"]), (&json!("succeeded"), &json!("image-import")));
    assert_eq!((&job["done_bytes"], &job["total_bytes"]), (&json!(8192), &json!(8192)));
    assert_eq!(job["warnings"][0]["code"], "no-boot-signature");
    assert_eq!(daemon.get("/v1/jobs").await["items"], json!([job]));
    let image = daemon.get("/v1/projects/default/images/golden").await;
    assert_eq!((&image["state"], &image["size_bytes"]), (&json!("ready"), &json!(8192)));
    assert_eq!(image["warnings"], job["warnings"]);
    assert_eq!(daemon.get("/v1/images").await["items"], json!([image]));
    assert_eq!(daemon.get("/v1/images?project=other").await["items"], json!([]));

    let file = daemon.directory.path().join("golden");
    let again = json!({"name": "golden", "file": file});
    let path = "/v1/projects/default/images";
    let answer = daemon.call(Method::POST, path, Some(again)).await;
    assert_eq!(answer.problem(409, "image-exists")["existing"]["name"], "golden");

    daemon.put("/v1/projects/default/disks/d1", json!({"image": "golden"})).await;
    let path = "/v1/projects/default/images/golden";
    assert_eq!(daemon.delete(path).await.problem(409, "image-in-use")["used_by"], json!(["d1"]));
    daemon.delete("/v1/projects/default/disks/d1").await.gone();
    daemon.delete(path).await.gone();
    daemon.delete(path).await.problem(404, "image-not-found");
    let ended = daemon.delete(&format!("/v1/jobs/{}", job["id"])).await;
    ended.problem(409, "job-ended");
    daemon.delete("/v1/jobs/99999").await.problem(404, "job-not-found");
    daemon.call(Method::GET, "/v1/jobs/x", None).await.problem(400, "bad-request");
    daemon.stop().await;
}

#[tokio::test]
async fn an_import_that_fails_says_why_and_leaves_nothing() {
    let daemon = Daemon::start();
    let import = async |body: Value| {
        daemon.call(Method::POST, "/v1/projects/default/images", Some(body)).await
    };
    import(json!({"name": "a", "file": "/nonexistent"})).await.problem(422, "source-unreadable");
    import(json!({"name": "a", "file": "x"})).await.problem(422, "invalid-path");
    import(json!({"name": "a/b", "file": "/x"})).await.problem(422, "invalid-name");
    let format = json!({"name": "a", "file": "/x", "format": "vmdk"});
    import(format).await.problem(422, "invalid-format");
    let store = json!({"name": "a", "file": "/x", "store": "none"});
    import(store).await.problem(422, "store-unknown");
    // Steps of begin: the rows, the store's list, the intent; the job's row; then the store.
    for step in 0.. {
        daemon.world.faults.arm(step, Fault::Refused);
        let file = daemon.directory.path().join("f");
        std::fs::write(&file, vec![7; 8192]).unwrap();
        let answer = import(json!({"name": "f", "file": file})).await;
        if answer.status == StatusCode::ACCEPTED {
            let end = daemon.end_of(&serde_json::from_slice(&answer.bytes).unwrap()).await;
            if !daemon.world.faults.disarm() {
                assert_eq!(end["state"], "succeeded");
                break;
            }
            assert!(end["state"] == "failed" || end["state"] == "succeeded", "{end}");
            assert_eq!(end["state"] == "failed", end["error"].is_string());
            if end["state"] == "succeeded" {
                break;
            }
        } else {
            assert!(daemon.world.faults.disarm(), "{}", answer.text());
            assert!(answer.status.is_server_error(), "{}", answer.text());
        }
        assert_eq!(daemon.get("/v1/images").await["items"], json!([]), "step {step}");
        assert!(daemon.world.store.images.lock().is_empty(), "step {step}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn the_life_of_a_disk() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let path = "/v1/projects/default/disks/d1";
    let disk = daemon.put(path, json!({"image": "golden"})).await.ok(StatusCode::CREATED);
    assert_eq!(disk["existed"], false);
    assert_eq!((&disk["state"], &disk["export"]), (&json!("ready"), &json!("serving")));
    let boot = &disk["boot"];
    let iqn = "iqn.2026-01.io.stirrup:default.d1";
    assert_eq!(boot["uri"], format!("iscsi:10.0.0.1:tcp:3260:1:{iqn}"));
    assert_eq!(boot["uris"][1], format!("iscsi:[fd00::1]:tcp:3260:1:{iqn}"));
    assert_eq!(boot["portals"][0], json!({"address": "10.0.0.1", "port": 3260, "tpgt": 1}));
    assert_eq!((&boot["iqn"], &boot["lun"]), (&json!(iqn), &json!(1)));
    assert!(boot["wwid"].as_str().unwrap().starts_with("naa.id"), "{boot}");

    let again = daemon.put(path, json!({"image": "golden"})).await.ok(StatusCode::OK);
    assert_eq!(again["existed"], true);
    assert_eq!(again["boot"], disk["boot"]);
    let other = daemon.put(path, json!({"image": "golden", "lun": 2})).await;
    let existing = &other.problem(409, "disk-exists")["existing"];
    assert_eq!((&existing["name"], &existing["boot"]), (&json!("d1"), &disk["boot"]));
    assert_eq!(daemon.get(path).await["backing"], disk["backing"]);
    assert_eq!(daemon.get("/v1/disks").await["items"].as_array().unwrap().len(), 1);

    let targets = daemon.get("/v1/targets").await;
    assert_eq!(targets["items"][0]["name"], iqn);
    let target = daemon.get(&format!("/v1/targets/{iqn}")).await;
    let lun = json!({"lun": 1, "wwid": boot["wwid"], "size_bytes": 8192, "read_only": false,
        "serving": true});
    assert_eq!(target["luns"], json!([lun]));
    let shouted = daemon.get(&format!("/v1/targets/{}", iqn.to_uppercase())).await;
    assert_eq!(shouted, target);
    let none = daemon.call(Method::GET, "/v1/targets/none", None).await;
    none.problem(404, "target-not-found");

    daemon.delete(path).await.gone();
    daemon.delete(path).await.problem(404, "disk-not-found");
    daemon.call(Method::GET, path, None).await.problem(404, "disk-not-found");
    let no_image = daemon.put(path, json!({"image": "none"})).await;
    no_image.problem(404, "image-not-found");
    let world = daemon.stop().await;
    assert_eq!(world.store.images.lock().len(), 1, "the golden image");
}

#[tokio::test]
async fn the_life_of_a_node() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let path = "/v1/projects/default/nodes/n1";
    let body = json!({"macs": ["52-54-00-00-00-01"], "initiator": "iqn.2004-10.org.example:n1"});
    let node = daemon.put(path, body.clone()).await.ok(StatusCode::CREATED);
    assert_eq!(node["macs"], json!(["52:54:00:00:00:01"]));
    assert_eq!(daemon.put(path, body).await.ok(StatusCode::OK)["existed"], true);
    let script = format!("{path}/ipxe");
    daemon.call(Method::GET, &script, None).await.problem(409, "node-unbound");

    let chap = json!({"image": "golden", "chap": {"secret": "very-secret-it-is"}});
    daemon.put("/v1/projects/default/disks/d1", chap).await.ok(StatusCode::CREATED);
    let bind = format!("{path}/disk");
    let node = daemon.put(&bind, json!({"disk": "d1"})).await.ok(StatusCode::OK);
    assert_eq!((&node["existed"], &node["disk"]["name"]), (&json!(false), &json!("d1")));
    assert_eq!(node["disk"]["initiators"], json!(["iqn.2004-10.org.example:n1"]));
    let again = daemon.put(&bind, json!({"disk": "d1"})).await.ok(StatusCode::OK);
    assert_eq!(again["existed"], true);
    daemon.put(&bind, json!({"disk": "none"})).await.problem(404, "disk-not-found");
    let removal = daemon.delete("/v1/projects/default/disks/d1").await;
    assert_eq!(removal.problem(409, "disk-bound")["existing"]["node"], "n1");
    daemon.delete(path).await.problem(409, "node-bound");

    let shown = daemon.call(Method::GET, path, None).await;
    assert!(!shown.text().contains("very-secret"), "{}", shown.text());
    let answer = daemon.call(Method::GET, &script, None).await;
    assert_eq!(
        (answer.status, answer.kind.as_str()),
        (StatusCode::OK, "text/plain; charset=utf-8")
    );
    let text = answer.text();
    for line in [
        "#!ipxe",
        "set initiator-iqn iqn.2004-10.org.example:n1",
        "set username d1",
        "set password very-secret-it-is",
        "sanboot --keep iscsi:10.0.0.1:tcp:3260:1:iqn.2026-01.io.stirrup:default.d1 \
         iscsi:10.0.1.1:tcp:3260:1:iqn.2026-01.io.stirrup:default.d1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }

    let node = daemon.delete(&bind).await.ok(StatusCode::OK);
    assert!(node.get("disk").is_none(), "{node}");
    daemon.delete(&bind).await.ok(StatusCode::OK);
    assert_eq!(daemon.get("/v1/nodes?project=default").await["items"], json!([node]));
    daemon.delete(path).await.gone();
    daemon.delete(path).await.problem(404, "node-not-found");
    daemon.stop().await;
}

#[tokio::test]
async fn provision_is_one_call() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    daemon.import("other").await;
    let path = "/v1/projects/default/nodes/n1/provision";
    let golden = json!({"image": "golden"});
    let node = daemon.put(path, golden.clone()).await.ok(StatusCode::CREATED);
    assert_eq!((&node["disk"]["name"], &node["disk"]["node"]), (&json!("n1"), &json!("n1")));
    assert!(node["disk"]["boot"]["uri"].as_str().unwrap().ends_with(":default.n1"), "{node}");
    assert_eq!(daemon.put(path, golden).await.ok(StatusCode::OK)["existed"], true);
    daemon.put(path, json!({"image": "other"})).await.problem(409, "disk-exists");
    let node = daemon.delete(path).await.ok(StatusCode::OK);
    assert!(node.get("disk").is_none());
    daemon.delete(path).await.ok(StatusCode::OK);
    assert_eq!(daemon.get("/v1/disks").await["items"], json!([]));
    daemon.delete("/v1/projects/default/nodes/none/provision").await.problem(404, "node-not-found");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_race_for_a_node_get_one_disk() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let path = "/v1/projects/default/nodes/n1/provision";
    let call = async || {
        let answer = daemon.put(path, json!({"image": "golden"})).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        let node: Value = serde_json::from_slice(&answer.bytes).unwrap();
        (answer.status == StatusCode::CREATED, node["disk"]["backing"].clone())
    };
    let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
    let answers = [a, b, c, d];
    assert_eq!(answers.iter().filter(|(made, _)| *made).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|(_, backing)| *backing == answers[0].1), "{answers:?}");
    // Calls on different nodes, and a removal among them.
    let others = (2..10).map(|n| format!("/v1/projects/default/nodes/n{n}/provision"));
    let others: Vec<String> = others.collect();
    let (mut puts, removal) = (Vec::new(), daemon.delete(path));
    for path in &others {
        puts.push(daemon.put(path, json!({"image": "golden"})));
    }
    let all = async {
        let mut status = Vec::new();
        for put in puts {
            status.push(put.await.status);
        }
        status
    };
    let (status, removed) = tokio::join!(all, removal);
    assert!(status.iter().all(|status| *status == StatusCode::CREATED), "{status:?}");
    assert_eq!(removed.status, StatusCode::OK);
    let world = daemon.stop().await;
    assert_eq!(world.store.images.lock().len(), 1 + others.len());
}

#[tokio::test]
async fn health_tells_what_is_wrong() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    daemon.put("/v1/projects/default/disks/d1", json!({"image": "golden"})).await;
    let health = daemon.get("/v1/health").await;
    assert_eq!((&health["status"], &health["disks"]), (&json!("ok"), &json!(1)));
    assert_eq!(health["stores"], json!([{"name": "local", "kind": "local", "ok": true}]));
    assert_eq!(health["cache"]["golden_hits"], json!(7));
    daemon.world.store.ill.store(true, std::sync::atomic::Ordering::SeqCst);
    let health = daemon.get("/v1/health").await;
    assert_eq!(
        (&health["status"], &health["stores"][0]["ok"]),
        (&json!("degraded"), &json!(false))
    );
    assert_eq!(health["stores"][0]["error"], "the store is on fire; extinguish it");
    daemon.world.store.ill.store(false, std::sync::atomic::Ordering::SeqCst);
    let version = daemon.get("/v1/version").await;
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    daemon.stop().await;
}

#[tokio::test]
async fn what_the_http_layer_refuses_is_a_problem_too() {
    let daemon = Daemon::start();
    let path = "/v1/projects/default/disks/d1";
    for nowhere in ["/", "/v2/health", "/v1/disks/", "/v1/projects/default/disks/a/b"] {
        daemon.call(Method::GET, nowhere, None).await.problem(404, "route-not-found");
    }
    daemon.call(Method::POST, path, None).await.problem(405, "method-not-allowed");
    let json_text = "application/json";
    for (body, status, code) in [
        (&b"{"[..], 400, "bad-request"),
        (b"", 400, "bad-request"),
        (b"[]", 422, "invalid-body"),
        (b" [\"golden\"]", 422, "invalid-body"),
        (b"{}", 422, "image-not-named"),
        (b"{\"edit\": true}", 422, "image-not-named"),
        (b"{\"image\": 1}", 422, "invalid-body"),
        (b"{\"image\": \"a\", \"imgae\": 1}", 422, "invalid-body"),
        (b"{\"image\": \"a\", \"lun\": 65536}", 422, "invalid-body"),
        (b"{\"image\": \"a\", \"chap\": {\"password\": \"x\"}}", 422, "invalid-body"),
        (b"{\"image\": \"\xff\"}", 400, "bad-request"),
        (b"{\"image\": \"../../etc\"}", 422, "invalid-name"),
    ] {
        let answer = daemon.send(Method::PUT, path, json_text, body.to_vec()).await;
        answer.problem(status, code);
    }
    let deep = [vec![b'['; 60_000], vec![b']'; 60_000]].concat();
    let deep = daemon.send(Method::PUT, path, json_text, deep[..65_000].to_vec()).await;
    assert!(deep.status.is_client_error());
    let huge = daemon.send(Method::PUT, path, json_text, vec![b' '; 1 << 20]).await;
    huge.problem(413, "body-too-large");
    let form = daemon.send(Method::PUT, path, "text/plain", b"{\"image\":\"a\"}".to_vec()).await;
    form.problem(415, "not-json");
    let filter = daemon.call(Method::GET, "/v1/disks?projekt=a", None).await;
    filter.problem(400, "bad-request");
    daemon.stop().await;
}

#[tokio::test]
async fn bad_names_do_no_harm() {
    let daemon = Daemon::start();
    for name in ["..%2f..%2fetc", "%2e%2e", "a%00b", "A", "a%20b", "%0a", "a_b", "%24%7Bx%7D"] {
        let path = format!("/v1/projects/default/disks/{name}");
        daemon.put(&path, json!({"image": "a"})).await.problem(422, "invalid-name");
        let path = format!("/v1/projects/{name}/nodes/n1");
        daemon.put(&path, json!({})).await.problem(422, "invalid-name");
    }
    let path = "/v1/projects/default/disks/%ff%fe";
    daemon.put(path, json!({"image": "a"})).await.problem(400, "bad-request");
    let long = format!("/v1/projects/default/disks/{}", "a".repeat(4000));
    daemon.put(&long, json!({"image": "a"})).await.problem(422, "invalid-name");
    daemon.stop().await;
}

/// What the daemon sends on a connection that gets `bytes`, until it closes.
async fn raw(daemon: &Daemon, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(daemon.path()).await.unwrap();
    // The daemon may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(HANG, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn garbage_costs_its_own_connection_only() {
    let limits = Limits { head_timeout: Duration::from_millis(200), ..Limits::default() };
    let daemon = Daemon::with(&limits);
    let answer = raw(&daemon, b"\x16\x03\x01\x02\x00garbage\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let long = format!("GET /v1/health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let answer = raw(&daemon, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // A head that never ends.
    raw(&daemon, b"GET /v1/health HTTP/1.1\r\nhost:").await;
    daemon.get("/v1/version").await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_ends_in_time() {
    let limits = Limits { call_timeout: Duration::from_millis(200), ..Limits::default() };
    let daemon = Daemon::with(&limits);
    let head = b"PUT /v1/projects/default/disks/d1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = raw(&daemon, head).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(answer.contains("\"code\":\"timeout\""), "{answer}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    let daemon = Daemon::start();
    let _idle = UnixStream::connect(daemon.path()).await.unwrap();
    daemon.get("/v1/version").await;
    daemon.stop().await;
}

#[tokio::test]
async fn the_description_is_served_and_checked_in() {
    let daemon = Daemon::start();
    let served = daemon.get("/v1/openapi.json").await;
    daemon.stop().await;
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let text = super::api::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == text, "docs/openapi.json is out of date: run this test with UPDATE=1");
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept, served);
}
