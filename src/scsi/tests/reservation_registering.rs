//! REGISTER for others (SPEC_I_PT), for all target ports (ALL_TG_PT), and REGISTER AND MOVE.

use proptest::prelude::*;

use super::bench::*;
use super::reservations::*;
use crate::scsi::transport_id;
use crate::scsi::{Asc, NexusSpec, Sense, Status};

fn port_name(number: u8) -> String {
    nexus_spec(number).initiator_port
}

/// A TransportID of format 00b.
fn node_id(name: &str) -> Vec<u8> {
    let mut name = name.as_bytes().to_vec();
    name.resize((name.len() + 1).next_multiple_of(4).max(20), 0);
    [&[0x05, 0, 0, name.len() as u8], &name[..]].concat()
}

pub(super) fn port_id(number: u8) -> Vec<u8> {
    transport_id::encode(&port_name(number))
}

fn basic(key: u64, action_key: u64, flags: u8) -> Vec<u8> {
    let mut list = [key.to_be_bytes(), action_key.to_be_bytes(), [0; 8]].concat();
    list[20] = flags;
    list
}

pub(super) fn send(host: &Host<'_>, action: u8, list: &[u8]) -> Answer {
    let [a, b, c, d] = (list.len() as u32).to_be_bytes();
    host.run(&[0x5f, action, 0, 0, 0, a, b, c, d, 0], list)
}

fn with_ids(mut list: Vec<u8>, ids: &[Vec<u8>]) -> Vec<u8> {
    let ids = ids.concat();
    list.extend_from_slice(&(ids.len() as u32).to_be_bytes());
    list.extend_from_slice(&ids);
    list
}

/// REGISTER with SPEC_I_PT.
pub(super) fn specify(host: &Host<'_>, key: u64, new: u64, flags: u8, ids: &[Vec<u8>]) -> Answer {
    send(host, REGISTER, &with_ids(basic(key, new, SPEC_I_PT | flags), ids))
}

pub(super) fn moving(key: u64, new: u64, flags: u8, target: u16, id: &[u8]) -> Vec<u8> {
    let mut list = [key.to_be_bytes(), new.to_be_bytes()].concat();
    list.extend_from_slice(&[0, flags]);
    list.extend_from_slice(&target.to_be_bytes());
    with_ids(list, &[id.to_vec()])
}

/// An initiator that comes through another target port.
fn through(bench: &Bench, number: u8, target_port: u16) -> Host<'_> {
    let mut host = bench.stranger(number);
    bench.device.detach(&host.nexus);
    host.nexus = bench.device.attach(NexusSpec { target_port, ..nexus_spec(number) });
    host.run(&TUR, &[]);
    host
}

/// Initiator port, target port, ALL_TG_PT, holder, key.
fn full_status(host: &Host<'_>) -> Vec<(String, u16, bool, bool, u64)> {
    let data = read_in(host, 3);
    let mut rest = &data[8..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = u64::from_be_bytes(rest[..8].try_into().unwrap());
        let len = u32::from_be_bytes(rest[20..24].try_into().unwrap()) as usize;
        let target = u16::from_be_bytes([rest[18], rest[19]]);
        let name = rest[28..24 + len].split(|byte| *byte == 0).next().unwrap();
        let name = String::from_utf8(name.to_vec()).unwrap();
        found.push((name, target, rest[12] & 2 != 0, rest[12] & 1 != 0, key));
        rest = &rest[24 + len..];
    }
    found
}

#[test]
fn specified_ports_are_registered_with_the_sender() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    // Twice, in capitals, and the sender itself: each is registered once.
    let shouted = transport_id::encode(&port_name(2).to_uppercase().replace(",I,0X", ",i,0x"));
    let ids = [port_id(2), port_id(3), shouted, port_id(1)];
    specify(&one, 0, 0xa, 0, &ids).good();
    let wanted = [1, 2, 3].map(|number| (port_name(number), 1, false, false, 0xa));
    assert_eq!(full_status(&one), wanted);
    assert_eq!(keys(&one).0, 1, "one command");
    // They are registrants as any other, before they have ever been there.
    out(&two, PR_RESERVE, 3, 0xa, 0).good();
    let three = bench.host(3);
    assert_eq!(three.status(&READ, &[]), CONFLICT);
    out(&three, PREEMPT, 3, 0xa, 0xa).good();
}

#[test]
fn a_specified_node_is_all_its_known_ports() {
    let bench = Bench::new();
    let one = bench.host(1);
    let second_port = format!("{},i,0x00023d0000ff", nexus_spec(2).initiator_name);
    let spec = NexusSpec { initiator_port: second_port.clone(), ..nexus_spec(2) };
    let _ports = (bench.stranger(2), bench.device.attach(spec));
    specify(&one, 0, 0xa, 0, &[node_id(&nexus_spec(2).initiator_name)]).good();
    let names: Vec<String> = full_status(&one).into_iter().map(|found| found.0).collect();
    assert_eq!(names, [port_name(1), port_name(2), second_port]);
    // Nobody knows any port of it.
    out(&one, CLEAR, 0, 0xa, 0).good();
    let unknown = specify(&one, 0, 0xa, 0, &[node_id("iqn.2025-01.example:host20")]);
    assert_eq!(unknown.asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    assert!(keys(&one).1.is_empty());
}

#[test]
fn specifying_is_all_or_nothing() {
    let bench = Bench::new();
    let (one, two) = (bench.host(1), bench.host(2));
    out(&two, IGNORE, 0, 0, 2).good();
    let generation = keys(&one).0;
    let refused = |answer: Answer| {
        let sense = answer.sense.expect("refused");
        assert_eq!(sense.asc, Asc::INVALID_FIELD_IN_PARAMETER_LIST);
        assert_eq!(keys(&one), (generation, vec![2]));
    };
    // One is registered already.
    refused(specify(&one, 0, 1, 0, &[port_id(3), port_id(2)]));
    // The sender is.
    refused(specify(&two, 2, 3, 0, &[port_id(3)]));
    refused(specify(&two, 2, 0, 0, &[port_id(3)]));
    assert_eq!(specify(&one, 5, 1, 0, &[port_id(3)]).status, CONFLICT, "a key of nobody");
    // Nothing is asked for: GOOD, and nothing happens.
    specify(&one, 0, 0, 0, &[port_id(3)]).good();
    assert_eq!(keys(&one), (generation, vec![2]));
    // Another protocol, a format of the future, cut, too short, and lengths that lie.
    let with_byte = |at: usize, byte: u8| {
        let mut id = port_id(3);
        id[at] = byte;
        id
    };
    for bad in [with_byte(0, 0x46), with_byte(0, 0xc5), with_byte(3, 16), with_byte(3, 0xff)] {
        refused(specify(&one, 0, 1, 0, &[port_id(4), bad]));
    }
    let good = with_ids(basic(0, 1, SPEC_I_PT), &[port_id(3)]);
    for lie in [0, 4, good.len() as u32 - 28 - 4, good.len() as u32, u32::MAX] {
        let mut list = good.clone();
        list[24..28].copy_from_slice(&lie.to_be_bytes());
        refused(send(&one, REGISTER, &list));
    }
    for len in 25..28 {
        assert_eq!(send(&one, REGISTER, &good[..len]).asc(), Asc::PARAMETER_LIST_LENGTH_ERROR);
    }
    let without_flag = with_ids(basic(0, 1, 0), &[port_id(3)]);
    assert_eq!(send(&one, REGISTER, &without_flag).asc(), Asc::PARAMETER_LIST_LENGTH_ERROR);
}

#[test]
fn there_is_room_for_so_many_registrations() {
    let bench = Bench::new();
    let one = bench.host(1);
    let ids: Vec<Vec<u8>> =
        (0..255).map(|i| transport_id::encode(&format!("iqn.a:{i},i,0x1"))).collect();
    let too_many = [&ids[..], &[port_id(2)]].concat();
    let refused = specify(&one, 0, 1, 0, &too_many);
    assert_eq!(refused.asc(), Asc::INSUFFICIENT_REGISTRATION_RESOURCES);
    assert_eq!(keys(&one), (0, vec![]));
    specify(&one, 0, 1, APTPL, &ids).good();
    assert_eq!(read_in(&one, 0).len(), 8 + 256 * 8);
    let two = bench.host(2);
    let refused = out(&two, IGNORE, 0, 0, 1);
    assert_eq!(refused.asc(), Asc::INSUFFICIENT_REGISTRATION_RESOURCES);
    // What does not fit into the record is not promised to be kept.
    out(&one, CLEAR, 0, 1, 0).good();
    let long: Vec<Vec<u8>> = (0..200)
        .map(|i| transport_id::encode(&format!("{}{i:03},i,0x1", "x".repeat(220))))
        .collect();
    specify(&one, 0, 1, APTPL, &long).good();
    out(&one, CLEAR, 0, 1, 0).good();
    let quotes: Vec<Vec<u8>> = (0..200)
        .map(|i| transport_id::encode(&format!("{}{i:03},i,0x1", "\"".repeat(220))))
        .collect();
    let refused = specify(&one, 0, 1, APTPL, &quotes);
    assert_eq!(refused.asc(), Asc::INSUFFICIENT_REGISTRATION_RESOURCES);
    assert!(keys(&one).1.is_empty());
}

/// A list of many nodes is refused before anyone is looked up.
#[test]
fn so_many_may_be_specified() {
    let bench = Bench::new();
    let one = bench.host(1);
    let mut ids: Vec<Vec<u8>> = (0..256).map(|i| node_id(&format!("iqn.a:{i}"))).collect();
    ids.extend_from_within(..10);
    assert_eq!(specify(&one, 0, 1, 0, &ids).asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    ids.push(port_id(1));
    assert_eq!(specify(&one, 0, 1, 0, &ids).asc(), Asc::INSUFFICIENT_REGISTRATION_RESOURCES);
    assert_eq!(keys(&one), (0, vec![]));
}

#[test]
fn all_target_ports_are_registered_at_once() {
    let bench = Bench::new();
    let (first, second) = (bench.host(1), through(&bench, 1, 2));
    let other = bench.host(2);
    out_with_flags(&first, REGISTER, 0, [0, 7], ALL_TG_PT).good();
    assert_eq!(full_status(&other), [(port_name(1), 1, true, false, 7)]);
    assert_eq!(keys(&other), (1, vec![7, 7]));
    // One of them holds a reservation: they are not alike any more.
    out(&second, PR_RESERVE, 1, 7, 0).good();
    let of = |target, holds| (port_name(1), target, false, holds, 7);
    assert_eq!(full_status(&other), [of(1, false), of(2, true)]);
    assert_eq!(first.status(&WRITE, &[0; BLOCK]), CONFLICT);
    out(&second, PR_RELEASE, 1, 7, 0).good();
    // All hold it: they are.
    out(&second, PR_RESERVE, 8, 7, 0).good();
    assert_eq!(full_status(&other), [(port_name(1), 1, true, true, 7)]);
    // A key changed through one port is changed for that one.
    out(&second, REGISTER, 0, 7, 8).good();
    assert_eq!(keys(&other).1, [7, 8]);
    assert_eq!(full_status(&other).len(), 2);
    // As through each port: the second has another key.
    let conflict = out_with_flags(&first, REGISTER, 0, [7, 9], ALL_TG_PT);
    assert_eq!(conflict.status, CONFLICT);
    out_with_flags(&first, IGNORE, 0, [0, 9], ALL_TG_PT).good();
    assert_eq!(keys(&other).1, [9, 9]);
    out_with_flags(&first, REGISTER, 0, [9, 0], ALL_TG_PT).good();
    assert_eq!((keys(&other).1, reservation(&other)), (vec![], None));
}

/// Nobody has come through the second yet.
#[test]
fn all_target_ports_are_those_that_the_transport_has() {
    let bench = Bench::new();
    let mut first = bench.host(1);
    bench.device.detach(&first.nexus);
    first.nexus = bench.device.attach(NexusSpec { target_ports: vec![1, 2], ..nexus_spec(1) });
    first.run(&TUR, &[]);
    out_with_flags(&first, REGISTER, 0, [0, 7], ALL_TG_PT).good();
    out(&first, PR_RESERVE, 8, 7, 0).good();
    assert_eq!(keys(&first).1, [7, 7]);
    assert_eq!(full_status(&first), [(port_name(1), 1, true, true, 7)]);
    through(&bench, 1, 2).put(&WRITE, &[0; BLOCK]);
    assert_eq!(bench.host(2).status(&WRITE, &[0; BLOCK]), CONFLICT);
    out(&first, CLEAR, 0, 7, 0).good();
    out(&first, IGNORE, 0, 0, 7).good();
    out(&first, PR_RESERVE, 1, 7, 0).good();
    send(&first, MOVE, &moving(7, 8, 0, 2, &port_id(3))).good();
    through(&bench, 3, 2).put(&WRITE, &[0; BLOCK]);
    assert_eq!(bench.host(3).status(&WRITE, &[0; BLOCK]), CONFLICT, "through another port");
}

#[test]
fn specified_ports_through_all_target_ports() {
    let bench = Bench::new();
    let (one, _two) = (bench.host(1), through(&bench, 2, 2));
    specify(&one, 0, 5, ALL_TG_PT, &[port_id(3)]).good();
    let wanted = [1, 3].map(|number| (port_name(number), 1, true, false, 5));
    assert_eq!(full_status(&one), wanted);
    assert_eq!(keys(&one).1.len(), 4);
}

#[test]
fn a_reservation_is_moved() {
    for (kind, unregister) in [(1, false), (3, true), (5, true), (6, false)] {
        let bench = Bench::new();
        let (one, two, three) = (bench.host(1), bench.host(2), bench.host(3));
        out(&one, IGNORE, 0, 0, 1).good();
        out(&three, IGNORE, 0, 0, 3).good();
        out(&one, PR_RESERVE, kind, 1, 0).good();
        let flags = if unregister { 2 } else { 0 };
        send(&one, MOVE, &moving(1, 2, flags, 1, &port_id(2))).good();
        assert_eq!(reservation(&one), Some((2, kind)));
        let wanted = if unregister { vec![3, 2] } else { vec![1, 3, 2] };
        assert_eq!(keys(&one), (3, wanted), "type {kind}");
        two.put(&WRITE, &[0; BLOCK]);
        three.put(&TUR, &[]);
        let still = kind >= 5 && !unregister;
        let status = if still { Status::Good } else { CONFLICT };
        assert_eq!(one.status(&WRITE, &[0; BLOCK]), status, "type {kind}");
    }
}

#[test]
fn who_may_move_and_where_to() {
    let bench = Bench::new();
    let (one, two, three) = (bench.host(1), bench.host(2), bench.host(3));
    let to_two = |host: &Host<'_>, key, new| send(host, MOVE, &moving(key, new, 0, 1, &port_id(2)));
    assert_eq!(to_two(&one, 0, 9).status, CONFLICT, "not registered");
    out(&one, IGNORE, 0, 0, 1).good();
    assert_eq!(to_two(&one, 1, 9).asc(), Asc::INVALID_FIELD_IN_CDB, "no reservation");
    out(&three, IGNORE, 0, 0, 3).good();
    out(&one, PR_RESERVE, 1, 1, 0).good();
    assert_eq!(to_two(&three, 3, 9).status, CONFLICT, "not the holder");
    assert_eq!(to_two(&one, 3, 9).status, CONFLICT, "not its key");
    assert_eq!(to_two(&one, 1, 0).sense, Some(Sense::parameter(8, None)), "no key");
    let list = |target, id: &[u8]| moving(1, 9, 0, target, id);
    let bad_list = |list: &[u8]| {
        assert_eq!(send(&one, MOVE, list).asc(), Asc::INVALID_FIELD_IN_PARAMETER_LIST);
    };
    bad_list(&list(1, &port_id(1))); // to itself
    bad_list(&list(7, &port_id(2))); // a target port that is not
    bad_list(&list(1, &node_id("iqn.2025-01.example:nobody")));
    bad_list(&list(1, &[port_id(2), port_id(3)].concat()));
    bad_list(&list(1, &[]));
    bad_list(&list(1, &port_id(2)[..24]));
    bad_list(&list(1, &port_id(2))[..24]);
    let mut lie = list(1, &port_id(2));
    lie[23] += 4;
    bad_list(&lie);
    assert_eq!((keys(&one), reservation(&one)), ((2, vec![1, 3]), Some((1, 1))), "as it was");
    // To a node of one port, which is registered already: it gets the new key.
    let list = list(1, &node_id(&nexus_spec(3).initiator_name));
    send(&one, MOVE, &list).good();
    assert_eq!((keys(&one), reservation(&one)), ((3, vec![1, 9]), Some((9, 1))));
    // All registrants hold it: there is nobody to move it from.
    out(&three, CLEAR, 0, 9, 0).good();
    one.run(&TUR, &[]);
    out(&one, IGNORE, 0, 0, 1).good();
    out(&one, PR_RESERVE, 7, 1, 0).good();
    assert_eq!(to_two(&one, 1, 9).status, CONFLICT);
    drop(two);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the list says: no panic, and all or nothing.
    #[test]
    fn hostile_parameter_lists(
        action in 0..9_u8,
        flags in any::<u8>(),
        declared in prop_oneof![Just(None), any::<u32>().prop_map(Some), (0..400_u32).prop_map(Some)],
        changes in proptest::collection::vec((0..400_usize, any::<u8>()), 0..6),
        cut in 0..400_usize,
        holder in any::<bool>(),
    ) {
        let bench = Bench::new();
        let (one, two, _three) = (bench.host(1), bench.host(2), bench.stranger(3));
        out(&two, IGNORE, 0, 0, 2).good();
        if holder {
            out(&one, IGNORE, 0, 0, 1).good();
            out(&one, PR_RESERVE, 1, 1, 0).good();
        }
        let before = (keys(&one), reservation(&one));
        let key = u64::from(holder);
        let mut list = match action {
            MOVE => moving(key, 9, flags & 3, 1, &port_id(4)),
            _ => {
                let node = node_id(&nexus_spec(3).initiator_name);
                with_ids(basic(key, 9, flags), &[port_id(4), node, port_id(5)])
            }
        };
        if let Some(declared) = declared {
            let at = if action == MOVE { 20 } else { 24 };
            list[at..at + 4].copy_from_slice(&declared.to_be_bytes());
        }
        for (at, byte) in changes {
            if let Some(slot) = list.get_mut(at) {
                *slot = byte;
            }
        }
        list.truncate(cut.max(1));
        let answer = send(&one, action, &list);
        let heard = two.run(&TUR, &[]);
        if answer.status != Status::Good {
            prop_assert_eq!((keys(&one), reservation(&one)), before);
            prop_assert_eq!(heard.status, Status::Good);
        }
    }
}

#[test]
fn a_list_as_long_as_there_may_be() {
    let bench = Bench::new();
    let one = bench.host(1);
    let ids = vec![port_id(2); 0xffff / port_id(2).len() - 1];
    specify(&one, 0, 1, 0, &ids).good();
    assert_eq!(keys(&one).1, [1, 1]);
    let huge = [0x5f, 0, 0, 0, 0, 0, 1, 0, 1, 0];
    assert_eq!(one.fails(&huge, &vec![0; 0x1_0001]), BAD_LIST_LENGTH);
}

#[test]
fn what_is_wrong_in_a_list_is_pointed_at() {
    let bench = Bench::new();
    let one = bench.host(1);
    let points_at =
        |answer: Answer, at: usize| assert_eq!(answer.sense, Some(Sense::parameter(at, None)));
    let mut bad = port_id(3);
    bad[0] = 0x46;
    let second = 28 + port_id(4).len();
    points_at(specify(&one, 0, 1, 0, &[port_id(4), bad]), second);
    let mut lie = with_ids(basic(0, 1, SPEC_I_PT), &[port_id(3)]);
    lie[27] -= 4;
    points_at(send(&one, REGISTER, &lie), 24);
    // The reservation can go to one port only.
    out(&one, IGNORE, 0, 0, 1).good();
    out(&one, PR_RESERVE, 1, 1, 0).good();
    let two_ids = [port_id(2), port_id(3)].concat();
    points_at(send(&one, MOVE, &moving(1, 2, 0, 1, &two_ids)), 20);
}

#[test]
fn what_is_wrong_in_scope_and_type_is_pointed_at() {
    let bench = Bench::new();
    let one = bench.host(1);
    out(&one, IGNORE, 0, 0, 1).good();
    for (scope_and_type, bit) in [(0x02, 3), (0x0f, 3), (0x11, 7), (0x21, 7)] {
        let answer = out(&one, PR_RESERVE, scope_and_type, 1, 0);
        assert_eq!(answer.sense, Some(Sense::cdb_field(2, Some(bit))), "{scope_and_type:02x}");
    }
}

#[test]
fn all_target_ports_may_be_one() {
    let bench = Bench::new();
    let one = bench.host(1);
    out_with_flags(&one, REGISTER, 0, [0, 7], ALL_TG_PT).good();
    assert_eq!(full_status(&one), [(port_name(1), 1, true, false, 7)]);
}
