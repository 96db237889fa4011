//! The grammars of single values: addresses, names, filters.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{BootIdentity, ChapAlgorithm, Digest};

/// Port registered for iSCSI (RFC 7143 15).
pub(super) const ISCSI_PORT: u16 = 3260;
/// Room is left for project and disk names under the 223 bytes of RFC 7143 4.2.7.1.
const IQN_PREFIX_BYTES_MAX: usize = 90;
const NAME_BYTES_MAX: usize = 223;

/// `ADDR:PORT`, with IPv6 addresses in brackets.
pub(super) fn portal(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not an address and port: write \"192.0.2.1:3260\" or \"[2001:db8::1]:3260\"")
    })
}

/// `ADDR` or `ADDR:PORT`, where initiators can reach it.
pub(super) fn advertised(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, ISCSI_PORT))
        .or_else(|_| portal(text))?;
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(format!("`{text}` is nothing that an initiator can connect to"));
    }
    Ok(address)
}

/// An IQN prefix: `iqn.YYYY-MM.` and a reversed domain name, optionally `:` and more
/// (RFC 7143 4.2.7.4).
pub(super) fn iqn_prefix(text: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        Err(format!(
            "`{text}` is not an IQN prefix ({why}): write \"iqn.YYYY-MM.\" and your domain reversed"
        ))
    };
    if text.len() > IQN_PREFIX_BYTES_MAX {
        return wrong("it is longer than 90 bytes");
    }
    let Some(rest) = text.strip_prefix("iqn.") else {
        return wrong("it does not start with \"iqn.\"");
    };
    let Some((date, rest)) = rest.split_once('.') else {
        return wrong("no domain name follows the date");
    };
    if !is_year_month(date) {
        return wrong("the date is not YYYY-MM");
    }
    let (domain, more) = rest.split_once(':').unwrap_or((rest, "x"));
    if !domain.split('.').all(is_domain_label) {
        return wrong("the domain name is not one of lower-case letters, digits, dashes and dots");
    }
    if more.is_empty() || !more.bytes().all(is_name_byte) {
        return wrong("what follows `:` is not of lower-case letters, digits, `-`, `.` and `:`");
    }
    Ok(text.to_owned())
}

/// A whole iSCSI name: `iqn.`, `eui.` or `naa.` (RFC 7143 4.2.7).
pub(super) fn target_name(text: &str) -> Result<String, String> {
    let known = ["iqn.", "eui.", "naa."].iter().any(|prefix| text.starts_with(prefix));
    if known && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_name_byte) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is not a target name: it starts with \"iqn.\", \"eui.\" or \"naa.\", and has at \
         most {NAME_BYTES_MAX} lower-case letters, digits, `-`, `.` and `:`"
    ))
}

/// A digest's name as in login text.
pub(super) fn digest(text: &str) -> Result<Digest, String> {
    match text {
        "None" => Ok(Digest::None),
        "CRC32C" => Ok(Digest::Crc32c),
        _ => Err(format!("`{text}` is not a digest: use \"None\" or \"CRC32C\"")),
    }
}

/// An algorithm of CHAP.
pub(super) fn chap_algorithm(text: &str) -> Result<ChapAlgorithm, String> {
    match text {
        "MD5" => Ok(ChapAlgorithm::Md5),
        "SHA1" => Ok(ChapAlgorithm::Sha1),
        "SHA-256" => Ok(ChapAlgorithm::Sha256),
        "SHA3-256" => Ok(ChapAlgorithm::Sha3_256),
        _ => Err(format!(
            "`{text}` is no algorithm of CHAP: use \"MD5\", \"SHA1\", \"SHA-256\" or \"SHA3-256\""
        )),
    }
}

/// By what a machine is known.
pub(super) fn boot_identity(text: &str) -> Result<BootIdentity, String> {
    match text {
        "mac" => Ok(BootIdentity::Mac),
        "uuid" => Ok(BootIdentity::Uuid),
        "serial" => Ok(BootIdentity::Serial),
        "hostname" => Ok(BootIdentity::Hostname),
        _ => Err(format!(
            "`{text}` is nothing that machines are known by: use \"mac\", \"uuid\", \"serial\" or \
             \"hostname\""
        )),
    }
}

/// An initiator name, or the beginning of some with `*` after it.
pub(super) fn initiator(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
    if (4..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is not an initiator name: write one like \"iqn.2004-10.org.example:node-1\", or \
         the beginning of some and `*`"
    ))
}

/// `ADDR` or `ADDR/PREFIX`.
pub(super) fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let parsed = address.parse::<IpAddr>().ok().and_then(|address| {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).ok()?;
        (prefix <= longest).then_some((address, prefix))
    });
    parsed.ok_or_else(|| {
        format!("`{text}` is not an address or network: write \"10.1.0.0/16\" or \"fd00::/8\"")
    })
}

/// A log filter.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) if !text.trim().is_empty() => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` is not a log filter: write a level (error, warn, info, debug, trace) or \
             \"info,stirrup::target=debug\""
        )),
    }
}

/// A pool, namespace, image or Ceph user: anything without `/`, `@`, spaces and controls.
pub(super) fn ceph_name(text: &str) -> Result<String, String> {
    let plain = text.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '/' && c != '@');
    if text.is_empty() || text.len() > 256 || !plain {
        return Err(format!(
            "`{text}` is not a Ceph name: 1 to 256 bytes without spaces, `/` and `@`"
        ));
    }
    Ok(text.to_owned())
}

/// An absolute path.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if !path.is_absolute() || text.contains('\0') {
        return Err(format!("`{text}` is not an absolute path"));
    }
    Ok(path)
}

/// A path for a socket: `sun_path` of unix(7) has 108 bytes, the last one a NUL.
pub(super) fn socket_path(text: &str) -> Result<PathBuf, String> {
    if text.len() > 107 {
        return Err(format!(
            "the path of a Unix socket has at most 107 bytes, this one {}",
            text.len()
        ));
    }
    path(text)
}

/// A URL with a host; what is behind a `?` or `#`, and a user in it, make no sense here.
pub(super) fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let good = |rest: &str| {
        !rest.is_empty()
            && !rest.starts_with(['/', ':'])
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\"\\".contains(&b))
    };
    match rest {
        Some(rest) if text.len() <= 1024 && good(rest) => Ok(text.to_owned()),
        _ => {
            Err(format!("{text:?} is no URL: write https://HOST, https://HOST:PORT or with a path"))
        }
    }
}

/// A name of somebody else's: 1 to 255 characters, none of them a control character.
pub(super) fn text(text: &str) -> Result<String, String> {
    if (1..=255).contains(&text.len()) && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err("must be 1 to 255 bytes without control characters".to_owned())
}

/// A Ceph user, without `client.`.
pub(super) fn ceph_user(text: &str) -> Result<String, String> {
    match text.strip_prefix("client.") {
        Some(user) => Err(format!("write the Ceph user without `client.`: \"{user}\"")),
        None => ceph_name(text),
    }
}

/// A CHAP name.
pub(super) fn chap_user(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        return Err("the CHAP user has 1 to 255 bytes and no control characters".into());
    }
    Ok(text.to_owned())
}

/// A CHAP secret; RFC 7143 9.2.1 wants at least 96 bits.
pub(super) fn secret(text: &str) -> Result<Zeroizing<String>, String> {
    if !(12..=255).contains(&text.len()) {
        return Err(format!("the CHAP secret has {} bytes, not 12 to 255", text.len()));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn is_year_month(text: &str) -> bool {
    let Some((year, month)) = text.split_once('-') else { return false };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    year.len() == 4
        && month.len() == 2
        && digits(year)
        && digits(month)
        && month.parse::<u8>().is_ok_and(|month| (1..=12).contains(&month))
}

fn is_domain_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iqn_prefixes() {
        for good in ["iqn.2026-01.io.stirrup", "iqn.1999-12.org.example:rack-1", "iqn.2026-01.a"] {
            assert!(iqn_prefix(good).is_ok(), "{good}");
        }
        let long = format!("iqn.2026-01.{}", "a".repeat(90));
        for bad in [
            "",
            "iqn",
            "iqn.",
            "iqn.2026-01",
            "iqn.2026-01.",
            "iqn.2026-13.org",
            "iqn.2026-00.org",
            "iqn.26-01.org",
            "iqn.+026-01.org",
            "eui.0123456789abcdef",
            "iqn.2026-01.Org",
            "iqn.2026-01.a..b",
            "iqn.2026-01.-a",
            "iqn.2026-01.a:",
            "iqn.2026-01.a:b_c",
            &long,
        ] {
            assert!(iqn_prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(advertised("192.0.2.1"), Ok(([192, 0, 2, 1], 3260).into()));
        assert_eq!(advertised("192.0.2.1:99"), Ok(([192, 0, 2, 1], 99).into()));
        assert_eq!(advertised("[2001:db8::1]"), advertised("[2001:db8::1]:3260"));
        assert_eq!(advertised("2001:db8::1"), advertised("[2001:db8::1]:3260"));
        for bad in ["0.0.0.0", "::", "192.0.2.1:0", "gateway", ""] {
            assert!(advertised(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_and_from_where() {
        assert_eq!(network("10.1.0.0/16"), Ok(([10, 1, 0, 0].into(), 16)));
        assert_eq!(network("fd00::1").map(|(_, prefix)| prefix), Ok(128));
        for bad in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "node", "", "10.0.0.1/-1"] {
            assert!(network(bad).is_err(), "{bad}");
        }
        for good in ["iqn.2004-10.org.example:a", "iqn.2010-04.org.ipxe:*", "IQN.2004-10.X"] {
            assert!(initiator(good).is_ok(), "{good}");
        }
        for bad in ["", "*", "iqn", "iqn.a b", "iqn.a*b", "iqn.\n", &"i".repeat(224)] {
            assert!(initiator(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        assert!(ceph_name("rbd/x").is_err());
        assert!(target_name("iqn.2026-01.io.stirrup:quick").is_ok());
        assert!(target_name("quick").is_err());
        assert!(log_filter("info,stirrup::target=debug").is_ok());
        assert!(log_filter("stirrup=loud").is_err());
        assert!(log_filter("").is_err());
    }
}
