//! Pings, text, logout, task management.

use super::*;
use crate::iscsi::pdu::{
    AsyncMessage, LogoutRequest, LogoutResponse, Snack, TextRequest, TextResponse,
};

fn nop(itt: u32, immediate: bool, cmd_sn: u32) -> NopOut {
    NopOut { immediate, lun: 0, itt, ttt: RESERVED_TAG, cmd_sn, exp_stat_sn: 0 }
}

fn text(cmd_sn: u32, is_final: bool, cont: bool, ttt: u32) -> TextRequest {
    TextRequest { immediate: false, is_final, cont, lun: 0, itt: 6000, ttt, cmd_sn, exp_stat_sn: 0 }
}

fn logout(reason: u8, cid: u16) -> LogoutRequest {
    LogoutRequest { immediate: true, reason, itt: 7000, cid, cmd_sn: FIRST, exp_stat_sn: 0 }
}

#[test]
fn f21_a_ping_comes_back_cut_to_what_the_initiator_takes() {
    let mut peer = Peer::new();
    peer.send(&nop(1, true, FIRST), &[7; 5000]);
    let sent = peer.sent();
    let pong: NopIn = parse(&sent[0]);
    assert_eq!((pong.itt, pong.ttt, pong.numbers.stat_sn), (1, RESERVED_TAG, 100));
    assert_eq!(sent[0].data, Payload::Bytes(vec![7; 4096]));
    peer.send(&nop(RESERVED_TAG, true, FIRST), &[]);
    peer.silent();
    peer.send(&nop(2, false, FIRST), &[]);
    let pong: NopIn = peer.answer();
    assert_eq!((pong.numbers.exp_cmd_sn, pong.numbers.max_cmd_sn), (FIRST + 1, FIRST + 8));
}

#[test]
fn only_an_initiator_that_pings_is_pinged() {
    let mut peer = Peer::new();
    peer.session.idle();
    peer.silent();
    peer.send(&nop(1, true, FIRST), &[]);
    peer.sent();
    peer.session.idle();
    let ping: NopIn = peer.answer();
    assert_eq!((ping.itt, ping.numbers.stat_sn), (RESERVED_TAG, 101));
    assert!(ping.ttt != RESERVED_TAG && peer.session.awaits_ping());
    peer.send(&NopOut { ttt: ping.ttt, ..nop(RESERVED_TAG, true, FIRST) }, &[]);
    assert!(!peer.session.awaits_ping());
    peer.session.idle();
    peer.sent();
    peer.session.idle();
    assert_eq!(peer.events(), [Event::Close(LEADING, CloseReason::PingTimeout)]);
}

#[test]
fn f24_a_snack_is_rejected_and_the_session_goes_on() {
    let mut peer = Peer::new();
    let snack = Snack {
        kind: 1,
        lun: 0,
        itt: RESERVED_TAG,
        ttt: RESERVED_TAG,
        exp_stat_sn: 0,
        begin_run: 0,
        run_length: 0,
    };
    peer.send(&snack, &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::SnackReject);
    peer.send(&read(FIRST, 0), &[]);
    peer.offered();
}

#[test]
fn f33_logout_reasons() {
    for (reason, cid, response, closes) in
        [(0, 0, 0, true), (1, 7, 0, true), (1, 8, 1, false), (2, 7, 2, false)]
    {
        let mut peer = Peer::new();
        peer.send(&logout(reason, cid), &[]);
        assert_eq!(peer.answer::<LogoutResponse>().response, response);
        let events = peer.events();
        assert_eq!(events == [Event::Close(LEADING, CloseReason::Logout)], closes, "{events:?}");
    }
    let mut peer = Peer::new();
    peer.send(&logout(9, 7), &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField);
    let mut peer = Peer::discovery();
    peer.send(&logout(1, 7), &[]);
    assert_eq!(peer.answer::<LogoutResponse>().response, 2);
}

#[test]
fn f35_after_a_logout_nothing_of_a_task_is_sent() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST, 512), &[]);
    let id = peer.offered();
    peer.session.admitted(id, 0);
    peer.send(&logout(0, 7), &[]);
    peer.answer::<LogoutResponse>();
    assert_eq!(peer.events(), [Event::Dropped(id), Event::Close(LEADING, CloseReason::Logout)]);
    peer.session.complete(id, good(Transferred::In { data: "d", len: 512 }));
    assert_eq!(peer.sent(), []);
    assert!(peer.session.is_idle());
}

#[test]
fn l29_a_discovery_session_knows_no_scsi() {
    let mut peer = Peer::discovery();
    peer.send(&read(FIRST, 0), &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::ProtocolError);
    peer.send(&nop(1, true, FIRST + 1), &[]);
    peer.answer::<NopIn>();
}

#[test]
fn f30_send_targets_by_session_type() {
    let ask = |mut peer: Peer, value: &str| {
        peer.send(
            &text(FIRST, true, false, RESERVED_TAG),
            format!("SendTargets={value}\0").as_bytes(),
        );
        (peer.events(), peer)
    };
    let scope = |scope| vec![Event::SendTargets(scope)];
    assert_eq!(ask(Peer::discovery(), "All").0, scope(DiscoveryScope::All));
    assert_eq!(ask(Peer::new(), "").0, scope(DiscoveryScope::Named("iqn.2026-11.test:t".into())));
    let own = "iqn.2026-11.test:t";
    assert_eq!(ask(Peer::new(), own).0, scope(DiscoveryScope::Named(own.into())));
    assert_eq!(ask(Peer::new(), "x").0, [], "other targets are none of its business");
    for (peer, value) in [(Peer::new(), "All"), (Peer::discovery(), "")] {
        let (events, mut peer) = ask(peer, value);
        assert_eq!(events, []);
        assert_eq!(peer.answer::<Reject>().reason, RejectReason::ProtocolError);
    }
}

#[test]
fn f31_a_long_list_goes_over_several_pdus() {
    let mut peer = Peer::discovery();
    peer.send(&text(FIRST, true, false, RESERVED_TAG), b"SendTargets=All\0");
    peer.events();
    let targets: Vec<_> = (0..100)
        .map(|i| (format!("iqn.2026-11.test:target-{i}"), vec![format!("10.0.0.{i}:3260,1")]))
        .collect();
    peer.session.send_targets(&targets);
    let mut whole = Vec::new();
    let mut cmd_sn = FIRST;
    loop {
        let sent = peer.sent();
        let response: TextResponse = parse(&sent[0]);
        let Payload::Bytes(bytes) = &sent[0].data else { panic!() };
        assert!(bytes.len() <= 4096);
        whole.extend_from_slice(bytes);
        assert_eq!(response.is_final, response.ttt == RESERVED_TAG);
        assert_eq!(response.cont, !response.is_final);
        if response.is_final {
            break;
        }
        cmd_sn += 1;
        peer.send(&text(cmd_sn, true, false, response.ttt), &[]);
    }
    let text = String::from_utf8(whole).unwrap();
    assert_eq!(text.matches("TargetName=").count(), 100);
    assert!(text.ends_with("TargetAddress=10.0.0.99:3260,1\0"));
}

#[test]
fn f32_a_failed_negotiation_keeps_the_old_values() {
    let mut peer = Peer::new();
    peer.send(&text(FIRST, true, false, RESERVED_TAG), b"MaxRecvDataSegmentLength=1024\0");
    peer.answer::<TextResponse>();
    assert_eq!(peer.session.params().initiator_max_recv_data_segment_length, 1024);
    let bad = b"MaxRecvDataSegmentLength=2048\0MaxRecvDataSegmentLength=2048\0";
    let request = text(FIRST + 1, true, false, RESERVED_TAG);
    peer.send(&request, bad);
    let sent = peer.sent();
    assert_eq!(parse::<Reject>(&sent[0]).reason, RejectReason::ProtocolError);
    let mut header = request.encode();
    set_data_length(&mut header, bad.len());
    assert_eq!(sent[0].data, Payload::Bytes(header.to_vec()), "f23: as it came");
    assert_eq!(peer.session.params().initiator_max_recv_data_segment_length, 1024);
    peer.send(&text(FIRST + 1, true, false, RESERVED_TAG), b"X-com.example.key=1\0");
    let sent = peer.sent();
    assert_eq!(sent[0].data, Payload::Bytes(b"X-com.example.key=NotUnderstood\0".to_vec()));
}

#[test]
fn a_text_over_two_pdus_is_answered_once() {
    let mut peer = Peer::discovery();
    peer.send(&text(FIRST, false, true, RESERVED_TAG), b"SendTar");
    let sent = peer.sent();
    let response: TextResponse = parse(&sent[0]);
    assert!(!response.is_final && sent[0].data == Payload::None);
    peer.send(&text(FIRST + 1, true, false, response.ttt), b"gets=All\0");
    assert_eq!(peer.events(), [Event::SendTargets(DiscoveryScope::All)]);
    peer.session.send_targets(&[]);
    assert!(peer.answer::<TextResponse>().is_final);
    peer.send(&text(FIRST + 2, true, false, response.ttt), &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::ProtocolError);
}

/// The initiator pings, by which it shows that it is no boot firmware.
fn pinged(peer: &mut Peer) {
    peer.send(&nop(1, true, FIRST), &[]);
    peer.answer::<NopIn>();
}

/// iPXE gives the session up at a PDU that it has not asked for.
#[test]
fn f34_what_the_target_tells_of_its_own_accord_counts() {
    let mut peer = Peer::new();
    let notices = [
        (Notice::LogoutRequest { seconds: 10 }, 1, [0, 0, 10]),
        (Notice::DropConnection { time2wait: 2, time2retain: 20 }, 2, [7, 2, 20]),
        (Notice::DropAll { time2wait: 3, time2retain: 0 }, 3, [0, 3, 0]),
        (Notice::Renegotiate { seconds: 5 }, 4, [0, 0, 5]),
    ];
    for (notice, ..) in &notices {
        peer.session.notify(notice.clone());
        peer.silent();
    }
    pinged(&mut peer);
    for (i, (notice, event, parameters)) in (1..).zip(notices) {
        peer.session.notify(notice);
        let message: AsyncMessage = peer.answer();
        assert_eq!((message.event, message.parameters), (event, parameters));
        assert_eq!((message.lun, message.numbers.stat_sn), (0, 100 + i));
        assert_eq!((message.numbers.exp_cmd_sn, message.numbers.max_cmd_sn), (FIRST, FIRST + 7));
    }
    let sense = vec![0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3f, 0x0e, 0, 0, 0, 0];
    peer.session.notify(Notice::Scsi { lun: LUN, sense: sense.clone() });
    let sent = peer.sent();
    let message: AsyncMessage = parse(&sent[0]);
    assert_eq!((message.event, message.lun, message.numbers.stat_sn), (0, LUN, 105));
    assert_eq!(sent[0].data, Payload::Bytes([&[0, 18][..], &sense].concat()));
}

#[test]
fn nothing_is_told_where_it_has_no_meaning() {
    let mut peer = Peer::discovery();
    pinged(&mut peer);
    peer.session.notify(Notice::Scsi { lun: LUN, sense: vec![0x70] });
    peer.silent();
    peer.session.notify(Notice::LogoutRequest { seconds: 1 });
    peer.answer::<AsyncMessage>();
    peer.send(&logout(0, 7), &[]);
    peer.answer::<LogoutResponse>();
    peer.session.notify(Notice::LogoutRequest { seconds: 1 });
    assert_eq!(peer.sent(), [], "after the logout response");
}

#[test]
fn requests_without_a_tag_are_rejected() {
    let mut peer = Peer::new();
    peer.send(&nop(RESERVED_TAG, false, FIRST), &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField);
    let untagged = TextRequest { itt: RESERVED_TAG, ..text(FIRST, true, false, RESERVED_TAG) };
    peer.send(&untagged, &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField);
    peer.send(&LogoutRequest { itt: RESERVED_TAG, ..logout(0, 7) }, &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField);
    assert_eq!(peer.session.window.exp_cmd_sn(), FIRST);
}

#[test]
fn a_ping_is_answered_though_much_is_held() {
    let limits_of_session = Limits { held_bytes: 1024, ..Limits::default() };
    let established = established(SessionType::Normal, params());
    let mut peer = Peer { session: Session::new(established, limits_of_session, limits(8)) };
    peer.send(&nop(1, false, FIRST + 1), &[1; 1000]);
    peer.silent();
    peer.send(&nop(2, false, FIRST + 2), &[2; 1000]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::LongOperation);
    peer.send(&nop(3, true, FIRST + 3), &[3; 1000]);
    assert_eq!(peer.answer::<NopIn>().itt, 3, "immediate");
    peer.send(&nop(4, false, FIRST), &[4; 1000]);
    let itts: Vec<u32> = peer.sent().iter().map(|pdu| parse::<NopIn>(pdu).itt).collect();
    assert_eq!(itts, [4, 1], "its turn has come");
}

#[test]
fn the_number_of_a_rejected_request_is_still_to_come() {
    let management = |itt| TaskManagementRequest {
        immediate: false,
        function: 1,
        lun: LUN,
        itt,
        referenced_tag: 1,
        cmd_sn: FIRST + 1,
        exp_stat_sn: 0,
        ref_cmd_sn: FIRST,
        exp_data_sn: 0,
    };
    let numbered = |peer: &mut Peer, case| match case {
        0 => peer.send(&text(FIRST + 1, true, false, RESERVED_TAG), b"SendTargets=All\0"),
        1 => peer.send(&text(FIRST + 1, true, true, RESERVED_TAG), &[]),
        2 => peer.send(&text(FIRST + 1, true, false, 4711), &[]),
        3 => peer.send(&LogoutRequest { immediate: false, cmd_sn: FIRST + 1, ..logout(9, 7) }, &[]),
        _ => peer.send(&management(1000 + FIRST), &[]),
    };
    for case in 0..5 {
        // When it comes in its turn, and when it had to wait.
        for waits in [false, true] {
            let mut peer = Peer::new();
            if waits {
                numbered(&mut peer, case);
                peer.silent();
                peer.send(&read(FIRST, 0), &[]);
            } else {
                peer.send(&read(FIRST, 0), &[]);
                numbered(&mut peer, case);
            }
            let numbers = peer.answer::<Reject>().numbers;
            assert_eq!((numbers.exp_cmd_sn, numbers.max_cmd_sn), (FIRST + 1, FIRST + 7), "{case}");
            peer.offered();
            peer.send(&nop(1, false, FIRST + 2), &[]);
            peer.silent();
            peer.send(&read(FIRST + 1, 0), &[]);
            peer.offered();
            assert_eq!(peer.answer::<NopIn>().numbers.exp_cmd_sn, FIRST + 3);
        }
    }
}
