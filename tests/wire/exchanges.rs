//! Full feature phase: pings, rejects, texts, logouts (F21 to F24, F30 to F35).

use std::time::Duration;

use stirrup::target::{Access, Initiators};

use crate::lab::{BLOCK, Lab, OTHER_TARGET, TARGET, options, pattern};
use crate::login::{self, text};
use crate::session::{Session, read10, reason};
use crate::support::raw::{CONT, FINAL, NO_TAG, Pdu, op};

#[test]
fn f21_pings_are_answered_with_their_data_as_far_as_it_fits() {
    let lab = Lab::new();
    let mut session = lab.session_with(&[("MaxRecvDataSegmentLength", "512")]);
    for len in [0, 1, 511, 512, 513, 4096] {
        let ping = session.nop(&pattern(len, 1));
        session.send(&ping);
        let answer = session.expect(op::NOP_IN);
        assert_eq!((answer.itt(), answer.ttt(), answer.flags()), (ping.itt(), NO_TAG, FINAL));
        assert!(answer.data == pattern(len, 1)[..len.min(512)]);
    }
    // One that wants no answer.
    let silent = session.nop(&[]).set(16, NO_TAG);
    session.send(&silent);
    session.ping();
}

/// A lab that pings whoever is silent, at once, and waits so long for the answer.
fn pinging_lab(timeout: Duration) -> Lab {
    let mut options = options();
    options.ping_interval = Some(Duration::from_millis(20));
    options.ping_timeout = timeout;
    Lab::with(options)
}

/// The target's own ping: it takes no StatSN (checked of all that comes) and wants an answer.
pub(crate) fn target_ping() {
    let lab = pinging_lab(crate::support::HANG);
    let mut session = lab.session();
    // Only who has pinged is pinged: boot firmware does not know it.
    session.ping();
    let next = session.stat_sn;
    let ping = session.expect(op::NOP_IN);
    assert_eq!((ping.itt(), ping.flags(), ping.data.len()), (NO_TAG, FINAL, 0));
    assert_ne!(ping.ttt(), NO_TAG);
    let answer = session.nop(&[]).set(16, NO_TAG).set(20, ping.ttt()).set_lun(ping.lun());
    session.send(&answer);
    assert_eq!(session.ping().stat_sn(), next);
}

#[test]
fn f22_a_ping_that_is_not_answered_ends_that_connection_only() {
    let lab = pinging_lab(Duration::from_millis(20));
    let mut neighbour = lab.neighbour();
    let mut silent = lab.session();
    lab.volumes[1].hold();
    silent.lun = crate::session::lun_field(1);
    let read = silent.read_command(0, BLOCK);
    silent.send(&read);
    lab.volumes[1].wait_for(1);
    silent.ping();
    let ping = silent.expect(op::NOP_IN);
    assert_eq!(ping.itt(), NO_TAG);
    silent.expect_closed();
    lab.volumes[1].release();
    neighbour.put(0, &pattern(BLOCK, 1));
    // Its task is over with it: the same name comes in at once.
    lab.session().get(0, BLOCK);
}

#[test]
fn f23_rejects_carry_the_header_and_the_right_reason() {
    let mut options = options();
    options.session.immediate_commands = 1;
    let lab = Lab::with(options);
    let keys = [("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")];
    let mut session = lab.session_with(&keys);
    // 0x02 is tried with F25; each of these has the whole header, data segment length included.
    let snack = Pdu::new(op::SNACK, FINAL).set(16, 1).set(20, NO_TAG);
    session.rejected(&snack, reason::SNACK);
    let text = session.text(FINAL | CONT, NO_TAG, b"X-a=b\0");
    session.rejected(&text, reason::PROTOCOL);
    let unknown = Pdu::new(0x1d, FINAL).set(16, 5).with(b"whatever");
    session.rejected(&unknown, reason::NOT_SUPPORTED);
    lab.volumes[0].hold();
    let running = session.read_command(0, BLOCK).immediate();
    session.cmd_sn = session.cmd_sn.wrapping_sub(1);
    session.send(&running);
    let second = session.read_command(0, BLOCK).immediate();
    session.cmd_sn = session.cmd_sn.wrapping_sub(1);
    session.rejected(&second, reason::IMMEDIATE);
    // The tag of a task that is in progress, with the next CmdSN.
    let same_tag = session.read_command(0, BLOCK).set(16, running.itt());
    session.rejected(&same_tag, reason::IN_PROGRESS);
    lab.volumes[0].wait_for(1);
    lab.volumes[0].release();
    session.finish(&running, &[]).good();
    let no_reason = session.logout(9, 0);
    session.rejected(&no_reason, reason::INVALID_FIELD);
    let reserved_tag = session.read_command(0, BLOCK).set(16, NO_TAG);
    session.rejected(&reserved_tag, reason::INVALID_FIELD);
    session.get(0, BLOCK);
}

#[test]
fn f24_a_snack_at_recovery_level_0_is_rejected_and_survived() {
    let lab = Lab::new();
    let mut session = lab.session();
    assert_eq!(session.answer("ErrorRecoveryLevel"), None);
    for kind in 0..=3 {
        let snack = Pdu::new(op::SNACK, FINAL | kind)
            .set(16, if kind == 1 { NO_TAG } else { 0x1234 })
            .set(20, NO_TAG)
            .set(28, session.stat_sn);
        session.rejected(&snack, reason::SNACK);
        session.get(0, BLOCK);
    }
}

fn names(pairs: &[(String, String)]) -> Vec<&str> {
    pairs.iter().filter(|(key, _)| key == "TargetName").map(|(_, name)| name.as_str()).collect()
}

#[test]
fn f30_send_targets_gives_each_session_what_it_may_ask() {
    let lab = Lab::new();
    lab.publish_small(OTHER_TARGET, Access::default());
    let nobody = Access { initiators: Initiators::Listed(Vec::new()), ..Access::default() };
    lab.publish_small("iqn.2026-11.test:secret", nobody);
    let mut discovery = lab.discovery();
    let all = discovery.negotiate(&[("SendTargets", "All")]);
    assert_eq!(names(&all), [TARGET, OTHER_TARGET], "what it may log in to, and no more");
    let address = format!("{},1", lab.portal);
    assert!(all.iter().filter(|(key, _)| key == "TargetAddress").all(|(_, at)| *at == address));
    assert_eq!(all.len(), 4, "each with its address, and no other keys: {all:?}");
    assert_eq!(names(&discovery.negotiate(&[("SendTargets", OTHER_TARGET)])), [OTHER_TARGET]);
    let mut session = lab.session();
    session.negotiate_in_vain(&[("SendTargets", "All")], reason::PROTOCOL);
    assert_eq!(names(&session.negotiate(&[("SendTargets", "")])), [TARGET]);
    assert_eq!(names(&session.negotiate(&[("SendTargets", TARGET)])), [TARGET]);
    // Appendix C: nothing about other targets.
    assert_eq!(session.negotiate(&[("SendTargets", OTHER_TARGET)]), []);
}

/// Sends the next empty request of an exchange that has more to say.
fn more(session: &mut Session, request: &Pdu, ttt: u32) -> Pdu {
    let next = session.text(FINAL, ttt, &[]).set(16, request.itt());
    session.send(&next);
    session.expect(op::TEXT_RESPONSE)
}

#[test]
fn f31_long_answers_go_on_and_a_new_request_resets_them() {
    let lab = Lab::new();
    for i in 0..60 {
        lab.publish_small(&format!("iqn.2026-11.test:{i:0>150}"), Access::default());
    }
    let mut discovery =
        login::Login::discovery(lab.portal).key("MaxRecvDataSegmentLength", "512").session();
    let ask = discovery.text(FINAL, NO_TAG, &text(&[("SendTargets", "All")]));
    discovery.send(&ask);
    let mut answer = discovery.expect(op::TEXT_RESPONSE);
    let mut all = answer.data.clone();
    let mut count = 1;
    while answer.flags() & FINAL == 0 {
        assert_eq!((answer.flags(), answer.itt()), (CONT, ask.itt()), "{answer:?}");
        assert_ne!(answer.ttt(), NO_TAG);
        answer = more(&mut discovery, &ask, answer.ttt());
        all.extend(&answer.data);
        count += 1;
    }
    assert_eq!(answer.ttt(), NO_TAG);
    assert_eq!(names(&login::decode(&all)).len(), 61);
    assert!(count >= all.len() / 512);
    // Left in the middle: a new request begins anew, and the old one cannot go on.
    let ask = discovery.text(FINAL, NO_TAG, &text(&[("SendTargets", "All")]));
    discovery.send(&ask);
    let left = discovery.expect(op::TEXT_RESPONSE);
    assert_eq!(names(&discovery.negotiate(&[("SendTargets", TARGET)])), [TARGET]);
    let late = discovery.text(FINAL, left.ttt(), &[]).set(16, ask.itt());
    discovery.rejected(&late, reason::PROTOCOL);
    // What an initiator may send before it gets its answer has an end, too.
    let mut request = discovery.text(CONT, NO_TAG, &[b'a'; 8000]);
    let itt = request.itt();
    loop {
        discovery.send(&request);
        let answer = discovery.receive();
        if answer.opcode() == op::REJECT {
            break assert_eq!(answer.bhs[2], reason::LONG_OPERATION);
        }
        assert_eq!((answer.opcode(), answer.data.len()), (op::TEXT_RESPONSE, 0));
        request = request.set(20, answer.ttt()).set(16, itt).set(28, discovery.stat_sn);
        assert!(discovery.stat_sn < 1000, "it listens for ever");
    }
    discovery.negotiate(&[("SendTargets", TARGET)]);
}

/// A failed negotiation in the full feature phase changes nothing.
pub(crate) fn failure_keeps_old_values() {
    let lab = Lab::new();
    let mut session = lab.session();
    let parts = |session: &mut Session| session.read(&read10(0, 4096), 4096).pdus.len();
    assert_eq!(parts(&mut session), 1);
    let answer = session.negotiate(&[("MaxRecvDataSegmentLength", "1024")]);
    assert_eq!(answer, [], "ours is declared already");
    session.own_segment_max = 1024;
    assert_eq!(parts(&mut session), 4, "it counts from now on");
    // MaxBurstLength is for the leading login only: the whole exchange fails.
    let keys = [("MaxRecvDataSegmentLength", "4096"), ("MaxBurstLength", "512")];
    session.negotiate_in_vain(&keys, reason::PROTOCOL);
    assert_eq!(parts(&mut session), 4, "as before");
    session.negotiate_in_vain(&[("MaxRecvDataSegmentLength", "511")], reason::PROTOCOL);
    assert_eq!(parts(&mut session), 4, "as before");
    // Over two requests: the first part of it does not hold either.
    let first = session.text(0, NO_TAG, &text(&[("MaxRecvDataSegmentLength", "2048")]));
    session.send(&first);
    let ttt = session.expect(op::TEXT_RESPONSE).ttt();
    let second = session.text(FINAL, ttt, &text(&[("MaxConnections", "2")])).set(16, first.itt());
    session.rejected(&second, reason::PROTOCOL);
    assert_eq!(parts(&mut session), 4, "as before");
}

#[test]
fn f32_text_negotiation_changes_what_may_change_and_fails_whole() {
    failure_keeps_old_values();
}

#[test]
fn f33_logouts_are_answered_by_reason_and_the_close_follows() {
    let lab = Lab::new();
    for reason in [0, 1] {
        let mut session = lab.session();
        assert_eq!(session.log_out(reason, 0), 0);
        session.expect_closed();
    }
    let mut session = lab.session();
    assert_eq!(session.log_out(1, 7), 1, "no such CID");
    assert_eq!(session.log_out(2, 0), 2, "no recovery at level 0");
    session.get(0, BLOCK);
    let time = session.logout(0, 0);
    session.send(&time);
    let response = session.expect(op::LOGOUT_RESPONSE);
    assert_eq!(response.half(40), 2, "Time2Wait as negotiated by default");
    session.expect_closed();
}

#[test]
fn f34_a_request_to_log_out_says_how_long_there_is_and_means_it() {
    let lab = Lab::new();
    let ask = |seconds| {
        let id = lab.handle.sessions()[0].id;
        let _within = lab.runtime.enter();
        assert!(lab.handle.request_logout(id, Duration::from_secs(seconds)));
    };
    let mut session = lab.session();
    session.ping();
    ask(40_000);
    let message = session.expect(op::ASYNC);
    assert_eq!((message.flags(), message.word(16), message.lun()), (FINAL, NO_TAG, 0));
    assert_eq!(message.bhs[36], 1, "the target requests logout");
    let parameters = [message.half(38), message.half(40), message.half(42)];
    assert_eq!(parameters, [0, 0, 40_000], "Parameter3 is the time in seconds");
    session.get(0, BLOCK);
    assert_eq!(session.log_out(0, 0), 0);
    session.expect_closed();
    // Who does not go is dropped.
    let mut session = lab.session();
    session.ping();
    ask(1);
    assert_eq!(session.expect(op::ASYNC).half(42), 1);
    session.expect_closed();
    lab.session().get(0, BLOCK);
}

/// What a session had in the store is over before the next of its name does anything, and has no
/// effect later, though the store hangs all the while.
pub(crate) fn nothing_outlives_the_session(end: impl FnOnce(&mut Session)) {
    let lab = Lab::new();
    let mut old = lab.session_with(&[("InitialR2T", "No")]);
    lab.volumes[0].hold();
    let write = old.write_command(0, BLOCK).with(&pattern(BLOCK, 1));
    old.send(&write);
    lab.volumes[0].wait_for(1);
    end(&mut old);
    let mut new = lab.session_with(&[("InitialR2T", "No")]);
    old.expect_closed();
    // The store would be done with the new write before the old one.
    lab.volumes[0].let_others_pass();
    let write = new.write_command(0, BLOCK).with(&pattern(BLOCK, 2));
    new.send(&write);
    new.ping();
    lab.volumes[0].release();
    new.finish(&write, &[]).good();
    assert!(new.get(0, BLOCK) == pattern(BLOCK, 2), "the old write came late");
    assert_eq!(lab.handle.sessions().len(), 1);
}

#[test]
fn f35_the_tasks_of_a_closed_connection_end_before_its_name_is_used_again() {
    nothing_outlives_the_session(|old| {
        assert_eq!(old.log_out(0, 0), 0);
        old.expect_closed();
    });
    nothing_outlives_the_session(|old| old.wire.finish_sending());
}
