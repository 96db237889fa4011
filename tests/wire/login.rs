//! Logging in, step by step or all at once.

use std::net::SocketAddr;

use crate::session::Session;
use crate::support::raw::{CONT, FINAL, IMMEDIATE, Pdu, Wire, op};

/// CSG and NSG of byte 1 (RFC 7143 11.12.3).
pub(crate) const SECURITY: u8 = 0 << 2;
pub(crate) const OPERATIONAL: u8 = 1 << 2;
pub(crate) const TO_OPERATIONAL: u8 = FINAL | 1;
pub(crate) const TO_FULL_FEATURE: u8 = FINAL | 3;
/// Straight from the operational stage to the full feature phase, as Linux does.
pub(crate) const AT_ONCE: u8 = OPERATIONAL | TO_FULL_FEATURE;

/// What one login says.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) portal: SocketAddr,
    pub(crate) initiator: String,
    /// `None`: a discovery session.
    pub(crate) target: Option<String>,
    pub(crate) isid: [u8; 6],
    pub(crate) tsih: u16,
    pub(crate) cid: u16,
    pub(crate) itt: u32,
    pub(crate) cmd_sn: u32,
    pub(crate) exp_stat_sn: u32,
    pub(crate) keys: Vec<(String, String)>,
}

/// A login that was not granted.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Status-Class and Status-Detail.
    pub(crate) status: u16,
    pub(crate) text: Vec<(String, String)>,
}

impl Login {
    pub(crate) fn normal(portal: SocketAddr, target: &str) -> Self {
        Self {
            portal,
            initiator: "iqn.2026-11.test:node".into(),
            target: Some(target.into()),
            isid: [0x80, 0, 0, 0, 0, 1],
            tsih: 0,
            cid: 0,
            itt: 0x0101,
            cmd_sn: 0x1000,
            exp_stat_sn: 0,
            keys: Vec::new(),
        }
    }

    pub(crate) fn discovery(portal: SocketAddr) -> Self {
        Self { target: None, ..Self::normal(portal, "") }
    }

    pub(crate) fn key(mut self, key: &str, value: &str) -> Self {
        self.keys.push((key.into(), value.into()));
        self
    }

    pub(crate) fn isid(mut self, qualifier: u8) -> Self {
        self.isid[5] = qualifier;
        self
    }

    pub(crate) fn cmd_sn(mut self, cmd_sn: u32) -> Self {
        self.cmd_sn = cmd_sn;
        self
    }

    /// InitiatorName, SessionType and TargetName.
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        let mut pairs = vec![("InitiatorName".to_owned(), self.initiator.clone())];
        match &self.target {
            Some(target) => {
                pairs.push(("SessionType".into(), "Normal".into()));
                pairs.push(("TargetName".into(), target.clone()));
            }
            None => pairs.push(("SessionType".into(), "Discovery".into())),
        }
        pairs
    }

    /// The names and the keys.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut pairs = self.names();
        pairs.extend(self.keys.iter().cloned());
        encode(&pairs)
    }

    /// A Login Request with this byte 1.
    pub(crate) fn request(&self, flags: u8, text: &[u8]) -> Pdu {
        let isid = self.isid;
        Pdu::new(IMMEDIATE | op::LOGIN, flags)
            .bytes_at(8, &isid)
            .set_half(14, self.tsih)
            .set(16, self.itt)
            .set_half(20, self.cid)
            .set(24, self.cmd_sn)
            .set(28, self.exp_stat_sn)
            .with(text)
    }

    /// Sends a request and takes its response, which must fit it.
    pub(crate) fn step(&mut self, wire: &mut Wire, flags: u8, text: &[u8]) -> Pdu {
        let request = self.request(flags, text);
        wire.send(&request);
        self.response(wire)
    }

    /// The next response, which must fit the requests of this login.
    pub(crate) fn response(&mut self, wire: &mut Wire) -> Pdu {
        let response = wire.receive().expect("a login response");
        assert_eq!(response.opcode(), op::LOGIN_RESPONSE, "{response:?}");
        assert_eq!(response.itt(), self.itt, "{response:?}");
        if response.bhs[36] == 0 {
            assert_eq!(response.bhs[8..14], self.isid, "{response:?}");
            assert_eq!(response.exp_cmd_sn(), self.cmd_sn, "{response:?}");
        }
        assert!(response.data.len() <= 8192, "the default limit holds in login");
        self.exp_stat_sn = response.stat_sn().wrapping_add(1);
        response
    }

    /// [`Self::step`] with pairs, whose response must be granted and whole.
    pub(crate) fn ask(
        &mut self,
        wire: &mut Wire,
        flags: u8,
        pairs: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let response = self.step(wire, flags, &text(pairs));
        assert_eq!((status(&response), response.flags() & CONT), (0, 0), "{response:?}");
        decode(&response.data)
    }

    /// One request, straight to the full feature phase.
    pub(crate) fn go(mut self) -> Result<Session, Refused> {
        let mut wire = Wire::connect(self.portal);
        let text = self.text();
        let response = self.step(&mut wire, AT_ONCE, &text);
        if status(&response) != 0 {
            let text = decode(&response.data);
            assert!(wire.receive().is_none(), "a refused login is closed");
            return Err(Refused { status: status(&response), text });
        }
        Ok(Session::begin(self, wire, &response))
    }

    /// [`Self::go`], which must be granted.
    pub(crate) fn session(self) -> Session {
        self.go().expect("a session")
    }

    /// [`Self::go`], which must be refused.
    pub(crate) fn refused(self) -> u16 {
        self.go().err().expect("no session").status
    }
}

/// Status-Class and Status-Detail of a Login Response.
pub(crate) fn status(response: &Pdu) -> u16 {
    response.half(36)
}

/// Pairs as text.
pub(crate) fn text(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs.iter().flat_map(|(key, value)| format!("{key}={value}\0").into_bytes()).collect()
}

fn encode(pairs: &[(String, String)]) -> Vec<u8> {
    pairs.iter().flat_map(|(key, value)| format!("{key}={value}\0").into_bytes()).collect()
}

/// Text as pairs.
pub(crate) fn decode(data: &[u8]) -> Vec<(String, String)> {
    if data.is_empty() {
        return Vec::new();
    }
    let text = str::from_utf8(data).unwrap().strip_suffix('\0').expect("a closing zero byte");
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').expect("key=value");
        (key.to_owned(), value.to_owned())
    };
    text.split('\0').map(pair).collect()
}

/// The value of a key that must be there at most once.
pub(crate) fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    let mut values = pairs.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{key} twice: {pairs:?}");
    value
}
