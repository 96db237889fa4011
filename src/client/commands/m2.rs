//! Commands that are there for those who know M2's.

use std::io::Write;

use crate::control::api::disks::DiskCreate;

use super::{Calls, Result};
use crate::client::api::Made;
use crate::client::args::{IscsiCommand, Sure, Wait};
use crate::client::output;

impl Calls<'_, '_> {
    pub(super) async fn iscsi(&mut self, command: IscsiCommand) -> Result {
        match command {
            IscsiCommand::Create { project, image, disk } => {
                let name = disk.as_ref().unwrap_or(&image);
                let create =
                    DiskCreate { image: Some(image.clone()), edit: true, ..Default::default() };
                let answer = match self.api.create_disk(&project, name, &create).await? {
                    Made::Now(disk) => disk,
                    Made::Later(job) => return self.follow(*job, &Wait { no_wait: false }).await,
                };
                self.show(&answer, |console, disk| {
                    console.note(&format!("image {image} itself is exported:"))?;
                    Ok(writeln!(console.out, "{}", output::plain(&disk.boot.uri))?)
                })
            }
            IscsiCommand::Rm { project, disk, sure } => {
                self.end_editing(&project, &disk, &sure).await
            }
            IscsiCommand::Ls { project: None } => {
                let answer = self.api.targets().await?;
                self.show(&answer, |console, list| output::targets(console, &list.items))
            }
            IscsiCommand::Ls { project } => {
                let answer = self.api.disks(project.as_deref()).await?;
                self.show(&answer, |console, list| output::disks(console, &list.items))
            }
        }
    }

    /// Takes away a disk that is an image itself, and no other: that would lose what was written.
    async fn end_editing(&mut self, project: &str, name: &str, sure: &Sure) -> Result {
        let disk = self.api.disk(project, name).await?.value;
        let question = if disk.edits {
            format!("Export image {} of project {project} no more?", disk.image)
        } else {
            format!("Disk {name} is a clone. Remove it and all that was written to it?")
        };
        self.confirm(sure, &question)?;
        self.api.remove_disk(project, name).await?;
        self.note(&format!("{name} is not exported any more"))
    }

    /// The addresses from which a node is logged in to its disk.
    pub(super) async fn addresses(&mut self, project: &str, node: &str) -> Result {
        let node = self.api.node(project, node).await?.value;
        let Some(disk) = &node.disk else {
            return self.note(&format!("node {} has no disk", node.name));
        };
        let answer = self.api.sessions(Some(&disk.boot.iqn)).await?;
        self.show(&answer, |console, list| {
            let address = |address: &str| Some(address.rsplit_once(':')?.0.to_owned());
            let mut addresses: Vec<String> =
                list.items.iter().filter_map(|session| address(&session.address)).collect();
            addresses.sort();
            addresses.dedup();
            if addresses.is_empty() {
                return console.note(&format!("node {} is not logged in", node.name));
            }
            for address in addresses {
                writeln!(console.out, "{}", output::plain(&address))?;
            }
            Ok(())
        })
    }

    /// Images and disks, with their names in the store.
    pub(super) async fn rows(
        &mut self,
        project: Option<&str>,
        name: Option<&str>,
        backing: Option<&str>,
    ) -> Result {
        let images = self.api.images(project).await?;
        if self.json {
            self.console.verbatim(&images.json)?;
        }
        let disks = self.api.disks(project).await?;
        if self.json {
            return self.console.verbatim(&disks.json);
        }
        let wanted = |of: &str, in_store: &str| {
            name.is_none_or(|name| name == of) && backing.is_none_or(|backing| backing == in_store)
        };
        let (mut images, mut disks) = (images.value.items, disks.value.items);
        images.retain(|image| wanted(&image.name, &image.backing));
        disks.retain(|disk| wanted(&disk.name, &disk.backing));
        output::rows(self.console, &images, &disks)
    }
}
