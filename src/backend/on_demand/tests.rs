//! With a store in memory that counts what is open.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::*;
use crate::backend::StoreErrorKind;
use crate::backend::conformance::Disk;
use crate::block::{
    Buffer, Completion, CompletionQueue, Done, ErrorKind, LastState, Left, Op, Request, SavedState,
    VolumeInfo,
};

const SIZE: u64 = 1 << 20;
/// What takes longer hangs.
const HANGS: Duration = Duration::from_secs(60);

#[derive(Default)]
struct World {
    /// Open for writing; how often; and what an attempt to open meets.
    open: AtomicUsize,
    opened: AtomicUsize,
    /// How many of those that were opened are out of date.
    outdated: AtomicUsize,
    gate: Mutex<Gate>,
    changed: Condvar,
    /// What the one that was opened last has kept.
    kept: Mutex<Arc<Mutex<Vec<u8>>>>,
}

#[derive(Default)]
struct Gate {
    shut: bool,
    refused: Option<StoreErrorKind>,
    panics: bool,
    saved: Vec<u8>,
    /// The mark of who wrote last.
    mark: Option<String>,
}

struct FakeStore(Arc<World>);

struct FakeVolume {
    world: Arc<World>,
    /// The how many-th that was opened.
    number: usize,
    writable: bool,
    saved: Arc<Mutex<Vec<u8>>>,
    found: Option<String>,
}

impl Drop for FakeVolume {
    fn drop(&mut self) {
        if self.writable {
            self.world.open.fetch_sub(1, Ordering::SeqCst);
            drop(self.world.gate.lock());
            self.world.changed.notify_all();
        }
    }
}

impl Volume for FakeVolume {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            size_bytes: SIZE,
            read_only: !self.writable,
            write_cache: false,
            physical_block_bytes: 512,
            optimal_io_bytes: 0,
            discard_granularity_bytes: 0,
            max_compare_and_write_bytes: 0,
            max_atomic_write_bytes: 0,
            atomic_write_boundary_bytes: 0,
            has_write_same: false,
        }
    }

    fn has_failed(&self) -> bool {
        self.is_outdated()
    }

    fn is_outdated(&self) -> bool {
        self.number <= self.world.outdated.load(Ordering::SeqCst)
    }

    fn saved_state(&self) -> SavedState {
        SavedState::Record(self.saved.lock().clone())
    }

    fn last_state(&self) -> LastState {
        let (saved, found) = (Arc::clone(&self.saved), self.found.clone());
        Box::new(move || {
            let saved = SavedState::Record(saved.lock().clone());
            Left { saved, mark: found.clone(), found }
        })
    }

    /// Odd tags are answered at once.
    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        assert!(self.writable && !self.is_outdated());
        for Request { tag, .. } in requests.drain(..) {
            let completion = Completion { tag, result: Ok(Done::Unit) };
            if tag % 2 == 1 {
                done.push(completion);
            } else {
                queue.push(completion);
            }
        }
    }
}

impl Store for FakeStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Rbd
    }

    fn open(
        &self,
        _image: &str,
        _snapshot: Option<&str>,
        mode: OpenMode,
    ) -> Result<Arc<dyn Volume>, StoreError> {
        let mut gate = self.0.gate.lock();
        let writable = mode == OpenMode::ReadWrite;
        if writable {
            self.0.changed.wait_while(&mut gate, |gate| gate.shut);
            assert!(!gate.panics, "this test wants a panic");
            if let Some(kind) = gate.refused {
                return Err(StoreError::new(kind, "refused"));
            }
            self.0.open.fetch_add(1, Ordering::SeqCst);
            self.0.opened.fetch_add(1, Ordering::SeqCst);
        }
        let (world, saved) = (Arc::clone(&self.0), Arc::new(Mutex::new(gate.saved.clone())));
        *world.kept.lock() = Arc::clone(&saved);
        let number = match writable {
            true => world.opened.load(Ordering::SeqCst),
            false => usize::MAX,
        };
        let found = gate.mark.clone();
        Ok(Arc::new(FakeVolume { world, number, writable, saved, found }))
    }

    fn probe(&self) -> Result<(), StoreError> {
        unreachable!()
    }
    fn rollback(&self, _: &str, _: &str) -> Result<(), StoreError> {
        unreachable!()
    }
    fn flatten(&self, _: &str, _: &(dyn Fn(u64, u64) -> bool + Sync)) -> Result<(), StoreError> {
        unreachable!()
    }
    fn create(&self, _: &str, _: u64) -> Result<(), StoreError> {
        unreachable!()
    }
    fn writer(&self, _: &str) -> Result<Box<dyn ImageWriter>, StoreError> {
        unreachable!()
    }
    fn snapshot(&self, _: &str, _: &str) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove_snapshot(&self, _: &str, _: &str) -> Result<(), StoreError> {
        unreachable!()
    }
    fn clone_image(&self, _: &str, _: &str, _: &str) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove(&self, _: &str) -> Result<(), StoreError> {
        assert_eq!(self.0.open.load(Ordering::SeqCst), 0);
        Ok(())
    }
    fn resize(&self, _: &str, _: u64) -> Result<(), StoreError> {
        Ok(())
    }
    fn list(&self) -> Result<Vec<String>, StoreError> {
        unreachable!()
    }
    fn stat(&self, image: &str) -> Result<ImageStat, StoreError> {
        let (id, snapshots) = (image.to_owned(), Vec::new());
        Ok(ImageStat { id, size_bytes: 0, used_bytes: None, parent: None, snapshots })
    }
    fn keep(&self, _: &str, _: &str, _: &[u8]) -> Result<(), StoreError> {
        unreachable!()
    }
    fn kept(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        unreachable!()
    }
}

impl World {
    fn set(&self, change: impl FnOnce(&mut Gate)) {
        change(&mut self.gate.lock());
        self.changed.notify_all();
    }

    /// Waits until so many are open.
    fn wait_open(&self, wanted: usize) {
        let begun = Instant::now();
        while self.open.load(Ordering::SeqCst) != wanted {
            assert!(begun.elapsed() < HANGS, "{} are open", self.open.load(Ordering::SeqCst));
            std::thread::yield_now();
        }
    }
}

fn volume(idle: Option<Duration>) -> (Arc<World>, OnDemand, Arc<dyn Volume>) {
    let world = Arc::new(World::default());
    let store = OnDemand::new(Arc::new(FakeStore(Arc::clone(&world))), idle);
    let volume = store.open("disk", None, OpenMode::ReadWrite).unwrap();
    (world, store, volume)
}

fn write() -> Op {
    Op::Write { offset: 0, buf: Buffer::zeroed(512), fua: false }
}

#[test]
fn it_is_open_while_it_is_held() {
    let (world, _store, volume) = volume(Some(Duration::from_millis(20)));
    assert!(!volume.info().read_only && volume.info().size_bytes == SIZE);
    assert_eq!(world.opened.load(Ordering::SeqCst), 0, "told, not opened");
    let (first, second) = (volume.hold().unwrap(), volume.hold().unwrap());
    world.wait_open(1);
    drop(first);
    // Several times as long as it may be idle.
    std::thread::sleep(Duration::from_millis(100));
    Disk::new(Arc::clone(&volume)).run(write()).unwrap();
    assert_eq!(world.opened.load(Ordering::SeqCst), 1, "it was open all the time");
    drop(second);
    world.wait_open(0);
    drop(volume.hold());
    world.wait_open(1);
    assert_eq!(world.opened.load(Ordering::SeqCst), 2);
    drop(volume);
    world.wait_open(0);
}

#[test]
fn requests_wait_for_it_and_none_is_lost() {
    let (world, _store, volume) = volume(None);
    world.set(|gate| gate.shut = true);
    let hold = volume.hold();
    let disk = Disk::new(Arc::clone(&volume));
    std::thread::scope(|scope| {
        let batches: Vec<_> = (0..4)
            .map(|_| {
                let disk = Disk::new(Arc::clone(&volume));
                scope.spawn(move || disk.run_all((0..10).map(|_| write())))
            })
            .collect();
        assert!(batches.iter().all(|batch| !batch.is_finished()));
        world.set(|gate| gate.shut = false);
        for batch in batches {
            batch.join().unwrap().into_iter().for_each(|result| drop(result.unwrap()));
        }
    });
    disk.run(write()).unwrap();
    drop(hold);
    disk.run(write()).unwrap();
    assert_eq!(world.opened.load(Ordering::SeqCst), 1, "without a limit it stays open");
}

#[test]
fn a_request_opens_it_again_after_it_was_closed() {
    let (world, _store, volume) = volume(Some(Duration::from_millis(5)));
    let disk = Disk::new(Arc::clone(&volume));
    for round in 1..4 {
        disk.run(write()).unwrap();
        world.wait_open(0);
        assert_eq!(world.opened.load(Ordering::SeqCst), round);
    }
}

#[test]
fn what_cannot_be_opened_is_refused_and_tried_again() {
    let (world, _store, volume) = volume(None);
    let disk = Disk::new(Arc::clone(&volume));
    for (kind, wanted) in [
        (StoreErrorKind::NotFound, ErrorKind::Gone),
        (StoreErrorKind::Invalid, ErrorKind::Unavailable),
        (StoreErrorKind::Io, ErrorKind::Medium),
    ] {
        world.set(|gate| gate.refused = Some(kind));
        let begun = Instant::now();
        // Until what came of the attempt before is not remembered any more.
        while disk.run(write()).unwrap_err().kind() != wanted {
            assert!(begun.elapsed() < HANGS);
        }
        assert!(!volume.has_failed(), "it may be put right");
    }
    world.set(|gate| gate.refused = None);
    let begun = Instant::now();
    while disk.run(write()).is_err() {
        assert!(begun.elapsed() < HANGS);
    }
}

#[test]
fn without_a_thread_to_open_it_requests_are_refused_and_nothing_hangs() {
    let none: opener::Spawn = |_| Err(std::io::ErrorKind::WouldBlock.into());
    let world = Arc::new(World::default());
    let opener = Opener::with_threads(None, none);
    let store = OnDemand { store: Arc::new(FakeStore(Arc::clone(&world))), opener };
    let volume = store.open("disk", None, OpenMode::ReadWrite).unwrap();
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // By a request, and by a session.
        let refused = Disk::new(Arc::clone(&volume)).run(write()).unwrap_err().kind();
        let other = store.open("other", None, OpenMode::ReadWrite).unwrap();
        let hold = other.hold();
        let other = Disk::new(other).run(write()).unwrap_err().kind();
        drop(hold);
        assert!(!volume.has_failed(), "there may be threads again");
        store.remove("disk").unwrap();
        sender.send((refused, other)).unwrap();
    });
    let refused = ended.recv_timeout(HANGS).expect("nobody waits for itself");
    assert_eq!(refused, (ErrorKind::Unavailable, ErrorKind::Unavailable));
    assert_eq!(world.opened.load(Ordering::SeqCst), 0);
}

#[test]
fn a_panic_while_it_is_opened_leaves_nobody_waiting() {
    let (world, store, volume) = volume(None);
    world.set(|gate| gate.panics = true);
    let error = Disk::new(Arc::clone(&volume)).run(write()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Medium);
    world.set(|gate| gate.panics = false);
    store.opener.wait_opened("disk");
    let begun = Instant::now();
    while Disk::new(Arc::clone(&volume)).run(write()).is_err() {
        assert!(begun.elapsed() < HANGS, "it is opened again");
    }
}

#[test]
fn an_image_in_use_is_waited_for() {
    let (world, _store, volume) = volume(None);
    world.set(|gate| gate.refused = Some(StoreErrorKind::InUse));
    let hold = volume.hold();
    std::thread::scope(|scope| {
        let request = scope.spawn(|| Disk::new(Arc::clone(&volume)).run(write()));
        world.set(|gate| gate.refused = None);
        request.join().unwrap().unwrap();
    });
    drop(hold);
}

#[test]
fn what_is_out_of_date_is_opened_anew_and_nothing_is_refused() {
    let (world, _store, volume) = volume(None);
    let hold = volume.hold();
    let disk = Disk::new(Arc::clone(&volume));
    for round in 1..4 {
        disk.run(write()).unwrap();
        assert_eq!(world.opened.load(Ordering::SeqCst), round);
        world.outdated.store(round, Ordering::SeqCst);
        assert!(!volume.has_failed(), "its sessions go on");
    }
    world.set(|gate| gate.saved = b"reserved".to_vec());
    disk.run(write()).unwrap_err();
    assert!(volume.has_failed(), "another gateway had it in between");
    drop(hold);
    drop((volume, disk));
    world.wait_open(0);
}

#[test]
fn a_record_that_was_being_saved_when_it_was_given_up_is_its_own() {
    let (world, _store, volume) = volume(None);
    let disk = Disk::new(Arc::clone(&volume));
    disk.run(write()).unwrap();
    world.set(|gate| gate.shut = true);
    world.outdated.store(1, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Disk::new(Arc::clone(&volume)).run(write()));
        world.wait_open(0);
        // Now it gets to the store.
        *world.kept.lock().lock() = b"reserved".to_vec();
        world.set(|gate| (gate.shut, gate.saved) = (false, b"reserved".to_vec()));
        waiting.join().unwrap().unwrap();
    });
    assert!(!volume.has_failed());
    assert_eq!(volume.saved_state(), SavedState::Record(b"reserved".to_vec()));
}

#[test]
fn a_record_that_was_told_before_it_was_saved_is_not_believed() {
    let (world, _store, volume) = volume(None);
    Disk::new(Arc::clone(&volume)).run(write()).unwrap();
    world.set(|gate| gate.shut = true);
    world.outdated.store(1, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Disk::new(Arc::clone(&volume)).run(write()));
        world.wait_open(0);
        // A target is made of it now.
        assert_eq!(volume.saved_state(), SavedState::Record(vec![]));
        *world.kept.lock().lock() = b"reserved".to_vec();
        world.set(|gate| (gate.shut, gate.saved) = (false, b"reserved".to_vec()));
        waiting.join().unwrap().unwrap_err();
    });
    assert!(volume.has_failed(), "a reservation that was acknowledged counts");
}

#[test]
fn another_gateway_that_wrote_while_it_was_closed_ends_the_sessions_there_are() {
    for is_held in [true, false] {
        let (world, _store, volume) = volume(None);
        let hold = is_held.then(|| volume.hold());
        let disk = Disk::new(Arc::clone(&volume));
        for round in 1..3 {
            disk.run(write()).unwrap();
            world.outdated.store(round, Ordering::SeqCst);
        }
        // Its record is as it was.
        world.set(|gate| gate.mark = Some("another".to_owned()));
        assert_eq!(disk.run(write()).is_err(), is_held);
        assert_eq!(volume.has_failed(), is_held, "only who has seen it has to look anew");
        drop(hold);
    }
}

#[test]
fn another_gateways_reservations_make_it_useless() {
    let (world, _store, volume) = volume(None);
    world.set(|gate| gate.saved = b"reserved".to_vec());
    let error = Disk::new(Arc::clone(&volume)).run(write()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(volume.has_failed(), "the target has to begin anew");
    world.wait_open(0);
}

#[test]
fn dropping_it_while_it_opens_closes_it() {
    let (world, store, volume) = volume(None);
    world.set(|gate| gate.shut = true);
    let hold = volume.hold();
    drop((volume, hold));
    let (removing, removed) = (&store, AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Not while it is open.
            removing.remove("disk").unwrap();
            removed.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(removed.load(Ordering::SeqCst), 0);
        world.set(|gate| gate.shut = false);
    });
    assert_eq!(world.opened.load(Ordering::SeqCst), 1);
    world.wait_open(0);
}

#[test]
fn a_closed_disk_has_its_new_size() {
    let (_world, store, volume) = volume(None);
    store.resize("disk", 2 * SIZE).unwrap();
    assert_eq!(volume.info().size_bytes, 2 * SIZE);
    store.resize("another", 4 * SIZE).unwrap();
    assert_eq!(volume.info().size_bytes, 2 * SIZE);
}
