//! Vital product data pages (SPC-4 7.8, SBC-3 6.6).

use md5::{Digest, Md5};

use super::command::AnyCall;
use super::copy_limits;
use super::inquiry::{self, VENDOR};
use super::lun::{Address, LogicalUnit, WRITE_SAME_BLOCKS_MAX};
use super::outcome::Refusal;
use super::sense::Sense;
use crate::block::Usage;

/// Most descriptors of one UNMAP command.
pub(super) const UNMAP_DESCRIPTORS_MAX: u32 = 256;

/// A threshold set is 2 to the power of this many blocks: what LOG SENSE counts space in.
pub(super) const THRESHOLD_EXPONENT: u8 = 11;

type Page = fn(&AnyCall<'_>, &LogicalUnit) -> Vec<u8>;

/// Every page that a logical unit has, by page code, ascending.
const PAGES: &[(u8, Page)] = &[
    (0x00, supported_pages),
    (0x80, serial_number),
    (0x83, device_identification),
    (0x86, extended_inquiry),
    (0x87, mode_page_policy),
    (0x88, scsi_ports),
    (0x8f, copy_limits::third_party_copy_page),
    (0xb0, block_limits),
    (0xb1, block_device_characteristics),
    (0xb2, logical_block_provisioning),
];

/// The page with its header.
pub(super) fn page(call: &AnyCall<'_>, code: u8) -> Result<Vec<u8>, Refusal> {
    let wrong_page = || Sense::cdb_field(2, Some(7));
    let body = match (call.unit, call.address, code) {
        (Some(unit), ..) => {
            let (_, page) = PAGES.iter().find(|(c, _)| *c == code).ok_or_else(wrong_page)?;
            page(call, unit)
        }
        // The well-known logical unit has the mandatory pages, a missing one the first of them.
        (None, Address::ReportLuns, 0x00) => vec![0x00, 0x83],
        (None, Address::ReportLuns, 0x83) => device_designators(call),
        (None, _, 0x00) => vec![0x00],
        (None, ..) => return Err(wrong_page().into()),
    };
    let mut data = vec![inquiry::peripheral(call), code];
    data.extend_from_slice(&(body.len() as u16).to_be_bytes());
    data.extend_from_slice(&body);
    Ok(data)
}

fn supported_pages(_: &AnyCall<'_>, _: &LogicalUnit) -> Vec<u8> {
    PAGES.iter().map(|(code, _)| *code).collect()
}

/// 128 bits that are always the same for one identity, and (as good as) never for two.
fn fingerprint(identity: &str) -> [u8; 16] {
    Md5::digest(identity.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn serial_number(_: &AnyCall<'_>, unit: &LogicalUnit) -> Vec<u8> {
    hex(&fingerprint(&unit.identity)).into_bytes()
}

/// NAA 3h, locally assigned (SPC-4 7.8.6.6.4): the other formats need a company identifier.
fn naa(identity: &str) -> [u8; 8] {
    let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = fingerprint(identity);
    [0x30 | (b0 & 0x0f), b1, b2, b3, b4, b5, b6, b7]
}

/// The name by which operating systems know the logical unit of this identity: its NAA
/// designator as Linux shows it (`/dev/disk/by-id/wwn-0x...`).
#[must_use]
pub fn wwid(identity: &str) -> String {
    format!("naa.{}", hex(&naa(identity)))
}

/// EUI-64 of the locally administered kind.
fn eui64(unit: &LogicalUnit) -> [u8; 8] {
    let [.., b0, b1, b2, b3, b4, b5, b6, b7] = fingerprint(&unit.identity);
    [(b0 & !0x01) | 0x02, b1, b2, b3, b4, b5, b6, b7]
}

/// Code set of a designator.
const BINARY: u8 = 1;
const ASCII: u8 = 2;
const UTF8: u8 = 3;
/// PIV and association of a designator.
const OF_UNIT: u8 = 0x00;
const OF_PORT: u8 = 0x90;
const OF_DEVICE: u8 = 0xa0;

fn designator(code_set: u8, association: u8, kind: u8, bytes: &[u8]) -> Vec<u8> {
    // iSCSI (5h) is the protocol of what is not the logical unit's own.
    let protocol = if association == OF_UNIT { 0x00 } else { 0x50 };
    let mut out = vec![protocol | code_set, association | kind, 0, bytes.len() as u8];
    out.extend_from_slice(bytes);
    out
}

/// A SCSI name string: terminated and padded with NUL to a multiple of four.
fn name_string(association: u8, name: &str) -> Vec<u8> {
    // Names are at most 223 bytes (RFC 7143 4.2.7.1) and a suffix.
    let mut end = name.len().min(248);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = name.as_bytes()[..end].to_vec();
    bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
    designator(UTF8, association, 8, &bytes)
}

/// The designators that name a logical unit itself, with their headers.
pub(super) fn unit_designators(unit: &LogicalUnit) -> [Vec<u8>; 4] {
    let t10 = [VENDOR.as_slice(), hex(&fingerprint(&unit.identity)).as_bytes()].concat();
    [
        designator(BINARY, OF_UNIT, 3, &naa(&unit.identity)),
        designator(BINARY, OF_UNIT, 2, &eui64(unit)),
        designator(ASCII, OF_UNIT, 1, &t10),
        name_string(OF_UNIT, &wwid(&unit.identity)),
    ]
}

fn device_identification(call: &AnyCall<'_>, unit: &LogicalUnit) -> Vec<u8> {
    [unit_designators(unit).concat(), device_designators(call)].concat()
}

/// The designators of the port that the command came in by, and of the device.
fn device_designators(call: &AnyCall<'_>) -> Vec<u8> {
    let target = &call.inventory.target_name;
    let port = call.nexus.spec.target_port;
    let port_bytes = u32::from(port).to_be_bytes();
    [
        designator(BINARY, OF_PORT, 4, &port_bytes),
        // A portal group is a target port, and a target port group of its own.
        designator(BINARY, OF_PORT, 5, &port_bytes),
        port_name(call, port),
        name_string(OF_DEVICE, target),
    ]
    .concat()
}

/// The name of a target port (RFC 7143 4.4.3).
fn port_name(call: &AnyCall<'_>, port: u16) -> Vec<u8> {
    name_string(OF_PORT, &format!("{},t,0x{port:04x}", call.inventory.target_name))
}

/// SPC-4 7.8.7.
fn extended_inquiry(_: &AnyCall<'_>, unit: &LogicalUnit) -> Vec<u8> {
    let mut body = vec![0; 60];
    body[1] = 0x07; // HEADSUP, ORDSUP, SIMPSUP
    body[2] = u8::from(unit.info().write_cache); // V_SUP
    // LUICLR stays 0: REPORTED LUNS DATA HAS CHANGED is reported by each logical unit.
    body
}

/// SPC-4 7.8.11: all mode pages are shared by all nexuses.
fn mode_page_policy(_: &AnyCall<'_>, _: &LogicalUnit) -> Vec<u8> {
    vec![0x3f, 0xff, 0x00, 0]
}

/// SPC-4 7.8.14: the target ports and their names; what initiator ports there are is not told.
fn scsi_ports(call: &AnyCall<'_>, _: &LogicalUnit) -> Vec<u8> {
    let mut body = Vec::new();
    for &port in &call.nexus.spec.target_ports {
        let name = port_name(call, port);
        let [high, low] = port.to_be_bytes();
        body.extend_from_slice(&[0, 0, high, low, 0, 0, 0, 0, 0, 0]);
        body.extend_from_slice(&(name.len() as u16).to_be_bytes());
        body.extend_from_slice(&name);
    }
    body
}

/// SBC-3 6.6.4.
fn block_limits(_: &AnyCall<'_>, unit: &LogicalUnit) -> Vec<u8> {
    let info = unit.info();
    let in_blocks = |bytes: u32| bytes / unit.block_bytes;
    let granularity = in_blocks(info.discard_granularity_bytes);
    let physical = in_blocks(info.physical_block_bytes).clamp(1, u16::MAX.into());
    let (unmap_blocks, unmap_descriptors) =
        if unit.has_unmap() { (u32::MAX, UNMAP_DESCRIPTORS_MAX) } else { (0, 0) };
    let mut body = vec![0; 60];
    // WSNZ stays 0: WRITE SAME of 0 blocks means up to the end.
    body[1] = unit.compare_and_write_blocks_max();
    put(&mut body, 2, &(physical as u16).to_be_bytes());
    put(&mut body, 4, &unit.transfer_blocks_max().to_be_bytes());
    let optimal = in_blocks(info.optimal_io_bytes).min(unit.transfer_blocks_max());
    put(&mut body, 8, &optimal.to_be_bytes());
    put(&mut body, 16, &unmap_blocks.to_be_bytes());
    put(&mut body, 20, &unmap_descriptors.to_be_bytes());
    put(&mut body, 24, &granularity.to_be_bytes());
    // UGAVALID: granules begin at LBA 0.
    put(&mut body, 28, &(1u32 << 31).to_be_bytes());
    put(&mut body, 32, &u64::from(WRITE_SAME_BLOCKS_MAX).to_be_bytes());
    put(&mut body, 40, &unit.atomic_write_blocks_max().to_be_bytes());
    body
}

fn put(body: &mut [u8], at: usize, bytes: &[u8]) {
    body[at..at + bytes.len()].copy_from_slice(bytes);
}

/// SBC-3 6.6.3.
fn block_device_characteristics(_: &AnyCall<'_>, unit: &LogicalUnit) -> Vec<u8> {
    let mut body = vec![0; 60];
    put(&mut body, 0, &1u16.to_be_bytes()); // non-rotating
    if unit.has_unmap() {
        body[3] = 0x40; // WABEREQ: what is erased reads as zeros
    }
    body
}

/// SBC-3 6.6.6.
fn logical_block_provisioning(_: &AnyCall<'_>, unit: &LogicalUnit) -> Vec<u8> {
    if unit.has_unmap() {
        let exponent = if unit.usage() == Usage::default() { 0 } else { THRESHOLD_EXPONENT };
        // LBPU, LBPWS, LBPWS10, LBPRZ; thin provisioned.
        vec![exponent, 0xe4, 2, 0]
    } else {
        vec![0, 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_string_ends_with_a_zero_and_is_never_too_long() {
        // SPC-4 7.8.6.11.
        assert_eq!(name_string(OF_DEVICE, "abcd")[4..], *b"abcd\0\0\0\0");
        assert_eq!(name_string(OF_DEVICE, "abc")[4..], *b"abc\0");
        let long = name_string(OF_DEVICE, &format!("a{}", "\u{e9}".repeat(200)));
        assert_eq!((long[3], long.len()), (248, 4 + 248));
        assert_eq!(str::from_utf8(&long[4..4 + 247]).unwrap().chars().count(), 1 + 123);
    }
}
