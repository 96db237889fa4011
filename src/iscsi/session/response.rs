//! How a command ends: Data-In, SCSI Response, residuals (RFC 7143 11.4, 11.7).

use super::notice::with_length;
use super::task::{Fault, Task, TaskId};
use super::{OutPdu, Payload, Session};
use crate::iscsi::pdu::frame::set_data_length;
use crate::iscsi::pdu::{DataIn, Numbers, Overflow, Pdu, RESERVED_TAG, ScsiResponse};

/// GOOD, the one status that this core itself tells apart: it may ride on the last Data-In.
const GOOD: u8 = 0x00;
/// CHECK CONDITION, for the faults that this core finds itself.
const CHECK_CONDITION: u8 = 0x02;

/// What the command transferred, as its CDB has it; the residual comes from the difference to
/// what the initiator expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transferred<D> {
    /// Nothing.
    Nothing,
    /// Data for the initiator, `len` bytes of it; what goes beyond the expected length is not
    /// sent.
    In {
        /// The driver's handle.
        data: D,
        /// Bytes.
        len: u64,
    },
    /// Data from the initiator: as much as the CDB asks for, in bytes.
    Out(u64),
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion<D> {
    /// SCSI status.
    pub status: u8,
    /// Status qualifier (SAM-5 5.3.2); only sent where RFC 7144 is in use.
    pub qualifier: u16,
    /// Sense data as SPC has it; empty if there is none.
    pub sense: Vec<u8>,
    /// What was transferred.
    pub transferred: Transferred<D>,
}

impl<D> Completion<D> {
    /// CHECK CONDITION for what the initiator did wrong.
    pub(super) fn fault(fault: Fault) -> Self {
        let mut sense = vec![0; 18];
        let (key, asc, ascq) = fault.sense();
        (sense[0], sense[2], sense[7], sense[12], sense[13]) = (0x70, key, 10, asc, ascq);
        Self { status: CHECK_CONDITION, qualifier: 0, sense, transferred: Transferred::Nothing }
    }
}

/// The residual of a transfer of `actual` bytes where `expected` were (RFC 7143 11.4.5).
fn overflow(actual: u64, expected: u32) -> Overflow {
    let expected = u64::from(expected);
    let count = |difference| u32::try_from(difference).unwrap_or(u32::MAX);
    match actual.cmp(&expected) {
        std::cmp::Ordering::Equal => Overflow::None,
        std::cmp::Ordering::Greater => Overflow::Over(count(actual - expected)),
        std::cmp::Ordering::Less => Overflow::Under(count(expected - actual)),
    }
}

impl<D: Clone> Session<D> {
    /// The driver is done with a task; it forgets what it keeps for it. If data of the initiator
    /// is still on the way, the answer waits for it.
    pub fn complete(&mut self, id: TaskId, completion: Completion<D>) {
        #[cfg(test)]
        if self.bug == Some(super::tests::Bug::AnswersAborted) {
            return self.respond(id, completion);
        }
        let Some(task) = self.task(id) else { return };
        if task.aborted {
            self.remove(id);
            self.task_ended(id);
        } else if task.is_receiving() {
            task.completion = Some(completion);
        } else {
            self.respond(id, completion);
        }
    }

    /// Removes a task that the driver has completed and queues its answer.
    pub(super) fn respond(&mut self, id: TaskId, completion: Completion<D>) {
        // Removed first: the answer already carries the credit that it gives back.
        if let Some(task) = self.remove(id) {
            self.answer(&task, completion);
        }
    }

    /// Queues the answer to a command.
    pub(super) fn answer(&mut self, task: &Task<D>, completion: Completion<D>) {
        let Completion { status, qualifier, sense, transferred } = completion;
        #[cfg(test)]
        let transferred = match (&self.bug, transferred) {
            (Some(super::tests::Bug::Residual), Transferred::Out(_)) => Transferred::Nothing,
            (_, transferred) => transferred,
        };
        let command = &task.command;
        let expected_in = if command.read { command.expected_length } else { 0 };
        let mut data_ins = 0;
        let mut with_status = false;
        let residual = match transferred {
            Transferred::Nothing => overflow(0, command.expected_length),
            Transferred::Out(len) => {
                overflow(len, if command.write { command.expected_length } else { 0 })
            }
            Transferred::In { data, len } => {
                let residual = overflow(len, expected_in);
                let send = u32::try_from(len).unwrap_or(u32::MAX).min(expected_in);
                with_status = status == GOOD && sense.is_empty() && send > 0;
                let final_status = with_status.then_some((status, residual));
                data_ins = self.data_in(command.itt, &data, send, final_status);
                residual
            }
        };
        if with_status {
            return;
        }
        let response = ScsiResponse {
            response: 0,
            status,
            qualifier: if self.has_rfc7144() { qualifier } else { 0 },
            overflow: residual,
            read_overflow: overflow(0, task.fault.map_or(0, Fault::unread)),
            itt: command.itt,
            snack_tag: 0,
            numbers: self.take_numbers(),
            exp_data_sn: data_ins,
        };
        self.send_with(&response, with_length(&sense));
    }

    /// Queues `len` bytes as Data-In PDUs; the last one carries the status, if there is one to
    /// carry. Returns how many.
    fn data_in(&mut self, itt: u32, data: &D, len: u32, status: Option<(u8, Overflow)>) -> u32 {
        // Multiples of four: only the last PDU of a sequence may need padding (11.7.7).
        let segment_max = self.params.initiator_max_recv_data_segment_length.max(512) & !3;
        let burst_max = self.params.max_burst_length.max(512) & !3;
        let (mut offset, mut data_sn) = (0, 0);
        while offset < len {
            let burst_left = burst_max - offset % burst_max;
            let part = segment_max.min(len - offset).min(burst_left);
            let is_last = offset + part == len;
            let status = status.filter(|_| is_last);
            let pdu = DataIn {
                is_final: is_last || part == burst_left,
                acknowledge: false,
                status,
                lun: 0,
                itt,
                ttt: RESERVED_TAG,
                numbers: match status {
                    Some(_) => self.take_numbers(),
                    None => Numbers { stat_sn: 0, ..self.numbers() },
                },
                data_sn,
                buffer_offset: offset,
            };
            let mut bhs = pdu.encode();
            set_data_length(&mut bhs, part as usize);
            let data = Payload::Part { data: data.clone(), offset, len: part };
            self.queue(OutPdu { bhs, data });
            data_sn = data_sn.wrapping_add(1);
            offset += part;
        }
        data_sn
    }
}
