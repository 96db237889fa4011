//! The command against a small server.
