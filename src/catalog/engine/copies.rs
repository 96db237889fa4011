//! Images that are made of what is in a store already; images under other names.

use super::at_work::Work;
use super::disks::{check_ready, use_key};
use super::images::{Import, some_of};
use super::rows::{self, Batch, Versioned};
use super::tags::tag_key;
use super::{Engine, busy, foreign, key};
use crate::backend::{OpenMode, StoreErrorKind, VolumeReader};
use crate::catalog::error::{Error, Noun};
use crate::catalog::import::Source;
use crate::catalog::model::{Disk, Format, Image, ImageState, Origin, Tagged, Usage};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::spec::CopySpec;
use crate::catalog::state::{ABSENT, Table};

/// A snapshot that is to be read.
pub(in crate::catalog) struct Reading {
    pub(in crate::catalog) reader: VolumeReader,
    /// Keeps it from being removed meanwhile.
    pub(super) work: Work,
}

/// What a copy is made of.
struct Original {
    store: String,
    backing: String,
    /// `None`: one is made.
    snapshot: Option<String>,
    size_bytes: u64,
    label: String,
    /// The image that a disk was cloned from.
    parent: Option<ImageName>,
    work: Work,
}

impl Engine {
    /// Writes the intent of copying an image, or a disk, into a new image. A disk is copied as it is
    /// now, whatever is written to it later.
    pub(in crate::catalog) fn begin_copy(
        &self,
        project: &Name,
        name: &ImageName,
        spec: &CopySpec,
    ) -> Result<Import, Error> {
        let original = self.original(spec)?;
        let store = spec.store.as_ref().unwrap_or(&original.store);
        self.check_store(store)?;
        self.check_free(project, name)?;
        if original.size_bytes > self.options.image_max_bytes {
            let limit = self.options.image_max_bytes;
            let message = format!("{} is larger than the limit, {limit} bytes", original.label);
            return Err(Error::invalid("source-too-large", message));
        }
        let mut image = self.new_image(project, name, store, original.size_bytes);
        image.source = original.label.clone();
        image.parent = original.parent.clone();
        let mut snapshot = String::new();
        let more = Usage { bytes: image.size_bytes, ..Usage::default() };
        let intend = |uid: &str, id: u64, batch: &mut Batch| {
            image.backing = super::images::backing_of(uid, id);
            snapshot = original.snapshot.clone().unwrap_or_else(|| format!("copy{id}"));
            image.origin = original.snapshot.is_none().then(|| Origin {
                store: original.store.clone(),
                backing: original.backing.clone(),
                snapshot: snapshot.clone(),
            });
            batch.put(Table::Images, &key(project, name), ABSENT, &image)
        };
        let ((), revision) = self.within_quota(project, more, || self.apply_numbered(intend))?;
        let filling = self.at_work.begin(Noun::Image, project, name.as_str());
        match self.open_original(&original, &image, &snapshot) {
            Ok(source) => {
                image.size_bytes = source.size_bytes();
                Ok(Import::of(image, revision, source, vec![filling, original.work]))
            }
            Err(error) => {
                let undone = if error.code() == super::FOREIGN {
                    self.forget_image(&image)
                } else {
                    self.erase_image(&image)
                };
                if let Err(error) = undone {
                    let image = key(project, name);
                    tracing::warn!(image, %error, "a copy that failed is taken back later");
                }
                Err(error)
            }
        }
    }

    fn open_original(
        &self,
        original: &Original,
        image: &Image,
        snapshot: &str,
    ) -> Result<Source, Error> {
        let store = self.store(&original.store)?;
        if image.origin.is_some() {
            store.snapshot(&original.backing, snapshot).map_err(|error| match error.kind() {
                StoreErrorKind::Exists => foreign(&original.store, &original.backing),
                _ => error.into(),
            })?;
        }
        let volume = store.open(&original.backing, Some(snapshot), OpenMode::ReadOnly)?;
        Ok(Source::of_volume(original.label.clone(), VolumeReader::new(volume)))
    }

    fn original(&self, spec: &CopySpec) -> Result<Original, Error> {
        let CopySpec { project, of, tag, .. } = spec;
        let work = |noun| self.at_work.begin(noun, project, of.name());
        let at = tag.as_ref().map_or(String::new(), |tag| format!("@{tag}"));
        let label = format!("{} {project}/{}{at}", of.noun(), of.name());
        match of {
            Tagged::Image(name) => {
                let image = self.image(project, name)?;
                check_ready(&image)?;
                let (snapshot, row) = self.clone_source(&image, tag.as_ref())?;
                Ok(Original {
                    size_bytes: row.map_or(image.size_bytes, |row| row.value.size_bytes),
                    store: image.store,
                    backing: image.backing,
                    snapshot: Some(snapshot),
                    label,
                    parent: image.parent,
                    work: work(Noun::Image),
                })
            }
            Tagged::Disk(name) => {
                let disk = self.disk(project, name)?;
                self.check_idle(&disk)?;
                let tag = tag.as_ref().map(|tag| self.ready_tag(project, of, tag)).transpose()?;
                let tag = tag.map(|row| row.value);
                Ok(Original {
                    size_bytes: tag.as_ref().map_or(disk.size_bytes, |tag| tag.size_bytes),
                    store: disk.store,
                    backing: disk.backing,
                    snapshot: tag.map(|tag| tag.snapshot),
                    label,
                    parent: Some(disk.image),
                    work: work(Noun::Disk),
                })
            }
        }
    }

    /// Opens an image, one that `asker` can use, to be read as it was imported, or at a tag.
    pub(in crate::catalog) fn read_image(
        &self,
        asker: &Name,
        (project, name): (&Name, &ImageName),
        tag: Option<&ImageName>,
    ) -> Result<Reading, Error> {
        let image = self.visible_image_row(asker, project, name)?.value;
        check_ready(&image)?;
        let (snapshot, _) = self.clone_source(&image, tag)?;
        let work = self.at_work.begin(Noun::Image, project, name.as_str());
        let store = self.store(&image.store)?;
        let volume = store.open(&image.backing, Some(&snapshot), OpenMode::ReadOnly)?;
        Ok(Reading { reader: VolumeReader::new(volume), work })
    }

    /// Gives an image another name, or moves it to another project; disks that were cloned from it
    /// do not mind the former, and keep it from the latter.
    pub(in crate::catalog) fn rename_image(
        &self,
        (project, name): (&Name, &ImageName),
        (to_project, to_name): (&Name, &ImageName),
    ) -> Result<Image, Error> {
        let Versioned { value: mut image, revision } = self.image_row(project, name)?;
        if (project, name) == (to_project, to_name) {
            return Ok(image);
        }
        check_ready(&image)?;
        if self.at_work.is(Noun::Image, project, name.as_str()) {
            return Err(busy(format!("a job is at image '{name}'; try again when it has ended")));
        }
        self.check_free(to_project, to_name)?;
        let uses = self.image_uses(project, name)?;
        if project != to_project && !uses.is_empty() {
            let users: Vec<String> = uses.into_iter().map(|(disk, _)| disk).collect();
            let message = format!(
                "image '{name}' is used by disks of project '{project}': {}; copy it instead",
                some_of(&users)
            );
            let (project, name) = (project.as_str(), name.as_str());
            let error = Error::conflict("image-in-use", Noun::Image, project, name, message);
            return Err(error.with_users(users));
        }
        let mut batch = Batch::default();
        for (disk, _) in uses {
            self.add_renamed_use(&mut batch, project, &disk, name, to_name)?;
        }
        for Versioned { value: mut tag, revision } in
            self.tag_rows(project, &Tagged::Image(name.clone()))?
        {
            batch.delete(Table::Tags, &tag_key(&tag), revision);
            tag.project = to_project.clone();
            tag.of = Tagged::Image(to_name.clone());
            batch.put(Table::Tags, &tag_key(&tag), ABSENT, &tag)?;
        }
        batch.delete(Table::Images, &key(project, name), revision);
        (image.project, image.name) = (to_project.clone(), to_name.clone());
        batch.put(Table::Images, &key(to_project, to_name), ABSENT, &image)?;
        let more = match project == to_project {
            true => Usage::default(),
            false => Usage { bytes: image.size_bytes, ..Usage::default() },
        };
        self.within_quota(to_project, more, || batch.apply(self.state.as_ref()))?;
        Ok(image)
    }

    /// Adds to a batch that a disk is a clone of an image of another name.
    fn add_renamed_use(
        &self,
        batch: &mut Batch,
        project: &Name,
        disk: &str,
        old: &ImageName,
        new: &ImageName,
    ) -> Result<(), Error> {
        // One of another project has that before its name.
        let key = if disk.contains('/') { disk.to_owned() } else { key(project, &disk) };
        let row = rows::load::<Disk>(self.state.as_ref(), Table::Disks, &key)?;
        let Some(Versioned { value: mut disk, revision }) = row.filter(|r| r.value.image == *old)
        else {
            return Ok(());
        };
        if let Some(used) = self.state.get(Table::Uses, &use_key(&disk))? {
            batch.delete(Table::Uses, &use_key(&disk), used.revision);
        }
        disk.image = new.clone();
        batch.put(Table::Uses, &use_key(&disk), ABSENT, &disk.tag)?;
        batch.put(Table::Disks, &key, revision, &disk)
    }

    /// Sets which tag disks are cloned from when none is named; with `None` the image as it was
    /// imported.
    pub(in crate::catalog) fn set_default_tag(
        &self,
        project: &Name,
        name: &ImageName,
        tag: Option<&ImageName>,
    ) -> Result<Image, Error> {
        let Versioned { value: mut image, revision } = self.image_row(project, name)?;
        check_ready(&image)?;
        if let Some(tag) = tag {
            self.ready_tag(project, &Tagged::Image(name.clone()), tag)?;
        }
        if image.default_tag.as_ref() != tag {
            image.default_tag = tag.cloned();
            self.put_image(&image, revision)?;
        }
        Ok(image)
    }

    /// Sets whether an image can be removed.
    pub(in crate::catalog) fn protect_image(
        &self,
        project: &Name,
        name: &ImageName,
        protected: bool,
    ) -> Result<Image, Error> {
        let Versioned { value: mut image, revision } = self.image_row(project, name)?;
        if image.state != ImageState::Broken {
            check_ready(&image)?;
        }
        if image.protected != protected {
            image.protected = protected;
            self.put_image(&image, revision)?;
        }
        Ok(image)
    }

    /// An image that is to be filled.
    pub(super) fn new_image(
        &self,
        project: &Name,
        name: &ImageName,
        store: &str,
        size_bytes: u64,
    ) -> Image {
        Image {
            project: project.clone(),
            name: name.clone(),
            state: ImageState::Importing,
            store: store.to_owned(),
            backing: String::new(),
            snapshot: super::GOLDEN.to_owned(),
            default_tag: None,
            protected: false,
            origin: None,
            attached: false,
            parent: None,
            size_bytes,
            format: Format::Raw,
            source: String::new(),
            created: jiff::Timestamp::now(),
            warnings: Vec::new(),
            public: false,
            sha256: None,
            upload: None,
        }
    }
}
