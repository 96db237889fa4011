//! Task management functions (RFC 7143 11.5, 11.6; RFC 7144 5).
//!
//! Aborted tasks are dropped on the spot, whatever they were doing: nothing more of them reaches the
//! wire, and [`Event::Dropped`] tells the driver, which sees to it that nothing of them reaches the
//! disk. It must take all events before it sends what [`Session::next_pdu`] gives: the response to
//! the function may be there already (RFC 7143 4.2.3.3).

use super::incoming::{Current, Held};
use super::task::{TaskId, unit_of};
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

impl<D: Clone> Session<D> {
    pub(super) fn manage(&mut self, request: &TaskManagementRequest) {
        if self.management.len() >= PENDING_MAX {
            return self.reject(RejectReason::ImmediateCommand, &request.encode());
        }
        let Some(function) = TmfFunction::from_code(request.function) else {
            return self.management_response(request.itt, tmf_response::NOT_SUPPORTED);
        };
        let (itt, lun) = (request.itt, request.lun);
        match function {
            TmfFunction::AbortTask => {
                let response = self.abort_task(request);
                return self.management_response(itt, response);
            }
            TmfFunction::AbortTaskSet
            | TmfFunction::ClearTaskSet
            | TmfFunction::LogicalUnitReset => self.abort(Some(lun)),
            TmfFunction::TargetWarmReset | TmfFunction::TargetColdReset => self.abort(None),
        };
        self.management.push(itt);
        self.events.push_back(Event::Management { itt, function, lun });
    }

    /// The driver has done its part of a task management function.
    pub fn management_done(&mut self, itt: u32, response: u8) {
        if let Some(i) = self.management.iter().position(|pending| *pending == itt) {
            self.management.remove(i);
            self.management_response(itt, response);
        }
    }

    /// Drops every task on `lun` (all: `None`), for a function that another session asked for, or
    /// because this session ends. Returns how many there were.
    pub fn abort(&mut self, lun: Option<u64>) -> usize {
        let ids: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, task)| lun.is_none_or(|lun| unit_of(task.command.lun) == unit_of(lun)))
            .filter_map(|(key, _)| u32::try_from(key).ok().map(TaskId))
            .collect();
        ids.into_iter().filter(|id| self.abort_one(*id)).count()
    }

    /// False if it has been dropped already.
    fn abort_one(&mut self, id: TaskId) -> bool {
        let Some(task) = self.task(id) else { return false };
        let (immediate, cmd_sn) = (task.command.immediate, task.command.cmd_sn);
        if matches!(self.current, Current::Command { task, .. } if task == id) {
            let cmd_sn = (!immediate).then_some(cmd_sn);
            self.current = Current::Aborted { cmd_sn };
        }
        for (_, held) in &mut self.held {
            if matches!(held, Held::Command(held) if *held == id) {
                *held = Held::Void;
            }
        }
        self.drop_task(id);
        true
    }

    fn abort_task(&mut self, request: &TaskManagementRequest) -> u8 {
        let found = self.by_itt.get(&request.referenced_tag).copied();
        if let Some(id) = found.filter(|id| {
            self.command(*id).is_some_and(|command| unit_of(command.lun) == unit_of(request.lun))
        }) {
            self.abort_one(id);
            return tmf_response::COMPLETE;
        }
        // Not here yet: its number is taken, so that it has no effect when it comes.
        let number = request.ref_cmd_sn;
        let on_its_way = self.window.contains(number)
            && !self.held.iter().any(|(held, _)| *held == number)
            && (request.immediate || number != request.cmd_sn);
        if on_its_way {
            self.hold(number, Held::Void);
            return tmf_response::COMPLETE;
        }
        tmf_response::NO_TASK
    }

    fn management_response(&mut self, itt: u32, response: u8) {
        let pdu = TaskManagementResponse { response, itt, numbers: self.take_numbers() };
        self.send(&pdu);
    }
}
