//! The record that a volume keeps beside its data.

use super::*;
use crate::block::{STATE_BYTES_MAX, SavedState, StateRecord};

impl Disk {
    /// Has a record kept.
    pub(crate) fn save_state(&self, bytes: &[u8]) -> Result<(), ErrorKind> {
        let record = StateRecord::new(bytes.to_vec()).unwrap();
        match self.run(Op::SaveState(record)) {
            Ok(Done::Unit) => Ok(()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.kind()),
        }
    }

    /// The record that is kept.
    pub(crate) fn state(&self) -> SavedState {
        self.volume.saved_state()
    }
}

fn kept(bytes: &[u8]) -> SavedState {
    SavedState::Record(bytes.to_vec())
}

pub(super) fn a_record_survives_reopening(store: &dyn Store, name: &str) {
    let bytes = golden(store, name);
    assert_eq!(open(store, name).state(), kept(&[]));
    let longest: Vec<u8> = pattern(5, STATE_BYTES_MAX).iter().map(|byte| byte - 1).collect();
    for record in [b"one".as_slice(), &longest, &[0, 255, 0], b"", b"last"] {
        let disk = open(store, name);
        disk.save_state(b"another before").unwrap();
        disk.save_state(record).unwrap();
        assert_eq!(disk.state(), kept(record));
        drop(disk);
        assert_eq!(open(store, name).state(), kept(record));
    }
    let disk = open(store, name);
    disk.write(0, &bytes[..512]);
    store.snapshot(name, "later").unwrap();
    disk.save_state(b"after a snapshot").unwrap();
    let snapshot = open_snapshot(store, name, "later");
    assert_eq!(snapshot.state(), SavedState::Unsupported);
    snapshot.save_state(b"x").unwrap_err();
    drop((snapshot, disk));
    let reader = Disk::new(store.open(name, None, OpenMode::ReadOnly).unwrap());
    assert_eq!(reader.state(), kept(b"after a snapshot"));
    assert_eq!(reader.save_state(b"x"), Err(ErrorKind::ReadOnly));
    assert!(reader.read(0, SIZE as usize) == bytes, "the data are what they were");
    drop(reader);
    store.remove_snapshot(name, "later").unwrap();
    remove_golden(store, name);
}

pub(super) fn a_record_is_not_inherited(store: &dyn Store, name: &str) {
    let (child, grandchild) = (format!("{name}.clone"), format!("{name}.clone.clone"));
    store.create(name, SIZE).unwrap();
    open(store, name).save_state(b"the parent's").unwrap();
    store.snapshot(name, "s").unwrap();
    store.clone_image(name, "s", &child).unwrap();
    let disk = open(store, &child);
    assert_eq!(disk.state(), kept(&[]));
    disk.save_state(b"the child's").unwrap();
    drop(disk);
    store.snapshot(&child, "s").unwrap();
    store.clone_image(&child, "s", &grandchild).unwrap();
    assert_eq!(open(store, &grandchild).state(), kept(&[]));
    assert_eq!(open(store, &child).state(), kept(b"the child's"));
    assert_eq!(open(store, name).state(), kept(b"the parent's"));
    store.remove(&grandchild).unwrap();
    store.remove_snapshot(&child, "s").unwrap();
    store.remove(&child).unwrap();
    store.remove_snapshot(name, "s").unwrap();
    store.remove(name).unwrap();
}

pub(super) fn a_record_goes_with_its_image(store: &dyn Store, name: &str) {
    for record in [b"first".as_slice(), b"second"] {
        store.create(name, SIZE).unwrap();
        let disk = open(store, name);
        assert_eq!(disk.state(), kept(&[]));
        disk.save_state(record).unwrap();
        drop(disk);
        store.remove(name).unwrap();
    }
}

/// Of records that are on their way at the same time, the one made last is kept.
pub(super) fn the_last_record_is_kept(store: &dyn Store, name: &str) {
    store.create(name, SIZE).unwrap();
    let disk = open(store, name);
    for round in 0..5_u8 {
        let record = |number: u8| Op::SaveState(StateRecord::new(vec![round, number]).unwrap());
        let mut ops: Vec<Op> = (0..8).map(record).collect();
        ops.reverse();
        let results = disk.run_all(ops);
        assert!(results[0].is_ok(), "the last is never refused");
        assert_eq!(disk.state(), kept(&[round, 7]));
    }
    drop(disk);
    assert_eq!(open(store, name).state(), kept(&[4, 7]));
    store.remove(name).unwrap();
}
