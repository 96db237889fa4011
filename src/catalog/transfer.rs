//! What comes in and goes out: uploads, exports, images of other pools.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::checksum::Checksum;
use super::error::Error;
use super::name::quoted;

/// A file that is uploaded piece by piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Length of the file in bytes; `None`: that shows at its end.
    pub file_bytes: Option<u64>,
    /// It lies in the directory for uploads until it is complete.
    #[serde(default)]
    pub(super) staged: bool,
    /// Bytes from its beginning that are on stable storage.
    pub offset: u64,
    /// What the file's checksum must be.
    pub sha256: Option<Checksum>,
    /// What the uploader knows the file by.
    pub key: Option<String>,
    /// Mend the end CHS of a protective MBR.
    pub fix_boot_chs: bool,
    /// State of the checksum's computation at `offset`.
    pub(super) hasher: String,
    /// When something came last.
    pub active: Timestamp,
}

/// An image that is being written to a file, or to another pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Its number.
    pub id: u64,
    /// Where it goes.
    pub to: Destination,
    /// Name or path of what is not complete.
    pub part: String,
}

/// Where an image is exported to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// A file on the gateway, raw.
    File(PathBuf),
    /// An image in a pool of the cluster that a store is in.
    Pool {
        /// The store.
        store: String,
        /// Where, and what.
        image: PoolImage,
    },
}

/// `POOL[/NAMESPACE]/IMAGE[@SNAPSHOT]`, an image that is none of the catalog's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolImage {
    /// `POOL` or `POOL/NAMESPACE`.
    pub place: String,
    /// Its name.
    pub image: String,
    /// Its snapshot.
    pub snapshot: Option<String>,
}

impl FromStr for PoolImage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (path, snapshot) = match text.split_once('@') {
            Some((path, snapshot)) => (path, Some(snapshot)),
            None => (text, None),
        };
        let parts: Vec<&str> = path.split('/').collect();
        // These go into messages and logs.
        let printable = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
        let good = |part: &&str| {
            let bounded = !part.is_empty() && part.len() <= 128;
            bounded && !part.contains('@') && part.chars().all(printable)
        };
        let whole = parts.iter().chain(&snapshot).all(good) && matches!(parts.len(), 2 | 3);
        match path.rsplit_once('/').filter(|_| whole) {
            Some((place, image)) => Ok(Self {
                place: place.to_owned(),
                image: image.to_owned(),
                snapshot: snapshot.map(str::to_owned),
            }),
            None => Err(Error::invalid(
                "invalid-pool-image",
                format!(
                    "{} names no image in a pool, as rbd/debian-13@v1 does (POOL[/NAMESPACE]/IMAGE\
                     [@SNAPSHOT])",
                    quoted(text)
                ),
            )),
        }
    }
}

impl fmt::Display for PoolImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place, self.image)?;
        self.snapshot.as_ref().map_or(Ok(()), |snapshot| write!(f, "@{snapshot}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_in_pools() {
        for text in ["rbd/a", "rbd/ns/a", "rbd/a@s", "rbd/ns/a.b-c_d@s", "rbd/größe 1"] {
            assert_eq!(text.parse::<PoolImage>().unwrap().to_string(), text);
        }
        let long = format!("rbd/{}", "a".repeat(129));
        let none = ["", "a", "/a", "rbd/", "rbd//a", "a/b/c/d", "rbd/a@", "rbd/a@s@t", &long];
        let strange = ["rbd/a\nb", "rbd/a\0", "r\x1bbd/a", "rbd/a@\u{202e}s", "rbd/a\u{2028}"];
        for text in none.into_iter().chain(strange) {
            assert_eq!(
                text.parse::<PoolImage>().unwrap_err().code(),
                "invalid-pool-image",
                "{text}"
            );
        }
    }
}
