//! What jobs of this process are at.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::error::Noun;
use crate::catalog::name::Name;

/// Objects that jobs fill or read, and how many jobs do.
#[derive(Clone, Default)]
pub(super) struct AtWork(Arc<Mutex<BTreeMap<String, usize>>>);

/// A job is at an object until this is dropped.
pub(in crate::catalog) struct Work {
    at: AtWork,
    key: String,
}

impl AtWork {
    /// A job begins.
    pub(super) fn begin(&self, noun: Noun, project: &Name, name: &str) -> Work {
        let key = key(noun, project, name);
        *self.0.lock().entry(key.clone()).or_default() += 1;
        Work { at: self.clone(), key }
    }

    /// Whether a job is at an object.
    pub(super) fn is(&self, noun: Noun, project: &Name, name: &str) -> bool {
        self.0.lock().contains_key(&key(noun, project, name))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut jobs = self.at.0.lock();
        if let Some(count) = jobs.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                jobs.remove(&self.key);
            }
        }
    }
}

fn key(noun: Noun, project: &Name, name: &str) -> String {
    format!("{noun}/{project}/{name}")
}
