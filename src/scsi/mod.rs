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
