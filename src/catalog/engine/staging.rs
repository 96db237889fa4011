//! The directory where uploads lie that become images only when they are complete, and how much room there
//! is for uploads.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use super::Engine;
use crate::catalog::error::{Error, ErrorKind};
use crate::catalog::model::{Image, ImageState};
use crate::catalog::name::Name;
use crate::catalog::spec::UploadSpec;
use crate::catalog::step::step;

/// Uploads that are not complete, of all projects and of each.
const UPLOADS_MAX: usize = 256;
const PROJECT_UPLOADS_MAX: usize = 64;
/// What the names of files end with that are not complete.
const STAGED: &str = ".part";

/// What the directory for uploads says.
pub(super) fn staging(error: &io::Error) -> Error {
    let message = format!("the directory for uploads: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::new(ErrorKind::NoSpace, "staging-full", message)
        }
        _ => Error::new(ErrorKind::Internal, "staging-failed", message),
    }
}

impl Engine {
    /// Uploads that are not complete.
    pub(super) fn under_way(&self) -> Result<Vec<Image>, Error> {
        let mut images = self.images(None)?;
        images.retain(|image| {
            let states = [ImageState::Uploading, ImageState::Importing];
            image.upload.is_some() && states.contains(&image.state)
        });
        Ok(images)
    }

    /// Refuses one upload too many.
    pub(super) fn check_room(&self, project: &Name, spec: &UploadSpec) -> Result<(), Error> {
        let under_way = self.under_way()?;
        let of_project = under_way.iter().filter(|image| image.project == *project).count();
        if under_way.len() >= UPLOADS_MAX || of_project >= PROJECT_UPLOADS_MAX {
            let message = format!(
                "there are {} uploads that are not complete, {of_project} of this project; \
                 {UPLOADS_MAX} may be, {PROJECT_UPLOADS_MAX} of one",
                under_way.len()
            );
            return Err(Error::new(ErrorKind::Unavailable, "too-many-uploads", message));
        }
        if spec.is_staged() { self.check_staged(&under_way, spec.file_bytes) } else { Ok(()) }
    }

    /// Refuses files that would take more than they may; of one whose length is not known it counts what
    /// is there.
    pub(super) fn check_staged(&self, under_way: &[Image], more: Option<u64>) -> Result<(), Error> {
        let staged = under_way.iter().filter(|image| image.is_staged());
        let lengths = staged.filter_map(|image| image.upload.as_ref());
        let staged: u64 = lengths.map(|it| it.file_bytes.unwrap_or(it.offset)).sum();
        let limit = self.options.uploads.staged_bytes_max;
        if limit > 0 && staged.saturating_add(more.unwrap_or(0)) <= limit {
            return Ok(());
        }
        let message = format!(
            "qcow2 files, and files of unknown length, that are uploaded may take {limit} bytes \
             together ([uploads] max_bytes), and {staged} are taken; wait for these, or upload the \
             image raw and with its length"
        );
        Err(Error::new(ErrorKind::NoSpace, "staging-full", message))
    }

    /// Where the file of an upload lies.
    pub(super) fn staged(&self, image: &Image) -> io::Result<PathBuf> {
        let directory = self.options.uploads.directory.as_ref();
        let path = directory.map(|directory| directory.join(format!("{}{STAGED}", image.backing)));
        path.ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "there is none for such files")
        })
    }

    pub(super) fn create_staged(&self, image: &Image) -> Result<(), Error> {
        let create = || {
            let path = self.staged(image)?;
            if let Some(directory) = path.parent() {
                step(|| DirBuilder::new().recursive(true).mode(0o700).create(directory))?;
            }
            let mut options = File::options();
            options.write(true).create(true).truncate(true).mode(0o600);
            step(|| options.open(&path))?;
            step(|| path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all()))
        };
        create().map_err(|e: io::Error| staging(&e))
    }

    /// Removes the file of an upload.
    pub(super) fn remove_staged(&self, image: &Image) -> Result<(), Error> {
        self.unwritten.lock().remove(&image.backing);
        if !image.is_staged() {
            return Ok(());
        }
        let removed = self.staged(image).and_then(|path| step(|| fs::remove_file(path)));
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(staging(&error)),
            _ => Ok(()),
        }
    }

    /// Removes files that belong to no upload: a crash, or a failure at its end, left them. What cannot be
    /// removed keeps nothing else from it.
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
                match step(|| fs::remove_file(directory.join(&name))) {
                    Ok(()) => tracing::info!(name, "what was left of an upload is removed"),
                    Err(error) => tracing::warn!(name, %error, "what is left of an upload stays"),
                }
            }
        }
        Ok(())
    }
}
