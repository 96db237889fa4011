//! A volume in memory whose answers can be held up.

use std::sync::{Arc, Mutex};

use stirrup::backend::memory::MemoryVolume;
use stirrup::block::{Completion, CompletionQueue, Request, Volume, VolumeInfo};

use super::HANG;

/// Requests that came while a volume was held up, and where their completions belong.
type HeldUp = Vec<(Vec<Request>, Arc<CompletionQueue>)>;

/// A volume in memory whose answers can be held up.
pub(crate) struct Gated {
    memory: MemoryVolume,
    /// `Some` while it is held up.
    held: Mutex<Option<HeldUp>>,
}

impl Gated {
    pub(crate) fn new(size_bytes: u64) -> Arc<Self> {
        Arc::new(Self { memory: MemoryVolume::new(size_bytes, false), held: Mutex::new(None) })
    }

    /// From now on nothing is answered.
    pub(crate) fn hold(&self) {
        self.held.lock().unwrap().get_or_insert_default();
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        let held = self.held.lock().unwrap();
        held.iter().flatten().map(|(requests, _)| requests.len()).sum()
    }

    /// Waits until so many requests wait.
    pub(crate) fn wait_for(&self, count: usize) {
        let begin = std::time::Instant::now();
        while self.waiting() < count {
            assert!(begin.elapsed() < HANG, "{count} requests never came");
            std::thread::yield_now();
        }
    }

    /// Executes and answers all that waited.
    pub(crate) fn release(&self) {
        let held = self.held.lock().unwrap().take();
        for (mut requests, queue) in held.into_iter().flatten() {
            let mut done = Vec::new();
            self.memory.submit(&mut requests, &mut done, &queue);
            queue.push_all(done);
        }
    }
}

impl Volume for Gated {
    fn info(&self) -> VolumeInfo {
        self.memory.info()
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        match self.held.lock().unwrap().as_mut() {
            Some(held) => held.push((std::mem::take(requests), Arc::clone(queue))),
            None => self.memory.submit(requests, done, queue),
        }
    }
}
