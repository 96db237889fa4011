//! The connection to a cluster.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use super::ancestors::Ancestors;
use super::error::check;
use super::ffi::{Api, RadosHandle, api};
use super::pool::text;
use super::{Error, closer};

/// Options of librados and librbd that this program depends on, whatever ceph.conf says; with
/// [`RBD_OPTIONS`].
const RADOS_OPTIONS: [(&str, &str); 7] = [
    // Requests go on in the thread that brings them, without another in between. It must not wait
    // then: not for room among what is under way, which the target bounds itself.
    ("rbd_non_blocking_aio", "false"),
    ("objecter_inflight_ops", "0"),
    ("objecter_inflight_op_bytes", "0"),
    // What completes does so in one thread; who wants more has more clients.
    ("librados_thread_count", "1"),
    // The data path waits for the cluster as long as it takes. A timed-out write is one of
    // unknown outcome; initiators have time-outs of their own, and retry safely.
    ("rados_osd_op_timeout", "0"),
    // Failures come back as errors, which are logged where they are handled.
    ("log_to_stderr", "false"),
    ("err_to_stderr", "false"),
];

/// Options of librbd that this program depends on, whatever ceph.conf says. The configuration of
/// an image or a pool (metadata `conf_` and the name) goes before these: it has to be looked at
/// when an image is opened.
pub const RBD_OPTIONS: [(&str, &str); 5] = [
    // A write is acknowledged when the OSDs have it, not when a cache of this machine has: in
    // memory, or persistent (which a plugin of librbd's does).
    ("rbd_cache", "false"),
    ("rbd_persistent_cache_mode", "disabled"),
    ("rbd_plugins", ""),
    // Whoever loses the lock can write no more.
    ("rbd_blocklist_on_break_lock", "true"),
    // What is removed goes, and its space with it.
    ("rbd_move_to_trash_on_remove", "false"),
];

/// A connected client of a Ceph cluster (`rados_t`): some ten threads of librados, shared by all
/// images opened through it.
pub struct Cluster {
    api: &'static Api,
    handle: *mut RadosHandle,
    fsid: String,
    address: String,
    blocklisted: AtomicBool,
    ancestors: Ancestors,
}

// SAFETY: librados promises that a connected `rados_t` may be used from any thread at once.
unsafe impl Send for Cluster {}
// SAFETY: as above.
unsafe impl Sync for Cluster {}

impl Cluster {
    /// Connects as `user` (without `client.`) with the given ceph.conf, or the one that Ceph's
    /// own rules find (`$CEPH_CONF`, `/etc/ceph/ceph.conf`). Gives up after `timeout`.
    ///
    /// # Errors
    /// When the libraries are missing, the file cannot be read, the key is refused or no monitor
    /// answers in time.
    pub fn connect(conf: Option<&Path>, user: &str, timeout: Duration) -> Result<Arc<Self>, Error> {
        let api = api()?;
        closer::prepare(api);
        let user = user.strip_prefix("client.").unwrap_or(user);
        let mut handle = std::ptr::null_mut();
        let id = cstring(user)?;
        // SAFETY: `id` outlives the call, which fills in `handle`.
        let code = unsafe { (api.rados_create)(&raw mut handle, id.as_ptr()) };
        check(code, || format!("rados_create as client.{user}"))?;
        // From here on dropping it shuts the handle down, connected or not.
        let mut cluster = Self::of_handle(api, handle);
        cluster.read_conf(conf)?;
        for (option, value) in RADOS_OPTIONS.into_iter().chain(RBD_OPTIONS) {
            cluster.set_if_known(option, value)?;
        }
        cluster.set("client_mount_timeout", &timeout.as_secs().max(1).to_string())?;
        // SAFETY: `handle` is a handle that was not yet connected.
        let code = unsafe { (api.rados_connect)(handle) };
        check(code, || format!("connecting to the Ceph cluster as client.{user}"))?;
        cluster.fsid = cluster.read_fsid()?;
        cluster.address = cluster.read_address()?;
        Ok(Arc::new(cluster))
    }

    fn of_handle(api: &'static Api, handle: *mut RadosHandle) -> Self {
        let (fsid, address, blocklisted) = (String::new(), String::new(), AtomicBool::new(false));
        Self { api, handle, fsid, address, blocklisted, ancestors: Ancestors::default() }
    }

    fn read_conf(&self, conf: Option<&Path>) -> Result<(), Error> {
        let path = conf.map(|path| cstring(&path.to_string_lossy())).transpose()?;
        let pointer = path.as_ref().map_or(std::ptr::null(), |path| path.as_ptr());
        // SAFETY: NULL means the default places; `path` outlives the call.
        let code = unsafe { (self.api.rados_conf_read_file)(self.handle, pointer) };
        check(code, || match conf {
            Some(path) => format!("cannot read {}", path.display()),
            None => "no ceph.conf (not in $CEPH_CONF, not in /etc/ceph)".into(),
        })?;
        Ok(())
    }

    fn set(&self, option: &str, value: &str) -> Result<(), Error> {
        let (name, text) = (cstring(option)?, cstring(value)?);
        // SAFETY: both strings outlive the call.
        let code = unsafe { (self.api.rados_conf_set)(self.handle, name.as_ptr(), text.as_ptr()) };
        check(code, || format!("setting {option} = {value}")).map(drop)
    }

    /// Sets an option of this client while it runs, against the rules.
    #[cfg(test)]
    pub(crate) fn break_rule(&self, option: &str, value: &str) {
        self.set(option, value).unwrap();
    }

    /// A library that does not know an option has nothing that it would have to be kept from.
    fn set_if_known(&self, option: &str, value: &str) -> Result<(), Error> {
        match self.set(option, value) {
            Err(error) if error.errno() == Errno::NOENT => Ok(()),
            result => result,
        }
    }

    fn read_fsid(&self) -> Result<String, Error> {
        let mut text = [0_u8; 64];
        // SAFETY: the call writes at most `text.len()` bytes.
        let code = unsafe {
            (self.api.rados_cluster_fsid)(self.handle, text.as_mut_ptr().cast(), text.len())
        };
        check(code, || "rados_cluster_fsid".into())?;
        Ok(until_nul(&text))
    }

    fn read_address(&self) -> Result<String, Error> {
        let mut addresses = std::ptr::null_mut();
        // SAFETY: the call fills in `addresses`.
        let code = unsafe { (self.api.rados_getaddrs)(self.handle, &raw mut addresses) };
        check(code, || "rados_getaddrs".into())?;
        // SAFETY: librados' own, NUL-terminated string, given back once, after the copy.
        unsafe {
            let address = text(addresses);
            (self.api.rados_buffer_free)(addresses);
            Ok(address)
        }
    }

    /// By which the cluster knows this client.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The cluster's UUID.
    #[must_use]
    pub fn fsid(&self) -> &str {
        &self.fsid
    }

    /// This client was put on the cluster's blocklist: nothing will ever work through it again.
    #[must_use]
    pub fn is_blocklisted(&self) -> bool {
        self.blocklisted.load(Ordering::Relaxed)
    }

    /// Passes an error on, remembering when it says that this client is blocklisted.
    pub(super) fn note(&self, error: Error) -> Error {
        if error.errno() == Errno::SHUTDOWN {
            self.blocklisted.store(true, Ordering::Relaxed);
        }
        error
    }

    /// What is behind the images that are open through this client.
    pub(super) fn ancestors(&self) -> &Ancestors {
        &self.ancestors
    }

    pub(super) fn api(&self) -> &'static Api {
        self.api
    }

    pub(super) fn handle(&self) -> *mut RadosHandle {
        self.handle
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        /// Carries the pointer to the other thread.
        struct Owned(*mut RadosHandle);
        // SAFETY: the pointer's only user goes with it.
        unsafe impl Send for Owned {}

        let (api, owned) = (self.api, Owned(self.handle));
        closer::run(move || {
            let owned = owned;
            // SAFETY: every pool and image of the handle is gone: each held a reference to `self`.
            unsafe { (api.rados_shutdown)(owned.0) };
        });
    }
}

/// A C string; a NUL byte inside is an invalid argument.
pub(super) fn cstring(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::new(Errno::INVAL, format!("a NUL byte in {text:?}")))
}

/// The text in front of the first NUL byte.
pub(super) fn until_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_the_library_does_not_know_is_no_failure() {
        let Ok(api) = api() else { return };
        let mut handle = std::ptr::null_mut();
        // SAFETY: the name outlives the call, which fills in `handle`.
        assert_eq!(unsafe { (api.rados_create)(&raw mut handle, c"admin".as_ptr()) }, 0);
        let cluster = Cluster::of_handle(api, handle);
        assert!(cluster.set("rbd_option_of_the_future", "true").is_err());
        cluster.set_if_known("rbd_option_of_the_future", "true").unwrap();
        assert!(cluster.set_if_known("rbd_cache", "perhaps").is_err());
        // These are known to the oldest version supported.
        for (option, value) in RADOS_OPTIONS.into_iter().chain(RBD_OPTIONS) {
            cluster.set(option, value).unwrap();
        }
    }
}
