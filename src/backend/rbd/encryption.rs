//! Encrypted images: LUKS, by librbd.
//!
//! Which images are is said by their metadata, `stirrup.encryption`: `FORMAT HEADER-BYTES [SALT]`.
//! With a salt, in hexadecimal, the image's passphrase is its own, derived from the store's. librbd
//! copies the metadata into clones, which have their parent's key. A clone becomes a copy before it is
//! used: librbd 16 corrupts memory when a clone that was decrypted is closed. Sizes are known
//! without the passphrase, and without the seconds that it takes to check one.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use ring::hkdf;
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

/// What the passphrase of one image is derived with, beside the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt([u8; 16]);

impl Salt {
    fn random() -> Result<Self, StoreError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| {
            StoreError::new(StoreErrorKind::Io, format!("no random numbers: {error}"))
        })?;
        Ok(Self(salt))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes().chunks(2);
        let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let salt = Self(bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?);
        (salt.to_string() == text).then_some(salt)
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

fn hex(bytes: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

/// `info` of the derivation (RFC 5869 3.2).
const PURPOSE: &[u8] = b"stirrup rbd disk";

impl Passphrase {
    /// What opens an image: the passphrase itself or, with a salt, HKDF-SHA-256 (RFC 5869) of it, 32
    /// bytes in hexadecimal. Docs and operators rely on it: it never changes.
    fn of(&self, salt: Option<Salt>) -> Zeroizing<String> {
        let Some(Salt(salt)) = salt else { return self.0.clone() };
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &salt).extract(self.0.as_bytes());
        let mut bytes = Zeroizing::new([0; 32]);
        let filled =
            key.expand(&[PURPOSE], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut *bytes));
        debug_assert!(filled.is_ok(), "32 bytes are what one SHA-256 gives");
        // So large from the beginning that nothing of it is left where it grew from.
        let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
        let _infallible = hex(&*bytes, &mut *text);
        text
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
    /// Its passphrase is its own.
    salt: Option<Salt>,
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
        let mut words = text.split(' ');
        let (format, header, salt) = (words.next()?, words.next()?, words.next());
        let format = match format {
            "luks1" => LuksFormat::Luks1,
            "luks2" => LuksFormat::Luks2,
            _ => return None,
        };
        let salt = salt.map(|salt| Salt::parse(salt).ok_or(())).transpose().ok()?;
        let header_bytes = header.parse().ok()?;
        words.next().is_none().then_some(Self { format, header_bytes, salt })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            LuksFormat::Luks1 => "luks1",
            LuksFormat::Luks2 => "luks2",
        };
        write!(f, "{format} {}", self.header_bytes)?;
        self.salt.map_or(Ok(()), |salt| write!(f, " {salt}"))
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
        let passphrase = self
            .passphrase()
            .map_err(|error| invalid(format!("{} is encrypted: {error}", image.label())))?;
        image.load_encryption(mark.format, &passphrase.of(mark.salt)).map_err(|error| {
            match error.errno() {
                Errno::PERM => invalid(format!("{}: not its passphrase", image.label())),
                _ => error.into(),
            }
        })
    }

    pub(super) fn passphrase(&self) -> Result<&Passphrase, StoreError> {
        self.passphrase.as_ref().ok_or_else(|| {
            let message = "store.rbd.passphrase_file is not set";
            StoreError::new(StoreErrorKind::Invalid, message)
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
        match self.format {
            None => Ok(pool.create(name, size_bytes)?),
            Some(format) => self.create_as(pool, name, size_bytes, format, None),
        }
    }

    /// The same, encrypted whatever new images are, with a passphrase of its own.
    pub(super) fn create_own(
        &self,
        pool: &Arc<Pool>,
        name: &str,
        size_bytes: u64,
        format: LuksFormat,
    ) -> Result<(), StoreError> {
        self.create_as(pool, name, size_bytes, format, Some(Salt::random()?))
    }

    fn create_as(
        &self,
        pool: &Arc<Pool>,
        name: &str,
        size_bytes: u64,
        format: LuksFormat,
        salt: Option<Salt>,
    ) -> Result<(), StoreError> {
        let passphrase = self.passphrase()?.of(salt);
        // What the header takes shows once it is there.
        let guess = match format {
            LuksFormat::Luks1 => 4 << 20,
            LuksFormat::Luks2 => 16 << 20,
        };
        pool.create(name, size_bytes + guess)?;
        let mark = Mark { format, header_bytes: 0, salt };
        let formatted = encrypt(pool, name, mark, &passphrase, size_bytes);
        formatted.inspect_err(|_| remove_half_made(pool, name))
    }
}

fn remove_half_made(pool: &Pool, name: &str) {
    pool.wait_closed(name);
    if let Err(error) = pool.remove(name) {
        tracing::warn!(%error, "an encrypted image that could not be made is left");
    }
}

/// Formats an image, whose header's size shows by that.
fn encrypt(
    pool: &Arc<Pool>,
    name: &str,
    mark: Mark,
    passphrase: &str,
    size_bytes: u64,
) -> Result<(), StoreError> {
    let image = Moment::open(pool, name)?;
    let stored = image.size_bytes();
    image.format_encrypted(mark.format, passphrase)?;
    let mark = Mark { header_bytes: stored - image.size_bytes(), ..mark };
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
            for salt in [None, Some(Salt([0x0f; 16])), Some(Salt::random().unwrap())] {
                let mark = Mark { format, header_bytes: 4 << 20, salt };
                assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
            }
        }
        let salt = "000102030405060708090a0b0c0d0e0f";
        assert!(Mark::parse(&format!("luks2 1 {salt}")).is_some());
        for bad in ["", "luks2", "luks3 4096", "luks1 x", "luks1 1 2", "luks1 1 "] {
            assert_eq!(Mark::parse(bad), None, "{bad:?}");
        }
        for bad in ["00", "é", &salt.to_uppercase(), &salt.replace("01", "+1"), &salt[1..]] {
            assert_eq!(Mark::parse(&format!("luks2 1 {bad}")), None, "{bad:?}");
        }
        assert_eq!(Mark::parse(&format!("luks2 1 {salt} ")), None);
    }

    #[test]
    fn a_passphrase_of_its_own_is_what_the_document_says() {
        let store = Passphrase(Zeroizing::new("correct horse".into()));
        assert_eq!(*store.of(None), "correct horse");
        let salt = Salt::parse("000102030405060708090a0b0c0d0e0f");
        // openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt key:"correct horse"
        //   -kdfopt hexsalt:000102030405060708090a0b0c0d0e0f -kdfopt info:"stirrup rbd disk" HKDF
        assert_eq!(
            *store.of(salt),
            "b8be01007f9f1d524e8825b21c168dfdbf08de44146a35b6f818f9faf6ffa4ba"
        );
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
