//! Task management and task sets (T1 to T8, T23, T24).

use crate::lab::{BLOCK, Lab, MIB, options, pattern};
use crate::session::{Codes, GOOD, Session, TASK_SET_FULL, before, lun_field, read10, write10};
use crate::support::raw::{FINAL, NO_TAG, Pdu, op};

const ABORT_TASK_SET: u8 = 2;
const CLEAR_ACA: u8 = 3;
const CLEAR_TASK_SET: u8 = 4;
const LOGICAL_UNIT_RESET: u8 = 5;

/// Responses (RFC 7143 11.6.1).
const COMPLETE: u8 = 0;
const NO_TASK: u8 = 1;
const NO_LUN: u8 = 2;
const NOT_SUPPORTED: u8 = 5;
const REJECTED: u8 = 255;
/// A status of SAM-5.
const TASK_ABORTED: u8 = 0x40;

const BUS_DEVICE_RESET: Codes = (6, 0x29, 0x03);
const TEST_UNIT_READY: [u8; 6] = [0; 6];

/// A read that is at the volume, which is held up.
fn running_read(lab: &Lab, session: &mut Session) -> Pdu {
    let volume = &lab.volumes[(session.lun >> 48) as usize];
    volume.hold();
    let count = volume.waiting();
    let read = session.read_command(0, BLOCK);
    session.send(&read);
    volume.wait_for(count + 1);
    read
}

#[test]
fn t01_abort_task_finds_what_runs_what_is_to_come_and_nothing_else() {
    let lab = Lab::new();
    let mut session = lab.session();
    // One that runs; the answer does not wait for a store that hangs.
    let read = running_read(&lab, &mut session);
    let abort = session.abort(&read);
    assert_eq!(session.manage(&abort), COMPLETE);
    lab.volumes[0].release();
    session.ping();
    // One that has not come yet: its number counts as received, and nothing comes of it.
    let late = session.write_command(0, BLOCK).with(&pattern(BLOCK, 1));
    let abort = session.abort(&late);
    assert_eq!(session.manage(&abort), COMPLETE);
    assert_eq!(session.exp_cmd_sn, session.cmd_sn);
    session.send(&late);
    session.ping();
    assert!(session.get(0, BLOCK) == [0; BLOCK]);
    // One that never was, in the past and outside the window.
    let nobody = session.tmf(1, 0x6666_6666, session.exp_cmd_sn.wrapping_sub(1));
    assert_eq!(session.manage(&nobody), NO_TASK);
    let beyond = session.tmf(1, 0x6666_6666, session.max_cmd_sn.wrapping_add(1));
    assert_eq!(session.manage(&beyond), NO_TASK);
    // An immediate command that is over: RefCmdSN is the request's own, which is that of the next
    // command, and that one must not be lost.
    let over = session.tmf(1, 0x6666_6666, session.cmd_sn);
    assert_eq!(session.manage(&over), NO_TASK);
    session.put(0, &pattern(BLOCK, 2));
    // The right tag on another unit is another task.
    let read = running_read(&lab, &mut session);
    let elsewhere = session.tmf(1, read.itt(), read.word(24)).set_lun(lun_field(1));
    assert_eq!(session.manage(&elsewhere), NO_TASK);
    let nowhere = session.tmf(1, read.itt(), read.word(24)).set_lun(lun_field(99));
    assert_eq!(session.manage(&nowhere), NO_LUN);
    lab.volumes[0].release();
    session.finish(&read, &[]).good();
}

#[test]
fn t02_nothing_of_an_aborted_task_comes_after_the_response() {
    let lab = Lab::new();
    let mut session = lab.session();
    let reads: Vec<_> = (0..4).map(|_| running_read(&lab, &mut session)).collect();
    let abort = session.abort(&reads[1]);
    assert_eq!(session.manage(&abort), COMPLETE);
    lab.volumes[0].release();
    let mut answered = Vec::new();
    for _ in 0..3 {
        answered.push(session.expect(op::DATA_IN).itt());
    }
    answered.sort_unstable();
    assert_eq!(answered, [reads[0].itt(), reads[2].itt(), reads[3].itt()]);
    session.ping();
}

#[test]
fn t03_abort_task_set_is_for_this_nexus_and_this_unit_only() {
    let lab = Lab::new();
    let (mut session, mut neighbour) = (lab.session(), lab.neighbour());
    let _aborted = [running_read(&lab, &mut session), running_read(&lab, &mut session)];
    let not_mine = running_read(&lab, &mut neighbour);
    session.lun = lun_field(1);
    let elsewhere = running_read(&lab, &mut session);
    session.lun = lun_field(0);
    let request = session.tmf(ABORT_TASK_SET, NO_TAG, 0);
    assert_eq!(session.manage(&request), COMPLETE);
    lab.volumes.iter().for_each(|volume| volume.release());
    session.finish(&elsewhere, &[]).good();
    session.ping();
    neighbour.finish(&not_mine, &[]).good();
    for session in [&mut session, &mut neighbour] {
        assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD, "nobody has to hear of it");
    }
}

#[test]
fn t04_clear_task_set_tells_those_whose_tasks_it_ended() {
    let lab = Lab::new();
    let (mut session, mut neighbour) = (lab.session(), lab.neighbour());
    let control = session.read(&[0x1a, 8, 0x0a, 0, 255, 0], 255).data;
    assert_eq!(control[4 + 5] & 0x40, 0x40, "TAS: TASK ABORTED, and no unit attention");
    let _mine = running_read(&lab, &mut session);
    let theirs = running_read(&lab, &mut neighbour);
    neighbour.lun = lun_field(1);
    let elsewhere = running_read(&lab, &mut neighbour);
    neighbour.lun = lun_field(0);
    let request = session.tmf(CLEAR_TASK_SET, NO_TAG, 0);
    assert_eq!(session.manage(&request), COMPLETE);
    // While the store still hangs.
    assert_eq!(neighbour.finish(&theirs, &[]).status, TASK_ABORTED);
    lab.volumes.iter().for_each(|volume| volume.release());
    neighbour.finish(&elsewhere, &[]).good();
    session.ping();
    neighbour.ping();
    for session in [&mut session, &mut neighbour] {
        assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD, "and nothing besides");
    }
}

#[test]
fn t04_the_status_of_a_write_that_another_ends_comes_after_its_data() {
    let lab = Lab::new();
    let (mut session, mut neighbour) = (lab.session(), lab.neighbour());
    let write = neighbour.write_command(0, BLOCK);
    neighbour.send(&write);
    let r2t = neighbour.expect(op::R2T);
    // This one is in no task set yet: a command before it is missing.
    let hole = neighbour.command(0, 0, &TEST_UNIT_READY);
    let waits = neighbour.write_command(8, BLOCK).with(&pattern(BLOCK, 2));
    neighbour.send(&waits);
    neighbour.ping();
    let request = session.tmf(CLEAR_TASK_SET, NO_TAG, 0);
    assert_eq!(session.manage(&request), COMPLETE);
    neighbour.ping();
    neighbour.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
    assert_eq!(neighbour.finish_from(&write, &[], 1).status, TASK_ABORTED);
    neighbour.send(&hole);
    neighbour.finish(&hole, &[]).good();
    neighbour.finish(&waits, &[]).good();
    assert!(session.get(0, BLOCK) == [0; BLOCK], "nothing of it is written");
    assert!(session.get(8, BLOCK) == pattern(BLOCK, 2));
}

/// PERSISTENT RESERVE OUT, with key and service action key.
pub(crate) fn pr_out(
    session: &mut Session,
    action: u8,
    kind: u8,
    key: u64,
    action_key: u64,
) -> crate::session::End {
    let mut list = [0; 24];
    list[..8].copy_from_slice(&key.to_be_bytes());
    list[8..16].copy_from_slice(&action_key.to_be_bytes());
    session.write(&[0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0], &list)
}

#[test]
fn t05_a_logical_unit_reset_is_for_all_and_keeps_persistent_reservations() {
    let lab = Lab::new();
    let (mut session, mut neighbour) = (lab.session(), lab.neighbour());
    session.lun = lun_field(1);
    session.none(&[0x16, 0, 0, 0, 0, 0]).good();
    session.lun = lun_field(0);
    session.none(&[0x16, 0, 0, 0, 0, 0]).good();
    let reset = |session: &mut Session, lun| {
        session.lun = lun_field(lun);
        let request = session.tmf(LOGICAL_UNIT_RESET, NO_TAG, 0);
        assert_eq!(session.manage(&request), COMPLETE);
    };
    let mine = running_read(&lab, &mut session);
    reset(&mut neighbour, 0);
    assert_eq!(session.finish(&mine, &[]).status, TASK_ABORTED);
    lab.volumes[0].release();
    neighbour.ping();
    session.ping();
    for session in [&mut session, &mut neighbour] {
        assert_eq!(session.none(&TEST_UNIT_READY).codes(), BUS_DEVICE_RESET);
        assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD);
    }
    // The reservation of the old kind is gone, that of the other unit is not.
    neighbour.put(0, &pattern(BLOCK, 1));
    neighbour.lun = lun_field(1);
    let refused = neighbour.write(&write10(0, BLOCK), &pattern(BLOCK, 1));
    assert_eq!(refused.status, crate::session::RESERVATION_CONFLICT);
    // Persistent ones stay.
    session.lun = lun_field(0);
    pr_out(&mut session, 0, 0, 0, 0xabc).good();
    pr_out(&mut session, 1, 3, 0xabc, 0).good();
    reset(&mut neighbour, 0);
    assert_eq!(neighbour.none(&TEST_UNIT_READY).codes(), BUS_DEVICE_RESET);
    let refused = neighbour.write(&write10(0, BLOCK), &pattern(BLOCK, 1));
    assert_eq!(refused.status, crate::session::RESERVATION_CONFLICT);
}

#[test]
fn t06_an_aborted_write_is_not_seen_late() {
    let lab = Lab::new();
    let (mut session, mut neighbour) = (lab.session(), lab.neighbour());
    session.put(0, &pattern(BLOCK, 1));
    // A write that is at the store, which hangs: it cannot be called back.
    let write = session.write_command(0, BLOCK).with(&pattern(BLOCK, 2));
    lab.volumes[0].hold();
    session.send(&write);
    lab.volumes[0].wait_for(1);
    let abort = session.abort(&write);
    assert_eq!(session.manage(&abort), COMPLETE, "while the store still hangs");
    // The store would now take what comes after the response, and be done with it before the old
    // write: whoever asks has to wait for that.
    lab.volumes[0].let_others_pass();
    let over = neighbour.write_command(0, BLOCK).with(&pattern(BLOCK, 3));
    neighbour.send(&over);
    neighbour.ping();
    let read = session.read_command(0, BLOCK);
    session.send(&read);
    session.ping();
    // Other blocks are nobody's concern.
    session.put(8, &pattern(BLOCK, 4));
    lab.volumes[0].release();
    neighbour.finish(&over, &[]).good();
    let seen = session.finish(&read, &[]).good();
    assert!(session.get(0, BLOCK) == pattern(BLOCK, 3), "the later write is what stays");
    assert!(seen == pattern(BLOCK, 3) || seen == pattern(BLOCK, 2), "one or the other, whole");
    session.ping();
}

#[test]
fn t07_requests_that_cannot_be_done_get_their_codes() {
    let lab = Lab::new();
    let mut session = lab.session();
    for function in [ABORT_TASK_SET, CLEAR_TASK_SET, LOGICAL_UNIT_RESET] {
        let request = session.tmf(function, NO_TAG, 0).set_lun(lun_field(9));
        assert_eq!(session.manage(&request), NO_LUN, "function {function}");
    }
    let request = session.tmf(CLEAR_ACA, NO_TAG, 0);
    assert_eq!(session.manage(&request), NOT_SUPPORTED);
    for function in [0, 13, 64, 127] {
        let request = session.tmf(function, NO_TAG, 0);
        let response = session.manage(&request);
        assert!(matches!(response, NOT_SUPPORTED | REJECTED), "{function}: {response}");
    }
    // No task management of task management. The first request waits behind a gap.
    let hole = session.nop(b"hole").byte(0, op::NOP_OUT);
    session.cmd_sn = session.cmd_sn.wrapping_add(1);
    let mut waits = session.tmf(ABORT_TASK_SET, NO_TAG, 0);
    waits.bhs[0] = op::TMF;
    session.cmd_sn = session.cmd_sn.wrapping_add(1);
    session.send(&waits);
    let request = session.tmf(1, waits.itt(), waits.word(24));
    assert_eq!(session.manage(&request), REJECTED);
    session.send(&hole);
    assert_eq!(session.expect(op::NOP_IN).data, b"hole");
    assert_eq!(session.tmf_response(&waits), COMPLETE);
}

#[test]
fn t08_a_numbered_request_waits_for_its_turn_and_an_immediate_one_does_not() {
    let lab = Lab::new();
    let mut session = lab.session();
    let write = session.write_command(0, BLOCK);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    let hole = session.command(0, 0, &TEST_UNIT_READY);
    let mut numbered = session.abort(&write);
    numbered.bhs[0] = op::TMF;
    session.cmd_sn = session.cmd_sn.wrapping_add(1);
    session.send(&numbered);
    session.ping();
    // Not executed either: the write goes on.
    session.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
    session.finish_from(&write, &[], 1).good();
    session.send(&hole);
    // Either may be answered first.
    for _ in 0..2 {
        let answer = session.receive();
        match answer.opcode() {
            op::SCSI_RESPONSE => assert_eq!((answer.itt(), answer.bhs[3]), (hole.itt(), GOOD)),
            op::TMF_RESPONSE => assert_eq!((answer.itt(), answer.bhs[2]), (numbered.itt(), 1)),
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(session.exp_cmd_sn, session.cmd_sn);
    // An immediate one with a gap before it.
    let write = session.write_command(8, BLOCK);
    session.send(&write);
    session.expect(op::R2T);
    let hole = session.command(0, 0, &TEST_UNIT_READY);
    let later = session.command(0, 0, &TEST_UNIT_READY);
    session.send(&later);
    let immediate = session.abort(&write);
    assert_eq!(session.manage(&immediate), COMPLETE);
    session.send(&hole);
    assert_eq!(session.finish(&hole, &[]).status, GOOD);
    assert_eq!(session.finish(&later, &[]).status, GOOD);
}

/// A command with this task attribute.
fn with_attribute(command: Pdu, attribute: u8) -> Pdu {
    let flags = command.flags() & !7 | attribute;
    command.byte(1, flags)
}

#[test]
fn t23_ordered_waits_for_all_before_it_and_head_of_queue_for_none() {
    const ORDERED: u8 = 2;
    const HEAD_OF_QUEUE: u8 = 3;
    let lab = Lab::new();
    let (mut session, mut neighbour) = (lab.session(), lab.neighbour());
    let volume = &lab.volumes[0];
    volume.hold();
    let simple = session.write_command(0, BLOCK).with(&pattern(BLOCK, 1));
    session.send(&simple);
    volume.wait_for(1);
    let write = session.write_command(0, BLOCK).with(&pattern(BLOCK, 2));
    let ordered = with_attribute(write, ORDERED);
    session.send(&ordered);
    let after = session.write_command(0, BLOCK).with(&pattern(BLOCK, 3));
    session.send(&after);
    session.ping();
    assert_eq!(volume.waiting(), 1, "neither the ordered one nor what comes after it");
    let head = with_attribute(session.read_command(8, BLOCK), HEAD_OF_QUEUE);
    session.send(&head);
    volume.wait_for(2);
    // Another initiator's commands are in the same task set.
    let of_neighbour = neighbour.read_command(16, BLOCK);
    neighbour.send(&of_neighbour);
    neighbour.ping();
    session.ping();
    assert_eq!(volume.held_ops(), ["write", "read"]);
    volume.release();
    let mut ended = Vec::new();
    for _ in 0..4 {
        ended.push(session.receive().itt());
    }
    let place = |pdu: &Pdu| ended.iter().position(|itt| *itt == pdu.itt()).unwrap();
    assert!(place(&simple) < place(&ordered) && place(&ordered) < place(&after), "{ended:x?}");
    neighbour.finish(&of_neighbour, &[]).good();
    assert!(session.get(0, BLOCK) == pattern(BLOCK, 3));
    assert!(before(ordered.word(24), after.word(24)));
}

#[test]
fn t24_more_than_there_is_room_for_is_put_off_or_told_so_and_never_lost() {
    let mut options = options();
    options.shard_buffer_bytes = MIB as usize;
    let lab = Lab::with(options);
    let (mut greedy, mut session) = (lab.session(), lab.session_with(&[]));
    greedy.expect_closed();
    greedy = lab.neighbour();
    session.put(0, &pattern(BLOCK, 1));
    lab.volumes[0].hold();
    let reads: Vec<_> = (0..8)
        .map(|_| {
            let read = greedy.read_command(0, 128 * 1024);
            greedy.send(&read);
            read
        })
        .collect();
    let writes: Vec<_> = (0..64)
        .map(|i| {
            let mut write = session.write_command(i * 16, 8192).with(&pattern(8192, 2));
            write.bhs[1] |= FINAL;
            session.send(&write);
            write
        })
        .collect();
    session.lun = lun_field(1);
    lab.volumes[0].release();
    let mut open: Vec<u32> = writes.iter().map(Pdu::itt).collect();
    while !open.is_empty() {
        let answer = session.expect(op::SCSI_RESPONSE);
        assert!(matches!(answer.bhs[3], GOOD | TASK_SET_FULL), "{answer:?}");
        let at = open.iter().position(|itt| *itt == answer.itt()).expect("answered once");
        open.swap_remove(at);
    }
    let mut open: Vec<u32> = reads.iter().map(Pdu::itt).collect();
    while !open.is_empty() {
        let answer = greedy.receive();
        if answer.opcode() == op::SCSI_RESPONSE {
            assert_eq!(answer.bhs[3], TASK_SET_FULL);
        }
        if answer.opcode() == op::SCSI_RESPONSE || answer.flags() & 1 != 0 {
            open.retain(|itt| *itt != answer.itt());
        }
    }
    // One that is larger than all there is.
    let end = greedy.read(&read10(0, 4 * MIB as usize), 4 * MIB as usize);
    assert_eq!((end.status, end.data.len()), (TASK_SET_FULL, 0));
    greedy.get(0, 128 * 1024);
}
