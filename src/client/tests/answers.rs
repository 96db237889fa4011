//! What a daemon with one image, two disks and a node would answer.

use serde_json::{Value, json};

use super::server::Answers;

const TARGET: &str = "iqn.2026-01.io.stirrup:demo:node1";

/// An answer for every call.
pub(super) fn all() -> Answers {
    let image = image();
    let (bound, free) = (disk("node1", Some("node1"), true), disk("data", None, false));
    let node = node(Some(&bound));
    let images = list(std::slice::from_ref(&image));
    let disks = list(&[free.clone(), bound.clone()]);
    let sessions = list(&[session(7, Some(TARGET)), session(8, None)]);
    let mut provisioned = node.clone();
    provisioned["existed"] = json!(false);

    let project = |rest: &str| format!("/v1/projects/demo/{rest}");
    let mut answers = Answers::new();
    let mut on = |method, path: String, status: u16, body: Option<&Value>| {
        let text =
            body.map_or_else(String::new, |body| serde_json::to_string_pretty(body).unwrap());
        answers.entry((method, path)).or_default().push_back((status, text));
    };
    on("GET", "/v1/health".into(), 200, Some(&health()));
    on(
        "GET",
        "/v1/version".into(),
        200,
        Some(&json!({
            "product": "stirrup", "version": "9.8.7", "api": "1"
        })),
    );
    on("GET", "/v1/images?project=demo".into(), 200, Some(&images));
    on("GET", "/v1/images?project=other".into(), 200, Some(&list(&[])));
    on("GET", project("images/debian"), 200, Some(&image));
    on("DELETE", project("images/debian"), 204, None);
    let tenant = json!({"name": "demo", "quota": {"disks": 10, "bytes": 10_u64 << 40},
        "image": "debian@v2", "disk_bytes": 40_u64 << 30, "qos": {"iops": 1000},
        "usage": {"disks": 2, "bytes": 6_442_450_944_u64, "nodes": 1},
        "created": "2026-01-02T03:04:06Z"});
    on("GET", "/v1/projects".into(), 200, Some(&list(std::slice::from_ref(&tenant))));
    on("GET", "/v1/projects/demo".into(), 200, Some(&tenant));
    on("PUT", "/v1/projects/demo".into(), 201, Some(&tenant));
    on("DELETE", "/v1/projects/demo".into(), 204, None);
    let token = json!({"name": "ci", "role": "operator", "project": "demo",
        "created": "2026-01-02T03:04:06Z", "expires": "2026-02-02T03:04:06Z"});
    let mut made = token.clone();
    made["token"] = json!("stirrup_ci.c2VjcmV0");
    on("GET", "/v1/tokens".into(), 200, Some(&list(&[token])));
    on("PUT", "/v1/tokens/ci".into(), 201, Some(&made));
    on("DELETE", "/v1/tokens/ci".into(), 204, None);
    let certificate = json!({"name": "ci.example", "role": "operator", "project": "demo",
        "created": "2026-07-28T09:00:00Z"});
    on("GET", "/v1/certificates".into(), 200, Some(&list(std::slice::from_ref(&certificate))));
    on("PUT", "/v1/certificates/ci.example".into(), 201, Some(&certificate));
    on("DELETE", "/v1/certificates/ci.example".into(), 204, None);
    let call = |who: &str, status: Option<u16>| {
        json!({"time": "2026-01-02T03:04:06.5Z", "who": who, "uid": 1000, "method": "PUT",
            "path": "/v1/projects/demo/disks/data", "status": status})
    };
    let calls = list(&[call("token ci", Some(201)), call("uid 1000", None)]);
    on("GET", "/v1/audit?limit=2".into(), 200, Some(&calls));
    let me = json!({"who": "token ci", "role": "operator", "project": "demo"});
    on("GET", "/v1/whoami".into(), 200, Some(&me));
    let tag = |of: &str, name: &str| {
        json!({
            "project": "demo", of: name, "name": "v2", "state": "ready", "snapshot": "tag7",
            "size_bytes": 2_147_483_648_u64, "protected": of == "image",
            "created": "2026-01-02T03:04:06Z", "disks": if of == "image" { vec!["data"] } else { vec![] }
        })
    };
    for (of, kind, name) in [("image", "images", "debian"), ("disk", "disks", "node1")] {
        let (path, tag) = (project(&format!("{kind}/{name}/tags")), tag(of, name));
        on("GET", path.clone(), 200, Some(&list(std::slice::from_ref(&tag))));
        on("GET", format!("{path}/v2"), 200, Some(&tag));
        on("PUT", format!("{path}/v2"), 201, Some(&tag));
        on("DELETE", format!("{path}/v2"), 204, None);
    }
    let ended = |kind: &str, object: &str| {
        let mut job = job("succeeded", 100);
        (job["kind"], job["object"], job["warnings"]) = (json!(kind), json!(object), json!([]));
        job
    };
    on("POST", project("images/debian/copy"), 202, Some(&ended("image-copy", "copy")));
    let mut renamed = image.clone();
    renamed["name"] = json!("trixie");
    on("POST", project("images/debian/rename"), 200, Some(&renamed));
    on("PUT", project("images/debian/protection"), 200, Some(&image));
    on("PUT", project("images/debian/default-tag"), 200, Some(&image));
    on("PUT", project("images/debian/visibility"), 200, Some(&image));
    on("POST", project("images/debian/export"), 202, Some(&ended("image-export", "debian")));
    let mut coming = image.clone();
    (coming["name"], coming["state"]) = (json!("coming"), json!("uploading"));
    on("GET", project("images/coming"), 200, Some(&coming));
    on("GET", project("images/coming/upload"), 200, Some(&upload(4, None)));
    on("PUT", project("images/coming/upload"), 200, Some(&upload(4, None)));
    on("PATCH", project("images/coming/upload"), 202, Some(&upload(10, Some("running"))));
    on("DELETE", project("images/coming/upload"), 204, None);
    on("GET", project("images/debian/raw"), 200, Some(&json!("the bytes")));
    on("GET", project("images/debian/raw?tag=v2"), 200, Some(&json!("the bytes")));
    on("POST", project("disks/node1/rollback"), 202, Some(&ended("disk-rollback", "node1")));
    on("POST", project("disks/node1/flatten"), 202, Some(&ended("disk-flatten", "node1")));
    on("POST", project("disks/node1/image"), 202, Some(&ended("disk-image", "snap")));
    on("PUT", project("disks/safe"), 202, Some(&ended("disk-encrypt", "safe")));
    on("PUT", project("nodes/safe/provision"), 202, Some(&ended("disk-encrypt", "safe")));
    let profile = json!({"boots": 3, "ranges": 519, "bytes": 63_537_152});
    on("GET", project("images/debian/boot-profile"), 200, Some(&profile));
    on("DELETE", project("images/debian/boot-profile"), 204, None);
    on("GET", "/v1/disks?project=demo".into(), 200, Some(&disks));
    on("GET", project("disks/node1"), 200, Some(&bound));
    on("PUT", project("disks/data"), 201, Some(&free));
    let mut moved = bound.clone();
    moved["redirect"] = json!({"address": "192.0.2.9:3260", "permanently": true});
    moved["portal_groups"] = json!([1, 2]);
    on("PUT", project("disks/node1/redirect"), 200, Some(&moved));
    on("DELETE", project("disks/node1/redirect"), 200, Some(&bound));
    on("POST", project("disks/data/resize"), 200, Some(&free));
    on("GET", project("disks/data"), 200, Some(&free));
    on("PATCH", project("disks/data"), 200, Some(&free));
    on("POST", project("disks/data/migrate"), 200, Some(&node));
    on("POST", project("nodes/node1/rearm"), 200, Some(&node));
    let by_mac = "/v1/nodes?project=demo&mac=52-54-00-12-34-56".to_owned();
    on("GET", by_mac, 200, Some(&list(std::slice::from_ref(&node))));
    on("DELETE", project("disks/node1"), 204, None);
    on("GET", "/v1/nodes?project=demo".into(), 200, Some(&list(&[node.clone(), self::node(None)])));
    on("GET", project("nodes/node1"), 200, Some(&node));
    on("PUT", project("nodes/node1"), 201, Some(&self::node(None)));
    on("DELETE", project("nodes/node1"), 204, None);
    on("PUT", project("nodes/node1/disk"), 200, Some(&node));
    on("DELETE", project("nodes/node1/disk"), 200, Some(&self::node(None)));
    on("PUT", project("nodes/node1/provision"), 201, Some(&provisioned));
    on("DELETE", project("nodes/node1/provision"), 200, Some(&self::node(None)));
    on("GET", "/v1/targets".into(), 200, Some(&list(&[target()])));
    on("GET", format!("/v1/targets/{}", TARGET.replace(':', "%3A")), 200, Some(&target()));
    on("GET", "/v1/sessions".into(), 200, Some(&sessions));
    on("GET", format!("/v1/sessions?target={}", TARGET.replace(':', "%3A")), 200, Some(&sessions));
    on("DELETE", "/v1/sessions/7".into(), 204, None);
    on("POST", "/v1/sessions/7/logout".into(), 202, None);
    let drain = format!("/v1/targets/{}/drain", TARGET.replace(':', "%3A"));
    on("POST", drain, 202, Some(&json!({"sessions": 2})));
    on("GET", "/v1/jobs".into(), 200, Some(&list(&[job("running", 35), job("failed", 35)])));
    on("GET", "/v1/jobs/3".into(), 200, Some(&job("failed", 35)));
    on("DELETE", "/v1/jobs/3".into(), 202, Some(&job("running", 35)));
    on(
        "GET",
        project("nodes/node1/boot-arguments"),
        200,
        Some(&json!({
            "uris": [format!("iscsi:192.0.2.1:tcp:3260:1:{TARGET}")], "chap": true,
            "dracut_ibft": "rd.iscsi.firmware=1 ip=ibft", "dracut": "netroot=iscsi:192.0.2.1::3260:1:x",
            "initramfs_tools_ibft": "iscsi_auto", "initramfs_tools": "iscsi_target_name=x"
        })),
    );
    on("POST", project("nodes/node1/rearm"), 200, Some(&node));
    let all = ("GET", "/v1/events?since=start&follow=false".to_owned());
    answers.entry(all).or_default().push_back((200, events()));
    let some = "/v1/events?since=a-1&types=disk%2Cjob.ended&project=demo&follow=false".to_owned();
    answers.entry(("GET", some)).or_default().push_back((200, ":\nid: a-9\n\n".to_owned()));
    let script = "#!ipxe\nsanboot iscsi:192.0.2.1:tcp:3260:1:iqn\n".to_owned();
    answers.entry(("GET", project("nodes/node1/ipxe"))).or_default().push_back((200, script));
    answers
}

/// An import whose job is seen in these states, one look after the other.
pub(super) fn imports(states: &[(&str, u64)]) -> Answers {
    let mut answers = Answers::new();
    let mut on = |method, path: &str, status, body: &Value| {
        answers.entry((method, path.to_owned())).or_default().push_back((status, body.to_string()));
    };
    on("POST", "/v1/projects/demo/images", 202, &job("queued", 0));
    for (state, percent) in states {
        on("GET", "/v1/jobs/3", 200, &job(state, *percent));
    }
    answers
}

/// An upload of 10 bytes, interrupted once, that becomes an image.
pub(super) fn uploads() -> Answers {
    let mut answers = Answers::new();
    let mut on = |method, path: &str, status, body: &Value| {
        answers.entry((method, path.to_owned())).or_default().push_back((status, body.to_string()));
    };
    let path = "/v1/projects/demo/images/coming/upload";
    on("PUT", path, 201, &upload(0, None));
    on("PUT", path, 200, &upload(4, None));
    let interrupted = json!({
        "type": "urn:stirrup:problem:upload-interrupted", "title": "Conflict", "status": 409,
        "detail": "another call", "code": "upload-interrupted", "instance": path
    });
    on("PATCH", path, 409, &interrupted);
    on("PATCH", path, 202, &upload(10, Some("running")));
    on("GET", "/v1/jobs/3", 200, &job("running", 35));
    let mut ended = job("succeeded", 100);
    ended["kind"] = json!("image-upload");
    on("GET", "/v1/jobs/3", 200, &ended);
    answers
}

fn upload(offset: u64, job: Option<&str>) -> Value {
    let mut upload = json!({
        "project": "demo", "image": "coming", "state": "uploading", "format": "raw",
        "size_bytes": 10, "offset_bytes": offset, "expires": "2026-01-03T03:04:05Z"
    });
    if let Some(state) = job {
        upload["job"] = self::job(state, 35);
    }
    upload
}

fn list(items: &[Value]) -> Value {
    json!({ "items": items })
}

fn image() -> Value {
    json!({
        "project": "demo", "name": "debian", "state": "ready", "size_bytes": 2_147_483_648_u64,
        "format": "qcow2", "store": "local", "backing": "i-1", "snapshot": "golden",
        "source": "/images/debian.qcow2", "created": "2026-01-02T03:04:05.123456789Z",
        "warnings": [{"code": "gpt-boot-chs", "message": "BIOS GRUB will be slow"}],
        "disks": ["node1", "data"], "tags": ["v1", "v2"], "default_tag": "v2", "protected": true, "public": true,
        "used_bytes": 734_003_200, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    })
}

fn disk(name: &str, node: Option<&str>, open: bool) -> Value {
    let target = format!("iqn.2026-01.io.stirrup:demo:{name}");
    let uri = format!("iscsi:192.0.2.1:tcp:3260:1:{target}");
    let mut disk = json!({
        "project": "demo", "name": name, "state": "ready", "image": "debian",
        "size_bytes": 2_147_483_648_u64, "store": "local", "backing": "d-1", "node": node,
        "created": "2026-01-02T03:04:06Z", "export": if open { "serving" } else { "failed" },
        "chap": !open, "initiators": [], "open": open, "addresses": ["10.0.0.0/8"],
        "boot": {
            "uri": uri, "uris": [uri, format!("iscsi:[2001:db8::1]:tcp:3260:1:{target}")],
            "portals": [], "iqn": target, "lun": 1, "wwid": "naa.6000000000000001"
        }
    });
    if !open {
        disk["export_error"] = json!("the pool is gone");
        disk["initiators"] = json!(["iqn.2010-04.org.ipxe:*"]);
        disk["qos"] = json!({"iops": 100, "read_bytes_per_second": 10 << 20, "burst_seconds": 5});
        disk["chap_per_node"] = json!("once");
        disk["chap_delivered"] = json!("2026-01-02T03:04:06.5Z");
        disk["used_bytes"] = json!(5_242_880);
        disk["read_only"] = json!(true);
    }
    disk
}

fn node(disk: Option<&Value>) -> Value {
    let mut node = json!({
        "project": "demo", "name": "node1", "macs": ["52:54:00:12:34:56"],
        "created": "2026-01-02T03:04:07Z"
    });
    if let Some(disk) = disk {
        node["disk"] = disk.clone();
    }
    node
}

fn target() -> Value {
    json!({
        "name": TARGET,
        "portals": [
            {"address": "192.0.2.1", "port": 3260, "tpgt": 1},
            {"address": "2001:db8::1", "port": 3260, "tpgt": 1}
        ],
        "luns": [{
            "lun": 1, "wwid": "naa.6000000000000001", "size_bytes": 2_147_483_648_u64,
            "read_only": false, "serving": true
        }],
        "sessions": 1
    })
}

/// A session whose initiator tries to clear the operator's screen.
fn session(id: u64, target: Option<&str>) -> Value {
    json!({
        "id": id, "target": target, "initiator": "iqn.2010-04.org.ipxe:\u{1b}[2J",
        "isid": "80123456789a", "address": "192.0.2.7:49152", "since": "2026-01-02T03:05:00Z",
        "bytes_read": 52_428_800, "bytes_written": 4096, "commands": 1234,
        "iops": 250, "latency": {"mean_us": 420, "median_us": 300, "p99_us": 8100}
    })
}

fn job(state: &str, percent: u64) -> Value {
    let mut job = json!({
        "id": 3, "kind": "image-import", "project": "demo", "object": "debian", "state": state,
        "done_bytes": percent << 20, "total_bytes": 100 << 20, "created": "2026-01-02T03:04:05Z",
        "warnings": []
    });
    if state == "failed" {
        job["finished"] = json!("2026-01-02T03:04:09Z");
        job["error"] = json!("the store is full");
    }
    if state == "succeeded" {
        job["warnings"] = json!([{"code": "no-boot-code", "message": "it may not boot"}]);
    }
    job
}

/// A stream of events.
fn events() -> String {
    let event = |number: u64, kind: &str, more: Value| {
        let mut data =
            json!({"id": format!("a-{number}"), "time": "2026-01-02T03:04:05.5Z", "type": kind});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("id: a-{number}\nevent: {kind}\ndata: {data}\n\n")
    };
    let in_demo = |object: &str| json!({"project": "demo", "object": object});
    let mut disk = in_demo("node1");
    (disk["state"], disk["image"], disk["node"]) =
        (json!("ready"), json!("debian"), json!("node1"));
    let mut ended = in_demo("debian");
    ended["job"] = job("failed", 35);
    (ended["state"], ended["reason"]) = (json!("failed"), json!("the store is full"));
    let mut tag = in_demo("v2");
    tag["of"] = json!("image debian");
    let began = json!({"project": "demo", "disk": "node1", "target": TARGET,
        "session": session(7, Some(TARGET))});
    let mut booted = in_demo("node1");
    (booted["mac"], booted["address"]) = (json!("52:54:00:12:34:56"), json!("192.0.2.7"));
    (booted["disk"], booted["secret"]) = (json!("node1"), json!(true));
    [
        ":\nid: a-0\n\n".to_owned(),
        event(1, "lost", json!({"lost": 12})),
        event(2, "disk.changed", disk),
        event(3, "job.ended", ended),
        event(4, "tag.removed", tag),
        event(5, "project.made", json!({"project": "demo", "object": "demo"})),
        event(6, "session.began", began),
        event(7, "boot.delivered", booted),
        event(8, "end", json!({"reason": "stirrupd is stopping"})),
    ]
    .concat()
}

fn health() -> Value {
    json!({
        "status": "degraded",
        "stores": [
            {"name": "local", "kind": "local", "ok": true},
            {"name": "rbd", "kind": "rbd", "ok": false, "error": "the monitors do not answer"}
        ],
        "disks": 2, "disks_not_serving": 1, "sessions": 1,
        "cache": {
            "golden_hits": 1900, "golden_misses": 100, "golden_bytes": 201_326_592,
            "file_hits": 60, "file_bytes": 10_737_418_240_u64,
            "disk_hits": 0, "disk_misses": 0, "disk_bytes": 0
        }
    })
}
