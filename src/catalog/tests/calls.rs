//! What the calls answer.

use super::faults::{ADMIN, engine, image_name, import, name, project};
use super::world::World;
use crate::backend::Store as _;
use crate::catalog::{
    Allowed, ChapSpec, Disk, DiskSpec, Engine, Error, NodeSpec, Options, Secret, UnnamedAccess,
};

fn spec() -> DiskSpec {
    DiskSpec::new(image_name("golden"))
}

/// Creates a disk; the second answer: it existed.
fn create(engine: &Engine, disk: &str, spec: &DiskSpec) -> Result<(Disk, bool), Error> {
    let created = engine.create_disk(&project(), &name(disk), spec, None)?;
    Ok((created.disk, created.existed))
}

fn ready() -> (World, Engine) {
    let world = World::new();
    let engine = engine(&world);
    import(&engine, "golden").unwrap();
    (world, engine)
}

#[test]
fn the_same_call_gives_the_same_disk() {
    let (_world, engine) = ready();
    let (first, existed) = create(&engine, "d1", &spec()).unwrap();
    assert!(!existed);
    let (second, existed) = create(&engine, "d1", &spec()).unwrap();
    assert!(existed);
    assert_eq!(first, second);
    assert_eq!(first.target, "iqn.2026-01.io.stirrup:default.d1");
}

#[test]
fn another_call_of_the_same_name_is_refused() {
    let (_world, engine) = ready();
    import(&engine, "other").unwrap();
    create(&engine, "d1", &spec()).unwrap();
    let others = [
        DiskSpec::new(image_name("other")),
        DiskSpec { lun: 0, ..spec() },
        DiskSpec { chap: Some(ChapSpec::default()), ..spec() },
        DiskSpec { networks: vec!["10.0.0.0/8".parse().unwrap()], ..spec() },
        DiskSpec { initiators: vec!["iqn.2004-10.org.example:x".to_owned()], ..spec() },
    ];
    for other in others {
        let error = create(&engine, "d1", &other).unwrap_err();
        assert_eq!(error.code(), "disk-exists");
        assert!(error.existing().is_some());
    }
}

#[test]
fn a_generated_secret_stays_the_same() {
    let (_world, engine) = ready();
    let asked = DiskSpec { chap: Some(ChapSpec::default()), ..spec() };
    let (first, _) = create(&engine, "d1", &asked).unwrap();
    let (second, existed) = create(&engine, "d1", &asked).unwrap();
    assert!(existed && first.chap == second.chap && first.chap.is_some());
    let secret = Some(Secret::new("another-secret".to_owned()));
    let other = DiskSpec { chap: Some(ChapSpec { secret, ..ChapSpec::default() }), ..spec() };
    let error = create(&engine, "d1", &other).unwrap_err();
    assert_eq!(error.code(), "disk-exists");
    assert!(!error.to_string().contains("another-secret"));
}

#[test]
fn an_image_in_use_says_by_whom() {
    let (_world, engine) = ready();
    for disk in ["d1", "d2"] {
        create(&engine, disk, &spec()).unwrap();
    }
    let error = engine.remove_image(&project(), &image_name("golden")).unwrap_err();
    assert_eq!(error.code(), "image-in-use");
    assert_eq!(error.used_by(), ["d1", "d2"]);
    for disk in ["d1", "d2"] {
        engine.remove_disk(ADMIN, &project(), &name(disk)).unwrap();
    }
    engine.remove_image(&project(), &image_name("golden")).unwrap();
}

#[test]
fn a_name_made_anew_is_another_image_in_the_store() {
    let (_world, engine) = ready();
    let (first, _) = create(&engine, "d1", &spec()).unwrap();
    engine.remove_disk(ADMIN, &project(), &name("d1")).unwrap();
    let (second, _) = create(&engine, "d1", &spec()).unwrap();
    assert_ne!(first.backing, second.backing);
    assert_ne!(first.identity, second.identity);
    assert_eq!(first.target, second.target);
}

#[test]
fn projects_have_their_own_names() {
    let (world, engine) = ready();
    let other = crate::catalog::Name::project("other").unwrap();
    let error = engine.create_disk(&other, &name("d1"), &spec(), None).unwrap_err();
    assert_eq!(error.code(), "image-not-found");
    create(&engine, "d1", &spec()).unwrap();
    assert_eq!(engine.disks(Some(&other)).unwrap(), []);
    assert_eq!(world.exporter.targets.lock().len(), 1);
}

#[test]
fn one_node_a_disk_one_disk_a_node() {
    let (_world, engine) = ready();
    for it in ["n1", "n2"] {
        engine.put_node(ADMIN, &project(), &name(it), &NodeSpec::default()).unwrap();
        create(&engine, it, &spec()).unwrap();
    }
    engine.bind(ADMIN, &project(), &name("n1"), &name("n1")).unwrap();
    assert!(engine.bind(ADMIN, &project(), &name("n1"), &name("n1")).unwrap().1);
    let bind =
        |node, disk| engine.bind(ADMIN, &project(), &name(node), &name(disk)).unwrap_err().code();
    assert_eq!(bind("n2", "n1"), "disk-bound");
    assert_eq!(bind("n1", "n2"), "node-bound");
    let remove = engine.remove_disk(ADMIN, &project(), &name("n1")).unwrap_err();
    assert_eq!(remove.code(), "disk-bound");
    let remove = engine.remove_node(&project(), &name("n1")).unwrap_err();
    assert_eq!(remove.code(), "node-bound");
    let provision = engine.provision(&project(), &name("n1"), &spec()).unwrap();
    assert!(provision.1, "the disk is there and bound");
}

#[test]
fn a_disk_of_the_node_s_name_is_bound_by_provision() {
    let (_world, engine) = ready();
    create(&engine, "n1", &spec()).unwrap();
    let (node, existed) = engine.provision(&project(), &name("n1"), &spec()).unwrap();
    assert!(!existed && node.disk == Some(name("n1")));
}

#[test]
fn a_mac_belongs_to_one_node() {
    let (_world, engine) = ready();
    let with = |macs: &[&str]| NodeSpec {
        macs: macs.iter().map(ToString::to_string).collect(),
        initiator: None,
    };
    let mac = "52:54:00:00:00:01";
    engine.put_node(ADMIN, &project(), &name("n1"), &with(&[mac])).unwrap();
    let taken = engine.put_node(ADMIN, &project(), &name("n2"), &with(&[mac])).unwrap_err();
    assert_eq!(taken.code(), "mac-taken");
    engine.put_node(ADMIN, &project(), &name("n1"), &with(&[])).unwrap();
    engine.put_node(ADMIN, &project(), &name("n2"), &with(&[mac])).unwrap();
    engine.remove_node(&project(), &name("n2")).unwrap();
    engine.put_node(ADMIN, &project(), &name("n1"), &with(&[mac])).unwrap();
}

#[test]
fn access_follows_the_binding() {
    let (world, engine) = ready();
    let initiator = "iqn.2004-10.org.example:n1".to_owned();
    let node = NodeSpec { macs: Vec::new(), initiator: Some(initiator.clone()) };
    engine.put_node(ADMIN, &project(), &name("n1"), &node).unwrap();
    let (disk, _) = create(&engine, "d1", &spec()).unwrap();
    let allowed = || world.exporter.targets.lock()[&disk.target].allowed.clone();
    // Who was let in when the sessions ended: had it been anyone else, they would be back.
    let ended = || std::mem::take(&mut *world.exporter.disconnected.lock());
    let sessions_ended = |allowed: &Allowed| vec![(disk.target.clone(), allowed.clone())];
    assert_eq!((allowed(), ended()), (Allowed::Anyone, vec![]));
    let n1 = Allowed::Initiators(vec![initiator.clone()]);
    engine.bind(ADMIN, &project(), &name("n1"), &name("d1")).unwrap();
    assert_eq!((allowed(), ended()), (n1.clone(), sessions_ended(&n1)), "whoever was there goes");
    engine.bind(ADMIN, &project(), &name("n1"), &name("d1")).unwrap();
    assert_eq!((allowed(), ended()), (n1, vec![]), "the same call again disturbs no one");

    let renamed = Allowed::Initiators(vec!["iqn.2004-10.org.example:other".to_owned()]);
    let other = Some("iqn.2004-10.org.example:other".to_owned());
    let other = NodeSpec { initiator: other, macs: Vec::new() };
    engine.put_node(ADMIN, &project(), &name("n1"), &other).unwrap();
    assert_eq!((allowed(), ended()), (renamed.clone(), sessions_ended(&renamed)));
    let with_mac = NodeSpec { macs: vec!["52:54:00:00:00:01".to_owned()], ..other };
    engine.put_node(ADMIN, &project(), &name("n1"), &with_mac).unwrap();
    assert_eq!((allowed(), ended()), (renamed, vec![]), "a MAC address admits no one");

    engine.unbind(ADMIN, &project(), &name("n1")).unwrap();
    let nobody = sessions_ended(&Allowed::Nobody);
    assert_eq!((allowed(), ended()), (Allowed::Nobody, nobody), "n1 must not come back");
    engine.put_node(ADMIN, &project(), &name("n2"), &NodeSpec::default()).unwrap();
    engine.bind(ADMIN, &project(), &name("n2"), &name("d1")).unwrap();
    assert_eq!((allowed(), ended()), (Allowed::Anyone, sessions_ended(&Allowed::Anyone)));
}

#[test]
fn an_unbound_disk_stays_closed_over_a_restart() {
    let (world, engine) = ready();
    engine.provision(&project(), &name("n1"), &spec()).unwrap();
    engine.unbind(ADMIN, &project(), &name("n1")).unwrap();
    drop(engine);
    world.crash();
    let engine = super::faults::engine(&world);
    super::faults::start(&engine);
    let disk = engine.disk(&project(), &name("n1")).unwrap();
    assert_eq!(world.exporter.targets.lock()[&disk.target].allowed, Allowed::Nobody);
}

#[test]
fn a_disk_that_is_being_removed_is_not_published_again() {
    let (world, engine) = ready();
    engine.provision(&project(), &name("n1"), &spec()).unwrap();
    // The store refuses to remove it: somebody made a clone of it.
    let disk = engine.disk(&project(), &name("n1")).unwrap();
    world.store.snapshot(&disk.backing, "kept").unwrap();
    world.store.clone_image(&disk.backing, "kept", "child").unwrap();
    let error = engine.deprovision(ADMIN, &project(), &name("n1")).unwrap_err();
    assert_eq!(error.code(), "store-image-has-children");
    let gone = || world.exporter.targets.lock().is_empty();
    assert!(gone());

    let same = NodeSpec::default();
    engine.put_node(ADMIN, &project(), &name("n1"), &same).unwrap();
    assert!(gone());
    let initiator = Some("iqn.2004-10.org.example:n1".to_owned());
    let other = NodeSpec { macs: Vec::new(), initiator };
    engine.put_node(ADMIN, &project(), &name("n1"), &other).unwrap();
    assert!(gone());
    engine.bind(ADMIN, &project(), &name("n1"), &name("n1")).unwrap_err();
    let (node, _) = engine.unbind(ADMIN, &project(), &name("n1")).unwrap();
    assert!(gone() && node.disk.is_none());

    world.store.images.lock().remove("child");
    engine.remove_disk(ADMIN, &project(), &name("n1")).unwrap();
    assert!(engine.disks(None).unwrap().is_empty());
}

#[test]
fn closed_means_no_one() {
    let world = World::new();
    let options = Options { unnamed_access: UnnamedAccess::Closed, ..Options::default() };
    let exporter = world.exporter.clone();
    let engine = Engine::new(world.state(), world.stores(), exporter, options).unwrap();
    import(&engine, "golden").unwrap();
    let (disk, _) = create(&engine, "d1", &spec()).unwrap();
    assert_eq!(world.exporter.targets.lock()[&disk.target].allowed, Allowed::Nobody);
}

#[test]
fn a_restart_changes_nothing_that_an_initiator_sees() {
    let (world, engine) = ready();
    engine.provision(&project(), &name("n1"), &spec()).unwrap();
    let seen = |world: &World| {
        let targets = world.exporter.targets.lock();
        let seen = |e: &crate::catalog::Export| (e.target.clone(), e.lun, e.identity.clone());
        targets.values().map(seen).collect::<Vec<_>>()
    };
    let before = seen(&world);
    drop(engine);
    world.crash();
    let engine = super::faults::engine(&world);
    engine.publish_all().unwrap();
    assert_eq!(seen(&world), before, "before any store was asked");
    assert!(world.exporter.targets.lock().values().all(|export| export.volume.is_none()));
    super::faults::start(&engine);
    assert_eq!(seen(&world), before);
    assert!(world.exporter.targets.lock().values().all(|export| export.volume.is_some()));
}

#[test]
fn a_disk_grows_and_does_not_shrink() {
    let (world, engine) = ready();
    let (disk, _) = create(&engine, "d1", &spec()).unwrap();
    let resize = |bytes| engine.resize_disk(&project(), &name("d1"), bytes);
    let size = disk.size_bytes;
    let (grown, existed) = resize(size + 4096).unwrap();
    assert_eq!((grown.size_bytes, existed), (size + 4096, false));
    assert_eq!(world.store.images.lock()[&disk.backing].size_bytes, size + 4096);
    assert!(resize(size + 4096).unwrap().1);
    assert_eq!(resize(size).unwrap_err().code(), "disk-cannot-shrink");
    assert_eq!(resize(size + 4097).unwrap_err().code(), "invalid-size");
    assert_eq!(engine.disk(&project(), &name("d1")).unwrap().size_bytes, size + 4096);
    let error = engine.resize_disk(&project(), &name("none"), size).unwrap_err();
    assert_eq!(error.code(), "disk-not-found");
}
