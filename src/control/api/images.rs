//! Golden images.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A file on the gateway that becomes a golden image.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageImport {
    /// 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit.
    pub name: String,
    /// Absolute path of a regular file that the daemon can read.
    pub file: String,
    /// `raw` or `qcow2`; found out by itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The store to put it in; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Mend, in the copy, the end CHS of a protective MBR that slows BIOS GRUB down under iPXE
    /// (warning `gpt-boot-chs`).
    #[serde(default)]
    pub fix_boot_chs: bool,
}

/// A golden image: immutable, parent of disks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Project.
    pub project: String,
    /// Name, unique in the project.
    pub name: String,
    /// `importing`, `ready`, `removing` or `broken`.
    pub state: String,
    /// Size of the disk in it, in bytes.
    pub size_bytes: u64,
    /// What it was imported from: `raw` or `qcow2`.
    pub format: String,
    /// The store that keeps it.
    pub store: String,
    /// Its name in the store.
    pub backing: String,
    /// The snapshot that disks are cloned from.
    pub snapshot: String,
    /// The file it was imported from.
    pub source: String,
    /// When it was made (RFC 3339).
    pub created: String,
    /// What import noticed.
    pub warnings: Vec<Warning>,
    /// Names of the disks cloned from it.
    pub disks: Vec<String>,
}

/// Something that may surprise whoever boots from the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// Stable: `no-boot-signature`, `no-partition-table`, `no-boot-code`, `gpt-boot-chs`.
    pub code: String,
    /// One line.
    pub message: String,
}

/// Images, sorted by project and name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImageList {
    /// The images.
    pub items: Vec<Image>,
}
