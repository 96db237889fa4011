//! A token bucket, as the time up to which what it gave is paid for.

const SECOND_NS: u128 = 1_000_000_000;

/// A bucket that fills at a rate, and holds what comes in within the time of a burst.
///
/// It is kept as one number: the time at which everything that was taken will have come in again.
/// That is at most the burst ahead when something more may be taken; what is taken may be more than
/// is there, and then the next one waits the longer: so a large operation is never stuck, and over
/// time no more is given than comes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// Per second.
    rate: u64,
    paid_until_ns: u64,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), paid_until_ns: 0 }
    }

    /// The same one filling at another rate: what was taken too much stays owed.
    pub(super) fn at_rate(self, rate: u64) -> Self {
        Self { paid_until_ns: self.paid_until_ns, ..Self::new(rate) }
    }

    /// The time from which something may be taken.
    pub(super) fn opens_at(&self, burst_ns: u64) -> u64 {
        // Not quite a whole burst ahead: a full bucket of a burst of N gives N times one, not N + 1.
        (self.paid_until_ns + 1).saturating_sub(burst_ns)
    }

    pub(super) fn take(&mut self, now_ns: u64, units: u64) {
        let cost = (u128::from(units) * SECOND_NS).div_ceil(self.rate.into());
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        // Half of what there is, so that adding to it never overflows: 292 years.
        self.paid_until_ns = self.paid_until_ns.max(now_ns).saturating_add(cost).min(u64::MAX / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many times one can be taken at a time.
    fn count(bucket: &mut Bucket, now: u64, burst: u64) -> u64 {
        let mut count = 0;
        while bucket.opens_at(burst) <= now {
            bucket.take(now, 1);
            count += 1;
        }
        count
    }

    #[test]
    fn it_gives_a_burst_and_then_its_rate() {
        let (now, mut bucket) = (1000 * SECOND, Bucket::new(100));
        assert_eq!(count(&mut bucket, now, 3 * SECOND), 300);
        assert_eq!(count(&mut bucket, now + SECOND, 3 * SECOND), 100);
        assert_eq!(count(&mut bucket, now + SECOND + SECOND / 2, 3 * SECOND), 50);
        // It holds no more than a burst, however long nobody asks.
        assert_eq!(count(&mut bucket, now + 1000 * SECOND, 3 * SECOND), 300);
    }

    #[test]
    fn what_is_taken_too_much_is_waited_for() {
        let (now, mut bucket) = (1000 * SECOND, Bucket::new(100));
        bucket.take(now, 1000);
        assert_eq!(bucket.opens_at(SECOND), now + 9 * SECOND + 1);
        assert_eq!(bucket.at_rate(1).opens_at(SECOND), now + 9 * SECOND + 1, "and stays owed");
    }

    #[test]
    fn no_number_is_too_large() {
        let mut bucket = Bucket::new(1);
        bucket.take(5, u64::MAX);
        bucket.take(u64::MAX / 2, u64::MAX);
        assert!(bucket.opens_at(1) > u64::MAX / 4);
        let mut bucket = Bucket::new(0);
        bucket.take(0, 0);
        assert_eq!(bucket.opens_at(u64::MAX), 0);
    }
}
