//! Encrypted images: LUKS, by librbd.
//!
//! Which images are is said by their metadata, `stirrup.encryption`: `FORMAT HEADER-BYTES`. librbd
//! copies it into clones, which have their parent's key. A clone becomes a copy before it is
//! used: librbd 16 corrupts memory when a clone that was decrypted is closed. Sizes are known
//! without the passphrase, and without the seconds that it takes to check one.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use zeroize::Zeroizing;

use super::super::{StoreError, StoreErrorKind};
use super::moment::Moment;
use crate::rbd::{Access, Image, LuksFormat, Pool};

const KEY: &str = "stirrup.encryption";
/// Longest passphrase, in bytes: that of `cryptsetup`.
const PASSPHRASE_BYTES_MAX: usize = 512;

/// What opens the encrypted images of a store. Never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// The first line of a file that only its owner may read.
    ///
    /// # Errors
    /// One line that says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let unreadable = |error: std::io::Error| format!("cannot read {name}: {error}");
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.permissions().mode() & 0o077 != 0 {
            return Err(format!(
                "{name} holds a passphrase and others may use it: chmod 600 {name}"
            ));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(PASSPHRASE_BYTES_MAX as u64 + 2).read_to_string(&mut text).map_err(unreadable)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        if line.contains('\n') || !(1..=PASSPHRASE_BYTES_MAX).contains(&line.len()) {
            return Err(format!("{name}: one line of 1 to {PASSPHRASE_BYTES_MAX} bytes is wanted"));
        }
        Ok(Self(Zeroizing::new(line.to_owned())))
    }
}

/// How images are encrypted that a store makes.
#[derive(Debug, Clone, Default)]
pub struct Encryption {
    /// Of new images; `None`: not. Clones are as their parents are.
    pub format: Option<LuksFormat>,
    /// What opens those that are, whoever made them.
    pub passphrase: Option<Passphrase>,
}

/// What an image says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    format: LuksFormat,
    pub(super) header_bytes: u64,
}

impl Mark {
    /// What is known of an image; `None` if it is not encrypted.
    pub(super) fn of(image: &Image) -> Result<Option<Self>, StoreError> {
        let Some(text) = image.metadata(KEY)? else { return Ok(None) };
        let mark = Self::parse(&text).filter(|mark| mark.header_bytes < image.size_bytes());
        mark.map(Some).ok_or_else(|| {
            let message = format!("{}: {KEY} = {text:?} makes no sense", image.label());
            StoreError::new(StoreErrorKind::Corrupt, message)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (format, header) = text.split_once(' ')?;
        let format = match format {
            "luks1" => LuksFormat::Luks1,
            "luks2" => LuksFormat::Luks2,
            _ => return None,
        };
        Some(Self { format, header_bytes: header.parse().ok()? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            LuksFormat::Luks1 => "luks1",
            LuksFormat::Luks2 => "luks2",
        };
        write!(f, "{format} {}", self.header_bytes)
    }
}

/// Whether what is stored is encrypted.
pub(super) fn is_encrypted(image: &Image) -> Result<bool, StoreError> {
    Ok(image.metadata(KEY)?.is_some())
}

/// Size of the data of an image that is open as it is stored.
pub(super) fn data_bytes(image: &Image) -> Result<u64, StoreError> {
    let header = Mark::of(image)?.map_or(0, |mark| mark.header_bytes);
    Ok(image.size_bytes() - header)
}

impl Encryption {
    /// Has an image just opened read and write its data, if it is encrypted.
    pub(super) fn unlock(&self, image: &Image) -> Result<(), StoreError> {
        let Some(mark) = Mark::of(image)? else { return Ok(()) };
        let invalid = |message| StoreError::new(StoreErrorKind::Invalid, message);
        let Some(passphrase) = &self.passphrase else {
            let message =
                format!("{} is encrypted: store.rbd.passphrase_file is not set", image.label());
            return Err(invalid(message));
        };
        image.load_encryption(mark.format, &passphrase.0).map_err(|error| match error.errno() {
            Errno::PERM => invalid(format!("{}: not its passphrase", image.label())),
            _ => error.into(),
        })
    }

    /// Makes a clone that was just made a copy, if it is encrypted; removes it if that fails. Cut
    /// short, it is done by [`Self::unlock_writable`].
    pub(super) fn settle(&self, pool: &Arc<Pool>, clone: &str) -> Result<(), StoreError> {
        let seen = Image::open(pool, clone, None, Access::ReadOnly)?;
        if Mark::of(&seen)?.is_none() {
            return Ok(());
        }
        drop(seen);
        let copied =
            Moment::open(pool, clone).and_then(|image| image.flatten()).map_err(Into::into);
        pool.wait_closed(clone);
        copied.inspect_err(|_| remove_half_made(pool, clone))
    }

    /// As [`Self::unlock`], of an image that may be written.
    pub(super) fn unlock_writable(&self, image: &Image) -> Result<(), StoreError> {
        if Mark::of(image)?.is_some() && image.parent()?.is_some() {
            image.flatten()?;
        }
        self.unlock(image)
    }

    /// Makes an image of `size_bytes` of data, encrypted if new ones are. What fails half-way is
    /// removed again.
    pub(super) fn create(
        &self,
        pool: &Arc<Pool>,
        name: &str,
        size_bytes: u64,
    ) -> Result<(), StoreError> {
        let (Some(format), Some(passphrase)) = (self.format, &self.passphrase) else {
            return Ok(pool.create(name, size_bytes)?);
        };
        // What the header takes shows once it is there.
        let guess = match format {
            LuksFormat::Luks1 => 4 << 20,
            LuksFormat::Luks2 => 16 << 20,
        };
        pool.create(name, size_bytes + guess)?;
        let formatted = encrypt(pool, name, format, &passphrase.0, size_bytes);
        formatted.inspect_err(|_| remove_half_made(pool, name))
    }
}

fn remove_half_made(pool: &Pool, name: &str) {
    pool.wait_closed(name);
    if let Err(error) = pool.remove(name) {
        tracing::warn!(%error, "an encrypted image that could not be made is left");
    }
}

fn encrypt(
    pool: &Arc<Pool>,
    name: &str,
    format: LuksFormat,
    passphrase: &str,
    size_bytes: u64,
) -> Result<(), StoreError> {
    let image = Moment::open(pool, name)?;
    let stored = image.size_bytes();
    image.format_encrypted(format, passphrase)?;
    let mark = Mark { format, header_bytes: stored - image.size_bytes() };
    image.set_metadata(KEY, &mark.to_string())?;
    drop(image);
    pool.wait_closed(name);
    if stored - mark.header_bytes < size_bytes {
        Moment::open(pool, name)?.resize(size_bytes + mark.header_bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back() {
        for format in [LuksFormat::Luks1, LuksFormat::Luks2] {
            let mark = Mark { format, header_bytes: 4 << 20 };
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
        for bad in ["", "luks2", "luks3 4096", "luks1 x", "luks1 1 2"] {
            assert_eq!(Mark::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_passphrase_is_one_line_of_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        let read = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Passphrase::read(&path)
        };
        let good = read("correct horse\n", 0o600).unwrap();
        assert_eq!(*good.0, "correct horse");
        assert_eq!(format!("{good:?}"), "Passphrase(..)", "never shown");
        assert_eq!(*read(&"x".repeat(512), 0o400).unwrap().0, "x".repeat(512));
        for (text, mode) in [("x\n", 0o640), ("", 0o600), ("\n", 0o600), ("a\nb\n", 0o600)] {
            read(text, mode).unwrap_err();
        }
        read(&"x".repeat(513), 0o600).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(Passphrase::read(&path).unwrap_err().contains("cannot read"));
    }
}
