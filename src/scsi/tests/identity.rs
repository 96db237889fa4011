//! INQUIRY and the vital product data pages.

use super::bench::*;
use crate::scsi::{Asc, Device, NexusSpec};

fn vpd(host: &Host<'_>, page: u8) -> Vec<u8> {
    host.get(&[0x12, 1, page, 0x02, 0x00, 0])
}

#[test]
fn standard_data_say_spc_4_and_sbc_3() {
    let bench = Bench::new();
    let data = bench.host(1).get(&[0x12, 0, 0, 0x01, 0x04, 0]);
    assert_eq!(data.len(), 96);
    assert_eq!((data[0], data[2], data[3] & 0x0f, data[4]), (0, 6, 2, 91));
    assert_eq!(&data[8..16], b"STIRRUP ");
    let versions: Vec<u16> =
        data[58..66].chunks(2).map(|c| u16::from_be_bytes([c[0], c[1]])).collect();
    assert!(versions.contains(&0x0460) && versions.contains(&0x04c0) && versions.contains(&0x0962));
}

#[test]
fn a_page_code_without_evpd_is_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    assert_eq!(host.fails(&[0x12, 0, 0x83, 0, 96, 0], &[]), BAD_CDB);
    assert_eq!(host.fails(&[0x12, 1, 0x7f, 0, 96, 0], &[]), BAD_CDB);
    assert_eq!(host.fails(&[0x12, 2, 0, 0, 96, 0], &[]), BAD_CDB, "CMDDT is obsolete");
}

#[test]
fn answers_are_cut_to_the_allocation_length_and_keep_their_length_field() {
    let bench = Bench::new();
    let host = bench.host(1);
    for page in [0x00, 0x80, 0x83, 0x86, 0x87, 0x88, 0x8f, 0xb0, 0xb1, 0xb2] {
        let whole = vpd(&host, page);
        let len = usize::from(u16::from_be_bytes([whole[2], whole[3]]));
        assert_eq!((whole[1], whole.len()), (page, len + 4));
        for allocation in [0, 1, 4, 5] {
            let cut = host.get(&[0x12, 1, page, 0, allocation, 0]);
            assert_eq!(cut, whole[..usize::from(allocation)]);
        }
    }
}

#[test]
fn the_list_of_pages_is_sorted_and_true() {
    let bench = Bench::new();
    let host = bench.host(1);
    let list = vpd(&host, 0x00)[4..].to_vec();
    assert!(list.is_sorted());
    for page in 0..=255 {
        let answer = host.run(&[0x12, 1, page, 0, 255, 0], &[]);
        assert_eq!(answer.sense.is_none(), list.contains(&page), "{page:02x}");
    }
}

/// Association, type and bytes of the designators of page 83h.
fn designators(page: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let mut rest = &page[4..];
    let mut out = Vec::new();
    while let [_, kind, _, len, ..] = rest {
        let end = 4 + usize::from(*len);
        out.push(((kind >> 4) & 0x03, kind & 0x0f, rest[4..end].to_vec()));
        rest = &rest[end..];
    }
    assert!(rest.is_empty());
    out
}

#[test]
fn designators_are_complete_and_in_their_formats() {
    let bench = Bench::new();
    let all = designators(&vpd(&bench.host(1), 0x83));
    let find = |association, kind| {
        let found = all.iter().find(|(a, k, _)| (*a, *k) == (association, kind));
        found.map(|(_, _, bytes)| bytes.clone()).unwrap()
    };
    assert_eq!(find(0, 3)[0] >> 4, 3, "NAA locally assigned");
    assert_eq!(find(0, 3).len(), 8);
    assert_eq!(find(0, 2)[0] & 0x03, 0x02, "EUI-64: locally administered, not a group");
    assert_eq!(&find(0, 1)[..8], b"STIRRUP ");
    assert!(find(0, 8).starts_with(b"naa.3") && find(0, 8).len() % 4 == 0);
    assert_eq!(find(1, 4), [0, 0, 0, 1]);
    assert_eq!(find(1, 5), [0, 0, 0, 1]);
    assert!(find(1, 8).starts_with(format!("{TARGET},t,0x0001\0").as_bytes()));
    assert!(find(2, 8).starts_with(TARGET.as_bytes()));
}

#[test]
fn ports_are_listed_with_their_names() {
    let bench = Bench::new();
    let spec = NexusSpec { target_port: 7, target_ports: vec![1, 7], ..nexus_spec(1) };
    let host = bench.of(bench.device.attach(spec));
    let page = vpd(&host, 0x88);
    let mut rest = &page[4..];
    for port in [1, 7] {
        assert_eq!(rest[..10], [0, 0, 0, port, 0, 0, 0, 0, 0, 0]);
        let len = usize::from(u16::from_be_bytes([rest[10], rest[11]]));
        let name = format!("{TARGET},t,0x{port:04x}\0");
        assert_eq!((rest[12], rest[13], rest[15]), (0x53, 0x98, len as u8 - 4));
        assert!(rest[16..12 + len].starts_with(name.as_bytes()));
        rest = &rest[12 + len..];
    }
    assert!(rest.is_empty());
    let all = designators(&vpd(&host, 0x83));
    for kind in [4, 5] {
        assert!(all.contains(&(1, kind, vec![0, 0, 0, 7])), "the port that was asked");
    }
}

#[test]
fn what_is_claimed_is_so() {
    for write_cache in [false, true] {
        let bench = Bench::with(512, |spec| spec.info.write_cache = write_cache);
        let host = bench.host(1);
        let extended = vpd(&host, 0x86);
        assert_eq!(extended.len(), 64);
        assert_eq!((extended[5], extended[6], extended[7]), (0x07, u8::from(write_cache), 0));
        assert_eq!(vpd(&host, 0x87)[4..], [0x3f, 0xff, 0, 0], "pages are shared");
    }
}

#[test]
fn the_well_known_unit_tells_of_port_and_device_and_a_missing_one_of_nothing() {
    let bench = Bench::new();
    let host = bench.host(1);
    let well_known = host.at_lun(0xc101 << 48);
    assert_eq!(vpd(&well_known, 0x00), [0x1e, 0, 0, 2, 0x00, 0x83]);
    let all = designators(&vpd(&well_known, 0x83));
    assert_eq!(all.iter().map(|(a, ..)| *a).collect::<Vec<_>>(), [1, 1, 1, 2]);
    assert_eq!(well_known.fails(&[0x12, 1, 0x80, 0, 96, 0], &[]), BAD_CDB);
    let missing = host.at_lun(lun(9));
    assert_eq!(vpd(&missing, 0x00), [0x7f, 0, 0, 1, 0x00]);
    assert_eq!(missing.fails(&[0x12, 1, 0x83, 0, 96, 0], &[]), BAD_CDB);
}

#[test]
fn identity_depends_on_the_image_alone() {
    let unit_only = |page: Vec<u8>| {
        let mut all = designators(&page);
        all.retain(|(association, _, _)| *association == 0);
        all
    };
    let page = |identity: &str, target: &str| {
        let mut bench = Bench::new();
        let unit = crate::scsi::LogicalUnitSpec {
            identity: identity.to_owned(),
            ..spec(bench.info(), 512)
        };
        bench.device = Device::new(target, vec![unit]);
        let host = bench.host(1);
        (unit_only(vpd(&host, 0x83)), vpd(&host, 0x80))
    };
    let one = page("pool/a1", "iqn.a");
    assert_eq!(one, page("pool/a1", "iqn.other-gateway"));
    let other = page("pool/a2", "iqn.a");
    assert_ne!(one.1, other.1);
    assert!(one.0.iter().zip(&other.0).all(|(a, b)| a != b), "every designator differs");
    // Written down: a new release must not change the identity of a disk.
    assert_eq!(&one.1[4..], b"e5b5d257f444fd050fd819ae3fd5a149");
}

#[test]
fn limits_are_those_of_the_volume() {
    let bench = Bench::with(512, |spec| {
        spec.info.optimal_io_bytes = 4 << 20;
        spec.info.discard_granularity_bytes = 64 << 10;
        spec.info.max_compare_and_write_bytes = 4096;
    });
    let host = bench.host(1);
    let page = vpd(&host, 0xb0);
    let number = |at: usize| u32::from_be_bytes(page[at..at + 4].try_into().unwrap());
    assert_eq!(page.len(), 64);
    assert_eq!(page[5], 8, "MAXIMUM COMPARE AND WRITE LENGTH");
    assert_eq!(u16::from_be_bytes([page[6], page[7]]), 8, "granularity: a physical block");
    assert_eq!((number(8), number(12)), (32768, 8192));
    assert_eq!((number(20), number(24), number(28)), (u32::MAX, 256, 128));
    assert_eq!(vpd(&host, 0xb2)[5] & 0xfc, 0xe4, "LBPU, LBPWS, LBPWS10, LBPRZ");
    assert_eq!(vpd(&host, 0xb1)[4..6], [0, 1], "non-rotating");
}

#[test]
fn without_discard_no_provisioning_is_claimed() {
    let bench = Bench::with(512, |spec| spec.info.discard_granularity_bytes = 0);
    let host = bench.host(1);
    assert_eq!(vpd(&host, 0xb0)[20..32], [0; 12]);
    assert_eq!(vpd(&host, 0xb2)[5..7], [0, 0]);
    assert_eq!(host.get(&cdb16(0x9e, 0x10, 0, 32))[14], 0);
    let unsupported = (ILLEGAL, Asc::INVALID_OPCODE);
    assert_eq!(host.fails(&[0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0], &[0; 24]), unsupported);
    assert_eq!(host.fails(&cdb10(0x41, 0x08, 0, 1), &[0; BLOCK]), BAD_CDB);
}

#[test]
fn the_eui_64_is_a_local_one() {
    for number in 0..16 {
        let bench = Bench::with(512, |spec| spec.identity = format!("store/image-{number}"));
        let page = bench.host(1).get(&[0x12, 0x01, 0x83, 0, 255, 0]);
        let mut rest = &page[4..];
        let mut found = false;
        while let [_, kind, _, len, ..] = *rest {
            let (designator, more) = rest.split_at(4 + usize::from(len));
            if kind & 0x3f == 2 {
                // U/L set, and not a group address (IEEE 802).
                assert_eq!(designator[4] & 0x03, 0x02);
                found = true;
            }
            rest = more;
        }
        assert!(found);
    }
}
