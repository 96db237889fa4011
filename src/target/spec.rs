//! What the control plane tells the data path about a target.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::block::{Limits, Volume};
use crate::iscsi::login::{ChapCredentials, ChapIdentity, Secret};

/// A target to publish. Publishing one whose name is there already replaces it
/// ([`super::Handle::publish`] says what that means for its sessions).
#[derive(Clone)]
pub struct TargetSpec {
    /// iSCSI target name (RFC 7143 4.2.7), or any other string for initiators that expect M2's
    /// bare names; compared in the normalised (lower-case) form.
    pub name: String,
    /// What is behind the target's LUNs.
    pub luns: Vec<Lun>,
    /// Who may log in.
    pub access: Access,
}

/// A logical unit of a target.
#[derive(Clone)]
pub struct Lun {
    /// Its number, 0 to 16383 (peripheral device addressing below 256, flat space addressing from
    /// there on; SAM-5 4.7).
    pub number: u16,
    /// The volume; `None` while it is being opened or cannot be: logins are answered with
    /// "service unavailable" (0x0301), which initiators retry, never with "not found".
    pub volume: Option<Arc<dyn Volume>>,
    /// What the WWID (VPD page 83h), serial number and EUI-64 are made from: the store's lasting
    /// identity of the image, never its name.
    pub identity: String,
    /// Logical block length in bytes: 512 or 4096.
    pub block_bytes: u32,
    /// Writes are refused with DATA PROTECT even if the volume would take them.
    pub read_only: bool,
    /// What the volume may be asked for, by all of its sessions together. They go on when it changes.
    pub limits: Limits,
}

/// Which initiator names may log in.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub enum Initiators {
    /// Any.
    #[default]
    Any,
    /// These, a trailing `*` matching any end; none at all if the list is empty.
    Listed(Vec<String>),
}

/// Who may log in to a target, and where. All conditions must hold.
#[derive(Clone, Default, Debug)]
pub struct Access {
    /// By name.
    pub initiators: Initiators,
    /// By address, as networks with their prefix lengths; empty: any.
    pub addresses: Vec<(IpAddr, u8)>,
    /// CHAP, required if set.
    pub chap: Option<Chap>,
    /// Tags of the portal groups in which the target is offered; empty: all.
    pub portal_groups: Vec<u16>,
    /// New logins are sent elsewhere.
    pub moved: Option<Redirect>,
    /// New logins are told to try again (0x0301), those that the rules admit.
    pub paused: bool,
}

/// Where a target has moved to (RFC 7143 11.13.5, status class 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `HOST:PORT`; an IPv6 address in brackets. iPXE follows IPv4 addresses only.
    pub address: String,
    /// For good (0102): the initiator may forget this address. Otherwise (0101) it comes back
    /// here the next time.
    pub permanently: bool,
}

/// CHAP credentials (RFC 7143 12.1.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Chap {
    /// The name that the initiator gives.
    pub user: String,
    /// The initiator's secret.
    pub secret: Zeroizing<String>,
    /// Name and secret with which the target answers the initiator's challenge (mutual CHAP).
    pub mutual: Option<(String, Zeroizing<String>)>,
}

impl Chap {
    /// Warns of secrets below 96 bits (RFC 7143 9.2.1).
    pub(super) fn warn_if_short(&self) {
        let ChapCredentials { initiator, target } = self.credentials();
        for identity in [Some(initiator), target].into_iter().flatten() {
            if identity.secret.is_short() {
                tracing::warn!(
                    user = identity.name,
                    "the CHAP secret is shorter than 12 bytes: whoever hears a login can guess it"
                );
            }
        }
    }

    /// In the terms of the login.
    pub(super) fn credentials(&self) -> ChapCredentials {
        let identity = |name: &String, secret: &Zeroizing<String>| ChapIdentity {
            name: name.clone(),
            secret: Secret::new(secret.as_bytes().to_vec()),
        };
        ChapCredentials {
            initiator: identity(&self.user, &self.secret),
            target: self.mutual.as_ref().map(|(name, secret)| identity(name, secret)),
        }
    }
}

impl fmt::Debug for Chap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chap")
            .field("user", &self.user)
            .field("mutual", &self.mutual.as_ref().map(|(user, _)| user))
            .finish_non_exhaustive()
    }
}
