//! LOG SENSE and LOG SELECT.

use super::bench::*;
use crate::block::{ErrorKind, Usage};
use crate::scsi::{Asc, SenseKey};

const TUR: [u8; 6] = [0; 6];
/// Cumulative values.
const PC: u8 = 0x40;

fn page(host: &Host<'_>, code: u8) -> Vec<u8> {
    host.get(&[0x4d, 0, PC | code, 0, 0, 0, 0, 0x10, 0, 0])
}

/// Code, control byte and value of the parameters of a page.
fn parameters(page: &[u8]) -> Vec<(u16, u8, Vec<u8>)> {
    let mut rest = &page[4..];
    assert_eq!(usize::from(u16::from_be_bytes([page[2], page[3]])), rest.len());
    let mut out = Vec::new();
    while let [high, low, control, len, ..] = rest {
        let end = 4 + usize::from(*len);
        out.push((u16::from_be_bytes([*high, *low]), *control, rest[4..end].to_vec()));
        rest = &rest[end..];
    }
    assert!(rest.is_empty());
    out
}

/// The values of an error counter page: bytes and errors.
fn errors(host: &Host<'_>, code: u8) -> [u64; 2] {
    let all = parameters(&page(host, code));
    assert_eq!(all.iter().map(|(code, ..)| *code).collect::<Vec<_>>(), [5, 6]);
    assert!(all.iter().all(|(_, control, value)| (*control, value.len()) == (0x22, 8)));
    [0, 1].map(|i: usize| u64::from_be_bytes(all[i].2[..].try_into().unwrap()))
}

/// The first numbers of the statistics page: reads, writes, blocks received, blocks sent.
fn statistics(host: &Host<'_>) -> [u64; 4] {
    let all = parameters(&page(host, 0x19));
    assert_eq!((all.len(), all[0].0, all[0].1, all[0].2.len()), (1, 1, 0x23, 64));
    [0, 8, 16, 24].map(|at: usize| u64::from_be_bytes(all[0].2[at..at + 8].try_into().unwrap()))
}

#[test]
fn the_lists_of_pages_are_true() {
    let bench = Bench::new();
    let host = bench.host(1);
    assert_eq!(page(&host, 0x00), [0x00, 0, 0, 4, 0x00, 0x02, 0x03, 0x19]);
    let pairs = host.get(&[0x4d, 0, PC, 0xff, 0, 0, 0, 0, 252, 0]);
    assert_eq!(pairs, [0x40, 0xff, 0, 10, 0, 0, 0, 0xff, 2, 0, 3, 0, 0x19, 0]);
    for code in 1..0x40 {
        let answer = host.run(&[0x4d, 0, PC | code, 0, 0, 0, 0, 0, 252, 0], &[]);
        assert_eq!(answer.sense.is_none(), [2, 3, 0x19].contains(&code), "{code:02x}");
        assert_eq!(answer.asc(), if answer.sense.is_none() { Asc::NONE } else { BAD_CDB.1 });
        assert_eq!(host.fails(&[0x4d, 0, PC | code, 1, 0, 0, 0, 0, 252, 0], &[]), BAD_CDB);
    }
}

#[test]
fn commands_are_counted_over_all_sessions_also_those_that_are_gone() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    one.write(0, &[1; 3 * BLOCK]);
    two.read(0, 2);
    two.read(5, 1);
    assert_eq!(statistics(&one), [2, 1, 3, 3]);
    bench.device.detach(&two.nexus);
    assert_eq!(statistics(&one), [2, 1, 3, 3]);
    one.read(0, 1);
    assert_eq!(errors(&one, 0x02), [3 * 512, 0]);
    assert_eq!(errors(&one, 0x03), [4 * 512, 0]);
}

#[test]
fn failures_of_the_medium_are_counted_where_they_belong() {
    let bench = Bench::new();
    let host = bench.host(1);
    bench.fail_next(ErrorKind::Medium);
    host.fails(&cdb10(0x28, 0, 0, 1), &[]);
    for _ in 0..2 {
        bench.fail_next(ErrorKind::Medium);
        host.fails(&cdb10(0x2a, 0, 0, 1), &[0; BLOCK]);
    }
    host.fails(&cdb10(0x28, 0, u32::MAX, 1), &[]);
    assert_eq!((errors(&host, 0x02)[1], errors(&host, 0x03)[1]), (2, 1));
}

#[test]
fn a_reset_is_of_one_page_or_of_all_and_others_hear_of_it() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    one.write(0, &[1; BLOCK]);
    one.read(0, 1);
    one.put(&[0x4c, 0x02, PC | 0x02, 0, 0, 0, 0, 0, 0, 0], &[]);
    assert_eq!((errors(&one, 0x02), errors(&one, 0x03)), ([0, 0], [512, 0]));
    assert_eq!(statistics(&one), [1, 1, 1, 1]);
    let changed = (SenseKey::UnitAttention, Asc::LOG_PARAMETERS_CHANGED);
    assert_eq!(two.fails(&TUR, &[]), changed);
    two.put(&TUR, &[]);
    one.put(&TUR, &[]);
    one.put(&[0x4c, 0x02, 0, 0, 0, 0, 0, 0, 0, 0], &[]);
    assert_eq!((errors(&one, 0x03), statistics(&one)), ([0, 0], [0; 4]));
    one.read(0, 1);
    assert_eq!(statistics(&one), [1, 0, 0, 1]);
    // The defaults of all cumulative values.
    one.put(&[0x4c, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0], &[]);
    assert_eq!(statistics(&one), [0; 4]);
    assert_eq!(two.fails(&TUR, &[]), changed);
    one.read(0, 1);
    one.put(&[0x4c, 0, PC, 0, 0, 0, 0, 0, 0, 0], &[]);
    assert_eq!(statistics(&one), [1, 0, 0, 1], "what is current stays");
    two.put(&TUR, &[]);
    let default = one.get(&[0x4d, 0, 0xc0 | 0x19, 0, 0, 0, 0, 0, 252, 0]);
    assert_eq!(default[8..], [0; 64]);
}

#[test]
fn what_cannot_be_done_is_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    let sense = |cdb: [u8; 10]| host.fails(&cdb, &[]);
    assert_eq!(sense([0x4d, 0x01, PC | 2, 0, 0, 0, 0, 0, 252, 0]), BAD_CDB, "SP");
    assert_eq!(sense([0x4d, 0x02, PC | 2, 0, 0, 0, 0, 0, 252, 0]), BAD_CDB, "PPC");
    for thresholds in [0x00, 0x80] {
        assert_eq!(sense([0x4d, 0, thresholds | 2, 0, 0, 0, 0, 0, 252, 0]), BAD_CDB);
    }
    assert_eq!(sense([0x4d, 0, PC | 2, 0, 0, 0, 7, 0, 252, 0]), BAD_CDB, "parameter pointer");
    assert_eq!(sense([0x4c, 0x01, 0, 0, 0, 0, 0, 0, 0, 0]), BAD_CDB, "SP");
    assert_eq!(sense([0x4c, 0x02, 0x05, 0, 0, 0, 0, 0, 0, 0]), BAD_CDB, "no such page");
    assert_eq!(sense([0x4c, 0x02, 0x02, 1, 0, 0, 0, 0, 0, 0]), BAD_CDB, "no such subpage");
    let list = [0x02, 0, 0, 4, 0, 5, 0, 0];
    let select = |pcr, code, len| host.fails(&[0x4c, pcr, code, 0, 0, 0, 0, 0, len, 0], &list);
    assert_eq!(select(0x02, 0, 8), BAD_CDB, "PCR with a list");
    assert_eq!(select(0, 0x02, 8), BAD_CDB, "a page code with a list");
    assert_eq!(select(0, 0, 8), BAD_LIST, "no value can be set");
    assert_eq!(select(0, 0, 3), BAD_LIST_LENGTH);
}

#[test]
fn the_parameter_pointer_and_the_allocation_length_cut() {
    let bench = Bench::new();
    let host = bench.host(1);
    let whole = page(&host, 0x02);
    assert_eq!((whole[0], whole.len()), (0x82, 28));
    let from = |pointer| host.get(&[0x4d, 0, PC | 2, 0, 0, 0, pointer, 0, 252, 0]);
    assert_eq!(from(5), whole);
    assert_eq!(from(6)[4..], whole[16..]);
    assert_eq!(from(6)[..4], [0x82, 0, 0, 12]);
    for len in [0, 1, 4, 27] {
        let cut = host.get(&[0x4d, 0, PC | 2, 0, 0, 0, 0, 0, len, 0]);
        assert_eq!(cut, whole[..usize::from(len)]);
    }
}

#[test]
fn space_is_told_if_the_volume_tells_it() {
    let bench = Bench::new();
    let host = bench.host(1);
    let provisioning = |host: &Host<'_>| host.get(&[0x12, 1, 0xb2, 0, 252, 0])[4];
    assert_eq!(provisioning(&host), 0, "no thresholds");
    let usage = Usage { used_bytes: Some(5 << 20), available_bytes: Some(7 << 30) };
    bench.device.set_usage(|_| usage);
    assert_eq!(provisioning(&host), 11, "sets of 1 MiB");
    let all = parameters(&page(&host, 0x0c));
    assert_eq!(all[0], (1, 0x23, vec![0, 0, 0x1c, 0, 2, 0, 0, 0]), "free for all");
    assert_eq!(all[1], (2, 0x23, vec![0, 0, 0, 5, 1, 0, 0, 0]), "its own");
    assert!(page(&host, 0)[4..].contains(&0x0c));
    bench.device.set_usage(|_| Usage { used_bytes: Some(u64::MAX), available_bytes: None });
    assert_eq!(parameters(&page(&host, 0x0c)), [(2, 0x23, vec![255, 255, 255, 255, 1, 0, 0, 0])]);
    host.put(&[0x4c, 0x02, 0, 0, 0, 0, 0, 0, 0, 0], &[]);
    assert_eq!(host.fails(&[0x4c, 0x02, 0x0c, 0, 0, 0, 0, 0, 0, 0], &[]), BAD_CDB, "no counter");
}
