//! Changes of disks that are there, migration, secrets of nodes.

use axum::http::HeaderValue;

use super::*;

const DISK: &str = "/v1/projects/default/disks/d1";

async fn with_disk() -> Daemon {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    daemon.put(DISK, json!({"image": "golden"})).await.ok(StatusCode::CREATED);
    daemon
}

impl Daemon {
    async fn patch(&self, body: Value) -> Answer {
        self.call(Method::PATCH, DISK, Some(body)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }
}

#[tokio::test]
async fn a_disk_is_changed_by_what_is_named() {
    let daemon = with_disk().await;
    let before = daemon.get(DISK).await;
    let change = json!({"qos": {"iops": 100, "bytes_per_second": 10 << 20, "burst_seconds": 5},
        "initiators": ["iqn.a*"], "addresses": ["10.0.0.0/8"], "portal_groups": [2, 1, 1],
        "read_only": true, "chap": {"mutual": true}});
    let changed = daemon.patch(change.clone()).await.ok(StatusCode::OK);
    assert_eq!(changed["existed"], false);
    assert_eq!(changed["qos"], change["qos"]);
    assert_eq!((&changed["chap"], &changed["read_only"]), (&json!(true), &json!(true)));
    assert_eq!(
        (&changed["initiators"], &changed["portal_groups"]),
        (&json!(["iqn.a*"]), &json!([1, 2]))
    );
    let again = daemon.patch(change).await.ok(StatusCode::OK);
    assert_eq!(again["existed"], true);
    let shown = daemon.get(DISK).await;
    assert_eq!(daemon.patch(json!({})).await.ok(StatusCode::OK)["qos"], shown["qos"]);
    let back = json!({"qos": null, "chap": null, "initiators": [], "addresses": [],
        "portal_groups": [], "read_only": false});
    daemon.patch(back).await.ok(StatusCode::OK);
    assert_eq!(daemon.get(DISK).await, before);
    for (state, export) in
        [("disabled", "disabled"), ("unexposed", "withdrawn"), ("enabled", "serving")]
    {
        let changed = daemon.patch(json!({"exposure": state})).await.ok(StatusCode::OK);
        assert_eq!(changed["export"], export);
        let targets = daemon.get("/v1/targets").await["items"].as_array().unwrap().len();
        assert_eq!(targets, usize::from(state != "unexposed"));
    }
    for (bad, status, code) in [
        (json!({"qos": {"iops": 1}}), 422, "invalid-qos"),
        (json!({"qos": {"iops": -1}}), 422, "invalid-body"),
        (json!({"qos": {"ipos": 100}}), 422, "invalid-body"),
        (json!({"exposure": "on"}), 422, "invalid-exposure"),
        (json!({"chap": {"per_node": "twice"}}), 422, "invalid-chap"),
        (json!({"portal_groups": [9]}), 422, "portal-group-unknown"),
        (json!({"image": "golden"}), 422, "invalid-body"),
    ] {
        daemon.patch(bad).await.problem(status, code);
        assert_eq!(daemon.get(DISK).await, before);
    }
    let path = "/v1/projects/default/disks/none";
    daemon.call(Method::PATCH, path, Some(json!({}))).await.problem(404, "disk-not-found");
    daemon.stop().await;
}

#[tokio::test]
async fn a_disk_goes_from_node_to_node() {
    let daemon = with_disk().await;
    let node = |name: &str| format!("/v1/projects/default/nodes/{name}");
    for (name, mac) in [("n1", "52:54:00:00:00:01"), ("n2", "52:54:00:00:00:02")] {
        daemon.put(&node(name), json!({"macs": [mac]})).await.ok(StatusCode::CREATED);
    }
    daemon.put(&format!("{}/disk", node("n1")), json!({"disk": "d1"})).await.ok(StatusCode::OK);
    let migrate = async |body: Value| daemon.post(&format!("{DISK}/migrate"), body).await;
    migrate(json!({"node": "n2", "from": "n3"})).await.problem(409, "disk-bound");
    migrate(json!({"node": "n3"})).await.problem(404, "node-not-found");
    // Neither has a name, so who is thrown out would be let in again.
    let both =
        migrate(json!({"node": "n2", "from": "n1"})).await.problem(409, "owner-not-shut-out");
    assert_eq!(both["existing"]["node"], "n1", "{both}");
    let forced = json!({"node": "n2", "from": "n1", "force": true});
    migrate(forced).await.ok(StatusCode::OK);
    let named = json!({"macs": ["52:54:00:00:00:01"], "initiator": "iqn.2004-10.org.example:n1"});
    daemon.put(&node("n1"), named).await.ok(StatusCode::OK);
    migrate(json!({"node": "n1"})).await.ok(StatusCode::OK);
    let named = json!({"macs": ["52:54:00:00:00:02"], "initiator": "iqn.2004-10.org.example:n2"});
    daemon.put(&node("n2"), named).await.ok(StatusCode::OK);
    let moved = migrate(json!({"node": "n2", "from": "n1"})).await.ok(StatusCode::OK);
    assert_eq!((&moved["name"], &moved["disk"]["name"]), (&json!("n2"), &json!("d1")));
    let again = migrate(json!({"node": "n2", "from": "n1"})).await.ok(StatusCode::OK);
    assert_eq!((&moved["existed"], &again["existed"]), (&json!(false), &json!(true)));
    assert!(daemon.get(&node("n1")).await["disk"].is_null());

    for mac in ["52:54:00:00:00:02", "52-54-00-00-00-02"] {
        let found = daemon.get(&format!("/v1/nodes?mac={mac}")).await;
        assert_eq!(found["items"].as_array().unwrap().len(), 1);
        assert_eq!(found["items"][0]["name"], "n2");
    }
    assert_eq!(daemon.get("/v1/nodes?mac=52:54:00:00:00:03").await["items"], json!([]));
    let elsewhere = "/v1/nodes?project=other&mac=52:54:00:00:00:02";
    assert_eq!(daemon.get(elsewhere).await["items"], json!([]));
    daemon.call(Method::GET, "/v1/nodes?mac=x", None).await.problem(422, "invalid-mac");
    daemon.stop().await;
}

#[tokio::test]
async fn a_secret_of_the_node_s_own_is_in_one_script_only() {
    let daemon = with_disk().await;
    let chap = json!({"image": "golden", "chap": {"per_node": "once"}});
    let made = daemon.put("/v1/projects/default/nodes/n1/provision", chap).await;
    let made = made.ok(StatusCode::CREATED);
    assert_eq!(
        (&made["disk"]["chap"], &made["disk"]["chap_per_node"]),
        (&json!(true), &json!("once"))
    );
    let script = "/v1/projects/default/nodes/n1/ipxe";
    let head = daemon.call(Method::HEAD, script, None).await;
    assert_eq!(head.status, StatusCode::OK, "who only asks takes nothing");
    let first = daemon.call(Method::GET, script, None).await;
    assert!(first.status == StatusCode::OK && first.text().contains("n1"), "{}", first.text());
    assert_eq!(first.kind, HeaderValue::from_static("text/plain; charset=utf-8"));
    daemon.call(Method::GET, script, None).await.problem(409, "secret-delivered");
    assert!(
        daemon.get("/v1/projects/default/nodes/n1").await["disk"]["chap_delivered"].is_string()
    );
    let rearm = "/v1/projects/default/nodes/n1/rearm";
    daemon.post(rearm, json!({})).await.ok(StatusCode::OK);
    assert_eq!(daemon.call(Method::GET, script, None).await.text(), first.text());
    daemon.post(rearm, json!({"renew": true})).await.ok(StatusCode::OK);
    assert_ne!(daemon.call(Method::GET, script, None).await.text(), first.text());
    daemon
        .post("/v1/projects/default/nodes/n2/rearm", json!({}))
        .await
        .problem(404, "node-not-found");
    daemon.stop().await;
}

#[tokio::test]
async fn a_project_s_defaults_are_those_of_its_new_disks() {
    let daemon = with_disk().await;
    let project = "/v1/projects/default";
    let node = format!("{project}/nodes/n1/provision");
    daemon.put(&node, json!({})).await.problem(422, "image-not-named");
    let qos = json!({"iops": 1000, "burst_seconds": 10});
    let defaults = json!({"image": "golden", "disk_bytes": 65536, "qos": qos});
    let put = daemon.put(project, defaults).await.ok(StatusCode::CREATED);
    assert_eq!((&put["image"], &put["disk_bytes"]), (&json!("golden"), &json!(65536)));
    assert_eq!((&put["qos"], &daemon.get(project).await["qos"]), (&qos, &qos));
    let made = daemon.put(&node, json!({})).await.ok(StatusCode::CREATED)["disk"].clone();
    assert_eq!((&made["image"], &made["size_bytes"]), (&json!("golden"), &json!(65536)));
    assert_eq!(made["qos"], qos);
    assert_eq!(daemon.put(&node, json!({})).await.ok(StatusCode::OK)["existed"], true);
    let named = json!({"image": "golden", "size_bytes": 8192, "qos": {}});
    let other = format!("{project}/nodes/n2/provision");
    let made = daemon.put(&other, named).await.ok(StatusCode::CREATED)["disk"].clone();
    assert_eq!((&made["size_bytes"], made.get("qos")), (&json!(8192), None));
    let disk = format!("{project}/disks/d2");
    let made = daemon.put(&disk, json!({"size_bytes": 131072})).await.ok(StatusCode::CREATED);
    assert_eq!((&made["size_bytes"], &made["qos"]), (&json!(131072), &qos));
    for (bad, code) in [
        (json!({"image": "a b"}), "invalid-name"),
        (json!({"disk_bytes": 1}), "invalid-size"),
        (json!({"qos": {"iops": 1}}), "invalid-qos"),
    ] {
        daemon.put(project, bad).await.problem(422, code);
    }
    assert_eq!(daemon.get(project).await["qos"], qos, "nothing of it was taken");
    daemon.stop().await;
}
