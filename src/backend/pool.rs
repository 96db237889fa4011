//! The threads on which file I/O may wait: a fixed number, shared by every volume.
//!
//! Jobs come in batches with one wake-up per batch; a thread that leaves jobs behind wakes the
//! next one. Completions go back in batches too. The queue has no limit of its own: the command
//! windows of the sessions bound what can be in it.

use std::collections::VecDeque;
use std::io;
use std::num::NonZero;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::block::{Completion, CompletionQueue, Request};

/// Fewest and most threads that [`Pool::threads_default`] gives.
const THREADS_DEFAULT: (usize, usize) = (4, 16);
/// Most threads of a pool.
pub const THREADS_MAX: usize = 256;
/// Jobs a thread takes at a time at most: more would make the first wait for the last.
const SHARE_MAX: usize = 4;

/// What the threads do jobs for.
pub(super) trait Work: Send + Sync + 'static {
    /// Does `task`; what it completes goes to `finished`.
    fn run(self: Arc<Self>, task: Task, finished: &mut Finished);
}

/// A job on some [`Work`].
pub(super) enum Task {
    /// Do this request and complete it in that queue.
    Run(Request, Arc<CompletionQueue>),
    /// Make stable what ran before and complete it.
    Commit,
    /// Put everything on stable storage; nobody waits for it.
    Close,
}

/// A [`Task`] and whose it is.
pub(super) struct Job {
    pub(super) work: Arc<dyn Work>,
    pub(super) task: Task,
}

/// Completions on their way to their queues.
#[derive(Default)]
pub(super) struct Finished {
    list: Vec<(Arc<CompletionQueue>, Completion)>,
}

impl Finished {
    /// Adds one.
    pub(super) fn push(&mut self, queue: Arc<CompletionQueue>, completion: Completion) {
        self.list.push((queue, completion));
    }

    /// Hands over all there are, neighbours of one queue together.
    pub(super) fn deliver(&mut self) {
        let mut rest = self.list.drain(..).peekable();
        while let Some((queue, first)) = rest.next() {
            let same = std::iter::from_fn(|| {
                rest.next_if(|(next, _)| Arc::ptr_eq(next, &queue)).map(|(_, more)| more)
            });
            queue.push_all(std::iter::once(first).chain(same));
        }
    }
}

/// The threads. They end, when nothing is left to do, after the last reference is dropped.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    threads: usize,
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl Pool {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// When there are none or more than [`THREADS_MAX`], or the system gives no more threads.
    pub fn start(threads: usize) -> io::Result<Arc<Self>> {
        if !(1..=THREADS_MAX).contains(&threads) {
            let message = format!("the number of I/O threads must be 1 to {THREADS_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let shared =
            Arc::new(Shared { threads, queue: Mutex::default(), ready: Condvar::default() });
        let pool = Arc::new(Self { shared: Arc::clone(&shared) });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("io-{number}"))
                .spawn(move || work_until_closed(&shared))?;
        }
        Ok(pool)
    }

    /// Two threads a processor, at least 4 and at most 16.
    #[must_use]
    pub fn threads_default() -> usize {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        (2 * processors).clamp(THREADS_DEFAULT.0, THREADS_DEFAULT.1)
    }

    /// Queues a batch of jobs. Never waits for one of them.
    pub(super) fn submit(&self, jobs: impl IntoIterator<Item = Job>) {
        let mut queue = self.shared.queue.lock();
        queue.jobs.extend(jobs);
        if queue.idle > 0 && !queue.jobs.is_empty() {
            drop(queue);
            self.shared.ready.notify_one();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.ready.notify_all();
    }
}

fn work_until_closed(shared: &Shared) {
    let mut share = Vec::with_capacity(SHARE_MAX);
    let mut finished = Finished::default();
    while shared.take(&mut share) {
        for Job { work, task } in share.drain(..) {
            work.run(task, &mut finished);
        }
        finished.deliver();
    }
}

impl Shared {
    /// Waits for jobs and takes a fair share of them; false: there will be none any more.
    fn take(&self, share: &mut Vec<Job>) -> bool {
        let mut queue = self.queue.lock();
        while queue.jobs.is_empty() {
            if queue.closed {
                return false;
            }
            queue.idle += 1;
            self.ready.wait(&mut queue);
            queue.idle -= 1;
        }
        let count = queue.jobs.len().div_ceil(self.threads).min(SHARE_MAX);
        share.extend(queue.jobs.drain(..count));
        if queue.idle > 0 && !queue.jobs.is_empty() {
            drop(queue);
            self.ready.notify_one();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc;

    use super::*;

    struct Meet(Barrier, mpsc::Sender<()>);

    impl Work for Meet {
        fn run(self: Arc<Self>, _: Task, _: &mut Finished) {
            self.0.wait();
            self.1.send(()).unwrap();
        }
    }

    #[test]
    fn one_batch_wakes_as_many_threads_as_it_needs() {
        let pool = Pool::start(4).unwrap();
        let (sender, receiver) = mpsc::channel();
        let work: Arc<dyn Work> = Arc::new(Meet(Barrier::new(4), sender));
        pool.submit((0..4).map(|_| Job { work: Arc::clone(&work), task: Task::Commit }));
        // Each job waits until four run at the same time.
        for _ in 0..4 {
            receiver.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        }
    }

    #[test]
    fn jobs_queued_before_the_end_are_done() {
        let pool = Pool::start(1).unwrap();
        let (sender, receiver) = mpsc::channel();
        let work: Arc<dyn Work> = Arc::new(Meet(Barrier::new(1), sender));
        pool.submit((0..100).map(|_| Job { work: Arc::clone(&work), task: Task::Commit }));
        drop((pool, work));
        assert_eq!(receiver.iter().count(), 100);
    }

    #[test]
    fn a_pool_without_threads_is_refused() {
        assert!(Pool::start(0).is_err());
    }
}
