//! The end that is connected to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::{PROTOCOLS, pem, provider};

/// Changes of the files are looked for no more often than this.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where a server finds what it needs, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// Its certificate, and those between that and an authority.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// Authorities whose clients are let in.
    pub client_ca: Option<PathBuf>,
    /// Lists of client certificates that were revoked, one of each authority that certificates come
    /// from; none may be out of date.
    pub crl: Option<PathBuf>,
}

/// Whether clients need certificates. One that is no good is refused in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for one.
    Ignored,
    /// Those that have one show it.
    Wanted,
    /// Nobody gets in without.
    Required,
}

/// What a server shows and whom it lets in. The files may be replaced at any time: that they have
/// changed is found out at the next handshake. Files that make no sense change nothing.
#[derive(Debug)]
pub struct Server {
    files: ServerFiles,
    clients: ClientCertificates,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    stamps: Vec<Stamp>,
    looked: Instant,
}

/// Inode, size and time of change of a file, by which another one is known; `None`: it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Server {
    /// Reads the files.
    ///
    /// # Errors
    /// One line that names the file and says what is wrong with it.
    pub fn load(files: ServerFiles, clients: ClientCertificates) -> Result<Self, String> {
        let stamps = files.stamps();
        let config = Arc::new(files.config(clients)?);
        let loaded = Mutex::new(Loaded { config, stamps, looked: Instant::now() });
        Ok(Self { files, clients, loaded })
    }

    /// What the next handshake goes by. Blocks while files are read.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        let mut loaded = self.loaded.lock();
        if loaded.looked.elapsed() < LOOK_INTERVAL {
            return Arc::clone(&loaded.config);
        }
        loaded.looked = Instant::now();
        let stamps = self.files.stamps();
        if stamps != loaded.stamps {
            loaded.stamps = stamps;
            let certificate = self.files.certificate.display();
            match self.files.config(self.clients) {
                Ok(config) => {
                    tracing::info!(%certificate, "TLS: the files have changed and are in use");
                    loaded.config = Arc::new(config);
                }
                Err(error) => {
                    tracing::error!("TLS: what there was stays in use; the files changed: {error}");
                }
            }
        }
        Arc::clone(&loaded.config)
    }

    /// The time has come to look for changes.
    #[cfg(test)]
    pub(super) fn look_again(&self) {
        self.loaded.lock().looked -= LOOK_INTERVAL;
    }
}

impl ServerFiles {
    fn stamps(&self) -> Vec<Stamp> {
        let files = [Some(&self.certificate), Some(&self.key)];
        let files = files.into_iter().chain([self.client_ca.as_ref(), self.crl.as_ref()]).flatten();
        files.map(|path| stamp(path)).collect()
    }

    fn config(&self, clients: ClientCertificates) -> Result<ServerConfig, String> {
        let chain = pem::certificates(&self.certificate)?;
        let key = pem::key(&self.key)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match self.verifier(clients)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            let (certificate, key) = (self.certificate.display(), self.key.display());
            format!("{certificate} with the key {key}: {error}")
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Who comes back is looked at again: the certificate may be revoked or have expired.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn verifier(
        &self,
        clients: ClientCertificates,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
        let is_required = match clients {
            ClientCertificates::Ignored => return Ok(None),
            ClientCertificates::Wanted => false,
            ClientCertificates::Required => true,
        };
        let missing = || "client certificates need the certificate of their authority".to_owned();
        let path = self.client_ca.as_ref().ok_or_else(missing)?;
        let roots = Arc::new(pem::authorities(path)?);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        if let Some(crl) = &self.crl {
            let lists = pem::revocations(crl)?;
            builder = builder
                .with_crls(lists)
                .only_check_end_entity_revocation()
                .enforce_revocation_expiration();
        }
        if !is_required {
            builder = builder.allow_unauthenticated();
        }
        let context = |error| {
            let crl = self.crl.as_ref().map(|crl| format!(" with {}", crl.display()));
            format!("{}{}: {error}", path.display(), crl.unwrap_or_default())
        };
        builder.build().map(Some).map_err(context)
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
}
