//! Images: how they come, go, and are named.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{CopyArgs, MaybeProject, Project, Sure, TagCommand, Wait};

#[derive(Debug, Subcommand)]
pub(in crate::client) enum ImageCommand {
    /// List images
    #[command(visible_alias = "ls")]
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
    /// Import an image from a raw or qcow2 file on the gateway, or from a pool of the Ceph cluster
    Import {
        #[command(flatten)]
        project: Project,
        #[command(flatten)]
        import: ImportArgs,
    },
    /// Upload a raw or qcow2 file from here, holes as holes; the same command again goes on where one broke off
    Upload {
        #[command(flatten)]
        project: Project,
        #[command(flatten)]
        upload: UploadArgs,
    },
    /// Give up an upload that is not complete
    Abandon {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
    },
    /// Copy an image out, to a file on the gateway or to a pool of the Ceph cluster
    Export {
        #[command(flatten)]
        project: Project,
        #[command(flatten)]
        export: ExportArgs,
    },
    /// Have all projects see and use an image
    Public {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
    },
    /// Keep an image to its project
    Private {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
    },
    /// Copy an image into a new one that does not need it
    #[command(visible_alias = "cp")]
    Copy {
        #[command(flatten)]
        project: Project,
        /// Image to copy, as IMAGE or IMAGE@TAG
        image: String,
        /// Name of the copy
        name: String,
        #[command(flatten)]
        copy: CopyArgs,
    },
    /// Give an image another name, or another project
    #[command(visible_alias = "mv")]
    Rename {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
        /// New name
        name: String,
        /// New project; it must have no disks then
        #[arg(long, value_name = "PROJECT")]
        to_project: Option<String>,
    },
    /// Protect an image from removal
    Protect {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
    },
    /// Protect an image no more
    Unprotect {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
    },
    /// Set the tag that disks are cloned from when none is named
    Default {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
        /// Tag; the image as it was imported when not given
        tag: Option<String>,
    },
    /// Tags of an image: what it held at a moment, for disks to be cloned from
    #[command(subcommand)]
    Tag(TagCommand),
    /// Download an image into a file here, as a raw disk; zeros become holes
    Download {
        #[command(flatten)]
        project: Project,
        #[command(flatten)]
        download: DownloadArgs,
    },
    /// Remove an image
    #[command(visible_alias = "rm")]
    Remove {
        #[command(flatten)]
        project: Project,
        /// Image
        image: String,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(Debug, Args)]
pub(in crate::client) struct ImportArgs {
    /// Name of the image
    pub(in crate::client) image: String,
    /// File on the machine that stirrupd runs on, or rbd:POOL/IMAGE[@SNAPSHOT]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(in crate::client) file: PathBuf,
    /// SHA-256 that the file must have, in hexadecimal
    #[arg(long, value_name = "HEX")]
    pub(in crate::client) sha256: Option<String>,
    /// Format of the file; found out by itself when not given
    #[arg(long, value_parser = ["raw", "qcow2"])]
    pub(in crate::client) format: Option<String>,
    /// Store that gets the image; the default one when not given
    #[arg(long, value_name = "NAME")]
    pub(in crate::client) store: Option<String>,
    /// Mend, in the copy, a protective MBR that slows BIOS GRUB down
    #[arg(long)]
    pub(in crate::client) fix_boot_chs: bool,
    #[command(flatten)]
    pub(in crate::client) wait: Wait,
}

#[derive(Debug, Args)]
pub(in crate::client) struct ExportArgs {
    /// Image, as IMAGE or IMAGE@TAG
    pub(in crate::client) image: String,
    /// Where to: a file that is not there yet, or rbd:POOL/IMAGE
    pub(in crate::client) to: String,
    #[command(flatten)]
    pub(in crate::client) wait: Wait,
}

#[derive(Debug, Args)]
pub(in crate::client) struct DownloadArgs {
    /// Image, as IMAGE or IMAGE@TAG
    pub(in crate::client) image: String,
    /// File to make
    #[arg(value_hint = ValueHint::FilePath)]
    pub(in crate::client) file: PathBuf,
}

/// A file that is uploaded.
#[derive(Debug, Args)]
pub(in crate::client) struct UploadArgs {
    /// File on this machine; - is standard input, which is uploaded in one attempt
    #[arg(value_hint = ValueHint::FilePath)]
    pub(in crate::client) file: PathBuf,
    /// Name of the image
    pub(in crate::client) image: String,
    /// SHA-256 that the file must have, in hexadecimal
    #[arg(long, value_name = "HEX")]
    pub(in crate::client) sha256: Option<String>,
    /// Format of the file; found out by itself when not given
    #[arg(long, value_parser = ["raw", "qcow2"])]
    pub(in crate::client) format: Option<String>,
    /// Store that gets the image; the default one when not given
    #[arg(long, value_name = "NAME")]
    pub(in crate::client) store: Option<String>,
    /// Mend a protective MBR that slows BIOS GRUB down
    #[arg(long)]
    pub(in crate::client) fix_boot_chs: bool,
    /// Go on trying for so long after the connection, or the daemon, has broken off
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(in crate::client) retry: u64,
    #[command(flatten)]
    pub(in crate::client) wait: Wait,
}
