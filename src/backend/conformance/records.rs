//! Records kept with an image.

use super::*;
use crate::backend::RECORD_BYTES_MAX;

pub(super) fn a_record_is_kept_with_an_image(store: &dyn Store, name: &str) {
    let bytes = golden(store, name);
    let longest = pattern(3, RECORD_BYTES_MAX);
    assert_eq!(store.kept(name, "boot-profile").unwrap(), None);
    for record in [b"one".as_slice(), &longest, b"", &[0, 255, 0, 10]] {
        store.keep(name, "boot-profile", record).unwrap();
        store.keep(name, "another", b"another").unwrap();
        assert!(store.kept(name, "boot-profile").unwrap().as_deref() == Some(record));
        assert_eq!(store.kept(name, "another").unwrap().as_deref(), Some(b"another".as_slice()));
    }
    // An open image, too; and what a disk reads is not touched.
    let disk = open(store, name);
    store.keep(name, "boot-profile", b"while open").unwrap();
    assert!(disk.read(0, SIZE as usize) == bytes, "the data are what they were");
    drop(disk);
    let kept = store.kept(name, "boot-profile").unwrap();
    assert_eq!(kept.as_deref(), Some(b"while open".as_slice()));
    let too_long = store.keep(name, "boot-profile", &vec![1; RECORD_BYTES_MAX + 1]);
    assert_eq!(too_long.unwrap_err().kind(), StoreErrorKind::Invalid);
    assert_eq!(store.keep(name, "a/b", b"x").unwrap_err().kind(), StoreErrorKind::Invalid);
    remove_golden(store, name);
    assert_eq!(store.keep(name, "x", b"x").unwrap_err().kind(), StoreErrorKind::NotFound);
    assert_eq!(store.kept(name, "x").unwrap_err().kind(), StoreErrorKind::NotFound);
}

pub(super) fn a_kept_record_is_the_images_own(store: &dyn Store, name: &str) {
    let child = format!("{name}.clone");
    store.create(name, SIZE).unwrap();
    store.keep(name, "r", b"the parent's").unwrap();
    store.snapshot(name, "s").unwrap();
    store.clone_image(name, "s", &child).unwrap();
    assert_eq!(store.kept(&child, "r").unwrap(), None, "a clone does not inherit it");
    store.keep(&child, "r", b"the child's").unwrap();
    store.remove(&child).unwrap();
    assert_eq!(store.kept(name, "r").unwrap().as_deref(), Some(b"the parent's".as_slice()));
    store.remove_snapshot(name, "s").unwrap();
    store.remove(name).unwrap();
    // Another image of the same name has none.
    store.create(name, SIZE).unwrap();
    assert_eq!(store.kept(name, "r").unwrap(), None);
    store.remove(name).unwrap();
}
