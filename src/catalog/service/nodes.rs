//! Calls on nodes.

use std::time::Duration;

use super::making::{Made, Wanted};
use super::{Catalog, DiskView, Subject, view};
use crate::catalog::engine::Engine;
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::locks::Guard;
use crate::catalog::model::Node;
use crate::catalog::name::Name;
use crate::catalog::spec::{DiskSpec, Migration, NodeSpec};
use crate::catalog::tokens::Role;

impl Catalog {
    /// Locks a node, and the disk that is bound to it or, if there is none, `disk`. The second
    /// answer is what a call on them waits for.
    async fn lock_node(
        &self,
        project: &Name,
        node: &Name,
        disk: Option<&Name>,
    ) -> Result<(Vec<Guard>, Subject), Error> {
        self.check_not_being_made(project, node, Some(node))?;
        let mut guards = vec![self.lock(Noun::Node, project, node.as_str()).await];
        let (project_too, node) = (project.clone(), node.clone());
        let bound = self.blocking(move |engine| match engine.node(&project_too, &node) {
            Ok(node) => Ok(node.disk),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        });
        let bound = bound.await?;
        let Some(disk) = bound.as_ref().or(disk) else { return Ok((guards, Subject::Nothing)) };
        guards.push(self.lock(Noun::Disk, project, disk.as_str()).await);
        Ok((guards, Subject::Disk(project.clone(), disk.clone())))
    }

    /// The nodes of a project, or of all, sorted, each with its disk.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn nodes(
        &self,
        project: Option<Name>,
    ) -> Result<Vec<(Node, Option<DiskView>)>, Error> {
        self.blocking(move |engine| {
            let nodes = engine.nodes(project.as_ref())?.into_iter();
            nodes.map(|node| with_disk(engine, node)).collect()
        })
        .await
    }

    /// A node and its disk.
    ///
    /// # Errors
    /// `node-not-found`.
    pub async fn node(&self, project: Name, name: Name) -> Result<(Node, Option<DiskView>), Error> {
        self.blocking(move |engine| with_disk(engine, engine.node(&project, &name)?)).await
    }

    /// Makes a node, or replaces what is known of it. The last answer: nothing had to be done.
    ///
    /// # Errors
    /// `mac-taken`, `invalid-mac`, `invalid-initiator`; `forbidden`: its disk edits an image, and `by` is
    /// no admin.
    pub async fn put_node(
        &self,
        by: Role,
        project: Name,
        name: Name,
        spec: NodeSpec,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &name, None).await?;
        self.node_call(guards, move |engine| engine.put_node(by, &project, &name, &spec)).await
    }

    /// Removes a node.
    ///
    /// # Errors
    /// `node-bound`.
    pub async fn remove_node(&self, project: Name, name: Name) -> Result<(), Error> {
        let (guards, _) = self.lock_node(&project, &name, None).await?;
        self.call(Subject::Nothing, guards, move |engine| engine.remove_node(&project, &name)).await
    }

    /// Binds a disk to a node. The last answer: it was bound already.
    ///
    /// # Errors
    /// `node-bound`, `disk-bound`, `disk-not-ready`; `forbidden`: the disk edits an image, and `by` is
    /// no admin.
    pub async fn bind(
        &self,
        by: Role,
        project: Name,
        node: Name,
        disk: Name,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &node, Some(&disk)).await?;
        self.node_call(guards, move |engine| engine.bind(by, &project, &node, &disk)).await
    }

    /// Takes the disk off a node; its sessions end. The last answer: there was none.
    ///
    /// # Errors
    /// `node-not-found`; `forbidden`: the disk edits an image, and `by` is no admin.
    pub async fn unbind(
        &self,
        by: Role,
        project: Name,
        name: Name,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &name, None).await?;
        self.node_call(guards, move |engine| engine.unbind(by, &project, &name)).await
    }

    /// Gives a node a disk of its own name, cloned from an image, in one step; the node is made
    /// if it is not known; a copy with a key of its own is made by a job. The last answer: nothing had
    /// to be done.
    ///
    /// # Errors
    /// `node-bound`, `disk-exists`, `disk-bound`, `image-not-found`, `encryption-unavailable`,
    /// `too-many-imports`, and what the store says; nothing is left behind.
    pub async fn provision(
        &self,
        project: Name,
        name: Name,
        spec: DiskSpec,
    ) -> Result<Made<((Node, Option<DiskView>), bool)>, Error> {
        let (of, node) = (project.clone(), name.clone());
        let wanted = Wanted { project, name, spec, node: Some(node.clone()) };
        if let Some(job) = self.being_made(&wanted)? {
            return Ok(Made::Later(Box::new(job)));
        }
        let (guards, _) = self.lock_node(&of, &node, Some(&node)).await?;
        self.make_disk(wanted, guards, move |engine, created| {
            let (node, existed) = engine.end_provision(&of, &node, created)?;
            Ok((with_disk(engine, node)?, existed))
        })
        .await
    }

    /// Takes the disk off a node and removes it. The last answer: there was none.
    ///
    /// # Errors
    /// `node-not-found`, `forbidden`; what the store says. The disk is not served any more then, and stays the
    /// node's until a repeated call, or the next start, has removed it; or the node is unbound.
    pub async fn deprovision(
        &self,
        by: Role,
        project: Name,
        name: Name,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &name, None).await?;
        self.node_call(guards, move |engine| engine.deprovision(by, &project, &name)).await
    }

    async fn node_call(
        &self,
        (guards, subject): (Vec<Guard>, Subject),
        call: impl FnOnce(&Engine) -> Result<(Node, bool), Error> + Send + 'static,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        self.call(subject, guards, move |engine| {
            let (node, existed) = call(engine)?;
            Ok((with_disk(engine, node)?, existed))
        })
        .await
    }

    /// The node that has a MAC address, and its disk.
    ///
    /// # Errors
    /// `invalid-mac`.
    pub async fn node_by_mac(
        &self,
        mac: String,
    ) -> Result<Option<(Node, Option<DiskView>)>, Error> {
        self.blocking(move |engine| {
            engine.node_by_mac(&mac)?.map(|node| with_disk(engine, node)).transpose()
        })
        .await
    }

    /// Gives a disk to a node. Whoever has it is out before the other is in: its sessions have
    /// ended, and its logins are refused. The last answer: the node had it already.
    ///
    /// # Errors
    /// `disk-not-found`, `node-not-found`, `node-bound`, `disk-bound` (to another than `from`),
    /// `owner-not-shut-out`, `busy`, `changed-meanwhile`, `forbidden`.
    pub async fn migrate(
        &self,
        by: Role,
        project: Name,
        disk: Name,
        migration: Migration,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let owner = self.disk(project.clone(), disk.clone()).await?.disk.node;
        let mut nodes: Vec<&Name> = owner.iter().chain([&migration.to]).collect();
        nodes.sort();
        nodes.dedup();
        let mut guards = Vec::new();
        for node in nodes {
            guards.push(self.lock(Noun::Node, &project, node.as_str()).await);
        }
        guards.push(self.lock(Noun::Disk, &project, disk.as_str()).await);
        let subject = Subject::Disk(project.clone(), disk.clone());
        self.node_call((guards, subject), move |engine| {
            if engine.disk(&project, &disk)?.node != owner {
                let message = format!("disk '{disk}' went to another node meanwhile; try again");
                return Err(Error::new(ErrorKind::Conflict, "changed-meanwhile", message));
            }
            engine.migrate(by, &project, &disk, &migration)
        })
        .await
    }

    /// A node and its disk, with the credentials for its boot script. Those that are handed out once
    /// are handed out by this. `patience` is for other calls on the node, not for this one.
    ///
    /// # Errors
    /// `node-not-found`; `secret-delivered`: they were handed out before; `busy`: other calls on the node
    /// take longer; `forbidden`: the disk edits an image, and `by` is no admin.
    pub async fn hand_out_chap(
        &self,
        by: Role,
        project: Name,
        name: Name,
        patience: Duration,
    ) -> Result<(Node, Option<DiskView>), Error> {
        let locked = tokio::time::timeout(patience, self.lock_node(&project, &name, None)).await;
        let (guards, _) = locked.unwrap_or_else(|_| {
            let message = format!("node '{name}' is being worked on; try again");
            Err(Error::new(ErrorKind::Conflict, "busy", message))
        })?;
        self.call(Subject::Nothing, guards, move |engine| {
            let (node, disk) = engine.hand_out_chap(by, &project, &name)?;
            Ok((node, disk.map(|disk| view(engine, disk)).transpose()?))
        })
        .await
    }

    /// Has the credentials of a node handed out once more; with `renew` others, and then the node's
    /// sessions end. The last answer: they had not been handed out.
    ///
    /// # Errors
    /// `node-not-found`; `no-node-secret`: the node has none of its own; `forbidden`: the disk edits
    /// an image, and `by` is no admin.
    pub async fn rearm(
        &self,
        by: Role,
        project: Name,
        name: Name,
        renew: bool,
    ) -> Result<((Node, Option<DiskView>), bool), Error> {
        let guards = self.lock_node(&project, &name, None).await?;
        self.node_call(guards, move |engine| engine.rearm(by, &project, &name, renew)).await
    }
}

pub(super) fn with_disk(engine: &Engine, node: Node) -> Result<(Node, Option<DiskView>), Error> {
    let disk = engine.disk_of(&node)?.map(|disk| view(engine, disk)).transpose()?;
    Ok((node, disk))
}
