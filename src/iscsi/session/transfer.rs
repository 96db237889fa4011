//! Data from the initiator: unsolicited data, R2T, Data-Out (RFC 7143 4.2.5.2, 11.7, 11.8).

use super::incoming::{Current, refuse};
use super::response::Completion;
use super::task::{Fault, Phase, Solicited, TaskId};
use super::{Dest, Event, Session};
use crate::iscsi::pdu::{Bhs, DataOut, R2t, RESERVED_TAG, RejectReason};

impl<D: Clone> Session<D> {
    /// The driver takes a command, which wants `data_out` bytes from the initiator, and has the
    /// memory for them. True: it may be executed now; false: [`Event::Ready`] will say when.
    pub fn admitted(&mut self, id: TaskId, data_out: u64) -> bool {
        let Some(task) = self.task(id) else { return false };
        let expected = if task.command.write { task.command.expected_length } else { 0 };
        task.wanted = u32::try_from(data_out).unwrap_or(u32::MAX).min(expected);
        task.solicited_end = task.unsolicited;
        if !task.unsolicited_open && task.unsolicited >= task.wanted {
            task.phase = Phase::Running;
            return true;
        }
        task.phase = Phase::Gathering;
        self.advance(id);
        false
    }

    pub(super) fn data_out_header(
        &mut self,
        pdu: &DataOut,
        bhs: &Bhs,
        len: u32,
    ) -> (Current, Dest) {
        let Some(&id) = self.by_itt.get(&pdu.itt) else {
            // Of a task that was aborted, or never was (RFC 7143 4.2.3.3).
            return (Current::Ignored, Dest::Discard);
        };
        let first_burst = self.params.first_burst_length;
        let Some(task) = self.task(id) else { return (Current::Ignored, Dest::Discard) };
        let (start, end, data_sn, lun_ok) = if pdu.ttt == RESERVED_TAG {
            if !task.unsolicited_open {
                return refuse(RejectReason::ProtocolError, None, bhs);
            }
            let end = first_burst.min(task.command.expected_length);
            (task.unsolicited, end, &mut task.unsolicited_data_sn, true)
        } else {
            // Sequences in order (DataSequenceInOrder=Yes): the oldest R2T is served first.
            match task.r2ts.first_mut() {
                Some(r2t) if r2t.ttt == pdu.ttt => {
                    let lun_ok = pdu.lun == task.command.lun;
                    (
                        r2t.offset.saturating_add(r2t.received),
                        r2t.offset + r2t.len,
                        &mut r2t.data_sn,
                        lun_ok,
                    )
                }
                _ => return refuse(RejectReason::ProtocolError, None, bhs),
            }
        };
        let in_order = pdu.buffer_offset == start && pdu.data_sn == *data_sn && lun_ok;
        *data_sn = data_sn.wrapping_add(1);
        if !in_order {
            task.fault.get_or_insert(Fault::DataPhase);
        } else if len > end.saturating_sub(start) {
            let fault = match pdu.ttt {
                RESERVED_TAG => Fault::UnexpectedUnsolicitedData,
                _ => Fault::DataPhase,
            };
            task.fault.get_or_insert(fault);
        }
        // A command that has failed already only waits for the end of its data.
        let dest = if task.fault.is_some() || task.completion.is_some() {
            Dest::Discard
        } else {
            Dest::Task(id, start)
        };
        let (ttt, is_final) = (pdu.ttt, pdu.is_final);
        (Current::DataOut { task: id, ttt, len, is_final, bhs: *bhs }, dest)
    }

    pub(super) fn data_out_arrived(
        &mut self,
        id: TaskId,
        ttt: u32,
        len: u32,
        is_final: bool,
        digest_ok: bool,
    ) {
        let Some(task) = self.task(id) else { return };
        if !digest_ok {
            task.fault.get_or_insert(Fault::DataDigest);
        }
        if ttt == RESERVED_TAG {
            if task.fault.is_none() {
                task.unsolicited += len;
            }
            task.unsolicited_open = !is_final;
            task.solicited_end = task.solicited_end.max(task.unsolicited);
        } else if let Some(r2t) = task.r2ts.first_mut() {
            r2t.received = r2t.received.saturating_add(len);
            if is_final {
                if r2t.received < r2t.len {
                    task.fault.get_or_insert(Fault::DataPhase);
                }
                task.r2ts.remove(0);
            }
        }
        self.advance(id);
    }

    /// Moves a task on whose data is on the way: asks for more, or ends it, or has it executed.
    pub(super) fn advance(&mut self, id: TaskId) {
        self.solicit(id);
        let Some(task) = self.task(id) else { return };
        if task.is_receiving() {
            return;
        }
        if let Some(completion) = task.completion.take() {
            self.respond(id, completion);
        } else if task.phase == Phase::Gathering {
            match task.fault {
                // The driver has not completed it: it is told.
                Some(fault) => {
                    if let Some(task) = self.drop_task(id) {
                        self.answer(&task, Completion::fault(fault));
                    }
                }
                None => {
                    task.phase = Phase::Running;
                    self.events.push_back(Event::Ready(id));
                }
            }
        }
    }

    /// Sends as many R2Ts as the task needs and the initiator allows.
    fn solicit(&mut self, id: TaskId) {
        loop {
            let outstanding_max = usize::from(self.params.max_outstanding_r2t);
            let burst_max = self.params.max_burst_length;
            let Some(task) = self.task(id) else { return };
            let failed = task.fault.is_some() || task.completion.is_some();
            let all_asked = task.solicited_end >= task.wanted;
            // Unsolicited data first: until its F, its end is not known.
            if failed
                || all_asked
                || task.unsolicited_open
                || task.phase != Phase::Gathering
                || task.r2ts.len() >= outstanding_max
            {
                return;
            }
            let offset = task.solicited_end;
            let len = burst_max.min(task.wanted - offset);
            task.solicited_end += len;
            self.ask(id, offset, len);
        }
    }

    /// Sends an R2T.
    fn ask(&mut self, id: TaskId, offset: u32, len: u32) {
        let ttt = self.take_ttt();
        let numbers = self.numbers();
        let Some(task) = self.task(id) else { return };
        task.r2ts.push(Solicited { ttt, offset, len, received: 0, data_sn: 0 });
        let r2t_sn = task.data_sn;
        task.data_sn = r2t_sn.wrapping_add(1);
        let r2t = R2t {
            lun: task.command.lun,
            itt: task.command.itt,
            ttt,
            numbers,
            r2t_sn,
            buffer_offset: offset,
            desired_length: len,
        };
        self.send(&r2t);
    }
}
