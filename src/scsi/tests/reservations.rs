//! RESERVE, RELEASE and persistent reservations.

use super::bench::*;
use crate::scsi::{Asc, SenseKey, Status};

const TUR: [u8; 6] = [0; 6];
const RESERVE: [u8; 6] = [0x16, 0, 0, 0, 0, 0];
const RELEASE: [u8; 6] = [0x17, 0, 0, 0, 0, 0];
const READ: [u8; 10] = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const WRITE: [u8; 10] = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// The types, by their codes.
const TYPES: [u8; 6] = [1, 3, 5, 6, 7, 8];

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

fn out(host: &Host<'_>, action: u8, kind: u8, key: u64, action_key: u64) -> Answer {
    out_with_flags(host, action, kind, [key, action_key], 0)
}

fn out_with_flags(host: &Host<'_>, action: u8, kind: u8, keys: [u64; 2], flags: u8) -> Answer {
    let mut list = [0; 24];
    list[..8].copy_from_slice(&keys[0].to_be_bytes());
    list[8..16].copy_from_slice(&keys[1].to_be_bytes());
    list[20] = flags;
    host.run(&[0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0], &list)
}

fn read_in(host: &Host<'_>, action: u8) -> Vec<u8> {
    host.get(&[0x5e, action, 0, 0, 0, 0, 0, 0x10, 0, 0])
}

/// Generation and keys.
fn keys(host: &Host<'_>) -> (u32, Vec<u64>) {
    let data = read_in(host, 0);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, b| (n << 8) | u64::from(*b));
    assert_eq!(number(&data[4..8]) as usize, data.len() - 8);
    (number(&data[..4]) as u32, data[8..].chunks(8).map(number).collect())
}

/// Key and type of the reservation.
fn reservation(host: &Host<'_>) -> Option<(u64, u8)> {
    let data = read_in(host, 1);
    let key = data.get(8..16)?;
    Some((u64::from_be_bytes(key.try_into().unwrap()), data[21]))
}

const CONFLICT: Status = Status::ReservationConflict;
const REGISTER: u8 = 0;
const PR_RESERVE: u8 = 1;
const PR_RELEASE: u8 = 2;
const CLEAR: u8 = 3;
const PREEMPT: u8 = 4;
const IGNORE: u8 = 6;

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
        other.put(&TUR, &[]);
        other.get(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(other.status(&[0x1a, 0, 0x3f, 0, 255, 0], &[]), CONFLICT);

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
fn reserve_and_persistent_reservations_exclude_each_other() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    one.put(&RESERVE, &[]);
    assert_eq!(out(&one, IGNORE, 0, 0, 1).status, CONFLICT);
    one.put(&RELEASE, &[]);
    out(&one, IGNORE, 0, 0, 1).good();
    one.put(&RESERVE, &[]);
    two.put(&TUR, &[]);
    assert_eq!(two.status(&RESERVE, &[]), CONFLICT, "CRH: GOOD for registrants only");
}

#[test]
fn what_is_no_capability_is_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    let capabilities = read_in(&host, 2);
    assert_eq!(capabilities, [0, 8, 0x10, 0x80, 0xea, 0x01, 0, 0]);
    for flag in [0x01, 0x04, 0x08] {
        let answer = out_with_flags(&host, REGISTER, 0, [0, 1], flag);
        assert_eq!(answer.asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST, "{flag:02x}");
    }
    out(&host, IGNORE, 0, 0, 1).good();
    for kind in [0, 2, 4, 9, 15, 0x11] {
        assert_eq!(out(&host, PR_RESERVE, kind, 1, 0).asc(), Asc::INVALID_FIELD_IN_CDB);
    }
    assert_eq!(host.fails(&[0x5f, 0, 0, 0, 0, 0, 0, 0, 23, 0], &[0; 23]), BAD_LIST_LENGTH);
    let huge = [0x5f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0];
    assert_eq!(host.fails(&huge, &[]), BAD_LIST_LENGTH);
    assert_eq!(host.fails(&[0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0], &[0; 8]), BAD_LIST_LENGTH);
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
