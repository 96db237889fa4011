//! Commands on disks.

use crate::control::api::disks::{ChapRequest, DiskCreate, DiskResize, DiskRollback, Redirect};
use crate::control::api::nodes::Migrate;
use crate::control::api::settings::{DiskChange, Qos};

use super::{Calls, Result, at_tag, chap_request, to};
use crate::client::api::Made;
use crate::client::args::{DiskCommand, DiskSetArgs, NewSize, OneDisk, QosArgs};
use crate::client::output;

impl Calls<'_, '_> {
    pub(super) async fn disk(&mut self, command: DiskCommand) -> Result {
        match command {
            DiskCommand::List(project) => {
                let answer = self.api.disks(self.maybe(project).as_deref()).await?;
                self.show(&answer, |console, list| output::disks(console, &list.items))
            }
            DiskCommand::Show { project, disk } => {
                let answer = self.api.disk(&self.named(project)?, &disk).await?;
                self.show(&answer, output::disk)
            }
            DiskCommand::Create {
                project,
                disk,
                image,
                size,
                edit,
                lun,
                initiators,
                addresses,
                portal_groups,
                read_only,
                qos,
                chap,
                encryption,
            } => {
                let chap = chap_request(&chap);
                let read_only = read_only.then_some(true);
                let qos = limits(&qos);
                let create = DiskCreate {
                    image,
                    size_bytes: size,
                    edit,
                    lun,
                    initiators,
                    addresses,
                    chap,
                    portal_groups,
                    read_only,
                    qos,
                    encryption: encryption.encryption,
                };
                match self.api.create_disk(&self.named(project)?, &disk, &create).await? {
                    Made::Now(disk) => self.show(&disk, output::disk),
                    Made::Later(job) => self.follow(*job, &encryption.wait).await,
                }
            }
            DiskCommand::Set(set) => self.set(set).await,
            DiskCommand::Qos { project, disk, qos, none } => {
                let (project, qos) = (self.named(project)?, limits(&qos));
                if qos.is_none() && !none {
                    let answer = self.api.disk(&project, &disk).await?;
                    return self.show(&answer, output::qos);
                }
                let change = DiskChange { qos: Some(qos), ..DiskChange::default() };
                let answer = self.api.change_disk(&project, &disk, &change).await?;
                self.show(&answer, output::qos)
            }
            DiskCommand::Enable(disk) | DiskCommand::Expose(disk) => {
                self.expose(disk, "enabled").await
            }
            DiskCommand::Disable(disk) => self.expose(disk, "disabled").await,
            DiskCommand::Unexpose(disk) => self.expose(disk, "unexposed").await,
            DiskCommand::Migrate { project, disk, node, from, force } => {
                let migrate = Migrate { node, from, force };
                let answer = self.api.migrate(&self.named(project)?, &disk, &migrate).await?;
                self.show(&answer, output::node)
            }
            DiskCommand::Redirect { project, disk, address, permanently } => {
                let redirect = Redirect { address, permanently };
                let project = self.named(project)?;
                let answer = self.api.redirect_disk(&project, &disk, Some(&redirect)).await?;
                self.show(&answer, output::disk)
            }
            DiskCommand::Recall { project, disk } => {
                let answer = self.api.redirect_disk(&self.named(project)?, &disk, None).await?;
                self.show(&answer, output::disk)
            }
            DiskCommand::Resize { project, disk, size } => {
                let project = self.named(project)?;
                let size_bytes = match size {
                    NewSize::Bytes(bytes) => bytes,
                    NewSize::More(more) => {
                        let now = self.api.disk(&project, &disk).await?.value.size_bytes;
                        now.saturating_add(more)
                    }
                };
                let resize = DiskResize { size_bytes };
                let answer = self.api.resize_disk(&project, &disk, &resize).await?;
                self.show(&answer, output::disk)
            }
            DiskCommand::Tag(command) => self.tag("disks", command).await,
            DiskCommand::Rollback { project, disk, tag, force, wait, sure } => {
                let project = self.named(project)?;
                let question = format!(
                    "Take disk {disk} of project {project} back to {tag}, and lose what was written since?"
                );
                self.confirm(&sure, &question)?;
                let rollback = DiskRollback { tag, force };
                let asked = self.api.rollback(&project, &disk, &rollback).await?;
                self.follow(asked, &wait).await
            }
            DiskCommand::Flatten { project, disk, wait } => {
                let asked = self.api.flatten(&self.named(project)?, &disk).await?;
                self.follow(asked, &wait).await
            }
            DiskCommand::Snapshot { project, disk, name, copy } => {
                let (disk, tag) = at_tag(&disk);
                let asked =
                    self.api.copy_disk(&self.named(project)?, &disk, &to(name, tag, &copy)).await?;
                self.follow(asked, &copy.wait).await
            }
            DiskCommand::Remove { project, disk, sure } => {
                let project = self.named(project)?;
                let question = format!(
                    "Remove disk {disk} of project {project} and all that was written to it?"
                );
                self.confirm(&sure, &question)?;
                self.api.remove_disk(&project, &disk).await?;
                self.note(&format!("disk {disk} is removed"))
            }
        }
    }

    async fn set(&mut self, args: DiskSetArgs) -> Result {
        fn list<T>(given: Vec<T>, none: bool) -> Option<Vec<T>> {
            (none || !given.is_empty()).then_some(given)
        }
        let chap = args.chap || args.chap_per_node.is_some();
        let chap = chap.then(|| ChapRequest {
            mutual: args.mutual_chap,
            per_node: args.chap_per_node,
            renew: args.renew_chap,
            ..ChapRequest::default()
        });
        let change = DiskChange {
            initiators: list(args.initiators, args.no_initiators),
            addresses: list(args.addresses, args.any_address),
            portal_groups: list(args.portal_groups, args.all_portal_groups),
            chap: (chap.is_some() || args.no_chap).then_some(chap),
            read_only: (args.read_only || args.read_write).then_some(args.read_only),
            ..DiskChange::default()
        };
        let project = self.named(args.one.project)?;
        let answer = self.api.change_disk(&project, &args.one.disk, &change).await?;
        self.show(&answer, output::disk)
    }

    async fn expose(&mut self, OneDisk { project, disk }: OneDisk, exposure: &str) -> Result {
        let change = DiskChange { exposure: Some(exposure.to_owned()), ..DiskChange::default() };
        let answer = self.api.change_disk(&self.named(project)?, &disk, &change).await?;
        self.show(&answer, output::disk)
    }
}

/// The limits that were given, if any were.
pub(super) fn limits(args: &QosArgs) -> Option<Qos> {
    let qos = Qos {
        iops: args.iops,
        bytes_per_second: args.bandwidth,
        read_iops: args.read_iops,
        read_bytes_per_second: args.read_bandwidth,
        write_iops: args.write_iops,
        write_bytes_per_second: args.write_bandwidth,
        burst_seconds: args.burst,
    };
    (qos != Qos::default()).then_some(qos)
}
