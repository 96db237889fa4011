//! The security stage: which method, and how far it has come (RFC 7143 6.3.2 and 12.1).

use super::ENTROPY_BYTES;
use super::chap::{Chap, ChapAlgorithm, ChapCredentials};
use super::status::{LoginStatus, Refusal};
use crate::iscsi::text::{self, Pair, Writer};

/// How far the authentication of a connection has come.
pub(super) enum Authentication {
    /// Nothing has been agreed on. With credentials, CHAP has to be.
    Open(Option<ChapCredentials>),
    /// CHAP is going on or over.
    Chap(Chap),
    /// `None` has been agreed on.
    Nothing,
}

impl Authentication {
    /// Whether the initiator may go on to the next stage.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Open(credentials) => credentials.is_none(),
            Self::Chap(chap) => chap.is_done(),
            Self::Nothing => true,
        }
    }

    /// Takes one text of the security stage and writes the answers to its security keys.
    /// `transit`: the initiator wants to leave the stage. CHAP uses one of `algorithms`; its
    /// identifier and challenge come out of `entropy`.
    pub(super) fn step(
        &mut self,
        pairs: &[Pair<'_>],
        transit: bool,
        algorithms: &[ChapAlgorithm],
        entropy: &[u8; ENTROPY_BYTES],
        out: &mut Writer,
    ) -> Result<(), Refusal> {
        if let Some(offer) = text::find(pairs, "AuthMethod") {
            self.choose(offer, algorithms, entropy, out)?;
        }
        match self {
            Self::Chap(chap) => chap.step(pairs, out),
            Self::Open(Some(_)) if transit => Err(chap_required()),
            _ if pairs.iter().any(|pair| pair.key.starts_with("CHAP_")) => {
                Err(Refusal::new(LoginStatus::InitiatorError, "CHAP keys without AuthMethod=CHAP"))
            }
            _ => Ok(()),
        }
    }

    /// The first method of the initiator's list that we may use for it.
    fn choose(
        &mut self,
        offer: &str,
        algorithms: &[ChapAlgorithm],
        entropy: &[u8; ENTROPY_BYTES],
        out: &mut Writer,
    ) -> Result<(), Refusal> {
        let Self::Open(credentials) = self else {
            return Err(Refusal::new(LoginStatus::InitiatorError, "AuthMethod a second time"));
        };
        let method = if credentials.is_some() { "CHAP" } else { "None" };
        if !text::list(offer).any(|item| item == method) {
            return Err(match credentials {
                Some(_) => chap_required(),
                None => Refusal::new(
                    LoginStatus::AuthenticationFailure,
                    "the initiator insists on authentication, but none is set up for it",
                ),
            });
        }
        out.pair("AuthMethod", method);
        *self = match credentials.take() {
            Some(credentials) => Self::Chap(Chap::new(credentials, algorithms.to_vec(), entropy)),
            None => Self::Nothing,
        };
        Ok(())
    }
}

/// CHAP is set up for the initiator and it goes past it.
pub(super) fn chap_required() -> Refusal {
    Refusal::new(LoginStatus::AuthenticationFailure, "CHAP is required and was not offered")
}
