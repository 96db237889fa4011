//! What holds for any input.

use proptest::prelude::*;

use super::*;
use crate::iscsi::login::keys::KEYS;

/// Keys that we send without being asked.
const OURS: [&str; 3] = ["TargetPortalGroupTag", "TargetAlias", "MaxRecvDataSegmentLength"];

fn key() -> impl Strategy<Value = String> {
    let known: Vec<_> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    prop_oneof![8 => prop::sample::select(known), 1 => "[A-Za-z#.+@_-]{0,70}"]
}

fn value() -> impl Strategy<Value = String> {
    let usual = [
        "Yes",
        "No",
        "None",
        "CRC32C",
        "None,CRC32C",
        "CHAP",
        "CHAP,None",
        "5",
        "7,5",
        "0x10",
        "All",
        "Normal",
        "Discovery",
        "Reject",
        "NotUnderstood",
        "Irrelevant",
        "RFC3720",
        "0x00",
        "0bAA==",
    ];
    prop_oneof![
        4 => prop::sample::select(usual.map(str::to_owned).to_vec()),
        2 => any::<u32>().prop_map(|n| n.to_string()),
        2 => (0..20_000u32).prop_map(|n| n.to_string()),
        1 => "\\PC{0,300}",
    ]
}

/// Keys that a stage allows with values of any kind, so that most logins get far.
fn operational_key() -> impl Strategy<Value = String> {
    let known: Vec<_> = KEYS
        .iter()
        .filter(|key| key.stage == keys::Stage::Operational && key.name != "SendTargets")
        .map(|key| key.name.to_owned())
        .collect();
    prop_oneof![8 => prop::sample::select(known), 1 => "X-[a-z]{1,3}"]
}

fn encode(pairs: &[(String, String)]) -> Vec<u8> {
    pairs.iter().flat_map(|(key, value)| format!("{key}={value}\0").into_bytes()).collect()
}

fn text_of(key: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::btree_map(key, value(), 0..12)
        .prop_map(|pairs| encode(&pairs.into_iter().collect::<Vec<_>>()))
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => text_of(key()), 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

/// Requests that mostly keep to the rules.
fn any_request() -> impl Strategy<Value = (LoginRequest, Vec<u8>)> {
    let header = (any::<bool>(), prop::bool::weighted(0.1), 0..4u8, 0..4u8, 0..20u8);
    (header, any_bytes()).prop_map(|((transit, cont, csg, nsg, odd), data)| {
        let request = LoginRequest {
            transit,
            cont,
            csg,
            nsg,
            version_max: 0,
            version_min: u8::from(odd == 0),
            isid: [0, 2, 3, 4, 5, u8::from(odd == 1)],
            tsih: u16::from(odd == 2),
            itt: u32::from(odd == 3),
            cid: u16::from(odd == 4),
            cmd_sn: u32::from(odd == 5),
            exp_stat_sn: 0,
        };
        (request, data)
    })
}

/// A first request that names both sides, then whatever comes.
fn any_login() -> impl Strategy<Value = Vec<(LoginRequest, Vec<u8>)>> {
    prop::collection::vec(any_request(), 1..10).prop_map(|mut requests| {
        let names = b"InitiatorName=iqn.i\0TargetName=iqn.t\0";
        let (first, data) = &mut requests[0];
        data.splice(0..0, names.iter().copied());
        first.cont = false;
        requests
    })
}

/// Runs a login to its end: every answer, and whether it was accepted.
fn run(
    policy: &Always,
    requests: &[(LoginRequest, Vec<u8>)],
) -> (Vec<(LoginResponse, Vec<u8>)>, bool) {
    let mut login = Login::new(Limits::default(), entropy());
    let mut answers = Vec::new();
    for (request, data) in requests {
        match login.handle(request, data, policy) {
            Reply::Respond(response, data) => answers.push((response, data)),
            Reply::Complete(complete) => {
                let (response, data, _) = complete.accept(1);
                answers.push((response, data));
                return (answers, true);
            }
            Reply::Fail(failure) => {
                answers.push((failure.response, failure.data));
                return (answers, false);
            }
        }
    }
    (answers, false)
}

proptest! {
    #[test]
    fn every_answer_parses_and_every_answered_key_was_asked(requests in any_login()) {
        let (answers, _) = run(&Always::open(), &requests);
        let mut asked = Vec::new();
        for ((response, data), (request, request_data)) in answers.iter().zip(&requests) {
            asked.extend_from_slice(request_data);
            prop_assert!(!(response.transit && response.cont));
            prop_assert!(!response.transit || request.transit);
            prop_assert!(data.len() <= LOGIN_SEGMENT_BYTES_MAX);
            for pair in parse(data).unwrap() {
                let assignment = format!("{}=", pair.key);
                let was_asked = asked.windows(assignment.len()).any(|w| w == assignment.as_bytes());
                let ours = OURS.contains(&pair.key) || pair.key.starts_with("CHAP_");
                prop_assert!(was_asked || ours, "{pair:?}");
            }
        }
    }

    #[test]
    fn any_bytes_in_any_order_are_survived(
        requests in prop::collection::vec(any_request(), 1..10)
    ) {
        run(&Always::open(), &requests);
        run(&Always::chap(Some(("target", b"another secret"))), &requests);
    }

    #[test]
    fn nobody_comes_in_who_does_not_know_the_secret(requests in any_login()) {
        let (_, accepted) = run(&Always::chap(Some(("target", b"another secret"))), &requests);
        prop_assert!(!accepted);
    }

    #[test]
    fn where_a_text_is_split_does_not_matter(
        text in text_of(operational_key()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = [&b"InitiatorName=iqn.i\0TargetName=iqn.t\0"[..], &text].concat();
        let policy = Always::open();
        let whole = Initiator::new(&policy).send_bytes(1, 3, T, &text);

        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len())).collect();
        cuts.sort_unstable();
        let mut initiator = Initiator::new(&policy);
        let mut from = 0;
        for cut in &cuts {
            let answer = initiator.send_bytes(1, 3, C, &text[from..*cut]);
            prop_assert_eq!((answer.status(), answer.text.as_str()), (LoginStatus::Success, ""));
            from = *cut;
        }
        let mut last = initiator.send_bytes(1, 3, T, &text[from..]);
        if whole.status() == LoginStatus::Success {
            // Every piece was answered and counted.
            let pieces = u32::try_from(cuts.len()).unwrap();
            prop_assert_eq!(last.response.stat_sn, whole.response.stat_sn + pieces);
            last.established.as_mut().unwrap().stat_sn -= pieces;
        }
        last.response.stat_sn = whole.response.stat_sn;
        prop_assert_eq!(last, whole);
    }

    #[test]
    fn what_is_agreed_on_is_within_both_sides_limits(text in text_of(operational_key())) {
        let text = [&b"InitiatorName=iqn.i\0TargetName=iqn.t\0"[..], &text].concat();
        let policy = Always::open();
        let answer = Initiator::new(&policy).send_bytes(1, 3, T, &text);
        if let Some(Established { params, .. }) = answer.established {
            let limits = Limits::default();
            prop_assert!((512..=limits.max_burst_length).contains(&params.max_burst_length));
            prop_assert!(params.first_burst_length <= params.max_burst_length);
            prop_assert!((512..=0x00ff_ffff).contains(&params.initiator_max_recv_data_segment_length));
            prop_assert!((1..=limits.max_outstanding_r2t).contains(&params.max_outstanding_r2t));
            prop_assert!((2..=3600).contains(&params.default_time2wait));
            prop_assert!(params.default_time2retain <= 20);
            prop_assert_eq!((params.max_connections, params.error_recovery_level), (1, 0));
            prop_assert!(params.data_pdu_in_order && params.data_sequence_in_order);
        }
    }

    #[test]
    fn texts_are_read_back_as_written(pairs in prop::collection::vec(("[A-Z][a-zA-Z0-9.+@_-]{0,62}", "[^\0]{0,200}"), 0..20), limit in 1..5000usize) {
        let mut writer = Writer::default();
        for (key, value) in &pairs {
            writer.pair(key, value);
        }
        let mut assembler = Assembler::default();
        let read = loop {
            let segment = writer.segment(limit);
            prop_assert!(segment.len() <= limit);
            if let Some(text) = assembler.push(&segment, !writer.is_empty()).unwrap() {
                break text;
            }
        };
        let read: Vec<_> =
            parse(&read).unwrap().iter().map(|p| (p.key.to_owned(), p.value.to_owned())).collect();
        prop_assert_eq!(read, pairs);
    }
}

#[test]
fn a_full_feature_negotiation_leaves_things_alone_until_it_is_finished() {
    let current = SessionParams::default();
    let mut text = Negotiation::full_feature(Limits::default(), &current, false);
    let mut out = Writer::default();
    let pairs = parse(b"MaxRecvDataSegmentLength=65536\0X-a=1\0SendTargets=\0").unwrap();
    text.answer(&pairs, &mut out).unwrap();
    assert_eq!(out.segment(8192), b"X-a=NotUnderstood\0");
    assert_eq!(text.declared("SendTargets"), Some(""));
    let params = text.finish().unwrap();
    let expected = SessionParams { initiator_max_recv_data_segment_length: 65536, ..current };
    assert_eq!(params, expected);
}

#[test]
fn a_full_feature_negotiation_refuses_what_belongs_into_the_login() {
    for text in ["MaxBurstLength=512\0", "HeaderDigest=None\0", "InitiatorName=i\0", "CHAP_A=5\0"] {
        let mut negotiation =
            Negotiation::full_feature(Limits::default(), &SessionParams::default(), false);
        let error = negotiation.answer(&parse(text.as_bytes()).unwrap(), &mut Writer::default());
        assert!(matches!(error, Err(NegotiationError::NotHere(_))), "{text}");
    }
    let mut discovery =
        Negotiation::full_feature(Limits::default(), &SessionParams::default(), true);
    let mut out = Writer::default();
    discovery.answer(&parse(b"MaxBurstLength=512\0").unwrap(), &mut out).unwrap();
    assert_eq!(out.segment(100), b"MaxBurstLength=Irrelevant\0");
    let again = discovery.answer(&parse(b"MaxBurstLength=512\0").unwrap(), &mut out);
    assert_eq!(again, Err(NegotiationError::Repeated("MaxBurstLength".into())));
}
