//! Images that all projects can use.

use super::faults::{ADMIN, engine, golden, image_name, name, project};
use super::world::World;
use crate::catalog::{CopySpec, DiskSpec, Name};

#[test]
fn a_public_image_is_cloned_by_other_projects() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let lab = Name::project("lab").unwrap();
    let spec = DiskSpec::of_image("default/golden").unwrap();
    let create = || engine.create_disk(&lab, &name("d1"), &spec, None);
    assert_eq!(create().unwrap_err().code(), "image-not-found", "private");
    engine.publish_image(&project(), &image_name("golden"), true).unwrap();
    let disk = create().unwrap().disk;
    assert_eq!((disk.project.as_str(), disk.image_project().as_str()), ("lab", "default"));
    assert!(create().unwrap().existed);
    engine
        .create_disk(&project(), &name("d1"), &DiskSpec::of_image("golden").unwrap(), None)
        .unwrap();
    let users = || engine.image_users(&project(), &image_name("golden")).unwrap();
    assert_eq!(users(), ["d1", "lab/d1"]);

    // Its name is another one for all of them; it cannot leave its project.
    let (golden, trixie) = (image_name("golden"), image_name("trixie"));
    let rename =
        |from: (&Name, _), to: (&Name, _)| engine.rename_image((from.0, from.1), (to.0, to.1));
    rename((&project(), &golden), (&project(), &trixie)).unwrap();
    assert_eq!(engine.disk(&lab, &name("d1")).unwrap().image, trixie);
    let refused = rename((&project(), &trixie), (&lab, &trixie)).unwrap_err();
    assert_eq!(refused.used_by(), ["d1", "lab/d1"]);
    rename((&project(), &trixie), (&project(), &golden)).unwrap();

    // Private again: what was cloned stays, nothing more is.
    engine.publish_image(&project(), &golden, false).unwrap();
    let again = engine.create_disk(&lab, &name("d2"), &spec, None);
    assert_eq!(again.unwrap_err().code(), "image-not-found");
    let in_use = engine.remove_image(&project(), &golden).unwrap_err();
    assert_eq!(in_use.code(), "image-in-use");
    engine.remove_disk(ADMIN, &project(), &name("d1")).unwrap();
    engine.remove_disk(ADMIN, &lab, &name("d1")).unwrap();
    assert!(users().is_empty());
    engine.remove_image(&project(), &golden).unwrap();
}

#[test]
fn an_image_of_another_project_cannot_be_edited() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    engine.publish_image(&project(), &image_name("golden"), true).unwrap();
    let lab = Name::project("lab").unwrap();
    let spec = DiskSpec { edit: true, ..DiskSpec::of_image("default/golden").unwrap() };
    let error = engine.create_disk(&lab, &name("d1"), &spec, None).unwrap_err();
    assert_eq!(error.code(), "invalid-image");
    for text in ["a/b/c", "/a", "A/b", "a/", "a/b@", "../b"] {
        assert_eq!(DiskSpec::of_image(text).unwrap_err().code(), "invalid-name", "{text}");
    }
}

#[test]
fn who_asks_for_another_project_s_image_gets_a_public_one_only() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let (own, lab) = (project(), Name::project("lab").unwrap());
    let golden = image_name("golden");
    let copy = |asking: Option<&Name>| {
        let of = crate::catalog::Tagged::Image(golden.clone());
        let spec =
            CopySpec { project: own.clone(), of, tag: None, store: None, asking: asking.cloned() };
        engine.begin_copy(&lab, &image_name("copy"), &spec).map(drop)
    };
    let read = |asking: Option<&Name>| {
        engine.read_image(asking.unwrap_or(&own), (&own, &golden), None).map(drop)
    };
    for (asking, public, refused) in [
        (Some(&lab), false, Some("image-not-found")),
        (Some(&lab), true, None),
        (Some(&own), false, None),
        (None, false, None),
    ] {
        engine.publish_image(&own, &golden, public).unwrap();
        assert_eq!(read(asking).err().map(|error| error.code()), refused);
        assert_eq!(copy(asking).err().map(|error| error.code()), refused);
    }
}
