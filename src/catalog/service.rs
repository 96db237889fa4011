//! The catalog as async calls: locks and the blocking pool.

mod attach;
mod background;
mod boot;
mod certificates;
mod disks;
mod making;
mod nodes;
mod projects;
mod readers;
mod shares;
mod tokens;
mod uploads;
mod versions;
mod works;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::Options;
use super::engine::{Engine, Serving};
use super::error::{Error, ErrorKind, Noun};
use super::export::{Allowed, Exporter};
use super::jobs::{Job, Jobs};
use super::locks::{Guard, Locks};
use super::model::{Disk, Image};
use super::name::{ImageName, Name};
use super::state::State;
use crate::backend::{BootProfile, Store, StoreError, StoreKind};
use crate::catalog::model::Tagged;
use making::Wanted;
use readers::Readers;
use shares::Shares;

pub use making::Made;
pub use projects::ProjectView;
pub use readers::ImageReader;
pub use uploads::{Piece, UploadReceiver, UploadView};
pub use versions::{ImageView, TagView};

/// Calls that may wait for one store at once; those of other stores go on beside them.
const CALLS_MAX: usize = 32;
/// How many of them may be of the background: disks that are opened, images that are looked at.
const OPENERS_MAX: usize = 16;
/// Imports at once; each has one thread.
const IMPORTS_MAX: usize = 2;
/// Imports and copies that may wait for their turn, and how many of them for one project.
const IMPORTS_QUEUED_MAX: (u32, usize) = (64, 32);
/// Images that may be downloaded at once, and how many of them by one project; each has one thread.
const DOWNLOADS_MAX: (u32, usize) = (32, 8);
/// Files that may be uploaded at once, and how many of them to one project; each has one thread.
const RECEIVERS_MAX: (u32, usize) = (32, 8);
/// Questions for what an image takes that may wait for one store at once.
const LOOKS_MAX: usize = 2;

/// The catalog. Clones are handles of the same one.
#[derive(Clone)]
pub struct Catalog(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    locks: Locks,
    places: BTreeMap<String, Places>,
    /// For calls that need no store.
    elsewhere: Places,
    imports: Arc<Semaphore>,
    imports_queued: Shares,
    downloads: Shares,
    receivers: Shares,
    /// Images that are being downloaded.
    readers: Readers,
    /// Uploads to which bytes are added at the moment, by `project/image`.
    uploads: Mutex<BTreeMap<String, uploads::Active>>,
    /// Jobs that make images of uploads.
    upload_jobs: Mutex<BTreeMap<String, u64>>,
    /// Disks that jobs make, by `project/disk`, and these jobs.
    makings: Mutex<BTreeMap<String, (Wanted, u64)>>,
    jobs: Jobs,
    stopping: watch::Sender<bool>,
}

/// How much may wait for a store.
struct Places {
    calls: Arc<Semaphore>,
    openers: Semaphore,
    looks: Arc<Semaphore>,
    /// The probe that was begun last.
    probe: Mutex<Option<watch::Receiver<Option<Probed>>>>,
}

impl Places {
    fn new() -> Self {
        Self {
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            openers: Semaphore::new(OPENERS_MAX),
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
            probe: Mutex::default(),
        }
    }
}

/// What says which store a call may have to wait for.
enum Subject {
    Disk(Name, Name),
    Image(Name, ImageName),
    Store(String),
    /// It waits for none.
    Nothing,
}

/// A store's answer to a probe.
type Probed = Result<(), Arc<StoreError>>;

/// A disk, how it is served, and who may log in.
#[derive(Clone)]
pub struct DiskView {
    /// The row.
    pub disk: Disk,
    /// How it is served at the moment.
    pub serving: Serving,
    /// Which initiators may log in.
    pub allowed: Allowed,
    /// Bytes that it takes in its store, as they were a while ago.
    pub used_bytes: Option<u64>,
}

/// What a store's probe said.
#[derive(Debug)]
pub struct StoreHealth {
    /// The store's name.
    pub name: String,
    /// Its kind.
    pub kind: StoreKind,
    /// Its answer; `None`: none yet.
    pub result: Option<Result<(), Arc<StoreError>>>,
}

impl Catalog {
    /// Opens the catalog that is kept in `state` and publishes every disk without its volume. Blocks; no
    /// store is asked. Call [`Catalog::start`] next.
    ///
    /// # Errors
    /// When the catalog cannot be read, or the exporter refuses.
    pub fn over(
        state: Arc<dyn State>,
        stores: BTreeMap<String, Arc<dyn Store>>,
        exporter: Arc<dyn Exporter>,
        options: Options,
    ) -> Result<Self, Error> {
        let engine = Arc::new(Engine::new(state, stores, exporter, options)?);
        let jobs = Jobs::load(engine.old_jobs()?);
        engine.publish_all()?;
        let places = engine.stores().keys().map(|name| (name.clone(), Places::new())).collect();
        Ok(Self(Arc::new(Inner {
            engine,
            locks: Locks::default(),
            places,
            elsewhere: Places::new(),
            imports: Arc::new(Semaphore::new(IMPORTS_MAX)),
            imports_queued: Shares::new(IMPORTS_QUEUED_MAX.0, IMPORTS_QUEUED_MAX.1),
            downloads: Shares::new(DOWNLOADS_MAX.0, DOWNLOADS_MAX.1),
            receivers: Shares::new(RECEIVERS_MAX.0, RECEIVERS_MAX.1),
            readers: Readers::default(),
            uploads: Mutex::default(),
            upload_jobs: Mutex::default(),
            makings: Mutex::default(),
            jobs,
            stopping: watch::Sender::new(false),
        })))
    }

    /// Runs a call that may wait for a store. It is carried through even if the caller goes away:
    /// the locks live as long as it does.
    async fn call<T: Send + 'static>(
        &self,
        subject: Subject,
        guards: Vec<Guard>,
        call: impl FnOnce(&Engine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let calls = Arc::clone(&self.places(subject).await?.calls);
        let permit = calls.acquire_owned().await.map_err(|_| stopping())?;
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

    /// Where a call waits for its store.
    async fn places(&self, subject: Subject) -> Result<&Places, Error> {
        let store = match subject {
            Subject::Store(name) => Some(name),
            Subject::Nothing => None,
            // An object that is not there needs no store.
            Subject::Disk(project, name) => {
                let disk = move |engine: &Engine| Ok(engine.disk(&project, &name).ok());
                self.blocking(disk).await?.map(|disk| disk.store)
            }
            Subject::Image(project, name) => {
                let image = move |engine: &Engine| Ok(engine.image(&project, &name).ok());
                self.blocking(image).await?.map(|image| image.store)
            }
        };
        let places = store.and_then(|store| self.0.places.get(&store));
        Ok(places.unwrap_or(&self.0.elsewhere))
    }

    async fn lock(&self, noun: Noun, project: &Name, name: &str) -> Guard {
        self.0.locks.lock(noun, project.as_str(), name).await
    }

    /// Asks every store whether it answers, without waiting longer than `patience`. A store that
    /// has not yet answered the last one who asked is not asked again.
    pub async fn store_health(&self, patience: Duration) -> Vec<StoreHealth> {
        let until = tokio::time::Instant::now() + patience;
        let probes: Vec<_> = self
            .0
            .engine
            .stores()
            .iter()
            .filter_map(|(name, store)| Some((name, store, self.0.places.get(name)?)))
            .map(|(name, store, places)| (name.clone(), store.kind(), probe(places, store)))
            .collect();
        let mut health = Vec::new();
        for (name, kind, mut probe) in probes {
            let answer = tokio::time::timeout_at(until, probe.wait_for(Option::is_some)).await;
            let result = answer.ok().and_then(|answer| answer.ok()?.clone());
            health.push(StoreHealth { name, kind, result });
        }
        health
    }

    /// The images of a project, or of all, sorted.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn images(&self, project: Option<Name>) -> Result<Vec<ImageView>, Error> {
        self.blocking(move |engine| {
            let images = engine.images(project.as_ref())?.into_iter();
            images.map(|image| image_view(engine, image)).collect()
        })
        .await
    }

    /// An image.
    ///
    /// # Errors
    /// `image-not-found`.
    pub async fn image(&self, project: Name, name: ImageName) -> Result<ImageView, Error> {
        self.blocking(move |engine| image_view(engine, engine.image(&project, &name)?)).await
    }

    /// Removes an image. Downloads of it by other projects end.
    ///
    /// # Errors
    /// `image-in-use` with the disks that use it; `busy` while it is imported.
    pub async fn remove_image(&self, project: Name, name: ImageName) -> Result<(), Error> {
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let of = (project.clone(), name.clone());
        let store = self.blocking(move |engine| engine.check_removal(&of.0, &of.1)).await?;
        self.end_foreign_downloads(&project, &name).await?;
        let call = move |engine: &Engine| engine.remove_image(&project, &name);
        self.call(Subject::Store(store), vec![guard], call).await
    }

    /// What is known of how an image boots.
    ///
    /// # Errors
    /// `image-not-found`; what the store says.
    pub async fn boot_profile(&self, project: Name, name: ImageName) -> Result<BootProfile, Error> {
        let subject = Subject::Image(project.clone(), name.clone());
        self.call(subject, Vec::new(), move |engine| engine.boot_profile(&project, &name)).await
    }

    /// Forgets what is known of how an image boots.
    ///
    /// # Errors
    /// `image-not-found`; what the store says.
    pub async fn forget_boot_profile(&self, project: Name, name: ImageName) -> Result<(), Error> {
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let subject = Subject::Image(project.clone(), name.clone());
        let call = move |engine: &Engine| engine.forget_boot_profile(&project, &name);
        self.call(subject, vec![guard], call).await
    }

    /// All jobs, newest first.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.0.jobs.list()
    }

    /// The jobs that are at work.
    #[must_use]
    pub fn running_jobs(&self) -> Vec<Job> {
        self.0.jobs.running()
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

/// Begins a probe, or joins the one that is under way.
fn probe(places: &Places, store: &Arc<dyn Store>) -> watch::Receiver<Option<Probed>> {
    let mut last = places.probe.lock();
    // The sender is gone once the store has answered.
    if let Some(running) = last.as_ref().filter(|last| last.has_changed().is_ok()) {
        return running.clone();
    }
    let (sender, receiver) = watch::channel(None);
    let store = Arc::clone(store);
    tokio::task::spawn_blocking(move || {
        sender.send_replace(Some(store.probe().map_err(Arc::new)));
    });
    *last = Some(receiver.clone());
    receiver
}

fn view(engine: &Engine, disk: Disk) -> Result<DiskView, Error> {
    let node = engine.bound_node(&disk)?;
    let (serving, allowed) = (engine.serving(&disk), engine.allowed(&disk, node.as_ref()));
    let used_bytes = engine.used_bytes(&disk, &serving);
    Ok(DiskView { disk, serving, allowed, used_bytes })
}

fn image_view(engine: &Engine, image: Image) -> Result<ImageView, Error> {
    let users = engine.image_users(&image.project, &image.name)?;
    let tags = engine.tags(&image.project, &Tagged::Image(image.name.clone()))?;
    let tags = tags.into_iter().map(|tag| tag.name.to_string()).collect();
    Ok(ImageView { image, users, tags })
}

fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "stopping", "stirrupd is stopping")
}
