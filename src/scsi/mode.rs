//! MODE SENSE and MODE SELECT (SPC-4 6.10 to 6.13).

use std::ops::Range;

use super::command::Call;
use super::lun::{LogicalUnit, flag};
use super::mode_pages::{ALL_PAGES, D_SENSE, PAGES, Page, SWP, Values};
use super::nexus::Nexus;
use super::outcome::{Outcome, Refusal};
use super::parameters::{Apply, ListCall, with_list};
use super::sense::{Asc, Sense};
use super::task::{Begun, Plan};

/// MODE SENSE and MODE SELECT come with short and with long headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    Six,
    Ten,
}

pub(super) fn sense_6(call: &Call<'_>) -> Result<Plan, Refusal> {
    let data = sense(call, Header::Six)?;
    Ok(Plan::answer(data, call.cdb.u8(4).into()))
}

pub(super) fn sense_10(call: &Call<'_>) -> Result<Plan, Refusal> {
    let data = sense(call, Header::Ten)?;
    Ok(Plan::answer(data, call.cdb.u16(7).into()))
}

fn sense(call: &Call<'_>, header: Header) -> Result<Vec<u8>, Refusal> {
    let values = match call.cdb.u8(2) >> 6 {
        0 => Values::Current,
        1 => Values::Changeable,
        2 => Values::Default,
        _ => return Err(Sense::illegal(Asc::SAVING_PARAMETERS_NOT_SUPPORTED).into()),
    };
    let (code, subpage) = (call.cdb.u8(2) & 0x3f, call.cdb.u8(3));
    let asked: Vec<&Page> = PAGES.iter().filter(|page| page.is_asked(code, subpage)).collect();
    if asked.is_empty() {
        let wrong_code = code != ALL_PAGES && PAGES.iter().all(|page| page.code != code);
        let sense = if wrong_code { (2, Some(5)) } else { (3, Some(7)) };
        return Err(Sense::cdb_field(sense.0, sense.1).into());
    }
    let long_lba = header == Header::Ten && call.cdb.bit(1, 4);
    let descriptor = match call.cdb.bit(1, 3) {
        true => Vec::new(),
        false => block_descriptor(call.unit, long_lba),
    };
    let pages = asked.iter().flat_map(|page| page.encode(call.unit, values));
    let body: Vec<u8> = descriptor.iter().copied().chain(pages).collect();
    let read_only = call.unit.check_writable().is_err();
    let specific = 0x10 | if read_only { 0x80 } else { 0 }; // DPOFUA, WP
    let mut data = match header {
        Header::Six => vec![(body.len() + 3) as u8, 0, specific, descriptor.len() as u8],
        Header::Ten => {
            let [high, low] = ((body.len() + 6) as u16).to_be_bytes();
            let long = u8::from(long_lba && !descriptor.is_empty());
            vec![high, low, 0, specific, long, 0, 0, descriptor.len() as u8]
        }
    };
    data.extend_from_slice(&body);
    Ok(data)
}

/// SBC-3 6.5.2.
fn block_descriptor(unit: &LogicalUnit, long_lba: bool) -> Vec<u8> {
    let blocks = unit.blocks();
    if long_lba {
        let mut out = blocks.to_be_bytes().to_vec();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&unit.block_bytes.to_be_bytes());
        return out;
    }
    let mut out = u32::try_from(blocks).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    // Three bytes of block length; the byte before them is reserved.
    out.extend_from_slice(&unit.block_bytes.to_be_bytes());
    out
}

pub(super) fn select_6(call: &Call<'_>) -> Result<Plan, Refusal> {
    select(call, call.cdb.u8(4).into(), |call, list, _| apply_select(call, list, Header::Six))
}

pub(super) fn select_10(call: &Call<'_>) -> Result<Plan, Refusal> {
    select(call, call.cdb.u16(7).into(), |call, list, _| apply_select(call, list, Header::Ten))
}

fn select(call: &Call<'_>, len: u32, apply: Apply) -> Result<Plan, Refusal> {
    // PF: only the page format exists. SP is refused by the usage mask: nothing is saved.
    if !call.cdb.bit(1, 4) && len > 0 {
        return Err(Sense::cdb_field(1, Some(4)).into());
    }
    if len == 0 { Ok(Plan::good()) } else { with_list(call, len, apply) }
}

/// Checks the whole list before anything changes.
fn apply_select(call: &ListCall, list: &[u8], header: Header) -> Result<Begun, Refusal> {
    let too_short = || Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR);
    let (header_len, descriptor_len) = match (header, list) {
        (Header::Six, [_, _, _, len, ..]) => (4, usize::from(*len)),
        (Header::Ten, [_, _, _, _, _, _, high, low, ..]) => {
            (8, usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ => return Err(too_short().into()),
    };
    check_descriptor(call, list, header_len, descriptor_len)?;
    let mut at = header_len + descriptor_len;
    let mut changes = None;
    while at < list.len() {
        let (page, body) = page_of(list, at)?;
        let new = &list[body.clone()];
        check_unchangeable(page, &call.unit, new, body.start)?;
        if (page.code, page.subpage) == (0x0a, 0x00) {
            changes = Some((new[0] & D_SENSE != 0, new[2] & SWP != 0));
        }
        at = body.end;
    }
    if let Some((descriptor_sense, read_only)) = changes {
        let new =
            [(flag::DESCRIPTOR_SENSE, descriptor_sense), (flag::SOFTWARE_READ_ONLY, read_only)];
        let is_change = new.iter().any(|(flag, on)| call.unit.has(*flag) != *on);
        if is_change {
            new.iter().for_each(|(flag, on)| call.unit.set_flag(*flag, *on));
            let others = |nexus: &Nexus| nexus.id != call.nexus.id;
            call.inventory.establish(&call.unit, Asc::MODE_PARAMETERS_CHANGED, others);
        }
    }
    Ok(Begun::Done(Outcome::good()))
}

/// A block descriptor must say what is so: neither the block length nor the number of blocks is
/// changed by it. 0 blocks and the highest number leave them as they are (SBC-3 6.5.2).
fn check_descriptor(
    call: &ListCall,
    list: &[u8],
    header_len: usize,
    len: usize,
) -> Result<(), Refusal> {
    let length_field = if header_len == 4 { 3 } else { 6 };
    let long = header_len == 8 && list[4] & 0x01 != 0;
    let Some(descriptor) = list.get(header_len..header_len + len) else {
        return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into());
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte));
    let (blocks, all, block_bytes) = match (descriptor, long) {
        ([], _) => return Ok(()),
        ([count @ .., _, b5, b6, b7], false) if len == 8 => {
            (number(count), u64::from(u32::MAX), number(&[*b5, *b6, *b7]))
        }
        ([count @ .., _, _, _, _, b12, b13, b14, b15], true) if len == 16 => {
            (number(count), u64::MAX, number(&[*b12, *b13, *b14, *b15]))
        }
        _ => return Err(Sense::parameter(length_field, None).into()),
    };
    if ![0, all, call.unit.blocks()].contains(&blocks) {
        return Err(Sense::parameter(header_len, None).into());
    }
    if block_bytes != u64::from(call.unit.block_bytes) {
        let at = if long { 12 } else { 5 };
        return Err(Sense::parameter(header_len + at, None).into());
    }
    Ok(())
}

/// The page that begins at `at`, and where its bytes after the header are.
fn page_of(list: &[u8], at: usize) -> Result<(&'static Page, Range<usize>), Refusal> {
    let rest = &list[at..];
    let has_subpage = rest[0] & 0x40 != 0;
    let (subpage, header, len) = match rest {
        [_, subpage, high, low, ..] if has_subpage => {
            (*subpage, 4, usize::from(u16::from_be_bytes([*high, *low])))
        }
        [_, len, ..] if !has_subpage => (0, 2, usize::from(*len)),
        _ => return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into()),
    };
    let page = PAGES
        .iter()
        .find(|page| (page.code, page.subpage) == (rest[0] & 0x3f, subpage))
        .ok_or_else(|| Sense::parameter(at, Some(5)))?;
    if header + len > rest.len() {
        return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into());
    }
    Ok((page, at + header..at + header + len))
}

/// The new page differs from the current one only in what may change.
fn check_unchangeable(
    page: &Page,
    unit: &LogicalUnit,
    new: &[u8],
    at: usize,
) -> Result<(), Refusal> {
    let current = (page.body)(unit, Values::Current);
    let mask = (page.body)(unit, Values::Changeable);
    if new.len() != current.len() {
        return Err(Sense::parameter(at - 1, None).into());
    }
    let differs = |i: &usize| (new[*i] ^ current[*i]) & !mask[*i] != 0;
    match (0..new.len()).find(differs) {
        None => Ok(()),
        Some(i) => {
            let bits = (new[i] ^ current[i]) & !mask[i];
            Err(Sense::parameter(at + i, Some(7 - bits.leading_zeros() as u8)).into())
        }
    }
}
