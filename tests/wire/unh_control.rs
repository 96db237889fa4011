//! The target tests of the UNH-IOL full feature phase plan, groups 11 to 15 and 17: task
//! management, SNACK, logout, reject, pings, texts.

use crate::lab::{BLOCK, Lab, OTHER_TARGET, TARGET, pattern};
use crate::login::{decode, text, value};
use crate::session::{Session, read10, reason};
use crate::support::raw::{CONT, FINAL, NO_TAG, Pdu, op};
use crate::{exchanges, transfers};

#[test]
fn ffp_11_1_an_immediate_abort_beside_another_immediate_request() {
    let lab = Lab::new();
    let mut session = lab.session();
    let (aborted, goes_on) = (session.write_command(0, 4096), session.write_command(8, 4096));
    session.send(&aborted);
    session.send(&goes_on);
    let r2ts = [session.expect(op::R2T), session.expect(op::R2T)];
    // Both at once, with a write in the middle of its data.
    let half = session.data_out(&aborted, r2ts[0].ttt(), 0, 0, &pattern(2048, 1));
    session.send(&half);
    let (abort, ping) = (session.abort(&aborted), session.nop(b"now"));
    session.send(&abort);
    session.send(&ping);
    assert_eq!(session.tmf_response(&abort), 0);
    assert_eq!(session.expect(op::NOP_IN).data, b"now");
    // The rest of its data comes to nothing: no R2T, no status.
    let rest = session.data_out(&aborted, r2ts[0].ttt(), 1, 2048, &pattern(2048, 1));
    session.send(&rest.byte(1, FINAL));
    session.ping();
    session.answer_r2t(&goes_on, &r2ts[1], &pattern(4096, 2));
    session.finish_from(&goes_on, &[], 1).good();
    assert!(session.get(0, 4096) == [0; 4096]);
    assert!(session.get(8, 4096) == pattern(4096, 2));
}

const TASK_REASSIGN: u8 = 8;
/// Task allegiance reassignment not supported: what is said below error recovery level 2.
const NO_REASSIGNMENT: u8 = 4;

#[test]
fn ffp_11_2_1_task_reassign_is_answered_with_a_code_that_exists() {
    let lab = Lab::new();
    let mut session = lab.session();
    let request = session.tmf(TASK_REASSIGN, 0x1234, 0);
    assert_eq!(session.manage(&request), NO_REASSIGNMENT);
}

#[test]
fn ffp_11_2_2_task_reassign_does_no_harm_to_a_task_that_is_allegiant() {
    let lab = Lab::new();
    let mut session = lab.session();
    let write = session.write_command(0, BLOCK);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    let request = session.tmf(TASK_REASSIGN, write.itt(), 0);
    assert_eq!(session.manage(&request), NO_REASSIGNMENT);
    session.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
    session.finish_from(&write, &[], 1).good();
}

#[test]
fn ffp_11_2_3_task_reassign_does_not_take_another_sessions_task() {
    let lab = Lab::new();
    let (mut owner, mut thief) = (lab.session(), lab.neighbour());
    let write = owner.write_command(0, BLOCK);
    owner.send(&write);
    let r2t = owner.expect(op::R2T);
    let request = thief.tmf(TASK_REASSIGN, write.itt(), 0);
    assert_eq!(thief.manage(&request), NO_REASSIGNMENT);
    thief.ping();
    owner.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
    owner.finish_from(&write, &[], 1).good();
}

#[test]
fn ffp_11_3_1_nothing_of_an_aborted_task_comes_after_the_response() {
    let lab = Lab::new();
    let mut session = lab.session_with(&[("MaxBurstLength", "512")]);
    let write = session.write_command(0, 2048);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    let abort = session.abort(&write);
    assert_eq!(session.manage(&abort), 0);
    session.answer_r2t(&write, &r2t, &pattern(2048, 1));
    session.ping();
    assert!(session.get(0, 2048) == [0; 2048]);
}

#[test]
fn ffp_11_3_2_a_task_that_is_done_does_not_exist() {
    let lab = Lab::new();
    let mut session = lab.session();
    let read = session.read_command(0, BLOCK);
    session.send(&read);
    session.finish(&read, &[]).good();
    let abort = session.abort(&read);
    assert_eq!(session.manage(&abort), 1);
}

#[test]
fn ffp_11_3_3_pings_are_answered_around_an_abort() {
    let lab = Lab::new();
    let mut session = lab.session();
    let write = session.write_command(0, BLOCK);
    session.send(&write);
    session.expect(op::R2T);
    session.ping();
    let abort = session.abort(&write);
    assert_eq!(session.manage(&abort), 0);
    session.ping();
    session.get(0, BLOCK);
}

#[test]
fn ffp_11_4_a_warm_reset_ends_all_tasks_and_keeps_the_connection() {
    let lab = Lab::new();
    let mut session = lab.session();
    let write = session.write_command(0, BLOCK);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    let reset = session.tmf(6, NO_TAG, 0).set_lun(0);
    assert_eq!(session.manage(&reset), 0);
    session.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
    session.ping();
    let mut session = session.ready();
    assert!(session.get(0, BLOCK) == [0; BLOCK]);
}

#[test]
fn ffp_11_5_a_cold_reset_ends_all_connections() {
    let lab = Lab::new();
    let (mut session, mut neighbour) = (lab.session(), lab.neighbour());
    let write = session.write_command(0, BLOCK);
    session.send(&write);
    session.expect(op::R2T);
    let reset = session.tmf(7, NO_TAG, 0).set_lun(0);
    assert_eq!(session.manage(&reset), 0);
    session.expect_closed();
    neighbour.expect_closed();
    assert!(lab.session().get(0, BLOCK) == [0; BLOCK]);
}

/// A SNACK (11.16): type, task tag, BegRun and RunLength.
fn snack(session: &Session, kind: u8, itt: u32, begin: u32, count: u32) -> Pdu {
    Pdu::new(op::SNACK, FINAL | kind)
        .set(16, itt)
        .set(20, NO_TAG)
        .set(28, session.stat_sn)
        .set(40, begin)
        .set(44, count)
}

/// A lab that offers error recovery level 1.
fn recovering() -> Lab {
    let mut options = crate::lab::options();
    options.login.error_recovery_level = 1;
    Lab::with(options)
}

/// A session of error recovery level 1.
fn recovering_session(lab: &Lab) -> Session {
    let keys = [("ErrorRecoveryLevel", "1"), ("MaxRecvDataSegmentLength", "512")];
    let session = lab.session_with(&keys);
    assert_eq!(session.answer("ErrorRecoveryLevel"), Some("1"));
    session
}

/// The copy of a PDU, exact but for the window.
fn is_copy(copy: &Pdu, of: &Pdu) -> bool {
    copy.bhs[..28] == of.bhs[..28] && copy.bhs[36..] == of.bhs[36..] && copy.data == of.data
}

#[test]
fn ffp_12_1_a_data_snack_is_answered_with_copies_and_below_its_level_rejected() {
    let lab = recovering();
    let mut session = recovering_session(&lab);
    session.put(0, &pattern(4096, 1));
    let unacknowledged = session.stat_sn;
    let end = session.read(&read10(0, 4096), 4096);
    for (begin, count) in [(1_u32, 2_u32), (0, 1), (5, 2)] {
        let snack = snack(&session, 0, end.pdus[0].itt(), begin, count).set(28, unacknowledged);
        session.send(&snack);
        for pdu in &end.pdus[begin as usize..(begin + count) as usize] {
            let copy = session.expect(op::DATA_IN);
            assert!(is_copy(&copy, pdu), "{copy:?} for {pdu:?}");
            assert_eq!((copy.exp_cmd_sn(), copy.max_cmd_sn()), {
                (session.exp_cmd_sn, session.max_cmd_sn)
            });
        }
    }
    session.ping();
    let lab = Lab::new();
    let mut session = lab.session();
    let read = session.read_command(0, BLOCK);
    session.send(&read);
    session.finish(&read, &[]).good();
    let snack = snack(&session, 0, read.itt(), 0, 0);
    session.rejected(&snack, reason::SNACK);
    session.get(0, BLOCK);
}

#[test]
fn ffp_12_2_a_status_snack_is_answered_with_copies_and_below_its_level_rejected() {
    let lab = recovering();
    let mut session = recovering_session(&lab);
    let first = session.stat_sn;
    let good = session.none(&[0; 6]).pdus.remove(0);
    // Sent with the old ExpStatSN: the first is not acknowledged by it.
    let command = session.command(0, 0, &[0x2c; 6]).set(28, first);
    session.send(&command);
    let bad = session.expect(op::SCSI_RESPONSE);
    assert_eq!(bad.bhs[3], 2, "with sense data");
    let snack = snack(&session, 1, NO_TAG, first, 2).set(28, first);
    session.send(&snack);
    for sent in [&good, &bad] {
        let copy = session.wire.receive().unwrap();
        assert!(is_copy(&copy, sent), "{copy:?} for {sent:?}");
    }
    session.ping();
    let lab = Lab::new();
    let mut session = lab.session();
    let snack = self::snack(&session, 1, NO_TAG, session.stat_sn.wrapping_sub(1), 1);
    session.rejected(&snack, reason::SNACK);
    session.get(0, BLOCK);
}

#[test]
fn ffp_12_3_an_r2t_snack_is_answered_with_a_copy_and_below_its_level_rejected() {
    for level in [0, 1] {
        let lab = if level == 0 { Lab::new() } else { recovering() };
        let mut session = if level == 0 { lab.session() } else { recovering_session(&lab) };
        let write = session.write_command(0, BLOCK);
        session.send(&write);
        let r2t = session.expect(op::R2T);
        let snack = snack(&session, 0, write.itt(), 0, 1);
        if level == 0 {
            session.rejected(&snack, reason::SNACK);
        } else {
            session.send(&snack);
            let copy = session.expect(op::R2T);
            assert!(is_copy(&copy, &r2t), "{copy:?} for {r2t:?}");
        }
        session.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
        session.finish_from(&write, &[], 1).good();
        assert!(session.get(0, BLOCK) == pattern(BLOCK, 1));
    }
}

#[test]
fn ffp_12_4_a_snack_for_what_never_was_or_is_acknowledged_is_rejected() {
    let lab = recovering();
    let mut session = recovering_session(&lab);
    let unacknowledged = session.stat_sn;
    let read = session.read(&read10(0, 4096), 4096);
    let itt = read.pdus[0].itt();
    // DataSN 8 is the next; the target would send that, and the Reject tells so (11.17.2).
    let beyond = snack(&session, 0, itt, 8, 1).set(28, unacknowledged);
    let reject = session.rejected(&beyond, reason::PROTOCOL);
    assert_eq!(reject.word(36), 8);
    let nobody = snack(&session, 0, 0x4321, 0, 0).set(28, unacknowledged);
    session.rejected(&nobody, reason::PROTOCOL);
    // Acknowledged by the ping.
    session.ping();
    let late = snack(&session, 1, NO_TAG, unacknowledged, 1);
    session.rejected(&late, reason::PROTOCOL);
    session.get(0, BLOCK);
    let lab = Lab::new();
    let mut session = lab.session();
    for (kind, itt) in [(0, 0x4321), (1, NO_TAG), (2, 0x4321), (3, 0x4321)] {
        let snack = snack(&session, kind, itt, 0x7000_0000, 9);
        session.rejected(&snack, reason::SNACK);
    }
    session.get(0, BLOCK);
}

#[test]
fn ffp_13_1_logout_of_the_connection() {
    let lab = Lab::new();
    let mut session = lab.session();
    assert_eq!(session.log_out(1, 0), 0);
    session.expect_closed();
}

#[test]
fn ffp_13_2_logout_of_the_session() {
    let lab = Lab::new();
    let mut session = lab.session();
    assert_eq!(session.log_out(0, 0), 0);
    session.expect_closed();
}

#[test]
fn ffp_13_3_logout_of_a_connection_that_is_not() {
    let lab = Lab::new();
    let mut session = lab.session();
    assert_eq!(session.log_out(1, 0x0bad), 1);
    session.get(0, BLOCK);
}

#[test]
fn ffp_14_1_a_reject_has_the_header_of_what_it_rejects() {
    let lab = Lab::new();
    let mut session = lab.session();
    // Every byte of it tells where it is.
    let mut strange = Pdu::new(0x1d, 0xa7);
    for (i, byte) in strange.bhs.iter_mut().enumerate().skip(8) {
        *byte = i as u8;
    }
    let reject = session.rejected(&strange.with(&[9; 21]), reason::NOT_SUPPORTED);
    assert_eq!((reject.itt(), reject.word(36)), (NO_TAG, 0));
}

#[test]
fn ffp_14_2_a_reject_takes_a_stat_sn_and_turns_nothing_back() {
    let lab = Lab::new();
    let mut session = lab.session();
    let next = session.stat_sn;
    let (exp, max) = (session.exp_cmd_sn, session.max_cmd_sn);
    for i in 0..3 {
        let bad = Pdu::new(0x1d, FINAL).set(24, session.cmd_sn);
        let reject = session.rejected(&bad, reason::NOT_SUPPORTED);
        assert_eq!(reject.stat_sn(), next.wrapping_add(i));
        assert_eq!((reject.exp_cmd_sn(), reject.max_cmd_sn()), (exp, max));
    }
    assert_eq!(session.ping().stat_sn(), next.wrapping_add(3));
}

#[test]
fn ffp_14_3_the_response_of_a_rejected_task_waits_for_f() {
    transfers::wrong_data_digest();
}

/// A ping of this data with this header: its answer.
fn pinged(session: &mut Session, ping: &Pdu) -> Pdu {
    session.send(ping);
    let answer = session.expect(op::NOP_IN);
    assert_eq!((answer.itt(), answer.flags()), (ping.itt(), FINAL));
    answer
}

/// A NOP-Out that takes a CmdSN.
fn numbered_nop(session: &mut Session, data: &[u8]) -> Pdu {
    let mut nop = session.nop(data);
    nop.bhs[0] = op::NOP_OUT;
    session.cmd_sn = session.cmd_sn.wrapping_add(1);
    nop
}

#[test]
fn ffp_15_1_1_an_immediate_ping_is_answered() {
    let lab = Lab::new();
    let mut session = lab.session();
    let exp = session.exp_cmd_sn;
    let ping = session.nop(b"abc");
    assert_eq!(pinged(&mut session, &ping).exp_cmd_sn(), exp, "it takes no number");
}

#[test]
fn ffp_15_1_2_a_numbered_ping_is_answered_in_its_turn() {
    let lab = Lab::new();
    let mut session = lab.session();
    let first = numbered_nop(&mut session, b"abc");
    let second = numbered_nop(&mut session, b"def");
    session.send(&second);
    session.ping();
    session.send(&first);
    let answers = [session.expect(op::NOP_IN), session.expect(op::NOP_IN)];
    assert_eq!(answers.each_ref().map(Pdu::itt), [first.itt(), second.itt()]);
    assert_eq!(answers[1].exp_cmd_sn(), session.cmd_sn, "they take a number each");
}

#[test]
fn ffp_15_1_3_the_answer_has_the_tag_of_the_ping_and_no_transfer_tag() {
    let lab = Lab::new();
    let mut session = lab.session();
    for itt in [0, 1, 0x8000_0000, 0xffff_fffe] {
        let ping = session.nop(b"x").set(16, itt);
        assert_eq!(pinged(&mut session, &ping).ttt(), NO_TAG);
    }
}

#[test]
fn ffp_15_1_4_the_answer_has_the_data_of_the_ping() {
    let lab = Lab::new();
    let mut session = lab.session();
    for len in [0, 1, 2, 3, 4, 100, 8191, 8192] {
        let ping = session.nop(&pattern(len, 3));
        assert!(pinged(&mut session, &ping).data == pattern(len, 3));
        let ping = numbered_nop(&mut session, &pattern(len, 4));
        assert!(pinged(&mut session, &ping).data == pattern(len, 4));
    }
}

#[test]
fn ffp_15_1_5_the_answer_is_no_longer_than_the_initiator_takes() {
    let lab = Lab::new();
    let mut session = lab.session_with(&[("MaxRecvDataSegmentLength", "512")]);
    let ping = session.nop(&pattern(3000, 3));
    assert!(pinged(&mut session, &ping).data == pattern(3000, 3)[..512]);
}

#[test]
fn ffp_15_1_6_a_ping_without_a_tag_is_not_answered() {
    let lab = Lab::new();
    let mut session = lab.session();
    let silent = session.nop(b"nobody asked").set(16, NO_TAG);
    session.send(&silent);
    session.ping();
}

#[test]
fn ffp_15_2_the_targets_own_ping_has_a_transfer_tag_and_takes_no_stat_sn() {
    exchanges::target_ping();
}

#[test]
fn ffp_15_3_the_targets_own_ping_has_no_data_and_no_task_tag() {
    exchanges::target_ping();
}

#[test]
fn ffp_17_1_a_text_is_not_final_before_the_initiators_is() {
    let lab = Lab::new();
    let mut session = lab.session();
    let open = session.text(0, NO_TAG, &text(&[("X-org.example.a", "1")]));
    session.send(&open);
    let answer = session.expect(op::TEXT_RESPONSE);
    assert_eq!((answer.itt(), answer.flags()), (open.itt(), 0));
    assert_ne!(answer.ttt(), NO_TAG);
    assert_eq!(decode(&answer.data), [("X-org.example.a".into(), "NotUnderstood".into())]);
    let last = session.text(FINAL, answer.ttt(), &text(&[("X-org.example.b", "1")]));
    let last = last.set(16, open.itt());
    session.send(&last);
    let answer = session.expect(op::TEXT_RESPONSE);
    assert_eq!((answer.itt(), answer.ttt(), answer.flags()), (open.itt(), NO_TAG, FINAL));
    assert_eq!(decode(&answer.data), [("X-org.example.b".into(), "NotUnderstood".into())]);
}

#[test]
fn ffp_17_2_a_text_that_goes_on_is_not_final() {
    let lab = Lab::new();
    let mut session = lab.session();
    let both = session.text(FINAL | CONT, NO_TAG, b"X-a=b\0");
    session.rejected(&both, reason::PROTOCOL);
    let cont = session.text(CONT, NO_TAG, b"X-org.exam");
    session.send(&cont);
    let answer = session.expect(op::TEXT_RESPONSE);
    assert_eq!((answer.flags(), answer.data.len()), (0, 0), "no data in answer to C");
    assert_ne!(answer.ttt(), NO_TAG);
    let rest = session.text(FINAL, answer.ttt(), b"ple.a=1\0").set(16, cont.itt());
    session.send(&rest);
    let answer = session.expect(op::TEXT_RESPONSE);
    assert_eq!((answer.ttt(), answer.flags()), (NO_TAG, FINAL));
    assert_eq!(decode(&answer.data), [("X-org.example.a".into(), "NotUnderstood".into())]);
}

fn target_names(pairs: &[(String, String)]) -> Vec<&str> {
    pairs.iter().filter(|(key, _)| key == "TargetName").map(|(_, name)| name.as_str()).collect()
}

/// A lab with two targets.
fn two_targets() -> Lab {
    let lab = Lab::new();
    lab.publish_small(OTHER_TARGET, stirrup::target::Access::default());
    lab
}

#[test]
fn ffp_17_3_1_send_targets_all_in_a_discovery_session() {
    let lab = two_targets();
    let answer = lab.discovery().negotiate(&[("SendTargets", "All")]);
    assert_eq!(target_names(&answer), [TARGET, OTHER_TARGET]);
}

#[test]
fn ffp_17_3_2_send_targets_all_in_a_normal_session_is_rejected() {
    let lab = two_targets();
    lab.session().negotiate_in_vain(&[("SendTargets", "All")], reason::PROTOCOL);
}

#[test]
fn ffp_17_3_3_send_targets_of_nothing_names_the_sessions_own_target() {
    let lab = two_targets();
    let answer = lab.session().negotiate(&[("SendTargets", "")]);
    assert_eq!(target_names(&answer), [TARGET]);
    assert_eq!(value(&answer, "TargetAddress"), Some(format!("{},1", lab.portal).as_str()));
}

#[test]
fn ffp_17_3_4_send_targets_of_the_sessions_own_name() {
    let lab = two_targets();
    assert_eq!(target_names(&lab.session().negotiate(&[("SendTargets", TARGET)])), [TARGET]);
}

#[test]
fn ffp_17_3_5_send_targets_of_a_name_gives_that_one_only() {
    let lab = two_targets();
    let mut discovery = lab.discovery();
    let answer = discovery.negotiate(&[("SendTargets", OTHER_TARGET)]);
    assert_eq!(target_names(&answer), [OTHER_TARGET]);
    assert_eq!(discovery.negotiate(&[("SendTargets", "iqn.2026-11.test:nobody")]), []);
}

#[test]
fn ffp_17_4_1_keys_of_normal_sessions_are_irrelevant_in_discovery() {
    let lab = Lab::new();
    let keys = [
        ("MaxConnections", "1"),
        ("InitialR2T", "No"),
        ("ImmediateData", "Yes"),
        ("MaxBurstLength", "65536"),
        ("FirstBurstLength", "65536"),
        ("MaxOutstandingR2T", "1"),
        ("DataPDUInOrder", "Yes"),
        ("DataSequenceInOrder", "Yes"),
    ];
    let mut login = crate::login::Login::discovery(lab.portal);
    for (key, value) in keys {
        login = login.key(key, value);
    }
    let session = login.session();
    for (key, _) in keys {
        assert_eq!(session.answer(key), Some("Irrelevant"), "{key}");
    }
}

#[test]
fn ffp_17_4_2_a_discovery_session_can_only_be_logged_out_as_a_whole() {
    let lab = Lab::new();
    let mut discovery = lab.discovery();
    assert_eq!(discovery.log_out(1, 0), 2);
    assert_eq!(discovery.log_out(2, 0), 2);
    discovery.ping();
    assert_eq!(discovery.log_out(0, 0), 0);
    discovery.expect_closed();
}

#[test]
fn ffp_17_5_a_text_that_goes_on_with_another_tag_is_rejected() {
    let lab = Lab::new();
    let mut session = lab.session();
    let open = session.text(0, NO_TAG, &text(&[("X-a", "1")]));
    session.send(&open);
    let ttt = session.expect(op::TEXT_RESPONSE).ttt();
    // The next tag, not that of the exchange.
    let wrong = session.text(FINAL, ttt, &text(&[("X-b", "1")]));
    session.rejected(&wrong, reason::PROTOCOL);
    session.negotiate(&[("X-a", "1")]);
}

#[test]
fn ffp_17_6_a_key_is_negotiated_once() {
    let lab = Lab::new();
    let mut session = lab.session();
    let key = "MaxRecvDataSegmentLength";
    session.negotiate_in_vain(&[(key, "1024"), (key, "2048")], reason::PROTOCOL);
    let open = session.text(0, NO_TAG, &text(&[(key, "1024")]));
    session.send(&open);
    let ttt = session.expect(op::TEXT_RESPONSE).ttt();
    let again = session.text(FINAL, ttt, &text(&[(key, "1024")])).set(16, open.itt());
    session.rejected(&again, reason::PROTOCOL);
    // Neither holds.
    assert_eq!(session.read(&read10(0, 4096), 4096).pdus.len(), 1);
}

#[test]
fn ffp_17_7_a_failed_negotiation_keeps_the_old_values() {
    exchanges::failure_keeps_old_values();
}

#[test]
fn ffp_17_8_a_key_may_span_requests_and_an_unknown_one_is_not_understood() {
    let lab = Lab::new();
    let mut session = lab.session();
    let mut ttt = NO_TAG;
    let mut itt = None;
    // A byte at a time.
    let whole = text(&[("X-org.example.q", "yes"), ("MaxRecvDataSegmentLength", "1024")]);
    let (last, bytes) = whole.split_last().unwrap();
    for byte in bytes {
        let part = session.text(CONT, ttt, &[*byte]);
        let part = part.clone().set(16, *itt.get_or_insert(part.itt()));
        session.send(&part);
        let answer = session.expect(op::TEXT_RESPONSE);
        assert_eq!((answer.flags(), answer.data.len()), (0, 0));
        ttt = answer.ttt();
    }
    let part = session.text(FINAL, ttt, &[*last]).set(16, itt.unwrap());
    session.send(&part);
    let answer = session.expect(op::TEXT_RESPONSE);
    assert_eq!((answer.flags(), answer.ttt()), (FINAL, NO_TAG));
    assert_eq!(decode(&answer.data), [("X-org.example.q".into(), "NotUnderstood".into())]);
    assert_eq!(session.read(&read10(0, 4096), 4096).pdus.len(), 4, "1024 holds");
}
