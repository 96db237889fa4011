//! Uploads, as calls: bytes come on a channel, and a thread takes them into the store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::shares::Place;
use super::{Catalog, Subject, stopping};
use crate::catalog::engine::{Engine, Receiving, Run};
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::jobs::Job;
use crate::catalog::model::{Image, ImageState};
use crate::catalog::name::{ImageName, Name};
use crate::catalog::spec::UploadSpec;

/// Pieces that wait to be written; a piece is what one read of the connection gives.
const PIECES_MAX: usize = 4;
/// How long a call waits for the end of the one that it interrupts.
const INTERRUPT_WAIT: Duration = Duration::from_secs(30);
/// How often it is looked for uploads to which nothing comes any more.
pub(super) const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// An upload, and how far it is.
#[derive(Debug, Clone)]
pub struct UploadView {
    /// The image's row.
    pub image: Image,
    /// Bytes that are there; of those that just come some may still be lost.
    pub offset: u64,
    /// When it is given up if nothing comes.
    pub expires: Option<Timestamp>,
    /// The job that makes an image of it.
    pub job: Option<Job>,
}

/// An upload to which somebody adds at the moment.
pub(super) struct Active {
    /// Has that end.
    stop: Arc<watch::Sender<bool>>,
    /// Bytes that are there; closed when it has ended.
    offset: watch::Receiver<u64>,
}

/// What comes to an upload.
#[derive(Debug)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// So many zeros; as they are counted all at once, not too many.
    Zeros(u64),
    /// Nothing any more: the file ends.
    End,
}

impl Piece {
    /// How much of the file it is, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Zeros(len) => *len,
            Self::End => 0,
        }
    }
}

/// Takes bytes of an upload. What was taken is kept when this is dropped, too.
pub struct UploadReceiver {
    pieces: mpsc::Sender<Piece>,
    ended: oneshot::Receiver<Result<Image, Error>>,
    interrupted: watch::Receiver<bool>,
}

impl UploadReceiver {
    /// Takes a piece; waits while enough of them are waiting to be written.
    ///
    /// # Errors
    /// When one before it could not be taken; [`Self::end`] says why.
    pub async fn take(&mut self, piece: Piece) -> Result<(), Error> {
        if self.pieces.send(piece).await.is_ok() {
            return Ok(());
        }
        // The thread has ended, because something failed: the end says what.
        Err(lost())
    }

    /// Whether another call wants to go on with the upload.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        *self.interrupted.borrow()
    }

    /// Until that is so.
    pub async fn interrupted(&mut self) {
        if self.interrupted.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Puts what was taken on stable storage.
    ///
    /// # Errors
    /// What the store, or the directory for uploads, says; `upload-beyond-end`, `source-too-large`; of the
    /// file's end `upload-offset`, `source-empty`.
    pub async fn end(self) -> Result<Image, Error> {
        drop(self.pieces);
        self.ended.await.unwrap_or_else(|_| Err(lost()))
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, "internal", "the upload's thread was lost")
}

fn active_key(project: &Name, name: &ImageName) -> String {
    format!("{project}/{name}")
}

impl Catalog {
    /// Makes an upload, or finds the same one. The second answer: it was there.
    ///
    /// # Errors
    /// `image-exists`, `source-empty`, `source-too-large`, `invalid-key`, `quota-exceeded`,
    /// `too-many-uploads`, `staging-full`, and what the store says; nothing is left behind.
    pub async fn begin_upload(
        &self,
        project: Name,
        name: ImageName,
        spec: UploadSpec,
    ) -> Result<(UploadView, bool), Error> {
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let store = self.store_of(&project, spec.store.clone()).await?;
        let this = self.clone();
        self.call(Subject::Store(store), vec![guard], move |engine| {
            let (image, existed) = engine.begin_upload(&project, &name, &spec)?;
            Ok((this.upload_view(image), existed))
        })
        .await
    }

    /// An upload, also when it has become an image.
    ///
    /// # Errors
    /// `image-not-found`, `upload-not-found`.
    pub async fn upload(&self, project: Name, name: ImageName) -> Result<UploadView, Error> {
        let image = self.blocking(move |engine| engine.image(&project, &name)).await?;
        if image.upload.is_none() {
            let message = format!("image '{}' was not uploaded", image.name);
            return Err(Error::new(ErrorKind::NotFound, "upload-not-found", message));
        }
        Ok(self.upload_view(image))
    }

    fn upload_view(&self, image: Image) -> UploadView {
        let key = active_key(&image.project, &image.name);
        let upload = image.upload.as_ref();
        let kept = upload.map_or(0, |upload| upload.offset);
        let coming = self.0.uploads.lock().get(&key).map(|active| *active.offset.borrow());
        let job = self.0.upload_jobs.lock().get(&key).copied();
        let expires = upload
            .filter(|_| image.state == ImageState::Uploading)
            .and_then(|upload| upload.active.checked_add(self.0.engine.upload_expiry()).ok());
        let job = job.and_then(|id| self.job(id).ok());
        UploadView { offset: coming.unwrap_or(kept).max(kept), expires, job, image }
    }

    /// Begins to add bytes to an upload, behind `offset` of them. Whoever adds to it at the moment is
    /// interrupted; what it brought is kept.
    ///
    /// # Errors
    /// `upload-not-found`, `upload-offset` (how many there are), `upload-beyond-end`,
    /// `too-many-uploads`, and what the store says.
    pub async fn receive(
        &self,
        project: Name,
        name: ImageName,
        offset: u64,
        len: Option<u64>,
    ) -> Result<UploadReceiver, Error> {
        self.interrupt_upload(&project, &name).await?;
        let place = self.0.receivers.take(Some(&project)).ok_or_else(|| {
            let message = "too many files are being uploaded; try again later";
            Error::new(ErrorKind::Unavailable, "too-many-uploads", message)
        })?;
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let subject = Subject::Image(project.clone(), name.clone());
        let key = active_key(&project, &name);
        let this = self.clone();
        self.call(subject, vec![guard], move |engine| {
            let receiving = engine.begin_receiving(&project, &name, offset, len)?;
            Ok(this.start_receiver(key, receiving, place))
        })
        .await
    }

    fn start_receiver(&self, key: String, receiving: Receiving, place: Place) -> UploadReceiver {
        let (pieces, received) = mpsc::channel(PIECES_MAX);
        let (end, ended) = oneshot::channel();
        let (stop, interrupted) = watch::channel(false);
        let (offset, offset_seen) = watch::channel(receiving.offset());
        let stop = Arc::new(stop);
        let active = Active { stop: Arc::clone(&stop), offset: offset_seen };
        self.0.uploads.lock().insert(key.clone(), active);
        let this = self.clone();
        let run = move || {
            let _place = place;
            let result = take_all(&this.0.engine, receiving, received, &offset);
            // Before whoever waits for the end looks.
            let mut uploads = this.0.uploads.lock();
            if uploads.get(&key).is_some_and(|active| Arc::ptr_eq(&active.stop, &stop)) {
                uploads.remove(&key);
            }
            drop(uploads);
            drop(offset);
            let _nobody_waits = end.send(result);
        };
        // We are on a thread of the runtime's blocking pool.
        Handle::current().spawn_blocking(run);
        UploadReceiver { pieces, ended, interrupted }
    }

    /// Has whoever adds to an upload stop, and waits for that.
    async fn interrupt_upload(&self, project: &Name, name: &ImageName) -> Result<(), Error> {
        let (stop, mut offset) = {
            let uploads = self.0.uploads.lock();
            let Some(active) = uploads.get(&active_key(project, name)) else { return Ok(()) };
            (Arc::clone(&active.stop), active.offset.clone())
        };
        stop.send_replace(true);
        let ended = async { while offset.changed().await.is_ok() {} };
        tokio::time::timeout(INTERRUPT_WAIT, ended).await.map_err(|_| {
            let message = format!("another call is at the upload of image '{name}'; try again");
            Error::new(ErrorKind::Conflict, "busy", message)
        })
    }

    /// Has a job make an image of an upload of which all bytes are there; the one that does so if
    /// there is one; `None` if it is an image already.
    ///
    /// # Errors
    /// `upload-not-found`, `upload-offset`, `too-many-imports`.
    pub async fn finish_upload(
        &self,
        project: Name,
        name: ImageName,
    ) -> Result<Option<Job>, Error> {
        let view = self.upload(project.clone(), name.clone()).await?;
        if view.image.state == ImageState::Ready {
            return Ok(None);
        }
        if let Some(job) = view.job.filter(|job| !job.state.is_final()) {
            return Ok(Some(job));
        }
        let queued = self.queue(&project)?;
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let subject = Subject::Image(project.clone(), name.clone());
        let (this, runtime) = (self.clone(), Handle::current());
        self.call(subject, vec![guard], move |engine| {
            let import = engine.begin_uploaded(&project, &name)?;
            let names = (&project, &name);
            let job = this.run_import(engine, &runtime, "image-upload", names, import, queued)?;
            // Those that have ended are of no interest any more.
            let mut jobs = this.0.upload_jobs.lock();
            jobs.retain(|_, id| this.job(*id).is_ok_and(|job| !job.state.is_final()));
            jobs.insert(active_key(&project, &name), job.id);
            Ok(Some(job))
        })
        .await
    }

    /// Gives an upload up; whoever adds to it is interrupted.
    ///
    /// # Errors
    /// `upload-not-found`; `busy` while an image is made of it.
    pub async fn abandon_upload(&self, project: Name, name: ImageName) -> Result<(), Error> {
        self.interrupt_upload(&project, &name).await?;
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let subject = Subject::Image(project.clone(), name.clone());
        self.call(subject, vec![guard], move |engine| engine.abandon_upload(&project, &name)).await
    }

    /// Gives up uploads to which nothing has come for long, until the catalog stops.
    pub(super) async fn expire_uploads(self) {
        let mut stop = self.0.stopping.subscribe();
        while !*stop.borrow_and_update() {
            if let Err(error) = self.expire_once().await {
                tracing::warn!(%error, "old uploads are looked for again later");
            }
            tokio::select! {
                () = tokio::time::sleep(EXPIRY_INTERVAL) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Gives up what is over; what cannot be done keeps nothing else from it.
    pub(in crate::catalog) async fn expire_once(&self) -> Result<(), Error> {
        if let Err(error) = self.blocking(Engine::clean_staging).await {
            tracing::warn!(%error, "what is left of uploads is looked for again later");
        }
        let expired = self.blocking(|engine| {
            let is_over =
                |image: &Image| image.state == ImageState::Uploading && engine.has_expired(image);
            Ok(engine.images(None)?.into_iter().filter(is_over).collect::<Vec<_>>())
        });
        for Image { project, name, .. } in expired.await? {
            if *self.0.stopping.borrow() {
                return Err(stopping());
            }
            let guard = self.lock(Noun::Image, &project, name.as_str()).await;
            let subject = Subject::Image(project.clone(), name.clone());
            let image = active_key(&project, &name);
            let expire = move |engine: &Engine| engine.expire_upload(&project, &name);
            match self.call(subject, vec![guard], expire).await {
                Ok(true) => tracing::info!(image, "an upload to which nothing came is given up"),
                Ok(false) => {}
                Err(error) => tracing::warn!(image, %error, "an upload is given up later"),
            }
        }
        Ok(())
    }
}

/// Takes all pieces that come, and what came to its end.
fn take_all(
    engine: &Engine,
    mut receiving: Receiving,
    mut pieces: mpsc::Receiver<Piece>,
    offset: &watch::Sender<u64>,
) -> Result<Image, Error> {
    let mut taken = Ok(());
    while let Some(piece) = pieces.blocking_recv() {
        taken = match piece {
            Piece::Bytes(bytes) => engine.receive(&mut receiving, Run::Bytes(&bytes)),
            Piece::Zeros(len) => engine.receive(&mut receiving, Run::Zeros(len)),
            Piece::End => receiving.ends_here(),
        };
        offset.send_replace(receiving.offset());
        if taken.is_err() {
            break;
        }
    }
    let ended = engine.end_receiving(receiving)?;
    // What cannot become an image need not be sent to its end.
    if taken.as_ref().is_err_and(|error| error.code().starts_with("source-"))
        && let Err(error) = engine.abandon_upload(&ended.project, &ended.name)
    {
        tracing::warn!(%error, "an upload that is of no use stays until it expires");
    }
    taken.map(|()| ended)
}
