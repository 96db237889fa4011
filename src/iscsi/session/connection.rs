//! The connections of a session (RFC 7143 4.2.5.1, 6.3.4, 7.14): what each has of its own, how one
//! joins, and how one ends.
//!
//! One of them is *attended*: [`super::Session::header`], [`super::Session::next_pdu`] and all
//! that has to do with a stream of PDUs is about that one. What belongs to a task, or to a request
//! that waited, happens on the connection that it came by, whichever is attended.

use std::collections::VecDeque;

use super::control::Ping;
use super::incoming::{Current, Header, Held};
use super::recovery::Retained;
use super::task::{Phase, TaskId, unit_of};
use super::text::TextExchange;
use super::window::is_before;
use super::{CloseReason, Event, OutPdu, Session};
use crate::iscsi::login::{Established, SessionParams};
use crate::iscsi::pdu::Numbers;

/// Handle of a connection; no other one of the session ever has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(u32);

impl ConnectionId {
    /// That of the connection which made the session.
    #[must_use]
    pub const fn first() -> Self {
        Self(0)
    }
}

/// What a connection has of its own.
pub(super) struct Connection<D> {
    pub(super) id: ConnectionId,
    /// As the initiator calls it.
    pub(super) cid: u16,
    /// Those of the session are the same in all of its connections.
    pub(super) params: SessionParams,
    pub(super) stat_sn: u32,
    /// The ExpStatSN that came last.
    pub(super) exp_stat_sn: u32,
    /// How far it was behind then.
    pub(super) unseen: u32,
    pub(super) retained: Retained<D>,
    pub(super) current: Current,
    pub(super) header: Header,
    pub(super) text: Option<TextExchange>,
    pub(super) ping: Ping,
    pub(super) closing: bool,
    pub(super) out: VecDeque<OutPdu<D>>,
    /// Of the data segments in `out`.
    pub(super) queued_bytes: usize,
}

impl<D> Connection<D> {
    fn new(id: ConnectionId, established: Established) -> Self {
        Self {
            id,
            cid: established.names.cid,
            params: established.params,
            stat_sn: established.stat_sn,
            exp_stat_sn: established.stat_sn,
            unseen: 0,
            retained: Retained::new(established.stat_sn),
            current: Current::None,
            header: Header::default(),
            text: None,
            ping: Ping::default(),
            closing: false,
            out: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    /// That of the login which made the session.
    pub(super) fn leading(established: Established) -> Self {
        Self::new(ConnectionId::first(), established)
    }

    /// Notes how far the ExpStatSN that came is behind; one that is ahead is a mistake.
    pub(super) fn look_at_unseen(&mut self) {
        let behind = self.stat_sn.wrapping_sub(self.exp_stat_sn);
        self.unseen = if is_before(self.exp_stat_sn, self.stat_sn) { behind } else { 0 };
    }

    /// It may be told something of the target's own accord.
    pub(super) fn is_told(&self) -> bool {
        self.ping.peer_pings && !self.closing
    }
}

impl<D: Clone> Session<D> {
    /// The attended connection.
    #[must_use]
    pub fn attended(&self) -> ConnectionId {
        self.connection.id
    }

    /// Attends to a connection. False if it is not there (any more).
    pub fn attend(&mut self, id: ConnectionId) -> bool {
        if self.connection.id == id {
            return true;
        }
        let Some(other) = self.others.iter_mut().find(|other| other.id == id) else {
            return false;
        };
        std::mem::swap(&mut self.connection, other);
        true
    }

    /// Does something on a connection, and attends to the same one as before again. Nothing
    /// happens if the connection has gone.
    pub(super) fn on(&mut self, id: ConnectionId, what: impl FnOnce(&mut Self)) {
        let before = self.connection.id;
        if self.attend(id) {
            what(self);
            self.attend(before);
        }
    }

    /// As [`Self::on`], with the connection of a task.
    pub(super) fn on_its_connection(&mut self, id: TaskId, what: impl FnOnce(&mut Self)) {
        if let Some(connection) = self.task(id).map(|task| task.connection) {
            self.on(connection, what);
        }
    }

    /// Does something on each of the other connections.
    pub(super) fn on_others(&mut self, mut what: impl FnMut(&mut Self)) {
        let ids: Vec<ConnectionId> = self.others.iter().map(|other| other.id).collect();
        for id in ids {
            self.on(id, &mut what);
        }
    }

    /// Answers that the initiator had not taken in when it sent the last of its requests, by its
    /// ExpStatSN; on the connection where there were most.
    pub fn unseen_answers(&self) -> u32 {
        let others = self.others.iter().map(|other| other.unseen);
        others.fold(self.connection.unseen, u32::max)
    }

    /// The connections that are not closing, by their CIDs.
    pub fn open_connections(&self) -> impl Iterator<Item = u16> {
        let all = std::iter::once(&self.connection).chain(&self.others);
        all.filter(|connection| !connection.closing).map(|connection| connection.cid)
    }

    /// ExpCmdSN and MaxCmdSN, for the last response of a login that adds a connection.
    pub fn login_numbers(&mut self) -> (u32, u32) {
        let Numbers { exp_cmd_sn, max_cmd_sn, .. } = self.numbers();
        (exp_cmd_sn, max_cmd_sn)
    }

    /// Adds a connection that has logged in. One of the same CID is logged out by that, with the
    /// tasks that are on it (connection reinstatement, RFC 7143 6.3.4).
    pub fn join(&mut self, established: Established) -> ConnectionId {
        let cid = established.names.cid;
        let is_same = |other: &Connection<D>| other.cid == cid && !other.closing;
        let all = std::iter::once(&self.connection).chain(&self.others);
        let old = all.filter(|other| is_same(other)).map(|other| other.id).next();
        if let Some(old) = old {
            self.end_tasks_of(old);
            self.on(old, |session| session.close(CloseReason::Reinstated));
        }
        let id = ConnectionId(self.next_connection);
        self.next_connection = self.next_connection.wrapping_add(1);
        self.others.push(Connection::new(id, established));
        id
    }

    /// The driver has closed a connection, or has found it closed. What is on it ends unanswered.
    /// If nothing had announced it, the connection has failed, and at ERL 0 the session with it:
    /// there is no way but session recovery (RFC 7143 7.14).
    pub fn disconnected(&mut self, id: ConnectionId) {
        let before = self.connection.id;
        if !self.attend(id) {
            return;
        }
        if !self.connection.closing {
            self.fail(CloseReason::Lost);
        }
        self.end_tasks_of(id);
        if before != id {
            self.attend(before);
            self.others.retain(|other| other.id != id);
        } else if let Some(other) = self.others.pop() {
            // The last one stays, closed.
            self.connection = other;
        }
        self.answer_acknowledged();
    }

    /// Closes the attended connection for a fault, and above ERL 0 nothing else.
    pub(super) fn fail(&mut self, reason: CloseReason) {
        self.close(reason);
        if !self.recovers() {
            self.on_others(|session| session.close(CloseReason::SessionEnd));
        }
    }

    /// Closes all connections; the attended one is the one that hears why.
    pub(super) fn close_all(&mut self, reason: CloseReason) {
        self.on_others(|session| session.close(CloseReason::SessionEnd));
        self.close(reason);
    }

    /// Closes the attended connection: nothing that arrives by it from now on has any effect.
    pub(super) fn close(&mut self, reason: CloseReason) {
        let connection = &mut self.connection;
        if connection.closing {
            return;
        }
        connection.closing = true;
        connection.text = None;
        let id = connection.id;
        if reason.is_from_elsewhere() {
            connection.out.clear();
            connection.queued_bytes = 0;
        }
        self.management.retain(|pending| pending.connection != id);
        self.postponed.retain(|(connection, _)| *connection != id);
        self.events.push_back(Event::Close(id, reason));
    }

    /// A connection is logged out: its tasks end, and unless it is the attended one, which has to
    /// carry the answer, it is closed.
    pub(super) fn end_tasks_of_cid(&mut self, cid: u16) {
        if self.connection.cid == cid {
            return self.end_tasks_of(self.connection.id);
        }
        let is_it = |other: &&Connection<D>| other.cid == cid && !other.closing;
        let Some(id) = self.others.iter().find(is_it).map(|other| other.id) else { return };
        self.end_tasks_of(id);
        self.on(id, |session| session.close(CloseReason::LogoutElsewhere));
    }

    /// Ends what came by a connection and has not been answered. What still waits for its turn
    /// counts as not received: the initiator sends it again by another connection (7.14).
    pub(super) fn end_tasks_of(&mut self, id: ConnectionId) {
        let tasks = &self.tasks;
        self.held.retain(|(_, held)| match held {
            Held::Command(task) => {
                tasks.get(task.0 as usize).is_none_or(|task| task.connection != id)
            }
            Held::Other(connection, ..) => *connection != id,
            Held::Void => true,
        });
        self.held_bytes = self.held.iter().map(|(_, held)| held.bytes()).sum();
        let of_it: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.connection == id && task.phase != Phase::Dropped)
            .filter_map(|(key, _)| u32::try_from(key).ok().map(TaskId))
            .collect();
        let mut all = std::iter::once(&self.connection).chain(&self.others);
        let goes_on = all.any(|other| other.id != id && !other.closing);
        let mut cleared = Vec::new();
        for task in of_it {
            let Some(task) = self.drop_task(task) else { continue };
            let unit = unit_of(task.command.lun);
            if goes_on && task.phase != Phase::Arriving && !cleared.contains(&unit) {
                cleared.push(unit);
                self.events.push_back(Event::Cleared { lun: task.command.lun });
            }
        }
        self.on(id, |session| session.connection.current = Current::Ignored);
    }
}
