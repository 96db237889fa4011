//! Filling an image: many writes in flight, each from a copy of the caller's bytes.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use super::super::{ImageWriter, StoreError, StoreErrorKind};
use super::moment::Moment;
use crate::block::{self, Buffer, CompletionQueue, Op, Request};
use crate::rbd::Image;

/// Bytes of one write, and how many may be under way.
const PIECE_BYTES: usize = 1 << 20;
const IN_FLIGHT_MAX: usize = 32;

pub(super) struct RbdWriter {
    image: Moment,
    queue: Arc<CompletionQueue>,
    in_flight: usize,
    failed: Option<block::Error>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl RbdWriter {
    pub(super) fn new(image: Arc<Image>) -> Self {
        Self {
            image: Moment::of(image),
            queue: Arc::new(CompletionQueue::new()),
            in_flight: 0,
            failed: None,
        }
    }

    fn submit(&mut self, op: Op) {
        self.in_flight += 1;
        self.image.submit(Request { tag: 0, op }, &self.queue);
    }

    /// Waits until no more than `limit` writes are under way; the first failure, if any.
    fn wait(&mut self, limit: usize) -> Result<(), StoreError> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut done = Vec::new();
        while self.in_flight > limit {
            match self.queue.poll_drain(&mut Context::from_waker(&waker), &mut done) {
                Poll::Pending => std::thread::park(),
                Poll::Ready(()) => {
                    self.in_flight -= done.len();
                    for completion in done.drain(..) {
                        self.failed = self.failed.take().or(completion.result.err());
                    }
                }
            }
        }
        self.failed.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

impl ImageWriter for RbdWriter {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.image.size_bytes()) {
            let message =
                format!("{} bytes at {offset} do not fit into {}", bytes.len(), self.image.label());
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        for (piece, at) in bytes.chunks(PIECE_BYTES).zip((offset..).step_by(PIECE_BYTES)) {
            self.wait(IN_FLIGHT_MAX - 1)?;
            self.submit(Op::Write { offset: at, buf: Buffer::from_slice(piece), fua: false });
        }
        Ok(())
    }

    fn zero_at(&mut self, offset: u64, len: u64) -> Result<(), StoreError> {
        // What was written there before must not come after it.
        self.wait(0)?;
        self.submit(Op::WriteZeroes { offset, len, fua: false });
        self.wait(0)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.wait(0)?;
        self.submit(Op::Flush);
        self.wait(0)
    }
}
