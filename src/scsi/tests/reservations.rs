//! RESERVE, RELEASE and persistent reservations.

use super::bench::*;
use crate::block::SavedState;
use crate::scsi::{Asc, Sense, SenseKey, Status};

pub(super) const TUR: [u8; 6] = [0; 6];
pub(super) const RESERVE: [u8; 6] = [0x16, 0, 0, 0, 0, 0];
pub(super) const RELEASE: [u8; 6] = [0x17, 0, 0, 0, 0, 0];
pub(super) const READ: [u8; 10] = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];
pub(super) const WRITE: [u8; 10] = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// The types, by their codes.
pub(super) const TYPES: [u8; 6] = [1, 3, 5, 6, 7, 8];

#[test]
fn reserve_keeps_others_out_until_release() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    one.put(&RESERVE, &[]);
    one.put(&RESERVE, &[]);
    for cdb in [&TUR[..], &READ, &RESERVE, &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(two.status(cdb, &[]), Status::ReservationConflict, "{cdb:02x?}");
    }
    two.get(&[0x12, 0, 0, 0, 96, 0]);
    two.put(&RELEASE, &[]);
    assert_eq!(two.status(&TUR, &[]), Status::ReservationConflict, "not theirs to release");
    one.put(&WRITE, &[0; BLOCK]);
    one.put(&[0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]);
    two.put(&RESERVE, &[]);
}

#[test]
fn reserve_ends_with_the_nexus() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    one.put(&RESERVE, &[]);
    bench.device.detach(&one.nexus);
    two.put(&TUR, &[]);
}

pub(super) fn out(host: &Host<'_>, action: u8, kind: u8, key: u64, action_key: u64) -> Answer {
    out_with_flags(host, action, kind, [key, action_key], 0)
}

pub(super) fn out_with_flags(
    host: &Host<'_>,
    action: u8,
    kind: u8,
    keys: [u64; 2],
    flags: u8,
) -> Answer {
    let mut list = [0; 24];
    list[..8].copy_from_slice(&keys[0].to_be_bytes());
    list[8..16].copy_from_slice(&keys[1].to_be_bytes());
    list[20] = flags;
    host.run(&[0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0], &list)
}

pub(super) fn read_in(host: &Host<'_>, action: u8) -> Vec<u8> {
    host.get(&[0x5e, action, 0, 0, 0, 0, 0, 0x10, 0, 0])
}

/// Generation and keys.
pub(super) fn keys(host: &Host<'_>) -> (u32, Vec<u64>) {
    let data = read_in(host, 0);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, b| (n << 8) | u64::from(*b));
    assert_eq!(number(&data[4..8]) as usize, data.len() - 8);
    (number(&data[..4]) as u32, data[8..].chunks(8).map(number).collect())
}

/// Key and type of the reservation.
pub(super) fn reservation(host: &Host<'_>) -> Option<(u64, u8)> {
    let data = read_in(host, 1);
    let key = data.get(8..16)?;
    Some((u64::from_be_bytes(key.try_into().unwrap()), data[21]))
}

pub(super) const CONFLICT: Status = Status::ReservationConflict;
pub(super) const REGISTER: u8 = 0;
pub(super) const PR_RESERVE: u8 = 1;
pub(super) const PR_RELEASE: u8 = 2;
pub(super) const CLEAR: u8 = 3;
pub(super) const PREEMPT: u8 = 4;
pub(super) const PREEMPT_AND_ABORT: u8 = 5;
pub(super) const IGNORE: u8 = 6;
pub(super) const MOVE: u8 = 7;
/// Flags of the parameter list.
pub(super) const SPEC_I_PT: u8 = 0x08;
pub(super) const ALL_TG_PT: u8 = 0x04;
pub(super) const APTPL: u8 = 0x01;

#[test]
fn registrations_come_change_and_go_and_are_counted() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    assert_eq!(out(&one, REGISTER, 0, 5, 1).status, CONFLICT, "no key is registered yet");
    out(&one, REGISTER, 0, 0, 0).good();
    assert_eq!(keys(&one), (0, vec![]));
    out(&one, REGISTER, 0, 0, 0xa1).good();
    out(&two, IGNORE, 0, 77, 0xb1).good();
    assert_eq!(keys(&one), (2, vec![0xa1, 0xb1]));
    assert_eq!(out(&one, REGISTER, 0, 0xb1, 0xa2).status, CONFLICT, "not its key");
    out(&one, REGISTER, 0, 0xa1, 0xa2).good();
    assert_eq!(keys(&two), (3, vec![0xa2, 0xb1]));
    out(&one, REGISTER, 0, 0xa2, 0).good();
    out(&two, IGNORE, 0, 0, 0).good();
    assert_eq!(keys(&one), (5, vec![]));
}

#[test]
fn every_type_allows_what_it_says() {
    for kind in TYPES {
        let bench = Bench::new();
        let (holder, registered, other) = (bench.host(1), bench.host(2), bench.host(3));
        out(&holder, IGNORE, 0, 0, 1).good();
        out(&registered, IGNORE, 0, 0, 2).good();
        assert_eq!(out(&other, PR_RESERVE, kind, 3, 0).status, CONFLICT, "not registered");
        out(&holder, PR_RESERVE, kind, 1, 0).good();
        out(&holder, PR_RESERVE, kind, 1, 0).good();
        let all = kind >= 7;
        assert_eq!(reservation(&other), Some((if all { 0 } else { 1 }, kind)));

        let ok = |host: &Host<'_>| {
            (
                host.status(&READ, &[]) == Status::Good,
                host.status(&WRITE, &[0; BLOCK]) == Status::Good,
            )
        };
        let readers = matches!(kind, 1 | 5 | 7);
        assert_eq!(ok(&holder), (true, true), "{kind}");
        assert_eq!(ok(&registered), if kind >= 5 { (true, true) } else { (readers, false) });
        assert_eq!(ok(&other), (readers, false), "{kind}");
        let again = out(&registered, PR_RESERVE, kind, 2, 0).status;
        assert_eq!(again, if all { Status::Good } else { CONFLICT });
    }
}

#[test]
fn release_is_for_holders_and_is_heard_by_registrants() {
    for kind in TYPES {
        let bench = Bench::new();
        let (holder, registered) = (bench.host(1), bench.host(2));
        out(&holder, IGNORE, 0, 0, 1).good();
        out(&registered, IGNORE, 0, 0, 2).good();
        out(&holder, PR_RESERVE, kind, 1, 0).good();
        let other_kind = if kind == 1 { 3 } else { 1 };
        let wrong = out(&holder, PR_RELEASE, other_kind, 1, 0);
        assert_eq!(wrong.asc(), Asc::INVALID_RELEASE_OF_RESERVATION);
        if kind < 7 {
            out(&registered, PR_RELEASE, kind, 2, 0).good();
            assert!(reservation(&holder).is_some(), "GOOD, but nothing changed");
        }
        out(&holder, PR_RELEASE, kind, 1, 0).good();
        assert_eq!(reservation(&holder), None);
        let heard = registered.run(&TUR, &[]).asc();
        let wanted = if kind >= 5 { Asc::RESERVATIONS_RELEASED } else { Asc::NONE };
        assert_eq!(heard, wanted, "{kind}");
    }
}

#[test]
fn the_reservation_ends_with_the_registration_of_its_last_holder() {
    for kind in TYPES {
        let bench = Bench::new();
        let (one, two) = (bench.host(1), bench.host(2));
        out(&one, IGNORE, 0, 0, 1).good();
        out(&two, IGNORE, 0, 0, 2).good();
        out(&one, PR_RESERVE, kind, 1, 0).good();
        out(&one, REGISTER, 0, 1, 0).good();
        assert_eq!(reservation(&one).is_some(), kind >= 7, "{kind}");
        two.run(&TUR, &[]);
        out(&two, REGISTER, 0, 2, 0).good();
        assert_eq!(reservation(&one), None);
    }
}

#[test]
fn clear_takes_everything_and_is_heard() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    out(&one, IGNORE, 0, 0, 1).good();
    out(&two, IGNORE, 0, 0, 2).good();
    out(&one, PR_RESERVE, 3, 1, 0).good();
    assert_eq!(out(&two, CLEAR, 0, 1, 0).status, CONFLICT);
    out(&two, CLEAR, 0, 2, 0).good();
    assert_eq!((keys(&two), reservation(&two)), ((3, vec![]), None));
    let heard = (SenseKey::UnitAttention, Asc::RESERVATIONS_PREEMPTED);
    assert_eq!(one.fails(&TUR, &[]), heard);
    two.put(&TUR, &[]);
}

#[test]
fn preempt_takes_the_reservation_over() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    out(&one, IGNORE, 0, 0, 1).good();
    out(&two, IGNORE, 0, 0, 2).good();
    out(&one, PR_RESERVE, 3, 1, 0).good();
    out(&two, PREEMPT, 1, 2, 1).good();
    assert_eq!((keys(&two), reservation(&two)), ((3, vec![2]), Some((2, 1))));
    assert_eq!(one.run(&TUR, &[]).asc(), Asc::REGISTRATIONS_PREEMPTED);
    assert_eq!(one.status(&WRITE, &[0; BLOCK]), CONFLICT);
    two.put(&WRITE, &[0; BLOCK]);
}

#[test]
fn preempt_without_the_reservation_removes_registrations() {
    let bench = Bench::new();
    let (one, two, three) = (bench.host(1), bench.host(2), bench.host(3));
    out(&one, IGNORE, 0, 0, 1).good();
    out(&two, IGNORE, 0, 0, 2).good();
    out(&three, IGNORE, 0, 0, 2).good();
    out(&one, PR_RESERVE, 5, 1, 0).good();
    assert_eq!(out(&one, PREEMPT, 5, 1, 9).status, CONFLICT, "nobody has that key");
    assert_eq!(out(&one, PREEMPT, 5, 1, 0).asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    out(&one, PREEMPT, 5, 1, 2).good();
    assert_eq!((keys(&one).1, reservation(&one)), (vec![1], Some((1, 5))));
    for host in [&two, &three] {
        assert_eq!(host.run(&TUR, &[]).asc(), Asc::REGISTRATIONS_PREEMPTED);
    }
}

#[test]
fn preempt_of_all_registrants_by_key_zero() {
    let bench = Bench::new();
    let (one, two, three) = (bench.host(1), bench.host(2), bench.host(3));
    for (host, key) in [(&one, 1), (&two, 2), (&three, 3)] {
        out(host, IGNORE, 0, 0, key).good();
    }
    out(&one, PR_RESERVE, 8, 1, 0).good();
    out(&two, PREEMPT, 8, 2, 3).good();
    assert_eq!((keys(&two).1, reservation(&two)), (vec![1, 2], Some((0, 8))));
    out(&two, PREEMPT, 1, 2, 0).good();
    assert_eq!((keys(&two).1, reservation(&two)), (vec![2], Some((2, 1))));
    assert_eq!(one.run(&TUR, &[]).asc(), Asc::REGISTRATIONS_PREEMPTED);
}

#[test]
fn persistent_reservations_outlive_reset_and_session() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    out(&one, IGNORE, 0, 0, 1).good();
    out(&one, PR_RESERVE, 3, 1, 0).good();
    bench.device.reset_lun(0).unwrap();
    assert_eq!(two.run(&TUR, &[]).asc(), Asc::BUS_DEVICE_RESET);
    bench.device.detach(&one.nexus);
    assert_eq!(two.status(&READ, &[]), CONFLICT);
    let one_again = bench.host(1);
    one_again.put(&WRITE, &[0; BLOCK]);
}

#[test]
fn reserve_excludes_persistent_reservations_for_its_holder_too() {
    let bench = Bench::new();
    let one = bench.host(1);
    one.put(&RESERVE, &[]);
    assert_eq!(out(&one, IGNORE, 0, 0, 1).status, CONFLICT);
    for action in 0..4 {
        let cdb = [0x5e, action, 0, 0, 0, 0, 0, 1, 0, 0];
        assert_eq!(one.status(&cdb, &[]), CONFLICT, "PERSISTENT RESERVE IN {action}");
    }
    one.put(&RELEASE, &[]);
    out(&one, IGNORE, 0, 0, 1).good();
}

/// CRH: who has access by the persistent reservation hears GOOD, and nothing happens; for all
/// others registrations exclude RESERVE and RELEASE.
#[test]
fn reserve_and_release_are_compatible_with_persistent_reservations() {
    for kind in TYPES {
        let bench = Bench::new();
        let (holder, registered, other) = (bench.host(1), bench.host(2), bench.host(3));
        out(&holder, IGNORE, 0, 0, 1).good();
        out(&registered, IGNORE, 0, 0, 2).good();
        for host in [&holder, &registered, &other] {
            assert_eq!(host.status(&RESERVE, &[]), CONFLICT, "registrations, no reservation");
            assert_eq!(host.status(&RELEASE, &[]), CONFLICT);
        }
        out(&holder, PR_RESERVE, kind, 1, 0).good();
        for cdb in [&RESERVE, &RELEASE] {
            let good = |host: &Host<'_>| host.status(cdb, &[]) == Status::Good;
            let wanted = (true, kind >= 5, false);
            assert_eq!((good(&holder), good(&registered), good(&other)), wanted, "type {kind}");
        }
        assert!(reservation(&other).is_some(), "RELEASE has released nothing");
        out(&holder, CLEAR, 0, 1, 0).good();
        assert_eq!(registered.run(&TUR, &[]).asc(), Asc::RESERVATIONS_PREEMPTED);
        other.put(&RESERVE, &[]);
        assert_eq!(holder.status(&TUR, &[]), CONFLICT, "RESERVE of before has left nothing");
    }
}

#[test]
fn capabilities_are_what_there_is() {
    let bench = Bench::new();
    let host = bench.host(1);
    // CRH, SIP_C, ATP_C, PTPL_C; TMV, ALLOW COMMANDS; six types.
    assert_eq!(read_in(&host, 2), [0, 8, 0x1d, 0xb0, 0xea, 0x01, 0, 0]);
    out_with_flags(&host, IGNORE, 0, [0, 1], APTPL).good();
    assert_eq!(read_in(&host, 2)[3], 0xb1, "PTPL_A");
    let unable = Bench::with(512, |spec| spec.saved_state = SavedState::Unsupported);
    let host = unable.host(1);
    assert_eq!(read_in(&host, 2)[2], 0x1c);
    let refused = out_with_flags(&host, IGNORE, 0, [0, 1], APTPL);
    assert_eq!(refused.sense, Some(Sense::parameter(20, Some(0))));
    let read_only = Bench::with(512, |spec| spec.info.read_only = true);
    assert_eq!(read_in(&read_only.host(1), 2)[2], 0x1c);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    for action in [IGNORE, PR_RESERVE, PR_RELEASE, CLEAR, PREEMPT] {
        let answer = out_with_flags(&host, action, 1, [0, 1], SPEC_I_PT);
        assert_eq!(answer.sense, Some(Sense::parameter(20, Some(3))), "SPEC_I_PT with {action}");
    }
    out(&host, IGNORE, 0, 0, 1).good();
    for kind in [0, 2, 4, 9, 15, 0x11] {
        assert_eq!(out(&host, PR_RESERVE, kind, 1, 0).asc(), Asc::INVALID_FIELD_IN_CDB);
    }
    assert_eq!(host.fails(&[0x5f, 0, 0, 0, 0, 0, 0, 0, 23, 0], &[0; 23]), BAD_LIST_LENGTH);
    assert_eq!(host.fails(&[0x5f, 3, 0, 0, 0, 0, 0, 0, 28, 0], &[0; 28]), BAD_LIST_LENGTH);
    let huge = [0x5f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0];
    assert_eq!(host.fails(&huge, &[]), BAD_LIST_LENGTH);
    assert_eq!(host.fails(&[0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0], &[0; 8]), BAD_LIST_LENGTH);
    // No such service action.
    for action in 8..=0x1f {
        assert_eq!(host.fails(&[0x5f, action, 0, 0, 0, 0, 0, 0, 24, 0], &[0; 24]), BAD_CDB);
    }
}

/// The type and scope of a service action that has no use for them are not looked at.
#[test]
fn type_and_scope_matter_where_a_reservation_is_made() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    out(&one, REGISTER, 0xff, 0, 1).good();
    out(&two, IGNORE, 0xff, 0, 2).good();
    out(&one, PR_RELEASE, 0xff, 1, 0).good();
    out(&one, PREEMPT, 0xff, 1, 2).good();
    assert_eq!(keys(&one), (3, vec![1]));
    out(&one, PR_RESERVE, 3, 1, 0).good();
    assert_eq!(out(&one, PREEMPT, 0xff, 1, 1).asc(), Asc::INVALID_FIELD_IN_CDB);
    assert_eq!(out(&one, PR_RELEASE, 0xff, 1, 0).asc(), Asc::INVALID_RELEASE_OF_RESERVATION);
    out(&one, CLEAR, 0xff, 1, 0).good();
}

#[test]
fn preempt_with_ones_own_key() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    for host in [&one, &two] {
        out(host, IGNORE, 0, 0, 7).good();
    }
    // No reservation: the registrations of the key go, the sender's, too, and it hears nothing.
    out(&one, PREEMPT, 1, 7, 7).good();
    assert_eq!(keys(&one), (3, vec![]));
    assert_eq!(two.run(&TUR, &[]).asc(), Asc::REGISTRATIONS_PREEMPTED);
    one.put(&TUR, &[]);
    // The holder preempts itself: it keeps its registration, and the type is the new one.
    for host in [&one, &two] {
        out(host, IGNORE, 0, 0, 7).good();
    }
    out(&one, PR_RESERVE, 1, 7, 0).good();
    out(&one, PREEMPT, 6, 7, 7).good();
    assert_eq!((keys(&one).1, reservation(&one)), (vec![7], Some((7, 6))));
    assert_eq!(two.run(&TUR, &[]).asc(), Asc::REGISTRATIONS_PREEMPTED);
    // All registrants hold it: it goes with the last of them.
    out(&one, PREEMPT, 8, 7, 7).good();
    out(&two, IGNORE, 0, 0, 7).good();
    out(&two, PREEMPT, 1, 7, 7).good();
    assert_eq!((keys(&two).1, reservation(&two)), (vec![], None));
}

/// The kind of a changed reservation is told to those that stay registered.
#[test]
fn preempt_tells_others_of_another_type() {
    for (kind, heard) in [(5, Asc::NONE), (6, Asc::RESERVATIONS_RELEASED)] {
        let bench = Bench::new();
        let (one, two, three) = (bench.host(1), bench.host(2), bench.host(3));
        for (host, key) in [(&one, 1), (&two, 2), (&three, 3)] {
            out(host, IGNORE, 0, 0, key).good();
        }
        out(&one, PR_RESERVE, 5, 1, 0).good();
        out(&two, PREEMPT, kind, 2, 1).good();
        assert_eq!(reservation(&two), Some((2, kind)));
        assert_eq!(three.run(&TUR, &[]).asc(), heard);
        two.put(&TUR, &[]);
    }
}

#[test]
fn preempt_and_abort_names_whose_tasks_are_to_end() {
    let bench = Bench::new();
    let (one, two, three) = (bench.host(1), bench.host(2), bench.host(3));
    for (host, key) in [(&one, 1), (&two, 2), (&three, 2)] {
        out(host, IGNORE, 0, 0, key).good();
    }
    out(&two, PR_RESERVE, 1, 2, 0).good();
    let refused = out(&one, PREEMPT_AND_ABORT, 1, 1, 9);
    assert_eq!((refused.status, refused.preempted), (CONFLICT, None));
    let answer = out(&one, PREEMPT_AND_ABORT, 3, 1, 2);
    assert_eq!(answer.status, Status::Good);
    let preempted = answer.preempted.unwrap();
    assert_eq!(preempted.lun, 0);
    assert_eq!(preempted.nexuses, [two.nexus.id(), three.nexus.id()]);
    assert_eq!((keys(&one), reservation(&one)), ((4, vec![1]), Some((1, 3))));
    for host in [&two, &three] {
        assert_eq!(host.run(&TUR, &[]).asc(), Asc::REGISTRATIONS_PREEMPTED);
    }
    // Whoever has no session has no tasks; the sender's own are not among them.
    out(&two, IGNORE, 0, 0, 1).good();
    bench.device.detach(&two.nexus);
    let answer = out(&one, PREEMPT_AND_ABORT, 3, 1, 1);
    assert!(answer.preempted.unwrap().nexuses.is_empty());
    assert!(out(&one, PREEMPT, 3, 1, 1).preempted.is_none());
}

#[test]
fn full_status_names_the_initiator_ports() {
    let bench = Bench::new();
    let host = bench.host(1);
    out(&host, IGNORE, 0, 0, 0xabc).good();
    out(&host, PR_RESERVE, 6, 0xabc, 0).good();
    let data = read_in(&host, 3);
    let port = b"iqn.2025-01.example:host1,i,0x00023d000001";
    assert_eq!(data[8..16], 0xabcu64.to_be_bytes());
    assert_eq!((data[20], data[21]), (1, 6), "holder, and the type");
    assert_eq!(data[26..28], [0, 1]);
    assert_eq!(data[32], 0x45);
    let len = usize::from(u16::from_be_bytes([data[34], data[35]]));
    assert_eq!(data.len(), 36 + len);
    assert_eq!(len % 4, 0);
    assert!(data[36..].starts_with(port) && data[36 + port.len()] == 0);
}

#[test]
fn keys_are_cut_to_the_allocation_length() {
    let bench = Bench::new();
    let host = bench.host(1);
    out(&host, IGNORE, 0, 0, 1).good();
    let cut = host.get(&[0x5e, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
    assert_eq!(cut, [0, 0, 0, 1, 0, 0, 0, 8]);
    assert!(host.get(&[0x5e, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_empty());
}
