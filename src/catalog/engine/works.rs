//! What takes long and is done to a disk that is there: rolling it back, making it independent.

use std::sync::atomic::Ordering;

use super::at_work::Work;
use super::disks::{check_own, use_key};
use super::images::some_of;
use super::rows::{Batch, Versioned};
use super::{Engine, busy, key, patiently};
use crate::catalog::error::{Error, Noun};
use crate::catalog::import::Progress;
use crate::catalog::model::{Disk, DiskState, Tagged};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::state::Table;

impl Engine {
    /// Refuses a disk that something else is being done to.
    pub(super) fn check_idle(&self, disk: &Disk) -> Result<(), Error> {
        let name = &disk.name;
        if disk.state != DiskState::Ready {
            let message = format!("disk '{name}' is not ready; see 'stirrup disk show'");
            return Err(conflict("disk-not-ready", disk, message));
        }
        if disk.rollback.is_some() {
            return Err(busy(format!("disk '{name}' is being rolled back; try again later")));
        }
        self.check_not_at_work(disk)
    }

    /// Refuses a disk that a job reads or flattens.
    pub(super) fn check_not_at_work(&self, disk: &Disk) -> Result<(), Error> {
        if !self.at_work.is(Noun::Disk, &disk.project, disk.name.as_str()) {
            return Ok(());
        }
        let name = &disk.name;
        Err(busy(format!("a job is at disk '{name}'; cancel it first, or wait for its end")))
    }

    /// Whether a disk can be rolled back to a tag; its size then. With `force` also when somebody is
    /// logged in.
    pub(in crate::catalog) fn check_rollback(
        &self,
        project: &Name,
        name: &Name,
        tag: &ImageName,
        force: bool,
    ) -> Result<u64, Error> {
        let disk = self.disk(project, name)?;
        // One that was begun may be begun again.
        self.check_idle(&Disk { rollback: None, ..disk.clone() })?;
        check_own(&disk)?;
        let tag = self.ready_tag(project, &Tagged::Disk(name.clone()), tag)?.value;
        let sessions = self.exporter.sessions(&disk.target);
        if sessions > 0 && !force {
            let message = format!(
                "disk '{name}' is in use ({sessions} sessions): a machine that runs from it would \
                 write what it remembers over what is brought back; shut it down first"
            );
            return Err(conflict("disk-in-use", &disk, message));
        }
        Ok(tag.size_bytes)
    }

    /// Has a disk hold again what it held at a tag. Its sessions end; who is admitted may log in
    /// again when it is done. Once it is begun it is carried through, if need be by
    /// [`Engine::serve`].
    pub(in crate::catalog) fn rollback(
        &self,
        project: &Name,
        name: &Name,
        tag: &ImageName,
        force: bool,
        progress: &Progress,
    ) -> Result<(), Error> {
        progress.check()?;
        let size_bytes = self.check_rollback(project, name, tag, force)?;
        let tag = self.ready_tag(project, &Tagged::Disk(name.clone()), tag)?.value;
        let row = self.disk_row(project, name)?;
        let node = self.bound_node(&row.value)?;
        self.publish(&row.value, node.as_ref(), None)?;
        let begun = self.exporter.disconnect(&row.value.target).map_err(Error::from);
        let begun = begun.and_then(|()| {
            let Versioned { value: mut disk, revision } = row;
            disk.rollback = Some(tag.snapshot);
            let mut batch = Batch::default();
            batch.put(Table::Disks, &key(project, name), revision, &disk)?;
            let revision = batch.apply(self.state.as_ref())?;
            self.finish_rollback(Versioned { value: disk, revision })
        });
        let served = begun.as_ref().map_or(Ok(()), |_| self.serve(project, name));
        if begun.is_err() || served.is_err() {
            self.unserved.lock().push((project.clone(), name.clone()));
        }
        if let Err(error) = served {
            tracing::warn!(disk = key(project, name), %error, "rolled back, and not served yet");
        }
        begun?;
        progress.done_bytes.store(size_bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Carries a rollback through that was begun, if one was.
    pub(super) fn finish_rollback(&self, row: Versioned<Disk>) -> Result<Versioned<Disk>, Error> {
        let Versioned { value: mut disk, revision } = row;
        let Some(snapshot) = disk.rollback.take() else {
            return Ok(Versioned { value: disk, revision });
        };
        let store = self.store(&disk.store)?;
        patiently(|| store.rollback(&disk.backing, &snapshot)).map_err(|error| {
            let (error, name) = (Error::from(error), &disk.name);
            let message = format!("the rollback of disk '{name}' is tried again: {error}");
            Error::new(error.kind(), error.code(), message)
        })?;
        disk.size_bytes = store.stat(&disk.backing)?.size_bytes;
        let mut batch = Batch::default();
        batch.put(Table::Disks, &key(&disk.project, &disk.name), revision, &disk)?;
        let revision = batch.apply(self.state.as_ref())?;
        Ok(Versioned { value: disk, revision })
    }

    /// Whether a disk can be flattened: its size, and what keeps others off it meanwhile.
    pub(in crate::catalog) fn begin_flatten(
        &self,
        project: &Name,
        name: &Name,
    ) -> Result<(u64, Work), Error> {
        let disk = self.disk(project, name)?;
        self.check_idle(&disk)?;
        check_own(&disk)?;
        let tags = self.tag_rows(project, &Tagged::Disk(name.clone()))?;
        let tags: Vec<String> = tags.iter().map(|row| row.value.name.to_string()).collect();
        if !tags.is_empty() {
            let message = format!(
                "disk '{name}' has tags, which need its image too: {}; remove them first",
                some_of(&tags)
            );
            return Err(conflict("disk-has-tags", &disk, message).with_users(tags));
        }
        Ok((disk.size_bytes, self.at_work.begin(Noun::Disk, project, name.as_str())))
    }

    /// Makes a disk independent of its image, in the store; who uses it goes on.
    pub(in crate::catalog) fn flatten(
        &self,
        project: &Name,
        name: &Name,
        progress: &Progress,
    ) -> Result<(), Error> {
        progress.check()?;
        let disk = self.disk(project, name)?;
        let tell = |done, _total| {
            progress.done_bytes.store(done, Ordering::Relaxed);
            progress.check().is_ok()
        };
        let flat = self.store(&disk.store)?.flatten(&disk.backing, &tell);
        flat.map_err(|error| progress.check().err().unwrap_or_else(|| error.into()))
    }

    /// Says in the rows that a disk needs its image no more.
    pub(in crate::catalog) fn end_flatten(&self, project: &Name, name: &Name) -> Result<(), Error> {
        let Versioned { value: mut disk, revision } = self.disk_row(project, name)?;
        if disk.flattened || disk.state != DiskState::Ready {
            return Ok(());
        }
        let mut batch = Batch::default();
        self.add_flattened(&mut batch, &mut disk)?;
        batch.put(Table::Disks, &key(project, name), revision, &disk)?;
        batch.apply(self.state.as_ref())?;
        Ok(())
    }

    /// Adds to a batch that a disk does not use its image.
    pub(super) fn add_flattened(&self, batch: &mut Batch, disk: &mut Disk) -> Result<(), Error> {
        disk.flattened = true;
        if let Some(used) = self.state.get(Table::Uses, &use_key(disk))? {
            batch.delete(Table::Uses, &use_key(disk), used.revision);
        }
        Ok(())
    }
}

fn conflict(code: &'static str, disk: &Disk, message: String) -> Error {
    let (project, name) = (disk.project.as_str(), disk.name.as_str());
    Error::conflict(code, Noun::Disk, project, name, message)
}
