//! The rows of jobs.

use jiff::Timestamp;

use super::Engine;
use super::rows::{self, Batch};
use crate::catalog::error::Error;
use crate::catalog::jobs::{Job, JobState};
use crate::catalog::state::{ABSENT, Table};

impl Engine {
    /// Gives a job its number and keeps it.
    pub(in crate::catalog) fn add_job(&self, mut job: Job) -> Result<Job, Error> {
        self.apply_numbered(|_, id, batch| {
            job.id = id;
            batch.put(Table::Jobs, &job_key(id), ABSENT, &job)
        })?;
        Ok(job)
    }

    /// Keeps the end of a job.
    pub(in crate::catalog) fn end_job(&self, job: &Job) -> Result<(), Error> {
        let key = job_key(job.id);
        let revision = self.state.get(Table::Jobs, &key)?.map_or(ABSENT, |row| row.revision);
        let mut batch = Batch::default();
        batch.put(Table::Jobs, &key, revision, job)?;
        batch.apply(self.state.as_ref())?;
        Ok(())
    }

    /// Forgets jobs.
    pub(in crate::catalog) fn forget_jobs(&self, ids: &[u64]) -> Result<(), Error> {
        let mut batch = Batch::default();
        for id in ids {
            if let Some(row) = self.state.get(Table::Jobs, &job_key(*id))? {
                batch.delete(Table::Jobs, &job_key(*id), row.revision);
            }
        }
        batch.apply(self.state.as_ref())?;
        Ok(())
    }

    /// The jobs of earlier runs; those that a restart interrupted have failed.
    pub(in crate::catalog) fn old_jobs(&self) -> Result<Vec<Job>, Error> {
        let mut jobs = Vec::new();
        for row in rows::load_all::<Job>(self.state.as_ref(), Table::Jobs, "")? {
            let mut job = row.value;
            if !job.state.is_final() {
                job.state = JobState::Failed;
                job.error = Some("interrupted by a restart of stirrupd; start it again".into());
                job.finished = Some(Timestamp::now());
                self.end_job(&job)?;
            }
            jobs.push(job);
        }
        Ok(jobs)
    }
}

/// Sorts like the number.
fn job_key(id: u64) -> String {
    format!("{id:020}")
}
