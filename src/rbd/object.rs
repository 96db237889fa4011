//! Attributes of objects of our own in a pool.
#![allow(unsafe_code)]

use rustix::io::Errno;

use super::cluster::cstring;
use super::{Error, Pool};

impl Pool {
    /// An attribute of an object; `None` if there is none. Blocks.
    ///
    /// # Errors
    /// ERANGE if it is longer than `len_max` bytes; when the pool cannot be read.
    pub fn attribute(
        &self,
        object: &str,
        name: &str,
        len_max: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (object_c, name_c) = (cstring(object)?, cstring(name)?);
        let mut value = vec![0_u8; len_max];
        // SAFETY: the strings outlive the call, which writes at most `len_max` bytes.
        let code = unsafe {
            (self.api().rados_getxattr)(
                self.io(),
                object_c.as_ptr(),
                name_c.as_ptr(),
                value.as_mut_ptr().cast(),
                value.len(),
            )
        };
        if [Errno::NOENT, Errno::NODATA].iter().any(|errno| code == -errno.raw_os_error()) {
            return Ok(None);
        }
        let len = self.check(code, || format!("{name} of object {}", self.name_of(object)))?;
        value.truncate(usize::try_from(len).unwrap_or(0));
        Ok(Some(value))
    }

    /// Sets an attribute of an object, which is made if it is not there; the cluster has it on
    /// stable storage when this returns. Blocks.
    ///
    /// # Errors
    /// When the pool cannot be written.
    pub fn set_attribute(&self, object: &str, name: &str, value: &[u8]) -> Result<(), Error> {
        let (object_c, name_c) = (cstring(object)?, cstring(name)?);
        // SAFETY: strings and value outlive the call.
        let code = unsafe {
            (self.api().rados_setxattr)(
                self.io(),
                object_c.as_ptr(),
                name_c.as_ptr(),
                value.as_ptr().cast(),
                value.len(),
            )
        };
        self.check(code, || format!("{name} of object {}", self.name_of(object))).map(drop)
    }

    /// Removes an object; that it is not there is fine. Blocks.
    ///
    /// # Errors
    /// When the pool cannot be written.
    pub fn remove_object(&self, object: &str) -> Result<(), Error> {
        let object_c = cstring(object)?;
        // SAFETY: the name outlives the call.
        let code = unsafe { (self.api().rados_remove)(self.io(), object_c.as_ptr()) };
        self.optional(code, || format!("removing object {}", self.name_of(object))).map(drop)
    }
}
