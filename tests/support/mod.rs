//! What several integration tests share: raw PDUs, and a volume that can be held up.

#![allow(dead_code, reason = "each test crate uses its part of it")]

pub(crate) mod gated;
pub(crate) mod raw;

/// How long anything may take before a test calls it a hang.
pub(crate) const HANG: std::time::Duration = std::time::Duration::from_secs(60);
