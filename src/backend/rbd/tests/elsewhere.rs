//! Images of other pools of the cluster.

use super::*;

#[test]
fn images_of_another_pool_are_read_made_and_renamed() {
    let Some(conf) = cluster("images_of_another_pool_are_read_made_and_renamed") else { return };
    let store = open_store(conf);
    let namespace = unique("elsewhere");
    run(conf, &["rbd", "namespace", "create", &format!("rbd/{namespace}")]);
    let place = format!("rbd/{namespace}");
    // As another tool makes it, of a size that is no multiple of anything.
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = pattern(3, 3_000_001);
    std::fs::write(file.path(), &bytes).unwrap();
    let there = format!("{place}/there");
    run(conf, &["rbd", "import", "--no-progress", file.path().to_str().unwrap(), &there]);
    run(conf, &["rbd", "snap", "create", "--no-progress", &format!("{there}@s")]);

    let other = store.elsewhere(&place).unwrap();
    for snapshot in [None, Some("s")] {
        let volume = other.open("there", snapshot, OpenMode::ReadOnly).unwrap();
        let reader = crate::backend::VolumeReader::new(volume);
        assert_eq!(reader.size_bytes(), bytes.len() as u64);
        let mut read = vec![0; bytes.len()];
        reader.read_at(0, &mut read).unwrap();
        assert!(read == bytes);
    }
    assert!(!other.in_use("there").unwrap());
    let open =
        Image::open(&other_pool(conf, &namespace), "there", None, Access::ReadWrite).unwrap();
    assert!(other.in_use("there").unwrap(), "somebody may write");
    drop(open);
    assert_eq!(kind_of(other.in_use("none")), StoreErrorKind::NotFound);

    other.create("part", 8 << 20).unwrap();
    let mut writer = other.writer("part").unwrap();
    writer.write_at(4096, &[7; 4096]).unwrap();
    writer.finish().unwrap();
    assert_eq!(kind_of(other.rename("part", "there")), StoreErrorKind::Exists);
    other.rename("part", "whole").unwrap();
    assert_eq!(kind_of(other.rename("part", "x")), StoreErrorKind::NotFound);
    assert_eq!(other.list().unwrap(), ["there", "whole"]);
    let exported = run(conf, &["rbd", "info", &format!("{place}/whole")]);
    assert!(exported.contains("8 MiB"), "{exported}");

    for (place, kind) in [
        ("nowhere", StoreErrorKind::NotFound),
        ("rbd/nowhere", StoreErrorKind::NotFound),
        ("", StoreErrorKind::Invalid),
        ("rbd/", StoreErrorKind::Invalid),
        ("rbd/a/b", StoreErrorKind::Invalid),
        ("/a", StoreErrorKind::Invalid),
    ] {
        assert_eq!(kind_of(store.elsewhere(place)), kind, "{place:?}");
    }
}

fn other_pool(conf: &Path, namespace: &str) -> Arc<Pool> {
    let options = Options { namespace: namespace.into(), ..options(conf) };
    options.connect().unwrap()
}
