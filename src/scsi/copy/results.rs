//! RECEIVE COPY RESULTS of the copies with a list identifier (SPC-4 6.18.2, 6.18.3, 6.18.5).

use super::super::command::Call;
use super::super::copies::{Copy, State};
use super::super::outcome::{Refusal, Status};
use super::super::sense::Sense;
use super::super::task::Plan;

/// The copy of the list identifier in the CDB.
fn copy(call: &Call<'_>) -> Result<Copy, Sense> {
    let copy = call.nexus.copies.get(call.unit.id, call.cdb.u8(2));
    copy.ok_or_else(|| Sense::cdb_field(2, None))
}

/// One that has ended: only then there are data and details.
fn ended(call: &Call<'_>) -> Result<Copy, Sense> {
    let copy = copy(call)?;
    if copy.state == State::Running { Err(Sense::cdb_field(2, None)) } else { Ok(copy) }
}

/// COPY STATUS.
pub(in crate::scsi) fn copy_status(call: &Call<'_>) -> Result<Plan, Refusal> {
    let copy = copy(call)?;
    let (mut count, mut units) = (copy.bytes, 0);
    // In the smallest units that fit: bytes, KiB, MiB, ...
    while count > u32::MAX.into() {
        count >>= 10;
        units += 1;
    }
    let mut data = vec![0, 0, 0, 8];
    // HDD: no data are held.
    data.push(
        0x80 | match copy.state {
            State::Running => 0,
            State::Done => 1,
            State::Failed(_) => 2,
        },
    );
    data.extend_from_slice(&copy.segments.to_be_bytes());
    data.push(units);
    data.extend_from_slice(&(count as u32).to_be_bytes());
    Ok(Plan::answer(data, call.cdb.u32(10)))
}

/// RECEIVE DATA: no segment descriptor that is supported holds any.
pub(in crate::scsi) fn receive_data(call: &Call<'_>) -> Result<Plan, Refusal> {
    ended(call)?;
    Ok(Plan::answer(vec![0; 4], call.cdb.u32(10)))
}

/// FAILED SEGMENT DETAILS: kept until the list identifier is used again.
pub(in crate::scsi) fn failed_segment_details(call: &Call<'_>) -> Result<Plan, Refusal> {
    let State::Failed(sense) = ended(call)?.state else {
        return Ok(Plan::answer(vec![0; 4], call.cdb.u32(10)));
    };
    let sense = Sense { format: call.unit.sense_format(), ..sense }.encode();
    let mut data = vec![0; 60];
    data[56] = Status::CheckCondition as u8;
    data[58..60].copy_from_slice(&(sense.len() as u16).to_be_bytes());
    data.extend_from_slice(&sense);
    let available = (data.len() - 4) as u32;
    data[..4].copy_from_slice(&available.to_be_bytes());
    Ok(Plan::answer(data, call.cdb.u32(10)))
}
