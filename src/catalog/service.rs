//! The catalog as async calls: locks, the blocking pool, jobs, and what runs in the background.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

use super::engine::{Engine, Import, Report, Serving};
use super::error::{Error, ErrorKind, Noun};
use super::export::{Allowed, Exporter};
use super::import::Progress;
use super::jobs::{Job, JobState, Jobs};
use super::locks::{Guard, Locks};
use super::model::{Disk, DiskState, Image, Node};
use super::name::{ImageName, Name};
use super::spec::{DiskSpec, ImportSpec, NodeSpec};
use super::state::{RedbState, State};
use super::{Options, Stores};
use crate::backend::{StoreError, StoreKind};

/// Calls that may wait for a store at once.
const CALLS_MAX: usize = 32;
/// Disks that are opened at once after a start.
const OPENERS_MAX: usize = 16;
/// Imports at once; each has one thread.
const IMPORTS_MAX: usize = 2;
/// Imports that may wait for their turn.
const IMPORTS_QUEUED_MAX: usize = 64;
/// How long a stop waits for calls that are in a store.
const STOP_WAIT: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LAST: Duration = Duration::from_secs(30);

/// The catalog. Clones are handles of the same one.
#[derive(Clone)]
pub struct Catalog(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    locks: Locks,
    calls: Arc<Semaphore>,
    openers: Semaphore,
    imports: Arc<Semaphore>,
    imports_queued: Arc<Semaphore>,
    jobs: Jobs,
    stopping: watch::Sender<bool>,
}

/// A disk, how it is served, and who may log in.
#[derive(Clone)]
pub struct DiskView {
    /// The row.
    pub disk: Disk,
    /// How it is served at the moment.
    pub serving: Serving,
    /// Which initiators may log in.
    pub allowed: Allowed,
}

/// What a store's probe said.
#[derive(Debug)]
pub struct StoreHealth {
    /// The store's name.
    pub name: String,
    /// Its kind.
    pub kind: StoreKind,
    /// Its answer; `None`: none yet.
    pub result: Option<Result<(), StoreError>>,
}

impl Catalog {
    /// Opens the catalog in `directory` and publishes every disk without its volume. Blocks; no
    /// store is asked. Call [`Catalog::start`] next.
    ///
    /// # Errors
    /// When the catalog cannot be read, or the exporter refuses.
    pub fn open(
        directory: &Path,
        stores: Stores,
        exporter: Arc<dyn Exporter>,
        options: Options,
    ) -> Result<Self, Error> {
        Self::over(Arc::new(RedbState::open(directory)?), stores, exporter, options)
    }

    /// As [`Catalog::open`], over any state.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub fn over(
        state: Arc<dyn State>,
        stores: BTreeMap<String, Arc<dyn crate::backend::Store>>,
        exporter: Arc<dyn Exporter>,
        options: Options,
    ) -> Result<Self, Error> {
        let engine = Arc::new(Engine::new(state, stores, exporter, options)?);
        let jobs = Jobs::load(engine.old_jobs()?);
        engine.publish_all()?;
        Ok(Self(Arc::new(Inner {
            engine,
            locks: Locks::default(),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            openers: Semaphore::new(OPENERS_MAX),
            imports: Arc::new(Semaphore::new(IMPORTS_MAX)),
            imports_queued: Arc::new(Semaphore::new(IMPORTS_QUEUED_MAX)),
            jobs,
            stopping: watch::Sender::new(false),
        })))
    }

    /// Begins, in the background, to reconcile the catalog with the stores and to open the disks;
    /// what fails is tried again until [`Catalog::stop`].
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn start(&self) -> Result<(), Error> {
        for disk in self.0.engine.disks(None)? {
            match disk.state {
                DiskState::Ready | DiskState::Broken => self.serve_later(disk.project, disk.name),
                DiskState::Creating | DiskState::Removing => self.finish_later(disk),
            }
        }
        for image in self.0.engine.images(None)? {
            self.check_later(image);
        }
        let this = self.clone();
        tokio::spawn(async move {
            this.keep_trying("the search for orphans", || async {
                this.call(Vec::new(), |engine| {
                    let mut report = Report::default();
                    engine.remove_orphans(&mut report)
                })
                .await
            })
            .await;
        });
        Ok(())
    }

    /// Ends what runs in the background, cancels the jobs, and waits (a bounded time: a store may
    /// hang) for the calls that are in the stores at the moment. What is cut off is ended by the
    /// next start.
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        self.0.jobs.cancel_all();
        if tokio::time::timeout(STOP_WAIT, self.idle()).await.is_err() {
            tracing::warn!("a store has not answered in time; the next start ends what was begun");
        }
    }

    /// Until no call is in a store and no import runs.
    async fn idle(&self) {
        for (semaphore, permits) in
            [(&self.0.imports_queued, IMPORTS_QUEUED_MAX), (&self.0.calls, CALLS_MAX)]
        {
            let all = u32::try_from(permits).unwrap_or(u32::MAX);
            // Only a closed semaphore is an error, and these are never closed.
            let _ = semaphore.acquire_many(all).await;
        }
    }

    fn serve_later(&self, project: Name, name: Name) {
        let this = self.clone();
        tokio::spawn(async move {
            let what = format!("opening disk {project}/{name}");
            this.keep_trying(&what, || this.serve(&project, &name)).await;
        });
    }

    async fn serve(&self, project: &Name, name: &Name) -> Result<(), Error> {
        let _opener = self.0.openers.acquire().await.map_err(|_| stopping())?;
        let guard = self.0.locks.lock(Noun::Disk, project.as_str(), name.as_str()).await;
        let (project, name) = (project.clone(), name.clone());
        self.call(vec![guard], move |engine| engine.serve(&project, &name)).await
    }

    fn finish_later(&self, disk: Disk) {
        let this = self.clone();
        tokio::spawn(async move {
            let what =
                format!("ending the unfinished change of disk {}/{}", disk.project, disk.name);
            this.keep_trying(&what, || async {
                let guard = this.lock(Noun::Disk, &disk.project, disk.name.as_str()).await;
                let disk = disk.clone();
                this.call(vec![guard], move |engine| engine.end_unfinished_disk(&disk)).await
            })
            .await;
        });
    }

    fn check_later(&self, image: Image) {
        let this = self.clone();
        tokio::spawn(async move {
            let what = format!("checking image {}/{}", image.project, image.name);
            this.keep_trying(&what, || async {
                let guard = this.lock(Noun::Image, &image.project, image.name.as_str()).await;
                let image = image.clone();
                this.call(vec![guard], move |engine| {
                    engine.check_image(&image, &mut Report::default())
                })
                .await
            })
            .await;
        });
    }

    /// Repeats until it succeeds or the catalog stops, more and more rarely.
    async fn keep_trying<T, F>(&self, what: &str, mut attempt: impl FnMut() -> F)
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut stopping = self.0.stopping.subscribe();
        let mut pause = BACKOFF_FIRST;
        while !*stopping.borrow_and_update() {
            match attempt().await {
                Ok(_) => return,
                Err(error) => tracing::warn!(%error, ?pause, "{what} failed; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopping.changed() => {}
            }
            pause = BACKOFF_LAST.min(pause * 2);
        }
    }

    /// Runs a call that may wait for a store. It is carried through even if the caller goes away:
    /// the locks live as long as it does.
    async fn call<T: Send + 'static>(
        &self,
        guards: Vec<Guard>,
        call: impl FnOnce(&Engine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.0.calls).acquire_owned().await.map_err(|_| stopping())?;
        if *self.0.stopping.borrow() {
            return Err(stopping());
        }
        let runtime = tokio::runtime::Handle::current();
        let this = self.clone();
        self.blocking(move |engine| {
            let _held = (guards, permit);
            let result = call(engine);
            let _entered = runtime.enter();
            for (project, name) in engine.take_unserved() {
                this.serve_later(project, name);
            }
            result
        })
        .await
    }

    /// Runs a call that only reads the catalog's file.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Engine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let engine = Arc::clone(&self.0.engine);
        tokio::task::spawn_blocking(move || call(&engine)).await.map_err(|error| {
            Error::new(ErrorKind::Internal, "internal", format!("a call was lost: {error}"))
        })?
    }

    async fn lock(&self, noun: Noun, project: &Name, name: &str) -> Guard {
        self.0.locks.lock(noun, project.as_str(), name).await
    }

    /// Locks a node, and the disk that is bound to it or, if there is none, `disk`.
    async fn lock_node(
        &self,
        project: &Name,
        node: &Name,
        disk: Option<&Name>,
    ) -> Result<Vec<Guard>, Error> {
        let mut guards = vec![self.lock(Noun::Node, project, node.as_str()).await];
        let (project_too, node) = (project.clone(), node.clone());
        let bound = self.blocking(move |engine| match engine.node(&project_too, &node) {
            Ok(node) => Ok(node.disk),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        });
        if let Some(disk) = bound.await?.as_ref().or(disk) {
            guards.push(self.lock(Noun::Disk, project, disk.as_str()).await);
        }
        Ok(guards)
    }

    /// Asks every store whether it answers, without waiting longer than `patience`.
    pub async fn store_health(&self, patience: Duration) -> Vec<StoreHealth> {
        let probes: Vec<_> = self
            .0
            .engine
            .stores()
            .iter()
            .map(|(name, store)| {
                let (name, store) = (name.clone(), Arc::clone(store));
                let kind = store.kind();
                let calls = Arc::clone(&self.0.calls);
                let probe = async move {
                    let permit = calls.acquire_owned().await.ok()?;
                    let probe = tokio::task::spawn_blocking(move || {
                        let _held = permit;
                        store.probe()
                    });
                    probe.await.ok()
                };
                (name, kind, tokio::spawn(tokio::time::timeout(patience, probe)))
            })
            .collect();
        let mut health = Vec::new();
        for (name, kind, probe) in probes {
            let result = probe.await.ok().and_then(Result::ok).flatten();
            health.push(StoreHealth { name, kind, result });
        }
        health
    }

    /// The images of a project, or of all, sorted.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn images(&self, project: Option<Name>) -> Result<Vec<(Image, Vec<String>)>, Error> {
        self.blocking(move |engine| {
            let with_users = |image: Image| {
                let users = engine.image_users(&image.project, &image.name)?;
                Ok((image, users))
            };
            engine.images(project.as_ref())?.into_iter().map(with_users).collect()
        })
        .await
    }

    /// An image, and the names of the disks that use it.
    ///
    /// # Errors
    /// `image-not-found`.
    pub async fn image(
        &self,
        project: Name,
        name: ImageName,
    ) -> Result<(Image, Vec<String>), Error> {
        self.blocking(move |engine| {
            Ok((engine.image(&project, &name)?, engine.image_users(&project, &name)?))
        })
        .await
    }

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
        self.call(vec![guard], move |engine| {
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

    /// Removes an image.
    ///
    /// # Errors
    /// `image-in-use` with the disks that use it; `busy` while it is imported.
    pub async fn remove_image(&self, project: Name, name: ImageName) -> Result<(), Error> {
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        self.call(vec![guard], move |engine| engine.remove_image(&project, &name)).await
    }

    /// The disks of a project, or of all, sorted.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn disks(&self, project: Option<Name>) -> Result<Vec<DiskView>, Error> {
        self.blocking(move |engine| {
            engine.disks(project.as_ref())?.into_iter().map(|disk| view(engine, disk)).collect()
        })
        .await
    }

    /// A disk.
    ///
    /// # Errors
    /// `disk-not-found`.
    pub async fn disk(&self, project: Name, name: Name) -> Result<DiskView, Error> {
        self.blocking(move |engine| view(engine, engine.disk(&project, &name)?)).await
    }

    /// Clones an image and publishes the clone. The second answer: it was there already.
    ///
    /// # Errors
    /// `image-not-found`, `disk-exists`, and what the store says; nothing is left behind.
    pub async fn create_disk(
        &self,
        project: Name,
        name: Name,
        spec: DiskSpec,
    ) -> Result<(DiskView, bool), Error> {
        let guard = self.lock(Noun::Disk, &project, name.as_str()).await;
        self.call(vec![guard], move |engine| {
            let created = engine.create_disk(&project, &name, &spec, None)?;
            Ok((view(engine, created.disk)?, created.existed))
        })
        .await
    }

    /// Ends a disk's sessions and removes it.
    ///
    /// # Errors
    /// `disk-bound`; what the store says (repeat the call then).
    pub async fn remove_disk(&self, project: Name, name: Name) -> Result<(), Error> {
        let guard = self.lock(Noun::Disk, &project, name.as_str()).await;
        self.call(vec![guard], move |engine| engine.remove_disk(&project, &name)).await
    }

    /// The nodes of a project, or of all, sorted, each with its disk.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn nodes(
        &self,
        project: Option<Name>,
    ) -> Result<Vec<(Node, Option<DiskView>)>, Error> {
        self.blocking(move |engine| {
            let nodes = engine.nodes(project.as_ref())?.into_iter();
            nodes.map(|node| with_disk(engine, node)).collect()
        })
        .await
    }

    /// A node and its disk.
    ///
    /// # Errors
    /// `node-not-found`.
    pub async fn node(&self, project: Name, name: Name) -> Result<(Node, Option<DiskView>), Error> {
        self.blocking(move |engine| with_disk(engine, engine.node(&project, &name)?)).await
    }

    /// Makes a node, or replaces what is known of it. The last answer: nothing had to be done.
    ///
    /// # Errors
    /// `mac-taken`, `invalid-mac`, `invalid-initiator`.
    pub async fn put_node(
        &self,
        project: Name,
        name: Name,
        spec: NodeSpec,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &name, None).await?;
        self.node_call(guards, move |engine| engine.put_node(&project, &name, &spec)).await
    }

    /// Removes a node.
    ///
    /// # Errors
    /// `node-bound`.
    pub async fn remove_node(&self, project: Name, name: Name) -> Result<(), Error> {
        let guards = self.lock_node(&project, &name, None).await?;
        self.call(guards, move |engine| engine.remove_node(&project, &name)).await
    }

    /// Binds a disk to a node. The last answer: it was bound already.
    ///
    /// # Errors
    /// `node-bound`, `disk-bound`, `disk-not-ready`.
    pub async fn bind(
        &self,
        project: Name,
        node: Name,
        disk: Name,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &node, Some(&disk)).await?;
        self.node_call(guards, move |engine| engine.bind(&project, &node, &disk)).await
    }

    /// Takes the disk off a node; its sessions end. The last answer: there was none.
    ///
    /// # Errors
    /// `node-not-found`.
    pub async fn unbind(
        &self,
        project: Name,
        name: Name,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &name, None).await?;
        self.node_call(guards, move |engine| engine.unbind(&project, &name)).await
    }

    /// Gives a node a disk of its own name, cloned from an image, in one step; the node is made
    /// if it is not known. The last answer: nothing had to be done.
    ///
    /// # Errors
    /// `node-bound`, `disk-exists`, `disk-bound`, `image-not-found`, and what the store says;
    /// nothing is left behind.
    pub async fn provision(
        &self,
        project: Name,
        name: Name,
        spec: DiskSpec,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &name, Some(&name)).await?;
        self.node_call(guards, move |engine| engine.provision(&project, &name, &spec)).await
    }

    /// Takes the disk off a node and removes it. The last answer: there was none.
    ///
    /// # Errors
    /// `node-not-found`; what the store says (the disk is unbound then, and goes on being
    /// removed when it is removed again, or at the next start).
    pub async fn deprovision(
        &self,
        project: Name,
        name: Name,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &name, None).await?;
        self.node_call(guards, move |engine| engine.deprovision(&project, &name)).await
    }

    async fn node_call(
        &self,
        guards: Vec<Guard>,
        call: impl FnOnce(&Engine) -> Result<(Node, bool), Error> + Send + 'static,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        self.call(guards, move |engine| {
            let (node, existed) = call(engine)?;
            Ok((with_disk(engine, node)?, existed))
        })
        .await
    }

    /// All jobs, newest first.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.0.jobs.list()
    }

    /// A job.
    ///
    /// # Errors
    /// `job-not-found`.
    pub fn job(&self, id: u64) -> Result<Job, Error> {
        self.0.jobs.get(id)
    }

    /// Asks a job to stop; it does so soon after.
    ///
    /// # Errors
    /// `job-not-found`, `job-ended`.
    pub fn cancel_job(&self, id: u64) -> Result<Job, Error> {
        self.0.jobs.cancel(id)
    }
}

fn view(engine: &Engine, disk: Disk) -> Result<DiskView, Error> {
    let node = engine.bound_node(&disk)?;
    let (serving, allowed) = (engine.serving(&disk), engine.allowed(&disk, node.as_ref()));
    Ok(DiskView { disk, serving, allowed })
}

fn with_disk(engine: &Engine, node: Node) -> Result<(Node, Option<DiskView>), Error> {
    let disk = engine.disk_of(&node)?.map(|disk| view(engine, disk)).transpose()?;
    Ok((node, disk))
}

fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "stopping", "stirrupd is stopping")
}
