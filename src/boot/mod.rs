//! What a machine boots by: the URIs by which firmware finds a disk (RFC 4173), iPXE scripts made of
//! templates, hints for a kernel's command line.

mod kernel;
mod templates;

use std::fmt;
use std::net::SocketAddr;

pub use kernel::KernelArguments;
pub use templates::{TemplateError, Templates};

/// How a node boots from its disk.
#[derive(Debug, Clone)]
pub struct Boot<'a> {
    /// Project of the node.
    pub project: &'a str,
    /// The node.
    pub node: &'a str,
    /// Initiator name; firmware's own when absent.
    pub initiator: Option<&'a str>,
    /// Where the target listens. iPXE tries all of them, and boots from the first that answers.
    pub portals: &'a [Portal],
    /// Logical unit number.
    pub lun: u16,
    /// Target name.
    pub target: &'a str,
    /// CHAP credentials.
    pub chap: Option<Credentials<'a>>,
}

/// Where a target listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portal {
    /// Address and port.
    pub address: SocketAddr,
    /// Tag of the portal group.
    pub group: u16,
}

/// CHAP credentials in clear, as firmware needs them.
#[derive(Clone)]
pub struct Credentials<'a> {
    /// Name and secret that the initiator proves.
    pub initiator: (&'a str, &'a str),
    /// Name and secret that the target proves (mutual CHAP).
    pub target: Option<(&'a str, &'a str)>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(credentials)")
    }
}

/// Why there is no script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A value holds a character that would mean something else in a script.
    Unsafe,
    /// There is no portal to boot from.
    NoPortal,
    /// A template cannot be used for this.
    Template(TemplateError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsafe => {
                f.write_str("a name or secret has a character that cannot stand in an iPXE script")
            }
            Self::NoPortal => f.write_str("the daemon has no portal that a node could boot from"),
            Self::Template(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl<'a> Boot<'a> {
    /// The portals that firmware is told of. The iBFT, by which the operating system finds the disk
    /// again, knows IPv4 only.
    fn firmware_portals(&self) -> Result<Vec<Portal>, Error> {
        let v4 = self.portals.iter().any(|portal| portal.address.is_ipv4());
        let usable = |portal: &&Portal| !v4 || portal.address.is_ipv4();
        let portals: Vec<Portal> = self.portals.iter().filter(usable).copied().collect();
        if portals.is_empty() { Err(Error::NoPortal) } else { Ok(portals) }
    }

    /// Its texts, each good for one word of a script.
    fn checked(&self) -> Result<(), Error> {
        let chap = self.chap.iter().flat_map(|chap| {
            let (target_user, target_secret) = chap.target.unzip();
            let own = [Some(chap.initiator.0), Some(chap.initiator.1)];
            own.into_iter().chain([target_user, target_secret]).flatten()
        });
        let names = [self.project, self.node, self.target];
        names.into_iter().chain(self.initiator).chain(chap).try_for_each(word)
    }
}

/// `iscsi:ADDRESS:tcp:PORT:LUN:TARGET`, as iPXE's `sanboot` and dracut's `netroot` take it: the
/// LUN is hexadecimal, an IPv6 address is in brackets. From 256 on it is the first two bytes of
/// the LUN field (flat space addressing, SAM-5 4.7).
#[must_use]
pub fn uri(portal: SocketAddr, lun: u16, target: &str) -> String {
    let (host, port) = (host(portal), portal.port());
    format!("iscsi:{host}:tcp:{port}:{:x}:{target}", lun_field(lun))
}

/// An IPv6 address is in brackets.
fn host(portal: SocketAddr) -> String {
    match portal {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

fn lun_field(lun: u16) -> u16 {
    if lun < 0x100 { lun } else { 0x4000 | lun }
}

/// A value as one word of a script: no space, no quote, no expansion, no operator, no line end.
fn word(value: &str) -> Result<(), Error> {
    if value.is_empty() || !value.bytes().all(is_safe) { Err(Error::Unsafe) } else { Ok(()) }
}

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"$\"'`\\#&|;".contains(&byte)
}

/// A text that came from anywhere, for people who read it on a console: what would mean something in
/// a script is replaced, what is too long is cut off.
#[must_use]
pub fn plain(text: &str, chars_max: usize) -> String {
    let safe = |c: char| match u8::try_from(c) {
        Ok(byte) if is_safe(byte) || byte == b' ' => c,
        _ => '_',
    };
    text.chars().take(chars_max).map(safe).collect()
}

#[cfg(test)]
mod tests;
