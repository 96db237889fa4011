//! Full feature phase: data out, residuals, digests, additional headers (F12 to F20, F25 to F29).

use crate::lab::{BLOCK, Lab, pattern};
use crate::session::{
    CRC_ERROR, Codes, DATA_PHASE_ERROR, End, INCORRECT_AMOUNT, INVALID_INFORMATION_UNIT,
    INVALID_OPCODE, LBA_OUT_OF_RANGE, Residual, Session, UNEXPECTED_DATA, lun_field, read10,
    reason, write10,
};
use crate::support::raw::{FINAL, Lies, NO_TAG, Pdu, READ, WRITE, op};

/// Two blocks, of which a Data-Out PDU of the test's is about the first.
const TWO: usize = 2 * BLOCK;

/// What the wrong Data-Out of [`wrong_data_out`] is to lead to.
enum Then {
    /// Reject for an invalid field; the task is not harmed.
    Rejected,
    /// The task ends with this sense.
    Fails(Codes),
    /// The same, but only after the data that was asked for.
    FailsAfterTheRest(Codes),
}

/// Sends a Data-Out that `spoil` has made wrong in answer to an R2T. Whatever becomes of it,
/// nothing is written but what was asked for.
fn wrong_data_out(spoil: impl FnOnce(Pdu) -> Pdu, then: &Then) {
    let lab = Lab::new();
    let mut session = lab.session();
    session.put(0, &pattern(16 * BLOCK, 1));
    let write = session.write_command(4, TWO);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    let mut good = session.data_out(&write, r2t.ttt(), 0, 0, &pattern(TWO, 2));
    good.bhs[1] = FINAL;
    let bad = spoil(good.clone());
    session.send(&bad);
    let expected = match then {
        Then::Rejected => {
            session.expect_reject(reason::INVALID_FIELD, &bad);
            session.ping();
            session.send(&good);
            assert_eq!(session.finish_from(&write, &[], 1).good(), b"");
            pattern(TWO, 2)
        }
        Then::Fails(codes) | Then::FailsAfterTheRest(codes) => {
            if matches!(then, Then::FailsAfterTheRest(_)) {
                session.ping();
                session.send(&good);
            }
            assert_eq!(session.finish_from(&write, &[], 1).codes(), *codes);
            pattern(16 * BLOCK, 1)[4 * BLOCK..6 * BLOCK].to_vec()
        }
    };
    let all = session.get(0, 16 * BLOCK);
    assert!(all[4 * BLOCK..6 * BLOCK] == expected);
    let before = pattern(16 * BLOCK, 1);
    assert!(all[..4 * BLOCK] == before[..4 * BLOCK] && all[6 * BLOCK..] == before[6 * BLOCK..]);
    session.ping();
}

#[test]
fn f12_data_out_that_does_not_fit_its_r2t_writes_nothing() {
    let fails = || Then::Fails(DATA_PHASE_ERROR);
    wrong_data_out(|pdu| pdu.set(20, 0x0bad_0bad), &Then::Rejected);
    wrong_data_out(|pdu| pdu.set(20, NO_TAG), &Then::FailsAfterTheRest(UNEXPECTED_DATA));
    wrong_data_out(|pdu| pdu.set(40, 4), &fails());
    wrong_data_out(|pdu| pdu.set(40, 0xffff_fe00), &fails());
    wrong_data_out(|pdu| pdu.set(40, TWO as u32), &fails());
    // A gap in DataSN is taken for a PDU whose digest was wrong (7.9).
    wrong_data_out(|pdu| pdu.set(36, 1), &Then::Fails(CRC_ERROR));
    wrong_data_out(|pdu| pdu.set_lun(lun_field(1)), &fails());
    let amount = || Then::Fails(INCORRECT_AMOUNT);
    wrong_data_out(|pdu| pdu.with(&pattern(TWO + 4, 2)), &amount());
    wrong_data_out(|pdu| pdu.with(&pattern(BLOCK, 2)), &amount());
    wrong_data_out(|pdu| pdu.with(&[]), &amount());
}

#[test]
fn f13_data_out_for_no_task_is_discarded() {
    let lab = Lab::new();
    let mut session = lab.session();
    let mut nobody = session.write_command(0, BLOCK).set(16, 0x5555_5555);
    session.cmd_sn = session.cmd_sn.wrapping_sub(1);
    for ttt in [NO_TAG, 7] {
        let data = session.data_out(&nobody, ttt, 0, 0, &pattern(BLOCK, 1));
        session.send(&data);
        session.ping();
    }
    // Of a task that was aborted meanwhile.
    nobody = session.write_command(0, BLOCK);
    session.send(&nobody);
    let r2t = session.expect(op::R2T);
    let abort = session.abort(&nobody);
    assert_eq!(session.manage(&abort), 0);
    session.answer_r2t(&nobody, &r2t, &pattern(BLOCK, 1));
    session.ping();
    assert!(session.get(0, BLOCK) == [0; BLOCK]);
}

/// A write with immediate and unsolicited data as given; `keys` are negotiated before. How it
/// ends.
pub(crate) fn unsolicited(
    lab: &Lab,
    keys: &[(&str, &str)],
    len: usize,
    immediate: usize,
    data_out: Option<usize>,
) -> (Session, End) {
    let mut session = lab.session_with(keys);
    let data = pattern(len, 9);
    let mut write = session.write_command(0, len).with(&data[..immediate]);
    if data_out.is_some() {
        write.bhs[1] &= !FINAL;
    }
    session.send(&write);
    if let Some(count) = data_out {
        session.send_burst(&write, NO_TAG, immediate, &data[immediate..immediate + count]);
    }
    let sent = immediate + data_out.unwrap_or(0);
    let end = session.finish_from(&write, &data, u32::try_from(sent).unwrap());
    (session, end)
}

const ALL_ALLOWED: [(&str, &str); 3] =
    [("InitialR2T", "No"), ("ImmediateData", "Yes"), ("FirstBurstLength", "4096")];

#[test]
fn f14_unsolicited_data_beyond_what_is_allowed_fails_the_command() {
    let lab = Lab::new();
    lab.session().put(0, &pattern(64 * BLOCK, 1));
    let fails = |keys: &[(&str, &str)], immediate, data_out| {
        let (mut session, end) = unsolicited(&lab, keys, 16_384, immediate, data_out);
        assert_eq!(end.codes(), UNEXPECTED_DATA, "{keys:?} {immediate} {data_out:?}");
        assert!(session.get(0, 64 * BLOCK) == pattern(64 * BLOCK, 1), "nothing was written");
    };
    fails(&ALL_ALLOWED, 4096 + 512, None);
    fails(&ALL_ALLOWED, 4096, Some(512));
    fails(&ALL_ALLOWED, 0, Some(8192));
    fails(&[("ImmediateData", "No")], 512, None);
    fails(&[("InitialR2T", "No"), ("ImmediateData", "No")], 512, None);
    fails(&[("InitialR2T", "Yes")], 0, Some(512));
    fails(&[("InitialR2T", "Yes")], 512, Some(512));
}

#[test]
fn f15_too_little_unsolicited_data_fails_the_command() {
    let lab = Lab::new();
    for (immediate, data_out) in [(0, 512), (512, 512), (0, 3584)] {
        let (mut session, end) = unsolicited(&lab, &ALL_ALLOWED, 16_384, immediate, Some(data_out));
        assert_eq!(end.codes(), INCORRECT_AMOUNT, "{immediate} and {data_out}");
        session.ping();
    }
    // Immediate data alone may be as short as it likes.
    let (_, end) = unsolicited(&lab, &ALL_ALLOWED, 16_384, 512, None);
    end.good();
}

/// A write that fails early is answered when the initiator has sent what it was to send.
pub(crate) fn failure_waits_for_data() {
    let lab = Lab::new();
    let mut session = lab.session_with(&ALL_ALLOWED);
    // Refused at once, but its unsolicited data is still to come.
    let mut write = session.write_command(u32::MAX, 4096);
    write.bhs[1] &= !FINAL;
    session.send(&write);
    session.ping();
    let first = session.data_out(&write, NO_TAG, 0, 0, &[1; 2048]);
    session.send(&first);
    session.ping();
    let last = session.data_out(&write, NO_TAG, 1, 2048, &[1; 2048]).byte(1, FINAL);
    session.send(&last);
    assert_eq!(session.finish(&write, &[]).codes(), LBA_OUT_OF_RANGE);
    // The same in answer to an R2T: a fault in the first PDU, the answer after the last.
    let write = session.write_command(0, 4096);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    let wrong = session.data_out(&write, r2t.ttt(), 5, 0, &[1; 2048]);
    session.send(&wrong);
    session.ping();
    let last = session.data_out(&write, r2t.ttt(), 1, 2048, &[1; 2048]).byte(1, FINAL);
    session.send(&last);
    assert_eq!(session.finish_from(&write, &[], 1).codes(), CRC_ERROR);
}

#[test]
fn f16_a_failed_write_is_answered_after_the_last_of_its_data() {
    failure_waits_for_data();
}

#[test]
fn f17_a_huge_expected_length_costs_nothing() {
    // 16 times 4 GiB, of a target that has 64 MiB for all.
    let lab = Lab::new();
    let mut session = lab.session();
    let writes: Vec<_> = (0..16)
        .map(|i| {
            let write = session.write_command(i, BLOCK).set(20, 0xffff_fffc);
            session.send(&write);
            write
        })
        .collect();
    let r2ts: Vec<_> = writes.iter().map(|_| session.expect(op::R2T)).collect();
    for (write, r2t) in writes.iter().zip(&r2ts) {
        assert_eq!((r2t.itt(), r2t.word(44)), (write.itt(), BLOCK as u32), "as the CDB says");
        session.answer_r2t(write, r2t, &pattern(BLOCK, 3));
        let end = session.finish_from(write, &[], 1);
        assert_eq!((end.status, end.residual), (0, Residual::Under(0xffff_fffc - 512)));
    }
    let read = session.command(READ, 0xffff_fffc, &read10(0, BLOCK));
    session.send(&read);
    let end = session.finish(&read, &[]);
    assert_eq!((end.data.len(), end.residual), (BLOCK, Residual::Under(0xffff_fffc - 512)));
}

/// The residual of a transfer of `asked` bytes by the CDB where `expected` are announced.
pub(crate) fn residuals(
    session: &mut Session,
    flags: u8,
    asked: usize,
    expected: usize,
) -> Residual {
    let cdb = if flags & WRITE == 0 { read10(0, asked) } else { write10(0, asked) };
    let command = session.command(flags, u32::try_from(expected).unwrap(), &cdb);
    session.send(&command);
    let end = session.finish(&command, &pattern(expected, 1));
    assert_eq!(end.status, 0, "{end:02x?}");
    let sent = if flags & READ == 0 { 0 } else { asked.min(expected) };
    assert_eq!(end.data.len(), sent);
    end.residual
}

/// A write that announces a part of a block: nothing of it is written.
pub(crate) fn short_write(session: &mut Session, asked: usize, expected: usize) {
    let before = session.get(0, asked);
    let end = session.write(&write10(0, asked), &pattern(expected, 77));
    assert_eq!(end.codes(), INVALID_INFORMATION_UNIT);
    let missing = u32::try_from(asked - expected).unwrap();
    assert_eq!(end.residual, Residual::Over(missing));
    assert!(session.get(0, asked) == before);
}

#[test]
fn f18_residuals_are_exact_for_every_direction_and_for_check_condition() {
    let lab = Lab::new();
    let mut session = lab.session();
    for flags in [READ, WRITE] {
        assert_eq!(residuals(&mut session, flags, 4096, 4096), Residual::None);
        assert_eq!(residuals(&mut session, flags, 4096, 5000), Residual::Under(904));
        assert_eq!(residuals(&mut session, flags, 0, 512), Residual::Under(512));
    }
    assert_eq!(residuals(&mut session, READ, 4096, 1000), Residual::Over(3096));
    assert_eq!(residuals(&mut session, READ, 512, 511), Residual::Over(1));
    // Whole blocks of a write that was announced too short are written; parts of one are not.
    assert_eq!(residuals(&mut session, WRITE, 4096, 1024), Residual::Over(3072));
    short_write(&mut session, 4096, 1000);
    short_write(&mut session, 512, 511);
    let end = session.read(&read10(u32::MAX, BLOCK), 4096);
    assert_eq!((end.codes(), end.residual), (LBA_OUT_OF_RANGE, Residual::Under(4096)));
    let end = session.write(&write10(u32::MAX, BLOCK), &[0; 4096]);
    assert_eq!((end.codes(), end.residual), (LBA_OUT_OF_RANGE, Residual::Under(4096)));
    assert_eq!(session.none(&[0; 6]).residual, Residual::None);
    assert_eq!(session.none(&read10(u32::MAX, BLOCK)).residual, Residual::None);
}

#[test]
fn f19_both_directions_or_none() {
    let lab = Lab::new();
    let mut session = lab.session();
    session.put(0, &pattern(BLOCK, 1));
    // No command here goes both ways.
    for cdb in [read10(0, BLOCK), write10(0, BLOCK)] {
        let both = session.command(READ | WRITE, BLOCK as u32, &cdb).with(&pattern(BLOCK, 2));
        session.rejected(&both, reason::INVALID_FIELD);
    }
    assert!(session.get(0, BLOCK) == pattern(BLOCK, 1), "nothing was written");
    // No data expected: the command is executed as far as that goes.
    let end = session.none(&read10(0, BLOCK));
    assert_eq!((end.status, end.residual), (0, Residual::Over(512)));
    assert_eq!(end.pdus[0].opcode(), op::SCSI_RESPONSE);
    let end = session.none(&write10(0, BLOCK));
    assert_eq!((end.status, end.residual), (0, Residual::Over(512)));
    assert!(session.get(0, BLOCK) == pattern(BLOCK, 1));
}

#[test]
fn f20_no_more_r2ts_than_negotiated_and_none_longer_than_a_burst() {
    let lab = Lab::new();
    for outstanding in [1, 2, 3] {
        let count = outstanding.to_string();
        let keys = [("MaxOutstandingR2T", count.as_str()), ("MaxBurstLength", "4096")];
        let mut session = lab.session_with(&keys);
        let data = pattern(32 * BLOCK, outstanding);
        let write = session.write_command(0, data.len());
        session.send(&write);
        let mut open = std::collections::VecDeque::new();
        for i in 0..4 {
            while open.len() < usize::from(outstanding) && open.len() + i < 4 {
                open.push_back(session.expect(op::R2T));
            }
            session.ping();
            let r2t = open.pop_front().unwrap();
            let at = u32::try_from(i * 4096).unwrap();
            assert_eq!((r2t.word(36), r2t.word(40), r2t.word(44)), (i as u32, at, 4096));
            session.answer_r2t(&write, &r2t, &data);
        }
        assert_eq!(session.expect(op::SCSI_RESPONSE).bhs[3], 0);
        assert!(session.get(0, data.len()) == data);
    }
}

const DIGESTS: [(&str, &str); 2] = [("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")];

/// With digests, and everything unsolicited allowed.
pub(crate) const SAFE: [(&str, &str); 4] = [
    ("HeaderDigest", "CRC32C"),
    ("DataDigest", "CRC32C"),
    ("InitialR2T", "No"),
    ("FirstBurstLength", "4096"),
];

/// A wrong header digest: the connection ends, and the command in the PDU had no effect.
pub(crate) fn wrong_header_digest() {
    let lab = Lab::new();
    let mut session = lab.session_with(&SAFE);
    let write = session.write_command(0, BLOCK).with(&pattern(BLOCK, 1));
    session.wire.send_lying(&write, Lies { header_digest: true, ..Lies::default() });
    session.expect_closed();
    assert!(lab.session().get(0, BLOCK) == [0; BLOCK]);
}

/// A wrong digest over the data of a Data-Out PDU: Reject, then the failure after F.
pub(crate) fn wrong_data_digest() {
    let lab = Lab::new();
    let mut session = lab.session_with(&SAFE);
    let write = session.write_command(0, 4096);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    let bad = session.data_out(&write, r2t.ttt(), 0, 0, &pattern(2048, 1));
    session.wire.send_lying(&bad, Lies { data_digest: true, ..Lies::default() });
    session.expect_reject(reason::DATA_DIGEST, &bad);
    session.ping();
    let last = session.data_out(&write, r2t.ttt(), 1, 2048, &pattern(2048, 1)).byte(1, FINAL);
    session.send(&last);
    assert_eq!(session.finish_from(&write, &[], 1).codes(), CRC_ERROR);
    assert!(session.get(0, 4096) == [0; 4096]);
}

/// At error recovery level 1 the same data is asked for again, and the write succeeds.
pub(crate) fn recovered_data() {
    let mut options = crate::lab::options();
    options.login.error_recovery_level = 1;
    let lab = Lab::with(options);
    let mut session = lab.session_with(&[&SAFE[..], &[("ErrorRecoveryLevel", "1")]].concat());
    let data = pattern(4096, 1);
    let write = session.write_command(0, 4096);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    let bad = session.data_out(&write, r2t.ttt(), 0, 0, &pattern(2048, 2));
    session.wire.send_lying(&bad, Lies { data_digest: true, ..Lies::default() });
    session.expect_reject(reason::DATA_DIGEST, &bad);
    let last = session.data_out(&write, r2t.ttt(), 1, 2048, &data[2048..]).byte(1, FINAL);
    session.send(&last);
    let again = session.expect(op::R2T);
    assert_eq!((again.word(36), again.word(40), again.word(44)), (1, 0, 4096));
    session.answer_r2t(&write, &again, &data);
    let response = session.expect(op::SCSI_RESPONSE);
    assert_eq!((response.itt(), response.bhs[3]), (write.itt(), 0));
    assert!(session.get(0, 4096) == data);
}

/// A wrong digest over immediate data: Reject, and the command can be sent again as it was.
pub(crate) fn wrong_immediate_digest() {
    let lab = Lab::new();
    let mut session = lab.session_with(&SAFE);
    let write = session.write_command(0, BLOCK).with(&pattern(BLOCK, 1));
    session.wire.send_lying(&write, Lies { data_digest: true, ..Lies::default() });
    let reject = session.expect_reject(reason::DATA_DIGEST, &write);
    assert_eq!(reject.exp_cmd_sn(), write.word(24), "it was not received");
    session.ping();
    session.retry(&write);
    session.finish(&write, &[]).good();
    assert!(session.get(0, BLOCK) == pattern(BLOCK, 1));
}

#[test]
fn f25_digest_errors_have_no_effect_but_an_answer() {
    wrong_header_digest();
    wrong_data_digest();
    recovered_data();
    wrong_immediate_digest();
}

#[test]
fn f25_at_recovery_level_1_what_was_lost_is_asked_for_again() {
    let mut options = crate::lab::options();
    options.login.error_recovery_level = 1;
    let lab = Lab::with(options);
    let keys = [SAFE[0], SAFE[1], ("ErrorRecoveryLevel", "1")];
    let mut session = lab.session_with(&keys);
    assert_eq!(session.answer("ErrorRecoveryLevel"), Some("1"));
    let write = session.write_command(0, 4096);
    session.send(&write);
    let r2t = session.expect(op::R2T);
    let bad = session.data_out(&write, r2t.ttt(), 0, 0, &pattern(4096, 1)[..2048]);
    session.wire.send_lying(&bad, Lies { data_digest: true, ..Lies::default() });
    session.expect_reject(reason::DATA_DIGEST, &bad);
    let last = session.data_out(&write, r2t.ttt(), 1, 2048, &pattern(4096, 1)[2048..]);
    session.send(&last.byte(1, FINAL));
    let again = session.expect(op::R2T);
    assert_eq!((again.word(36), again.word(40)), (1, 0), "a recovery R2T");
    assert!((2048..=4096).contains(&again.word(44)), "what was lost, or all from there on");
    session.answer_r2t(&write, &again, &pattern(4096, 1));
    assert_eq!(session.expect(op::SCSI_RESPONSE).bhs[3], 0);
    assert!(session.get(0, 4096) == pattern(4096, 1));
}

#[test]
fn f26_digests_cover_padding_and_additional_headers_and_no_empty_segment() {
    let lab = Lab::new();
    let mut session = lab.session_with(&DIGESTS);
    // Those of the answers are checked as they come: none of a length divisible by four.
    for len in [1, 2, 3, 5] {
        let ping = session.nop(&pattern(len, 1));
        // Padding may have any value; the digest is over it as it is.
        session.wire.send_lying(&ping, Lies { padding: 0xa5, ..Lies::default() });
        assert!(session.expect(op::NOP_IN).data == pattern(len, 1));
    }
    // No data, no digest: neither theirs nor ours.
    let ping = session.nop(&[]);
    session.send(&ping);
    assert_eq!(session.expect(op::NOP_IN).data, b"");
    assert_eq!(session.none(&[0; 6]).status, 0);
    let long = session.command(0, 0, &VARIABLE_LENGTH).with_ahs(&extended_cdb(&[0; 16]));
    session.send(&long);
    assert_eq!(session.finish(&long, &[]).codes(), INVALID_OPCODE);
}

/// The first bytes of a 32-byte CDB: no service action that there is.
const VARIABLE_LENGTH: [u8; 10] = [0x7f, 0, 0, 0, 0, 0, 0, 24, 0xff, 0xf0];

/// The additional header segment with the rest of a CDB (RFC 7143 11.2.2.3).
fn extended_cdb(rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len() + 1).unwrap().to_be_bytes();
    let mut ahs = vec![len[0], len[1], 1, 0];
    ahs.extend(rest);
    ahs.resize(ahs.len().next_multiple_of(4), 0);
    ahs
}

#[test]
fn f27_additional_headers_are_checked_and_long_cdbs_arrive() {
    let lab = Lab::new();
    let mut session = lab.session();
    let wrong: [&[u8]; 6] = [
        // An unknown type.
        &[0, 5, 0x3e, 0, 1, 2, 3, 4],
        // Longer than what there is.
        &[0, 9, 1, 0, 1, 2, 3, 4],
        &[0xff, 0xff, 1, 0],
        // No CDB in it.
        &[0, 1, 1, 0],
        // Twice.
        &[0, 5, 1, 0, 1, 2, 3, 4, 0, 5, 1, 0, 1, 2, 3, 4],
        // A bidirectional length of three bytes.
        &[0, 4, 2, 0, 1, 2, 3, 0],
    ];
    for ahs in wrong {
        let command = session.command(0, 0, &VARIABLE_LENGTH).with_ahs(ahs);
        session.rejected(&command, reason::INVALID_FIELD);
        session.ping();
    }
    // More words of it than were meant.
    let command = session.command(0, 0, &VARIABLE_LENGTH).with_ahs(&[0; 1020]);
    session.rejected(&command, reason::INVALID_FIELD);
    for rest in [1, 16, 240] {
        let command = session.command(0, 0, &VARIABLE_LENGTH);
        let command = command.with_ahs(&extended_cdb(&vec![0; rest]));
        session.send(&command);
        assert_eq!(session.finish(&command, &[]).codes(), INVALID_OPCODE, "{rest}");
    }
}

#[test]
fn f28_an_unknown_opcode_is_rejected() {
    let lab = Lab::new();
    let mut session = lab.session();
    for opcode in [0x07, 0x0f, 0x11, 0x1c, 0x1f, 0x20, 0x21, 0x25, 0x31, 0x32, 0x3e, 0x3f] {
        for immediate in [0, 0x40] {
            let pdu = Pdu::new(opcode | immediate, FINAL)
                .set(16, 0x99)
                .set(20, NO_TAG)
                .set(24, session.cmd_sn)
                .with(&[1; 17]);
            session.rejected(&pdu, reason::NOT_SUPPORTED);
        }
    }
    session.get(0, BLOCK);
}

#[test]
fn f29_a_data_segment_longer_than_we_take_ends_the_connection() {
    let lab = Lab::new();
    for beyond in [1, 0x00ff_ffff - 262_144] {
        let mut session = lab.session();
        let ours: u32 = session.answer("MaxRecvDataSegmentLength").unwrap().parse().unwrap();
        assert_eq!(ours, 262_144);
        let ping = session.nop(&[]);
        let lies = Lies { data_length: Some(ours + beyond), ..Lies::default() };
        // Only the header: if it waited for the data, this would hang.
        session.wire.send_lying(&ping, lies);
        session.expect_closed();
    }
    let mut session = lab.session();
    let ping = session.nop(&vec![7; 262_144]);
    session.send(&ping);
    assert_eq!(session.expect(op::NOP_IN).data.len(), 8192, "the longest is taken");
}
