//! The way back from a volume: a queue that any thread may push to and one task drains.
//!
//! The rule that loses no wake-up: a producer pushes, then wakes only if it is the one that set
//! `armed`; the consumer clears `armed` *before* it takes what is there. Under load a whole batch
//! of completions costs one wake-up. `crates/loom-model` tries every interleaving, of the other
//! order too, which must fail.

#[cfg(loom)]
use loom::{
    future::AtomicWaker,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::task::{Context, Poll};

#[cfg(not(loom))]
use atomic_waker::AtomicWaker;

use super::Completion;

/// Many producers, one consumer. See the [module](self) docs.
#[derive(Default)]
pub struct CompletionQueue {
    inbox: Mutex<Vec<Completion>>,
    armed: AtomicBool,
    waker: AtomicWaker,
}

impl CompletionQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands over one completion; wakes the consumer if nobody has since it last looked.
    pub fn push(&self, completion: Completion) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).push(completion);
        self.wake();
    }

    /// Hands over a batch at the price of one.
    pub fn push_all(&self, completions: impl IntoIterator<Item = Completion>) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).extend(completions);
        self.wake();
    }

    fn wake(&self) {
        if !self.armed.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Appends everything that has arrived to `out`; pending (and registered for the next
    /// wake-up) if there is nothing. Only one task may poll.
    pub fn poll_drain(&self, cx: &mut Context<'_>, out: &mut Vec<Completion>) -> Poll<()> {
        #[cfg(not(loom))]
        self.waker.register(cx.waker());
        #[cfg(loom)]
        self.waker.register_by_ref(cx.waker());
        self.armed.store(false, Ordering::Release);
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.is_empty() {
            return Poll::Pending;
        }
        out.append(&mut inbox);
        Poll::Ready(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;
    use crate::block::Done;

    struct Count(std::sync::atomic::AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_batch_costs_one_wake_up() {
        let queue = CompletionQueue::new();
        let count = Arc::new(Count(0.into()));
        let waker = Arc::clone(&count).into();
        let mut cx = Context::from_waker(&waker);
        let mut out = Vec::new();
        assert!(queue.poll_drain(&mut cx, &mut out).is_pending());
        for tag in 0..5 {
            queue.push(Completion { tag, result: Ok(Done::Unit) });
        }
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(queue.poll_drain(&mut cx, &mut out).is_ready());
        assert_eq!(out.iter().map(|c| c.tag).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        queue.push(Completion { tag: 9, result: Ok(Done::Unit) });
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
    }
}
