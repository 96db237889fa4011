//! What disks take in their stores, as it was a while ago: a list must not ask a store about each.

use std::time::{Duration, Instant};

use super::disks::Serving;
use super::{Engine, key};
use crate::catalog::error::Error;
use crate::catalog::model::Disk;
use crate::catalog::name::Name;

/// How old a figure may become before the store is asked again.
const KEEP: Duration = Duration::from_secs(600);

/// A figure, and when it was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    bytes: Option<u64>,
    at: Instant,
}

impl Engine {
    /// Bytes that a disk takes in its store, if they are known. Asks no store.
    pub(in crate::catalog) fn used_bytes(&self, disk: &Disk, serving: &Serving) -> Option<u64> {
        let of_volume = serving.volume.as_ref().and_then(|volume| volume.usage().used_bytes);
        let kept = || self.used.get(&key(&disk.project, &disk.name)).and_then(|used| used.bytes);
        of_volume.or_else(kept)
    }

    /// The disks of which that is not known any more; those that are gone are forgotten.
    pub(in crate::catalog) fn disks_to_measure(&self) -> Result<Vec<(Name, Name)>, Error> {
        let now = Instant::now();
        let disks = self.disks(None)?;
        let keys: std::collections::HashSet<String> =
            disks.iter().map(|disk| key(&disk.project, &disk.name)).collect();
        self.used.retain(|of, _| keys.contains(of));
        let is_wanted = |disk: &Disk| {
            let says_itself = || {
                let volume = self.serving(disk).volume;
                volume.is_some_and(|volume| volume.usage().used_bytes.is_some())
            };
            let is_known = self
                .used
                .get(&key(&disk.project, &disk.name))
                .is_some_and(|used| now.saturating_duration_since(used.at) < KEEP);
            disk.is_there() && !is_known && !says_itself()
        };
        let wanted = disks.into_iter().filter(is_wanted);
        Ok(wanted.map(|disk| (disk.project, disk.name)).collect())
    }

    /// Asks the store about one disk.
    pub(in crate::catalog) fn measure(&self, project: &Name, name: &Name) -> Result<(), Error> {
        let Some(row) = self.find_disk(project, name)? else { return Ok(()) };
        // One that cannot be asked is not asked again at once.
        let stat = self.store(&row.value.store)?.stat(&row.value.backing);
        let bytes = stat.as_ref().ok().and_then(|stat| stat.used_bytes);
        self.used.insert(key(project, name), Used { bytes, at: Instant::now() });
        Ok(stat.map(drop)?)
    }
}
