//! Disks: a clone and its target, made and removed together.

use std::sync::Arc;

use dashmap::mapref::multiple::RefMulti;
use jiff::Timestamp;

use super::making::{Begun, Making, Parent};
use super::rows::{self, Batch, Versioned};
use super::tags::tag_key;
use super::{Engine, Held, backing_prefix, busy, key};
use crate::backend::StoreErrorKind;
use crate::block::Volume;
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::model::{
    Disk, DiskState, Exposure, Image, ImageState, Moved, Node, Tagged, Usage,
};
use crate::catalog::name::Name;
use crate::catalog::spec::DiskSpec;
use crate::catalog::state::{ABSENT, Table};
use crate::catalog::tokens::Role;

/// Whether a disk is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportState {
    /// Its volume is being opened.
    Opening,
    /// Initiators can use it.
    Serving,
    /// It cannot be served; this is tried again by itself.
    Failed,
    /// It has a target, which is switched off.
    Disabled,
    /// It has no target.
    Withdrawn,
}

/// How a disk is served at the moment.
#[derive(Clone)]
pub struct Serving {
    /// Whether it is.
    pub state: ExportState,
    /// Why not.
    pub error: Option<String>,
    /// The open volume.
    pub(super) volume: Held,
}

impl Engine {
    /// The disks of a project, or of all.
    pub(in crate::catalog) fn disks(&self, project: Option<&Name>) -> Result<Vec<Disk>, Error> {
        self.all(Table::Disks, project)
    }

    /// A disk.
    pub(in crate::catalog) fn disk(&self, project: &Name, name: &Name) -> Result<Disk, Error> {
        Ok(self.disk_row(project, name)?.value)
    }

    /// How a disk is served.
    pub(in crate::catalog) fn serving(&self, disk: &Disk) -> Serving {
        let found = self.serving.get(&key(&disk.project, &disk.name)).map(|entry| entry.clone());
        let state = match disk.exposure {
            Exposure::Disabled => ExportState::Disabled,
            Exposure::Enabled | Exposure::Unexposed => ExportState::Withdrawn,
        };
        found.unwrap_or(Serving { state, error: None, volume: None })
    }

    /// How many disks should be served, and how many of them are. Reads no rows.
    pub(in crate::catalog) fn served(&self) -> (usize, usize) {
        let is_served = |entry: &RefMulti<'_, String, Serving>| entry.state == ExportState::Serving;
        (self.serving.len(), self.serving.iter().filter(is_served).count())
    }

    pub(super) fn disk_row(&self, project: &Name, name: &Name) -> Result<Versioned<Disk>, Error> {
        self.find_disk(project, name)?
            .ok_or_else(|| Error::not_found(Noun::Disk, project.as_str(), name.as_str()))
    }

    pub(super) fn find_disk(
        &self,
        project: &Name,
        name: &Name,
    ) -> Result<Option<Versioned<Disk>>, Error> {
        rows::load(self.state.as_ref(), Table::Disks, &key(project, name))
    }

    /// Writes the intent of making a disk; with `node`, one that is bound to that node when it is
    /// made.
    pub(in crate::catalog) fn begin_disk(
        &self,
        project: &Name,
        name: &Name,
        spec: &DiskSpec,
        node: Option<&Name>,
    ) -> Result<Begun, Error> {
        spec.check()?;
        let portal_groups = self.portal_groups(project, &spec.portal_groups)?;
        let spec = &DiskSpec { portal_groups, ..spec.clone() };
        if let Some(Versioned { value: disk, .. }) = self.find_disk(project, name)? {
            match disk.state {
                DiskState::Ready if spec.matches(&disk) => {
                    return Ok(Begun::There(Box::new(disk)));
                }
                DiskState::Ready | DiskState::Broken => return Err(exists(&disk)),
                // Left over by a call that failed and could not take everything back.
                DiskState::Creating | DiskState::Removing => self.erase_disk(&disk)?,
            }
        }
        let of = spec.image_project.as_ref().unwrap_or(project);
        let Versioned { value: image, revision: image_revision } =
            self.visible_image_row(project, of, &spec.image)?;
        check_ready(&image)?;
        self.check_store(&image.store)?;
        self.check_encryption(spec, &image)?;
        let (snapshot, tag) = if spec.edit {
            (String::new(), None)
        } else {
            self.clone_source(&image, spec.tag.as_ref())?
        };
        let size_bytes = tag.as_ref().map_or(image.size_bytes, |row| row.value.size_bytes);
        let parent = Parent { backing: image.backing.clone(), snapshot, size_bytes };
        let settings = self.settings(project)?;
        let mut disk = Disk {
            project: project.clone(),
            name: name.clone(),
            state: DiskState::Creating,
            image: spec.image.clone(),
            image_project: spec.image_project.clone().filter(|of| of != project),
            tag: tag.as_ref().map(|row| row.value.name.clone()),
            edits: spec.edit,
            flattened: false,
            rollback: None,
            store: image.store.clone(),
            backing: String::new(),
            size_bytes: size_of(spec, settings.disk_bytes, parent.size_bytes)?,
            identity: String::new(),
            target: format!("{}:{project}.{name}", self.options.target_prefix),
            lun: spec.lun,
            initiators: spec.initiators.clone(),
            networks: spec.networks.clone(),
            chap: None,
            portal_groups: spec.portal_groups.clone(),
            chap_per_node: None,
            read_only: spec.read_only.unwrap_or(false),
            exposure: Exposure::Enabled,
            qos: spec.qos.unwrap_or(settings.qos),
            encryption: spec.encryption,
            moved: None,
            node: node.cloned(),
            closed: false,
            barred: false,
            created: Timestamp::now(),
        };
        if let Some(chap) = &spec.chap {
            chap.put_into(&mut disk)?;
        }
        let more = Usage {
            disks: 1,
            bytes: if disk.edits { 0 } else { disk.size_bytes },
            nodes: u64::from(node.is_some()),
        };
        let intend = |uid: &str, id: u64, batch: &mut Batch| {
            disk.backing = if disk.edits {
                image.backing.clone()
            } else {
                format!("{}disk{id}", backing_prefix(uid))
            };
            batch.put(Table::Uses, &use_key(&disk), ABSENT, &disk.tag)?;
            if let Some(row) = &tag {
                batch.keep(Table::Tags, &tag_key(&row.value), row.revision);
            }
            batch.keep(Table::Images, &key(of, &spec.image), image_revision);
            batch.put(Table::Disks, &key(project, name), ABSENT, &disk)
        };
        let work = spec.luks().map(|_| self.at_work.begin(Noun::Image, of, spec.image.as_str()));
        let ((), revision) = self.within_quota(project, more, || self.apply_numbered(intend))?;
        Ok(Begun::Making(Box::new(Making { disk, revision, parent, _work: work })))
    }

    /// Says that a disk is made, and serves it.
    pub(super) fn publish_new(
        &self,
        disk: &mut Disk,
        revision: u64,
    ) -> Result<Option<Node>, Error> {
        let store = self.store(&disk.store)?;
        let (identity, volume) = store.open_new(&disk.backing)?;
        disk.identity = identity;
        disk.size_bytes = volume.info().size_bytes;
        disk.state = DiskState::Ready;
        let mut batch = Batch::default();
        if disk.luks().is_some() {
            self.add_flattened(&mut batch, disk)?;
        }
        batch.put(Table::Disks, &key(&disk.project, &disk.name), revision, disk)?;
        let node = self.put_bound(&mut batch, disk)?;
        self.publish(disk, node.as_ref(), Some(volume))?;
        batch.apply(self.state.as_ref())?;
        Ok(node)
    }

    /// Adds to a batch that the disk's node, made if need be, boots from the disk.
    fn put_bound(&self, batch: &mut Batch, disk: &Disk) -> Result<Option<Node>, Error> {
        let Some(name) = &disk.node else { return Ok(None) };
        let (mut node, revision) = match self.node_of(disk)? {
            Some(row) => (row.value, row.revision),
            None => (Node::new(&disk.project, name), ABSENT),
        };
        node.disk = Some(disk.name.clone());
        batch.put(Table::Nodes, &key(&disk.project, name), revision, &node)?;
        Ok(Some(node))
    }

    /// The row of the node that a disk is bound to.
    pub(super) fn node_of(&self, disk: &Disk) -> Result<Option<Versioned<Node>>, Error> {
        let Some(node) = &disk.node else { return Ok(None) };
        rows::load(self.state.as_ref(), Table::Nodes, &key(&disk.project, node))
    }

    /// Removes a disk that no node is bound to: sessions end, the clone is removed.
    pub(in crate::catalog) fn remove_disk(
        &self,
        by: Role,
        project: &Name,
        name: &Name,
    ) -> Result<(), Error> {
        let row = self.disk_row_for(by, project, name)?;
        if let Some(node) = row.value.node.as_ref().filter(|_| row.value.is_there()) {
            let message = format!(
                "disk '{name}' is bound to node '{node}'; unbind it first, or deprovision the node"
            );
            let (project, name) = (project.as_str(), name.as_str());
            return Err(Error::conflict("disk-bound", Noun::Disk, project, name, message));
        }
        self.mark_and_erase(row)
    }

    /// Sends initiators that log in to a disk elsewhere; with `None` no more. Sessions go on.
    pub(in crate::catalog) fn move_disk(
        &self,
        by: Role,
        project: &Name,
        name: &Name,
        moved: Option<Moved>,
    ) -> Result<Disk, Error> {
        let Versioned { value: mut disk, revision } = self.disk_row_for(by, project, name)?;
        if !disk.is_there() {
            return Err(busy(format!("disk '{name}' is being made or removed")));
        }
        if disk.moved != moved {
            disk.moved = moved;
            let mut batch = Batch::default();
            batch.put(Table::Disks, &key(project, name), revision, &disk)?;
            batch.apply(self.state.as_ref())?;
        }
        // Also when an earlier call failed between the row and the target.
        let node = self.node_of(&disk)?.map(|row| row.value);
        let volume = self.serving(&disk).volume;
        self.publish(&disk, node.as_ref(), volume)?;
        Ok(disk)
    }

    /// Writes the intent of removing a disk and carries it out.
    pub(super) fn mark_and_erase(&self, row: Versioned<Disk>) -> Result<(), Error> {
        let Versioned { value: mut disk, revision } = row;
        if disk.state != DiskState::Removing {
            self.check_not_at_work(&disk)?;
            self.check_tags_unprotected(&disk.project, &Tagged::Disk(disk.name.clone()))?;
            disk.state = DiskState::Removing;
            let mut batch = Batch::default();
            batch.put(Table::Disks, &key(&disk.project, &disk.name), revision, &disk)?;
            batch.apply(self.state.as_ref())?;
        }
        self.erase_disk(&disk)
    }

    /// Withdraws the target, removes the clone, then the row.
    pub(super) fn erase_disk(&self, disk: &Disk) -> Result<(), Error> {
        self.exporter.withdraw(&disk.target)?;
        self.serving.remove(&key(&disk.project, &disk.name));
        // Otherwise it is the image's.
        if !disk.edits {
            self.remove_backing(self.store(&disk.store)?.as_ref(), &disk.backing)?;
        }
        self.forget_disk(disk)
    }

    /// Removes the rows of a disk, and lets the node go that it is bound to.
    pub(super) fn forget_disk(&self, disk: &Disk) -> Result<(), Error> {
        let Some(row) = self.find_disk(&disk.project, &disk.name)? else { return Ok(()) };
        let mut batch = Batch::default();
        batch.delete(Table::Disks, &key(&disk.project, &disk.name), row.revision);
        // The image may have another name by now.
        let use_key = use_key(&row.value);
        if let Some(used) = self.state.get(Table::Uses, &use_key)? {
            batch.delete(Table::Uses, &use_key, used.revision);
        }
        self.delete_tags(&mut batch, &disk.project, &Tagged::Disk(disk.name.clone()))?;
        if let Some(node) = self.node_of(&row.value)?
            && node.value.disk.as_ref() == Some(&disk.name)
        {
            let value = Node { disk: None, ..node.value };
            batch.put(Table::Nodes, &key(&value.project, &value.name), node.revision, &value)?;
        }
        batch.apply(self.state.as_ref())?;
        Ok(())
    }

    /// The disks whose volumes have become useless since this was asked last; they are shown as
    /// failed from now on, and are for [`Engine::serve`] to open anew. Asks no store.
    pub(in crate::catalog) fn take_failed(&self) -> Vec<(Name, Name)> {
        let mut failed = Vec::new();
        for mut entry in self.serving.iter_mut() {
            let useless = entry.volume.as_ref().is_some_and(|volume| volume.has_failed());
            if entry.state != ExportState::Serving || !useless {
                continue;
            }
            let names = entry.key().split_once('/').and_then(|(project, disk)| {
                Some((Name::project(project).ok()?, Name::disk(disk).ok()?))
            });
            let Some(names) = names else { continue };
            entry.state = ExportState::Failed;
            entry.error = Some(
                "another client has taken the image over, or a sync of it failed; it is being \
                 opened anew"
                    .to_owned(),
            );
            failed.push(names);
        }
        failed
    }

    /// Opens a disk. The second answer: it does not need its image any more.
    pub(super) fn open(&self, disk: &Disk) -> Result<(Arc<dyn Volume>, bool), Error> {
        let store = self.store(&disk.store)?;
        let broken = |message: String| Error::new(ErrorKind::Internal, BROKEN, message);
        let stat = store.stat(&disk.backing).map_err(|error| match error.kind() {
            StoreErrorKind::NotFound => {
                broken(format!("store '{}' has no image '{}'", disk.store, disk.backing))
            }
            _ => error.into(),
        })?;
        let check = |id: &str| match id == disk.identity {
            true => Ok(()),
            false => Err(broken(format!(
                "image '{}' of store '{}' is another one than when the disk was made",
                disk.backing, disk.store
            ))),
        };
        check(&stat.id)?;
        // Of what was opened: it may have been replaced in between.
        let (id, volume) = store.open_new(&disk.backing)?;
        check(&id)?;
        let flattened = !disk.edits && (disk.flattened || stat.parent.is_none());
        Ok((volume, flattened))
    }
}

/// The size of a new disk of an image of `least` bytes.
fn size_of(spec: &DiskSpec, default: Option<u64>, least: u64) -> Result<u64, Error> {
    match spec.size_bytes {
        Some(size) if size < least => {
            let message = format!("the image has {least} bytes: a disk of it cannot have {size}");
            Err(Error::invalid("invalid-size", message))
        }
        Some(size) => Ok(size),
        None if spec.edit => Ok(least),
        None => Ok(default.map_or(least, |default| default.max(least))),
    }
}

pub(super) const BROKEN: &str = "disk-broken";

pub(super) fn use_key(disk: &Disk) -> String {
    match &disk.image_project {
        None => format!("{}/{}/{}", disk.project, disk.image, disk.name),
        Some(of) => format!("{of}/{}/{}/{}", disk.image, disk.project, disk.name),
    }
}

pub(super) fn exists(disk: &Disk) -> Error {
    let (project, name) = (disk.project.as_str(), disk.name.as_str());
    if disk.state == DiskState::Broken {
        let message = format!(
            "disk '{name}' is broken: store '{}' has no image '{}'; remove the disk, or bring its \
             image back",
            disk.store, disk.backing
        );
        return Error::conflict(BROKEN, Noun::Disk, project, name, message);
    }
    let message = format!(
        "disk '{name}' of project '{project}' exists already, made from image '{}' with other \
         settings",
        disk.image
    );
    Error::conflict("disk-exists", Noun::Disk, project, name, message)
}

/// Refuses a disk that is its image itself.
pub(super) fn check_own(disk: &Disk) -> Result<(), Error> {
    if !disk.edits {
        return Ok(());
    }
    let (project, name) = (disk.project.as_str(), disk.name.as_str());
    let message = format!(
        "disk '{name}' is image '{}' itself, to be edited: make a tag of the image instead",
        disk.image
    );
    Err(Error::conflict("disk-edits-image", Noun::Disk, project, name, message))
}

pub(super) fn check_ready(image: &Image) -> Result<(), Error> {
    let (code, why) = match image.state {
        ImageState::Ready => return Ok(()),
        ImageState::Uploading => ("image-not-ready", "is still being uploaded"),
        ImageState::Importing => ("image-not-ready", "is still being imported"),
        ImageState::Removing => ("image-not-ready", "is being removed"),
        ImageState::Broken => ("image-broken", "is broken: the store has it no more"),
    };
    let (project, name) = (image.project.as_str(), image.name.as_str());
    Err(Error::conflict(code, Noun::Image, project, name, format!("image '{name}' {why}")))
}
