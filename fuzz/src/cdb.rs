//! SCSI commands on one nexus, one after the other, on two volumes in memory.

use std::sync::{Arc, OnceLock};

use stirrup::backend::memory::MemoryVolume;
use stirrup::block::{Buffer, Completion, CompletionQueue, Done, Op, Request, Volume};
use stirrup::scsi::{
    Admission, Background, Command, DataIn, Device, LogicalUnitSpec, NexusSpec, Ops, Outcome,
    Status, Step, Task, TaskAttribute, Transfer, UnitId,
};

/// Size of the volume: small, so that random addresses hit it and its end.
const VOLUME_BYTES: u64 = 1 << 20;

/// Operations of one command: many enough for the largest parameter list.
const OPS_MAX: usize = 1 << 17;

/// Runs one input: a byte that chooses the logical unit, then commands of
/// `LUN, attribute, CDB length, CDB, data length (2 bytes), data`.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let choice = input.byte();
    let volumes = [choice & 1 != 0, false].map(|ro| MemoryVolume::new(VOLUME_BYTES, ro));
    let unit = |id: u16, block_bytes, read_only| LogicalUnitSpec {
        id: UnitId(id.into()),
        number: id + 1,
        identity: format!("fuzz{id}"),
        block_bytes,
        read_only,
        info: volumes[usize::from(id)].info(),
        saved_state: volumes[usize::from(id)].saved_state(),
    };
    let block_bytes = if choice & 2 == 0 { 512 } else { 4096 };
    let units = vec![unit(0, block_bytes, choice & 4 != 0), unit(1, 512, false)];
    let device = Device::new("iqn.2026-01.example:fuzz", units);
    let nexus = device.attach(NexusSpec {
        initiator_name: "iqn.i".into(),
        initiator_port: "iqn.i,i,0x000000000001".into(),
        target_port: 1,
        target_ports: vec![1, 2],
        protocol_level: 2,
    });
    while !input.0.is_empty() {
        let lun = u64::from(input.byte()) << 48;
        let attribute = match input.byte() % 4 {
            0 => TaskAttribute::Simple,
            1 => TaskAttribute::Ordered,
            2 => TaskAttribute::HeadOfQueue,
            _ => TaskAttribute::Aca,
        };
        let cdb_bytes = usize::from(input.byte());
        let cdb = input.take(cdb_bytes);
        let data_bytes = usize::from(input.byte()) << 8 | usize::from(input.byte());
        let data = input.take(data_bytes);
        let command = Command { lun, cdb, attribute, data_out_bytes: data.len() as u64 };
        let outcome = match device.admit(&nexus, &command) {
            Admission::Done(outcome) => outcome,
            Admission::Run(prepared) => {
                let held = prepared.memory_bytes();
                assert!(held <= 32 << 20, "a command that holds {held} bytes");
                let data_out = match prepared.transfer() {
                    Transfer::Out { bytes } => {
                        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(data.len());
                        Some(Buffer::from_slice(&data[..bytes]))
                    }
                    Transfer::In { .. } | Transfer::None => None,
                };
                let (unit, mut ops) = (prepared.unit(), Ops::new());
                match prepared.start(data_out, &mut ops) {
                    Step::Done(outcome) => outcome,
                    Step::Wait(task) => finish(&volumes, unit, task, ops),
                }
            }
        };
        check(&outcome);
    }
    device.detach(&nexus);
}

/// What the operations of one step come to.
fn submit(volumes: &[MemoryVolume; 2], own: UnitId, ops: &mut Ops, done: &mut Vec<Completion>) {
    static QUEUE: OnceLock<Arc<CompletionQueue>> = OnceLock::new();
    let queue = QUEUE.get_or_init(Arc::default);
    let mut all: Vec<_> = ops.drain_own().map(|op| (own, op)).collect();
    all.extend(ops.drain_others());
    for (unit, op) in all {
        check_op(&op);
        let volume = usize::try_from(unit.0).ok().and_then(|at| volumes.get(at));
        let volume = volume.expect("an operation is for a unit of the device");
        volume.submit(&mut vec![Request { tag: 0, op }], done, queue);
    }
}

/// Drives the operations of a task to its end; what it leaves to the background, too.
fn finish(volumes: &[MemoryVolume; 2], own: UnitId, mut task: Task, mut ops: Ops) -> Outcome {
    let mut submitted = 0;
    let mut done = Vec::new();
    loop {
        if let Some(work) = ops.take_background() {
            assert!(ops.is_empty() && done.is_empty(), "it has nothing else to wait for");
            go_on(volumes, *work);
            done.push(Completion { tag: 0, result: Ok(Done::Unit) });
        }
        let before = done.len();
        submit(volumes, own, &mut ops, &mut done);
        submitted += done.len() - before;
        assert!(submitted < OPS_MAX, "a command without end");
        let completion = done.pop().expect("something is outstanding while a task waits");
        if let Some(outcome) = task.resume(completion.result, &mut ops) {
            assert!(done.is_empty() && ops.is_empty(), "a task ended with operations outstanding");
            return outcome;
        }
    }
}

fn go_on(volumes: &[MemoryVolume; 2], mut work: Background) {
    for _ in 0..OPS_MAX {
        let mut done = Vec::new();
        let unit = work.unit();
        submit(volumes, unit, work.ops(), &mut done);
        assert_eq!(done.len(), 1, "one operation at a time");
        if done.into_iter().any(|completion| work.resume(completion.result)) {
            assert!(work.ops().is_empty(), "it ended with operations outstanding");
            return;
        }
    }
    panic!("work without end");
}

/// The volume's rules: never empty, never beyond its end.
fn check_op(op: &Op) {
    let (offset, len) = match op {
        Op::Read { offset, buf }
        | Op::Write { offset, buf, .. }
        | Op::WriteAtomic { offset, buf, .. } => (*offset, buf.len() as u64),
        Op::CompareAndWrite { offset, compare, write } => {
            assert_eq!(compare.len(), write.len());
            (*offset, write.len() as u64)
        }
        Op::Discard { offset, len }
        | Op::WriteZeroes { offset, len, .. }
        | Op::Extents { offset, len, .. } => (*offset, *len),
        Op::WriteSame { offset, len, pattern } => {
            assert!(len.is_multiple_of(pattern.len() as u64));
            (*offset, *len)
        }
        Op::Flush | Op::SaveState(_) => return,
    };
    assert!(len > 0 && offset.checked_add(len).is_some_and(|end| end <= VOLUME_BYTES), "{op:?}");
}

fn check(outcome: &Outcome) {
    assert_eq!(outcome.sense.is_some(), outcome.status == Status::CheckCondition);
    if let Some(sense) = &outcome.sense {
        assert!((8..=252).contains(&sense.encode().len()));
    }
    if let DataIn::Buffer(buffer) = &outcome.data_in {
        assert!(buffer.len() as u64 <= VOLUME_BYTES);
    }
}

/// What is left of the input; zeros after its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
