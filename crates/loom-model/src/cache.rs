//! The rules of the cache under loom: a disk of one block behind a shard of the cache, as
//! `CachedVolume` drives it. Every interleaving of fills, writes and invalidations, each of whose
//! steps is one turn under the shard's lock or on the disk. At the end the cache may hold what the
//! disk holds, or nothing; and who has seen a write acknowledged never reads older data.

#![allow(dead_code, reason = "the product has more uses for it")]

#[path = "../../../src/cache/fifo.rs"]
mod fifo;
#[path = "../../../src/cache/geometry.rs"]
mod geometry;
#[path = "../../../src/cache/hash.rs"]
mod hash;
#[path = "../../../src/cache/shard.rs"]
mod shard;

use hash::Key;
use loom::sync::{Arc, Mutex};
use loom::thread;
use shard::{Bug, Shard};

fn key() -> Key {
    Key::own(0)
}

/// The one block.
const BLOCK: u16 = 1;

/// A disk of one number, and its cache. Loom's locks: each use of one is a place to switch.
struct Disk {
    stored: Mutex<u64>,
    cache: Mutex<Shard<u64, ()>>,
}

impl Disk {
    fn new(bug: Option<Bug>) -> Arc<Self> {
        let mut shard = Shard::default();
        shard.bug = bug;
        Arc::new(Self { stored: Mutex::new(0), cache: Mutex::new(shard) })
    }

    fn cache<R>(&self, step: impl FnOnce(&mut Shard<u64, ()>) -> R) -> R {
        step(&mut self.cache.lock().expect("no panic under the lock"))
    }

    fn stored(&self) -> u64 {
        *self.stored.lock().expect("no panic under the lock")
    }

    fn store(&self, value: u64) {
        *self.stored.lock().expect("no panic under the lock") = value;
    }

    /// What the cache holds.
    fn held(&self) -> Option<u64> {
        self.cache(|shard| shard.get(key(), BLOCK).and_then(|blocks| blocks[0]))
    }

    fn read(&self) -> u64 {
        let (mut held, mut coming) = (None, false);
        let fill = self.cache(|shard| {
            let absent =
                shard.find(key(), BLOCK, |_, value| held = Some(*value), |_, ()| coming = true)?;
            (absent != 0).then(|| shard.begin_fill(key(), absent, ()))
        });
        let Some(number) = fill else {
            // Whoever finds a fill waits for it, and gets what that reads no earlier than it
            // could itself: to read now is the same, with one turn less.
            return held.unwrap_or_else(|| self.stored());
        };
        let value = self.stored();
        self.cache(|shard| shard.end_fill(key(), number, [(0, value)], true));
        value
    }

    fn write(&self, value: u64) {
        let (number, taken) = self.cache(|shard| shard.begin_write(key(), BLOCK, BLOCK));
        self.store(value);
        let blocks = taken.into_iter().map(|(at, _)| (at, value));
        self.cache(|shard| shard.end_write(key(), number, blocks));
    }

    /// A write of so much that it is not told apart.
    fn sweep(&self, value: u64) {
        let (number, _gone) = self.cache(|shard| shard.begin_sweep(0..1000));
        self.store(value);
        self.cache(|shard| shard.end_sweep(number));
    }

    fn check(&self) {
        let stored = self.stored();
        assert!(self.held().is_none_or(|held| held == stored), "stale: {:?}", self.held());
        assert_eq!(self.read(), stored);
    }
}

/// Runs each of `threads` on a disk that was read once or not, in every interleaving.
fn model(bug: Option<Bug>, is_cached: bool, threads: &'static [fn(&Disk)]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let disk = Disk::new(bug);
        if is_cached {
            disk.read();
        }
        let start = |run: &fn(&Disk)| {
            let (disk, run) = (Arc::clone(&disk), *run);
            thread::spawn(move || run(&disk))
        };
        let running: Vec<_> = threads.iter().map(start).collect();
        for thread in running {
            thread.join().expect("it ran");
        }
        disk.check();
    });
}

fn read(disk: &Disk) {
    disk.read();
}

/// Writes, and reads what was written.
fn write_and_read(disk: &Disk) {
    disk.write(1);
    assert_eq!(disk.read(), 1, "an acknowledged write is read back");
}

fn write_2(disk: &Disk) {
    disk.write(2);
}

fn sweep_and_read(disk: &Disk) {
    disk.sweep(3);
    assert_eq!(disk.read(), 3, "an acknowledged write is read back");
}

/// The disk changes in a way that the cache hears of afterwards.
fn cut(disk: &Disk) {
    disk.store(4);
    disk.cache(|shard| drop(shard.forget_all()));
    assert_eq!(disk.read(), 4, "what was dropped is read anew");
}

fn evict(disk: &Disk) {
    disk.cache(|shard| shard.shrink(0, 0, &mut Vec::new()));
}

#[test]
fn a_fill_does_not_undo_a_write() {
    for is_cached in [false, true] {
        model(None, is_cached, &[read, write_and_read]);
        model(None, is_cached, &[read, write_and_read, evict]);
    }
}

#[test]
fn writes_that_race_leave_what_is_stored() {
    for is_cached in [false, true] {
        model(None, is_cached, &[|disk| disk.write(1), write_2, read]);
    }
}

#[test]
fn a_fill_does_not_undo_a_sweep() {
    for is_cached in [false, true] {
        model(None, is_cached, &[read, sweep_and_read]);
        model(None, is_cached, &[|disk| disk.sweep(1), write_2, read]);
    }
}

#[test]
fn what_was_dropped_does_not_come_back() {
    for is_cached in [false, true] {
        model(None, is_cached, &[read, cut]);
    }
}

#[test]
#[should_panic(expected = "stale: Some(0)")]
fn the_model_finds_the_seeded_bug() {
    model(Some(Bug::FillOutlivesWrite), false, &[read, write_and_read]);
}
