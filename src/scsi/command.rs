//! What the opcode table, the handlers and the device server share.

use std::sync::Arc;

use super::attention::Attentions;
use super::cdb::Cdb;
use super::inventory::Inventory;
use super::lun::{Address, LogicalUnit};
use super::nexus::Nexus;
use super::outcome::Refusal;
use super::reservation::Guard;
use super::task::Plan;

/// One row of the opcode table.
pub(super) struct Row {
    pub(super) opcode: u8,
    /// For operation codes that have service actions (in byte 1, bits 4-0).
    pub(super) service_action: Option<u8>,
    pub(super) name: &'static str,
    /// The bits that are evaluated, as in the CDB USAGE DATA of REPORT SUPPORTED OPERATION CODES;
    /// any other bit must be zero. Its length is the length of the CDB.
    pub(super) usage: &'static [u8],
    pub(super) guard: Guard,
    /// Whether this logical unit has the command at all.
    pub(super) supported: fn(&LogicalUnit) -> bool,
    pub(super) handler: Handler,
}

/// Who answers a command.
pub(super) enum Handler {
    /// Commands that any LUN answers, a missing one too, and that unit attention conditions do
    /// not hold up (SAM-5 5.14.1): INQUIRY, REPORT LUNS, REQUEST SENSE.
    Anywhere(fn(&AnyCall<'_>) -> Result<Plan, Refusal>),
    /// Commands for any logical unit that exists, the REPORT LUNS well-known one too.
    Existing(fn(&AnyCall<'_>) -> Result<Plan, Refusal>),
    /// Commands for a logical unit.
    Unit(fn(&Call<'_>) -> Result<Plan, Refusal>),
}

/// A command to a LUN field, whatever is there.
pub(super) struct AnyCall<'a> {
    pub(super) cdb: Cdb,
    pub(super) inventory: &'a Arc<Inventory>,
    pub(super) nexus: &'a Arc<Nexus>,
    pub(super) address: Address,
    /// The logical unit that is addressed, if it exists.
    pub(super) unit: Option<&'a Arc<LogicalUnit>>,
    /// The unit attention conditions of what is addressed, if it exists.
    pub(super) attentions: Option<&'a Attentions>,
}

/// A command to a logical unit.
pub(super) struct Call<'a> {
    pub(super) cdb: Cdb,
    pub(super) inventory: &'a Arc<Inventory>,
    pub(super) nexus: &'a Arc<Nexus>,
    pub(super) unit: &'a Arc<LogicalUnit>,
    /// What the initiator says it will send, in bytes.
    pub(super) data_out_bytes: u64,
    /// The opcode table, for REPORT SUPPORTED OPERATION CODES.
    pub(super) table: &'static [Row],
}
