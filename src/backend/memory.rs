//! A volume in memory: for `stirrupd quick --memory`, tests and benchmarks.

use std::sync::Arc;

use parking_lot::RwLock;

use super::check;
use super::kept::Kept;
use crate::block::{
    Buffer, Completion, CompletionQueue, Done, Error, ErrorKind, Extent, Op, Request, SavedState,
    Volume, VolumeInfo,
};

/// Bytes behind one lock. Memory is taken when a chunk is first written.
const CHUNK_BYTES: u64 = 1 << 20;

/// Memory that is taken when it is first written.
type Chunk = Option<Box<[u8]>>;

/// Bytes kept in memory; answers every request at once.
pub struct MemoryVolume {
    size_bytes: u64,
    read_only: bool,
    chunks: Box<[RwLock<Chunk>]>,
    state: Kept,
}

/// The part of a request that falls into one chunk.
struct Piece {
    chunk: usize,
    within: usize,
    len: usize,
    /// Offset from the start of the request.
    at: usize,
}

fn pieces(offset: u64, len: u64) -> impl Iterator<Item = Piece> {
    let end = offset + len;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let next = ((at / CHUNK_BYTES + 1) * CHUNK_BYTES).min(end);
            let index = |n: u64| usize::try_from(n).expect("a request is smaller than memory");
            let piece = Piece {
                chunk: index(at / CHUNK_BYTES),
                within: index(at % CHUNK_BYTES),
                len: index(next - at),
                at: index(at - offset),
            };
            at = next;
            piece
        })
    })
}

impl MemoryVolume {
    /// A volume of `size_bytes` zeros.
    #[must_use]
    pub fn new(size_bytes: u64, read_only: bool) -> Self {
        let chunks = (0..size_bytes.div_ceil(CHUNK_BYTES)).map(|_| RwLock::new(None)).collect();
        let state = Kept::new(SavedState::Record(Vec::new()));
        Self { size_bytes, read_only, chunks, state }
    }

    fn read(&self, offset: u64, buf: &mut Buffer) -> Result<(), Error> {
        for piece in pieces(offset, buf.len() as u64) {
            let chunk = self.chunks[piece.chunk].read();
            match chunk.as_deref() {
                Some(bytes) => {
                    buf.copy_from(piece.at, &bytes[piece.within..piece.within + piece.len]);
                }
                None => buf.range_mut(piece.at, piece.len).for_each(|slice| slice.fill(0)),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, buf: &Buffer) -> Result<(), Error> {
        for piece in pieces(offset, buf.len() as u64) {
            let mut chunk = self.chunks[piece.chunk].write();
            let bytes = chunk.get_or_insert_with(blank);
            buf.copy_to(piece.at, &mut bytes[piece.within..piece.within + piece.len]);
        }
        Ok(())
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), Error> {
        for piece in pieces(offset, len) {
            let mut chunk = self.chunks[piece.chunk].write();
            if piece.len as u64 == CHUNK_BYTES {
                *chunk = None;
            } else if let Some(bytes) = chunk.as_deref_mut() {
                bytes[piece.within..piece.within + piece.len].fill(0);
            }
        }
        Ok(())
    }

    fn compare_and_write(&self, offset: u64, old: &Buffer, new: &Buffer) -> Result<(), Error> {
        // All locks first, in ascending order (as everyone takes them): atomic over the range.
        let mut locked: Vec<_> = pieces(offset, old.len() as u64)
            .map(|piece| (self.chunks[piece.chunk].write(), piece))
            .collect();
        let expected = old.to_vec();
        for (chunk, piece) in &mut locked {
            let bytes = &chunk.get_or_insert_with(blank)[piece.within..piece.within + piece.len];
            let wanted = &expected[piece.at..piece.at + piece.len];
            if let Some(i) = bytes.iter().zip(wanted).position(|(is, want)| is != want) {
                return Err(ErrorKind::Miscompare { offset: (piece.at + i) as u64 }.into());
            }
        }
        for (chunk, piece) in &mut locked {
            let bytes = chunk.get_or_insert_with(blank);
            new.copy_to(piece.at, &mut bytes[piece.within..piece.within + piece.len]);
        }
        Ok(())
    }

    fn extents(&self, offset: u64, len: u64, max: u32) -> Result<Vec<Extent>, Error> {
        let mut found: Vec<Extent> = Vec::new();
        for piece in pieces(offset, len) {
            let mapped = self.chunks[piece.chunk].read().is_some();
            let len = piece.len as u64;
            let full = found.len() >= max as usize;
            match found.last_mut() {
                Some(last) if last.mapped == mapped => last.len += len,
                _ if full => break,
                _ => found.push(Extent { offset: offset + piece.at as u64, len, mapped }),
            }
        }
        Ok(found)
    }

    fn run(&self, mut op: Op) -> Result<Done, Error> {
        if let Some(answer) = check::answer(&mut op, self.size_bytes, self.read_only) {
            return answer;
        }
        match op {
            Op::Read { offset, mut buf } => {
                self.read(offset, &mut buf)?;
                return Ok(Done::Data(buf));
            }
            Op::Extents { offset, len, max } => {
                return self.extents(offset, len, max).map(Done::Extents);
            }
            // A chunk is written under its lock.
            Op::Write { offset, buf, fua: _ } | Op::WriteAtomic { offset, buf, fua: _ } => {
                self.write(offset, &buf)?;
            }
            Op::Discard { offset, len } | Op::WriteZeroes { offset, len, fua: _ } => {
                self.zero(offset, len)?;
            }
            Op::CompareAndWrite { offset, compare, write } => {
                self.compare_and_write(offset, &compare, &write)?;
            }
            Op::WriteSame { .. } => return Err(ErrorKind::Unsupported.into()),
            Op::SaveState(record) => self.state.save(&record, |_| Ok(()))?,
            Op::Flush => {}
        }
        Ok(Done::Unit)
    }
}

fn blank() -> Box<[u8]> {
    vec![0; usize::try_from(CHUNK_BYTES).expect("a chunk fits in memory")].into_boxed_slice()
}

impl Volume for MemoryVolume {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            size_bytes: self.size_bytes,
            read_only: self.read_only,
            write_cache: false,
            physical_block_bytes: 4096,
            optimal_io_bytes: 0,
            discard_granularity_bytes: 4096,
            max_compare_and_write_bytes: 1 << 20,
            // A chunk is written under its lock; nothing of any write outlives a loss of power.
            max_atomic_write_bytes: CHUNK_BYTES as u32,
            atomic_write_boundary_bytes: CHUNK_BYTES as u32,
            has_write_same: false,
        }
    }

    fn saved_state(&self) -> SavedState {
        self.state.get()
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        _queue: &Arc<CompletionQueue>,
    ) {
        done.extend(
            requests.drain(..).map(|Request { tag, op }| Completion { tag, result: self.run(op) }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_read_back_across_chunks() {
        let volume = MemoryVolume::new(4 << 20, false);
        let bytes: Vec<u8> = (0..(1 << 20) + 1024).map(|i| (i % 253) as u8).collect();
        volume.write(CHUNK_BYTES - 512, &Buffer::from_slice(&bytes)).unwrap();
        let mut out = Buffer::unfilled(bytes.len() + 512);
        volume.read(CHUNK_BYTES - 1024, &mut out).unwrap();
        assert_eq!(out.to_vec()[..512], [0; 512]);
        assert_eq!(out.to_vec()[512..], bytes);
    }

    #[test]
    fn compare_and_write_writes_all_or_nothing() {
        let volume = MemoryVolume::new(2 << 20, false);
        let at = CHUNK_BYTES - 512;
        let zeros = Buffer::zeroed(1024);
        let new = Buffer::from_slice(&[7; 1024]);
        volume.compare_and_write(at, &zeros, &new).unwrap();
        let error = volume.compare_and_write(at, &zeros, &zeros).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Miscompare { offset: 0 });
        let mut wanted = vec![7; 1024];
        wanted[700] = 8;
        let error = volume.compare_and_write(at, &Buffer::from_slice(&wanted), &zeros).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Miscompare { offset: 700 });
        let mut out = Buffer::unfilled(1024);
        volume.read(at, &mut out).unwrap();
        assert_eq!(out.to_vec(), vec![7; 1024]);
    }

    #[test]
    fn zeroing_gives_memory_back_and_extents_show_it() {
        let volume = MemoryVolume::new(3 << 20, false);
        volume.write(0, &Buffer::from_slice(&[1; 4096])).unwrap();
        volume.write(CHUNK_BYTES, &Buffer::from_slice(&[1; 4096])).unwrap();
        volume.zero(CHUNK_BYTES, CHUNK_BYTES).unwrap();
        assert_eq!(
            volume.extents(0, 3 << 20, 16).unwrap(),
            [
                Extent { offset: 0, len: CHUNK_BYTES, mapped: true },
                Extent { offset: CHUNK_BYTES, len: 2 * CHUNK_BYTES, mapped: false },
            ]
        );
    }
}
