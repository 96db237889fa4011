//! Errors of the cluster that are made to happen. Those of a lost lock are in `owner`, those of
//! requests in `edges`.

use std::time::Instant;

use super::*;
use crate::block::Done;

/// What takes longer hangs.
const HANGS: Duration = Duration::from_secs(120);

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
fn a_full_cluster_keeps_writes_waiting_and_loses_none() {
    if cluster("a_full_cluster_keeps_writes_waiting").is_none() {
        return;
    }
    let (conf, dir) = own_cluster();
    let store = open_store(&conf);
    let name = image(&store, "full");
    let disk = open(&store, &name);
    disk.write(0, &[1; 512]);
    set_full(&conf, true);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| disk.run(write(512, 2)));
        for _ in 0..20 {
            assert_eq!(disk.read(0, 512), [1; 512], "reads go on");
            store.probe().unwrap();
        }
        assert!(!waiting.is_finished());
        set_full(&conf, false);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(disk.read(0, 1024), [[1; 512], [2; 512]].concat());
    drop((disk, store));
    lab(&["destroy", &dir]);
}

#[test]
fn what_osds_refuse_for_lack_of_room_is_no_space() {
    if cluster("what_osds_refuse_for_lack_of_room").is_none() {
        return;
    }
    let (conf, dir) = own_cluster();
    let store = open_store(&conf);
    let name = image(&store, "no-space");
    store.pool().unwrap().try_when_full();
    let disk = open(&store, &name);
    disk.write(0, &[1; 512]);
    set_full(&conf, true);
    // ENOSPC.
    assert_eq!(disk.run(write(8 << 20, 2)).unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(disk.read(0, 512), [1; 512]);
    assert!(!disk.volume().has_failed());
    set_full(&conf, false);
    disk.run(write(8 << 20, 3)).unwrap();
    assert_eq!(disk.read(8 << 20, 512), [3; 512]);
    drop((disk, store));
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

#[test]
fn a_pool_that_answers_with_errors_is_a_bad_medium() {
    let Some(conf) = cluster("a_pool_that_answers_with_errors") else { return };
    let pool = unique("eio");
    run(conf, &["ceph", "osd", "pool", "create", &pool, "1"]);
    run(conf, &["rbd", "pool", "init", &pool]);
    let store = RbdStore::open(Options { pool: pool.clone(), ..options(conf) }).unwrap();
    let name = image(&store, "eio");
    let disk = open(&store, &name);
    disk.write(0, &[1; 512]);
    run(conf, &["ceph", "osd", "pool", "set", &pool, "eio", "true"]);
    // EIO, once the client has heard of it.
    let begun = Instant::now();
    let read = || disk.run(Op::Read { offset: 0, buf: Buffer::unfilled(512) });
    let refused = loop {
        assert!(begun.elapsed() < HANGS);
        if let Err(error) = read() {
            break error.kind();
        }
    };
    assert_eq!(refused, ErrorKind::Medium);
    assert_eq!(disk.run(write(0, 2)).unwrap_err().kind(), ErrorKind::Medium);
    run(conf, &["ceph", "osd", "pool", "set", &pool, "eio", "false"]);
    while !matches!(read(), Ok(Done::Data(buf)) if buf.to_vec() == [1; 512]) {
        assert!(begun.elapsed() < HANGS);
    }
    drop(disk);
    store.remove(&name).unwrap();
}
