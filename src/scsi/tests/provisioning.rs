//! UNMAP, WRITE SAME, GET LBA STATUS.

use super::bench::*;
use crate::block::{ErrorKind, Op};
use crate::scsi::{Asc, SenseKey};

fn unmap(host: &Host<'_>, ranges: &[(u64, u32)]) -> Answer {
    let mut list = ((6 + ranges.len() * 16) as u16).to_be_bytes().to_vec();
    list.extend_from_slice(&((ranges.len() * 16) as u16).to_be_bytes());
    list.extend_from_slice(&[0; 4]);
    for (lba, count) in ranges {
        list.extend_from_slice(&lba.to_be_bytes());
        list.extend_from_slice(&count.to_be_bytes());
        list.extend_from_slice(&[0; 4]);
    }
    let [high, low] = (list.len() as u16).to_be_bytes();
    host.run(&[0x42, 0, 0, 0, 0, 0, 0, high, low, 0], &list)
}

#[test]
fn unmapped_blocks_read_as_zeros() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &[1; 8 * BLOCK]);
    unmap(&host, &[(1, 2), (5, 1), (6, 0), (BLOCKS, 0)]).good();
    let mapped = |lba| host.read(lba, 1)[0] == 1;
    let seen: Vec<bool> = (0..8).map(mapped).collect();
    assert_eq!(seen, [true, false, false, true, true, false, true, true]);
    unmap(&host, &[]).good();
    unmap(&host, &[(0, BLOCKS as u32)]).good();
    assert_eq!(host.read(0, 8), [0; 8 * BLOCK]);
}

#[test]
fn nothing_is_unmapped_if_any_descriptor_is_wrong() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &[1; BLOCK]);
    for wrong in [(BLOCKS - 1, 2), (BLOCKS, 1), (BLOCKS + 1, 0), (u64::MAX, 2), (1, u32::MAX)] {
        let answer = unmap(&host, &[(0, 1), wrong]);
        assert_eq!(answer.asc(), Asc::LBA_OUT_OF_RANGE, "{wrong:?}");
    }
    assert_eq!(unmap(&host, &[(0, 1); 257]).asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    assert_eq!(host.read(0, 1), [1; BLOCK]);
    unmap(&host, &[(0, 1); 256]).good();
}

#[test]
fn short_and_lying_unmap_lists_are_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    let cdb = |len: u8| [0x42, 0, 0, 0, 0, 0, 0, 0, len, 0];
    host.put(&cdb(0), &[]);
    assert_eq!(host.fails(&cdb(7), &[0; 7]), BAD_LIST_LENGTH);
    assert_eq!(host.fails(&cdb(24), &[0; 8]), BAD_LIST_LENGTH, "less came than was said");
    assert_eq!(host.fails(&cdb(8), &[0, 22, 0, 16, 0, 0, 0, 0]), BAD_LIST);
    host.put(&cdb(8), &[0, 6, 0, 0, 0, 0, 0, 0]);
    assert_eq!(host.fails(&[0x42, 1, 0, 0, 0, 0, 0, 0, 0, 0], &[]), BAD_CDB, "ANCHOR");
}

#[test]
fn the_first_failure_of_many_is_reported_when_all_have_ended() {
    let bench = Bench::new();
    let host = bench.host(1);
    bench.fail_after(1, ErrorKind::NoSpace);
    let answer = unmap(&host, &[(0, 1), (2, 1), (4, 1)]);
    assert_eq!(answer.asc(), Asc::SPACE_ALLOCATION_FAILED);
}

#[test]
fn write_same_repeats_a_block() {
    let bench = Bench::new();
    let host = bench.host(1);
    let mut block = vec![7; BLOCK];
    block[0] = 1;
    // More than one window.
    host.put(&cdb16(0x93, 0, 1, 5000), &block);
    assert_eq!(host.read(0, 1), [0; BLOCK]);
    for lba in [1, 2, 2048, 2049, 5000] {
        assert_eq!(host.read(lba, 1), block, "{lba}");
    }
    assert_eq!(host.read(5001, 1), [0; BLOCK]);
    host.put(&cdb10(0x41, 0, 2, 3), &[0; BLOCK]);
    assert_eq!(host.read(2, 3), [0; 3 * BLOCK]);
    assert_eq!(host.read(5, 1), block);
    host.put(&cdb16(0x93, 0x01, 5, 1), &[]);
    assert_eq!(host.read(5, 1), [0; BLOCK], "NDOB");
}

#[test]
fn write_same_unmaps_zeros_and_writes_what_is_not() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &[1; 4 * BLOCK]);
    host.put(&cdb10(0x41, 0x08, 0, 2), &[0; BLOCK]);
    host.put(&cdb16(0x93, 0x08, 2, 1), &[9; BLOCK]);
    let wanted = [vec![0; 2 * BLOCK], vec![9; BLOCK], vec![1; BLOCK]].concat();
    assert_eq!(host.read(0, 4), wanted);
    assert_eq!(host.fails(&cdb16(0x93, 0x18, 0, 1), &[0; BLOCK]), BAD_CDB, "ANCHOR");
}

#[test]
fn write_same_of_zero_blocks_goes_to_the_end_within_the_limit() {
    let bench = Bench::with(512, |spec| spec.info.size_bytes = 8 << 20);
    let host = bench.host(1);
    host.write(BLOCKS - 3, &[1; 3 * BLOCK]);
    host.put(&cdb16(0x93, 0, BLOCKS - 2, 0), &[0; BLOCK]);
    assert_eq!(host.read(BLOCKS - 3, 3), [vec![1; BLOCK], vec![0; 2 * BLOCK]].concat());
    let info = crate::block::VolumeInfo { size_bytes: 1 << 40, ..bench.info() };
    bench.device.refresh(|_| Some(info));
    assert_eq!(host.run(&[0; 6], &[]).asc(), Asc::CAPACITY_CHANGED);
    assert_eq!(host.fails(&cdb16(0x93, 0, 0, 0), &[0; BLOCK]), BAD_CDB);
    assert_eq!(host.fails(&cdb16(0x93, 0, 0, 0x8001), &[0; BLOCK]), BAD_CDB);
}

#[test]
fn write_same_wants_exactly_one_block() {
    let bench = Bench::new();
    let host = bench.host(1);
    for len in [0, BLOCK / 2, 2 * BLOCK] {
        assert_eq!(host.fails(&cdb10(0x41, 0, 0, 1), &vec![0; len]), BAD_CDB);
    }
    assert_eq!(host.fails(&cdb10(0x41, 0, BLOCKS as u32, 1), &[0; BLOCK]), OUT_OF_RANGE);
    bench.fail_next(ErrorKind::NoSpace);
    let full = (SenseKey::DataProtect, Asc::SPACE_ALLOCATION_FAILED);
    assert_eq!(host.fails(&cdb10(0x41, 0, 0, 1), &[5; BLOCK]), full);
}

#[test]
fn lba_status_shows_what_is_mapped() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &[1; BLOCK]);
    // The volume in memory knows units of 1 MiB.
    let unit = (1 << 20) / BLOCK as u64;
    let status = host.get(&cdb16(0x9e, 0x12, 8, 8 + 2 * 16));
    assert_eq!(status[..4], 36u32.to_be_bytes());
    assert_eq!(status[8..16], 8u64.to_be_bytes());
    assert_eq!(status[16..21], [&((unit - 8) as u32).to_be_bytes()[..], &[0]].concat());
    assert_eq!(status[24..32], unit.to_be_bytes());
    assert_eq!(status[32..37], [&((BLOCKS - unit) as u32).to_be_bytes()[..], &[1]].concat());
    assert_eq!(host.get(&cdb16(0x9e, 0x12, 0, 24)).len(), 24, "one descriptor");
    assert!(host.get(&cdb16(0x9e, 0x12, 0, 0)).is_empty());
    for lba in [BLOCKS, BLOCKS + 1, 1 << 63, u64::MAX] {
        assert_eq!(host.fails(&cdb16(0x9e, 0x12, lba, 24), &[]), OUT_OF_RANGE);
    }
}

#[test]
fn write_same_becomes_the_operation_that_costs_least() {
    let bench = Bench::with(512, |spec| spec.info.size_bytes = 1 << 40);
    let host = bench.host(1);
    let first = |byte_1, data: &[u8]| {
        let mut ops = host.first_ops(&cdb16(0x93, byte_1, 8, 0x8000), data);
        assert_eq!(ops.len(), 1, "as many blocks as are allowed");
        ops.remove(0)
    };
    let (at, all) = (8 * 512, 0x8000 * 512);
    for (byte_1, data) in [(0, &[0; BLOCK][..]), (1, &[])] {
        let op = first(byte_1, data);
        assert!(
            matches!(op, Op::WriteZeroes { offset, len, .. } if (offset, len) == (at, all)),
            "{op:?}"
        );
        let op = first(byte_1 | 0x08, data);
        assert!(matches!(op, Op::Discard { offset, len } if (offset, len) == (at, all)), "{op:?}");
    }
    let op = first(0x08, &[9; BLOCK]);
    assert!(matches!(op, Op::Write { offset, .. } if offset == at), "{op:?}");

    let bench = Bench::with(512, |spec| {
        (spec.info.size_bytes, spec.info.has_write_same) = (1 << 40, true);
    });
    let host = bench.host(1);
    for byte_1 in [0, 0x08] {
        let mut ops = host.first_ops(&cdb16(0x93, byte_1, 8, 0x8000), &[9; BLOCK]);
        let Some(Op::WriteSame { offset, len, pattern }) = ops.pop() else { panic!("{ops:?}") };
        assert_eq!((offset, len, pattern.to_vec()), (at, all, vec![9; BLOCK]));
        // What is cheaper stays so.
        let ops = host.first_ops(&cdb16(0x93, byte_1, 8, 0x8000), &[0; BLOCK]);
        assert!(!matches!(ops[..], [Op::WriteSame { .. }]), "{ops:?}");
    }
}

#[test]
fn a_volume_that_repeats_a_block_itself_tells_what_went_wrong() {
    let bench = Bench::with(512, |spec| spec.info.has_write_same = true);
    let host = bench.host(1);
    bench.fail_next(ErrorKind::NoSpace);
    let full = (SenseKey::DataProtect, Asc::SPACE_ALLOCATION_FAILED);
    assert_eq!(host.fails(&cdb10(0x41, 0, 0, 4), &[5; BLOCK]), full);
}

#[test]
fn write_same_above_the_limit_is_refused_before_the_end_is_looked_at() {
    let bench = Bench::new();
    let host = bench.host(1);
    assert_eq!(host.fails(&cdb16(0x93, 0, 0, 0x8001), &[0; BLOCK]), BAD_CDB);
}

#[test]
fn lba_status_asks_for_as_much_as_there_is_room_for() {
    let bench = Bench::new();
    let host = bench.host(1);
    for (bytes, descriptors) in [(0, 1), (24, 1), (39, 1), (40, 2), (8 + 16 * 300, 256)] {
        let ops = host.first_ops(&cdb16(0x9e, 0x12, 0, bytes), &[]);
        let [Op::Extents { max, .. }] = &ops[..] else { panic!("{ops:?}") };
        assert_eq!(*max, descriptors, "{bytes}");
    }
}
