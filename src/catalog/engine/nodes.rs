//! Nodes: who boots from which disk.

use jiff::Timestamp;

use super::making::Created;
use super::rows::{self, Batch, Versioned};
use super::{Engine, key};
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::export::Allowed;
use crate::catalog::model::{Disk, DiskState, Node, Usage};
use crate::catalog::name::Name;
#[cfg(test)]
use crate::catalog::spec::DiskSpec;
use crate::catalog::spec::{Migration, NodeSpec, canonical_mac};
use crate::catalog::state::{ABSENT, Table};
use crate::catalog::tokens::Role;

impl Node {
    /// A node of which no more than its name is known.
    pub(super) fn new(project: &Name, name: &Name) -> Self {
        Self {
            project: project.clone(),
            name: name.clone(),
            macs: Vec::new(),
            initiator: None,
            disk: None,
            created: Timestamp::now(),
        }
    }
}

impl Engine {
    /// The nodes of a project, or of all.
    pub(in crate::catalog) fn nodes(&self, project: Option<&Name>) -> Result<Vec<Node>, Error> {
        self.all(Table::Nodes, project)
    }

    /// A node.
    pub(in crate::catalog) fn node(&self, project: &Name, name: &Name) -> Result<Node, Error> {
        Ok(self.node_row(project, name)?.value)
    }

    /// The disk bound to a node.
    pub(in crate::catalog) fn disk_of(&self, node: &Node) -> Result<Option<Disk>, Error> {
        let disk = node.disk.as_ref().map(|disk| self.disk_row(&node.project, disk));
        Ok(disk.transpose()?.map(|row| row.value))
    }

    /// The node that a disk is bound to.
    pub(in crate::catalog) fn bound_node(&self, disk: &Disk) -> Result<Option<Node>, Error> {
        Ok(self.node_of(disk)?.map(|row| row.value))
    }

    fn node_row(&self, project: &Name, name: &Name) -> Result<Versioned<Node>, Error> {
        self.find_node(project, name)?
            .ok_or_else(|| Error::not_found(Noun::Node, project.as_str(), name.as_str()))
    }

    fn find_node(&self, project: &Name, name: &Name) -> Result<Option<Versioned<Node>>, Error> {
        rows::load(self.state.as_ref(), Table::Nodes, &key(project, name))
    }

    /// Makes a node, or replaces what is known of it. The second answer: nothing had to be done.
    pub(in crate::catalog) fn put_node(
        &self,
        by: Role,
        project: &Name,
        name: &Name,
        spec: &NodeSpec,
    ) -> Result<(Node, bool), Error> {
        let spec = spec.checked()?;
        let row = self.find_node(project, name)?;
        let existed = row.is_some();
        let (mut node, revision) = match row {
            Some(row) => (row.value, row.revision),
            None => (Node::new(project, name), ABSENT),
        };
        let disk = node.disk.as_ref().map(|disk| self.disk_row_for(by, project, disk));
        let disk = disk.transpose()?.map(|row| row.value);
        let same = node.macs == spec.macs && node.initiator == spec.initiator;
        if existed && same {
            // An earlier call may have failed between the row and the target.
            self.apply_rules(&node)?;
            return Ok((node, true));
        }
        let key = key(project, name);
        let mut batch = Batch::default();
        for mac in node.macs.iter().filter(|mac| !spec.macs.contains(mac)) {
            if let Some(row) = self.state.get(Table::Macs, mac)? {
                batch.delete(Table::Macs, mac, row.revision);
            }
        }
        for mac in spec.macs.iter().filter(|mac| !node.macs.contains(mac)) {
            if let Some(row) = rows::load::<String>(self.state.as_ref(), Table::Macs, mac)? {
                return Err(mac_taken(mac, project, &row.value));
            }
            batch.put(Table::Macs, mac, ABSENT, &key)?;
        }
        let renamed = node.initiator != spec.initiator;
        node.macs = spec.macs;
        node.initiator = spec.initiator;
        batch.put(Table::Nodes, &key, revision, &node)?;
        match disk {
            Some(disk) if renamed => self.change_access(&disk, Some(&node), &batch)?,
            _ => drop(batch.apply(self.state.as_ref())?),
        }
        Ok((node, false))
    }

    /// Publishes the node's disk, if it has one that is there, with the rules that follow from
    /// the node.
    fn apply_rules(&self, node: &Node) -> Result<(), Error> {
        let Some(disk) = self.disk_of(node)?.filter(Disk::is_there) else { return Ok(()) };
        let volume = self.serving(&disk).volume;
        self.publish(&disk, Some(node), volume)
    }

    /// Removes a node that is not bound to a disk.
    pub(in crate::catalog) fn remove_node(&self, project: &Name, name: &Name) -> Result<(), Error> {
        let Versioned { value: node, revision } = self.node_row(project, name)?;
        if let Some(disk) = &node.disk {
            let message =
                format!("node '{name}' has disk '{disk}'; unbind or deprovision it first");
            return Err(bound(&node, message));
        }
        let mut batch = Batch::default();
        for mac in &node.macs {
            if let Some(row) = self.state.get(Table::Macs, mac)? {
                batch.delete(Table::Macs, mac, row.revision);
            }
        }
        batch.delete(Table::Nodes, &key(project, name), revision);
        batch.apply(self.state.as_ref())?;
        Ok(())
    }

    /// Binds a disk to a node. The second answer: it was bound already.
    pub(in crate::catalog) fn bind(
        &self,
        by: Role,
        project: &Name,
        node: &Name,
        disk: &Name,
    ) -> Result<(Node, bool), Error> {
        let node = self.node_row(project, node)?;
        let disk = self.disk_row_for(by, project, disk)?;
        self.bind_rows(node, disk)
    }

    fn bind_rows(
        &self,
        node: Versioned<Node>,
        disk: Versioned<Disk>,
    ) -> Result<(Node, bool), Error> {
        let (Versioned { value: mut node, revision }, disk_revision) = (node, disk.revision);
        let mut disk = disk.value;
        check_bindable(&node, &disk)?;
        let existed = node.disk.is_some();
        if existed {
            self.apply_rules(&node)?;
            return Ok((node, true));
        }
        node.disk = Some(disk.name.clone());
        disk.node = Some(node.name.clone());
        disk.closed = false;
        disk.make_node_chap()?;
        let mut batch = Batch::default();
        batch.put(Table::Nodes, &key(&node.project, &node.name), revision, &node)?;
        batch.put(Table::Disks, &key(&disk.project, &disk.name), disk_revision, &disk)?;
        let more = Usage { nodes: 1, ..Usage::default() };
        self.within_quota(&node.project, more, || self.change_access(&disk, Some(&node), &batch))?;
        Ok((node, false))
    }

    /// Takes the disk off a node; sessions with the disk end, and there are no more until it is
    /// bound again. The second answer: there was none.
    pub(in crate::catalog) fn unbind(
        &self,
        by: Role,
        project: &Name,
        name: &Name,
    ) -> Result<(Node, bool), Error> {
        let Versioned { value: mut node, revision } = self.node_row(project, name)?;
        let Some(disk) = node.disk.take() else { return Ok((node, true)) };
        let Versioned { value: mut disk, revision: disk_revision } =
            self.disk_row_for(by, project, &disk)?;
        disk.node = None;
        disk.closed = true;
        disk.make_node_chap()?;
        let mut batch = Batch::default();
        batch.put(Table::Nodes, &key(project, name), revision, &node)?;
        batch.put(Table::Disks, &key(project, &disk.name), disk_revision, &disk)?;
        self.change_access(&disk, None, &batch)?;
        Ok((node, false))
    }

    /// Gives a disk to a node, whoever has it: that one is out before the other is in, and does not
    /// come back. The second answer: the node had it already.
    pub(in crate::catalog) fn migrate(
        &self,
        by: Role,
        project: &Name,
        disk: &Name,
        Migration { to, from, force }: &Migration,
    ) -> Result<(Node, bool), Error> {
        let node = self.node_row(project, to)?;
        let disk = self.disk_row_for(by, project, disk)?;
        if disk.value.node.as_ref() == Some(to) {
            return self.bind_rows(node, disk);
        }
        if let Some(from) = from.as_ref().filter(|from| disk.value.node.as_ref() != Some(from)) {
            let has = disk.value.node.as_ref().map_or("no node".to_owned(), |n| format!("'{n}'"));
            let name = &disk.value.name;
            let message = format!("disk '{name}' is bound to {has}, not to '{from}'");
            return Err(disk_bound(&disk.value, message));
        }
        let Some(owner) = self.node_of(&disk.value)? else { return self.bind_rows(node, disk) };
        let (Versioned { value: mut node, revision }, disk_revision) = (node, disk.revision);
        let mut disk = disk.value;
        self.check_idle(&disk)?;
        check_bindable(&node, &Disk { node: None, ..disk.clone() })?;
        let owner_now = Node { disk: None, ..owner.value };
        node.disk = Some(disk.name.clone());
        disk.node = Some(node.name.clone());
        if !force {
            self.check_shut_out(&disk, &owner_now, &node)?;
        }
        disk.make_node_chap()?;
        let mut batch = Batch::default();
        batch.put(Table::Nodes, &key(project, &owner_now.name), owner.revision, &owner_now)?;
        batch.put(Table::Nodes, &key(project, to), revision, &node)?;
        batch.put(Table::Disks, &key(project, &disk.name), disk_revision, &disk)?;
        self.change_access(&disk, Some(&node), &batch)?;
        Ok((node, false))
    }

    /// Refuses to give a disk to `node` if its rules would admit `owner`, too: an initiator that was
    /// thrown out logs in again by itself, within seconds.
    fn check_shut_out(&self, disk: &Disk, owner: &Node, node: &Node) -> Result<(), Error> {
        let is_shut_out = match (self.allowed(disk, Some(node)), &owner.initiator) {
            // What the owner was given is worth nothing then.
            _ if disk.chap_per_node.is_some() => true,
            (Allowed::Nobody, _) => true,
            (Allowed::Anyone, _) => false,
            (allowed, Some(name)) => !allowed.admits(name),
            // Under whatever name it came, that was one of the disk's, if the disk has some.
            (Allowed::Initiators(_), None) => disk.initiators.is_empty(),
        };
        if is_shut_out {
            return Ok(());
        }
        let (disk_name, owner, to) = (&disk.name, &owner.name, &node.name);
        let message = format!(
            "disk '{disk_name}' would admit node '{owner}' next to '{to}', and two machines that \
             write to one file system destroy it: give '{to}' an initiator name that is its own \
             alone (stirrup node create --initiator), or the disk credentials of each node's own \
             (stirrup disk set --chap-per-node); if '{owner}' is off and stays off, force it"
        );
        let (project, name) = (disk.project.as_str(), disk.name.as_str());
        Err(Error::conflict("owner-not-shut-out", Noun::Disk, project, name, message))
    }

    /// The node that has a MAC address, in whatever form it is written.
    pub(in crate::catalog) fn node_by_mac(&self, mac: &str) -> Result<Option<Node>, Error> {
        let mac = canonical_mac(mac)?;
        let Some(row) = rows::load::<String>(self.state.as_ref(), Table::Macs, &mac)? else {
            return Ok(None);
        };
        let node = rows::load::<Node>(self.state.as_ref(), Table::Nodes, &row.value)?;
        Ok(node.map(|node| node.value))
    }

    /// A disk named after the node, bound to it; both are made if need be. The second answer:
    /// nothing had to be done.
    #[cfg(test)]
    pub(in crate::catalog) fn provision(
        &self,
        project: &Name,
        name: &Name,
        spec: &DiskSpec,
    ) -> Result<(Node, bool), Error> {
        self.check_provision(project, name)?;
        let created = self.create_disk(project, name, spec, Some(name))?;
        self.end_provision(project, name, created)
    }

    /// Refuses a node that has another disk.
    pub(in crate::catalog) fn check_provision(
        &self,
        project: &Name,
        name: &Name,
    ) -> Result<(), Error> {
        if let Some(row) = self.find_node(project, name)?
            && let Some(disk) = &row.value.disk
            && disk != name
        {
            let message = format!("node '{name}' has disk '{disk}' already; deprovision it first");
            return Err(bound(&row.value, message));
        }
        Ok(())
    }

    /// Binds a disk that was there before; of a new one the rows and the binding became true in one
    /// step.
    pub(in crate::catalog) fn end_provision(
        &self,
        project: &Name,
        name: &Name,
        created: Created,
    ) -> Result<(Node, bool), Error> {
        if let Some(node) = created.node {
            return Ok((node, false));
        }
        let node = match self.find_node(project, name)? {
            Some(row) => row,
            None => Versioned { value: Node::new(project, name), revision: ABSENT },
        };
        self.bind_rows(node, self.disk_row(project, &created.disk.name)?)
    }

    /// Takes the disk off a node and removes it. The second answer: there was none.
    pub(in crate::catalog) fn deprovision(
        &self,
        by: Role,
        project: &Name,
        name: &Name,
    ) -> Result<(Node, bool), Error> {
        let node = self.node(project, name)?;
        let Some(disk) = &node.disk else { return Ok((node, true)) };
        let row = self.disk_row_for(by, project, disk)?;
        // The node is let go together with the disk's row; until then a repeated call finds both.
        self.mark_and_erase(row)?;
        Ok((Node { disk: None, ..node }, false))
    }
}

fn check_bindable(node: &Node, disk: &Disk) -> Result<(), Error> {
    if !matches!(disk.state, DiskState::Ready) {
        let message = format!("disk '{}' is not ready", disk.name);
        let (project, name) = (disk.project.as_str(), disk.name.as_str());
        return Err(Error::conflict("disk-not-ready", Noun::Disk, project, name, message));
    }
    if let Some(other) = node.disk.as_ref().filter(|other| **other != disk.name) {
        let message = format!("node '{}' has disk '{other}' already; unbind it first", node.name);
        return Err(bound(node, message));
    }
    if let Some(other) = disk.node.as_ref().filter(|other| **other != node.name) {
        let message = format!(
            "disk '{}' is bound to node '{other}' already; unbind it first, or migrate it",
            disk.name
        );
        return Err(disk_bound(disk, message));
    }
    Ok(())
}

fn disk_bound(disk: &Disk, message: String) -> Error {
    let (project, name) = (disk.project.as_str(), disk.name.as_str());
    Error::conflict("disk-bound", Noun::Disk, project, name, message)
}

fn bound(node: &Node, message: String) -> Error {
    let (project, name) = (node.project.as_str(), node.name.as_str());
    Error::conflict("node-bound", Noun::Node, project, name, message)
}

fn mac_taken(mac: &str, project: &Name, key: &str) -> Error {
    // Who may see one project may not see another.
    let node = match key.split_once('/') {
        Some((of, node)) if of == project.as_str() => format!("node '{node}'"),
        _ => "a node of another project".to_owned(),
    };
    let message = format!("MAC address {mac} belongs to {node} already");
    Error::new(ErrorKind::Conflict, "mac-taken", message)
}
