//! SANITIZE (SBC-3 5.19): OVERWRITE, BLOCK ERASE and EXIT FAILURE MODE. Without a key that could
//! be thrown away there is no CRYPTOGRAPHIC ERASE.
//!
//! What the initiator could reach is gone afterwards. Not its to reach, and left alone, are the
//! golden image below a clone and the store's own snapshots.

use std::sync::Arc;

use super::command::Call;
use super::erase::{Erase, Fill};
use super::exclusive::{Exclusive, Kind};
use super::lun::LogicalUnit;
use super::ops::Ops;
use super::outcome::{Refusal, Transfer};
use super::parameters::{ListCall, with_list};
use super::sense::Sense;
use super::task::{Begun, Plan, Work};
use crate::block::Buffer;

/// Bytes in front of the pattern.
const HEADER_BYTES: u32 = 4;

impl Erase {
    fn sanitize(unit: &Arc<LogicalUnit>, byte_1: u8, fill: Fill) -> Self {
        Self {
            unit: Arc::clone(unit),
            kind: Kind::Sanitize,
            fill,
            may_exit: byte_1 & 0x20 != 0,
            immediate: byte_1 & 0x80 != 0,
        }
    }
}

fn check(call: &Call<'_>) -> Result<(), Sense> {
    call.unit.check_started()?;
    call.unit.check_writable()
}

fn check_no_list(call: &Call<'_>) -> Result<(), Sense> {
    if call.cdb.u16(7) == 0 { Ok(()) } else { Err(Sense::cdb_field(7, None)) }
}

pub(super) fn overwrite(call: &Call<'_>) -> Result<Plan, Refusal> {
    check(call)?;
    let len = u32::from(call.cdb.u16(7));
    if len <= HEADER_BYTES || len > call.unit.block_bytes + HEADER_BYTES {
        return Err(Sense::cdb_field(7, None).into());
    }
    with_list(call, len, apply_overwrite)
}

fn apply_overwrite(call: &ListCall, list: &[u8], ops: &mut Ops) -> Result<Begun, Refusal> {
    let [flags, _, high, low, rest @ ..] = list else {
        return Err(Sense::parameter(0, None).into());
    };
    let (invert, passes) = (flags & 0x80 != 0, flags & 0x1f);
    if flags & 0x60 != 0 {
        return Err(Sense::parameter(0, Some(6)).into()); // TEST
    }
    if passes == 0 {
        return Err(Sense::parameter(0, Some(4)).into());
    }
    let pattern = rest.get(..usize::from(u16::from_be_bytes([*high, *low])));
    let pattern = pattern.filter(|pattern| !pattern.is_empty());
    let pattern = pattern.ok_or_else(|| Sense::parameter(2, None))?;
    // Zeros, too, are written: who wants the blocks given back asks for BLOCK ERASE.
    let block = pattern.iter().copied().cycle().take(call.unit.block_bytes as usize);
    let fill = Fill::Pattern { block: block.collect(), passes, invert };
    Erase::sanitize(&call.unit, call.cdb.u8(1), fill).begin(ops)
}

/// Whether blocks can be given back.
pub(super) fn block_erase_supported(unit: &LogicalUnit) -> bool {
    unit.has_unmap()
}

pub(super) fn block_erase(call: &Call<'_>) -> Result<Plan, Refusal> {
    check_no_list(call)?;
    check(call)?;
    let erase = Erase::sanitize(call.unit, call.cdb.u8(1), Fill::Nothing);
    Ok(Plan::Other(Box::new(erase)))
}

impl Work for Erase {
    fn transfer(&self) -> Transfer {
        Transfer::None
    }

    fn start(self: Box<Self>, _: Buffer, ops: &mut Ops) -> Begun {
        self.begin(ops).into()
    }
}

/// Only what was begun with AUSE may be given up so; there is nothing to do if nothing has failed.
pub(super) fn exit_failure_mode(call: &Call<'_>) -> Result<Plan, Refusal> {
    check_no_list(call)?;
    call.unit.with_exclusive(|state| match state {
        Exclusive::Failed { kind: Kind::Sanitize, may_exit: false } => {
            Err(Sense::cdb_field(1, Some(4)))
        }
        Exclusive::Failed { kind: Kind::Sanitize, may_exit: true } => {
            *state = Exclusive::Free;
            Ok(())
        }
        _ => Ok(()),
    })?;
    Ok(Plan::good())
}
