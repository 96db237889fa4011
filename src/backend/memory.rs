//! A volume in memory: for `stirrupd quick --memory`, tests and benchmarks.

use std::sync::Arc;

use parking_lot::RwLock;

use super::check;
use super::kept::Kept;
use crate::block::buffer::{CHUNK_BYTES_MAX, Memory};
use crate::block::{
    Buffer, Completion, CompletionQueue, Done, Error, ErrorKind, Extent, Op, Request, SavedState,
    Volume, VolumeInfo,
};

/// Bytes behind one lock.
const CHUNK_BYTES: u64 = 1 << 20;
/// Bytes that are lent to reads and taken over from writes as a whole: as much as a chunk of a
/// long buffer.
const PAGE_BYTES: u64 = CHUNK_BYTES_MAX as u64;
const PAGES: usize = (CHUNK_BYTES / PAGE_BYTES) as usize;

/// Memory that is taken when it is first written.
type Page = Option<Arc<Memory>>;
type Chunk = Option<Box<[Page; PAGES]>>;

/// Bytes kept in memory; answers every request at once.
///
/// A read is not copied: its buffer has a share in the pages until it is sent. What is written
/// meanwhile goes to a copy of the page. A write that fills a page leaves the memory of its buffer
/// here.
pub struct MemoryVolume {
    size_bytes: u64,
    read_only: bool,
    chunks: Box<[RwLock<Chunk>]>,
    state: Kept,
}

/// The part of a request that falls into one chunk, or one page of it.
#[derive(Clone, Copy)]
struct Piece {
    /// Its number.
    index: usize,
    within: usize,
    len: usize,
    /// Offset from the start of the request.
    at: usize,
}

fn pieces(offset: u64, len: u64, unit: u64) -> impl Iterator<Item = Piece> {
    let end = offset + len;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let next = ((at / unit + 1) * unit).min(end);
            let index = |n: u64| usize::try_from(n).expect("a request is smaller than memory");
            let piece = Piece {
                index: index(at / unit),
                within: index(at % unit),
                len: index(next - at),
                at: index(at - offset),
            };
            at = next;
            piece
        })
    })
}

impl Piece {
    /// The pages of a piece of a chunk.
    fn pages(self) -> impl Iterator<Item = Self> {
        let of_request = move |page: Self| Self { at: self.at + page.at, ..page };
        pieces(self.within as u64, self.len as u64, PAGE_BYTES).map(of_request)
    }
}

impl MemoryVolume {
    /// A volume of `size_bytes` zeros.
    #[must_use]
    pub fn new(size_bytes: u64, read_only: bool) -> Self {
        let chunks = (0..size_bytes.div_ceil(CHUNK_BYTES)).map(|_| RwLock::new(None)).collect();
        let state = Kept::new(SavedState::Record(Vec::new()));
        Self { size_bytes, read_only, chunks, state }
    }

    fn read(&self, offset: u64, buf: &mut Buffer) {
        let mut lent = Buffer::unfilled(0);
        for piece in pieces(offset, buf.len() as u64, CHUNK_BYTES) {
            let chunk = self.chunks[piece.index].read();
            for page in piece.pages() {
                let Some(mem) = chunk.as_ref().and_then(|pages| pages[page.index].as_ref()) else {
                    drop(chunk);
                    return self.read_with_holes(offset, buf);
                };
                lent.append(Arc::clone(mem), page.within..page.within + page.len);
            }
        }
        *buf = lent;
    }

    /// As [`Self::read`], where not everything was ever written.
    fn read_with_holes(&self, offset: u64, buf: &mut Buffer) {
        for piece in pieces(offset, buf.len() as u64, CHUNK_BYTES) {
            let chunk = self.chunks[piece.index].read();
            for page in piece.pages() {
                match chunk.as_ref().and_then(|pages| pages[page.index].as_ref()) {
                    Some(mem) => {
                        buf.copy_from(page.at, &mem[page.within..page.within + page.len]);
                    }
                    None => buf.range_mut(page.at, page.len).for_each(|slice| slice.fill(0)),
                }
            }
        }
    }

    fn write(&self, offset: u64, buf: &Buffer) {
        for piece in pieces(offset, buf.len() as u64, CHUNK_BYTES) {
            put(&mut self.chunks[piece.index].write(), piece, buf);
        }
    }

    fn zero(&self, offset: u64, len: u64) {
        for piece in pieces(offset, len, CHUNK_BYTES) {
            let mut chunk = self.chunks[piece.index].write();
            if piece.len as u64 == CHUNK_BYTES {
                *chunk = None;
                continue;
            }
            let Some(pages) = chunk.as_mut() else { continue };
            for page in piece.pages() {
                let place = &mut pages[page.index];
                if page.len as u64 == PAGE_BYTES {
                    *place = None;
                } else if let Some(mem) = place {
                    Arc::make_mut(mem)[page.within..page.within + page.len].fill(0);
                }
            }
        }
    }

    fn compare_and_write(&self, offset: u64, old: &Buffer, new: &Buffer) -> Result<(), Error> {
        // All locks first, in ascending order (as everyone takes them): atomic over the range.
        let mut locked: Vec<_> = pieces(offset, old.len() as u64, CHUNK_BYTES)
            .map(|piece| (self.chunks[piece.index].write(), piece))
            .collect();
        let expected = old.to_vec();
        for (chunk, piece) in &locked {
            for page in piece.pages() {
                let wanted = &expected[page.at..page.at + page.len];
                let differs = match chunk.as_ref().and_then(|pages| pages[page.index].as_ref()) {
                    Some(mem) => {
                        let is = &mem[page.within..page.within + page.len];
                        is.iter().zip(wanted).position(|(is, wanted)| is != wanted)
                    }
                    None => wanted.iter().position(|wanted| *wanted != 0),
                };
                if let Some(i) = differs {
                    return Err(ErrorKind::Miscompare { offset: (page.at + i) as u64 }.into());
                }
            }
        }
        locked.iter_mut().for_each(|(chunk, piece)| put(chunk, *piece, new));
        Ok(())
    }

    fn extents(&self, offset: u64, len: u64, max: u32) -> Result<Vec<Extent>, Error> {
        let mut found: Vec<Extent> = Vec::new();
        for piece in pieces(offset, len, CHUNK_BYTES) {
            let mapped = self.chunks[piece.index].read().is_some();
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
                self.read(offset, &mut buf);
                return Ok(Done::Data(buf));
            }
            Op::Extents { offset, len, max } => {
                return self.extents(offset, len, max).map(Done::Extents);
            }
            // A chunk is written under its lock.
            Op::Write { offset, buf, fua: _ } | Op::WriteAtomic { offset, buf, fua: _ } => {
                self.write(offset, &buf);
            }
            Op::Discard { offset, len } | Op::WriteZeroes { offset, len, fua: _ } => {
                self.zero(offset, len);
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

/// Writes what falls into one chunk.
fn put(chunk: &mut Chunk, piece: Piece, buf: &Buffer) {
    let pages = chunk.get_or_insert_with(Box::default);
    for page in piece.pages() {
        let place = &mut pages[page.index];
        let whole = buf.share(page.at, page.len).filter(|mem| mem.len() as u64 == PAGE_BYTES);
        if let Some(mem) = whole {
            place.replace(mem).into_iter().for_each(Memory::give_back);
            continue;
        }
        let mem = place.get_or_insert_with(|| Memory::zeros(CHUNK_BYTES_MAX));
        buf.copy_to(page.at, &mut Arc::make_mut(mem)[page.within..page.within + page.len]);
    }
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
        volume.write(CHUNK_BYTES - 512, &Buffer::from_slice(&bytes));
        let mut out = Buffer::unfilled(bytes.len() + 512);
        volume.read(CHUNK_BYTES - 1024, &mut out);
        assert_eq!(out.to_vec()[..512], [0; 512]);
        assert_eq!(out.to_vec()[512..], bytes);
    }

    fn read(volume: &MemoryVolume, offset: u64, len: usize) -> Buffer {
        let mut buf = Buffer::unfilled(len);
        volume.read(offset, &mut buf);
        buf
    }

    #[test]
    fn what_was_read_stays_as_it_was() {
        let volume = MemoryVolume::new(4 << 20, false);
        let len = 2 * CHUNK_BYTES_MAX;
        volume.write(0, &Buffer::from_slice(&vec![1; len]));
        let old = read(&volume, 512, len - 1024);
        volume.write(4096, &Buffer::from_slice(&[2; 4096]));
        volume.zero(8192, 4096);
        volume.zero(PAGE_BYTES, PAGE_BYTES);
        assert_eq!(old.to_vec(), vec![1; len - 1024]);
        let wanted = [vec![1; 4096], vec![2; 4096], vec![0; 4096], vec![1; 512]].concat();
        assert_eq!(read(&volume, 0, 12_800).to_vec(), wanted);
        volume.compare_and_write(0, &read(&volume, 0, 512), &Buffer::zeroed(512)).unwrap();
        assert_eq!(old.to_vec(), vec![1; len - 1024]);
    }

    #[test]
    fn memory_of_a_write_stays_and_is_not_written_to() {
        let volume = MemoryVolume::new(4 << 20, false);
        let mut buf = Buffer::unfilled(CHUNK_BYTES_MAX);
        buf.copy_from(0, &vec![1; CHUNK_BYTES_MAX]);
        volume.write(PAGE_BYTES, &buf);
        let there = read(&volume, PAGE_BYTES, 1).slices().next().map(<[u8]>::as_ptr);
        assert_eq!(there, buf.slices().next().map(<[u8]>::as_ptr));
        buf.copy_from(0, &[2]);
        assert_eq!(read(&volume, PAGE_BYTES, 2).to_vec(), [1, 1]);
        drop(buf);
        Buffer::unfilled(CHUNK_BYTES_MAX).copy_from(0, &[3]);
        assert_eq!(read(&volume, PAGE_BYTES, 2).to_vec(), [1, 1]);
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
        volume.read(at, &mut out);
        assert_eq!(out.to_vec(), vec![7; 1024]);
    }

    #[test]
    fn zeroing_gives_memory_back_and_extents_show_it() {
        let volume = MemoryVolume::new(3 << 20, false);
        volume.write(0, &Buffer::from_slice(&[1; 4096]));
        volume.write(CHUNK_BYTES, &Buffer::from_slice(&[1; 4096]));
        volume.zero(CHUNK_BYTES, CHUNK_BYTES);
        assert_eq!(
            volume.extents(0, 3 << 20, 16).unwrap(),
            [
                Extent { offset: 0, len: CHUNK_BYTES, mapped: true },
                Extent { offset: CHUNK_BYTES, len: 2 * CHUNK_BYTES, mapped: false },
            ]
        );
    }
}
