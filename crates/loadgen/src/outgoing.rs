//! PDUs on their way out: gathered, then sent with one system call, payloads never copied.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::ops::Range;

use rustix::net::{SendAncillaryBuffer, SendFlags};

use crate::connection::Params;
use crate::crc::{crc32c, crc32c_append};
use crate::pdu::{DIGEST_LEN, Header, padded};

/// Slices given to one sendmsg; Linux takes up to 1024.
const MAX_SLICES: usize = 512;

#[derive(Debug)]
enum Part {
    /// Bytes of `Outgoing::small`: header segments, digests.
    Small(Range<usize>),
    /// Bytes of a payload buffer, by its index.
    Payload(usize, Range<usize>),
}

/// A queue of bytes to send.
#[derive(Debug)]
pub(crate) struct Outgoing {
    params: Params,
    small: Vec<u8>,
    parts: Vec<Part>,
    /// Parts sent whole.
    sent: usize,
    /// Bytes sent of the part after them.
    sent_of_next: usize,
}

impl Outgoing {
    pub(crate) fn new(params: Params) -> Self {
        Self { params, small: Vec::new(), parts: Vec::new(), sent: 0, sent_of_next: 0 }
    }

    fn push_small(&mut self, bytes: &[u8]) {
        let start = self.small.len();
        self.small.extend_from_slice(bytes);
        let end = self.small.len();
        // Neighbours join unless the last one may be half sent.
        let open = self.parts.len() > self.sent + 1;
        match self.parts.last_mut() {
            Some(Part::Small(range)) if open => range.end = end,
            _ => self.parts.push(Part::Small(start..end)),
        }
    }

    /// Queues a PDU without data.
    pub(crate) fn push(&mut self, header: &Header) {
        self.push_small(&header.0);
        if self.params.header_digest {
            self.push_small(&crc32c(&header.0).to_le_bytes());
        }
    }

    /// Queues a PDU whose data is `range` of payload `index`.
    pub(crate) fn push_with_data(
        &mut self,
        header: &Header,
        payloads: &[Vec<u8>],
        index: usize,
        range: Range<usize>,
    ) {
        self.push(header);
        let data = &payloads[index][range.clone()];
        let padding = padded(data.len()) - data.len();
        let digest =
            self.params.data_digest.then(|| crc32c_append(crc32c(data), &[0; 3][..padding]));
        self.parts.push(Part::Payload(index, range));
        self.push_small(&[0; 3][..padding]);
        if let Some(digest) = digest {
            self.push_small(&digest.to_le_bytes());
        }
        debug_assert_eq!(DIGEST_LEN, 4);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Sends as much as the socket takes without waiting; true when all is sent.
    pub(crate) fn send(&mut self, stream: &TcpStream, payloads: &[Vec<u8>]) -> io::Result<bool> {
        while self.sent < self.parts.len() {
            let mut slices = Vec::with_capacity((self.parts.len() - self.sent).min(MAX_SLICES));
            for part in self.parts[self.sent..].iter().take(MAX_SLICES) {
                slices.push(IoSlice::new(match part {
                    Part::Small(range) => &self.small[range.clone()],
                    Part::Payload(index, range) => &payloads[*index][range.clone()],
                }));
            }
            let mut unsent = &mut slices[..];
            IoSlice::advance_slices(&mut unsent, self.sent_of_next);
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let mut no_ancillary = SendAncillaryBuffer::default();
            match rustix::net::sendmsg(stream, unsent, &mut no_ancillary, flags) {
                Ok(len) => self.account(len),
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.small.clear();
        self.parts.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Moves past `len` sent bytes.
    fn account(&mut self, len: usize) {
        self.sent_of_next += len;
        while let Some(part) = self.parts.get(self.sent) {
            let (Part::Small(range) | Part::Payload(_, range)) = part;
            if self.sent_of_next < range.len() {
                break;
            }
            self.sent_of_next -= range.len();
            self.sent += 1;
        }
    }
}
