//! On a real cluster: the one of `$CEPH_CONF`, or with `STIRRUP_TEST_CEPH=1` one that
//! `scripts/lab/ceph` starts for this process. Without either, each test says that it is skipped.

mod ancestors;
mod cached;
mod clients;
mod edges;
mod elsewhere;
mod encryption;
mod errors;
mod first_write;
mod images;
mod model;
mod outage;
mod owner;
mod parents;
mod partition;
mod prefetch;

use std::io::Write as _;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::backend::conformance::{self, Disk, pattern};
use crate::block::{Buffer, CompletionQueue, ErrorKind, Op, Request, SavedState};

const SIZE: u64 = 64 << 20;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lab/ceph");

/// Starts a cluster that is destroyed when this process ends; the path of its ceph.conf.
///
/// A dead client's watch stays for ten minutes: whoever waits for it to lapse is found out.
fn start_cluster() -> PathBuf {
    start_cluster_with(&[])
}

fn start_cluster_with(more: &[&str]) -> PathBuf {
    let output = Command::new(SCRIPT)
        .args(["up", "--owner", &std::process::id().to_string()])
        .args(["--set", "osd client watch timeout = 600"])
        .args(more)
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{SCRIPT} failed");
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}

/// The ceph.conf of the cluster to test with, or a line that says that `test` is skipped.
fn cluster(test: &str) -> Option<&'static Path> {
    static CONF: OnceLock<Option<PathBuf>> = OnceLock::new();
    let start = || match std::env::var_os("CEPH_CONF") {
        Some(conf) => Some(conf.into()),
        None if std::env::var_os("STIRRUP_TEST_CEPH").is_some() => Some(start_cluster()),
        None => None,
    };
    let conf = CONF.get_or_init(start).as_deref();
    if conf.is_none() {
        // Not `eprintln!`: that is shown of failed tests only.
        let _written = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: no Ceph cluster (set STIRRUP_TEST_CEPH=1 to start one)"
        );
    }
    conf
}

fn options(conf: &Path) -> Options {
    Options { conf: Some(conf.into()), ..Options::new("rbd") }
}

fn open_store(conf: &Path) -> RbdStore {
    RbdStore::open(options(conf)).unwrap()
}

/// A name nobody else uses.
fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn image(store: &RbdStore, what: &str) -> String {
    let name = unique(what);
    store.create(&name, SIZE).unwrap();
    name
}

fn open(store: &RbdStore, image: &str) -> Disk {
    Disk::new(store.open(image, None, OpenMode::ReadWrite).unwrap())
}

fn kind_of<T>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.err().expect("an error").kind()
}

/// One of Ceph's own commands, as another client.
fn run(conf: &Path, command: &[&str]) -> String {
    let output = Command::new(command[0])
        .arg("-c")
        .arg(conf)
        .args(&command[1..])
        .env_remove("CEPH_CONF")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn it_does_what_every_store_does() {
    let Some(conf) = cluster("it_does_what_every_store_does") else { return };
    conformance::run(&open_store(conf));
}

#[test]
fn in_a_namespace_it_does_the_same() {
    let Some(conf) = cluster("in_a_namespace_it_does_the_same") else { return };
    let namespace = unique("every");
    run(conf, &["rbd", "namespace", "create", &format!("rbd/{namespace}")]);
    conformance::run(&RbdStore::open(Options { namespace, ..options(conf) }).unwrap());
}

#[test]
fn compare_and_write_takes_one_sector() {
    let Some(conf) = cluster("compare_and_write_takes_one_sector") else { return };
    let store = open_store(conf);
    let name = image(&store, "caw");
    let disk = open(&store, &name);
    let buf = |len| Buffer::from_slice(&vec![7; len]);
    for (offset, len) in [(0, 1024), (0, 4096), (0, 256), (256, 512)] {
        let op = Op::CompareAndWrite { offset, compare: buf(len), write: buf(len) };
        let error = disk.run(op).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{len} at {offset}");
    }
    // A hole holds zeros; the last sector of an object is not of the next.
    let at = (4 << 20) - 512;
    let caw = |compare, write| Op::CompareAndWrite { offset: at, compare, write };
    disk.run(caw(Buffer::zeroed(512), buf(512))).unwrap();
    let error = disk.run(caw(Buffer::zeroed(512), buf(512))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Miscompare { offset: 0 });
    assert_eq!(disk.read(at, 1024)[..512], [7; 512]);
    assert_eq!(disk.read(at, 1024)[512..], [0; 512]);
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn a_long_zeroing_takes_several_steps_and_frees_objects() {
    let Some(conf) = cluster("a_long_zeroing_takes_several_steps") else { return };
    let store = open_store(conf);
    let name = unique("zero");
    let size = 5 << 30;
    store.create(&name, size).unwrap();
    let disk = open(&store, &name);
    let places = [0, 1 << 30, (2 << 30) - 512, 3 << 30, size - 512];
    for at in places {
        disk.write(at, &[1; 512]);
    }
    assert_eq!(store.stat(&name).unwrap().used_bytes, Some(5 * (4 << 20)));
    disk.run(Op::Discard { offset: 512, len: size - 1024 }).unwrap();
    let read: Vec<u8> = places.iter().map(|at| disk.read(*at, 512)[0]).collect();
    assert_eq!(read, [1, 0, 0, 0, 1]);
    assert_eq!(store.stat(&name).unwrap().used_bytes, Some(2 * (4 << 20)));
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn what_is_in_flight_ends_after_the_volume_is_dropped() {
    let Some(conf) = cluster("what_is_in_flight_ends_after_the_volume_is_dropped") else { return };
    let store = open_store(conf);
    let name = image(&store, "drop");
    let volume = store.open(&name, None, OpenMode::ReadWrite).unwrap();
    let queue = Arc::new(CompletionQueue::new());
    let mut requests: Vec<Request> = (0..64)
        .map(|tag| {
            let buf = Buffer::from_slice(&pattern(tag, 300_000));
            Request { tag, op: Op::Write { offset: tag * (1 << 20), buf, fua: false } }
        })
        .collect();
    volume.submit(&mut requests, &mut Vec::new(), &queue);
    drop(volume);
    // Opening waits for the old handle, and that for its requests.
    let disk = open(&store, &name);
    for tag in 0..64 {
        assert!(disk.read(tag * (1 << 20), 300_000) == pattern(tag, 300_000), "write {tag}");
    }
    let mut done = Vec::new();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(queue.poll_drain(&mut cx, &mut done).is_ready());
    done.sort_unstable_by_key(|completion| completion.tag);
    assert!(done.iter().map(|completion| completion.tag).eq(0..64), "each exactly once");
    assert!(done.iter().all(|completion| completion.result.is_ok()));
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn namespaces_are_apart() {
    let Some(conf) = cluster("namespaces_are_apart") else { return };
    let (blue, red) = (unique("blue"), unique("red"));
    for namespace in [&blue, &red] {
        run(conf, &["rbd", "namespace", "create", &format!("rbd/{namespace}")]);
    }
    let in_namespace = |namespace: &str| Options { namespace: namespace.into(), ..options(conf) };
    let blue_store = RbdStore::open(in_namespace(&blue)).unwrap();
    let red_store = RbdStore::open(in_namespace(&red)).unwrap();
    blue_store.create("disk", SIZE).unwrap();
    assert_eq!(kind_of(red_store.stat("disk")), StoreErrorKind::NotFound);
    red_store.create("disk", SIZE).unwrap();
    let (blue_disk, red_disk) = (open(&blue_store, "disk"), open(&red_store, "disk"));
    blue_disk.write(0, &[1; 512]);
    assert_eq!(red_disk.read(0, 512), [0; 512]);
    assert_ne!(blue_store.stat("disk").unwrap().id, red_store.stat("disk").unwrap().id);
    drop((blue_disk, red_disk));
    let spec = format!("rbd/{blue}/disk");
    let disk = Disk::new(open_image(&spec, Some(conf), "client.admin", true, None).unwrap());
    assert_eq!(disk.read(0, 512), [1; 512]);
    drop(disk);
    blue_store.remove("disk").unwrap();
    red_store.remove("disk").unwrap();

    let error = RbdStore::open(in_namespace("green")).err().unwrap();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("rbd namespace create rbd/green"), "{error}");
    let error = RbdStore::open(Options { pool: "none".into(), ..options(conf) }).err().unwrap();
    assert!(error.to_string().contains("rbd pool init none"), "{error}");
}

#[test]
fn a_user_with_the_rbd_profile_is_enough() {
    let Some(conf) = cluster("a_user_with_the_rbd_profile_is_enough") else { return };
    let user = unique("gateway");
    let keyring = conf.with_file_name(format!("client.{user}.keyring"));
    run(
        conf,
        &[
            "ceph",
            "auth",
            "get-or-create",
            &format!("client.{user}"),
            "mon",
            "profile rbd",
            "osd",
            "profile rbd pool=rbd",
            "-o",
            keyring.to_str().unwrap(),
        ],
    );
    let store = RbdStore::open(Options { user, ..options(conf) }).unwrap();
    let name = image(&store, "plain-user");
    let disk = open(&store, &name);
    disk.write(0, &[1; 512]);
    store.snapshot(&name, "s").unwrap();
    store.clone_image(&name, "s", &format!("{name}.clone")).unwrap();
    drop(disk);
    store.remove(&format!("{name}.clone")).unwrap();
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();

    let stranger = Options { user: "nobody-knows-me".into(), ..options(conf) };
    assert_eq!(kind_of(RbdStore::open(stranger)), StoreErrorKind::Unavailable);
}

#[test]
fn an_image_or_pool_configured_against_the_rules_is_refused() {
    let Some(conf) = cluster("an_image_or_pool_configured_against_the_rules") else { return };
    let pool = unique("config");
    run(conf, &["ceph", "osd", "pool", "create", &pool, "1"]);
    run(conf, &["rbd", "pool", "init", &pool]);
    run(conf, &["rbd", "namespace", "create", &format!("{pool}/blue")]);
    let namespace = "blue".into();
    let store = RbdStore::open(Options { pool: pool.clone(), namespace, ..options(conf) }).unwrap();
    let name = image(&store, "config");
    let spec = format!("{pool}/blue/{name}");
    for (option, value) in [
        ("rbd_cache", "true"),
        ("rbd_persistent_cache_mode", "ssd"),
        ("rbd_blocklist_on_break_lock", "false"),
    ] {
        // As `rbd config image set` would, also for options it does not know.
        run(conf, &["rbd", "image-meta", "set", &spec, &format!("conf_{option}"), value]);
        let error = store.open(&name, None, OpenMode::ReadWrite).err().unwrap();
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        let remedy = format!("rbd config image remove {spec} {option}");
        assert!(error.to_string().contains(&remedy), "{error}");
        run(conf, &["rbd", "image-meta", "remove", &spec, &format!("conf_{option}")]);
        store.pool().unwrap().wait_closed(&name);
    }
    run(conf, &["rbd", "config", "pool", "set", &pool, "rbd_cache", "true"]);
    let error = store.open(&name, None, OpenMode::ReadWrite).err().unwrap();
    let remedy = format!("rbd config pool remove {pool} rbd_cache");
    assert!(error.to_string().contains(&remedy), "{error}");
    // The image's own goes before the pool's.
    run(conf, &["rbd", "config", "image", "set", &spec, "rbd_cache", "false"]);
    drop(open(&store, &name));
    store.remove(&name).unwrap();
}

#[test]
fn a_record_that_makes_no_sense_is_told() {
    let Some(conf) = cluster("a_record_that_makes_no_sense_is_told") else { return };
    let store = open_store(conf);
    let name = image(&store, "record");
    let spec = format!("rbd/{name}");
    let value = |store: &RbdStore, value: &str| {
        run(conf, &["rbd", "image-meta", "set", &spec, "stirrup.state", value]);
        open(store, &name).state()
    };
    assert_eq!(value(&store, "2 of the future"), SavedState::Unreadable);
    assert_eq!(value(&store, "1 another-image AAAA"), SavedState::Record(vec![]));
    let disk = open(&store, &name);
    disk.save_state(b"good").unwrap();
    drop(disk);
    assert_eq!(open(&store, &name).state(), SavedState::Record(b"good".to_vec()));
    // What goes over the wire to Ceph is text.
    let kept = run(conf, &["rbd", "image-meta", "get", &spec, "stirrup.state"]);
    assert!(kept.trim_end().ends_with(" Z29vZA=="), "{kept}");
    store.pool().unwrap().wait_closed(&name);
    store.remove(&name).unwrap();
}

#[test]
fn specs_are_parsed() {
    assert_eq!(parse_spec("rbd/disk").unwrap(), ("rbd", "", "disk"));
    assert_eq!(parse_spec("rbd/blue/disk").unwrap(), ("rbd", "blue", "disk"));
    for bad in ["", "disk", "/disk", "rbd/", "rbd//disk", "a/b/c/d"] {
        assert_eq!(kind_of(parse_spec(bad)), StoreErrorKind::Invalid, "{bad:?}");
    }
}

#[test]
fn every_error_number_has_its_kind() {
    let wanted = [
        (2, StoreErrorKind::NotFound),
        (17, StoreErrorKind::Exists),
        (39, StoreErrorKind::HasChildren),
        (16, StoreErrorKind::InUse),
        (30, StoreErrorKind::InUse),
        (22, StoreErrorKind::Invalid),
        (28, StoreErrorKind::NoSpace),
        (122, StoreErrorKind::NoSpace),
        (79, StoreErrorKind::Unavailable),
        (110, StoreErrorKind::Unavailable),
        (108, StoreErrorKind::Unavailable),
        (107, StoreErrorKind::Unavailable),
        (1, StoreErrorKind::Unavailable),
        (13, StoreErrorKind::Unavailable),
        (74, StoreErrorKind::Corrupt),
        (5, StoreErrorKind::Io),
    ];
    let table = KINDS.map(|(errno, kind)| (errno.raw_os_error(), kind));
    assert_eq!(table, wanted);
}
