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
