//! WRITE ATOMIC(16), and the operations that an UNMAP becomes.

use super::bench::*;
use crate::block::{ErrorKind, Op};
use crate::scsi::{Asc, SenseKey};

/// WRITE ATOMIC(16).
fn cdb(byte_1: u8, lba: u64, blocks: u16) -> [u8; 16] {
    let mut cdb = cdb16(0x9c, byte_1, lba, 0);
    cdb[12..14].copy_from_slice(&blocks.to_be_bytes());
    cdb
}

#[test]
fn an_atomic_write_is_one_operation_within_the_limits() {
    // The volume promises 1 MiB, within each MiB.
    let bench = Bench::new();
    let host = bench.host(1);
    let limits = host.get(&[0x12, 1, 0xb0, 0, 64, 0]);
    assert_eq!(limits[44..64], [&2048_u32.to_be_bytes()[..], &[0; 16]].concat());
    let data = [7; 2048 * BLOCK];
    host.put(&cdb(0, 2048, 2048), &data);
    assert_eq!(host.read(2047, 1), [0; BLOCK]);
    assert!(host.read(2048, 2048) == data);
    host.put(&cdb(0x18, BLOCKS - 1, 1), &data[..BLOCK]);
    host.put(&cdb(0, 0, 0), &[]);
    assert_eq!(host.fails(&cdb(0, 1, 2048), &data), BAD_CDB, "across a boundary");
    assert_eq!(host.fails(&cdb(0, 0, 2049), &[0; 2049 * BLOCK]), BAD_CDB, "too long");
    assert_eq!(host.fails(&cdb(0x20, 0, 1), &data[..BLOCK]), BAD_CDB, "WRPROTECT");
    let mut boundary = cdb(0, 0, 1);
    boundary[11] = 1;
    assert_eq!(host.fails(&boundary, &data[..BLOCK]), BAD_CDB, "ATOMIC BOUNDARY");
    for (lba, blocks) in [(BLOCKS, 0), (BLOCKS - 1, 2), (1 << 63, 1), (u64::MAX, 1)] {
        let data = vec![0; usize::from(blocks) * BLOCK];
        assert_eq!(host.fails(&cdb(0, lba, blocks), &data), OUT_OF_RANGE, "{lba}");
    }
}

#[test]
fn part_of_an_atomic_write_is_none() {
    let bench = Bench::new();
    let host = bench.host(1);
    for len in [0, BLOCK, 3 * BLOCK] {
        assert_eq!(host.fails(&cdb(0, 0, 2), &vec![7; len]), BAD_CDB, "{len}");
    }
    bench.fail_next(ErrorKind::Medium);
    let bad = (SenseKey::MediumError, Asc::WRITE_ERROR);
    assert_eq!(host.fails(&cdb(0, 0, 2), &[7; 2 * BLOCK]), bad);
    assert_eq!(host.read(0, 2), [0; 2 * BLOCK]);
}

#[test]
fn what_a_volume_does_not_promise_is_not_offered() {
    let bench = Bench::with(512, |spec| spec.info.max_atomic_write_bytes = 511);
    let host = bench.host(1);
    assert_eq!(host.fails(&cdb(0, 0, 1), &[0; BLOCK]), BAD_OPCODE);
    assert_eq!(host.get(&[0x12, 1, 0xb0, 0, 64, 0])[44..64], [0; 20]);
}

#[test]
fn a_protected_unit_takes_no_atomic_write() {
    let bench = Bench::with(512, |spec| spec.read_only = true);
    let host = bench.host(1);
    let protected = (SenseKey::DataProtect, Asc::WRITE_PROTECTED);
    assert_eq!(host.fails(&cdb(0, 0, 1), &[0; BLOCK]), protected);
}

#[test]
fn one_unmap_of_many_times_the_whole_medium_goes_in_pieces() {
    let bench = Bench::with(512, |spec| spec.info.size_bytes = 1 << 40);
    let host = bench.host(1);
    let descriptor = [&0_u64.to_be_bytes()[..], &u32::MAX.to_be_bytes(), &[0; 4]].concat();
    let mut list = vec![0x10, 0x06, 0x10, 0, 0, 0, 0, 0];
    // 1 TiB has 2^31 blocks.
    list.extend(descriptor.repeat(256));
    assert_eq!(host.fails(&[0x42, 0, 0, 0, 0, 0, 0, 0x10, 8, 0], &list), OUT_OF_RANGE);
    for i in 0..256 {
        list[8 + 16 * i + 8..][..4].copy_from_slice(&(1_u32 << 31).to_be_bytes());
    }
    let ops = host.first_ops(&[0x42, 0, 0, 0, 0, 0, 0, 0x10, 8, 0], &list);
    assert_eq!(ops.len(), 4);
    for (i, op) in (0..).zip(ops) {
        let Op::Discard { offset, len } = op else { panic!("{op:?}") };
        assert_eq!((offset, len), (i << 30, 1 << 30));
    }
}

#[test]
fn a_volume_without_boundaries_has_none() {
    let bench = Bench::with(512, |spec| spec.info.atomic_write_boundary_bytes = 0);
    let host = bench.host(1);
    host.put(&cdb(0, 2047, 2), &[7; 2 * BLOCK]);
    assert_eq!(host.read(2047, 2), [7; 2 * BLOCK]);
}
