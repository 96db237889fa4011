//! The targets as tgtd would have them: attached disks of the catalog, and targets that have no
//! logical unit yet, which are in memory only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sha2::{Digest, Sha256};

use crate::catalog::{AccessRules, ChapSpec, Disk, Exposure, Image, Name, Network, Secret};

/// A target.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) tid: i32,
    pub(super) name: String,
    /// Its logical unit besides the controller.
    pub(super) unit: Option<Unit>,
    pub(super) rules: Rules,
    pub(super) ready: bool,
}

/// A logical unit, as it is shown.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) lun: u64,
    pub(super) kind: &'static str,
    pub(super) scsi_id: String,
    pub(super) scsi_sn: String,
    pub(super) size_bytes: u64,
    pub(super) block_bytes: u32,
    pub(super) online: bool,
    pub(super) read_only: bool,
    pub(super) thin: bool,
    pub(super) store: &'static str,
    pub(super) path: String,
}

impl Unit {
    /// What tgt has as LUN 0 of every target.
    pub(super) fn controller(tid: i32) -> Self {
        Self {
            lun: 0,
            kind: "controller",
            scsi_id: format!("IET     {tid:04x}{:04x}", 0),
            scsi_sn: format!("beaf{tid}{}", 0),
            size_bytes: 0,
            block_bytes: 1,
            online: true,
            read_only: false,
            thin: false,
            store: "null",
            path: "None".to_owned(),
        }
    }

    fn of_disk(disk: &Disk, image: &Image, wwid: &str, online: bool) -> Self {
        Self {
            lun: disk.lun.into(),
            kind: "disk",
            scsi_id: wwid.to_owned(),
            scsi_sn: wwid.trim_start_matches("naa.").to_owned(),
            size_bytes: disk.size_bytes,
            block_bytes: 512,
            online,
            read_only: disk.read_only,
            thin: true,
            store: if disk.store == super::RBD { "rbd" } else { "rdwr" },
            path: image.source.clone(),
        }
    }
}

/// A user and what they prove themselves with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) password: Secret,
}

/// An address rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// Whatever the address.
    All,
    /// As it was written.
    Network(Network),
}

/// Both of these are what tgt calls ALL; no rule at all means no one to tgt, and anyone to us.
const ANY: [Network; 2] = [
    Network { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 },
    Network { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 0 },
];

impl Address {
    /// `ALL`, an address, or a network; IPv6 in brackets, as tgt has it, or without.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "ALL" {
            return Some(Self::All);
        }
        let bare = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => format!("{address}{rest}"),
            None => text.to_owned(),
        };
        bare.parse().ok().map(Self::Network)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Network(Network { address, prefix }) = self else { return f.write_str("ALL") };
        match (address, prefix) {
            (IpAddr::V4(_), 32) => address.fmt(f),
            (IpAddr::V4(_), _) => write!(f, "{address}/{prefix}"),
            (IpAddr::V6(_), 128) => write!(f, "[{address}]"),
            (IpAddr::V6(_), _) => write!(f, "[{address}]/{prefix}"),
        }
    }
}

/// Who may log in to a target: from one of the addresses, and if names are given with one of them,
/// and if there are accounts, with one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) addresses: Vec<Address>,
    pub(super) initiators: Vec<String>,
    pub(super) incoming: Option<Account>,
    pub(super) outgoing: Option<Account>,
}

impl Rules {
    /// As the catalog has it.
    pub(super) fn access(&self) -> AccessRules {
        let networks = self.addresses.iter().flat_map(|address| match address {
            Address::All => ANY.to_vec(),
            Address::Network(network) => vec![*network],
        });
        let chap = self.incoming.as_ref().map(|incoming| ChapSpec {
            user: Some(incoming.name.clone()),
            secret: Some(incoming.password.clone()),
            mutual: self.outgoing.is_some(),
            mutual_user: self.outgoing.as_ref().map(|outgoing| outgoing.name.clone()),
            mutual_secret: self.outgoing.as_ref().map(|outgoing| outgoing.password.clone()),
            per_node: None,
            renew: false,
        });
        AccessRules {
            closed: self.addresses.is_empty(),
            initiators: self.initiators.clone(),
            networks: networks.collect(),
            chap,
        }
    }

    fn of_disk(disk: &Disk) -> Self {
        let mut addresses = Vec::new();
        for network in &disk.networks {
            if *network == ANY[0] {
                addresses.push(Address::All);
            } else if *network != ANY[1] {
                addresses.push(Address::Network(*network));
            }
        }
        let account = |name: &str, password: &Secret| Account {
            name: name.to_owned(),
            password: password.clone(),
        };
        let chap = disk.chap.as_ref();
        let mutual = chap.and_then(|chap| chap.mutual.as_ref());
        Self {
            addresses,
            initiators: disk.initiators.clone(),
            incoming: chap.map(|chap| account(&chap.user, &chap.secret)),
            outgoing: mutual.map(|(name, password)| account(name, password)),
        }
    }
}

/// An attached disk, and whether it is served.
pub(super) struct Attached {
    pub(super) disk: Disk,
    pub(super) image: Image,
    pub(super) wwid: String,
    pub(super) online: bool,
}

/// What is known besides the catalog, until the daemon ends; as with tgtd.
#[derive(Default)]
pub(super) struct Memory {
    /// Numbers of targets, by name.
    tids: BTreeMap<String, i32>,
    /// Targets without a logical unit.
    pub(super) bare: BTreeMap<String, Rules>,
    /// The latest first.
    pub(super) accounts: Vec<Account>,
    /// The last session that was shown. A session that has ended meanwhile is as good as closed.
    pub(super) last_shown: u64,
}

impl Memory {
    /// All targets by their numbers; those that the catalog has of before get one.
    pub(super) fn targets(&mut self, mut attached: Vec<Attached>) -> Vec<Target> {
        attached.sort_by(|a, b| {
            (a.disk.created, &a.disk.target).cmp(&(b.disk.created, &b.disk.target))
        });
        let known = |name: &String| attached.iter().any(|it| it.disk.target == *name);
        // Removed by somebody else.
        self.tids.retain(|name, _| self.bare.contains_key(name) || known(name));
        for found in &attached {
            self.number(&found.disk.target);
        }
        let tid = |name: &str| self.tids.get(name).copied().unwrap_or_default();
        let of_disk = |it: &Attached| Target {
            tid: tid(&it.disk.target),
            name: it.disk.target.clone(),
            unit: Some(Unit::of_disk(&it.disk, &it.image, &it.wwid, it.online)),
            rules: Rules::of_disk(&it.disk),
            ready: it.disk.exposure == Exposure::Enabled,
        };
        let bare = |(name, rules): (&String, &Rules)| Target {
            tid: tid(name),
            name: name.clone(),
            unit: None,
            rules: rules.clone(),
            ready: true,
        };
        let bare = self.bare.iter().filter(|(name, _)| !known(name)).map(bare);
        let mut targets: Vec<Target> = attached.iter().map(of_disk).chain(bare).collect();
        targets.sort_by_key(|target| target.tid);
        targets
    }

    /// Gives a target the lowest number that is free if it has none.
    fn number(&mut self, name: &str) {
        if self.tids.contains_key(name) {
            return;
        }
        let taken: BTreeSet<i32> = self.tids.values().copied().collect();
        // There are fewer targets than numbers.
        if let Some(free) = (1..=i32::MAX).find(|tid| !taken.contains(tid)) {
            self.tids.insert(name.to_owned(), free);
        }
    }

    /// A target that has nothing yet.
    pub(super) fn add(&mut self, tid: i32, name: &str) {
        self.tids.insert(name.to_owned(), tid);
        self.bare.insert(name.to_owned(), Rules::default());
    }

    /// Forgets a target.
    pub(super) fn remove(&mut self, name: &str) {
        self.bare.remove(name);
        self.tids.remove(name);
    }
}

/// The name of the disk that a target has in the catalog: the target's own where it can be, and
/// otherwise its last part and a few digits that tell it from others with the same one.
pub(super) fn disk_name(target: &str) -> Option<Name> {
    const PART_MAX_CHARS: usize = 50;
    if let Ok(name) = Name::disk(target) {
        return Some(name);
    }
    let digest = Sha256::digest(target.as_bytes());
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let last = target.rsplit(':').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let part: String = last.chars().take(PART_MAX_CHARS).map(plain).collect();
    let part = part.trim_matches(['.', '-']);
    let name = if part.is_empty() { digits } else { format!("{part}-{digits}") };
    Name::disk(&name).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_as_tgt_has_them() {
        for text in ["ALL", "10.0.0.1", "10.0.0.0/8", "[fd00::1]", "[fd00::]/64"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "all", "10.0.0.0/33", "host", "[::1", "10.0.0.0/255.0.0.0"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn no_address_is_no_one_and_all_is_anyone() {
        let mut rules = Rules::default();
        assert!(rules.access().closed);
        rules.addresses.push(Address::All);
        assert!(!rules.access().closed && rules.access().networks == ANY);
    }

    #[test]
    fn no_two_targets_have_one_number() {
        let mut memory = Memory::default();
        memory.add(i32::MAX, "iqn.last");
        memory.add(2, "iqn.two");
        for name in ["iqn.a", "iqn.b", "iqn.a", "iqn.c"] {
            memory.number(name);
        }
        let of = |name: &str| memory.tids[name];
        assert_eq!((of("iqn.a"), of("iqn.b"), of("iqn.c")), (1, 3, 4));
        assert_eq!((of("iqn.last"), of("iqn.two")), (i32::MAX, 2));
    }

    #[test]
    fn disks_of_targets() {
        let name = |target| disk_name(target).unwrap().to_string();
        assert_eq!(name("5img12"), "5img12");
        let volume = name("iqn.2010-10.org.openstack:volume-8c1f");
        assert!(volume.starts_with("volume-8c1f-") && volume.len() == 20, "{volume}");
        assert_ne!(name("iqn.2010-10.org.a:x"), name("iqn.2010-10.org.b:x"));
    }

    proptest! {
        #[test]
        fn every_target_has_a_disk(target in "[a-z0-9:.-]{1,223}") {
            prop_assert!(disk_name(&target).is_some());
        }
    }
}
