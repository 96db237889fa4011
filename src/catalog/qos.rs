//! What a disk may be asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::block;

/// With less, what an initiator has queued waits for so long that it gives up: Linux aborts a command
/// after 30 s, and has 32 under way, of 1280 KiB at most. These take 20 s.
const OPERATIONS_MIN: u64 = 10;
const BYTES_MIN: u64 = 2 << 20;
/// More is no limit; and the arithmetic has room.
const RATE_MAX: u64 = 1 << 40;
const BURST_SECONDS_MAX: u64 = 3600;

/// What may be done in a second; `None`: as much as there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What a disk may be asked for, by all of its sessions together. All limits hold at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qos {
    /// Everything.
    #[serde(default)]
    pub total: Rates,
    /// What only looks at the disk.
    #[serde(default)]
    pub reads: Rates,
    /// What changes it, flushes included.
    #[serde(default)]
    pub writes: Rates,
    /// A disk that was not used for so long may be asked for as much at once as otherwise in that
    /// time.
    pub burst_seconds: u64,
}

impl Default for Qos {
    fn default() -> Self {
        let none = Rates::default();
        Self { total: none, reads: none, writes: none, burst_seconds: 1 }
    }
}

impl Qos {
    /// There are no limits.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        block::Limits::from(*self).is_unlimited()
    }

    /// # Errors
    /// `invalid-qos`: a limit below 10 operations or 2 MiB a second, or a burst beyond an hour.
    pub(super) fn check(&self) -> Result<(), Error> {
        let bounded = |what: &str, value: Option<u64>, least: u64, most: u64| match value {
            Some(value) if !(least..=most).contains(&value) => Err(Error::invalid(
                "invalid-qos",
                format!("{value} is no limit of {what}: use {least} to {most}"),
            )),
            _ => Ok(()),
        };
        for Rates { operations, bytes } in [self.total, self.reads, self.writes] {
            bounded("operations a second", operations, OPERATIONS_MIN, RATE_MAX)?;
            bounded("bytes a second", bytes, BYTES_MIN, RATE_MAX)?;
        }
        bounded("seconds of a burst", Some(self.burst_seconds), 1, BURST_SECONDS_MAX)
    }
}

impl From<Rates> for block::Rates {
    fn from(Rates { operations, bytes }: Rates) -> Self {
        Self { operations, bytes }
    }
}

impl From<Qos> for block::Limits {
    fn from(qos: Qos) -> Self {
        Self {
            total: qos.total.into(),
            reads: qos.reads.into(),
            writes: qos.writes.into(),
            burst: Duration::from_secs(qos.burst_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_would_starve_an_initiator_are_refused() {
        let with = |operations, bytes, burst_seconds| {
            let total = Rates { operations, bytes };
            Qos { total, burst_seconds, ..Qos::default() }.check()
        };
        with(None, None, 1).unwrap();
        with(Some(10), Some(2 << 20), 3600).unwrap();
        for (operations, bytes, burst) in [
            (Some(9), None, 1),
            (Some(0), None, 1),
            (Some(u64::MAX), None, 1),
            (None, Some((2 << 20) - 1), 1),
            (None, None, 0),
            (None, None, 3601),
        ] {
            assert_eq!(with(operations, bytes, burst).unwrap_err().code(), "invalid-qos");
        }
    }
}
