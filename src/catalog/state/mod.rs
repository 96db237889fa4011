//! Where the catalog is kept: rows with revisions, changed by compare-and-swap.
//!
//! The trait asks for no more than what a RADOS object's omap can do too: read, list by prefix,
//! and one atomic batch of comparisons and writes.

mod redb;

use std::fmt;

pub use self::redb::RedbState;

/// The tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// What there is once: the installation.
    Meta,
    /// Images, by `project/name`.
    Images,
    /// Disks, by `project/name`.
    Disks,
    /// Nodes, by `project/name`.
    Nodes,
    /// Which disks use an image: `project/image/disk`, and by which tag.
    Uses,
    /// Tags, by `image/project/image/tag` and `disk/project/disk/tag`.
    Tags,
    /// Which node a MAC address belongs to.
    Macs,
    /// Jobs, by number.
    Jobs,
    /// Bearer tokens, by name.
    Tokens,
    /// Client certificates, by the name in them.
    Certificates,
    /// Projects that have limits, by name.
    Projects,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Changes with every write; never the same again, even if the row is removed and made anew.
    pub revision: u64,
    /// What is stored.
    pub value: Vec<u8>,
}

/// The revision of a row that is not there.
pub const ABSENT: u64 = 0;

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// It is only compared.
    Keep,
    /// It holds this.
    Put(Vec<u8>),
    /// It is removed.
    Delete,
}

/// One part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: Table,
    /// The row's key.
    pub key: String,
    /// The revision that the row must have; [`ABSENT`]: it must not be there.
    pub expected: u64,
    /// What becomes of it.
    pub write: Write,
}

/// The durable truth. Calls block.
pub trait State: Send + Sync + 'static {
    /// A row.
    ///
    /// # Errors
    /// [`StateError::Failed`].
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StateError>;

    /// All rows whose key begins with `prefix`, sorted by key.
    ///
    /// # Errors
    /// [`StateError::Failed`].
    fn list(&self, table: Table, prefix: &str) -> Result<Vec<(String, Row)>, StateError>;

    /// Makes all the changes, or none; they are on stable storage when this returns. The answer
    /// is the new revision of every row that was put.
    ///
    /// # Errors
    /// [`StateError::Conflict`] when a row has not the expected revision.
    fn apply(&self, changes: &[Change]) -> Result<u64, StateError>;
}

/// Why the state could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// A row has not the expected revision.
    Conflict,
    /// One line.
    Failed(String),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("a row has another revision than expected"),
            Self::Failed(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for StateError {}
