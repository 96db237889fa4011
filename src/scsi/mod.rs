//! SAM, SPC and SBC as a sans-I/O core.
//!
//! # The life of a command
//!
//! 1. [`Device::admit`]: the CDB is decoded by the opcode table and checked (LUN, unit attention,
//!    reservation, range, fields). The answer says how much data the command wants from the
//!    initiator, or is the final [`Outcome`] already. Nothing was transferred so far.
//! 2. [`Prepared::start`] with the data of the initiator: block requests to submit, or the end.
//! 3. [`Task::resume`] with each completion, until the [`Outcome`].
//!
//! This room knows no iSCSI, and of [`crate::block`] only requests, completions and buffers.

mod atomic;
mod attention;
mod background;
mod cdb;
mod command;
mod copies;
mod copy;
mod copy_limits;
mod data;
mod device;
mod erase;
mod exclusive;
mod format_unit;
mod inquiry;
mod inventory;
mod log;
mod lun;
mod medium;
mod mode;
mod mode_pages;
mod nexus;
mod opcode;
mod ops;
mod outcome;
mod parameters;
mod pr;
mod pr_out;
mod pr_record;
mod pr_state;
mod provisioning;
mod read_write;
mod report;
mod reservation;
mod sanitize;
mod sense;
mod start_stop;
mod statistics;
mod steps;
mod task;
mod transport_id;
mod verify;
mod vpd;
mod write_same;

pub use background::Background;
pub use device::{Admission, Command, Device, NoSuchLun};
pub use exclusive::begins_alone;
pub use lun::{LUN_MAX, LogicalUnitSpec, UnitId};
pub use nexus::{Nexus, NexusSpec};
pub use opcode::commands;
pub use ops::Ops;
pub use outcome::{DataIn, Outcome, Preempted, Status, TaskAttribute, Transfer};
pub use pr_record::can_restore;
pub use sense::{Asc, FieldPointer, Sense, SenseFormat, SenseKey};
pub use task::{Prepared, Step, Task};
pub use vpd::wwid;

#[cfg(test)]
mod tests;
