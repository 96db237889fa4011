//! Errors of the cluster that are made to happen. Those of a lost lock are in `owner`, those of
//! requests in `edges`.

use std::time::Instant;

use super::*;

/// What takes longer hangs.
const HANGS: Duration = Duration::from_secs(300);

fn write(offset: u64, byte: u8) -> Op {
    Op::Write { offset, buf: Buffer::from_slice(&[byte; 512]), fua: false }
}

/// A cluster of the test's own, and its directory.
fn own_cluster() -> (PathBuf, String) {
    let conf = start_cluster();
    let dir = conf.parent().unwrap().to_str().unwrap().to_owned();
    (conf, dir)
}

fn lab(args: &[&str]) {
    assert!(Command::new(SCRIPT).args(args).status().unwrap().success());
}

/// Has the OSDs take themselves for full, or not.
fn set_full(conf: &Path, full: bool) {
    let ratios = if full { ["0.000008", "0.000009", "0.00001"] } else { ["0.85", "0.90", "0.95"] };
    let names = ["set-nearfull-ratio", "set-backfillfull-ratio", "set-full-ratio"];
    let mut pairs: Vec<_> = names.into_iter().zip(ratios).collect();
    // Each must stay below the next.
    if !full {
        pairs.reverse();
    }
    for (name, ratio) in pairs {
        run(conf, &["ceph", "osd", name, ratio]);
    }
    let begun = Instant::now();
    while run(conf, &["ceph", "osd", "dump"]).contains("full,up") != full {
        assert!(begun.elapsed() < HANGS);
    }
}

#[test]
fn a_full_cluster_keeps_writes_waiting_and_what_it_refuses_is_no_space() {
    if cluster("a_full_cluster_keeps_writes_waiting").is_none() {
        return;
    }
    let (conf, dir) = own_cluster();
    let (store, trying) = (open_store(&conf), open_store(&conf));
    trying.pool().unwrap().try_when_full();
    let names = [image(&store, "waiting"), image(&store, "refused")];
    let (disk, refused) = (open(&store, &names[0]), open(&trying, &names[1]));
    for disk in [&disk, &refused] {
        disk.write(0, &[1; 512]);
    }
    set_full(&conf, true);
    // The OSD hears of it a little later than the monitor tells.
    let begun = Instant::now();
    while refused.run(write(8 << 20, 2)).is_ok() {
        assert!(begun.elapsed() < HANGS);
    }
    let queue = Arc::new(CompletionQueue::new());
    let (mut requests, mut done) = (vec![Request { tag: 7, op: write(512, 2) }], Vec::new());
    disk.volume().submit(&mut requests, &mut done, &queue);
    assert!(done.is_empty());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..20 {
        // ENOSPC, and reads go on.
        assert_eq!(refused.run(write(8 << 20, 2)).unwrap_err().kind(), ErrorKind::NoSpace);
        assert_eq!(disk.read(0, 512), [1; 512]);
        store.probe().unwrap();
        assert!(queue.poll_drain(&mut cx, &mut done).is_pending(), "it waits");
    }
    assert!(!refused.volume().has_failed() && !disk.volume().has_failed());
    set_full(&conf, false);
    let begun = Instant::now();
    while queue.poll_drain(&mut cx, &mut done).is_pending() {
        assert!(begun.elapsed() < HANGS);
        std::thread::yield_now();
    }
    done.pop().unwrap().result.unwrap();
    assert_eq!(disk.read(0, 1024), [[1; 512], [2; 512]].concat());
    while refused.run(write(8 << 20, 3)).is_err() {
        assert!(begun.elapsed() < HANGS);
    }
    assert_eq!(refused.read(8 << 20, 512), [3; 512]);
    drop((disk, refused, store, trying));
    lab(&["destroy", &dir]);
}

#[test]
fn what_times_out_is_told_so() {
    if cluster("what_times_out_is_told_so").is_none() {
        return;
    }
    let (conf, dir) = own_cluster();
    let store = open_store(&conf);
    let name = image(&store, "time-out");
    let disk = open(&store, &name);
    disk.write(0, &[1; 512]);
    store.pool().unwrap().cluster().break_rule("rados_osd_op_timeout", "2");
    lab(&["kill", &dir, "osd.0"]);
    // ETIMEDOUT.
    assert_eq!(disk.run(write(512, 2)).unwrap_err().kind(), ErrorKind::TimedOut);
    let read = disk.run(Op::Read { offset: 0, buf: Buffer::unfilled(512) });
    assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(!disk.volume().has_failed());
    store.pool().unwrap().cluster().break_rule("rados_osd_op_timeout", "0");
    lab(&["up", &dir]);
    assert_eq!(disk.read(0, 512), [1; 512]);
    disk.write(512, &[3; 512]);
    drop((disk, store));
    lab(&["destroy", &dir]);
}

/// The OSD that keeps each shard of an object, the primary first.
fn acting(conf: &Path, pool: &str, object: &str) -> (String, Vec<u64>) {
    let map = run(conf, &["ceph", "osd", "map", pool, object, "-f", "json"]);
    let map: serde_json::Value = serde_json::from_str(&map).unwrap();
    let osds = map["acting"].as_array().unwrap().iter().map(|osd| osd.as_u64().unwrap());
    (map["pgid"].as_str().unwrap().to_owned(), osds.collect())
}

#[test]
fn what_the_cluster_cannot_read_is_a_medium_error_and_the_rest_is_read() {
    if cluster("what_the_cluster_cannot_read_is_a_medium_error").is_none() {
        return;
    }
    // Of a replicated object that no copy is good of, an OSD waits for one that may come back.
    // Of an erasure-coded one with too few shards it says EIO.
    let conf = start_cluster_with(&["--osds", "3", "--size", "2G"]);
    let dir = conf.parent().unwrap().to_str().unwrap();
    let profile = ["osd", "erasure-code-profile", "set", "p", "k=2", "m=1"];
    for command in [
        &[&profile[..], &["crush-failure-domain=osd"]].concat()[..],
        &["osd", "pool", "create", "coded", "1", "1", "erasure", "p"],
        &["osd", "pool", "set", "coded", "allow_ec_overwrites", "true"],
    ] {
        run(&conf, &[&["ceph"], command].concat());
    }
    let (store, name) = (open_store(&conf), unique("coded"));
    run(&conf, &["rbd", "create", "--size", "16M", "--data-pool", "coded", &name]);
    let disk = open(&store, &name);
    for at in [0, 4 << 20] {
        disk.write(at, &[1; 32 << 10]);
    }
    let objects = run(&conf, &["rados", "-p", "coded", "ls"]);
    let object = objects.lines().find(|line| line.ends_with(".0000000000000000")).unwrap();
    let (group, osds) = acting(&conf, "coded", object);
    // Not that of the primary: it would take the object for one that nobody wrote.
    let lost = [1, 2].map(|shard: usize| (shard, osds[shard]));
    for (_, osd) in lost {
        lab(&["kill", dir, &format!("osd.{osd}")]);
    }
    for (shard, osd) in lost {
        let place = format!("{dir}/osd.{osd}");
        let group = format!("{group}s{shard}");
        let output = Command::new("ceph-objectstore-tool")
            .args(["--no-mon-config", "--data-path", &place, "--pgid", &group, object, "remove"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    lab(&["up", dir]);
    let read = |offset| disk.run(Op::Read { offset, buf: Buffer::unfilled(512) });
    assert_eq!(read(0).unwrap_err().kind(), ErrorKind::Medium);
    assert_eq!(disk.read(4 << 20, 512), [1; 512]);
    assert!(!disk.volume().has_failed(), "the disk is served on");
    assert_eq!(read(0).unwrap_err().kind(), ErrorKind::Medium, "it is not forgotten");
    drop((disk, store));
    lab(&["destroy", dir]);
}

#[test]
#[ignore = "needs a cluster with ceph-mgr: see docs/rbd.md"]
fn a_pool_over_its_quota_keeps_writes_waiting_and_what_it_refuses_is_no_space() {
    let conf = &PathBuf::from(std::env::var_os("CEPH_CONF").expect("CEPH_CONF"));
    let (store, trying) = (open_store(conf), open_store(conf));
    trying.pool().unwrap().try_when_full();
    let names = [image(&store, "waiting"), image(&store, "refused")];
    let (disk, refused) = (open(&store, &names[0]), open(&trying, &names[1]));
    for disk in [&disk, &refused] {
        disk.write(0, &[1; 512]);
    }
    let quota =
        |objects| run(conf, &["ceph", "osd", "pool", "set-quota", "rbd", "max_objects", objects]);
    let is_full = || run(conf, &["ceph", "osd", "dump"]).contains("full_quota");
    let begun = Instant::now();
    quota("1");
    while !is_full() || refused.run(write(8 << 20, 2)).is_ok() {
        assert!(begun.elapsed() < HANGS);
    }
    let queue = Arc::new(CompletionQueue::new());
    let (mut requests, mut done) = (vec![Request { tag: 7, op: write(8 << 20, 2) }], Vec::new());
    disk.volume().submit(&mut requests, &mut done, &queue);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..20 {
        // EDQUOT, and reads go on.
        let error = refused.run(write(12 << 20, 2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.to_string().contains("quota"), "{error}");
        assert_eq!(disk.read(0, 512), [1; 512]);
        assert!(queue.poll_drain(&mut cx, &mut done).is_pending(), "it waits");
    }
    quota("0");
    while queue.poll_drain(&mut cx, &mut done).is_pending() {
        assert!(begun.elapsed() < HANGS);
        std::thread::yield_now();
    }
    done.pop().unwrap().result.unwrap();
    assert_eq!(disk.read(8 << 20, 512), [2; 512]);
    assert!(!refused.volume().has_failed() && !disk.volume().has_failed());
    drop((disk, refused));
    names.iter().for_each(|name| store.remove(name).unwrap());
}
