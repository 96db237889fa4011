//! What is sent again when the initiator asks for it: SNACK (RFC 7143 7.1.4.1, 7.8, 11.16), at
//! ERL 1. At ERL 0 nothing is kept and every SNACK is rejected.
//!
//! Every PDU that has a StatSN of its own is kept until the initiator acknowledges that number
//! with its ExpStatSN, and with the answer of a read the driver's handle of its data. What is kept
//! is bounded ([`super::Limits::retained_bytes`], and [`OWN_BYTES_MAX`] of bytes that nobody has
//! lent); the oldest goes first, and a SNACK for it is rejected with "SNACK reject".

use std::collections::VecDeque;

use super::response::Read;
use super::task::TaskId;
use super::window::is_before;
use super::{OutPdu, Payload, Session};
use crate::iscsi::pdu::frame::Lengths;
use crate::iscsi::pdu::{
    Bhs, Numbers, Opcode, Pdu, RESERVED_TAG, RejectReason, ScsiResponse, Snack,
};

/// PDUs that may wait to be sent when more are asked for again: a few bytes of SNACK must not make
/// a queue without end.
const QUEUED_MAX: usize = 16 << 10;

/// Statuses that may be unacknowledged; more than any window has under way.
const SENT_MAX: usize = 4096;

/// Bytes of answers that the driver has no handle for (sense data, texts, echoes of pings) that
/// are kept in all: they are outside of the driver's memory budget.
const OWN_BYTES_MAX: usize = 256 << 10;

/// The same of one PDU: above it only its number is kept.
const OWN_SEGMENT_MAX: usize = 16 << 10;

/// A PDU that may be asked for again.
#[derive(Debug)]
struct Sent<D> {
    stat_sn: u32,
    pdu: OutPdu<D>,
    /// The data that went before it.
    read: Option<Read<D>>,
    /// All of it, with what the read's handle holds.
    bytes: usize,
}

impl<D> Sent<D> {
    /// A Data-In, too, holds the driver's handle.
    fn give_up_data(&mut self) {
        if matches!(self.pdu.data, Payload::Part { .. }) {
            self.pdu.data = Payload::None;
        }
    }

    fn own_bytes(&self) -> usize {
        match &self.pdu.data {
            Payload::Bytes(bytes) => bytes.len(),
            Payload::None | Payload::Part { .. } => 0,
        }
    }

    /// Its data segment was not given up.
    fn is_whole(&self) -> bool {
        !matches!(self.pdu.data, Payload::None)
            || Lengths::of(&self.pdu.bhs, false, false).data == 0
    }
}

/// All that may be asked for again, in order of StatSN.
#[derive(Debug)]
pub(super) struct Retained<D> {
    sent: VecDeque<Sent<D>>,
    bytes: usize,
    own_bytes: usize,
    /// Reads whose data is kept.
    handles: usize,
    /// The ExpStatSN that came last.
    acknowledged: u32,
}

impl<D> Retained<D> {
    pub(super) fn new(stat_sn: u32) -> Self {
        Self { sent: VecDeque::new(), bytes: 0, own_bytes: 0, handles: 0, acknowledged: stat_sn }
    }

    /// What is kept, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn push(&mut self, sent: Sent<D>, limit: usize) {
        self.bytes += sent.bytes;
        self.own_bytes += sent.own_bytes();
        self.handles += usize::from(sent.read.is_some());
        self.sent.push_back(sent);
        while self.bytes > limit || self.own_bytes > OWN_BYTES_MAX || self.sent.len() > SENT_MAX {
            self.pop();
        }
    }

    /// Gives up the data of reads.
    fn forget_data(&mut self) {
        if self.handles == 0 {
            return;
        }
        self.handles = 0;
        for sent in &mut self.sent {
            let Some(read) = sent.read.take() else { continue };
            sent.give_up_data();
            sent.bytes -= read.held;
            self.bytes -= read.held;
        }
    }

    fn pop(&mut self) {
        let Some(sent) = self.sent.pop_front() else { return };
        self.bytes -= sent.bytes;
        self.own_bytes -= sent.own_bytes();
        self.handles -= usize::from(sent.read.is_some());
    }

    /// The answer to a command.
    fn answer_of(&mut self, itt: u32) -> Option<&mut Sent<D>> {
        let is_it = |sent: &&mut Sent<D>| {
            let is_answer =
                matches!(Opcode::of(&sent.pdu.bhs), Some(Opcode::ScsiResponse | Opcode::DataIn));
            is_answer && sent.pdu.bhs[16..20] == itt.to_be_bytes()
        };
        self.sent.iter_mut().rev().find(is_it)
    }
}

/// Why a SNACK is not obeyed.
struct Refused {
    reason: RejectReason,
    /// The next DataSN or R2TSN, for a protocol error (11.17.2).
    next: u32,
}

const NOT_KEPT: Refused = Refused { reason: RejectReason::SnackReject, next: 0 };

fn protocol_error(next: u32) -> Refused {
    Refused { reason: RejectReason::ProtocolError, next }
}

/// The numbers that a SNACK asks for, up to `next`, which is not sent yet; none of them may be
/// acknowledged (11.16).
fn run(snack: &Snack, acknowledged: u32, next: u32) -> Option<(u32, u32)> {
    if snack.begin_run == 0 && snack.run_length == 0 {
        return Some((acknowledged, next));
    }
    // As distances, for StatSN may wrap.
    let sent = next.wrapping_sub(acknowledged);
    let begin = snack.begin_run.wrapping_sub(acknowledged);
    let left = sent.checked_sub(begin).filter(|left| *left > 0 && snack.run_length <= *left)?;
    let length = if snack.run_length == 0 { left } else { snack.run_length };
    Some((snack.begin_run, snack.begin_run.wrapping_add(length)))
}

impl<D: Clone> Session<D> {
    /// True if the data of a read whose handle holds so many bytes is kept: one read must not
    /// push out all else.
    pub(super) fn keeps(&self, held: usize) -> bool {
        self.recovers() && held <= self.limits.retained_bytes / 4
    }

    /// Keeps a PDU that has a StatSN and is queued, and the data that it concludes.
    pub(super) fn retain(&mut self, mut pdu: OutPdu<D>, read: Option<Read<D>>) {
        let limit = self.limits.retained_bytes;
        let read = read.filter(|read| self.keeps(read.held));
        if matches!(&pdu.data, Payload::Bytes(bytes) if bytes.len() > OWN_SEGMENT_MAX) {
            pdu.data = Payload::None;
        }
        let mut sent = Sent { stat_sn: stat_sn_of(&pdu.bhs), pdu, read, bytes: 0 };
        if sent.read.is_none() {
            sent.give_up_data();
        }
        let data = sent.read.as_ref().map_or(0, |read| read.held);
        sent.bytes = size_of::<Sent<D>>() + sent.own_bytes() + data;
        self.connection.retained.push(sent, limit);
        if self.connection.retained.bytes() > limit / 2 {
            // The answer acknowledges what has arrived.
            self.ping_unless_outstanding();
        }
    }

    /// True if data of reads is kept, which [`Self::forget_data`] would give up.
    #[must_use]
    pub fn keeps_data(&self) -> bool {
        let mut all = std::iter::once(&self.connection).chain(&self.others);
        all.any(|connection| connection.retained.handles > 0)
    }

    /// Gives up what is kept of the data of reads, where memory is short. True if there was any.
    pub fn forget_data(&mut self) -> bool {
        if !self.keeps_data() {
            return false;
        }
        let others = self.others.iter_mut().map(|other| &mut other.retained);
        std::iter::once(&mut self.connection.retained)
            .chain(others)
            .for_each(Retained::forget_data);
        true
    }

    /// The initiator has everything before `exp_stat_sn`.
    pub(super) fn acknowledge(&mut self, exp_stat_sn: u32) {
        let retained = &mut self.connection.retained;
        let sent = self.connection.stat_sn.wrapping_sub(retained.acknowledged);
        if exp_stat_sn.wrapping_sub(retained.acknowledged) > sent {
            return;
        }
        retained.acknowledged = exp_stat_sn;
        while retained.sent.front().is_some_and(|sent| is_before(sent.stat_sn, exp_stat_sn)) {
            retained.pop();
        }
    }

    pub(super) fn snack(&mut self, snack: &Snack) {
        const DATA_OR_R2T: u8 = 0;
        const STATUS: u8 = 1;
        const DATA_ACK: u8 = 2;
        const R_DATA: u8 = 3;
        let connection = self.connection.id;
        let is_its = |id: &TaskId| {
            self.tasks.get(id.0 as usize).is_some_and(|task| task.connection == connection)
        };
        let active = self.by_itt.get(&snack.itt).copied().filter(is_its);
        let obeyed = if !self.recovers() || self.queue_is_long() {
            Err(NOT_KEPT)
        } else {
            match (snack.kind, active) {
                (DATA_OR_R2T, Some(id)) => self.resend_r2ts(id, snack),
                (DATA_OR_R2T, None) => self.resend_data(snack),
                (STATUS, _) => self.resend_status(snack),
                (DATA_ACK, _) => {
                    let obeyed = self.data_acknowledged(snack);
                    self.acknowledge(snack.exp_stat_sn);
                    obeyed
                }
                (R_DATA, active) => self.resend_cut_anew(active, snack),
                _ => Err(Refused { reason: RejectReason::InvalidField, next: 0 }),
            }
        };
        if let Err(Refused { reason, next }) = obeyed {
            let header = self.arrived_header();
            self.reject_numbered(reason, next, header);
        }
    }

    /// Too much waits to be sent, in PDUs or in bytes: each of them costs a digest at least.
    fn queue_is_long(&self) -> bool {
        self.connection.out.len() > QUEUED_MAX
            || self.connection.queued_bytes > self.limits.retained_bytes
    }

    fn resend_status(&mut self, snack: &Snack) -> Result<(), Refused> {
        let (begin, end) =
            run(snack, self.connection.retained.acknowledged, self.connection.stat_sn)
                .ok_or(protocol_error(0))?;
        let numbers = self.numbers();
        let count = end.wrapping_sub(begin);
        let again: Vec<OutPdu<D>> = self
            .connection
            .retained
            .sent
            .iter()
            .filter(|sent| sent.stat_sn.wrapping_sub(begin) < count)
            .filter(|sent| sent.is_whole())
            .map(|sent| {
                let mut pdu = sent.pdu.clone();
                Numbers { stat_sn: sent.stat_sn, ..numbers }.put(&mut pdu.bhs);
                pdu
            })
            .collect();
        if again.len() < count as usize {
            return Err(NOT_KEPT);
        }
        again.into_iter().for_each(|pdu| self.queue(pdu));
        Ok(())
    }

    /// Of a command that is not answered only R2Ts have been sent.
    fn resend_r2ts(&mut self, id: TaskId, snack: &Snack) -> Result<(), Refused> {
        let task = self.task(id).ok_or(protocol_error(0))?;
        let next = task.r2t_sn;
        // Those that are served are acknowledged.
        let first = task.r2ts.iter().map(|r2t| r2t.r2t_sn).min().unwrap_or(next);
        let (begin, end) = run(snack, first, next).ok_or(protocol_error(next))?;
        let again: Vec<_> =
            task.r2ts.iter().filter(|r2t| (begin..end).contains(&r2t.r2t_sn)).copied().collect();
        let (lun, itt) = (task.command.lun, task.command.itt);
        for r2t in again {
            self.send_r2t(lun, itt, &r2t);
        }
        Ok(())
    }

    fn resend_data(&mut self, snack: &Snack) -> Result<(), Refused> {
        let sent = self.connection.retained.answer_of(snack.itt).ok_or(protocol_error(0))?;
        let expected = data_ins_of(&sent.pdu.bhs);
        let read = match &sent.read {
            Some(read) => read.clone(),
            None if expected > 0 => return Err(NOT_KEPT),
            None => return Err(protocol_error(0)),
        };
        let stat_sn = sent.stat_sn;
        let next = read.end();
        let (begin, end) = run(snack, read.acknowledged, next).ok_or(protocol_error(next))?;
        self.data_in(&read, begin..end, Some(stat_sn));
        Ok(())
    }

    fn data_acknowledged(&mut self, snack: &Snack) -> Result<(), Refused> {
        let refused = Refused { reason: RejectReason::InvalidDataAck, next: 0 };
        if snack.ttt == RESERVED_TAG {
            return Err(refused);
        }
        let mut reads =
            self.connection.retained.sent.iter_mut().filter_map(|sent| sent.read.as_mut());
        // It was asked for; what it is about may have been given up since.
        let Some(read) = reads.find(|read| read.ttt == snack.ttt) else { return Ok(()) };
        let unacknowledged = read.acknowledged..=read.end();
        if read.lun != snack.lun
            || snack.run_length != 0
            || !unacknowledged.contains(&snack.begin_run)
        {
            return Err(refused);
        }
        read.acknowledged = snack.begin_run;
        Ok(())
    }

    /// R-Data SNACK: all data that is not acknowledged, cut as the initiator takes it now, and a
    /// response with the tag (11.16.3).
    fn resend_cut_anew(&mut self, active: Option<TaskId>, snack: &Snack) -> Result<(), Refused> {
        let tag = snack.ttt;
        if tag == 0 || tag == RESERVED_TAG || snack.begin_run != 0 || snack.run_length != 0 {
            return Err(Refused { reason: RejectReason::InvalidField, next: 0 });
        }
        if let Some(task) = active.and_then(|id| self.task(id)) {
            // Nothing has been sent yet; the response will have the tag.
            task.snack_tag = tag;
            return Ok(());
        }
        let segment_max = self.segment_max();
        let sent = self.connection.retained.answer_of(snack.itt).ok_or(protocol_error(0))?;
        let read = sent.read.as_mut().ok_or(NOT_KEPT)?;
        read.cut_anew(segment_max);
        // The status may have been in the last Data-In: now it goes apart.
        let status = read.status.take();
        let mut response = match status {
            Some((status, overflow)) => ScsiResponse::of(snack.itt, status, overflow),
            None => ScsiResponse::parse(&sent.pdu.bhs).map_err(|_| NOT_KEPT)?,
        };
        response.snack_tag = tag;
        response.exp_data_sn = read.end();
        response.numbers.stat_sn = sent.stat_sn;
        let read = read.clone();
        let data = match &sent.pdu.data {
            Payload::Bytes(sense) => Payload::Bytes(sense.clone()),
            Payload::None | Payload::Part { .. } => Payload::None,
        };
        let mut bhs = response.encode();
        if let Payload::Bytes(sense) = &data {
            crate::iscsi::pdu::frame::set_data_length(&mut bhs, sense.len());
        }
        let stat_sn = sent.stat_sn;
        sent.pdu = OutPdu { bhs, data };
        let mut pdu = sent.pdu.clone();
        self.data_in(&read, read.acknowledged..read.end(), None);
        Numbers { stat_sn, ..self.numbers() }.put(&mut pdu.bhs);
        self.queue(pdu);
        Ok(())
    }
}

fn stat_sn_of(bhs: &Bhs) -> u32 {
    u32::from_be_bytes([bhs[24], bhs[25], bhs[26], bhs[27]])
}

/// How many Data-In PDUs an answer concludes: itself, or those that it counts.
fn data_ins_of(bhs: &Bhs) -> u32 {
    match ScsiResponse::parse(bhs) {
        Ok(response) if Opcode::of(bhs) == Some(Opcode::ScsiResponse) => response.exp_data_sn,
        _ => 1,
    }
}
