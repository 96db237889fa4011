//! What a volume keeps beside its data: one small record of the layer above.

use std::sync::atomic::{AtomicU64, Ordering};

/// Longest record, in bytes.
pub const STATE_BYTES_MAX: usize = 64 << 10;

/// A record for [`super::Op::SaveState`]. Of several for one volume the one that was made last is
/// kept, in whatever order they are carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    serial: u64,
    bytes: Vec<u8>,
}

impl StateRecord {
    /// A record of these bytes; `None` if they are more than [`STATE_BYTES_MAX`]. Empty: there is
    /// nothing to be kept any more.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        (bytes.len() <= STATE_BYTES_MAX).then_some(Self { serial, bytes })
    }

    /// Higher than that of every record made before in this process.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// What is to be kept.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What [`super::Volume::saved_state`] finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SavedState {
    /// The volume keeps no state.
    #[default]
    Unsupported,
    /// The record that was saved last; empty if there is none.
    Record(Vec<u8>),
    /// There is a record, and it cannot be read.
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_bounded_and_ascend() {
        let first = StateRecord::new(vec![1; STATE_BYTES_MAX]).unwrap();
        let second = StateRecord::new(Vec::new()).unwrap();
        assert!(first.serial() < second.serial());
        assert_eq!(StateRecord::new(vec![1; STATE_BYTES_MAX + 1]), None);
    }
}
