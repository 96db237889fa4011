//! Unsolicited data, R2T and Data-Out.

use super::*;

#[test]
fn a_write_of_immediate_unsolicited_and_solicited_data() {
    let mut peer = Peer::new();
    let command = ScsiCommand { is_final: false, ..write(FIRST, 40_000) };
    assert_eq!(peer.send(&command, &[1; 4096]), Dest::Task(TaskId(0), 0));
    let id = peer.offered();
    assert!(!peer.session.admitted(id, 40_000));
    peer.silent();
    let rest = last(data_out(&command, RESERVED_TAG, 0, 4096));
    assert_eq!(peer.send(&rest, &[2; 4096]), Dest::Task(id, 4096));
    let sent = peer.sent();
    let r2ts: Vec<R2t> = sent.iter().map(parse).collect();
    assert_eq!(r2ts.len(), 2, "MaxOutstandingR2T");
    assert_eq!((r2ts[0].buffer_offset, r2ts[0].desired_length, r2ts[0].r2t_sn), (8192, 16384, 0));
    assert_eq!(
        (r2ts[1].buffer_offset, r2ts[1].desired_length, r2ts[1].r2t_sn),
        (24_576, 15_424, 1)
    );
    assert_ne!(r2ts[0].ttt, r2ts[1].ttt);
    for r2t in r2ts {
        let end = r2t.buffer_offset + r2t.desired_length;
        let mut offset = r2t.buffer_offset;
        for data_sn in 0.. {
            let len = (end - offset).min(8192);
            let pdu = DataOut {
                is_final: offset + len == end,
                ..data_out(&command, r2t.ttt, data_sn, offset)
            };
            assert_eq!(peer.send(&pdu, &vec![3; len as usize]), Dest::Task(id, offset));
            offset += len;
            if offset == end {
                break;
            }
        }
    }
    assert_eq!(peer.events(), [Event::Ready(id)]);
    peer.session.complete(id, good(Transferred::Out(40_000)));
    let response: ScsiResponse = peer.answer();
    assert_eq!((response.status, response.exp_data_sn), (0, 0), "Data-In only (11.4.8)");
}

#[test]
fn f14_unsolicited_data_that_is_not_allowed() {
    let no_immediate = SessionParams { immediate_data: false, ..params() };
    let mut peer = Peer::with(no_immediate);
    assert_eq!(peer.send(&write(FIRST, 4096), &[0; 512]), Dest::Discard);
    assert_eq!(sense_of(&peer.sent()[0]), UNEXPECTED_UNSOLICITED);

    let mut peer = Peer::with(SessionParams { initial_r2t: true, ..params() });
    let command = ScsiCommand { is_final: false, ..write(FIRST, 8192) };
    peer.send(&command, &[]);
    assert_eq!(peer.sent(), [], "the answer waits for F");
    assert_eq!(peer.send(&last(data_out(&command, RESERVED_TAG, 0, 0)), &[0; 512]), Dest::Discard);
    assert_eq!(sense_of(&peer.sent()[0]), UNEXPECTED_UNSOLICITED);

    let mut peer = Peer::new();
    let command = ScsiCommand { is_final: false, ..write(FIRST, 40_000) };
    peer.send(&command, &[0; 8192]);
    let id = peer.offered();
    peer.session.admitted(id, 40_000);
    let beyond = last(data_out(&command, RESERVED_TAG, 0, 8192));
    assert_eq!(peer.send(&beyond, &[0; 512]), Dest::Discard, "beyond FirstBurstLength");
    assert_eq!(sense_of(&peer.sent()[0]), UNEXPECTED_UNSOLICITED);
    assert_eq!(peer.events(), [Event::Dropped(id)], "the driver forgets its data");
    assert!(peer.session.tasks.is_empty());
}

#[test]
fn a_number_is_not_given_away_before_the_driver_has_heard_of_its_end() {
    let mut peer = Peer::with(SessionParams { immediate_data: false, ..params() });
    let command = write(FIRST, 4096);
    peer.send(&command, &[]);
    let old = peer.offered();
    peer.session.admitted(old, 4096);
    peer.session.abort(None);
    let Dest::Nothing = peer.send(&write(FIRST + 1, 4096), &[]) else { panic!() };
    let events = peer.events();
    let [Event::Dropped(dropped), Event::Command(new)] = events[..] else { panic!("{events:?}") };
    assert_eq!(dropped, old);
    assert_ne!(new, old);
    // Offered, and aborted before the driver has looked: it is never offered.
    peer.send(&write(FIRST + 2, 4096), &[]);
    peer.session.abort(None);
    let events = peer.events();
    assert!(events.iter().all(|event| matches!(event, Event::Dropped(_))), "{events:?}");
    assert!(peer.session.tasks.is_empty());
}

#[test]
fn f12_data_outside_the_r2t_never_reaches_memory() {
    type Spoil = fn(&mut DataOut, &mut usize);
    let bad: [(Spoil, (u8, u8, u8)); 4] = [
        (|pdu, _| pdu.buffer_offset += 512, DATA_PHASE),
        (|pdu, _| pdu.data_sn = 1, CRC),
        (|pdu, _| pdu.lun = 0, DATA_PHASE),
        (|_, len| *len = 8192, WRONG_AMOUNT),
    ];
    for (spoil, sense) in bad {
        let mut peer = Peer::with(SessionParams { immediate_data: false, ..params() });
        let command = write(FIRST, 4096);
        peer.send(&command, &[]);
        let id = peer.offered();
        peer.session.admitted(id, 4096);
        let r2t: R2t = peer.answer();
        let (mut pdu, mut len) = (last(data_out(&command, r2t.ttt, 0, 0)), 4096);
        spoil(&mut pdu, &mut len);
        assert_eq!(peer.send(&pdu, &vec![0; len]), Dest::Discard);
        assert_eq!(sense_of(&peer.sent()[0]), sense);
        assert_eq!(peer.events(), [Event::Dropped(id)], "never executed");
    }
}

#[test]
fn f12_a_wrong_transfer_tag_is_rejected_and_the_write_goes_on() {
    let mut peer = Peer::with(SessionParams { immediate_data: false, ..params() });
    let command = write(FIRST, 4096);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 4096);
    let r2t: R2t = peer.answer();
    assert_eq!(peer.send(&data_out(&command, r2t.ttt + 1, 0, 0), &[0; 512]), Dest::Discard);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField);
    peer.send(&last(data_out(&command, r2t.ttt, 0, 0)), &[0; 4096]);
    assert_eq!(peer.events(), [Event::Ready(id)]);
}

#[test]
fn less_data_than_the_r2t_asks_for_is_a_fault() {
    let mut peer = Peer::with(SessionParams { immediate_data: false, ..params() });
    let command = write(FIRST, 4096);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 4096);
    let r2t: R2t = peer.answer();
    peer.send(&last(data_out(&command, r2t.ttt, 0, 0)), &[0; 512]);
    assert_eq!(sense_of(&peer.sent()[0]), WRONG_AMOUNT);
}

#[test]
fn f13_data_for_no_task_is_discarded() {
    let mut peer = Peer::new();
    assert_eq!(peer.send(&last(data_out(&write(FIRST, 0), 5, 0, 0)), &[0; 512]), Dest::Discard);
    peer.silent();
}

#[test]
fn f16_an_early_end_waits_for_the_data_on_its_way() {
    let mut peer = Peer::new();
    let command = ScsiCommand { is_final: false, ..write(FIRST, 8192) };
    peer.send(&command, &[0; 4096]);
    let id = peer.offered();
    peer.session.complete(id, Completion { status: 8, ..good(Transferred::Nothing) });
    assert_eq!(peer.sent(), []);
    peer.send(&last(data_out(&command, RESERVED_TAG, 0, 4096)), &[0; 4096]);
    assert_eq!(peer.answer::<ScsiResponse>().status, 8);
}

#[test]
fn f25_a_wrong_data_digest_on_data_fails_the_command() {
    let mut peer = Peer::with(SessionParams { immediate_data: false, ..params() });
    let command = write(FIRST, 4096);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 4096);
    let r2t: R2t = peer.answer();
    peer.send_with_digest(&last(data_out(&command, r2t.ttt, 0, 0)), &[0; 4096], false);
    let sent = peer.sent();
    assert_eq!(parse::<Reject>(&sent[0]).reason, RejectReason::DataDigest);
    assert_eq!(sense_of(&sent[1]), CRC);
}

#[test]
fn unsolicited_data_of_a_held_command_is_taken() {
    let mut peer = Peer::new();
    let command = ScsiCommand { is_final: false, ..write(FIRST + 1, 8192) };
    peer.send(&command, &[0; 4096]);
    let rest = last(data_out(&command, RESERVED_TAG, 0, 4096));
    assert!(matches!(peer.send(&rest, &[0; 4096]), Dest::Task(_, 4096)));
    peer.silent();
    peer.send(&read(FIRST, 0), &[]);
    let [Event::Command(_), Event::Command(id)] = peer.events()[..] else { panic!() };
    assert!(peer.session.admitted(id, 8192), "all its data is there");
}

#[test]
fn f17_more_announced_than_the_command_takes_is_not_asked_for() {
    let mut peer = Peer::with(SessionParams { immediate_data: false, ..params() });
    let command = write(FIRST, u32::MAX);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 512);
    assert_eq!(peer.answer::<R2t>().desired_length, 512);
    peer.send(&last(data_out(&command, 1, 0, 0)), &[0; 512]);
    assert_eq!(peer.events(), [Event::Ready(id)]);
    peer.session.complete(id, good(Transferred::Out(512)));
    let response: ScsiResponse = peer.answer();
    assert_eq!(response.overflow, crate::iscsi::pdu::Overflow::Under(u32::MAX - 512));
}

#[test]
fn f15_too_little_unsolicited_data() {
    let mut peer = Peer::new();
    let command = ScsiCommand { is_final: false, ..write(FIRST, 40_000) };
    peer.send(&command, &[0; 4096]);
    let id = peer.offered();
    peer.session.admitted(id, 40_000);
    peer.send(&last(data_out(&command, RESERVED_TAG, 0, 4096)), &[0; 512]);
    assert_eq!(sense_of(&peer.sent()[0]), WRONG_AMOUNT, "less than FirstBurstLength");
    assert_eq!(peer.events(), [Event::Dropped(id)]);

    // Nothing but immediate data is all right, and so is less than a burst when all fits in one.
    let mut peer = Peer::new();
    peer.send(&write(FIRST, 40_000), &[0; 512]);
    let id = peer.offered();
    peer.session.admitted(id, 40_000);
    assert_eq!(parse::<R2t>(&peer.sent()[0]).buffer_offset, 512);
    let command = ScsiCommand { is_final: false, ..write(FIRST + 1, 8192) };
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 8192);
    peer.send(&last(data_out(&command, RESERVED_TAG, 0, 0)), &[0; 512]);
    assert_eq!(parse::<R2t>(&peer.sent()[0]).buffer_offset, 512);
}

#[test]
fn f14_unsolicited_data_after_f_fails_the_command_once_its_r2ts_are_served() {
    let mut peer = Peer::new();
    let command = write(FIRST, 8192);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 8192);
    let r2t: R2t = peer.answer();
    let stray = data_out(&command, RESERVED_TAG, 0, 0);
    assert_eq!(peer.send(&stray, &[0; 512]), Dest::Discard);
    peer.silent();
    assert_eq!(peer.send(&last(data_out(&command, r2t.ttt, 0, 0)), &[0; 8192]), Dest::Discard);
    assert_eq!(sense_of(&peer.sent()[0]), UNEXPECTED_UNSOLICITED);
    assert_eq!(peer.events(), [Event::Dropped(id)]);
}

#[test]
fn unsolicited_data_of_a_command_that_runs_is_rejected() {
    let mut peer = Peer::new();
    let command = write(FIRST, 4096);
    peer.send(&command, &[0; 4096]);
    let id = peer.offered();
    assert!(peer.session.admitted(id, 4096));
    let stray = last(data_out(&command, RESERVED_TAG, 0, 0));
    assert_eq!(peer.send(&stray, &[0; 512]), Dest::Discard, "its data is in use");
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::ProtocolError);
    peer.session.complete(id, good(Transferred::Out(4096)));
    assert_eq!(peer.answer::<ScsiResponse>().status, 0);
}

#[test]
fn a_command_whose_data_was_bad_while_it_was_offered_is_not_executed() {
    let mut peer = Peer::new();
    let command = ScsiCommand { is_final: false, ..write(FIRST, 8192) };
    peer.send(&command, &[0; 4096]);
    let id = peer.offered();
    peer.send(&last(data_out(&command, RESERVED_TAG, 0, 0)), &[0; 4096]);
    assert!(!peer.session.admitted(id, 4096), "all it wants is there, but it broke the rules");
    assert_eq!(sense_of(&peer.sent()[0]), DATA_PHASE);
    assert_eq!(peer.events(), [Event::Dropped(id)]);
}

#[test]
fn f20_r2ts_are_to_be_served_in_order() {
    let mut peer = Peer::with(SessionParams { immediate_data: false, ..params() });
    let command = write(FIRST, 32_768);
    peer.send(&command, &[]);
    let id = peer.offered();
    peer.session.admitted(id, 32_768);
    let r2ts: Vec<R2t> = peer.sent().iter().map(parse).collect();
    for r2t in r2ts.iter().rev() {
        for (data_sn, offset) in [(0, 0), (1, 8192)] {
            let pdu = data_out(&command, r2t.ttt, data_sn, r2t.buffer_offset + offset);
            let pdu = DataOut { is_final: data_sn == 1, ..pdu };
            assert_eq!(peer.send(&pdu, &[0; 8192]), Dest::Discard);
        }
    }
    assert_eq!(sense_of(&peer.sent()[0]), DATA_PHASE, "after the last F");
    assert_eq!(peer.events(), [Event::Dropped(id)]);
}
