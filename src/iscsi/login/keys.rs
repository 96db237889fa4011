//! Every key of RFC 7143 sections 12 and 13 and of RFC 7144, in one table. The rules by which the
//! table is read are in [`negotiation`](super::negotiation).

use std::ops::RangeInclusive;

use super::params::{DigestPolicy, Limits, SessionParams, TaskReporting};
use crate::iscsi::text;

/// One row: what may be done with a key, and what comes of it.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) usage: Use,
    pub(super) stage: Stage,
    /// Meaningless in a discovery session ("Irrelevant when: SessionType=Discovery").
    pub(super) normal_only: bool,
    pub(super) kind: Kind,
}

/// The phases that a key may be used in ("Use").
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// LO: in the login of a session's first connection.
    LeadingOnly,
    /// IO: in any login.
    LoginOnly,
    /// ALL.
    Always,
    /// FFPO: in the full feature phase.
    FullFeatureOnly,
}

/// The stages of the login phase that a key may be used in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Security,
    Operational,
    Any,
}

/// What sort of key it is: its values, its result function, our offer and where the result goes.
pub(super) enum Kind {
    /// A number, negotiated.
    Number {
        range: RangeInclusive<u32>,
        result: Choice,
        ours: fn(&Limits, &SessionParams) -> u32,
        set: fn(&mut SessionParams, u32),
        /// Made meaningless by what else has been settled.
        irrelevant: fn(&SessionParams) -> bool,
    },
    /// `Yes` or `No`, negotiated.
    Boolean { result: Function, ours: fn(&Limits) -> bool, set: fn(&mut SessionParams, bool) },
    /// A list, of which the first value that `take` takes is the result.
    List { take: fn(&Limits, &mut SessionParams, &str) -> bool },
    /// A number that each side declares for itself.
    DeclaredNumber {
        range: RangeInclusive<u32>,
        theirs: fn(&mut SessionParams, u32),
        ours: fn(&Limits) -> u32,
        set_ours: fn(&mut SessionParams, u32),
    },
    /// Text that the initiator declares or asks for, and which others look at.
    Declared { valid: fn(&str) -> bool },
    /// A step of the authentication, which is looked at elsewhere.
    Authentication,
    /// Obsolete: always this answer.
    Obsolete(&'static str),
    /// Only a target sends it.
    FromTarget,
}

#[derive(Clone, Copy)]
pub(super) enum Choice {
    Minimum,
    Maximum,
}

#[derive(Clone, Copy)]
pub(super) enum Function {
    And,
    Or,
}

/// Longest iSCSI name in bytes (RFC 7143 4.2.7.1).
const NAME_BYTES_MAX: usize = 223;

const LENGTH: RangeInclusive<u32> = 512..=0x00ff_ffff;
const SECONDS: RangeInclusive<u32> = 0..=3600;
const COUNT: RangeInclusive<u32> = 1..=65535;

/// The row of a key name; names are case-sensitive.
pub(super) fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The table. Answers are given in this order, so a key that depends on others stands after them.
pub(super) static KEYS: &[Key] = &[
    declared("SessionType", Use::LoginOnly, Stage::Any, is_text),
    declared("InitiatorName", Use::LoginOnly, Stage::Any, is_name),
    declared("TargetName", Use::LoginOnly, Stage::Any, is_name),
    declared("InitiatorAlias", Use::Always, Stage::Any, is_text),
    declared("X#NodeArchitecture", Use::LeadingOnly, Stage::Operational, is_text),
    declared("SendTargets", Use::FullFeatureOnly, Stage::Operational, is_text),
    from_target("TargetAlias"),
    from_target("TargetAddress"),
    from_target("TargetPortalGroupTag"),
    authentication("AuthMethod"),
    authentication("CHAP_A"),
    authentication("CHAP_I"),
    authentication("CHAP_C"),
    authentication("CHAP_N"),
    authentication("CHAP_R"),
    Key {
        name: "HeaderDigest",
        usage: Use::LoginOnly,
        stage: Stage::Operational,
        normal_only: false,
        kind: Kind::List {
            take: |limits, params, value| {
                take_digest(limits.header_digest, &mut params.header_digest, value)
            },
        },
    },
    Key {
        name: "DataDigest",
        usage: Use::LoginOnly,
        stage: Stage::Operational,
        normal_only: false,
        kind: Kind::List {
            take: |limits, params, value| {
                take_digest(limits.data_digest, &mut params.data_digest, value)
            },
        },
    },
    number(
        "MaxConnections",
        true,
        COUNT,
        Choice::Minimum,
        |limits, _| limits.max_connections.into(),
        |params, value| params.max_connections = narrow(value),
    ),
    boolean(
        "InitialR2T",
        Function::Or,
        |limits| limits.initial_r2t,
        |params, value| params.initial_r2t = value,
    ),
    boolean(
        "ImmediateData",
        Function::And,
        |limits| limits.immediate_data,
        |params, value| params.immediate_data = value,
    ),
    Key {
        name: "MaxRecvDataSegmentLength",
        usage: Use::Always,
        stage: Stage::Operational,
        normal_only: false,
        kind: Kind::DeclaredNumber {
            range: LENGTH,
            theirs: |params, value| params.initiator_max_recv_data_segment_length = value,
            ours: |limits| limits.max_recv_data_segment_length,
            set_ours: |params, value| params.target_max_recv_data_segment_length = value,
        },
    },
    number(
        "MaxBurstLength",
        true,
        LENGTH,
        Choice::Minimum,
        |limits, _| limits.max_burst_length,
        |params, value| params.max_burst_length = value,
    ),
    Key {
        name: "FirstBurstLength",
        usage: Use::LeadingOnly,
        stage: Stage::Operational,
        normal_only: true,
        kind: Kind::Number {
            range: LENGTH,
            result: Choice::Minimum,
            ours: |limits, params| limits.first_burst_length.min(params.max_burst_length),
            set: |params, value| params.first_burst_length = value,
            irrelevant: |params| params.initial_r2t && !params.immediate_data,
        },
    },
    number(
        "DefaultTime2Wait",
        false,
        SECONDS,
        Choice::Maximum,
        |limits, _| limits.default_time2wait.into(),
        |params, value| params.default_time2wait = narrow(value),
    ),
    number(
        "DefaultTime2Retain",
        false,
        SECONDS,
        Choice::Minimum,
        |limits, _| limits.default_time2retain.into(),
        |params, value| params.default_time2retain = narrow(value),
    ),
    number(
        "MaxOutstandingR2T",
        true,
        COUNT,
        Choice::Minimum,
        |limits, _| limits.max_outstanding_r2t.into(),
        |params, value| params.max_outstanding_r2t = narrow(value),
    ),
    // Yes is the only order that we keep.
    boolean(
        "DataPDUInOrder",
        Function::Or,
        |_| true,
        |params, value| params.data_pdu_in_order = value,
    ),
    boolean(
        "DataSequenceInOrder",
        Function::Or,
        |_| true,
        |params, value| params.data_sequence_in_order = value,
    ),
    number(
        "ErrorRecoveryLevel",
        false,
        0..=2,
        Choice::Minimum,
        |limits, _| limits.error_recovery_level.into(),
        |params, value| params.error_recovery_level = narrow(value),
    ),
    Key {
        name: "TaskReporting",
        usage: Use::LeadingOnly,
        stage: Stage::Operational,
        normal_only: true,
        kind: Kind::List {
            take: |limits, params, value| {
                let named = TaskReporting::named(value);
                let taken = named.filter(|named| limits.task_reporting.contains(named));
                params.task_reporting = taken.unwrap_or(params.task_reporting);
                taken.is_some()
            },
        },
    },
    number(
        "iSCSIProtocolLevel",
        true,
        0..=31,
        Choice::Minimum,
        |limits, _| limits.protocol_level.into(),
        |params, value| params.protocol_level = narrow(value),
    ),
    // RFC 7143 13.25 allows No or Reject for the first two; iPXE gives up at any Reject.
    obsolete("IFMarker", "No"),
    obsolete("OFMarker", "No"),
    obsolete("IFMarkInt", "Reject"),
    obsolete("OFMarkInt", "Reject"),
];

const fn number(
    name: &'static str,
    normal_only: bool,
    range: RangeInclusive<u32>,
    result: Choice,
    ours: fn(&Limits, &SessionParams) -> u32,
    set: fn(&mut SessionParams, u32),
) -> Key {
    let kind = Kind::Number { range, result, ours, set, irrelevant: |_| false };
    Key { name, usage: Use::LeadingOnly, stage: Stage::Operational, normal_only, kind }
}

const fn boolean(
    name: &'static str,
    result: Function,
    ours: fn(&Limits) -> bool,
    set: fn(&mut SessionParams, bool),
) -> Key {
    let kind = Kind::Boolean { result, ours, set };
    Key { name, usage: Use::LeadingOnly, stage: Stage::Operational, normal_only: true, kind }
}

const fn declared(name: &'static str, usage: Use, stage: Stage, valid: fn(&str) -> bool) -> Key {
    Key { name, usage, stage, normal_only: false, kind: Kind::Declared { valid } }
}

const fn from_target(name: &'static str) -> Key {
    let kind = Kind::FromTarget;
    Key { name, usage: Use::Always, stage: Stage::Any, normal_only: false, kind }
}

const fn authentication(name: &'static str) -> Key {
    let kind = Kind::Authentication;
    Key { name, usage: Use::LoginOnly, stage: Stage::Security, normal_only: false, kind }
}

const fn obsolete(name: &'static str, answer: &'static str) -> Key {
    let kind = Kind::Obsolete(answer);
    Key { name, usage: Use::LoginOnly, stage: Stage::Operational, normal_only: false, kind }
}

fn take_digest(policy: DigestPolicy, slot: &mut bool, value: &str) -> bool {
    let crc32c = match value {
        "CRC32C" if policy != DigestPolicy::Off => true,
        "None" if policy != DigestPolicy::Required => false,
        _ => return false,
    };
    *slot = crc32c;
    true
}

/// A number that the range in its row has bounded.
fn narrow<T: TryFrom<u32> + Default>(value: u32) -> T {
    value.try_into().unwrap_or_default()
}

/// An iSCSI name. Any form is taken, iqn or not; control characters would forge our log, and a
/// comma (of no name, RFC 7143 4.2.7.2) the name of another node's initiator port.
fn is_name(value: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != ',';
    (1..=NAME_BYTES_MAX).contains(&value.len()) && value.chars().all(plain)
}

fn is_text(value: &str) -> bool {
    value.len() <= text::SIMPLE_VALUE_BYTES_MAX && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_has_one_row() {
        let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), KEYS.len());
    }

    #[test]
    fn l22_key_names_are_case_sensitive() {
        assert!(key("MaxBurstLength").is_some());
        assert!(key("maxburstlength").is_none());
        assert!(key("MaxBurstlength").is_none());
    }

    #[test]
    fn our_default_offers_are_legal_values() {
        let (limits, params) = (Limits::default(), SessionParams::default());
        for key in KEYS {
            let (range, ours) = match &key.kind {
                Kind::Number { range, ours, .. } => (range, ours(&limits, &params)),
                Kind::DeclaredNumber { range, ours, .. } => (range, ours(&limits)),
                _ => continue,
            };
            assert!(range.contains(&ours), "{}", key.name);
        }
    }

    #[test]
    fn names_have_neither_spaces_nor_control_characters() {
        assert!(is_name("iqn.2025-01.example:host") && is_name("\u{e4}"));
        for bad in ["", "a b", "a\n", "a\u{1}b", "\u{7f}", "a\u{a0}b"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_name(&"x".repeat(NAME_BYTES_MAX)) && !is_name(&"x".repeat(NAME_BYTES_MAX + 1)));
    }
}
