//! Recovery within a command, ERL 1: SNACK and recovery R2Ts (RFC 7143 7.1.4.1, 11.16), after the
//! error recovery points of UNH-IOL's plan.

use super::*;
use crate::iscsi::pdu::{Overflow, Snack, TextRequest, TextResponse};

fn level_1() -> Peer {
    Peer::with(SessionParams { error_recovery_level: 1, ..params() })
}

fn snack(kind: u8, itt: u32, begin_run: u32, run_length: u32) -> Snack {
    let lun = if kind == 2 { LUN } else { 0 };
    Snack { kind, lun, itt, ttt: RESERVED_TAG, exp_stat_sn: 0, begin_run, run_length }
}

/// What is sent for a read of so many bytes.
fn answered_read(peer: &mut Peer, cmd_sn: u32, len: u32) -> Vec<OutPdu<&'static str>> {
    peer.send(&read(cmd_sn, len), &[]);
    let id = peer.offered();
    assert!(peer.session.admitted(id, 0));
    peer.session.complete(id, good(Transferred::In { data: "d", len: len.into() }));
    peer.sent()
}

/// The same but for ExpCmdSN and MaxCmdSN.
fn assert_replicas(again: &[OutPdu<&'static str>], first: &[OutPdu<&'static str>]) {
    let plain = |pdus: &[OutPdu<&'static str>]| -> Vec<OutPdu<&'static str>> {
        let mut pdus = pdus.to_vec();
        pdus.iter_mut().for_each(|pdu| pdu.bhs[28..36].fill(0));
        pdus
    };
    assert_eq!(plain(again), plain(first));
}

fn rejected(peer: &mut Peer) -> (RejectReason, u32) {
    let reject: Reject = peer.answer();
    (reject.reason, reject.data_sn)
}

#[test]
fn unh_12_1_data_is_sent_again_as_it_was() {
    let mut peer = level_1();
    let first = answered_read(&mut peer, FIRST, 20_000);
    assert_eq!(first.len(), 5);
    peer.send(&snack(0, 1000 + FIRST, 1, 2), &[]);
    assert_replicas(&peer.sent(), &first[1..3]);
    peer.send(&snack(0, 1000 + FIRST, 3, 0), &[]);
    let again = peer.sent();
    assert_replicas(&again, &first[3..]);
    let last: DataIn = parse(&again[1]);
    assert_eq!((last.status, last.numbers.stat_sn), (Some((0, Overflow::None)), 100));
    peer.send(&snack(0, 1000 + FIRST, 0, 0), &[]);
    assert_replicas(&peer.sent(), &first);
    assert_eq!(peer.session.connection.stat_sn, 101, "nothing of it counts again");
}

#[test]
fn unh_12_2_status_is_sent_again_with_the_current_window() {
    let mut peer = level_1();
    peer.send(&read(FIRST, 512), &[]);
    let id = peer.offered();
    peer.session.complete(id, bad());
    let first = peer.sent();
    peer.send(&NopOut { itt: 5, ..nop_out(100) }, b"ping");
    let pong = peer.sent();
    peer.send(&snack(1, RESERVED_TAG, 100, 1), &[]);
    let again = peer.sent();
    assert_replicas(&again, &first);
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.offered();
    peer.send(&snack(1, RESERVED_TAG, 0, 0), &[]);
    let again = peer.sent();
    assert_replicas(&again, &[first, pong].concat());
    assert_eq!(parse::<ScsiResponse>(&again[0]).numbers.exp_cmd_sn, FIRST + 2);
}

fn nop_out(exp_stat_sn: u32) -> NopOut {
    NopOut {
        immediate: true,
        lun: 0,
        itt: RESERVED_TAG,
        ttt: RESERVED_TAG,
        cmd_sn: FIRST,
        exp_stat_sn,
    }
}

#[test]
fn unh_12_3_what_was_acknowledged_or_never_sent_is_a_protocol_error() {
    let mut peer = level_1();
    answered_read(&mut peer, FIRST, 8192);
    for (request, next) in [
        (snack(0, 1000 + FIRST, 2, 1), 2),
        (snack(0, 1000 + FIRST, 1, 2), 2),
        (snack(0, 4711, 0, 1), 0),
    ] {
        peer.send(&request, &[]);
        assert_eq!(rejected(&mut peer), (RejectReason::ProtocolError, next), "{request:?}");
    }
    let next = peer.session.connection.stat_sn;
    for (begin, length) in [(next, 1), (99, 1), (99, 2)] {
        peer.send(&snack(1, RESERVED_TAG, begin, length), &[]);
        assert_eq!(rejected(&mut peer).0, RejectReason::ProtocolError, "{begin} {length}");
    }
    peer.send(&nop_out(101), &[]);
    for request in [snack(1, RESERVED_TAG, 100, 1), snack(0, 1000 + FIRST, 0, 1)] {
        peer.send(&request, &[]);
        assert_eq!(rejected(&mut peer).0, RejectReason::ProtocolError, "acknowledged");
    }
    peer.send(&snack(4, RESERVED_TAG, 0, 0), &[]);
    assert_eq!(rejected(&mut peer).0, RejectReason::InvalidField);
}

#[test]
fn data_is_acknowledged_burst_by_burst() {
    let mut peer = level_1();
    let first = answered_read(&mut peer, FIRST, 40_000);
    let asks: Vec<DataIn> =
        first.iter().map(parse).filter(|pdu: &DataIn| pdu.acknowledge).collect();
    let numbers: Vec<u32> = asks.iter().map(|pdu| pdu.data_sn).collect();
    assert_eq!(numbers, [3, 7], "the end of every burst but the last");
    assert!(asks.iter().all(|pdu| pdu.is_final && pdu.lun == LUN && pdu.ttt != RESERVED_TAG));
    let ack = |begin_run, run_length| Snack {
        ttt: asks[0].ttt,
        ..snack(2, RESERVED_TAG, begin_run, run_length)
    };
    peer.send(&ack(4, 0), &[]);
    peer.silent();
    peer.send(&snack(0, 1000 + FIRST, 0, 0), &[]);
    assert_replicas(&peer.sent(), &first[4..]);
    peer.send(&snack(0, 1000 + FIRST, 3, 1), &[]);
    assert_eq!(rejected(&mut peer), (RejectReason::ProtocolError, 10));
    for bad in [ack(3, 0), ack(11, 0), ack(5, 1), Snack { ttt: RESERVED_TAG, ..ack(5, 0) }] {
        peer.send(&bad, &[]);
        assert_eq!(rejected(&mut peer).0, RejectReason::InvalidDataAck, "{bad:?}");
    }
    peer.send(&Snack { ttt: 4711, ..ack(5, 0) }, &[]);
    peer.silent();
    // It may come with the acknowledgement of the status.
    peer.send(&Snack { exp_stat_sn: peer.session.connection.stat_sn, ..ack(8, 0) }, &[]);
    peer.silent();
    assert_eq!(peer.session.connection.retained.bytes(), 0);
    // Within one burst nobody is asked.
    let first = answered_read(&mut peer, FIRST + 1, 16_384);
    assert!(first.iter().all(|pdu| !parse::<DataIn>(pdu).acknowledge));
    // The data is looked at before it is given up with the status.
    let first = answered_read(&mut peer, FIRST + 2, 40_000);
    let ask = first.iter().map(parse).find(|pdu: &DataIn| pdu.acknowledge).unwrap();
    let exp_stat_sn = peer.session.connection.stat_sn;
    let beyond = Snack { ttt: ask.ttt, exp_stat_sn, ..snack(2, RESERVED_TAG, 11, 0) };
    peer.send(&beyond, &[]);
    assert_eq!(rejected(&mut peer).0, RejectReason::InvalidDataAck);
}

#[test]
fn r_data_is_cut_as_the_initiator_takes_it_now() {
    let mut peer = level_1();
    let first = answered_read(&mut peer, FIRST, 8192);
    assert_eq!(first.len(), 2);
    let text = TextRequest {
        immediate: true,
        is_final: true,
        cont: false,
        lun: 0,
        itt: 6000,
        ttt: RESERVED_TAG,
        cmd_sn: FIRST + 1,
        exp_stat_sn: 100,
    };
    peer.send(&text, b"MaxRecvDataSegmentLength=1024\0");
    peer.answer::<TextResponse>();
    let tagged = |tag| Snack { ttt: tag, ..snack(3, 1000 + FIRST, 0, 0) };
    peer.send(&tagged(0x55), &[]);
    let again = peer.sent();
    assert_eq!(again.len(), 9);
    for (i, pdu) in (0..8).zip(&again) {
        let data_in: DataIn = parse(pdu);
        assert_eq!((data_in.data_sn, data_in.buffer_offset), (i, i * 1024));
        assert_eq!((data_in.status, data_len(pdu)), (None, 1024));
    }
    let response: ScsiResponse = parse(&again[8]);
    assert_eq!((response.snack_tag, response.exp_data_sn, response.status), (0x55, 8, 0));
    assert_eq!(response.numbers.stat_sn, 100, "the same status");
    peer.send(&snack(1, RESERVED_TAG, 100, 1), &[]);
    assert_replicas(&peer.sent(), &again[8..]);
    for tag in [0, RESERVED_TAG] {
        peer.send(&tagged(tag), &[]);
        assert_eq!(rejected(&mut peer).0, RejectReason::InvalidField);
    }
    // Before there was an answer: the answer has the tag, and the status goes apart.
    peer.send(&read(FIRST + 1, 512), &[]);
    let id = peer.offered();
    peer.send(&Snack { itt: 1000 + FIRST + 1, ..tagged(0x66) }, &[]);
    peer.silent();
    peer.session.complete(id, good(Transferred::In { data: "d", len: 512 }));
    let sent = peer.sent();
    assert_eq!(parse::<DataIn>(&sent[0]).status, None);
    assert_eq!(parse::<ScsiResponse>(&sent[1]).snack_tag, 0x66);
}

#[test]
fn unh_12_4_r2ts_are_sent_again() {
    let mut peer = level_1();
    let command = write(FIRST, 40_000);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 40_000);
    let first = peer.sent();
    assert_eq!(first.len(), 2);
    peer.send(&snack(0, command.itt, 1, 1), &[]);
    assert_replicas(&peer.sent(), &first[1..]);
    peer.send(&snack(0, command.itt, 0, 0), &[]);
    assert_replicas(&peer.sent(), &first);
    peer.send(&snack(0, command.itt, 2, 1), &[]);
    assert_eq!(rejected(&mut peer), (RejectReason::ProtocolError, 2));
    let r2t: R2t = parse(&first[0]);
    for (data_sn, offset) in [(0, 0), (1, 8192)] {
        let pdu =
            DataOut { is_final: data_sn == 1, ..data_out(&command, r2t.ttt, data_sn, offset) };
        peer.send(&pdu, &[0; 8192]);
    }
    assert_eq!(peer.answer::<R2t>().r2t_sn, 2);
    peer.send(&snack(0, command.itt, 0, 1), &[]);
    assert_eq!(rejected(&mut peer), (RejectReason::ProtocolError, 3), "served");
}

#[test]
fn unh_18_2_data_that_arrived_broken_is_asked_for_again() {
    let mut peer = Peer::with(SessionParams {
        error_recovery_level: 1,
        immediate_data: false,
        max_outstanding_r2t: 1,
        ..params()
    });
    let command = write(FIRST, 16_384);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 16_384);
    let r2t: R2t = peer.answer();
    let part = |data_sn, offset| data_out(&command, r2t.ttt, data_sn, offset);
    assert_eq!(peer.send(&part(0, 0), &[0; 4096]), Dest::Task(id, 0));
    peer.send_with_digest(&part(1, 4096), &[0; 4096], false);
    assert_eq!(rejected(&mut peer).0, RejectReason::DataDigest);
    assert_eq!(peer.send(&last(part(2, 8192)), &[0; 8192]), Dest::Discard, "to come again");
    let recovery: R2t = peer.answer();
    assert_eq!((recovery.buffer_offset, recovery.desired_length), (4096, 12_288));
    assert!(recovery.r2t_sn == 1 && recovery.ttt != r2t.ttt);
    let again = data_out(&command, recovery.ttt, 0, 4096);
    // The last one of the sequence is broken, too.
    assert_eq!(peer.send(&again, &[0; 8192]), Dest::Task(id, 4096));
    let end = last(data_out(&command, recovery.ttt, 1, 12_288));
    peer.send_with_digest(&end, &[0; 4096], false);
    let sent = peer.sent();
    assert_eq!(parse::<Reject>(&sent[0]).reason, RejectReason::DataDigest);
    let recovery: R2t = parse(&sent[1]);
    assert_eq!((recovery.buffer_offset, recovery.desired_length), (12_288, 4096));
    let end = last(data_out(&command, recovery.ttt, 0, 12_288));
    assert_eq!(peer.send(&end, &[0; 4096]), Dest::Task(id, 12_288));
    assert_eq!(peer.events(), [Event::Ready(id)]);
    peer.session.complete(id, good(Transferred::Out(16_384)));
    assert_eq!(peer.answer::<ScsiResponse>().status, 0);
}

#[test]
fn a_gap_in_unsolicited_data_is_filled_by_r2t() {
    let mut peer = level_1();
    let command = ScsiCommand { is_final: false, ..write(FIRST, 40_000) };
    peer.send(&command, &[0; 2048]);
    let id = peer.offered();
    peer.session.admitted(id, 40_000);
    let part = |data_sn, offset| data_out(&command, RESERVED_TAG, data_sn, offset);
    assert_eq!(peer.send(&part(0, 2048), &[0; 2048]), Dest::Task(id, 2048));
    // DataSN 1 never came.
    assert_eq!(peer.send(&last(part(2, 6144)), &[0; 2048]), Dest::Discard);
    let r2t: R2t = parse(&peer.sent()[0]);
    assert_eq!((r2t.buffer_offset, r2t.desired_length), (4096, 16_384));
}

#[test]
fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
    let limit = 200_000;
    let limits_of_session = Limits { retained_bytes: limit, ..Limits::default() };
    let params = SessionParams { error_recovery_level: 1, ..params() };
    let established = established(SessionType::Normal, params);
    let mut peer = Peer { session: Session::new(established, limits_of_session, limits(8)) };
    for i in 0..100 {
        answered_read(&mut peer, FIRST + i, 40_000);
        assert!(peer.session.connection.retained.bytes() <= limit);
    }
    peer.send(&snack(1, RESERVED_TAG, 100, 1), &[]);
    assert_eq!(rejected(&mut peer).0, RejectReason::SnackReject);
    peer.send(&snack(1, RESERVED_TAG, 199, 1), &[]);
    assert_eq!(peer.sent().len(), 1, "the newest is there");
    // More than a quarter of it all: only the status is kept, and not on its data.
    answered_read(&mut peer, FIRST + 100, 60_000);
    peer.send(&snack(0, 1000 + FIRST + 100, 0, 1), &[]);
    assert_eq!(rejected(&mut peer).0, RejectReason::SnackReject);
    assert!(peer.session.forget_data() && !peer.session.forget_data());
    assert!(peer.session.connection.retained.bytes() < limit / 8);
    peer.send(&snack(0, 1000 + FIRST + 99, 0, 1), &[]);
    assert_eq!(rejected(&mut peer).0, RejectReason::SnackReject);
}

#[test]
fn an_initiator_that_acknowledges_nothing_is_pinged() {
    let limits_of_session = Limits { retained_bytes: 100_000, ..Limits::default() };
    let params = SessionParams { error_recovery_level: 1, ..params() };
    let established = established(SessionType::Normal, params);
    let mut peer = Peer { session: Session::new(established, limits_of_session, limits(8)) };
    peer.send(&NopOut { itt: 5, ..nop_out(100) }, &[]);
    peer.sent();
    let sent: Vec<_> = (0..4).flat_map(|i| answered_read(&mut peer, FIRST + i, 16_384)).collect();
    let pings: Vec<NopIn> =
        sent.iter().filter(|pdu| Opcode::of(&pdu.bhs) == Some(Opcode::NopIn)).map(parse).collect();
    assert_eq!(pings.len(), 1);
    assert!(pings[0].ttt != RESERVED_TAG);
    peer.send(&NopOut { ttt: pings[0].ttt, ..nop_out(peer.session.connection.stat_sn) }, &[]);
    assert_eq!(peer.session.connection.retained.bytes(), 0);
}

#[test]
fn asking_again_and_again_makes_no_queue_without_end() {
    let limits_of_session = Limits { retained_bytes: 400_000, ..Limits::default() };
    let params = SessionParams {
        error_recovery_level: 1,
        initiator_max_recv_data_segment_length: 512,
        ..params()
    };
    let established = established(SessionType::Normal, params);
    let mut peer = Peer { session: Session::new(established, limits_of_session, limits(8)) };
    answered_read(&mut peer, FIRST, 80_000);
    for _ in 0..1000 {
        peer.send(&snack(0, 1000 + FIRST, 0, 0), &[]);
    }
    let sent = peer.sent();
    assert!(sent.len() < 20_000, "{}", sent.len());
    assert_eq!(parse::<Reject>(sent.last().unwrap()).reason, RejectReason::SnackReject);
    for i in 0..40 {
        peer.send(&NopOut { itt: 1, cmd_sn: FIRST + i, ..nop_out(100) }, &[7; 8192]);
    }
    peer.sent();
    for _ in 0..10_000 {
        peer.send(&snack(1, RESERVED_TAG, 0, 0), &[]);
    }
    let bytes: usize = peer.sent().iter().map(data_len).sum();
    assert!(bytes < 3_000_000, "{bytes}");
}

#[test]
fn nothing_is_kept_at_erl_0() {
    let mut peer = Peer::new();
    answered_read(&mut peer, FIRST, 8192);
    assert_eq!(peer.session.connection.retained.bytes(), 0);
    for kind in 0..4 {
        peer.send(&snack(kind, 1000 + FIRST, 0, 0), &[]);
        assert_eq!(rejected(&mut peer).0, RejectReason::SnackReject);
    }
}

fn level_1_with(retained_bytes: usize) -> Peer {
    let params = SessionParams { error_recovery_level: 1, ..params() };
    let established = established(SessionType::Normal, params);
    let limits_of_session = Limits { retained_bytes, ..Limits::default() };
    Peer { session: Session::new(established, limits_of_session, limits(8)) }
}

#[test]
fn echoes_of_pings_are_kept_only_in_small_numbers() {
    let mut peer = Peer::with(SessionParams {
        error_recovery_level: 1,
        initiator_max_recv_data_segment_length: 1 << 20,
        target_max_recv_data_segment_length: 1 << 20,
        ..params()
    });
    for _ in 0..1000 {
        peer.send(&NopOut { itt: 5, ..nop_out(100) }, &[7; 4096]);
        peer.sent();
        assert!(
            peer.session.connection.retained.bytes() < 300 << 10,
            "{}",
            peer.session.connection.retained.bytes()
        );
    }
    assert!(peer.session.connection.retained.bytes() > 200 << 10, "as many as there is room for");
    let next = peer.session.connection.stat_sn;
    peer.send(&snack(1, RESERVED_TAG, next - 1, 1), &[]);
    assert_eq!(data_len(&peer.sent()[0]), 4096);
    peer.send(&snack(1, RESERVED_TAG, next - 100, 1), &[]);
    assert_eq!(rejected(&mut peer).0, RejectReason::SnackReject);
    let next = peer.session.connection.stat_sn;
    peer.send(&NopOut { itt: 5, ..nop_out(next) }, &[7; 100_000]);
    assert_eq!(data_len(&peer.sent()[0]), 100_000);
    assert!(peer.session.connection.retained.bytes() < 1000);
    peer.send(&snack(1, RESERVED_TAG, next, 1), &[]);
    assert_eq!(rejected(&mut peer).0, RejectReason::SnackReject);
}

#[test]
fn a_read_counts_with_all_that_its_handle_holds() {
    let mut peer = level_1_with(200_000);
    for (i, held) in [(0, 50_000), (1, 50_001)] {
        peer.send(&read(FIRST + i, 512), &[]);
        let id = peer.offered();
        assert!(peer.session.admitted(id, 0));
        peer.session.complete(id, good(Transferred::In { data: "d", len: held }));
        peer.sent();
    }
    assert!((50_000..60_000).contains(&peer.session.connection.retained.bytes()));
    assert!(peer.session.keeps_data());
    assert!(peer.session.forget_data() && peer.session.connection.retained.bytes() < 2000);
    assert!(!peer.session.keeps_data());
    answered_read(&mut peer, FIRST + 2, 512);
    assert!(peer.session.keeps_data());
    peer.send(&nop_out(peer.session.connection.stat_sn), &[]);
    assert!(!peer.session.keeps_data(), "acknowledged");
}

#[test]
fn nothing_asks_for_the_acknowledgement_of_data_that_is_not_kept() {
    let mut peer = level_1_with(200_000);
    let sent = answered_read(&mut peer, FIRST, 60_000);
    assert!(sent.iter().map(parse).all(|pdu: DataIn| !pdu.acknowledge));
    let sent = answered_read(&mut peer, FIRST + 1, 40_000);
    let asks: Vec<DataIn> = sent.iter().map(parse).filter(|pdu: &DataIn| pdu.acknowledge).collect();
    assert_eq!(asks.len(), 2);
    peer.session.forget_data();
    peer.send(&Snack { ttt: asks[0].ttt, ..snack(2, RESERVED_TAG, 4, 0) }, &[]);
    peer.silent();
}

#[test]
fn data_that_waits_to_be_sent_again_is_bounded_in_bytes() {
    let mut peer = level_1_with(400_000);
    answered_read(&mut peer, FIRST, 100_000);
    for _ in 0..1000 {
        peer.send(&snack(0, 1000 + FIRST, 0, 0), &[]);
    }
    let bytes: usize = peer
        .sent()
        .iter()
        .filter(|pdu| Opcode::of(&pdu.bhs) == Some(Opcode::DataIn))
        .map(data_len)
        .sum();
    assert!((400_000..=500_000).contains(&bytes), "{bytes}");
    peer.send(&snack(0, 1000 + FIRST, 0, 0), &[]);
    let bytes: usize = peer.sent().iter().map(data_len).sum();
    assert_eq!(bytes, 100_000, "what was sent does not count any more");
}

#[test]
fn a_ping_for_an_acknowledgement_comes_after_what_it_is_about() {
    let mut peer = level_1_with(10_000);
    let mut ping = None;
    for i in 0..100 {
        peer.send(&NopOut { itt: 5, ..nop_out(100) }, &[7; 100]);
        let sent = peer.sent();
        assert_eq!(parse::<NopIn>(&sent[0]).numbers.stat_sn, 100 + i, "in order");
        if let Some(pdu) = sent.get(1) {
            ping = Some(parse::<NopIn>(pdu));
            break;
        }
    }
    let ping = ping.unwrap();
    assert_eq!((ping.itt, ping.numbers.stat_sn), (RESERVED_TAG, peer.session.connection.stat_sn));
}

#[test]
fn the_reject_of_a_snack_is_cut_to_what_the_initiator_takes() {
    let params = SessionParams { initiator_max_recv_data_segment_length: 512, ..params() };
    let mut peer = Peer::with(params);
    peer.session.header(&snack(1, RESERVED_TAG, 0, 0).encode(), &[0; 1020]);
    peer.session.data(Vec::new(), true);
    assert_eq!(data_len(&peer.sent()[0]), 512);
}
