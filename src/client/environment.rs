//! What the environment says, and what becomes of it and the arguments.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::args::Connection;
use super::error::ClientError;
use super::http::Means;
use super::place::Place;
use crate::tls::ClientFiles;

const DEFAULT_SOCKET: &str = "/run/stirrup/stirrup.sock";

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) socket: Option<PathBuf>,
    pub(super) host: Option<String>,
    pub(super) project: Option<String>,
    pub(super) token: Option<String>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) tls_ca: Option<PathBuf>,
    pub(super) ssh: Option<OsString>,
}

impl Environment {
    pub(super) fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| variable(name).map(|value| value.to_string_lossy().trim().to_owned());
        let path = |name| variable(name).map(PathBuf::from);
        Self {
            socket: path("STIRRUP_SOCKET"),
            host: text("STIRRUP_HOST"),
            project: text("STIRRUP_PROJECT"),
            token: text("STIRRUP_TOKEN"),
            tls_cert: path("STIRRUP_TLS_CERT"),
            tls_key: path("STIRRUP_TLS_KEY"),
            tls_ca: path("STIRRUP_TLS_CA"),
            ssh: variable("STIRRUP_SSH"),
        }
    }

    /// The socket of this machine.
    pub(super) fn socket(&self, given: &Connection) -> PathBuf {
        let socket = given.socket.as_ref().or(self.socket.as_ref());
        socket.cloned().unwrap_or_else(|| DEFAULT_SOCKET.into())
    }

    /// Where stirrupd is: what the arguments say counts before the environment, and another machine
    /// before this one.
    pub(super) fn place(&self, given: &Connection) -> Result<Place, ClientError> {
        match (&given.host, &given.socket, &self.host) {
            (Some(_), Some(_), _) => Err(ClientError::Usage(
                "--socket is of this machine and --host another one: give ssh://HOST/SOCKET for a \
                 socket there"
                    .to_owned(),
            )),
            (Some(host), None, _) => Ok(host.clone()),
            (None, None, Some(host)) => {
                host.parse().map_err(|error| ClientError::Usage(format!("STIRRUP_HOST: {error}")))
            }
            (None, _, _) => Ok(Place::Socket(self.socket(given))),
        }
    }

    pub(super) fn means(&self, given: &Connection) -> Result<Means, ClientError> {
        let path = |given: &Option<PathBuf>, own: &Option<PathBuf>| given.clone().or(own.clone());
        let certificate = path(&given.tls_cert, &self.tls_cert);
        let identity = match (certificate, path(&given.tls_key, &self.tls_key)) {
            (Some(certificate), key) => {
                let key = key.unwrap_or_else(|| certificate.clone());
                Some((certificate, key))
            }
            (None, Some(_)) => {
                let message = "--tls-key is the key of a certificate: give --tls-cert, too";
                return Err(ClientError::Usage(message.to_owned()));
            }
            (None, None) => None,
        };
        let tls = ClientFiles { ca: path(&given.tls_ca, &self.tls_ca), identity };
        Ok(Means { ssh: self.ssh.clone().unwrap_or_else(|| "ssh".into()), tls })
    }

    pub(super) fn token(&self, given: &Connection) -> Result<Option<String>, ClientError> {
        match &given.token_file {
            Some(file) => read_token(file).map(Some),
            None => Ok(self.token.clone()),
        }
    }
}

fn read_token(file: &Path) -> Result<String, ClientError> {
    let read = std::fs::read_to_string(file).map_err(|error| {
        io::Error::new(error.kind(), format!("token file {}: {error}", file.display()))
    })?;
    Ok(read.trim().to_owned())
}
