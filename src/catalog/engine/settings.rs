//! Changing a disk that is there: who may log in, whether it is served, what it may be asked for.

use super::rows::{Batch, Versioned};
use super::{Engine, key};
use crate::catalog::error::Error;
use crate::catalog::model::{Disk, Exposure};
use crate::catalog::name::Name;
use crate::catalog::spec::DiskChange;
use crate::catalog::state::Table;

impl Engine {
    /// Changes a disk. Its sessions go on if only its limits change; otherwise they end, and who is
    /// still admitted logs in again. The second answer: it was so already.
    pub(in crate::catalog) fn change_disk(
        &self,
        project: &Name,
        name: &Name,
        change: &DiskChange,
    ) -> Result<(Disk, bool), Error> {
        change.check()?;
        let Versioned { value: before, revision } = self.disk_row(project, name)?;
        self.check_idle(&before)?;
        let mut disk = before.clone();
        change.apply(&mut disk)?;
        if let Some(wanted) = &change.portal_groups {
            disk.portal_groups = self.portal_groups(project, wanted)?;
        }
        let (existed, node) = (disk == before, self.bound_node(&disk)?);
        let mut batch = Batch::default();
        batch.put(Table::Disks, &key(project, name), revision, &disk)?;
        if (Disk { qos: before.qos, ..disk.clone() }) == before {
            if !existed {
                batch.apply(self.state.as_ref())?;
            }
            // Also when an earlier call failed between the row and the target.
            self.publish(&disk, node.as_ref(), self.serving(&disk).volume)?;
            return Ok((disk, existed));
        }
        let mut volume = self.serving(&disk).volume;
        if volume.is_none() && disk.exposure == Exposure::Enabled {
            volume = Some(self.open(&disk)?.0);
        }
        self.change_access_with(&disk, node.as_ref(), &batch, volume)?;
        Ok((disk, false))
    }
}
