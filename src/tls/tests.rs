//! Certificates for tests, and handshakes between the two ends.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority that issues certificates into a directory.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(directory: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, directory: directory.to_owned() };
        std::fs::write(authority.certificate(), authority.issuer.pem()).unwrap();
        authority
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// For a server that is reached by these names.
    pub(crate) fn server(&self, names: &[&str]) -> Issued {
        self.server_until(names, 4000)
    }

    pub(crate) fn server_until(&self, names: &[&str], year: i32) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = date_time_ymd(year, 1, 1);
        self.issue("server", &params)
    }

    /// For a client of this common name.
    pub(crate) fn client(&self, name: &str) -> Issued {
        self.client_with(name, |_| {})
    }

    pub(crate) fn client_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(name.as_bytes()));
        change(&mut params);
        self.issue(name, &params)
    }

    fn issue(&self, file: &str, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| self.directory.join(format!("{file}.{end}"));
        let issued = Issued { certificate: file("pem"), key: file("key") };
        std::fs::write(&issued.certificate, certificate.pem()).unwrap();
        std::fs::write(&issued.key, key.serialize_pem()).unwrap();
        issued
    }

    /// The list of its certificates, by names of clients, that it wants no more.
    pub(crate) fn revoke(&self, names: &[&str]) -> PathBuf {
        let revoked = names.iter().map(|name| RevokedCertParams {
            serial_number: SerialNumber::from_slice(name.as_bytes()),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.directory.join("crl.pem");
        std::fs::write(&path, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        path
    }
}

impl Issued {
    pub(crate) fn identity(&self) -> Option<(PathBuf, PathBuf)> {
        Some((self.certificate.clone(), self.key.clone()))
    }
}

struct Lab {
    _directory: tempfile::TempDir,
    authority: Authority,
}

fn lab() -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path(), "Lab CA");
    Lab { _directory: directory, authority }
}

impl Lab {
    fn files(&self, server: &Issued) -> ServerFiles {
        ServerFiles {
            certificate: server.certificate.clone(),
            key: server.key.clone(),
            client_ca: Some(self.authority.certificate()),
            crl: None,
        }
    }

    fn client(&self, identity: Option<&Issued>) -> Client {
        let identity = identity.and_then(Issued::identity);
        Client::load(&ClientFiles { ca: Some(self.authority.certificate()), identity }).unwrap()
    }
}

/// What the client gets: what the server calls it, or why it is turned away.
async fn meet(server: &Server, client: &Client, host: &str) -> Result<String, Trouble> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let acceptor = TlsAcceptor::from(server.current());
    let serving = async {
        let Ok(mut stream) = acceptor.accept(far).await else { return };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let name = shown.map_or("nobody".to_owned(), |it| name_of(it).unwrap());
        stream.write_all(name.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let calling = async {
        let mut stream = client.connect(host, near).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map(|_| text)
    };
    let (_, called) = tokio::join!(serving, calling);
    called.map_err(|error| Trouble::behind(&error).unwrap())
}

#[tokio::test]
async fn both_ends_prove_who_they_are() {
    let lab = lab();
    let files = lab.files(&lab.authority.server(&["gateway.example", "127.0.0.1"]));
    let server = Server::load(files.clone(), ClientCertificates::Required).unwrap();
    let ci = lab.client(Some(&lab.authority.client("ci")));
    assert_eq!(meet(&server, &ci, "gateway.example").await.unwrap(), "ci");
    assert_eq!(meet(&server, &ci, "127.0.0.1").await.unwrap(), "ci");
    assert_eq!(meet(&server, &ci, "other.example").await, Err(Trouble::OtherName));
    let nobody = lab.client(None);
    assert_eq!(meet(&server, &nobody, "127.0.0.1").await, Err(Trouble::CertificateWanted));
    let wanted = Server::load(files, ClientCertificates::Wanted).unwrap();
    assert_eq!(meet(&wanted, &nobody, "127.0.0.1").await.unwrap(), "nobody");
    assert_eq!(meet(&wanted, &ci, "127.0.0.1").await.unwrap(), "ci");

    let directory = tempfile::tempdir().unwrap();
    let stranger = Authority::new(directory.path(), "Other CA");
    let foreign = lab.client(Some(&stranger.client("ci")));
    for server in [&server, &wanted] {
        let refused = meet(server, &foreign, "127.0.0.1").await;
        assert_eq!(refused, Err(Trouble::CertificateRefused));
    }
    let suspicious = ClientFiles { ca: Some(stranger.certificate()), identity: None };
    let suspicious = Client::load(&suspicious).unwrap();
    assert_eq!(meet(&wanted, &suspicious, "127.0.0.1").await, Err(Trouble::UnknownAuthority));
}

#[tokio::test]
async fn certificates_that_are_out_of_date_or_for_something_else_are_refused() {
    let lab = lab();
    let files = lab.files(&lab.authority.server_until(&["127.0.0.1"], 2020));
    let server = Server::load(files, ClientCertificates::Required).unwrap();
    let ci = lab.client(Some(&lab.authority.client("ci")));
    assert_eq!(meet(&server, &ci, "127.0.0.1").await, Err(Trouble::Expired));
    let files = lab.files(&lab.authority.server(&["127.0.0.1"]));
    let server = Server::load(files, ClientCertificates::Required).unwrap();
    let old = lab.authority.client_with("old", |it| it.not_after = date_time_ymd(2020, 1, 1));
    let other = lab.authority.client_with("other", |it| {
        it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    for bad in [old, other] {
        let refused = meet(&server, &lab.client(Some(&bad)), "127.0.0.1").await;
        assert!(matches!(refused, Err(Trouble::CertificateRefused | Trouble::Other)), "{bad:?}");
    }
}

#[tokio::test]
async fn revoked_certificates_are_refused_from_the_next_handshake_on() {
    let lab = lab();
    let crl = Some(lab.authority.revoke(&["gone"]));
    let files = ServerFiles { crl, ..lab.files(&lab.authority.server(&["127.0.0.1"])) };
    let server = Server::load(files, ClientCertificates::Required).unwrap();
    let ci = lab.client(Some(&lab.authority.client("ci")));
    let gone = lab.client(Some(&lab.authority.client("gone")));
    assert_eq!(meet(&server, &ci, "127.0.0.1").await.unwrap(), "ci");
    assert_eq!(meet(&server, &gone, "127.0.0.1").await, Err(Trouble::CertificateRefused));
    lab.authority.revoke(&["gone", "ci"]);
    server.look_again();
    assert_eq!(meet(&server, &ci, "127.0.0.1").await, Err(Trouble::CertificateRefused));
}

#[tokio::test]
async fn files_are_read_again_when_they_change_and_kept_when_they_are_no_good() {
    let lab = lab();
    let issued = lab.authority.server(&["127.0.0.1"]);
    let server = Server::load(lab.files(&issued), ClientCertificates::Required).unwrap();
    let ci = lab.client(Some(&lab.authority.client("ci")));
    // Only the key of the new pair is there so far.
    let old = std::fs::read(&issued.certificate).unwrap();
    lab.authority.server(&["127.0.0.1", "new.example"]);
    let new = std::fs::read(&issued.certificate).unwrap();
    std::fs::write(&issued.certificate, old).unwrap();
    server.look_again();
    assert_eq!(meet(&server, &ci, "127.0.0.1").await.unwrap(), "ci");
    assert_eq!(meet(&server, &ci, "new.example").await, Err(Trouble::OtherName));
    std::fs::write(&issued.certificate, new).unwrap();
    server.look_again();
    assert_eq!(meet(&server, &ci, "new.example").await.unwrap(), "ci");
}
