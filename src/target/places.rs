//! Places for what anyone may ask for before it has shown who it is: there is a number of them,
//! and no address may have more than a quarter, so that one machine does not shut the others out.
//! Of IPv6 addresses a machine has as many as it likes: there it is its network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many places.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    address_max: usize,
    by_address: Mutex<HashMap<IpAddr, Part>>,
}

/// What an address may have.
#[derive(Debug)]
struct Part {
    free: Arc<Semaphore>,
    /// Those who have some of it, or wait for it.
    users: usize,
}

/// One of them; goes back when dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _of_address: OwnedSemaphorePermit,
    _user: User,
}

/// One who uses the part of an address, which is kept for so long.
struct User {
    of: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
        let address_max = max.div_ceil(4).min(Semaphore::MAX_PERMITS);
        Arc::new(Self { free, address_max, by_address: Mutex::default() })
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

    /// A place, as soon as the address has one of its part free, and then there is one. Who waits
    /// for the first keeps no other address waiting.
    pub(crate) async fn wait_turn(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let (user, part) = self.part(address);
        let of_address = part.acquire_owned().await.ok()?;
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(Place { _permit: permit, _of_address: of_address, _user: user })
    }

    fn give(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let (user, part) = self.part(address);
        let of_address = part.try_acquire_owned().ok()?;
        Some(Place { _permit: permit, _of_address: of_address, _user: user })
    }

    fn part(self: &Arc<Self>, address: IpAddr) -> (User, Arc<Semaphore>) {
        let address = network(address);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Part { free: Arc::new(Semaphore::new(self.address_max)), users: 0 };
        let part = by_address.entry(address).or_insert_with(new);
        part.users += 1;
        (User { of: Arc::clone(self), address }, Arc::clone(&part.free))
    }
}

/// An IPv4 address, or the /64 of an IPv6 address, in which hosts choose theirs (RFC 4291 2.5.4).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut by_address = self.of.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = by_address.get_mut(&self.address) {
            part.users -= 1;
            if part.users == 0 {
                by_address.remove(&self.address);
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

    #[tokio::test]
    async fn who_waits_gets_the_next_place_of_its_address() {
        let places = Places::new(8);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held: Vec<_> = [one, one].map(|it| places.take(it).unwrap()).into();
        let mut waiting = Box::pin(places.wait_turn(one));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("the address has its part already"),
            place = places.wait_turn(other) => drop(place.unwrap()),
        }
        held.pop();
        held.push(waiting.await.unwrap());
        assert!(places.take(one).is_none());
        // Nothing is kept of who has given up waiting, either.
        let mut waiting = Box::pin(places.wait_turn(one));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("the address has its part already"),
            () = std::future::ready(()) => {}
        }
        drop(held);
        drop(waiting);
        assert!(places.by_address.lock().unwrap().is_empty());
    }
}
