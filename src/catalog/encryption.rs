//! How disks are encrypted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::name::quoted;
use crate::backend::LuksFormat;

/// How what a store keeps of a disk is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// It is not.
    None,
    /// LUKS1, with a key of its own.
    Luks1,
    /// LUKS2, with a key of its own.
    Luks2,
}

impl Encryption {
    /// The format of LUKS, if it is encrypted.
    pub(super) fn format(self) -> Option<LuksFormat> {
        match self {
            Self::None => None,
            Self::Luks1 => Some(LuksFormat::Luks1),
            Self::Luks2 => Some(LuksFormat::Luks2),
        }
    }
}

impl FromStr for Encryption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [Self::None, Self::Luks1, Self::Luks2];
        all.into_iter().find(|it| it.to_string() == text).ok_or_else(|| {
            let message = format!("{} is no encryption: use none, luks1 or luks2", quoted(text));
            Error::invalid("invalid-encryption", message)
        })
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Luks1 => "luks1",
            Self::Luks2 => "luks2",
        })
    }
}
