//! Tokens, roles, projects that callers do not see, and the audit log.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Daemon};

/// A daemon with an image and a disk in two projects, and tokens.
struct Lab {
    daemon: Daemon,
    operator: String,
    reader: String,
}

async fn token(daemon: &Daemon, name: &str, body: Value) -> String {
    let made = daemon.put(&format!("/v1/tokens/{name}"), body).await.ok(StatusCode::CREATED);
    format!("Bearer {}", made["token"].as_str().unwrap())
}

async fn lab() -> Lab {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let copy = json!({"name": "golden", "project": "lab"});
    let path = "/v1/projects/default/images/golden/copy";
    let job = daemon.call(Method::POST, path, Some(copy)).await.ok(StatusCode::ACCEPTED);
    daemon.end_of(&job).await;
    for project in ["default", "lab"] {
        let path = format!("/v1/projects/{project}/disks/d1");
        daemon.put(&path, json!({"image": "golden"})).await.ok(StatusCode::CREATED);
    }
    let operator = json!({"role": "operator", "project": "lab"});
    let operator = token(&daemon, "op", operator).await;
    let reader = token(&daemon, "see", json!({"role": "reader"})).await;
    Lab { daemon, operator, reader }
}

impl Lab {
    async fn call(&self, who: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default().into_bytes();
        self.daemon.send_as(who, method, path, "application/json", body).await
    }

    async fn get(&self, who: &str, path: &str) -> Answer {
        self.call(who, Method::GET, path, None).await
    }

    /// Names of the projects in a list.
    async fn projects(&self, who: &str, path: &str) -> Vec<String> {
        let list = self.get(who, path).await.ok(StatusCode::OK);
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["project"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn other_projects_do_not_exist_for_a_token_of_one() {
    let lab = lab().await;
    let op = &lab.operator;
    for list in ["/v1/images", "/v1/disks", "/v1/disks?project=lab", "/v1/jobs"] {
        let seen = lab.projects(op, list).await;
        assert!(
            !seen.is_empty() && seen.iter().all(|project| project == "lab"),
            "{list}: {seen:?}"
        );
    }
    lab.get(op, "/v1/disks?project=default").await.problem(403, "forbidden");
    for path in ["disks/d1", "images/golden", "images/golden/tags", "nodes/n1/ipxe"] {
        let path = format!("/v1/projects/default/{path}");
        lab.get(op, &path).await.problem(403, "forbidden");
        lab.get(op, &path.replace("default", "%64efault")).await.problem(403, "forbidden");
    }
    let mine = "iqn.2026-01.io.stirrup:lab.d1";
    let targets = lab.get(op, "/v1/targets").await.ok(StatusCode::OK);
    assert_eq!(targets["items"].as_array().unwrap().len(), 1);
    assert_eq!(targets["items"][0]["name"], mine);
    lab.get(op, &format!("/v1/targets/{mine}")).await.ok(StatusCode::OK);
    let other = "/v1/targets/iqn.2026-01.io.stirrup:default.d1";
    lab.get(op, other).await.problem(404, "target-not-found");
    let drain = lab.call(op, Method::POST, &format!("{other}/drain"), Some(json!({}))).await;
    drain.problem(404, "target-not-found");
    // The import was in project default.
    let jobs = lab.daemon.get("/v1/jobs").await;
    let foreign = jobs["items"].as_array().unwrap().iter().find(|job| job["project"] == "default");
    let path = format!("/v1/jobs/{}", foreign.unwrap()["id"]);
    lab.get(op, &path).await.problem(404, "job-not-found");
    lab.call(op, Method::DELETE, &path, None).await.problem(404, "job-not-found");
    // Nor can it send what it has there, or take from there.
    let there = Some(json!({"name": "x", "project": "default"}));
    for path in ["images/golden/copy", "disks/d1/image"] {
        let path = format!("/v1/projects/lab/{path}");
        lab.call(op, Method::POST, &path, there.clone()).await.problem(403, "forbidden");
    }
    let node = "/v1/projects/lab/nodes/n1/provision";
    let made = lab.call(op, Method::PUT, node, Some(json!({"image": "golden"}))).await;
    made.ok(StatusCode::CREATED);
    lab.daemon.stop().await;
}

#[tokio::test]
async fn who_may_use_an_image_that_is_edited_is_for_admins_to_say() {
    let lab = lab().await;
    let op = &lab.operator;
    let edit = json!({"image": "golden", "edit": true});
    let made = lab.daemon.put("/v1/projects/lab/disks/edit", edit).await;
    made.ok(StatusCode::CREATED);
    let node = "/v1/projects/lab/nodes/mine";
    let initiator = json!({"initiator": "iqn.2004-10.org.example:mine"});
    lab.call(op, Method::PUT, node, Some(initiator)).await.ok(StatusCode::CREATED);
    let path = format!("{node}/disk");
    let bind = |disk| Some(json!({"disk": disk}));
    lab.call(op, Method::PUT, &path, bind("edit")).await.problem(403, "forbidden");
    lab.call(op, Method::PUT, &path, bind("d1")).await.ok(StatusCode::OK);
    // One that an admin has bound.
    let (disk, theirs) = ("/v1/projects/lab/disks/edit", "/v1/projects/lab/nodes/theirs");
    lab.daemon.put(theirs, json!({"macs": []})).await.ok(StatusCode::CREATED);
    let bound = lab.daemon.put(&format!("{theirs}/disk"), json!({"disk": "edit"})).await;
    bound.ok(StatusCode::OK);
    lab.call(op, Method::PUT, "/v1/projects/lab/nodes/free", Some(json!({}))).await;
    let before = lab.daemon.get(theirs).await;
    let evil = json!({"initiator": "iqn.2004-10.org.example:evil"});
    let mac = json!({"macs": ["52:54:00:00:00:09"]});
    for (method, path, body) in [
        (Method::PUT, theirs.to_owned(), Some(evil)),
        (Method::PUT, theirs.to_owned(), Some(mac)),
        (Method::DELETE, format!("{theirs}/disk"), None),
        (Method::DELETE, format!("{theirs}/provision"), None),
        (Method::GET, format!("{theirs}/ipxe"), None),
        (Method::POST, format!("{theirs}/rearm"), Some(json!({}))),
        (Method::POST, format!("{disk}/migrate"), Some(json!({"node": "free", "force": true}))),
        (Method::PUT, format!("{disk}/redirect"), Some(json!({"address": "192.0.2.9"}))),
        (Method::DELETE, format!("{disk}/redirect"), None),
        (Method::PATCH, disk.to_owned(), Some(json!({"qos": {"iops": 10}}))),
        (Method::PATCH, disk.to_owned(), Some(json!({"exposure": "disabled"}))),
        (Method::DELETE, disk.to_owned(), None),
    ] {
        let answer = lab.call(op, method.clone(), &path, body).await;
        let problem = answer.problem(403, "forbidden");
        assert_eq!(lab.daemon.get(theirs).await, before, "{method} {path}: {problem}");
    }
    let log = lab.daemon.get("/v1/audit?limit=1").await;
    assert_eq!(
        (&log["items"][0]["who"], &log["items"][0]["status"]),
        (&json!("token op"), &json!(403))
    );
    lab.call(op, Method::HEAD, &format!("{theirs}/ipxe"), None).await;
    lab.daemon.delete(&format!("{theirs}/disk")).await.ok(StatusCode::OK);
    lab.daemon.stop().await;
}

#[tokio::test]
async fn a_mac_address_does_not_tell_of_another_project() {
    let lab = lab().await;
    let node = json!({"macs": ["52:54:00:00:00:01"]});
    let secret = "/v1/projects/default/nodes/secret-node";
    lab.daemon.put(secret, node.clone()).await.ok(StatusCode::CREATED);
    let path = "/v1/projects/lab/nodes/n1";
    let taken = lab.call(&lab.operator, Method::PUT, path, Some(node)).await;
    let problem = taken.problem(409, "mac-taken");
    assert!(!problem.to_string().contains("secret-node"), "{problem}");
    lab.daemon.stop().await;
}

#[tokio::test]
async fn sessions_of_other_projects_are_not_seen_or_ended() {
    let lab = lab().await;
    let session = |id, target: Option<&str>| crate::control::SessionInfo {
        id,
        target: target.map(|project| format!("iqn.2026-01.io.stirrup:{project}.d1")),
        initiator: "iqn.2004-10.org.example:n1".to_owned(),
        isid: [0; 6],
        tpgt: 1,
        address: "10.0.0.9:40000".parse().unwrap(),
        since: jiff::Timestamp::UNIX_EPOCH,
        bytes_read: 0,
        bytes_written: 0,
        commands: 0,
        commands_per_second: 4.0,
        read_per_second: 5.0,
        written_per_second: 6.0,
        latency: None,
    };
    *lab.daemon.data_path.sessions.lock() =
        vec![session(1, Some("default")), session(2, Some("lab")), session(3, None)];
    let op = &lab.operator;
    let seen = lab.get(op, "/v1/sessions").await.ok(StatusCode::OK);
    assert_eq!((&seen["items"][0]["id"], seen["items"].as_array().unwrap().len()), (&json!(2), 1));
    for id in [1, 3, 9] {
        let path = format!("/v1/sessions/{id}");
        lab.call(op, Method::DELETE, &path, None).await.problem(404, "session-not-found");
        let path = format!("{path}/logout");
        lab.call(op, Method::POST, &path, Some(json!({}))).await.problem(404, "session-not-found");
    }
    lab.call(op, Method::DELETE, "/v1/sessions/2", None).await.gone();
    lab.call(&lab.reader, Method::DELETE, "/v1/sessions/1", None).await.problem(403, "forbidden");
    lab.daemon.stop().await;
}

#[tokio::test]
async fn roles_bound_what_a_token_may_do() {
    let lab = lab().await;
    let (op, see) = (&lab.operator, &lab.reader);
    let disk = "/v1/projects/default/disks/d1";
    lab.get(see, disk).await.ok(StatusCode::OK);
    lab.call(see, Method::DELETE, disk, None).await.problem(403, "forbidden");
    lab.get(see, "/v1/projects/default/images/golden/raw").await.problem(403, "forbidden");
    lab.get(see, "/v1/projects/default/nodes/n1/ipxe").await.problem(403, "forbidden");
    let image = "/v1/projects/lab/images/golden";
    lab.call(op, Method::DELETE, image, None).await.problem(403, "forbidden");
    let edit = Some(json!({"image": "golden", "edit": true}));
    let edit = lab.call(op, Method::PUT, "/v1/projects/lab/disks/e", edit).await;
    edit.problem(403, "forbidden");
    let import = Some(json!({"name": "x", "file": "/etc/passwd"}));
    let path = "/v1/projects/lab/images";
    lab.call(op, Method::POST, path, import).await.problem(403, "forbidden");
    for who in [op, see] {
        for path in ["/v1/tokens", "/v1/audit"] {
            lab.get(who, path).await.problem(403, "forbidden");
        }
        let admin = Some(json!({"role": "admin"}));
        lab.call(who, Method::PUT, "/v1/tokens/x", admin).await.problem(403, "forbidden");
    }
    let me = lab.get(op, "/v1/whoami").await.ok(StatusCode::OK);
    assert_eq!(me, json!({"who": "token op", "role": "operator", "project": "lab"}));
    lab.daemon.stop().await;
}

#[tokio::test]
async fn who_is_not_known_may_do_nothing() {
    let lab = lab().await;
    let revoked = token(&lab.daemon, "old", json!({"role": "admin"})).await;
    lab.daemon.delete("/v1/tokens/old").await.gone();
    lab.daemon.delete("/v1/tokens/old").await.problem(404, "token-not-found");
    let expired = json!({"role": "admin", "expires_in_seconds": 0});
    let expired = token(&lab.daemon, "expired", expired).await;
    let longer = format!("{}x", lab.operator);
    // A bad token is not made good by who is at the other end of the socket.
    for bad in [&revoked, &expired, &longer, "Bearer", "Bearer x", "Basic eDp5", "x"] {
        for path in ["/v1/version", "/v1/disks", "/v1/openapi.json", "/v1/projects/lab/disks/d1"] {
            lab.get(bad, path).await.problem(401, "not-authorized");
        }
    }
    let again = lab.daemon.put("/v1/tokens/op", json!({"role": "reader"})).await;
    again.problem(409, "token-exists");
    lab.daemon.put("/v1/tokens/x", json!({"role": "root"})).await.problem(422, "invalid-role");
    lab.daemon.put("/v1/tokens/X", json!({"role": "admin"})).await.problem(422, "invalid-name");
    let tokens = lab.daemon.get("/v1/tokens").await;
    assert!(tokens["items"].as_array().unwrap().iter().all(|t| t.get("token").is_none()));
    assert_eq!(tokens["items"].as_array().unwrap().len(), 3);
    lab.daemon.stop().await;
}

#[tokio::test]
async fn a_page_in_a_browser_changes_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let lab = lab().await;
    let from_a_page = async |method: &str, path: &str| {
        let mut stream = tokio::net::UnixStream::connect(lab.daemon.path()).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: stirrup\r\norigin: https://other.example\r\n\
             connection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (node, disk) = ("/v1/projects/lab/nodes/n1", "/v1/projects/lab/disks/d1");
    for (method, path) in [("PUT", node), ("DELETE", disk), ("PATCH", disk)] {
        let answer = from_a_page(method, path).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{method}: {answer}");
        assert!(answer.contains("\"foreign-origin\""), "{method}: {answer}");
    }
    lab.get("", node).await.problem(404, "node-not-found");
    let answer = from_a_page("GET", disk).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "it is not shown to the page: {answer}");
    let log = lab.daemon.get("/v1/audit?limit=1").await;
    assert_eq!(
        (&log["items"][0]["method"], &log["items"][0]["status"]),
        (&json!("PATCH"), &json!(403))
    );
    lab.daemon.stop().await;
}

#[tokio::test]
async fn the_audit_log_says_who_did_what() {
    let lab = lab().await;
    let disk = "/v1/projects/lab/disks/d2";
    lab.call(&lab.operator, Method::PUT, disk, Some(json!({"image": "golden"}))).await;
    lab.get(&lab.operator, disk).await.ok(StatusCode::OK);
    lab.call(&lab.reader, Method::DELETE, disk, None).await.problem(403, "forbidden");
    lab.get("Bearer x", disk).await.problem(401, "not-authorized");
    let log = lab.daemon.get("/v1/audit?limit=3").await;
    let entry = |i: usize| {
        let entry = &log["items"][i];
        (entry["who"].as_str().unwrap(), entry["method"].as_str().unwrap(), entry["status"].clone())
    };
    assert_eq!(entry(0), ("nobody", "GET", json!(401)));
    assert_eq!(entry(1), ("token see", "DELETE", json!(403)));
    assert_eq!(entry(2), ("token op", "PUT", json!(201)));
    assert_eq!(log["items"].as_array().unwrap().len(), 3);
    assert!(log["items"].as_array().unwrap().iter().all(|e| e["path"] == disk));
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(log["items"][0]["uid"], own);
    lab.daemon.stop().await;
}

#[tokio::test]
async fn the_life_of_a_project() {
    let lab = lab().await;
    let path = "/v1/projects/lab";
    assert_eq!(
        lab.daemon.get(path).await["usage"],
        json!({"disks": 1, "bytes": 16384, "nodes": 0})
    );
    let made = lab.daemon.put(path, json!({"disks": 2})).await.ok(StatusCode::CREATED);
    assert_eq!((&made["quota"], &made["existed"]), (&json!({"disks": 2}), &json!(false)));
    assert_eq!(lab.daemon.put(path, json!({"disks": 1})).await.ok(StatusCode::OK)["existed"], true);
    let disk = "/v1/projects/lab/disks/d2";
    let more = lab.call(&lab.operator, Method::PUT, disk, Some(json!({"image": "golden"}))).await;
    more.problem(409, "quota-exceeded");
    let projects = |list: Value| {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(projects(lab.daemon.get("/v1/projects").await), ["default", "lab"]);
    let seen = lab.get(&lab.operator, "/v1/projects").await.ok(StatusCode::OK);
    assert_eq!(projects(seen), ["lab"]);
    lab.get(&lab.operator, path).await.ok(StatusCode::OK);
    lab.get(&lab.operator, "/v1/projects/default").await.problem(403, "forbidden");
    let boss = json!({"role": "admin", "project": "lab"});
    let boss = token(&lab.daemon, "boss", boss).await;
    lab.call(&boss, Method::PUT, path, Some(json!({}))).await.problem(403, "forbidden");
    let problem = lab.daemon.delete(path).await.problem(409, "project-not-empty");
    let used_by = json!(["image golden", "disk d1", "token boss", "token op"]);
    assert_eq!(problem["used_by"], used_by);
    lab.daemon.delete(&format!("{path}/disks/d1")).await.gone();
    lab.daemon.delete(&format!("{path}/images/golden")).await.gone();
    let named = json!({"role": "reader", "project": "lab"});
    lab.daemon.put("/v1/certificates/ci.example", named).await.ok(StatusCode::CREATED);
    for (kind, name) in [("token", "op"), ("token", "boss"), ("certificate", "ci.example")] {
        // They would be good for the next project of that name.
        let problem = lab.daemon.delete(path).await.problem(409, "project-not-empty");
        assert!(
            problem["detail"].as_str().unwrap().contains(&format!("{kind} {name}")),
            "{problem}"
        );
        lab.daemon.delete(&format!("/v1/{kind}s/{name}")).await.gone();
    }
    lab.daemon.delete(path).await.gone();
    lab.daemon.delete(path).await.problem(404, "project-not-found");
    lab.daemon.stop().await;
}

#[tokio::test]
async fn a_token_of_a_project_imports_no_files_of_whoever_sends_it() {
    let lab = lab().await;
    let file = lab.daemon.directory.path().join("golden");
    let import = async |token: &str, name: &str, file: &str| {
        let body = Some(json!({"name": name, "file": file}));
        lab.call(token, Method::POST, "/v1/projects/lab/images", body).await
    };
    let own = json!({"role": "admin", "project": "lab"});
    let own = token(&lab.daemon, "own", own).await;
    // Who sends it is the daemon's own user, who may import anything.
    for file in [file.to_str().unwrap(), "/etc/passwd", "/nonexistent"] {
        import(&own, "mine", file).await.problem(403, "forbidden");
    }
    let all = token(&lab.daemon, "all", json!({"role": "admin"})).await;
    let job = import(&all, "theirs", file.to_str().unwrap()).await.ok(StatusCode::ACCEPTED);
    lab.daemon.end_of(&job).await;
    lab.daemon.stop().await;
}

#[tokio::test]
async fn of_another_project_s_public_image_one_sees_what_it_takes_to_use_it() {
    let lab = lab().await;
    let op = &lab.operator;
    let path = "/v1/projects/default/images/golden";
    for hidden in [path, "/v1/projects/default/images/none"] {
        lab.get(op, hidden).await.problem(403, "forbidden");
        lab.get(op, &format!("{hidden}/raw")).await.problem(403, "forbidden");
        let copy = Some(json!({"name": "x", "project": "lab"}));
        let copy = lab.call(op, Method::POST, &format!("{hidden}/copy"), copy).await;
        copy.problem(403, "forbidden");
    }
    let public = Some(json!({"public": true}));
    let public = lab.call("", Method::PUT, &format!("{path}/visibility"), public).await;
    let whole = public.ok(StatusCode::OK);
    let seen = |image: &Value| {
        for key in ["source", "backing", "snapshot"] {
            assert!(whole[key].is_string() && image.get(key).is_none(), "{key}: {image}");
        }
        assert_eq!((&image["name"], &image["size_bytes"]), (&whole["name"], &whole["size_bytes"]));
        assert_eq!(image["disks"], json!([]), "{image}");
    };
    seen(&lab.get(op, path).await.ok(StatusCode::OK));
    let list = lab.get(op, "/v1/images?project=default").await.ok(StatusCode::OK);
    seen(&list["items"][0]);
    assert_eq!(lab.get(op, &format!("{path}/raw")).await.bytes.len(), 8192);
    // Nor from what it is told when the image cannot be used.
    lab.daemon.delete("/v1/projects/default/disks/d1").await.gone();
    for step in 0.. {
        lab.daemon.world.faults.arm(step, crate::catalog::tests::world::Fault::Refused);
        lab.daemon.delete(path).await;
        lab.daemon.world.faults.disarm();
        if lab.daemon.get(path).await["state"] == "removing" {
            break;
        }
    }
    let disk = Some(json!({"image": "default/golden"}));
    let refused = lab.call(op, Method::PUT, "/v1/projects/lab/disks/x", disk).await;
    seen(&refused.problem(409, "image-not-ready")["existing"]);
    let disk = json!({"image": "golden"});
    let refused = lab.daemon.put("/v1/projects/default/disks/x", disk).await;
    let own = refused.problem(409, "image-not-ready");
    assert_eq!(own["existing"]["source"], whole["source"], "who sees the project sees all");
    lab.daemon.stop().await;
}
