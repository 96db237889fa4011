//! Headers as they are on the wire.

use super::*;

/// A READ(10) as Linux sends it, byte by byte.
#[test]
fn a_command_is_read_where_the_rfc_puts_it() {
    let mut bhs = [0; BHS_BYTES];
    bhs[..2].copy_from_slice(&[0x01, 0xc1]);
    bhs[9] = 1;
    bhs[16..32].copy_from_slice(&[0x11, 0x22, 0x33, 0x44, 0, 0, 0x10, 0, 0, 0, 0, 7, 0, 0, 0, 9]);
    bhs[32] = 0x28;
    let Ok(Request::ScsiCommand(command)) = Request::parse(&bhs) else { panic!("{bhs:?}") };
    assert!(command.is_final && command.read && !command.write && !command.immediate);
    assert_eq!((command.attribute, command.lun), (1, 0x0001_0000_0000_0000));
    assert_eq!((command.itt, command.expected_length), (0x1122_3344, 4096));
    assert_eq!((command.cmd_sn, command.exp_stat_sn, command.cdb[0]), (7, 9, 0x28));
    assert_eq!(command.encode(), bhs);
}

#[test]
fn what_only_a_target_sends_is_not_a_request() {
    for opcode in 0..0x40 {
        let mut bhs = [0; BHS_BYTES];
        bhs[0] = opcode;
        let is_request = matches!(opcode, 0..=6 | 0x10);
        assert_eq!(Request::parse(&bhs).is_ok(), is_request, "{opcode:#x}");
    }
}

#[test]
fn login_headers_are_read_back_as_written() {
    for (transit, cont, csg, nsg) in
        [(true, false, 0, 1), (false, true, 1, 0), (true, false, 1, 3), (false, false, 3, 2)]
    {
        let request = LoginRequest {
            transit,
            cont,
            csg,
            nsg,
            version_max: 1,
            version_min: 2,
            isid: [0x80, 1, 2, 3, 4, 5],
            tsih: 0x0607,
            itt: 8,
            cid: 9,
            cmd_sn: 10,
            exp_stat_sn: 11,
        };
        let response = LoginResponse {
            transit,
            cont,
            csg,
            nsg,
            version_max: 1,
            version_active: 2,
            isid: request.isid,
            tsih: 0x0607,
            itt: 8,
            stat_sn: 12,
            exp_cmd_sn: 13,
            max_cmd_sn: 14,
            status_class: 2,
            status_detail: 1,
        };
        // T, C, CSG and NSG (RFC 7143 11.12.2 to 11.12.4).
        let flags = u8::from(transit) << 7 | u8::from(cont) << 6 | csg << 2 | nsg;
        let (asked, answered) = (request.encode(), response.encode());
        assert_eq!((asked[0], answered[0]), (0x43, 0x23), "opcodes; a request is immediate");
        assert_eq!((asked[1], answered[1]), (flags, flags));
        assert_eq!(LoginRequest::parse(&asked), Ok(request));
        assert_eq!(LoginResponse::parse(&answered), Ok(response));
        assert_eq!(answered[36..38], [2, 1]);
    }
}

#[test]
fn an_unknown_opcode_is_named_without_the_bits_beside_it() {
    for byte_0 in [0x1f, 0x5f, 0xdf] {
        let mut bhs = [0; BHS_BYTES];
        bhs[0] = byte_0;
        let error = Request::parse(&bhs).unwrap_err();
        assert_eq!(error, ParseError::Opcode(0x1f));
        assert_eq!(error.to_string(), "opcode 0x1f is not one to receive");
    }
}
