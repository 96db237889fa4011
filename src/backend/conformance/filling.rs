//! Images that are filled over several openings.

use super::{SIZE, open, pattern};
use crate::backend::Store;

pub(super) fn filled_in_turns(store: &dyn Store, name: &str) {
    store.create(name, SIZE).unwrap();
    let mut writer = store.writer(name).unwrap();
    writer.write_at(100, &pattern(1, 5000)).unwrap();
    writer.write_at(SIZE - 1000, &[7; 1000]).unwrap();
    writer.sync().unwrap();
    writer.write_at(5100, &pattern(2, 300_000)).unwrap();
    // Closed without a word: what came after the sync may be there or not.
    drop(writer);
    let mut writer = store.writer(name).unwrap();
    writer.zero_at(5100, SIZE - 1000 - 5100).unwrap();
    writer.write_at(6000, &[9; 3]).unwrap();
    writer.finish().unwrap();
    let disk = open(store, name);
    let mut expected = vec![0; SIZE as usize];
    expected[100..5100].copy_from_slice(&pattern(1, 5000));
    expected[6000..6003].fill(9);
    expected[SIZE as usize - 1000..].fill(7);
    assert!(disk.read(0, expected.len()) == expected);
    drop(disk);
    let mut writer = store.writer(name).unwrap();
    writer.zero_at(0, SIZE).unwrap();
    writer.finish().unwrap();
    assert!(open(store, name).read(0, SIZE as usize).iter().all(|&byte| byte == 0));
    store.remove(name).unwrap();
}
