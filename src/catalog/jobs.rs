//! Jobs: progress while they run, their end kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::error::{Error, ErrorKind, Noun};
use super::import::Progress;
use super::model::Warning;

/// Ended jobs that are kept; the oldest go first.
pub(super) const JOBS_KEPT: usize = 1000;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// At work.
    Running,
    /// Done.
    Succeeded,
    /// Ended by an error.
    Failed,
    /// Ended by a caller.
    Cancelled,
}

impl JobState {
    /// It will not change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number, never given out twice.
    pub id: u64,
    /// What it does: `image-import`, `image-upload`, `image-copy`, `image-export`, `disk-image`,
    /// `disk-rollback`, `disk-flatten`.
    pub kind: String,
    /// Project of the object.
    pub project: String,
    /// Name of the object.
    pub object: String,
    /// Where it stands.
    pub state: JobState,
    /// Bytes dealt with.
    pub done_bytes: u64,
    /// Bytes there are.
    pub total_bytes: u64,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
    /// What it noticed.
    pub warnings: Vec<Warning>,
}

/// All jobs that are known.
#[derive(Default)]
pub(super) struct Jobs(Mutex<BTreeMap<u64, Entry>>);

struct Entry {
    job: Job,
    progress: Arc<Progress>,
}

impl Jobs {
    /// Takes jobs of an earlier run.
    pub(super) fn load(jobs: Vec<Job>) -> Self {
        let entry = |job: Job| (job.id, Entry { job, progress: Arc::default() });
        Self(Mutex::new(jobs.into_iter().map(entry).collect()))
    }

    /// Takes a new job, and gives the numbers of those that are too old to be kept.
    pub(super) fn add(&self, job: Job, progress: Arc<Progress>) -> Vec<u64> {
        let mut jobs = self.0.lock();
        jobs.insert(job.id, Entry { job, progress });
        let surplus = jobs.len().saturating_sub(JOBS_KEPT);
        let ended = jobs.values().filter(|entry| entry.job.state.is_final());
        let old: Vec<u64> = ended.map(|entry| entry.job.id).take(surplus).collect();
        for id in &old {
            jobs.remove(id);
        }
        old
    }

    /// Changes a job.
    pub(super) fn update(&self, id: u64, change: impl FnOnce(&mut Job)) -> Option<Job> {
        let mut jobs = self.0.lock();
        let entry = jobs.get_mut(&id)?;
        change(&mut entry.job);
        Some(entry.snapshot())
    }

    /// A job as it is now.
    pub(super) fn get(&self, id: u64) -> Result<Job, Error> {
        self.0.lock().get(&id).map(Entry::snapshot).ok_or_else(|| unknown(id))
    }

    /// All jobs, newest first.
    pub(super) fn list(&self) -> Vec<Job> {
        self.0.lock().values().rev().map(Entry::snapshot).collect()
    }

    /// Asks a job to stop.
    pub(super) fn cancel(&self, id: u64) -> Result<Job, Error> {
        let jobs = self.0.lock();
        let entry = jobs.get(&id).ok_or_else(|| unknown(id))?;
        if entry.job.state.is_final() {
            let message = format!("job {id} has ended already");
            return Err(Error::new(ErrorKind::Conflict, "job-ended", message));
        }
        entry.progress.cancel.store(true, Ordering::Relaxed);
        Ok(entry.snapshot())
    }

    /// Asks all jobs to stop.
    pub(super) fn cancel_all(&self) {
        for entry in self.0.lock().values() {
            entry.progress.cancel.store(true, Ordering::Relaxed);
        }
    }
}

impl Entry {
    fn snapshot(&self) -> Job {
        let mut job = self.job.clone();
        if !job.state.is_final() {
            job.done_bytes = self.progress.done_bytes.load(Ordering::Relaxed);
        }
        job
    }
}

fn unknown(id: u64) -> Error {
    let code = Error::not_found(Noun::Job, "", "").code();
    Error::new(ErrorKind::NotFound, code, format!("no job {id}; the last {JOBS_KEPT} are kept"))
}
