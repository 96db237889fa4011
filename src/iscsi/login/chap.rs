//! CHAP, one-way and mutual (RFC 1994; RFC 7143 9.2.1 and 12.1.3).

use std::fmt;

use md5::{Digest, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::ENTROPY_BYTES;
use super::status::{LoginStatus, Refusal};
use crate::iscsi::text::{self, Pair, Writer};

/// Length of our challenges in bytes.
const CHALLENGE_BYTES: usize = 32;

/// Longest challenge that we answer, in bytes (RFC 7143 12.1.3).
const CHALLENGE_BYTES_MAX: usize = 1024;

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

/// One row of the algorithm table.
struct Algorithm {
    /// The number IANA gave it ("PPP Authentication Algorithms").
    id: u64,
    /// Hashes the concatenation.
    hash: fn(&[&[u8]]) -> Vec<u8>,
}

static ALGORITHMS: [Algorithm; 2] =
    [Algorithm { id: 5, hash: hash::<Md5> }, Algorithm { id: 7, hash: hash::<Sha256> }];

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
    identifier: u8,
    challenge: [u8; CHALLENGE_BYTES],
    state: State,
}

enum State {
    /// CHAP_A is to come.
    Algorithm,
    /// The challenge is out; CHAP_N and CHAP_R are to come.
    Response(&'static Algorithm),
    Done,
}

impl Chap {
    /// `entropy` must be fresh and unforeseeable: identifier and challenge come out of it.
    pub(super) fn new(credentials: ChapCredentials, entropy: &[u8; ENTROPY_BYTES]) -> Self {
        let challenge = std::array::from_fn(|i| entropy[1 + i]);
        Self { credentials, identifier: entropy[0], challenge, state: State::Algorithm }
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
        let known = |id| ALGORITHMS.iter().find(|algorithm| algorithm.id == id);
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
        algorithm: &Algorithm,
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
        algorithm: &Algorithm,
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
fn respond(algorithm: &Algorithm, identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
    (algorithm.hash)(&[&[identifier], &secret.0, challenge])
}

fn failure(reason: &'static str) -> Refusal {
    Refusal::new(LoginStatus::AuthenticationFailure, reason)
}
