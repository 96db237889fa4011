//! Persistent reservations with APTPL follow a disk: through a restart of the gateway, and to
//! another one. On the local store, and on Ceph if `$CEPH_CONF` says where one is
//! (`scripts/lab/ceph run -- cargo test --test reservations`).

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use stirrup::backend::local::{self, LocalStore};
use stirrup::backend::pool::Pool;
use stirrup::backend::rbd::{self, RbdStore};
use stirrup::backend::{OpenMode, Store};
use stirrup::block::{Buffer, Completion, CompletionQueue, Request, Volume};
use stirrup::scsi::{
    Admission, Command, DataIn, Device, LogicalUnitSpec, Nexus, NexusSpec, Ops, Outcome, Status,
    Step, TaskAttribute, Transfer, UnitId,
};

const SIZE: u64 = 8 << 20;
/// A store that has not answered by then hangs.
const HANG: Duration = Duration::from_secs(60);

const REGISTER_AND_IGNORE: u8 = 6;
const RESERVE: u8 = 1;
const PREEMPT: u8 = 4;
const EXCLUSIVE_ACCESS: u8 = 3;
const READ: [u8; 10] = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A gateway that has a disk open.
struct Gateway {
    device: Device,
    volume: Arc<dyn Volume>,
}

impl Gateway {
    fn open(store: &dyn Store, image: &str) -> Self {
        let volume = store.open(image, None, OpenMode::ReadWrite).unwrap();
        let unit = LogicalUnitSpec {
            id: UnitId(0),
            number: 0,
            identity: image.to_owned(),
            block_bytes: 512,
            read_only: false,
            info: volume.info(),
            saved_state: volume.saved_state(),
        };
        Self { device: Device::new("iqn.2025-01.example:disk", vec![unit]), volume }
    }

    /// A node's session, which has heard of the power on.
    fn node(&self, number: u8) -> (&Self, Arc<Nexus>) {
        let initiator_name = format!("iqn.2025-01.example:node{number}");
        let initiator_port = format!("{initiator_name},i,0x00023d00000{number}");
        let spec = NexusSpec {
            initiator_name,
            initiator_port,
            target_port: 1,
            target_ports: vec![1],
            protocol_level: 1,
        };
        let node = (self, self.device.attach(spec));
        run(&node, &[0; 6], &[]);
        node
    }

    /// Has the volume do one operation.
    fn wait(&self, ops: &mut Ops) -> Completion {
        let mut requests: Vec<_> = ops.drain_own().map(|op| Request { tag: 0, op }).collect();
        assert_eq!(requests.len(), 1);
        let (queue, mut done) = (Arc::new(CompletionQueue::new()), Vec::new());
        self.volume.submit(&mut requests, &mut done, &queue);
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let deadline = Instant::now() + HANG;
        while done.is_empty() {
            if queue.poll_drain(&mut Context::from_waker(&waker), &mut done).is_pending() {
                let left = deadline.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "the store does not answer");
                std::thread::park_timeout(left);
            }
        }
        done.pop().unwrap()
    }
}

fn run((gateway, nexus): &(&Gateway, Arc<Nexus>), cdb: &[u8], data: &[u8]) -> Outcome {
    let command = Command {
        lun: 0,
        cdb,
        attribute: TaskAttribute::Simple,
        data_out_bytes: data.len() as u64,
    };
    let prepared = match gateway.device.admit(nexus, &command) {
        Admission::Done(outcome) => return outcome,
        Admission::Run(prepared) => prepared,
    };
    let is_out = matches!(prepared.transfer(), Transfer::Out { .. });
    let mut ops = Ops::new();
    let mut task = match prepared.start(is_out.then(|| Buffer::from_slice(data)), &mut ops) {
        Step::Done(outcome) => return outcome,
        Step::Wait(task) => task,
    };
    loop {
        let completion = gateway.wait(&mut ops);
        if let Some(outcome) = task.resume(completion.result, &mut ops) {
            return outcome;
        }
    }
}

/// PERSISTENT RESERVE OUT with APTPL, of exclusive access.
fn reserve_out(node: &(&Gateway, Arc<Nexus>), action: u8, key: u64, action_key: u64) {
    let mut list = [key.to_be_bytes(), action_key.to_be_bytes(), [0; 8]].concat();
    list[20] = 1;
    let cdb = [0x5f, action, EXCLUSIVE_ACCESS, 0, 0, 0, 0, 0, 24, 0];
    assert_eq!(run(node, &cdb, &list).status, Status::Good, "service action {action}");
}

fn keys(node: &(&Gateway, Arc<Nexus>)) -> Vec<u64> {
    match run(node, &[0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0], &[]).data_in {
        DataIn::Bytes(bytes) => {
            bytes[8..].chunks(8).map(|key| u64::from_be_bytes(key.try_into().unwrap())).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// `another`: opens the store as the next gateway does, when nothing has the disk open any more.
fn follows_the_disk(another: impl Fn() -> Box<dyn Store>, name: &str) {
    let clone = format!("{name}.clone");
    let store = another();
    store.create(name, SIZE).unwrap();
    let gateway = Gateway::open(&*store, name);
    let (one, two) = (gateway.node(1), gateway.node(2));
    reserve_out(&one, REGISTER_AND_IGNORE, 0, 0xa1);
    reserve_out(&two, REGISTER_AND_IGNORE, 0, 0xb2);
    reserve_out(&one, RESERVE, 0xa1, 0);
    assert_eq!(run(&two, &READ, &[]).status, Status::ReservationConflict);
    drop((one, two));
    drop((gateway, store));

    let store = another();
    let gateway = Gateway::open(&*store, name);
    let (one, two) = (gateway.node(1), gateway.node(2));
    assert_eq!(keys(&one), [0xa1, 0xb2]);
    assert_eq!(run(&one, &READ, &[]).status, Status::Good, "it holds what it held");
    assert_eq!(run(&two, &READ, &[]).status, Status::ReservationConflict);
    // The second takes over: what a cluster does when a node is gone.
    reserve_out(&two, PREEMPT, 0xb2, 0xa1);
    drop((one, two));
    drop(gateway);
    store.snapshot(name, "s").unwrap();
    store.clone_image(name, "s", &clone).unwrap();
    drop(store);

    let store = another();
    let gateway = Gateway::open(&*store, name);
    let (one, two) = (gateway.node(1), gateway.node(2));
    assert_eq!(keys(&one), [0xb2]);
    assert_eq!(run(&one, &READ, &[]).status, Status::ReservationConflict, "it is fenced off");
    assert_eq!(run(&two, &READ, &[]).status, Status::Good);
    let of_clone = Gateway::open(&*store, &clone);
    let three = of_clone.node(3);
    assert_eq!(keys(&three), [0; 0], "nobody has reserved the clone");
    assert_eq!(run(&three, &READ, &[]).status, Status::Good);
    drop((one, two, three));
    drop((gateway, of_clone));
    store.remove(&clone).unwrap();
    store.remove_snapshot(name, "s").unwrap();
    store.remove(name).unwrap();
}

/// Opens it once what was closed a moment ago has let go of the directory.
fn open_local(dir: &Path) -> LocalStore {
    let deadline = Instant::now() + HANG;
    loop {
        match LocalStore::open(dir, local::Options::default(), &Pool::start(2).unwrap()) {
            Ok(store) => return store,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_reservation_follows_a_disk_of_the_local_store() {
    let dir = tempfile::tempdir().unwrap();
    follows_the_disk(|| Box::new(open_local(dir.path())), "disk");
}

#[test]
fn a_reservation_follows_a_disk_of_an_rbd_store() {
    let Some(conf) = std::env::var_os("CEPH_CONF") else {
        eprintln!("SKIPPED: no Ceph cluster (scripts/lab/ceph run -- starts one)");
        return;
    };
    let options = rbd::Options { conf: Some(conf.into()), ..rbd::Options::new("rbd") };
    let name = format!("reserved-{}", std::process::id());
    let another = || -> Box<dyn Store> {
        // What was dropped is closed, and its lock released, on other threads.
        assert!(stirrup::rbd::wait_closed(HANG));
        Box::new(RbdStore::open(options.clone()).unwrap())
    };
    follows_the_disk(another, &name);
}
