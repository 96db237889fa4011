//! The rows of tokens.

use jiff::Timestamp;

use super::Engine;
use super::rows::{self, Batch, Versioned};
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::model::Secret;
use crate::catalog::name::Name;
use crate::catalog::state::{ABSENT, Table};
use crate::catalog::tokens::{Token, TokenSpec};

impl Engine {
    /// All tokens.
    pub(in crate::catalog) fn tokens(&self) -> Result<Vec<Token>, Error> {
        self.all(Table::Tokens, None)
    }

    /// Makes a token; the text that proves it is not kept.
    pub(in crate::catalog) fn make_token(
        &self,
        name: &Name,
        spec: &TokenSpec,
    ) -> Result<(Token, Secret), Error> {
        if self.find_token(name)?.is_some() {
            let message = format!("token '{name}' exists already; remove it first");
            return Err(Error::new(ErrorKind::Conflict, "token-exists", message));
        }
        let (token, text) = Token::make(name, spec)?;
        let mut batch = Batch::default();
        batch.put(Table::Tokens, name.as_str(), ABSENT, &token)?;
        batch.apply(self.state.as_ref())?;
        Ok((token, text))
    }

    /// Revokes a token.
    pub(in crate::catalog) fn remove_token(&self, name: &Name) -> Result<(), Error> {
        let row = self.find_token(name)?.ok_or_else(|| {
            let code = Error::not_found(Noun::Token, "", "").code();
            Error::new(ErrorKind::NotFound, code, format!("there is no token '{name}'"))
        })?;
        let mut batch = Batch::default();
        batch.delete(Table::Tokens, name.as_str(), row.revision);
        batch.apply(self.state.as_ref())?;
        Ok(())
    }

    /// The token that a text proves, if it does.
    pub(in crate::catalog) fn proved_token(&self, text: &str) -> Result<Option<Token>, Error> {
        let Some(name) = Token::name_in(text) else { return Ok(None) };
        let row = self.find_token(&name)?;
        let proved = |token: &Token| token.is_proved_by(text, Timestamp::now());
        Ok(row.map(|row| row.value).filter(proved))
    }

    fn find_token(&self, name: &Name) -> Result<Option<Versioned<Token>>, Error> {
        rows::load(self.state.as_ref(), Table::Tokens, name.as_str())
    }
}
