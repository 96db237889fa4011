//! Micro-benchmarks of a SCSI command on its way from the CDB to the volume and back, without
//! iSCSI and sockets. `cargo bench --bench commands`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use stirrup::backend::memory::MemoryVolume;
use stirrup::block::{Buffer, CompletionQueue, Request, Volume};
use stirrup::scsi::{
    Admission, Command, Device, LogicalUnitSpec, Nexus, NexusSpec, Ops, Outcome, Step,
    TaskAttribute, Transfer, UnitId,
};

const TEST_UNIT_READY: [u8; 16] = [0; 16];
const INQUIRY: [u8; 16] = [0x12, 0, 0, 0, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// READ(10) and WRITE(10) of 8 blocks at block 64.
const READ: [u8; 16] = [0x28, 0, 0, 0, 0, 64, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0];
const WRITE: [u8; 16] = [0x2a, 0, 0, 0, 0, 64, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0];

/// A device with one memory LUN, and an initiator that has heard what it was to hear.
struct Bench {
    volume: MemoryVolume,
    device: Device,
    nexus: Arc<Nexus>,
    queue: Arc<CompletionQueue>,
}

impl Bench {
    fn new() -> Self {
        let volume = MemoryVolume::new(8 << 20, false);
        let unit = LogicalUnitSpec {
            id: UnitId(0),
            number: 0,
            identity: "bench".to_owned(),
            block_bytes: 512,
            read_only: false,
            info: volume.info(),
            saved_state: volume.saved_state(),
        };
        let device = Device::new("iqn.2026-11.bench:t", vec![unit]);
        let nexus = device.attach(NexusSpec {
            initiator_name: "iqn.2026-11.bench:i".to_owned(),
            initiator_port: "iqn.2026-11.bench:i,i,0x00023d000001".to_owned(),
            target_port: 1,
            target_ports: vec![1],
            protocol_level: 2,
        });
        let bench = Self { volume, device, nexus, queue: Arc::new(CompletionQueue::new()) };
        bench.run(&TEST_UNIT_READY, None);
        bench
    }

    fn admit(&self, cdb: &[u8], data_out_bytes: u64) -> Admission {
        let attribute = TaskAttribute::Simple;
        self.device.admit(&self.nexus, &Command { lun: 0, cdb, attribute, data_out_bytes })
    }

    /// A whole command.
    fn run(&self, cdb: &[u8], data: Option<Buffer>) -> Outcome {
        let bytes = data.as_ref().map_or(0, |data| data.len() as u64);
        let prepared = match self.admit(cdb, bytes) {
            Admission::Done(outcome) => return outcome,
            Admission::Run(prepared) => prepared,
        };
        assert!(matches!(prepared.transfer(), Transfer::Out { .. }) == data.is_some());
        let mut ops = Ops::new();
        let mut task = match prepared.start(data, &mut ops) {
            Step::Done(outcome) => return outcome,
            Step::Wait(task) => task,
        };
        let mut requests: Vec<_> = ops.drain_own().map(|op| Request { tag: 0, op }).collect();
        let mut done = Vec::new();
        self.volume.submit(&mut requests, &mut done, &self.queue);
        task.resume(done.pop().unwrap().result, &mut ops).unwrap()
    }
}

fn commands(c: &mut Criterion) {
    let bench = Bench::new();
    c.bench_function("SCSI: TEST UNIT READY", |b| {
        b.iter(|| bench.run(black_box(&TEST_UNIT_READY), None));
    });
    c.bench_function("SCSI: INQUIRY", |b| b.iter(|| bench.run(black_box(&INQUIRY), None)));
    c.bench_function("SCSI: a READ(10) decoded and checked", |b| {
        b.iter(|| bench.admit(black_box(&READ), 0));
    });
    c.bench_function("SCSI: a READ(10) of 4 KiB from memory", |b| {
        b.iter(|| bench.run(black_box(&READ), None));
    });
    c.bench_function("SCSI: a WRITE(10) of 4 KiB to memory", |b| {
        b.iter(|| bench.run(black_box(&WRITE), Some(Buffer::zeroed(4096))));
    });
}

criterion_group!(benches, commands);
criterion_main!(benches);
