//! The rows of client certificates.

use jiff::Timestamp;

use super::Engine;
use super::rows::{self, Batch, Versioned};
use crate::catalog::certificates::{Certificate, CertificateName};
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::name::Name;
use crate::catalog::state::{ABSENT, Table};
use crate::catalog::tokens::Role;

impl Engine {
    /// All certificates that are named.
    pub(in crate::catalog) fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        self.all(Table::Certificates, None)
    }

    /// Names a certificate. The second answer: it was named before, with the same rights.
    pub(in crate::catalog) fn put_certificate(
        &self,
        name: &CertificateName,
        role: Role,
        project: Option<Name>,
    ) -> Result<(Certificate, bool), Error> {
        if let Some(Versioned { value, .. }) = self.find_certificate(name)? {
            if (value.role, &value.project) == (role, &project) {
                return Ok((value, true));
            }
            let of =
                value.project.map_or(String::new(), |project| format!(" of project '{project}'"));
            let message = format!(
                "certificate '{name}' is named already, as {}{of}; remove it first",
                value.role
            );
            return Err(Error::new(ErrorKind::Conflict, "certificate-exists", message));
        }
        let certificate =
            Certificate { name: name.clone(), role, project, created: Timestamp::now() };
        let mut batch = Batch::default();
        batch.put(Table::Certificates, name.as_str(), ABSENT, &certificate)?;
        batch.apply(self.state.as_ref())?;
        Ok((certificate, false))
    }

    /// Takes a certificate's rights away.
    pub(in crate::catalog) fn remove_certificate(
        &self,
        name: &CertificateName,
    ) -> Result<(), Error> {
        let row = self.find_certificate(name)?.ok_or_else(|| {
            let code = Error::not_found(Noun::Certificate, "", "").code();
            Error::new(ErrorKind::NotFound, code, format!("no certificate '{name}' is named"))
        })?;
        let mut batch = Batch::default();
        batch.delete(Table::Certificates, name.as_str(), row.revision);
        batch.apply(self.state.as_ref())?;
        Ok(())
    }

    /// A certificate, if it is named.
    pub(in crate::catalog) fn certificate(
        &self,
        name: &CertificateName,
    ) -> Result<Option<Certificate>, Error> {
        Ok(self.find_certificate(name)?.map(|row| row.value))
    }

    fn find_certificate(
        &self,
        name: &CertificateName,
    ) -> Result<Option<Versioned<Certificate>>, Error> {
        rows::load(self.state.as_ref(), Table::Certificates, name.as_str())
    }
}
