//! Images that are being read by callers, and how that is ended.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::shares::Place;
use super::{Catalog, Subject};
use crate::catalog::engine::Reading;
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::name::{ImageName, Name};

/// How long a call waits for the end of the downloads that it ends.
const END_WAIT: Duration = Duration::from_secs(30);

/// An image that is being read. It cannot be removed meanwhile, unless whoever does so has the right to
/// [end this](Self::revoked).
pub struct ImageReader {
    reading: Reading,
    _place: Place,
    // Dropped last: that says that all else is.
    revoked: watch::Receiver<bool>,
}

impl ImageReader {
    /// Size in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.reading.reader.size_bytes()
    }

    /// Fills `out` from `offset` on. Blocks.
    ///
    /// # Errors
    /// What the store says.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let read = self.reading.reader.read_at(offset, out);
        Ok(read.map_err(crate::backend::StoreError::from)?)
    }

    /// Until the image's project wants this to end; the reader is to be dropped soon after.
    pub async fn revoked(&self) {
        let mut revoked = self.revoked.clone();
        if revoked.wait_for(|revoked| *revoked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Who reads which image.
#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<Arc<Entry>>>);

struct Entry {
    image: (Name, ImageName),
    /// The only project that exists for whoever reads; `None`: all do.
    asker: Option<Name>,
    revoked: watch::Sender<bool>,
}

impl Readers {
    fn add(&self, image: (Name, ImageName), asker: Option<Name>) -> watch::Receiver<bool> {
        let (revoked, receiver) = watch::channel(false);
        let mut entries = self.0.lock();
        entries.retain(|entry| !entry.revoked.is_closed());
        entries.push(Arc::new(Entry { image, asker, revoked }));
        receiver
    }

    /// Those of an image by callers of other projects.
    fn foreign(&self, project: &Name, name: &ImageName) -> Vec<Arc<Entry>> {
        let of = |entry: &&Arc<Entry>| {
            (&entry.image.0, &entry.image.1) == (project, name)
                && entry.asker.as_ref().is_some_and(|asker| asker != project)
        };
        self.0.lock().iter().filter(of).cloned().collect()
    }
}

impl Catalog {
    /// Opens an image to be read. `asker`: the only project that exists for whoever does, if it is so;
    /// of another project's image it sees the public ones.
    ///
    /// # Errors
    /// `image-not-found`, `image-not-ready`, `tag-not-found`, `too-many-downloads`, and what the
    /// store says.
    pub async fn read_image(
        &self,
        project: Name,
        name: ImageName,
        tag: Option<ImageName>,
        asker: Option<Name>,
    ) -> Result<ImageReader, Error> {
        let place = self.0.downloads.take(asker.as_ref()).ok_or_else(|| {
            let message = "too many images are being downloaded; try again later";
            Error::new(ErrorKind::Unavailable, "too-many-downloads", message)
        })?;
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let subject = Subject::Image(project.clone(), name.clone());
        let this = self.clone();
        self.call(subject, vec![guard], move |engine| {
            let asks = asker.as_ref().unwrap_or(&project);
            let reading = engine.read_image(asks, (&project, &name), tag.as_ref())?;
            let revoked = this.0.readers.add((project, name), asker);
            Ok(ImageReader { reading, _place: place, revoked })
        })
        .await
    }

    /// Ends the downloads of an image by other projects, and waits for that. The image is locked, so that
    /// none begins.
    pub(super) async fn end_foreign_downloads(
        &self,
        project: &Name,
        name: &ImageName,
    ) -> Result<(), Error> {
        let until = tokio::time::Instant::now() + END_WAIT;
        for entry in self.0.readers.foreign(project, name) {
            entry.revoked.send_replace(true);
            let ended = tokio::time::timeout_at(until, entry.revoked.closed()).await;
            ended.map_err(|_| {
                let message =
                    format!("downloads of image '{name}' by other projects do not end; try again");
                Error::new(ErrorKind::Conflict, "busy", message)
            })?;
        }
        Ok(())
    }
}
