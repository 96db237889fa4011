//! Task management functions (RFC 7143 11.5, 11.6; RFC 7144 5).
//!
//! Tasks that have not been executed yet are dropped on the spot; those that the driver executes
//! are marked, nothing more of them reaches the wire, and the response waits until the last of
//! them has ended: a write that is still on its way to the store could otherwise overtake a later
//! one (RFC 7143 4.2.3.3).

use super::incoming::{Current, Held};
use super::task::{Phase, TaskId, unit_of};
use super::{Event, Session};
use crate::iscsi::pdu::{Pdu, RejectReason, TaskManagementRequest, TaskManagementResponse};

/// Task management functions that have an effect here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TmfFunction {
    /// One task of this session.
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
}

impl TmfFunction {
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::AbortTask,
            2 => Self::AbortTaskSet,
            4 => Self::ClearTaskSet,
            5 => Self::LogicalUnitReset,
            6 => Self::TargetWarmReset,
            7 => Self::TargetColdReset,
            _ => return None,
        })
    }
}

/// TMF responses (RFC 7143 11.6.1).
pub mod tmf_response {
    /// Function complete.
    pub const COMPLETE: u8 = 0;
    /// Task does not exist.
    pub const NO_TASK: u8 = 1;
    /// LUN does not exist.
    pub const NO_LUN: u8 = 2;
    /// Task management function not supported.
    pub const NOT_SUPPORTED: u8 = 5;
}

/// Requests whose answers may wait at once; more are rejected.
const PENDING_MAX: usize = 16;

/// A request whose answer waits.
#[derive(Debug)]
pub(super) struct PendingTmf {
    itt: u32,
    /// Marked tasks that still run.
    waits_for: Vec<TaskId>,
    /// The driver's answer, once it is there.
    response: Option<u8>,
}

impl<D: Clone> Session<D> {
    pub(super) fn manage(&mut self, request: &TaskManagementRequest) {
        if self.management.len() >= PENDING_MAX {
            return self.reject(RejectReason::ImmediateCommand, &request.encode());
        }
        let Some(function) = TmfFunction::from_code(request.function) else {
            return self.management_response(request.itt, tmf_response::NOT_SUPPORTED);
        };
        let (waits_for, response) = match function {
            TmfFunction::AbortTask => self.abort_task(request),
            TmfFunction::AbortTaskSet
            | TmfFunction::ClearTaskSet
            | TmfFunction::LogicalUnitReset => (self.abort(Some(request.lun)), None),
            TmfFunction::TargetWarmReset | TmfFunction::TargetColdReset => (self.abort(None), None),
        };
        let needs_driver = response.is_none();
        self.management.push(PendingTmf { itt: request.itt, waits_for, response });
        if needs_driver {
            let (itt, lun) = (request.itt, request.lun);
            self.events.push_back(Event::Management { itt, function, lun });
        }
        self.answer_management();
    }

    /// The driver has done its part of a task management function.
    pub fn management_done(&mut self, itt: u32, response: u8) {
        if let Some(pending) = self.management.iter_mut().find(|pending| pending.itt == itt) {
            pending.response = Some(response);
        }
        self.answer_management();
    }

    /// Drops or marks every task on `lun` (all: `None`), for a function that another session
    /// asked for, or because this session ends. Returns those that still run.
    pub fn abort(&mut self, lun: Option<u64>) -> Vec<TaskId> {
        let ids: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.phase != Phase::Dropped)
            .filter(|(_, task)| lun.is_none_or(|lun| unit_of(task.command.lun) == unit_of(lun)))
            .filter_map(|(key, _)| u32::try_from(key).ok().map(TaskId))
            .collect();
        ids.into_iter().filter(|id| self.abort_one(*id)).collect()
    }

    /// True while an aborted task still runs.
    #[must_use]
    pub fn is_aborted(&self, id: TaskId) -> bool {
        self.tasks.get(id.0 as usize).is_some_and(|task| task.aborted)
    }

    /// True if the task still runs.
    fn abort_one(&mut self, id: TaskId) -> bool {
        let Some(task) = self.tasks.get_mut(id.0 as usize) else { return false };
        if task.phase == Phase::Dropped {
            return false;
        }
        // One that is done and only waits for the end of the initiator's data does not run.
        if task.phase == Phase::Running && task.completion.is_none() {
            task.aborted = true;
            return true;
        }
        if matches!(self.current, Current::Command { task, .. } if task == id) {
            let cmd_sn = (!task.command.immediate).then_some(task.command.cmd_sn);
            self.current = Current::Aborted { cmd_sn };
        }
        for (_, held) in &mut self.held {
            if matches!(held, Held::Command(held) if *held == id) {
                *held = Held::Void;
            }
        }
        self.drop_task(id);
        false
    }

    fn abort_task(&mut self, request: &TaskManagementRequest) -> (Vec<TaskId>, Option<u8>) {
        let found = self.by_itt.get(&request.referenced_tag).copied();
        if let Some(id) = found.filter(|id| {
            self.command(*id).is_some_and(|command| unit_of(command.lun) == unit_of(request.lun))
        }) {
            let waits_for = if self.abort_one(id) { vec![id] } else { Vec::new() };
            return (waits_for, Some(tmf_response::COMPLETE));
        }
        // Not here yet: its number is taken, so that it has no effect when it comes.
        let number = request.ref_cmd_sn;
        let on_its_way = self.window.contains(number)
            && !self.held.iter().any(|(held, _)| *held == number)
            && (request.immediate || number != request.cmd_sn);
        if on_its_way {
            self.hold(number, Held::Void);
            return (Vec::new(), Some(tmf_response::COMPLETE));
        }
        (Vec::new(), Some(tmf_response::NO_TASK))
    }

    /// A marked task has ended.
    pub(super) fn task_ended(&mut self, id: TaskId) {
        for pending in &mut self.management {
            pending.waits_for.retain(|waiting| *waiting != id);
        }
        self.answer_management();
    }

    fn answer_management(&mut self) {
        while let Some(i) = self
            .management
            .iter()
            .position(|pending| pending.waits_for.is_empty() && pending.response.is_some())
        {
            let pending = self.management.remove(i);
            let response = pending.response.unwrap_or(tmf_response::NOT_SUPPORTED);
            self.management_response(pending.itt, response);
        }
    }

    fn management_response(&mut self, itt: u32, response: u8) {
        let pdu = TaskManagementResponse { response, itt, numbers: self.take_numbers() };
        self.send(&pdu);
    }
}
