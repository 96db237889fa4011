//! Tests of the login machine: whole transcripts of real initiators, the points that targets get
//! wrong, and properties over random input. This file is the initiator's side.

mod authentication;
mod points;
mod properties;
mod transcripts;

use super::*;
use crate::iscsi::text::parse;

/// A policy that says the same to everybody and remembers whom it was asked about.
pub(super) struct Always {
    pub(super) answer: Result<Grant, Refusal>,
    pub(super) asked: std::cell::RefCell<Vec<Names>>,
}

impl Always {
    pub(super) fn open() -> Self {
        Self::with(Ok(grant(None)))
    }

    pub(super) fn chap(target: Option<(&str, &[u8])>) -> Self {
        let identity = |name: &str, secret: &[u8]| ChapIdentity {
            name: name.to_owned(),
            secret: Secret::new(secret.to_vec()),
        };
        Self::with(Ok(grant(Some(ChapCredentials {
            initiator: identity("alice", SECRET),
            target: target.map(|(name, secret)| identity(name, secret)),
        }))))
    }

    pub(super) fn with(answer: Result<Grant, Refusal>) -> Self {
        Self { answer, asked: Default::default() }
    }
}

impl Policy for Always {
    fn authorize(&self, names: &Names) -> Result<Grant, Refusal> {
        self.asked.borrow_mut().push(names.clone());
        self.answer.clone()
    }
}

pub(super) const SECRET: &[u8] = b"alice's long secret";

pub(super) fn grant(chap: Option<ChapCredentials>) -> Grant {
    Grant { chap, target_portal_group_tag: 7, target_alias: None, session: None }
}

pub(super) fn entropy() -> [u8; ENTROPY_BYTES] {
    std::array::from_fn(|i| u8::try_from(i).unwrap() + 100)
}

/// The challenge that comes out of [`entropy`].
pub(super) fn challenge() -> Vec<u8> {
    entropy()[1..33].to_vec()
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) response: LoginResponse,
    pub(super) text: String,
    pub(super) established: Option<Established>,
}

impl Answer {
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    pub(super) fn status(&self) -> LoginStatus {
        LoginStatus::of(self.response.status_class, self.response.status_detail).unwrap()
    }
}

/// An initiator that speaks with a login machine.
pub(super) struct Initiator<'a> {
    pub(super) login: Login,
    pub(super) policy: &'a Always,
    pub(super) request: LoginRequest,
}

/// Flags of a request: T, C.
pub(super) const T: (bool, bool) = (true, false);
pub(super) const C: (bool, bool) = (false, true);
pub(super) const NONE: (bool, bool) = (false, false);

impl<'a> Initiator<'a> {
    pub(super) fn new(policy: &'a Always) -> Self {
        Self::with_limits(policy, Limits::default())
    }

    pub(super) fn with_limits(policy: &'a Always, limits: Limits) -> Self {
        let request = LoginRequest {
            transit: false,
            cont: false,
            csg: 0,
            nsg: 0,
            version_max: 0,
            version_min: 0,
            isid: [0x00, 0x02, 0x3d, 0, 0, 1],
            tsih: 0,
            itt: 0x1234_5678,
            cid: 3,
            cmd_sn: 123,
            exp_stat_sn: 0,
        };
        Self { login: Login::new(limits, entropy()), policy, request }
    }

    /// Sends `lines`, of which each one is a pair, in stage `csg`.
    pub(super) fn send(
        &mut self,
        csg: u8,
        nsg: u8,
        (transit, cont): (bool, bool),
        lines: &str,
    ) -> Answer {
        let text: String = lines.split_whitespace().flat_map(|pair| [pair, "\0"]).collect();
        self.send_bytes(csg, nsg, (transit, cont), text.as_bytes())
    }

    pub(super) fn send_bytes(
        &mut self,
        csg: u8,
        nsg: u8,
        (transit, cont): (bool, bool),
        data: &[u8],
    ) -> Answer {
        let request = LoginRequest { transit, cont, csg, nsg, ..self.request };
        let (response, data, established) = match self.login.handle(&request, data, self.policy) {
            Reply::Respond(response, data) => (response, data, None),
            Reply::Fail(failure) => (failure.response, failure.data, None),
            Reply::Complete(complete) => {
                let (response, data, established) = complete.accept(0x55);
                (response, data, Some(established))
            }
        };
        let text = match response.cont {
            true => String::from_utf8_lossy(&data).into_owned(),
            false => parse(&data)
                .map(|pairs| {
                    pairs.iter().map(|pair| format!("{}={}\n", pair.key, pair.value)).collect()
                })
                .unwrap_or_else(|_| String::from_utf8_lossy(&data).into_owned()),
        };
        Answer { response, text, established }
    }
}

/// The pairs of `lines`, one a line and closed by a line end each, as in [`Answer::text`].
pub(super) fn lines(lines: &str) -> String {
    lines.split_whitespace().flat_map(|pair| [pair, "\n"]).collect()
}
