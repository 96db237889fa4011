//! What a session's task does when it has nothing to do: sleep, look around a little longer, or
//! let more commands gather.
//!
//! To sleep and to be woken costs several times what a small command costs, for both sides, most
//! of all on a virtual machine.
//!
//! *Looking.* An initiator with one command in flight waits for all of that, every time. So its
//! task looks for the next command a little longer: for twice the time that one usually takes to
//! come, and only where that time is short on average. A long one counts for several short ones,
//! so what is looked for in vain is never more than a part, and an idle session sleeps. (KVM does
//! the same for an idle virtual processor: halt polling.)
//!
//! *Gathering.* An initiator that sends one command after the other, and has not even looked at
//! the answers to the first ones, would wake the task for each. So the task lets it send some more
//! of them before it is to be woken (network devices coalesce interrupts for the same reason).
//!
//! Neither is done while the store has something of the session to do, and the second only where
//! no other session of the shard has had anything to do lately: it holds up the thread.

use std::time::{Duration, Instant};

/// Commands since the last pause of an initiator that has one in flight (a second one may be a
/// ping, or the end of something).
const FEW: u64 = 2;
/// What a pause counts at most, in multiples of the longest look: after one of these, some of the
/// usual length must follow before the task looks again.
const LONG: u32 = 4;
/// Commands that are to gather.
const GATHERED: u32 = 12;
/// Less than this is not worth to be woken by a timer.
const NAP_MIN: Duration = Duration::from_micros(10);
/// Pauses of a burst without a nap after one that held the initiator up: one, three, seven, and so
/// on up to this.
const SKIPPED_MAX: u8 = 63;

/// What the task does until something moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// It sleeps until it is woken.
    Sleep,
    /// It looks again at once.
    Look,
    /// Its thread sleeps so long before it looks whether it is to be woken.
    Nap(Duration),
}

/// How a session is when nothing moves, or when something has moved again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// Commands that it has had in all.
    pub(super) commands: u64,
    /// Answers that the initiator had not taken in when it sent the last one.
    pub(super) unseen: u32,
    /// The store has something of it to do.
    pub(super) is_waiting: bool,
    /// No other session of the shard has moved since the pause began; and lately.
    pub(super) alone: bool,
    pub(super) long_alone: bool,
}

/// The pauses of one session.
pub(super) struct Pauses {
    look_max: Duration,
    nap_max: Duration,
    /// Commands there had been at the last pause.
    commands: u64,
    current: Option<Current>,
    /// How long it usually takes an initiator with one command in flight to send the next one.
    usual: Duration,
    /// When the last pause began, and how long it usually takes an initiator to send one more of
    /// many commands.
    last: Instant,
    pace: Duration,
    /// Pauses to come without a nap, and how many there were to be.
    left: u8,
    skipped: u8,
}

/// A pause that has not ended.
#[derive(Clone, Copy)]
struct Current {
    since: Instant,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One command was in flight.
    Single,
    /// The task naps so long, after commands that left so many answers unseen.
    Nap(Duration, u32),
    Other,
}

impl Pauses {
    /// It looks and naps for at most so long; zero: never.
    pub(super) fn new(look_max: Duration, nap_max: Duration) -> Self {
        Self {
            look_max,
            nap_max,
            commands: 0,
            current: None,
            usual: look_max * LONG,
            last: Instant::now(),
            pace: Duration::ZERO,
            left: 0,
            skipped: 0,
        }
    }

    /// True if a pause has begun that [`Self::ended`] was not called for.
    pub(super) fn is_paused(&self) -> bool {
        self.current.is_some()
    }

    /// Something has moved.
    pub(super) fn ended(&mut self, is: &Moment) {
        let Some(Current { since, kind }) = self.current.take() else { return };
        let took = is.now.saturating_duration_since(since);
        let new = is.commands.wrapping_sub(self.commands);
        match kind {
            Kind::Single => self.usual = average(self.usual, took.min(self.look_max * LONG)),
            // It ended before anything came: nobody was held up.
            Kind::Nap(length, _) if took > length + NAP_MIN => {}
            // The initiator has gone on sending, and taken no answer in. (One that sends a single
            // command may be one that never says what it has taken in.)
            Kind::Nap(_, unseen) if is.unseen >= unseen && new > 1 => self.skipped = 0,
            Kind::Nap(..) if new == 0 => {}
            Kind::Nap(..) => {
                self.skipped = (2 * self.skipped + 1).min(SKIPPED_MAX);
                self.left = self.skipped;
            }
            Kind::Other => {}
        }
    }

    /// Nothing moves.
    pub(super) fn next(&mut self, is: &Moment) -> Pause {
        if let Some(Current { since, kind }) = self.current {
            let looked = is.now.saturating_duration_since(since);
            let looks = kind == Kind::Single && is.alone && looked < self.look();
            return if looks { Pause::Look } else { Pause::Sleep };
        }
        let new = is.commands.wrapping_sub(self.commands);
        self.commands = is.commands;
        let kind = if is.is_waiting || new == 0 {
            Kind::Other
        } else if is.unseen > 0 {
            self.in_burst(is, new)
        } else if new <= FEW {
            Kind::Single
        } else {
            Kind::Other
        };
        self.last = is.now;
        self.current = Some(Current { since: is.now, kind });
        match kind {
            Kind::Single if !self.look().is_zero() => Pause::Look,
            Kind::Nap(length, _) => Pause::Nap(length),
            Kind::Single | Kind::Other => Pause::Sleep,
        }
    }

    /// For how long it looks now.
    fn look(&self) -> Duration {
        if self.usual > self.look_max {
            Duration::ZERO
        } else {
            (2 * self.usual).min(self.look_max)
        }
    }

    /// The initiator is about to send more than the `new` commands that came since the last pause.
    fn in_burst(&mut self, is: &Moment, new: u64) -> Kind {
        let took = is.now.saturating_duration_since(self.last).min(self.nap_max);
        let one = took / u32::try_from(new).unwrap_or(u32::MAX);
        self.pace = if self.pace.is_zero() { one } else { average(self.pace, one) };
        if self.left > 0 {
            self.left -= 1;
            return Kind::Other;
        }
        let length = (self.pace * GATHERED).min(self.nap_max);
        let naps = is.long_alone && length >= NAP_MIN && new <= u64::from(2 * GATHERED);
        if naps { Kind::Nap(length, is.unseen) } else { Kind::Other }
    }
}

/// A mean in which what is new counts for a quarter.
fn average(of_old: Duration, new: Duration) -> Duration {
    (3 * of_old + new) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK_MAX: Duration = Duration::from_micros(100);
    const NAP_MAX: Duration = Duration::from_micros(80);
    const MICRO: Duration = Duration::from_micros(1);

    struct Session {
        pauses: Pauses,
        is: Moment,
    }

    impl Session {
        fn new() -> Self {
            let now = Instant::now();
            let is = Moment {
                now,
                commands: 0,
                unseen: 0,
                is_waiting: false,
                alone: true,
                long_alone: true,
            };
            let pauses = Pauses { last: now, ..Pauses::new(LOOK_MAX, NAP_MAX) };
            Self { pauses, is }
        }

        /// So many commands are answered, then nothing comes for `gap`. How long the task looked.
        fn turn(&mut self, commands: u64, gap: Duration) -> Duration {
            self.is.commands += commands;
            let begin = self.is.now;
            let mut looked = Duration::ZERO;
            while self.pauses.next(&self.is) == Pause::Look && self.is.now - begin < gap {
                self.is.now += MICRO;
                looked += MICRO;
            }
            self.is.now = begin + gap;
            self.pauses.ended(&self.is);
            looked
        }

        /// Time spent looking in so many turns of one command each.
        fn looks(&mut self, turns: u32, gap: Duration) -> Duration {
            (0..turns).map(|_| self.turn(1, gap)).sum()
        }
    }

    #[test]
    fn who_answers_soon_is_looked_for() {
        let mut session = Session::new();
        session.looks(20, 30 * MICRO);
        assert_eq!(session.looks(100, 30 * MICRO), 100 * 30 * MICRO);
        // Now and then it takes longer.
        session.turn(1, 70 * MICRO);
        assert_eq!(session.looks(100, 30 * MICRO), 100 * 30 * MICRO);
    }

    #[test]
    fn who_turns_slow_is_not_looked_for_any_more() {
        let mut session = Session::new();
        session.looks(20, 30 * MICRO);
        let slow = Duration::from_millis(5);
        assert!(session.looks(1000, slow) <= 2 * LOOK_MAX);
        assert_eq!(session.looks(1000, slow), Duration::ZERO);
        // Slow for half of the time is slow.
        let both = (0..1000).map(|_| session.turn(1, 30 * MICRO) + session.turn(1, slow));
        assert_eq!(both.sum::<Duration>(), Duration::ZERO);
        // Soon it is looked for again.
        session.looks(20, 30 * MICRO);
        assert_eq!(session.turn(1, 30 * MICRO), 30 * MICRO);
    }

    #[test]
    fn nobody_looks_who_waits_for_the_store_or_is_not_alone() {
        let mut session = Session::new();
        session.looks(20, 30 * MICRO);
        let fast = session.is;
        session.is.is_waiting = true;
        assert_eq!(session.turn(1, 30 * MICRO), Duration::ZERO);
        session.is.is_waiting = false;
        assert_eq!(session.turn(FEW + 1, 30 * MICRO), Duration::ZERO);
        assert_eq!(session.turn(0, 30 * MICRO), Duration::ZERO, "woken for nothing");
        session.is.alone = false;
        assert!(session.turn(1, 30 * MICRO) <= MICRO);
        session.is.alone = true;
        assert_eq!(session.turn(1, 30 * MICRO), 30 * MICRO);
        assert!(fast.commands < session.is.commands);
        let mut never = Session { pauses: Pauses::new(Duration::ZERO, NAP_MAX), ..session };
        assert_eq!(never.looks(100, MICRO), Duration::ZERO);
    }

    #[test]
    fn who_sends_many_is_let_send_some() {
        let mut session = Session::new();
        let mut naps = 0;
        for i in 0..32 {
            session.is.unseen = i;
            let pause = session.pauses.next(&session.is);
            session.is.now += 7 * MICRO;
            session.is.commands += 1;
            if let Pause::Nap(length) = pause {
                naps += 1;
                assert!((NAP_MIN..=NAP_MAX).contains(&length));
                session.is.now += length;
                session.is.commands += 6;
            }
            session.pauses.ended(&session.is);
        }
        assert!(naps > 28, "{naps}");
        session.is.long_alone = false;
        session.is.commands += 1;
        assert_eq!(session.pauses.next(&session.is), Pause::Sleep);
    }

    #[test]
    fn who_was_held_up_is_not_again() {
        let mut session = Session::new();
        let mut naps = 0;
        for _ in 0..1000 {
            session.is.commands += 8;
            session.is.unseen = 8;
            session.is.now += 50 * MICRO;
            if let Pause::Nap(length) = session.pauses.next(&session.is) {
                naps += 1;
                session.is.now += length;
                session.is.commands += 8;
                // It took all the answers in and had to wait.
                session.is.unseen = 0;
            }
            session.pauses.ended(&session.is);
        }
        assert!((1..=1000 / 64 + 8).contains(&naps), "{naps}");
    }

    #[test]
    fn who_never_says_what_it_has_taken_in_is_not_held_up() {
        let mut session = Session::new();
        let mut naps = 0;
        for i in 0..1000 {
            session.is.commands += 1;
            session.is.unseen = i;
            naps += u32::from(matches!(session.pauses.next(&session.is), Pause::Nap(_)));
            session.is.now += 40 * MICRO;
            session.is.commands += 1;
            session.pauses.ended(&session.is);
        }
        assert!(naps <= 1000 / 64 + 8, "{naps}");
    }
}
