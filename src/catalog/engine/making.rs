//! Making disks: clones of images, or copies with a key of their own.

use super::at_work::Work;
use super::{Engine, FOREIGN, foreign, key};
use crate::backend::{LuksFormat, OpenMode, StoreError, StoreErrorKind, VolumeReader};
use crate::catalog::encryption::Encryption;
use crate::catalog::error::Error;
use crate::catalog::import::{Progress, Source, copy};
use crate::catalog::model::{Disk, Image, Node};
use crate::catalog::name::Name;
use crate::catalog::spec::DiskSpec;

/// A disk whose intent is written.
pub(in crate::catalog) struct Making {
    pub(super) disk: Disk,
    pub(super) revision: u64,
    pub(super) parent: Parent,
    /// Keeps an image that takes long to copy where the disk's row says that it is.
    pub(super) _work: Option<Work>,
}

impl Making {
    /// The disk, as its intent is.
    pub(in crate::catalog) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Bytes there are to copy.
    pub(in crate::catalog) fn total_bytes(&self) -> u64 {
        self.parent.size_bytes
    }
}

/// What a disk is made of.
pub(super) struct Parent {
    /// Image in the store.
    pub(super) backing: String,
    /// And its snapshot.
    pub(super) snapshot: String,
    pub(super) size_bytes: u64,
}

/// What there is of a disk once its intent is written.
pub(in crate::catalog) enum Begun {
    /// All of it: it was there before.
    There(Box<Disk>),
    /// It is to be made.
    Making(Box<Making>),
}

/// What the creation of a disk gives.
#[derive(Debug)]
pub(in crate::catalog) struct Created {
    /// The disk.
    pub(in crate::catalog) disk: Disk,
    /// The node it was bound to in the same step.
    pub(in crate::catalog) node: Option<Node>,
    /// It was there already.
    pub(in crate::catalog) existed: bool,
}

impl Created {
    /// One that was there.
    pub(in crate::catalog) fn before(disk: Disk) -> Self {
        Self { disk, node: None, existed: true }
    }
}

impl Engine {
    /// Clones or copies an image and publishes the disk; with `node`, binds it to that node in the
    /// same step.
    pub(in crate::catalog) fn create_disk(
        &self,
        project: &Name,
        name: &Name,
        spec: &DiskSpec,
        node: Option<&Name>,
    ) -> Result<Created, Error> {
        match self.begin_disk(project, name, spec, node)? {
            Begun::There(disk) => Ok(Created::before(*disk)),
            Begun::Making(making) => self.make_disk(*making, &Progress::default()),
        }
    }

    /// Makes a disk whose intent is written, and publishes it; takes everything back if that fails.
    pub(in crate::catalog) fn make_disk(
        &self,
        making: Making,
        progress: &Progress,
    ) -> Result<Created, Error> {
        let Making { mut disk, revision, parent, _work } = making;
        let made = match disk.luks() {
            _ if disk.edits => Ok(()),
            None => self.clone_parent(&disk, &parent),
            Some(format) => self.copy_parent(&disk, &parent, format, progress),
        };
        let made = made.and_then(|()| self.grow(&disk, &parent));
        match made.and_then(|()| self.publish_new(&mut disk, revision)) {
            Ok(node) => Ok(Created { disk, node, existed: false }),
            Err(error) => {
                let undone = if error.code() == FOREIGN {
                    self.forget_disk(&disk)
                } else {
                    self.erase_disk(&disk)
                };
                if let Err(error) = undone {
                    let disk = key(&disk.project, &disk.name);
                    tracing::warn!(disk, %error, "a failed creation is taken back later");
                }
                Err(error)
            }
        }
    }

    /// Takes back the intent of a disk that will not be made.
    pub(in crate::catalog) fn drop_making(&self, making: Making) {
        let progress = Progress::default();
        progress.cancel();
        // Cancelled before its first step: all that this does is to remove the row.
        let _ = self.make_disk(making, &progress);
    }

    fn clone_parent(&self, disk: &Disk, parent: &Parent) -> Result<(), Error> {
        let store = self.store(&disk.store)?;
        let made = store.clone_image(&parent.backing, &parent.snapshot, &disk.backing);
        made.map_err(|error| not_ours(disk, error))
    }

    /// Copies what an image holds into one that is encrypted with a key of its own: a clone has its
    /// parent's.
    fn copy_parent(
        &self,
        disk: &Disk,
        parent: &Parent,
        format: LuksFormat,
        progress: &Progress,
    ) -> Result<(), Error> {
        progress.check()?;
        let store = self.store(&disk.store)?;
        let parent = store.open(&parent.backing, Some(&parent.snapshot), OpenMode::ReadOnly)?;
        let source = Source::of_volume(format!("image {}", disk.image), VolumeReader::new(parent));
        let made = store.create_encrypted(&disk.backing, source.size_bytes(), format);
        made.map_err(|error| not_ours(disk, error))?;
        let mut writer = store.writer(&disk.backing)?;
        let _known_of_the_image = copy(&source, writer.as_mut(), false, progress)?;
        Ok(writer.finish()?)
    }

    /// Gives a disk that is made the size it was to have.
    fn grow(&self, disk: &Disk, parent: &Parent) -> Result<(), Error> {
        if disk.edits || disk.size_bytes <= parent.size_bytes {
            return Ok(());
        }
        Ok(self.store(&disk.store)?.resize(&disk.backing, disk.size_bytes)?)
    }

    /// Refuses what a store cannot do about encryption.
    pub(super) fn check_encryption(&self, spec: &DiskSpec, image: &Image) -> Result<(), Error> {
        match spec.encryption {
            Some(Encryption::None) if self.store(&image.store)?.is_encrypted(&image.backing)? => {
                let message = format!(
                    "image '{}' is encrypted, and disks that are cloned from it are: leave \
                     \"encryption\" out, or ask for luks1 or luks2",
                    image.name
                );
                Err(Error::invalid("invalid-encryption", message))
            }
            Some(Encryption::Luks1 | Encryption::Luks2) => self.check_can_encrypt(&image.store),
            None | Some(Encryption::None) => Ok(()),
        }
    }

    /// Refuses a store that cannot encrypt.
    pub(super) fn check_can_encrypt(&self, store: &str) -> Result<(), Error> {
        self.store(store)?.can_encrypt().map_err(|error| {
            Error::invalid("encryption-unavailable", format!("store '{store}': {error}"))
        })
    }
}

/// The number of a backing is fresh: if there is one already, it is not of this catalog's making.
fn not_ours(disk: &Disk, error: StoreError) -> Error {
    match error.kind() {
        StoreErrorKind::Exists => foreign(&disk.store, &disk.backing),
        _ => error.into(),
    }
}
