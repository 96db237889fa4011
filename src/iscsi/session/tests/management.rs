//! Task management functions.

use super::*;
use crate::iscsi::pdu::{LogoutRequest, LogoutResponse};

fn tmf(function: u8, referenced_tag: u32, ref_cmd_sn: u32) -> TaskManagementRequest {
    TaskManagementRequest {
        immediate: true,
        function,
        lun: LUN,
        itt: 5000,
        referenced_tag,
        cmd_sn: FIRST,
        exp_stat_sn: 0,
        ref_cmd_sn,
        exp_data_sn: 0,
    }
}

#[test]
fn t1_t2_an_aborted_task_is_never_heard_of_again() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST, 512), &[]);
    let id = peer.offered();
    assert!(peer.session.admitted(id, 0));
    peer.send(&tmf(1, 1000 + FIRST, FIRST), &[]);
    assert_eq!(peer.events(), [Event::Dropped(id)]);
    let response: TaskManagementResponse = peer.answer();
    assert_eq!((response.response, response.numbers.max_cmd_sn), (0, FIRST + 8));
    peer.session.complete(id, good(Transferred::In { data: "d", len: 512 }));
    peer.silent();
    peer.send(&tmf(1, 1000 + FIRST, FIRST), &[]);
    not_found(&mut peer);
}

/// The task of an ABORT TASK is not there: the driver knows whether its logical unit is.
fn not_found(peer: &mut Peer) {
    let function = TmfFunction::AbortTask;
    assert_eq!(peer.events(), [Event::Management { itt: 5000, function, lun: LUN }]);
    assert_eq!(peer.sent(), [], "the driver answers");
    peer.session.management_done(5000, tmf_response::NO_LUN);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, tmf_response::NO_LUN);
}

#[test]
fn t1_a_task_that_waits_for_data_is_dropped_at_once() {
    let mut peer = Peer::with(SessionParams { immediate_data: false, ..params() });
    let command = write(FIRST, 4096);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 4096);
    let r2t: R2t = peer.answer();
    peer.send(&tmf(1, command.itt, FIRST), &[]);
    assert_eq!(peer.events(), [Event::Dropped(id)]);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
    assert_eq!(peer.send(&last(data_out(&command, r2t.ttt, 0, 0)), &[0; 4096]), Dest::Discard);
    peer.silent();
    peer.send(&write(FIRST + 1, 4096), &[]);
    peer.offered();
}

#[test]
fn t1_a_command_that_is_aborted_before_it_comes_has_no_effect() {
    let mut peer = Peer::new();
    let request = tmf(1, 1000 + FIRST + 1, FIRST + 1);
    peer.send(&TaskManagementRequest { cmd_sn: FIRST + 2, ..request }, &[]);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.silent();
    peer.send(&read(FIRST, 0), &[]);
    peer.offered();
    peer.send(&read(FIRST + 2, 0), &[]);
    peer.offered();
}

#[test]
fn a_held_command_that_is_aborted_leaves_no_hole() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.send(&tmf(1, 1000 + FIRST + 1, FIRST + 1), &[]);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
    assert_eq!(peer.events().len(), 1, "dropped");
    peer.send(&read(FIRST, 0), &[]);
    peer.offered();
    peer.send(&read(FIRST + 2, 0), &[]);
    peer.offered();
}

#[test]
fn a_reset_from_elsewhere_does_not_lose_the_number_of_an_arriving_command() {
    let mut peer = Peer::new();
    let mut bhs = write(FIRST, 4096).encode();
    set_data_length(&mut bhs, 4096);
    peer.session.header(&bhs, &[]);
    assert_eq!(peer.session.abort(Some(LUN)), 1);
    peer.session.data(Vec::new(), true);
    assert!(matches!(peer.events()[..], [Event::Dropped(_)]));
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.offered();
}

#[test]
fn t3_an_abort_task_set_is_about_one_lun_only() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST, 0), &[]);
    peer.send(&ScsiCommand { lun: 0, ..read(FIRST + 1, 0) }, &[]);
    let [Event::Command(here), Event::Command(there)] = peer.events()[..] else { panic!() };
    assert!(peer.session.admitted(here, 0) && peer.session.admitted(there, 0));
    peer.send(&tmf(2, 0, 0), &[]);
    let function = TmfFunction::AbortTaskSet;
    let management = Event::Management { itt: 5000, function, lun: LUN };
    assert_eq!(peer.events(), [Event::Dropped(here), management]);
    assert_eq!(peer.sent(), [], "the driver has its part to do");
    peer.session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
    peer.session.complete(there, good(Transferred::Nothing));
    peer.answer::<ScsiResponse>();
}

#[test]
fn the_task_set_has_what_the_driver_was_given_and_has_not_completed() {
    let mut peer = Peer::new();
    let elsewhere = |command: ScsiCommand| ScsiCommand { lun: 0, ..command };
    peer.send(&read(FIRST, 0), &[]);
    peer.send(&write(FIRST + 1, 40_000), &[]);
    peer.send(&elsewhere(read(FIRST + 2, 0)), &[]);
    peer.send(&write(FIRST + 3, 40_000), &[]);
    peer.send(&read(FIRST + 4, 0), &[]);
    let events = peer.events();
    let [offered, gathering, other, completed, aborted]: [TaskId; 5] = events
        .iter()
        .map(|event| match event {
            Event::Command(id) => *id,
            other => panic!("{other:?}"),
        })
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    // It is behind a gap.
    peer.send(&read(FIRST + 6, 0), &[]);
    assert!(!peer.session.admitted(gathering, 40_000) && !peer.session.admitted(completed, 40_000));
    peer.sent();
    peer.session.complete(completed, bad());
    peer.silent();
    peer.send(&tmf(1, 1000 + FIRST + 4, FIRST + 4), &[]);
    assert_eq!(peer.session.tasks_in_set(Some(LUN)), [offered, gathering]);
    assert_eq!(peer.session.tasks_in_set(None), [offered, gathering, other]);
    assert_eq!(peer.events(), [Event::Dropped(aborted)]);
}

#[test]
fn t7_unknown_functions_are_not_supported() {
    let mut peer = Peer::new();
    for function in [0, 3, 9, 10, 11, 12, 20, 127] {
        peer.send(&tmf(function, 0, 0), &[]);
        let response: TaskManagementResponse = peer.answer();
        assert_eq!(response.response, tmf_response::NOT_SUPPORTED, "{function}");
    }
    peer.send(&tmf(8, 0, 0), &[]);
    let response: TaskManagementResponse = peer.answer();
    assert_eq!(response.response, tmf_response::NO_REASSIGNMENT);
}

#[test]
fn t8_a_management_request_that_is_not_immediate_waits_for_its_turn() {
    let mut peer = Peer::new();
    let request = TaskManagementRequest {
        immediate: false,
        cmd_sn: FIRST + 1,
        ..tmf(1, 1000 + FIRST, FIRST)
    };
    peer.send(&request, &[]);
    peer.silent();
    peer.send(&read(FIRST, 0), &[]);
    assert!(matches!(peer.events()[..], [Event::Dropped(_)]), "not offered any more");
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
}

#[test]
fn t1_the_abort_of_an_immediate_task_that_is_done_takes_no_number() {
    let mut peer = Peer::new();
    let command = ScsiCommand { immediate: true, ..read(FIRST, 0) };
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.complete(id, good(Transferred::Nothing));
    peer.sent();
    peer.send(&tmf(1, command.itt, FIRST), &[]);
    not_found(&mut peer);
    peer.send(&read(FIRST, 0), &[]);
    peer.offered();
}

#[test]
fn a_write_that_is_aborted_before_the_driver_knows_of_its_data_is_not_executed() {
    let mut peer = Peer::with(SessionParams { immediate_data: false, ..params() });
    let command = write(FIRST, 4096);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 4096);
    let r2t: R2t = peer.answer();
    peer.send(&last(data_out(&command, r2t.ttt, 0, 0)), &[0; 4096]);
    peer.send(&tmf(1, command.itt, FIRST), &[]);
    assert_eq!(peer.events(), [Event::Dropped(id)]);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
}

#[test]
fn an_abort_of_a_management_request_is_rejected() {
    let mut peer = Peer::new();
    peer.send(&tmf(5, RESERVED_TAG, 0), &[]);
    assert_eq!(peer.events().len(), 1);
    peer.send(&TaskManagementRequest { itt: 5001, ..tmf(1, 5000, 0) }, &[]);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, tmf_response::REJECTED);
    peer.send(&tmf(1, 1, 0), &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::TaskInProgress, "its tag is in use");
    peer.session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.answer::<TaskManagementResponse>().itt, 5000);
    // One that waits for its turn is one, too.
    let waits = TaskManagementRequest { immediate: false, cmd_sn: FIRST + 1, ..tmf(2, 0, 0) };
    peer.send(&waits, &[]);
    peer.send(&TaskManagementRequest { itt: 5001, ..tmf(1, 5000, FIRST + 1) }, &[]);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, tmf_response::REJECTED);
}

#[test]
fn a_task_set_is_aborted_when_all_that_was_sent_before_is_there() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.send(&TaskManagementRequest { cmd_sn: FIRST + 2, ..tmf(2, RESERVED_TAG, 0) }, &[]);
    peer.send(&read(FIRST + 2, 0), &[]);
    peer.silent();
    peer.send(&ScsiCommand { lun: 0, ..read(FIRST, 0) }, &[]);
    let events = peer.events();
    let [Event::Command(other), Event::Dropped(_), Event::Management { .. }, Event::Command(later)] =
        events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(peer.session.command(other).unwrap().lun, 0);
    assert_eq!(peer.session.command(later).unwrap().cmd_sn, FIRST + 2, "after the function");
    peer.session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
}

#[test]
fn a_target_reset_takes_what_is_missing_as_received() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.send(&TaskManagementRequest { cmd_sn: FIRST + 3, ..tmf(6, RESERVED_TAG, 0) }, &[]);
    let events = peer.events();
    let [Event::Dropped(_), Event::Management { itt, .. }] = events[..] else {
        panic!("{events:?}")
    };
    peer.session.management_done(itt, tmf_response::COMPLETE);
    let numbers = peer.answer::<TaskManagementResponse>().numbers;
    assert_eq!((numbers.exp_cmd_sn, numbers.max_cmd_sn), (FIRST + 3, FIRST + 10));
    peer.send(&read(FIRST, 0), &[]);
    peer.silent();
    peer.send(&read(FIRST + 3, 0), &[]);
    peer.offered();
}

#[test]
fn functions_that_drop_connections_are_answered_first() {
    for (function, protocol_level) in [(7, 1), (11, 2)] {
        let mut peer = Peer::with(SessionParams { protocol_level, ..params() });
        peer.send(&read(FIRST, 0), &[]);
        let id = peer.offered();
        peer.session.admitted(id, 0);
        peer.send(&tmf(function, RESERVED_TAG, 0), &[]);
        assert!(matches!(peer.events()[..], [Event::Dropped(_), Event::Management { .. }]));
        assert_eq!(peer.sent(), [], "the driver has its part to do");
        peer.session.management_done(5000, tmf_response::COMPLETE);
        assert_eq!(peer.answer::<TaskManagementResponse>().response, 0);
        assert_eq!(peer.events(), [Event::Close(LEADING, CloseReason::Reset)]);
        assert!(CloseReason::Reset.is_answered());
    }
}

#[test]
fn nothing_follows_a_logout_response() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST, 512), &[]);
    let id = peer.offered();
    peer.session.admitted(id, 0);
    peer.send(&tmf(2, 0, 0), &[]);
    assert!(matches!(peer.events()[..], [Event::Dropped(_), Event::Management { .. }]));
    let logout = LogoutRequest {
        immediate: true,
        reason: 0,
        itt: 7000,
        cid: 7,
        cmd_sn: FIRST + 1,
        exp_stat_sn: 0,
    };
    peer.send(&logout, &[]);
    peer.answer::<LogoutResponse>();
    peer.session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.sent(), [], "not even the response of the function");
}

fn level_2() -> Peer {
    Peer::with(SessionParams { protocol_level: 2, ..params() })
}

#[test]
fn rfc_7144_query_task() {
    let mut peer = level_2();
    let query =
        |tag, ref_cmd_sn| TaskManagementRequest { cmd_sn: FIRST + 2, ..tmf(9, tag, ref_cmd_sn) };
    peer.send(&read(FIRST, 0), &[]);
    let id = peer.offered();
    peer.send(&query(1000 + FIRST, FIRST), &[]);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, tmf_response::SUCCEEDED);
    peer.session.complete(id, good(Transferred::Nothing));
    peer.sent();
    peer.send(&query(1000 + FIRST, FIRST), &[]);
    let function = TmfFunction::QueryTask;
    assert_eq!(peer.events(), [Event::Management { itt: 5000, function, lun: LUN }]);
    peer.session.management_done(5000, tmf_response::COMPLETE);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, tmf_response::COMPLETE);
    // One that is still on its way is not in the task set, and a query does not lose it.
    peer.send(&query(1000 + FIRST + 1, FIRST + 1), &[]);
    peer.events();
    peer.session.management_done(5000, tmf_response::COMPLETE);
    peer.sent();
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.offered();
}

#[test]
fn rfc_7144_query_task_set() {
    let mut peer = level_2();
    peer.send(&ScsiCommand { lun: 0, ..read(FIRST, 0) }, &[]);
    peer.offered();
    peer.send(&tmf(10, RESERVED_TAG, 0), &[]);
    assert_eq!(peer.events().len(), 1, "the other unit's task does not count");
    peer.session.management_done(5000, tmf_response::NO_LUN);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, tmf_response::NO_LUN);
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.offered();
    peer.send(&tmf(10, RESERVED_TAG, 0), &[]);
    assert_eq!(peer.answer::<TaskManagementResponse>().response, tmf_response::SUCCEEDED);
}

#[test]
fn rfc_7144_query_asynchronous_event() {
    let mut peer = level_2();
    peer.send(&tmf(12, RESERVED_TAG, 0), &[]);
    assert!(matches!(peer.events()[..], [Event::Management { .. }]));
    peer.session.management_succeeded(5000, [0x16, 0x29, 0x00]);
    let response: TaskManagementResponse = peer.answer();
    assert_eq!(response.response, tmf_response::SUCCEEDED);
    assert_eq!(response.information, [0x16, 0x29, 0x00]);
}
