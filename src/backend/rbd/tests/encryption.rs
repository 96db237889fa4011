//! Encrypted images.

use super::*;
use crate::backend::rbd::encryption::{Encryption, Passphrase};
use crate::rbd::LuksFormat;

fn passphrase(text: &str) -> Passphrase {
    use std::os::unix::fs::PermissionsExt as _;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Passphrase::read(file.path()).unwrap()
}

fn encrypting(conf: &Path, format: Option<LuksFormat>, text: Option<&str>) -> RbdStore {
    let encryption = Encryption { format, passphrase: text.map(passphrase) };
    RbdStore::open(Options { encryption, ..options(conf) }).unwrap()
}

#[test]
fn an_encrypted_image_is_read_with_its_passphrase_only() {
    let Some(conf) = cluster("an_encrypted_image_is_read_with_its_passphrase") else { return };
    let luks1 = Some(LuksFormat::Luks1);
    let store = encrypting(conf, luks1, Some("open sesame"));
    let name = image(&store, "secret");
    let (child, grandchild) = (format!("{name}.c"), format!("{name}.gc"));
    assert_eq!(store.stat(&name).unwrap().size_bytes, SIZE);
    let text = b"a secret that nobody may find in the cluster ".repeat(2048);
    let text = &text[..64 << 10];
    let disk = open(&store, &name);
    assert_eq!(disk.read(SIZE - 4096, 4096), [0; 4096], "what nobody wrote reads as zeros");
    disk.write(SIZE - (64 << 10), text);
    disk.run(Op::CompareAndWrite {
        offset: 0,
        compare: Buffer::zeroed(512),
        write: Buffer::from_slice(&[1; 512]),
    })
    .unwrap();
    disk.run(Op::Discard { offset: SIZE - 4096, len: 4096 }).unwrap();
    assert_eq!(disk.read(SIZE - 4096, 4096), [0; 4096]);
    disk.write(SIZE - (64 << 10), text);
    assert_eq!(refusal(&disk, SIZE), ErrorKind::OutOfRange);
    drop(disk);

    // Clones have its key, and are copies of their own. They grow.
    store.snapshot(&name, "s").unwrap();
    store.clone_image(&name, "s", &child).unwrap();
    assert_eq!(store.stat(&child).unwrap().parent, None, "a copy");
    let disk = open(&store, &child);
    disk.write(512, &[2; 512]);
    drop(disk);
    store.snapshot(&child, "s").unwrap();
    store.clone_image(&child, "s", &grandchild).unwrap();
    let disk = open(&store, &grandchild);
    assert_eq!(disk.read(0, 1024), [[1; 512], [2; 512]].concat());
    assert!(disk.read(SIZE - (64 << 10), 64 << 10) == text);
    store.resize(&grandchild, 2 * SIZE).unwrap();
    drop(disk);
    let disk = open(&store, &grandchild);
    assert_eq!(store.stat(&grandchild).unwrap().size_bytes, 2 * SIZE);
    disk.write(2 * SIZE - 512, &[3; 512]);
    assert_eq!(refusal(&disk, 2 * SIZE), ErrorKind::OutOfRange);
    drop(disk);
    assert_eq!(store.look(&grandchild).unwrap().info.size_bytes, 2 * SIZE);

    // A clone that was made without us, or not finished, becomes one when it is opened.
    let other = format!("{name}.o");
    let (from, to) = (format!("rbd/{name}@s"), format!("rbd/{other}"));
    run(conf, &["rbd", "clone", "--rbd-default-clone-format", "2", &from, &to]);
    assert_eq!(kind_of(store.open(&other, None, OpenMode::ReadOnly)), StoreErrorKind::Io);
    assert_eq!(open(&store, &other).read(0, 512), [1; 512]);
    store.pool().unwrap().wait_closed(&other);
    assert_eq!(store.stat(&other).unwrap().parent, None);
    store.remove(&other).unwrap();

    // What is in the cluster is not the text.
    let raw = run(conf, &["rbd", "export", "--no-progress", &name, "-"].map(|word| word));
    assert!(!raw.contains("nobody may find"));

    let without = open_store(conf);
    let error = without.open(&name, None, OpenMode::ReadWrite).err().unwrap();
    assert!(error.to_string().contains("passphrase_file is not set"), "{error}");
    let wrong = encrypting(conf, None, Some("open barley"));
    let error = wrong.open(&name, None, OpenMode::ReadOnly).err().unwrap();
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert!(error.to_string().contains("not its passphrase"), "{error}");
    assert_eq!(without.stat(&name).unwrap().size_bytes, SIZE, "it can be seen and removed");
    // A store that makes plain images opens encrypted ones, and the other way round.
    let plain = image(&without, "plain");
    open(&store, &plain).write(0, &[4; 512]);
    assert_eq!(open(&without, &plain).read(0, 512), [4; 512]);
    for name in [&without, &store].map(|store| store.pool().unwrap()) {
        name.wait_closed(&plain);
    }

    without.remove(&plain).unwrap();
    without.remove(&grandchild).unwrap();
    without.remove_snapshot(&child, "s").unwrap();
    without.remove(&child).unwrap();
    without.remove_snapshot(&name, "s").unwrap();
    without.remove(&name).unwrap();
}

const TEXT: &[u8; 45] = b"a secret that nobody may find in the cluster ";

/// Whether one of the objects in the cluster that hold an image's data has the text in it.
fn is_found(conf: &Path, image: &str) -> bool {
    let info = run(conf, &["rbd", "info", image]);
    let prefix = info.lines().find_map(|line| line.trim().strip_prefix("block_name_prefix: "));
    let prefix = format!("{}.", prefix.unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut objects = 0;
    for object in run(conf, &["rados", "-p", "rbd", "ls"]).lines() {
        if object.starts_with(&prefix) {
            objects += 1;
            run(conf, &["rados", "-p", "rbd", "get", object, file.path().to_str().unwrap()]);
            let bytes = std::fs::read(file.path()).unwrap();
            if bytes.windows(TEXT.len()).any(|window| window == TEXT) {
                return true;
            }
        }
    }
    assert!(objects > 0, "nothing is stored of {image}");
    false
}

#[test]
fn an_image_with_a_key_of_its_own_is_a_secret_whatever_the_store_s_images_are() {
    let Some(conf) = cluster("an_image_with_a_key_of_its_own_is_a_secret") else { return };
    let store = encrypting(conf, None, Some("open sesame"));
    store.can_encrypt().unwrap();
    let plain = image(&store, "plain");
    let names = [unique("own"), unique("own")];
    let formats = [LuksFormat::Luks1, LuksFormat::Luks2];
    for (name, format) in names.iter().zip(formats) {
        store.create_encrypted(name, SIZE, format).unwrap();
    }
    for name in names.iter().chain([&plain]) {
        assert_eq!(store.stat(name).unwrap().size_bytes, SIZE);
        assert_eq!(store.is_encrypted(name).unwrap(), *name != plain);
        let mut writer = store.writer(name).unwrap();
        writer.write_at(4096, &TEXT.repeat(200)).unwrap();
        writer.finish().unwrap();
        let disk = open(&store, name);
        assert_eq!(disk.read(4096, 9000), TEXT.repeat(200));
        assert_eq!(disk.read(SIZE - 4096, 4096), [0; 4096]);
        drop(disk);
        store.release(name).unwrap();
        assert_eq!(is_found(conf, name), *name == plain, "{name}");
    }

    // Tags, rollback, growth: as of any other.
    let name = &names[1];
    store.snapshot(name, "s").unwrap();
    open(&store, name).write(4096, &[1; 4096]);
    let old = Disk::new(store.open(name, Some("s"), OpenMode::ReadOnly).unwrap());
    assert_eq!(old.read(4096, 45), TEXT);
    drop(old);
    // A clone is a copy with the same key.
    let child = format!("{name}.c");
    store.clone_image(name, "s", &child).unwrap();
    assert_eq!(open(&store, &child).read(4096, 45), TEXT);
    store.release(&child).unwrap();
    assert_eq!(store.stat(&child).unwrap().parent, None);
    store.remove(&child).unwrap();
    store.resize(name, 2 * SIZE).unwrap();
    let disk = open(&store, name);
    disk.write(2 * SIZE - 4096, &TEXT.repeat(92)[..4096]);
    assert_eq!(refusal(&disk, 2 * SIZE), ErrorKind::OutOfRange);
    drop(disk);
    store.release(name).unwrap();
    assert!(!is_found(conf, name));
    store.rollback(name, "s").unwrap();
    store.release(name).unwrap();
    assert_eq!(store.stat(name).unwrap().size_bytes, SIZE);
    assert_eq!(open(&store, name).read(4096, 45), TEXT);
    store.release(name).unwrap();
    store.remove_snapshot(name, "s").unwrap();
    store.flatten(name, &|_, _| true).unwrap();

    // Its passphrase is its own: neither the store's, nor that of another image.
    let meta = |name: &str| run(conf, &["rbd", "image-meta", "get", name, "stirrup.encryption"]);
    let [one, other] = [meta(&names[0]), meta(name)];
    let [format, header, salt] = other.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{other}")
    };
    assert!(!one.contains(salt));
    let theirs = one.split_whitespace().last().unwrap();
    for mark in [format!("{format} {header}"), format!("{format} {header} {theirs}")] {
        run(conf, &["rbd", "image-meta", "set", name, "stirrup.encryption", &mark]);
        let error = store.open(name, None, OpenMode::ReadWrite).err().unwrap();
        assert!(error.to_string().contains("not its passphrase"), "{error}");
    }
    run(conf, &["rbd", "image-meta", "set", name, "stirrup.encryption", other.trim()]);
    let wrong = encrypting(conf, None, Some("open barley"));
    let error = wrong.open(name, None, OpenMode::ReadWrite).err().unwrap();
    assert!(error.to_string().contains("not its passphrase"), "{error}");
    assert_eq!(open(&store, name).read(4096, 45), TEXT);
    store.release(name).unwrap();

    let without = open_store(conf);
    let refused = [
        without.can_encrypt().unwrap_err(),
        without.create_encrypted(&unique("own"), SIZE, LuksFormat::Luks2).unwrap_err(),
        without.open(name, None, OpenMode::ReadWrite).err().unwrap(),
    ];
    for error in refused {
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains("passphrase_file is not set"), "{error}");
    }
    for name in names.iter().chain([&plain]) {
        store.remove(name).unwrap();
    }
}

fn refusal(disk: &Disk, offset: u64) -> ErrorKind {
    let buf = Buffer::unfilled(512);
    disk.run(Op::Read { offset, buf }).unwrap_err().kind()
}
