//! What a machine says of itself. Every word of it may be a lie.

/// MAC addresses that are looked at.
const MACS_MAX: usize = 16;
/// Longest value that is looked at, in bytes.
const VALUE_BYTES_MAX: usize = 128;

/// By what a machine can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// A MAC address of a node.
    Mac,
    /// The node's name is the machine's UUID (SMBIOS).
    Uuid,
    /// The node's name is the machine's serial number (SMBIOS).
    Serial,
    /// The node's name is the host name that the machine got by DHCP.
    Hostname,
}

/// A machine that asks for its script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// Lower case, with colons.
    pub(super) macs: Vec<String>,
    pub(super) uuid: String,
    pub(super) serial: String,
    pub(super) hostname: String,
    pub(super) platform: String,
}

impl Machine {
    /// Takes `mac=...&uuid=...` apart. What makes no sense is left out.
    pub(super) fn of_query(query: &str) -> Self {
        let mut machine = Self::default();
        for pair in query.split('&') {
            let Some((key, value)) = pair.split_once('=') else { continue };
            let Some(value) = decoded(value) else { continue };
            match key {
                "mac" => machine.add_mac(&value),
                "uuid" => machine.uuid = value,
                "serial" => machine.serial = value,
                "hostname" => machine.hostname = value,
                "platform" => machine.platform = value,
                _ => {}
            }
        }
        machine
    }

    /// A machine of which no more is known than one MAC address.
    pub(super) fn of_mac(mac: &str) -> Self {
        let mut machine = Self::default();
        machine.add_mac(mac);
        machine
    }

    fn add_mac(&mut self, text: &str) {
        if let Some(mac) = canonical_mac(text)
            && self.macs.len() < MACS_MAX
            && !self.macs.contains(&mac)
        {
            self.macs.push(mac);
        }
    }

    /// Its first MAC address, for people.
    pub(super) fn mac(&self) -> &str {
        self.macs.first().map_or("-", String::as_str)
    }

    /// What the node's name would be.
    pub(super) fn name_by(&self, identity: Identity) -> Option<String> {
        let name = match identity {
            Identity::Mac => return None,
            Identity::Uuid => &self.uuid,
            Identity::Serial => &self.serial,
            Identity::Hostname => &self.hostname,
        };
        Some(name.to_ascii_lowercase()).filter(|name| !name.is_empty())
    }
}

/// Percent-decoded (RFC 3986 2.1); `None` if it is too long or no text.
fn decoded(value: &str) -> Option<String> {
    if value.len() > VALUE_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let high = digit(rest.next())?;
                let low = digit(rest.next())?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Six bytes, with colons, dashes or nothing between them.
fn canonical_mac(text: &str) -> Option<String> {
    let digits: String = match text.len() {
        12 => text.to_owned(),
        17 if text.bytes().skip(2).step_by(3).all(|b| b == b':' || b == b'-') => {
            text.split([':', '-']).collect()
        }
        _ => return None,
    };
    if digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs: Vec<&str> = (0..6).filter_map(|i| digits.get(i * 2..i * 2 + 2)).collect();
    Some(pairs.join(":").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_firmware_says_is_taken_apart() {
        let query = "mac=52:54:00:AB:CD:EF&mac=&mac=52-54-00-ab-cd-ef&mac=525400abcdee&uuid=A-b\
                     &serial=x%20y%2fz&hostname=N1&platform=efi&arch=x86_64&more&=&a=b";
        let machine = Machine::of_query(query);
        assert_eq!(machine.macs, ["52:54:00:ab:cd:ef", "52:54:00:ab:cd:ee"]);
        assert_eq!((machine.serial.as_str(), machine.platform.as_str()), ("x y/z", "efi"));
        assert_eq!(machine.name_by(Identity::Uuid).as_deref(), Some("a-b"));
        assert_eq!(machine.name_by(Identity::Hostname).as_deref(), Some("n1"));
        assert_eq!(Machine::of_mac("52-54-00-ab-cd-ef").mac(), "52:54:00:ab:cd:ef");
    }

    #[test]
    fn nonsense_is_left_out() {
        for mac in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:gg",
            "5:254:00:ab:cd:ef",
            "52:54:00:ab:cd:ef:00",
            "52540 0abcdef",
            "éééééé",
            "\u{2028}2:54:00:ab:cd:e",
            "5254:00ab:cdef:00",
        ] {
            assert!(Machine::of_mac(mac).macs.is_empty(), "{mac}");
        }
        let many: String = (0..100).map(|i| format!("mac=52:54:00:00:00:{i:02}&")).collect();
        assert_eq!(Machine::of_query(&many).macs.len(), MACS_MAX);
        for query in ["serial=%", "serial=%4", "serial=%zz", "serial=%ff", "serial", "&&&", "=%"] {
            assert_eq!(Machine::of_query(query), Machine::default(), "{query}");
        }
        let long = format!("serial={}", "a".repeat(VALUE_BYTES_MAX + 1));
        assert_eq!(Machine::of_query(&long), Machine::default());
    }
}
