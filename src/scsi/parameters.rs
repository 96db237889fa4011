//! Commands with a parameter list from the initiator.

use std::sync::Arc;

use super::cdb::Cdb;
use super::command::Call;
use super::inventory::Inventory;
use super::lun::LogicalUnit;
use super::nexus::Nexus;
use super::ops::Ops;
use super::outcome::{Refusal, Transfer};
use super::sense::{Asc, Sense};
use super::task::{Begun, Plan, Work};
use crate::block::Buffer;

/// Longest parameter list that any command needs.
const LIST_BYTES_MAX: u32 = 0x1_0000;

/// A command that waits for its parameter list.
pub(super) struct ListCall {
    pub(super) cdb: Cdb,
    pub(super) inventory: Arc<Inventory>,
    pub(super) nexus: Arc<Nexus>,
    pub(super) unit: Arc<LogicalUnit>,
    len: u32,
    apply: Apply,
}

/// Carries out a command with its parameter list, which is as long as the CDB says.
pub(super) type Apply = fn(&ListCall, &[u8], &mut Ops) -> Result<Begun, Refusal>;

/// Asks for `len` bytes of parameter list.
pub(super) fn with_list(call: &Call<'_>, len: u32, apply: Apply) -> Result<Plan, Refusal> {
    if len > LIST_BYTES_MAX {
        return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into());
    }
    Ok(Plan::Other(Box::new(ListCall {
        cdb: call.cdb,
        inventory: Arc::clone(call.inventory),
        nexus: Arc::clone(call.nexus),
        unit: Arc::clone(call.unit),
        len,
        apply,
    })))
}

impl Work for ListCall {
    fn transfer(&self) -> Transfer {
        Transfer::Out { bytes: self.len.into() }
    }

    fn start(self: Box<Self>, data: Buffer, ops: &mut Ops) -> Begun {
        if data.len() != self.len as usize {
            let sense = Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR);
            return Begun::from(Err(sense.into()));
        }
        (self.apply)(&self, &data.to_vec(), ops).into()
    }
}
