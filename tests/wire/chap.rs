//! CHAP as RFC 7143 12.1.3 and RFC 1994 have it, step by step; and the login points that are
//! about it (L4 to L10).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use stirrup::target::{Access, Chap};

use crate::lab::{CHAP_TARGET, Lab, SECRET, TARGET_SECRET, TARGET_USER, USER};
use crate::login::{
    AT_ONCE, Login, SECURITY, TO_FULL_FEATURE, TO_OPERATIONAL, decode, status, text, value,
};
use crate::session::Session;
use crate::support::raw::{Pdu, Wire};

/// Authentication failure.
const FAILURE: u16 = 0x0201;

fn hash<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().to_vec()
}

/// The algorithms by their numbers.
fn respond(algorithm: &str, id: u8, secret: &str, challenge: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 3] = [&[id], secret.as_bytes(), challenge];
    match algorithm {
        "5" => hash::<Md5>(&parts),
        "6" => hash::<sha1::Sha1>(&parts),
        "7" => hash::<sha2::Sha256>(&parts),
        "8" => hash::<sha3::Sha3_256>(&parts),
        other => panic!("CHAP_A={other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn base64(bytes: &[u8]) -> String {
    format!("0b{}", BASE64.encode(bytes))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("0x").expect("a hex-constant");
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A login in its security stage, with what the target has challenged it with.
struct Exchange {
    login: Login,
    wire: Wire,
    algorithm: String,
    id: u8,
    challenge: Vec<u8>,
}

impl Exchange {
    /// Names and AuthMethod=CHAP are said.
    fn open(lab: &Lab) -> (Login, Wire) {
        let mut login = Login::normal(lab.portal, CHAP_TARGET).key("AuthMethod", "None,CHAP");
        let mut wire = lab.connect();
        let names = login.text();
        let answer = login.step(&mut wire, SECURITY, &names);
        assert_eq!(value(&decode(&answer.data), "AuthMethod"), Some("CHAP"));
        (login, wire)
    }

    /// The challenge has come.
    fn challenged(lab: &Lab, algorithms: &str) -> Self {
        let (mut login, mut wire) = Self::open(lab);
        let answer = login.ask(&mut wire, SECURITY, &[("CHAP_A", algorithms)]);
        let get = |key| value(&answer, key).unwrap_or_else(|| panic!("{key} in {answer:?}"));
        Self {
            login,
            wire,
            algorithm: get("CHAP_A").to_owned(),
            id: get("CHAP_I").parse().unwrap(),
            challenge: unhex(get("CHAP_C")),
        }
    }

    fn response(&self, secret: &str) -> Vec<u8> {
        respond(&self.algorithm, self.id, secret, &self.challenge)
    }

    /// CHAP_N and CHAP_R as given, with what else is said.
    fn prove(&mut self, name: &str, response: &str, more: &[(&str, &str)]) -> Pdu {
        let mut pairs = vec![("CHAP_N", name), ("CHAP_R", response)];
        pairs.extend(more);
        self.login.step(&mut self.wire, SECURITY | TO_FULL_FEATURE, &text(&pairs))
    }

    /// It was refused, and closed.
    fn refused(mut self, answer: &Pdu) {
        assert_eq!(status(answer), FAILURE, "{answer:?}");
        assert!(self.wire.receive().is_none(), "closed");
    }

    fn granted(self, answer: &Pdu) -> Session {
        assert_eq!(status(answer), 0, "{answer:?}");
        let login = self.login;
        Session::begin(login, self.wire, answer)
    }
}

#[test]
fn l04_no_way_past_chap() {
    let lab = Lab::new();
    lab.publish_chap(false);
    let login = Login::normal(lab.portal, CHAP_TARGET);
    // Straight to the operational stage.
    assert_eq!(login.clone().refused(), FAILURE);
    // Out of the security stage with nothing said, at once and later.
    for next in [TO_OPERATIONAL, TO_FULL_FEATURE] {
        let mut login = login.clone();
        let mut wire = lab.connect();
        let names = login.text();
        let answer = login.step(&mut wire, SECURITY | next, &names);
        assert_eq!(status(&answer), FAILURE);
        assert!(wire.receive().is_none());
        let (mut login, mut wire) = Exchange::open(&lab);
        let answer = login.step(&mut wire, SECURITY | next, &[]);
        let stayed = status(&answer) == 0 && answer.flags() & 0x83 == 0;
        assert!(stayed || status(&answer) == FAILURE, "{answer:?}");
        if stayed {
            let answer = login.step(&mut wire, AT_ONCE, &[]);
            assert_eq!(status(&answer) >> 8, 2, "{answer:?}");
            assert!(wire.receive().is_none());
        }
    }
    assert!(lab.handle.sessions().is_empty());
}

#[test]
fn l05_no_common_method_is_an_authentication_failure() {
    let lab = Lab::new();
    lab.publish_chap(false);
    for methods in ["None", "KRB5", "KRB5,SRP,None", "chap", "X-org.example.method"] {
        let login = Login::normal(lab.portal, CHAP_TARGET).key("AuthMethod", methods);
        let mut login = login;
        let mut wire = lab.connect();
        let names = login.text();
        let answer = login.step(&mut wire, SECURITY, &names);
        assert_eq!(status(&answer), FAILURE, "{methods}");
        assert!(wire.receive().is_none());
    }
}

#[test]
fn l06_chap_goes_in_order_and_once() {
    let lab = Lab::new();
    lab.publish_chap(false);
    // A response before there is a challenge.
    let (mut login, mut wire) = Exchange::open(&lab);
    let response = hex(&[1; 16]);
    let pairs = [("CHAP_N", USER), ("CHAP_R", response.as_str())];
    let answer = login.step(&mut wire, SECURITY, &text(&pairs));
    assert_eq!(status(&answer), FAILURE);
    // Half a response.
    for pairs in [vec![("CHAP_N", USER)], vec![("CHAP_R", response.as_str())]] {
        let mut exchange = Exchange::challenged(&lab, "5");
        let answer = exchange.login.step(&mut exchange.wire, SECURITY, &text(&pairs));
        exchange.refused(&answer);
    }
    // The algorithm again instead of a response: it could be chosen until one is weak.
    let mut exchange = Exchange::challenged(&lab, "5");
    let answer = exchange.login.step(&mut exchange.wire, SECURITY, &text(&[("CHAP_A", "7")]));
    assert_eq!(status(&answer) >> 8, 2, "{answer:?}");
    // All over again after it was good.
    let mut exchange = Exchange::challenged(&lab, "5");
    let response = hex(&exchange.response(SECRET));
    let pairs = [("CHAP_N", USER), ("CHAP_R", response.as_str())];
    let answer = exchange.login.step(&mut exchange.wire, SECURITY, &text(&pairs));
    assert_eq!((status(&answer), answer.flags() & 0x83), (0, 0));
    let answer = exchange.login.step(&mut exchange.wire, SECURITY, &text(&[("CHAP_A", "5")]));
    assert_eq!(status(&answer) >> 8, 2, "{answer:?}");
    assert!(exchange.wire.receive().is_none());
    // T before it is done is not answered with T.
    let (mut login, mut wire) = Exchange::open(&lab);
    let early = SECURITY | TO_FULL_FEATURE;
    let answer = login.step(&mut wire, early, &text(&[("CHAP_A", "5")]));
    assert_eq!((status(&answer), answer.flags() & 0x83), (0, 0));
}

#[test]
fn l07_the_first_algorithm_that_both_know() {
    let lab = Lab::new();
    lab.publish_chap(false);
    for (offer, taken) in
        [("5", "5"), ("7", "7"), ("7,5", "7"), ("5,7", "5"), ("99,4,7,5", "7"), ("x,0x7", "7")]
    {
        let mut exchange = Exchange::challenged(&lab, offer);
        assert_eq!(exchange.algorithm, taken, "{offer}");
        let response = hex(&exchange.response(SECRET));
        let answer = exchange.prove(USER, &response, &[]);
        exchange.granted(&answer);
    }
    for offer in ["4", "99,128", "", "MD5"] {
        let (mut login, mut wire) = Exchange::open(&lab);
        let answer = login.step(&mut wire, SECURITY, &text(&[("CHAP_A", offer)]));
        assert_eq!(status(&answer), FAILURE, "{offer}");
    }
}

/// A way to write a binary value.
type Form<'a> = &'a dyn Fn(&[u8]) -> String;

#[test]
fn l08_binary_values_in_hexadecimal_and_base64() {
    let lab = Lab::new();
    lab.publish_chap(true);
    let upper = |bytes: &[u8]| format!("0X{}", hex(bytes)[2..].to_uppercase());
    let base64_upper = |bytes: &[u8]| base64(bytes).replacen("0b", "0B", 1);
    let forms: [Form<'_>; 4] = [&hex, &upper, &base64, &base64_upper];
    for (i, form) in forms.iter().enumerate() {
        let mut exchange = Exchange::challenged(&lab, "5");
        let response = form(&exchange.response(SECRET));
        let challenge = vec![i as u8; 100];
        let answer =
            exchange.prove(USER, &response, &[("CHAP_I", "7"), ("CHAP_C", &form(&challenge))]);
        let proof = decode(&answer.data);
        let expected = respond("5", 7, TARGET_SECRET, &challenge);
        assert_eq!(unhex(value(&proof, "CHAP_R").unwrap()), expected, "{response}");
        exchange.granted(&answer);
    }
    let spoil: [Form<'_>; 8] = [
        &|right| hex(right)[..33].to_owned(),
        &|right| hex(&right[..15]),
        &|right| hex(&[right, &[0]].concat()),
        &|right| hex(&[&[0], right].concat()),
        &|right| base64(&right[..15]),
        &|right| hex(right)[2..].to_owned(),
        &|right| base64(right).replace('=', ""),
        &|_| "0x".to_owned(),
    ];
    for wrong in spoil {
        let mut exchange = Exchange::challenged(&lab, "5");
        let response = wrong(&exchange.response(SECRET));
        let answer = exchange.prove(USER, &response, &[]);
        exchange.refused(&answer);
    }
    for challenge in [hex(&[7; 1025]), base64(&[7; 1025]), "0x1".into(), "0x".into(), "7".into()] {
        let mut exchange = Exchange::challenged(&lab, "5");
        let response = hex(&exchange.response(SECRET));
        let answer = exchange.prove(USER, &response, &[("CHAP_I", "7"), ("CHAP_C", &challenge)]);
        exchange.refused(&answer);
    }
    let mut exchange = Exchange::challenged(&lab, "5");
    let response = hex(&exchange.response(SECRET));
    let longest = hex(&[7; 1024]);
    let answer = exchange.prove(USER, &response, &[("CHAP_I", "7"), ("CHAP_C", &longest)]);
    exchange.granted(&answer);
}

#[test]
fn l09_challenges_are_fresh_and_do_not_come_back() {
    let lab = Lab::new();
    lab.publish_chap(true);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..32 {
        let mut exchange = Exchange::challenged(&lab, "5");
        assert!(exchange.challenge.len() >= 16);
        assert!(seen.insert(exchange.challenge.clone()), "the same challenge twice");
        // Our own challenge comes back: somebody wants us to answer it.
        let response = hex(&exchange.response(SECRET));
        let (id, challenge) = (exchange.id.to_string(), hex(&exchange.challenge));
        let more = [("CHAP_I", id.as_str()), ("CHAP_C", challenge.as_str())];
        let answer = exchange.prove(USER, &response, &more);
        exchange.refused(&answer);
    }
}

#[test]
fn l10_mutual_chap_with_names_and_secrets_of_its_own() {
    let lab = Lab::new();
    lab.publish_chap(true);
    let challenge = hex(&[9; 16]);
    let mutual = [("CHAP_I", "200"), ("CHAP_C", challenge.as_str())];
    let mut exchange = Exchange::challenged(&lab, "7");
    let response = hex(&exchange.response(SECRET));
    let answer = exchange.prove(USER, &response, &mutual);
    let proof = decode(&answer.data);
    assert_eq!(value(&proof, "CHAP_N"), Some(TARGET_USER));
    let expected = respond("7", 200, TARGET_SECRET, &[9; 16]);
    assert_eq!(unhex(value(&proof, "CHAP_R").unwrap()), expected);
    exchange.granted(&answer);
    // The wrong name, the wrong secret, that of the other side: no proof of ours comes of it.
    for (name, secret) in
        [("somebody", SECRET), (USER, "wrong"), (USER, TARGET_SECRET), (TARGET_USER, TARGET_SECRET)]
    {
        let mut exchange = Exchange::challenged(&lab, "7");
        let response = hex(&exchange.response(secret));
        let answer = exchange.prove(name, &response, &mutual);
        assert_eq!(value(&decode(&answer.data), "CHAP_R"), None);
        exchange.refused(&answer);
    }
    // Half a challenge.
    for more in mutual {
        let mut exchange = Exchange::challenged(&lab, "7");
        let response = hex(&exchange.response(SECRET));
        let answer = exchange.prove(USER, &response, &[more]);
        exchange.refused(&answer);
    }
    // A challenge to a target that has nothing to prove itself with.
    lab.publish_chap(false);
    let mut exchange = Exchange::challenged(&lab, "5");
    let response = hex(&exchange.response(SECRET));
    let answer = exchange.prove(USER, &response, &mutual);
    exchange.refused(&answer);
    // One secret for both directions.
    let both = Some((TARGET_USER.to_owned(), SECRET.to_owned().into()));
    let chap = Chap { user: USER.into(), secret: SECRET.to_owned().into(), mutual: both };
    lab.publish_small(CHAP_TARGET, Access { chap: Some(chap), ..Access::default() });
    let mut exchange = Exchange::challenged(&lab, "5");
    let response = hex(&exchange.response(SECRET));
    let answer = exchange.prove(USER, &response, &mutual);
    exchange.refused(&answer);
}
