//! What each project has, counted as rows change: a call that is to keep within a limit must not take
//! the longer the more there is.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;

use super::rows::decode;
use crate::catalog::error::Error;
use crate::catalog::model::Usage;
use crate::catalog::name::Name;
use crate::catalog::state::{Change, Row, State, StateError, Table, Write};

/// A state, with a count of what its rows amount to.
pub(super) struct Tallied {
    inner: Arc<dyn State>,
    /// `None`: it has to be counted anew.
    tally: Mutex<Option<Tally>>,
}

#[derive(Default)]
struct Tally {
    /// By table and key.
    rows: HashMap<(Table, String), Usage>,
    projects: HashMap<String, Usage>,
}

impl Tally {
    fn put(&mut self, table: Table, key: &str, usage: Option<Usage>) {
        let before = match usage {
            Some(usage) => self.rows.insert((table, key.to_owned()), usage),
            None => self.rows.remove(&(table, key.to_owned())),
        };
        let project = key.split('/').next().unwrap_or(key);
        let sum = self.projects.entry(project.to_owned()).or_default();
        let (before, now) = (before.unwrap_or_default(), usage.unwrap_or_default());
        let change = |sum: &mut u64, before: u64, now: u64| {
            *sum = sum.wrapping_sub(before).wrapping_add(now);
        };
        change(&mut sum.disks, before.disks, now.disks);
        change(&mut sum.bytes, before.bytes, now.bytes);
        change(&mut sum.nodes, before.nodes, now.nodes);
        if *sum == Usage::default() {
            self.projects.remove(project);
        }
    }
}

/// What counts of an image's row.
#[derive(Deserialize)]
struct ImageRow {
    size_bytes: u64,
}

/// What counts of a disk's row.
#[derive(Deserialize)]
struct DiskRow {
    size_bytes: u64,
    #[serde(default)]
    edits: bool,
    node: Option<String>,
}

/// What a row amounts to; `None`: nothing, whatever it says.
fn usage(table: Table, key: &str, value: &[u8]) -> Result<Option<Usage>, Error> {
    Ok(match table {
        Table::Images => {
            let row: ImageRow = decode(table, key, value)?;
            Some(Usage { bytes: row.size_bytes, ..Usage::default() })
        }
        Table::Disks => {
            let row: DiskRow = decode(table, key, value)?;
            // Otherwise it is the image, which is counted already.
            let bytes = if row.edits { 0 } else { row.size_bytes };
            Some(Usage { disks: 1, bytes, nodes: u64::from(row.node.is_some()) })
        }
        _ => None,
    })
}

impl Tallied {
    pub(super) fn new(inner: Arc<dyn State>) -> Arc<Self> {
        Arc::new(Self { inner, tally: Mutex::default() })
    }

    /// What a project has.
    pub(super) fn usage(&self, project: &Name) -> Result<Usage, Error> {
        let mut held = self.tally.lock();
        if held.is_none() {
            let mut tally = Tally::default();
            for table in [Table::Images, Table::Disks] {
                for (key, row) in self.inner.list(table, "")? {
                    tally.put(table, &key, usage(table, &key, &row.value)?);
                }
            }
            *held = Some(tally);
        }
        let usage = held.as_ref().and_then(|tally| tally.projects.get(project.as_str()));
        Ok(usage.copied().unwrap_or_default())
    }
}

impl State for Tallied {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StateError> {
        self.inner.get(table, key)
    }

    fn list(&self, table: Table, prefix: &str) -> Result<Vec<(String, Row)>, StateError> {
        self.inner.list(table, prefix)
    }

    fn apply(&self, changes: &[Change]) -> Result<u64, StateError> {
        let counts = |change: &&Change| matches!(change.table, Table::Images | Table::Disks);
        if !changes.iter().any(|change| counts(&change)) {
            return self.inner.apply(changes);
        }
        // Held meanwhile: what is counted is what was written last.
        let mut held = self.tally.lock();
        let result = self.inner.apply(changes);
        let counted = match (&result, held.as_mut()) {
            (Ok(_), Some(tally)) => changes.iter().filter(counts).try_for_each(|change| {
                match &change.write {
                    Write::Keep => {}
                    Write::Delete => tally.put(change.table, &change.key, None),
                    Write::Put(value) => {
                        let usage = usage(change.table, &change.key, value)?;
                        tally.put(change.table, &change.key, usage);
                    }
                }
                Ok::<_, Error>(())
            }),
            (Ok(_), None) | (Err(StateError::Conflict), _) => Ok(()),
            // It may have happened all the same.
            (Err(StateError::Failed(_)), _) => {
                *held = None;
                Ok(())
            }
        };
        if counted.is_err() {
            *held = None;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::catalog::state::ABSENT;
    use crate::catalog::tests::world::MemoryState;

    fn put(table: Table, key: &str, expected: u64, row: &serde_json::Value) -> Change {
        let write = Write::Put(row.to_string().into_bytes());
        Change { table, key: key.to_owned(), expected, write }
    }

    proptest! {
        /// What was counted as rows changed is what is there.
        #[test]
        fn the_count_is_always_that_of_the_rows(
            steps in proptest::collection::vec((0..2_u8, 0..4_u8, 0..4_u8, 0..1000_u64), 1..60),
        ) {
            let rows = Arc::new(MemoryState::default());
            let state = Tallied::new(Arc::clone(&rows) as Arc<dyn State>);
            let project = |n: u8| format!("p{}", n % 2);
            for (kind, name, what, size) in steps {
                let table = if kind == 0 { Table::Images } else { Table::Disks };
                let key = format!("{}/{name}", project(name));
                let revision = state.get(table, &key).unwrap().map_or(ABSENT, |row| row.revision);
                let node = (what == 1).then_some("n");
                let row = json!({"size_bytes": size, "edits": what == 2, "node": node});
                let change = match what {
                    0 if revision != ABSENT => {
                        Change { table, key, expected: revision, write: Write::Delete }
                    }
                    _ => put(table, &key, revision, &row),
                };
                // One that is refused counts for nothing.
                let stale = Change { expected: revision + 1000, ..change.clone() };
                prop_assert!(state.apply(&[stale]).is_err());
                state.apply(&[change]).unwrap();
                for name in [0, 1] {
                    let project = Name::project(&project(name)).unwrap();
                    let anew = Tallied::new(Arc::clone(&rows) as Arc<dyn State>);
                    prop_assert_eq!(state.usage(&project).unwrap(), anew.usage(&project).unwrap());
                }
            }
        }
    }
}
