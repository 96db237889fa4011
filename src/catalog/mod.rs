//! Images, disks and nodes: the durable truth, its journal, its reconciliation.
//!
//! [`Catalog`] is the room's front: async calls that take an object's lock and run on the blocking
//! pool. Behind it the engine does the work over three traits: [`state::State`] keeps the rows,
//! [`crate::backend::Store`] the images, [`Exporter`] serves the disks.
//!
//! # How a change survives a crash
//!
//! An object's row names its state. A call first writes the intent (`creating`, `importing`,
//! `removing`), then works outside, then writes the end. An intent that is found without a call
//! behind it (after a start, or when the same name is asked for again) is ended by removing what
//! it names. What a store has of ours is known by its name, `stirrup-UID-diskN`, where `UID` marks
//! this installation and `N` is never given out twice.
//!
//! # Who may use a disk
//!
//! A disk that is disabled or has no target admits nobody at all, nor does an attached one whose
//! rules say so. A disk that was unbound from a node is closed to everyone until it is bound again:
//! the machine that had it would log in again by itself. Any other disk admits the initiator names given with
//! it, and that of the node it is bound to. If there is neither (the flow of M2, where a machine boots before anyone knows its initiator name),
//! [`UnnamedAccess`] decides: `Open`, the default, lets anyone in that passes the disk's network
//! and CHAP rules; `Closed` no one.

mod attach;
mod certificates;
mod checksum;
mod encryption;
mod engine;
mod error;
mod export;
mod import;
mod jobs;
mod locks;
mod model;
mod name;
mod qos;
mod service;
mod spec;
pub mod state;
mod step;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;
mod transfer;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Store;

pub use attach::{AccessRules, AttachSpec};

pub use crate::backend::StoreKind;
pub use certificates::{Certificate, CertificateName};
pub use checksum::Checksum;
pub use encryption::Encryption;
#[cfg(test)]
use engine::Engine;
pub use engine::{ExportState, Serving};
pub use error::{Error, ErrorKind, Noun};
pub use export::{Allowed, Export, ExportError, Exporter};
pub use jobs::{Job, JobState};
pub use model::{
    Amounts, Chap, ChapPerNode, Delivery, Disk, DiskState, Exposure, Format, Image, ImageState,
    Moved, Network, Node, Origin, Project, ProjectSettings, Quota, Secret, Tag, TagState, Tagged,
    Usage, Warning,
};
pub use name::{ImageName, Name};
pub use qos::{Qos, Rates};
pub use service::{
    Catalog, DiskView, ImageReader, ImageView, Made, Piece, ProjectView, StoreHealth, TagView,
    UploadReceiver, UploadView,
};
pub use spec::{
    ChapSpec, CopySpec, DiskChange, DiskSpec, ImportSpec, Migration, NodeSpec, PoolImportSpec,
    UploadSpec,
};
pub use tokens::{Role, Token, TokenSpec};
pub use transfer::{Destination, Outgoing, PoolImage, Upload};
pub use watch::{RowChange, Watched, WatchedState, Watcher, What};

/// Stores by their name in the configuration.
pub type Stores = BTreeMap<String, Arc<dyn Store>>;

/// Who may log in to a disk for which no initiator name is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnnamedAccess {
    /// Anyone that passes the disk's network and CHAP rules.
    #[default]
    Open,
    /// No one.
    Closed,
}

/// What an operator decides.
#[derive(Debug, Clone)]
pub struct Options {
    /// What target names begin with; `:PROJECT.DISK` follows. Lower case. A change holds for new
    /// disks only.
    pub target_prefix: String,
    /// The store for images that are imported without naming one.
    pub default_store: String,
    /// See [`UnnamedAccess`].
    pub unnamed_access: UnnamedAccess,
    /// Largest image that may be imported, in bytes.
    pub image_max_bytes: u64,
    /// How uploads are kept.
    pub uploads: UploadOptions,
}

/// How uploads are kept until they are complete.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    /// Where files lie that cannot be put into a store as they come (qcow2); `None`: there can be
    /// none. Nothing else may be in it.
    pub directory: Option<PathBuf>,
    /// Most bytes of these files together, as announced.
    pub staged_bytes_max: u64,
    /// An upload to which nothing comes for so long is given up.
    pub expiry: Duration,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            directory: None,
            staged_bytes_max: 64 << 30,
            expiry: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target_prefix: "iqn.2026-01.io.stirrup".to_owned(),
            default_store: "local".to_owned(),
            unnamed_access: UnnamedAccess::default(),
            image_max_bytes: 16 << 40,
            uploads: UploadOptions::default(),
        }
    }
}
