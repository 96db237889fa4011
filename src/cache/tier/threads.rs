//! The threads that wait for the file's disk, and what happens if that takes too long.
//!
//! A disk may hang. Nobody waits for it longer than [`PATIENCE`]: then what was asked for is asked
//! of the store, and until some read of the file ends nothing more is asked of the file.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Evicted;
use crate::block::{CompletionQueue, Request, Volume};

/// Threads that read.
const READERS: usize = 4;
/// Reads under way, those that wait included; with more, the store is asked.
pub(super) const READS_MAX: usize = 64;
/// How long a read may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// A read that is under way.
pub(super) struct Read {
    /// Number of the parent snapshot.
    pub(super) id: u64,
    pub(super) offset: u64,
    pub(super) len: usize,
    /// Asked if the file cannot answer.
    volume: Arc<dyn Volume>,
    begun: Instant,
    /// `None`: it was answered, or the store was asked.
    waiting: Mutex<Option<(Request, Arc<CompletionQueue>)>>,
}

impl Read {
    pub(super) fn new(
        (id, offset, len): (u64, u64, usize),
        volume: &Arc<dyn Volume>,
        request: Request,
        queue: &Arc<CompletionQueue>,
    ) -> Arc<Self> {
        let waiting = Mutex::new(Some((request, Arc::clone(queue))));
        Arc::new(Self {
            id,
            offset,
            len,
            volume: Arc::clone(volume),
            begun: Instant::now(),
            waiting,
        })
    }

    /// The request, for who answers it.
    pub(super) fn take(&self) -> Option<(Request, Arc<CompletionQueue>)> {
        self.waiting.lock().take()
    }

    /// Has the store answer it, if nobody has; false: somebody has.
    pub(super) fn ask_store(&self) -> bool {
        let Some((request, queue)) = self.take() else { return false };
        let mut done = Vec::new();
        self.volume.submit(&mut vec![request], &mut done, &queue);
        if !done.is_empty() {
            queue.push_all(done);
        }
        true
    }
}

#[derive(Default)]
struct Work {
    reads: VecDeque<Arc<Read>>,
    /// Those in `reads`, and those that a thread is at; oldest first.
    begun: Vec<Arc<Read>>,
    /// Threads that are at a read.
    running: usize,
    writes: VecDeque<Vec<Evicted>>,
    closed: bool,
}

/// What the threads share.
#[derive(Default)]
pub(super) struct Queue {
    work: Mutex<Work>,
    to_read: Condvar,
    to_write: Condvar,
    to_watch: Condvar,
    /// The disk did not answer in time; changed under the lock.
    stuck: AtomicBool,
}

/// What the threads do their work with.
pub(super) trait Worker: Send + Sync + 'static {
    /// Waits for the disk.
    fn read(&self, read: &Read);
    /// Waits for the disk.
    fn write(&self, evicted: Vec<Evicted>);
}

impl Queue {
    /// Starts the threads, which end some time after [`Self::close`].
    pub(super) fn start(self: &Arc<Self>, worker: &Arc<impl Worker>) -> io::Result<()> {
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(format!("cache-file-{name}"));
            thread.spawn(run).map(drop)
        };
        for number in 0..READERS {
            let (queue, worker) = (Arc::clone(self), Arc::clone(worker));
            spawn(&number.to_string(), Box::new(move || queue.read_all(&*worker)))?;
        }
        let (queue, worker) = (Arc::clone(self), Arc::clone(worker));
        spawn("w", Box::new(move || queue.write_all(&*worker)))?;
        let queue = Arc::clone(self);
        spawn("watch", Box::new(move || queue.watch()))
    }

    pub(super) fn close(&self) {
        self.work.lock().closed = true;
        self.to_read.notify_all();
        self.to_write.notify_all();
        self.to_watch.notify_all();
    }

    /// Whether the file is to be asked at all.
    pub(super) fn takes_reads(&self) -> bool {
        !self.stuck.load(Ordering::Relaxed)
    }

    /// Has it read soon; `false`: there are too many.
    pub(super) fn read(&self, read: &Arc<Read>) -> bool {
        let mut work = self.work.lock();
        if work.begun.len() >= READS_MAX {
            return false;
        }
        let is_first = work.begun.is_empty();
        work.begun.push(Arc::clone(read));
        work.reads.push_back(Arc::clone(read));
        drop(work);
        self.to_read.notify_one();
        if is_first {
            self.to_watch.notify_one();
        }
        true
    }

    /// Has it written some time.
    pub(super) fn write(&self, evicted: Vec<Evicted>) {
        self.work.lock().writes.push_back(evicted);
        self.to_write.notify_one();
    }

    fn read_all(&self, worker: &impl Worker) {
        let mut work = self.work.lock();
        loop {
            if let Some(read) = work.reads.pop_front() {
                work.running += 1;
                drop(work);
                worker.read(&read);
                work = self.work.lock();
                work.running -= 1;
                // It answers, however late.
                self.stuck.store(false, Ordering::Relaxed);
                work.begun.retain(|begun| !Arc::ptr_eq(begun, &read));
            } else if work.closed {
                return;
            } else {
                self.to_read.wait(&mut work);
            }
        }
    }

    fn write_all(&self, worker: &impl Worker) {
        let mut work = self.work.lock();
        loop {
            if let Some(evicted) = work.writes.pop_front() {
                drop(work);
                worker.write(evicted);
                work = self.work.lock();
            } else if work.closed {
                return;
            } else {
                self.to_write.wait(&mut work);
            }
        }
    }

    /// Gives up on reads that take too long.
    fn watch(&self) {
        let mut work = self.work.lock();
        while !work.closed || !work.begun.is_empty() {
            let Some(oldest) = work.begun.first() else {
                self.to_watch.wait(&mut work);
                continue;
            };
            let left = PATIENCE.saturating_sub(oldest.begun.elapsed());
            if !left.is_zero() {
                let _woken = self.to_watch.wait_for(&mut work, left);
                continue;
            }
            let late = Arc::clone(oldest);
            work.reads.retain(|read| !Arc::ptr_eq(read, &late));
            work.begun.retain(|begun| !Arc::ptr_eq(begun, &late));
            // Some thread must be at a read, whose end shows that the disk answers again.
            let is_news = work.running > 0 && !self.stuck.swap(true, Ordering::Relaxed);
            drop(work);
            if is_news {
                tracing::warn!("the disk of the cache's file does not answer: the store is asked");
            }
            late.ask_store();
            work = self.work.lock();
        }
    }
}
