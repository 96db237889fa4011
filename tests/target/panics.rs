//! A defect of the program ends the session that it shows in, and leaves nothing of it behind.

use std::sync::Arc;
use std::time::Instant;

use super::initiator::{HANG, rw10};
use super::*;
use stirrup::block::{Completion, CompletionQueue, Op, Request, SavedState, VolumeInfo};

/// Looking at this block is what nobody has thought of.
const DEFECT: u32 = 6666;

/// A volume that panics.
struct Defective(Arc<Gated>);

impl Volume for Defective {
    fn info(&self) -> VolumeInfo {
        self.0.info()
    }

    fn saved_state(&self) -> SavedState {
        self.0.saved_state()
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        let has_defect = |request: &Request| matches!(request.op, Op::Read { offset, .. } if offset == u64::from(DEFECT) * 512);
        assert!(!requests.iter().any(has_defect), "planted by a test");
        self.0.submit(requests, done, queue);
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < HANG, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_panic_ends_its_session_and_leaves_nothing_behind() {
    const ORDERED: u8 = 2;
    const HEAD_OF_QUEUE: u8 = 3;
    let lab = Lab::new();
    let gated = Gated::new(64 * MIB);
    let volume = Arc::new(Defective(gated.clone()));
    lab.publish(A, Some(volume.clone()), Access::default());
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    assert_eq!(one.run(&[0x16, 0, 0, 0, 0, 0], 0, &[]).status, 0, "RESERVE(6)");
    gated.hold();
    // A ghost that is there already, and a write that will be one.
    let aborted = one.send_write(0, &pattern(4096, 1));
    gated.wait_for(1);
    one.send_tmf(1, Some(&aborted));
    assert_eq!(one.tmf_response(), 0);
    one.send_write(8, &pattern(4096, 2));
    gated.wait_for(2);
    gated.let_others_pass();
    // A place in the task set, with commands of both sessions behind it.
    let ordered = one.command(&rw10(0x2a, 16, 4096), 0, 4096);
    one.send(&ScsiCommand { attribute: ORDERED, ..ordered }, &pattern(4096, 3));
    one.send_read(24, 512);
    one.ping();
    let behind = two.send_read(32, 512);
    two.ping();

    let defect = one.command(&rw10(0x28, DEFECT, 512), 512, 0);
    one.send(&ScsiCommand { attribute: HEAD_OF_QUEUE, ..defect }, &[]);
    assert!(one.is_closed());
    until("the session is gone from the registry", || lab.handle.sessions().len() == 1);
    assert!(matches!(two.finish(&behind, &[]).status, 0 | 0x18), "its turn has come");
    assert_eq!(two.run(&[0x16, 0, 0, 0, 0, 0], 0, &[]).status, 0, "the reservation is free");
    // Both writes are fenced: what touches them waits.
    let over = two.send_write(0, &pattern(8192, 4));
    two.ping();
    assert_eq!((gated.waiting(), gated.seen().contains(&16)), (2, false));
    gated.release();
    assert_eq!(two.finish(&over, &[]).status, 0);
    assert!(two.read_blocks(0, 8192) == pattern(8192, 4));
    assert_eq!(two.run(&[0x17, 0, 0, 0, 0, 0], 0, &[]).status, 0, "RELEASE(6)");

    // Who had the bad luck may come again; the same defect is for it alone.
    for _ in 0..10 {
        let mut again = lab.ready(A, 1);
        let defect = again.send_read(DEFECT, 512);
        assert_ne!(defect.itt, 0);
        assert!(again.is_closed());
    }
    assert!(two.read_blocks(0, 8192) == pattern(8192, 4));
    let gone = async { tokio::time::timeout(HANG, lab.handle.withdraw(A)).await };
    assert!(lab.runtime.block_on(gone).unwrap());
    drop(two);
    until("the volume is let go", || Arc::strong_count(&volume) == 1);
}
