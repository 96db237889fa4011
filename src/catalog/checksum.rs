//! SHA-256 of a file, computed piece by piece, and across restarts.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::name::quoted;

/// A SHA-256 checksum: 64 hexadecimal digits, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checksum(String);

impl FromStr for Checksum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        let message = format!("{} is no SHA-256 checksum: 64 hexadecimal digits are", quoted(text));
        Err(Error::invalid("invalid-checksum", message))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Checksum {
    /// Refuses what is not what was announced.
    ///
    /// # Errors
    /// `checksum-mismatch`.
    pub(super) fn check(&self, announced: Option<&Self>, what: &str) -> Result<(), Error> {
        match announced.filter(|announced| *announced != self) {
            None => Ok(()),
            Some(announced) => Err(Error::invalid(
                "checksum-mismatch",
                format!("{what}: its SHA-256 is {self}, not {announced}; nothing of it is kept"),
            )),
        }
    }
}

/// A checksum that is being computed.
#[derive(Clone, Default)]
pub(super) struct Hasher(Sha256);

impl Hasher {
    /// Goes on where [`Self::state`] was taken.
    pub(super) fn resume(state: &str) -> Option<Self> {
        let bytes = STANDARD.decode(state).ok()?;
        let state = SerializedState::<Sha256>::try_from(bytes.as_slice()).ok()?;
        Sha256::deserialize(&state).ok().map(Self)
    }

    /// What it takes to go on.
    pub(super) fn state(&self) -> String {
        STANDARD.encode(self.0.serialize())
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// So many zeros.
    pub(super) fn update_zeros(&mut self, len: u64) {
        let zeros = [0; 16 << 10];
        let mut left = len;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(zeros.len()).min(zeros.len());
            self.update(&zeros[..piece]);
            left -= piece as u64;
        }
    }

    pub(super) fn finish(self) -> Checksum {
        let digest = self.0.finalize();
        Checksum(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_goes_on_where_it_was_left() {
        // FIPS 180-4, the example "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for cut in 0..=3 {
            let mut hasher = Hasher::default();
            hasher.update(&b"abc"[..cut]);
            let mut hasher = Hasher::resume(&hasher.state()).unwrap();
            hasher.update(&b"abc"[cut..]);
            let sum = hasher.finish();
            assert_eq!(sum.to_string(), abc);
            sum.check(Some(&abc.to_ascii_uppercase().parse().unwrap()), "f").unwrap();
            let other = "0".repeat(64).parse().unwrap();
            assert_eq!(sum.check(Some(&other), "f").unwrap_err().code(), "checksum-mismatch");
        }
        assert!(Hasher::resume("").is_none() && Hasher::resume("AAAA").is_none());
        for text in ["", "x", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            assert_eq!(text.parse::<Checksum>().unwrap_err().code(), "invalid-checksum");
        }
    }
}
