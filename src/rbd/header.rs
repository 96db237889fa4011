//! A watch on an image's header without opening the image: one object's worth.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::cluster::cstring;
use super::{Error, Pool};

/// Who hears of what a watch tells. Nothing that waits may be called there.
pub(super) trait Listener: Send + Sync + 'static {
    /// Something about the image has changed. Who did it waits until the notification is dropped;
    /// librbd for 5 s at most.
    fn notified(self: Arc<Self>, notification: Notification);

    /// The watch is lost: something may have been missed.
    fn lost(self: Arc<Self>);
}

/// A watch on an image's header. Must be ended.
pub(super) struct HeaderWatch {
    cookie: u64,
    /// What the callbacks get: made by `Arc::into_raw`, taken back by [`Self::end`].
    target: *const Target,
}

struct Target {
    pool: Arc<Pool>,
    object: CString,
    listener: Weak<dyn Listener>,
}

// SAFETY: the pointer is to a `Target`, which may be used from any thread.
unsafe impl Send for HeaderWatch {}
// SAFETY: as above.
unsafe impl Sync for HeaderWatch {}

impl HeaderWatch {
    pub(super) fn start(
        pool: &Arc<Pool>,
        image_id: &str,
        listener: Weak<dyn Listener>,
    ) -> Result<Self, Error> {
        let object = cstring(&format!("rbd_header.{image_id}"))?;
        let target = Arc::into_raw(Arc::new(Target { pool: Arc::clone(pool), object, listener }));
        let mut cookie = 0;
        // SAFETY: `target` stays until `end`, which is after the last callback.
        let code = unsafe {
            (pool.api().rados_watch2)(
                pool.io(),
                (*target).object.as_ptr(),
                &raw mut cookie,
                changed,
                lost,
                target.cast_mut().cast(),
            )
        };
        let watching =
            pool.check(code, || format!("watching image {image_id} of {}", pool.label()));
        if let Err(error) = watching {
            // SAFETY: from `into_raw` above; there is no watch that could use it.
            drop(unsafe { Arc::from_raw(target) });
            return Err(error);
        }
        Ok(Self { cookie, target })
    }

    /// How long ago the cluster confirmed it.
    pub(super) fn confirmed(&self, pool: &Pool) -> Result<Duration, Error> {
        // SAFETY: a watch that was not ended.
        let code = unsafe { (pool.api().rados_watch_check)(pool.io(), self.cookie) };
        let age = pool.check(code, || "a watch".to_owned())?;
        Ok(Duration::from_millis(age.unsigned_abs()))
    }

    /// Ends the watch; waits for callbacks that run.
    pub(super) fn end(self, pool: &Pool) {
        // SAFETY: a watch of this I/O context, ended once. Whatever the cluster says, no callback
        // comes for it afterwards, and those that were under way have ended after the flush.
        unsafe {
            (pool.api().rados_unwatch2)(pool.io(), self.cookie);
            (pool.api().rados_watch_flush)(pool.cluster().handle());
            drop(Arc::from_raw(self.target));
        }
    }
}

/// Word of a change. Dropping it lets go on who sent it.
pub(super) struct Notification {
    target: Arc<Target>,
    number: u64,
    cookie: u64,
}

impl Drop for Notification {
    fn drop(&mut self) {
        let Target { pool, object, .. } = &*self.target;
        // SAFETY: the name outlives the call, which does not wait; the answer is empty. One that is
        // lost is not waited for long.
        unsafe {
            (pool.api().rados_notify_ack)(
                pool.io(),
                object.as_ptr(),
                self.number,
                self.cookie,
                std::ptr::null(),
                0,
            )
        };
    }
}

/// Something about the image has changed. Nothing that waits may be called from here.
unsafe extern "C" fn changed(
    arg: *mut c_void,
    number: u64,
    cookie: u64,
    _notifier: u64,
    _data: *mut c_void,
    _len: usize,
) {
    let target = arg.cast_const().cast::<Target>();
    // SAFETY: `arg` is the `Target` of `HeaderWatch::start`, whose own reference stays while
    // callbacks come; this is one more.
    let target = unsafe {
        Arc::increment_strong_count(target);
        Arc::from_raw(target)
    };
    let listener = target.listener.upgrade();
    let notification = Notification { target, number, cookie };
    if let Some(listener) = listener {
        listener.notified(notification);
    }
}

unsafe extern "C" fn lost(arg: *mut c_void, _cookie: u64, _error: c_int) {
    // SAFETY: as in `changed`.
    let target = unsafe { &*arg.cast::<Target>() };
    if let Some(listener) = target.listener.upgrade() {
        listener.lost();
    }
}
