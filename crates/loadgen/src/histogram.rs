//! A log-linear histogram of latencies: fixed memory, under 2 % error, merged across sessions.

use std::time::Duration;

/// Buckets per power of two.
const STEPS: usize = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Powers of two above the linear part: up to 2^40 ns, 18 minutes.
const POWERS: usize = 35;

/// Counts of durations in buckets whose width grows with their value.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; STEPS * (POWERS + 1)], count: 0, sum_ns: 0, max_ns: 0 }
    }
}

/// The bucket of a value.
fn bucket(ns: u64) -> usize {
    let power = (u64::BITS - ns.leading_zeros()).saturating_sub(STEP_BITS) as usize;
    if power == 0 {
        return ns as usize;
    }
    let step = (ns >> (power - 1)) as usize & (STEPS - 1);
    (power.min(POWERS)) * STEPS + if power > POWERS { STEPS - 1 } else { step }
}

/// The largest value of a bucket.
fn upper_edge(index: usize) -> u64 {
    let (power, step) = (index / STEPS, (index % STEPS) as u64);
    if power == 0 {
        return step;
    }
    ((STEPS as u64 + step + 1) << (power - 1)) - 1
}

impl Histogram {
    pub(crate) fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(ns)] += 1;
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The value in microseconds that a share `quantile` of all recorded ones does not exceed.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        let wanted = ((self.count as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_edge(index).min(self.max_ns) as f64 / 1e3;
            }
        }
        0.0
    }

    pub(crate) fn mean_us(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ns as f64 / self.count as f64 / 1e3 }
    }

    pub(crate) fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_whose_edge_is_within_two_percent() {
        let mut value = 1u64;
        while value < 1 << 39 {
            for ns in [value, value + value / 3, value * 2 - 1] {
                let edge = upper_edge(bucket(ns));
                assert!(edge >= ns && edge as f64 <= ns as f64 * 1.02, "{ns} has edge {edge}");
            }
            value *= 2;
        }
        assert_eq!(bucket(u64::MAX), STEPS * (POWERS + 1) - 1);
    }

    #[test]
    fn quantiles_of_a_known_set() {
        let mut histogram = Histogram::default();
        for us in 1..=1000 {
            histogram.record(Duration::from_micros(us));
        }
        assert!((histogram.quantile_us(0.5) - 500.0).abs() < 10.0);
        assert!((histogram.quantile_us(0.99) - 990.0).abs() < 20.0);
        assert!((histogram.quantile_us(1.0) - 1000.0).abs() < 1e-9);
        assert!((histogram.mean_us() - 500.5).abs() < 1e-9);
    }
}
