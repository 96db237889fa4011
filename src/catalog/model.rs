//! What the catalog keeps.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::checksum::Checksum;
use super::encryption::Encryption;
use super::error::{Error, Noun};
use super::name::{ImageName, Name, quoted};
use super::qos::Qos;
use super::transfer::Upload;
use crate::backend::LuksFormat;

/// Where an image stands. `Importing` and `Removing` are intents of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageState {
    /// Its file is being uploaded. Not ended by a restart, but when nothing comes for long.
    Uploading,
    /// Being filled.
    Importing,
    /// Disks can be cloned from it.
    Ready,
    /// Being removed.
    Removing,
    /// The store has it no more.
    Broken,
}

/// Where a disk stands. All but `Ready` and `Broken` are intents of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskState {
    /// Being cloned and published.
    Creating,
    /// There.
    Ready,
    /// Being removed.
    Removing,
    /// The store has it no more.
    Broken,
}

/// What an image was imported from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The bytes of the disk.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "raw" => Ok(Self::Raw),
            "qcow2" => Ok(Self::Qcow2),
            _ => Err(Error::invalid(
                "invalid-format",
                format!("{} is no format: use raw or qcow2", quoted(text)),
            )),
        }
    }
}

/// Something about an image that may surprise whoever boots from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable.
    pub code: String,
    /// One line.
    pub message: String,
}

/// A golden image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Project.
    pub project: Name,
    /// Name, unique in the project.
    pub name: ImageName,
    /// Where it stands.
    pub state: ImageState,
    /// The store that keeps it.
    pub store: String,
    /// Its name there.
    pub backing: String,
    /// The snapshot that disks are cloned from, unless there is a default tag.
    pub snapshot: String,
    /// The tag that disks are cloned from when none is named.
    #[serde(default)]
    pub default_tag: Option<ImageName>,
    /// It cannot be removed.
    #[serde(default)]
    pub protected: bool,
    /// While it is filled from a disk: the snapshot of the disk that goes with the end of that.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// It was there before, and is only looked after: it is served, and never removed.
    #[serde(default)]
    pub attached: bool,
    /// Of an image made of a disk: the image that the disk was cloned from.
    #[serde(default)]
    pub parent: Option<ImageName>,
    /// Size in bytes, a multiple of 512.
    pub size_bytes: u64,
    /// What it was imported from.
    pub format: Format,
    /// The file it was imported from.
    pub source: String,
    /// When.
    pub created: Timestamp,
    /// What import noticed.
    pub warnings: Vec<Warning>,
    /// Every project sees it and can clone it.
    #[serde(default)]
    pub public: bool,
    /// Of the file that it was made of, if that is known.
    #[serde(default)]
    pub sha256: Option<Checksum>,
    /// How its file is uploaded, or was.
    #[serde(default)]
    pub upload: Option<Upload>,
}

impl Image {
    /// It is uploaded as a file, of which the image is made in the end.
    pub(super) fn is_staged(&self) -> bool {
        self.upload.as_ref().is_some_and(|it| it.staged || self.format == Format::Qcow2)
    }

    /// All bytes of its upload are there.
    pub(super) fn is_received(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.file_bytes == Some(upload.offset))
    }
}

/// A snapshot that was made for one copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The store.
    pub store: String,
    /// The image in it.
    pub backing: String,
    /// The snapshot.
    pub snapshot: String,
}

/// Where a tag stands. All but `Ready` are intents of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TagState {
    /// Being made.
    Creating,
    /// There.
    Ready,
    /// Being removed.
    Removing,
}

/// What has a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tagged {
    /// An image: disks can be cloned from it as it was.
    Image(ImageName),
    /// A disk: it can be rolled back.
    Disk(Name),
}

impl Tagged {
    /// Its kind.
    #[must_use]
    pub fn noun(&self) -> Noun {
        match self {
            Self::Image(_) => Noun::Image,
            Self::Disk(_) => Noun::Disk,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Image(name) => name.as_str(),
            Self::Disk(name) => name.as_str(),
        }
    }
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.noun(), self.name())
    }
}

/// What an image or a disk held at one moment, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Project.
    pub project: Name,
    /// What has it.
    pub of: Tagged,
    /// Name, unique for what has it.
    pub name: ImageName,
    /// Where it stands.
    pub state: TagState,
    /// The snapshot's name in the store.
    pub snapshot: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// It cannot be removed, nor what has it.
    pub protected: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// A disk: a clone of an image and the target that exports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Project.
    pub project: Name,
    /// Name, unique in the project.
    pub name: Name,
    /// Where it stands.
    pub state: DiskState,
    /// The image it is a clone of.
    pub image: ImageName,
    /// The project of that image, if it is another one.
    #[serde(default)]
    pub image_project: Option<Name>,
    /// The tag of the image that it was cloned from.
    #[serde(default)]
    pub tag: Option<ImageName>,
    /// It is no clone but the image itself, to be edited: what is written to it is in the tags that
    /// the image gets from then on.
    #[serde(default)]
    pub edits: bool,
    /// It does not need its image any more.
    #[serde(default)]
    pub flattened: bool,
    /// The snapshot that it is being rolled back to. Nobody uses it until that is done.
    #[serde(default)]
    pub rollback: Option<String>,
    /// The store that keeps it.
    pub store: String,
    /// Its name there.
    pub backing: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// The store's lasting identity of it; empty while it is being created.
    pub identity: String,
    /// Target name.
    pub target: String,
    /// Logical unit number.
    pub lun: u16,
    /// Initiator names that may log in besides the bound node's.
    pub initiators: Vec<String>,
    /// Networks that an initiator must come from; empty: any.
    pub networks: Vec<Network>,
    /// CHAP, required if set.
    pub chap: Option<Chap>,
    /// Tags of the portal groups in which its target is offered; empty: all.
    #[serde(default)]
    pub portal_groups: Vec<u16>,
    /// The credentials are its node's: made when it is bound, and gone when it is unbound.
    #[serde(default)]
    pub chap_per_node: Option<ChapPerNode>,
    /// Writes are refused.
    #[serde(default)]
    pub read_only: bool,
    /// Whether it has a target.
    #[serde(default)]
    pub exposure: Exposure,
    /// What it may be asked for.
    #[serde(default)]
    pub qos: Qos,
    /// How the store encrypts it; `None`: as its image is.
    #[serde(default)]
    pub encryption: Option<Encryption>,
    /// Where initiators that log in are sent to.
    #[serde(default)]
    pub moved: Option<Moved>,
    /// The node it is bound to; while it is being created, the node it will be bound to.
    pub node: Option<Name>,
    /// It was unbound from a node and has not been bound since: no one may log in. The machine
    /// that had it would come back by itself, and go on writing beside the next one.
    #[serde(default)]
    pub closed: bool,
    /// Its own rules admit no one, bound or not. So an attached disk begins.
    #[serde(default)]
    pub barred: bool,
    /// When it was made.
    pub created: Timestamp,
}

impl Disk {
    /// The project of the image that it is a clone of.
    #[must_use]
    pub fn image_project(&self) -> &Name {
        self.image_project.as_ref().unwrap_or(&self.project)
    }

    /// The format of LUKS that it has of its own, if it has.
    pub(super) fn luks(&self) -> Option<LuksFormat> {
        self.encryption.and_then(Encryption::format)
    }

    /// It has a target: it is neither being made nor being removed.
    pub(super) fn is_there(&self) -> bool {
        matches!(self.state, DiskState::Ready | DiskState::Broken)
    }
}

/// Whether a disk has a target, and is served there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exposure {
    /// It has a target, which serves it.
    #[default]
    Enabled,
    /// It has a target, where initiators are told to try again.
    Disabled,
    /// It has none: nobody finds it.
    Unexposed,
}

/// Credentials that are made for each binding of a disk to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChapPerNode {
    /// The target proves itself too.
    pub mutual: bool,
    /// How often they are handed out.
    pub delivery: Delivery,
    /// When they were handed out last.
    #[serde(default)]
    pub delivered: Option<Timestamp>,
}

/// How often credentials are handed out in a boot script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// Once; then not before somebody says so.
    #[default]
    Once,
    /// To whoever asks for the script.
    Always,
}

impl FromStr for Delivery {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "once" => Ok(Self::Once),
            "always" => Ok(Self::Always),
            _ => {
                let message = format!("{} is no delivery: use once or always", quoted(text));
                Err(Error::invalid("invalid-chap", message))
            }
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Once => "once",
            Self::Always => "always",
        })
    }
}

/// What a project may have, and what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amounts<T> {
    /// Disks.
    pub disks: T,
    /// Bytes of images and disks, as large as they look.
    pub bytes: T,
    /// Nodes that have a disk.
    pub nodes: T,
}

/// The limits of a project; `None`: there is none.
pub type Quota = Amounts<Option<u64>>;
/// What a project has.
pub type Usage = Amounts<u64>;

/// A project: a tenant. It is there as soon as something is in it; a row says what it may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: Name,
    /// What was decided about it.
    #[serde(flatten)]
    pub settings: ProjectSettings,
    /// When that was first done.
    pub created: Timestamp,
}

/// What an admin decides about a project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProjectSettings {
    /// What it may have.
    pub quota: Quota,
    /// Tags of the portal groups in which its disks may be offered, and are unless they name some;
    /// empty: all. Sorted.
    #[serde(default)]
    pub portal_groups: Vec<u16>,
    /// The store of images that are imported without naming one; `None`: the default one.
    #[serde(default)]
    pub store: Option<String>,
    /// What disks are cloned from that name no image: `IMAGE`, `IMAGE@TAG`, or the like of another
    /// project.
    #[serde(default)]
    pub image: Option<String>,
    /// Bytes of new disks that name no size, if their image has fewer.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// What new disks may be asked for that do not say it.
    #[serde(default)]
    pub qos: Qos,
}

/// A bare-metal machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Project.
    pub project: Name,
    /// Name, unique in the project.
    pub name: Name,
    /// MAC addresses of its network interfaces, lower case, with colons.
    pub macs: Vec<String>,
    /// The initiator name it logs in with.
    pub initiator: Option<String>,
    /// The disk bound to it.
    pub disk: Option<Name>,
    /// When it was made.
    pub created: Timestamp,
}

/// CHAP credentials (RFC 7143 12.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chap {
    /// Name that the initiator proves.
    pub user: String,
    /// Its secret.
    pub secret: Secret,
    /// Name and secret that the target proves (mutual CHAP).
    pub mutual: Option<(String, Secret)>,
}

/// A secret: not shown, wiped from memory, compared in constant time.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Where a disk's target has moved to (RFC 7143 11.13.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// `HOST:PORT`; an IPv6 address in brackets.
    pub address: String,
    /// For good: initiators may forget the address they knew.
    pub permanently: bool,
}

/// Port registered for iSCSI (RFC 7143 15).
const ISCSI_PORT: u16 = 3260;
/// Longest name of a host (RFC 1035 2.3.4).
const HOST_BYTES_MAX: usize = 253;

impl Moved {
    /// A move to `HOST` or `HOST:PORT`, where the host is an IPv4 address, an IPv6 address in
    /// brackets or a DNS name (RFC 7143 13.8).
    ///
    /// # Errors
    /// `invalid-address`.
    pub fn to(address: &str, permanently: bool) -> Result<Self, Error> {
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let is_host = |host: &str| match host.strip_prefix('[') {
            Some(rest) => rest
                .strip_suffix(']')
                .and_then(|ip| ip.parse::<Ipv6Addr>().ok())
                .is_some_and(|ip| !ip.is_unspecified()),
            None => {
                let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                let ip = host.parse::<Ipv4Addr>().ok();
                let name = host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label);
                ip.map_or(name && !numeric, |ip| !ip.is_unspecified())
            }
        };
        let bare = address.ends_with(']') || !address.contains(':');
        let parsed = match address.rsplit_once(':') {
            Some((host, port)) if !bare => {
                let digits = port.bytes().all(|b| b.is_ascii_digit());
                port.parse().ok().filter(|port| digits && *port != 0).map(|port| (host, port))
            }
            _ => Some((address, ISCSI_PORT)),
        };
        match parsed.filter(|(host, _)| is_host(host)) {
            Some((host, port)) => Ok(Self { address: format!("{host}:{port}"), permanently }),
            None => Err(Error::invalid(
                "invalid-address",
                format!(
                    "{} is nothing that an initiator can be sent to; write 192.0.2.1:3260, \
                     [2001:db8::1]:3260 or gateway.example.org:3260",
                    quoted(address)
                ),
            )),
        }
    }
}

/// An address and the number of its bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The address.
    pub address: IpAddr,
    /// 0 to 32, or to 128.
    pub prefix: u8,
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parse = || {
            let (address, prefix) = match text.split_once('/') {
                Some((address, prefix)) => (address, Some(prefix)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.map_or(Ok(longest), str::parse).ok()?;
            (prefix <= longest).then_some(Self { address, prefix })
        };
        parse().ok_or_else(|| {
            Error::invalid(
                "invalid-address",
                format!("{} is no address or network, as 10.1.0.0/16 is one", quoted(text)),
            )
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (text, shown) in
            [("10.0.0.0/8", "10.0.0.0/8"), ("10.0.0.1", "10.0.0.1/32"), ("fe80::/10", "fe80::/10")]
        {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "host", "1.2.3.4/+8 "] {
            assert_eq!(text.parse::<Network>().unwrap_err().code(), "invalid-address", "{text}");
        }
    }

    #[test]
    fn where_a_target_may_have_moved_to() {
        for (text, kept) in [
            ("192.0.2.1", "192.0.2.1:3260"),
            ("192.0.2.1:99", "192.0.2.1:99"),
            ("[2001:db8::1]", "[2001:db8::1]:3260"),
            ("[2001:db8::1]:1", "[2001:db8::1]:1"),
            ("gw-2.example.org", "gw-2.example.org:3260"),
            ("gw2:65535", "gw2:65535"),
        ] {
            assert_eq!(Moved::to(text, true).unwrap().address, kept);
        }
        let long = "a".repeat(254);
        for text in [
            "",
            ":",
            ":3260",
            "0.0.0.0",
            "[::]",
            "2001:db8::1",
            "[2001:db8::1",
            "192.0.2.1:0",
            "192.0.2.1:65536",
            "192.0.2.1:+1",
            "192.0.2.1,1",
            "1.2.3",
            "a b",
            "a\0",
            "a..b",
            "a:",
            "[192.0.2.1]",
            "300.0.0.1",
            &long,
        ] {
            assert_eq!(Moved::to(text, true).unwrap_err().code(), "invalid-address", "{text}");
        }
    }

    #[test]
    fn a_secret_does_not_show() {
        let chap = Chap { user: "u".into(), secret: Secret::new("hush".into()), mutual: None };
        assert!(!format!("{chap:?}").contains("hush"));
    }
}
