//! Disks that are erased while sessions come and go.

use std::future::Future;
use std::task::Poll;

use super::*;
use crate::support::gated::Gated;
use stirrup::iscsi::pdu::R2t;

const SANITIZING: (u8, u8, u8) = (2, 0x04, 0x1b);
/// SANITIZE, BLOCK ERASE; with IMMED.
const ERASE: [u8; 10] = [0x48, 0x02, 0, 0, 0, 0, 0, 0, 0, 0];
const ERASE_IMMED: [u8; 10] = [0x48, 0x82, 0, 0, 0, 0, 0, 0, 0, 0];

/// A disk of two steps of 256 MiB, with something on it.
fn lab() -> (Lab, Arc<Gated>) {
    let lab = Lab::new();
    let volume = Gated::new(512 * MIB);
    lab.publish(A, Some(volume.clone()), Access::default());
    (lab, volume)
}

fn until_ready(peer: &mut Initiator) {
    while peer.run(&[0; 6], 0, &[]).status != 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_disk_is_erased_whoever_stays() {
    let (lab, volume) = lab();
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    one.write_blocks(0, &pattern(4096, 1));
    volume.hold();
    assert_eq!(one.run(&ERASE_IMMED, 0, &[]).status, 0, "at once");
    volume.wait_for(1);
    assert_eq!(two.run(&[0; 6], 0, &[]).sense_codes(), SANITIZING);
    assert_eq!(one.run(&rw10(0x28, 0, 512), 512, &[]).sense_codes(), SANITIZING);
    drop(one);
    let mut again = lab.log_in(A, &Wishes::default()).unwrap();
    assert_eq!(again.run(&[0; 6], 0, &[]).sense_codes().0, 6, "power on");
    assert_eq!(again.run(&[0; 6], 0, &[]).sense_codes(), SANITIZING);
    volume.release();
    until_ready(&mut again);
    assert!(two.read_blocks(0, 4096) == [0; 4096]);
}

#[test]
fn a_command_that_waits_for_it_is_answered_at_its_end() {
    let (lab, _) = lab();
    let mut peer = lab.ready(A, 1);
    peer.write_blocks(8, &pattern(4096, 2));
    assert_eq!(peer.run(&ERASE, 0, &[]).status, 0);
    assert!(peer.read_blocks(8, 4096) == [0; 4096], "no sooner");
    peer.write_blocks(8, &pattern(4096, 2));
    // FORMAT UNIT.
    assert_eq!(peer.run(&[0x04, 0, 0, 0, 0, 0], 0, &[]).status, 0);
    assert!(peer.read_blocks(8, 4096) == [0; 4096]);
}

#[test]
fn a_target_that_is_withdrawn_waits_for_the_step_under_way() {
    let (lab, volume) = lab();
    let mut peer = lab.ready(A, 1);
    volume.hold();
    assert_eq!(peer.run(&ERASE_IMMED, 0, &[]).status, 0);
    volume.wait_for(1);
    let gone = lab.runtime.spawn({
        let handle = lab.handle.clone();
        async move { handle.withdraw(A).await }
    });
    assert!(peer.is_closed());
    assert!(!gone.is_finished(), "an operation is still on its way");
    volume.release();
    let gone = lab.runtime.block_on(async { tokio::time::timeout(HANG, gone).await });
    assert!(gone.unwrap().unwrap());
}

#[test]
fn withdrawing_it_again_waits_as_well() {
    let (lab, volume) = lab();
    let mut peer = lab.ready(A, 1);
    volume.hold();
    assert_eq!(peer.run(&ERASE_IMMED, 0, &[]).status, 0);
    volume.wait_for(1);
    lab.runtime.block_on(async {
        lab.handle.disconnect(A).await;
        let mut calls = [(); 2].map(|()| Box::pin(lab.handle.withdraw(A)));
        for call in &mut calls {
            let ended = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
            assert!(ended.is_pending(), "an operation is still on its way");
        }
        volume.release();
        let [first, second] = calls;
        let both = async { (first.await, second.await) };
        assert_eq!(tokio::time::timeout(HANG, both).await, Ok((true, false)));
    });
}

#[test]
fn a_copy_goes_from_one_disk_of_a_target_to_another() {
    let lab = Lab::new();
    let volumes = [(); 2].map(|()| Arc::new(MemoryVolume::new(64 * MIB, false)));
    let luns = volumes.iter().zip(1..).map(|(volume, number)| Lun {
        number,
        volume: Some(volume.clone()),
        identity: format!("copy {number}"),
        block_bytes: 512,
        read_only: false,
        limits: stirrup::block::Limits::default(),
    });
    let luns = luns.collect();
    lab.handle.publish(TargetSpec { name: A.into(), luns, access: Access::default() });
    let mut peer = lab.ready(A, 1);
    peer.write_blocks(100, &pattern(1 << 20, 3));
    let (cdb, list) = copy(&mut peer);
    assert_eq!(peer.at(1 << 48).run(&cdb, 0, &list).status, 0);
    assert!(peer.at(2 << 48).read_blocks(7, 1 << 20) == pattern(1 << 20, 3));
}

#[test]
fn a_reset_of_the_disk_that_is_copied_to_ends_the_copy() {
    let lab = Lab::new();
    let (from, to) = (Arc::new(MemoryVolume::new(64 * MIB, false)), Gated::new(64 * MIB));
    let luns = vec![lun(1, Some(from)), lun(2, Some(to.clone()))];
    lab.handle.publish(TargetSpec { name: A.into(), luns, access: Access::default() });
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    one.write_blocks(100, &pattern(1 << 20, 3));
    let (cdb, list) = copy(&mut one);
    two.at(2 << 48).get_ready();
    to.hold();
    let copying = one.at(1 << 48).command(&cdb, 0, list.len() as u32);
    one.send(&copying, &list);
    to.wait_for(1);
    two.send_tmf(5, None);
    assert_eq!(two.tmf_response(), 0);
    assert_eq!(one.finish(&copying, &[]).sense_codes(), (0xa, 0x0d, 1), "COPY ABORTED");
    assert_eq!(two.run(&[0; 6], 0, &[]).sense_codes(), (6, 0x29, 3));
    let write = two.send_write(7, &pattern(512, 1));
    two.ping();
    assert_eq!(to.waiting(), 1, "what it has left in the store is waited for");
    to.release();
    assert_eq!(two.finish(&write, &[]).status, 0);
    assert!(two.read_blocks(7, 512) == pattern(512, 1));
}

/// EXTENDED COPY of 1 MiB from one logical unit to the other.
fn copy(peer: &mut Initiator) -> ([u8; 16], Vec<u8>) {
    let targets = [target(peer, 1), target(peer, 2)].concat();
    let mut segment = vec![0x02, 0, 0, 0x18, 0, 0, 0, 1, 0, 0, 0x08, 0];
    segment.extend([100_u64, 7].map(u64::to_be_bytes).concat());
    let list =
        [&[1, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0][..], &targets, &segment].concat();
    let mut cdb = [0; 16];
    (cdb[0], cdb[13]) = (0x83, list.len() as u8);
    (cdb, list)
}

/// A target descriptor for a logical unit, by its NAA designator.
fn target(peer: &mut Initiator, lun: u64) -> Vec<u8> {
    peer.at(lun << 48).get_ready();
    let page = peer.run(&[0x12, 1, 0x83, 0, 255, 0], 255, &[]).data;
    let name = &page[4..8 + usize::from(page[7])];
    assert_eq!(name[..2], [1, 3], "binary, NAA");
    let mut descriptor = [&[0xe4, 0, 0, 0], name].concat();
    descriptor.resize(30, 0);
    descriptor.extend([2, 0]); // blocks of 512 bytes
    descriptor
}

#[test]
fn writes_under_way_are_on_the_disk_before_it_is_erased() {
    let (lab, volume) = lab();
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    volume.hold();
    let write = one.command(&rw10(0x2a, 0, 4096), 0, 4096);
    one.send(&write, &pattern(4096, 1));
    volume.wait_for(1);
    let erase = two.command(&ERASE_IMMED, 0, 0);
    two.send(&erase, &[]);
    two.ping();
    assert_eq!(volume.waiting(), 1, "the write alone");
    volume.release();
    assert_eq!(one.finish(&write, &[]).status, 0);
    assert_eq!(two.finish(&erase, &[]).status, 0);
    until_ready(&mut two);
    assert!(two.read_blocks(0, 4096) == [0; 4096]);
}

/// SANITIZE, OVERWRITE, one pass, with IMMED; its parameter list has one byte of pattern.
const OVERWRITE_IMMED: [u8; 10] = [0x48, 0x81, 0, 0, 0, 0, 0, 0, 5, 0];
const OVERWRITE_LIST: [u8; 5] = [1, 0, 0, 1, 0xa5];

#[test]
fn not_even_the_head_of_the_queue_gets_between_an_erasing_and_its_parameter_list() {
    const HEAD_OF_QUEUE: u8 = 3;
    let lab = Lab::new();
    let volume = Gated::new(MIB);
    lab.publish(A, Some(volume.clone()), Access::default());
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    let urgent = |peer: &mut Initiator, lba| {
        let command = peer.command(&rw10(0x2a, lba, 512), 0, 512);
        let command = ScsiCommand { attribute: HEAD_OF_QUEUE, ..command };
        peer.send(&command, &pattern(512, 1));
        command
    };
    volume.hold();
    let older = one.send_write(0, &pattern(512, 1));
    volume.wait_for(1);
    let erase = one.command(&OVERWRITE_IMMED, 0, 5);
    one.send(&erase, &[]);
    one.ping();
    // It has not begun: the head of the queue comes before it.
    let before = urgent(&mut two, 1);
    volume.wait_for(2);
    volume.release();
    assert_eq!(one.finish(&older, &[]).status, 0);
    assert_eq!(two.finish(&before, &[]).status, 0);
    let (bhs, _) = one.receive().unwrap();
    let r2t = R2t::parse(&bhs).unwrap();
    // It has begun, and waits for its list.
    volume.hold();
    let beside = urgent(&mut two, 2);
    two.ping();
    assert_eq!(volume.waiting(), 0, "no write is on its way to what is about to be erased");
    one.send_data(&erase, &r2t, &OVERWRITE_LIST);
    assert_eq!(one.finish(&erase, &[]).status, 0);
    assert_eq!(two.finish(&beside, &[]).sense_codes(), SANITIZING);
    volume.release();
    until_ready(&mut two);
    assert!(two.read_blocks(0, 2048) == [0xa5; 2048]);
}

#[test]
fn what_has_waited_for_an_erasing_goes_on_when_that_is_refused_or_aborted() {
    const HEAD_OF_QUEUE: u8 = 3;
    let lab = Lab::new();
    lab.open(A);
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    for refused in [true, false] {
        let erase = one.command(&OVERWRITE_IMMED, 0, 5);
        one.send(&erase, &[]);
        let (bhs, _) = one.receive().unwrap();
        let r2t = R2t::parse(&bhs).unwrap();
        let command = two.command(&rw10(0x2a, 2, 512), 0, 512);
        let write = ScsiCommand { attribute: HEAD_OF_QUEUE, ..command };
        two.send(&write, &pattern(512, 1));
        two.ping();
        if refused {
            one.send_data(&erase, &r2t, &[0; 5]);
            assert_eq!(one.finish(&erase, &[]).sense_codes().0, 5, "no passes");
        } else {
            one.send_tmf(1, Some(&erase));
            assert_eq!(one.tmf_response(), 0);
        }
        assert_eq!(two.finish(&write, &[]).status, 0);
    }
}

#[test]
fn an_abort_ends_the_waiting_for_it_and_not_the_erasing() {
    let (lab, volume) = lab();
    let mut peer = lab.ready(A, 1);
    peer.write_blocks(0, &pattern(4096, 1));
    volume.hold();
    let erase = peer.command(&ERASE, 0, 0);
    peer.send(&erase, &[]);
    volume.wait_for(1);
    for function in [1, 2, 5] {
        peer.send_tmf(function, (function == 1).then_some(&erase));
        assert_eq!(peer.tmf_response(), 0, "function {function}");
    }
    assert_eq!(peer.run(&[0; 6], 0, &[]).sense_codes(), (6, 0x29, 3));
    assert_eq!(peer.run(&[0; 6], 0, &[]).sense_codes(), SANITIZING);
    volume.release();
    until_ready(&mut peer);
    assert!(peer.read_blocks(0, 4096) == [0; 4096]);
}

#[test]
fn a_session_that_waits_for_it_can_be_closed_and_does_not_stay() {
    let (lab, volume) = lab();
    let mut peer = lab.ready(A, 1);
    volume.hold();
    let erase = peer.command(&ERASE, 0, 0);
    peer.send(&erase, &[]);
    volume.wait_for(1);
    lab.runtime
        .block_on(async { tokio::time::timeout(HANG, lab.handle.disconnect(A)).await })
        .expect("the session is over, and the erasing is not");
    assert!(peer.is_closed() && volume.waiting() == 1);
    volume.release();
    let mut again = lab.log_in(A, &Wishes::default()).unwrap();
    until_ready(&mut again);
}
