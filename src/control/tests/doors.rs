//! The doors for clients of other software, as these clients were heard to speak
//! (`tests/doors/clients`), and as nobody should.

use std::net::SocketAddr;

use axum::Router;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;

use super::*;
use crate::control::compat::tgt::{self, TgtSocket};
use crate::control::compat::{picasso, smart_proxy};
use crate::control::listener::Listener;
use crate::control::server::Service;
use crate::control::{ClientCertificate, Peer};

const PICASSO: &str = include_str!("../../../tests/doors/recorded/picasso.json");
const SMART_PROXY: &str = include_str!("../../../tests/doors/recorded/smart_proxy.json");
/// The target's address in the records, and here.
const PORTALS: (&str, &str) = ("192.0.2.7", "10.0.0.1");
const FOREMAN: &str = "foreman.example.org";

/// What a client said and was answered.
#[derive(Deserialize)]
struct Exchange {
    request: String,
    status: u16,
    content_type: String,
    body: String,
}

/// Serves a door on a port of its own until the test ends.
fn open(router: Router) -> SocketAddr {
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let service = Service { listener, router, limits: Limits::default() };
    tokio::spawn(server::serve(vec![service], std::future::pending()));
    address
}

/// Sends bytes; the answer: status, content type and body.
async fn say(door: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(door).await.unwrap();
    // The end of the answer is the end of the connection.
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(HANG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: "));
    (status, kind.unwrap_or_default().to_owned(), body.to_owned())
}

impl Daemon {
    /// A project with an image, and a token for it, as `Authorization: Basic` has it.
    async fn with_m2_project(&self) -> String {
        let file = self.directory.path().join("golden");
        std::fs::write(&file, vec![7; 8192]).unwrap();
        let body = json!({"name": "golden", "file": file});
        let path = "/v1/projects/bmi-infra/images";
        let job = self.call(Method::POST, path, Some(body)).await.ok(StatusCode::ACCEPTED);
        self.end_of(&job).await;
        let token = json!({"role": "admin", "project": "bmi-infra"});
        let token = self.put("/v1/tokens/m2", token).await.ok(StatusCode::CREATED);
        basic(token["token"].as_str().unwrap())
    }
}

fn basic(password: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("alice:{password}"))
}

async fn replay(records: &str, door: SocketAddr, credentials: &str) {
    let exchanges: Vec<Exchange> = serde_json::from_str(records).unwrap();
    assert!(exchanges.len() >= 10);
    for exchange in exchanges {
        let request = exchange.request.replace("{credentials}", credentials);
        let line = request.lines().next().unwrap().to_owned();
        let (status, kind, body) = say(door, &request).await;
        let version = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
        let body =
            body.replace(PORTALS.1, PORTALS.0).replace(&version, "\"version\":\"{version}\"");
        assert_eq!((status, body), (exchange.status, exchange.body), "{line}");
        assert_eq!(kind, exchange.content_type, "{line}");
    }
}

#[tokio::test]
async fn m2s_clients_are_answered_as_they_were() {
    let daemon = Daemon::start();
    let credentials = daemon.with_m2_project().await;
    let door = open(picasso::router(daemon.control.clone()));
    replay(PICASSO, door, &credentials).await;
    let log = daemon.get("/v1/audit").await;
    let made = log["items"].as_array().unwrap().iter().any(|entry| {
        entry["who"] == "token m2"
            && entry["method"] == "PUT"
            && entry["path"] == "/v1/projects/bmi-infra/disks/node1"
            && entry["address"].is_string()
    });
    assert!(made, "the log says who did what: {log}");
    daemon.stop().await;
}

#[tokio::test]
async fn foreman_is_answered_as_it_was() {
    let daemon = Daemon::start();
    daemon.with_m2_project().await;
    let path = format!("/v1/certificates/{FOREMAN}");
    let role = json!({"role": "operator", "project": "bmi-infra"});
    daemon.put(&path, role).await.ok(StatusCode::CREATED);
    let door = |certificate| {
        let peer = Peer::Tls("192.0.2.1:1".parse().unwrap(), certificate);
        open(smart_proxy::router(daemon.control.clone()).layer(axum::Extension(peer)))
    };
    replay(SMART_PROXY, door(ClientCertificate::Named(FOREMAN.to_owned())), "").await;

    // Nobody else; but what a smart proxy tells everybody.
    let stranger = ClientCertificate::Named("other.example.org".to_owned());
    for certificate in [ClientCertificate::None, ClientCertificate::Unnamed, stranger] {
        let door = door(certificate.clone());
        let get = async |path: &str| {
            say(door, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await.0
        };
        for path in ["/v2/features", "/m2/test", "/m2/image_list", "/m2/snapshot_list"] {
            assert_eq!(get(path).await, 403, "{path} {certificate:?}");
        }
        assert_eq!(get("/m2/iscsi_target?disk=d&image=golden").await, 403, "{certificate:?}");
        assert_eq!((get("/features").await, get("/version").await), (200, 200));
    }
    assert_eq!(daemon.get("/v1/disks").await["items"], json!([]));
    daemon.stop().await;
}

#[tokio::test]
async fn one_project_a_certificate() {
    let daemon = Daemon::start();
    daemon.with_m2_project().await;
    daemon.import("golden").await;
    let role = json!({"role": "operator", "project": "bmi-infra"});
    daemon.put("/v1/certificates/one", role).await.ok(StatusCode::CREATED);
    daemon.put("/v1/certificates/all", json!({"role": "operator"})).await.ok(StatusCode::CREATED);
    let get = async |name: &str, path: &str| {
        let certificate = ClientCertificate::Named(name.to_owned());
        let peer = Peer::Tls("192.0.2.1:1".parse().unwrap(), certificate);
        let door = open(smart_proxy::router(daemon.control.clone()).layer(axum::Extension(peer)));
        let (status, _, body) = say(door, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        (status, body)
    };
    let listed = (200, "[\"golden\"]".to_owned());
    assert_eq!(get("one", "/m2/image_list").await, listed);
    assert_eq!(get("one", "/m2/image_list?project=bmi_infra").await, listed);
    assert_eq!(get("one", "/m2/image_list?project=default").await.0, 403);
    assert_eq!(get("all", "/m2/image_list?project=default").await, listed);
    assert_eq!(get("all", "/m2/image_list").await.0, 400, "which one?");
    assert_eq!(get("one", "/m2/iscsi_target?disk=d").await.0, 400);
    let outside = "/m2/iscsi_target?disk=..%2F..%2Fdefault%2Fdisks%2Fd&image=golden";
    assert_eq!(get("one", outside).await.0, 422);
    assert_eq!(daemon.get("/v1/disks").await["items"], json!([]));
    daemon.stop().await;
}

#[tokio::test]
async fn what_m2_refuses_is_refused_in_its_words() {
    let daemon = Daemon::start();
    let credentials = daemon.with_m2_project().await;
    let door = open(picasso::router(daemon.control.clone()));
    let call = async |method: &str, path: &str, credentials: &str, kind: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{credentials}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let (status, kind, body) = say(door, &request).await;
        assert_eq!(kind, "text/html; charset=utf-8", "{method} {path}");
        (status, body)
    };
    let form = "application/x-www-form-urlencoded";
    let basic = format!("Authorization: Basic {credentials}\r\n");
    let list =
        async |header: &str, body: &str| call("POST", "/list_images/", header, form, body).await;
    let project = "project=bmi_infra";
    assert_eq!(list("", project).await, (400, "No Authentication Details Given".to_owned()));
    let failed = (401, "Authentication Failed".to_owned());
    for header in ["Basic", "Basic ?", "Basic YQ==", "Basic OmI=", "Bearer stirrup_m2.x", "x"] {
        let answer = list(&format!("Authorization: {header}\r\n"), project).await;
        assert_eq!(answer, failed, "{header}");
    }
    assert_eq!(list(&basic, "project=default").await.0, 403);
    let (status, page) = list(&basic, "").await;
    assert!(status == 400 && page.contains("<title>400 Bad Request</title>"), "{page}");
    let json = call("POST", "/list_images/", &basic, "application/json", "{}").await;
    assert_eq!(json.0, 400);
    assert_eq!(list(&basic, &format!("{project}&{}", "x".repeat(20_000))).await.0, 400);
    for project in ["a%3Cb", "a%27b", "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "a%3Bb"] {
        let (status, page) = list(&basic, &format!("project={project}")).await;
        assert!(status == 500 && !page.contains("img"), "{project}: {page}");
    }
    let (status, page) = list(&basic, "project=a%22b%26%20").await;
    assert_eq!((status, page.contains("a\"b")), (500, false), "{page}");
    let foreign = format!("{basic}Origin: https://elsewhere.example\r\n");
    assert_eq!(list(&foreign, project).await.0, 403, "a form on somebody else's page");
    // With the slash and without.
    assert_eq!(call("POST", "/list_images", &basic, form, project).await.0, 200);
    assert_eq!(call("GET", "/list_images/", &basic, form, project).await.0, 405);
    assert_eq!(call("POST", "/list", &basic, form, project).await.0, 404);
    // Names that reach elsewhere, or are none.
    let create = async |disk: &str, image: &str| {
        let body = format!("{project}&disk_name={disk}&img={image}");
        call("PUT", "/create_disk/", &basic, form, &body).await.0
    };
    for disk in
        ["a;b", "a%26b", "a%27", "a%2Fb", "..", ".", "", "%00", "A", "a_b", "%C3%A9", "a%0Ab"]
    {
        assert_eq!(create(disk, "golden").await, 500, "{disk}");
    }
    assert_eq!(create("a", "..%2Fgolden").await, 500);
    assert_eq!(daemon.get("/v1/disks").await["items"], json!([]));
    daemon.stop().await;
}

#[tokio::test]
async fn m2s_node_keeps_its_disk_until_it_gives_it_back() {
    let daemon = Daemon::start();
    let credentials = daemon.with_m2_project().await;
    let door = open(picasso::router(daemon.control.clone()));
    let call = async |line: &str, fields: &str| {
        let body = format!("project=bmi_infra&{fields}");
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Authorization: Basic {credentials}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let (status, _, body) = say(door, &request).await;
        (status, body)
    };
    let success = (200, "Success".to_owned());
    for disk in ["d1", "d2"] {
        let made = call("PUT /create_disk", &format!("disk_name={disk}&img=golden")).await;
        assert_eq!(made.0, 200, "{made:?}");
    }
    assert_eq!(call("PUT /provision/", "node=n1&disk_name=d1&nic=nic1").await, success);
    assert_eq!(call("PUT /provision/", "node=n1&disk_name=d1&nic=nic1").await, success, "again");
    let other = call("PUT /provision/", "node=n1&disk_name=d2&nic=nic1").await;
    assert_eq!(other.0, 409, "a machine does not lose its disk by the way: {other:?}");
    assert_eq!(call("PUT /provision/", "node=n2&disk_name=d9&nic=nic1").await.0, 404);
    assert_eq!(daemon.get("/v1/nodes").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(call("DELETE /deprovision/", "node=n9&nic=nic1").await.0, 404);
    assert_eq!(call("DELETE /deprovision/", "node=n1&nic=nic1").await, success);
    assert_eq!(call("DELETE /deprovision/", "node=n1&nic=nic1").await, success, "again");
    assert_eq!(call("PUT /provision/", "node=n1&disk_name=d2&nic=nic1").await, success);
    assert_eq!(call("DELETE /delete_disk", "disk_name=d2").await, success, "with its node");
    assert_eq!(call("DELETE /delete_disk", "disk_name=d1").await, success);
    daemon.stop().await;
}

/// `tgtadm`, as small as can be.
async fn tgtadm(path: &std::path::Path, mode: u32, op: u32, tid: i32, text: &str) -> (u32, String) {
    let mut request = Vec::new();
    let text_bytes = if text.is_empty() { 0 } else { text.len() + 1 };
    request.extend([mode.to_ne_bytes(), op.to_ne_bytes()].concat());
    request.extend([0; 64]);
    request.extend(u32::try_from(120 + text_bytes).unwrap().to_ne_bytes());
    request.extend(tid.to_ne_bytes());
    request.extend([0_u64.to_ne_bytes(), 1_u64.to_ne_bytes()].concat());
    request.extend([0; 24]);
    request.extend(text.as_bytes());
    request.extend(vec![0; text_bytes.min(1)]);
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(HANG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let errno = u32::from_ne_bytes(answer[..4].try_into().unwrap());
    (errno, String::from_utf8(answer[8..].to_vec()).unwrap())
}

#[tokio::test]
async fn tgtadm_of_a_disk_of_m2s() {
    use crate::backend::Store as _;
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    // The fake store stands for Ceph's.
    daemon.world.store.create("5img12", 8192).unwrap();
    let mut stores = daemon.world.stores();
    stores.insert("rbd".to_owned(), daemon.world.store.clone());
    let (state, exporter) = (daemon.world.state(), daemon.world.exporter.clone());
    let catalog =
        Catalog::over(state, stores, exporter, crate::catalog::Options::default()).unwrap();
    let serve = |name: &str| {
        let path = directory.path().join(name);
        let socket = TgtSocket::bind(&path).unwrap();
        let control = Control { catalog: catalog.clone(), ..daemon.control.clone() };
        let settings = tgt::Settings::new("tgt", Some("rbd".to_owned())).unwrap();
        tokio::spawn(tgt::serve(socket, control, settings, std::future::pending()));
        path
    };
    let (target, unit, account) = (1, 2, 7);
    let (new, delete, show, bind) = (0, 1, 2, 3);
    let path = serve("first.0");
    assert!(TgtSocket::bind(&path).is_err(), "one daemon a socket");
    let ok = (0, String::new());
    assert_eq!(tgtadm(&path, target, new, 1, "targetname=5img12").await, ok);
    assert_eq!(tgtadm(&path, unit, new, 1, "path=other/5img12,bstype=rbd").await.0, 22);
    assert_eq!(tgtadm(&path, unit, new, 1, "path=rbd/none,bstype=rbd").await.0, 17);
    let lun = "path=rbd/5img12,bstype=rbd,bsopts=conf=/etc/ceph/ceph.conf;id=admin";
    assert_eq!(tgtadm(&path, unit, new, 1, lun).await, ok);
    assert_eq!(tgtadm(&path, target, bind, 1, "initiator-address=ALL").await, ok);
    let short = "user=a,password=short";
    assert_eq!(tgtadm(&path, account, new, -1, short).await, ok);
    assert_eq!(tgtadm(&path, account, bind, 1, "user=a").await.0, 17, "too short for CHAP");
    let (_, shown) = tgtadm(&path, target, show, -1, "").await;
    assert!(shown.starts_with("Target 1: 5img12\n") && shown.contains(" path: rbd/5img12\n"));
    assert!(daemon.world.store.remove("5img12").is_err(), "it is open");

    // Another door on the same catalog knows what the first one made.
    let other = serve("second.0");
    assert_eq!(tgtadm(&other, target, show, -1, "").await.1, shown);
    assert_eq!(tgtadm(&other, target, delete, 1, "").await, ok);
    assert_eq!(tgtadm(&path, target, show, -1, "").await, ok, "nothing is left");
    daemon.world.store.remove("5img12").unwrap();
    let log = daemon.get("/v1/audit").await;
    let attached = |entry: &Value| {
        entry["method"] == "NEW" && entry["path"] == "/tgt/logicalunit/5img12" && entry["uid"] == 0
    };
    let uid = rustix::process::geteuid().as_raw();
    assert!(uid != 0 || log["items"].as_array().unwrap().iter().any(attached), "{log}");
    daemon.stop().await;
}
