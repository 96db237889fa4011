//! The arguments of `stirrup`.

mod access;
mod images;
mod size;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

pub(super) use access::{ProjectCommand, TokenCommand};
pub(super) use images::{ImageCommand, ImportArgs, UploadArgs};
pub(super) use size::NewSize;

const EXAMPLES: &str = "\
Examples:
  stirrup import demo debian ./debian.qcow2   import a golden image into project demo
  stirrup pro demo node1 debian               give node1 its own clone; prints what to boot from
  stirrup showpro demo                        who boots what
  stirrup dpro demo node1                     take it away again

Environment: STIRRUP_SOCKET stands for --socket, STIRRUP_PROJECT for --project, STIRRUP_TOKEN is a token;
NO_COLOR is heeded.
Exit codes: 0 done, 1 failed (standard error says why and what to try), 2 bad arguments.";

/// Golden images and each machine's copy-on-write clone of them, served over iSCSI.
#[derive(Debug, Parser)]
#[command(
    name = "stirrup",
    version,
    after_help = EXAMPLES,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The control socket of stirrupd [default: /run/stirrup/stirrup.sock]
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(super) socket: Option<PathBuf>,
    /// File with the token to use; without one it is your user who asks
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(super) token_file: Option<PathBuf>,
    /// Print the answer of the API as it is (JSON)
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Give up when there is no answer for so long
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 90,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Import a golden image from a raw or qcow2 file
    Import {
        /// Project that gets the image
        project: String,
        #[command(flatten)]
        import: ImportArgs,
    },
    /// List the images of a project
    Ls {
        /// Project
        project: String,
    },
    /// Provision: give a node its own clone of an image
    Pro {
        /// Project
        project: String,
        #[command(flatten)]
        provision: ProvisionArgs,
    },
    /// Deprovision: take a node's disk away and remove it
    Dpro {
        /// Project
        project: String,
        /// Node
        node: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Show which nodes are provisioned, and with what
    Showpro {
        /// Project
        project: String,
    },
    /// Remove an image
    Rm {
        /// Project
        project: String,
        /// Image
        image: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Copy an image, within a project or to another one
    Cp {
        /// Project of the image
        src_project: String,
        /// Image to copy, as IMAGE or IMAGE@TAG
        image: String,
        /// Project of the copy
        dest_project: String,
        /// Name of the copy; the same when not given
        copy: Option<String>,
    },
    /// Give an image another name, or another project
    Mv {
        /// Project of the image
        src_project: String,
        /// Image
        image: String,
        /// Its new project
        dest_project: String,
        /// Its new name; the same when not given
        name: Option<String>,
    },
    /// Images made of disks
    #[command(subcommand)]
    Snap(SnapCommand),
    /// What is exported over iSCSI
    #[command(subcommand)]
    Iscsi(IscsiCommand),
    /// Nodes: bare-metal machines and what they boot from
    #[command(subcommand)]
    Node(NodeCommand),
    /// Images: golden images that disks are cloned from
    #[command(subcommand)]
    Image(ImageCommand),
    /// Disks: clones of images, each exported by its own target
    #[command(subcommand)]
    Disk(DiskCommand),
    /// Targets, as initiators see them
    #[command(subcommand)]
    Target(TargetCommand),
    /// Sessions: initiators that are logged in
    #[command(subcommand)]
    Session(SessionCommand),
    /// Jobs: imports, copies and the like, under way and ended
    #[command(subcommand)]
    Job(JobCommand),
    /// Projects: tenants, what they have and what they may have
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Tokens: who may do what without being a user of the gateway
    #[command(subcommand)]
    Token(TokenCommand),
    /// Who did what, newest first
    Audit {
        /// Most entries
        #[arg(long, value_name = "N", default_value_t = 100,
              value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
    /// Who you are for stirrupd, and what you may do
    Whoami,
    /// Whether the daemon can do its work; exit code 1 if something is wrong
    Health,
    /// The versions of this command and of the daemon
    Version,
    /// Print a completion script
    Completion {
        /// Shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SnapCommand {
    /// Make an image of what a disk holds now; its machine goes on
    Create {
        /// Project
        project: String,
        /// Disk
        disk: String,
        /// Name of the image
        snap: String,
    },
    /// List the images that were made of disks
    Ls {
        /// Project
        project: String,
    },
    /// Remove an image
    Rm {
        /// Project
        project: String,
        /// Image
        snap: String,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum IscsiCommand {
    /// List targets
    Ls,
}

#[derive(Debug, Subcommand)]
pub(super) enum DiskCommand {
    /// List disks
    List(MaybeProject),
    /// Show one disk
    Show {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
    },
    /// Make a disk: a clone of an image, and its target
    Create {
        #[command(flatten)]
        project: Project,
        /// Name of the disk
        disk: String,
        /// Image to clone, as IMAGE or IMAGE@TAG
        image: String,
        /// Do not clone the image, but export it itself, to be edited
        #[arg(long)]
        edit: bool,
        /// Number of its logical unit, 0 to 16383
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=0x3fff))]
        lun: Option<u16>,
        /// Initiator that may log in (`*` at its end matches any end); may be repeated
        #[arg(long = "initiator", value_name = "NAME")]
        initiators: Vec<String>,
        /// Network that may log in, as ADDR or ADDR/PREFIX; may be repeated
        #[arg(long = "address", value_name = "NETWORK")]
        addresses: Vec<String>,
        /// Portal group in which it is offered, by its tag; may be repeated [default: all]
        #[arg(long = "portal-group", value_name = "TAG")]
        portal_groups: Vec<u16>,
        #[command(flatten)]
        chap: ChapArgs,
    },
    /// Send initiators that log in to a disk to another gateway; sessions go on
    Redirect {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
        /// Where to, as HOST or HOST:PORT
        address: String,
        /// For good: initiators may forget this gateway
        #[arg(long)]
        permanently: bool,
    },
    /// Take a redirection back: initiators log in here again
    Recall {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
    },
    /// Make a disk larger, while it is in use too
    Resize {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
        /// Its new size, as 40GiB, or how much more, as +10GiB
        size: NewSize,
    },
    /// Tags of a disk: what it held at a moment, for it to be rolled back to
    #[command(subcommand)]
    Tag(TagCommand),
    /// Have a disk hold again what it held at a tag
    Rollback {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
        /// Tag
        tag: String,
        /// Even if somebody is logged in, who will be disconnected
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
        #[command(flatten)]
        sure: Sure,
    },
    /// Make a disk independent of its image, while it is in use too
    Flatten {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Make an image of what a disk holds now, or held at a tag
    Snapshot {
        #[command(flatten)]
        project: Project,
        /// Disk, as DISK or DISK@TAG
        disk: String,
        /// Name of the image
        name: String,
        #[command(flatten)]
        copy: CopyArgs,
    },
    /// Remove a disk, its data and its target
    Remove {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Tags of an image or a disk, which is named first.
#[derive(Debug, Subcommand)]
pub(super) enum TagCommand {
    /// List tags
    List {
        #[command(flatten)]
        project: Project,
        /// What has them
        name: String,
    },
    /// Show one tag
    Show(OneTag),
    /// Make a tag of what is there now
    Create {
        #[command(flatten)]
        tag: OneTag,
        /// Protect it from removal
        #[arg(long)]
        protect: bool,
    },
    /// Protect a tag, and what has it, from removal
    Protect(OneTag),
    /// Protect a tag no more
    Unprotect(OneTag),
    /// Remove a tag
    Remove {
        #[command(flatten)]
        tag: OneTag,
        #[command(flatten)]
        sure: Sure,
    },
}

/// A tag of an image or a disk.
#[derive(Debug, Args)]
pub(super) struct OneTag {
    #[command(flatten)]
    pub(super) project: Project,
    /// What has it
    pub(super) name: String,
    /// Tag
    pub(super) tag: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List nodes
    List(MaybeProject),
    /// Show one node
    Show {
        #[command(flatten)]
        project: Project,
        /// Node
        node: String,
    },
    /// Make a node known, or replace what is known of it
    Create {
        #[command(flatten)]
        project: Project,
        /// Node
        node: String,
        /// MAC address of a network interface; may be repeated
        #[arg(long = "mac", value_name = "MAC")]
        macs: Vec<String>,
        /// Name it logs in with; then no other may use its disk
        #[arg(long, value_name = "NAME")]
        initiator: Option<String>,
    },
    /// Forget a node; it must not have a disk
    Remove {
        #[command(flatten)]
        project: Project,
        /// Node
        node: String,
    },
    /// Bind a disk that exists to a node
    Bind {
        #[command(flatten)]
        project: Project,
        /// Node
        node: String,
        /// Disk
        disk: String,
    },
    /// Take a node's disk away; the disk stays
    Unbind {
        #[command(flatten)]
        project: Project,
        /// Node
        node: String,
    },
    /// Print the iPXE script that boots a node
    Ipxe {
        #[command(flatten)]
        project: Project,
        /// Node
        node: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TargetCommand {
    /// List targets
    List,
    /// Show one target
    Show {
        /// Name of the target
        target: String,
    },
    /// Ask all initiators of a target to log out, and end the sessions that are left then
    Drain {
        /// Name of the target
        target: String,
        /// Time they have
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        seconds: u16,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionCommand {
    /// List sessions
    List {
        /// Those of one target
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
    },
    /// Ask an initiator to log out, and end its session if it has not in time
    Logout {
        /// Number of the session
        id: u64,
        /// Time it has
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        seconds: u16,
    },
    /// End a session at once; its initiator may log in again
    Kill {
        /// Number of the session
        id: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum JobCommand {
    /// List jobs, newest first
    List,
    /// Show one job
    Show {
        /// Number of the job
        id: u64,
    },
    /// Cancel a job
    Cancel {
        /// Number of the job
        id: u64,
    },
}

/// Where a copy goes.
#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// Project of the copy; the same one when not given
    #[arg(long, value_name = "PROJECT")]
    pub(super) to_project: Option<String>,
    /// Store that gets the copy; the same one when not given
    #[arg(long, value_name = "NAME")]
    pub(super) store: Option<String>,
    #[command(flatten)]
    pub(super) wait: Wait,
}

/// Whether a job is waited for.
#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Do not wait for the end; `stirrup job show` tells how it goes
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct ProvisionArgs {
    /// Node; it is made known if it is not
    pub(super) node: String,
    /// Image to clone, as IMAGE or IMAGE@TAG
    pub(super) image: String,
    #[command(flatten)]
    pub(super) chap: ChapArgs,
}

#[derive(Debug, Args)]
pub(super) struct ChapArgs {
    /// Demand CHAP, with generated credentials; the node's iPXE script holds them
    #[arg(long)]
    pub(super) chap: bool,
    /// The target proves itself to the initiator, too
    #[arg(long, requires = "chap")]
    pub(super) mutual_chap: bool,
}

#[derive(Debug, Args)]
pub(super) struct Sure {
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
}

/// The project of a command that needs one.
#[derive(Debug, Args)]
pub(super) struct Project {
    /// Project [default: STIRRUP_PROJECT]
    #[arg(long, short, value_name = "PROJECT")]
    pub(super) project: Option<String>,
}

/// The project of a list.
#[derive(Debug, Args)]
pub(super) struct MaybeProject {
    /// Only of this project [default: STIRRUP_PROJECT, or all]
    #[arg(long, short, value_name = "PROJECT")]
    pub(super) project: Option<String>,
}
