//! Disks.

use clap::Subcommand;

use super::{ChapArgs, CopyArgs, MaybeProject, NewSize, Project, Sure, TagCommand, Wait};

#[derive(Debug, Subcommand)]
pub(in crate::client) enum DiskCommand {
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
