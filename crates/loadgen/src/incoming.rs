//! PDUs as they arrive: header segments whole, data in whatever pieces the socket gave.

use anyhow::{Result, ensure};

use crate::connection::Params;
use crate::crc::{crc32c, crc32c_append};
use crate::pdu::{BHS_LEN, DIGEST_LEN, Header, padded};

/// Bytes one receive can bring: large enough for a batch, small enough for the L2 cache.
const BUFFER_LEN: usize = 256 << 10;

/// What the parser found next.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A PDU begins.
    Header(Header),
    /// Data of the PDU last begun, at this offset of its segment.
    Data(usize, &'a [u8]),
    /// The PDU is whole and its digests were right.
    End,
}

/// Where the parser is in a PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Data,
    Trailer,
    End,
}

/// A receive buffer and the parser over it.
#[derive(Debug)]
pub(crate) struct Incoming {
    params: Params,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    state: State,
    data_len: usize,
    data_seen: usize,
    data_crc: u32,
}

impl Incoming {
    pub(crate) fn new(params: Params) -> Self {
        let buffer = vec![0; BUFFER_LEN];
        let state = State::Header;
        Self { params, buffer, start: 0, end: 0, state, data_len: 0, data_seen: 0, data_crc: 0 }
    }

    /// Where to receive to. What is not parsed yet, less than a header, moves to the front.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// Takes in `len` bytes received into [`Self::space`].
    pub(crate) fn received(&mut self, len: usize) {
        self.end += len;
    }

    /// The next event, or `None` when more bytes are wanted.
    pub(crate) fn next(&mut self) -> Result<Option<Event<'_>>> {
        loop {
            let available = self.end - self.start;
            match self.state {
                State::Header => return self.next_header(),
                State::Data if self.data_seen == self.data_len => self.state = State::Trailer,
                State::Data => {
                    let len = available.min(self.data_len - self.data_seen);
                    if len == 0 {
                        return Ok(None);
                    }
                    let (start, offset) = (self.start, self.data_seen);
                    self.start += len;
                    self.data_seen += len;
                    let data = &self.buffer[start..start + len];
                    if self.params.data_digest {
                        self.data_crc = crc32c_append(self.data_crc, data);
                    }
                    return Ok(Some(Event::Data(offset, data)));
                }
                State::Trailer => {
                    let padding = padded(self.data_len) - self.data_len;
                    let digest = self.params.data_digest && self.data_len > 0;
                    let len = padding + usize::from(digest) * DIGEST_LEN;
                    if available < len {
                        return Ok(None);
                    }
                    let (pad, rest) = self.buffer[self.start..][..len].split_at(padding);
                    if digest {
                        let crc = crc32c_append(self.data_crc, pad);
                        ensure!(*rest == crc.to_le_bytes(), "a data digest is wrong");
                    }
                    self.start += len;
                    self.state = State::End;
                }
                State::End => {
                    self.state = State::Header;
                    return Ok(Some(Event::End));
                }
            }
        }
    }

    fn next_header(&mut self) -> Result<Option<Event<'_>>> {
        let bytes = &self.buffer[self.start..self.end];
        let Some(header) = bytes.first_chunk::<BHS_LEN>() else { return Ok(None) };
        let header = Header(*header);
        let covered = BHS_LEN + header.ahs_len();
        let len = covered + usize::from(self.params.header_digest) * DIGEST_LEN;
        if bytes.len() < len {
            return Ok(None);
        }
        if self.params.header_digest {
            let crc = crc32c(&bytes[..covered]).to_le_bytes();
            ensure!(bytes[covered..len] == crc, "a header digest is wrong");
        }
        self.start += len;
        self.state = State::Data;
        (self.data_len, self.data_seen, self.data_crc) = (header.data_len(), 0, 0);
        Ok(Some(Event::Header(header)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params {
            header_digest: true,
            data_digest: true,
            initial_r2t: false,
            immediate_data: true,
            first_burst: 65536,
            max_send: 8192,
        }
    }

    /// Two PDUs, one of 5 data bytes and one of none.
    fn wire() -> Vec<u8> {
        let mut bytes = Vec::new();
        for data in [&b"hello"[..], b""] {
            let mut header = [0; BHS_LEN];
            (header[0], header[7]) = (0x25, data.len() as u8);
            bytes.extend(header);
            bytes.extend(crc32c(&header).to_le_bytes());
            let mut padded_data = data.to_vec();
            padded_data.resize(padded(data.len()), 0);
            bytes.extend(&padded_data);
            if !data.is_empty() {
                bytes.extend(crc32c(&padded_data).to_le_bytes());
            }
        }
        bytes
    }

    fn parse(wire: &[u8], step: usize) -> Result<(usize, Vec<u8>, usize)> {
        let mut incoming = Incoming::new(params());
        let (mut headers, mut data, mut ends) = (0, Vec::new(), 0);
        for piece in wire.chunks(step) {
            incoming.space()[..piece.len()].copy_from_slice(piece);
            incoming.received(piece.len());
            while let Some(event) = incoming.next()? {
                match event {
                    Event::Header(_) => headers += 1,
                    Event::Data(offset, bytes) => {
                        assert_eq!(offset, data.len());
                        data.extend(bytes);
                    }
                    Event::End => ends += 1,
                }
            }
        }
        Ok((headers, data, ends))
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_pdus() {
        let wire = wire();
        for step in 1..=wire.len() {
            assert_eq!(parse(&wire, step).unwrap(), (2, b"hello".to_vec(), 2));
        }
    }

    #[test]
    fn a_flipped_bit_under_a_digest_is_an_error() {
        for at in [3, BHS_LEN + DIGEST_LEN + 2] {
            let mut wire = wire();
            wire[at] ^= 4;
            assert!(parse(&wire, 1000).is_err(), "byte {at}");
        }
    }
}
