//! Bearer tokens: who may do what without being a user of this machine.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::Error;
use super::model::Secret;
use super::name::{Name, quoted};
use super::spec::random;

/// What a token begins with, so that it is known for what it is where it should not be.
const PREFIX: &str = "stirrup_";
const SECRET_BYTES: usize = 32;
/// Longer ones are not looked at.
const TOKEN_BYTES_MAX: usize = 256;

/// What somebody may do. Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See.
    Reader,
    /// Work with disks, nodes, tags and sessions.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let roles = [Self::Reader, Self::Operator, Self::Admin];
        roles.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            let message = format!("{} is no role: use reader, operator or admin", quoted(text));
            Error::invalid("invalid-role", message)
        })
    }
}

/// A token, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Name, unique.
    pub name: Name,
    /// What its holder may do.
    pub role: Role,
    /// In which project; `None`: in all, and in what belongs to none.
    pub project: Option<Name>,
    /// SHA-256 of the secret. That is random, so there is nothing to be tried out.
    hash: [u8; 32],
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is worth nothing.
    pub expires: Option<Timestamp>,
}

/// What a token is to be.
#[derive(Debug, Clone)]
pub struct TokenSpec {
    /// What its holder may do.
    pub role: Role,
    /// In which project; `None`: in all.
    pub project: Option<Name>,
    /// From when on it is worth nothing.
    pub expires: Option<Timestamp>,
}

impl Token {
    /// A new token, and the text that proves it.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn make(name: &Name, spec: &TokenSpec) -> Result<(Self, Secret), Error> {
        let secret = URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?);
        let token = Self {
            name: name.clone(),
            role: spec.role,
            project: spec.project.clone(),
            hash: hash(&secret),
            created: Timestamp::now(),
            expires: spec.expires,
        };
        Ok((token, Secret::new(format!("{PREFIX}{name}.{secret}"))))
    }

    /// Whether a text is a token or means to be one.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The name in a text that may be a token.
    pub(super) fn name_in(text: &str) -> Option<Name> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (name, _) = text.strip_prefix(PREFIX)?.rsplit_once('.')?;
        Name::token(name).ok()
    }

    /// Whether `text` proves this token at this time.
    pub(super) fn is_proved_by(&self, text: &str, now: Timestamp) -> bool {
        let secret = text.rsplit_once('.').map_or("", |(_, secret)| secret);
        let same: bool = hash(secret).ct_eq(&self.hash).into();
        same && self.expires.is_none_or(|expires| now < expires)
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(expires: Option<Timestamp>) -> (Token, String) {
        let spec = TokenSpec { role: Role::Reader, project: None, expires };
        let (token, text) = Token::make(&Name::token("ci.lab-1").unwrap(), &spec).unwrap();
        (token, text.expose().to_owned())
    }

    #[test]
    fn a_token_is_proved_by_its_text_alone() {
        let now = Timestamp::now();
        let ((a, text), (_, other)) = (made(None), made(None));
        assert_eq!(Token::name_in(&text), Some(a.name.clone()));
        assert!(a.is_proved_by(&text, now));
        let (shorter, longer) = (&text[..text.len() - 1], format!("{text}a"));
        for wrong in [&other, shorter, &longer, "", "stirrup_ci.lab-1."] {
            assert!(!a.is_proved_by(wrong, now), "{wrong}");
        }
        assert!(Token::is_meant_by(&text) && !Token::is_meant_by("password"));
        for wrong in ["", "stirrup_", "stirrup_a", "other_a.b", "stirrup_A.b", "stirrup_.b"] {
            assert_eq!(Token::name_in(wrong), None, "{wrong}");
        }
        assert_eq!(Token::name_in(&format!("stirrup_a.{}", "b".repeat(300))), None);
        let stored = serde_json::to_string(&a).unwrap();
        assert!(!stored.contains(text.rsplit_once('.').unwrap().1), "the secret is not kept");
    }

    #[test]
    fn a_token_ends() {
        let now = Timestamp::now();
        let (token, text) = made(Some(now));
        assert!(!token.is_proved_by(&text, now));
        assert!(token.is_proved_by(&text, now - std::time::Duration::from_nanos(1)));
    }

    #[test]
    fn roles_have_an_order() {
        assert!(Role::Reader < Role::Operator && Role::Operator < Role::Admin);
        for role in [Role::Reader, Role::Operator, Role::Admin] {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
        }
        assert_eq!("root".parse::<Role>().unwrap_err().code(), "invalid-role");
    }
}
