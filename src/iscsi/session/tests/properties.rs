//! Random traffic: whatever comes, the session keeps its bounds and its counters.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A PDU of random bytes, biased towards opcodes and tags that mean something.
fn any_pdu() -> impl Strategy<Value = ([u8; 48], usize)> {
    let opcode = prop_oneof![
        Just(0x00u8),
        Just(0x40),
        Just(0x01),
        Just(0x41),
        Just(0x02),
        Just(0x42),
        Just(0x04),
        Just(0x44),
        Just(0x05),
        Just(0x06),
        Just(0x10),
        any::<u8>(),
    ];
    let tag = || prop_oneof![0u32..6, Just(RESERVED_TAG)];
    let bytes = (any::<[u8; 24]>(), any::<[u8; 24]>());
    let numbers = (0u32..14, 0u32..14, prop_oneof![0u32..3, 0u32..20_000]);
    (opcode, any::<u8>(), tag(), tag(), numbers, bytes, 0usize..300).prop_map(
        |(opcode, flags, itt, ttt, (cmd_sn, data_sn, offset), (low, high), len)| {
            let mut bhs: [u8; 48] = [low, high].concat().try_into().expect("48 bytes");
            bhs[0] = opcode;
            bhs[1] = flags;
            bhs[4] = 0;
            bhs[8..16].copy_from_slice(&LUN.to_be_bytes());
            bhs[16..20].copy_from_slice(&itt.to_be_bytes());
            bhs[20..24].copy_from_slice(&ttt.to_be_bytes());
            bhs[24..28].copy_from_slice(&(FIRST + cmd_sn).to_be_bytes());
            bhs[36..40].copy_from_slice(&data_sn.to_be_bytes());
            bhs[40..44].copy_from_slice(&offset.to_be_bytes());
            set_data_length(&mut bhs, len);
            (bhs, len)
        },
    )
}

proptest! {
    #[test]
    fn random_traffic_never_breaks_the_bounds(
        pdus in vec((any_pdu(), any::<bool>(), 0u8..8), 1..120)
    ) {
        let mut peer = Peer::new();
        let mut running = Vec::new();
        let mut known = Vec::new();
        let mut max_cmd_sn = FIRST + 7;
        let mut stat_sn = 100;
        for ((bhs, len), digest_ok, act) in pdus {
            let dest = peer.session.header(&bhs, &[]);
            let collected = if dest == Dest::Collect { vec![b'a'; len] } else { Vec::new() };
            if let Dest::Task(id, offset) = dest {
                let command = peer.session.command(id).expect("data goes to a task that is there");
                prop_assert!(offset as usize + len <= command.expected_length as usize);
            }
            peer.session.data(collected, digest_ok || act > 0);
            // The driver looks only after some PDUs.
            let events = if act % 3 == 0 { peer.events() } else { Vec::new() };
            for event in events {
                match event {
                    Event::Command(id) => {
                        prop_assert!(!known.contains(&id), "one number for two tasks");
                        known.push(id);
                        let wanted = u64::from(act) * 4096;
                        if act == 7 {
                            known.retain(|known| *known != id);
                            peer.session.complete(id, good(Transferred::Nothing));
                        } else if peer.session.admitted(id, wanted) {
                            running.push(id);
                        }
                    }
                    Event::Ready(id) => running.push(id),
                    Event::Dropped(id) => {
                        running.retain(|running| *running != id);
                        known.retain(|known| *known != id);
                    }
                    Event::Management { itt, .. } => peer.session.management_done(itt, 0),
                    Event::SendTargets(_) => peer.session.send_targets(&[]),
                    Event::Close(_) => {}
                }
            }
            if act % 2 == 0 && let Some(id) = running.pop() {
                known.retain(|known| *known != id);
                peer.session.complete(id, good(Transferred::In { data: "d", len: 9000 }));
            }
            for pdu in peer.sent() {
                data_len(&pdu);
                let field = |at: usize| u32::from_be_bytes(pdu.bhs[at..at + 4].try_into().unwrap());
                let opcode = Opcode::of(&pdu.bhs).expect("a legal PDU");
                let counts = match opcode {
                    Opcode::R2t => false,
                    Opcode::DataIn => pdu.bhs[1] & 1 != 0,
                    Opcode::NopIn => field(16) != RESERVED_TAG,
                    _ => true,
                };
                if counts {
                    prop_assert_eq!(field(24), stat_sn);
                    stat_sn += 1;
                }
                prop_assert!(field(32) >= max_cmd_sn, "MaxCmdSN went back");
                max_cmd_sn = field(32);
                prop_assert!(field(28) <= max_cmd_sn + 1, "a window is never less than closed");
            }
            prop_assert!(peer.session.tasks.len() <= 8 + 16 + 1);
            prop_assert!(peer.session.held.len() <= 8 && peer.session.management.len() <= 16);
        }
        // However it stands, an end leaves nothing behind.
        peer.session.abort(None);
        peer.events();
        prop_assert!(peer.session.tasks.is_empty());
    }
}
