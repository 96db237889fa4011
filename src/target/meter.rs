//! What a session does at the moment: operations and bytes a second, and how long commands take.
//!
//! The data path counts and, for one command of some, looks at a clock; all else happens once a
//! second, and elsewhere.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One command of so many is timed; a power of two.
const TIMED_OF: u64 = 32;
/// How long what was done counts: after this time to about a third.
const MEMORY: Duration = Duration::from_secs(10);
/// Latencies are told apart in quarters of an octave, from 1 µs to beyond a minute.
const PER_OCTAVE: u32 = 4;
const BINS: usize = 27 * PER_OCTAVE as usize;
/// With less of a command than this, nothing is known of how long they take.
const LEAST: f32 = 0.01;

/// How long commands took, as the data path writes it down. It has one writer.
pub(super) struct Stopwatch([AtomicU32; BINS]);

impl Default for Stopwatch {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Stopwatch {
    /// The time, if a command is to be timed that is the `number`th.
    pub(super) fn start(number: u64) -> Option<Instant> {
        (number % TIMED_OF == 1).then(Instant::now)
    }

    pub(super) fn stop(&self, since: Instant) {
        self.took(since.elapsed());
    }

    fn took(&self, time: Duration) {
        let bin = &self.0[bin(time)];
        bin.store(bin.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// Where a latency belongs.
fn bin(time: Duration) -> usize {
    let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let octave = us.ilog2();
    // The bits after the first one say which part of the octave it is.
    let part = if octave >= 2 { us >> (octave - 2) } else { us << (2 - octave) } & 3;
    usize::try_from(octave * PER_OCTAVE).unwrap_or(BINS).saturating_add(part as usize).min(BINS - 1)
}

/// The middle of a bin, in microseconds.
fn middle_us(bin: usize) -> f32 {
    let (octave, part) = (bin as u32 / PER_OCTAVE, bin as u32 % PER_OCTAVE);
    let width = 2_f32.powi(octave.cast_signed()) / PER_OCTAVE as f32;
    width * (PER_OCTAVE + part) as f32 + width / 2.0
}

/// What a session has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) commands: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

/// What a session does at the moment, over about ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SessionPace {
    /// SCSI commands a second.
    pub commands_per_second: f64,
    /// Bytes a second to the initiator.
    pub read_bytes_per_second: f64,
    /// Bytes a second from the initiator.
    pub written_bytes_per_second: f64,
    /// How long commands took that were for a volume; `None`: there were none of late.
    pub latency: Option<Latency>,
}

/// How long commands take, from when they are here to when they have been executed, in
/// microseconds, as well as one in a few of them tells (a quarter of an octave).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// On average.
    pub mean_us: u64,
    /// Half of them.
    pub median_us: u64,
    /// 99 of a hundred.
    pub p99_us: u64,
}

/// Makes a pace of totals.
pub(super) struct Meter {
    began: Instant,
    last: Instant,
    totals: Totals,
    stopwatch: [u32; BINS],
    pace: SessionPace,
    /// How often a command took so long, of late.
    recent: [f32; BINS],
}

impl Meter {
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            began: now,
            last: now,
            totals: Totals::default(),
            stopwatch: [0; BINS],
            pace: SessionPace::default(),
            recent: [0.0; BINS],
        }
    }

    /// Looks at what was done since it looked last.
    pub(super) fn read(&mut self, now: Instant, totals: Totals, stopwatch: &Stopwatch) {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        let age = now.saturating_duration_since(self.began).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        // At first it is the average since the beginning.
        let forget = (1.0 - (-passed / MEMORY.as_secs_f64()).exp()).max(passed / age);
        let follow = |rate: &mut f64, before: u64, after: u64| {
            let seen = after.wrapping_sub(before) as f64 / passed;
            *rate += forget * (seen - *rate);
        };
        let (before, pace) = (self.totals, &mut self.pace);
        follow(&mut pace.commands_per_second, before.commands, totals.commands);
        follow(&mut pace.read_bytes_per_second, before.read_bytes, totals.read_bytes);
        follow(&mut pace.written_bytes_per_second, before.written_bytes, totals.written_bytes);
        for ((recent, before), now) in
            self.recent.iter_mut().zip(&mut self.stopwatch).zip(&stopwatch.0)
        {
            let now = now.load(Ordering::Relaxed);
            let new = now.wrapping_sub(std::mem::replace(before, now));
            *recent = *recent * (1.0 - forget as f32) + new as f32;
        }
        (self.last, self.totals) = (now, totals);
        pace.latency = latency(&self.recent);
    }

    pub(super) fn pace(&self) -> SessionPace {
        self.pace
    }
}

fn latency(recent: &[f32; BINS]) -> Option<Latency> {
    let count: f32 = recent.iter().sum();
    if count < LEAST {
        return None;
    }
    let sum: f32 = recent.iter().enumerate().map(|(bin, n)| n * middle_us(bin)).sum();
    let quantile = |part: f32| {
        let mut seen = 0.0;
        let reached = |n: &f32| {
            seen += n;
            seen >= count * part
        };
        middle_us(recent.iter().position(reached).unwrap_or(BINS - 1)).round() as u64
    };
    Some(Latency {
        mean_us: (sum / count).round() as u64,
        median_us: quantile(0.5),
        p99_us: quantile(0.99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn latencies_are_told_apart_within_a_quarter() {
        let mut last = 0;
        for time in 1..200_000_u64 {
            let at = bin(us(time));
            assert!(at >= last);
            last = at;
            let middle = middle_us(at);
            assert!((middle / time as f32 - 1.0).abs() < 0.26, "{time}: {middle}");
        }
        assert_eq!(bin(Duration::ZERO), 0);
        assert_eq!(bin(Duration::from_secs(100_000)), BINS - 1);
        assert!(middle_us(BINS - 1) > 100_000_000.0);
    }

    #[test]
    fn one_command_of_some_is_timed_and_the_first_is() {
        let timed = (1..=320).filter(|number| Stopwatch::start(*number).is_some()).count();
        assert_eq!(timed, 10);
        assert!(Stopwatch::start(1).is_some());
    }

    #[test]
    fn it_shows_what_was_done_of_late() {
        let start = Instant::now();
        let (mut meter, stopwatch) = (Meter::begin(start), Stopwatch::default());
        assert_eq!(meter.pace(), SessionPace::default());
        let mut totals = Totals::default();
        let mut second = 0;
        let mut read = |meter: &mut Meter, totals| {
            second += 1;
            meter.read(start + Duration::from_secs(second), totals, &stopwatch);
            meter.pace()
        };
        for _ in 0..99 {
            stopwatch.took(us(100));
        }
        stopwatch.took(us(10_000));
        totals.commands = 1000;
        totals.read_bytes = 1 << 20;
        let pace = read(&mut meter, totals);
        assert_eq!((pace.commands_per_second, pace.read_bytes_per_second), (1000.0, 1_048_576.0));
        let latency = pace.latency.unwrap();
        assert!((88..=112).contains(&latency.median_us), "{latency:?}");
        assert!((160..=240).contains(&latency.mean_us), "{latency:?}");
        assert!(latency.p99_us < 1000, "{latency:?}");
        // At a steady pace it stays what it is.
        for _ in 0..60 {
            totals.commands += 1000;
            let pace = read(&mut meter, totals);
            assert!((999.9..1000.1).contains(&pace.commands_per_second), "{pace:?}");
        }
        // Then nothing more comes.
        let mut pace = pace;
        for _ in 0..200 {
            pace = read(&mut meter, totals);
        }
        assert!(pace.commands_per_second < 0.001 && pace.latency.is_none(), "{pace:?}");
    }
}
