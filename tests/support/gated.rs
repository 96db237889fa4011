//! A volume in memory whose answers can be held up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use stirrup::backend::memory::MemoryVolume;
use stirrup::block::{Completion, CompletionQueue, Op, Request, SavedState, Volume, VolumeInfo};

use super::HANG;

/// Requests that came while a volume was held up, and where their completions belong.
type HeldUp = Vec<(Vec<Request>, Arc<CompletionQueue>)>;

/// A volume in memory whose answers can be held up.
pub(crate) struct Gated {
    memory: MemoryVolume,
    /// `Some` while it is held up.
    held: Mutex<Option<HeldUp>>,
    /// What it says of itself; never more than there is.
    size_bytes: AtomicU64,
    write_cache: AtomicBool,
}

impl Gated {
    pub(crate) fn new(size_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryVolume::new(size_bytes, false),
            held: Mutex::new(None),
            size_bytes: AtomicU64::new(size_bytes),
            write_cache: AtomicBool::new(false),
        })
    }

    /// It says that it is so large; the memory it was made with is the most.
    pub(crate) fn set_size(&self, size_bytes: u64) {
        assert!(size_bytes <= self.memory.info().size_bytes);
        self.size_bytes.store(size_bytes, Ordering::SeqCst);
    }

    /// It says that it has a volatile write cache.
    pub(crate) fn set_write_cache(&self) {
        self.write_cache.store(true, Ordering::SeqCst);
    }

    /// The operations that wait, by kind; `write fua` for one that asks for stable storage.
    pub(crate) fn held_ops(&self) -> Vec<&'static str> {
        let held = self.held.lock().unwrap();
        let requests = held.iter().flatten().flat_map(|(requests, _)| requests);
        let name = |op: &Op| match op {
            Op::Read { .. } => "read",
            Op::Write { fua: true, .. } => "write fua",
            Op::Write { .. } => "write",
            Op::Flush => "flush",
            _ => "other",
        };
        requests.map(|request| name(&request.op)).collect()
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
        VolumeInfo {
            size_bytes: self.size_bytes.load(Ordering::SeqCst),
            write_cache: self.write_cache.load(Ordering::SeqCst),
            ..self.memory.info()
        }
    }

    fn saved_state(&self) -> SavedState {
        self.memory.saved_state()
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
