//! Who may log in to a target.

use std::net::IpAddr;

use super::spec::{Access, Initiators};

impl Access {
    /// True if an initiator of this name at this address may try; CHAP comes on top.
    #[must_use]
    pub fn admits(&self, initiator: &str, address: IpAddr) -> bool {
        admits(&self.initiators, &self.addresses, initiator, address)
    }

    /// True if the target is there in the portal group of this tag.
    #[must_use]
    pub fn is_offered_in(&self, portal_group_tag: u16) -> bool {
        self.portal_groups.is_empty() || self.portal_groups.contains(&portal_group_tag)
    }
}

/// True if rules by name and by network (none: any) admit an initiator.
pub(super) fn admits(
    initiators: &Initiators,
    networks: &[(IpAddr, u8)],
    initiator: &str,
    address: IpAddr,
) -> bool {
    let name_ok = match initiators {
        Initiators::Any => true,
        Initiators::Listed(patterns) => {
            patterns.iter().any(|pattern| name_matches(pattern, initiator))
        }
    };
    name_ok && (networks.is_empty() || networks.iter().any(|network| contains(*network, address)))
}

/// iSCSI names are compared in their normalised form, which for ASCII is lower case
/// (RFC 7143 4.2.7.1).
fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => {
            name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
        }
        None => pattern.eq_ignore_ascii_case(name),
    }
}

/// True if the network holds the address; an IPv4 address that came over an IPv6 socket counts
/// as IPv4.
pub(crate) fn contains((network, prefix): (IpAddr, u8), address: IpAddr) -> bool {
    match (network, address.to_canonical()) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32u32.saturating_sub(prefix.into());
            (u64::from(network.to_bits()) >> shift) == (u64::from(address.to_bits()) >> shift)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128u32.saturating_sub(prefix.into());
            shift == 128 || (network.to_bits() >> shift) == (address.to_bits() >> shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_hold_their_addresses() {
        assert!(contains((ip("10.1.2.0"), 24), ip("10.1.2.255")));
        assert!(!contains((ip("10.1.2.0"), 24), ip("10.1.3.0")));
        assert!(contains((ip("10.1.2.0"), 24), ip("::ffff:10.1.2.3")));
        assert!(contains((ip("0.0.0.0"), 0), ip("1.2.3.4")));
        assert!(!contains((ip("0.0.0.0"), 0), ip("fd00::1")));
        assert!(contains((ip("fd00::"), 64), ip("fd00::ffff")));
        assert!(!contains((ip("fd00::"), 64), ip("fd00:0:0:1::1")));
        assert!(contains((ip("::"), 0), ip("fd00::1")));
        assert!(contains((ip("fd00::1"), 128), ip("fd00::1")));
    }

    #[test]
    fn both_conditions_must_hold() {
        let access = Access {
            initiators: Initiators::Listed(vec![
                "iqn.2026-11.io.example:node1".into(),
                "iqn.2010-04.org.ipxe:*".into(),
            ]),
            addresses: vec![(ip("10.0.0.0"), 8)],
            ..Access::default()
        };
        assert!(access.admits("IQN.2026-11.io.example:NODE1", ip("10.9.9.9")));
        assert!(access.admits("iqn.2010-04.org.ipxe:4711", ip("10.9.9.9")));
        assert!(!access.admits("iqn.2026-11.io.example:node2", ip("10.9.9.9")));
        assert!(!access.admits("iqn.2026-11.io.example:node1", ip("11.0.0.1")));
        assert!(Access::default().admits("anyone", ip("::1")));
        let nobody = Access { initiators: Initiators::Listed(vec![]), ..Access::default() };
        assert!(!nobody.admits("", ip("::1")));
        assert!(nobody.is_offered_in(7));
        let somewhere = Access { portal_groups: vec![1, 3], ..Access::default() };
        assert!(somewhere.is_offered_in(3) && !somewhere.is_offered_in(2));
    }
}
