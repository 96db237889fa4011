//! What the async front adds: the background, and calls whose caller goes away.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::faults::{ADMIN, engine, image_name, import, import_spec, name, project, raw_file};
use super::world::World;
use crate::catalog::{
    Allowed, Catalog, DiskSpec, DiskState, DiskView, ExportState, ImportSpec, Made, NodeSpec,
    Options,
};

/// No test takes so long; one that hangs ends.
const HANG: Duration = Duration::from_secs(120);

fn catalog(world: &World) -> Catalog {
    let exporter = world.exporter.clone();
    Catalog::over(world.state(), world.stores(), exporter, Options::default()).unwrap()
}

/// A world in which disk `n1` was provisioned before a crash.
fn provisioned() -> World {
    let world = World::new();
    let engine = engine(&world);
    import(&engine, "golden").unwrap();
    engine.provision(&project(), &name("n1"), &spec()).unwrap();
    drop(engine);
    world.crash();
    world
}

fn spec() -> DiskSpec {
    DiskSpec::new(image_name("golden"))
}

/// Waits until the disk is in this state; what it was like then.
async fn until(catalog: &Catalog, state: ExportState) -> DiskView {
    let reached = async {
        loop {
            let view = catalog.disk(project(), name("n1")).await.unwrap();
            if view.serving.state == state {
                return view;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, reached).await.unwrap()
}

#[tokio::test]
async fn disks_come_back_as_soon_as_their_store_does() {
    let world = provisioned();
    world.store.ill.store(true, Ordering::SeqCst);
    let catalog = catalog(&world);
    until(&catalog, ExportState::Opening).await;
    assert_eq!(world.exporter.targets.lock().len(), 1, "published before anything is started");
    catalog.start().unwrap();
    let view = until(&catalog, ExportState::Failed).await;
    assert_eq!(view.disk.state, DiskState::Ready, "not broken: the store said nothing about it");
    assert!(view.serving.error.unwrap().contains("on fire"));
    world.store.ill.store(false, Ordering::SeqCst);
    until(&catalog, ExportState::Serving).await;
    tokio::time::timeout(HANG, catalog.stop()).await.unwrap();
}

#[tokio::test]
async fn a_target_that_could_not_be_published_is_tried_again() {
    let world = provisioned();
    let catalog = catalog(&world);
    catalog.start().unwrap();
    until(&catalog, ExportState::Serving).await;
    world.exporter.ill.store(true, Ordering::SeqCst);
    let initiator = "iqn.2004-10.org.example:n1".to_owned();
    let node = NodeSpec { macs: Vec::new(), initiator: Some(initiator.clone()) };
    let error = catalog.put_node(ADMIN, project(), name("n1"), node.clone()).await.err().unwrap();
    assert_eq!(error.code(), "export-failed");
    until(&catalog, ExportState::Failed).await;
    world.exporter.ill.store(false, Ordering::SeqCst);
    until(&catalog, ExportState::Serving).await;
    let allowed = || world.exporter.targets.lock().values().next().unwrap().allowed.clone();
    assert_eq!(allowed(), Allowed::Anyone, "as before the call that failed");
    catalog.put_node(ADMIN, project(), name("n1"), node).await.unwrap();
    assert_eq!(allowed(), Allowed::Initiators(vec![initiator]));
}

#[tokio::test]
async fn a_volume_that_has_failed_is_opened_anew() {
    let world = provisioned();
    let catalog = catalog(&world);
    catalog.start().unwrap();
    until(&catalog, ExportState::Serving).await;
    let failed = world.store.opened.lock().clone();
    world.store.ill.store(true, Ordering::SeqCst);
    failed.upgrade().unwrap().failed.store(true, Ordering::SeqCst);
    let view = until(&catalog, ExportState::Failed).await;
    assert!(view.serving.error.is_some());
    // A session would hold the volume; none is left, so the store can give it out again.
    let let_go = async {
        while failed.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    drop(view);
    tokio::time::timeout(HANG, let_go).await.unwrap();
    assert!(world.exporter.targets.lock().values().all(|export| export.volume.is_none()));
    world.store.ill.store(false, Ordering::SeqCst);
    until(&catalog, ExportState::Serving).await;
    let export = world.exporter.targets.lock().values().next().unwrap().clone();
    assert!(!export.volume.unwrap().has_failed());
    tokio::time::timeout(HANG, catalog.stop()).await.unwrap();
}

#[tokio::test]
async fn a_stuck_store_holds_up_no_other() {
    let world = World::new();
    let stuck = World::new().store;
    let mut stores = world.stores();
    stores.insert("stuck".to_owned(), stuck.clone());
    let exporter = world.exporter.clone();
    let catalog = Catalog::over(world.state(), stores, exporter, Options::default()).unwrap();
    let file = raw_file();
    for (image, store) in [("golden", "local"), ("other", "stuck")] {
        let spec = ImportSpec { store: Some(store.to_owned()), ..import_spec(file.path()) };
        let job = catalog.import(project(), image_name(image), spec).await.unwrap();
        let ended = async {
            while !catalog.job(job.id).unwrap().state.is_final() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANG, ended).await.unwrap();
    }
    stuck.stuck.store(true, Ordering::SeqCst);
    let calls: Vec<_> = (0..40)
        .map(|i| {
            let (catalog, disk) = (catalog.clone(), name(&format!("s{i}")));
            let spec = DiskSpec::new(image_name("other"));
            tokio::spawn(async move { catalog.create_disk(project(), disk, spec).await })
        })
        .collect();
    for _ in 0..3 {
        let health = catalog.store_health(Duration::from_millis(10)).await;
        assert!(health.iter().any(|store| store.name == "stuck" && store.result.is_none()));
    }
    assert_eq!(stuck.probes.load(Ordering::SeqCst), 1, "one probe waits, not three");
    let call = catalog.create_disk(project(), name("d1"), spec());
    tokio::time::timeout(HANG, call).await.unwrap().unwrap();
    stuck.stuck.store(false, Ordering::SeqCst);
    for call in calls {
        tokio::time::timeout(HANG, call).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_call_is_carried_through_without_its_caller() {
    let world = World::new();
    import(&engine(&world), "golden").unwrap();
    let catalog = catalog(&world);
    // Polled until the work is with the blocking pool, then dropped.
    let call = catalog.create_disk(project(), name("n1"), spec());
    let _ = tokio::time::timeout(Duration::ZERO, call).await;
    // The same call waits for the first one and finds its disk, or makes it.
    let Made::Now((view, _)) = catalog.create_disk(project(), name("n1"), spec()).await.unwrap()
    else {
        panic!("a clone takes no job");
    };
    assert_eq!(view.disk.state, DiskState::Ready);
    assert_eq!(world.store.images.lock().len(), 2);
}

#[tokio::test]
async fn after_the_stop_nothing_is_begun() {
    let world = provisioned();
    let catalog = catalog(&world);
    tokio::time::timeout(HANG, catalog.stop()).await.unwrap();
    let error = catalog.create_disk(project(), name("d2"), spec()).await.err().unwrap();
    assert_eq!(error.code(), "stopping");
    assert_eq!(world.store.images.lock().len(), 2);
}
