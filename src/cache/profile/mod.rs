//! Boot profiles.

mod record;
mod recorder;

pub use record::{Profile, Unreadable};

/// Unit in which it is remembered what was read.
pub const UNIT_BYTES: u64 = 16 << 10;
/// Units of a profile, at most: 256 MiB.
pub const UNITS_MAX: usize = 16 << 10;
