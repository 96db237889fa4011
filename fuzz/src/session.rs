//! A whole session: a login, then whatever comes, against two logical units in memory.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use stirrup::backend::memory::MemoryVolume;
use stirrup::block::{
    Buffer, Completion as BlockCompletion, CompletionQueue, Done, Request, Volume,
};
use stirrup::iscsi::login::{
    self, ENTROPY_BYTES, Established, Grant, LOGIN_SEGMENT_BYTES_MAX, Login, Names, Policy,
    Refusal, Reply,
};
use stirrup::iscsi::pdu::frame::Lengths;
use stirrup::iscsi::pdu::{Bhs, LoginRequest, Opcode, Pdu, RESERVED_TAG};
use stirrup::iscsi::session::{
    Completion, Dest, Event, Limits, OutPdu, Payload, Session, TaskId, Transferred,
};
use stirrup::scsi::{
    Admission, Command, DataIn, Device, LogicalUnitSpec, Nexus, NexusSpec, Ops, Outcome, Prepared,
    Status, Step, TaskAttribute, Transfer, UnitId,
};

const VOLUME_BYTES: u64 = 1 << 20;
/// Commands beyond this one are answered with TASK SET FULL: the fuzzer's memory is not endless.
const DATA_BYTES_MAX: u64 = 1 << 20;

struct Anyone;

impl Policy for Anyone {
    fn authorize(&self, _: &Names) -> Result<Grant, Refusal> {
        Ok(Grant { target_portal_group_tag: 1, ..Grant::default() })
    }
}

/// Runs one input: a byte that says how lazy the target is, then PDUs. Returns how many PDUs the
/// target sent after the login.
pub fn run(bytes: &[u8]) -> usize {
    let Some((choice, mut rest)) = bytes.split_first() else { return 0 };
    let limits = login::Limits { command_window: 8, ..login::Limits::default() };
    let Some(established) = log_in(&mut rest, limits.clone()) else { return 0 };
    let mut target = Target::new(established, limits, usize::from(choice % 8));
    while let Some((bhs, after)) = rest.split_first_chunk::<48>() {
        let lengths = Lengths::of(bhs, false, false);
        let (ahs, after) = after.split_at(lengths.ahs.min(after.len()));
        let (data, after) = after.split_at(lengths.data.min(after.len()));
        rest = &after[lengths.padding.min(after.len())..];
        if ahs.len() < lengths.ahs || data.len() < lengths.data {
            break;
        }
        // A digest that is wrong now and then.
        let digest_ok = choice & 0x80 == 0 || bhs[7] != 0x5a;
        target.receive(bhs, ahs, data, digest_ok);
        if target.session.is_closing() {
            break;
        }
    }
    target.end()
}

fn log_in(rest: &mut &[u8], limits: login::Limits) -> Option<Established> {
    let mut login = Login::new(limits, [0x5a; ENTROPY_BYTES]);
    loop {
        let (bhs, after) = rest.split_first_chunk::<48>()?;
        let lengths = Lengths::of(bhs, false, false);
        let (data, after) = after.split_at(lengths.data.min(after.len()));
        *rest = &after[lengths.padding.min(after.len())..];
        let request = LoginRequest::parse(bhs).ok()?;
        if Opcode::of(bhs) != Some(Opcode::LoginRequest) || data.len() > LOGIN_SEGMENT_BYTES_MAX {
            return None;
        }
        match login.handle(&request, data, &Anyone) {
            Reply::Respond(..) => {}
            Reply::Fail(_) => return None,
            Reply::Complete(complete) => return Some(complete.accept(1).2),
        }
    }
}

/// What the target keeps of a task.
#[derive(Default)]
struct Record {
    prepared: Option<Prepared>,
    data: Vec<u8>,
    wanted: usize,
}

/// A target of one session, and what is checked of it.
struct Target {
    session: Session<Arc<Vec<u8>>>,
    device: Device,
    nexus: Arc<Nexus>,
    volumes: [MemoryVolume; 2],
    records: HashMap<TaskId, Record>,
    /// Commands that are executed, and answered later.
    lazy: Vec<(TaskId, Completion<Arc<Vec<u8>>>)>,
    lazy_max: usize,
    sent: usize,
    stat_sn: Option<u32>,
    max_cmd_sn: Option<u32>,
}

impl Target {
    fn new(established: Established, limits: login::Limits, lazy_max: usize) -> Self {
        let volumes = [(); 2].map(|()| MemoryVolume::new(VOLUME_BYTES, false));
        let units = volumes.iter().zip([(1, 512), (2, 4096)]).map(|(volume, (number, block))| {
            LogicalUnitSpec {
                id: UnitId(u64::from(number)),
                number,
                identity: format!("fuzz{number}"),
                block_bytes: block,
                read_only: false,
                info: volume.info(),
                saved_state: volume.saved_state(),
            }
        });
        let device = Device::new("iqn.2026-01.example:fuzz", units.collect());
        let nexus = device.attach(NexusSpec {
            initiator_name: "iqn.i".into(),
            initiator_port: "iqn.i,i,0x000000000001".into(),
            target_port: 1,
            target_ports: vec![1, 2],
            protocol_level: 2,
        });
        let session = Session::new(established, Limits::default(), limits);
        Self {
            session,
            device,
            nexus,
            volumes,
            records: HashMap::new(),
            lazy: Vec::new(),
            lazy_max,
            sent: 0,
            stat_sn: None,
            max_cmd_sn: None,
        }
    }

    fn receive(&mut self, bhs: &Bhs, ahs: &[u8], data: &[u8], digest_ok: bool) {
        let mut collected = Vec::new();
        match self.session.header(bhs, ahs) {
            Dest::Nothing | Dest::Discard => {}
            Dest::Collect => collected = data.to_vec(),
            Dest::Task(id, offset) => {
                let command = self.session.command(id).expect("data goes to a task that is there");
                let end = offset as usize + data.len();
                assert!(end <= command.expected_length as usize, "data beyond the transfer");
                let kept = &mut self.records.entry(id).or_default().data;
                if end as u64 <= DATA_BYTES_MAX {
                    kept.resize(kept.len().max(end), 0);
                    kept[end - data.len()..end].copy_from_slice(data);
                }
            }
        }
        self.session.data(collected, digest_ok);
        self.turn();
    }

    fn turn(&mut self) {
        while let Some(event) = self.session.next_event() {
            match event {
                Event::Command(id) => self.admit(id),
                Event::Ready(id) => self.start(id),
                Event::Dropped(id) => {
                    self.lazy.retain(|(lazy, _)| *lazy != id);
                    self.records.remove(&id);
                }
                Event::Management { itt, .. } => self.session.management_done(itt, 0),
                Event::SendTargets(_) => {
                    let targets =
                        [("iqn.2026-01.example:fuzz".into(), vec!["[::1]:3260,1".into()])];
                    self.session.send_targets(&targets);
                }
                Event::Close(..) | Event::Cleared { .. } => {}
            }
        }
        while self.lazy.len() > self.lazy_max {
            let (id, completion) = self.lazy.remove(0);
            self.session.complete(id, completion);
        }
        while let Some(pdu) = self.session.next_pdu() {
            self.check(&pdu);
        }
    }

    fn admit(&mut self, id: TaskId) {
        let Some(command) = self.session.command(id) else { return };
        // Without the W bit no data comes, whatever the CDB means.
        let data_out_bytes = if command.write { command.expected_length.into() } else { 0 };
        let scsi = Command {
            lun: command.lun,
            cdb: &command.cdb,
            attribute: TaskAttribute::Simple,
            data_out_bytes,
        };
        match self.device.admit(&self.nexus, &scsi) {
            Admission::Done(outcome) => self.finish(id, outcome),
            Admission::Run(prepared) => {
                let out = match prepared.transfer() {
                    Transfer::Out { bytes } => bytes.min(data_out_bytes),
                    _ => 0,
                };
                if out > DATA_BYTES_MAX {
                    return self.finish(id, Outcome::status(Status::TaskSetFull));
                }
                let wanted = usize::try_from(out).expect("bounded");
                let record = self.records.entry(id).or_default();
                (record.prepared, record.wanted) = (Some(prepared), wanted);
                if self.session.admitted(id, out) {
                    self.start(id);
                }
            }
        }
    }

    fn start(&mut self, id: TaskId) {
        let record = self.records.get_mut(&id).expect("it was admitted");
        let (prepared, wanted) = (record.prepared.take().expect("once"), record.wanted);
        assert!(record.data.len() >= wanted, "executed before its data was there");
        let data = (wanted > 0).then(|| Buffer::from_slice(&record.data[..wanted]));
        let mut ops = Ops::new();
        let outcome = match prepared.start(data, &mut ops) {
            Step::Done(outcome) => outcome,
            Step::Wait(task) => self.run_task(id, task, ops),
        };
        self.finish(id, outcome);
    }

    fn run_task(&self, id: TaskId, mut task: stirrup::scsi::Task, mut ops: Ops) -> Outcome {
        static QUEUE: OnceLock<Arc<CompletionQueue>> = OnceLock::new();
        let queue = QUEUE.get_or_init(Arc::default);
        let lun = self.session.command(id).map_or(0, |command| command.lun >> 48 & 0xff);
        let volume = &self.volumes[usize::from(lun == 2)];
        let mut done = Vec::new();
        loop {
            if let Some(mut work) = ops.take_background() {
                let mut ended = false;
                while !ended {
                    let own: Vec<_> = work.ops().drain_own().collect();
                    let mut requests = own.into_iter().map(|op| Request { tag: 0, op }).collect();
                    let mut erased = Vec::new();
                    volume.submit(&mut requests, &mut erased, queue);
                    ended = erased.into_iter().any(|completion| work.resume(completion.result));
                }
                done.push(BlockCompletion { tag: 0, result: Ok(Done::Unit) });
            }
            let mut requests: Vec<_> = ops.drain_own().map(|op| Request { tag: 0, op }).collect();
            for (unit, op) in ops.drain_others() {
                let other = &self.volumes[usize::from(unit.0 == 2)];
                other.submit(&mut vec![Request { tag: 0, op }], &mut done, queue);
            }
            volume.submit(&mut requests, &mut done, queue);
            let completion = done.pop().expect("something is outstanding while a task waits");
            if let Some(outcome) = task.resume(completion.result, &mut ops) {
                return outcome;
            }
        }
    }

    fn finish(&mut self, id: TaskId, outcome: Outcome) {
        let record = self.records.remove(&id).unwrap_or_default();
        let transferred = match outcome.data_in {
            DataIn::Bytes(bytes) => {
                Transferred::In { len: bytes.len() as u64, data: Arc::new(bytes) }
            }
            DataIn::Buffer(buffer) => {
                Transferred::In { len: buffer.len() as u64, data: Arc::new(buffer.to_vec()) }
            }
            DataIn::None if record.wanted > 0 => Transferred::Out(record.wanted as u64),
            DataIn::None => Transferred::Nothing,
        };
        let sense = outcome.sense.map(|sense| sense.encode()).unwrap_or_default();
        let status = outcome.status as u8;
        self.lazy.push((id, Completion { status, qualifier: 0, sense, transferred }));
    }

    /// A legal PDU, and counters that only go on.
    fn check(&mut self, pdu: &OutPdu<Arc<Vec<u8>>>) {
        self.sent += 1;
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| pdu.bhs[at + i]));
        let opcode = Opcode::of(&pdu.bhs).expect("a legal opcode");
        let len = match &pdu.data {
            Payload::None => 0,
            Payload::Bytes(bytes) => bytes.len(),
            Payload::Part { data, offset, len } => {
                assert!(*offset as usize + *len as usize <= data.len(), "data that is not there");
                *len as usize
            }
        };
        assert_eq!(Lengths::of(&pdu.bhs, false, false).data, len);
        let limit = self.session.params().initiator_max_recv_data_segment_length;
        // Rejects and sense data are shorter than the least limit.
        assert!(len <= limit as usize, "{opcode:?} longer than the initiator takes");
        let counts = match opcode {
            Opcode::R2t => false,
            Opcode::DataIn => pdu.bhs[1] & 1 != 0,
            Opcode::NopIn => word(16) != RESERVED_TAG,
            _ => true,
        };
        if counts {
            assert!(self.stat_sn.is_none_or(|last| word(24) == last.wrapping_add(1)), "StatSN");
            self.stat_sn = Some(word(24));
        }
        let advance = self.max_cmd_sn.map_or(0, |last| word(32).wrapping_sub(last));
        assert!(advance < 1 << 31, "MaxCmdSN went back");
        self.max_cmd_sn = Some(word(32));
        let open = word(32).wrapping_sub(word(28)).wrapping_add(1);
        assert!(open <= 8, "a window of {open}");
    }

    /// An end leaves nothing behind.
    fn end(mut self) -> usize {
        self.session.abort(None);
        self.lazy_max = 0;
        self.turn();
        self.turn();
        assert!(self.session.is_idle(), "tasks are left");
        self.sent
    }
}
