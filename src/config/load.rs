//! From the text of the file to a checked [`Config`].

use std::fs::File;
use std::io::Read;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::keys::{Check, Draft, Key, Kind, SECTIONS, Section, missing};
use super::{Config, ConfigError, DefaultStore, nearest, parse_size};

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
                (Some((section, key)), value) => {
                    self.value(section, key, line, value)?;
                    self.given.push((section.name, key.name, line));
                }
                (None, DeValue::Table(table)) if is_table(&inner) && repeated(&inner).is_none() => {
                    self.table(&inner, table)?;
                }
                (None, DeValue::Array(tables)) if let Some(check) = repeated(&inner) => {
                    self.tables(&inner, tables, check)?;
                }
                (None, _) if is_table(&inner) => {
                    let right = shown_name(&inner);
                    return Err(self.at(line, format!("`{inner}` is a table: write {right}")));
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

    /// The tables of a section that may be there many times.
    fn tables(
        &mut self,
        name: &str,
        tables: &DeArray<'_>,
        check: Check,
    ) -> Result<(), ConfigError> {
        for item in tables {
            let line = self.line(&item.span());
            let DeValue::Table(table) = item.get_ref() else {
                let right = shown_name(name);
                return Err(self.at(line, format!("`{name}` is a table: write {right}")));
            };
            self.table(name, table)?;
            check(&self.draft).map_err(|message| self.at(line, message))?;
        }
        Ok(())
    }

    fn value(
        &mut self,
        section: &Section,
        key: &Key,
        line: usize,
        value: &DeValue<'_>,
    ) -> Result<(), ConfigError> {
        apply(&key.kind, &mut self.draft, value).map_err(|Wrong { span, message }| {
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
        let single = ["portals", "advertise", "portal_group_tag"];
        let given = single.into_iter().find(|key| self.line_of("target", key).is_some());
        if let (Some(key), false) = (given, config.portal_groups.is_empty()) {
            let message =
                format!("`{key}` belongs into each [[portal_group]], now that there are some");
            return Err(self.at_key("target", key, &message));
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
        if let Some((section, key)) = missing(&self.draft) {
            let message = format!("`{key}` is missing in [{section}]");
            return Err(self.at_key(section, key, &message));
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

/// Why a value is refused; `span` where it is not the whole value.
struct Wrong {
    span: Option<Range<usize>>,
    message: String,
}

impl Wrong {
    fn value(message: String) -> Self {
        Self { span: None, message }
    }
}

/// Puts a value where its key says, if it is one that the key takes.
fn apply(kind: &Kind, draft: &mut Draft, value: &DeValue<'_>) -> Result<(), Wrong> {
    let not = |value: &DeValue<'_>| format!("must be {}, not {}", kind.allowed(), shown(value));
    let wrong = || Wrong::value(not(value));
    match (kind, value) {
        (Kind::Bool(set), DeValue::Boolean(v)) => set(draft, *v),
        (Kind::Integer { min, max, set }, DeValue::Integer(v)) => {
            set(draft, integer(v, *min..=*max).ok_or_else(wrong)?);
        }
        (Kind::Size { min, max, set }, DeValue::Integer(v)) => {
            set(draft, integer(v, *min..=*max).ok_or_else(wrong)?);
        }
        (Kind::Size { min, max, set }, DeValue::String(v)) => {
            let bytes = parse_size(v).map_err(Wrong::value)?;
            set(draft, Some(bytes).filter(|v| (*min..=*max).contains(v)).ok_or_else(wrong)?);
        }
        (Kind::Choice { of, set }, DeValue::String(v)) => {
            set(draft, of.iter().position(|known| known == v).ok_or_else(wrong)?);
        }
        (Kind::Text { set, .. }, DeValue::String(v)) => set(draft, v).map_err(Wrong::value)?,
        (Kind::List { empty_allowed: false, .. }, DeValue::Array(items)) if items.is_empty() => {
            return Err(Wrong::value("must not be empty".to_owned()));
        }
        (Kind::List { clear, push, .. }, DeValue::Array(items)) => {
            clear(draft);
            for item in items {
                let pushed = match item.get_ref() {
                    DeValue::String(v) => push(draft, v),
                    other => Err(not(other)),
                };
                pushed.map_err(|message| Wrong { span: Some(item.span()), message })?;
            }
        }
        (Kind::Integers { max, set }, DeValue::Array(items)) => {
            let mut values = Vec::new();
            for item in items {
                let value = match item.get_ref() {
                    DeValue::Integer(v) => integer(v, 0..=*max),
                    _ => None,
                };
                values.push(value.ok_or_else(|| Wrong {
                    span: Some(item.span()),
                    message: not(item.get_ref()),
                })?);
            }
            set(draft, &values);
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

fn integer(value: &DeInteger<'_>, range: RangeInclusive<u64>) -> Option<u64> {
    u64::from_str_radix(value.as_str(), value.radix()).ok().filter(|v| range.contains(v))
}

fn is_table(name: &str) -> bool {
    SECTIONS.iter().any(|section| {
        section.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// How one of the tables of a section that may be there many times is checked.
fn repeated(name: &str) -> Option<Check> {
    SECTIONS.iter().find(|section| section.name == name)?.repeated
}

/// A section's name as in the file.
pub(super) fn shown_name(section: &str) -> String {
    match repeated(section) {
        Some(_) => format!("[[{section}]]"),
        None => format!("[{section}]"),
    }
}

fn within(section: &str) -> String {
    if section.is_empty() { String::new() } else { format!(" in {}", shown_name(section)) }
}

/// A value in a complaint. Texts are cut short; none that is a secret gets here.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(v) => format!("{:?}", v.chars().take(60).collect::<String>()),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
        DeValue::Integer(v) => v.as_str().into(),
        DeValue::Float(v) => v.as_str().into(),
        DeValue::Boolean(v) => v.to_string(),
        DeValue::Datetime(_) => "a date".into(),
    }
}

/// What to say about a word that is in no table of ours: the nearest one, or where it belongs.
fn unknown(section: &str, word: &str, table: bool) -> String {
    if table {
        let full = if section.is_empty() { word.to_owned() } else { format!("{section}.{word}") };
        let names = SECTIONS.iter().map(|s| s.name).filter(|name| !name.is_empty());
        let hint = nearest(&full, names)
            .map_or_else(String::new, |n| format!("; did you mean {}?", shown_name(n)));
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
        (None, Some(name)) => format!("; it belongs in {}", shown_name(name)),
        (None, None) => String::new(),
    };
    let place = if section.is_empty() { " at the top of the file".into() } else { within(section) };
    format!("unknown key `{word}`{place}{hint}")
}
