//! READ CAPACITY and the REPORT commands.

use super::bench::*;
use crate::scsi::{NexusSpec, commands};

#[test]
fn capacities_and_their_limits() {
    let bench = Bench::with(512, |spec| spec.info.size_bytes = 3 << 40);
    let host = bench.host(1);
    let ten = host.get(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ten, [0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0], "too large for it");
    let sixteen = host.get(&cdb16(0x9e, 0x10, 0, 32));
    assert_eq!(sixteen[..8], ((3u64 << 31) - 1).to_be_bytes());
    assert_eq!(sixteen[8..16], [0, 0, 2, 0, 0, 3, 0xc0, 0], "eight blocks a physical one");
    for len in [0, 8, 15, 31] {
        assert_eq!(host.get(&cdb16(0x9e, 0x10, 0, len)), sixteen[..len as usize]);
    }
    assert_eq!(host.fails(&[0x25, 0, 0, 0, 0, 1, 0, 0, 0, 0], &[]), BAD_CDB, "LBA without PMI");
}

#[test]
fn the_physical_block_is_told_in_logical_ones() {
    for (block_bytes, physical_bytes, exponent) in
        [(512, 512, 0), (512, 4096, 3), (4096, 4096, 0), (4096, 512, 0), (512, 64 << 10, 7)]
    {
        let bench =
            Bench::with(block_bytes, |spec| spec.info.physical_block_bytes = physical_bytes);
        let host = bench.host(1);
        let data = host.get(&cdb16(0x9e, 0x10, 0, 32));
        assert_eq!(data[8..12], block_bytes.to_be_bytes());
        assert_eq!((data[13], data[15]), (exponent, 0), "{block_bytes} in {physical_bytes}");
        let limits = host.get(&[0x12, 1, 0xb0, 0, 252, 0]);
        assert_eq!(u16::from_be_bytes([limits[6], limits[7]]), 1 << exponent, "granularity");
    }
}

#[test]
fn every_allocation_length_cuts_and_0_is_no_error() {
    let bench = Bench::new();
    let host = bench.host(1);
    // Where the allocation length is, and how many bytes it has.
    let commands: [(&[u8], usize, usize); 9] = [
        (&[0x12, 0, 0, 0, 0, 0], 3, 2),
        (&[0x03, 0, 0, 0, 0, 0], 4, 1),
        (&[0x1a, 0, 0x3f, 0xff, 0, 0], 4, 1),
        (&[0x5a, 0, 0x3f, 0xff, 0, 0, 0, 0, 0, 0], 7, 2),
        (&[0x4d, 0, 0x42, 0, 0, 0, 0, 0, 0, 0], 7, 2),
        (&[0x5e, 0x02, 0, 0, 0, 0, 0, 0, 0, 0], 7, 2),
        (&[0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 6, 4),
        (&[0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 6, 4),
        (&[0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0], 6, 4),
    ];
    for (cdb, at, width) in commands {
        let with_length = |len: u32| {
            let mut cdb = cdb.to_vec();
            cdb[at..at + width].copy_from_slice(&len.to_be_bytes()[4 - width..]);
            host.get(&cdb)
        };
        let whole = with_length(0xff);
        assert!(!whole.is_empty());
        for len in [0, 1, 5, whole.len() - 1] {
            assert_eq!(with_length(len as u32), whole[..len], "{:02x}", cdb[0]);
        }
    }
}

fn opcodes(options: u8, opcode: u8, action: u16) -> [u8; 12] {
    let [high, low] = action.to_be_bytes();
    [0xa3, 0x0c, options, opcode, high, low, 0, 0, 0xff, 0xff, 0, 0]
}

#[test]
fn all_commands_are_reported_with_and_without_timeouts() {
    let bench = Bench::new();
    let host = bench.host(1);
    let count = commands().count();
    let plain = host.get(&opcodes(0, 0, 0));
    assert_eq!(plain.len(), 4 + 8 * count);
    assert_eq!(plain[..4], (8 * count as u32).to_be_bytes());
    let timed = host.get(&opcodes(0x80, 0, 0));
    assert_eq!(timed.len(), 4 + 20 * count);
    for entry in timed[4..].chunks(20) {
        assert_eq!((entry[5] & 0x02, entry[9]), (0x02, 0x0a));
    }
    for entry in plain[4..].chunks(8) {
        assert_eq!(entry[5] & 0x02, 0);
        assert!(entry[5] & 0x01 != 0 || entry[3] == 0);
    }
}

#[test]
fn one_command_is_reported_with_its_usage() {
    let bench = Bench::new();
    let host = bench.host(1);
    let read = host.get(&opcodes(1, 0x28, 0));
    assert_eq!(read[..5], [0, 3, 0, 10, 0x28]);
    assert_eq!(read[5] & 0x18, 0x18, "DPO and FUA");
    let capacity = host.get(&opcodes(2, 0x9e, 0x10));
    assert_eq!(capacity[..6], [0, 3, 0, 16, 0x9e, 0x10]);
    assert_eq!(host.get(&opcodes(3, 0x9e, 0x10)), capacity);
    assert_eq!(host.get(&opcodes(3, 0x28, 0)), read);
    assert_eq!(host.get(&opcodes(3, 0x28, 1))[1], 1, "no such service action");
    assert_eq!(host.get(&opcodes(1, 0xc0, 0))[1], 1, "no such operation code");
    assert_eq!(host.get(&opcodes(2, 0x9e, 0x1f))[1], 1);
    assert_eq!(host.fails(&opcodes(1, 0x9e, 0), &[]), BAD_CDB);
    assert_eq!(host.fails(&opcodes(2, 0x28, 0), &[]), BAD_CDB);
    assert_eq!(host.fails(&opcodes(7, 0x28, 0), &[]), BAD_CDB);
    let timed = host.get(&opcodes(0x81, 0x28, 0));
    assert_eq!((timed[1], timed.len()), (0x83, 14 + 12));
}

#[test]
fn a_command_that_the_volume_lacks_is_not_reported() {
    let bench = Bench::with(512, |spec| spec.info.max_compare_and_write_bytes = 0);
    assert_eq!(bench.host(1).get(&opcodes(1, 0x89, 0))[1], 1);
}

#[test]
fn unknown_service_actions_are_an_invalid_field() {
    let bench = Bench::new();
    let host = bench.host(1);
    for opcode in [0x5e, 0x5f, 0x9e, 0xa3] {
        let known: Vec<u8> = commands().filter(|c| c.0 == opcode).filter_map(|c| c.1).collect();
        for action in (0..0x20).filter(|action| !known.contains(action)) {
            let mut cdb = [0; 16];
            cdb[..2].copy_from_slice(&[opcode, action]);
            assert_eq!(host.fails(&cdb, &[]), BAD_CDB, "{opcode:02x}/{action:02x}");
        }
    }
}

#[test]
fn task_management_functions_are_reported() {
    let bench = Bench::new();
    let spec = NexusSpec { protocol_level: 1, ..nexus_spec(1) };
    let host = bench.of(bench.device.attach(spec));
    host.run(&[0; 6], &[]);
    assert_eq!(host.get(&[0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0]), [0xda, 0, 0, 0]);
    let extended = host.get(&[0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 16, 0, 0]);
    assert_eq!((extended.len(), extended[3]), (16, 12));
    let host = bench.host(2);
    assert_eq!(host.get(&[0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0]), [0xde, 7, 0, 0]);
}

#[test]
fn every_target_port_is_a_group_that_is_active() {
    let bench = Bench::new();
    let spec = NexusSpec { target_ports: vec![1, 0x102], ..nexus_spec(1) };
    let host = bench.of(bench.device.attach(spec));
    host.run(&[0; 6], &[]);
    let report =
        |byte_1, allocation| host.get(&[0xa3, byte_1, 0, 0, 0, 0, 0, 0, 0, allocation, 0, 0]);
    let plain = report(0x0a, 64);
    assert_eq!(plain[..4], [0, 0, 0, 24]);
    assert_eq!(plain[4..16], [0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]);
    assert_eq!(plain[16..], [0, 1, 1, 2, 0, 0, 0, 1, 0, 0, 1, 2]);
    assert_eq!(report(0x2a, 64)[..8], [0, 0, 0, 28, 0x10, 0, 0, 0]);
    assert_eq!(report(0x2a, 64)[8..], plain[4..]);
    assert_eq!(report(0x0a, 4), plain[..4]);
    assert!(report(0x0a, 0).is_empty());
    assert_eq!(host.fails(&[0xa3, 0x4a, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0], &[]), BAD_CDB);
}

#[test]
fn defect_lists_are_empty() {
    let bench = Bench::new();
    let host = bench.host(1);
    assert_eq!(host.get(&[0x37, 0, 0x0d, 0, 0, 0, 0, 0, 32, 0]), [0, 0x0d, 0, 0]);
    assert_eq!(host.get(&[0xb7, 0x08, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0]), [0, 8, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn the_usage_of_a_service_action_keeps_the_bits_beside_it() {
    let bench = Bench::new();
    let host = bench.host(1);
    // SANITIZE, OVERWRITE: IMMED, ZNR and AUSE stand beside the service action.
    let data = host.get(&[0xa3, 0x0c, 0x03, 0x48, 0, 0x01, 0, 0, 1, 0, 0, 0]);
    assert_eq!((data[1] & 0x07, data[4], data[5] & 0x1f), (3, 0x48, 0x01));
    assert_eq!(data[5] & 0xa0, 0xa0, "IMMED and AUSE");
}

#[test]
fn the_granularity_of_unmap_counts_from_the_first_block() {
    let bench = Bench::new();
    let limits = bench.host(1).get(&[0x12, 1, 0xb0, 0, 64, 0]);
    assert_eq!(limits[32..36], [0x80, 0, 0, 0], "UGAVALID, alignment 0");
}
