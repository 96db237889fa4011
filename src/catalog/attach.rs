//! Images that were there before, served as they are.

use super::error::Error;
use super::model::Network;
use super::name::{ImageName, quoted};
use super::spec::{ChapSpec, DiskChange, DiskSpec};

/// RFC 7143 4.2.7.1.
const TARGET_NAME_MAX_BYTES: usize = 223;
/// What the names of this product's own images begin with, whichever catalog they are of.
const OWN_PREFIX: &str = "stirrup-";

/// Who may log in to a disk.
#[derive(Debug, Clone, Default)]
pub struct AccessRules {
    /// No one may, whatever the rest says.
    pub closed: bool,
    /// Initiator names; empty: any, as [`super::UnnamedAccess`] has it.
    pub initiators: Vec<String>,
    /// Networks that an initiator must come from; empty: any.
    pub networks: Vec<Network>,
    /// CHAP is required.
    pub chap: Option<ChapSpec>,
}

/// An image of a store that is to be served as it is.
#[derive(Debug, Clone)]
pub struct AttachSpec {
    /// The store.
    pub store: String,
    /// The image's name there.
    pub backing: String,
    /// What its owner calls it, to be shown.
    pub source: String,
    /// Target name: any that iSCSI takes, in lower case. It need not be an IQN.
    pub target: String,
    /// Logical unit number.
    pub lun: u16,
    /// Who may log in.
    pub rules: AccessRules,
}

impl AccessRules {
    /// The rules as those of a disk.
    pub(super) fn disk_spec(&self, image: ImageName, lun: u16) -> DiskSpec {
        DiskSpec {
            edit: true,
            lun,
            initiators: self.initiators.clone(),
            networks: self.networks.clone(),
            chap: self.chap.clone(),
            ..DiskSpec::new(image)
        }
    }
}

impl From<AccessRules> for DiskChange {
    /// Sessions that may go on do.
    fn from(AccessRules { closed, initiators, networks, chap }: AccessRules) -> Self {
        Self {
            barred: Some(closed),
            initiators: Some(initiators),
            networks: Some(networks),
            chap: Some(chap),
            keep_sessions: true,
            ..Self::default()
        }
    }
}

impl AttachSpec {
    /// Whose names begin with `own_target_prefix` are made here.
    ///
    /// # Errors
    /// `invalid-target`, `invalid-image`.
    pub(super) fn check(&self, own_target_prefix: &str) -> Result<(), Error> {
        let good =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
        let target = &self.target;
        let is_name =
            (1..=TARGET_NAME_MAX_BYTES).contains(&target.len()) && target.bytes().all(good);
        if !is_name {
            let message = format!(
                "{} is no target name: use 1 to {TARGET_NAME_MAX_BYTES} of a-z, 0-9, '-', '.' and \
                 ':'",
                quoted(target)
            );
            return Err(Error::invalid("invalid-target", message));
        }
        if target.strip_prefix(own_target_prefix).is_some_and(|rest| rest.starts_with(':')) {
            let message = format!(
                "target names that begin with {own_target_prefix}: are given out to disks that are \
                 made here; use another"
            );
            return Err(Error::invalid("invalid-target", message));
        }
        if self.backing.starts_with(OWN_PREFIX) {
            let message = format!(
                "{} was made by Stirrup, whose catalog looks after it",
                quoted(&self.backing)
            );
            return Err(Error::invalid("invalid-image", message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_attached() {
        let spec = |target: &str, backing: &str| AttachSpec {
            store: "rbd".to_owned(),
            backing: backing.to_owned(),
            source: String::new(),
            target: target.to_owned(),
            lun: 1,
            rules: AccessRules::default(),
        };
        let check = |target: &str, backing: &str| {
            spec(target, backing).check("iqn.2026-01.io.stirrup").map_err(|error| error.code())
        };
        for target in ["5img12", "iqn.2010-10.org.openstack:volume-1", "iqn.2026-01.io.stirrup2:a"]
        {
            assert_eq!(check(target, "5img12"), Ok(()), "{target}");
        }
        let long = "a".repeat(224);
        for target in ["", "A", "a b", "a_b", "a/b", "é", "iqn.2026-01.io.stirrup:p.d", &long] {
            assert_eq!(check(target, "5img12"), Err("invalid-target"), "{target}");
        }
        assert_eq!(check("5img12", "stirrup-01234567-disk1"), Err("invalid-image"));
    }
}
