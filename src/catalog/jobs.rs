//! Jobs: progress while they run, their end kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::error::{Error, ErrorKind, Noun};
use super::import::Progress;
use super::model::Warning;

/// Ended jobs that are kept; the oldest go first.
pub(super) const JOBS_KEPT: usize = 1000;

/// The rate of a job is that of so long a time, or of what has passed since it was last asked for.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// Looks at a job that are kept for its rate are at least so far apart.
const LOOKS_APART: Duration = Duration::from_millis(500);

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
    /// `disk-rollback`, `disk-flatten`, `disk-encrypt`.
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
    /// When its turn came.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// How fast it goes at the moment, in bytes per second; `None` if it does not run.
    #[serde(skip)]
    pub rate: Option<u64>,
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
    pace: Pace,
}

/// How fast a job goes: how far it was when it was looked at.
#[derive(Default)]
struct Pace(VecDeque<(Instant, u64)>);

impl Pace {
    /// Takes a look into account. The rate since the last look before the window, or the first one:
    /// in bytes per second, or `None` if there is nothing to compare with.
    fn look(&mut self, now: Instant, done_bytes: u64) -> Option<u64> {
        while self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_WINDOW) {
            self.0.pop_front();
        }
        let rate = self.0.front().and_then(|(at, before)| {
            let millis = now.duration_since(*at).as_millis();
            let bytes = u128::from(done_bytes.saturating_sub(*before));
            u64::try_from((bytes * 1000).checked_div(millis)?).ok()
        });
        if self.0.back().is_none_or(|(at, _)| now.duration_since(*at) >= LOOKS_APART) {
            self.0.push_back((now, done_bytes));
        }
        rate
    }
}

impl Jobs {
    /// Takes jobs of an earlier run.
    pub(super) fn load(jobs: Vec<Job>) -> Self {
        let entry =
            |job: Job| (job.id, Entry { job, progress: Arc::default(), pace: Pace::default() });
        Self(Mutex::new(jobs.into_iter().map(entry).collect()))
    }

    /// Takes a new job, and gives the numbers of those that are too old to be kept.
    pub(super) fn add(&self, job: Job, progress: Arc<Progress>) -> Vec<u64> {
        let mut jobs = self.0.lock();
        jobs.insert(job.id, Entry { job, progress, pace: Pace::default() });
        let surplus = jobs.len().saturating_sub(JOBS_KEPT);
        let ended = jobs.values().filter(|entry| entry.job.state.is_final());
        let old: Vec<u64> = ended.map(|entry| entry.job.id).take(surplus).collect();
        for id in &old {
            jobs.remove(id);
        }
        old
    }

    /// The turn of a job has come.
    pub(super) fn start(&self, id: u64) {
        if let Some(entry) = self.0.lock().get_mut(&id) {
            entry.job.state = JobState::Running;
            entry.job.started = Some(Timestamp::now());
            entry.pace.look(Instant::now(), 0);
        }
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
        self.0.lock().get_mut(&id).map(Entry::snapshot).ok_or_else(|| unknown(id))
    }

    /// All jobs, newest first.
    pub(super) fn list(&self) -> Vec<Job> {
        self.0.lock().values_mut().rev().map(Entry::snapshot).collect()
    }

    /// Those that are at work.
    pub(super) fn running(&self) -> Vec<Job> {
        let mut jobs = self.0.lock();
        let running = jobs.values_mut().filter(|entry| entry.job.state == JobState::Running);
        running.map(Entry::snapshot).collect()
    }

    /// Asks a job to stop.
    pub(super) fn cancel(&self, id: u64) -> Result<Job, Error> {
        let mut jobs = self.0.lock();
        let entry = jobs.get_mut(&id).ok_or_else(|| unknown(id))?;
        if entry.job.state.is_final() {
            let message = format!("job {id} has ended already");
            return Err(Error::new(ErrorKind::Conflict, "job-ended", message));
        }
        entry.progress.cancel();
        Ok(entry.snapshot())
    }

    /// Asks all jobs to stop.
    pub(super) fn cancel_all(&self) {
        for entry in self.0.lock().values() {
            entry.progress.cancel();
        }
    }
}

impl Entry {
    fn snapshot(&mut self) -> Job {
        let mut job = self.job.clone();
        if !job.state.is_final() {
            job.done_bytes = self.progress.done_bytes.load(Ordering::Relaxed);
        }
        if job.state == JobState::Running {
            job.rate = self.pace.look(Instant::now(), job.done_bytes);
        }
        job
    }
}

fn unknown(id: u64) -> Error {
    let code = Error::not_found(Noun::Job, "", "").code();
    Error::new(ErrorKind::NotFound, code, format!("no job {id}; the last {JOBS_KEPT} are kept"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::default();
        assert_eq!(pace.look(start, 0), None, "nothing to compare with");
        assert_eq!(pace.look(start, 0), None, "no time has passed");
        assert_eq!(pace.look(at(2000), 4000), Some(2000));
        for second in 3..=20 {
            pace.look(at(second * 1000), 4000);
        }
        assert_eq!(pace.look(at(20_000), 4000), Some(0), "it stands still");
        assert_eq!(pace.look(at(21_000), 14_000), Some(1000), "over the window");
        let mut rarely = Pace::default();
        rarely.look(start, 0);
        assert_eq!(rarely.look(at(3_600_000), 7_200_000), Some(2000), "since the first look");
        let mut often = Pace::default();
        for millis in 0..60_000 {
            often.look(at(millis), 2 * millis);
        }
        assert!(often.0.len() <= 23, "{}", often.0.len());
        assert_eq!(often.look(at(60_000), 120_000), Some(2000));
        assert_eq!(often.look(at(60_100), 10), Some(0), "a job that says less than before");
    }
}
