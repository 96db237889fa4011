//! How a command ends: Data-In, SCSI Response, residuals (RFC 7143 11.4, 11.7).

use std::ops::Range;

use super::notice::with_length;
use super::task::{Command, Fault, Task, TaskId};
use super::{OutPdu, Payload, Session, with_segment};
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
    /// sent, but counts for what is kept as long as the handle is.
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
        let Some(task) = self.task(id) else { return };
        if task.is_receiving() {
            task.completion = Some(completion);
        } else {
            self.on_its_connection(id, |session| session.respond(id, completion));
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
        let mut read = None;
        let residual = match transferred {
            Transferred::Nothing => overflow(0, command.expected_length),
            Transferred::Out(len) => {
                overflow(len, if command.write { command.expected_length } else { 0 })
            }
            Transferred::In { data, len } => {
                let residual = overflow(len, expected_in);
                let send = u32::try_from(len).unwrap_or(u32::MAX).min(expected_in);
                let rides = status == GOOD && sense.is_empty() && task.snack_tag == 0;
                read = (send > 0).then(|| {
                    let held = usize::try_from(len).unwrap_or(usize::MAX);
                    let status = rides.then_some((status, residual));
                    self.read_of(command, data, (send, held), status)
                });
                residual
            }
        };
        let data_ins = read.as_ref().map_or(0, |read| {
            let stat_sn = read.status.map(|_| self.take_numbers().stat_sn);
            self.data_in(read, 0..u32::MAX, stat_sn)
        });
        if read.as_ref().is_some_and(|read| read.status.is_some()) {
            if self.recovers()
                && !self.connection.closing
                && let Some(last) = self.connection.out.back().cloned()
            {
                self.retain(last, read);
            }
            return;
        }
        let response = ScsiResponse {
            qualifier: if self.has_rfc7144() { qualifier } else { 0 },
            read_overflow: overflow(0, task.fault.map_or(0, Fault::unread)),
            snack_tag: task.snack_tag,
            numbers: self.take_numbers(),
            exp_data_sn: data_ins,
            ..ScsiResponse::of(command.itt, status, residual)
        };
        self.queue_counted(with_segment(&response, with_length(&sense)), read);
    }

    /// The most bytes of a Data-In PDU: a multiple of four, for only the last one of a sequence
    /// may need padding (11.7.7).
    pub(super) fn segment_max(&self) -> u32 {
        self.connection.params.initiator_max_recv_data_segment_length.max(512) & !3
    }

    fn read_of(
        &mut self,
        command: &Command,
        data: D,
        (len, held): (u32, usize),
        status: Option<(u8, Overflow)>,
    ) -> Read<D> {
        let burst_max = self.connection.params.max_burst_length.max(512) & !3;
        // Acknowledgements are asked for at the end of each burst but the last (11.7.2), where
        // they give anything up.
        let is_acknowledged = self.keeps(held) && len > burst_max;
        Read {
            data,
            itt: command.itt,
            lun: command.lun,
            len,
            held,
            status,
            segment_max: self.segment_max(),
            burst_max,
            ttt: if is_acknowledged { self.take_ttt() } else { RESERVED_TAG },
            first_sn: 0,
            first_offset: 0,
            acknowledged: 0,
        }
    }

    /// Queues the Data-In PDUs of these numbers; the last of all carries the status, if there is
    /// one to carry, with its StatSN. Returns the next DataSN.
    pub(super) fn data_in(
        &mut self,
        read: &Read<D>,
        numbers: Range<u32>,
        stat_sn: Option<u32>,
    ) -> u32 {
        let current = self.numbers();
        let mut next = read.first_sn;
        for part in read.parts() {
            next = part.data_sn + 1;
            if !numbers.contains(&part.data_sn) {
                continue;
            }
            let status = read.status.filter(|_| part.is_last);
            let acknowledge = read.ttt != RESERVED_TAG && part.is_final && !part.is_last;
            let pdu = DataIn {
                is_final: part.is_final,
                acknowledge,
                status,
                lun: if acknowledge { read.lun } else { 0 },
                itt: read.itt,
                ttt: if acknowledge { read.ttt } else { RESERVED_TAG },
                numbers: Numbers { stat_sn: status.and(stat_sn).unwrap_or(0), ..current },
                data_sn: part.data_sn,
                buffer_offset: part.offset,
            };
            let mut bhs = pdu.encode();
            set_data_length(&mut bhs, part.len as usize);
            let data =
                Payload::Part { data: read.data.clone(), offset: part.offset, len: part.len };
            self.queue(OutPdu { bhs, data });
        }
        next
    }
}

/// The data of a read, and how it is cut into Data-In PDUs.
#[derive(Debug, Clone)]
pub(super) struct Read<D> {
    data: D,
    itt: u32,
    pub(super) lun: u64,
    /// Bytes in all.
    len: u32,
    /// Bytes that the driver's handle holds: more, where the initiator expected less.
    pub(super) held: usize,
    /// The status and the residual, if they ride on the last PDU.
    pub(super) status: Option<(u8, Overflow)>,
    segment_max: u32,
    burst_max: u32,
    /// The tag with which bursts are to be acknowledged, or the reserved one.
    pub(super) ttt: u32,
    /// From which PDU on it is cut like this: its DataSN and offset.
    first_sn: u32,
    first_offset: u32,
    /// The first DataSN that the initiator has not acknowledged.
    pub(super) acknowledged: u32,
}

/// What one Data-In PDU carries.
#[derive(Debug, Clone, Copy)]
struct Part {
    data_sn: u32,
    offset: u32,
    len: u32,
    /// The end of a burst.
    is_final: bool,
    /// The end of all data.
    is_last: bool,
}

impl<D> Read<D> {
    fn parts(&self) -> impl Iterator<Item = Part> + use<D> {
        let (mut offset, mut data_sn) = (self.first_offset, self.first_sn);
        let (len, segment_max, burst_max) = (self.len, self.segment_max, self.burst_max);
        std::iter::from_fn(move || {
            if offset >= len {
                return None;
            }
            let burst_left = burst_max - offset % burst_max;
            let bytes = segment_max.min(len - offset).min(burst_left);
            let is_last = offset + bytes == len;
            let is_final = is_last || bytes == burst_left;
            let part = Part { data_sn, offset, len: bytes, is_final, is_last };
            offset += bytes;
            data_sn += 1;
            Some(part)
        })
    }

    /// The DataSN after the last.
    pub(super) fn end(&self) -> u32 {
        self.parts().last().map_or(self.first_sn, |part| part.data_sn + 1)
    }

    /// Cuts what is not acknowledged into parts of at most so many bytes.
    pub(super) fn cut_anew(&mut self, segment_max: u32) {
        let first = self.parts().find(|part| part.data_sn == self.acknowledged);
        self.first_offset = first.map_or(self.len, |part| part.offset);
        self.first_sn = self.acknowledged;
        self.segment_max = segment_max;
    }
}
