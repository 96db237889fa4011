//! Names of objects: checked once, at the edge.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::Error;

/// Longest name of a project, disk or node: a target name (RFC 7143 4.2.7.1: 223 bytes) has room
/// for a prefix, a project and a disk.
const NAME_MAX_BYTES: usize = 63;
/// Longest name of an image.
const IMAGE_NAME_MAX_BYTES: usize = 128;

/// The name of a project, disk or node: `a-z 0-9 -` (and `.` in disks and nodes), beginning and
/// ending with a letter or digit. It becomes part of a target name, where iSCSI knows no more
/// characters and no upper case (RFC 3722).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

/// The name of an image or a tag: `A-Z a-z 0-9 . _ -`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageName(String);

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

impl Name {
    /// Checks the name of a project (no dots: a dot ends it in target names).
    ///
    /// # Errors
    /// `invalid-name`.
    pub fn project(name: &str) -> Result<Self, Error> {
        Self::check("project", name, |byte| is_plain(byte) || byte == b'-', "a-z, 0-9 and '-'")
    }

    /// Checks the name of a disk.
    ///
    /// # Errors
    /// `invalid-name`.
    pub fn disk(name: &str) -> Result<Self, Error> {
        Self::with_dots("disk", name)
    }

    /// Checks the name of a node.
    ///
    /// # Errors
    /// `invalid-name`.
    pub fn node(name: &str) -> Result<Self, Error> {
        Self::with_dots("node", name)
    }

    /// Checks the name of a token.
    ///
    /// # Errors
    /// `invalid-name`.
    pub fn token(name: &str) -> Result<Self, Error> {
        Self::with_dots("token", name)
    }

    fn with_dots(what: &str, name: &str) -> Result<Self, Error> {
        let good = |byte| is_plain(byte) || byte == b'-' || byte == b'.';
        Self::check(what, name, good, "a-z, 0-9, '-' and '.'")
    }

    fn check(what: &str, name: &str, good: fn(u8) -> bool, set: &str) -> Result<Self, Error> {
        let bytes = name.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        if bytes.len() <= NAME_MAX_BYTES
            && ends.iter().all(|end| end.is_some_and(|&byte| is_plain(byte)))
            && bytes.iter().all(|&byte| good(byte))
        {
            return Ok(Self(name.to_owned()));
        }
        Err(Error::invalid(
            "invalid-name",
            format!(
                "{} is no name for a {what}: use 1 to {NAME_MAX_BYTES} of {set}, with a letter \
                 or digit at both ends (it becomes part of an iSCSI name)",
                quoted(name)
            ),
        ))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ImageName {
    /// Checks the name of an image.
    ///
    /// # Errors
    /// `invalid-name`.
    pub fn new(name: &str) -> Result<Self, Error> {
        Self::check("an image", name)
    }

    /// Checks the name of a tag.
    ///
    /// # Errors
    /// `invalid-name`.
    pub fn tag(name: &str) -> Result<Self, Error> {
        Self::check("a tag", name)
    }

    /// Takes `IMAGE` or `IMAGE@TAG` apart.
    ///
    /// # Errors
    /// `invalid-name`.
    pub fn with_tag(text: &str) -> Result<(Self, Option<Self>), Error> {
        match text.split_once('@') {
            Some((image, tag)) => Ok((Self::new(image)?, Some(Self::tag(tag)?))),
            None => Ok((Self::new(text)?, None)),
        }
    }

    fn check(what: &str, name: &str) -> Result<Self, Error> {
        let bytes = name.as_bytes();
        if bytes.len() <= IMAGE_NAME_MAX_BYTES
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
        {
            return Ok(Self(name.to_owned()));
        }
        Err(Error::invalid(
            "invalid-name",
            format!(
                "{} is no name for {what}: use 1 to {IMAGE_NAME_MAX_BYTES} of A-Z, a-z, 0-9, \
                 '.', '_' and '-', beginning with a letter or digit",
                quoted(name)
            ),
        ))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A caller's text for a message: escaped, and not longer than a line.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass() {
        for name in ["n", "node-1", "r1.rack.example", &"a".repeat(63)] {
            assert_eq!(Name::node(name).unwrap().as_str(), name);
        }
        assert!(Name::project("default").is_ok());
        for name in ["Fedora_22", "debian-13.qcow2", "0"] {
            assert!(ImageName::new(name).is_ok(), "{name}");
        }
        let (image, tag) = ImageName::with_tag("debian@v2").unwrap();
        assert_eq!((image.as_str(), tag.unwrap().as_str()), ("debian", "v2"));
        assert_eq!(ImageName::with_tag("debian").unwrap().1, None);
        for name in ["@v", "debian@", "debian@a@b", "debian@.", "debian@a/b"] {
            assert_eq!(ImageName::with_tag(name).unwrap_err().code(), "invalid-name", "{name}");
        }
    }

    #[test]
    fn what_could_escape_or_collide_does_not() {
        let bad = ["", ".", "..", "a/b", "../a", "-a", "a-", "A", "a_b", "a b", "a\n", "é", "a%"];
        for name in bad {
            let error = Name::disk(name).unwrap_err();
            assert_eq!(error.code(), "invalid-name", "{name}");
        }
        assert!(Name::disk(&"a".repeat(64)).is_err());
        assert!(Name::project("a.b").is_err());
        for name in ["", "..", ".a", "-a", "a/b", "a\0", "a b", &"a".repeat(129)] {
            assert!(ImageName::new(name).is_err(), "{name}");
        }
    }
}
