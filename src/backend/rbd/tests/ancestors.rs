//! Images behind open clones: other clients flatten and remove them.

use std::time::Instant;

use super::edges::Bare;
use super::*;
use crate::backend::on_demand::OnDemand;
use crate::block::Done;

const OBJECT: u64 = 4 << 20;
/// What takes longer hangs.
const HANGS: Duration = Duration::from_secs(60);

/// A clone of a clone of an image whose first half is data; the middle one has its own in one object.
struct Chain {
    base: String,
    middle: String,
    child: String,
    wanted: Vec<u8>,
}

fn chain(store: &RbdStore) -> Chain {
    let base = image(store, "chain");
    let (middle, child) = (format!("{base}.middle"), format!("{base}.child"));
    let mut wanted = pattern(1, SIZE as usize / 2);
    wanted.resize(SIZE as usize, 0);
    let mut writer = store.writer(&base).unwrap();
    writer.write_at(0, &wanted[..SIZE as usize / 2]).unwrap();
    writer.finish().unwrap();
    store.snapshot(&base, "s").unwrap();
    store.clone_image(&base, "s", &middle).unwrap();
    let own = pattern(2, 4096);
    open(store, &middle).write(OBJECT, &own);
    wanted[OBJECT as usize..][..4096].copy_from_slice(&own);
    store.snapshot(&middle, "s").unwrap();
    store.clone_image(&middle, "s", &child).unwrap();
    Chain { base, middle, child, wanted }
}

/// Another client makes the middle image independent of the base, and removes that one.
fn cut(conf: &Path, chain: &Chain) {
    let (base, middle) = (&chain.base, &chain.middle);
    run(conf, &["rbd", "flatten", "--no-progress", &format!("rbd/{middle}")]);
    run(conf, &["rbd", "snap", "rm", "--no-progress", &format!("rbd/{base}@s")]);
    run(conf, &["rbd", "rm", "--no-progress", &format!("rbd/{base}")]);
}

fn remove_rest(store: &RbdStore, chain: &Chain) {
    store.remove(&chain.child).unwrap();
    store.remove_snapshot(&chain.middle, "s").unwrap();
    store.remove(&chain.middle).unwrap();
}

fn watchers(conf: &Path, store: &RbdStore, image: &str) -> usize {
    let id = store.stat(image).unwrap().id;
    let header = format!("rbd_header.{}", id.rsplit('/').next().unwrap());
    run(conf, &["rados", "-p", "rbd", "listwatchers", &header]).lines().count()
}

#[test]
fn what_was_opened_before_a_flatten_behind_it_serves_nothing_more() {
    let Some(conf) = cluster("what_was_opened_before_a_flatten_behind_it") else { return };
    let store = open_store(conf);
    let chain = chain(&store);
    let disk = open(&store, &chain.child);
    let reader = Disk::new(store.open(&chain.middle, Some("s"), OpenMode::ReadOnly).unwrap());
    for disk in [&disk, &reader] {
        assert!(disk.read(OBJECT, 8192) == chain.wanted[OBJECT as usize..][..8192]);
        assert!(!disk.volume().has_failed() && !disk.volume().is_outdated());
    }
    // The whole image, and then what is behind it, goes while the disks are open: whoever asks in
    // the old way finds nothing and reads zeros.
    cut(conf, &chain);
    for disk in [&disk, &reader] {
        assert!(disk.volume().has_failed() && disk.volume().is_outdated());
        let read = disk.run(Op::Read { offset: 0, buf: Buffer::unfilled(4096) });
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Unavailable);
        drop(disk.run(Op::Write { offset: 0, buf: Buffer::zeroed(512), fua: false }).unwrap_err());
    }
    drop((disk, reader));
    let disk = open(&store, &chain.child);
    assert!(!disk.volume().has_failed());
    assert!(disk.read(0, SIZE as usize) == chain.wanted);
    drop(disk);
    remove_rest(&store, &chain);
}

/// Disks that are read and written all the time, by a store that opens them anew by itself.
fn goes_on(conf: &Path, store: RbdStore) {
    let chain = chain(&store);
    let store = Arc::new(store);
    let on_demand = OnDemand::new(Arc::clone(&store) as Arc<dyn Store>, None);
    let volume = on_demand.open(&chain.child, None, OpenMode::ReadWrite).unwrap();
    let session = volume.hold();
    let disk = Disk::new(Arc::clone(&volume));
    let mut wanted = chain.wanted.clone();
    assert!(disk.read(0, 4096) == wanted[..4096]);
    std::thread::scope(|scope| {
        let cutting = scope.spawn(|| cut(conf, &chain));
        let mut round = 0;
        while !cutting.is_finished() {
            // Into an object that is not the clone's yet: the rest of it is copied.
            let at = (round % (SIZE / OBJECT)) * OBJECT + 512;
            let buf = Buffer::from_slice(&[7; 512]);
            match disk.run(Op::Write { offset: at, buf, fua: false }) {
                Ok(_) => wanted[at as usize..][..512].fill(7),
                // Just when it was told: refused, not done in part.
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
            }
            let from = (round * 5 % 16) * OBJECT;
            match disk.run(Op::Read { offset: from, buf: Buffer::unfilled(OBJECT as usize) }) {
                Ok(Done::Data(buf)) => {
                    let wanted = &wanted[from as usize..][..OBJECT as usize];
                    assert!(buf.to_vec() == wanted, "round {round} at {from}");
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
                other => panic!("{other:?}"),
            }
            round += 1;
        }
        cutting.join().unwrap();
    });
    assert!(!volume.has_failed());
    for _ in 0..2 {
        assert!(disk.read(0, SIZE as usize) == wanted);
    }
    drop((session, disk, volume));
    remove_rest(&store, &chain);
}

#[test]
fn a_disk_goes_on_while_what_is_behind_it_is_flattened_and_removed() {
    let Some(conf) = cluster("a_disk_goes_on_while_what_is_behind_it_is_flattened") else { return };
    goes_on(conf, open_store(conf));
}

#[test]
fn a_cached_disk_goes_on_while_what_is_behind_it_is_flattened_and_removed() {
    let Some(conf) = cluster("a_cached_disk_goes_on_while_what_is_behind_it") else { return };
    let cache = Cache::new(crate::cache::Options { golden_bytes: 128 << 20, disk_bytes: 8 << 20 });
    goes_on(conf, open_store(conf).with_cache(cache));
}

#[test]
fn many_clones_share_one_watch_on_each_image_behind_them() {
    let Some(conf) = cluster("many_clones_share_one_watch") else { return };
    let store = open_store(conf);
    let chain = chain(&store);
    let more: Vec<String> = (0..8).map(|i| format!("{}.{i}", chain.child)).collect();
    more.iter().for_each(|name| store.clone_image(&chain.middle, "s", name).unwrap());
    let single = format!("{}.single", chain.base);
    store.clone_image(&chain.base, "s", &single).unwrap();
    let disk = open(&store, &single);
    assert_eq!(watchers(conf, &store, &chain.base), 0, "a snapshot with clones stays");
    drop(disk);
    // At once, as when many nodes boot.
    let disks: Vec<Disk> = std::thread::scope(|scope| {
        let opening: Vec<_> = more.iter().map(|name| scope.spawn(|| open(&store, name))).collect();
        opening.into_iter().map(|disk| disk.join().unwrap()).collect()
    });
    assert_eq!(watchers(conf, &store, &chain.middle), 1);
    assert_eq!(watchers(conf, &store, &chain.base), 1);
    for disk in &disks {
        assert!(disk.read(0, 4096) == chain.wanted[..4096]);
    }
    // What changes nothing that they see leaves them alone.
    run(conf, &["rbd", "snap", "create", "--no-progress", &format!("rbd/{}@t", chain.middle)]);
    run(conf, &["rbd", "snap", "rm", "--no-progress", &format!("rbd/{}@t", chain.middle)]);
    assert!(disks.iter().all(|disk| !disk.volume().is_outdated()));
    drop(disks);
    let begun = Instant::now();
    while watchers(conf, &store, &chain.middle) + watchers(conf, &store, &chain.base) > 0 {
        assert!(begun.elapsed() < HANGS, "the watches stay");
    }
    for name in more.iter().chain([&single]) {
        store.remove(name).unwrap();
    }
    store.remove(&chain.child).unwrap();
    store.remove_snapshot(&chain.middle, "s").unwrap();
    store.remove(&chain.middle).unwrap();
    store.remove_snapshot(&chain.base, "s").unwrap();
    store.remove(&chain.base).unwrap();
}

#[test]
fn an_image_behind_an_open_disk_that_was_flattened_itself_can_be_removed() {
    let Some(conf) = cluster("an_image_behind_a_disk_that_was_flattened") else { return };
    let store = open_store(conf);
    let chain = chain(&store);
    let disk = open(&store, &chain.child);
    run(conf, &["rbd", "flatten", "--no-progress", &format!("rbd/{}", chain.child)]);
    store.remove_snapshot(&chain.middle, "s").unwrap();
    store.remove(&chain.middle).unwrap();
    store.remove_snapshot(&chain.base, "s").unwrap();
    store.remove(&chain.base).unwrap();
    assert!(!disk.volume().is_outdated(), "librbd knows of it");
    assert!(disk.read(0, SIZE as usize) == chain.wanted);
    drop(disk);
    store.remove(&chain.child).unwrap();
}

#[test]
fn a_disk_that_is_served_without_a_catalog_goes_on_too() {
    let Some(conf) = cluster("a_disk_that_is_served_without_a_catalog") else { return };
    let store = open_store(conf);
    let chain = chain(&store);
    let spec = format!("rbd/{}", chain.child);
    let volume = open_image(&spec, Some(conf), "admin", false, None).unwrap();
    let none = open_image(&format!("{spec}.none"), Some(conf), "admin", false, None);
    assert_eq!(kind_of(none), StoreErrorKind::NotFound, "told at once");
    let disk = Disk::new(Arc::clone(&volume));
    assert!(disk.read(0, 4096) == chain.wanted[..4096]);
    cut(conf, &chain);
    assert!(disk.read(0, SIZE as usize) == chain.wanted);
    assert!(!volume.has_failed());
    drop((disk, volume));
    let begun = Instant::now();
    while store.in_use(&chain.child).unwrap() {
        assert!(begun.elapsed() < HANGS);
    }
    remove_rest(&store, &chain);
}

/// Waits until nobody watches the image.
fn wait_unwatched(conf: &Path, store: &RbdStore, image: &str) {
    let begun = Instant::now();
    while watchers(conf, store, image) > 0 {
        assert!(begun.elapsed() < HANGS, "the watches stay");
    }
}

#[test]
fn what_is_about_to_be_asked_for_holds_what_is_behind() {
    let Some(conf) = cluster("what_is_about_to_be_asked_for_holds") else { return };
    let store = open_store(conf);
    let chain = chain(&store);
    let pool = store.pool().unwrap();
    let image = Image::open_watched(&pool, &chain.child, None, Access::ReadWrite).unwrap();
    // A write was allowed, and its thread is held up before librbd has it.
    let asking = image.about_to_ask().unwrap();
    // Whoever flattens waits for us, for 5 s at most.
    run(conf, &["rbd", "flatten", "--no-progress", &format!("rbd/{}", chain.middle)]);
    assert!(image.is_outdated());
    assert_eq!(watchers(conf, &store, &chain.base), 1, "what the write may copy stays");
    drop(asking);
    wait_unwatched(conf, &store, &chain.base);
    store.remove_snapshot(&chain.base, "s").unwrap();
    store.remove(&chain.base).unwrap();

    // From now on nothing is asked, not even by who does not look first.
    let bare = Disk::new(Arc::new(Bare(Arc::clone(&image))));
    let write = |offset| Op::Write { offset, buf: Buffer::zeroed(512), fua: false };
    for op in [write(0), Op::Flush, Op::Discard { offset: 0, len: SIZE }] {
        assert_eq!(bare.run(op).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let queue = Arc::new(CompletionQueue::new());
    let question =
        extents::Question { offset: 0, len: SIZE, max: 10, tag: 7, queue: Arc::clone(&queue) };
    extents::ask(&Arc::default(), &image, question);
    let (mut done, begun) = (Vec::new(), Instant::now());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while queue.poll_drain(&mut cx, &mut done).is_pending() {
        assert!(begun.elapsed() < HANGS);
    }
    let kind = done.pop().unwrap().result.unwrap_err().kind();
    assert_eq!(kind, ErrorKind::Unavailable, "what it asked for is gone");
    drop((bare, image));
    pool.wait_closed(&chain.child);
    let disk = open(&store, &chain.child);
    assert!(disk.read(0, SIZE as usize) == chain.wanted);
    drop(disk);
    remove_rest(&store, &chain);
}

/// A disk becomes independent while what is behind it does, and what is behind that goes.
fn flattened(conf: &Path, is_open: bool) {
    const OBJECT: u64 = 64 << 10;
    const OBJECTS: u64 = 1024;
    let store = open_store(conf);
    let (base, end) = (unique("flat"), (OBJECTS - 16) * OBJECT);
    let (middle, child) = (format!("{base}.middle"), format!("{base}.child"));
    let size = format!("{}B", OBJECTS * OBJECT);
    run(conf, &["rbd", "create", "--object-size", "64K", "--size", &size, &base]);
    // What is copied last.
    let wanted = pattern(1, (16 * OBJECT) as usize);
    let mut writer = store.writer(&base).unwrap();
    writer.write_at(end, &wanted).unwrap();
    writer.finish().unwrap();
    store.snapshot(&base, "s").unwrap();
    store.clone_image(&base, "s", &middle).unwrap();
    // The one in the middle has all the others: they are the disk's only to copy, and one after the
    // other it takes a while.
    let own = open(&store, &middle);
    let write = |at: u64| Op::Write {
        offset: at * OBJECT,
        buf: Buffer::from_slice(&[5; 4096]),
        fua: false,
    };
    for result in own.run_all((0..end / OBJECT).map(write)) {
        result.unwrap();
    }
    drop(own);
    store.snapshot(&middle, "s").unwrap();
    store.clone_image(&middle, "s", &child).unwrap();
    let cluster = Arc::clone(store.pool().unwrap().cluster());
    cluster.break_rule("rbd_concurrent_management_ops", "1");
    let disk = is_open.then(|| {
        let disk = open(&store, &child);
        disk.write(0, &[1; 512]);
        disk
    });
    let (begun, has_begun) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let flattening = scope.spawn(|| store.flatten(&child, &|_, _| begun.send(()).is_ok()));
        has_begun.recv().unwrap();
        let (middle, snapshot) = (format!("rbd/{middle}"), format!("rbd/{base}@s"));
        let quick = ["--rbd-concurrent-management-ops", "64", "--no-progress"];
        run(conf, &[&["rbd", "flatten", &middle][..], &quick].concat());
        run(conf, &["rbd", "snap", "rm", "--no-progress", &snapshot]);
        // Refused as long as it is read.
        let remove = || {
            let mut command = Command::new("rbd");
            command.arg("-c").arg(conf).args(["rm", "--no-progress", &format!("rbd/{base}")]);
            command.output().unwrap().status.success()
        };
        let removed = remove();
        if let Err(error) = flattening.join().unwrap() {
            // To be repeated; or done, and it is told that a snapshot is gone.
            let kinds = [StoreErrorKind::InUse, StoreErrorKind::Corrupt];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
        let begun = Instant::now();
        while !removed && !remove() {
            assert!(begun.elapsed() < HANGS, "nobody reads it any more");
        }
    });
    cluster.break_rule("rbd_concurrent_management_ops", "10");
    drop(disk);
    store.flatten(&child, &|_, _| true).unwrap();
    assert_eq!(store.stat(&child).unwrap().parent, None);
    let disk = open(&store, &child);
    assert!(disk.read(end, wanted.len()) == wanted, "all of it was copied");
    drop(disk);
    store.remove(&child).unwrap();
    store.remove_snapshot(&middle, "s").unwrap();
    store.remove(&middle).unwrap();
}

#[test]
fn a_disk_is_flattened_while_what_is_behind_it_is_and_goes() {
    let Some(conf) = cluster("a_disk_is_flattened_while_what_is_behind_it_is") else { return };
    flattened(conf, false);
}

#[test]
fn an_open_disk_is_flattened_while_what_is_behind_it_is_and_goes() {
    let Some(conf) = cluster("an_open_disk_is_flattened_while_what_is_behind_it") else { return };
    flattened(conf, true);
}
