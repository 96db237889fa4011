//! What an open image stands for, and that nothing is asked of it on the strength of a standing
//! that it has lost.
//!
//! Who asks librbd for something looks first whether the image is current. Who finds that it is
//! not any more waits for all that was asked before, and then lets go of what that needs. So who
//! asks counts itself, in the same step in which it looks, until librbd has its request; and who
//! waits waits for these first. `crates/loom-model` tries every interleaving, of looking without
//! being counted too, which must fail.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering};

/// Something behind the image has changed. Stays.
const OUTDATED: u32 = 1 << 31;
/// It is not known whether something has.
const UNSURE: u32 = 1 << 30;
/// There is something behind it that may change: who asks counts itself.
const COUNTS: u32 = 1 << 29;
/// How many are about to ask.
const ASKING: u32 = COUNTS - 1;

/// See the [module](self) docs.
#[derive(Default)]
pub(super) struct Standing(AtomicU32);

/// Permission to hand librbd one request, until it is dropped.
#[must_use]
pub(super) struct Asking<'a>(Option<&'a Standing>);

impl Standing {
    pub(super) fn is_current(&self) -> bool {
        self.0.load(Ordering::Acquire) & (OUTDATED | UNSURE) == 0
    }

    pub(super) fn is_outdated(&self) -> bool {
        self.0.load(Ordering::Acquire) & OUTDATED != 0
    }

    /// From now on it may lose its standing. To be called before anybody asks.
    pub(super) fn count(&self) {
        self.0.fetch_or(COUNTS, Ordering::AcqRel);
    }

    pub(super) fn set_outdated(&self) {
        self.0.fetch_or(OUTDATED, Ordering::AcqRel);
    }

    pub(super) fn set_unsure(&self, unsure: bool) {
        if unsure {
            self.0.fetch_or(UNSURE, Ordering::AcqRel);
        } else {
            self.0.fetch_and(!UNSURE, Ordering::AcqRel);
        }
    }

    /// `None` if nothing is to be asked, as it is not current. Never waits.
    pub(super) fn ask(&self) -> Option<Asking<'_>> {
        if self.0.load(Ordering::Acquire) & COUNTS == 0 {
            return self.is_current().then_some(Asking(None));
        }
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        let asking = Asking(Some(self));
        (before & (OUTDATED | UNSURE) == 0).then_some(asking)
    }

    /// Waits until librbd has all that was allowed before this lost its standing. That is a matter
    /// of microseconds, unless the machine has better things to do.
    pub(super) fn wait_asked(&self) {
        while self.0.load(Ordering::Acquire) & ASKING != 0 {
            #[cfg(loom)]
            loom::thread::yield_now();
            #[cfg(not(loom))]
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(standing) = self.0 {
            standing.0.fetch_sub(1, Ordering::Release);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_date_is_asked_for_nothing_whether_it_counts_or_not() {
        for counts in [false, true] {
            let standing = Standing::default();
            if counts {
                standing.count();
            }
            assert!(standing.is_current() && standing.ask().is_some());
            standing.set_unsure(true);
            assert!(!standing.is_current() && standing.ask().is_none());
            standing.set_unsure(false);
            assert!(standing.ask().is_some());
            standing.set_outdated();
            standing.set_unsure(false);
            assert!(standing.is_outdated() && standing.ask().is_none());
            // Nobody is left over who would have to be waited for.
            standing.wait_asked();
        }
    }

    #[test]
    fn who_is_about_to_ask_is_waited_for() {
        let standing = Standing::default();
        standing.count();
        let (first, second) = (standing.ask().unwrap(), standing.ask().unwrap());
        standing.set_outdated();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| standing.wait_asked());
            drop(first);
            assert!(!waiting.is_finished());
            drop(second);
        });
    }
}
