//! START STOP UNIT (SBC-3 5.19) and PREVENT ALLOW MEDIUM REMOVAL (SBC-3 5.8), for a medium that
//! cannot be removed.

use std::sync::Arc;

use super::command::Call;
use super::lun::{LogicalUnit, flag};
use super::ops::Ops;
use super::outcome::{Outcome, Refusal, Status, Transfer};
use super::reservation::Guard;
use super::sense::{self, Access, Sense};
use super::task::{Begun, Plan, Steps, Work};
use crate::block::{Buffer, Done, Error, Op};

/// The row in the table allows what everyone may do; the rest is looked at here.
fn check_may_change(call: &Call<'_>) -> Result<(), Refusal> {
    match call.unit.with_reservations(|all| all.allow(call.nexus, Guard::Write)) {
        true => Ok(()),
        false => Err(Refusal::Status(Status::ReservationConflict)),
    }
}

pub(super) fn start_stop(call: &Call<'_>) -> Result<Plan, Refusal> {
    let byte = call.cdb.u8(4);
    let (condition, no_flush) = (byte >> 4, call.cdb.bit(4, 2));
    let (eject, start) = (call.cdb.bit(4, 1), call.cdb.bit(4, 0));
    if condition != 0 {
        // Active, idle, standby, and their timers: there is nothing to switch.
        return match condition {
            0x1..=0x3 | 0x7 | 0xa | 0xb => Ok(Plan::good()),
            _ => Err(Sense::cdb_field(4, Some(7)).into()),
        };
    }
    if eject {
        return Err(Sense::cdb_field(4, Some(1)).into());
    }
    if start {
        call.unit.set_flag(flag::STOPPED, false);
        return Ok(Plan::good());
    }
    check_may_change(call)?;
    if no_flush {
        call.unit.set_flag(flag::STOPPED, true);
        return Ok(Plan::good());
    }
    Ok(Plan::Other(Box::new(Stop(Arc::clone(call.unit)))))
}

/// Flushes, then stops.
struct Stop(Arc<LogicalUnit>);

impl Work for Stop {
    fn transfer(&self) -> Transfer {
        Transfer::None
    }

    fn start(self: Box<Self>, _: Buffer, ops: &mut Ops) -> Begun {
        ops.push(Op::Flush);
        Begun::Steps(self)
    }
}

impl Steps for Stop {
    fn resume(&mut self, result: Result<Done, Error>, _: &mut Ops) -> Option<Outcome> {
        if let Err(error) = result {
            return Some(sense::of_block_error(&error, Access::Write).into());
        }
        self.0.set_flag(flag::STOPPED, true);
        Some(Outcome::good())
    }
}

pub(super) fn prevent_allow(call: &Call<'_>) -> Result<Plan, Refusal> {
    if call.cdb.u8(4) != 0 {
        check_may_change(call)?;
    }
    Ok(Plan::good())
}
