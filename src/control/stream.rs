//! Bodies that are made while they are sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;

/// A body of what comes out of a channel, until that is closed. An error breaks the connection off, so
/// that nobody takes a part for the whole.
struct ChannelBody {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    /// Bytes still to come, if that is known.
    left: Option<u64>,
}

impl hyper::body::Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.chunks.poll_recv(cx).map(|chunk| {
            let chunk = chunk?;
            if let (Ok(bytes), Some(left)) = (&chunk, &mut self.left) {
                *left = left.saturating_sub(bytes.len() as u64);
            }
            Some(chunk.map(Frame::data))
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A body of what comes out of `chunks`; `size_bytes` in all, if that is known.
pub(super) fn body(chunks: mpsc::Receiver<io::Result<Bytes>>, size_bytes: Option<u64>) -> Body {
    Body::new(ChannelBody { chunks, left: size_bytes })
}
