//! PERSISTENT RESERVE OUT (SPC-4 6.16).
//!
//! A command works on a copy of the state. If that is to outlive a loss of power, its record goes
//! to the volume first; it takes the place of the state, and the initiator hears GOOD, when the
//! record is on stable storage. Until then another PERSISTENT RESERVE OUT command is answered with
//! BUSY, and everyone else goes by the old state.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::command::Call;
use super::inventory::Inventory;
use super::lun::LogicalUnit;
use super::ops::Ops;
use super::outcome::{Outcome, Preempted, Refusal, Status};
use super::parameters::{ListCall, with_list};
use super::pr_record;
use super::pr_state::{
    Action, Effects, Kind, Move, Persistent, Port, REGISTRATIONS_MAX, Refused, Register,
};
use super::reservation::Reservations;
use super::sense::{self, Access, Asc, Sense};
use super::task::{Begun, Plan, Steps};
use super::transport_id::{TransportId, node_of};
use crate::block::{Done, Error, Op, StateRecord};

const REGISTER: u8 = 0;
const RESERVE: u8 = 1;
const RELEASE: u8 = 2;
const CLEAR: u8 = 3;
const PREEMPT: u8 = 4;
const PREEMPT_AND_ABORT: u8 = 5;
const REGISTER_AND_MOVE: u8 = 7;

/// The basic parameter list, and what all longer ones begin with.
const LIST_BYTES: u32 = 24;
/// Where the TransportIDs of SPEC_I_PT begin.
const SPECIFIED_AT: usize = 28;
/// Where the TransportID of REGISTER AND MOVE begins.
const MOVE_TO_AT: usize = 24;

/// Byte and bits of the flags in the basic parameter list.
const FLAGS_AT: usize = 20;
const SPEC_I_PT: u8 = 3;
const ALL_TG_PT: u8 = 2;
const APTPL: u8 = 0;
/// Byte and bits of the flags in that of REGISTER AND MOVE.
const MOVE_FLAGS_AT: usize = 17;
const UNREG: u8 = 1;

pub(super) fn out(call: &Call<'_>) -> Result<Plan, Refusal> {
    let len = call.cdb.u32(5);
    let may_be_longer = matches!(call.cdb.service_action(), REGISTER | REGISTER_AND_MOVE);
    if len < LIST_BYTES || (len > LIST_BYTES && !may_be_longer) {
        return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into());
    }
    with_list(call, len, run)
}

fn run(call: &ListCall, list: &[u8], ops: &mut Ops) -> Result<Begun, Refusal> {
    let list = List(list);
    let action = parse(call, &list)?;
    let (port, key) = (Port::of(&call.nexus), list.u64(0));
    let place = Place {
        inventory: Arc::clone(&call.inventory),
        unit: Arc::clone(&call.unit),
        abort: call.cdb.service_action() == PREEMPT_AND_ABORT,
    };
    let decided = call.unit.with_reservations(|all| {
        decide(all, &port, key, &action).map_err(|refused| refusal(&refused, call.cdb.u8(2)))
    })?;
    match decided {
        Decided::Done(effects) => Ok(Begun::Done(place.tell(&effects))),
        Decided::Save(record, next) => {
            ops.push(Op::SaveState(record));
            Ok(Begun::Steps(Box::new(Saving { place, next: Some(next) })))
        }
    }
}

/// A parameter list of at least [`LIST_BYTES`].
struct List<'a>(&'a [u8]);

impl List<'_> {
    fn number(&self, at: usize, len: usize) -> u64 {
        self.0.iter().skip(at).take(len).fold(0, |n, byte| (n << 8) | u64::from(*byte))
    }

    fn u64(&self, at: usize) -> u64 {
        self.number(at, 8)
    }

    fn bit(&self, at: usize, bit: u8) -> bool {
        self.number(at, 1) & (1 << bit) != 0
    }

    /// The TransportIDs from `at` on, whose length in bytes stands in the four bytes before. That
    /// must be all that is left of the list.
    fn transport_ids(&self, at: usize) -> Result<Vec<TransportId>, Refusal> {
        let wrong = |at| Err(Sense::parameter(at, None).into());
        let Some(mut rest) = self.0.get(at..) else {
            return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into());
        };
        if self.number(at - 4, 4) != rest.len() as u64 {
            return wrong(at - 4);
        }
        let mut ids = Vec::new();
        while !rest.is_empty() {
            let Some((id, len)) = TransportId::parse(rest) else {
                return wrong(self.0.len() - rest.len());
            };
            ids.push(id);
            rest = &rest[len..];
        }
        Ok(ids)
    }
}

fn parse(call: &ListCall, list: &List<'_>) -> Result<Action, Refusal> {
    let action = call.cdb.service_action();
    if action == REGISTER_AND_MOVE {
        return parse_move(call, list);
    }
    if list.bit(FLAGS_AT, SPEC_I_PT) && action != REGISTER {
        return Err(Sense::parameter(FLAGS_AT, Some(SPEC_I_PT)).into());
    }
    let victim = list.u64(8);
    let kind = scope_and_type(call.cdb.u8(2));
    Ok(match action {
        RESERVE => Action::Reserve { kind },
        RELEASE => Action::Release { kind },
        CLEAR => Action::Clear,
        PREEMPT | PREEMPT_AND_ABORT => Action::Preempt { victim, kind },
        // The table has no other but REGISTER AND IGNORE EXISTING KEY.
        _ => Action::Register(parse_register(call, list)?),
    })
}

fn parse_register(call: &ListCall, list: &List<'_>) -> Result<Register, Refusal> {
    let aptpl = list.bit(FLAGS_AT, APTPL);
    check_aptpl(call, aptpl, FLAGS_AT)?;
    let specified = if list.bit(FLAGS_AT, SPEC_I_PT) {
        Some(initiator_ports(call, list.transport_ids(SPECIFIED_AT)?, SPECIFIED_AT)?)
    } else if list.0.len() as u64 == u64::from(LIST_BYTES) {
        None
    } else {
        return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into());
    };
    let is_register = call.cdb.service_action() == REGISTER;
    Ok(Register {
        key: is_register.then(|| list.u64(0)),
        new: list.u64(8),
        aptpl,
        specified,
        all_targets: list.bit(FLAGS_AT, ALL_TG_PT).then(|| call.inventory.target_ports()),
    })
}

fn parse_move(call: &ListCall, list: &List<'_>) -> Result<Action, Refusal> {
    let aptpl = list.bit(MOVE_FLAGS_AT, APTPL);
    check_aptpl(call, aptpl, MOVE_FLAGS_AT)?;
    let ids = list.transport_ids(MOVE_TO_AT)?;
    if ids.len() != 1 {
        return Err(Sense::parameter(MOVE_TO_AT - 4, None).into());
    }
    // The reservation goes to one port.
    let [initiator] = &initiator_ports(call, ids, MOVE_TO_AT)?[..] else {
        return Err(Sense::parameter(MOVE_TO_AT, None).into());
    };
    let targets = call.inventory.target_ports();
    let target = targets.into_iter().find(|port| u64::from(*port) == list.number(18, 2));
    let target = target.ok_or_else(|| Sense::parameter(18, None))?;
    Ok(Action::Move(Move {
        new: list.u64(8),
        aptpl,
        unregister: list.bit(MOVE_FLAGS_AT, UNREG),
        to: Port { initiator: initiator.clone(), target },
    }))
}

fn check_aptpl(call: &ListCall, aptpl: bool, at: usize) -> Result<(), Refusal> {
    if aptpl && !call.unit.with_reservations(|all| all.can_keep) {
        return Err(Sense::parameter(at, Some(APTPL)).into());
    }
    Ok(())
}

/// `None`: the scope is not the logical unit, or the type is none.
fn scope_and_type(byte: u8) -> Option<Kind> {
    (byte >> 4 == 0).then(|| Kind::decode(byte & 0x0f))?
}

/// The nexuses that the device server knows: those there are, and those that are registered.
fn known(call: &ListCall) -> Vec<Port> {
    let attached = call.inventory.nexuses();
    let mut known: Vec<Port> = attached.iter().map(|nexus| Port::of(nexus)).collect();
    call.unit.with_reservations(|all| {
        known.extend(all.persistent.registrations.iter().map(|r| r.port.clone()));
    });
    known
}

/// The initiator ports of each node that the device server knows.
fn known_ports(call: &ListCall) -> HashMap<String, BTreeSet<String>> {
    let mut ports: HashMap<String, BTreeSet<String>> = HashMap::new();
    for Port { initiator, .. } in known(call) {
        if let Some(node) = node_of(&initiator) {
            ports.entry(node.to_owned()).or_default().insert(initiator);
        }
    }
    ports
}

/// The initiator ports that a list of TransportIDs specifies, each once: of a node, those that the
/// device server knows (SPC-4 7.6.4.6). A list in which a node has none is an error in the field
/// at `at`: nobody would be registered.
fn initiator_ports(
    call: &ListCall,
    mut ids: Vec<TransportId>,
    at: usize,
) -> Result<Vec<String>, Refusal> {
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > REGISTRATIONS_MAX {
        return Err(refusal(&NotDone::Refused(Refused::NoRoom), 0));
    }
    // There may be thousands: gathered once, and only if they are asked for.
    let known = match ids.iter().any(|id| matches!(id, TransportId::Node(_))) {
        true => known_ports(call),
        false => HashMap::new(),
    };
    let mut ports = BTreeSet::new();
    for id in ids {
        match id {
            TransportId::Port(name) => {
                ports.insert(name);
            }
            TransportId::Node(node) => {
                let of_node = known.get(&node).ok_or_else(|| Sense::parameter(at, None))?;
                ports.extend(of_node.iter().cloned());
            }
        }
    }
    Ok(ports.into_iter().collect())
}

/// What there is to be done of a command that is not refused.
enum Decided {
    Done(Effects),
    Save(StateRecord, Box<(Persistent, Effects)>),
}

/// Why there is nothing to be done.
enum NotDone {
    Refused(Refused),
    Status(Status),
    /// The volume takes no record.
    ReadOnly,
}

fn decide(
    all: &mut Reservations,
    port: &Port,
    key: u64,
    action: &Action,
) -> Result<Decided, NotDone> {
    if all.is_reserved_by_reserve() {
        return Err(NotDone::Status(Status::ReservationConflict));
    }
    if all.saving {
        return Err(NotDone::Status(Status::Busy));
    }
    let mut next = all.persistent.clone();
    let effects = next.apply(port, key, action).map_err(NotDone::Refused)?;
    let old = &all.persistent;
    let changed = (&next.registrations, &next.reservation, next.aptpl)
        != (&old.registrations, &old.reservation, old.aptpl);
    let is_kept = next.aptpl || old.aptpl;
    if !(all.stale_record || (changed && is_kept)) {
        all.persistent = next;
        return Ok(Decided::Done(effects));
    }
    if !all.can_keep {
        return Err(NotDone::ReadOnly);
    }
    let record = pr_record::encode(&next).ok_or(NotDone::Refused(Refused::NoRoom))?;
    all.saving = true;
    Ok(Decided::Save(record, Box::new((next, effects))))
}

/// `scope_and_type`: byte 2 of the CDB.
fn refusal(not_done: &NotDone, scope_and_type: u8) -> Refusal {
    let refused = match not_done {
        NotDone::Status(status) => return Refusal::Status(*status),
        NotDone::ReadOnly => {
            return Sense::new(sense::SenseKey::DataProtect, Asc::WRITE_PROTECTED).into();
        }
        NotDone::Refused(refused) => refused,
    };
    let sense = match refused {
        Refused::Conflict => return Refusal::Status(Status::ReservationConflict),
        Refused::ServiceActionKey => Sense::parameter(8, None),
        Refused::Kind => Sense::cdb_field(2, Some(if scope_and_type >> 4 == 0 { 3 } else { 7 })),
        Refused::OtherType => Sense::illegal(Asc::INVALID_RELEASE_OF_RESERVATION),
        Refused::NothingToMove => Sense::cdb_field(1, Some(4)),
        Refused::SpecifiedByRegistrant => Sense::parameter(FLAGS_AT, Some(SPEC_I_PT)),
        Refused::TransportId => Sense::parameter(MOVE_TO_AT, None),
        Refused::NoRoom => Sense::illegal(Asc::INSUFFICIENT_REGISTRATION_RESOURCES),
    };
    sense.into()
}

/// Where a command is.
struct Place {
    inventory: Arc<Inventory>,
    unit: Arc<LogicalUnit>,
    /// PREEMPT AND ABORT.
    abort: bool,
}

impl Place {
    /// Tells others what has happened: GOOD.
    fn tell(&self, effects: &Effects) -> Outcome {
        for (port, asc) in &effects.notices {
            self.inventory.establish(&self.unit, *asc, |nexus| port.is(nexus));
        }
        let preempted = self.abort.then(|| {
            let nexuses = self.inventory.nexuses().into_iter();
            let nexuses =
                nexuses.filter(|nexus| effects.preempted.iter().any(|port| port.is(nexus)));
            let nexuses = nexuses.map(|nexus| nexus.id).collect();
            Box::new(Preempted { lun: self.unit.number, nexuses })
        });
        Outcome { preempted, ..Outcome::good() }
    }
}

/// The record is on its way to stable storage.
struct Saving {
    place: Place,
    /// The state that is to be; `None` once it is known what has become of it.
    next: Option<Box<(Persistent, Effects)>>,
}

impl Steps for Saving {
    fn resume(&mut self, result: Result<Done, Error>, _: &mut Ops) -> Option<Outcome> {
        if let Err(error) = result {
            self.give_up();
            return Some(sense::of_block_error(&error, Access::Write).into());
        }
        let (next, effects) = *self.next.take()?;
        self.place.unit.with_reservations(|all| {
            all.persistent = next;
            all.saving = false;
            all.stale_record = false;
        });
        Some(self.place.tell(&effects))
    }
}

impl Saving {
    /// The state stays as it was; what the volume holds is not known.
    fn give_up(&mut self) {
        if self.next.take().is_some() {
            self.place.unit.with_reservations(|all| {
                all.saving = false;
                all.stale_record = true;
            });
        }
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.give_up();
    }
}
