//! A gateway that is cut off answers from memory for as long as its lease goes, and no longer.

use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::block::Done;

/// After which another client may have taken over: `osd_client_watch_timeout`, as it is by default.
const OTHERS_AFTER: Duration = Duration::from_secs(30);
/// Of which this much is used at most.
const LEASE: Duration = Duration::from_secs(20);

/// The daemons of a cluster that hear nothing and say nothing until this is dropped.
struct Silent(Vec<Pid>);

impl Silent {
    fn new(conf: &Path) -> Self {
        let pids = ["mon.a", "osd.0"].map(|daemon| {
            let path = conf.with_file_name("run").join(format!("{daemon}.pid"));
            let pid: i32 = std::fs::read_to_string(path).unwrap().trim().parse().unwrap();
            Pid::from_raw(pid).unwrap()
        });
        for pid in pids {
            kill_process(pid, Signal::STOP).unwrap();
            let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
            while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
                std::thread::yield_now();
            }
        }
        Self(pids.to_vec())
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _gone = kill_process(*pid, Signal::CONT);
        }
    }
}

#[test]
fn hits_end_with_the_lease() {
    if cluster("hits_end_with_the_lease").is_none() {
        return;
    }
    let conf = start_cluster();
    let dir = conf.parent().unwrap().to_str().unwrap().to_owned();
    let bounds = crate::cache::Options { golden_bytes: 32 << 20, disk_bytes: 32 << 20 };
    let store = open_store(&conf).with_cache(Cache::new(bounds));
    let name = image(&store, "golden");
    open(&store, &name).write(0, &pattern(1, 1 << 20));
    store.snapshot(&name, "s").unwrap();
    let child = format!("{name}.clone");
    store.clone_image(&name, "s", &child).unwrap();
    let volume = store.open(&child, None, OpenMode::ReadWrite).unwrap();
    let disk = Disk::new(Arc::clone(&volume));
    disk.write(4096, &[3; 4096]);
    // The disk's own, and the golden image's.
    let places = [4096, 512 << 10];
    for _ in 0..2 {
        places.iter().for_each(|at| drop(disk.read(*at, 4096)));
    }
    let queue = Arc::new(CompletionQueue::new());
    let hit = |at: u64| {
        let op = Op::Read { offset: at, buf: Buffer::unfilled(4096) };
        let (mut requests, mut done) = (vec![Request { tag: at, op }], Vec::new());
        volume.submit(&mut requests, &mut done, &queue);
        done.pop().map(|completion| completion.result.unwrap())
    };
    for at in places {
        assert!(hit(at).is_some(), "in memory");
    }
    let silent = Silent::new(&conf);
    let begun = Instant::now();
    let mut open = places.to_vec();
    let mut hits = 0_u64;
    while !open.is_empty() {
        open.retain(|at| {
            let asked = begun.elapsed();
            let answer = hit(*at);
            assert!(answer.is_none() || asked < LEASE, "at {at} after {asked:?}");
            hits += u64::from(answer.is_some());
            answer.is_some()
        });
        assert!(begun.elapsed() < OTHERS_AFTER);
        std::thread::sleep(Duration::from_millis(20));
    }
    eprintln!("cut off, {hits} hits, the last before {:?}", begun.elapsed());
    drop(silent);
    // What was not in memory any more is answered by the cluster.
    let mut answers = Vec::new();
    let begun = Instant::now();
    while answers.len() < places.len() {
        assert!(begun.elapsed() < Duration::from_secs(120));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _waiting = queue.poll_drain(&mut cx, &mut answers).is_pending();
        std::thread::yield_now();
    }
    for answer in answers {
        let Ok(Done::Data(buf)) = answer.result else { panic!("{:?}", answer.result) };
        let wanted = match answer.tag {
            4096 => vec![3; 4096],
            at => pattern(1, 1 << 20)[at as usize..][..4096].to_vec(),
        };
        assert!(buf.to_vec() == wanted);
    }
    let begun = Instant::now();
    while hit(4096).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "the lock was its own all the time");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop((disk, volume, store));
    Command::new(SCRIPT).args(["destroy", &dir]).status().unwrap();
}
