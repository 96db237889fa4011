//! The record in which a volume keeps registrations and reservation through a loss of power.
//!
//! A line `stirrup-reservations 1 CRC`, CRC being the CRC-32C of the rest in hexadecimal, and a
//! JSON object. Whatever is wrong with it, it is unreadable as a whole.

use serde::{Deserialize, Serialize};

use super::pr_state::{Kind, Persistent, Port, REGISTRATIONS_MAX, Registration, Reservation};
use crate::block::{SavedState, StateRecord};

const TITLE: &str = "stirrup-reservations 1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// Initiator port, target port, key, ALL_TG_PT.
    registrations: Vec<(String, u16, u64, bool)>,
    reservation: Option<Reserved>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reserved {
    #[serde(rename = "type")]
    kind: u8,
    holder: Option<(String, u16)>,
}

/// What is to be kept of a state: nothing of one that is not to outlive a loss of power, or that
/// is empty. `None`: it is too long.
pub(super) fn encode(state: &Persistent) -> Option<StateRecord> {
    let is_empty = state.registrations.is_empty() && state.reservation.is_none();
    if !state.aptpl || is_empty {
        return StateRecord::new(Vec::new());
    }
    let registration =
        |r: &Registration| (r.port.initiator.clone(), r.port.target, r.key, r.all_target_ports);
    let reserved = |r: &Reservation| Reserved {
        kind: r.kind as u8,
        holder: r.holder.as_ref().map(|port| (port.initiator.clone(), port.target)),
    };
    let record = Record {
        registrations: state.registrations.iter().map(registration).collect(),
        reservation: state.reservation.as_ref().map(reserved),
    };
    let body = serde_json::to_string(&record).ok()?;
    StateRecord::new(format!("{TITLE} {:08x}\n{body}", crc32c::crc32c(body.as_bytes())).into())
}

/// The state of a volume as it was saved; `None` if that cannot be told.
pub(super) fn decode(saved: &SavedState) -> Option<Persistent> {
    match saved {
        SavedState::Unsupported => Some(Persistent::default()),
        SavedState::Record(bytes) if bytes.is_empty() => Some(Persistent::default()),
        SavedState::Record(bytes) => decode_record(bytes),
        SavedState::Unreadable => None,
    }
}

/// Whether the reservations of a volume can be told from what it has kept. If not, its logical unit
/// takes them for lost: nobody may read or write before a registered initiator has sent CLEAR.
#[must_use]
pub fn can_restore(saved: &SavedState) -> bool {
    decode(saved).is_some()
}

fn decode_record(bytes: &[u8]) -> Option<Persistent> {
    let (head, body) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    if head != format!("{TITLE} {:08x}", crc32c::crc32c(body.as_bytes())) {
        return None;
    }
    let record: Record = serde_json::from_str(body).ok()?;
    let registrations: Vec<_> = record
        .registrations
        .into_iter()
        .map(|(initiator, target, key, all_target_ports)| Registration {
            port: Port { initiator, target },
            key,
            all_target_ports,
        })
        .collect();
    let reservation = match record.reservation {
        None => None,
        Some(Reserved { kind, holder }) => Some(Reservation {
            kind: Kind::decode(kind)?,
            holder: holder.map(|(initiator, target)| Port { initiator, target }),
        }),
    };
    let state = Persistent { generation: 0, aptpl: true, registrations, reservation };
    makes_sense(&state).then_some(state)
}

/// What no service action can make is not believed.
fn makes_sense(state: &Persistent) -> bool {
    let registrations = &state.registrations;
    let unique =
        |(i, r): (usize, &Registration)| registrations[..i].iter().all(|o| o.port != r.port);
    let held = match &state.reservation {
        None => true,
        Some(reservation) if reservation.kind.is_all_registrants() => !registrations.is_empty(),
        Some(Reservation { holder: Some(holder), .. }) => state.is_registered(holder),
        // That of a record that was lost.
        Some(Reservation { holder: None, kind }) => *kind == Kind::ExclusiveAccess,
    };
    registrations.len() <= REGISTRATIONS_MAX
        && registrations.iter().all(|r| r.key != 0)
        && registrations.iter().enumerate().all(unique)
        && held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: usize) -> Port {
        Port { initiator: format!("iqn.2025-01.example:\u{e4}{number},i,0x1"), target: 1 }
    }

    fn state(count: usize, kind: Option<Kind>) -> Persistent {
        let registration = |i| Registration {
            port: port(i),
            key: u64::MAX - i as u64,
            all_target_ports: i % 2 == 0,
        };
        Persistent {
            generation: 7,
            aptpl: true,
            registrations: (0..count).map(registration).collect(),
            reservation: kind.map(|kind| Reservation { kind, holder: Some(port(0)) }),
        }
    }

    fn reread(state: &Persistent) -> Option<Persistent> {
        decode(&SavedState::Record(encode(state).unwrap().bytes().to_vec()))
    }

    #[test]
    fn a_state_is_read_back_but_for_its_generation() {
        for count in [1, 2, REGISTRATIONS_MAX] {
            for kind in
                [None, Some(Kind::WriteExclusive), Some(Kind::ExclusiveAccessAllRegistrants)]
            {
                let state = state(count, kind);
                let wanted = Persistent { generation: 0, ..state.clone() };
                assert_eq!(reread(&state), Some(wanted));
            }
        }
        assert_eq!(reread(&Persistent::lost()), Some(Persistent::lost()));
    }

    #[test]
    fn what_need_not_be_kept_is_not() {
        let gone = Some(Persistent::default());
        assert_eq!(reread(&Persistent { aptpl: false, ..state(2, None) }), gone);
        assert_eq!(reread(&state(0, None)), gone);
        assert_eq!(decode(&SavedState::Unsupported), gone);
    }

    #[test]
    fn a_spoilt_record_is_none() {
        let record = encode(&state(3, Some(Kind::ExclusiveAccess))).unwrap();
        let bytes = record.bytes();
        for at in 0..bytes.len() {
            let mut spoilt = bytes.to_vec();
            spoilt[at] ^= 0x01;
            assert_eq!(decode(&SavedState::Record(spoilt)), None, "byte {at}");
            if at > 0 {
                assert_eq!(decode(&SavedState::Record(bytes[..at].to_vec())), None, "cut at {at}");
            }
        }
        assert_eq!(decode(&SavedState::Unreadable), None);
    }

    proptest::proptest! {
        /// The checksum keeps no one from writing what he likes.
        #[test]
        fn whatever_it_says_it_is_read_or_not(
            text in "[ -~]{0,80}",
            kind in 0..12_u8,
            keys in proptest::collection::vec((0..4_u8, 0..3_u64), 0..5),
            holder in 0..4_u8,
        ) {
            let record = |body: &str| {
                let crc = crc32c::crc32c(body.as_bytes());
                decode(&SavedState::Record(format!("{TITLE} {crc:08x}\n{body}").into()))
            };
            record(&text);
            let registrations: Vec<String> =
                keys.iter().map(|(port, key)| format!(r#"["p{port}",1,{key},false]"#)).collect();
            let body = format!(
                r#"{{"registrations":[{}],"reservation":{{"type":{kind},"holder":["p{holder}",1]}}}}"#,
                registrations.join(",")
            );
            if let Some(state) = record(&body) {
                proptest::prop_assert_eq!(reread(&state), Some(state));
            }
        }
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let good = state(2, Some(Kind::WriteExclusive));
        let mut twice = good.clone();
        twice.registrations[1].port = port(0);
        let mut zero = good.clone();
        zero.registrations[1].key = 0;
        let mut stranger = good.clone();
        stranger.reservation = state(0, Some(Kind::WriteExclusive)).reservation;
        stranger.registrations.remove(0);
        let mut nobody = state(0, Some(Kind::WriteExclusiveAllRegistrants));
        nobody.generation = 0;
        for bad in [twice, zero, stranger, nobody, state(REGISTRATIONS_MAX + 1, None)] {
            assert_eq!(reread(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_state_too_long_is_no_record() {
        let mut long = state(REGISTRATIONS_MAX, None);
        for registration in &mut long.registrations {
            registration.port.initiator.push_str(&"x".repeat(240));
        }
        assert!(encode(&long).is_none());
    }

    #[test]
    fn a_reservation_of_all_registrants_needs_no_holder() {
        for holder in [None, Some(port(77))] {
            let mut state = state(2, Some(Kind::WriteExclusiveAllRegistrants));
            if let Some(reservation) = &mut state.reservation {
                reservation.holder = holder;
            }
            assert!(makes_sense(&state));
            state.registrations.clear();
            assert!(!makes_sense(&state), "there are none");
        }
        let saved = SavedState::Record(encode(&state(1, None)).unwrap().bytes().to_vec());
        assert!(can_restore(&saved) && !can_restore(&SavedState::Unreadable));
    }
}
