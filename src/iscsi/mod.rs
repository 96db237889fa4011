//! RFC 7143 as a sans-I/O core: no socket, clock, thread or randomness inside.
pub mod login;
pub mod pdu;
pub mod session;
