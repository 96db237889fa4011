//! Values kept with an image under a key (`rbd image-meta`).
#![allow(unsafe_code)]

use std::sync::Arc;

use rustix::io::Errno;

use super::cluster::{cstring, until_nul};
use super::{Error, Image, closer};

/// Room for a value at first; most are short.
const VALUE_BYTES: usize = 1024;
/// Longest value that is read, in bytes.
const VALUE_BYTES_MAX: usize = 1 << 20;

impl Image {
    /// A value kept with the image.
    ///
    /// # Errors
    /// When the image cannot be read, or the value is longer than 1 MiB.
    pub fn metadata(&self, key: &str) -> Result<Option<String>, Error> {
        let name = cstring(key)?;
        let mut value = vec![0_u8; VALUE_BYTES];
        loop {
            let mut len = value.len();
            // SAFETY: the call writes at most `len` bytes, and says in `len` how many it wants.
            let code = unsafe {
                (self.api().rbd_metadata_get)(
                    self.handle(),
                    name.as_ptr(),
                    value.as_mut_ptr().cast(),
                    &raw mut len,
                )
            };
            let too_long = code == -Errno::RANGE.raw_os_error();
            if too_long && len > value.len() && len <= VALUE_BYTES_MAX {
                value = vec![0; len];
                continue;
            }
            let found =
                self.pool().optional(code, || format!("metadata {key} of {}", self.label()))?;
            return Ok(found.map(|()| until_nul(&value)));
        }
    }

    /// Keeps a value with the image; the cluster has it on stable storage when this returns.
    ///
    /// # Errors
    /// When the image cannot be written.
    pub fn set_metadata(&self, key: &str, value: &str) -> Result<(), Error> {
        let (name, text) = (cstring(key)?, cstring(value)?);
        // SAFETY: both strings outlive the call.
        let code =
            unsafe { (self.api().rbd_metadata_set)(self.handle(), name.as_ptr(), text.as_ptr()) };
        let set = self.pool().check(code, || format!("metadata {key} of {}", self.label()));
        set.map(drop).inspect_err(|error| {
            if error.errno() == Errno::SHUTDOWN {
                self.set_fenced();
            }
        })
    }

    /// Runs `work`, which may wait for the cluster, on a thread of this room, and lets go of the
    /// image before it runs what `work` gives back.
    pub fn later<Then: FnOnce()>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Then + Send + 'static,
    ) {
        let image = Arc::clone(self);
        closer::run_alone(move || {
            let then = work(&image);
            drop(image);
            then();
        });
    }
}
