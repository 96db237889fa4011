//! Disks that may be asked for so much: what goes beyond waits, and only that.

use std::sync::Arc;
use std::time::Duration;

use super::initiator::{Wishes, rw10};
use super::{A, B, Lab, MIB, lun, pattern};
use stirrup::backend::memory::MemoryVolume;
use stirrup::block::{Limits, Rates, Volume};
use stirrup::target::{Access, Lun, Options, TargetSpec};

const ABORT_TASK: u8 = 1;
const LOGICAL_UNIT_RESET: u8 = 5;

/// One byte a second: what comes after the first read waits for an hour and more.
fn nearly_nothing() -> Limits {
    let total = Rates { operations: None, bytes: Some(1) };
    Limits { total, burst: Duration::from_secs(1), ..Limits::default() }
}

/// A target on one shard, as slow as that, and another one that is not.
fn lab() -> (Lab, impl Fn(&Lab, Limits)) {
    let lab = Lab::with(Options { shards: 1, ..Options::default() }, "127.0.0.1:0");
    let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(64 * MIB, false));
    let publish = move |lab: &Lab, limits| {
        let luns = vec![Lun { limits, ..lun(1, Some(Arc::clone(&volume))) }];
        lab.handle.publish(TargetSpec { name: A.into(), luns, access: Access::default() });
    };
    publish(&lab, Limits::default());
    lab.open(B);
    (lab, publish)
}

#[test]
fn what_waits_holds_up_nobody_and_can_be_aborted() {
    let (lab, limit) = lab();
    let (mut one, mut other) = (lab.ready(A, 1), lab.ready(B, 1));
    limit(&lab, nearly_nothing());
    assert_eq!(one.write_blocks(0, &pattern(4096, 1)).status, 0, "the first one passes");
    let read = one.command(&rw10(0x28, 0, 4096), 4096, 0);
    one.send(&read, &[]);
    let write = one.send_write(0, &pattern(4096, 2));
    one.ping();
    // Another disk of the same shard goes on, and so does what asks the disk for nothing.
    for i in 0..100 {
        assert_eq!(other.write_blocks(i * 8, &pattern(4096, 3)).status, 0);
    }
    let ready = one.command(&[0; 6], 0, 0);
    one.send(&ready, &[]);
    assert_eq!(one.finish(&ready, &[]).status, 0);
    for waiting in [&read, &write] {
        one.send_tmf(ABORT_TASK, Some(waiting));
        assert_eq!(one.tmf_response(), 0, "it is there, and has ended");
    }
    // What waited has left nothing behind: neither a ghost nor its data.
    limit(&lab, Limits::default());
    assert!(one.read_blocks(0, 4096) == pattern(4096, 1));
}

#[test]
fn a_reset_and_the_end_of_a_session_take_along_what_waits() {
    let (lab, limit) = lab();
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    limit(&lab, nearly_nothing());
    assert_eq!(one.write_blocks(0, &pattern(4096, 1)).status, 0);
    let write = one.send_write(0, &pattern(4096, 2));
    one.ping();
    one.send_tmf(LOGICAL_UNIT_RESET, Some(&write));
    assert_eq!(one.tmf_response(), 0);
    two.get_ready();
    two.send_write(0, &pattern(4096, 3));
    two.ping();
    assert!(two.log_out());
    one.get_ready();
    one.send_write(0, &pattern(4096, 4));
    one.ping();
    // Would hang if what waits had to be waited for.
    assert!(lab.runtime.block_on(lab.handle.withdraw(A)));
    limit(&lab, Limits::default());
    let mut again = lab.ready(A, 1);
    assert!(again.read_blocks(0, 4096) == pattern(4096, 1));
}

#[test]
fn limits_change_under_a_session() {
    let (lab, limit) = lab();
    let mut peer = lab.ready(A, 1);
    for _ in 0..3 {
        limit(&lab, nearly_nothing());
        assert_eq!(peer.write_blocks(24, &pattern(4096, 1)).status, 0, "the first one passes");
        let commands = [0, 8, 16].map(|lba| peer.send_write(lba, &pattern(4096, 1)));
        peer.ping();
        limit(&lab, Limits::default());
        for command in &commands {
            assert_eq!(peer.finish(command, &[]).status, 0);
        }
    }
    let shown = lab.handle.sessions();
    assert!(shown.iter().any(|session| session.write_commands >= 9), "one session, all along");
}

#[test]
fn who_is_being_seen_out_is_not_followed_in() {
    let lab = Lab::new();
    let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(MIB, false));
    let publish = |paused| {
        let access = Access { paused, ..Access::default() };
        lab.publish(A, Some(Arc::clone(&volume)), access);
    };
    publish(true);
    assert_eq!(lab.log_in(A, &Wishes::default()).err(), Some(0x0301), "try again");
    publish(false);
    let mut peer = lab.ready(A, 1);
    publish(true);
    peer.ping();
}
