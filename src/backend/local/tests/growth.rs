//! Growing an image, and giving back for good what it held.

use super::*;

/// Whether any file of any layer has these bytes.
fn is_stored(dir: &Path, bytes: &[u8]) -> bool {
    layer_files(dir).iter().any(|path| {
        let stored = std::fs::read(path).unwrap();
        stored.windows(bytes.len()).any(|window| window == bytes)
    })
}

/// An image "disk" of its own, in the middle of which is a secret.
fn with_secret(store: &LocalStore, size: u64) -> Vec<u8> {
    store.create("disk", size).unwrap();
    let secret = b"the secret of the house of Atreus".repeat(500);
    writable(store, "disk").write(8192 - 512, &pattern(3, 16_384));
    let mut sectors = secret;
    sectors.truncate(16_384);
    writable(store, "disk").write(8192, &sectors);
    sectors[4096..4160].to_vec()
}

fn erase(disk: &Disk, discard: bool) {
    let len = disk.volume.info().size_bytes;
    disk.run(match discard {
        true => Op::Discard { offset: 0, len },
        false => Op::WriteZeroes { offset: 0, len, fua: false },
    })
    .unwrap();
    disk.run(Op::Flush).unwrap();
}

#[test]
fn what_a_grown_image_held_is_erased_for_good() {
    for (size, discard) in [(SIZE, true), (SIZE + 512, false)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), false);
        let secret = with_secret(&store, size);
        store.resize("disk", 2 * SIZE).unwrap();
        store.resize("disk", 3 * SIZE + 512).unwrap();
        let disk = writable(&store, "disk");
        assert!(is_stored(dir.path(), &secret));
        erase(&disk, discard);
        assert!(!is_stored(dir.path(), &secret), "discard: {discard}");
        assert!(disk.read(0, 3 * SIZE as usize + 512) == vec![0; 3 * SIZE as usize + 512]);
    }
}

#[test]
fn what_a_removed_snapshot_held_is_erased_with_the_image() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    let secret = with_secret(&store, SIZE);
    store.snapshot("disk", "a").unwrap();
    store.snapshot("disk", "b").unwrap();
    let disk = writable(&store, "disk");
    store.remove_snapshot("disk", "b").unwrap();
    erase(&disk, true);
    assert!(is_stored(dir.path(), &secret), "snapshot a needs it");
    let a = Disk::new(store.open("disk", Some("a"), OpenMode::ReadOnly).unwrap());
    let held = a.read(0, SIZE as usize);
    store.remove_snapshot("disk", "a").unwrap();
    erase(&disk, true);
    assert!(a.read(0, SIZE as usize) == held, "somebody reads it still");
    drop((a, disk, store));
    // An image that is opened with them there, too.
    let store = open(dir.path(), false);
    let disk = writable(&store, "disk");
    erase(&disk, false);
    assert!(!is_stored(dir.path(), &secret));
    assert!(disk.read(0, SIZE as usize) == vec![0; SIZE as usize]);
}

#[test]
fn a_clone_erases_nothing_of_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    let golden = with_clone(&store, SIZE);
    let disk = writable(&store, "clone");
    store.snapshot("clone", "gone").unwrap();
    store.remove_snapshot("clone", "gone").unwrap();
    erase(&disk, true);
    assert!(disk.read(0, SIZE as usize) == vec![0; SIZE as usize]);
    assert!(writable(&store, "golden").read(0, SIZE as usize) == golden);
}

#[test]
fn growing_takes_no_layer_no_space_and_waits_for_nobody_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true);
    let wanted = with_clone(&store, SIZE);
    let _disk = writable(&store, "clone");
    let record = store.meta.image("clone").unwrap();
    let core = store.open.lock().image(&record.id).unwrap();
    // A request that is at work and does not end.
    let _at_work = core.alone_in(0, 65_536);
    let space = || {
        let sizes = layer_files(dir.path()).into_iter().map(|path| {
            let meta = std::fs::metadata(&path).unwrap();
            use std::os::unix::fs::MetadataExt;
            meta.blocks() * 512
        });
        sizes.sum::<u64>()
    };
    let (files, before) = (layer_files(dir.path()).len(), space());
    store.resize("clone", 1 << 40).unwrap();
    assert_eq!(layer_files(dir.path()).len(), files);
    assert!(space() <= before + (1 << 20), "a map of 1 TiB has 32 MiB");
    drop(_at_work);
    let tail = _disk.read((1 << 40) - 4096, 4096);
    assert!(tail == vec![0; 4096] && _disk.read(0, SIZE as usize) == wanted);
}

#[test]
fn a_grown_image_survives_kill_9_with_its_live_map() {
    for old in [SIZE, SIZE + 512] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), true);
        let mut wanted = with_clone(&store, old);
        let disk = writable(&store, "clone");
        disk.write(512, &[7; 512]);
        wanted[512..1024].fill(7);
        store.resize("clone", 2 * SIZE).unwrap();
        wanted.resize(2 * SIZE as usize, 0);
        // Around the old end, in new blocks, and once more in old ones.
        for (at, len, fill) in [(old - 1024, 4096, 8), (2 * SIZE - 512, 512, 9), (20_480, 512, 6)] {
            disk.write(at, &vec![fill; len]);
            wanted[at as usize..][..len].fill(fill);
        }
        assert!(disk.read(0, 2 * SIZE as usize) == wanted);
        // As a killed daemon leaves it: nothing is synced or removed on the way out.
        let killed = tempfile::tempdir().unwrap();
        crash::copy_dir(dir.path(), killed.path());
        let store = open(killed.path(), true);
        assert!(writable(&store, "clone").read(0, 2 * SIZE as usize) == wanted, "{old}");
        store.snapshot("clone", "s").unwrap();
        store.clone_image("clone", "s", "next").unwrap();
        assert!(writable(&store, "next").read(0, 2 * SIZE as usize) == wanted);
        assert_eq!(writable(&store, "golden").volume.info().size_bytes, old);
    }
}

#[test]
fn growing_that_is_interrupted_leaves_the_old_size_or_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let old = SIZE + 512;
    let store = open(dir.path(), false);
    let wanted = with_clone(&store, old);
    let full = Power::watch(dir.path(), 0, std::io::ErrorKind::StorageFull);
    let refused = store.resize("clone", 2 * SIZE);
    full.restore();
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::NoSpace);
    drop(store);
    // The file is longer than the image already.
    let store = open(dir.path(), false);
    let disk = writable(&store, "clone");
    assert!(disk.read(0, old as usize) == wanted);
    store.snapshot("clone", "s").unwrap();
    store.resize("clone", SIZE * 3 / 2).unwrap();
    let mut longer = wanted.clone();
    longer.resize(SIZE as usize * 3 / 2, 0);
    assert!(disk.read(0, longer.len()) == longer);
    let snapshot = Disk::new(store.open("clone", Some("s"), OpenMode::ReadOnly).unwrap());
    assert!(snapshot.read(0, old as usize) == wanted);
}
