//! Mode pages.

use super::bench::*;
use crate::scsi::{Asc, Sense, SenseFormat, SenseKey};

/// The body of a page out of MODE SENSE(6) data without block descriptor.
fn control(host: &Host<'_>, values: u8) -> Vec<u8> {
    host.get(&[0x1a, 0x08, (values << 6) | 0x0a, 0, 255, 0])[4..].to_vec()
}

fn select(host: &Host<'_>, page: &[u8]) -> Answer {
    let list = [&[0, 0, 0, 0], page].concat();
    host.run(&[0x15, 0x10, 0, 0, list.len() as u8, 0], &list)
}

#[test]
fn all_pages_come_sorted_with_true_lengths() {
    let bench = Bench::new();
    let host = bench.host(1);
    let six = host.get(&[0x1a, 0, 0x3f, 0xff, 255, 0]);
    assert_eq!((usize::from(six[0]), six[3]), (six.len() - 1, 8));
    assert_eq!(six[4..12], [0, 0, 0x40, 0, 0, 0, 2, 0], "blocks and block length");
    let mut codes = Vec::new();
    let mut rest = &six[12..];
    while let [code, b1, b2, b3, ..] = rest {
        let (subpage, len) = match code & 0x40 {
            0 => (0, 2 + usize::from(*b1)),
            _ => (*b1, 4 + usize::from(u16::from_be_bytes([*b2, *b3]))),
        };
        codes.push((code & 0x3f, subpage));
        rest = &rest[len..];
    }
    assert_eq!(codes, [(1, 0), (2, 0), (8, 0), (0x0a, 0), (0x0a, 1), (0x19, 0), (0x1c, 0)]);
    let ten = host.get(&[0x5a, 0, 0x3f, 0xff, 0, 0, 0, 1, 0, 0]);
    assert_eq!(ten[8..], six[4..]);
    assert_eq!(usize::from(u16::from_be_bytes([ten[0], ten[1]])), ten.len() - 2);
}

#[test]
fn short_allocation_lengths_and_probes() {
    let bench = Bench::new();
    let host = bench.host(1);
    let whole = host.get(&[0x1a, 0, 0x3f, 0, 255, 0]);
    for allocation in [0, 1, 4, 32] {
        let cut = host.get(&[0x1a, 0, 0x3f, 0, allocation, 0]);
        assert_eq!(cut, whole[..usize::from(allocation)]);
    }
    let long = host.get(&[0x5a, 0x10, 0x08, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!((long[4], long[7]), (1, 16), "LLBAA");
    assert_eq!(long[8..16], BLOCKS.to_be_bytes());
}

#[test]
fn pages_and_subpages_are_asked_for_one_by_one_or_together() {
    let bench = Bench::new();
    let host = bench.host(1);
    let whole = host.get(&[0x1a, 0x08, 0x3f, 0xff, 255, 0]);
    let mut parts = Vec::new();
    for code in [0x01, 0x02, 0x08, 0x0a, 0x19, 0x1c] {
        parts.extend_from_slice(&host.get(&[0x1a, 0x08, code, 0xff, 255, 0])[4..]);
    }
    assert_eq!(whole[4..], parts);
    let control = host.get(&[0x1a, 0x08, 0x0a, 0x00, 255, 0]);
    let extension = host.get(&[0x1a, 0x08, 0x0a, 0x01, 255, 0]);
    assert_eq!((control[4], control[5], control.len()), (0x0a, 10, 16));
    assert_eq!((extension[4], extension[5..8].to_vec()), (0x4a, vec![1, 0, 28]));
    let without_subpages = host.get(&[0x1a, 0x08, 0x3f, 0x00, 255, 0]);
    assert_eq!(without_subpages.len(), whole.len() - 32);
    for values in [0x40, 0x80] {
        let same_shape = host.get(&[0x1a, 0x08, values | 0x3f, 0xff, 255, 0]);
        assert_eq!(same_shape.len(), whole.len());
    }
    assert_eq!(host.get(&[0x1a, 0x08, 0x19, 0, 255, 0])[4..], [0x19, 6, 5, 0, 0, 0, 0, 0]);
    assert_eq!(host.get(&[0x1a, 0x08, 0x48, 0, 255, 0])[6..], [0; 18], "WCE cannot be changed");
}

#[test]
fn a_large_medium_needs_the_long_block_descriptor() {
    let bench = Bench::with(4096, |spec| spec.info.size_bytes = 32 << 40);
    let host = bench.host(1);
    let short = host.get(&[0x5a, 0, 0x08, 0, 0, 0, 0, 0, 255, 0]);
    assert_eq!((short[4], short[7]), (0, 8));
    assert_eq!(short[8..16], [0xff, 0xff, 0xff, 0xff, 0, 0, 0x10, 0]);
    let long = host.get(&[0x5a, 0x10, 0x08, 0, 0, 0, 0, 0, 255, 0]);
    assert_eq!(long[8..24], [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0]);
    let none = host.get(&[0x5a, 0x18, 0x08, 0, 0, 0, 0, 0, 255, 0]);
    assert_eq!((none[4], none[7], none[8]), (0, 0, 0x08), "DBD");
    // Given back as they came.
    for mut list in [short, long, none] {
        list[0] = 0;
        list[1] = 0;
        let len = list.len() as u8;
        host.put(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, len, 0], &list);
    }
}

#[test]
fn missing_pages_and_saved_values_are_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    assert_eq!(host.fails(&[0x1a, 0, 0x05, 0, 255, 0], &[]), BAD_CDB);
    assert_eq!(host.fails(&[0x1a, 0, 0x08, 0x05, 255, 0], &[]), BAD_CDB);
    let saved = (ILLEGAL, Asc::SAVING_PARAMETERS_NOT_SUPPORTED);
    assert_eq!(host.fails(&[0x1a, 0, 0xff, 0, 255, 0], &[]), saved);
}

#[test]
fn the_write_cache_is_that_of_the_volume() {
    for write_cache in [false, true] {
        let bench = Bench::with(512, |spec| spec.info.write_cache = write_cache);
        let page = bench.host(1).get(&[0x1a, 0x08, 0x08, 0, 255, 0]);
        assert_eq!(page[6] & 0x04 != 0, write_cache);
        assert_eq!(page[2] & 0x90, 0x10, "DPOFUA, not WP");
    }
    let bench = Bench::with(512, |spec| spec.read_only = true);
    assert_eq!(bench.host(1).get(&[0x1a, 0x08, 0x08, 0, 255, 0])[2] & 0x80, 0x80);
}

#[test]
fn software_write_protect_is_set_shown_and_heard_of() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    let mut page = control(&one, 0);
    page[4] |= 0x08;
    select(&one, &page).good();
    assert_eq!(control(&one, 0), page);
    assert_eq!(control(&one, 2)[4] & 0x08, 0, "the default stays");
    let changed = (SenseKey::UnitAttention, Asc::MODE_PARAMETERS_CHANGED);
    assert_eq!(two.fails(&[0; 6], &[]), changed);
    let protected = (SenseKey::DataProtect, Asc::SOFTWARE_WRITE_PROTECTED);
    assert_eq!(two.fails(&cdb10(0x2a, 0, 0, 1), &[0; BLOCK]), protected);
    select(&one, &page).good();
    two.put(&[0; 6], &[]); // nothing has changed
    one.read(0, 1);
    page[4] = 0;
    select(&one, &page).good();
    one.write(0, &[1; BLOCK]);
}

#[test]
fn d_sense_changes_the_format_of_sense_data() {
    let bench = Bench::new();
    let host = bench.host(1);
    let mut page = control(&host, 0);
    page[2] |= 0x04;
    select(&host, &page).good();
    let sense = host.run(&cdb10(0x28, 0, u32::MAX, 1), &[]).sense.unwrap();
    assert_eq!((sense.format, sense.encode()[0]), (SenseFormat::Descriptor, 0x72));
    bench.fail_next(crate::block::ErrorKind::Medium);
    assert_eq!(host.run(&cdb10(0x28, 0, 0, 1), &[]).sense.unwrap().encode()[0], 0x72);
}

#[test]
fn only_what_is_changeable_changes_and_all_or_nothing() {
    let bench = Bench::new();
    let host = bench.host(1);
    let before = control(&host, 0);
    let mut good = before.clone();
    good[4] |= 0x08;
    let mut bad = before.clone();
    bad[3] ^= 0x20;
    let answer = select(&host, &[good, bad].concat());
    let sense = answer.sense.unwrap();
    assert_eq!((sense.key, sense.asc), BAD_LIST);
    assert_eq!(sense.field.unwrap().byte, 4 + 12 + 3);
    assert_eq!(control(&host, 0), before);
    assert_eq!(control(&host, 1)[2..], [0x04, 0, 0x08, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn broken_lists_are_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    let page = control(&host, 0);
    assert_eq!(select(&host, &page[..5]).asc(), Asc::PARAMETER_LIST_LENGTH_ERROR);
    assert_eq!(select(&host, &[0x0a]).asc(), Asc::PARAMETER_LIST_LENGTH_ERROR);
    assert_eq!(select(&host, &[0x05, 0]).asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    assert_eq!(select(&host, &[0x0a, 1, 0]).asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    assert_eq!(host.fails(&[0x15, 0x10, 0, 0, 3, 0], &[0; 3]), BAD_LIST_LENGTH);
    assert_eq!(host.fails(&[0x15, 0x10, 0, 0, 12, 0], &[0; 4]), BAD_LIST_LENGTH, "less came");
    let descriptor = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0x10, 0];
    assert_eq!(host.fails(&[0x15, 0x10, 0, 0, 12, 0], &descriptor), BAD_LIST, "block length");
    let descriptor = |blocks: u8| [0, 0, 0, 8, 0, 0, 0, blocks, 0, 0, 2, 0];
    assert_eq!(host.fails(&[0x15, 0x10, 0, 0, 12, 0], &descriptor(9)), BAD_LIST, "capacity");
    host.put(&[0x15, 0x10, 0, 0, 12, 0], &descriptor(0));
    let mut long = [0; 24];
    (long[7], long[22]) = (16, 2);
    assert_eq!(host.fails(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, 24, 0], &long), BAD_LIST, "LONGLBA");
    long[4] = 1;
    host.put(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, 24, 0], &long);
    assert_eq!(host.fails(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, 20, 0], &long[..20]), BAD_LIST_LENGTH);
    assert_eq!(host.fails(&[0x15, 0, 0, 0, 4, 0], &[0; 4]), BAD_CDB, "PF");
    assert_eq!(host.fails(&[0x15, 0x11, 0, 0, 4, 0], &[0; 4]), BAD_CDB, "SP");
    host.put(&[0x15, 0x10, 0, 0, 0, 0], &[]);
}

#[test]
fn pages_say_what_they_should() {
    let bench = Bench::new();
    let host = bench.host(1);
    let page = |code| host.get(&[0x1a, 0x08, code, 0, 255, 0])[4..].to_vec();
    assert_eq!(page(1), [&[1, 10, 0xc0][..], &[0; 9]].concat());
    assert_eq!(page(2), [&[2, 14][..], &[0; 14]].concat());
    let mut changed = control(&host, 0);
    (changed[2], changed[4]) = (changed[2] | 0x04, 0x08);
    select(&host, &changed).good();
    assert_eq!(control(&host, 0), changed, "D_SENSE and SWP");
}

#[test]
fn a_page_that_is_not_there_is_pointed_at() {
    let bench = Bench::new();
    let host = bench.host(1);
    let asked = |code, subpage| host.run(&[0x1a, 0x08, code, subpage, 255, 0], &[]).sense.unwrap();
    assert_eq!(asked(0x05, 0), Sense::cdb_field(2, Some(5)));
    assert_eq!(asked(0x0a, 0x77), Sense::cdb_field(3, Some(7)));
    assert_eq!(asked(0x3f, 0x77), Sense::cdb_field(3, Some(7)));
}

#[test]
fn without_the_page_format_there_is_nothing_to_select() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.put(&[0x15, 0, 0, 0, 0, 0], &[]);
    let refused = host.run(&[0x15, 0, 0, 0, 4, 0], &[0; 4]);
    assert_eq!(refused.sense, Some(Sense::cdb_field(1, Some(4))));
}

#[test]
fn a_page_with_a_subpage_is_read_by_its_own_header() {
    let bench = Bench::new();
    let host = bench.host(1);
    let extension = host.get(&[0x1a, 0x08, 0x0a, 0x01, 255, 0])[4..].to_vec();
    select(&host, &extension).good();
    for len in 1..4 {
        let cut = select(&host, &extension[..len]);
        assert_eq!(cut.asc(), Asc::PARAMETER_LIST_LENGTH_ERROR, "{len}");
    }
}

#[test]
fn what_is_wrong_in_a_selected_page_is_pointed_at() {
    let bench = Bench::new();
    let host = bench.host(1);
    let page = control(&host, 0);
    let refused = |at: usize, byte: u8| {
        let mut page = page.clone();
        page[at] = byte;
        select(&host, &page).sense.unwrap()
    };
    // The list has four bytes before the page.
    assert_eq!(refused(1, 9), Sense::parameter(5, None), "page length");
    assert_eq!(refused(2, 0x00), Sense::parameter(6, Some(1)), "GLTSD");
    assert_eq!(refused(3, 0x11), Sense::parameter(7, Some(0)), "QUEUE ALGORITHM MODIFIER is 1h");
    assert_eq!(refused(3, 0x30), Sense::parameter(7, Some(5)));
}

#[test]
fn what_is_wrong_in_a_block_descriptor_is_pointed_at() {
    let bench = Bench::new();
    let host = bench.host(1);
    let six = |descriptor: &[u8]| {
        let list = [&[0, 0, 0, descriptor.len() as u8], descriptor].concat();
        host.run(&[0x15, 0x10, 0, 0, list.len() as u8, 0], &list)
    };
    let ten = |long: u8, descriptor: &[u8]| {
        let list = [&[0, 0, 0, 0, long, 0, 0, descriptor.len() as u8], descriptor].concat();
        host.run(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, list.len() as u8, 0], &list)
    };
    let (short, mut long) = ([0, 0, 0, 0, 0, 0, 2, 0], [0; 16]);
    long[14] = 2;
    six(&short).good();
    ten(0, &short).good();
    ten(1, &long).good();
    let parameter = |at| Some(Sense::parameter(at, None));
    assert_eq!(six(&short[..7]).sense, parameter(3));
    assert_eq!(ten(0, &long).sense, parameter(6));
    assert_eq!(ten(1, &short).sense, parameter(6));
    assert_eq!(ten(1, &[&[0][..], &long].concat()).sense, parameter(6));
    let (mut bad_short, mut bad_long) = (short, long);
    (bad_short[6], bad_long[14]) = (4, 4);
    assert_eq!(six(&bad_short).sense, parameter(4 + 5));
    assert_eq!(ten(0, &bad_short).sense, parameter(8 + 5));
    assert_eq!(ten(1, &bad_long).sense, parameter(8 + 12));
}
