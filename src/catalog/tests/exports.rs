//! Exports, and imports from other pools.

use super::faults::{Case, engine, golden, image_name, project, start};
use super::files;
use super::imports::content;
use super::world::{Fault, World};
use crate::backend::Store as _;
use crate::catalog::engine::Engine;
use crate::catalog::import::Progress;
use crate::catalog::{Destination, Error, ImageState, PoolImportSpec};

fn pool_import(engine: &Engine) -> Result<(), Error> {
    let image = "other/there@s".parse().unwrap();
    let spec = PoolImportSpec { image, from: None, store: None, fix_boot_chs: false };
    let import = engine.begin_pool_import(&project(), &image_name("up"), &spec)?;
    engine.run_import(import, &Progress::default()).map(drop)
}

fn export(engine: &Engine, to: &Destination) -> Result<(), Error> {
    let exporting = engine.begin_export(&project(), &image_name("golden"), None, to)?;
    engine.run_export(exporting, &Progress::default())
}

fn to_pool() -> Destination {
    Destination::Pool { store: "local".into(), image: "other/out".parse().unwrap() }
}

fn to_file() -> Destination {
    Destination::File(files::out().join("out.raw"))
}

/// What is in the pool `other`.
fn exported(engine: &Engine) -> Vec<String> {
    engine.stores()["local"].elsewhere("other").unwrap().list().unwrap()
}

/// The calls of this file, for the walk of all faults.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "import from a pool",
            setup: |engine| {
                let other = engine.stores()["local"].elsewhere("other").unwrap();
                other.create("there", 8192).unwrap();
                other.snapshot("there", "s").unwrap();
            },
            call: pool_import,
            done: |engine| {
                let image = engine.image(&project(), &image_name("up")).unwrap();
                image.state == ImageState::Ready
            },
            repeat_code: Some("image-exists"),
        },
        Case {
            name: "export to a pool",
            setup: golden,
            call: |engine| export(engine, &to_pool()),
            done: |engine| exported(engine) == ["out"],
            repeat_code: Some("target-exists"),
        },
        Case {
            name: "export to a file",
            setup: golden,
            call: |engine| export(engine, &to_file()),
            done: |engine| {
                let image = engine.image(&project(), &image_name("golden")).unwrap();
                let written = std::fs::read(files::out().join("out.raw")).unwrap();
                // As `faults::raw_file` makes it.
                written.len() as u64 == image.size_bytes
                    && written[510] == 0x55
                    && written[4096] == 7
            },
            repeat_code: Some("target-exists"),
        },
    ]
}

#[test]
fn an_export_is_whole_or_not_there() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.raw");
    let to = Destination::File(path.clone());
    export(&engine, &to).unwrap();
    let image = engine.image(&project(), &image_name("golden")).unwrap();
    assert!(std::fs::read(&path).unwrap() == content(&world, &image));
    let code = |to: &Destination| export(&engine, to).unwrap_err().code();
    assert_eq!(code(&to), "target-exists");
    assert_eq!(code(&Destination::File("out.raw".into())), "invalid-path");
    assert_eq!(code(&Destination::File("/nowhere/out.raw".into())), "target-unwritable");
    let golden = image;
    for image in ["other/stirrup-1-img1", "other/out@s"] {
        let image = image.parse().unwrap();
        let to = Destination::Pool { store: "local".into(), image };
        assert_eq!(code(&to), "invalid-pool-image");
    }
    let image = "none/out".parse().unwrap();
    assert_eq!(code(&Destination::Pool { store: "local".into(), image }), "source-unreadable");
    // Two that race: the second finds the name taken at the end, and takes itself back.
    let path = directory.path().join("race.raw");
    let to = Destination::File(path.clone());
    let name = image_name("golden");
    let slow = engine.begin_export(&project(), &name, None, &to).unwrap();
    export(&engine, &to).unwrap();
    let error = engine.run_export(slow, &Progress::default()).unwrap_err();
    assert_eq!(error.code(), "target-exists");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "and no part");
    // What somebody has put in the place of the part is not what gets the name, and stays.
    let to = Destination::File(directory.path().join("swapped.raw"));
    let swapped = engine.begin_export(&project(), &name, None, &to).unwrap();
    let part = engine.outgoing().unwrap()[0].part.clone();
    let theirs = directory.path().join("theirs");
    std::fs::rename(&part, &theirs).unwrap();
    std::fs::write(&part, "evil").unwrap();
    engine.run_export(swapped, &Progress::default()).unwrap();
    let exported = directory.path().join("swapped.raw");
    assert!(std::fs::read(&exported).unwrap() == content(&world, &golden));
    assert_eq!(std::fs::read(&part).unwrap(), b"evil");
    assert!(engine.outgoing().unwrap().is_empty());
    // Nor does a directory lead elsewhere that has become a link meanwhile.
    let (inner, outer) = (directory.path().join("inner"), directory.path().join("outer"));
    std::fs::create_dir(&inner).unwrap();
    std::fs::create_dir(&outer).unwrap();
    let to = Destination::File(inner.join("moved.raw"));
    let moved = engine.begin_export(&project(), &name, None, &to).unwrap();
    let was = directory.path().join("was");
    std::fs::rename(&inner, &was).unwrap();
    std::os::unix::fs::symlink(&outer, &inner).unwrap();
    engine.run_export(moved, &Progress::default()).unwrap();
    let names = |directory: &std::path::Path| -> Vec<_> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!((names(&was), names(&outer)), (vec!["moved.raw".into()], vec![]));
    // A file of somebody else's whose name can be guessed is not removed.
    let to = Destination::File(directory.path().join("guessed.raw"));
    let next = engine.begin_export(&project(), &name, None, &to).unwrap();
    let parts: Vec<_> = (0..100)
        .map(|id| directory.path().join(format!("guessed.raw.stirrup-{id}.part")))
        .collect();
    parts.iter().for_each(|part| std::fs::write(part, "theirs").unwrap());
    let cancelled = Progress::default();
    cancelled.cancel();
    engine.run_export(next, &cancelled).unwrap_err();
    assert!(parts.iter().all(|part| part.exists()));
    // Cut short by a crash: the next start removes what there is.
    let to = Destination::File(directory.path().join("crash.raw"));
    drop(engine.begin_export(&project(), &name, None, &to).unwrap());
    let part = engine.outgoing().unwrap()[0].part.clone();
    std::fs::write(&part, "half").unwrap();
    start(&engine);
    assert!(engine.outgoing().unwrap().is_empty() && !std::path::Path::new(&part).exists());
}

#[test]
fn an_export_that_failed_has_left_no_file() {
    let mut failed = 0;
    for fault in [Fault::Refused, Fault::Unsure] {
        for step in 0.. {
            let world = World::new();
            let _behind = files::Behind::faults_of(&world);
            let engine = engine(&world);
            golden(&engine);
            world.faults.arm(step, fault);
            let result = export(&engine, &to_file());
            if !world.faults.disarm() {
                result.unwrap();
                break;
            }
            if result.is_err() {
                failed += 1;
                let left = files::exported();
                assert!(!left.contains(&"out.raw".to_owned()), "{fault:?} at step {step}");
            }
        }
    }
    assert!(failed > 4, "{failed}");
}

#[test]
fn an_image_that_is_open_elsewhere_is_imported_at_a_snapshot_only() {
    use crate::backend::OpenMode;
    let world = World::new();
    let engine = engine(&world);
    let other = world.store.other();
    other.create("there", 8192).unwrap();
    let image = "other/there".parse().unwrap();
    let spec = PoolImportSpec { image, from: None, store: None, fix_boot_chs: false };
    let begin = || engine.begin_pool_import(&project(), &image_name("up"), &spec);
    let open = other.open("there", None, OpenMode::ReadWrite).unwrap();
    assert_eq!(begin().err().unwrap().code(), "source-in-use");
    drop(open);
    // Opened while it is copied.
    let import = begin().unwrap();
    let open = other.open("there", None, OpenMode::ReadWrite).unwrap();
    let error = engine.run_import(import, &Progress::default()).unwrap_err();
    assert_eq!(error.code(), "source-in-use");
    assert!(engine.images(None).unwrap().is_empty());
    drop(open);
    let image = engine.run_import(begin().unwrap(), &Progress::default()).unwrap();
    assert_eq!((image.source.as_str(), image.size_bytes), ("rbd:other/there", 8192));
    assert_eq!(other.list().unwrap(), ["there"], "the original is there");
    for (image, code) in [("other/none", "source-unreadable"), ("none/x", "source-unreadable")] {
        let name = image_name("no");
        let spec = PoolImportSpec { image: image.parse().unwrap(), ..spec.clone() };
        let error = engine.begin_pool_import(&project(), &name, &spec).err().unwrap();
        assert_eq!(error.code(), code);
    }
}
