//! A device with volumes in memory, and initiators that send commands to it.

use std::sync::Arc;

use crate::backend::memory::MemoryVolume;
use crate::block::{
    Buffer, Completion, CompletionQueue, Done, Error, ErrorKind, Op, Request, SavedState, Volume,
    VolumeInfo,
};
use crate::scsi::{
    Admission, Asc, Background, Command, DataIn, Device, LogicalUnitSpec, Nexus, NexusSpec, Ops,
    Outcome, Preempted, Prepared, Sense, SenseKey, Status, Step, Task, TaskAttribute, Transfer,
    UnitId,
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
    /// What goes on after its command.
    background: std::cell::RefCell<Vec<Background>>,
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
    NexusSpec {
        initiator_name,
        initiator_port,
        target_port: 1,
        target_ports: vec![1],
        protocol_level: 2,
    }
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
        let (fault, ops_seen, background) = Default::default();
        Self { device, block_bytes, volumes, fault, ops_seen, background }
    }

    /// The power is lost and comes back: the volume is what is left.
    pub(super) fn restart(&mut self) {
        let mut spec = spec(self.volumes[0].info(), self.block_bytes);
        spec.saved_state = self.volumes[0].saved_state();
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

    /// The same, to whom the logical unit then says this.
    pub(super) fn host_after(&self, number: u8, sense: (SenseKey, Asc)) -> Host<'_> {
        let host = self.host(number);
        assert_eq!(host.fails(&[0; 6], &[]), sense);
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

    /// Work in the background waits for [`Self::go_on`], and so does a command that waits for it.
    fn take_background(&self, ops: &mut Ops, done: &mut Vec<Completion>) {
        if let Some(work) = ops.take_background() {
            if work.is_immediate() {
                done.push(Completion { tag: 0, result: Ok(Done::Unit) });
            }
            self.background.borrow_mut().push(*work);
        }
    }

    /// Drives the work in the background to its end, or until so many operations have ended.
    /// True if it has.
    pub(super) fn go_on(&self, ops_max: usize) -> bool {
        let mut all = self.background.borrow_mut();
        let work = all.last_mut().expect("there is some");
        let (mut done, own) = (Vec::new(), work.unit());
        for _ in 0..ops_max {
            self.submit(own, work.ops(), &mut done);
            if work.resume(done.remove(0).result) {
                assert!(work.ops().is_empty() && done.is_empty());
                all.pop();
                return true;
            }
        }
        false
    }

    /// The first byte of a block, whatever the logical unit says.
    pub(super) fn peek(&self, lba: u64) -> u8 {
        let op = Op::Read { offset: lba * 512, buf: Buffer::unfilled(512) };
        let (mut done, mut requests) = (Vec::new(), vec![Request { tag: 0, op }]);
        self.volumes[0].submit(&mut requests, &mut done, &Arc::new(CompletionQueue::new()));
        let Ok(Done::Data(data)) = done.remove(0).result else { panic!("no data") };
        data.to_vec()[0]
    }

    /// Drives whatever goes on in the background to its end.
    pub(super) fn settle(&self) {
        while !self.background.borrow().is_empty() {
            self.go_on(usize::MAX);
        }
    }

    /// Nobody drives the work in the background any more.
    pub(super) fn stop(&self) {
        self.background.borrow_mut().clear();
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
        match self.begin(cdb, data) {
            Ok((task, ops)) => self.end(task, ops),
            Err(answer) => answer,
        }
    }

    /// A command up to its first operations; the answer if there are none.
    pub(super) fn begin(&self, cdb: &[u8], data: &[u8]) -> Result<(Task, Ops), Answer> {
        let begun = self.begin_on(cdb, data).map_err(Answer::of)?;
        Ok((begun.2, begun.1))
    }

    /// The rest of a command.
    pub(super) fn end(&self, task: Task, ops: Ops) -> Answer {
        let Ok(answer) = self.go_on(task, ops, usize::MAX) else { panic!("it does not end") };
        answer
    }

    /// Admits and starts a command: the logical unit and what it asks for, if it goes on.
    fn begin_on(&self, cdb: &[u8], data: &[u8]) -> Result<(UnitId, Ops, Task), Outcome> {
        let command = Command {
            lun: self.lun,
            cdb,
            attribute: TaskAttribute::Simple,
            data_out_bytes: data.len() as u64,
        };
        let prepared = match self.bench.device.admit(&self.nexus, &command) {
            Admission::Done(outcome) => return Err(outcome),
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
            Step::Done(outcome) => Err(outcome),
            Step::Wait(task) => Ok((unit, ops, task)),
        }
    }

    /// A command that is admitted, if it has not ended with that.
    pub(super) fn prepared(&self, cdb: &[u8]) -> Option<Prepared> {
        let attribute = TaskAttribute::Simple;
        let command = Command { lun: self.lun, cdb, attribute, data_out_bytes: 1 << 20 };
        match self.bench.device.admit(&self.nexus, &command) {
            Admission::Run(prepared) => Some(prepared),
            Admission::Done(_) => None,
        }
    }

    /// Bytes that the session must hold for a command.
    pub(super) fn memory(&self, cdb: &[u8]) -> Option<u64> {
        self.prepared(cdb).map(|prepared| prepared.memory_bytes())
    }

    /// The operations that a command asks for at once.
    pub(super) fn first_ops(&self, cdb: &[u8], data: &[u8]) -> Vec<Op> {
        self.begin_on(cdb, data)
            .map_or_else(|_| Vec::new(), |(_, mut ops, _)| ops.drain_own().collect())
    }

    /// Runs a command until it ends, or gives back what there is of it after so many operations.
    pub(super) fn run_until(
        &self,
        cdb: &[u8],
        data: &[u8],
        ops_max: usize,
    ) -> Result<Answer, Task> {
        match self.begin(cdb, data) {
            Ok((task, ops)) => self.go_on(task, ops, ops_max),
            Err(answer) => Ok(answer),
        }
    }

    fn go_on(&self, mut task: Task, mut ops: Ops, ops_max: usize) -> Result<Answer, Task> {
        let unit = UnitId(self.lun >> 48 & 0x3fff);
        let mut done = Vec::new();
        self.bench.take_background(&mut ops, &mut done);
        for _ in 0..ops_max {
            self.bench.submit(unit, &mut ops, &mut done);
            if done.is_empty() && self.bench.go_on(ops_max) {
                done.push(Completion { tag: 0, result: Ok(Done::Unit) });
            }
            assert!(!done.is_empty(), "the task waits for nothing");
            let result: Result<Done, Error> = done.remove(0).result;
            if let Some(outcome) = task.resume(result, &mut ops) {
                if let Some(sense) = &outcome.sense {
                    self.bench.device.failed(&self.nexus, unit, sense);
                }
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
pub(super) const BAD_OPCODE: (SenseKey, Asc) = (ILLEGAL, Asc::INVALID_OPCODE);
pub(super) const BAD_UNIT: (SenseKey, Asc) = (ILLEGAL, Asc::INVALID_FIELD_IN_INFORMATION_UNIT);
