//! The points of a login that targets are known to get wrong, by their numbers.

use super::*;

pub(super) const NAMES: &str = "InitiatorName=iqn.i TargetName=iqn.t";

/// The status of a login whose first request is this one.
pub(super) fn status_of(
    policy: &Always,
    csg: u8,
    nsg: u8,
    flags: (bool, bool),
    keys: &str,
) -> LoginStatus {
    Initiator::new(policy).send(csg, nsg, flags, keys).status()
}

/// The answer to `keys` in the operational stage.
fn operational(keys: &str) -> Answer {
    let policy = Always::open();
    Initiator::new(&policy).send(1, 3, NONE, &format!("{NAMES} {keys}"))
}

fn params(keys: &str) -> SessionParams {
    let policy = Always::open();
    let answer = Initiator::new(&policy).send(1, 3, T, &format!("{NAMES} {keys}"));
    answer.established.expect("the login is over").params
}

#[test]
fn l01_the_driver_can_refuse_what_is_no_login_request() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    assert!(!initiator.login.has_begun());
    assert_eq!(initiator.send(1, 3, NONE, NAMES).status(), LoginStatus::Success);
    assert!(initiator.login.has_begun());
    let refusal = Refusal::new(LoginStatus::InvalidDuringLogin, "a SCSI Command");
    let failure = initiator.login.refuse(&initiator.request, refusal);
    assert_eq!((failure.response.status_class, failure.response.status_detail), (2, 0x0b));
    assert_eq!(failure.response.itt, initiator.request.itt);
    assert_eq!(initiator.send(1, 3, T, NAMES).status(), LoginStatus::InitiatorError);
}

#[test]
fn l02_t_and_c_together() {
    let status = status_of(&Always::open(), 1, 3, (true, true), NAMES);
    assert_eq!(status, LoginStatus::InitiatorError);
}

#[test]
fn l03_only_the_transitions_that_exist() {
    for csg in 0..4 {
        for nsg in 0..4 {
            let legal = matches!((csg, nsg), (0, 1 | 3) | (1, 3));
            let answer = Initiator::new(&Always::open()).send(csg, nsg, T, NAMES);
            if legal {
                assert_eq!(answer.status(), LoginStatus::Success, "{csg} to {nsg}");
                assert_eq!((answer.response.transit, answer.response.nsg), (true, nsg));
            } else {
                assert_eq!(answer.status(), LoginStatus::InitiatorError, "{csg} to {nsg}");
                assert_eq!((answer.response.transit, answer.response.csg), (false, 0));
            }
        }
    }
}

#[test]
fn l03_a_request_for_another_stage_than_the_current_one() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    assert!(!initiator.send(0, 1, NONE, NAMES).response.transit);
    assert_eq!(initiator.send(1, 3, T, "").status(), LoginStatus::InitiatorError);
    let mut initiator = Initiator::new(&policy);
    assert!(initiator.send(0, 1, T, NAMES).response.transit);
    assert_eq!(initiator.send(0, 3, T, "").status(), LoginStatus::InitiatorError);
}

#[test]
fn l03_nothing_moves_unasked_and_nsg_means_nothing_without_t() {
    let policy = Always::open();
    let answer = Initiator::new(&policy).send(1, 2, NONE, NAMES);
    assert_eq!(answer.status(), LoginStatus::Success);
    assert_eq!((answer.response.transit, answer.response.nsg), (false, 0));
}

#[test]
fn l11_missing_names() {
    let policy = Always::open();
    let missing = LoginStatus::MissingParameter;
    for keys in ["", "InitiatorName=iqn.i", "TargetName=iqn.t", "SessionType=Discovery"] {
        for csg in [0, 1] {
            assert_eq!(status_of(&policy, csg, 3, T, keys), missing, "{keys}");
        }
    }
    assert!(policy.asked.borrow().is_empty());
    assert_eq!(status_of(&policy, 1, 3, T, NAMES), LoginStatus::Success);
    assert_eq!(policy.asked.borrow()[0].session_type, SessionType::Normal);
    let keys = format!("{NAMES} SessionType=discovery");
    assert_eq!(status_of(&policy, 1, 3, T, &keys), LoginStatus::SessionTypeNotSupported);
}

#[test]
fn l11_names_that_would_forge_a_log_or_are_too_long() {
    let policy = Always::open();
    let long = format!("InitiatorName={} TargetName=t", "i".repeat(224));
    assert_eq!(status_of(&policy, 1, 3, T, &long), LoginStatus::InitiatorError);
    let mut initiator = Initiator::new(&policy);
    let answer = initiator.send_bytes(1, 3, T, b"InitiatorName=a\nb\0TargetName=t\0");
    assert_eq!(answer.status(), LoginStatus::InitiatorError);
    // The name of a port of another node.
    let port = "InitiatorName=iqn.a,i,0x00023d000001 TargetName=t";
    assert_eq!(status_of(&policy, 1, 3, T, port), LoginStatus::InitiatorError);
}

#[test]
fn l12_the_policy_says_why_not() {
    for status in [
        LoginStatus::NotFound,
        LoginStatus::AuthorizationFailure,
        LoginStatus::TargetRemoved,
        LoginStatus::ServiceUnavailable,
        LoginStatus::SessionDoesNotExist,
        LoginStatus::TooManyConnections,
    ] {
        let policy = Always::with(Err(Refusal::new(status, "because")));
        let mut initiator = Initiator::new(&policy);
        let answer = initiator.send(0, 1, T, NAMES);
        assert_eq!((answer.status(), answer.text.as_str()), (status, ""));
        assert_eq!(initiator.login.names().unwrap().initiator_name, "iqn.i");
    }
}

#[test]
fn l13_versions() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    initiator.request.version_max = 9;
    let answer = initiator.send(1, 3, T, NAMES);
    assert_eq!(answer.status(), LoginStatus::Success);
    assert_eq!((answer.response.version_max, answer.response.version_active), (0, 0));
    let mut initiator = Initiator::new(&policy);
    (initiator.request.version_max, initiator.request.version_min) = (9, 1);
    let answer = initiator.send(1, 3, T, NAMES);
    assert_eq!(answer.status(), LoginStatus::UnsupportedVersion);
    assert_eq!(answer.response.version_active, 0);
}

#[test]
fn l14_the_portal_group_tag_comes_with_the_first_text_once() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    assert_eq!(initiator.send(0, 1, C, "InitiatorName=i").text, "");
    assert_eq!(initiator.send(0, 1, T, "TargetName=t").text, "TargetPortalGroupTag=7\n");
    let answer = initiator.send(1, 3, T, "");
    assert_eq!(answer.text, "MaxRecvDataSegmentLength=262144\n");
}

#[test]
fn l15_the_tsih_comes_with_the_last_response_only() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    assert_eq!(initiator.send(0, 1, T, NAMES).response.tsih, 0);
    assert_eq!(initiator.send(1, 3, NONE, "").response.tsih, 0);
    assert_eq!(initiator.send(1, 3, T, "").response.tsih, 0x55);
}

#[test]
fn l16_a_tsih_is_shown_to_the_policy_and_kept_in_the_responses() {
    let session = Some(SessionParams::default());
    let policy = Always::with(Ok(Grant { session, ..grant(None) }));
    let mut initiator = Initiator::new(&policy);
    initiator.request.tsih = 9;
    assert_eq!(initiator.send(0, 1, T, NAMES).response.tsih, 9);
    assert_eq!(policy.asked.borrow()[0].tsih, 9);
    let keys = "MaxConnections=1";
    assert_eq!(initiator.send(1, 3, T, keys).status(), LoginStatus::InitiatorError);
}

#[test]
fn l16_a_tsih_of_no_session_is_told_before_keys_that_are_out_of_place() {
    let gone = LoginStatus::SessionDoesNotExist;
    let policy = Always::open();
    let keys = "MaxConnections=1";
    let mut in_two_stages = Initiator::new(&policy);
    in_two_stages.request.tsih = 9;
    assert_eq!(in_two_stages.send(0, 1, T, NAMES).status(), LoginStatus::Success);
    assert_eq!(in_two_stages.send(1, 3, T, keys).status(), gone);
    let mut at_once = Initiator::new(&policy);
    at_once.request.tsih = 9;
    assert_eq!(at_once.send(1, 3, T, &format!("{NAMES} {keys}")).status(), gone);
    // What is wrong anywhere is told first.
    let mut wrong = Initiator::new(&policy);
    wrong.request.tsih = 9;
    let status = wrong.send(1, 3, T, &format!("{NAMES} DataDigest=None DataDigest=None")).status();
    assert_eq!(status, LoginStatus::InitiatorError);
    // Who has not passed CHAP hears nothing of sessions.
    let chap = Always::chap(None);
    let mut stranger = Initiator::new(&chap);
    stranger.request.tsih = 9;
    let status = stranger.send(1, 3, T, &format!("{NAMES} {keys}")).status();
    assert_eq!(status, LoginStatus::AuthenticationFailure);
}

#[test]
fn l18_a_connection_that_continues_a_session_keeps_what_the_session_has() {
    let session = SessionParams {
        max_burst_length: 4096,
        first_burst_length: 2048,
        initial_r2t: false,
        max_outstanding_r2t: 3,
        header_digest: true,
        initiator_max_recv_data_segment_length: 512,
        ..SessionParams::default()
    };
    let policy = Always::with(Ok(Grant { session: Some(session.clone()), ..grant(None) }));
    let mut initiator = Initiator::new(&policy);
    initiator.request.tsih = 9;
    let keys = format!("{NAMES} DataDigest=CRC32C MaxRecvDataSegmentLength=65536");
    let params = initiator.send(1, 3, T, &keys).established.expect("the login is over").params;
    let expected = SessionParams {
        header_digest: false,
        data_digest: true,
        initiator_max_recv_data_segment_length: 65_536,
        target_max_recv_data_segment_length: 262_144,
        ..session
    };
    assert_eq!(params, expected);
}

#[test]
fn l16_the_driver_can_still_refuse_a_complete_login() {
    let policy = Always::open();
    let mut login = Login::new(Limits::default(), entropy());
    let request = LoginRequest { transit: true, csg: 1, nsg: 3, ..Initiator::new(&policy).request };
    let Reply::Complete(complete) =
        login.handle(&request, b"InitiatorName=i\0TargetName=t\0", &policy)
    else {
        panic!("not complete");
    };
    assert_eq!(complete.names().initiator_name, "i");
    let failure = complete.refuse(Refusal::new(LoginStatus::OutOfResources, "full"));
    assert_eq!((failure.response.status_class, failure.response.status_detail), (3, 2));
    assert_eq!(
        (failure.response.transit, failure.response.nsg, failure.response.csg),
        (false, 0, 0)
    );
    assert!(failure.data.is_empty());
}

#[test]
fn l19_bad_text_ends_the_login() {
    let key = format!("{}=1", "K".repeat(64));
    let value = format!("InitiatorAlias={}", "v".repeat(256));
    for text in ["NoEqualsSign", "=x", &key, &value] {
        assert_eq!(operational(text).status(), LoginStatus::InitiatorError, "{text}");
    }
    for text in [&b"InitiatorName=i\0TargetName=t"[..], b"\0", b"InitiatorName=i\0\0TargetName=t\0"]
    {
        let answer = Initiator::new(&Always::open()).send_bytes(1, 3, T, text);
        assert_eq!(answer.status(), LoginStatus::InitiatorError, "{text:?}");
    }
}

#[test]
fn l20_a_key_twice() {
    for keys in ["MaxBurstLength=512 MaxBurstLength=512", "X-a=1 X-a=1", "InitiatorName=iqn.i"] {
        assert_eq!(operational(keys).status(), LoginStatus::InitiatorError, "{keys}");
    }
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    initiator.send(1, 3, NONE, &format!("{NAMES} MaxBurstLength=512"));
    let status = initiator.send(1, 3, T, "MaxBurstLength=512").status();
    assert_eq!(status, LoginStatus::InitiatorError);
    let mut renamed = Initiator::new(&policy);
    renamed.send(0, 1, T, NAMES);
    let status = renamed.send(1, 3, T, "InitiatorName=iqn.other").status();
    assert_eq!(status, LoginStatus::InitiatorError);
}

#[test]
fn l20_keys_in_the_wrong_place() {
    let policy = Always::open();
    for (csg, key) in [
        (0, "MaxBurstLength=512"),
        (0, "HeaderDigest=None"),
        (1, "AuthMethod=None"),
        (1, "CHAP_A=5"),
        (1, "SendTargets=All"),
        (0, "SendTargets=All"),
        (1, "TargetAlias=x"),
        (1, "TargetAddress=192.0.2.1"),
    ] {
        let status = status_of(&policy, csg, 3, NONE, &format!("{NAMES} {key}"));
        assert_eq!(status, LoginStatus::InitiatorError, "{key} in stage {csg}");
    }
}

#[test]
fn l21_unknown_keys_are_not_understood() {
    let answer = operational("X-com.example.bar=3 Y=NotHere ImmediateData=Yes");
    assert_eq!(answer.status(), LoginStatus::Success);
    assert_eq!(answer.value("X-com.example.bar"), Some("NotUnderstood"));
    assert_eq!(answer.value("Y"), Some("NotUnderstood"));
    assert_eq!(answer.value("ImmediateData"), Some("Yes"));
    assert_eq!(answer.value("X#NodeArchitecture"), None);
    assert_eq!(operational("X#NodeArchitecture=Example/1").value("X#NodeArchitecture"), None);
}

#[test]
fn l22_keys_and_values_are_case_sensitive() {
    let answer = operational("maxburstlength=512 ImmediateData=yes HeaderDigest=crc32c");
    assert_eq!(answer.value("maxburstlength"), Some("NotUnderstood"));
    assert_eq!(answer.value("ImmediateData"), Some("Reject"));
    assert_eq!(answer.value("HeaderDigest"), Some("Reject"));
}

#[test]
fn l23_out_of_range_is_rejected_and_changes_nothing() {
    for (key, value) in [
        ("MaxBurstLength", "511"),
        ("MaxBurstLength", "16777216"),
        ("MaxBurstLength", "0x1000000"),
        ("MaxBurstLength", "99999999999999999999"),
        ("MaxBurstLength", "01000"),
        ("MaxBurstLength", "-1"),
        ("MaxBurstLength", "1024~2048"),
        ("MaxBurstLength", ""),
        ("MaxBurstLength", &format!("0x{}200", "0".repeat(300))),
        ("MaxConnections", "0"),
        ("MaxConnections", "65536"),
        ("DefaultTime2Wait", "3601"),
        ("ErrorRecoveryLevel", "3"),
        ("iSCSIProtocolLevel", "32"),
    ] {
        assert_eq!(operational(&format!("{key}={value}")).value(key), Some("Reject"), "{value}");
    }
    assert_eq!(params("MaxBurstLength=511").max_burst_length, 262_144);
    assert_eq!(params("MaxBurstLength=0x10000").max_burst_length, 65_536);
}

#[test]
fn l24_result_functions() {
    for (offer, result) in [
        ("InitialR2T=Yes", "Yes"),
        ("InitialR2T=No", "No"),
        ("ImmediateData=Yes", "Yes"),
        ("ImmediateData=No", "No"),
        ("DataPDUInOrder=No", "Yes"),
        ("DataSequenceInOrder=No", "Yes"),
        ("MaxConnections=8", "1"),
        ("ErrorRecoveryLevel=2", "0"),
        ("MaxOutstandingR2T=1", "1"),
        ("MaxOutstandingR2T=65535", "8"),
        ("DefaultTime2Wait=0", "2"),
        ("DefaultTime2Wait=3600", "3600"),
        ("DefaultTime2Retain=0", "0"),
        ("DefaultTime2Retain=3600", "0"),
        ("MaxBurstLength=16777215", "16776192"),
        ("FirstBurstLength=16777215", "262144"),
        ("HeaderDigest=CRC32C,None", "CRC32C"),
        ("HeaderDigest=X-foo,None,CRC32C", "None"),
        ("HeaderDigest=X-foo", "Reject"),
        ("TaskReporting=FastAbort,ResponseFence,RFC3720", "RFC3720"),
    ] {
        let (key, _) = offer.split_once('=').unwrap();
        assert_eq!(operational(offer).value(key), Some(result), "{offer}");
    }
    let strict = Limits { initial_r2t: true, immediate_data: false, ..Limits::default() };
    let policy = Always::open();
    let answer = Initiator::with_limits(&policy, strict).send(
        1,
        3,
        T,
        &format!("{NAMES} InitialR2T=No ImmediateData=Yes"),
    );
    assert_eq!(answer.value("InitialR2T"), Some("Yes"));
    assert_eq!(answer.value("ImmediateData"), Some("No"));
    let params = answer.established.unwrap().params;
    assert!(params.initial_r2t && !params.immediate_data);
}

#[test]
fn l24_digest_policies() {
    let login = |header_digest, offer: &str| {
        let policy = Always::open();
        let limits = Limits { header_digest, ..Limits::default() };
        Initiator::with_limits(&policy, limits).send(1, 3, T, &format!("{NAMES} {offer}"))
    };
    let off = login(DigestPolicy::Off, "HeaderDigest=CRC32C,None");
    assert_eq!(off.value("HeaderDigest"), Some("None"));
    let required = login(DigestPolicy::Required, "HeaderDigest=None,CRC32C");
    assert_eq!(required.value("HeaderDigest"), Some("CRC32C"));
    assert!(required.established.unwrap().params.header_digest);
    for offer in ["", "HeaderDigest=None"] {
        let answer = login(DigestPolicy::Required, offer);
        assert_eq!(answer.status(), LoginStatus::InitiatorError);
    }
}

#[test]
fn l25_the_first_burst_is_never_longer_than_a_burst() {
    for keys in
        ["MaxBurstLength=4096 FirstBurstLength=65536", "FirstBurstLength=65536 MaxBurstLength=4096"]
    {
        assert_eq!(operational(keys).value("FirstBurstLength"), Some("4096"));
        assert_eq!(params(keys).first_burst_length, 4096);
    }
    assert_eq!(params("MaxBurstLength=4096").first_burst_length, 4096);
    for keys in [
        "InitialR2T=Yes ImmediateData=No FirstBurstLength=512",
        "FirstBurstLength=512 InitialR2T=Yes ImmediateData=No",
    ] {
        assert_eq!(operational(keys).value("FirstBurstLength"), Some("Irrelevant"));
    }
    let answer = operational("InitialR2T=Yes ImmediateData=Yes FirstBurstLength=512");
    assert_eq!(answer.value("FirstBurstLength"), Some("512"));
}

#[test]
fn l26_a_text_over_several_requests() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    for part in ["Initi", "atorName=iqn.i\0Target", "Name", ""] {
        let answer = initiator.send_bytes(1, 3, C, part.as_bytes());
        assert_eq!((answer.status(), answer.text.as_str()), (LoginStatus::Success, ""));
        assert!(!answer.response.cont && !answer.response.transit);
    }
    assert!(initiator.send_bytes(1, 3, T, b"=iqn.t\0").established.is_some());
}

#[test]
fn l26_a_text_without_end_is_cut_off() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    let answers: Vec<_> = (0..9)
        .map(|_| initiator.send_bytes(1, 3, C, &[b'a'; LOGIN_SEGMENT_BYTES_MAX]).status())
        .collect();
    assert_eq!(answers[..8], [LoginStatus::Success; 8]);
    assert_eq!(answers[8], LoginStatus::InitiatorError);
    let mut initiator = Initiator::new(&policy);
    let answer = initiator.send_bytes(1, 3, C, &[b'a'; LOGIN_SEGMENT_BYTES_MAX + 1]);
    assert_eq!(answer.status(), LoginStatus::InitiatorError);
}

/// Unknown keys with long names, whose answers do not fit into one response.
fn long_text() -> String {
    (0..150).map(|i| format!("X-{i:061}=\0")).collect()
}

#[test]
fn l26_a_long_answer_goes_out_in_pieces() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    let text = format!("InitiatorName=i\0TargetName=t\0{}", long_text());
    let (head, tail) = text.as_bytes().split_at(8000);
    initiator.send_bytes(1, 3, C, head);
    let first = initiator.send_bytes(1, 3, T, tail);
    assert!(first.response.cont && !first.response.transit && first.established.is_none());
    assert_eq!(first.text.len(), LOGIN_SEGMENT_BYTES_MAX);
    let second = initiator.send(1, 3, T, "");
    assert!(!second.response.cont && second.response.transit && second.established.is_some());
    let whole = format!("{}{}", first.text, second.text.replace('\n', "\0"));
    assert_eq!(whole.matches("=NotUnderstood\0").count(), 150);
}

#[test]
fn l26_no_new_keys_while_an_answer_goes_out() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    let text = format!("InitiatorName=i\0TargetName=t\0{}", long_text());
    let (head, tail) = text.as_bytes().split_at(8000);
    initiator.send_bytes(1, 3, C, head);
    assert!(initiator.send_bytes(1, 3, NONE, tail).response.cont);
    let status = initiator.send(1, 3, NONE, "MaxBurstLength=512").status();
    assert_eq!(status, LoginStatus::InitiatorError);
}

#[test]
fn l27_declared_keys_are_not_answered() {
    let answer = operational("MaxRecvDataSegmentLength=4096 InitiatorAlias=me SessionType=Normal");
    assert_eq!(answer.value("MaxRecvDataSegmentLength"), Some("262144"));
    assert_eq!(answer.text.matches("MaxRecvDataSegmentLength").count(), 1);
    for key in ["InitiatorAlias", "SessionType", "InitiatorName", "TargetName"] {
        assert_eq!(answer.value(key), None);
    }
    for value in ["511", "16777216", "0", "x"] {
        let answer = operational(&format!("MaxRecvDataSegmentLength={value}"));
        assert_eq!(answer.status(), LoginStatus::InitiatorError, "{value}");
    }
}

#[test]
fn l27_the_initiators_word_on_our_declarations_is_no_proposal() {
    for word in ["NotUnderstood", "Irrelevant", "Reject"] {
        let answer = operational(&format!("TargetPortalGroupTag={word}"));
        assert_eq!(answer.status(), LoginStatus::Success);
        for key in ["MaxBurstLength", "MaxRecvDataSegmentLength", "X-org.example.key"] {
            let answer = operational(&format!("{key}={word}"));
            assert_eq!(answer.status(), LoginStatus::InitiatorError, "{key}={word}");
        }
    }
}

#[test]
fn l28_markers() {
    let answer = operational("IFMarker=Yes OFMarker=No IFMarkInt=2048~8192 OFMarkInt=2048");
    assert_eq!(answer.value("IFMarker"), Some("No"));
    assert_eq!(answer.value("OFMarker"), Some("No"));
    assert_eq!(answer.value("IFMarkInt"), Some("Reject"));
    assert_eq!(answer.value("OFMarkInt"), Some("Reject"));
}

#[test]
fn l29_keys_of_scsi_are_irrelevant_to_a_discovery_session() {
    let keys = "SessionType=Discovery MaxBurstLength=511 InitialR2T=No ImmediateData=Yes \
        FirstBurstLength=512 MaxOutstandingR2T=4 MaxConnections=4 DataPDUInOrder=No \
        DataSequenceInOrder=No TaskReporting=FastAbort iSCSIProtocolLevel=2";
    let answer = operational(keys);
    assert_eq!(answer.text.matches("=Irrelevant\n").count(), 10);
    let policy = Always::open();
    let limits = Limits { error_recovery_level: 1, ..Limits::default() };
    let keys = "InitiatorName=i SessionType=Discovery ErrorRecoveryLevel=2 DefaultTime2Wait=0";
    let answer = Initiator::with_limits(&policy, limits).send(1, 3, T, keys);
    assert_eq!(answer.value("ErrorRecoveryLevel"), Some("0"));
    assert_eq!(answer.value("DefaultTime2Wait"), Some("2"));
}

#[test]
fn l30_numbers_of_responses() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    initiator.request.cmd_sn = u32::MAX;
    let answers = [
        initiator.send(0, 1, NONE, NAMES),
        initiator.send(0, 1, T, ""),
        initiator.send(1, 3, NONE, ""),
        initiator.send(1, 3, T, ""),
    ];
    let first = answers[0].response.stat_sn;
    for (answer, stat_sn) in answers.iter().zip(first..) {
        assert_eq!(answer.response.stat_sn, stat_sn);
        assert_eq!(answer.response.exp_cmd_sn, u32::MAX);
        assert_eq!(answer.response.max_cmd_sn, 126);
    }
    let established = answers[3].established.as_ref().unwrap();
    assert_eq!((established.cmd_sn, established.stat_sn), (u32::MAX, first + 4));
}

#[test]
fn l30_what_must_stay_the_same() {
    let changes: [fn(&mut LoginRequest); 5] =
        [|r| r.isid[5] ^= 1, |r| r.tsih ^= 1, |r| r.itt ^= 1, |r| r.cid ^= 1, |r| r.cmd_sn += 1];
    for change in changes {
        let policy = Always::open();
        let mut initiator = Initiator::new(&policy);
        assert_eq!(initiator.send(0, 1, T, NAMES).status(), LoginStatus::Success);
        change(&mut initiator.request);
        assert_eq!(initiator.send(1, 3, T, "").status(), LoginStatus::InitiatorError);
    }
}

#[test]
fn l31_a_login_without_end_is_cut_off() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    assert_eq!(initiator.send(0, 1, NONE, NAMES).status(), LoginStatus::Success);
    for _ in 1..LOGIN_REQUESTS_MAX {
        assert_eq!(initiator.send(0, 1, NONE, "").status(), LoginStatus::Success);
    }
    assert_eq!(initiator.send(0, 1, NONE, "").status(), LoginStatus::InitiatorError);
    assert_eq!(initiator.send(0, 3, T, "").status(), LoginStatus::InitiatorError);
}

#[test]
fn l31_after_a_failure_nothing_succeeds() {
    let policy = Always::open();
    let mut initiator = Initiator::new(&policy);
    assert_eq!(initiator.send(1, 3, T, "").status(), LoginStatus::MissingParameter);
    assert_eq!(initiator.send(1, 3, T, NAMES).status(), LoginStatus::InitiatorError);
    let mut done = Initiator::new(&policy);
    assert!(done.send(1, 3, T, NAMES).established.is_some());
    assert_eq!(done.send(1, 3, T, NAMES).status(), LoginStatus::InitiatorError);
}

#[test]
fn l32_protocol_level() {
    assert_eq!(params("").protocol_level, 1);
    assert_eq!(operational("iSCSIProtocolLevel=3").value("iSCSIProtocolLevel"), Some("2"));
    assert_eq!(params("iSCSIProtocolLevel=2").protocol_level, 2);
    assert_eq!(params("iSCSIProtocolLevel=0").protocol_level, 0);
}

#[test]
fn l34_a_redirection_carries_its_address() {
    for (permanently, status) in
        [(false, LoginStatus::MovedTemporarily), (true, LoginStatus::MovedPermanently)]
    {
        let policy = Always::with(Err(Refusal::moved(permanently, "192.0.2.1:3260".into())));
        let answer = Initiator::new(&policy).send(0, 1, T, NAMES);
        assert_eq!(answer.status(), status);
        assert_eq!(answer.text, "TargetAddress=192.0.2.1:3260\n");
    }
}

#[test]
fn the_alias_of_a_target_comes_with_the_first_text() {
    let alias = Grant { target_alias: Some("Bob's disk".into()), ..grant(None) };
    let policy = Always::with(Ok(alias));
    let answer = Initiator::new(&policy).send(0, 1, T, NAMES);
    assert_eq!(answer.value("TargetAlias"), Some("Bob's disk"));
    let discovery = "InitiatorName=i SessionType=Discovery";
    let answer = Initiator::new(&policy).send(0, 1, T, discovery);
    assert_eq!(answer.text, "", "13.9: the tag goes with a TargetName");
    let named = "InitiatorName=i TargetName=t SessionType=Discovery";
    let answer = Initiator::new(&policy).send(0, 1, T, named);
    assert_eq!(answer.text, "TargetPortalGroupTag=7\n");
}

#[test]
fn straight_from_security_to_full_feature_all_defaults_hold() {
    let policy = Always::open();
    let answer = Initiator::new(&policy).send(0, 3, T, &format!("{NAMES} AuthMethod=None"));
    let established = answer.established.expect("the login is over");
    // Ours was never declared, so the initiator keeps to the default.
    assert_eq!(established.params, SessionParams::default());
}

#[test]
fn secrets_do_not_show() {
    let policy = Always::chap(Some(("target", b"another secret")));
    let shown = format!("{:?}", policy.answer);
    assert!(shown.contains("alice") && !shown.contains("secret\"") && !shown.contains("97, 108"));
}
