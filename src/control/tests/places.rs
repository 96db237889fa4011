//! Where a disk can be reached: portal groups, redirection.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::Daemon;

#[tokio::test]
async fn a_disk_is_sent_elsewhere_and_called_back() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let path = "/v1/projects/default/disks/d1";
    let redirect = format!("{path}/redirect");
    let there = json!({"address": "192.0.2.9", "permanently": true});
    daemon.put(&redirect, there.clone()).await.problem(404, "disk-not-found");
    daemon.put(path, json!({"image": "golden"})).await.ok(StatusCode::CREATED);
    assert!(daemon.get(path).await.get("redirect").is_none());

    let disk = daemon.put(&redirect, there.clone()).await.ok(StatusCode::OK);
    let expected = json!({"address": "192.0.2.9:3260", "permanently": true});
    assert_eq!(disk["redirect"], expected);
    assert_eq!(daemon.put(&redirect, there).await.ok(StatusCode::OK)["redirect"], expected);
    let targets = daemon.get("/v1/targets").await;
    assert_eq!(targets["items"][0]["redirect"], expected, "the data path was told");
    let nowhere = json!({"address": "0.0.0.0"});
    daemon.put(&redirect, nowhere).await.problem(422, "invalid-address");
    for own in ["10.0.0.1", "10.0.1.1:3260", "[fd00:0::1]", "[::ffff:10.0.0.1]:3260"] {
        let here = json!({"address": own});
        daemon.put(&redirect, here).await.problem(400, "redirect-to-self");
    }
    assert_eq!(daemon.get(path).await["redirect"], expected);

    let disk = daemon.delete(&redirect).await.ok(StatusCode::OK);
    assert!(disk.get("redirect").is_none());
    daemon.delete(&redirect).await.ok(StatusCode::OK);
    assert!(daemon.get("/v1/targets").await["items"][0].get("redirect").is_none());
    daemon.stop().await;
}

#[tokio::test]
async fn a_disk_is_reached_in_its_portal_groups() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let path = "/v1/projects/default/disks/d1";
    let unknown = json!({"image": "golden", "portal_groups": [1, 3]});
    let problem = daemon.put(path, unknown).await.problem(422, "portal-group-unknown");
    assert_eq!(problem["detail"], "no portal group 3 is configured; there is 1, 2");
    let body = json!({"image": "golden", "portal_groups": [2]});
    let disk = daemon.put(path, body.clone()).await.ok(StatusCode::CREATED);
    let portal = json!({"address": "10.0.1.1", "port": 3260, "tpgt": 2});
    assert_eq!((&disk["portal_groups"], &disk["boot"]["portals"]), (&json!([2]), &json!([portal])));
    assert_eq!(daemon.get("/v1/targets").await["items"][0]["portals"], json!([portal]));
    assert_eq!(daemon.put(path, body).await.ok(StatusCode::OK)["existed"], true);
    daemon.put(path, json!({"image": "golden"})).await.problem(409, "disk-exists");
    daemon.stop().await;
}

#[tokio::test]
async fn disks_of_a_project_are_reached_in_its_portal_groups() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let project = "/v1/projects/default";
    let disk = |name: &str| format!("{project}/disks/{name}");
    let before = daemon.put(&disk("before"), json!({"image": "golden"})).await;
    assert_eq!(before.ok(StatusCode::CREATED)["portal_groups"], json!([]));
    let unknown = json!({"portal_groups": [3]});
    daemon.put(project, unknown).await.problem(422, "portal-group-unknown");
    daemon.put(project, json!({"store": "none"})).await.problem(422, "store-unknown");
    let settings = json!({"portal_groups": [2, 2], "store": "local", "disks": 9});
    let made = daemon.put(project, settings).await.ok(StatusCode::CREATED);
    assert_eq!((&made["portal_groups"], &made["store"]), (&json!([2]), &json!("local")));
    assert_eq!(made["quota"], json!({"disks": 9}));
    assert_eq!(daemon.get(project).await["portal_groups"], json!([2]));

    for (name, body) in [
        ("d1", json!({"image": "golden"})),
        ("d2", json!({"image": "golden", "portal_groups": [2]})),
    ] {
        let made = daemon.put(&disk(name), body.clone()).await.ok(StatusCode::CREATED);
        assert_eq!(made["portal_groups"], json!([2]));
        assert_eq!(daemon.put(&disk(name), body).await.ok(StatusCode::OK)["existed"], true);
    }
    let node =
        daemon.put(&format!("{project}/nodes/n1/provision"), json!({"image": "golden"})).await;
    assert_eq!(node.ok(StatusCode::CREATED)["disk"]["portal_groups"], json!([2]));
    for groups in [json!([1]), json!([1, 2])] {
        let body = json!({"image": "golden", "portal_groups": groups});
        daemon.put(&disk("d3"), body).await.problem(422, "portal-group-not-allowed");
    }
    assert_eq!(daemon.get(&disk("before")).await["portal_groups"], json!([]), "it stays as it is");
    let change = async |groups: Value| {
        let body = Some(json!({"portal_groups": groups}));
        daemon.call(Method::PATCH, &disk("before"), body).await
    };
    change(json!([1])).await.problem(422, "portal-group-not-allowed");
    assert_eq!(change(json!([])).await.ok(StatusCode::OK)["portal_groups"], json!([2]));
    daemon.put(project, json!({})).await.ok(StatusCode::OK);
    let body = json!({"image": "golden", "portal_groups": [1]});
    daemon.put(&disk("d3"), body).await.ok(StatusCode::CREATED);
    daemon.stop().await;
}
