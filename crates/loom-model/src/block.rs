//! What the queue's source file finds above it.

/// Stands in for the product's type: the queue does not look into it.
#[derive(Debug)]
pub(crate) struct Completion(pub(crate) u64);

#[path = "../../../src/block/completion.rs"]
#[allow(dead_code, reason = "the product has more uses for it")]
pub(crate) mod completion;
