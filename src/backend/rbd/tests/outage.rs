//! A cluster that does not answer.

use super::*;

#[test]
fn connecting_gives_up() {
    if cluster("connecting_gives_up").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("ceph.conf");
    // Bound, so nobody else takes the port; not listening, so nobody answers.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let text = format!("[global]\nmon host = [v2:127.0.0.1:{port}]\nauth client required = none\n");
    std::fs::write(&conf, text).unwrap();
    let timeout = Duration::from_secs(1);
    let error = RbdStore::open(Options { timeout, ..options(&conf) }).err().unwrap();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("connecting to the Ceph cluster"), "{error}");

    let timeout = Duration::from_secs(5);
    let store = RbdStore::open_patiently(Options { timeout, ..options(&conf) }).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| store.probe());
        while !store.links[0].lock().connecting {
            assert!(!first.is_finished());
        }
        let error = store.probe().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("try again"), "it does not wait: {error}");
        let error = first.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("connecting to the Ceph cluster"), "{error}");
    });
    assert!(!store.links[0].lock().connecting);

    let missing = dir.path().join("none.conf");
    for open in [RbdStore::open, RbdStore::open_patiently] {
        let error = open(options(&missing)).err().unwrap();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("none.conf"), "{error}");
    }
}

#[test]
fn a_write_waits_for_the_cluster_and_a_probe_does_not() {
    if cluster("a_write_waits_for_the_cluster").is_none() {
        return;
    }
    let conf = start_cluster();
    let dir = conf.parent().unwrap().to_str().unwrap();
    let store =
        RbdStore::open(Options { timeout: Duration::from_secs(1), ..options(&conf) }).unwrap();
    let name = image(&store, "outage");
    let disk = open(&store, &name);
    store.probe().unwrap();
    disk.write(0, &[1; 512]);

    let lab = |args: &[&str]| assert!(Command::new(SCRIPT).args(args).status().unwrap().success());
    lab(&["kill", dir, "osd.0"]);
    let error = store.probe().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let connecting =
        Options { namespace: "blue".into(), timeout: Duration::from_secs(2), ..options(&conf) };
    let late = RbdStore::open_patiently(connecting).unwrap();
    assert!(late.links[0].lock().pool.is_none());
    std::thread::scope(|scope| {
        let write = scope.spawn(|| disk.write(512, &[2; 512]));
        // Longer than the limit of what is not on the data path.
        store.probe().unwrap_err();
        assert!(!write.is_finished());
        lab(&["up", dir]);
        write.join().unwrap();
    });
    assert_eq!(disk.read(0, 1024), [[1; 512], [2; 512]].concat());
    store.probe().unwrap();
    run(&conf, &["rbd", "namespace", "create", "rbd/blue"]);
    late.probe().unwrap();
    drop((disk, store, late));
    lab(&["destroy", dir]);
}

/// More than librados lets be under way by itself: whoever submits must not wait for room.
#[test]
fn submitting_never_waits_for_the_cluster() {
    if cluster("submitting_never_waits_for_the_cluster").is_none() {
        return;
    }
    const REQUESTS: u64 = 3000;
    let conf = start_cluster();
    let dir = conf.parent().unwrap().to_str().unwrap();
    let store = open_store(&conf);
    let name = image(&store, "many");
    let volume = store.open(&name, None, OpenMode::ReadWrite).unwrap();
    Disk::new(Arc::clone(&volume)).write(0, &[1; 512]);
    let lab = |args: &[&str]| assert!(Command::new(SCRIPT).args(args).status().unwrap().success());
    lab(&["kill", dir, "osd.0"]);
    let write = |i: u64| Op::Write {
        offset: i * 4096,
        buf: Buffer::from_slice(&pattern(i, 4096)),
        fua: false,
    };
    let queue = Arc::new(CompletionQueue::new());
    let (mut requests, mut done): (Vec<_>, _) =
        ((0..REQUESTS).map(|tag| Request { tag, op: write(tag) }).collect(), Vec::new());
    // With the cluster down: if this waited, it would do so for good.
    volume.submit(&mut requests, &mut done, &queue);
    assert!(done.is_empty());
    lab(&["up", dir]);
    let disk = Disk::new(volume);
    // Behind all of them.
    disk.run(Op::Flush).unwrap();
    for i in [0, 1, REQUESTS / 2, REQUESTS - 1] {
        assert!(disk.read(i * 4096, 4096) == pattern(i, 4096), "write {i}");
    }
    drop((disk, store));
    lab(&["destroy", dir]);
}
