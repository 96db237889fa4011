//! Images: import and removal.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::rows::{self, Batch, Versioned};
use super::{Engine, FOREIGN, GOLDEN, backing_prefix, busy, foreign, key};
use crate::backend::{BootProfile, StoreErrorKind};
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::import::{Progress, Source, copy};
use crate::catalog::model::{Image, ImageState};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::spec::ImportSpec;
use crate::catalog::state::{ABSENT, Table};

/// An import whose intent is written.
pub(in crate::catalog) struct Import {
    image: Image,
    revision: u64,
    source: Source,
    fix_boot_chs: bool,
    filling: Filling,
}

/// The image's key is among those that are being filled, until dropped.
struct Filling {
    keys: Arc<Mutex<BTreeSet<String>>>,
    key: String,
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.key);
    }
}

impl Import {
    /// Bytes there are to deal with.
    pub(in crate::catalog) fn total_bytes(&self) -> u64 {
        self.source.size_bytes()
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
        let prefix = format!("{project}/{name}/");
        let rows = self.state.list(Table::Uses, &prefix)?;
        Ok(rows.into_iter().map(|(key, _)| key[prefix.len()..].to_owned()).collect())
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
        let key = key(project, name);
        if let Some(row) = rows::load::<Image>(self.state.as_ref(), Table::Images, &key)? {
            let left_over = !self.filling.lock().contains(&key)
                && matches!(row.value.state, ImageState::Importing | ImageState::Removing);
            if !left_over {
                let message = format!("image '{name}' of project '{project}' exists already");
                let (project, name) = (project.as_str(), name.as_str());
                return Err(Error::conflict("image-exists", Noun::Image, project, name, message));
            }
            self.erase_image(&row.value)?;
        }
        let source =
            Source::open(&spec.file, spec.format, self.options.image_max_bytes, spec.owner)?;
        let mut image = Image {
            project: project.clone(),
            name: name.clone(),
            state: ImageState::Importing,
            store: store.clone(),
            backing: String::new(),
            snapshot: GOLDEN.to_owned(),
            size_bytes: source.size_bytes(),
            format: source.format(),
            source: spec.file.to_string_lossy().into_owned(),
            created: Timestamp::now(),
            warnings: Vec::new(),
        };
        let ((), revision) = self.apply_numbered(|uid, id, batch| {
            image.backing = format!("{}img{id}", backing_prefix(uid));
            batch.put(Table::Images, &key, ABSENT, &image)
        })?;
        self.filling.lock().insert(key.clone());
        let filling = Filling { keys: Arc::clone(&self.filling), key };
        Ok(Import { image, revision, source, fix_boot_chs: spec.fix_boot_chs, filling })
    }

    /// Fills the image and freezes it; takes everything back if that fails.
    pub(in crate::catalog) fn run_import(
        &self,
        import: Import,
        progress: &Progress,
    ) -> Result<Image, Error> {
        let Import { mut image, revision, source, fix_boot_chs, filling } = import;
        // The file is hostile and is read by code of others. What a panic may leave half done is
        // the image, and that is erased.
        let filled = catch_unwind(AssertUnwindSafe(|| {
            self.fill(&mut image, revision, &source, fix_boot_chs, progress)
        }));
        let result = filled.unwrap_or_else(|_| Err(panicked(&image)));
        let undone = match &result {
            Ok(()) => Ok(()),
            Err(error) if error.code() == FOREIGN => self.forget_image(&image),
            Err(_) => self.erase_image(&image),
        };
        if let Err(error) = undone {
            tracing::warn!(image = filling.key, %error, "a failed import is taken back later");
        }
        result.map(|()| image)
    }

    /// Takes back an import that was begun and will not run.
    pub(in crate::catalog) fn drop_import(&self, import: Import) {
        let progress = Progress::default();
        progress.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        // Cancelled before its first step: all that this does is to remove the row.
        let _ = self.run_import(import, &progress);
    }

    fn fill(
        &self,
        image: &mut Image,
        revision: u64,
        source: &Source,
        fix_boot_chs: bool,
        progress: &Progress,
    ) -> Result<(), Error> {
        progress.check()?;
        let store = self.store(&image.store)?;
        store.create(&image.backing, image.size_bytes).map_err(|error| match error.kind() {
            StoreErrorKind::Exists => foreign(&image.store, &image.backing),
            _ => error.into(),
        })?;
        let mut writer = store.writer(&image.backing)?;
        image.warnings = copy(source, writer.as_mut(), fix_boot_chs, progress)?;
        writer.finish()?;
        store.snapshot(&image.backing, &image.snapshot)?;
        image.state = ImageState::Ready;
        let mut batch = Batch::default();
        batch.put(Table::Images, &key(&image.project, &image.name), revision, image)?;
        batch.apply(self.state.as_ref())?;
        Ok(())
    }

    /// Removes an image that no disk uses.
    pub(in crate::catalog) fn remove_image(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<(), Error> {
        let key = key(project, name);
        if self.filling.lock().contains(&key) {
            return Err(busy(format!("image '{name}' is being imported; cancel the job first")));
        }
        let Versioned { value: mut image, mut revision } = self.image_row(project, name)?;
        self.check_unused(&image)?;
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
        self.remove_backing(self.store(&image.store)?.as_ref(), &image.backing)?;
        self.forget_image(image)
    }

    fn forget_image(&self, image: &Image) -> Result<(), Error> {
        let key = key(&image.project, &image.name);
        let Some(row) = rows::load::<Image>(self.state.as_ref(), Table::Images, &key)? else {
            return Ok(());
        };
        let mut batch = Batch::default();
        batch.delete(Table::Images, &key, row.revision);
        batch.apply(self.state.as_ref())?;
        Ok(())
    }
}

fn panicked(image: &Image) -> Error {
    let message = format!(
        "the import of '{}' broke off by a fault in stirrupd; please report it, with the log and, \
         if possible, the file",
        image.source
    );
    Error::new(ErrorKind::Internal, "internal", message)
}

/// The first few of a list, for a message.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
