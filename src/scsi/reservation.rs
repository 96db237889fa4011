//! Reservations of a logical unit: who may do what (SPC-2 5.5, SPC-4 5.12).

use super::nexus::Nexus;
use super::pr_state::{Persistent, Port};

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

/// All reservations of one logical unit.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    /// The I_T nexus that holds RESERVE(6) or RESERVE(10).
    holder: Option<u64>,
    /// Persistent reservations.
    pub(super) persistent: Persistent,
}

impl Reservations {
    /// True if any command could be refused.
    pub(super) fn restrict(&self) -> bool {
        self.holder.is_some() || self.persistent.reservation().is_some()
    }

    /// True if a command of this kind may run for this nexus.
    pub(super) fn allow(&self, nexus: &Nexus, guard: Guard) -> bool {
        if self.holder.is_some_and(|holder| holder != nexus.id) {
            return guard == Guard::Free;
        }
        let Some(reservation) = self.persistent.reservation() else { return true };
        match guard {
            Guard::Free | Guard::Query => true,
            Guard::Read if reservation.kind.is_write_exclusive() => true,
            Guard::Read | Guard::Write => self.persistent.may_access(&Port::of(nexus)),
        }
    }

    /// RESERVE(6), RESERVE(10): false is RESERVATION CONFLICT.
    ///
    /// With CRH, a registered nexus hears GOOD and nothing happens (SPC-4 5.12.3); any other is
    /// refused while there are registrations.
    pub(super) fn reserve(&mut self, nexus: &Nexus) -> bool {
        if self.persistent.any_registration() {
            return self.persistent.is_registered(&Port::of(nexus));
        }
        *self.holder.get_or_insert(nexus.id) == nexus.id
    }

    /// RELEASE(6), RELEASE(10); nothing if the nexus holds none.
    pub(super) fn release(&mut self, nexus: &Nexus) {
        if self.holder == Some(nexus.id) {
            self.holder = None;
        }
    }

    /// RESERVE and persistent reservations exclude each other (SPC-4 5.12.3).
    pub(super) fn is_reserved_by_reserve(&self) -> bool {
        self.holder.is_some()
    }

    /// A reset of the logical unit ends RESERVE, not persistent reservations.
    pub(super) fn reset(&mut self) {
        self.holder = None;
    }
}
