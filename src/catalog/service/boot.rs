//! Which node a machine is.

use super::nodes::with_disk;
use super::{Catalog, DiskView};
use crate::catalog::error::Error;
use crate::catalog::model::Node;
use crate::catalog::name::Name;

impl Catalog {
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
}
