//! Persistent reservations of a logical unit: the state and its rules (SPC-4 5.12).
//!
//! Plain data without nexuses or clocks, so that it can be kept with the disk.

use serde::{Deserialize, Serialize};

use super::nexus::Nexus;
use super::sense::Asc;

/// Most registrations of a logical unit.
const REGISTRATIONS_MAX: usize = 256;

/// Persistent reservation types (SPC-4 table 63).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(super) enum Kind {
    WriteExclusive = 1,
    ExclusiveAccess = 3,
    WriteExclusiveRegistrantsOnly = 5,
    ExclusiveAccessRegistrantsOnly = 6,
    WriteExclusiveAllRegistrants = 7,
    ExclusiveAccessAllRegistrants = 8,
}

impl Kind {
    /// The type of a TYPE field.
    pub(super) fn decode(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::WriteExclusive,
            3 => Self::ExclusiveAccess,
            5 => Self::WriteExclusiveRegistrantsOnly,
            6 => Self::ExclusiveAccessRegistrantsOnly,
            7 => Self::WriteExclusiveAllRegistrants,
            8 => Self::ExclusiveAccessAllRegistrants,
            _ => return None,
        })
    }

    /// Others may read.
    pub(super) fn is_write_exclusive(self) -> bool {
        matches!(
            self,
            Self::WriteExclusive
                | Self::WriteExclusiveRegistrantsOnly
                | Self::WriteExclusiveAllRegistrants
        )
    }

    /// Every registered nexus holds it.
    pub(super) fn is_all_registrants(self) -> bool {
        matches!(self, Self::WriteExclusiveAllRegistrants | Self::ExclusiveAccessAllRegistrants)
    }

    /// Every registered nexus has access.
    fn admits_registrants(self) -> bool {
        !matches!(self, Self::WriteExclusive | Self::ExclusiveAccess)
    }
}

/// What a registration belongs to: an I_T nexus, by the lasting names of its ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Port {
    /// Initiator port name.
    pub(super) initiator: String,
    /// Relative target port identifier.
    pub(super) target: u16,
}

impl Port {
    pub(super) fn of(nexus: &Nexus) -> Self {
        let spec = nexus.spec();
        Self { initiator: spec.initiator_port.clone(), target: spec.target_port }
    }
}

/// A registered nexus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Registration {
    pub(super) port: Port,
    pub(super) key: u64,
}

/// The reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reservation {
    pub(super) kind: Kind,
    /// Who reserved; means nothing for the all-registrants types.
    holder: Port,
}

/// Everything PERSISTENT RESERVE keeps of a logical unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Persistent {
    generation: u32,
    registrations: Vec<Registration>,
    reservation: Option<Reservation>,
}

/// Why a service action is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// RESERVATION CONFLICT.
    Conflict,
    /// The reservation key of the parameter list makes no sense here.
    ServiceActionKey,
    /// RELEASE with another type than the reservation has.
    OtherType,
    /// Too many registrations.
    NoRoom,
}

/// Unit attention conditions that a service action causes: for whom, and which.
pub(super) type Notices = Vec<(Port, Asc)>;

impl Persistent {
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    pub(super) fn registrations(&self) -> &[Registration] {
        &self.registrations
    }

    pub(super) fn reservation(&self) -> Option<&Reservation> {
        self.reservation.as_ref()
    }

    pub(super) fn any_registration(&self) -> bool {
        !self.registrations.is_empty()
    }

    pub(super) fn is_registered(&self, port: &Port) -> bool {
        self.key_of(port).is_some()
    }

    fn key_of(&self, port: &Port) -> Option<u64> {
        self.registrations.iter().find(|r| r.port == *port).map(|r| r.key)
    }

    /// Whether this nexus holds the reservation.
    pub(super) fn holds(&self, port: &Port) -> bool {
        self.reservation.as_ref().is_some_and(|reservation| {
            match reservation.kind.is_all_registrants() {
                true => self.is_registered(port),
                false => reservation.holder == *port,
            }
        })
    }

    /// Whether this nexus may do what the reservation keeps others from.
    pub(super) fn may_access(&self, port: &Port) -> bool {
        self.reservation.as_ref().is_none_or(|reservation| {
            self.holds(port) || (reservation.kind.admits_registrants() && self.is_registered(port))
        })
    }

    /// The key that READ RESERVATION shows: 0 if all registrants hold it.
    pub(super) fn reservation_key(&self) -> u64 {
        match &self.reservation {
            Some(reservation) if !reservation.kind.is_all_registrants() => {
                self.key_of(&reservation.holder).unwrap_or(0)
            }
            _ => 0,
        }
    }

    fn check_key(&self, port: &Port, key: u64) -> Result<(), Refused> {
        if self.key_of(port) == Some(key) { Ok(()) } else { Err(Refused::Conflict) }
    }

    /// REGISTER; with `key` `None` REGISTER AND IGNORE EXISTING KEY.
    pub(super) fn register(
        &mut self,
        port: &Port,
        key: Option<u64>,
        new: u64,
    ) -> Result<Notices, Refused> {
        let registered = self.key_of(port);
        if key.is_some_and(|key| key != registered.unwrap_or(0)) {
            return Err(Refused::Conflict);
        }
        let mut notices = Notices::new();
        match (registered, new) {
            (None, 0) => return Ok(notices),
            (None, key) if self.registrations.len() < REGISTRATIONS_MAX => {
                self.registrations.push(Registration { port: port.clone(), key });
            }
            (None, _) => return Err(Refused::NoRoom),
            (Some(_), 0) => notices = self.unregister(port),
            (Some(_), key) => {
                let mine = self.registrations.iter_mut().filter(|r| r.port == *port);
                mine.for_each(|registration| registration.key = key);
            }
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(notices)
    }

    /// A nexus that gives up its registration gives up the reservation, too (SPC-4 5.12.11.2.3).
    fn unregister(&mut self, port: &Port) -> Notices {
        let holds = self.holds(port);
        self.registrations.retain(|r| r.port != *port);
        let ends = self.reservation.as_ref().is_some_and(|reservation| {
            holds && (!reservation.kind.is_all_registrants() || self.registrations.is_empty())
        });
        if ends { self.end_reservation(port) } else { Notices::new() }
    }

    /// Ends the reservation; registrants that had access by it hear RESERVATIONS RELEASED.
    fn end_reservation(&mut self, by: &Port) -> Notices {
        match self.reservation.take() {
            Some(old) if old.kind.admits_registrants() => {
                self.notice_others(by, Asc::RESERVATIONS_RELEASED)
            }
            _ => Notices::new(),
        }
    }

    fn notice_others(&self, by: &Port, asc: Asc) -> Notices {
        let others = self.registrations.iter().filter(|r| r.port != *by);
        others.map(|r| (r.port.clone(), asc)).collect()
    }

    /// RESERVE. Repeating it changes nothing.
    pub(super) fn reserve(&mut self, port: &Port, key: u64, kind: Kind) -> Result<(), Refused> {
        self.check_key(port, key)?;
        match &self.reservation {
            None => {
                self.reservation = Some(Reservation { kind, holder: port.clone() });
                Ok(())
            }
            Some(old) if old.kind == kind && self.holds(port) => Ok(()),
            Some(_) => Err(Refused::Conflict),
        }
    }

    /// RELEASE. From one that holds nothing: GOOD, and nothing changes.
    pub(super) fn release(
        &mut self,
        port: &Port,
        key: u64,
        kind: Kind,
    ) -> Result<Notices, Refused> {
        self.check_key(port, key)?;
        match &self.reservation {
            Some(old) if self.holds(port) && old.kind != kind => Err(Refused::OtherType),
            Some(_) if self.holds(port) => Ok(self.end_reservation(port)),
            _ => Ok(Notices::new()),
        }
    }

    /// CLEAR: no reservation and no registrations any more.
    pub(super) fn clear(&mut self, port: &Port, key: u64) -> Result<Notices, Refused> {
        self.check_key(port, key)?;
        let notices = self.notice_others(port, Asc::RESERVATIONS_PREEMPTED);
        self.reservation = None;
        self.registrations.clear();
        self.generation = self.generation.wrapping_add(1);
        Ok(notices)
    }

    /// PREEMPT (SPC-4 5.12.11.2.6): takes the registrations with key `victim` away, and the
    /// reservation if they hold it.
    pub(super) fn preempt(
        &mut self,
        port: &Port,
        key: u64,
        victim: u64,
        kind: Kind,
    ) -> Result<Notices, Refused> {
        self.check_key(port, key)?;
        let all_registrants =
            self.reservation.as_ref().is_some_and(|old| old.kind.is_all_registrants());
        let takes_over = match &self.reservation {
            None => false,
            Some(_) if all_registrants => victim == 0,
            Some(_) => victim != 0 && self.reservation_key() == victim,
        };
        if victim == 0 && !all_registrants {
            return Err(Refused::ServiceActionKey);
        }
        let is_victim = |r: &Registration| r.port != *port && (victim == 0 || r.key == victim);
        if !takes_over && !self.registrations.iter().any(|r| r.key == victim) {
            return Err(Refused::Conflict);
        }
        let victims = self.registrations.iter().filter(|r| is_victim(r));
        let mut notices: Notices =
            victims.map(|r| (r.port.clone(), Asc::REGISTRATIONS_PREEMPTED)).collect();
        self.registrations.retain(|r| !is_victim(r));
        if takes_over {
            let new = Reservation { kind, holder: port.clone() };
            if self.reservation.replace(new).is_some_and(|old| old.kind != kind) {
                notices.extend(self.notice_others(port, Asc::RESERVATIONS_RELEASED));
            }
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(notices)
    }
}
