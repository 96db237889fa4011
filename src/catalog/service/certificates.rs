//! Client certificates, as calls.

use super::{Catalog, Subject};
use crate::catalog::certificates::{Certificate, CertificateName};
use crate::catalog::engine::Engine;
use crate::catalog::error::{Error, Noun};
use crate::catalog::name::Name;
use crate::catalog::tokens::Role;

impl Catalog {
    /// All certificates that are named, sorted.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        self.blocking(Engine::certificates).await
    }

    /// Says what the holder of a certificate may do. The second answer: the same was said before.
    ///
    /// # Errors
    /// `certificate-exists`, with other rights.
    pub async fn put_certificate(
        &self,
        name: CertificateName,
        role: Role,
        project: Option<Name>,
    ) -> Result<(Certificate, bool), Error> {
        let mut guards = vec![self.0.locks.lock(Noun::Certificate, "", name.as_str()).await];
        if let Some(project) = &project {
            // It may be about to be removed, for want of credentials too.
            guards.push(self.lock(Noun::Project, project, "").await);
        }
        self.call(Subject::Nothing, guards, move |engine| {
            engine.put_certificate(&name, role, project)
        })
        .await
    }

    /// Takes a certificate's rights away, at once.
    ///
    /// # Errors
    /// `certificate-not-found`.
    pub async fn remove_certificate(&self, name: CertificateName) -> Result<(), Error> {
        let guard = self.0.locks.lock(Noun::Certificate, "", name.as_str()).await;
        self.call(Subject::Nothing, vec![guard], move |engine| engine.remove_certificate(&name))
            .await
    }

    /// What the holder of a certificate may do, if that was said.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn certificate(&self, name: CertificateName) -> Result<Option<Certificate>, Error> {
        self.blocking(move |engine| engine.certificate(&name)).await
    }
}
