//! Who may do what, and who did.

use super::{NONE, Result, details, table, text, time};
use crate::client::console::Console;
use crate::control::api::access::{AuditEntry, Token, WhoAmI};
use crate::control::api::certificates::Certificate;

pub(in crate::client) fn tokens(console: &mut Console<'_>, tokens: &[Token]) -> Result {
    let rows = tokens.iter().map(|token| {
        vec![
            text(&token.name),
            text(&token.role),
            text(token.project.as_deref().unwrap_or("all")),
            text(time(&token.created)),
            text(token.expires.as_deref().map_or_else(|| "never".to_owned(), time)),
        ]
    });
    table(console, "tokens", &["TOKEN", "ROLE", "PROJECT", "CREATED", "EXPIRES"], rows)
}

pub(in crate::client) fn certificates(
    console: &mut Console<'_>,
    certificates: &[Certificate],
) -> Result {
    let rows = certificates.iter().map(|certificate| {
        vec![
            text(&certificate.name),
            text(&certificate.role),
            text(certificate.project.as_deref().unwrap_or("all")),
            text(time(&certificate.created)),
        ]
    });
    table(console, "certificates", &["CERTIFICATE", "ROLE", "PROJECT", "CREATED"], rows)
}

pub(in crate::client) fn audit(console: &mut Console<'_>, entries: &[AuditEntry]) -> Result {
    let rows = entries.iter().map(|entry| {
        vec![
            text(time(&entry.time)),
            text(&entry.who),
            text(from(entry)),
            text(&entry.method),
            text(entry.status.map_or_else(|| "gone".to_owned(), |status| status.to_string())),
            text(&entry.path),
        ]
    });
    table(console, "calls", &["TIME", "WHO", "FROM", "METHOD", "STATUS", "PATH"], rows)
}

/// Who was at the other end.
fn from(entry: &AuditEntry) -> String {
    match (entry.uid, &entry.address) {
        (Some(uid), _) => format!("uid {uid}"),
        (None, Some(address)) => address.clone(),
        (None, None) => NONE.to_owned(),
    }
}

pub(in crate::client) fn whoami(console: &mut Console<'_>, me: &WhoAmI) -> Result {
    let project = me.project.clone().unwrap_or_else(|| "all".to_owned());
    let lines = [("who", me.who.clone()), ("role", me.role.clone()), ("project", project)];
    details(console, &lines)
}
