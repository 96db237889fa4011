//! Stirrup's lock-free pieces under loom: the completion queue here, the rules of the cache in
//! `cache`, whether an image may be asked in `rbd`.
//!
//! The completion queue: every interleaving of two volumes' threads that push and the
//! connection's task that drains. A completion that nobody is woken for would hang the model.
//!
//! The source file is the product's own; `build.rs` sets `cfg(loom)`.

#[cfg(test)]
mod block;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod rbd;

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use loom::future::{AtomicWaker, block_on};
    use loom::sync::atomic::{AtomicBool, Ordering};
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use crate::block::Completion;
    use crate::block::completion::CompletionQueue;

    /// Two producers push one completion each, one consumer waits for both.
    fn both_arrive<Q: Queue>() {
        let queue = Arc::new(Q::default());
        for tag in 0..2 {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(Completion(tag)));
        }
        let mut arrived = Vec::new();
        while arrived.len() < 2 {
            block_on(std::future::poll_fn(|cx| queue.poll_drain(cx, &mut arrived)));
        }
        let sum: u64 = arrived.iter().map(|completion| completion.0).sum();
        assert_eq!(sum, 1, "each one once");
    }

    trait Queue: Default + Send + Sync + 'static {
        fn push(&self, completion: Completion);
        fn poll_drain(&self, cx: &mut Context<'_>, out: &mut Vec<Completion>) -> Poll<()>;
    }

    impl Queue for CompletionQueue {
        fn push(&self, completion: Completion) {
            CompletionQueue::push(self, completion);
        }

        fn poll_drain(&self, cx: &mut Context<'_>, out: &mut Vec<Completion>) -> Poll<()> {
            CompletionQueue::poll_drain(self, cx, out)
        }
    }

    /// The same with the seeded bug: `armed` is cleared after the inbox was looked at.
    #[derive(Default)]
    struct ClearsTooLate {
        inbox: Mutex<Vec<Completion>>,
        armed: AtomicBool,
        waker: AtomicWaker,
    }

    impl Queue for ClearsTooLate {
        fn push(&self, completion: Completion) {
            self.inbox.lock().expect("no panic under the lock").push(completion);
            if !self.armed.swap(true, Ordering::AcqRel) {
                self.waker.wake();
            }
        }

        fn poll_drain(&self, cx: &mut Context<'_>, out: &mut Vec<Completion>) -> Poll<()> {
            self.waker.register_by_ref(cx.waker());
            let mut inbox = self.inbox.lock().expect("no panic under the lock");
            let is_empty = inbox.is_empty();
            out.append(&mut inbox);
            drop(inbox);
            self.armed.store(false, Ordering::Release);
            if is_empty { Poll::Pending } else { Poll::Ready(()) }
        }
    }

    /// Every interleaving with up to so many preemptions; a lost wake-up takes one.
    const PREEMPTIONS_MAX: usize = 3;
    /// Set in the process that runs the model with the seeded bug.
    const SEEDED: &str = "STIRRUP_LOOM_SEEDED";

    fn check<Q: Queue>() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(PREEMPTIONS_MAX);
        model.check(both_arrive::<Q>);
    }

    #[test]
    fn no_wake_up_is_lost() {
        check::<CompletionQueue>();
    }

    /// In a process of its own: loom's deadlock panic ends it.
    #[test]
    fn the_model_finds_the_seeded_bug() {
        if std::env::var_os(SEEDED).is_some() {
            return check::<ClearsTooLate>();
        }
        let this = std::env::current_exe().expect("the test's own path");
        let output = std::process::Command::new(this)
            .args(["--exact", "tests::the_model_finds_the_seeded_bug", "--nocapture"])
            .env(SEEDED, "1")
            .output()
            .expect("the test runs once more");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("deadlock"), "{said}");
    }
}
