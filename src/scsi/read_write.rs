//! READ and WRITE of 6, 10, 12 and 16 bytes (SBC-3 5.11 to 5.14, 5.32 to 5.35).

use super::cdb::Blocks;
use super::command::Call;
use super::outcome::Refusal;
use super::task::Plan;

pub(super) fn read(call: &Call<'_>) -> Result<Plan, Refusal> {
    let range = call.unit.transfer_range(Blocks::of(&call.cdb))?;
    // FUA needs nothing: what a completed write left in a cache of the store is what reads see.
    Ok(if range.len == 0 { Plan::good() } else { Plan::Read(range) })
}

pub(super) fn write(call: &Call<'_>) -> Result<Plan, Refusal> {
    let range = call.unit.transfer_range(Blocks::of(&call.cdb))?;
    call.unit.check_writable()?;
    if range.len == 0 {
        return Ok(Plan::good());
    }
    // Byte 1 of WRITE(6) is the address.
    let fua = call.cdb.opcode() >> 5 != 0 && call.cdb.bit(1, 3);
    Ok(Plan::Write { range, fua, block_bytes: call.unit.block_bytes })
}
