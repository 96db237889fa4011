//! Persistent reservations of a logical unit: the state and its rules (SPC-4 5.12).
//!
//! Plain data, without clocks and transports: a command works on a copy, which takes the place of
//! the state when all that is due before has been done.

use super::nexus::Nexus;
use super::sense::Asc;

/// Most registrations of a logical unit.
pub(super) const REGISTRATIONS_MAX: usize = 256;

/// Persistent reservation types (SPC-4 table 63).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub(super) fn admits_registrants(self) -> bool {
        !matches!(self, Self::WriteExclusive | Self::ExclusiveAccess)
    }
}

/// What a registration belongs to: an I_T nexus, by the lasting names of its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    /// Initiator port name, in lower case.
    pub(super) initiator: String,
    /// Relative target port identifier.
    pub(super) target: u16,
}

impl Port {
    pub(super) fn of(nexus: &Nexus) -> Self {
        let spec = nexus.spec();
        Self { initiator: spec.initiator_port.to_ascii_lowercase(), target: spec.target_port }
    }

    /// Whether it is that of this nexus.
    pub(super) fn is(&self, nexus: &Nexus) -> bool {
        let spec = nexus.spec();
        self.target == spec.target_port && self.initiator.eq_ignore_ascii_case(&spec.initiator_port)
    }
}

/// A registered nexus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) port: Port,
    pub(super) key: u64,
    /// Made with ALL_TG_PT, together with those of the initiator's other nexuses.
    pub(super) all_target_ports: bool,
}

/// The reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reservation {
    pub(super) kind: Kind,
    /// Who reserved; means nothing for the all-registrants types. `None`: it is not known, because
    /// the record of it was lost.
    pub(super) holder: Option<Port>,
}

/// Everything PERSISTENT RESERVE keeps of a logical unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Persistent {
    /// PRGENERATION; 0 after a power on, whatever is kept through it (SPC-4 6.15.2).
    pub(super) generation: u32,
    /// The APTPL bit as it was set last: all of this is kept through a loss of power.
    pub(super) aptpl: bool,
    pub(super) registrations: Vec<Registration>,
    pub(super) reservation: Option<Reservation>,
}

/// REGISTER and REGISTER AND IGNORE EXISTING KEY.
#[derive(Debug, Clone)]
pub(super) struct Register {
    /// RESERVATION KEY; `None`: whatever it was.
    pub(super) key: Option<u64>,
    /// The new one; 0 ends the registration.
    pub(super) new: u64,
    pub(super) aptpl: bool,
    /// SPEC_I_PT: these initiator ports, too.
    pub(super) specified: Option<Vec<String>>,
    /// ALL_TG_PT: through every target port there is, these.
    pub(super) all_targets: Option<Vec<u16>>,
}

/// REGISTER AND MOVE.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) new: u64,
    pub(super) aptpl: bool,
    /// Ends the registration of the nexus that gives the reservation away.
    pub(super) unregister: bool,
    pub(super) to: Port,
}

/// What a PERSISTENT RESERVE OUT command asks for. A type is `None` if it is none of the standard's
/// or the scope is not the logical unit.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Register(Register),
    Reserve { kind: Option<Kind> },
    Release { kind: Option<Kind> },
    Clear,
    Preempt { victim: u64, kind: Option<Kind> },
    Move(Move),
}

/// Why a service action is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// RESERVATION CONFLICT.
    Conflict,
    /// The service action reservation key makes no sense here.
    ServiceActionKey,
    /// The type or scope is none.
    Kind,
    /// RELEASE with another type than the reservation has.
    OtherType,
    /// There is no reservation that could be moved.
    NothingToMove,
    /// SPEC_I_PT of a nexus that is registered already.
    SpecifiedByRegistrant,
    /// A TransportID specifies a nexus that may not be: one registered already, or the mover.
    TransportId,
    /// Too many registrations.
    NoRoom,
}

/// What a service action means for others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// Unit attention conditions: for whom, and which.
    pub(super) notices: Vec<(Port, Asc)>,
    /// Who lost its registration to PREEMPT.
    pub(super) preempted: Vec<Port>,
}

impl Persistent {
    /// There was a record, and it cannot be read: someone reserved, nobody knows who. Nobody may
    /// read or write until a registrant clears it.
    pub(super) fn lost() -> Self {
        let reservation = Reservation { kind: Kind::ExclusiveAccess, holder: None };
        Self { aptpl: true, reservation: Some(reservation), ..Self::default() }
    }

    /// As after [`Self::lost`], until it is cleared.
    fn is_lost(&self) -> bool {
        self.reservation.as_ref().is_some_and(|reservation| {
            reservation.holder.is_none() && !reservation.kind.is_all_registrants()
        })
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
                false => reservation.holder.as_ref() == Some(port),
            }
        })
    }

    /// Whether this nexus may do what the reservation keeps others from.
    pub(super) fn admits(&self, nexus: &Nexus) -> bool {
        match &self.reservation {
            None => true,
            Some(reservation) if reservation.kind.admits_registrants() => {
                self.registrations.iter().any(|r| r.port.is(nexus))
            }
            Some(reservation) => reservation.holder.as_ref().is_some_and(|port| port.is(nexus)),
        }
    }

    /// The key that READ RESERVATION shows: 0 if all registrants hold it.
    pub(super) fn reservation_key(&self) -> u64 {
        match &self.reservation {
            Some(Reservation { kind, holder: Some(holder) }) if !kind.is_all_registrants() => {
                self.key_of(holder).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Does what a command of the nexus `port` with the reservation key `key` asks for. Whoever
    /// calls it throws the state away if it is refused.
    pub(super) fn apply(
        &mut self,
        port: &Port,
        key: u64,
        action: &Action,
    ) -> Result<Effects, Refused> {
        if let Action::Register(register) = action {
            return self.register(port, register);
        }
        if self.key_of(port) != Some(key) {
            return Err(Refused::Conflict);
        }
        match action {
            Action::Register(_) => Ok(Effects::default()),
            Action::Reserve { kind } => self.reserve(port, *kind),
            Action::Release { kind } => self.release(port, *kind),
            Action::Clear => Ok(self.clear(port)),
            Action::Preempt { victim, kind } => self.preempt(port, *victim, *kind),
            Action::Move(moving) => self.move_to(port, moving),
        }
    }

    /// SPC-4 5.12.7.
    fn register(&mut self, port: &Port, asked: &Register) -> Result<Effects, Refused> {
        let registered = self.key_of(port);
        if asked.key.is_some_and(|key| key != registered.unwrap_or(0)) {
            return Err(Refused::Conflict);
        }
        match (registered, asked.new) {
            (None, 0) => return Ok(Effects::default()),
            (Some(_), _) if asked.specified.is_some() => {
                return Err(Refused::SpecifiedByRegistrant);
            }
            _ => {}
        }
        let targets = asked.all_targets.clone().unwrap_or_else(|| vec![port.target]);
        let nexuses = |initiator: &str| -> Vec<Port> {
            let nexus = |target: &u16| Port { initiator: initiator.to_owned(), target: *target };
            targets.iter().map(nexus).collect()
        };
        let own = nexuses(&port.initiator);
        let other_key = |nexus: &Port| {
            asked.key.is_some_and(|key| self.key_of(nexus).is_some_and(|held| held != key))
        };
        if own.iter().any(other_key) {
            return Err(Refused::Conflict);
        }
        let mut all = own;
        for initiator in asked.specified.iter().flatten().filter(|name| **name != port.initiator) {
            let specified = nexuses(initiator);
            if specified.iter().any(|nexus| self.is_registered(nexus)) {
                return Err(Refused::TransportId);
            }
            all.extend(specified);
        }
        let mut effects = Effects::default();
        for nexus in &all {
            if asked.new == 0 {
                effects.notices.extend(self.unregister(nexus, port));
            } else {
                self.set_key(nexus, asked.new, asked.all_targets.is_some())?;
            }
        }
        self.set_aptpl(asked.aptpl);
        self.count();
        Ok(effects)
    }

    /// The record says that one was lost until that is cleared, APTPL or not.
    fn set_aptpl(&mut self, asked: bool) {
        self.aptpl = asked || self.is_lost();
    }

    fn count(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    fn set_key(&mut self, port: &Port, key: u64, all_target_ports: bool) -> Result<(), Refused> {
        let new = Registration { port: port.clone(), key, all_target_ports };
        match self.registrations.iter().position(|r| r.port == *port) {
            Some(at) => self.registrations[at] = new,
            None if self.registrations.len() < REGISTRATIONS_MAX => self.registrations.push(new),
            None => return Err(Refused::NoRoom),
        }
        Ok(())
    }

    /// A nexus that gives up its registration gives up the reservation, too (SPC-4 5.12.11.2.3).
    fn unregister(&mut self, port: &Port, by: &Port) -> Vec<(Port, Asc)> {
        let holds = self.holds(port);
        self.registrations.retain(|r| r.port != *port);
        let ends = self.reservation.as_ref().is_some_and(|reservation| {
            holds && (!reservation.kind.is_all_registrants() || self.registrations.is_empty())
        });
        if ends { self.end_reservation(by) } else { Vec::new() }
    }

    /// Ends the reservation; registrants that had access by it hear RESERVATIONS RELEASED.
    fn end_reservation(&mut self, by: &Port) -> Vec<(Port, Asc)> {
        match self.reservation.take() {
            Some(old) if old.kind.admits_registrants() => {
                self.notice_others(by, Asc::RESERVATIONS_RELEASED)
            }
            _ => Vec::new(),
        }
    }

    fn notice_others(&self, by: &Port, asc: Asc) -> Vec<(Port, Asc)> {
        let others = self.registrations.iter().filter(|r| r.port != *by);
        others.map(|r| (r.port.clone(), asc)).collect()
    }

    /// RESERVE. Repeating it changes nothing.
    fn reserve(&mut self, port: &Port, kind: Option<Kind>) -> Result<Effects, Refused> {
        let kind = kind.ok_or(Refused::Kind)?;
        match &self.reservation {
            None => self.reservation = Some(Reservation { kind, holder: Some(port.clone()) }),
            Some(old) if old.kind == kind && self.holds(port) => {}
            Some(_) => return Err(Refused::Conflict),
        }
        Ok(Effects::default())
    }

    /// RELEASE. From one that holds nothing: GOOD, and nothing changes.
    fn release(&mut self, port: &Port, kind: Option<Kind>) -> Result<Effects, Refused> {
        let notices = match &self.reservation {
            Some(old) if self.holds(port) && Some(old.kind) != kind => {
                return Err(Refused::OtherType);
            }
            Some(_) if self.holds(port) => self.end_reservation(port),
            _ => Vec::new(),
        };
        Ok(Effects { notices, ..Effects::default() })
    }

    /// CLEAR: no reservation and no registrations any more.
    fn clear(&mut self, port: &Port) -> Effects {
        let notices = self.notice_others(port, Asc::RESERVATIONS_PREEMPTED);
        self.reservation = None;
        self.registrations.clear();
        self.count();
        Effects { notices, ..Effects::default() }
    }

    /// PREEMPT (SPC-4 5.12.11.2.4, 5.12.11.2.5): takes the registrations with key `victim` away,
    /// and the reservation if it is theirs.
    fn preempt(
        &mut self,
        port: &Port,
        victim: u64,
        kind: Option<Kind>,
    ) -> Result<Effects, Refused> {
        let all_registrants =
            self.reservation.as_ref().is_some_and(|old| old.kind.is_all_registrants());
        if victim == 0 && !all_registrants {
            return Err(Refused::ServiceActionKey);
        }
        let takes_over = victim == 0 || self.reservation_key() == victim;
        if !takes_over && !self.registrations.iter().any(|r| r.key == victim) {
            return Err(Refused::Conflict);
        }
        let loses = |r: &Registration| victim == 0 || r.key == victim;
        let victims = self.registrations.iter().filter(|r| loses(r) && r.port != *port);
        let preempted: Vec<Port> = victims.map(|r| r.port.clone()).collect();
        let mut notices: Vec<_> =
            preempted.iter().map(|port| (port.clone(), Asc::REGISTRATIONS_PREEMPTED)).collect();
        if takes_over {
            let kind = kind.ok_or(Refused::Kind)?;
            self.registrations.retain(|r| !loses(r) || r.port == *port);
            let new = Reservation { kind, holder: Some(port.clone()) };
            if self.reservation.replace(new).is_some_and(|old| old.kind != kind) {
                notices.extend(self.notice_others(port, Asc::RESERVATIONS_RELEASED));
            }
        } else {
            // With its own key a nexus removes its own registration, too.
            self.registrations.retain(|r| !loses(r));
            if all_registrants && self.registrations.is_empty() {
                self.reservation = None;
            }
        }
        self.count();
        Ok(Effects { notices, preempted })
    }

    /// REGISTER AND MOVE (SPC-4 5.12.8).
    fn move_to(&mut self, port: &Port, asked: &Move) -> Result<Effects, Refused> {
        let reservation = self.reservation.as_ref().ok_or(Refused::NothingToMove)?;
        if reservation.kind.is_all_registrants() || !self.holds(port) {
            return Err(Refused::Conflict);
        }
        if asked.new == 0 {
            return Err(Refused::ServiceActionKey);
        }
        if asked.to.initiator == port.initiator {
            return Err(Refused::TransportId);
        }
        let kind = reservation.kind;
        if asked.unregister {
            self.registrations.retain(|r| r.port != *port);
        }
        self.set_key(&asked.to, asked.new, false)?;
        self.reservation = Some(Reservation { kind, holder: Some(asked.to.clone()) });
        self.set_aptpl(asked.aptpl);
        self.count();
        Ok(Effects::default())
    }
}
