//! What happens, at random.

use proptest::prelude::*;

use super::super::*;

/// What happens next. A `pick` chooses among what is there at that time.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Command(Plan),
    /// The oldest lost command is sent again.
    Retry,
    /// A Data-Out PDU of up to so many bytes; a broken one only above ERL 0.
    Data {
        pick: usize,
        len: u32,
        broken: bool,
    },
    /// The initiator acknowledges all status that it has.
    Acknowledge,
    /// It asks again for the data of a command, or for all status.
    Snack {
        pick: usize,
        status: bool,
    },
    /// The driver takes its events.
    Look,
    /// The driver completes a command.
    End {
        pick: usize,
        good: bool,
    },
    AbortTask {
        pick: usize,
    },
    AbortTaskSet {
        lun: bool,
    },
    /// Another session has the unit reset.
    Reset {
        lun: bool,
    },
    Ping {
        immediate: bool,
        len: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) write: bool,
    pub(super) immediate: bool,
    pub(super) lun: bool,
    /// Bytes that the initiator expects, and that the command takes or gives.
    pub(super) expected: u32,
    pub(super) wanted: u32,
    /// Immediate data, and more unsolicited data, where it is allowed.
    pub(super) immediate_data: bool,
    pub(super) unsolicited: bool,
    pub(super) lost: bool,
    /// The driver ends it without looking at its data.
    pub(super) refused: bool,
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let flags = (any::<[bool; 5]>(), prop::bool::weighted(0.15), prop::bool::weighted(0.1));
    let bytes = || prop_oneof![Just(0u32), Just(512), Just(4096), 0u32..40_000];
    (flags, bytes(), bytes(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
        |((flags, lost, refused), expected, other, same, immediate)| Plan {
            write: flags[0],
            lun: flags[1],
            immediate,
            expected,
            wanted: if same { expected } else { other },
            immediate_data: flags[2],
            unsolicited: flags[3],
            lost,
            refused,
        },
    )
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let pick = || 0usize..8;
    prop_oneof![
        6 => plan().prop_map(Step::Command),
        2 => Just(Step::Retry),
        8 => (pick(), prop_oneof![1u32..5000, Just(8192)], prop::bool::weighted(0.15))
            .prop_map(|(pick, len, broken)| Step::Data { pick, len, broken }),
        1 => Just(Step::Acknowledge),
        2 => (pick(), any::<bool>()).prop_map(|(pick, status)| Step::Snack { pick, status }),
        6 => Just(Step::Look),
        5 => (pick(), prop::bool::weighted(0.8)).prop_map(|(pick, good)| Step::End { pick, good }),
        1 => pick().prop_map(|pick| Step::AbortTask { pick }),
        1 => any::<bool>().prop_map(|lun| Step::AbortTaskSet { lun }),
        1 => any::<bool>().prop_map(|lun| Step::Reset { lun }),
        1 => (any::<bool>(), 0usize..9000)
            .prop_map(|(immediate, len)| Step::Ping { immediate, len }),
    ]
}

/// What the session was set up with.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) params: SessionParams,
    pub(super) window: u32,
    pub(super) first: u32,
}

pub(super) fn setup() -> impl Strategy<Value = Setup> {
    let lengths = (1u32..3, 0u32..4, prop_oneof![Just(512u32), Just(4096)]);
    (any::<[bool; 3]>(), lengths, 1u16..4, 1u32..10, prop_oneof![Just(10u32), Just(u32::MAX - 3)])
        .prop_map(
            |(
                [initial_r2t, immediate_data, recovers],
                lengths,
                max_outstanding_r2t,
                window,
                first,
            )| {
                let (burst, first_burst, segment) = lengths;
                let params = SessionParams {
                    initiator_max_recv_data_segment_length: segment,
                    max_burst_length: burst * 8192,
                    first_burst_length: (first_burst * 4096).clamp(512, burst * 8192),
                    initial_r2t,
                    immediate_data,
                    max_outstanding_r2t,
                    error_recovery_level: recovers.into(),
                    ..params()
                };
                Setup { params, window, first }
            },
        )
}
