//! Reservations of a logical unit: who may do what (SPC-2 5.5, SPC-4 5.12).

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
    /// The command itself looks at persistent reservations; not allowed with RESERVE(6).
    Own,
}

/// All reservations of one logical unit.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    /// The I_T nexus that holds RESERVE(6) or RESERVE(10).
    holder: Option<u64>,
}

impl Reservations {
    /// True if any command could be refused.
    pub(super) fn restrict(&self) -> bool {
        self.holder.is_some()
    }

    /// True if a command of this kind may run for this nexus.
    pub(super) fn allow(&self, nexus: u64, guard: Guard) -> bool {
        match self.holder {
            Some(holder) if holder != nexus => guard == Guard::Free,
            _ => true,
        }
    }

    /// RESERVE: false if another nexus holds one.
    pub(super) fn reserve(&mut self, nexus: u64) -> bool {
        *self.holder.get_or_insert(nexus) == nexus
    }

    /// RELEASE; nothing if the nexus holds none.
    pub(super) fn release(&mut self, nexus: u64) {
        if self.holder == Some(nexus) {
            self.holder = None;
        }
    }

    /// A reset of the logical unit ends RESERVE, not persistent reservations.
    pub(super) fn reset(&mut self) {
        self.holder = None;
    }
}
