//! Unit attention conditions: one queue for each I_T nexus and logical unit (SAM-5 5.14).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::sense::Asc;

/// More than there are different ones.
const PENDING_MAX: usize = 16;

/// What one I_T nexus has still to hear of one logical unit.
#[derive(Debug, Default)]
pub(super) struct Attentions {
    /// Looked at by every command; the queue only if it is set.
    any: AtomicBool,
    pending: Mutex<VecDeque<Asc>>,
}

impl Attentions {
    /// Adds a condition, unless it is waiting already. A reset or power on says all that older
    /// conditions could say (SAM-5 5.14.1, precedence), so it takes their place.
    pub(super) fn establish(&self, asc: Asc) {
        let mut pending = self.pending.lock();
        if asc.0 >> 8 == Asc::POWER_ON_OR_RESET.0 >> 8 {
            pending.clear();
        }
        if !pending.contains(&asc) && pending.len() < PENDING_MAX {
            pending.push_back(asc);
        }
        self.any.store(!pending.is_empty(), Ordering::Release);
    }

    /// The oldest condition, and how many there are. None is cleared.
    pub(super) fn peek(&self) -> Option<(Asc, usize)> {
        let pending = self.pending.lock();
        Some((*pending.front()?, pending.len()))
    }

    /// The oldest condition, which is then cleared. One atomic load if there is none.
    pub(super) fn take(&self) -> Option<Asc> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut pending = self.pending.lock();
        let asc = pending.pop_front();
        self.any.store(!pending.is_empty(), Ordering::Release);
        asc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_come_in_order_and_once() {
        let attentions = Attentions::default();
        assert_eq!((attentions.take(), attentions.peek()), (None, None));
        attentions.establish(Asc::CAPACITY_CHANGED);
        attentions.establish(Asc::MODE_PARAMETERS_CHANGED);
        attentions.establish(Asc::CAPACITY_CHANGED);
        assert_eq!(attentions.peek(), Some((Asc::CAPACITY_CHANGED, 2)));
        assert_eq!(attentions.take(), Some(Asc::CAPACITY_CHANGED));
        assert_eq!(attentions.take(), Some(Asc::MODE_PARAMETERS_CHANGED));
        assert_eq!(attentions.take(), None);
    }

    #[test]
    fn a_reset_takes_the_place_of_older_conditions() {
        let attentions = Attentions::default();
        attentions.establish(Asc::CAPACITY_CHANGED);
        attentions.establish(Asc::BUS_DEVICE_RESET);
        attentions.establish(Asc::MODE_PARAMETERS_CHANGED);
        assert_eq!(attentions.take(), Some(Asc::BUS_DEVICE_RESET));
        assert_eq!(attentions.take(), Some(Asc::MODE_PARAMETERS_CHANGED));
    }
}
