//! Why a block operation failed. The SCSI layer derives the sense data from the kind, in one table.

use std::borrow::Cow;
use std::fmt;

/// The kinds of failure that the layers above tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Beyond the end of the volume.
    OutOfRange,
    /// The store is full, or a quota is used up.
    NoSpace,
    /// The volume is read-only.
    ReadOnly,
    /// Another client owns the volume now: the exclusive lock is lost, or this client is
    /// blocklisted. Nothing more may be written through this handle.
    Fenced,
    /// The store gave no answer in time.
    TimedOut,
    /// The store cannot be reached at the moment; a retry may succeed.
    Unavailable,
    /// The data of a compare-and-write differ.
    Miscompare {
        /// Offset of the first differing byte, from the start of the request's range.
        offset: u64,
    },
    /// The volume has no such operation.
    Unsupported,
    /// The image behind the volume is gone.
    Gone,
    /// Stored data cannot be read or written (bad medium, checksum, I/O error).
    Medium,
}

/// A failed block operation.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: Cow<'static, str>,
}

impl Error {
    /// A failure of `kind`; `context` says what was tried and what came back, for the log.
    pub fn new(kind: ErrorKind, context: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, context: context.into() }
    }

    /// The matchable kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The failure of a file operation; `context` names the operation and the file.
    #[must_use]
    pub fn from_io(error: &std::io::Error, context: &str) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::NoSpace,
            Io::ReadOnlyFilesystem | Io::PermissionDenied => ErrorKind::ReadOnly,
            Io::NotFound => ErrorKind::Gone,
            Io::TimedOut => ErrorKind::TimedOut,
            Io::StaleNetworkFileHandle => ErrorKind::Unavailable,
            _ => ErrorKind::Medium,
        };
        Self { kind, context: Cow::Owned(format!("{context}: {error}")) }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, context: Cow::Borrowed("") }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.context.is_empty() {
            write!(f, "{:?}", self.kind)
        } else {
            write!(f, "{} ({:?})", self.context, self.kind)
        }
    }
}

impl std::error::Error for Error {}
