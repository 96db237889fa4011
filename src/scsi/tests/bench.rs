//! A device with volumes in memory, and initiators that send commands to it.

use std::sync::Arc;

use crate::backend::memory::MemoryVolume;
use crate::block::{
    Buffer, Completion, CompletionQueue, Done, Error, ErrorKind, Request, SavedState, Volume,
    VolumeInfo,
};
use crate::scsi::{
    Admission, Asc, Command, DataIn, Device, LogicalUnitSpec, Nexus, NexusSpec, Ops, Outcome,
    Preempted, Sense, SenseKey, Status, Step, Task, TaskAttribute, Transfer, UnitId,
};

pub(super) const BLOCK: usize = 512;
pub(super) const BLOCKS: u64 = 8 << 11;
pub(super) const TARGET: &str = "iqn.2025-01.example:disk";

pub(super) struct Bench {
    pub(super) device: Device,
    pub(super) block_bytes: u32,
    /// By the number of the logical unit.
    volumes: Vec<MemoryVolume>,
    /// The operation with this number (from 0, over all commands) fails.
    pub(super) fault: std::cell::Cell<Option<(usize, ErrorKind)>>,
    ops_seen: std::cell::Cell<usize>,
}

/// An initiator without unit attentions waiting.
pub(super) struct Host<'a> {
    bench: &'a Bench,
    pub(super) nexus: Arc<Nexus>,
    lun: u64,
}

pub(super) fn spec(info: VolumeInfo, block_bytes: u32) -> LogicalUnitSpec {
    LogicalUnitSpec {
        id: UnitId(0),
        number: 0,
        identity: "store/image-0001".to_owned(),
        block_bytes,
        read_only: false,
        info,
        saved_state: SavedState::Unsupported,
    }
}

pub(super) fn nexus_spec(number: u8) -> NexusSpec {
    let initiator_name = format!("iqn.2025-01.example:host{number}");
    let initiator_port = format!("{initiator_name},i,0x00023d00000{number}");
    NexusSpec { initiator_name, initiator_port, target_port: 1 }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(512, |_| ())
    }

    pub(super) fn with(block_bytes: u32, change: impl FnOnce(&mut LogicalUnitSpec)) -> Self {
        let volume = MemoryVolume::new(BLOCKS * 512, false);
        let mut spec = spec(volume.info(), block_bytes);
        spec.saved_state = volume.saved_state();
        change(&mut spec);
        Self::over(vec![volume], vec![spec])
    }

    /// Logical units 0 and 1 of 8 MiB each, with these block lengths.
    pub(super) fn pair(block_bytes: [u32; 2]) -> Self {
        let volumes: Vec<_> = (0..2).map(|_| MemoryVolume::new(BLOCKS * 512, false)).collect();
        let specs = volumes.iter().zip(block_bytes).zip(0..);
        let specs = specs.map(|((volume, block_bytes), number)| LogicalUnitSpec {
            number,
            id: UnitId(number.into()),
            identity: format!("store/image-000{}", number + 1),
            ..spec(volume.info(), block_bytes)
        });
        let specs = specs.collect();
        Self::over(volumes, specs)
    }

    fn over(volumes: Vec<MemoryVolume>, specs: Vec<LogicalUnitSpec>) -> Self {
        let block_bytes = specs[0].block_bytes;
        let device = Device::new(TARGET, specs);
        let (fault, ops_seen) = Default::default();
        Self { device, block_bytes, volumes, fault, ops_seen }
    }

    /// The power is lost and comes back: the volume is what is left.
    pub(super) fn restart(&mut self) {
        let mut spec = spec(self.info(), self.block_bytes);
        spec.saved_state = self.saved_state();
        self.device = Device::new(TARGET, vec![spec]);
    }

    pub(super) fn saved_state(&self) -> SavedState {
        self.volumes[0].saved_state()
    }

    pub(super) fn info(&self) -> VolumeInfo {
        self.volumes[0].info()
    }

    /// An initiator that has heard that it is new.
    pub(super) fn host(&self, number: u8) -> Host<'_> {
        let host = self.stranger(number);
        let first = host.run(&[0; 6], &[]).asc();
        assert_eq!(first.0 >> 8, Asc::POWER_ON_OR_RESET.0 >> 8);
        host
    }

    /// An initiator that has just logged in.
    pub(super) fn stranger(&self, number: u8) -> Host<'_> {
        self.of(self.device.attach(nexus_spec(number)))
    }

    pub(super) fn of(&self, nexus: Arc<Nexus>) -> Host<'_> {
        Host { bench: self, nexus, lun: 0 }
    }

    /// What the operations of one command come to, one completion after the other.
    fn submit(&self, own: UnitId, ops: &mut Ops, done: &mut Vec<Completion>) {
        let queue = Arc::new(CompletionQueue::new());
        let mut all: Vec<_> = ops.drain_own().map(|op| (own, op)).collect();
        all.extend(ops.drain_others());
        for (unit, op) in all {
            let number = self.ops_seen.replace(self.ops_seen.get() + 1);
            match self.fault.get() {
                Some((at, kind)) if at == number => {
                    done.push(Completion { tag: 0, result: Err(kind.into()) });
                }
                _ => self.volumes[usize::try_from(unit.0).unwrap()].submit(
                    &mut vec![Request { tag: 0, op }],
                    done,
                    &queue,
                ),
            }
        }
    }

    /// The next operation fails.
    pub(super) fn fail_next(&self, kind: ErrorKind) {
        self.fail_after(0, kind);
    }

    /// The operation after `count` more fails.
    pub(super) fn fail_after(&self, count: usize, kind: ErrorKind) {
        self.fault.set(Some((self.ops_seen.get() + count, kind)));
    }
}

/// The LUN field of a small number.
pub(super) fn lun(number: u8) -> u64 {
    u64::from(number) << 48
}

impl<'a> Host<'a> {
    /// The same initiator, addressing another LUN field.
    pub(super) fn at_lun(&self, lun: u64) -> Host<'a> {
        Host { bench: self.bench, nexus: Arc::clone(&self.nexus), lun }
    }

    pub(super) fn run(&self, cdb: &[u8], data: &[u8]) -> Answer {
        let Ok(answer) = self.run_until(cdb, data, usize::MAX) else { panic!("it does not end") };
        answer
    }

    /// Runs a command until it ends, or gives back what there is of it after so many operations.
    pub(super) fn run_until(
        &self,
        cdb: &[u8],
        data: &[u8],
        ops_max: usize,
    ) -> Result<Answer, Task> {
        match self.begin(cdb, data) {
            Ok(begun) => self.end(begun, ops_max),
            Err(answer) => Ok(answer),
        }
    }

    /// A command up to its first operations; the answer if there are none.
    pub(super) fn begin(&self, cdb: &[u8], data: &[u8]) -> Result<Begun, Answer> {
        let command = Command {
            lun: self.lun,
            cdb,
            attribute: TaskAttribute::Simple,
            data_out_bytes: data.len() as u64,
        };
        let prepared = match self.bench.device.admit(&self.nexus, &command) {
            Admission::Done(outcome) => return Err(Answer::of(outcome)),
            Admission::Run(prepared) => prepared,
        };
        let data_out = match prepared.transfer() {
            Transfer::Out { bytes } => {
                let len = data.len().min(usize::try_from(bytes).unwrap());
                Some(Buffer::from_slice(&data[..len]))
            }
            Transfer::None | Transfer::In { .. } => None,
        };
        let unit = prepared.unit();
        let mut ops = Ops::new();
        match prepared.start(data_out, &mut ops) {
            Step::Done(outcome) => Err(Answer::of(outcome)),
            Step::Wait(task) => Ok(Begun { unit, task, ops }),
        }
    }

    /// The rest of a command, or what there is of it after so many operations.
    pub(super) fn end(&self, begun: Begun, ops_max: usize) -> Result<Answer, Task> {
        let Begun { unit, mut task, mut ops } = begun;
        let mut done = Vec::new();
        for _ in 0..ops_max {
            self.bench.submit(unit, &mut ops, &mut done);
            assert!(!done.is_empty(), "the task waits for nothing");
            let result: Result<Done, Error> = done.remove(0).result;
            if let Some(outcome) = task.resume(result, &mut ops) {
                assert!(ops.is_empty() && done.is_empty(), "something is outstanding at the end");
                return Ok(Answer::of(outcome));
            }
        }
        Err(task)
    }

    /// The data of a command that must succeed.
    pub(super) fn get(&self, cdb: &[u8]) -> Vec<u8> {
        self.run(cdb, &[]).good()
    }

    /// A command that must succeed.
    pub(super) fn put(&self, cdb: &[u8], data: &[u8]) {
        self.run(cdb, data).good();
    }

    /// Sense key and additional sense code of a command that must end with CHECK CONDITION.
    pub(super) fn fails(&self, cdb: &[u8], data: &[u8]) -> (SenseKey, Asc) {
        let answer = self.run(cdb, data);
        assert_eq!(answer.status, Status::CheckCondition, "{:?}", answer.data);
        let sense = answer.sense.unwrap();
        (sense.key, sense.asc)
    }

    pub(super) fn status(&self, cdb: &[u8], data: &[u8]) -> Status {
        self.run(cdb, data).status
    }

    pub(super) fn read(&self, lba: u64, count: u32) -> Vec<u8> {
        self.get(&cdb16(0x88, 0, lba, count))
    }

    pub(super) fn write(&self, lba: u64, data: &[u8]) {
        let count = (data.len() / self.bench.block_bytes as usize) as u32;
        self.put(&cdb16(0x8a, 0, lba, count), data);
    }
}

/// A command whose operations have not been submitted.
pub(super) struct Begun {
    unit: UnitId,
    task: Task,
    ops: Ops,
}

/// An outcome, with the data as bytes.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: Status,
    pub(super) data: Vec<u8>,
    pub(super) sense: Option<Sense>,
    pub(super) preempted: Option<Preempted>,
}

impl Answer {
    fn of(outcome: Outcome) -> Self {
        assert_eq!(outcome.sense.is_some(), outcome.status == Status::CheckCondition);
        let data = match outcome.data_in {
            DataIn::None => Vec::new(),
            DataIn::Bytes(bytes) => bytes,
            DataIn::Buffer(buffer) => buffer.to_vec(),
        };
        let preempted = outcome.preempted.map(|preempted| *preempted);
        Self { status: outcome.status, data, sense: outcome.sense, preempted }
    }

    pub(super) fn good(self) -> Vec<u8> {
        assert_eq!(self.status, Status::Good, "{:?}", self.sense);
        self.data
    }

    pub(super) fn asc(&self) -> Asc {
        self.sense.map_or(Asc::NONE, |sense| sense.asc)
    }
}

pub(super) fn cdb10(opcode: u8, byte_1: u8, lba: u32, count: u16) -> [u8; 10] {
    let ([a, b, c, d], [e, f]) = (lba.to_be_bytes(), count.to_be_bytes());
    [opcode, byte_1, a, b, c, d, 0, e, f, 0]
}

pub(super) fn cdb12(opcode: u8, byte_1: u8, lba: u32, count: u32) -> [u8; 12] {
    let ([a, b, c, d], [e, f, g, h]) = (lba.to_be_bytes(), count.to_be_bytes());
    [opcode, byte_1, a, b, c, d, e, f, g, h, 0, 0]
}

pub(super) fn cdb16(opcode: u8, byte_1: u8, lba: u64, count: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = opcode;
    cdb[1] = byte_1;
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&count.to_be_bytes());
    cdb
}

pub(super) const ILLEGAL: SenseKey = SenseKey::IllegalRequest;
pub(super) const OUT_OF_RANGE: (SenseKey, Asc) = (ILLEGAL, Asc::LBA_OUT_OF_RANGE);
pub(super) const BAD_CDB: (SenseKey, Asc) = (ILLEGAL, Asc::INVALID_FIELD_IN_CDB);
pub(super) const BAD_LIST: (SenseKey, Asc) = (ILLEGAL, Asc::INVALID_FIELD_IN_PARAMETER_LIST);
pub(super) const BAD_LIST_LENGTH: (SenseKey, Asc) = (ILLEGAL, Asc::PARAMETER_LIST_LENGTH_ERROR);
pub(super) const BAD_UNIT: (SenseKey, Asc) = (ILLEGAL, Asc::INVALID_FIELD_IN_INFORMATION_UNIT);
