//! The time, and being called when it has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Has something to do at a time that it has asked for.
pub trait Due: Send + Sync {
    /// The time has come. Must not block.
    fn is_due(&self);
}

/// A clock, and who calls at a time.
pub trait Pace: Send + Sync {
    /// Nanoseconds since some beginning; never less than before.
    fn now_ns(&self) -> u64;

    /// From now on [`Pace::call`] works.
    ///
    /// # Errors
    /// When the system has no thread for it.
    fn begin(&self) -> io::Result<()>;

    /// Has `whom`, unless it is gone, called at a time, or soon after.
    fn call(&self, at_ns: u64, whom: &Weak<dyn Due>);
}

/// The pace of the real world: one thread, from the first [`Pace::begin`] on.
pub struct Timer(Arc<Shared>);

struct Shared {
    start: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The earliest first.
    calls: BinaryHeap<Reverse<Call>>,
    runs: bool,
    stops: bool,
}

struct Call {
    at_ns: u64,
    whom: Weak<dyn Due>,
}

impl Ord for Call {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at_ns.cmp(&other.at_ns)
    }
}

impl PartialOrd for Call {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.at_ns == other.at_ns
    }
}

impl Eq for Call {}

impl Default for Timer {
    fn default() -> Self {
        Self(Arc::new(Shared {
            start: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.state.lock().stops = true;
        self.0.changed.notify_one();
    }
}

impl Pace for Timer {
    fn now_ns(&self) -> u64 {
        self.0.now_ns()
    }

    fn begin(&self) -> io::Result<()> {
        let mut state = self.0.state.lock();
        if !state.runs {
            let shared = Arc::clone(&self.0);
            std::thread::Builder::new().name("qos".to_owned()).spawn(move || shared.run())?;
            state.runs = true;
        }
        Ok(())
    }

    fn call(&self, at_ns: u64, whom: &Weak<dyn Due>) {
        let mut state = self.0.state.lock();
        let is_first = state.calls.peek().is_none_or(|Reverse(first)| at_ns < first.at_ns);
        state.calls.push(Reverse(Call { at_ns, whom: Weak::clone(whom) }));
        drop(state);
        if is_first {
            self.0.changed.notify_one();
        }
    }
}

impl Shared {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn run(&self) {
        let mut state = self.state.lock();
        while !state.stops {
            let now = self.now_ns();
            match state.calls.peek().map(|Reverse(call)| call.at_ns) {
                None => self.changed.wait(&mut state),
                Some(at) if at > now => {
                    self.changed.wait_for(&mut state, Duration::from_nanos(at - now));
                }
                Some(_) => {
                    let whom = state.calls.pop().and_then(|Reverse(call)| call.whom.upgrade());
                    // Its lock is not held meanwhile: who is called asks to be called again.
                    parking_lot::MutexGuard::unlocked(&mut state, || {
                        // A panic in one volume is no matter of the others.
                        if let Some(whom) = whom
                            && catch_unwind(AssertUnwindSafe(|| whom.is_due())).is_err()
                        {
                            tracing::error!("a volume panicked when it was given what had waited");
                        }
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Asks(mpsc::Sender<u8>, u8);

    impl Due for Asks {
        fn is_due(&self) {
            self.0.send(self.1).unwrap();
            assert!(self.1 != 1, "this test wants a panic");
        }
    }

    #[test]
    fn who_asked_is_called_in_the_order_of_the_times() {
        let (timer, (sender, receiver)) = (Timer::default(), mpsc::channel());
        let asks = [0, 1, 2].map(|number| Arc::new(Asks(sender.clone(), number)));
        let now = timer.now_ns();
        for (number, after) in [(2, 2_000_000), (0, 0), (1, 1_000_000)] {
            let whom: Weak<dyn Due> = Arc::downgrade(&asks[number]) as Weak<dyn Due>;
            timer.call(now + after, &whom);
        }
        let gone: Weak<dyn Due> = Arc::downgrade(&Arc::new(Asks(sender, 3))) as Weak<dyn Due>;
        timer.call(now, &gone);
        timer.begin().unwrap();
        timer.begin().unwrap();
        let called = [0; 3].map(|_| receiver.recv_timeout(Duration::from_secs(60)).unwrap());
        assert_eq!(called, [0, 1, 2]);
        assert!(timer.now_ns() >= now + 2_000_000);
    }
}
