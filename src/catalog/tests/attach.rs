//! Images that were there before, attached.

use super::faults::{ADMIN, Case, engine, image_name, name, project, start};
use super::world::World;
use crate::backend::{Store, StoreErrorKind};
use crate::catalog::engine::Engine;
use crate::catalog::{AccessRules, Allowed, AttachSpec, Disk, DiskSpec, Error, NodeSpec, Tagged};

const TARGET: &str = "5img12";

fn spec() -> AttachSpec {
    AttachSpec {
        store: "local".to_owned(),
        backing: "theirs".to_owned(),
        source: "rbd/theirs".to_owned(),
        target: TARGET.to_owned(),
        lun: 1,
        rules: AccessRules { closed: true, ..AccessRules::default() },
    }
}

fn theirs(engine: &Engine) {
    engine.stores()["local"].create("theirs", 8192).unwrap();
}

fn attached(engine: &Engine) {
    theirs(engine);
    engine.attach(&project(), &name("d1"), &spec()).unwrap();
}

fn rules() -> AccessRules {
    let initiators = vec!["iqn.2004-10.org.example:n1".to_owned()];
    AccessRules { initiators, ..AccessRules::default() }
}

fn set_rules(engine: &Engine, rules: AccessRules) -> Result<(Disk, bool), Error> {
    engine.change_disk(ADMIN, &project(), &name("d1"), &rules.into())
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "attach",
            setup: theirs,
            call: |engine| engine.attach(&project(), &name("d1"), &spec()).map(drop),
            done: |engine| engine.disk(&project(), &name("d1")).unwrap().target == TARGET,
            repeat_code: None,
        },
        Case {
            name: "set access",
            setup: attached,
            call: |engine| set_rules(engine, rules()).map(drop),
            done: |engine| {
                let disk = engine.disk(&project(), &name("d1")).unwrap();
                !disk.barred && disk.initiators == rules().initiators
            },
            repeat_code: None,
        },
        Case {
            name: "detach",
            setup: attached,
            call: |engine| engine.detach(&project(), &name("d1")),
            done: |engine| {
                let rows = (engine.disks(None).unwrap(), engine.images(None).unwrap());
                rows.0.is_empty()
                    && rows.1.is_empty()
                    && engine.stores()["local"].stat("theirs").is_ok()
            },
            repeat_code: Some("disk-not-found"),
        },
    ]
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("none", |error| error.code())
}

#[test]
fn what_was_there_is_served_and_stays() {
    let world = World::new();
    let engine = engine(&world);
    attached(&engine);
    let export = world.exporter.targets.lock()[TARGET].clone();
    assert_eq!((export.lun, export.allowed), (1, Allowed::Nobody), "closed until it is opened");
    set_rules(&engine, rules()).unwrap();
    assert!(world.exporter.disconnected.lock().is_empty(), "sessions that may go on do");
    let allowed = world.exporter.targets.lock()[TARGET].allowed.clone();
    assert_eq!(allowed, Allowed::Initiators(rules().initiators));
    // The image is a golden one, too, at its tags.
    let image = image_name("d1");
    let clone =
        |tag: Option<&str>| DiskSpec { tag: tag.map(image_name), ..DiskSpec::new(image.clone()) };
    let made = engine.create_disk(&project(), &name("c1"), &clone(None), None);
    assert_eq!(code(made), "image-attached");
    let of = Tagged::Image(image.clone());
    engine.put_tag(&project(), &of, &image_name("v1"), None).unwrap();
    engine.create_disk(&project(), &name("c1"), &clone(Some("v1")), None).unwrap();
    assert_eq!(code(engine.detach(&project(), &name("d1"))), "image-in-use");
    engine.remove_disk(ADMIN, &project(), &name("c1")).unwrap();
    engine.detach(&project(), &name("d1")).unwrap();
    let stat = world.store.stat("theirs").unwrap();
    assert!(stat.snapshots.is_empty(), "what was made of it here is gone: {stat:?}");
    assert!(!world.exporter.targets.lock().contains_key(TARGET));
}

#[test]
fn removing_the_image_does_not_remove_it_there() {
    let world = World::new();
    let engine = engine(&world);
    attached(&engine);
    engine.remove_disk(ADMIN, &project(), &name("d1")).unwrap();
    // Somebody removed the disk by itself: it can come back.
    assert!(!engine.attach(&project(), &name("d1"), &spec()).unwrap().1);
    engine.remove_disk(ADMIN, &project(), &name("d1")).unwrap();
    engine.remove_image(&project(), &image_name("d1")).unwrap();
    assert!(engine.images(None).unwrap().is_empty() && world.store.stat("theirs").is_ok());
}

#[test]
fn one_image_and_one_target_each_once() {
    let world = World::new();
    let engine = engine(&world);
    attached(&engine);
    world.store.create("others", 8192).unwrap();
    let attach = |disk: &str, spec: AttachSpec| engine.attach(&project(), &name(disk), &spec);
    assert!(attach("d1", spec()).unwrap().1, "the same again");
    let others = AttachSpec { backing: "others".to_owned(), ..spec() };
    assert_eq!(code(attach("d1", others.clone())), "disk-exists");
    assert_eq!(code(attach("d2", others)), "already-attached");
    let other_target = AttachSpec { target: "5img13".to_owned(), ..spec() };
    assert_eq!(code(attach("d2", other_target.clone())), "already-attached");
    let none = AttachSpec { backing: "none".to_owned(), ..other_target };
    assert_eq!(code(attach("d2", none)), "store-image-missing");
    assert_eq!(engine.disks(None).unwrap().len(), 1);
    assert_eq!(world.exporter.targets.lock().len(), 1);
}

#[test]
fn it_is_there_after_a_crash() {
    let world = World::new();
    let first = engine(&world);
    attached(&first);
    drop(first);
    world.crash();
    let engine = engine(&world);
    start(&engine);
    assert!(world.exporter.targets.lock()[TARGET].volume.is_some());
    let gone = world.store.remove("theirs").unwrap_err();
    assert_eq!(gone.kind(), StoreErrorKind::InUse);
    engine.detach(&project(), &name("d1")).unwrap();
    world.store.remove("theirs").unwrap();
}

#[test]
fn rules_outlast_a_binding_and_a_binding_the_rules() {
    let world = World::new();
    let engine = engine(&world);
    attached(&engine);
    let allowed = || world.exporter.targets.lock()[TARGET].allowed.clone();
    let initiator = Some("iqn.2004-10.org.example:n1".to_owned());
    let node = NodeSpec { macs: Vec::new(), initiator };
    engine.put_node(ADMIN, &project(), &name("n1"), &node).unwrap();
    let bind = || drop(engine.bind(ADMIN, &project(), &name("n1"), &name("d1")).unwrap());
    let unbind = || drop(engine.unbind(ADMIN, &project(), &name("n1")).unwrap());
    bind();
    assert_eq!(allowed(), Allowed::Nobody, "who binds does not say what its owner says");
    set_rules(&engine, rules()).unwrap();
    assert_eq!(allowed(), Allowed::Initiators(rules().initiators));
    unbind();
    assert_eq!(allowed(), Allowed::Nobody, "the node is out");
    set_rules(&engine, rules()).unwrap();
    assert_eq!(allowed(), Allowed::Nobody, "and does not come back by other rules");
    bind();
    assert_eq!(allowed(), Allowed::Initiators(rules().initiators), "they were there all the time");
    set_rules(&engine, AccessRules { closed: true, ..rules() }).unwrap();
    assert_eq!(allowed(), Allowed::Nobody);
}
