//! Changes of disks that are there: settings, migration, credentials of nodes.

use std::sync::atomic::Ordering;

use super::faults::{
    ADMIN, Case, engine, golden, name, node, project, spec, with_bound_node, with_disk,
    with_named_node,
};
use super::world::World;
use crate::catalog::{
    Allowed, ChapSpec, Delivery, Disk, DiskChange, DiskSpec, Engine, Error, ExportState, Exposure,
    Migration, Node, NodeSpec, Options, ProjectSettings, Qos, Rates, Role,
};

fn disk(engine: &Engine) -> Disk {
    engine.disk(&project(), &name("d1")).unwrap()
}

fn change(engine: &Engine, change: &DiskChange) -> Result<(Disk, bool), Error> {
    engine.change_disk(ADMIN, &project(), &name("d1"), change)
}

fn expose(exposure: Exposure) -> DiskChange {
    DiskChange { exposure: Some(exposure), ..DiskChange::default() }
}

fn qos(operations: u64) -> Qos {
    let total = Rates { operations: Some(operations), bytes: None };
    Qos { total, ..Qos::default() }
}

fn limited(operations: u64) -> DiskChange {
    DiskChange { qos: Some(qos(operations)), ..DiskChange::default() }
}

/// Everything about who may log in, at once.
fn rules() -> DiskChange {
    DiskChange {
        initiators: Some(vec!["iqn.2004-10.org.example:x".to_owned()]),
        networks: Some(vec!["10.0.0.0/8".parse().unwrap()]),
        chap: Some(Some(ChapSpec { mutual: true, ..ChapSpec::default() })),
        portal_groups: Some(vec![1]),
        read_only: Some(true),
        ..DiskChange::default()
    }
}

fn per_node(delivery: Delivery) -> ChapSpec {
    ChapSpec { per_node: Some(delivery), ..ChapSpec::default() }
}

fn with_second_node(engine: &Engine) {
    with_bound_node(engine);
    let initiator = Some("iqn.2004-10.org.example:n2".to_owned());
    let spec = NodeSpec { macs: vec!["52:54:00:00:00:02".into()], initiator };
    engine.put_node(ADMIN, &project(), &name("n2"), &spec).unwrap();
}

fn with_node_secret(engine: &Engine) {
    golden(engine);
    let spec = DiskSpec { chap: Some(per_node(Delivery::Once)), ..spec() };
    engine.create_disk(&project(), &name("d1"), &spec, None).unwrap();
    let node = NodeSpec::default();
    engine.put_node(ADMIN, &project(), &name("n1"), &node).unwrap();
    engine.bind(ADMIN, &project(), &name("n1"), &name("d1")).unwrap();
}

fn with_delivered_secret(engine: &Engine) {
    with_node_secret(engine);
    engine.hand_out_chap(ADMIN, &project(), &name("n1")).unwrap();
}

fn is_delivered(engine: &Engine) -> bool {
    disk(engine).chap_per_node.unwrap().delivered.is_some()
}

fn migrate(
    engine: &Engine,
    disk: &str,
    to: &str,
    from: Option<&str>,
) -> Result<(Node, bool), Error> {
    let migration = Migration { to: name(to), from: from.map(name), force: false };
    engine.migrate(ADMIN, &project(), &name(disk), &migration)
}

pub(super) fn cases() -> Vec<Case> {
    let case = |name, setup, call, done| Case { name, setup, call, done, repeat_code: None };
    vec![
        case(
            "change of rules",
            with_bound_node,
            |engine| change(engine, &rules()).map(drop),
            |engine| {
                let disk = disk(engine);
                disk.read_only && disk.chap.is_some() && disk.initiators.len() == 1
            },
        ),
        case(
            "create a larger disk",
            golden,
            |engine| {
                let spec = DiskSpec { size_bytes: Some(1 << 20), ..spec() };
                engine.create_disk(&project(), &name("d1"), &spec, None).map(drop)
            },
            |engine| disk(engine).size_bytes == 1 << 20,
        ),
        case(
            "change of limits",
            with_disk,
            |engine| change(engine, &limited(100)).map(drop),
            |engine| disk(engine).qos == qos(100),
        ),
        case(
            "unexpose",
            with_bound_node,
            |engine| change(engine, &expose(Exposure::Unexposed)).map(drop),
            |engine| disk(engine).exposure == Exposure::Unexposed,
        ),
        case(
            "expose",
            |engine| {
                with_bound_node(engine);
                change(engine, &expose(Exposure::Unexposed)).unwrap();
            },
            |engine| change(engine, &expose(Exposure::Enabled)).map(drop),
            |engine| disk(engine).exposure == Exposure::Enabled,
        ),
        case(
            "disable",
            with_disk,
            |engine| change(engine, &expose(Exposure::Disabled)).map(drop),
            |engine| disk(engine).exposure == Exposure::Disabled,
        ),
        case(
            "enable",
            |engine| {
                with_disk(engine);
                change(engine, &expose(Exposure::Disabled)).unwrap();
            },
            |engine| change(engine, &expose(Exposure::Enabled)).map(drop),
            |engine| disk(engine).exposure == Exposure::Enabled,
        ),
        case(
            "remove what has no target",
            |engine| {
                with_disk(engine);
                change(engine, &expose(Exposure::Unexposed)).unwrap();
                engine.create_disk(&project(), &name("d2"), &spec(), None).unwrap();
            },
            |engine| match engine.remove_disk(ADMIN, &project(), &name("d1")) {
                Err(error) if error.code() == "disk-not-found" => Ok(()),
                other => other,
            },
            |engine| engine.disks(None).unwrap().len() == 1,
        ),
        case(
            "migrate",
            with_second_node,
            |engine| migrate(engine, "d1", "n2", None).map(drop),
            |engine| node(engine).disk.is_none() && disk(engine).node == Some(name("n2")),
        ),
        Case {
            repeat_code: Some("secret-delivered"),
            ..case(
                "hand out",
                with_node_secret,
                |engine| engine.hand_out_chap(ADMIN, &project(), &name("n1")).map(drop),
                is_delivered,
            )
        },
        case(
            "rearm",
            with_delivered_secret,
            |engine| engine.rearm(ADMIN, &project(), &name("n1"), true).map(drop),
            |engine| !is_delivered(engine),
        ),
    ]
}

#[test]
fn what_is_not_named_stays_as_it_is() {
    let world = World::new();
    let engine = engine(&world);
    with_disk(&engine);
    let before = disk(&engine);
    let (same, existed) = change(&engine, &DiskChange::default()).unwrap();
    assert!(existed && same == before);
    let (changed, existed) = change(&engine, &rules()).unwrap();
    assert!(!existed && changed.chap.as_ref().is_some_and(|chap| chap.mutual.is_some()));
    let (again, existed) = change(&engine, &rules()).unwrap();
    assert!(existed, "the same call again, secrets and all");
    assert_eq!(again, changed);
    let renew = ChapSpec { mutual: true, renew: true, ..ChapSpec::default() };
    let renew = DiskChange { chap: Some(Some(renew)), ..DiskChange::default() };
    assert_ne!(change(&engine, &renew).unwrap().0.chap, changed.chap);
    let back = DiskChange {
        initiators: Some(Vec::new()),
        networks: Some(Vec::new()),
        chap: Some(None),
        portal_groups: Some(Vec::new()),
        read_only: Some(false),
        ..DiskChange::default()
    };
    assert_eq!(change(&engine, &back).unwrap().0, before);
    for bad in [
        DiskChange { initiators: Some(vec!["a b".into()]), ..DiskChange::default() },
        DiskChange { portal_groups: Some(vec![1; 65]), ..DiskChange::default() },
        limited(1),
    ] {
        change(&engine, &bad).unwrap_err();
        assert_eq!(disk(&engine), before);
    }
}

#[test]
fn limits_end_no_session_and_rules_end_all() {
    let world = World::new();
    let engine = engine(&world);
    with_disk(&engine);
    change(&engine, &limited(100)).unwrap();
    assert!(world.exporter.disconnected.lock().is_empty());
    let limits = || world.exporter.targets.lock()[&disk(&engine).target].limits;
    assert_eq!(limits(), qos(100).into());
    assert!(change(&engine, &limited(100)).unwrap().1);
    change(&engine, &rules()).unwrap();
    let ended = world.exporter.disconnected.lock().clone();
    let listed = Allowed::Initiators(vec!["iqn.2004-10.org.example:x".to_owned()]);
    assert_eq!(ended, [(disk(&engine).target, listed)]);
    assert_eq!(limits(), qos(100).into(), "and stay when something else changes");
}

#[test]
fn limits_last_and_are_part_of_what_a_disk_is_made_of() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let asked = DiskSpec { qos: Some(qos(50)), read_only: Some(true), ..spec() };
    let create = |spec: &DiskSpec| engine.create_disk(&project(), &name("d1"), spec, None);
    let made = create(&asked).unwrap().disk;
    assert_eq!((made.qos, made.read_only), (qos(50), true));
    assert!(create(&asked).unwrap().existed && create(&spec()).unwrap().existed);
    let other = DiskSpec { qos: Some(qos(60)), ..spec() };
    assert_eq!(create(&other).unwrap_err().code(), "disk-exists");
    drop(engine);
    world.crash();
    let engine = self::engine(&world);
    super::faults::start(&engine);
    assert_eq!(world.exporter.targets.lock()[&made.target].limits, qos(50).into());
    assert!(world.exporter.targets.lock()[&made.target].read_only);
}

#[test]
fn a_disk_that_is_not_served_is_not_open_and_not_missed() {
    let world = World::new();
    let engine = engine(&world);
    with_disk(&engine);
    for (exposure, state) in
        [(Exposure::Disabled, ExportState::Disabled), (Exposure::Unexposed, ExportState::Withdrawn)]
    {
        let (changed, _) = change(&engine, &expose(exposure)).unwrap();
        assert_eq!(engine.serving(&changed).state, state);
        assert_eq!(engine.served(), (0, 0));
        assert!(world.store.opened.lock().upgrade().is_none(), "others may have the image");
        engine.serve(&project(), &name("d1")).unwrap();
        assert!(world.store.opened.lock().upgrade().is_none());
        let (changed, _) = change(&engine, &expose(Exposure::Enabled)).unwrap();
        assert_eq!(engine.serving(&changed).state, ExportState::Serving);
    }
    // Nor does it come back by a start.
    change(&engine, &expose(Exposure::Unexposed)).unwrap();
    drop(engine);
    world.crash();
    let engine = self::engine(&world);
    super::faults::start(&engine);
    assert!(world.exporter.targets.lock().is_empty());
    // Somebody else has the image: then it stays as it was.
    let enable = || change(&engine, &expose(Exposure::Enabled));
    world.store.ill.store(true, Ordering::SeqCst);
    enable().unwrap_err();
    assert_eq!(disk(&engine).exposure, Exposure::Unexposed);
    assert!(world.exporter.targets.lock().is_empty());
    world.store.ill.store(false, Ordering::SeqCst);
    enable().unwrap();
}

#[test]
fn who_had_the_disk_is_out_before_the_next_one_is_in() {
    let world = World::new();
    let engine = engine(&world);
    with_second_node(&engine);
    world.exporter.disconnected.lock().clear();
    let migrate = |from: Option<&str>| migrate(&engine, "d1", "n2", from);
    assert_eq!(migrate(Some("n3")).unwrap_err().code(), "disk-bound");
    let (n2, existed) = migrate(Some("n1")).unwrap();
    assert!(!existed && n2.disk == Some(name("d1")) && node(&engine).disk.is_none());
    let new = Allowed::Initiators(vec!["iqn.2004-10.org.example:n2".to_owned()]);
    let ended = world.exporter.disconnected.lock().clone();
    assert_eq!(ended, [(disk(&engine).target, new.clone())], "by the rules of the new one");
    assert_eq!(world.exporter.open_when_disconnected.load(Ordering::SeqCst), 0, "and paused");
    let export = world.exporter.targets.lock()[&disk(&engine).target].clone();
    assert!(export.allowed == new && !export.paused && export.volume.is_some());
    assert!(migrate(Some("n1")).unwrap().1, "the same call again");
    assert_eq!(world.exporter.disconnected.lock().len(), 1, "ends nothing");
    // A node that has a disk gets no other, and one that is free may be bound so, too.
    engine.create_disk(&project(), &name("d2"), &spec(), None).unwrap();
    let to = |node| self::migrate(&engine, "d2", node, None);
    assert_eq!(to("n2").unwrap_err().code(), "node-bound");
    assert_eq!(to("n3").unwrap_err().code(), "node-not-found");
    to("n1").unwrap();
    assert_eq!(node(&engine).disk, Some(name("d2")));
}

#[test]
fn a_node_is_found_by_its_mac() {
    let world = World::new();
    let engine = engine(&world);
    with_named_node(&engine);
    let find = |mac: &str| engine.node_by_mac(mac).unwrap().map(|node| node.name);
    for mac in ["52:54:00:00:00:01", "52-54-00-00-00-01"] {
        assert_eq!(find(mac), Some(name("n1")));
    }
    assert_eq!(find("52:54:00:00:00:02"), None);
    assert_eq!(engine.node_by_mac("1").unwrap_err().code(), "invalid-mac");
}

#[test]
fn a_node_s_own_secret_is_handed_out_once() {
    let world = World::new();
    let engine = engine(&world);
    with_node_secret(&engine);
    let hand_out = || engine.hand_out_chap(ADMIN, &project(), &name("n1"));
    let first = hand_out().unwrap().1.unwrap().chap.unwrap();
    assert_eq!(first.user, "n1");
    assert_eq!(hand_out().unwrap_err().code(), "secret-delivered");
    engine.rearm(ADMIN, &project(), &name("n1"), false).unwrap();
    assert!(engine.rearm(ADMIN, &project(), &name("n1"), false).unwrap().1);
    assert_eq!(hand_out().unwrap().1.unwrap().chap.unwrap(), first);
    world.exporter.disconnected.lock().clear();
    engine.rearm(ADMIN, &project(), &name("n1"), true).unwrap();
    assert_eq!(world.exporter.disconnected.lock().len(), 1, "the old one is worth nothing");
    let second = hand_out().unwrap().1.unwrap().chap.unwrap();
    assert_ne!(second, first);
    // Free of it there is no secret, and nobody gets in.
    engine.unbind(ADMIN, &project(), &name("n1")).unwrap();
    assert_eq!(disk(&engine).chap, None);
    assert_eq!(engine.allowed(&disk(&engine), None), Allowed::Nobody);
    // The next node has another one, and it was not handed out.
    engine.put_node(ADMIN, &project(), &name("n2"), &NodeSpec::default()).unwrap();
    engine.bind(ADMIN, &project(), &name("n2"), &name("d1")).unwrap();
    let third = disk(&engine).chap.unwrap();
    assert!(third.secret != second.secret && third.user == "n2" && !is_delivered(&engine));
    assert_eq!(
        engine.rearm(ADMIN, &project(), &name("n1"), false).unwrap_err().code(),
        "no-node-secret"
    );
    // As often as it is asked for, if that is wanted.
    let always = DiskChange { chap: Some(Some(per_node(Delivery::Always))), ..Default::default() };
    change(&engine, &always).unwrap();
    for _ in 0..3 {
        engine.hand_out_chap(ADMIN, &project(), &name("n2")).unwrap();
    }
}

#[test]
fn a_disk_that_waits_for_a_node_s_secret_is_closed() {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let spec = DiskSpec { chap: Some(per_node(Delivery::Once)), ..spec() };
    let made = engine.create_disk(&project(), &name("d1"), &spec, None).unwrap().disk;
    assert_eq!(world.exporter.targets.lock()[&made.target].allowed, Allowed::Nobody);
    assert!(engine.create_disk(&project(), &name("d1"), &spec, None).unwrap().existed);
    let given = ChapSpec { user: Some("x".into()), ..per_node(Delivery::Once) };
    let given = DiskSpec { chap: Some(given), ..spec };
    let error = engine.create_disk(&project(), &name("d2"), &given, None).unwrap_err();
    assert_eq!(error.code(), "invalid-chap");
    // Provisioned in one step, there is one.
    let (node, _) = engine
        .provision(
            &project(),
            &name("n9"),
            &DiskSpec { chap: Some(per_node(Delivery::Once)), ..self::spec() },
        )
        .unwrap();
    let disk = engine.disk_of(&node).unwrap().unwrap();
    assert_eq!(disk.chap.unwrap().user, "n9");
}

#[test]
fn a_call_takes_the_same_steps_however_many_disks_there_are() {
    let steps = |others: usize| {
        let world = World::new();
        let state = std::sync::Arc::new(super::world::Counting::new(world.state()));
        let engine =
            Engine::new(state.clone(), world.stores(), world.exporter.clone(), Options::default());
        let engine = engine.unwrap();
        golden(&engine);
        let quota = crate::catalog::Quota { disks: Some(1 << 20), ..Default::default() };
        let settings = ProjectSettings { quota, ..ProjectSettings::default() };
        engine.put_project(&project(), settings).unwrap();
        for i in 0..others {
            engine.provision(&project(), &name(&format!("other{i}")), &spec()).unwrap();
        }
        with_nodes(&engine);
        type Call = (&'static str, fn(&Engine));
        let calls: [Call; 9] = [
            ("create", |engine| {
                engine.create_disk(&project(), &name("d1"), &spec(), None).unwrap();
            }),
            ("bind", |engine| {
                drop(engine.bind(ADMIN, &project(), &name("n1"), &name("d1")).unwrap());
            }),
            ("change", |engine| drop(change(engine, &rules()).unwrap())),
            ("limit", |engine| drop(change(engine, &limited(100)).unwrap())),
            ("migrate", |engine| {
                let migration = Migration { to: name("n2"), from: None, force: true };
                engine.migrate(ADMIN, &project(), &name("d1"), &migration).unwrap();
            }),
            ("by MAC", |engine| {
                assert!(engine.node_by_mac("52:54:00:00:00:01").unwrap().is_some());
            }),
            ("deprovision", |engine| {
                drop(engine.deprovision(ADMIN, &project(), &name("n2")).unwrap());
            }),
            ("provision", |engine| {
                drop(engine.provision(&project(), &name("n1"), &spec()).unwrap());
            }),
            ("unbind", |engine| drop(engine.unbind(ADMIN, &project(), &name("n1")).unwrap())),
        ];
        calls.map(|(call, run)| {
            let rows = state.rows();
            let ((), steps) = world.faults.count(|| run(&engine));
            (call, steps, state.rows() - rows)
        })
    };
    let few = steps(10);
    assert_eq!(steps(1000), few);
    for (call, steps, rows) in few {
        assert!((1..40).contains(&steps) && rows < 40, "{call}: {steps} steps, {rows} rows");
    }
}

fn with_nodes(engine: &Engine) {
    for (node, mac) in [("n1", "52:54:00:00:00:01"), ("n2", "52:54:00:00:00:02")] {
        let spec = NodeSpec { macs: vec![mac.into()], initiator: None };
        engine.put_node(ADMIN, &project(), &name(node), &spec).unwrap();
    }
}

fn iqn(node: &str) -> String {
    format!("iqn.2004-10.org.example:{node}")
}

/// A disk of these initiators and CHAP goes from a node to another, each with its initiator name.
fn moved(
    initiators: &[&str],
    chap: Option<ChapSpec>,
    nodes: [Option<&str>; 2],
    force: bool,
) -> Result<bool, &'static str> {
    let world = World::new();
    let engine = engine(&world);
    golden(&engine);
    let initiators = initiators.iter().map(ToString::to_string).collect();
    let spec = DiskSpec { initiators, chap, ..spec() };
    engine.create_disk(&project(), &name("d1"), &spec, None).unwrap();
    for (node, initiator) in ["n1", "n2"].into_iter().zip(nodes) {
        let spec = NodeSpec { macs: Vec::new(), initiator: initiator.map(iqn) };
        engine.put_node(ADMIN, &project(), &name(node), &spec).unwrap();
    }
    engine.bind(ADMIN, &project(), &name("n1"), &name("d1")).unwrap();
    let before = (disk(&engine), node(&engine));
    let export = world.exporter.targets.lock()[&before.0.target].allowed.clone();
    world.exporter.disconnected.lock().clear();
    let migration = Migration { to: name("n2"), from: None, force };
    match engine.migrate(ADMIN, &project(), &name("d1"), &migration) {
        Ok(_) => {
            assert!(engine.migrate(ADMIN, &project(), &name("d1"), &migration).unwrap().1);
            let allowed = world.exporter.targets.lock()[&before.0.target].allowed.clone();
            Ok(nodes[0].is_some_and(|old| allowed.admits(&iqn(old))))
        }
        Err(error) => {
            assert_eq!((disk(&engine), node(&engine)), before, "nothing has changed");
            assert_eq!(world.exporter.targets.lock()[&before.0.target].allowed, export);
            assert!(world.exporter.disconnected.lock().is_empty(), "and nobody is thrown out");
            assert!(error.to_string().contains("force"), "{error}");
            Err(error.code())
        }
    }
}

#[test]
fn who_had_the_disk_does_not_come_back() {
    let refused = Err("owner-not-shut-out");
    let own = || Some(ChapSpec::default());
    let (n1, n2) = (Some("n1"), Some("n2"));
    for (nodes, rules, outcome) in [
        ([n1, n2], &[][..], Ok(false)),
        // Whatever it was called, it is not called that.
        ([None, n2], &[], Ok(false)),
        ([n1, n2], &["iqn.2004-10.org.example:x"], Ok(false)),
        ([None, None], &[], refused),
        ([n1, None], &[], refused),
        ([n1, n1], &[], refused),
        ([n1, Some("N1")], &[], refused),
        ([n1, n2], &["iqn.2004-10.org.example:N1"], refused),
        ([n1, n2], &["iqn.2004-10.org.example:*"], refused),
        ([None, n2], &["iqn.2004-10.org.example:x"], refused),
    ] {
        assert_eq!(moved(rules, None, nodes, false), outcome, "{nodes:?} {rules:?}");
        assert_eq!(moved(rules, own(), nodes, false), outcome, "{nodes:?}: a secret both know");
        moved(rules, None, nodes, true).unwrap();
        let each = Some(per_node(Delivery::Once));
        moved(rules, each, nodes, false).unwrap();
    }
}

#[test]
fn a_disk_that_is_free_goes_to_any_node() {
    let world = World::new();
    let engine = engine(&world);
    with_disk(&engine);
    engine.put_node(ADMIN, &project(), &name("n1"), &NodeSpec::default()).unwrap();
    migrate(&engine, "d1", "n1", None).unwrap();
    assert_eq!(node(&engine).disk, Some(name("d1")));
}

/// What says who uses a disk, or gives away what it is used with, and what of it may be.
type Saying = (&'static str, fn(&Engine, Role) -> Result<(), Error>);

const SAYING: [Saying; 13] = [
    ("bind", |engine, by| engine.bind(by, &project(), &name("n2"), &name("d1")).map(drop)),
    ("put node", |engine, by| {
        let spec = NodeSpec { macs: Vec::new(), initiator: Some(iqn("evil")) };
        engine.put_node(by, &project(), &name("n1"), &spec).map(drop)
    }),
    ("put MAC", |engine, by| {
        let spec = NodeSpec { macs: vec!["52:54:00:00:00:09".into()], initiator: Some(iqn("n1")) };
        engine.put_node(by, &project(), &name("n1"), &spec).map(drop)
    }),
    ("hand out", |engine, by| engine.hand_out_chap(by, &project(), &name("n1")).map(drop)),
    ("rearm", |engine, by| engine.rearm(by, &project(), &name("n1"), true).map(drop)),
    ("migrate", |engine, by| {
        let migration = Migration { to: name("n2"), from: None, force: true };
        engine.migrate(by, &project(), &name("d1"), &migration).map(drop)
    }),
    ("redirect", |engine, by| {
        let moved = crate::catalog::Moved::to("192.0.2.1", false)?;
        engine.move_disk(by, &project(), &name("d1"), Some(moved)).map(drop)
    }),
    ("rules", |engine, by| engine.change_disk(by, &project(), &name("d1"), &rules()).map(drop)),
    ("limits", |engine, by| {
        engine.change_disk(by, &project(), &name("d1"), &limited(100)).map(drop)
    }),
    ("no change", |engine, by| {
        engine.change_disk(by, &project(), &name("d1"), &DiskChange::default()).map(drop)
    }),
    ("unbind", |engine, by| engine.unbind(by, &project(), &name("n1")).map(drop)),
    ("deprovision", |engine, by| engine.deprovision(by, &project(), &name("n1")).map(drop)),
    ("remove", |engine, by| engine.remove_disk(by, &project(), &name("d1"))),
];

/// A disk with a secret for each node, bound to n1, and a node n2 without one.
fn with_editor(engine: &Engine, edit: bool) {
    golden(engine);
    let chap = Some(per_node(Delivery::Always));
    let spec = DiskSpec { edit, chap, ..spec() };
    engine.create_disk(&project(), &name("d1"), &spec, None).unwrap();
    for node in ["n1", "n2"] {
        let spec = NodeSpec { macs: Vec::new(), initiator: Some(iqn(node)) };
        engine.put_node(ADMIN, &project(), &name(node), &spec).unwrap();
    }
    engine.bind(ADMIN, &project(), &name("n1"), &name("d1")).unwrap();
}

#[test]
fn who_edits_an_image_is_for_those_to_say_who_may_change_images() {
    for (what, say) in SAYING {
        let code = |edit, by| {
            let world = World::new();
            let engine = engine(&world);
            with_editor(&engine, edit);
            let node = || engine.node(&project(), &name("n1")).unwrap();
            let before = (engine.disk(&project(), &name("d1")).unwrap(), node());
            let code = say(&engine, by).err().map(|error| error.code());
            if code == Some("forbidden") {
                assert_eq!((disk(&engine), node()), before, "{what}");
            }
            code
        };
        assert_eq!(code(true, Role::Operator), Some("forbidden"), "{what}");
        let refused = code(true, Role::Admin);
        assert_ne!(refused, Some("forbidden"), "{what}");
        assert_eq!(code(false, Role::Operator), refused, "{what}: of a clone it is the operator's");
    }
}
