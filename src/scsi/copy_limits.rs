//! What the copy manager can do, as it says in OPERATING PARAMETERS (SPC-4 6.18.4) and in the
//! third-party copy VPD page (SPC-4 7.8.17).

use super::command::{AnyCall, Call};
use super::copies::CONCURRENT_MAX;
use super::lun::LogicalUnit;
use super::outcome::Refusal;
use super::task::Plan;

/// Most target descriptors of one list.
pub(super) const TARGETS_MAX: u16 = 16;
/// Most segment descriptors of one list.
pub(super) const SEGMENTS_MAX: u16 = 64;
/// Most bytes of target and segment descriptors together.
pub(super) const DESCRIPTORS_BYTES_MAX: u32 = TARGETS_MAX as u32 * 32 + SEGMENTS_MAX as u32 * 32;
/// Most bytes that one segment descriptor copies: as many as 65535 blocks of 4 KiB, and one more.
pub(super) const SEGMENT_BYTES_MAX: u32 = 256 << 20;

/// Descriptor type codes (SPC-4 table 141): block to block, the same with offsets, and
/// identification descriptor.
pub(super) const BLOCK_TO_BLOCK: u8 = 0x02;
pub(super) const BLOCK_TO_BLOCK_OFFSET: u8 = 0x0a;
pub(super) const IDENTIFICATION: u8 = 0xe4;
const DESCRIPTORS: [u8; 3] = [BLOCK_TO_BLOCK, BLOCK_TO_BLOCK_OFFSET, IDENTIFICATION];

/// The CSCD descriptor identifier of the logical unit that got the command (SPC-4 table 148).
pub(super) const OWN_UNIT: u16 = 0xffff;

/// The smallest unit of a copy is a block.
fn granularity(unit: &LogicalUnit) -> u8 {
    unit.block_bytes.ilog2() as u8
}

/// OPERATING PARAMETERS; nothing is held, there are no inline data and no streams.
pub(super) fn operating_parameters(call: &Call<'_>) -> Result<Plan, Refusal> {
    let mut data = vec![0; 44];
    data[4] = 0x01; // SNLID
    data[8..10].copy_from_slice(&TARGETS_MAX.to_be_bytes());
    data[10..12].copy_from_slice(&SEGMENTS_MAX.to_be_bytes());
    data[12..16].copy_from_slice(&DESCRIPTORS_BYTES_MAX.to_be_bytes());
    data[16..20].copy_from_slice(&SEGMENT_BYTES_MAX.to_be_bytes());
    data[34..36].copy_from_slice(&u16::from(CONCURRENT_MAX).to_be_bytes());
    data[36] = CONCURRENT_MAX;
    data[37] = granularity(call.unit);
    data[43] = DESCRIPTORS.len() as u8;
    data.extend_from_slice(&DESCRIPTORS);
    let available = (data.len() - 4) as u32;
    data[..4].copy_from_slice(&available.to_be_bytes());
    Ok(Plan::answer(data, call.cdb.u32(10)))
}

/// A third-party copy descriptor: padded to a multiple of four.
fn descriptor(kind: u16, mut body: Vec<u8>) -> Vec<u8> {
    body.resize(body.len().next_multiple_of(4), 0);
    let header = [kind.to_be_bytes(), (body.len() as u16).to_be_bytes()].concat();
    [header, body].concat()
}

/// A list behind the one byte that says how long it is.
fn counted(list: &[u8]) -> Vec<u8> {
    [&[list.len() as u8], list].concat()
}

/// Page 8Fh, without its header.
pub(super) fn third_party_copy_page(_: &AnyCall<'_>, unit: &LogicalUnit) -> Vec<u8> {
    let mut commands = Vec::new();
    for (opcode, actions) in [(0x83, &[0x00][..]), (0x84, &[0x00, 0x01, 0x03, 0x04])] {
        commands.push(opcode);
        commands.extend(counted(actions));
    }
    let mut parameters = vec![0; 28];
    parameters[4..6].copy_from_slice(&TARGETS_MAX.to_be_bytes());
    parameters[6..8].copy_from_slice(&SEGMENTS_MAX.to_be_bytes());
    parameters[8..12].copy_from_slice(&DESCRIPTORS_BYTES_MAX.to_be_bytes());
    let ids = [2_u16.to_be_bytes(), OWN_UNIT.to_be_bytes()].concat();
    let mut general = vec![0; 32];
    general[..4].copy_from_slice(&u32::from(CONCURRENT_MAX).to_be_bytes());
    general[4..8].copy_from_slice(&u32::from(CONCURRENT_MAX).to_be_bytes());
    general[8..12].copy_from_slice(&SEGMENT_BYTES_MAX.to_be_bytes());
    general[12] = granularity(unit);
    [
        descriptor(0x0001, counted(&commands)),
        descriptor(0x0004, parameters),
        descriptor(0x0008, counted(&DESCRIPTORS)),
        descriptor(0x000c, ids),
        descriptor(0x8001, general),
    ]
    .concat()
}
