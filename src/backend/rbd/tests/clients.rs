//! Several clients of the cluster, and images that are open only while they are used.

use super::*;
use crate::backend::on_demand::OnDemand;

fn with_clients(conf: &Path, clients: usize) -> RbdStore {
    RbdStore::open(Options { clients, ..options(conf) }).unwrap()
}

#[test]
fn with_several_clients_it_does_the_same() {
    let Some(conf) = cluster("with_several_clients_it_does_the_same") else { return };
    conformance::run(&with_clients(conf, 3));
}

#[test]
fn a_blocklisted_client_takes_only_its_own_images_with_it() {
    let Some(conf) = cluster("a_blocklisted_client_takes_only_its_own") else { return };
    let store = with_clients(conf, 4);
    let names: Vec<String> = (0..16).map(|_| image(&store, "spread")).collect();
    let client_of = |name: &str| Arc::as_ptr(store.pool_of(name).unwrap().cluster());
    let lost = client_of(&names[0]);
    let other = names.iter().find(|name| client_of(name) != lost).expect("16 names on 4 clients");
    let (disk, neighbour) = (open(&store, &names[0]), open(&store, other));
    let seen = Image::open(&store.pool_of(other).unwrap(), &names[0], None, Access::ReadOnly);
    let owner = seen.unwrap().watchers().unwrap().remove(0);
    run(conf, &["ceph", "osd", "blocklist", "add", &owner]);
    let write = || Op::Write { offset: 0, buf: Buffer::from_slice(&[1; 512]), fua: false };
    let refused = (0..).find_map(|_: u64| disk.run(write()).err()).unwrap();
    assert_eq!(refused.kind(), ErrorKind::Fenced);
    neighbour.run(write()).unwrap();
    drop((disk, neighbour));
    // A new client in its place.
    open(&store, &names[0]).run(write()).unwrap();
    names.iter().for_each(|name| store.remove(name).unwrap());
}

#[test]
fn an_idle_disk_is_for_another_gateway() {
    let Some(conf) = cluster("an_idle_disk_is_for_another_gateway") else { return };
    let idle = Some(Duration::from_millis(50));
    let gateway = || OnDemand::new(Arc::new(open_store(conf)), idle);
    let (ours, theirs) = (gateway(), gateway());
    let name = image(&open_store(conf), "idle");
    let volume = |store: &OnDemand| store.open(&name, None, OpenMode::ReadWrite).unwrap();
    let (here, there) = (volume(&ours), volume(&theirs));
    let hold = here.hold().unwrap();
    let (disk, other) = (Disk::new(Arc::clone(&here)), Disk::new(Arc::clone(&there)));
    disk.write(0, &[1; 512]);
    // While it is held here it is in use there: retried for a while, then BUSY.
    let error = other.run(Op::Flush).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    drop(hold);
    // Closed here before long, so it opens there.
    let begun = std::time::Instant::now();
    while other.run(Op::Flush).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(other.read(0, 512), [1; 512]);
    other.save_state(b"reserved there").unwrap();
    assert!(!here.has_failed());
    // What this gateway believes of the reservations does not hold any more.
    let begun = std::time::Instant::now();
    while !here.has_failed() {
        disk.run(Op::Flush).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    let anew = volume(&ours);
    assert_eq!(anew.saved_state(), SavedState::Record(b"reserved there".to_vec()));
    Disk::new(Arc::clone(&anew)).run(Op::Flush).unwrap();
    drop((disk, other, here, there, anew));
    let begun = std::time::Instant::now();
    while ours.remove(&name).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

/// Not a test but a measurement: what clients and open images cost. `docs/rbd.md` has the figures.
/// `STIRRUP_TEST_CEPH=1 cargo test --release --lib rbd::tests::clients::cost -- --ignored --exact
/// --nocapture`, with `CLIENTS=` and `IMAGES=` in the environment.
#[test]
#[ignore = "a measurement"]
fn cost() {
    let Some(conf) = cluster("cost") else { return };
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
    };
    let (clients, images) = (number("CLIENTS", 1), number("IMAGES", 100));
    let status = |key: &str| {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let show = |what: &str| {
        let (memory, threads) = (status("VmRSS:"), status("Threads:"));
        println!("{what}: {memory} KiB, {threads} threads");
    };
    show("before");
    let store = with_clients(conf, clients);
    let golden = image(&store, "cost");
    store.snapshot(&golden, "s").unwrap();
    let names: Vec<String> = (0..images).map(|i| format!("{golden}.{i}")).collect();
    names.iter().for_each(|name| store.clone_image(&golden, "s", name).unwrap());
    show(&format!("{clients} clients, {images} clones, none open"));
    let begun = std::time::Instant::now();
    let disks: Vec<Disk> = names.iter().map(|name| open(&store, name)).collect();
    println!("opened in {} ms each", begun.elapsed().as_millis() / images as u128);
    show("all open");
    disks.iter().for_each(|disk| disk.write(0, &[1; 4096]));
    show("all written to");
    let bytes = pattern(1, 1 << 20);
    for round in 0..8 {
        disks.iter().for_each(|disk| disk.write(round << 20, &bytes));
    }
    show("after 8 MiB to each");
    drop(disks);
    names.iter().for_each(|name| store.pool_of(name).unwrap().wait_closed(name));
    show("closed");
}
