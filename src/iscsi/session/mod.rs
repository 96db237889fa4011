//! The full feature phase of a session, with one connection or several, at ERL 0 or 1, as a
//! sans-I/O core.
//!
//! # How it is driven
//!
//! The driver owns the socket, the data buffers and the devices. For each PDU that arrives it
//! calls [`Session::header`], puts the data segment where the answer says, and calls
//! [`Session::data`]. Then it takes the [`Event`]s: commands to admit and to execute, task
//! management, texts to answer. It comes back with [`Session::admitted`], [`Session::complete`]
//! and friends, and sends what [`Session::next_pdu`] gives, in that order. Where there are several
//! connections, it first says which one it is about: [`Session::attend`].
//!
//! The session holds no data: `D` is whatever handle the driver has for the data of a read; it
//! comes back, cloned, with the Data-In PDUs that carry a part of it. So everything here is
//! bounded by the command window, and a test needs no socket.
//!
//! # Files
//!
//! `connection`: what each connection has of its own. `window`: CmdSN. `task`: what is known of a
//! command. `incoming`: a PDU arrives. `transfer`: unsolicited data, R2T, Data-Out. `response`: how
//! a command ends. `management`: task management functions. `control`: NOP, logout, reject.
//! `recovery`: what is sent again. `notice`: asynchronous messages. `text`: text negotiation and
//! SendTargets.

mod connection;
mod control;
mod incoming;
mod management;
mod notice;
mod recovery;
mod response;
mod task;
mod text;
mod transfer;
mod window;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;

use foldhash::fast::RandomState;
use slab::Slab;

pub use connection::ConnectionId;
pub use management::{TmfFunction, tmf_response};
pub use notice::Notice;
pub use response::{Completion, Transferred};
pub use task::{Command, TaskId};
pub use text::DiscoveryScope;

use self::connection::Connection;
use self::incoming::{Current, Held};
use self::management::PendingTmf;
use self::response::Read;
use self::task::{Phase, Task};
use self::window::Window;
use super::login::{self, Established, SessionParams, SessionType};
use super::pdu::{Bhs, Numbers, Pdu, TaskManagementRequest};

/// Bounds of a session.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Immediate commands that may be in the target at once; more are rejected (0x06).
    pub immediate_commands: u32,
    /// Data bytes of pings and texts that may wait for an earlier CmdSN.
    pub held_bytes: usize,
    /// What is kept at ERL 1 for the initiator to ask for again, in bytes; also the data of reads
    /// counts, as long as it is not acknowledged. For each connection.
    pub retained_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { immediate_commands: 16, held_bytes: 512 << 10, retained_bytes: 16 << 20 }
    }
}

/// Where the data segment of a PDU belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dest {
    /// There is none.
    Nothing,
    /// Into the data of a command, at this offset.
    Task(TaskId, u32),
    /// Into a vector that is handed to [`Session::data`].
    Collect,
    /// It is to be read and forgotten.
    Discard,
}

/// What the driver has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Decide on a command: [`Session::admitted`] or [`Session::complete`].
    Command(TaskId),
    /// All its data is there: execute it and [`Session::complete`] it.
    Ready(TaskId),
    /// The task is gone: forget what is kept for it, and see to it that nothing of it happens any
    /// more, before the next PDU is sent.
    Dropped(TaskId),
    /// Tasks on this logical unit have ended with their connection, and the session goes on: its
    /// nexus is to hear of it (RFC 7143 11.14.5).
    Cleared {
        /// To which logical unit, as SAM has it.
        lun: u64,
    },
    /// The session's own tasks that a task management function is about are dropped; do the rest (other sessions, the logical unit's state) and call
    /// [`Session::management_done`].
    Management {
        /// Initiator task tag of the request.
        itt: u32,
        /// What to do.
        function: TmfFunction,
        /// To which logical unit, as SAM has it.
        lun: u64,
    },
    /// Make the list of targets and call [`Session::send_targets`].
    SendTargets(DiscoveryScope),
    /// Close the connection once everything has been sent, and call [`Session::disconnected`]. The
    /// session is over with its last connection.
    Close(ConnectionId, CloseReason),
}

/// Why a connection ends, and mostly its session with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The initiator logged out.
    Logout,
    /// The initiator had the target or its nexus reset, which drops all connections (RFC 7143
    /// 11.5.1, RFC 7144 6.3).
    Reset,
    /// The initiator broke the protocol in a way that leaves nothing to go on with.
    Protocol(&'static str),
    /// A header digest was wrong: the stream cannot be followed any further (RFC 7143 7.8).
    HeaderDigest,
    /// The initiator did not answer a ping.
    PingTimeout,
    /// The connection was found closed.
    Lost,
    /// The initiator logged it out by way of another connection.
    LogoutElsewhere,
    /// A new connection of the same CID has taken its place.
    Reinstated,
    /// The session ends; why is said for another of its connections.
    SessionEnd,
}

impl CloseReason {
    /// The initiator has asked for it, and is to have the answer before the connection closes.
    #[must_use]
    pub fn is_answered(self) -> bool {
        matches!(self, Self::Logout | Self::Reset)
    }

    /// Something has happened on another connection: what this one still had to send is not sent.
    fn is_from_elsewhere(self) -> bool {
        matches!(self, Self::LogoutElsewhere | Self::Reinstated | Self::SessionEnd)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logout => f.write_str("logout"),
            Self::Reset => f.write_str("the initiator had the target or its nexus reset"),
            Self::Protocol(what) => write!(f, "protocol error: {what}"),
            Self::HeaderDigest => f.write_str("header digest error"),
            Self::PingTimeout => f.write_str("the initiator did not answer a ping"),
            Self::Lost => f.write_str("connection lost"),
            Self::LogoutElsewhere => f.write_str("logout by way of another connection"),
            Self::Reinstated => f.write_str("the initiator has logged in anew"),
            Self::SessionEnd => f.write_str("the session has ended"),
        }
    }
}

/// A PDU to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutPdu<D> {
    /// Its header, DataSegmentLength included.
    pub bhs: Bhs,
    /// Its data segment, without padding.
    pub data: Payload<D>,
}

/// The data segment of a PDU to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<D> {
    /// There is none.
    None,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A part of the data of a read.
    Part {
        /// The driver's handle.
        data: D,
        /// First byte.
        offset: u32,
        /// Bytes.
        len: u32,
    },
}

impl<D> Payload<D> {
    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Part { len, .. } => *len as usize,
        }
    }
}

/// A PDU with a data segment of its own.
fn with_segment<D>(pdu: &impl Pdu, data: Vec<u8>) -> OutPdu<D> {
    let mut bhs = pdu.encode();
    super::pdu::frame::set_data_length(&mut bhs, data.len());
    let data = if data.is_empty() { Payload::None } else { Payload::Bytes(data) };
    OutPdu { bhs, data }
}

/// A session in its full feature phase.
pub struct Session<D> {
    // What all connections have in common (RFC 7143 4.4.3).
    session_type: SessionType,
    target_name: Option<String>,
    limits: Limits,
    login_limits: login::Limits,
    window: Window,
    /// The MaxCmdSN that the initiator was told last.
    told_max_cmd_sn: u32,
    tasks: Slab<Task<D>>,
    // Initiators choose the tags: the hash is seeded, and the command window bounds what is in it.
    by_itt: HashMap<u32, TaskId, RandomState>,
    immediate_commands: u32,
    held: Vec<(u32, Held)>,
    held_bytes: usize,
    management: Vec<PendingTmf>,
    postponed: VecDeque<(ConnectionId, TaskManagementRequest)>,
    events: VecDeque<Event>,
    next_ttt: u32,
    next_connection: u32,

    /// The attended connection, and the others.
    connection: Connection<D>,
    others: Vec<Connection<D>>,

    #[cfg(test)]
    bug: Option<tests::Bug>,
}

impl<D: Clone> Session<D> {
    /// A session that has just logged in; `login_limits` are those that its login had: they hold
    /// the command window, and what may still be negotiated.
    #[must_use]
    pub fn new(established: Established, limits: Limits, login_limits: login::Limits) -> Self {
        let window = Window::new(established.cmd_sn, login_limits.command_window);
        Self {
            session_type: established.names.session_type,
            target_name: established.names.target_name.clone(),
            limits,
            told_max_cmd_sn: window.max_cmd_sn(),
            window,
            login_limits,
            next_ttt: 1,
            next_connection: 1,
            tasks: Slab::new(),
            by_itt: HashMap::default(),
            immediate_commands: 0,
            held: Vec::new(),
            held_bytes: 0,
            management: Vec::new(),
            postponed: VecDeque::new(),
            events: VecDeque::new(),
            connection: Connection::leading(established),
            others: Vec::new(),
            #[cfg(test)]
            bug: None,
        }
    }

    /// What was negotiated.
    #[must_use]
    pub fn params(&self) -> &SessionParams {
        &self.connection.params
    }

    /// The next thing for the driver to do.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let event = self.events.pop_front()?;
            match event {
                Event::Dropped(id) => {
                    self.tasks.try_remove(id.0 as usize);
                }
                // Overtaken by the end of the task.
                Event::Command(id) if self.task(id).is_none() => continue,
                Event::Ready(id) => match self.task(id) {
                    Some(task) if task.phase == Phase::Ready => task.phase = Phase::Running,
                    _ => continue,
                },
                _ => {}
            }
            return Some(event);
        }
    }

    /// The next PDU to send.
    pub fn next_pdu(&mut self) -> Option<OutPdu<D>> {
        if self.connection.out.is_empty() {
            self.tell_window();
        }
        let pdu = self.connection.out.pop_front()?;
        self.connection.queued_bytes -= pdu.data.len();
        Some(pdu)
    }

    /// PDUs that wait to be sent.
    #[must_use]
    pub fn queued_pdus(&self) -> usize {
        self.connection.out.len()
    }

    /// What a task asks for; `None` if it is not there (any more).
    #[must_use]
    pub fn command(&self, task: TaskId) -> Option<&Command> {
        let task = self.tasks.get(task.0 as usize)?;
        (task.phase != Phase::Dropped).then_some(&task.command)
    }

    /// [`Event::Close`] has been given out: nothing more is taken in.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.connection.closing
    }

    /// True if there is no task at all, neither on the way nor in the driver's hands.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    fn task(&mut self, id: TaskId) -> Option<&mut Task<D>> {
        self.tasks.get_mut(id.0 as usize).filter(|task| task.phase != Phase::Dropped)
    }

    /// Queues a PDU that carries no data.
    fn send(&mut self, pdu: &impl Pdu) {
        self.queue(OutPdu { bhs: pdu.encode(), data: Payload::None });
    }

    /// Queues a PDU that has a StatSN of its own, with its data segment.
    fn send_counted(&mut self, pdu: &impl Pdu, data: Vec<u8>) {
        self.queue_counted(with_segment(pdu, data), None);
    }

    /// Queues a PDU that has a StatSN of its own, and keeps it with the data that it concludes.
    fn queue_counted(&mut self, pdu: OutPdu<D>, read: Option<Read<D>>) {
        let kept = self.recovers().then(|| pdu.clone());
        self.queue(pdu);
        // Last: it may send a ping, which has the next StatSN.
        if let Some(pdu) = kept {
            self.retain(pdu, read);
        }
    }

    /// Queues a PDU. Nothing comes after the last one.
    fn queue(&mut self, pdu: OutPdu<D>) {
        let connection = &mut self.connection;
        if !connection.closing {
            connection.queued_bytes += pdu.data.len();
            connection.out.push_back(pdu);
        }
    }

    /// The numbers of a PDU that has no StatSN of its own: it carries the next one.
    fn numbers(&mut self) -> Numbers {
        self.told_max_cmd_sn = self.window.max_cmd_sn();
        Numbers {
            stat_sn: self.connection.stat_sn,
            exp_cmd_sn: self.window.exp_cmd_sn(),
            max_cmd_sn: self.told_max_cmd_sn,
        }
    }

    /// What is lost is sent or asked for again (ERL 1, RFC 7143 7.1.5).
    fn recovers(&self) -> bool {
        self.connection.params.error_recovery_level > 0
    }

    /// RFC 7144 was negotiated (7.1.1).
    fn has_rfc7144(&self) -> bool {
        self.connection.params.protocol_level >= 2
    }

    /// The numbers of a PDU that is acknowledged by its StatSN.
    fn take_numbers(&mut self) -> Numbers {
        let numbers = self.numbers();
        self.connection.stat_sn = numbers.stat_sn.wrapping_add(1);
        numbers
    }

    fn take_ttt(&mut self) -> u32 {
        let ttt = self.next_ttt;
        self.next_ttt = match ttt.wrapping_add(1) {
            super::pdu::RESERVED_TAG => 0,
            next => next,
        };
        ttt
    }

    /// Takes out a task that the driver has completed.
    fn remove(&mut self, id: TaskId) -> Option<Task<D>> {
        self.task(id)?;
        let task = self.tasks.try_remove(id.0 as usize)?;
        self.settle(id, &task);
        Some(task)
    }

    /// Takes out a task that the driver may know and has not completed: it is told, and until
    /// then the number is not used again.
    fn drop_task(&mut self, id: TaskId) -> Option<Task<D>> {
        let slot = self.task(id)?;
        let mut tombstone = Task::new(slot.command.clone(), slot.connection);
        tombstone.phase = Phase::Dropped;
        let task = std::mem::replace(slot, tombstone);
        // Its number may have another task when the rest of the data is there.
        self.on(task.connection, |session| {
            let current = &mut session.connection.current;
            if matches!(current, Current::DataOut { task, .. } if *task == id) {
                *current = Current::Ignored;
            }
        });
        self.settle(id, &task);
        self.events.push_back(Event::Dropped(id));
        Some(task)
    }

    /// A task has ended: its tag is free, its credit goes back to the window.
    fn settle(&mut self, id: TaskId, task: &Task<D>) {
        if self.by_itt.get(&task.command.itt) == Some(&id) {
            self.by_itt.remove(&task.command.itt);
        }
        if task.command.immediate {
            self.immediate_commands -= 1;
        } else if task.phase != Phase::Arriving {
            #[cfg(test)]
            if self.bug == Some(tests::Bug::LosesCredit) && task.command.write {
                return;
            }
            self.window.give_back();
        }
    }
}
