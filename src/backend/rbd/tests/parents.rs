//! Clones know what they were made from, and what is their own.

use super::*;
use crate::rbd::SnapshotKey;

const OBJECT: u64 = 4 << 20;

fn opened(store: &RbdStore, image: &str) -> Arc<Image> {
    Image::open(&store.pool().unwrap(), image, None, Access::ReadOnly).unwrap()
}

#[test]
fn a_chain_of_clones_tells_its_parents_and_its_own_objects() {
    let Some(conf) = cluster("a_chain_of_clones_tells_its_parents") else { return };
    let store = open_store(conf);
    let name = image(&store, "grandparent");
    let (child, grandchild) = (format!("{name}.c"), format!("{name}.gc"));
    let disk = open(&store, &name);
    disk.write(0, &pattern(1, 4096));
    disk.write(5 * OBJECT, &pattern(2, 4096));
    drop(disk);
    store.snapshot(&name, "s").unwrap();
    store.clone_image(&name, "s", &child).unwrap();
    store.resize(&child, 2 * SIZE).unwrap();
    let disk = open(&store, &child);
    disk.write(OBJECT, &[3; 512]);
    disk.write(2 * OBJECT - 512, &[4; 1024]);
    drop(disk);
    store.snapshot(&child, "s").unwrap();
    store.clone_image(&child, "s", &grandchild).unwrap();
    // Later than the snapshot: nothing of the grandchild's.
    open(&store, &child).write(9 * OBJECT, &[5; 512]);

    let disk = open(&store, &grandchild);
    let image = opened(&store, &grandchild);
    assert_eq!(image.own_objects().unwrap(), Some(vec![]), "nothing was written yet");
    disk.write(0, &[6; 512]);
    disk.run(Op::Discard { offset: 5 * OBJECT, len: OBJECT }).unwrap();
    assert_eq!(
        image.own_objects().unwrap(),
        Some(vec![0..OBJECT, 5 * OBJECT..6 * OBJECT]),
        "while it is open for writing elsewhere; what hides the parent's data is its own"
    );

    let first = OpenParent::of(&image).unwrap().unwrap();
    let (fsid, pool_id) = (image.pool().cluster().fsid().to_owned(), image.pool().id());
    let snapshot_id = first.parent.key.snapshot_id;
    let image_id = opened(&store, &child).id().unwrap();
    let key = SnapshotKey { fsid, pool_id, namespace: String::new(), image_id, snapshot_id };
    assert_eq!(first.parent.key, key);
    assert_eq!(first.parent.overlap_bytes, 2 * SIZE);
    assert_eq!((&first.parent.image, first.parent.snapshot.as_str()), (&child, "s"));
    assert_eq!(first.volume.info().size_bytes, 2 * SIZE);
    let own = first.image.own_objects().unwrap().unwrap();
    assert!(own.iter().eq(std::iter::once(&(OBJECT..3 * OBJECT))));
    let snapshot = Disk::new(Arc::clone(&first.volume));
    assert!(snapshot.read(0, 4096) == pattern(1, 4096), "through both");
    assert_eq!(snapshot.read(2 * OBJECT, 512), [4; 512]);
    assert_eq!(snapshot.read(9 * OBJECT, 512), [0; 512], "written after the snapshot");

    let second = OpenParent::of(&first.image).unwrap().unwrap();
    assert_eq!(second.parent.overlap_bytes, SIZE);
    assert_eq!(second.image.own_objects().unwrap(), Some(vec![0..OBJECT, 5 * OBJECT..6 * OBJECT]));
    assert!(Disk::new(Arc::clone(&second.volume)).read(5 * OBJECT, 4096) == pattern(2, 4096));
    assert!(OpenParent::of(&second.image).unwrap().is_none());

    drop((disk, image, first, second, snapshot));
    for image in [&grandchild, &child, &name] {
        if *image != grandchild {
            store.remove_snapshot(image, "s").unwrap();
        }
        store.remove(image).unwrap();
    }
}

#[test]
fn a_parent_in_another_namespace_or_in_the_trash_is_opened() {
    let Some(conf) = cluster("a_parent_in_another_namespace_or_in_the_trash") else { return };
    let namespace = unique("golden");
    run(conf, &["rbd", "namespace", "create", &format!("rbd/{namespace}")]);
    let golden = RbdStore::open(Options { namespace: namespace.clone(), ..options(conf) }).unwrap();
    golden.create("golden", SIZE).unwrap();
    open(&golden, "golden").write(OBJECT, &[1; 512]);
    golden.snapshot("golden", "s").unwrap();
    let store = open_store(conf);
    let child = unique("child");
    let (from, to) = (format!("rbd/{namespace}/golden@s"), format!("rbd/{child}"));
    run(conf, &["rbd", "clone", "--rbd-default-clone-format", "2", &from, &to]);
    // The name of the snapshot goes, its data stay for the clone.
    run(conf, &["rbd", "snap", "rm", &from]);

    let parent = OpenParent::of(&opened(&store, &child)).unwrap().unwrap();
    assert_eq!(parent.parent.key.namespace, namespace);
    assert_eq!(parent.image.label(), format!("rbd/{namespace}/golden"));
    assert_eq!(Disk::new(Arc::clone(&parent.volume)).read(OBJECT, 512), [1; 512]);
    drop(parent);
    store.remove(&child).unwrap();
}

#[test]
fn without_an_object_map_nothing_is_known_cheaply() {
    let Some(conf) = cluster("without_an_object_map_nothing_is_known_cheaply") else { return };
    let store = open_store(conf);
    let name = image(&store, "no-map");
    run(conf, &["rbd", "feature", "disable", &format!("rbd/{name}"), "fast-diff"]);
    assert_eq!(opened(&store, &name).own_objects().unwrap(), None);
    store.remove(&name).unwrap();
}

#[test]
fn records_leave_nothing_behind() {
    let Some(conf) = cluster("records_leave_nothing_behind") else { return };
    let store = open_store(conf);
    let name = image(&store, "records");
    store.keep(&name, "boot-profile", &[7; 1000]).unwrap();
    let id = opened(&store, &name).id().unwrap();
    let objects = || run(conf, &["rados", "-p", "rbd", "ls"]);
    assert!(objects().contains(&format!("stirrup_records.{id}")));
    store.remove(&name).unwrap();
    assert!(!objects().contains(&id), "{}", objects());
}
