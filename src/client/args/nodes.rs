//! Nodes.

use clap::{Args, Subcommand};

use super::{ChapArgs, MaybeProject, Project};

#[derive(Debug, Subcommand)]
pub(in crate::client) enum NodeCommand {
    /// List nodes
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        project: MaybeProject,
        /// Only the one with this MAC address
        #[arg(long, value_name = "MAC")]
        mac: Option<String>,
    },
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
    #[command(visible_alias = "rm")]
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
    /// Show what to add to the command line of a node's kernel, if it has a boot loader of its own
    BootArguments {
        #[command(flatten)]
        project: Project,
        /// Node
        node: String,
    },
    /// Have a node's own CHAP secret handed out once more, in its iPXE script
    Rearm {
        #[command(flatten)]
        project: Project,
        /// Node
        node: String,
        /// Another one than before; the node's sessions end
        #[arg(long)]
        renew: bool,
    },
    /// Print the addresses from which a node is logged in
    Ip {
        /// Project
        project: String,
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

#[derive(Debug, Args)]
pub(in crate::client) struct ProvisionArgs {
    /// Node; it is made known if it is not
    pub(in crate::client) node: String,
    /// Image to clone, as IMAGE or IMAGE@TAG
    pub(in crate::client) image: String,
    #[command(flatten)]
    pub(in crate::client) chap: ChapArgs,
}
