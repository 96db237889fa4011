//! Unit attention conditions: one queue for each I_T nexus and logical unit (SAM-5 5.14).

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
    pending: Mutex<Vec<Asc>>,
}

/// Precedence of the conditions that resets and losses establish (SAM-5 5.14.1), the highest
/// largest; 0: any other.
fn precedence(asc: Asc) -> u8 {
    match asc {
        Asc::POWER_ON_OR_RESET => 3,
        Asc::BUS_DEVICE_RESET => 2,
        Asc::NEXUS_LOSS => 1,
        _ => 0,
    }
}

impl Attentions {
    /// What was pending elsewhere, to go on with here.
    pub(super) fn of(pending: Vec<Asc>) -> Self {
        let any = AtomicBool::new(!pending.is_empty());
        Self { any, pending: Mutex::new(pending) }
    }

    /// Adds a condition, unless it is waiting already. Of resets and losses the one with the
    /// highest precedence is reported, before all else; what else has changed is still news after
    /// it.
    pub(super) fn establish(&self, asc: Asc) {
        let mut pending = self.pending.lock();
        let rank = precedence(asc);
        if rank > 0 {
            let highest = pending.first().map_or(0, |first| precedence(*first));
            if highest == 0 {
                pending.insert(0, asc);
            } else if highest < rank {
                pending[0] = asc;
            }
        } else if !pending.contains(&asc) && pending.len() < PENDING_MAX {
            pending.push(asc);
        }
        self.any.store(true, Ordering::Release);
    }

    /// The condition to report next, and how many there are. None is cleared.
    pub(super) fn peek(&self) -> Option<(Asc, usize)> {
        let pending = self.pending.lock();
        Some((*pending.first()?, pending.len()))
    }

    /// The condition to report next, which is then cleared. One atomic load if there is none.
    pub(super) fn take(&self) -> Option<Asc> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut pending = self.pending.lock();
        let asc = (!pending.is_empty()).then(|| pending.remove(0));
        self.any.store(!pending.is_empty(), Ordering::Release);
        asc
    }

    /// Clears one condition without reporting it.
    pub(super) fn clear(&self, asc: Asc) {
        if self.any.load(Ordering::Acquire) {
            let mut pending = self.pending.lock();
            pending.retain(|other| *other != asc);
            self.any.store(!pending.is_empty(), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(attentions: &Attentions) -> Vec<Asc> {
        std::iter::from_fn(|| attentions.take()).collect()
    }

    #[test]
    fn conditions_come_in_order_and_once() {
        let attentions = Attentions::default();
        assert_eq!((attentions.take(), attentions.peek()), (None, None));
        attentions.establish(Asc::CAPACITY_CHANGED);
        attentions.establish(Asc::MODE_PARAMETERS_CHANGED);
        attentions.establish(Asc::CAPACITY_CHANGED);
        assert_eq!(attentions.peek(), Some((Asc::CAPACITY_CHANGED, 2)));
        assert_eq!(all(&attentions), [Asc::CAPACITY_CHANGED, Asc::MODE_PARAMETERS_CHANGED]);
    }

    #[test]
    fn a_reset_comes_first_and_what_changed_besides_stays() {
        let attentions = Attentions::default();
        attentions.establish(Asc::CAPACITY_CHANGED);
        attentions.establish(Asc::BUS_DEVICE_RESET);
        attentions.establish(Asc::MODE_PARAMETERS_CHANGED);
        let wanted = [Asc::BUS_DEVICE_RESET, Asc::CAPACITY_CHANGED, Asc::MODE_PARAMETERS_CHANGED];
        assert_eq!(all(&attentions), wanted);
    }

    #[test]
    fn of_resets_the_one_that_says_most_is_reported() {
        let (power_on, reset, loss) =
            (Asc::POWER_ON_OR_RESET, Asc::BUS_DEVICE_RESET, Asc::NEXUS_LOSS);
        for order in [[power_on, reset, loss], [loss, reset, power_on], [reset, power_on, loss]] {
            let attentions = Attentions::default();
            order.into_iter().for_each(|asc| attentions.establish(asc));
            assert_eq!(all(&attentions), [power_on]);
        }
        let attentions = Attentions::of(vec![loss, Asc::CAPACITY_CHANGED]);
        attentions.establish(reset);
        assert_eq!(all(&attentions), [reset, Asc::CAPACITY_CHANGED]);
    }

    #[test]
    fn the_queue_is_bounded() {
        let attentions = Attentions::default();
        (0..100).for_each(|code| attentions.establish(Asc(0x2a00 + code)));
        assert_eq!(all(&attentions).len(), PENDING_MAX);
    }

    #[test]
    fn a_condition_can_be_cleared_unreported() {
        let attentions = Attentions::of(vec![Asc::NEXUS_LOSS, Asc::CAPACITY_CHANGED]);
        attentions.clear(Asc::CAPACITY_CHANGED);
        attentions.clear(Asc::MODE_PARAMETERS_CHANGED);
        assert_eq!(all(&attentions), [Asc::NEXUS_LOSS]);
        attentions.establish(Asc::NEXUS_LOSS);
        attentions.clear(Asc::NEXUS_LOSS);
        assert_eq!(attentions.take(), None);
    }
}
