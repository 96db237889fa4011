//! PDUs on their way out: one vectored write a turn.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::read_data::ReadData;
use crate::iscsi::pdu::BHS_BYTES;
use crate::iscsi::pdu::digest::crc32c;
use crate::iscsi::pdu::frame::{DIGEST_BYTES, padding_of};
use crate::iscsi::session::{OutPdu, Payload};

/// Slices of one vectored write; a PDU takes two or three.
const SLICES_MAX: usize = 128;
/// PDUs that may wait before nothing more is received: a peer that does not read its answers
/// does not get more of them made.
const QUEUED_PDUS_MAX: usize = 1024;
/// Bytes of answers that nothing was lent for (pings, texts) that may wait likewise.
const OWNED_BYTES_MAX: usize = 1 << 20;

/// A PDU as it goes over the wire.
struct Frame {
    head: [u8; BHS_BYTES + DIGEST_BYTES],
    head_len: usize,
    data: Payload<ReadData>,
    data_len: usize,
    /// Padding and data digest.
    tail: [u8; 3 + DIGEST_BYTES],
    tail_len: usize,
}

impl Frame {
    fn new(pdu: OutPdu<ReadData>, header_digest: bool, data_digest: bool) -> Self {
        let mut head = [0; BHS_BYTES + DIGEST_BYTES];
        head[..BHS_BYTES].copy_from_slice(&pdu.bhs);
        let mut head_len = BHS_BYTES;
        if header_digest {
            head[BHS_BYTES..].copy_from_slice(&crc32c([&pdu.bhs[..]]));
            head_len += DIGEST_BYTES;
        }
        let data_len = pdu.data.len();
        let padding = padding_of(data_len);
        let mut frame = Self {
            head,
            head_len,
            data: pdu.data,
            data_len,
            tail: [0; 3 + DIGEST_BYTES],
            tail_len: padding,
        };
        if data_digest && data_len > 0 {
            let digest = crc32c(frame.data_slices().chain([&[0; 3][..padding]]));
            frame.tail[padding..padding + DIGEST_BYTES].copy_from_slice(&digest);
            frame.tail_len += DIGEST_BYTES;
        }
        frame
    }

    fn data_slices(&self) -> impl Iterator<Item = &[u8]> {
        let (bytes, part) = match &self.data {
            Payload::None => (None, None),
            Payload::Bytes(bytes) => (Some(bytes.as_slice()), None),
            Payload::Part { data, offset, len } => {
                (None, Some(data.range(*offset as usize, *len as usize)))
            }
        };
        bytes.into_iter().chain(part.into_iter().flatten())
    }

    fn owned_bytes(&self) -> usize {
        if matches!(self.data, Payload::Bytes(_)) { self.data_len } else { 0 }
    }

    fn len(&self) -> usize {
        self.head_len + self.data_len + self.tail_len
    }

    /// All of it, in order.
    fn for_each_slice<'a>(&'a self, mut take: impl FnMut(&'a [u8])) {
        take(&self.head[..self.head_len]);
        self.data_slices().for_each(&mut take);
        if self.tail_len > 0 {
            take(&self.tail[..self.tail_len]);
        }
    }
}

/// What waits to be sent on a connection.
pub(super) struct Transmitter {
    header_digest: bool,
    data_digest: bool,
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that are sent already.
    sent: usize,
    owned_bytes: usize,
}

impl Transmitter {
    pub(super) fn new(header_digest: bool, data_digest: bool) -> Self {
        Self { header_digest, data_digest, frames: VecDeque::new(), sent: 0, owned_bytes: 0 }
    }

    pub(super) fn queue(&mut self, pdu: OutPdu<ReadData>) {
        self.push(Frame::new(pdu, self.header_digest, self.data_digest));
    }

    /// The response to a login: what it has settled holds from the next PDU on (RFC 7143 6.3).
    pub(super) fn queue_undigested(&mut self, pdu: OutPdu<ReadData>) {
        self.push(Frame::new(pdu, false, false));
    }

    fn push(&mut self, frame: Frame) {
        self.owned_bytes += frame.owned_bytes();
        self.frames.push_back(frame);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= QUEUED_PDUS_MAX || self.owned_bytes >= OWNED_BYTES_MAX
    }

    /// Sends as much as the socket takes. True if anything was sent.
    pub(super) fn flush(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        let mut progress = false;
        while !self.frames.is_empty() {
            let written = {
                let slices = self.gather();
                match Pin::new(&mut *stream).poll_write_vectored(cx, &slices) {
                    Poll::Pending => break,
                    Poll::Ready(written) => written?,
                }
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(written);
            progress = true;
        }
        Ok(progress)
    }

    fn gather(&self) -> SmallVec<[IoSlice<'_>; SLICES_MAX]> {
        let mut skip = self.sent;
        let mut gathered = SmallVec::new();
        for frame in &self.frames {
            frame.for_each_slice(|slice| {
                let skipped = skip.min(slice.len());
                skip -= skipped;
                if skipped < slice.len() && gathered.len() < SLICES_MAX {
                    gathered.push(IoSlice::new(&slice[skipped..]));
                }
            });
            if gathered.len() == SLICES_MAX {
                break;
            }
        }
        gathered
    }

    fn advance(&mut self, written: usize) {
        self.sent += written;
        while let Some(first) = self.frames.front() {
            if self.sent < first.len() {
                break;
            }
            self.sent -= first.len();
            self.owned_bytes -= first.owned_bytes();
            self.frames.pop_front();
        }
    }
}
