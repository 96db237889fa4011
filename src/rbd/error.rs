//! What the C side says when something fails, and what it means to the block layer.

use std::borrow::Cow;
use std::fmt;

use rustix::io::Errno;

use crate::block::{self, ErrorKind};

/// `-errno` of a librados or librbd call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    errno: Errno,
    context: Cow<'static, str>,
}

/// Every errno with a meaning of its own on the data path; the rest is [`ErrorKind::Medium`].
///
/// EROFS comes only when the exclusive lock is no longer ours: a read-only handle never sends a
/// write. ESHUTDOWN is Ceph's EBLOCKLISTED. EINVAL is a range beyond the end of an image that
/// another client shrank: everything else about a request is checked before librbd sees it.
const DATA_PATH: [(Errno, ErrorKind); 15] = [
    (Errno::NOSPC, ErrorKind::NoSpace),
    (Errno::DQUOT, ErrorKind::NoSpace),
    (Errno::SHUTDOWN, ErrorKind::Fenced),
    (Errno::ROFS, ErrorKind::Fenced),
    (Errno::TIMEDOUT, ErrorKind::TimedOut),
    (Errno::NOENT, ErrorKind::Gone),
    (Errno::INVAL, ErrorKind::OutOfRange),
    (Errno::PERM, ErrorKind::ReadOnly),
    (Errno::ACCESS, ErrorKind::ReadOnly),
    (Errno::OPNOTSUPP, ErrorKind::Unsupported),
    (Errno::NOTCONN, ErrorKind::Unavailable),
    (Errno::CANCELED, ErrorKind::Unavailable),
    (Errno::AGAIN, ErrorKind::Unavailable),
    (Errno::NOMEM, ErrorKind::Unavailable),
    (Errno::IO, ErrorKind::Medium),
];

impl Error {
    pub(super) fn new(errno: Errno, context: impl Into<Cow<'static, str>>) -> Self {
        Self { errno, context: context.into() }
    }

    /// The libraries cannot be loaded; the message says it all.
    pub(super) fn missing(message: String) -> Self {
        Self::new(Errno::LIBACC, message)
    }

    /// The failure for `-errno` as the C side returns it.
    pub(super) fn from_code(code: i64, context: impl Into<Cow<'static, str>>) -> Self {
        let errno =
            i32::try_from(code.unsigned_abs()).ok().filter(|errno| (1..4096).contains(errno));
        Self::new(errno.map_or(Errno::IO, Errno::from_raw_os_error), context)
    }

    /// The error number.
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// What it means to the block layer.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        DATA_PATH
            .iter()
            .find(|(errno, _)| *errno == self.errno)
            .map_or(ErrorKind::Medium, |(_, kind)| *kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            Errno::LIBACC => f.write_str(&self.context),
            Errno::SHUTDOWN => {
                write!(f, "{}: this client is blocklisted in the cluster", self.context)
            }
            errno => write!(f, "{}: {errno}", self.context),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for block::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// A C call's return value: negative is `-errno`.
pub(super) fn check(code: impl Into<i64>, context: impl FnOnce() -> String) -> Result<i64, Error> {
    match code.into() {
        code if code < 0 => Err(Error::from_code(code, context())),
        code => Ok(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_number_has_its_kind() {
        // As numbers: what librbd returns on Linux.
        let wanted = [
            (28, ErrorKind::NoSpace),
            (122, ErrorKind::NoSpace),
            (108, ErrorKind::Fenced),
            (30, ErrorKind::Fenced),
            (110, ErrorKind::TimedOut),
            (2, ErrorKind::Gone),
            (22, ErrorKind::OutOfRange),
            (1, ErrorKind::ReadOnly),
            (13, ErrorKind::ReadOnly),
            (95, ErrorKind::Unsupported),
            (107, ErrorKind::Unavailable),
            (125, ErrorKind::Unavailable),
            (11, ErrorKind::Unavailable),
            (12, ErrorKind::Unavailable),
            (5, ErrorKind::Medium),
        ];
        assert_eq!(wanted.len(), DATA_PATH.len());
        for (number, kind) in wanted {
            assert_eq!(Error::from_code(-number, "x").kind(), kind, "errno {number}");
        }
        assert_eq!(Error::from_code(-77, "x").kind(), ErrorKind::Medium);
        assert_eq!(Error::from_code(-4096, "x").kind(), ErrorKind::Medium);
        assert_eq!(Error::from_code(i64::MIN, "x").kind(), ErrorKind::Medium);
    }

    #[test]
    fn success_is_passed_on() {
        assert_eq!(check(0, String::new), Ok(0));
        assert_eq!(check(4096_i64, String::new), Ok(4096));
        let error = check(-2, || "open rbd/x".into()).unwrap_err();
        assert_eq!(error.errno(), Errno::NOENT);
        assert!(error.to_string().starts_with("open rbd/x: No such file"), "{error}");
    }
}
