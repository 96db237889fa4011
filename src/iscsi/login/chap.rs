//! CHAP, one-way and mutual (RFC 1994; RFC 7143 9.2.1 and 12.1.3).

use std::fmt;

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use sha3::Sha3_256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::ENTROPY_BYTES;
use super::status::{LoginStatus, Refusal};
use crate::iscsi::text::{self, Pair, Writer};

/// Length of our challenges in bytes.
const CHALLENGE_BYTES: usize = 32;

/// Longest challenge that we answer, in bytes (RFC 7143 12.1.3).
const CHALLENGE_BYTES_MAX: usize = 1024;

/// 96 bits, the least for a secret on a connection without IPsec (RFC 7143 9.2.1).
const SECRET_BYTES_MIN: usize = 12;

/// A CHAP secret. Wiped when dropped, never shown.
#[derive(Clone, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The secret of these bytes, which are wiped once this one and its clones are gone.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl PartialEq for Secret {
    /// Takes the same time wherever the first difference is.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }
}

impl Secret {
    /// Whether it is shorter than the 96 bits that RFC 7143 9.2.1 wants where nothing else protects
    /// the connection.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.0.len() < SECRET_BYTES_MIN
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One side's CHAP name and secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChapIdentity {
    /// CHAP_N.
    pub name: String,
    /// The secret behind CHAP_R.
    pub secret: Secret,
}

/// What an initiator has to show, and what we show if it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChapCredentials {
    /// The initiator's.
    pub initiator: ChapIdentity,
    /// Ours, for mutual authentication. Its secret must differ from the initiator's.
    pub target: Option<ChapIdentity>,
}

/// A hash that CHAP may use ("PPP Authentication Algorithms", IANA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChapAlgorithm {
    /// 5: the one that every initiator offers (RFC 7143 12.1.3), and the only one of boot firmware.
    Md5,
    /// 6.
    Sha1,
    /// 7.
    Sha256,
    /// 8.
    Sha3_256,
}

/// One row of the algorithm table.
struct Row {
    algorithm: ChapAlgorithm,
    /// The number IANA gave it.
    id: u64,
    name: &'static str,
    /// Hashes the concatenation.
    hash: fn(&[&[u8]]) -> Vec<u8>,
}

static ALGORITHMS: [Row; 4] = [
    Row { algorithm: ChapAlgorithm::Md5, id: 5, name: "MD5", hash: hash::<Md5> },
    Row { algorithm: ChapAlgorithm::Sha1, id: 6, name: "SHA1", hash: hash::<Sha1> },
    Row { algorithm: ChapAlgorithm::Sha256, id: 7, name: "SHA-256", hash: hash::<Sha256> },
    Row { algorithm: ChapAlgorithm::Sha3_256, id: 8, name: "SHA3-256", hash: hash::<Sha3_256> },
];

impl ChapAlgorithm {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha3_256];

    /// What IANA's registry calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    fn row(self) -> &'static Row {
        &ALGORITHMS[self as usize]
    }
}

fn hash<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().to_vec()
}

/// Our side of one CHAP exchange.
pub(super) struct Chap {
    credentials: ChapCredentials,
    /// What the operator lets us use.
    allowed: Vec<ChapAlgorithm>,
    identifier: u8,
    challenge: [u8; CHALLENGE_BYTES],
    state: State,
}

enum State {
    /// CHAP_A is to come.
    Algorithm,
    /// The challenge is out; CHAP_N and CHAP_R are to come.
    Response(&'static Row),
    Done,
}

impl Chap {
    /// `entropy` must be fresh and unforeseeable: identifier and challenge come out of it.
    pub(super) fn new(
        credentials: ChapCredentials,
        allowed: Vec<ChapAlgorithm>,
        entropy: &[u8; ENTROPY_BYTES],
    ) -> Self {
        let challenge = std::array::from_fn(|i| entropy[1 + i]);
        Self { credentials, allowed, identifier: entropy[0], challenge, state: State::Algorithm }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes the CHAP keys of one text, if there are any, and writes ours.
    pub(super) fn step(&mut self, pairs: &[Pair<'_>], out: &mut Writer) -> Result<(), Refusal> {
        let given = Given::of(pairs);
        if given.is_empty() {
            return Ok(());
        }
        match self.state {
            State::Algorithm => self.choose(&given, out),
            State::Response(algorithm) => self.verify(algorithm, &given, out),
            State::Done => Err(failure("CHAP keys after the exchange was over")),
        }
    }

    fn choose(&mut self, given: &Given<'_>, out: &mut Writer) -> Result<(), Refusal> {
        let Given { a: Some(offer), n: None, r: None, i: None, c: None } = *given else {
            return Err(failure("CHAP has to begin with CHAP_A alone"));
        };
        let known = |id| {
            let allowed = |row: &&Row| row.id == id && self.allowed.contains(&row.algorithm);
            ALGORITHMS.iter().find(allowed)
        };
        let algorithm = text::list(offer)
            .find_map(|item| text::number(item).and_then(known))
            .ok_or_else(|| failure("no CHAP algorithm in common"))?;
        out.pair("CHAP_A", algorithm.id);
        out.pair("CHAP_I", self.identifier);
        out.pair("CHAP_C", text::hex(&self.challenge));
        self.state = State::Response(algorithm);
        Ok(())
    }

    fn verify(
        &mut self,
        algorithm: &Row,
        given: &Given<'_>,
        out: &mut Writer,
    ) -> Result<(), Refusal> {
        let Given { a: None, n: Some(name), r: Some(response), i, c } = *given else {
            return Err(failure("after the challenge CHAP_N and CHAP_R have to come"));
        };
        let initiator = &self.credentials.initiator;
        let expected = respond(algorithm, self.identifier, &initiator.secret, &self.challenge);
        let response = text::binary(response, expected.len()).unwrap_or_default();
        let name_matches = name.as_bytes().ct_eq(initiator.name.as_bytes());
        if !bool::from(name_matches & response.ct_eq(&expected)) {
            return Err(failure("wrong CHAP name or response"));
        }
        if let Some(target) = &self.credentials.target {
            // 9.2.1: a secret that serves both directions could be used against its owner.
            if target.secret == initiator.secret {
                return Err(failure("the CHAP secrets of both directions are the same"));
            }
        }
        match (i, c) {
            (None, None) => {}
            (Some(identifier), Some(challenge)) => {
                self.prove(algorithm, identifier, challenge, out)?;
            }
            _ => return Err(failure("CHAP_I and CHAP_C belong together")),
        }
        self.state = State::Done;
        Ok(())
    }

    /// Answers the initiator's own challenge.
    fn prove(
        &self,
        algorithm: &Row,
        identifier: &str,
        challenge: &str,
        out: &mut Writer,
    ) -> Result<(), Refusal> {
        let target = self.credentials.target.as_ref();
        let target = target.ok_or_else(|| failure("mutual CHAP is not set up for this target"))?;
        let identifier = text::number(identifier)
            .and_then(|identifier| u8::try_from(identifier).ok())
            .ok_or_else(|| failure("CHAP_I is not a number from 0 to 255"))?;
        let challenge = text::binary(challenge, CHALLENGE_BYTES_MAX)
            .ok_or_else(|| failure("CHAP_C is not a binary value of 1 to 1024 bytes"))?;
        if challenge == self.challenge {
            return Err(failure("our own CHAP challenge came back"));
        }
        if target.secret.is_short() {
            // 9.2.1: its hash would tell the secret to whoever sent this challenge.
            return Err(failure("our own CHAP secret is shorter than 96 bits"));
        }
        out.pair("CHAP_N", &target.name);
        let response = respond(algorithm, identifier, &target.secret, &challenge);
        out.pair("CHAP_R", text::hex(&response));
        Ok(())
    }
}

/// The CHAP keys of one text.
struct Given<'a> {
    a: Option<&'a str>,
    n: Option<&'a str>,
    r: Option<&'a str>,
    i: Option<&'a str>,
    c: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn of(pairs: &[Pair<'a>]) -> Self {
        let find = |key| text::find(pairs, key);
        Self {
            a: find("CHAP_A"),
            n: find("CHAP_N"),
            r: find("CHAP_R"),
            i: find("CHAP_I"),
            c: find("CHAP_C"),
        }
    }

    fn is_empty(&self) -> bool {
        [self.a, self.n, self.r, self.i, self.c].iter().all(Option::is_none)
    }
}

/// RFC 1994 4.1: the hash over identifier, secret and challenge.
fn respond(algorithm: &Row, identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
    (algorithm.hash)(&[&[identifier], &secret.0, challenge])
}

fn failure(reason: &'static str) -> Refusal {
    Refusal::new(LoginStatus::AuthenticationFailure, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (algorithm, id) in ChapAlgorithm::ALL.into_iter().zip(5..) {
            assert_eq!((algorithm.row().algorithm, algorithm.row().id), (algorithm, id));
        }
    }

    #[test]
    fn l07_every_algorithm_hashes_identifier_secret_and_challenge() {
        // Made with Python's hashlib over the bytes 2a, "a longer secret", 00 01 02 03.
        for (algorithm, expected) in [
            (ChapAlgorithm::Md5, "0xbc713ca0c95273758d628410142e0581"),
            (ChapAlgorithm::Sha1, "0x947fc19e04d6984e2ea10bb6b13ebd489843b475"),
            (
                ChapAlgorithm::Sha256,
                "0x06908f0b314b277a5ead47cfd4ae15d7a347e5d882521c26f2d4e55b58872c24",
            ),
            (
                ChapAlgorithm::Sha3_256,
                "0x6a436244f98c0f69ca4db11b1de64b9c955da70fa55bcc4cef85a251783b19d9",
            ),
        ] {
            let secret = Secret::new(b"a longer secret".to_vec());
            let response = respond(algorithm.row(), 0x2a, &secret, &[0, 1, 2, 3]);
            assert_eq!(text::hex(&response), expected, "{}", algorithm.name());
        }
    }

    #[test]
    fn secrets_below_96_bits_are_short() {
        assert!(Secret::new(vec![1; 11]).is_short());
        assert!(!Secret::new(vec![1; 12]).is_short());
    }
}
