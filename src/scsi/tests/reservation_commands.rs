//! Which commands go through which reservation (SPC-4 table 61, SBC-3 table 13, SPC-2 table 9).

use super::bench::*;
use super::reservations::*;
use crate::scsi::{Asc, Status};

/// Who may send a command although another nexus holds a persistent reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Everyone.
    Free,
    /// Everyone, if the reservation is a write-exclusive one.
    Reads,
    /// Those who have access by the reservation.
    Changes,
}

const SECTOR: &[u8] = &[0; BLOCK];

/// A command, its data, its class, and whether it goes through RESERVE(6) of another nexus.
type Line = (&'static str, &'static [u8], &'static [u8], Class, bool);

#[rustfmt::skip]
const COMMANDS: &[Line] = &[
    ("INQUIRY", &[0x12, 0, 0, 0, 96, 0], &[], Class::Free, true),
    ("REQUEST SENSE", &[0x03, 0, 0, 0, 18, 0], &[], Class::Free, true),
    ("REPORT LUNS", &[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0], &[], Class::Free, true),
    ("TEST UNIT READY", &[0; 6], &[], Class::Free, false),
    ("READ CAPACITY(10)", &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[], Class::Free, false),
    ("READ CAPACITY(16)", &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], &[], Class::Free, false),
    ("PERSISTENT RESERVE IN, READ KEYS", &[0x5e, 0, 0, 0, 0, 0, 0, 0, 64, 0], &[], Class::Free, false),
    ("PERSISTENT RESERVE IN, READ RESERVATION", &[0x5e, 1, 0, 0, 0, 0, 0, 0, 64, 0], &[], Class::Free, false),
    ("PERSISTENT RESERVE IN, REPORT CAPABILITIES", &[0x5e, 2, 0, 0, 0, 0, 0, 0, 64, 0], &[], Class::Free, false),
    ("PERSISTENT RESERVE IN, READ FULL STATUS", &[0x5e, 3, 0, 0, 0, 0, 0, 0, 64, 0], &[], Class::Free, false),
    ("REPORT TARGET PORT GROUPS", &[0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0], &[], Class::Free, false),
    ("START STOP UNIT, start", &[0x1b, 0, 0, 0, 1, 0], &[], Class::Free, false),
    ("PREVENT ALLOW, allow", &[0x1e, 0, 0, 0, 0, 0], &[], Class::Free, false),
    ("READ(6)", &[0x08, 0, 0, 0, 1, 0], &[], Class::Reads, false),
    ("READ(10)", &[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], &[], Class::Reads, false),
    ("READ(12)", &[0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], &[], Class::Reads, false),
    ("READ(16)", &[0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], &[], Class::Reads, false),
    ("VERIFY(10)", &[0x2f, 0, 0, 0, 0, 0, 0, 0, 1, 0], &[], Class::Reads, false),
    ("VERIFY(12)", &[0xaf, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], &[], Class::Reads, false),
    ("VERIFY(16)", &[0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], &[], Class::Reads, false),
    ("PRE-FETCH(10)", &[0x34, 0, 0, 0, 0, 0, 0, 0, 1, 0], &[], Class::Reads, false),
    ("PRE-FETCH(16)", &[0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], &[], Class::Reads, false),
    ("GET LBA STATUS", &[0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0], &[], Class::Reads, false),
    ("MODE SENSE(6)", &[0x1a, 0, 0x3f, 0, 255, 0], &[], Class::Reads, false),
    ("MODE SENSE(10)", &[0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0, 0], &[], Class::Reads, false),
    ("READ DEFECT DATA(10)", &[0x37, 0, 0, 0, 0, 0, 0, 0, 8, 0], &[], Class::Reads, false),
    ("REPORT SUPPORTED OPERATION CODES", &[0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], &[], Class::Reads, false),
    ("REPORT SUPPORTED TMFS", &[0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0], &[], Class::Reads, false),
    ("WRITE(6)", &[0x0a, 0, 0, 0, 1, 0], SECTOR, Class::Changes, false),
    ("WRITE(10)", &[0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0], SECTOR, Class::Changes, false),
    ("WRITE(12)", &[0xaa, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], SECTOR, Class::Changes, false),
    ("WRITE(16)", &[0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], SECTOR, Class::Changes, false),
    ("WRITE AND VERIFY(10)", &[0x2e, 0, 0, 0, 0, 0, 0, 0, 1, 0], SECTOR, Class::Changes, false),
    ("WRITE SAME(10)", &[0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0], SECTOR, Class::Changes, false),
    ("WRITE SAME(16)", &[0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], SECTOR, Class::Changes, false),
    ("UNMAP", &[0x42, 0, 0, 0, 0, 0, 0, 0, 8, 0], &[0, 6, 0, 0, 0, 0, 0, 0], Class::Changes, false),
    ("COMPARE AND WRITE", &[0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[], Class::Changes, false),
    ("SYNCHRONIZE CACHE(10)", &[0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[], Class::Changes, false),
    ("SYNCHRONIZE CACHE(16)", &[0x91, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[], Class::Changes, false),
    ("MODE SELECT(6)", &[0x15, 0x10, 0, 0, 0, 0], &[], Class::Changes, false),
    ("MODE SELECT(10)", &[0x55, 0x10, 0, 0, 0, 0, 0, 0, 0, 0], &[], Class::Changes, false),
    ("PREVENT ALLOW, prevent", &[0x1e, 0, 0, 0, 1, 0], &[], Class::Changes, false),
    ("START STOP UNIT, stop", &[0x1b, 0, 0, 0, 0, 0], &[], Class::Changes, false),
];

fn is_refused(host: &Host<'_>, (name, cdb, data, ..): &Line) -> bool {
    let answer = host.run(cdb, data);
    assert_ne!(answer.asc(), Asc::INVALID_OPCODE, "{name} is there");
    let refused = answer.status == CONFLICT;
    // So that the unit is as it was for the next command.
    if cdb[0] == 0x1b && !refused {
        host.put(&[0x1b, 0, 0, 0, 1, 0], &[]);
    }
    refused
}

#[test]
fn every_command_goes_through_what_it_may() {
    for kind in TYPES {
        let bench = Bench::new();
        let (holder, registered, other) = (bench.host(1), bench.host(2), bench.host(3));
        out(&holder, IGNORE, 0, 0, 1).good();
        out(&registered, IGNORE, 0, 0, 2).good();
        out(&holder, PR_RESERVE, kind, 1, 0).good();
        let write_exclusive = matches!(kind, 1 | 5 | 7);
        for line @ (name, _, _, class, _) in COMMANDS {
            let locked_out = match class {
                Class::Free => false,
                Class::Reads => !write_exclusive,
                Class::Changes => true,
            };
            assert!(!is_refused(&holder, line), "{name}: the holder, type {kind}");
            let by_registration = kind < 5 && locked_out;
            assert_eq!(
                is_refused(&registered, line),
                by_registration,
                "{name}: registered, {kind}"
            );
            assert_eq!(is_refused(&other, line), locked_out, "{name}: another, type {kind}");
        }
    }
}

#[test]
fn little_goes_through_reserve() {
    let bench = Bench::new();
    let (holder, other) = (bench.host(1), bench.host(2));
    holder.put(&RESERVE, &[]);
    for line @ (name, cdb, _, _, free) in COMMANDS {
        assert_eq!(is_refused(&other, line), !free, "{name}");
        // SPC-2 5.5.1: the holder's, too.
        assert_eq!(is_refused(&holder, line), cdb[0] == 0x5e, "{name}");
    }
}

/// SPC-4 table 62: from nexuses that hold nothing.
#[test]
fn service_actions_are_for_registrants() {
    for action in [PR_RESERVE, PR_RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT] {
        let bench = Bench::new();
        let (one, two) = (bench.host(1), bench.host(2));
        out(&one, IGNORE, 0, 0, 1).good();
        out(&one, PR_RESERVE, 1, 1, 0).good();
        for key in [0, 1] {
            assert_eq!(out(&two, action, 1, key, 1).status, CONFLICT, "{action}: unregistered");
        }
        out(&two, IGNORE, 0, 0, 2).good();
        assert_eq!(out(&two, action, 1, 1, 1).status, CONFLICT, "{action}: another's key");
        let wanted = if action == PR_RESERVE { CONFLICT } else { Status::Good };
        assert_eq!(out(&two, action, 1, 2, 1).status, wanted, "{action}: registered");
    }
}
