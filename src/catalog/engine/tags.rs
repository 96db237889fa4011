//! Tags: snapshots of images and disks, under a name.

use jiff::Timestamp;

use super::images::some_of;
use super::rows::{self, Batch, Versioned};
use super::{Engine, FOREIGN, busy, disks, foreign, gone_is_fine, key};
use crate::backend::StoreErrorKind;
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::{Image, Tag, TagState, Tagged};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::state::{ABSENT, Table};

/// Tags of one image or disk: the local store reads through a layer for each.
const TAGS_MAX: usize = 32;

/// What the store has of a tagged object.
struct Stored {
    table: Table,
    revision: u64,
    store: String,
    backing: String,
    size_bytes: u64,
}

impl Engine {
    /// The tags of an image or a disk.
    pub(in crate::catalog) fn tags(&self, project: &Name, of: &Tagged) -> Result<Vec<Tag>, Error> {
        self.stored(project, of)?;
        Ok(self.tag_rows(project, of)?.into_iter().map(|row| row.value).collect())
    }

    /// All tags.
    pub(in crate::catalog) fn all_tags(&self) -> Result<Vec<Tag>, Error> {
        self.all(Table::Tags, None)
    }

    /// A tag.
    pub(in crate::catalog) fn tag(
        &self,
        project: &Name,
        of: &Tagged,
        name: &ImageName,
    ) -> Result<Tag, Error> {
        Ok(self.tag_row(project, of, name)?.value)
    }

    /// Names of the disks that were cloned from a tag and still need it.
    pub(in crate::catalog) fn tag_users(&self, tag: &Tag) -> Result<Vec<String>, Error> {
        let Tagged::Image(image) = &tag.of else { return Ok(Vec::new()) };
        let users = self.image_uses(&tag.project, image)?.into_iter();
        Ok(users.filter(|(_, of)| of.as_ref() == Some(&tag.name)).map(|(disk, _)| disk).collect())
    }

    /// Makes a tag of what an image or a disk holds now; who uses it goes on. `protected` changes
    /// that, of a tag that is there too. The second answer: it was there.
    pub(in crate::catalog) fn put_tag(
        &self,
        project: &Name,
        of: &Tagged,
        name: &ImageName,
        protected: Option<bool>,
    ) -> Result<(Tag, bool), Error> {
        if let Some(Versioned { value: mut tag, revision }) = self.find_tag(project, of, name)? {
            if tag.state == TagState::Ready {
                if protected.is_some_and(|protected| protected != tag.protected) {
                    tag.protected = !tag.protected;
                    self.write_tag(&tag, revision)?;
                }
                return Ok((tag, true));
            }
            // Left over by a call that failed and could not take everything back.
            self.erase_tag(&tag)?;
        }
        let stored = self.taggable(project, of)?;
        if self.tag_rows(project, of)?.len() >= TAGS_MAX {
            let message = format!("{of} has {TAGS_MAX} tags, and cannot have more; remove one");
            return Err(conflict("too-many-tags", project, of, message));
        }
        let mut tag = Tag {
            project: project.clone(),
            of: of.clone(),
            name: name.clone(),
            state: TagState::Creating,
            snapshot: String::new(),
            size_bytes: stored.size_bytes,
            protected: protected.unwrap_or(false),
            created: Timestamp::now(),
        };
        let ((), revision) = self.apply_numbered(|_, id, batch| {
            tag.snapshot = format!("tag{id}");
            batch.keep(stored.table, &key(project, &of.name()), stored.revision);
            batch.put(Table::Tags, &tag_key(&tag), ABSENT, &tag)
        })?;
        let made = self.store(&stored.store).and_then(|store| {
            store.snapshot(&stored.backing, &tag.snapshot).map_err(|error| match error.kind() {
                StoreErrorKind::Exists => foreign(&stored.store, &stored.backing),
                _ => error.into(),
            })
        });
        let ended = made.and_then(|()| {
            tag.state = TagState::Ready;
            self.write_tag(&tag, revision)
        });
        let Err(error) = ended else { return Ok((tag, false)) };
        let undone =
            if error.code() == FOREIGN { self.forget_tag(&tag) } else { self.erase_tag(&tag) };
        if let Err(error) = undone {
            let tag = tag_key(&tag);
            tracing::warn!(tag, %error, "a tag that could not be made is taken back later");
        }
        Err(error)
    }

    /// Removes a tag that no disk needs.
    pub(in crate::catalog) fn remove_tag(
        &self,
        project: &Name,
        of: &Tagged,
        name: &ImageName,
    ) -> Result<(), Error> {
        let Versioned { value: mut tag, revision } = self.tag_row(project, of, name)?;
        if tag.state == TagState::Ready {
            self.check_removable(&tag)?;
            tag.state = TagState::Removing;
            let revision = self.write_tag(&tag, revision)?;
            // A disk may have been made since the check. From here on none can: that would have to
            // find the tag's row as it was.
            if let Err(error) = self.check_unneeded(&tag) {
                tag.state = TagState::Ready;
                self.write_tag(&tag, revision)?;
                return Err(error);
            }
        }
        self.erase_tag(&tag)
    }

    fn check_removable(&self, tag: &Tag) -> Result<(), Error> {
        if tag.protected {
            return Err(protected(tag));
        }
        if let Tagged::Image(image) = &tag.of {
            let image = self.image(&tag.project, image)?;
            if image.default_tag.as_ref() == Some(&tag.name) {
                let message = format!(
                    "tag '{}' is what disks are cloned from when none is named; set another default \
                     of {} first",
                    tag.name, tag.of
                );
                return Err(conflict("tag-is-default", &tag.project, &tag.of, message));
            }
        }
        if let Tagged::Disk(disk) = &tag.of {
            let disk = self.disk(&tag.project, disk)?;
            let is_read = self.at_work.is(Noun::Disk, &tag.project, disk.name.as_str());
            if is_read || disk.rollback.as_ref() == Some(&tag.snapshot) {
                return Err(busy(format!("a job is at {}; try again when it has ended", tag.of)));
            }
        } else if self.at_work.is(Noun::Image, &tag.project, tag.of.name()) {
            return Err(busy(format!("{} is being copied; try again later", tag.of)));
        }
        self.check_unneeded(tag)
    }

    fn check_unneeded(&self, tag: &Tag) -> Result<(), Error> {
        let users = self.tag_users(tag)?;
        if users.is_empty() {
            return Ok(());
        }
        let message =
            format!("tag '{}' of {} is used by disks: {}", tag.name, tag.of, some_of(&users));
        Err(conflict("tag-in-use", &tag.project, &tag.of, message).with_users(users))
    }

    /// Refuses to remove what has a protected tag.
    pub(super) fn check_tags_unprotected(&self, project: &Name, of: &Tagged) -> Result<(), Error> {
        let rows = self.tag_rows(project, of)?;
        rows.iter().find(|row| row.value.protected).map_or(Ok(()), |row| Err(protected(&row.value)))
    }

    /// What disks are cloned from: the snapshot of an image, and the tag that it is.
    pub(super) fn clone_source(
        &self,
        image: &Image,
        tag: Option<&ImageName>,
    ) -> Result<(String, Option<Versioned<Tag>>), Error> {
        let Some(name) = tag.or(image.default_tag.as_ref()) else {
            if image.attached {
                let message = format!(
                    "image '{}' is attached, and changes while it is used: make a tag of it, and \
                     name that",
                    image.name
                );
                let of = Tagged::Image(image.name.clone());
                return Err(conflict("image-attached", &image.project, &of, message));
            }
            return Ok((image.snapshot.clone(), None));
        };
        let row = self.ready_tag(&image.project, &Tagged::Image(image.name.clone()), name)?;
        Ok((row.value.snapshot.clone(), Some(row)))
    }

    /// A tag that is not being made or removed.
    pub(super) fn ready_tag(
        &self,
        project: &Name,
        of: &Tagged,
        name: &ImageName,
    ) -> Result<Versioned<Tag>, Error> {
        let row = self.tag_row(project, of, name)?;
        if row.value.state == TagState::Ready {
            return Ok(row);
        }
        Err(busy(format!("tag '{name}' of {of} is being made or removed")))
    }

    /// Ends an unfinished change of a tag by removing it.
    pub(in crate::catalog) fn end_unfinished_tag(&self, tag: &Tag) -> Result<bool, Error> {
        match self.find_tag(&tag.project, &tag.of, &tag.name)? {
            Some(row) if row.value.state != TagState::Ready => {
                self.erase_tag(&row.value)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Removes the snapshot of a tag, then its row.
    fn erase_tag(&self, tag: &Tag) -> Result<(), Error> {
        match self.stored(&tag.project, &tag.of) {
            Ok(stored) => {
                let store = self.store(&stored.store)?;
                gone_is_fine(store.remove_snapshot(&stored.backing, &tag.snapshot))?;
            }
            // Gone, with its snapshots.
            Err(error) if error.kind() == crate::catalog::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.forget_tag(tag)
    }

    fn forget_tag(&self, tag: &Tag) -> Result<(), Error> {
        let Some(row) = self.find_tag(&tag.project, &tag.of, &tag.name)? else { return Ok(()) };
        let mut batch = Batch::default();
        batch.delete(Table::Tags, &tag_key(tag), row.revision);
        batch.apply(self.state.as_ref())?;
        Ok(())
    }

    /// Adds to a batch that an object has no tags.
    pub(super) fn delete_tags(
        &self,
        batch: &mut Batch,
        project: &Name,
        of: &Tagged,
    ) -> Result<(), Error> {
        for row in self.tag_rows(project, of)? {
            batch.delete(Table::Tags, &tag_key(&row.value), row.revision);
        }
        Ok(())
    }

    pub(super) fn tag_rows(
        &self,
        project: &Name,
        of: &Tagged,
    ) -> Result<Vec<Versioned<Tag>>, Error> {
        let prefix = format!("{}/{project}/{}/", of.noun(), of.name());
        rows::load_all(self.state.as_ref(), Table::Tags, &prefix)
    }

    fn tag_row(
        &self,
        project: &Name,
        of: &Tagged,
        name: &ImageName,
    ) -> Result<Versioned<Tag>, Error> {
        self.stored(project, of)?;
        self.find_tag(project, of, name)?.ok_or_else(|| {
            let code = Error::not_found(Noun::Tag, "", "").code();
            let message = format!("{of} of project '{project}' has no tag '{name}'");
            Error::new(crate::catalog::ErrorKind::NotFound, code, message)
        })
    }

    fn find_tag(
        &self,
        project: &Name,
        of: &Tagged,
        name: &ImageName,
    ) -> Result<Option<Versioned<Tag>>, Error> {
        let key = format!("{}/{project}/{}/{name}", of.noun(), of.name());
        rows::load(self.state.as_ref(), Table::Tags, &key)
    }

    fn write_tag(&self, tag: &Tag, revision: u64) -> Result<u64, Error> {
        let mut batch = Batch::default();
        batch.put(Table::Tags, &tag_key(tag), revision, tag)?;
        batch.apply(self.state.as_ref())
    }

    /// What the store has of an object.
    fn stored(&self, project: &Name, of: &Tagged) -> Result<Stored, Error> {
        match of {
            Tagged::Image(name) => {
                let Versioned { value: image, revision } = self.image_row(project, name)?;
                let (store, backing) = (image.store, image.backing);
                let size_bytes = image.size_bytes;
                Ok(Stored { table: Table::Images, revision, store, backing, size_bytes })
            }
            Tagged::Disk(name) => {
                let Versioned { value: disk, revision } = self.disk_row(project, name)?;
                let (store, backing) = (disk.store, disk.backing);
                let size_bytes = disk.size_bytes;
                Ok(Stored { table: Table::Disks, revision, store, backing, size_bytes })
            }
        }
    }

    /// The same, of an object that a tag can be made of now.
    fn taggable(&self, project: &Name, of: &Tagged) -> Result<Stored, Error> {
        match of {
            Tagged::Image(name) => disks::check_ready(&self.image(project, name)?)?,
            Tagged::Disk(name) => {
                let disk = self.disk(project, name)?;
                self.check_idle(&disk)?;
                disks::check_own(&disk)?;
            }
        }
        self.stored(project, of)
    }
}

pub(super) fn tag_key(tag: &Tag) -> String {
    format!("{}/{}/{}/{}", tag.of.noun(), tag.project, tag.of.name(), tag.name)
}

fn protected(tag: &Tag) -> Error {
    let message = format!("tag '{}' of {} is protected; unprotect it first", tag.name, tag.of);
    conflict("tag-protected", &tag.project, &tag.of, message)
}

fn conflict(code: &'static str, project: &Name, of: &Tagged, message: String) -> Error {
    Error::conflict(code, of.noun(), project.as_str(), of.name(), message)
}
