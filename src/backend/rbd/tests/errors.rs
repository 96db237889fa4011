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
