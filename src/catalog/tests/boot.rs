//! Which node a machine is, and that its secret is given out once.

use super::faults::{engine, image_name, import, name, project};
use super::world::{Fault, World};
use crate::catalog::{ChapSpec, DiskSpec, Engine, Name, NodeSpec};

fn macs(macs: &[&str]) -> NodeSpec {
    NodeSpec { macs: macs.iter().map(ToString::to_string).collect(), initiator: None }
}

/// An engine with node n1, whose disk demands CHAP.
fn provisioned() -> (World, Engine) {
    let world = World::new();
    let engine = engine(&world);
    import(&engine, "golden").unwrap();
    provision(&engine);
    (world, engine)
}

fn provision(engine: &Engine) {
    let chap = Some(ChapSpec::default());
    let spec = DiskSpec { chap, ..DiskSpec::new(image_name("golden")) };
    engine.provision(&project(), &name("n1"), &spec).unwrap();
}

fn take(engine: &Engine) -> bool {
    engine.take_boot_secret(&project(), &name("n1")).unwrap()
}

#[test]
fn a_machine_is_known_by_any_of_its_mac_addresses() {
    let engine = engine(&World::new());
    let one = ["52:54:00:00:00:01", "52:54:00:00:00:02"];
    engine.put_node(&project(), &name("n1"), &macs(&one)).unwrap();
    let lab = Name::project("lab").unwrap();
    engine.put_node(&lab, &name("n2"), &macs(&["52:54:00:00:00:03"])).unwrap();
    let found = |macs: &[&str]| {
        let macs: Vec<String> = macs.iter().map(ToString::to_string).collect();
        let nodes = engine.nodes_by_mac(&macs).unwrap();
        nodes.into_iter().map(|node| node.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(&one), ["n1"], "one node, by both");
    assert_eq!(found(&["52:54:00:00:00:03"]), ["n2"], "of any project");
    assert_eq!(found(&["52:54:00:00:00:02", "52:54:00:00:00:03"]), ["n1", "n2"]);
    assert!(found(&[]).is_empty() && found(&["52:54:00:00:00:09", "", "x/y"]).is_empty());
    engine.remove_node(&lab, &name("n2")).unwrap();
    assert!(found(&["52:54:00:00:00:03"]).is_empty());
}

#[test]
fn a_secret_is_given_out_once_until_it_is_rearmed() {
    let (world, first) = provisioned();
    assert!(take(&first));
    assert!(!take(&first));
    world.crash();
    let engine = engine(&world);
    assert!(!take(&engine), "after a restart neither");
    engine.rearm(&project(), &name("n1")).unwrap();
    engine.rearm(&project(), &name("n1")).unwrap();
    assert!(take(&engine));
    assert!(!take(&engine));
    engine.deprovision(&project(), &name("n1")).unwrap();
    assert!(!take(&engine), "there is none");
    provision(&engine);
    assert!(take(&engine), "another disk has another secret");
    let none = engine.take_boot_secret(&project(), &name("n9")).unwrap_err();
    assert_eq!(none.code(), "node-not-found");
}

#[test]
fn a_node_of_the_same_name_begins_anew() {
    let (world, engine) = provisioned();
    assert!(take(&engine));
    engine.deprovision(&project(), &name("n1")).unwrap();
    engine.remove_node(&project(), &name("n1")).unwrap();
    let left = |table| crate::catalog::state::State::list(world.rows.as_ref(), table, "").unwrap();
    assert!(left(crate::catalog::state::Table::BootSecrets).is_empty());
}

#[test]
fn when_nobody_knows_whether_it_was_given_out_it_was() {
    for fault in [Fault::Refused, Fault::Unsure] {
        let mut given = 0;
        let (world, engine) = provisioned();
        for step in 0.. {
            world.faults.arm(step, fault);
            let taken = engine.take_boot_secret(&project(), &name("n1"));
            let struck = world.faults.disarm();
            given += usize::from(taken.is_ok_and(|first| first));
            if !struck {
                break;
            }
        }
        given += usize::from(take(&engine));
        assert!(given <= 1, "{fault:?}");
    }
}
