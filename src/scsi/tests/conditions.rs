//! Addressing, unit attentions, resets.

use super::bench::*;
use crate::scsi::{
    Admission, Asc, Command, Device, LogicalUnitSpec, NexusSpec, SenseKey, Status, TaskAttribute,
    UnitId,
};

const TUR: [u8; 6] = [0; 6];
const INQUIRY: [u8; 6] = [0x12, 0, 0, 0, 96, 0];
const REQUEST_SENSE: [u8; 6] = [0x03, 0, 0, 0, 252, 0];
const REPORT_LUNS: [u8; 12] = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0];

const WELL_KNOWN: u64 = 0xc101 << 48;

fn attention(asc: Asc) -> (SenseKey, Asc) {
    (SenseKey::UnitAttention, asc)
}

#[test]
fn a_new_session_hears_of_the_power_on_once() {
    let bench = Bench::new();
    let host = bench.stranger(1);
    host.get(&INQUIRY);
    host.get(&REPORT_LUNS);
    assert_eq!(host.fails(&TUR, &[]), attention(Asc::POWER_ON_OR_RESET));
    host.put(&TUR, &[]);
}

#[test]
fn request_sense_reports_and_clears_a_unit_attention() {
    let bench = Bench::new();
    let host = bench.stranger(1);
    let data = host.get(&REQUEST_SENSE);
    assert_eq!((data[0], data[2] & 0x0f, data[12], data[13]), (0x70, 6, 0x29, 0));
    let data = host.get(&[0x03, 1, 0, 0, 252, 0]);
    assert_eq!(data[..4], [0x72, 0, 0, 0], "descriptor format, nothing to report");
    host.put(&TUR, &[]);
}

#[test]
fn an_unknown_command_waits_for_the_unit_attention_too() {
    let bench = Bench::new();
    let host = bench.stranger(1);
    assert_eq!(host.fails(&[0xff; 16], &[]), attention(Asc::POWER_ON_OR_RESET));
    assert_eq!(host.fails(&[0xff; 16], &[]), (ILLEGAL, Asc::INVALID_OPCODE));
}

#[test]
fn a_resize_is_heard_by_every_nexus_and_seen_in_read_capacity() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    let info = crate::block::VolumeInfo { size_bytes: 4096 * 512, ..bench.info() };
    bench.device.refresh(|_| Some(info));
    bench.device.refresh(|_| Some(info));
    for host in [&one, &two] {
        assert_eq!(host.fails(&TUR, &[]), attention(Asc::CAPACITY_CHANGED));
        host.put(&TUR, &[]);
        let capacity = host.get(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(capacity[..4], 4095u32.to_be_bytes());
        assert_eq!(host.fails(&cdb10(0x28, 0, 4096, 1), &[]), OUT_OF_RANGE);
    }
}

#[test]
fn a_volume_that_becomes_read_only_is_heard_of_and_refuses_writes() {
    let bench = Bench::new();
    let host = bench.host(1);
    let info = crate::block::VolumeInfo { read_only: true, ..bench.info() };
    bench.device.refresh(|_| Some(info));
    assert_eq!(host.fails(&TUR, &[]), attention(Asc::MODE_PARAMETERS_CHANGED));
    let failed = host.fails(&cdb10(0x2a, 0, 0, 1), &[0; BLOCK]);
    assert_eq!(failed, (SenseKey::DataProtect, Asc::WRITE_PROTECTED));
}

#[test]
fn a_reset_of_the_unit_is_heard_by_every_nexus_and_ends_reserve() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    one.put(&[0x16, 0, 0, 0, 0, 0], &[]);
    assert_eq!(two.status(&TUR, &[]), Status::ReservationConflict);
    assert_eq!(bench.device.reset_lun(0), Ok(0));
    for host in [&one, &two] {
        assert_eq!(host.fails(&TUR, &[]), attention(Asc::BUS_DEVICE_RESET));
        host.put(&TUR, &[]);
    }
    two.put(&[0x16, 0, 0, 0, 0, 0], &[]);
    assert!(bench.device.reset_lun(0x0005_0000_0000_0000).is_err());
    bench.device.reset_target();
    assert_eq!(two.fails(&TUR, &[]), attention(Asc::BUS_DEVICE_RESET));
}

#[test]
fn commands_that_ended_with_their_connection_are_heard_of_by_their_nexus_alone() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    assert_eq!(bench.device.cleared_by_protocol(&one.nexus, 0), Ok(()));
    assert_eq!(one.fails(&TUR, &[]), attention(Asc::CLEARED_BY_PROTOCOL));
    one.put(&TUR, &[]);
    two.put(&TUR, &[]);
    assert!(bench.device.cleared_by_protocol(&one.nexus, 0x0005_0000_0000_0000).is_err());
}

#[test]
fn a_missing_lun_answers_what_sam_wants_of_it() {
    let bench = Bench::new();
    for lun in [0x0007_0000_0000_0000, 0x4100_0000_0000_0000, 0x8000_0000_0000_0000] {
        let host = bench.host(1);
        let nowhere = host.at_lun(lun);
        assert_eq!(nowhere.get(&INQUIRY)[0], 0x7f);
        assert_eq!(nowhere.get(&REPORT_LUNS)[..4], [0, 0, 0, 8]);
        assert_eq!(nowhere.fails(&TUR, &[]), (ILLEGAL, Asc::LUN_NOT_SUPPORTED));
        assert_eq!(nowhere.fails(&[0xff; 16], &[]), (ILLEGAL, Asc::LUN_NOT_SUPPORTED));
        let sense = nowhere.get(&REQUEST_SENSE);
        assert_eq!((sense[2], sense[12]), (5, 0x25));
        assert_eq!(nowhere.fails(&[0x12, 1, 0x83, 0, 96, 0], &[]), BAD_CDB);
    }
}

#[test]
fn flat_addressing_reaches_the_same_unit() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &[1; BLOCK]);
    assert_eq!(host.at_lun(0x4000_0000_0000_0000).read(0, 1), [1; BLOCK]);
}

#[test]
fn the_report_luns_well_known_unit_is_there() {
    let bench = Bench::new();
    let host = bench.host(1);
    let well_known = host.at_lun(0xc101_0000_0000_0000);
    assert_eq!(well_known.get(&INQUIRY)[0], 0x1e);
    assert_eq!(well_known.get(&REPORT_LUNS)[..4], [0, 0, 0, 8]);
    assert_eq!(well_known.fails(&TUR, &[]), attention(Asc::POWER_ON_OR_RESET));
    well_known.put(&TUR, &[]);
    assert_eq!(well_known.get(&REQUEST_SENSE)[2], 0);
    bench.device.reset_target();
    assert_eq!(well_known.get(&REQUEST_SENSE)[12..14], [0x29, 3]);
    let unknown = (ILLEGAL, Asc::INVALID_OPCODE);
    assert_eq!(well_known.fails(&cdb10(0x28, 0, 0, 1), &[]), unknown, "no READ there");
    assert_eq!(well_known.fails(&[0xff; 16], &[]), unknown);
}

/// A bench whose device has these logical units; number and identifier are the same.
fn with_units(numbers: &[u16]) -> Bench {
    let bench = Bench::new();
    set_units(&bench, numbers);
    bench
}

fn set_units(bench: &Bench, numbers: &[u16]) -> bool {
    let unit = |number| LogicalUnitSpec {
        id: UnitId(u64::from(number)),
        number,
        ..spec(bench.info(), 512)
    };
    bench.device.set_luns(numbers.iter().copied().map(unit).collect())
}

#[test]
fn a_change_of_the_luns_is_heard_on_all_of_them_by_every_nexus() {
    let bench = with_units(&[0, 1]);
    let (one, two) = (bench.host(1), bench.host(2));
    for host in [&one, &two] {
        host.at_lun(lun(1)).run(&TUR, &[]);
        host.at_lun(WELL_KNOWN).run(&TUR, &[]);
    }
    assert!(!set_units(&bench, &[1, 0]), "the same in another order");
    assert!(set_units(&bench, &[0, 1, 300]));
    assert_eq!(bench.device.luns_changed_event().0, 0);
    for host in [&one, &two] {
        for field in [0, lun(1), WELL_KNOWN] {
            let host = host.at_lun(field);
            assert_eq!(host.fails(&TUR, &[]), attention(Asc::REPORTED_LUNS_CHANGED));
            host.put(&TUR, &[]);
        }
        let added = host.at_lun(0x412c << 48);
        assert_eq!(added.fails(&TUR, &[]), attention(Asc::POWER_ON_OR_RESET), "it is new");
        assert_eq!(added.fails(&TUR, &[]), attention(Asc::REPORTED_LUNS_CHANGED));
        added.put(&TUR, &[]);
        let listed = host.get(&REPORT_LUNS);
        assert_eq!((listed.len(), &listed[24..26]), (32, &[0x41, 0x2c][..]));
    }
    assert!(set_units(&bench, &[300]));
    assert_eq!(one.fails(&TUR, &[]), (ILLEGAL, Asc::LUN_NOT_SUPPORTED));
    assert_eq!(one.get(&INQUIRY)[0], 0x7f);
    assert_eq!(bench.device.luns_changed_event().0, 0x412c << 48);
    assert!(set_units(&bench, &[]));
    let (field, sense) = bench.device.luns_changed_event();
    assert_eq!(
        (field, sense[0], sense[2], &sense[12..14]),
        (WELL_KNOWN, 0x70, 6, &[0x3f, 0x0e][..])
    );
    assert_eq!(one.get(&REPORT_LUNS)[..4], [0; 4]);
}

#[test]
fn who_asks_for_the_luns_knows_that_they_have_changed() {
    let bench = with_units(&[0, 1]);
    let (one, two) = (bench.host(1), bench.host(2));
    set_units(&bench, &[0]);
    let mut no_such_report = REPORT_LUNS;
    no_such_report[2] = 0x7f;
    assert_eq!(two.fails(&no_such_report, &[]), BAD_CDB, "which tells nothing");
    one.get(&REPORT_LUNS);
    one.put(&TUR, &[]);
    assert_eq!(two.fails(&TUR, &[]), attention(Asc::REPORTED_LUNS_CHANGED));
}

#[test]
fn a_unit_that_stays_keeps_its_state_and_one_with_the_same_number_does_not() {
    let bench = with_units(&[0]);
    let (one, two) = (bench.host(1), bench.host(2));
    one.put(&[0x16, 0, 0, 0, 0, 0], &[]);
    set_units(&bench, &[0, 5]);
    two.get(&REPORT_LUNS);
    assert_eq!(two.status(&TUR, &[]), Status::ReservationConflict);
    let other = LogicalUnitSpec { id: UnitId(77), ..spec(bench.info(), 512) };
    assert!(bench.device.set_luns(vec![other]));
    assert_eq!(two.fails(&TUR, &[]), attention(Asc::POWER_ON_OR_RESET));
    assert_eq!(two.fails(&TUR, &[]), attention(Asc::REPORTED_LUNS_CHANGED));
    two.put(&TUR, &[]);
}

#[test]
fn a_command_names_the_unit_that_it_was_admitted_to() {
    let bench = with_units(&[0]);
    let host = bench.host(1);
    let read = cdb10(0x28, 0, 0, 1);
    let admit = || {
        let attribute = TaskAttribute::Simple;
        let command = Command { lun: 0, cdb: &read, attribute, data_out_bytes: 0 };
        match bench.device.admit(&host.nexus, &command) {
            Admission::Run(prepared) => Some((prepared.unit(), prepared.lun())),
            Admission::Done(_) => None,
        }
    };
    assert_eq!(admit(), Some((UnitId(0), 0)));
    bench.device.set_luns(vec![LogicalUnitSpec { id: UnitId(9), ..spec(bench.info(), 512) }]);
    assert_eq!((admit(), admit()), (None, None), "unit attentions first");
    assert_eq!(admit(), Some((UnitId(9), 0)));
}

#[test]
fn a_session_that_comes_back_hears_of_the_loss_and_of_what_it_missed() {
    let bench = Bench::new();
    let host = bench.host(1);
    let info = crate::block::VolumeInfo { size_bytes: 4096 * 512, ..bench.info() };
    bench.device.refresh(|_| Some(info));
    bench.device.detach(&host.nexus);
    let again = bench.stranger(1);
    assert_eq!(again.fails(&TUR, &[]), attention(Asc::NEXUS_LOSS));
    assert_eq!(again.fails(&TUR, &[]), attention(Asc::CAPACITY_CHANGED));
    again.put(&TUR, &[]);
    // What happens while it is away, too.
    bench.device.detach(&again.nexus);
    bench.device.refresh(|_| Some(bench.info()));
    set_units(&bench, &[0, 1]);
    let again = bench.stranger(1);
    for asc in [Asc::NEXUS_LOSS, Asc::CAPACITY_CHANGED, Asc::REPORTED_LUNS_CHANGED] {
        assert_eq!(again.fails(&TUR, &[]), attention(asc));
    }
    again.put(&TUR, &[]);
    assert_eq!(again.at_lun(lun(1)).fails(&TUR, &[]), attention(Asc::POWER_ON_OR_RESET));
    // One that never heard of the power on still has to.
    let unheard = bench.stranger(2);
    bench.device.detach(&unheard.nexus);
    let unheard = bench.stranger(2);
    assert_eq!(unheard.fails(&TUR, &[]), attention(Asc::POWER_ON_OR_RESET));
    unheard.put(&TUR, &[]);
    assert_eq!(bench.stranger(3).fails(&TUR, &[]), attention(Asc::POWER_ON_OR_RESET));
}

#[test]
fn only_so_many_lost_sessions_are_remembered() {
    let bench = Bench::new();
    let nexus = |i: u16| NexusSpec { target_port: i, ..nexus_spec(1) };
    let first = |i| {
        let host = bench.of(bench.device.attach(nexus(i)));
        let heard = host.run(&TUR, &[]).asc();
        bench.device.detach(&host.nexus);
        heard
    };
    (0..300).for_each(|i| assert_eq!(first(i), Asc::POWER_ON_OR_RESET));
    assert_eq!(first(299), Asc::NEXUS_LOSS);
    assert_eq!(first(300 - 256), Asc::NEXUS_LOSS);
    assert_eq!(first(0), Asc::POWER_ON_OR_RESET, "forgotten");
}

#[test]
fn luns_are_listed_in_order_with_and_without_the_well_known_one() {
    let info = Bench::new().info();
    let unit = |number| LogicalUnitSpec { number, ..spec(info, 512) };
    let device = Device::new(TARGET, vec![unit(7), unit(1)]);
    let nexus = device.attach(nexus_spec(1));
    let report = |select: u8, allocation: u8| {
        let cdb = [0xa0, 0, select, 0, 0, 0, 0, 0, 0, allocation, 0, 0];
        let attribute = TaskAttribute::Simple;
        let command = Command { lun: 0, cdb: &cdb, attribute, data_out_bytes: 0 };
        match device.admit(&nexus, &command) {
            Admission::Done(outcome) => outcome,
            Admission::Run(_) => panic!("REPORT LUNS has no data to wait for"),
        }
    };
    let bytes = |outcome: crate::scsi::Outcome| match outcome.data_in {
        crate::scsi::DataIn::Bytes(bytes) => bytes,
        _ => Vec::new(),
    };
    let all = bytes(report(2, 64));
    assert_eq!(all[..8], [0, 0, 0, 24, 0, 0, 0, 0]);
    assert_eq!((all[9], all[17], all[24], all[25]), (1, 7, 0xc1, 0x01));
    assert_eq!(bytes(report(0, 64))[3], 16);
    assert_eq!(bytes(report(1, 64))[3], 8);
    assert_eq!(bytes(report(0, 17)).len(), 17, "cut, the length field stays");
    assert_eq!(report(0, 15).status, Status::CheckCondition);
    assert_eq!(report(3, 64).status, Status::CheckCondition);
}

#[test]
fn aca_and_naca_are_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    assert_eq!(host.fails(&[0, 0, 0, 0, 0, 0x04], &[]), BAD_CDB);
    let attribute = TaskAttribute::Aca;
    let command = Command { lun: 0, cdb: &TUR, attribute, data_out_bytes: 0 };
    match bench.device.admit(&host.nexus, &command) {
        Admission::Done(outcome) => {
            assert_eq!(outcome.sense.unwrap().asc, Asc::INVALID_FIELD_IN_INFORMATION_UNIT);
        }
        Admission::Run(_) => panic!("ACA was accepted"),
    }
}

#[test]
fn a_cdb_shorter_than_its_operation_code_says_is_refused() {
    let bench = Bench::new();
    let host = bench.host(1);
    for len in 0..10 {
        let cdb = &cdb10(0x28, 0, 0, 1)[..len];
        let status = host.status(cdb, &[]);
        // Nothing at all reads as TEST UNIT READY, and is too short for that, too.
        assert_eq!(status, Status::CheckCondition, "{len}");
    }
}

#[test]
fn a_stopped_unit_is_not_ready_until_it_is_started() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.put(&[0x1b, 0, 0, 0, 0, 0], &[]);
    let stopped = (SenseKey::NotReady, Asc::INITIALIZING_COMMAND_REQUIRED);
    assert_eq!(host.fails(&TUR, &[]), stopped);
    assert_eq!(host.fails(&cdb10(0x28, 0, 0, 1), &[]), stopped);
    host.put(&[0x1b, 0, 0, 0, 1, 0], &[]);
    host.put(&TUR, &[]);
    host.put(&[0x1b, 0, 0, 0, 4, 0], &[]);
    assert_eq!(host.fails(&TUR, &[]), stopped);
    // Another machine that comes does not start it under this one, which itself does, anew.
    let other = bench.stranger(2);
    assert_eq!(host.fails(&TUR, &[]), stopped);
    bench.device.detach(&other.nexus);
    let _again = bench.stranger(1);
    host.put(&TUR, &[]);
    assert_eq!(host.fails(&[0x1b, 0, 0, 0, 2, 0], &[]), BAD_CDB, "nothing to eject");
}

#[test]
fn a_reset_starts_the_unit_and_ends_what_was_set_for_now() {
    let bench = Bench::new();
    let host = bench.host(1);
    // D_SENSE and SWP (SPC-4 7.5.8), and a stopped unit.
    let control = |host: &Host<'_>| host.get(&[0x1a, 0x08, 0x0a, 0, 16, 0]);
    let mut changed = control(&host);
    let before = changed.clone();
    (changed[0], changed[2]) = (0, 0);
    changed[6] |= 0x04;
    changed[8] |= 0x08;
    host.put(&[0x15, 0x10, 0, 0, 16, 0], &changed);
    host.put(&[0x1b, 0, 0, 0, 0, 0], &[]);
    assert_eq!(host.fails(&TUR, &[]).0, SenseKey::NotReady);
    bench.device.reset_lun(0).unwrap();
    assert_eq!(host.fails(&TUR, &[]), attention(Asc::BUS_DEVICE_RESET));
    host.put(&TUR, &[]);
    host.put(&cdb10(0x2a, 0, 0, 1), &[1; BLOCK]);
    assert_eq!(control(&host), before);
}

#[test]
fn a_resize_by_less_than_a_block_is_none() {
    let bench = Bench::new();
    let host = bench.host(1);
    let size_bytes = bench.info().size_bytes + 511;
    bench.device.refresh(|_| Some(crate::block::VolumeInfo { size_bytes, ..bench.info() }));
    host.put(&TUR, &[]);
}

#[test]
fn what_query_asynchronous_event_tells_is_the_oldest_condition_and_whether_there_are_more() {
    let bench = Bench::new();
    let host = bench.stranger(1);
    let event = |lun| bench.device.asynchronous_event(&host.nexus, lun);
    assert_eq!(event(0), Ok(Some([0x16, 0x29, 0x00])));
    let info = crate::block::VolumeInfo { size_bytes: 4096 * 512, ..bench.info() };
    bench.device.refresh(|_| Some(info));
    assert_eq!(event(0), Ok(Some([0x26, 0x29, 0x00])), "and a new size");
    host.run(&TUR, &[]);
    assert_eq!(event(0), Ok(Some([0x16, 0x2a, 0x09])));
    host.run(&TUR, &[]);
    assert_eq!(event(0), Ok(None));
    assert!(event(5 << 48).is_err());
}

#[test]
fn report_luns_needs_room_for_one() {
    let bench = Bench::new();
    let host = bench.host(1);
    let report = |len: u8| [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, len, 0, 0];
    assert_eq!(host.get(&report(16)).len(), 16);
    assert_eq!(host.fails(&report(15), &[]), BAD_CDB);
}

#[test]
fn power_conditions_are_taken_and_change_nothing() {
    let bench = Bench::new();
    let host = bench.host(1);
    for condition in [0x1, 0x2, 0x3, 0x7, 0xa, 0xb] {
        host.put(&[0x1b, 0, 0, 0, condition << 4, 0], &[]);
        host.put(&TUR, &[]);
    }
    for condition in [0x4, 0x5, 0x6, 0x8, 0x9, 0xc, 0xf] {
        assert_eq!(host.fails(&[0x1b, 0, 0, 0, condition << 4, 0], &[]), BAD_CDB);
    }
}
