//! Disks.

use clap::{Args, Subcommand};

use crate::config::parse_size;

use super::{ChapArgs, CopyArgs, MaybeProject, NewSize, Project, Sure, TagCommand, Wait};

#[derive(Debug, Subcommand)]
pub(in crate::client) enum DiskCommand {
    /// List disks
    #[command(visible_alias = "ls")]
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
        /// Refuse writes
        #[arg(long)]
        read_only: bool,
        #[command(flatten)]
        qos: QosArgs,
        #[command(flatten)]
        chap: ChapArgs,
    },
    /// Change who may log in to a disk, and whether it may be written; sessions end
    Set(DiskSetArgs),
    /// Show or set how much a disk may be asked for; sessions go on
    Qos {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
        #[command(flatten)]
        qos: QosArgs,
        /// Take all limits away
        #[arg(long, conflicts_with = "limits")]
        none: bool,
    },
    /// Have a disk served by its target again
    Enable(OneDisk),
    /// Have a disk served no more: initiators are told to try again; sessions end
    Disable(OneDisk),
    /// Give a disk its target back
    Expose(OneDisk),
    /// Take a disk's target away: nobody finds it; sessions end
    Unexpose(OneDisk),
    /// Give a disk to another node: who has it is out before the other is in
    Migrate {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
        /// Node that gets it
        node: String,
        /// Only if this node has it now
        #[arg(long, value_name = "NODE")]
        from: Option<String>,
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
    #[command(visible_alias = "rm")]
    Remove {
        #[command(flatten)]
        project: Project,
        /// Disk
        disk: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// One disk.
#[derive(Debug, Args)]
pub(in crate::client) struct OneDisk {
    #[command(flatten)]
    pub(in crate::client) project: Project,
    /// Disk
    pub(in crate::client) disk: String,
}

/// What of a disk is changed; all that is not given stays.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(in crate::client) struct DiskSetArgs {
    #[command(flatten)]
    pub(in crate::client) one: OneDisk,
    /// Initiator that may log in (`*` at its end matches any end), in place of those there are; may be
    /// repeated
    #[arg(long = "initiator", value_name = "NAME", group = "change")]
    pub(in crate::client) initiators: Vec<String>,
    /// Nobody but the node that it is bound to, if that has a name, and otherwise anybody
    #[arg(long, conflicts_with = "initiators", group = "change")]
    pub(in crate::client) no_initiators: bool,
    /// Network that may log in, in place of those there are; may be repeated
    #[arg(long = "address", value_name = "NETWORK", group = "change")]
    pub(in crate::client) addresses: Vec<String>,
    /// From anywhere
    #[arg(long, conflicts_with = "addresses", group = "change")]
    pub(in crate::client) any_address: bool,
    /// Portal group in which it is offered, by its tag; may be repeated
    #[arg(long = "portal-group", value_name = "TAG", group = "change")]
    pub(in crate::client) portal_groups: Vec<u16>,
    /// In all portal groups
    #[arg(long, conflicts_with = "portal_groups", group = "change")]
    pub(in crate::client) all_portal_groups: bool,
    /// Demand CHAP, with generated credentials
    #[arg(long, group = "change")]
    pub(in crate::client) chap: bool,
    /// The target proves itself to the initiator, too
    #[arg(long)]
    pub(in crate::client) mutual_chap: bool,
    /// Demand CHAP, with credentials that are each node's own and handed out in its iPXE script
    #[arg(long, value_name = "HOW", value_parser = ["once", "always"], num_args = 0..=1,
          require_equals = true, default_missing_value = "once", group = "change", conflicts_with = "chap")]
    pub(in crate::client) chap_per_node: Option<String>,
    /// Generate the credentials anew
    #[arg(long)]
    pub(in crate::client) renew_chap: bool,
    /// Demand CHAP no more
    #[arg(long, conflicts_with_all = ["chap", "chap_per_node", "mutual_chap", "renew_chap"],
          group = "change")]
    pub(in crate::client) no_chap: bool,
    /// Refuse writes
    #[arg(long, group = "change")]
    pub(in crate::client) read_only: bool,
    /// Take writes
    #[arg(long, conflicts_with = "read_only", group = "change")]
    pub(in crate::client) read_write: bool,
}

/// What a disk may be asked for; all limits hold at a time.
#[derive(Debug, Default, Args)]
#[command(group = clap::ArgGroup::new("limits").multiple(true))]
pub(in crate::client) struct QosArgs {
    /// Operations a second
    #[arg(long, value_name = "N", group = "limits")]
    pub(in crate::client) iops: Option<u64>,
    /// Bytes a second, as 100MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, group = "limits")]
    pub(in crate::client) bandwidth: Option<u64>,
    /// Reads a second
    #[arg(long, value_name = "N", group = "limits")]
    pub(in crate::client) read_iops: Option<u64>,
    /// Bytes read a second
    #[arg(long, value_name = "SIZE", value_parser = parse_size, group = "limits")]
    pub(in crate::client) read_bandwidth: Option<u64>,
    /// Writes and flushes a second
    #[arg(long, value_name = "N", group = "limits")]
    pub(in crate::client) write_iops: Option<u64>,
    /// Bytes written a second
    #[arg(long, value_name = "SIZE", value_parser = parse_size, group = "limits")]
    pub(in crate::client) write_bandwidth: Option<u64>,
    /// After so long without use, as much at once as otherwise in that time [default: 1]
    #[arg(long, value_name = "SECONDS", requires = "limits",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(in crate::client) burst: Option<u64>,
}
