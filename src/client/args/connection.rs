//! Where stirrupd is, and who asks.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::client::place::Place;

#[derive(Debug, Args)]
pub(in crate::client) struct Connection {
    /// The control socket of stirrupd [default: /run/stirrup/stirrup.sock]
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(in crate::client) socket: Option<PathBuf>,
    /// stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS
    #[arg(long, global = true, value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub(in crate::client) host: Option<Place>,
    /// With https: file with your certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::client) tls_cert: Option<PathBuf>,
    /// With https: file with its private key; the same file when not given
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::client) tls_key: Option<PathBuf>,
    /// With https: file with the authority of stirrupd's certificate; those of the system when not given
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::client) tls_ca: Option<PathBuf>,
    /// File with the token to use; without one it is your user, or your certificate, that asks
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(in crate::client) token_file: Option<PathBuf>,
}
