//! The arguments of `stirrup`.

mod access;
mod connection;
mod disks;
mod events;
mod images;
mod jobs;
mod nodes;
mod size;
mod tags;
mod targets;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub(super) use access::{CertificateCommand, ProjectCommand, TokenCommand};
pub(super) use connection::Connection;
pub(super) use disks::{DiskCommand, DiskSetArgs, OneDisk, QosArgs};
pub(super) use events::EventsArgs;
pub(super) use images::{DownloadArgs, ExportArgs, ImageCommand, ImportArgs, UploadArgs};
pub(super) use jobs::JobCommand;
pub(super) use nodes::{NodeCommand, ProvisionArgs};
pub(super) use size::NewSize;
pub(super) use tags::{OneTag, TagCommand};
pub(super) use targets::{SessionCommand, TargetCommand};

const EXAMPLES: &str = "\
Examples:
  stirrup import demo debian ./debian.qcow2   import a golden image into project demo
  stirrup pro demo node1 debian               give node1 its own clone; prints what to boot from
  stirrup showpro demo                        who boots what
  stirrup dpro demo node1                     take it away again

Environment: STIRRUP_SOCKET stands for --socket, STIRRUP_HOST for --host, STIRRUP_TLS_CERT, _KEY and _CA \
for --tls-cert, --tls-key and --tls-ca, STIRRUP_PROJECT for --project; STIRRUP_TOKEN is a token, \
STIRRUP_SSH a command in place of ssh; NO_COLOR is heeded.

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
    #[command(flatten, next_help_heading = "Global options")]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
pub(super) struct Global {
    #[command(flatten)]
    pub(super) connection: Connection,
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
    #[command(visible_alias = "showdisks")]
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
    /// Copy an image out, to a file on the gateway or to a pool of the Ceph cluster
    Export {
        /// Project of the image
        project: String,
        #[command(flatten)]
        export: ExportArgs,
    },
    /// Upload a raw or qcow2 file from here as an image
    Upload {
        /// Project that gets the image
        project: String,
        #[command(flatten)]
        upload: UploadArgs,
    },
    /// Download an image into a file here, as a raw disk
    Download {
        /// Project of the image
        project: String,
        #[command(flatten)]
        download: DownloadArgs,
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
    /// What the catalog has, as M2's command shows its database
    #[command(subcommand)]
    Db(DbCommand),
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
    /// What has happened, and what happens
    Events(EventsArgs),
    /// Projects: tenants, what they have and what they may have
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Tokens: who may do what without being a user of the gateway
    #[command(subcommand)]
    Token(TokenCommand),
    /// Certificates: what the holders of client certificates may do
    #[command(subcommand)]
    Certificate(CertificateCommand),
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
    /// Connect standard input and output with the control socket; what --host runs on the other machine
    #[command(hide = true)]
    DialStdio,
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
    /// Export an image itself, to be edited: no clone is made
    Create {
        /// Project
        project: String,
        /// Image
        image: String,
        /// Name of the disk that it becomes; the image's when not given
        disk: Option<String>,
    },
    /// Export an image no more; it stays
    Rm {
        /// Project
        project: String,
        /// Disk that it became: the image's name, unless another was given
        disk: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// List what is exported: all targets, or those of a project
    Ls {
        /// Project
        project: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum DbCommand {
    /// List images and disks with their names in the store
    Ls {
        /// Only of this project
        #[arg(long, short, value_name = "PROJECT")]
        project: Option<String>,
        /// Only of this name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Only with this name in the store
        #[arg(long, value_name = "NAME")]
        ceph: Option<String>,
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
pub(super) struct EncryptionArgs {
    /// Encrypt it in the store with a key of its own (luks1, luks2: a copy of the image is made), or not
    /// at all (none) [default: as the image is]
    #[arg(long, value_name = "HOW", value_parser = ["none", "luks1", "luks2"])]
    pub(super) encryption: Option<String>,
    #[command(flatten)]
    pub(super) wait: Wait,
}

#[derive(Debug, Args)]
pub(super) struct ChapArgs {
    /// Demand CHAP, with generated credentials; the node's iPXE script holds them
    #[arg(long, group = "any_chap")]
    pub(super) chap: bool,
    /// Demand CHAP, with credentials that are each node's own and handed out in its iPXE script
    #[arg(long, value_name = "HOW", value_parser = ["once", "always"], num_args = 0..=1,
          default_missing_value = "once", require_equals = true, group = "any_chap")]
    pub(super) chap_per_node: Option<String>,
    /// The target proves itself to the initiator, too
    #[arg(long, requires = "any_chap")]
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
