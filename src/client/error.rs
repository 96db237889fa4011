//! Why a command failed: what, why, and what to try.

use std::fmt;
use std::io;
use std::time::Duration;

use super::place::Place;
use super::ssh::End;
use crate::control::api::problem::Problem;
use crate::tls::Trouble;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum ClientError {
    /// Arguments or environment make no sense.
    Usage(String),
    /// Nobody answers there.
    Unreachable { place: Place, cause: io::Error },
    /// There is no ssh to be run.
    NoSsh { cause: io::Error },
    /// ssh has ended.
    Ssh { place: Place, end: End },
    /// TLS has failed.
    Tls { place: Place, trouble: Trouble, what: String },
    /// No answer in time.
    TimedOut { place: Place, after: Duration },
    /// The connection was closed without an answer.
    HungUp { place: Place },
    /// The answer is not one of stirrupd's.
    Answer { place: Place, what: String },
    /// stirrupd says no.
    Problem(Box<Problem>),
    /// There is nothing of that name, but something of one that is much like it.
    Misspelt(Box<Problem>, String),
    /// A job did not succeed.
    Job { id: u64, what: String },
    /// The daemon is degraded.
    Degraded,
    /// An argument that only shows itself to be missing when it is needed.
    NoProject,
    /// The question was not answered with yes.
    NotConfirmed,
    /// Standard output, or this process itself, fails.
    Output(io::Error),
}

/// What to try, by the code of a problem. A code that ends in `*` stands for all that begin so.
const ADVICE: &[(&str, &str)] = &[
    (
        "not-authorized",
        "sudo, or a token (STIRRUP_TOKEN, --token-file), or operator_uids in stirrup.toml; for a \
         certificate: stirrup certificate create",
    ),
    ("forbidden", "stirrup whoami says what you may do"),
    (
        "quota-exceeded",
        "stirrup project show PROJECT; an admin can give more: stirrup project create",
    ),
    ("project-not-found", "stirrup project list shows the projects there are"),
    ("project-not-empty", "remove first what is in it"),
    ("token-not-found", "stirrup token list shows the tokens there are"),
    ("token-exists", "another name, or revoke it first: stirrup token remove"),
    ("certificate-not-found", "stirrup certificate list shows those that are named"),
    ("certificate-exists", "remove it first: stirrup certificate remove"),
    (
        "authenticator-unavailable",
        "the same command again, or a token (STIRRUP_TOKEN, --token-file)",
    ),
    ("image-not-found", "stirrup image list shows the images there are"),
    ("disk-not-found", "stirrup disk list shows the disks there are"),
    ("node-not-found", "stirrup node list shows the nodes there are"),
    (
        "tag-not-found",
        "stirrup image tag list IMAGE, or stirrup disk tag list DISK, shows the tags there are",
    ),
    ("job-not-found", "stirrup job list shows the jobs there are"),
    ("target-not-found", "stirrup target list shows the targets there are"),
    ("session-not-found", "stirrup session list shows who is logged in"),
    (
        "image-not-named",
        "stirrup image list; a default is set by stirrup project create --image, with all else that the \
         project has",
    ),
    ("image-exists", "another name, or remove it first: stirrup image remove, or image abandon"),
    ("image-in-use", "remove these disks first: stirrup dpro PROJECT NODE, or stirrup disk remove"),
    ("image-protected", "stirrup image unprotect IMAGE, if it may go"),
    ("tag-in-use", "remove these disks first, or make them independent: stirrup disk flatten"),
    ("tag-protected", "stirrup image tag unprotect, or stirrup disk tag unprotect, if it may go"),
    ("tag-is-default", "stirrup image default IMAGE [TAG] sets another one"),
    ("too-many-tags", "stirrup image tag remove, or stirrup disk tag remove"),
    ("image-not-ready", "stirrup job list shows how far its import is"),
    ("image-broken", "stirrup health; import it again under another name"),
    ("disk-exists", "another name, or remove it first: stirrup disk remove"),
    (
        "disk-bound",
        "stirrup disk migrate DISK NODE, or take it away first: stirrup node unbind, or stirrup dpro",
    ),
    (
        "owner-not-shut-out",
        "stirrup node create NODE --initiator NAME, or stirrup disk set DISK --chap-per-node; or --force",
    ),
    ("disk-in-use", "shut its machine down (stirrup session list), or --force"),
    (
        "disk-has-tags",
        "stirrup disk tag remove DISK TAG, or make an image of it: stirrup disk snapshot",
    ),
    ("disk-edits-image", "stirrup image tag create IMAGE TAG"),
    ("disk-cannot-shrink", "a size above what stirrup disk show says, or +SIZE"),
    ("disk-not-ready", "stirrup disk show says what is under way"),
    ("disk-broken", "stirrup health; provision the node afresh: stirrup dpro, then stirrup pro"),
    ("node-bound", "take its disk away first: stirrup node unbind, or stirrup dpro"),
    ("node-unbound", "stirrup pro PROJECT NODE IMAGE gives it a disk"),
    ("secret-delivered", "stirrup node rearm NODE, if it is that node that boots"),
    ("no-node-secret", "stirrup disk set DISK --chap-per-node"),
    ("mac-taken", "stirrup node list shows whose it is"),
    ("source-in-use", "rbd snap create POOL/IMAGE@NAME, then import rbd:POOL/IMAGE@NAME"),
    (
        "source-*",
        "the daemon reads the file on its own machine: see to path, rights and format there",
    ),
    ("upload-not-found", "stirrup image list, and stirrup job list if it was complete"),
    ("upload-*", "the same command again goes on; stirrup image abandon IMAGE gives it up"),
    ("too-many-uploads", "again when one has ended; stirrup image list shows them"),
    ("staging-full", "upload it raw, or raise max_bytes of [uploads] in stirrup.toml"),
    ("checksum-mismatch", "compare with sha256sum FILE, and upload or import it again"),
    ("target-exists", "another name; nothing is overwritten"),
    ("target-*", "the daemon writes the file on its own machine: see to path and space there"),
    ("too-many-downloads", "again when one has ended"),
    ("too-many-imports", "again when one has ended: stirrup job list"),
    ("busy", "the same command again"),
    ("changed-meanwhile", "the same command again"),
    ("stopping", "the same command again when the daemon is back"),
    ("store-full", "remove images or disks that nobody needs, or add space"),
    ("store-unknown", "stirrup health shows the stores there are"),
    ("store-*", "stirrup health, and the daemon's log: journalctl -u stirrupd"),
    ("catalog-failed", "the daemon's log: journalctl -u stirrupd"),
    ("export-failed", "the daemon's log: journalctl -u stirrupd"),
    ("internal", "the daemon's log: journalctl -u stirrupd"),
    ("route-not-found", "stirrup version: are command and daemon of one version?"),
    ("method-not-allowed", "stirrup version: are command and daemon of one version?"),
];

impl ClientError {
    /// The reader of our standard output has gone, which is no failure of ours.
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether it may be otherwise in a moment: the daemon is being restarted, or has much to do.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::HungUp { .. } => true,
            Self::Problem(problem) => problem.status == 503,
            _ => false,
        }
    }

    /// 2 for bad arguments, as clap's own; 1 for everything else.
    pub(super) fn exit_code(&self) -> u8 {
        if matches!(self, Self::NoProject | Self::Usage(_)) { 2 } else { 1 }
    }

    /// What to try, a line each.
    pub(super) fn advice(&self) -> Vec<String> {
        match self {
            Self::Problem(problem) => advice_for(&problem.code)
                .map(|advice| format!("try: {advice}"))
                .into_iter()
                .collect(),
            Self::Unreachable { place, cause } => vec![unreachable_advice(place, cause)],
            Self::NoSsh { .. } => {
                vec!["try: apt install openssh-client, or STIRRUP_SSH=COMMAND".into()]
            }
            Self::Ssh { place, end } => vec![ssh_advice(place, end.code)],
            Self::Tls { trouble, .. } => vec![tls_advice(*trouble).into()],
            Self::Misspelt(problem, near) => {
                let advice = advice_for(&problem.code).map(|advice| format!("try: {advice}"));
                std::iter::once(format!("did you mean '{near}'?")).chain(advice).collect()
            }
            Self::TimedOut { .. } => vec![
                "it may still be at work; the same command can be given again without harm".into(),
                "try: stirrup health, or a longer --timeout".into(),
            ],
            Self::HungUp { .. } => vec![
                "it may have been stopped, or have broken off".into(),
                "try: the daemon's log: journalctl -u stirrupd".into(),
            ],
            Self::Answer { .. } => {
                vec!["Is it stirrupd, and of this version? stirrup version".into()]
            }
            Self::Job { id, .. } => vec![format!("try: stirrup job show {id}")],
            Self::NotConfirmed => vec!["answer y, or give --yes".into()],
            Self::NoProject => vec!["try: --project PROJECT, or set STIRRUP_PROJECT".into()],
            Self::Usage(_) => vec!["try: stirrup --help".into()],
            Self::Degraded | Self::Output(_) => Vec::new(),
        }
    }
}

fn unreachable_advice(place: &Place, cause: &io::Error) -> String {
    match (place, cause.kind()) {
        (Place::Https(..), io::ErrorKind::ConnectionRefused) => {
            "Does it listen there? [control.tls] in its stirrup.toml, and systemctl status stirrupd".into()
        }
        (Place::Https(..), _) => "Is the name right, and no firewall in the way? --host USER@HOST goes by ssh".into(),
        (_, io::ErrorKind::PermissionDenied) => {
            "try: sudo, or have your user let in to the socket file: setfacl -m u:NAME:rw PATH".into()
        }
        _ => "Is it running? systemctl status stirrupd. Does it listen elsewhere? --socket PATH, --host HOST".into(),
    }
}

fn ssh_advice(place: &Place, code: Option<i32>) -> String {
    match code {
        Some(255) => format!("try: ssh {place} true, until that works"),
        Some(126 | 127) => format!(
            "stirrup must be installed on {place}, and be found there: ssh {place} stirrup version"
        ),
        _ => format!("that was said on {place}; try there: stirrup health"),
    }
}

fn tls_advice(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Expired => {
            "renew it there ([control.tls] in stirrup.toml), or set the clock here right"
        }
        Trouble::UnknownAuthority => {
            "try: --tls-ca FILE, with the certificate of the authority that it is from"
        }
        Trouble::OtherName => "try: --host with a name that the certificate has",
        Trouble::CertificateWanted => {
            "try: --tls-cert FILE --tls-key FILE (STIRRUP_TLS_CERT, STIRRUP_TLS_KEY)"
        }
        Trouble::CertificateRefused => {
            "Is yours from an authority that it trusts ([control.tls], client_ca), in date and not revoked?"
        }
        Trouble::NotTls => "Is the port right? It is that of [control.tls] in stirrup.toml",
        Trouble::Other => "the daemon's log: journalctl -u stirrupd",
    }
}

fn advice_for(code: &str) -> Option<&'static str> {
    ADVICE
        .iter()
        .find(|(known, _)| match known.strip_suffix('*') {
            Some(start) => code.starts_with(start),
            None => code == *known,
        })
        .map(|(_, advice)| *advice)
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => f.write_str(what),
            Self::Unreachable { place, cause } => {
                let why = match cause.kind() {
                    io::ErrorKind::NotFound => "no such file".to_owned(),
                    io::ErrorKind::ConnectionRefused => "nobody listens".to_owned(),
                    io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                    _ => cause.to_string(),
                };
                write!(f, "cannot reach stirrupd at {place}: {why}")
            }
            Self::NoSsh { cause } => write!(f, "cannot run ssh: {cause}"),
            Self::Ssh { place, end } => {
                let said = match (end.said.as_str(), end.code) {
                    ("", Some(code)) => format!("exit code {code}"),
                    ("", None) => "it was killed".to_owned(),
                    (said, _) => said.to_owned(),
                };
                write!(f, "ssh to {place} failed: {said}")
            }
            Self::Tls { place, trouble, what } => match trouble {
                Trouble::Expired => write!(f, "the certificate of {place} is out of date: {what}"),
                Trouble::UnknownAuthority => {
                    write!(f, "the certificate of {place} is from an authority that is not trusted")
                }
                Trouble::OtherName => {
                    write!(f, "the certificate of {place} is for another name: {what}")
                }
                Trouble::CertificateWanted => write!(f, "{place} wants to see a certificate"),
                Trouble::CertificateRefused => {
                    write!(f, "{place} does not take your certificate: {what}")
                }
                Trouble::NotTls => write!(f, "{place} does not speak TLS"),
                Trouble::Other => write!(f, "TLS with {place} failed: {what}"),
            },
            Self::TimedOut { place, after } => {
                write!(f, "stirrupd at {place} did not answer within {} seconds", after.as_secs())
            }
            Self::HungUp { place } => write!(f, "stirrupd at {place} hung up without an answer"),
            Self::Answer { place, what } => {
                write!(f, "the answer from {place} makes no sense: {what}")
            }
            Self::Problem(problem) | Self::Misspelt(problem, _) => {
                write!(f, "{} ({})", problem.detail, problem.code)
            }
            Self::Job { what, .. } => f.write_str(what),
            Self::Degraded => f.write_str("stirrupd is degraded"),
            Self::NoProject => f.write_str("no project is given"),
            Self::NotConfirmed => f.write_str("nothing was done"),
            Self::Output(cause) => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(cause: io::Error) -> Self {
        Self::Output(cause)
    }
}

/// The codes that there is advice for.
#[cfg(test)]
pub(super) fn advised_codes() -> impl Iterator<Item = &'static str> {
    ADVICE.iter().map(|(code, _)| *code)
}
