//! From arguments to calls, from answers to the console.

mod disks;
mod m2;
mod nodes;

use std::io::Write;
use std::time::Duration;

use clap::CommandFactory;

use crate::config::nearest;
use crate::control::api::access::TokenCreate;
use crate::control::api::certificates::CertificatePut;
use crate::control::api::disks::ChapRequest;
use crate::control::api::images::{ImageCopy, ImageExport, ImageRename};
use crate::control::api::jobs::Job;
use crate::control::api::problem::Problem;
use crate::control::api::projects::ProjectPut;
use crate::control::api::sessions::LogoutRequest;

use super::api::{Answer, Api};
use super::args::{
    CertificateCommand, ChapArgs, Cli, Command, CopyArgs, DbCommand, DownloadArgs, ExportArgs,
    ImageCommand, JobCommand, MaybeProject, OneTag, Project, ProjectCommand, SessionCommand,
    SnapCommand, Sure, TagCommand, TargetCommand, TokenCommand, Wait,
};
use super::console::Console;
use super::environment::Environment;
use super::error::ClientError;
use super::http::Http;
use super::place::Place;
use super::{download, events, import, output, ssh, upload};

type Result = std::result::Result<(), ClientError>;

/// Does what the arguments say.
pub(super) async fn run(cli: Cli, environment: &Environment, console: &mut Console<'_>) -> Result {
    let given = &cli.global.connection;
    let timeout = Duration::from_secs(cli.global.timeout);
    let (place, means) = (environment.place(given)?, environment.means(given)?);
    let http = Http::new(place, means, timeout, environment.token(given)?);
    let mut calls = Calls { api: Api::new(http), json: cli.global.json, environment, console };
    match calls.run(cli.command).await {
        Err(ClientError::Problem(problem)) => Err(calls.spelling(problem).await),
        other => other,
    }
}

struct Calls<'a, 'c> {
    api: Api,
    json: bool,
    environment: &'a Environment,
    console: &'a mut Console<'c>,
}

impl<'c> Calls<'_, 'c> {
    async fn run(&mut self, command: Command) -> Result {
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
            Command::Export { project, export } => self.export(&project, export).await,
            Command::Upload { project, upload } => {
                upload::run(&self.api, self.json, &project, &upload, self.console).await
            }
            Command::Download { project, download } => self.download(&project, &download).await,
            Command::Cp { src_project, image, dest_project, copy } => {
                let (name, tag) = at_tag(&image);
                let copy = ImageCopy {
                    name: copy.unwrap_or_else(|| name.clone()),
                    project: Some(dest_project),
                    tag,
                    store: None,
                };
                let asked = self.api.copy_image(&src_project, &name, &copy).await?;
                self.follow(asked, &Wait { no_wait: false }).await
            }
            Command::Mv { src_project, image, dest_project, name } => {
                let rename = ImageRename { name, project: Some(dest_project) };
                let answer = self.api.rename_image(&src_project, &image, &rename).await?;
                self.show(&answer, output::image)
            }
            Command::Snap(command) => self.snap(command).await,
            Command::Iscsi(command) => self.iscsi(command).await,
            Command::Db(DbCommand::Ls { project, name, ceph }) => {
                self.rows(project.as_deref(), name.as_deref(), ceph.as_deref()).await
            }
            Command::Target(TargetCommand::List) => {
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
            Command::Events(args) => events::run(&self.api, self.json, &args, self.console).await,
            Command::Project(command) => self.project(command).await,
            Command::Token(command) => self.token(command).await,
            Command::Certificate(command) => self.certificate(command).await,
            Command::DialStdio => match self.api.place() {
                Place::Socket(path) => ssh::relay(path).map_err(|cause| ClientError::Unreachable {
                    place: self.api.place().clone(),
                    cause,
                }),
                other => {
                    Err(ClientError::Usage(format!("dial-stdio is for a socket, not {other}")))
                }
            },
            Command::Audit { limit } => {
                let answer = self.api.audit(limit).await?;
                self.show(&answer, |console, list| output::audit(console, &list.items))
            }
            Command::Whoami => {
                let answer = self.api.whoami().await?;
                self.show(&answer, output::whoami)
            }
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
                let project = self.named(project)?;
                let answer = self.api.image(&project, &image).await?;
                self.show(&answer, output::image)?;
                if self.json || answer.value.state != "uploading" {
                    return Ok(());
                }
                let upload = self.api.upload(&project, &image).await?;
                self.show(&upload, output::upload)
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
            ImageCommand::Upload { project, upload } => {
                let project = self.named(project)?;
                upload::run(&self.api, self.json, &project, &upload, self.console).await
            }
            ImageCommand::Abandon { project, image } => {
                self.api.abandon_upload(&self.named(project)?, &image).await?;
                self.note(&format!("the upload of image {image} is given up"))
            }
            ImageCommand::Export { project, export } => {
                let project = self.named(project)?;
                self.export(&project, export).await
            }
            ImageCommand::Public { project, image } => {
                let answer = self.api.publish_image(&self.named(project)?, &image, true).await?;
                self.show(&answer, output::image)
            }
            ImageCommand::Private { project, image } => {
                let answer = self.api.publish_image(&self.named(project)?, &image, false).await?;
                self.show(&answer, output::image)
            }
            ImageCommand::Copy { project, image, name, copy } => {
                let (image, tag) = at_tag(&image);
                let asked = self
                    .api
                    .copy_image(&self.named(project)?, &image, &to(name, tag, &copy))
                    .await?;
                self.follow(asked, &copy.wait).await
            }
            ImageCommand::Rename { project, image, name, to_project } => {
                let rename = ImageRename { name: Some(name), project: to_project };
                let answer = self.api.rename_image(&self.named(project)?, &image, &rename).await?;
                self.show(&answer, output::image)
            }
            ImageCommand::Protect { project, image } => {
                let answer = self.api.protect_image(&self.named(project)?, &image, true).await?;
                self.show(&answer, output::image)
            }
            ImageCommand::Unprotect { project, image } => {
                let answer = self.api.protect_image(&self.named(project)?, &image, false).await?;
                self.show(&answer, output::image)
            }
            ImageCommand::Default { project, image, tag } => {
                let answer = self.api.set_default_tag(&self.named(project)?, &image, tag).await?;
                self.show(&answer, output::image)
            }
            ImageCommand::Tag(command) => self.tag("images", command).await,
            ImageCommand::Download { project, download } => {
                let project = self.named(project)?;
                self.download(&project, &download).await
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

    async fn export(
        &mut self,
        project: &str,
        ExportArgs { image, to, wait }: ExportArgs,
    ) -> Result {
        let (image, tag) = at_tag(&image);
        let export = match to.strip_prefix(import::POOL_IMAGE) {
            Some(image) => {
                ImageExport { rbd: Some(image.to_owned()), tag, ..ImageExport::default() }
            }
            None => {
                let file = std::path::absolute(&to)?.to_string_lossy().into_owned();
                ImageExport { file: Some(file), tag, ..ImageExport::default() }
            }
        };
        let asked = self.api.export_image(project, &image, &export).await?;
        self.follow(asked, &wait).await
    }

    async fn download(&mut self, project: &str, args: &DownloadArgs) -> Result {
        download::run(&self.api, project, &args.image, &args.file, self.console).await
    }

    async fn remove_image(&mut self, project: &str, image: &str, sure: &Sure) -> Result {
        self.confirm(sure, &format!("Remove image {image} of project {project} for good?"))?;
        self.api.remove_image(project, image).await?;
        self.note(&format!("image {image} is removed"))
    }

    async fn snap(&mut self, command: SnapCommand) -> Result {
        match command {
            SnapCommand::Create { project, disk, snap } => {
                let (disk, tag) = at_tag(&disk);
                let copy = ImageCopy { name: snap, tag, ..ImageCopy::default() };
                let asked = self.api.copy_disk(&project, &disk, &copy).await?;
                self.follow(asked, &Wait { no_wait: false }).await
            }
            SnapCommand::Ls { project } => {
                let answer = self.api.images(Some(&project)).await?;
                self.show(&answer, |console, list| output::snaps(console, &list.items))
            }
            SnapCommand::Rm { project, snap, sure } => {
                self.remove_image(&project, &snap, &sure).await
            }
        }
    }

    /// Tags of an image or a disk; `kind` is `images` or `disks`.
    async fn tag(&mut self, kind: &str, command: TagCommand) -> Result {
        match command {
            TagCommand::List { project, name } => {
                let answer = self.api.tags(&self.named(project)?, kind, &name).await?;
                self.show(&answer, |console, list| output::tags(console, &list.items))
            }
            TagCommand::Show(OneTag { project, name, tag }) => {
                let answer = self.api.tag([&self.named(project)?, kind, &name, &tag]).await?;
                self.show(&answer, output::tag)
            }
            TagCommand::Create { tag, protect } => {
                self.put_tag(kind, tag, protect.then_some(true)).await
            }
            TagCommand::Protect(tag) => self.protect_tag(kind, tag, true).await,
            TagCommand::Unprotect(tag) => self.protect_tag(kind, tag, false).await,
            TagCommand::Remove { tag: OneTag { project, name, tag }, sure } => {
                let project = self.named(project)?;
                let question = format!("Remove tag {tag} of {name} of project {project} for good?");
                self.confirm(&sure, &question)?;
                self.api.remove_tag([&project, kind, &name, &tag]).await?;
                self.note(&format!("tag {tag} of {name} is removed"))
            }
        }
    }

    /// A tag that is not there is not made by this.
    async fn protect_tag(&mut self, kind: &str, tag: OneTag, protected: bool) -> Result {
        let project = self.named(Project { project: tag.project.project.clone() })?;
        self.api.tag([&project, kind, &tag.name, &tag.tag]).await?;
        self.put_tag(kind, tag, Some(protected)).await
    }

    async fn put_tag(&mut self, kind: &str, tag: OneTag, protected: Option<bool>) -> Result {
        let OneTag { project, name, tag } = tag;
        let place = [&self.named(project)?, kind, &name, &tag];
        let answer = self.api.put_tag(place, protected).await?;
        self.show(&answer, output::tag)
    }

    async fn follow(&mut self, asked: Answer<Job>, wait: &Wait) -> Result {
        import::follow(&self.api, self.json, asked, wait, self.console).await
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
            JobCommand::Wait { id } => {
                let job = self.api.job(id).await?;
                import::wait(&self.api, self.json, job, self.console).await
            }
            JobCommand::Cancel { id } => {
                let answer = self.api.cancel_job(id).await?;
                self.show(&answer, |console, job| {
                    console.note(&format!("job {} is asked to stop", job.id))
                })
            }
        }
    }

    async fn project(&mut self, command: ProjectCommand) -> Result {
        match command {
            ProjectCommand::List => {
                let answer = self.api.projects().await?;
                self.show(&answer, |console, list| output::projects(console, &list.items))
            }
            ProjectCommand::Show { name } => {
                let answer = self.api.project(&name).await?;
                self.show(&answer, output::project)
            }
            ProjectCommand::Create {
                name,
                disks,
                bytes,
                nodes,
                portal_groups,
                store,
                image,
                disk_size,
                qos,
            } => {
                let put = ProjectPut {
                    disks,
                    bytes,
                    nodes,
                    portal_groups,
                    store,
                    image,
                    disk_bytes: disk_size,
                    qos: disks::limits(&qos),
                };
                let answer = self.api.put_project(&name, &put).await?;
                self.show(&answer, output::project)
            }
            ProjectCommand::Remove { name } => {
                self.api.remove_project(&name).await?;
                self.note(&format!("project {name} is removed"))
            }
        }
    }

    async fn token(&mut self, command: TokenCommand) -> Result {
        match command {
            TokenCommand::List => {
                let answer = self.api.tokens().await?;
                self.show(&answer, |console, list| output::tokens(console, &list.items))
            }
            TokenCommand::Create { name, role, project, days } => {
                let expires_in_seconds = days.map(|days| days * 86_400);
                let create = TokenCreate { role, project, expires_in_seconds };
                let answer = self.api.make_token(&name, &create).await?;
                self.show(&answer, |console, made| {
                    console.note(&format!("token {}, which is not shown again:", made.name))?;
                    let text = made.token.as_deref().unwrap_or_default();
                    Ok(writeln!(console.out, "{}", output::plain(text))?)
                })
            }
            TokenCommand::Remove { name } => {
                self.api.remove_token(&name).await?;
                self.note(&format!("token {name} is worth nothing any more"))
            }
        }
    }

    async fn certificate(&mut self, command: CertificateCommand) -> Result {
        match command {
            CertificateCommand::List => {
                let answer = self.api.certificates().await?;
                self.show(&answer, |console, list| output::certificates(console, &list.items))
            }
            CertificateCommand::Create { name, role, project } => {
                let put = CertificatePut { role, project };
                let answer = self.api.put_certificate(&name, &put).await?;
                self.show(&answer, |console, named| {
                    console.note(&format!("certificate {}: {}", named.name, named.role))
                })
            }
            CertificateCommand::Remove { name } => {
                self.api.remove_certificate(&name).await?;
                self.note(&format!("the holder of certificate {name} may do nothing any more"))
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

    /// What may have been meant by a name that there is not.
    async fn spelling(&self, problem: Box<Problem>) -> ClientError {
        let mut words = problem.detail.split('\'');
        // `no image 'debain' in project 'demo'`
        let (_, name, _, project) = (words.next(), words.next(), words.next(), words.next());
        let names: Option<Vec<String>> = match problem.code.as_str() {
            "image-not-found" => self
                .api
                .images(project)
                .await
                .ok()
                .map(|list| list.value.items.into_iter().map(|image| image.name).collect()),
            "disk-not-found" => self
                .api
                .disks(project)
                .await
                .ok()
                .map(|list| list.value.items.into_iter().map(|disk| disk.name).collect()),
            "node-not-found" => self
                .api
                .nodes(project, None)
                .await
                .ok()
                .map(|list| list.value.items.into_iter().map(|node| node.name).collect()),
            _ => None,
        };
        let names = names.unwrap_or_default();
        let near = name.and_then(|name| nearest(name, names.iter().map(String::as_str)));
        match near.map(str::to_owned) {
            Some(near) => ClientError::Misspelt(problem, near),
            None => ClientError::Problem(problem),
        }
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

/// `NAME` or `NAME@TAG`.
fn at_tag(text: &str) -> (String, Option<String>) {
    match text.split_once('@') {
        Some((name, tag)) => (name.to_owned(), Some(tag.to_owned())),
        None => (text.to_owned(), None),
    }
}

fn to(name: String, tag: Option<String>, args: &CopyArgs) -> ImageCopy {
    ImageCopy { name, project: args.to_project.clone(), tag, store: args.store.clone() }
}

fn chap_request(args: &ChapArgs) -> Option<ChapRequest> {
    let wanted = args.chap || args.chap_per_node.is_some();
    let per_node = args.chap_per_node.clone();
    wanted.then(|| ChapRequest { mutual: args.mutual_chap, per_node, ..ChapRequest::default() })
}
