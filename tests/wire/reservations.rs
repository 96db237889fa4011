//! Reservations (T18, T19).

use crate::lab::{BLOCK, Lab, pattern};
use crate::management::pr_out;
use crate::session::{
    CHECK_CONDITION, Codes, GOOD, RESERVATION_CONFLICT, Session, read10, write10,
};
use crate::support::raw::op;

/// Service actions of PERSISTENT RESERVE OUT.
const REGISTER: u8 = 0;
const RESERVE: u8 = 1;
const RELEASE: u8 = 2;
const CLEAR: u8 = 3;
const PREEMPT: u8 = 4;
const PREEMPT_AND_ABORT: u8 = 5;
const REGISTER_AND_IGNORE: u8 = 6;

const WRITE_EXCLUSIVE: u8 = 1;
const EXCLUSIVE_ACCESS: u8 = 3;
const WRITE_EXCLUSIVE_REGISTRANTS: u8 = 5;
const EXCLUSIVE_ACCESS_REGISTRANTS: u8 = 6;
const WRITE_EXCLUSIVE_ALL: u8 = 7;
const EXCLUSIVE_ACCESS_ALL: u8 = 8;

const REGISTRATIONS_PREEMPTED: Codes = (6, 0x2a, 0x05);
const RESERVATIONS_RELEASED: Codes = (6, 0x2a, 0x04);
const RESERVATIONS_PREEMPTED: Codes = (6, 0x2a, 0x03);

const KEY: u64 = 0x1111;
const OTHER_KEY: u64 = 0x2222;

/// Generation and registered keys.
fn keys(session: &mut Session) -> (u32, Vec<u64>) {
    let data = session.read(&[0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0], 256).data;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let keys = data[8..].chunks(8).map(number).collect();
    (u32::try_from(number(&data[..4])).unwrap(), keys)
}

/// Key and type of the reservation.
fn reservation(session: &mut Session) -> Option<(u64, u8)> {
    let data = session.read(&[0x5e, 1, 0, 0, 0, 0, 0, 0, 64, 0], 64).data;
    (data.len() > 8).then(|| {
        let key = u64::from_be_bytes(data[8..16].try_into().unwrap());
        (key, data[21] & 0x0f)
    })
}

/// The statuses of a read, a write, INQUIRY and TEST UNIT READY, after unit attentions.
fn allowed(session: &mut Session) -> [u8; 4] {
    let run = |session: &mut Session, which| loop {
        let end = match which {
            0 => session.read(&read10(0, BLOCK), BLOCK),
            1 => session.write(&write10(0, BLOCK), &pattern(BLOCK, 1)),
            2 => session.read(&[0x12, 0, 0, 0, 36, 0], 36),
            _ => session.none(&[0; 6]),
        };
        if end.status != CHECK_CONDITION {
            return end.status;
        }
        assert_eq!(end.codes().0, 6, "{end:?}");
    };
    [run(session, 0), run(session, 1), run(session, 2), run(session, 3)]
}

#[test]
fn t18_persistent_reservations() {
    let lab = Lab::new();
    let (mut holder, mut registrant) = (lab.session(), lab.neighbour());
    let mut stranger = lab.login().isid(9).session().ready();
    let (first, none) = keys(&mut holder);
    assert!(none.is_empty());
    // Who is not registered cannot do anything.
    assert_eq!(pr_out(&mut holder, RESERVE, 1, 0, 0).status, RESERVATION_CONFLICT);
    pr_out(&mut holder, REGISTER, 0, 0, KEY).good();
    assert_eq!(pr_out(&mut holder, REGISTER, 0, 0, KEY).status, RESERVATION_CONFLICT, "its key");
    pr_out(&mut registrant, REGISTER_AND_IGNORE, 0, 0, OTHER_KEY).good();
    assert_eq!(keys(&mut stranger), (first + 2, vec![KEY, OTHER_KEY]));
    // All types: what registrants and strangers may do.
    const NO: u8 = RESERVATION_CONFLICT;
    const ALL: [u8; 4] = [GOOD; 4];
    const READS: [u8; 4] = [GOOD, NO, GOOD, GOOD];
    const LITTLE: [u8; 4] = [NO, NO, GOOD, GOOD];
    for (kind, of_registrant, of_stranger) in [
        (WRITE_EXCLUSIVE, READS, READS),
        (EXCLUSIVE_ACCESS, LITTLE, LITTLE),
        (WRITE_EXCLUSIVE_REGISTRANTS, ALL, READS),
        (EXCLUSIVE_ACCESS_REGISTRANTS, ALL, LITTLE),
        (WRITE_EXCLUSIVE_ALL, ALL, READS),
        (EXCLUSIVE_ACCESS_ALL, ALL, LITTLE),
    ] {
        pr_out(&mut holder, RESERVE, kind, KEY, 0).good();
        let key = if kind < WRITE_EXCLUSIVE_ALL { KEY } else { 0 };
        assert_eq!(reservation(&mut stranger), Some((key, kind)));
        assert_eq!(allowed(&mut holder), ALL, "type {kind}: the holder");
        assert_eq!(allowed(&mut registrant), of_registrant, "type {kind}: a registrant");
        assert_eq!(allowed(&mut stranger), of_stranger, "type {kind}: a stranger");
        // A second reservation of another type, by whom ever, is none.
        let other = if kind == 1 { 3 } else { 1 };
        assert_eq!(pr_out(&mut holder, RESERVE, other, KEY, 0).status, NO);
        assert_eq!(pr_out(&mut holder, RELEASE, other, KEY, 0).codes(), (5, 0x26, 0x04));
        pr_out(&mut holder, RELEASE, kind, KEY, 0).good();
        let released = registrant.none(&[0; 6]);
        if kind >= WRITE_EXCLUSIVE_REGISTRANTS {
            assert_eq!(released.codes(), RESERVATIONS_RELEASED);
        } else {
            assert_eq!(released.status, GOOD);
        }
        assert_eq!(reservation(&mut stranger), None);
    }
    assert_eq!(keys(&mut stranger).0, first + 2, "reserving is no new generation");
    // Taken away.
    pr_out(&mut holder, RESERVE, EXCLUSIVE_ACCESS, KEY, 0).good();
    pr_out(&mut registrant, PREEMPT, WRITE_EXCLUSIVE, OTHER_KEY, KEY).good();
    assert_eq!(keys(&mut stranger), (first + 3, vec![OTHER_KEY]));
    assert_eq!(reservation(&mut stranger), Some((OTHER_KEY, WRITE_EXCLUSIVE)));
    assert_eq!(holder.none(&[0; 6]).codes(), REGISTRATIONS_PREEMPTED);
    assert_eq!(allowed(&mut holder), READS);
    // A loss of the session changes nothing.
    drop(registrant);
    let mut registrant = lab.neighbour();
    assert_eq!(allowed(&mut holder), READS);
    // Cleared.
    pr_out(&mut holder, REGISTER, 0, 0, KEY).good();
    pr_out(&mut registrant, CLEAR, 0, OTHER_KEY, 0).good();
    assert_eq!(keys(&mut stranger), (first + 5, vec![]));
    assert_eq!(holder.none(&[0; 6]).codes(), RESERVATIONS_PREEMPTED);
    assert_eq!(allowed(&mut holder), ALL);
    // Taken away with its tasks: they end, and nothing of them is late.
    pr_out(&mut holder, REGISTER, 0, 0, KEY).good();
    pr_out(&mut registrant, REGISTER, 0, 0, OTHER_KEY).good();
    pr_out(&mut holder, RESERVE, WRITE_EXCLUSIVE_REGISTRANTS, KEY, 0).good();
    lab.volumes[0].hold();
    let write = holder.write_command(8, BLOCK).with(&pattern(BLOCK, 7));
    holder.send(&write);
    lab.volumes[0].wait_for(1);
    let mut list = [0; 24];
    list[..8].copy_from_slice(&OTHER_KEY.to_be_bytes());
    list[8..16].copy_from_slice(&KEY.to_be_bytes());
    let cdb = [0x5f, PREEMPT_AND_ABORT, WRITE_EXCLUSIVE, 0, 0, 0, 0, 0, 24, 0];
    let preempt = registrant.command(crate::support::raw::WRITE, 24, &cdb).with(&list);
    registrant.send(&preempt);
    registrant.finish(&preempt, &[]).good();
    lab.volumes[0].let_others_pass();
    let over = registrant.write_command(8, BLOCK).with(&pattern(BLOCK, 8));
    registrant.send(&over);
    registrant.ping();
    lab.volumes[0].release();
    registrant.finish(&over, &[]).good();
    const TASK_ABORTED: u8 = 0x40;
    assert_eq!(holder.finish(&write, &[]).status, TASK_ABORTED);
    assert_eq!(holder.none(&[0; 6]).codes(), REGISTRATIONS_PREEMPTED);
    assert_eq!(holder.none(&[0; 6]).status, GOOD);
    assert!(registrant.get(8, BLOCK) == pattern(BLOCK, 8));
    assert_eq!(keys(&mut stranger).1, [OTHER_KEY]);
    assert_eq!(registrant.ping().opcode(), op::NOP_IN);
}

#[test]
fn t18_persistent_reservations_outlive_a_restart_if_asked_to() {
    const APTPL: u8 = 1;
    let with_flags = |session: &mut Session, action, key: u64, action_key: u64, flags| {
        let mut list = [0; 24];
        list[..8].copy_from_slice(&key.to_be_bytes());
        list[8..16].copy_from_slice(&action_key.to_be_bytes());
        list[20] = flags;
        session.write(&[0x5f, action, WRITE_EXCLUSIVE, 0, 0, 0, 0, 0, 24, 0], &list).good();
    };
    let conflict = |session: &mut Session| allowed(session)[1] == RESERVATION_CONFLICT;
    for flags in [APTPL, 0] {
        let lab = Lab::new();
        let mut holder = lab.session();
        with_flags(&mut holder, REGISTER, 0, KEY, flags);
        with_flags(&mut holder, RESERVE, KEY, 0, 0);
        assert!(conflict(&mut lab.neighbour()));
        drop(holder);
        let lab = lab.restart();
        let (mut holder, mut neighbour) = (lab.session(), lab.neighbour());
        let kept = flags == APTPL;
        assert_eq!(conflict(&mut neighbour), kept, "before anybody says anything");
        assert_eq!(reservation(&mut neighbour), kept.then_some((KEY, WRITE_EXCLUSIVE)));
        assert_eq!(allowed(&mut holder), [GOOD; 4], "the holder is who it was");
        assert_eq!(keys(&mut holder).1, if kept { vec![KEY] } else { vec![] });
    }
}

/// The TransportID of an initiator port (SPC-4 7.6.4.6): its name and ISID.
fn transport_id(session: &Session) -> Vec<u8> {
    let isid = session.login.isid.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let mut name = format!("{},i,0x{isid:012x}", session.login.initiator).into_bytes();
    name.push(0);
    name.resize(name.len().next_multiple_of(4).max(20), 0);
    let len = u16::try_from(name.len()).unwrap().to_be_bytes();
    [&[0x45, 0][..], &len, &name].concat()
}

#[test]
fn t18_reservations_are_moved_and_registered_for_others() {
    const REGISTER_AND_MOVE: u8 = 7;
    const SPEC_I_PT: u8 = 8;
    const UNREG: u8 = 2;
    let lab = Lab::new();
    let (mut holder, mut other) = (lab.session(), lab.neighbour());
    let run = |session: &mut Session, action: u8, kind: u8, list: &[u8]| {
        let len = u8::try_from(list.len()).unwrap();
        session.write(&[0x5f, action, kind, 0, 0, 0, 0, 0, len, 0], list)
    };
    // Registered for both ports at once.
    let id = transport_id(&other);
    let mut list = vec![0; 28];
    list[8..16].copy_from_slice(&KEY.to_be_bytes());
    list[20] = SPEC_I_PT;
    list[24..28].copy_from_slice(&u32::try_from(id.len()).unwrap().to_be_bytes());
    list.extend(&id);
    run(&mut holder, REGISTER, 0, &list).good();
    assert_eq!(keys(&mut other).1, [KEY, KEY]);
    pr_out(&mut holder, RESERVE, EXCLUSIVE_ACCESS, KEY, 0).good();
    // Handed over, with a new key, and gone oneself.
    let mut list = vec![0; 24];
    list[..8].copy_from_slice(&KEY.to_be_bytes());
    list[8..16].copy_from_slice(&OTHER_KEY.to_be_bytes());
    list[17] = UNREG;
    list[19] = 1;
    list[20..24].copy_from_slice(&u32::try_from(id.len()).unwrap().to_be_bytes());
    list.extend(&id);
    run(&mut holder, REGISTER_AND_MOVE, 0, &list).good();
    assert_eq!(keys(&mut other).1, [OTHER_KEY]);
    assert_eq!(reservation(&mut other), Some((OTHER_KEY, EXCLUSIVE_ACCESS)));
    assert_eq!(allowed(&mut other), [GOOD; 4]);
    let conflict = RESERVATION_CONFLICT;
    assert_eq!(allowed(&mut holder), [conflict, conflict, GOOD, GOOD]);
    // Who is not the holder has nothing to hand over.
    assert_eq!(run(&mut holder, REGISTER_AND_MOVE, 0, &list).status, conflict);
}

#[test]
fn t19_reserve_and_persistent_reservations_keep_out_of_each_others_way() {
    const RESERVE_6: [u8; 6] = [0x16, 0, 0, 0, 0, 0];
    const RELEASE_6: [u8; 6] = [0x17, 0, 0, 0, 0, 0];
    let lab = Lab::new();
    let (mut one, mut other) = (lab.session(), lab.neighbour());
    one.none(&RESERVE_6).good();
    // Nobody else gets at it, but for what asks who it is.
    assert_eq!(allowed(&mut other)[1..3], [RESERVATION_CONFLICT, GOOD]);
    assert_eq!(other.none(&RESERVE_6).status, RESERVATION_CONFLICT);
    assert_eq!(pr_out(&mut other, REGISTER, 0, 0, KEY).status, RESERVATION_CONFLICT);
    // It is not theirs to release, and that is no error.
    assert_eq!(other.none(&RELEASE_6).status, GOOD);
    assert_eq!(other.none(&RESERVE_6).status, RESERVATION_CONFLICT);
    one.none(&RELEASE_6).good();
    other.none(&RESERVE_6).good();
    other.none(&RELEASE_6).good();
    // Under a persistent reservation, the compatible handling that REPORT CAPABILITIES tells of:
    // it succeeds for the holder and registrants and does nothing; for others it conflicts.
    let capabilities = one.read(&[0x5e, 2, 0, 0, 0, 0, 0, 0, 8, 0], 8).good();
    assert_eq!(capabilities[2] & 0x10, 0x10, "CRH");
    pr_out(&mut one, REGISTER, 0, 0, KEY).good();
    pr_out(&mut one, RESERVE, WRITE_EXCLUSIVE, KEY, 0).good();
    one.none(&RESERVE_6).good();
    one.none(&RELEASE_6).good();
    assert_eq!(reservation(&mut one), Some((KEY, WRITE_EXCLUSIVE)));
    assert_eq!(other.none(&RESERVE_6).status, RESERVATION_CONFLICT);
    // The session ends: so does what RESERVE had, and nothing else.
    pr_out(&mut one, CLEAR, 0, KEY, 0).good();
    one.none(&RESERVE_6).good();
    assert_eq!(one.log_out(0, 0), 0);
    one.expect_closed();
    while other.none(&[0; 6]).status == CHECK_CONDITION {}
    other.put(0, &pattern(BLOCK, 1));
}
