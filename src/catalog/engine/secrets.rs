//! Credentials of nodes: handed out once, or as often as they are asked for.

use jiff::Timestamp;

use super::rows::{Batch, Versioned};
use super::{Engine, key};
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::{Delivery, Disk, Node};
use crate::catalog::name::Name;
use crate::catalog::state::Table;
use crate::catalog::tokens::Role;

impl Engine {
    /// A node and its disk, with the credentials that the node is to be given to boot. Credentials of
    /// the node's own that are handed out once are handed out when this returns: the row says so
    /// before anybody sees them.
    pub(in crate::catalog) fn hand_out_chap(
        &self,
        by: Role,
        project: &Name,
        name: &Name,
    ) -> Result<(Node, Option<Disk>), Error> {
        let node = self.node(project, name)?;
        let Some(disk) = &node.disk else { return Ok((node, None)) };
        let Versioned { value: mut disk, revision } = self.disk_row_for(by, project, disk)?;
        let Some(per_node) = disk.chap_per_node.as_mut() else { return Ok((node, Some(disk))) };
        if let (Delivery::Once, Some(when)) = (per_node.delivery, per_node.delivered) {
            let message = format!(
                "the CHAP secret of node '{name}' was handed out at {when}, and is handed out once; \
                 if the node is to boot again, say so first: stirrup node rearm"
            );
            let (project, name) = (project.as_str(), name.as_str());
            return Err(Error::conflict("secret-delivered", Noun::Node, project, name, message));
        }
        if per_node.delivery == Delivery::Once {
            per_node.delivered = Some(Timestamp::now());
            let mut batch = Batch::default();
            batch.put(Table::Disks, &key(project, &disk.name), revision, &disk)?;
            batch.apply(self.state.as_ref())?;
        }
        Ok((node, Some(disk)))
    }

    /// Has the credentials of a node handed out once more; with `renew` others than it had, and then
    /// the node's sessions end.
    pub(in crate::catalog) fn rearm(
        &self,
        by: Role,
        project: &Name,
        name: &Name,
        renew: bool,
    ) -> Result<(Node, bool), Error> {
        let node = self.node(project, name)?;
        let none = |message: String| {
            let (project, name) = (project.as_str(), name.as_str());
            Error::conflict("no-node-secret", Noun::Node, project, name, message)
        };
        let Some(disk) = &node.disk else {
            return Err(none(format!("node '{name}' has no disk, and so no CHAP secret")));
        };
        let Versioned { value: mut disk, revision } = self.disk_row_for(by, project, disk)?;
        self.check_idle(&disk)?;
        let Some(per_node) = disk.chap_per_node.as_mut() else {
            let message = format!(
                "disk '{}' of node '{name}' has no CHAP secret of the node's own; ask for one with \
                 stirrup disk set --chap-per-node",
                disk.name
            );
            return Err(none(message));
        };
        let was_armed = per_node.delivered.is_none();
        if was_armed && !renew {
            return Ok((node, true));
        }
        per_node.delivered = None;
        if renew {
            disk.make_node_chap()?;
        }
        let mut batch = Batch::default();
        batch.put(Table::Disks, &key(project, &disk.name), revision, &disk)?;
        if renew {
            self.change_access(&disk, Some(&node), &batch)?;
        } else {
            batch.apply(self.state.as_ref())?;
        }
        Ok((node, false))
    }
}
