//! The embedded state: one redb file, for one daemon.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockWriteGuard};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

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
        Table::Tags => "tags",
        Table::Macs => "macs",
        Table::Jobs => "jobs",
        Table::Tokens => "tokens",
        Table::Certificates => "certificates",
        Table::Projects => "projects",
    })
}

/// The catalog in a file. A second daemon on the same file is refused.
pub struct RedbState {
    /// `None`: it has to be opened anew. After an error of the file, redb refuses everything.
    database: RwLock<Option<Held>>,
    open: Open,
}

/// Opens the database, more than once if need be.
type Open = Box<dyn Fn() -> Result<Held, StateError> + Send + Sync>;

struct Held {
    database: Database,
    /// Its file once more, for reserving space.
    file: Option<File>,
    /// As much of it has no holes.
    reserved_bytes: AtomicU64,
}

impl RedbState {
    /// Opens, or makes, the catalog in `directory`. The file holds secrets and is readable by its
    /// owner only.
    ///
    /// # Errors
    /// One line that names the file: it is in use, not readable, damaged or too new.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let path = directory.join(FILE);
        fs::create_dir_all(directory)
            .map_err(|error| StateError::Failed(format!("{}: {error}", path.display())))?;
        Self::over(Box::new(move || open_file(&path)))
    }

    fn over(open: Open) -> Result<Self, StateError> {
        let held = open()?;
        prepare(&held.database)?;
        Ok(Self { database: RwLock::new(Some(held)), open })
    }

    /// Does something with the database, which is opened anew first if it was given up.
    fn with<T>(&self, work: impl FnOnce(&Held) -> Result<T, Failure>) -> Result<T, StateError> {
        let mut held = self.database.read();
        if held.is_none() {
            drop(held);
            let mut empty = self.database.write();
            if empty.is_none() {
                *empty = Some((self.open)()?);
            }
            held = RwLockWriteGuard::downgrade(empty);
        }
        let Some(open) = held.as_ref() else { return Err(failed("not open")) };
        let result = work(open);
        drop(held);
        result.map_err(|failure| match failure {
            Failure::State(error) => error,
            Failure::Database(error) => {
                if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
                    *self.database.write() = None;
                }
                failed(error)
            }
        })
    }
}

/// Why work on the database failed.
enum Failure {
    State(StateError),
    Database(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

/// Opens, or makes, the file.
fn open_file(path: &Path) -> Result<Held, StateError> {
    let context = |error: &dyn Display| StateError::Failed(format!("{}: {error}", path.display()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| context(&error))?;
    let database = Database::builder().create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => {
            context(&"in use: another stirrupd runs on this state directory")
        }
        error => context(&error),
    })?;
    let held = Held { database, file: Some(file), reserved_bytes: AtomicU64::new(0) };
    held.reserve();
    Ok(held)
}

impl Held {
    /// Has the file without holes: what is in it can be changed, and objects removed, when the
    /// file system is full.
    fn reserve(&self) {
        let Some(file) = &self.file else { return };
        let reserved = file.metadata().and_then(|metadata| {
            let (from, to) = (self.reserved_bytes.load(Ordering::Relaxed), metadata.len());
            // Only what has come since: the rest stays, and a call must not take the longer the larger
            // the file is.
            if to > from {
                match fallocate(file, FallocateFlags::empty(), from, to - from) {
                    Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            self.reserved_bytes.store(to, Ordering::Relaxed);
            Ok(())
        });
        if let Err(error) = reserved {
            tracing::warn!(%error, "cannot reserve space for the catalog");
        }
    }
}

/// Checks the format, or writes it into a new file. Nothing is written into one that has it: it
/// must be possible to start when the file system is full.
fn prepare(database: &Database) -> Result<(), StateError> {
    let reading = database.begin_read().map_err(failed)?;
    let format = match reading.open_table(COUNTERS) {
        Err(TableError::TableDoesNotExist(_)) => None,
        other => other.map_err(failed)?.get(FORMAT_KEY).map_err(failed)?.map(|it| it.value()),
    };
    match format {
        Some(FORMAT) => Ok(()),
        Some(other) => Err(StateError::Failed(format!(
            "written in format {other} by another version of stirrupd; this one knows format \
             {FORMAT}"
        ))),
        None => {
            let writing = database.begin_write().map_err(failed)?;
            let mut counters = writing.open_table(COUNTERS).map_err(failed)?;
            counters.insert(FORMAT_KEY, FORMAT).map_err(failed)?;
            drop(counters);
            writing.commit().map_err(failed)
        }
    }
}

fn failed(error: impl Display) -> StateError {
    StateError::Failed(error.to_string())
}

impl State for RedbState {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StateError> {
        self.with(|held| {
            let transaction = held.database.begin_read()?;
            let rows = match transaction.open_table(definition(table)) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                other => other?,
            };
            let row = rows.get(key)?;
            Ok(row.map(|guard| {
                let (revision, value) = guard.value();
                Row { revision, value: value.to_vec() }
            }))
        })
    }

    fn list(&self, table: Table, prefix: &str) -> Result<Vec<(String, Row)>, StateError> {
        self.with(|held| {
            let transaction = held.database.begin_read()?;
            let rows = match transaction.open_table(definition(table)) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                other => other?,
            };
            let mut found = Vec::new();
            for entry in rows.range(prefix..)? {
                let (key, guard) = entry?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                let (revision, value) = guard.value();
                found.push((key.value().to_owned(), Row { revision, value: value.to_vec() }));
            }
            Ok(found)
        })
    }

    fn apply(&self, changes: &[Change]) -> Result<u64, StateError> {
        self.with(|held| {
            // Dropping a transaction without a commit takes everything back.
            let transaction = held.database.begin_write()?;
            let revision = {
                let mut counters = transaction.open_table(COUNTERS)?;
                let last = counters.get(REVISION_KEY)?.map_or(ABSENT, |v| v.value());
                counters.insert(REVISION_KEY, last + 1)?;
                last + 1
            };
            for change in changes {
                let mut rows = transaction.open_table(definition(change.table))?;
                let key = change.key.as_str();
                let found = rows.get(key)?.map_or(ABSENT, |guard| guard.value().0);
                if found != change.expected {
                    return Err(Failure::State(StateError::Conflict));
                }
                match &change.write {
                    Write::Keep => {}
                    Write::Put(value) => {
                        rows.insert(key, (revision, value.as_slice()))?;
                    }
                    Write::Delete => {
                        rows.remove(key)?;
                    }
                }
            }
            transaction.commit()?;
            held.reserve();
            Ok(revision)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use parking_lot::Mutex;

    use super::*;

    fn in_memory() -> RedbState {
        over(&Disk::default()).unwrap()
    }

    fn over(disk: &Disk) -> Result<RedbState, StateError> {
        let disk = disk.clone();
        RedbState::over(Box::new(move || {
            let opened = Database::builder().create_with_backend(disk.clone());
            disk.full.store(disk.full_once_open.load(Ordering::SeqCst), Ordering::SeqCst);
            let held = |database| Held { database, file: None, reserved_bytes: AtomicU64::new(0) };
            opened.map(held).map_err(failed)
        }))
    }

    /// A disk that lasts longer than the database, and may be full.
    #[derive(Debug, Clone, Default)]
    struct Disk {
        bytes: Arc<Mutex<Vec<u8>>>,
        full: Arc<AtomicBool>,
        full_once_open: Arc<AtomicBool>,
    }

    impl Disk {
        fn check(&self) -> io::Result<()> {
            if self.full.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }
    }

    impl redb::StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            Ok(self.bytes.lock().len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let at = usize::try_from(offset).unwrap();
            out.copy_from_slice(&self.bytes.lock()[at..at + out.len()]);
            Ok(())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.check()?;
            self.bytes.lock().resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.check()?;
            let at = usize::try_from(offset).unwrap();
            self.bytes.lock()[at..at + data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    #[test]
    fn it_works_again_as_soon_as_the_disk_is_not_full_any_more() {
        let disk = Disk::default();
        let state = over(&disk).unwrap();
        let revision = state.apply(&[put("p/a", ABSENT, "1")]).unwrap();
        disk.full.store(true, Ordering::SeqCst);
        state.apply(&[put("p/b", ABSENT, "2")]).unwrap_err();
        disk.full.store(false, Ordering::SeqCst);
        assert_eq!(state.get(Table::Disks, "p/a").unwrap().unwrap().revision, revision);
        assert_eq!(state.get(Table::Disks, "p/b").unwrap(), None);
        state.apply(&[put("p/b", ABSENT, "2")]).unwrap();
    }

    #[test]
    fn a_start_writes_nothing() {
        let disk = Disk::default();
        let state = over(&disk).unwrap();
        state.apply(&[put("p/a", ABSENT, "1")]).unwrap();
        drop(state);
        disk.full_once_open.store(true, Ordering::SeqCst);
        let state = over(&disk).unwrap();
        assert_eq!(state.get(Table::Disks, "p/a").unwrap().unwrap().value, b"1");
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
        let metadata = fs::metadata(directory.path().join(FILE)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(metadata.blocks() * 512 >= metadata.len(), "no holes");
        let state = RedbState::open(directory.path()).unwrap();
        assert_eq!(state.get(Table::Disks, "p/a").unwrap().unwrap().value, b"1");
    }
}
