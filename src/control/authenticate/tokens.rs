//! The built-in one: tokens of the catalog.

use std::net::IpAddr;

use super::{Answer, Authenticator, Credentials, Identity, Refusal};
use crate::catalog::{Catalog, Name, Token};

/// Tokens of the catalog, as bearer tokens, or as passwords for clients that know nothing else (the
/// user name does not matter then).
pub(in crate::control) struct Tokens(pub(in crate::control) Catalog);

impl Authenticator for Tokens {
    fn takes(&self, credentials: &Credentials) -> bool {
        match credentials {
            Credentials::Bearer(_) => true,
            // It must not be shown to anybody else.
            Credentials::Basic(_, secret) | Credentials::AuthToken(secret) => {
                Token::is_meant_by(secret.expose())
            }
        }
    }

    fn identify<'a>(
        &'a self,
        credentials: &'a Credentials,
        _: Option<&'a Name>,
        _: Option<IpAddr>,
    ) -> Answer<'a> {
        Box::pin(async {
            let (Credentials::Bearer(secret)
            | Credentials::Basic(_, secret)
            | Credentials::AuthToken(secret)) = credentials;
            let token = self.0.proved_token(secret.clone()).await;
            let token = token.map_err(|error| {
                tracing::error!(%error, "who a caller is cannot be found out");
                Refusal::Unavailable(error.to_string())
            })?;
            Ok(token.map(|token| Identity {
                who: format!("token {}", token.name),
                role: token.role,
                project: token.project,
            }))
        })
    }
}
