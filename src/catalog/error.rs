//! Why a call on the catalog failed.

use std::fmt;

use crate::backend::{StoreError, StoreErrorKind};

use super::export::ExportError;
use super::state::StateError;

/// What a caller does about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such object.
    NotFound,
    /// Something else has the name, or the object is in a state that does not allow the call.
    Conflict,
    /// The request makes no sense as it is.
    Invalid,
    /// It takes another role than the caller's.
    Forbidden,
    /// The store is full.
    NoSpace,
    /// A store does not answer at the moment; the call may be repeated.
    Unavailable,
    /// The job was cancelled.
    Cancelled,
    /// Anything else; the message says what.
    Internal,
}

/// Kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Noun {
    /// A golden image.
    Image,
    /// A disk.
    Disk,
    /// A node.
    Node,
    /// A tag of an image or a disk.
    Tag,
    /// A job.
    Job,
    /// A bearer token.
    Token,
    /// A client certificate.
    Certificate,
    /// A project.
    Project,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Disk => "disk",
            Self::Node => "node",
            Self::Tag => "tag",
            Self::Job => "job",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Project => "project",
        })
    }
}

/// A failed call: a kind and a stable code for programs, one line for people.
#[derive(Debug, Clone)]
pub struct Error(Box<Content>);

#[derive(Debug, Clone)]
struct Content {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    existing: Option<(Noun, String, String)>,
    used_by: Vec<String>,
}

impl Error {
    /// A failure of `kind`, known to programs as `code` (kebab-case, never changed).
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Content { kind, code, message, existing: None, used_by: Vec::new() }))
    }

    /// A request that makes no sense.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, code, message)
    }

    /// There is no such object.
    #[must_use]
    pub fn not_found(noun: Noun, project: &str, name: &str) -> Self {
        let code = match noun {
            Noun::Image => "image-not-found",
            Noun::Disk => "disk-not-found",
            Noun::Node => "node-not-found",
            Noun::Tag => "tag-not-found",
            Noun::Job => "job-not-found",
            Noun::Token => "token-not-found",
            Noun::Certificate => "certificate-not-found",
            Noun::Project => "project-not-found",
        };
        Self::new(ErrorKind::NotFound, code, format!("no {noun} '{name}' in project '{project}'"))
    }

    /// An object stands in the way.
    pub fn conflict(
        code: &'static str,
        noun: Noun,
        project: &str,
        name: &str,
        message: impl Into<String>,
    ) -> Self {
        let mut error = Self::new(ErrorKind::Conflict, code, message);
        error.0.existing = Some((noun, project.to_owned(), name.to_owned()));
        error
    }

    /// Adds what uses the object.
    #[must_use]
    pub fn with_users(mut self, used_by: Vec<String>) -> Self {
        self.0.used_by = used_by;
        self
    }

    /// What a caller does about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The object that stands in the way: noun, project, name.
    #[must_use]
    pub fn existing(&self) -> Option<&(Noun, String, String)> {
        self.0.existing.as_ref()
    }

    /// Names of what uses the object.
    #[must_use]
    pub fn used_by(&self) -> &[String] {
        &self.0.used_by
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let (kind, code) = match error.kind() {
            StoreErrorKind::NoSpace => (ErrorKind::NoSpace, "store-full"),
            StoreErrorKind::Unavailable => (ErrorKind::Unavailable, "store-unavailable"),
            StoreErrorKind::InUse => (ErrorKind::Conflict, "store-image-in-use"),
            StoreErrorKind::HasChildren => (ErrorKind::Conflict, "store-image-has-children"),
            StoreErrorKind::NotFound => (ErrorKind::Conflict, "store-image-missing"),
            StoreErrorKind::Exists => (ErrorKind::Conflict, "store-image-exists"),
            StoreErrorKind::Invalid => (ErrorKind::Invalid, "store-refused"),
            StoreErrorKind::Corrupt => (ErrorKind::Internal, "store-corrupt"),
            _ => (ErrorKind::Internal, "store-failed"),
        };
        Self::new(kind, code, error.to_string())
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Conflict => Self::new(
                ErrorKind::Conflict,
                "changed-meanwhile",
                "the object was changed by another call in the meantime; repeat the call",
            ),
            StateError::Failed(message) => {
                Self::new(ErrorKind::Internal, "catalog-failed", format!("the catalog: {message}"))
            }
        }
    }
}

impl From<ExportError> for Error {
    fn from(error: ExportError) -> Self {
        Self::new(ErrorKind::Internal, "export-failed", error.to_string())
    }
}
