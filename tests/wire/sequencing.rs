//! Full feature phase: sequence numbers, the command window, data in (F1 to F11).

use crate::lab::{BLOCK, Lab, options, pattern};
use crate::session::{
    CHECK_CONDITION, GOOD, LBA_OUT_OF_RANGE, Residual, before, lun_field, read10, reason,
};
use crate::support::raw::{FINAL, NO_TAG, Pdu, READ, op};

/// Requests below and above the window: nothing comes of them.
pub(crate) fn outside_the_window() {
    let lab = Lab::new();
    let mut session = lab.session();
    session.put(0, &pattern(BLOCK, 1));
    for cmd_sn in [
        session.exp_cmd_sn.wrapping_sub(1),
        session.exp_cmd_sn.wrapping_sub(1000),
        session.max_cmd_sn.wrapping_add(1),
        session.max_cmd_sn.wrapping_add(1 << 30),
        session.max_cmd_sn.wrapping_add(1 << 31),
    ] {
        let write = session.write_command(0, BLOCK).set(24, cmd_sn).with(&pattern(BLOCK, 2));
        session.cmd_sn = session.cmd_sn.wrapping_sub(1);
        session.send(&write);
        let nop = Pdu::new(op::NOP_OUT, FINAL).set(16, 77).set(20, NO_TAG).set(24, cmd_sn);
        session.send(&nop);
        session.ping();
    }
    assert!(session.get(0, BLOCK) == pattern(BLOCK, 1), "none of them was executed");
}

#[test]
fn f01_cmd_sn_outside_the_window_is_ignored() {
    outside_the_window();
}

/// A CmdSN twice, before and after its turn: it counts once.
pub(crate) fn duplicates() {
    let lab = Lab::new();
    let mut session = lab.session();
    session.put(1, &pattern(BLOCK, 1));
    let first = session.read_command(0, BLOCK);
    let second = session.write_command(1, BLOCK).with(&pattern(BLOCK, 2));
    session.send(&second);
    // The same number again, with another tag and other data.
    let duplicate = second.clone().set(16, 0x7777).with(&pattern(BLOCK, 3));
    session.send(&duplicate);
    session.ping();
    session.send(&first);
    session.finish(&first, &[]).good();
    session.finish(&second, &[]).good();
    // And after it was executed.
    session.send(&duplicate);
    session.ping();
    assert!(session.get(1, BLOCK) == pattern(BLOCK, 2));
}

#[test]
fn f02_a_duplicate_cmd_sn_in_the_window_is_ignored() {
    duplicates();
}

#[test]
fn f03_commands_after_a_gap_wait_and_run_in_order() {
    let lab = Lab::new();
    let mut session = lab.session();
    let first = session.write_command(0, BLOCK).with(&pattern(BLOCK, 1));
    let second = session.write_command(0, BLOCK).with(&pattern(BLOCK, 2));
    let third = session.read_command(0, BLOCK);
    session.send(&third);
    session.send(&second);
    let answer = session.ping();
    assert_eq!(answer.exp_cmd_sn(), first.word(24), "the first is what it waits for");
    session.send(&first);
    let mut ended = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    while ended.len() < 3 {
        let pdu = session.receive();
        data.extend(&pdu.data);
        ended.push(pdu.itt());
    }
    assert_eq!(ended, [first.itt(), second.itt(), third.itt()]);
    assert!(data == pattern(BLOCK, 2), "the read came after the second write");
    assert_eq!(session.exp_cmd_sn, session.cmd_sn);
}

#[test]
fn f04_an_immediate_command_runs_now_and_takes_no_number() {
    let lab = Lab::new();
    let mut session = lab.session();
    let hole = session.read_command(0, BLOCK);
    let waits = session.read_command(8, BLOCK);
    session.send(&waits);
    // Its CmdSN is that of the next command; the hole before that does not concern it.
    let immediate = session.read_command(16, BLOCK).immediate();
    session.cmd_sn = session.cmd_sn.wrapping_sub(1);
    session.send(&immediate);
    session.finish(&immediate, &[]).good();
    assert_eq!(session.exp_cmd_sn, hole.word(24));
    session.send(&hole);
    session.finish(&hole, &[]).good();
    session.finish(&waits, &[]).good();
    assert_eq!(session.exp_cmd_sn, session.cmd_sn);
    session.get(0, BLOCK);
}

#[test]
fn f05_too_many_immediate_commands_are_rejected() {
    let mut options = options();
    options.session.immediate_commands = 2;
    let lab = Lab::with(options);
    let mut session = lab.session();
    lab.volumes[0].hold();
    let commands: Vec<_> = (0..3)
        .map(|i| {
            let command = session.read_command(i, BLOCK).immediate();
            session.cmd_sn = session.cmd_sn.wrapping_sub(1);
            session.send(&command);
            command
        })
        .collect();
    session.expect_reject(reason::IMMEDIATE, &commands[2]);
    session.ping();
    lab.volumes[0].wait_for(2);
    lab.volumes[0].release();
    session.finish(&commands[0], &[]).good();
    session.finish(&commands[1], &[]).good();
    session.send(&commands[2]);
    session.finish(&commands[2], &[]).good();
}

#[test]
fn f06_the_window_closes_opens_never_goes_back_and_wraps() {
    let mut options = options();
    options.login.command_window = 4;
    let lab = Lab::with(options);
    // Two below zero when the unit attentions have been heard.
    let mut session = lab.login().cmd_sn(0xffff_fff8).session().ready();
    while session.cmd_sn != 0xffff_fffe {
        session.get(0, BLOCK);
    }
    lab.volumes[0].hold();
    let reads: Vec<_> = (0..4)
        .map(|i| {
            let read = session.read_command(i, BLOCK);
            session.send(&read);
            read
        })
        .collect();
    let answer = session.ping();
    assert_eq!((answer.exp_cmd_sn(), answer.max_cmd_sn()), (2, 1), "closed");
    let beyond = session.read_command(9, BLOCK);
    session.send(&beyond);
    session.ping();
    lab.volumes[0].wait_for(4);
    lab.volumes[0].release();
    for read in &reads {
        session.finish(read, &[]).good();
    }
    assert_eq!((session.exp_cmd_sn, session.max_cmd_sn), (2, 5), "open again");
    session.send(&beyond);
    session.finish(&beyond, &[]).good();
    for i in 0..20 {
        session.get(i, BLOCK);
    }
}

#[test]
fn f07_only_what_carries_status_advances_stat_sn() {
    let lab = Lab::new();
    let mut session = lab.session_with(&[("MaxRecvDataSegmentLength", "512")]);
    let next = session.stat_sn;
    let write = session.write_command(0, BLOCK);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    assert_eq!(r2t.stat_sn(), next, "an R2T has it and does not advance it");
    session.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
    assert_eq!(session.expect(op::SCSI_RESPONSE).stat_sn(), next);
    let end = session.read(&read10(0, 4 * BLOCK), 4 * BLOCK);
    assert_eq!(end.pdus.len(), 4);
    assert!(end.pdus[..3].iter().all(|pdu| pdu.flags() & 1 == 0));
    assert_eq!(end.pdus[3].stat_sn(), next.wrapping_add(1), "Data-In with S counts, the rest not");
    assert_eq!(session.ping().stat_sn(), next.wrapping_add(2));
}

#[test]
fn f08_stat_sn_is_in_order_on_the_wire_however_completions_race() {
    let lab = Lab::new();
    let mut session = lab.session();
    lab.volumes.iter().for_each(|volume| volume.hold());
    let mut open: Vec<u32> = (0..64)
        .map(|i| {
            session.lun = lun_field(i % 2);
            let read = session.read_command(u32::from(i), BLOCK);
            session.send(&read);
            read.itt()
        })
        .collect();
    lab.volumes[0].wait_for(32);
    lab.volumes[1].wait_for(32);
    std::thread::scope(|scope| {
        for volume in &lab.volumes {
            scope.spawn(|| volume.release());
        }
    });
    // That each carries the next StatSN is checked of everything that comes.
    while !open.is_empty() {
        let answer = session.expect(op::DATA_IN);
        assert_eq!((answer.flags() & 1, answer.bhs[3]), (1, GOOD));
        let at = open.iter().position(|itt| *itt == answer.itt()).expect("answered once");
        open.swap_remove(at);
    }
    session.ping();
}

#[test]
fn f09_data_sn_and_r2t_sn_count_within_each_command() {
    let lab = Lab::new();
    let keys = [("MaxRecvDataSegmentLength", "512"), ("MaxBurstLength", "1024")];
    let mut session = lab.session_with(&keys);
    // That they begin with 0, go up by one, and that ExpDataSN is the number of Data-In PDUs
    // (11.4.8), is checked of every command. Here that there is something to count.
    for round in 0..2 {
        let data = pattern(8 * BLOCK, round);
        session.segment = 512;
        let end = session.write(&crate::session::write10(0, data.len()), &data);
        assert_eq!(end.r2ts().len(), 4, "bursts of 1024 bytes");
        assert_eq!(end.pdus.last().unwrap().word(36), 0, "no Data-In for a write");
        let end = session.read(&read10(0, data.len()), data.len());
        assert_eq!(
            end.pdus.iter().map(|pdu| pdu.word(36)).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5, 6, 7]
        );
        assert!(end.good() == data);
    }
}

#[test]
fn f10_data_in_keeps_to_segment_and_burst_lengths() {
    let lab = Lab::new();
    lab.session().put(0, &pattern(64 * BLOCK, 1));
    for (segment, burst) in [("512", "512"), ("1001", "4098"), ("8192", "10000"), ("4096", "600")] {
        let keys = [("MaxRecvDataSegmentLength", segment), ("MaxBurstLength", burst)];
        let mut session = lab.session_with(&keys);
        assert_eq!(session.answer("MaxBurstLength"), Some(burst));
        // Each PDU and each burst is checked against both, and non-final ones for padding.
        let end = session.read(&read10(0, 64 * BLOCK), 64 * BLOCK);
        let finals = end.pdus.iter().filter(|pdu| pdu.flags() & FINAL != 0).count();
        let burst: usize = burst.parse().unwrap();
        assert!(finals >= (64 * BLOCK).div_ceil(burst), "F at the end of each burst");
        assert!(end.good() == pattern(64 * BLOCK, 1));
    }
}

#[test]
fn f11_only_a_status_of_success_rides_on_data_in() {
    let lab = Lab::new();
    let mut session = lab.session();
    let end = session.read(&read10(0, BLOCK), BLOCK);
    assert_eq!((end.pdus.len(), end.pdus[0].flags()), (1, FINAL | 1), "GOOD with the data");
    let end = session.read(&read10(u32::MAX, BLOCK), BLOCK);
    assert_eq!((end.pdus.len(), end.pdus[0].opcode()), (1, op::SCSI_RESPONSE));
    assert_eq!((end.status, end.codes()), (CHECK_CONDITION, LBA_OUT_OF_RANGE));
    assert_eq!(end.residual, Residual::Under(512));
    // Data with a residual may carry the status, too.
    let command = session.command(READ, 4096, &[0x12, 0, 0, 0, 96, 0]);
    session.send(&command);
    let end = session.finish(&command, &[]);
    assert_eq!((end.status, end.residual), (GOOD, Residual::Under(4096 - 96)));
    assert!(before(command.word(24), session.exp_cmd_sn));
}
