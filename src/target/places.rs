//! Places for what anyone may ask for before it has shown who it is: there is a number of them,
//! and no address may have more than a quarter, so that one machine does not shut the others out.
//! Of IPv6 addresses a machine has as many as it likes: there it is its network.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many places.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    address_max: usize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them; goes back when dropped.
pub(crate) struct Place {
    of: Arc<Places>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
        Arc::new(Self { free, address_max: max.div_ceil(4), by_address: Mutex::default() })
    }

    /// A place, as soon as there is one; `None` if the address has its part already.
    pub(crate) async fn wait(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        self.give(address, permit)
    }

    /// A place; `None` if there is none, or the address has its part already.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        self.give(address, permit)
    }

    fn give(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let address = network(address);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = by_address.entry(address).or_default();
        if *of_address >= self.address_max {
            return None;
        }
        *of_address += 1;
        Some(Place { of: Arc::clone(self), address, _permit: permit })
    }
}

/// An IPv4 address, or the /64 of an IPv6 address, in which hosts choose theirs (RFC 4291 2.5.4).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.of.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut held) = by_address.entry(self.address) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let places = Places::new(8);
        let take = |address: &str| places.take(address.parse().unwrap());
        let held = ["fd00::1", "fd00::2"].map(|address| take(address).unwrap());
        assert!(take("fd00::ffff:3").is_none());
        assert!(take("fd00:0:0:1::1").is_some() && take("::ffff:10.0.0.1").is_some());
        drop(held);
        assert!(places.by_address.lock().unwrap().is_empty());
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let places = Places::new(8);
        let take = |address: IpAddr| places.take(address);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held: Vec<_> = std::iter::from_fn(|| take(one)).collect();
        assert_eq!(held.len(), 2);
        assert!(take(other).is_some());
        held.pop();
        assert!(take(one).is_some());
        drop(held);
        assert!(places.by_address.lock().unwrap().is_empty(), "nothing is kept of who has gone");
        let many = (0..=255u8).map_while(|i| take(IpAddr::from([10, 0, 1, i])));
        assert_eq!(many.collect::<Vec<_>>().len(), 8);
    }
}
