//! PERSISTENT RESERVE IN (SPC-4 6.15), RESERVE and RELEASE (SPC-2 7.21 to 7.24).

use super::command::Call;
use super::outcome::{Refusal, Status};
use super::pr_state::{Persistent, Port, Registration};
use super::reservation::{Guard, Reserved};
use super::task::Plan;
use super::transport_id;

/// RECEIVE COPY RESULTS, which ALLOW COMMANDS of REPORT CAPABILITIES is about.
const RECEIVE_COPY_RESULTS: u8 = 0x84;

pub(super) fn reserve(call: &Call<'_>) -> Result<Plan, Refusal> {
    plan(call.unit.with_reservations(|all| all.on_reserve(call.nexus)))
}

pub(super) fn release(call: &Call<'_>) -> Result<Plan, Refusal> {
    plan(call.unit.with_reservations(|all| all.on_release(call.nexus)))
}

fn plan(reserved: Reserved) -> Result<Plan, Refusal> {
    match reserved {
        Reserved::Good => Ok(Plan::good()),
        Reserved::Conflict => Err(Refusal::Status(Status::ReservationConflict)),
        Reserved::Busy => Err(Refusal::Status(Status::Busy)),
    }
}

/// What is asked of the state; RESERVE excludes PERSISTENT RESERVE IN, for its holder, too (SPC-2
/// 5.5.1).
fn look<T>(call: &Call<'_>, ask: impl FnOnce(&Persistent) -> T) -> Result<T, Refusal> {
    call.unit.with_reservations(|all| match all.is_reserved_by_reserve() {
        true => Err(Refusal::Status(Status::ReservationConflict)),
        false => Ok(ask(&all.persistent)),
    })
}

/// An answer that begins with generation and length.
fn answer(call: &Call<'_>, list: impl FnOnce(&Persistent) -> Vec<u8>) -> Result<Plan, Refusal> {
    let (generation, list) = look(call, |state| (state.generation, list(state)))?;
    let mut data = generation.to_be_bytes().to_vec();
    data.extend_from_slice(&(list.len() as u32).to_be_bytes());
    data.extend_from_slice(&list);
    Ok(Plan::answer(data, call.cdb.u16(7).into()))
}

pub(super) fn read_keys(call: &Call<'_>) -> Result<Plan, Refusal> {
    answer(call, |state| state.registrations.iter().flat_map(|r| r.key.to_be_bytes()).collect())
}

pub(super) fn read_reservation(call: &Call<'_>) -> Result<Plan, Refusal> {
    answer(call, |state| match &state.reservation {
        None => Vec::new(),
        Some(reservation) => {
            let mut descriptor = state.reservation_key().to_be_bytes().to_vec();
            // Scope 0: the logical unit.
            descriptor.extend_from_slice(&[0, 0, 0, 0, 0, reservation.kind as u8, 0, 0]);
            descriptor
        }
    })
}

pub(super) fn report_capabilities(call: &Call<'_>) -> Result<Plan, Refusal> {
    let kept = look(call, |state| state.aptpl)?;
    let can_keep = call.unit.with_reservations(|all| all.can_keep);
    // CRH, SIP_C, ATP_C; PTPL_C.
    let capabilities = 0x1c | u8::from(can_keep);
    // TMV, ALLOW COMMANDS; PTPL_A.
    let state = 0x80 | allow_commands(call) << 4 | u8::from(kept);
    // WR_EX_AR, EX_AC_RO, WR_EX_RO, EX_AC, WR_EX; EX_AC_AR.
    let data = vec![0, 8, capabilities, state, 0xea, 0x01, 0, 0];
    Ok(Plan::answer(data, call.cdb.u16(7).into()))
}

/// TEST UNIT READY goes through every type; MODE SENSE, REPORT SUPPORTED OPERATION CODES and TASK
/// MANAGEMENT FUNCTIONS, READ DEFECT DATA through the write-exclusive ones. 100b: so does RECEIVE
/// COPY RESULTS, through every type; 011b: it does not.
fn allow_commands(call: &Call<'_>) -> u8 {
    let free = |guard| matches!(guard, Guard::Free | Guard::Query);
    let mut rows = call.table.iter().filter(|row| row.opcode == RECEIVE_COPY_RESULTS).peekable();
    if rows.peek().is_some() && rows.all(|row| free(row.guard)) { 4 } else { 3 }
}

pub(super) fn read_full_status(call: &Call<'_>) -> Result<Plan, Refusal> {
    let targets = call.inventory.target_ports();
    answer(call, |state| full_status(state, &targets))
}

/// A descriptor for each registered nexus; one for all of an initiator port that were registered
/// together and are still alike, if they go through every one of `targets`.
fn full_status(state: &Persistent, targets: &[u16]) -> Vec<u8> {
    let alike = |a: &Registration, b: &Registration| {
        let holds = |r: &Registration| state.holds(&r.port);
        a.all_target_ports && b.all_target_ports && a.key == b.key && holds(a) == holds(b)
    };
    let is_all = |r: &Registration| {
        let of_port =
            || state.registrations.iter().filter(|o| o.port.initiator == r.port.initiator);
        let reached = |target: &u16| of_port().any(|o| o.port.target == *target);
        of_port().all(|o| alike(r, o)) && targets.iter().all(reached)
    };
    let mut out = Vec::new();
    let mut told: Vec<&Port> = Vec::new();
    for registration in &state.registrations {
        let port = &registration.port;
        let all = is_all(registration);
        if all && told.iter().any(|other| other.initiator == port.initiator) {
            continue;
        }
        told.push(port);
        out.extend(descriptor(state, registration, all));
    }
    out
}

fn descriptor(state: &Persistent, registration: &Registration, all: bool) -> Vec<u8> {
    let holder = state.reservation.as_ref().filter(|_| state.holds(&registration.port));
    let transport = transport_id::encode(&registration.port.initiator);
    let mut out = registration.key.to_be_bytes().to_vec();
    out.extend_from_slice(&[0, 0, 0, 0]);
    out.push(u8::from(holder.is_some()) | if all { 0x02 } else { 0 });
    out.push(holder.map_or(0, |r| r.kind as u8));
    out.extend_from_slice(&[0, 0, 0, 0]);
    out.extend_from_slice(&registration.port.target.to_be_bytes());
    out.extend_from_slice(&(transport.len() as u32).to_be_bytes());
    out.extend_from_slice(&transport);
    out
}
