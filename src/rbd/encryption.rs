//! LUKS in librbd (`rbd encryption`): what is encrypted is what the cluster stores.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::{Error, Image};

/// `RBD_ENCRYPTION_ALGORITHM_AES256`
const AES256: c_int = 1;

/// The format of an encrypted image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LuksFormat {
    /// Sectors of 512 bytes, a header of one object.
    Luks1,
    /// Sectors of 4096 bytes, a header of 16 MiB.
    Luks2,
}

/// `rbd_encryption_luks1_format_options_t`, and the same of LUKS2.
#[repr(C)]
struct LuksOptions {
    algorithm: c_int,
    passphrase: *const c_char,
    passphrase_len: usize,
}

type Call = unsafe extern "C" fn(*mut super::ffi::ImageHandle, c_int, *mut c_void, usize) -> c_int;

impl Image {
    /// Writes a LUKS header with a new key that `passphrase` opens: what the image held is lost,
    /// and it is smaller by the header. Takes seconds, on purpose of LUKS. Blocks.
    ///
    /// # Errors
    /// EOPNOTSUPP for a clone.
    pub fn format_encrypted(&self, format: LuksFormat, passphrase: &str) -> Result<(), Error> {
        self.encryption(self.api().rbd_encryption_format, format, passphrase, "encrypting")
    }

    /// From now on all that is read and written is the decrypted data, and the size is theirs.
    /// Takes seconds. Blocks.
    ///
    /// # Errors
    /// EPERM for another passphrase; EOPNOTSUPP for a clone: librbd 16 reads and writes it rightly,
    /// and uses memory after it was freed when it is closed. See [`Self::flatten`].
    pub fn load_encryption(&self, format: LuksFormat, passphrase: &str) -> Result<(), Error> {
        if self.parent()?.is_some() {
            let message = format!("{} is a clone: it cannot be decrypted", self.label());
            return Err(Error::new(Errno::OPNOTSUPP, message));
        }
        self.encryption(self.api().rbd_encryption_load, format, passphrase, "decrypting")
    }

    fn encryption(
        &self,
        call: Call,
        format: LuksFormat,
        passphrase: &str,
        what: &str,
    ) -> Result<(), Error> {
        let mut options = LuksOptions {
            algorithm: AES256,
            passphrase: passphrase.as_ptr().cast(),
            passphrase_len: passphrase.len(),
        };
        let format = match format {
            LuksFormat::Luks1 => 0,
            LuksFormat::Luks2 => 1,
        };
        // SAFETY: options and passphrase outlive the call; both formats take the same structure.
        let code = unsafe {
            let options = (&raw mut options).cast();
            call(self.handle(), format, options, size_of::<LuksOptions>())
        };
        self.check(code, what)?;
        self.decrypted.store(true, Ordering::Release);
        self.refresh()
    }

    /// Whether what is read is decrypted.
    #[must_use]
    pub fn is_decrypted(&self) -> bool {
        self.decrypted.load(Ordering::Acquire)
    }
}
