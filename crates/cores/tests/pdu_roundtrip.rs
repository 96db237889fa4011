//! Every PDU against the layout that RFC 7143 section 11 draws for it, over arbitrary headers:
//! fields are where the RFC puts them, what is parsed is encoded again, what is encoded is parsed
//! again, and no header makes the parser panic.

extern crate stirrup_cores as stirrup;

use std::fmt::Debug;

use proptest::prelude::*;
use stirrup::iscsi::pdu::frame::{Lengths, padding_of, set_ahs_length, set_data_length};
use stirrup::iscsi::pdu::{
    Ahs, AsyncMessage, BHS_BYTES, Bhs, DataIn, DataOut, LoginRequest, LoginResponse, LogoutRequest,
    LogoutResponse, NopIn, NopOut, Numbers, Opcode, Overflow, Pdu, R2t, Reject, Request,
    ScsiCommand, ScsiResponse, Snack, TaskManagementRequest, TaskManagementResponse, TextRequest,
    TextResponse, parse_ahs,
};

fn any_bhs() -> impl Strategy<Value = Bhs> {
    prop::array::uniform32(any::<u8>()).prop_flat_map(|head| {
        prop::array::uniform16(any::<u8>()).prop_map(move |tail| {
            let mut bhs = [0; BHS_BYTES];
            bhs[..32].copy_from_slice(&head);
            bhs[32..].copy_from_slice(&tail);
            bhs
        })
    })
}

/// Parses and goes there and back.
fn round_trip<T: Pdu + PartialEq + Debug>(bhs: &Bhs) -> Option<T> {
    let pdu = T::parse(bhs).ok()?;
    let encoded = pdu.encode();
    assert_eq!(Opcode::of(&encoded), Some(T::OPCODE));
    assert_eq!(encoded[4..8], [0; 4], "lengths belong to the framing");
    assert_eq!(T::parse(&encoded).as_ref(), Ok(&pdu));
    Some(pdu)
}

/// A number as the header has it.
trait Wire {
    fn wire(&self) -> Vec<u8>;
}

macro_rules! wire {
    ($($int:ty),*) => {
        $(impl Wire for $int {
            fn wire(&self) -> Vec<u8> {
                self.to_be_bytes().to_vec()
            }
        })*
    };
}

wire!(u8, u16, u32, u64);

impl<const N: usize> Wire for [u8; N] {
    fn wire(&self) -> Vec<u8> {
        self.to_vec()
    }
}

impl Wire for [u16; 3] {
    fn wire(&self) -> Vec<u8> {
        self.iter().flat_map(|n| n.to_be_bytes()).collect()
    }
}

impl Wire for Numbers {
    fn wire(&self) -> Vec<u8> {
        [self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn].iter().flat_map(Wire::wire).collect()
    }
}

/// One property per PDU: `field @ first byte`, and bits as `field: byte & mask`.
macro_rules! layouts {
    ($($test:ident: $pdu:ident {
        $($field:ident @ $at:literal),* ; $($bit:ident : $byte:literal & $mask:literal),*
    })*) => {
        proptest! {
            $(
                #[test]
                fn $test(bhs in any_bhs()) {
                    if let Some(pdu) = round_trip::<$pdu>(&bhs) {
                        let encoded = pdu.encode();
                        $(
                            let wire = pdu.$field.wire();
                            let range = $at..$at + wire.len();
                            prop_assert_eq!(&wire, &bhs[range.clone()], "{}", stringify!($field));
                            prop_assert_eq!(&wire, &encoded[range], "{}", stringify!($field));
                        )*
                        $(
                            prop_assert_eq!(pdu.$bit, bhs[$byte] & $mask != 0, "{}", stringify!($bit));
                            prop_assert_eq!(pdu.$bit, encoded[$byte] & $mask != 0);
                        )*
                    }
                }
            )*
        }
    };
}

layouts! {
    nop_out: NopOut {
        lun @ 8, itt @ 16, ttt @ 20, cmd_sn @ 24, exp_stat_sn @ 28; immediate: 0 & 0x40
    }
    scsi_command: ScsiCommand {
        lun @ 8, itt @ 16, expected_length @ 20, cmd_sn @ 24, exp_stat_sn @ 28, cdb @ 32;
        immediate: 0 & 0x40, is_final: 1 & 0x80, read: 1 & 0x40, write: 1 & 0x20
    }
    task_management_request: TaskManagementRequest {
        lun @ 8, itt @ 16, referenced_tag @ 20, cmd_sn @ 24, exp_stat_sn @ 28, ref_cmd_sn @ 32,
        exp_data_sn @ 36;
        immediate: 0 & 0x40
    }
    login_request: LoginRequest {
        version_max @ 2, version_min @ 3, isid @ 8, tsih @ 14, itt @ 16, cid @ 20, cmd_sn @ 24,
        exp_stat_sn @ 28;
        transit: 1 & 0x80, cont: 1 & 0x40
    }
    text_request: TextRequest {
        lun @ 8, itt @ 16, ttt @ 20, cmd_sn @ 24, exp_stat_sn @ 28;
        immediate: 0 & 0x40, is_final: 1 & 0x80, cont: 1 & 0x40
    }
    data_out: DataOut {
        lun @ 8, itt @ 16, ttt @ 20, exp_stat_sn @ 28, data_sn @ 36, buffer_offset @ 40;
        is_final: 1 & 0x80
    }
    logout_request: LogoutRequest {
        itt @ 16, cid @ 20, cmd_sn @ 24, exp_stat_sn @ 28; immediate: 0 & 0x40
    }
    snack: Snack {
        lun @ 8, itt @ 16, ttt @ 20, exp_stat_sn @ 28, begin_run @ 40, run_length @ 44;
    }
    nop_in: NopIn {
        lun @ 8, itt @ 16, ttt @ 20, numbers @ 24;
    }
    scsi_response: ScsiResponse {
        response @ 2, status @ 3, qualifier @ 8, itt @ 16, snack_tag @ 20, numbers @ 24,
        exp_data_sn @ 36;
    }
    task_management_response: TaskManagementResponse {
        response @ 2, information @ 8, itt @ 16, numbers @ 24;
    }
    login_response: LoginResponse {
        version_max @ 2, version_active @ 3, isid @ 8, tsih @ 14, itt @ 16, stat_sn @ 24,
        exp_cmd_sn @ 28, max_cmd_sn @ 32, status_class @ 36, status_detail @ 37;
        transit: 1 & 0x80, cont: 1 & 0x40
    }
    text_response: TextResponse {
        lun @ 8, itt @ 16, ttt @ 20, numbers @ 24;
        is_final: 1 & 0x80, cont: 1 & 0x40
    }
    data_in: DataIn {
        lun @ 8, itt @ 16, ttt @ 20, numbers @ 24, data_sn @ 36,
        buffer_offset @ 40;
        is_final: 1 & 0x80, acknowledge: 1 & 0x40
    }
    logout_response: LogoutResponse {
        response @ 2, itt @ 16, numbers @ 24, time2wait @ 40,
        time2retain @ 42;
    }
    r2t: R2t {
        lun @ 8, itt @ 16, ttt @ 20, numbers @ 24, r2t_sn @ 36,
        buffer_offset @ 40, desired_length @ 44;
    }
    async_message: AsyncMessage {
        lun @ 8, numbers @ 24, event @ 36, vendor_code @ 37,
        parameters @ 38;
    }
    reject: Reject { numbers @ 24, data_sn @ 36; }
}

proptest! {
    #[test]
    fn codes_within_a_byte(bhs in any_bhs()) {
        let login = LoginRequest::parse(&bhs).unwrap();
        prop_assert_eq!((login.csg, login.nsg), (bhs[1] >> 2 & 3, bhs[1] & 3));
        prop_assert_eq!(login.encode()[1], bhs[1] & 0xcf);
        let answer = LoginResponse::parse(&bhs).unwrap();
        prop_assert_eq!((answer.csg, answer.nsg), (bhs[1] >> 2 & 3, bhs[1] & 3));
        prop_assert_eq!(answer.encode()[1], bhs[1] & 0xcf);
        let command = ScsiCommand::parse(&bhs).unwrap();
        prop_assert_eq!((command.attribute, command.priority), (bhs[1] & 7, bhs[2] & 15));
        prop_assert_eq!(TaskManagementRequest::parse(&bhs).unwrap().encode()[1], bhs[1] | 0x80);
        prop_assert_eq!(LogoutRequest::parse(&bhs).unwrap().encode()[1], bhs[1] | 0x80);
        prop_assert_eq!(Snack::parse(&bhs).unwrap().encode()[1], bhs[1] & 0x0f | 0x80);
    }

    #[test]
    fn residuals(bhs in any_bhs()) {
        let count = u32::from_be_bytes(bhs[44..].try_into().unwrap());
        let expected = match (bhs[1] & 4 != 0, bhs[1] & 2 != 0) {
            (false, false) => Some(Overflow::None),
            (true, false) => Some(Overflow::Over(count)),
            (false, true) => Some(Overflow::Under(count)),
            (true, true) => None,
        };
        let read_count = u32::from_be_bytes(bhs[40..44].try_into().unwrap());
        let read_expected = match (bhs[1] & 0x10 != 0, bhs[1] & 8 != 0) {
            (false, false) => Some(Overflow::None),
            (true, false) => Some(Overflow::Over(read_count)),
            (false, true) => Some(Overflow::Under(read_count)),
            (true, true) => None,
        };
        let both = ScsiResponse::parse(&bhs).ok().map(|pdu| (pdu.overflow, pdu.read_overflow));
        prop_assert_eq!(both, expected.zip(read_expected));
        let status = DataIn::parse(&bhs).ok().map(|pdu| pdu.status);
        if bhs[1] & 1 == 0 {
            prop_assert_eq!(status, Some(None));
        } else {
            prop_assert_eq!(status, expected.map(|overflow| Some((bhs[3], overflow))));
        }
    }

    #[test]
    fn any_header_is_a_request_or_an_error(bhs in any_bhs()) {
        let opcode = bhs[0] & 0x3f;
        prop_assert_eq!(Request::parse(&bhs).is_ok(), matches!(opcode, 0..=6 | 0x10));
    }

    #[test]
    fn lengths_are_those_of_the_header(
        data in 0..1usize << 24,
        ahs in 0..=255usize,
        digests in any::<(bool, bool)>(),
    ) {
        let mut bhs = [0; BHS_BYTES];
        set_data_length(&mut bhs, data);
        set_ahs_length(&mut bhs, ahs * 4);
        let lengths = Lengths::of(&bhs, digests.0, digests.1);
        prop_assert_eq!((lengths.data, lengths.ahs), (data, ahs * 4));
        prop_assert_eq!((data + padding_of(data)) % 4, 0);
        prop_assert_eq!(lengths.header_bytes(), 48 + ahs * 4 + 4 * usize::from(digests.0));
        prop_assert!(lengths.padding < 4);
    }

    #[test]
    fn any_additional_segments_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok([Some(Ahs::ExtendedCdb(cdb)), _]) = parse_ahs(&bytes) {
            prop_assert!(!cdb.is_empty() && cdb.len() < bytes.len());
        }
    }
}
