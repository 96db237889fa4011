//! Hearing of what other clients change about an open image: its size, its parent.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::{Arc, Weak};

use super::ffi::{Api, ImageHandle};
use super::{Error, Image, closer};

/// A watch on an image's header (`rbd_update_watch`). Must be ended before the image is closed.
pub(super) struct Watch {
    id: u64,
    /// What the callback gets: made by `Arc::into_raw`, taken back by [`Self::end`].
    image: *const Weak<Image>,
}

// SAFETY: the pointer is to a `Weak<Image>`, which may be used from any thread.
unsafe impl Send for Watch {}
// SAFETY: as above.
unsafe impl Sync for Watch {}

impl Watch {
    pub(super) fn start(image: &Arc<Image>) -> Result<Self, Error> {
        let target = Arc::into_raw(Arc::new(Arc::downgrade(image)));
        let mut id = 0;
        // SAFETY: `target` stays until `end`, which is after the last callback.
        let code = unsafe {
            (image.api().rbd_update_watch)(
                image.handle(),
                &raw mut id,
                changed,
                target.cast_mut().cast(),
            )
        };
        let watching = image.pool().check(code, || format!("watching {}", image.label()));
        if let Err(error) = watching {
            // SAFETY: from `into_raw` above; there is no watch that could use it.
            drop(unsafe { Arc::from_raw(target) });
            return Err(error);
        }
        Ok(Self { id, image: target })
    }

    /// Ends the watch; waits for a callback that runs.
    pub(super) fn end(self, api: &Api, handle: *mut ImageHandle) {
        // SAFETY: the handle is open. Afterwards no callback runs or comes; if that failed, the
        // pointer is left to it.
        let code = unsafe { (api.rbd_update_unwatch)(handle, self.id) };
        if code == 0 {
            // SAFETY: from `into_raw`, taken back once.
            drop(unsafe { Arc::from_raw(self.image) });
        }
    }
}

/// The image has changed. librbd must not be called from here.
unsafe extern "C" fn changed(arg: *mut c_void) {
    // SAFETY: `arg` is the `Weak<Image>` of `Watch::start`, alive while callbacks come.
    let image = unsafe { &*arg.cast::<Weak<Image>>() }.clone();
    // At once: nothing that was known before is to be relied on from here on.
    let Some(strong) = image.upgrade() else { return };
    strong.set_changed();
    // Dropping the last reference is allowed here: it closes on another thread.
    drop(strong);
    closer::run(move || {
        let Some(image) = image.upgrade() else { return };
        if let Err(error) = image.refresh() {
            tracing::warn!(%error, "an image has changed, and how is not known");
        }
    });
}
