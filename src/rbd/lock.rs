//! The exclusive lock of an image.
#![allow(unsafe_code)]

use std::ffi::c_char;

use rustix::io::Errno;

use super::cluster::cstring;
use super::ffi::{FEATURE_EXCLUSIVE_LOCK, LOCK_EXCLUSIVE, Watcher};
use super::pool::{fetch, text};
use super::{Error, Image};

impl Image {
    /// Whether the cluster, asked now, has this client as the owner of the exclusive lock.
    pub(super) fn owns_lock(&self) -> Result<bool, Error> {
        let mut owns = 0;
        // SAFETY: the call fills in `owns`.
        let code =
            unsafe { (self.api().rbd_is_exclusive_lock_owner)(self.handle(), &raw mut owns) };
        self.check(code, "rbd_is_exclusive_lock_owner")?;
        Ok(owns != 0)
    }

    /// The address of the live client that has the exclusive lock; also this one's.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn live_owner(&self) -> Result<Option<String>, Error> {
        let Some(owner) = self.lock_owner()? else { return Ok(None) };
        Ok(self.watchers()?.contains(&owner).then_some(owner))
    }

    /// The address of the client that has the exclusive lock. It may be dead.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn lock_owner(&self) -> Result<Option<String>, Error> {
        let api = self.api();
        let mut mode = 0;
        // SAFETY: on success the call has filled in as many entries as it says.
        let owners = unsafe {
            fetch(|owners: *mut *mut c_char, count| {
                (api.rbd_lock_get_owners)(self.handle(), &raw mut mode, owners, count)
            })
        };
        let mut owners = match owners {
            Err(code) if code == -Errno::NOENT.raw_os_error() => return Ok(None),
            other => other
                .or_else(|code| self.pool().fail(code, || format!("lock of {}", self.label())))?,
        };
        // SAFETY: librbd's own, NUL-terminated strings, given back once, after the copy.
        unsafe {
            let owner = owners.first().map(|owner| text(*owner));
            (api.rbd_lock_get_owners_cleanup)(owners.as_mut_ptr(), owners.len());
            Ok(owner)
        }
    }

    /// The addresses of the clients that have the image open for writing. A dead one stays for
    /// up to 30 s (`osd_client_watch_timeout`).
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn watchers(&self) -> Result<Vec<String>, Error> {
        let api = self.api();
        // SAFETY: on success the call has filled in as many entries as it says.
        let watchers = unsafe {
            fetch(|watchers: *mut Watcher, count| {
                (api.rbd_watchers_list)(self.handle(), watchers, count)
            })
        };
        let mut watchers = watchers
            .or_else(|code| self.pool().fail(code, || format!("watchers of {}", self.label())))?;
        // SAFETY: librbd's own, NUL-terminated strings, given back once, after the copy.
        unsafe {
            let addresses = watchers.iter().map(|watcher| text(watcher.addr)).collect();
            (api.rbd_watchers_list_cleanup)(watchers.as_mut_ptr(), watchers.len());
            Ok(addresses)
        }
    }

    /// Gives an image that was made without it the exclusive-lock feature; handles that are open
    /// see it when they are refreshed.
    ///
    /// # Errors
    /// EROFS for a snapshot.
    pub fn enable_exclusive_lock(&self) -> Result<(), Error> {
        // SAFETY: an open handle.
        let code =
            unsafe { (self.api().rbd_update_features)(self.handle(), FEATURE_EXCLUSIVE_LOCK, 1) };
        self.check(code, "the feature exclusive-lock")
    }

    /// Takes the exclusive lock for good: librbd will not hand it to another client that asks.
    ///
    /// # Errors
    /// EROFS or EBUSY if a live client keeps it.
    pub fn acquire_lock(&self) -> Result<(), Error> {
        // SAFETY: an open handle.
        let code = unsafe { (self.api().rbd_lock_acquire)(self.handle(), LOCK_EXCLUSIVE) };
        self.check(code, "exclusive lock")?;
        self.lease().set_lockless(false);
        Ok(())
    }

    /// Lets go of the exclusive lock, once what was written has ended: it is to be taken again before
    /// something is written. Blocks.
    ///
    /// # Errors
    /// EINVAL if this does not have it.
    pub fn release_lock(&self) -> Result<(), Error> {
        // Whatever comes of it, it is not had for certain any more.
        self.lease().set_lockless(true);
        // SAFETY: an open handle.
        let code = unsafe { (self.api().rbd_lock_release)(self.handle()) };
        self.check(code, "letting go of the lock")
    }

    /// Takes the lock away from `owner` and puts that client on the cluster's blocklist: nothing
    /// that it sent and the OSDs have not done yet will be done.
    ///
    /// # Errors
    /// ENOENT or EBUSY if the lock has another owner meanwhile.
    pub fn break_lock(&self, owner: &str) -> Result<(), Error> {
        let owner = cstring(owner)?;
        // SAFETY: the string outlives the call.
        let code =
            unsafe { (self.api().rbd_lock_break)(self.handle(), LOCK_EXCLUSIVE, owner.as_ptr()) };
        self.check(code, "breaking the lock")
    }
}
