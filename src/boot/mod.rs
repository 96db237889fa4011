//! iPXE scripts, and the URIs by which firmware finds a disk (RFC 4173).

use std::fmt;
use std::net::SocketAddr;

/// How a node boots from its disk.
#[derive(Debug, Clone)]
pub struct Boot<'a> {
    /// What the script is for, in a comment.
    pub title: &'a str,
    /// Initiator name; firmware's own when absent.
    pub initiator: Option<&'a str>,
    /// Where the target listens. iPXE tries all of them, and boots from the first that answers.
    pub portals: &'a [SocketAddr],
    /// Logical unit number.
    pub lun: u16,
    /// Target name.
    pub target: &'a str,
    /// CHAP credentials.
    pub chap: Option<Credentials<'a>>,
}

/// CHAP credentials in clear, as firmware needs them.
#[derive(Clone)]
pub struct Credentials<'a> {
    /// Name and secret that the initiator proves.
    pub initiator: (&'a str, &'a str),
    /// Name and secret that the target proves (mutual CHAP).
    pub target: Option<(&'a str, &'a str)>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(credentials)")
    }
}

/// Why there is no script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// A value holds a character that would mean something else in a script.
    Unsafe,
    /// There is no portal to boot from.
    NoPortal,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsafe => "a name or secret has a character that cannot stand in an iPXE script",
            Self::NoPortal => "the daemon has no portal that a node could boot from",
        })
    }
}

impl std::error::Error for Error {}

/// `iscsi:ADDRESS:tcp:PORT:LUN:TARGET`, as iPXE's `sanboot` and dracut's `netroot` take it: the
/// LUN is hexadecimal, an IPv6 address is in brackets. From 256 on it is the first two bytes of
/// the LUN field (flat space addressing, SAM-5 4.7).
#[must_use]
pub fn uri(portal: SocketAddr, lun: u16, target: &str) -> String {
    let port = portal.port();
    let lun = if lun < 0x100 { lun } else { 0x4000 | lun };
    match portal {
        SocketAddr::V4(address) => format!("iscsi:{}:tcp:{port}:{lun:x}:{target}", address.ip()),
        SocketAddr::V6(address) => format!("iscsi:[{}]:tcp:{port}:{lun:x}:{target}", address.ip()),
    }
}

/// The script.
///
/// # Errors
/// See [`Error`].
pub fn script(boot: &Boot<'_>) -> Result<String, Error> {
    let mut lines = vec!["#!ipxe".to_owned(), format!("# {}", word(boot.title)?)];
    lines.push("isset ${ip} || dhcp".to_owned());
    lines.push("set keep-san 1".to_owned());
    if let Some(initiator) = boot.initiator {
        lines.push(format!("set initiator-iqn {}", word(initiator)?));
    }
    if let Some(chap) = &boot.chap {
        let (user, secret) = chap.initiator;
        lines.push(format!("set username {}", word(user)?));
        lines.push(format!("set password {}", word(secret)?));
        if let Some((user, secret)) = chap.target {
            lines.push(format!("set reverse-username {}", word(user)?));
            lines.push(format!("set reverse-password {}", word(secret)?));
        }
    }
    let target = word(boot.target)?;
    // The iBFT, by which the operating system finds the disk again, knows IPv4 only.
    let v4 = boot.portals.iter().any(SocketAddr::is_ipv4);
    let portals = boot.portals.iter().filter(|portal| !v4 || portal.is_ipv4());
    let uris: Vec<String> = portals.map(|portal| uri(*portal, boot.lun, target)).collect();
    if uris.is_empty() {
        return Err(Error::NoPortal);
    }
    lines.push(format!("sanboot --keep {}", uris.join(" ")));
    Ok(lines.join("\n") + "\n")
}

/// A value as one word of a script: no space, no quote, no expansion, no operator, no line end.
fn word(value: &str) -> Result<&str, Error> {
    let safe = |byte: u8| byte.is_ascii_graphic() && !b"$\"'`\\#&|;".contains(&byte);
    if value.is_empty() || !value.bytes().all(safe) {
        return Err(Error::Unsafe);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IQN: &str = "iqn.2026-11.io.stirrup:default.n1";

    fn portals(text: &[&str]) -> Vec<SocketAddr> {
        text.iter().map(|portal| portal.parse().unwrap()).collect()
    }

    fn boot<'a>(portals: &'a [SocketAddr]) -> Boot<'a> {
        let (title, target) = ("default/n1", IQN);
        Boot { title, initiator: None, portals, lun: 1, target, chap: None }
    }

    #[test]
    fn a_plain_script() {
        let portals = portals(&["10.0.0.1:3260"]);
        assert_eq!(
            script(&boot(&portals)).unwrap(),
            "#!ipxe\n# default/n1\nisset ${ip} || dhcp\nset keep-san 1\n\
             sanboot --keep iscsi:10.0.0.1:tcp:3260:1:iqn.2026-11.io.stirrup:default.n1\n"
        );
    }

    #[test]
    fn a_large_lun_is_written_as_firmware_puts_it_on_the_wire() {
        let portal = "10.0.0.1:3260".parse().unwrap();
        assert_eq!(uri(portal, 0xff, "t"), "iscsi:10.0.0.1:tcp:3260:ff:t");
        assert_eq!(uri(portal, 0x100, "t"), "iscsi:10.0.0.1:tcp:3260:4100:t");
    }

    #[test]
    fn everything_at_once() {
        let portals = portals(&["10.0.0.1:3260", "[fd00::1]:3260", "10.0.1.1:3261"]);
        let chap =
            Credentials { initiator: ("n1", "secret-secret"), target: Some(("t", "other-secret")) };
        let initiator = Some("iqn.2026-11.io.example:n1");
        let script =
            script(&Boot { initiator, chap: Some(chap), lun: 17, ..boot(&portals) }).unwrap();
        let lines: Vec<&str> = script.lines().skip(4).collect();
        assert_eq!(
            lines,
            [
                "set initiator-iqn iqn.2026-11.io.example:n1",
                "set username n1",
                "set password secret-secret",
                "set reverse-username t",
                "set reverse-password other-secret",
                "sanboot --keep iscsi:10.0.0.1:tcp:3260:11:iqn.2026-11.io.stirrup:default.n1 \
                 iscsi:10.0.1.1:tcp:3261:11:iqn.2026-11.io.stirrup:default.n1",
            ]
        );
    }

    #[test]
    fn ipv6_alone_is_offered() {
        let portals = portals(&["[fd00::1]:3260"]);
        let script = script(&boot(&portals)).unwrap();
        assert!(script.contains("iscsi:[fd00::1]:tcp:3260:1:"), "{script}");
    }

    #[test]
    fn nothing_can_be_smuggled_in() {
        let portals = portals(&["10.0.0.1:3260"]);
        for bad in ["a b", "a\nshell", "${net0/mac}", "a||b", "a;b", "", "a\"", "a\\", "é", "a#b"]
        {
            let chap = Credentials { initiator: ("n1", bad), target: None };
            let tries = [
                Boot { title: bad, ..boot(&portals) },
                Boot { target: bad, ..boot(&portals) },
                Boot { initiator: Some(bad), ..boot(&portals) },
                Boot { chap: Some(chap), ..boot(&portals) },
            ];
            for boot in tries {
                assert_eq!(script(&boot), Err(Error::Unsafe), "{bad:?}");
            }
        }
        assert_eq!(script(&boot(&[])), Err(Error::NoPortal));
    }
}
