//! Uploads.

use std::sync::atomic::Ordering;

use super::faults::{Case, engine, golden, image_name, project, start};
use super::imports::content;
use super::world::World;
use crate::catalog::checksum::Hasher;
use crate::catalog::engine::{Engine, Run};
use crate::catalog::import::Progress;
use crate::catalog::{
    Catalog, Checksum, Error, Format, Image, ImageState, ImportSpec, Name, ProjectSettings, Quota,
    UploadSpec,
};

const LEN: usize = 10_000;

/// A file, odd in length and with zeros in it.
fn file() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..LEN).map(|i| u8::try_from(i % 251).unwrap()).collect();
    bytes[4096..8192].fill(0);
    bytes
}

fn sum(bytes: &[u8]) -> Checksum {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

fn spec() -> UploadSpec {
    UploadSpec {
        file_bytes: Some(LEN as u64),
        format: Format::Raw,
        store: None,
        sha256: Some(sum(&file())),
        key: None,
        fix_boot_chs: false,
    }
}

/// A qcow2 file (version 2, clusters of 512 bytes) of a disk of 32 KiB, all of it a hole.
fn qcow2() -> Vec<u8> {
    let mut bytes = vec![0; 4 << 9];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"QFI\xfb");
    put(4, &2_u32.to_be_bytes());
    put(20, &9_u32.to_be_bytes());
    put(24, &(32_u64 << 10).to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &(1_u64 << 9).to_be_bytes());
    put(48, &(2_u64 << 9).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(2 << 9, &(3_u64 << 9).to_be_bytes());
    // A reference to each of the four clusters.
    put(3 << 9, &[0, 1, 0, 1, 0, 1, 0, 1]);
    bytes
}

fn staged() -> UploadSpec {
    let bytes = qcow2();
    let sha256 = Some(sum(&bytes));
    UploadSpec { file_bytes: Some(bytes.len() as u64), format: Format::Qcow2, sha256, ..spec() }
}

fn begin(engine: &Engine, spec: &UploadSpec) -> Result<(), Error> {
    engine.begin_upload(&project(), &image_name("up"), spec).map(drop)
}

fn append(engine: &Engine, offset: usize, bytes: &[u8]) -> Result<(), Error> {
    let (project, name) = (project(), image_name("up"));
    let mut receiving = engine.begin_receiving(&project, &name, offset as u64, None)?;
    let taken =
        bytes.chunks(3000).try_for_each(|piece| engine.receive(&mut receiving, Run::Bytes(piece)));
    let ended = engine.end_receiving(receiving);
    taken.and(ended.map(drop))
}

/// With what the file ends.
fn append_last(engine: &Engine, offset: usize, bytes: &[u8]) -> Result<(), Error> {
    let (project, name) = (project(), image_name("up"));
    let mut receiving = engine.begin_receiving(&project, &name, offset as u64, None)?;
    let taken = engine.receive(&mut receiving, Run::Bytes(bytes));
    let taken = taken.and_then(|()| receiving.ends_here());
    let ended = engine.end_receiving(receiving);
    taken.and(ended.map(drop))
}

fn of_unknown_length() -> UploadSpec {
    UploadSpec { file_bytes: None, ..spec() }
}

fn finish(engine: &Engine) -> Result<Image, Error> {
    let import = engine.begin_uploaded(&project(), &image_name("up"))?;
    engine.run_import(import, &Progress::default())
}

fn upload(engine: &Engine) -> Image {
    engine.image(&project(), &image_name("up")).unwrap()
}

fn offset(engine: &Engine) -> u64 {
    upload(engine).upload.unwrap().offset
}

fn received(engine: &Engine) {
    begin(engine, &spec()).unwrap();
    append(engine, 0, &file()).unwrap();
}

/// The calls of this file, for the walk of all faults.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "begin an upload",
            setup: |_| {},
            call: |engine| begin(engine, &spec()),
            done: |engine| offset(engine) == 0,
            repeat_code: None,
        },
        Case {
            name: "begin an upload of qcow2",
            setup: |_| {},
            call: |engine| begin(engine, &staged()),
            done: |engine| offset(engine) == 0,
            repeat_code: None,
        },
        Case {
            name: "upload",
            setup: |engine| begin(engine, &spec()).unwrap(),
            call: |engine| append(engine, 0, &file()),
            done: |engine| offset(engine) == LEN as u64,
            repeat_code: Some("upload-offset"),
        },
        Case {
            name: "begin an upload of unknown length",
            setup: |_| {},
            call: |engine| begin(engine, &of_unknown_length()),
            done: |engine| offset(engine) == 0,
            repeat_code: None,
        },
        Case {
            name: "upload what ends somewhere",
            setup: |engine| begin(engine, &of_unknown_length()).unwrap(),
            call: |engine| append_last(engine, 0, &file()),
            done: |engine| upload(engine).is_received(),
            repeat_code: Some("upload-offset"),
        },
        Case {
            name: "upload qcow2",
            setup: |engine| begin(engine, &staged()).unwrap(),
            call: |engine| append(engine, 0, &qcow2()),
            done: |engine| upload(engine).is_received(),
            repeat_code: Some("upload-offset"),
        },
        Case {
            name: "abandon an upload of qcow2",
            setup: |engine| {
                begin(engine, &staged()).unwrap();
                append(engine, 0, &qcow2()).unwrap();
            },
            call: |engine| engine.abandon_upload(&project(), &image_name("up")),
            done: |engine| engine.images(None).unwrap().is_empty(),
            repeat_code: Some("image-not-found"),
        },
        Case {
            name: "end an upload",
            setup: received,
            call: |engine| finish(engine).map(drop),
            done: |engine| upload(engine).state == ImageState::Ready,
            repeat_code: Some("upload-not-found"),
        },
        Case {
            name: "end an upload of qcow2",
            setup: |engine| {
                begin(engine, &staged()).unwrap();
                append(engine, 0, &qcow2()).unwrap();
            },
            call: |engine| finish(engine).map(drop),
            done: |engine| upload(engine).state == ImageState::Ready,
            repeat_code: Some("upload-not-found"),
        },
        Case {
            name: "abandon an upload",
            setup: received,
            call: |engine| engine.abandon_upload(&project(), &image_name("up")),
            done: |engine| engine.images(None).unwrap().is_empty(),
            // That, once it is known that it is being removed.
            repeat_code: Some("image-not-found"),
        },
        Case {
            name: "publish an image",
            setup: golden,
            call: |engine| engine.publish_image(&project(), &image_name("golden"), true).map(drop),
            done: |engine| engine.image(&project(), &image_name("golden")).unwrap().public,
            repeat_code: None,
        },
    ]
}

#[test]
fn a_file_in_pieces_is_the_file() {
    let world = World::new();
    let engine = engine(&world);
    let bytes = file();
    begin(&engine, &spec()).unwrap();
    let mut at = 0;
    for cut in [1, 511, 512, 4096, 4097, 9000, LEN] {
        append(&engine, at, &bytes[at..cut]).unwrap();
        at = cut;
        // A restart now and then.
        start(&engine);
        assert_eq!(offset(&engine), at as u64);
    }
    assert_eq!(append(&engine, at, b"x").unwrap_err().code(), "upload-beyond-end");
    let image = finish(&engine).unwrap();
    assert_eq!(image.size_bytes, (LEN as u64).next_multiple_of(512));
    assert_eq!(image.sha256, Some(sum(&bytes)));
    assert_eq!(image.warnings[0].code, "no-boot-signature");
    let stored = content(&world, &image);
    assert!(stored[..LEN] == bytes[..] && stored[LEN..].iter().all(|&byte| byte == 0));
    // The same call again finds the image.
    let again = engine.begin_upload(&project(), &image_name("up"), &spec()).unwrap();
    assert_eq!((again.0.state, again.1), (ImageState::Ready, true));
}

#[test]
fn what_a_crash_has_left_behind_the_offset_is_not_in_the_image() {
    let world = World::new();
    let engine = engine(&world);
    let bytes = file();
    begin(&engine, &spec()).unwrap();
    append(&engine, 0, &bytes[..100]).unwrap();
    let (project, name) = (project(), image_name("up"));
    let mut lost = engine.begin_receiving(&project, &name, 100, None).unwrap();
    engine.receive(&mut lost, Run::Bytes(&[0xff; LEN - 100])).unwrap();
    // The machine dies: it was written, and is not known to be.
    drop(lost);
    assert_eq!(offset(&engine), 100);
    append(&engine, 100, &bytes[100..]).unwrap();
    let image = finish(&engine).unwrap();
    assert!(content(&world, &image)[..LEN] == bytes[..]);
}

#[test]
fn zeros_that_are_told_are_zeros_whatever_was_there() {
    for spec in [spec(), of_unknown_length()] {
        let world = World::new();
        let engine = engine(&world);
        let mut bytes = file();
        bytes[5000..].fill(0);
        begin(&engine, &UploadSpec { sha256: Some(sum(&bytes)), ..spec.clone() }).unwrap();
        append(&engine, 0, &bytes[..100]).unwrap();
        // The machine dies with bytes written where there will be zeros.
        let (project, name) = (project(), image_name("up"));
        let mut lost = engine.begin_receiving(&project, &name, 100, None).unwrap();
        engine.receive(&mut lost, Run::Bytes(&[0xff; LEN - 100])).unwrap();
        drop(lost);
        append(&engine, 100, &bytes[100..5000]).unwrap();
        let mut receiving = engine.begin_receiving(&project, &name, 5000, None).unwrap();
        let beyond = engine.receive(&mut receiving, Run::Zeros(u64::MAX)).unwrap_err().code();
        let announced = spec.file_bytes.is_some();
        assert_eq!(beyond, if announced { "upload-beyond-end" } else { "source-too-large" });
        drop(receiving);
        let mut receiving = engine.begin_receiving(&project, &name, 5000, None).unwrap();
        engine.receive(&mut receiving, Run::Zeros(LEN as u64 - 5000)).unwrap();
        receiving.ends_here().unwrap();
        engine.end_receiving(receiving).unwrap();
        let image = finish(&engine).unwrap();
        assert!(content(&world, &image)[..LEN] == bytes[..]);
    }
}

#[test]
fn what_was_never_written_is_not_zeroed_with_every_call() {
    let world = World::new();
    let engine = self::engine(&world);
    let zeroed = || world.store.zeroed.load(Ordering::SeqCst);
    begin(&engine, &spec()).unwrap();
    for at in 0..10 {
        append(&engine, at, &file()[at..=at]).unwrap();
    }
    assert_eq!(zeroed(), 0);
    // What a process that is gone has left is not known, nor what a failure has.
    drop(engine);
    let engine = self::engine(&world);
    append(&engine, 10, b"x").unwrap();
    append(&engine, 11, b"y").unwrap();
    assert_eq!(zeroed(), 1);
    world.store.full.store(true, Ordering::SeqCst);
    append(&engine, 12, &file()[..100]).unwrap_err();
    world.store.full.store(false, Ordering::SeqCst);
    append(&engine, 12, b"z").unwrap();
    assert_eq!(zeroed(), 2);
}

#[test]
fn a_file_of_unknown_length_becomes_an_image_where_it_ends() {
    let world = World::new();
    let engine = engine(&world);
    begin(&engine, &of_unknown_length()).unwrap();
    assert_eq!(append_last(&engine, 0, b"").unwrap_err().code(), "source-empty");
    append(&engine, 0, &file()[..700]).unwrap();
    assert_eq!(finish(&engine).unwrap_err().code(), "upload-offset", "more may come");
    start(&engine);
    append_last(&engine, 700, &file()[700..]).unwrap();
    assert_eq!(append(&engine, LEN, b"x").unwrap_err().code(), "upload-beyond-end");
    let image = finish(&engine).unwrap();
    assert_eq!((image.size_bytes, image.format), (LEN.next_multiple_of(512) as u64, Format::Raw));
    assert!(content(&world, &image)[..LEN] == file()[..]);
    assert_eq!(std::fs::read_dir(&world.uploads.0).unwrap().count(), 0);
    // It ends where it was announced to.
    engine.remove_image(&project(), &image_name("up")).unwrap();
    begin(&engine, &spec()).unwrap();
    assert_eq!(append_last(&engine, 0, b"x").unwrap_err().code(), "upload-offset");
    append_last(&engine, 1, &file()[1..]).unwrap();
}

#[test]
fn a_file_of_unknown_length_counts_as_it_comes() {
    let world = World::new();
    let mut options = world.options();
    options.uploads.staged_bytes_max = 5000;
    let exporter = world.exporter.clone();
    let engine = Engine::new(world.state(), world.stores(), exporter, options).unwrap();
    begin(&engine, &of_unknown_length()).unwrap();
    append(&engine, 0, &file()[..4000]).unwrap();
    assert_eq!(append(&engine, 4000, &file()[4000..]).unwrap_err().code(), "staging-full");
    engine.abandon_upload(&project(), &image_name("up")).unwrap();
    let quota = Quota { bytes: Some(5000), ..Quota::default() };
    engine.put_project(&project(), ProjectSettings { quota, ..Default::default() }).unwrap();
    begin(&engine, &of_unknown_length()).unwrap();
    append(&engine, 0, &file()[..4000]).unwrap();
    assert_eq!(append(&engine, 4000, &file()[4000..]).unwrap_err().code(), "quota-exceeded");
}

#[test]
fn no_project_has_all_uploads_and_none_is_kept_alive_by_nothing() {
    let world = World::new();
    let engine = engine(&world);
    let begin = |project: &str, name: &str| {
        let project = Name::project(project).unwrap();
        engine.begin_upload(&project, &image_name(name), &spec()).map(|(image, _)| image)
    };
    for i in 0..64 {
        begin("default", &format!("u{i}")).unwrap();
    }
    assert_eq!(begin("default", "more").unwrap_err().code(), "too-many-uploads");
    let begun = begin("other", "up").unwrap().upload.unwrap().active;
    let (other, name) = (Name::project("other").unwrap(), image_name("up"));
    let active = |bytes: &[u8]| {
        let mut receiving = engine.begin_receiving(&other, &name, 0, None).unwrap();
        engine.receive(&mut receiving, Run::Bytes(bytes)).unwrap();
        engine.end_receiving(receiving).unwrap().upload.unwrap().active
    };
    assert_eq!(active(b""), begun);
    assert!(active(b"x") > begun);
}

#[test]
fn one_at_a_time_and_in_order() {
    let world = World::new();
    let engine = engine(&world);
    begin(&engine, &spec()).unwrap();
    let (project, name) = (project(), image_name("up"));
    let one = engine.begin_receiving(&project, &name, 0, None).unwrap();
    let code = |result: Result<(), Error>| result.unwrap_err().code();
    assert_eq!(code(append(&engine, 0, b"x")), "busy");
    assert_eq!(code(engine.remove_image(&project, &name)), "busy");
    drop(one);
    assert_eq!(code(append(&engine, 1, b"x")), "upload-offset");
    let long = engine.begin_receiving(&project, &name, 0, Some(LEN as u64 + 1));
    assert_eq!(code(long.map(drop)), "upload-beyond-end");
    let long = engine.begin_receiving(&project, &name, 0, Some(u64::MAX));
    assert_eq!(code(long.map(drop)), "upload-beyond-end");
    assert_eq!(code(finish(&engine).map(drop)), "upload-offset");
    let of_other = UploadSpec { sha256: None, ..spec() };
    assert_eq!(code(begin(&engine, &of_other)), "image-exists");
    append(&engine, 0, b"x").unwrap();
    begin(&engine, &spec()).unwrap();
    engine.abandon_upload(&project, &name).unwrap();
    // Without a checksum or a key, nothing says that it is the same file.
    begin(&engine, &of_other).unwrap();
    begin(&engine, &of_other).unwrap();
    append(&engine, 0, b"x").unwrap();
    assert_eq!(code(begin(&engine, &of_other)), "image-exists");
    engine.abandon_upload(&project, &name).unwrap();
    assert_eq!(code(engine.abandon_upload(&project, &name)), "image-not-found");
    golden(&engine);
    let golden = image_name("golden");
    assert_eq!(code(engine.abandon_upload(&project, &golden)), "upload-not-found");
    for (file_bytes, key, expected) in [
        (0, None, "source-empty"),
        (u64::MAX, None, "source-too-large"),
        (1, Some(String::new()), "invalid-key"),
        (1, Some("a b".into()), "invalid-key"),
        (1, Some("k".repeat(129)), "invalid-key"),
    ] {
        assert_eq!(
            code(begin(&engine, &UploadSpec { file_bytes: Some(file_bytes), key, ..spec() })),
            expected
        );
    }
}

#[test]
fn another_file_than_announced_is_refused_and_gone() {
    let mut other = qcow2();
    *other.last_mut().unwrap() = 1;
    for (spec, bytes) in [(spec(), vec![7; LEN]), (staged(), other)] {
        let world = World::new();
        let engine = engine(&world);
        begin(&engine, &spec).unwrap();
        append(&engine, 0, &bytes).unwrap();
        assert_eq!(finish(&engine).unwrap_err().code(), "checksum-mismatch");
        assert!(engine.images(None).unwrap().is_empty() && world.store.images.lock().is_empty());
        assert_eq!(std::fs::read_dir(&world.uploads.0).into_iter().flatten().count(), 0);
    }
}

#[test]
fn a_qcow2_file_becomes_its_disk() {
    let world = World::new();
    let engine = engine(&world);
    begin(&engine, &staged()).unwrap();
    let bytes = qcow2();
    append(&engine, 0, &bytes[..700]).unwrap();
    start(&engine);
    append(&engine, 700, &bytes[700..]).unwrap();
    let image = finish(&engine).unwrap();
    assert_eq!((image.size_bytes, image.format), (32 << 10, Format::Qcow2));
    assert_eq!(std::fs::read_dir(&world.uploads.0).unwrap().count(), 0);
    // What is no qcow2 is refused with its header, and what only begins like one at its end.
    let name = image_name("bad");
    let bad = UploadSpec { sha256: None, ..staged() };
    engine.begin_upload(&project(), &name, &bad).unwrap();
    let mut receiving = engine.begin_receiving(&project(), &name, 0, None).unwrap();
    engine.receive(&mut receiving, Run::Bytes(&[0; 100])).unwrap();
    let error = engine.receive(&mut receiving, Run::Bytes(&[0; 100])).unwrap_err();
    assert_eq!(error.code(), "source-invalid");
    drop(receiving);
    let mut bytes = qcow2();
    bytes[40..48].copy_from_slice(&13_u64.to_be_bytes());
    let mut receiving = engine.begin_receiving(&project(), &name, 0, None).unwrap();
    engine.receive(&mut receiving, Run::Bytes(&bytes)).unwrap();
    engine.end_receiving(receiving).unwrap();
    let import = engine.begin_uploaded(&project(), &name).unwrap();
    let error = engine.run_import(import, &Progress::default()).unwrap_err();
    assert_eq!(error.code(), "source-invalid");
    assert!(error.to_string().starts_with("the uploaded file:"), "{error}");
    assert_eq!(engine.images(None).unwrap().len(), 1);
    // Nor is there room for all the world.
    let limit = UploadSpec { file_bytes: Some((64 << 30) + 1), ..staged() };
    assert_eq!(engine.begin_upload(&project(), &name, &limit).unwrap_err().code(), "staging-full");
}

#[test]
fn a_full_store_loses_nothing_that_it_took() {
    let world = World::new();
    let engine = engine(&world);
    let bytes = file();
    begin(&engine, &spec()).unwrap();
    append(&engine, 0, &bytes[..100]).unwrap();
    world.store.full.store(true, Ordering::SeqCst);
    assert_eq!(append(&engine, 100, &bytes[100..]).unwrap_err().code(), "store-full");
    assert_eq!(offset(&engine), 100);
    world.store.full.store(false, Ordering::SeqCst);
    append(&engine, 100, &bytes[100..]).unwrap();
    assert!(content(&world, &finish(&engine).unwrap())[..LEN] == bytes[..]);
}

#[test]
fn an_import_into_a_full_store_leaves_nothing() {
    let world = World::new();
    let engine = engine(&world);
    world.store.full.store(true, Ordering::SeqCst);
    let error = super::faults::import(&engine, "golden").unwrap_err();
    assert_eq!(error.code(), "store-full");
    assert!(engine.images(None).unwrap().is_empty() && world.store.images.lock().is_empty());
}

#[test]
fn uploads_count_against_the_quota_from_their_beginning() {
    let world = World::new();
    let engine = engine(&world);
    let quota = |bytes| ProjectSettings {
        quota: Quota { bytes: Some(bytes), ..Quota::default() },
        ..ProjectSettings::default()
    };
    engine.put_project(&project(), quota(10_000)).unwrap();
    assert_eq!(begin(&engine, &spec()).unwrap_err().code(), "quota-exceeded");
    engine.put_project(&project(), quota(300_000)).unwrap();
    // 2 KiB of file, and a disk of 32 KiB in it; then a file that holds a larger disk than allowed.
    begin(&engine, &staged()).unwrap();
    append(&engine, 0, &qcow2()).unwrap();
    finish(&engine).unwrap();
    engine.remove_image(&project(), &image_name("up")).unwrap();
    let mut bytes = qcow2();
    bytes[24..32].copy_from_slice(&(512_u64 << 10).to_be_bytes());
    bytes[36..40].copy_from_slice(&16_u32.to_be_bytes());
    begin(&engine, &UploadSpec { sha256: None, ..staged() }).unwrap();
    append(&engine, 0, &bytes).unwrap();
    assert_eq!(finish(&engine).unwrap_err().code(), "quota-exceeded");
    assert!(engine.images(None).unwrap().is_empty());
}

#[test]
fn what_nothing_comes_to_is_given_up() {
    let world = World::new();
    let mut options = world.options();
    let fresh = engine(&world);
    begin(&fresh, &staged()).unwrap();
    assert!(!fresh.expire_upload(&project(), &image_name("up")).unwrap());
    drop(fresh);
    options.uploads.expiry = std::time::Duration::ZERO;
    let exporter = world.exporter.clone();
    let engine = Engine::new(world.state(), world.stores(), exporter, options).unwrap();
    let receiving = engine.begin_receiving(&project(), &image_name("up"), 0, None).unwrap();
    assert!(!engine.expire_upload(&project(), &image_name("up")).unwrap(), "somebody is at it");
    drop(receiving);
    assert!(engine.expire_upload(&project(), &image_name("up")).unwrap());
    assert!(engine.images(None).unwrap().is_empty());
    // Files that belong to nothing go with a start, others stay.
    for name in ["stirrup-0-img1.part", "notes.txt"] {
        std::fs::write(world.uploads.0.join(name), "x").unwrap();
    }
    // What cannot be removed is no reason to leave the others.
    std::fs::create_dir(world.uploads.0.join("stirrup-0-img0.part")).unwrap();
    engine.clean_staging().unwrap();
    let left: Vec<_> = std::fs::read_dir(&world.uploads.0).unwrap().collect();
    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn one_upload_that_stays_keeps_no_other() {
    let world = World::new();
    let mut options = world.options();
    options.uploads.expiry = std::time::Duration::ZERO;
    let exporter = world.exporter.clone();
    let catalog = Catalog::over(world.state(), world.stores(), exporter, options).unwrap();
    for name in ["a", "b", "c"] {
        catalog.begin_upload(project(), image_name(name), staged()).await.unwrap();
    }
    let staged = |name: &str| world.uploads.0.join(format!("{name}.part"));
    let first = catalog.image(project(), image_name("a")).await.unwrap().image.backing;
    std::fs::remove_file(staged(&first)).unwrap();
    std::fs::create_dir(staged(&first)).unwrap();
    std::fs::create_dir(staged("stirrup-none")).unwrap();
    catalog.expire_once().await.unwrap();
    let left = catalog.images(None).await.unwrap();
    let left: Vec<String> = left.iter().map(|view| view.image.name.to_string()).collect();
    assert_eq!(left, ["a"]);
}

#[test]
fn a_checksum_is_held_against_an_imported_file() {
    use std::io::Write as _;
    let world = World::new();
    let engine = engine(&world);
    let mut source = tempfile::NamedTempFile::new().unwrap();
    source.write_all(&file()).unwrap();
    let import = |sha256: Checksum| {
        let spec = super::faults::import_spec(source.path());
        let spec = ImportSpec { sha256: Some(sha256), ..spec };
        engine.begin_import(&project(), &image_name("up"), &spec)
    };
    let wrong = import(sum(b"x")).unwrap();
    let error = engine.run_import(wrong, &Progress::default()).unwrap_err();
    assert_eq!(error.code(), "checksum-mismatch");
    assert!(engine.images(None).unwrap().is_empty());
    let right = import(sum(&file())).unwrap();
    let image = engine.run_import(right, &Progress::default()).unwrap();
    assert_eq!(image.sha256, Some(sum(&file())));
    engine.remove_image(&project(), &image_name("up")).unwrap();
    // Changed behind the daemon's back.
    let changed = import(sum(&file())).unwrap();
    let times = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    source.as_file().set_times(times).unwrap();
    let error = engine.run_import(changed, &Progress::default()).unwrap_err();
    assert_eq!(error.code(), "source-changed");
    assert!(engine.images(None).unwrap().is_empty());
}
