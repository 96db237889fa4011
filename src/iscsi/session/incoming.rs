//! A PDU arrives: what it is, whether its turn has come, and where its data belongs.

use smallvec::SmallVec;

use super::task::{Command, Fault, Phase, Task, TaskId};
use super::{CloseReason, ConnectionId, Dest, Event, Session};
use crate::iscsi::login::SessionType;
use crate::iscsi::pdu::frame::Lengths;
use crate::iscsi::pdu::{
    Ahs, BHS_BYTES, Bhs, ParseError, RESERVED_TAG, RejectReason, Request, ScsiCommand, parse_ahs,
};

/// The PDU whose data segment is on the way.
#[derive(Debug)]
pub(super) enum Current {
    /// None.
    None,
    /// A command; its task is there, not delivered.
    Command { task: TaskId },
    /// Data for a task.
    DataOut { task: TaskId, ttt: u32, len: u32, is_final: bool },
    /// A ping, text, logout or task management request.
    Other(Request),
    /// To be ignored.
    Ignored,
    /// A command that was aborted before its data was here; its CmdSN counts.
    Aborted { cmd_sn: Option<u32> },
    /// To be rejected once its data is through. Its CmdSN counts as not received: the initiator
    /// has to fill the gap (RFC 7143 7.3).
    Rejected(RejectReason),
}

/// The header of the PDU that is on the way, for a Reject.
#[derive(Debug)]
pub(super) struct Header {
    bhs: Bhs,
    ahs: Vec<u8>,
}

impl Default for Header {
    fn default() -> Self {
        Self { bhs: [0; BHS_BYTES], ahs: Vec::new() }
    }
}

/// What waits for an earlier CmdSN.
#[derive(Debug)]
pub(super) enum Held {
    /// A SCSI command.
    Command(TaskId),
    /// Another request, by which connection it came, its header as it came, and its data.
    Other(ConnectionId, Request, Vec<u8>, Vec<u8>),
    /// A command that was aborted before its turn: its number only counts.
    Void,
}

impl Held {
    /// Bytes that are kept for it.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Other(.., data) => data.len(),
            Self::Command(_) | Self::Void => 0,
        }
    }
}

/// The CmdSN of a request that takes a number; `None` for immediate ones and those without.
fn numbered(request: &Request) -> Option<u32> {
    let (immediate, cmd_sn) = match request {
        Request::NopOut(r) => (r.immediate, r.cmd_sn),
        Request::ScsiCommand(r) => (r.immediate, r.cmd_sn),
        Request::TaskManagement(r) => (r.immediate, r.cmd_sn),
        Request::Text(r) => (r.immediate, r.cmd_sn),
        Request::Logout(r) => (r.immediate, r.cmd_sn),
        Request::Login(_) | Request::DataOut(_) | Request::Snack(_) => return None,
    };
    (!immediate).then_some(cmd_sn)
}

/// The ExpStatSN of a request: at the same place in all of them.
fn exp_stat_sn(bhs: &Bhs) -> u32 {
    u32::from_be_bytes([bhs[28], bhs[29], bhs[30], bhs[31]])
}

/// A PDU that is to be rejected when its data segment has passed.
pub(super) fn refuse(reason: RejectReason) -> (Current, Dest) {
    (Current::Rejected(reason), Dest::Discard)
}

/// True if a request has to have a task tag and has none, or breaks the rule of the one that may
/// go without: a NOP-Out that asks for no answer is immediate (RFC 7143 11.18.1).
fn lacks_tag(request: &Request) -> bool {
    match request {
        Request::NopOut(r) => r.itt == RESERVED_TAG && !r.immediate,
        Request::TaskManagement(r) => r.itt == RESERVED_TAG,
        Request::Text(r) => r.itt == RESERVED_TAG,
        Request::Logout(r) => r.itt == RESERVED_TAG,
        _ => false,
    }
}

/// True if a command has fields that no sender may give it (RFC 7143 11.3.1, 11.3.4).
fn breaks_format(pdu: &ScsiCommand, has_read_length: bool) -> bool {
    const ATTRIBUTE_MAX: u8 = 4;
    let both = pdu.read && pdu.write;
    let neither = !pdu.read && !pdu.write;
    pdu.itt == RESERVED_TAG
        || pdu.attribute > ATTRIBUTE_MAX
        || (!pdu.is_final && !pdu.write)
        || (neither && pdu.expected_length > 0)
        || (has_read_length && !both)
        || (both && !has_read_length && pdu.expected_length > 0)
}

impl<D: Clone> Session<D> {
    /// Takes the header of a PDU (digest checked) and says where its data segment belongs.
    /// [`Session::data`] must follow, also when there is no data.
    pub fn header(&mut self, bhs: &Bhs, ahs: &[u8]) -> Dest {
        let len = Lengths::of(bhs, false, false).data;
        if len > self.connection.params.target_max_recv_data_segment_length as usize {
            self.fail(CloseReason::Protocol("data segment longer than MaxRecvDataSegmentLength"));
        }
        if self.connection.closing {
            self.connection.current = Current::Ignored;
            return Dest::Discard;
        }
        self.connection.header = Header { bhs: *bhs, ahs: ahs.to_vec() };
        // Bounded by the check above: a data segment length has 24 bits.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let (current, dest) = match Request::parse(bhs) {
            Ok(request) => {
                // A data acknowledgement may acknowledge the status, too, but comes before it.
                let acknowledges_data =
                    matches!(&request, Request::Snack(snack) if snack.kind == 2);
                self.connection.exp_stat_sn = exp_stat_sn(bhs);
                self.connection.look_at_unseen();
                if self.recovers() && !acknowledges_data {
                    self.acknowledge(exp_stat_sn(bhs));
                }
                self.accept(request, ahs, len)
            }
            Err(ParseError::Opcode(_)) => refuse(RejectReason::NotSupported),
            Err(ParseError::Field(_)) => refuse(RejectReason::InvalidField),
        };
        self.connection.current = current;
        self.answer_acknowledged();
        if len == 0 { Dest::Nothing } else { dest }
    }

    /// The data segment has arrived where it belongs: into the task, or `collected`.
    /// `digest_ok`: its digest was right, or there is none.
    pub fn data(&mut self, collected: Vec<u8>, digest_ok: bool) {
        match std::mem::replace(&mut self.connection.current, Current::None) {
            Current::None | Current::Ignored => {}
            Current::Command { task } if !digest_ok => {
                // Not delivered, its CmdSN not consumed: the initiator may send it again.
                self.drop_task(task);
                self.reject_arrived(RejectReason::DataDigest);
            }
            Current::Command { task } => self.arrived(task),
            Current::DataOut { task, ttt, len, is_final } => {
                if !digest_ok {
                    self.reject_arrived(RejectReason::DataDigest);
                }
                self.data_out_arrived(task, ttt, len, is_final, digest_ok);
            }
            Current::Other(_) if !digest_ok => self.reject_arrived(RejectReason::DataDigest),
            Current::Other(request) => {
                let header = self.arrived_header();
                match numbered(&request) {
                    None => {
                        if let Err(reason) = self.execute(&request, collected) {
                            self.reject(reason, header);
                        }
                    }
                    Some(cmd_sn) => {
                        let connection = self.connection.id;
                        self.hold(cmd_sn, Held::Other(connection, request, header, collected));
                    }
                }
            }
            Current::Aborted { cmd_sn } => {
                if let Some(cmd_sn) = cmd_sn {
                    self.hold(cmd_sn, Held::Void);
                }
            }
            Current::Rejected(reason) => self.reject_arrived(reason),
        }
    }

    /// Rejects the PDU that has just arrived, with its whole header (RFC 7143 11.17.4).
    fn reject_arrived(&mut self, reason: RejectReason) {
        let header = self.arrived_header();
        self.reject(reason, header);
    }

    /// The whole header of the PDU that arrived last.
    pub(super) fn arrived_header(&self) -> Vec<u8> {
        [&self.connection.header.bhs[..], &self.connection.header.ahs].concat()
    }

    fn accept(&mut self, request: Request, ahs: &[u8], len: u32) -> (Current, Dest) {
        let cmd_sn = numbered(&request);
        if let Some(cmd_sn) = cmd_sn {
            let is_held = self.held.iter().any(|(held, _)| *held == cmd_sn);
            if !self.window.contains(cmd_sn) || is_held {
                return (Current::Ignored, Dest::Discard);
            }
        }
        if self.session_type == SessionType::Discovery && !Self::is_for_discovery(&request) {
            return refuse(RejectReason::ProtocolError);
        }
        if lacks_tag(&request) {
            return refuse(RejectReason::InvalidField);
        }
        let waits = cmd_sn.is_some_and(|cmd_sn| cmd_sn != self.window.exp_cmd_sn());
        match request {
            Request::ScsiCommand(command) => self.command_header(&command, ahs, len),
            Request::DataOut(data) => self.data_out_header(&data, len),
            Request::Snack(snack) => {
                self.snack(&snack);
                (Current::Ignored, Dest::Discard)
            }
            Request::Login(_) => {
                self.fail(CloseReason::Protocol("login request in the full feature phase"));
                (Current::Ignored, Dest::Discard)
            }
            _ if waits && self.held_bytes + len as usize > self.limits.held_bytes => {
                refuse(RejectReason::LongOperation)
            }
            other => (Current::Other(other), Dest::Collect),
        }
    }

    /// A discovery session does nothing but discover (RFC 7143 4.3, 7.4).
    fn is_for_discovery(request: &Request) -> bool {
        matches!(request, Request::Text(_) | Request::Logout(_) | Request::NopOut(_))
    }

    fn command_header(&mut self, pdu: &ScsiCommand, ahs: &[u8], len: u32) -> (Current, Dest) {
        if self.by_itt.contains_key(&pdu.itt) {
            return refuse(RejectReason::TaskInProgress);
        }
        if pdu.immediate && self.immediate_commands >= self.limits.immediate_commands {
            return refuse(RejectReason::ImmediateCommand);
        }
        let Ok([extended, bidirectional]) = parse_ahs(ahs) else {
            return refuse(RejectReason::InvalidField);
        };
        if breaks_format(pdu, bidirectional.is_some()) {
            return refuse(RejectReason::InvalidField);
        }
        let mut cdb = SmallVec::from_slice(&pdu.cdb);
        if let Some(Ahs::ExtendedCdb(rest)) = extended {
            cdb.extend_from_slice(rest);
        }
        let command = Command {
            lun: pdu.lun,
            itt: pdu.itt,
            cmd_sn: pdu.cmd_sn,
            cdb,
            attribute: pdu.attribute,
            // To be ignored unless it was negotiated (RFC 7144 5.1.1).
            priority: if self.has_rfc7144() { pdu.priority } else { 0 },
            immediate: pdu.immediate,
            read: pdu.read,
            write: pdu.write,
            expected_length: pdu.expected_length,
        };
        let mut task = Task::new(command, self.connection.id);
        task.unsolicited_open = !pdu.is_final;
        let first_burst = self.connection.params.first_burst_length.min(pdu.expected_length);
        let may_send = pdu.write && self.connection.params.immediate_data && len <= first_burst;
        if (len > 0 && !may_send) || (task.unsolicited_open && self.connection.params.initial_r2t) {
            task.fault = Some(Fault::UnexpectedUnsolicitedData);
        }
        if let Some(Ahs::BidirectionalReadLength(read_length)) = bidirectional {
            task.fault = Some(Fault::Bidirectional { read_length });
        }
        let faulty = task.fault.is_some();
        if !faulty {
            task.unsolicited = len;
        }
        let id = TaskId(u32::try_from(self.tasks.insert(task)).unwrap_or(u32::MAX));
        self.by_itt.insert(pdu.itt, id);
        if pdu.immediate {
            self.immediate_commands += 1;
        }
        let dest = if faulty { Dest::Discard } else { Dest::Task(id, 0) };
        (Current::Command { task: id }, dest)
    }

    /// A command with its immediate data is here.
    fn arrived(&mut self, id: TaskId) {
        let Some(command) = self.command(id) else { return };
        if command.immediate {
            self.deliver(id);
        } else {
            let cmd_sn = command.cmd_sn;
            self.hold(cmd_sn, Held::Command(id));
        }
    }

    /// Takes a numbered request in, and with it all whose turn has come.
    pub(super) fn hold(&mut self, cmd_sn: u32, held: Held) {
        self.held_bytes += held.bytes();
        if cmd_sn != self.window.exp_cmd_sn() {
            self.held.push((cmd_sn, held));
            return;
        }
        self.take_turn(held);
        loop {
            self.manage_postponed();
            let next = self.window.exp_cmd_sn();
            let Some(i) = self.held.iter().position(|(cmd_sn, _)| *cmd_sn == next) else { return };
            let (_, held) = self.held.swap_remove(i);
            self.take_turn(held);
        }
    }

    fn take_turn(&mut self, held: Held) {
        let before = self.window;
        self.window.consume();
        match held {
            // Its credit comes back when the task is removed.
            Held::Command(id) => self.deliver(id),
            Held::Other(connection, request, header, data) => {
                self.held_bytes -= data.len();
                self.window.give_back();
                self.on(connection, |session| {
                    if let Err(reason) = session.execute(&request, data) {
                        // Not received: the initiator has to fill the gap (RFC 7143 7.3).
                        session.window = before;
                        session.reject(reason, header);
                    }
                });
            }
            Held::Void => self.window.give_back(),
        }
    }

    fn deliver(&mut self, id: TaskId) {
        let Some(task) = self.task(id) else { return };
        task.phase = Phase::Offered;
        if task.fault.is_some() {
            task.phase = Phase::Gathering;
            self.on_its_connection(id, |session| session.advance(id));
        } else {
            self.events.push_back(Event::Command(id));
        }
    }

    /// Does what a request asks for. An error is to be answered with a Reject: nothing has been
    /// sent then, and no number was taken.
    fn execute(&mut self, request: &Request, data: Vec<u8>) -> Result<(), RejectReason> {
        match request {
            Request::NopOut(nop) => {
                self.nop_out(nop, data);
                Ok(())
            }
            Request::Text(text) => self.text_request(text, &data),
            Request::Logout(logout) => self.logout(logout),
            Request::TaskManagement(tmf) => self.manage(tmf),
            Request::ScsiCommand(_)
            | Request::DataOut(_)
            | Request::Login(_)
            | Request::Snack(_) => Ok(()),
        }
    }
}
