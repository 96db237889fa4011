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
    let read = async |asker: Option<&str>| {
        let asker = asker.map(|name| crate::catalog::Name::project(name).unwrap());
        let project = crate::catalog::Name::project("default").unwrap();
        let name = crate::catalog::ImageName::new("golden").unwrap();
        daemon.catalog.read_image(project, name, None, asker).await
    };
    let mut places = vec![read(None).await.unwrap()];
    // An image that is being read stays.
    daemon.delete("/v1/projects/default/images/golden").await.problem(409, "busy");
    let refused = |refused: Result<crate::catalog::ImageReader, crate::catalog::Error>| {
        refused.err().unwrap().code()
    };
    assert_eq!(refused(read(Some("other")).await), "image-not-found", "it is not public");
    for _ in 0..7 {
        places.push(read(None).await.unwrap());
    }
    // Of the places that one has, nobody else wants for one.
    for _ in 0..8 {
        places.push(read(Some("default")).await.unwrap());
    }
    assert_eq!(refused(read(Some("default")).await), "too-many-downloads");
    daemon.call(Method::GET, path, None).await.problem(503, "too-many-downloads");
    drop(places);
    assert_eq!(daemon.call(Method::GET, path, None).await.bytes.len(), 8192);
    daemon.stop().await;
}

#[tokio::test]
async fn the_owner_ends_the_downloads_of_others() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let daemon = Daemon::start();
    let file = daemon.directory.path().join("large");
    std::fs::write(&file, vec![7; 16 << 20]).unwrap();
    let import = json!({"name": "pub", "file": file});
    let images = "/v1/projects/default/images";
    let other = json!({"role": "operator", "project": "other"});
    let token = daemon.put("/v1/tokens/other", other).await.ok(StatusCode::CREATED);
    let token = token["token"].as_str().unwrap();
    let begin = async || {
        let job = daemon.call(Method::POST, images, Some(import.clone())).await;
        daemon.end_of(&job.ok(StatusCode::ACCEPTED)).await;
        let public = json!({"public": true});
        daemon.put(&format!("{images}/pub/visibility"), public).await.ok(StatusCode::OK);
        // Of another project, and it takes nothing for now.
        let mut stream = tokio::net::UnixStream::connect(daemon.path()).await.unwrap();
        let head = format!(
            "GET {images}/pub/raw HTTP/1.1\r\nhost: s\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        stream
    };
    let ends = async |mut stream: tokio::net::UnixStream| {
        let mut taken = Vec::new();
        let read = tokio::time::timeout(super::HANG, stream.read_to_end(&mut taken)).await.unwrap();
        assert!(read.is_err() || taken.len() < 16 << 20, "it broke off");
    };
    let download = begin().await;
    daemon.delete(&format!("{images}/pub")).await.gone();
    ends(download).await;
    let download = begin().await;
    let private = json!({"public": false});
    daemon.put(&format!("{images}/pub/visibility"), private).await.ok(StatusCode::OK);
    ends(download).await;
    daemon.delete(&format!("{images}/pub")).await.gone();
    daemon.stop().await;
}

#[tokio::test]
async fn who_takes_next_to_nothing_is_cut_off() {
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let pacing = crate::control::Pacing {
        window: Duration::from_millis(100),
        bytes: 1 << 40,
        ..Default::default()
    };
    let daemon = Daemon::with(&crate::control::Limits { pacing, ..Default::default() });
    let file = daemon.directory.path().join("large");
    std::fs::write(&file, vec![7; 16 << 20]).unwrap();
    let import = json!({"name": "large", "file": file});
    let job = daemon.call(Method::POST, "/v1/projects/default/images", Some(import)).await;
    daemon.end_of(&job.ok(StatusCode::ACCEPTED)).await;
    let mut stream = tokio::net::UnixStream::connect(daemon.path()).await.unwrap();
    let head = "GET /v1/projects/default/images/large/raw HTTP/1.1\r\nhost: s\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut taken, mut piece) = (0, vec![0; 64 << 10]);
    let slowly = async {
        loop {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return taken,
                Ok(len) => taken += len,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let taken = tokio::time::timeout(super::HANG, slowly).await.unwrap();
    assert!(taken < 16 << 20, "{taken}");
    daemon.stop().await;
}
