//! TLS (RFC 8446, RFC 5246) on both ends: certificates and keys out of PEM files, and what a
//! certificate is called.
//!
//! [`Server`] is one end, with files that may change while it runs; [`Client`] the other. Both know
//! TLS 1.2 and 1.3 and nothing older, by the ring provider.

mod client;
mod name;
mod pem;
mod server;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub use client::{Client, ClientFiles, Trouble};
pub use name::name_of;
pub use server::{ClientCertificates, Server, ServerFiles};

/// Versions of HTTP that are spoken, as in ALPN (RFC 7301).
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
