//! The opcode table: every command there is. Dispatch, the check of reserved bits and REPORT
//! SUPPORTED OPERATION CODES come from it.

use super::cdb::Cdb;
use super::command::Handler::{Anywhere, Unit};
use super::command::{Handler, Row};
use super::report::always;
use super::reservation::Guard;
use super::sense::{Asc, Sense};
use super::{inquiry, medium, mode, read_write, report};

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
    const fn action(mut self, action: u8) -> Self {
        self.service_action = Some(action);
        self
    }
}

/// Usage of a 10-byte block command: byte 1, then LBA, group number, length.
const fn blocks_10(byte_1: u8) -> [u8; 10] {
    [0xff, byte_1, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0]
}

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

/// Ascending by operation code, then service action.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row(0x00, "TEST UNIT READY", &[0xff, 0, 0, 0, 0, 0], Guard::Query, Unit(medium::test_unit_ready)),
    row(0x03, "REQUEST SENSE", &[0xff, 0x01, 0, 0, 0xff, 0], Guard::Free, Anywhere(inquiry::request_sense)),
    row(0x08, "READ(6)", BLOCKS_6, Guard::Read, Unit(read_write::read)),
    row(0x0a, "WRITE(6)", BLOCKS_6, Guard::Write, Unit(read_write::write)),
    row(0x12, "INQUIRY", &[0xff, 0x01, 0xff, 0xff, 0xff, 0], Guard::Free, Anywhere(inquiry::inquiry)),
    row(0x15, "MODE SELECT(6)", &[0xff, 0x10, 0, 0, 0xff, 0], Guard::Write, Unit(mode::select_6)),
    row(0x1a, "MODE SENSE(6)", &[0xff, 0x08, 0xff, 0xff, 0xff, 0], Guard::Write, Unit(mode::sense_6)),
    row(0x25, "READ CAPACITY(10)", &[0xff, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x01, 0], Guard::Query, Unit(medium::read_capacity_10)),
    row(0x28, "READ(10)", DPO_FUA_10, Guard::Read, Unit(read_write::read)),
    row(0x2a, "WRITE(10)", DPO_FUA_10, Guard::Write, Unit(read_write::write)),
    row(0x35, "SYNCHRONIZE CACHE(10)", &blocks_10(0x06), Guard::Write, Unit(medium::synchronize_cache)),
    row(0x55, "MODE SELECT(10)", &[0xff, 0x10, 0, 0, 0, 0, 0, 0xff, 0xff, 0], Guard::Write, Unit(mode::select_10)),
    row(0x5a, "MODE SENSE(10)", &[0xff, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0], Guard::Write, Unit(mode::sense_10)),
    row(0x88, "READ(16)", DPO_FUA_16, Guard::Read, Unit(read_write::read)),
    row(0x8a, "WRITE(16)", DPO_FUA_16, Guard::Write, Unit(read_write::write)),
    row(0x91, "SYNCHRONIZE CACHE(16)", &blocks_16(0x06), Guard::Write, Unit(medium::synchronize_cache)),
    row(0x9e, "READ CAPACITY(16)", SERVICE_ACTION_IN_16, Guard::Query, Unit(medium::read_capacity_16)).action(0x10),
    row(0xa0, "REPORT LUNS", &[0xff, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Free, Anywhere(report::report_luns)),
    row(0xa3, "REPORT TARGET PORT GROUPS", &[0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Query, Unit(report::target_port_groups)).action(0x0a),
    row(0xa3, "REPORT SUPPORTED OPERATION CODES", &[0xff, 0x1f, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Query, Unit(report::supported_opcodes)).action(0x0c),
    row(0xa3, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", &[0xff, 0x1f, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], Guard::Query, Unit(report::supported_task_management)).action(0x0d),
    row(0xa8, "READ(12)", DPO_FUA_12, Guard::Read, Unit(read_write::read)),
    row(0xaa, "WRITE(12)", DPO_FUA_12, Guard::Write, Unit(read_write::write)),
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
