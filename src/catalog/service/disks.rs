//! Calls on disks.

use super::making::{Made, Wanted};
use super::{Catalog, DiskView, Subject, view};
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::Moved;
use crate::catalog::name::Name;
use crate::catalog::spec::{DiskChange, DiskSpec};
use crate::catalog::tokens::Role;

impl Catalog {
    /// How many disks should be served, and how many of them are at the moment. Cheap.
    #[must_use]
    pub fn served(&self) -> (usize, usize) {
        self.0.engine.served()
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

    /// Clones an image and publishes the clone; a copy with a key of its own is made by a job. The
    /// second answer: it was there already.
    ///
    /// # Errors
    /// `image-not-found`, `disk-exists`, `encryption-unavailable`, `too-many-imports`, and what the
    /// store says; nothing is left behind.
    pub async fn create_disk(
        &self,
        project: Name,
        name: Name,
        spec: DiskSpec,
    ) -> Result<Made<(DiskView, bool)>, Error> {
        let wanted = Wanted { project, name, spec, node: None };
        if let Some(job) = self.being_made(&wanted)? {
            return Ok(Made::Later(Box::new(job)));
        }
        let guard = self.lock(Noun::Disk, &wanted.project, wanted.name.as_str()).await;
        self.make_disk(wanted, vec![guard], |engine, created| {
            Ok((view(engine, created.disk)?, created.existed))
        })
        .await
    }

    /// Makes a disk larger; its sessions go on. The second answer: it had that size already.
    ///
    /// # Errors
    /// `disk-not-found`, `disk-not-ready`, `disk-cannot-shrink`, `invalid-size`, and what the
    /// store says.
    pub async fn resize_disk(
        &self,
        project: Name,
        name: Name,
        size_bytes: u64,
    ) -> Result<(DiskView, bool), Error> {
        let guard = self.lock(Noun::Disk, &project, name.as_str()).await;
        let subject = Subject::Disk(project.clone(), name.clone());
        self.call(subject, vec![guard], move |engine| {
            let (disk, existed) = engine.resize_disk(&project, &name, size_bytes)?;
            Ok((view(engine, disk)?, existed))
        })
        .await
    }

    /// Ends a disk's sessions and removes it.
    ///
    /// # Errors
    /// `disk-bound`; what the store says (repeat the call then); `forbidden`: it edits an image, and `by`
    /// is no admin.
    pub async fn remove_disk(&self, by: Role, project: Name, name: Name) -> Result<(), Error> {
        self.check_not_being_made(&project, &name, None)?;
        let guard = self.lock(Noun::Disk, &project, name.as_str()).await;
        let subject = Subject::Disk(project.clone(), name.clone());
        self.call(subject, vec![guard], move |engine| engine.remove_disk(by, &project, &name)).await
    }

    /// Sends initiators that log in to a disk elsewhere, from now on and after restarts; with `None`
    /// no more. Sessions go on.
    ///
    /// # Errors
    /// `disk-not-found`, `busy`; `forbidden`: it edits an image, and `by` is no admin.
    pub async fn move_disk(
        &self,
        by: Role,
        project: Name,
        name: Name,
        moved: Option<Moved>,
    ) -> Result<DiskView, Error> {
        let guard = self.lock(Noun::Disk, &project, name.as_str()).await;
        self.call(Subject::Nothing, vec![guard], move |engine| {
            view(engine, engine.move_disk(by, &project, &name, moved)?)
        })
        .await
    }

    /// Changes a disk: who may log in, whether it is served, what it may be asked for. Sessions go on
    /// if only its limits change, or if the change keeps them; otherwise they have ended when this
    /// returns. The second answer: it was so already.
    ///
    /// # Errors
    /// `disk-not-found`, `disk-not-ready`, `busy`, `forbidden` (it edits an image, and `by` is no
    /// admin), what is wrong with the change, and what the store
    /// says when the disk has to be opened; then nothing has changed.
    pub async fn change_disk(
        &self,
        by: Role,
        project: Name,
        name: Name,
        change: DiskChange,
    ) -> Result<(DiskView, bool), Error> {
        let guard = self.lock(Noun::Disk, &project, name.as_str()).await;
        let subject = Subject::Disk(project.clone(), name.clone());
        self.call(subject, vec![guard], move |engine| {
            let (disk, existed) = engine.change_disk(by, &project, &name, &change)?;
            Ok((view(engine, disk)?, existed))
        })
        .await
    }
}
