//! What a login settles: the operational parameters, and our own limits that go into them.

use super::chap::ChapAlgorithm;

/// Our side of the negotiation: what this target offers at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest data segment we take, in bytes (512 to 2^24-1).
    pub max_recv_data_segment_length: u32,
    /// Longest burst, in bytes (512 to 2^24-1).
    pub max_burst_length: u32,
    /// Longest unsolicited burst, in bytes (512 to 2^24-1).
    pub first_burst_length: u32,
    /// Whether we insist on an R2T for every write.
    pub initial_r2t: bool,
    /// Whether we take data within the command PDU.
    pub immediate_data: bool,
    /// Most R2Ts outstanding per task (1 to 65535).
    pub max_outstanding_r2t: u16,
    /// Least seconds an initiator waits before it comes back (0 to 3600).
    pub default_time2wait: u16,
    /// Most seconds that tasks are kept for reassignment (0 to 3600). 0: whatever a connection had
    /// under way ends with it, and so does the session.
    pub default_time2retain: u16,
    /// Digest over headers.
    pub header_digest: DigestPolicy,
    /// Digest over data segments.
    pub data_digest: DigestPolicy,
    /// Most connections per session (1 to 65535).
    pub max_connections: u16,
    /// Highest error recovery level (0 to 2).
    pub error_recovery_level: u8,
    /// Highest iSCSIProtocolLevel (RFC 7144 7.1.1).
    pub protocol_level: u16,
    /// Task reporting semantics that we have.
    pub task_reporting: Vec<TaskReporting>,
    /// CHAP algorithms that we take; the initiator's order of preference decides among them.
    pub chap_algorithms: Vec<ChapAlgorithm>,
    /// Commands that may be outstanding when the full feature phase begins: login responses
    /// carry MaxCmdSN = CmdSN + window - 1. At least 1.
    pub command_window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_recv_data_segment_length: 262_144,
            max_burst_length: 16_776_192,
            first_burst_length: 262_144,
            initial_r2t: false,
            immediate_data: true,
            max_outstanding_r2t: 8,
            default_time2wait: 2,
            default_time2retain: 0,
            header_digest: DigestPolicy::Optional,
            data_digest: DigestPolicy::Optional,
            max_connections: 1,
            error_recovery_level: 0,
            protocol_level: 2,
            task_reporting: vec![TaskReporting::Rfc3720],
            chap_algorithms: ChapAlgorithm::ALL.to_vec(),
            command_window: 128,
        }
    }
}

/// Whether a digest may or must be used (RFC 7143 13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestPolicy {
    /// Only `None` is taken.
    Off,
    /// The initiator's first choice out of `None` and `CRC32C`.
    Optional,
    /// Only `CRC32C` is taken; a login that ends without it is refused.
    Required,
}

/// Semantics of reporting task completion (RFC 7143 13.23).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskReporting {
    /// As in RFC 3720: no promise about fences.
    Rfc3720,
    /// Responses are fenced.
    ResponseFence,
    /// Fast multi-task abort.
    FastAbort,
}

impl TaskReporting {
    /// The semantics named in a TaskReporting list.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "RFC3720" => Some(Self::Rfc3720),
            "ResponseFence" => Some(Self::ResponseFence),
            "FastAbort" => Some(Self::FastAbort),
            _ => None,
        }
    }
}

/// The operational parameters of a connection and its session (RFC 7143 section 13). The default
/// is what holds when nothing is negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionParams {
    /// Longest data segment that the initiator takes, in bytes.
    pub initiator_max_recv_data_segment_length: u32,
    /// Longest data segment that we have declared to take, in bytes.
    pub target_max_recv_data_segment_length: u32,
    /// Longest burst, in bytes.
    pub max_burst_length: u32,
    /// Longest unsolicited burst, in bytes; never above `max_burst_length`.
    pub first_burst_length: u32,
    /// Unsolicited Data-Out PDUs are not allowed.
    pub initial_r2t: bool,
    /// Data within the command PDU is allowed.
    pub immediate_data: bool,
    /// Most R2Ts outstanding per task.
    pub max_outstanding_r2t: u16,
    /// CRC32C over headers.
    pub header_digest: bool,
    /// CRC32C over data segments.
    pub data_digest: bool,
    /// Most connections in the session.
    pub max_connections: u16,
    /// Error recovery level.
    pub error_recovery_level: u8,
    /// Least seconds before the initiator comes back.
    pub default_time2wait: u16,
    /// Most seconds that tasks are kept for reassignment.
    pub default_time2retain: u16,
    /// PDUs within a sequence come in order of offset.
    pub data_pdu_in_order: bool,
    /// Sequences come in order of offset.
    pub data_sequence_in_order: bool,
    /// iSCSIProtocolLevel (RFC 7144 7.1.1).
    pub protocol_level: u16,
    /// Task reporting semantics.
    pub task_reporting: TaskReporting,
    /// What the initiator calls itself to people.
    pub initiator_alias: Option<String>,
}

impl Default for SessionParams {
    fn default() -> Self {
        Self {
            initiator_max_recv_data_segment_length: 8192,
            target_max_recv_data_segment_length: 8192,
            max_burst_length: 262_144,
            first_burst_length: 65_536,
            initial_r2t: true,
            immediate_data: true,
            max_outstanding_r2t: 1,
            header_digest: false,
            data_digest: false,
            max_connections: 1,
            error_recovery_level: 0,
            default_time2wait: 2,
            default_time2retain: 20,
            data_pdu_in_order: true,
            data_sequence_in_order: true,
            protocol_level: 1,
            task_reporting: TaskReporting::Rfc3720,
            initiator_alias: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_reporting_has_three_names() {
        let named = TaskReporting::named;
        assert_eq!(named("RFC3720"), Some(TaskReporting::Rfc3720));
        assert_eq!(named("ResponseFence"), Some(TaskReporting::ResponseFence));
        assert_eq!(named("FastAbort"), Some(TaskReporting::FastAbort));
        assert_eq!(named("fastabort"), None);
    }
}
