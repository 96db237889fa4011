//! Images that were there before, served as they are and never removed: an image's row that says so,
//! and a disk that is the image itself.

use jiff::Timestamp;

use super::disks::{exists, use_key};
use super::rows::{self, Batch, Versioned};
use super::tags::tag_key;
use super::{Engine, gone_is_fine, key};
use crate::catalog::attach::AttachSpec;
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::{Disk, DiskState, Exposure, Image, ImageState, Tagged, Usage};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::qos::Qos;
use crate::catalog::state::{ABSENT, Table};

impl Engine {
    /// Serves an image of a store as it is. The second answer: it was served already. There is no
    /// intent to be written: nothing is made but the rows.
    pub(in crate::catalog) fn attach(
        &self,
        project: &Name,
        name: &Name,
        spec: &AttachSpec,
    ) -> Result<(Disk, bool), Error> {
        spec.check(&self.options.target_prefix)?;
        let image_name = ImageName::new(name.as_str())?;
        let rules = spec.rules.disk_spec(image_name.clone(), spec.lun);
        rules.check()?;
        if let Some(Versioned { value: disk, .. }) = self.find_disk(project, name)? {
            let same = |disk: &Disk| {
                (&disk.store, &disk.backing) == (&spec.store, &spec.backing)
                    && (&disk.target, disk.lun) == (&spec.target, spec.lun)
            };
            if disk.state != DiskState::Ready || !disk.edits || !same(&disk) {
                return Err(exists(&disk));
            }
            // An earlier call may not have come so far.
            self.serve(project, name)?;
            return Ok((disk, true));
        }
        let known = self.left_by_its_disk(project, &image_name, spec)?;
        if known.is_none() {
            self.check_free(project, &image_name)?;
        }
        self.check_nobody_has(spec, known.is_some())?;
        let store = self.store(&spec.store)?;
        // Likewise, of a call that wrote no rows.
        self.exporter.withdraw(&spec.target)?;
        self.serving.remove(&key(project, name));
        store.adopt(&spec.backing)?;
        let (identity, volume) = store.open_new(&spec.backing)?;
        let size_bytes = volume.info().size_bytes;
        let image = Image {
            state: ImageState::Ready,
            backing: spec.backing.clone(),
            attached: true,
            snapshot: String::new(),
            source: spec.source.clone(),
            ..self.new_image(project, &image_name, &spec.store, size_bytes)
        };
        let disk = Disk {
            project: project.clone(),
            name: name.clone(),
            state: DiskState::Ready,
            image: image_name.clone(),
            image_project: None,
            tag: None,
            edits: true,
            flattened: false,
            rollback: None,
            store: spec.store.clone(),
            backing: spec.backing.clone(),
            size_bytes,
            identity,
            target: spec.target.clone(),
            lun: spec.lun,
            initiators: rules.initiators.clone(),
            networks: rules.networks.clone(),
            chap: rules.chap.as_ref().map(|chap| chap.complete(name)).transpose()?,
            portal_groups: self.portal_groups(project, &[])?,
            chap_per_node: None,
            read_only: false,
            exposure: Exposure::Enabled,
            qos: Qos::default(),
            encryption: None,
            moved: None,
            node: None,
            closed: false,
            barred: spec.rules.closed,
            created: Timestamp::now(),
        };
        let mut batch = Batch::default();
        match known {
            Some(revision) => batch.keep(Table::Images, &key(project, &image_name), revision),
            None => batch.put(Table::Images, &key(project, &image_name), ABSENT, &image)?,
        }
        batch.put(Table::Uses, &use_key(&disk), ABSENT, &disk.tag)?;
        batch.put(Table::Disks, &key(project, name), ABSENT, &disk)?;
        let bytes = if known.is_some() { 0 } else { disk.size_bytes };
        let more = Usage { disks: 1, bytes, ..Usage::default() };
        let served = self.within_quota(project, more, || {
            self.publish(&disk, None, Some(volume))?;
            batch.apply(self.state.as_ref())
        });
        if let Err(error) = served {
            match self.exporter.withdraw(&disk.target) {
                Ok(()) => drop(self.serving.remove(&key(project, name))),
                Err(error) => {
                    let target = &disk.target;
                    tracing::warn!(target, %error, "it is withdrawn when it is made again");
                }
            }
            // If the rows are there all the same.
            self.serve_again(&disk);
            return Err(error);
        }
        Ok((disk, false))
    }

    /// The revision of an image that is attached already and whose disk was removed by itself.
    fn left_by_its_disk(
        &self,
        project: &Name,
        name: &ImageName,
        spec: &AttachSpec,
    ) -> Result<Option<u64>, Error> {
        let row: Option<Versioned<Image>> =
            rows::load(self.state.as_ref(), Table::Images, &key(project, name))?;
        let left = |row: &Versioned<Image>| {
            let image = &row.value;
            image.attached
                && image.state == ImageState::Ready
                && (&image.store, &image.backing) == (&spec.store, &spec.backing)
        };
        Ok(row.filter(left).map(|row| row.revision))
    }

    /// Refuses an image, unless it is `known`, or the name of a target, that another object of the
    /// catalog has.
    fn check_nobody_has(&self, spec: &AttachSpec, known: bool) -> Result<(), Error> {
        let taken = |noun, project: &Name, name: &str, message: String| {
            Err(Error::conflict("already-attached", noun, project.as_str(), name, message))
        };
        for image in self.images(None)? {
            if !known && (&image.store, &image.backing) == (&spec.store, &spec.backing) {
                let (project, name) = (&image.project, &image.name);
                let message = format!("{} is image '{name}' of '{project}' already", spec.source);
                return taken(Noun::Image, project, name.as_str(), message);
            }
        }
        for disk in self.disks(None)? {
            if disk.target == spec.target {
                let (project, name) = (&disk.project, &disk.name);
                let message = format!("target {} is disk '{name}' of '{project}'", spec.target);
                return taken(Noun::Disk, project, name.as_str(), message);
            }
        }
        Ok(())
    }

    /// Ends the sessions of an attached disk and forgets it; the image stays where it is, and its
    /// owner can have it when this returns.
    pub(in crate::catalog) fn detach(&self, project: &Name, name: &Name) -> Result<(), Error> {
        let (row, image_row) = self.attached(project, name)?;
        let (disk, image) = (&row.value, &image_row.value);
        if let Some(node) = &disk.node {
            let message = format!("disk '{name}' is bound to node '{node}'; unbind it first");
            let (project, name) = (project.as_str(), name.as_str());
            return Err(Error::conflict("disk-bound", Noun::Disk, project, name, message));
        }
        self.check_not_at_work(disk)?;
        let of = Tagged::Image(image.name.clone());
        self.check_tags_unprotected(project, &of)?;
        let users = self.image_users(project, &image.name)?;
        let clones: Vec<String> = users.into_iter().filter(|user| user != name.as_str()).collect();
        if !clones.is_empty() {
            let message = format!("disks were cloned from tags of '{name}'; remove them first");
            let (project, name) = (project.as_str(), image.name.as_str());
            let error = Error::conflict("image-in-use", Noun::Image, project, name, message);
            return Err(error.with_users(clones));
        }
        self.exporter.withdraw(&disk.target)?;
        self.serving.remove(&key(project, name));
        let store = self.store(&disk.store)?;
        let mut batch = Batch::default();
        for tag in self.tag_rows(project, &of)? {
            gone_is_fine(store.remove_snapshot(&disk.backing, &tag.value.snapshot))?;
            batch.delete(Table::Tags, &tag_key(&tag.value), tag.revision);
        }
        store.release(&disk.backing)?;
        batch.delete(Table::Disks, &key(project, name), row.revision);
        if let Some(used) = self.state.get(Table::Uses, &use_key(disk))? {
            batch.delete(Table::Uses, &use_key(disk), used.revision);
        }
        batch.delete(Table::Images, &key(project, &image.name), image_row.revision);
        batch.apply(self.state.as_ref()).inspect_err(|_| self.serve_again(disk))?;
        Ok(())
    }

    /// An attached disk and its image.
    fn attached(
        &self,
        project: &Name,
        name: &Name,
    ) -> Result<(Versioned<Disk>, Versioned<Image>), Error> {
        let disk = self.disk_row(project, name)?;
        let image = self.image_row(project, &disk.value.image)?;
        if disk.value.edits && image.value.attached && disk.value.is_there() {
            return Ok((disk, image));
        }
        let message = format!("disk '{name}' is none that was attached");
        let (project, name) = (project.as_str(), name.as_str());
        Err(Error::conflict("disk-not-attached", Noun::Disk, project, name, message))
    }
}
