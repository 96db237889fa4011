//! Tests of the embedded store. What a store is in general is tested by `conformance`.

mod crash;
mod growth;
mod model;

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::*;
use crate::backend::conformance::{self, Disk, pattern};
use crate::backend::pool::{Finished, Job, Task, Work};
use crate::backend::power_loss::Power;
use crate::block::{Buffer, ErrorKind, Op};

const SIZE: u64 = 1 << 20;

/// Opens it once what was closed a moment ago has had its last sync.
fn open(dir: &Path, write_cache: bool) -> LocalStore {
    open_settled(dir, Options { write_cache }).unwrap()
}

fn refusal(dir: &Path) -> StoreError {
    let store = LocalStore::open(dir, Options::default(), &Pool::start(1).unwrap());
    store.err().expect("not to be opened")
}

/// Why a store that nobody has open cannot be opened.
fn damage(dir: &Path) -> StoreErrorKind {
    open_settled(dir, Options::default()).err().expect("not to be opened").kind()
}

/// Opens once what an earlier store of this process still had to write has been written.
fn open_settled(dir: &Path, options: Options) -> Result<LocalStore, StoreError> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match LocalStore::open(dir, options, &Pool::start(4).unwrap()) {
            Err(error) if error.kind() == StoreErrorKind::InUse && Instant::now() < deadline => {
                std::thread::yield_now();
            }
            other => return other,
        }
    }
}

fn writable(store: &LocalStore, image: &str) -> Disk {
    Disk::new(store.open(image, None, OpenMode::ReadWrite).unwrap())
}

/// An image of `pattern(1)` with a snapshot, and a clone of that, "clone".
fn with_clone(store: &LocalStore, size: u64) -> Vec<u8> {
    let bytes = pattern(1, size as usize);
    store.create("golden", size).unwrap();
    let mut writer = store.writer("golden").unwrap();
    writer.write_at(0, &bytes).unwrap();
    writer.finish().unwrap();
    store.snapshot("golden", "s").unwrap();
    store.clone_image("golden", "s", "clone").unwrap();
    bytes
}

fn layer_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir.join("layers")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// A file of the layer that an image is written to.
fn head_file(dir: &Path, store: &LocalStore, image: &str, ending: &str) -> std::path::PathBuf {
    dir.join("layers").join(format!("{}.{ending}", store.meta.image(image).unwrap().head))
}

#[test]
fn conforms_in_write_through_mode() {
    let dir = tempfile::tempdir().unwrap();
    conformance::run(&open(dir.path(), false));
    assert!(layer_files(dir.path()).is_empty(), "all images are removed, so all layers");
}

#[test]
fn a_clone_tells_what_it_takes_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    with_clone(&store, SIZE);
    let volume = store.open("clone", None, OpenMode::ReadWrite).unwrap();
    let before = volume.usage().used_bytes.unwrap();
    assert!(before < SIZE / 2, "what the parent holds is not its own: {before}");
    let disk = Disk::new(Arc::clone(&volume));
    let buf = Buffer::from_slice(&pattern(2, SIZE as usize));
    disk.run(Op::Write { offset: 0, buf, fua: true }).unwrap();
    let after = volume.usage();
    assert!(after.used_bytes.unwrap() >= SIZE && after.available_bytes.is_some());
}

#[test]
fn conforms_with_a_write_cache() {
    let dir = tempfile::tempdir().unwrap();
    conformance::run(&open(dir.path(), true));
    assert!(layer_files(dir.path()).is_empty(), "all images are removed, so all layers");
}

#[test]
fn everything_is_there_after_a_restart() {
    for write_cache in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), write_cache);
        let mut wanted = with_clone(&store, SIZE);
        let id = store.stat("clone").unwrap().id;
        let disk = writable(&store, "clone");
        disk.write(5120, &[7; 6144]);
        wanted[5120..][..6144].fill(7);
        drop((disk, store));
        let store = open(dir.path(), !write_cache);
        assert_eq!(store.list().unwrap(), ["clone", "golden"]);
        assert_eq!(store.stat("clone").unwrap().id, id);
        assert!(writable(&store, "clone").read(0, SIZE as usize) == wanted);
    }
}

#[test]
fn one_daemon_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    let error = refusal(dir.path());
    assert_eq!(error.kind(), StoreErrorKind::InUse);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    store.create("a", SIZE).unwrap();
    let volume = store.open("a", None, OpenMode::ReadOnly).unwrap();
    drop(store);
    assert_eq!(refusal(dir.path()).kind(), StoreErrorKind::InUse, "a volume is open still");
    drop(volume);
    open(dir.path(), false);
}

#[test]
fn the_store_is_locked_until_the_last_sync() {
    struct Hold(Barrier, Barrier);
    impl Work for Hold {
        fn run(self: Arc<Self>, _: Task, _: &mut Finished) {
            self.0.wait();
            self.1.wait();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::start(1).unwrap();
    let store = LocalStore::open(dir.path(), Options { write_cache: true }, &pool).unwrap();
    with_clone(&store, SIZE);
    let disk = writable(&store, "clone");
    disk.write(512, &[9; 512]);
    let hold = Arc::new(Hold(Barrier::new(2), Barrier::new(2)));
    pool.submit([Job { work: Arc::clone(&hold) as _, task: Task::Commit }]);
    hold.0.wait();
    // The pool's only thread is busy: what closing the disk has left to do waits.
    drop((disk, store));
    assert_eq!(refusal(dir.path()).kind(), StoreErrorKind::InUse);
    hold.1.wait();
    drop(pool);
}

#[test]
fn a_directory_with_other_things_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious.txt"), "do not touch").unwrap();
    assert_eq!(damage(dir.path()), StoreErrorKind::Invalid);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn only_the_owner_may_look_inside() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new").join("store");
    let store = open(&path, true);
    with_clone(&store, SIZE);
    writable(&store, "clone").write(0, &[1; 512]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("layers"))), (0o700, 0o700));
    assert!(layer_files(&path).iter().all(|file| mode(file) == 0o600));
}

#[test]
fn what_a_crash_left_behind_goes_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = with_clone(&open(dir.path(), false), SIZE);
    let before = layer_files(dir.path()).len();
    let orphan = dir.path().join("layers").join(format!("{}.data", LayerId::random().unwrap()));
    let foreign = dir.path().join("layers").join("notes.txt");
    std::fs::write(&orphan, "x").unwrap();
    std::fs::write(&foreign, "x").unwrap();
    let store = open(dir.path(), false);
    assert!(!orphan.exists() && foreign.exists());
    assert_eq!(layer_files(dir.path()).len(), before + 1);
    assert!(writable(&store, "clone").read(0, SIZE as usize) == wanted);
}

#[test]
fn lost_metadata_do_not_cost_the_layers() {
    let dir = tempfile::tempdir().unwrap();
    with_clone(&open(dir.path(), false), SIZE);
    let before = layer_files(dir.path()).len();
    std::fs::remove_file(dir.path().join("store.redb")).unwrap();
    assert_eq!(damage(dir.path()), StoreErrorKind::Corrupt);
    assert_eq!(layer_files(dir.path()).len(), before);
}

#[test]
fn damaged_files_are_reported_and_never_read_as_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    with_clone(&store, SIZE);
    writable(&store, "clone").write(0, &[1; 512]);
    let map = head_file(dir.path(), &store, "clone", "map");
    let data = head_file(dir.path(), &store, "clone", "data");
    drop(store);
    let good = std::fs::read(&map).unwrap();
    let kind = || {
        let store = open(dir.path(), false);
        store.open("clone", None, OpenMode::ReadWrite).err().map(|error| error.kind())
    };
    for at in [0, 20, 600, 1023] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&map, bad).unwrap();
        assert_eq!(kind(), Some(StoreErrorKind::Corrupt), "byte {at} of the map");
    }
    std::fs::write(&map, &good[..600]).unwrap();
    assert_eq!(kind(), Some(StoreErrorKind::Corrupt), "a short map");
    std::fs::remove_file(&map).unwrap();
    assert_eq!(kind(), Some(StoreErrorKind::Corrupt), "no map");
    std::fs::write(&map, &good).unwrap();
    assert_eq!(kind(), None);
    let file = std::fs::File::options().write(true).open(&data).unwrap();
    file.set_len(SIZE - 4096).unwrap();
    assert_eq!(kind(), Some(StoreErrorKind::Corrupt), "short data");
    std::fs::remove_file(&data).unwrap();
    assert_eq!(kind(), Some(StoreErrorKind::Corrupt), "no data");
}

#[test]
fn damaged_metadata_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    with_clone(&open(dir.path(), false), SIZE);
    let path = dir.path().join("store.redb");
    let good = std::fs::read(&path).unwrap();
    for bad in [good[..4096].to_vec(), b"not a database".repeat(1000), vec![0xff; good.len()]] {
        std::fs::write(&path, &bad).unwrap();
        assert_eq!(damage(dir.path()), StoreErrorKind::Corrupt);
        assert!(!layer_files(dir.path()).is_empty(), "and nothing is removed");
    }
    std::fs::write(&path, &good).unwrap();
    open(dir.path(), false);
}

#[test]
fn a_write_without_space_fails_and_the_next_one_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    let mut wanted = with_clone(&store, SIZE);
    let disk = writable(&store, "clone");
    let full = Power::watch(dir.path(), 0, std::io::ErrorKind::StorageFull);
    let write = || Op::Write { offset: 512, buf: Buffer::from_slice(&[9; 512]), fua: false };
    assert_eq!(disk.run(write()).unwrap_err().kind(), ErrorKind::NoSpace);
    assert!(disk.read(0, SIZE as usize) == wanted, "a failed write of a new block shows nothing");
    full.restore();
    disk.run(write()).unwrap();
    wanted[512..1024].fill(9);
    assert!(disk.read(0, SIZE as usize) == wanted);
}

#[test]
fn after_a_failed_sync_nothing_is_written_until_the_image_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true);
    let wanted = with_clone(&store, SIZE);
    let disk = writable(&store, "clone");
    disk.write(512, &[9; 512]);
    let live = head_file(dir.path(), &store, "clone", "live");
    assert!(live.exists());
    let reader = store.open("clone", None, OpenMode::ReadOnly).unwrap();
    assert!(!reader.has_failed());
    let broken = Power::watch(dir.path(), 0, std::io::ErrorKind::Other);
    assert_eq!(disk.run(Op::Flush).unwrap_err().kind(), ErrorKind::Medium);
    broken.restore();
    let write = Op::Write { offset: 0, buf: Buffer::zeroed(512), fua: false };
    assert_eq!(disk.run(write).unwrap_err().kind(), ErrorKind::Medium);
    assert_eq!(disk.run(Op::Flush).unwrap_err().kind(), ErrorKind::Medium);
    assert!(!live.exists(), "the page cache is no witness any more");
    assert!(reader.has_failed());
    let again = store.open("clone", None, OpenMode::ReadWrite);
    assert_eq!(again.err().unwrap().kind(), StoreErrorKind::InUse);
    drop(disk);
    // The reader keeps what has failed: nothing of that is opened again.
    let volume = store.open("clone", None, OpenMode::ReadWrite).unwrap();
    assert!(!volume.has_failed() && reader.has_failed());
    let disk = Disk::new(volume);
    assert!(disk.read(0, SIZE as usize) == wanted);
    disk.write(0, &[1; 512]);
    disk.run(Op::Flush).unwrap();
}

#[test]
fn too_many_layers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    let wanted = with_clone(&store, SIZE);
    for i in 0.. {
        match store.snapshot("clone", &format!("s{i}")) {
            Ok(()) => assert!(i < LAYERS_MAX),
            Err(error) => {
                assert_eq!((error.kind(), i), (StoreErrorKind::Invalid, LAYERS_MAX - 2));
                break;
            }
        }
    }
    assert!(writable(&store, "clone").read(0, SIZE as usize) == wanted);
}

#[test]
fn used_bytes_are_those_of_the_clone_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    with_clone(&store, SIZE);
    assert!(store.stat("golden").unwrap().used_bytes.unwrap() >= SIZE);
    assert_eq!(store.stat("clone").unwrap().used_bytes, Some(0));
    writable(&store, "clone").write(0, &[1; 65_536]);
    let used = store.stat("clone").unwrap().used_bytes.unwrap();
    assert!((65_536..SIZE).contains(&used), "{used}");
}

#[test]
fn golden_layers_are_opened_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    with_clone(&store, SIZE);
    store.clone_image("golden", "s", "other").unwrap();
    let volumes = ["clone", "other"].map(|image| store.open(image, None, OpenMode::ReadWrite));
    let open = store.open.lock();
    assert_eq!(open.layers.len(), 1);
    assert!(open.layers.values().all(|layer| layer.strong_count() == 2));
    drop(volumes);
}
/// Try `unshare -m sh -c 'mount -t tmpfs -o size=32m tmpfs /mnt &&
/// STIRRUP_SMALL_FS=/mnt cargo test --lib a_full_file_system -- --ignored'`.
#[test]
#[ignore = "needs STIRRUP_SMALL_FS, a directory on a file system of 32 MiB"]
fn a_full_file_system_costs_only_the_writes_that_need_space() {
    let dir = tempfile::tempdir_in(std::env::var("STIRRUP_SMALL_FS").unwrap()).unwrap();
    let store = open(dir.path(), false);
    let mut wanted = with_clone(&store, SIZE);
    store.create("ballast", 64 << 20).unwrap();
    let mut ballast = store.writer("ballast").unwrap();
    let full = (0..).find_map(|i| ballast.write_at(i * 16_384, &[1; 16_384]).err()).unwrap();
    assert_eq!(full.kind(), StoreErrorKind::NoSpace);
    assert_eq!(store.create("more", SIZE).unwrap_err().kind(), StoreErrorKind::NoSpace);
    let disk = writable(&store, "clone");
    let write = |sector: u64| {
        let buf = Buffer::from_slice(&[sector as u8 | 0x80; 512]);
        disk.run(Op::Write { offset: sector * 512, buf, fua: false })
    };
    let mut refused = Vec::new();
    for sector in (0..SIZE / 512).step_by(9) {
        match write(sector) {
            Ok(_) => wanted[(sector * 512) as usize..][..512].fill(sector as u8 | 0x80),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace);
                refused.push(sector);
            }
        }
    }
    assert!(!refused.is_empty());
    assert!(disk.read(0, SIZE as usize) == wanted);
    drop(ballast);
    store.remove("ballast").unwrap();
    for sector in refused {
        write(sector).unwrap();
        wanted[(sector * 512) as usize..][..512].fill(sector as u8 | 0x80);
    }
    assert!(disk.read(0, SIZE as usize) == wanted);
    drop((disk, store));
    assert!(writable(&open(dir.path(), false), "clone").read(0, SIZE as usize) == wanted);
}
