//! Scripts out of templates (Jinja's language), which an operator can replace.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::{Boot, Credentials, Error, KernelArguments, Portal, plain, uri};

/// What asks for a machine's script.
const ENTRY: &str = "entry.ipxe";
/// The script of a node.
const NODE: &str = "node.ipxe";
/// What a machine gets that has no script.
const REFUSED: &str = "refused.ipxe";
/// Those of the program, which an operator's own can extend or include by this name before theirs.
const BUILTIN: &str = "builtin/";
const OWN: &[(&str, &str)] = &[
    (ENTRY, include_str!("templates/entry.ipxe")),
    (NODE, include_str!("templates/node.ipxe")),
    (REFUSED, include_str!("templates/refused.ipxe")),
];

/// How deep directories of templates are looked into, and what is too much.
const DEPTH_MAX: usize = 3;
const FILES_MAX: usize = 10_000;
const FILE_BYTES_MAX: u64 = 64 << 10;
/// A script that is longer is none.
const SCRIPT_BYTES_MAX: usize = 64 << 10;
/// Longest reason that a machine is told.
const REASON_CHARS_MAX: usize = 300;

/// A template that cannot be used: where, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    file: PathBuf,
    line: Option<usize>,
    message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for TemplateError {}

/// Templates, each of which was tried when it was loaded.
pub struct Templates {
    environment: Environment<'static>,
    directory: PathBuf,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Templates({})", self.directory.display())
    }
}

/// What a template of a node knows.
#[derive(Serialize)]
struct NodeContext<'a> {
    project: &'a str,
    node: &'a str,
    initiator: Option<&'a str>,
    target: &'a str,
    lun: u16,
    uri: String,
    uris: Vec<String>,
    portals: Vec<PortalContext>,
    chap: Option<ChapContext<'a>>,
    kernel: KernelArguments,
}

#[derive(Serialize)]
struct PortalContext {
    address: String,
    port: u16,
    group: u16,
}

#[derive(Serialize)]
struct ChapContext<'a> {
    username: &'a str,
    password: &'a str,
    reverse_username: Option<&'a str>,
    reverse_password: Option<&'a str>,
}

/// What a template of a refusal knows.
#[derive(Serialize)]
struct RefusedContext<'a> {
    reason: String,
    retry: bool,
    entry: &'a str,
}

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
        // The delimiters are the usual ones, with which nothing can be wrong.
        environment.set_syntax(syntax.build().unwrap_or_default());
        for (name, source) in OWN {
            // They are tried by a test; without them every script is an error, said when it is
            // asked for.
            let _tested = environment.add_template_owned(format!("{BUILTIN}{name}"), *source);
        }
        Self { environment, directory: PathBuf::new() }
    }
}

impl Templates {
    /// The program's own, and over them those of a directory: `entry.ipxe`, `node.ipxe`,
    /// `refused.ipxe`; `projects/PROJECT.ipxe` for the nodes of a project,
    /// `nodes/PROJECT/NODE.ipxe` for one; any others for these to include.
    ///
    /// # Errors
    /// The first template that is no template, or gives no script for an example; with its file and
    /// line.
    pub fn load(directory: &Path) -> Result<Self, TemplateError> {
        let mut this = Self { directory: directory.to_owned(), ..Self::default() };
        let mut files = BTreeMap::new();
        collect(directory, "", 0, &mut files)?;
        for (name, file) in &files {
            let source = read(file)?;
            let added = this.environment.add_template_owned(name.clone(), source);
            added.map_err(|error| this.error(&error, name))?;
        }
        for name in files.keys() {
            this.check(name)?;
        }
        Ok(this)
    }

    /// What every machine can be sent to: it asks for the machine's own script.
    ///
    /// # Errors
    /// [`Error::Template`].
    pub fn entry(&self) -> Result<String, Error> {
        self.render(self.choose(&[ENTRY]), ())
    }

    /// The script of a node.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn node(&self, boot: &Boot<'_>) -> Result<String, Error> {
        let of_node = format!("nodes/{}/{}.ipxe", boot.project, boot.node);
        let of_project = format!("projects/{}.ipxe", boot.project);
        self.node_by(self.choose(&[&of_node, &of_project, NODE]), boot)
    }

    /// What a machine gets that has no script: why, and whether it is to ask again, at `entry`.
    ///
    /// # Errors
    /// [`Error::Template`].
    pub fn refused(&self, reason: &str, retry: bool, entry: &str) -> Result<String, Error> {
        self.refused_by(self.choose(&[REFUSED]), reason, retry, entry)
    }

    fn node_by(&self, name: String, boot: &Boot<'_>) -> Result<String, Error> {
        boot.checked()?;
        let portals = boot.firmware_portals()?;
        let uris: Vec<String> =
            portals.iter().map(|portal| uri(portal.address, boot.lun, boot.target)).collect();
        let portal = |portal: &Portal| PortalContext {
            address: portal.address.ip().to_string(),
            port: portal.address.port(),
            group: portal.group,
        };
        let context = NodeContext {
            project: boot.project,
            node: boot.node,
            initiator: boot.initiator,
            target: boot.target,
            lun: boot.lun,
            // Never empty.
            uri: uris[0].clone(),
            uris,
            portals: portals.iter().map(portal).collect(),
            chap: boot.chap.as_ref().map(|chap| ChapContext {
                username: chap.initiator.0,
                password: chap.initiator.1,
                reverse_username: chap.target.map(|(user, _)| user),
                reverse_password: chap.target.map(|(_, secret)| secret),
            }),
            kernel: boot.kernel_arguments()?,
        };
        self.render(name, context)
    }

    fn refused_by(
        &self,
        name: String,
        reason: &str,
        retry: bool,
        entry: &str,
    ) -> Result<String, Error> {
        let reason = plain(reason, REASON_CHARS_MAX);
        self.render(name, RefusedContext { reason, retry, entry })
    }

    /// The first of these that the operator has, or the program's own of the last name.
    fn choose(&self, names: &[&str]) -> String {
        let has = |name: &&&str| self.environment.get_template(name).is_ok();
        match names.iter().find(has) {
            Some(name) => (*name).to_owned(),
            None => format!("{BUILTIN}{}", names.last().copied().unwrap_or_default()),
        }
    }

    /// The whole script or none.
    fn render(&self, name: String, context: impl Serialize) -> Result<String, Error> {
        let rendered = self.environment.get_template(&name);
        let rendered = rendered.and_then(|template| template.render(Serde(context)));
        let script = rendered.map_err(|error| Error::Template(self.error(&error, &name)))?;
        let why = if !script.starts_with("#!ipxe\n") {
            "what it gives does not begin with the line #!ipxe"
        } else if script.len() > SCRIPT_BYTES_MAX {
            "what it gives is longer than 64 KiB"
        } else {
            return Ok(script);
        };
        let (file, message) = (self.file(&name), why.to_owned());
        Err(Error::Template(TemplateError { file, line: None, message }))
    }

    /// Tries a template that a script is made of.
    fn check(&self, name: &str) -> Result<(), TemplateError> {
        let is_node = name == NODE || name.starts_with("nodes/") || name.starts_with("projects/");
        let result = match name {
            ENTRY => self.entry().map(drop),
            REFUSED => [false, true].into_iter().try_for_each(|retry| {
                self.refused_by(name.to_owned(), "an example", retry, "boot.ipxe").map(drop)
            }),
            _ if is_node => examples(|boot| self.node_by(name.to_owned(), boot).map(drop)),
            _ => Ok(()),
        };
        result.map_err(|error| match error {
            Error::Template(error) => error,
            other => {
                TemplateError { file: self.file(name), line: None, message: other.to_string() }
            }
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        match name.strip_prefix(BUILTIN) {
            Some(own) => PathBuf::from(format!("(builtin) {own}")),
            None => self.directory.join(name),
        }
    }

    /// With the file and line that the error is in; `name` if it does not say.
    fn error(&self, error: &minijinja::Error, name: &str) -> TemplateError {
        let message = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        TemplateError {
            file: self.file(error.name().unwrap_or(name)),
            line: error.line(),
            message: message.replace('\n', " "),
        }
    }
}

/// The templates in a directory, by their names.
fn collect(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), TemplateError> {
    let wrong = |message: String| TemplateError { file: directory.to_owned(), line: None, message };
    let entries = fs::read_dir(directory).map_err(|error| wrong(error.to_string()))?;
    for entry in entries {
        let path = entry.map_err(|error| wrong(error.to_string()))?.path();
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let name = format!("{prefix}{file_name}");
        if path.is_dir() {
            if depth + 1 < DEPTH_MAX {
                collect(&path, &format!("{name}/"), depth + 1, files)?;
            }
            continue;
        }
        if !name.ends_with(".ipxe") || file_name.starts_with('.') {
            continue;
        }
        files.insert(name, path);
        if files.len() > FILES_MAX {
            return Err(wrong(format!("more than {FILES_MAX} templates")));
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, TemplateError> {
    let wrong = |message: String| TemplateError { file: file.to_owned(), line: None, message };
    let opened = File::open(file).map_err(|error| wrong(error.to_string()))?;
    let mut text = String::new();
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong("larger than 64 KiB".to_owned()));
    }
    Ok(text)
}

/// Nodes of every kind that a template may have to do with.
fn examples(mut check: impl FnMut(&Boot<'_>) -> Result<(), Error>) -> Result<(), Error> {
    let portal = |address: [u8; 4]| Portal { address: SocketAddr::from((address, 3260)), group: 1 };
    let v6 = Portal { address: SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, 1], 3260)), group: 1 };
    let several = [portal([192, 0, 2, 1]), portal([192, 0, 2, 2])];
    let initiator = ("user", "secret-secret");
    for portals in [&several[..1], &several, &[v6]] {
        for target in [None, Some(("target", "other-secret"))] {
            for chap in [None, Some(Credentials { initiator, target })] {
                for initiator in [None, Some("iqn.2004-10.org.example:node")] {
                    check(&Boot {
                        project: "example",
                        node: "node",
                        initiator,
                        portals,
                        lun: 1,
                        target: "iqn.2026-01.org.example:example.node",
                        chap: chap.clone(),
                    })?;
                }
            }
        }
    }
    Ok(())
}
