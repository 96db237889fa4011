//! Changing a disk that is there: who may log in, whether it is served, what it may be asked for.

use super::rows::{Batch, Versioned};
use super::{Engine, key};
use crate::catalog::error::Error;
use crate::catalog::model::{Disk, Exposure};
use crate::catalog::name::Name;
use crate::catalog::spec::DiskChange;
use crate::catalog::state::Table;
use crate::catalog::tokens::Role;

impl Engine {
    /// Changes a disk. Its sessions go on if only its limits change, or if the change says that those
    /// shall that may; otherwise they end, and who is still admitted logs in again. The second answer:
    /// it was so already.
    pub(in crate::catalog) fn change_disk(
        &self,
        by: Role,
        project: &Name,
        name: &Name,
        change: &DiskChange,
    ) -> Result<(Disk, bool), Error> {
        change.check()?;
        let Versioned { value: before, revision } = self.disk_row_for(by, project, name)?;
        // What keeps sessions opens nothing, and hinders no job.
        if !(change.keep_sessions && before.is_there()) {
            self.check_idle(&before)?;
        }
        let mut disk = before.clone();
        change.apply(&mut disk)?;
        if let Some(wanted) = &change.portal_groups {
            disk.portal_groups = self.portal_groups(project, wanted)?;
        }
        let (existed, node) = (disk == before, self.bound_node(&disk)?);
        let mut batch = Batch::default();
        batch.put(Table::Disks, &key(project, name), revision, &disk)?;
        let mut volume = self.serving(&disk).volume;
        let is_quiet = change.keep_sessions && disk.exposure == before.exposure;
        if is_quiet || (Disk { qos: before.qos, ..disk.clone() }) == before {
            // First who may not any more is gone, then the row says so. Also when it does already:
            // an earlier call may have failed between the row and the target.
            self.publish(&disk, node.as_ref(), volume)?;
            if !existed {
                batch.apply(self.state.as_ref()).inspect_err(|_| self.serve_again(&disk))?;
            }
            return Ok((disk, existed));
        }
        if volume.is_none() && disk.exposure == Exposure::Enabled {
            volume = Some(self.open(&disk)?.0);
        }
        self.change_access_with(&disk, node.as_ref(), &batch, volume)?;
        Ok((disk, false))
    }
}
