//! Client certificates: who may do what by the name of the holder.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::name::{Name, quoted};
use super::tokens::Role;

/// Longest name: the key of a row.
const NAME_MAX_BYTES: usize = 255;

/// The name in a client certificate, as it is there: 1 to 255 printable characters of ASCII. It is
/// compared as it is; no two spellings are the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CertificateName(String);

impl CertificateName {
    /// Checks a name.
    ///
    /// # Errors
    /// `invalid-name`.
    pub fn new(name: &str) -> Result<Self, Error> {
        let good = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        if (1..=NAME_MAX_BYTES).contains(&name.len()) && name.as_bytes().iter().all(good) {
            return Ok(Self(name.to_owned()));
        }
        let name = quoted(name);
        let message = format!(
            "{name} is no name for a certificate: use 1 to {NAME_MAX_BYTES} printable characters \
             of ASCII"
        );
        Err(Error::invalid("invalid-name", message))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A certificate whose holder may do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The name in it, unique.
    pub name: CertificateName,
    /// What its holder may do.
    pub role: Role,
    /// In which project; `None`: in all, and in what belongs to none.
    pub project: Option<Name>,
    /// When it was named here.
    pub created: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable() {
        for name in
            ["ci", "foreman.example", "Jane Doe", "spiffe://example/ns/ci", &"a".repeat(255)]
        {
            assert_eq!(CertificateName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "a\n", "a\0", "\x7f", "José", &"a".repeat(256)] {
            assert_eq!(CertificateName::new(name).unwrap_err().code(), "invalid-name", "{name:?}");
        }
    }
}
