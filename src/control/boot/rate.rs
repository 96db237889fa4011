//! How often one address may ask.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What an address may ask at once, after a pause.
const BURST: u32 = 120;
/// After so long it may ask once more.
const INTERVAL: Duration = Duration::from_millis(100);
/// Addresses that are remembered. When there are more, those are forgotten that have been quiet.
const ADDRESSES_MAX: usize = 8192;
/// Of an IPv6 address, what names a network: whoever is in it can have all of its addresses.
const NETWORK_BITS: u32 = 64;

/// Who has asked lately: until when each has used up what it may.
#[derive(Default)]
pub(super) struct Rate(Mutex<HashMap<IpAddr, Instant>>);

impl Rate {
    /// Whether an address may ask now, which then counts.
    pub(super) fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let address = match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> NETWORK_BITS << NETWORK_BITS;
                Ipv6Addr::from_bits(network).into()
            }
            v4 @ IpAddr::V4(_) => v4,
        };
        let mut askers = self.0.lock();
        if askers.len() >= ADDRESSES_MAX && !askers.contains_key(&address) {
            askers.retain(|_, until| *until > now);
            if askers.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let until = askers.entry(address).or_insert(now);
        let used = (*until).max(now) + INTERVAL;
        if used > now + INTERVAL * BURST {
            return false;
        }
        *until = used;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_keep_others_out() {
        let (rate, now) = (Rate::default(), Instant::now());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let admitted = |address, at| (0..1000).filter(|_| rate.admits(address, at)).count();
        assert_eq!(admitted(ip("192.0.2.1"), now), 120);
        assert_eq!(admitted(ip("192.0.2.2"), now), 120);
        assert_eq!(admitted(ip("192.0.2.1"), now + Duration::from_secs(1)), 10);
        assert_eq!(admitted(ip("2001:db8::1"), now), 120);
        assert_eq!(admitted(ip("2001:db8::2"), now), 0, "the same network");
        assert_eq!(admitted(ip("2001:db8:0:1::1"), now), 120);
    }

    #[test]
    fn it_remembers_only_so_many() {
        let (rate, now) = (Rate::default(), Instant::now());
        let ask = |n: u32, at| rate.admits(IpAddr::from(n.to_be_bytes()), at);
        assert!((0..8192).all(|n| ask(n, now)));
        assert!(!ask(9000, now), "all of them have just asked");
        assert!(ask(1, now), "who is known goes on");
        assert!(ask(9000, now + Duration::from_secs(1)));
        assert_eq!(rate.0.lock().len(), 1);
    }
}
