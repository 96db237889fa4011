//! Whatever comes in: no panic, a bounded answer, and a task that ends.

use proptest::prelude::*;

use super::bench::*;
use crate::scsi::{Status, commands};

/// CDBs of which most get past the opcode table.
fn any_cdb() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<(u8, Option<u8>)> = commands().map(|(op, action, _)| (op, action)).collect();
    let sparse = prop_oneof![4 => Just(0u8), 1 => any::<u8>(), 1 => Just(0xff), 1 => 0..32u8];
    let tail = proptest::collection::vec(sparse, 15);
    (proptest::sample::select(known), tail, 0..=16usize, any::<u8>()).prop_map(
        |((opcode, action), tail, len, odd)| {
            let mut cdb = [vec![opcode], tail].concat();
            if let Some(action) = action {
                cdb[1] = (cdb[1] & 0xe0) | action;
            }
            // Some are cut, some have another operation code.
            match odd {
                0..=15 => cdb.truncate(len),
                16..=23 => cdb[0] = odd.wrapping_mul(11),
                _ => {}
            }
            cdb
        },
    )
}

fn any_list() -> impl Strategy<Value = Vec<u8>> {
    let sparse = prop_oneof![3 => Just(0u8), 1 => any::<u8>(), 1 => 0..32u8];
    prop_oneof![
        2 => proptest::collection::vec(sparse, 0..300),
        1 => (0..5usize).prop_map(|blocks| vec![0x5a; blocks * BLOCK]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_sequence_of_commands_ends_well(
        commands in proptest::collection::vec((any_cdb(), any_list(), any::<bool>()), 1..20),
        block_bytes in prop_oneof![Just(512u32), Just(4096)],
    ) {
        let bench = Bench::with(block_bytes, |spec| {
            spec.info.max_compare_and_write_bytes = 4096;
        });
        let (one, two) = (bench.host(1), bench.host(2));
        for (cdb, list, first) in &commands {
            let answer = if *first { &one } else { &two }.run(cdb, list);
            bench.settle();
            prop_assert!(answer.data.len() <= 16 << 20);
            prop_assert!(answer.status == Status::Good || answer.data.is_empty());
        }
    }
}
