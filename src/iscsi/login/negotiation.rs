//! Answering keys, from the table (RFC 7143 6.2), in login and in the full feature phase.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::keys::{self, Choice, Function, Key, Kind, Stage, Use};
use super::params::{DigestPolicy, Limits, SessionParams};
use crate::iscsi::text::{self, Pair, Writer};

/// What came in is an error of the initiator: in login it ends the login, in the full feature
/// phase it is answered with a Reject PDU, reason protocol error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NegotiationError {
    /// The key came before in this negotiation, or a name was changed.
    Repeated(String),
    /// The key may not be used here.
    NotHere(&'static str),
    /// The value declares something impossible, or is a word that only answers may use.
    BadValue(String),
    /// The negotiation is over and a digest that we insist on is not in use.
    DigestMissing,
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeated(key) => write!(f, "key {key} was sent twice or changed"),
            Self::NotHere(key) => write!(f, "key {key} may not be sent at this point"),
            Self::BadValue(key) => write!(f, "key {key} has a value that cannot be"),
            Self::DigestMissing => f.write_str("a digest is required and was not agreed on"),
        }
    }
}

impl std::error::Error for NegotiationError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Security,
    Operational,
    FullFeature,
}

/// One negotiation. Nothing takes effect before [`Negotiation::finish`].
#[derive(Debug)]
pub struct Negotiation {
    limits: Limits,
    params: SessionParams,
    phase: Phase,
    /// The first connection of a session.
    leading: bool,
    discovery: bool,
    /// We have declared our own values.
    ours_declared: bool,
    /// Keys that came, in this stage.
    seen: BTreeSet<String>,
    declared: BTreeMap<&'static str, String>,
}

impl Negotiation {
    /// That of a login which starts in `phase`.
    pub(super) fn login(limits: Limits, phase: Phase, leading: bool) -> Self {
        Self {
            limits,
            params: SessionParams::default(),
            phase,
            leading,
            discovery: false,
            ours_declared: false,
            seen: BTreeSet::new(),
            declared: BTreeMap::new(),
        }
    }

    /// That of a Text Request sequence in the full feature phase, from what holds now.
    #[must_use]
    pub fn full_feature(limits: Limits, current: &SessionParams, discovery: bool) -> Self {
        Self {
            params: current.clone(),
            discovery,
            ours_declared: true,
            ..Self::login(limits, Phase::FullFeature, false)
        }
    }

    /// The connection continues a session: what only its leading login could settle holds on.
    /// Digests and the lengths of data segments are each connection's own.
    pub(super) fn join(&mut self, session: &SessionParams) {
        let own = &self.params;
        self.params = SessionParams {
            initiator_max_recv_data_segment_length: own.initiator_max_recv_data_segment_length,
            target_max_recv_data_segment_length: own.target_max_recv_data_segment_length,
            header_digest: own.header_digest,
            data_digest: own.data_digest,
            ..session.clone()
        };
    }

    /// Every stage of a login is a negotiation of its own (RFC 7143 6.2): libiscsi sends the names
    /// in both stages.
    pub(super) fn next_stage(&mut self) {
        self.phase = Phase::Operational;
        self.seen.clear();
    }

    /// Takes the pairs of one text and writes the answers: for every negotiated key one, for
    /// every unknown one `NotUnderstood`, for a declared one none.
    ///
    /// # Errors
    /// When the initiator broke a rule. The negotiation is then void.
    pub fn answer(&mut self, pairs: &[Pair<'_>], out: &mut Writer) -> Result<(), NegotiationError> {
        for pair in pairs {
            self.note(pair)?;
        }
        self.discovery |= self.declared("SessionType") == Some("Discovery");
        if self.discovery {
            // Nothing is recovered there (RFC 7143 7.4.1).
            self.limits.error_recovery_level = 0;
        }
        for key in keys::KEYS {
            if let Some(value) = text::find(pairs, key.name) {
                self.settle(key, value, out)?;
            }
        }
        for pair in pairs.iter().filter(|pair| keys::key(pair.key).is_none()) {
            // We propose no such key, so this cannot be an answer.
            if is_answer(pair.value) {
                return Err(NegotiationError::BadValue(pair.key.to_owned()));
            }
            out.pair(pair.key, "NotUnderstood");
        }
        if self.phase == Phase::Operational && !self.ours_declared {
            self.declare_ours(out);
        }
        Ok(())
    }

    /// What the initiator has declared for one of the keys that carry plain text: the names, the
    /// session type, its alias, SendTargets.
    #[must_use]
    pub fn declared(&self, key: &str) -> Option<&str> {
        self.declared.get(key).map(String::as_str)
    }

    /// The parameters that hold from now on.
    ///
    /// # Errors
    /// [`NegotiationError::DigestMissing`].
    pub fn finish(&self) -> Result<SessionParams, NegotiationError> {
        let mut params = self.params.clone();
        // 13.14: also where only one of the two was negotiated.
        params.first_burst_length = params.first_burst_length.min(params.max_burst_length);
        if let Some(alias) = self.declared("InitiatorAlias") {
            params.initiator_alias = Some(alias.to_owned());
        }
        let missing = |policy, on: bool| policy == DigestPolicy::Required && !on;
        if missing(self.limits.header_digest, params.header_digest)
            || missing(self.limits.data_digest, params.data_digest)
        {
            return Err(NegotiationError::DigestMissing);
        }
        Ok(params)
    }

    /// Keeps what is declared, and sees that nothing comes twice.
    fn note(&mut self, pair: &Pair<'_>) -> Result<(), NegotiationError> {
        let repeated = || NegotiationError::Repeated(pair.key.to_owned());
        if self.seen.len() == text::PAIRS_MAX || !self.seen.insert(pair.key.to_owned()) {
            return Err(repeated());
        }
        let Some(Key { name, kind: Kind::Declared { valid }, .. }) = keys::key(pair.key) else {
            return Ok(());
        };
        if !valid(pair.value) {
            return Err(NegotiationError::BadValue(pair.key.to_owned()));
        }
        let kept = self.declared.entry(name).or_insert_with(|| pair.value.to_owned());
        if kept == pair.value { Ok(()) } else { Err(repeated()) }
    }

    fn settle(
        &mut self,
        key: &'static Key,
        value: &str,
        out: &mut Writer,
    ) -> Result<(), NegotiationError> {
        let is_answer = is_answer(value);
        if is_answer && matches!(key.kind, Kind::FromTarget) {
            return Ok(());
        }
        if is_answer {
            return Err(NegotiationError::BadValue(key.name.to_owned()));
        }
        if self.discovery && key.normal_only && self.phase != Phase::Security {
            out.pair(key.name, "Irrelevant");
            return Ok(());
        }
        if !self.allows(key) {
            return Err(NegotiationError::NotHere(key.name));
        }
        if let Some(answer) = self.decide(key, value)? {
            out.pair(key.name, answer);
        }
        Ok(())
    }

    fn allows(&self, key: &Key) -> bool {
        let usage = match key.usage {
            Use::LeadingOnly => self.phase != Phase::FullFeature && self.leading,
            Use::LoginOnly => self.phase != Phase::FullFeature,
            Use::Always => true,
            Use::FullFeatureOnly => self.phase == Phase::FullFeature,
        };
        let stage = match self.phase {
            Phase::Security => key.stage != Stage::Operational,
            Phase::Operational => key.stage != Stage::Security,
            Phase::FullFeature => true,
        };
        usage && stage && !matches!(key.kind, Kind::FromTarget)
    }

    /// Applies the result function; the answer, if the key wants one.
    fn decide(&mut self, key: &Key, value: &str) -> Result<Option<String>, NegotiationError> {
        let reject = || Some("Reject".to_owned());
        let params = &mut self.params;
        Ok(match &key.kind {
            Kind::Number { irrelevant, .. } if irrelevant(params) => Some("Irrelevant".to_owned()),
            Kind::Number { range, result, ours, set, .. } => match number(value, range) {
                None => reject(),
                Some(theirs) => {
                    let ours = ours(&self.limits, params);
                    let agreed = match result {
                        Choice::Minimum => theirs.min(ours),
                        Choice::Maximum => theirs.max(ours),
                    };
                    set(params, agreed);
                    Some(agreed.to_string())
                }
            },
            Kind::Boolean { result, ours, set } => match text::boolean(value) {
                None => reject(),
                Some(theirs) => {
                    let ours = ours(&self.limits);
                    let agreed = match result {
                        Function::And => theirs && ours,
                        Function::Or => theirs || ours,
                    };
                    set(params, agreed);
                    Some(if agreed { "Yes" } else { "No" }.to_owned())
                }
            },
            Kind::List { take } => text::list(value)
                .find(|item| take(&self.limits, params, item))
                .map(str::to_owned)
                .or_else(reject),
            // Rejecting it would need the key in the answer, where our own declaration stands.
            Kind::DeclaredNumber { range, theirs, .. } => {
                let declared = number(value, range)
                    .ok_or_else(|| NegotiationError::BadValue(key.name.to_owned()))?;
                theirs(params, declared);
                None
            }
            Kind::Obsolete(answer) => Some((*answer).to_owned()),
            Kind::Declared { .. } | Kind::Authentication | Kind::FromTarget => None,
        })
    }

    fn declare_ours(&mut self, out: &mut Writer) {
        for key in keys::KEYS {
            if let Kind::DeclaredNumber { ours, set_ours, .. } = &key.kind {
                let value = ours(&self.limits);
                set_ours(&mut self.params, value);
                out.pair(key.name, value);
            }
        }
        self.ours_declared = true;
    }
}

/// Whether `value` is one of the words that only answer a proposal (RFC 7143 6.2).
fn is_answer(value: &str) -> bool {
    matches!(value, "NotUnderstood" | "Irrelevant" | "Reject")
}

fn number(value: &str, range: &std::ops::RangeInclusive<u32>) -> Option<u32> {
    let number = u32::try_from(text::number(value)?).ok()?;
    range.contains(&number).then_some(number)
}
