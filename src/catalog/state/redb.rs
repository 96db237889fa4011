//! The embedded state: one redb file, for one daemon.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::{ABSENT, Change, Row, State, StateError, Table, Write};

/// File name inside the state directory.
const FILE: &str = "catalog.redb";
/// The layout of the rows; a daemon refuses what a newer one has written.
const FORMAT: u64 = 1;
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const FORMAT_KEY: &str = "format";
const REVISION_KEY: &str = "revision";

type Definition = TableDefinition<'static, &'static str, (u64, &'static [u8])>;

fn definition(table: Table) -> Definition {
    TableDefinition::new(match table {
        Table::Meta => "meta",
        Table::Images => "images",
        Table::Disks => "disks",
        Table::Nodes => "nodes",
        Table::Uses => "uses",
        Table::Macs => "macs",
        Table::Jobs => "jobs",
    })
}

/// The catalog in a file. A second daemon on the same file is refused.
pub struct RedbState {
    database: Database,
}

impl RedbState {
    /// Opens, or makes, the catalog in `directory`. The file holds secrets and is readable by its
    /// owner only.
    ///
    /// # Errors
    /// One line that names the file: it is in use, not readable, damaged or too new.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let path = directory.join(FILE);
        let context = |error: &dyn std::fmt::Display| {
            StateError::Failed(format!("{}: {error}", path.display()))
        };
        fs::create_dir_all(directory).map_err(|error| context(&error))?;
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| context(&error))?;
        let database = Database::builder().create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => {
                context(&"in use: another stirrupd runs on this state directory")
            }
            error => context(&error),
        })?;
        Self::prepare(database)
    }

    fn prepare(database: Database) -> Result<Self, StateError> {
        let transaction = database.begin_write().map_err(failed)?;
        {
            let mut counters = transaction.open_table(COUNTERS).map_err(failed)?;
            let format = counters.get(FORMAT_KEY).map_err(failed)?.map(|value| value.value());
            match format {
                None => {
                    counters.insert(FORMAT_KEY, FORMAT).map_err(failed)?;
                }
                Some(FORMAT) => {}
                Some(other) => {
                    return Err(StateError::Failed(format!(
                        "written in format {other} by another version of stirrupd; this one knows \
                         format {FORMAT}"
                    )));
                }
            }
        }
        transaction.commit().map_err(failed)?;
        Ok(Self { database })
    }
}

fn failed(error: impl std::fmt::Display) -> StateError {
    StateError::Failed(error.to_string())
}

impl State for RedbState {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StateError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let rows = match transaction.open_table(definition(table)) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            other => other.map_err(failed)?,
        };
        let row = rows.get(key).map_err(failed)?;
        Ok(row.map(|guard| {
            let (revision, value) = guard.value();
            Row { revision, value: value.to_vec() }
        }))
    }

    fn list(&self, table: Table, prefix: &str) -> Result<Vec<(String, Row)>, StateError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let rows = match transaction.open_table(definition(table)) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut found = Vec::new();
        for entry in rows.range(prefix..).map_err(failed)? {
            let (key, guard) = entry.map_err(failed)?;
            if !key.value().starts_with(prefix) {
                break;
            }
            let (revision, value) = guard.value();
            found.push((key.value().to_owned(), Row { revision, value: value.to_vec() }));
        }
        Ok(found)
    }

    fn apply(&self, changes: &[Change]) -> Result<u64, StateError> {
        // Dropping a transaction without a commit takes everything back.
        let transaction = self.database.begin_write().map_err(failed)?;
        let revision = {
            let mut counters = transaction.open_table(COUNTERS).map_err(failed)?;
            let last = counters.get(REVISION_KEY).map_err(failed)?.map_or(ABSENT, |v| v.value());
            counters.insert(REVISION_KEY, last + 1).map_err(failed)?;
            last + 1
        };
        for change in changes {
            let mut rows = transaction.open_table(definition(change.table)).map_err(failed)?;
            let key = change.key.as_str();
            let found = rows.get(key).map_err(failed)?.map_or(ABSENT, |guard| guard.value().0);
            if found != change.expected {
                return Err(StateError::Conflict);
            }
            match &change.write {
                Write::Keep => {}
                Write::Put(value) => {
                    rows.insert(key, (revision, value.as_slice())).map_err(failed)?;
                }
                Write::Delete => {
                    rows.remove(key).map_err(failed)?;
                }
            }
        }
        transaction.commit().map_err(failed)?;
        Ok(revision)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn in_memory() -> RedbState {
        let backend = redb::backends::InMemoryBackend::new();
        RedbState::prepare(Database::builder().create_with_backend(backend).unwrap()).unwrap()
    }

    fn put(key: &str, expected: u64, value: &str) -> Change {
        let write = Write::Put(value.as_bytes().to_vec());
        Change { table: Table::Disks, key: key.to_owned(), expected, write }
    }

    #[test]
    fn a_batch_happens_as_a_whole_or_not_at_all() {
        let state = in_memory();
        let first = state.apply(&[put("p/a", ABSENT, "1"), put("p/b", ABSENT, "2")]).unwrap();
        let stale = [put("p/c", ABSENT, "3"), put("p/a", first + 1, "4")];
        assert_eq!(state.apply(&stale), Err(StateError::Conflict));
        assert_eq!(state.get(Table::Disks, "p/c").unwrap(), None);
        assert_eq!(state.get(Table::Disks, "p/a").unwrap().unwrap().value, b"1");
        assert_eq!(state.apply(&[put("p/a", ABSENT, "5")]), Err(StateError::Conflict));
    }

    #[test]
    fn a_row_made_anew_has_a_new_revision() {
        let state = in_memory();
        let first = state.apply(&[put("p/a", ABSENT, "1")]).unwrap();
        let delete = Change { write: Write::Delete, ..put("p/a", first, "") };
        state.apply(&[delete]).unwrap();
        let second = state.apply(&[put("p/a", ABSENT, "1")]).unwrap();
        assert_ne!(first, second);
        assert_eq!(state.apply(&[put("p/a", first, "2")]), Err(StateError::Conflict));
    }

    #[test]
    fn a_prefix_lists_its_own_rows_only() {
        let state = in_memory();
        let keys = ["p/a", "p/b", "p-q/a", "pp/a", "o/z"];
        state.apply(&keys.map(|key| put(key, ABSENT, key))).unwrap();
        let list = |prefix| {
            let rows = state.list(Table::Disks, prefix).unwrap();
            rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(list("p/"), ["p/a", "p/b"]);
        assert_eq!(list("").len(), keys.len());
        assert!(state.list(Table::Nodes, "").unwrap().is_empty());
    }

    #[test]
    fn it_lasts_is_private_and_has_one_owner() {
        let directory = tempfile::tempdir().unwrap();
        let state = RedbState::open(directory.path()).unwrap();
        state.apply(&[put("p/a", ABSENT, "1")]).unwrap();
        let second = RedbState::open(directory.path()).err().unwrap();
        assert!(second.to_string().contains("another stirrupd"), "{second}");
        drop(state);
        let path = directory.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let state = RedbState::open(directory.path()).unwrap();
        assert_eq!(state.get(Table::Disks, "p/a").unwrap().unwrap().value, b"1");
    }
}
