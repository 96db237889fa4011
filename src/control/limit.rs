//! How often something may be done that anybody can do.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub(super) use crate::target::places::network;

/// Those that are remembered. When there are more, those are forgotten that have been quiet.
const KEPT_MAX: usize = 8192;

/// How often each of many may do something: so many times at once after a pause, and from then on
/// once in an interval.
pub(super) struct Rate<K> {
    burst: u32,
    interval: Duration,
    /// Until when each has used up what it may.
    used: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> Rate<K> {
    pub(super) fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, used: Mutex::default() }
    }

    /// Whether this one may do it now, which then counts.
    pub(super) fn admits(&self, one: K, now: Instant) -> bool {
        let mut used = self.used.lock();
        if !Self::has_room(&mut used, &one, now) {
            return false;
        }
        let until = used.entry(one).or_insert(now);
        let after = self.after(*until, now);
        if let Some(after) = after {
            *until = after;
        }
        after.is_some()
    }

    /// Whether it may. Who is not remembered has been quiet, unless nobody more can be remembered.
    pub(super) fn would_admit(&self, one: &K, now: Instant) -> bool {
        let mut used = self.used.lock();
        Self::has_room(&mut used, one, now)
            && used.get(one).is_none_or(|until| self.after(*until, now).is_some())
    }

    /// Whether this one is remembered or can be.
    fn has_room(used: &mut HashMap<K, Instant>, one: &K, now: Instant) -> bool {
        if used.len() < KEPT_MAX || used.contains_key(one) {
            return true;
        }
        used.retain(|_, until| *until > now);
        used.len() < KEPT_MAX
    }

    /// Until when it is used up after once more; `None`: that is too often.
    fn after(&self, until: Instant, now: Instant) -> Option<Instant> {
        let after = until.max(now) + self.interval;
        (after <= now + self.interval * self.burst).then_some(after)
    }
}

/// What anybody can cause to be written down: of each one, and of all of them, only so much.
pub(super) struct Few<K> {
    of_one: Rate<K>,
    of_all: Rate<()>,
    left_out: AtomicU64,
}

impl<K: Eq + Hash> Few<K> {
    pub(super) fn new(of_one: Rate<K>, of_all: Rate<()>) -> Self {
        Self { of_one, of_all, left_out: AtomicU64::new(0) }
    }

    /// Whether what this one has caused is written down, and what was left out before it.
    pub(super) fn take(&self, one: K) -> Option<LeftOut> {
        let now = Instant::now();
        if self.of_one.admits(one, now) && self.of_all.admits((), now) {
            return Some(LeftOut(self.left_out.swap(0, Ordering::Relaxed)));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Few<IpAddr> {
    /// Lines of the log about peers.
    pub(super) fn lines() -> Self {
        let second = Duration::from_secs(1);
        Self::new(Rate::new(3, second), Rate::new(40, second / 4))
    }
}

/// So many were left out since the last one; shown at the end of a line, if there were any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOut(pub(super) u64);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " (and {more} such before it)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        network(text.parse().unwrap())
    }

    #[test]
    fn one_does_not_keep_others_out() {
        let (rate, now) = (Rate::new(120, Duration::from_millis(100)), Instant::now());
        let admitted = |one, at| (0..1000).filter(|_| rate.admits(one, at)).count();
        assert_eq!(admitted(ip("192.0.2.1"), now), 120);
        assert!(!rate.would_admit(&ip("192.0.2.1"), now));
        assert!(rate.would_admit(&ip("192.0.2.2"), now), "it has not been there");
        assert_eq!(admitted(ip("192.0.2.2"), now), 120);
        assert_eq!(admitted(ip("192.0.2.1"), now + Duration::from_secs(1)), 10);
        assert_eq!(admitted(ip("2001:db8::1"), now), 120);
        assert_eq!(admitted(ip("2001:db8::2"), now), 0, "the same network");
        assert_eq!(admitted(ip("2001:db8:0:1::1"), now), 120);
    }

    #[test]
    fn it_remembers_only_so_many() {
        let (rate, now) = (Rate::new(2, Duration::from_millis(100)), Instant::now());
        assert!((0..KEPT_MAX).all(|n| rate.admits(n, now)));
        assert!(!rate.admits(9000, now), "all of them have just been there");
        assert!(!rate.would_admit(&9000, now), "and it is told the same beforehand");
        assert!(rate.would_admit(&1, now) && rate.admits(1, now), "who is known goes on");
        assert!(rate.would_admit(&9000, now + Duration::from_secs(1)));
        assert!(rate.admits(9000, now + Duration::from_secs(1)));
        assert_eq!(rate.used.lock().len(), 1);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let hour = Duration::from_secs(3600);
        let few = Few::new(Rate::new(2, hour), Rate::new(5, hour));
        let taken = |one: u8| (0..10).filter_map(|_| few.take(one)).map(|it| it.0).collect();
        let [one, other, third, late]: [Vec<u64>; 4] = [taken(1), taken(2), taken(3), taken(4)];
        assert_eq!(one, [0, 0]);
        assert_eq!(other, [8, 0], "another one is heard, and what was not before it is known");
        assert_eq!((third, late), (vec![8], vec![]), "all of them together are bounded, too");
        assert_eq!(LeftOut(0).to_string(), "");
        assert!(LeftOut(8).to_string().contains(" 8 "));
    }
}
