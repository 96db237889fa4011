//! Tags, rollback, copies, downloads over the socket.

use hyper::{Method, StatusCode};
use serde_json::json;

use super::Daemon;

#[tokio::test]
async fn the_life_of_a_tag() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let image = "/v1/projects/default/images/golden";
    let tag = format!("{image}/tags/v2");
    let made = daemon.put(&tag, json!({})).await.ok(StatusCode::CREATED);
    assert_eq!((&made["image"], &made["name"]), (&json!("golden"), &json!("v2")));
    assert_eq!(daemon.put(&tag, json!({})).await.ok(StatusCode::OK)["existed"], true);
    assert_eq!(daemon.get(&tag).await["size_bytes"], 8192);
    assert_eq!(daemon.get(&format!("{image}/tags")).await["items"][0]["name"], "v2");
    assert_eq!(daemon.get(image).await["tags"], json!(["v2"]));
    let disk = "/v1/projects/default/disks/d1";
    let of_tag = json!({"image": "golden@v2"});
    assert_eq!(daemon.put(disk, of_tag).await.ok(StatusCode::CREATED)["tag"], "v2");
    let in_use = daemon.delete(&tag).await;
    assert_eq!(in_use.problem(409, "tag-in-use")["used_by"], json!(["d1"]));
    let default = daemon.put(&format!("{image}/default-tag"), json!({"tag": "v2"})).await;
    assert_eq!(default.ok(StatusCode::OK)["default_tag"], "v2");
    daemon.delete(disk).await.gone();
    daemon.delete(&tag).await.problem(409, "tag-is-default");
    daemon.put(&format!("{image}/default-tag"), json!({})).await.ok(StatusCode::OK);
    daemon.put(&tag, json!({"protected": true})).await.ok(StatusCode::OK);
    daemon.delete(&tag).await.problem(409, "tag-protected");
    daemon.put(&tag, json!({"protected": false})).await.ok(StatusCode::OK);
    daemon.delete(&tag).await.gone();
    daemon.delete(&tag).await.problem(404, "tag-not-found");
    for bad in ["a%2fb", "%2e", "a@b"] {
        daemon.put(&format!("{image}/tags/{bad}"), json!({})).await.problem(422, "invalid-name");
    }
    let none = "/v1/projects/default/images/none/tags";
    daemon.call(Method::GET, none, None).await.problem(404, "image-not-found");
    daemon.put(&format!("{image}/protection"), json!({"protected": true})).await.ok(StatusCode::OK);
    daemon.delete(image).await.problem(409, "image-protected");
    daemon.stop().await;
}

#[tokio::test]
async fn a_disk_goes_back_becomes_an_image_and_independent() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let disk = "/v1/projects/default/disks/d1";
    daemon.put(disk, json!({"image": "golden"})).await.ok(StatusCode::CREATED);
    daemon.put(&format!("{disk}/tags/t"), json!({})).await.ok(StatusCode::CREATED);
    let post = async |path: String, body| {
        let answer = daemon.call(Method::POST, &path, Some(body)).await;
        daemon.end_of(&answer.ok(StatusCode::ACCEPTED)).await
    };
    let job = post(format!("{disk}/rollback"), json!({"tag": "t"})).await;
    assert_eq!((&job["kind"], &job["state"]), (&json!("disk-rollback"), &json!("succeeded")));
    assert_eq!(daemon.get(disk).await["export"], "serving");
    daemon.data_path.exporter.sessions.store(2, std::sync::atomic::Ordering::SeqCst);
    let path = format!("{disk}/rollback");
    let in_use = daemon.call(Method::POST, &path, Some(json!({"tag": "t"}))).await;
    in_use.problem(409, "disk-in-use");
    let forced = post(path, json!({"tag": "t", "force": true})).await;
    assert_eq!(forced["state"], "succeeded");

    let path = format!("{disk}/flatten");
    let flatten = daemon.send(Method::POST, &path, "", Vec::new()).await;
    assert_eq!(flatten.problem(409, "disk-has-tags")["used_by"], json!(["t"]));
    daemon.delete(&format!("{disk}/tags/t")).await.gone();
    let flatten = daemon.send(Method::POST, &path, "", Vec::new()).await;
    let job = daemon.end_of(&flatten.ok(StatusCode::ACCEPTED)).await;
    assert_eq!((&job["kind"], &job["state"]), (&json!("disk-flatten"), &json!("succeeded")));
    assert_eq!(daemon.get(disk).await["flattened"], true);
    daemon.delete("/v1/projects/default/images/golden").await.gone();

    let job = post(format!("{disk}/image"), json!({"name": "snap", "project": "other"})).await;
    assert_eq!((&job["kind"], &job["state"]), (&json!("disk-image"), &json!("succeeded")));
    let image = daemon.get("/v1/projects/other/images/snap").await;
    assert_eq!((&image["state"], &image["source"]), (&json!("ready"), &json!("disk default/d1")));
    daemon.stop().await;
}

#[tokio::test]
async fn an_encrypted_disk_is_made_by_a_job() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let disk = "/v1/projects/default/disks/d1";
    let body = json!({"image": "golden", "encryption": "luks2"});
    let job = daemon.end_of(&daemon.put(disk, body.clone()).await.ok(StatusCode::ACCEPTED)).await;
    assert_eq!((&job["kind"], &job["state"]), (&json!("disk-encrypt"), &json!("succeeded")));
    let made = daemon.get(disk).await;
    assert_eq!((&made["encryption"], &made["flattened"]), (&json!("luks2"), &json!(true)));
    let again = daemon.put(disk, body).await.ok(StatusCode::OK);
    assert_eq!((&again["existed"], &again["encryption"]), (&json!(true), &json!("luks2")));
    let other = json!({"image": "golden", "encryption": "none"});
    daemon.put(disk, other).await.problem(409, "disk-exists");
    let bad = json!({"image": "golden", "encryption": "rot13"});
    daemon.put(disk, bad).await.problem(422, "invalid-encryption");

    let path = "/v1/projects/default/nodes/n1/provision";
    let body = json!({"image": "golden", "encryption": "luks1"});
    let job = daemon.end_of(&daemon.put(path, body.clone()).await.ok(StatusCode::ACCEPTED)).await;
    assert_eq!(job["state"], "succeeded");
    let node = daemon.put(path, body).await.ok(StatusCode::OK);
    assert_eq!(node["disk"]["encryption"], "luks1");
    daemon.world.store.keyless.store(true, std::sync::atomic::Ordering::SeqCst);
    let body = json!({"image": "golden", "encryption": "luks2"});
    let disk = "/v1/projects/default/disks/d2";
    daemon.put(disk, body).await.problem(422, "encryption-unavailable");
    daemon.stop().await;
}

#[tokio::test]
async fn an_image_is_copied_renamed_and_downloaded() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let image = "/v1/projects/default/images/golden";
    let path = format!("{image}/copy");
    let copy = daemon.call(Method::POST, &path, Some(json!({"name": "copy"}))).await;
    let job = daemon.end_of(&copy.ok(StatusCode::ACCEPTED)).await;
    assert_eq!((&job["kind"], &job["state"]), (&json!("image-copy"), &json!("succeeded")));
    let again = daemon.call(Method::POST, &path, Some(json!({"name": "copy"}))).await;
    assert_eq!(again.problem(409, "image-exists")["existing"]["name"], "copy");
    for image in ["golden", "copy"] {
        let path = format!("/v1/projects/default/images/{image}/raw");
        let answer = daemon.call(Method::GET, &path, None).await;
        assert_eq!(
            (answer.status, answer.kind.as_str()),
            (StatusCode::OK, "application/octet-stream")
        );
        assert!(answer.bytes == vec![7; 8192], "{image}");
    }
    let none = daemon.call(Method::GET, &format!("{image}/raw?tag=none"), None).await;
    none.problem(404, "tag-not-found");
    let rename = format!("{image}/rename");
    let taken = daemon.call(Method::POST, &rename, Some(json!({"name": "copy"}))).await;
    taken.problem(409, "image-exists");
    let moved = json!({"name": "trixie", "project": "other"});
    let moved = daemon.call(Method::POST, &rename, Some(moved)).await.ok(StatusCode::OK);
    assert_eq!((&moved["project"], &moved["name"]), (&json!("other"), &json!("trixie")));
    daemon.call(Method::GET, image, None).await.problem(404, "image-not-found");
    daemon.stop().await;
}

#[tokio::test]
async fn downloads_have_their_bounds() {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    let path = "/v1/projects/default/images/golden/raw";
    let reader = daemon.catalog.read_image(
        crate::catalog::Name::project("default").unwrap(),
        crate::catalog::ImageName::new("golden").unwrap(),
        None,
        None,
    );
    let reader = reader.await.unwrap();
    // An image that is being read stays.
    daemon.delete("/v1/projects/default/images/golden").await.problem(409, "busy");
    let mut places = vec![reader];
    for _ in 0..7 {
        let name = crate::catalog::ImageName::new("golden").unwrap();
        let project = crate::catalog::Name::project("default").unwrap();
        places.push(daemon.catalog.read_image(project, name, None, None).await.unwrap());
    }
    daemon.call(Method::GET, path, None).await.problem(503, "too-many-downloads");
    drop(places);
    assert_eq!(daemon.call(Method::GET, path, None).await.bytes.len(), 8192);
    daemon.stop().await;
}
