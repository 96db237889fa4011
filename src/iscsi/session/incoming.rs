//! A PDU arrives: what it is, whether its turn has come, and where its data belongs.

use smallvec::SmallVec;

use super::task::{Command, Fault, Phase, Task, TaskId};
use super::{CloseReason, Dest, Event, Session};
use crate::iscsi::login::SessionType;
use crate::iscsi::pdu::frame::Lengths;
use crate::iscsi::pdu::{Ahs, Bhs, ParseError, RejectReason, Request, ScsiCommand, parse_ahs};

/// The PDU whose data segment is on the way.
#[derive(Debug)]
pub(super) enum Current {
    /// None.
    None,
    /// A command; its task is there, not delivered.
    Command { task: TaskId, bhs: Bhs },
    /// Data for a task.
    DataOut { task: TaskId, ttt: u32, len: u32, is_final: bool, bhs: Bhs },
    /// A ping, text, logout or task management request.
    Other { request: Request, bhs: Bhs },
    /// To be ignored.
    Ignored,
    /// A command that was aborted before its data was here; its CmdSN counts.
    Aborted { cmd_sn: Option<u32> },
    /// To be rejected once its data is through; its CmdSN counts.
    Rejected { reason: RejectReason, cmd_sn: Option<u32>, bhs: Bhs },
}

/// What waits for an earlier CmdSN.
#[derive(Debug)]
pub(super) enum Held {
    /// A SCSI command.
    Command(TaskId),
    /// Another request with its data.
    Other(Request, Vec<u8>),
    /// A command that was aborted or rejected before its turn: its number only counts.
    Void,
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

/// A PDU that is to be rejected when its data segment has passed.
pub(super) fn refuse(reason: RejectReason, cmd_sn: Option<u32>, bhs: &Bhs) -> (Current, Dest) {
    (Current::Rejected { reason, cmd_sn, bhs: *bhs }, Dest::Discard)
}

impl<D: Clone> Session<D> {
    /// Takes the header of a PDU (digest checked) and says where its data segment belongs.
    /// [`Session::data`] must follow, also when there is no data.
    pub fn header(&mut self, bhs: &Bhs, ahs: &[u8]) -> Dest {
        let len = Lengths::of(bhs, false, false).data;
        if len > self.params.target_max_recv_data_segment_length as usize {
            self.close(CloseReason::Protocol("data segment longer than MaxRecvDataSegmentLength"));
        }
        if self.closing {
            self.current = Current::Ignored;
            return Dest::Discard;
        }
        // Bounded by the check above: a data segment length has 24 bits.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let (current, dest) = match Request::parse(bhs) {
            Ok(request) => self.accept(request, bhs, ahs, len),
            Err(ParseError::Opcode(_)) => refuse(RejectReason::NotSupported, None, bhs),
            Err(ParseError::Field(_)) => refuse(RejectReason::InvalidField, None, bhs),
        };
        self.current = current;
        if len == 0 { Dest::Nothing } else { dest }
    }

    /// The data segment has arrived where it belongs: into the task, or `collected`.
    /// `digest_ok`: its digest was right, or there is none.
    pub fn data(&mut self, collected: Vec<u8>, digest_ok: bool) {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::None | Current::Ignored => {}
            Current::Command { task, bhs } if !digest_ok => {
                // Not delivered, its CmdSN not consumed: the initiator may send it again.
                self.drop_task(task);
                self.reject(RejectReason::DataDigest, &bhs);
            }
            Current::Command { task, .. } => self.arrived(task),
            Current::DataOut { task, ttt, len, is_final, bhs } => {
                if !digest_ok {
                    self.reject(RejectReason::DataDigest, &bhs);
                }
                self.data_out_arrived(task, ttt, len, is_final, digest_ok);
            }
            Current::Other { bhs, .. } if !digest_ok => {
                self.reject(RejectReason::DataDigest, &bhs);
            }
            Current::Other { request, .. } => match numbered(&request) {
                None => self.execute(&request, collected),
                Some(cmd_sn) => self.hold(cmd_sn, Held::Other(request, collected)),
            },
            Current::Aborted { cmd_sn } => {
                if let Some(cmd_sn) = cmd_sn {
                    self.hold(cmd_sn, Held::Void);
                }
            }
            Current::Rejected { reason, cmd_sn, bhs } => {
                self.reject(reason, &bhs);
                if let Some(cmd_sn) = cmd_sn {
                    self.hold(cmd_sn, Held::Void);
                }
            }
        }
    }

    fn accept(&mut self, request: Request, bhs: &Bhs, ahs: &[u8], len: u32) -> (Current, Dest) {
        let cmd_sn = numbered(&request);
        if let Some(cmd_sn) = cmd_sn {
            let is_held = self.held.iter().any(|(held, _)| *held == cmd_sn);
            if !self.window.contains(cmd_sn) || is_held {
                return (Current::Ignored, Dest::Discard);
            }
        }
        if self.session_type == SessionType::Discovery && !Self::is_for_discovery(&request) {
            return refuse(RejectReason::ProtocolError, cmd_sn, bhs);
        }
        match request {
            Request::ScsiCommand(command) => self.command_header(&command, bhs, ahs, len),
            Request::DataOut(data) => self.data_out_header(&data, bhs, len),
            Request::Snack(_) => refuse(RejectReason::SnackReject, None, bhs),
            Request::Login(_) => {
                self.close(CloseReason::Protocol("login request in the full feature phase"));
                (Current::Ignored, Dest::Discard)
            }
            _ if self.held_bytes + len as usize > self.limits.held_bytes => {
                refuse(RejectReason::LongOperation, cmd_sn, bhs)
            }
            other => (Current::Other { request: other, bhs: *bhs }, Dest::Collect),
        }
    }

    /// A discovery session does nothing but discover (RFC 7143 4.3, 7.4).
    fn is_for_discovery(request: &Request) -> bool {
        matches!(request, Request::Text(_) | Request::Logout(_) | Request::NopOut(_))
    }

    fn command_header(
        &mut self,
        pdu: &ScsiCommand,
        bhs: &Bhs,
        ahs: &[u8],
        len: u32,
    ) -> (Current, Dest) {
        let cmd_sn = (!pdu.immediate).then_some(pdu.cmd_sn);
        if self.by_itt.contains_key(&pdu.itt) {
            return refuse(RejectReason::TaskInProgress, cmd_sn, bhs);
        }
        if pdu.immediate && self.immediate_commands >= self.limits.immediate_commands {
            return refuse(RejectReason::ImmediateCommand, None, bhs);
        }
        let Ok([extended, _bidirectional]) = parse_ahs(ahs) else {
            return refuse(RejectReason::InvalidField, cmd_sn, bhs);
        };
        if pdu.itt == crate::iscsi::pdu::RESERVED_TAG || (!pdu.is_final && !pdu.write) {
            return refuse(RejectReason::InvalidField, cmd_sn, bhs);
        }
        let mut cdb = SmallVec::from_slice(&pdu.cdb);
        if let Some(Ahs::ExtendedCdb(rest)) = extended {
            cdb.extend_from_slice(rest);
        }
        let mut task = Task::new(Command {
            lun: pdu.lun,
            itt: pdu.itt,
            cmd_sn: pdu.cmd_sn,
            cdb,
            attribute: pdu.attribute,
            immediate: pdu.immediate,
            read: pdu.read,
            write: pdu.write,
            expected_length: pdu.expected_length,
        });
        task.unsolicited_open = !pdu.is_final;
        let first_burst = self.params.first_burst_length.min(pdu.expected_length);
        let may_send = pdu.write && self.params.immediate_data && len <= first_burst;
        if (len > 0 && !may_send) || (task.unsolicited_open && self.params.initial_r2t) {
            task.fault = Some(Fault::UnexpectedUnsolicitedData);
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
        (Current::Command { task: id, bhs: *bhs }, dest)
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
        if let Held::Other(_, data) = &held {
            self.held_bytes += data.len();
        }
        if cmd_sn != self.window.exp_cmd_sn() {
            self.held.push((cmd_sn, held));
            return;
        }
        self.take_turn(held);
        while let Some(i) =
            self.held.iter().position(|(cmd_sn, _)| *cmd_sn == self.window.exp_cmd_sn())
        {
            let (_, next) = self.held.swap_remove(i);
            self.take_turn(next);
        }
    }

    fn take_turn(&mut self, held: Held) {
        self.window.consume();
        match held {
            // Its credit comes back when the task is removed.
            Held::Command(id) => self.deliver(id),
            Held::Other(request, data) => {
                self.held_bytes -= data.len();
                self.window.give_back();
                self.execute(&request, data);
            }
            Held::Void => self.window.give_back(),
        }
    }

    fn deliver(&mut self, id: TaskId) {
        let Some(task) = self.task(id) else { return };
        task.phase = Phase::Offered;
        if task.fault.is_some() {
            task.phase = Phase::Gathering;
            self.advance(id);
        } else {
            self.events.push_back(Event::Command(id));
        }
    }

    fn execute(&mut self, request: &Request, data: Vec<u8>) {
        match request {
            Request::NopOut(nop) => self.nop_out(nop, data),
            Request::Text(text) => self.text_request(text, &data),
            Request::Logout(logout) => self.logout(logout),
            Request::TaskManagement(tmf) => self.manage(tmf),
            Request::ScsiCommand(_)
            | Request::DataOut(_)
            | Request::Login(_)
            | Request::Snack(_) => {}
        }
    }
}
