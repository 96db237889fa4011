//! LUNs that come and go, and volumes that grow, while sessions run.

use crate::support::gated::Gated;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use stirrup::backend::memory::MemoryVolume;
use stirrup::block::{Completion, CompletionQueue, Request, Volume, VolumeInfo};
use stirrup::iscsi::pdu::{AsyncMessage, Opcode, Pdu, R2t, ScsiResponse};
use stirrup::target::{Access, Lun, TargetSpec};

use super::initiator::{HANG, Initiator, rw10};
use super::{A, Lab, MIB, lun, pattern};

const TUR: [u8; 6] = [0; 6];
const LUN_1: u64 = 1 << 48;
const LUN_2: u64 = 2 << 48;
/// LUN 300, in flat space addressing.
const LUN_300: u64 = 0x412c << 48;
const POWER_ON: (u8, u8, u8) = (6, 0x29, 0);
const LUNS_CHANGED: (u8, u8, u8) = (6, 0x3f, 0x0e);
const NO_SUCH_LUN: (u8, u8, u8) = (5, 0x25, 0);

fn publish(lab: &Lab, luns: Vec<Lun>) {
    lab.handle.publish(TargetSpec { name: A.into(), luns, access: Access::default() });
}

fn memory() -> Arc<dyn Volume> {
    Arc::new(MemoryVolume::new(MIB, false))
}

/// Takes the asynchronous message that the LUNs have changed.
fn hear_of_the_change(peer: &mut Initiator) {
    let (bhs, segment) = peer.receive().expect("the session goes on");
    assert_eq!(Opcode::of(&bhs), Some(Opcode::AsyncMessage));
    let message = AsyncMessage::parse(&bhs).unwrap();
    assert_eq!((message.event, message.lun), (0, LUN_1));
    assert_eq!((segment[..2].to_vec(), segment[2], segment[4]), (vec![0, 18], 0x70, 6));
    assert_eq!(segment[14..16], [0x3f, 0x0e]);
}

fn fails(peer: &mut Initiator) -> (u8, u8, u8) {
    peer.run(&TUR, 0, &[]).sense_codes()
}

#[test]
fn luns_are_added_and_taken_away_under_a_running_session() {
    let lab = Lab::new();
    let (one, other) = (memory(), memory());
    publish(&lab, vec![lun(1, Some(Arc::clone(&one)))]);
    let mut peer = lab.ready(A, 1);
    peer.ping();
    let id = lab.handle.sessions()[0].id;
    peer.write_blocks(0, &pattern(512, 1));

    publish(&lab, vec![lun(1, Some(Arc::clone(&one))), lun(300, Some(other))]);
    hear_of_the_change(&mut peer);
    assert_eq!(fails(&mut peer), LUNS_CHANGED);
    assert!(peer.read_blocks(0, 512) == pattern(512, 1));
    peer.at(LUN_300);
    assert_eq!(fails(&mut peer), POWER_ON);
    assert_eq!(fails(&mut peer), LUNS_CHANGED);
    assert!(peer.read_blocks(0, 512) == vec![0; 512], "a disk of its own");
    assert_eq!(peer.write_blocks(0, &pattern(512, 2)).status, 0);

    publish(&lab, vec![lun(1, Some(one))]);
    hear_of_the_change(&mut peer);
    assert_eq!(fails(&mut peer), NO_SUCH_LUN);
    peer.at(LUN_1);
    assert_eq!(fails(&mut peer), LUNS_CHANGED);
    assert!(peer.read_blocks(0, 512) == pattern(512, 1));
    assert_eq!(lab.handle.sessions()[0].id, id, "it is the same session");
}

#[test]
fn commands_to_a_lun_that_is_taken_away_end_before_its_volume_is_let_go() {
    let lab = Lab::new();
    let (one, gated) = (memory(), Gated::new(MIB));
    let volume = Arc::clone(&gated) as Arc<dyn Volume>;
    publish(&lab, vec![lun(1, Some(Arc::clone(&one))), lun(2, Some(volume))]);
    let mut peer = lab.ready(A, 1);
    peer.ping();
    peer.at(LUN_2).get_ready();
    gated.hold();
    let running = peer.command(&rw10(0x2a, 0, 4096), 0, 4096);
    peer.send(&running, &pattern(4096, 1));
    gated.wait_for(1);
    // This one has not sent its data yet.
    let waiting = peer.command(&rw10(0x2a, 8, 4096), 0, 4096);
    peer.send(&waiting, &[]);
    let (bhs, _) = peer.receive().unwrap();
    let r2t = R2t::parse(&bhs).unwrap();

    publish(&lab, vec![lun(1, Some(one))]);
    hear_of_the_change(&mut peer);
    peer.send_data(&waiting, &r2t, &pattern(4096, 2));
    let (bhs, sense) = peer.receive().unwrap();
    let response = ScsiResponse::parse(&bhs).unwrap();
    assert_eq!((response.itt, response.status), (waiting.itt, 2));
    assert_eq!((sense[4] & 0x0f, sense[14], sense[15]), NO_SUCH_LUN);
    assert_eq!(fails(&mut peer), NO_SUCH_LUN, "nothing new goes there");
    assert_eq!(gated.waiting(), 1, "nothing of it has reached the volume");
    assert!(Arc::strong_count(&gated) > 1, "the first write is still on its way");
    gated.release();
    assert_eq!(peer.finish(&running, &[]).status, 0, "it is done, and says so");
    let begin = Instant::now();
    while Arc::strong_count(&gated) > 1 {
        assert!(begin.elapsed() < HANG, "the volume is never let go");
        std::thread::yield_now();
    }
}

#[test]
fn another_disk_under_the_number_of_an_old_one_is_for_new_sessions() {
    let lab = Lab::new();
    let gated = Gated::new(MIB);
    publish(&lab, vec![lun(1, Some(Arc::clone(&gated) as Arc<dyn Volume>))]);
    let mut peer = lab.ready(A, 1);
    gated.hold();
    let write = peer.command(&rw10(0x2a, 0, 4096), 0, 4096);
    peer.send(&write, &pattern(4096, 1));
    gated.wait_for(1);
    let new = memory();
    publish(&lab, vec![lun(1, Some(Arc::clone(&new)))]);
    assert!(peer.is_closed());
    gated.release();
    let mut peer = lab.ready(A, 1);
    peer.ping();
    assert!(peer.read_blocks(0, 4096) == vec![0; 4096], "the old write is not on the new disk");
    // Taken away and put back with another disk, in two steps.
    publish(&lab, vec![]);
    publish(&lab, vec![lun(1, Some(memory()))]);
    for _ in 0..2 {
        let (bhs, _) = peer.receive().unwrap();
        assert_eq!(Opcode::of(&bhs), Some(Opcode::AsyncMessage));
    }
    assert_eq!(fails(&mut peer), POWER_ON, "a unit that it has not seen before");
    assert_eq!(fails(&mut peer), LUNS_CHANGED);
    assert!(peer.read_blocks(0, 4096) == vec![0; 4096]);
}

/// A volume that grows.
struct Growing {
    memory: MemoryVolume,
    size_bytes: AtomicU64,
}

impl Volume for Growing {
    fn info(&self) -> VolumeInfo {
        VolumeInfo { size_bytes: self.size_bytes.load(Ordering::SeqCst), ..self.memory.info() }
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        self.memory.submit(requests, done, queue);
    }
}

#[test]
fn every_session_hears_of_a_volume_that_has_grown() {
    let lab = Lab::new();
    let volume = Arc::new(Growing {
        memory: MemoryVolume::new(4 * MIB, false),
        size_bytes: AtomicU64::new(MIB),
    });
    publish(&lab, vec![lun(1, Some(Arc::clone(&volume) as Arc<dyn Volume>))]);
    let mut peers = [lab.ready(A, 1), lab.ready(A, 2)];
    volume.size_bytes.store(2 * MIB, Ordering::SeqCst);
    let refresh = |name| lab.runtime.block_on(lab.handle.refresh(name));
    assert!(refresh(A) && !refresh("iqn.2026-11.test:none"));
    for peer in &mut peers {
        assert_eq!(fails(peer), (6, 0x2a, 9));
        let capacity = peer.run(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8, &[]).data;
        assert_eq!(capacity[..4], 4095u32.to_be_bytes());
        assert_eq!(peer.write_blocks(4095, &pattern(512, 1)).status, 0);
    }
    // Nobody says anything: the target finds out by itself.
    volume.size_bytes.store(4 * MIB, Ordering::SeqCst);
    let begin = Instant::now();
    while peers[0].run(&TUR, 0, &[]).status == 0 {
        assert!(begin.elapsed() < HANG, "the target never looks");
    }
    assert_eq!(fails(&mut peers[1]), (6, 0x2a, 9));
}
