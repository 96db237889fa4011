//! Reservations of a logical unit: who may do what (SPC-2 5.5, SPC-4 5.12).

use super::nexus::Nexus;
use super::pr_record;
use super::pr_state::Persistent;
use crate::block::SavedState;

/// How a command stands with reservations that another I_T nexus holds (SPC-4 table 61, SBC-3
/// table 13, SPC-2 table 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Allowed always.
    Free,
    /// Allowed with every persistent reservation, not with RESERVE(6).
    Query,
    /// Allowed with write-exclusive persistent reservations.
    Read,
    /// Needs the reservation or, for the registrants types, a registration.
    Write,
}

/// What RESERVE and RELEASE come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserved {
    Good,
    Conflict,
    /// A PERSISTENT RESERVE OUT command is on its way to stable storage.
    Busy,
}

/// All reservations of one logical unit.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    /// The I_T nexus that holds RESERVE(6) or RESERVE(10).
    holder: Option<u64>,
    /// Persistent reservations.
    pub(super) persistent: Persistent,
    /// The volume keeps a record of them.
    pub(super) can_keep: bool,
    /// The volume is about to take the record of a state that will then take the place of this one.
    pub(super) saving: bool,
    /// The volume may hold a record of another state than this one: the next change is saved,
    /// whatever it is.
    pub(super) stale_record: bool,
}

impl Reservations {
    /// Those that were saved with the volume; `can_keep`: it will take others.
    pub(super) fn restored(saved: &SavedState, can_keep: bool) -> Self {
        let persistent = pr_record::decode(saved).unwrap_or_else(Persistent::lost);
        let can_keep = can_keep && *saved != SavedState::Unsupported;
        Self { persistent, can_keep, ..Self::default() }
    }

    /// True if any command could be refused.
    pub(super) fn restrict(&self) -> bool {
        self.holder.is_some() || self.persistent.reservation.is_some()
    }

    /// True if a command of this kind may run for this nexus.
    pub(super) fn allow(&self, nexus: &Nexus, guard: Guard) -> bool {
        if self.holder.is_some_and(|holder| holder != nexus.id) {
            return guard == Guard::Free;
        }
        let Some(reservation) = &self.persistent.reservation else { return true };
        match guard {
            Guard::Free | Guard::Query => true,
            Guard::Read if reservation.kind.is_write_exclusive() => true,
            Guard::Read | Guard::Write => self.persistent.admits(nexus),
        }
    }

    /// Compatible reservation handling (SPC-4 5.12.3): from a nexus that has access by the
    /// persistent reservation, RESERVE and RELEASE do nothing and succeed. As long as there are
    /// registrations any other is refused (SPC-2 5.5.1). `None`: there are none.
    fn compatible(&self, nexus: &Nexus) -> Option<Reserved> {
        let persistent = &self.persistent;
        if self.saving {
            return Some(Reserved::Busy);
        }
        if persistent.registrations.is_empty() && persistent.reservation.is_none() {
            return None;
        }
        let good = persistent.reservation.is_some() && persistent.admits(nexus);
        Some(if good { Reserved::Good } else { Reserved::Conflict })
    }

    /// RESERVE(6), RESERVE(10).
    pub(super) fn on_reserve(&mut self, nexus: &Nexus) -> Reserved {
        if let Some(answer) = self.compatible(nexus) {
            return answer;
        }
        match *self.holder.get_or_insert(nexus.id) == nexus.id {
            true => Reserved::Good,
            false => Reserved::Conflict,
        }
    }

    /// RELEASE(6), RELEASE(10); nothing if the nexus holds none.
    pub(super) fn on_release(&mut self, nexus: &Nexus) -> Reserved {
        if let Some(answer) = self.compatible(nexus) {
            return answer;
        }
        self.release(nexus);
        Reserved::Good
    }

    /// What the nexus reserved with RESERVE is free.
    pub(super) fn release(&mut self, nexus: &Nexus) {
        if self.holder == Some(nexus.id) {
            self.holder = None;
        }
    }

    /// RESERVE and persistent reservations exclude each other (SPC-2 5.5.1).
    pub(super) fn is_reserved_by_reserve(&self) -> bool {
        self.holder.is_some()
    }

    /// A reset of the logical unit ends RESERVE, not persistent reservations.
    pub(super) fn reset(&mut self) {
        self.holder = None;
    }
}
