//! The catalog over what it really stands on: redb and the embedded store, on a disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::faults::{ADMIN, image_name, import, name, project, start};
use super::world::{FakeExporter, World};
use crate::backend::Store;
use crate::backend::local::{self, LocalStore};
use crate::backend::pool::Pool;
use crate::catalog::engine::Report;
use crate::catalog::state::RedbState;
use crate::catalog::{DiskSpec, Engine, Export, Options, Stores};

/// A daemon's start on a directory.
fn engine(directory: &Path, pool: &Arc<Pool>, exporter: &Arc<FakeExporter>) -> Engine {
    let state = Arc::new(RedbState::open(directory).unwrap());
    let options = local::Options::default();
    let store = LocalStore::open(&directory.join("store"), options, pool).unwrap();
    let store = Arc::new(store) as Arc<dyn Store>;
    let stores: Stores = BTreeMap::from([("local".to_owned(), store)]);
    Engine::new(state, stores, exporter.clone(), Options::default()).unwrap()
}

#[test]
fn what_was_provisioned_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let pool = Pool::start(1).unwrap();
    let spec = DiskSpec::new(image_name("golden"));
    let before = Arc::clone(&World::new().exporter);
    let engine_before = engine(directory.path(), &pool, &before);
    import(&engine_before, "golden").unwrap();
    for node in ["n1", "n2"] {
        engine_before.provision(&project(), &name(node), &spec).unwrap();
    }
    let nodes = engine_before.nodes(None).unwrap();
    let seen = |exporter: &FakeExporter| {
        let targets = exporter.targets.lock();
        let seen = |export: &Export| {
            assert!(export.volume.is_some());
            (export.target.clone(), export.lun, export.identity.clone())
        };
        targets.values().map(seen).collect::<Vec<_>>()
    };
    let targets = seen(&before);
    drop(engine_before);
    before.targets.lock().clear();

    let after = Arc::clone(&World::new().exporter);
    let engine = engine(directory.path(), &pool, &after);
    assert_eq!(start(&engine), Report::default(), "there was nothing to put right");
    assert_eq!(seen(&after), targets);
    assert_eq!(engine.nodes(None).unwrap(), nodes);
    for node in ["n1", "n2"] {
        assert!(engine.provision(&project(), &name(node), &spec).unwrap().1);
        engine.deprovision(ADMIN, &project(), &name(node)).unwrap();
    }
    engine.remove_image(&project(), &image_name("golden")).unwrap();
    assert!(after.targets.lock().is_empty());
    assert_eq!(engine.stores()["local"].list().unwrap(), Vec::<String>::new());
}
