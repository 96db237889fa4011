//! A body of an upload that tells zeros instead of sending them.
//!
//! It consists of runs. Each begins with eight bytes, the most significant first: bit 63 says that the run
//! is one of zeros, the rest how long it is. Only of other runs do the bytes follow. An upload that breaks
//! off within a run goes on with another one at the offset that it has come to.

use bytes::Bytes;

use crate::catalog::Piece;

/// The media type of such a body.
pub(crate) const RUNS: &str = "application/vnd.stirrup.runs";
/// The bit that says that a run is one of zeros.
const ZEROS: u64 = 1 << 63;
/// Zeros that are dealt with at once: between two such pieces a call can be ended.
const ZEROS_PIECE: u64 = 16 << 20;
const HEAD_BYTES: usize = 8;

/// What a run begins with.
pub(crate) fn head(is_zeros: bool, len: u64) -> [u8; HEAD_BYTES] {
    (if is_zeros { len | ZEROS } else { len }).to_be_bytes()
}

/// How the bytes of a file are told.
pub(super) enum Framing {
    /// As they are.
    Plain,
    /// In runs.
    Runs(Runs),
}

impl Framing {
    /// See [`Runs::next`].
    pub(super) fn next(&mut self, came: &mut Bytes) -> Result<Option<Piece>, &'static str> {
        match self {
            Self::Plain if came.is_empty() => Ok(None),
            Self::Plain => Ok(Some(Piece::Bytes(std::mem::take(came)))),
            Self::Runs(runs) => runs.next(came),
        }
    }

    /// Whether a body may end here.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Runs(runs) => runs.is_whole(),
        }
    }
}

/// A body on its way, of which nothing is kept but where it is.
#[derive(Default)]
pub(super) struct Runs {
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// What is left of the run.
    bytes: u64,
    zeros: u64,
}

impl Runs {
    /// The next piece out of what has come; what it consists of is taken away from that. `None`: more has
    /// to come.
    ///
    /// # Errors
    /// With a run of no bytes, which nobody sends on purpose.
    fn next(&mut self, came: &mut Bytes) -> Result<Option<Piece>, &'static str> {
        loop {
            if self.zeros > 0 {
                let len = self.zeros.min(ZEROS_PIECE);
                self.zeros -= len;
                return Ok(Some(Piece::Zeros(len)));
            }
            if came.is_empty() {
                return Ok(None);
            }
            if self.bytes > 0 {
                let len = usize::try_from(self.bytes).unwrap_or(came.len()).min(came.len());
                self.bytes -= len as u64;
                return Ok(Some(Piece::Bytes(came.split_to(len))));
            }
            let len = (HEAD_BYTES - self.head_bytes).min(came.len());
            let part = came.split_to(len);
            self.head[self.head_bytes..self.head_bytes + len].copy_from_slice(&part);
            self.head_bytes += len;
            if self.head_bytes < HEAD_BYTES {
                return Ok(None);
            }
            self.head_bytes = 0;
            let head = u64::from_be_bytes(self.head);
            match head & ZEROS {
                0 => self.bytes = head,
                _ => self.zeros = head & !ZEROS,
            }
            if self.bytes == 0 && self.zeros == 0 {
                return Err("a run of no bytes");
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.head_bytes == 0 && self.bytes == 0 && self.zeros == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body in pieces of `at_once` bytes says: the bytes, and whether it is whole.
    fn say(body: &[u8], at_once: usize) -> Result<(Vec<u8>, bool), &'static str> {
        let (mut runs, mut said) = (Runs::default(), Vec::new());
        for piece in body.chunks(at_once) {
            let mut came = Bytes::copy_from_slice(piece);
            while let Some(piece) = runs.next(&mut came)? {
                match piece {
                    Piece::Bytes(bytes) => said.extend_from_slice(&bytes),
                    Piece::Zeros(len) => said.resize(said.len() + usize::try_from(len).unwrap(), 0),
                    Piece::End => panic!("the header says that"),
                }
            }
            assert!(came.is_empty());
        }
        Ok((said, runs.is_whole()))
    }

    #[test]
    fn runs_however_they_are_cut() {
        let body = [&head(false, 3)[..], b"abc", &head(true, 5), &head(false, 1), b"d"].concat();
        for at_once in 1..=body.len() {
            assert_eq!(say(&body, at_once).unwrap(), (b"abc\0\0\0\0\0d".to_vec(), true));
        }
        assert_eq!(say(&[], 1).unwrap(), (Vec::new(), true));
        for cut in [1, 7, 8, 10, 12, 20, body.len() - 1] {
            assert!(!say(&body[..cut], 3).unwrap().1, "{cut}");
        }
        for nothing in [head(false, 0), head(true, 0)] {
            assert!(say(&nothing, 8).is_err());
        }
    }

    #[test]
    fn many_zeros_are_told_piece_by_piece() {
        let mut runs = Runs::default();
        let mut came = Bytes::copy_from_slice(&head(true, ZEROS - 1));
        for _ in 0..1000 {
            assert!(matches!(runs.next(&mut came), Ok(Some(Piece::Zeros(ZEROS_PIECE)))));
        }
        assert!(!runs.is_whole());
    }
}
