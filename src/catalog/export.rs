//! How the catalog has disks served: a trait that the data path stands behind.

use std::fmt;
use std::sync::Arc;

use crate::block::{Limits, Volume};

use super::model::{Chap, Moved, Network};
use super::name::Name;

/// A disk as a target with one logical unit.
#[derive(Clone)]
pub struct Export {
    /// Project of the disk.
    pub project: Name,
    /// The disk.
    pub disk: Name,
    /// Target name; the same for as long as the disk lives.
    pub target: String,
    /// Logical unit number.
    pub lun: u16,
    /// `None` while the volume cannot be had: initiators are to be told to try again.
    pub volume: Option<Arc<dyn Volume>>,
    /// The store's lasting identity of the image, for the WWID.
    pub identity: String,
    /// Who may log in.
    pub allowed: Allowed,
    /// Networks that an initiator must come from; empty: any.
    pub networks: Vec<Network>,
    /// CHAP, required if set.
    pub chap: Option<Chap>,
    /// Tags of the portal groups in which it is offered; empty: all.
    pub portal_groups: Vec<u16>,
    /// Where initiators that log in are sent to.
    pub moved: Option<Moved>,
    /// Writes are refused.
    pub read_only: bool,
    /// What it may be asked for.
    pub limits: Limits,
    /// Initiators that may log in are to be told to try again: others are still to be seen out.
    pub paused: bool,
}

/// Which initiator names may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Every one.
    Anyone,
    /// These; a trailing `*` matches any end. Never empty.
    Initiators(Vec<String>),
    /// No one, for now.
    Nobody,
}

impl Allowed {
    /// Whether an initiator of this name may. Names are compared as iSCSI has them (RFC 7143
    /// 4.2.7.1).
    #[must_use]
    pub fn admits(&self, initiator: &str) -> bool {
        let is_it = |rule: &String| match rule.strip_suffix('*') {
            Some(start) => {
                initiator.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
            }
            None => rule.eq_ignore_ascii_case(initiator),
        };
        match self {
            Self::Anyone => true,
            Self::Initiators(rules) => rules.iter().any(is_it),
            Self::Nobody => false,
        }
    }
}

/// What serves targets. Calls may block, for a bounded time.
pub trait Exporter: Send + Sync + 'static {
    /// Serves a target, in place of one of the same name. Sessions that the new rules admit go on
    /// as long as the volume is the same one.
    ///
    /// # Errors
    /// When it cannot be served; then nothing has changed.
    fn publish(&self, export: Export) -> Result<(), ExportError>;

    /// Ends every session of a target and forgets it. When this returns, the volume is not used
    /// any more. A target that is not there is no error.
    ///
    /// # Errors
    /// When the sessions did not end in time.
    fn withdraw(&self, target: &str) -> Result<(), ExportError>;

    /// How many sessions a target has.
    fn sessions(&self, target: &str) -> usize;

    /// Ends every session of a target; it goes on being served. A target that is not there is no
    /// error.
    ///
    /// # Errors
    /// When the sessions did not end in time.
    fn disconnect(&self, target: &str) -> Result<(), ExportError>;

    /// The volume of a target could not be opened; that is tried again.
    fn failed(&self, _target: &str, _why: &str) {}
}

/// One line that says what failed.
#[derive(Debug, Clone)]
pub struct ExportError(pub String);

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExportError {}
