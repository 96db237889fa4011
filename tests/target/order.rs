//! T23: SIMPLE, ORDERED and HEAD OF QUEUE (SAM-5 8), with commands held up in the store.

use crate::support::gated::Gated;
use std::sync::Arc;

use super::initiator::{Initiator, rw10};
use super::{A, Lab, MIB, ScsiCommand, pattern};
use std::time::Duration;
use stirrup::iscsi::pdu::{Opcode, Pdu, R2t};
use stirrup::target::{Access, Options};

const SIMPLE: u8 = 1;
const ORDERED: u8 = 2;
const HEAD_OF_QUEUE: u8 = 3;

fn gated() -> (Lab, Arc<Gated>) {
    let lab = Lab::new();
    let volume = Gated::new(64 * MIB);
    lab.publish(A, Some(volume.clone()), Access::default());
    (lab, volume)
}

fn read(peer: &mut Initiator, attribute: u8, lba: u32) -> ScsiCommand {
    let command = peer.command(&rw10(0x28, lba, 512), 512, 0);
    let command = ScsiCommand { attribute, ..command };
    peer.send(&command, &[]);
    command
}

fn write(peer: &mut Initiator, attribute: u8, lba: u32) -> ScsiCommand {
    let command = peer.command(&rw10(0x2a, lba, 512), 0, 512);
    let command = ScsiCommand { attribute, ..command };
    peer.send(&command, &pattern(512, 1));
    command
}

#[test]
fn t23_an_ordered_command_waits_for_older_ones_and_younger_ones_for_it() {
    let (lab, volume) = gated();
    let mut peer = lab.ready(A, 1);
    volume.hold();
    let first = write(&mut peer, SIMPLE, 1);
    let second = write(&mut peer, SIMPLE, 2);
    let ordered = write(&mut peer, ORDERED, 3);
    let third = read(&mut peer, SIMPLE, 4);
    let fourth = read(&mut peer, 0, 5);
    volume.wait_for(2);
    peer.ping();
    assert_eq!(volume.seen(), [1, 2], "the ordered one and what is younger have not begun");
    let urgent = read(&mut peer, HEAD_OF_QUEUE, 6);
    volume.wait_for(3);
    assert_eq!(volume.seen(), [1, 2, 6], "at once");

    volume.step();
    for command in [&first, &second, &urgent] {
        assert_eq!(peer.finish(command, &[]).status, 0);
    }
    volume.wait_for(1);
    peer.ping();
    assert_eq!(volume.seen(), [1, 2, 6, 3], "alone");
    volume.release();
    for command in [&ordered, &third, &fourth] {
        assert_eq!(peer.finish(command, &[]).status, 0);
    }
    assert_eq!(volume.seen(), [1, 2, 6, 3, 4, 5]);
}

#[test]
fn t23_ordered_commands_run_one_after_the_other() {
    let (lab, volume) = gated();
    let mut peer = lab.ready(A, 1);
    volume.hold();
    let commands: Vec<_> = (0..5).map(|i| write(&mut peer, ORDERED, i)).collect();
    for (i, command) in commands.iter().enumerate() {
        volume.wait_for(1);
        peer.ping();
        assert_eq!(volume.seen().len(), i + 1);
        volume.step();
        assert_eq!(peer.finish(command, &[]).status, 0);
    }
    volume.release();
}

#[test]
fn t23_one_task_set_for_all_sessions() {
    let (lab, volume) = gated();
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    volume.hold();
    let older = write(&mut two, SIMPLE, 1);
    volume.wait_for(1);
    let ordered = write(&mut one, ORDERED, 2);
    one.ping();
    let younger = read(&mut two, SIMPLE, 3);
    two.ping();
    one.ping();
    assert_eq!(volume.seen(), [1]);
    volume.step();
    assert_eq!(two.finish(&older, &[]).status, 0);
    volume.wait_for(1);
    two.ping();
    assert_eq!(volume.seen(), [1, 2], "first the ordered one");
    volume.release();
    assert_eq!(one.finish(&ordered, &[]).status, 0);
    assert_eq!(two.finish(&younger, &[]).status, 0);
    assert_eq!(volume.seen(), [1, 2, 3]);
}

#[test]
fn t23_who_waits_for_a_session_that_ends_or_a_task_that_is_aborted_goes_on() {
    let (lab, volume) = gated();
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    volume.hold();
    write(&mut two, SIMPLE, 1);
    volume.wait_for(1);
    let ordered = write(&mut one, ORDERED, 2);
    let younger = read(&mut one, SIMPLE, 3);
    one.ping();
    assert_eq!(volume.seen(), [1]);
    assert!(two.log_out());
    volume.wait_for(2);
    assert_eq!(volume.seen(), [1, 2]);
    one.send_tmf(1, Some(&ordered));
    assert_eq!(one.tmf_response(), 0);
    volume.wait_for(3);
    volume.release();
    assert_eq!(one.finish(&younger, &[]).status, 0);
    assert_eq!(read_again(&mut one), 0);
}

fn read_again(peer: &mut Initiator) -> u8 {
    let command = read(peer, SIMPLE, 9);
    peer.finish(&command, &[]).status
}

#[test]
fn t23_an_ordered_command_that_ends_at_once_and_one_to_no_logical_unit_leave_nothing_behind() {
    let (lab, _volume) = gated();
    let mut peer = lab.ready(A, 1);
    for attribute in [ORDERED, HEAD_OF_QUEUE] {
        let ready = peer.command(&[0; 6], 0, 0);
        let ready = ScsiCommand { attribute, ..ready };
        peer.send(&ready, &[]);
        assert_eq!(peer.finish(&ready, &[]).status, 0);
        let nowhere = ScsiCommand { lun: 9 << 48, ..peer.command(&[0; 6], 0, 0) };
        let nowhere = ScsiCommand { attribute, ..nowhere };
        peer.send(&nowhere, &[]);
        assert_eq!(peer.finish(&nowhere, &[]).sense_codes(), (5, 0x25, 0));
    }
    assert_eq!(read_again(&mut peer), 0);
}

/// A lab in which nobody has others wait for data for long.
fn impatient() -> Lab {
    let data_timeout = Duration::from_millis(1);
    let options = Options { shards: 2, data_timeout, ..Options::default() };
    let lab = Lab::with(options, "127.0.0.1:0");
    lab.open(A);
    lab
}

/// Sends a write without its data, and waits until it is asked for that.
fn withhold(peer: &mut Initiator, attribute: u8, lba: u32) -> (ScsiCommand, R2t) {
    let command = peer.command(&rw10(0x2a, lba, 512), 0, 512);
    let command = ScsiCommand { attribute, ..command };
    peer.send(&command, &[]);
    let (bhs, _) = peer.receive().unwrap();
    assert_eq!(Opcode::of(&bhs), Some(Opcode::R2t));
    (command, R2t::parse(&bhs).unwrap())
}

/// Sends the data that was withheld; the sense codes of the answer.
fn too_late(peer: &mut Initiator, (command, r2t): &(ScsiCommand, R2t)) -> (u8, u8, u8) {
    peer.send_data(command, r2t, &pattern(512, 1));
    peer.finish(command, &[]).sense_codes()
}

const RESPONSE_TIMEOUT: (u8, u8, u8) = (0x0b, 0x4b, 0x06);

#[test]
fn t23_who_does_not_send_its_data_has_others_wait_for_a_while_only() {
    let lab = impatient();
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    for attribute in [ORDERED, HEAD_OF_QUEUE] {
        let withheld = withhold(&mut one, attribute, 1);
        assert_eq!(read_again(&mut two), 0, "behind attribute {attribute}");
        assert_eq!(too_late(&mut one, &withheld), RESPONSE_TIMEOUT);
    }
    assert!(two.read_blocks(1, 512) == [0; 512], "nothing of it is written");
    // A SIMPLE one, which an ORDERED one of its own and one of another session wait for.
    for other in [true, false] {
        let withheld = withhold(&mut one, SIMPLE, 1);
        let peer = if other { &mut two } else { &mut one };
        let ordered = read(peer, ORDERED, 2);
        assert_eq!(peer.finish(&ordered, &[]).status, 0);
        assert_eq!(too_late(&mut one, &withheld), RESPONSE_TIMEOUT);
    }
    assert_eq!(read_again(&mut one), 0);
}

#[test]
fn t23_whom_nobody_waits_for_may_take_its_time() {
    let lab = impatient();
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    let (command, r2t) = withhold(&mut one, SIMPLE, 1);
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(20) {
        one.ping();
        assert_eq!(read_again(&mut two), 0);
    }
    one.send_data(&command, &r2t, &pattern(512, 1));
    assert_eq!(one.finish(&command, &[]).status, 0);
}

#[test]
fn t23_aca_is_refused() {
    let (lab, _volume) = gated();
    let mut peer = lab.ready(A, 1);
    let command = read(&mut peer, 4, 0);
    assert_eq!(peer.finish(&command, &[]).sense_codes().0, 5, "ILLEGAL REQUEST");
}
