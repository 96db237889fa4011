//! Images that grow.

use super::{
    ANSWER_WITHIN, Disk, SIZE, golden, kind_of, open, open_snapshot, pattern, remove_golden,
};
use crate::backend::{Store, StoreErrorKind};

/// The end is in the middle of a block.
const ODD: u64 = SIZE + 512;

pub(super) fn grown_while_open(store: &dyn Store, name: &str) {
    store.create(name, ODD).unwrap();
    let disk = open(store, name);
    disk.write(ODD - 512, &[7; 512]);
    store.snapshot(name, "before").unwrap();

    assert_eq!(kind_of(store.resize(name, SIZE)), Some(StoreErrorKind::Invalid), "it shrinks not");
    store.resize(name, ODD).unwrap();
    store.resize(name, 2 * SIZE).unwrap();
    wait_for_size(&disk, 2 * SIZE);
    assert_eq!(store.stat(name).unwrap().size_bytes, 2 * SIZE);
    let mut wanted = vec![0; (2 * SIZE) as usize];
    wanted[(ODD - 512) as usize..ODD as usize].fill(7);
    assert!(disk.read(0, wanted.len()) == wanted);
    let new = pattern(3, 100_000);
    disk.write(ODD + 99, &new);
    disk.write(2 * SIZE - 512, &[9; 512]);
    wanted[(ODD + 99) as usize..][..new.len()].copy_from_slice(&new);
    wanted[(2 * SIZE - 512) as usize..].fill(9);
    assert!(disk.read(0, wanted.len()) == wanted);

    drop(disk);
    assert!(open(store, name).read(0, wanted.len()) == wanted, "opened again");
    let before = open_snapshot(store, name, "before");
    assert_eq!(before.volume.info().size_bytes, ODD, "a snapshot keeps its size");
    assert_eq!(before.read(ODD - 512, 512), [7; 512]);
    drop(before);
    store.remove_snapshot(name, "before").unwrap();
    assert!(open(store, name).read(0, wanted.len()) == wanted);
    store.remove(name).unwrap();
    assert_eq!(kind_of(store.resize(name, SIZE)), Some(StoreErrorKind::NotFound));
}

pub(super) fn clones_have_sizes_of_their_own(store: &dyn Store, name: &str) {
    let (old, new) = (format!("{name}.old"), format!("{name}.new"));
    let bytes = golden(store, name);
    store.clone_image(name, "golden", &old).unwrap();
    store.resize(&old, 3 * SIZE).unwrap();
    let disk = open(store, &old);
    assert_eq!(disk.volume.info().size_bytes, 3 * SIZE);
    assert!(disk.read(0, SIZE as usize) == bytes);
    assert!(disk.read(SIZE, 2 * SIZE as usize).iter().all(|byte| *byte == 0));
    disk.write(SIZE - 4096, &[5; 8192]);
    assert_eq!(disk.read(SIZE - 4096, 8192), [5; 8192]);
    drop(disk);

    store.resize(name, 2 * SIZE).unwrap();
    store.clone_image(name, "golden", &new).unwrap();
    let disk = open(store, &new);
    assert_eq!(disk.volume.info().size_bytes, SIZE, "as large as the snapshot");
    assert!(disk.read(0, SIZE as usize) == bytes);
    drop(disk);
    store.remove(&old).unwrap();
    store.remove(&new).unwrap();
    remove_golden(store, name);
}

/// A store may hear of the new size a moment later.
fn wait_for_size(disk: &Disk, size_bytes: u64) {
    let deadline = std::time::Instant::now() + ANSWER_WITHIN;
    while disk.volume.info().size_bytes != size_bytes {
        assert!(std::time::Instant::now() < deadline, "the open volume does not grow");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
