//! Reading, writing, verifying.

use super::bench::*;
use crate::block::{ErrorKind, Op};
use crate::scsi::{Asc, SenseKey, Status};

#[test]
fn what_one_length_of_cdb_writes_every_other_reads() {
    let bench = Bench::new();
    let host = bench.host(1);
    let data = |byte: u8| vec![byte; BLOCK];
    host.put(&[0x0a, 0, 0, 5, 1, 0], &data(1));
    host.put(&cdb10(0x2a, 0, 6, 1), &data(2));
    host.put(&cdb12(0xaa, 0, 7, 1), &data(3));
    host.put(&cdb16(0x8a, 0, 8, 1), &data(4));
    let wanted = [data(1), data(2), data(3), data(4)].concat();
    assert_eq!(host.get(&[0x08, 0, 0, 5, 4, 0]), wanted);
    assert_eq!(host.get(&cdb10(0x28, 0x18, 5, 4)), wanted);
    assert_eq!(host.get(&cdb12(0xa8, 0, 5, 4)), wanted);
    assert_eq!(host.get(&cdb16(0x88, 0, 5, 4)), wanted);
}

#[test]
fn six_byte_commands_mean_256_blocks_by_zero() {
    let bench = Bench::new();
    let host = bench.host(1);
    assert_eq!(host.get(&[0x08, 0, 0, 0, 0, 0]).len(), 256 * BLOCK);
}

#[test]
fn blocks_of_4096_bytes_work_throughout() {
    let bench = Bench::with(4096, |_| ());
    let host = bench.host(1);
    host.write(3, &[7; 8192]);
    assert_eq!(host.read(3, 2), [7; 8192]);
    assert_eq!(bench.host(2).read(2, 1), [0; 4096]);
    let last = BLOCKS / 8 - 1;
    assert_eq!(host.read(last, 1).len(), 4096);
    assert_eq!(host.fails(&cdb16(0x88, 0, last, 2), &[]), OUT_OF_RANGE);
}

/// Every block command that has 10 or 16 bytes, with the data it wants for one block.
const BLOCK_COMMANDS: &[(u8, usize)] = &[
    (0x28, 0),
    (0x2a, 1),
    (0x2e, 1),
    (0x2f, 0),
    (0x34, 0),
    (0x88, 0),
    (0x8a, 1),
    (0x8b, 1),
    (0x8e, 1),
    (0x8f, 0),
    (0x90, 0),
];

fn block_cdb(opcode: u8, lba: u64, count: u32) -> Vec<u8> {
    match opcode >> 5 {
        1 | 2 => cdb10(opcode, 0, lba as u32, count as u16).to_vec(),
        _ => cdb16(opcode, 0, lba, count).to_vec(),
    }
}

#[test]
fn the_end_of_the_medium_is_kept_by_every_command() {
    let bench = Bench::new();
    let host = bench.host(1);
    for (opcode, blocks) in BLOCK_COMMANDS {
        let data = vec![0; blocks * BLOCK];
        let two = vec![0; 2 * blocks * BLOCK];
        host.put(&block_cdb(*opcode, BLOCKS - 1, 1), &data);
        for (lba, count, data) in [
            (BLOCKS - 1, 2, &two),
            (BLOCKS, 1, &data),
            (BLOCKS, 0, &Vec::new()),
            (BLOCKS + 1, 0, &Vec::new()),
            (0xffff_ffff, 1, &data),
        ] {
            let cdb = block_cdb(*opcode, lba, count);
            assert_eq!(host.fails(&cdb, data), OUT_OF_RANGE, "{opcode:02x} {lba} {count}");
        }
        if *opcode >= 0x80 {
            for lba in [1 << 63, u64::MAX] {
                let cdb = block_cdb(*opcode, lba, 2);
                assert_eq!(host.fails(&cdb, &two), OUT_OF_RANGE, "{opcode:02x} {lba}");
            }
        }
    }
}

#[test]
fn zero_blocks_are_none() {
    let bench = Bench::new();
    let host = bench.host(1);
    for (opcode, _) in BLOCK_COMMANDS {
        assert!(host.get(&block_cdb(*opcode, 0, 0)).is_empty());
    }
}

#[test]
fn a_transfer_above_the_limit_is_refused_before_any_memory_is_taken() {
    let bench = Bench::new();
    let host = bench.host(1);
    for opcode in [0x88, 0x8a, 0x8f, 0x8e, 0x8b] {
        assert_eq!(host.fails(&cdb16(opcode, 0x00, 0, u32::MAX), &[]), BAD_CDB, "{opcode:02x}");
    }
    let limit = (16 << 20) / 512;
    assert_eq!(host.fails(&cdb16(0x88, 0, 0, limit + 1), &[]), BAD_CDB);
    assert_eq!(host.fails(&cdb16(0x88, 0, 0, limit), &[]), OUT_OF_RANGE, "only the medium ends");
}

#[test]
fn protection_information_is_refused_everywhere() {
    let bench = Bench::new();
    let host = bench.host(1);
    for (opcode, blocks) in BLOCK_COMMANDS.iter().filter(|(op, _)| !matches!(op, 0x34 | 0x90)) {
        for protect in 1..8 {
            let mut cdb = block_cdb(*opcode, 0, 1);
            cdb[1] = protect << 5;
            assert_eq!(host.fails(&cdb, &vec![0; blocks * BLOCK]), BAD_CDB, "{opcode:02x}");
        }
    }
}

#[test]
fn a_write_of_less_than_the_cdb_says_writes_whole_blocks_only() {
    let bench = Bench::new();
    let host = bench.host(1);
    for opcode in [0x2a, 0x2e] {
        host.write(0, &[b'a'; 2 * BLOCK]);
        host.put(&cdb10(opcode, 0, 0, 2), &[b'b'; BLOCK]);
        assert_eq!(host.read(0, 2), [[b'b'; BLOCK], [b'a'; BLOCK]].concat());
        assert_eq!(host.fails(&cdb10(opcode, 0, 0, 1), &[b'c'; 200]), BAD_UNIT);
        assert_eq!(host.fails(&cdb10(opcode, 0, 0, 2), &[b'c'; BLOCK + 1]), BAD_UNIT);
        host.put(&cdb10(opcode, 0, 0, 2), &[]);
        assert_eq!(host.read(0, 2), [[b'b'; BLOCK], [b'a'; BLOCK]].concat());
    }
}

#[test]
fn a_write_of_more_than_the_cdb_says_leaves_the_next_block_alone() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.put(&cdb10(0x2a, 0, 0, 1), &[b'b'; 2 * BLOCK]);
    assert_eq!(host.read(0, 2), [[b'b'; BLOCK], [0; BLOCK]].concat());
}

#[test]
fn verify_compares_byte_by_byte_if_asked() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(4, &[5; 3 * BLOCK]);
    let mut other = vec![5; 3 * BLOCK];
    other[1000] = 6;
    for cdb in [
        cdb10(0x2f, 0x02, 4, 3).to_vec(),
        cdb12(0xaf, 0x02, 4, 3).to_vec(),
        cdb16(0x8f, 0x02, 4, 3).to_vec(),
    ] {
        host.put(&cdb, &[5; 3 * BLOCK]);
        let answer = host.run(&cdb, &other);
        let sense = answer.sense.unwrap();
        assert_eq!((sense.key, sense.asc), (SenseKey::Miscompare, Asc::MISCOMPARE_DURING_VERIFY));
        assert_eq!(sense.information, Some(1000));
    }
    host.put(&cdb10(0x2f, 0, 4, 3), &other);
}

#[test]
fn verify_compares_each_block_with_one() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &[9; 8 * BLOCK]);
    host.put(&cdb10(0x2f, 0x06, 0, 8), &[9; BLOCK]);
    assert_eq!(
        host.run(&cdb10(0x2f, 0x06, 0, 9), &[9; BLOCK]).sense.unwrap().information,
        Some(8 * BLOCK as u64)
    );
    assert_eq!(host.fails(&cdb10(0x2f, 0x04, 0, 8), &[9; BLOCK]), BAD_CDB);
}

#[test]
fn write_and_verify_writes_and_reads_back() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.put(&cdb16(0x8e, 0x12, 2, 2), &[3; 2 * BLOCK]);
    assert_eq!(host.read(2, 2), [3; 2 * BLOCK]);
    bench.fail_after(1, ErrorKind::Medium);
    let failed = host.fails(&cdb16(0x8e, 0, 2, 2), &[4; 2 * BLOCK]);
    assert_eq!(failed, (SenseKey::MediumError, Asc::UNRECOVERED_READ_ERROR));
}

#[test]
fn compare_and_write_is_all_or_nothing_and_tells_the_first_difference() {
    let bench = Bench::new();
    let host = bench.host(1);
    let cdb = |count: u8| {
        let mut cdb = cdb16(0x89, 0, 10, 0);
        cdb[13] = count;
        cdb
    };
    host.put(&cdb(2), &[[0; 2 * BLOCK], [1; 2 * BLOCK]].concat());
    assert_eq!(host.read(10, 2), [1; 2 * BLOCK]);

    let mut wrong = [[1; 2 * BLOCK], [2; 2 * BLOCK]].concat();
    wrong[700] = 0;
    let sense = host.run(&cdb(2), &wrong).sense.unwrap();
    assert_eq!((sense.key, sense.information), (SenseKey::Miscompare, Some(700)));
    assert_eq!(host.read(10, 2), [1; 2 * BLOCK]);

    host.put(&cdb(0), &[]);
    assert_eq!(host.fails(&cdb(0), &[1; BLOCK]), BAD_CDB, "data for nothing");
    assert_eq!(host.fails(&cdb(1), &[1; BLOCK]), BAD_CDB, "too short");
    assert_eq!(host.fails(&cdb(1), &[1; 4 * BLOCK]), BAD_CDB, "too long");
}

#[test]
fn compare_and_write_keeps_to_what_the_volume_can() {
    let bench = Bench::with(512, |spec| spec.info.max_compare_and_write_bytes = 1024);
    let host = bench.host(1);
    let mut cdb = cdb16(0x89, 0, 0, 0);
    cdb[13] = 3;
    assert_eq!(host.fails(&cdb, &[0; 6 * BLOCK]), BAD_CDB);
    let bench = Bench::with(512, |spec| spec.info.max_compare_and_write_bytes = 0);
    let host = bench.host(1);
    assert_eq!(host.fails(&cdb, &[0; 6 * BLOCK]), (ILLEGAL, Asc::INVALID_OPCODE));
}

#[test]
fn or_write_ors_across_pieces_and_begins_again_when_disturbed() {
    let bench = Bench::with(512, |spec| spec.info.max_compare_and_write_bytes = 1024);
    let host = bench.host(1);
    host.write(0, &[0xf0; 3 * BLOCK]);
    // The first compare-and-write of the first piece finds that someone else wrote.
    bench.fail_after(1, ErrorKind::Miscompare { offset: 0 });
    host.put(&cdb16(0x8b, 0, 0, 3), &[0x0a; 3 * BLOCK]);
    assert_eq!(host.read(0, 4), [vec![0xfa; 3 * BLOCK], vec![0; BLOCK]].concat());
}

#[test]
fn a_failed_operation_becomes_its_sense_data() {
    let bench = Bench::new();
    let host = bench.host(1);
    let write = |kind| {
        bench.fail_next(kind);
        host.run(&cdb10(0x2a, 0, 0, 1), &[0; BLOCK])
    };
    assert_eq!(write(ErrorKind::NoSpace).asc(), Asc::SPACE_ALLOCATION_FAILED);
    assert_eq!(write(ErrorKind::Fenced).asc(), Asc::ASYMMETRIC_ACCESS_TRANSITION);
    assert_eq!(write(ErrorKind::Medium).asc(), Asc::WRITE_ERROR);
    assert_eq!(write(ErrorKind::ReadOnly).asc(), Asc::WRITE_PROTECTED);
    assert_eq!(write(ErrorKind::Unavailable).status, Status::Busy);
    bench.fail_next(ErrorKind::Medium);
    let read = host.run(&cdb10(0x28, 0, 0, 1), &[]);
    assert_eq!(read.asc(), Asc::UNRECOVERED_READ_ERROR);
    assert!(read.data.is_empty(), "no data of a failed read");
}

#[test]
fn a_read_only_unit_refuses_every_write_and_nothing_else() {
    let bench = Bench::with(512, |spec| spec.read_only = true);
    let host = bench.host(1);
    let protected = (SenseKey::DataProtect, Asc::WRITE_PROTECTED);
    for (opcode, blocks) in BLOCK_COMMANDS {
        let cdb = block_cdb(*opcode, 0, 1);
        match blocks {
            0 => host.put(&cdb, &[]),
            n => assert_eq!(host.fails(&cdb, &vec![0; n * BLOCK]), protected, "{opcode:02x}"),
        }
    }
    assert_eq!(host.fails(&cdb10(0x41, 0, 0, 1), &[0; BLOCK]), protected);
    assert_eq!(host.fails(&[0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0], &[0; 24]), protected);
}

#[test]
fn synchronize_cache_flushes_and_knows_its_range() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.put(&cdb10(0x35, 0, 0, 0), &[]);
    bench.fail_next(ErrorKind::Medium);
    assert_eq!(host.run(&cdb16(0x91, 0, 0, 0), &[]).asc(), Asc::WRITE_ERROR);
    assert_eq!(host.fails(&cdb10(0x35, 0, BLOCKS as u32 - 1, 2), &[]), OUT_OF_RANGE);
}

/// COMPARE AND WRITE.
fn compare_and_write(byte_1: u8, count: u8) -> [u8; 16] {
    let mut cdb = cdb16(0x89, byte_1, 0, 0);
    cdb[13] = count;
    cdb
}

#[test]
fn compare_and_write_takes_as_much_as_the_volume_can() {
    let bench = Bench::with(512, |spec| spec.info.max_compare_and_write_bytes = 1024);
    let host = bench.host(1);
    host.put(&compare_and_write(0, 2), &[[0; 2 * BLOCK], [1; 2 * BLOCK]].concat());
    assert_eq!(host.read(0, 2), [1; 2 * BLOCK]);
}

#[test]
fn fua_flushes_what_has_no_fua_of_its_own_and_only_if_there_is_a_cache() {
    let data = [0; 2 * BLOCK];
    for (write_cache, fua, flushes) in
        [(true, 0x08, true), (true, 0, false), (false, 0x08, false), (false, 0, false)]
    {
        let bench = Bench::with(512, |spec| spec.info.write_cache = write_cache);
        let host = bench.host(1);
        // The operation after the first would be the flush.
        bench.fail_after(1, ErrorKind::Medium);
        let status = host.status(&compare_and_write(fua, 1), &data);
        assert_eq!(status == Status::CheckCondition, flushes, "{write_cache} {fua}");
    }
}

#[test]
fn or_write_works_on_as_much_as_the_volume_can_compare_and_write() {
    let bench = Bench::with(512, |spec| spec.info.max_compare_and_write_bytes = 1024);
    let host = bench.host(1);
    let ops = host.first_ops(&cdb16(0x8b, 0, 5, 3), &[1; 3 * BLOCK]);
    let [Op::Read { offset, buf }] = &ops[..] else { panic!("{ops:?}") };
    assert_eq!((*offset, buf.len()), (5 * BLOCK as u64, 1024));
    // A failure is no disturbance.
    bench.fail_after(1, ErrorKind::Medium);
    let failed = host.fails(&cdb16(0x8b, 0, 5, 3), &[1; 3 * BLOCK]);
    assert_eq!(failed, (SenseKey::MediumError, Asc::WRITE_ERROR));
}

#[test]
fn without_data_nothing_is_done() {
    let bench = Bench::new();
    let host = bench.host(1);
    for cdb in
        [cdb16(0x8a, 0, 0, 1), cdb16(0x8b, 0, 0, 1), cdb16(0x8e, 0, 0, 1), cdb16(0x8f, 0x06, 0, 1)]
    {
        assert!(host.first_ops(&cdb, &[]).is_empty());
        host.put(&cdb, &[]);
    }
}

#[test]
fn what_write_and_verify_cannot_compare_with_is_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    for byte_check in [0x04, 0x06] {
        assert_eq!(host.fails(&cdb16(0x8e, byte_check, 0, 1), &[1; BLOCK]), BAD_CDB);
    }
}

#[test]
fn the_memory_of_a_command_is_what_it_carries_and_what_it_reads_back() {
    let bench = Bench::new();
    let host = bench.host(1);
    let block = BLOCK as u64;
    for (cdb, bytes) in [
        (cdb16(0x88, 0, 0, 3), 3 * block),
        (cdb16(0x8a, 0, 0, 3), 3 * block),
        (cdb16(0x8e, 0, 0, 3), 6 * block),
        (cdb16(0x8f, 0, 0, 3), 3 * block),
        (cdb16(0x8f, 0x02, 0, 3), 6 * block),
        (cdb16(0x8f, 0x06, 0, 3), 4 * block),
        (cdb16(0x9e, 0x12, 0, 100), 100),
        (cdb16(0x9e, 0x12, 0, u32::MAX), 8 + 16 * 256),
    ] {
        assert_eq!(host.memory(&cdb), Some(bytes), "{cdb:02x?}");
    }
}

#[test]
fn fua_of_a_write_reaches_the_volume() {
    let bench = Bench::new();
    let host = bench.host(1);
    let fua = |cdb: &[u8]| {
        let ops = host.first_ops(cdb, &[1; BLOCK]);
        let [Op::Write { fua, .. }] = &ops[..] else { panic!("{ops:?}") };
        *fua
    };
    assert!(fua(&cdb10(0x2a, 0x08, 0, 1)) && !fua(&cdb10(0x2a, 0x10, 0, 1)));
    assert!(fua(&cdb12(0xaa, 0x08, 0, 1)) && !fua(&cdb12(0xaa, 0x10, 0, 1)));
    assert!(fua(&cdb16(0x8a, 0x08, 0, 1)) && !fua(&cdb16(0x8a, 0x10, 0, 1)));
    assert!(fua(&cdb16(0x8e, 0, 0, 1)), "WRITE AND VERIFY: always");
    // Byte 1 of WRITE(6) is the address.
    let large = Bench::with(512, |spec| spec.info.size_bytes = 1 << 40);
    let host = large.host(1);
    let ops = host.first_ops(&[0x0a, 0x08, 0, 0, 1, 0], &[1; BLOCK]);
    assert!(matches!(ops[..], [Op::Write { fua: false, .. }]), "{ops:?}");
}

#[test]
fn a_parameter_list_is_at_most_64_kib() {
    let bench = Bench::new();
    let host = bench.host(1);
    for (len, wanted) in [(0x1_0000_u32, Some(0x1_0000)), (0x1_0001, None), (0x1_0002, None)] {
        let [a, b, c, d] = len.to_be_bytes();
        let cdb = [0x5f, 0, 0, 0, 0, a, b, c, d, 0];
        assert_eq!(host.memory(&cdb), wanted, "{len:#x}");
    }
}

#[test]
fn a_command_is_of_the_unit_it_was_sent_to() {
    let bench = Bench::pair([512, 512]);
    let host = bench.host(1);
    assert_eq!(host.at_lun(lun(0)).prepared(&cdb10(0x28, 0, 0, 1)).unwrap().lun(), 0);
    let one = host.at_lun(lun(1));
    one.run(&[0; 6], &[]);
    assert_eq!(one.prepared(&cdb10(0x28, 0, 0, 1)).unwrap().lun(), 1);
}
