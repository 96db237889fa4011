//! Disks of the real store behind the cache: never older data than the store's.

use super::*;
use crate::cache::{Cache, Options as Bounds};

const OBJECT: u64 = 4 << 20;

fn cached_store(conf: &Path) -> (RbdStore, Arc<Cache>) {
    let cache = Cache::new(Bounds { golden_bytes: 128 << 20, disk_bytes: 8 << 20 });
    (open_store(conf).with_cache(Arc::clone(&cache)), cache)
}

/// Parts of reads that golden images in memory have answered.
fn hits(cache: &Cache) -> u64 {
    cache.stats().golden.hits
}

#[test]
fn a_cached_store_keeps_what_every_store_keeps() {
    let Some(conf) = cluster("a_cached_store_keeps_what_every_store_keeps") else { return };
    conformance::run(&cached_store(conf).0);
}

#[test]
fn clones_and_clones_of_clones_share_and_never_read_stale_data() {
    let Some(conf) = cluster("clones_and_clones_of_clones_share") else { return };
    let (store, cache) = cached_store(conf);
    let name = image(&store, "golden");
    let mut wanted = pattern(1, SIZE as usize / 2);
    wanted.resize(SIZE as usize, 0);
    let mut writer = store.writer(&name).unwrap();
    writer.write_at(0, &wanted[..SIZE as usize / 2]).unwrap();
    writer.finish().unwrap();
    store.snapshot(&name, "s").unwrap();
    // Each a clone of the one before, with a block of its own; and a second clone of the first.
    let names: Vec<String> = (0..3).map(|level| format!("{name}.{level}")).collect();
    let mut parent = &name;
    for (child, level) in names.iter().zip(1_u8..) {
        store.clone_image(parent, "s", child).unwrap();
        let disk = open(&store, child);
        assert!(disk.read(0, SIZE as usize) == wanted, "level {level}");
        let at = usize::from(level) * OBJECT as usize + 512;
        disk.write(at as u64, &[level; 70_000 / 512 * 512]);
        wanted[at..at + 70_000 / 512 * 512].fill(level);
        assert!(disk.read(0, SIZE as usize) == wanted, "level {level} after its write");
        drop(disk);
        store.snapshot(child, "s").unwrap();
        parent = child;
    }
    let sibling = format!("{name}.sibling");
    store.clone_image(&names[2], "s", &sibling).unwrap();
    let before = hits(&cache);
    let disk = open(&store, &sibling);
    assert!(disk.read(0, 1 << 20) == wanted[..1 << 20]);
    assert!(hits(&cache) - before >= 16, "what the others read is there: {:?}", cache.stats());
    // Everything that changes a disk, over what is in the cache.
    let old = disk.read(OBJECT, 512);
    disk.run(Op::Discard { offset: 8192, len: 4096 }).unwrap();
    wanted[8192..12_288].fill(0);
    disk.run(Op::WriteZeroes { offset: 65_536 + 512, len: 512, fua: false }).unwrap();
    wanted[66_048..66_560].fill(0);
    let (compare, write) = (Buffer::from_slice(&old), Buffer::from_slice(&[9; 512]));
    disk.run(Op::CompareAndWrite { offset: OBJECT, compare, write }).unwrap();
    wanted[OBJECT as usize..][..512].fill(9);
    disk.run(Op::Discard { offset: 2 * OBJECT, len: OBJECT }).unwrap();
    wanted[2 * OBJECT as usize..3 * OBJECT as usize].fill(0);
    for _ in 0..2 {
        assert!(disk.read(0, SIZE as usize) == wanted);
    }
    drop(disk);
    // Opened again, it knows what is its own.
    assert!(open(&store, &sibling).read(0, SIZE as usize) == wanted);
    store.remove(&sibling).unwrap();
    for image in names.iter().rev().chain([&name]) {
        store.remove_snapshot(image, "s").unwrap();
        store.remove(image).unwrap();
    }
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    let Some(conf) = cluster("what_was_cut_off_does_not_come_back") else { return };
    let (store, _) = cached_store(conf);
    let name = image(&store, "cut");
    open(&store, &name).write(0, &pattern(1, SIZE as usize));
    store.snapshot(&name, "s").unwrap();
    let child = format!("{name}.clone");
    store.clone_image(&name, "s", &child).unwrap();
    let disk = open(&store, &child);
    disk.write(SIZE - 4096, &[3; 4096]);
    let mut wanted = disk.read(0, SIZE as usize);
    assert!(disk.read(0, SIZE as usize) == wanted);
    let resize = |size: &str| {
        run(conf, &["rbd", "resize", "--allow-shrink", "--size", size, &format!("rbd/{child}")]);
    };
    let grown = |to: u64| {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while disk.volume().info().size_bytes != to {
            assert!(std::time::Instant::now() < deadline, "the new size is not seen");
            std::thread::yield_now();
        }
    };
    resize("32M");
    grown(32 << 20);
    resize("64M");
    grown(SIZE);
    wanted[32 << 20..].fill(0);
    for _ in 0..2 {
        assert!(disk.read(0, SIZE as usize) == wanted);
    }
    // Nobody asks while it is small.
    resize("16M");
    resize("64M");
    wanted[16 << 20..].fill(0);
    for _ in 0..2 {
        assert!(disk.read(0, SIZE as usize) == wanted);
    }
    drop(disk);
    store.remove(&child).unwrap();
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();
}

#[test]
fn an_open_clone_that_is_flattened_needs_its_parent_no_more() {
    let Some(conf) = cluster("an_open_clone_that_is_flattened") else { return };
    let (store, _) = cached_store(conf);
    let name = image(&store, "flattened");
    let wanted = pattern(1, SIZE as usize);
    open(&store, &name).write(0, &wanted);
    store.snapshot(&name, "s").unwrap();
    let child = format!("{name}.clone");
    store.clone_image(&name, "s", &child).unwrap();
    let disk = open(&store, &child);
    assert!(disk.read(0, 1 << 20) == wanted[..1 << 20]);
    run(conf, &["rbd", "flatten", &format!("rbd/{child}")]);
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();
    for _ in 0..2 {
        assert!(disk.read(0, SIZE as usize) == wanted);
    }
    drop(disk);
    store.remove(&child).unwrap();
}

#[test]
fn a_clone_is_opened_right_after_a_flatten_above_it() {
    let Some(conf) = cluster("a_clone_is_opened_right_after_a_flatten_above_it") else { return };
    let (store, _) = cached_store(conf);
    let name = image(&store, "base");
    let wanted = pattern(1, SIZE as usize);
    open(&store, &name).write(0, &wanted);
    store.snapshot(&name, "s").unwrap();
    let [middle, child, late] = ["middle", "child", "late"].map(|what| format!("{name}.{what}"));
    store.clone_image(&name, "s", &middle).unwrap();
    store.snapshot(&middle, "s").unwrap();
    store.clone_image(&middle, "s", &child).unwrap();
    store.clone_image(&middle, "s", &late).unwrap();
    // Keeps the chain open as it was.
    let early = open(&store, &child);
    assert!(early.read(0, 4096) == wanted[..4096]);
    run(conf, &["rbd", "flatten", &format!("rbd/{middle}")]);
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();
    let disk = open(&store, &late);
    for _ in 0..2 {
        assert!(disk.read(0, SIZE as usize) == wanted);
    }
    drop((early, disk));
    store.remove(&late).unwrap();
    assert!(open(&store, &child).read(0, SIZE as usize) == wanted);
    store.remove(&child).unwrap();
    store.remove_snapshot(&middle, "s").unwrap();
    store.remove(&middle).unwrap();
}

#[test]
fn with_a_snapshot_of_its_own_what_a_disk_has_is_not_known_cheaply() {
    let Some(conf) = cluster("with_a_snapshot_of_its_own") else { return };
    let store = open_store(conf);
    let name = image(&store, "snapshots");
    let opened = || Image::open(&store.pool().unwrap(), &name, None, Access::ReadOnly).unwrap();
    assert!(opened().own_objects().unwrap().is_some());
    store.snapshot(&name, "s").unwrap();
    assert!(opened().own_objects().unwrap().is_none());
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();
}

#[test]
fn a_fenced_disk_serves_nothing_from_memory() {
    let Some(conf) = cluster("a_fenced_disk_serves_nothing_from_memory") else { return };
    let (store, _) = cached_store(conf);
    let name = image(&store, "fenced");
    open(&store, &name).write(0, &pattern(1, 1 << 20));
    store.snapshot(&name, "s").unwrap();
    let child = format!("{name}.clone");
    store.clone_image(&name, "s", &child).unwrap();
    let disk = open(&store, &child);
    disk.write(512, &[3; 512]);
    for _ in 0..2 {
        assert_eq!(disk.read(512, 512), [3; 512]);
        disk.read(512 << 10, 4096);
    }
    // Another client breaks the lock, and this one is put on the blocklist.
    let other = open_store(conf);
    let thief = Image::open(&other.pool().unwrap(), &child, None, Access::ReadWrite).unwrap();
    let owner = thief.lock_owner().unwrap().unwrap();
    thief.break_lock(&owner).unwrap();
    drop(thief);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !disk.volume().has_failed() {
        assert!(std::time::Instant::now() < deadline, "the lock is gone and nobody has noticed");
        // A write finds out, if nothing else does.
        let buf = Buffer::from_slice(&[4; 512]);
        let _outcome = disk.run(Op::Write { offset: 4096, buf, fua: false });
    }
    for offset in [512, 512 << 10] {
        let read = disk.run(Op::Read { offset, buf: Buffer::unfilled(512) });
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Fenced);
    }
    drop(disk);
    other.remove(&child).unwrap();
    other.remove_snapshot(&name, "s").unwrap();
    other.remove(&name).unwrap();
}

#[test]
fn a_golden_image_outlives_the_client_that_opened_it() {
    let Some(conf) = cluster("a_golden_image_outlives_the_client") else { return };
    let cache = Cache::new(Bounds { golden_bytes: 128 << 20, disk_bytes: 8 << 20 });
    let options = Options { clients: 4, ..options(conf) };
    let store = RbdStore::open(options).unwrap().with_cache(Arc::clone(&cache));
    let name = image(&store, "shared");
    let wanted = pattern(1, SIZE as usize);
    open(&store, &name).write(0, &wanted);
    store.snapshot(&name, "s").unwrap();
    let names: Vec<String> = (0..16).map(|number| format!("{name}.{number}")).collect();
    names.iter().for_each(|child| store.clone_image(&name, "s", child).unwrap());
    let client_of = |name: &str| Arc::as_ptr(store.pool_of(name).unwrap().cluster());
    let lost = client_of(&names[0]);
    let others = names.iter().filter(|name| client_of(name) != lost);
    // The first has the parent opened.
    let first = open(&store, &names[0]);
    let others: Vec<Disk> = others.take(2).map(|name| open(&store, name)).collect();
    let seen = Image::open(&store.pool().unwrap(), &names[0], None, Access::ReadOnly);
    let owner = seen.unwrap().watchers().unwrap().remove(0);
    run(conf, &["ceph", "osd", "blocklist", "add", &owner]);
    while !first.volume().has_failed() {
        let buf = Buffer::from_slice(&[1; 512]);
        let _outcome = first.run(Op::Write { offset: 0, buf, fua: false });
    }
    // Each is read by itself until one of them has the parent opened anew.
    let begun = std::time::Instant::now();
    let is_shared = (0..).step_by(4096).any(|at| {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", cache.stats());
        let (at, before) = (at % SIZE, hits(&cache));
        for disk in &others {
            assert!(disk.read(at, 4096) == wanted[at as usize..at as usize + 4096]);
        }
        hits(&cache) > before
    });
    assert!(is_shared);
    drop((first, others));
    names.iter().for_each(|name| store.remove(name).unwrap());
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();
}
