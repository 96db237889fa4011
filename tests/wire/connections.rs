//! Several connections in one session (RFC 7143 4.2.5.1, 6.3.4, 7.14, 11.14).

use crate::lab::{BLOCK, Lab, TARGET, options, pattern};
use crate::login::Login;
use crate::session::{CHECK_CONDITION, GOOD, Session, lun_field, reason};
use crate::support::raw::{FINAL, NO_TAG, Pdu, op};

/// SOME COMMANDS CLEARED BY ISCSI PROTOCOL EVENT.
const CLEARED_BY_PROTOCOL: (u8, u8, u8) = (0x06, 0x47, 0x7f);
const TOO_MANY_CONNECTIONS: u16 = 0x0206;
const NO_SUCH_SESSION: u16 = 0x020a;

fn lab(max_connections: u16) -> Lab {
    let mut options = options();
    options.login.max_connections = max_connections;
    options.login.error_recovery_level = 1;
    Lab::with(options)
}

/// The leading connection of a session of at most two.
fn leading(lab: &Lab, level: &str) -> Session {
    let keys = [("MaxConnections", "2"), ("ErrorRecoveryLevel", level), ("ImmediateData", "No")];
    lab.session_with(&keys)
}

/// The login of another connection. The keys of the session are not negotiated again.
fn joining(leading: &Session, cid: u16) -> Login {
    let mut login = leading.login.clone();
    (login.tsih, login.cid, login.cmd_sn) = (leading.tsih, cid, leading.cmd_sn);
    login.exp_stat_sn = 0;
    login.keys.clear();
    login
}

fn join(leading: &Session, cid: u16) -> Session {
    joining(leading, cid).session()
}

/// The commands of a session are numbered through.
fn next_on(to: &mut Session, from: &Session) {
    to.cmd_sn = from.cmd_sn;
}

fn two(lab: &Lab, level: &str) -> (Session, Session) {
    let first = leading(lab, level);
    assert_eq!(first.answer("MaxConnections"), Some("2"));
    let second = join(&first, 1);
    assert_eq!(second.tsih, first.tsih);
    (first, second)
}

#[test]
fn as_many_connections_as_were_agreed_on() {
    let lab = lab(2);
    let (first, second) = two(&lab, "0");
    assert_eq!(joining(&first, 2).refused(), TOO_MANY_CONNECTIONS);
    let mut unknown = joining(&first, 2);
    unknown.tsih = first.tsih.wrapping_add(1);
    assert_eq!(unknown.refused(), NO_SUCH_SESSION);
    drop(second);
    drop(first);
    // One that has agreed on a single one.
    let single = lab.login().isid(9).session();
    assert_eq!(joining(&single, 1).refused(), TOO_MANY_CONNECTIONS);
}

#[test]
fn keys_of_the_session_are_not_negotiated_again() {
    let lab = lab(2);
    let first = leading(&lab, "0");
    let login = joining(&first, 1).key("MaxBurstLength", "8192");
    assert_eq!(login.refused(), 0x0200);
}

#[test]
fn commands_over_both_connections_are_executed_in_order() {
    let lab = lab(2);
    let (mut first, mut second) = two(&lab, "0");
    let mut number = first.cmd_sn;
    let mut take = |session: &mut Session| {
        session.cmd_sn = number;
        number = number.wrapping_add(1);
    };
    // 1: write on the second, 2: write on the first, 3: read on the second. 1 comes last.
    take(&mut second);
    let write = second.write_command(0, BLOCK);
    take(&mut first);
    let over = first.write_command(0, BLOCK);
    take(&mut second);
    let read = second.read_command(0, BLOCK);
    first.send(&over);
    first.ping();
    second.send(&read);
    second.ping();
    second.send(&write);
    // Each asks for its data where it came.
    let r2t = second.expect(op::R2T);
    assert_eq!(r2t.itt(), write.itt());
    // Data by the wrong connection is refused, and harms nobody.
    let asked = first.expect(op::R2T);
    assert_eq!(asked.itt(), over.itt());
    let mut astray = first.data_out(&write, r2t.ttt(), 0, 0, &pattern(BLOCK, 9));
    astray.bhs[1] = FINAL;
    first.send(&astray);
    assert_eq!(first.expect(op::REJECT).bhs[2], reason::PROTOCOL);
    // The read does not wait for the data of the writes; it is answered on its connection.
    second.finish(&read, &[]).good();
    second.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
    second.finish(&write, &pattern(BLOCK, 1)).good();
    first.answer_r2t(&over, &asked, &pattern(BLOCK, 2));
    first.finish(&over, &pattern(BLOCK, 2)).good();
    take(&mut second);
    assert!(second.get(0, BLOCK) == pattern(BLOCK, 2));
}

#[test]
fn logout_of_one_connection_leaves_the_other() {
    // By itself, and by way of the other.
    for by_itself in [true, false] {
        let lab = lab(2);
        let (mut first, mut second) = two(&lab, "0");
        lab.volumes[0].hold();
        next_on(&mut second, &first);
        let stuck = second.read_command(0, BLOCK);
        second.send(&stuck);
        lab.volumes[0].wait_for(1);
        next_on(&mut first, &second);
        let by = if by_itself { &mut second } else { &mut first };
        assert_eq!(by.log_out(1, 1), 0);
        second.expect_closed();
        lab.volumes[0].release();
        let end = first.none(&[0; 6]);
        assert_eq!((end.status, end.codes()), (CHECK_CONDITION, CLEARED_BY_PROTOCOL));
        first.put(0, &pattern(BLOCK, 1));
        // Its place is free again.
        let mut again = join(&first, 1);
        assert!(again.get(0, BLOCK) == pattern(BLOCK, 1));
        next_on(&mut first, &again);
        assert_eq!(first.log_out(0, 0), 0);
        first.expect_closed();
        again.expect_closed();
        assert_eq!(joining(&first, 1).refused(), NO_SUCH_SESSION);
    }
}

#[test]
fn a_lost_connection_takes_the_session_along_at_level_0() {
    let lab = lab(2);
    let (mut first, second) = two(&lab, "0");
    drop(second);
    first.expect_closed();
}

#[test]
fn the_session_outlives_a_lost_connection_at_level_1() {
    let lab = lab(2);
    let (mut first, mut second) = two(&lab, "1");
    lab.volumes[0].hold();
    next_on(&mut second, &first);
    let write = second.write_command(0, BLOCK);
    second.send(&write);
    let r2t = second.expect(op::R2T);
    second.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
    lab.volumes[0].wait_for(1);
    next_on(&mut first, &second);
    drop(second);
    // The store still has the write; a new one to the same block waits for it.
    loop {
        let end = first.none(&[0; 6]);
        if end.status != GOOD {
            assert_eq!(end.codes(), CLEARED_BY_PROTOCOL);
            break;
        }
    }
    let over = first.write_command(0, BLOCK);
    first.send(&over);
    let r2t = first.expect(op::R2T);
    first.answer_r2t(&over, &r2t, &pattern(BLOCK, 2));
    first.ping();
    lab.volumes[0].release();
    first.finish(&over, &pattern(BLOCK, 2)).good();
    assert!(first.get(0, BLOCK) == pattern(BLOCK, 2));
}

#[test]
fn one_connection_is_reinstated_while_the_other_goes_on() {
    let lab = lab(2);
    let (mut first, mut old) = two(&lab, "0");
    lab.volumes[0].hold();
    next_on(&mut old, &first);
    let stuck = old.read_command(0, BLOCK);
    old.send(&stuck);
    lab.volumes[0].wait_for(1);
    next_on(&mut first, &old);
    let mut new = join(&first, 1);
    old.expect_closed();
    lab.volumes[0].release();
    next_on(&mut new, &first);
    assert_eq!(new.none(&[0; 6]).codes(), CLEARED_BY_PROTOCOL);
    new.put(0, &pattern(BLOCK, 3));
    next_on(&mut first, &new);
    assert!(first.get(0, BLOCK) == pattern(BLOCK, 3));
}

#[test]
fn a_function_ends_tasks_of_both_connections() {
    let lab = lab(2);
    let (mut first, mut second) = two(&lab, "0");
    lab.volumes[0].hold();
    let one = first.read_command(0, BLOCK);
    first.send(&one);
    next_on(&mut second, &first);
    let other = second.read_command(1, BLOCK);
    second.send(&other);
    lab.volumes[0].wait_for(2);
    // Its answer is not acknowledged yet.
    second.ping();
    next_on(&mut first, &second);
    let itt = first.take_itt();
    let abort_task_set = Pdu::new(op::TMF, FINAL | 2)
        .immediate()
        .set_lun(lun_field(0))
        .set(16, itt)
        .set(20, NO_TAG)
        .set(24, first.cmd_sn)
        .set(28, first.stat_sn);
    first.send(&abort_task_set);
    // A ping has the initiator say that it has all that was sent on the second connection.
    let ping = second.expect(op::NOP_IN);
    let pong = Pdu::new(op::NOP_OUT, FINAL)
        .immediate()
        .set(16, NO_TAG)
        .set(20, ping.ttt())
        .set(24, second.cmd_sn)
        .set(28, second.stat_sn);
    second.send(&pong);
    let response = first.expect(op::TMF_RESPONSE);
    assert_eq!((response.itt(), response.bhs[2]), (itt, 0));
    lab.volumes[0].release();
    // Nothing of them comes any more.
    first.ping();
    second.ping();
    first.get(0, BLOCK);
}

#[test]
fn a_session_of_two_connections_ends_with_its_target() {
    let lab = lab(2);
    let (mut first, mut second) = two(&lab, "0");
    lab.runtime.block_on(lab.handle.withdraw(TARGET));
    first.expect_closed();
    second.expect_closed();
}
