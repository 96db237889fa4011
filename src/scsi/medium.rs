//! Small commands about the medium: TEST UNIT READY, READ CAPACITY, SYNCHRONIZE CACHE.

use super::cdb::Blocks;
use super::command::{AnyCall, Call};
use super::outcome::Refusal;
use super::sense::Sense;
use super::task::Plan;

pub(super) fn test_unit_ready(call: &AnyCall<'_>) -> Result<Plan, Refusal> {
    // The well-known logical unit is always ready.
    call.unit.map_or(Ok(()), |unit| unit.check_ready())?;
    Ok(Plan::good())
}

/// SBC-3 5.15. A medium too large for the answer says so (FFFFFFFFh).
pub(super) fn read_capacity_10(call: &Call<'_>) -> Result<Plan, Refusal> {
    if call.cdb.u32(2) != 0 {
        return Err(Sense::cdb_field(2, None).into());
    }
    call.unit.check_ready()?;
    let last = u32::try_from(call.unit.blocks().saturating_sub(1)).unwrap_or(u32::MAX);
    let data = [last.to_be_bytes(), call.unit.block_bytes.to_be_bytes()].concat();
    Ok(Plan::answer(data, 8))
}

/// SBC-3 5.16.
pub(super) fn read_capacity_16(call: &Call<'_>) -> Result<Plan, Refusal> {
    if call.cdb.u64(2) != 0 {
        return Err(Sense::cdb_field(2, None).into());
    }
    call.unit.check_ready()?;
    let info = call.unit.info();
    let physical = (info.physical_block_bytes / call.unit.block_bytes).max(1);
    let mut data = vec![0; 32];
    data[..8].copy_from_slice(&call.unit.blocks().saturating_sub(1).to_be_bytes());
    data[8..12].copy_from_slice(&call.unit.block_bytes.to_be_bytes());
    data[13] = physical.ilog2().min(0x0f) as u8;
    if call.unit.has_unmap() {
        data[14] = 0xc0; // LBPME, LBPRZ
    }
    Ok(Plan::answer(data, call.cdb.u32(10)))
}

/// SBC-3 5.20. The whole cache is flushed, whatever the range; with IMMED, too, the status comes
/// when it is done, as a status that came before could not tell of a failure.
pub(super) fn synchronize_cache(call: &Call<'_>) -> Result<Plan, Refusal> {
    call.unit.check_ready()?;
    call.unit.check_range(Blocks::of(&call.cdb))?;
    Ok(Plan::Flush)
}

/// PRE-FETCH (SBC-3 5.9, 5.10). GOOD, not CONDITION MET: there is no cache that would hold the
/// blocks for certain.
pub(super) fn pre_fetch(call: &Call<'_>) -> Result<Plan, Refusal> {
    call.unit.check_ready()?;
    call.unit.check_range(Blocks::of(&call.cdb))?;
    Ok(Plan::good())
}

/// READ DEFECT DATA(10) (SBC-3 5.17): the lists exist, and are empty.
pub(super) fn read_defect_data_10(call: &Call<'_>) -> Result<Plan, Refusal> {
    let data = vec![0, call.cdb.u8(2) & 0x1f, 0, 0];
    Ok(Plan::answer(data, call.cdb.u16(7).into()))
}

/// READ DEFECT DATA(12) (SBC-3 5.18).
pub(super) fn read_defect_data_12(call: &Call<'_>) -> Result<Plan, Refusal> {
    let data = vec![0, call.cdb.u8(1) & 0x1f, 0, 0, 0, 0, 0, 0];
    Ok(Plan::answer(data, call.cdb.u32(6)))
}
