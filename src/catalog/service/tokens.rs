//! Tokens, as calls.

use super::{Catalog, Subject};
use crate::catalog::engine::Engine;
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::Secret;
use crate::catalog::name::Name;
use crate::catalog::tokens::{Token, TokenSpec};

impl Catalog {
    /// All tokens, sorted.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        self.blocking(Engine::tokens).await
    }

    /// Makes a token, and gives the text that proves it this one time.
    ///
    /// # Errors
    /// `token-exists`.
    pub async fn make_token(&self, name: Name, spec: TokenSpec) -> Result<(Token, Secret), Error> {
        let mut guards = vec![self.0.locks.lock(Noun::Token, "", name.as_str()).await];
        if let Some(project) = &spec.project {
            // It may be about to be removed, for want of credentials too.
            guards.push(self.lock(Noun::Project, project, "").await);
        }
        self.call(Subject::Nothing, guards, move |engine| engine.make_token(&name, &spec)).await
    }

    /// Revokes a token, at once.
    ///
    /// # Errors
    /// `token-not-found`.
    pub async fn remove_token(&self, name: Name) -> Result<(), Error> {
        let guard = self.0.locks.lock(Noun::Token, "", name.as_str()).await;
        self.call(Subject::Nothing, vec![guard], move |engine| engine.remove_token(&name)).await
    }

    /// The token that a text proves, if it does.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn proved_token(&self, text: Secret) -> Result<Option<Token>, Error> {
        self.blocking(move |engine| engine.proved_token(text.expose())).await
    }
}
