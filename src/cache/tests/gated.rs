//! A volume that does what it is asked, and answers, when the test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::block::{
    Completion, CompletionQueue, Done, Error, ErrorKind, Op, Request, Volume, VolumeInfo,
};

/// A request that was submitted and not answered.
struct Pending {
    tag: u64,
    queue: Arc<CompletionQueue>,
    state: State,
}

enum State {
    /// Nothing has happened yet.
    Asked(Op),
    /// It has happened (or failed), and nobody knows.
    Happened(Result<Done, Error>),
}

/// Bytes, and what is under way on them.
pub(in crate::cache) struct Gated {
    bytes: Mutex<Vec<u8>>,
    pending: Mutex<Vec<Pending>>,
    failed: AtomicBool,
    /// Size that it says it has, whatever there is.
    size_bytes: u64,
    /// Reads that were submitted, as offset and length.
    reads: Mutex<Vec<(u64, u64)>>,
}

impl Gated {
    pub(in crate::cache) fn new(bytes: Vec<u8>) -> Arc<Self> {
        Self::of_size(bytes, 0)
    }

    /// A large one of which nothing is ever answered.
    pub(in crate::cache) fn sparse(size_bytes: u64) -> Arc<Self> {
        Self::of_size(Vec::new(), size_bytes)
    }

    fn of_size(bytes: Vec<u8>, size_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(bytes),
            pending: Mutex::default(),
            failed: AtomicBool::new(false),
            size_bytes,
            reads: Mutex::default(),
        })
    }

    /// How many requests are not answered.
    pub(in crate::cache) fn pending(&self) -> usize {
        self.pending.lock().len()
    }

    /// The reads that were submitted since this was asked last.
    pub(in crate::cache) fn reads(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut *self.reads.lock())
    }

    /// What it holds.
    pub(in crate::cache) fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        self.bytes.lock()[offset as usize..offset as usize + len].to_vec()
    }

    /// From now on everything is refused.
    pub(in crate::cache) fn fence(&self) {
        self.failed.store(true, Ordering::SeqCst);
    }

    pub(in crate::cache) fn set_len(&self, len: usize) {
        self.bytes.lock().resize(len, 0);
    }

    /// One step of the request at `at`: it happens (or fails, and has happened or not), or is
    /// answered.
    pub(in crate::cache) fn step(&self, at: usize, fails: bool, happens: bool) {
        let mut pending = self.pending.lock();
        let request = &mut pending[at];
        if let State::Asked(op) = &mut request.state {
            let op = std::mem::replace(op, Op::Flush);
            let result = if fails {
                if happens && !matches!(op, Op::CompareAndWrite { .. }) {
                    let _unknown = self.run(op);
                }
                Err(ErrorKind::Unavailable.into())
            } else {
                self.run(op)
            };
            request.state = State::Happened(result);
            return;
        }
        let Pending { tag, queue, state: State::Happened(result) } = pending.remove(at) else {
            unreachable!("looked at above")
        };
        drop(pending);
        queue.push(Completion { tag, result });
    }

    /// Answers everything there is, and what comes of it.
    pub(in crate::cache) fn finish(&self) {
        while self.pending() > 0 {
            self.step(0, false, true);
        }
    }

    fn run(&self, op: Op) -> Result<Done, Error> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(ErrorKind::Fenced.into());
        }
        let mut bytes = self.bytes.lock();
        match op {
            Op::Read { offset, mut buf } => {
                let range = offset as usize..offset as usize + buf.len();
                buf.copy_from(0, bytes.get(range).ok_or(ErrorKind::OutOfRange)?);
                return Ok(Done::Data(buf));
            }
            Op::Write { offset, buf, .. } | Op::WriteAtomic { offset, buf, .. } => {
                buf.copy_to(0, &mut bytes[offset as usize..offset as usize + buf.len()]);
            }
            Op::Discard { offset, len } | Op::WriteZeroes { offset, len, .. } => {
                bytes[offset as usize..(offset + len) as usize].fill(0);
            }
            Op::WriteSame { offset, len, pattern } => {
                let pattern = pattern.to_vec();
                let range = offset as usize..(offset + len) as usize;
                for to in bytes[range].chunks_exact_mut(pattern.len()) {
                    to.copy_from_slice(&pattern);
                }
            }
            Op::CompareAndWrite { offset, compare, write } => {
                let stored = &mut bytes[offset as usize..offset as usize + compare.len()];
                if stored != compare.to_vec() {
                    return Err(ErrorKind::Miscompare { offset: 0 }.into());
                }
                write.copy_to(0, stored);
            }
            Op::Flush | Op::SaveState(_) | Op::Extents { .. } => {}
        }
        Ok(Done::Unit)
    }
}

impl Volume for Gated {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            size_bytes: self.size_bytes.max(self.bytes.lock().len() as u64),
            read_only: false,
            write_cache: false,
            physical_block_bytes: 4096,
            optimal_io_bytes: 0,
            discard_granularity_bytes: 4096,
            max_compare_and_write_bytes: 4096,
            max_atomic_write_bytes: 0,
            atomic_write_boundary_bytes: 0,
            has_write_same: false,
        }
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        _done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        for Request { tag, op } in requests.drain(..) {
            if let Op::Read { offset, buf } = &op {
                self.reads.lock().push((*offset, buf.len() as u64));
            }
            let queue = Arc::clone(queue);
            self.pending.lock().push(Pending { tag, queue, state: State::Asked(op) });
        }
    }
}
