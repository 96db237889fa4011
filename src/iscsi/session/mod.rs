//! The full feature phase.
