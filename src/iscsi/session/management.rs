//! Task management functions (RFC 7143 11.5, 11.6; RFC 7144 6).
//!
//! Aborted tasks are dropped on the spot, whatever they were doing: nothing more of them reaches the
//! wire, and [`Event::Dropped`] tells the driver, which sees to it that nothing of them reaches the
//! disk. It must take all events before it sends what [`Session::next_pdu`] gives: the response to
//! the function may be there already (RFC 7143 4.2.3.3).
//!
//! A function over many tasks that came as an immediate request waits for the commands that were
//! sent before it and are not here yet. It does not wait for data that R2Ts have asked for, as
//! RFC 7143 4.2.3.3 has it: Linux does not send it any more (its FastAbort setting, on unless
//! turned off), and the function would never be answered. Data that does come is discarded, which
//! is what 4.2.3.4 makes of it.

use super::incoming::{Current, Held};
use super::task::{Phase, Task, TaskId, unit_of};
use super::window::is_before;
use super::{CloseReason, ConnectionId, Event, Session};
use crate::iscsi::pdu::{RejectReason, Request, TaskManagementRequest, TaskManagementResponse};

/// Task management functions that have an effect here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TmfFunction {
    /// One task of this session. The driver hears of it only if the task is not there.
    AbortTask,
    /// All tasks of this session on one logical unit.
    AbortTaskSet,
    /// All tasks of all sessions on one logical unit.
    ClearTaskSet,
    /// The logical unit is reset.
    LogicalUnitReset,
    /// The target is reset.
    TargetWarmReset,
    /// The target is reset and all its connections are closed.
    TargetColdReset,
    /// Is a task of this session there (RFC 7144)?
    QueryTask,
    /// Is any task of this session there on one logical unit (RFC 7144)?
    QueryTaskSet,
    /// This session's nexus is lost to all logical units (RFC 7144). The session closes when it
    /// is done.
    ItNexusReset,
    /// Is a unit attention condition pending on one logical unit (RFC 7144)? To be answered with
    /// [`Session::management_succeeded`] if so.
    QueryAsynchronousEvent,
}

impl TmfFunction {
    fn from_code(code: u8, has_rfc7144: bool) -> Option<Self> {
        Some(match code {
            1 => Self::AbortTask,
            2 => Self::AbortTaskSet,
            4 => Self::ClearTaskSet,
            5 => Self::LogicalUnitReset,
            6 => Self::TargetWarmReset,
            7 => Self::TargetColdReset,
            9 if has_rfc7144 => Self::QueryTask,
            10 if has_rfc7144 => Self::QueryTaskSet,
            11 if has_rfc7144 => Self::ItNexusReset,
            12 if has_rfc7144 => Self::QueryAsynchronousEvent,
            _ => return None,
        })
    }

    /// It ends tasks, in all logical units or in one.
    fn scope(self) -> Scope {
        match self {
            Self::AbortTaskSet | Self::ClearTaskSet | Self::LogicalUnitReset => Scope::Unit,
            Self::TargetWarmReset | Self::TargetColdReset | Self::ItNexusReset => Scope::All,
            Self::AbortTask
            | Self::QueryTask
            | Self::QueryTaskSet
            | Self::QueryAsynchronousEvent => Scope::Other,
        }
    }

    /// It ends with the session's connection.
    fn drops_connections(self) -> bool {
        matches!(self, Self::TargetColdReset | Self::ItNexusReset)
    }
}

/// The tasks of the session that a function ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// At most one.
    Other,
    /// All on one logical unit.
    Unit,
    /// All.
    All,
}

/// TMF responses (RFC 7143 11.6.1).
pub mod tmf_response {
    /// Function complete.
    pub const COMPLETE: u8 = 0;
    /// Task does not exist.
    pub const NO_TASK: u8 = 1;
    /// LUN does not exist.
    pub const NO_LUN: u8 = 2;
    /// Task allegiance reassignment not supported.
    pub const NO_REASSIGNMENT: u8 = 4;
    /// Task management function not supported.
    pub const NOT_SUPPORTED: u8 = 5;
    /// Function succeeded: what was asked for is there (RFC 7144 6.4.2).
    pub const SUCCEEDED: u8 = 7;
    /// Function rejected.
    pub const REJECTED: u8 = 255;
}

/// TASK REASSIGN, which no session here can do (ERL 2).
const TASK_REASSIGN: u8 = 8;

/// Requests whose answers may wait at once; more are rejected.
const PENDING_MAX: usize = 16;

/// The end of a function: its response, and the additional response information.
type Answer = (u8, [u8; 3]);

/// A request whose answer waits for the driver.
#[derive(Debug)]
pub(super) struct PendingTmf {
    itt: u32,
    function: TmfFunction,
    /// By which it came.
    pub(super) connection: ConnectionId,
    /// The driver has done its part. The answer waits until the initiator has what was sent before
    /// on other connections, up to these StatSN: it must not find the status of a task there after
    /// it has heard that all are gone (RFC 7143 4.2.3.3).
    answer: Option<(Answer, Vec<(ConnectionId, u32)>)>,
}

impl<D: Clone> Session<D> {
    pub(super) fn manage(&mut self, request: &TaskManagementRequest) -> Result<(), RejectReason> {
        let in_use = self.by_itt.contains_key(&request.itt) || self.is_managing(request.itt);
        if in_use {
            return Err(RejectReason::TaskInProgress);
        }
        if self.management.len() + self.postponed.len() >= PENDING_MAX {
            return Err(if request.immediate {
                RejectReason::ImmediateCommand
            } else {
                RejectReason::LongOperation
            });
        }
        let has_rfc7144 = self.has_rfc7144();
        let Some(function) = TmfFunction::from_code(request.function, has_rfc7144) else {
            let response = match request.function {
                TASK_REASSIGN => tmf_response::NO_REASSIGNMENT,
                _ => tmf_response::NOT_SUPPORTED,
            };
            self.management_response(request.itt, (response, [0; 3]));
            return Ok(());
        };
        if request.immediate && self.window.is_ahead(request.cmd_sn) {
            match function.scope() {
                Scope::Other => {}
                Scope::Unit => {
                    self.postponed.push_back((self.connection.id, *request));
                    return Ok(());
                }
                // Nothing of it would be executed (4.2.3.3).
                Scope::All => self.plug(request.cmd_sn),
            }
        }
        self.perform(function, request);
        Ok(())
    }

    /// Performs functions whose turn has come: all commands that were sent before are here.
    pub(super) fn manage_postponed(&mut self) {
        while let Some((connection, request)) = self.postponed.front().copied()
            && !self.window.is_ahead(request.cmd_sn)
        {
            self.postponed.pop_front();
            if let Some(function) = TmfFunction::from_code(request.function, true) {
                self.on(connection, |session| session.perform(function, &request));
            }
        }
    }

    /// True if a management request of this tag is here and not answered.
    fn is_managing(&self, itt: u32) -> bool {
        let waits = |held: &Held| match held {
            Held::Other(_, Request::TaskManagement(request), ..) => request.itt == itt,
            _ => false,
        };
        self.management.iter().any(|pending| pending.itt == itt)
            || self.postponed.iter().any(|(_, request)| request.itt == itt)
            || self.held.iter().any(|(_, held)| waits(held))
    }

    /// Takes all numbers before `end` as received.
    fn plug(&mut self, end: u32) {
        while self.window.is_ahead(end) {
            self.hold(self.window.exp_cmd_sn(), Held::Void);
        }
    }

    fn perform(&mut self, function: TmfFunction, request: &TaskManagementRequest) {
        let (itt, lun) = (request.itt, request.lun);
        let response = match function.scope() {
            Scope::Unit => {
                self.abort_before(Some(lun), Some(request.cmd_sn));
                None
            }
            Scope::All => {
                self.abort_before(None, Some(request.cmd_sn));
                None
            }
            Scope::Other if function == TmfFunction::AbortTask => self.abort_task(request),
            Scope::Other => self.query(function, request),
        };
        match response {
            Some(response) => self.management_response(itt, (response, [0; 3])),
            None => {
                let connection = self.connection.id;
                self.management.push(PendingTmf { itt, function, connection, answer: None });
                self.events.push_back(Event::Management { itt, function, lun });
            }
        }
    }

    /// The driver has done its part of a task management function.
    pub fn management_done(&mut self, itt: u32, response: u8) {
        self.management_answer(itt, (response, [0; 3]));
    }

    /// What a query asked for is there: `information` says more about it, as SAM-5 has it for
    /// QUERY ASYNCHRONOUS EVENT (depth of the queue and sense key, ASC, ASCQ).
    pub fn management_succeeded(&mut self, itt: u32, information: [u8; 3]) {
        self.management_answer(itt, (tmf_response::SUCCEEDED, information));
    }

    fn management_answer(&mut self, itt: u32, answer: Answer) {
        let Some(i) = self.management.iter().position(|pending| pending.itt == itt) else { return };
        let mut unacknowledged = Vec::new();
        if !self.others.is_empty() && self.management[i].function.scope() != Scope::Other {
            let connection = self.management[i].connection;
            self.on(connection, |session| {
                session
                    .on_others(|session| unacknowledged.extend(session.ask_for_acknowledgement()));
            });
        }
        self.management[i].answer = Some((answer, unacknowledged));
        self.answer_acknowledged();
    }

    /// What the initiator has to acknowledge on the attended connection, if there is anything: a
    /// ping has it do so.
    fn ask_for_acknowledgement(&mut self) -> Option<(ConnectionId, u32)> {
        let connection = &self.connection;
        if connection.closing || !is_before(connection.exp_stat_sn, connection.stat_sn) {
            return None;
        }
        let mark = (connection.id, connection.stat_sn);
        self.ask_for_answer();
        Some(mark)
    }

    /// Answers functions that do not have to wait for an acknowledgement any more.
    pub(super) fn answer_acknowledged(&mut self) {
        while let Some(i) = self.management.iter().position(|pending| self.may_answer(pending)) {
            let PendingTmf { itt, function, connection, answer } = self.management.remove(i);
            let Some((answer, _)) = answer else { return };
            self.on(connection, |session| {
                session.management_response(itt, answer);
                if function.drops_connections() && answer.0 == tmf_response::COMPLETE {
                    session.close_all(CloseReason::Reset);
                }
            });
        }
    }

    fn may_answer(&self, pending: &PendingTmf) -> bool {
        let is_acknowledged = |(id, stat_sn): &(ConnectionId, u32)| {
            let mut all = std::iter::once(&self.connection).chain(&self.others);
            all.find(|connection| connection.id == *id && !connection.closing)
                .is_none_or(|connection| !is_before(connection.exp_stat_sn, *stat_sn))
        };
        pending.answer.as_ref().is_some_and(|(_, marks)| marks.iter().all(is_acknowledged))
    }

    /// The tasks on `lun` (all: `None`) that the driver has been given and has not completed.
    #[must_use]
    pub fn tasks_in_set(&self, lun: Option<u64>) -> Vec<TaskId> {
        let is_in_set = |task: &Task<D>| {
            !matches!(task.phase, Phase::Arriving | Phase::Dropped) && task.completion.is_none()
        };
        self.tasks_on(lun, is_in_set)
    }

    /// Those on `lun` (all: `None`) of which something is true.
    fn tasks_on(&self, lun: Option<u64>, is_one: impl Fn(&Task<D>) -> bool) -> Vec<TaskId> {
        let is_there =
            |task: &Task<D>| lun.is_none_or(|lun| unit_of(task.command.lun) == unit_of(lun));
        self.tasks
            .iter()
            .filter(|(_, task)| is_there(task) && is_one(task))
            .filter_map(|(key, _)| u32::try_from(key).ok().map(TaskId))
            .collect()
    }

    /// Drops every task on `lun` (all: `None`) without an answer, as when the session ends. Returns
    /// how many there were.
    pub fn abort(&mut self, lun: Option<u64>) -> usize {
        self.abort_before(lun, None)
    }

    /// As [`Self::abort`], but for commands that wait for their turn after `cmd_sn`.
    fn abort_before(&mut self, lun: Option<u64>, cmd_sn: Option<u32>) -> usize {
        let is_later = |task: &Task<D>| {
            let waits = task.phase == Phase::Arriving && !task.command.immediate;
            waits && cmd_sn.is_some_and(|cmd_sn| !is_before(task.command.cmd_sn, cmd_sn))
        };
        let ids = self.tasks_on(lun, |task| !is_later(task));
        ids.into_iter().filter(|id| self.abort_one(*id)).count()
    }

    /// False if it has been dropped already.
    fn abort_one(&mut self, id: TaskId) -> bool {
        let Some(task) = self.task(id) else { return false };
        let (immediate, cmd_sn) = (task.command.immediate, task.command.cmd_sn);
        #[cfg(test)]
        if self.bug == Some(super::tests::Bug::AnswersAborted) {
            return true;
        }
        self.on_its_connection(id, |session| {
            let current = &mut session.connection.current;
            if matches!(current, Current::Command { task, .. } if *task == id) {
                let cmd_sn = (!immediate).then_some(cmd_sn);
                *current = Current::Aborted { cmd_sn };
            }
        });
        for (_, held) in &mut self.held {
            if matches!(held, Held::Command(held) if *held == id) {
                *held = Held::Void;
            }
        }
        self.drop_task(id);
        true
    }

    /// The task that a request is about, if it is here.
    fn referenced(&self, request: &TaskManagementRequest) -> Option<TaskId> {
        let id = *self.by_itt.get(&request.referenced_tag)?;
        (unit_of(self.command(id)?.lun) == unit_of(request.lun)).then_some(id)
    }

    /// The answer, or `None` if the driver has to give it: that there is no such task, or no such
    /// logical unit (RFC 7143 11.6.1).
    fn abort_task(&mut self, request: &TaskManagementRequest) -> Option<u8> {
        if let Some(id) = self.referenced(request) {
            self.abort_one(id);
            return Some(tmf_response::COMPLETE);
        }
        if self.is_managing(request.referenced_tag) {
            return Some(tmf_response::REJECTED);
        }
        // Not here yet: its number is taken, so that it has no effect when it comes. The number
        // of a later command is not: an immediate task has that of the request itself.
        let number = request.ref_cmd_sn;
        let on_its_way = self.window.contains(number)
            && is_before(number, request.cmd_sn)
            && !self.held.iter().any(|(held, _)| *held == number);
        if on_its_way {
            self.hold(number, Held::Void);
            return Some(tmf_response::COMPLETE);
        }
        None
    }

    /// The answer to a query, or `None` if the driver has to give it: that it is "complete", not
    /// "succeeded", or that there is no such logical unit (RFC 7144 6.4.2).
    fn query(&self, function: TmfFunction, request: &TaskManagementRequest) -> Option<u8> {
        // In the task set from the time it is delivered on.
        let is_present = |task: &Task<D>| !matches!(task.phase, Phase::Arriving | Phase::Dropped);
        let found = match function {
            TmfFunction::QueryTask if self.is_managing(request.referenced_tag) => {
                return Some(tmf_response::REJECTED);
            }
            TmfFunction::QueryTask => self
                .referenced(request)
                .and_then(|id| self.tasks.get(id.0 as usize))
                .is_some_and(is_present),
            TmfFunction::QueryTaskSet => self.tasks.iter().any(|(_, task)| {
                is_present(task) && unit_of(task.command.lun) == unit_of(request.lun)
            }),
            _ => false,
        };
        found.then_some(tmf_response::SUCCEEDED)
    }

    fn management_response(&mut self, itt: u32, (response, information): Answer) {
        let numbers = self.take_numbers();
        let pdu = TaskManagementResponse { response, information, itt, numbers };
        self.send_counted(&pdu, Vec::new());
    }
}
