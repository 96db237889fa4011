//! What a session's task does when it has nothing to do: sleep, or look around a little longer.
//!
//! To sleep and to be woken costs several times what a small command costs, most of all on a
//! virtual machine, and an initiator with one command in flight waits for all of it, every time.
//! Where the next command comes at once, it is cheaper for both to look for it a little longer.
//! That is tried after a turn of few commands only (many are worth a wake-up), for no longer than
//! sleeping would take, and hardly ever where it was in vain before: an idle session sleeps.

use std::time::{Duration, Instant};

/// How long the task looks: about what it costs to sleep and to be woken.
const LOOK_MAX: Duration = Duration::from_micros(20);
/// Commands since the last pause; more of them are worth a wake-up.
const FEW: u64 = 2;
/// Pauses without a look after one that was in vain: one, three, seven, and so on up to this.
const SKIPPED_MAX: u8 = 63;

/// The pauses of one session.
#[derive(Default)]
pub(super) struct Pauses {
    /// Since when the task looks around.
    since: Option<Instant>,
    /// Commands there had been at the last pause.
    commands: u64,
    /// Pauses to come without a look, and how many there were to be.
    left: u8,
    skipped: u8,
}

impl Pauses {
    /// Something has moved. If that was looked for, it was worth it.
    pub(super) fn ended(&mut self) {
        if self.since.take().is_some() {
            self.skipped = 0;
        }
    }

    /// Nothing moves, after so many commands in all. True: the task is to look again; false: it
    /// sleeps.
    pub(super) fn looks(&mut self, commands: u64, now: Instant) -> bool {
        if let Some(since) = self.since {
            if now.saturating_duration_since(since) < LOOK_MAX {
                return true;
            }
            self.since = None;
            self.skipped = (2 * self.skipped + 1).min(SKIPPED_MAX);
            self.left = self.skipped;
            return false;
        }
        let new = commands.wrapping_sub(self.commands);
        self.commands = commands;
        if !(1..=FEW).contains(&new) {
            return false;
        }
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.since = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses after one command each that end in time or not; how often the task has looked.
    fn looks(pauses: &mut Pauses, count: u64, in_time: bool) -> usize {
        let now = Instant::now();
        let look = |pauses: &mut Pauses| {
            let looked = pauses.looks(pauses.commands + 1, now);
            if looked && !in_time {
                assert!(!pauses.looks(pauses.commands, now + LOOK_MAX), "it ends");
            }
            pauses.ended();
            looked
        };
        (0..count).filter(|_| look(pauses)).count()
    }

    #[test]
    fn who_looks_in_vain_hardly_looks_again() {
        let mut pauses = Pauses::default();
        assert_eq!(looks(&mut pauses, 100, true), 100);
        let in_vain = looks(&mut pauses, 64 * 100, false);
        assert!((100..110).contains(&in_vain), "{in_vain}");
        let until_found = (1..).find(|_| looks(&mut pauses, 1, true) == 1).unwrap();
        assert!(until_found <= 64);
        assert_eq!(looks(&mut pauses, 100, true), 100);
    }

    #[test]
    fn only_after_few_commands() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        assert!(!pauses.looks(0, now), "woken for nothing");
        assert!(!pauses.looks(FEW + 1, now) && !pauses.looks(FEW + 1, now));
        assert!(pauses.looks(2 * FEW + 1, now) && pauses.looks(2 * FEW + 1, now));
    }
}
