//! The connections of a session: each with its socket, both directions, and its ping timer. All of
//! them are driven by the session's one task, on one shard.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::commands::{Commands, DriverSession};
use super::driver::Driver;
use super::receive::{Received, Receiver};
use super::transmit::Transmitter;
use crate::iscsi::login::{Complete, SessionParams, SessionType};
use crate::iscsi::pdu::Pdu;
use crate::iscsi::pdu::frame::set_data_length;
use crate::iscsi::session::{CloseReason, ConnectionId, OutPdu, Payload, TaskId};
use crate::target::options::Options;
use crate::target::session::Place;

/// A connection whose login is granted, on its way to the task of the session that it joins.
pub(in crate::target) struct Joining {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) complete: Box<Complete>,
    pub(super) place: Place,
}

/// One connection of a session.
pub(super) struct Link {
    id: ConnectionId,
    stream: TcpStream,
    receiver: Receiver,
    transmitter: Transmitter,
    ping: Option<PingTimer>,
    /// It ends, when the answer to its request for that is sent.
    close: Option<CloseReason>,
    /// Its part of MaxConnections.
    _place: Place,
}

impl Link {
    pub(super) fn new(
        id: ConnectionId,
        stream: TcpStream,
        params: &SessionParams,
        ping: Option<PingTimer>,
        place: Place,
    ) -> Self {
        Self {
            id,
            stream,
            receiver: Receiver::new(params.header_digest, params.data_digest),
            transmitter: Transmitter::new(params.header_digest, params.data_digest),
            ping,
            close: None,
            _place: place,
        }
    }

    /// Reads once; true if anything came.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut DriverSession,
        commands: &mut Commands,
    ) -> io::Result<bool> {
        session.attend(self.id);
        if session.is_closing() || self.transmitter.is_full() {
            return Ok(false);
        }
        match self.receiver.receive(&self.stream, cx, session, commands)? {
            Received::Progress => {
                if let Some(ping) = &mut self.ping {
                    ping.heard = true;
                }
                Ok(true)
            }
            Received::Nothing => Ok(false),
            Received::Closed => Err(io::Error::other("closed by the initiator")),
        }
    }

    /// Sends what there is, as far as the socket takes it; true if anything has moved.
    fn send(&mut self, cx: &mut Context<'_>, session: &mut DriverSession) -> io::Result<bool> {
        session.attend(self.id);
        while let Some(pdu) = session.next_pdu() {
            self.transmitter.queue(pdu);
        }
        self.transmitter.flush(&mut self.stream, cx)
    }

    /// True if its end has come. Who has asked for it gets the answer; otherwise nobody may be
    /// there to read what is left.
    fn is_over(&self) -> bool {
        self.close.is_some_and(|reason| !reason.is_answered() || self.transmitter.is_empty())
    }

    /// Fails if the initiator is gone already.
    fn shut_down(&self) {
        let _gone = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
    }
}

/// When to ping a silent initiator, and when to give it up.
pub(super) struct PingTimer {
    interval: Duration,
    timeout: Duration,
    heard: bool,
    sleep: Pin<Box<Sleep>>,
}

impl PingTimer {
    pub(super) fn of(options: &Options, session_type: SessionType) -> Option<Self> {
        match session_type {
            SessionType::Normal => Some(Self::new(options.ping_interval?, options.ping_timeout)),
            // It ends soon anyway.
            SessionType::Discovery => None,
        }
    }

    fn new(interval: Duration, timeout: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(interval));
        Self { interval, timeout, heard: false, sleep }
    }

    /// To be polled when there is nothing else to do, with its connection attended.
    fn poll(&mut self, cx: &mut Context<'_>, session: &mut DriverSession) -> bool {
        let mut silent = false;
        while self.sleep.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.heard) {
                session.idle();
                silent = true;
            }
            let next = if session.awaits_ping() { self.timeout } else { self.interval };
            self.sleep.as_mut().reset(Instant::now() + next);
        }
        silent
    }
}

impl Driver {
    /// Reads once from each connection; true if anything came.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        self.on_each_link(|link, session, commands| link.receive(cx, session, commands))
    }

    /// Sends what there is on each connection; true if anything has moved.
    pub(super) fn send(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        self.on_each_link(|link, session, _| link.send(cx, session))
    }

    /// Pings silent initiators; true if there were any.
    pub(super) fn ping(&mut self, cx: &mut Context<'_>) -> bool {
        let mut silent = false;
        for link in &mut self.links {
            if let Some(ping) = &mut link.ping {
                self.session.attend(link.id);
                silent |= ping.poll(cx, &mut self.session);
            }
        }
        silent
    }

    /// An error is that of the last connection: others are only lost.
    fn on_each_link(
        &mut self,
        mut what: impl FnMut(&mut Link, &mut DriverSession, &mut Commands) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let mut progress = false;
        let mut i = 0;
        while let Some(link) = self.links.get_mut(i) {
            match what(link, &mut self.session, &mut self.commands) {
                Ok(moved) => {
                    progress |= moved;
                    i += 1;
                }
                Err(error) if self.links.len() == 1 => return Err(error),
                Err(error) => {
                    self.lose(i, &error.to_string());
                    progress = true;
                }
            }
        }
        Ok(progress)
    }

    /// A connection is over, and not the last one.
    fn lose(&mut self, i: usize, why: &str) {
        let link = self.links.remove(i);
        let session_id = self.ends.entry.id;
        tracing::info!(session_id, "a connection of the session ended: {why}");
        self.why = Some(why.to_owned());
        self.session.disconnected(link.id);
        link.shut_down();
    }

    /// The session has closed a connection.
    pub(super) fn close(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(i) = self.links.iter().position(|link| link.id == id) else { return };
        if reason.is_answered() || self.links.len() == 1 {
            self.links[i].close = Some(reason);
        } else {
            self.lose(i, &reason.to_string());
        }
    }

    /// Lets connections go whose end has come. The reason, if the session ends with them.
    pub(super) fn reap(&mut self) -> Option<String> {
        while let Some(i) = self.links.iter().position(Link::is_over) {
            let reason = self.links[i].close?;
            if self.links.len() == 1 {
                let before = self.why.take().filter(|_| reason == CloseReason::SessionEnd);
                return Some(before.unwrap_or_else(|| reason.to_string()));
            }
            self.lose(i, &reason.to_string());
        }
        None
    }

    /// A connection joins the session. Its login is answered here, since nobody else knows which
    /// commands the session has.
    pub(super) fn join(&mut self, joining: Joining) {
        let Joining { stream, peer, complete, place } = joining;
        let entry = &self.ends.entry;
        let session_id = entry.id;
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) if self.session.open_connections().next().is_some() => stream,
            Ok(_) => return,
            Err(error) => return tracing::debug!(session_id, %peer, %error, "connection lost"),
        };
        let cid = complete.names().cid;
        let (exp_cmd_sn, max_cmd_sn) = self.session.login_numbers();
        let (response, data, established) = complete.join(entry.tsih, exp_cmd_sn, max_cmd_sn);
        let params = established.params.clone();
        let ping = PingTimer::of(&self.ends.shared.options, established.names.session_type);
        let id = self.session.join(established);
        let mut link = Link::new(id, stream, &params, ping, place);
        let mut bhs = response.encode();
        set_data_length(&mut bhs, data.len());
        link.transmitter.queue_undigested(OutPdu { bhs, data: Payload::Bytes(data) });
        self.links.push(link);
        tracing::info!(session_id, %peer, cid, "a connection has joined the session");
    }

    /// A task is gone: what still comes of its data must not get into the next one of its number.
    pub(super) fn forget_data_of(&mut self, id: TaskId) {
        for link in &mut self.links {
            link.receiver.forget(id);
        }
    }

    /// All connections end.
    pub(super) fn shut_down(&mut self) {
        for link in self.links.drain(..) {
            link.shut_down();
        }
    }
}
