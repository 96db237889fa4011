//! Data from the initiator: unsolicited data, R2T, Data-Out (RFC 7143 4.2.5.2, 11.7, 11.8).
//!
//! Data comes in order, within a sequence and from sequence to sequence: DataPDUInOrder and
//! DataSequenceInOrder are always Yes. When a PDU of a sequence is lost (a wrong digest, a gap in
//! DataSN), ERL 0 fails the command once the sequence has ended; above it, the rest of the
//! sequence is discarded and asked for again.

use super::incoming::{Current, refuse};
use super::response::Completion;
use super::task::{Fault, Phase, Solicited, Task, TaskId};
use super::{Dest, Event, Session};
use crate::iscsi::pdu::{DataOut, R2t, RESERVED_TAG, RejectReason};

impl<D: Clone> Session<D> {
    /// The driver takes a command, which wants `data_out` bytes from the initiator, and has the
    /// memory for them. True: it may be executed now; false: [`Event::Ready`] will say when.
    pub fn admitted(&mut self, id: TaskId, data_out: u64) -> bool {
        let Some(task) = self.task(id) else { return false };
        let expected = if task.command.write { task.command.expected_length } else { 0 };
        task.wanted = u32::try_from(data_out).unwrap_or(u32::MAX).min(expected);
        task.solicited_end = task.unsolicited;
        let is_there = !task.unsolicited_open && task.unsolicited >= task.wanted;
        if is_there && task.fault.is_none() {
            task.phase = Phase::Running;
            return true;
        }
        task.phase = Phase::Gathering;
        self.on_its_connection(id, |session| session.advance(id));
        false
    }

    pub(super) fn data_out_header(&mut self, pdu: &DataOut, len: u32) -> (Current, Dest) {
        let Some(&id) = self.by_itt.get(&pdu.itt) else {
            // Of a task that was aborted, or never was (RFC 7143 4.2.3.3).
            return (Current::Ignored, Dest::Discard);
        };
        let first_burst = self.connection.params.first_burst_length;
        let recovers = self.recovers();
        let connection = self.connection.id;
        let Some(task) = self.task(id) else { return (Current::Ignored, Dest::Discard) };
        if task.connection != connection {
            return refuse(RejectReason::ProtocolError);
        }
        let checked = if pdu.ttt == RESERVED_TAG {
            // All data is there, and in use.
            if matches!(task.phase, Phase::Ready | Phase::Running) {
                return refuse(RejectReason::ProtocolError);
            }
            task.check_unsolicited(pdu, len, first_burst, recovers)
        } else {
            let Some(i) = task.r2ts.iter().position(|r2t| r2t.ttt == pdu.ttt) else {
                return refuse(RejectReason::InvalidField);
            };
            task.check_solicited(i, pdu, len, recovers)
        };
        if let Arrival::Faulty(fault) = checked {
            task.fault.get_or_insert(fault);
        }
        // A command that has failed already only waits for the end of its data.
        let is_over = task.fault.is_some() || task.completion.is_some();
        let dest = match checked {
            Arrival::Good if !is_over => Dest::Task(id, pdu.buffer_offset),
            _ => Dest::Discard,
        };
        let (ttt, is_final) = (pdu.ttt, pdu.is_final);
        (Current::DataOut { task: id, ttt, len, is_final }, dest)
    }

    pub(super) fn data_out_arrived(
        &mut self,
        id: TaskId,
        ttt: u32,
        len: u32,
        is_final: bool,
        digest_ok: bool,
    ) {
        let recovers = self.recovers();
        let first_burst = self.connection.params.first_burst_length;
        let Some(task) = self.task(id) else { return };
        if !digest_ok && !recovers {
            task.fault.get_or_insert(Fault::DataDigest);
        }
        let mut missing = None;
        if ttt == RESERVED_TAG {
            task.unsolicited_arrived(len, is_final, digest_ok, first_burst);
        } else {
            missing = task.solicited_arrived(ttt, len, is_final, digest_ok);
        }
        let failed = task.fault.is_some() || task.completion.is_some();
        if let Some((offset, len)) = missing.filter(|_| !failed) {
            // A recovery R2T (RFC 7143 11.8).
            self.ask(id, offset, len);
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
                    task.phase = Phase::Ready;
                    self.events.push_back(Event::Ready(id));
                }
            }
        }
    }

    /// Sends as many R2Ts as the task needs and the initiator allows.
    fn solicit(&mut self, id: TaskId) {
        loop {
            let outstanding_max = usize::from(self.connection.params.max_outstanding_r2t);
            let burst_max = self.connection.params.max_burst_length;
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
        #[cfg(test)]
        let offset = match self.bug {
            Some(super::tests::Bug::R2tOverlap) => offset.saturating_sub(4),
            _ => offset,
        };
        let Some(task) = self.task(id) else { return };
        let r2t_sn = task.r2t_sn;
        task.r2t_sn = r2t_sn.wrapping_add(1);
        let asked = Solicited { ttt, r2t_sn, offset, len, received: 0, data_sn: 0, lost: false };
        task.r2ts.push(asked);
        let (lun, itt) = (task.command.lun, task.command.itt);
        self.send_r2t(lun, itt, &asked);
    }

    pub(super) fn send_r2t(&mut self, lun: u64, itt: u32, asked: &Solicited) {
        let r2t = R2t {
            lun,
            itt,
            ttt: asked.ttt,
            numbers: self.numbers(),
            r2t_sn: asked.r2t_sn,
            buffer_offset: asked.offset,
            desired_length: asked.len,
        };
        self.send(&r2t);
    }
}

/// What a Data-Out PDU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// The next part of its sequence.
    Good,
    /// Behind something that is lost: it is going to come again.
    Stale,
    /// The command fails for it.
    Faulty(Fault),
}

impl<D> Task<D> {
    fn check_unsolicited(
        &mut self,
        pdu: &DataOut,
        len: u32,
        first_burst: u32,
        recovers: bool,
    ) -> Arrival {
        let too_much = Arrival::Faulty(Fault::UnexpectedUnsolicitedData);
        if !self.unsolicited_open {
            return too_much;
        }
        let data_sn = self.unsolicited_data_sn;
        self.unsolicited_data_sn = data_sn.wrapping_add(1);
        self.unsolicited_lost |= recovers && pdu.data_sn != data_sn;
        if self.unsolicited_lost {
            return Arrival::Stale;
        }
        let end = first_burst.min(self.command.expected_length);
        let arrival = check_place(pdu, data_sn, self.unsolicited);
        let fits = len <= end.saturating_sub(self.unsolicited);
        if arrival == Arrival::Good && !fits { too_much } else { arrival }
    }

    fn check_solicited(&mut self, i: usize, pdu: &DataOut, len: u32, recovers: bool) -> Arrival {
        let lun_ok = pdu.lun == self.command.lun;
        let r2t = &mut self.r2ts[i];
        let data_sn = r2t.data_sn;
        r2t.data_sn = data_sn.wrapping_add(1);
        r2t.lost |= recovers && pdu.data_sn != data_sn;
        // R2Ts are served in the order they were sent (11.8).
        if !lun_ok || i > 0 {
            return Arrival::Faulty(Fault::DataPhase);
        }
        if r2t.lost {
            return Arrival::Stale;
        }
        let arrival = check_place(pdu, data_sn, r2t.offset.saturating_add(r2t.received));
        let fits = len <= r2t.len.saturating_sub(r2t.received);
        let too_much = Arrival::Faulty(Fault::WrongAmount);
        if arrival == Arrival::Good && !fits { too_much } else { arrival }
    }

    fn unsolicited_arrived(&mut self, len: u32, is_final: bool, digest_ok: bool, first_burst: u32) {
        if !self.unsolicited_open {
            return;
        }
        self.unsolicited_lost |= !digest_ok;
        if self.fault.is_none() && !self.unsolicited_lost {
            self.unsolicited += len;
        }
        self.unsolicited_open = !is_final;
        self.solicited_end = self.solicited_end.max(self.unsolicited);
        // More than a burst follows, so the whole burst has to come (11.3.4, 11.4.7.2).
        let is_short = self.command.expected_length > first_burst && self.unsolicited < first_burst;
        if is_final && is_short && !self.unsolicited_lost {
            self.fault.get_or_insert(Fault::WrongAmount);
        }
    }

    /// What has to be asked for again: offset and length.
    fn solicited_arrived(
        &mut self,
        ttt: u32,
        len: u32,
        is_final: bool,
        digest_ok: bool,
    ) -> Option<(u32, u32)> {
        let i = self.r2ts.iter().position(|r2t| r2t.ttt == ttt)?;
        let r2t = &mut self.r2ts[i];
        r2t.lost |= !digest_ok;
        if !r2t.lost {
            r2t.received = r2t.received.saturating_add(len);
        }
        if !is_final {
            return None;
        }
        let r2t = self.r2ts.remove(i);
        if r2t.received >= r2t.len {
            return None;
        }
        if !r2t.lost {
            self.fault.get_or_insert(Fault::WrongAmount);
        }
        Some((r2t.offset + r2t.received, r2t.len - r2t.received))
    }
}

/// Whether a PDU is the next one of its sequence.
fn check_place(pdu: &DataOut, data_sn: u32, start: u32) -> Arrival {
    if pdu.data_sn != data_sn {
        Arrival::Faulty(Fault::DataDigest)
    } else if pdu.buffer_offset != start {
        Arrival::Faulty(Fault::DataPhase)
    } else {
        Arrival::Good
    }
}
