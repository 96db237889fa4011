//! SANITIZE and FORMAT UNIT.

use super::bench::*;
use crate::block::ErrorKind;
use crate::scsi::{Asc, SenseKey, Status};

const SANITIZING: (SenseKey, Asc) = (SenseKey::NotReady, Asc::SANITIZE_IN_PROGRESS);
const FORMATTING: (SenseKey, Asc) = (SenseKey::NotReady, Asc::FORMAT_IN_PROGRESS);
const BLOCK_ERASE: u8 = 0x02;
const OVERWRITE: u8 = 0x01;
const EXIT_FAILURE_MODE: u8 = 0x1f;
const IMMED: u8 = 0x80;
const AUSE: u8 = 0x20;

fn sanitize(byte_1: u8, len: u16) -> [u8; 10] {
    let [high, low] = len.to_be_bytes();
    [0x48, byte_1, 0, 0, 0, 0, 0, high, low, 0]
}

fn pattern(flags: u8, pattern: &[u8]) -> Vec<u8> {
    let [high, low] = (pattern.len() as u16).to_be_bytes();
    [&[flags, 0, high, low], pattern].concat()
}

fn overwrite(host: &Host<'_>, byte_1: u8, list: &[u8]) -> Answer {
    host.run(&sanitize(OVERWRITE | byte_1, list.len() as u16), list)
}

/// Sense key, additional sense code and progress indication that REQUEST SENSE gives.
fn request_sense(host: &Host<'_>) -> (u8, u16, Option<u16>) {
    let data = host.get(&[0x03, 0, 0, 0, 252, 0]);
    let progress = (data[15] & 0x80 != 0).then(|| u16::from_be_bytes([data[16], data[17]]));
    (data[2], u16::from_be_bytes([data[12], data[13]]), progress)
}

/// Writes something at both ends.
fn fill(host: &Host<'_>) {
    for lba in [0, BLOCKS - 256] {
        host.write(lba, &[b'a'; 256 * BLOCK]);
    }
}

fn is_all(host: &Host<'_>, block: &[u8]) -> bool {
    (0..BLOCKS).step_by(1024).all(|lba| {
        let data = host.read(lba, 1024);
        data.chunks(BLOCK).all(|is| is == block)
    })
}

#[test]
fn block_erase_gives_everything_back() {
    let bench = Bench::new();
    let host = bench.host(1);
    fill(&host);
    host.put(&sanitize(BLOCK_ERASE, 0), &[]);
    assert!(is_all(&host, &[0; BLOCK]));
    let status = host.get(&cdb16(0x9e, 0x12, 0, 256));
    assert_eq!(status[16..21], [&(BLOCKS as u32).to_be_bytes()[..], &[1]].concat());
    let characteristics = host.get(&[0x12, 1, 0xb1, 0, 64, 0]);
    assert_eq!(characteristics[7] >> 6, 1, "WABEREQ: reads succeed");
    assert_eq!(host.fails(&sanitize(BLOCK_ERASE, 8), &[0; 8]), BAD_CDB);
}

#[test]
fn overwrite_repeats_the_pattern_in_every_block() {
    let bench = Bench::new();
    let host = bench.host(1);
    fill(&host);
    overwrite(&host, 0, &pattern(1, &[0xaa; BLOCK])).good();
    assert!(is_all(&host, &[0xaa; BLOCK]));
    overwrite(&host, 0, &pattern(1, &[1, 2, 3])).good();
    let block: Vec<u8> = [1, 2, 3].into_iter().cycle().take(BLOCK).collect();
    assert!(is_all(&host, &block));
    overwrite(&host, 0, &pattern(1, &[0])).good();
    assert!(is_all(&host, &[0; BLOCK]));
    let status = host.get(&cdb16(0x9e, 0x12, 0, 256));
    let all_mapped = [&(BLOCKS as u32).to_be_bytes()[..], &[0]].concat();
    assert_eq!(status[16..21], all_mapped, "zeros are written, too");
}

#[test]
fn every_second_pass_may_be_inverted_and_the_last_is_as_asked() {
    for passes in [1, 2, 3] {
        let bench = Bench::new();
        let host = bench.host(1);
        let list = pattern(0x80 | passes, &[0x0f]);
        let cdb = sanitize(IMMED | OVERWRITE, list.len() as u16);
        host.put(&cdb, &list);
        let per_pass = 2; // 8 MiB in writes of 4 MiB
        let mut seen = Vec::new();
        for _ in 0..passes {
            assert!(!bench.go_on(per_pass));
            seen.push(bench.peek(0));
        }
        assert!(bench.go_on(1), "the flush");
        let wanted: &[u8] = match passes {
            1 => &[0x0f],
            2 => &[0xf0, 0x0f],
            _ => &[0x0f, 0xf0, 0x0f],
        };
        assert_eq!(seen, wanted, "{passes} passes");
        assert!(is_all(&host, &[0x0f; BLOCK]));
    }
}

#[test]
fn an_overwrite_that_makes_no_sense_is_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    fill(&host);
    for len in [0, 1, 4, BLOCK + 5] {
        let cdb = sanitize(OVERWRITE, len as u16);
        assert_eq!(host.fails(&cdb, &vec![1; len]), BAD_CDB, "{len}");
    }
    let refused = |list: &[u8]| {
        let answer = overwrite(&host, 0, list);
        assert_eq!(answer.asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST, "{:?}", &list[..4]);
    };
    refused(&pattern(0, &[1]));
    refused(&pattern(0x21, &[1]));
    refused(&[1, 0, 0, 0, 7]);
    refused(&[1, 0, 0, 2, 7]);
    let cdb = sanitize(OVERWRITE, 8);
    assert_eq!(host.fails(&cdb, &[1, 0, 0, 1, 7]), BAD_LIST_LENGTH, "less came than was said");
    for byte_1 in [0x00, 0x03, 0x04, 0x41, 0x42] {
        assert_eq!(host.fails(&sanitize(byte_1, 0), &[]), BAD_CDB, "{byte_1:#x}");
    }
    assert_eq!(host.read(0, 1), [b'a'; BLOCK]);
}

#[test]
fn nothing_else_runs_until_the_end_and_progress_is_told() {
    let bench = Bench::new();
    let (host, other) = (bench.host(1), bench.host(2));
    fill(&host);
    overwrite(&host, IMMED, &pattern(2, &[5])).good();
    for host in [&host, &other] {
        assert_eq!(request_sense(host), (2, 0x041b, Some(0)));
        let commands: [&[u8]; 6] = [
            &[0; 6],
            &cdb16(0x88, 0, 0, 1),
            &[0x1b, 0, 0, 0, 1, 0],
            &sanitize(BLOCK_ERASE, 0),
            &sanitize(EXIT_FAILURE_MODE, 0),
            &[0x04, 0, 0, 0, 0, 0],
        ];
        for cdb in commands {
            assert_eq!(host.fails(cdb, &[]), SANITIZING, "{cdb:x?}");
        }
        assert_eq!(host.fails(&cdb16(0x8a, 0, 0, 1), &[0; BLOCK]), SANITIZING);
        host.get(&[0x12, 0, 0, 0, 96, 0]);
        host.get(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]);
    }
    let mut last = 0;
    for _ in 0..4 {
        assert!(!bench.go_on(1));
        let (key, asc, progress) = request_sense(&other);
        assert_eq!((key, asc), (2, 0x041b));
        assert!(progress.unwrap() > last);
        last = progress.unwrap();
    }
    assert!(bench.go_on(1));
    assert_eq!(request_sense(&other), (0, 0, None));
    assert!(is_all(&other, &[5; BLOCK]));
}

#[test]
fn neither_abort_nor_reset_nor_the_end_of_the_session_stops_it() {
    let bench = Bench::new();
    let host = bench.host(1);
    fill(&host);
    let list = pattern(1, &[5]);
    let cdb = sanitize(OVERWRITE, list.len() as u16);
    let Err(waiting) = host.run_until(&cdb, &list, 0) else { panic!("it has ended") };
    assert!(!bench.go_on(1), "half of it");
    drop(waiting);
    bench.device.reset_lun(0).unwrap();
    bench.device.detach(&host.nexus);
    let other = bench.host_after(2, SANITIZING);
    assert!(bench.go_on(usize::MAX));
    assert!(is_all(&other, &[5; BLOCK]));
}

#[test]
fn what_has_failed_stays_failed_until_it_is_done_again() {
    let bench = Bench::new();
    let host = bench.host(1);
    let failed = (SenseKey::MediumError, Asc::SANITIZE_COMMAND_FAILED);
    bench.fail_next(ErrorKind::Medium);
    assert_eq!(host.fails(&sanitize(BLOCK_ERASE, 0), &[]), failed);
    assert_eq!(request_sense(&host).1, 0x3103);
    assert_eq!(host.fails(&[0; 6], &[]), failed);
    assert_eq!(host.fails(&cdb16(0x88, 0, 0, 1), &[]), failed);
    assert_eq!(host.fails(&sanitize(EXIT_FAILURE_MODE, 0), &[]), BAD_CDB, "without AUSE");
    host.put(&sanitize(BLOCK_ERASE, 0), &[]);
    host.put(&[0; 6], &[]);

    bench.fail_next(ErrorKind::Medium);
    assert_eq!(host.fails(&sanitize(AUSE | BLOCK_ERASE, 0), &[]), failed);
    assert_eq!(host.fails(&sanitize(EXIT_FAILURE_MODE, 8), &[0; 8]), BAD_CDB);
    host.put(&sanitize(EXIT_FAILURE_MODE, 0), &[]);
    host.put(&[0; 6], &[]);
    host.put(&sanitize(EXIT_FAILURE_MODE, 0), &[]);

    // Nobody drives it any more, as when the target is taken away.
    host.put(&sanitize(IMMED | BLOCK_ERASE, 0), &[]);
    bench.stop();
    assert_eq!(host.fails(&[0; 6], &[]), failed);
    host.put(&[0x04, 0, 0, 0, 0, 0], &[]);
    host.put(&[0; 6], &[]);
}

#[test]
fn a_disk_is_erased_by_those_only_who_may_write_it() {
    for (cdb, list) in [
        (sanitize(BLOCK_ERASE, 0).to_vec(), vec![]),
        (sanitize(OVERWRITE, 5).to_vec(), pattern(1, &[1])),
        (vec![0x04, 0, 0, 0, 0, 0], vec![]),
    ] {
        let bench = Bench::with(512, |spec| spec.read_only = true);
        let host = bench.host(1);
        let protected = (SenseKey::DataProtect, Asc::WRITE_PROTECTED);
        assert_eq!(host.fails(&cdb, &list), protected);
        let bench = Bench::new();
        let (host, other) = (bench.host(1), bench.host(2));
        host.put(&[0x16, 0, 0, 0, 0, 0], &[]);
        assert_eq!(other.status(&cdb, &list), Status::ReservationConflict);
        host.put(&[0x1b, 0, 0, 0, 0, 0], &[]);
        assert_eq!(host.fails(&cdb, &list).0, SenseKey::NotReady, "stopped");
    }
    let bench = Bench::with(512, |spec| spec.info.discard_granularity_bytes = 0);
    let host = bench.host(1);
    assert_eq!(host.fails(&sanitize(BLOCK_ERASE, 0), &[]), BAD_OPCODE);
    fill(&host);
    host.put(&[0x04, 0, 0, 0, 0, 0], &[]);
    assert!(is_all(&host, &[0; BLOCK]));
}

#[test]
fn a_format_makes_the_medium_zeros() {
    let bench = Bench::new();
    let host = bench.host(1);
    let cdb = |byte_1: u8| [0x04, byte_1, 0, 0, 0, 0];
    for (byte_1, list) in
        [(0x00, vec![]), (0x10, vec![0; 4]), (0x15, vec![0, 0x80 | 0x70, 0, 0]), (0x38, vec![0; 8])]
    {
        fill(&host);
        host.put(&cdb(byte_1), &list);
        assert!(is_all(&host, &[0; BLOCK]), "{byte_1:#x}");
    }
    fill(&host);
    host.put(&cdb(0x10), &[0, 0x02, 0, 0]);
    assert_eq!(host.fails(&[0; 6], &[]), FORMATTING);
    assert_eq!(request_sense(&host), (2, 0x0404, Some(0)));
    assert!(bench.go_on(usize::MAX));
    assert!(is_all(&host, &[0; BLOCK]));
    bench.fail_next(ErrorKind::Medium);
    let failed = (SenseKey::MediumError, Asc::FORMAT_COMMAND_FAILED);
    assert_eq!(host.fails(&cdb(0), &[]), failed);
    let corrupted = (SenseKey::MediumError, Asc::MEDIUM_FORMAT_CORRUPTED);
    assert_eq!(host.fails(&cdb16(0x88, 0, 0, 1), &[]), corrupted);
    host.put(&cdb(0), &[]);
    host.read(0, 1);
}

#[test]
fn a_format_with_what_there_is_not_is_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    fill(&host);
    let cdb = |byte_1: u8| [0x04, byte_1, 0, 0, 0, 0];
    for byte_1 in [0x40, 0x80, 0x20, 0x08, 0x04] {
        assert_eq!(host.fails(&cdb(byte_1), &[]), BAD_CDB, "{byte_1:#x}");
    }
    for len in [0, 3] {
        assert_eq!(host.fails(&cdb(0x10), &vec![0; len]), BAD_LIST_LENGTH);
    }
    assert_eq!(host.fails(&cdb(0x30), &[0; 4]), BAD_LIST_LENGTH);
    let short: [[u8; 4]; 5] =
        [[1, 0, 0, 0], [0, 0x08, 0, 0], [0, 0x88, 0, 0], [0, 0x40, 0, 0], [0, 0, 0, 8]];
    for list in short {
        assert_eq!(host.fails(&cdb(0x10), &list), BAD_LIST, "{list:?}");
    }
    for list in [[0, 0, 0, 0x10, 0, 0, 0, 0], [0, 0, 0, 0x01, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 8]]
    {
        assert_eq!(host.fails(&cdb(0x30), &list), BAD_LIST, "{list:?}");
    }
    assert_eq!(host.fails(&cdb(0x10), &[0; 12]), BAD_LIST, "with defects");
    assert_eq!(host.read(0, 1), [b'a'; BLOCK]);
}

#[test]
fn without_invert_every_pass_is_as_asked() {
    let bench = Bench::new();
    let host = bench.host(1);
    let list = pattern(2, &[0x0f]);
    host.put(&sanitize(IMMED | OVERWRITE, list.len() as u16), &list);
    assert!(!bench.go_on(2));
    assert_eq!(bench.peek(0), 0x0f, "after the first of two");
    bench.settle();
    assert!(is_all(&host, &[0x0f; BLOCK]));
}

#[test]
fn nothing_beyond_the_end_is_overwritten() {
    // The volume has 8 MiB, the unit only the first six.
    let bench = Bench::with(512, |spec| spec.info.size_bytes = 6 << 20);
    let host = bench.host(1);
    overwrite(&host, 0, &pattern(1, &[0x0f])).good();
    let blocks = (6 << 20) / BLOCK as u64;
    assert_eq!((bench.peek(blocks - 1), bench.peek(blocks), bench.peek(BLOCKS - 1)), (0x0f, 0, 0));
}
