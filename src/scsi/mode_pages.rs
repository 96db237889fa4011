//! The mode pages (SPC-4 7.5, SBC-3 6.5).

use super::lun::{LogicalUnit, flag};

/// Which values MODE SENSE asks for (SPC-4 table 159). None are saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    Current,
    /// A mask of what MODE SELECT may change.
    Changeable,
    Default,
}

/// A mode page: its address, and its bytes after the header.
pub(super) struct Page {
    pub(super) code: u8,
    pub(super) subpage: u8,
    pub(super) body: fn(&LogicalUnit, Values) -> Vec<u8>,
}

const fn page(code: u8, subpage: u8, body: fn(&LogicalUnit, Values) -> Vec<u8>) -> Page {
    Page { code, subpage, body }
}

/// Ascending by code and subpage.
pub(super) const PAGES: &[Page] = &[
    page(0x01, 0x00, error_recovery),
    page(0x02, 0x00, disconnect_reconnect),
    page(0x08, 0x00, caching),
    page(0x0a, 0x00, control),
    page(0x0a, 0x01, control_extension),
    page(0x19, 0x00, protocol_specific_port),
    page(0x1c, 0x00, informational_exceptions),
];

pub(super) const ALL_PAGES: u8 = 0x3f;
const ALL_SUBPAGES: u8 = 0xff;

impl Page {
    /// The page with its header.
    pub(super) fn encode(&self, unit: &LogicalUnit, values: Values) -> Vec<u8> {
        let body = (self.body)(unit, values);
        let mut out = match self.subpage {
            0 => vec![self.code, body.len() as u8],
            subpage => {
                let [high, low] = (body.len() as u16).to_be_bytes();
                vec![0x40 | self.code, subpage, high, low]
            }
        };
        out.extend_from_slice(&body);
        out
    }

    /// PAGE CODE and SUBPAGE CODE of a CDB ask for it.
    pub(super) fn is_asked(&self, code: u8, subpage: u8) -> bool {
        (code == ALL_PAGES || code == self.code)
            && (subpage == ALL_SUBPAGES || subpage == self.subpage)
    }
}

/// A page of which nothing changes: `fixed`, then zeros; its mask is zeros.
fn constant(len: usize, fixed: &[u8], values: Values) -> Vec<u8> {
    let mut body = vec![0; len];
    if values != Values::Changeable {
        body[..fixed.len()].copy_from_slice(fixed);
    }
    body
}

/// Read-write error recovery (SBC-3 6.5.10): AWRE and ARRE.
fn error_recovery(_: &LogicalUnit, values: Values) -> Vec<u8> {
    constant(10, &[0xc0], values)
}

/// SPC-4 7.5.11. iSCSI has text keys for what this is about (RFC 7143 4.6): no limits.
fn disconnect_reconnect(_: &LogicalUnit, values: Values) -> Vec<u8> {
    constant(14, &[], values)
}

/// SBC-3 6.5.5. WCE is what the volume does; it cannot be changed here.
fn caching(unit: &LogicalUnit, values: Values) -> Vec<u8> {
    let wce = if unit.info().write_cache { 0x04 } else { 0 };
    constant(18, &[wce], values)
}

pub(super) const D_SENSE: u8 = 0x04;
pub(super) const SWP: u8 = 0x08;

/// SPC-4 7.5.8. One task set for all nexuses (TST 0), which are not aborted by an error (QERR 0); who
/// loses a task to another nexus is told so (TAS 1).
fn control(unit: &LogicalUnit, values: Values) -> Vec<u8> {
    let mut body = vec![0; 10];
    if values == Values::Changeable {
        body[0] = D_SENSE;
        body[2] = SWP;
        return body;
    }
    body[0] = 0x02; // GLTSD: log parameters are not saved by themselves
    body[1] = 0x10; // unrestricted reordering
    body[3] = 0x40; // TAS
    body[6..8].copy_from_slice(&[0xff, 0xff]); // busy timeout: no limit
    if values == Values::Current {
        body[0] |= if unit.has(flag::DESCRIPTOR_SENSE) { D_SENSE } else { 0 };
        body[2] |= if unit.has(flag::SOFTWARE_READ_ONLY) { SWP } else { 0 };
    }
    body
}

/// SPC-4 7.5.9: implicit asymmetric access (IALUAE).
fn control_extension(_: &LogicalUnit, values: Values) -> Vec<u8> {
    constant(28, &[0x01], values)
}

/// SPC-4 7.5.16: the port is one of iSCSI (5h), which has no parameters of its own
/// (RFC 7143 4.4.4).
fn protocol_specific_port(_: &LogicalUnit, values: Values) -> Vec<u8> {
    constant(6, &[0x05], values)
}

/// SPC-4 7.5.15: DEXCPT, no informational exceptions are reported.
fn informational_exceptions(_: &LogicalUnit, values: Values) -> Vec<u8> {
    constant(10, &[0x08], values)
}
