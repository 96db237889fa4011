//! Locks on ranges of a volume, so that requests to the same bytes see each other whole.

use std::ops::Range;

use parking_lot::{Condvar, Mutex};

/// Every range held or waited for, in the order of arrival; a request goes on once nothing before
/// it conflicts. So nobody starves, and as a request holds one range only, nobody deadlocks.
/// There are never more entries than requests in work (threads of the pool, shards).
#[derive(Default)]
pub(super) struct RangeLock {
    entries: Mutex<Entries>,
    released: Condvar,
}

#[derive(Default)]
struct Entries {
    list: Vec<Entry>,
    next_id: u64,
    waiting: usize,
}

struct Entry {
    id: u64,
    range: Range<u64>,
    exclusive: bool,
}

impl Entry {
    fn conflicts(&self, other: &Self) -> bool {
        (self.exclusive || other.exclusive)
            && self.range.start < other.range.end
            && other.range.start < self.range.end
    }
}

/// Holds a range until dropped.
pub(super) struct RangeGuard<'a> {
    lock: &'a RangeLock,
    id: u64,
}

impl Entries {
    fn add(&mut self, range: Range<u64>, exclusive: bool) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.list.push(Entry { id, range, exclusive });
        id
    }

    /// Whether nothing that came before `id` stands in its way.
    fn may_go_on(&self, id: u64) -> bool {
        let Some(at) = self.list.iter().position(|entry| entry.id == id) else { return true };
        let (before, this) = (&self.list[..at], &self.list[at]);
        !before.iter().any(|entry| entry.conflicts(this))
    }
}

impl RangeLock {
    /// The range for reading, if that needs no waiting.
    pub(super) fn try_shared(&self, range: Range<u64>) -> Option<RangeGuard<'_>> {
        let mut entries = self.entries.lock();
        let wanted = Entry { id: 0, range, exclusive: false };
        if entries.list.iter().any(|entry| entry.conflicts(&wanted)) {
            return None;
        }
        let id = entries.add(wanted.range, false);
        Some(RangeGuard { lock: self, id })
    }

    /// The range for reading.
    pub(super) fn shared(&self, range: Range<u64>) -> RangeGuard<'_> {
        self.wait_for(range, false)
    }

    /// The range for writing.
    pub(super) fn exclusive(&self, range: Range<u64>) -> RangeGuard<'_> {
        self.wait_for(range, true)
    }

    fn wait_for(&self, range: Range<u64>, exclusive: bool) -> RangeGuard<'_> {
        let mut entries = self.entries.lock();
        let id = entries.add(range, exclusive);
        while !entries.may_go_on(id) {
            entries.waiting += 1;
            self.released.wait(&mut entries);
            entries.waiting -= 1;
        }
        RangeGuard { lock: self, id }
    }
}

impl Drop for RangeGuard<'_> {
    fn drop(&mut self) {
        let mut entries = self.lock.entries.lock();
        // `remove`, not `swap_remove`: the order is what keeps the lock fair.
        if let Some(at) = entries.list.iter().position(|entry| entry.id == self.id) {
            entries.list.remove(at);
        }
        if entries.waiting > 0 {
            self.lock.released.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn readers_share_and_writers_do_not() {
        let lock = RangeLock::default();
        let first = lock.shared(0..10);
        let second = lock.try_shared(5..15);
        assert!(second.is_some());
        let writer = lock.exclusive(15..20);
        assert!(lock.try_shared(19..21).is_none());
        assert!(lock.try_shared(20..21).is_some(), "neighbours do not conflict");
        drop((first, second, writer));
        assert!(lock.try_shared(0..100).is_some());
    }

    #[test]
    fn a_waiting_writer_is_not_overtaken_by_readers() {
        let lock = RangeLock::default();
        let reader = lock.shared(0..10);
        std::thread::scope(|scope| {
            scope.spawn(|| drop(lock.exclusive(5..6)));
            while lock.entries.lock().waiting == 0 {
                std::thread::yield_now();
            }
            assert!(lock.try_shared(5..6).is_none());
            drop(reader);
        });
        assert!(lock.try_shared(5..6).is_some());
    }

    #[test]
    fn holders_of_overlapping_ranges_exclude_each_other() {
        let lock = RangeLock::default();
        let (counter, seen) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for i in 0..4 {
                let (lock, counter, seen) = (&lock, &counter, &seen);
                scope.spawn(move || {
                    for _ in 0..2000 {
                        let _held = lock.exclusive(i..10);
                        seen.fetch_max(counter.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                        counter.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(seen.load(Ordering::SeqCst), 0, "never two at a time");
    }
}
