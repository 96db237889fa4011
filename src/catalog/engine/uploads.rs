//! Uploads: files that come piece by piece, over several calls, and restarts, if need be.
//!
//! A raw file goes into its image as it comes; a qcow2 file, which must be read here and there,
//! into a directory first. The row says how many bytes are on stable storage. Behind these the image
//! holds nothing that is further away than [`CHECKPOINT_BYTES`], and whoever goes on begins by
//! zeroing that much, so zeros that come need not be written, whatever a crash has left.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::at_work::Work;
use super::images::{Content, Import, backing_of};
use super::rows::{self, Batch, Versioned};
use super::{Engine, FOREIGN, busy, gone_is_fine, key};
use crate::backend::{ImageWriter, OpenMode, VolumeReader};
use crate::catalog::checksum::Hasher;
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::import::{
    Progress, QCOW2_HEADER_BYTES, SECTOR_BYTES, Source, look_at, write_nonzero,
};
use crate::catalog::model::{Format, Image, ImageState, Usage};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::spec::UploadSpec;
use crate::catalog::state::{ABSENT, Table};
use crate::catalog::transfer::Upload;

/// At the latest after so many bytes it is put on stable storage what came.
pub(in crate::catalog) const CHECKPOINT_BYTES: u64 = 64 << 20;
/// Uploads that are not complete, of all projects.
const UPLOADS_MAX: usize = 64;
/// What the names of files end with that are not complete.
const STAGED: &str = ".part";
/// What a file that is uploaded is called.
const UPLOADED: &str = "the uploaded file";

/// An upload to which bytes are added.
pub(in crate::catalog) struct Receiving {
    image: Image,
    revision: u64,
    sink: Sink,
    hasher: Hasher,
    /// Bytes that are there, on stable storage or not.
    offset: u64,
    /// Something failed: what is behind the last checkpoint counts for nothing.
    failed: bool,
    _work: Work,
}

enum Sink {
    Image(Box<dyn ImageWriter>),
    Staged(File),
}

impl Sink {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Image(writer) => write_nonzero(writer.as_mut(), offset, bytes),
            Self::Staged(file) => file.write_all_at(bytes, offset).map_err(|e| staging(&e)),
        }
    }

    fn sync(&mut self) -> Result<(), Error> {
        match self {
            Self::Image(writer) => Ok(writer.sync()?),
            Self::Staged(file) => file.sync_data().map_err(|e| staging(&e)),
        }
    }
}

/// What the directory for uploads says.
fn staging(error: &io::Error) -> Error {
    let message = format!("the directory for uploads: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::new(ErrorKind::NoSpace, "staging-full", message)
        }
        _ => Error::new(ErrorKind::Internal, "staging-failed", message),
    }
}

impl Receiving {
    /// Bytes that are there.
    pub(in crate::catalog) fn offset(&self) -> u64 {
        self.offset
    }
}

impl Engine {
    /// Makes an upload. The second answer: it was there, and goes on.
    pub(in crate::catalog) fn begin_upload(
        &self,
        project: &Name,
        name: &ImageName,
        spec: &UploadSpec,
    ) -> Result<(Image, bool), Error> {
        spec.check(self.options.image_max_bytes)?;
        if let Some(image) = self.same_upload(project, name, spec)? {
            return Ok((image, true));
        }
        let store = match &spec.store {
            Some(store) => store.clone(),
            None => self.default_store(project)?,
        };
        self.check_store(&store)?;
        self.check_free(project, name)?;
        let size_bytes = spec.file_bytes.next_multiple_of(SECTOR_BYTES);
        let mut image = self.new_image(project, name, &store, size_bytes);
        image.format = spec.format;
        "upload".clone_into(&mut image.source);
        image.upload = Some(Upload {
            file_bytes: spec.file_bytes,
            offset: 0,
            sha256: spec.sha256.clone(),
            key: spec.key.clone(),
            fix_boot_chs: spec.fix_boot_chs,
            hasher: Hasher::default().state(),
            active: Timestamp::now(),
        });
        let more = Usage { bytes: size_bytes, ..Usage::default() };
        let intend = |uid: &str, id: u64, batch: &mut Batch| {
            image.backing = backing_of(uid, id);
            batch.put(Table::Images, &key(project, name), ABSENT, &image)
        };
        let revision = {
            let _alone = self.uploads.lock();
            self.check_room(spec)?;
            self.within_quota(project, more, || self.apply_numbered(intend))?.1
        };
        let made = match image.format {
            Format::Raw => self.create_backing(&image, None),
            Format::Qcow2 => self.create_staged(&image),
        };
        let ended = made.and_then(|()| {
            image.state = ImageState::Uploading;
            self.put_image(&image, revision)
        });
        let Err(error) = ended else { return Ok((image, false)) };
        let undone = match error.code() == FOREIGN {
            true => self.forget_image(&image),
            false => self.erase_image(&image),
        };
        if let Err(error) = undone {
            let image = key(project, name);
            tracing::warn!(image, %error, "an upload that could not be begun is taken back later");
        }
        Err(error)
    }

    /// The upload that was begun by the same call. Where nothing tells one file from another, only
    /// one of which nothing has come yet.
    fn same_upload(
        &self,
        project: &Name,
        name: &ImageName,
        spec: &UploadSpec,
    ) -> Result<Option<Image>, Error> {
        let key = key(project, name);
        let row = rows::load::<Image>(self.state.as_ref(), Table::Images, &key)?;
        let Some(image) = row.map(|row| row.value) else { return Ok(None) };
        let is_same = image.upload.as_ref().is_some_and(|upload| {
            let asked = UploadSpec {
                file_bytes: upload.file_bytes,
                format: image.format,
                store: spec.store.as_ref().map(|_| image.store.clone()),
                sha256: upload.sha256.clone(),
                key: upload.key.clone(),
                fix_boot_chs: upload.fix_boot_chs,
            };
            let is_known = spec.key.is_some() || spec.sha256.is_some();
            asked == *spec && (is_known || upload.offset == 0)
        });
        let goes_on = matches!(image.state, ImageState::Uploading | ImageState::Ready);
        Ok(Some(image).filter(|_| is_same && goes_on))
    }

    /// Refuses one upload too many.
    fn check_room(&self, spec: &UploadSpec) -> Result<(), Error> {
        let under_way: Vec<Image> = self.images(None)?;
        let under_way = under_way
            .iter()
            .filter(|image| matches!(image.state, ImageState::Uploading | ImageState::Importing));
        let uploads: Vec<_> =
            under_way.filter_map(|it| Some((it.format, it.upload.as_ref()?))).collect();
        if uploads.len() >= UPLOADS_MAX {
            let message = format!("there are {UPLOADS_MAX} uploads that are not complete");
            return Err(Error::new(ErrorKind::Unavailable, "too-many-uploads", message));
        }
        if spec.format == Format::Raw {
            return Ok(());
        }
        let staged = uploads.iter().filter(|(format, _)| *format == Format::Qcow2);
        let staged: u64 = staged.map(|(_, upload)| upload.file_bytes).sum();
        let limit = self.options.uploads.staged_bytes_max;
        if staged.saturating_add(spec.file_bytes) <= limit {
            return Ok(());
        }
        let message = format!(
            "qcow2 files that are uploaded may take {limit} bytes together ([uploads] max_bytes), and \
             {staged} are taken; wait for these, or upload the image raw"
        );
        Err(Error::new(ErrorKind::NoSpace, "staging-full", message))
    }

    /// An upload that is not ended.
    fn upload_row(&self, project: &Name, name: &ImageName) -> Result<(Image, Upload, u64), Error> {
        let Versioned { value: image, revision } = self.image_row(project, name)?;
        match image.upload.clone().filter(|_| image.state == ImageState::Uploading) {
            Some(upload) => Ok((image, upload, revision)),
            None => Err(no_upload(project, name)),
        }
    }

    fn check_no_work(&self, project: &Name, name: &ImageName) -> Result<(), Error> {
        if self.at_work.is(Noun::Image, project, name.as_str()) {
            return Err(busy(format!("another call is at the upload of image '{name}'")));
        }
        Ok(())
    }

    /// Begins to add bytes to an upload, behind `offset` of them; `len`: how many, if that is known.
    pub(in crate::catalog) fn begin_receiving(
        &self,
        project: &Name,
        name: &ImageName,
        offset: u64,
        len: Option<u64>,
    ) -> Result<Receiving, Error> {
        let (image, upload, revision) = self.upload_row(project, name)?;
        self.check_no_work(project, name)?;
        if offset != upload.offset {
            let message = format!(
                "{} bytes of image '{name}' are there, not {offset}: go on from there",
                upload.offset
            );
            let (project, name) = (project.as_str(), name.as_str());
            return Err(Error::conflict("upload-offset", Noun::Image, project, name, message));
        }
        check_end(&upload, offset, len.unwrap_or(0))?;
        let work = self.at_work.begin(Noun::Image, project, name.as_str());
        let hasher = Hasher::resume(&upload.hasher).ok_or_else(|| no_state(&image))?;
        let sink = match image.format {
            Format::Raw => {
                let mut writer = self.store(&image.store)?.writer(&image.backing)?;
                let window = CHECKPOINT_BYTES.min(image.size_bytes - offset);
                if window > 0 {
                    writer.zero_at(offset, window)?;
                }
                Sink::Image(writer)
            }
            Format::Qcow2 => {
                let open = || {
                    let file = File::options().read(true).write(true).open(self.staged(&image)?)?;
                    file.set_len(offset)?;
                    Ok(file)
                };
                Sink::Staged(open().map_err(|e: io::Error| staging(&e))?)
            }
        };
        Ok(Receiving { image, revision, sink, hasher, offset, failed: false, _work: work })
    }

    /// Adds bytes. After a failure nothing more can be added.
    pub(in crate::catalog) fn receive(
        &self,
        receiving: &mut Receiving,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let upload = receiving.image.upload.as_ref().ok_or_else(|| no_state(&receiving.image))?;
        check_end(upload, receiving.offset, bytes.len() as u64)?;
        let received = self.take(receiving, bytes);
        receiving.failed |= received.is_err();
        received
    }

    fn take(&self, receiving: &mut Receiving, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let kept = receiving.image.upload.as_ref().map_or(0, |upload| upload.offset);
            let room = kept + CHECKPOINT_BYTES - receiving.offset;
            let len = usize::try_from(room).unwrap_or(bytes.len()).min(bytes.len());
            let (now, rest) = bytes.split_at(len);
            receiving.sink.write(receiving.offset, now)?;
            receiving.hasher.update(now);
            let before = receiving.offset;
            receiving.offset += len as u64;
            bytes = rest;
            if let Sink::Staged(file) = &receiving.sink
                && before < QCOW2_HEADER_BYTES as u64
                && receiving.offset >= QCOW2_HEADER_BYTES as u64
            {
                let path = Path::new(UPLOADED);
                Source::check_qcow2(file, path, self.options.image_max_bytes)?;
            }
            if len as u64 == room {
                self.checkpoint(receiving)?;
            }
        }
        Ok(())
    }

    /// What came is on stable storage from here on, and is known to be.
    fn checkpoint(&self, receiving: &mut Receiving) -> Result<(), Error> {
        receiving.sink.sync()?;
        let mut image = receiving.image.clone();
        if let Some(upload) = &mut image.upload {
            upload.offset = receiving.offset;
            upload.hasher = receiving.hasher.state();
            upload.active = Timestamp::now();
        }
        receiving.revision = self.put_image(&image, receiving.revision)?;
        receiving.image = image;
        Ok(())
    }

    /// Ends what [`Self::begin_receiving`] began; the image with what is there now.
    pub(in crate::catalog) fn end_receiving(
        &self,
        mut receiving: Receiving,
    ) -> Result<Image, Error> {
        if !receiving.failed {
            self.checkpoint(&mut receiving)?;
        }
        Ok(receiving.image)
    }

    /// Begins to make an image of what was uploaded.
    pub(in crate::catalog) fn begin_uploaded(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<Import, Error> {
        let (image, upload, revision) = self.upload_row(project, name)?;
        self.check_no_work(project, name)?;
        if !image.is_received() {
            let message = format!("{} of {} bytes are there", upload.offset, upload.file_bytes);
            return Err(Error::new(ErrorKind::Conflict, "upload-offset", message));
        }
        let works = vec![self.at_work.begin(Noun::Image, project, name.as_str())];
        Ok(Import::of(image, revision, Content::Upload, works))
    }

    /// Checks what was uploaded, and makes it an image.
    pub(super) fn fill_uploaded(
        &self,
        image: &mut Image,
        revision: u64,
        progress: &Progress,
    ) -> Result<(), Error> {
        let upload = image.upload.clone().ok_or_else(|| no_state(image))?;
        let hasher = Hasher::resume(&upload.hasher).ok_or_else(|| no_state(image))?;
        let sha256 = hasher.finish();
        sha256.check(upload.sha256.as_ref(), UPLOADED)?;
        image.sha256 = Some(sha256);
        // What an attempt before this one has made.
        self.settle_upload(image)?;
        match image.format {
            Format::Raw => self.finish_raw(image, upload.fix_boot_chs)?,
            Format::Qcow2 => {
                let revision = self.finish_staged(image, revision, &upload, progress)?;
                self.freeze(image, revision)?;
                if let Err(error) = self.remove_staged(image) {
                    // It is looked for such files now and then.
                    tracing::warn!(%error, "an uploaded file that is not needed any more stays");
                }
                return Ok(());
            }
        }
        self.freeze(image, revision)
    }

    fn finish_raw(&self, image: &mut Image, fix_boot_chs: bool) -> Result<(), Error> {
        let store = self.store(&image.store)?;
        let mut writer = store.writer(&image.backing)?;
        let reader = VolumeReader::new(store.open(&image.backing, None, OpenMode::ReadOnly)?);
        image.warnings = look_at(&reader, writer.as_mut(), fix_boot_chs)?;
        Ok(writer.finish()?)
    }

    /// The new revision of the row, which has the size of the disk in the file now.
    fn finish_staged(
        &self,
        image: &mut Image,
        revision: u64,
        upload: &Upload,
        progress: &Progress,
    ) -> Result<u64, Error> {
        let path = self.staged(image).map_err(|e| staging(&e))?;
        let source = Source::open(&path, Some(Format::Qcow2), self.options.image_max_bytes, None);
        let source = source.map_err(|error| {
            let message = error.to_string().replace(&*path.to_string_lossy(), UPLOADED);
            Error::new(error.kind(), error.code(), message)
        })?;
        let more = source.size_bytes().saturating_sub(image.size_bytes);
        image.size_bytes = source.size_bytes();
        let more = Usage { bytes: more, ..Usage::default() };
        let revision =
            self.within_quota(&image.project, more, || self.put_image(image, revision))?;
        self.create_backing(image, None)?;
        self.fill(image, &source, upload.fix_boot_chs, progress)?;
        Ok(revision)
    }

    /// Takes back what an attempt to end an upload has made; what was uploaded stays.
    pub(super) fn settle_upload(&self, image: &Image) -> Result<(), Error> {
        let key = key(&image.project, &image.name);
        let row = rows::load::<Image>(self.state.as_ref(), Table::Images, &key)?;
        // It may be ready, though whoever made it so heard of a failure.
        if row.is_none_or(|row| row.value.state != ImageState::Uploading) {
            return Ok(());
        }
        let store = self.store(&image.store)?;
        match image.format {
            Format::Raw => {
                Ok(gone_is_fine(store.remove_snapshot(&image.backing, &image.snapshot))?)
            }
            Format::Qcow2 => self.remove_backing(store.as_ref(), &image.backing),
        }
    }

    /// Gives an upload up.
    pub(in crate::catalog) fn abandon_upload(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<(), Error> {
        let image = self.image(project, name)?;
        // Again, if it could not be removed before.
        let states = [ImageState::Uploading, ImageState::Removing];
        if image.upload.is_none() || !states.contains(&image.state) {
            return Err(no_upload(project, name));
        }
        self.remove_image(project, name)
    }

    /// Gives an upload up to which nothing has come for long.
    pub(in crate::catalog) fn expire_upload(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<bool, Error> {
        let is_over = match self.upload_row(project, name) {
            Ok((image, ..)) => {
                self.has_expired(&image) && !self.at_work.is(Noun::Image, project, name.as_str())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if is_over {
            self.remove_image(project, name)?;
        }
        Ok(is_over)
    }

    /// How long an upload may rest.
    pub(in crate::catalog) fn upload_expiry(&self) -> std::time::Duration {
        self.options.uploads.expiry
    }

    /// Nothing has come to an upload for long.
    pub(in crate::catalog) fn has_expired(&self, image: &Image) -> bool {
        let idle = image.upload.as_ref().map(|it| Timestamp::now().duration_since(it.active));
        let expiry = self.options.uploads.expiry.as_secs();
        idle.is_some_and(|idle| u64::try_from(idle.as_secs()).is_ok_and(|idle| idle >= expiry))
    }

    /// Where the file of an upload lies.
    fn staged(&self, image: &Image) -> io::Result<PathBuf> {
        let directory = self.options.uploads.directory.as_ref();
        let path = directory.map(|directory| directory.join(format!("{}{STAGED}", image.backing)));
        path.ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "there is none for qcow2 files")
        })
    }

    fn create_staged(&self, image: &Image) -> Result<(), Error> {
        let create = || {
            let path = self.staged(image)?;
            if let Some(directory) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            }
            let mut options = File::options();
            options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
        };
        create().map_err(|e: io::Error| staging(&e))
    }

    /// Removes the file of an upload.
    pub(super) fn remove_staged(&self, image: &Image) -> Result<(), Error> {
        if image.upload.is_none() || image.format != Format::Qcow2 {
            return Ok(());
        }
        let removed = self.staged(image).and_then(fs::remove_file);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(staging(&error)),
            _ => Ok(()),
        }
    }

    /// Removes files that belong to no upload: a crash, or a failure at its end, left them.
    pub(in crate::catalog) fn clean_staging(&self) -> Result<(), Error> {
        let Some(directory) = &self.options.uploads.directory else { return Ok(()) };
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|e| staging(&e))?,
        };
        let names: Vec<_> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        // Listed after the files: a row is there before its file is.
        let images = self.images(None)?;
        for name in names {
            let backing = name.strip_suffix(STAGED).filter(|name| name.starts_with("stirrup-"));
            // Any other file is none of ours.
            let Some(backing) = backing else { continue };
            let mut awaited = images.iter().filter(|image| image.state != ImageState::Ready);
            if !awaited.any(|image| image.backing == backing) {
                tracing::info!(name, "removing what is left of an upload");
                fs::remove_file(directory.join(&name)).map_err(|e| staging(&e))?;
            }
        }
        Ok(())
    }
}

fn no_upload(project: &Name, name: &ImageName) -> Error {
    let message = format!("image '{name}' of project '{project}' is not being uploaded");
    Error::new(ErrorKind::NotFound, "upload-not-found", message)
}

/// Refuses more bytes than were announced.
fn check_end(upload: &Upload, offset: u64, len: u64) -> Result<(), Error> {
    if offset.checked_add(len).is_some_and(|end| end <= upload.file_bytes) {
        return Ok(());
    }
    let message =
        format!("{len} bytes from {offset} on are more than the {} announced", upload.file_bytes);
    Err(Error::invalid("upload-beyond-end", message))
}

fn no_state(image: &Image) -> Error {
    let message = format!(
        "the catalog: what it knows of the upload of image '{}' makes no sense; abandon it, and \
         begin anew",
        image.name
    );
    Error::new(ErrorKind::Internal, "catalog-failed", message)
}
