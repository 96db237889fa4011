//! Bytes from the socket, PDU by PDU.
//!
//! Everything small is parsed out of one receive buffer, so one read brings in many commands. The
//! rest of a long data segment is read straight into the buffer of its command.

use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::commands::{Commands, DriverSession};
use crate::iscsi::pdu::digest::crc32c;
use crate::iscsi::pdu::frame::{DIGEST_BYTES, Lengths};
use crate::iscsi::pdu::{BHS_BYTES, Bhs};
use crate::iscsi::session::{Dest, TaskId};

/// Bytes of the receive buffer: enough for a batch of small writes.
const BUFFER_BYTES: usize = 64 << 10;
/// Longest header: BHS, 255 words of AHS, digest.
const HEADER_BYTES_MAX: usize = BHS_BYTES + 255 * 4 + DIGEST_BYTES;
/// The rest of a data segment is read directly from this length on.
const DIRECT_BYTES_MIN: usize = 4096;

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
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
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
        Self {
            header_digest,
            data_digest,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            segment: None,
        }
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
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        session: &mut DriverSession,
        commands: &mut Commands,
    ) -> io::Result<Received> {
        let read = match self.read(stream, cx, commands) {
            Poll::Pending => return Ok(Received::Nothing),
            Poll::Ready(read) => read?,
        };
        if read == 0 {
            return Ok(Received::Closed);
        }
        while !session.is_closing() && self.step(session, commands) {}
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.start < HEADER_BYTES_MAX {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        Ok(Received::Progress)
    }

    fn read(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        commands: &mut Commands,
    ) -> Poll<io::Result<usize>> {
        if let Some(Segment { sink: Sink::Task(task, offset), received, lengths, .. }) =
            &mut self.segment
            && lengths.data - *received >= DIRECT_BYTES_MIN
            && self.start == self.end
            && let Some(buffer) = commands.buffer(*task)
        {
            let rest = lengths.data - *received;
            let mut slices: SmallVec<[IoSliceMut<'_>; 8]> =
                buffer.range_mut(*offset + *received, rest).map(IoSliceMut::new).collect();
            // What follows it comes along with the same call.
            slices.push(IoSliceMut::new(&mut self.buffer));
            (self.start, self.end) = (0, 0);
            loop {
                if stream.poll_read_ready(cx)?.is_pending() {
                    return Poll::Pending;
                }
                match stream.try_read_vectored(&mut slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                    Ok(read) => {
                        *received += read.min(rest);
                        self.end = read.saturating_sub(rest);
                        return Poll::Ready(Ok(read));
                    }
                }
            }
        }
        let mut into = ReadBuf::new(&mut self.buffer[self.end..]);
        match Pin::new(stream).poll_read(cx, &mut into) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                let read = into.filled().len();
                self.end += read;
                Poll::Ready(Ok(read))
            }
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
        let bytes = &self.buffer[self.start..self.end];
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
        self.start += lengths.header_bytes();
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
        let part = (lengths.data - segment.received).min(self.end - self.start);
        let bytes = &self.buffer[self.start..self.start + part];
        match &mut segment.sink {
            Sink::Task(task, offset) => match commands.buffer(*task) {
                Some(buffer) => buffer.copy_from(*offset + segment.received, bytes),
                None => segment.sink = Sink::Gone,
            },
            Sink::Collect(collected) => collected.extend_from_slice(bytes),
            Sink::Discard if self.data_digest => {
                segment.discarded_crc = crc32c::crc32c_append(segment.discarded_crc, bytes);
            }
            Sink::Discard | Sink::Gone => {}
        }
        segment.received += part;
        self.start += part;
        let trailer_bytes = lengths.trailer_bytes();
        if segment.received < lengths.data || self.end - self.start < trailer_bytes {
            self.segment = Some(segment);
            return false;
        }
        let trailer = &self.buffer[self.start..self.start + trailer_bytes];
        let (padding, digest) = trailer.split_at(lengths.padding);
        let digest_ok =
            digest.is_empty() || segment.crc(commands, padding).is_none_or(|is| is == digest);
        self.start += trailer_bytes;
        let collected = match segment.sink {
            Sink::Collect(collected) => collected,
            Sink::Task(..) | Sink::Discard | Sink::Gone => Vec::new(),
        };
        session.data(collected, digest_ok);
        true
    }
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
            Sink::Discard => crc32c::crc32c_append(self.discarded_crc, padding).to_le_bytes(),
        })
    }
}
