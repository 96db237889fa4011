//! A whole login: the requests that an initiator sends on one connection.

use stirrup::iscsi::login::{
    ChapCredentials, ChapIdentity, ENTROPY_BYTES, Grant, LOGIN_SEGMENT_BYTES_MAX, Limits, Login,
    Names, Negotiation, Policy, Refusal, Reply, Secret, SessionParams, SessionType,
};
use stirrup::iscsi::pdu::frame::Lengths;
use stirrup::iscsi::pdu::{LoginRequest, LoginResponse, Pdu};
use stirrup::iscsi::text::{self, Assembler, Writer};

/// The same for every run, so that a seed can hold the right response.
const ENTROPY: [u8; ENTROPY_BYTES] = [0x5a; ENTROPY_BYTES];

struct Open {
    chap: Option<ChapCredentials>,
}

impl Policy for Open {
    fn authorize(&self, names: &Names) -> Result<Grant, Refusal> {
        assert!(names.session_type == SessionType::Discovery || names.target_name.is_some());
        assert!((1..=223).contains(&names.initiator_name.len()));
        let chap = self.chap.clone();
        Ok(Grant {
            chap,
            target_portal_group_tag: 1,
            target_alias: Some("disk".into()),
            session: None,
        })
    }
}

/// Runs one input: a byte that chooses the authentication, then PDUs.
pub fn run(bytes: &[u8]) {
    let Some((choice, mut rest)) = bytes.split_first() else { return };
    let policy = Open { chap: credentials(choice % 3) };
    let mut login = Login::new(Limits::default(), ENTROPY);
    let mut answer = Assembler::default();
    while let Some((bhs, after)) = rest.split_first_chunk() {
        let lengths = Lengths::of(bhs, false, false);
        let (data, after) = after.split_at(lengths.data.min(after.len()));
        rest = &after[lengths.padding.min(after.len())..];
        let Ok(request) = LoginRequest::parse(bhs) else { continue };
        match login.handle(&request, data, &policy) {
            Reply::Respond(response, data) => {
                check(&request, &response, &data);
                let whole = answer.push(&data, response.cont);
                if let Some(text) = whole.expect("bounded") {
                    text::parse(&text).expect("pairs");
                }
            }
            Reply::Fail(failure) => {
                assert!(failure.response.status_class > 0 && !failure.response.transit);
                return;
            }
            Reply::Complete(complete) => {
                let (response, data, established) = complete.accept(1);
                check(&request, &response, &data);
                sane(&established.params);
                full_feature(rest, &established.params);
                return;
            }
        }
    }
}

fn credentials(choice: u8) -> Option<ChapCredentials> {
    let identity = |name: &str, secret: &str| ChapIdentity {
        name: name.into(),
        secret: Secret::new(secret.into()),
    };
    let target = (choice == 2).then(|| identity("target", "the target's secret"));
    (choice > 0).then(|| ChapCredentials { initiator: identity("alice", "alice's secret"), target })
}

fn check(request: &LoginRequest, response: &LoginResponse, data: &[u8]) {
    assert_eq!((response.itt, response.isid), (request.itt, request.isid));
    assert!(data.len() <= LOGIN_SEGMENT_BYTES_MAX);
    assert!(!response.transit || (request.transit && !response.cont));
    assert!(!response.transit || response.nsg == request.nsg);
}

fn sane(params: &SessionParams) {
    assert!((512..1 << 24).contains(&params.initiator_max_recv_data_segment_length));
    assert!((512..1 << 24).contains(&params.max_burst_length));
    assert!((512..=params.max_burst_length).contains(&params.first_burst_length));
    assert!(params.max_outstanding_r2t > 0 && params.max_connections > 0);
}

/// What is left of the input is the text of a negotiation after the login.
fn full_feature(text: &[u8], params: &SessionParams) {
    let Ok(pairs) = text::parse(text) else { return };
    let mut negotiation = Negotiation::full_feature(Limits::default(), params, false);
    let mut out = Writer::default();
    if negotiation.answer(&pairs, &mut out).is_ok() {
        sane(&negotiation.finish().expect("no digest is required"));
        while !out.is_empty() {
            assert!(!out.segment(8192).is_empty());
        }
    }
}
