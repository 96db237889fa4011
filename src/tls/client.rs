//! The end that connects.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{PROTOCOLS, pem, provider};

/// Where the systems that we know keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Where a client finds what it needs, in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// Authorities that servers may have their certificates from; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that asks: a certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Whom a client trusts and what it shows.
#[derive(Clone)]
pub struct Client(TlsConnector);

impl Client {
    /// Reads the files.
    ///
    /// # Errors
    /// One line that names the file and says what is wrong with it.
    pub fn load(files: &ClientFiles) -> Result<Self, String> {
        let roots = match &files.ca {
            Some(path) => pem::authorities(path)?,
            None => system_authorities()?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match &files.identity {
            Some((certificate, key)) => builder
                .with_client_auth_cert(pem::certificates(certificate)?, pem::key(key)?)
                .map_err(|error| {
                    let (certificate, key) = (certificate.display(), key.display());
                    format!("{certificate} with the key {key}: {error}")
                })?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// The handshake with a server that must have a certificate for `host`, a DNS name or an IP
    /// address.
    ///
    /// # Errors
    /// As the stream has them, or a [`Trouble`].
    pub async fn connect<S>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let message = format!("'{host}' is no host name");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        self.0.connect(name, stream).await
    }
}

fn system_authorities() -> Result<RootCertStore, String> {
    let found = SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| path.exists());
    let missing = || "this system has no list of authorities; name a file".to_owned();
    let mut roots = RootCertStore::empty();
    // Of the many, some may be of a kind that nobody should trust any more.
    roots.add_parsable_certificates(pem::certificates(found.ok_or_else(missing)?)?);
    Ok(roots)
}

/// What can be done something about when TLS fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The server's certificate is out of date, or not yet good.
    Expired,
    /// The server's certificate is not from an authority that is trusted.
    UnknownAuthority,
    /// The server's certificate is for another name.
    OtherName,
    /// The server wants a certificate.
    CertificateWanted,
    /// The server does not take the certificate that it was shown.
    CertificateRefused,
    /// The server does not speak TLS.
    NotTls,
    /// Anything else.
    Other,
}

impl Trouble {
    /// What is behind an error, if TLS is.
    #[must_use]
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::of(error));
            }
            // What an io::Error is made of is not its source.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(trouble) = inner.and_then(|inner| Self::behind(inner)) {
                return Some(trouble);
            }
            cause = error.source();
        }
        None
    }

    fn of(error: &rustls::Error) -> Self {
        use CertificateError as Bad;
        match error {
            rustls::Error::InvalidCertificate(
                Bad::Expired
                | Bad::ExpiredContext { .. }
                | Bad::NotValidYet
                | Bad::NotValidYetContext { .. },
            ) => Self::Expired,
            // An authority of the same name, with another key, is another one.
            rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
                Self::UnknownAuthority
            }
            rustls::Error::InvalidCertificate(
                Bad::NotValidForName | Bad::NotValidForNameContext { .. },
            ) => Self::OtherName,
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
                Self::CertificateWanted
            }
            rustls::Error::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied,
            ) => Self::CertificateRefused,
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        }
    }
}
