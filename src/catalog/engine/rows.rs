//! Rows as typed values, and batches of changes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::catalog::error::{Error, ErrorKind};
use crate::catalog::state::{Change, State, StateError, Table, Write};

/// A value and the revision of its row.
#[derive(Debug, Clone)]
pub(super) struct Versioned<T> {
    pub(super) value: T,
    pub(super) revision: u64,
}

/// Reads a row.
pub(super) fn load<T: DeserializeOwned>(
    state: &dyn State,
    table: Table,
    key: &str,
) -> Result<Option<Versioned<T>>, Error> {
    let Some(row) = state.get(table, key)? else { return Ok(None) };
    Ok(Some(Versioned { value: decode(table, key, &row.value)?, revision: row.revision }))
}

/// Reads all rows whose key begins with `prefix`.
pub(super) fn load_all<T: DeserializeOwned>(
    state: &dyn State,
    table: Table,
    prefix: &str,
) -> Result<Vec<Versioned<T>>, Error> {
    let decoded = state.list(table, prefix)?.into_iter().map(|(key, row)| {
        Ok(Versioned { value: decode(table, &key, &row.value)?, revision: row.revision })
    });
    decoded.collect()
}

pub(super) fn decode<T: DeserializeOwned>(
    table: Table,
    key: &str,
    value: &[u8],
) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|error| {
        let message = format!("the catalog: row '{key}' of {table:?} makes no sense: {error}");
        Error::new(ErrorKind::Internal, "catalog-failed", message)
    })
}

/// Changes that happen together or not at all.
#[derive(Default)]
pub(in crate::catalog) struct Batch(Vec<Change>);

impl Batch {
    /// The row, which has this revision now, holds `value`.
    pub(super) fn put(
        &mut self,
        table: Table,
        key: &str,
        expected: u64,
        value: &impl Serialize,
    ) -> Result<(), Error> {
        let bytes = serde_json::to_vec(value).map_err(|error| {
            Error::from(StateError::Failed(format!("row '{key}' cannot be written: {error}")))
        })?;
        self.push(table, key, expected, Write::Put(bytes));
        Ok(())
    }

    /// The row is removed.
    pub(super) fn delete(&mut self, table: Table, key: &str, expected: u64) {
        self.push(table, key, expected, Write::Delete);
    }

    /// The row must still have this revision.
    pub(super) fn keep(&mut self, table: Table, key: &str, expected: u64) {
        self.push(table, key, expected, Write::Keep);
    }

    fn push(&mut self, table: Table, key: &str, expected: u64, write: Write) {
        self.0.push(Change { table, key: key.to_owned(), expected, write });
    }

    /// Makes the changes; the revision of what was put.
    pub(super) fn apply(&self, state: &dyn State) -> Result<u64, Error> {
        Ok(state.apply(&self.0)?)
    }
}
