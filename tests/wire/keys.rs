//! The login phase: text and keys (L14, L19 to L28, L32).

use stirrup::target::PortalGroup;

use crate::lab::{BLOCK, Lab, TARGET, options, pattern};
use crate::login::{AT_ONCE, OPERATIONAL, SECURITY, TO_OPERATIONAL, decode, status, text, value};
use crate::session::Residual;
use crate::support::raw::{CONT, op};

const INITIATOR_ERROR: u16 = 0x0200;

/// What a login with these keys is answered.
fn answers(lab: &Lab, keys: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut login = lab.login();
    for (key, value) in keys {
        login = login.key(key, value);
    }
    login.session().answers
}

/// The answer to one key.
fn answer(lab: &Lab, key: &str, offer: &str) -> Option<String> {
    value(&answers(lab, &[(key, offer)]), key).map(str::to_owned)
}

/// The status of a login with this text after the names.
fn status_with(lab: &Lab, more: &[u8]) -> u16 {
    let mut login = lab.login();
    let mut wire = lab.connect();
    let all = [login.text(), more.to_vec()].concat();
    let answer = login.step(&mut wire, AT_ONCE, &all);
    if status(&answer) != 0 {
        assert_eq!(wire.receive(), None);
    }
    status(&answer)
}

#[test]
fn l14_the_first_response_tells_the_portal_group() {
    let group = PortalGroup::open(4711, &["127.0.0.1:0".parse().unwrap()]);
    let lab = Lab::in_groups(options(), vec![group]);
    for flags in [SECURITY, SECURITY | TO_OPERATIONAL, AT_ONCE] {
        let mut login = lab.login();
        let mut wire = lab.connect();
        let names = login.text();
        let first = decode(&login.step(&mut wire, flags, &names).data);
        assert_eq!(value(&first, "TargetPortalGroupTag"), Some("4711"));
    }
}

#[test]
fn l19_keys_and_values_too_long_or_malformed_end_the_login() {
    let lab = Lab::new();
    let longest = format!("X-{}", "k".repeat(61));
    assert_eq!(answer(&lab, &longest, "1").as_deref(), Some("NotUnderstood"));
    let one = |key: &str, value: &str| format!("{key}={value}\0").into_bytes();
    let bad = [
        one(&format!("{longest}k"), "1"),
        one(&"k".repeat(4000), "1"),
        one("Key With Spaces", "1"),
        one("", "1"),
        b"X-no-equals-sign\0".to_vec(),
        b"X-no-end=1".to_vec(),
        b"\0".to_vec(),
        b"X-a=1\0\0X-b=1\0".to_vec(),
        b"X-a=\xff\xfe\0".to_vec(),
        one("InitiatorAlias", &"a".repeat(256)),
        one("X-a", &"a".repeat(7900)).repeat(2),
    ];
    for more in bad {
        let shown = String::from_utf8_lossy(&more[..more.len().min(70)]).into_owned();
        assert_eq!(status_with(&lab, &more[..more.len().min(8000)]), INITIATOR_ERROR, "{shown}");
    }
    // 255 bytes are allowed for simple values, 8192 for others.
    assert_eq!(status_with(&lab, &one("InitiatorAlias", &"a".repeat(255))), 0);
    assert_eq!(status_with(&lab, &one("X-a", &"a".repeat(8000))), 0);
    // A name beyond 223 bytes is none.
    let mut login = lab.login();
    login.initiator = format!("iqn.2026-11.test:{}", "n".repeat(300));
    assert_eq!(login.refused(), INITIATOR_ERROR);
}

#[test]
fn l20_a_key_twice_is_an_error() {
    let lab = Lab::new();
    for more in [
        &b"MaxBurstLength=4096\0MaxBurstLength=4096\0"[..],
        b"X-org.example.a=1\0X-org.example.a=2\0",
        b"InitiatorName=iqn.2026-11.test:node\0",
    ] {
        assert_eq!(status_with(&lab, more), INITIATOR_ERROR);
    }
    // Over two requests of a stage, too.
    let mut login = lab.login().key("MaxBurstLength", "4096");
    let mut wire = lab.connect();
    let names = login.text();
    assert_eq!(status(&login.step(&mut wire, OPERATIONAL, &names)), 0);
    let again = login.step(&mut wire, OPERATIONAL, &text(&[("MaxBurstLength", "4096")]));
    assert_eq!(status(&again), INITIATOR_ERROR);
    assert_eq!(wire.receive(), None);
}

#[test]
fn l21_an_unknown_key_is_not_understood_and_the_login_goes_on() {
    let lab = Lab::new();
    let unknown = ["X-org.example.private", "Y#thing", "Future", "Z-1"];
    let keys: Vec<_> = unknown.iter().map(|key| (*key, "1")).collect();
    let answers = answers(&lab, &keys);
    for key in unknown {
        assert_eq!(value(&answers, key), Some("NotUnderstood"));
    }
}

#[test]
fn l22_keys_are_case_sensitive() {
    let lab = Lab::new();
    for key in ["maxburstlength", "MAXBURSTLENGTH", "MaxBurstlength", "headerDigest"] {
        assert_eq!(answer(&lab, key, "4096").as_deref(), Some("NotUnderstood"));
    }
    let mut wire = lab.connect();
    let target = format!("TargetName={TARGET}\0initiatorname=iqn.2026-11.test:node\0");
    let answer = lab.login().step(&mut wire, AT_ONCE, target.as_bytes());
    assert_eq!(status(&answer), 0x0207, "it has not said its name");
}

#[test]
fn l23_numbers_are_decimal_or_hexadecimal_and_in_range_or_rejected() {
    let lab = Lab::new();
    for (offer, result) in [
        ("4096", "4096"),
        ("0x1000", "4096"),
        ("0X1000", "4096"),
        ("0xABCdef", "11259375"),
        ("512", "512"),
        ("16777215", "16776192"),
        ("511", "Reject"),
        ("0", "Reject"),
        ("16777216", "Reject"),
        ("4294967808", "Reject"),
        ("99999999999999999999999", "Reject"),
        ("-1", "Reject"),
        ("+4096", "Reject"),
        ("04096", "Reject"),
        ("0x", "Reject"),
        ("4096 ", "Reject"),
        ("4k", "Reject"),
        ("Yes", "Reject"),
        ("", "Reject"),
    ] {
        let result = Some(result.to_owned());
        assert_eq!(answer(&lab, "MaxBurstLength", offer), result, "{offer:?}");
    }
    for (key, offer) in [
        ("ErrorRecoveryLevel", "3"),
        ("MaxConnections", "0"),
        ("MaxConnections", "65536"),
        ("DefaultTime2Wait", "3601"),
        ("MaxOutstandingR2T", "0"),
        ("InitialR2T", "yes"),
        ("ImmediateData", "1"),
        ("HeaderDigest", "MD5"),
    ] {
        assert_eq!(answer(&lab, key, offer).as_deref(), Some("Reject"), "{key}={offer}");
    }
    // A declaration cannot be rejected in place: the login ends.
    assert_eq!(status_with(&lab, b"MaxRecvDataSegmentLength=511\0"), INITIATOR_ERROR);
}

#[test]
fn l24_each_key_has_its_result_function() {
    let mut easy = options();
    easy.login.default_time2retain = 20;
    let lab = Lab::with(easy);
    let mut strict = options();
    strict.login.initial_r2t = true;
    strict.login.immediate_data = false;
    strict.login.first_burst_length = 1024;
    strict.login.max_burst_length = 4096;
    strict.login.max_outstanding_r2t = 2;
    strict.login.default_time2wait = 5;
    strict.login.default_time2retain = 7;
    let strict = Lab::with(strict);
    // Key, offer, what comes of it with an easy target and with a strict one.
    for (key, offer, easy, hard) in [
        ("InitialR2T", "No", "No", "Yes"),
        ("InitialR2T", "Yes", "Yes", "Yes"),
        ("ImmediateData", "Yes", "Yes", "No"),
        ("ImmediateData", "No", "No", "No"),
        ("DataPDUInOrder", "No", "Yes", "Yes"),
        ("DataPDUInOrder", "Yes", "Yes", "Yes"),
        ("DataSequenceInOrder", "No", "Yes", "Yes"),
        ("DataSequenceInOrder", "Yes", "Yes", "Yes"),
        ("MaxBurstLength", "8192", "8192", "4096"),
        ("MaxBurstLength", "2048", "2048", "2048"),
        ("FirstBurstLength", "2048", "2048", "1024"),
        ("FirstBurstLength", "512", "512", "512"),
        ("MaxOutstandingR2T", "3", "3", "2"),
        ("MaxOutstandingR2T", "1", "1", "1"),
        ("DefaultTime2Wait", "0", "2", "5"),
        ("DefaultTime2Wait", "60", "60", "60"),
        ("DefaultTime2Retain", "0", "0", "0"),
        ("DefaultTime2Retain", "60", "20", "7"),
        ("MaxConnections", "1", "1", "1"),
        ("ErrorRecoveryLevel", "0", "0", "0"),
    ] {
        for (lab, result) in [(&lab, easy), (&strict, hard)] {
            assert_eq!(answer(lab, key, offer).as_deref(), Some(result), "{key}={offer}");
        }
    }
    // Digests: the first of the initiator's list.
    for (offer, result) in
        [("None", "None"), ("CRC32C", "CRC32C"), ("None,CRC32C", "None"), ("CRC32C,None", "CRC32C")]
    {
        assert_eq!(answer(&lab, "DataDigest", offer).as_deref(), Some(result), "{offer}");
    }
    assert_eq!(answer(&lab, "HeaderDigest", "X-mine,None").as_deref(), Some("None"));
}

#[test]
fn l25_the_first_burst_is_no_longer_than_any() {
    let lab = Lab::new();
    let two = |burst, first| {
        let keys = [("FirstBurstLength", first), ("MaxBurstLength", burst), ("InitialR2T", "No")];
        value(&answers(&lab, &keys), "FirstBurstLength").unwrap().to_owned()
    };
    assert_eq!(two("4096", "8192"), "4096");
    assert_eq!(two("8192", "4096"), "4096");
    // Where only one of the two is negotiated: the default of the other gives way.
    let mut session = lab.session_with(&[("MaxBurstLength", "1024"), ("InitialR2T", "No")]);
    let data = pattern(4 * BLOCK, 1);
    let write = session.write_command(0, data.len()).with(&data[..1536]);
    session.send(&write);
    assert_eq!(session.finish(&write, &data).codes(), crate::session::UNEXPECTED_DATA);
    let keys = [("InitialR2T", "Yes"), ("ImmediateData", "No"), ("FirstBurstLength", "4096")];
    assert_eq!(value(&answers(&lab, &keys), "FirstBurstLength"), Some("Irrelevant"));
}

#[test]
fn l26_text_goes_on_over_pdus_both_ways_and_has_an_end() {
    let lab = Lab::new();
    // A byte at a time; every one is answered with nothing but the offer to go on.
    let mut login = lab.login().key("MaxBurstLength", "4096");
    let mut wire = lab.connect();
    let all = login.text();
    let (parts, last) = all.split_at(all.len() - 3);
    for part in parts.chunks(parts.len().div_ceil(40)) {
        let answer = login.step(&mut wire, OPERATIONAL | CONT, part);
        assert_eq!((status(&answer), answer.data.len()), (0, 0));
        assert_eq!(answer.flags(), OPERATIONAL);
    }
    let answer = login.step(&mut wire, AT_ONCE, last);
    assert_eq!((status(&answer), answer.flags()), (0, AT_ONCE));
    assert_eq!(value(&decode(&answer.data), "MaxBurstLength"), Some("4096"));
    // An answer of ours that does not fit into one PDU.
    let keys: Vec<String> = (0..90).map(|i| format!("X-{i:0>61}")).collect();
    let many: Vec<_> = keys.iter().map(|key| (key.as_str(), "1")).collect();
    let mut login = lab.login();
    let mut wire = lab.connect();
    let names = login.text();
    login.step(&mut wire, OPERATIONAL, &names);
    for half in many.chunks(45) {
        let answer = login.step(&mut wire, OPERATIONAL, &text(half));
        assert_eq!(decode(&answer.data).len(), 45);
    }
    let mut login = lab.login();
    let mut wire = lab.connect();
    let names = login.text();
    login.step(&mut wire, OPERATIONAL, &names);
    let keys: Vec<String> = (0..118).map(|i| format!("X-{i:0>61}")).collect();
    let many: Vec<_> = keys.iter().map(|key| (key.as_str(), "1")).collect();
    let first = login.step(&mut wire, AT_ONCE, &text(&many));
    assert_eq!(first.flags(), OPERATIONAL | CONT, "more to come: no T");
    let second = login.step(&mut wire, AT_ONCE, &[]);
    assert_eq!(second.flags(), AT_ONCE);
    assert_eq!(decode(&[first.data, second.data].concat()).len(), 118);
    // Text without end: at most 64 KiB of it are taken.
    let mut login = lab.login();
    let mut wire = lab.connect();
    let mut taken = 0;
    loop {
        let answer = login.step(&mut wire, OPERATIONAL | CONT, &[b'a'; 8000]);
        if status(&answer) != 0 {
            break assert_eq!(status(&answer), INITIATOR_ERROR);
        }
        taken += 8000;
        assert!(taken <= 65_536, "it listens for ever");
    }
    assert_eq!(wire.receive(), None);
}

#[test]
fn l27_what_is_declared_is_not_echoed() {
    let lab = Lab::new();
    let keys = [("MaxRecvDataSegmentLength", "4096"), ("InitiatorAlias", "the node")];
    let session = lab.session_with(&keys);
    // The target's own, which has nothing to do with the initiator's.
    assert_eq!(session.answer("MaxRecvDataSegmentLength"), Some("262144"));
    for key in ["InitiatorAlias", "InitiatorName", "TargetName", "SessionType"] {
        assert_eq!(session.answer(key), None, "{key}");
    }
    // What only targets declare.
    for key in ["TargetAlias", "TargetAddress", "TargetPortalGroupTag"] {
        assert_eq!(status_with(&lab, &text(&[(key, "1")])), INITIATOR_ERROR, "{key}");
    }
}

#[test]
fn l28_markers_are_refused() {
    let lab = Lab::new();
    for (key, offer, result) in [
        ("IFMarker", "Yes", "No"),
        ("OFMarker", "Yes", "No"),
        ("IFMarker", "No", "No"),
        ("OFMarker", "No", "No"),
        ("IFMarkInt", "2048~8192", "Reject"),
        ("OFMarkInt", "2048", "Reject"),
    ] {
        assert_eq!(answer(&lab, key, offer).as_deref(), Some(result), "{key}={offer}");
    }
}

/// QUERY TASK of RFC 7144.
const QUERY_TASK: u8 = 9;

#[test]
fn l32_the_protocol_level_is_the_lower_and_unlocks_what_it_brings() {
    let lab = Lab::new();
    for (offer, result) in [("0", "0"), ("1", "1"), ("2", "2"), ("31", "2"), ("32", "Reject")] {
        assert_eq!(answer(&lab, "iSCSIProtocolLevel", offer).as_deref(), Some(result), "{offer}");
    }
    let query = |keys: &[(&str, &str)]| {
        let mut session = lab.session_with(keys);
        let write = session.write_command(0, BLOCK);
        session.send(&write);
        let r2t = session.expect(op::R2T);
        let query = session.tmf(QUERY_TASK, write.itt(), write.word(24));
        let response = session.manage(&query);
        session.answer_r2t(&write, &r2t, &pattern(BLOCK, 1));
        let end = session.finish_from(&write, &[], 1);
        assert_eq!((end.status, end.residual), (0, Residual::None));
        response
    };
    const NOT_SUPPORTED: u8 = 5;
    const SUCCEEDED: u8 = 7;
    assert_eq!(query(&[]), NOT_SUPPORTED, "1 is the default");
    assert_eq!(query(&[("iSCSIProtocolLevel", "1")]), NOT_SUPPORTED);
    assert_eq!(query(&[("iSCSIProtocolLevel", "2")]), SUCCEEDED, "the task is there");
}
