//! The login phase.
