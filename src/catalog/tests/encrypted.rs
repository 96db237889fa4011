//! Disks with a key of their own: copies of their images.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::faults::{
    ADMIN, Case, engine, golden, image_name, import, name, node, project, spec, start,
};
use super::world::World;
use crate::backend::{LuksFormat, OpenMode, Store as _, VolumeReader};
use crate::catalog::engine::Begun;
use crate::catalog::import::Progress;
use crate::catalog::model::DiskState;
use crate::catalog::{
    Catalog, CopySpec, Disk, DiskSpec, Encryption, JobState, Made, Options, Tagged,
};

/// No test takes so long; one that hangs ends.
const HANG: Duration = Duration::from_secs(120);

fn encrypted() -> DiskSpec {
    with(Encryption::Luks2)
}

fn with(encryption: Encryption) -> DiskSpec {
    DiskSpec { encryption: Some(encryption), ..spec() }
}

fn is_made(disk: &Disk) -> bool {
    disk.encryption == Some(Encryption::Luks2) && disk.flattened
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "create an encrypted disk",
            setup: golden,
            call: |engine| {
                engine.create_disk(&project(), &name("d1"), &encrypted(), None).map(drop)
            },
            done: |engine| is_made(&engine.disk(&project(), &name("d1")).unwrap()),
            repeat_code: None,
        },
        Case {
            name: "provision an encrypted disk",
            setup: golden,
            call: |engine| engine.provision(&project(), &name("n1"), &encrypted()).map(drop),
            done: |engine| {
                node(engine).disk == Some(name("n1"))
                    && is_made(&engine.disk(&project(), &name("n1")).unwrap())
            },
            repeat_code: None,
        },
    ]
}

/// What an image of the store holds.
fn contents(world: &World, image: &str) -> Vec<u8> {
    let volume = world.store.open(image, None, OpenMode::ReadOnly).unwrap();
    let reader = VolumeReader::new(volume);
    let mut bytes = vec![0; usize::try_from(reader.size_bytes()).unwrap()];
    reader.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_encrypted_disk_holds_what_its_image_does_and_needs_it_no_more() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let of_image =
        contents(&world, &engine.image(&project(), &image_name("golden")).unwrap().backing);
    assert!(of_image.iter().any(|&byte| byte != 0));
    for (disk, encryption, luks) in [
        ("d1", Encryption::Luks1, Some(LuksFormat::Luks1)),
        ("d2", Encryption::Luks2, Some(LuksFormat::Luks2)),
        ("d3", Encryption::None, None),
    ] {
        let spec = with(encryption);
        let made = engine.create_disk(&project(), &name(disk), &spec, None).unwrap().disk;
        let image = &made.backing;
        assert_eq!(world.store.images.lock()[image].luks, luks);
        assert_eq!(made.flattened, luks.is_some());
        if luks.is_some() {
            assert_eq!(contents(&world, image), of_image);
        }
        // The same call again finds it, one that says nothing of it too; another one does not.
        for same in [spec.clone(), super::faults::spec()] {
            let again = engine.create_disk(&project(), &name(disk), &same, None).unwrap();
            assert!(again.existed);
        }
        let others = [Encryption::None, Encryption::Luks1, Encryption::Luks2];
        for other in others.into_iter().filter(|other| *other != encryption) {
            let error = engine.create_disk(&project(), &name(disk), &with(other), None);
            assert_eq!(error.unwrap_err().code(), "disk-exists");
        }
    }
    let plain = engine.create_disk(&project(), &name("d4"), &spec(), None).unwrap().disk;
    assert_eq!((plain.encryption, plain.flattened), (None, false));
    engine.remove_disk(ADMIN, &project(), &name("d3")).unwrap();
    engine.remove_disk(ADMIN, &project(), &name("d4")).unwrap();
    engine.remove_image(&project(), &image_name("golden")).unwrap();
}

#[test]
fn what_cannot_be_encrypted_is_refused_and_leaves_nothing() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let refusal = |spec: &DiskSpec| {
        let error = engine.create_disk(&project(), &name("d1"), spec, None).unwrap_err();
        assert!(engine.disks(None).unwrap().is_empty());
        error
    };
    let edit = DiskSpec { edit: true, ..encrypted() };
    assert_eq!(refusal(&edit).code(), "invalid-encryption");
    world.store.keyless.store(true, Ordering::SeqCst);
    let error = refusal(&encrypted());
    assert_eq!(error.code(), "encryption-unavailable");
    assert!(error.to_string().contains("there is no passphrase"), "{error}");
    engine.create_disk(&project(), &name("d2"), &with(Encryption::None), None).unwrap();
    engine.remove_disk(ADMIN, &project(), &name("d2")).unwrap();
    world.store.keyless.store(false, Ordering::SeqCst);
    // A clone of what is encrypted is.
    for image in world.store.images.lock().values_mut() {
        image.luks = Some(LuksFormat::Luks2);
    }
    let error = refusal(&with(Encryption::None));
    assert_eq!(error.code(), "invalid-encryption");
    assert!("luks3".parse::<Encryption>().is_err() && "".parse::<Encryption>().is_err());
}

#[test]
fn one_that_is_being_made_keeps_its_image_and_is_taken_back_when_it_is_cancelled_or_cut_short() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let golden = image_name("golden");
    let begin = || match engine.begin_disk(&project(), &name("d1"), &encrypted(), None).unwrap() {
        Begun::Making(making) => making,
        Begun::There(disk) => panic!("{disk:?}"),
    };
    let making = begin();
    assert_eq!(engine.remove_image(&project(), &golden).unwrap_err().code(), "busy");
    let to = image_name("other");
    let renamed = engine.rename_image((&project(), &golden), (&project(), &to));
    assert_eq!(renamed.unwrap_err().code(), "busy");
    engine.drop_making(*making);
    assert!(engine.disks(None).unwrap().is_empty());

    let progress = Progress::default();
    progress.cancel();
    let error = engine.make_disk(*begin(), &progress).unwrap_err();
    assert_eq!(error.code(), "cancelled");
    assert!(engine.disks(None).unwrap().is_empty());
    assert_eq!(world.store.images.lock().len(), 1);

    // Killed when the copy is in the store.
    let making = begin();
    let disk = engine.disk(&project(), &name("d1")).unwrap();
    world.store.create_encrypted(&disk.backing, 8192, LuksFormat::Luks2).unwrap();
    drop((making, engine));
    world.crash();
    let engine = super::faults::engine(&world);
    assert_eq!(start(&engine).disks_erased, 1);
    assert_eq!(world.store.images.lock().len(), 1);
    engine.remove_image(&project(), &golden).unwrap();
}

#[test]
fn an_image_of_an_encrypted_disk_is_encrypted_and_holds_what_the_disk_does() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let disk = engine.create_disk(&project(), &name("d1"), &encrypted(), None).unwrap().disk;
    let spec = CopySpec {
        project: project(),
        of: Tagged::Disk(name("d1")),
        tag: None,
        store: None,
        asking: None,
    };
    let name = image_name("copy");
    world.store.keyless.store(true, Ordering::SeqCst);
    let refused = engine.begin_copy(&project(), &name, &spec).err().unwrap();
    assert_eq!(refused.code(), "encryption-unavailable", "what is a secret stays one");
    assert_eq!(engine.images(None).unwrap().len(), 1);
    world.store.keyless.store(false, Ordering::SeqCst);
    let import = engine.begin_copy(&project(), &name, &spec).unwrap();
    let copy = engine.run_import(import, &Progress::default()).unwrap();
    assert_eq!(contents(&world, &copy.backing), contents(&world, &disk.backing));
    assert_eq!(world.store.images.lock()[&copy.backing].luks, Some(LuksFormat::Luks2));
}

async fn ended(catalog: &Catalog, job: u64) -> JobState {
    let ended = async {
        while !catalog.job(job).unwrap().state.is_final() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, ended).await.unwrap();
    catalog.job(job).unwrap().state
}

#[tokio::test]
async fn a_job_makes_it_that_can_be_cancelled_and_is_waited_for() {
    let world = World::new();
    import(&engine(&world), "golden").unwrap();
    let exporter = world.exporter.clone();
    let catalog = Catalog::over(world.state(), world.stores(), exporter, Options::default());
    let catalog = catalog.unwrap();
    let create = || catalog.create_disk(project(), name("d1"), encrypted());
    world.store.stuck.store(true, Ordering::SeqCst);
    let Made::Later(job) = create().await.unwrap() else { panic!("made at once") };
    assert_eq!((&*job.kind, &*job.object, job.total_bytes), ("disk-encrypt", "d1", 8192));
    let view = catalog.disk(project(), name("d1")).await.unwrap();
    assert_eq!(view.disk.state, DiskState::Creating);
    catalog.cancel_job(job.id).unwrap();
    world.store.stuck.store(false, Ordering::SeqCst);
    assert_eq!(ended(&catalog, job.id).await, JobState::Cancelled);
    let error = catalog.disk(project(), name("d1")).await.err().unwrap();
    assert_eq!(error.code(), "disk-not-found");
    assert_eq!(world.store.images.lock().len(), 1);

    world.store.stuck.store(true, Ordering::SeqCst);
    let provision = || catalog.provision(project(), name("n1"), encrypted());
    let Made::Later(job) = provision().await.unwrap() else { panic!("made at once") };
    let Made::Later(again) = provision().await.unwrap() else { panic!("made twice") };
    assert_eq!(again.id, job.id);
    let other = catalog.create_disk(project(), name("n1"), encrypted()).await.err().unwrap();
    let removed = catalog.remove_disk(ADMIN, project(), name("n1")).await.err().unwrap();
    let given_up = catalog.deprovision(ADMIN, project(), name("n1")).await.err().unwrap();
    for error in [other, removed, given_up] {
        assert_eq!(error.code(), "busy", "{error}");
    }
    world.store.stuck.store(false, Ordering::SeqCst);
    assert_eq!(ended(&catalog, job.id).await, JobState::Succeeded);
    let again = tokio::time::timeout(HANG, provision()).await.unwrap().unwrap();
    let Made::Now(((node, disk), existed)) = again else { panic!("made twice") };
    assert!(existed);
    assert_eq!(node.disk, Some(name("n1")));
    assert_eq!(disk.unwrap().disk.encryption, Some(Encryption::Luks2));
    tokio::time::timeout(HANG, catalog.stop()).await.unwrap();
}

#[tokio::test]
async fn a_job_whose_turn_has_not_come_ends_at_once_when_it_is_cancelled() {
    let world = World::new();
    import(&engine(&world), "golden").unwrap();
    let exporter = world.exporter.clone();
    let catalog = Catalog::over(world.state(), world.stores(), exporter, Options::default());
    let catalog = catalog.unwrap();
    world.store.stuck.store(true, Ordering::SeqCst);
    let mut jobs = Vec::new();
    for disk in ["d1", "d2", "d3"] {
        let made = catalog.create_disk(project(), name(disk), encrypted()).await.unwrap();
        let Made::Later(job) = made else { panic!("made at once") };
        jobs.push(job.id);
    }
    catalog.cancel_job(jobs[2]).unwrap();
    assert_eq!(ended(&catalog, jobs[2]).await, JobState::Cancelled);
    assert!(!catalog.job(jobs[0]).unwrap().state.is_final(), "it was not for its turn");
    world.store.stuck.store(false, Ordering::SeqCst);
    for job in &jobs[..2] {
        assert_eq!(ended(&catalog, *job).await, JobState::Succeeded);
    }
    tokio::time::timeout(HANG, catalog.stop()).await.unwrap();
}
