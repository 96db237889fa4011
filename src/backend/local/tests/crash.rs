//! Crashes: a power loss at any write or sync, and `kill -9` of a child that writes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;
use crate::block::{Done, Error, SavedState};

const BYTES: u64 = 192 << 10;
const SECTORS: u64 = BYTES / 512;
/// Requests of one batch; each has a part of the disk of its own.
const BATCH: u64 = 6;
const LOSSES: u64 = 60;
const KILLS: u64 = 20;
const CHILD: &str = "STIRRUP_CRASH_TEST_CHILD";

/// SplitMix64: the same numbers in parent and child.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }
}

/// What a sector holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Golden,
    Zeros,
    Written(u64),
}

impl Content {
    fn bytes(self, golden: &[u8], sector: u64) -> Vec<u8> {
        match self {
            Self::Golden => golden[(sector * 512) as usize..][..512].to_vec(),
            Self::Zeros => vec![0; 512],
            Self::Written(id) => (id << 16 | sector).to_be_bytes().repeat(64),
        }
    }
}

/// A request of a batch: sectors get a content.
#[derive(Debug, Clone)]
struct Change {
    sectors: std::ops::Range<u64>,
    content: Content,
    fua: bool,
    atomic: bool,
}

impl Change {
    fn op(&self, golden: &[u8]) -> Op {
        let (offset, fua) = (self.sectors.start * 512, self.fua);
        let len = (self.sectors.end - self.sectors.start) * 512;
        match self.content {
            Content::Zeros if fua => Op::WriteZeroes { offset, len, fua },
            Content::Zeros => Op::Discard { offset, len },
            content => {
                let bytes = self.sectors.clone().flat_map(|sector| content.bytes(golden, sector));
                let buf = Buffer::from_slice(&bytes.collect::<Vec<_>>());
                match self.atomic {
                    true => Op::WriteAtomic { offset, buf, fua },
                    false => Op::Write { offset, buf, fua },
                }
            }
        }
    }
}

/// The changes of batch `number`: they do not overlap, but share 4 KiB blocks.
fn batch(random: &mut Random, number: u64) -> Vec<Change> {
    let shift = random.below(SECTORS / BATCH);
    let part = |i| shift + i * (SECTORS - SECTORS / BATCH) / BATCH;
    (0..BATCH)
        .map(|i| {
            let (from, to) = (part(i), part(i + 1));
            let start = from + random.below(to - from);
            let end = start + 1 + random.below((to - start).min(20));
            let content = match random.below(4) {
                0 => Content::Zeros,
                _ => Content::Written(number * BATCH + i + 1),
            };
            let (fua, atomic) = (random.below(4) == 0, random.below(4) == 0);
            Change { sectors: start..end, content, fua, atomic }
        })
        .collect()
}

/// What each sector may hold after a crash: the first is stable, the others came later.
struct Expected(Vec<Vec<Content>>);

impl Expected {
    fn new() -> Self {
        Self(vec![vec![Content::Golden]; SECTORS as usize])
    }

    fn sectors(&mut self, change: &Change) -> &mut [Vec<Content>] {
        &mut self.0[change.sectors.start as usize..change.sectors.end as usize]
    }

    fn tried(&mut self, change: &Change) {
        self.sectors(change).iter_mut().for_each(|may| may.push(change.content));
    }

    /// The last thing tried in these sectors is stable.
    fn stable(sectors: &mut [Vec<Content>]) {
        sectors.iter_mut().for_each(|may| drop(may.drain(..may.len() - 1)));
    }

    /// How many atomic writes, the last to their sectors, are there in part; to be asked after
    /// [`Self::check`].
    fn torn(&self, changes: &[Change]) -> usize {
        let is_torn = |change: &&Change| {
            let sectors = &self.0[change.sectors.start as usize..change.sectors.end as usize];
            let there = sectors.iter().filter(|may| may[..] == [change.content]).count();
            change.atomic && change.content != Content::Zeros && (1..sectors.len()).contains(&there)
        };
        changes.iter().filter(is_torn).count()
    }

    /// Compares, and goes on with what was found.
    fn check(&mut self, golden: &[u8], disk: &Disk, context: &str) {
        let bytes = disk.read(0, BYTES as usize);
        for ((may, bytes), sector) in self.0.iter_mut().zip(bytes.chunks(512)).zip(0..) {
            let found = may.iter().find(|content| content.bytes(golden, sector) == bytes);
            assert!(
                found.is_some(),
                "{context}: sector {sector} is none of {may:?} but {:?}...",
                &bytes[..8]
            );
            *may = found.into_iter().copied().collect();
        }
    }
}

pub(super) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Makes the live maps those of another run of the kernel.
fn reboot(dir: &Path) {
    for path in layer_files(dir) {
        if path.extension().is_some_and(|ending| ending == "live") {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[40] ^= 1;
            let checksum = crc32c::crc32c(&bytes[..508]);
            bytes[508..512].copy_from_slice(&checksum.to_le_bytes());
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

/// Writes until the power fails; false: it has not failed yet.
fn one_batch(
    disk: &Disk,
    golden: &[u8],
    expected: &mut Expected,
    changes: &[Change],
    write_cache: bool,
) -> bool {
    changes.iter().for_each(|change| expected.tried(change));
    let results = disk.run_all(changes.iter().map(|change| change.op(golden)));
    for (change, result) in changes.iter().zip(&results) {
        // A discard has no FUA.
        if result.is_ok() && (change.fua || !write_cache) {
            Expected::stable(expected.sectors(change));
        }
    }
    results.iter().any(Result::is_err)
}

/// How many atomic writes the loss of power has left torn. `after_loss` may do more harm.
fn lose_power(seed: u64, write_cache: bool, after_loss: impl FnOnce(&Path)) -> usize {
    let mut random = Random(seed);
    let (dir, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path(), write_cache);
    let golden = with_clone(&store, BYTES);
    let disk = writable(&store, "clone");
    let mut expected = Expected::new();
    // What the record beside the data may be.
    let mut records = vec![Vec::new()];
    let power = Power::watch(dir.path(), random.below(150), std::io::ErrorKind::Other);
    let mut changes = Vec::new();
    for number in 0.. {
        changes = batch(&mut random, number);
        if one_batch(&disk, &golden, &mut expected, &changes, write_cache) {
            break;
        }
        if random.below(4) == 0 {
            let record = format!("after {number}").into_bytes();
            let saved = disk.save_state(&record);
            if saved.is_ok() {
                records.clear();
            }
            records.push(record);
        }
        if random.below(4) == 0 {
            let flushed: Result<Done, Error> = disk.run(Op::Flush);
            if flushed.is_err() {
                break;
            }
            Expected::stable(&mut expected.0);
        }
    }
    power.cut();
    copy_dir(dir.path(), after.path());
    power.lose(after.path(), |n| random.below(n as u64) as usize);
    drop((disk, store));
    power.restore();

    reboot(after.path());
    after_loss(after.path());
    let store = open(after.path(), random.below(2) == 0);
    let disk = writable(&store, "clone");
    expected.check(&golden, &disk, &format!("seed {seed}"));
    match disk.state() {
        SavedState::Record(record) => assert!(records.contains(&record), "seed {seed}: {record:?}"),
        other => panic!("seed {seed}: {other:?}"),
    }
    let snapshot = Disk::new(store.open("golden", Some("s"), OpenMode::ReadOnly).unwrap());
    assert!(snapshot.read(0, BYTES as usize) == golden);
    expected.torn(&changes)
}

fn lose_power_often(write_cache: bool) {
    for seed in 0..LOSSES {
        assert_eq!(lose_power(seed, write_cache, |_| ()), 0, "torn atomic writes, seed {seed}");
    }
}

#[test]
fn a_power_loss_takes_nothing_that_was_promised_in_write_through_mode() {
    lose_power_often(false);
}

#[test]
fn a_power_loss_takes_nothing_that_was_promised_with_a_write_cache() {
    lose_power_often(true);
}

#[test]
fn without_the_journals_atomic_writes_would_be_torn() {
    let forget = |dir: &Path| {
        let journals = layer_files(dir).into_iter();
        journals
            .filter(|path| path.extension().is_some_and(|ending| ending == "atomic"))
            .for_each(|path| std::fs::remove_file(path).unwrap());
    };
    let torn: usize = (0..LOSSES).map(|seed| lose_power(seed, seed % 2 == 0, forget)).sum();
    assert!(torn > 0, "the test above could not fail");
}

/// A copy of the store in `dir` as the loss of power leaves it.
fn lose(dir: &Path, power: &Power, random: &mut Random) -> tempfile::TempDir {
    power.cut();
    let after = tempfile::tempdir().unwrap();
    copy_dir(dir, after.path());
    power.lose(after.path(), |n| random.below(n as u64) as usize);
    power.restore();
    reboot(after.path());
    after
}

/// The power fails at step `first` of an atomic write, and again at step `second` of what opening
/// the image makes of that.
fn lose_power_twice(first: u64, second: u64, image: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(first << 8 | second);
    let mut old = with_clone(&open(dir.path(), false), BYTES);
    // Blocks that the layer holds, and others.
    let (at, len) = (3 * 4096 + 512, 5 * 4096);
    let store = open(dir.path(), false);
    let disk = writable(&store, image);
    disk.write(at as u64 + 4096, &pattern(5, 8192));
    old[at + 4096..][..8192].copy_from_slice(&pattern(5, 8192));
    let mut new = old.clone();
    new[at..at + len].copy_from_slice(&pattern(7, len));
    // The journal is there.
    disk.run(Op::WriteAtomic { offset: 0, buf: Buffer::from_slice(&old[..512]), fua: false })
        .unwrap();

    let power = Power::watch(dir.path(), first, std::io::ErrorKind::Other);
    let buf = Buffer::from_slice(&new[at..at + len]);
    let written = disk.run(Op::WriteAtomic { offset: at as u64, buf, fua: false }).is_ok();
    let after = lose(dir.path(), &power, &mut random);
    drop((disk, store));

    let store = open(after.path(), false);
    let power = Power::watch(after.path(), second, std::io::ErrorKind::Other);
    let _may_fail = store.open(image, None, OpenMode::ReadWrite);
    let last = lose(after.path(), &power, &mut random);
    drop((_may_fail, store));

    let store = open(last.path(), false);
    let found = writable(&store, image).read(0, BYTES as usize);
    assert!(found == new || (!written && found == old), "steps {first} and {second}");
}

#[test]
fn an_atomic_write_survives_a_loss_of_power_while_it_is_made_good() {
    for (first, second) in (0..9).flat_map(|first| (0..9).map(move |second| (first, second))) {
        lose_power_twice(first, second, "clone");
    }
}

#[test]
fn an_atomic_write_that_fails_half_way_shows_nothing_of_itself() {
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..9 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), false);
        let old = with_clone(&store, BYTES);
        let disk = writable(&store, "clone");
        let mut new = old.clone();
        new[512..9216].copy_from_slice(&pattern(7, 8704));
        let op = || {
            let buf = Buffer::from_slice(&new[512..9216]);
            Op::WriteAtomic { offset: 512, buf, fua: false }
        };
        let broken = Power::watch(dir.path(), step, std::io::ErrorKind::Other);
        let written = disk.run(op());
        broken.restore();
        seen.insert(written.is_ok());
        let read = disk.run(Op::Read { offset: 0, buf: Buffer::unfilled(BYTES as usize) });
        match (written, read) {
            (Ok(_), Ok(Done::Data(bytes))) => assert!(bytes.to_vec() == new, "step {step}"),
            // Not known what is there: nobody sees it until the image is opened again.
            (Err(_), Err(error)) => assert_eq!(error.kind(), ErrorKind::Medium, "step {step}"),
            other => panic!("step {step}: {other:?}"),
        }
        drop(disk);
        let found = writable(&store, "clone").read(0, BYTES as usize);
        assert!(found == old || found == new, "step {step}");
    }
    assert_eq!(seen.len(), 2, "some failed, some did not");
}

#[test]
fn a_head_has_a_journal_once_it_needs_one_and_no_frozen_layer_has() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    with_clone(&store, 2 << 20);
    let journals = || -> Vec<std::path::PathBuf> {
        let files = layer_files(dir.path()).into_iter();
        files.filter(|path| path.extension().is_some_and(|ending| ending == "atomic")).collect()
    };
    let disk = writable(&store, "clone");
    disk.write(0, &[1; 512]);
    assert_eq!(journals(), [] as [std::path::PathBuf; 0]);
    let write = || Op::WriteAtomic { offset: 0, buf: Buffer::zeroed(1024), fua: false };
    for snapshot in ["a", "b"] {
        disk.run(write()).unwrap();
        assert_eq!(journals(), [head_file(dir.path(), &store, "clone", "atomic")]);
        store.snapshot("clone", snapshot).unwrap();
        assert!(journals().is_empty());
    }
    let too_long = Buffer::zeroed(journal::ATOMIC_WRITE_BYTES_MAX as usize + 1);
    let refused = disk.run(Op::WriteAtomic { offset: 0, buf: too_long, fua: false });
    assert!(refused.is_err() && journals().is_empty());
}

/// Not a test of its own: what [`kill_children`] starts and kills.
#[test]
fn child() {
    let Ok(arguments) = std::env::var(CHILD) else { return };
    let mut arguments = arguments.splitn(3, ' ');
    let mut number = || arguments.next().unwrap().parse::<u64>().unwrap();
    let (write_cache, round) = (number() == 1, number());
    let store = open(Path::new(arguments.next().unwrap()), write_cache);
    let golden = pattern(1, BYTES as usize);
    let disk = writable(&store, "clone");
    let mut random = Random(round);
    for number in 0.. {
        let changes = batch(&mut random, round * 100_000 + number);
        disk.save_state(&(round * 100_000 + number).to_be_bytes()).unwrap();
        for result in disk.run_all(changes.iter().map(|change| change.op(&golden))) {
            result.unwrap();
        }
        println!("done {number}");
    }
}

/// Starts a child that writes, kills it after some batches, and gives the number of batches that
/// it reported.
fn write_and_kill(dir: &Path, write_cache: bool, round: u64, batches: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backend::local::tests::crash::child", "--nocapture"])
        .env(CHILD, format!("{} {round} {}", u8::from(write_cache), dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut reported = 0;
    for line in lines {
        let line = line.unwrap();
        // The harness writes "test ... " in front of the first.
        let Some((_, number)) = line.split_once("done ") else { continue };
        reported = number.parse::<u64>().unwrap() + 1;
        if reported == batches {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(reported >= batches, "the child ended by itself");
    reported
}

fn kill_children(write_cache: bool) {
    let dir = tempfile::tempdir().unwrap();
    let golden = with_clone(&open(dir.path(), write_cache), BYTES);
    let mut expected = Expected::new();
    for round in 0..KILLS {
        let reported = write_and_kill(dir.path(), write_cache, round, 1 + round % 7 * 5);
        let mut random = Random(round);
        for number in 0..=reported {
            let changes = batch(&mut random, round * 100_000 + number);
            changes.iter().for_each(|change| expected.tried(change));
            if number < reported {
                changes.iter().for_each(|change| Expected::stable(expected.sectors(change)));
            }
        }
        let store = open(dir.path(), write_cache);
        let disk = writable(&store, "clone");
        expected.check(&golden, &disk, &format!("round {round}"));
        let SavedState::Record(record) = disk.state() else { panic!("round {round}") };
        let last = u64::from_be_bytes(record.try_into().unwrap()) - round * 100_000;
        // That of a batch which was reported, or of the one that was under way.
        assert!((reported..=reported + 1).contains(&(last + 1)), "round {round}: {last}");
    }
}

#[test]
fn kill_9_takes_no_completed_write_in_write_through_mode() {
    kill_children(false);
}

#[test]
fn kill_9_takes_no_completed_write_with_a_write_cache() {
    kill_children(true);
}

#[test]
fn a_journal_with_a_write_beyond_the_end_is_damage_and_one_without_is_done() {
    for (offset, refused) in [(BYTES, Some(StoreErrorKind::Corrupt)), (BYTES - 1024, None)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), false);
        let mut wanted = with_clone(&store, BYTES);
        let path = head_file(dir.path(), &store, "clone", "atomic");
        let head = store.meta.image("clone").unwrap().head;
        let journal = journal::Journal::create(&path, head).unwrap();
        journal.write(offset, &Buffer::from_slice(&[7; 1024])).unwrap();
        let opened = store.open("clone", None, OpenMode::ReadWrite);
        assert_eq!(opened.as_ref().err().map(StoreError::kind), refused);
        if let Ok(volume) = opened {
            wanted[offset as usize..].fill(7);
            assert!(Disk::new(volume).read(0, BYTES as usize) == wanted);
        }
    }
}
