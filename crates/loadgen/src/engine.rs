//! Sessions under load, each on a thread or all on one: keep the queue full, send all that is due
//! with one system call, take all that came with another.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::RecvFlags;
use rustix::time::{ClockId, clock_gettime};

use crate::connection::{Connection, Params, SILENCE};
use crate::histogram::Histogram;
use crate::incoming::{Event, Incoming};
use crate::job::Job;
use crate::outgoing::Outgoing;
use crate::pattern;
use crate::pdu::{self, DataOut, Header, NO_TAG, Numbers, op};
use crate::trace::{Operation, Replay};

/// Bytes of sense data kept for the report of an error.
const MAX_SENSE: usize = 256;

/// Where operations come from.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// They are made up; each moves [`Plan::io_len`] bytes.
    Made(Job),
    /// They were recorded.
    Recorded(Replay),
}

/// What a session is to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) work: Work,
    pub(crate) queue_depth: u32,
    /// Bytes an operation moves, at most.
    pub(crate) io_len: usize,
    /// Bytes of the unit's logical block.
    pub(crate) block_len: u32,
    pub(crate) verify: bool,
    /// What the disk holds from its start on: what is read must be the same.
    pub(crate) image: Option<Arc<[u8]>>,
    /// Stop after so many operations.
    pub(crate) operations: u64,
    /// Stop after so long.
    pub(crate) duration: Duration,
}

/// What a session did.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) latency: Histogram,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) read_bytes: u64,
    pub(crate) errors: u64,
    /// The first thing that went wrong.
    pub(crate) first_error: Option<String>,
    /// This thread's CPU time.
    pub(crate) cpu: Duration,
}

impl Stats {
    /// Adds what another session did.
    pub(crate) fn add(&mut self, other: Self) {
        self.latency.merge(&other.latency);
        self.reads += other.reads;
        self.writes += other.writes;
        self.read_bytes += other.read_bytes;
        self.errors += other.errors;
        self.cpu += other.cpu;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// A task in flight.
#[derive(Debug, Clone)]
struct Slot {
    live: bool,
    reads: bool,
    /// Byte on the disk.
    position: u64,
    len: usize,
    received: usize,
    corrupt: bool,
    started: Instant,
}

/// A session under its plan.
struct Session {
    connection: Connection,
    incoming: Incoming,
    tasks: Tasks,
}

/// How far [`Session::send`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// All that is due.
    All,
    /// As much as the socket took.
    Part,
    /// There will be nothing more to send or to receive.
    Over,
}

impl Session {
    fn new(connection: Connection, plan: Plan) -> Self {
        let incoming = Incoming::new(connection.params);
        let tasks = Tasks::new(&connection, plan);
        Self { connection, incoming, tasks }
    }

    /// Starts what is due and sends it, without waiting.
    fn send(&mut self) -> Result<Sent> {
        let tasks = &mut self.tasks;
        tasks.refill();
        if tasks.in_flight() == 0 && tasks.out.is_empty() {
            ensure!(tasks.stopping, "the target keeps its command window closed");
            return Ok(Sent::Over);
        }
        let is_all = tasks.out.send(&self.connection.stream, &tasks.payloads)?;
        Ok(if is_all { Sent::All } else { Sent::Part })
    }

    /// Takes in what has come, all that one receive brings; false: nothing.
    fn receive(&mut self, flags: RecvFlags) -> Result<bool> {
        let (incoming, tasks) = (&mut self.incoming, &mut self.tasks);
        let len = match rustix::net::recv(&self.connection.stream, incoming.space(), flags) {
            Ok((0, _)) => bail!("the target closed the connection"),
            Ok((len, _)) => len,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        incoming.received(len);
        tasks.now = Instant::now();
        while let Some(event) = incoming.next()? {
            match event {
                Event::Header(header) => tasks.begin(header)?,
                Event::Data(offset, data) => tasks.data(offset, data),
                Event::End => tasks.end()?,
            }
        }
        Ok(true)
    }

    /// Logs out.
    fn end(self) -> Stats {
        let Numbers { cmd_sn, exp_stat_sn } = self.tasks.numbers;
        Connection { cmd_sn, exp_stat_sn, ..self.connection }.logout();
        self.tasks.stats
    }
}

/// Runs `plan` on a fresh session, which is logged out at its end.
pub(crate) fn run(connection: Connection, plan: Plan) -> Result<Stats> {
    let cpu_before = thread_cpu();
    let mut session = Session::new(connection, plan);
    loop {
        let sent = session.send()?;
        if sent == Sent::Over {
            break;
        }
        if sent == Sent::Part && !wait_readable_or_writable(&session.connection.stream)? {
            continue;
        }
        let began = Instant::now();
        if !session.receive(RecvFlags::empty())? && began.elapsed() >= SILENCE {
            bail!("no answer for {} s", SILENCE.as_secs());
        }
    }
    let cpu = thread_cpu().saturating_sub(cpu_before);
    Ok(Stats { cpu, ..session.end() })
}

/// Runs fresh sessions, each with its plan, on this thread: a client that costs as little as it can,
/// where it shares the machine with the target. What each did.
pub(crate) fn run_together(plans: Vec<(Connection, Plan)>) -> Result<Vec<Stats>> {
    let cpu_before = thread_cpu();
    let mut all = Vec::new();
    let mut live = Vec::new();
    for (connection, plan) in plans {
        let mut session = Session::new(connection, plan);
        let sent = session.send()?;
        live.push((session, sent));
    }
    loop {
        let over = live.extract_if(.., |(_, sent)| *sent == Sent::Over);
        all.extend(over.map(|(session, _): (Session, Sent)| session.end()));
        if live.is_empty() {
            break;
        }
        let mut fds = Vec::with_capacity(live.len());
        for (session, sent) in &live {
            let wanted = match sent {
                Sent::Part => PollFlags::IN | PollFlags::OUT,
                Sent::All | Sent::Over => PollFlags::IN,
            };
            fds.push(PollFd::new(&session.connection.stream, wanted));
        }
        let timeout = Timespec { tv_sec: SILENCE.as_secs() as i64, tv_nsec: 0 };
        ensure!(poll(&mut fds, Some(&timeout))? > 0, "no answer for {} s", SILENCE.as_secs());
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        for ((session, sent), ready) in live.iter_mut().zip(ready) {
            if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                session.receive(RecvFlags::DONTWAIT)?;
            }
            if !ready.is_empty() {
                *sent = session.send()?;
            }
        }
    }
    // It is all of them that took it.
    if let Some(first) = all.first_mut() {
        first.cpu = thread_cpu().saturating_sub(cpu_before);
    }
    Ok(all)
}

/// Waits for either direction; true if there is something to read.
fn wait_readable_or_writable(stream: &TcpStream) -> Result<bool> {
    let mut fds = [PollFd::new(stream, PollFlags::IN | PollFlags::OUT)];
    let timeout = Timespec { tv_sec: SILENCE.as_secs() as i64, tv_nsec: 0 };
    ensure!(poll(&mut fds, Some(&timeout))? > 0, "stuck for {} s", SILENCE.as_secs());
    Ok(fds[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR))
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// The tasks of a session and what they queue.
struct Tasks {
    params: Params,
    lun: [u8; 8],
    numbers: Numbers,
    max_cmd_sn: u32,
    plan: Plan,
    slots: Vec<Slot>,
    free: Vec<u32>,
    out: Outgoing,
    /// One for each slot in a verified run, else one for all.
    payloads: Vec<Vec<u8>>,
    /// The operation that is to be sent next, if it waits for others.
    next: Option<Operation>,
    issued: u64,
    deadline: Instant,
    stopping: bool,
    now: Instant,
    /// The PDU being received.
    header: Header,
    sense: Vec<u8>,
    stats: Stats,
}

impl Tasks {
    fn new(connection: &Connection, plan: Plan) -> Self {
        let now = Instant::now();
        let slot = Slot {
            live: false,
            reads: false,
            position: 0,
            len: 0,
            received: 0,
            corrupt: false,
            started: now,
        };
        let payload_count = if plan.verify { plan.queue_depth as usize } else { 1 };
        let mut payload = vec![0; plan.io_len];
        pattern::fill(&mut payload, 0);
        Self {
            params: connection.params,
            lun: connection.lun,
            numbers: connection.numbers(),
            max_cmd_sn: connection.max_cmd_sn,
            slots: vec![slot; plan.queue_depth as usize],
            free: (0..plan.queue_depth).rev().collect(),
            out: Outgoing::new(connection.params),
            payloads: vec![payload; payload_count],
            next: None,
            issued: 0,
            deadline: now + plan.duration,
            stopping: false,
            now,
            header: Header([0; pdu::BHS_LEN]),
            sense: Vec::new(),
            stats: Stats::default(),
            plan,
        }
    }

    fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Starts as many tasks as the queue, the window and the plan allow.
    fn refill(&mut self) {
        self.stopping |= self.now >= self.deadline || self.issued >= self.plan.operations;
        while !self.stopping && pdu::serial_le(self.numbers.cmd_sn, self.max_cmd_sn) {
            let Some(operation) = self.next.take().or_else(|| self.make()) else {
                self.stopping = true;
                break;
            };
            let waits = self.in_flight() > operation.in_flight_max;
            let Some(itt) = self.free.pop_if(|_| !waits) else {
                self.next = Some(operation);
                break;
            };
            self.submit(itt, operation);
            self.stopping = self.issued >= self.plan.operations;
        }
    }

    fn make(&mut self) -> Option<Operation> {
        let len = self.plan.io_len;
        match &mut self.plan.work {
            Work::Made(job) => {
                let (reads, place) = job.next();
                let position = place * len as u64;
                Some(Operation { reads, position, len, in_flight_max: usize::MAX })
            }
            Work::Recorded(replay) => replay.next(),
        }
    }

    fn submit(&mut self, itt: u32, operation: Operation) {
        let Operation { reads, position, len, .. } = operation;
        let started = self.now;
        self.slots[itt as usize] =
            Slot { live: true, reads, position, len, received: 0, corrupt: false, started };
        self.issued += 1;
        let cdb = self.cdb(operation);
        if reads {
            self.push_command(itt, pdu::FINAL | pdu::READ, &cdb, 0);
            return;
        }
        if self.plan.verify {
            pattern::fill(&mut self.payloads[itt as usize], position);
        }
        let burst = len.min(self.params.first_burst);
        let immediate =
            if self.params.immediate_data { burst.min(self.params.max_send) } else { 0 };
        let unsolicited = if self.params.initial_r2t { immediate } else { burst };
        let last = if unsolicited == immediate { pdu::FINAL } else { 0 };
        self.push_command(itt, last | pdu::WRITE, &cdb, immediate);
        self.push_data_out(itt, NO_TAG, immediate, unsolicited);
    }

    /// READ(16) or WRITE(16) (SBC-4 5.18, 5.41).
    fn cdb(&self, operation: Operation) -> [u8; 16] {
        let block_len = u64::from(self.plan.block_len);
        let blocks = (operation.len as u64 / block_len) as u32;
        let mut cdb = [0; 16];
        cdb[0] = if operation.reads { 0x88 } else { 0x8a };
        cdb[2..10].copy_from_slice(&(operation.position / block_len).to_be_bytes());
        cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
        cdb
    }

    fn push_command(&mut self, itt: u32, flags: u8, cdb: &[u8; 16], immediate: usize) {
        let len = self.slots[itt as usize].len as u32;
        let header = pdu::scsi_command(self.lun, itt, flags, len, self.numbers, cdb, immediate);
        self.numbers.cmd_sn = self.numbers.cmd_sn.wrapping_add(1);
        if immediate == 0 {
            self.out.push(&header);
        } else {
            let payload = self.payload_of(itt);
            self.out.push_with_data(&header, &self.payloads, payload, 0..immediate);
        }
    }

    fn payload_of(&self, itt: u32) -> usize {
        if self.plan.verify { itt as usize } else { 0 }
    }

    /// Queues the bytes `from..to` of a task's data as Data-Out PDUs of one sequence.
    fn push_data_out(&mut self, itt: u32, ttt: u32, from: usize, to: usize) {
        let payload = self.payload_of(itt);
        let starts = (from..to).step_by(self.params.max_send);
        for (data_sn, start) in (0..).zip(starts) {
            let end = to.min(start + self.params.max_send);
            let data_out = DataOut {
                lun: self.lun,
                itt,
                ttt,
                exp_stat_sn: self.numbers.exp_stat_sn,
                data_sn,
                offset: start as u32,
                len: end - start,
                last: end == to,
            };
            self.out.push_with_data(&data_out.header(), &self.payloads, payload, start..end);
        }
    }

    /// The slot a PDU of the target names.
    fn slot(&mut self) -> Result<&mut Slot> {
        let itt = self.header.word(16);
        let slot = self.slots.get_mut(itt as usize).filter(|slot| slot.live);
        slot.ok_or_else(|| anyhow::anyhow!("a PDU for task {itt:#x}, which is not in flight"))
    }

    fn begin(&mut self, header: Header) -> Result<()> {
        self.header = header;
        self.sense.clear();
        let max_cmd_sn = header.word(32);
        if pdu::serial_le(self.max_cmd_sn, max_cmd_sn) {
            self.max_cmd_sn = max_cmd_sn;
        }
        match header.opcode() {
            op::DATA_IN => {
                let slot = self.slot()?;
                let (offset, len) = (header.word(40) as usize, header.data_len());
                ensure!(slot.reads && offset == slot.received, "Data-In out of order");
                ensure!(offset + len <= slot.len, "more data than was asked for");
                slot.received += len;
                Ok(())
            }
            op::SCSI_RESPONSE | op::R2T => self.slot().map(drop),
            op::NOP_IN => Ok(()),
            other => bail!("the target sent a PDU of opcode {other:#x}: {:02x?}", header.0),
        }
    }

    fn data(&mut self, offset: usize, data: &[u8]) {
        if self.header.opcode() != op::DATA_IN {
            self.sense.extend(data.iter().take(MAX_SENSE - self.sense.len().min(MAX_SENSE)));
            return;
        }
        let offset = u64::from(self.header.word(40)) + offset as u64;
        let Ok(position) = self.slot().map(|slot| slot.position + offset) else { return };
        let mut corrupt = self.plan.verify && !pattern::matches(data, position);
        if let Some(image) = &self.plan.image {
            let expected = image.get(position as usize..).and_then(|rest| rest.get(..data.len()));
            corrupt |= expected != Some(data);
        }
        if corrupt && let Ok(slot) = self.slot() {
            slot.corrupt = true;
        }
    }

    fn end(&mut self) -> Result<()> {
        let header = self.header;
        match header.opcode() {
            op::NOP_IN if header.word(20) != NO_TAG => {
                self.out.push(&pdu::nop_answer(&header, self.numbers));
            }
            op::R2T => {
                let (from, len) = (header.word(40) as usize, header.word(44) as usize);
                let slot = self.slot()?;
                let fits = from.checked_add(len).is_some_and(|to| to <= slot.len);
                ensure!(fits && len > 0 && !slot.reads, "an R2T for what is not there");
                self.push_data_out(header.word(16), header.word(20), from, from + len);
            }
            op::SCSI_RESPONSE => self.complete()?,
            op::DATA_IN if header.flags() & pdu::STATUS != 0 => self.complete()?,
            _ => {}
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<()> {
        let header = self.header;
        self.numbers.exp_stat_sn = header.word(24).wrapping_add(1);
        // A Data-In has no response code: its byte 2 is reserved.
        let response = if header.opcode() == op::SCSI_RESPONSE { header.response() } else { 0 };
        let now = self.now;
        let slot = self.slot()?;
        slot.live = false;
        let (reads, received, corrupt) = (slot.reads, slot.received, slot.corrupt);
        let (position, len, latency) = (slot.position, slot.len, now - slot.started);
        self.free.push(header.word(16));
        let status = header.scsi_status();
        let wrong = if response != 0 {
            Some(format!("iSCSI response {response:#x}"))
        } else if status != 0 {
            Some(format!("SCSI status {status:#x}, sense {:02x?}", self.sense))
        } else if reads && received != len {
            Some(format!("{received} of {len} bytes"))
        } else if corrupt {
            Some("wrong data".to_owned())
        } else {
            None
        };
        match wrong {
            Some(what) => {
                let what = || format!("{} at byte {position}: {what}", direction(reads));
                self.stats.errors += 1;
                self.stats.first_error.get_or_insert_with(what);
            }
            None if reads => {
                self.stats.reads += 1;
                self.stats.read_bytes += len as u64;
            }
            None => self.stats.writes += 1,
        }
        self.stats.latency.record(latency);
        Ok(())
    }
}

fn direction(reads: bool) -> &'static str {
    if reads { "read" } else { "write" }
}
