//! The login phase: stages, names, sessions (L1 to L3, L11 to L18, L29 to L31).

use std::io::Read as _;
use std::time::Duration;

use stirrup::target::{Access, Initiators, PortalGroup, Redirect};

use crate::exchanges;
use crate::lab::{BLOCK, Lab, OTHER_TARGET, TARGET, options, pattern};
use crate::login::{
    AT_ONCE, Login, OPERATIONAL, SECURITY, TO_FULL_FEATURE, TO_OPERATIONAL, status, text, value,
};
use crate::session::{reason, write10};
use crate::support::raw::{CONT, FINAL, IMMEDIATE, NO_TAG, Pdu, WRITE, Wire, op};

const INITIATOR_ERROR: u16 = 0x0200;
const MISSING_PARAMETER: u16 = 0x0207;

/// The answer to a login whose first request has this byte 1; `None` for a grant so far.
fn first_request(lab: &Lab, flags: u8) -> (u16, Pdu, Wire) {
    let mut login = lab.login();
    let mut wire = lab.connect();
    let names = login.text();
    let answer = login.step(&mut wire, flags, &names);
    (status(&answer), answer, wire)
}

#[test]
fn l01_nothing_but_logins_before_the_full_feature_phase() {
    let lab = Lab::new();
    // Before a login has begun: the connection ends, without a word (6.3).
    for opcode in (0..0x40).filter(|opcode| *opcode != op::LOGIN) {
        let mut wire = lab.connect();
        wire.send(&Pdu::new(IMMEDIATE | opcode, FINAL).set(16, 5).set(20, NO_TAG));
        assert_eq!(wire.receive(), None, "opcode {opcode:#x}");
    }
    // In the middle of one: it is refused as such.
    for opcode in (0..0x40).filter(|opcode| *opcode != op::LOGIN) {
        let mut login = lab.login();
        let mut wire = lab.connect();
        let names = login.text();
        assert_eq!(status(&login.step(&mut wire, SECURITY, &names)), 0);
        wire.send(&Pdu::new(IMMEDIATE | opcode, FINAL).set(16, 5).set(20, NO_TAG));
        let answer = wire.receive().expect("a login response");
        assert_eq!((answer.opcode(), status(&answer)), (op::LOGIN_RESPONSE, 0x020b));
        assert_eq!(wire.receive(), None);
    }
    lab.session().get(0, BLOCK);
}

#[test]
fn l02_t_and_c_together_are_an_error() {
    let lab = Lab::new();
    for flags in [SECURITY | TO_OPERATIONAL, SECURITY | TO_FULL_FEATURE, AT_ONCE] {
        let (status, _, mut wire) = first_request(&lab, flags | CONT);
        assert_eq!(status, INITIATOR_ERROR);
        assert_eq!(wire.receive(), None);
    }
}

#[test]
fn l03_stages_go_forward_as_asked_and_no_further() {
    let lab = Lab::new();
    for csg in 0..4_u8 {
        for nsg in 0..4_u8 {
            let (status, answer, mut wire) = first_request(&lab, FINAL | csg << 2 | nsg);
            if matches!((csg, nsg), (0, 1) | (0, 3) | (1, 3)) {
                assert_eq!(status, 0, "{csg} to {nsg}");
                assert_eq!(answer.flags(), FINAL | csg << 2 | nsg);
            } else {
                assert_eq!(status, INITIATOR_ERROR, "{csg} to {nsg}");
                assert_eq!(answer.flags() & FINAL, 0);
                assert_eq!(wire.receive(), None);
            }
        }
        // Who does not ask to go on stays, whatever else is in the byte.
        let (status, answer, _) = first_request(&lab, csg << 2 | 3);
        if csg < 2 {
            assert_eq!((status, answer.flags()), (0, csg << 2), "stays in {csg}");
        } else {
            assert_eq!(status, INITIATOR_ERROR, "there is no stage {csg} to be in");
        }
    }
    // Back to a stage that was left, or on to one that was not reached.
    for (first, second) in
        [(SECURITY | TO_OPERATIONAL, SECURITY | TO_FULL_FEATURE), (SECURITY, AT_ONCE)]
    {
        let mut login = lab.login();
        let mut wire = lab.connect();
        let names = login.text();
        assert_eq!(status(&login.step(&mut wire, first, &names)), 0);
        assert_eq!(status(&login.step(&mut wire, second, &[])), INITIATOR_ERROR);
        assert_eq!(wire.receive(), None);
    }
}

/// A login at once with exactly this text.
fn with_text(lab: &Lab, pairs: &[(&str, &str)]) -> u16 {
    let mut wire = lab.connect();
    status(&lab.login().step(&mut wire, AT_ONCE, &text(pairs)))
}

#[test]
fn l11_names_must_be_given_and_normal_is_the_default() {
    let lab = Lab::new();
    let initiator = ("InitiatorName", "iqn.2026-11.test:node");
    let target = ("TargetName", TARGET);
    let normal = ("SessionType", "Normal");
    assert_eq!(with_text(&lab, &[target, normal]), MISSING_PARAMETER);
    assert_eq!(with_text(&lab, &[initiator, normal]), MISSING_PARAMETER);
    assert_eq!(with_text(&lab, &[initiator]), MISSING_PARAMETER);
    assert_eq!(with_text(&lab, &[]), MISSING_PARAMETER);
    assert_eq!(with_text(&lab, &[("SessionType", "Discovery")]), MISSING_PARAMETER);
    assert_eq!(with_text(&lab, &[initiator, ("SessionType", "Other"), target]), 0x0209);
    assert_eq!(with_text(&lab, &[initiator, target]), 0);
    assert_eq!(lab.handle.sessions()[0].target.as_deref(), Some(TARGET), "a normal session");
}

#[test]
fn l12_unknown_forbidden_and_removed_targets() {
    let lab = Lab::new();
    let login = |target| Login::normal(lab.portal, target);
    assert_eq!(login("iqn.2026-11.test:nobody").refused(), 0x0203);
    let nobody = Access { initiators: Initiators::Listed(Vec::new()), ..Access::default() };
    lab.publish_small(OTHER_TARGET, nobody);
    assert_eq!(login(OTHER_TARGET).refused(), 0x0202);
    let mut session = lab.session();
    lab.runtime.block_on(lab.handle.withdraw(TARGET));
    session.expect_closed();
    assert_eq!(login(TARGET).refused(), 0x0203);
}

#[test]
fn l13_the_version_is_0() {
    let lab = Lab::new();
    let attempt = |max, min| {
        let login = lab.login();
        let mut wire = lab.connect();
        wire.send(&login.request(AT_ONCE, &login.text()).byte(2, max).byte(3, min));
        wire.receive().unwrap()
    };
    for min in [1, 2, 255] {
        assert_eq!(status(&attempt(255, min)), 0x0205);
    }
    for max in [0, 1, 255] {
        let answer = attempt(max, 0);
        assert_eq!((status(&answer), answer.bhs[2], answer.bhs[3]), (0, 0, 0), "max and active");
    }
}

#[test]
fn l15_tsih_comes_with_the_final_response_and_is_unique() {
    let lab = Lab::new();
    let mut seen = std::collections::HashSet::new();
    for i in 0..4 {
        let mut login =
            if i < 2 { lab.login().isid(i) } else { Login::discovery(lab.portal).isid(i) };
        let mut wire = lab.connect();
        let names = login.text();
        let stages = [(SECURITY, names.as_slice()), (SECURITY | TO_OPERATIONAL, &[])];
        for (flags, text) in stages {
            let answer = login.step(&mut wire, flags, text);
            assert_eq!((status(&answer), answer.half(14)), (0, 0));
        }
        let last = login.step(&mut wire, OPERATIONAL | TO_FULL_FEATURE, &[]);
        assert_ne!(last.half(14), 0);
        assert!(seen.insert(last.half(14)));
        // It lives as long as its connection.
        std::mem::forget(wire);
    }
}

#[test]
fn l16_sessions_that_are_not_and_connections_too_many() {
    let lab = Lab::new();
    let mut session = lab.session();
    let with = |tsih, cid| {
        let mut login = lab.login();
        (login.tsih, login.cid) = (tsih, cid);
        login.refused()
    };
    assert_eq!(with(session.tsih.wrapping_add(1000), 1), 0x020a, "no such session");
    // Another initiator cannot join it either.
    let mut other = lab.login();
    other.initiator = "iqn.2026-11.test:stranger".into();
    (other.tsih, other.cid) = (session.tsih, 1);
    assert_eq!(other.refused(), 0x020a);
    assert_eq!(with(session.tsih, 1), 0x0206, "MaxConnections is 1");
    session.get(0, BLOCK);
}

#[test]
fn l17_a_session_is_reinstated_when_the_old_ones_tasks_are_over() {
    // Without a logout: the login itself ends the old session.
    exchanges::nothing_outlives_the_session(|_| ());
    let lab = Lab::new();
    let mut old = lab.session();
    let mut new = lab.session();
    old.expect_closed();
    new.get(0, BLOCK);
    assert_eq!(lab.handle.sessions().len(), 1);
}

#[test]
fn l18_a_connection_is_reinstated_in_its_session() {
    let lab = Lab::new();
    let mut old = lab.session();
    let write = old.write_command(0, BLOCK);
    old.send(&write);
    old.expect(op::R2T);
    let mut login = lab.login().cmd_sn(old.cmd_sn);
    login.tsih = old.tsih;
    let mut new = login.session();
    assert_eq!(new.tsih, old.tsih, "the same session");
    old.expect_closed();
    // Its tasks ended with the old connection, and nothing new has to be heard.
    new.put(0, &pattern(BLOCK, 2));
    assert!(new.get(0, BLOCK) == pattern(BLOCK, 2));
}

#[test]
fn l29_a_discovery_session_does_nothing_but_discover() {
    let lab = Lab::new();
    let mut discovery = lab.discovery();
    let command = discovery.command(WRITE, 512, &write10(0, BLOCK)).with(&[1; BLOCK]).immediate();
    discovery.cmd_sn = discovery.cmd_sn.wrapping_sub(1);
    discovery.rejected(&command, reason::PROTOCOL);
    let reset = discovery.tmf(6, NO_TAG, 0);
    discovery.rejected(&reset, reason::PROTOCOL);
    let data = discovery.data_out(&command, NO_TAG, 0, 0, &[1; 512]);
    discovery.rejected(&data, reason::PROTOCOL);
    discovery.ping();
    let answer = discovery.negotiate(&[("SendTargets", "All")]);
    assert_eq!(value(&answer, "TargetName"), Some(TARGET));
    assert_eq!(discovery.log_out(0, 0), 0);
    discovery.expect_closed();
    assert!(lab.session().get(0, BLOCK) == [0; BLOCK]);
}

#[test]
fn l30_numbers_of_the_login_and_of_the_first_command() {
    let lab = Lab::new();
    let mut login = lab.login().cmd_sn(0xffff_ffff);
    let mut wire = lab.connect();
    let names = login.text();
    let mut answers = vec![login.step(&mut wire, SECURITY, &names)];
    for _ in 0..5 {
        answers.push(login.step(&mut wire, SECURITY, &[]));
    }
    for pair in answers.windows(2) {
        assert_eq!(pair[1].stat_sn(), pair[0].stat_sn().wrapping_add(1));
    }
    let last = login.step(&mut wire, SECURITY | TO_FULL_FEATURE, &[]);
    // The first command has the CmdSN of the login, and moves the window by one.
    let mut session = crate::session::Session::begin(login, wire, &last);
    assert_eq!((session.exp_cmd_sn, session.cmd_sn), (0xffff_ffff, 0xffff_ffff));
    session.none(&[0; 6]);
    assert_eq!(session.exp_cmd_sn, 0);
    // What must not change while logging in.
    type Change = fn(&mut Login);
    let changes: [Change; 5] = [
        |login| login.itt += 1,
        |login| login.isid[5] ^= 1,
        |login| login.cid += 1,
        |login| login.tsih += 1,
        |login| login.cmd_sn += 1,
    ];
    for change in changes {
        let mut login = lab.login().isid(77);
        let mut wire = lab.connect();
        let names = login.text();
        assert_eq!(status(&login.step(&mut wire, SECURITY, &names)), 0);
        change(&mut login);
        let answer = login.step(&mut wire, SECURITY, &[]);
        assert_eq!(status(&answer), INITIATOR_ERROR);
        assert_eq!(wire.receive(), None);
    }
}

#[test]
fn l33_the_same_isid_in_another_portal_group_is_another_session() {
    let at = |tag| PortalGroup::open(tag, &["127.0.0.1:0".parse().unwrap(); 2]);
    let lab = Lab::in_groups(options(), vec![at(1), at(2)]);
    let session = |group: usize, portal: usize| {
        let portal = lab.groups[group].portals[portal];
        Login { portal, ..lab.login() }.session().ready()
    };
    let (mut one, mut two) = (session(0, 0), session(1, 0));
    assert_ne!(one.tsih, two.tsih);
    one.put(0, &pattern(BLOCK, 1));
    assert!(two.get(0, BLOCK) == pattern(BLOCK, 1));
    // By another portal of the same group it is the same session again.
    let mut again = session(0, 1);
    one.expect_closed();
    assert!(again.get(0, BLOCK) == pattern(BLOCK, 1));
    two.ping();
    // One that is there in the one group is unknown in the other.
    let mut stranger = Login { portal: lab.groups[1].portals[1], ..lab.login() };
    stranger.tsih = again.tsih;
    stranger.cid = 1;
    assert_eq!(stranger.refused() >> 8, 2);
    again.ping();
}

#[test]
fn l34_a_redirection_says_where_to() {
    let lab = Lab::new();
    for (permanently, status) in [(false, 0x0101), (true, 0x0102)] {
        for address in ["192.0.2.7:3260", "[2001:db8::7]:860"] {
            let moved = Some(Redirect { address: address.into(), permanently });
            lab.publish_small(OTHER_TARGET, Access { moved, ..Access::default() });
            let refused = Login::normal(lab.portal, OTHER_TARGET).go().err().unwrap();
            assert_eq!(refused.status, status);
            let expected = [("TargetAddress".to_owned(), address.to_owned())];
            assert_eq!(refused.text, expected, "without a portal group tag (13.8)");
            // In the security stage, too.
            let mut login = Login::normal(lab.portal, OTHER_TARGET);
            let mut wire = lab.connect();
            let names = login.text();
            let answer = login.step(&mut wire, SECURITY, &names);
            assert_eq!(crate::login::status(&answer), status);
            assert_eq!(crate::login::decode(&answer.data), expected);
            assert_eq!(wire.receive(), None);
        }
    }
}

#[test]
fn l31_slow_and_silent_logins_are_ended_and_few() {
    let mut options = options();
    options.login_timeout = Duration::from_millis(300);
    options.half_open_max = 8;
    let lab = Lab::with(options);
    // Two of an address may be half open; the third is closed at once.
    let (mut silent, mut slow) = (lab.connect(), lab.connect());
    let request = lab.login().request(AT_ONCE, &lab.login().text());
    let bytes = request.frame(slow.digests, crate::support::raw::Lies::default());
    slow.send_bytes(&bytes[..1]);
    let mut third = lab.connect();
    assert_eq!(third.receive(), None);
    // A byte every now and then does not keep a login alive.
    slow.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut sent = 1;
    loop {
        let mut byte = [0];
        match slow.stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => panic!("an answer to half a login"),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(sent < bytes.len() - 1, "the whole login was taken in byte by byte");
        slow.send_bytes(&bytes[sent..=sent]);
        sent += 1;
    }
    assert_eq!(silent.receive(), None);
    lab.session().get(0, BLOCK);
}
