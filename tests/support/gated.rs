//! A volume in memory whose answers can be held up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use stirrup::backend::memory::MemoryVolume;
use stirrup::block::{Completion, CompletionQueue, Op, Request, SavedState, Volume, VolumeInfo};

use super::HANG;

/// Requests that came while a volume was held up, and where their completions belong.
#[derive(Default)]
struct HeldUp {
    /// What comes now is held up.
    holding: bool,
    requests: Vec<(Request, Arc<CompletionQueue>)>,
}

/// A volume in memory whose answers can be held up.
pub(crate) struct Gated {
    memory: MemoryVolume,
    held: Mutex<HeldUp>,
    /// First blocks of the reads and writes that came, in their order.
    seen: Mutex<Vec<u64>>,
    /// What it says of itself; never more than there is.
    size_bytes: AtomicU64,
    write_cache: AtomicBool,
}

impl Gated {
    pub(crate) fn new(size_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryVolume::new(size_bytes, false),
            held: Mutex::default(),
            seen: Mutex::default(),
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

    /// From now on nothing is answered.
    pub(crate) fn hold(&self) {
        self.held.lock().unwrap().holding = true;
    }

    /// What waits goes on waiting; what comes from now on does not.
    pub(crate) fn let_others_pass(&self) {
        self.held.lock().unwrap().holding = false;
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.held.lock().unwrap().requests.len()
    }

    /// The operations that wait, by kind; `write fua` for one that asks for stable storage.
    pub(crate) fn held_ops(&self) -> Vec<&'static str> {
        let name = |(request, _): &(Request, _)| match &request.op {
            Op::Read { .. } => "read",
            Op::Write { fua: true, .. } => "write fua",
            Op::Write { .. } => "write",
            Op::Flush => "flush",
            _ => "other",
        };
        self.held.lock().unwrap().requests.iter().map(name).collect()
    }

    /// First blocks of the reads and writes that came so far, in their order.
    pub(crate) fn seen(&self) -> Vec<u64> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests wait.
    pub(crate) fn wait_for(&self, count: usize) {
        let begin = std::time::Instant::now();
        while self.waiting() < count {
            assert!(begin.elapsed() < HANG, "{count} requests never came");
            std::thread::yield_now();
        }
    }

    /// Executes and answers all that waited; nothing waits from now on.
    pub(crate) fn release(&self) {
        self.let_others_pass();
        self.step();
    }

    /// Executes and answers all that waited; what comes from now on fares as what came before.
    pub(crate) fn step(&self) {
        let requests = std::mem::take(&mut self.held.lock().unwrap().requests);
        for (request, queue) in requests {
            let mut done = Vec::new();
            self.memory.submit(&mut vec![request], &mut done, &queue);
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
        let firsts = requests.iter().filter_map(|request| match request.op {
            Op::Read { offset, .. } | Op::Write { offset, .. } | Op::WriteAtomic { offset, .. } => {
                Some(offset / 512)
            }
            _ => None,
        });
        self.seen.lock().unwrap().extend(firsts);
        let mut held = self.held.lock().unwrap();
        if held.holding {
            let taken = requests.drain(..).map(|request| (request, Arc::clone(queue)));
            held.requests.extend(taken);
        } else {
            drop(held);
            self.memory.submit(requests, done, queue);
        }
    }
}
