//! Commands on nodes.

use std::io::Write;

use crate::control::api::nodes::{Bind, NodePut, Provision, Rearm};

use super::disks::limits;
use super::{Calls, Result, chap_request};
use crate::client::api::Made;
use crate::client::args::{NodeCommand, ProvisionArgs, Sure};
use crate::client::output;

impl Calls<'_, '_> {
    pub(super) async fn node(&mut self, command: NodeCommand) -> Result {
        match command {
            NodeCommand::List { project, mac } => {
                let project = self.maybe(project);
                let answer = self.api.nodes(project.as_deref(), mac.as_deref()).await?;
                self.show(&answer, |console, list| output::nodes(console, &list.items))
            }
            NodeCommand::Show { project, node } => {
                let answer = self.api.node(&self.named(project)?, &node).await?;
                self.show(&answer, output::node)
            }
            NodeCommand::Create { project, node, macs, initiator } => {
                let put = NodePut { macs, initiator };
                let answer = self.api.put_node(&self.named(project)?, &node, &put).await?;
                self.show(&answer, output::node)
            }
            NodeCommand::Remove { project, node } => {
                self.api.remove_node(&self.named(project)?, &node).await?;
                self.note(&format!("node {node} is forgotten"))
            }
            NodeCommand::Bind { project, node, disk } => {
                let answer = self.api.bind(&self.named(project)?, &node, &Bind { disk }).await?;
                self.show(&answer, output::node)
            }
            NodeCommand::Unbind { project, node } => {
                let answer = self.api.unbind(&self.named(project)?, &node).await?;
                self.show(&answer, output::node)
            }
            NodeCommand::Rearm { project, node, renew } => {
                let answer = self.api.rearm(&self.named(project)?, &node, &Rearm { renew }).await?;
                self.show(&answer, output::node)
            }
            NodeCommand::BootArguments { project, node } => {
                let answer = self.api.boot_arguments(&self.named(project)?, &node).await?;
                self.show(&answer, output::boot_arguments)
            }
            NodeCommand::Ip { project, node } => self.addresses(&project, &node).await,
            NodeCommand::Ipxe { project, node } => {
                let script = self.api.ipxe(&self.named(project)?, &node).await?;
                self.console.verbatim(&script)
            }
        }
    }

    pub(super) async fn provision(&mut self, project: &str, args: ProvisionArgs) -> Result {
        let provision = Provision {
            image: args.image,
            size_bytes: args.size,
            qos: limits(&args.qos),
            chap: chap_request(&args.chap),
            encryption: args.encryption.encryption,
        };
        let answer = match self.api.provision(project, &args.node, &provision).await? {
            Made::Now(node) => node,
            Made::Later(job) => return self.follow(*job, &args.encryption.wait).await,
        };
        self.show(&answer, |console, node| {
            let Some(disk) = &node.disk else {
                return console.note(&format!("node {} has no disk", node.name));
            };
            let how = if node.existed == Some(true) { "boots already" } else { "boots now" };
            console
                .note(&format!("node {} {how} from its own clone of {}:", node.name, disk.image))?;
            writeln!(console.out, "{}", output::plain(&disk.boot.uri))?;
            let how = if disk.chap {
                "it demands CHAP; chain the script of"
            } else {
                "type `sanboot` and this line into iPXE, or chain the script of"
            };
            console.note(&format!("{how}: stirrup node ipxe -p {} {}", node.project, node.name))
        })
    }

    pub(super) async fn deprovision(&mut self, project: &str, node: &str, sure: &Sure) -> Result {
        let question = format!(
            "Take the disk of node {node} of project {project} away and remove all that was written to it?"
        );
        self.confirm(sure, &question)?;
        let answer = self.api.deprovision(project, node).await?;
        self.show(&answer, |console, node| {
            console.note(&format!("node {} has no disk any more", node.name))
        })
    }
}
