//! INQUIRY (SPC-4 6.4) and REQUEST SENSE (SPC-4 6.39): answered by every LUN, a missing one too.

use super::attention::Attentions;
use super::command::AnyCall;
use super::lun::Address;
use super::outcome::Refusal;
use super::sense::{Asc, Sense, SenseFormat, SenseKey};
use super::task::Plan;
use super::vpd;

/// T10 vendor identification, padded.
pub(super) const VENDOR: &[u8; 8] = b"STIRRUP ";
const PRODUCT: &[u8; 16] = b"VIRTUAL-DISK    ";
const REVISION: &[u8; 4] = b"0001";
/// Length of the standard data with version descriptors.
const STANDARD_BYTES: usize = 96;
/// SAM-5, SPC-4 and SBC-3, no revision claimed, and iSCSI, to which the session's protocol level
/// is added (SPC-4 table 146, RFC 7144 4.2).
const VERSION_DESCRIPTORS: [u16; 4] = [0x00a0, 0x0460, 0x04c0, ISCSI];
const ISCSI: u16 = 0x0960;

/// Peripheral qualifier and device type (SPC-4 table 143).
pub(super) fn peripheral(call: &AnyCall<'_>) -> u8 {
    match (call.unit, call.address) {
        (Some(_), _) => 0x00,
        (None, Address::ReportLuns) => 0x1e,
        (None, _) => 0x7f,
    }
}

pub(super) fn inquiry(call: &AnyCall<'_>) -> Result<Plan, Refusal> {
    let (evpd, page) = (call.cdb.bit(1, 0), call.cdb.u8(2));
    let data = match (evpd, page) {
        (false, 0) => standard(peripheral(call), call.nexus.spec().protocol_level),
        (false, _) => return Err(Sense::cdb_field(2, Some(7)).into()),
        (true, page) => vpd::page(call, page)?,
    };
    Ok(Plan::answer(data, call.cdb.u16(3).into()))
}

fn standard(peripheral: u8, protocol_level: u16) -> Vec<u8> {
    let mut data = vec![0; STANDARD_BYTES];
    data[0] = peripheral;
    data[2] = 0x06; // SPC-4
    data[3] = 0x12; // HISUP, response data format 2
    data[4] = (STANDARD_BYTES - 5) as u8;
    data[5] = 0x18; // TPGS: implicit asymmetric access; 3PC
    data[6] = 0x10; // MULTIP
    data[7] = 0x02; // CMDQUE
    data[8..16].copy_from_slice(VENDOR);
    data[16..32].copy_from_slice(PRODUCT);
    data[32..36].copy_from_slice(REVISION);
    for (slot, version) in data[58..].chunks_exact_mut(2).zip(VERSION_DESCRIPTORS) {
        let level = if version == ISCSI { protocol_level } else { 0 };
        slot.copy_from_slice(&(version + level).to_be_bytes());
    }
    data
}

/// Reports, and so clears, the oldest unit attention condition. A missing logical unit answers
/// with GOOD and LOGICAL UNIT NOT SUPPORTED in the data (SPC-4 6.39).
pub(super) fn request_sense(call: &AnyCall<'_>) -> Result<Plan, Refusal> {
    let nothing = Sense::new(SenseKey::NoSense, Asc::NONE);
    let sense = match call.attentions.map(Attentions::take) {
        Some(Some(asc)) => Sense::new(SenseKey::UnitAttention, asc),
        Some(None) => call.unit.and_then(|unit| unit.check_ready().err()).unwrap_or(nothing),
        None => Sense::illegal(Asc::LUN_NOT_SUPPORTED),
    };
    let format = if call.cdb.bit(1, 0) { SenseFormat::Descriptor } else { SenseFormat::Fixed };
    Ok(Plan::answer(Sense { format, ..sense }.encode(), call.cdb.u8(4).into()))
}
