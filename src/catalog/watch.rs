//! What becomes true in the catalog, told to whoever watches.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::certificates::Certificate;
use super::error::Noun;
use super::jobs::Job;
use super::model::{Disk, Image, Node, Project, Tag};
use super::state::{ABSENT, Change, Row, State, StateError, Table, Write};
use super::tokens::Token;

/// Watches a catalog.
pub trait Watcher: Send + Sync + 'static {
    /// A row has changed, and that is on stable storage. Must return at once: a call waits for it.
    fn changed(&self, change: RowChange);
}

/// What has become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It was not there before.
    Made,
    /// It was there, and is different.
    Changed,
    /// It is not there any more.
    Removed,
}

/// A change of one row.
#[derive(Debug)]
pub struct RowChange {
    /// What kind of change.
    pub what: What,
    /// What kind of object.
    pub noun: Noun,
    /// Its project; empty for what belongs to none, and for jobs (the row says).
    pub project: String,
    /// Its name.
    pub name: String,
    /// What has it, if it is a tag: kind and name.
    pub of: Option<(String, String)>,
    /// What it is now, unless it was removed.
    pub row: Option<Watched>,
}

/// A row that is watched.
#[derive(Debug)]
pub enum Watched {
    /// An image.
    Image(Box<Image>),
    /// A disk.
    Disk(Box<Disk>),
    /// A node.
    Node(Box<Node>),
    /// A tag.
    Tag(Box<Tag>),
    /// A job.
    Job(Box<Job>),
    /// A project.
    Project(Box<Project>),
    /// A token.
    Token(Box<Token>),
    /// A client certificate.
    Certificate(Box<Certificate>),
}

/// A state whose changes are told to a watcher once they are made. All that the catalog does goes
/// through [`State::apply`], so nothing is missed; one that failed is not told, even if it may have
/// happened.
pub struct WatchedState {
    state: Arc<dyn State>,
    watcher: Arc<dyn Watcher>,
}

impl WatchedState {
    /// Puts a watcher before a state.
    #[must_use]
    pub fn new(state: Arc<dyn State>, watcher: Arc<dyn Watcher>) -> Self {
        Self { state, watcher }
    }
}

impl State for WatchedState {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StateError> {
        self.state.get(table, key)
    }

    fn list(&self, table: Table, prefix: &str) -> Result<Vec<(String, Row)>, StateError> {
        self.state.list(table, prefix)
    }

    fn apply(&self, changes: &[Change]) -> Result<u64, StateError> {
        let revision = self.state.apply(changes)?;
        for change in changes.iter().filter_map(told) {
            self.watcher.changed(change);
        }
        Ok(revision)
    }
}

/// What is told of a change: nothing of tables that only help to find other rows.
fn told(change: &Change) -> Option<RowChange> {
    let what = match &change.write {
        Write::Keep => return None,
        Write::Put(_) if change.expected == ABSENT => What::Made,
        Write::Put(_) => What::Changed,
        Write::Delete => What::Removed,
    };
    let value = match &change.write {
        Write::Put(value) => Some(value.as_slice()),
        _ => None,
    };
    let (noun, row) = match change.table {
        Table::Images => (Noun::Image, row(value, Watched::Image)),
        Table::Disks => (Noun::Disk, row(value, Watched::Disk)),
        Table::Nodes => (Noun::Node, row(value, Watched::Node)),
        Table::Tags => (Noun::Tag, row(value, Watched::Tag)),
        Table::Jobs => (Noun::Job, row(value, Watched::Job)),
        Table::Tokens => (Noun::Token, row(value, Watched::Token)),
        Table::Certificates => (Noun::Certificate, row(value, Watched::Certificate)),
        Table::Projects => (Noun::Project, row(value, Watched::Project)),
        Table::Meta | Table::Uses | Table::Macs => return None,
    };
    let key = change.key.as_str();
    let parts: Vec<&str> = key.split('/').collect();
    let (project, name, of) = match parts[..] {
        // Any character may stand in its name.
        _ if noun == Noun::Certificate => ("", key, None),
        [name] => ("", name, None),
        [project, name] => (project, name, None),
        [kind, project, of, name] => (project, name, Some((kind.to_owned(), of.to_owned()))),
        _ => return None,
    };
    Some(RowChange { what, noun, project: project.to_owned(), name: name.to_owned(), of, row })
}

/// A row that makes no sense is not told: whoever reads it says so.
fn row<T: DeserializeOwned>(
    value: Option<&[u8]>,
    wrap: impl FnOnce(Box<T>) -> Watched,
) -> Option<Watched> {
    serde_json::from_slice(value?).ok().map(|row| wrap(Box::new(row)))
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::catalog::tests::world::MemoryState;

    #[derive(Default)]
    struct Seen(Mutex<Vec<(What, Noun, String, String)>>);

    impl Watcher for Seen {
        fn changed(&self, change: RowChange) {
            let RowChange { what, noun, project, name, .. } = change;
            self.0.lock().push((what, noun, project, name));
        }
    }

    #[test]
    fn what_was_committed_is_told_and_nothing_else() {
        let seen = Arc::<Seen>::default();
        let state = WatchedState::new(Arc::<MemoryState>::default(), Arc::clone(&seen) as _);
        let change = |table, key: &str, expected, write| Change {
            table,
            key: key.to_owned(),
            expected,
            write,
        };
        let put = || Write::Put(b"{}".to_vec());
        let batch = [
            change(Table::Nodes, "lab/n1", ABSENT, put()),
            change(Table::Macs, "52:54:00:00:00:01", ABSENT, put()),
            change(Table::Tags, "disk/lab/d1/t1", ABSENT, put()),
        ];
        let revision = state.apply(&batch).unwrap();
        assert_eq!(state.apply(&batch), Err(StateError::Conflict));
        let batch = [
            change(Table::Nodes, "lab/n1", revision, put()),
            change(Table::Tags, "disk/lab/d1/t1", revision, Write::Keep),
        ];
        let revision = state.apply(&batch).unwrap();
        state.apply(&[change(Table::Nodes, "lab/n1", revision, Write::Delete)]).unwrap();
        let told = |what, noun, name: &str| (what, noun, "lab".to_owned(), name.to_owned());
        let expected = [
            told(What::Made, Noun::Node, "n1"),
            told(What::Made, Noun::Tag, "t1"),
            told(What::Changed, Noun::Node, "n1"),
            told(What::Removed, Noun::Node, "n1"),
        ];
        assert_eq!(*seen.0.lock(), expected);
    }
}
