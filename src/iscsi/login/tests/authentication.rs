//! The points about CHAP and the security stage.

use md5::{Digest, Md5};

use super::points::{NAMES, status_of};
use super::*;

#[test]
fn l04_chap_cannot_be_walked_around() {
    let policy = Always::chap(None);
    let refused = LoginStatus::AuthenticationFailure;
    assert_eq!(status_of(&policy, 1, 3, T, NAMES), refused);
    assert_eq!(status_of(&policy, 1, 3, NONE, NAMES), refused);
    assert_eq!(status_of(&policy, 0, 3, T, NAMES), refused);
    assert_eq!(status_of(&policy, 0, 1, T, NAMES), refused);
}

#[test]
fn l04_empty_requests_do_not_end_the_security_stage() {
    let policy = Always::chap(None);
    for before in ["AuthMethod=CHAP", "AuthMethod=CHAP CHAP_A=5"] {
        for nsg in [1, 3] {
            let mut initiator = Initiator::new(&policy);
            assert!(!initiator.send(0, nsg, T, &format!("{NAMES} {before}")).response.transit);
            let answer = initiator.send(0, nsg, T, "");
            assert_eq!((answer.status(), answer.response.transit), (LoginStatus::Success, false));
            assert_eq!(answer.established, None);
        }
    }
}

#[test]
fn l05_no_method_in_common() {
    for offer in ["None", "KRB5,None", "SRP", "chap", ""] {
        let keys = format!("{NAMES} AuthMethod={offer}");
        let status = status_of(&Always::chap(None), 0, 1, T, &keys);
        assert_eq!(status, LoginStatus::AuthenticationFailure, "{offer}");
    }
    let keys = format!("{NAMES} AuthMethod=CHAP");
    let status = status_of(&Always::open(), 0, 1, T, &keys);
    assert_eq!(status, LoginStatus::AuthenticationFailure);
    let keys = format!("{NAMES} AuthMethod=KRB5,CHAP,None");
    let answer = Initiator::new(&Always::chap(None)).send(0, 1, T, &keys);
    assert_eq!(answer.value("AuthMethod"), Some("CHAP"));
}

/// After the challenge.
fn challenged(policy: &Always) -> Initiator<'_> {
    let mut initiator = Initiator::new(policy);
    initiator.send(0, 1, NONE, &format!("{NAMES} AuthMethod=CHAP"));
    assert_eq!(initiator.send(0, 1, NONE, "CHAP_A=5").value("CHAP_A"), Some("5"));
    initiator
}

fn response() -> Vec<u8> {
    let digest = Md5::new().chain_update([100]).chain_update(SECRET).chain_update(challenge());
    digest.finalize().to_vec()
}

fn good() -> String {
    format!("CHAP_N=alice CHAP_R={}", text::hex(&response()))
}

#[test]
fn l06_chap_out_of_order() {
    let policy = Always::chap(None);
    let mut early = Initiator::new(&policy);
    early.send(0, 1, NONE, &format!("{NAMES} AuthMethod=CHAP"));
    assert_eq!(early.send(0, 1, NONE, &good()).status(), LoginStatus::AuthenticationFailure);

    for keys in ["CHAP_A=5", "AuthMethod=CHAP"] {
        assert_eq!(challenged(&policy).send(0, 1, NONE, keys).status().class(), 2, "{keys}");
        let mut done = challenged(&policy);
        assert_eq!(done.send(0, 1, NONE, &good()).status(), LoginStatus::Success);
        assert_eq!(done.send(0, 1, T, keys).status().class(), 2, "{keys}");
    }
    for keys in ["CHAP_N=alice", "CHAP_R=0x00", "CHAP_I=1", "CHAP_C=0x00"] {
        let status = challenged(&policy).send(0, 1, T, keys).status();
        assert_eq!(status, LoginStatus::AuthenticationFailure, "{keys}");
    }
    let policy = Always::open();
    let mut none = Initiator::new(&policy);
    let keys = format!("{NAMES} AuthMethod=None CHAP_A=5");
    assert_eq!(none.send(0, 1, NONE, &keys).status(), LoginStatus::InitiatorError);
}

/// What comes of `offer` where the operator allows `allowed`.
fn offered(allowed: &[ChapAlgorithm], offer: &str) -> Answer {
    let policy = Always::chap(None);
    let limits = Limits { chap_algorithms: allowed.to_vec(), ..Limits::default() };
    let mut initiator = Initiator::with_limits(&policy, limits);
    initiator.send(0, 1, NONE, &format!("{NAMES} AuthMethod=CHAP"));
    initiator.send(0, 1, NONE, &format!("CHAP_A={offer}"))
}

#[test]
fn l07_the_first_algorithm_that_we_have() {
    for (offer, choice) in [
        ("5", "5"),
        ("5,7", "5"),
        ("7,5", "7"),
        ("8,7,6,5", "8"),
        ("6,5", "6"),
        ("4,9,4096,7", "7"),
        ("x,0x5", "5"),
        ("18446744073709551615,18446744073709551624,6", "6"),
    ] {
        let answer = offered(&ChapAlgorithm::ALL, offer);
        assert_eq!(answer.value("CHAP_A"), Some(choice), "{offer}");
    }
    for offer in ["4", "9", "05", "", "MD5", "5;7"] {
        let status = offered(&ChapAlgorithm::ALL, offer).status();
        assert_eq!(status, LoginStatus::AuthenticationFailure, "{offer}");
    }
}

#[test]
fn l07_only_what_the_operator_takes() {
    let strong = [ChapAlgorithm::Sha256, ChapAlgorithm::Sha3_256];
    assert_eq!(offered(&strong, "5,6,7,8").value("CHAP_A"), Some("7"));
    assert_eq!(offered(&strong, "5,6").status(), LoginStatus::AuthenticationFailure);
    assert_eq!(offered(&[], "5").status(), LoginStatus::AuthenticationFailure);
}

/// CHAP_R for the challenge of [`entropy`], as an initiator makes it.
fn response_with<D: Digest>(secret: &[u8], identifier: u8, challenge: &[u8]) -> Vec<u8> {
    let hash = D::new().chain_update([identifier]).chain_update(secret).chain_update(challenge);
    hash.finalize().to_vec()
}

#[test]
fn l07_whole_mutual_exchanges_with_each_algorithm() {
    type Respond = fn(&[u8], u8, &[u8]) -> Vec<u8>;
    let algorithms: [(u8, Respond); 4] = [
        (5, response_with::<Md5>),
        (6, response_with::<sha1::Sha1>),
        (7, response_with::<sha2::Sha256>),
        (8, response_with::<sha3::Sha3_256>),
    ];
    let target_secret = b"another secret";
    for (id, respond) in algorithms {
        for discovery in [false, true] {
            let policy = Always::chap(Some(("target", target_secret)));
            let mut initiator = Initiator::new(&policy);
            let names = if discovery { "InitiatorName=i SessionType=Discovery" } else { NAMES };
            initiator.send(0, 1, NONE, &format!("{names} AuthMethod=CHAP"));
            let answer = initiator.send(0, 1, NONE, &format!("CHAP_A={id}"));
            assert_eq!(answer.value("CHAP_A"), Some(id.to_string().as_str()));
            assert_eq!(answer.value("CHAP_C"), Some(text::hex(&challenge()).as_str()));
            let ours = text::hex(&respond(SECRET, 100, &challenge()));
            let keys = format!("CHAP_N=alice CHAP_R={ours} CHAP_I=9 CHAP_C=0x01020304");
            let answer = initiator.send(0, 1, T, &keys);
            assert!(answer.response.transit, "{id}");
            assert_eq!(answer.value("CHAP_N"), Some("target"));
            let theirs = text::hex(&respond(target_secret, 9, &[1, 2, 3, 4]));
            assert_eq!(answer.value("CHAP_R"), Some(theirs.as_str()));
        }
        // The response of one hash is none of another, nor a part of it.
        for (other, _) in algorithms.iter().filter(|(other, _)| *other != id) {
            let policy = Always::chap(None);
            let mut initiator = Initiator::new(&policy);
            initiator.send(0, 1, NONE, &format!("{NAMES} AuthMethod=CHAP"));
            initiator.send(0, 1, NONE, &format!("CHAP_A={other}"));
            let response = text::hex(&respond(SECRET, 100, &challenge()));
            let answer = initiator.send(0, 1, T, &format!("CHAP_N=alice CHAP_R={response}"));
            assert_eq!(answer.status(), LoginStatus::AuthenticationFailure, "{id} for {other}");
        }
    }
}

#[test]
fn l08_responses_in_both_encodings_and_of_the_right_length_only() {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(response());
    let hex = text::hex(&response());
    let digits = &hex[2..];
    for (value, good) in [
        (hex.clone(), true),
        (format!("0X{}", digits.to_uppercase()), true),
        (format!("0b{base64}"), true),
        (format!("0B{base64}"), true),
        (digits.to_owned(), false),
        (hex[..hex.len() - 1].to_owned(), false),
        (hex[..hex.len() - 2].to_owned(), false),
        (format!("{hex}00"), false),
        (format!("0x0{digits}"), false),
        (format!("0x{}", "00".repeat(2000)), false),
        (String::new(), false),
        ("0x".to_owned(), false),
        ("0b".to_owned(), false),
        ("0".to_owned(), false),
    ] {
        let policy = Always::chap(None);
        let answer = challenged(&policy).send(0, 1, T, &format!("CHAP_N=alice CHAP_R={value}"));
        let expected = if good { LoginStatus::Success } else { LoginStatus::AuthenticationFailure };
        assert_eq!((answer.status(), answer.response.transit), (expected, good), "{value}");
    }
}

#[test]
fn l08_wrong_name_or_secret() {
    let policy = Always::chap(None);
    for name in ["Alice", "alic", "alicee", "bob", ""] {
        let keys = format!("CHAP_N={name} CHAP_R={}", text::hex(&response()));
        let status = challenged(&policy).send(0, 1, T, &keys).status();
        assert_eq!(status, LoginStatus::AuthenticationFailure, "{name}");
    }
    let mut wrong = response();
    wrong[15] ^= 1;
    let keys = format!("CHAP_N=alice CHAP_R={}", text::hex(&wrong));
    let status = challenged(&policy).send(0, 1, T, &keys).status();
    assert_eq!(status, LoginStatus::AuthenticationFailure);
}

#[test]
fn l08_the_initiators_challenge_has_1_to_1024_bytes() {
    let policy = Always::chap(Some(("target", b"another secret")));
    for (bytes, ok) in [(1, true), (1024, true), (1025, false), (0, false)] {
        let keys = format!("{} CHAP_I=1 CHAP_C={}", good(), text::hex(&vec![7; bytes]));
        let answer = challenged(&policy).send(0, 1, T, &keys);
        assert_eq!(answer.status() == LoginStatus::Success, ok, "{bytes}");
        assert_eq!(answer.value("CHAP_R").is_some(), ok);
    }
    for identifier in ["256", "x", "", "-1"] {
        let keys = format!("{} CHAP_I={identifier} CHAP_C=0x0102", good());
        let status = challenged(&policy).send(0, 1, T, &keys).status();
        assert_eq!(status, LoginStatus::AuthenticationFailure);
    }
}

#[test]
fn l09_our_own_challenge_is_not_answered() {
    let policy = Always::chap(Some(("target", b"another secret")));
    let keys = format!("{} CHAP_I=1 CHAP_C={}", good(), text::hex(&challenge()));
    let answer = challenged(&policy).send(0, 1, T, &keys);
    assert_eq!(answer.status(), LoginStatus::AuthenticationFailure);
    assert_eq!(answer.text, "");
}

#[test]
fn l09_other_entropy_gives_another_challenge() {
    let policy = Always::chap(None);
    let challenge = |entropy| {
        let mut initiator = Initiator::new(&policy);
        initiator.login = Login::new(Limits::default(), entropy);
        initiator.send(0, 1, NONE, &format!("{NAMES} AuthMethod=CHAP"));
        let answer = initiator.send(0, 1, NONE, "CHAP_A=5");
        (answer.value("CHAP_I").unwrap().to_owned(), answer.value("CHAP_C").unwrap().to_owned())
    };
    let (one, other) = (challenge([1; ENTROPY_BYTES]), challenge([2; ENTROPY_BYTES]));
    assert!(one.0 != other.0 && one.1 != other.1);
    assert_eq!(one.1.len(), 2 + 2 * 32);
}

#[test]
fn l10_mutual_chap_needs_a_secret_of_its_own() {
    let same = Always::chap(Some(("target", SECRET)));
    let status = challenged(&same).send(0, 1, T, &good()).status();
    assert_eq!(status, LoginStatus::AuthenticationFailure);
    let none = Always::chap(None);
    let keys = format!("{} CHAP_I=1 CHAP_C=0x0102", good());
    let status = challenged(&none).send(0, 1, T, &keys).status();
    assert_eq!(status, LoginStatus::AuthenticationFailure);
}

#[test]
fn l10_a_short_secret_of_ours_is_not_given_away() {
    for (secret, ok) in [(&b"eleven byte"[..], false), (b"twelve bytes", true)] {
        let policy = Always::chap(Some(("target", secret)));
        let keys = format!("{} CHAP_I=1 CHAP_C=0x0102", good());
        let answer = challenged(&policy).send(0, 1, T, &keys);
        assert_eq!(answer.status() == LoginStatus::Success, ok);
        assert_eq!(answer.value("CHAP_R").is_some(), ok);
    }
}

#[test]
fn l10_a_failed_response_gets_no_answer_to_the_challenge_with_it() {
    let policy = Always::chap(Some(("target", b"another secret")));
    let keys = "CHAP_N=alice CHAP_R=0x00 CHAP_I=1 CHAP_C=0x0102";
    let answer = challenged(&policy).send(0, 1, T, keys);
    assert_eq!((answer.status(), answer.text.as_str()), (LoginStatus::AuthenticationFailure, ""));
}

#[test]
fn l04_the_method_may_be_agreed_on_later() {
    let policy = Always::chap(None);
    let mut initiator = Initiator::new(&policy);
    let first = initiator.send(0, 0, NONE, NAMES);
    assert_eq!((first.status(), first.response.transit), (LoginStatus::Success, false));
    assert_eq!(initiator.send(0, 1, NONE, "AuthMethod=CHAP").value("AuthMethod"), Some("CHAP"));
}
