//! Where stirrupd is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;

/// Where stirrupd is, and how one gets there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// On this machine, at a socket.
    Socket(PathBuf),
    /// On another one, whose socket is reached by ssh.
    Ssh(SshHost),
    /// Where HTTP is spoken over TLS: host, without brackets, and port.
    Https(String, u16),
}

/// A machine that is logged in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshHost {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// The socket there; `None`: what `stirrup` there takes for it.
    pub(super) socket: Option<String>,
}

const FORMS: &str = "write USER@HOST, ssh://USER@HOST:PORT/SOCKET or https://HOST:PORT";

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no place where stirrupd could be: {FORMS}");
        let found = if let Some(rest) = text.strip_prefix("ssh://") {
            ssh_url(rest)
        } else if text.starts_with("https://") {
            https(text)
        } else if text.contains("://") {
            None
        } else {
            let (user, host) = user_and_host(text);
            SshHost { user, host, port: None, socket: None }.checked()
        };
        found.ok_or_else(wrong)
    }
}

fn https(text: &str) -> Option<Place> {
    let uri: Uri = text.parse().ok()?;
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let authority = uri.authority().filter(|it| is_bare && !it.as_str().contains('@'))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = match authority.port_u16() {
        Some(port) => port,
        None if authority.as_str() == authority.host() => 443,
        None => return None,
    };
    (!host.is_empty()).then(|| Place::Https(host.to_owned(), port))
}

fn ssh_url(rest: &str) -> Option<Place> {
    let (authority, socket) = match rest.find('/') {
        Some(at) => (&rest[..at], Some(rest[at..].to_owned()).filter(|path| path != "/")),
        None => (rest, None),
    };
    let (user, host) = user_and_host(authority);
    let (host, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host.to_owned(), None),
        Some((host, port)) => (host.to_owned(), Some(port.strip_prefix(':')?.to_owned())),
        None => match host.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port.to_owned())),
            None => (host, None),
        },
    };
    let port = port.map(|port| port.parse()).transpose().ok()?;
    SshHost { user, host, port, socket }.checked()
}

fn user_and_host(text: &str) -> (Option<String>, String) {
    match text.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host.to_owned()),
        None => (None, text.to_owned()),
    }
}

impl SshHost {
    /// A name that `ssh` cannot take for an option, or a shell for more than a word.
    fn checked(self) -> Option<Place> {
        let plain = |text: &str| {
            let good = |b: u8| b.is_ascii_alphanumeric() || b"._-:%\\".contains(&b);
            !text.is_empty() && !text.starts_with('-') && text.bytes().all(good)
        };
        let socket = self.socket.as_deref();
        let is_good = plain(&self.host)
            && self.user.as_deref().is_none_or(plain)
            && socket.is_none_or(|path| !path.contains(char::is_control));
        is_good.then_some(Place::Ssh(self))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Ssh(host) => host.fmt(f),
            Self::Https(host, port) if host.contains(':') => write!(f, "https://[{host}]:{port}"),
            Self::Https(host, port) => write!(f, "https://{host}:{port}"),
        }
    }
}

impl fmt::Display for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(user: Option<&str>, host: &str, port: Option<u16>, socket: Option<&str>) -> Place {
        let text = |text: &str| text.to_owned();
        Place::Ssh(SshHost {
            user: user.map(text),
            host: text(host),
            port,
            socket: socket.map(text),
        })
    }

    #[test]
    fn places() {
        for (text, place) in [
            ("gw", ssh(None, "gw", None, None)),
            ("root@gw.example", ssh(Some("root"), "gw.example", None, None)),
            ("ssh://gw", ssh(None, "gw", None, None)),
            ("ssh://root@gw:2222/", ssh(Some("root"), "gw", Some(2222), None)),
            ("ssh://gw/run/s.sock", ssh(None, "gw", None, Some("/run/s.sock"))),
            ("ssh://a@[fd00::1]:22/s", ssh(Some("a"), "fd00::1", Some(22), Some("/s"))),
            ("ssh://[fe80::1%eth0]", ssh(None, "fe80::1%eth0", None, None)),
            ("https://gw.example", Place::Https("gw.example".into(), 443)),
            ("https://gw:8443/", Place::Https("gw".into(), 8443)),
            ("https://[fd00::1]:8443", Place::Https("fd00::1".into(), 8443)),
        ] {
            assert_eq!(text.parse(), Ok(place), "{text}");
        }
        assert_eq!(
            "https://[fd00::1]".parse::<Place>().unwrap().to_string(),
            "https://[fd00::1]:443"
        );
        assert_eq!("ssh://a@gw:1/s".parse::<Place>().unwrap().to_string(), "a@gw");
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "-oProxyCommand=x",
            "a@-oProxyCommand=x",
            "-a@gw",
            "@gw",
            "gw;reboot",
            "gw reboot",
            "gw/path",
            "$(x)",
            "http://gw",
            "unix:///s",
            "ssh://",
            "ssh:///s",
            "ssh://gw:x",
            "ssh://gw:99999",
            "ssh://[fd00::1",
            "ssh://[fd00::1]x",
            "ssh://-oX=y/s",
            "ssh://gw/a\nb",
            "https://",
            "https://gw/v1",
            "https://gw?x",
            "https://a@gw",
            "https://gw:99999",
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
