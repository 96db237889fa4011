//! Images that leave: to a file on the gateway, or to another pool; and come from one.
//!
//! What is written has another name until it is complete, and its row has that name, so that what a
//! crash leaves is removed by the next start.

use std::path::Path;
use std::sync::Arc;

use super::copies::Reading;
use super::images::{Import, backing_of};
use super::outfile::{self, OutFile, Place, taken, unwritable};
use super::rows::{self, Batch};
use super::{Engine, backing_prefix, key};
use crate::backend::{OpenMode, Store, StoreError, StoreErrorKind, VolumeReader};
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::import::{Progress, Source, copy};
use crate::catalog::model::Usage;
use crate::catalog::name::{ImageName, Name};
use crate::catalog::spec::PoolImportSpec;
use crate::catalog::state::{ABSENT, Table};
use crate::catalog::transfer::{Destination, Outgoing, PoolImage};

/// An export whose intent is written.
pub(in crate::catalog) struct Exporting {
    outgoing: Outgoing,
    sink: Sink,
    reading: Reading,
}

enum Sink {
    File(OutFile),
    Pool(Arc<dyn Store>, PoolImage),
}

impl Exporting {
    /// Bytes there are to deal with.
    pub(in crate::catalog) fn total_bytes(&self) -> u64 {
        self.reading.reader.size_bytes()
    }
}

impl Engine {
    /// Opens an image, and writes the intent of copying it out.
    pub(in crate::catalog) fn begin_export(
        &self,
        project: &Name,
        name: &ImageName,
        tag: Option<&ImageName>,
        to: &Destination,
    ) -> Result<Exporting, Error> {
        let reading = self.read_image(project, (project, name), tag)?;
        match to {
            Destination::File(path) => {
                let place = Place::find(path)?;
                let part = place.part()?;
                let outgoing =
                    self.intend_export(to, |_, _| part.to_string_lossy().into_owned())?;
                match place.create(&part, reading.reader.size_bytes()) {
                    Ok(file) => Ok(Exporting { outgoing, sink: Sink::File(file), reading }),
                    Err(error) => {
                        let ended = self.end_export(&outgoing);
                        self.or_later(outgoing, ended);
                        Err(error)
                    }
                }
            }
            Destination::Pool { store, image } => {
                let pool = self.check_pool(store, image)?;
                let part = |uid: &str, id| format!("{}exp{id}", backing_prefix(uid));
                let outgoing = self.intend_export(to, part)?;
                Ok(Exporting { outgoing, sink: Sink::Pool(pool, image.clone()), reading })
            }
        }
    }

    fn intend_export(
        &self,
        to: &Destination,
        part: impl FnOnce(&str, u64) -> String,
    ) -> Result<Outgoing, Error> {
        let mut made = None;
        let applied = self.apply_numbered(|uid, id, batch| {
            let outgoing = Outgoing { id, to: to.clone(), part: part(uid, id) };
            batch.put(Table::Exports, &export_key(id), ABSENT, &outgoing)?;
            made = Some(outgoing.clone());
            Ok(outgoing)
        });
        // It may be there, though whoever wrote it heard of a failure.
        let (outgoing, _) = applied.inspect_err(|_| self.unended.lock().extend(made))?;
        Ok(outgoing)
    }

    /// The pool that an image is to be exported to, where its name is free.
    fn check_pool(&self, store: &str, image: &PoolImage) -> Result<Arc<dyn Store>, Error> {
        if image.snapshot.is_some() || image.image.starts_with("stirrup-") {
            let message = format!("{image}: an image gets a name of its own, not such a one");
            return Err(Error::invalid("invalid-pool-image", message));
        }
        let pool = self.pool(store, image)?;
        match pool.stat(&image.image) {
            Ok(_) => Err(taken(&image.to_string())),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(pool),
            Err(error) => Err(outside(error)),
        }
    }

    fn pool(&self, store: &str, image: &PoolImage) -> Result<Arc<dyn Store>, Error> {
        self.store(store)?.elsewhere(&image.place).map_err(outside)
    }

    /// Copies the image out. What is not complete goes.
    pub(in crate::catalog) fn run_export(
        &self,
        exporting: Exporting,
        progress: &Progress,
    ) -> Result<(), Error> {
        let Exporting { outgoing, mut sink, reading } = exporting;
        let Reading { reader, work: _work } = reading;
        let source = Source::of_volume(String::new(), reader);
        let written =
            progress.check().and_then(|()| write_out(&outgoing.part, &mut sink, &source, progress));
        // What has the name of the part and is not what was written is somebody else's.
        let ended = match &sink {
            Sink::File(file) if file.remove().is_ok() => self.forget_export(&outgoing),
            _ => self.end_export(&outgoing),
        };
        self.or_later(outgoing, ended);
        written
    }

    fn or_later(&self, outgoing: Outgoing, ended: Result<(), Error>) {
        if let Err(error) = ended {
            let part = &outgoing.part;
            tracing::warn!(part, %error, "what is left of an export is removed later");
            self.unended.lock().push(outgoing);
        }
    }

    /// Exports whose rests could not be removed.
    pub(in crate::catalog) fn take_unended(&self) -> Vec<Outgoing> {
        std::mem::take(&mut self.unended.lock())
    }

    /// Removes what is not complete of an export, then its row.
    pub(in crate::catalog) fn end_export(&self, outgoing: &Outgoing) -> Result<(), Error> {
        match &outgoing.to {
            Destination::File(path) => outfile::remove_part(Path::new(&outgoing.part))
                .map_err(|error| unwritable(path, &error))?,
            Destination::Pool { store, image } => {
                match self.store(store)?.elsewhere(&image.place) {
                    Err(error) if error.kind() == StoreErrorKind::NotFound => {}
                    pool => self.remove_backing(pool?.as_ref(), &outgoing.part)?,
                }
            }
        }
        self.forget_export(outgoing)
    }

    fn forget_export(&self, outgoing: &Outgoing) -> Result<(), Error> {
        let key = export_key(outgoing.id);
        let Some(row) = self.state.get(Table::Exports, &key)? else { return Ok(()) };
        let mut batch = Batch::default();
        batch.delete(Table::Exports, &key, row.revision);
        batch.apply(self.state.as_ref()).map(drop)
    }

    /// Exports that were begun and not ended.
    pub(in crate::catalog) fn outgoing(&self) -> Result<Vec<Outgoing>, Error> {
        let rows = rows::load_all::<Outgoing>(self.state.as_ref(), Table::Exports, "")?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// Opens an image of another pool, and writes the intent of copying it.
    pub(in crate::catalog) fn begin_pool_import(
        &self,
        project: &Name,
        name: &ImageName,
        spec: &PoolImportSpec,
    ) -> Result<Import, Error> {
        let PoolImportSpec { image: from, .. } = spec;
        let reached = spec.from.as_ref().unwrap_or(&self.options.default_store);
        let store = spec.store.as_ref().unwrap_or(reached);
        self.check_store(store)?;
        self.check_free(project, name)?;
        let pool = self.pool(reached, from)?;
        let closed = from.snapshot.is_none().then(|| (Arc::clone(&pool), from.image.clone()));
        check_closed(closed.as_ref())?;
        let volume = pool.open(&from.image, from.snapshot.as_deref(), OpenMode::ReadOnly);
        let reader = VolumeReader::new(volume.map_err(outside)?);
        let source = Source::of_volume(from.to_string(), reader);
        let (size_bytes, limit) = (source.size_bytes(), self.options.image_max_bytes);
        if size_bytes == 0 || size_bytes > limit {
            let code = if size_bytes == 0 { "source-empty" } else { "source-too-large" };
            let message = format!("{from} has {size_bytes} bytes; the limit is {limit}");
            return Err(Error::invalid(code, message));
        }
        let mut image = self.new_image(project, name, store, size_bytes);
        image.source = format!("rbd:{from}");
        let more = Usage { bytes: size_bytes, ..Usage::default() };
        let intend = |uid: &str, id: u64, batch: &mut Batch| {
            image.backing = backing_of(uid, id);
            batch.put(Table::Images, &key(project, name), ABSENT, &image)
        };
        let ((), revision) = self.within_quota(project, more, || self.apply_numbered(intend))?;
        let works = vec![self.at_work.begin(Noun::Image, project, name.as_str())];
        let fix_boot_chs = spec.fix_boot_chs;
        Ok(Import { fix_boot_chs, closed, ..Import::of(image, revision, source.into(), works) })
    }
}

fn write_out(
    part: &str,
    sink: &mut Sink,
    source: &Source,
    progress: &Progress,
) -> Result<(), Error> {
    match sink {
        Sink::File(file) => {
            copy(source, file, false, progress)?;
            file.finish()
        }
        Sink::Pool(pool, image) => {
            pool.create(part, source.size_bytes()).map_err(outside)?;
            let mut writer = pool.writer(part).map_err(outside)?;
            copy(source, writer.as_mut(), false, progress)?;
            writer.finish().map_err(outside)?;
            pool.rename(part, &image.image).map_err(|error| match error.kind() {
                StoreErrorKind::Exists => taken(&image.to_string()),
                _ => outside(error),
            })
        }
    }
}

/// Refuses an image that is open for writing: what is read of it may be of different moments.
pub(super) fn check_closed(image: Option<&(Arc<dyn Store>, String)>) -> Result<(), Error> {
    let Some((pool, image)) = image else { return Ok(()) };
    if !pool.in_use(image).map_err(outside)? {
        return Ok(());
    }
    let message = format!(
        "image {image} is open for writing elsewhere: make a snapshot of it, and import that \
         (rbd snap create POOL/{image}@NAME)"
    );
    Err(Error::new(ErrorKind::Conflict, "source-in-use", message))
}

/// A failure of what is not a store of ours: the caller named it.
fn outside(error: StoreError) -> Error {
    match error.kind() {
        StoreErrorKind::NotFound | StoreErrorKind::Invalid => {
            Error::invalid("source-unreadable", error.to_string())
        }
        _ => error.into(),
    }
}

fn export_key(id: u64) -> String {
    format!("{id:020}")
}
