//! Boot profiles: what nodes read while they boot an image is learnt, kept with the image, and
//! fetched into the cache when the next node logs in.
//!
//! [`Profiles`] is made once for a store. Each image that is booted from has one [`ImageProfile`],
//! shared by all of its clones; [`super::Ahead`] feeds it and makes use of it.

mod learner;
mod record;
mod recorder;
mod runner;
mod walk;

use std::time::Duration;

pub(super) use learner::Slot;
pub use learner::{ImageProfile, Keeper, Profiles};
pub use record::{Profile, Unreadable};
pub(super) use walk::{Rest, Turn};

/// Unit in which it is remembered what was read, in bytes.
pub const UNIT_BYTES: u64 = 16 << 10;
/// Units of a profile, at most: 256 MiB of an image.
pub const UNITS_MAX: usize = 16 << 10;
/// Longest record of a profile, in bytes.
pub const RECORD_BYTES_MAX: usize = 48 << 10;
/// Name of the record that is kept with an image.
pub const RECORD_NAME: &str = "boot-profile";

/// What is learnt and what is fetched ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a machine boots, from the first login to its disk on.
    pub learn_for: Duration,
    /// Most that one login has fetched ahead, in bytes; 0: nothing.
    pub prefetch_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { learn_for: Duration::from_secs(180), prefetch_bytes: 128 << 20 }
    }
}
