//! `iscsi://HOST:PORT/IQN/LUN`, the form in which libiscsi and Stirrup name a logical unit.

use std::str::FromStr;

use anyhow::{Context as _, Error, ensure};

/// A logical unit and where it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// `host:port`, IPv6 addresses in brackets.
    pub(crate) portal: String,
    /// The target's iSCSI name.
    pub(crate) target: String,
    /// The logical unit number.
    pub(crate) lun: u16,
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let rest = text.strip_prefix("iscsi://").context("a URL starts with iscsi://")?;
        let (portal, rest) = rest.split_once('/').context("no target name in the URL")?;
        let (target, lun) = rest.rsplit_once('/').context("no LUN in the URL")?;
        ensure!(!portal.is_empty() && !target.is_empty(), "want iscsi://HOST[:PORT]/IQN/LUN");
        let after_host = portal.rsplit_once(']').map_or(portal, |(_, port)| port);
        let portal =
            if after_host.contains(':') { portal.into() } else { format!("{portal}:3260") };
        let lun = lun.parse().with_context(|| format!("{lun:?} is no LUN"))?;
        ensure!(lun < 1 << 14, "LUN {lun} is more than flat addressing holds (16383)");
        Ok(Self { portal, target: target.into(), lun })
    }
}

impl Url {
    /// The eight-byte LUN of SAM-5 4.7: peripheral addressing below 256, else flat.
    pub(crate) fn lun_field(&self) -> [u8; 8] {
        let [high, low] = self.lun.to_be_bytes();
        let method = if high == 0 { 0 } else { 0x40 };
        [method | high, low, 0, 0, 0, 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_hosts_ports_and_luns() {
        let url: Url = "iscsi://[::1]:4000/iqn.2026-01.org.example:a/300".parse().unwrap();
        assert_eq!(url.portal, "[::1]:4000");
        assert_eq!(url.target, "iqn.2026-01.org.example:a");
        assert_eq!(url.lun_field(), [0x41, 0x2c, 0, 0, 0, 0, 0, 0]);
        let url: Url = "iscsi://[::1]/iqn.x/7".parse().unwrap();
        assert_eq!(url.portal, "[::1]:3260");
        assert_eq!(url.lun_field(), [0, 7, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn refuses_what_names_no_unit() {
        for text in ["nbd://h/x/1", "iscsi://h/iqn.x", "iscsi://h/iqn.x/", "iscsi:///iqn.x/1"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
        assert!("iscsi://h/iqn.x/16384".parse::<Url>().is_err());
    }
}
