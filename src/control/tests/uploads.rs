//! Uploads over the socket: whole, in pieces, cut off, by several at once.

use hyper::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{Daemon, HANG};

const PATH: &str = "/v1/projects/default/images/up/upload";

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

impl Daemon {
    /// Sends a PATCH that announces `announced` bytes, and these; then goes away, or reads the answer.
    async fn send_piece(&self, offset: u64, announced: usize, body: &[u8]) -> (u16, String) {
        let mut stream = self.sending(offset, announced, body).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(HANG, read).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).unwrap_or("0").parse().unwrap();
        (status, text)
    }

    async fn sending(&self, offset: u64, announced: usize, body: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        let head = format!(
            "PATCH {PATH} HTTP/1.1\r\nhost: s\r\nconnection: close\r\nupload-offset: {offset}\r\n\
             content-length: {announced}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        stream
    }

    async fn offset(&self) -> u64 {
        self.get(PATH).await["offset_bytes"].as_u64().unwrap()
    }

    /// Until so many bytes are there.
    async fn reaches(&self, offset: u64) {
        let reached = async {
            while self.offset().await < offset {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANG, reached).await.unwrap();
    }

    async fn begin(&self, size_bytes: usize) {
        let body = json!({"size_bytes": size_bytes, "format": "raw", "key": "k"});
        let answer = self.put(PATH, body).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_large_file_comes_in_two_pieces() {
    let daemon = Daemon::start();
    // More than any other call may have.
    let file = bytes(1_000_000);
    daemon.begin(file.len()).await;
    let upload = daemon.get(PATH).await;
    assert_eq!((&upload["state"], &upload["offset_bytes"]), (&json!("uploading"), &json!(0)));
    assert!(upload["expires"].is_string(), "{upload}");
    let image = daemon.get("/v1/projects/default/images/up").await;
    assert_eq!(image["state"], "uploading");
    let disk = daemon.put("/v1/projects/default/disks/d", json!({"image": "up"})).await;
    disk.problem(409, "image-not-ready");

    let (status, answer) = daemon.send_piece(0, 300_000, &file[..300_000]).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("upload-offset: 300000\r\n"), "{answer}");
    assert!(answer.contains("upload-complete: ?0\r\n"), "{answer}");
    let (status, answer) = daemon.send_piece(0, 10, &file[..10]).await;
    assert_eq!((status, answer.contains("\"upload-offset\"")), (409, true), "{answer}");
    let (status, answer) = daemon.send_piece(300_000, 700_000, &file[300_000..]).await;
    assert_eq!(status, 202, "{answer}");
    let upload: serde_json::Value =
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let job = daemon.end_of(&upload["job"]).await;
    assert_eq!((&job["state"], &job["kind"]), (&json!("succeeded"), &json!("image-upload")));
    assert_eq!(daemon.get("/v1/projects/default/images/up").await["state"], "ready");
    let raw = daemon.call(Method::GET, "/v1/projects/default/images/up/raw", None).await;
    assert!(raw.bytes[..file.len()] == file[..]);
    assert_eq!(daemon.get(PATH).await["state"], "ready");
    daemon.delete(PATH).await.problem(404, "upload-not-found");
    daemon.stop().await;
}

#[tokio::test]
async fn what_came_before_the_connection_broke_is_kept() {
    let daemon = Daemon::start();
    let file = bytes(400_000);
    daemon.begin(file.len()).await;
    drop(daemon.sending(0, file.len(), &file[..250_000]).await);
    // The rest is sent behind whatever there is.
    daemon.reaches(250_000).await;
    let (status, answer) = daemon.send_piece(250_000, 150_000, &file[250_000..]).await;
    assert_eq!(status, 202, "{answer}");
    daemon.stop().await;
}

#[tokio::test]
async fn who_goes_on_ends_the_call_that_hangs() {
    let daemon = Daemon::start();
    let file = bytes(200_000);
    daemon.begin(file.len()).await;
    let mut hangs = daemon.sending(0, file.len(), &file[..100_000]).await;
    daemon.reaches(100_000).await;
    let (status, answer) = daemon.send_piece(100_000, 100_000, &file[100_000..]).await;
    assert_eq!(status, 202, "{answer}");
    let mut answer = Vec::new();
    tokio::time::timeout(HANG, hangs.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("upload-interrupted"), "{answer}");
    // And so does who gives it up.
    daemon.delete("/v1/projects/default/images/up").await;
    daemon.begin(file.len()).await;
    let _hangs = daemon.sending(0, file.len(), &file[..100_000]).await;
    daemon.reaches(100_000).await;
    daemon.delete(PATH).await.gone();
    assert_eq!(daemon.get("/v1/images").await["items"], json!([]));
    assert!(daemon.world.store.images.lock().is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn nonsense_is_refused_and_changes_nothing() {
    let daemon = Daemon::start();
    let put = async |body| daemon.put(PATH, body).await;
    put(json!({"size_bytes": 1})).await.problem(422, "invalid-body");
    put(json!({"size_bytes": -1, "format": "raw"})).await.problem(422, "invalid-body");
    put(json!({"size_bytes": 1, "format": "vmdk"})).await.problem(422, "invalid-format");
    put(json!({"size_bytes": 0, "format": "raw"})).await.problem(422, "source-empty");
    let sum = json!({"size_bytes": 1, "format": "raw", "sha256": "12"});
    put(sum).await.problem(422, "invalid-checksum");
    let store = json!({"size_bytes": 1, "format": "raw", "store": "none"});
    put(store).await.problem(422, "store-unknown");
    for name in ["a%2Fb", "%00", ".x", "a%0Ab", "%F0%9F%92%A5", "..%2F..%2Fetc", "a%40b", "%FF"] {
        let path = format!("/v1/projects/default/images/{name}/upload");
        let answer = daemon.put(&path, json!({"size_bytes": 1, "format": "raw"})).await;
        assert!(answer.status.is_client_error(), "{name}: {}", answer.text());
        assert_eq!(answer.kind, "application/problem+json");
    }
    daemon.call(Method::GET, PATH, None).await.problem(404, "image-not-found");
    assert_eq!(daemon.send_piece(0, 1, b"x").await.0, 404);
    daemon.begin(1000).await;
    let (status, answer) = daemon.send_piece(0, 1001, &[]).await;
    assert_eq!((status, answer.contains("upload-beyond-end")), (422, true), "{answer}");
    let patch = daemon.send(Method::PATCH, PATH, "application/octet-stream", vec![1]).await;
    patch.problem(400, "bad-request");
    assert_eq!(daemon.offset().await, 0);
    daemon
        .put(PATH, json!({"size_bytes": 1000, "format": "raw"}))
        .await
        .problem(409, "image-exists");
    daemon
        .put(PATH, json!({"size_bytes": 999, "format": "raw", "key": "k"}))
        .await
        .problem(409, "image-exists");
    daemon.import("golden").await;
    let both = json!({"name": "x", "file": "/a", "rbd": "a/b"});
    let import = "/v1/projects/default/images";
    daemon.call(Method::POST, import, Some(both)).await.problem(422, "invalid-body");
    let rbd = json!({"name": "x", "rbd": "nonsense"});
    daemon.call(Method::POST, import, Some(rbd)).await.problem(422, "invalid-pool-image");
    let export = "/v1/projects/default/images/golden/export";
    daemon.call(Method::POST, export, Some(json!({}))).await.problem(422, "invalid-body");
    let relative = json!({"file": "x"});
    daemon.call(Method::POST, export, Some(relative)).await.problem(422, "invalid-path");
    daemon.stop().await;
}

#[tokio::test]
async fn a_full_store_says_so_and_the_upload_goes_on_later() {
    use std::sync::atomic::Ordering;
    let daemon = Daemon::start();
    let file = bytes(3_000_000);
    daemon.begin(file.len()).await;
    assert_eq!(daemon.send_piece(0, 1000, &file[..1000]).await.0, 200);
    daemon.world.store.full.store(true, Ordering::SeqCst);
    let (status, answer) = daemon.send_piece(1000, file.len() - 1000, &file[1000..]).await;
    assert_eq!((status, answer.contains("\"store-full\"")), (507, true), "{answer}");
    daemon.world.store.full.store(false, Ordering::SeqCst);
    assert_eq!(daemon.offset().await, 1000);
    assert_eq!(daemon.send_piece(1000, file.len() - 1000, &file[1000..]).await.0, 202);
    daemon.stop().await;
}

#[tokio::test]
async fn of_those_who_race_for_a_name_one_gets_it() {
    let daemon = Daemon::start();
    let file = daemon.directory.path().join("f");
    std::fs::write(&file, vec![7; 8192]).unwrap();
    let import = json!({"name": "up", "file": file});
    let images = "/v1/projects/default/images";
    let upload = |key: &str| json!({"size_bytes": 8192, "format": "raw", "key": key});
    let (a, b, c) = tokio::join!(
        daemon.put(PATH, upload("a")),
        daemon.put(PATH, upload("b")),
        daemon.call(Method::POST, images, Some(import)),
    );
    let won = [&a, &b, &c].iter().filter(|answer| answer.status.is_success()).count();
    assert_eq!(won, 1, "{} {} {}", a.text(), b.text(), c.text());
    for lost in [a, b, c].into_iter().filter(|answer| !answer.status.is_success()) {
        lost.problem(409, "image-exists");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_stop_ends_an_upload_at_once() {
    let daemon = Daemon::start();
    let file = bytes(200_000);
    daemon.begin(file.len()).await;
    let mut hangs = daemon.sending(0, file.len(), &file[..100_000]).await;
    daemon.reaches(100_000).await;
    let world = daemon.stop().await;
    let mut answer = Vec::new();
    tokio::time::timeout(HANG, hangs.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("\"stopping\""));
    let stored = world.store.images.lock();
    let written: usize = stored.values().flat_map(|it| &it.data).map(|(_, data)| data.len()).sum();
    assert!(written >= 90_000, "{written}");
}

#[tokio::test]
async fn an_encrypted_qcow2_is_refused_with_its_first_bytes() {
    let daemon = Daemon::start();
    let body = json!({"size_bytes": 1 << 30, "format": "qcow2"});
    assert!(daemon.put(PATH, body).await.status.is_success());
    let mut file = [0; 200];
    file[..4].copy_from_slice(b"QFI\xfb");
    file[7] = 3;
    file[23] = 16;
    assert_eq!(daemon.send_piece(0, 100, &file[..100]).await.0, 200);
    // The field that says LUKS.
    file[35] = 2;
    daemon.delete(PATH).await.gone();
    let body = json!({"size_bytes": 1 << 30, "format": "qcow2"});
    assert!(daemon.put(PATH, body).await.status.is_success());
    assert_eq!(daemon.send_piece(0, 100, &file[..100]).await.0, 200);
    let (status, answer) = daemon.send_piece(100, 100, &file[100..]).await;
    assert_eq!((status, answer.contains("\"source-encrypted\"")), (422, true), "{answer}");
    daemon.call(Method::GET, PATH, None).await.problem(404, "image-not-found");
    daemon.stop().await;
}

#[tokio::test]
async fn zeros_are_told_in_runs_and_a_file_ends_where_it_says() {
    use crate::control::api::runs::{RUNS, head};
    let daemon = Daemon::start();
    let patch = async |offset: u64, complete: &str, body: &[u8]| {
        let mut stream = UnixStream::connect(daemon.path()).await.unwrap();
        let head = format!(
            "PATCH {PATH} HTTP/1.1\r\nhost: s\r\nconnection: close\r\nupload-offset: {offset}\r\n\
             content-type: {RUNS}\r\nupload-complete: {complete}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(HANG, read).await.unwrap().unwrap();
        (answer.split(' ').nth(1).unwrap_or("0").parse::<u16>().unwrap(), answer)
    };
    let data = [&head(false, 3)[..], b"abc"].concat();
    let zeros = head(true, 1 << 20).to_vec();
    for size_bytes in [Some((1 << 20) + 6), None] {
        let mut body = json!({"format": "raw"});
        if let Some(size_bytes) = size_bytes {
            body["size_bytes"] = json!(size_bytes);
        }
        assert!(daemon.put(PATH, body).await.status.is_success());
        // Nonsense adds nothing, and what comes before it is kept.
        let (status, answer) = patch(0, "?1", &[&data[..], &[0; 8]].concat()).await;
        assert_eq!((status, answer.contains("a run of no bytes")), (400, true), "{answer}");
        let (status, answer) = patch(3, "?1", &[&zeros[..], &data[..9]].concat()).await;
        assert_eq!((status, answer.contains("within a run")), (400, true), "{answer}");
        assert_eq!(daemon.offset().await, (1 << 20) + 4);
        if size_bytes.is_some() {
            let (status, answer) = patch((1 << 20) + 4, "?0", &head(true, u64::MAX >> 1)).await;
            assert_eq!(status, 422, "{answer}");
        }
        let rest = [&head(false, 2)[..], b"bc"].concat();
        let (status, answer) = patch((1 << 20) + 4, "?1", &rest).await;
        assert_eq!((status, answer.contains("upload-complete: ?1")), (202, true), "{answer}");
        let job =
            serde_json::from_str::<serde_json::Value>(answer.split("\r\n\r\n").nth(1).unwrap());
        let ended = daemon.end_of(&job.unwrap()["job"]).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let image = "/v1/projects/default/images/up";
        let raw = daemon.call(Method::GET, &format!("{image}/raw"), None).await.bytes;
        assert_eq!(raw.len(), ((1 << 20) + 6_usize).next_multiple_of(512));
        assert_eq!((&raw[..4], &raw[(1 << 20) + 3..][..4]), (&b"abc\0"[..], &b"abc\0"[..]));
        assert!(raw[3..1 << 20].iter().all(|byte| *byte == 0));
        daemon.delete(image).await.gone();
    }
    daemon.stop().await;
}

#[tokio::test]
async fn who_sends_next_to_nothing_is_given_up() {
    use std::time::Duration;
    let pacing = crate::control::Pacing {
        window: Duration::from_millis(100),
        bytes: 1 << 30,
        ..Default::default()
    };
    let daemon = Daemon::with(&crate::control::Limits { pacing, ..Default::default() });
    daemon.begin(1 << 20).await;
    // Never silent for long, and never fast.
    let mut stream = daemon.sending(0, 1 << 20, b"x").await;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    let slowly = async {
        loop {
            tokio::select! {
                read = stream.read(&mut piece) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(len) => answer.extend_from_slice(&piece[..len]),
                },
                () = tokio::time::sleep(Duration::from_millis(10)) => {
                    if stream.write_all(b"x").await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::time::timeout(HANG, slowly).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("upload-stalled") && answer.contains("less than"), "{answer}");
    assert!(daemon.offset().await > 0, "what came is kept");
    daemon.stop().await;
}
