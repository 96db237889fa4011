//! What a project has new disks made of.

use super::faults::{engine, golden, image_name, import, name, project, spec};
use super::world::World;
use crate::catalog::{DiskSpec, Engine, Error, Name, ProjectSettings, Qos, Quota, Rates, Usage};

const LARGE: u64 = 1 << 20;

fn settings() -> ProjectSettings {
    let total = Rates { operations: Some(100), bytes: None };
    ProjectSettings {
        image: Some("golden".to_owned()),
        disk_bytes: Some(LARGE),
        qos: Qos { total, ..Qos::default() },
        ..ProjectSettings::default()
    }
}

fn create(engine: &Engine, disk: &str, spec: &DiskSpec) -> Result<bool, Error> {
    Ok(engine.create_disk(&project(), &name(disk), spec, None)?.existed)
}

fn image(engine: &Engine, disk: &str) -> Result<DiskSpec, Error> {
    engine.default_image(&project(), &name(disk))
}

#[test]
fn new_disks_are_as_their_project_has_them() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    import(&engine, "other").unwrap();
    assert_eq!(image(&engine, "d1").unwrap_err().code(), "image-not-named");
    create(&engine, "old", &spec()).unwrap();
    engine.put_project(&project(), settings()).unwrap();
    let disk = |disk: &str| engine.disk(&project(), &name(disk)).unwrap();
    let old = (disk("old").size_bytes, disk("old").qos);
    assert_eq!(old, (8192, Qos::default()), "what is there stays");
    assert!(create(&engine, "old", &spec()).unwrap());

    let made = image(&engine, "d1").unwrap();
    create(&engine, "d1", &made).unwrap();
    assert_eq!((disk("d1").image, disk("d1").size_bytes), (image_name("golden"), LARGE));
    assert_eq!(disk("d1").qos, settings().qos);
    assert_eq!(world.exporter.targets.lock()[&disk("d1").target].limits, settings().qos.into());
    let stored = world.store.images.lock()[&disk("d1").backing].size_bytes;
    assert_eq!(stored, LARGE);
    // Whatever the project has by now, the same call again finds the disk.
    let other = ProjectSettings { image: Some("other".to_owned()), ..ProjectSettings::default() };
    engine.put_project(&project(), other).unwrap();
    assert!(create(&engine, "d1", &image(&engine, "d1").unwrap()).unwrap());
    assert_eq!(image(&engine, "d2").unwrap().image, image_name("other"));

    // What is named counts.
    engine.put_project(&project(), settings()).unwrap();
    let named = DiskSpec { size_bytes: Some(16384), qos: Some(Qos::default()), ..spec() };
    create(&engine, "d2", &named).unwrap();
    assert_eq!((disk("d2").size_bytes, disk("d2").qos), (16384, Qos::default()));
    assert!(create(&engine, "d2", &named).unwrap());
    let larger = DiskSpec { size_bytes: Some(LARGE), ..named };
    assert_eq!(create(&engine, "d2", &larger).unwrap_err().code(), "disk-exists");
    // A default is no reason to cut an image off, or to make one larger that is edited.
    let small = ProjectSettings { disk_bytes: Some(4096), ..settings() };
    engine.put_project(&project(), small).unwrap();
    create(&engine, "d3", &spec()).unwrap();
    assert_eq!(disk("d3").size_bytes, 8192);
    engine.put_project(&project(), settings()).unwrap();
    create(&engine, "e", &DiskSpec { edit: true, ..spec() }).unwrap();
    assert_eq!(disk("e").size_bytes, 8192);
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    for size in [0, 1, 4095, 4096, 8193, u64::MAX] {
        let spec = DiskSpec { size_bytes: Some(size), ..spec() };
        assert_eq!(create(&engine, "d1", &spec).unwrap_err().code(), "invalid-size", "{size}");
        assert!(engine.disks(None).unwrap().is_empty());
    }
    let edit = DiskSpec { size_bytes: Some(LARGE), edit: true, ..spec() };
    assert_eq!(create(&engine, "e", &edit).unwrap_err().code(), "invalid-size");
    let project = project();
    let put = |settings| engine.put_project(&project, settings).unwrap_err().code();
    let none = ProjectSettings::default;
    assert_eq!(put(ProjectSettings { disk_bytes: Some(1), ..none() }), "invalid-size");
    assert_eq!(put(ProjectSettings { image: Some("a b".into()), ..none() }), "invalid-name");
    let total = Rates { operations: Some(1), bytes: None };
    let qos = Qos { total, ..Qos::default() };
    assert_eq!(put(ProjectSettings { qos, ..none() }), "invalid-qos");
}

#[test]
fn what_a_disk_is_made_larger_by_counts() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let used = engine.project(&project()).unwrap().1.bytes;
    let quota = Quota { bytes: Some(used + LARGE - 1), ..Quota::default() };
    engine.put_project(&project(), ProjectSettings { quota, ..settings() }).unwrap();
    assert_eq!(create(&engine, "d1", &spec()).unwrap_err().code(), "quota-exceeded");
    let small = DiskSpec { size_bytes: Some(8192), ..spec() };
    create(&engine, "d1", &small).unwrap();
    let usage: Usage = engine.project(&project()).unwrap().1;
    assert_eq!(usage.bytes, used + 8192);
}

#[test]
fn a_default_image_may_be_another_project_s_if_that_is_public() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let lab = Name::project("lab").unwrap();
    let settings = ProjectSettings { image: Some("default/golden".to_owned()), ..settings() };
    engine.put_project(&lab, settings).unwrap();
    let provision = || {
        let spec = engine.default_image(&lab, &name("n1"))?;
        engine.provision(&lab, &name("n1"), &spec)
    };
    assert_eq!(provision().unwrap_err().code(), "image-not-found");
    engine.publish_image(&project(), &image_name("golden"), true).unwrap();
    assert!(!provision().unwrap().1);
    assert!(provision().unwrap().1, "and again");
    let disk = engine.disk(&lab, &name("n1")).unwrap();
    assert_eq!((disk.image_project, disk.size_bytes), (Some(project()), LARGE));
}
