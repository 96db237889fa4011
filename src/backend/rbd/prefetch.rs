//! What is fetched ahead for the disks of the store, and where boot profiles are kept: with the
//! golden image, as one of its records.

use std::sync::Arc;

use super::super::{BootProfile, StoreError, StoreErrorKind};
use super::records_of;
use crate::cache::profile::{Keeper, Profile, Profiles, RECORD_BYTES_MAX, RECORD_NAME};
use crate::cache::{Ahead, CachedVolume, profile};
use crate::rbd::{Image, Pool};

const _: () = assert!(RECORD_BYTES_MAX <= super::super::RECORD_BYTES_MAX);

/// What is fetched before it is asked for.
pub struct Prefetch {
    readahead: bool,
    profiles: Option<Profiles>,
}

impl Prefetch {
    /// Ahead of sequential readers or not, and by boot profiles or not.
    ///
    /// # Errors
    /// When the thread that learns boot profiles cannot be started.
    pub fn start(
        readahead: bool,
        profiles: Option<profile::Options>,
    ) -> std::io::Result<Arc<Self>> {
        let profiles = profiles.map(Profiles::start).transpose()?;
        Ok(Arc::new(Self { readahead, profiles }))
    }

    /// Looks on at `volume`, which is `image`, from now on. Blocks.
    pub(super) fn attach(&self, image: &Image, volume: &CachedVolume) {
        let profile = self.profiles.as_ref().and_then(|profiles| {
            let parent = match image.parent() {
                Ok(parent) => parent?,
                Err(error) => {
                    tracing::warn!(image = image.label(), %error, "no boot profile is used");
                    return None;
                }
            };
            // The record would be in another pool, for which the name is not enough.
            let pool = image.pool();
            let here = parent.key.pool_id == pool.id() && parent.key.namespace == pool.namespace();
            let record = Record { pool: Arc::clone(pool), image_id: parent.key.image_id };
            here.then(|| profiles.image(&name(pool, &record.image_id), record))
        });
        volume.attach(Ahead::new(self.readahead, profile));
    }

    /// Waits until what logins have begun has been done.
    #[cfg(test)]
    pub(super) fn wait(&self) {
        self.profiles.iter().for_each(Profiles::wait);
    }

    /// Forgets what it holds of an image in memory.
    pub(super) fn forget(&self, pool: &Pool, image_id: &str) {
        self.profiles.iter().for_each(|profiles| profiles.forget(&name(pool, image_id)));
    }
}

/// One name for an image, whoever asks.
fn name(pool: &Pool, image_id: &str) -> String {
    format!("{}/{}/{}/{image_id}", pool.cluster().fsid(), pool.id(), pool.namespace())
}

/// What is kept of how an image boots.
pub(super) fn boot_profile(record: Option<&[u8]>) -> Result<BootProfile, StoreError> {
    let Some(record) = record.filter(|record| !record.is_empty()) else {
        return Ok(BootProfile::default());
    };
    let profile = Profile::decode(record).map_err(|error| {
        let message = format!("the boot profile cannot be used: {error}; forget it");
        StoreError::new(StoreErrorKind::Corrupt, message)
    })?;
    let plan = profile.plan(u64::MAX);
    let bytes = plan.iter().map(|range| range.end - range.start).sum();
    Ok(BootProfile { boots: profile.boots(), ranges: plan.len() as u64, bytes })
}

/// The record of an image.
struct Record {
    pool: Arc<Pool>,
    image_id: String,
}

impl Keeper for Record {
    fn kept(&self) -> Result<Option<Vec<u8>>, String> {
        let record =
            self.pool.attribute(&records_of(&self.image_id), RECORD_NAME, RECORD_BYTES_MAX);
        // An empty one was forgotten.
        Ok(record.map_err(|error| error.to_string())?.filter(|record| !record.is_empty()))
    }

    fn keep(&self, record: &[u8]) -> Result<(), String> {
        let kept = self.pool.set_attribute(&records_of(&self.image_id), RECORD_NAME, record);
        kept.map_err(|error| error.to_string())
    }
}
