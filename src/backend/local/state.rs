//! The record kept beside the data of an open image: in the store's metadata, by the identity of
//! the image, so that it goes with the image and no clone has it.

use std::sync::Arc;

use super::files::LayerId;
use super::meta::Meta;
use crate::backend::kept::Kept;
use crate::backend::{StoreError, StoreErrorKind};
use crate::block::{Error, ErrorKind, SavedState, StateRecord};

pub(super) struct ImageState {
    meta: Arc<Meta>,
    image: String,
    id: LayerId,
    kept: Kept,
}

impl ImageState {
    pub(super) fn load(meta: &Arc<Meta>, image: &str, id: LayerId) -> Result<Self, StoreError> {
        let kept = Kept::new(SavedState::Record(meta.state(&id)?));
        Ok(Self { meta: Arc::clone(meta), image: image.to_owned(), id, kept })
    }

    pub(super) fn get(&self) -> SavedState {
        self.kept.get()
    }

    /// One transaction of the metadata: on stable storage afterwards.
    pub(super) fn save(&self, record: &StateRecord) -> Result<(), Error> {
        self.kept.save(record, |bytes| {
            let saved = self.meta.change(|tables| tables.put_state(&self.image, &self.id, bytes));
            saved.map_err(|error| {
                let kind = match error.kind() {
                    StoreErrorKind::NoSpace => ErrorKind::NoSpace,
                    StoreErrorKind::NotFound => ErrorKind::Gone,
                    _ => ErrorKind::Medium,
                };
                Error::new(kind, format!("saving the state of image {}: {error}", self.image))
            })
        })
    }
}
