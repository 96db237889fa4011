//! Where dropped handles are closed.
//!
//! Closing an image or a connection waits for the cluster and for librbd's own threads, but the
//! last reference may be dropped anywhere: on a shard, or in librbd's callback itself, where
//! closing would wait for its own return. So it happens on a few threads of this module; the
//! few other calls that wait and that librbd has no asynchronous form of get a thread each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Once};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::ffi::Api;

/// Images of one store close in parallel, this many at a time.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

struct Closer {
    jobs: Sender<Job>,
    unfinished: Mutex<usize>,
    finished: Condvar,
}

/// How long the end of the process waits for what is being closed.
const EXIT_WAIT: Duration = Duration::from_secs(10);

static CLOSER: LazyLock<Closer> = LazyLock::new(|| {
    let (jobs, queue) = channel();
    let queue = Arc::new(Mutex::new(queue));
    for i in 0..THREADS {
        let queue = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name(format!("rbd-close-{i}"));
        thread.spawn(move || work(&queue)).expect("the process may start threads");
    }
    Closer { jobs, unfinished: Mutex::new(0), finished: Condvar::new() }
});

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().recv();
        let Ok(job) = job else { return };
        let _counted = Counted;
        contained(job);
    }
}

/// A job that was counted when it was given, however it ends.
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        *CLOSER.unfinished.lock() -= 1;
        CLOSER.finished.notify_all();
    }
}

/// A panic in one job is no matter of the others. (Where and why is said by the panic itself.)
fn contained(job: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a defect in this program: a job of the store's was not done");
    }
}

/// Starts the threads, so that no `drop` has to, and makes the process wait for them when it
/// exits: before the libraries' own exit handlers, under which a closing thread would crash. (What
/// was registered last runs first.)
pub(super) fn prepare(api: &Api) {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        LazyLock::force(&CLOSER);
        api.at_exit(at_exit);
    });
}

extern "C" fn at_exit() {
    wait_closed(EXIT_WAIT);
}

/// Runs `job` soon, on another thread.
pub(super) fn run(job: impl FnOnce() + Send + 'static) {
    *CLOSER.unfinished.lock() += 1;
    // The receiving end is never dropped.
    let _sent = CLOSER.jobs.send(Box::new(job));
}

/// Runs `job` here; what waits for everything to be closed waits for it, too.
pub(super) fn counted(job: impl FnOnce()) {
    *CLOSER.unfinished.lock() += 1;
    let _counted = Counted;
    contained(job);
}

/// Runs `job` on a thread of its own, so that it waits for no other job and none for it. For what
/// asks the cluster; callers see to it that there are few at a time.
pub(super) fn run_alone(job: impl FnOnce() + Send + 'static) {
    *CLOSER.unfinished.lock() += 1;
    let job = Arc::new(Mutex::new(Some(job)));
    let on_thread = Arc::clone(&job);
    let thread = std::thread::Builder::new().name("rbd-ask".to_owned()).spawn(move || {
        let _counted = Counted;
        if let Some(job) = on_thread.lock().take() {
            contained(job);
        }
    });
    if thread.is_err() {
        // No thread is to be had: behind the others, then.
        let _sent = CLOSER.jobs.send(Box::new(move || {
            if let Some(job) = job.lock().take() {
                job();
            }
        }));
    }
}

/// Waits until every dropped image and connection is closed (and its lock released), at most for
/// `timeout`; returns whether all are. The end of the process does so by itself, for 10 s.
pub fn wait_closed(timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    let mut unfinished = CLOSER.unfinished.lock();
    while *unfinished > 0 {
        if CLOSER.finished.wait_until(&mut unfinished, deadline).timed_out() {
            return *unfinished == 0;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What takes longer hangs.
    const HANGS: Duration = Duration::from_secs(60);

    #[test]
    fn a_job_that_panics_is_over_and_stops_no_other() {
        let panics: fn() = || panic!("this test wants a panic");
        // More than there are threads.
        (0..=THREADS).for_each(|_| run(panics));
        run_alone(panics);
        counted(panics);
        let (done, is_done) = channel();
        run(move || done.send(()).unwrap());
        is_done.recv_timeout(HANGS).unwrap();
        assert!(wait_closed(HANGS), "none counts as unfinished");
    }
}
