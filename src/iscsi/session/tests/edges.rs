//! Limits that are just met, and what may be said in more than one way.

use std::sync::Arc;

use super::*;
use crate::iscsi::pdu::{LogoutRequest, TextRequest, TextResponse};
use crate::iscsi::session::task::unit_of;
use crate::iscsi::session::window::is_before;

fn level_1() -> Peer {
    Peer::with(SessionParams { error_recovery_level: 1, ..params() })
}

fn with_limits(limits_of_session: Limits) -> Peer {
    let established = established(SessionType::Normal, params());
    Peer { session: Session::new(established, limits_of_session, limits(8)) }
}

fn ping(itt: u32, cmd_sn: u32) -> NopOut {
    NopOut { immediate: false, lun: 0, itt, ttt: RESERVED_TAG, cmd_sn, exp_stat_sn: 0 }
}

fn manage(function: u8, itt: u32) -> TaskManagementRequest {
    TaskManagementRequest {
        immediate: true,
        function,
        lun: LUN,
        itt,
        referenced_tag: RESERVED_TAG,
        cmd_sn: FIRST,
        exp_stat_sn: 0,
        ref_cmd_sn: 0,
        exp_data_sn: 0,
    }
}

fn logout() -> LogoutRequest {
    LogoutRequest { immediate: true, reason: 0, itt: 1, cid: 7, cmd_sn: FIRST, exp_stat_sn: 0 }
}

#[test]
fn both_single_level_methods_address_a_unit_and_others_stand_for_themselves() {
    assert_eq!(unit_of(0x0001 << 48), 1);
    assert_eq!(unit_of(0x4001 << 48), 1);
    assert_eq!(unit_of(0x4123 << 48), 0x123);
    for other in [0xc101 << 48, 0x8001 << 48, 1 << 48 | 1, 0x0001_0001 << 32] {
        assert_eq!(unit_of(other), other);
    }
}

#[test]
fn numbers_half_the_circle_apart_are_in_no_order() {
    assert!(!is_before(0, 1 << 31) && !is_before(1 << 31, 0));
}

#[test]
fn a_wrong_header_digest_ends_the_session() {
    let mut peer = Peer::new();
    assert!(!peer.session.is_closing());
    peer.session.header_digest_error();
    assert_eq!(peer.events(), [Event::Close(LEADING, CloseReason::HeaderDigest)]);
    assert!(peer.session.is_closing());
}

#[test]
fn only_what_the_initiator_asked_for_is_answered_before_the_end() {
    assert!(CloseReason::Logout.is_answered() && CloseReason::Reset.is_answered());
    for reason in [CloseReason::Protocol(""), CloseReason::HeaderDigest, CloseReason::PingTimeout] {
        assert!(!reason.is_answered(), "{reason}");
    }
}

#[test]
fn what_is_under_way_can_be_seen() {
    let mut peer = Peer::new();
    assert!(peer.session.is_idle());
    peer.send(&read(FIRST, 0), &[]);
    assert!(!peer.session.is_idle());
    let id = peer.offered();
    peer.session.complete(id, good(Transferred::Nothing));
    assert!(peer.session.is_idle());
    peer.send(&NopOut { immediate: true, ..ping(1, FIRST) }, &[]);
    assert_eq!(peer.session.queued_pdus(), 2);
    peer.sent();
    assert_eq!(peer.session.queued_pdus(), 0);
}

#[test]
fn a_ping_is_answered_by_its_own_tag_only() {
    let mut peer = Peer::new();
    let pong = |ttt| NopOut { immediate: true, ttt, ..ping(RESERVED_TAG, FIRST) };
    peer.send(&ping(1, FIRST), &[]);
    peer.sent();
    peer.session.idle();
    let asked: NopIn = peer.answer();
    for ttt in [asked.ttt.wrapping_add(1), RESERVED_TAG] {
        peer.send(&pong(ttt), &[]);
        assert!(peer.session.awaits_ping());
    }
    peer.send(&pong(asked.ttt), &[]);
    assert!(!peer.session.awaits_ping());
    peer.send(&logout(), &[]);
    peer.sent();
    peer.events();
    peer.session.idle();
    peer.silent();
    assert!(!peer.session.awaits_ping(), "after the end nobody is asked");
}

#[test]
fn commands_that_are_just_within_the_rules_are_taken() {
    let mut peer = Peer::new();
    peer.send(&ScsiCommand { attribute: 4, ..read(FIRST, 0) }, &[]);
    peer.offered();
    peer.send(&ScsiCommand { read: false, ..read(FIRST + 1, 0) }, &[]);
    peer.offered();
    peer.send(&ScsiCommand { write: true, ..read(FIRST + 2, 0) }, &[]);
    peer.offered();
    peer.send(&ScsiCommand { attribute: 5, ..read(FIRST + 3, 0) }, &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField);
}

#[test]
fn a_wrong_data_digest_on_a_ping_leaves_its_number_free() {
    let mut peer = Peer::new();
    peer.send_with_digest(&ping(1, FIRST), b"ping", false);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::DataDigest);
    peer.send(&ping(1, FIRST), b"ping");
    peer.answer::<NopIn>();
}

#[test]
fn what_is_held_is_bounded_and_its_room_comes_back() {
    let mut peer = with_limits(Limits { held_bytes: 100, ..Limits::default() });
    for first in [FIRST, FIRST + 3] {
        peer.send(&ping(1, first + 1), &[7; 60]);
        peer.send(&ping(2, first + 2), &[7; 40]);
        peer.silent();
        peer.send(&ping(3, first + 3), &[7; 4]);
        assert_eq!(peer.answer::<Reject>().reason, RejectReason::LongOperation);
        peer.send(&ping(4, first), &[]);
        assert_eq!(peer.sent().len(), 3, "all that waited");
    }
}

#[test]
fn immediate_commands_may_come_again_when_they_are_done() {
    let mut peer = with_limits(Limits { immediate_commands: 1, ..Limits::default() });
    for itt in 0..3 {
        let command = |itt| ScsiCommand { immediate: true, itt, ..read(FIRST, 0) };
        peer.send(&command(itt), &[]);
        let id = peer.offered();
        peer.send(&command(99), &[]);
        assert_eq!(peer.answer::<Reject>().reason, RejectReason::ImmediateCommand);
        peer.session.complete(id, good(Transferred::Nothing));
        peer.answer::<ScsiResponse>();
    }
}

#[test]
fn a_management_request_without_a_tag_is_rejected() {
    let mut peer = Peer::new();
    peer.send(&manage(5, RESERVED_TAG), &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField);
    assert_eq!(peer.events(), []);
}

#[test]
fn a_task_set_can_be_cleared() {
    let mut peer = Peer::new();
    peer.send(&manage(4, 1), &[]);
    let function = TmfFunction::ClearTaskSet;
    assert_eq!(peer.events(), [Event::Management { itt: 1, function, lun: LUN }]);
}

#[test]
fn management_requests_that_wait_are_bounded_wherever_they_wait() {
    let mut peer = Peer::new();
    for itt in 0..8 {
        peer.send(&manage(5, itt), &[]);
    }
    assert_eq!(peer.events().len(), 8, "with the driver");
    // These wait for a command that is missing.
    for itt in 8..16 {
        peer.send(&TaskManagementRequest { cmd_sn: FIRST + 1, ..manage(2, itt) }, &[]);
    }
    peer.silent();
    peer.send(&manage(5, 16), &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::ImmediateCommand);
}

#[test]
fn an_abort_by_the_number_of_another_task_finds_none() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST + 1, 0), &[]);
    let abort = TaskManagementRequest {
        referenced_tag: 4711,
        ref_cmd_sn: FIRST + 1,
        cmd_sn: FIRST + 2,
        ..manage(1, 1)
    };
    peer.send(&abort, &[]);
    // The driver knows whether there is such a unit.
    let function = TmfFunction::AbortTask;
    assert_eq!(peer.events(), [Event::Management { itt: 1, function, lun: LUN }]);
    peer.session.management_done(1, tmf_response::NO_TASK);
    peer.sent();
    // One that is on its way is found though others are held.
    peer.send(&TaskManagementRequest { ref_cmd_sn: FIRST, ..abort }, &[]);
    let response: TaskManagementResponse = peer.answer();
    assert_eq!(response.response, tmf_response::COMPLETE);
    peer.offered();
}

#[test]
fn a_query_about_a_management_request_is_rejected() {
    let mut peer = Peer::with(SessionParams { protocol_level: 2, ..params() });
    peer.send(&manage(5, 1), &[]);
    assert_eq!(peer.events().len(), 1);
    peer.send(&TaskManagementRequest { referenced_tag: 1, ..manage(9, 2) }, &[]);
    let response: TaskManagementResponse = peer.answer();
    assert_eq!(response.response, tmf_response::REJECTED);
}

/// Status, ExpDataSN and number of Data-In PDUs of a read that ends like this, if the status comes
/// apart.
fn ended(status: u8, sense: &[u8]) -> (u8, u32, usize) {
    let mut peer = Peer::new();
    peer.send(&read(FIRST, 10_000), &[]);
    let id = peer.offered();
    assert!(peer.session.admitted(id, 0));
    let transferred = Transferred::In { data: "d", len: 10_000 };
    let completion = Completion { status, qualifier: 0, sense: sense.to_vec(), transferred };
    peer.session.complete(id, completion);
    let sent = peer.sent();
    let (last, data_ins) = sent.split_last().unwrap();
    assert!(data_ins.iter().all(|pdu| parse::<DataIn>(pdu).status.is_none()));
    let response: ScsiResponse = parse(last);
    let with_length = if sense.is_empty() { 0 } else { 2 + sense.len() };
    assert_eq!(data_len(last), with_length);
    (response.status, response.exp_data_sn, data_ins.len())
}

#[test]
fn f11_a_status_with_more_to_tell_comes_apart_and_counts_the_data() {
    assert_eq!(ended(8, &[]), (8, 3, 3));
    assert_eq!(ended(0, &[0x70; 18]), (0, 3, 3));
    assert_eq!(ended(2, &[0x70; 18]), (2, 3, 3));
}

fn text(cmd_sn: u32, is_final: bool, itt: u32, ttt: u32) -> TextRequest {
    let (immediate, cont, lun) = (false, false, 0);
    TextRequest { immediate, is_final, cont, lun, itt, ttt, cmd_sn, exp_stat_sn: 0 }
}

#[test]
fn a_text_goes_on_with_both_tags_it_began_with() {
    for (itt, ttt_off_by, is_taken) in [(60, 0, true), (61, 0, false), (60, 1, false)] {
        let mut peer = Peer::new();
        peer.send(&text(FIRST, false, 60, RESERVED_TAG), b"X-a=1\0");
        let first: TextResponse = peer.answer();
        assert!(!first.is_final);
        let ttt = first.ttt.wrapping_add(ttt_off_by);
        peer.send(&text(FIRST + 1, true, itt, ttt), &[]);
        if is_taken {
            assert!(peer.answer::<TextResponse>().is_final);
        } else {
            assert_eq!(peer.answer::<Reject>().reason, RejectReason::ProtocolError);
        }
    }
}

#[test]
fn a_key_of_normal_sessions_is_irrelevant_to_discovery_in_full_feature_too() {
    let ask = |mut peer: Peer| {
        peer.send(&text(FIRST, true, 60, RESERVED_TAG), b"MaxOutstandingR2T=1\0");
        let sent = peer.sent();
        match (Opcode::of(&sent[0].bhs), &sent[0].data) {
            (Some(Opcode::TextResponse), Payload::Bytes(bytes)) => bytes.clone(),
            _ => Vec::new(),
        }
    };
    assert_eq!(ask(Peer::discovery()), b"MaxOutstandingR2T=Irrelevant\0");
    assert_ne!(ask(Peer::new()), b"MaxOutstandingR2T=Irrelevant\0");
}

fn snack(begin_run: u32) -> crate::iscsi::pdu::Snack {
    let (itt, ttt) = (1000 + FIRST, RESERVED_TAG);
    crate::iscsi::pdu::Snack { kind: 0, lun: 0, itt, ttt, exp_stat_sn: 0, begin_run, run_length: 0 }
}

#[test]
fn all_from_what_was_never_sent_on_is_a_protocol_error() {
    let mut peer = level_1();
    peer.send(&read(FIRST, 8192), &[]);
    let id = peer.offered();
    assert!(peer.session.admitted(id, 0));
    peer.session.complete(id, good(Transferred::In { data: "d", len: 8192 }));
    assert_eq!(peer.sent().len(), 2);
    peer.send(&snack(1), &[]);
    assert_eq!(peer.sent().len(), 1);
    peer.send(&snack(2), &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::ProtocolError);
}

#[test]
fn data_that_is_given_up_is_held_no_more_and_counted_no_more() {
    let params = SessionParams { error_recovery_level: 1, ..params() };
    let established = established(SessionType::Normal, params);
    let mut session = Session::new(established, Limits::default(), limits(8));
    let data = Arc::new(());
    session.header(&read(FIRST, 512).encode(), &[]);
    session.data(Vec::new(), true);
    let Some(Event::Command(id)) = session.next_event() else { panic!("a command") };
    assert!(session.admitted(id, 0));
    session.complete(id, good(Transferred::In { data: Arc::clone(&data), len: 512 }));
    while session.next_pdu().is_some() {}
    let kept = session.connection.retained.bytes();
    assert!(Arc::strong_count(&data) > 1, "to be sent again");
    assert!(session.forget_data());
    assert_eq!((Arc::strong_count(&data), session.connection.retained.bytes()), (1, kept - 512));
    assert!(!session.forget_data());
    let ping = NopOut { exp_stat_sn: 101, immediate: true, ..ping(RESERVED_TAG, FIRST) };
    session.header(&ping.encode(), &[]);
    session.data(Vec::new(), true);
    assert_eq!(session.connection.retained.bytes(), 0, "acknowledged");
}

#[test]
fn an_initiator_that_does_not_know_pings_is_not_pinged_for_its_acknowledgement() {
    for knows_pings in [false, true] {
        let mut peer = with_limits(Limits { retained_bytes: 4096, ..Limits::default() });
        peer.session.connection.params.error_recovery_level = 1;
        if knows_pings {
            peer.send(&ping(1, FIRST), &[]);
        } else {
            peer.send(&text(FIRST, true, 60, RESERVED_TAG), b"X-a=1\0");
        }
        peer.sent();
        let mut pings = 0;
        for i in 1..30 {
            peer.send(&read(FIRST + i, 0), &[]);
            let id = peer.offered();
            peer.session.complete(id, good(Transferred::Nothing));
            let is_ping = |pdu: &&OutPdu<_>| Opcode::of(&pdu.bhs) == Some(Opcode::NopIn);
            pings += peer.sent().iter().filter(is_ping).count();
        }
        assert_eq!(pings, usize::from(knows_pings), "one at a time");
    }
}

#[test]
fn data_that_never_were_and_data_that_are_gone_are_told_apart() {
    let (never, gone) = (RejectReason::ProtocolError, RejectReason::SnackReject);
    for (status, len, reason) in [(0, 0, never), (8, 0, never), (0, 512, gone), (8, 512, gone)] {
        let mut peer = level_1();
        peer.send(&read(FIRST, 512), &[]);
        let id = peer.offered();
        assert!(peer.session.admitted(id, 0));
        let transferred = match len {
            0 => Transferred::Nothing,
            len => Transferred::In { data: "d", len },
        };
        let completion = Completion { status, qualifier: 0, sense: Vec::new(), transferred };
        peer.session.complete(id, completion);
        peer.sent();
        peer.session.forget_data();
        peer.send(&snack(0), &[]);
        assert_eq!(peer.answer::<Reject>().reason, reason, "{status} {len}");
    }
}

#[test]
fn an_r_data_snack_is_about_all_data() {
    let mut peer = level_1();
    peer.send(&read(FIRST, 512), &[]);
    peer.offered();
    let of = |begin_run, run_length| crate::iscsi::pdu::Snack {
        kind: 3,
        ttt: 0x55,
        run_length,
        ..snack(begin_run)
    };
    for (begin_run, run_length) in [(1, 0), (0, 1)] {
        peer.send(&of(begin_run, run_length), &[]);
        assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField);
    }
    peer.send(&of(0, 0), &[]);
    peer.silent();
}
