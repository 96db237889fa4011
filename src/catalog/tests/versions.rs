//! Tags, rollback, flattening, copies, other names.

use std::sync::atomic::Ordering;

use super::faults::{ADMIN, Case, golden, image_name, import, name, project, with_disk};
use super::world::World;
use crate::catalog::engine::Engine;
use crate::catalog::import::Progress;
use crate::catalog::{
    CertificateName, CopySpec, DiskSpec, Error, Name, NodeSpec, ProjectSettings, Quota, Role,
    Tagged, TokenSpec,
};

fn image() -> Tagged {
    Tagged::Image(image_name("golden"))
}

fn disk() -> Tagged {
    Tagged::Disk(name("d1"))
}

fn tag(engine: &Engine, of: &Tagged, tag: &str) -> Result<(), Error> {
    engine.put_tag(&project(), of, &image_name(tag), None).map(drop)
}

fn untag(engine: &Engine, of: &Tagged, tag: &str) -> Result<(), Error> {
    engine.remove_tag(&project(), of, &image_name(tag))
}

fn has_tag(engine: &Engine, of: &Tagged) -> bool {
    engine.tags(&project(), of).unwrap().iter().any(|tag| tag.name == image_name("v2"))
}

fn create(engine: &Engine, disk: &str, spec: &DiskSpec) -> Result<(), Error> {
    engine.create_disk(&project(), &name(disk), spec, None).map(drop)
}

/// A clone of `golden@v2`.
fn of_tag() -> DiskSpec {
    DiskSpec { tag: Some(image_name("v2")), ..DiskSpec::new(image_name("golden")) }
}

fn edit() -> DiskSpec {
    DiskSpec { edit: true, ..DiskSpec::new(image_name("golden")) }
}

fn rollback(engine: &Engine) -> Result<(), Error> {
    let progress = Progress::default();
    engine.rollback(&project(), &name("d1"), &image_name("v2"), false, &progress)
}

fn flatten(engine: &Engine) -> Result<(), Error> {
    let _work = engine.begin_flatten(&project(), &name("d1"))?;
    engine.flatten(&project(), &name("d1"), &Progress::default())?;
    engine.end_flatten(&project(), &name("d1"))
}

fn copy(engine: &Engine, of: Tagged, tag: Option<&str>) -> Result<(), Error> {
    let tag = tag.map(image_name);
    let spec = CopySpec { project: project(), of, tag, store: None, asking: None };
    let import = engine.begin_copy(&project(), &image_name("copy"), &spec)?;
    engine.run_import(import, &Progress::default()).map(drop)
}

fn rename(engine: &Engine) -> Result<(), Error> {
    let (project, from, to) = (project(), image_name("golden"), image_name("copy"));
    engine.rename_image((&project, &from), (&project, &to)).map(drop)
}

/// So many disks, and bytes for so many images or disks.
fn quota(disks: u64, whole: u64) -> ProjectSettings {
    let quota = Quota { disks: Some(disks), bytes: Some(whole * 8192), nodes: None };
    ProjectSettings { quota, ..ProjectSettings::default() }
}

fn token_spec() -> TokenSpec {
    TokenSpec { role: Role::Operator, project: Some(project()), expires: None }
}

fn certificate() -> CertificateName {
    CertificateName::new("spiffe://example/ci").unwrap()
}

fn name_certificate(engine: &Engine) -> Result<(), Error> {
    engine.put_certificate(&certificate(), Role::Operator, Some(project())).map(drop)
}

fn has_image(engine: &Engine, image: &str) -> bool {
    engine.image(&project(), &image_name(image)).is_ok()
}

fn with_tags(engine: &Engine) {
    golden(engine);
    tag(engine, &image(), "v2").unwrap();
    create(engine, "d1", &of_tag()).unwrap();
    tag(engine, &disk(), "v2").unwrap();
}

/// The calls of this file, for the walk of all faults.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "tag an image",
            setup: golden,
            call: |engine| tag(engine, &image(), "v2"),
            done: |engine| has_tag(engine, &image()),
            repeat_code: None,
        },
        Case {
            name: "remove the tag of an image",
            setup: |engine| {
                golden(engine);
                tag(engine, &image(), "v2").unwrap();
            },
            call: |engine| untag(engine, &image(), "v2"),
            done: |engine| !has_tag(engine, &image()),
            repeat_code: Some("tag-not-found"),
        },
        Case {
            name: "tag a disk",
            setup: with_disk,
            call: |engine| tag(engine, &disk(), "v2"),
            done: |engine| has_tag(engine, &disk()),
            repeat_code: None,
        },
        Case {
            name: "remove the tag of a disk",
            setup: with_tags,
            call: |engine| untag(engine, &disk(), "v2"),
            done: |engine| !has_tag(engine, &disk()),
            repeat_code: Some("tag-not-found"),
        },
        Case {
            name: "clone a tag",
            setup: |engine| {
                golden(engine);
                tag(engine, &image(), "v2").unwrap();
            },
            call: |engine| create(engine, "d1", &of_tag()),
            done: |engine| {
                engine.disk(&project(), &name("d1")).unwrap().tag == Some(image_name("v2"))
            },
            repeat_code: None,
        },
        Case {
            name: "edit an image",
            setup: golden,
            call: |engine| create(engine, "d1", &edit()),
            done: |engine| engine.disk(&project(), &name("d1")).unwrap().edits,
            repeat_code: None,
        },
        Case {
            name: "end the editing of an image",
            setup: |engine| {
                golden(engine);
                create(engine, "d1", &edit()).unwrap();
            },
            call: |engine| engine.remove_disk(ADMIN, &project(), &name("d1")),
            done: |engine| engine.disks(None).unwrap().is_empty() && has_image(engine, "golden"),
            repeat_code: Some("disk-not-found"),
        },
        Case {
            name: "remove a disk with tags",
            setup: with_tags,
            call: |engine| engine.remove_disk(ADMIN, &project(), &name("d1")),
            done: |engine| engine.all_tags().unwrap().len() == 1,
            repeat_code: Some("disk-not-found"),
        },
        Case {
            name: "remove an image with tags",
            setup: |engine| {
                golden(engine);
                tag(engine, &image(), "v2").unwrap();
            },
            call: |engine| engine.remove_image(&project(), &image_name("golden")),
            done: |engine| engine.all_tags().unwrap().is_empty(),
            repeat_code: Some("image-not-found"),
        },
        Case {
            name: "roll back",
            setup: with_tags,
            call: rollback,
            done: |engine| engine.disk(&project(), &name("d1")).unwrap().rollback.is_none(),
            repeat_code: None,
        },
        Case {
            name: "flatten",
            setup: with_disk,
            call: flatten,
            done: |engine| engine.disk(&project(), &name("d1")).unwrap().flattened,
            repeat_code: None,
        },
        Case {
            name: "copy an image",
            setup: golden,
            call: |engine| copy(engine, image(), None),
            done: |engine| has_image(engine, "copy"),
            repeat_code: Some("image-exists"),
        },
        Case {
            name: "make an image of a disk",
            setup: with_disk,
            call: |engine| copy(engine, disk(), None),
            done: |engine| has_image(engine, "copy"),
            repeat_code: Some("image-exists"),
        },
        Case {
            name: "rename an image",
            setup: with_tags,
            call: rename,
            done: |engine| {
                let disk = engine.disk(&project(), &name("d1")).unwrap();
                has_image(engine, "copy") && disk.image == image_name("copy")
            },
            repeat_code: Some("image-not-found"),
        },
        Case {
            name: "limit a project",
            setup: golden,
            call: |engine| engine.put_project(&project(), quota(3, 5)).map(drop),
            done: |engine| engine.project(&project()).unwrap().0.unwrap().settings == quota(3, 5),
            repeat_code: None,
        },
        Case {
            name: "remove a project",
            setup: |engine| drop(engine.put_project(&project(), quota(3, 5)).unwrap()),
            call: |engine| engine.remove_project(&project()),
            done: |engine| engine.project_names().unwrap().is_empty(),
            repeat_code: Some("project-not-found"),
        },
        Case {
            name: "create a disk within limits",
            setup: |engine| {
                golden(engine);
                engine.put_project(&project(), quota(1, 2)).unwrap();
            },
            call: |engine| create(engine, "d1", &DiskSpec::new(image_name("golden"))),
            done: |engine| engine.disk(&project(), &name("d1")).is_ok(),
            repeat_code: None,
        },
        Case {
            name: "make a token",
            setup: |_| {},
            call: |engine| engine.make_token(&name("ci"), &token_spec()).map(drop),
            done: |engine| engine.tokens().unwrap().len() == 1,
            repeat_code: Some("token-exists"),
        },
        Case {
            name: "revoke a token",
            setup: |engine| drop(engine.make_token(&name("ci"), &token_spec()).unwrap()),
            call: |engine| engine.remove_token(&name("ci")),
            done: |engine| engine.tokens().unwrap().is_empty(),
            repeat_code: Some("token-not-found"),
        },
        Case {
            name: "name a certificate",
            setup: |_| {},
            call: |engine| name_certificate(engine),
            done: |engine| engine.certificate(&certificate()).unwrap().is_some(),
            repeat_code: None,
        },
        Case {
            name: "take the rights of a certificate away",
            setup: |engine| name_certificate(engine).unwrap(),
            call: |engine| engine.remove_certificate(&certificate()),
            done: |engine| engine.certificates().unwrap().is_empty(),
            repeat_code: Some("certificate-not-found"),
        },
        Case {
            name: "protect an image",
            setup: golden,
            call: |engine| engine.protect_image(&project(), &image_name("golden"), true).map(drop),
            done: |engine| engine.image(&project(), &image_name("golden")).unwrap().protected,
            repeat_code: None,
        },
        Case {
            name: "set the default tag",
            setup: |engine| {
                golden(engine);
                tag(engine, &image(), "v2").unwrap();
            },
            call: |engine| {
                let (image, tag) = (image_name("golden"), image_name("v2"));
                engine.set_default_tag(&project(), &image, Some(&tag)).map(drop)
            },
            done: |engine| {
                let image = engine.image(&project(), &image_name("golden")).unwrap();
                image.default_tag == Some(image_name("v2"))
            },
            repeat_code: None,
        },
    ]
}

fn ready() -> (World, Engine) {
    let world = World::new();
    let engine = super::faults::engine(&world);
    with_tags(&engine);
    (world, engine)
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().expect("it should be refused").code()
}

#[test]
fn a_disk_is_cloned_from_the_tag_that_is_named_or_is_the_default() {
    let (world, engine) = ready();
    let snapshot_of = |disk: &str| {
        let disk = engine.disk(&project(), &name(disk)).unwrap();
        world.store.images.lock()[&disk.backing].parent.clone().unwrap().1
    };
    let v2 = engine.tag(&project(), &image(), &image_name("v2")).unwrap();
    assert_eq!(snapshot_of("d1"), v2.snapshot);
    let plain = DiskSpec::new(image_name("golden"));
    create(&engine, "d2", &plain).unwrap();
    assert_eq!(snapshot_of("d2"), "golden");
    engine.set_default_tag(&project(), &image_name("golden"), Some(&image_name("v2"))).unwrap();
    create(&engine, "d3", &plain).unwrap();
    assert_eq!(snapshot_of("d3"), v2.snapshot);
    assert_eq!(engine.tag_users(&v2).unwrap(), ["d1", "d3"]);
    // Who names no tag does not mind which one it was.
    assert!(engine.create_disk(&project(), &name("d2"), &plain, None).unwrap().existed);
    assert_eq!(code(create(&engine, "d2", &of_tag())), "disk-exists");
    assert_eq!(code(create(&engine, "d2", &edit())), "disk-exists");
    let none = DiskSpec { tag: Some(image_name("none")), ..plain };
    assert_eq!(code(create(&engine, "d4", &none)), "tag-not-found");
    let both = DiskSpec { edit: true, ..of_tag() };
    assert_eq!(code(create(&engine, "d4", &both)), "invalid-image");
}

#[test]
fn a_tag_that_is_needed_or_protected_stays() {
    let (_world, engine) = ready();
    let in_use = untag(&engine, &image(), "v2").unwrap_err();
    assert_eq!((in_use.code(), in_use.used_by()), ("tag-in-use", &["d1".to_owned()][..]));
    let protect = |of: &Tagged, on| {
        engine.put_tag(&project(), of, &image_name("v2"), Some(on)).unwrap();
    };
    protect(&disk(), true);
    assert_eq!(code(untag(&engine, &disk(), "v2")), "tag-protected");
    assert_eq!(code(engine.remove_disk(ADMIN, &project(), &name("d1"))), "tag-protected");
    protect(&disk(), false);
    engine.remove_disk(ADMIN, &project(), &name("d1")).unwrap();
    let (golden, v2) = (image_name("golden"), image_name("v2"));
    engine.set_default_tag(&project(), &golden, Some(&v2)).unwrap();
    assert_eq!(code(untag(&engine, &image(), "v2")), "tag-is-default");
    engine.set_default_tag(&project(), &golden, None).unwrap();
    protect(&image(), true);
    assert_eq!(code(engine.remove_image(&project(), &golden)), "tag-protected");
    protect(&image(), false);
    engine.protect_image(&project(), &golden, true).unwrap();
    assert_eq!(code(engine.remove_image(&project(), &golden)), "image-protected");
    untag(&engine, &image(), "v2").unwrap();
    engine.protect_image(&project(), &golden, false).unwrap();
    engine.remove_image(&project(), &golden).unwrap();
}

#[test]
fn tags_are_not_without_number() {
    let (_world, engine) = ready();
    for number in 1..32 {
        tag(&engine, &disk(), &format!("t{number}")).unwrap();
    }
    assert_eq!(code(tag(&engine, &disk(), "one-more")), "too-many-tags");
    untag(&engine, &disk(), "t1").unwrap();
    tag(&engine, &disk(), "one-more").unwrap();
}

#[test]
fn a_rollback_is_not_done_under_a_machine() {
    let (world, engine) = ready();
    let backing = engine.disk(&project(), &name("d1")).unwrap().backing;
    let rolled_back = || world.store.images.lock()[&backing].rolled_back.clone();
    world.exporter.sessions.store(1, Ordering::SeqCst);
    assert_eq!(code(rollback(&engine)), "disk-in-use");
    assert_eq!(rolled_back(), None);
    let progress = Progress::default();
    engine.rollback(&project(), &name("d1"), &image_name("v2"), true, &progress).unwrap();
    let tag = engine.tag(&project(), &disk(), &image_name("v2")).unwrap();
    assert_eq!(rolled_back(), Some(tag.snapshot));
    assert_eq!(world.exporter.disconnected.lock().len(), 1, "its sessions ended");
    let none = engine.rollback(&project(), &name("d1"), &image_name("v9"), true, &progress);
    assert_eq!(code(none), "tag-not-found");
}

#[test]
fn a_rollback_that_was_begun_is_carried_through() {
    let (world, engine) = ready();
    let disk_row = || engine.disk(&project(), &name("d1")).unwrap();
    // Nothing is there to say what an image holds whose rollback broke off, so nobody may use it.
    let mut step = 0;
    while disk_row().rollback.is_none() {
        world.faults.arm(step, super::world::Fault::Outage);
        assert!(rollback(&engine).is_err(), "step {step}");
        assert!(world.faults.disarm(), "step {step}");
        step += 1;
    }
    let serves = || {
        let targets = world.exporter.targets.lock();
        targets.values().any(|export| export.volume.is_some())
    };
    assert!(!serves());
    assert_eq!(code(tag(&engine, &disk(), "v3")), "busy");
    assert_eq!(code(flatten(&engine)), "busy");
    assert_eq!(code(untag(&engine, &disk(), "v2")), "busy");
    assert!(engine.take_unserved().contains(&(project(), name("d1"))), "it is tried again");
    engine.serve(&project(), &name("d1")).unwrap();
    assert!(serves() && disk_row().rollback.is_none());
}

#[test]
fn a_flattened_disk_lets_its_image_go() {
    let (world, engine) = ready();
    let tags = flatten(&engine).unwrap_err();
    assert_eq!((tags.code(), tags.used_by()), ("disk-has-tags", &["v2".to_owned()][..]));
    untag(&engine, &disk(), "v2").unwrap();
    flatten(&engine).unwrap();
    flatten(&engine).unwrap();
    untag(&engine, &image(), "v2").unwrap();
    engine.remove_image(&project(), &image_name("golden")).unwrap();
    assert_eq!(world.store.images.lock().len(), 1);
    assert!(world.exporter.targets.lock().values().all(|export| export.volume.is_some()));
}

#[test]
fn a_disk_that_a_job_is_at_is_left_alone() {
    let (_world, engine) = ready();
    let spec = CopySpec { project: project(), of: disk(), tag: None, store: None, asking: None };
    let import = engine.begin_copy(&project(), &image_name("copy"), &spec).unwrap();
    assert_eq!(code(engine.remove_disk(ADMIN, &project(), &name("d1"))), "busy");
    assert_eq!(code(rollback(&engine)), "busy");
    assert_eq!(code(untag(&engine, &disk(), "v2")), "busy");
    assert_eq!(code(engine.resize_disk(&project(), &name("d1"), 1 << 20)), "busy");
    engine.run_import(import, &Progress::default()).unwrap();
    engine.remove_disk(ADMIN, &project(), &name("d1")).unwrap();
}

#[test]
fn a_copy_holds_what_the_original_held() {
    let (world, engine) = ready();
    copy(&engine, image(), Some("v2")).unwrap();
    let bytes = |image: &str| {
        let image = engine.image(&project(), &image_name(image)).unwrap();
        world.store.images.lock()[&image.backing].data.clone()
    };
    assert!(!bytes("golden").is_empty());
    assert_eq!(bytes("copy"), bytes("golden"));
    let copied = engine.image(&project(), &image_name("copy")).unwrap();
    assert_eq!(copied.source, "image default/golden@v2");
    assert_eq!(code(copy(&engine, image(), None)), "image-exists");
    assert_eq!(code(copy(&engine, Tagged::Image(image_name("x")), None)), "image-not-found");
}

#[test]
fn what_is_edited_is_the_image() {
    let (world, engine) = ready();
    create(&engine, "e", &edit()).unwrap();
    let disk = engine.disk(&project(), &name("e")).unwrap();
    assert_eq!(disk.backing, engine.image(&project(), &image_name("golden")).unwrap().backing);
    assert_eq!(code(create(&engine, "f", &edit())), "store-image-in-use");
    let e = Tagged::Disk(name("e"));
    assert_eq!(code(tag(&engine, &e, "v3")), "disk-edits-image");
    tag(&engine, &image(), "v3").unwrap();
    assert_eq!(code(engine.resize_disk(&project(), &name("e"), 1 << 20)), "disk-edits-image");
    engine.remove_disk(ADMIN, &project(), &name("e")).unwrap();
    assert!(world.store.images.lock().contains_key(&disk.backing));
}

#[test]
fn an_image_moves_only_without_its_disks() {
    let (_world, engine) = ready();
    let other = Name::project("other").unwrap();
    let (golden, copy_name) = (image_name("golden"), image_name("copy"));
    let moved = || engine.rename_image((&project(), &golden), (&other, &golden));
    let error = moved().unwrap_err();
    assert_eq!((error.code(), error.used_by()), ("image-in-use", &["d1".to_owned()][..]));
    copy(&engine, image(), None).unwrap();
    assert_eq!(code(rename(&engine)), "image-exists");
    engine.remove_image(&project(), &copy_name).unwrap();
    rename(&engine).unwrap();
    // The disk under its image's new name.
    let again = DiskSpec { tag: Some(image_name("v2")), ..DiskSpec::new(copy_name.clone()) };
    assert!(engine.create_disk(&project(), &name("d1"), &again, None).unwrap().existed);
    engine.remove_disk(ADMIN, &project(), &name("d1")).unwrap();
    engine.rename_image((&project(), &copy_name), (&other, &golden)).unwrap();
    let tags = engine.tags(&other, &image()).unwrap();
    assert_eq!(tags.len(), 1);
    assert!(import(&engine, "golden").is_ok(), "the name is free");
}

#[test]
fn a_token_is_known_until_it_is_revoked() {
    let world = World::new();
    let engine = super::faults::engine(&world);
    let (made, text) = engine.make_token(&name("ci"), &token_spec()).unwrap();
    assert_eq!(engine.proved_token(text.expose()).unwrap(), Some(made));
    let other = text.expose().replace("stirrup_ci", "stirrup_other");
    assert_eq!(engine.proved_token(&other).unwrap(), None);
    engine.remove_token(&name("ci")).unwrap();
    assert_eq!(engine.proved_token(text.expose()).unwrap(), None);
    engine.make_token(&name("ci"), &token_spec()).unwrap();
    assert_eq!(engine.proved_token(text.expose()).unwrap(), None, "a name made anew is another");
}

#[test]
fn a_project_has_no_more_than_it_may() {
    let world = World::new();
    let engine = super::faults::engine(&world);
    golden(&engine);
    let plain = DiskSpec::new(image_name("golden"));
    engine.put_project(&project(), quota(2, 10)).unwrap();
    create(&engine, "d1", &plain).unwrap();
    create(&engine, "d2", &plain).unwrap();
    assert_eq!(code(create(&engine, "d3", &plain)), "quota-exceeded");
    assert!(engine.create_disk(&project(), &name("d2"), &plain, None).unwrap().existed);
    assert_eq!(world.store.images.lock().len(), 3, "nothing was begun");
    // Three times 8192 bytes are there.
    engine.put_project(&project(), quota(9, 4)).unwrap();
    create(&engine, "d3", &plain).unwrap();
    assert_eq!(code(create(&engine, "d4", &plain)), "quota-exceeded");
    assert_eq!(code(import(&engine, "more")), "quota-exceeded");
    assert_eq!(code(copy(&engine, image(), None)), "quota-exceeded");
    assert_eq!(code(engine.resize_disk(&project(), &name("d1"), 16384)), "quota-exceeded");
    create(&engine, "e", &edit()).unwrap();
    engine.remove_disk(ADMIN, &project(), &name("d3")).unwrap();
    engine.resize_disk(&project(), &name("d1"), 16384).unwrap();

    let quota_of_nodes = Quota { nodes: Some(1), ..Quota::default() };
    let nodes = ProjectSettings { quota: quota_of_nodes, ..ProjectSettings::default() };
    engine.put_project(&project(), nodes).unwrap();
    engine.provision(&project(), &name("n1"), &plain).unwrap();
    assert_eq!(code(engine.provision(&project(), &name("n2"), &plain)), "quota-exceeded");
    engine.put_node(ADMIN, &project(), &name("n2"), &NodeSpec::default()).unwrap();
    assert_eq!(code(engine.bind(ADMIN, &project(), &name("n2"), &name("d1"))), "quota-exceeded");
    engine.unbind(ADMIN, &project(), &name("n1")).unwrap();
    engine.bind(ADMIN, &project(), &name("n2"), &name("d1")).unwrap();

    // Less than there is keeps what there is.
    engine.put_project(&project(), quota(0, 0)).unwrap();
    assert_eq!(code(create(&engine, "d9", &plain)), "quota-exceeded");
    engine.remove_disk(ADMIN, &project(), &name("d2")).unwrap();
    let error = engine.remove_project(&project()).unwrap_err();
    assert_eq!(error.code(), "project-not-empty");
    assert!(error.used_by().contains(&"image golden".to_owned()), "{:?}", error.used_by());
}

#[test]
fn the_last_of_something_is_given_to_one() {
    let world = World::new();
    let engine = super::faults::engine(&world);
    golden(&engine);
    engine.put_project(&project(), quota(4, 100)).unwrap();
    let plain = DiskSpec::new(image_name("golden"));
    let made = std::thread::scope(|scope| {
        let (engine, plain) = (&engine, &plain);
        let create = |i: u32| scope.spawn(move || create(engine, &format!("d{i}"), plain).is_ok());
        let threads: Vec<_> = (0..16).map(create).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(made.iter().filter(|made| **made).count(), 4);
}
