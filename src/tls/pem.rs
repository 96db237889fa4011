//! PEM files (RFC 7468). Every complaint is one line that names the file.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// A larger file is none of ours: a thousand authorities fit.
const FILE_BYTES_MAX: u64 = 4 << 20;

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{}: larger than 4 MiB", path.display()));
    }
    Ok(bytes)
}

fn all<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>, String> {
    let bytes = read(path)?;
    let found: Result<Vec<T>, _> = T::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| format!("{}: no good PEM: {error}", path.display()))?;
    if found.is_empty() {
        return Err(format!("{}: there is no {what} in it (PEM)", path.display()));
    }
    Ok(found)
}

/// A certificate, and those that lead from it to an authority.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    all(path, "certificate")
}

/// Lists of revoked certificates.
pub(super) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    all(path, "revocation list")
}

/// The authorities whose word is taken.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

/// A private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let key = PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| {
        let path = path.display();
        format!("{path}: no private key (PEM, not encrypted): {error}")
    })?;
    if path.metadata().is_ok_and(|it| it.permissions().mode() & 0o007 != 0) {
        let path = path.display();
        tracing::warn!("{path} is a private key, and others may read it: chmod o-rwx {path}");
    }
    Ok(key)
}
