//! What takes longer than a call may, as jobs: imports, copies, what is done to disks.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::SemaphorePermit;

use super::shares::Place;
use super::{Catalog, Subject};
use crate::catalog::engine::{Engine, Import};
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::import::Progress;
use crate::catalog::jobs::{Job, JobState};
use crate::catalog::model::{Tagged, Warning};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::spec::{CopySpec, ImportSpec, PoolImportSpec};
use crate::catalog::transfer::Destination;

/// What a job does.
pub(super) struct Begun {
    pub(super) kind: &'static str,
    pub(super) project: Name,
    pub(super) object: String,
    pub(super) total_bytes: u64,
}

impl Catalog {
    /// Imports a file as an image, as a job. The file is looked at before this returns.
    ///
    /// # Errors
    /// `image-exists`; `source-...` when the file is not fit for it; `too-many-imports`.
    pub async fn import(
        &self,
        project: Name,
        name: ImageName,
        mut spec: ImportSpec,
    ) -> Result<Job, Error> {
        let queued = self.queue(&project)?;
        let store = self.store_of(&project, spec.store).await?;
        spec.store = Some(store.clone());
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let (this, runtime) = (self.clone(), Handle::current());
        self.call(Subject::Store(store), vec![guard], move |engine| {
            let import = engine.begin_import(&project, &name, &spec)?;
            this.run_import(engine, &runtime, "image-import", (&project, &name), import, queued)
        })
        .await
    }

    /// Imports an image of another pool of a store's cluster, as a job. The original is only read.
    ///
    /// # Errors
    /// `image-exists`, `source-unreadable`, `source-in-use`, `source-too-large`, `too-many-imports`,
    /// and what the store says.
    pub async fn import_from_pool(
        &self,
        project: Name,
        name: ImageName,
        spec: PoolImportSpec,
    ) -> Result<Job, Error> {
        let queued = self.queue(&project)?;
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let (this, runtime) = (self.clone(), Handle::current());
        let store = self.store_of(&project, spec.from.clone()).await?;
        self.call(Subject::Store(store), vec![guard], move |engine| {
            let import = engine.begin_pool_import(&project, &name, &spec)?;
            this.run_import(engine, &runtime, "image-import", (&project, &name), import, queued)
        })
        .await
    }

    /// Copies an image out, to a file on the gateway or to another pool, as a job. Nothing is
    /// overwritten.
    ///
    /// # Errors
    /// `image-not-found`, `tag-not-found`, `target-exists`, `target-unwritable`, `invalid-path`,
    /// `too-many-imports`, and what the store says.
    pub async fn export_image(
        &self,
        project: Name,
        name: ImageName,
        tag: Option<ImageName>,
        to: Destination,
    ) -> Result<Job, Error> {
        let queued = self.queue(&project)?;
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let (this, runtime) = (self.clone(), Handle::current());
        let subject = Subject::Image(project.clone(), name.clone());
        let begun = self.call(subject, vec![guard], move |engine| {
            let exporting = engine.begin_export(&project, &name, tag.as_ref(), &to)?;
            let (object, total_bytes) = (name.to_string(), exporting.total_bytes());
            let begun = Begun { kind: "image-export", project, object, total_bytes };
            let (job, progress) = match this.open_job(engine, &begun) {
                Ok(opened) => opened,
                Err(error) => {
                    let progress = Progress::default();
                    progress.cancel();
                    // Cancelled before its first step: all that this does is to remove the row.
                    let _ = engine.run_export(exporting, &progress);
                    return Err(error);
                }
            };
            let id = job.id;
            runtime.spawn(async move {
                let _queued = queued;
                let _turn = this.turn(&progress).await;
                let run = this.blocking(move |engine| engine.run_export(exporting, &progress));
                this.run_job(id, async { run.await.map(|()| Vec::new()) }).await;
                this.end_exports_later();
            });
            Ok(job)
        });
        let begun = begun.await;
        self.end_exports_later();
        begun
    }

    /// Copies an image, or a disk as it is now or at a tag, into a new image, as a job. What is
    /// written to the disk after this has returned is not in the copy.
    ///
    /// # Errors
    /// `image-exists`, `image-not-found`, `disk-not-found`, `tag-not-found`, `busy`,
    /// `source-too-large`, `too-many-imports`, and what the store says.
    pub async fn copy_image(
        &self,
        project: Name,
        name: ImageName,
        spec: CopySpec,
    ) -> Result<Job, Error> {
        let queued = self.queue(&project)?;
        let copy = (project.clone(), name.as_str().to_owned());
        let (kind, subject, guards) = match &spec.of {
            Tagged::Image(image) => {
                let original = (spec.project.clone(), image.as_str().to_owned());
                let subject = Subject::Image(spec.project.clone(), image.clone());
                ("image-copy", subject, self.lock_images(original, copy).await)
            }
            Tagged::Disk(disk) => {
                let subject = Subject::Disk(spec.project.clone(), disk.clone());
                let disk = self.lock(Noun::Disk, &spec.project, disk.as_str()).await;
                let image = self.lock(Noun::Image, &copy.0, &copy.1).await;
                ("disk-image", subject, vec![disk, image])
            }
        };
        let (this, runtime) = (self.clone(), Handle::current());
        self.call(subject, guards, move |engine| {
            let import = engine.begin_copy(&project, &name, &spec)?;
            this.run_import(engine, &runtime, kind, (&project, &name), import, queued)
        })
        .await
    }

    pub(super) fn run_import(
        &self,
        engine: &Engine,
        runtime: &Handle,
        kind: &'static str,
        (project, name): (&Name, &ImageName),
        import: Import,
        queued: Place,
    ) -> Result<Job, Error> {
        let (project, object) = (project.clone(), name.to_string());
        let begun = Begun { kind, project, object, total_bytes: import.total_bytes() };
        let (job, progress) = match self.open_job(engine, &begun) {
            Ok(opened) => opened,
            Err(error) => {
                engine.drop_import(import);
                return Err(error);
            }
        };
        let (this, id) = (self.clone(), job.id);
        runtime.spawn(async move {
            let _queued = queued;
            let _turn = this.turn(&progress).await;
            let run = this.blocking(move |engine| engine.run_import(import, &progress));
            this.run_job(id, async { Ok(run.await?.warnings) }).await;
        });
        Ok(job)
    }

    /// Has a disk hold again what it held at a tag, as a job. Its sessions end; unless `force` is
    /// set, it must have none.
    ///
    /// # Errors
    /// `disk-in-use`, `disk-not-found`, `tag-not-found`, `disk-edits-image`, `busy`.
    pub async fn rollback_disk(
        &self,
        project: Name,
        name: Name,
        tag: ImageName,
        force: bool,
    ) -> Result<Job, Error> {
        let guard = self.lock(Noun::Disk, &project, name.as_str()).await;
        let (this, runtime) = (self.clone(), Handle::current());
        self.call(Subject::Nothing, Vec::new(), move |engine| {
            let total_bytes = engine.check_rollback(&project, &name, &tag, force)?;
            let (project_too, object) = (project.clone(), name.to_string());
            let begun = Begun { kind: "disk-rollback", project: project_too, object, total_bytes };
            let (job, progress) = this.open_job(engine, &begun)?;
            let id = job.id;
            runtime.spawn(async move {
                let subject = Subject::Disk(project.clone(), name.clone());
                let run = this.call(subject, vec![guard], move |engine| {
                    engine.rollback(&project, &name, &tag, force, &progress)
                });
                this.run_job(id, async { run.await.map(|()| Vec::new()) }).await;
            });
            Ok(job)
        })
        .await
    }

    /// Makes a disk independent of its image, as a job; who uses it goes on.
    ///
    /// # Errors
    /// `disk-has-tags`, `disk-not-found`, `disk-edits-image`, `busy`, `too-many-imports`.
    pub async fn flatten_disk(&self, project: Name, name: Name) -> Result<Job, Error> {
        let queued = self.queue(&project)?;
        let guard = self.lock(Noun::Disk, &project, name.as_str()).await;
        let (this, runtime) = (self.clone(), Handle::current());
        self.call(Subject::Nothing, vec![guard], move |engine| {
            let (total_bytes, work) = engine.begin_flatten(&project, &name)?;
            let (project_too, object) = (project.clone(), name.to_string());
            let begun = Begun { kind: "disk-flatten", project: project_too, object, total_bytes };
            let (job, progress) = this.open_job(engine, &begun)?;
            let id = job.id;
            runtime.spawn(async move {
                let _queued = queued;
                let _turn = this.turn(&progress).await;
                let run = this.run_flatten(project, name, progress);
                this.run_job(id, async { run.await.map(|()| Vec::new()) }).await;
                drop(work);
            });
            Ok(job)
        })
        .await
    }

    async fn run_flatten(
        &self,
        project: Name,
        name: Name,
        progress: Arc<Progress>,
    ) -> Result<(), Error> {
        // The disk is not locked meanwhile: it must be possible to take it off its node.
        let names = (project.clone(), name.clone());
        self.blocking(move |engine| engine.flatten(&names.0, &names.1, &progress)).await?;
        let guard = self.lock(Noun::Disk, &project, name.as_str()).await;
        self.call(Subject::Nothing, vec![guard], move |engine| engine.end_flatten(&project, &name))
            .await
    }

    /// A place among the jobs that wait for their turn.
    pub(super) fn queue(&self, project: &Name) -> Result<Place, Error> {
        self.0.imports_queued.take(Some(project)).ok_or_else(|| {
            let message = "too many imports and copies wait for their turn; try again later";
            Error::new(ErrorKind::Unavailable, "too-many-imports", message)
        })
    }

    /// Waits for a job's turn; one that is cancelled waits no longer, and has nothing left to do but
    /// to end.
    pub(super) async fn turn(&self, progress: &Progress) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            turn = self.0.imports.acquire() => turn.ok(),
            () = progress.cancelled() => None,
        }
    }

    /// Gives a job its number.
    pub(super) fn open_job(
        &self,
        engine: &Engine,
        begun: &Begun,
    ) -> Result<(Job, Arc<Progress>), Error> {
        let job = engine.add_job(Job {
            id: 0,
            kind: begun.kind.to_owned(),
            project: begun.project.to_string(),
            object: begun.object.clone(),
            state: JobState::Queued,
            done_bytes: 0,
            total_bytes: begun.total_bytes,
            created: Timestamp::now(),
            started: None,
            rate: None,
            finished: None,
            error: None,
            warnings: Vec::new(),
        })?;
        let progress = Arc::new(Progress::default());
        let old = self.0.jobs.add(job.clone(), Arc::clone(&progress));
        if let Err(error) = engine.forget_jobs(&old) {
            tracing::warn!(%error, "old jobs could not be forgotten");
        }
        Ok((job, progress))
    }

    /// Runs a job whose turn it is, and keeps its end.
    pub(super) async fn run_job(
        &self,
        id: u64,
        work: impl Future<Output = Result<Vec<Warning>, Error>>,
    ) {
        self.0.jobs.start(id);
        let result = work.await;
        let ended = self.0.jobs.update(id, |job| {
            job.finished = Some(Timestamp::now());
            match result {
                Ok(warnings) => {
                    job.state = JobState::Succeeded;
                    job.done_bytes = job.total_bytes;
                    job.warnings = warnings;
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
