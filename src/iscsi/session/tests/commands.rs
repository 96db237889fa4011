//! CmdSN, the window, and how commands end.

use super::*;

#[test]
fn f03_commands_behind_a_hole_wait_and_run_in_order() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST + 2, 0), &[]);
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.silent();
    peer.send(&read(FIRST, 0), &[]);
    let order: Vec<u32> = peer
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Command(id) => peer.session.command(id).unwrap().cmd_sn,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, [FIRST, FIRST + 1, FIRST + 2]);
}

#[test]
fn f01_f02_what_is_outside_the_window_or_there_already_is_ignored() {
    let mut peer = Peer::new();
    for cmd_sn in [FIRST - 1, FIRST + 8, FIRST.wrapping_add(1 << 31)] {
        peer.send(&read(cmd_sn, 0), &[]);
    }
    peer.silent();
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.send(&ScsiCommand { itt: 4711, ..read(FIRST + 1, 0) }, &[]);
    peer.send(&read(FIRST, 0), &[]);
    assert_eq!(peer.events().len(), 2, "the duplicate has no effect");
    peer.send(&read(FIRST + 7, 0), &[]);
    peer.send(&read(FIRST + 2, 0), &[]);
    assert_eq!(peer.events().len(), 1, "later ones still work");
}

#[test]
fn f06_the_window_closes_and_max_cmd_sn_never_goes_back() {
    let mut peer = Peer::new();
    let mut ids = Vec::new();
    for i in 0..8 {
        peer.send(&read(FIRST + i, 0), &[]);
        ids.push(peer.offered());
    }
    peer.send(&read(FIRST + 8, 0), &[]);
    peer.silent();
    for (i, id) in ids.into_iter().enumerate() {
        assert!(peer.session.admitted(id, 0));
        peer.session.complete(id, good(Transferred::Nothing));
        let response: ScsiResponse = peer.answer();
        let done = u32::try_from(i).unwrap() + 1;
        assert_eq!(
            (response.numbers.exp_cmd_sn, response.numbers.max_cmd_sn),
            (FIRST + 8, FIRST + 7 + done)
        );
    }
    peer.send(&read(FIRST + 8, 0), &[]);
    peer.offered();
}

#[test]
fn f04_f05_immediate_commands_run_at_once_and_are_bounded() {
    let mut peer = Peer::new();
    let immediate = |itt| ScsiCommand { immediate: true, itt, ..read(FIRST, 0) };
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.silent();
    for itt in 0..16 {
        peer.send(&immediate(itt), &[]);
        peer.offered();
    }
    peer.send(&immediate(99), &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::ImmediateCommand);
    assert_eq!(peer.session.window.exp_cmd_sn(), FIRST);
}

#[test]
fn f07_stat_sn_counts_answers_only() {
    let mut peer = Peer::new();
    let command = write(FIRST, 8192 + 4096);
    peer.send(&command, &[0; 4096]);
    let id = peer.offered();
    peer.session.admitted(id, 8192 + 4096);
    assert_eq!(peer.answer::<R2t>().numbers.stat_sn, 100);
    peer.send(&read(FIRST + 1, 8192), &[]);
    let id = peer.offered();
    peer.session.admitted(id, 0);
    peer.session.complete(id, good(Transferred::In { data: "", len: 8192 }));
    let sent = peer.sent();
    let (first, second): (DataIn, DataIn) = (parse(&sent[0]), parse(&sent[1]));
    assert_eq!((first.status, second.status.is_some(), second.numbers.stat_sn), (None, true, 100));
    peer.send(&read(FIRST + 2, 0), &[]);
    let id = peer.offered();
    peer.session.complete(id, good(Transferred::Nothing));
    assert_eq!(peer.answer::<ScsiResponse>().numbers.stat_sn, 101);
}

#[test]
fn f10_data_in_obeys_the_segment_length_and_ends_bursts() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST, 40_000), &[]);
    let id = peer.offered();
    assert!(peer.session.admitted(id, 0));
    peer.session.complete(id, good(Transferred::In { data: "d", len: 40_000 }));
    let sent = peer.sent();
    let mut offset = 0;
    for (i, pdu) in sent.iter().enumerate() {
        let data_in: DataIn = parse(pdu);
        let len = u32::try_from(data_len(pdu)).unwrap();
        assert!(len <= 4096 && (len % 4 == 0 || i + 1 == sent.len()));
        assert_eq!(data_in.data_sn as usize, i);
        assert_eq!((data_in.buffer_offset, data_in.ttt, data_in.lun), (offset, RESERVED_TAG, 0));
        offset += len;
        assert_eq!(data_in.is_final, offset % 16384 == 0 || offset == 40_000);
        assert_eq!(data_in.status.is_some(), i + 1 == sent.len());
    }
    assert_eq!(offset, 40_000);
}

#[test]
fn f11_f18_bad_status_comes_apart_with_sense_and_residual() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST, 4096), &[]);
    let id = peer.offered();
    let completion = bad();
    let sense = completion.sense.clone();
    peer.session.complete(id, completion);
    let sent = peer.sent();
    let response: ScsiResponse = parse(&sent[0]);
    assert_eq!((response.status, response.overflow), (2, Overflow::Under(4096)));
    assert_eq!(sent[0].data, Payload::Bytes([&[0, 18][..], &sense].concat()));
}

#[test]
fn f18_residuals_in_both_directions() {
    for (expected, actual, overflow) in [
        (4096, 4096, Overflow::None),
        (4096, 512, Overflow::Under(3584)),
        (512, 4096, Overflow::Over(3584)),
        (0, 4096, Overflow::Over(4096)),
    ] {
        let mut peer = Peer::new();
        peer.send(&read(FIRST, expected), &[]);
        let id = peer.offered();
        peer.session.admitted(id, 0);
        peer.session.complete(id, good(Transferred::In { data: "d", len: actual }));
        let sent = peer.sent();
        if expected == 0 {
            assert_eq!(parse::<ScsiResponse>(&sent[0]).overflow, overflow);
        } else {
            let data_in: DataIn = parse(sent.last().unwrap());
            assert_eq!(data_in.status, Some((0, overflow)));
            let total: usize = sent.iter().map(data_len).sum();
            assert_eq!(total as u64, actual.min(expected.into()));
        }

        let mut peer = Peer::new();
        let data = vec![0; expected as usize];
        peer.send(&write(FIRST, expected), &data);
        let id = peer.offered();
        assert!(peer.session.admitted(id, actual));
        peer.session.complete(id, good(Transferred::Out(actual)));
        assert_eq!(peer.answer::<ScsiResponse>().overflow, overflow);
    }
}

use crate::iscsi::pdu::Overflow;

#[test]
fn a_task_tag_in_use_is_refused_and_free_after_the_answer() {
    let mut peer = Peer::new();
    peer.send(&read(FIRST, 0), &[]);
    let id = peer.offered();
    let again = ScsiCommand { itt: 1000 + FIRST, ..read(FIRST + 1, 0) };
    peer.send(&again, &[]);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::TaskInProgress);
    peer.session.complete(id, good(Transferred::Nothing));
    peer.sent();
    peer.send(&again, &[]);
    peer.offered();
}

#[test]
fn f27_bad_additional_headers_are_rejected() {
    let mut peer = Peer::new();
    let mut bhs = read(FIRST, 0).encode();
    bhs[4] = 1;
    peer.session.header(&bhs, &[0xff, 0xff, 1, 0]);
    peer.session.data(Vec::new(), true);
    let sent = peer.sent();
    assert_eq!(parse::<Reject>(&sent[0]).reason, RejectReason::InvalidField);
    let whole = [&bhs[..], &[0xff, 0xff, 1, 0]].concat();
    assert_eq!(sent[0].data, Payload::Bytes(whole), "the complete header");

    let long = [0, 17, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    let mut bhs = read(FIRST, 0).encode();
    bhs[4] = 5;
    peer.session.header(&bhs, &long);
    peer.session.data(Vec::new(), true);
    let id = peer.offered();
    assert_eq!(peer.session.command(id).unwrap().cdb.len(), 32);
}

#[test]
fn f28_f29_unknown_opcodes_are_rejected_and_too_long_segments_end_it() {
    let mut peer = Peer::new();
    let mut bhs = [0; 48];
    bhs[0] = 0x1c;
    peer.session.header(&bhs, &[]);
    peer.session.data(Vec::new(), true);
    let sent = peer.sent();
    assert_eq!(parse::<Reject>(&sent[0]).reason, RejectReason::NotSupported);
    assert_eq!(sent[0].data, Payload::Bytes(bhs.to_vec()));
    set_data_length(&mut bhs, 8193);
    peer.session.header(&bhs, &[]);
    assert!(matches!(peer.events()[..], [Event::Close(_, CloseReason::Protocol(_))]));
    assert!(peer.session.is_closing());
}

#[test]
fn f25_a_wrong_data_digest_on_a_command_leaves_its_number_free() {
    let mut peer = Peer::new();
    peer.send_with_digest(&write(FIRST, 4096), &[0; 4096], false);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::DataDigest);
    assert_eq!(peer.events().len(), 1, "dropped");
    assert!(peer.session.tasks.is_empty());
    peer.send(&write(FIRST, 4096), &[0; 4096]);
    let id = peer.offered();
    assert!(peer.session.admitted(id, 4096));
    peer.session.complete(id, good(Transferred::Out(4096)));
    assert_eq!(peer.answer::<ScsiResponse>().numbers.max_cmd_sn, FIRST + 8, "no credit is made up");
}

#[test]
fn f23_the_number_of_a_rejected_command_is_not_received() {
    let mut peer = Peer::new();
    let busy = ScsiCommand { immediate: true, ..read(FIRST, 0) };
    peer.send(&busy, &[]);
    let id = peer.offered();
    peer.send(&read(FIRST, 0), &[]);
    let reject: Reject = peer.answer();
    assert_eq!(reject.reason, RejectReason::TaskInProgress);
    assert_eq!(reject.numbers.exp_cmd_sn, FIRST, "a gap (RFC 7143 7.3)");
    peer.send(&read(FIRST + 1, 0), &[]);
    peer.silent();
    peer.session.complete(id, good(Transferred::Nothing));
    peer.sent();
    peer.send(&read(FIRST, 0), &[]);
    assert_eq!(peer.events().len(), 2, "the gap is filled");
}

#[test]
fn commands_of_a_bad_format_are_rejected() {
    let good = write(FIRST, 4096);
    for bad in [
        ScsiCommand { itt: RESERVED_TAG, ..good },
        ScsiCommand { attribute: 5, ..good },
        ScsiCommand { is_final: false, write: false, read: true, ..good },
        ScsiCommand { write: false, ..good },
        ScsiCommand { read: true, ..good },
    ] {
        let mut peer = Peer::new();
        peer.send(&bad, &[]);
        assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField, "{bad:?}");
        assert_eq!(peer.events(), []);
    }
}

#[test]
fn f19_a_bidirectional_command_ends_with_both_residuals() {
    let mut peer = Peer::new();
    let ahs = [0, 5, 2, 0, 0, 0, 0x10, 0];
    let mut bhs = ScsiCommand { read: true, ..write(FIRST, 512) }.encode();
    bhs[4] = 2;
    peer.session.header(&bhs, &ahs);
    peer.session.data(Vec::new(), true);
    let sent = peer.sent();
    assert_eq!(sense_of(&sent[0]), (5, 0x0e, 3), "illegal request");
    let response: ScsiResponse = parse(&sent[0]);
    assert_eq!(
        (response.overflow, response.read_overflow),
        (Overflow::Under(512), Overflow::Under(4096))
    );
    let mut bhs = read(FIRST + 1, 512).encode();
    bhs[4] = 2;
    peer.session.header(&bhs, &ahs);
    peer.session.data(Vec::new(), true);
    assert_eq!(peer.answer::<Reject>().reason, RejectReason::InvalidField, "not bidirectional");
}

#[test]
fn f06_numbers_wrap_at_two_to_the_32() {
    let established = Established {
        cmd_sn: u32::MAX - 1,
        stat_sn: u32::MAX,
        ..established(SessionType::Normal, params())
    };
    let session = Session::new(established, Limits::default(), limits(8));
    let mut peer = Peer { session };
    peer.send(&ScsiCommand { itt: 7, ..read(0, 0) }, &[]);
    peer.silent();
    for (cmd_sn, itt) in [(u32::MAX - 1, 1), (u32::MAX, 2)] {
        peer.send(&ScsiCommand { cmd_sn, itt, ..read(0, 0) }, &[]);
    }
    let ids: Vec<TaskId> = peer
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Command(id) => id,
            other => panic!("{other:?}"),
        })
        .collect();
    let order: Vec<u32> = ids.iter().map(|id| peer.session.command(*id).unwrap().cmd_sn).collect();
    assert_eq!(order, [u32::MAX - 1, u32::MAX, 0]);
    for (i, id) in (0..).zip(ids) {
        peer.session.complete(id, good(Transferred::Nothing));
        let numbers = peer.answer::<ScsiResponse>().numbers;
        assert_eq!((numbers.exp_cmd_sn, numbers.max_cmd_sn), (1, 6 + i));
        assert_eq!(numbers.stat_sn, u32::MAX.wrapping_add(i));
    }
}

#[test]
fn f06_a_window_that_opens_in_silence_is_told() {
    let mut peer = Peer::new();
    let abort = |peer: &mut Peer, cmd_sn| {
        peer.send(&read(cmd_sn, 0), &[]);
        let id = peer.offered();
        peer.session.admitted(id, 0);
        peer.session.abort(Some(LUN));
        assert_eq!(peer.events(), [Event::Dropped(id)]);
    };
    abort(&mut peer, FIRST);
    assert_eq!(peer.sent(), [], "it may be boot firmware, which gives up at such a PDU");
    let ping = NopOut {
        immediate: true,
        lun: 0,
        itt: 1,
        ttt: RESERVED_TAG,
        cmd_sn: FIRST + 1,
        exp_stat_sn: 0,
    };
    peer.send(&ping, &[]);
    assert_eq!(peer.answer::<NopIn>().numbers.max_cmd_sn, FIRST + 8);
    abort(&mut peer, FIRST + 1);
    let nop: NopIn = peer.answer();
    assert_eq!((nop.itt, nop.ttt), (RESERVED_TAG, RESERVED_TAG));
    assert_eq!((nop.numbers.max_cmd_sn, nop.numbers.stat_sn), (FIRST + 9, 101));
    peer.silent();
}

#[test]
fn the_qualifier_and_the_priority_are_there_where_rfc_7144_is() {
    for (protocol_level, priority, qualifier) in [(1, 0, 0), (2, 9, 0x1234)] {
        let mut peer = Peer::with(SessionParams { protocol_level, ..params() });
        peer.send(&ScsiCommand { priority: 9, ..read(FIRST, 0) }, &[]);
        let id = peer.offered();
        assert_eq!(peer.session.command(id).unwrap().priority, priority);
        let busy = Completion { status: 8, qualifier: 0x1234, ..good(Transferred::Nothing) };
        peer.session.complete(id, busy);
        assert_eq!(peer.answer::<ScsiResponse>().qualifier, qualifier);
    }
}
