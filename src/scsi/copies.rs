//! What is kept of the EXTENDED COPY commands of an I_T nexus, for RECEIVE COPY RESULTS.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::lun::UnitId;
use super::sense::Sense;

/// Most copies with a list identifier that one nexus may have under way, on all logical units.
pub(super) const CONCURRENT_MAX: u8 = 16;
/// Results of copies that have ended; the oldest goes first.
const ENDED_MAX: usize = 16;

/// How far a copy is (SPC-4 6.18.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Done,
    /// While a segment was processed, with this sense data.
    Failed(Sense),
}

/// A copy as RECEIVE COPY RESULTS shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    /// The logical unit that got the command, and LIST IDENTIFIER.
    key: (UnitId, u8),
    pub(super) state: State,
    /// Segment descriptors that are done.
    pub(super) segments: u16,
    /// Bytes written.
    pub(super) bytes: u64,
}

/// Why a copy cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// One of this list identifier is under way.
    InProgress,
    /// There are too many.
    TooMany,
}

/// All copies of one nexus, oldest first.
#[derive(Debug, Default)]
pub(super) struct Copies(Mutex<VecDeque<Copy>>);

impl Copies {
    /// A copy begins; what was kept under its list identifier is forgotten.
    pub(super) fn begin(&self, unit: UnitId, list_id: u8) -> Result<(), Refused> {
        let mut copies = self.0.lock();
        let key = (unit, list_id);
        let running = copies.iter().filter(|copy| copy.state == State::Running);
        if running.clone().any(|copy| copy.key == key) {
            return Err(Refused::InProgress);
        }
        if running.count() >= CONCURRENT_MAX.into() {
            return Err(Refused::TooMany);
        }
        copies.retain(|copy| copy.key != key);
        let ended = copies.iter().filter(|copy| copy.state != State::Running).count();
        if ended >= ENDED_MAX
            && let Some(oldest) = copies.iter().position(|copy| copy.state != State::Running)
        {
            copies.remove(oldest);
        }
        copies.push_back(Copy { key, state: State::Running, segments: 0, bytes: 0 });
        Ok(())
    }

    /// Notes how far a copy is.
    pub(super) fn update(&self, unit: UnitId, list_id: u8, change: impl FnOnce(&mut Copy)) {
        let mut copies = self.0.lock();
        if let Some(copy) = copies.iter_mut().find(|copy| copy.key == (unit, list_id)) {
            change(copy);
        }
    }

    /// A copy was aborted: nothing is known of it.
    pub(super) fn forget(&self, unit: UnitId, list_id: u8) {
        self.0.lock().retain(|copy| copy.key != (unit, list_id));
    }

    /// The copy of a list identifier.
    pub(super) fn get(&self, unit: UnitId, list_id: u8) -> Option<Copy> {
        self.0.lock().iter().find(|copy| copy.key == (unit, list_id)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_copies_and_held_results_are_bounded() {
        let copies = Copies::default();
        for id in 0..CONCURRENT_MAX {
            copies.begin(UnitId(0), id).unwrap();
        }
        assert_eq!(copies.begin(UnitId(0), 3), Err(Refused::InProgress));
        assert_eq!(copies.begin(UnitId(1), 3), Err(Refused::TooMany));
        copies.forget(UnitId(0), 3);
        copies.begin(UnitId(1), 3).unwrap();
        for id in 0..=u8::MAX {
            copies.update(UnitId(2), id, |_| panic!("not there"));
        }
        for id in 0..CONCURRENT_MAX {
            copies.update(UnitId(0), id, |copy| copy.state = State::Done);
        }
        for id in 100..200 {
            copies.begin(UnitId(0), id).unwrap();
            copies.update(UnitId(0), id, |copy| copy.state = State::Done);
            assert!(copies.0.lock().len() <= ENDED_MAX + 1);
        }
        assert_eq!(
            copies.get(UnitId(1), 3).unwrap().state,
            State::Running,
            "never the one that runs"
        );
        assert_eq!(copies.get(UnitId(0), 100), None);
        assert_eq!(copies.get(UnitId(0), 199).unwrap().state, State::Done);
    }

    #[test]
    fn results_are_kept_and_the_oldest_goes_first() {
        let copies = Copies::default();
        let ids = 0..=ENDED_MAX as u8 + 1;
        for id in ids.clone() {
            copies.begin(UnitId(0), id).unwrap();
            copies.update(UnitId(0), id, |copy| copy.state = State::Done);
        }
        let kept: Vec<u8> = ids.filter(|id| copies.get(UnitId(0), *id).is_some()).collect();
        assert_eq!(kept, (2..=ENDED_MAX as u8 + 1).collect::<Vec<_>>());
    }
}
