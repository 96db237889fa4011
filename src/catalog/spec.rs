//! What callers ask for, checked.

use std::path::PathBuf;

use super::checksum::Checksum;
use super::encryption::Encryption;
use super::error::Error;
use super::model::{Chap, ChapPerNode, Delivery, Disk, Exposure, Format, Network, Secret, Tagged};
use super::name::{ImageName, Name, quoted};
use super::qos::Qos;
use super::transfer::PoolImage;
use crate::backend::LuksFormat;

/// RFC 7143 4.2.7.1.
const INITIATOR_NAME_MAX_BYTES: usize = 223;
/// Flat space addressing has 14 bits (SAM-5 4.7.7.3).
const LUN_MAX: u16 = 0x3fff;
/// Names and networks in one disk's access rules.
const RULES_MAX: usize = 64;
/// Network interfaces of one node.
const MACS_MAX: usize = 16;
/// RFC 7143 9.2.1 wants 96 random bits; some initiators (and this limit) want 12 bytes at least.
const SECRET_MIN_BYTES: usize = 12;
const SECRET_MAX_BYTES: usize = 64;
/// 16 characters of base64: 96 random bits, and no longer than Windows takes.
const SECRET_RANDOM_BYTES: usize = 12;

/// A file that becomes an image.
#[derive(Debug, Clone)]
pub struct ImportSpec {
    /// Absolute path.
    pub file: PathBuf,
    /// `None`: found out.
    pub format: Option<Format>,
    /// `None`: the default store.
    pub store: Option<String>,
    /// Mend the end CHS of a protective MBR in the copy.
    pub fix_boot_chs: bool,
    /// The user that the file must belong to; `None`: whatever the daemon can read.
    pub owner: Option<u32>,
    /// What the file's checksum must be.
    pub sha256: Option<Checksum>,
}

/// An image in a pool of a store's cluster that becomes an image.
#[derive(Debug, Clone)]
pub struct PoolImportSpec {
    /// What is copied.
    pub image: PoolImage,
    /// The store through which it is reached; `None`: the default store.
    pub from: Option<String>,
    /// The store that gets the image; `None`: the one through which it is reached.
    pub store: Option<String>,
    /// Mend the end CHS of a protective MBR in the copy.
    pub fix_boot_chs: bool,
}

/// A file that is going to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSpec {
    /// Its length in bytes; `None`: that shows at its end.
    pub file_bytes: Option<u64>,
    /// Its format.
    pub format: Format,
    /// The store that gets the image; `None`: the default store.
    pub store: Option<String>,
    /// What the file's checksum must be.
    pub sha256: Option<Checksum>,
    /// What the uploader knows the file by: who repeats the call with the same one goes on.
    pub key: Option<String>,
    /// Mend the end CHS of a protective MBR.
    pub fix_boot_chs: bool,
}

/// Longest key of an upload.
const KEY_MAX_BYTES: usize = 128;

impl UploadSpec {
    /// Whether the file is kept as it is until it is complete: qcow2 cannot be read before, and an image
    /// is made with its size.
    pub(super) fn is_staged(&self) -> bool {
        self.format == Format::Qcow2 || self.file_bytes.is_none()
    }

    /// # Errors
    /// `source-empty`, `source-too-large`, `invalid-key`.
    pub(super) fn check(&self, size_max_bytes: u64) -> Result<(), Error> {
        if self.file_bytes == Some(0) {
            return Err(Error::invalid("source-empty", "the file has no bytes"));
        }
        if let Some(file_bytes) = self.file_bytes.filter(|bytes| *bytes > size_max_bytes) {
            let message = format!("a file of {file_bytes} bytes; the limit is {size_max_bytes}");
            return Err(Error::invalid("source-too-large", message));
        }
        let good = |key: &String| {
            (1..=KEY_MAX_BYTES).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
        };
        if self.key.as_ref().is_none_or(good) {
            return Ok(());
        }
        let message = format!("a key has 1 to {KEY_MAX_BYTES} printable ASCII characters");
        Err(Error::invalid("invalid-key", message))
    }
}

/// What a disk is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// The image to clone.
    pub image: ImageName,
    /// The project of that image, if it is another one.
    pub image_project: Option<Name>,
    /// The tag of it; `None`: the default one.
    pub tag: Option<ImageName>,
    /// No clone, but the image itself, to be edited.
    pub edit: bool,
    /// Logical unit number.
    pub lun: u16,
    /// Initiator names that may log in besides the bound node's.
    pub initiators: Vec<String>,
    /// Networks that an initiator must come from; empty: any.
    pub networks: Vec<Network>,
    /// CHAP is required.
    pub chap: Option<ChapSpec>,
    /// Tags of the portal groups in which it is offered; empty: all.
    pub portal_groups: Vec<u16>,
    /// Writes are refused; `None`: they are not, unless that was changed.
    pub read_only: Option<bool>,
    /// What it may be asked for; `None`: as its project has it, unless that was changed.
    pub qos: Option<Qos>,
    /// How the store encrypts it; `None`: as the image is.
    pub encryption: Option<Encryption>,
    /// Size in bytes; `None`: its image's, or its project's if that is larger.
    pub size_bytes: Option<u64>,
}

/// What becomes of a disk; `None`: that stays.
#[derive(Debug, Clone, Default)]
pub struct DiskChange {
    /// Initiator names that may log in besides the bound node's.
    pub initiators: Option<Vec<String>>,
    /// Networks that an initiator must come from; empty: any.
    pub networks: Option<Vec<Network>>,
    /// CHAP is required; `Some(None)`: no more.
    pub chap: Option<Option<ChapSpec>>,
    /// Tags of the portal groups in which it is offered; empty: all.
    pub portal_groups: Option<Vec<u16>>,
    /// Writes are refused.
    pub read_only: Option<bool>,
    /// Whether it has a target.
    pub exposure: Option<Exposure>,
    /// What it may be asked for.
    pub qos: Option<Qos>,
    /// Its rules admit no one, whatever the rest says.
    pub barred: Option<bool>,
    /// Sessions that may go on by the new rules do; otherwise all end.
    pub keep_sessions: bool,
}

/// CHAP credentials as asked for; what is `None` is made up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChapSpec {
    /// Name that the initiator proves.
    pub user: Option<String>,
    /// Its secret.
    pub secret: Option<Secret>,
    /// The target proves itself too.
    pub mutual: bool,
    /// Name that the target proves.
    pub mutual_user: Option<String>,
    /// Its secret.
    pub mutual_secret: Option<Secret>,
    /// New ones are made for each node that the disk is bound to, and handed out so often.
    pub per_node: Option<Delivery>,
    /// Others than there are, if there are some.
    pub renew: bool,
}

/// What becomes an image by a copy.
#[derive(Debug, Clone)]
pub struct CopySpec {
    /// The project of what is copied.
    pub project: Name,
    /// What is copied.
    pub of: Tagged,
    /// As it was at this tag. `None`: an image's default, a disk as it is now.
    pub tag: Option<ImageName>,
    /// The store for the copy; `None`: that of the original.
    pub store: Option<String>,
    /// The only project that there is for who asks, besides public images of others.
    pub asking: Option<Name>,
}

/// Which node gets a disk.
#[derive(Debug, Clone)]
pub struct Migration {
    /// A node that has no disk.
    pub to: Name,
    /// Only if this one has the disk.
    pub from: Option<Name>,
    /// Even if who has the disk would be admitted next to the new one.
    pub force: bool,
}

/// What is known of a node.
#[derive(Debug, Clone, Default)]
pub struct NodeSpec {
    /// MAC addresses.
    pub macs: Vec<String>,
    /// Initiator name.
    pub initiator: Option<String>,
}

impl ImportSpec {
    /// # Errors
    /// `invalid-path` unless the path is absolute.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.file.is_absolute() {
            return Ok(());
        }
        Err(Error::invalid(
            "invalid-path",
            format!(
                "{} is no absolute path; the daemon reads the file, not the caller",
                quoted(&self.file.to_string_lossy())
            ),
        ))
    }
}

impl DiskSpec {
    /// A clone of `image` as LUN 1, without conditions.
    #[must_use]
    pub fn new(image: ImageName) -> Self {
        Self {
            image,
            image_project: None,
            tag: None,
            edit: false,
            lun: 1,
            initiators: Vec::new(),
            networks: Vec::new(),
            chap: None,
            portal_groups: Vec::new(),
            read_only: None,
            qos: None,
            encryption: None,
            size_bytes: None,
        }
    }

    /// A clone of `IMAGE`, `IMAGE@TAG`, or the like of another project: `PROJECT/IMAGE`.
    ///
    /// # Errors
    /// `invalid-name`.
    pub fn of_image(text: &str) -> Result<Self, Error> {
        let (project, image) = match text.split_once('/') {
            Some((project, image)) => (Some(Name::project(project)?), image),
            None => (None, text),
        };
        let (image, tag) = ImageName::with_tag(image)?;
        Ok(Self { image_project: project, tag, ..Self::new(image) })
    }

    /// The format of LUKS that the disk is to have of its own, if it is.
    pub(super) fn luks(&self) -> Option<LuksFormat> {
        self.encryption.and_then(Encryption::format)
    }

    /// The project of the image, for a disk of `project`.
    pub(super) fn of(&self, project: &Name) -> Name {
        self.image_project.as_ref().unwrap_or(project).clone()
    }

    /// # Errors
    /// `invalid-lun`, `invalid-initiator`, `invalid-chap`, `invalid-size`, `too-many-rules`.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.lun > LUN_MAX {
            return Err(Error::invalid(
                "invalid-lun",
                format!("{} is no logical unit number: use 0 to {LUN_MAX}", self.lun),
            ));
        }
        if self.edit && self.tag.is_some() {
            let message = "a tag cannot be edited: edit the image, and make another tag of it";
            return Err(Error::invalid("invalid-image", message));
        }
        if self.edit && self.image_project.is_some() {
            let message = "an image can be edited in its own project only, by its name there";
            return Err(Error::invalid("invalid-image", message));
        }
        if self.edit && self.encryption.is_some() {
            let message = "an image that is edited is encrypted or not as it is";
            return Err(Error::invalid("invalid-encryption", message));
        }
        if self.edit && self.size_bytes.is_some() {
            let message = "an image that is edited has the size that it has";
            return Err(Error::invalid("invalid-size", message));
        }
        self.size_bytes.map_or(Ok(()), check_size)?;
        check_rules(&self.initiators, &self.networks, &self.portal_groups)?;
        self.qos.map_or(Ok(()), |qos| qos.check())?;
        self.chap.as_ref().map_or(Ok(()), ChapSpec::check)
    }

    /// Whether `disk` is what this asks for.
    pub(super) fn matches(&self, disk: &Disk) -> bool {
        self.image == disk.image
            && self.image_project.as_ref().unwrap_or(&disk.project) == disk.image_project()
            && (self.tag.is_none() || self.tag == disk.tag)
            && self.edit == disk.edits
            && self.lun == disk.lun
            && self.initiators == disk.initiators
            && self.networks == disk.networks
            && self.portal_groups == disk.portal_groups
            && self.read_only.is_none_or(|read_only| read_only == disk.read_only)
            && self.qos.is_none_or(|qos| qos == disk.qos)
            && (self.encryption.is_none() || self.encryption == disk.encryption)
            && self.size_bytes.is_none_or(|size| size == disk.size_bytes)
            && match &self.chap {
                None => disk.chap.is_none() && disk.chap_per_node.is_none(),
                Some(spec) => spec.is_of(disk),
            }
    }
}

impl DiskChange {
    /// # Errors
    /// As for what a disk is made of.
    pub(super) fn check(&self) -> Result<(), Error> {
        check_rules(
            self.initiators.as_deref().unwrap_or_default(),
            self.networks.as_deref().unwrap_or_default(),
            self.portal_groups.as_deref().unwrap_or_default(),
        )?;
        self.qos.map_or(Ok(()), |qos| qos.check())?;
        self.chap.iter().flatten().try_for_each(ChapSpec::check)
    }

    /// Changes a disk. What of it stays as it is, credentials that were made up too, is left alone.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn apply(&self, disk: &mut Disk) -> Result<(), Error> {
        fn set<T: Clone>(place: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                place.clone_from(value);
            }
        }
        set(&mut disk.initiators, self.initiators.as_ref());
        set(&mut disk.networks, self.networks.as_ref());
        set(&mut disk.portal_groups, self.portal_groups.as_ref());
        set(&mut disk.read_only, self.read_only.as_ref());
        set(&mut disk.exposure, self.exposure.as_ref());
        set(&mut disk.qos, self.qos.as_ref());
        set(&mut disk.barred, self.barred.as_ref());
        match &self.chap {
            None => {}
            Some(None) => (disk.chap, disk.chap_per_node) = (None, None),
            Some(Some(spec)) if spec.is_of(disk) && !spec.renew => {}
            Some(Some(spec)) => spec.put_into(disk)?,
        }
        Ok(())
    }
}

/// Sizes of disks are multiples of this, so that both logical block lengths fit.
const SIZE_GRANULARITY_BYTES: u64 = 4096;

/// # Errors
/// `invalid-size`.
pub(super) fn check_size(size_bytes: u64) -> Result<(), Error> {
    if size_bytes > 0 && size_bytes.is_multiple_of(SIZE_GRANULARITY_BYTES) {
        return Ok(());
    }
    let message = format!(
        "{size_bytes} bytes is no size for a disk: a multiple of {SIZE_GRANULARITY_BYTES} is"
    );
    Err(Error::invalid("invalid-size", message))
}

fn check_rules(initiators: &[String], networks: &[Network], groups: &[u16]) -> Result<(), Error> {
    if [initiators.len(), networks.len(), groups.len()].iter().any(|count| *count > RULES_MAX) {
        return Err(Error::invalid(
            "too-many-rules",
            format!(
                "a disk takes {RULES_MAX} initiator names, {RULES_MAX} networks and {RULES_MAX} \
                 portal groups"
            ),
        ));
    }
    initiators.iter().try_for_each(|name| check_initiator(name.strip_suffix('*').unwrap_or(name)))
}

impl ChapSpec {
    fn check(&self) -> Result<(), Error> {
        let invalid = |message: String| Err(Error::invalid("invalid-chap", message));
        for user in [&self.user, &self.mutual_user].into_iter().flatten() {
            if user.is_empty() || user.len() > 255 || !user.bytes().all(is_chap_byte) {
                return invalid(format!(
                    "{} is no CHAP name: use 1 to 255 printable ASCII characters without space",
                    quoted(user)
                ));
            }
        }
        for secret in [&self.secret, &self.mutual_secret].into_iter().flatten() {
            let secret = secret.expose();
            if !(SECRET_MIN_BYTES..=SECRET_MAX_BYTES).contains(&secret.len())
                || !secret.bytes().all(is_chap_byte)
            {
                return invalid(format!(
                    "a CHAP secret has {SECRET_MIN_BYTES} to {SECRET_MAX_BYTES} printable ASCII \
                     characters without space"
                ));
            }
        }
        let given = [&self.user, &self.mutual_user].into_iter().any(Option::is_some)
            || [&self.secret, &self.mutual_secret].into_iter().any(Option::is_some);
        if self.per_node.is_some() && given {
            return invalid("credentials that are made for each node cannot be given".to_owned());
        }
        if !self.mutual && (self.mutual_user.is_some() || self.mutual_secret.is_some()) {
            return invalid("mutual_user and mutual_secret need \"mutual\": true".to_owned());
        }
        if self.secret.is_some() && self.secret == self.mutual_secret {
            return invalid("the two secrets of mutual CHAP must differ (RFC 7143 9.2.1)".into());
        }
        Ok(())
    }

    /// Whether `disk` has what this asks for.
    fn is_of(&self, disk: &Disk) -> bool {
        match (self.per_node, &disk.chap_per_node, &disk.chap) {
            (Some(delivery), Some(has), _) => (delivery, self.mutual) == (has.delivery, has.mutual),
            (None, None, Some(chap)) => self.matches(chap),
            _ => false,
        }
    }

    /// Gives a disk what this asks for, as it is bound now.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn put_into(&self, disk: &mut Disk) -> Result<(), Error> {
        let Self { per_node, mutual, .. } = *self;
        disk.chap_per_node =
            per_node.map(|delivery| ChapPerNode { mutual, delivery, delivered: None });
        disk.chap = if per_node.is_none() { Some(self.complete(&disk.name)?) } else { None };
        disk.make_node_chap()
    }

    fn matches(&self, chap: &Chap) -> bool {
        fn same<T: PartialEq>(asked: Option<&T>, is: &T) -> bool {
            asked.is_none_or(|asked| asked == is)
        }
        same(self.user.as_ref(), &chap.user)
            && same(self.secret.as_ref(), &chap.secret)
            && match &chap.mutual {
                None => !self.mutual,
                Some((user, secret)) => {
                    self.mutual
                        && same(self.mutual_user.as_ref(), user)
                        && same(self.mutual_secret.as_ref(), secret)
                }
            }
    }

    /// The credentials, with what was not given made up.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn complete(&self, disk: &Name) -> Result<Chap, Error> {
        let mutual = if self.mutual {
            let user = self.mutual_user.clone().unwrap_or_else(|| format!("{disk}-target"));
            Some((user, secret_or_random(self.mutual_secret.as_ref())?))
        } else {
            None
        };
        Ok(Chap {
            user: self.user.clone().unwrap_or_else(|| disk.to_string()),
            secret: secret_or_random(self.secret.as_ref())?,
            mutual,
        })
    }
}

impl Disk {
    /// Makes the credentials of the node that a disk is bound to, if each node has its own; takes
    /// them away if it is bound to none.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn make_node_chap(&mut self) -> Result<(), Error> {
        let Some(per_node) = &mut self.chap_per_node else { return Ok(()) };
        per_node.delivered = None;
        let spec = ChapSpec { mutual: per_node.mutual, ..ChapSpec::default() };
        self.chap = self.node.as_ref().map(|node| spec.complete(node)).transpose()?;
        Ok(())
    }
}

fn secret_or_random(secret: Option<&Secret>) -> Result<Secret, Error> {
    use base64::Engine as _;
    if let Some(secret) = secret {
        return Ok(secret.clone());
    }
    let random = random::<SECRET_RANDOM_BYTES>()?;
    Ok(Secret::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)))
}

/// Random bytes of the system.
///
/// # Errors
/// When there are none.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        let message = format!("the system gives no random numbers: {error}");
        Error::new(super::error::ErrorKind::Internal, "no-random-numbers", message)
    })?;
    Ok(bytes)
}

/// Printable, without what iPXE would expand (`$`) or a shell or a script could take amiss.
fn is_chap_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"$\"'`\\#&|;".contains(&byte)
}

fn check_initiator(name: &str) -> Result<(), Error> {
    // Names are compared in lower case (RFC 3722), so upper case is no other name.
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
    if name.len() <= INITIATOR_NAME_MAX_BYTES && name.len() >= 4 && name.bytes().all(good) {
        return Ok(());
    }
    Err(Error::invalid(
        "invalid-initiator",
        format!(
            "{} is no initiator name; one is like iqn.2004-10.org.example:node-1 (RFC 7143 4.2.7)",
            quoted(name)
        ),
    ))
}

impl NodeSpec {
    /// The same with MAC addresses in their one form.
    ///
    /// # Errors
    /// `invalid-mac`, `invalid-initiator`.
    pub(super) fn checked(&self) -> Result<Self, Error> {
        if let Some(initiator) = &self.initiator {
            check_initiator(initiator)?;
        }
        if self.macs.len() > MACS_MAX {
            let message = format!("a node takes {MACS_MAX} MAC addresses");
            return Err(Error::invalid("too-many-macs", message));
        }
        let mut macs =
            self.macs.iter().map(|mac| canonical_mac(mac)).collect::<Result<Vec<_>, _>>()?;
        macs.sort();
        macs.dedup();
        Ok(Self { macs, initiator: self.initiator.clone() })
    }
}

/// A MAC address in its one form.
///
/// # Errors
/// `invalid-mac`.
pub(super) fn canonical_mac(text: &str) -> Result<String, Error> {
    let octets: Vec<&str> = text.split([':', '-']).collect();
    let hex = |octet: &&str| octet.len() == 2 && octet.bytes().all(|b| b.is_ascii_hexdigit());
    if octets.len() == 6 && octets.iter().all(hex) {
        return Ok(octets.join(":").to_ascii_lowercase());
    }
    let message = format!("{} is no MAC address, as 52:54:00:12:34:56 is one", quoted(text));
    Err(Error::invalid("invalid-mac", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(chap: ChapSpec) -> DiskSpec {
        DiskSpec { chap: Some(chap), ..DiskSpec::new(ImageName::new("i").unwrap()) }
    }

    #[test]
    fn macs_have_one_form() {
        let node = |macs: &[&str]| NodeSpec {
            macs: macs.iter().map(ToString::to_string).collect(),
            initiator: None,
        };
        let checked = node(&["52-54-00-AB-cd-EF", "52:54:00:ab:cd:ef"]).checked().unwrap();
        assert_eq!(checked.macs, ["52:54:00:ab:cd:ef"]);
        for mac in ["", "52:54:00:ab:cd", "52:54:00:ab:cd:gg", "525400abcdef", "5:254:00:ab:cd:ef"]
        {
            assert_eq!(node(&[mac]).checked().unwrap_err().code(), "invalid-mac", "{mac}");
        }
    }

    #[test]
    fn chap_is_made_up_where_it_is_not_given() {
        let asked = ChapSpec { mutual: true, ..ChapSpec::default() };
        let disk = Name::disk("n1").unwrap();
        let first = asked.complete(&disk).unwrap();
        let second = asked.complete(&disk).unwrap();
        assert_eq!(first.user, "n1");
        assert_eq!(first.secret.expose().len(), 16);
        assert_ne!(first.secret, second.secret);
        assert_ne!(first.secret, first.mutual.as_ref().unwrap().1);
        assert!(asked.matches(&first) && !ChapSpec::default().matches(&first));
    }

    #[test]
    fn bad_chap_is_refused() {
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        let bad = [
            ChapSpec { secret: secret("short"), ..ChapSpec::default() },
            ChapSpec { secret: secret("with ${a} in it"), ..ChapSpec::default() },
            ChapSpec { user: Some("a\nb".into()), ..ChapSpec::default() },
            ChapSpec { mutual_user: Some("t".into()), ..ChapSpec::default() },
            ChapSpec {
                secret: secret("same-same-same"),
                mutual: true,
                mutual_secret: secret("same-same-same"),
                ..ChapSpec::default()
            },
        ];
        for chap in bad {
            assert_eq!(spec(chap).check().unwrap_err().code(), "invalid-chap");
        }
    }

    #[test]
    fn bad_initiator_names_are_refused() {
        for name in ["", "iqn", "iqn.2004-10.x:a b", "iqn.\n", "*", "iqn.a*b"] {
            let mut disk = spec(ChapSpec::default());
            disk.initiators = vec![name.to_owned()];
            assert_eq!(disk.check().unwrap_err().code(), "invalid-initiator", "{name}");
        }
    }
}
