//! A thread for what takes too long for a shard, and does not wait for the store.

use std::sync::mpsc::{self, Sender};

/// Something to be done.
type Job = Box<dyn FnOnce() + Send>;

/// Does what it is given, one after the other; ends with its last user.
#[derive(Clone)]
pub(super) struct Runner(Sender<Job>);

impl Runner {
    /// Starts the thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let (jobs, to_do) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("boot-prefetch".into());
        thread.spawn(move || to_do.iter().for_each(|job| job()))?;
        Ok(Self(jobs))
    }

    /// Has it done soon. Never waits.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        // Without its thread nothing is recorded or fetched any more.
        let _gone = self.0.send(Box::new(job));
    }
}
