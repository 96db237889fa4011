//! Boot profiles on the real store: learnt by one daemon, used by the next.

use std::time::{Duration, Instant};

use super::*;
use crate::cache::{Cache, Options as Bounds, profile};

const MIB: u64 = 1 << 20;

/// A daemon's store, with an empty cache. A boot is learnt when its disk is closed.
fn daemon(conf: &Path) -> (RbdStore, Arc<Cache>) {
    let cache = Cache::new(Bounds { golden_bytes: 32 << 20, disk_bytes: 0 });
    let options =
        profile::Options { learn_for: Duration::from_secs(3600), ..profile::Options::default() };
    let prefetch = Prefetch::start(true, Some(options)).unwrap();
    (open_store(conf).with_cache(Arc::clone(&cache)).with_prefetch(prefetch), cache)
}

/// Waits for what other threads do.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_one_boot_read_is_fetched_when_the_next_node_logs_in() {
    let Some(conf) = cluster("what_one_boot_read_is_fetched") else { return };
    let (store, _) = daemon(conf);
    let name = image(&store, "golden");
    let wanted = pattern(1, SIZE as usize);
    open(&store, &name).write(0, &wanted);
    store.snapshot(&name, "s").unwrap();
    let clones: Vec<String> = (0..2).map(|number| format!("{name}.{number}")).collect();
    clones.iter().for_each(|clone| store.clone_image(&name, "s", clone).unwrap());
    assert_eq!(store.boot_profile(&name).unwrap(), BootProfile::default());

    let disk = open(&store, &clones[0]);
    let session = disk.volume().hold();
    store.prefetch.as_ref().unwrap().wait();
    for at in [40, 8, 9] {
        disk.read(at * MIB, MIB as usize);
    }
    drop((disk, session));
    wait_until("it is learnt", || store.boot_profile(&name).unwrap().boots > 0);
    let known = store.boot_profile(&name).unwrap();
    assert_eq!(known, BootProfile { boots: 1, ranges: 2, bytes: 3 * MIB });

    let (next, cache) = daemon(conf);
    let disk = open(&next, &clones[1]);
    // What is known of the clone counts, too.
    assert!(cache.stats().golden.bytes < 4096, "nobody is there yet");
    let session = disk.volume().hold();
    wait_until("it is fetched", || cache.stats().golden.bytes >= 3 * MIB);
    for at in [40, 8, 9] {
        let at = at * MIB;
        assert!(disk.read(at, MIB as usize) == wanted[at as usize..(at + MIB) as usize]);
    }
    assert_eq!(cache.stats().golden.misses, 0);
    drop((disk, session));

    store.forget_boot_profile(&name).unwrap();
    assert_eq!(next.boot_profile(&name).unwrap(), BootProfile::default());
    store.keep(&name, RECORD_NAME, b"no profile").unwrap();
    let error = next.boot_profile(&name).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    let (last, cache) = daemon(conf);
    let disk = open(&last, &clones[1]);
    let session = disk.volume().hold();
    assert!(disk.read(0, 512) == wanted[..512], "a profile that makes no sense is not used");
    assert!(cache.stats().golden.bytes < MIB);
    drop((disk, session));
    clones.iter().for_each(|clone| store.remove(clone).unwrap());
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();
}
