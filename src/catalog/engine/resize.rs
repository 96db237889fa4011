//! Growing a disk, under its sessions.

use super::disks::check_own;
use super::rows::Batch;
use super::{Engine, key};
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::{Disk, Usage};
use crate::catalog::name::Name;
use crate::catalog::spec::check_size;
use crate::catalog::state::Table;

impl Engine {
    /// Makes a disk larger; its sessions go on and hear of it. The second answer: it had that
    /// size already. The store comes first, then the row: what a crash leaves between the two is
    /// put right when the disk is opened ([`Engine::serve`]).
    pub(in crate::catalog) fn resize_disk(
        &self,
        project: &Name,
        name: &Name,
        size_bytes: u64,
    ) -> Result<(Disk, bool), Error> {
        let row = self.disk_row(project, name)?;
        let disk = &row.value;
        let conflict = |code, message| {
            Error::conflict(code, Noun::Disk, project.as_str(), name.as_str(), message)
        };
        self.check_idle(disk)?;
        check_own(disk)?;
        if size_bytes < disk.size_bytes {
            let message = format!(
                "disk '{name}' has {} bytes and cannot shrink to {size_bytes}: what is beyond \
                 would be lost; make a new disk of an image that is small enough",
                disk.size_bytes
            );
            return Err(conflict("disk-cannot-shrink", message));
        }
        if size_bytes == disk.size_bytes {
            return Ok((row.value, true));
        }
        check_size(size_bytes)?;
        let more = Usage { bytes: size_bytes - disk.size_bytes, ..Usage::default() };
        self.within_quota(project, more, || {
            self.store(&disk.store)?.resize(&disk.backing, size_bytes)?;
            let mut disk = disk.clone();
            disk.size_bytes = size_bytes;
            let mut batch = Batch::default();
            batch.put(Table::Disks, &key(project, name), row.revision, &disk)?;
            batch.apply(self.state.as_ref())?;
            Ok((disk, false))
        })
    }
}
