//! Tags of images and disks.

use clap::{Args, Subcommand};

use super::{Project, Sure};

/// Tags of an image or a disk, which is named first.
#[derive(Debug, Subcommand)]
pub(in crate::client) enum TagCommand {
    /// List tags
    #[command(visible_alias = "ls")]
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
    #[command(visible_alias = "rm")]
    Remove {
        #[command(flatten)]
        tag: OneTag,
        #[command(flatten)]
        sure: Sure,
    },
}

/// A tag of an image or a disk.
#[derive(Debug, Args)]
pub(in crate::client) struct OneTag {
    #[command(flatten)]
    pub(in crate::client) project: Project,
    /// What has it
    pub(in crate::client) name: String,
    /// Tag
    pub(in crate::client) tag: String,
}
