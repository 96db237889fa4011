//! CHAP with values of any kind: only the right response gets in.

use stirrup::iscsi::login::{
    ChapCredentials, ChapIdentity, ENTROPY_BYTES, Grant, Limits, Login, Names, Policy, Refusal,
    Reply, Secret,
};
use stirrup::iscsi::pdu::LoginRequest;
use stirrup::iscsi::text;

/// The same for every run: the target's challenge and identifier come from it.
const ENTROPY: [u8; ENTROPY_BYTES] = [0x5a; ENTROPY_BYTES];

const NAMES: &str = "InitiatorName=iqn.2010-04.org.ipxe:node1\0\
     TargetName=iqn.2026-01.example:disk\0SessionType=Normal\0AuthMethod=CHAP\0";

struct Gate {
    mutual: bool,
}

impl Policy for Gate {
    fn authorize(&self, _: &Names) -> Result<Grant, Refusal> {
        let identity = |name: &str, secret: &str| ChapIdentity {
            name: name.into(),
            secret: Secret::new(secret.into()),
        };
        let target = self.mutual.then(|| identity("target", "the target's secret"));
        let chap = Some(ChapCredentials { initiator: identity("alice", "alice's secret"), target });
        Ok(Grant { chap, target_portal_group_tag: 1, ..Grant::default() })
    }
}

/// Runs one input: a byte of choices, then values that end with 0: CHAP_A, CHAP_N, CHAP_R, CHAP_I,
/// CHAP_C. Returns whether it got in.
pub fn run(bytes: &[u8]) -> bool {
    let Some((choice, rest)) = bytes.split_first() else { return false };
    let mut values = rest.split(|byte| *byte == 0);
    let mut login = Login::new(Limits::default(), ENTROPY);
    let gate = Gate { mutual: choice & 1 != 0 };
    let pair =
        |key: &str, value: Option<&[u8]>| Some([key.as_bytes(), b"=", value?, b"\0"].concat());
    let algorithms = pair("CHAP_A", values.next()).unwrap_or_default();
    let mut proof = Vec::new();
    for key in ["CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"] {
        if let Some(pair) = pair(key, values.next()) {
            proof.extend_from_slice(&pair);
        }
    }
    let steps: [(bool, Vec<u8>); 3] =
        [(false, NAMES.as_bytes().to_vec()), (false, algorithms), (true, proof)];
    let mut challenge = String::new();
    for (transit, data) in steps {
        if data.len() > stirrup::iscsi::login::LOGIN_SEGMENT_BYTES_MAX {
            return false;
        }
        match login.handle(&request(transit), &data, &gate) {
            Reply::Respond(response, answer) if !response.transit => {
                let pairs = text::parse(&answer).expect("what the target sends is text");
                if let Some(value) = text::find(&pairs, "CHAP_C") {
                    challenge = value.to_owned();
                }
            }
            Reply::Respond(..) => {
                let given = text::parse(&data).expect("it was taken as text");
                let response = text::find(&given, "CHAP_R").expect("nobody gets in without one");
                assert_eq!(text::find(&given, "CHAP_N"), Some("alice"));
                assert!(is_right(response), "let in by {response:?} to {challenge:?}");
                return true;
            }
            Reply::Fail(failure) => {
                assert!(failure.response.status_class > 0 && !failure.response.transit);
                return false;
            }
            Reply::Complete(_) => panic!("a login that never asked for the full feature phase"),
        }
    }
    false
}

/// Digests of the identifier, the secret and the challenge that [`ENTROPY`] gives, one for each
/// algorithm (MD5, SHA1, SHA-256, SHA3-256), from another implementation (`fuzz/make-seeds`).
const RIGHT: [&str; 4] = include!("../seeds/chap.right");

fn is_right(response: &str) -> bool {
    let right = |hex: &&str| {
        let digest: Vec<u8> = (0..hex.len() / 2)
            .filter_map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok())
            .collect();
        text::binary(response, 64).is_some_and(|bytes| bytes == digest)
    };
    RIGHT.iter().any(right)
}

fn request(transit: bool) -> LoginRequest {
    LoginRequest {
        transit,
        cont: false,
        csg: 0,
        nsg: u8::from(transit),
        version_max: 0,
        version_min: 0,
        isid: [0, 2, 0x3d, 0, 0, 1],
        tsih: 0,
        itt: 1,
        cid: 0,
        cmd_sn: 5,
        exp_stat_sn: 0,
    }
}
