//! The metadata: images, snapshots and layers in redb, a transaction a change
//! (`docs/local-store.md`, "Metadata").

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use redb::{
    Database, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::LAYERS_MAX;
use super::files::LayerId;
use crate::backend::{StoreError, StoreErrorKind, fileio};

const STORE: TableDefinition<'_, &str, &str> = TableDefinition::new("store");
const IMAGES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("images");
const LAYERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("layers");
/// By the identity of an image: the record kept beside its data.
const STATES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("states");
/// By the identity of an image and a name, `ID/NAME`: what the store's user keeps with it.
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const FORMAT: &str = "1";
/// Memory for pages of the database, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// An image, as stored under its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Image {
    /// Its lasting identity.
    pub(super) id: LayerId,
    pub(super) size_bytes: u64,
    /// The layer that is written.
    pub(super) head: LayerId,
    /// The image and snapshot it is a clone of.
    pub(super) parent: Option<(String, String)>,
    /// Oldest first.
    pub(super) snapshots: Vec<Snapshot>,
}

/// A snapshot of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snapshot {
    pub(super) name: String,
    pub(super) layer: LayerId,
    /// How many images are clones of it.
    pub(super) clones: u64,
}

/// A layer, as stored under its id.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    pub(super) parent: Option<LayerId>,
    pub(super) size_bytes: u64,
    /// How many images, snapshots and layers need it.
    pub(super) needed_by: u64,
}

impl Image {
    pub(super) fn snapshot(&self, name: &str) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.name == name)
    }
}

/// The database.
pub(super) struct Meta {
    db: Database,
    /// The database's file once more, for reserving space.
    file: File,
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    let error = error.into();
    let kind = match &error {
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableDoesNotExist(_) => StoreErrorKind::Corrupt,
        redb::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                StoreErrorKind::Corrupt
            }
            _ => super::files::kind_of(error),
        },
        redb::Error::DatabaseAlreadyOpen => StoreErrorKind::InUse,
        _ => StoreErrorKind::Io,
    };
    StoreError::new(kind, format!("the store's metadata (store.redb): {error}"))
}

fn corrupt(message: impl std::fmt::Display) -> StoreError {
    let message = format!("the store's metadata (store.redb) make no sense: {message}");
    StoreError::new(StoreErrorKind::Corrupt, message)
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| corrupt(format!("record {key:?}: {error}")))
}

fn get<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, StoreError> {
    let record = table.get(key).map_err(failed)?;
    record.map(|bytes| decode(key, bytes.value())).transpose()
}

fn put<T: Serialize>(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    key: &str,
    record: &T,
) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(record).map_err(corrupt)?;
    table.insert(key, bytes.as_slice()).map_err(failed)?;
    Ok(())
}

impl Meta {
    /// Opens the database, or makes a new one.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let db = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(failed)?;
        let file = File::options().write(true).open(path);
        let file = file.map_err(|error| failed(redb::StorageError::Io(error)))?;
        let meta = Self { db, file };
        let format = {
            let reading = meta.db.begin_read().map_err(failed)?;
            match reading.open_table(STORE) {
                Ok(table) => {
                    table.get("format").map_err(failed)?.map(|format| format.value().to_owned())
                }
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(failed(error)),
            }
        };
        match format.as_deref() {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(StoreError::new(
                    StoreErrorKind::Corrupt,
                    format!("the store has format {other}, this program knows format {FORMAT}"),
                ));
            }
            None => {
                let writing = meta.db.begin_write().map_err(failed)?;
                writing
                    .open_table(STORE)
                    .map_err(failed)?
                    .insert("format", FORMAT)
                    .map_err(failed)?;
                Tables::of(&writing)?;
                writing.commit().map_err(failed)?;
            }
        }
        meta.reserve();
        Ok(meta)
    }

    /// Has the file without holes: removing images must work when the file system is full.
    fn reserve(&self) {
        let reserved =
            self.file.metadata().and_then(|meta| fileio::reserve(&self.file, 0, meta.len()));
        if let Err(error) = reserved {
            tracing::warn!(%error, "cannot reserve space for the store's metadata");
        }
    }

    /// An image.
    pub(super) fn image(&self, name: &str) -> Result<Image, StoreError> {
        let reading = self.db.begin_read().map_err(failed)?;
        let images = reading.open_table(IMAGES).map_err(failed)?;
        get(&images, name)?.ok_or_else(|| no_image(name))
    }

    /// The record kept beside the data of an image; empty if there is none.
    pub(super) fn state(&self, id: &LayerId) -> Result<Vec<u8>, StoreError> {
        let reading = self.db.begin_read().map_err(failed)?;
        let states = match reading.open_table(STATES) {
            Ok(states) => states,
            // A store in which none was ever saved.
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let record = states.get(id.to_string().as_str()).map_err(failed)?;
        Ok(record.map(|record| record.value().to_vec()).unwrap_or_default())
    }

    /// A record that the store's user keeps with an image.
    pub(super) fn record(&self, id: &LayerId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let reading = self.db.begin_read().map_err(failed)?;
        let records = match reading.open_table(RECORDS) {
            Ok(records) => records,
            // A store in which none was ever kept.
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let record = records.get(format!("{id}/{name}").as_str()).map_err(failed)?;
        Ok(record.map(|record| record.value().to_vec()))
    }

    /// The names of all images, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, StoreError> {
        let reading = self.db.begin_read().map_err(failed)?;
        let images = reading.open_table(IMAGES).map_err(failed)?;
        let names = images.iter().map_err(failed)?;
        names.map(|entry| entry.map(|(name, _)| name.value().to_owned()).map_err(failed)).collect()
    }

    /// All layers.
    pub(super) fn layers(&self) -> Result<HashSet<LayerId>, StoreError> {
        let reading = self.db.begin_read().map_err(failed)?;
        let layers = reading.open_table(LAYERS).map_err(failed)?;
        let ids = layers.iter().map_err(failed)?;
        ids.map(|entry| {
            let (id, _) = entry.map_err(failed)?;
            LayerId::try_from(id.value().to_owned()).map_err(corrupt)
        })
        .collect()
    }

    /// A layer.
    pub(super) fn layer(&self, id: &LayerId) -> Result<Layer, StoreError> {
        let reading = self.db.begin_read().map_err(failed)?;
        let layers = reading.open_table(LAYERS).map_err(failed)?;
        get(&layers, &id.to_string())?.ok_or_else(|| corrupt(format!("layer {id} is missing")))
    }

    /// The layer `top` and those below it, topmost first.
    pub(super) fn chain(&self, top: &LayerId) -> Result<Vec<(LayerId, Layer)>, StoreError> {
        let reading = self.db.begin_read().map_err(failed)?;
        let layers = reading.open_table(LAYERS).map_err(failed)?;
        let mut chain = Vec::new();
        let mut next = Some(*top);
        while let Some(id) = next {
            if chain.len() == LAYERS_MAX {
                return Err(corrupt(format!("more than {LAYERS_MAX} layers below {top}")));
            }
            let layer: Layer = get(&layers, &id.to_string())?
                .ok_or_else(|| corrupt(format!("layer {id} is missing")))?;
            next = layer.parent;
            chain.push((id, layer));
        }
        Ok(chain)
    }

    /// Runs `change` as one transaction: all of it is on stable storage afterwards, or, if it
    /// fails, nothing.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let writing = self.db.begin_write().map_err(failed)?;
        let changed = change(&mut Tables::of(&writing)?)?;
        writing.commit().map_err(failed)?;
        self.reserve();
        Ok(changed)
    }
}

fn no_image(name: &str) -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, format!("there is no image {name}"))
}

/// The tables in a transaction.
pub(super) struct Tables<'a> {
    images: Table<'a, &'static str, &'static [u8]>,
    layers: Table<'a, &'static str, &'static [u8]>,
    states: Table<'a, &'static str, &'static [u8]>,
    records: Table<'a, &'static str, &'static [u8]>,
}

impl<'a> Tables<'a> {
    fn of(writing: &'a WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            images: writing.open_table(IMAGES).map_err(failed)?,
            layers: writing.open_table(LAYERS).map_err(failed)?,
            states: writing.open_table(STATES).map_err(failed)?,
            records: writing.open_table(RECORDS).map_err(failed)?,
        })
    }

    pub(super) fn image(&self, name: &str) -> Result<Image, StoreError> {
        get(&self.images, name)?.ok_or_else(|| no_image(name))
    }

    pub(super) fn add_image(&mut self, name: &str, image: &Image) -> Result<(), StoreError> {
        if get::<Image>(&self.images, name)?.is_some() {
            let message = format!("there is an image {name} already");
            return Err(StoreError::new(StoreErrorKind::Exists, message));
        }
        self.put_image(name, image)
    }

    pub(super) fn put_image(&mut self, name: &str, image: &Image) -> Result<(), StoreError> {
        put(&mut self.images, name, image)
    }

    /// Removes an image, and what was kept with it.
    pub(super) fn remove_image(&mut self, name: &str, id: &LayerId) -> Result<(), StoreError> {
        self.images.remove(name).map_err(failed)?;
        self.states.remove(id.to_string().as_str()).map_err(failed)?;
        // From `ID/` to what comes behind all that begin so.
        let (first, behind) = (format!("{id}/"), format!("{id}0"));
        self.records.retain_in(first.as_str()..behind.as_str(), |_, _| false).map_err(failed)?;
        Ok(())
    }

    /// Keeps a record with an image under a name.
    pub(super) fn put_record(
        &mut self,
        image: &str,
        name: &str,
        record: &[u8],
    ) -> Result<(), StoreError> {
        let key = format!("{}/{name}", self.image(image)?.id);
        self.records.insert(key.as_str(), record).map_err(failed)?;
        Ok(())
    }

    /// Keeps a record beside the data of an image that is still there; an empty one: none.
    pub(super) fn put_state(
        &mut self,
        name: &str,
        id: &LayerId,
        record: &[u8],
    ) -> Result<(), StoreError> {
        if self.image(name)?.id != *id {
            return Err(no_image(name));
        }
        let id = id.to_string();
        if record.is_empty() {
            self.states.remove(id.as_str()).map_err(failed)?;
        } else {
            self.states.insert(id.as_str(), record).map_err(failed)?;
        }
        Ok(())
    }

    /// There is one clone more, or less, of the snapshot.
    pub(super) fn count_clone(
        &mut self,
        name: &str,
        snapshot: &str,
        more: bool,
    ) -> Result<(), StoreError> {
        let mut image = self.image(name)?;
        let found = image.snapshots.iter_mut().find(|found| found.name == snapshot);
        let found =
            found.ok_or_else(|| corrupt(format!("a clone of {name}@{snapshot} without it")))?;
        let count = if more { found.clones.checked_add(1) } else { found.clones.checked_sub(1) };
        found.clones = count
            .ok_or_else(|| corrupt(format!("the clones of {name}@{snapshot} do not add up")))?;
        self.put_image(name, &image)
    }

    fn layer(&self, id: &LayerId) -> Result<Layer, StoreError> {
        get(&self.layers, &id.to_string())?.ok_or_else(|| corrupt(format!("layer {id} is missing")))
    }

    /// Adds a layer that one image needs; its parent is needed once more.
    pub(super) fn add_layer(
        &mut self,
        id: &LayerId,
        parent: Option<LayerId>,
        size_bytes: u64,
    ) -> Result<(), StoreError> {
        if let Some(parent) = &parent {
            self.need_layer(parent)?;
        }
        put(&mut self.layers, &id.to_string(), &Layer { parent, size_bytes, needed_by: 1 })
    }

    /// The layer has nothing below it any more; what it had there, which it needs no more.
    pub(super) fn detach_layer(&mut self, id: &LayerId) -> Result<Option<LayerId>, StoreError> {
        let mut layer = self.layer(id)?;
        let parent = layer.parent.take();
        put(&mut self.layers, &id.to_string(), &layer)?;
        Ok(parent)
    }

    /// The layer is longer from now on.
    pub(super) fn lengthen_layer(
        &mut self,
        id: &LayerId,
        size_bytes: u64,
    ) -> Result<(), StoreError> {
        let layer = Layer { size_bytes, ..self.layer(id)? };
        put(&mut self.layers, &id.to_string(), &layer)
    }

    /// One more needs the layer.
    fn need_layer(&mut self, id: &LayerId) -> Result<(), StoreError> {
        let mut layer = self.layer(id)?;
        layer.needed_by += 1;
        put(&mut self.layers, &id.to_string(), &layer)
    }

    /// One less needs the layer; gives those that nothing needs now, which are out of the table.
    pub(super) fn release_layer(&mut self, id: &LayerId) -> Result<Vec<LayerId>, StoreError> {
        let mut free = Vec::new();
        let mut next = Some(*id);
        while let Some(id) = next {
            let mut layer = self.layer(&id)?;
            layer.needed_by = layer
                .needed_by
                .checked_sub(1)
                .ok_or_else(|| corrupt(format!("layer {id} was needed by nothing")))?;
            if layer.needed_by > 0 {
                put(&mut self.layers, &id.to_string(), &layer)?;
                break;
            }
            self.layers.remove(id.to_string().as_str()).map_err(failed)?;
            next = layer.parent;
            free.push(id);
        }
        Ok(free)
    }
}
