//! EXTENDED COPY(LID1) (SPC-4 6.4): the device copies from one of its logical units to another,
//! or to the same, without the data passing the initiator.
//!
//! A copy reaches the logical units of this device and no others: a target descriptor is compared
//! with the designators of exactly those that the I_T nexus could address itself, and each of them
//! is asked whether the nexus may read or write it, before every chunk.

mod parameters;
mod results;
mod run;

use std::sync::Arc;

use super::command::Call;
use super::lun::LogicalUnit;
use super::nexus::Nexus;
use super::ops::Ops;
use super::outcome::{Outcome, Refusal, Transfer};
use super::sense::{Asc, Sense};
use super::task::{Begun, Plan, Work};
use crate::block::Buffer;

pub(super) use results::{copy_status, failed_segment_details, receive_data};

/// Longest parameter list that is looked at; the descriptors have a limit of their own.
const LIST_BYTES_MAX: u32 = 0x1_0000;

struct ExtendedCopy {
    nexus: Arc<Nexus>,
    unit: Arc<LogicalUnit>,
    len: u32,
}

pub(super) fn extended_copy(call: &Call<'_>) -> Result<Plan, Refusal> {
    match call.cdb.u32(10) {
        0 => Ok(Plan::good()),
        len if len > LIST_BYTES_MAX => Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into()),
        len => Ok(Plan::Other(Box::new(ExtendedCopy {
            nexus: Arc::clone(call.nexus),
            unit: Arc::clone(call.unit),
            len,
        }))),
    }
}

impl Work for ExtendedCopy {
    fn transfer(&self) -> Transfer {
        Transfer::Out { bytes: self.len.into() }
    }

    /// The list, and then one chunk.
    fn memory_bytes(&self) -> u64 {
        u64::from(self.len) + run::CHUNK_BYTES
    }

    fn start(self: Box<Self>, data: Buffer, ops: &mut Ops) -> Begun {
        let len = data.len();
        let list = data.to_vec();
        drop(data);
        if len != self.len as usize {
            return Begun::Done(Outcome::check(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR)));
        }
        let begun = parameters::parse(&list)
            .map_err(Refusal::from)
            .and_then(|list| run::begin(*self, list, ops));
        begun.into()
    }
}
