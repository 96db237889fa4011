//! The opcode table: every command there is. Dispatch, the check of reserved bits and REPORT
//! SUPPORTED OPERATION CODES come from it.

use super::cdb::Cdb;
use super::command::Handler::{Anywhere, Existing, Unit};
use super::command::{Handler, Row};
use super::lun::LogicalUnit;
use super::reservation::Guard;
use super::sense::{Asc, Sense};
use super::{
    atomic, copy, copy_limits, format_unit, inquiry, log, medium, mode, pr, pr_out, provisioning,
    read_write, report, sanitize, start_stop, verify, write_same,
};

fn always(_: &LogicalUnit) -> bool {
    true
}

/// A command without service actions.
const fn row(
    opcode: u8,
    name: &'static str,
    usage: &'static [u8],
    guard: Guard,
    handler: Handler,
) -> Row {
    Row { opcode, service_action: None, name, usage, guard, supported: always, handler }
}

impl Row {
    const fn when(mut self, supported: fn(&LogicalUnit) -> bool) -> Self {
        self.supported = supported;
        self
    }

    const fn action(mut self, action: u8) -> Self {
        self.service_action = Some(action);
        self
    }
}

/// Usage of a 10-byte block command: byte 1, then LBA, group number, length.
const fn blocks_10(byte_1: u8) -> [u8; 10] {
    [0xff, byte_1, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0]
}

/// Usage of PERSISTENT RESERVE IN: service action, allocation length.
const PR_IN: &[u8] = &[0xff, 0x1f, 0, 0, 0, 0, 0, 0xff, 0xff, 0];
/// Usage of PERSISTENT RESERVE OUT: service action, scope and type, parameter list length.
const PR_OUT: &[u8] = &[0xff, 0x1f, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0];

const fn blocks_12(byte_1: u8) -> [u8; 12] {
    [0xff, byte_1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0]
}

const fn blocks_16(byte_1: u8) -> [u8; 16] {
    let f = 0xff;
    [f, byte_1, f, f, f, f, f, f, f, f, f, f, f, f, 0x1f, 0]
}

const BLOCKS_6: &[u8] = &[0xff, 0x1f, 0xff, 0xff, 0xff, 0];
/// DPO and FUA.
const DPO_FUA_10: &[u8] = &blocks_10(0x18);
const DPO_FUA_12: &[u8] = &blocks_12(0x18);
const DPO_FUA_16: &[u8] = &blocks_16(0x18);
/// Service action, LBA, allocation length, PMI.
const SERVICE_ACTION_IN_16: &[u8] =
    &[0xff, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];

/// IMMED, AUSE, service action, parameter list length.
const SANITIZE: &[u8] = &[0xff, 0xbf, 0, 0, 0, 0, 0, 0xff, 0xff, 0];
/// Service action, list identifier, allocation length.
const COPY_RESULTS: &[u8] = &[0xff, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0];

/// Ascending by operation code, then service action.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row(0x00, "TEST UNIT READY", &[0xff, 0, 0, 0, 0, 0], Guard::Query, Existing(medium::test_unit_ready)),
    row(0x03, "REQUEST SENSE", &[0xff, 0x01, 0, 0, 0xff, 0], Guard::Free, Anywhere(inquiry::request_sense)),
    row(0x04, "FORMAT UNIT", &[0xff, 0x3f, 0, 0, 0, 0], Guard::Write, Unit(format_unit::format_unit)),
    row(0x08, "READ(6)", BLOCKS_6, Guard::Read, Unit(read_write::read)),
    row(0x0a, "WRITE(6)", BLOCKS_6, Guard::Write, Unit(read_write::write)),
    row(0x12, "INQUIRY", &[0xff, 0x01, 0xff, 0xff, 0xff, 0], Guard::Free, Anywhere(inquiry::inquiry)),
    row(0x15, "MODE SELECT(6)", &[0xff, 0x10, 0, 0, 0xff, 0], Guard::Write, Unit(mode::select_6)),
    row(0x16, "RESERVE(6)", &[0xff, 0, 0, 0, 0, 0], Guard::Query, Unit(pr::reserve)),
    row(0x17, "RELEASE(6)", &[0xff, 0, 0, 0, 0, 0], Guard::Free, Unit(pr::release)),
    row(0x1a, "MODE SENSE(6)", &[0xff, 0x08, 0xff, 0xff, 0xff, 0], Guard::Read, Unit(mode::sense_6)),
    row(0x1b, "START STOP UNIT", &[0xff, 0x01, 0, 0x0f, 0xf7, 0], Guard::Query, Unit(start_stop::start_stop)),
    row(0x1e, "PREVENT ALLOW MEDIUM REMOVAL", &[0xff, 0, 0, 0, 0x03, 0], Guard::Query, Unit(start_stop::prevent_allow)),
    row(0x25, "READ CAPACITY(10)", &[0xff, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x01, 0], Guard::Query, Unit(medium::read_capacity_10)),
    row(0x28, "READ(10)", DPO_FUA_10, Guard::Read, Unit(read_write::read)),
    row(0x2a, "WRITE(10)", DPO_FUA_10, Guard::Write, Unit(read_write::write)),
    row(0x2e, "WRITE AND VERIFY(10)", &blocks_10(0x16), Guard::Write, Unit(verify::write_and_verify)),
    row(0x2f, "VERIFY(10)", &blocks_10(0x16), Guard::Read, Unit(verify::verify)),
    row(0x34, "PRE-FETCH(10)", &blocks_10(0x02), Guard::Read, Unit(medium::pre_fetch)),
    row(0x35, "SYNCHRONIZE CACHE(10)", &blocks_10(0x06), Guard::Write, Unit(medium::synchronize_cache)),
    row(0x37, "READ DEFECT DATA(10)", &[0xff, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0], Guard::Read, Unit(medium::read_defect_data_10)),
    row(0x41, "WRITE SAME(10)", &blocks_10(0x08), Guard::Write, Unit(write_same::write_same_10)),
    row(0x42, "UNMAP", &[0xff, 0, 0, 0, 0, 0, 0x1f, 0xff, 0xff, 0], Guard::Write, Unit(provisioning::unmap)).when(provisioning::unmap_supported),
    row(0x48, "SANITIZE, OVERWRITE", SANITIZE, Guard::Write, Unit(sanitize::overwrite)).action(0x01),
    row(0x48, "SANITIZE, BLOCK ERASE", SANITIZE, Guard::Write, Unit(sanitize::block_erase)).action(0x02).when(sanitize::block_erase_supported),
    row(0x48, "SANITIZE, EXIT FAILURE MODE", SANITIZE, Guard::Write, Unit(sanitize::exit_failure_mode)).action(0x1f),
    row(0x4c, "LOG SELECT", &[0xff, 0x02, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0], Guard::Write, Unit(log::select)),
    row(0x4d, "LOG SENSE", &[0xff, 0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0], Guard::Query, Unit(log::sense)),
    row(0x55, "MODE SELECT(10)", &[0xff, 0x10, 0, 0, 0, 0, 0, 0xff, 0xff, 0], Guard::Write, Unit(mode::select_10)),
    row(0x56, "RESERVE(10)", &[0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0], Guard::Query, Unit(pr::reserve)),
    row(0x57, "RELEASE(10)", &[0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0], Guard::Free, Unit(pr::release)),
    row(0x5a, "MODE SENSE(10)", &[0xff, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0], Guard::Read, Unit(mode::sense_10)),
    row(0x5e, "PERSISTENT RESERVE IN, READ KEYS", PR_IN, Guard::Query, Unit(pr::read_keys)).action(0x00),
    row(0x5e, "PERSISTENT RESERVE IN, READ RESERVATION", PR_IN, Guard::Query, Unit(pr::read_reservation)).action(0x01),
    row(0x5e, "PERSISTENT RESERVE IN, REPORT CAPABILITIES", PR_IN, Guard::Query, Unit(pr::report_capabilities)).action(0x02),
    row(0x5e, "PERSISTENT RESERVE IN, READ FULL STATUS", PR_IN, Guard::Query, Unit(pr::read_full_status)).action(0x03),
    row(0x5f, "PERSISTENT RESERVE OUT, REGISTER", PR_OUT, Guard::Query, Unit(pr_out::out)).action(0x00),
    row(0x5f, "PERSISTENT RESERVE OUT, RESERVE", PR_OUT, Guard::Query, Unit(pr_out::out)).action(0x01),
    row(0x5f, "PERSISTENT RESERVE OUT, RELEASE", PR_OUT, Guard::Query, Unit(pr_out::out)).action(0x02),
    row(0x5f, "PERSISTENT RESERVE OUT, CLEAR", PR_OUT, Guard::Query, Unit(pr_out::out)).action(0x03),
    row(0x5f, "PERSISTENT RESERVE OUT, PREEMPT", PR_OUT, Guard::Query, Unit(pr_out::out)).action(0x04),
    row(0x5f, "PERSISTENT RESERVE OUT, PREEMPT AND ABORT", PR_OUT, Guard::Query, Unit(pr_out::out)).action(0x05),
    row(0x5f, "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY", PR_OUT, Guard::Query, Unit(pr_out::out)).action(0x06),
    row(0x5f, "PERSISTENT RESERVE OUT, REGISTER AND MOVE", PR_OUT, Guard::Query, Unit(pr_out::out)).action(0x07),
    row(0x83, "EXTENDED COPY(LID1)", &[0xff, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Write, Unit(copy::extended_copy)).action(0x00),
    row(0x84, "RECEIVE COPY RESULTS, COPY STATUS", COPY_RESULTS, Guard::Write, Unit(copy::copy_status)).action(0x00),
    row(0x84, "RECEIVE COPY RESULTS, RECEIVE DATA", COPY_RESULTS, Guard::Write, Unit(copy::receive_data)).action(0x01),
    row(0x84, "RECEIVE COPY RESULTS, OPERATING PARAMETERS", COPY_RESULTS, Guard::Write, Unit(copy_limits::operating_parameters)).action(0x03),
    row(0x84, "RECEIVE COPY RESULTS, FAILED SEGMENT DETAILS", COPY_RESULTS, Guard::Write, Unit(copy::failed_segment_details)).action(0x04),
    row(0x88, "READ(16)", DPO_FUA_16, Guard::Read, Unit(read_write::read)),
    row(0x89, "COMPARE AND WRITE", &[0xff, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0x1f, 0], Guard::Write, Unit(atomic::compare_and_write)).when(atomic::supported),
    row(0x8a, "WRITE(16)", DPO_FUA_16, Guard::Write, Unit(read_write::write)),
    row(0x8b, "ORWRITE(16)", DPO_FUA_16, Guard::Write, Unit(atomic::or_write)).when(atomic::supported),
    row(0x8e, "WRITE AND VERIFY(16)", &blocks_16(0x16), Guard::Write, Unit(verify::write_and_verify)),
    row(0x8f, "VERIFY(16)", &blocks_16(0x16), Guard::Read, Unit(verify::verify)),
    row(0x90, "PRE-FETCH(16)", &blocks_16(0x02), Guard::Read, Unit(medium::pre_fetch)),
    row(0x91, "SYNCHRONIZE CACHE(16)", &blocks_16(0x06), Guard::Write, Unit(medium::synchronize_cache)),
    row(0x93, "WRITE SAME(16)", &blocks_16(0x09), Guard::Write, Unit(write_same::write_same_16)),
    row(0x9c, "WRITE ATOMIC(16)", &[0xff, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0x1f, 0], Guard::Write, Unit(atomic::write_atomic)).when(atomic::write_atomic_supported),
    row(0x9e, "READ CAPACITY(16)", SERVICE_ACTION_IN_16, Guard::Query, Unit(medium::read_capacity_16)).action(0x10),
    row(0x9e, "GET LBA STATUS", SERVICE_ACTION_IN_16, Guard::Read, Unit(provisioning::get_lba_status)).action(0x12),
    row(0xa0, "REPORT LUNS", &[0xff, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Free, Anywhere(report::report_luns)),
    row(0xa3, "REPORT TARGET PORT GROUPS", &[0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Query, Unit(report::target_port_groups)).action(0x0a),
    row(0xa3, "REPORT SUPPORTED OPERATION CODES", &[0xff, 0x1f, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Read, Unit(report::supported_opcodes)).action(0x0c),
    row(0xa3, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", &[0xff, 0x1f, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Read, Unit(report::supported_task_management)).action(0x0d),
    row(0xa8, "READ(12)", DPO_FUA_12, Guard::Read, Unit(read_write::read)),
    row(0xaa, "WRITE(12)", DPO_FUA_12, Guard::Write, Unit(read_write::write)),
    row(0xae, "WRITE AND VERIFY(12)", &blocks_12(0x16), Guard::Write, Unit(verify::write_and_verify)),
    row(0xaf, "VERIFY(12)", &blocks_12(0x16), Guard::Read, Unit(verify::verify)),
    row(0xb7, "READ DEFECT DATA(12)", &[0xff, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Read, Unit(medium::read_defect_data_12)),
];

/// Where the rows of each operation code begin in the table, and how many they are.
const INDEX: [(u8, u8); 256] = {
    let mut index = [(0, 0); 256];
    let mut i = 0;
    while i < TABLE.len() {
        let opcode = TABLE[i].opcode as usize;
        if index[opcode].1 == 0 {
            index[opcode].0 = i as u8;
        }
        index[opcode].1 += 1;
        i += 1;
    }
    index
};

/// The row of a CDB.
pub(super) fn find(cdb: &Cdb) -> Result<&'static Row, Sense> {
    let (first, count) = INDEX[usize::from(cdb.opcode())];
    let rows = &TABLE[usize::from(first)..usize::from(first) + usize::from(count)];
    match rows {
        [] => Err(Sense::illegal(Asc::INVALID_OPCODE)),
        [row] if row.service_action.is_none() => Ok(row),
        rows => rows
            .iter()
            .find(|row| row.service_action == Some(cdb.service_action()))
            .ok_or_else(|| Sense::cdb_field(1, Some(4))),
    }
}

/// Every command: operation code, service action, name; for the log and the documentation.
pub fn commands() -> impl Iterator<Item = (u8, Option<u8>, &'static str)> {
    TABLE.iter().map(|row| (row.opcode, row.service_action, row.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_cdb_is_as_long_as_its_group_code_says() {
        assert!(
            TABLE.is_sorted_by(|a, b| (a.opcode, a.service_action) < (b.opcode, b.service_action))
        );
        for row in TABLE {
            let len = match row.opcode >> 5 {
                0 => 6,
                1 | 2 => 10,
                4 => 16,
                5 => 12,
                group => panic!("{}: group {group}", row.name),
            };
            assert_eq!(row.usage.len(), len, "{}", row.name);
            assert_eq!(row.usage[len - 1], 0, "{}: NACA and the rest of CONTROL", row.name);
            if row.service_action.is_some() {
                assert_eq!(row.usage[1] & 0x1f, 0x1f, "{}", row.name);
            }
        }
    }

    #[test]
    fn every_row_is_found() {
        for row in TABLE {
            let cdb = Cdb::new(&[row.opcode, row.service_action.unwrap_or(0)]);
            assert_eq!(find(&cdb).unwrap().name, row.name);
        }
        assert_eq!(find(&Cdb::new(&[0xff])).err().unwrap().asc, Asc::INVALID_OPCODE);
        assert_eq!(find(&Cdb::new(&[0xa3, 0x1f])).err().unwrap().asc, Asc::INVALID_FIELD_IN_CDB);
    }
}
