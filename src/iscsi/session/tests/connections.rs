//! Several connections in one session (RFC 7143 4.2.5.1, 6.3.4, 7.14, 11.14).

use super::*;
use crate::iscsi::pdu::{LogoutRequest, LogoutResponse};

/// CID of the second connection.
const SECOND: u16 = 8;

/// A session with two connections; the first is attended.
fn two(error_recovery_level: u8) -> (Peer, ConnectionId) {
    let params = SessionParams { error_recovery_level, max_connections: 2, ..params() };
    let mut peer = Peer::with(params.clone());
    let second = peer.session.join(second(params));
    (peer, second)
}

fn second(params: SessionParams) -> Established {
    let mut established = established(SessionType::Normal, params);
    established.names.cid = SECOND;
    established.stat_sn = 500;
    established
}

impl Peer {
    fn on(&mut self, connection: ConnectionId) -> &mut Self {
        assert!(self.session.attend(connection));
        self
    }
}

fn logout(reason: u8, cid: u16, cmd_sn: u32) -> LogoutRequest {
    LogoutRequest { immediate: true, reason, itt: 9000, cid, cmd_sn, exp_stat_sn: 0 }
}

fn clear(lun: u64, cmd_sn: u32) -> TaskManagementRequest {
    TaskManagementRequest {
        immediate: true,
        function: 2,
        lun,
        itt: 5000,
        referenced_tag: RESERVED_TAG,
        cmd_sn,
        exp_stat_sn: 0,
        ref_cmd_sn: 0,
        exp_data_sn: 0,
    }
}

#[test]
fn commands_of_all_connections_are_executed_in_order_and_answered_where_they_came() {
    let (mut peer, second) = two(0);
    peer.on(second).send(&read(FIRST + 1, 0), &[]);
    peer.on(LEADING).send(&read(FIRST + 2, 0), &[]);
    peer.silent();
    peer.on(second).silent();
    peer.on(LEADING).send(&read(FIRST, 0), &[]);
    let ids: Vec<TaskId> = peer
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Command(id) => id,
            other => panic!("{other:?}"),
        })
        .collect();
    let cmd_sns: Vec<u32> =
        ids.iter().map(|id| peer.session.command(*id).unwrap().cmd_sn).collect();
    assert_eq!(cmd_sns, [FIRST, FIRST + 1, FIRST + 2]);
    for id in &ids {
        peer.session.complete(*id, good(Transferred::Nothing));
    }
    let stat_sns = |pdus: Vec<OutPdu<_>>| -> Vec<(u32, u32)> {
        let numbers = |pdu| {
            let response: ScsiResponse = parse(pdu);
            (response.itt, response.numbers.stat_sn)
        };
        pdus.iter().map(numbers).collect()
    };
    assert_eq!(stat_sns(peer.sent()), [(FIRST + 1000, 100), (FIRST + 1002, 101)]);
    assert_eq!(stat_sns(peer.on(second).sent()), [(FIRST + 1001, 500)]);
}

#[test]
fn data_by_another_connection_is_refused_and_the_command_goes_on() {
    let (mut peer, second) = two(0);
    let command = write(FIRST, 8192);
    peer.on(second).send(&command, &[]);
    let id = peer.offered();
    peer.on(LEADING);
    assert!(!peer.session.admitted(id, 8192));
    peer.silent();
    let r2t: R2t = peer.on(second).answer();
    let data = last(data_out(&command, r2t.ttt, 0, 0));
    assert_eq!(peer.on(LEADING).send(&data, &[1; 8192]), Dest::Discard);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::ProtocolError);
    assert_eq!(peer.events(), []);
    assert_eq!(peer.on(second).send(&data, &[1; 8192]), Dest::Task(id, 0));
    assert_eq!(peer.events(), [Event::Ready(id)]);
}

#[test]
fn a_tag_is_in_use_in_the_whole_session() {
    let (mut peer, second) = two(0);
    peer.send(&read(FIRST, 0), &[]);
    peer.offered();
    peer.on(second).send(&ScsiCommand { itt: FIRST + 1000, ..read(FIRST + 1, 0) }, &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::TaskInProgress);
}

#[test]
fn logout_of_one_connection_leaves_the_other() {
    // By itself, and by way of the other one.
    for by in [SECOND, 7] {
        let (mut peer, second) = two(0);
        peer.send(&read(FIRST, 0), &[]);
        let kept = peer.offered();
        peer.on(second).send(&read(FIRST + 1, 0), &[]);
        let ended = peer.offered();
        peer.on(if by == SECOND { second } else { LEADING });
        peer.send(&logout(1, SECOND, FIRST + 2), &[]);
        let reason = if by == SECOND { CloseReason::Logout } else { CloseReason::LogoutElsewhere };
        let cleared = Event::Cleared { lun: LUN };
        assert_eq!(peer.events(), [Event::Dropped(ended), cleared, Event::Close(second, reason)]);
        assert_eq!(peer.answer::<LogoutResponse>().response, 0);
        peer.session.disconnected(second);
        assert!(!peer.session.attend(second));
        peer.on(LEADING).session.complete(kept, good(Transferred::Nothing));
        let response: ScsiResponse = peer.answer();
        assert_eq!((response.itt, response.numbers.stat_sn >= 100), (FIRST + 1000, true));
        assert_eq!(peer.events(), []);
        // It is not there any more.
        peer.send(&logout(1, SECOND, FIRST + 2), &[]);
        assert_eq!(peer.answer::<LogoutResponse>().response, 1);
    }
}

#[test]
fn logout_of_the_session_closes_all() {
    let (mut peer, second) = two(0);
    peer.send(&read(FIRST, 0), &[]);
    let id = peer.offered();
    peer.on(second).send(&logout(0, 0, FIRST + 1), &[]);
    let closed = [
        Event::Dropped(id),
        Event::Close(LEADING, CloseReason::SessionEnd),
        Event::Close(second, CloseReason::Logout),
    ];
    assert_eq!(peer.events(), closed);
    assert_eq!(peer.answer::<LogoutResponse>().response, 0);
    assert_eq!(peer.on(LEADING).sent(), []);
}

#[test]
fn a_lost_connection_takes_the_session_along_only_at_level_0() {
    for level in [0, 1] {
        let (mut peer, second) = two(level);
        peer.send(&read(FIRST, 0), &[]);
        let kept = peer.offered();
        peer.on(second).send(&read(FIRST + 1, 0), &[]);
        let ended = peer.offered();
        peer.session.disconnected(second);
        let mut expected = vec![Event::Close(second, CloseReason::Lost)];
        if level == 0 {
            expected.push(Event::Close(LEADING, CloseReason::SessionEnd));
        }
        expected.push(Event::Dropped(ended));
        if level == 1 {
            expected.push(Event::Cleared { lun: LUN });
        }
        assert_eq!(peer.events(), expected);
        assert_eq!(peer.session.attended(), LEADING);
        assert!(peer.session.command(kept).is_some());
        assert_eq!(peer.session.is_closing(), level == 0);
    }
}

#[test]
fn what_waited_on_a_lost_connection_can_be_sent_again_by_another() {
    let (mut peer, second) = two(1);
    peer.on(second).send(&read(FIRST + 1, 0), &[]);
    let ping = NopOut {
        immediate: false,
        lun: 0,
        itt: 77,
        ttt: RESERVED_TAG,
        cmd_sn: FIRST + 2,
        exp_stat_sn: 0,
    };
    peer.send(&ping, b"held");
    peer.session.disconnected(second);
    peer.events();
    assert_eq!(peer.session.held_bytes, 0);
    peer.on(LEADING).send(&read(FIRST, 0), &[]);
    peer.offered();
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.offered();
    peer.send(&ping, b"held");
    assert_eq!(peer.answer::<NopIn>().itt, 77);
}

#[test]
fn a_connection_of_the_same_cid_takes_the_place_of_the_old_one() {
    let (mut peer, old) = two(0);
    peer.send(&read(FIRST, 0), &[]);
    let kept = peer.offered();
    peer.on(old).send(&read(FIRST + 1, 0), &[]);
    let ended = peer.offered();
    let params = peer.session.params().clone();
    let new = peer.session.join(second(params));
    assert_ne!(new, old);
    let cleared = Event::Cleared { lun: LUN };
    let events = [Event::Dropped(ended), cleared, Event::Close(old, CloseReason::Reinstated)];
    assert_eq!(peer.events(), events);
    peer.session.disconnected(old);
    assert_eq!(peer.events(), [], "its end was announced: the session goes on at level 0");
    peer.on(new).send(&read(FIRST + 2, 0), &[]);
    peer.offered();
    peer.session.complete(kept, good(Transferred::Nothing));
    peer.silent();
    peer.on(LEADING).answer::<ScsiResponse>();
}

#[test]
fn a_function_ends_tasks_of_all_connections_and_its_answer_comes_after_theirs() {
    let (mut peer, second) = two(0);
    peer.send(&read(FIRST, 0), &[]);
    peer.offered();
    peer.on(second).send(&read(FIRST + 1, 0), &[]);
    let answered = peer.offered();
    peer.send(&read(FIRST + 2, 0), &[]);
    let ended = peer.offered();
    peer.session.complete(answered, good(Transferred::Nothing));
    let status: ScsiResponse = peer.answer();
    peer.on(LEADING).send(&clear(LUN, FIRST + 3), &[]);
    let events = peer.events();
    assert!(events.contains(&Event::Dropped(ended)) && events.len() == 3, "{events:?}");
    peer.session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.sent(), [], "the status on the other connection is not acknowledged");
    let ping: NopIn = peer.on(second).answer();
    let pong = NopOut {
        immediate: true,
        lun: 0,
        itt: RESERVED_TAG,
        ttt: ping.ttt,
        cmd_sn: FIRST + 3,
        exp_stat_sn: status.numbers.stat_sn,
    };
    peer.send(&pong, &[]);
    peer.on(LEADING).silent();
    let exp_stat_sn = status.numbers.stat_sn + 1;
    peer.on(second).send(&NopOut { exp_stat_sn, ..pong }, &[]);
    peer.silent();
    assert_eq!(peer.on(LEADING).answer::<TaskManagementResponse>().response, 0);
}

#[test]
fn a_function_does_not_wait_for_a_connection_that_goes() {
    let (mut peer, second) = two(1);
    peer.on(second).send(&read(FIRST, 0), &[]);
    let answered = peer.offered();
    peer.session.complete(answered, good(Transferred::Nothing));
    peer.on(LEADING).send(&clear(LUN, FIRST + 1), &[]);
    peer.events();
    peer.session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.sent(), []);
    peer.session.disconnected(second);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
}

#[test]
fn a_reset_of_the_target_closes_all_connections() {
    let (mut peer, second) = two(0);
    peer.on(second).send(&TaskManagementRequest { function: 7, ..clear(0, FIRST) }, &[]);
    peer.events();
    peer.on(LEADING).session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.sent(), []);
    assert_eq!(peer.on(second).answer::<TaskManagementResponse>().response, 0);
    let closed =
        [Event::Close(LEADING, CloseReason::SessionEnd), Event::Close(second, CloseReason::Reset)];
    assert_eq!(peer.events(), closed);
}

/// The initiator pings on the attended connection.
fn pinged(peer: &mut Peer) {
    let ping = NopOut {
        immediate: true,
        lun: 0,
        itt: 77,
        ttt: RESERVED_TAG,
        cmd_sn: FIRST,
        exp_stat_sn: 0,
    };
    peer.send(&ping, &[]);
    peer.answer::<NopIn>();
}

#[test]
fn each_connection_is_asked_to_log_out() {
    let (mut peer, second) = two(0);
    pinged(peer.on(second));
    pinged(peer.on(LEADING));
    peer.session.notify(Notice::LogoutRequest { seconds: 5 });
    assert_eq!(peer.sent().len(), 1);
    assert_eq!(peer.on(second).sent().len(), 1);
    peer.session.notify(Notice::DropAll { time2wait: 1, time2retain: 0 });
    assert_eq!(peer.sent().len(), 1);
    assert_eq!(peer.on(LEADING).sent(), []);
}

#[test]
fn only_connections_that_have_pinged_hear_of_what_they_did_not_ask_for() {
    let (mut peer, second) = two(0);
    pinged(peer.on(second));
    peer.on(LEADING).session.notify(Notice::LogoutRequest { seconds: 5 });
    peer.session.notify(Notice::DropAll { time2wait: 1, time2retain: 0 });
    assert_eq!(peer.sent(), []);
    assert_eq!(peer.on(second).sent().len(), 2);
    // A window that has opened, too.
    peer.on(LEADING).send(&read(FIRST, 0), &[]);
    let id = peer.offered();
    peer.session.admitted(id, 0);
    peer.session.abort(Some(LUN));
    assert_eq!(peer.events(), [Event::Dropped(id)]);
    assert_eq!(peer.sent(), []);
    assert_eq!(peer.on(second).answer::<NopIn>().numbers.max_cmd_sn, FIRST + 8);
}

#[test]
fn a_request_that_waited_is_rejected_where_it_came_and_its_number_is_still_to_come() {
    let (mut peer, second) = two(0);
    let invalid = LogoutRequest { immediate: false, ..logout(9, SECOND, FIRST + 1) };
    peer.on(second).send(&invalid, &[]);
    peer.silent();
    peer.on(LEADING).send(&read(FIRST, 0), &[]);
    peer.offered();
    peer.silent();
    let reject: Reject = peer.on(second).answer();
    assert_eq!((reject.reason, reject.numbers.stat_sn), (RejectReason::InvalidField, 500));
    assert_eq!(reject.numbers.exp_cmd_sn, FIRST + 1);
    peer.on(LEADING).send(&read(FIRST + 1, 0), &[]);
    peer.offered();
}

#[test]
fn data_that_any_connection_keeps_can_be_given_up() {
    let (mut peer, second) = two(1);
    for (connection, cmd_sn) in [(second, FIRST), (LEADING, FIRST + 1)] {
        peer.on(connection).send(&read(cmd_sn, 512), &[]);
        let id = peer.offered();
        assert!(peer.session.admitted(id, 0));
        peer.session.complete(id, good(Transferred::In { data: "d", len: 512 }));
        peer.sent();
        // Whichever is attended.
        assert!(peer.on(LEADING).session.keeps_data());
    }
    assert!(peer.session.forget_data() && !peer.session.keeps_data());
    for connection in [LEADING, second] {
        assert!(peer.on(connection).session.connection.retained.bytes() < 512);
    }
}

#[test]
fn what_waits_to_be_sent_counts_for_its_connection_until_that_ends() {
    let (mut peer, second) = two(1);
    peer.on(second).send(&read(FIRST, 512), &[]);
    let id = peer.offered();
    assert!(peer.session.admitted(id, 0));
    peer.on(LEADING).session.complete(id, good(Transferred::In { data: "d", len: 512 }));
    assert_eq!(peer.session.connection.queued_bytes, 0);
    assert_eq!(peer.on(second).session.connection.queued_bytes, 512);
    let params = peer.session.params().clone();
    peer.session.join(self::second(params));
    assert_eq!(peer.on(second).session.connection.queued_bytes, 0);
    assert_eq!(peer.sent(), []);
}

#[test]
fn data_of_an_aborted_task_does_not_reach_the_next_one_of_its_number() {
    let (mut peer, second) = two(0);
    let command = write(FIRST, 8192);
    peer.on(second).send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 8192);
    let r2t: R2t = peer.answer();
    let mut bhs = last(data_out(&command, r2t.ttt, 0, 0)).encode();
    set_data_length(&mut bhs, 8192);
    assert_eq!(peer.session.header(&bhs, &[]), Dest::Task(id, 0));
    // While its data is on the way, the other connection has it aborted, and a new one begins.
    peer.on(LEADING).send(&clear(LUN, FIRST + 1), &[]);
    assert_eq!(peer.events()[0], Event::Dropped(id));
    let next = ScsiCommand { itt: 1, ..write(FIRST + 1, 8192) };
    peer.send(&next, &[]);
    assert_eq!(peer.offered(), id, "the number is used again");
    peer.session.admitted(id, 8192);
    peer.on(second).session.data(Vec::new(), true);
    peer.silent();
}

#[test]
fn a_query_is_answered_at_once_whatever_is_on_its_way_elsewhere() {
    let params = SessionParams { max_connections: 2, protocol_level: 2, ..params() };
    let mut peer = Peer::with(params.clone());
    let second = peer.session.join(second(params));
    peer.on(second).send(&read(FIRST, 0), &[]);
    let id = peer.offered();
    peer.session.complete(id, good(Transferred::Nothing));
    peer.sent();
    let query = TaskManagementRequest { function: 10, ..clear(LUN, FIRST + 1) };
    peer.on(LEADING).send(&query, &[]);
    peer.events();
    peer.session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
    peer.on(second).silent();
}

#[test]
fn nobody_is_asked_for_what_it_has_acknowledged() {
    let (mut peer, second) = two(0);
    peer.on(LEADING).send(&clear(LUN, FIRST), &[]);
    peer.events();
    peer.session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
    peer.on(second).silent();
}

#[test]
fn who_joins_is_told_the_numbers_of_the_session() {
    let (mut peer, second) = two(0);
    peer.on(second).send(&read(FIRST, 0), &[]);
    peer.offered();
    // One credit is with the command.
    assert_eq!(peer.session.login_numbers(), (FIRST + 1, FIRST + 7));
}

#[test]
fn a_function_that_waits_goes_with_its_connection_and_no_other() {
    for (closed, is_performed) in [(SECOND, false), (7, true)] {
        let (mut peer, second) = two(0);
        // A command before it is missing.
        peer.on(second).send(&clear(LUN, FIRST + 1), &[]);
        peer.on(if closed == SECOND { LEADING } else { second });
        peer.send(&logout(1, closed, FIRST), &[]);
        peer.events();
        peer.send(&read(FIRST, 0), &[]);
        let is_function = |event: &Event| matches!(event, Event::Management { .. });
        assert_eq!(peer.events().iter().any(is_function), is_performed, "{closed}");
    }
}

#[test]
fn of_three_connections_the_one_that_is_named_is_logged_out() {
    const THIRD: u16 = 9;
    let params = SessionParams { max_connections: 3, ..params() };
    let mut peer = Peer::with(params.clone());
    let established = second(params);
    let mut another = established.clone();
    another.names.cid = THIRD;
    peer.session.join(established);
    let third = peer.session.join(another);
    peer.on(LEADING).send(&logout(1, THIRD, FIRST), &[]);
    assert_eq!(peer.events(), [Event::Close(third, CloseReason::LogoutElsewhere)]);
    assert!(peer.session.open_connections().eq([7, SECOND]));
}
