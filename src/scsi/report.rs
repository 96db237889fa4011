//! REPORT LUNS, and the REPORT commands of MAINTENANCE IN.

use super::command::{AnyCall, Call, Row};
use super::lun::{Address, REPORT_LUNS_LUN};
use super::outcome::Refusal;
use super::sense::{Asc, Sense};
use super::task::Plan;

/// SPC-4 6.33.
pub(super) fn report_luns(call: &AnyCall<'_>) -> Result<Plan, Refusal> {
    let allocation = call.cdb.u32(6);
    if allocation < 16 {
        return Err(Sense::cdb_field(6, None).into());
    }
    let view = call.nexus.view();
    let units = view.seen.iter().map(|seen| Address::encode(seen.unit.number));
    let report_luns = REPORT_LUNS_LUN.to_be_bytes();
    let luns: Vec<[u8; 8]> = match call.cdb.u8(2) {
        0x00 => units.collect(),
        0x01 => vec![report_luns],
        0x02 => units.chain([report_luns]).collect(),
        _ => return Err(Sense::cdb_field(2, None).into()),
    };
    // Who is told the inventory need not be told any more that it has changed (SAM-5 5.14.1).
    call.nexus.clear_all(Asc::REPORTED_LUNS_CHANGED);
    let mut data = ((luns.len() * 8) as u32).to_be_bytes().to_vec();
    data.extend_from_slice(&[0; 4]);
    data.extend(luns.into_iter().flatten());
    Ok(Plan::answer(data, allocation))
}

/// REPORT SUPPORTED OPERATION CODES (SPC-4 6.35), out of the opcode table.
pub(super) fn supported_opcodes(call: &Call<'_>) -> Result<Plan, Refusal> {
    let (timeouts, options) = (call.cdb.bit(2, 7), call.cdb.u8(2) & 0x07);
    let (opcode, action) = (call.cdb.u8(3), call.cdb.u16(4));
    let rows = || call.table.iter().filter(|row| (row.supported)(call.unit));
    let of_opcode = || rows().filter(|row| row.opcode == opcode);
    let has_actions = of_opcode().any(|row| row.service_action.is_some());
    let by_action = || of_opcode().find(|row| row.service_action.map(u16::from) == Some(action));
    let data = match options {
        0 => all_commands(rows(), timeouts),
        1 if has_actions => return Err(Sense::cdb_field(2, Some(2)).into()),
        1 => one_command(of_opcode().next(), timeouts),
        2 if !has_actions && of_opcode().next().is_some() => {
            return Err(Sense::cdb_field(2, Some(2)).into());
        }
        2 => one_command(by_action(), timeouts),
        3 if has_actions => one_command(by_action(), timeouts),
        3 => one_command(of_opcode().next().filter(|_| action == 0), timeouts),
        _ => return Err(Sense::cdb_field(2, Some(2)).into()),
    };
    Ok(Plan::answer(data, call.cdb.u32(6)))
}

/// A command timeouts descriptor that states no timeouts (SPC-4 6.35.4).
const NO_TIMEOUTS: [u8; 12] = [0, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn all_commands<'a>(rows: impl Iterator<Item = &'a Row>, timeouts: bool) -> Vec<u8> {
    let mut data = vec![0; 4];
    for row in rows {
        let flags = u8::from(row.service_action.is_some()) | if timeouts { 0x02 } else { 0 };
        data.extend_from_slice(&[row.opcode, 0, 0, row.service_action.unwrap_or(0), 0, flags]);
        data.extend_from_slice(&(row.usage.len() as u16).to_be_bytes());
        if timeouts {
            data.extend_from_slice(&NO_TIMEOUTS);
        }
    }
    let len = (data.len() - 4) as u32;
    data[..4].copy_from_slice(&len.to_be_bytes());
    data
}

fn one_command(row: Option<&Row>, timeouts: bool) -> Vec<u8> {
    let Some(row) = row else { return vec![0, 0x01, 0, 0] };
    let flags = if timeouts { 0x80 } else { 0 } | 0x03; // supported as the standard says
    let mut data = vec![0, flags];
    data.extend_from_slice(&(row.usage.len() as u16).to_be_bytes());
    let usage = data.len();
    data.extend_from_slice(row.usage);
    data[usage] = row.opcode;
    if let Some(action) = row.service_action {
        data[usage + 1] = (data[usage + 1] & !0x1f) | action;
    }
    if timeouts {
        data.extend_from_slice(&NO_TIMEOUTS);
    }
    data
}

/// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 6.36): what the iSCSI side offers.
pub(super) fn supported_task_management(call: &Call<'_>) -> Result<Plan, Refusal> {
    // ATS, ATSS, CTSS, LURS, TRS.
    let mut data = vec![0xda, 0, 0, 0];
    if call.nexus.spec.protocol_level >= 2 {
        data[0] |= 0x04; // QTS
        data[1] |= 0x07; // QAES, QTSS, ITNRS
    }
    if call.cdb.bit(2, 7) {
        data[3] = 0x0c;
        data.resize(16, 0);
    }
    Ok(Plan::answer(data, call.cdb.u32(6)))
}

/// REPORT TARGET PORT GROUPS (SPC-4 6.37): each port in a group of its own, active/optimized.
pub(super) fn target_port_groups(call: &Call<'_>) -> Result<Plan, Refusal> {
    let header: &[u8] = match call.cdb.u8(1) >> 5 {
        0 => &[],
        1 => &[0x10, 0, 0, 0], // extended header, no implicit transition time
        _ => return Err(Sense::cdb_field(1, Some(7)).into()),
    };
    let mut data = vec![0; 4];
    data.extend_from_slice(header);
    for port in call.nexus.spec.target_ports.iter().map(|port| port.to_be_bytes()) {
        // Active/optimized and no other state (AO_SUP); that has never changed.
        data.extend_from_slice(&[0x00, 0x01, port[0], port[1], 0, 0, 0, 1]);
        data.extend_from_slice(&[0, 0, port[0], port[1]]);
    }
    let len = (data.len() - 4) as u32;
    data[..4].copy_from_slice(&len.to_be_bytes());
    Ok(Plan::answer(data, call.cdb.u32(6)))
}
