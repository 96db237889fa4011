//! iSCSI TransportIDs (SPC-4 7.6.4.6).

/// FORMAT CODE 00b and 01b, with the PROTOCOL IDENTIFIER of iSCSI.
const NODE: u8 = 0x05;
const PORT: u8 = 0x45;
const HEADER_BYTES: usize = 4;
/// ADDITIONAL LENGTH is at least this.
const NAME_BYTES_MIN: usize = 20;
/// Longest iSCSI name (RFC 7143 4.2.7.2).
const ISCSI_NAME_BYTES_MAX: usize = 223;
const SEPARATOR: &str = ",i,0x";
/// Hexadecimal digits of an ISID.
const ISID_DIGITS: usize = 12;

/// Whom a TransportID specifies. Names are in lower case, as iSCSI compares them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TransportId {
    /// Format 00b: every initiator port of the iSCSI node of this name.
    Node(String),
    /// Format 01b: the initiator port of this name.
    Port(String),
}

impl TransportId {
    /// The TransportID at the start of `bytes`, and its length in bytes. `None` if it is none of
    /// iSCSI's, is cut, or names nobody that could be.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let &[format, 0, high, low, ..] = bytes else { return None };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len < NAME_BYTES_MIN || !len.is_multiple_of(4) {
            return None;
        }
        let text = bytes.get(HEADER_BYTES..HEADER_BYTES + len)?;
        // The first NUL ends the name, whatever is behind it.
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(len);
        let name = std::str::from_utf8(&text[..end]).ok()?.to_ascii_lowercase();
        let id = match format {
            NODE => Self::Node(node_name(&name)?.to_owned()),
            PORT => Self::Port(port_name(&name)?),
            _ => return None,
        };
        Some((id, HEADER_BYTES + len))
    }
}

fn node_name(name: &str) -> Option<&str> {
    let legal = |c: char| !c.is_control() && !c.is_whitespace() && c != ',';
    let fits = (1..=ISCSI_NAME_BYTES_MAX).contains(&name.len());
    (fits && name.chars().all(legal)).then_some(name)
}

/// With all digits of the ISID.
fn port_name(name: &str) -> Option<String> {
    let (node, isid) = name.split_once(SEPARATOR)?;
    let digits = isid.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits || !(1..=ISID_DIGITS).contains(&isid.len()) {
        return None;
    }
    Some(format!("{}{SEPARATOR}{isid:0>ISID_DIGITS$}", node_name(node)?))
}

/// The iSCSI node that an initiator port belongs to; the port's name is in lower case and has all
/// digits of the ISID.
pub(super) fn node_of(port: &str) -> Option<&str> {
    let (node, isid) = port.rsplit_once(SEPARATOR)?;
    let whole = isid.len() == ISID_DIGITS && isid.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then_some(node)
}

/// The TransportID of an initiator port (format 01b).
pub(super) fn encode(port: &str) -> Vec<u8> {
    let mut name = port.as_bytes().to_vec();
    name.resize((name.len() + 1).next_multiple_of(4).max(NAME_BYTES_MIN), 0);
    let mut out = vec![PORT, 0];
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(&name);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(format: u8, text: &[u8], additional: u16) -> Vec<u8> {
        let [high, low] = additional.to_be_bytes();
        [&[format, 0, high, low], text].concat()
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        for port in ["iqn.a:b,i,0x00023d000001", "a,i,0x00023d000001", "iqn.xyz,i,0x00023d000001"] {
            let bytes = encode(port);
            assert!(bytes.len() >= 24 && bytes.len().is_multiple_of(4));
            assert_eq!(bytes.last(), Some(&0), "the name ends with a zero (SPC-4 7.6.4.6)");
            let with_more = [&bytes[..], &[1, 2, 3]].concat();
            let read = TransportId::parse(&with_more);
            assert_eq!(read, Some((TransportId::Port(port.into()), bytes.len())));
        }
    }

    #[test]
    fn names_are_normalised() {
        let bytes = encode("IQN.A:B,i,0x23D000001");
        let wanted = TransportId::Port("iqn.a:b,i,0x00023d000001".into());
        assert_eq!(TransportId::parse(&bytes), Some((wanted, bytes.len())));
        let mut text = b"IQN.Example:Host\0garbage".to_vec();
        text.resize(24, 7);
        let wanted = TransportId::Node("iqn.example:host".into());
        assert_eq!(TransportId::parse(&raw(NODE, &text, 24)), Some((wanted, 28)));
    }

    #[test]
    fn a_node_has_its_ports_and_no_others() {
        assert_eq!(node_of("iqn.a:b,i,0x00023d000001"), Some("iqn.a:b"));
        // Of a name that is none: not a port of iqn.a.
        assert_eq!(node_of("iqn.a,i,0x1,i,0x00023d000001"), Some("iqn.a,i,0x1"));
        for none in ["iqn.a:b", "iqn.a,i,0x1", "iqn.a,i,0x00023d00000g", "iqn.a,i,0x00023d0000011"]
        {
            assert_eq!(node_of(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let good = encode("iqn.example:h,i,0x00023d000001");
        assert!(TransportId::parse(&good).is_some());
        for len in 0..good.len() {
            assert_eq!(TransportId::parse(&good[..len]), None, "cut to {len} bytes");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let of = |format, name: &str| {
            let mut text = name.as_bytes().to_vec();
            text.resize(name.len().next_multiple_of(4).max(20), 0);
            let len = text.len() as u16;
            raw(format, &text, len)
        };
        let long = "x".repeat(224);
        for bad in [
            with(0, 0x06), // SAS
            with(0, 0x85), // a format of the future
            with(0, 0x55), // a reserved bit
            with(1, 1),
            raw(PORT, b"a,i,0x1\0\0\0\0\0", 12), // too short
            raw(PORT, &[b'a'; 21], 21),
            raw(PORT, &[0xff; 20], 20),
            of(NODE, ""),
            of(NODE, "iqn.a,i,0x1"),
            of(NODE, "iqn a"),
            of(NODE, &long),
            of(PORT, "iqn.a"),
            of(PORT, "iqn.a,i,0x"),
            of(PORT, "iqn.a,i,0x00023d0000011"),
            of(PORT, "iqn.a,i,0xg"),
            of(PORT, ",i,0x00023d000001"),
        ] {
            assert_eq!(TransportId::parse(&bad), None, "{bad:02x?}");
        }
    }
}
