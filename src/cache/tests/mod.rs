//! The cache against volumes that answer when the test says so.

mod gated;
mod model;
mod sharing;
