//! Sessions.

use super::*;

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let daemon = Daemon::start();
    let session = |id, target: Option<&str>| SessionInfo {
        id,
        target: target.map(str::to_owned),
        initiator: "iqn.2004-10.org.example:n1".to_owned(),
        isid: [0x40, 0, 0x27, 0x23, 0xab, 0xcd],
        tpgt: 2,
        address: "10.0.0.9:40000".parse().unwrap(),
        since: jiff::Timestamp::UNIX_EPOCH,
        bytes_read: 1,
        bytes_written: 2,
        commands: 3,
        commands_per_second: 4.0,
        read_per_second: 5.0,
        written_per_second: 6.0,
        latency: None,
    };
    *daemon.data_path.sessions.lock() = vec![session(7, Some("t1")), session(8, None)];
    let expected = json!({"id": 7, "target": "t1", "initiator": "iqn.2004-10.org.example:n1",
        "isid": "40002723abcd", "tpgt": 2, "address": "10.0.0.9:40000", "since": "1970-01-01T00:00:00Z",
        "bytes_read": 1, "bytes_written": 2, "commands": 3, "iops": 4, "read_bytes_per_second": 5,
        "written_bytes_per_second": 6});
    for name in ["t1", "T1"] {
        let found = daemon.get(&format!("/v1/sessions?target={name}")).await;
        assert_eq!(found["items"], json!([expected]));
    }
    assert_eq!(daemon.get("/v1/sessions").await["items"].as_array().unwrap().len(), 2);
    let logout = async |path: &str, body: Value| daemon.call(Method::POST, path, Some(body)).await;
    let answer = logout("/v1/sessions/7/logout", json!({})).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    logout("/v1/sessions/9/logout", json!({})).await.problem(404, "session-not-found");
    let answer = logout("/v1/sessions/7/logout", json!({"seconds": 65536})).await;
    answer.problem(422, "invalid-body");
    let drained = logout("/v1/targets/t1/drain", json!({"seconds": 3})).await;
    assert_eq!(drained.ok(StatusCode::ACCEPTED), json!({"sessions": 1}));
    logout("/v1/targets/t9/drain", json!({})).await.problem(404, "target-not-found");
    for bare in ["/v1/sessions/7/logout", "/v1/targets/t1/drain"] {
        let answer = daemon.send(Method::POST, bare, "", Vec::new()).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{bare}");
    }
    assert_eq!(logout("/v1/sessions/7/logout", Value::Null).await.status, StatusCode::ACCEPTED);
    let seconds: Vec<_> = daemon.data_path.asked.lock().iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [10, 10, 3, 10, 10, 10, 10]);
    daemon.delete("/v1/sessions/7").await.gone();
    daemon.delete("/v1/sessions/7").await.problem(404, "session-not-found");
    daemon.delete("/v1/sessions/-1").await.problem(400, "bad-request");
    daemon.stop().await;
}
