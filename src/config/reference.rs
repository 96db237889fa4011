//! The reference page and the sample file, made from the table of keys.

use std::fmt::Write as _;

use super::keys::{SECTIONS, Sample};
use super::load::shown_name;

/// `docs/configuration.md`.
#[cfg(test)]
pub(super) fn page() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         `stirrupd` reads one [TOML](https://toml.io) file, `/etc/stirrup/stirrup.toml` unless \
         `--config` names another. Every key has a default; an empty file is a valid one. Unknown \
         keys and bad values are refused with file and line: `stirrupd check-config` says what \
         would happen, and changes nothing.\n\n\
         This page is made from the table in `src/config/keys.rs` (`UPDATE=1 cargo test --lib \
         config::`), as is the sample file `packaging/stirrup.toml`.\n",
    );
    for section in SECTIONS {
        let title = if section.name.is_empty() { "Top of the file" } else { section.name };
        let _ = match section.name {
            "" => write!(page, "\n## {title}\n\n"),
            name => write!(page, "\n## `{}`\n\n", shown_name(name)),
        };
        let _ = writeln!(page, "{}", section.doc);
        for key in section.keys {
            let _ = writeln!(page, "\n### `{}`\n\n{}\n", key.name, key.doc);
            let _ = writeln!(page, "- takes: {}", key.kind.allowed());
            let _ = match key.default {
                Sample::Default(value) => writeln!(page, "- default: `{value}`"),
                Sample::Example(value) => writeln!(page, "- no default; for example `{value}`"),
            };
        }
    }
    page
}

/// A configuration file with every key in it, explained and commented out
/// (`packaging/stirrup.toml`).
#[must_use]
pub fn sample() -> String {
    let mut sample = String::from(
        "# Configuration of stirrupd. Every line that is commented out shows the default (or, where\n\
         # there is none, an example). Check changes with: stirrupd check-config\n",
    );
    for section in SECTIONS {
        sample.push('\n');
        comment(&mut sample, section.doc);
        if !section.name.is_empty() {
            let mark = if section.optional { "#" } else { "" };
            let _ = writeln!(sample, "{mark}{}", shown_name(section.name));
        }
        for key in section.keys {
            sample.push('\n');
            comment(&mut sample, key.doc);
            comment(&mut sample, &format!("Takes: {}.", key.kind.allowed()));
            let (Sample::Default(value) | Sample::Example(value)) = key.default;
            let _ = writeln!(sample, "#{} = {value}", key.name);
        }
    }
    sample
}

/// Adds a text as comment lines of at most 100 columns.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > 100 {
            let _ = writeln!(out, "{line}");
            line = String::from("#");
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(out, "{line}");
}
