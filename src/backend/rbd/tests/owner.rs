//! Who may write, and what becomes of those who may not any more.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use super::*;
use crate::backend::rbd::owner::claim;

/// Set for the process that [`victim`] runs in: the image it opens.
const VICTIM: &str = "STIRRUP_TEST_RBD_VICTIM";

#[test]
fn a_second_writer_is_refused_with_the_owners_address() {
    let Some(conf) = cluster("a_second_writer_is_refused") else { return };
    let (ours, theirs) = (open_store(conf), open_store(conf));
    let name = image(&ours, "owned");
    let disk = open(&ours, &name);
    disk.write(0, &[3; 512]);
    for store in [&ours, &theirs] {
        let error = store.open(&name, None, OpenMode::ReadWrite).err().unwrap();
        assert_eq!(error.kind(), StoreErrorKind::InUse, "{error}");
        assert!(error.to_string().contains(":0/"), "the owner's address: {error}");
        assert_eq!(kind_of(store.writer(&name)), StoreErrorKind::InUse);
        assert_eq!(kind_of(store.remove(&name)), StoreErrorKind::InUse);
        let reader = Disk::new(store.open(&name, None, OpenMode::ReadOnly).unwrap());
        disk.write(512, &[3; 512]);
        assert_eq!(reader.read(512, 512), [3; 512]);
    }
    drop(disk);
    drop(open(&ours, &name));
    ours.pool().unwrap().wait_closed(&name);
    drop(open(&theirs, &name));
    theirs.remove(&name).unwrap();
}

#[test]
fn a_tool_that_writes_is_refused_while_we_own_the_image() {
    let Some(conf) = cluster("a_tool_that_writes_is_refused") else { return };
    let store = open_store(conf);
    let name = image(&store, "bench");
    let disk = open(&store, &name);
    disk.write(512, &[0; 512]);
    // librbd's automatic lock asks us for it.
    let output = Command::new("rbd")
        .arg("-c")
        .arg(conf)
        .args(["bench", "--io-type", "write", "--io-total", "4K", &format!("rbd/{name}")])
        .output()
        .unwrap();
    assert!(!output.status.success(), "the lock was handed over");
    disk.write(0, &[5; 512]);
    assert_eq!(disk.read(0, 1024)[..512], [5; 512]);
    assert_eq!(disk.read(0, 1024)[512..], [0; 512]);
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn an_owner_whose_lock_was_broken_is_fenced_for_good() {
    let Some(conf) = cluster("an_owner_whose_lock_was_broken_is_fenced") else { return };
    let (ours, theirs) = (open_store(conf), open_store(conf));
    let (name, other) = (image(&ours, "fenced"), image(&ours, "fenced-too"));
    let disk = open(&ours, &name);
    let neighbour = ours.open(&other, None, OpenMode::ReadWrite).unwrap();
    disk.write(0, &[1; 512]);
    disk.save_state(b"in time").unwrap();
    assert!(!neighbour.has_failed());

    let pool = theirs.pool().unwrap();
    let thief = Image::open(&pool, &name, None, Access::ReadWrite).unwrap();
    let owner = thief.lock_owner().unwrap().unwrap();
    thief.break_lock(&owner).unwrap();
    claim(&thief).unwrap();

    // The new owner's record is not overwritten; being refused so is being fenced, too.
    let taken = RbdVolume::of_image(thief).unwrap();
    assert_eq!(disk.save_state(b"too late"), Err(ErrorKind::Fenced));
    assert_eq!(taken.saved_state(), SavedState::Record(b"in time".to_vec()));

    let write = |disk: &Disk| {
        let buf = Buffer::from_slice(&[2; 512]);
        disk.run(Op::Write { offset: 0, buf, fua: false }).unwrap_err().kind()
    };
    assert_eq!(write(&disk), ErrorKind::Fenced);
    assert_eq!(write(&disk), ErrorKind::Fenced, "for good");
    let read = disk.run(Op::Read { offset: 0, buf: Buffer::unfilled(512) });
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Fenced, "nothing stale is read");
    assert_eq!(disk.run(Op::Flush).unwrap_err().kind(), ErrorKind::Fenced);
    assert!(neighbour.has_failed(), "the blocklist is the client's");
    assert_eq!(write(&Disk::new(neighbour)), ErrorKind::Fenced);

    // The store goes on with a new client.
    drop(disk);
    let thief = Disk::new(Arc::new(taken));
    assert_eq!(thief.state(), SavedState::Record(b"in time".to_vec()));
    assert_eq!(thief.read(0, 512), [1; 512], "what was fenced wrote nothing");
    assert_eq!(kind_of(ours.open(&name, None, OpenMode::ReadWrite)), StoreErrorKind::InUse);
    drop(thief);
    pool.wait_closed(&name);
    drop(open(&ours, &name));
    ours.remove(&name).unwrap();
}

/// Another client takes `disk` away from its owner by `take`, while writes are under way: from then
/// on every request fails, and the store's new client has the disk.
fn taken_away(conf: &Path, what: &str, take: impl FnOnce(&str, &Image)) {
    let store = open_store(conf);
    let name = image(&store, what);
    let volume = store.open(&name, None, OpenMode::ReadWrite).unwrap();
    let disk = Disk::new(Arc::clone(&volume));
    let write = |at: u64| Op::Write { offset: at, buf: Buffer::from_slice(&[7; 4096]), fua: false };
    disk.run(write(0)).unwrap();
    let seen = Image::open(&store.pool().unwrap(), &name, None, Access::ReadOnly).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // Until one is refused; none hangs.
            (0..).find_map(|round: u64| {
                let results = disk.run_all((0..16).map(|i| write((round * 16 + i) % 512 * 4096)));
                results.into_iter().find_map(Result::err)
            })
        });
        take(&name, &seen);
        assert_eq!(writer.join().unwrap().unwrap().kind(), ErrorKind::Fenced);
    });
    assert!(volume.has_failed());
    for op in [write(0), Op::Flush, Op::Read { offset: 0, buf: Buffer::unfilled(512) }] {
        assert_eq!(disk.run(op).unwrap_err().kind(), ErrorKind::Fenced);
    }
    drop((seen, volume, disk));
    let disk = open(&store, &name);
    assert_eq!(disk.read(0, 4096), [7; 4096], "what was answered is there");
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn a_blocklisted_client_is_fenced_at_once() {
    let Some(conf) = cluster("a_blocklisted_client_is_fenced_at_once") else { return };
    taken_away(conf, "blocklisted", |_, image| {
        let watchers = image.watchers().unwrap();
        run(conf, &["ceph", "osd", "blocklist", "add", &watchers[0]]);
    });
}

#[test]
fn an_owner_whose_lock_was_removed_is_fenced_at_once() {
    let Some(conf) = cluster("an_owner_whose_lock_was_removed_is_fenced_at_once") else { return };
    taken_away(conf, "lock-removed", |name, _| {
        let list = run(conf, &["rbd", "lock", "list", "--format", "json", name]);
        let locks: serde_json::Value = serde_json::from_str(&list).unwrap();
        let lock = &locks[0];
        let (id, locker) = (lock["id"].as_str().unwrap(), lock["locker"].as_str().unwrap());
        run(conf, &["rbd", "lock", "remove", name, id, locker]);
    });
}

/// Starts a process that owns `image` and writes to it without end; returns once it does.
fn start_victim(conf: &Path, image: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backend::rbd::tests::owner::victim", "--nocapture"])
        .env(VICTIM, image)
        .env("CEPH_CONF", conf)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("victim writes")), "the victim failed");
    child
}

/// Not a test: the body of the process above.
#[test]
fn victim() {
    let Ok(image) = std::env::var(VICTIM) else { return };
    let store = open_store(cluster("victim").unwrap());
    let disk = open(&store, &image);
    for round in 1_u64.. {
        let write = |i: u64| Op::Write {
            offset: i * 4096,
            buf: Buffer::from_slice(&round.to_le_bytes().repeat(512)),
            fua: false,
        };
        disk.run_all((0..16).map(write)).into_iter().for_each(|result| drop(result.unwrap()));
        if round == 1 {
            println!("victim writes");
        }
    }
}

#[test]
fn a_killed_owner_of_this_machine_is_taken_over_at_once() {
    let Some(conf) = cluster("a_killed_owner_is_taken_over_at_once") else { return };
    let store = open_store(conf);
    let name = image(&store, "killed");
    let mut child = start_victim(conf, &name);
    assert_eq!(kind_of(store.open(&name, None, OpenMode::ReadWrite)), StoreErrorKind::InUse);
    child.kill().unwrap();
    child.wait().unwrap();
    let begun = std::time::Instant::now();
    let disk = open(&store, &name);
    let took = begun.elapsed();
    eprintln!("taken over in {} ms", took.as_millis());
    assert!(took < Duration::from_secs(300), "it waited for the dead client's watch to lapse");
    // Whole blocks of one round or the next, and none changes any more.
    let first = disk.read(0, 16 * 4096);
    for block in first.chunks(4096) {
        assert!(block.chunks(8).all(|word| word == &block[..8]) && block[..8] != [0; 8]);
    }
    disk.write(0, &[0xff; 4096]);
    assert_eq!(disk.read(0, 4096), [0xff; 4096]);
    assert!(disk.read(4096, 15 * 4096) == first[4096..]);
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn what_a_killed_owner_left_can_be_snapshot_and_removed() {
    let Some(conf) = cluster("what_a_killed_owner_left_can_be_removed") else { return };
    let store = open_store(conf);
    let (name, other) = (image(&store, "left"), image(&store, "left-too"));
    for name in [&name, &other] {
        let mut child = start_victim(conf, name);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    store.remove(&name).unwrap();
    store.snapshot(&other, "s").unwrap();
    store.remove_snapshot(&other, "s").unwrap();
    store.remove(&other).unwrap();
}

#[test]
fn a_removal_that_was_cut_short_is_finished() {
    let Some(conf) = cluster("a_removal_that_was_cut_short_is_finished") else { return };
    let store = open_store(conf);
    let name = unique("half");
    let objects = 256;
    store.create(&name, objects * (4 << 20)).unwrap();
    let disk = open(&store, &name);
    (0..objects).for_each(|object| disk.write(object * (4 << 20), &[1; 512]));
    let id = store.stat(&name).unwrap().id;
    drop(disk);
    store.pool().unwrap().wait_closed(&name);

    let mut remover = Command::new("rbd")
        .arg("-c")
        .arg(conf)
        .args(["--rbd-concurrent-management-ops", "1", "rm", &format!("rbd/{name}")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while store.stat(&name).is_ok() {
        assert!(remover.try_wait().unwrap().is_none(), "it ended before it began");
    }
    remover.kill().unwrap();
    remover.wait().unwrap();
    let header = format!("rbd_header.{}", id.rsplit('/').next().unwrap());
    let is_there = || run(conf, &["rados", "-p", "rbd", "ls"]).lines().any(|line| line == header);
    assert!(is_there(), "killed too late");
    assert!(store.list().unwrap().contains(&name), "whoever cleans up finds it");
    // Its watch would stay as long as the cluster believes that it may be alive.
    let watchers = run(conf, &["rados", "-p", "rbd", "listwatchers", &header]);
    for watcher in watchers.lines() {
        let address = watcher.split([' ', '=']).nth(1).unwrap();
        run(conf, &["ceph", "osd", "blocklist", "add", address]);
    }

    store.remove(&name).unwrap();
    assert!(!is_there());
    assert_eq!(kind_of(store.remove(&name)), StoreErrorKind::NotFound);
}

#[test]
fn an_image_without_the_lock_feature_is_refused() {
    let Some(conf) = cluster("an_image_without_the_lock_feature_is_refused") else { return };
    let store = open_store(conf);
    let name = unique("plain");
    let spec = format!("rbd/{name}");
    run(conf, &["rbd", "create", "--size", "8M", "--image-feature", "layering", &spec]);
    let error = store.open(&name, None, OpenMode::ReadWrite).err().unwrap();
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert!(error.to_string().contains("rbd feature enable rbd/"), "{error}");
    assert_eq!(store.stat(&name).unwrap().used_bytes, None);
    drop(store.open(&name, None, OpenMode::ReadOnly).unwrap());
    store.remove(&name).unwrap();
}
