//! Pooled data buffers.
//!
//! A [`Buffer`] is a list of chunks from a few size classes, so a 4 KiB command costs one small
//! chunk and a 16 MiB command no huge contiguous allocation; volumes take it as an iovec. Chunks
//! come from and go back to a free list of the current thread: no lock, no sharing. They are
//! zeroed when first allocated and *not* when reused: whoever fills a buffer fills all of it.

use std::cell::RefCell;
use std::io::{IoSlice, IoSliceMut};

use smallvec::SmallVec;

/// Chunk sizes in bytes, ascending.
const CLASSES: [usize; 4] = [4 << 10, 16 << 10, 64 << 10, 256 << 10];
/// Largest chunk: longer buffers are made of several.
const CHUNK_BYTES_MAX: usize = CLASSES[CLASSES.len() - 1];
/// Free bytes a thread keeps per size class.
const FREE_BYTES_PER_CLASS_MAX: usize = 8 << 20;

/// A thread's free chunks by size class.
type FreeLists = [Vec<Box<[u8]>>; CLASSES.len()];

thread_local! {
    /// Made when the thread first takes a chunk: threads that only drop what others took (a
    /// store's) keep nothing.
    static FREE: RefCell<Option<FreeLists>> = const { RefCell::new(None) };
}

/// One piece of contiguous memory; goes back to the free list when dropped.
struct Chunk {
    mem: Box<[u8]>,
}

fn class_of(len: usize) -> usize {
    CLASSES.iter().position(|&size| len <= size).unwrap_or(CLASSES.len() - 1)
}

impl Chunk {
    fn take(len: usize) -> Self {
        let class = class_of(len);
        // `try_with`: during thread exit the list is gone, a plain allocation still works.
        let take = |free: &RefCell<Option<FreeLists>>| {
            free.borrow_mut().get_or_insert_default()[class].pop()
        };
        let mem = FREE.try_with(take).ok().flatten();
        Self { mem: mem.unwrap_or_else(|| vec![0; CLASSES[class]].into_boxed_slice()) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mem = std::mem::take(&mut self.mem);
        let class = class_of(mem.len());
        let _gone_with_thread = FREE.try_with(|free| {
            if let Some(lists) = free.borrow_mut().as_mut()
                && (lists[class].len() + 1) * CLASSES[class] <= FREE_BYTES_PER_CLASS_MAX
            {
                lists[class].push(mem);
            }
        });
    }
}

/// Owned memory of a fixed length for the data of one command. See the [module](self) docs.
pub struct Buffer {
    chunks: SmallVec<[Chunk; 1]>,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` bytes with unspecified (but initialised) contents: fill all of it.
    #[must_use]
    pub fn unfilled(len: usize) -> Self {
        let mut chunks = SmallVec::new();
        let mut left = len;
        while left > 0 {
            let part = left.min(CHUNK_BYTES_MAX);
            chunks.push(Chunk::take(part));
            left -= part;
        }
        Self { chunks, len }
    }

    /// A buffer of `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::unfilled(len);
        buffer.slices_mut().for_each(|slice| slice.fill(0));
        buffer
    }

    /// A copy of `bytes`.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        let mut buffer = Self::unfilled(bytes.len());
        buffer.copy_from(0, bytes);
        buffer
    }

    /// Memory that a buffer of `len` bytes occupies.
    #[must_use]
    pub fn footprint(len: usize) -> usize {
        let rest = len % CHUNK_BYTES_MAX;
        len - rest + if rest == 0 { 0 } else { CLASSES[class_of(rest)] }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if the length is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The whole buffer, in order.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.range(0, self.len)
    }

    /// The whole buffer, in order, for writing.
    pub fn slices_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let len = self.len;
        self.range_mut(0, len)
    }

    /// The bytes from `offset` on, `len` of them, in order.
    ///
    /// # Panics
    /// If the range is not inside the buffer: callers check what peers say before.
    pub fn range(&self, offset: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        assert!(offset <= self.len && len <= self.len - offset, "range outside the buffer");
        let end = offset + len;
        self.chunks.iter().enumerate().filter_map(move |(i, chunk)| {
            let (from, to) = part_of(i, offset, end)?;
            Some(&chunk.mem[from..to])
        })
    }

    /// As [`Self::range`], for writing.
    ///
    /// # Panics
    /// If the range is not inside the buffer.
    pub fn range_mut(&mut self, offset: usize, len: usize) -> impl Iterator<Item = &mut [u8]> {
        assert!(offset <= self.len && len <= self.len - offset, "range outside the buffer");
        let end = offset + len;
        self.chunks.iter_mut().enumerate().filter_map(move |(i, chunk)| {
            let (from, to) = part_of(i, offset, end)?;
            Some(&mut chunk.mem[from..to])
        })
    }

    /// The buffer as an iovec for a vectored write.
    #[must_use]
    pub fn io_slices(&self) -> SmallVec<[IoSlice<'_>; 8]> {
        self.slices().map(IoSlice::new).collect()
    }

    /// The buffer as an iovec for a vectored read.
    pub fn io_slices_mut(&mut self) -> SmallVec<[IoSliceMut<'_>; 8]> {
        self.slices_mut().map(IoSliceMut::new).collect()
    }

    /// Copies `bytes` into the buffer at `offset`.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn copy_from(&mut self, offset: usize, bytes: &[u8]) {
        let mut rest = bytes;
        for slice in self.range_mut(offset, bytes.len()) {
            let (now, later) = rest.split_at(slice.len());
            slice.copy_from_slice(now);
            rest = later;
        }
    }

    /// Fills `bytes` from the buffer at `offset`.
    ///
    /// # Panics
    /// If the range is not inside the buffer.
    pub fn copy_to(&self, offset: usize, bytes: &mut [u8]) {
        let mut at = 0;
        for slice in self.range(offset, bytes.len()) {
            bytes[at..at + slice.len()].copy_from_slice(slice);
            at += slice.len();
        }
    }

    /// The contents as one vector (a copy).
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len);
        self.slices().for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }

    /// Lengthens the buffer to `len` bytes, what is added being unspecified (but initialised);
    /// shorter than it is: no change.
    pub fn grow(&mut self, len: usize) {
        if len <= self.len {
            return;
        }
        // Every chunk but the last is of full size; the last may be of too small a class.
        if let Some(last) = self.chunks.last_mut() {
            let base = self.len.div_ceil(CHUNK_BYTES_MAX).saturating_sub(1) * CHUNK_BYTES_MAX;
            let wanted = (len - base).min(CHUNK_BYTES_MAX);
            if last.mem.len() < wanted {
                let larger = Chunk::take(wanted);
                let smaller = std::mem::replace(last, larger);
                let held = self.len - base;
                last.mem[..held].copy_from_slice(&smaller.mem[..held]);
            }
        }
        let mut held = self.chunks.len() * CHUNK_BYTES_MAX;
        while held < len {
            let part = (len - held).min(CHUNK_BYTES_MAX);
            self.chunks.push(Chunk::take(part));
            held += part;
        }
        self.len = len;
    }

    /// Shortens the buffer to `len` bytes; longer than it is: no change.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.chunks.truncate(len.div_ceil(CHUNK_BYTES_MAX));
            self.len = len;
        }
    }
}

/// The part of chunk `i` that lies in `offset..end` of the buffer, as indices into the chunk.
fn part_of(i: usize, offset: usize, end: usize) -> Option<(usize, usize)> {
    let base = i * CHUNK_BYTES_MAX;
    let from = offset.max(base);
    let to = end.min(base + CHUNK_BYTES_MAX);
    (from < to).then(|| (from - base, to - base))
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_buffer_is_read_and_written_across_chunks() {
        let len = 2 * CHUNK_BYTES_MAX + 1000;
        let mut buffer = Buffer::unfilled(len);
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        buffer.copy_from(0, &bytes);
        assert_eq!(buffer.to_vec(), bytes);
        assert_eq!(buffer.slices().count(), 3);

        let at = CHUNK_BYTES_MAX - 3;
        buffer.copy_from(at, b"abcdef");
        let mut out = [0; 6];
        buffer.copy_to(at, &mut out);
        assert_eq!(&out, b"abcdef");

        buffer.truncate(CHUNK_BYTES_MAX + 3);
        assert_eq!(buffer.slices().map(<[u8]>::len).collect::<Vec<_>>(), [CHUNK_BYTES_MAX, 3]);
    }

    #[test]
    fn a_buffer_grows_and_keeps_what_it_held() {
        for (from, to) in
            [(0, 5000), (3000, 4000), (3000, 90_000), (3000, 600_000), (300_000, 600_000)]
        {
            let mut buffer = Buffer::unfilled(from);
            let bytes: Vec<u8> = (0..from).map(|i| (i % 251) as u8).collect();
            buffer.copy_from(0, &bytes);
            buffer.grow(to);
            assert_eq!(buffer.len(), to);
            assert_eq!(buffer.slices().map(<[u8]>::len).sum::<usize>(), to);
            assert_eq!(buffer.to_vec()[..from], bytes);
            buffer.copy_from(to - 1, &[1]);
        }
    }

    #[test]
    fn memory_comes_back_from_the_free_list() {
        let address = |b: &Buffer| b.slices().next().map(<[u8]>::as_ptr);
        let first = Buffer::unfilled(4096);
        let at = address(&first);
        drop(first);
        let second = Buffer::unfilled(100);
        assert_eq!(address(&second), at);
        assert_eq!(Buffer::zeroed(4096).to_vec(), vec![0; 4096]);
    }

    #[test]
    fn a_footprint_is_what_is_taken() {
        for len in [0, 1, 512, 4096, 4097, 20_000, 65_537, CHUNK_BYTES_MAX, CHUNK_BYTES_MAX + 1] {
            let taken: usize = Buffer::unfilled(len).chunks.iter().map(|c| c.mem.len()).sum();
            assert_eq!(Buffer::footprint(len), taken, "{len}");
        }
    }

    #[test]
    fn an_empty_buffer_has_no_slices() {
        assert_eq!(Buffer::unfilled(0).slices().count(), 0);
    }
}
