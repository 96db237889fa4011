//! What the cache must hear before it answers anything.

use std::sync::Arc;

use crate::block::Volume;

/// What whoever has the handle of a volume knows of changes that did not come through it (a
/// resize, the loss of its parent) and of the right to be its only writer.
pub trait Coherence: Send + Sync + 'static {
    /// How many changes have been heard of: counted as soon as one is, before anybody knows what
    /// it is. `None`: nothing may be answered from memory now. Asked for every request: it must
    /// be cheap and never wait.
    fn changes(&self) -> Option<u64>;

    /// What is known after the last of them; `None` while that is being found out. Never waits.
    fn settled(&self) -> Option<Settled>;

    /// Opens anew the parent snapshot of this identity ([`super::Cache::add_parent`]), whose handle,
    /// another client's it may be, has failed. Blocks.
    fn reopen(&self, identity: &str) -> Option<Arc<dyn Volume>> {
        let _ = identity;
        None
    }
}

/// What is known of a volume after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Of how many changes this is the outcome.
    pub changes: u64,
    /// How many bytes from its start the parent given by its [`super::Origin`] is still behind; 0:
    /// it is no clone of that any more.
    pub shared_bytes: u64,
}

/// The promise that nobody but one handle can change a volume until that has failed
/// ([`crate::block::Volume::has_failed`]), and that its parent stays.
#[derive(Debug, Clone, Copy)]
pub struct Mine;

impl Coherence for Mine {
    fn changes(&self) -> Option<u64> {
        Some(0)
    }

    fn settled(&self) -> Option<Settled> {
        Some(Settled { changes: 0, shared_bytes: u64::MAX })
    }
}

/// The state of a volume on which a request relies.
pub(super) struct Footing {
    pub(super) coherence: Arc<dyn Coherence>,
    pub(super) changes: u64,
}

impl Footing {
    /// Nothing has changed since.
    pub(super) fn holds(&self) -> bool {
        self.coherence.changes() == Some(self.changes)
    }
}
