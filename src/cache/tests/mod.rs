//! The cache against volumes that answer when the test says so.

mod ahead;
mod coherence;
pub(super) mod gated;
mod model;
mod sharing;
