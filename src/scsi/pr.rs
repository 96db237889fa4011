//! PERSISTENT RESERVE IN and OUT (SPC-4 6.15, 6.16), RESERVE and RELEASE (SPC-2 7.21 to 7.24).

use super::command::Call;
use super::ops::Ops;
use super::outcome::{Outcome, Refusal, Status};
use super::parameters::{ListCall, with_list};
use super::pr_state::{Kind, Notices, Persistent, Port, Refused, Registration};
use super::sense::{Asc, Sense};
use super::task::{Begun, Plan};

pub(super) fn reserve(call: &Call<'_>) -> Result<Plan, Refusal> {
    if call.unit.with_reservations(|all| all.reserve(call.nexus)) {
        Ok(Plan::good())
    } else {
        Err(Refusal::Status(Status::ReservationConflict))
    }
}

pub(super) fn release(call: &Call<'_>) -> Result<Plan, Refusal> {
    call.unit.with_reservations(|all| all.release(call.nexus));
    Ok(Plan::good())
}

/// An answer of PERSISTENT RESERVE IN that begins with generation and length.
fn answer(call: &Call<'_>, list: impl FnOnce(&Persistent) -> Vec<u8>) -> Result<Plan, Refusal> {
    let (generation, list) =
        call.unit.with_reservations(|all| (all.persistent.generation(), list(&all.persistent)));
    let mut data = generation.to_be_bytes().to_vec();
    data.extend_from_slice(&(list.len() as u32).to_be_bytes());
    data.extend_from_slice(&list);
    Ok(Plan::answer(data, call.cdb.u16(7).into()))
}

pub(super) fn read_keys(call: &Call<'_>) -> Result<Plan, Refusal> {
    answer(call, |state| state.registrations().iter().flat_map(|r| r.key.to_be_bytes()).collect())
}

pub(super) fn read_reservation(call: &Call<'_>) -> Result<Plan, Refusal> {
    answer(call, |state| match state.reservation() {
        None => Vec::new(),
        Some(reservation) => {
            let mut descriptor = state.reservation_key().to_be_bytes().to_vec();
            // Scope 0: the logical unit.
            descriptor.extend_from_slice(&[0, 0, 0, 0, 0, reservation.kind as u8, 0, 0]);
            descriptor
        }
    })
}

/// All types, CRH; nothing is kept through a loss of power, no SPEC_I_PT, no ALL_TG_PT.
pub(super) fn report_capabilities(call: &Call<'_>) -> Result<Plan, Refusal> {
    // TMV; WR_EX_AR, EX_AC_RO, WR_EX_RO, EX_AC, WR_EX; EX_AC_AR.
    let data = vec![0, 8, 0x10, 0x80, 0xea, 0x01, 0, 0];
    Ok(Plan::answer(data, call.cdb.u16(7).into()))
}

pub(super) fn read_full_status(call: &Call<'_>) -> Result<Plan, Refusal> {
    answer(call, |state| state.registrations().iter().flat_map(|r| full_status(state, r)).collect())
}

fn full_status(state: &Persistent, registration: &Registration) -> Vec<u8> {
    let holder = state.reservation().filter(|_| state.holds(&registration.port));
    let transport = transport_id(&registration.port.initiator);
    let mut out = registration.key.to_be_bytes().to_vec();
    out.extend_from_slice(&[0, 0, 0, 0]);
    out.extend_from_slice(&[u8::from(holder.is_some()), holder.map_or(0, |r| r.kind as u8)]);
    out.extend_from_slice(&[0, 0, 0, 0]);
    out.extend_from_slice(&registration.port.target.to_be_bytes());
    out.extend_from_slice(&(transport.len() as u32).to_be_bytes());
    out.extend_from_slice(&transport);
    out
}

/// iSCSI TransportID with the initiator port name (SPC-4 7.6.4.6, format 01b).
fn transport_id(port: &str) -> Vec<u8> {
    let mut name = port.as_bytes().to_vec();
    name.resize((name.len() + 1).next_multiple_of(4).max(20), 0);
    let mut out = vec![0x45, 0];
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(&name);
    out
}

/// PERSISTENT RESERVE OUT; all service actions share the parameter list of 24 bytes.
pub(super) fn out(call: &Call<'_>) -> Result<Plan, Refusal> {
    let len = call.cdb.u32(5);
    if len != 24 {
        return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into());
    }
    if call.unit.with_reservations(|all| all.is_reserved_by_reserve()) {
        return Err(Refusal::Status(Status::ReservationConflict));
    }
    with_list(call, len, apply_out)
}

const REGISTER: u8 = 0;
const RESERVE: u8 = 1;
const RELEASE: u8 = 2;
const CLEAR: u8 = 3;
const PREEMPT: u8 = 4;

fn apply_out(call: &ListCall, list: &[u8], _: &mut Ops) -> Result<Begun, Refusal> {
    let number = |at: usize| list[at..at + 8].iter().fold(0, |n, b| (n << 8) | u64::from(*b));
    let (key, action_key, flags) = (number(0), number(8), list[20]);
    // SPEC_I_PT, ALL_TG_PT, APTPL: not among the capabilities.
    if flags & 0x0d != 0 {
        return Err(Sense::parameter(20, Some(7 - (flags & 0x0d).leading_zeros() as u8)).into());
    }
    let action = call.cdb.service_action();
    let port = Port::of(&call.nexus);
    let kind = || scope_and_type(call.cdb.u8(2));
    let result = call.unit.with_reservations(|all| {
        let state = &mut all.persistent;
        Ok::<_, Sense>(match action {
            REGISTER => state.register(&port, Some(key), action_key),
            RESERVE => state.reserve(&port, key, kind()?).map(|()| Notices::new()),
            RELEASE => state.release(&port, key, kind()?),
            CLEAR => state.clear(&port, key),
            PREEMPT => state.preempt(&port, key, action_key, kind()?),
            // The table has no other but REGISTER AND IGNORE EXISTING KEY.
            _ => state.register(&port, None, action_key),
        })
    })?;
    let notices = result.map_err(refusal)?;
    for (port, asc) in notices {
        call.inventory.establish(&call.unit, asc, |nexus| Port::of(nexus) == port);
    }
    Ok(Begun::Done(Outcome::good()))
}

fn scope_and_type(byte: u8) -> Result<Kind, Sense> {
    if byte >> 4 != 0 {
        return Err(Sense::cdb_field(2, Some(7)));
    }
    Kind::decode(byte & 0x0f).ok_or_else(|| Sense::cdb_field(2, Some(3)))
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Conflict => Refusal::Status(Status::ReservationConflict),
        Refused::ServiceActionKey => Sense::parameter(8, None).into(),
        Refused::OtherType => Sense::illegal(Asc::INVALID_RELEASE_OF_RESERVATION).into(),
        Refused::NoRoom => Sense::illegal(Asc::INSUFFICIENT_REGISTRATION_RESOURCES).into(),
    }
}
