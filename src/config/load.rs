//! From the text of the file to a checked [`Config`].

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::{Draft, Key, Kind, SECTIONS, Section};
use super::{Config, ConfigError, DefaultStore, parse_size};

/// More than this is not a configuration file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A configuration, and what its owner should be told about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Lines to log as warnings.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// What is wrong, where, and what is allowed there.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        let whole = |message: String| ConfigError::new(path, None, message);
        let file = File::open(path).map_err(|e| {
            whole(format!("cannot read the configuration: {e}; name another file with --config"))
        })?;
        let mode = file.metadata().map_err(|e| whole(e.to_string()))?.permissions().mode();
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|e| whole(format!("cannot read the configuration: {e}")))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(whole("the configuration is larger than 1 MiB".into()));
        }
        let mut draft =
            Reader { path, text: &text, draft: Draft::default(), given: Vec::new() }.read()?;
        if draft.holds_secret && mode & 0o007 != 0 {
            let path = path.display();
            draft
                .warnings
                .push(format!("{path} holds a secret and others may read it: chmod o-rwx {path}"));
        }
        Ok(Loaded { config: draft.config, warnings: draft.warnings })
    }

    /// Checks the text of a configuration file; `path` is for messages only.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Loaded, ConfigError> {
        let draft = Reader { path, text, draft: Draft::default(), given: Vec::new() }.read()?;
        Ok(Loaded { config: draft.config, warnings: draft.warnings })
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    draft: Draft,
    /// The keys that were given, and where.
    given: Vec<(&'static str, &'static str, usize)>,
}

impl Reader<'_> {
    fn read(mut self) -> Result<Draft, ConfigError> {
        let text = self.text;
        let table = DeTable::parse(text).map_err(|e| {
            let line = e.span().map(|span| self.line(&span));
            ConfigError::new(self.path, line, e.message().trim().replace('\n', "; "))
        })?;
        self.table("", table.get_ref())?;
        self.check_together()?;
        Ok(self.draft)
    }

    fn table(&mut self, name: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        let section = SECTIONS.iter().find(|section| section.name == name);
        if let Some(section) = section {
            (section.enter)(&mut self.draft);
        }
        for (key, value) in table {
            let line = self.line(&key.span());
            let word: &str = key.get_ref();
            let inner = if name.is_empty() { word.to_owned() } else { format!("{name}.{word}") };
            let known =
                section.and_then(|s| s.keys.iter().find(|k| k.name == word).map(|k| (s, k)));
            match (known, value.get_ref()) {
                (Some((section, key)), value_) => {
                    self.value(section, key, line, value_, &value.span())?;
                    self.given.push((section.name, key.name, line));
                }
                (None, DeValue::Table(table)) if is_table(&inner) => self.table(&inner, table)?,
                (None, _) if is_table(&inner) => {
                    return Err(self.at(line, format!("`{inner}` is a table: write [{inner}]")));
                }
                (None, value) => {
                    return Err(
                        self.at(line, unknown(name, word, matches!(value, DeValue::Table(_))))
                    );
                }
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        section: &Section,
        key: &Key,
        line: usize,
        value: &DeValue<'_>,
        span: &Range<usize>,
    ) -> Result<(), ConfigError> {
        let draft = &mut self.draft;
        let wrong_type =
            || Err((None, format!("must be {}, not {}", key.kind.allowed(), named(value))));
        let result = match (&key.kind, value) {
            (Kind::Bool(set), DeValue::Boolean(v)) => {
                set(draft, *v);
                Ok(())
            }
            (Kind::Integer { min, max, set }, DeValue::Integer(v)) => {
                match u64::from_str_radix(v.as_str(), v.radix()) {
                    Ok(v) if (*min..=*max).contains(&v) => {
                        set(draft, v);
                        Ok(())
                    }
                    _ => Err((None, format!("must be {}, not {}", key.kind.allowed(), v.as_str()))),
                }
            }
            (Kind::Size { min, max, set }, DeValue::Integer(_) | DeValue::String(_)) => {
                match size(value) {
                    Ok(v) if (*min..=*max).contains(&v) => {
                        set(draft, v);
                        Ok(())
                    }
                    Ok(_) => {
                        let shown = &self.text[span.clone()];
                        Err((None, format!("must be {}, not {shown}", key.kind.allowed())))
                    }
                    Err(e) => Err((None, e)),
                }
            }
            (Kind::Choice { of, set }, DeValue::String(_) | DeValue::Integer(_)) => {
                let shown = text_or_number(value);
                match of.iter().position(|v| *v == shown) {
                    Some(v) => {
                        set(draft, v);
                        Ok(())
                    }
                    None => Err((None, format!("must be {}, not `{shown}`", key.kind.allowed()))),
                }
            }
            (Kind::Text { set, .. }, DeValue::String(v)) => set(draft, v).map_err(|e| (None, e)),
            (Kind::List { clear, push, empty_allowed, .. }, DeValue::Array(items)) => {
                clear(draft);
                if items.is_empty() && !empty_allowed {
                    Err((None, "must not be empty".to_owned()))
                } else {
                    items.iter().try_for_each(|item| match item.get_ref() {
                        DeValue::String(v) => push(draft, v).map_err(|e| (Some(item.span()), e)),
                        other => Err((
                            Some(item.span()),
                            format!("must be {}, not {}", key.kind.allowed(), named(other)),
                        )),
                    })
                }
            }
            (Kind::Integers { max, set }, DeValue::Array(items)) => items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::Integer(v) => u64::from_str_radix(v.as_str(), v.radix())
                        .ok()
                        .filter(|v| v <= max)
                        .ok_or_else(|| item.span()),
                    _ => Err(item.span()),
                })
                .collect::<Result<Vec<_>, _>>()
                .map(|values| set(draft, &values))
                .map_err(|span| (Some(span), format!("must be {}", key.kind.allowed()))),
            _ => wrong_type(),
        };
        result.map_err(|(span, message)| {
            let line = span.map_or(line, |span| self.line(&span));
            self.at(line, format!("`{}`{}: {message}", key.name, within(section.name)))
        })
    }

    /// What no key can be wrong about alone.
    fn check_together(&self) -> Result<(), ConfigError> {
        let config = &self.draft.config;
        if config.default_store == DefaultStore::Rbd && config.rbd.is_none() {
            return Err(self.at_key(
                "",
                "default_store",
                "the default store is \"rbd\", but there is no table [store.rbd]",
            ));
        }
        if config.iscsi.first_burst_bytes > config.iscsi.max_burst_bytes {
            let key = if self.line_of("iscsi", "first_burst_length").is_some() {
                "first_burst_length"
            } else {
                "max_burst_length"
            };
            return Err(self.at_key(
                "iscsi",
                key,
                "`first_burst_length` must not be above `max_burst_length` (RFC 7143 13.14)",
            ));
        }
        if self.line_of("discovery", "chap_secret").is_some()
            && self.line_of("discovery", "chap_secret_file").is_some()
        {
            return Err(self.at_key(
                "discovery",
                "chap_secret_file",
                "give `chap_secret` or `chap_secret_file`, not both",
            ));
        }
        match &config.discovery {
            Some(chap) if chap.user.is_empty() => Err(self.at_key(
                "discovery",
                "chap_secret",
                "`chap_user` is missing in [discovery]",
            )),
            Some(chap) if chap.secret.is_empty() => Err(self.at_key(
                "discovery",
                "chap_user",
                "`chap_secret` or `chap_secret_file` is missing in [discovery]",
            )),
            _ => Ok(()),
        }
    }

    fn line_of(&self, section: &str, key: &str) -> Option<usize> {
        self.given.iter().find(|(s, k, _)| *s == section && *k == key).map(|(_, _, line)| *line)
    }

    fn at_key(&self, section: &str, key: &str, message: &str) -> ConfigError {
        let line = self.line_of(section, key).or_else(|| {
            self.given.iter().find(|(s, _, _)| *s == section).map(|(_, _, line)| *line)
        });
        ConfigError::new(self.path, line, message)
    }

    fn at(&self, line: usize, message: String) -> ConfigError {
        ConfigError::new(self.path, Some(line), message)
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        before.iter().filter(|b| **b == b'\n').count() + 1
    }
}

fn is_table(name: &str) -> bool {
    SECTIONS.iter().any(|section| {
        section.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn within(section: &str) -> String {
    if section.is_empty() { String::new() } else { format!(" in [{section}]") }
}

fn named(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a text".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
        DeValue::Integer(_) => "a number".into(),
        DeValue::Float(_) => "a number with a fraction".into(),
        DeValue::Boolean(v) => v.to_string(),
        DeValue::Datetime(_) => "a date".into(),
    }
}

fn text_or_number<'a>(value: &'a DeValue<'_>) -> &'a str {
    match value {
        DeValue::Integer(v) if v.radix() == 10 => v.as_str(),
        other => other.as_str().unwrap_or_default(),
    }
}

fn size(value: &DeValue<'_>) -> Result<u64, String> {
    match value {
        DeValue::Integer(v) => u64::from_str_radix(v.as_str(), v.radix())
            .map_err(|_| format!("`{}` is not a size", v.as_str())),
        other => parse_size(other.as_str().unwrap_or_default()),
    }
}

/// What to say about a word that is in no table of ours: the nearest one, or where it belongs.
fn unknown(section: &str, word: &str, table: bool) -> String {
    if table {
        let full = if section.is_empty() { word.to_owned() } else { format!("{section}.{word}") };
        let names = SECTIONS.iter().map(|s| s.name).filter(|name| !name.is_empty());
        let hint =
            nearest(&full, names).map_or_else(String::new, |n| format!("; did you mean [{n}]?"));
        return format!("unknown table [{full}]{hint}");
    }
    let here = SECTIONS.iter().filter(|s| s.name == section).flat_map(|s| s.keys).map(|k| k.name);
    let elsewhere = SECTIONS
        .iter()
        .find(|s| s.name != section && s.keys.iter().any(|k| k.name == word))
        .map(|s| s.name);
    let hint = match (nearest(word, here), elsewhere) {
        (Some(near), _) => format!("; did you mean `{near}`?"),
        (None, Some("")) => "; it belongs at the top of the file, before any table".to_owned(),
        (None, Some(name)) => format!("; it belongs in [{name}]"),
        (None, None) => String::new(),
    };
    let place = if section.is_empty() { " at the top of the file".into() } else { within(section) };
    format!("unknown key `{word}`{place}{hint}")
}

/// The nearest of `names`, if it is near enough to be what was meant.
fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    names
        .map(|name| (distance(word, name), name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
