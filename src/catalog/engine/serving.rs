//! What a disk's target has to be, and who may log in there.

use std::mem::take;

use super::disks::{BROKEN, ExportState, Serving};
use super::rows::{Batch, Versioned};
use super::{Engine, Held, key};
use crate::catalog::UnnamedAccess;
use crate::catalog::error::Error;
use crate::catalog::export::{Allowed, Export};
use crate::catalog::model::{Disk, DiskState, Exposure, Node};
use crate::catalog::name::Name;
use crate::catalog::state::Table;

impl Engine {
    /// Serves a disk as its row and its node's say; if that fails, it is to be tried again.
    pub(super) fn publish(
        &self,
        disk: &Disk,
        node: Option<&Node>,
        volume: Held,
    ) -> Result<(), Error> {
        self.try_publish(disk, node, volume, false).inspect_err(|_| self.serve_again(disk))
    }

    /// Applies a batch that changes who may use a disk, to what `disk` and `node` say. One after the
    /// other: the target has the new rules, but lets nobody in (who would be let in is told to try
    /// again); its sessions end, and nothing of theirs is on its way to the store any more; the rows
    /// are written; the target lets in whom the rules admit. So who had the disk is out before the
    /// next one is in. Whatever fails, the rules of the row come back, and a repeated call does all
    /// of it again.
    pub(super) fn change_access(
        &self,
        disk: &Disk,
        node: Option<&Node>,
        batch: &Batch,
    ) -> Result<(), Error> {
        self.change_access_with(disk, node, batch, self.serving(disk).volume)
    }

    /// As [`Engine::change_access`], with a volume that may have been opened for it.
    pub(super) fn change_access_with(
        &self,
        disk: &Disk,
        node: Option<&Node>,
        batch: &Batch,
        volume: Held,
    ) -> Result<(), Error> {
        if !disk.is_there() {
            // It is being removed and must not be published again.
            self.exporter.withdraw(&disk.target)?;
            return batch.apply(self.state.as_ref()).map(drop);
        }
        self.try_publish(disk, node, volume.clone(), true)
            .and_then(|()| Ok(self.exporter.disconnect(&disk.target)?))
            .and_then(|()| batch.apply(self.state.as_ref()).map(drop))
            .and_then(|()| self.try_publish(disk, node, volume, false))
            .inspect_err(|_| self.serve_again(disk))
    }

    pub(super) fn serve_again(&self, disk: &Disk) {
        self.unserved.lock().push((disk.project.clone(), disk.name.clone()));
    }

    /// The disks that may not be served as their rows say, since this was asked last.
    pub(in crate::catalog) fn take_unserved(&self) -> Vec<(Name, Name)> {
        take(&mut *self.unserved.lock())
    }

    fn try_publish(
        &self,
        disk: &Disk,
        node: Option<&Node>,
        volume: Held,
        paused: bool,
    ) -> Result<(), Error> {
        let key = key(&disk.project, &disk.name);
        let volume = match disk.exposure {
            Exposure::Enabled => volume,
            Exposure::Disabled => None,
            Exposure::Unexposed => {
                self.exporter.withdraw(&disk.target)?;
                self.serving.remove(&key);
                return Ok(());
            }
        };
        let export = Export {
            project: disk.project.clone(),
            disk: disk.name.clone(),
            target: disk.target.clone(),
            lun: disk.lun,
            volume: volume.clone(),
            identity: disk.identity.clone(),
            allowed: self.allowed(disk, node),
            networks: disk.networks.clone(),
            chap: disk.chap.clone(),
            portal_groups: disk.portal_groups.clone(),
            moved: disk.moved.clone(),
            read_only: disk.read_only,
            limits: disk.qos.into(),
            paused,
        };
        let result = self.exporter.publish(export);
        if disk.exposure == Exposure::Disabled {
            // Nobody waits for it to be served.
            self.serving.remove(&key);
            return Ok(result?);
        }
        let state = match (&result, &volume) {
            (Err(_), _) => ExportState::Failed,
            (Ok(()), None) => ExportState::Opening,
            (Ok(()), Some(_)) => ExportState::Serving,
        };
        let error = result.as_ref().err().map(ToString::to_string);
        self.serving.insert(key, Serving { state, error, volume });
        Ok(result?)
    }

    /// Who may log in to a disk that `node` is bound to.
    pub(in crate::catalog) fn allowed(&self, disk: &Disk, node: Option<&Node>) -> Allowed {
        // Without a node there are no credentials that one could show.
        if disk.closed || disk.barred || (disk.chap_per_node.is_some() && disk.chap.is_none()) {
            return Allowed::Nobody;
        }
        let bound = node.and_then(|node| node.initiator.clone());
        let mut names: Vec<String> = bound.into_iter().chain(disk.initiators.clone()).collect();
        names.dedup();
        match (names.is_empty(), self.options.unnamed_access) {
            (false, _) => Allowed::Initiators(names),
            (true, UnnamedAccess::Open) => Allowed::Anyone,
            (true, UnnamedAccess::Closed) => Allowed::Nobody,
        }
    }

    /// Publishes every disk without its volume, so that a login during the start is told to try
    /// again; the keys of those disks, for [`Engine::serve`].
    pub(in crate::catalog) fn publish_all(&self) -> Result<Vec<(Name, Name)>, Error> {
        let mut keys = Vec::new();
        for disk in self.disks(None)? {
            if !disk.is_there() {
                continue;
            }
            let node = self.node_of(&disk)?.map(|row| row.value);
            self.publish(&disk, node.as_ref(), None)?;
            keys.push((disk.project, disk.name));
        }
        Ok(keys)
    }

    /// Opens a disk's volume, if that is still to be done, and publishes it with its current
    /// rules. A disk that is gone is no error; one that is not to be served is not opened.
    pub(in crate::catalog) fn serve(&self, project: &Name, name: &Name) -> Result<(), Error> {
        let Some(row) = self.find_disk(project, name)?.filter(|row| row.value.is_there()) else {
            return Ok(());
        };
        let Versioned { value: mut disk, revision } = self.finish_rollback(row)?;
        let node = self.node_of(&disk)?.map(|row| row.value);
        if disk.exposure != Exposure::Enabled {
            return self.try_publish(&disk, node.as_ref(), None, false);
        }
        let opened = match self.serving(&disk).volume {
            Some(volume) if !volume.has_failed() => Ok((volume, disk.flattened)),
            failed => {
                if failed.is_some() {
                    // Ends its sessions; the last of them lets go of the volume.
                    self.try_publish(&disk, node.as_ref(), None, false)?;
                    drop(failed);
                }
                self.open(&disk)
            }
        };
        let state = match &opened {
            Ok(_) => DiskState::Ready,
            Err(error) if error.code() == BROKEN => DiskState::Broken,
            Err(_) => disk.state,
        };
        // Another than the row has if a resize was cut short, or somebody else grew the image.
        let size_bytes =
            opened.as_ref().map_or(disk.size_bytes, |(volume, _)| volume.info().size_bytes);
        // Likewise.
        let flattened = opened.as_ref().map_or(disk.flattened, |(_, flattened)| *flattened);
        if (state, size_bytes, flattened) != (disk.state, disk.size_bytes, disk.flattened) {
            (disk.state, disk.size_bytes) = (state, size_bytes);
            let mut batch = Batch::default();
            if flattened {
                self.add_flattened(&mut batch, &mut disk)?;
            }
            batch.put(Table::Disks, &key(project, name), revision, &disk)?;
            batch.apply(self.state.as_ref())?;
        }
        match opened {
            Ok((volume, _)) => self.try_publish(&disk, node.as_ref(), Some(volume), false),
            Err(error) => {
                let mut serving = self.serving(&disk);
                (serving.state, serving.error) = (ExportState::Failed, Some(error.to_string()));
                self.serving.insert(key(project, name), serving);
                self.exporter.failed(&disk.target, &error.to_string());
                Err(error)
            }
        }
    }
}
