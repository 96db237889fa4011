//! EXTENDED COPY and RECEIVE COPY RESULTS.

use super::bench::*;
use crate::block::ErrorKind;
use crate::scsi::copies::State;
use crate::scsi::{Asc, SenseKey, Status, UnitId};

const OWN: u16 = 0xffff;

/// Target descriptors for the logical units of a bench, by the designator of VPD page 83h that
/// comes `nth`.
fn target(host: &Host<'_>, nth: usize, block_bytes: u32) -> Vec<u8> {
    let page = host.get(&[0x12, 0x01, 0x83, 0, 255, 0]);
    let mut rest = &page[4..];
    for _ in 0..nth {
        rest = &rest[4 + usize::from(rest[3])..];
    }
    let mut descriptor = vec![0xe4, 0, 0, 0];
    descriptor.extend_from_slice(&rest[..4 + usize::from(rest[3])]);
    descriptor.resize(29, 0);
    descriptor.extend_from_slice(&block_bytes.to_be_bytes()[1..]);
    descriptor
}

/// From an index of a target descriptor and an LBA to another.
fn segment(from: (u16, u64), to: (u16, u64), blocks: u16) -> Vec<u8> {
    let mut descriptor = vec![0x02, 0, 0, 0x18];
    descriptor.extend([from.0, to.0, 0, blocks].map(u16::to_be_bytes).concat());
    descriptor.extend([from.1, to.1].map(u64::to_be_bytes).concat());
    descriptor
}

/// As [`segment`], with an amount in bytes and offsets into the first blocks.
fn segment_of_bytes(from: (u64, u16), to: (u64, u16), bytes: u32) -> Vec<u8> {
    let mut descriptor = vec![0x0a, 0, 0, 0x1c, 0, 0, 0, 0];
    descriptor.extend(bytes.to_be_bytes());
    descriptor.extend([from.0, to.0].map(u64::to_be_bytes).concat());
    descriptor.extend([from.1, to.1].map(u16::to_be_bytes).concat());
    descriptor
}

fn list(id: u8, usage: u8, targets: &[Vec<u8>], segments: &[Vec<u8>]) -> Vec<u8> {
    let (targets, segments) = (targets.concat(), segments.concat());
    let mut list = vec![id, usage << 3];
    list.extend((targets.len() as u16).to_be_bytes());
    list.extend([0; 4]);
    list.extend((segments.len() as u32).to_be_bytes());
    list.extend([0; 4]);
    [list, targets, segments].concat()
}

fn cdb(len: usize) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = 0x83;
    cdb[10..14].copy_from_slice(&(len as u32).to_be_bytes());
    cdb
}

fn copy(host: &Host<'_>, list: &[u8]) -> Answer {
    host.run(&cdb(list.len()), list)
}

fn failure(host: &Host<'_>, list: &[u8]) -> (SenseKey, Asc) {
    host.fails(&cdb(list.len()), list)
}

fn aborted(asc: Asc) -> (SenseKey, Asc) {
    (SenseKey::CopyAborted, asc)
}

fn results(action: u8, id: u8, len: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1], cdb[2]) = (0x84, action, id);
    cdb[10..14].copy_from_slice(&len.to_be_bytes());
    cdb
}

/// Blocks that are all different.
fn blocks(count: usize, seed: u8) -> Vec<u8> {
    (0..count * BLOCK).map(|i| (i / BLOCK) as u8 ^ (i as u8) ^ seed | 1).collect()
}

#[test]
fn blocks_are_copied_within_a_unit_by_every_name_that_fits() {
    let bench = Bench::new();
    let host = bench.host(1);
    let data = blocks(20, 0);
    host.write(10, &data);
    for (nth, to) in [(0, 1000), (1, 2000)] {
        let targets = [target(&host, nth, 512)];
        copy(&host, &list(1, 2, &targets, &[segment((0, 10), (0, to), 20)])).good();
        assert_eq!(host.read(to, 20), data);
    }
    copy(&host, &list(0, 3, &[], &[segment((OWN, 10), (OWN, 3000), 20)])).good();
    assert_eq!(host.read(2999, 22), [vec![0; BLOCK], data, vec![0; BLOCK]].concat());
    host.put(&cdb(0), &[]);
}

#[test]
fn blocks_are_copied_between_units_of_different_block_lengths() {
    let bench = Bench::pair([512, 4096]);
    let (zero, one) = (bench.host(1), bench.host(2));
    let one = one.at_lun(1 << 48);
    assert_eq!(one.run(&[0; 6], &[]).asc(), Asc::POWER_ON_OR_RESET);
    let targets = [target(&zero, 0, 512), target(&one, 0, 4096)];
    let data = blocks(16, 3);
    zero.write(8, &data);
    copy(&zero, &list(1, 0, &targets, &[segment((0, 8), (1, 5), 16)])).good();
    assert_eq!(one.get(&cdb16(0x88, 0, 5, 2)), data);
    // The other way, asked of the other one, with the amount in blocks of the destination.
    let mut segment_dc = segment((1, 5), (0, 800), 8);
    segment_dc[1] = 0x02;
    copy(&one, &list(1, 0, &targets, &[segment_dc])).good();
    assert_eq!(zero.read(800, 9), [&data[..8 * BLOCK], &[0; BLOCK]].concat());
    let inexact = segment((0, 8), (1, 5), 15);
    let wanted = aborted(Asc::UNEXPECTED_INEXACT_SEGMENT);
    assert_eq!(failure(&zero, &list(1, 0, &targets, &[inexact])), wanted);
}

#[test]
fn what_overlaps_is_moved_as_a_whole_and_longer_copies_go_in_chunks() {
    let count = 12_000_u16; // more than one chunk
    for (from, to) in [(0, 1000), (1000, 0), (500, 500)] {
        let bench = Bench::new();
        let host = bench.host(1);
        let data: Vec<u8> =
            (0..usize::from(count) * BLOCK).map(|i| (i / 7 % 251) as u8 + 1).collect();
        host.write(from, &data);
        copy(&host, &list(1, 0, &[], &[segment((OWN, from), (OWN, to), count)])).good();
        assert!(host.read(to, count.into()) == data, "{from} to {to}");
    }
}

#[test]
fn a_copy_in_bytes_keeps_to_whole_blocks() {
    let bench = Bench::new();
    let host = bench.host(1);
    let data = blocks(4, 9);
    host.write(0, &data);
    let targets = [target(&host, 0, 512)];
    let run = |segment| copy(&host, &list(1, 0, &targets, &[segment]));
    run(segment_of_bytes((0, 512), (100, 0), 1024)).good();
    assert_eq!(host.read(100, 2), data[BLOCK..3 * BLOCK]);
    run(segment_of_bytes((0, 0), (100, 0), 0)).good();
    let granularity = Asc::COPY_SEGMENT_GRANULARITY_VIOLATION;
    assert_eq!(run(segment_of_bytes((0, 1), (100, 0), 512)).asc(), granularity);
    assert_eq!(run(segment_of_bytes((0, 0), (100, 7), 512)).asc(), granularity);
    let inexact = Asc::UNEXPECTED_INEXACT_SEGMENT;
    assert_eq!(run(segment_of_bytes((0, 0), (100, 0), 513)).asc(), inexact);
    let too_long = run(segment_of_bytes((0, 0), (100, 0), (256 << 20) + 512));
    assert_eq!(too_long.asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    let beyond = run(segment_of_bytes((u64::MAX, 0), (0, 0), 512));
    assert_eq!((beyond.asc(), beyond.sense.unwrap().key), (Asc::NONE, SenseKey::CopyAborted));
}

#[test]
fn zeros_take_no_space_in_the_copy() {
    let bench = Bench::new();
    let host = bench.host(1);
    let mib = (1 << 20) / BLOCK as u64;
    copy(&host, &list(1, 0, &[], &[segment((OWN, 0), (OWN, 4 * mib), 4096)])).good();
    let status = host.get(&cdb16(0x9e, 0x12, 0, 24));
    assert_eq!(status[16..21], [&(BLOCKS as u32).to_be_bytes()[..], &[1]].concat());
}

#[test]
fn a_list_of_the_wrong_form_is_refused_and_nothing_is_copied() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &[7; BLOCK]);
    let one = target(&host, 0, 512);
    let good = segment((0, 0), (0, 9), 1);
    let whole = list(1, 0, std::slice::from_ref(&one), std::slice::from_ref(&good));
    for len in [1, 15, 16, 47, 16 + 32 + 27] {
        assert_eq!(failure(&host, &whole[..len]), BAD_LIST_LENGTH, "{len}");
    }
    assert_eq!(host.fails(&cdb(0x1_0001), &[]), BAD_LIST_LENGTH);
    let asc = |list: &[u8]| {
        let (key, asc) = failure(&host, list);
        assert_eq!(key, SenseKey::IllegalRequest);
        asc
    };
    let targets = vec![one.clone(); 17];
    let segments = vec![good.clone(); 65];
    assert_eq!(asc(&list(1, 0, &targets, &segments[..1])), Asc::TOO_MANY_TARGET_DESCRIPTORS);
    assert_eq!(asc(&list(1, 0, &targets[..1], &segments)), Asc::TOO_MANY_SEGMENT_DESCRIPTORS);
    let too_long = list(1, 0, &targets, &vec![good.clone(); 73]);
    assert_eq!(asc(&too_long), Asc::PARAMETER_LIST_LENGTH_ERROR);
    let (mut other, mut stream, mut longer) = (one.clone(), good.clone(), good.clone());
    (other[0], stream[0], longer[3]) = (0xe0, 0x03, 0x19);
    let of = |target: &Vec<u8>, segment: &Vec<u8>| {
        list(1, 0, std::slice::from_ref(target), std::slice::from_ref(segment))
    };
    assert_eq!(asc(&of(&other, &good)), Asc::UNSUPPORTED_TARGET_DESCRIPTOR_TYPE);
    assert_eq!(asc(&of(&one, &stream)), Asc::UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE);
    assert_eq!(asc(&of(&one, &longer)), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    let mut long_name = one.clone();
    long_name[7] = 21;
    assert_eq!(asc(&of(&long_name, &good)), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    let mut inline = whole.clone();
    inline[15] = 1;
    assert_eq!(asc(&inline), Asc::INLINE_DATA_LENGTH_EXCEEDED);
    let field = Asc::INVALID_FIELD_IN_PARAMETER_LIST;
    assert_eq!(asc(&list(1, 3, &targets[..1], &segments[..1])), field, "an identifier not used");
    assert_eq!(asc(&list(1, 1, &targets[..1], &segments[..1])), field, "a reserved use");
    let cut = list(1, 0, &[one[..20].to_vec()], &segments[..1]);
    assert_eq!(asc(&cut), field, "part of a target descriptor");
    assert_eq!(host.read(9, 1), [0; BLOCK]);
}

#[test]
fn only_the_units_of_this_device_are_reached() {
    let bench = Bench::new();
    let host = bench.host(1);
    let good = target(&host, 0, 512);
    let run = |target: Vec<u8>, from: u16, to: u16| {
        failure(&host, &list(1, 0, &[target], &[segment((from, 0), (to, 9), 1)]))
    };
    let mut stranger = good.clone();
    stranger[12] ^= 1;
    assert_eq!(run(stranger, 0, 0), aborted(Asc::COPY_TARGET_NOT_REACHABLE));
    let mut nameless = good.clone();
    nameless[7] = 0;
    assert_eq!(run(nameless, 0, 0), aborted(Asc::COPY_TARGET_NOT_REACHABLE));
    assert_eq!(run(good.clone(), 0, 1), aborted(Asc::UNREACHABLE_COPY_TARGET));
    assert_eq!(run(good.clone(), 0xfffe, 0), aborted(Asc::UNREACHABLE_COPY_TARGET));
    let mut tape = good.clone();
    tape[1] = 0xc1;
    assert_eq!(run(tape, 0, 0), aborted(Asc::INCORRECT_COPY_TARGET_TYPE));
    let larger = target(&host, 0, 4096);
    assert_eq!(run(larger, 0, 0), aborted(Asc::INVALID_FIELD_IN_PARAMETER_LIST));
    let mut reserved_id_type = good;
    reserved_id_type[1] = 0xc0;
    let list = list(1, 0, &[reserved_id_type], &[segment((0, 0), (0, 9), 1)]);
    copy(&host, &list).good();
}

#[test]
fn the_segment_that_failed_is_named_and_those_before_it_are_done() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &[7; 2 * BLOCK]);
    let segments = [
        segment((OWN, 0), (OWN, 10), 1),
        segment((OWN, 0), (OWN, 20), 0),
        segment((OWN, 0), (OWN, BLOCKS - 1), 2),
        segment((OWN, 0), (OWN, 30), 1),
    ];
    let answer = copy(&host, &list(5, 0, &[], &segments));
    let sense = answer.sense.unwrap();
    assert_eq!((sense.key, sense.asc), aborted(Asc::NONE));
    assert_eq!(sense.command_specific, Some(2));
    assert_eq!(sense.encode()[8..12], [0, 0, 0, 2]);
    let touched = |lba| host.read(lba, 1) == [7; BLOCK];
    assert_eq!([10, BLOCKS - 1, 30].map(touched), [true, false, false]);
    let status = host.get(&results(0x00, 5, 100));
    assert_eq!(status, [0, 0, 0, 8, 0x82, 0, 2, 0, 0, 0, 2, 0]);
    let details = host.get(&results(0x04, 5, 1000));
    assert_eq!(details.len(), 60 + 18);
    assert_eq!(details[..4], 74_u32.to_be_bytes());
    assert_eq!((details[56], &details[58..60]), (0x02, &[0, 18][..]));
    assert_eq!(details[60..], sense.encode());
    assert_eq!(host.get(&results(0x04, 5, 4)), details[..4], "cut");
}

#[test]
fn a_failing_volume_aborts_the_copy() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &[7; BLOCK]);
    let list = list(1, 0, &[], &[segment((OWN, 0), (OWN, 10), 1)]);
    for op in [0, 1] {
        for kind in [ErrorKind::Medium, ErrorKind::TimedOut, ErrorKind::NoSpace] {
            bench.fail_after(op, kind);
            assert_eq!(failure(&host, &list), aborted(Asc::THIRD_PARTY_DEVICE_FAILURE));
        }
    }
    bench.fail_next(ErrorKind::Fenced);
    assert_eq!(failure(&host, &list), aborted(Asc::COPY_TARGET_NOT_REACHABLE));
}

#[test]
fn a_copy_may_do_no_more_than_the_initiator_itself() {
    let bench = Bench::pair([512, 512]);
    let (host, other) = (bench.host(1), bench.host(2).at_lun(1 << 48));
    let here = host.at_lun(1 << 48);
    for unit in [&other, &here] {
        assert_eq!(unit.run(&[0; 6], &[]).asc(), Asc::POWER_ON_OR_RESET);
    }
    host.write(0, &[7; BLOCK]);
    let names = [target(&host, 0, 512), target(&here, 0, 512)];
    let there = list(1, 0, &names, &[segment((0, 0), (1, 9), 1)]);
    let back = list(1, 0, &names, &[segment((1, 0), (0, 9), 1)]);
    let fails = |list: &[u8], asc| assert_eq!(failure(&host, list), aborted(asc));
    other.put(&[0x16, 0, 0, 0, 0, 0], &[]); // RESERVE(6)
    fails(&there, Asc::COPY_TARGET_NOT_REACHABLE);
    fails(&back, Asc::COPY_TARGET_NOT_REACHABLE);
    assert_eq!(copy(&here, &there).status, Status::ReservationConflict);
    assert_eq!(here.status(&results(0x03, 0, 100), &[]), Status::ReservationConflict);
    other.put(&[0x17, 0, 0, 0, 0, 0], &[]);
    // SWP of the control mode page.
    let control = |swp: u8| {
        let page = [0, 0, 0, 0, 0x0a, 10, 0, 0, swp, 0, 0, 0, 0, 0, 0, 0];
        let mut sense = here.get(&[0x1a, 0x08, 0x0a, 0, 16, 0]);
        sense[0] = 0;
        sense[2] = 0;
        sense[8] = (sense[8] & !0x08) | (page[8] & 0x08);
        here.put(&[0x15, 0x10, 0, 0, 16, 0], &sense);
    };
    control(0x08);
    fails(&there, Asc::THIRD_PARTY_DEVICE_FAILURE);
    copy(&host, &back).good();
    control(0);
    here.put(&[0x1b, 0, 0, 0, 0, 0], &[]); // stopped
    fails(&there, Asc::COPY_TARGET_NOT_REACHABLE);
    here.put(&[0x1b, 0, 0, 0, 1, 0], &[]);
    copy(&host, &there).good();
    assert_eq!(here.get(&cdb16(0x88, 0, 9, 1)), [7; BLOCK]);
}

#[test]
fn a_reservation_that_comes_meanwhile_stops_a_copy() {
    let bench = Bench::new();
    let (host, other) = (bench.host(1), bench.host(2));
    host.write(0, &vec![7; 8200 * BLOCK]);
    let list = list(1, 0, &[], &[segment((OWN, 0), (OWN, 8000), 8200)]);
    for ops in [1, 2] {
        let Err(mut task) = host.run_until(&cdb(list.len()), &list, ops) else {
            panic!("it has ended");
        };
        other.put(&[0x16, 0, 0, 0, 0, 0], &[]);
        // What is outstanding comes back.
        let mut asked = crate::scsi::Ops::new();
        let done = match ops {
            1 => crate::block::Done::Unit,
            _ => crate::block::Done::Data(crate::block::Buffer::zeroed(BLOCK)),
        };
        let outcome = task.resume(Ok(done), &mut asked).unwrap();
        assert!(asked.is_empty());
        assert_eq!(outcome.sense.unwrap().asc, Asc::COPY_TARGET_NOT_REACHABLE);
        other.put(&[0x17, 0, 0, 0, 0, 0], &[]);
    }
}

#[test]
fn results_are_kept_by_nexus_unit_and_identifier() {
    let bench = Bench::new();
    let (host, other) = (bench.host(1), bench.host(2));
    assert_eq!(host.fails(&results(0x00, 1, 12), &[]), BAD_CDB);
    let run = |id, usage| {
        copy(&host, &list(id, usage, &[], &[segment((OWN, 0), (OWN, 9), 3)])).good();
    };
    run(1, 0);
    run(0, 3);
    assert_eq!(host.get(&results(0x00, 1, 12)), [0, 0, 0, 8, 0x81, 0, 1, 0, 0, 0, 6, 0]);
    assert_eq!(host.get(&results(0x00, 1, 5)), [0, 0, 0, 8, 0x81]);
    assert_eq!(host.get(&results(0x04, 1, 100)), [0; 4], "it has not failed");
    assert_eq!(host.get(&results(0x01, 1, 100)), [0; 4], "nothing is held");
    for action in [0x00, 0x01, 0x04] {
        assert_eq!(other.fails(&results(action, 1, 12), &[]), BAD_CDB, "of another nexus");
        assert_eq!(host.fails(&results(action, 0, 12), &[]), BAD_CDB, "without an identifier");
    }
    assert_eq!(host.fails(&results(0x05, 1, 12), &[]), BAD_CDB);
}

#[test]
fn a_copy_under_way_can_be_asked_for_and_an_aborted_one_is_forgotten() {
    let bench = Bench::new();
    let host = bench.host(1);
    host.write(0, &vec![7; 9000 * BLOCK]);
    let list = list(7, 0, &[], &[segment((OWN, 0), (OWN, 7000), 9000)]);
    // One chunk is read and written, the next is being read.
    let Err(task) = host.run_until(&cdb(list.len()), &list, 2) else { panic!("it has ended") };
    let status = host.get(&results(0x00, 7, 12));
    assert_eq!(status, [&[0, 0, 0, 8, 0x80, 0, 0, 0][..], &(4_u32 << 20).to_be_bytes()].concat());
    assert_eq!(host.fails(&results(0x04, 7, 100), &[]), BAD_CDB);
    assert_eq!(host.fails(&results(0x01, 7, 100), &[]), BAD_CDB);
    let again = host.fails(&cdb(list.len()), &list);
    assert_eq!(again, (SenseKey::IllegalRequest, Asc::OPERATION_IN_PROGRESS));
    drop(task);
    assert_eq!(host.fails(&results(0x00, 7, 12), &[]), BAD_CDB);
    copy(&host, &list).good();
}

#[test]
fn the_limits_are_told_in_two_places() {
    let bench = Bench::with(4096, |_| ());
    let host = bench.host(1);
    let parameters = host.get(&results(0x03, 0, 1000));
    assert_eq!(parameters[..4], 43_u32.to_be_bytes());
    assert_eq!(parameters[4], 1);
    assert_eq!(parameters[8..20], [0, 16, 0, 64, 0, 0, 10, 0, 16, 0, 0, 0]);
    assert_eq!(parameters[20..34], [0; 14], "no inline data, none held, no streams");
    assert_eq!(parameters[34..40], [0, 16, 16, 12, 0, 0]);
    assert_eq!(parameters[43..], [3, 0x02, 0x0a, 0xe4]);
    assert_eq!(host.get(&results(0x03, 0, 4)), parameters[..4]);
    let inquiry = host.get(&[0x12, 0, 0, 0, 96, 0]);
    assert_ne!(inquiry[5] & 0x08, 0, "3PC");
    assert!(host.get(&[0x12, 1, 0, 0, 96, 0])[4..].contains(&0x8f));
    let page = host.get(&[0x12, 1, 0x8f, 0, 255, 0]);
    assert_eq!(page[1..4], [0x8f, 0, (page.len() - 4) as u8]);
    let mut rest = &page[4..];
    let mut found = Vec::new();
    while let [k0, k1, l0, l1, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        assert_eq!(len % 4, 0);
        found.push((u16::from_be_bytes([*k0, *k1]), &tail[..len]));
        rest = &tail[len..];
    }
    let kinds: Vec<u16> = found.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [0x0001, 0x0004, 0x0008, 0x000c, 0x8001]);
    assert_eq!(found[0].1, [9, 0x83, 1, 0, 0x84, 4, 0, 1, 3, 4, 0, 0]);
    assert_eq!(found[1].1[4..16], [0, 16, 0, 64, 0, 0, 10, 0, 0, 0, 0, 0]);
    assert_eq!(found[2].1, [3, 0x02, 0x0a, 0xe4]);
    assert_eq!(found[3].1, [0, 2, 0xff, 0xff]);
    assert_eq!(found[4].1[..14], [0, 0, 0, 16, 0, 0, 0, 16, 16, 0, 0, 0, 12, 0]);
}

#[test]
fn the_amount_copied_is_told_in_the_smallest_unit_that_holds_it() {
    let bench = Bench::new();
    let host = bench.host(1);
    let copies = &host.nexus.copies;
    copies.begin(UnitId(0), 5).unwrap();
    for (bytes, told) in [
        (0xffff_ffff, [0, 0xff, 0xff, 0xff, 0xff]),
        (1 << 32, [1, 0, 0x40, 0, 0]),
        (3 << 42, [2, 0, 0xc0, 0, 0]),
    ] {
        copies.update(UnitId(0), 5, |copy| {
            (copy.state, copy.segments, copy.bytes) = (State::Done, 3, bytes);
        });
        let data = host.get(&results(0, 5, 12));
        assert_eq!((data[4], &data[5..7]), (0x81, &[0, 3][..]));
        assert_eq!(data[7..], told, "{bytes}");
    }
}

#[test]
fn a_segment_copies_as_much_as_is_told() {
    let bench = Bench::with(512, |spec| spec.info.size_bytes = 1 << 40);
    let host = bench.host(1);
    let targets = [target(&host, 0, 512)];
    // Onto itself there is nothing to do.
    let most = segment_of_bytes((8, 0), (8, 0), 256 << 20);
    copy(&host, &list(5, 0, &targets, &[most])).good();
    assert_eq!(host.get(&results(0, 5, 12))[7..], [0; 5]);
}

#[test]
fn failed_segment_details_are_in_the_format_of_the_unit() {
    let bench = Bench::new();
    let host = bench.host(1);
    let mut control = host.get(&[0x1a, 0x08, 0x0a, 0, 16, 0]);
    (control[0], control[2]) = (0, 0);
    for (d_sense, response_code) in [(0, 0x70), (0x04, 0x72)] {
        control[6] = control[6] & !0x04 | d_sense;
        host.put(&[0x15, 0x10, 0, 0, 16, 0], &control);
        let beyond = segment((OWN, BLOCKS), (OWN, 0), 1);
        assert_eq!(copy(&host, &list(6, 0, &[], &[beyond])).status, Status::CheckCondition);
        assert_eq!(host.get(&results(4, 6, 255))[60], response_code);
    }
}

#[test]
fn a_copy_holds_its_list_and_one_chunk() {
    let bench = Bench::new();
    let host = bench.host(1);
    let of = |len| host.memory(&cdb(len));
    let chunk = of(16).unwrap() - 16;
    assert!(chunk >= 1 << 20);
    assert_eq!(of(0x1_0000), Some(0x1_0000 + chunk));
    assert_eq!((of(0x1_0001), of(0x2_0000)), (None, None));
}

#[test]
fn the_long_lists_of_spc_4_are_not_there() {
    let bench = Bench::new();
    let host = bench.host(1);
    let mut lid4 = cdb(16);
    lid4[1] = 0x01;
    assert_eq!(host.fails(&lid4, &[0; 16]), BAD_CDB);
}
