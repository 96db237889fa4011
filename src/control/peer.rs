//! Who is at the other end of a connection, as far as the connection tells.

use std::net::SocketAddr;

use axum::http::StatusCode;

use super::respond::Failure;

/// Who is at the other end of a connection. Every request has it as an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A process of this machine, on a Unix socket.
    Local(Local),
    /// Somebody on the network, of whom nothing else is known.
    Network(SocketAddr),
    /// Somebody on the network who speaks TLS.
    Tls(SocketAddr, ClientCertificate),
}

/// A process of this machine, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its number, which may be another process's by now; `None` if the kernel does not tell.
    pub pid: Option<i32>,
}

/// The certificate that a peer has shown; it was verified, or the peer would not be here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificate {
    /// It has shown none.
    None,
    /// It has shown one that does not name its holder.
    Unnamed,
    /// The name of its holder ([`crate::tls::name_of`]).
    Named(String),
}

impl Peer {
    /// The user of this machine, if it is one.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        match self {
            Self::Local(local) => Some(local.uid),
            Self::Network(_) | Self::Tls(..) => None,
        }
    }

    /// Where on the network it is.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Local(_) => None,
            Self::Network(address) | Self::Tls(address, _) => Some(*address),
        }
    }

    /// The name in its certificate.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        match self {
            Self::Tls(_, ClientCertificate::Named(name)) => Some(name),
            _ => None,
        }
    }

    /// The user whose files the daemon may read on this peer's behalf; `None`: anyone's.
    ///
    /// # Errors
    /// `forbidden` for who is not on this machine: no file here is theirs.
    pub(super) fn bound_to_own_files(&self) -> Result<Option<u32>, Failure> {
        match self {
            Self::Local(local) => Ok((!local.is_trusted()).then_some(local.uid)),
            Self::Network(_) | Self::Tls(..) => {
                let detail = "files of the gateway are for its own users: make this call there";
                Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", detail))
            }
        }
    }
}

impl Local {
    /// It is root or the daemon's own user. Nobody else must get at files through the daemon that
    /// they could not read by themselves.
    pub(super) fn is_trusted(self) -> bool {
        [0, rustix::process::geteuid().as_raw()].contains(&self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_daemon_import_files_of_others() {
        let own = rustix::process::geteuid().as_raw();
        for (uid, bound) in [(0, None), (own, None), (own + 1, Some(own + 1))] {
            let peer = Peer::Local(Local { uid, gid: 0, pid: None });
            assert_eq!(peer.bound_to_own_files().unwrap(), bound);
        }
        let address = "192.0.2.1:9".parse().unwrap();
        let named = ClientCertificate::Named("root".to_owned());
        for peer in [Peer::Network(address), Peer::Tls(address, named)] {
            assert!(peer.bound_to_own_files().is_err(), "{peer:?}");
        }
    }
}
