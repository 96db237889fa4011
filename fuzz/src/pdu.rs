//! One PDU: its header as every type, its additional segments, its text.

use std::fmt::Debug;

use stirrup::iscsi::pdu::frame::Lengths;
use stirrup::iscsi::pdu::{
    AsyncMessage, Bhs, DataIn, DataOut, LoginRequest, LoginResponse, LogoutRequest, LogoutResponse,
    NopIn, NopOut, Pdu, R2t, Reject, Request, ScsiCommand, ScsiResponse, Snack,
    TaskManagementRequest, TaskManagementResponse, TextRequest, TextResponse, parse_ahs,
};
use stirrup::iscsi::text;

/// Runs one input: a header, then the rest of the PDU as its lengths say.
pub fn run(bytes: &[u8]) {
    let Some((bhs, rest)) = bytes.split_first_chunk() else { return };
    let _ = Request::parse(bhs);
    let types: [fn(&Bhs); 18] = [
        there_and_back::<AsyncMessage>,
        there_and_back::<DataIn>,
        there_and_back::<DataOut>,
        there_and_back::<LoginRequest>,
        there_and_back::<LoginResponse>,
        there_and_back::<LogoutRequest>,
        there_and_back::<LogoutResponse>,
        there_and_back::<NopIn>,
        there_and_back::<NopOut>,
        there_and_back::<R2t>,
        there_and_back::<Reject>,
        there_and_back::<ScsiCommand>,
        there_and_back::<ScsiResponse>,
        there_and_back::<Snack>,
        there_and_back::<TaskManagementRequest>,
        there_and_back::<TaskManagementResponse>,
        there_and_back::<TextRequest>,
        there_and_back::<TextResponse>,
    ];
    types.iter().for_each(|check| check(bhs));

    let lengths = Lengths::of(bhs, false, false);
    let (ahs, data) = rest.split_at(lengths.ahs.min(rest.len()));
    let _ = parse_ahs(ahs);
    let data = &data[..lengths.data.min(data.len())];
    if let Ok(pairs) = text::parse(data) {
        let bytes: usize = pairs.iter().map(|pair| pair.key.len() + pair.value.len() + 2).sum();
        assert_eq!(bytes, data.len(), "every byte belongs to a pair");
        for pair in pairs {
            let _ = text::number(pair.value);
            let binary = text::binary(pair.value, 1024);
            assert!(binary.is_none_or(|bytes| (1..=1024).contains(&bytes.len())));
        }
    }
}

fn there_and_back<T: Pdu + PartialEq + Debug>(bhs: &Bhs) {
    if let Ok(pdu) = T::parse(bhs) {
        assert_eq!(T::parse(&pdu.encode()), Ok(pdu));
    }
}
