//! RFC 7143 and RFC 7144 as a sans-I/O core: no socket, clock, thread, environment or randomness
//! inside.
//!
//! [`pdu`] turns bytes into types and back, [`login`] is the login phase of one connection,
//! [`session`] the full feature phase. All of it is driven by [`crate::target`], which owns the
//! sockets.

pub mod login;
pub mod pdu;
pub mod session;
pub mod text;
