//! Imports as jobs.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Catalog, Subject};
use crate::catalog::engine::Import;
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::import::Progress;
use crate::catalog::jobs::{Job, JobState};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::spec::ImportSpec;

impl Catalog {
    /// Imports a file as an image, as a job. The file is looked at before this returns.
    ///
    /// # Errors
    /// `image-exists`; `source-...` when the file is not fit for it; `too-many-imports`.
    pub async fn import(
        &self,
        project: Name,
        name: ImageName,
        spec: ImportSpec,
    ) -> Result<Job, Error> {
        let queued = Arc::clone(&self.0.imports_queued).try_acquire_owned().map_err(|_| {
            let message = "too many imports wait for their turn; try again later";
            Error::new(ErrorKind::Unavailable, "too-many-imports", message)
        })?;
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let this = self.clone();
        let runtime = tokio::runtime::Handle::current();
        let store = spec.store.clone().unwrap_or_else(|| self.0.engine.default_store().to_owned());
        self.call(Subject::Store(store), vec![guard], move |engine| {
            let import = engine.begin_import(&project, &name, &spec)?;
            let job = Job {
                id: 0,
                kind: "image-import".to_owned(),
                project: project.to_string(),
                object: name.to_string(),
                state: JobState::Queued,
                done_bytes: 0,
                total_bytes: import.total_bytes(),
                created: Timestamp::now(),
                finished: None,
                error: None,
                warnings: Vec::new(),
            };
            let job = match engine.add_job(job) {
                Ok(job) => job,
                Err(error) => {
                    engine.drop_import(import);
                    return Err(error);
                }
            };
            let progress = Arc::new(Progress::default());
            let old = this.0.jobs.add(job.clone(), Arc::clone(&progress));
            if let Err(error) = engine.forget_jobs(&old) {
                tracing::warn!(%error, "old jobs could not be forgotten");
            }
            let id = job.id;
            runtime.spawn(async move {
                let _queued = queued;
                this.run_import(id, import, progress).await;
            });
            Ok(job)
        })
        .await
    }

    async fn run_import(&self, id: u64, import: Import, progress: Arc<Progress>) {
        let turn = self.0.imports.acquire().await;
        self.0.jobs.update(id, |job| job.state = JobState::Running);
        let result = self.blocking(move |engine| engine.run_import(import, &progress)).await;
        drop(turn);
        let ended = self.0.jobs.update(id, |job| {
            job.finished = Some(Timestamp::now());
            match result {
                Ok(image) => {
                    job.state = JobState::Succeeded;
                    job.done_bytes = job.total_bytes;
                    job.warnings = image.warnings;
                }
                Err(error) if error.kind() == ErrorKind::Cancelled => {
                    job.state = JobState::Cancelled;
                }
                Err(error) => {
                    job.state = JobState::Failed;
                    job.error = Some(error.to_string());
                }
            }
        });
        let Some(job) = ended else { return };
        if let Err(error) = self.blocking(move |engine| engine.end_job(&job)).await {
            tracing::warn!(id, %error, "the end of a job could not be kept");
        }
    }
}
