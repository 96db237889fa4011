//! Portal groups: where targets are reached, and who may come in there.

use std::net::{IpAddr, SocketAddr};

use super::access::admits;
use super::spec::{Chap, Initiators};

/// A portal group (RFC 7143 4.4.3): portals that one session may span. With a target's name its
/// tag makes a SCSI target port, so the same initiator has a session of its own in each group.
#[derive(Debug, Clone)]
pub struct PortalGroup {
    /// Portal group tag, different in each group; not 0, which SPC-5 keeps as a target port's
    /// number.
    pub tag: u16,
    /// `ADDRESS:PORT`s to listen on.
    pub portals: Vec<SocketAddr>,
    /// `ADDRESS:PORT`s to tell initiators instead of those they connect to, for gateways behind
    /// address translation. Empty: the portals themselves.
    pub advertise: Vec<SocketAddr>,
    /// Who may log in here, by name. A target's own rules come on top.
    pub initiators: Initiators,
    /// Who may log in here, by address, as networks with their prefix lengths; empty: any.
    pub addresses: Vec<(IpAddr, u8)>,
    /// CHAP for discovery sessions, required if set. That of other sessions is the target's.
    pub discovery_chap: Option<Chap>,
}

impl PortalGroup {
    /// A group that is open to all.
    #[must_use]
    pub fn open(tag: u16, portals: &[SocketAddr]) -> Self {
        Self {
            tag,
            portals: portals.to_vec(),
            advertise: Vec::new(),
            initiators: Initiators::Any,
            addresses: Vec::new(),
            discovery_chap: None,
        }
    }

    /// True if an initiator of this name at this address may log in to anything here.
    pub(super) fn admits(&self, initiator: &str, address: IpAddr) -> bool {
        admits(&self.initiators, &self.addresses, initiator, address)
    }

    /// Where initiators reach the group. For portals that are bound to all addresses that is
    /// `local`, the address that an initiator has connected to.
    pub(super) fn reached_at(&self, local: Option<IpAddr>) -> Vec<SocketAddr> {
        if !self.advertise.is_empty() {
            return self.advertise.clone();
        }
        let local = local.map(|ip| ip.to_canonical());
        let reached = |portal: &SocketAddr| match (portal.ip().is_unspecified(), local) {
            (false, _) => Some(*portal),
            (true, Some(local)) if local.is_ipv4() == portal.is_ipv4() => {
                Some(SocketAddr::new(local, portal.port()))
            }
            (true, _) => None,
        };
        self.portals.iter().filter_map(reached).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_told_as_the_address_that_was_used() {
        let portals = ["0.0.0.0:3260", "[::]:3261", "192.0.2.1:99"].map(|p| p.parse().unwrap());
        let mut group = PortalGroup::open(1, &portals);
        let reached = |group: &PortalGroup, local: &str| {
            group.reached_at(local.parse().ok()).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(reached(&group, "10.0.0.1"), ["10.0.0.1:3260", "192.0.2.1:99"]);
        assert_eq!(reached(&group, "fd00::1"), ["[fd00::1]:3261", "192.0.2.1:99"]);
        assert_eq!(reached(&group, "::ffff:10.0.0.1"), ["10.0.0.1:3260", "192.0.2.1:99"]);
        assert_eq!(reached(&group, "unknown"), ["192.0.2.1:99"]);
        group.advertise = vec!["198.51.100.1:3260".parse().unwrap()];
        assert_eq!(reached(&group, "10.0.0.1"), ["198.51.100.1:3260"]);
    }
}
