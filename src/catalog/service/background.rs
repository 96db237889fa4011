//! What goes on without a caller: the start, retries, the stop.

use std::time::Duration;

use super::{CALLS_MAX, Catalog, Subject, stopping};
use crate::catalog::engine::{Engine, Report};
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::{Disk, DiskState, Image, Tag, TagState};
use crate::catalog::name::Name;
use crate::catalog::transfer::{Destination, Outgoing};

/// How long a stop waits for calls that are in a store.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// How soon it is noticed that a volume has failed.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// How soon it is noticed that a disk is to be measured, and what is left to others between two.
const MEASURE_INTERVAL: Duration = Duration::from_secs(60);
const MEASURE_PAUSE: Duration = Duration::from_millis(200);
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LAST: Duration = Duration::from_secs(30);

impl Catalog {
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
        for tag in self.0.engine.all_tags()? {
            if tag.state != TagState::Ready {
                self.finish_tag_later(tag);
            }
        }
        for outgoing in self.0.engine.outgoing()? {
            self.end_export_later(outgoing);
        }
        for store in self.0.engine.stores().keys() {
            self.search_later(store.clone());
        }
        tokio::spawn(self.clone().watch_volumes());
        tokio::spawn(self.clone().expire_uploads());
        tokio::spawn(self.clone().measure_disks());
        Ok(())
    }

    fn search_later(&self, store: String) {
        let this = self.clone();
        tokio::spawn(async move {
            let what = format!("the search for orphans in store {store}");
            this.keep_trying(&what, || async {
                let name = store.clone();
                this.call(Subject::Store(store.clone()), Vec::new(), move |engine| {
                    engine.remove_orphans(&name, &mut Report::default())
                })
                .await
            })
            .await;
        });
    }

    /// Has disks opened anew whose volumes have become useless.
    async fn watch_volumes(self) {
        let mut stopping = self.0.stopping.subscribe();
        while !*stopping.borrow_and_update() {
            for (project, name) in self.0.engine.take_failed() {
                tracing::error!(disk = %format_args!("{project}/{name}"), "its volume has failed");
                self.serve_later(project, name);
            }
            tokio::select! {
                () = tokio::time::sleep(WATCH_INTERVAL) => {}
                _ = stopping.changed() => {}
            }
        }
    }

    /// Asks the stores, one disk after the other and not often, what disks take that do not say so
    /// themselves.
    async fn measure_disks(self) {
        let mut stopping = self.0.stopping.subscribe();
        let mut wanted = Vec::new();
        let mut pause = MEASURE_INTERVAL;
        while !*stopping.borrow_and_update() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopping.changed() => continue,
            }
            match wanted.pop() {
                Some((project, name)) => {
                    if let Err(error) = self.measure(&project, &name).await {
                        tracing::debug!(disk = %format_args!("{project}/{name}"), %error, "not measured");
                    }
                }
                None => {
                    let found = self.blocking(Engine::disks_to_measure).await;
                    wanted = found.unwrap_or_default();
                }
            }
            pause = if wanted.is_empty() { MEASURE_INTERVAL } else { MEASURE_PAUSE };
        }
    }

    async fn measure(&self, project: &Name, name: &Name) -> Result<(), Error> {
        let subject = || Subject::Disk(project.clone(), name.clone());
        let places = self.places(subject()).await?;
        let _opener = places.openers.acquire().await.map_err(|_| stopping())?;
        let (subject, project, name) = (subject(), project.clone(), name.clone());
        self.call(subject, Vec::new(), move |engine| engine.measure(&project, &name)).await
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
        self.0.imports_queued.drained().await;
        self.0.receivers.drained().await;
        for places in self.0.places.values().chain([&self.0.elsewhere]) {
            let all = u32::try_from(CALLS_MAX).unwrap_or(u32::MAX);
            // Only a closed semaphore is an error, and these are never closed.
            let _ = places.calls.acquire_many(all).await;
        }
    }

    pub(super) fn serve_later(&self, project: Name, name: Name) {
        let this = self.clone();
        tokio::spawn(async move {
            let what = format!("opening disk {project}/{name}");
            this.keep_trying(&what, || this.serve(&project, &name)).await;
        });
    }

    async fn serve(&self, project: &Name, name: &Name) -> Result<(), Error> {
        let subject = || Subject::Disk(project.clone(), name.clone());
        let places = self.places(subject()).await?;
        let _opener = places.openers.acquire().await.map_err(|_| stopping())?;
        let guard = self.0.locks.lock(Noun::Disk, project.as_str(), name.as_str()).await;
        let (project, name) = (project.clone(), name.clone());
        let subject = subject();
        self.call(subject, vec![guard], move |engine| engine.serve(&project, &name)).await
    }

    pub(super) fn finish_later(&self, disk: Disk) {
        let this = self.clone();
        tokio::spawn(async move {
            let what =
                format!("ending the unfinished change of disk {}/{}", disk.project, disk.name);
            this.keep_trying(&what, || async {
                // Whoever has the disk may keep it for as long as a copy takes, and no place meanwhile.
                let guard = this.lock(Noun::Disk, &disk.project, disk.name.as_str()).await;
                let subject = || Subject::Store(disk.store.clone());
                let places = this.places(subject()).await?;
                let _opener = places.openers.acquire().await.map_err(|_| stopping())?;
                let (subject, disk) = (subject(), disk.clone());
                this.call(subject, vec![guard], move |engine| engine.end_unfinished_disk(&disk))
                    .await
            })
            .await;
        });
    }

    fn finish_tag_later(&self, tag: Tag) {
        let this = self.clone();
        tokio::spawn(async move {
            let what = format!("ending the unfinished change of tag {} of {}", tag.name, tag.of);
            this.keep_trying(&what, || async {
                let (guard, subject) = this.lock_tagged(&tag.project, &tag.of).await;
                let tag = tag.clone();
                this.call(subject, vec![guard], move |engine| engine.end_unfinished_tag(&tag)).await
            })
            .await;
        });
    }

    /// Removes what exports have left behind, until that is done.
    pub(super) fn end_exports_later(&self) {
        for outgoing in self.0.engine.take_unended() {
            self.end_export_later(outgoing);
        }
    }

    fn end_export_later(&self, outgoing: Outgoing) {
        let this = self.clone();
        tokio::spawn(async move {
            let what = format!("removing what is left of the export to {}", outgoing.part);
            let subject = || match &outgoing.to {
                Destination::Pool { store, .. } => Subject::Store(store.clone()),
                Destination::File(_) => Subject::Nothing,
            };
            this.keep_trying(&what, || async {
                let outgoing = outgoing.clone();
                this.call(subject(), Vec::new(), move |engine| engine.end_export(&outgoing)).await
            })
            .await;
        });
    }

    fn check_later(&self, image: Image) {
        let this = self.clone();
        tokio::spawn(async move {
            let what = format!("checking image {}/{}", image.project, image.name);
            this.keep_trying(&what, || async {
                let subject = || Subject::Store(image.store.clone());
                let places = this.places(subject()).await?;
                let _opener = places.openers.acquire().await.map_err(|_| stopping())?;
                let guard = this.lock(Noun::Image, &image.project, image.name.as_str()).await;
                let (subject, image) = (subject(), image.clone());
                this.call(subject, vec![guard], move |engine| {
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
}
