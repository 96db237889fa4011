//! Who may do and have what.

use clap::Subcommand;

use crate::config::parse_size;

#[derive(Debug, Subcommand)]
pub(in crate::client) enum ProjectCommand {
    /// List projects
    #[command(visible_alias = "ls")]
    List,
    /// Show one project
    Show {
        /// Name
        name: String,
    },
    /// Make a project, or set what it may have; what is not given has no limit
    Create {
        /// Name
        name: String,
        /// Most disks
        #[arg(long, value_name = "N")]
        disks: Option<u64>,
        /// Most bytes of images and disks together, as 10TiB
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        bytes: Option<u64>,
        /// Most nodes that have a disk
        #[arg(long, value_name = "N")]
        nodes: Option<u64>,
        /// Portal group for its new disks, by its tag; may be repeated [default: all]
        #[arg(long = "portal-group", value_name = "TAG")]
        portal_groups: Vec<u16>,
        /// Store of its new images, when none is named
        #[arg(long, value_name = "NAME")]
        store: Option<String>,
    },
    /// Remove a project in which nothing is
    #[command(visible_alias = "rm")]
    Remove {
        /// Name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::client) enum TokenCommand {
    /// List tokens
    #[command(visible_alias = "ls")]
    List,
    /// Make a token and print it; it is not shown again
    Create {
        /// Name
        name: String,
        /// What its holder may do
        #[arg(value_parser = ["reader", "operator", "admin"])]
        role: String,
        /// The only project that its holder sees; all when not given
        #[arg(long, short, value_name = "PROJECT")]
        project: Option<String>,
        /// Days until it is worth nothing; never when not given
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
        days: Option<u64>,
    },
    /// Revoke a token
    #[command(visible_alias = "rm")]
    Remove {
        /// Name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::client) enum CertificateCommand {
    /// List the certificates that are named
    #[command(visible_alias = "ls")]
    List,
    /// Say what the holder of a certificate may do
    Create {
        /// The name in it: the common name of its subject, or else its only DNS name or URI
        name: String,
        /// What its holder may do
        #[arg(value_parser = ["reader", "operator", "admin"])]
        role: String,
        /// The only project that its holder sees; all when not given
        #[arg(long, short, value_name = "PROJECT")]
        project: Option<String>,
    },
    /// Take the rights of a certificate away
    #[command(visible_alias = "rm")]
    Remove {
        /// The name in it
        name: String,
    },
}
