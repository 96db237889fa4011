//! Bytes from the socket, PDU by PDU.
//!
//! Everything small is parsed out of one receive buffer, so one read brings in many commands. The
//! rest of a long data segment is read straight into the buffer of its command.

use std::io::{self, IoSliceMut};
use std::task::Context;

use smallvec::SmallVec;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::commands::{Commands, DriverSession};
use super::inbox::Inbox;
use crate::iscsi::pdu::digest::{crc32c, crc32c_append};
use crate::iscsi::pdu::frame::Lengths;
use crate::iscsi::pdu::{BHS_BYTES, Bhs};
use crate::iscsi::session::{Dest, TaskId};

/// The rest of a data segment is read directly from this length on.
const DIRECT_BYTES_MIN: usize = 4096;
/// How often the socket is asked for the rest of a PDU before the task sleeps: some microseconds,
/// in which an initiator that sends header and data one after the other sends the data.
const IMMINENT_LOOKS: usize = 16;

/// Where the data of the current PDU goes.
enum Sink {
    Task(TaskId, usize),
    Collect(Vec<u8>),
    Discard,
    /// The task has ended meanwhile: what came so far is not there to compute a digest of.
    Gone,
}

/// The data segment that is on the way.
struct Segment {
    sink: Sink,
    /// Bytes that are there.
    received: usize,
    lengths: Lengths,
    /// The digest so far of data that is not kept.
    discarded_crc: u32,
}

/// The receiving half of a connection.
pub(super) struct Receiver {
    header_digest: bool,
    data_digest: bool,
    inbox: Inbox,
    segment: Option<Segment>,
}

/// What a look at the socket came to.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Received {
    /// Something arrived and was handed to the session.
    Progress,
    /// Nothing is there; the task will be woken.
    Nothing,
    /// The initiator has closed its side.
    Closed,
}

impl Receiver {
    pub(super) fn new(header_digest: bool, data_digest: bool) -> Self {
        Self { header_digest, data_digest, inbox: Inbox::default(), segment: None }
    }

    /// A task is gone. What is left of its data on the way is read and forgotten.
    pub(super) fn forget(&mut self, id: TaskId) {
        if let Some(segment) = &mut self.segment
            && matches!(segment.sink, Sink::Task(task, _) if task == id)
        {
            segment.sink = Sink::Gone;
        }
    }

    /// Reads once and hands every whole PDU to the session.
    pub(super) fn receive(
        &mut self,
        stream: &TcpStream,
        cx: &mut Context<'_>,
        session: &mut DriverSession,
        commands: &mut Commands,
    ) -> io::Result<Received> {
        let read = loop {
            if stream.poll_read_ready(cx)?.is_pending() {
                return Ok(Received::Nothing);
            }
            if let Some(read) = self.read(commands, |slices| read_ready(stream, slices))? {
                break read;
            }
        };
        if read == 0 {
            return Ok(Received::Closed);
        }
        self.take_in(session, commands);
        for _ in 0..IMMINENT_LOOKS {
            if !self.is_imminent() || session.is_closing() {
                break;
            }
            match self.read(commands, |slices| Ok(rustix::io::readv(stream, slices)?))? {
                Some(0) => return Ok(Received::Closed),
                Some(_) => self.take_in(session, commands),
                None => std::hint::spin_loop(),
            }
        }
        Ok(Received::Progress)
    }

    fn take_in(&mut self, session: &mut DriverSession, commands: &mut Commands) {
        while !session.is_closing() && self.step(session, commands) {}
        self.inbox.settle();
    }

    /// A header is there, and nothing of its data.
    fn is_imminent(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.received == 0)
    }

    /// Reads once, the data of a task straight to its place. `None`: nothing was there.
    fn read(
        &mut self,
        commands: &mut Commands,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let mut slices: SmallVec<[IoSliceMut<'_>; 8]> = SmallVec::new();
        let mut direct = None;
        if let Some(Segment { sink: Sink::Task(task, offset), received, lengths, .. }) =
            &mut self.segment
            && lengths.data - *received >= DIRECT_BYTES_MIN
            && self.inbox.is_empty()
            && let Some(buffer) = commands.buffer(*task)
        {
            let rest = lengths.data - *received;
            slices.extend(buffer.range_mut(*offset + *received, rest).map(IoSliceMut::new));
            direct = Some((received, rest));
        }
        // What follows the data comes along with the same call.
        slices.push(IoSliceMut::new(self.inbox.room()));
        let read = read(&mut slices);
        drop(slices);
        match read {
            Ok(read) => {
                let rest = direct.map_or(0, |(received, rest)| {
                    *received += read.min(rest);
                    rest
                });
                self.inbox.came(read.saturating_sub(rest));
                Ok(Some(read))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.inbox.settle();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the next header or (part of a) data segment out of the buffer; false if more has to
    /// be read first.
    fn step(&mut self, session: &mut DriverSession, commands: &mut Commands) -> bool {
        match self.segment.take() {
            Some(segment) => self.take_data(segment, session, commands),
            None => self.take_header(session, commands),
        }
    }

    fn take_header(&mut self, session: &mut DriverSession, commands: &mut Commands) -> bool {
        let bytes = self.inbox.bytes();
        let Some((bhs, _)) = bytes.split_first_chunk::<BHS_BYTES>() else { return false };
        let bhs: Bhs = *bhs;
        let lengths = Lengths::of(&bhs, self.header_digest, self.data_digest);
        let Some(header) = bytes.get(..lengths.header_bytes()) else { return false };
        let (covered, digest) = header.split_at(BHS_BYTES + lengths.ahs);
        if self.header_digest && crc32c([covered]) != digest {
            session.header_digest_error();
            return false;
        }
        let dest = session.header(&bhs, &covered[BHS_BYTES..]);
        self.inbox.taken(lengths.header_bytes());
        let sink = match dest {
            Dest::Nothing => {
                session.data(Vec::new(), true);
                return true;
            }
            Dest::Task(task, offset) => {
                if commands.make_room(task, offset, lengths.data, session) {
                    Sink::Task(task, offset as usize)
                } else {
                    Sink::Discard
                }
            }
            // Bounded: the session refuses what is longer than it keeps.
            Dest::Collect => Sink::Collect(Vec::with_capacity(lengths.data)),
            Dest::Discard => Sink::Discard,
        };
        self.segment = Some(Segment { sink, received: 0, lengths, discarded_crc: 0 });
        true
    }

    fn take_data(
        &mut self,
        mut segment: Segment,
        session: &mut DriverSession,
        commands: &mut Commands,
    ) -> bool {
        let lengths = segment.lengths;
        let (bytes, after) = {
            let bytes = self.inbox.bytes();
            bytes.split_at(bytes.len().min(lengths.data - segment.received))
        };
        match &mut segment.sink {
            Sink::Task(task, offset) => match commands.buffer(*task) {
                Some(buffer) => buffer.copy_from(*offset + segment.received, bytes),
                None => segment.sink = Sink::Gone,
            },
            Sink::Collect(collected) => collected.extend_from_slice(bytes),
            Sink::Discard if self.data_digest => {
                segment.discarded_crc = crc32c_append(segment.discarded_crc, bytes);
            }
            Sink::Discard | Sink::Gone => {}
        }
        segment.received += bytes.len();
        let trailer = after.get(..lengths.trailer_bytes());
        let Some(trailer) = trailer.filter(|_| segment.received == lengths.data) else {
            let part = bytes.len();
            self.inbox.taken(part);
            self.segment = Some(segment);
            return false;
        };
        let (padding, digest) = trailer.split_at(lengths.padding);
        let digest_ok =
            digest.is_empty() || segment.crc(commands, padding).is_none_or(|is| is == digest);
        let taken = bytes.len() + trailer.len();
        self.inbox.taken(taken);
        let collected = match segment.sink {
            Sink::Collect(collected) => collected,
            Sink::Task(..) | Sink::Discard | Sink::Gone => Vec::new(),
        };
        session.data(collected, digest_ok);
        true
    }
}

/// Reads from a socket that is ready. What comes short has emptied it: tokio is told so, and the
/// next look costs no system call.
fn read_ready(stream: &TcpStream, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let room: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut short = None;
    let read = stream.try_io(Interest::READABLE, || {
        let read = rustix::io::readv(stream, slices)?;
        if read == 0 || read == room {
            return Ok(read);
        }
        short = Some(read);
        Err(io::ErrorKind::WouldBlock.into())
    });
    short.map_or(read, Ok)
}

impl Segment {
    /// The digest of what came, its padding included; `None` if the task went away meanwhile.
    fn crc(&self, commands: &mut Commands, padding: &[u8]) -> Option<[u8; 4]> {
        Some(match &self.sink {
            Sink::Task(task, offset) => {
                let buffer = commands.buffer(*task)?;
                crc32c(buffer.range(*offset, self.lengths.data).chain([padding]))
            }
            Sink::Collect(collected) => crc32c([collected.as_slice(), padding]),
            Sink::Gone => return None,
            Sink::Discard => crc32c_append(self.discarded_crc, padding).to_le_bytes(),
        })
    }
}
