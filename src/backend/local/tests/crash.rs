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
                Op::Write { offset, buf: Buffer::from_slice(&bytes.collect::<Vec<_>>()), fua }
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
            Change { sectors: start..end, content, fua: random.below(4) == 0 }
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

fn copy_dir(from: &Path, to: &Path) {
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

fn lose_power(seed: u64, write_cache: bool) {
    let mut random = Random(seed);
    let (dir, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path(), write_cache);
    let golden = with_clone(&store, BYTES);
    let disk = writable(&store, "clone");
    let mut expected = Expected::new();
    // What the record beside the data may be.
    let mut records = vec![Vec::new()];
    let power = Power::watch(dir.path(), random.below(150), std::io::ErrorKind::Other);
    for number in 0.. {
        let changes = batch(&mut random, number);
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
    let store = open(after.path(), random.below(2) == 0);
    let disk = writable(&store, "clone");
    expected.check(&golden, &disk, &format!("seed {seed}"));
    match disk.state() {
        SavedState::Record(record) => assert!(records.contains(&record), "seed {seed}: {record:?}"),
        other => panic!("seed {seed}: {other:?}"),
    }
    let snapshot = Disk::new(store.open("golden", Some("s"), OpenMode::ReadOnly).unwrap());
    assert!(snapshot.read(0, BYTES as usize) == golden);
}

#[test]
fn a_power_loss_takes_nothing_that_was_promised_in_write_through_mode() {
    (0..LOSSES).for_each(|seed| lose_power(seed, false));
}

#[test]
fn a_power_loss_takes_nothing_that_was_promised_with_a_write_cache() {
    (0..LOSSES).for_each(|seed| lose_power(seed, true));
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
