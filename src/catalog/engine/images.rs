//! Images: import and removal.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::at_work::Work;
use super::exports::check_closed;
use super::rows::{self, Batch, Versioned};
use super::{Engine, FOREIGN, backing_prefix, busy, foreign, gone_is_fine, key};
use crate::backend::{BootProfile, LuksFormat, Store, StoreErrorKind};
use crate::catalog::checksum::Checksum;
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::import::{Progress, Source, copy};
use crate::catalog::model::{Image, ImageState, Tagged, Usage};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::spec::ImportSpec;
use crate::catalog::state::{ABSENT, Table};

/// An import, of a file or of what is in a store, whose intent is written.
pub(in crate::catalog) struct Import {
    pub(super) image: Image,
    pub(super) revision: u64,
    pub(super) content: Content,
    pub(super) fix_boot_chs: bool,
    /// What the checksum of the source must be.
    pub(super) sha256: Option<Checksum>,
    /// It is encrypted with a key of its own, as what it is copied from is.
    pub(super) luks: Option<LuksFormat>,
    /// Nobody may write to what it is copied from.
    pub(super) closed: Option<(Arc<dyn Store>, String)>,
    /// Keeps others from the image, and from what it is made of.
    pub(super) works: Vec<Work>,
}

impl From<Source> for Content {
    fn from(source: Source) -> Self {
        Self::Source(Box::new(source))
    }
}

/// Where the contents of an image come from.
pub(super) enum Content {
    /// They are copied.
    Source(Box<Source>),
    /// They were uploaded.
    Upload,
}

impl Import {
    pub(super) fn of(image: Image, revision: u64, content: Content, works: Vec<Work>) -> Self {
        let (fix_boot_chs, sha256, luks, closed) = (false, None, None, None);
        Self { image, revision, content, fix_boot_chs, sha256, luks, closed, works }
    }

    /// Bytes there are to deal with.
    pub(in crate::catalog) fn total_bytes(&self) -> u64 {
        self.image.size_bytes
    }
}

impl Engine {
    /// The images of a project, or of all.
    pub(in crate::catalog) fn images(&self, project: Option<&Name>) -> Result<Vec<Image>, Error> {
        self.all(Table::Images, project)
    }

    /// An image.
    pub(in crate::catalog) fn image(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<Image, Error> {
        Ok(self.image_row(project, name)?.value)
    }

    /// Names of the disks that are clones of an image.
    pub(in crate::catalog) fn image_users(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<Vec<String>, Error> {
        Ok(self.image_uses(project, name)?.into_iter().map(|(disk, _)| disk).collect())
    }

    /// The disks that are clones of an image, each with the tag.
    pub(super) fn image_uses(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<Vec<(String, Option<ImageName>)>, Error> {
        let prefix = format!("{project}/{name}/");
        let rows = self.state.list(Table::Uses, &prefix)?.into_iter();
        rows.map(|(key, row)| {
            let tag = rows::decode(Table::Uses, &key, &row.value)?;
            Ok((key[prefix.len()..].to_owned(), tag))
        })
        .collect()
    }

    /// What the store knows of how the image boots.
    pub(in crate::catalog) fn boot_profile(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<BootProfile, Error> {
        let image = self.image(project, name)?;
        Ok(self.store(&image.store)?.boot_profile(&image.backing)?)
    }

    /// Has the store forget that.
    pub(in crate::catalog) fn forget_boot_profile(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<(), Error> {
        let image = self.image(project, name)?;
        Ok(self.store(&image.store)?.forget_boot_profile(&image.backing)?)
    }

    pub(super) fn image_row(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<Versioned<Image>, Error> {
        rows::load(self.state.as_ref(), Table::Images, &key(project, name))?
            .ok_or_else(|| Error::not_found(Noun::Image, project.as_str(), name.as_str()))
    }

    /// An image that a project can use: its own, or a public one of another.
    pub(super) fn visible_image_row(
        &self,
        project: &Name,
        of: &Name,
        name: &ImageName,
    ) -> Result<Versioned<Image>, Error> {
        let row = self.image_row(of, name)?;
        if of == project || row.value.public {
            return Ok(row);
        }
        Err(Error::not_found(Noun::Image, of.as_str(), name.as_str()))
    }

    /// Sets whether all projects can use an image. Clones that exist stay.
    pub(in crate::catalog) fn publish_image(
        &self,
        project: &Name,
        name: &ImageName,
        public: bool,
    ) -> Result<Image, Error> {
        let Versioned { value: mut image, revision } = self.image_row(project, name)?;
        if image.state != ImageState::Broken {
            super::disks::check_ready(&image)?;
        }
        if image.public != public {
            image.public = public;
            self.put_image(&image, revision)?;
        }
        Ok(image)
    }

    /// Bytes that an image takes in its store, as far as that is known cheaply.
    pub(in crate::catalog) fn image_used(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<Option<u64>, Error> {
        let image = self.image(project, name)?;
        Ok(self.store(&image.store)?.stat(&image.backing)?.used_bytes)
    }

    pub(super) fn all<T: serde::de::DeserializeOwned>(
        &self,
        table: Table,
        project: Option<&Name>,
    ) -> Result<Vec<T>, Error> {
        let prefix = project.map_or(String::new(), |project| format!("{project}/"));
        let rows = rows::load_all(self.state.as_ref(), table, &prefix)?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// Checks the file and writes the intent of importing it.
    pub(in crate::catalog) fn begin_import(
        &self,
        project: &Name,
        name: &ImageName,
        spec: &ImportSpec,
    ) -> Result<Import, Error> {
        spec.check()?;
        let store = spec.store.as_ref().unwrap_or(&self.options.default_store);
        self.check_store(store)?;
        self.check_free(project, name)?;
        let source =
            Source::open(&spec.file, spec.format, self.options.image_max_bytes, spec.owner)?;
        let mut image = self.new_image(project, name, store, source.size_bytes());
        image.format = source.format();
        image.source = spec.file.to_string_lossy().into_owned();
        let more = Usage { bytes: image.size_bytes, ..Usage::default() };
        let intend = |uid: &str, id: u64, batch: &mut Batch| {
            image.backing = backing_of(uid, id);
            batch.put(Table::Images, &key(project, name), ABSENT, &image)
        };
        let ((), revision) = self.within_quota(project, more, || self.apply_numbered(intend))?;
        let works = vec![self.at_work.begin(Noun::Image, project, name.as_str())];
        let (fix_boot_chs, sha256) = (spec.fix_boot_chs, spec.sha256.clone());
        Ok(Import { fix_boot_chs, sha256, ..Import::of(image, revision, source.into(), works) })
    }

    /// Refuses a name that an image has; what a failed import left under it goes.
    pub(super) fn check_free(&self, project: &Name, name: &ImageName) -> Result<(), Error> {
        let key = key(project, name);
        let Some(row) = rows::load::<Image>(self.state.as_ref(), Table::Images, &key)? else {
            return Ok(());
        };
        let left_over = !self.at_work.is(Noun::Image, project, name.as_str())
            && matches!(row.value.state, ImageState::Importing | ImageState::Removing);
        if !left_over {
            let message = format!("image '{name}' of project '{project}' exists already");
            let (project, name) = (project.as_str(), name.as_str());
            return Err(Error::conflict("image-exists", Noun::Image, project, name, message));
        }
        self.erase_image(&row.value)
    }

    /// Fills the image and freezes it; takes everything back if that fails. An upload stays when the
    /// store is to blame, so that its end can be tried again.
    pub(in crate::catalog) fn run_import(
        &self,
        import: Import,
        progress: &Progress,
    ) -> Result<Image, Error> {
        let Import { mut image, revision, content, fix_boot_chs, sha256, luks, closed, works } =
            import;
        let _works = works;
        // The file is hostile and is read by code of others. What a panic may leave half done is
        // the image, and that is erased.
        let filled = catch_unwind(AssertUnwindSafe(|| {
            progress.check()?;
            match &content {
                Content::Source(source) => {
                    check_source(source, sha256.as_ref(), &mut image, progress)?;
                    self.create_backing(&image, luks)?;
                    self.fill(&mut image, source, fix_boot_chs, progress)?;
                    if sha256.is_some() {
                        source.check_unchanged()?;
                    }
                    check_closed(closed.as_ref())?;
                    self.freeze(&mut image, revision)
                }
                Content::Upload => self.fill_uploaded(&mut image, revision, progress),
            }
        }));
        let result = filled.unwrap_or_else(|_| Err(panicked(&image)));
        let undone = match &result {
            Ok(()) => Ok(()),
            Err(error) if error.code() == FOREIGN => {
                self.remove_origin(&image).and_then(|()| self.forget_image(&image))
            }
            Err(error) if image.state == ImageState::Uploading && may_pass(error) => {
                self.settle_upload(&image)
            }
            Err(_) => self.erase_image(&image),
        };
        if let Err(error) = undone {
            let image = key(&image.project, &image.name);
            tracing::warn!(image, %error, "a failed import is taken back later");
        }
        result.map(|()| image)
    }

    /// Takes back an import that was begun and will not run.
    pub(in crate::catalog) fn drop_import(&self, import: Import) {
        // Its end can be asked for again.
        if matches!(import.content, Content::Upload) {
            return;
        }
        let progress = Progress::default();
        progress.cancel();
        // Cancelled before its first step: all that this does is to remove the row.
        let _ = self.run_import(import, &progress);
    }

    /// Copies the source into the image, which is empty.
    pub(super) fn fill(
        &self,
        image: &mut Image,
        source: &Source,
        fix_boot_chs: bool,
        progress: &Progress,
    ) -> Result<(), Error> {
        let store = self.store(&image.store)?;
        let mut writer = store.writer(&image.backing)?;
        image.warnings = copy(source, writer.as_mut(), fix_boot_chs, progress)?;
        Ok(writer.finish()?)
    }

    /// Makes an empty image in the store.
    pub(super) fn create_backing(
        &self,
        image: &Image,
        luks: Option<LuksFormat>,
    ) -> Result<(), Error> {
        let store = self.store(&image.store)?;
        let made = match luks {
            None => store.create(&image.backing, image.size_bytes),
            Some(format) => store.create_encrypted(&image.backing, image.size_bytes, format),
        };
        made.map_err(|error| match error.kind() {
            StoreErrorKind::Exists => foreign(&image.store, &image.backing),
            _ => error.into(),
        })
    }

    /// Freezes a filled image: disks can be cloned from it.
    pub(super) fn freeze(&self, image: &mut Image, revision: u64) -> Result<(), Error> {
        self.store(&image.store)?.snapshot(&image.backing, &image.snapshot)?;
        self.remove_origin(image)?;
        let ready = Image { origin: None, state: ImageState::Ready, ..image.clone() };
        self.put_image(&ready, revision)?;
        *image = ready;
        Ok(())
    }

    /// Removes an image that no disk uses.
    pub(in crate::catalog) fn remove_image(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<(), Error> {
        if self.at_work.is(Noun::Image, project, name.as_str()) {
            let message = format!(
                "image '{name}' is being imported, uploaded, copied or downloaded; cancel that first"
            );
            return Err(busy(message));
        }
        let Versioned { value: mut image, mut revision } =
            self.removable_image_row(project, name)?;
        let before = image.state;
        if before != ImageState::Removing {
            image.state = ImageState::Removing;
            revision = self.put_image(&image, revision)?;
            // A disk may have been made since the check. From here on none can: that would
            // have to find the image's row as it was.
            if let Err(error) = self.check_unused(&image) {
                image.state = before;
                self.put_image(&image, revision)?;
                return Err(error);
            }
        }
        self.erase_image(&image)
    }

    /// Refuses the removal of an image that a disk uses, or that is protected. The answer is its
    /// store.
    pub(in crate::catalog) fn check_removal(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<String, Error> {
        Ok(self.removable_image_row(project, name)?.value.store)
    }

    fn removable_image_row(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<Versioned<Image>, Error> {
        let row = self.image_row(project, name)?;
        self.check_unused(&row.value)?;
        if row.value.state == ImageState::Removing {
            return Ok(row);
        }
        if row.value.protected {
            let message = format!("image '{name}' is protected; unprotect it first");
            let (project, name) = (project.as_str(), name.as_str());
            return Err(Error::conflict("image-protected", Noun::Image, project, name, message));
        }
        self.check_tags_unprotected(project, &Tagged::Image(name.clone()))?;
        Ok(row)
    }

    pub(super) fn put_image(&self, image: &Image, revision: u64) -> Result<u64, Error> {
        let mut batch = Batch::default();
        batch.put(Table::Images, &key(&image.project, &image.name), revision, image)?;
        batch.apply(self.state.as_ref())
    }

    fn check_unused(&self, image: &Image) -> Result<(), Error> {
        let users = self.image_users(&image.project, &image.name)?;
        if users.is_empty() {
            return Ok(());
        }
        let (project, name) = (image.project.as_str(), image.name.as_str());
        let message = format!("image '{name}' is used by disks: {}", some_of(&users));
        let error = Error::conflict("image-in-use", Noun::Image, project, name, message);
        Err(error.with_users(users))
    }

    /// Removes what an image has in the store, then its row.
    pub(super) fn erase_image(&self, image: &Image) -> Result<(), Error> {
        self.remove_origin(image)?;
        let store = self.store(&image.store)?;
        if image.attached {
            // Only what was made of it here.
            for tag in self.tag_rows(&image.project, &Tagged::Image(image.name.clone()))? {
                gone_is_fine(store.remove_snapshot(&image.backing, &tag.value.snapshot))?;
            }
        } else {
            self.remove_backing(store.as_ref(), &image.backing)?;
        }
        self.remove_staged(image)?;
        self.forget_image(image)
    }

    /// Removes the snapshot that an image was to be filled from.
    fn remove_origin(&self, image: &Image) -> Result<(), Error> {
        let Some(origin) = &image.origin else { return Ok(()) };
        let store = self.store(&origin.store)?;
        Ok(gone_is_fine(store.remove_snapshot(&origin.backing, &origin.snapshot))?)
    }

    pub(super) fn forget_image(&self, image: &Image) -> Result<(), Error> {
        let key = key(&image.project, &image.name);
        let Some(row) = rows::load::<Image>(self.state.as_ref(), Table::Images, &key)? else {
            return Ok(());
        };
        let mut batch = Batch::default();
        batch.delete(Table::Images, &key, row.revision);
        self.delete_tags(&mut batch, &image.project, &Tagged::Image(image.name.clone()))?;
        batch.apply(self.state.as_ref())?;
        Ok(())
    }
}

/// Compares the checksum that was given with that of the file.
fn check_source(
    source: &Source,
    announced: Option<&Checksum>,
    image: &mut Image,
    progress: &Progress,
) -> Result<(), Error> {
    let Some(announced) = announced else { return Ok(()) };
    image.sha256 = source.checksum(progress)?;
    let sha256 = image.sha256.as_ref();
    sha256.map_or(Ok(()), |sha256| sha256.check(Some(announced), &image.source))
}

/// Whether a repeated attempt may find what this one did not.
fn may_pass(error: &Error) -> bool {
    let kinds =
        [ErrorKind::Unavailable, ErrorKind::NoSpace, ErrorKind::Internal, ErrorKind::Cancelled];
    kinds.contains(&error.kind()) && error.code() != PANIC
}

const PANIC: &str = "internal";

fn panicked(image: &Image) -> Error {
    let message = format!(
        "the import of '{}' broke off by a fault in stirrupd; please report it, with the log and, \
         if possible, the file",
        image.source
    );
    Error::new(ErrorKind::Internal, PANIC, message)
}

/// The name of an image in a store.
pub(super) fn backing_of(uid: &str, id: u64) -> String {
    format!("{}img{id}", backing_prefix(uid))
}

/// The first few of a list, for a message.
pub(super) fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
