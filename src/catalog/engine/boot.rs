//! Which node a machine is, and whether it has been given its secret.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rows::{self, Batch};
use super::{Engine, key};
use crate::catalog::error::Error;
use crate::catalog::model::{Chap, Disk, Node};
use crate::catalog::name::Name;
use crate::catalog::state::{ABSENT, Table};

/// A secret that was given out. Another disk or another secret is another mark, and not given out yet.
#[derive(Debug, Serialize, Deserialize)]
struct Given {
    /// SHA-256 of the disk's name in the store, the CHAP name and the secret.
    mark: [u8; 32],
}

impl Engine {
    /// The nodes that have one of these MAC addresses.
    pub(in crate::catalog) fn nodes_by_mac(&self, macs: &[String]) -> Result<Vec<Node>, Error> {
        let mut keys = Vec::new();
        for mac in macs {
            let row = rows::load::<String>(self.state.as_ref(), Table::Macs, mac)?;
            if let Some(row) = row.filter(|row| !keys.contains(&row.value)) {
                keys.push(row.value);
            }
        }
        let mut nodes = Vec::new();
        for key in keys {
            // It may have been removed since.
            let row = rows::load::<Node>(self.state.as_ref(), Table::Nodes, &key)?;
            nodes.extend(row.map(|row| row.value));
        }
        Ok(nodes)
    }

    /// Notes that the secret of a node's disk is given out. False if it has been already, or there is
    /// none. It is on stable storage before anybody gets it: rather nobody does than two.
    pub(in crate::catalog) fn take_boot_secret(
        &self,
        project: &Name,
        name: &Name,
    ) -> Result<bool, Error> {
        let node = self.node(project, name)?;
        let Some(disk) = self.disk_of(&node)? else { return Ok(false) };
        let Some(chap) = &disk.chap else { return Ok(false) };
        let given = Given { mark: mark(&disk, chap) };
        let key = key(project, name);
        let row = rows::load::<Given>(self.state.as_ref(), Table::BootSecrets, &key)?;
        if row.as_ref().is_some_and(|row| row.value.mark == given.mark) {
            return Ok(false);
        }
        let mut batch = Batch::default();
        batch.put(Table::BootSecrets, &key, row.map_or(ABSENT, |row| row.revision), &given)?;
        batch.apply(self.state.as_ref())?;
        Ok(true)
    }

    /// Has the secret of a node's disk given out once more.
    pub(in crate::catalog) fn rearm(&self, project: &Name, name: &Name) -> Result<Node, Error> {
        let node = self.node(project, name)?;
        let mut batch = Batch::default();
        self.add_rearmed(&mut batch, project, name)?;
        batch.apply(self.state.as_ref())?;
        Ok(node)
    }

    /// Adds to a batch that no secret of a node has been given out.
    pub(super) fn add_rearmed(
        &self,
        batch: &mut Batch,
        project: &Name,
        name: &Name,
    ) -> Result<(), Error> {
        let key = key(project, name);
        if let Some(row) = self.state.get(Table::BootSecrets, &key)? {
            batch.delete(Table::BootSecrets, &key, row.revision);
        }
        Ok(())
    }
}

fn mark(disk: &Disk, chap: &Chap) -> [u8; 32] {
    let mut hash = Sha256::new();
    // No part holds a NUL.
    for part in [disk.backing.as_str(), chap.user.as_str(), chap.secret.expose()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}
