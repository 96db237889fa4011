//! FORMAT UNIT (SBC-3 5.3): afterwards the medium reads as zeros. It has no defects, and no
//! protection information.

use std::sync::Arc;

use super::command::Call;
use super::erase::{Erase, Fill};
use super::exclusive::Kind;
use super::lun::LogicalUnit;
use super::ops::Ops;
use super::outcome::{Outcome, Refusal, Transfer};
use super::sense::{Asc, Sense};
use super::task::{Begun, Plan, Work};
use crate::block::Buffer;

/// Longest parameter list that can make sense: the long header and no defects.
const LIST_BYTES_MAX: u64 = 8;

struct Format {
    unit: Arc<LogicalUnit>,
    long_list: bool,
    /// Bytes of parameter list; the CDB does not say how many.
    len: u64,
}

pub(super) fn format_unit(call: &Call<'_>) -> Result<Plan, Refusal> {
    call.unit.check_started()?;
    call.unit.check_writable()?;
    let (long_list, format_data) = (call.cdb.bit(1, 5), call.cdb.bit(1, 4));
    if !format_data && call.cdb.u8(1) & 0x2f != 0 {
        // LONGLIST, CMPLST and the format of a list that does not come.
        return Err(Sense::cdb_field(1, Some(5)).into());
    }
    let len = match (format_data, call.data_out_bytes) {
        (false, _) => 0,
        (true, len) if len > LIST_BYTES_MAX => return Err(Sense::parameter(2, None).into()),
        (true, len) => len,
    };
    let len = if format_data && len == 0 {
        return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into());
    } else {
        len
    };
    Ok(Plan::Other(Box::new(Format { unit: Arc::clone(call.unit), long_list, len })))
}

/// IMMED, if the list asks for nothing that there is not.
fn immediate(list: &[u8], long: bool) -> Result<bool, Sense> {
    let (header, defects) = if long { (8, 4..8) } else { (4, 2..4) };
    if list.len() < header {
        return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR));
    }
    if list[0] & 0x07 != 0 {
        return Err(Sense::parameter(0, Some(2))); // PROTECTION FIELD USAGE
    }
    // DPRY, DCRT and STPF are about the certification that does not take place; without FOV they,
    // and IP, must be 0.
    let (options_valid, options) = (list[1] & 0x80 != 0, list[1] & 0x78);
    if options & 0x08 != 0 || (!options_valid && options != 0) {
        return Err(Sense::parameter(1, Some(6)));
    }
    if long && list[3] != 0 {
        return Err(Sense::parameter(3, Some(7))); // P_I_INFORMATION
    }
    if list[defects.clone()].iter().any(|byte| *byte != 0) {
        return Err(Sense::parameter(defects.start, None));
    }
    Ok(list[1] & 0x02 != 0)
}

impl Work for Format {
    fn transfer(&self) -> Transfer {
        match self.len {
            0 => Transfer::None,
            bytes => Transfer::Out { bytes },
        }
    }

    fn start(self: Box<Self>, data: Buffer, ops: &mut Ops) -> Begun {
        let immediate = match self.len {
            0 => Ok(false),
            _ => immediate(&data.to_vec(), self.long_list),
        };
        let immediate = match immediate {
            Ok(immediate) => immediate,
            Err(sense) => return Begun::Done(Outcome::check(sense)),
        };
        let fill = if self.unit.has_unmap() { Fill::Nothing } else { Fill::Zeros };
        let erase = Erase { unit: self.unit, kind: Kind::Format, fill, may_exit: false, immediate };
        erase.begin(ops).into()
    }
}
