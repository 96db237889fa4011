//! What is uploaded, while it is sent: in runs, so that zeros need not be.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use rustix::fs::SeekFrom;
use tokio::sync::mpsc;

use crate::control::api::runs::head;

/// How much is read at once.
const PIECE_BYTES: usize = 256 << 10;
/// Zeros are looked for in pieces of this size.
const ZEROS_BYTES: usize = 64 << 10;
/// Pieces of a pipe that wait to be sent.
const PIECES_MAX: usize = 4;

/// Why what is uploaded could not be read.
pub(super) type Failed = Arc<Mutex<Option<io::Error>>>;

/// A file, from some offset on.
pub(super) struct FileBody {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// As it was in the beginning.
    pub(super) metadata: Metadata,
    /// How far it is.
    pub(super) at: Arc<AtomicU64>,
    pub(super) failed: Failed,
}

impl FileBody {
    fn end(&self) -> u64 {
        self.metadata.len()
    }

    fn piece(&self) -> io::Result<Bytes> {
        let offset = self.at.load(Ordering::Relaxed);
        let data = self.next_data(offset);
        let (piece, at) = if data - offset >= ZEROS_BYTES as u64 {
            (Bytes::copy_from_slice(&head(true, data - offset)), data)
        } else {
            let left = usize::try_from(self.end() - offset).unwrap_or(PIECE_BYTES);
            let mut piece = vec![0; left.min(PIECE_BYTES)];
            self.file.read_exact_at(&mut piece, offset)?;
            (encode(&piece), offset + piece.len() as u64)
        };
        if at == self.end() {
            let is = self.file.metadata()?;
            let of = |of: &Metadata| (of.len(), of.mtime(), of.mtime_nsec());
            if of(&is) != of(&self.metadata) {
                return Err(io::Error::other(
                    "was changed while it was uploaded; give the same command again",
                ));
            }
        }
        self.at.store(at, Ordering::Relaxed);
        Ok(piece)
    }

    /// Where the next data is, or the end.
    fn next_data(&self, offset: u64) -> u64 {
        match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => data.clamp(offset, self.end()),
            Err(rustix::io::Errno::NXIO) => self.end(),
            // A file system that knows no holes.
            Err(_) => offset,
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.piece().map(Frame::data).inspect_err(|error| {
            let error = io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
            *self.failed.lock() = Some(error);
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.at.load(Ordering::Relaxed) >= self.end()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

/// What comes out of a pipe, of which nobody knows where it ends.
pub(super) struct Pipe {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    first: Option<Vec<u8>>,
    at: Arc<AtomicU64>,
    failed: Failed,
}

impl Pipe {
    /// Begins to read, and waits for the first bytes.
    ///
    /// # Errors
    /// When there are none.
    pub(super) async fn open(mut from: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, mut pieces) = mpsc::channel(PIECES_MAX);
        // A thread of its own: whoever fills the pipe may take for ever.
        std::thread::Builder::new().name("pipe".into()).spawn(move || {
            loop {
                let piece = next_piece(&mut from);
                let is_last = !matches!(&piece, Ok(piece) if piece.len() == PIECE_BYTES);
                if sender.blocking_send(piece).is_err() || is_last {
                    return;
                }
            }
        })?;
        let first = pieces.recv().await.unwrap_or_else(|| Ok(Vec::new()))?;
        if first.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "nothing comes out of it"));
        }
        Ok(Self { pieces, first: Some(first), at: Arc::default(), failed: Arc::default() })
    }

    /// What it begins with.
    pub(super) fn beginning(&self) -> &[u8] {
        self.first.as_deref().unwrap_or_default()
    }

    /// How far it is.
    pub(super) fn at(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.at)
    }

    pub(super) fn failed(&self) -> Failed {
        Arc::clone(&self.failed)
    }
}

/// A whole piece, or what there is before the end.
fn next_piece(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    from.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

impl Body for Pipe {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => ready!(self.pieces.poll_recv(cx)),
        };
        Poll::Ready(match piece {
            None => None,
            Some(Ok(piece)) if piece.is_empty() => None,
            Some(Ok(piece)) => {
                self.at.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Some(Ok(Frame::data(encode(&piece))))
            }
            Some(Err(error)) => {
                let broken = io::Error::new(error.kind(), error.to_string());
                *self.failed.lock() = Some(error);
                Some(Err(broken))
            }
        })
    }
}

/// Bytes as runs.
fn encode(bytes: &[u8]) -> Bytes {
    let is_zero = |piece: &[u8]| piece.iter().all(|byte| *byte == 0);
    let mut runs = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut pieces = rest.chunks(ZEROS_BYTES);
        let zeros = pieces.next().is_some_and(is_zero);
        let more: usize = pieces.take_while(|piece| is_zero(piece) == zeros).map(<[u8]>::len).sum();
        let (run, after) = rest.split_at(rest.len().min(ZEROS_BYTES) + more);
        runs.extend_from_slice(&head(zeros, run.len() as u64));
        if !zeros {
            runs.extend_from_slice(run);
        }
        rest = after;
    }
    runs.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body sends, and how many bytes of it are of the file.
    async fn sent(mut body: impl Body<Data = Bytes, Error = io::Error> + Unpin) -> Vec<u8> {
        use http_body_util::BodyExt as _;
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            sent.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        sent
    }

    #[tokio::test]
    async fn holes_and_zeros_are_told_and_not_sent() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        file.as_file().write_all_at(&[7; 3], 40 << 20).unwrap();
        // Zeros that take space.
        file.as_file().write_all_at(&vec![0; 1 << 20], 50 << 20).unwrap();
        let body = FileBody {
            file: Arc::new(file.reopen().unwrap()),
            path: file.path().to_owned(),
            metadata: file.as_file().metadata().unwrap(),
            at: Arc::default(),
            failed: Arc::default(),
        };
        let told = sent(body).await;
        assert!(told.len() < 128 << 10, "{} bytes", told.len());
        assert!(told.windows(4).any(|bytes| bytes == [7, 7, 7, 0]));
    }

    #[tokio::test]
    async fn a_pipe_is_sent_to_its_end() {
        let bytes: Vec<u8> = (0..600_000).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let pipe = Pipe::open(io::Cursor::new(bytes.clone())).await.unwrap();
        assert_eq!(pipe.beginning()[..3], [0, 1, 2]);
        let told = sent(pipe).await;
        let heads = 600_000_usize.div_ceil(PIECE_BYTES) * 8;
        assert_eq!(told.len(), bytes.len() + heads);
        assert!(Pipe::open(io::empty()).await.is_err());
    }

    #[test]
    fn runs_of_bytes_and_of_zeros() {
        let mut bytes = vec![0; 5 * ZEROS_BYTES + 1];
        bytes[ZEROS_BYTES] = 1;
        bytes[5 * ZEROS_BYTES] = 2;
        let zeros = |pieces: usize| head(true, (pieces * ZEROS_BYTES) as u64);
        let data = [&head(false, ZEROS_BYTES as u64)[..], &bytes[ZEROS_BYTES..2 * ZEROS_BYTES]];
        let data = data.concat();
        let last = [&head(false, 1)[..], &[2]].concat();
        assert_eq!(encode(&bytes), [&zeros(1)[..], &data, &zeros(3), &last].concat());
        assert_eq!(encode(&[]), Bytes::new());
    }
}
