//! From arguments to calls, from answers to the console.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;

use crate::control::api::disks::{ChapRequest, DiskCreate, DiskResize, Redirect};
use crate::control::api::nodes::{Bind, NodePut, Provision};
use crate::control::api::sessions::LogoutRequest;

use super::api::{Answer, Api};
use super::args::{
    ChapArgs, Cli, Command, DiskCommand, ImageCommand, IscsiCommand, JobCommand, MaybeProject,
    NewSize, NodeCommand, Project, ProvisionArgs, SessionCommand, Sure, TargetCommand,
};
use super::console::Console;
use super::error::ClientError;
use super::http::Http;
use super::{import, output};

const DEFAULT_SOCKET: &str = "/run/stirrup/stirrup.sock";

type Result = std::result::Result<(), ClientError>;

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) socket: Option<PathBuf>,
    pub(super) project: Option<String>,
}

impl Environment {
    pub(super) fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            socket: variable("STIRRUP_SOCKET").map(PathBuf::from),
            project: variable("STIRRUP_PROJECT").map(|v| v.to_string_lossy().into_owned()),
        }
    }
}

/// Does what the arguments say.
pub(super) async fn run(cli: Cli, environment: &Environment, console: &mut Console<'_>) -> Result {
    let socket = cli
        .global
        .socket
        .or_else(|| environment.socket.clone())
        .unwrap_or_else(|| DEFAULT_SOCKET.into());
    let http = Http::new(socket, Duration::from_secs(cli.global.timeout));
    let calls = Calls { api: Api::new(http), json: cli.global.json, environment, console };
    calls.run(cli.command).await
}

struct Calls<'a, 'c> {
    api: Api,
    json: bool,
    environment: &'a Environment,
    console: &'a mut Console<'c>,
}

impl<'c> Calls<'_, 'c> {
    async fn run(mut self, command: Command) -> Result {
        match command {
            Command::Import { project, import } => {
                import::run(&self.api, self.json, &project, &import, self.console).await
            }
            Command::Ls { project } => self.images(Some(&project)).await,
            Command::Pro { project, provision } => self.provision(&project, provision).await,
            Command::Dpro { project, node, sure } => self.deprovision(&project, &node, &sure).await,
            Command::Showpro { project } => {
                let answer = self.api.disks(Some(&project)).await?;
                self.show(&answer, |console, list| output::provisioned(console, &list.items))
            }
            Command::Rm { project, image, sure } => {
                self.remove_image(&project, &image, &sure).await
            }
            Command::Iscsi(IscsiCommand::Ls) | Command::Target(TargetCommand::List) => {
                let answer = self.api.targets().await?;
                self.show(&answer, |console, list| output::targets(console, &list.items))
            }
            Command::Target(TargetCommand::Show { target }) => {
                let answer = self.api.target(&target).await?;
                self.show(&answer, output::target)
            }
            Command::Target(TargetCommand::Drain { target, seconds }) => {
                let request = LogoutRequest { seconds: Some(seconds) };
                let answer = self.api.drain(&target, &request).await?;
                self.show(&answer, |console, drained| {
                    let sessions = drained.sessions;
                    console.note(&format!("{sessions} sessions have {seconds} s to log out"))
                })
            }
            Command::Node(command) => self.node(command).await,
            Command::Image(command) => self.image(command).await,
            Command::Disk(command) => self.disk(command).await,
            Command::Session(command) => self.session(command).await,
            Command::Job(command) => self.job(command).await,
            Command::Health => self.health().await,
            Command::Version => self.version().await,
            Command::Completion { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "stirrup", &mut script);
                Ok(self.console.out.write_all(&script)?)
            }
        }
    }

    async fn image(&mut self, command: ImageCommand) -> Result {
        match command {
            ImageCommand::List(project) => {
                let project = self.maybe(project);
                self.images(project.as_deref()).await
            }
            ImageCommand::Show { project, image } => {
                let answer = self.api.image(&self.named(project)?, &image).await?;
                self.show(&answer, output::image)
            }
            ImageCommand::Profile { project, image, forget: false } => {
                let answer = self.api.boot_profile(&self.named(project)?, &image).await?;
                self.show(&answer, output::boot_profile)
            }
            ImageCommand::Profile { project, image, forget: true } => {
                self.api.forget_boot_profile(&self.named(project)?, &image).await?;
                self.note(&format!("the boot profile of image {image} is forgotten"))
            }
            ImageCommand::Import { project, import } => {
                let project = self.named(project)?;
                import::run(&self.api, self.json, &project, &import, self.console).await
            }
            ImageCommand::Remove { project, image, sure } => {
                let project = self.named(project)?;
                self.remove_image(&project, &image, &sure).await
            }
        }
    }

    async fn images(&mut self, project: Option<&str>) -> Result {
        let answer = self.api.images(project).await?;
        self.show(&answer, |console, list| output::images(console, &list.items))
    }

    async fn remove_image(&mut self, project: &str, image: &str, sure: &Sure) -> Result {
        self.confirm(sure, &format!("Remove image {image} of project {project} for good?"))?;
        self.api.remove_image(project, image).await?;
        self.note(&format!("image {image} is removed"))
    }

    async fn disk(&mut self, command: DiskCommand) -> Result {
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
                lun,
                initiators,
                addresses,
                portal_groups,
                chap,
            } => {
                let chap = chap_request(&chap);
                let create = DiskCreate { image, lun, initiators, addresses, chap, portal_groups };
                let answer = self.api.create_disk(&self.named(project)?, &disk, &create).await?;
                self.show(&answer, output::disk)
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

    async fn node(&mut self, command: NodeCommand) -> Result {
        match command {
            NodeCommand::List(project) => {
                let answer = self.api.nodes(self.maybe(project).as_deref()).await?;
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
            NodeCommand::Ipxe { project, node } => {
                let script = self.api.ipxe(&self.named(project)?, &node).await?;
                self.console.verbatim(&script)
            }
        }
    }

    async fn provision(&mut self, project: &str, args: ProvisionArgs) -> Result {
        let provision = Provision { image: args.image, chap: chap_request(&args.chap) };
        let answer = self.api.provision(project, &args.node, &provision).await?;
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

    async fn deprovision(&mut self, project: &str, node: &str, sure: &Sure) -> Result {
        let question = format!(
            "Take the disk of node {node} of project {project} away and remove all that was written to it?"
        );
        self.confirm(sure, &question)?;
        let answer = self.api.deprovision(project, node).await?;
        self.show(&answer, |console, node| {
            console.note(&format!("node {} has no disk any more", node.name))
        })
    }

    async fn session(&mut self, command: SessionCommand) -> Result {
        match command {
            SessionCommand::List { target } => {
                let answer = self.api.sessions(target.as_deref()).await?;
                self.show(&answer, |console, list| output::sessions(console, &list.items))
            }
            SessionCommand::Logout { id, seconds } => {
                self.api.logout(id, &LogoutRequest { seconds: Some(seconds) }).await?;
                self.note(&format!("session {id} has {seconds} s to log out"))
            }
            SessionCommand::Kill { id } => {
                self.api.kill_session(id).await?;
                self.note(&format!("session {id} is ended"))
            }
        }
    }

    async fn job(&mut self, command: JobCommand) -> Result {
        match command {
            JobCommand::List => {
                let answer = self.api.jobs().await?;
                self.show(&answer, |console, list| output::jobs(console, &list.items))
            }
            JobCommand::Show { id } => {
                let answer = self.api.job(id).await?;
                self.show(&answer, output::job)
            }
            JobCommand::Cancel { id } => {
                let answer = self.api.cancel_job(id).await?;
                self.show(&answer, |console, job| {
                    console.note(&format!("job {} is asked to stop", job.id))
                })
            }
        }
    }

    async fn health(&mut self) -> Result {
        let answer = self.api.health().await?;
        let well = answer.value.status == "ok";
        self.show(&answer, output::health)?;
        if well { Ok(()) } else { Err(ClientError::Degraded) }
    }

    async fn version(&mut self) -> Result {
        if !self.json {
            writeln!(self.console.out, "stirrup  {}", env!("CARGO_PKG_VERSION"))?;
        }
        let answer = self.api.version().await?;
        self.show(&answer, |console, version| {
            let line = format!("stirrupd {} (API {})", version.version, version.api);
            Ok(writeln!(console.out, "{}", output::plain(&line))?)
        })
    }

    /// An answer as JSON, or as `people` shows it.
    fn show<T>(
        &mut self,
        answer: &Answer<T>,
        people: impl FnOnce(&mut Console<'c>, &T) -> Result,
    ) -> Result {
        if self.json {
            self.console.verbatim(&answer.json)
        } else {
            people(self.console, &answer.value)
        }
    }

    /// Says what was done when the API has nothing to say.
    fn note(&mut self, text: &str) -> Result {
        if self.json { Ok(()) } else { self.console.note(text) }
    }

    fn confirm(&mut self, sure: &Sure, question: &str) -> Result {
        if sure.yes { Ok(()) } else { self.console.confirm(question) }
    }

    fn named(&self, project: Project) -> std::result::Result<String, ClientError> {
        project.project.or_else(|| self.environment.project.clone()).ok_or(ClientError::NoProject)
    }

    fn maybe(&self, project: MaybeProject) -> Option<String> {
        project.project.or_else(|| self.environment.project.clone())
    }
}

fn chap_request(args: &ChapArgs) -> Option<ChapRequest> {
    args.chap.then(|| ChapRequest { mutual: args.mutual_chap, ..ChapRequest::default() })
}
