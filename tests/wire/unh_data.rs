//! The target tests of the UNH-IOL full feature phase plan, groups 1 to 10: numbering and data.
//! Where one is the same as a point of ours, it shares its code.

use crate::lab::{BLOCK, Lab, pattern};
use crate::login::{OPERATIONAL, SECURITY, TO_FULL_FEATURE, TO_OPERATIONAL, status, text};
use crate::session::{
    GOOD, INCORRECT_AMOUNT, Residual, Session, UNEXPECTED_DATA, before, lun_field, read10, write10,
};
use crate::support::raw::{FINAL, NO_TAG, Pdu, READ, WRITE, Wire, op};
use crate::transfers::{unsolicited, wrong_immediate_digest};
use crate::{sequencing, transfers};

#[test]
fn ffp_1_1_max_cmd_sn_is_never_below_exp_cmd_sn_less_one() {
    let mut options = crate::lab::options();
    options.login.command_window = 2;
    let lab = Lab::with(options);
    let mut session = lab.session();
    // Checked of every PDU that comes; here at the edge, with the window closed.
    lab.volumes[0].hold();
    let reads = [session.read_command(0, BLOCK), session.read_command(1, BLOCK)];
    session.send(&reads[0]);
    assert_eq!(session.ping().max_cmd_sn(), session.exp_cmd_sn);
    session.send(&reads[1]);
    assert_eq!(session.ping().max_cmd_sn(), session.exp_cmd_sn.wrapping_sub(1));
    lab.volumes[0].wait_for(2);
    lab.volumes[0].release();
    for read in &reads {
        session.finish(read, &[]).good();
    }
    assert_eq!(session.max_cmd_sn, session.exp_cmd_sn.wrapping_add(1));
}

#[test]
fn ffp_1_2_commands_outside_the_window_are_ignored_and_later_ones_work() {
    sequencing::outside_the_window();
}

#[test]
fn ffp_1_3_a_duplicate_cmd_sn_is_ignored() {
    sequencing::duplicates();
}

#[test]
fn ffp_2_1_stat_sn_goes_on_from_login_into_full_feature_phase() {
    let lab = Lab::new();
    let mut login = lab.login();
    let mut wire = Wire::connect(lab.portal);
    let names = login.text();
    let first = login.step(&mut wire, SECURITY, &names);
    let second = login.step(&mut wire, SECURITY | TO_OPERATIONAL, &text(&[("AuthMethod", "None")]));
    let third = login.step(&mut wire, OPERATIONAL | TO_FULL_FEATURE, &[]);
    assert_eq!(status(&third), 0);
    let numbers = [&first, &second, &third].map(|pdu| pdu.stat_sn().wrapping_sub(first.stat_sn()));
    assert_eq!(numbers, [0, 1, 2]);
    let mut session = Session::begin(login, wire, &third);
    // From here on checked of every PDU.
    assert_eq!(session.ping().stat_sn(), third.stat_sn().wrapping_add(1));
    session.ready().get(0, BLOCK);
}

/// A session in which everything takes many PDUs.
fn in_small_parts(lab: &Lab) -> Session {
    lab.session_with(&[("MaxRecvDataSegmentLength", "512"), ("MaxBurstLength", "1024")])
}

#[test]
fn ffp_3_1_data_sn_begins_with_0_for_every_command() {
    let lab = Lab::new();
    let mut session = in_small_parts(&lab);
    for _ in 0..2 {
        let end = session.read(&read10(0, 4096), 4096);
        let numbers: Vec<_> = end.pdus.iter().map(|pdu| pdu.word(36)).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}

#[test]
fn ffp_4_1_r2t_sn_begins_with_0_for_every_command() {
    let lab = Lab::new();
    let mut session = in_small_parts(&lab);
    for _ in 0..2 {
        let end = session.write(&write10(0, 4096), &pattern(4096, 1));
        let numbers: Vec<_> = end.r2ts().iter().map(|pdu| pdu.word(36)).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
    }
}

#[test]
fn ffp_5_1_a_command_with_a_bad_data_digest_is_rejected_and_can_be_retried() {
    wrong_immediate_digest();
}

#[test]
fn ffp_6_1_answers_come_on_the_connection_of_the_command() {
    let lab = Lab::new();
    let (mut one, mut other) = (lab.session(), lab.neighbour());
    // The same tags on both, at the same time.
    let of_one = one.write_command(0, 4096);
    let of_other = other.write_command(8, 4096).set(16, of_one.itt());
    one.send(&of_one);
    other.send(&of_other);
    other.finish(&of_other, &pattern(4096, 2)).good();
    one.finish(&of_one, &pattern(4096, 1)).good();
    let of_one = one.read_command(0, 4096);
    let of_other = other.read_command(8, 4096).set(16, of_one.itt());
    one.send(&of_one);
    other.send(&of_other);
    assert!(other.finish(&of_other, &[]).good() == pattern(4096, 2));
    assert!(one.finish(&of_one, &[]).good() == pattern(4096, 1));
    one.ping();
    other.ping();
}

#[test]
fn ffp_7_1_unsolicited_data_that_is_not_allowed_fails_the_command() {
    let lab = Lab::new();
    let (mut session, end) = unsolicited(&lab, &[("InitialR2T", "Yes")], 4096, 0, Some(4096));
    assert_eq!(end.codes(), UNEXPECTED_DATA);
    assert!(session.get(0, 4096) == [0; 4096]);
    let (mut session, end) = unsolicited(&lab, &[("ImmediateData", "No")], 4096, 512, None);
    assert_eq!(end.codes(), UNEXPECTED_DATA);
    assert!(session.get(0, 4096) == [0; 4096]);
}

#[test]
fn ffp_7_2_more_unsolicited_data_than_first_burst_length_fails_the_command() {
    let lab = Lab::new();
    let keys = [("InitialR2T", "No"), ("FirstBurstLength", "1024")];
    let (mut session, end) = unsolicited(&lab, &keys, 8192, 512, Some(1024));
    assert_eq!(end.codes(), UNEXPECTED_DATA);
    assert!(session.get(0, 8192) == [0; 8192]);
}

#[test]
fn ffp_8_1_an_r2t_has_a_transfer_tag_and_the_lun() {
    let lab = Lab::new();
    let mut session = lab.session();
    for lun in [0, 1] {
        session.lun = lun_field(lun);
        let write = session.write_command(0, BLOCK);
        session.send(&write);
        let r2t = session.expect(op::R2T);
        assert_ne!(r2t.ttt(), NO_TAG);
        assert_eq!(r2t.lun(), lun_field(lun));
        session.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
        session.finish_from(&write, &[], 1).good();
    }
}

#[test]
fn ffp_8_2_data_in_has_no_transfer_tag_and_no_lun_without_the_a_bit() {
    let lab = Lab::new();
    let mut session = in_small_parts(&lab);
    session.lun = lun_field(1);
    let end = session.read(&read10(0, 4096), 4096);
    for pdu in &end.pdus {
        assert_eq!((pdu.flags() & 0x40, pdu.ttt(), pdu.lun()), (0, NO_TAG, 0));
    }
}

#[test]
fn ffp_9_1_status_comes_with_the_last_data_in_and_only_if_it_is_good() {
    let lab = Lab::new();
    let mut session = in_small_parts(&lab);
    let end = session.read(&read10(0, 4096), 4096);
    let (last, others) = end.pdus.split_last().unwrap();
    assert_eq!((last.flags() & (FINAL | 1), last.bhs[3]), (FINAL | 1, GOOD));
    assert!(others.iter().all(|pdu| pdu.flags() & 1 == 0));
    let end = session.read(&read10(u32::MAX, BLOCK), BLOCK);
    assert_eq!(end.pdus[0].opcode(), op::SCSI_RESPONSE);
}

#[test]
fn ffp_9_2_f_ends_each_sequence_and_segments_fit_the_initiator() {
    let lab = Lab::new();
    let mut session = in_small_parts(&lab);
    let end = session.read(&read10(0, 4096), 4096);
    let finals: Vec<_> = end.pdus.iter().map(|pdu| pdu.flags() & FINAL != 0).collect();
    assert_eq!(finals, [false, true, false, true, false, true, false, true]);
    assert!(end.pdus.iter().all(|pdu| pdu.data.len() == 512));
}

#[test]
fn ffp_9_3_a_data_out_without_data_is_no_error() {
    let lab = Lab::new();
    let mut session = lab.session();
    let write = session.write_command(0, 1024);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    for (data_sn, offset, data) in
        [(0, 0, &[][..]), (1, 0, &pattern(512, 1)), (2, 512, &[]), (3, 512, &pattern(512, 2))]
    {
        let pdu = session.data_out(&write, r2t.ttt(), data_sn, offset, data);
        session.send(&pdu);
    }
    let last = session.data_out(&write, r2t.ttt(), 4, 1024, &[]).byte(1, FINAL);
    session.send(&last);
    session.finish_from(&write, &[], 1).good();
    assert!(session.get(0, 1024) == [pattern(512, 1), pattern(512, 2)].concat());
}

#[test]
fn ffp_9_4_segments_but_the_last_are_a_multiple_of_four() {
    let lab = Lab::new();
    let mut session = lab.session_with(&[("MaxRecvDataSegmentLength", "1023")]);
    let end = session.read(&read10(0, 4096), 4096);
    let (_, others) = end.pdus.split_last().unwrap();
    assert!(others.iter().all(|pdu| pdu.data.len() % 4 == 0), "{others:?}");
    // An answer whose length is none: its one PDU is padded.
    let end = session.read(&[0x12, 0, 0, 0, 35, 0], 35);
    assert_eq!(end.good().len(), 35);
}

#[test]
fn ffp_9_5_data_sn_and_buffer_offset_increase() {
    let lab = Lab::new();
    let mut session = in_small_parts(&lab);
    let end = session.read(&read10(0, 8192), 8192);
    for pair in end.pdus.windows(2) {
        assert_eq!(pair[1].word(36), pair[0].word(36) + 1);
        assert_eq!(pair[1].word(40), pair[0].word(40) + 512);
    }
}

#[test]
fn ffp_10_1_r2ts_ask_for_the_whole_once_and_in_order() {
    let lab = Lab::new();
    let keys = [("MaxBurstLength", "1536"), ("MaxOutstandingR2T", "4")];
    let mut session = lab.session_with(&keys);
    let data = pattern(4096, 1);
    let next = session.stat_sn;
    let write = session.write_command(0, data.len());
    session.send(&write);
    let r2ts: Vec<_> = (0..3).map(|_| session.expect(op::R2T)).collect();
    let ranges: Vec<_> = r2ts.iter().map(|r2t| (r2t.word(40), r2t.word(44))).collect();
    assert_eq!(ranges, [(0, 1536), (1536, 1536), (3072, 1024)]);
    assert!(r2ts.iter().all(|r2t| r2t.itt() == write.itt() && r2t.stat_sn() == next));
    let mut tags: Vec<_> = r2ts.iter().map(Pdu::ttt).collect();
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 3, "each its own tag");
    for r2t in &r2ts {
        session.answer_r2t(&write, r2t, &data);
    }
    assert_eq!(session.expect(op::SCSI_RESPONSE).stat_sn(), next);
    assert!(session.get(0, data.len()) == data);
}

#[test]
fn ffp_16_1_residuals_of_reads() {
    let lab = Lab::new();
    let mut session = lab.session();
    assert_eq!(transfers::residuals(&mut session, READ, 1024, 2048), Residual::Under(1024));
    assert_eq!(transfers::residuals(&mut session, READ, 2048, 1024), Residual::Over(1024));
    assert_eq!(transfers::residuals(&mut session, READ, 2048, 2048), Residual::None);
}

#[test]
fn ffp_16_2_residuals_of_writes() {
    let lab = Lab::new();
    let mut session = lab.session();
    assert_eq!(transfers::residuals(&mut session, WRITE, 1024, 2048), Residual::Under(1024));
    assert_eq!(transfers::residuals(&mut session, WRITE, 2048, 1024), Residual::Over(1024));
    assert_eq!(transfers::residuals(&mut session, WRITE, 2048, 2048), Residual::None);
}

/// A write of 16 KiB by these rules, which must succeed and be read back.
fn written(immediate_data: &str, initial_r2t: &str, immediate: usize, data_out: Option<usize>) {
    let lab = Lab::new();
    let keys = [
        ("ImmediateData", immediate_data),
        ("InitialR2T", initial_r2t),
        ("FirstBurstLength", "4096"),
    ];
    let (mut session, end) = unsolicited(&lab, &keys, 16_384, immediate, data_out);
    let solicited = end.r2ts().iter().map(|r2t| r2t.word(44)).sum::<u32>() as usize;
    assert_eq!(solicited, 16_384 - immediate - data_out.unwrap_or(0));
    end.good();
    assert!(session.get(0, 16_384) == pattern(16_384, 9));
}

#[test]
fn ffp_16_3_1_immediate_data_yes_and_initial_r2t_yes() {
    written("Yes", "Yes", 4096, None);
    written("Yes", "Yes", 0, None);
}

#[test]
fn ffp_16_3_2_immediate_data_yes_and_initial_r2t_no() {
    written("Yes", "No", 1024, Some(3072));
    written("Yes", "No", 4096, None);
    written("Yes", "No", 0, None);
}

#[test]
fn ffp_16_3_3_immediate_data_no_and_initial_r2t_no() {
    written("No", "No", 0, Some(4096));
    written("No", "No", 0, None);
}

#[test]
fn ffp_16_3_4_immediate_data_no_and_initial_r2t_yes() {
    written("No", "Yes", 0, None);
}

#[test]
fn ffp_16_3_5_unexpected_unsolicited_data() {
    let lab = Lab::new();
    for (immediate_data, initial_r2t, immediate, data_out) in
        [("No", "Yes", 512, None), ("No", "Yes", 0, Some(512)), ("No", "No", 512, Some(512))]
    {
        let keys = [("ImmediateData", immediate_data), ("InitialR2T", initial_r2t)];
        let (mut session, end) = unsolicited(&lab, &keys, 1024, immediate, data_out);
        assert_eq!(end.codes(), UNEXPECTED_DATA);
        assert!(session.get(0, 1024) == [0; 1024]);
    }
}

#[test]
fn ffp_16_3_6_not_enough_unsolicited_data() {
    let lab = Lab::new();
    let keys = [("InitialR2T", "No"), ("FirstBurstLength", "2048")];
    let (mut session, end) = unsolicited(&lab, &keys, 8192, 512, Some(512));
    assert_eq!(end.codes(), INCORRECT_AMOUNT);
    assert!(session.get(0, 8192) == [0; 8192]);
}

#[test]
fn ffp_16_3_7_an_unknown_operation_code_with_data() {
    let lab = Lab::new();
    let mut session = lab.session_with(&[("InitialR2T", "No")]);
    let mut command = session.write_command(0, 1024).byte(32, 0x2c).with(&[1; 512]);
    command.bhs[1] &= !FINAL;
    session.send(&command);
    session.ping();
    let last = session.data_out(&command, NO_TAG, 0, 512, &[1; 512]).byte(1, FINAL);
    session.send(&last);
    let end = session.finish(&command, &[]);
    assert_eq!(end.codes(), crate::session::INVALID_OPCODE);
}

/// A command sent again while it is in progress, as an initiator does that lost patience.
fn retry_in_progress(with_data: bool) {
    let lab = Lab::new();
    let mut session = lab.session();
    lab.volumes[0].hold();
    let command = if with_data {
        session.write_command(0, BLOCK).with(&pattern(BLOCK, 1))
    } else {
        session.read_command(0, BLOCK)
    };
    session.send(&command);
    lab.volumes[0].wait_for(1);
    session.send(&command);
    session.ping();
    assert_eq!(lab.volumes[0].waiting(), 1);
    lab.volumes[0].release();
    session.finish(&command, &[]).good();
    session.ping();
    assert!(!before(session.cmd_sn, session.exp_cmd_sn));
}

#[test]
fn ffp_16_4_1_the_retry_of_a_read_in_progress_is_discarded() {
    retry_in_progress(false);
}

#[test]
fn ffp_16_4_2_the_retry_of_a_write_in_progress_is_discarded() {
    retry_in_progress(true);
}

#[test]
fn ffp_16_5_a_failed_write_is_answered_after_its_final_data_out() {
    transfers::failure_waits_for_data();
}

#[test]
fn ffp_18_1_a_header_digest_error_has_no_effect() {
    transfers::wrong_header_digest();
}

#[test]
fn ffp_18_2_a_data_digest_error_is_rejected_and_fails_the_command() {
    transfers::wrong_data_digest();
}

#[test]
fn ffp_19_1_the_expected_length_is_honoured_by_short_answers() {
    let lab = Lab::new();
    let mut session = lab.session();
    let capacity = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(session.read(&capacity, 8).good().len(), 8);
    let end = session.read(&capacity, 4);
    assert_eq!((end.data.len(), end.residual), (4, Residual::Over(4)));
    let end = session.read(&capacity, 64);
    assert_eq!((end.data.len(), end.residual), (8, Residual::Under(56)));
    let end = session.none(&capacity);
    assert_eq!((end.status, end.residual), (GOOD, Residual::Over(8)));
}
