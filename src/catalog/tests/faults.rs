//! A fault at every step of every mutating call, of every kind, with and without a crash after
//! it; then the call once more.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::files::{self, Behind};
use super::world::{Fault, World};
use crate::catalog::engine::{Engine, Report};
use crate::catalog::import::Progress;
use crate::catalog::model::{DiskState, Image, ImageState, Node};
use crate::catalog::{
    Allowed, DiskSpec, Error, ErrorKind, Exposure, ImageName, ImportSpec, Name, NodeSpec, Options,
    Role, TagState, Tagged,
};

const FAULTS: [Fault; 4] = [Fault::Refused, Fault::Unsure, Fault::Outage, Fault::OutageAfter];

/// Who may do everything.
pub(super) const ADMIN: Role = Role::Admin;

/// More steps than any call has.
const STEPS_MAX: i64 = 200;

pub(super) fn name(text: &str) -> Name {
    Name::node(text).unwrap()
}

pub(super) fn image_name(text: &str) -> ImageName {
    ImageName::new(text).unwrap()
}

pub(super) fn project() -> Name {
    Name::project("default").unwrap()
}

pub(super) fn engine(world: &World) -> Engine {
    let (state, exporter) = (world.state(), world.exporter.clone());
    Engine::new(state, world.stores(), exporter, world.options()).unwrap()
}

/// What a start does, but in order.
pub(super) fn start(engine: &Engine) -> Report {
    let mut report = Report::default();
    let disks = engine.publish_all().unwrap();
    for disk in engine.disks(None).unwrap() {
        report.disks_erased += u64::from(engine.end_unfinished_disk(&disk).unwrap());
    }
    for image in engine.images(None).unwrap() {
        engine.check_image(&image, &mut report).unwrap();
    }
    for tag in engine.all_tags().unwrap() {
        engine.end_unfinished_tag(&tag).unwrap();
    }
    for outgoing in engine.outgoing().unwrap() {
        engine.end_export(&outgoing).unwrap();
    }
    engine.clean_staging().unwrap();
    for store in engine.stores().keys() {
        engine.remove_orphans(store, &mut report).unwrap();
    }
    for (project, name) in disks {
        // A disk that is broken says so; what that does is asserted by the callers.
        let _ = engine.serve(&project, &name);
    }
    report
}

/// A raw file that is worth importing.
pub(super) fn raw_file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut bytes = vec![0; 8192];
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes[4096] = 7;
    file.write_all(&bytes).unwrap();
    file
}

pub(super) fn import_spec(path: impl Into<PathBuf>) -> ImportSpec {
    ImportSpec {
        file: path.into(),
        format: None,
        store: None,
        fix_boot_chs: false,
        owner: None,
        sha256: None,
    }
}

pub(super) fn import(engine: &Engine, image: &str) -> Result<(), Error> {
    let file = raw_file();
    let spec = import_spec(file.path());
    let import = engine.begin_import(&project(), &image_name(image), &spec)?;
    engine.run_import(import, &Progress::default()).map(drop)
}

/// Rows, store and targets say the same.
fn assert_consistent(world: &World, engine: &Engine, context: &str) {
    let images = engine.images(None).unwrap();
    let disks = engine.disks(None).unwrap();
    let uploading = |image: &Image| image.state == ImageState::Uploading;
    let staged = |image: &Image| uploading(image) && image.is_staged();
    for image in &images {
        assert!(uploading(image) || image.state == ImageState::Ready, "{context}: {image:?}");
    }
    // As the daemon does now and then.
    engine.clean_staging().unwrap();
    for outgoing in engine.take_unended() {
        engine.end_export(&outgoing).unwrap();
    }
    let files: BTreeSet<String> = std::fs::read_dir(&world.uploads.0)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let awaited = images.iter().filter(|image| staged(image));
    let awaited: BTreeSet<String> = awaited.map(|it| format!("{}.part", it.backing)).collect();
    assert_eq!(files, awaited, "{context}: uploads");
    assert_eq!(engine.outgoing().unwrap(), [], "{context}");
    let parts = world.store.other().images.lock().keys().any(|name| name.starts_with("stirrup-"));
    let parts = parts || files::exported().iter().any(|name| name != "out.raw");
    assert!(!parts, "{context}: a part of an export: {:?}", files::exported());
    let rows: BTreeSet<String> = images
        .iter()
        .filter(|image| !staged(image))
        .map(|image| image.backing.clone())
        .chain(disks.iter().map(|disk| disk.backing.clone()))
        .collect();
    for tag in engine.all_tags().unwrap() {
        assert_eq!(tag.state, TagState::Ready, "{context}: {tag:?}");
    }
    let tags = |of| {
        let tags = engine.tags(&project(), &of).unwrap().into_iter();
        tags.map(|tag| tag.snapshot).collect::<Vec<_>>()
    };
    let stored = world.store.images.lock().keys().cloned().collect::<BTreeSet<String>>();
    // What others made is theirs to keep.
    let ours = |name: &String| name.starts_with("stirrup-") || rows.contains(name);
    let stored: BTreeSet<String> = stored.into_iter().filter(ours).collect();
    assert_eq!(stored, rows, "{context}: the store and the rows");
    for image in images.iter().filter(|image| !staged(image)) {
        let stored = world.store.images.lock();
        let mut snapshots = stored[&image.backing].snapshots.clone();
        drop(stored);
        snapshots.sort();
        let mut known = tags(Tagged::Image(image.name.clone()));
        if !image.attached && !uploading(image) {
            known.push("golden".to_owned());
        }
        known.sort();
        assert_eq!(snapshots, known, "{context}");
        assert_eq!(image.origin, None, "{context}");
        let users = engine.image_users(&image.project, &image.name).unwrap();
        let cloned: Vec<String> = disks
            .iter()
            .filter(|disk| disk.image == image.name && !disk.flattened)
            .filter(|disk| *disk.image_project() == image.project)
            .map(|disk| match &disk.image_project {
                Some(_) => format!("{}/{}", disk.project, disk.name),
                None => disk.name.to_string(),
            })
            .collect();
        assert_eq!(users, cloned, "{context}: uses of {}", image.name);
    }
    let exported: Vec<String> = world.exporter.targets.lock().keys().cloned().collect();
    let exposed = || disks.iter().filter(|disk| disk.exposure != Exposure::Unexposed);
    let targets: Vec<String> = exposed().map(|disk| disk.target.clone()).collect();
    assert_eq!(exported, targets, "{context}: the targets and the rows");
    let open = world.exporter.open_when_disconnected.load(Ordering::SeqCst);
    assert_eq!(open, 0, "{context}: others could log in while sessions were ended");
    for disk in &disks {
        assert_eq!((disk.state, &disk.rollback), (DiskState::Ready, &None), "{context}: {disk:?}");
        if !disk.edits {
            let snapshots = world.store.images.lock()[&disk.backing].snapshots.clone();
            assert_eq!(snapshots, tags(Tagged::Disk(disk.name.clone())), "{context}");
            let parent = world.store.images.lock()[&disk.backing].parent.clone();
            assert_eq!(parent.is_none(), disk.flattened, "{context}");
        }
        let node = disk.node.as_ref().map(|node| engine.node(&disk.project, node).unwrap());
        if let Some(export) = world.exporter.targets.lock().get(&disk.target) {
            let is_enabled = disk.exposure == Exposure::Enabled;
            assert_eq!(export.volume.is_some(), is_enabled, "{context}");
            assert!(!export.identity.is_empty() && !export.paused, "{context}");
            assert_eq!(export.allowed, engine.allowed(disk, node.as_ref()), "{context}");
            assert_eq!((&export.chap, export.read_only), (&disk.chap, disk.read_only), "{context}");
            assert_eq!(export.limits, disk.qos.into(), "{context}");
        }
        if let Some(node) = node {
            assert_eq!(node.disk.as_ref(), Some(&disk.name), "{context}");
        }
    }
    for node in engine.nodes(None).unwrap() {
        let disk = engine.disk_of(&node).unwrap();
        assert_eq!(disk.map(|disk| disk.node), node.disk.as_ref().map(|_| Some(node.name.clone())));
    }
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) setup: fn(&Engine),
    pub(super) call: fn(&Engine) -> Result<(), Error>,
    /// What must be true after the call has succeeded, or has been repeated with success.
    pub(super) done: fn(&Engine) -> bool,
    /// A repeated call may find that the first one had been carried through.
    pub(super) repeat_code: Option<&'static str>,
}

pub(super) fn golden(engine: &Engine) {
    import(engine, "golden").unwrap();
}

pub(super) fn spec() -> DiskSpec {
    DiskSpec::new(image_name("golden"))
}

pub(super) fn with_disk(engine: &Engine) {
    golden(engine);
    engine.create_disk(&project(), &name("d1"), &spec(), None).unwrap();
}

pub(super) fn with_named_node(engine: &Engine) {
    with_disk(engine);
    let initiator = Some("iqn.2004-10.org.example:n1".to_owned());
    let node = NodeSpec { macs: vec!["52:54:00:00:00:01".into()], initiator };
    engine.put_node(ADMIN, &project(), &name("n1"), &node).unwrap();
}

pub(super) fn with_bound_node(engine: &Engine) {
    with_named_node(engine);
    engine.bind(ADMIN, &project(), &name("n1"), &name("d1")).unwrap();
}

fn with_provisioned_node(engine: &Engine) {
    golden(engine);
    engine.provision(&project(), &name("n1"), &spec()).unwrap();
}

pub(super) fn node(engine: &Engine) -> Node {
    engine.node(&project(), &name("n1")).unwrap()
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "import",
            setup: |_| {},
            call: |engine| import(engine, "golden"),
            done: |engine| engine.image(&project(), &image_name("golden")).is_ok(),
            repeat_code: Some("image-exists"),
        },
        Case {
            name: "remove image",
            setup: golden,
            call: |engine| engine.remove_image(&project(), &image_name("golden")),
            done: |engine| engine.images(None).unwrap().is_empty(),
            repeat_code: Some("image-not-found"),
        },
        Case {
            name: "create disk",
            setup: golden,
            call: |engine| engine.create_disk(&project(), &name("d1"), &spec(), None).map(drop),
            done: |engine| engine.disk(&project(), &name("d1")).is_ok(),
            repeat_code: None,
        },
        Case {
            name: "remove disk",
            setup: with_disk,
            call: |engine| engine.remove_disk(ADMIN, &project(), &name("d1")),
            done: |engine| engine.disks(None).unwrap().is_empty(),
            repeat_code: Some("disk-not-found"),
        },
        Case {
            name: "resize disk",
            setup: with_disk,
            call: |engine| engine.resize_disk(&project(), &name("d1"), 1 << 20).map(drop),
            done: |engine| engine.disk(&project(), &name("d1")).unwrap().size_bytes == 1 << 20,
            repeat_code: None,
        },
        Case {
            name: "put node",
            setup: with_bound_node,
            call: |engine| {
                let initiator = Some("iqn.2004-10.org.example:other".to_owned());
                let node = NodeSpec { macs: vec!["52:54:00:00:00:02".into()], initiator };
                engine.put_node(ADMIN, &project(), &name("n1"), &node).map(drop)
            },
            done: |engine| {
                let disk = engine.disk_of(&node(engine)).unwrap().unwrap();
                engine.allowed(&disk, Some(&node(engine)))
                    == Allowed::Initiators(vec!["iqn.2004-10.org.example:other".to_owned()])
            },
            repeat_code: None,
        },
        Case {
            name: "remove node",
            setup: with_named_node,
            call: |engine| engine.remove_node(&project(), &name("n1")),
            done: |engine| engine.nodes(None).unwrap().is_empty(),
            repeat_code: Some("node-not-found"),
        },
        Case {
            name: "bind",
            setup: with_named_node,
            call: |engine| engine.bind(ADMIN, &project(), &name("n1"), &name("d1")).map(drop),
            done: |engine| node(engine).disk == Some(name("d1")),
            repeat_code: None,
        },
        Case {
            name: "unbind",
            setup: with_bound_node,
            call: |engine| engine.unbind(ADMIN, &project(), &name("n1")).map(drop),
            done: |engine| node(engine).disk.is_none(),
            repeat_code: None,
        },
        Case {
            name: "provision",
            setup: golden,
            call: |engine| engine.provision(&project(), &name("n1"), &spec()).map(drop),
            done: |engine| node(engine).disk == Some(name("n1")),
            repeat_code: None,
        },
        Case {
            name: "deprovision",
            setup: with_provisioned_node,
            call: |engine| engine.deprovision(ADMIN, &project(), &name("n1")).map(drop),
            done: |engine| node(engine).disk.is_none() && engine.disks(None).unwrap().is_empty(),
            repeat_code: None,
        },
    ]
    .into_iter()
    .chain(super::versions::cases())
    .chain(super::uploads::cases())
    .chain(super::exports::cases())
    .chain(super::settings::cases())
    .chain(super::attach::cases())
    .chain(super::encrypted::cases())
    .collect()
}

/// One fault in one call. Whether the call got so far as to meet it.
fn walk(case: &Case, fault: Fault, crash: bool, step: i64) -> bool {
    let context = format!("{}, {fault:?} at step {step}, crash {crash}", case.name);
    let world = World::new();
    let _behind = Behind::faults_of(&world);
    let mut engine = engine(&world);
    (case.setup)(&engine);
    world.faults.arm(step, fault);
    let first = (case.call)(&engine);
    let struck = world.faults.disarm();
    if !struck {
        first.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_consistent(&world, &engine, &context);
        assert!((case.done)(&engine), "{context}");
        return false;
    }
    if crash {
        drop(engine);
        world.crash();
        engine = self::engine(&world);
        start(&engine);
        assert_consistent(&world, &engine, &context);
    }
    match (case.call)(&engine) {
        Ok(()) => {}
        Err(error) if Some(error.code()) == case.repeat_code => {}
        Err(error) => panic!("{context}: repeated: {error}"),
    }
    // What goes on without a caller: a target that a call has left otherwise than the rows say.
    for (project, disk) in engine.take_unserved() {
        engine.serve(&project, &disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    }
    assert_consistent(&world, &engine, &context);
    assert!((case.done)(&engine), "{context}");
    true
}

#[test]
fn every_call_survives_a_fault_at_every_step() {
    for case in cases() {
        for fault in FAULTS {
            for crash in [false, true] {
                let steps = (0..STEPS_MAX).take_while(|&step| walk(&case, fault, crash, step));
                let steps = steps.count();
                assert!((2..STEPS_MAX as usize).contains(&steps), "{}: {steps}", case.name);
            }
        }
    }
}

#[test]
fn a_failed_call_leaves_nothing_even_before_it_is_repeated() {
    // Whatever fails by itself, without an outage, is taken back within the call.
    for step in 0.. {
        let world = World::new();
        let engine = engine(&world);
        golden(&engine);
        world.faults.arm(step, Fault::Refused);
        let result = engine.provision(&project(), &name("n1"), &spec());
        if !world.faults.disarm() {
            result.unwrap();
            break;
        }
        assert_ne!(result.unwrap_err().kind(), ErrorKind::NotFound);
        assert_consistent(&world, &engine, &format!("step {step}"));
        assert!(engine.disks(None).unwrap().is_empty(), "step {step}");
    }
}

#[test]
fn a_catalog_put_back_from_an_old_copy_removes_no_disk() {
    let world = World::new();
    let engine = self::engine(&world);
    golden(&engine);
    drop(engine);
    // The copy: same installation, but it does not know of the disk that is made next.
    let copy =
        World { store: world.store.clone(), exporter: world.exporter.clone(), ..World::new() };
    for table in [crate::catalog::state::Table::Meta, crate::catalog::state::Table::Images] {
        use crate::catalog::state::{ABSENT, Change, State as _, Write};
        for (key, row) in world.rows.list(table, "").unwrap() {
            let write = Write::Put(row.value);
            copy.rows.apply(&[Change { table, key, expected: ABSENT, write }]).unwrap();
        }
    }
    let engine = self::engine(&world);
    let precious = engine.create_disk(&project(), &name("d1"), &spec(), None).unwrap().disk;
    drop(engine);
    world.crash();

    // Its next number is taken, whether it is reconciled before that number is needed or not.
    let engine = self::engine(&copy);
    let other = engine.create_disk(&project(), &name("d2"), &spec(), None).unwrap().disk;
    assert_ne!(other.backing, precious.backing);
    start(&engine);
    assert!(world.store.images.lock().contains_key(&precious.backing), "removed as an orphan");
    drop(engine);

    copy.crash();
    let engine = self::engine(&copy);
    start(&engine);
    assert!(world.store.images.lock().contains_key(&precious.backing), "removed as an orphan");
}

#[test]
fn an_orphan_of_ours_is_removed_and_nothing_else() {
    use crate::backend::Store;
    let world = World::new();
    let engine = engine(&world);
    with_disk(&engine);
    let disk = engine.create_disk(&project(), &name("d2"), &spec(), None).unwrap().disk;
    engine.remove_disk(ADMIN, &project(), &name("d2")).unwrap();
    // As if the removal had been forgotten by the store.
    world.store.create(&disk.backing, 512).unwrap();
    world.store.create("stirrup-00000000-disk1", 512).unwrap();
    world.store.create("somebodys", 512).unwrap();
    assert_eq!(start(&engine), Report { orphans_removed: 1, ..Report::default() });
    let images = world.store.images.lock();
    assert!(!images.contains_key(&disk.backing));
    assert!(images.contains_key("somebodys") && images.contains_key("stirrup-00000000-disk1"));
}

#[test]
fn a_catalog_put_back_removes_no_disk_of_any_store() {
    use crate::catalog::state::{ABSENT, Change, State as _, Table, Write};
    let world = World::new();
    let second = World::new().store;
    let stores = || {
        let mut stores = world.stores();
        stores.insert("second".to_owned(), second.clone());
        stores
    };
    let engine = |world: &World| {
        let (state, exporter) = (world.state(), world.exporter.clone());
        Engine::new(state, stores(), exporter, Options::default()).unwrap()
    };
    let import_into = |engine: &Engine, store: &str, image: &str| {
        let file = raw_file();
        let spec = ImportSpec { store: Some(store.to_owned()), ..import_spec(file.path()) };
        let import = engine.begin_import(&project(), &image_name(image), &spec).unwrap();
        engine.run_import(import, &Progress::default()).unwrap()
    };
    let before = engine(&world);
    import_into(&before, "local", "golden");
    // The copy knows the first image only.
    let copy = World { exporter: world.exporter.clone(), ..World::new() };
    for table in [Table::Meta, Table::Images] {
        for (key, row) in world.rows.list(table, "").unwrap() {
            let write = Write::Put(row.value);
            copy.rows.apply(&[Change { table, key, expected: ABSENT, write }]).unwrap();
        }
    }
    let precious = import_into(&before, "second", "precious").backing;
    drop(before);
    world.crash();

    // In the first store nothing is amiss, and numbers are given out there before the second
    // store is looked at.
    let engine = engine(&copy);
    for image in ["a", "b", "c"] {
        import_into(&engine, "local", image);
    }
    engine.remove_orphans("second", &mut Report::default()).unwrap();
    assert!(second.images.lock().contains_key(&precious), "removed as an orphan");
}

#[test]
fn a_removal_that_broke_off_in_the_store_is_carried_on() {
    let world = World::new();
    let engine = self::engine(&world);
    with_disk(&engine);
    let disk = engine.disk(&project(), &name("d1")).unwrap();
    world.store.images.lock().get_mut(&disk.backing).unwrap().half_removed = true;
    engine.remove_disk(ADMIN, &project(), &name("d1")).unwrap();
    assert!(!world.store.images.lock().contains_key(&disk.backing));
}

#[test]
fn what_the_store_lost_is_marked_and_heals() {
    let world = World::new();
    let engine = self::engine(&world);
    with_disk(&engine);
    let disk = engine.disk(&project(), &name("d1")).unwrap();
    drop(engine);
    world.crash();
    let lost = world.store.images.lock().remove(&disk.backing).unwrap();

    let engine = self::engine(&world);
    start(&engine);
    assert_eq!(engine.disk(&project(), &name("d1")).unwrap().state, DiskState::Broken);
    let export = world.exporter.targets.lock()[&disk.target].clone();
    assert!(export.volume.is_none(), "initiators are told to try again");
    let again = engine.create_disk(&project(), &name("d1"), &spec(), None).unwrap_err();
    assert_eq!(again.code(), "disk-broken");

    world.store.images.lock().insert(disk.backing.clone(), lost);
    engine.serve(&project(), &name("d1")).unwrap();
    assert_eq!(engine.disk(&project(), &name("d1")).unwrap(), disk);
    assert_consistent(&world, &engine, "healed");
}
