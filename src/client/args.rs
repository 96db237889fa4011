//! The arguments of `stirrup`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::config::parse_size;

const EXAMPLES: &str = "\
Examples:
  stirrup import demo debian ./debian.qcow2   import a golden image into project demo
  stirrup pro demo node1 debian               give node1 its own clone; prints what to boot from
  stirrup showpro demo                        who boots what
  stirrup dpro demo node1                     take it away again

Environment: STIRRUP_SOCKET stands for --socket, STIRRUP_PROJECT for --project; NO_COLOR is heeded.
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
    /// Jobs: imports under way and ended
    #[command(subcommand)]
    Job(JobCommand),
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
pub(super) enum IscsiCommand {
    /// List targets
    Ls,
}

#[derive(Debug, Subcommand)]
pub(super) enum ImageCommand {
    /// List images
    List(MaybeProject),
    /// Show one image
    Show {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
    },
    /// Show what is known of how an image boots: what is fetched when a node logs in
    Profile {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
        /// Forget it: the next boot is the first one again
        #[arg(long)]
        forget: bool,
    },
    /// Import an image from a raw or qcow2 file
    Import {
        #[command(flatten)]
        project: Project,
        #[command(flatten)]
        import: ImportArgs,
    },
    /// Remove an image
    Remove {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
        #[command(flatten)]
        sure: Sure,
    },
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
        /// Image to clone
        image: String,
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

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Name of the image
    pub(super) image: String,
    /// File on the machine that stirrupd runs on
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,
    /// Format of the file; found out by itself when not given
    #[arg(long, value_parser = ["raw", "qcow2"])]
    pub(super) format: Option<String>,
    /// Store that gets the image; the default one when not given
    #[arg(long, value_name = "NAME")]
    pub(super) store: Option<String>,
    /// Mend, in the copy, a protective MBR that slows BIOS GRUB down
    #[arg(long)]
    pub(super) fix_boot_chs: bool,
    /// Do not wait for the end; `stirrup job show` tells how it goes
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct ProvisionArgs {
    /// Node; it is made known if it is not
    pub(super) node: String,
    /// Image to clone
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

/// What a disk is to grow to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewSize {
    /// This size, in bytes.
    Bytes(u64),
    /// So many bytes more.
    More(u64),
}

impl FromStr for NewSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('+') {
            Some(more) => parse_size(more).map(Self::More),
            None => parse_size(text).map(Self::Bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_size_is_one_or_a_difference() {
        assert_eq!("40GiB".parse(), Ok(NewSize::Bytes(40 << 30)));
        assert_eq!("+4k".parse(), Ok(NewSize::More(4096)));
        for text in ["", "+", "-1G", "++1G", "big"] {
            assert!(text.parse::<NewSize>().is_err(), "{text}");
        }
    }
}
