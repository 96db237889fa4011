//! Persistent reservations through a loss of power (SPC-4 5.12.5).

use super::bench::*;
use super::reservation_registering::{moving, port_id, send, specify};
use super::reservations::*;
use crate::block::{ErrorKind, SavedState};
use crate::scsi::{Asc, Outcome, SenseKey, Status};

/// REGISTER AND IGNORE EXISTING KEY with APTPL.
fn register_for_good(host: &Host<'_>, key: u64) {
    out_with_flags(host, IGNORE, 0, [0, key], APTPL).good();
}

#[test]
fn what_is_to_outlive_a_loss_of_power_does() {
    for kind in TYPES {
        let mut bench = Bench::new();
        register_for_good(&bench.host(1), 1);
        register_for_good(&bench.host(2), 2);
        out(&bench.host(1), PR_RESERVE, kind, 1, 0).good();
        bench.restart();
        // The same initiator ports, in other sessions.
        let (one, two, three) = (bench.host(1), bench.host(2), bench.host(3));
        let key = if kind >= 7 { 0 } else { 1 };
        assert_eq!(keys(&three), (0, vec![1, 2]), "PRGENERATION begins anew");
        assert_eq!(reservation(&three), Some((key, kind)));
        assert_eq!(read_in(&three, 2)[3] & 1, 1, "PTPL_A");
        one.put(&WRITE, &[0; BLOCK]);
        assert_eq!(three.status(&WRITE, &[0; BLOCK]), CONFLICT);
        assert_eq!(two.status(&WRITE, &[0; BLOCK]) == Status::Good, kind >= 5);
        out(&two, PREEMPT, 1, 2, if kind >= 7 { 0 } else { 1 }).good();
    }
}

#[test]
fn what_is_not_to_outlive_it_does_not() {
    let mut bench = Bench::new();
    out(&bench.host(1), IGNORE, 0, 0, 1).good();
    out(&bench.host(1), PR_RESERVE, 3, 1, 0).good();
    bench.restart();
    assert_eq!((keys(&bench.host(2)), reservation(&bench.host(2))), ((0, vec![]), None));
    // The APTPL bit that came last counts for all.
    register_for_good(&bench.host(1), 1);
    out(&bench.host(1), PR_RESERVE, 3, 1, 0).good();
    out(&bench.host(2), IGNORE, 0, 0, 2).good();
    assert_eq!(read_in(&bench.host(2), 2)[3] & 1, 0, "PTPL_A");
    bench.restart();
    assert_eq!((keys(&bench.host(2)), reservation(&bench.host(2))), ((0, vec![]), None));
}

/// A service action, and what sends it.
type Change = (&'static str, fn(&Bench));

/// What keys and reservation are after each change, they are after a loss of power.
#[test]
fn every_service_action_is_kept() {
    let changes: [Change; 9] = [
        ("REGISTER", |bench| {
            out_with_flags(&bench.host(1), REGISTER, 0, [1, 7], APTPL).good();
        }),
        ("unregister", |bench| {
            out_with_flags(&bench.host(1), REGISTER, 0, [1, 0], APTPL).good();
        }),
        ("SPEC_I_PT", |bench| {
            specify(&bench.host(3), 0, 3, APTPL, &[port_id(4)]).good();
        }),
        ("ALL_TG_PT", |bench| {
            out_with_flags(&bench.host(3), IGNORE, 0, [0, 3], ALL_TG_PT | APTPL).good();
        }),
        ("RELEASE", |bench| {
            out(&bench.host(1), PR_RELEASE, 5, 1, 0).good();
        }),
        ("CLEAR", |bench| {
            out(&bench.host(2), CLEAR, 0, 2, 0).good();
        }),
        ("PREEMPT", |bench| {
            out(&bench.host(2), PREEMPT, 3, 2, 1).good();
        }),
        ("PREEMPT AND ABORT", |bench| {
            out(&bench.host(1), PREEMPT_AND_ABORT, 1, 1, 2).good();
        }),
        ("REGISTER AND MOVE", |bench| {
            send(&bench.host(1), MOVE, &moving(1, 9, 3, 1, &port_id(5))).good();
        }),
    ];
    for (name, change) in changes {
        let mut bench = Bench::new();
        register_for_good(&bench.host(1), 1);
        register_for_good(&bench.host(2), 2);
        out(&bench.host(1), PR_RESERVE, 5, 1, 0).good();
        let look = |bench: &Bench| {
            let host = bench.host(8);
            (keys(&host).1, reservation(&host), read_in(&host, 3).split_off(8))
        };
        let before = look(&bench);
        change(&bench);
        let after = look(&bench);
        assert_ne!(after, before, "{name} has changed something");
        bench.restart();
        assert_eq!(look(&bench), after, "{name}");
    }
}

#[test]
fn what_cannot_be_saved_has_not_happened() {
    for (kind, status, sense) in [
        (ErrorKind::NoSpace, Status::CheckCondition, Some(SenseKey::DataProtect)),
        (ErrorKind::Medium, Status::CheckCondition, Some(SenseKey::MediumError)),
        (ErrorKind::Fenced, Status::CheckCondition, Some(SenseKey::NotReady)),
        (ErrorKind::Unavailable, Status::Busy, None),
    ] {
        let mut bench = Bench::new();
        register_for_good(&bench.host(1), 1);
        register_for_good(&bench.host(2), 2);
        let one = bench.host(1);
        bench.fail_next(kind);
        let answer = out(&one, PREEMPT_AND_ABORT, 3, 1, 2);
        assert_eq!((answer.status, answer.sense.map(|sense| sense.key)), (status, sense));
        assert_eq!(answer.preempted, None);
        assert_eq!((keys(&one), reservation(&one)), ((2, vec![1, 2]), None));
        // Nor is it certain what is in the record now: the next change is saved in any case.
        out_with_flags(&one, REGISTER, 0, [1, 3], 0).good();
        assert_eq!(bench.saved_state(), SavedState::Record(vec![]));
        bench.restart();
        assert!(keys(&bench.host(1)).1.is_empty());
    }
}

#[test]
fn nobody_hears_of_a_change_before_it_is_stable() {
    let bench = Bench::new();
    let (one, two, three) = (bench.host(1), bench.host(2), bench.host(3));
    register_for_good(&one, 1);
    register_for_good(&two, 2);
    let preempt = [1_u64.to_be_bytes(), 2_u64.to_be_bytes(), [0; 8]].concat();
    let cdb = [0x5f, PREEMPT, 3, 0, 0, 0, 0, 0, 24, 0];
    let (task, ops) = one.begin(&cdb, &preempt).expect("it is to be saved");
    // Meanwhile all is as it was, and nobody else changes it.
    assert_eq!((keys(&two), reservation(&two)), ((2, vec![1, 2]), None));
    assert_eq!(out(&two, PR_RESERVE, 1, 2, 0).status, Status::Busy);
    assert_eq!(out(&three, IGNORE, 0, 0, 3).status, Status::Busy);
    assert_eq!(three.status(&RESERVE, &[]), Status::Busy);
    assert_eq!(three.status(&RELEASE, &[]), Status::Busy);
    two.put(&WRITE, &[0; BLOCK]);
    one.end(task, ops).good();
    assert_eq!(two.run(&TUR, &[]).asc(), Asc::REGISTRATIONS_PREEMPTED);
    assert_eq!(keys(&two), (3, vec![1]));
    out(&three, IGNORE, 0, 0, 3).good();
}

/// The transport has dropped the task: as if it had never been sent, and others can go on.
#[test]
fn a_command_that_is_dropped_while_it_is_saved() {
    let mut bench = Bench::new();
    let one = bench.host(1);
    register_for_good(&one, 1);
    let clear = [1_u64.to_be_bytes(), [0; 8], [0; 8]].concat();
    let cdb = [0x5f, CLEAR, 0, 0, 0, 0, 0, 0, 24, 0];
    drop(one.begin(&cdb, &clear).expect("it is to be saved"));
    assert_eq!(keys(&one), (1, vec![1]));
    // What looks like no change is saved: the record may be that of the dropped command.
    let before = bench.saved_state();
    let release = [0x5f, PR_RELEASE, 3, 0, 0, 0, 0, 0, 24, 0];
    let (task, ops) = one.begin(&release, &clear).expect("it is saved");
    one.end(task, ops).good();
    assert_eq!(bench.saved_state(), before);
    assert!(one.begin(&release, &clear).is_err(), "once is enough");
    out(&one, PR_RESERVE, 3, 1, 0).good();
    bench.restart();
    assert_eq!(reservation(&bench.host(1)), Some((1, 3)));
}

#[test]
fn a_lost_record_keeps_everyone_out_until_it_is_cleared() {
    let spoilt = SavedState::Record(b"stirrup-reservations 1 00000000\n{}".to_vec());
    for saved in [SavedState::Unreadable, spoilt] {
        assert!(!crate::scsi::can_restore(&saved));
        let bench = Bench::with(512, |spec| spec.saved_state = saved.clone());
        let (one, two) = (bench.host(1), bench.host(2));
        for host in [&one, &two] {
            assert_eq!(host.status(&READ, &[]), CONFLICT);
            assert_eq!(host.status(&WRITE, &[0; BLOCK]), CONFLICT);
            assert_eq!(host.status(&RESERVE, &[]), CONFLICT);
            host.get(&[0x12, 0, 0, 0, 96, 0]);
        }
        assert_eq!((keys(&one), reservation(&one)), ((0, vec![]), Some((0, 3))));
        register_for_good(&one, 1);
        assert_eq!(one.status(&READ, &[]), CONFLICT, "a registration is not enough");
        assert_eq!(out(&one, PR_RESERVE, 3, 1, 0).status, CONFLICT);
        let mut bench = bench;
        bench.restart();
        assert_eq!(bench.host(2).status(&READ, &[]), CONFLICT, "nor is another loss of power");
        let one = bench.host(1);
        out(&one, IGNORE, 0, 0, 2).good();
        bench.restart();
        let one = bench.host(1);
        assert_eq!(one.status(&WRITE, &[0; BLOCK]), CONFLICT, "nor is one without APTPL");
        register_for_good(&one, 1);
        out(&one, CLEAR, 0, 1, 0).good();
        one.put(&WRITE, &[0; BLOCK]);
        bench.restart();
        bench.host(2).put(&WRITE, &[0; BLOCK]);
    }
}

#[test]
fn a_read_only_volume_keeps_to_what_is_kept() {
    let bench = Bench::new();
    register_for_good(&bench.host(1), 1);
    out(&bench.host(1), PR_RESERVE, 3, 1, 0).good();
    let saved = bench.saved_state();
    let bench = Bench::with(512, |spec| {
        spec.saved_state = saved;
        spec.info.read_only = true;
    });
    let (one, two) = (bench.host(1), bench.host(2));
    one.get(&READ);
    assert_eq!(two.status(&READ, &[]), CONFLICT);
    // What could not be saved is not promised.
    let refused = out(&one, CLEAR, 0, 1, 0);
    assert_eq!(refused.asc(), Asc::WRITE_PROTECTED);
    assert_eq!(reservation(&two), Some((1, 3)));
    // What changes nothing can be had.
    out(&one, PR_RESERVE, 3, 1, 0).good();
}

#[test]
fn only_preempt_and_abort_asks_something_of_the_transport() {
    assert_eq!(Outcome::good().preempted, None);
    let bench = Bench::new();
    let one = bench.host(1);
    register_for_good(&one, 1);
    assert_eq!(out(&one, CLEAR, 0, 1, 0).preempted, None);
}
