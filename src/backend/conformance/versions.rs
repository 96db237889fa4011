//! Images that go back to a snapshot, and clones that become independent.

use std::sync::Mutex;

use super::{SIZE, golden, kind_of, open, pattern, remove_golden};
use crate::backend::{OpenMode, Store, StoreErrorKind};

pub(super) fn back_to_a_snapshot(store: &dyn Store, name: &str) {
    let clone = format!("{name}.clone");
    let bytes = golden(store, name);
    store.clone_image(name, "golden", &clone).unwrap();
    let id = store.stat(&clone).unwrap().id;
    let disk = open(store, &clone);
    disk.write(4096, &pattern(1, 5000));
    store.snapshot(&clone, "then").unwrap();
    let mut then = bytes;
    then[4096..9096].copy_from_slice(&pattern(1, 5000));
    disk.write(0, &[9; 100_000]);
    assert_eq!(kind_of(store.rollback(&clone, "then")), Some(StoreErrorKind::InUse));
    assert_eq!(disk.read(0, 512), [9; 512], "a refusal changes nothing");
    drop(disk);
    store.resize(&clone, 2 * SIZE).unwrap();
    for _ in 0..2 {
        rollback(store, &clone, "then");
        assert_eq!(store.stat(&clone).unwrap().size_bytes, SIZE, "as large as it was");
        let disk = open(store, &clone);
        assert!(disk.read(0, then.len()) == then);
        disk.write(SIZE - 512, &[4; 512]);
        drop(disk);
    }
    assert_eq!(store.stat(&clone).unwrap().id, id, "it is the same image");
    assert_eq!(kind_of(store.rollback(&clone, "none")), Some(StoreErrorKind::NotFound));
    assert_eq!(kind_of(store.rollback("none", "then")), Some(StoreErrorKind::NotFound));
    store.remove_snapshot(&clone, "then").unwrap();
    store.remove(&clone).unwrap();
    remove_golden(store, name);
}

/// A store may need a moment to see that nobody has the image open.
fn rollback(store: &dyn Store, image: &str, snapshot: &str) {
    let deadline = std::time::Instant::now() + super::ANSWER_WITHIN;
    while let Err(error) = store.rollback(image, snapshot) {
        let is_late = std::time::Instant::now() > deadline;
        assert!(error.kind() == StoreErrorKind::InUse && !is_late, "{error}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

pub(super) fn a_clone_becomes_independent(store: &dyn Store, name: &str) {
    let clone = format!("{name}.clone");
    let mut bytes = golden(store, name);
    store.clone_image(name, "golden", &clone).unwrap();
    let disk = open(store, &clone);
    disk.write(5000, &pattern(2, 3000));
    bytes[5000..8000].copy_from_slice(&pattern(2, 3000));
    store.snapshot(&clone, "s").unwrap();
    let refused = store.flatten(&clone, &|_, _| true);
    assert_eq!(kind_of(refused), Some(StoreErrorKind::HasChildren));
    store.remove_snapshot(&clone, "s").unwrap();
    let last = Mutex::new((0, 0));
    let progress = |done, total| {
        *last.lock().unwrap() = (done, total);
        true
    };
    store.flatten(&clone, &progress).unwrap();
    assert_eq!(store.stat(&clone).unwrap().parent, None);
    let (done, total) = *last.lock().unwrap();
    assert!(done <= total && total == SIZE, "{done} of {total}");
    store.flatten(&clone, &progress).unwrap();
    assert!(disk.read(0, bytes.len()) == bytes, "under those who have it open");
    disk.write(0, &[3; 512]);
    bytes[..512].fill(3);
    drop(disk);
    remove_golden(store, name);
    let disk = open(store, &clone);
    assert!(disk.read(0, bytes.len()) == bytes);
    drop(disk);
    let again = store.open(&clone, None, OpenMode::ReadOnly).unwrap();
    drop(again);
    store.remove(&clone).unwrap();
    assert_eq!(kind_of(store.flatten(&clone, &progress)), Some(StoreErrorKind::NotFound));
}
