//! Uploads: files that come piece by piece, over several calls, and restarts, if need be.
//!
//! A raw file goes into its image as it comes; a qcow2 file, which must be read here and there,
//! into a directory first, and so does a file whose length nobody knows yet. The row says how many bytes
//! are on stable storage. Behind these the image holds nothing that is further away than
//! [`CHECKPOINT_BYTES`], and whoever goes on begins by zeroing that much, if something may have been left
//! there; so zeros that come need not be written, whatever a crash has left.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use jiff::Timestamp;

use super::at_work::Work;
use super::images::{Content, Import, backing_of};
use super::rows::{self, Batch, Versioned};
use super::staging::staging;
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
use crate::catalog::step::step;
use crate::catalog::transfer::Upload;

/// At the latest after so many bytes it is put on stable storage what came.
pub(in crate::catalog) const CHECKPOINT_BYTES: u64 = 64 << 20;
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

/// What comes, as it came.
#[derive(Clone, Copy)]
pub(in crate::catalog) enum Run<'a> {
    Bytes(&'a [u8]),
    /// So many zeros.
    Zeros(u64),
}

impl Run<'_> {
    fn len(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Zeros(len) => len,
        }
    }

    /// At most `room` of it, and the rest.
    fn split(self, room: u64) -> (Self, Self) {
        match self {
            Self::Bytes(bytes) => {
                let at = usize::try_from(room).unwrap_or(bytes.len()).min(bytes.len());
                let (now, rest) = bytes.split_at(at);
                (Self::Bytes(now), Self::Bytes(rest))
            }
            Self::Zeros(len) => (Self::Zeros(len.min(room)), Self::Zeros(len.saturating_sub(room))),
        }
    }
}

enum Sink {
    Image(Box<dyn ImageWriter>),
    Staged(File),
}

impl Sink {
    fn write(&mut self, offset: u64, run: Run<'_>) -> Result<(), Error> {
        match (self, run) {
            (Self::Image(writer), Run::Bytes(bytes)) => {
                write_nonzero(writer.as_mut(), offset, bytes)
            }
            // It reads as zeros there.
            (Self::Image(_), Run::Zeros(_)) => Ok(()),
            (Self::Staged(file), Run::Bytes(bytes)) => {
                step(|| file.write_all_at(bytes, offset)).map_err(|e| staging(&e))
            }
            // Its end is at `offset`.
            (Self::Staged(file), Run::Zeros(len)) => {
                step(|| file.set_len(offset + len)).map_err(|e| staging(&e))
            }
        }
    }

    fn sync(&mut self) -> Result<(), Error> {
        match self {
            Self::Image(writer) => Ok(writer.sync()?),
            Self::Staged(file) => step(|| file.sync_data()).map_err(|e| staging(&e)),
        }
    }
}

impl Receiving {
    /// Bytes that are there.
    pub(in crate::catalog) fn offset(&self) -> u64 {
        self.offset
    }

    /// The file ends here.
    ///
    /// # Errors
    /// `upload-offset` if it was announced to be longer; `source-empty`.
    pub(in crate::catalog) fn ends_here(&mut self) -> Result<(), Error> {
        let offset = self.offset;
        let upload = self.image.upload.as_mut().filter(|_| !self.failed);
        let Some(upload) = upload else { return Ok(()) };
        match upload.file_bytes {
            _ if offset == 0 => Err(Error::invalid("source-empty", "the file has no bytes")),
            Some(announced) if announced != offset => {
                let message = format!("{offset} bytes are there, not all of {announced}");
                Err(Error::new(ErrorKind::Conflict, "upload-offset", message))
            }
            _ => {
                upload.file_bytes = Some(offset);
                Ok(())
            }
        }
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
        let size_bytes = spec.file_bytes.map_or(0, |bytes| bytes.next_multiple_of(SECTOR_BYTES));
        let mut image = self.new_image(project, name, &store, size_bytes);
        image.format = spec.format;
        "upload".clone_into(&mut image.source);
        image.upload = Some(Upload {
            file_bytes: spec.file_bytes,
            staged: spec.is_staged(),
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
            self.check_room(project, spec)?;
            self.within_quota(project, more, || self.apply_numbered(intend))?.1
        };
        let made = match image.is_staged() {
            false => self.create_backing(&image, None),
            true => self.create_staged(&image),
        };
        let ended = made.and_then(|()| {
            image.state = ImageState::Uploading;
            self.put_image(&image, revision)
        });
        let Err(error) = ended else {
            self.unwritten.lock().insert(image.backing.clone(), 0);
            return Ok((image, false));
        };
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
        self.check_end(&upload, offset, len.unwrap_or(0))?;
        let work = self.at_work.begin(Noun::Image, project, name.as_str());
        let hasher = Hasher::resume(&upload.hasher).ok_or_else(|| no_state(&image))?;
        // Until it is known again.
        let unwritten = self.unwritten.lock().remove(&image.backing) == Some(offset);
        let sink = match image.is_staged() {
            false => {
                let mut writer = self.store(&image.store)?.writer(&image.backing)?;
                let window = CHECKPOINT_BYTES.min(image.size_bytes - offset);
                if window > 0 && !unwritten {
                    writer.zero_at(offset, window)?;
                }
                Sink::Image(writer)
            }
            true => {
                let open = || {
                    let file = File::options().read(true).write(true).open(self.staged(&image)?)?;
                    step(|| file.set_len(offset))?;
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
        run: Run<'_>,
    ) -> Result<(), Error> {
        let upload = receiving.image.upload.as_ref().ok_or_else(|| no_state(&receiving.image))?;
        self.check_end(upload, receiving.offset, run.len())?;
        let received = self.take(receiving, run);
        receiving.failed |= received.is_err();
        received
    }

    fn take(&self, receiving: &mut Receiving, mut run: Run<'_>) -> Result<(), Error> {
        while run.len() > 0 {
            let kept = receiving.image.upload.as_ref().map_or(0, |upload| upload.offset);
            let room = kept + CHECKPOINT_BYTES - receiving.offset;
            let (now, rest) = run.split(room);
            receiving.sink.write(receiving.offset, now)?;
            match now {
                Run::Bytes(bytes) => receiving.hasher.update(bytes),
                Run::Zeros(len) => {
                    // A few bytes say what takes long: that may keep one processor busy, not all.
                    let _one = self.counting_zeros.lock();
                    receiving.hasher.update_zeros(len);
                }
            }
            let before = receiving.offset;
            receiving.offset += now.len();
            run = rest;
            if let Sink::Staged(file) = &receiving.sink
                && receiving.image.format == Format::Qcow2
                && before < QCOW2_HEADER_BYTES as u64
                && receiving.offset >= QCOW2_HEADER_BYTES as u64
            {
                let path = Path::new(UPLOADED);
                Source::check_qcow2(file, path, self.options.image_max_bytes)?;
            }
            if now.len() == room {
                self.checkpoint(receiving)?;
            }
        }
        Ok(())
    }

    /// What came is on stable storage from here on, and is known to be.
    fn checkpoint(&self, receiving: &mut Receiving) -> Result<(), Error> {
        receiving.sink.sync()?;
        let mut image = receiving.image.clone();
        let mut grows = Usage::default();
        if let Some(upload) = &mut image.upload {
            if receiving.offset > upload.offset {
                upload.active = Timestamp::now();
            }
            upload.offset = receiving.offset;
            upload.hasher = receiving.hasher.state();
            // A file whose length was not announced counts as it comes.
            let size_bytes = receiving.offset.next_multiple_of(SECTOR_BYTES);
            grows.bytes = size_bytes.saturating_sub(image.size_bytes);
            image.size_bytes += grows.bytes;
        }
        let put = || self.put_image(&image, receiving.revision);
        receiving.revision = match grows.bytes {
            0 => put()?,
            _ => self.within_quota(&image.project, grows, put)?,
        };
        let is_open = image.upload.as_ref().is_some_and(|it| it.file_bytes.is_none());
        receiving.image = image;
        if is_open { self.check_staged(&self.under_way()?, None) } else { Ok(()) }
    }

    /// Ends what [`Self::begin_receiving`] began; the image with what is there now.
    pub(in crate::catalog) fn end_receiving(
        &self,
        mut receiving: Receiving,
    ) -> Result<Image, Error> {
        if !receiving.failed {
            self.checkpoint(&mut receiving)?;
            let image = &receiving.image;
            self.unwritten.lock().insert(image.backing.clone(), receiving.offset);
        }
        Ok(receiving.image)
    }

    /// Refuses more bytes than were announced, or than an image may have.
    fn check_end(&self, upload: &Upload, offset: u64, len: u64) -> Result<(), Error> {
        let end = offset.checked_add(len);
        let (most, code, why) = match upload.file_bytes {
            Some(announced) => (announced, "upload-beyond-end", "announced"),
            None => (self.options.image_max_bytes, "source-too-large", "that an image may have"),
        };
        if end.is_some_and(|end| end <= most) {
            return Ok(());
        }
        let message = format!("{len} bytes from {offset} on are more than the {most} {why}");
        Err(Error::invalid(code, message))
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
            let message = match upload.file_bytes {
                Some(all) => format!("{} of {all} bytes are there", upload.offset),
                None => format!("{} bytes are there, and more may come", upload.offset),
            };
            return Err(Error::new(ErrorKind::Conflict, "upload-offset", message));
        }
        self.unwritten.lock().remove(&image.backing);
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
        match image.is_staged() {
            false => self.finish_raw(image, upload.fix_boot_chs)?,
            true => {
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
        let source = Source::open(&path, Some(image.format), self.options.image_max_bytes, None);
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
        match image.is_staged() {
            false => Ok(gone_is_fine(store.remove_snapshot(&image.backing, &image.snapshot))?),
            true => self.remove_backing(store.as_ref(), &image.backing),
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
}

fn no_upload(project: &Name, name: &ImageName) -> Error {
    let message = format!("image '{name}' of project '{project}' is not being uploaded");
    Error::new(ErrorKind::NotFound, "upload-not-found", message)
}

fn no_state(image: &Image) -> Error {
    let message = format!(
        "the catalog: what it knows of the upload of image '{}' makes no sense; abandon it, and \
         begin anew",
        image.name
    );
    Error::new(ErrorKind::Internal, "catalog-failed", message)
}
