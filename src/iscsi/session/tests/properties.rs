//! Random illegal traffic: whatever comes, the session does not panic, keeps its bounds and its
//! counters, and says nothing but what a target may say.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::iscsi::pdu::{AsyncMessage, LogoutResponse, TextResponse};

const HELD_BYTES: usize = 2048;
const RETAINED_BYTES: usize = 64 << 10;
const WINDOW: usize = 8;

/// A PDU of random bytes, biased towards opcodes and tags that mean something: its header, its
/// additional headers and the length of its data.
fn any_pdu() -> impl Strategy<Value = ([u8; 48], Vec<u8>, usize)> {
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
    let flags = prop_oneof![any::<u8>(), 0x80u8..0x90];
    let tag = || prop_oneof![0u32..6, Just(RESERVED_TAG)];
    let bytes = (any::<[u8; 24]>(), any::<[u8; 24]>());
    let numbers = (0u32..14, 0u32..14, prop_oneof![0u32..3, 0u32..20_000], 95u32..130);
    let ahs = prop_oneof![
        8 => Just(Vec::new()),
        1 => Just(vec![0, 5, 2, 0, 0, 0, 0x10, 0]),
        1 => vec(any::<u8>(), 4),
        1 => vec(any::<u8>(), 12),
    ];
    (opcode, flags, tag(), tag(), numbers, bytes, 0usize..300, ahs).prop_map(
        |(opcode, flags, itt, ttt, numbers, (low, high), len, ahs)| {
            let (cmd_sn, data_sn, offset, exp_stat_sn) = numbers;
            let mut bhs: [u8; 48] = [low, high].concat().try_into().expect("48 bytes");
            bhs[0] = opcode;
            bhs[1] = flags;
            bhs[4] = u8::try_from(ahs.len() / 4).unwrap();
            bhs[8..16].copy_from_slice(&LUN.to_be_bytes());
            bhs[16..20].copy_from_slice(&itt.to_be_bytes());
            bhs[20..24].copy_from_slice(&ttt.to_be_bytes());
            bhs[24..28].copy_from_slice(&(FIRST + cmd_sn).to_be_bytes());
            bhs[28..32].copy_from_slice(&exp_stat_sn.to_be_bytes());
            bhs[36..40].copy_from_slice(&data_sn.to_be_bytes());
            bhs[40..44].copy_from_slice(&offset.to_be_bytes());
            set_data_length(&mut bhs, len);
            (bhs, ahs, len)
        },
    )
}

/// What the initiator knows of the target's counters.
struct Counters {
    recovers: bool,
    stat_sn: u32,
    max_cmd_sn: u32,
}

impl Counters {
    /// A PDU is one that a target may send at this time.
    fn check(&mut self, pdu: &OutPdu<&'static str>) {
        data_len(pdu);
        let numbers: Numbers = match Opcode::of(&pdu.bhs).expect("an opcode") {
            Opcode::NopIn => parse::<NopIn>(pdu).numbers,
            Opcode::ScsiResponse => parse::<ScsiResponse>(pdu).numbers,
            Opcode::TaskManagementResponse => parse::<TaskManagementResponse>(pdu).numbers,
            Opcode::TextResponse => parse::<TextResponse>(pdu).numbers,
            Opcode::DataIn => parse::<DataIn>(pdu).numbers,
            Opcode::LogoutResponse => parse::<LogoutResponse>(pdu).numbers,
            Opcode::R2t => parse::<R2t>(pdu).numbers,
            Opcode::AsyncMessage => parse::<AsyncMessage>(pdu).numbers,
            Opcode::Reject => {
                assert!(data_len(pdu) >= 48, "a Reject has the header that it is about");
                parse::<Reject>(pdu).numbers
            }
            other => panic!("{other:?} is not a target's"),
        };
        let counts = match Opcode::of(&pdu.bhs) {
            Some(Opcode::R2t) => false,
            Some(Opcode::DataIn) => pdu.bhs[1] & 1 != 0,
            Some(Opcode::NopIn) => pdu.bhs[16..20] != RESERVED_TAG.to_be_bytes(),
            _ => true,
        };
        if counts && numbers.stat_sn == self.stat_sn {
            self.stat_sn += 1;
        } else if counts {
            assert!(self.recovers && numbers.stat_sn < self.stat_sn, "StatSN {numbers:?}");
        }
        assert!(numbers.max_cmd_sn >= self.max_cmd_sn, "MaxCmdSN went back");
        self.max_cmd_sn = numbers.max_cmd_sn;
        assert!(numbers.exp_cmd_sn <= self.max_cmd_sn + 1, "a window is never less than closed");
        let open = self.max_cmd_sn + 1 - numbers.exp_cmd_sn;
        assert!(open as usize <= WINDOW, "a window of {open}");
    }
}

/// Memory that the peer can make the session hold.
fn check_bounds(session: &Session<&'static str>) {
    let limits = Limits::default();
    assert!(session.tasks.len() <= WINDOW + limits.immediate_commands as usize + 1);
    assert!(session.held.len() <= WINDOW && session.held_bytes <= HELD_BYTES);
    assert!(session.management.len() + session.postponed.len() <= 16);
    assert!(session.connection.retained.bytes() <= RETAINED_BYTES);
    let r2ts_max = usize::from(session.connection.params.max_outstanding_r2t);
    assert!(session.tasks.iter().all(|(_, task)| task.r2ts.len() <= r2ts_max));
}

proptest! {
    #[test]
    fn random_traffic_never_breaks_the_bounds(
        recovers in any::<bool>(),
        protocol_level in 0u16..3,
        pdus in vec((any_pdu(), any::<bool>(), 0u8..8), 1..120)
    ) {
        let params = SessionParams {
            error_recovery_level: recovers.into(),
            protocol_level,
            ..params()
        };
        let session_limits = Limits {
            held_bytes: HELD_BYTES,
            retained_bytes: RETAINED_BYTES,
            ..Limits::default()
        };
        let established = established(SessionType::Normal, params);
        let session = Session::new(established, session_limits, limits(WINDOW as u32));
        let mut peer = Peer { session };
        let mut running = Vec::new();
        let mut known = Vec::new();
        let max_cmd_sn = FIRST + WINDOW as u32 - 1;
        let mut counters = Counters { recovers, stat_sn: 100, max_cmd_sn };
        for ((bhs, ahs, len), digest_ok, act) in pdus {
            let dest = peer.session.header(&bhs, &ahs);
            let collected = if dest == Dest::Collect { vec![b'a'; len] } else { Vec::new() };
            if let Dest::Task(id, offset) = dest {
                let command = peer.session.command(id).expect("data goes to a task that is there");
                prop_assert!(offset as usize + len <= command.expected_length as usize);
                prop_assert!(!running.contains(&id), "data of a command that runs is written over");
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
                    Event::Close(..) | Event::Cleared { .. } => {}
                }
            }
            if act % 2 == 0 && let Some(id) = running.pop() {
                known.retain(|known| *known != id);
                peer.session.complete(id, good(Transferred::In { data: "d", len: 9000 }));
            }
            peer.sent().iter().for_each(|pdu| counters.check(pdu));
            check_bounds(&peer.session);
        }
        // However it stands, an end leaves nothing behind.
        peer.session.abort(None);
        peer.events();
        prop_assert!(peer.session.tasks.is_empty());
    }
}
