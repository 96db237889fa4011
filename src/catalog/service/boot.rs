//! Which node a machine is, and what it may be told.

use super::{Catalog, DiskView, Subject, with_disk};
use crate::catalog::engine::Engine;
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::Node;
use crate::catalog::name::Name;

impl Catalog {
    /// The nodes that have one of these MAC addresses (lower case, with colons), each with its disk.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn nodes_by_mac(
        &self,
        macs: Vec<String>,
    ) -> Result<Vec<(Node, Option<DiskView>)>, Error> {
        self.blocking(move |engine| {
            let nodes = engine.nodes_by_mac(&macs)?.into_iter();
            nodes.map(|node| with_disk(engine, node)).collect()
        })
        .await
    }

    /// The nodes of this name, one of each project that has one. Reads all nodes.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn nodes_by_name(&self, name: Name) -> Result<Vec<(Node, Option<DiskView>)>, Error> {
        self.blocking(move |engine| {
            let mut nodes = engine.nodes(None)?;
            nodes.retain(|node| node.name == name);
            nodes.into_iter().map(|node| with_disk(engine, node)).collect()
        })
        .await
    }

    /// Notes that the CHAP secret of a node's disk is given out in a boot script. False if that has
    /// happened before.
    ///
    /// # Errors
    /// `node-not-found`; when the catalog cannot be written.
    pub async fn take_boot_secret(&self, project: Name, name: Name) -> Result<bool, Error> {
        let guard = self.lock(Noun::Node, &project, name.as_str()).await;
        let take = move |engine: &Engine| engine.take_boot_secret(&project, &name);
        self.call(Subject::Nothing, vec![guard], take).await
    }

    /// Has the CHAP secret of a node's disk given out once more.
    ///
    /// # Errors
    /// `node-not-found`.
    pub async fn rearm(
        &self,
        project: Name,
        name: Name,
    ) -> Result<(Node, Option<DiskView>), Error> {
        let guard = self.lock(Noun::Node, &project, name.as_str()).await;
        self.call(Subject::Nothing, vec![guard], move |engine| {
            with_disk(engine, engine.rearm(&project, &name)?)
        })
        .await
    }
}
