//! The exclusive lock is taken when something is written, and held.

use std::time::Instant;

use super::*;
use crate::block::Done;

/// What takes longer hangs.
const HANGS: Duration = Duration::from_secs(60);

fn owner(store: &RbdStore, image: &str) -> Option<String> {
    let pool = store.pool().unwrap();
    // To be opened for writing takes no lock either.
    Moment::open(&pool, image).unwrap().lock_owner().unwrap()
}

fn write(offset: u64, byte: u8) -> Op {
    Op::Write { offset, buf: Buffer::from_slice(&[byte; 512]), fua: false }
}

#[test]
fn who_only_reads_takes_no_lock_and_who_writes_holds_it() {
    let Some(conf) = cluster("who_only_reads_takes_no_lock") else { return };
    let (ours, theirs) = (open_store(conf), open_store(conf));
    let name = image(&ours, "reads");
    let (disk, other) = (open(&ours, &name), open(&theirs, &name));
    for disk in [&disk, &other] {
        assert_eq!(disk.read(0, 512), [0; 512]);
        disk.run(Op::Flush).unwrap();
        assert_eq!(owner(&ours, &name), None, "nothing was written");
    }
    // This gateway has it open once only all the same.
    let error = ours.open(&name, None, OpenMode::ReadWrite).err().unwrap();
    assert_eq!(error.kind(), StoreErrorKind::InUse);
    assert!(error.to_string().contains("this gateway"), "{error}");

    disk.run(write(0, 1)).unwrap();
    let held = owner(&ours, &name);
    assert_eq!(held.as_deref(), Some(ours.pool().unwrap().cluster().address()));
    assert_eq!(other.read(0, 512), [1; 512], "read from the cluster");
    let refused = other.run(write(0, 2)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Fenced);
    assert!(other.volume().has_failed(), "its sessions end");
    drop(other);
    let error = theirs.open(&name, None, OpenMode::ReadWrite).err().unwrap();
    assert_eq!(error.kind(), StoreErrorKind::InUse, "{error}");
    assert_eq!(owner(&ours, &name), held);
    assert_eq!(disk.read(0, 512), [1; 512]);
    drop(disk);
    ours.pool().unwrap().wait_closed(&name);
    assert_eq!(owner(&ours, &name), None);
    theirs.remove(&name).unwrap();
}

#[test]
fn the_first_writes_wait_for_the_lock_and_each_is_done_once() {
    let Some(conf) = cluster("the_first_writes_wait_for_the_lock") else { return };
    let store = open_store(conf);
    for round in 0..4_u8 {
        let name = image(&store, "first");
        let disk = open(&store, &name);
        // Of every kind, from several shards at once.
        std::thread::scope(|scope| {
            for part in 0..4_u64 {
                let volume = Arc::clone(disk.volume());
                scope.spawn(move || {
                    let at = part << 20;
                    let ops = (0..30).map(|i| write(at + i * 512, round + 1)).chain([
                        Op::WriteZeroes { offset: at + (512 << 10), len: 4096, fua: false },
                        Op::Discard { offset: at + (516 << 10), len: 4096 },
                        Op::WriteSame {
                            offset: at + (520 << 10),
                            len: 4096,
                            pattern: Buffer::from_slice(&[9; 512]),
                        },
                        Op::CompareAndWrite {
                            offset: at + (524 << 10),
                            compare: Buffer::zeroed(512),
                            write: Buffer::from_slice(&[8; 512]),
                        },
                    ]);
                    let done = Disk::new(volume).run_all(ops);
                    assert_eq!(done.len(), 34);
                    done.into_iter().for_each(|result| drop(result.unwrap()));
                });
            }
        });
        for at in (0..4).map(|part| part << 20) {
            assert!(disk.read(at, 30 * 512) == [round + 1; 30 * 512]);
            assert_eq!(disk.read(at + (520 << 10), 4096), [9; 4096]);
            assert_eq!(disk.read(at + (524 << 10), 512), [8; 512]);
        }
        drop(disk);
        store.remove(&name).unwrap();
    }
}

#[test]
fn the_stores_own_operations_do_not_keep_a_write_out() {
    let Some(conf) = cluster("the_stores_own_operations_do_not_keep_a_write_out") else { return };
    let store = open_store(conf);
    let name = image(&store, "own");
    let disk = open(&store, &name);
    // They take the lock for a moment, without being asked.
    store.snapshot(&name, "s").unwrap();
    disk.write(0, &[1; 512]);
    // And now they ask for it.
    store.snapshot(&name, "t").unwrap();
    store.resize(&name, 2 * SIZE).unwrap();
    disk.write(2 * SIZE - 512, &[2; 512]);
    for snapshot in ["s", "t"] {
        store.remove_snapshot(&name, snapshot).unwrap();
    }
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn behind_the_cache_the_lock_is_taken_when_it_is_opened() {
    let Some(conf) = cluster("behind_the_cache_the_lock_is_taken") else { return };
    let cache = Cache::new(crate::cache::Options { golden_bytes: 1 << 20, disk_bytes: 0 });
    let store = open_store(conf).with_cache(cache);
    let name = image(&store, "cached");
    let disk = open(&store, &name);
    assert!(owner(&store, &name).is_some());
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn what_another_gateway_has_kept_meanwhile_ends_it() {
    let Some(conf) = cluster("what_another_gateway_has_kept_meanwhile") else { return };
    let (ours, theirs) = (open_store(conf), open_store(conf));
    let name = image(&ours, "kept");
    let disk = open(&ours, &name);
    let other = open(&theirs, &name);
    other.save_state(b"reserved").unwrap();
    drop(other);
    theirs.pool().unwrap().wait_closed(&name);
    assert_eq!(disk.state(), SavedState::Record(vec![]), "as it was told");
    assert_eq!(disk.run(write(0, 1)).unwrap_err().kind(), ErrorKind::Fenced);
    assert!(disk.volume().has_failed());
    assert_eq!(owner(&theirs, &name), None, "it does not keep what it cannot use");
    drop(disk);
    let disk = open(&ours, &name);
    assert_eq!(disk.state(), SavedState::Record(b"reserved".to_vec()));
    assert_eq!(disk.read(0, 512), [0; 512]);
    disk.run(write(0, 2)).unwrap();
    drop(disk);
    ours.remove(&name).unwrap();
}

#[test]
fn who_wrote_in_between_is_noticed_however_quick_it_was() {
    let Some(conf) = cluster("who_wrote_in_between_is_noticed") else { return };
    let (ours, theirs) = (open_store(conf), open_store(conf));
    let name = image(&ours, "between");
    let write_there = |byte| {
        let other = open(&theirs, &name);
        other.run(write(0, byte)).unwrap();
        drop(other);
        theirs.pool().unwrap().wait_closed(&name);
    };
    for round in 0..3 {
        let disk = open(&ours, &name);
        disk.read(0, 512);
        // The same client again from the second round on: its note is another one.
        write_there(2 * round + 1);
        assert_eq!(disk.run(write(0, 9)).unwrap_err().kind(), ErrorKind::Fenced, "{round}");
        assert!(disk.volume().has_failed(), "its initiator has to look anew");
        drop(disk);
        // Nobody was there in between: it was before.
        let disk = open(&ours, &name);
        assert_eq!(disk.read(0, 512), [2 * round + 1; 512]);
        disk.run(write(0, 2 * round + 2)).unwrap();
        drop(disk);
        ours.pool().unwrap().wait_closed(&name);
    }
    theirs.remove(&name).unwrap();
}

#[test]
fn what_is_found_when_it_is_opened_anew_tells_whether_somebody_was_there() {
    let Some(conf) = cluster("what_is_found_when_it_is_opened_anew") else { return };
    for is_cached in [false, true] {
        let (mut ours, theirs) = (open_store(conf), open_store(conf));
        if is_cached {
            let options = crate::cache::Options { golden_bytes: 1 << 20, disk_bytes: 0 };
            ours = ours.with_cache(Cache::new(options));
        }
        let name = image(&ours, "anew");
        let close = |disk: Disk| {
            let last = disk.volume().last_state();
            drop(disk);
            ours.pool().unwrap().wait_closed(&name);
            last()
        };
        // It was read only, and then written to; and nobody else was there.
        let read = close(open(&ours, &name));
        let disk = open(&ours, &name);
        disk.run(write(0, 1)).unwrap();
        let written = close(disk);
        assert_eq!(written.found, read.mark);
        assert_ne!(written.mark, written.found);
        let again = close(open(&ours, &name));
        assert_eq!(again.found, written.mark);
        let other = open(&theirs, &name);
        other.run(write(0, 2)).unwrap();
        drop(other);
        theirs.pool().unwrap().wait_closed(&name);
        assert_ne!(close(open(&ours, &name)).found, again.mark);
        ours.remove(&name).unwrap();
    }
}

#[test]
fn who_only_reads_hears_that_another_client_writes() {
    let Some(conf) = cluster("who_only_reads_hears_that_another_client_writes") else { return };
    let (ours, theirs) = (open_store(conf), open_store(conf));
    let name = image(&ours, "heard");
    let (disk, other) = (open(&ours, &name), open(&theirs, &name));
    other.run(write(0, 1)).unwrap();
    let begun = Instant::now();
    while !disk.volume().has_failed() {
        assert!(begun.elapsed() < HANGS, "reservations made there are not known here");
        let read = disk.run(Op::Read { offset: 0, buf: Buffer::unfilled(512) });
        match read {
            Ok(Done::Data(buf)) => assert_eq!(buf.to_vec(), [1; 512]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Fenced),
            other => panic!("{other:?}"),
        }
    }
    drop((disk, other));
    theirs.remove(&name).unwrap();
}
